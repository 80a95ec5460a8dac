/*
 * A text with parameters in the place of its constants, for a server that is sent the same text
 * again and again with other ones: it parses and plans that once.
 *
 * Pure. Only where the result is the one of the literal text for sure, whatever tables, types and
 * parameters of the session there are, and as long as the text means the same: one INSERT of a
 * single row of VALUES, UPDATE or DELETE, without RETURNING, ON CONFLICT or a query in it. Or one
 * SELECT of columns of a table, where columns are integers.
 *
 * - Integers that fit int4 become parameters of type int4, as an element of VALUES or behind a
 *   column and an operator. A minus that is a sign goes with its number. All others stay where they
 *   are: PostgreSQL computes what only constants are in when it plans, and leaves out what does not
 *   matter then ("1 = 2 AND 1 / 0 = 1").
 * - Quoted strings become parameters without a type, as they are constants without one: where they
 *   stand alone as an element of VALUES or behind a column and "=" (but not for a field of a
 *   column), or with a cast to one of PostgreSQL's plain types without a modifier. When any other
 *   string is in the text, it is not for this: a server would read it once and for all, with the
 *   DateStyle and time zone of that moment. Nor is a text with a NULL that might be compared
 *   (transform_null_equals), or with anything but ASCII in its names (client_encoding).
 *
 * Not seen here, and the caller's to know: a column of type interval with fields ("interval hour")
 * reads a constant otherwise than a parameter.
 *
 * Errors, too, are those of the literal text where it is `exact`: they come for the same values, in
 * the same order, and with the same words. PostgreSQL computes what is constant when it plans, and
 * so fails for "SET v = 1 / 0" where no row is found; with a plan for any parameters it does not.
 * Only positions in the text are others (sql_parameters_position()), and so would be what stands in
 * an error of syntax: the caller knows that a text of that kind has run before. So an integer is
 * exact that stands alone, or is the last operand behind a column; a string with a cast to a time
 * type, when the server itself has written it so (any other may be refused, with words of its own
 * for parameters). Where an UPDATE assigns a constant as it stands, the caller is to know that the
 * column is of a type which any such constant fits into.
 *
 * Source: PostgreSQL's sources, parse_coerce.c (coerce_type), parse_param.c, gram.y (doNegate),
 * clauses.c (eval_const_expressions), plancache.c and postgres.c (exec_bind_message).
 */
#ifndef SQL_PARAMETERS_H
#define SQL_PARAMETERS_H

#include "base/buf.h"
#include "sql/facts.h"

struct sql_parameters;

/* Where a parameter stands, in bytes. */
struct sql_parameter_place {
    uint32_t start; /* of the constant, in the text that was given, */
    uint32_t len;
    uint32_t parameter_start; /* ... and of the parameter with its blanks */
    uint32_t parameter_len;
    struct sql_text column; /* to which UPDATE assigns it as it stands; len 0: none. As written */
};

/* All of it borrowed until the next call with the same struct sql_parameters. */
struct sql_with_parameters {
    struct sql_text text;
    uint16_t count; /* of parameters, never 0 */
    bool strings;   /* some have no type */
    bool exact;     /* errors, too, are those of the literal text */
    const struct sql_parameter_place *places;
    const uint8_t *types;  /* as Parse has them: an OID for each in network byte order */
    const uint8_t *values; /* as Bind has them: length and bytes of each, in text */
    size_t values_len;
};

struct sql_parameters *sql_parameters_new(void);
void sql_parameters_free(struct sql_parameters *p); /* NULL: nothing */

/* False: the text is to be sent as it is. */
bool sql_parameters_take(struct sql_parameters *p, struct sql_text text,
                         const struct sql_options *options, struct sql_with_parameters *r);
/* The same of a SELECT, which is always exact. */
bool sql_parameters_take_read(struct sql_parameters *p, struct sql_text text,
                              const struct sql_options *options, struct sql_with_parameters *r);

/* A position in the text with parameters (from 1 on) as one in the literal text. */
uint32_t sql_parameters_position(const struct sql_parameter_place *places, uint16_t count,
                                 uint32_t position);

#endif

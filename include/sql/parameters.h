/*
 * A text with parameters in the place of its constants, for a server that is sent the same text
 * again and again with other ones: it parses and plans that once.
 *
 * Pure. Only where the result is the one of the literal text for sure, whatever tables, types and
 * parameters of the session there are, and as long as the text means the same: one INSERT of a
 * single row of VALUES, UPDATE or DELETE, without RETURNING, ON CONFLICT or a query in it.
 *
 * - Integers that fit int4 become parameters of type int4, behind an operator or within VALUES. A
 *   minus that is a sign goes with its number. All others stay where they are.
 * - Quoted strings become parameters without a type, as they are constants without one: where they
 *   stand alone as an element of VALUES or behind "=", or with a cast to one of PostgreSQL's plain
 *   types without a modifier. When any other string is in the text, it is not for this: a server
 *   would read it once and for all, with the DateStyle and time zone of that moment.
 *
 * Not seen here, and the caller's to know: a column of type interval with fields ("interval hour")
 * reads a constant otherwise than a parameter.
 *
 * Source: PostgreSQL's sources, parse_coerce.c (coerce_type), parse_param.c and gram.y (doNegate).
 */
#ifndef SQL_PARAMETERS_H
#define SQL_PARAMETERS_H

#include "base/buf.h"
#include "sql/facts.h"

struct sql_parameters;

/* All of it borrowed until the next call with the same struct sql_parameters. */
struct sql_with_parameters {
    struct sql_text text;
    uint16_t count;        /* of parameters, never 0 */
    bool strings;          /* some have no type */
    const uint8_t *types;  /* as Parse has them: an OID for each in network byte order */
    const uint8_t *values; /* as Bind has them: length and bytes of each, in text */
    size_t values_len;
};

struct sql_parameters *sql_parameters_new(void);
void sql_parameters_free(struct sql_parameters *p); /* NULL: nothing */

/* False: the text is to be sent as it is. */
bool sql_parameters_take(struct sql_parameters *p, struct sql_text text,
                         const struct sql_options *options, struct sql_with_parameters *r);

#endif

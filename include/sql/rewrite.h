/*
 * A text with its places replaced (sql/determinism.h), and the question for their values.
 *
 * Pure. Everything between the places stays as it is, byte for byte: comments, casts, quoting.
 */
#ifndef SQL_REWRITE_H
#define SQL_REWRITE_H

#include "base/buf.h"
#include "sql/determinism.h"

/* A value as the server answered it, as text; data is NULL for null. */
struct sql_answer {
    const char *data;
    uint32_t len;
};

/* Adds to sql a query with one column of type text and a row for each value, in their order. Where
 * the value is of a type with time zone, its text says UTC and does not depend on DateStyle. With
 * `drawn`, only values of the kind DRAWN (which all nodes are asked for). */
void sql_rewrite_question(const struct sql_determined *d, bool drawn, struct buf *sql);

/* Adds to sql the text with literals in its places; answers: one per value. False when the text
 * PREPAREs: only parameters do there. */
bool sql_rewrite_literals(const struct sql_determined *d, struct sql_text text,
                          const struct sql_answer *answers, struct buf *sql);

/* Adds to sql the text with parameters in its places, $(first) for the first value, one per value,
 * each with a cast to its type. first: behind all that the text uses, and that Parse gave types
 * for. False when the places take no parameters, or there would be more than 65535. */
bool sql_rewrite_parameters(const struct sql_determined *d, struct sql_text text, uint32_t first,
                            struct buf *sql);

/* Adds to sql EXECUTE with the answers for the values of what was PREPAREd behind its own
 * arguments; end: of the statement in the text, as the facts have it. What comes of that is judged
 * as any other text. */
void sql_rewrite_execute(const struct sql_determined *prepared, const struct sql_answer *answers,
                         struct sql_text execute, uint32_t end, struct buf *sql);

#endif

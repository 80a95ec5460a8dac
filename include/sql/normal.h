/*
 * A text without its values: what texts have in common that differ in constants, blanks, comments
 * and the case of letters only, and a number for that.
 *
 * Constants become parameters, numbered behind those that the text has; a sign belongs to its
 * number. A list of values behind IN or ARRAY, or of rows behind VALUES, stands for one of any
 * length. Nothing of a constant is left, whatever the text: one that the scanner does not
 * understand to its end is not shown at all.
 *
 * Pure. Source: the idea of PostgreSQL's pg_stat_statements.
 */
#ifndef SQL_NORMAL_H
#define SQL_NORMAL_H

#include "base/buf.h"
#include "sql/facts.h"

struct sql_normal;

struct sql_normal *sql_normal_new(void);
void sql_normal_free(struct sql_normal *n); /* NULL: nothing */

/* The text's fingerprint, never 0, the same in every pgpool. *text_r: the text, borrowed until the
 * next call; its letters are those of this text. */
uint64_t sql_normalise(struct sql_normal *n, const char *text, size_t len,
                       const struct sql_options *options, struct sql_text *text_r);

#endif

/*
 * Writing SQL.
 *
 * Source: PostgreSQL's manual, section "String Constants with C-Style Escapes".
 */
#ifndef SQL_LITERAL_H
#define SQL_LITERAL_H

#include "base/buf.h"
#include "sql/facts.h"

/* Appends the text as a literal that reads the same whatever standard_conforming_strings is. */
void sql_add_literal(struct buf *sql, struct sql_text text);

#endif

/*
 * Where the parts of PREPARE and EXECUTE stand.
 *
 * Pure. Only of statements that the facts call such: what stands between the parts is not looked
 * at. Source: PostgreSQL's manual, reference "PREPARE" and "EXECUTE", and section "Lexical
 * Structure".
 */
#ifndef SQL_EXECUTE_H
#define SQL_EXECUTE_H

#include "sql/facts.h"

/* Bytes of the text. */
struct sql_prepare {
    uint32_t name; /* with its quotes */
    uint32_t name_end;
    bool types;     /* PREPARE gives some */
    uint32_t query; /* PREPARE: what stands behind AS */
};

/* Looks from `start`, where the statement's first token stands. False: it is written in a way that
 * is not known here (U&"name"). */
bool sql_prepare_parts(struct sql_text text, uint32_t start, struct sql_prepare *r);

/* The same of EXECUTE, of which only the name is told. */
bool sql_execute_parts(struct sql_text text, uint32_t start, struct sql_prepare *r);

#endif

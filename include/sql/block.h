/*
 * Blocks of procedural code, as DO has them: which parameters of an application's own they set,
 * and which functions they call.
 *
 * Pure. Such a parameter ("app.user": a name with a point that no library has defined) stands in
 * no view of the server's. The code is not parsed; its words are looked at.
 *
 * Source: PostgreSQL's manual, section "Customized Options".
 */
#ifndef SQL_BLOCK_H
#define SQL_BLOCK_H

#include "sql/facts.h"

enum sql_block_name {
    SQL_BLOCK_PARAMETER, /* with a point; SET or set_config() may set it */
    SQL_BLOCK_CALL,      /* stands in front of a parenthesis: a function, without its schema */
    SQL_BLOCK_WRITE,     /* a word such as INSERT: triggers may run */
};

/* name: in lower case, or as it stands in quotes, without these; borrowed until it returns. */
typedef void sql_block_fn(void *ctx, enum sql_block_name what, struct sql_text name);

/* Calls fn for each such name; too many rather than too few. False: it may set parameters whose
 * names do not stand there; the rest of it was not looked at then. */
bool sql_block_names(const char *text, size_t len, sql_block_fn *fn, void *ctx);

#endif

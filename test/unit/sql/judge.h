/*
 * Our facts of a text beside PostgreSQL's parse tree of it.
 */
#ifndef TEST_SQL_JUDGE_H
#define TEST_SQL_JUDGE_H

#include "sql/facts.h"

#include <stdbool.h>

struct judge {
    struct sql_cache *cache;
    bool all_accepted; /* PostgreSQL must accept every text */
    uint32_t texts;
    uint32_t statements;   /* compared */
    uint32_t refused;      /* by PostgreSQL */
    uint32_t beyond;       /* accepted there, not understood here */
    uint32_t wrong;        /* differ in anything */
    uint32_t cardinal;     /* a write that was called a read */
    uint32_t reads;        /* of those compared: called a read */
    uint32_t expectations; /* checked against what is written beside the statement */
    uint32_t shown;
};

void judge_text(struct judge *j, const char *text, const char *where);

/* "kind; reads a, b.c; writes d; calls f, pg_catalog.g; read": what is not named is not there. */
void judge_expectation(struct judge *j, const char *text, const char *want, const char *where);

#endif

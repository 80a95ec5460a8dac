/*
 * What libpg_query's parse tree says about a text, in the words of sql/facts.
 */
#ifndef TEST_SQL_TREE_H
#define TEST_SQL_TREE_H

#include "base/arena.h"
#include "sql/facts.h"

#include <stdbool.h>
#include <string.h>

enum { TREE_NAMES_MAX = 2048 };

struct tree_names {
    const char *names[TREE_NAMES_MAX]; /* "schema.name" or "name", each once */
    uint32_t count;
};

struct tree_statement {
    enum sql_kind kind;
    const char *node; /* its type in the tree */
    uint32_t start;   /* in the text, up to the semicolon in front of it */
    uint32_t end;
    bool writes; /* holds a node that writes or locks, or a call that is not known to be harmless */
    const char *why;
    bool judges_functions; /* all calls in it are made when it runs */
    struct tree_names reads;
    struct tree_names writes_to;
    struct tree_names functions;
    struct tree_names operators; /* with a schema */
    struct tree_names types;     /* of casts, without those that have a word of their own */
};

struct tree {
    struct tree_statement *statements;
    uint32_t count;
};

/* False when PostgreSQL's parser refuses the text. */
bool tree_of(struct arena *a, const char *text, struct tree *tree_r);

static inline bool
tree_has(const struct tree_names *names, const char *name)
{
    for (uint32_t n = 0; n < names->count; n++) {
        if (strcmp(names->names[n], name) == 0)
            return true;
    }
    return false;
}

#endif

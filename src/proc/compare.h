/*
 * What the files of `pgpool compare` share. Private to proc/.
 *
 * compare.c: nodes, databases, questions; compare_schema.c: definitions and sequences;
 * compare_data.c: rows of tables, and large objects; compare_rows.c: two answers beside each other.
 */
#ifndef PROC_COMPARE_H
#define PROC_COMPARE_H

#include "base/arena.h"
#include "base/buf.h"
#include "config/config.h"
#include "os/ask.h"

enum { COMPARE_DIFFERENT = 3 }; /* exit status: all was compared, and not all is the same */

/* An answer, copied: rows of texts; NULL is "". */
struct compare_rows {
    struct arena arena;
    const char **values;
    uint32_t count;
    uint32_t columns;
};

struct compare;

struct compare_node {
    struct compare *all;
    struct ask *ask;
    uint32_t node_id;
    const char *host;
    int port;
    struct compare_rows rows; /* of its last answer */
    bool failed;              /* to answer the last question; err says why */
    struct err err;
};

struct compare {
    const struct config *cfg;
    struct passwd *passwords;
    struct io *io;
    struct dns *dns;
    struct compare_node
        nodes[CONFIG_NODES_MAX]; /* the first one is what others are compared with */
    uint32_t node_count;
    uint32_t left; /* answers that are waited for */
    int64_t limit_ms;
    const char *database;
    uint64_t differences;
    bool broken; /* something could not be compared */
    bool lost;   /* a node's connection, and its transaction with it */
};

/* Asks all nodes the same, and waits for their answers, which are valid until the next question.
 * False when one has none: said, and `broken`. */
bool compare_ask(struct compare *c, const char *sql);
bool compare_ask_first(struct compare *c, const char *sql); /* the first node alone */

static inline const char *
compare_value(const struct compare_node *n, uint32_t row, uint32_t column)
{
    return n->rows.values[row * n->rows.columns + column];
}

/* In the transaction that is open at each node. */
void compare_schema(struct compare *c);
void compare_data(struct compare *c);

/* ---- compare_rows.c ---- */

/* Rows of the first node and of another: column 0 is what tells rows apart, column 1 what they say,
 * column 2, if there is one, stands for the row in words, and neighbours mean nothing then. Both
 * are in the same order. */
struct compare_found {
    uint64_t other;   /* rows that say something else */
    uint64_t missing; /* at the other node */
    uint64_t extra;   /* there */
};

/* Prints the rows that differ to stdout, neighbours as one range, `ranges` at most (which is
 * counted down); counts them all. what: "table public.t". */
void compare_rows(const struct compare_node *first, const struct compare_node *node,
                  const char *what, uint32_t *ranges, struct compare_found *found);

#endif

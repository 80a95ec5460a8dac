/*
 * pgpool top: the statements that cost most, on a terminal, again and again. A client of pgpool's
 * administration port, as the pcp_* tools.
 *
 * top.c         the command line, the loop
 * top_rows.c    what SHOW pool_statements says: numbers, what has changed, the order. Pure
 * top_screen.c  how that looks. Pure
 */
#ifndef TOOLS_TOP_H
#define TOOLS_TOP_H

#include "base/buf.h"
#include "base/util.h"

#include <libpq-fe.h>
#include <stdbool.h>

/* The whole command: argv[0] is "top". Returns the exit status. */
int top_main(int argc, char **argv);

/* ---- top_rows.c ---- */

/* What the list can be sorted by. */
enum top_order {
    TOP_BY_TIME,
    TOP_BY_LOAD,
    TOP_BY_CALLS,
    TOP_BY_MEAN,
    TOP_BY_P99,
    TOP_BY_ROWS,
    TOP_BY_ERRORS,
    TOP_ORDERS
};

/* Its name and its key. */
const char *top_order_name(enum top_order order);
char top_order_key(enum top_order order);
bool top_order_find(const char *name, enum top_order *order_r);

/* Texts point into the result that it was made of. */
struct top_row {
    const char *fingerprint;
    const char *database;
    const char *user;
    const char *nodes;
    const char *reasons;
    const char *statement;
    double calls;
    double errors;
    double rows;
    double total_ms;
    double mean_ms;
    double p50_ms;
    double p99_ms;
    double calls_per_s; /* since the list before this one; 0 without one */
    double load;        /* of the time since then, how much it took: 1 is one of them at a time */
};

struct top_list {
    struct top_row *rows;
    size_t count;
};

/* -1: the result is not that of SHOW pool_statements. The caller frees it by top_list_free. */
int top_list_read(const PGresult *r, struct top_list *list_r);
void top_list_free(struct top_list *list);
/* What has changed since `before`, so many seconds ago. Sorts both by who they are. */
void top_list_compare(struct top_list *list, struct top_list *before, double seconds);
void top_list_sort(struct top_list *list, enum top_order order, bool reverse);

/* ---- top_screen.c ---- */

struct top_view {
    const char *where; /* host and port */
    const char *time;
    const char *failure;   /* NULL: there is none */
    const PGresult *nodes; /* SHOW pool_nodes; NULL: not known */
    const struct top_list *list;
    enum top_order order;
    bool reverse;
    bool keys;     /* say which there are */
    int delay_s;   /* 0: it is shown once */
    size_t width;  /* 0: as wide as it is */
    size_t height; /* lines; 0: as many as there are */
};

/* Lines with their newlines; nothing in them moves a terminal, whatever the statements hold. */
void top_print(const struct top_view *v, struct buf *out);

#endif

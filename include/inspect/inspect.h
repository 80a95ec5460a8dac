/*
 * What pgpool shows of itself: the views of SHOW pool_..., each defined once, for every way of
 * asking (SQL port, administration port, later the pcp_* tools and metrics).
 *
 * Reads shared memory and the configuration, nothing else; never blocks; works while every server
 * is down. include/tables/views.def names the views and their columns.
 */
#ifndef INSPECT_INSPECT_H
#define INSPECT_INSPECT_H

#include "base/buf.h"
#include "base/err.h"
#include "sql/facts.h"

#include <stdbool.h>

struct cache_shared;
struct cluster_freshness;
struct cluster_nodes;
struct cluster_view;
struct config;
struct config_overrides;
struct hba_reader;
struct shared;
struct statement_stats;

/* What the asking process knows. All borrowed. */
struct inspect_input {
    const struct config *config;
    struct shared *shared;
    struct cache_shared *cache;         /* NULL: there is no query cache */
    struct statement_stats *statements; /* NULL: they are not counted */
    const struct cluster_freshness *freshness;
    const struct cluster_view *view;
    const struct cluster_nodes *nodes;   /* NULL: nobody judges */
    int load_balance_node;               /* of the asking session; -1: none */
    const struct config_overrides *own;  /* what it has set for itself; NULL: nothing */
    const struct hba_reader *hba_reader; /* how pool_hba.conf is read; blocks on the disk */
    const char *hba_path;                /* of pool_hba.conf */
    const char *ident_path;              /* of pool_ident.conf */
};

enum { INSPECT_COLUMNS_MAX = 32 };

/* One row: values as many as the view has columns; NULL is null. Valid during the call. */
typedef void inspect_row_fn(void *ctx, const char *const *values, uint16_t count);

struct inspect_view {
    const char *name;
    uint16_t column_count;
    const char *columns[INSPECT_COLUMNS_MAX];
    void (*run)(const struct inspect_input *in, inspect_row_fn *row, void *ctx);
};

/* The views by number, for lists of what there is; NULL behind the last. */
const struct inspect_view *inspect_view_at(uint32_t number);

struct inspect_question {
    struct sql_text name; /* SHOW: a view, in either case of letters */
    bool parameter; /* PGPOOL SHOW: the name is a parameter's, or "all", "backend", "watchdog",
                     * "heartbeat" or "health_check" */
};

/* What a question asks for. */
struct inspect_target {
    const struct inspect_view *view;
    char parameter[64]; /* the only column's name; "" when the view's columns count */
};

/* -1 with 42704 when there is no such view or parameter. */
int inspect_find(const struct inspect_input *in, const struct inspect_question *question,
                 struct inspect_target *target_r, struct err *err);

/* Appends the RowDescription. */
void inspect_describe(const struct inspect_target *target, struct buf *out);

/* The rows, one by one. */
void inspect_run(const struct inspect_input *in, const struct inspect_target *target,
                 inspect_row_fn *row, void *ctx);

/* Appends the rows and CommandComplete ("SHOW"). */
void inspect_rows(const struct inspect_input *in, const struct inspect_target *target,
                  struct buf *out);

#endif

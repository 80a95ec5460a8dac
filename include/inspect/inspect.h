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

struct cluster_freshness;
struct cluster_view;
struct config;
struct shared;

/* What the asking process knows. All borrowed. */
struct inspect_input {
    const struct config *config;
    struct shared *shared;
    const struct cluster_freshness *freshness;
    const struct cluster_view *view;
    int load_balance_node; /* of the asking session; -1: none */
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

/* In either case of letters; NULL when there is none of that name. */
const struct inspect_view *inspect_find(const char *name, size_t len);

/* The views by number, for lists of what there is; NULL behind the last. */
const struct inspect_view *inspect_view_at(uint32_t number);

struct inspect_question {
    struct sql_text view;
    bool describe; /* wants RowDescription */
    bool rows;     /* wants the rows and CommandComplete ("SHOW") */
};

/* Appends the answer's messages to out. -1 with 42704 when there is no such view; out is then as
 * it was. */
int inspect_answer(const struct inspect_input *in, const struct inspect_question *question,
                   struct buf *out, struct err *err);

#endif

/*
 * Rows of pgpool top (tools/top.h). Pure.
 */
#include "tools/top.h"

#include "base/arena.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    char key;
} orders[TOP_ORDERS] = {
    [TOP_BY_TIME] = {"time", 't'},     [TOP_BY_LOAD] = {"load", 'l'},
    [TOP_BY_CALLS] = {"calls", 'c'},   [TOP_BY_MEAN] = {"mean", 'm'},
    [TOP_BY_P99] = {"p99", 'p'},       [TOP_BY_ROWS] = {"rows", 'r'},
    [TOP_BY_ERRORS] = {"errors", 'e'},
};

const char *
top_order_name(enum top_order order)
{
    return orders[order].name;
}

char
top_order_key(enum top_order order)
{
    return orders[order].key;
}

bool
top_order_find(const char *name, enum top_order *order_r)
{
    for (size_t n = 0; n < ARRAY_LEN(orders); n++) {
        if (!str_equal_nocase(name, orders[n].name))
            continue;
        *order_r = (enum top_order)n;
        return true;
    }
    return false;
}

/* ---- reading ---- */

enum column {
    FINGERPRINT,
    DATABASE,
    USER,
    CALLS,
    ERRORS,
    ROWS,
    TOTAL,
    MEAN,
    P50,
    P99,
    NODES,
    REASONS,
    STATEMENT,
    COLUMNS
};

static double
number(const PGresult *r, int row, int column)
{
    return strtod(PQgetvalue(r, row, column), NULL);
}

int
top_list_read(const PGresult *r, struct top_list *list_r)
{
    static const char *const names[COLUMNS] = {
        "fingerprint", "database", "username", "calls", "errors",  "rows",     "total_ms",
        "mean_ms",     "p50_ms",   "p99_ms",   "nodes", "reasons", "statement"};
    int at[COLUMNS];

    *list_r = (struct top_list){NULL, 0};
    for (size_t n = 0; n < COLUMNS; n++) {
        at[n] = PQfnumber(r, names[n]);
        if (at[n] < 0)
            return -1;
    }
    list_r->count = (size_t)PQntuples(r);
    list_r->rows = xcalloc(list_r->count + 1, sizeof(*list_r->rows));
    for (int n = 0; n < PQntuples(r); n++) {
        list_r->rows[n] = (struct top_row){
            .fingerprint = PQgetvalue(r, n, at[FINGERPRINT]),
            .database = PQgetvalue(r, n, at[DATABASE]),
            .user = PQgetvalue(r, n, at[USER]),
            .nodes = PQgetvalue(r, n, at[NODES]),
            .reasons = PQgetvalue(r, n, at[REASONS]),
            .statement = PQgetvalue(r, n, at[STATEMENT]),
            .calls = number(r, n, at[CALLS]),
            .errors = number(r, n, at[ERRORS]),
            .rows = number(r, n, at[ROWS]),
            .total_ms = number(r, n, at[TOTAL]),
            .mean_ms = number(r, n, at[MEAN]),
            .p50_ms = number(r, n, at[P50]),
            .p99_ms = number(r, n, at[P99]),
        };
    }
    return 0;
}

void
top_list_free(struct top_list *list)
{
    free(list->rows);
    *list = (struct top_list){NULL, 0};
}

/* ---- comparing ---- */

static int
by_identity(const void *a, const void *b)
{
    const struct top_row *x = a;
    const struct top_row *y = b;
    int order = strcmp(x->fingerprint, y->fingerprint);

    if (order == 0)
        order = strcmp(x->database, y->database);
    return order != 0 ? order : strcmp(x->user, y->user);
}

/* One that has less than before was forgotten meanwhile: all that it has is new. */
void
top_list_compare(struct top_list *list, struct top_list *before, double seconds)
{
    if (seconds <= 0)
        return;
    qsort(before->rows, before->count, sizeof(*before->rows), by_identity);
    for (size_t n = 0; n < list->count; n++) {
        struct top_row *row = &list->rows[n];
        const struct top_row *old =
            before->count == 0
                ? NULL
                : bsearch(row, before->rows, before->count, sizeof(*before->rows), by_identity);
        bool same = old != NULL && old->calls <= row->calls;

        row->calls_per_s = (row->calls - (same ? old->calls : 0)) / seconds;
        row->load = (row->total_ms - (same ? old->total_ms : 0)) / 1000 / seconds;
    }
}

/* ---- the order ---- */

static double
value_of(const struct top_row *row, enum top_order order)
{
    switch (order) {
    case TOP_BY_LOAD:
        return row->load;
    case TOP_BY_CALLS:
        return row->calls;
    case TOP_BY_MEAN:
        return row->mean_ms;
    case TOP_BY_P99:
        return row->p99_ms;
    case TOP_BY_ROWS:
        return row->rows;
    case TOP_BY_ERRORS:
        return row->errors;
    default:
        return row->total_ms;
    }
}

struct how {
    enum top_order order;
    bool reverse;
};

static int
by_value(const void *a, const void *b, void *ctx)
{
    const struct how *how = ctx;
    double x = value_of(a, how->order);
    double y = value_of(b, how->order);

    if (x == y)
        return by_identity(a, b);
    return (x < y) == how->reverse ? -1 : 1;
}

void
top_list_sort(struct top_list *list, enum top_order order, bool reverse)
{
    struct how how = {order, reverse};

    qsort_r(list->rows, list->count, sizeof(*list->rows), by_value, &how);
}

/*
 * SHOW pool_statements: what statements have cost, those first that have taken the most time in
 * all. And the metrics of that: of the list as a whole, for its statements are too many and change
 * too much to be series of their own (decision 0027); /api/pool_statements has them.
 *
 * Called through include/tables/views.def and by metrics.c. Sums over all processes, taken without
 * locks; a child adds to them once a second.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "inspect/metrics_parts.h"
#include "inspect/views.h"
#include "ipc/statement_stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const reasons[] = {
#define ROUTE_REASON(id, name, words) name,
#include "tables/reasons.def"
#undef ROUTE_REASON
};

/* ---- the order ---- */

struct rank {
    uint32_t at;
    uint64_t time_us;
    uint64_t calls;
};

static int
compare(const void *a, const void *b)
{
    const struct rank *x = a;
    const struct rank *y = b;

    if (x->time_us != y->time_us)
        return x->time_us < y->time_us ? 1 : -1;
    if (x->calls != y->calls)
        return x->calls < y->calls ? 1 : -1;
    return x->at < y->at ? -1 : 1;
}

/* The caller frees it. */
static struct rank *
rank_all(const struct statement_stats *s, uint32_t *count_r)
{
    struct statement_numbers numbers;
    struct rank *ranks;

    statement_stats_numbers(s, &numbers);
    ranks = xcalloc(numbers.limit, sizeof(*ranks));
    *count_r = 0;
    for (uint32_t at = 0; at < numbers.limit; at++) {
        struct rank *r = &ranks[*count_r];
        if (!statement_stats_look(s, at, &r->time_us, &r->calls))
            continue;
        r->at = at;
        (*count_r)++;
    }
    qsort(ranks, *count_r, sizeof(*ranks), compare);
    return ranks;
}

/* ---- a row ---- */

enum { MS_BYTES = 32, FINGERPRINT_BYTES = 17 };

static const char *
print_ms(uint64_t us, char text_r[MS_BYTES])
{
    snprintf(text_r, MS_BYTES, "%" PRIu64 ".%03u", us / 1000, (unsigned)(us % 1000));
    return text_r;
}

/* "0 primary 12, 1 standby 30" */
static void
print_places(const struct statement_row *r, struct buf *out)
{
    for (uint32_t n = 0; n < r->place_count; n++) {
        const struct statement_place *p = &r->places[n];

        buf_add_str(out, n > 0 ? ", " : "");
        if (p->node_id == STATEMENT_NOWHERE)
            buf_printf(out, "cache %" PRIu32, p->calls);
        else
            buf_printf(out, "%d %s %" PRIu32, p->node_id, p->standby ? "standby" : "primary",
                       p->calls);
    }
    if (r->elsewhere > 0)
        buf_printf(out, ", others %" PRIu32, r->elsewhere);
}

/* "balanced 30, not_fresh 12", the most frequent one first. */
static void
print_reasons(const struct statement_row *r, struct buf *out)
{
    uint32_t left[STATEMENT_REASONS];

    for (size_t n = 0; n < STATEMENT_REASONS; n++)
        left[n] = r->reasons[n];
    for (;;) {
        size_t most = 0;

        for (size_t n = 1; n < ARRAY_LEN(reasons); n++)
            most = left[n] > left[most] ? n : most;
        if (left[most] == 0)
            return;
        buf_printf(out, "%s%s %" PRIu32, out->len > 0 ? ", " : "", reasons[most], left[most]);
        left[most] = 0;
    }
}

static void
show(const struct statement_row *r, inspect_row_fn *row, void *ctx)
{
    static const unsigned quantiles[] = {500, 990, 1000};
    uint64_t timed = histogram_count(&r->times);
    char times[ARRAY_LEN(quantiles)][MS_BYTES];
    char fingerprint[FINGERPRINT_BYTES];
    char numbers[3][VIEWS_NUMBER_BYTES];
    char since[VIEWS_TIME_BYTES];
    struct buf places = BUF_EMPTY;
    struct buf why = BUF_EMPTY;
    char total[MS_BYTES];
    char mean[MS_BYTES];

    snprintf(fingerprint, sizeof(fingerprint), "%016" PRIx64, r->fingerprint);
    for (size_t n = 0; n < ARRAY_LEN(quantiles); n++)
        print_ms(histogram_quantile(&r->times, quantiles[n]), times[n]);
    print_places(r, &places);
    print_reasons(r, &why);
    row(ctx,
        (const char *const[]){
            fingerprint, r->database, r->user, views_number((int64_t)r->sums.calls, numbers[0]),
            views_number((int64_t)r->sums.errors, numbers[1]),
            views_number((int64_t)r->sums.rows, numbers[2]), print_ms(r->sums.time_us, total),
            print_ms(timed > 0 ? r->sums.time_us / timed : 0, mean), times[0], times[1], times[2],
            buf_cstr(&places), buf_cstr(&why), views_time(r->since_us, since), r->text},
        15);
    buf_free(&places);
    buf_free(&why);
}

void
inspect_pool_statements(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    struct statement_row *r;
    struct rank *ranks;
    uint32_t count;

    if (in->statements == NULL)
        return;
    r = xcalloc(1, sizeof(*r));
    ranks = rank_all(in->statements, &count);
    for (uint32_t n = 0; n < count; n++) {
        if (statement_stats_row(in->statements, ranks[n].at, r))
            show(r, row, ctx);
    }
    free(ranks);
    free(r);
}

/* ---- metrics ---- */

void
metrics_statements(const struct inspect_input *in, struct metrics *m)
{
    struct statement_numbers n;

    if (in->statements == NULL)
        return;
    statement_stats_numbers(in->statements, &n);
    metrics_family(m, "statements_tracked", "gauge", "Statements that SHOW pool_statements has.");
    metrics_count(m, NULL, n.statements);
    metrics_family(m, "statements_limit", "gauge", "pool_statements_max.");
    metrics_count(m, NULL, n.limit);
    metrics_family(m, "statements_evicted_total", "counter",
                   "Statements that made room there for others.");
    metrics_count(m, NULL, n.evictions);
    metrics_family(m, "statements_uncounted_total", "counter",
                   "Calls that were not counted there, for want of room.");
    metrics_count(m, NULL, n.lost);
    metrics_family(m, "statements_reset_time_seconds", "gauge",
                   "When counting began, or was begun anew, since 1970.");
    metrics_time(m, NULL, n.reset_us);
}

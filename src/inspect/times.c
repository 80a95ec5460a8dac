/*
 * How long statements take and clients wait: SHOW pool_latency and the histograms of metrics.
 *
 * Sums over all children, also those that have ended. A histogram of a child is not touched when no
 * client ever came to it: reading would take memory.
 */
#include "base/arena.h"
#include "config/config.h"
#include "inspect/metrics_parts.h"
#include "inspect/views.h"
#include "ipc/shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { STATEMENTS, WAITS, KINDS };

static const char *const kind_words[KINDS] = {"statement", "wait"};

static void
sum_up(const struct inspect_input *in, uint32_t node_id, enum kind kind, struct histogram *sum_r)
{
    memset(sum_r, 0, sizeof(*sum_r));
    for (uint32_t n = 0; n < shared_layout(in->shared)->child_slots; n++) {
        const struct child_slot *child = shared_child(in->shared, n);
        const struct node_times *times = &child->times[node_id];

        if (child->accepted_total > 0)
            histogram_merge(sum_r, kind == STATEMENTS ? &times->statements : &times->waits);
    }
}

void
views_add_times(const struct inspect_input *in, uint32_t node_id, struct histogram *statements_io,
                struct histogram *waits_io)
{
    for (uint32_t n = 0; n < shared_layout(in->shared)->child_slots; n++) {
        const struct child_slot *child = shared_child(in->shared, n);

        if (child->accepted_total == 0)
            continue;
        histogram_merge(statements_io, &child->times[node_id].statements);
        histogram_merge(waits_io, &child->times[node_id].waits);
    }
}

/* ---- SHOW pool_latency ---- */

static const char *
print_ms(uint64_t value_us, char text_r[VIEWS_NUMBER_BYTES])
{
    snprintf(text_r, VIEWS_NUMBER_BYTES, "%llu.%03u", (unsigned long long)(value_us / 1000),
             (unsigned)(value_us % 1000));
    return text_r;
}

static void
show(uint32_t node_id, enum kind kind, const struct histogram *h, inspect_row_fn *row, void *ctx)
{
    static const unsigned quantiles[] = {500, 900, 990, 999, 1000};
    char texts[ARRAY_LEN(quantiles)][VIEWS_NUMBER_BYTES];
    uint64_t count = histogram_count(h);
    char number[VIEWS_NUMBER_BYTES];
    char counted[VIEWS_NUMBER_BYTES];
    char mean[VIEWS_NUMBER_BYTES];

    for (size_t n = 0; n < ARRAY_LEN(quantiles); n++)
        print_ms(histogram_quantile(h, quantiles[n]), texts[n]);
    row(ctx,
        (const char *const[]){kind_words[kind], views_number(node_id, number),
                              views_number((int64_t)count, counted),
                              print_ms(count > 0 ? h->sum_us / count : 0, mean), texts[0], texts[1],
                              texts[2], texts[3], texts[4]},
        9);
}

void
inspect_pool_latency(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    struct histogram *sum = xmalloc(sizeof(*sum));

    for (enum kind kind = STATEMENTS; kind < KINDS; kind++) {
        for (uint32_t node_id = 0; node_id < in->config->backend_count; node_id++) {
            if (!in->config->backends[node_id].configured)
                continue;
            sum_up(in, node_id, kind, sum);
            show(node_id, kind, sum, row, ctx);
        }
    }
    free(sum);
}

/* ---- metrics ---- */

struct bucket_walk {
    const struct histogram *h;
    uint32_t at;
    uint64_t seen;
};

static void
show_bucket(struct metrics *m, struct metrics_labels *labels, struct bucket_walk *w, uint64_t bound)
{
    char text[METRICS_NUMBER_BYTES];

    w->seen += histogram_advance(w->h, &w->at, bound);
    labels->list[1] = (struct metrics_label){"le", metrics_seconds((int64_t)bound, text)};
    metrics_part_count(m, "_bucket", labels, w->seen);
}

/* Two buckets in each power of two, from 64 us to more than a minute: what Prometheus computes from
 * them is as good as that, and there are not too many series. The count is that of the buckets, for
 * children go on counting. */
static void
show_buckets(struct metrics *m, struct metrics_labels *labels, const struct histogram *h)
{
    const uint64_t first_us = 64;
    const uint64_t last_us = first_us << 20;
    struct bucket_walk w = {.h = h};

    for (uint64_t bound = first_us; bound <= last_us; bound *= 2) {
        show_bucket(m, labels, &w, bound);
        show_bucket(m, labels, &w, bound / 2 * 3);
    }
    w.seen += histogram_advance(h, &w.at, UINT64_MAX);
    labels->list[1] = (struct metrics_label){"le", "+Inf"};
    metrics_part_count(m, "_bucket", labels, w.seen);
    labels->list[1] = (struct metrics_label){NULL, NULL};
    metrics_part_time(m, "_sum", labels, (int64_t)h->sum_us);
    metrics_part_count(m, "_count", labels, w.seen);
}

void
metrics_times(const struct inspect_input *in, struct metrics *m)
{
    struct histogram *sum = xmalloc(sizeof(*sum));

    for (enum kind kind = STATEMENTS; kind < KINDS; kind++) {
        if (kind == STATEMENTS)
            metrics_family(m, "statement_duration_seconds", "histogram",
                           "From sending a statement or batch to a node to the end of its answer.");
        else
            metrics_family(m, "connection_wait_seconds", "histogram",
                           "How long clients that had to wait have waited for a connection.");
        for (uint32_t node_id = 0; node_id < in->config->backend_count; node_id++) {
            char number[VIEWS_NUMBER_BYTES];
            struct metrics_labels labels = {{{"node_id", views_number(node_id, number)}}};

            if (!in->config->backends[node_id].configured)
                continue;
            sum_up(in, node_id, kind, sum);
            show_buckets(m, &labels, sum);
        }
    }
    free(sum);
}

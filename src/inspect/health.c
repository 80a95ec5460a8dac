/*
 * The view pool_health_check_stats: what the health processes have counted.
 *
 * Durations are in milliseconds, as Pgpool-II shows them. A node whose health process has not begun
 * yet, or that has none, shows zeroes and empty times.
 */
#include "cluster/health.h"

#include "cluster/view.h"
#include "config/config.h"
#include "inspect/views.h"
#include "ipc/shared.h"

#include <stdio.h>
#include <string.h>

enum { COUNTS = 5, TIMES = 4 };

/* Texts of one row. */
struct texts {
    char number[VIEWS_NUMBER_BYTES];
    char port[VIEWS_NUMBER_BYTES];
    char changed[VIEWS_TIME_BYTES];
    char counts[COUNTS][VIEWS_NUMBER_BYTES];
    char average_retries[VIEWS_NUMBER_BYTES];
    char max_retries[VIEWS_NUMBER_BYTES];
    char longest[VIEWS_NUMBER_BYTES];
    char shortest[VIEWS_NUMBER_BYTES];
    char average[VIEWS_NUMBER_BYTES];
    char times[TIMES][VIEWS_TIME_BYTES];
};

/* The health process may be writing: a copy is at least one and the same for the whole row. */
static struct health_stats
stats_of(struct shared *shared, uint32_t node_id)
{
    struct health_stats stats = {0};
    const struct health *health;

    if (node_id >= shared_layout(shared)->health_slots)
        return stats;
    health = shared_health(shared, (int)node_id);
    memcpy(&stats, &health->stats, sizeof(stats));
    return stats;
}

static void
print(const struct health_stats *stats, struct texts *t)
{
    const uint64_t counts[COUNTS] = {stats->total_count, stats->success_count, stats->fail_count,
                                     stats->skip_count, stats->retry_count};
    const int64_t times[TIMES] = {stats->last_health_check_us, stats->last_successful_us,
                                  stats->last_skip_us, stats->last_failed_us};

    for (int n = 0; n < COUNTS; n++)
        views_number((int64_t)counts[n], t->counts[n]);
    for (int n = 0; n < TIMES; n++)
        views_time(times[n], t->times[n]);
    snprintf(t->average_retries, VIEWS_NUMBER_BYTES, "%f", health_average_retries(stats));
    views_number((int64_t)stats->max_retry_count, t->max_retries);
    views_number(stats->max_duration_us / 1000, t->longest);
    views_number(stats->min_duration_us / 1000, t->shortest);
    snprintf(t->average, VIEWS_NUMBER_BYTES, "%f",
             (double)health_average_duration_us(stats) / 1000);
}

void
inspect_pool_health_check_stats(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    for (uint32_t node_id = 0; node_id < in->config->backend_count; node_id++) {
        const struct config_backend *backend = &in->config->backends[node_id];
        struct health_stats stats = stats_of(in->shared, node_id);
        struct texts t;

        if (!backend->configured)
            continue;
        print(&stats, &t);
        row(ctx,
            (const char *const[]){
                views_number(node_id, t.number),
                backend->hostname,
                views_number(backend->port, t.port),
                views_status(in, node_id),
                views_role(in, node_id),
                views_time(views_changed_at_us(in, node_id), t.changed),
                t.counts[0],
                t.counts[1],
                t.counts[2],
                t.counts[3],
                t.counts[4],
                t.average_retries,
                t.max_retries,
                t.longest,
                t.shortest,
                t.average,
                t.times[0],
                t.times[1],
                t.times[2],
                t.times[3],
            },
            20);
    }
}

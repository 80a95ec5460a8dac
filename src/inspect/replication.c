/*
 * The view pool_replication: how far each node is, and as of when it is fresh.
 *
 * The same numbers that reads are placed by. A node that does not answer has none; what it said
 * last, and why it is silent, is shown all the same.
 */
#include "cluster/view.h"
#include "config/config.h"
#include "inspect/views.h"
#include "os/clock.h"

#include <inttypes.h>
#include <stdio.h>

/* Texts of one row. */
struct texts {
    char number[VIEWS_NUMBER_BYTES];
    char port[VIEWS_NUMBER_BYTES];
    char lsn[VIEWS_NUMBER_BYTES];
    char timeline[VIEWS_NUMBER_BYTES];
    char delay_bytes[VIEWS_NUMBER_BYTES];
    char delay_ms[VIEWS_NUMBER_BYTES];
    char fresh[VIEWS_TIME_BYTES];
    char age_ms[VIEWS_NUMBER_BYTES];
};

/* The primary is fresh as of now, by definition. */
static void
print_freshness(const struct node_freshness *node, bool primary, struct texts *t)
{
    int64_t age_ns = primary ? 0 : clock_monotonic_ns() - node->fresh_as_of_ns;

    if (!node->reachable || (!primary && node->fresh_as_of_ns <= 0)) {
        t->fresh[0] = t->age_ms[0] = '\0';
        return;
    }
    age_ns = MAX(age_ns, 0);
    views_time_us(clock_wall_us() - age_ns / 1000, t->fresh);
    views_number(age_ns / NS_PER_MS, t->age_ms);
}

/* Bytes and time behind the primary, as far as both are known. */
static void
print_delay(const struct node_freshness *node, bool known, struct texts *t)
{
    t->delay_bytes[0] = t->delay_ms[0] = '\0';
    if (!known || !node->reachable)
        return;
    snprintf(t->delay_bytes, sizeof(t->delay_bytes), "%" PRIu64, node->delay_bytes);
    snprintf(t->delay_ms, sizeof(t->delay_ms), "%" PRId64 ".%03d", node->delay_us / 1000,
             (int)(node->delay_us % 1000));
}

static void
print_position(const struct node_freshness *node, struct texts *t)
{
    t->lsn[0] = t->timeline[0] = '\0';
    if (node->replay_lsn != 0)
        snprintf(t->lsn, sizeof(t->lsn), "%" PRIX32 "/%" PRIX32, (uint32_t)(node->replay_lsn >> 32),
                 (uint32_t)node->replay_lsn);
    if (node->timeline != 0)
        views_number(node->timeline, t->timeline);
}

void
inspect_pool_replication(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    static const struct node_freshness nothing;

    for (uint32_t node_id = 0; node_id < in->config->backend_count; node_id++) {
        const struct config_backend *backend = &in->config->backends[node_id];
        const struct node_freshness *node =
            node_id < in->freshness->node_count ? &in->freshness->nodes[node_id] : &nothing;
        bool primary = (int)node_id == in->view->primary_id;
        struct texts t;

        if (!backend->configured)
            continue;
        print_position(node, &t);
        print_delay(node, in->view->primary_id >= 0, &t);
        print_freshness(node, primary, &t);
        row(ctx,
            (const char *const[]){
                views_number(node_id, t.number),
                backend->hostname,
                views_number(backend->port, t.port),
                views_role(in, node_id),
                t.lsn,
                t.timeline,
                t.delay_bytes,
                t.delay_ms,
                t.fresh,
                t.age_ms,
                node->replication_state,
                node->replication_sync_state,
                node->last_error,
            },
            13);
    }
}

/*
 * What the failover process knows and has done: pool_node_states and pool_events.
 */
#include "base/arena.h"
#include "base/num.h"
#include "cluster/nodes.h"
#include "config/config.h"
#include "inspect/views.h"
#include "ipc/shared.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void
show_state(const struct inspect_input *in, uint32_t node_id, inspect_row_fn *row, void *ctx)
{
    const struct plan_node *node = &in->nodes->plan.nodes[node_id];
    const struct node_state_info *info = node_state_info((enum node_state)node->state);
    const struct config_backend *backend = &in->config->backends[node_id];
    bool asked = node->asked_ns != 0;
    char texts[3][VIEWS_NUMBER_BYTES];
    char received[VIEWS_NUMBER_BYTES];
    char since[VIEWS_TIME_BYTES];

    snprintf(received, sizeof(received), "%X/%X", (uint32_t)(node->answer.received_lsn >> 32),
             (uint32_t)node->answer.received_lsn);
    row(ctx,
        (const char *const[]){
            views_number(node_id, texts[0]),
            backend->hostname,
            views_number(backend->port, texts[1]),
            info->name,
            views_time_us(node->since_us, since),
            health_verdict_name((enum health_verdict)node->verdict),
            !asked                     ? NULL
            : node->answer.in_recovery ? "standby"
                                       : "primary",
            asked ? views_number(node->answer.timeline, texts[2]) : NULL,
            asked ? received : NULL,
            node->reason,
            info->advice,
        },
        11);
}

void
inspect_pool_node_states(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    if (in->nodes == NULL || !in->nodes->judging)
        return;
    for (uint32_t node_id = 0; node_id < MIN(in->config->backend_count, in->nodes->plan.node_count);
         node_id++) {
        if (in->config->backends[node_id].configured)
            show_state(in, node_id, row, ctx);
    }
}

/* The oldest first. */
void
inspect_pool_events(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    struct cluster_events *events = xcalloc(1, sizeof(*events));
    uint64_t first;

    area_read(shared_events(in->shared), events);
    first = events->total > CLUSTER_EVENTS_MAX ? events->total - CLUSTER_EVENTS_MAX : 0;
    for (uint64_t n = first; n < events->total; n++) {
        const struct cluster_event *event = &events->list[n % CLUSTER_EVENTS_MAX];
        char number[VIEWS_NUMBER_BYTES];
        char node[VIEWS_NUMBER_BYTES];
        char at[VIEWS_TIME_BYTES];

        row(ctx,
            (const char *const[]){
                views_number((int64_t)n + 1, number),
                views_time_us(event->at_us, at),
                event->node_id >= 0 ? views_number(event->node_id, node) : NULL,
                node_event_name((enum node_event)event->event),
                event->text,
            },
            5);
    }
    free(events);
}

/*
 * Views with one row per node: pool_nodes and pool_backend_stats.
 *
 * What is shown is what routing sees: the same view and the same freshness.
 */
#include "cluster/nodes.h"
#include "cluster/view.h"
#include "config/config.h"
#include "inspect/views.h"
#include "ipc/shared.h"

#include <stdio.h>
#include <string.h>

static const struct node_freshness *
freshness_of(const struct inspect_input *in, uint32_t node_id)
{
    static const struct node_freshness nothing;

    return node_id < in->freshness->node_count ? &in->freshness->nodes[node_id] : &nothing;
}

/* What the failover process has made of it; NULL: it does not judge. */
static const struct plan_node *
judged(const struct inspect_input *in, uint32_t node_id)
{
    return in->nodes != NULL && in->nodes->judging && node_id < in->nodes->plan.node_count
               ? &in->nodes->plan.nodes[node_id]
               : NULL;
}

/* Ours: what routing makes of the node. A server that answers but is not used (of unknown role,
 * of another system, a primary beside the one that counts) is in quarantine. */
const char *
views_status(const struct inspect_input *in, uint32_t node_id)
{
    const struct node_freshness *node = freshness_of(in, node_id);

    if (judged(in, node_id) != NULL)
        return node_state_info((enum node_state)judged(in, node_id)->state)->word;
    if (!node->asked)
        return "waiting";
    if (!node->reachable)
        return "down";
    if (in->view->nodes[node_id].usable ||
        in->config->backend_clustering_mode != CONFIG_MODE_STREAMING_REPLICATION)
        return "up";
    return "quarantine";
}

int64_t
views_changed_at_us(const struct inspect_input *in, uint32_t node_id)
{
    return freshness_of(in, node_id)->changed_at_us;
}

static const char *
pg_status_of(const struct node_freshness *node)
{
    if (!node->asked)
        return "unknown";
    return node->reachable ? "up" : "down";
}

const char *
views_role(const struct inspect_input *in, uint32_t node_id)
{
    bool first = (int)node_id == in->view->primary_id;

    if (in->config->backend_clustering_mode == CONFIG_MODE_STREAMING_REPLICATION)
        return first ? "primary" : "standby";
    return first ? "main" : "replica";
}

static double
sum_of_weights(const struct config *config)
{
    double sum = 0;

    for (uint32_t node_id = 0; node_id < config->backend_count; node_id++)
        if (config->backends[node_id].configured)
            sum += config->backends[node_id].weight;
    return sum;
}

struct node_counters
views_count_node(struct shared *shared, uint32_t node_id)
{
    struct node_counters sum = {0};

    for (uint32_t n = 0; n < shared_layout(shared)->child_slots; n++) {
        const struct node_counters *c = &shared_child(shared, n)->nodes[node_id];

#define NODE_COUNTER(id, family, label) sum.id##_cnt += c->id##_cnt;
#include "tables/counters.def"
#undef NODE_COUNTER
    }
    return sum;
}

static void
print_delay(const struct inspect_input *in, uint32_t node_id, char text_r[VIEWS_NUMBER_BYTES])
{
    const struct node_freshness *node = freshness_of(in, node_id);
    /* in other modes Pgpool-II shows 0; pool_replication has what is known */
    bool first = (int)node_id == in->view->primary_id ||
                 in->config->backend_clustering_mode != CONFIG_MODE_STREAMING_REPLICATION;

    if (in->config->delay_threshold_by_time_ms > 0)
        snprintf(text_r, VIEWS_NUMBER_BYTES, "%.6f second",
                 first ? 0.0 : (double)node->delay_us / 1e6);
    else
        snprintf(text_r, VIEWS_NUMBER_BYTES, "%llu",
                 first ? 0ULL : (unsigned long long)node->delay_bytes);
}

void
inspect_pool_nodes(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    double sum = sum_of_weights(in->config);

    for (uint32_t node_id = 0; node_id < in->config->backend_count; node_id++) {
        const struct config_backend *backend = &in->config->backends[node_id];
        const struct node_freshness *node = freshness_of(in, node_id);
        struct node_counters counters = views_count_node(in->shared, node_id);
        char number[VIEWS_NUMBER_BYTES];
        char port[VIEWS_NUMBER_BYTES];
        char weight[VIEWS_NUMBER_BYTES];
        char selects[VIEWS_NUMBER_BYTES];
        char delay[VIEWS_NUMBER_BYTES];
        char changed[VIEWS_TIME_BYTES];

        if (!backend->configured)
            continue;
        snprintf(weight, sizeof(weight), "%f", sum > 0 ? backend->weight / sum : 0.0);
        print_delay(in, node_id, delay);
        row(ctx,
            (const char *const[]){
                views_number(node_id, number),
                backend->hostname,
                views_number(backend->port, port),
                views_status(in, node_id),
                pg_status_of(node),
                weight,
                views_role(in, node_id),
                cluster_role_name(node->role),
                views_number((int64_t)counters.select_cnt, selects),
                (int)node_id == in->load_balance_node ? "true" : "false",
                delay,
                node->replication_state,
                node->replication_sync_state,
                views_time(judged(in, node_id) != NULL ? judged(in, node_id)->since_us
                                                       : node->changed_at_us,
                           changed),
            },
            14);
    }
}

void
inspect_pool_backend_stats(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    for (uint32_t node_id = 0; node_id < in->config->backend_count; node_id++) {
        const struct config_backend *backend = &in->config->backends[node_id];
        struct node_counters c = views_count_node(in->shared, node_id);
        const uint64_t counts[] = {
#define NODE_COUNTER(id, family, label) c.id##_cnt,
#include "tables/counters.def"
#undef NODE_COUNTER
        };
        char texts[ARRAY_LEN(counts)][VIEWS_NUMBER_BYTES];
        char number[VIEWS_NUMBER_BYTES];
        char port[VIEWS_NUMBER_BYTES];
        const char *values[5 + ARRAY_LEN(counts)];

        if (!backend->configured)
            continue;
        values[0] = views_number(node_id, number);
        values[1] = backend->hostname;
        values[2] = views_number(backend->port, port);
        values[3] = views_status(in, node_id);
        values[4] = views_role(in, node_id);
        for (uint32_t at = 0; at < ARRAY_LEN(counts); at++)
            values[5 + at] = views_number((int64_t)counts[at], texts[at]);
        row(ctx, values, ARRAY_LEN(values));
    }
}

/*
 * The members of the cluster out of the option table. Called by every process that builds a view,
 * once per configuration.
 */
#include "cluster/view.h"
#include "config/config.h"

#include <string.h>

_Static_assert((int)CONFIG_NODES_MAX == (int)CLUSTER_NODES_MAX, "one limit for node numbers");

static enum cluster_mode
mode_of(enum config_clustering_mode mode)
{
    switch (mode) {
    case CONFIG_MODE_LOGICAL_REPLICATION:
        return CLUSTER_MODE_LOGICAL;
    case CONFIG_MODE_NATIVE_REPLICATION:
    case CONFIG_MODE_SNAPSHOT_ISOLATION:
        return CLUSTER_MODE_NATIVE;
    case CONFIG_MODE_RAW:
        return CLUSTER_MODE_RAW;
    default:
        return CLUSTER_MODE_STREAMING;
    }
}

void
cluster_members_from_config(struct cluster_members *members, const struct config *config)
{
    memset(members, 0, sizeof(*members));
    members->mode = mode_of(config->backend_clustering_mode);
    members->needs_judge = members->mode == CLUSTER_MODE_RAW && config->health_check_period_ms > 0;
    members->node_count = config->backend_count;
    members->config_generation = config->generation;
    for (uint32_t node_id = 0; node_id < config->backend_count; node_id++) {
        const struct config_backend *backend = &config->backends[node_id];

        members->nodes[node_id] = (struct cluster_member){
            .configured = backend->configured,
            .always_primary = (backend->flag & CONFIG_BACKEND_ALWAYS_PRIMARY) != 0,
            .weight = backend->weight,
        };
    }
}

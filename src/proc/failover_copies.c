/*
 * Native replication: which nodes have all that the others have.
 *
 * There is no plan in this mode: every node is a copy until it is detached, which only ever happens
 * here: to one that a health process calls dead, and to one that has missed a commit. The main node
 * is the copy with the lowest number. What is detached is written to the status file first and then
 * published, so that nobody uses it again after a crash; who answers again stays detached until it
 * has been made equal to the others.
 *
 * Invariants: the last copy is never detached; what could not be written is not published.
 */
#include "failover.h"

#include "base/log.h"
#include "base/str.h"
#include "cluster/health.h"
#include "config/config.h"
#include "os/clock.h"

#include <string.h>

static bool
is_copy(const struct failover *f, uint32_t node_id)
{
    const struct config *cfg = f->proc->config;

    return node_id < cfg->backend_count && cfg->backends[node_id].configured &&
           f->now.plan.nodes[node_id].state != NODE_MAINTENANCE;
}

static uint32_t
count_copies(const struct failover *f)
{
    uint32_t count = 0;

    for (uint32_t n = 0; n < f->proc->config->backend_count; n++)
        count += is_copy(f, n);
    return count;
}

/* The file is about all that there are, also about those that the plan has not met. */
void
failover_copies_resume(struct failover *f)
{
    struct plan *plan = &f->now.plan;
    uint32_t count = MIN(f->proc->config->backend_count, (uint32_t)CLUSTER_NODES_MAX);

    plan->node_count = MAX(plan->node_count, count);
    for (uint32_t n = 0; n < count; n++) {
        if (plan->nodes[n].state == NODE_MAINTENANCE)
            log_warning("node %u is detached: it is not used until it has been made equal to the "
                        "others: %s",
                        n, plan->nodes[n].reason);
        else
            plan->nodes[n].state = NODE_UP;
    }
}

void
failover_copies_detach(struct failover *f, int node_id, const char *why, bool missed)
{
    const struct config *cfg = f->proc->config;
    struct plan_node before;
    struct plan_node *node;
    struct err err;

    if (node_id < 0 || !is_copy(f, (uint32_t)node_id))
        return;
    if (count_copies(f) == 1)
        return;
    if (!missed && cfg->backends[node_id].flag & CONFIG_BACKEND_DISALLOW_TO_FAILOVER)
        return;
    node = &f->now.plan.nodes[node_id];
    before = *node;
    node->state = NODE_MAINTENANCE;
    node->since_us = clock_wall_us();
    str_copy(node->reason, sizeof(node->reason), why);
    if (failover_save(f, &err) != 0) {
        log_error("node %d cannot be detached, as the status file could not be written: %s",
                  node_id, err.message);
        *node = before;
        return;
    }
    log_warning("node %d \"%s:%d\" is detached: %s", node_id, cfg->backends[node_id].hostname,
                (int)cfg->backends[node_id].port, why);
    failover_publish(f);
    wake_send_all(f->proc->wakes, f->proc->slot);
}

void
failover_copies_fact(struct failover *f, int node_id, const struct health_fact *fact)
{
    if (fact->verdict == HEALTH_DEAD)
        failover_copies_detach(f, node_id, fact->reason, false);
}

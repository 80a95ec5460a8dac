/*
 * The cluster as one process sees it: from what was measured to what may be used.
 *
 * Pure. Every child builds its own view from the freshness area when the area's epoch changed,
 * and routes by it; the lag process and SHOW build one to tell the same truth.
 *
 * Invariants: at most one node of a view is the primary; a node that is not usable is never
 * picked; when in doubt who is the primary, nobody is.
 */
#include "cluster/view.h"

#include "cluster/nodes.h"

#include <stdio.h>
#include <string.h>

static bool
answers(const struct cluster_freshness *freshness, const struct cluster_members *members,
        uint32_t node_id)
{
    const struct node_freshness *node = &freshness->nodes[node_id];

    return members->nodes[node_id].configured && node_id < freshness->node_count &&
           node->configured && node->asked && node->reachable;
}

static bool
same_system(const struct node_freshness *a, const struct node_freshness *b)
{
    return a->system_identifier != 0 && a->system_identifier == b->system_identifier;
}

/* A node whose claim to be the primary must be believed or refused. */
static bool
claims(const struct cluster_view *view, uint32_t node_id)
{
    return view->nodes[node_id].usable && view->nodes[node_id].role == NODE_ROLE_PRIMARY;
}

/* Strictly ahead of every other claimant, and behind nobody of its own system. */
static bool
leads(const struct cluster_view *view, const struct cluster_freshness *freshness, uint32_t node_id)
{
    const struct node_freshness *me = &freshness->nodes[node_id];

    for (uint32_t other_id = 0; other_id < freshness->node_count; other_id++) {
        const struct node_freshness *other = &freshness->nodes[other_id];

        if (other_id == node_id || !other->configured)
            continue;
        if (same_system(me, other) && other->timeline > me->timeline)
            return false;
        if (other_id < view->node_count && claims(view, other_id) &&
            (!same_system(me, other) || other->timeline >= me->timeline))
            return false;
    }
    return true;
}

static int
find_streaming_primary(const struct cluster_view *view, const struct cluster_freshness *freshness,
                       const struct cluster_members *members)
{
    for (uint32_t node_id = 0; node_id < view->node_count; node_id++)
        if (members->nodes[node_id].always_primary && answers(freshness, members, node_id))
            return (int)node_id;
    for (uint32_t node_id = 0; node_id < view->node_count; node_id++)
        if (claims(view, node_id) && leads(view, freshness, node_id))
            return (int)node_id;
    return -1;
}

static void
judge_streaming(struct cluster_view *view, const struct cluster_freshness *freshness,
                const struct cluster_members *members)
{
    const struct node_freshness *primary;

    for (uint32_t node_id = 0; node_id < view->node_count; node_id++) {
        struct cluster_node *node = &view->nodes[node_id];

        node->role = freshness->nodes[node_id].role;
        node->usable = answers(freshness, members, node_id) && node->role != NODE_ROLE_UNKNOWN;
    }
    view->primary_id = find_streaming_primary(view, freshness, members);
    primary = view->primary_id < 0 ? NULL : &freshness->nodes[view->primary_id];

    for (uint32_t node_id = 0; node_id < view->node_count; node_id++) {
        struct cluster_node *node = &view->nodes[node_id];
        const struct node_freshness *measured = &freshness->nodes[node_id];

        if ((int)node_id == view->primary_id) {
            node->role = NODE_ROLE_PRIMARY;
            node->usable = true;
        } else if (node->role == NODE_ROLE_PRIMARY) {
            node->usable = false;
        } else if (primary != NULL && primary->system_identifier != 0 &&
                   measured->system_identifier != 0 && !same_system(primary, measured)) {
            node->usable = false;
        }
    }
}

int
cluster_configured_main(const struct cluster_members *members)
{
    int lowest = -1;

    for (int node_id = (int)MIN(members->node_count, CLUSTER_NODES_MAX) - 1; node_id >= 0;
         node_id--) {
        if (!members->nodes[node_id].configured)
            continue;
        if (members->nodes[node_id].always_primary)
            return node_id;
        lowest = node_id;
    }
    return lowest;
}

/* In logical replication every server must be one that can be written to. */
static bool
serves(const struct cluster_freshness *freshness, const struct cluster_members *members,
       uint32_t node_id)
{
    return answers(freshness, members, node_id) &&
           (members->mode != CLUSTER_MODE_LOGICAL ||
            freshness->nodes[node_id].role == NODE_ROLE_PRIMARY);
}

static int
first_that_serves(const struct cluster_freshness *freshness, const struct cluster_members *members)
{
    int wanted_id = members->mode == CLUSTER_MODE_LOGICAL ? cluster_configured_main(members) : -1;

    if (members->needs_judge)
        return -1;
    for (uint32_t node_id = 0; node_id < MIN(members->node_count, CLUSTER_NODES_MAX); node_id++) {
        if ((wanted_id < 0 || (int)node_id == wanted_id) && serves(freshness, members, node_id))
            return (int)node_id;
    }
    return -1;
}

/* Modes in which every server is a writable one: position decides, and the failover process where
 * it judges. */
static void
judge_by_position(struct cluster_view *view, const struct cluster_freshness *freshness,
                  const struct cluster_members *members, const struct plan *plan)
{
    view->primary_id = plan == NULL ? first_that_serves(freshness, members)
                       : plan_may_write(plan, plan->primary_id) ? plan->primary_id
                                                                : -1;
    if (view->primary_id >= 0 && !members->nodes[view->primary_id].configured)
        view->primary_id = -1;
    for (uint32_t node_id = 0; node_id < view->node_count; node_id++) {
        struct cluster_node *node = &view->nodes[node_id];
        bool first = (int)node_id == view->primary_id;

        node->role = first ? NODE_ROLE_PRIMARY : NODE_ROLE_STANDBY;
        node->usable = first || (members->mode == CLUSTER_MODE_LOGICAL &&
                                 (int)node_id != cluster_configured_main(members) &&
                                 serves(freshness, members, node_id) &&
                                 (plan == NULL || plan_may_read(plan, (int)node_id)));
    }
}

static void
judge_native(struct cluster_view *view, const struct cluster_freshness *freshness,
             const struct cluster_members *members, const struct cluster_nodes *nodes)
{
    uint32_t known = nodes != NULL ? nodes->plan.node_count : 0;
    int main_id = -1;

    for (uint32_t node_id = 0; node_id < view->node_count; node_id++) {
        struct cluster_node *node = &view->nodes[node_id];
        uint8_t state = node_id < known ? nodes->plan.nodes[node_id].state : NODE_UNUSED;

        node->copy =
            members->nodes[node_id].configured && state != NODE_UNUSED && state != NODE_MAINTENANCE;
        if (node->copy && (main_id < 0 || (int32_t)node_id == nodes->main_id))
            main_id = (int)node_id;
        node->usable = node->copy && answers(freshness, members, node_id);
        node->fresh_as_of_ns = INT64_MAX;
        node->delay_bytes = 0;
        node->delay_us = 0;
    }
    for (uint32_t node_id = 0; node_id < view->node_count; node_id++)
        view->nodes[node_id].role = (int)node_id == main_id ? NODE_ROLE_PRIMARY : NODE_ROLE_STANDBY;
    view->primary_id = main_id >= 0 && view->nodes[main_id].usable ? main_id : -1;
}

/* The word of the failover process. Whether the primary answers is for it to judge alone: what is
 * slow for others would otherwise leave the cluster without a primary that nobody replaces. */
static void
take_judgement(struct cluster_view *view, const struct cluster_freshness *freshness,
               const struct cluster_members *members, const struct cluster_nodes *nodes)
{
    const struct plan *plan = &nodes->plan;

    view->primary_id = -1;
    for (uint32_t node_id = 0; node_id < view->node_count; node_id++) {
        struct cluster_node *node = &view->nodes[node_id];
        bool known = members->nodes[node_id].configured && node_id < plan->node_count;

        node->role = freshness->nodes[node_id].role;
        if (known && (int)node_id == plan->primary_id && plan_may_write(plan, (int)node_id)) {
            view->primary_id = (int)node_id;
            node->role = NODE_ROLE_PRIMARY;
            node->usable = true;
        } else {
            node->usable =
                known && (int)node_id != plan->primary_id && node->role == NODE_ROLE_STANDBY &&
                answers(freshness, members, node_id) && plan_may_read(plan, (int)node_id);
        }
    }
}

static void
judge(struct cluster_view *view, const struct cluster_freshness *freshness,
      const struct cluster_members *members, const struct cluster_nodes *nodes)
{
    bool judged = nodes != NULL && nodes->judging;

    if (members->mode == CLUSTER_MODE_NATIVE)
        judge_native(view, freshness, members, nodes);
    else if (members->mode != CLUSTER_MODE_STREAMING)
        judge_by_position(view, freshness, members, judged ? &nodes->plan : NULL);
    else if (judged)
        take_judgement(view, freshness, members, nodes);
    else
        judge_streaming(view, freshness, members);
}

void
cluster_view_build(struct cluster_view *view, const struct cluster_freshness *freshness,
                   const struct cluster_members *members, const struct cluster_nodes *nodes)
{
    memset(view, 0, sizeof(*view));
    view->primary_id = -1;
    view->node_count = MIN(members->node_count, CLUSTER_NODES_MAX);
    for (uint32_t node_id = 0; node_id < view->node_count; node_id++) {
        const struct node_freshness *measured = &freshness->nodes[node_id];
        struct cluster_node *node = &view->nodes[node_id];

        if (!members->nodes[node_id].configured)
            continue;
        node->weight = members->nodes[node_id].weight;
        node->drained = members->nodes[node_id].drained;
        if (node_id >= freshness->node_count)
            continue;
        node->read_committed = measured->read_committed != 0;
        node->serializable = measured->serializable != 0;
        node->system_identifier = measured->system_identifier;
        node->fresh_as_of_ns = measured->fresh_as_of_ns;
        node->heard_ns = measured->heard_ns;
        node->delay_bytes = measured->delay_bytes;
        node->delay_us = measured->delay_us;
    }
    judge(view, freshness, members, nodes);
    for (uint32_t node_id = 0; node_id < view->node_count; node_id++) {
        uint8_t version = (uint8_t)(freshness->nodes[node_id].server_version / 10000);

        if (!view->nodes[node_id].usable)
            continue;
        view->has_readers |= (int)node_id != view->primary_id && !view->nodes[node_id].drained;
        if (view->server_version == 0 || version < view->server_version)
            view->server_version = version;
    }
    if (view->primary_id >= 0) {
        struct cluster_node *primary = &view->nodes[view->primary_id];

        primary->fresh_as_of_ns = INT64_MAX;
        primary->delay_bytes = 0;
        primary->delay_us = 0;
    }
}

const char *
cluster_view_no_primary(const struct cluster_view *view, const struct cluster_freshness *freshness,
                        char *text_r, size_t text_bytes)
{
    int claimant = -1;
    uint32_t claimants = 0;
    uint32_t asked = 0;
    uint32_t up = 0;

    text_r[0] = '\0';
    if (view->primary_id >= 0)
        return text_r;
    for (uint32_t node_id = 0; node_id < freshness->node_count; node_id++) {
        const struct node_freshness *node = &freshness->nodes[node_id];

        if (!node->configured || !node->asked)
            continue;
        asked++;
        if (!node->reachable)
            continue;
        up++;
        if (node->role == NODE_ROLE_PRIMARY) {
            claimant = (int)node_id;
            claimants++;
        }
    }
    if (asked == 0)
        snprintf(text_r, text_bytes, "no node has been asked yet");
    else if (up == 0)
        snprintf(text_r, text_bytes, "no node answers");
    else if (claimants > 1)
        snprintf(text_r, text_bytes,
                 "%u nodes say that they are the primary and timelines do not decide", claimants);
    else if (claimants == 1)
        snprintf(text_r, text_bytes,
                 "node %d says that it is the primary, but a later timeline than its %u was seen",
                 claimant, freshness->nodes[claimant].timeline);
    else
        snprintf(text_r, text_bytes, "no node that answers is a primary");
    return text_r;
}

bool
cluster_may_read(const struct cluster_view *view, int node_id, const struct cluster_pick *pick)
{
    const struct cluster_node *node;

    if (node_id < 0 || (uint32_t)node_id >= view->node_count)
        return false;
    node = &view->nodes[node_id];
    if (!node->usable || node->drained || cluster_set_has(&pick->exclude, node_id))
        return false;
    if (node_id == view->primary_id)
        return !pick->standbys_only;
    if (node->fresh_as_of_ns < pick->not_before_ns)
        return false;
    if (pick->max_delay_bytes != 0 && node->delay_bytes > pick->max_delay_bytes)
        return false;
    return pick->max_delay_us == 0 || node->delay_us <= pick->max_delay_us;
}

bool
cluster_has_heard(const struct cluster_view *view, int64_t since_ns)
{
    for (uint32_t node_id = 0; node_id < view->node_count; node_id++) {
        if (view->nodes[node_id].usable && view->nodes[node_id].heard_ns < since_ns)
            return false;
    }
    return true;
}

/* Each pick hands out one point among the nodes that qualify, by weight, and the node with the most
 * points pays one. Points and not weights, so that the spread stays even while nodes come and go.
 * Sums of fractions are not exact: what differs by less than a trifle is a tie, which the lower
 * number wins. */
int
cluster_pick_reader(const struct cluster_view *view, struct cluster_cursor *cursor,
                    const struct cluster_pick *pick)
{
    const double trifle = 1e-9;
    struct cluster_set qualified = {{0}};
    double total = 0;
    int best = -1;

    for (uint32_t node_id = 0; node_id < view->node_count; node_id++) {
        double weight = view->nodes[node_id].weight;

        if (weight <= 0 || !cluster_may_read(view, (int)node_id, pick))
            continue;
        cluster_set_add(&qualified, (int)node_id);
        total += weight;
    }
    for (uint32_t node_id = 0; node_id < view->node_count; node_id++) {
        if (!cluster_set_has(&qualified, (int)node_id))
            continue;
        cursor->current[node_id] += view->nodes[node_id].weight / total;
        if (best < 0 || cursor->current[node_id] > cursor->current[best] + trifle)
            best = (int)node_id;
    }
    if (best >= 0)
        cursor->current[best] -= 1;
    return best;
}

const char *
cluster_role_name(enum node_role role)
{
    switch (role) {
    case NODE_ROLE_PRIMARY:
        return "primary";
    case NODE_ROLE_STANDBY:
        return "standby";
    case NODE_ROLE_UNKNOWN:
        break;
    }
    return "unknown";
}

/*
 * Watching the primary, and searching it where none is committed.
 *
 * Invariant: a primary that has been committed is replaced by an operation only.
 */
#include "cluster/plan_internal.h"

/* Why the committed primary is one no longer; NULL: it is one, as far as we know. */
static const char *
why_lost(const struct plan *plan)
{
    const struct plan_node *primary = &plan->nodes[plan->primary_id];

    if (primary->verdict == HEALTH_DEAD)
        return "it does not answer";
    if (primary->state == NODE_ROGUE)
        return "it has another history than before";
    if (plan_is_known(plan, plan->primary_id) && primary->answer.in_recovery)
        return "it has become a standby";
    return NULL;
}

static void
watch(struct plan_turn *turn)
{
    struct plan *plan = turn->plan;
    const struct plan_node_config *config = &turn->config->nodes[plan->primary_id];
    struct plan_order order = {.kind = PLAN_FAILOVER, .wanted_id = -1};
    const char *why = config->always_primary && plan->nodes[plan->primary_id].verdict != HEALTH_DEAD
                          ? NULL
                          : why_lost(plan);
    bool doubt;

    if (why == NULL)
        return;
    if (!config->always_primary && (config->allow_failover || plan_adoptable(plan, &doubt) >= 0)) {
        plan_begin(turn, &order, why);
        return;
    }
    if (plan->nodes[plan->primary_id].state == NODE_DOWN ||
        plan->nodes[plan->primary_id].state == NODE_ROGUE)
        return;
    plan_set_state(turn, plan->primary_id, NODE_DOWN, "%s", why);
    plan_tell(turn, NODE_EVENT_FAILOVER_REFUSED, plan->primary_id,
              "node %d is the primary and %s, but its backend_flag allows no failover",
              plan->primary_id, why);
}

/* ---- searching ------------------------------------------------------------------------------- */

static bool
claims(const struct plan *plan, int node_id)
{
    const struct plan_node *node = &plan->nodes[node_id];

    return node->state != NODE_UNUSED && node->state != NODE_MAINTENANCE &&
           node->state != NODE_ROGUE && node->state != NODE_FENCED && !node->given_up &&
           plan_is_known(plan, node_id) && !node->answer.in_recovery &&
           node->answer.timeline >= plan->timeline;
}

/* Is it strictly ahead of all others that claim, and behind nobody of its system? */
static bool
leads(const struct plan *plan, int node_id)
{
    const struct health_answer *me = &plan->nodes[node_id].answer;

    for (int other_id = 0; other_id < (int)plan->node_count; other_id++) {
        const struct plan_node *other = &plan->nodes[other_id];
        bool same = other->answer.system_identifier == me->system_identifier;

        if (other_id == node_id || other->state == NODE_UNUSED)
            continue;
        if (same && other->answer.timeline > me->timeline)
            return false;
        if (claims(plan, other_id) && (!same || other->answer.timeline >= me->timeline))
            return false;
    }
    return true;
}

static bool
all_heard(const struct plan *plan)
{
    for (uint32_t node_id = 0; node_id < plan->node_count; node_id++) {
        const struct plan_node *node = &plan->nodes[node_id];

        if (node->state != NODE_UNUSED && node->state != NODE_MAINTENANCE &&
            (node->verdict == HEALTH_UNKNOWN || node->verdict == HEALTH_SUSPECT))
            return false;
    }
    return true;
}

static void
found(struct plan_turn *turn, int node_id)
{
    turn->plan->epoch++;
    plan_commit(turn, node_id);
}

static void
begin_search(struct plan_turn *turn)
{
    struct plan *plan = turn->plan;

    plan->search_since_ns = MAX(turn->event->now_ns, 1);
    plan->search_waited = plan->search_told = plan->in_doubt = false;
    plan_do(turn, PLAN_DO_SEARCH_PRIMARY, -1);
}

static void
search(struct plan_turn *turn)
{
    struct plan *plan = turn->plan;
    const struct plan_config *config = turn->config;
    int64_t age_ns;
    int claimants = 0;

    if (plan->search_since_ns == 0)
        begin_search(turn);
    age_ns = turn->event->now_ns - plan->search_since_ns;
    plan->search_waited |= age_ns >= config->candidate_wait_ns;
    for (int node_id = 0; node_id < (int)plan->node_count; node_id++) {
        if (config->nodes[node_id].always_primary && plan_is_known(plan, node_id)) {
            found(turn, node_id);
            return;
        }
    }
    if (!plan->search_waited && !all_heard(plan))
        return;
    for (int node_id = 0; node_id < (int)plan->node_count; node_id++) {
        if (!claims(plan, node_id))
            continue;
        claimants++;
        if (leads(plan, node_id)) {
            found(turn, node_id);
            return;
        }
    }
    if (claimants > 0 && !plan->in_doubt) {
        plan->in_doubt = true;
        plan_tell(turn, NODE_EVENT_PRIMARY_IN_DOUBT, -1,
                  "%d nodes say that they are the primary, and timelines do not decide; stop all "
                  "but one, or choose one with pcp_promote_node",
                  claimants);
    }
    if (age_ns >= config->search_wait_ns && !plan->search_told) {
        plan->search_told = true;
        plan_tell(turn, NODE_EVENT_PRIMARY_MISSING, -1, "no primary has been found; still looking");
    }
}

void
plan_watch_primary(struct plan_turn *turn)
{
    struct plan *plan = turn->plan;

    if (plan_is_running(plan))
        return;
    if (plan->primary_id >= 0)
        watch(turn);
    else
        search(turn);
}

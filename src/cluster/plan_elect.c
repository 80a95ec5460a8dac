/*
 * Who is to be promoted: what the table in cluster/plan.h says under CHOOSING.
 *
 * Pure functions of the state. Invariant: nobody is ready whose WAL cannot be compared with that of
 * the others.
 */
#include "cluster/plan_internal.h"

static bool
is_out(const struct plan *plan, const struct plan_config *config, int node_id)
{
    const struct plan_node *node = &plan->nodes[node_id];

    return !plan_is_node(plan, config, node_id) || node->state == NODE_MAINTENANCE ||
           node->state == NODE_ROGUE || node->job == PLAN_JOB_RECOVERY || node->tried;
}

/* Taken part in the cluster when the primary was lost, so that it is worth waiting for. */
static bool
is_expected(const struct plan *plan, int node_id)
{
    const struct plan_node *node = &plan->nodes[node_id];

    if (plan->operation.told) /* everything was gone: whatever comes back may be the better one */
        return true;
    return node->verdict != HEALTH_DEAD && node_id != plan->operation.old_primary_id &&
           (node->state == NODE_UP || node->state == NODE_SUSPECT ||
            node->state == NODE_RECOVERING || node->state == NODE_UNKNOWN);
}

static bool
is_welcome(const struct plan *plan, const struct plan_config *config, int node_id)
{
    const struct plan_node *node = &plan->nodes[node_id];

    return config->auto_failback || node->attach || node_id == plan->operation.old_primary_id ||
           (node->state != NODE_DOWN && node->state != NODE_FENCED);
}

static bool
is_fit(const struct plan *plan, const struct plan_config *config, int node_id)
{
    const struct plan_node *node = &plan->nodes[node_id];

    return plan_is_known(plan, node_id) && node->answer.in_recovery &&
           is_welcome(plan, config, node_id) && (node->proven || node->stream != PLAN_STREAM_NO) &&
           plan->timeline != 0 && node->answer.timeline == plan->timeline;
}

enum plan_standing
plan_standing_of(const struct plan *plan, const struct plan_config *config, int node_id)
{
    const struct plan_node *node = &plan->nodes[node_id];

    if (is_out(plan, config, node_id))
        return PLAN_CANDIDATE_NO;
    if (node->verdict == HEALTH_ALIVE && node->asked_ns >= plan->operation.asked_since_ns)
        return is_fit(plan, config, node_id) ? PLAN_CANDIDATE_READY : PLAN_CANDIDATE_NO;
    return is_expected(plan, node_id) ? PLAN_CANDIDATE_SILENT : PLAN_CANDIDATE_NO;
}

/* Is a to be promoted rather than b? */
static bool
is_better(const struct plan *plan, const struct plan_config *config, int a, int b)
{
    const struct plan_node *x = &plan->nodes[a];
    const struct plan_node *y = &plan->nodes[MAX(b, 0)];

    if (b < 0)
        return true;
    if (x->proven != y->proven)
        return x->proven;
    if (x->answer.received_lsn != y->answer.received_lsn)
        return x->answer.received_lsn > y->answer.received_lsn;
    if (x->synchronous != y->synchronous)
        return x->synchronous;
    return config->nodes[a].priority > config->nodes[b].priority;
}

static bool
has_more(const struct plan *plan, int a, int b)
{
    return a >= 0 &&
           (b < 0 || plan->nodes[a].answer.received_lsn > plan->nodes[b].answer.received_lsn);
}

struct plan_choice
plan_elect(const struct plan *plan, const struct plan_config *config)
{
    struct plan_choice choice = {.node_id = -1, .barred_id = -1};
    bool synchronous_missing = false;
    bool synchronous_ready = false;

    for (int node_id = 0; node_id < (int)plan->node_count; node_id++) {
        switch (plan_standing_of(plan, config, node_id)) {
        case PLAN_CANDIDATE_READY:
            synchronous_ready |= plan->nodes[node_id].synchronous;
            if (plan_is_barred(config, node_id)) {
                if (is_better(plan, config, node_id, choice.barred_id))
                    choice.barred_id = node_id;
            } else if (is_better(plan, config, node_id, choice.node_id)) {
                choice.node_id = node_id;
            }
            break;
        case PLAN_CANDIDATE_SILENT:
            choice.wait = true;
            break;
        case PLAN_CANDIDATE_NO:
            synchronous_missing |=
                !is_out(plan, config, node_id) && plan->nodes[node_id].synchronous;
            break;
        }
    }
    /* who has received as much as a synchronous one has all that was acknowledged through that */
    choice.loses = plan->synchronous && choice.node_id >= 0 && !synchronous_ready;
    choice.wait |= choice.loses && synchronous_missing;
    if (has_more(plan, choice.barred_id, choice.node_id)) {
        choice.wait = true;
        if (plan->synchronous)
            choice.node_id = -1;
    }
    return choice;
}

int
plan_elect_known(const struct plan *plan, const struct plan_config *config)
{
    int best = -1;

    for (int node_id = 0; node_id < (int)plan->node_count; node_id++) {
        const struct plan_node *node = &plan->nodes[node_id];

        if (node_id != plan->primary_id && !is_out(plan, config, node_id) &&
            is_fit(plan, config, node_id) && node->state == NODE_UP &&
            is_better(plan, config, node_id, best))
            best = node_id;
    }
    return best;
}

/*
 * The steps of a turn, and the one place where a node's state is set.
 *
 * Invariant: a change of state is always published, written down and told.
 */
#include "cluster/plan_internal.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct plan_step *
plan_do(struct plan_turn *turn, enum plan_step_kind kind, int node_id)
{
    struct plan_step *step;

    if (turn->steps->count == PLAN_STEPS_MAX)
        BUG("more steps than there is room for");
    step = &turn->steps->list[turn->steps->count++];
    memset(step, 0, sizeof(*step));
    step->kind = (uint8_t)kind;
    step->node_id = node_id;
    step->other_id = -1;
    step->epoch = turn->plan->epoch;
    return step;
}

struct plan_step *
plan_do_until(struct plan_turn *turn, enum plan_step_kind kind, int node_id, int64_t deadline_ns)
{
    struct plan_step *step = plan_do(turn, kind, node_id);

    if (++turn->plan->serial == 0)
        turn->plan->serial = 1;
    step->serial = turn->plan->serial;
    step->deadline_ns = deadline_ns;
    return step;
}

void
plan_tell(struct plan_turn *turn, enum node_event event, int node_id, const char *fmt, ...)
{
    struct plan_step *step = plan_do(turn, PLAN_DO_EVENT, node_id);
    va_list args;

    step->event = (uint8_t)event;
    step->request = event == NODE_EVENT_COMMAND_DONE || event == NODE_EVENT_COMMAND_REFUSED
                        ? turn->event->request
                        : 0;
    va_start(args, fmt);
    vsnprintf(step->text, sizeof(step->text), fmt, args);
    va_end(args);
}

void
plan_set_state(struct plan_turn *turn, int node_id, enum node_state state, const char *fmt, ...)
{
    struct plan_node *node = &turn->plan->nodes[node_id];
    const struct node_state_info *info = node_state_info(state);
    va_list args;

    if (node->state == state)
        return;
    node->state = (uint8_t)state;
    node->since_us = turn->event->at_us;
    va_start(args, fmt);
    vsnprintf(node->reason, sizeof(node->reason), fmt, args);
    va_end(args);
    turn->changed = true;
    plan_tell(turn, NODE_EVENT_STATE, node_id, "node %d is %s: %s%s%s", node_id, info->name,
              node->reason, info->advice[0] != '\0' ? "; " : "", info->advice);
    if (state == NODE_ROGUE)
        plan_do(turn, PLAN_DO_STOP_ROGUE, node_id);
    if (state == NODE_ROGUE || state == NODE_QUARANTINED || state == NODE_MAINTENANCE)
        plan_do(turn, PLAN_DO_QUARANTINE, node_id);
}

bool
plan_is_node(const struct plan *plan, const struct plan_config *config, int node_id)
{
    return node_id >= 0 && (uint32_t)node_id < plan->node_count &&
           (uint32_t)node_id < config->node_count && config->nodes[node_id].configured &&
           plan->nodes[node_id].state != NODE_UNUSED;
}

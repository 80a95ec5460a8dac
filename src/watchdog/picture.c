/*
 * Pictures: who lives, who votes, and what a plan is to the watchdog.
 */
#include "watchdog/picture.h"

#include <string.h>

/* What is out would have to come back before it may be promoted. */
static bool
is_in(const struct plan_node *node)
{
    switch ((enum node_state)node->state) {
    case NODE_UNKNOWN:
    case NODE_UP:
    case NODE_SUSPECT:
    case NODE_RECOVERING:
    case NODE_REJOINING:
        return true;
    default:
        return false;
    }
}

void
wd_state_from_plan(struct wd_state *state, const struct plan *plan, uint64_t nodes_hash)
{
    const struct plan_operation *op = &plan->operation;
    bool told = op->phase == PLAN_PROMOTING || op->phase == PLAN_VERIFYING;

    state->epoch = plan->epoch;
    state->system_identifier = plan->system_identifier;
    state->nodes_hash = nodes_hash;
    state->timeline = plan->timeline;
    state->node_count = plan->node_count;
    state->primary_id = plan->primary_id;
    state->candidate_id = told ? op->candidate_id : -1;
    state->phase = op->phase;
    memset(&state->in, 0, sizeof(state->in));
    for (int node_id = 0; node_id < (int)plan->node_count; node_id++)
        if (is_in(&plan->nodes[node_id]))
            cluster_set_add(&state->in, node_id);
}

const struct wd_member *
wd_picture_member(const struct wd_picture *picture, uint32_t id)
{
    for (uint32_t n = 0; n < picture->member_count; n++)
        if (picture->members[n].id == id)
            return &picture->members[n];
    return NULL;
}

const struct wd_member *
wd_picture_live(const struct wd_picture *picture, const struct wd_roster_entry *entry)
{
    const struct wd_member *member = wd_picture_member(picture, entry->id);

    return member != NULL && member->incarnation == entry->incarnation ? member : NULL;
}

struct wd_votes
wd_picture_votes(const struct wd_picture *picture, uint64_t nodes_hash, int node_id)
{
    struct wd_votes votes = {0};

    for (uint32_t n = 0; n < picture->member_count; n++) {
        const struct wd_member *member = &picture->members[n];

        if (member->nodes_hash != nodes_hash || member->leaving)
            continue;
        votes.voters++;
        votes.dead += cluster_set_has(&member->dead, node_id);
        votes.alive += cluster_set_has(&member->alive, node_id);
    }
    return votes;
}

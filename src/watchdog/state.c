/*
 * The committed state: what becomes of it here, and what may follow it.
 *
 * Invariants: the epoch never goes back; a primary is laid down in a new epoch; another one is
 * published behind a fence; an epoch has one candidate, told behind the fence. A proposal that
 * breaks one of these is a fault of the judge's and never leaves this process.
 */
#include "watchdog/internal.h"

#include <string.h>

static void
intersect(struct cluster_set *set, const struct cluster_set *with)
{
    for (size_t n = 0; n < ARRAY_LEN(set->bits); n++)
        set->bits[n] &= with->bits[n];
}

void
wd_state_keep(struct wd_state *after, const struct wd_state *before)
{
    after->electable = before->electable;
    intersect(&after->electable, &after->in);
    after->fence_epoch = before->fence_epoch;
    after->last_primary_id = before->last_primary_id;
    after->told_id = before->told_id;
    after->told_epoch = before->told_epoch;
    if (before->primary_id >= 0 && after->primary_id < 0)
        after->fence_epoch = after->epoch;
    if (after->primary_id >= 0)
        after->last_primary_id = after->primary_id;
    if (after->candidate_id >= 0) {
        after->told_id = after->candidate_id;
        after->told_epoch = after->epoch;
    }
}

static bool
is_newly_told(const struct wd_state *before, const struct wd_state *after)
{
    return after->candidate_id >= 0 &&
           (before->candidate_id != after->candidate_id || before->epoch != after->epoch);
}

const char *
wd_state_objection(const struct wd *wd, const struct wd_config *config, int64_t now_ns)
{
    const struct wd_state *before = &wd->state;
    const struct wd_state *after = &wd->proposal;
    bool fenced = wd->fenced && before->primary_id < 0;

    if (!WD_RULE(EPOCH_FORWARD, after->epoch >= before->epoch))
        return "the epoch may not go back";
    if (before->primary_id >= 0 && after->primary_id != before->primary_id &&
        (after->primary_id >= 0 || after->epoch == before->epoch))
        return "a primary is laid down in a new epoch, and by itself";
    if (is_newly_told(before, after)) {
        if (!WD_RULE(ONE_CANDIDATE,
                     before->told_epoch != after->epoch || before->told_id == after->candidate_id))
            return "an epoch has one candidate";
        if (!fenced || !wd_may_promote(wd, config, after->candidate_id, now_ns))
            return "the fence does not stand yet";
    }
    if (before->primary_id < 0 && after->primary_id >= 0 && before->last_primary_id >= 0 &&
        (after->primary_id != before->last_primary_id || after->timeline != before->timeline) &&
        !fenced)
        return "another primary is published behind a fence";
    return NULL;
}

void
wd_state_take(struct wd_turn *turn, const struct wd_state *state, int64_t revision)
{
    struct wd *wd = turn->wd;
    bool first = wd->applied == 0;

    if (state->primary_id >= 0 || state->fence_epoch != wd->state.fence_epoch || first) {
        wd->fenced = wd->old_stopped = wd->wait_told = false;
        wd->fence_revision = revision;
        for (int node_id = 0; node_id < CLUSTER_NODES_MAX; node_id++)
            wd->nodes[node_id].cut_ns = 0;
    }
    wd->state = *state;
    wd->applied = revision;
    if (wd->self.fenced_epoch < state->fence_epoch && wd->apply_by_ns == 0)
        wd->apply_by_ns = turn->now_ns + turn->config->apply_ns;
}

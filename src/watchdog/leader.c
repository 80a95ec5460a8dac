/*
 * Leadership: who takes the term, what the leader commits, and when it lays the term down.
 *
 * Invariants: we lead only when a picture showed our incarnation in the leader's key, and our
 * lease holds by our clock; the judge is ours only while we lead; a commit whose end is unknown
 * ends the judging.
 */
#include "watchdog/internal.h"

#include <string.h>

/* ---- beginning and end ----------------------------------------------------------------------- */

static void
stop_judging(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;

    wd->proposed = 0;
    if (!wd->judging)
        return;
    wd->judging = false;
    wd_do(turn, WD_DO_STOP_JUDGING);
    wd_fetch_now(wd);
}

void
wd_leader_step_down(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;

    stop_judging(turn);
    wd->term = 0;
    wd->resigning = wd->fenced = false;
    wd->blind_since_ns = 0;
    if (wd->escalated)
        wd_do(turn, WD_DO_DE_ESCALATE);
    wd->escalated = false;
}

static void
judge(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;
    struct wd_action *action;

    if (wd->seen.state_revision > wd->applied)
        wd_state_take(turn, &wd->seen.state, wd->seen.state_revision);
    wd->judging = true;
    wd->fenced = false;
    action = wd_do(turn, WD_DO_JUDGE);
    action->term = wd->term;
    action->revision = wd->applied;
    if (!wd->escalated)
        wd_do(turn, WD_DO_ESCALATE);
    wd->escalated = true;
}

static bool
is_ours(const struct wd_turn *turn)
{
    const struct wd_leader *leader = &turn->wd->seen.leader;

    return leader->term != 0 && leader->id == turn->config->id &&
           leader->incarnation == turn->config->incarnation;
}

/* With another list of nodes, numbers mean other servers. */
static void
compare_lists(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;
    const struct wd_picture *seen = &wd->seen;
    bool differs = false;

    if (seen->state_revision != 0 && seen->state.nodes_hash != turn->config->nodes_hash)
        for (uint32_t n = 0; n < seen->member_count; n++)
            differs = differs || (seen->members[n].id != turn->config->id &&
                                  seen->members[n].nodes_hash == seen->state.nodes_hash);
    if (differs && !wd->differs)
        wd_tell(turn, "our list of nodes is not that of the other members");
    wd->differs = differs;
}

void
wd_leader_pictured(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;
    const struct wd_picture *seen = &wd->seen;

    compare_lists(turn);
    if (seen->leader.term != 0) {
        wd->vacant_since_ns = 0;
        wd->before = seen->leader;
    } else if (wd->vacant_since_ns == 0) {
        wd->vacant_since_ns = turn->now_ns;
    }
    if (wd->term != 0 && (!is_ours(turn) || seen->leader.term != wd->term))
        wd_leader_step_down(turn);
    if (is_ours(turn) && wd_has_lease(wd, turn->now_ns)) {
        wd->term = seen->leader.term;
        if (wd->term == wd->resigned_term)
            wd->resigning = true;
        /* a commit of ours that nobody answered was done after all */
        if (wd->pending[WD_COMMIT].serial == 0 && seen->state_revision > wd->applied)
            stop_judging(turn);
        /* the answer to a commit comes first: it tells what of this is ours */
        if (!wd->judging && !wd->resigning && wd->pending[WD_COMMIT].serial == 0)
            judge(turn);
    }
    if (!wd->judging && seen->state_revision > wd->applied) {
        wd_state_take(turn, &seen->state, seen->state_revision);
        wd_do(turn, WD_DO_APPLY)->revision = wd->applied;
    }
}

/* ---- election -------------------------------------------------------------------------------- */

static bool
sees_primary(const struct wd_picture *seen, const struct wd_member *member)
{
    return seen->state_revision == 0 || seen->state.primary_id < 0 ||
           cluster_set_has(&member->alive, seen->state.primary_id);
}

static bool
goes_before(const struct wd_picture *seen, const struct wd_member *a, const struct wd_member *b)
{
    bool a_sees = sees_primary(seen, a);
    bool b_sees = sees_primary(seen, b);

    if (a_sees != b_sees)
        return a_sees;
    if (a->isolated != b->isolated)
        return b->isolated;
    return a->priority != b->priority ? a->priority > b->priority : a->id < b->id;
}

static bool
is_rival(const struct wd_config *config, const struct wd_member *member)
{
    return member->id != config->id && !member->leaving && member->nodes_hash == config->nodes_hash;
}

static bool
has_rivals(const struct wd *wd, const struct wd_config *config)
{
    for (uint32_t n = 0; n < wd->seen.member_count; n++)
        if (is_rival(config, &wd->seen.members[n]))
            return true;
    return false;
}

/* How many would rather lead, each of whom gets a while. Whoever has just laid the term down does
 * not. */
static uint32_t
rank(const struct wd *wd, const struct wd_config *config)
{
    const struct wd_picture *seen = &wd->seen;
    uint32_t before = 0;

    for (uint32_t n = 0; n < seen->member_count; n++) {
        const struct wd_member *member = &seen->members[n];

        if (is_rival(config, member) && member->incarnation != wd->before.incarnation &&
            goes_before(seen, member, &wd->self))
            before++;
    }
    return before;
}

static int64_t
campaign_at_ns(const struct wd *wd, const struct wd_config *config)
{
    int64_t at_ns = wd->vacant_since_ns + (int64_t)rank(wd, config) * config->stagger_ns;

    return has_rivals(wd, config) ? MAX(at_ns, wd->pause_until_ns) : at_ns;
}

static void
campaign(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;

    if (wd->seen.revision == 0 || wd->seen.leader.term != 0 || wd->differs || wd->stopping ||
        !wd_has_lease(wd, turn->now_ns) || wd->seen.revision < wd->joined_revision ||
        turn->now_ns < campaign_at_ns(wd, turn->config))
        return;
    wd_ask(turn, WD_CAMPAIGN);
}

/* ---- handing over ---------------------------------------------------------------------------- */

/* We do not reach the primary, somebody else does, and too few to fail it over do not. */
static bool
is_blind(const struct wd_turn *turn)
{
    const struct wd *wd = turn->wd;
    int node_id = wd->state.primary_id;
    struct wd_votes votes;

    if (!wd->judging || node_id < 0 || !wd->nodes[node_id].fact.dead)
        return false;
    votes = wd_picture_votes(&wd->seen, turn->config->nodes_hash, node_id);
    return votes.alive > 0 && votes.dead <= votes.voters / 2;
}

static void
look_at_primary(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;

    if (!is_blind(turn)) {
        wd->blind_since_ns = 0;
        return;
    }
    if (wd->blind_since_ns == 0)
        wd->blind_since_ns = turn->now_ns;
    if (turn->now_ns - wd->blind_since_ns < turn->config->handover_ns)
        return;
    wd_tell(turn, "leadership is handed over: others reach the primary");
    wd->resigning = true;
}

/* Clients do not reach us, and may reach somebody who leads as well as we do: who sees the primary,
 * or we would be handed the term back. */
static void
look_at_surroundings(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;

    if (!wd->judging || !wd->isolated)
        return;
    for (uint32_t n = 0; n < wd->seen.member_count; n++) {
        const struct wd_member *member = &wd->seen.members[n];

        if (!is_rival(turn->config, member) || member->isolated || !sees_primary(&wd->seen, member))
            continue;
        wd_tell(turn, "leadership is handed over: this pgpool is cut off from its surroundings");
        wd->resigning = true;
        return;
    }
}

static void
resign(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;

    stop_judging(turn);
    wd->pause_until_ns = turn->now_ns + turn->config->pause_ns;
    if (wd->pending[WD_COMMIT].serial == 0 &&
        WD_RULE(DOWN_BEFORE_RESIGN, wd->address == WD_ADDRESS_DOWN)) {
        wd->resigned_term = wd->term;
        wd_ask(turn, WD_RESIGN);
    }
}

/* ---- commits --------------------------------------------------------------------------------- */

void
wd_leader_propose(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;

    if (!wd->judging || wd->proposed != 0 || turn->event->state == NULL)
        return;
    wd->proposed = turn->event->proposal;
    wd->wanted = *turn->event->state;
    if (WD_RULE(COMMIT_BEFORE_ACT, false)) {
        struct wd_action *action = wd_do(turn, WD_DO_COMMITTED);

        action->proposal = wd->proposed;
        action->revision = wd->applied;
    }
}

static void
commit(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;
    struct wd_action *action;
    const char *objection;

    if (!wd->judging || wd->pending[WD_COMMIT].serial != 0)
        return;
    if (wd->proposed != 0) {
        wd->proposal = wd->wanted;
        wd_state_keep(&wd->proposal, &wd->state);
        objection = wd_state_objection(wd, turn->config, turn->now_ns);
        if (objection != NULL) {
            wd_tell(turn, objection);
            stop_judging(turn);
            return;
        }
    } else {
        wd->proposal = wd->state;
        if (!wd_fence_elect(wd, turn->config, turn->now_ns, &wd->proposal))
            return;
    }
    action = wd_ask(turn, WD_COMMIT);
    action->revision = wd->applied;
    action->proposal = wd->proposed;
    wd->committing = wd->proposed;
}

void
wd_leader_committed(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;
    const struct wd_event *event = turn->event;
    bool ours =
        event->answer == WD_OK || (event->answer == WD_UNSURE && WD_RULE(UNSURE_IS_NO, false));
    struct wd_action *action;

    if (!ours || !wd->judging) {
        stop_judging(turn);
        wd_fetch_now(wd);
        return;
    }
    wd_state_take(turn, &wd->proposal, MAX(event->revision, wd->applied));
    if (wd->committing == 0 || wd->committing != wd->proposed)
        return;
    wd->proposed = 0;
    if (WD_RULE(COMMIT_BEFORE_ACT, false))
        return;
    action = wd_do(turn, WD_DO_COMMITTED);
    action->proposal = wd->committing;
    action->revision = wd->applied;
}

/* Who has been gone that long is not waited for any more, by anybody. */
static void
forget_lost(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;

    if (turn->config->lost_member_ns == 0 || !wd->judging || wd->state.primary_id < 0)
        return;
    for (uint32_t n = 0; n < wd->missing_count; n++) {
        struct wd_action *action;

        if (turn->now_ns - wd->missing[n].gone_ns < turn->config->lost_member_ns)
            continue;
        action = wd_ask(turn, WD_FORGET);
        if (action == NULL)
            return;
        action->other_id = wd->missing[n].who.id;
        action->other_incarnation = wd->missing[n].who.incarnation;
    }
}

void
wd_leader_settle(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;

    if (wd->term != 0 && !wd_has_lease(wd, turn->now_ns))
        wd_leader_step_down(turn);
    if (wd->term == 0) {
        campaign(turn);
        return;
    }
    look_at_primary(turn);
    if (!wd->resigning)
        look_at_surroundings(turn);
    if (wd->stopping)
        wd->resigning = true;
    if (wd->resigning) {
        resign(turn);
        return;
    }
    commit(turn);
    forget_lost(turn);
}

int64_t
wd_leader_next_ns(const struct wd *wd, const struct wd_config *config)
{
    int64_t next_ns = INT64_MAX;

    if (wd->term != 0)
        next_ns = wd_sooner(wd, next_ns, wd->lease_until_ns);
    if (wd->blind_since_ns != 0)
        next_ns = wd_sooner(wd, next_ns, wd->blind_since_ns + config->handover_ns);
    if (wd->term == 0 && wd->vacant_since_ns != 0)
        next_ns = wd_sooner(wd, next_ns, campaign_at_ns(wd, config));
    return next_ns;
}

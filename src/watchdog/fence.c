/*
 * The fence: everybody on the roster has acted on it, or cannot write any more.
 *
 * Who is missing may stand alone and write by what it sees (proof.c). So the streaming of those who
 * may be promoted is ended first, and then as long is waited as such a proof is good. Invariant: a
 * node is electable only when every member that may stand alone counts on it.
 */
#include "watchdog/internal.h"

#include <string.h>

/* ---- who is missing -------------------------------------------------------------------------- */

static const struct wd_missing *
find_missing(const struct wd *wd, const struct wd_roster_entry *who)
{
    for (uint32_t n = 0; n < wd->missing_count; n++)
        if (wd->missing[n].who.id == who->id && wd->missing[n].who.incarnation == who->incarnation)
            return &wd->missing[n];
    return NULL;
}

/* What a member said before it was gone still holds. */
static uint64_t
last_fenced(const struct wd *wd, const struct wd_roster_entry *who)
{
    const struct wd_member *member = wd_picture_live(&wd->seen, who);

    return member != NULL ? member->fenced_epoch : 0;
}

void
wd_fence_pictured(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;
    const struct wd_picture *picture = turn->event->picture;
    struct wd_missing missing[WD_MEMBERS_MAX];
    uint32_t count = 0;

    for (uint32_t n = 0; n < picture->roster_count; n++) {
        const struct wd_roster_entry *who = &picture->roster[n];
        const struct wd_missing *known = find_missing(wd, who);

        if (wd_picture_live(picture, who) != NULL || who->id == turn->config->id)
            continue;
        if (known != NULL)
            missing[count++] = *known;
        else
            missing[count++] = (struct wd_missing){
                .who = *who, .gone_ns = turn->now_ns, .fenced_epoch = last_fenced(wd, who)};
    }
    memcpy(wd->missing, missing, count * sizeof(missing[0]));
    wd->missing_count = count;
}

static bool
have_acted(const struct wd *wd, const struct wd_config *config)
{
    uint64_t epoch = wd->state.fence_epoch;

    if (wd->self.fenced_epoch < epoch ||
        !WD_RULE(FENCE_SEEN, wd->seen.revision >= wd->fence_revision))
        return false;
    for (uint32_t n = 0; n < wd->seen.roster_count; n++) {
        const struct wd_roster_entry *who = &wd->seen.roster[n];
        const struct wd_member *member = wd_picture_live(&wd->seen, who);

        if (who->id != config->id && member != NULL &&
            !WD_RULE(ALL_FENCED, member->fenced_epoch >= epoch))
            return false;
    }
    return true;
}

/* Its proofs need all nodes by now, also those that were not in. */
static bool
counts_on_all(const struct wd_missing *missing, const struct wd_config *config, int64_t now_ns)
{
    int64_t wait_ns = config->excuse_ns + config->excuse_ns / 50 + config->margin_ns;

    return now_ns - missing->gone_ns >= wait_ns;
}

bool
wd_may_promote(const struct wd *wd, const struct wd_config *config, int node_id, int64_t now_ns)
{
    int64_t cut_ns = wd->nodes[node_id].cut_ns;
    bool cut = cut_ns != 0 && now_ns - cut_ns >= config->alone_ns + config->margin_ns;

    if (wd->old_stopped)
        return true;
    if (!have_acted(wd, config))
        return false; /* somebody has come back meanwhile */
    for (uint32_t n = 0; n < wd->missing_count; n++) {
        const struct wd_missing *missing = &wd->missing[n];

        if (missing->fenced_epoch >= wd->state.fence_epoch || WD_RULE(WAIT_FOR_MISSING, false))
            continue;
        if (!WD_RULE(CANDIDATE_CUT, cut))
            return false;
        if (!WD_RULE(CANDIDATE_ELECTABLE, cluster_set_has(&wd->state.electable, node_id) ||
                                              counts_on_all(missing, config, now_ns)))
            return false;
    }
    return true;
}

/* ---- the fence ------------------------------------------------------------------------------- */

static bool
anybody_may_be_promoted(const struct wd *wd, const struct wd_config *config, int64_t now_ns)
{
    for (int node_id = 0; node_id < (int)config->node_count; node_id++)
        if (cluster_set_has(&config->nodes, node_id) && node_id != wd->state.last_primary_id &&
            wd_may_promote(wd, config, node_id, now_ns))
            return true;
    return false;
}

static bool
is_waited_for(const struct wd *wd)
{
    for (uint32_t n = 0; n < wd->missing_count; n++)
        if (wd->missing[n].fenced_epoch < wd->state.fence_epoch)
            return !wd->old_stopped;
    return false;
}

void
wd_fence_settle(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;

    if (!wd->judging || wd->state.primary_id >= 0 || wd->applied == 0 ||
        !wd_has_lease(wd, turn->now_ns))
        return;
    if (is_waited_for(wd) && turn->now_ns >= wd->next_cut_ns) {
        wd->next_cut_ns = turn->now_ns + turn->config->retry_ns;
        wd_do(turn, WD_DO_CUT);
        if (!wd->wait_told)
            wd_tell(turn,
                    "a member is missing: nobody is promoted before it cannot write any more");
        wd->wait_told = true;
    }
    if (!wd->fenced) {
        if (!have_acted(wd, turn->config) ||
            !anybody_may_be_promoted(wd, turn->config, turn->now_ns))
            return;
        wd->fenced = true;
        wd->fenced_told = 0;
    }
    if (wd->fenced_told == wd->state.epoch)
        return;
    wd->fenced_told = wd->state.epoch;
    wd_do(turn, WD_DO_FENCED)->epoch = wd->state.epoch;
}

int64_t
wd_fence_next_ns(const struct wd *wd, const struct wd_config *config)
{
    int64_t next_ns = INT64_MAX;

    if (!wd->judging || wd->state.primary_id >= 0)
        return next_ns;
    if (is_waited_for(wd))
        next_ns = wd_sooner(wd, next_ns, wd->next_cut_ns);
    if (!wd->fenced)
        for (int node_id = 0; node_id < (int)config->node_count; node_id++)
            if (wd->nodes[node_id].cut_ns != 0)
                next_ns =
                    MIN(next_ns, wd->nodes[node_id].cut_ns + config->alone_ns + config->margin_ns);
    return next_ns;
}

/* ---- who may be elected ---------------------------------------------------------------------- */

static bool
is_known_to_all(const struct wd *wd, const struct wd_config *config, int64_t now_ns)
{
    for (uint32_t n = 0; n < wd->seen.roster_count; n++) {
        const struct wd_member *member = wd_picture_live(&wd->seen, &wd->seen.roster[n]);

        if (member != NULL && member->id != config->id && member->applied < wd->applied)
            return false;
    }
    for (uint32_t n = 0; n < wd->missing_count; n++)
        if (!counts_on_all(&wd->missing[n], config, now_ns))
            return false;
    return true;
}

bool
wd_fence_elect(const struct wd *wd, const struct wd_config *config, int64_t now_ns,
               struct wd_state *state)
{
    if (memcmp(&state->electable, &state->in, sizeof(state->in)) == 0 ||
        wd->seen.revision < wd->applied)
        return false;
    if (!WD_RULE(ELECTABLE_WHEN_SEEN, is_known_to_all(wd, config, now_ns)))
        return false;
    state->electable = state->in;
    return true;
}

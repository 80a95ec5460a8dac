/*
 * What a member may do: by its lease, or, without etcd, by what it sees itself.
 *
 * A member alone writes only while it is certain that nobody was promoted: the primary is what is
 * committed, and whoever may be promoted is still a standby that streams. A leader ends the
 * streaming of its candidates, and waits as long as such a proof is good, before it promotes.
 */
#include "watchdog/internal.h"

int64_t
wd_leads_until_ns(const struct wd *wd)
{
    if (wd->term == 0 || wd->resigning)
        return 0;
    return WD_RULE(LEASE_BY_CLOCK, false) ? INT64_MAX : wd->lease_until_ns;
}

static bool
is_primary(const struct wd *wd)
{
    const struct wd_fact *fact = &wd->nodes[wd->state.primary_id].fact;

    return fact->answered && !fact->in_recovery && fact->timeline == wd->state.timeline &&
           fact->system_identifier == wd->state.system_identifier;
}

/* Since when; 0: it does not. */
static int64_t
streams_since(const struct wd *wd, int node_id)
{
    const struct wd_fact *fact = &wd->nodes[node_id].fact;

    return fact->answered && fact->in_recovery && fact->streams &&
                   fact->timeline <= wd->state.timeline
               ? fact->began_ns
               : 0;
}

static bool
is_promoted(const struct wd *wd, int node_id)
{
    const struct wd_fact *fact = &wd->nodes[node_id].fact;

    return fact->answered && !fact->in_recovery && fact->timeline > wd->state.timeline;
}

/* Until when the proof is good. */
static int64_t
proof_until_ns(const struct wd *wd, const struct wd_config *config)
{
    const struct wd_state *state = &wd->state;
    int64_t until_ns = wd->nodes[state->primary_id].fact.began_ns + config->alone_ns;

    if (wd->lapsed_ns == 0 || !is_primary(wd))
        return 0;
    for (int node_id = 0; node_id < (int)config->node_count; node_id++) {
        int64_t node_until_ns;

        if (!cluster_set_has(&config->nodes, node_id) || node_id == state->primary_id ||
            WD_RULE(PROOF_OF_STANDBYS, false))
            continue;
        if (is_promoted(wd, node_id))
            return 0;
        node_until_ns = streams_since(wd, node_id) + config->alone_ns;
        if (!cluster_set_has(&state->in, node_id))
            node_until_ns =
                MAX(node_until_ns,
                    WD_RULE(PROOF_EXCUSE, false) ? INT64_MAX : wd->lapsed_ns + config->excuse_ns);
        until_ns = MIN(until_ns, node_until_ns);
    }
    return until_ns;
}

int64_t
wd_writes_until_ns(const struct wd *wd, const struct wd_config *config)
{
    int64_t until_ns = 0;

    if (wd->applied == 0 || wd->state.primary_id < 0 || wd->differs || wd->closed ||
        wd->self.fenced_epoch < wd->state.fence_epoch)
        return 0;
    if (wd->joined && WD_RULE(JOIN_THEN_LOOK, wd->seen.revision >= wd->joined_revision))
        until_ns = wd->lease_until_ns;
    return MAX(until_ns, proof_until_ns(wd, config));
}

enum health_verdict
wd_verdict(const struct wd *wd, const struct wd_config *config, int node_id,
           enum health_verdict own)
{
    struct wd_votes votes;

    if (!config->consensus || WD_RULE(CONSENSUS, false))
        return own;
    votes = wd_picture_votes(&wd->seen, config->nodes_hash, node_id);
    if (votes.dead > votes.voters / 2)
        return HEALTH_DEAD;
    return own == HEALTH_DEAD ? HEALTH_SUSPECT : own;
}

bool
wd_is_quarantined_here(const struct wd *wd, int node_id)
{
    return wd->nodes[node_id].fact.dead && node_id != wd->state.primary_id &&
           cluster_set_has(&wd->state.in, node_id);
}

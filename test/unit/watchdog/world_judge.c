/*
 * A small judge: what the failover process does with the plan, in the same order.
 *
 * It proposes, waits for the commit, and then acts. A candidate that was given up is followed by
 * another one in a new epoch.
 */
#include "world.h"

#include <string.h>

static const int64_t promote_wait_ns = 4 * NS_PER_S;

static bool
knows(const struct player *p, int server, bool in_recovery)
{
    const struct wd_fact *fact = &p->wd.nodes[server].fact;

    return fact->answered && fact->in_recovery == in_recovery;
}

static enum health_verdict
verdict_of(const struct player *p, int server)
{
    const struct wd_fact *fact = &p->wd.nodes[server].fact;
    enum health_verdict own = fact->dead ? HEALTH_DEAD : HEALTH_ALIVE;

    return wd_verdict(&p->wd, &p->config, server, own);
}

/* A candidate that follows another one has a new epoch; now and then the judge does not know. */
static bool
forgets(void)
{
    return !world->quiet && dice(2) == 0;
}

static void
propose(int member)
{
    struct player *p = &world->players[member];
    struct judge *judge = &p->judge;

    judge->proposal = ++judge->last_proposal;
    judge->work.nodes_hash = p->config.nodes_hash;
    judge->work.node_count = SERVERS;
    /* now and then it is out of its mind */
    if (!world->quiet && dice(60) == 0) {
        if (dice(2) == 0 && judge->work.epoch > 0)
            judge->work.epoch--;
        else if (judge->work.primary_id < 0)
            judge->work.candidate_id = (int32_t)dice(SERVERS);
    }
    tell(member, (struct wd_event){
                     .kind = WD_PROPOSED, .state = &judge->work, .proposal = judge->proposal});
}

static void
order_promotion(int member)
{
    struct player *p = &world->players[member];
    struct mail *mail;

    if (local_ns(p) >= wd_leads_until_ns(&p->wd))
        return;
    mail = post(MAIL_PROMOTE, member, delay_ns());
    mail->server = (int8_t)p->judge.work.candidate_id;
    mail->action.epoch = p->judge.work.epoch;
}

static void
order_following(int member, int server, int primary)
{
    struct player *p = &world->players[member];
    struct mail *mail;

    if (local_ns(p) < p->judge.next_follow_ns || local_ns(p) >= wd_leads_until_ns(&p->wd))
        return;
    p->judge.next_follow_ns = local_ns(p) + NS_PER_S;
    mail = post(MAIL_FOLLOW, member, 2 * NS_PER_MS);
    mail->server = (int8_t)server;
    mail->action.kind = (uint8_t)primary;
}

void
judge_begin(int member)
{
    struct player *p = &world->players[member];
    uint32_t last = p->judge.last_proposal;

    p->judge = (struct judge){
        .active = true, .last_proposal = last, .work = p->wd.state, .began_ns = local_ns(p)};
    if (p->wd.applied == 0) { /* the first one of all */
        memset(&p->judge.work, 0, sizeof(p->judge.work));
        p->judge.work.primary_id = p->judge.work.candidate_id = -1;
    }
    if (p->judge.work.phase == PLAN_PROMOTING)
        order_promotion(member);
}

void
judge_committed(int member, uint32_t proposal)
{
    struct player *p = &world->players[member];
    struct judge *judge = &p->judge;
    bool told = judge->work.phase == PLAN_PROMOTING && judge->work.candidate_id >= 0;

    if (!judge->active || judge->proposal != proposal)
        return;
    judge->proposal = 0;
    judge->began_ns = local_ns(p);
    if (told)
        order_promotion(member);
}

/* ---- with a primary -------------------------------------------------------------------------- */

static void
lay_primary_down(int member, bool forced)
{
    struct judge *judge = &world->players[member].judge;
    struct wd_state *work = &judge->work;

    work->epoch++;
    work->in.bits[0] &= ~(UINT64_C(1) << work->primary_id);
    work->primary_id = -1;
    work->phase = PLAN_FENCING;
    judge->forced = forced;
    judge->fenced = false;
    judge->tried = 0;
    propose(member);
}

static void
check_consensus(const struct player *p, int server)
{
    struct wd_votes votes = wd_picture_votes(&p->wd.seen, p->config.nodes_hash, server);

    if (p->config.consensus && votes.dead <= votes.voters / 2)
        wrong("a node is dead by too few votes");
}

static bool
look_at_standby(int member, int server)
{
    struct player *p = &world->players[member];
    struct wd_state *work = &p->judge.work;
    const struct wd_fact *fact = &p->wd.nodes[server].fact;
    bool is_in = cluster_set_has(&work->in, server);

    if (is_in && verdict_of(p, server) == HEALTH_DEAD) {
        check_consensus(p, server);
        work->in.bits[0] &= ~(UINT64_C(1) << server);
        propose(member);
        return true;
    }
    if (!knows(p, server, true))
        return false;
    if (!is_in && fact->streams && fact->timeline == work->timeline) {
        cluster_set_add(&work->in, server);
        propose(member);
        return true;
    }
    if (!fact->streams)
        order_following(member, server, work->primary_id);
    return false;
}

static void
watch(int member)
{
    struct player *p = &world->players[member];
    int primary = p->judge.work.primary_id;

    if (verdict_of(p, primary) == HEALTH_DEAD) {
        check_consensus(p, primary);
        lay_primary_down(member, false);
        return;
    }
    if (!world->quiet &&
        dice(world->lonely || world->restless ? 40 : 150) == 0) { /* pcp_promote_node, switchover */
        lay_primary_down(member, true);
        return;
    }
    for (int server = 0; server < SERVERS; server++)
        if (server != primary && look_at_standby(member, server))
            return;
}

/* ---- without one ----------------------------------------------------------------------------- */

static void
publish(int member, int primary)
{
    struct player *p = &world->players[member];
    struct wd_state *work = &p->judge.work;
    const struct wd_fact *fact = &p->wd.nodes[primary].fact;

    work->primary_id = primary;
    work->timeline = fact->timeline;
    work->system_identifier = fact->system_identifier;
    work->candidate_id = -1;
    work->phase = PLAN_PHASE_NONE;
    cluster_set_add(&work->in, primary);
    propose(member);
}

static bool
old_is_back(const struct player *p)
{
    const struct wd_state *work = &p->judge.work;
    int old = p->wd.state.last_primary_id;

    return !p->judge.forced && p->wd.state.told_epoch < p->wd.state.fence_epoch &&
           knows(p, old, false) && p->wd.nodes[old].fact.timeline == work->timeline &&
           p->wd.nodes[old].fact.began_ns > p->judge.began_ns;
}

static void
choose(int member)
{
    struct player *p = &world->players[member];
    struct judge *judge = &p->judge;
    struct wd_state *work = &judge->work;

    for (int server = 0; server < SERVERS; server++) {
        const struct wd_fact *fact = &p->wd.nodes[server].fact;

        if (fact->began_ns <= judge->began_ns || !fact->answered)
            continue;
        if (!fact->in_recovery && fact->timeline > work->timeline) { /* late, or by a person */
            publish(member, server);
            return;
        }
        if (!fact->in_recovery || fact->timeline != work->timeline ||
            (judge->tried >> server & 1) != 0 ||
            !wd_may_promote(&p->wd, &p->config, server, local_ns(p)))
            continue;
        judge->tried |= 1U << server;
        if (p->wd.state.told_epoch == work->epoch)
            work->epoch += !forgets();
        work->candidate_id = server;
        work->phase = PLAN_PROMOTING;
        propose(member);
        return;
    }
    if (local_ns(p) - judge->began_ns > 3 * NS_PER_S) {
        judge->tried = 0;
        judge->forced = false; /* the old one will do, too */
    }
}

static void
wait_for_promotion(int member)
{
    struct player *p = &world->players[member];
    struct judge *judge = &p->judge;
    const struct wd_fact *fact = &p->wd.nodes[judge->work.candidate_id].fact;

    if (fact->answered && !fact->in_recovery && fact->timeline > judge->work.timeline) {
        publish(member, judge->work.candidate_id);
    } else if (local_ns(p) - judge->began_ns > promote_wait_ns) {
        judge->work.epoch += !forgets();
        judge->work.candidate_id = -1;
        judge->work.phase = PLAN_CHOOSING;
        propose(member);
    }
}

static void
find_first(int member)
{
    const struct player *p = &world->players[member];

    for (int server = 0; server < SERVERS; server++)
        if (knows(p, server, false)) {
            publish(member, server);
            return;
        }
}

void
judge_think(int member)
{
    struct player *p = &world->players[member];
    struct judge *judge = &p->judge;

    if (!judge->active || judge->proposal != 0 || local_ns(p) >= wd_leads_until_ns(&p->wd))
        return;
    if (judge->work.primary_id >= 0)
        watch(member);
    else if (p->wd.applied == 0 || p->wd.state.last_primary_id < 0)
        find_first(member);
    else if (judge->work.phase == PLAN_PROMOTING)
        wait_for_promotion(member);
    else if (old_is_back(p)) {
        world->cancelled++;
        publish(member, p->wd.state.last_primary_id);
    } else if (judge->fenced)
        choose(member);
}

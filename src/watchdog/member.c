/*
 * Membership: the lease, and the key that says what we are.
 *
 * Invariants: lease_until_ns is before etcd lets the lease end; nothing is written before the key
 * and the roster's entry stand and were followed by a look at what is committed.
 */
#include "watchdog/internal.h"

#include <string.h>

/* A fact that is older says nothing to others. */
static const int64_t fact_counts_ns = 20 * NS_PER_S;

bool
wd_has_lease(const struct wd *wd, int64_t now_ns)
{
    return wd->joined && wd->lease != 0 && WD_RULE(LEASE_BY_CLOCK, now_ns < wd->lease_until_ns);
}

/* ---- the lease ------------------------------------------------------------------------------- */

static void
renew(struct wd_turn *turn, int64_t sent_ns)
{
    struct wd *wd = turn->wd;
    int64_t from_ns = WD_RULE(LEASE_FROM_SENDING, false) ? turn->now_ns : sent_ns;
    int64_t ttl_ns = MIN(turn->event->ttl_ns, turn->config->ttl_ns);

    wd->lease_until_ns = MAX(wd->lease_until_ns, from_ns + ttl_ns - turn->config->margin_ns);
    wd->next_keepalive_ns = MAX(turn->now_ns, sent_ns + turn->config->renew_ns);
}

static void
lose_lease(struct wd *wd)
{
    wd->lease = 0;
    wd->joined = false;
    wd->lease_until_ns = 0;
    wd_fetch_now(wd);
}

static void
joined(struct wd_turn *turn, int64_t revision)
{
    struct wd *wd = turn->wd;

    wd->joined = true;
    wd->joined_revision = revision;
    wd_fetch_now(wd);
}

/* ... or not: then a picture tells what our key says, and we say it again. */
static void
key_written(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;

    if (turn->event->answer == WD_OK) {
        wd->told = wd->telling;
        wd->key_revision = turn->event->revision;
        return;
    }
    memset(&wd->told, 0, sizeof(wd->told));
    wd_fetch_now(wd);
}

void
wd_member_answered(struct wd_turn *turn, int64_t sent_ns)
{
    struct wd *wd = turn->wd;
    const struct wd_event *event = turn->event;
    bool ok = event->answer == WD_OK;
    int64_t later_ns = turn->now_ns + turn->config->retry_ns;

    switch (event->request) {
    case WD_GRANT:
        wd->next_join_ns = ok ? 0 : later_ns;
        if (!ok)
            break;
        wd->lease = event->lease;
        wd->lease_until_ns = 0;
        renew(turn, sent_ns);
        break;
    case WD_KEEPALIVE:
        if (ok)
            renew(turn, sent_ns);
        else if (event->answer == WD_NO)
            lose_lease(wd);
        break;
    case WD_JOIN:
        wd->next_join_ns = later_ns;
        key_written(turn);
        if (ok)
            joined(turn, event->revision);
        break;
    case WD_UPDATE:
        wd->next_join_ns = ok ? 0 : later_ns;
        key_written(turn);
        break;
    case WD_LEAVE:
        wd->left = event->answer != WD_UNSURE;
        wd->next_join_ns = later_ns;
        if (wd->left)
            wd_do(turn, WD_DO_END);
        break;
    default:
        break;
    }
}

/* ---- pictures -------------------------------------------------------------------------------- */

void
wd_member_pictured(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;
    const struct wd_member *own = wd_picture_member(&wd->seen, turn->config->id);
    bool foreign = own != NULL && own->incarnation != turn->config->incarnation;

    if (wd->joined && wd->seen.revision < wd->joined_revision)
        return;
    if (foreign && !wd->foreign)
        wd_tell(turn, "another pgpool has our pgpool_node_id: waiting until it has gone");
    wd->foreign = foreign;
    if (own == NULL || foreign) {
        wd->joined = false;
        wd->key_revision = 0;
        return;
    }
    wd->key_revision = MAX(wd->key_revision, own->key_revision);
    if (wd->lease == 0) { /* this process is new, our pgpool is not */
        wd->lease = own->lease;
        wd->lease_until_ns = 0;
        wd->next_keepalive_ns = 0;
    }
    if (own->lease != wd->lease)
        wd->joined = false; /* another lease of ours, which ends */
    else if (!wd->joined)
        joined(turn, wd->seen.revision);
}

/* ---- what is asked --------------------------------------------------------------------------- */

static void
look_at_nodes(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;
    struct wd_member *self = &wd->self;

    memset(&self->alive, 0, sizeof(self->alive));
    memset(&self->dead, 0, sizeof(self->dead));
    for (int node_id = 0; node_id < (int)turn->config->node_count; node_id++) {
        const struct wd_fact *fact = &wd->nodes[node_id].fact;

        if (fact->began_ns == 0 || turn->now_ns - fact->began_ns >= fact_counts_ns)
            continue;
        if (fact->alive)
            cluster_set_add(&self->alive, node_id);
        if (fact->dead)
            cluster_set_add(&self->dead, node_id);
    }
    self->priority = turn->config->priority;
    self->nodes_hash = turn->config->nodes_hash;
    self->applied = wd->applied;
    self->leaving = wd->stopping;
    self->isolated = wd->isolated;
}

static void
join(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;
    struct wd_action *action;

    if (wd->seen.revision == 0 || wd->foreign || turn->now_ns < wd->next_join_ns)
        return;
    if (wd->lease == 0) {
        wd_ask(turn, WD_GRANT);
        return;
    }
    if (turn->now_ns >= wd->lease_until_ns)
        return;
    action = wd_ask(turn, WD_JOIN);
    if (action == NULL)
        return;
    action->revision = wd->key_revision;
    wd->telling = wd->self;
}

static bool
says_the_same(const struct wd_member *a, const struct wd_member *b)
{
    return a->id == b->id && a->priority == b->priority && a->incarnation == b->incarnation &&
           a->nodes_hash == b->nodes_hash && a->fenced_epoch == b->fenced_epoch &&
           a->applied == b->applied && a->leaving == b->leaving && a->isolated == b->isolated &&
           memcmp(&a->alive, &b->alive, sizeof(a->alive)) == 0 &&
           memcmp(&a->dead, &b->dead, sizeof(a->dead)) == 0;
}

static void
update(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;
    struct wd_action *action;

    if (says_the_same(&wd->self, &wd->told) || turn->now_ns < wd->next_join_ns)
        return;
    action = wd_ask(turn, WD_UPDATE);
    if (action == NULL)
        return;
    action->revision = wd->key_revision;
    wd->telling = wd->self;
}

/* A member whose children do not act on the fence must not hold up the others. */
static bool
may_renew(const struct wd *wd, int64_t now_ns)
{
    return wd->apply_by_ns == 0 || now_ns < wd->apply_by_ns;
}

static void
keep_alive(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;

    if (wd->lease == 0 || turn->now_ns < wd->next_keepalive_ns || !may_renew(wd, turn->now_ns))
        return;
    if (wd_ask(turn, WD_KEEPALIVE) != NULL)
        wd->next_keepalive_ns = turn->now_ns + turn->config->renew_ns;
}

void
wd_member_settle(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;

    if (wd->self.fenced_epoch >= wd->state.fence_epoch)
        wd->apply_by_ns = 0;
    look_at_nodes(turn);
    if (wd->stopping && wd->closed && wd->term == 0 && wd->address == WD_ADDRESS_DOWN) {
        if (turn->now_ns >= wd->next_join_ns)
            wd_ask(turn, WD_LEAVE);
        return;
    }
    keep_alive(turn);
    if (!wd->joined)
        join(turn);
    else
        update(turn);
    /* by which moment we have last written by a lease */
    if (wd->joined && wd->seen.revision >= wd->joined_revision)
        wd->lapsed_ns = MAX(wd->lapsed_ns, wd->lease_until_ns);
}

int64_t
wd_member_next_ns(const struct wd *wd)
{
    int64_t next_ns = wd_sooner(wd, INT64_MAX, wd->next_join_ns);

    if (wd->lease != 0)
        next_ns = wd_sooner(wd, next_ns, wd->next_keepalive_ns);
    return next_ns;
}

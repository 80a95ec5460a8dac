/*
 * The board between the watchdog process and the others (watchdog/board.h), this side of it.
 *
 * Invariants: the committed state is published before orders that speak of it; a number of a
 * judging is never used again, by no process of this kind.
 */
#include "watchdog.h"

#include "base/log.h"
#include "cluster/status.h"
#include "os/clock.h"

#include <string.h>

enum { SHOWN_EVERY_MS = 100 };

_Static_assert((int)WD_TEXT_BYTES >= (int)STATUS_FILE_BYTES, "any state must fit");

void
watchdog_inherit(struct watchdog *w)
{
    w->live = shared_wd_live(w->proc->shared);
    area_read(shared_wd_orders(w->proc->shared), &w->given);
    w->last_judging = w->given.judging;
    w->orders.leader_id = -1;
    w->inherited_ns = atomic_load(&w->live->writes_until_ns);
    watchdog_publish(w);
}

/* ---- what others read ------------------------------------------------------------------------ */

static bool
publish_text(struct watchdog *w)
{
    struct area *area = shared_wd_committed(w->proc->shared);
    struct wd_committed *committed;

    if (w->text_revision == w->given_revision)
        return false;
    w->given_revision = w->text_revision;
    if (w->text.len >= WD_TEXT_BYTES) {
        log_error("the committed state is longer than %d bytes and cannot be used", WD_TEXT_BYTES);
        return false;
    }
    committed = area_write_anew(area);
    committed->revision = w->text_revision;
    committed->len = (uint32_t)w->text.len;
    memcpy(committed->text, w->text.data, w->text.len);
    committed->text[w->text.len] = '\0';
    area_publish(area);
    return true;
}

static bool
publish_orders(struct watchdog *w)
{
    struct area *area = shared_wd_orders(w->proc->shared);

    if (memcmp(&w->orders, &w->given, sizeof(w->orders)) == 0 && area_epoch(area) != 0)
        return false;
    w->given = w->orders;
    memcpy(area_write_anew(area), &w->orders, sizeof(w->orders));
    area_publish(area);
    return true;
}

static bool
publish_set(_Atomic uint64_t *shown, const struct cluster_set *set)
{
    bool changed = false;

    for (size_t n = 0; n < WD_SET_WORDS; n++) {
        changed |= atomic_load(&shown[n]) != set->bits[n];
        atomic_store(&shown[n], set->bits[n]);
    }
    return changed;
}

static bool
publish_sets(struct watchdog *w)
{
    struct cluster_set may_promote = {{0}};
    struct cluster_set dead = {{0}};
    struct cluster_set quarantined = {{0}};
    bool changed;

    for (int node_id = 0; node_id < (int)w->config.node_count; node_id++) {
        if (w->wd.judging && wd_may_promote(&w->wd, &w->config, node_id, w->wd.now_ns))
            cluster_set_add(&may_promote, node_id);
        if (wd_verdict(&w->wd, &w->config, node_id, HEALTH_UNKNOWN) == HEALTH_DEAD)
            cluster_set_add(&dead, node_id);
        if (wd_is_quarantined_here(&w->wd, node_id))
            cluster_set_add(&quarantined, node_id);
    }
    changed = publish_set(w->live->may_promote, &may_promote);
    changed |= publish_set(w->live->dead, &dead);
    return publish_set(w->live->quarantined, &quarantined) || changed;
}

/* The process that was here before has let clients write until some moment, by the lease that is
 * ours, too; that holds until we know better. */
static int64_t
writes_until_ns(struct watchdog *w)
{
    int64_t until_ns = wd_writes_until_ns(&w->wd, &w->config);

    if (until_ns != 0 || w->wd.lease_until_ns != 0 || w->wd.now_ns >= w->inherited_ns)
        w->inherited_ns = 0;
    return MAX(until_ns, w->inherited_ns);
}

/* Who waits until he may write looks again. */
static void
publish_moments(struct watchdog *w)
{
    int64_t now_ns = clock_boottime_ns();
    int64_t before_ns = atomic_load(&w->live->writes_until_ns);
    int64_t until_ns = writes_until_ns(w);

    atomic_store(&w->live->leads_until_ns, w->stopping ? 0 : wd_leads_until_ns(&w->wd));
    atomic_store(&w->live->writes_until_ns, until_ns);
    if ((before_ns > now_ns) != (until_ns > now_ns))
        wake_send_all(w->proc->wakes, w->proc->slot);
}

static const char *
difference(void *ctx, uint32_t id)
{
    return wd_asker_difference(ctx, id);
}

/* For views. Moments alone are not worth it each time. */
static void
publish_shown(struct watchdog *w)
{
    struct wd_shown_more more = {.endpoint =
                                     w->client != NULL ? etcd_client_endpoint(w->client) : "",
                                 .difference = w->asker != NULL ? difference : NULL,
                                 .ctx = w->asker};
    struct area *area = shared_pgpools(w->proc->shared);
    bool news;

    wd_shown_fill(&w->wd, &w->config, &more, &w->next);
    news = w->next.leader_id != w->shown.leader_id || w->next.leads != w->shown.leads ||
           w->next.count != w->shown.count || w->next.address != w->shown.address ||
           w->next.state_revision != w->shown.state_revision;
    if (memcmp(&w->next, &w->shown, sizeof(w->next)) == 0 ||
        (!news && w->wd.now_ns - w->shown_ns < SHOWN_EVERY_MS * NS_PER_MS))
        return;
    w->shown_ns = w->wd.now_ns;
    w->shown = w->next;
    memcpy(area_write_anew(area), &w->shown, sizeof(w->shown));
    area_publish(area);
}

void
watchdog_publish(struct watchdog *w)
{
    bool changed;

    w->orders.leader_id = w->wd.seen.leader.term != 0 ? (int32_t)w->wd.seen.leader.id : (int32_t)-1;
    changed = publish_text(w);
    changed |= publish_sets(w);
    publish_moments(w);
    changed |= publish_orders(w);
    if (changed)
        wake_send(w->proc->wakes, SLOT_FAILOVER);
    publish_shown(w);
}

/* ---- what the failover process writes -------------------------------------------------------- */

static void
hear_word(struct watchdog *w)
{
    struct area *area = shared_wd_word(w->proc->shared);
    struct wd_word before = w->heard;

    if (area_epoch(area) == w->word_epoch)
        return;
    w->word_epoch = area_read(area, &w->heard);
    if (w->heard.fenced_epoch != before.fenced_epoch)
        watchdog_tell(w,
                      &(struct wd_event){.kind = WD_FENCED_HERE, .epoch = w->heard.fenced_epoch});
    if (w->heard.stopped_epoch != before.stopped_epoch)
        watchdog_tell(w,
                      &(struct wd_event){.kind = WD_OLD_STOPPED, .epoch = w->heard.stopped_epoch});
    if (w->heard.judging == w->orders.judging && w->heard.judging != 0 && w->heard.cuts != 0 &&
        (w->heard.cuts != before.cuts || w->heard.judging != before.judging ||
         memcmp(&w->heard.cut, &before.cut, sizeof(before.cut)) != 0))
        watchdog_tell(w, &(struct wd_event){.kind = WD_CUT, .set = w->heard.cut});
}

static void
hear_proposal(struct watchdog *w)
{
    struct area *area = shared_wd_proposal(w->proc->shared);
    const struct wd_proposal *proposal;
    struct wd_event event = {.kind = WD_PROPOSED};
    struct wd_state state;
    uint64_t epoch;
    uint64_t judging;

    if (area_epoch(area) == w->proposal_epoch)
        return;
    proposal = area_peek(area, &epoch);
    judging = proposal->judging;
    event.proposal = proposal->proposal;
    if (judging != w->orders.judging || judging == 0 || event.proposal == w->taken) {
        w->proposal_epoch = area_unchanged(area, epoch) ? epoch : w->proposal_epoch;
        return;
    }
    state = proposal->state;
    state.nodes_hash = w->config.nodes_hash;
    w->proposed.len = 0;
    buf_add(&w->proposed, proposal->text, MIN(proposal->len, (uint32_t)WD_TEXT_BYTES - 1));
    if (!area_unchanged(area, epoch))
        return; /* its writer wakes us once more */
    w->proposal_epoch = epoch;
    w->taken = event.proposal;
    event.state = &state;
    watchdog_tell(w, &event);
}

void
watchdog_hear_judge(struct watchdog *w)
{
    hear_word(w);
    hear_proposal(w);
}

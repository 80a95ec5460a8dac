/*
 * The failover process with a watchdog: whose plan it is, and what was committed of it.
 *
 * While the watchdog has us judge, the plan is worked on here. What a turn has made of it is
 * proposed, its steps wait until that is committed, and so does all else that happens meanwhile:
 * facts as the last one of each node, ends of steps in a queue, the rest is looked up anew. While
 * it has not, what others have committed is published to our own children as it is.
 *
 * Everything between the two processes is a level on the board (watchdog/board.h), looked at as a
 * whole (failover_watch) whenever we are woken: either of them may be killed between any two steps.
 * Invariants: nothing that is not committed is published; before each act at a server the clock is
 * looked at; our children's acknowledgement of an epoch is told only for what they were shown.
 */
#include "failover.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "config/config.h"
#include "os/clock.h"

#include <stdlib.h>
#include <string.h>

enum {
    BEGIN_AGAIN_MS = 200, /* between two beginnings: what is refused again and again */
    BROKEN_AGAIN_MS = 5000,
    LEAD_AGAIN_MS = 100, /* the clock says no: until it is looked at again */
    BEAT_MS = 500,
    UNFENCED_MS = 2000, /* for the children, before they are ended */
};

static void
look_again(void *ctx)
{
    failover_watch(ctx);
}

static void
look_again_in(struct failover *f, int64_t delay_ms)
{
    if (!io_timer_running(&f->watch.again))
        io_timer_start(f->proc->io, &f->watch.again, delay_ms, look_again, f);
}

void
failover_tell_watchdog(struct failover *f)
{
    struct area *area = shared_wd_word(f->proc->shared);

    memcpy(area_write_anew(area), &f->watch.word, sizeof(f->watch.word));
    area_publish(area);
    wake_send(f->proc->wakes, SLOT_WATCHDOG);
}

static bool
clock_allows(const struct failover *f)
{
    return clock_boottime_ns() < atomic_load(&f->watch.live->leads_until_ns);
}

bool
failover_leads(struct failover *f)
{
    if (!f->shared)
        return true;
    if (f->watch.judging != 0 && clock_allows(f))
        return true;
    f->watch.resume = true;
    look_again_in(f, LEAD_AGAIN_MS);
    return false;
}

/* ---- our own children ------------------------------------------------------------------------ */

static void
end_unfenced(void *ctx)
{
    struct failover *f = ctx;

    if (f->fence_wanted == 0)
        return;
    failover_end_unfenced(f, f->fence_wanted);
    io_timer_start(f->proc->io, &f->watch.unfenced, UNFENCED_MS, end_unfenced, f);
}

/* They are shown an epoch that they have not acted on. */
static void
wait_for_children(struct failover *f)
{
    if (f->watch.word.fenced_epoch == f->now.plan.epoch || f->fence_wanted == f->now.plan.epoch)
        return;
    failover_wait_fenced(f, f->now.plan.epoch);
    if (f->now.plan.primary_id < 0)
        io_timer_start(f->proc->io, &f->watch.unfenced, UNFENCED_MS, end_unfenced, f);
}

void
failover_watch_fenced(struct failover *f, uint64_t epoch)
{
    io_timer_stop(&f->watch.unfenced);
    f->watch.word.fenced_epoch = epoch;
    failover_tell_watchdog(f);
}

void
failover_watch_stopped(struct failover *f, uint64_t epoch)
{
    if (!f->shared)
        return;
    f->watch.word.stopped_epoch = epoch;
    failover_tell_watchdog(f);
}

/* ---- what others have committed -------------------------------------------------------------- */

static bool
read_committed(struct failover *f)
{
    struct failover_watch *watch = &f->watch;
    struct area *area = shared_wd_committed(f->proc->shared);
    const struct wd_committed *committed;
    uint64_t epoch;

    do {
        if (area_epoch(area) == watch->committed_epoch)
            return false;
        committed = area_peek(area, &epoch);
        watch->revision = committed->revision;
        watch->committed.len = 0;
        buf_add(&watch->committed, committed->text,
                MIN(committed->len, (uint32_t)WD_TEXT_BYTES - 1));
    } while (!area_unchanged(area, epoch));
    watch->committed_epoch = epoch;
    return true;
}

static void
show_committed(struct failover *f)
{
    failover_publish(f);
    wake_send_all(f->proc->wakes, f->proc->slot);
    wait_for_children(f);
    failover_show(f);
}

/* As if our own plan had made it. */
static void
apply(struct failover *f)
{
    int32_t before_id = f->now.judging ? f->now.plan.primary_id : -1;
    struct err err;

    if (f->watch.revision == 0)
        return;
    if (failover_take(f, &f->watch.committed, &err) != 0) {
        log_error("the committed state is not understood: %s", err.message);
        return;
    }
    f->now.judging = true;
    if (f->now.plan.primary_id != before_id && f->now.plan.primary_id >= 0)
        log_info("node %d is the primary, timeline %u, epoch %llu, as committed",
                 f->now.plan.primary_id, f->now.plan.timeline,
                 (unsigned long long)f->now.plan.epoch);
    else if (f->now.plan.primary_id != before_id)
        log_info("there is no primary, epoch %llu, as committed",
                 (unsigned long long)f->now.plan.epoch);
    show_committed(f);
    failover_save_soon(f);
}

/* ---- judging --------------------------------------------------------------------------------- */

static void
forget_late(struct failover *f)
{
    while (!list_empty(&f->watch.late)) {
        struct failover_late *late = list_first(&f->watch.late, struct failover_late, link);

        list_remove(&late->link);
        free(late);
    }
}

/* What was not committed is forgotten, with all that we are at. */
static void
stop(struct failover *f)
{
    struct failover_watch *watch = &f->watch;

    watch->judging = 0;
    watch->proposal = 0;
    watch->resume = watch->lag_due = watch->nodes_due = false;
    memset(watch->due, 0, sizeof(watch->due));
    forget_late(f);
    failover_drop_cuts(f);
    failover_drop_recoveries(f);
    failover_drop_jobs(f, true);
    io_timer_stop(&f->tick);
    failover_refuse_all(f, "another pgpool may lead now, and what has become of this is not known "
                           "here");
    apply(f);
}

/* Whom an earlier run, of which nothing is committed, has told is given up, in a new epoch. */
static void
give_up_own(struct plan *plan)
{
    struct plan_operation *op = &plan->operation;

    if (op->kind == PLAN_IDLE || op->phase < PLAN_PROMOTING)
        return;
    plan->epoch++;
    op->kind = PLAN_FAILOVER;
    op->phase = PLAN_FENCING;
    op->candidate_id = op->wanted_id = -1;
    op->fenced = op->forced = false;
}

/* The process that was here before may have proposed something, which is going to be committed. */
static bool
is_still_to_end(struct failover *f)
{
    const struct wd_proposal *proposal;
    struct area *area = shared_wd_proposal(f->proc->shared);
    uint64_t epoch;
    bool pending;

    if (area_epoch(area) == 0)
        return false;
    proposal = area_peek(area, &epoch); /* its only writer is this process */
    f->watch.last_proposal = MAX(f->watch.last_proposal, proposal->proposal);
    pending = proposal->judging == f->watch.orders.judging &&
              proposal->proposal != f->watch.orders.committed;
    return pending;
}

static void
begin(struct failover *f)
{
    struct failover_watch *watch = &f->watch;
    struct plan_event event = {.kind = PLAN_RESUMED, .node_id = -1};
    int64_t now_ns = clock_monotonic_ns();
    struct err err;

    if (is_still_to_end(f) || watch->revision < watch->orders.begun)
        return; /* the watchdog wakes us */
    if (now_ns - watch->begun_ns < BEGIN_AGAIN_MS * NS_PER_MS) {
        look_again_in(f, BEGIN_AGAIN_MS);
        return;
    }
    if (watch->revision == 0) {
        give_up_own(&f->now.plan);
    } else if (failover_take(f, &watch->committed, &err) != 0) {
        log_error("the committed state is not understood: %s", err.message);
        look_again_in(f, BROKEN_AGAIN_MS);
        watch->begun_ns = now_ns + BROKEN_AGAIN_MS * NS_PER_MS;
        return;
    }
    watch->begun_ns = now_ns;
    watch->judging = watch->orders.judging;
    watch->word.judging = watch->judging;
    watch->word.cuts = 0;
    memset(&watch->word.cut, 0, sizeof(watch->word.cut));
    memset(&watch->dead, 0, sizeof(watch->dead));
    memcpy(watch->due, watch->heard, sizeof(watch->due));
    watch->lag_due = true;
    f->now.judging = true;
    failover_handle(f, &event);
    failover_hurry(f, -1);
}

bool
failover_watch_is_busy(const struct failover *f)
{
    return f->watch.judging != 0 && (f->watch.proposal != 0 || f->watch.resume);
}

static void
keep(struct failover *f, const struct plan_event *event)
{
    struct failover_late *late = xcalloc(1, sizeof(*late));

    late->event = *event;
    if (event->text != NULL) {
        str_copy(late->text, sizeof(late->text), event->text);
        late->event.text = late->text;
    }
    list_append(&f->watch.late, &late->link);
}

static void
load_sets(struct failover *f)
{
    for (size_t n = 0; n < WD_SET_WORDS; n++)
        f->config.may_promote.bits[n] = atomic_load(&f->watch.live->may_promote[n]);
}

bool
failover_watch_allows(struct failover *f, const struct plan_event *event)
{
    struct failover_watch *watch = &f->watch;

    if (watch->judging == 0)
        return false;
    if (watch->proposal == 0 && !watch->resume && failover_leads(f)) {
        load_sets(f);
        return true;
    }
    switch (event->kind) {
    case PLAN_STEP_ENDED:
    case PLAN_RECOVERY_ENDED:
        keep(f, event);
        break;
    case PLAN_LAG:
        watch->lag_due = true;
        break;
    case PLAN_NODES_LOADED:
        watch->nodes_due = true;
        break;
    case PLAN_RESUMED:
        watch->resume = true;
        break;
    default: /* looked up anew */
        break;
    }
    return false;
}

bool
failover_watch_proposes(struct failover *f)
{
    struct failover_watch *watch = &f->watch;
    struct area *area = shared_wd_proposal(f->proc->shared);
    struct wd_proposal *proposal;

    watch->proposed.len = 0;
    failover_print(f, &watch->proposed);
    if (watch->revision != 0 && watch->proposed.len == watch->committed.len &&
        memcmp(watch->proposed.data, watch->committed.data, watch->proposed.len) == 0)
        return false;
    BUG_UNLESS(watch->proposed.len < WD_TEXT_BYTES);
    watch->last_proposal = watch->last_proposal == UINT32_MAX ? 1 : watch->last_proposal + 1;
    watch->proposal = watch->last_proposal;
    proposal = area_write_anew(area);
    proposal->judging = watch->judging;
    proposal->proposal = watch->proposal;
    proposal->len = (uint32_t)watch->proposed.len;
    memset(&proposal->state, 0, sizeof(proposal->state));
    wd_state_from_plan(&proposal->state, &f->now.plan, 0);
    memcpy(proposal->text, watch->proposed.data, watch->proposed.len);
    proposal->text[proposal->len] = '\0';
    area_publish(area);
    wake_send(f->proc->wakes, SLOT_WATCHDOG);
    return true;
}

/* It is the state of the cluster now: its steps are done. */
static void
committed(struct failover *f)
{
    struct failover_watch *watch = &f->watch;
    struct buf text = watch->committed;

    watch->committed = watch->proposed;
    watch->proposed = text;
    watch->proposal = 0;
    failover_act(f);
    wait_for_children(f);
}

/* ---- what had to wait ------------------------------------------------------------------------ */

void
failover_watch_fact(struct failover *f, int node_id, const struct health_fact *fact)
{
    struct failover_watch *watch = &f->watch;

    if (node_id < 0 || node_id >= CLUSTER_NODES_MAX)
        return;
    watch->facts[node_id] = *fact;
    watch->heard[node_id] = watch->due[node_id] = true;
    failover_watch(f);
}

/* Dead is who enough members say is dead. */
static void
pass_fact_on(struct failover *f, int node_id)
{
    struct health_fact fact = f->watch.facts[node_id];
    struct plan_event event = {.kind = PLAN_HEALTH, .node_id = node_id, .health = &fact};

    if (f->proc->config->failover_require_consensus) {
        if (cluster_set_has(&f->watch.dead, node_id)) {
            fact.verdict = HEALTH_DEAD;
            fact.answered = false;
        } else if (fact.verdict == HEALTH_DEAD) {
            fact.verdict = HEALTH_SUSPECT;
        }
    }
    f->watch.due[node_id] = false;
    failover_handle(f, &event);
}

static void
pass_late_on(struct failover *f)
{
    struct failover_late *late = list_first(&f->watch.late, struct failover_late, link);

    list_remove(&late->link);
    failover_handle(f, &late->event);
    free(late);
}

static bool
is_free(struct failover *f)
{
    return f->watch.judging != 0 && f->watch.proposal == 0 && !f->watch.resume && failover_leads(f);
}

static void
drain(struct failover *f)
{
    struct failover_watch *watch = &f->watch;
    struct plan_event loaded = {.kind = PLAN_NODES_LOADED, .node_id = -1};

    while (is_free(f) && !list_empty(&watch->late))
        pass_late_on(f);
    if (is_free(f) && watch->nodes_due) {
        watch->nodes_due = false;
        failover_handle(f, &loaded);
    }
    for (int node_id = 0; node_id < CLUSTER_NODES_MAX; node_id++)
        if (watch->due[node_id] && is_free(f))
            pass_fact_on(f, node_id);
    if (is_free(f) && watch->lag_due) {
        watch->lag_due = false;
        failover_look_at_freshness(f, true);
    }
}

/* ---- the watchdog's word --------------------------------------------------------------------- */

static void
look_at_sets(struct failover *f)
{
    struct failover_watch *watch = &f->watch;
    struct plan_event tick = {.kind = PLAN_TICK, .node_id = -1};
    struct cluster_set before = watch->quarantined;
    bool may_changed = false;

    for (int node_id = 0; node_id < CLUSTER_NODES_MAX; node_id++) {
        bool was_dead = cluster_set_has(&watch->dead, node_id);

        if (was_dead != wd_board_has(watch->live->dead, node_id))
            watch->due[node_id] = watch->heard[node_id];
        may_changed |= wd_board_has(watch->live->may_promote, node_id) !=
                       cluster_set_has(&f->config.may_promote, node_id);
    }
    for (size_t n = 0; n < WD_SET_WORDS; n++) {
        watch->dead.bits[n] = atomic_load(&watch->live->dead[n]);
        watch->quarantined.bits[n] = atomic_load(&watch->live->quarantined[n]);
    }
    if (f->now.judging && watch->proposal == 0 && watch->revision != 0 &&
        memcmp(&before, &watch->quarantined, sizeof(before)) != 0) {
        failover_publish(f);
        wake_send_all(f->proc->wakes, f->proc->slot);
    }
    if (may_changed && is_free(f))
        failover_handle(f, &tick);
}

static void
look_at_fence(struct failover *f)
{
    const struct plan *plan = &f->now.plan;
    struct plan_event event = {.kind = PLAN_FENCED, .node_id = -1, .epoch = plan->epoch};

    if (f->watch.orders.fenced_epoch == plan->epoch && plan->operation.kind != PLAN_IDLE &&
        !plan->operation.standing && is_free(f))
        failover_handle(f, &event);
}

static void
resume(struct failover *f)
{
    struct plan_event event = {.kind = PLAN_RESUMED, .node_id = -1};

    if (f->watch.judging == 0 || !f->watch.resume || f->watch.proposal != 0)
        return;
    if (!clock_allows(f)) {
        look_again_in(f, LEAD_AGAIN_MS);
        return;
    }
    f->watch.resume = false;
    failover_handle(f, &event);
    failover_hurry(f, -1);
}

void
failover_watch(struct failover *f)
{
    struct failover_watch *watch = &f->watch;
    struct area *area = shared_wd_orders(f->proc->shared);
    bool news;

    if (f->handling)
        return;
    if (area_epoch(area) != watch->orders_epoch)
        watch->orders_epoch = area_read(area, &watch->orders);
    news = read_committed(f);
    if (watch->judging != 0 && watch->orders.judging != watch->judging)
        stop(f);
    else if (watch->judging == 0 && news)
        apply(f);
    if (watch->judging == 0 && watch->orders.judging != 0)
        begin(f);
    if (watch->proposal != 0 && watch->orders.committed == watch->proposal)
        committed(f);
    resume(f);
    look_at_sets(f);
    look_at_fence(f);
    if (watch->judging != 0 && watch->orders.cuts != watch->word.cuts)
        failover_cut(f);
    drain(f);
    if (f->now.judging && watch->proposal == 0 && watch->revision != 0)
        wait_for_children(f);
    failover_watch_fence(f);
}

/* ---- life ------------------------------------------------------------------------------------ */

/* A leader whose judge hangs lays the term down. */
static void
beat(void *ctx)
{
    struct failover *f = ctx;

    atomic_store(&f->watch.pulse->beat_ns, clock_boottime_ns());
    io_timer_start(f->proc->io, &f->watch.beat, BEAT_MS, beat, f);
}

void
failover_watch_init(struct failover *f)
{
    f->shared = f->proc->config->use_watchdog;
    f->watch.pulse = shared_wd_pulse(f->proc->shared);
    if (f->shared)
        beat(f);
    f->watch.live = shared_wd_live(f->proc->shared);
    f->watch.orders.leader_id = -1;
    list_init(&f->watch.late);
    list_init(&f->watch.cuts);
    area_read(shared_wd_word(f->proc->shared), &f->watch.word);
}

void
failover_watch_fini(struct failover *f)
{
    forget_late(f);
    failover_drop_cuts(f);
    io_timer_stop(&f->watch.again);
    io_timer_stop(&f->watch.unfenced);
    io_timer_stop(&f->watch.beat);
    buf_free(&f->watch.committed);
    buf_free(&f->watch.proposed);
}

/*
 * What the plan asks for: the steps that are done at once. Those that take time are begun here and
 * go on in failover_jobs.c.
 */
#include "failover.h"

#include "base/log.h"
#include "base/str.h"
#include "config/config.h"
#include "os/clock.h"

enum {
    HURRY_MS = 15,       /* between probes while something is to be decided, */
    HURRY_FOR_MS = 5000, /* and for how long */
    SAVE_AGAIN_MS = 5000,
    SAVE_SOON_MS = 300,
};

/* ---- fence ------------------------------------------------------------------------------------
 */

static bool
has_acted(struct failover *f, uint32_t child_no, uint64_t epoch)
{
    struct proc_slot *process = shared_proc_of_child(f->proc->shared, child_no);
    struct child_slot *child = shared_child(f->proc->shared, child_no);

    return atomic_load(&process->pid) == 0 || atomic_load(&child->fenced_epoch) >= epoch;
}

void
failover_watch_fence(struct failover *f)
{
    struct plan_event event = {.kind = PLAN_FENCED, .node_id = -1, .epoch = f->fence_wanted};
    uint32_t count = shared_layout(f->proc->shared)->child_slots;

    if (f->fence_wanted == 0 || f->handling || shared_elders(f->proc->shared) > 0)
        return;
    for (uint32_t n = 0; n < count; n++) {
        if (!has_acted(f, n, f->fence_wanted))
            return;
    }
    f->fence_wanted = 0;
    if (f->shared)
        failover_watch_fenced(f, event.epoch);
    else
        failover_handle(f, &event);
}

static void
look_at_fence(void *ctx)
{
    failover_watch_fence(ctx);
}

/* Children of older generations hear nothing of a fence: they end, all of them. */
void
failover_wait_fenced(struct failover *f, uint64_t epoch)
{
    struct inbox_msg msg = {.kind = INBOX_END_ELDERS};

    if (shared_elders(f->proc->shared) > 0)
        proc_send(f->proc, SLOT_PARENT, &msg);
    f->fence_wanted = epoch;
    io_timer_start(f->proc->io, &f->fence, 0, look_at_fence, f);
}

/* Dead children write nothing. The parent ends them: it alone knows that they are its own. */
void
failover_end_unfenced(struct failover *f, uint64_t epoch)
{
    uint32_t count = shared_layout(f->proc->shared)->child_slots;

    for (uint32_t n = 0; n < count; n++) {
        struct inbox_msg msg = {.kind = INBOX_END_CHILD};

        if (has_acted(f, n, epoch))
            continue;
        msg.end.slot = shared_slot_of_child(f->proc->shared, n);
        msg.end.pid = atomic_load(&shared_proc_of_child(f->proc->shared, n)->pid);
        proc_send(f->proc, SLOT_PARENT, &msg);
    }
    failover_wait_fenced(f, epoch);
}

/* ---- others -----------------------------------------------------------------------------------
 */

void
failover_hurry(struct failover *f, int node_id)
{
    uint32_t slots = shared_layout(f->proc->shared)->health_slots;
    struct inbox_msg msg = {.kind = INBOX_HEALTH_HURRY};

    msg.hurry.every_ns = HURRY_MS * NS_PER_MS;
    msg.hurry.until_ns = clock_monotonic_ns() + HURRY_FOR_MS * NS_PER_MS;
    for (uint32_t n = 0; n < MIN(f->config.node_count, slots); n++) {
        if (f->config.nodes[n].configured && (node_id < 0 || (int)n == node_id))
            proc_send(f->proc, slot_of_health((int)n), &msg);
    }
}

static void
tell_unsaved(struct failover *f, const struct err *err)
{
    f->unsaved = true;
    log_error("the status file could not be written, nodes' states are lost when pgpool ends "
              "now: %s",
              err->message);
}

static void
save_again(void *ctx)
{
    struct failover *f = ctx;
    struct err err;

    if (failover_save(f, &err) != 0) {
        if (!f->unsaved)
            tell_unsaved(f, &err);
        io_timer_start(f->proc->io, &f->again, SAVE_AGAIN_MS, save_again, f);
        return;
    }
    if (f->unsaved)
        log_info("the status file has been written");
    f->unsaved = false;
}

/* With a watchdog all of it is in etcd, and nobody waits for a disk of ours. */
void
failover_save_soon(struct failover *f)
{
    if (!io_timer_running(&f->again))
        io_timer_start(f->proc->io, &f->again, SAVE_SOON_MS, save_again, f);
}

/* Without the file we go on: what it is for, a start of pgpool in the middle of all this, is
 * rare, the servers' timelines tell the same, and a cluster without a primary helps nobody. */
static void
write_status(struct failover *f)
{
    struct err err;

    if (f->shared) {
        failover_save_soon(f);
        return;
    }
    if (failover_save(f, &err) == 0) {
        io_timer_stop(&f->again);
        f->unsaved = false;
        return;
    }
    if (!f->unsaved)
        tell_unsaved(f, &err);
    io_timer_start(f->proc->io, &f->again, SAVE_AGAIN_MS, save_again, f);
}

static enum log_level
level_of(enum node_event event)
{
    switch (event) {
    case NODE_EVENT_FAILOVER_REFUSED:
    case NODE_EVENT_NO_CANDIDATE:
    case NODE_EVENT_LOSS_POSSIBLE:
    case NODE_EVENT_STEP_FAILED:
    case NODE_EVENT_ALARM:
    case NODE_EVENT_PRIMARY_MISSING:
    case NODE_EVENT_PRIMARY_IN_DOUBT:
        return LOG_LEVEL_WARNING;
    default:
        return LOG_LEVEL_LOG;
    }
}

void
failover_note(struct failover *f, enum node_event what, int node_id, const char *text)
{
    struct area *area = shared_events(f->proc->shared);
    struct cluster_events *events = area_write(area);
    struct cluster_event *event = &events->list[events->total % CLUSTER_EVENTS_MAX];

    event->at_us = clock_wall_us();
    event->node_id = node_id;
    event->event = (uint8_t)what;
    str_copy(event->text, sizeof(event->text), text);
    events->total++;
    area_publish(area);
    log_write(level_of(what), "%s: %s", node_event_name(what), text);
    failover_run_event_command(f, event);
}

static void
note_event(struct failover *f, const struct plan_step *step)
{
    failover_note(f, (enum node_event)step->event, step->node_id, step->text);
    if (step->event == NODE_EVENT_COMMAND_DONE || step->event == NODE_EVENT_COMMAND_REFUSED)
        failover_command_ended(f, step);
}

void
failover_do(struct failover *f, const struct plan_step *step)
{
    switch ((enum plan_step_kind)step->kind) {
    case PLAN_DO_FENCE:
        failover_open_lines(f);
        wake_send_all(f->proc->wakes, f->proc->slot);
        break;
    case PLAN_DO_PUBLISH:
    case PLAN_DO_QUARANTINE:
        wake_send_all(f->proc->wakes, f->proc->slot);
        break;
    case PLAN_DO_WAIT_FENCED:
        failover_wait_fenced(f, step->epoch);
        break;
    case PLAN_DO_END_UNFENCED:
        failover_end_unfenced(f, step->epoch);
        break;
    case PLAN_DO_ASK_POSITIONS:
    case PLAN_DO_SEARCH_PRIMARY:
        failover_hurry(f, -1);
        break;
    case PLAN_DO_VERIFY_PRIMARY:
        failover_hurry(f, step->node_id);
        break;
    case PLAN_DO_WRITE_STATUS:
        write_status(f);
        break;
    case PLAN_DO_EVENT:
        note_event(f, step);
        break;
    default:
        failover_start_job(f, step);
        break;
    }
}

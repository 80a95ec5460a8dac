/*
 * The processes of the parent: who should run, who does, and what happens when one dies.
 *
 * A slot is cleared before anybody is forked into it again. A death is answered at once; only
 * a process that dies again and again right after its start is put off. Nothing here waits.
 */
#include "base/log.h"
#include "cache/shared.h"
#include "ipc/gate.h"
#include "ipc/statement_stats.h"
#include "os/channel.h"
#include "os/clock.h"
#include "os/daemon.h"
#include "parent.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    QUICK_MS = 1000,  /* who lived shorter has died right after its start */
    QUICK_FREE = 5,   /* so many in a row are forked again at once */
    PUT_OFF_MS = 100, /* then this, doubled each time */
    PUT_OFF_MAX_MS = 3000,
};

static enum proc_kind
kind_of_slot(const struct parent *pa, uint32_t slot)
{
    if (slot >= pa->first_child)
        return PROC_CHILD;
    if (slot >= SLOT_FIRST_HEALTH)
        return PROC_HEALTH;
    switch (slot) {
    case SLOT_PARENT:
        return PROC_PARENT;
    case SLOT_LAG:
        return PROC_LAG;
    case SLOT_PCP:
        return PROC_PCP;
    case SLOT_FAILOVER:
        return PROC_FAILOVER;
    case SLOT_WAL:
        return PROC_WAL;
    case SLOT_WATCHDOG:
        return PROC_WATCHDOG;
    case SLOT_HTTP:
        return PROC_HTTP;
    default:
        return PROC_LOGGER;
    }
}

uint32_t
supervise_living(const struct parent *pa)
{
    uint32_t living = 0;

    for (uint32_t slot = 0; slot < pa->slot_count; slot++)
        living += slot != SLOT_LOGGER && pa->processes[slot].pid != 0;
    return living;
}

bool
supervise_all_ready(const struct parent *pa)
{
    uint32_t ready = 0;

    for (uint32_t slot = pa->first_child; slot < pa->slot_count; slot++)
        ready += pa->processes[slot].pid != 0 &&
                 atomic_load(&shared_proc(pa->base.shared, slot)->ready) != 0;
    return ready >= pa->base.child_target;
}

bool
supervise_logger_lives(const struct parent *pa)
{
    return pa->processes[SLOT_LOGGER].pid != 0;
}

static bool
is_retiring(struct parent *pa, uint32_t slot)
{
    return atomic_load(&shared_proc(pa->base.shared, slot)->retiring) != 0;
}

/* Children who take clients, and, with retiring ones, all who live. */
static uint32_t
count_children(struct parent *pa, bool with_retiring)
{
    uint32_t count = 0;

    for (uint32_t slot = pa->first_child; slot < pa->slot_count; slot++)
        count += pa->processes[slot].pid != 0 && (with_retiring || !is_retiring(pa, slot));
    return count;
}

/* ---- fork ---- */

/* In the new process: lets go of what is the parent's alone. */
static void
become(struct parent *pa, uint32_t slot, pid_t parent_pid)
{
    bool is_logger = slot == SLOT_LOGGER;

    if (!is_logger) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent_pid)
            _exit(1);
    }
    daemon_forget();
    io_free(pa->io);
    pa->io = NULL;
    pidfile_forget(&pa->pidfile);
    fd_close(&pa->life[1]);
    for (uint32_t n = 0; n < pa->clients.count; n++)
        fd_close(&pa->clients.list[n].lock_fd);
    for (uint32_t n = 0; n < pa->pcp.count; n++)
        fd_close(&pa->pcp.list[n].lock_fd);
    if (is_logger) {
        /* Its own words must not come back to it; and the pipe ends when the others have. */
        dup2(pa->own_stderr, STDERR_FILENO);
        fd_close(&pa->log_pipe[1]);
        logger_set_pipe(pa->log_pipe[0]);
    } else {
        fd_close(&pa->log_pipe[0]);
        fd_close(&pa->log_pipe[1]);
    }
    fd_close(&pa->own_stderr);
    fd_close(&pa->command_stderr);
    upgrade_forget(pa);
    peers_forget(&pa->peers);
    if (slot != SLOT_PCP)
        sock_listeners_close(&pa->pcp, false);
    if (slot != SLOT_HTTP)
        sock_listeners_close(&pa->http, false);
    if (slot < pa->first_child)
        sock_listeners_close(&pa->clients, false);
}

static int
fork_process(struct parent *pa, uint32_t slot)
{
    struct proc_slot *shown = shared_proc(pa->base.shared, slot);
    pid_t parent_pid = getpid();
    pid_t pid;

    atomic_store(&shown->ready, 0);
    atomic_store(&shown->retiring, 0);
    shown->kind = kind_of_slot(pa, slot);
    shown->started_at_us = clock_wall_us();
    pid = fork();
    if (pid < 0) {
        log_error("could not fork %s process: %s", proc_row(kind_of_slot(pa, slot))->name,
                  strerror(errno));
        return -1;
    }
    if (pid == 0) {
        struct proc p = pa->base;

        become(pa, slot, parent_pid);
        p.slot = slot;
        p.kind = kind_of_slot(pa, slot);
        p.child_no = p.kind == PROC_CHILD ? slot - pa->first_child : UINT32_MAX;
        p.node_id = p.kind == PROC_HEALTH ? (int32_t)(slot - SLOT_FIRST_HEALTH) : -1;
        atomic_store(&shown->pid, getpid());
        proc_enter(&p, pa->life[0], pa->cmd->debug);
    }
    atomic_store(&shown->pid, pid);
    pa->processes[slot] = (struct process){.pid = pid, .started_ns = clock_monotonic_ns()};
    return 0;
}

static void
look_again(void *ctx)
{
    supervise(ctx);
}

static void
look_again_in(struct parent *pa, int64_t delay_ms)
{
    if (!io_timer_running(&pa->again))
        io_timer_start(pa->io, &pa->again, delay_ms, look_again, pa);
}

static void
start_process(struct parent *pa, uint32_t slot)
{
    struct relapse *r = &pa->relapses[kind_of_slot(pa, slot)];
    int64_t wait_ns = r->not_before_ns - clock_monotonic_ns();

    if (wait_ns > 0)
        look_again_in(pa, wait_ns / NS_PER_MS + 1);
    else if (fork_process(pa, slot) != 0)
        look_again_in(pa, PUT_OFF_MAX_MS);
}

static void
start_children(struct parent *pa)
{
    uint32_t missing =
        pa->base.child_target - MIN(count_children(pa, false), pa->base.child_target);

    for (uint32_t slot = pa->first_child; slot < pa->slot_count && missing > 0; slot++) {
        if (pa->processes[slot].pid == 0) {
            start_process(pa, slot);
            missing--;
        }
    }
}

/* ---- stop ---- */

static void
tell(struct parent *pa, uint32_t slot, enum proc_stop mode)
{
    static const int signals[] = {
        [PROC_STOP_SMART] = SIGTERM, [PROC_STOP_FAST] = SIGINT, [PROC_STOP_IMMEDIATE] = SIGQUIT};
    struct process *process = &pa->processes[slot];

    if (process->pid == 0 || process->told >= mode)
        return;
    process->told = mode;
    kill(process->pid, signals[mode]);
}

/* Should the service in this slot run? Of several generations of processes only the last one judges
 * nodes; one that has not taken over leaves that to the one before. */
static bool
is_wanted(const struct parent *pa, uint32_t slot)
{
    uint32_t node_id = slot - SLOT_FIRST_HEALTH;

    switch (kind_of_slot(pa, slot)) {
    case PROC_LAG:
    case PROC_PCP:
        return true;
    case PROC_HTTP:
        return pa->http.count > 0;
    case PROC_WAL:
        return pa->base.cache != NULL && pa->base.cache->streams != NULL && !pa->succeeded;
    case PROC_WATCHDOG:
        return pa->config->use_watchdog && (pa->from == NULL || pa->took_over) && !pa->succeeded;
    case PROC_FAILOVER:
        return (pa->from == NULL || pa->took_over) && !pa->succeeded;
    case PROC_HEALTH:
        return !pa->succeeded && node_id < pa->config->backend_count &&
               pa->config->backends[node_id].configured;
    default:
        return false;
    }
}

/* The services stay for the last sessions' sake: a smart stop may take hours. The watchdog hands
 * over at once, and goes when nobody has a connection to a server any more; with another generation
 * at work it just goes: that one has our number. */
static void
stop_processes(struct parent *pa)
{
    bool sessions_left = pa->stopping == PROC_STOP_SMART && count_children(pa, true) > 0;

    for (uint32_t slot = pa->first_child; slot < pa->slot_count; slot++)
        tell(pa, slot, pa->stopping);
    for (uint32_t slot = SLOT_LAG; slot < pa->first_child; slot++) {
        if (slot == SLOT_LOGGER)
            continue;
        if (slot == SLOT_WATCHDOG && pa->succeeded)
            tell(pa, slot, PROC_STOP_IMMEDIATE);
        else if (!sessions_left)
            tell(pa, slot, MAX(pa->stopping, PROC_STOP_FAST));
        else if (pa->succeeded && slot != SLOT_LAG)
            tell(pa, slot, PROC_STOP_SMART); /* another one does that now */
        else if (pa->processes[slot].pid == 0 && is_wanted(pa, slot))
            start_process(pa, slot);
        if (slot == SLOT_WATCHDOG && sessions_left)
            tell(pa, slot, PROC_STOP_SMART);
    }
}

void
supervise(struct parent *pa)
{
    if (pa->log_pipe[0] >= 0 && pa->processes[SLOT_LOGGER].pid == 0)
        start_process(pa, SLOT_LOGGER);
    if (pa->stopping != 0) {
        stop_processes(pa);
        return;
    }
    for (uint32_t slot = SLOT_LAG; slot < pa->first_child; slot++) {
        bool wanted = is_wanted(pa, slot);

        if (slot != SLOT_LOGGER && wanted && pa->processes[slot].pid == 0)
            start_process(pa, slot);
        else if (slot != SLOT_LOGGER && !wanted)
            tell(pa, slot, slot == SLOT_WATCHDOG ? PROC_STOP_IMMEDIATE : PROC_STOP_FAST);
    }
    if (pa->serving)
        start_children(pa);
}

void
supervise_kill(struct parent *pa)
{
    for (uint32_t slot = 0; slot < pa->slot_count; slot++) {
        if (pa->processes[slot].pid == 0 || slot == SLOT_LOGGER)
            continue;
        log_warning("%s process %d did not stop in time and is killed",
                    proc_row(kind_of_slot(pa, slot))->name, (int)pa->processes[slot].pid);
        kill(pa->processes[slot].pid, SIGKILL);
    }
}

void
supervise_end_child(struct parent *pa, uint32_t slot, pid_t pid)
{
    if (slot < pa->first_child || slot >= pa->slot_count || pid <= 0 ||
        pa->processes[slot].pid != pid)
        return;
    log_warning("child process %d is ended: it has not let go of the former primary in time",
                (int)pid);
    kill(pid, SIGKILL);
}

/* ---- deaths ---- */

static void
note_relapse(struct parent *pa, uint32_t slot)
{
    struct relapse *r = &pa->relapses[kind_of_slot(pa, slot)];
    int64_t now_ns = clock_monotonic_ns();
    int64_t put_off_ms;

    if (now_ns - pa->processes[slot].started_ns > QUICK_MS * NS_PER_MS) {
        r->quick_deaths = 0;
        return;
    }
    if (++r->quick_deaths <= QUICK_FREE)
        return;
    put_off_ms = PUT_OFF_MS << MIN(r->quick_deaths - QUICK_FREE - 1, 8U);
    put_off_ms = MIN(put_off_ms, (int64_t)PUT_OFF_MAX_MS);
    r->not_before_ns = now_ns + put_off_ms * NS_PER_MS;
    log_warning("%s processes end right after their start; the next one starts in %lld ms",
                proc_row(kind_of_slot(pa, slot))->name, (long long)put_off_ms);
}

static void
tell_death(const struct parent *pa, uint32_t slot, pid_t pid, int status)
{
    const char *name = proc_row(kind_of_slot(pa, slot))->name;
    const char *what = slot >= pa->first_child ? "; its sessions have ended" : "";

    if (WIFSIGNALED(status))
        log_warning("%s process %d was terminated by signal %d: %s%s", name, (int)pid,
                    WTERMSIG(status), strsignal(WTERMSIG(status)), what);
    else if (WEXITSTATUS(status) != 0)
        log_warning("%s process %d exited with status %d%s", name, (int)pid, WEXITSTATUS(status),
                    what);
    else if (pa->stopping == 0)
        log_write(LOG_DEBUG1, "%s process %d has ended", name, (int)pid);
}

/* What it has sent may still be running, and nobody will hear the end of it. */
static void
leave_orphans(struct parent *pa, uint32_t child_no)
{
    struct shared *sh = pa->base.shared;

    if (pa->base.cache == NULL)
        return;
    for (uint32_t n = 0; n < shared_servers_per_child(sh); n++) {
        const struct server_slot *server = shared_server(sh, child_no, n);
        struct cache_orphan o = {server->node_id, (uint32_t)server->backend_pid};
        if (atomic_load(&server->used) != 0 && server->backend_pid != 0)
            cache_orphan_add(pa->base.cache, o);
    }
    cache_shared_bury(pa->base.cache, cache_owner_of_child(child_no));
}

/* What it doubts waits for commits that it knows of; whoever comes after it raises these
 * databases before anything of them is given again. */
static void
leave_streams(struct parent *pa)
{
    cache_streams_end_leases(pa->base.cache->streams);
    cache_shared_bury(pa->base.cache, cache_owner_of_wal(pa->base.cache));
}

static void
bury(struct parent *pa, uint32_t slot, int status)
{
    struct proc_slot *shown = shared_proc(pa->base.shared, slot);
    pid_t pid = pa->processes[slot].pid;
    bool was_told = pa->processes[slot].told != 0;

    if (!was_told || !WIFSIGNALED(status))
        tell_death(pa, slot, pid, status);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        note_relapse(pa, slot);
    if (slot >= pa->first_child)
        leave_orphans(pa, slot - pa->first_child);
    else if (slot == SLOT_WAL)
        leave_streams(pa);
    if (pa->base.statements != NULL)
        statement_stats_bury(pa->base.statements, slot);
    if (slot >= pa->first_child)
        shared_clear_child(pa->base.shared, slot - pa->first_child);
    if (slot >= pa->first_child && pa->base.gates != NULL)
        gates_bury(pa->base.gates, slot - pa->first_child);
    atomic_store(&shown->retiring, 0);
    atomic_store(&shown->pid, 0);
    pa->processes[slot] = (struct process){0};
    if (pa->from != NULL && !pa->took_over && !was_told) {
        struct err err;

        err_set(&err, NULL, "%s process %d has ended right after its start; the log may say why",
                proc_row(kind_of_slot(pa, slot))->name, (int)pid);
        parent_give_up(pa, &err);
    }
}

void
supervise_reap(struct parent *pa)
{
    bool somebody = false;
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        bool ours = upgrade_reaped(pa, pid, status);

        for (uint32_t slot = 0; slot < pa->slot_count; slot++) {
            if (pa->processes[slot].pid == pid) {
                bury(pa, slot, status);
                somebody = ours = true;
            }
        }
        if (!ours)
            pa->last_status = status;
    }
    if (!somebody)
        return;
    supervise(pa);
    /* Children that held back because a dead one had fewer clients look again. */
    wake_send_all(pa->base.wakes, SLOT_PARENT);
}

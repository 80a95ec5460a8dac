/*
 * The frame of every process but the parent: what happens between fork and its entry, and the
 * event loop that serves signals, inbox, wake and configuration for it.
 *
 * Invariants: p->config changes only between two callbacks of the process; the inbox is emptied
 * in small portions, so that no flood of messages keeps clients waiting; the process ends at
 * once, without a word to anybody, when the parent has gone.
 */
#include "proc/proc.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "config/config.h"
#include "frame.h"
#include "os/clock.h"
#include "os/logsink.h"
#include "os/rights.h"
#include "os/title.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { MESSAGES_PER_TURN = 32, TITLE_BYTES = 256, NAME_BYTES = 32 };

_Static_assert((int)CONFIG_TEXT_MAX >= (int)CONFIG_PRINT_MAX, "any configuration must fit");

struct proc_frame {
    const struct proc_ops *ops;
    void *ctx;
    int life_fd;
    bool debug;
    bool ended;
    char name[NAME_BYTES]; /* "child 3" */
};

static const struct proc_ops no_ops = {0};

static const struct proc_row rows[] = {
#define PROCESS(kind, name, entry) [PROC_##kind] = {name, entry},
#include "tables/processes.def"
#undef PROCESS
};

const struct proc_row *
proc_row(enum proc_kind kind)
{
    BUG_UNLESS((size_t)kind < ARRAY_LEN(rows) && rows[kind].entry != NULL);
    return &rows[kind];
}

/* ---- log and title ---- */

void
proc_configure_log(const struct config *cfg, bool debug)
{
    struct logsink_options sink = {
        .to_stderr = (cfg->log_destination & CONFIG_LOG_STDERR) != 0,
        .to_syslog = (cfg->log_destination & CONFIG_LOG_SYSLOG) != 0,
        .facility = (unsigned)cfg->syslog_facility,
        .ident = cfg->syslog_ident,
    };

    log_set_level(debug ? LOG_DEBUG5 : cfg->log_min_messages);
    log_set_verbosity(cfg->log_error_verbosity);
    log_set_prefix(cfg->log_line_prefix);
    log_set_json(cfg->log_format == CONFIG_LOG_JSON);
    logsink_use(&sink);
}

void
proc_title(struct proc *p, const char *fmt, ...)
{
    char title[TITLE_BYTES];
    int len = snprintf(title, sizeof(title), "pgpool: %s: ", p->frame->name);
    va_list args;

    va_start(args, fmt);
    vsnprintf(title + len, sizeof(title) - (size_t)len, fmt, args);
    va_end(args);
    title_set(title);
}

/* ---- configuration ---- */

static void
reload(struct proc *p)
{
    struct proc_frame *f = p->frame;
    struct config_report report;
    struct config *next = NULL;
    const struct config *before = p->config;
    size_t len;
    char *text;

    if (shared_config_generation(p->shared) == p->config_generation)
        return;
    text = shared_read_config(p->shared, &len, &p->config_generation);
    config_report_init(&report);
    if (text != NULL && config_load_text(text, len, p->files->config, &next, &report) == 0) {
        next->generation = p->config_generation;
        p->config = next;
        proc_configure_log(next, f->debug);
        if (f->ops->on_config != NULL)
            f->ops->on_config(f->ctx, before);
        config_free((struct config *)(uintptr_t)before);
    } else {
        /* The parent printed this text from a checked generation. */
        log_error("could not read configuration of generation %llu from shared memory",
                  (unsigned long long)p->config_generation);
    }
    config_report_fini(&report);
    free(text);
}

/* ---- events ---- */

static void
on_signal(void *ctx, int signo)
{
    struct proc *p = ctx;
    struct proc_frame *f = p->frame;
    enum proc_stop mode = signo == SIGTERM ? PROC_STOP_SMART : PROC_STOP_FAST;

    switch (signo) {
    case SIGTERM:
    case SIGINT:
        if (f->ops->on_stop != NULL)
            f->ops->on_stop(f->ctx, mode);
        else
            proc_end(p);
        break;
    case SIGQUIT:
        _exit(0);
    case SIGHUP:
        reload(p);
        break;
    case SIGUSR1: {
        struct inbox_msg msg = {.kind = INBOX_LOG_ROTATE, .from = p->slot};

        if (f->ops->on_inbox != NULL)
            f->ops->on_inbox(f->ctx, &msg);
        break;
    }
    default:
        break;
    }
}

static void
on_inbox(void *ctx, int fd UNUSED, unsigned events UNUSED)
{
    struct proc *p = ctx;
    struct inbox_msg msg;

    for (int n = 0; n < MESSAGES_PER_TURN && !p->frame->ended; n++) {
        if (!inbox_receive(p->inboxes, p->slot, &msg))
            return;
        if (p->frame->ops->on_inbox != NULL)
            p->frame->ops->on_inbox(p->frame->ctx, &msg);
    }
}

static void
on_wake(void *ctx, int fd UNUSED, unsigned events UNUSED)
{
    struct proc *p = ctx;

    wake_drain(p->wakes, p->slot);
    reload(p);
    if (p->frame->ops->on_wake != NULL && !p->frame->ended)
        p->frame->ops->on_wake(p->frame->ctx);
}

/* Nobody ever writes into the pipe: this is its end. The logger takes what is left in its own
 * pipe; all others have nothing to finish that anybody could still use. */
static void
on_parent_gone(void *ctx, int fd UNUSED, unsigned events UNUSED)
{
    struct proc *p = ctx;

    if (p->kind != PROC_LOGGER)
        _exit(1);
    proc_end(p);
}

/* ---- the life of a process ---- */

static void
set_signal_defaults(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t none;

    sigaction(SIGPIPE, &ignore, NULL);
    /* What the parent takes through its loop and we do not; ours were blocked before. */
    sigemptyset(&none);
    sigaddset(&none, SIGCHLD);
    sigprocmask(SIG_UNBLOCK, &none, NULL);
}

static int
make_loop(struct proc *p, struct err *err)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, 0};
    struct io_options options = {.engine = IO_ENGINE_EPOLL};

    if (p->kind == PROC_CHILD) {
        options.engine = p->config->io_engine == CONFIG_IO_ENGINE_IO_URING ? IO_ENGINE_IO_URING
                         : p->config->io_engine == CONFIG_IO_ENGINE_EPOLL  ? IO_ENGINE_EPOLL
                                                                           : IO_ENGINE_AUTO;
    }
    if (io_new(&options, &p->io, err) != 0)
        return -1;
    return io_signals(p->io, signals, on_signal, p, err);
}

static void
enter(struct proc *p)
{
    struct err err;

    if (make_loop(p, &err) != 0) {
        log_fatal("%s", err.message);
        exit(1);
    }
    io_watch(p->io, p->frame->life_fd, IO_READABLE, on_parent_gone, p);
    io_watch(p->io, inbox_fd(p->inboxes, p->slot), IO_READABLE, on_inbox, p);
    io_watch(p->io, wake_fd(p->wakes, p->slot), IO_READABLE, on_wake, p);
    reload(p);
    log_write(LOG_DEBUG1, "%s process started (io engine %s)", p->frame->name,
              io_engine_name(io_engine(p->io)));
    proc_row(p->kind)->entry(p);
    io_free(p->io);
}

void
proc_enter(struct proc *p, int life_fd, bool debug)
{
    struct proc_frame frame = {.ops = &no_ops, .life_fd = life_fd, .debug = debug};
    const char *name = proc_row(p->kind)->name;

    set_signal_defaults();
    rights_limit(p->kind == PROC_FAILOVER || p->kind == PROC_WATCHDOG);
    p->frame = &frame;
    if (p->kind == PROC_CHILD)
        snprintf(frame.name, sizeof(frame.name), "%s %u", name, p->child_no);
    else if (p->kind == PROC_HEALTH)
        snprintf(frame.name, sizeof(frame.name), "%s %d", name, p->node_id);
    else
        snprintf(frame.name, sizeof(frame.name), "%s", name);
    log_set_process(name);
    proc_title(p, "starting");
    inboxes_keep(p->inboxes, p->slot);
    enter(p);
    exit(0);
}

void
proc_run(struct proc *p, const struct proc_ops *ops, void *ctx)
{
    struct err err;

    p->frame->ops = ops;
    p->frame->ctx = ctx;
    atomic_store(&shared_proc(p->shared, p->slot)->ready, 1);
    wake_send(p->wakes, SLOT_PARENT);
    if (io_run(p->io, &err) != 0) {
        log_fatal("%s", err.message);
        exit(1);
    }
    p->frame->ops = &no_ops;
}

void
proc_end(struct proc *p)
{
    p->frame->ended = true;
    io_stop(p->io);
}

bool
proc_send(struct proc *p, uint32_t to_slot, struct inbox_msg *msg)
{
    return inbox_send(p->inboxes, to_slot, msg);
}

bool
proc_retire(struct proc *p)
{
    struct inbox_msg msg = {.kind = INBOX_CHILD_RETIRING};
    uint32_t slots = shared_layout(p->shared)->child_slots;

    for (uint32_t n = 0; n < slots; n++) {
        if (atomic_load(&shared_proc_of_child(p->shared, n)->pid) != 0)
            continue;
        atomic_store(&shared_proc(p->shared, p->slot)->retiring, 1);
        proc_send(p, SLOT_PARENT, &msg);
        return true;
    }
    return false;
}

void
proc_idle_main(struct proc *p)
{
    proc_title(p, "idle");
    proc_run(p, &no_ops, NULL);
}

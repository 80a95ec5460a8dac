/*
 * The parent: opens everything, forks the others, takes signals, reloads, stops.
 *
 * Clients are served once lag has asked every node, so that the first one finds those that are
 * there; until then they wait in the kernel's queue, and the command that was typed with them.
 *
 * It never blocks but in its event loop, reads nothing from any client, and judges nothing. It
 * runs on epoll: forked processes free their copy of the engine, which touches no registration of
 * the parent's there.
 *
 * A stop begins with a signal and ends when nobody is left: SIGTERM lets sessions end by
 * themselves, SIGINT ends them, SIGQUIT ends processes at once. A stricter one overrides; what
 * does not obey a fast or an immediate stop in time is killed. The logger goes last, by the end
 * of its pipe, so that the last words are kept.
 */
#include "config.h"

#include "base/arena.h"
#include "base/log.h"
#include "cluster/view.h"
#include "os/channel.h"
#include "os/clock.h"
#include "os/daemon.h"
#include "os/notify.h"
#include "os/process.h"
#include "os/title.h"
#include "parent.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FAST_LIMIT_MS = 3000,
    IMMEDIATE_LIMIT_MS = 500,
    LOGGER_LIMIT_MS = 2000,
    FIRST_LOOK_LIMIT_MS = 2000,
    TITLE_BYTES = 512,
    MESSAGES_PER_TURN = 32,
};

static const char *const stop_names[] = {
    [PROC_STOP_SMART] = "smart", [PROC_STOP_FAST] = "fast", [PROC_STOP_IMMEDIATE] = "immediate"};

/* ---- reload ---- */

static void
log_report(const struct config_report *report)
{
    for (uint32_t n = 0; n < report->count; n++) {
        struct buf line = BUF_EMPTY;

        config_finding_print(&report->findings[n], &line);
        if (report->findings[n].severity == CONFIG_FAULT)
            log_error("%s", buf_cstr(&line));
        else if (report->findings[n].severity == CONFIG_WARNING)
            log_warning("%s", buf_cstr(&line));
        else
            log_info("%s", buf_cstr(&line));
        buf_free(&line);
    }
}

static void
take_config(struct parent *pa, struct config *next)
{
    config_free(pa->config);
    pa->config = next;
    pa->base.config = next;
    pa->base.config_generation = next->generation;
    proc_configure_log(next, pa->cmd->debug);
    wake_send_all(pa->base.wakes, SLOT_PARENT);
}

static void
reload(struct parent *pa)
{
    const char *path = pa->cmd->files.config;
    struct config *next = NULL;
    struct config_report report;
    struct err err;
    bool taken = false;

    log_info("received SIGHUP, reading \"%s\"", path);
    if (pa->serving)
        notify_reloading();
    config_report_init(&report);
    if (config_load_file(path, &next, &report) == 0 &&
        config_reload_check(pa->config, next, &report) == 0) {
        taken = parent_publish(pa, next, &err) == 0;
        if (!taken)
            log_error("%s", err.message);
    }
    log_report(&report);
    if (taken) {
        take_config(pa, next);
        log_info("configuration \"%s\" has been reloaded", path);
    } else {
        config_free(next);
        log_error("configuration \"%s\" was not changed, because it contains faults", path);
    }
    config_report_fini(&report);
    if (pa->serving)
        notify_ready();
}

/* ---- stop ---- */

static void
show_title(const struct parent *pa)
{
    char title[TITLE_BYTES];
    int len = snprintf(title, sizeof(title), "pgpool: parent: %s%s",
                       pa->stopping != 0 ? stop_names[pa->stopping] : "listening on ",
                       pa->stopping != 0 ? " stop" : "");

    for (uint32_t n = 0; pa->stopping == 0 && n < pa->clients.count && len < (int)sizeof(title);
         n++)
        len += snprintf(title + len, sizeof(title) - (size_t)len, "%s%s", n > 0 ? ", " : "",
                        pa->clients.list[n].text);
    title_set(title);
}

static void
finish_when_alone(struct parent *pa)
{
    if (pa->stopping != 0 && supervise_living(pa) == 0)
        io_stop(pa->io);
}

static void
on_deadline(void *ctx)
{
    struct parent *pa = ctx;

    supervise_kill(pa);
    io_timer_start(pa->io, &pa->deadline, IMMEDIATE_LIMIT_MS, on_deadline, pa);
}

static void
stop(struct parent *pa, enum proc_stop mode)
{
    if (mode <= pa->stopping)
        return;
    log_info("received %s stop request", stop_names[mode]);
    if (pa->stopping == 0) {
        notify_stopping();
        sock_listeners_refuse(&pa->clients);
    }
    pa->stopping = mode;
    show_title(pa);
    if (mode > PROC_STOP_SMART)
        io_timer_start(pa->io, &pa->deadline,
                       mode == PROC_STOP_FAST ? FAST_LIMIT_MS : IMMEDIATE_LIMIT_MS, on_deadline,
                       pa);
    supervise(pa);
    finish_when_alone(pa);
}

/* ---- events ---- */

static void
rotate_log(struct parent *pa)
{
    struct inbox_msg msg = {.kind = INBOX_LOG_ROTATE};

    inbox_send(pa->base.inboxes, SLOT_LOGGER, &msg);
}

static void
on_signal(void *ctx, int signo)
{
    struct parent *pa = ctx;

    switch (signo) {
    case SIGTERM:
        stop(pa, PROC_STOP_SMART);
        break;
    case SIGINT:
        stop(pa, PROC_STOP_FAST);
        break;
    case SIGQUIT:
        stop(pa, PROC_STOP_IMMEDIATE);
        break;
    case SIGHUP:
        reload(pa);
        break;
    case SIGUSR1:
        rotate_log(pa);
        break;
    case SIGCHLD:
        supervise_reap(pa);
        finish_when_alone(pa);
        break;
    default:
        break;
    }
}

static void
on_inbox(void *ctx, int fd UNUSED, unsigned events UNUSED)
{
    struct parent *pa = ctx;
    struct inbox_msg msg;

    for (int n = 0; n < MESSAGES_PER_TURN; n++) {
        if (!inbox_receive(pa->base.inboxes, SLOT_PARENT, &msg))
            return;
        /* Whoever retires has said so in its slot: supervise looks there. */
        if (msg.kind == INBOX_CHILD_RETIRING)
            supervise(pa);
    }
}

/* ---- the first look at the nodes ---- */

static bool
every_node_was_asked(const struct parent *pa)
{
    struct cluster_freshness *seen = xcalloc(1, sizeof(*seen));
    bool all = area_read(shared_freshness(pa->base.shared), seen) != 0;

    for (uint32_t id = 0; id < MIN(seen->node_count, (uint32_t)CLUSTER_NODES_MAX); id++)
        all = all && (seen->nodes[id].configured == 0 || seen->nodes[id].asked != 0);
    free(seen);
    return all;
}

static void
serve(struct parent *pa)
{
    if (pa->serving || pa->stopping != 0)
        return;
    pa->serving = true;
    io_timer_stop(&pa->first_look);
    supervise(pa);
    log_info("%s is ready: %u children, up to %d clients each", PACKAGE_STRING,
             pa->base.child_target, pa->config->child_max_clients);
    daemon_ready();
    notify_ready();
}

/* Then clients wait no longer: they are told that no server is available, or see it in SHOW. */
static void
on_first_look_limit(void *ctx)
{
    serve(ctx);
}

static void
on_wake(void *ctx, int fd UNUSED, unsigned events UNUSED)
{
    struct parent *pa = ctx;

    wake_drain(pa->base.wakes, SLOT_PARENT);
    if (!pa->serving && every_node_was_asked(pa))
        serve(pa);
}

static int
make_loop(struct parent *pa, struct err *err)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD, 0};
    struct io_options options = {.engine = IO_ENGINE_EPOLL};
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    sigaction(SIGPIPE, &ignore, NULL);
    if (io_new(&options, &pa->io, err) != 0 || io_signals(pa->io, signals, on_signal, pa, err) != 0)
        return -1;
    io_watch(pa->io, inbox_fd(pa->base.inboxes, SLOT_PARENT), IO_READABLE, on_inbox, pa);
    io_watch(pa->io, wake_fd(pa->base.wakes, SLOT_PARENT), IO_READABLE, on_wake, pa);
    return 0;
}

/* ---- life ---- */

static void
say_what_we_do(const struct parent *pa)
{
    const struct config *cfg = pa->config;

    for (uint32_t n = 0; n < pa->clients.count; n++)
        log_info("listening on \"%s\"", pa->clients.list[n].text);
    if (cfg->logging_collector)
        log_info("further log output goes to files in \"%s\"", cfg->log_directory);
    else if (!pa->cmd->foreground && (cfg->log_destination & CONFIG_LOG_SYSLOG) == 0 &&
             !daemon_keeps_stderr())
        log_warning("further log output is lost: this process leaves the terminal, and neither "
                    "\"logging_collector\" is on nor \"log_destination\" syslog");
}

static int
start(struct parent *pa, struct err *err)
{
    struct proc_slot *own;

    if (!pa->cmd->foreground && daemon_detach(err) != 0)
        return -1;
    if (parent_open(pa, err) != 0 || make_loop(pa, err) != 0)
        return -1;
    own = shared_proc(pa->base.shared, SLOT_PARENT);
    own->kind = PROC_PARENT;
    own->started_at_us = clock_wall_us();
    atomic_store(&own->pid, getpid());
    show_title(pa);
    say_what_we_do(pa);
    daemon_let_go();
    parent_use_log_pipe(pa);
    proc_configure_log(pa->config, pa->cmd->debug);
    io_timer_start(pa->io, &pa->first_look, FIRST_LOOK_LIMIT_MS, on_first_look_limit, pa);
    supervise(pa);
    return 0;
}

/* The others are gone. The logger reads what is left and ends with its pipe. */
static void
end_logger(struct parent *pa)
{
    if (!supervise_logger_lives(pa))
        return;
    dup2(pa->own_stderr, STDERR_FILENO);
    fd_close(&pa->log_pipe[0]);
    fd_close(&pa->log_pipe[1]);
    pa->processes[SLOT_LOGGER].told = PROC_STOP_FAST;
    if (!process_wait(pa->processes[SLOT_LOGGER].pid, LOGGER_LIMIT_MS))
        kill(pa->processes[SLOT_LOGGER].pid, SIGKILL);
    waitpid(pa->processes[SLOT_LOGGER].pid, NULL, 0);
}

/* Whoever typed the command reads it in the terminal, wherever the log goes. */
static void
fail(const struct parent *pa, const struct err *err)
{
    if ((pa->config->log_destination & CONFIG_LOG_STDERR) == 0)
        fprintf(stderr, "pgpool: %s%s%s%s\n", err->message, err->hint[0] != '\0' ? " (hint: " : "",
                err->hint, err->hint[0] != '\0' ? ")" : "");
    log_fatal("%s", err->message);
    if (err->detail[0] != '\0')
        log_fatal("detail: %s", err->detail);
    if (err->hint[0] != '\0')
        log_fatal("hint: %s", err->hint);
}

int
parent_main(const struct command *cmd, struct config *cfg)
{
    struct parent pa = {
        .cmd = cmd,
        .config = cfg,
        .pidfile = PIDFILE_NONE,
        .life = {-1, -1},
        .log_pipe = {-1, -1},
        .own_stderr = -1,
    };
    struct err err;
    int status = 1;

    pa.base =
        (struct proc){.config = cfg, .files = &cmd->files, .clients = &pa.clients, .pcp = &pa.pcp};
    proc_configure_log(cfg, cmd->debug);
    if (start(&pa, &err) != 0 || io_run(pa.io, &err) != 0) {
        fail(&pa, &err);
    } else {
        log_info("pgpool has stopped");
        end_logger(&pa);
        status = 0;
    }
    io_free(pa.io);
    parent_close(&pa);
    return status;
}

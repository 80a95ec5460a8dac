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
 *
 * One that was started by `pgpool upgrade` (pa->from) gets everything ready beside the running
 * one, and then takes over: from the moment when the pid file is its own, it is pgpool. Before,
 * any failure ends it, and the running one goes on. After, the older generations are told what it
 * is told: it ends when they have ended.
 */
#include "config.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "cluster/nodes.h"
#include "cluster/view.h"
#include "os/channel.h"
#include "os/clock.h"
#include "os/daemon.h"
#include "os/notify.h"
#include "os/process.h"
#include "os/title.h"
#include "os/tls.h"
#include "parent.h"

#include <fcntl.h>
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
    TICKETS_LIFE_MS = 3600 * 1000,
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
    if (config_wants_cache(next) && pa->base.cache == NULL)
        log_warning("the query cache stays off until pgpool is restarted: it has no memory");
    supervise(pa); /* there may be other nodes */
}

/* The first fault, and how many more there are. */
static void
set_fault(const struct config_report *report, struct err *err)
{
    for (uint32_t n = 0; n < report->count; n++) {
        struct buf line = BUF_EMPTY;

        if (report->findings[n].severity != CONFIG_FAULT)
            continue;
        config_finding_print(&report->findings[n], &line);
        err_set(err, "F0000", "%s", buf_cstr(&line));
        buf_free(&line);
        break;
    }
    if (report->faults > 1)
        err_prefix(err, "%u faults, told in the log; the first: ", report->faults);
}

int
parent_reload(struct parent *pa, const char *why, struct err *err)
{
    const char *path = pa->cmd->files.config;
    struct config *next = NULL;
    struct config_report report;
    bool taken = false;

    err_set(err, "F0000", "configuration \"%s\" contains faults", path);
    log_info("%s, reading \"%s\"", why, path);
    if (pa->took_over) /* before, another process is the main one */
        notify_reloading();
    config_report_init(&report);
    if (config_load_file(path, &next, &report) == 0 &&
        config_reload_check(pa->config, next, &report) == 0) {
        taken = parent_publish_tls(pa, next, err) == 0 && parent_publish(pa, next, err) == 0;
        if (!taken)
            log_error("%s", err->message);
    } else {
        set_fault(&report, err);
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
    if (pa->took_over)
        notify_ready();
    return taken ? 0 : -1;
}

/* ---- stop ---- */

static void
show_title(const struct parent *pa)
{
    char title[TITLE_BYTES];
    int len;

    if (pa->succeeded) {
        snprintf(title, sizeof(title), "pgpool: parent: finishing%s, process %d has taken over",
                 pa->stopping > PROC_STOP_SMART ? " at once" : "", (int)pa->peers.successor.pid);
        title_set(title);
        return;
    }
    len = snprintf(title, sizeof(title), "pgpool: parent: %s%s",
                   pa->stopping != 0 ? stop_names[pa->stopping] : "listening on ",
                   pa->stopping != 0 ? " stop" : "");

    for (uint32_t n = 0; pa->stopping == 0 && n < pa->clients.count && len < (int)sizeof(title);
         n++)
        len += snprintf(title + len, sizeof(title) - (size_t)len, "%s%s", n > 0 ? ", " : "",
                        pa->clients.list[n].text);
    title_set(title);
}

/* A new program that has not taken over goes with us; one that has is not ours to wait for. */
void
parent_finish_when_alone(struct parent *pa)
{
    bool others = pa->took_over && !pa->succeeded && peers_elder_count(pa) > 0;
    bool successor = pa->upgrade.pid != 0 && !pa->succeeded;

    if (pa->stopping != 0 && supervise_living(pa) == 0 && !others && !successor)
        io_stop(pa->io);
}

static void
on_deadline(void *ctx)
{
    struct parent *pa = ctx;

    supervise_kill(pa);
    upgrade_kill(pa);
    /* They have a deadline of their own, at about the same time. */
    if (supervise_living(pa) == 0 && pa->took_over && !pa->succeeded)
        peers_kill_elders(pa);
    io_timer_start(pa->io, &pa->deadline, IMMEDIATE_LIMIT_MS, on_deadline, pa);
}

void
parent_stop(struct parent *pa, enum proc_stop mode)
{
    if (mode <= pa->stopping)
        return;
    if (!pa->failed)
        log_info("received %s stop request", stop_names[mode]);
    if (pa->stopping == 0 && (pa->from == NULL || pa->took_over)) {
        notify_stopping();
        sock_listeners_refuse(&pa->clients);
        atomic_store(&shared_proc(pa->base.shared, SLOT_PARENT)->retiring, 1);
    }
    pa->stopping = mode;
    show_title(pa);
    if (pa->took_over && !pa->succeeded)
        peers_say_to_elders(pa, "stop %d", mode);
    if (!pa->succeeded)
        peer_say(&pa->peers.successor, "stop %d", mode);
    if (mode > PROC_STOP_SMART)
        io_timer_start(pa->io, &pa->deadline,
                       mode == PROC_STOP_FAST ? FAST_LIMIT_MS : IMMEDIATE_LIMIT_MS, on_deadline,
                       pa);
    supervise(pa);
    parent_finish_when_alone(pa);
}

void
parent_finish(struct parent *pa)
{
    pa->stopping = MAX(pa->stopping, PROC_STOP_SMART);
    show_title(pa);
    supervise(pa);
    parent_finish_when_alone(pa);
}

void
parent_give_up(struct parent *pa, const struct err *err)
{
    if (pa->failed)
        return;
    pa->failure = *err;
    pa->failed = true;
    parent_stop(pa, PROC_STOP_IMMEDIATE);
}

/* ---- events ---- */

void
parent_rotate_log(struct parent *pa)
{
    struct inbox_msg msg = {.kind = INBOX_LOG_ROTATE};

    inbox_send(pa->base.inboxes, SLOT_LOGGER, &msg);
    if (pa->took_over && !pa->succeeded)
        peers_say_to_elders(pa, "rotate");
}

/* A new program that does not serve yet may have read the file before it was changed, and opened
 * the log file before it was moved away. */
int
parent_reload_all(struct parent *pa, const char *why, struct err *err)
{
    peer_say(&pa->peers.successor, "reload");
    return pa->succeeded ? 0 : parent_reload(pa, why, err);
}

/* One that has taken over tells us to rotate, too. */
void
parent_rotate_all(struct parent *pa)
{
    if (!peer_say(&pa->peers.successor, "rotate") || !pa->succeeded)
        parent_rotate_log(pa);
}

static void
on_signal(void *ctx, int signo)
{
    struct parent *pa = ctx;
    struct err err; /* the log has it */

    if (signo != SIGCHLD && upgrade_pass_signal_on(pa, signo))
        return;
    switch (signo) {
    case SIGTERM:
        parent_stop(pa, PROC_STOP_SMART);
        break;
    case SIGINT:
        parent_stop(pa, PROC_STOP_FAST);
        break;
    case SIGQUIT:
        parent_stop(pa, PROC_STOP_IMMEDIATE);
        break;
    case SIGHUP:
        parent_reload_all(pa, "received SIGHUP", &err);
        break;
    case SIGUSR1:
        parent_rotate_all(pa);
        break;
    case SIGCHLD:
        supervise_reap(pa);
        parent_finish_when_alone(pa);
        break;
    default:
        break;
    }
}

/* Their sessions may have connections to the old primary, and nobody fences them. */
static void
end_elders(struct parent *pa)
{
    if (!pa->took_over || pa->succeeded || peers_elder_count(pa) == 0)
        return;
    log_warning("there is going to be another primary: sessions of the generation before the "
                "upgrade are ended");
    peers_say_to_elders(pa, "stop %d", PROC_STOP_FAST);
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
        else if (msg.kind == INBOX_CANCEL)
            peers_cancel(pa, &msg);
        else if (msg.kind == INBOX_CANCEL_DONE)
            peers_cancel_done(pa, &msg);
        else if (msg.kind == INBOX_HOLD)
            parent_hold_by_inbox(pa, &msg);
        else if (msg.kind == INBOX_ORDER)
            parent_order_by_inbox(pa, &msg);
        else if (msg.kind == INBOX_END_CHILD)
            supervise_end_child(pa, msg.end.slot, msg.end.pid);
        else if (msg.kind == INBOX_END_ELDERS)
            end_elders(pa);
    }
}

/* ---- TLS tickets ---- */

static void
renew_tickets(void *ctx)
{
    struct parent *pa = ctx;
    struct err err;

    if (tls_tickets_renew(shared_tickets(pa->base.shared), &err) != 0)
        log_error("%s", err.message);
    io_timer_start(pa->io, &pa->tickets, TICKETS_LIFE_MS, renew_tickets, pa);
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

/* Has the failover process, where there is one, found the primary, or looked long enough? */
static bool
primary_was_sought(const struct parent *pa)
{
    struct cluster_nodes *nodes;
    bool sought;

    if (pa->from != NULL)
        return true; /* the generation before still judges */
    nodes = xcalloc(1, sizeof(*nodes));
    sought = area_read(shared_nodes(pa->base.shared), nodes) != 0 &&
             (!nodes->judging || nodes->plan.primary_id >= 0 || nodes->plan.search_waited);
    free(nodes);
    return sought;
}

static void
say_ready(const struct parent *pa)
{
    log_info("%s is ready: %u children, up to %d clients each", PACKAGE_STRING,
             pa->base.child_target, pa->config->child_max_clients);
}

/* Everything is ready, and nobody has been let in: now it happens. The pid file first, since it is
 * what may still fail; the doors last, when our word is on its way, since the other one may kill us
 * up to that. It may have died meanwhile; we go on all the same. */
static void
take_over(struct parent *pa)
{
    struct peer *elder = &pa->peers.elders[0];
    struct err err;

    if (pa->took_over || pa->stopping != 0)
        return;
    if (pidfile_replace(&pa->pidfile, pa->config->pid_file_name, &err) != 0) {
        parent_give_up(pa, &err);
        return;
    }
    pa->took_over = true;
    parent_own_sockets(pa);
    upgrade_open_door(pa);
    if (!peer_say(elder, "serving %u %u", pa->base.child_base,
                  shared_layout(pa->base.shared)->child_slots))
        notify_ready();
    shared_open_doors(pa->base.shared);
    shared_set_elders(pa->base.shared, peers_elder_count(pa));
    wake_send_all(pa->base.wakes, SLOT_PARENT);
    supervise(pa);
    for (uint32_t n = 1; n < ELDERS_MAX; n++) {
        if (pa->peers.elders[n].fd >= 0)
            peer_watch(pa, &pa->peers.elders[n]);
    }
    say_ready(pa);
    fd_close(&pa->command_stderr);
}

static void
serve(struct parent *pa)
{
    if (pa->serving || pa->stopping != 0)
        return;
    pa->serving = true;
    io_timer_stop(&pa->first_look);
    if (pa->from == NULL) {
        pa->took_over = true;
        shared_open_doors(pa->base.shared);
    }
    supervise(pa);
    if (pa->from != NULL)
        return; /* on_wake goes on, when all are ready */
    wake_send_all(pa->base.wakes, SLOT_PARENT);
    say_ready(pa);
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
    if (!pa->serving && every_node_was_asked(pa) && primary_was_sought(pa))
        serve(pa);
    if (pa->serving && !pa->took_over && supervise_all_ready(pa))
        take_over(pa);
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
    /* The others still answer to it. */
    if (pa->peers.elders[0].fd >= 0)
        peer_watch(pa, &pa->peers.elders[0]);
    return 0;
}

/* ---- life ---- */

static void
say_what_we_do(const struct parent *pa)
{
    const struct config *cfg = pa->config;

    for (uint32_t n = 0; n < pa->clients.count; n++)
        log_info("listening on \"%s\"", pa->clients.list[n].text);
    for (uint32_t n = 0; n < pa->http.count; n++)
        log_info("listening on \"%s\" for HTTP", pa->http.list[n].text);
    if (cfg->logging_collector)
        log_info("further log output goes to files in \"%s\"", cfg->log_directory);
    else if (!pa->cmd->foreground && (cfg->log_destination & CONFIG_LOG_SYSLOG) == 0 &&
             !daemon_keeps_stderr())
        log_warning("further log output is lost: this process leaves the terminal, and neither "
                    "\"logging_collector\" is on nor \"log_destination\" syslog");
}

/* Of the upgrade command's terminal; the log goes on where it went before. */
static void
let_go_of_command(struct parent *pa)
{
    pa->command_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    dup2(pa->from->log_fd, STDERR_FILENO);
    handover_close_rest(pa->from);
}

static int
start(struct parent *pa, struct err *err)
{
    struct proc_slot *own;

    if (handover_receive(&pa->peers, &pa->from, err) != 0)
        return -1;
    if (pa->from == NULL && !pa->cmd->foreground && daemon_detach(err) != 0)
        return -1;
    if (parent_open(pa, err) != 0 || parent_drop_rights(pa, err) != 0 || make_loop(pa, err) != 0)
        return -1;
    if (pa->from != NULL)
        let_go_of_command(pa);
    else
        upgrade_open_door(pa);
    own = shared_proc(pa->base.shared, SLOT_PARENT);
    own->kind = PROC_PARENT;
    own->started_at_us = clock_wall_us();
    atomic_store(&own->pid, getpid());
    show_title(pa);
    say_what_we_do(pa);
    daemon_let_go();
    parent_use_log_pipe(pa);
    proc_configure_log(pa->config, pa->cmd->debug);
    io_timer_start(pa->io, &pa->tickets, TICKETS_LIFE_MS, renew_tickets, pa);
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
    if (pa->command_stderr >= 0)
        dprintf(pa->command_stderr, "pgpool: %s\n", err->message);
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
        .command_stderr = -1,
        .upgrade = {.door = CTLSOCK_NONE, .asking = {.fd = -1}, .client = {.fd = -1}},
    };
    char pid_file[PID_FILE_BYTES];
    struct err err;
    bool stands_in;
    int status = 1;

    pa.base = (struct proc){.config = cfg,
                            .files = &cmd->files,
                            .clients = &pa.clients,
                            .pcp = &pa.pcp,
                            .http = &pa.http};
    pa.base.forgets_status = cmd->discard_status;
    peers_init(&pa.peers);
    proc_configure_log(cfg, cmd->debug);
    if (start(&pa, &err) != 0 || io_run(pa.io, &err) != 0) {
        fail(&pa, &err);
    } else if (pa.failed) {
        fail(&pa, &pa.failure);
        end_logger(&pa);
    } else {
        log_info(pa.succeeded ? "this generation has finished" : "pgpool has stopped");
        end_logger(&pa);
        status = 0;
    }
    stands_in = upgrade_must_stand_in(&pa);
    str_copy(pid_file, sizeof(pid_file), pa.config->pid_file_name);
    io_free(pa.io);
    parent_close(&pa);
    return stands_in ? upgrade_stand_in(pid_file, pa.last_status) : status;
}

/*
 * Restart without dropping clients, the old parent's side: the control socket, the new program
 * that is started, and what becomes of it.
 *
 *     command --"upgrade 60", its stderr--> old parent --fork, exec--> new parent
 *     command <---"done PID"--------------- old parent <--"serving"--- new parent
 *
 * Until the new one says that it serves, nothing here has changed: whatever happens to it, we go
 * on, and take our files back if it had them already. From then on we are an older generation: we
 * hold no file and no listening socket, our children finish their sessions, and we end with the
 * last one. The new program is ours to start because it must live in our place: our user, limits,
 * cgroup, environment.
 */
#include "base/arena.h"
#include "base/log.h"
#include "cache/shared.h"
#include "os/channel.h"
#include "os/exec.h"
#include "os/notify.h"
#include "os/process.h"
#include "os/title.h"
#include "parent.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    REQUEST_BYTES = 128,
    ANSWER_BYTES = 512,
    LIMIT_MAX_S = 24 * 60 * 60,
    ARGUMENTS_MAX = 16,
    NOT_RUN_STATUS = 127,
};

/* ---- the command that waits ---- */

static void
hang_up(struct caller *caller)
{
    if (caller->watch != NULL)
        io_unwatch(caller->watch);
    caller->watch = NULL;
    fd_close(&caller->fd);
}

PRINTF_LIKE(2, 3)
static void
answer(struct caller *caller, const char *fmt, ...)
{
    char text[ANSWER_BYTES];
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (caller->fd >= 0 && len > 0)
        channel_send(caller->fd, text, MIN((size_t)len, sizeof(text) - 1));
    hang_up(caller);
}

static void
answer_long(struct caller *caller, const struct buf *words)
{
    if (caller->fd >= 0)
        channel_send(caller->fd, words->data, words->len);
    hang_up(caller);
}

/* ---- failure: as if nothing had happened ---- */

/* The new one may have replaced files and died before it said so. */
static void
take_files_back(struct parent *pa)
{
    struct err err;

    pidfile_clean(pa->pidfile.path);
    if (!pidfile_is_ours(&pa->pidfile)) {
        struct pidfile again;

        if (pidfile_replace(&again, pa->pidfile.path, &err) != 0) {
            log_error("%s", err.message);
        } else {
            pidfile_forget(&pa->pidfile);
            pa->pidfile = again;
        }
    }
    parent_own_sockets(pa);
    pidfile_clean(pa->upgrade.door.path);
    if (pa->upgrade.door.fd >= 0 && !ctlsock_is_there(&pa->upgrade.door)) {
        upgrade_close_door(pa);
        upgrade_open_door(pa);
    }
}

/* What the new one's sessions wrote, if it had let any in, was not seen here. */
static void
reopen_cache(struct parent *pa)
{
    if (pa->base.cache == NULL || peers_elder_count(pa) > 0)
        return;
    cache_close(pa->base.cache, CACHE_CLOSED_LEFT);
    cache_open(pa->base.cache, CACHE_CLOSED_GENERATION);
}

static void
fail(struct parent *pa, const char *words)
{
    struct upgrade *up = &pa->upgrade;

    io_timer_stop(&up->limit);
    peer_close(&pa->peers.successor);
    up->pid = 0;
    take_files_back(pa);
    reopen_cache(pa);
    log_error("upgrade has failed, this process %s: %s",
              pa->stopping != 0 ? "stops all the same" : "goes on", words);
    answer(&up->client, "failed %s", words);
}

/* Unless it has said just now that it serves: then clients may be there. Its end is told by
 * supervise_reap. */
static void
give_up(struct parent *pa, const char *why)
{
    if (pa->upgrade.pid != 0 && pa->peers.successor.fd >= 0)
        peer_hear(&pa->peers.successor);
    if (pa->upgrade.pid == 0 || pa->succeeded)
        return;
    if (pa->upgrade.given_up == NULL)
        pa->upgrade.given_up = why;
    kill(pa->upgrade.pid, SIGKILL);
}

void
upgrade_kill(struct parent *pa)
{
    give_up(pa, "pgpool is stopping");
}

static void
on_limit(void *ctx)
{
    give_up(ctx, "the new program did not serve clients within the time limit");
}

bool
upgrade_reaped(struct parent *pa, pid_t pid, int status)
{
    struct upgrade *up = &pa->upgrade;
    char words[ANSWER_BYTES];

    if (up->pid == 0 || pid != up->pid)
        return false;
    if (pa->succeeded) {
        up->pid = 0;
        pa->last_status = status;
        return true;
    }
    /* That it serves may lie in the channel, unread; but it is dead, and we have all that it had.
     */
    if (up->given_up != NULL)
        fail(pa, up->given_up);
    else if (WIFSIGNALED(status)) {
        snprintf(words, sizeof(words), "the new process %d was terminated by signal %d: %s",
                 (int)pid, WTERMSIG(status), strsignal(WTERMSIG(status)));
        fail(pa, words);
    } else {
        snprintf(words, sizeof(words), "the new process %d exited with status %d", (int)pid,
                 WEXITSTATUS(status));
        fail(pa, words);
    }
    parent_finish_when_alone(pa);
    return true;
}

/* ---- success ---- */

/* A stop that was sent while we still were pgpool, and that lies there unread, is meant for pgpool:
 * the new one must hear of it. */
static void
take_pending_stop(struct parent *pa)
{
    sigset_t pending;

    if (sigpending(&pending) != 0)
        return;
    if (sigismember(&pending, SIGQUIT) == 1)
        parent_stop(pa, PROC_STOP_IMMEDIATE);
    else if (sigismember(&pending, SIGINT) == 1)
        parent_stop(pa, PROC_STOP_FAST);
    else if (sigismember(&pending, SIGTERM) == 1)
        parent_stop(pa, PROC_STOP_SMART);
}

void
upgrade_done(struct parent *pa)
{
    struct upgrade *up = &pa->upgrade;

    if (pa->succeeded || up->pid == 0)
        return;
    take_pending_stop(pa);
    pa->succeeded = true;
    io_timer_stop(&up->limit);
    notify_successor(up->pid);
    log_info("process %d has taken over; the sessions of this generation are finished here",
             (int)up->pid);
    pa->peers.successor.pid = up->pid;
    peers_close_elders(pa);
    sock_listeners_close(&pa->clients, true);
    sock_listeners_close(&pa->pcp, true);
    sock_listeners_close(&pa->http, true);
    pidfile_drop(&pa->pidfile);
    answer(&up->client, "done %d", (int)up->pid);
    upgrade_close_door(pa);
    parent_finish(pa);
}

/* ---- the new program ---- */

static void
become_new_program(struct parent *pa, int channel, int words_fd)
{
    const struct command *cmd = pa->cmd;
    const char *options[] = {"-f", cmd->files.config, "-F", cmd->files.pcp_conf,
                             "-a", cmd->files.hba,    "-k", cmd->files.pool_key};
    char *argv[ARGUMENTS_MAX];
    size_t count = 0;
    struct err err;

    argv[count++] = (char *)(uintptr_t)cmd->program;
    for (size_t n = 0; n < ARRAY_LEN(options); n += 2) {
        if (options[n + 1][0] == '\0')
            continue;
        argv[count++] = (char *)(uintptr_t)options[n];
        argv[count++] = (char *)(uintptr_t)options[n + 1];
    }
    if (cmd->foreground)
        argv[count++] = (char *)(uintptr_t) "-n";
    if (cmd->debug)
        argv[count++] = (char *)(uintptr_t) "-d";
    if (cmd->discard_status)
        argv[count++] = (char *)(uintptr_t) "-D";
    if (cmd->clear_oidmaps)
        argv[count++] = (char *)(uintptr_t) "-C";
    argv[count] = NULL;
    if (words_fd >= 0)
        dup2(words_fd, STDERR_FILENO);
    else if (pa->own_stderr >= 0)
        dup2(pa->own_stderr, STDERR_FILENO);
    handover_announce(channel);
    exec_program(cmd->program, argv, &err);
    dprintf(STDERR_FILENO, "pgpool: %s\n", err.message);
    _exit(NOT_RUN_STATUS);
}

/* What keeps an upgrade from beginning now; NULL: nothing. */
static const char *
obstacle(const struct parent *pa)
{
    if (pa->stopping != 0)
        return "pgpool is stopping";
    if (!pa->serving)
        return "pgpool is still starting";
    if (pa->upgrade.pid != 0)
        return "another upgrade is under way";
    if (pa->cmd->program == NULL)
        return "pgpool does not know the path of its program";
    if (holds_any(shared_holds(pa->base.shared)))
        return "pgpool is paused or a node is drained (see SHOW pool_holds)";
    if (peers_elder_count(pa) == ELDERS_MAX)
        return "too many older generations still finish their sessions (see pgpool status)";
    return NULL;
}

static void
on_client(void *ctx, int fd, unsigned events UNUSED)
{
    struct parent *pa = ctx;
    char text[REQUEST_BYTES];
    struct channel_parcel parcel;
    enum channel_result got = channel_receive_fds(fd, text, sizeof(text) - 1, &parcel);

    while (got == CHANNEL_GOT && parcel.fd_count > 0)
        fd_close(&parcel.fds[--parcel.fd_count]);
    if (got != CHANNEL_GONE)
        return; /* it has nothing more to say */
    hang_up(&pa->upgrade.client);
    give_up(pa, "the command that asked for it has ended");
}

static void
begin(struct parent *pa, int words_fd, int limit_s)
{
    struct upgrade *up = &pa->upgrade;
    const char *why = obstacle(pa);
    struct err err;
    pid_t pid;
    int ends[2];

    err_set(&err, NULL, "no process could be made for the new program");
    if (why != NULL) {
        log_info("upgrade is refused: %s", why);
        answer(&up->asking, "failed %s", why);
        return;
    }
    if (channel_new(ends, &err) != 0) {
        answer(&up->asking, "failed %s", err.message);
        return;
    }
    hang_up(&up->client);
    up->client.fd = up->asking.fd;
    up->asking.fd = -1;
    hang_up(&up->asking);
    up->client.watch = io_watch(pa->io, up->client.fd, IO_READABLE, on_client, pa);
    log_info("received upgrade request, starting \"%s\"", pa->cmd->program);
    up->given_up = NULL;
    /* before any session of the new one can write */
    if (pa->base.cache != NULL)
        cache_close(pa->base.cache, CACHE_CLOSED_GENERATION);
    /* Whoever ends in between leaves his successor to us: `pgpool status` finds all of them. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid = handover_send(ends[0], pa, &err) == 0 ? fork() : -1;
    if (pid == 0)
        become_new_program(pa, ends[1], words_fd);
    if (pid < 0) {
        fd_close(&ends[0]);
        fd_close(&ends[1]);
        fail(pa, err.message);
        return;
    }
    fd_close(&ends[1]);
    up->pid = pid;
    pa->peers.successor.fd = ends[0];
    peer_watch(pa, &pa->peers.successor);
    io_timer_start(pa->io, &up->limit, (int64_t)limit_s * 1000, on_limit, pa);
}

/* ---- the control socket ---- */

static void
on_asking(void *ctx, int fd, unsigned events UNUSED)
{
    struct parent *pa = ctx;
    struct upgrade *up = &pa->upgrade;
    char text[REQUEST_BYTES];
    struct buf words = BUF_EMPTY;
    struct channel_parcel parcel;
    enum channel_result got = channel_receive_fds(fd, text, sizeof(text) - 1, &parcel);
    int limit_s;

    if (got == CHANNEL_NOTHING)
        return;
    if (got == CHANNEL_GONE) {
        hang_up(&up->asking);
        return;
    }
    text[parcel.len] = '\0';
    if (sscanf(text, "upgrade %d", &limit_s) == 1 && limit_s > 0 && limit_s <= LIMIT_MAX_S)
        begin(pa, parcel.fd_count > 0 ? parcel.fds[0] : -1, limit_s);
    else if (parent_hold_asked(pa, text, &words))
        answer_long(&up->asking, &words);
    else
        answer(&up->asking, "failed this version does not know the request \"%s\"", text);
    while (parcel.fd_count > 0)
        fd_close(&parcel.fds[--parcel.fd_count]);
    buf_free(&words);
}

static void
on_door(void *ctx, int fd, int error)
{
    struct parent *pa = ctx;
    struct caller *asking = &pa->upgrade.asking;

    if (error != 0)
        return;
    if (!ctlsock_is_trusted(fd)) {
        close(fd);
        return;
    }
    /* One that has asked for nothing by now makes room. */
    if (asking->fd >= 0)
        on_asking(pa, asking->fd, IO_READABLE);
    hang_up(asking);
    asking->fd = fd;
    asking->watch = io_watch(pa->io, fd, IO_READABLE, on_asking, pa);
}

void
upgrade_open_door(struct parent *pa)
{
    struct upgrade *up = &pa->upgrade;
    char path[CTLSOCK_PATH_BYTES + 1];
    struct err err;

    snprintf(path, sizeof(path), "%s%s", pa->pidfile.path, CONTROL_SUFFIX);
    if (ctlsock_listen(&up->door, path, &err) != 0) {
        log_warning("%s: \"pgpool upgrade\" will not work", err.message);
        return;
    }
    up->listener = io_listen(pa->io, up->door.fd, on_door, pa);
}

void
upgrade_close_door(struct parent *pa)
{
    struct upgrade *up = &pa->upgrade;

    if (up->listener != NULL)
        io_listener_close(up->listener);
    up->listener = NULL;
    hang_up(&up->asking);
    ctlsock_drop(&up->door);
}

void
upgrade_forget(struct parent *pa)
{
    ctlsock_forget(&pa->upgrade.door);
    fd_close(&pa->upgrade.asking.fd);
    fd_close(&pa->upgrade.client.fd);
}

/* ---- the process in the foreground ---- */

static const int passed_on[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1};

/* A service manager that hears us follows by itself; whoever else started us in the foreground
 * watches this process, and would take its end for the end of pgpool. */
bool
upgrade_must_stand_in(const struct parent *pa)
{
    return pa->succeeded && pa->cmd->foreground && pa->from == NULL && !notify_is_heard();
}

bool
upgrade_pass_signal_on(const struct parent *pa, int signo)
{
    pid_t owner;
    struct err err;

    if (!upgrade_must_stand_in(pa))
        return false;
    owner = pidfile_owner(pa->config->pid_file_name);
    return owner > 0 && process_signal(owner, signo, &err) == 0;
}

/* pgpool itself has died: what still runs are older generations with their last sessions. */
static void
signal_those_left(int signo)
{
    pid_t left[ELDERS_MAX + 1];
    size_t count = process_children(getpid(), left, ARRAY_LEN(left));
    struct err err;

    for (size_t n = 0; n < count; n++)
        process_signal(left[n], signo, &err);
}

int
upgrade_stand_in(const char *pid_file, int last_status)
{
    char title[REQUEST_BYTES];
    sigset_t wanted;
    struct err err;

    sigemptyset(&wanted);
    for (size_t n = 0; n < ARRAY_LEN(passed_on); n++)
        sigaddset(&wanted, passed_on[n]);
    sigaddset(&wanted, SIGCHLD);
    sigprocmask(SIG_BLOCK, &wanted, NULL);
    for (;;) {
        pid_t owner = pidfile_owner(pid_file);
        siginfo_t info;
        pid_t pid;

        while ((pid = waitpid(-1, &last_status, WNOHANG)) > 0) {
        }
        if (pid < 0 && errno == ECHILD)
            return WIFEXITED(last_status) ? WEXITSTATUS(last_status) : 1;
        snprintf(title, sizeof(title), "pgpool: parent: stands in for process %d", (int)owner);
        title_set(title);
        if (sigwaitinfo(&wanted, &info) <= 0 || info.si_signo == SIGCHLD)
            continue;
        owner = pidfile_owner(pid_file); /* another upgrade may have been meanwhile */
        if (owner > 0)
            process_signal(owner, info.si_signo, &err);
        else
            signal_those_left(info.si_signo);
    }
}

/*
 * A command, its output and its end, on the loop of one process.
 *
 * The child is seen dead by waitid(WNOWAIT) and reaped only at the end: while it is a zombie, its
 * process group cannot become a stranger's, and SIGKILL may be sent there. `timer` is, one after
 * the other, the deadline, the time between SIGTERM and SIGKILL, and the last wait for output.
 * Invariant: a callback is followed only by a look at `freed`, since it may call run_free; the
 * memory goes when nobody is inside and the child is reaped.
 */
#include "os/run.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "os/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_AGAIN_MS = 50, READ_BYTES = 4096, FD_MAX_GUESSED = 4096 };

struct run {
    struct io *io;
    const struct run_ops *ops;
    void *ctx;
    pid_t pid;
    int pid_fd; /* -1: none, it is looked at by the timer `look` */
    struct io_watch *pid_watch;
    struct io_timer look;
    int in_fd;  /* our end of the input that is held; -1: none */
    int out_fd; /* -1: the output has ended */
    struct io_watch *out_watch;
    struct io_timer timer;
    bool dead;      /* the child has ended, perhaps others of its group have not */
    bool reaped;    /* pid is no longer ours to signal */
    bool timed_out; /* SIGTERM was sent */
    bool killed;    /* SIGKILL was sent */
    bool over;      /* ended was called */
    bool calling;   /* a callback runs */
    bool freed;
    bool cut; /* the rest of this line is dropped */
    struct run_result result;
    size_t line_len;
    char line[RUN_LINE_BYTES + 1];
};

void
run_result_text(const struct run_result *result, char *text, size_t text_size)
{
    switch (result->end) {
    case RUN_EXITED:
        snprintf(text, text_size, "exited with status %d", result->code);
        return;
    case RUN_SIGNALED:
        snprintf(text, text_size, "was ended by signal %d: %s", result->code,
                 strsignal(result->code));
        return;
    case RUN_TIMED_OUT:
        str_copy(text, text_size, "did not end in time");
        return;
    }
}

pid_t
run_pid(const struct run *r)
{
    return r->pid;
}

/* ---- lines ---- */

/* Bytes of the character that begins here; 0 when it is none that may be shown. */
static size_t
character_len(const uint8_t *at, size_t left)
{
    size_t len = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;

    if (len == 1)
        return at[0] >= ' ' && at[0] != 0x7f ? 1 : 0;
    if (len > left || at[0] > 0xf4)
        return 0;
    for (size_t n = 1; n < len; n++) {
        if ((at[n] & 0xc0) != 0x80)
            return 0;
    }
    /* controls, overlong forms, surrogates, beyond the end */
    if ((at[0] == 0xc2 && at[1] < 0xa0) || (at[0] == 0xe0 && at[1] < 0xa0) ||
        (at[0] == 0xed && at[1] >= 0xa0) || (at[0] == 0xf0 && at[1] < 0x90) ||
        (at[0] == 0xf4 && at[1] >= 0x90))
        return 0;
    return len;
}

static void
make_printable(char *line, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t n = character_len((const uint8_t *)line + at, len - at);

        if (n == 0)
            line[at] = line[at] == '\t' ? ' ' : '?';
        at += MAX(n, (size_t)1);
    }
}

static void
release(struct run *r)
{
    if (!r->freed || !r->reaped || r->calling)
        return;
    explicit_bzero(r->line, sizeof(r->line)); /* it may have been a passphrase */
    free(r);
}

/* False when r may be gone. */
static bool
deliver(struct run *r)
{
    bool freed;

    if (r->line_len > 0 && r->line[r->line_len - 1] == '\r')
        r->line_len--;
    make_printable(r->line, r->line_len);
    r->line[r->line_len] = '\0';
    r->line_len = 0;
    r->cut = false;
    r->calling = true;
    r->ops->line(r->ctx, r->line);
    r->calling = false;
    freed = r->freed;
    release(r);
    return !freed;
}

static bool
take_output(struct run *r, const char *bytes, size_t len)
{
    while (len > 0) {
        const char *end = memchr(bytes, '\n', len);
        size_t part = end != NULL ? (size_t)(end - bytes) : len;
        size_t room = RUN_LINE_BYTES - r->line_len;

        if (!r->cut)
            memcpy(r->line + r->line_len, bytes, MIN(part, room));
        r->line_len += r->cut ? 0 : MIN(part, room);
        r->cut |= part > room;
        if (end == NULL)
            return true;
        if (!deliver(r))
            return false;
        bytes += part + 1;
        len -= part + 1;
    }
    return true;
}

/* ---- ends ---- */

static void
signal_group(struct run *r, int signo)
{
    if (r->reaped)
        return;
    /* it may not have a group of its own yet */
    if (kill(-r->pid, signo) != 0)
        kill(r->pid, signo);
}

static void
reap(struct run *r)
{
    while (!r->reaped && waitpid(r->pid, NULL, WNOHANG) < 0 && errno == EINTR) {
    }
    r->reaped = true;
}

static void
close_output(struct run *r)
{
    if (r->out_fd < 0)
        return;
    io_unwatch(r->out_watch);
    close(r->out_fd);
    r->out_fd = -1;
}

static void
close_input(struct run *r)
{
    if (r->in_fd >= 0)
        close(r->in_fd);
    r->in_fd = -1;
}

static void
stop_watching_child(struct run *r)
{
    io_timer_stop(&r->look);
    if (r->pid_fd < 0)
        return;
    io_unwatch(r->pid_watch);
    close(r->pid_fd);
    r->pid_fd = -1;
}

/* The last thing that its caller does. */
static void
finish(struct run *r)
{
    io_timer_stop(&r->timer);
    if (r->timed_out)
        signal_group(r, SIGKILL);
    if (r->dead)
        reap(r);
    close_output(r);
    close_input(r);
    if (r->timed_out)
        r->result = (struct run_result){RUN_TIMED_OUT, 0};
    if ((r->line_len > 0 || r->cut) && !deliver(r))
        return;
    r->over = true;
    r->calling = true;
    r->ops->ended(r->ctx, &r->result);
    r->calling = false;
    release(r);
}

static void
on_last(void *ctx)
{
    finish(ctx);
}

static void
wait_for_last(struct run *r, int64_t delay_ms)
{
    io_timer_start(r->io, &r->timer, delay_ms, on_last, r);
}

static void
on_kill(void *ctx)
{
    struct run *r = ctx;

    signal_group(r, SIGKILL);
    r->killed = true;
    wait_for_last(r, r->dead ? RUN_DRAIN_MS : RUN_KILL_MS);
}

static void
on_deadline(void *ctx)
{
    struct run *r = ctx;

    r->timed_out = true;
    signal_group(r, SIGTERM);
    io_timer_start(r->io, &r->timer, RUN_KILL_MS, on_kill, r);
}

static void
on_dead(struct run *r)
{
    r->dead = true;
    stop_watching_child(r);
    if (r->freed || r->over) {
        reap(r);
        release(r);
    } else if (r->out_fd < 0) {
        finish(r);
    } else if (!r->timed_out || r->killed) {
        wait_for_last(r, RUN_DRAIN_MS);
    } /* else others of the group have until SIGKILL */
}

/* True when it has ended; it stays a zombie. */
static bool
look_at_child(struct run *r)
{
    siginfo_t info = {0};
    int rc;

    do {
        rc = waitid(P_PID, (id_t)r->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0) { /* somebody took it: how it ended is not known, and its number is not ours */
        r->reaped = true;
        r->result = (struct run_result){RUN_EXITED, -1};
        return true;
    }
    if (info.si_pid != r->pid)
        return false;
    r->result.end = info.si_code == CLD_EXITED ? RUN_EXITED : RUN_SIGNALED;
    r->result.code = info.si_status;
    return true;
}

static void
on_look(void *ctx)
{
    struct run *r = ctx;

    if (look_at_child(r))
        on_dead(r);
    else
        io_timer_start(r->io, &r->look, LOOK_AGAIN_MS, on_look, r);
}

static void
on_pid_fd(void *ctx, int fd UNUSED, unsigned events UNUSED)
{
    struct run *r = ctx;

    if (look_at_child(r))
        on_dead(r);
}

static void
on_output(void *ctx, int fd, unsigned events UNUSED)
{
    struct run *r = ctx;
    char bytes[READ_BYTES];
    ssize_t n = read(fd, bytes, sizeof(bytes));

    if (n > 0) {
        take_output(r, bytes, (size_t)n);
        return;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    close_output(r);
    if (r->dead)
        finish(r);
}

/* ---- the child ---- */

static void
close_others(void)
{
    if (syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0) == 0)
        return;
    /* Before Linux 5.9. Ours are close-on-exec: this is for what a library has opened. */
    for (int fd = STDERR_FILENO + 1; fd < FD_MAX_GUESSED; fd++)
        close(fd);
}

static NORETURN void
become(const struct run_options *options, int in, int out)
{
    const char *shell[] = {"/bin/sh", "-c", options->command, NULL};
    const char *const *argv = options->command != NULL ? shell : options->argv;
    struct err err;

    setsid();
    /* out of the way first: they may be 0 to 2 themselves */
    in = fcntl(in, F_DUPFD, STDERR_FILENO + 1);
    out = fcntl(out, F_DUPFD, STDERR_FILENO + 1);
    if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0)
        _exit(RUN_NOT_FOUND);
    close_others();
    for (const char *const *e = options->environment; e != NULL && *e != NULL; e++)
        putenv((char *)(uintptr_t)*e);
    exec_command(argv[0], (char *const *)(uintptr_t)argv, options->outlives_us, &err);
    dprintf(STDERR_FILENO, "%s\n", err.message);
    _exit(RUN_NOT_FOUND);
}

/* A file in memory: whoever does not read it keeps nobody waiting. */
static int
open_input(const struct run_options *options, struct err *err)
{
    const char *bytes = options->input;
    size_t done = 0;
    int fd;

    if (bytes == NULL) {
        fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        return fd >= 0 ? fd : err_set_errno(err, NULL, errno, "could not open \"/dev/null\"");
    }
    fd = memfd_create("input of a command", MFD_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, NULL, errno, "could not open a file in memory");
    while (done < options->input_len) {
        ssize_t n = write(fd, bytes + done, options->input_len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            err_set_errno(err, NULL, errno, "could not write to a file in memory");
            close(fd);
            return -1;
        }
        done += (size_t)n;
    }
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static int
open_pipe(int fds_r[2], struct err *err)
{
    if (pipe2(fds_r, O_CLOEXEC) != 0)
        return err_set_errno(err, NULL, errno, "could not create a pipe for a command");
    return 0;
}

/* What its process gets, and what is ours of it. */
struct ends {
    int in; /* it reads */
    int out;
    int hold; /* -1: its input is not held */
    int read;
};

static void
close_ends(const struct ends *ends)
{
    const int fds[] = {ends->in, ends->out, ends->hold, ends->read};

    for (size_t n = 0; n < ARRAY_LEN(fds); n++) {
        if (fds[n] >= 0)
            close(fds[n]);
    }
}

static int
open_ends(const struct run_options *options, struct ends *ends, struct err *err)
{
    int in[2] = {-1, -1};
    int out[2] = {-1, -1};
    int rc = 0;

    if (options->hold_input)
        rc = open_pipe(in, err);
    else if ((in[0] = open_input(options, err)) < 0)
        rc = -1;
    if (rc == 0)
        rc = open_pipe(out, err);
    *ends = (struct ends){in[0], out[1], in[1], out[0]};
    if (rc != 0)
        close_ends(ends);
    else
        fcntl(ends->read, F_SETFL, O_NONBLOCK);
    return rc;
}

/* Ours of the ends are left open. */
static int
launch(const struct run_options *options, struct ends *ends, pid_t *pid_r, struct err *err)
{
    if (open_ends(options, ends, err) != 0)
        return -1;
    *pid_r = fork();
    if (*pid_r == 0)
        become(options, ends->in, ends->out);
    if (*pid_r < 0) {
        err_set_errno(err, NULL, errno, "could not start a process for a command");
        close_ends(ends);
        return -1;
    }
    close(ends->in);
    close(ends->out);
    return 0;
}

/* ---- for the owner ---- */

int
run_start(struct io *io, const struct run_options *options, void *ctx, struct run **run_r,
          struct err *err)
{
    struct run *r;
    pid_t pid = -1;
    struct ends ends;

    BUG_UNLESS((options->command != NULL) != (options->argv != NULL));
    if (launch(options, &ends, &pid, err) != 0)
        return -1;
    r = xcalloc(1, sizeof(*r));
    r->io = io;
    r->ops = options->ops;
    r->ctx = ctx;
    r->pid = pid;
    r->in_fd = ends.hold;
    r->out_fd = ends.read;
    r->out_watch = io_watch(io, r->out_fd, IO_READABLE, on_output, r);
    /* close-on-exec by itself; without one (also: too many open files) it is looked at */
    r->pid_fd = options->unwatched ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    if (r->pid_fd >= 0)
        r->pid_watch = io_watch(io, r->pid_fd, IO_READABLE, on_pid_fd, r);
    else
        io_timer_start(io, &r->look, LOOK_AGAIN_MS, on_look, r);
    if (options->deadline_ns != 0) {
        int64_t left_ns = options->deadline_ns - io_now_ns(io);

        io_timer_start(io, &r->timer, MAX((left_ns + NS_PER_MS - 1) / NS_PER_MS, 0), on_deadline,
                       r);
    }
    *run_r = r;
    return 0;
}

static void
let_go(struct run *r, bool kills)
{
    if (r == NULL || r->freed)
        return;
    r->freed = true;
    io_timer_stop(&r->timer);
    close_output(r);
    if (kills && (!r->dead || r->timed_out))
        signal_group(r, SIGKILL);
    close_input(r);
    if (r->dead || look_at_child(r)) {
        stop_watching_child(r);
        reap(r);
    }
    release(r);
}

void
run_free(struct run *r)
{
    let_go(r, true);
}

void
run_leave(struct run *r)
{
    let_go(r, false);
}

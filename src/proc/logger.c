/*
 * The logger: takes what all other processes write to stderr, through one pipe, and puts it into
 * files that it replaces by age, by size, and when it is asked to.
 *
 * The pipe outlives it: when the logger dies, the others go on writing and the next one finds
 * what they wrote. It ends when nobody holds the other end of the pipe any more, and
 * therefore hears no stop request; its own words go straight into the file.
 */
#include "base/log.h"
#include "config/config.h"
#include "frame.h"
#include "os/clock.h"
#include "os/logfile.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    READ_BYTES = 64 * 1024,
    LAST_WORDS_MS = 1000,
    TIMER_MAX_MS = 60 * 60 * 1000, /* the clock may be set; look again at least this often */
};

struct logger {
    struct proc *proc;
    int pipe_fd;
    struct logfile file;
    struct io_timer by_age;
    int64_t age_left_ms; /* beyond what by_age counts */
    bool replace;        /* as soon as the line is complete */
    bool end;
};

static int log_pipe_fd = -1;

void
logger_set_pipe(int fd)
{
    log_pipe_fd = fd;
}

/* ---- files ---- */

static void
write_own_line(void *ctx, enum log_level level UNUSED, const char *line, size_t len)
{
    struct logger *l = ctx;

    if (l->file.in_line)
        logfile_write(&l->file, "\n", 1);
    logfile_write(&l->file, line, len);
    logfile_write(&l->file, "\n", 1);
}

static void
replace_file(struct logger *l, bool by_age)
{
    const struct config *cfg = l->proc->config;
    struct logfile_name name = {
        .directory = cfg->log_directory,
        .pattern = cfg->log_filename,
        .mode = (mode_t)cfg->log_file_mode,
        .truncate = by_age && cfg->log_truncate_on_rotation,
    };
    struct err err;

    l->replace = false;
    if (logfile_open(&l->file, &name, &err) != 0)
        log_error("%s", err.message);
    else
        proc_title(l->proc, "writing %s", l->file.path);
}

static void start_age(struct logger *l);

static void
on_age(void *ctx)
{
    struct logger *l = ctx;
    bool due = l->age_left_ms <= 0;

    if (due)
        replace_file(l, true);
    start_age(l);
}

static void
start_age(struct logger *l)
{
    int64_t age_ms = l->proc->config->log_rotation_age_ms;
    int64_t wait_ms;

    io_timer_stop(&l->by_age);
    if (age_ms <= 0)
        return;
    wait_ms = logfile_until_next_ms(age_ms);
    l->age_left_ms = wait_ms - TIMER_MAX_MS;
    io_timer_start(l->proc->io, &l->by_age, MIN(wait_ms, (int64_t)TIMER_MAX_MS), on_age, l);
}

static void
keep(struct logger *l, const char *bytes, size_t len)
{
    int64_t limit_bytes = l->proc->config->log_rotation_size_bytes;

    logfile_write(&l->file, bytes, len);
    if (limit_bytes > 0 && l->file.bytes >= limit_bytes)
        l->replace = true;
    if (l->replace && !l->file.in_line)
        replace_file(l, false);
}

/* ---- events ---- */

static void
on_readable(void *ctx, int fd, unsigned events UNUSED)
{
    struct logger *l = ctx;
    char bytes[READ_BYTES];
    ssize_t n = read(fd, bytes, sizeof(bytes));

    if (n > 0) {
        keep(l, bytes, (size_t)n);
    } else if (n == 0) {
        l->end = true;
        proc_end(l->proc);
    }
}

/* The parent has gone without a word. Those whom it leaves behind die now; what they said last is
 * worth keeping. */
static void
take_last_words(struct logger *l)
{
    int64_t until_ns = clock_monotonic_ns() + LAST_WORDS_MS * NS_PER_MS;
    struct pollfd p = {.fd = l->pipe_fd, .events = POLLIN};

    while (!l->end) {
        int64_t left_ms = (until_ns - clock_monotonic_ns()) / NS_PER_MS;
        int n = left_ms > 0 ? poll(&p, 1, (int)left_ms) : 0;

        if (n > 0)
            on_readable(l, l->pipe_fd, IO_READABLE);
        else if (n == 0 || errno != EINTR)
            return;
    }
}

static void
on_inbox(void *ctx, const struct inbox_msg *msg)
{
    struct logger *l = ctx;

    if (msg->kind != INBOX_LOG_ROTATE)
        return;
    l->replace = true;
    if (!l->file.in_line)
        replace_file(l, false);
}

static void
on_config(void *ctx, const struct config *before)
{
    struct logger *l = ctx;
    const struct config *cfg = l->proc->config;

    log_set_sink(write_own_line, l);
    if (l->file.fd < 0 || strcmp(cfg->log_directory, before->log_directory) != 0 ||
        strcmp(cfg->log_filename, before->log_filename) != 0 ||
        cfg->log_file_mode != before->log_file_mode)
        replace_file(l, false);
    start_age(l);
}

static void
on_stop(void *ctx UNUSED, enum proc_stop mode UNUSED)
{
}

static const struct proc_ops logger_ops = {
    .on_config = on_config,
    .on_inbox = on_inbox,
    .on_stop = on_stop,
};

void
logger_main(struct proc *p)
{
    struct logger l = {.proc = p, .pipe_fd = log_pipe_fd, .file = LOGFILE_NONE};

    log_set_sink(write_own_line, &l);
    replace_file(&l, false);
    start_age(&l);
    io_watch(p->io, l.pipe_fd, IO_READABLE, on_readable, &l);
    proc_run(p, &logger_ops, &l);
    take_last_words(&l);
    io_timer_stop(&l.by_age);
    log_set_sink(NULL, NULL);
    logfile_close(&l.file);
}

/*
 * Running a command beside an event loop: its output line by line, its end, a deadline for both.
 *
 * The command has a session and a process group of its own, no descriptor but 0 to 2, and signals
 * at their default. It is not ended when this process dies: a promotion half way must not be killed
 * with us (no PR_SET_PDEATHSIG). What it writes then goes to a pipe that nobody reads, and SIGPIPE
 * would end it after all: see outlives_us.
 *
 * How long it takes is bounded, whatever the command does. At the deadline SIGTERM goes to the
 * group, RUN_KILL_MS later SIGKILL; a child that does not even end of that is given up after
 * RUN_KILL_MS more. A child that has ended while others hold its output open (something it left in
 * the background) has RUN_DRAIN_MS; those others live on. Who makes a session of his own is out of
 * reach.
 *
 * Needs neither SIGCHLD nor a handler for it; SIGCHLD must not be ignored. Nobody else may wait for
 * all children of this process. Source: pidfd_open(2), waitid(2), close_range(2).
 */
#ifndef OS_RUN_H
#define OS_RUN_H

#include "base/err.h"
#include "os/io.h"

#include <stdbool.h>
#include <sys/types.h>

struct run;

enum {
    RUN_LINE_BYTES = 1024, /* of one line; the rest of a longer one is dropped */
    RUN_KILL_MS = 2000,
    RUN_DRAIN_MS = 300,
    RUN_NOT_FOUND = 127, /* exit status, as in a shell; a line says why */
};

enum run_end { RUN_EXITED, RUN_SIGNALED, RUN_TIMED_OUT };

struct run_result {
    enum run_end end;
    int code; /* exit status (-1: somebody else took it), or the signal's number; 0 when it timed
               * out, however it ended then */
};

static inline bool
run_succeeded(const struct run_result *result)
{
    return result->end == RUN_EXITED && result->code == 0;
}

/* "exited with status 3", "was ended by signal 9: Killed", "did not end in time". */
void run_result_text(const struct run_result *result, char *text, size_t text_size);

struct run_ops {
    /* One line of output or error output, without its end; control characters and what is no
     * UTF-8 are replaced by "?". Valid during the call. */
    void (*line)(void *ctx, const char *text);
    /* Once, after the last line. Only run_free is left to do, here or later. */
    void (*ended)(void *ctx, const struct run_result *result);
};

/* Only read during run_start, but for ops. One of command and argv. */
struct run_options {
    const struct run_ops *ops;      /* borrowed until run_free */
    const char *command;            /* for /bin/sh -c */
    const char *const *argv;        /* argv[0] is an absolute path; ends in NULL */
    const char *const *environment; /* "NAME=value", beside what we have; ends in NULL, or NULL */
    const void *input;              /* its standard input; NULL: /dev/null */
    size_t input_len;               /* bytes */
    bool hold_input;                /* its standard input is a pipe that nothing comes through, and
                                     * that ends with run_free, run_leave, or with us */
    int64_t deadline_ns;            /* CLOCK_MONOTONIC; 0: none */
    bool outlives_us; /* SIGPIPE is ignored in it, so that it can go on when we are gone: for
                       * what must not stop half way */
    bool unwatched;   /* as on a kernel without pidfd_open (before 5.3): looked at every 50 ms */
};

/* Starts it; no callback inside this call. -1 when there is no process or descriptor for it. A
 * program that cannot be run ends with RUN_NOT_FOUND. io must outlive the run. */
int run_start(struct io *io, const struct run_options *options, void *ctx, struct run **run_r,
              struct err *err);

/* No callback runs any more. If the command has not ended, SIGKILL goes to its group; the loop
 * takes its end. Allowed in its own callbacks. NULL is allowed. */
void run_free(struct run *r);

/* The same, but no signal is sent: it goes on by itself, its held input ends. */
void run_leave(struct run *r);

/* Its process and process group. */
pid_t run_pid(const struct run *r);

#endif

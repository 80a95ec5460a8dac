/*
 * Blocking calls beside an event loop: a few threads run what cannot be had without waiting (PAM,
 * LDAP), and the loop hears of the end.
 *
 * Everything else in the program is single-threaded, so what runs on a thread may use only what it
 * was given: its argument, memory, struct err. No log, no configuration, no loop, no static data.
 *
 * Threads are made when they are first needed and block all signals. A process that has made some
 * must not be forked without exec; one that was forked must not use its parent's worker. What a
 * library forks on such a thread (PAM's modules do) starts with no signal blocked.
 *
 * A call that never comes back costs one thread: others take its place, up to four times the
 * number asked for, once its caller has cancelled it.
 */
#ifndef OS_WORKER_H
#define OS_WORKER_H

#include "base/err.h"
#include "os/io.h"

struct worker;
struct worker_job;

struct worker_call {
    /* On a thread: may block. */
    void (*run)(void *arg);
    /* In the loop, when run has returned; may run and cancel other jobs, and free the worker. */
    void (*done)(void *ctx, void *arg);
    /* Frees the argument, secrets and all: after done, or instead of it. Called once, anywhere:
     * in the loop, inside of worker_cancel and worker_free, or on a thread. */
    void (*discard)(void *arg);
};

/* At most this many threads at work, and this many jobs that wait for one. Takes nothing from the
 * system before the first job. */
struct worker *worker_new(struct io *io, unsigned threads, unsigned queue);

/* Starts a job. Returns NULL when the queue is full (53400) or the system has no thread for us
 * (53000); arg is then still the caller's. The job is the worker's, and valid until done is called
 * or it was cancelled. Does not block. */
struct worker_job *worker_run(struct worker *w, const struct worker_call *call, void *arg,
                              void *ctx, struct err *err);

/* Whoever waited has gone: done is not called any more. What runs already runs to its end, unheard.
 * Does not block. */
void worker_cancel(struct worker_job *job);

/* Jobs that wait or run and were not cancelled. */
unsigned worker_busy(const struct worker *w);

/* Ends all: no done is called any more. Jobs that wait are discarded; those that run get this much
 * time. Returns how many threads are still in a foreign library then: they are left to themselves,
 * and what they use is freed when they come back. With any left, the process must end by _exit:
 * the clean-up of exit() would take from them what they use. */
unsigned worker_free(struct worker *w, int timeout_ms);

#endif

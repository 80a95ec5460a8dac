/*
 * Blocking calls on threads, for one event loop (os/worker.h).
 *
 * Two objects: the worker is the loop's alone; the crew is shared with the threads, and everything
 * in it is touched under its lock, but for the memory of a job that runs, which is its thread's.
 * The crew outlives the worker when threads do not come back: the last of them frees it.
 *
 * A job is in one list, `waiting` or `finished`, or runs. Nothing foreign is called under the lock.
 * Invariants: alive = threads that exist; idle = those of them that wait for a job; lost = those
 * whose caller has gone; no done is called for a job that was cancelled.
 */
#include "os/worker.h"

#include "base/arena.h"
#include "base/list.h"
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { LOST_FACTOR = 4 }; /* threads at most, for each one that may be at work */

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_FINISHED };

struct crew {
    pthread_mutex_t lock;
    pthread_cond_t work; /* a job waits, or it is the end */
    pthread_cond_t gone; /* a thread has ended */
    struct list waiting;
    struct list running;
    struct list finished;
    unsigned max;
    unsigned alive;
    unsigned idle;
    unsigned lost;
    unsigned waiting_count;
    bool ending;
    bool orphaned; /* the worker has gone: the last thread frees */
    int event_fd;
};

struct worker {
    struct io *io;
    struct crew *crew; /* NULL before the first job */
    struct io_watch *watch;
    unsigned threads;
    unsigned queue;
    unsigned busy;
    bool delivering; /* done is being called, which may free the worker */
    bool freed;
};

struct worker_job {
    struct list link;
    struct worker *worker; /* for the loop only */
    enum job_state state;
    bool cancelled;
    const struct worker_call *call;
    void *arg;
    void *ctx;
};

/* ---- threads ---- */

static _Thread_local bool is_on_thread;

static void
unblock_in_child(void)
{
    sigset_t none;

    if (!is_on_thread)
        return;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void
set_fork_handler(void)
{
    pthread_atfork(NULL, NULL, unblock_in_child);
}

static void
crew_free(struct crew *c)
{
    close(c->event_fd);
    pthread_cond_destroy(&c->gone);
    pthread_cond_destroy(&c->work);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static void
discard(struct worker_job *job)
{
    job->call->discard(job->arg);
    free(job);
}

/* Called and left with the lock. */
static void
end_job(struct crew *c, struct worker_job *job)
{
    static const uint64_t one = 1;
    ssize_t n;

    list_remove(&job->link);
    if (!job->cancelled) {
        job->state = JOB_FINISHED;
        list_append(&c->finished, &job->link);
        do {
            n = write(c->event_fd, &one, sizeof(one));
        } while (n < 0 && errno == EINTR);
        return;
    }
    c->lost--;
    pthread_mutex_unlock(&c->lock);
    discard(job);
    pthread_mutex_lock(&c->lock);
}

static bool
is_surplus(const struct crew *c)
{
    return c->alive - c->lost > c->max;
}

static void *
thread_main(void *arg)
{
    struct crew *c = arg;
    bool last;

    is_on_thread = true;
    pthread_setname_np(pthread_self(), "pgpool worker");
    pthread_mutex_lock(&c->lock);
    while (!c->ending && !is_surplus(c)) {
        struct worker_job *job;

        if (list_empty(&c->waiting)) {
            c->idle++;
            pthread_cond_wait(&c->work, &c->lock);
            c->idle--;
            continue;
        }
        job = list_first(&c->waiting, struct worker_job, link);
        list_remove(&job->link);
        list_append(&c->running, &job->link);
        c->waiting_count--;
        job->state = JOB_RUNNING;
        pthread_mutex_unlock(&c->lock);
        job->call->run(job->arg);
        pthread_mutex_lock(&c->lock);
        end_job(c, job);
    }
    c->alive--;
    last = c->orphaned && c->alive == 0;
    pthread_cond_signal(&c->work); /* it may have been woken for a job */
    pthread_cond_signal(&c->gone);
    pthread_mutex_unlock(&c->lock);
    if (last)
        crew_free(c);
    return NULL;
}

static int
make_thread(struct crew *c)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all;
    sigset_t before;
    int rc;

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&thread, &attr, thread_main, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

/* With the lock, when one job has come or one thread is lost: one more thread, if it is needed and
 * the bounds allow it. Returns 0, or the errno when there is nobody to do the job. */
static int
man_the_crew(struct crew *c)
{
    int rc;

    if (c->idle >= c->waiting_count || c->alive - c->lost >= c->max ||
        c->alive >= c->max * LOST_FACTOR)
        return 0;
    rc = make_thread(c);
    if (rc == 0)
        c->alive++;
    return c->alive > c->lost ? 0 : rc;
}

/* ---- the loop's side ---- */

static struct worker_job *
take_finished(struct crew *c)
{
    struct worker_job *job = NULL;

    pthread_mutex_lock(&c->lock);
    if (!list_empty(&c->finished)) {
        job = list_first(&c->finished, struct worker_job, link);
        list_remove(&job->link);
    }
    pthread_mutex_unlock(&c->lock);
    return job;
}

static void
on_event(void *ctx, int fd, unsigned events UNUSED)
{
    struct worker *w = ctx;
    struct worker_job *job;
    uint64_t count;
    ssize_t n;

    do {
        n = read(fd, &count, sizeof(count));
    } while (n < 0 && errno == EINTR);
    w->delivering = true;
    while (!w->freed && (job = take_finished(w->crew)) != NULL) {
        w->busy--;
        job->call->done(job->ctx, job->arg);
        discard(job);
    }
    w->delivering = false;
    if (w->freed)
        free(w);
}

static int
make_crew(struct worker *w, struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_condattr_t attr;
    struct crew *c;
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    if (fd < 0)
        return err_set_errno(err, "53000", errno, "could not make an eventfd");
    pthread_once(&once, set_fork_handler);
    c = xcalloc(1, sizeof(*c));
    c->event_fd = fd;
    c->max = w->threads;
    list_init(&c->waiting);
    list_init(&c->running);
    list_init(&c->finished);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->work, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->gone, &attr);
    pthread_condattr_destroy(&attr);
    w->crew = c;
    w->watch = io_watch(w->io, fd, IO_READABLE, on_event, w);
    return 0;
}

struct worker *
worker_new(struct io *io, unsigned threads, unsigned queue)
{
    struct worker *w = xcalloc(1, sizeof(*w));

    BUG_UNLESS(threads > 0 && queue > 0);
    w->io = io;
    w->threads = threads;
    w->queue = queue;
    return w;
}

struct worker_job *
worker_run(struct worker *w, const struct worker_call *call, void *arg, void *ctx, struct err *err)
{
    struct worker_job *job;
    struct crew *c;
    int rc;

    if (w->busy >= w->threads + w->queue) {
        err_set(err, "53400", "too many requests wait for an answer already (%u)", w->queue);
        return NULL;
    }
    if (w->crew == NULL && make_crew(w, err) != 0)
        return NULL;
    c = w->crew;
    job = xcalloc(1, sizeof(*job));
    job->worker = w;
    job->call = call;
    job->arg = arg;
    job->ctx = ctx;
    pthread_mutex_lock(&c->lock);
    list_append(&c->waiting, &job->link);
    c->waiting_count++;
    rc = man_the_crew(c);
    if (rc != 0) {
        list_remove(&job->link);
        c->waiting_count--;
    } else {
        pthread_cond_signal(&c->work);
    }
    pthread_mutex_unlock(&c->lock);
    if (rc == 0) {
        w->busy++;
        return job;
    }
    free(job);
    err_set_errno(err, "53000", rc, "could not make a thread");
    return NULL;
}

void
worker_cancel(struct worker_job *job)
{
    struct worker *w = job->worker;
    struct crew *c = w->crew;
    bool runs;

    w->busy--;
    pthread_mutex_lock(&c->lock);
    job->cancelled = true;
    runs = job->state == JOB_RUNNING;
    if (runs) {
        c->lost++;
        man_the_crew(c);
    } else {
        list_remove(&job->link);
        if (job->state == JOB_WAITING)
            c->waiting_count--;
    }
    pthread_mutex_unlock(&c->lock);
    /* One that runs is its thread's from now on. */
    if (!runs)
        discard(job);
}

unsigned
worker_busy(const struct worker *w)
{
    return w->busy;
}

/* ---- the end ---- */

static void
discard_all(struct list *jobs)
{
    while (!list_empty(jobs)) {
        struct worker_job *job = list_first(jobs, struct worker_job, link);

        list_remove(&job->link);
        discard(job);
    }
}

static void
move_all(struct list *to, struct list *from)
{
    while (!list_empty(from)) {
        struct list *link = from->next;

        list_remove(link);
        list_append(to, link);
    }
}

/* Returns how many threads are left; the crew is then theirs. */
static unsigned
end_crew(struct crew *c, int timeout_ms)
{
    struct timespec until;
    struct list left;
    unsigned alive;

    list_init(&left);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (timeout_ms % 1000) * NS_PER_MS;
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_sec++;
        until.tv_nsec -= NS_PER_S;
    }
    pthread_mutex_lock(&c->lock);
    c->ending = true;
    move_all(&left, &c->waiting);
    move_all(&left, &c->finished);
    c->waiting_count = 0;
    list_for_each (at, &c->running) {
        struct worker_job *job = list_entry(at, struct worker_job, link);

        c->lost += !job->cancelled;
        job->cancelled = true;
    }
    pthread_cond_broadcast(&c->work);
    while (c->alive > 0 && pthread_cond_timedwait(&c->gone, &c->lock, &until) != ETIMEDOUT) {
    }
    alive = c->alive;
    c->orphaned = true;
    pthread_mutex_unlock(&c->lock);
    if (alive == 0)
        crew_free(c);
    discard_all(&left);
    return alive;
}

unsigned
worker_free(struct worker *w, int timeout_ms)
{
    unsigned left = 0;

    if (w == NULL)
        return 0;
    if (w->crew != NULL) {
        io_unwatch(w->watch);
        left = end_crew(w->crew, timeout_ms);
    }
    w->freed = true;
    if (!w->delivering)
        free(w);
    return left;
}

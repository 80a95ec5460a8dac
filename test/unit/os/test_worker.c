/*
 * Blocking calls beside the loop: many jobs, the bounds, cancelling, the end while all are busy.
 */
#include "io_bed.h"

#include "base/arena.h"
#include "os/worker.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { END_MS = 10000 };

/* What the jobs of a test share. Those that block do so until the gate opens. */
struct hall {
    atomic_uint gate; /* 1: open */
    atomic_uint at_work;
    atomic_uint most_at_work;
    atomic_uint begun;
    atomic_uint discarded;
    unsigned done;
    unsigned turns;
    struct io_timer tick;
    struct bed *bed;
    struct worker *worker;
    bool free_in_done;
};

struct task {
    struct hall *hall;
    unsigned number;
    unsigned answer;
    bool blocks;
};

static void
look_again(void)
{
    poll(NULL, 0, 1);
}

static void
run_task(void *arg)
{
    struct task *t = arg;
    unsigned now = atomic_fetch_add(&t->hall->at_work, 1) + 1;
    unsigned most = atomic_load(&t->hall->most_at_work);

    atomic_fetch_add(&t->hall->begun, 1);
    while (now > most && !atomic_compare_exchange_weak(&t->hall->most_at_work, &most, now)) {
    }
    while (t->blocks && atomic_load(&t->hall->gate) == 0)
        look_again();
    t->answer = t->number * 3;
    atomic_fetch_sub(&t->hall->at_work, 1);
}

static void
task_done(void *ctx, void *arg)
{
    struct hall *h = ctx;
    struct task *t = arg;

    assert_ptr_equal(t->hall, h);
    assert_int_equal(t->answer, t->number * 3);
    h->done++;
    if (h->free_in_done) {
        assert_int_equal(worker_free(h->worker, END_MS), 0);
        h->worker = NULL;
    }
}

static void
discard_task(void *arg)
{
    struct task *t = arg;

    atomic_fetch_add(&t->hall->discarded, 1);
    free(t);
}

static const struct worker_call task_call = {run_task, task_done, discard_task};

static struct hall *
hall_new(void **state, unsigned threads, unsigned queue)
{
    struct bed *bed = *state;
    struct hall *h;

    if (bed->io == NULL)
        skip();
    h = xcalloc(1, sizeof(*h));
    h->bed = bed;
    h->worker = worker_new(bed->io, threads, queue);
    return h;
}

static struct worker_job *
begin(struct hall *h, unsigned number, bool blocks)
{
    struct task *t = xcalloc(1, sizeof(*t));
    struct worker_job *job;
    struct err err;

    *t = (struct task){.hall = h, .number = number, .blocks = blocks};
    job = worker_run(h->worker, &task_call, t, h, &err);
    if (job == NULL) {
        assert_string_equal(err.sqlstate, "53400");
        free(t);
    }
    return job;
}

static void
until_at_work(struct hall *h, unsigned count)
{
    while (atomic_load(&h->at_work) < count)
        look_again();
}

static bool
all_discarded(void *ctx)
{
    struct hall *h = ctx;

    return atomic_load(&h->at_work) == 0 && atomic_load(&h->discarded) > 0;
}

/* Those of workers: the kernel may have made some for io_uring. */
static unsigned
count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    const struct dirent *entry;
    unsigned count = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        char name[32] = "";
        char path[300];
        FILE *file;

        snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
        file = fopen(path, "r");
        if (file == NULL)
            continue; /* it has ended, or is no thread */
        if (fgets(name, sizeof(name), file) != NULL && strcmp(name, "pgpool worker\n") == 0)
            count++;
        fclose(file);
    }
    closedir(dir);
    return count;
}

static void
no_thread_before_the_first_job(void **state)
{
    struct hall *h;

    while (count_threads() != 0) /* the kernel takes a moment to remove one that has ended */
        sched_yield();
    h = hall_new(state, 4, 4);
    assert_int_equal(count_threads(), 0);
    assert_non_null(begin(h, 1, true));
    until_at_work(h, 1);
    assert_int_equal(count_threads(), 1);
    atomic_store(&h->gate, 1);
    bed_until_count(h->bed, &h->done, 1);
    assert_int_equal(worker_busy(h->worker), 0);
    assert_int_equal(worker_free(h->worker, END_MS), 0);
    assert_int_equal(atomic_load(&h->discarded), 1);
    free(h);
}

static void
many_jobs_all_come_back(void **state)
{
    enum { JOBS = 5000, QUEUE = 50 };
    struct hall *h = hall_new(state, 4, QUEUE);
    unsigned begun = 0;

    while (begun < JOBS) {
        if (begin(h, begun, false) != NULL)
            begun++;
        else
            bed_until_count(h->bed, &h->done, h->done + 1);
    }
    bed_until_count(h->bed, &h->done, JOBS);
    assert_int_equal(h->done, JOBS);
    assert_int_equal(atomic_load(&h->discarded), JOBS);
    assert_true(atomic_load(&h->most_at_work) <= 4);
    assert_int_equal(worker_free(h->worker, END_MS), 0);
    free(h);
}

static void
tick(void *ctx)
{
    struct hall *h = ctx;

    h->turns++;
    io_timer_start(h->bed->io, &h->tick, 1, tick, h);
}

static void
the_loop_goes_on_while_all_threads_block(void **state)
{
    struct hall *h = hall_new(state, 2, 3);

    for (unsigned n = 0; n < 5; n++)
        assert_non_null(begin(h, n, true));
    assert_null(begin(h, 5, true)); /* two at work, three wait */
    assert_int_equal(worker_busy(h->worker), 5);
    tick(h);
    bed_until_count(h->bed, &h->turns, 20);
    assert_int_equal(h->done, 0);
    assert_true(atomic_load(&h->most_at_work) <= 2);
    atomic_store(&h->gate, 1);
    bed_until_count(h->bed, &h->done, 5);
    io_timer_stop(&h->tick);
    assert_int_equal(worker_free(h->worker, END_MS), 0);
    assert_int_equal(atomic_load(&h->discarded), 5);
    free(h);
}

static void
a_cancelled_job_is_not_heard_of(void **state)
{
    struct hall *h = hall_new(state, 1, 2);
    struct worker_job *running = begin(h, 1, true);
    struct worker_job *waiting;

    until_at_work(h, 1);
    waiting = begin(h, 2, false);
    worker_cancel(waiting);
    assert_int_equal(atomic_load(&h->discarded), 1); /* at once: it had not begun */
    worker_cancel(running);
    assert_int_equal(atomic_load(&h->discarded), 1); /* when it has come back */
    assert_int_equal(worker_busy(h->worker), 0);
    atomic_store(&h->gate, 1);
    bed_until(h->bed, all_discarded, h);
    assert_int_equal(worker_free(h->worker, END_MS), 0);
    assert_int_equal(atomic_load(&h->discarded), 2);
    assert_int_equal(h->done, 0);
    free(h);
}

static void
a_finished_job_can_be_cancelled(void **state)
{
    struct hall *h = hall_new(state, 1, 2);
    struct worker_job *first = begin(h, 1, false);
    assert_non_null(begin(h, 2, true));

    /* there is one thread: so the first one has finished, and the loop has not run */
    while (atomic_load(&h->begun) < 2)
        look_again();
    worker_cancel(first);
    atomic_store(&h->gate, 1);
    bed_until_count(h->bed, &h->done, 1);
    assert_int_equal(h->done, 1);
    assert_int_equal(atomic_load(&h->discarded), 2);
    assert_int_equal(worker_free(h->worker, END_MS), 0);
    free(h);
}

/* A module that hangs takes one thread with it, not the service. */
static void
others_take_the_place_of_lost_threads(void **state)
{
    struct hall *h = hall_new(state, 1, 2);
    struct worker_job *job;

    for (unsigned n = 0; n < 3; n++) {
        job = begin(h, n, true);
        until_at_work(h, n + 1);
        worker_cancel(job);
    }
    assert_non_null(begin(h, 7, false));
    bed_until_count(h->bed, &h->done, 1);
    assert_int_equal(atomic_load(&h->at_work), 3);
    job = begin(h, 8, true);
    until_at_work(h, 4);
    worker_cancel(job);
    assert_non_null(begin(h, 9, false)); /* four are lost: it waits for one to come back */
    atomic_store(&h->gate, 1);
    bed_until_count(h->bed, &h->done, 2);
    assert_int_equal(worker_free(h->worker, END_MS), 0);
    assert_int_equal(atomic_load(&h->discarded), 6);
    free(h);
}

static void
the_end_does_not_wait_for_who_hangs(void **state)
{
    struct hall *h = hall_new(state, 2, 4);

    for (unsigned n = 0; n < 5; n++)
        assert_non_null(begin(h, n, true));
    until_at_work(h, 2);
    assert_int_equal(worker_free(h->worker, 20), 2);
    assert_int_equal(atomic_load(&h->discarded), 3);
    atomic_store(&h->gate, 1);
    while (atomic_load(&h->discarded) < 5 || count_threads() > 0)
        look_again();
    assert_int_equal(h->done, 0);
    free(h);
}

static void
the_end_waits_for_who_is_busy(void **state)
{
    struct hall *h = hall_new(state, 4, 4);

    for (unsigned n = 0; n < 4; n++)
        assert_non_null(begin(h, n, true));
    until_at_work(h, 4);
    atomic_store(&h->gate, 1);
    assert_int_equal(worker_free(h->worker, END_MS), 0);
    assert_int_equal(atomic_load(&h->discarded), 4);
    assert_int_equal(h->done, 0);
    free(h);
}

static bool
worker_is_gone(void *ctx)
{
    return ((struct hall *)ctx)->worker == NULL;
}

static void
may_be_freed_by_who_hears_the_end(void **state)
{
    struct hall *h = hall_new(state, 2, 4);

    h->free_in_done = true;
    for (unsigned n = 0; n < 6; n++)
        assert_non_null(begin(h, n, false));
    bed_until(h->bed, worker_is_gone, h);
    assert_int_equal(h->done, 1);
    assert_int_equal(atomic_load(&h->discarded), 6);
    free(h);
}

static void
never_used_and_freed(void **state)
{
    struct hall *h = hall_new(state, 2, 4);

    assert_int_equal(worker_free(h->worker, 0), 0);
    assert_int_equal(worker_free(NULL, 0), 0);
    free(h);
}

/* ---- signals ---- */

struct mask {
    sigset_t on_thread;
    sigset_t in_child;
    bool known;
};

static void
look_at_mask(void *arg)
{
    struct mask *m = arg;
    int ends[2];
    pid_t pid;

    pthread_sigmask(SIG_SETMASK, NULL, &m->on_thread);
    if (pipe(ends) != 0)
        return;
    pid = fork();
    if (pid == 0) {
        sigset_t now;

        sigprocmask(SIG_SETMASK, NULL, &now);
        _exit(write(ends[1], &now, sizeof(now)) == sizeof(now) ? 0 : 1);
    }
    m->known = read(ends[0], &m->in_child, sizeof(m->in_child)) == sizeof(m->in_child);
    waitpid(pid, NULL, 0);
    close(ends[0]);
    close(ends[1]);
}

static void
mask_done(void *ctx, void *arg)
{
    struct mask *m = arg;
    unsigned *done = ctx;

    assert_true(m->known);
    assert_int_equal(sigismember(&m->on_thread, SIGTERM), 1);
    assert_int_equal(sigismember(&m->on_thread, SIGCHLD), 1);
    assert_int_equal(sigismember(&m->on_thread, SIGHUP), 1);
    assert_int_equal(sigismember(&m->in_child, SIGTERM), 0);
    assert_int_equal(sigismember(&m->in_child, SIGPIPE), 0);
    (*done)++;
}

static void
threads_take_no_signals_and_their_children_do(void **state)
{
    static const struct worker_call call = {look_at_mask, mask_done, free};
    struct hall *h = hall_new(state, 1, 1);
    struct err err;

    assert_non_null(worker_run(h->worker, &call, xcalloc(1, sizeof(struct mask)), &h->done, &err));
    bed_until_count(h->bed, &h->done, 1);
    assert_int_equal(worker_free(h->worker, END_MS), 0);
    free(h);
}

int
main(void)
{
    static const struct engine_test tests[] = {
        ENGINE_TEST(no_thread_before_the_first_job),
        ENGINE_TEST(many_jobs_all_come_back),
        ENGINE_TEST(the_loop_goes_on_while_all_threads_block),
        ENGINE_TEST(a_cancelled_job_is_not_heard_of),
        ENGINE_TEST(a_finished_job_can_be_cancelled),
        ENGINE_TEST(others_take_the_place_of_lost_threads),
        ENGINE_TEST(the_end_does_not_wait_for_who_hangs),
        ENGINE_TEST(the_end_waits_for_who_is_busy),
        ENGINE_TEST(may_be_freed_by_who_hears_the_end),
        ENGINE_TEST(never_used_and_freed),
        ENGINE_TEST(threads_take_no_signals_and_their_children_do),
    };

    return run_on_engines("worker", tests, ARRAY_LEN(tests));
}

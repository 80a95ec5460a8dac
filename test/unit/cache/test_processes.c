/*
 * Store and versions together, against a model, with several processes of which one after another
 * is killed at any instruction.
 *
 * The model is a primary that commits whole transactions, a standby that is late, and what clients
 * were told. Each read of every process is judged: an answer out of the cache must contain all that
 * any client was told of and all that anybody has seen at the primary before the question, must be
 * of one moment (two tables of a pair are always written together), and must be whole. A statement
 * that a killed process has left behind commits some time later. With the doubts left out the same
 * run finds wrong answers: the judge can say no.
 */
#include "cache/store.h"

#include "os/clock.h"
#include "os/shm.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    DB = 5,
    TABLES = 8, /* pairs: 0 and 1, 2 and 3, ... */
    KEYS = 300,
    WORKERS = 4,
    STEPS_PER_EVENT = 400,
    ANSWER_MAX = 3000,
};

struct snapshot {
    uint64_t values[TABLES];
};

/* Shared by all. */
struct world {
    pthread_mutex_t lock; /* of the servers */
    struct snapshot primary[2];
    _Atomic uint32_t current; /* which of them; a commit is its change */
    struct snapshot standby[2];
    _Atomic uint32_t standby_current;
    _Atomic int64_t fresh_as_of_ns;
    _Atomic uint64_t known[TABLES];    /* the newest value that somebody was told of, or has seen */
    _Atomic uint32_t running[WORKERS]; /* tables of the statement that runs for it, as bits */
    _Atomic uint32_t left_behind;      /* tables of those that will commit some time */
    _Atomic uint64_t hits;
    _Atomic uint64_t wrong;
    _Atomic bool stop;
    bool without_doubts;
};

struct process {
    struct world *w;
    struct versions *v;
    struct store *st;
    struct doubts *ds;
    uint32_t owner;
    struct buf out;
    uint8_t *answer;
    struct doubt slow; /* of a statement that runs while other clients are served */
    uint32_t slow_tables;
    int slow_left; /* steps */
};

/* ---- servers ---- */

static void
lock(struct world *w)
{
    if (pthread_mutex_lock(&w->lock) == EOWNERDEAD)
        pthread_mutex_consistent(&w->lock); /* the copy in use is whole */
}

static void
commit(struct world *w, uint32_t tables, struct snapshot *after_r)
{
    uint32_t current;

    lock(w);
    current = atomic_load(&w->current);
    *after_r = w->primary[current];
    for (int n = 0; n < TABLES; n++)
        after_r->values[n] += tables >> n & 1;
    w->primary[!current] = *after_r;
    atomic_store(&w->current, !current);
    pthread_mutex_unlock(&w->lock);
}

static struct snapshot
read_server(struct world *w, bool primary)
{
    struct snapshot s;

    lock(w);
    s = primary ? w->primary[atomic_load(&w->current)]
                : w->standby[atomic_load(&w->standby_current)];
    pthread_mutex_unlock(&w->lock);
    return s;
}

static void
replay(struct world *w)
{
    int64_t before = clock_monotonic_ns();
    uint32_t next = !atomic_load(&w->standby_current);

    lock(w);
    w->standby[next] = w->primary[atomic_load(&w->current)];
    atomic_store(&w->standby_current, next);
    pthread_mutex_unlock(&w->lock);
    atomic_store(&w->fresh_as_of_ns, before);
}

static void
make_known(struct world *w, int table, uint64_t value)
{
    uint64_t known = atomic_load(&w->known[table]);

    while (known < value && !atomic_compare_exchange_weak(&w->known[table], &known, value)) {
    }
}

static void
make_all_known(struct world *w, uint32_t tables, const struct snapshot *s)
{
    for (int n = 0; n < TABLES; n++) {
        if ((tables >> n & 1) != 0)
            make_known(w, n, s->values[n]);
    }
}

/* ---- clients ---- */

static void
begin(struct process *p, struct doubt *d, uint32_t tables)
{
    int how = rand() % 50;

    doubt_init(d, DB);
    if (p->w->without_doubts)
        return;
    if (how == 0)
        doubt_begin_all(p->ds, d);
    else if (how < 4)
        doubt_begin_database(p->ds, d);
    else
        for (uint32_t n = 0; n < TABLES; n++) {
            if ((tables >> n & 1) != 0)
                doubt_begin(p->ds, d, 100 + n);
        }
}

static void
write_some(struct process *p)
{
    uint32_t tables = 3u << 2 * (rand() % (TABLES / 2));
    int how = rand() % 20;
    struct snapshot after;
    struct doubt d;

    if (rand() % 3 == 0)
        tables |= 3u << 2 * (rand() % (TABLES / 2));
    begin(p, &d, tables);
    if (how == 0) {
        doubt_end(p->ds, &d, false);
        return;
    }
    if (how == 1) { /* the connection is lost, the statement goes on */
        atomic_fetch_or(&p->w->left_behind, tables);
        doubt_abandon(p->ds, &d);
        return;
    }
    commit(p->w, tables, &after);
    doubt_end(p->ds, &d, true);
    make_all_known(p->w, tables, &after);
}

/* One that takes its time, and goes on to its commit should this process die. */
static void
write_slowly(struct process *p)
{
    struct snapshot after;

    if (p->slow_left == 0) {
        p->slow_tables = 3u << 2 * (rand() % (TABLES / 2));
        p->slow_left = 1 + rand() % 300;
        begin(p, &p->slow, p->slow_tables);
        atomic_store(&p->w->running[p->owner], p->slow_tables);
    } else if (--p->slow_left == 0) {
        commit(p->w, p->slow_tables, &after);
        atomic_store(&p->w->running[p->owner], 0);
        doubt_end(p->ds, &p->slow, true);
        make_all_known(p->w, p->slow_tables, &after);
    }
}

static uint32_t
tables_of(uint64_t key)
{
    return key % 3 == 0 ? 3u << 2 * (key % (TABLES / 2)) : key % 3 == 1 ? 1u << key % TABLES : 0x55;
}

static struct cache_key
key_of(uint64_t n)
{
    return (struct cache_key){(n + 1) * 0x9e3779b97f4a7c15ULL, (n + 1) * 0xc2b2ae3d27d4eb4fULL};
}

/* The answer: all values that the key reads, and what follows from them. */
static size_t
make_answer(uint64_t key, const struct snapshot *s, uint8_t *bytes)
{
    uint64_t x = key;
    size_t len;

    for (int n = 0; n < TABLES; n++) {
        uint64_t value = (tables_of(key) >> n & 1) != 0 ? s->values[n] : 0;

        memcpy(bytes + 8 * n, &value, 8);
        x = (x + value) * 0x9e3779b97f4a7c15ULL;
    }
    len = sizeof(*s) + (x >> 20) % (ANSWER_MAX - sizeof(*s));
    for (size_t n = sizeof(*s); n < len; n++)
        bytes[n] = (uint8_t)(x >> n % 56);
    return len;
}

static bool
is_right(struct process *p, uint64_t key, const struct snapshot *at_least)
{
    uint32_t tables = tables_of(key);
    struct snapshot s;

    if (p->out.len < sizeof(s))
        return false;
    memcpy(&s, p->out.data, sizeof(s));
    if (make_answer(key, &s, p->answer) != p->out.len ||
        memcmp(p->answer, p->out.data, p->out.len) != 0)
        return false;
    for (int n = 0; n < TABLES; n++) {
        if ((tables >> n & 1) != 0 && s.values[n] < at_least->values[n])
            return false;
    }
    for (int n = 0; n < TABLES; n += 2) {
        if ((tables >> n & 3) == 3 && s.values[n] != s.values[n + 1])
            return false;
    }
    make_all_known(p->w, tables, &s);
    return true;
}

static void
ask_server(struct process *p, uint64_t key)
{
    bool primary = rand() % 3 != 0;
    struct store_facts facts = {.as_of_ns = primary ? clock_monotonic_ns()
                                                    : atomic_load(&p->w->fresh_as_of_ns)};
    struct cache_key k = key_of(key);
    struct snapshot s = read_server(p->w, primary);
    size_t len = make_answer(key, &s, p->answer);

    if (primary)
        make_all_known(p->w, tables_of(key), &s);
    read_set_init(&facts.reads, p->v, DB);
    for (uint32_t n = 0; n < TABLES; n++) {
        if ((tables_of(key) >> n & 1) != 0)
            read_set_add(&facts.reads, p->v, DB, 100 + n);
    }
    store_put(p->st, &k, &facts, p->answer, len);
}

static void
read_some(struct process *p)
{
    uint64_t key = (uint64_t)(rand() % KEYS) * (uint64_t)(rand() % 2);
    struct cache_key k;
    struct store_facts facts;
    struct snapshot at_least;

    if (rand() % 4 == 0)
        key = (uint64_t)(rand() % 8);
    k = key_of(key);
    for (int n = 0; n < TABLES; n++)
        at_least.values[n] = atomic_load(&p->w->known[n]);
    buf_clear(&p->out);
    if (!store_get(p->st, &k, clock_monotonic_ns(), &p->out, &facts)) {
        ask_server(p, key);
        return;
    }
    atomic_fetch_add(&p->w->hits, 1);
    if (!is_right(p, key, &at_least))
        atomic_fetch_add(&p->w->wrong, 1);
}

static void
work(struct process *p, int events_fd)
{
    p->ds = doubts_new(p->v, p->owner);
    p->answer = malloc(ANSWER_MAX);
    store_join(p->st, p->owner);
    srand((unsigned)getpid());
    while (!atomic_load(&p->w->stop)) {
        for (int n = 0; n < STEPS_PER_EVENT; n++) {
            if (rand() % 20 == 0)
                write_some(p);
            else
                read_some(p);
            if (p->slow_left > 0 || rand() % 500 == 0)
                write_slowly(p);
        }
        if (write(events_fd, "x", 1) != 1)
            _exit(1);
    }
    _exit(0);
}

/* ---- the parent ---- */

struct run {
    struct process p;
    pid_t pids[WORKERS];
    int events[2];
};

static void
start(struct run *r, uint32_t n)
{
    r->pids[n] = fork();
    assert_true(r->pids[n] >= 0);
    if (r->pids[n] != 0)
        return;
    r->p.owner = n;
    work(&r->p, r->events[1]);
}

static void
kill_one(struct run *r, uint32_t n)
{
    assert_int_equal(kill(r->pids[n], SIGKILL), 0);
    assert_int_equal(waitpid(r->pids[n], NULL, 0), r->pids[n]);
    versions_orphan(r->p.v, n);
    atomic_fetch_or(&r->p.w->left_behind, atomic_exchange(&r->p.w->running[n], 0));
}

/* What was left behind commits, and only then it is over. */
static void
settle(struct run *r)
{
    struct snapshot after;

    versions_orphans_turn(r->p.v);
    commit(r->p.w, atomic_exchange(&r->p.w->left_behind, 0), &after);
    versions_orphans_settle(r->p.v);
}

static void
open_world(struct run *r)
{
    struct store_limits limits = {
        .total_bytes = 150000, .entries_max = 1000, .entry_bytes = ANSWER_MAX, .owners = WORKERS};
    pthread_mutexattr_t attr;
    struct err err;
    void *map;

    assert_int_equal(versions_new(WORKERS, &r->p.v, &err), 0);
    assert_int_equal(store_new(&limits, r->p.v, &r->p.st, &err), 0);
    assert_int_equal(shm_new(sizeof(struct world), &map, &err), 0);
    r->p.w = map;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&r->p.w->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    assert_int_equal(pipe(r->events), 0);
}

static void
close_world(struct run *r)
{
    shm_free(r->p.w, sizeof(struct world));
    store_free(r->p.st);
    versions_free(r->p.v);
    close(r->events[0]);
    close(r->events[1]);
}

static void
go(struct run *r, int events, bool killing)
{
    char byte;

    for (uint32_t n = 0; n < WORKERS; n++)
        start(r, n);
    for (int event = 0; event < events; event++) {
        uint32_t n = (uint32_t)(rand() % WORKERS);

        assert_int_equal(read(r->events[0], &byte, 1), 1);
        replay(r->p.w);
        if (killing && event % 3 == 0) {
            kill_one(r, n);
            start(r, n);
        }
        if (event % 2 == 0)
            settle(r);
    }
    atomic_store(&r->p.w->stop, true);
    for (uint32_t n = 0; n < WORKERS; n++)
        kill_one(r, n);
    settle(r);
    settle(r);
}

static void
no_answer_is_wrong_whoever_dies(void **state)
{
    struct run r = {0};
    struct store_numbers numbers;

    (void)state;
    open_world(&r);
    go(&r, 450, true);
    store_numbers(r.p.st, &numbers);
    print_message("hits %llu, wrong %llu, evictions %llu, resets %llu, disturbed %llu, busy %llu\n",
                  (unsigned long long)r.p.w->hits, (unsigned long long)r.p.w->wrong,
                  (unsigned long long)numbers.evictions, (unsigned long long)numbers.resets,
                  (unsigned long long)numbers.disturbed, (unsigned long long)numbers.busy);
    assert_int_equal(r.p.w->wrong, 0);
    assert_true(r.p.w->hits > 1000);
    assert_true(numbers.evictions > 100);
    assert_true(numbers.bytes_used <= numbers.bytes_max);

    /* Nothing is blocked when all is settled. */
    assert_false(versions_has_orphans(r.p.v));
    for (uint32_t n = 0; n < TABLES; n++) {
        struct read_set rs;

        read_set_init(&rs, r.p.v, DB);
        read_set_add(&rs, r.p.v, DB, 100 + n);
        assert_true(versions_valid(r.p.v, &rs, INT64_MAX));
    }
    close_world(&r);
}

static void
the_judge_can_say_no(void **state)
{
    struct run r = {0};

    (void)state;
    open_world(&r);
    r.p.w->without_doubts = true;
    go(&r, 60, false);
    assert_true(r.p.w->wrong > 0);
    close_world(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_answer_is_wrong_whoever_dies),
        cmocka_unit_test(the_judge_can_say_no),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

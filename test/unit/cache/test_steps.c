/*
 * Every instruction of a writer: what a reader sees between any two of them, and what is left when
 * it is killed there. The writer is a child that is traced and goes on one instruction at a time.
 */
#include "cache/store.h"

#include "os/clock.h"
#include "os/shm.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { DB = 5, TABLE = 100, KEYS = 60, ANSWER = 300, LONG_ANSWER = 2500 };

/* How many instructions further the next one is killed or disturbed. All of them take minutes, and
 * far longer with a sanitizer's: PGPOOL_TEST_HEAVY=1 looks closer. */
static unsigned
stride(unsigned steps)
{
    return getenv("PGPOOL_TEST_HEAVY") != NULL ? 1 + steps / 16 : 1 + steps / 3;
}

struct fixture {
    struct versions *v;
    struct store *st;
    _Atomic bool *sent; /* the writer's statement has left; or: the reader found what is wrong */
    int64_t before_ns;
    struct doubts *ds;
    struct doubt doubt;
};

static int
set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct store_limits limits = {
        .total_bytes = 20000, .entries_max = 1000, .entry_bytes = LONG_ANSWER, .owners = 2};
    struct err err;
    void *map;

    assert_int_equal(versions_new(2, &f->v, &err), 0);
    assert_int_equal(store_new(&limits, f->v, &f->st, &err), 0);
    assert_int_equal(shm_new(sizeof(*f->sent), &map, &err), 0);
    f->sent = map;
    f->before_ns = clock_monotonic_ns();
    f->ds = doubts_new(f->v, 0);
    doubt_init(&f->doubt, DB);
    *state = f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;

    doubts_free(f->ds);
    shm_free(f->sent, sizeof(*f->sent));
    store_free(f->st);
    versions_free(f->v);
    free(f);
    return 0;
}

/* ---- one instruction at a time ---- */

static pid_t
start(struct fixture *f, void (*what)(struct fixture *f))
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(1);
        raise(SIGSTOP);
        what(f);
        raise(SIGSTOP);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSTOPPED(status));
    return pid;
}

/* False: it has done what it was to do. */
static bool
step(pid_t pid)
{
    int status;

    assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSTOPPED(status));
    return WSTOPSIG(status) == SIGTRAP;
}

/* To its next stop, all at once. */
static void
go_on(pid_t pid)
{
    int status;

    assert_int_equal(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
}

static void
end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* ---- versions ---- */

static bool
valid(const struct fixture *f, int64_t as_of_ns)
{
    struct read_set rs;

    read_set_init(&rs, f->v, DB);
    read_set_add(&rs, f->v, DB, TABLE);
    return versions_valid(f->v, &rs, as_of_ns);
}

static void
write_table(struct fixture *f)
{
    doubt_begin(f->ds, &f->doubt, TABLE);
    atomic_store(f->sent, true);
    doubt_end(f->ds, &f->doubt, true);
}

static void
from_the_statement_on_nothing_old_is_valid(void **state)
{
    struct fixture *f = *state;
    pid_t pid = start(f, write_table);
    unsigned steps = 0;
    unsigned sent = 0;

    while (step(pid)) {
        steps++;
        if (!atomic_load(f->sent))
            continue;
        sent++;
        assert_false(valid(f, f->before_ns));
    }
    end(pid);
    assert_false(valid(f, f->before_ns));
    assert_true(valid(f, INT64_MAX));
    assert_true(steps > 50 && sent > 20);
}

static void
killed_anywhere_nothing_old_becomes_valid(void **state)
{
    struct fixture *f = *state;
    bool more = true;

    for (unsigned steps = 1; more; steps += stride(steps)) {
        pid_t pid;

        atomic_store(f->sent, false);
        f->before_ns = clock_monotonic_ns();
        pid = start(f, write_table);
        for (unsigned n = 0; more && n < steps; n++)
            more = step(pid);
        end(pid);
        versions_orphan(f->v, 0);
        assert_int_equal(valid(f, f->before_ns) && atomic_load(f->sent), false);
        versions_orphans_turn(f->v);
        versions_orphans_settle(f->v);
        assert_int_equal(valid(f, f->before_ns) && atomic_load(f->sent), false);
        assert_true(valid(f, INT64_MAX));
    }
}

/* ---- store ---- */

static struct cache_key
key_of(uint64_t n)
{
    return (struct cache_key){(n + 1) * 0x9e3779b97f4a7c15ULL, (n + 1) * 0xc2b2ae3d27d4eb4fULL};
}

static void
put(struct fixture *f, uint64_t n, size_t len)
{
    struct store_facts facts = {.as_of_ns = clock_monotonic_ns()};
    struct cache_key key = key_of(n);
    uint8_t bytes[LONG_ANSWER];

    memset(bytes, (int)n + 1, len);
    read_set_init(&facts.reads, f->v, DB);
    store_put(f->st, &key, &facts, bytes, len);
}

/* How many are found; each of them is whole. */
static unsigned
look_at_all(struct fixture *f, uint64_t keys)
{
    struct buf out = BUF_EMPTY;
    struct store_facts facts;
    unsigned found = 0;

    for (uint64_t n = 0; n < keys; n++) {
        struct cache_key key = key_of(n);

        buf_clear(&out);
        if (!store_get(f->st, &key, 0, &out, &facts))
            continue;
        found++;
        assert_true(out.len == ANSWER || out.len == LONG_ANSWER);
        for (size_t at = 0; at < out.len; at++)
            assert_int_equal(out.data[at], (uint8_t)(n + 1));
    }
    buf_free(&out);
    return found;
}

static void
fill(struct fixture *f)
{
    for (uint64_t n = 0; n < KEYS; n++)
        put(f, n, ANSWER);
}

/* Makes room by evicting several. */
static void
put_long(struct fixture *f)
{
    store_join(f->st, 1);
    put(f, KEYS, LONG_ANSWER);
}

static void
a_reader_sees_whole_entries_at_any_instruction(void **state)
{
    struct fixture *f = *state;
    unsigned steps = 0;
    pid_t pid;

    fill(f);
    pid = start(f, put_long);
    while (step(pid)) {
        steps++;
        if (steps % (2 + stride(steps / 64)) == 0)
            look_at_all(f, KEYS + 1);
    }
    end(pid);
    assert_true(steps > 500);
    assert_true(look_at_all(f, KEYS + 1) > 10);
}

static void
killed_anywhere_the_store_goes_on(void **state)
{
    struct fixture *f = *state;
    struct store_numbers numbers;
    unsigned killed = 0;
    bool more = true;

    for (unsigned steps = 100; more; steps += stride(steps)) {
        unsigned entries;
        pid_t pid;

        fill(f);
        pid = start(f, put_long);
        for (unsigned n = 0; more && n < steps; n++)
            more = step(pid);
        end(pid);
        killed++;
        look_at_all(f, KEYS + 1);
        fill(f);
        entries = look_at_all(f, KEYS + 1);
        assert_true(entries > 10);
        store_numbers(f->st, &numbers);
        assert_int_equal(numbers.entries, entries);
        assert_true(numbers.bytes_used + numbers.bytes_lost <= numbers.bytes_max);
    }
    assert_in_range(numbers.resets, 2, killed);
}

static void
get_one(struct fixture *f)
{
    struct buf out = BUF_EMPTY;
    struct store_facts facts;
    struct cache_key key = key_of(0);
    bool wrong = false;
    bool found;

    buf_reserve(&out, LONG_ANSWER);
    store_join(f->st, 1);
    raise(SIGSTOP);
    found = store_get(f->st, &key, 0, &out, &facts);
    raise(SIGSTOP);
    if (found) {
        wrong = out.len != ANSWER || facts.reads.n != 1;
        for (size_t at = 0; at < out.len; at++)
            wrong |= out.data[at] != 1;
    }
    atomic_store(f->sent, wrong);
}

/* Everything is replaced between any two instructions of a reader. */
static void
a_reader_believes_nothing_that_changed_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct store_numbers numbers;
    bool more = true;

    for (unsigned steps = 1; more; steps += 2 + stride(steps / 8)) {
        pid_t pid;

        fill(f);
        put(f, 0, ANSWER);
        pid = start(f, get_one);
        go_on(pid);
        for (unsigned n = 0; more && n < steps; n++)
            more = step(pid);
        for (uint64_t n = 1; n < KEYS; n++)
            put(f, n, ANSWER + n % 7);
        if (more)
            go_on(pid);
        go_on(pid);
        end(pid);
        assert_false(atomic_load(f->sent));
    }
    store_numbers(f->st, &numbers);
    assert_true(numbers.hits > 0 && numbers.misses > 10);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(from_the_statement_on_nothing_old_is_valid),
        TEST(killed_anywhere_nothing_old_becomes_valid),
        TEST(a_reader_sees_whole_entries_at_any_instruction),
        TEST(killed_anywhere_the_store_goes_on),
        TEST(a_reader_believes_nothing_that_changed_meanwhile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

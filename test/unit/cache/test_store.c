/*
 * The store: what was put is found while it is valid; room is made by those that are used least;
 * nothing that lies in the memory, and no death of a process, harms more than its partition.
 */
#include "cache/store.h"
#include "cache/store_internal.h"

#include "os/clock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { DB = 5, OWNERS = 4 };

struct fixture {
    struct versions *v;
    struct store *st;
    struct buf out;
    struct store_facts facts; /* of the last find */
};

static struct store_limits
limits_of(size_t total_bytes)
{
    return (struct store_limits){.total_bytes = total_bytes,
                                 .entries_max = 1000000,
                                 .entry_bytes = 400 * 1024,
                                 .owners = OWNERS};
}

static void
open_store(struct fixture *f, const struct store_limits *limits)
{
    struct err err;

    store_free(f->st);
    assert_int_equal(store_new(limits, f->v, &f->st, &err), 0);
}

static int
set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct store_limits limits = limits_of(8 << 20);
    struct err err;

    assert_int_equal(versions_new(OWNERS, &f->v, &err), 0);
    open_store(f, &limits);
    *state = f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;

    store_free(f->st);
    versions_free(f->v);
    buf_free(&f->out);
    free(f);
    return 0;
}

static struct cache_key
key_of(uint64_t n)
{
    return (struct cache_key){(n + 1) * 0x9e3779b97f4a7c15ULL, (n + 1) * 0xc2b2ae3d27d4eb4fULL};
}

/* All keys of one partition and one home in the index. */
static struct cache_key
crowded_key(uint64_t n)
{
    return (struct cache_key){0x7fffffff00000000ULL | 0xffffffffU, n};
}

static struct store_facts
facts_of(struct fixture *f, uint32_t table)
{
    struct store_facts facts = {.as_of_ns = clock_monotonic_ns(), .note = table};

    read_set_init(&facts.reads, f->v, DB);
    read_set_add(&facts.reads, f->v, DB, table);
    return facts;
}

static uint8_t *
bytes_of(uint64_t n, size_t len)
{
    uint8_t *bytes = malloc(len + 1);

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(n * 31 + i * 7 + (i >> 8));
    return bytes;
}

static bool
put(struct fixture *f, const struct cache_key *key, uint64_t n, size_t len)
{
    struct store_facts facts = facts_of(f, 100 + (uint32_t)(n % 7));
    uint8_t *bytes = bytes_of(n, len);
    bool kept = store_put(f->st, key, &facts, bytes, len);

    free(bytes);
    return kept;
}

static bool
get(struct fixture *f, const struct cache_key *key)
{
    buf_clear(&f->out);
    return store_get(f->st, key, clock_monotonic_ns(), &f->out, &f->facts);
}

static bool
has(struct fixture *f, const struct cache_key *key, uint64_t n, size_t len)
{
    uint8_t *bytes;

    if (!get(f, key)) {
        assert_int_equal(f->out.len, 0);
        return false;
    }
    bytes = bytes_of(n, len);
    assert_int_equal(f->out.len, len);
    assert_memory_equal(f->out.data, bytes, len);
    assert_int_equal(f->facts.note, 100 + n % 7);
    free(bytes);
    return true;
}

static struct store_numbers
numbers(const struct fixture *f)
{
    struct store_numbers n;

    store_numbers(f->st, &n);
    return n;
}

/* ---- finding ---- */

static void
finds_what_was_put(void **state)
{
    static const size_t sizes[] = {1, 12, 13, 63, 64, 65, 1000, 65536, 400 * 1024};
    struct fixture *f = *state;

    for (size_t n = 0; n < ARRAY_LEN(sizes); n++) {
        struct cache_key key = key_of(n);

        assert_false(has(f, &key, n, sizes[n]));
        assert_true(put(f, &key, n, sizes[n]));
        assert_true(has(f, &key, n, sizes[n]));
    }
    for (size_t n = 0; n < ARRAY_LEN(sizes); n++) {
        struct cache_key key = key_of(n);
        assert_true(has(f, &key, n, sizes[n]));
    }
    assert_int_equal(numbers(f).entries, ARRAY_LEN(sizes));
    assert_int_equal(numbers(f).hits, 2 * ARRAY_LEN(sizes));
    assert_int_equal(numbers(f).misses, ARRAY_LEN(sizes));
    assert_int_equal(numbers(f).puts, ARRAY_LEN(sizes));
}

static void
appends_behind_what_is_there(void **state)
{
    struct fixture *f = *state;
    struct cache_key key = key_of(1);

    put(f, &key, 1, 10);
    buf_clear(&f->out);
    buf_add(&f->out, "abc", 3);
    assert_true(store_get(f->st, &key, 0, &f->out, &f->facts));
    assert_int_equal(f->out.len, 13);
    assert_memory_equal(f->out.data, "abc", 3);
}

static void
does_not_keep_what_is_too_long(void **state)
{
    struct fixture *f = *state;
    struct cache_key key = key_of(1);

    assert_true(store_fits(f->st, 400 * 1024));
    assert_false(store_fits(f->st, 400 * 1024 + 1));
    assert_false(put(f, &key, 1, 400 * 1024 + 1));
    assert_false(put(f, &key, 1, 0));
    assert_false(get(f, &key));
    assert_int_equal(numbers(f).puts, 0);
}

static void
a_fresher_answer_replaces(void **state)
{
    struct fixture *f = *state;
    struct cache_key key = key_of(1);
    struct store_facts old = facts_of(f, 100);
    struct store_facts new;

    assert_true(put(f, &key, 1, 500));
    assert_true(put(f, &key, 2, 100));
    assert_true(has(f, &key, 2, 100));
    assert_int_equal(numbers(f).entries, 1);
    /* one that was read before comes too late */
    assert_false(store_put(f->st, &key, &old, "old", 3));
    new = f->facts;
    assert_false(store_put(f->st, &key, &new, "same", 4));
    assert_true(has(f, &key, 2, 100));
}

static void
deletes_one(void **state)
{
    struct fixture *f = *state;
    struct cache_key one = key_of(1), two = key_of(2);

    put(f, &one, 1, 100);
    put(f, &two, 2, 100);
    assert_int_equal(store_delete(f->st, &one), STORE_DELETED);
    assert_int_equal(store_delete(f->st, &one), STORE_NOT_THERE);
    assert_false(get(f, &one));
    assert_true(has(f, &two, 2, 100));
    assert_int_equal(numbers(f).entries, 1);
}

/* Keys that all want the same place of the index: any order of coming and going. */
static void
survives_crowding(void **state)
{
    enum { KEYS = 200 };
    struct fixture *f = *state;
    bool there[KEYS] = {false};

    for (int round = 0; round < 20000; round++) {
        uint64_t n = (uint64_t)(rand() % KEYS);
        struct cache_key key = crowded_key(n);

        key.a -= n % 3; /* homes beside each other, and over the end of the index */
        if (there[n])
            assert_int_equal(store_delete(f->st, &key), STORE_DELETED);
        else
            assert_true(put(f, &key, n, 20));
        there[n] = !there[n];
        n = (uint64_t)(rand() % KEYS);
        key = crowded_key(n);
        key.a -= n % 3;
        assert_int_equal(has(f, &key, n, 20), there[n]);
    }
}

/* ---- validity ---- */

static void
a_write_ends_validity(void **state)
{
    struct fixture *f = *state;
    struct cache_key key = key_of(0), other = key_of(1);
    struct doubts *ds = doubts_new(f->v, 1);
    struct store_facts stale = facts_of(f, 100);
    struct doubt d;

    doubt_init(&d, DB);
    assert_true(put(f, &key, 0, 50));
    assert_true(put(f, &other, 1, 50));
    doubt_begin(ds, &d, 100);
    assert_false(get(f, &key));
    assert_true(get(f, &other));
    assert_false(put(f, &key, 0, 50)); /* nobody could have it */
    doubt_end(ds, &d, false);
    assert_true(get(f, &key));
    doubt_begin(ds, &d, 100);
    doubt_end(ds, &d, true);
    assert_false(get(f, &key));
    assert_false(store_put(f->st, &key, &stale, "stale", 5));
    assert_int_equal(numbers(f).invalid, 2);
    assert_true(put(f, &key, 0, 50));
    assert_true(has(f, &key, 0, 50));
    versions_raise_all(f->v);
    assert_false(get(f, &key));
    assert_false(get(f, &other));
    doubts_free(ds);
}

static void
expires(void **state)
{
    struct fixture *f = *state;
    struct store_limits limits = limits_of(8 << 20);
    struct cache_key key = key_of(0);
    int64_t now = clock_monotonic_ns();
    int64_t later = now + 5 * NS_PER_S;

    limits.expire_s = 5;
    open_store(f, &limits);
    put(f, &key, 0, 50);
    assert_true(store_get(f->st, &key, later - 1, &f->out, &f->facts));
    assert_false(store_get(f->st, &key, later + 60 * NS_PER_S, &f->out, &f->facts));
    assert_int_equal(numbers(f).expired, 1);
}

/* ---- limits ---- */

static void
memory_stays_within_the_limit(void **state)
{
    static const size_t totals[] = {500 << 10, 1 << 20, 3 << 20, 64 << 20, 1000000007};
    struct fixture *f = *state;

    for (size_t n = 0; n < ARRAY_LEN(totals); n++) {
        struct store_limits limits = limits_of(totals[n]);
        struct partition *p;
        struct store *st;

        open_store(f, &limits);
        st = f->st;
        assert_true(st->map_bytes <= totals[n]);
        p = partition_at(st, st->partitions - 1);
        assert_true((uint8_t *)run_at(st, p, st->blocks) <= (uint8_t *)st->map + st->map_bytes);
        assert_true((uint8_t *)mark_of(st, p, st->blocks) <= (uint8_t *)run_at(st, p, 0));
        assert_true((uint8_t *)(index_of(st, p) + st->index_slots) <= (uint8_t *)mark_of(st, p, 0));
        assert_true(numbers(f).bytes_max > totals[n] * 8 / 10);
    }
}

static void
too_little_memory_is_an_error(void **state)
{
    struct fixture *f = *state;
    static const size_t totals[] = {0, 100, 4096, 400 << 10};
    struct store *st = NULL;
    struct err err;

    for (size_t n = 0; n < ARRAY_LEN(totals); n++) {
        struct store_limits limits = limits_of(totals[n]);

        assert_int_equal(store_new(&limits, f->v, &st, &err), -1);
        assert_string_equal(err.sqlstate, "22023");
        assert_non_null(strstr(err.message, "memqcache_total_size"));
        assert_non_null(strstr(err.hint, "memqcache_maxcache"));
        assert_null(st);
    }
    store_free(NULL);
}

static void
entries_stay_within_the_limit(void **state)
{
    static const uint32_t most[] = {1, 5, 1000};
    struct fixture *f = *state;

    for (size_t m = 0; m < ARRAY_LEN(most); m++) {
        struct store_limits limits = limits_of(32 << 20);

        limits.entries_max = most[m];
        open_store(f, &limits);
        for (uint64_t n = 0; n < 3000; n++) {
            struct cache_key key = key_of(n);

            assert_true(put(f, &key, n, 20));
            assert_true(has(f, &key, n, 20));
            assert_true(numbers(f).entries <= most[m]);
        }
        assert_true(numbers(f).entries_max <= most[m]);
        assert_true(numbers(f).evictions >= 3000 - most[m]);
    }
}

/* Entries of all sizes against a model: what is found is right; what is not was evicted. */
static void
evicts_without_lies(void **state)
{
    enum { KEYS = 4000 };
    struct fixture *f = *state;
    struct store_limits limits = limits_of(4 << 20);
    uint64_t value[KEYS] = {0};
    size_t size[KEYS] = {0};
    unsigned found = 0;

    limits.entry_bytes = 100000;
    open_store(f, &limits);
    for (int round = 0; round < 60000; round++) {
        uint64_t n = (uint64_t)(rand() % KEYS);
        struct cache_key key = key_of(n);
        int what = rand() % 10;

        if (what == 0 && store_delete(f->st, &key) != STORE_BUSY) {
            size[n] = 0;
        } else if (what < 4) {
            value[n] = (uint64_t)rand();
            size[n] = 1 + (size_t)(rand() % (rand() % 50 == 0 ? 100000 : 2000));
            assert_true(put(f, &key, value[n], size[n]));
            assert_true(has(f, &key, value[n], size[n]));
        } else if (size[n] == 0) {
            assert_false(get(f, &key));
        } else {
            found += has(f, &key, value[n], size[n]);
        }
        assert_true(numbers(f).bytes_used + numbers(f).bytes_lost <= numbers(f).bytes_max);
    }
    assert_true(found > 1000);
    assert_int_equal(numbers(f).resets, 0);
    assert_int_equal(numbers(f).disturbed, 0);
}

static void
what_is_used_stays(void **state)
{
    struct fixture *f = *state;
    struct store_limits limits = limits_of(2 << 20);
    uint32_t kept = 0;

    open_store(f, &limits);
    for (uint64_t n = 0; n < 40; n++) {
        struct cache_key key = key_of(n);
        put(f, &key, n, 1000);
    }
    for (uint64_t n = 1000; n < 12000; n++) {
        struct cache_key key = key_of(n);

        put(f, &key, n, 1000);
        for (uint64_t used = 0; used < 40; used++) {
            struct cache_key hot = key_of(used);
            has(f, &hot, used, 1000);
        }
    }
    for (uint64_t n = 0; n < 40; n++) {
        struct cache_key key = key_of(n);
        kept += has(f, &key, n, 1000);
    }
    assert_int_equal(kept, 40);
    assert_true(numbers(f).evictions > 8000);
}

/* Everything is used: somebody has to go all the same, and soon. */
static void
new_ones_come_in_when_all_are_used(void **state)
{
    struct fixture *f = *state;
    struct store_limits limits = limits_of(2 << 20);

    open_store(f, &limits);
    for (uint64_t n = 0; n < 5000; n++) {
        struct cache_key key = key_of(n);

        assert_true(put(f, &key, n, 1000));
        for (uint64_t used = n > 2500 ? n - 2500 : 0; used <= n; used += 1 + n / 50) {
            struct cache_key hot = key_of(used);
            has(f, &hot, used, 1000);
        }
    }
}

/* ---- deaths ---- */

/* Runs in a child, which must be killed by a signal. */
static void
die(struct fixture *f, void (*how)(struct fixture *f))
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        struct sigaction action = {.sa_handler = SIG_DFL};

        sigaction(SIGSEGV, &action, NULL); /* also with the sanitizers */
        store_join(f->st, 2);
        how(f);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

/* The answer ends in memory that cannot be read: in the middle of the copy, with the lock. */
static void
die_in_put(struct fixture *f)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *bytes =
        mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct cache_key key = key_of(7);
    struct store_facts facts = facts_of(f, 100);

    mprotect(bytes + page, page, PROT_NONE);
    store_put(f->st, &key, &facts, bytes, 2 * page);
}

/* In the middle of a change of the index, which is left as nonsense. */
static void
die_in_change(struct fixture *f)
{
    struct cache_key key = key_of(7);
    struct partition *p = partition_of(f->st, &key);

    partition_lock(f->st, p);
    atomic_fetch_add(&p->change, 1);
    for (uint32_t n = 0; n < f->st->index_slots; n++)
        atomic_store(&index_of(f->st, p)[n], (uint64_t)rand() << 40 | (uint64_t)rand());
    memset(run_at(f->st, p, 0), 0xee, (size_t)f->st->blocks * BLOCK_BYTES);
    p->hand = 0x12345678;
    atomic_store(&p->entries, UINT32_MAX);
    kill(getpid(), SIGKILL);
}

static void
fill(struct fixture *f, uint64_t keys)
{
    for (uint64_t n = 0; n < keys; n++) {
        struct cache_key key = key_of(n);
        assert_true(put(f, &key, n, 200));
    }
}

static uint64_t
count_found(struct fixture *f, uint64_t keys)
{
    uint64_t found = 0;

    for (uint64_t n = 0; n < keys; n++) {
        struct cache_key key = key_of(n);
        found += has(f, &key, n, 200);
    }
    return found;
}

static void
a_death_costs_one_partition(void **state)
{
    struct fixture *f = *state;
    struct store_limits limits = limits_of(8 << 20);
    uint64_t lost, before;

    open_store(f, &limits);
    assert_int_equal(f->st->partitions, 3);
    fill(f, 3000);
    before = numbers(f).entries;
    assert_int_equal(before, 3000);
    die(f, die_in_put);
    /* Its entries are whole as long as nobody writes: the lock is not asked for. */
    assert_int_equal(count_found(f, 3000), 2999);
    assert_int_equal(numbers(f).resets, 0);

    assert_true(put(f, &(struct cache_key){key_of(7).a, key_of(7).b}, 7, 200));
    assert_int_equal(numbers(f).resets, 1);
    lost = 3000 - count_found(f, 3000);
    assert_in_range(lost, 800, 1200);
    assert_int_equal(numbers(f).entries, 3000 - lost);
    fill(f, 3000);
    assert_int_equal(count_found(f, 3000), 3000);
    assert_int_equal(numbers(f).resets, 1);
}

static void
a_reader_empties_what_was_left_half_changed(void **state)
{
    struct fixture *f = *state;
    struct cache_key key = key_of(7);

    fill(f, 3000);
    die(f, die_in_change);
    assert_false(get(f, &key));
    assert_int_equal(numbers(f).resets, 1);
    assert_int_equal(numbers(f).disturbed, 1);
    assert_false(get(f, &key)); /* empty, and in order */
    assert_int_equal(numbers(f).disturbed, 1);
    assert_in_range(count_found(f, 3000), 1800, 2200);
    fill(f, 3000);
    assert_int_equal(count_found(f, 3000), 3000);
}

/* Again and again, in each of its partitions. */
static void
deaths_do_not_add_up(void **state)
{
    struct fixture *f = *state;

    for (int n = 0; n < 20; n++) {
        die(f, n % 2 == 0 ? die_in_change : die_in_put);
        fill(f, 300);
        assert_int_equal(count_found(f, 300), 300);
        assert_int_equal(numbers(f).entries, 300);
    }
    assert_int_equal(numbers(f).resets, 20);
}

/* A stopped process holds the lock: readers go on, writers give up, nobody waits. */
static void
a_stopped_process_stops_nobody(void **state)
{
    struct fixture *f = *state;
    struct cache_key key = key_of(7);
    struct partition *p = partition_of(f->st, &key);
    int pipe_fds[2];
    char byte;
    pid_t pid;

    fill(f, 100);
    assert_int_equal(pipe(pipe_fds), 0);
    pid = fork();
    if (pid == 0) {
        partition_lock(f->st, p);
        if (write(pipe_fds[1], "x", 1) == 1)
            pause();
        _exit(0);
    }
    assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
    assert_true(has(f, &key, 7, 200));
    assert_false(put(f, &key, 7, 200));
    assert_int_equal(store_delete(f->st, &key), STORE_BUSY);
    assert_int_equal(numbers(f).busy, 1);
    atomic_fetch_add(&p->change, 1); /* and in the middle of a change */
    assert_false(get(f, &key));
    assert_int_equal(numbers(f).disturbed, 1);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    assert_true(put(f, &key, 7, 200));
    assert_true(has(f, &key, 7, 200));
}

/* ---- nonsense in the memory ---- */

static struct run *
run_of(struct fixture *f, const struct cache_key *key)
{
    struct partition *p = partition_of(f->st, key);

    for (uint32_t n = 0; n < f->st->index_slots; n++) {
        uint64_t word = atomic_load(&index_of(f->st, p)[n]);

        if (word != 0 && memcmp(&run_at(f->st, p, (uint32_t)word - 1)->key, key, 16) == 0)
            return run_at(f->st, p, (uint32_t)word - 1);
    }
    fail();
    return NULL;
}

static void
readers_survive_any_lengths(void **state)
{
    struct fixture *f = *state;
    struct cache_key key = key_of(7);
    struct run *run;

    fill(f, 100);
    run = run_of(f, &key);
    run->len = UINT32_MAX;
    assert_false(get(f, &key));
    run->len = 0;
    assert_false(get(f, &key));
    run->len = 200;
    run->reads = UINT32_MAX;
    assert_false(get(f, &key));
    run->reads = 2;
    assert_true(get(f, &key));
    ((uint32_t *)(void *)((uint8_t *)run + RUN_HEAD_BYTES))[0] = UINT32_MAX; /* a slot */
    get(f, &key);
    /* at the end of the blocks, with a length that leads out */
    run->len = 400 * 1024;
    get(f, &key);
}

static void
writers_empty_what_does_not_fit_together(void **state)
{
    struct fixture *f = *state;
    struct store_limits limits = limits_of(1 << 20);
    struct cache_key key = key_of(7);
    uint64_t resets = 0;
    struct partition *p;
    struct run *other;

    open_store(f, &limits);
    p = partition_of(f->st, &key);
    for (int n = 0; n < 6; n++) {
        fill(f, 100);
        switch (n) {
        case 0: /* a run that leads out */
            p->hand = 0;
            run_at(f->st, p, 0)->blocks = f->st->blocks + 1;
            break;
        case 1:
            p->hand = 0;
            run_at(f->st, p, 0)->blocks = 0;
            break;
        case 2:
            p->hand = f->st->blocks + 1;
            break;
        case 3: /* an entry that the index does not have */
            other = run_of(f, &(struct cache_key){key_of(50).a, key_of(50).b});
            p->hand = (uint32_t)(((uint8_t *)other - (uint8_t *)run_at(f->st, p, 0)) / BLOCK_BYTES);
            other->key.a++;
            break;
        case 4: /* more entries than there can be */
            atomic_store(&p->entries, f->st->entries_max + 1000);
            break;
        default: /* one in the index that is none */
            run_of(f, &key)->kind = RUN_FREE;
            break;
        }
        assert_true(put(f, &key, 7, 1000));
        assert_true(has(f, &key, 7, 1000));
        assert_int_equal(numbers(f).resets, ++resets);
        assert_int_equal(numbers(f).entries, 1);
    }
}

/* Random bytes all over a partition, again and again. */
static void
survives_random_memory(void **state)
{
    struct fixture *f = *state;
    struct store_limits limits = limits_of(600 << 10);
    struct partition *p;

    open_store(f, &limits);
    p = partition_at(f->st, 0);
    for (int round = 0; round < 300; round++) {
        for (uint64_t n = 0; n < 200; n++) {
            struct cache_key key = key_of(n);
            put(f, &key, n, 200);
        }
        for (int n = rand() % 100; n >= 0; n--) {
            uint8_t *at = (uint8_t *)p + f->st->index_at;
            size_t where = (size_t)rand() % (f->st->partition_bytes - f->st->index_at);

            if (rand() % 2 == 0)
                where %= 200 * 320; /* the index and the first entries */
            at[where] = (uint8_t)rand();
        }
        for (uint64_t n = 0; n < 200; n++) {
            struct cache_key key = key_of(n);

            get(f, &key);
            if (rand() % 4 == 0)
                put(f, &key, n, 1 + (size_t)rand() % 3000);
            if (rand() % 8 == 0)
                store_delete(f->st, &key);
        }
        /* in order again */
        partition_lock(f->st, p);
        p->hand = f->st->blocks + 1;
        partition_unlock(p);
    }
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(finds_what_was_put),
        TEST(appends_behind_what_is_there),
        TEST(does_not_keep_what_is_too_long),
        TEST(a_fresher_answer_replaces),
        TEST(deletes_one),
        TEST(survives_crowding),
        TEST(a_write_ends_validity),
        TEST(expires),
        TEST(memory_stays_within_the_limit),
        TEST(too_little_memory_is_an_error),
        TEST(entries_stay_within_the_limit),
        TEST(evicts_without_lies),
        TEST(what_is_used_stays),
        TEST(new_ones_come_in_when_all_are_used),
        TEST(a_death_costs_one_partition),
        TEST(a_reader_empties_what_was_left_half_changed),
        TEST(deaths_do_not_add_up),
        TEST(a_stopped_process_stops_nobody),
        TEST(readers_survive_any_lengths),
        TEST(writers_empty_what_does_not_fit_together),
        TEST(survives_random_memory),
    };

    srand(7);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

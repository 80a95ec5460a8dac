/*
 * The store: which partition, reading without its lock, counting (cache/store.h).
 *
 * A reader notes the partition's `change`, finds and copies, and believes what it has only when
 * `change` is still the same and even: as the index and the entries stay as they were meanwhile, it
 * was whole. Before that it has bytes in any state; every number among them is bounded before it is
 * used, and none is read twice (the fences keep the compiler from that).
 *
 * The memory is divided by geometry(): counters, then partitions of equal size. How many: enough
 * that writers seldom meet, and each large enough for several of the largest answers.
 */
#include "cache/store_internal.h"

#include "base/arena.h"
#include "base/log.h"
#include "os/shm.h"

#include <stdlib.h>
#include <string.h>

enum {
    PARTITION_BYTES = 2 * 1024 * 1024, /* at least, but where all is less */
    LARGEST_PER_PARTITION = 4,
    PARTITIONS_MAX = 4096,
    HEAD_BYTES = 256,
    BLOCKS_PER_ENTRY = 2, /* small answers: the index has room for so many entries */
    READ_TRIES = 4,
    WAIT_TRIES = 200,
};
_Static_assert(sizeof(struct partition) <= HEAD_BYTES, "the index begins behind the head");

/* ---- memory ---- */

static size_t
align_up(size_t size, size_t to)
{
    return (size + to - 1) / to * to;
}

/* Index, marks and blocks of a partition of this size, for so many entries at most. */
static void
divide(struct store *st, size_t bytes, uint32_t entries_max)
{
    /* an entry's blocks, their marks, and 4/3 words of the index */
    size_t entry = BLOCKS_PER_ENTRY * (BLOCK_BYTES + 1) + 11;
    size_t spare = HEAD_BYTES + 4 * BLOCK_BYTES;
    size_t left = bytes > spare ? bytes - spare : 0;

    st->entries_max = (uint32_t)MAX(MIN(left / entry, entries_max), 1);
    st->index_slots = st->entries_max + st->entries_max / 3 + 2;
    st->index_at = HEAD_BYTES;
    st->marks_at = st->index_at + st->index_slots * sizeof(uint64_t);
    left = bytes > st->marks_at + 2 * BLOCK_BYTES ? bytes - st->marks_at - 2 * BLOCK_BYTES : 0;
    st->blocks = (uint32_t)MIN(left / (BLOCK_BYTES + 1), UINT32_MAX / 2);
    st->blocks_at = align_up(st->marks_at + st->blocks, BLOCK_BYTES);
    st->partition_bytes = bytes;
}

static bool
geometry(struct store *st)
{
    const struct store_limits *l = &st->limits;
    size_t largest = entry_size(READ_SET_MAX, l->entry_bytes);
    size_t counters = l->owners * sizeof(struct store_counters);
    size_t wanted = MAX((size_t)PARTITION_BYTES, LARGEST_PER_PARTITION * largest);
    size_t left = l->total_bytes > counters ? l->total_bytes - counters : 0;

    st->partitions = (uint32_t)MIN(MAX(left / wanted, 1), (size_t)PARTITIONS_MAX);
    st->partitions = MAX(MIN(st->partitions, l->entries_max), 1);
    divide(st, left / st->partitions / BLOCK_BYTES * BLOCK_BYTES, l->entries_max / st->partitions);
    st->map_bytes = counters + st->partitions * st->partition_bytes;
    return (size_t)st->blocks * BLOCK_BYTES >= largest;
}

int
store_new(const struct store_limits *limits, const struct versions *versions, struct store **st_r,
          struct err *err)
{
    struct store *st = xcalloc(1, sizeof(*st));

    st->limits = *limits;
    st->versions = versions;
    st->expire_ns = limits->expire_s * NS_PER_S;
    if (!geometry(st)) {
        free(st);
        err_set(err, "22023",
                "\"memqcache_total_size\" is too small: %zu bytes have no room for one answer of "
                "%u bytes",
                limits->total_bytes, limits->entry_bytes);
        err_hint(err, "Raise \"memqcache_total_size\" or lower \"memqcache_maxcache\".");
        return -1;
    }
    if (shm_new(st->map_bytes, &st->map, err) != 0) {
        free(st);
        return -1;
    }
    st->counters = st->map;
    st->first = (uint8_t *)st->map + limits->owners * sizeof(struct store_counters);
    for (uint32_t n = 0; n < st->partitions; n++) {
        if (partition_init(st, partition_at(st, n), err) != 0) {
            store_free(st);
            return -1;
        }
    }
    *st_r = st;
    return 0;
}

void
store_free(struct store *st)
{
    if (st == NULL)
        return;
    shm_free(st->map, st->map_bytes);
    free(st);
}

void
store_join(struct store *st, uint32_t owner)
{
    BUG_UNLESS(owner < st->limits.owners);
    st->owner = owner;
}

/* ---- reading ---- */

enum outcome { FOUND, ABSENT, INVALID, EXPIRED, DISTURBED };

static void
count(_Atomic uint64_t *counter)
{
    uint64_t n = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, n + 1, memory_order_relaxed);
}

/* A number that is even: nothing is being changed. */
static bool
wait_for_even(const struct store *st, struct partition *p, uint64_t *change_r)
{
    for (int n = 0; n < WAIT_TRIES; n++) {
        *change_r = atomic_load_explicit(&p->change, memory_order_acquire);
        if ((*change_r & 1) == 0)
            return true;
        cpu_pause();
    }
    /* Its process may be dead: then this one sets it right. */
    if (partition_lock(st, p))
        partition_unlock(p);
    return false;
}

static bool
is_unchanged(struct partition *p, uint64_t change)
{
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&p->change, memory_order_relaxed) == change;
}

/* One call of store_get. */
struct look {
    struct store *st;
    struct partition *p;
    const struct cache_key *key;
    int64_t now_ns;
    struct buf *out; /* the answer's bytes come behind its end, */
    uint32_t len;    /* so many, not yet counted in its length */
    struct store_facts *facts_r;
    uint32_t at; /* the entry's block */
};

static bool
find(struct look *l)
{
    const struct store *st = l->st;
    _Atomic uint64_t *index = index_of(st, l->p);
    uint32_t tag = tag_of(l->key);
    uint32_t place = home_of(st, tag);

    for (uint32_t n = 0; n < st->index_slots; n++, place = next_of(st, place)) {
        uint64_t word = atomic_load_explicit(&index[place], memory_order_acquire);

        if (word == 0)
            return false;
        l->at = (uint32_t)word - 1;
        if (word >> 32 == tag && l->at < st->blocks &&
            memcmp(&run_at(st, l->p, l->at)->key, l->key, sizeof(*l->key)) == 0)
            return true;
    }
    return false;
}

static bool
is_sane(const struct look *l, const struct run *run)
{
    return run->reads <= READ_SET_MAX && store_fits(l->st, run->len) &&
           entry_size(run->reads, run->len) <= (size_t)(l->st->blocks - l->at) * BLOCK_BYTES;
}

static enum outcome
take_entry(struct look *l)
{
    const struct store *st = l->st;
    const uint8_t *bytes = (const uint8_t *)run_at(st, l->p, l->at);
    struct store_facts *facts = l->facts_r;
    struct run run;

    memcpy(&run, bytes, RUN_HEAD_BYTES);
    atomic_thread_fence(memory_order_acquire);
    if (!is_sane(l, &run))
        return DISTURBED;
    facts->as_of_ns = run.as_of_ns;
    facts->note = run.note;
    facts->reads.n = run.reads;
    memcpy(facts->reads.slots, bytes + RUN_HEAD_BYTES, run.reads * sizeof(uint32_t));
    atomic_thread_fence(memory_order_acquire);
    if (st->expire_ns > 0 && l->now_ns - run.as_of_ns >= st->expire_ns)
        return EXPIRED;
    if (!versions_valid(st->versions, &facts->reads, run.as_of_ns))
        return INVALID;
    memcpy(buf_reserve(l->out, run.len), bytes + entry_size(run.reads, 0), run.len);
    l->len = run.len;
    return FOUND;
}

/* The clock spares what was used, and takes at once what will not be found again. */
static void
mark(const struct look *l, enum outcome outcome)
{
    _Atomic uint8_t *m = mark_of(l->st, l->p, l->at);
    uint8_t used = outcome == FOUND;

    if (outcome != ABSENT && atomic_load_explicit(m, memory_order_relaxed) != used)
        atomic_store_explicit(m, used, memory_order_relaxed);
}

static enum outcome
look(struct look *l)
{
    for (int n = 0; n < READ_TRIES; n++) {
        enum outcome outcome;
        uint64_t change;

        if (!wait_for_even(l->st, l->p, &change))
            return DISTURBED;
        outcome = find(l) ? take_entry(l) : ABSENT;
        if (!is_unchanged(l->p, change) || outcome == DISTURBED)
            continue;
        mark(l, outcome);
        return outcome;
    }
    return DISTURBED;
}

bool
store_get(struct store *st, const struct cache_key *key, int64_t now_ns, struct buf *out,
          struct store_facts *facts_r)
{
    struct store_counters *counters = &st->counters[st->owner];
    struct look l = {.st = st,
                     .p = partition_of(st, key),
                     .key = key,
                     .now_ns = now_ns,
                     .out = out,
                     .facts_r = facts_r};
    enum outcome outcome = look(&l);

    if (outcome == FOUND) {
        out->len += l.len;
        count(&counters->hits);
        return true;
    }
    count(&counters->misses);
    if (outcome == INVALID)
        count(&counters->invalid);
    else if (outcome == EXPIRED)
        count(&counters->expired);
    else if (outcome == DISTURBED)
        count(&counters->disturbed);
    return false;
}

/* ---- writing ---- */

bool
store_fits(const struct store *st, size_t len)
{
    return len > 0 && len <= st->limits.entry_bytes;
}

bool
store_put(struct store *st, const struct cache_key *key, const struct store_facts *facts,
          const void *bytes, size_t len)
{
    struct store_counters *counters = &st->counters[st->owner];
    struct partition *p = partition_of(st, key);
    bool wanted;

    BUG_UNLESS(facts->reads.n <= READ_SET_MAX);
    if (!store_fits(st, len) || !versions_valid(st->versions, &facts->reads, facts->as_of_ns))
        return false;
    if (!partition_lock(st, p)) {
        count(&counters->busy);
        return false;
    }
    wanted = !partition_has_fresher(st, p, key, facts->as_of_ns);
    if (wanted) {
        partition_put(st, p, &(struct new_entry){key, facts, bytes, len});
        count(&counters->puts);
    }
    partition_unlock(p);
    return wanted;
}

enum store_deleted
store_delete(struct store *st, const struct cache_key *key)
{
    struct partition *p = partition_of(st, key);
    bool deleted;

    if (!partition_lock(st, p))
        return STORE_BUSY;
    deleted = partition_delete(st, p, key);
    partition_unlock(p);
    return deleted ? STORE_DELETED : STORE_NOT_THERE;
}

/* ---- numbers ---- */

static void
add_counters(const struct store_counters *c, struct store_numbers *n)
{
    n->hits += atomic_load_explicit(&c->hits, memory_order_relaxed);
    n->misses += atomic_load_explicit(&c->misses, memory_order_relaxed);
    n->invalid += atomic_load_explicit(&c->invalid, memory_order_relaxed);
    n->expired += atomic_load_explicit(&c->expired, memory_order_relaxed);
    n->disturbed += atomic_load_explicit(&c->disturbed, memory_order_relaxed);
    n->puts += atomic_load_explicit(&c->puts, memory_order_relaxed);
    n->busy += atomic_load_explicit(&c->busy, memory_order_relaxed);
}

static void
add_partition(const struct partition *p, struct store_numbers *n)
{
    uint64_t used = atomic_load_explicit(&p->bytes_used, memory_order_relaxed);
    uint64_t blocks = atomic_load_explicit(&p->blocks_used, memory_order_relaxed) * BLOCK_BYTES;

    n->entries += atomic_load_explicit(&p->entries, memory_order_relaxed);
    n->evictions += atomic_load_explicit(&p->evictions, memory_order_relaxed);
    n->resets += atomic_load_explicit(&p->resets, memory_order_relaxed);
    n->bytes_used += used;
    n->bytes_lost += blocks > used ? blocks - used : 0;
}

void
store_numbers(const struct store *st, struct store_numbers *n_r)
{
    *n_r = (struct store_numbers){
        .partitions = st->partitions,
        .entries_max = (uint64_t)st->partitions * st->entries_max,
        .bytes_max = (uint64_t)st->partitions * st->blocks * BLOCK_BYTES,
        .bytes_total = st->map_bytes,
    };
    for (uint32_t n = 0; n < st->limits.owners; n++)
        add_counters(&st->counters[n], n_r);
    for (uint32_t n = 0; n < st->partitions; n++)
        add_partition(partition_at(st, n), n_r);
}

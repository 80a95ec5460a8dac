/*
 * Numbers of statements in shared memory (ipc/statement_stats.h).
 *
 * A table of cells, found by their key within a few places from its hash. A cell's key is 0 while
 * nobody has it or it is being written. Keys are written by the holder of the lock only, which is
 * one word: 0 or the holder's number plus 1. So whoever dies with it leaves at most one cell of
 * which nothing is to be seen, and a word that the parent takes back. Readers copy a cell and look
 * whether its key is still the same and its serial number, which grows whenever it is given away.
 */
#include "ipc/statement_stats.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/siphash.h"
#include "base/str.h"
#include "os/shm.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REACH = 8, OWNERS_MAX = 65535 };

struct place {
    _Atomic uint32_t who; /* node_id + 2, and STANDBY; 0: free */
    _Atomic uint32_t calls;
};
#define STANDBY (UINT32_C(1) << 31)

struct statement_cell {
    _Atomic uint64_t key;
    _Atomic uint64_t serial;
    uint64_t fingerprint;
    int64_t since_us;
    _Atomic uint64_t calls;
    _Atomic uint64_t errors;
    _Atomic uint64_t rows;
    _Atomic uint64_t time_us;
    struct place places[STATEMENT_PLACES];
    _Atomic uint32_t elsewhere;
    _Atomic uint32_t reasons[STATEMENT_REASONS];
    _Atomic uint32_t times[HISTOGRAM_BUCKETS];
    char database[STATEMENT_NAME_BYTES];
    char user[STATEMENT_NAME_BYTES];
    char text[STATEMENT_TEXT_BYTES];
};

struct map {
    _Atomic uint32_t lock;
    _Atomic uint64_t evictions;
    _Atomic uint64_t lost;
    _Atomic int64_t reset_us;
    struct statement_cell cells[];
};

struct statement_stats {
    struct map *map;
    uint32_t count;
    size_t bytes;
};

static int64_t
wall_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int
statement_stats_new(uint32_t statements, struct statement_stats **s_r, struct err *err)
{
    struct statement_stats *s = xcalloc(1, sizeof(*s));
    void *map = NULL;

    s->count = MAX(statements, (uint32_t)REACH);
    s->bytes = sizeof(struct map) + s->count * sizeof(struct statement_cell);
    if (shm_new(s->bytes, &map, err) != 0) {
        free(s);
        return -1;
    }
    s->map = map;
    atomic_store(&s->map->reset_us, wall_us());
    *s_r = s;
    return 0;
}

void
statement_stats_free(struct statement_stats *s)
{
    if (s == NULL)
        return;
    shm_free(s->map, s->bytes);
    free(s);
}

/* ---- cells ---- */

uint64_t
statement_key(const struct statement_name *name)
{
    static const uint64_t key[2] = {1, 2};
    struct siphash hash;
    uint64_t value;

    siphash_init(&hash, key);
    siphash_add(&hash, &name->fingerprint, sizeof(name->fingerprint));
    siphash_add(&hash, name->database, strlen(name->database) + 1);
    siphash_add(&hash, name->user, strlen(name->user) + 1);
    value = siphash_result(&hash).a;
    return value != 0 ? value : 1;
}

static struct statement_cell *
cell_at(const struct statement_stats *s, uint64_t key, uint32_t place)
{
    return &s->map->cells[(key + place) % s->count];
}

struct statement_cell *
statement_stats_find(struct statement_stats *s, uint64_t key)
{
    for (uint32_t place = 0; place < REACH; place++) {
        struct statement_cell *c = cell_at(s, key, place);
        if (atomic_load_explicit(&c->key, memory_order_acquire) == key)
            return c;
    }
    return NULL;
}

static bool
lock(struct statement_stats *s, uint32_t owner)
{
    uint32_t free_word = 0;

    BUG_UNLESS(owner < OWNERS_MAX);
    return atomic_compare_exchange_strong(&s->map->lock, &free_word, owner + 1);
}

static void
unlock(struct statement_stats *s)
{
    atomic_store(&s->map->lock, 0);
}

/* One that is free, else the one with the least calls. With the lock. */
static struct statement_cell *
choose(struct statement_stats *s, uint64_t key)
{
    struct statement_cell *least = NULL;

    for (uint32_t place = 0; place < REACH; place++) {
        struct statement_cell *c = cell_at(s, key, place);
        if (atomic_load(&c->key) == 0)
            return c;
        if (least == NULL || atomic_load(&c->calls) < atomic_load(&least->calls))
            least = c;
    }
    atomic_fetch_add(&s->map->evictions, 1);
    return least;
}

/* Nobody sees it from here on, and who has found it before sees that it has changed. */
static void
vacate(struct statement_cell *c)
{
    atomic_store(&c->key, 0);
    atomic_fetch_add(&c->serial, 1);
}

static void
clear(struct statement_cell *c)
{
    atomic_store(&c->calls, 0);
    atomic_store(&c->errors, 0);
    atomic_store(&c->rows, 0);
    atomic_store(&c->time_us, 0);
    atomic_store(&c->elsewhere, 0);
    for (uint32_t n = 0; n < STATEMENT_PLACES; n++) {
        atomic_store(&c->places[n].calls, 0);
        atomic_store(&c->places[n].who, 0);
    }
    for (uint32_t n = 0; n < STATEMENT_REASONS; n++)
        atomic_store_explicit(&c->reasons[n], 0, memory_order_relaxed);
    for (uint32_t n = 0; n < HISTOGRAM_BUCKETS; n++)
        atomic_store_explicit(&c->times[n], 0, memory_order_relaxed);
}

/* The place that it is to have, cleared; with the lock. */
static struct statement_cell *
take(struct statement_stats *s, uint64_t key)
{
    struct statement_cell *c = choose(s, key);

    vacate(c);
    clear(c);
    return c;
}

bool
statement_stats_begin(struct statement_stats *s, uint32_t owner, uint64_t key)
{
    if (!lock(s, owner))
        return false;
    take(s, key);
    return true;
}

bool
statement_stats_add(struct statement_stats *s, uint32_t owner, uint64_t key,
                    const struct statement_name *name)
{
    struct statement_cell *c;

    if (!lock(s, owner))
        return false;
    if (statement_stats_find(s, key) == NULL) {
        c = take(s, key);
        c->fingerprint = name->fingerprint;
        c->since_us = wall_us();
        str_copy(c->database, sizeof(c->database), name->database);
        str_copy(c->user, sizeof(c->user), name->user);
        str_copy(c->text, sizeof(c->text), name->text);
        atomic_store_explicit(&c->key, key, memory_order_release);
    }
    unlock(s);
    return true;
}

/* ---- numbers ---- */

void
statement_add_sums(struct statement_cell *c, const struct statement_sums *sums)
{
    atomic_fetch_add_explicit(&c->calls, sums->calls, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->errors, sums->errors, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->rows, sums->rows, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->time_us, sums->time_us, memory_order_relaxed);
}

void
statement_add_times(struct statement_cell *c, uint32_t bucket, uint32_t count)
{
    if (bucket < HISTOGRAM_BUCKETS)
        atomic_fetch_add_explicit(&c->times[bucket], count, memory_order_relaxed);
}

void
statement_add_reason(struct statement_cell *c, uint32_t reason, uint32_t count)
{
    if (reason < STATEMENT_REASONS)
        atomic_fetch_add_explicit(&c->reasons[reason], count, memory_order_relaxed);
}

void
statement_add_place(struct statement_cell *c, int node_id, bool standby, uint32_t count)
{
    uint32_t who = (uint32_t)(node_id + 2) | (standby ? STANDBY : 0);

    for (uint32_t n = 0; n < STATEMENT_PLACES; n++) {
        uint32_t there = 0;
        if (atomic_compare_exchange_strong(&c->places[n].who, &there, who) || there == who) {
            atomic_fetch_add_explicit(&c->places[n].calls, count, memory_order_relaxed);
            return;
        }
    }
    atomic_fetch_add_explicit(&c->elsewhere, count, memory_order_relaxed);
}

void
statement_stats_lose(struct statement_stats *s, uint64_t calls)
{
    atomic_fetch_add_explicit(&s->map->lost, calls, memory_order_relaxed);
}

/* ---- care ---- */

bool
statement_stats_reset(struct statement_stats *s, uint32_t owner)
{
    if (!lock(s, owner))
        return false;
    for (uint32_t n = 0; n < s->count; n++) {
        if (atomic_load(&s->map->cells[n].key) != 0)
            vacate(&s->map->cells[n]);
    }
    atomic_store(&s->map->evictions, 0);
    atomic_store(&s->map->lost, 0);
    atomic_store(&s->map->reset_us, wall_us());
    unlock(s);
    return true;
}

/* A cell that it was writing has no key: it is free as it is. */
void
statement_stats_bury(struct statement_stats *s, uint32_t owner)
{
    uint32_t held = owner + 1;

    atomic_compare_exchange_strong(&s->map->lock, &held, 0);
}

/* ---- what is shown ---- */

static void
copy_numbers(struct statement_cell *c, struct statement_row *row_r)
{
    row_r->sums = (struct statement_sums){
        .calls = atomic_load(&c->calls),
        .errors = atomic_load(&c->errors),
        .rows = atomic_load(&c->rows),
        .time_us = atomic_load(&c->time_us),
    };
    for (uint32_t n = 0; n < STATEMENT_REASONS; n++)
        row_r->reasons[n] = atomic_load_explicit(&c->reasons[n], memory_order_relaxed);
    for (uint32_t n = 0; n < HISTOGRAM_BUCKETS; n++)
        row_r->times.counts[n] = atomic_load_explicit(&c->times[n], memory_order_relaxed);
    row_r->elsewhere = atomic_load(&c->elsewhere);
    row_r->place_count = 0;
    for (uint32_t n = 0; n < STATEMENT_PLACES; n++) {
        uint32_t who = atomic_load(&c->places[n].who);
        if (who == 0)
            break;
        row_r->places[row_r->place_count++] = (struct statement_place){
            (int)(who & ~STANDBY) - 2, (who & STANDBY) != 0, atomic_load(&c->places[n].calls)};
    }
}

static bool
read_cell(struct statement_cell *c, struct statement_row *row_r)
{
    uint64_t key = atomic_load_explicit(&c->key, memory_order_acquire);
    uint64_t serial = atomic_load_explicit(&c->serial, memory_order_acquire);

    if (key == 0)
        return false;
    row_r->fingerprint = c->fingerprint;
    row_r->since_us = c->since_us;
    memcpy(row_r->database, c->database, sizeof(row_r->database));
    memcpy(row_r->user, c->user, sizeof(row_r->user));
    memcpy(row_r->text, c->text, sizeof(row_r->text));
    row_r->database[sizeof(row_r->database) - 1] = row_r->user[sizeof(row_r->user) - 1] = '\0';
    row_r->text[sizeof(row_r->text) - 1] = '\0';
    copy_numbers(c, row_r);
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&c->serial, memory_order_relaxed) == serial &&
           atomic_load_explicit(&c->key, memory_order_relaxed) == key;
}

bool
statement_stats_row(const struct statement_stats *s, uint32_t at, struct statement_row *row_r)
{
    return at < s->count && read_cell(&s->map->cells[at], row_r);
}

bool
statement_stats_look(const struct statement_stats *s, uint32_t at, uint64_t *time_us_r,
                     uint64_t *calls_r)
{
    if (at >= s->count || atomic_load(&s->map->cells[at].key) == 0)
        return false;
    *time_us_r = atomic_load(&s->map->cells[at].time_us);
    *calls_r = atomic_load(&s->map->cells[at].calls);
    return true;
}

bool
statement_stats_next(const struct statement_stats *s, uint32_t *at_io, struct statement_row *row_r)
{
    while (*at_io < s->count) {
        if (read_cell(&s->map->cells[(*at_io)++], row_r))
            return true;
    }
    return false;
}

void
statement_stats_numbers(const struct statement_stats *s, struct statement_numbers *n_r)
{
    *n_r = (struct statement_numbers){
        .limit = s->count,
        .evictions = atomic_load(&s->map->evictions),
        .lost = atomic_load(&s->map->lost),
        .reset_us = atomic_load(&s->map->reset_us),
    };
    for (uint32_t n = 0; n < s->count; n++)
        n_r->statements += atomic_load(&s->map->cells[n].key) != 0;
}

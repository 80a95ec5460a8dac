/*
 * Numbers of the query cache by table and by statement (cache/stats.h).
 *
 * Shared are two tables of cells, found by their key within a few places from its hash. A cell is
 * taken by writing TAKEN to its key; then its name is written, and then the key. Whoever reads one
 * copies it and looks whether the key has stayed the same. A process killed in between leaves a
 * TAKEN cell that nobody uses any more: one of some thousands.
 *
 * A tally is a small table without chains: who comes to a place that another key has adds that to
 * the shared numbers first.
 */
#include "cache/stats.h"

#include "base/arena.h"
#include "base/str.h"
#include "os/shm.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { TABLES = 2048, STATEMENTS = 1024, PLACES = 8, TALLIES = 1024 };
#define FREE ((uint64_t)0)
#define TAKEN UINT64_MAX

struct cell {
    _Atomic uint64_t key;
    _Atomic uint64_t hits;
    _Atomic uint64_t misses;
    _Atomic uint64_t written;
    uint32_t oid;
    char database[CACHE_STATS_DATABASE_BYTES];
    char text[CACHE_STATS_TEXT_BYTES];
};

struct map {
    _Atomic uint64_t hits;
    _Atomic uint64_t misses;
    struct cell tables[TABLES];
    struct cell statements[STATEMENTS];
};

struct cache_stats {
    const struct versions *versions;
    struct map *map;
};

struct count {
    uint64_t key;
    uint32_t kind;
    uint32_t hits;
    uint32_t misses;
    uint32_t written;
};

struct cache_tally {
    struct cache_stats *stats;
    uint32_t hits;
    uint32_t misses;
    struct count counts[TALLIES];
};

int
cache_stats_new(const struct versions *versions, struct cache_stats **s_r, struct err *err)
{
    struct cache_stats *s = xcalloc(1, sizeof(*s));
    void *map = NULL;

    if (shm_new(sizeof(*s->map), &map, err) != 0) {
        free(s);
        return -1;
    }
    s->versions = versions;
    s->map = map;
    *s_r = s;
    return 0;
}

void
cache_stats_free(struct cache_stats *s)
{
    if (s == NULL)
        return;
    shm_free(s->map, sizeof(*s->map));
    free(s);
}

/* ---- cells ---- */

/* Slots of tables are small numbers, statements random ones; neither is a key as it is. */
static uint64_t
key_of_slot(uint32_t slot)
{
    return (uint64_t)slot + 1;
}

static uint64_t
key_of_statement(uint64_t statement)
{
    return statement == TAKEN ? 1 : statement;
}

static struct cell *
cell_at(const struct cache_stats *s, enum cache_stats_kind kind, uint64_t key, uint32_t place)
{
    uint64_t n = (key * 0x9e3779b97f4a7c15ULL >> 32) + place;

    return kind == CACHE_STATS_TABLES ? &s->map->tables[n % TABLES]
                                      : &s->map->statements[n % STATEMENTS];
}

static struct cell *
find(const struct cache_stats *s, enum cache_stats_kind kind, uint64_t key)
{
    for (uint32_t place = 0; place < PLACES; place++) {
        struct cell *cell = cell_at(s, kind, key, place);
        if (atomic_load_explicit(&cell->key, memory_order_acquire) == key)
            return cell;
    }
    return NULL;
}

static uint64_t
use_of(struct cell *cell)
{
    return atomic_load(&cell->hits) + atomic_load(&cell->misses);
}

/* One that is free, else, of statements, the one of least use. It is TAKEN then. */
static struct cell *
take(struct cache_stats *s, enum cache_stats_kind kind, uint64_t key)
{
    struct cell *least = NULL;
    uint64_t old;

    for (uint32_t place = 0; place < PLACES; place++) {
        struct cell *cell = cell_at(s, kind, key, place);
        old = FREE;
        if (atomic_compare_exchange_strong(&cell->key, &old, TAKEN))
            return cell;
        if (old != TAKEN && (least == NULL || use_of(cell) < use_of(least)))
            least = cell;
    }
    if (kind == CACHE_STATS_TABLES || least == NULL)
        return NULL;
    old = atomic_load(&least->key);
    if (old == TAKEN || !atomic_compare_exchange_strong(&least->key, &old, TAKEN))
        return NULL;
    return least;
}

struct name {
    uint32_t oid;
    const char *database;
    const char *text;
    size_t len;
};

static void
add_cell(struct cache_stats *s, enum cache_stats_kind kind, uint64_t key, const struct name *name)
{
    struct cell *cell = take(s, kind, key);

    if (cell == NULL)
        return;
    atomic_store(&cell->hits, 0);
    atomic_store(&cell->misses, 0);
    atomic_store(&cell->written, 0);
    cell->oid = name->oid;
    str_copy(cell->database, sizeof(cell->database), name->database);
    str_copy_n(cell->text, sizeof(cell->text), name->text, name->len);
    atomic_store_explicit(&cell->key, key, memory_order_release);
}

void
cache_stats_name_table(struct cache_stats *s, const struct cache_stats_table *t)
{
    const struct name name = {t->table, t->database_name, t->name, strlen(t->name)};
    struct read_set reads;
    struct cell *cell;
    uint64_t key;

    read_set_init(&reads, s->versions, t->database);
    if (!read_set_add(&reads, s->versions, t->database, t->table))
        return;
    key = key_of_slot(reads.slots[reads.n - 1]);
    cell = find(s, CACHE_STATS_TABLES, key);
    if (cell == NULL)
        add_cell(s, CACHE_STATS_TABLES, key, &name);
    else if (cell->text[0] == '\0') /* whoever else does that now says much the same */
        str_copy(cell->text, sizeof(cell->text), t->name);
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool
ends_name(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '$' || c == '.' || (unsigned char)c >= 128;
}

/* A text's beginning, with 0 in each number's place. */
static size_t
without_numbers(const char *text, size_t len, char to[CACHE_STATS_TEXT_BYTES])
{
    size_t at = 0;
    char before = ' ';

    for (size_t n = 0; n < len && at < CACHE_STATS_TEXT_BYTES - 1; n++) {
        bool number = is_digit(text[n]) && !ends_name(before);
        before = text[n];
        to[at++] = number ? '0' : before;
        while (number && n + 1 < len && is_digit(text[n + 1]))
            n++;
    }
    return at;
}

void
cache_stats_name_statement(struct cache_stats *s, uint64_t statement, const char *database_name,
                           const char *text, size_t len)
{
    char shortened[CACHE_STATS_TEXT_BYTES];
    const struct name name = {0, database_name, shortened, without_numbers(text, len, shortened)};
    uint64_t key = key_of_statement(statement);

    if (statement != 0 && find(s, CACHE_STATS_STATEMENTS, key) == NULL)
        add_cell(s, CACHE_STATS_STATEMENTS, key, &name);
}

/* ---- counting ---- */

struct cache_tally *
cache_tally_new(struct cache_stats *s)
{
    struct cache_tally *t = xcalloc(1, sizeof(*t));

    t->stats = s;
    return t;
}

void
cache_tally_free(struct cache_tally *t)
{
    if (t == NULL)
        return;
    cache_tally_flush(t);
    free(t);
}

static void
flush(struct cache_tally *t, struct count *c)
{
    struct cell *cell = c->key == 0 ? NULL : find(t->stats, (enum cache_stats_kind)c->kind, c->key);

    if (cell != NULL) {
        atomic_fetch_add_explicit(&cell->hits, c->hits, memory_order_relaxed);
        atomic_fetch_add_explicit(&cell->misses, c->misses, memory_order_relaxed);
        atomic_fetch_add_explicit(&cell->written, c->written, memory_order_relaxed);
    }
    memset(c, 0, sizeof(*c));
}

static inline struct count *
count_of(struct cache_tally *t, enum cache_stats_kind kind, uint64_t key)
{
    struct count *c = &t->counts[(key ^ (key >> 32) ^ (kind << 9)) % TALLIES];

    if (unlikely(c->key != key || c->kind != kind)) {
        flush(t, c);
        c->key = key;
        c->kind = kind;
    }
    return c;
}

void
cache_tally_hit(struct cache_tally *t, const struct read_set *reads, uint64_t statement)
{
    t->hits++;
    if (statement != 0)
        count_of(t, CACHE_STATS_STATEMENTS, key_of_statement(statement))->hits++;
    for (uint32_t n = 0; reads != NULL && n < MIN(reads->n, (uint32_t)READ_SET_MAX); n++)
        count_of(t, CACHE_STATS_TABLES, key_of_slot(reads->slots[n]))->hits++;
}

void
cache_tally_miss(struct cache_tally *t, const struct read_set *reads, uint64_t statement)
{
    if (statement != 0) {
        t->misses++;
        count_of(t, CACHE_STATS_STATEMENTS, key_of_statement(statement))->misses++;
    }
    for (uint32_t n = 0; reads != NULL && n < MIN(reads->n, (uint32_t)READ_SET_MAX); n++)
        count_of(t, CACHE_STATS_TABLES, key_of_slot(reads->slots[n]))->misses++;
}

void
cache_tally_written(struct cache_tally *t, const struct doubt *d)
{
    for (uint32_t n = 0; n < d->n; n++)
        count_of(t, CACHE_STATS_TABLES, key_of_slot(d->slots[n]))->written++;
}

void
cache_tally_flush(struct cache_tally *t)
{
    for (size_t n = 0; n < TALLIES; n++) {
        if (t->counts[n].key != 0)
            flush(t, &t->counts[n]);
    }
    atomic_fetch_add_explicit(&t->stats->map->hits, t->hits, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->stats->map->misses, t->misses, memory_order_relaxed);
    t->hits = t->misses = 0;
}

/* ---- what is shown ---- */

static bool
read_cell(struct cell *cell, struct cache_stats_row *row_r)
{
    uint64_t key = atomic_load_explicit(&cell->key, memory_order_acquire);

    if (key == FREE || key == TAKEN)
        return false;
    row_r->hits = atomic_load(&cell->hits);
    row_r->misses = atomic_load(&cell->misses);
    row_r->written = atomic_load(&cell->written);
    row_r->oid = cell->oid;
    memcpy(row_r->database, cell->database, sizeof(row_r->database));
    memcpy(row_r->text, cell->text, sizeof(row_r->text));
    row_r->database[sizeof(row_r->database) - 1] = row_r->text[sizeof(row_r->text) - 1] = '\0';
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&cell->key, memory_order_relaxed) == key;
}

bool
cache_stats_next(const struct cache_stats *s, enum cache_stats_kind kind, uint32_t *at_io,
                 struct cache_stats_row *row_r)
{
    bool of_tables = kind == CACHE_STATS_TABLES;
    struct cell *cells = of_tables ? s->map->tables : s->map->statements;

    while (*at_io < (of_tables ? (uint32_t)TABLES : (uint32_t)STATEMENTS)) {
        if (read_cell(&cells[(*at_io)++], row_r))
            return true;
    }
    return false;
}

void
cache_stats_sums(const struct cache_stats *s, struct cache_stats_sums *sums_r)
{
    sums_r->hits = atomic_load(&s->map->hits);
    sums_r->misses = atomic_load(&s->map->misses);
}

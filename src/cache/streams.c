/*
 * The table of streams (cache/streams.h).
 *
 * An entry is claimed by a compare and swap of its state and never given back. Who dies between the
 * claim and the name leaves an entry that nobody finds: the next one takes another. Two who claim
 * for the same database at the same time may both get one; the wal process serves both.
 */
#include "cache/streams.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "os/shm.h"

#include <stdlib.h>
#include <string.h>

enum { ENTRY_FREE, ENTRY_CLAIMED, ENTRY_USED };

struct entry {
    _Alignas(64) _Atomic int64_t lease_ns; /* read for each hit, written once a second */
    _Atomic uint32_t used;
    char database[CACHE_STREAM_NAME_BYTES];
    struct cache_stream_row row;
};

struct cache_streams {
    struct entry *entries;
    void *map;
};

const char *
cache_stream_state_name(enum cache_stream_state state)
{
    static const char *const names[] = {
        [CACHE_STREAM_STARTING] = "starting",   [CACHE_STREAM_WAITING] = "waiting",
        [CACHE_STREAM_STREAMING] = "streaming", [CACHE_STREAM_LAGGING] = "lagging",
        [CACHE_STREAM_PAUSED] = "paused",       [CACHE_STREAM_FAILED] = "failed",
    };

    return (size_t)state < ARRAY_LEN(names) ? names[state] : "";
}

int
cache_streams_new(struct cache_streams **s_r, struct err *err)
{
    struct cache_streams *s = xcalloc(1, sizeof(*s));

    if (shm_new(CACHE_STREAMS_MAX * sizeof(struct entry), &s->map, err) != 0) {
        free(s);
        return -1;
    }
    s->entries = s->map;
    *s_r = s;
    return 0;
}

void
cache_streams_free(struct cache_streams *s)
{
    if (s == NULL)
        return;
    shm_free(s->map, CACHE_STREAMS_MAX * sizeof(struct entry));
    free(s);
}

static struct entry *
entry_of(const struct cache_streams *s, uint32_t number)
{
    BUG_UNLESS(number < CACHE_STREAMS_MAX);
    return &s->entries[number];
}

static bool
is_used(const struct entry *e)
{
    return atomic_load_explicit(&e->used, memory_order_acquire) == ENTRY_USED;
}

static bool
claim(struct entry *e, const char *database)
{
    uint32_t free_entry = ENTRY_FREE;

    if (!atomic_compare_exchange_strong(&e->used, &free_entry, ENTRY_CLAIMED))
        return false;
    str_copy(e->database, sizeof(e->database), database);
    e->row.node_id = -1;
    atomic_store_explicit(&e->used, ENTRY_USED, memory_order_release);
    return true;
}

uint32_t
cache_stream_want(struct cache_streams *s, const char *database, bool *new_r)
{
    *new_r = false;
    if (strlen(database) >= CACHE_STREAM_NAME_BYTES)
        return CACHE_STREAMS_MAX; /* PostgreSQL cuts such a name: which one it is we do not know */
    for (uint32_t n = 0; n < CACHE_STREAMS_MAX; n++) {
        struct entry *e = entry_of(s, n);

        if (is_used(e) && strcmp(e->database, database) == 0)
            return n;
        if (atomic_load(&e->used) == ENTRY_FREE && claim(e, database)) {
            *new_r = true;
            return n;
        }
    }
    return CACHE_STREAMS_MAX;
}

const _Atomic int64_t *
cache_stream_lease(const struct cache_streams *s, uint32_t number)
{
    return &entry_of(s, number)->lease_ns;
}

bool
cache_stream_database(const struct cache_streams *s, uint32_t number,
                      char name_r[CACHE_STREAM_NAME_BYTES])
{
    const struct entry *e = entry_of(s, number);

    if (!is_used(e))
        return false;
    str_copy(name_r, CACHE_STREAM_NAME_BYTES, e->database);
    return true;
}

bool
cache_stream_row(const struct cache_streams *s, uint32_t number, struct cache_stream_row *row_r)
{
    const struct entry *e = entry_of(s, number);

    if (!is_used(e))
        return false;
    *row_r = e->row;
    row_r->slot[sizeof(row_r->slot) - 1] = '\0';
    row_r->words[sizeof(row_r->words) - 1] = '\0';
    return true;
}

void
cache_stream_show(struct cache_streams *s, uint32_t number, const struct cache_stream_row *row)
{
    entry_of(s, number)->row = *row;
}

void
cache_stream_renew(struct cache_streams *s, uint32_t number, int64_t until_ns)
{
    atomic_store_explicit(&entry_of(s, number)->lease_ns, until_ns, memory_order_release);
}

void
cache_streams_end_leases(struct cache_streams *s)
{
    for (uint32_t n = 0; n < CACHE_STREAMS_MAX; n++)
        cache_stream_renew(s, n, 0);
}

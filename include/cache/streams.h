/*
 * What is known of writes that bypass this pgpool (cache_invalidation = wal), by database.
 *
 * The wal process reads the commits of each cached database from the primary and raises the
 * versions of what they have written. For a session nothing is left but one question before a hit:
 * does it do so in time? The answer is a lease, the moment until which it holds: all that was
 * committed longer than cache_wal_max_lag before now has been seen. Nobody has to notice that the
 * stream was lost, or that its process died or was stopped: a lease that is not renewed ends.
 *
 * In shared memory, made by the parent before it forks; sessions make the entries, by the name of
 * the database, and the wal process writes all that is in them. An entry is never taken away.
 */
#ifndef CACHE_STREAMS_H
#define CACHE_STREAMS_H

#include "base/err.h"
#include "base/util.h"

#include <stdatomic.h>
#include <stdbool.h>

enum {
    CACHE_STREAMS_MAX = 256,
    CACHE_STREAM_NAME_BYTES = 64, /* PostgreSQL's NAMEDATALEN */
    CACHE_STREAM_WORDS_BYTES = 256,
};

enum cache_stream_state {
    CACHE_STREAM_STARTING,  /* it is wanted, and not there yet */
    CACHE_STREAM_WAITING,   /* for transactions that are older than its slot */
    CACHE_STREAM_STREAMING, /* the cache is on for this database */
    CACHE_STREAM_LAGGING,   /* more than cache_wal_max_lag: the cache is off */
    CACHE_STREAM_PAUSED,    /* given up as long as the database is paused (pgpool pause) */
    CACHE_STREAM_FAILED,    /* `words` say why; it is tried again */
};
const char *cache_stream_state_name(enum cache_stream_state state);

/* What is shown of one. Readers may see it in the middle of a change. */
struct cache_stream_row {
    enum cache_stream_state state;
    int32_t node_id; /* -1: none */
    uint32_t oid;    /* of the database; 0: not known */
    uint64_t received_lsn;
    uint64_t applied_lsn; /* each commit before it has raised what it wrote */
    uint64_t lag_bytes;
    int64_t lag_us;
    int64_t since_us; /* wall clock: it is in that state */
    uint64_t commits; /* of transactions that wrote a table of this database */
    char slot[CACHE_STREAM_NAME_BYTES];
    char words[CACHE_STREAM_WORDS_BYTES]; /* what went wrong last; "": nothing */
};

struct cache_streams;

int cache_streams_new(struct cache_streams **s_r, struct err *err);
void cache_streams_free(struct cache_streams *s); /* NULL: nothing */

/* ---- sessions ---- */

/* The entry of the database, made when there is none: then *new_r, and the wal process is to be
 * woken. CACHE_STREAMS_MAX: there is no room, nothing of that database may be given or kept. The
 * number stays the same for good. */
uint32_t cache_stream_want(struct cache_streams *s, const char *database, bool *new_r);

/* The moment (CLOCK_MONOTONIC) until which hits are allowed; 0: they are not. To be asked before
 * versions_valid. */
const _Atomic int64_t *cache_stream_lease(const struct cache_streams *s, uint32_t number);
static inline bool
cache_stream_is_good(const struct cache_streams *s, uint32_t number, int64_t now_ns)
{
    return number < CACHE_STREAMS_MAX &&
           now_ns < atomic_load_explicit(cache_stream_lease(s, number), memory_order_acquire);
}

/* ---- the wal process, and who shows ---- */

/* False: there is no such entry. */
bool cache_stream_database(const struct cache_streams *s, uint32_t number,
                           char name_r[CACHE_STREAM_NAME_BYTES]);
bool cache_stream_row(const struct cache_streams *s, uint32_t number,
                      struct cache_stream_row *row_r);
void cache_stream_show(struct cache_streams *s, uint32_t number,
                       const struct cache_stream_row *row);

/* The wal process's. A lease is given again, after it was ended or has never been there, only when
 * all that was kept of the database has been raised. */
void cache_stream_renew(struct cache_streams *s, uint32_t number, int64_t until_ns);
/* Of all databases: the wal process has died, or begins. */
void cache_streams_end_leases(struct cache_streams *s);

#endif

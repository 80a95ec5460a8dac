/*
 * The wal process; for the files of it alone.
 *
 * wal.c          which databases, which server; the configuration
 * wal_watch.c    which transactions of the primary have ended, and how far its WAL is
 * wal_stream.c   the connection that brings the changes of one database
 * wal_changes.c  what these changes make invalid, and when
 * wal_catalog.c  what others do to the catalog of one database
 *
 * Why this is right. A commit of somebody else, W, writes table T. f: its commit record is flushed;
 * v: it becomes visible on the primary; m: its changes are read here; a: the version of T is raised
 * here. The server sends W once f has passed, and that may be long before v: with a synchronous
 * standby W waits for that in between, and even without one v comes after f. Who raised at m could
 * raise before v; then an entry that was filled between the two, without W, would be valid for
 * ever. Therefore:
 *   - from m on this process doubts T (cache/versions.h), so that T gives no hits;
 *   - the primary is asked for snapshots (wal_watch.c). When one says that W's transaction has
 *     ended, v has passed, and every later snapshot sees W: only then is T raised, and the doubt
 *     is taken back. So v < a, and each entry with as_of > a has W: it was answered by the
 *     primary after a, or by a standby that had replayed all that was visible there at a.
 *   - h, a hit: m < h < a sees the doubt; h > a sees the version. h < m may give what is older than
 *     W: this is what the lease bounds (below).
 * The stream is whole: it begins at the slot's consistent point c. Any commit record behind c is
 * streamed. One before c is not; but its transaction may have become visible after c (it waited
 * for a standby). So, after c, a transaction number N is drawn (which all such transactions are
 * below), and the lease is given only when a snapshot says that all below N have ended; the
 * database is raised before that. What the publication leaves out (unlogged tables, materialized
 * views) is not kept by sessions.
 * The lease: at a moment t the primary is asked how far its WAL is flushed, F. What was visible a
 * little before t (3 * wal_writer_delay, by asynchronous commits) has its record before F. When
 * the stream has passed F, everything visible then is doubted or raised: the lease runs from then
 * for cache_wal_max_lag.
 * Changes of the catalog by others (wal_catalog.c) are not in the stream. They are looked for about
 * once a second, and make everything of the database invalid; the lease runs from the last look,
 * too.
 */
#ifndef PROC_WAL_H
#define PROC_WAL_H

#include "cache/shared.h"
#include "cache/snapshot.h"
#include "catalog/catalog.h"
#include "cluster/fresh.h"
#include "cluster/nodes.h"
#include "cluster/view.h"
#include "os/ask.h"
#include "os/dns.h"
#include "proc/proc.h"

enum {
    WAL_TICK_MS = 1000,
    WAL_BOOT_BYTES = 40, /* one start of a server: when it began */
    WAL_QUESTION_MS = 10000,
    WAL_QUOTED_BYTES = 4 * CACHE_STREAM_NAME_BYTES + 8,
};

/* Null: there is none of that name, which is quoted by wal_quote. */
#define WAL_PUBLICATION_IS_GOOD                                                                    \
    "(SELECT p.puballtables AND p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate"     \
    " AND coalesce(pg_catalog.to_jsonb(p) ->> 'pubviaroot', 'false') = 'false'"                    \
    " FROM pg_catalog.pg_publication AS p WHERE p.pubname = '%s')"

struct passwd;
struct wal_stream;
struct wal_watch;

struct wal {
    struct proc *proc;
    struct cache_shared *cache;
    struct dns *dns;
    struct passwd *passwords;
    struct doubts *doubts;
    struct catalog *catalog;
    struct cluster_freshness *freshness;
    uint64_t freshness_epoch;
    struct cluster_nodes *judged;
    uint64_t judged_epoch;
    struct cluster_view view;
    int primary_id; /* that is watched; -1: none */
    uint32_t timeline;
    struct wal_watch *watch;
    struct wal_stream *streams[CACHE_STREAMS_MAX]; /* NULL: nobody wants it, or */
    uint32_t twin_of[CACHE_STREAMS_MAX];           /* it is the same database as this one */
    struct io_timer tick;
};

/* The primary as this process connects to it. */
void wal_target(struct wal *w, const char *database, struct ask_target *target_r);

/* A name for the inside of '...'; or "name", for anywhere. Names that are too long are cut. */
const char *wal_quote(const char *name, bool identifier, char quoted_r[WAL_QUOTED_BYTES]);

/* The server or the configuration is another, or cannot be watched: all streams end; they begin
 * anew when they can. */
void wal_lose_all(struct wal *w, const struct err *err);

/* ---- wal_watch.c ---- */

struct wal_moment {
    const struct cache_snapshot *snapshot;
    const char *boot; /* which server says so */
};

struct wal_watch *wal_watch_new(struct wal *w);
void wal_watch_free(struct wal_watch *watch);
void wal_watch_close(struct wal_watch *watch);
/* Somebody waits for transactions to end: asks at once, and again and again. */
void wal_watch_soon(struct wal_watch *watch);
void wal_watch_tick(struct wal_watch *watch); /* asks as well */
const struct cluster_fresh *wal_watch_history(const struct wal_watch *watch);

/* ---- wal_stream.c ---- */

struct wal_stream *wal_stream_new(struct wal *w, uint32_t number, const char *database);
void wal_stream_free(struct wal_stream *st);
/* Ends it, and begins anew after a while; err may be NULL: no fault. */
void wal_stream_lose(struct wal_stream *st, const struct err *err);
/* There is a primary, the database is not paused: now. */
void wal_stream_look(struct wal_stream *st);
void wal_stream_tick(struct wal_stream *st);
void wal_stream_heard(struct wal_stream *st, const struct wal_moment *m);
bool wal_stream_waits(const struct wal_stream *st);
bool wal_stream_wants_fence(const struct wal_stream *st);
void wal_stream_fence(struct wal_stream *st, uint64_t xid);
/* All that was done to its catalog before this moment has been seen; anything new? */
void wal_stream_catalog_seen(struct wal_stream *st, int64_t as_of_ns, bool changed);

/* ---- wal_changes.c ---- */

struct wal_changes;

struct wal_changes *wal_changes_new(struct wal *w);
/* Takes back what it doubts, raised: before a lease is given again, all of the database must be. */
void wal_changes_free(struct wal_changes *ch);
/* Another stream begins, of the database with this number (cache_database); the same goes for what
 * there was. */
void wal_changes_begin(struct wal_changes *ch, uint32_t database);

/* One message. -1: that is none, the stream must begin anew. *changed_r: a table is another than it
 * was. */
struct wal_message {
    const uint8_t *bytes;
    size_t len;
};
int wal_changes_take(struct wal_changes *ch, const struct wal_message *m, bool *changed_r,
                     struct err *err);
/* Everything before this position has been sent. */
void wal_changes_note_end(struct wal_changes *ch, uint64_t lsn);

/* Raises what can be seen by now. */
void wal_changes_settle(struct wal_changes *ch, const struct cache_snapshot *snapshot);
bool wal_changes_wait(const struct wal_changes *ch); /* is there anything that cannot? */

uint64_t wal_changes_received(const struct wal_changes *ch); /* doubted or raised up to there, */
uint64_t wal_changes_applied(const struct wal_changes *ch);  /* and raised */
uint64_t wal_changes_commits(const struct wal_changes *ch);

/* ---- wal_catalog.c ---- */

struct wal_catalog;

/* Looks at once and then once a second, until it is freed. */
struct wal_catalog *wal_catalog_new(struct wal_stream *st, struct wal *w, const char *database);
void wal_catalog_free(struct wal_catalog *c); /* NULL: nothing */

#endif

/*
 * The connection that brings the changes of one database.
 *
 * In order: who is there, and is all as it must be; the publication, where it is missing; a
 * temporary slot, for which the server waits until transactions that are older have ended; the
 * stream; a number that these transactions are below, and their end; everything of the database is
 * raised, and the lease is given (wal.h says why). Whatever goes wrong ends the lease and begins
 * anew after a while. Invariants: a lease is there only in phase ON; nobody but lose() ends phases.
 */
#include "base/arena.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "config/config.h"
#include "os/clock.h"
#include "wal.h"
#include "wire/logical.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RETRY_MS = 200, /* doubled each time */
    RETRY_MAX_MS = 5000,
    RELEASED_MS = 5000,            /* somebody wants the database for himself */
    SLOT_MS = 24 * 60 * 60 * 1000, /* transactions may take long */
    SILENT_MS = 30000,
    SQL_BYTES = 2048,
};

/* Between microseconds since 1970 and since 2000. */
#define US_TO_2000 (INT64_C(946684800) * 1000000)

enum wal_phase { IDLE, FACTS, PUBLISHING, SLOT, STARTING, WAITING, ON };

enum {
    COL_OID,
    COL_RECOVERY,
    COL_LEVEL,
    COL_BOOT,
    COL_SUPERUSER,
    COL_REPLICATION,
    COL_PUBLICATION, /* null: there is none; t: it is good */
    COL_BARE,        /* tables whose UPDATE it would forbid */
    COL_EXAMPLE,
    COL_SYNCHRONOUS,
    COL_WRITER_DELAY,
};

struct wal_stream {
    struct wal *w;
    uint32_t number;
    char database[CACHE_STREAM_NAME_BYTES];
    enum wal_phase phase;
    struct ask *ask;
    struct wal_catalog *catalog;
    struct wal_changes *changes;
    struct io_timer retry;
    int64_t retry_ms;
    uint32_t attempts;
    char sql[SQL_BYTES];
    char boot[WAL_BOOT_BYTES];
    int64_t writer_slack_ns; /* an asynchronous commit is flushed after this long */
    bool wants_fence;
    uint64_t fence; /* 0: not known yet */
    int64_t heard_ns;
    int64_t catalog_as_of_ns; /* 0: never looked at */
    struct err broken;        /* why `received` has given up */
    struct cache_stream_row row;
};

/* ---- what is shown, and the lease --------------------------------------------------------------
 */

static void
show(struct wal_stream *st, enum cache_stream_state state)
{
    if (st->row.state != state)
        st->row.since_us = clock_wall_us();
    st->row.state = state;
    for (uint32_t n = st->number; n < CACHE_STREAMS_MAX; n++) {
        if (n == st->number || st->w->twin_of[n] == st->number)
            cache_stream_show(st->w->cache->streams, n, &st->row);
    }
}

static void
set_lease(struct wal_stream *st, int64_t until_ns)
{
    for (uint32_t n = st->number; n < CACHE_STREAMS_MAX; n++) {
        if (n == st->number || st->w->twin_of[n] == st->number)
            cache_stream_renew(st->w->cache->streams, n, until_ns);
    }
}

static void
tell_lag(struct wal_stream *st, bool late)
{
    if (late && st->row.state == CACHE_STREAM_STREAMING)
        log_warning("the changes of database \"%s\" are read late, by %.1f s: nothing of it is "
                    "given from the query cache for now",
                    st->database, (double)st->row.lag_us / 1e6);
    else if (!late && st->row.state == CACHE_STREAM_LAGGING)
        log_info("the changes of database \"%s\" are read in time again", st->database);
}

/* All before as_of is doubted or raised. */
static void
renew(struct wal_stream *st)
{
    const struct cluster_fresh *history = wal_watch_history(st->w->watch);
    uint64_t received = wal_changes_received(st->changes);
    int64_t now_ns = io_now_ns(st->w->proc->io);
    int64_t as_of_ns = cluster_fresh_as_of(history, received);
    int64_t until_ns;

    st->row.received_lsn = received;
    st->row.applied_lsn = wal_changes_applied(st->changes);
    st->row.commits = wal_changes_commits(st->changes);
    st->row.lag_bytes = cluster_fresh_delay_bytes(history, st->row.applied_lsn);
    st->row.lag_us = cluster_fresh_delay_us(history, st->row.applied_lsn, now_ns);
    if (st->phase != ON) {
        show(st, st->row.state);
        return;
    }
    as_of_ns = MIN(as_of_ns - st->writer_slack_ns, st->catalog_as_of_ns);
    until_ns = as_of_ns + st->w->proc->config->cache_wal_max_lag_ms * NS_PER_MS;
    tell_lag(st, until_ns <= now_ns);
    set_lease(st, MAX(until_ns, 0));
    show(st, until_ns > now_ns ? CACHE_STREAM_STREAMING : CACHE_STREAM_LAGGING);
}

/* ---- the end ----------------------------------------------------------------------------------
 */

static void begin(void *ctx);

static void
end(struct wal_stream *st)
{
    set_lease(st, 0);
    ask_close(st->ask);
    wal_catalog_free(st->catalog);
    st->catalog = NULL;
    wal_changes_begin(st->changes, 0);
    io_timer_stop(&st->retry);
    st->phase = IDLE;
    st->wants_fence = false;
    st->fence = 0;
    st->catalog_as_of_ns = 0;
    st->row.slot[0] = '\0';
    st->row.node_id = -1;
}

static void
begin_in(struct wal_stream *st, int64_t delay_ms)
{
    io_timer_start(st->w->proc->io, &st->retry, delay_ms, begin, st);
}

void
wal_stream_lose(struct wal_stream *st, const struct err *err)
{
    bool is_news;

    end(st);
    if (st->row.state == CACHE_STREAM_PAUSED)
        return;
    if (err == NULL) {
        st->row.words[0] = '\0';
        show(st, CACHE_STREAM_STARTING);
        begin_in(st, RELEASED_MS);
        return;
    }
    is_news = strcmp(st->row.words, err->message) != 0;
    str_copy(st->row.words, sizeof(st->row.words), err->message);
    show(st, CACHE_STREAM_FAILED);
    if (is_news)
        log_warning("the changes of database \"%s\" cannot be read, nothing of it is given from "
                    "the query cache: %s%s%s%s",
                    st->database, err->message, err->hint[0] != '\0' ? " (hint: " : "", err->hint,
                    err->hint[0] != '\0' ? ")" : "");
    begin_in(st, st->retry_ms);
    st->retry_ms = MIN(2 * st->retry_ms, (int64_t)RETRY_MAX_MS);
}

/* ---- texts -------------------------------------------------------------------------------------
 */

static void
ask_facts(struct wal_stream *st)
{
    char name[WAL_QUOTED_BYTES];

    snprintf(
        st->sql, sizeof(st->sql),
        "SELECT d.oid, pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('wal_level'),"
        " pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()), r.rolsuper,"
        " r.rolsuper OR r.rolreplication,"
        " " WAL_PUBLICATION_IS_GOOD
        ", b.n, b.example, pg_catalog.current_setting('synchronous_standby_names'),"
        " (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_writer_delay')"
        " FROM pg_catalog.pg_database AS d, pg_catalog.pg_roles AS r,"
        " (SELECT pg_catalog.count(*) AS n, pg_catalog.min(c.oid::pg_catalog.regclass::text)"
        " AS example FROM pg_catalog.pg_class AS c WHERE c.relkind = 'r' AND c.relpersistence = 'p'"
        " AND c.oid >= 16384 AND (c.relreplident = 'n' OR c.relreplident = 'd' AND NOT EXISTS"
        " (SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary)))"
        " AS b WHERE d.datname = pg_catalog.current_database() AND r.rolname = current_user",
        wal_quote(st->w->proc->config->cache_wal_publication, false, name));
    st->phase = FACTS;
    ask_question(st->ask, st->sql, WAL_QUESTION_MS);
}

static void
publish(struct wal_stream *st)
{
    char name[WAL_QUOTED_BYTES];

    snprintf(st->sql, sizeof(st->sql),
             "CREATE PUBLICATION %s FOR ALL TABLES"
             " WITH (publish = 'insert, update, delete, truncate')",
             wal_quote(st->w->proc->config->cache_wal_publication, true, name));
    st->phase = PUBLISHING;
    ask_question(st->ask, st->sql, WAL_QUESTION_MS);
}

static void
make_slot(struct wal_stream *st)
{
    snprintf(st->row.slot, sizeof(st->row.slot), "pgpool_cache_%08x_%u_%u",
             (unsigned)shared_instance_id(st->w->proc->shared), st->number, ++st->attempts);
    snprintf(st->sql, sizeof(st->sql),
             "CREATE_REPLICATION_SLOT \"%s\" TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT",
             st->row.slot);
    st->phase = SLOT;
    show(st, CACHE_STREAM_WAITING);
    ask_question(st->ask, st->sql, SLOT_MS);
}

/* ---- the way up --------------------------------------------------------------------------------
 */

static int
refuse_publication(struct wal_stream *st, const struct ask_rows *rows, struct err *err)
{
    const char *name = st->w->proc->config->cache_wal_publication;

    if (!ask_is_null(rows, 0, COL_PUBLICATION)) {
        err_set(err, "55000",
                "publication \"%s\" is not one of all changes of all tables, as they are", name);
        err_hint(err,
                 "drop it, or name another one in cache_wal_publication: CREATE PUBLICATION ... "
                 "FOR ALL TABLES, without publish_via_partition_root");
        return -1;
    }
    if (strcmp(ask_value(rows, 0, COL_BARE), "0") != 0) {
        err_set(err, "55000",
                "publication \"%s\" is missing, and would forbid UPDATE and DELETE of %s tables "
                "without a primary key, such as \"%s\"",
                name, ask_value(rows, 0, COL_BARE), ask_value(rows, 0, COL_EXAMPLE));
        err_hint(err, "set REPLICA IDENTITY FULL for them (ALTER TABLE), or create it yourself: "
                      "CREATE PUBLICATION ... FOR ALL TABLES");
        return -1;
    }
    if (ask_value(rows, 0, COL_SUPERUSER)[0] != 't') {
        err_set(err, "42501", "publication \"%s\" is missing, and only a superuser may create it",
                name);
        err_hint(err, "in this database: CREATE PUBLICATION %s FOR ALL TABLES", name);
        return -1;
    }
    return 0;
}

static int
check_facts(struct wal_stream *st, const struct ask_rows *rows, struct err *err)
{
    if (ask_row_count(rows) != 1)
        return err_set(err, "08P01", "the server's answer was not understood");
    if (ask_value(rows, 0, COL_RECOVERY)[0] != 'f')
        return err_set(err, "55000", "node %d is not a primary", st->w->primary_id);
    if (strcmp(ask_value(rows, 0, COL_LEVEL), "logical") != 0) {
        err_set(err, "55000", "\"wal_level\" of node %d is \"%s\"", st->w->primary_id,
                ask_value(rows, 0, COL_LEVEL));
        err_hint(err, "set it to \"logical\" on all nodes, and restart them");
        return -1;
    }
    if (ask_value(rows, 0, COL_REPLICATION)[0] != 't') {
        err_set(err, "42501", "the user that reads changes may not use replication");
        err_hint(err, "ALTER ROLE ... REPLICATION (cache_wal_user)");
        return -1;
    }
    return 0;
}

static void
hear_facts(struct wal_stream *st, const struct ask_rows *rows)
{
    uint32_t delay_ms = 0;
    struct err err;

    if (check_facts(st, rows, &err) != 0) {
        wal_stream_lose(st, &err);
        return;
    }
    num_parse_u32(ask_value(rows, 0, COL_OID), &st->row.oid);
    num_parse_u32(ask_value(rows, 0, COL_WRITER_DELAY), &delay_ms);
    st->writer_slack_ns = 3 * (int64_t)delay_ms * NS_PER_MS;
    str_copy(st->boot, sizeof(st->boot), ask_value(rows, 0, COL_BOOT));
    if (strchr(ask_value(rows, 0, COL_SYNCHRONOUS), '*') != NULL && st->attempts == 0)
        log_warning("\"synchronous_standby_names\" of node %d has \"*\": the connection that "
                    "reads changes for the query cache counts as a synchronous standby",
                    st->w->primary_id);
    if (ask_value(rows, 0, COL_PUBLICATION)[0] == 't')
        make_slot(st);
    else if (refuse_publication(st, rows, &err) == 0)
        publish(st);
    else
        wal_stream_lose(st, &err);
}

static void
stream_begun(void *ctx)
{
    struct wal_stream *st = ctx;

    wal_changes_begin(st->changes, cache_database(st->database));
    st->phase = WAITING;
    st->wants_fence = true;
    st->heard_ns = io_now_ns(st->w->proc->io);
    st->catalog = wal_catalog_new(st, st->w, st->database);
    wal_watch_soon(st->w->watch);
}

/* First the catalog: what is judged by what was known of it is not kept then. */
static void
forget_catalog(struct wal_stream *st)
{
    log_write(LOG_DEBUG1, "everything of database \"%s\" counts as changed", st->database);
    catalog_changed(st->w->catalog, st->database);
    versions_raise_database(st->w->cache->versions, cache_database(st->database));
}

/* From here on nobody gets what was kept before. */
static void
open_when_ready(struct wal_stream *st, const struct cache_snapshot *snapshot)
{
    if (st->phase != WAITING || st->fence == 0 || snapshot->xmin < st->fence ||
        st->catalog_as_of_ns == 0)
        return;
    forget_catalog(st);
    st->phase = ON;
    st->retry_ms = RETRY_MS;
    st->row.words[0] = '\0';
    show(st, CACHE_STREAM_STREAMING);
    log_info("the changes of database \"%s\" are read from node %d, slot \"%s\"", st->database,
             st->row.node_id, st->row.slot);
}

/* ---- the stream --------------------------------------------------------------------------------
 */

/* What was received counts as flushed: nothing is lost with us, and a server for which we were a
 * synchronous standby must not wait for our waiting for it. */
static void
send_status(struct wal_stream *st, bool reply)
{
    uint64_t received = wal_changes_received(st->changes);
    struct wire_status status = {received, received, received, clock_wall_us() - US_TO_2000, reply};
    struct buf out = BUF_EMPTY;

    if (st->phase < WAITING)
        return;
    wire_stream_status(&out, &status);
    ask_send(st->ask, out.data, out.len);
    buf_free(&out);
}

static int
take(struct wal_stream *st, const uint8_t *bytes, size_t len, struct err *err)
{
    struct wire_stream s;
    bool changed = false;

    if (wire_stream_parse(bytes, len, &s, err) != WIRE_OK)
        return -1;
    if (s.kind == WIRE_STREAM_DATA) {
        struct wal_message m = {s.data, s.len};

        if (wal_changes_take(st->changes, &m, &changed, err) != 0)
            return -1;
        if (changed) {
            forget_catalog(st);
        }
        return 0;
    }
    wal_changes_note_end(st->changes, s.end);
    if (s.reply)
        send_status(st, false);
    renew(st);
    return 0;
}

static void
give_up(void *ctx)
{
    struct wal_stream *st = ctx;

    wal_stream_lose(st, &st->broken);
}

static bool
received(void *ctx, const uint8_t *bytes, size_t len)
{
    struct wal_stream *st = ctx;

    st->heard_ns = io_now_ns(st->w->proc->io);
    if (take(st, bytes, len, &st->broken) == 0)
        return true;
    set_lease(st, 0);
    st->phase = STARTING;
    io_timer_start(st->w->proc->io, &st->retry, 0, give_up, st);
    return false;
}

static void
start_stream(struct wal_stream *st)
{
    static const struct ask_stream_ops ops = {stream_begun, received};
    char identifier[WAL_QUOTED_BYTES];
    char name[WAL_QUOTED_BYTES];

    wal_quote(st->w->proc->config->cache_wal_publication, true, identifier);
    snprintf(st->sql, sizeof(st->sql),
             "START_REPLICATION SLOT \"%s\" LOGICAL 0/0"
             " (proto_version '1', publication_names '%s')",
             st->row.slot, wal_quote(identifier, false, name));
    st->phase = STARTING;
    ask_stream(st->ask, st->sql, &ops, WAL_QUESTION_MS);
}

static void
answered(void *ctx, const struct ask_rows *rows)
{
    struct wal_stream *st = ctx;
    struct err err;

    switch (st->phase) {
    case FACTS:
        hear_facts(st, rows);
        break;
    case PUBLISHING:
        log_info("created publication \"%s\" in database \"%s\"",
                 st->w->proc->config->cache_wal_publication, st->database);
        make_slot(st);
        break;
    case SLOT:
        start_stream(st);
        break;
    default:
        err_set(&err, "08P01", "the server has not begun to stream");
        wal_stream_lose(st, &err);
        break;
    }
}

static void
failed(void *ctx, const struct err *err, bool asked UNUSED)
{
    wal_stream_lose(ctx, err);
}

static void
begin(void *ctx)
{
    struct wal_stream *st = ctx;
    struct ask_target target;

    if (st->w->primary_id < 0 || st->row.state == CACHE_STREAM_PAUSED)
        return; /* the next look sees when that is over */
    wal_target(st->w, st->database, &target);
    target.replication = true;
    target.application_name = "pgpool wal";
    ask_set_target(st->ask, &target);
    st->row.node_id = st->w->primary_id;
    show(st, st->row.words[0] == '\0' ? CACHE_STREAM_STARTING : CACHE_STREAM_FAILED);
    ask_facts(st);
}

/* ---- what the others say -----------------------------------------------------------------------
 */

void
wal_stream_look(struct wal_stream *st)
{
    struct holds *holds = shared_holds(st->w->proc->shared);

    if (holds_paused(holds, st->database)) {
        if (st->row.state != CACHE_STREAM_PAUSED)
            end(st);
        show(st, CACHE_STREAM_PAUSED);
        return;
    }
    if (st->row.state == CACHE_STREAM_PAUSED)
        show(st, CACHE_STREAM_STARTING);
    if (st->phase == IDLE && !io_timer_running(&st->retry))
        begin(st);
}

void
wal_stream_tick(struct wal_stream *st)
{
    int64_t silent_ns = io_now_ns(st->w->proc->io) - st->heard_ns;
    struct err err;

    wal_stream_look(st);
    if (st->phase < WAITING)
        return;
    if (silent_ns > SILENT_MS * NS_PER_MS) {
        err_set(&err, "08006", "the server has said nothing for %d s", SILENT_MS / 1000);
        wal_stream_lose(st, &err);
    }
}

void
wal_stream_heard(struct wal_stream *st, const struct wal_moment *m)
{
    struct err err;

    if (st->phase < WAITING)
        return;
    if (strcmp(m->boot, st->boot) != 0) {
        err_set(&err, "08006", "the server was started anew, or is another one");
        wal_stream_lose(st, &err);
        return;
    }
    wal_changes_settle(st->changes, m->snapshot);
    open_when_ready(st, m->snapshot);
    renew(st);
    send_status(st, true);
}

bool
wal_stream_waits(const struct wal_stream *st)
{
    return st->phase == WAITING || (st->phase == ON && wal_changes_wait(st->changes));
}

bool
wal_stream_wants_fence(const struct wal_stream *st)
{
    return st->wants_fence;
}

/* Drawn after the slot was there: what the stream does not bring has a lower number. */
void
wal_stream_fence(struct wal_stream *st, uint64_t xid)
{
    if (!st->wants_fence)
        return;
    st->wants_fence = false;
    st->fence = xid;
}

void
wal_stream_catalog_seen(struct wal_stream *st, int64_t as_of_ns, bool changed)
{
    if (changed) {
        forget_catalog(st);
    }
    st->catalog_as_of_ns = as_of_ns;
    renew(st);
}

struct wal_stream *
wal_stream_new(struct wal *w, uint32_t number, const char *database)
{
    static const struct ask_ops ops = {answered, failed};
    struct wal_stream *st = xcalloc(1, sizeof(*st));

    st->w = w;
    st->number = number;
    str_copy(st->database, sizeof(st->database), database);
    st->ask = ask_new(w->proc->io, w->dns, &ops, st);
    st->changes = wal_changes_new(w);
    st->retry_ms = RETRY_MS;
    st->row.node_id = -1;
    st->row.since_us = clock_wall_us();
    return st;
}

void
wal_stream_free(struct wal_stream *st)
{
    end(st);
    ask_free(st->ask);
    wal_changes_free(st->changes);
    free(st);
}

/*
 * Which transactions of the primary have ended, and how far its WAL is flushed.
 *
 * One connection, asked once a second, and as soon as a commit was read from a stream; then again
 * and again, more and more slowly, while its transaction has not ended. What it says goes to all
 * streams. When it does not answer, nobody can know, and all streams end.
 */
#include "base/arena.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "config/config.h"
#include "wal.h"

#include <stdlib.h>
#include <string.h>

enum {
    PACE_MS = 2, /* between two questions, however many commits there are */
    AGAIN_MS = 4,
    AGAIN_MAX_MS = 200,
};

enum { COL_SNAPSHOT, COL_FLUSHED, COL_BOOT };

/* On a standby the second one fails. */
static const char now[] =
    "SELECT pg_catalog.txid_current_snapshot()::pg_catalog.text,"
    " pg_catalog.pg_current_wal_flush_lsn()::pg_catalog.text,"
    " pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time())::pg_catalog.text";

/* Draws a number: all transactions that have one by now have a lower one. */
static const char fence[] = "SELECT pg_catalog.txid_current()::pg_catalog.text";

struct wal_watch {
    struct wal *w;
    struct ask *ask;
    const char *question; /* that runs */
    int64_t asked_ns;
    bool again; /* as soon as it has ended */
    int64_t delay_ms;
    struct io_timer due;
    struct cache_snapshot snapshot;
    struct cluster_fresh history; /* of the primary that is asked */
};

static void ask_now(void *ctx);

static bool
anybody(const struct wal *w, bool (*is_so)(const struct wal_stream *))
{
    for (uint32_t n = 0; n < CACHE_STREAMS_MAX; n++) {
        if (w->streams[n] != NULL && is_so(w->streams[n]))
            return true;
    }
    return false;
}

static void
ask_in(struct wal_watch *watch, int64_t delay_ms)
{
    struct io *io = watch->w->proc->io;
    int64_t since_ms = (io_now_ns(io) - watch->asked_ns) / NS_PER_MS;

    if (ask_is_busy(watch->ask)) {
        watch->again |= delay_ms == 0;
        return;
    }
    if (since_ms < PACE_MS)
        delay_ms = MAX(delay_ms, PACE_MS - since_ms);
    if (!io_timer_running(&watch->due) || watch->due.due_ns > io_now_ns(io) + delay_ms * NS_PER_MS)
        io_timer_start(io, &watch->due, delay_ms, ask_now, watch);
}

static void
ask_now(void *ctx)
{
    struct wal_watch *watch = ctx;
    struct ask_target target;

    if (watch->w->primary_id < 0 || ask_is_busy(watch->ask))
        return;
    wal_target(watch->w, watch->w->proc->config->sr_check_database, &target);
    target.application_name = "pgpool wal snapshots";
    ask_set_target(watch->ask, &target);
    watch->again = false;
    watch->question = anybody(watch->w, wal_stream_wants_fence) ? fence : now;
    watch->asked_ns = io_now_ns(watch->w->proc->io);
    ask_question(watch->ask, watch->question, WAL_QUESTION_MS);
}

static void
hear_fence(struct wal_watch *watch, const struct ask_rows *rows)
{
    uint64_t xid = strtoull(ask_value(rows, 0, 0), NULL, 10);

    for (uint32_t n = 0; n < CACHE_STREAMS_MAX && xid > 0; n++) {
        if (watch->w->streams[n] != NULL)
            wal_stream_fence(watch->w->streams[n], xid);
    }
    ask_in(watch, 0);
}

static void
lose(struct wal_watch *watch, const struct err *err)
{
    wal_watch_close(watch);
    wal_lose_all(watch->w, err);
}

static void
hear_now(struct wal_watch *watch, const struct ask_rows *rows)
{
    struct wal_moment moment = {&watch->snapshot, ask_value(rows, 0, COL_BOOT)};
    uint64_t flushed = 0;
    struct err err;

    if (!cache_snapshot_read(&watch->snapshot, ask_value(rows, 0, COL_SNAPSHOT)) ||
        !num_parse_lsn(ask_value(rows, 0, COL_FLUSHED), &flushed)) {
        err_set(&err, "08P01", "the server's answer was not understood");
        lose(watch, &err);
        return;
    }
    cluster_fresh_note(&watch->history, watch->asked_ns, cluster_fresh_target(flushed, 0, 0));
    for (uint32_t n = 0; n < CACHE_STREAMS_MAX; n++) {
        if (watch->w->streams[n] != NULL)
            wal_stream_heard(watch->w->streams[n], &moment);
    }
    if (!anybody(watch->w, wal_stream_waits)) {
        watch->delay_ms = AGAIN_MS;
        return;
    }
    ask_in(watch, watch->again ? 0 : watch->delay_ms);
    watch->delay_ms = MIN(2 * watch->delay_ms, (int64_t)AGAIN_MAX_MS);
}

static void
answered(void *ctx, const struct ask_rows *rows)
{
    struct wal_watch *watch = ctx;

    if (watch->question == fence)
        hear_fence(watch, rows);
    else
        hear_now(watch, rows);
}

static void
failed(void *ctx, const struct err *err, bool asked UNUSED)
{
    lose(ctx, err);
}

/* ---- for the others ---- */

struct wal_watch *
wal_watch_new(struct wal *w)
{
    static const struct ask_ops ops = {answered, failed};
    struct wal_watch *watch = xcalloc(1, sizeof(*watch));

    watch->w = w;
    watch->delay_ms = AGAIN_MS;
    watch->ask = ask_new(w->proc->io, w->dns, &ops, watch);
    return watch;
}

void
wal_watch_close(struct wal_watch *watch)
{
    io_timer_stop(&watch->due);
    ask_close(watch->ask);
    memset(&watch->history, 0, sizeof(watch->history));
    watch->delay_ms = AGAIN_MS;
    watch->again = false;
}

void
wal_watch_free(struct wal_watch *watch)
{
    io_timer_stop(&watch->due);
    ask_free(watch->ask);
    cache_snapshot_free(&watch->snapshot);
    free(watch);
}

void
wal_watch_soon(struct wal_watch *watch)
{
    watch->delay_ms = AGAIN_MS;
    ask_in(watch, 0);
}

void
wal_watch_tick(struct wal_watch *watch)
{
    for (uint32_t n = 0; n < CACHE_STREAMS_MAX; n++) {
        if (watch->w->streams[n] != NULL) {
            ask_in(watch, 0);
            return;
        }
    }
}

const struct cluster_fresh *
wal_watch_history(const struct wal_watch *watch)
{
    return &watch->history;
}

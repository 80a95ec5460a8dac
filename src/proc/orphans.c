/*
 * Rounds of waiting for what was left behind (orphans.h; cache/versions.h says why, "A process that
 * dies").
 *
 * A round begins with a turn, so that those who come later have another one; it notes who is waited
 * for, asks each node again and again, and settles when nothing of it is left. A server process
 * counts as ended when the node's pg_stat_activity has none of its number that began before the
 * round did: it has taken back or made visible all that it did before it leaves that view.
 * A node that does not answer and is not the primary is not waited for: what was written there and
 * did not get to the primary is gone, and when the primary became that, all was raised.
 */
#include "orphans.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"
#include "cache/shared.h"
#include "config/config.h"

#include <stdlib.h>

enum {
    LOOK_MS = 100, /* is there anything */
    AGAIN_MS = 50, /* doubled each time */
    AGAIN_MAX_MS = 1000,
    QUESTION_MS = 10000,
    REST_S = 2, /* for what lies in the network or at a server unread, of clients that are gone */
    TELL_MS = 10000,
};

static const char clock_question[] =
    "SELECT pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())";

struct orphan_node {
    struct orphans *o;
    int node_id;
    struct ask *ask;
    struct buf sql;
    double began; /* the round, by this node's clock; 0: not known yet */
    bool wanted;  /* it is waited for */
    int64_t delay_ms;
    struct io_timer due;
};

struct noted {
    uint32_t place; /* of cache_orphans_next */
    struct cache_orphan who;
};

struct orphans {
    struct proc *proc;
    struct dns *dns;
    const struct orphans_host *host;
    void *ctx;
    struct io_timer look;
    bool running;   /* a round */
    bool anybody;   /* it waits for any client of the primary, */
    bool rests;     /* ... and for what is not read yet, */
    uint32_t opens; /* ... and opens the cache at its end: enum cache_closed */
    int anybody_at; /* the primary that was asked about that */
    int64_t began_ns;
    bool told;
    uint32_t count;
    struct noted list[CACHE_ORPHANS_MAX];
    struct orphan_node *nodes[CONFIG_NODES_MAX];
};

static struct cache_shared *
cache(const struct orphans *o)
{
    return o->proc->cache;
}

/* ---- the end of a round ---- */

static void
settle(struct orphans *o)
{
    for (uint32_t n = 0; n < o->count; n++)
        cache_orphan_remove(cache(o), o->list[n].place);
    versions_orphans_settle(cache(o)->versions);
    o->running = false;
    for (int id = 0; id < CONFIG_NODES_MAX; id++) {
        if (o->nodes[id] != NULL)
            ask_close(o->nodes[id]->ask);
    }
    log_write(LOG_DEBUG1, "what %u server processes were left with has ended", o->count);
    if (o->opens == 0)
        return;
    versions_raise_all(cache(o)->versions);
    cache_open(cache(o), o->opens);
    log_info("the query cache is on");
}

static void
settle_when_done(struct orphans *o)
{
    for (int id = 0; id < CONFIG_NODES_MAX; id++) {
        if (o->nodes[id] != NULL && o->nodes[id]->wanted)
            return;
    }
    if (!o->anybody)
        settle(o);
}

/* ---- asking ---- */

static void
build(struct orphan_node *n)
{
    const struct orphans *o = n->o;
    bool first = true;

    buf_clear(&n->sql);
    buf_printf(&n->sql,
               "SELECT pg_catalog.count(*), pg_catalog.min(pid) FROM"
               " pg_catalog.pg_stat_activity WHERE pid <> pg_catalog.pg_backend_pid()"
               " AND (backend_start IS NULL OR pg_catalog.date_part('epoch',"
               " backend_start) <= %f) AND (pid IN (",
               n->began);
    for (uint32_t at = 0; at < o->count; at++) {
        if (o->list[at].who.node_id != n->node_id)
            continue;
        buf_printf(&n->sql, "%s%u", first ? "" : ",", o->list[at].who.pid);
        first = false;
    }
    buf_add_str(&n->sql, first ? "NULL)" : ")");
    if (o->anybody && o->anybody_at == n->node_id)
        buf_printf(&n->sql,
                   " OR backend_type = 'client backend' AND coalesce(state, '') NOT IN ('idle',"
                   " 'idle in transaction', 'idle in transaction (aborted)')"
                   " AND (query_start IS NULL OR"
                   " pg_catalog.date_part('epoch', query_start) <= %f)",
                   n->began + (o->rests ? REST_S : 0));
    buf_add_str(&n->sql, ")");
}

static void
ask_node(void *ctx)
{
    struct orphan_node *n = ctx;
    struct ask_target target;

    if (!n->o->host->target(n->o->ctx, n->node_id, &target))
        return; /* the next look sees that it is gone */
    target.application_name = "pgpool orphans";
    target.options = "-c search_path=";
    ask_set_target(n->ask, &target);
    if (ask_is_busy(n->ask))
        return;
    if (n->began != 0)
        build(n);
    ask_question(n->ask, n->began != 0 ? buf_cstr(&n->sql) : clock_question, QUESTION_MS);
}

static void
ask_in(struct orphan_node *n, int64_t delay_ms)
{
    if (!ask_is_busy(n->ask))
        io_timer_start(n->o->proc->io, &n->due, delay_ms, ask_node, n);
}

static void
tell(struct orphan_node *n, const struct ask_rows *rows)
{
    struct orphans *o = n->o;

    if (o->told || o->opens == 0 || io_now_ns(o->proc->io) - o->began_ns < TELL_MS * NS_PER_MS)
        return;
    o->told = true;
    log_info("the query cache stays off while statements run at node %d that may be left from "
             "sessions before: %s, process %s for example",
             n->node_id, ask_value(rows, 0, 0), ask_value(rows, 0, 1));
}

static void
answered(void *ctx, const struct ask_rows *rows)
{
    struct orphan_node *n = ctx;
    struct orphans *o = n->o;
    bool of_anybody = o->anybody && o->anybody_at == n->node_id;

    if (n->began == 0) {
        n->began = strtod(ask_value(rows, 0, 0), NULL);
        ask_in(n, of_anybody && o->rests ? REST_S * 1000 : 0);
        return;
    }
    if (str_equal_nocase(ask_value(rows, 0, 0), "0")) {
        n->wanted = false;
        o->anybody = o->anybody && !of_anybody;
        settle_when_done(o);
        return;
    }
    tell(n, rows);
    ask_in(n, n->delay_ms);
    n->delay_ms = MIN(2 * n->delay_ms, (int64_t)AGAIN_MAX_MS);
}

static void
failed(void *ctx, const struct err *err UNUSED, bool asked UNUSED)
{
    struct orphan_node *n = ctx;

    if (n->wanted)
        ask_in(n, AGAIN_MAX_MS);
}

/* ---- the beginning ---- */

static void
wait_for_node(struct orphans *o, int node_id)
{
    static const struct ask_ops ops = {answered, failed};
    struct orphan_node *n;

    if (node_id < 0 || node_id >= CONFIG_NODES_MAX)
        return;
    if (o->nodes[node_id] == NULL) {
        o->nodes[node_id] = xcalloc(1, sizeof(*n));
        o->nodes[node_id]->o = o;
        o->nodes[node_id]->node_id = node_id;
        o->nodes[node_id]->ask = ask_new(o->proc->io, o->dns, &ops, o->nodes[node_id]);
    }
    n = o->nodes[node_id];
    n->delay_ms = AGAIN_MS;
    if (n->wanted)
        return;
    n->wanted = true;
    n->began = 0;
    ask_in(n, 0);
}

static void
begin(struct orphans *o, uint32_t opens)
{
    bool overflowed = cache_orphans_overflowed(cache(o));
    struct cache_orphan who;
    uint32_t at = 0;

    versions_orphans_turn(cache(o)->versions);
    o->running = true;
    o->told = false;
    o->began_ns = io_now_ns(o->proc->io);
    o->opens = opens;
    if (overflowed)
        cache_orphans_forget_overflow(cache(o));
    o->anybody = opens != 0 || overflowed;
    o->rests = overflowed || (opens & CACHE_CLOSED_LEFT) != 0;
    o->anybody_at = -1;
    for (o->count = 0; cache_orphans_next(cache(o), &at, &who); o->count++)
        o->list[o->count] = (struct noted){at - 1, who};
    for (uint32_t n = 0; n < o->count; n++)
        wait_for_node(o, o->list[n].who.node_id);
}

/* Whom it makes no sense to wait for, and who the primary is now. */
static void
look_at_nodes(struct orphans *o)
{
    int primary_id = o->host->primary(o->ctx);
    struct ask_target target;

    for (int id = 0; id < CONFIG_NODES_MAX; id++) {
        struct orphan_node *n = o->nodes[id];

        if (n == NULL || !n->wanted || id == primary_id || primary_id < 0)
            continue;
        if (o->host->target(o->ctx, id, &target) && o->host->reachable(o->ctx, id))
            continue;
        n->wanted = false;
        io_timer_stop(&n->due);
        ask_close(n->ask);
    }
    if (o->anybody && primary_id >= 0 && primary_id != o->anybody_at) {
        o->anybody_at = primary_id;
        if (o->nodes[primary_id] != NULL && o->nodes[primary_id]->wanted) {
            io_timer_stop(&o->nodes[primary_id]->due);
            ask_close(o->nodes[primary_id]->ask);
            o->nodes[primary_id]->wanted = false;
        }
        wait_for_node(o, primary_id);
    }
    settle_when_done(o);
}

/* A bit that says that other generations live is not ours to take. */
static uint32_t
to_be_opened(const struct orphans *o)
{
    uint32_t closed = atomic_load(cache_closed_word(cache(o)));

    return (closed & CACHE_CLOSED_GENERATION) != 0
               ? 0
               : closed & (CACHE_CLOSED_START | CACHE_CLOSED_LEFT);
}

static void
look(void *ctx)
{
    struct orphans *o = ctx;
    uint32_t opens = to_be_opened(o);

    if (!o->running && (opens != 0 || versions_has_orphans(cache(o)->versions)) &&
        o->host->primary(o->ctx) >= 0)
        begin(o, opens);
    if (o->running)
        look_at_nodes(o);
    io_timer_start(o->proc->io, &o->look, LOOK_MS, look, o);
}

struct orphans *
orphans_new(struct proc *p, struct dns *dns, const struct orphans_host *host, void *ctx)
{
    struct orphans *o;

    if (p->cache == NULL)
        return NULL;
    o = xcalloc(1, sizeof(*o));
    o->proc = p;
    o->dns = dns;
    o->host = host;
    o->ctx = ctx;
    io_timer_start(p->io, &o->look, 0, look, o);
    return o;
}

void
orphans_free(struct orphans *o)
{
    if (o == NULL)
        return;
    io_timer_stop(&o->look);
    for (int id = 0; id < CONFIG_NODES_MAX; id++) {
        struct orphan_node *n = o->nodes[id];

        if (n == NULL)
            continue;
        io_timer_stop(&n->due);
        ask_free(n->ask);
        buf_free(&n->sql);
        free(n);
    }
    free(o);
}

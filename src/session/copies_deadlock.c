/*
 * Native replication: transactions that wait for each other through several nodes.
 *
 * What a transaction holds on a copy it holds on the main node as well, so deadlocks are the main
 * node's to find. That is not so where a statement has locked other rows on a copy, or somebody
 * works on a node by himself. So when a copy has not ended a statement for a second, all nodes are
 * asked, one after the other over connections of their own, who waits for whom. Server processes
 * become sessions by what all children show. Of a circle through this session the youngest gives up
 * that waits on a copy, by the age of its transaction on the main node: that one finds out by
 * itself, and is rolled back everywhere with 40P01. Blockers that are none of ours are named in the
 * log.
 *
 * Called by copies.c when a transaction begins, and by the loop. Invariant: a transaction is given
 * up only for a circle each of whose waits was seen twice in a row. The nodes are asked at
 * different moments, so waits that are seen once need never have been there at one time: where many
 * wait in turn, that looks like a circle. A transaction waits for one lock once, so that tells the
 * waits. Source: PostgreSQL's manual, view "pg_locks", and function pg_blocking_pids().
 */
#include "session/copies.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/num.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TICK_MS = 1000, EDGES_MAX = 512, NOBODY = -1 };

static const char question[] =
    "SELECT l.pid, b.pid, pg_catalog.int8pl(pg_catalog.hashtext(pg_catalog.concat_ws('/', "
    "virtualtransaction, locktype, mode, database, relation, page, tuple, transactionid, "
    "virtualxid, classid, objid, objsubid))::pg_catalog.int8, 2147483648) "
    "FROM pg_catalog.pg_locks l, "
    "pg_catalog.unnest(pg_catalog.pg_blocking_pids(l.pid)) b(pid) WHERE NOT l.granted "
    "UNION ALL SELECT l.pid, 0, pg_catalog.age(l.transactionid) FROM pg_catalog.pg_locks l "
    "WHERE l.granted AND l.locktype OPERATOR(pg_catalog.=) 'transactionid' "
    "AND l.mode OPERATOR(pg_catalog.=) 'ExclusiveLock'";

struct edge {
    int64_t from; /* sessions */
    int64_t to;   /* NOBODY: none of ours, */
    int pid;      /* but this server process */
    int node_id;
    int64_t wait; /* by which the same one is known */
};

struct age {
    int64_t session;
    int64_t age;
};

/* Of all nodes. */
struct answers {
    uint32_t edge_count;
    uint32_t age_count;
    struct edge edges[EDGES_MAX];
    struct age ages[EDGES_MAX];
};

struct copies_watch {
    struct session_copies *all;
    struct pool_waiter waiter;
    struct server *server; /* that is asked */
    struct io_timer tick;
    int node_id; /* the same */
    bool asks;
    bool told; /* the log, of a blocker that is none of ours */
    uint64_t stamp;
    int64_t me;
    struct answers *answers; /* with asks */
    struct answers *before;  /* with a circle in them; NULL: there was none the last time */
};

static void tick(void *ctx);
static void ask_next(struct copies_watch *w, int after);

static int64_t
session_of(const struct session_copies *c, int node_id, int pid)
{
    return c->host->session_of(c->host->ctx, node_id, pid);
}

/* ---- circles ----------------------------------------------------------------------------------
 */

/* Walks from a session back to this one. path: the edges so far. */
struct walk {
    const struct copies_watch *w;
    const struct answers *before; /* only along edges that were there; NULL: any */
    bool been[EDGES_MAX];         /* along this edge */
    uint32_t path[EDGES_MAX];
    uint32_t len;
};

static bool
was_there(const struct answers *before, const struct edge *e)
{
    for (uint32_t n = 0; n < before->edge_count; n++) {
        const struct edge *old = &before->edges[n];
        if (old->from == e->from && old->to == e->to && old->pid == e->pid &&
            old->node_id == e->node_id && old->wait == e->wait)
            return true;
    }
    return false;
}

static bool
comes_back(struct walk *k, int64_t from)
{
    const struct copies_watch *w = k->w;

    for (uint32_t n = 0; n < w->answers->edge_count; n++) {
        const struct edge *e = &w->answers->edges[n];
        bool first = k->len == 0;
        if (k->been[n] || e->from != from || e->to == NOBODY)
            continue;
        if (first && e->node_id == w->all->main_id)
            continue; /* the copies are what is looked at */
        if (k->before != NULL && !was_there(k->before, e))
            continue;
        k->been[n] = true;
        k->path[k->len++] = n;
        if (e->to == w->me || comes_back(k, e->to))
            return true;
        k->len--;
    }
    return false;
}

static int64_t
age_of(const struct copies_watch *w, int64_t session)
{
    for (uint32_t n = 0; n < w->answers->age_count; n++) {
        if (w->answers->ages[n].session == session)
            return w->answers->ages[n].age;
    }
    return INT64_MAX;
}

/* Is this session the youngest of those that wait on a copy? */
static bool
is_to_give_up(const struct walk *k)
{
    const struct copies_watch *w = k->w;
    int64_t own = age_of(w, w->me);

    for (uint32_t n = 0; n < k->len; n++) {
        const struct edge *e = &w->answers->edges[k->path[n]];
        int64_t age = age_of(w, e->from);
        if (e->node_id != w->all->main_id && e->from != w->me &&
            (age < own || (age == own && e->from > w->me)))
            return false;
    }
    return true;
}

static void
ignore(void *ctx UNUSED)
{
}

static void
give_up(struct copies_watch *w)
{
    struct session_copies *c = w->all;

    err_set(&c->doom, "40P01", "deadlock detected");
    err_detail(&c->doom, "Transactions wait for each other on several nodes.");
    err_hint(&c->doom, "Run the transaction again.");
    c->doomed = true;
    log_warning("a deadlock through several nodes: the transaction is rolled back");
    list_for_each (it, &c->copies) {
        struct server *server = list_entry(it, struct copy, link)->server;
        if (server != NULL && server->state == SERVER_LENT && server->pending.count > 0)
            pool_cancel(server, ignore, NULL);
    }
    copies_step(c);
}

static void
name_strangers(struct copies_watch *w)
{
    for (uint32_t n = 0; n < w->answers->edge_count && !w->told; n++) {
        const struct edge *e = &w->answers->edges[n];
        if (e->from != w->me || e->to != NOBODY || e->node_id == w->all->main_id)
            continue;
        log_warning("node %d waits for server process %d there, which is none of pgpool's, while "
                    "the main node does not",
                    e->node_id, e->pid);
        w->told = true;
    }
}

/* Is there a circle for which this session is to give up? */
static bool
finds_circle(const struct copies_watch *w, const struct answers *before)
{
    struct walk *k = xcalloc(1, sizeof(*k));
    bool found;

    k->w = w;
    k->before = before;
    found = comes_back(k, w->me) && is_to_give_up(k);
    free(k);
    return found;
}

static void
forget(struct answers **answers)
{
    free(*answers);
    *answers = NULL;
}

/* All have answered. */
static void
judge(struct copies_watch *w)
{
    const struct session_copies *c = w->all;
    bool may = c->s != NULL && !c->doomed && c->phase <= COPIES_SETTLES;
    bool gives_up = may && w->before != NULL && finds_circle(w, w->before);

    name_strangers(w);
    forget(&w->before);
    if (may && !gives_up && finds_circle(w, NULL)) {
        w->before = w->answers;
        w->answers = NULL;
    }
    forget(&w->answers);
    if (gives_up)
        give_up(w);
}

/* ---- questions --------------------------------------------------------------------------------
 */

static void
ask(struct copies_watch *w)
{
    server_ask(w->server, question, sizeof(question) - 1, CYCLE_VALUES);
}

/* This round is in vain. */
static void
stop_asking(struct copies_watch *w)
{
    w->server = NULL;
    w->asks = false;
    forget(&w->answers);
    forget(&w->before);
}

static void
on_taken(void *ctx, struct server *server)
{
    struct copies_watch *w = ctx;

    w->server = server;
    if (server == NULL)
        stop_asking(w);
    else if (server->state == SERVER_LENT)
        ask(w);
}

static void
on_turned_away(void *ctx, bool gone UNUSED)
{
    struct copies_watch *w = ctx;

    pool_wait_no_more(w->all->host->pool, &w->waiter);
    stop_asking(w);
}

static void
on_ready(void *ctx, struct server *server)
{
    struct copies_watch *w = ctx;

    w->server = server;
    ask(w);
}

static void
on_failed(void *ctx, struct server *server UNUSED, const struct err *err UNUSED,
          const uint8_t *fatal UNUSED, size_t fatal_len UNUSED)
{
    stop_asking(ctx);
}

static void
on_forward(void *ctx UNUSED, struct server *server UNUSED, struct io_rx *rx UNUSED,
           const uint8_t *bytes UNUSED, size_t len UNUSED)
{
    /* nobody has asked for notices */
}

static bool
number_of(const uint8_t *msg, size_t len, uint16_t column, int64_t *number_r)
{
    struct wire_view v = wire_column(msg, (uint32_t)len, column);

    *number_r = 0;
    for (uint32_t n = 0; v.data != NULL && n < v.len; n++) {
        if (v.data[n] < '0' || v.data[n] > '9')
            return false;
        *number_r = *number_r * 10 + (v.data[n] - '0');
    }
    return v.data != NULL && v.len > 0 && v.len < 16;
}

/* Prepared transactions have the number 0: they wait for nobody. */
static void
on_row(void *ctx, struct server *server, const uint8_t *msg, size_t len)
{
    struct copies_watch *w = ctx;
    int node_id = server->node_id;
    int64_t from;
    int64_t to;
    int64_t number; /* the wait's, or an age */
    int64_t who;

    if (!number_of(msg, len, 0, &from) || !number_of(msg, len, 1, &to) ||
        !number_of(msg, len, 2, &number))
        return;
    who = session_of(w->all, node_id, (int)from);
    if (who == NOBODY)
        return;
    if (to == 0 && node_id == w->all->main_id && w->answers->age_count < EDGES_MAX)
        w->answers->ages[w->answers->age_count++] = (struct age){who, number};
    else if (to != 0 && w->answers->edge_count < EDGES_MAX)
        w->answers->edges[w->answers->edge_count++] =
            (struct edge){who, session_of(w->all, node_id, (int)to), (int)to, node_id, number};
}

static void
on_cycle_end(void *ctx, struct server *server, const struct pending_entry *e, bool failed)
{
    struct copies_watch *w = ctx;
    int node_id = server->node_id;

    if (!(e->flags & CYCLE_VALUES))
        return;
    w->server = NULL;
    pool_return(server);
    if (failed)
        stop_asking(w);
    else
        ask_next(w, node_id);
}

static void
on_lost(void *ctx, struct server *server UNUSED, const struct err *err UNUSED,
        const struct pending_owed *owed UNUSED)
{
    stop_asking(ctx);
}

static const struct server_ops watch_ops = {
    .taken = on_taken,
    .turned_away = on_turned_away,
    .ready = on_ready,
    .failed = on_failed,
    .forward = on_forward,
    .row = on_row,
    .cycle_end = on_cycle_end,
    .lost = on_lost,
};

static void
ask_next(struct copies_watch *w, int after)
{
    struct session_copies *c = w->all;
    const struct cluster_view *view = c->host->view;
    struct err err;
    bool waits = false;
    int node_id = after + 1;

    while (node_id < (int)view->node_count && !view->nodes[node_id].copy)
        node_id++;
    if (node_id >= (int)view->node_count) {
        w->asks = false;
        judge(w);
        return;
    }
    w->waiter.key = c->key;
    w->waiter.ops = &watch_ops;
    w->waiter.owner = w;
    w->waiter.slot = NULL;
    w->waiter.proof = NULL;
    w->waiter.node_id = (int16_t)node_id;
    w->server = pool_checkout(&w->waiter, &err, &waits);
    if (w->server != NULL && w->server->state == SERVER_LENT)
        ask(w);
    else if (w->server == NULL && !waits)
        stop_asking(w);
}

/* ---- when -------------------------------------------------------------------------------------
 */

static bool
is_open(const struct session_copies *c)
{
    return c->s != NULL && (c->phase != COPIES_REST || copies_any_begun(c));
}

/* Another number when any copy has ended something. */
static uint64_t
stamp_of(const struct session_copies *c, bool *waits_r)
{
    uint64_t stamp = c->ran + 1;

    *waits_r = false;
    list_for_each (it, &c->copies) {
        const struct copy *copy = list_entry(it, struct copy, link);
        stamp = stamp * 31 + copy->heard;
        *waits_r |= copy->begun && copy->server != NULL && copy->server->state == SERVER_LENT &&
                    copy->server->pending.count > 0;
    }
    return stamp;
}

static void
tick(void *ctx)
{
    struct copies_watch *w = ctx;
    struct session_copies *c = w->all;
    struct server *main;
    uint64_t stamp;
    bool waits;

    if (!is_open(c)) {
        w->told = false;
        forget(&w->before);
        return;
    }
    io_timer_start(c->host->io, &w->tick, TICK_MS, tick, w);
    stamp = stamp_of(c, &waits);
    main = c->s->primary;
    if (waits && stamp == w->stamp && !w->asks && main != NULL && main->slot != NULL) {
        w->asks = true;
        w->answers = xcalloc(1, sizeof(*w->answers));
        w->me = session_of(c, main->node_id, main->slot->backend_pid);
        ask_next(w, -1);
        return;
    }
    if (stamp != w->stamp)
        forget(&w->before);
    w->stamp = stamp;
}

void
copies_watch_deadlocks(struct session_copies *c)
{
    if (c->watch == NULL) {
        c->watch = xcalloc(1, sizeof(*c->watch));
        c->watch->all = c;
    }
    if (!io_timer_running(&c->watch->tick))
        io_timer_start(c->host->io, &c->watch->tick, TICK_MS, tick, c->watch);
}

void
copies_watch_no_more(struct session_copies *c)
{
    struct copies_watch *w = c->watch;

    if (w == NULL)
        return;
    c->watch = NULL;
    io_timer_stop(&w->tick);
    pool_wait_no_more(c->host->pool, &w->waiter);
    if (w->server != NULL)
        server_close(w->server, "its session does not wait for it");
    forget(&w->answers);
    forget(&w->before);
    free(w);
}

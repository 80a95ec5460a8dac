/*
 * What a child's sessions and its pool ask of it: rows in shared memory, news of the cluster, the
 * answers to SHOW.
 *
 * Called from within sessions and the pool.
 */
#include "child.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "cache/shared.h"
#include "inspect/inspect.h"
#include "ipc/statement_tally.h"
#include "proc/hba.h"
#include "proc/proc.h"

#include <stdlib.h>
#include <string.h>

static bool
admit(void *ctx)
{
    struct proc *p = ((struct child *)ctx)->proc;

    return shared_admit_client(p->shared, p->child_no, (uint32_t)p->config->max_client_connections);
}

static void
dismiss(void *ctx)
{
    struct proc *p = ((struct child *)ctx)->proc;

    shared_dismiss_client(p->shared, p->child_no);
}

static struct server_slot *
slot_get(void *ctx)
{
    struct child *c = ctx;
    uint32_t count = shared_servers_per_child(c->proc->shared);

    for (uint32_t n = 0; n < count; n++) {
        uint32_t at = (c->free_server_hint + n) % count;
        struct server_slot *slot = shared_server(c->proc->shared, c->proc->child_no, at);
        if (atomic_load_explicit(&slot->used, memory_order_relaxed) == 0) {
            atomic_store(&slot->used, 1);
            c->free_server_hint = at + 1;
            return slot;
        }
    }
    return NULL;
}

static void
waited(void *ctx, int node_id, int64_t wait_ns)
{
    struct child *c = ctx;

    histogram_add(&c->slot->times[node_id].waits, wait_ns);
}

static void
slot_put(void *ctx, struct server_slot *slot)
{
    struct child *c = ctx;

    c->free_server_hint = 0;
    atomic_store(&slot->used, 0);
}

static void
node_failed(void *ctx, int node_id, const struct err *err)
{
    struct child *c = ctx;
    struct inbox_msg msg = {.kind = INBOX_NODE_FAILED};

    log_warning("%s", err->message);
    msg.node.node_id = node_id;
    str_copy(msg.node.words, sizeof(msg.node.words), err->message);
    proc_send(c->proc, SLOT_LAG, &msg);
    if ((uint32_t)node_id < shared_layout(c->proc->shared)->health_slots)
        proc_send(c->proc, slot_of_health(node_id), &msg);
    /* until it was probed, others are asked; in the primary's place there is nobody, and whoever
     * has a connection to it may well go on */
    if (c->view.primary_id != node_id)
        c->view.nodes[node_id].usable = false;
}

/* To have connections to it that nobody has asked for. */
static bool
is_of_use(void *ctx, int node_id)
{
    const struct child *c = ctx;

    return !c->stopping && !c->retiring && c->view.nodes[node_id].usable &&
           (node_id == c->view.primary_id ||
            (c->host.options.load_balance && c->view.nodes[node_id].weight > 0));
}

static void
wrote(void *ctx, int64_t at_ns)
{
    struct child *c = ctx;

    if (unlikely(c->primary_lost_ns != 0) && c->view.primary_id >= 0) {
        log_info("the first write at node %d has ended, %.3f s after there was no primary",
                 c->view.primary_id, (double)(at_ns - c->primary_lost_ns) / (double)NS_PER_S);
        c->primary_lost_ns = 0;
    }
    shared_note_write(c->proc->shared, at_ns);
    if (shared_lag_sleeps(c->proc->shared))
        wake_send(c->proc->wakes, SLOT_LAG);
}

static int64_t
last_write(void *ctx)
{
    struct child *c = ctx;

    return shared_last_write_ns(c->proc->shared);
}

static void
want_positions(void *ctx, int64_t since_ns)
{
    struct child *c = ctx;

    shared_want_positions(c->proc->shared, since_ns);
    if (atomic_exchange(&c->slot->awaits_positions, 1) == 0)
        wake_send(c->proc->wakes, SLOT_LAG);
}

/* A read was about to go elsewhere because its standby was not fresh enough: is there news? What
 * another generation of processes has written may not have woken our lag yet. */
static bool
refresh(void *ctx)
{
    struct child *c = ctx;
    uint64_t before = c->freshness_epoch;
    int64_t written_ns = shared_last_write_ns(c->proc->shared);

    child_look_at_freshness(c);
    if (written_ns != c->woke_lag_for_ns && shared_lag_sleeps(c->proc->shared))
        wake_send(c->proc->wakes, SLOT_LAG);
    c->woke_lag_for_ns = written_ns;
    return c->freshness_epoch != before;
}

static void
close_database(void *ctx, const char *database)
{
    struct child *c = ctx;
    struct inbox_msg msg = {.kind = INBOX_CLOSE_IDLE};
    const struct shared_layout *layout = shared_layout(c->proc->shared);

    pool_close_idle(c->pool, database);
    str_copy(msg.node.words, sizeof(msg.node.words), database != NULL ? database : "");
    for (uint32_t n = 0; n < layout->child_slots; n++) {
        if (n != c->proc->child_no &&
            atomic_load(&shared_proc_of_child(c->proc->shared, n)->pid) != 0)
            proc_send(c->proc, shared_slot_of_child(c->proc->shared, n), &msg);
    }
    if (c->proc->cache != NULL && c->proc->cache->streams != NULL)
        proc_send(c->proc, SLOT_WAL, &msg);
}

static void
lose_copy(void *ctx, int node_id, const char *words)
{
    struct child *c = ctx;
    struct inbox_msg msg = {.kind = INBOX_COPY_LOST};

    msg.node.node_id = node_id;
    str_copy(msg.node.words, sizeof(msg.node.words), words);
    proc_send(c->proc, SLOT_FAILOVER, &msg);
}

static void
doubt_sequences(void *ctx, const char *database)
{
    struct child *c = ctx;
    struct inbox_msg msg = {.kind = INBOX_SEQUENCES};

    str_copy(msg.node.words, sizeof(msg.node.words), database);
    proc_send(c->proc, SLOT_FAILOVER, &msg);
}

static int64_t
session_of(void *ctx, int node_id, int backend_pid)
{
    struct child *c = ctx;
    struct shared *sh = c->proc->shared;

    for (uint32_t child_no = 0; child_no < shared_layout(sh)->child_slots; child_no++) {
        if (atomic_load(&shared_proc_of_child(sh, child_no)->pid) == 0)
            continue;
        for (uint32_t n = 0; n < shared_servers_per_child(sh); n++) {
            const struct server_slot *server = shared_server(sh, child_no, n);
            if (atomic_load(&server->used) != 0 && server->backend_pid == backend_pid &&
                server->node_id == node_id && server->session >= 0)
                return (int64_t)child_no << 32 | server->session;
        }
    }
    return -1;
}

static uint32_t
want_stream(void *ctx, const char *database)
{
    struct child *c = ctx;
    bool is_new;
    uint32_t number = cache_stream_want(c->proc->cache->streams, database, &is_new);

    if (is_new)
        wake_send(c->proc->wakes, SLOT_WAL);
    return number;
}

static int
show(void *ctx, struct session *s, const struct session_question *q, struct buf *out,
     struct err *err)
{
    struct child *c = ctx;
    struct inspect_input in = {
        .config = c->proc->config,
        .shared = c->proc->shared,
        .cache = c->proc->cache,
        .statements = c->proc->statements,
        .freshness = c->freshness,
        .view = &c->view,
        .nodes = c->judged,
        .load_balance_node = session_load_balance_node(s),
        .own = session_overrides(s),
        .hba_reader = &proc_hba_reader,
        .hba_path = c->proc->files->hba,
        .ident_path = c->proc->files->ident,
    };
    struct inspect_question question = {q->name, q->parameter};
    struct inspect_target target;

    child_look_at_freshness(c);
    if (c->host.tally != NULL) /* one's own are in it */
        cache_tally_flush(c->host.tally);
    statement_tallies_flush(c->host.tallies);
    if (inspect_find(&in, &question, &target, err) != 0)
        return -1;
    if (q->part != SESSION_ROWS)
        inspect_describe(&target, out);
    if (q->part != SESSION_DESCRIPTION)
        inspect_rows(&in, &target, out);
    return 0;
}

/* ---- roles ---- */

/* A standby may not have heard of the new password yet; what is known of it is asked anew. */
static bool
refused(void *ctx, int node_id, const char *user)
{
    struct child *c = ctx;

    if (role_query_is_on(c->host.login.roles))
        role_query_forget(c->host.login.roles, user);
    return c->view.primary_id < 0 || c->view.primary_id == node_id;
}

/* ---- all of it ---- */

void
child_fill_host(struct child *c, struct session_host *host)
{
    host->ctx = c;
    host->admit = admit;
    host->dismiss = dismiss;
    host->cancel = child_cancel_asked;
    host->wrote = wrote;
    host->last_write = last_write;
    host->want_positions = want_positions;
    host->refresh = refresh;
    host->close_database = close_database;
    host->lose_copy = lose_copy;
    host->doubt_sequences = doubt_sequences;
    host->session_of = session_of;
    host->want_stream = want_stream;
    host->show = show;
    child_fill_holds(c, host);
}

struct pool_callbacks
child_pool_callbacks(struct child *c)
{
    return (struct pool_callbacks){.ctx = c,
                                   .node_failed = node_failed,
                                   .slot_get = slot_get,
                                   .slot_put = slot_put,
                                   .waited = waited,
                                   .places = limits_places(&c->limits),
                                   .on_hold = child_is_on_hold,
                                   .usable = is_of_use,
                                   .asks_identity = child_asks_identity,
                                   .reads_only = child_reads_only,
                                   .accepts = child_accepts,
                                   .refused = refused};
}

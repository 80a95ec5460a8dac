/*
 * Native replication: how a transaction ends on several nodes.
 *
 * COMMIT: when all have answered everything, the copies prepare the transaction; then the main node
 * commits, which is the point of commit and the record of the decision; then the copies commit what
 * they have prepared. Where it cannot be prepared, they commit plainly, behind the main node. A
 * copy that is lost is dialled until it has ended its part, or is detached; one that cannot commit
 * what the main node has committed is to be detached.
 *
 * Invariants: no copy commits before the main node has; no client is told of a commit before each
 * copy has committed or is detached. What is under way when its session ends goes on without it. If
 * this process ends first, the failover process ends what is left prepared
 * (proc/failover_settle.c). Source: PostgreSQL's manual, "PREPARE TRANSACTION", and section
 * "Transaction ID and Snapshot Information Functions".
 */
#include "session/copies.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { AGAIN_MS = 200 };

static struct copy *
copy_at(const struct list *it)
{
    return list_entry(it, struct copy, link);
}

static struct server *
main_of(const struct session_copies *c)
{
    return c->s != NULL ? c->s->primary : c->main;
}

static bool
is_member(const struct session_copies *c, int node_id)
{
    return c->host->view->nodes[node_id].copy;
}

static void
again(void *ctx)
{
    struct session_copies *c = ctx;

    if (c->dead) {
        free(c);
        return;
    }
    c->host->refresh(c->host->ctx);
    copies_step(c);
}

void
copies_step_later(struct session_copies *c)
{
    if (!io_timer_running(&c->again))
        io_timer_start(c->host->io, &c->again, AGAIN_MS, again, c);
}

/* ---- one copy ---------------------------------------------------------------------------------
 */

static void
name_of(const struct copy *copy, char name_r[COPIES_NAME_BYTES])
{
    const struct session_copies *c = copy->all;

    snprintf(name_r, COPIES_NAME_BYTES, "'pgpool %" PRIu64 " %s %d %d %d'",
             c->host->view->nodes[c->main_id].system_identifier, c->xid, c->main_id, copy->node_id,
             (int)getpid());
}

static void
run_with_name(struct copy *copy, const char *verb, uint16_t flags)
{
    char name[COPIES_NAME_BYTES];
    char sql[COPIES_NAME_BYTES + 32];
    int len;

    name_of(copy, name);
    len = snprintf(sql, sizeof(sql), "%s %s", verb, name);
    copies_run(copy, sql, (size_t)len, flags);
}

/* Over the connection that it has. */
static void
end_one(struct copy *copy)
{
    bool commits = copy->all->commits;

    if (!copies_data_leave(copy))
        return;
    copy->ends = true;
    if (copy->asked)
        run_with_name(copy, commits ? "COMMIT PREPARED" : "ROLLBACK PREPARED", COPY_END);
    else if (commits)
        copies_run(copy, "COMMIT", 6, COPY_END);
    else
        copies_run(copy, "ROLLBACK", 8, COPY_END);
}

/* Has it ended its part? Else does what there is to do. */
static bool
is_ended(struct copy *copy)
{
    struct session_copies *c = copy->all;

    if (!is_member(c, copy->node_id))
        copy->begun = copy->leaves = false; /* it will be made anew */
    if (copy->leaves) {
        c->host->lose_copy(c->host->ctx, copy->node_id, "it has missed a commit");
        copies_step_later(c);
        return false;
    }
    if (!copy->begun)
        return copy->server == NULL || copy->server->pending.count == 0;
    if (copy->server == NULL && !copy->asked && !c->commits) {
        copy->begun = false; /* lost with its connection */
        return true;
    }
    if (copy->server == NULL && !(c->waiter.line != NULL && c->waiter.owner == copy))
        copies_dial(copy);
    if (copy->server != NULL && copy->server->state == SERVER_LENT && !copy->ends)
        end_one(copy);
    if (!copy->ends)
        copies_step_later(c);
    return false;
}

void
copies_miss(struct copy *copy, const struct err *err)
{
    struct session_copies *c = copy->all;
    bool alone = c->rule.way == COPIES_ALONE && c->phase == COPIES_SETTLES;
    bool plain = c->phase == COPIES_FINISHES && c->commits && !copy->asked;

    copies_doubt_draws(c);
    if (copy->deviates)
        return;
    switch (c->phase) {
    case COPIES_COMMITS:
    case COPIES_DOUBT:
    case COPIES_UNDOES:
        return;
    case COPIES_FINISHES:
        copy->leaves |= plain;
        copy->ends = false;
        if (copy->asked && copy->server != NULL)
            copies_unlink(copy); /* it is tried again over another one */
        return;
    default:
        break;
    }
    if (alone) {
        copy->leaves = true;
        return;
    }
    if (!c->doomed)
        c->doom = *err;
    c->doomed = true;
}

/* ---- steps ------------------------------------------------------------------------------------
 */

static void
end_all(struct session_copies *c, enum copies_phase phase, bool commits)
{
    c->phase = (uint8_t)phase;
    c->commits = commits;
    list_for_each (it, &c->copies) {
        struct copy *copy = copy_at(it);
        if (copy->begun && copy->server != NULL && copy->server->state == SERVER_LENT)
            end_one(copy);
    }
}

void
copies_undo(struct session_copies *c)
{
    struct server *main = main_of(c);

    copies_order_leave(c);
    if (main != NULL && main->state == SERVER_LENT && (main->tx_status != 'I' || c->main_begun)) {
        server_run_whole(main, "ROLLBACK", 8, CYCLE_OWN_END);
        c->undoing++;
    }
    end_all(c, COPIES_UNDOES, false);
}

void
copies_undo_again(struct session_copies *c, bool failed)
{
    struct server *main = main_of(c);

    if (!failed || main == NULL || main->state != SERVER_LENT || main->tx_status != 'E')
        return;
    server_run_whole(main, "ROLLBACK", 8, CYCLE_OWN_END);
    c->undoing++;
}

void
copies_follow_back(struct session_copies *c)
{
    copies_order_leave(c);
    end_all(c, COPIES_UNDOES, false);
}

void
copies_committed(struct session_copies *c, bool done)
{
    if (!done && c->phase == COPIES_DOUBT) {
        copies_say_lost(&c->doom, c->main_id);
        c->doomed = true;
    }
    end_all(c, COPIES_FINISHES, done);
    copies_step(c);
}

/* With snapshot isolation nobody may wait for a lock in COMMIT: deferred constraints are checked in
 * front of it. */
static void
prepare(struct session_copies *c)
{
    static const char now[] = "SET CONSTRAINTS ALL IMMEDIATE";

    c->phase = COPIES_PREPARES;
    if (c->xid[0] == '\0')
        return;
    if (c->host->gates != NULL && c->s != NULL)
        server_run(c->s->primary, now, sizeof(now) - 1, CYCLE_XID);
    if (c->unprepared || !copies_can_prepare(c))
        return;
    list_for_each (it, &c->copies) {
        struct copy *copy = copy_at(it);
        if (!copy->begun)
            continue;
        copy->asked = true;
        run_with_name(copy, "PREPARE TRANSACTION", COPY_PREPARE);
    }
}

static bool
all_prepared(struct session_copies *c)
{
    const struct server *main = main_of(c);

    if (!copies_settle_losses(c))
        return false;
    list_for_each (it, &c->copies) {
        if (copy_at(it)->asked && !copy_at(it)->prepared)
            return false;
    }
    return c->host->gates == NULL || main == NULL || main->pending.count == 0;
}

/* The point of commit. The client's own COMMIT comes to it by being looked at again. */
static void
commit_main(struct session_copies *c)
{
    if (c->s == NULL) {
        copies_undo(c);
    } else if (c->own_tx) {
        c->phase = COPIES_COMMITS;
        server_run(c->s->primary, "COMMIT", 6, CYCLE_OWN_END);
    } else if (c->s->stall == STALL_ANSWERS) {
        client_go_on(c->s);
    }
}

static bool
all_ended(struct session_copies *c)
{
    bool ended = c->undoing == 0 && (!c->rule.chains || c->asks == 0);

    list_for_each (it, &c->copies)
        ended &= is_ended(copy_at(it));
    return ended;
}

/* The connection over which the main node was asked, or has committed without a session. */
static void
leave_main(struct session_copies *c)
{
    struct server *main = c->main;

    if (c->waiter.owner == c)
        pool_wait_no_more(c->host->pool, &c->waiter);
    c->main = NULL;
    if (main == NULL)
        return;
    main->watched = 0;
    if (main->state == SERVER_LENT && server_is_idle(main))
        pool_return(main);
    else
        server_close(main, "nobody needs it any more");
}

static void
deliver(struct session_copies *c)
{
    struct session *s = c->s;
    struct err why;
    bool ends = copies_again_ends_session(c, &why);

    copies_deliver(c);
    if (ends)
        session_fatal(s, &why);
}

static void
finish(struct session_copies *c)
{
    struct session *s = c->s;

    if (s == NULL) {
        copies_free(c);
        return;
    }
    leave_main(c);
    if (!c->owes)
        copies_reset(c);
    else if (!copies_again_goes(c))
        deliver(c);
    if (s->state != CLIENT_READY)
        return;
    if (s->stall == STALL_ANSWERS)
        client_go_on(s);
    session_release(s);
}

static void doubt(struct session_copies *c);

/* A block, and nothing of it is in our hands at the moment. */
static void
doom_block(struct session_copies *c)
{
    struct session *s = c->s;

    if (s == NULL || s->tx_status == 'I' || s->primary == NULL || s->primary->pending.count > 0)
        return;
    copies_undo(c);
    copies_fail_block(c, false);
}

void
copies_step(struct session_copies *c)
{
    if (c->dead)
        return;
    if (c->phase == COPIES_SNAPS) {
        copies_order_step(c);
        return;
    }
    if (c->doomed && c->phase == COPIES_REST)
        doom_block(c);
    else if (c->doomed && c->phase >= COPIES_SETTLES && c->phase <= COPIES_PREPARED)
        copies_undo(c);
    if (c->doomed && c->phase == COPIES_UNDOES && c->s != NULL && !c->own_tx && !c->untold &&
        c->s->tx_status != 'I')
        copies_fail_block(c, false);
    if (c->phase == COPIES_SETTLES && copies_are_quiet(c)) {
        if (c->rule.way == COPIES_ALONE)
            end_all(c, COPIES_FINISHES, true);
        else if (copies_settle_losses(c) && copies_leave_out(c))
            prepare(c);
    }
    if (c->phase == COPIES_PREPARES && all_prepared(c))
        c->phase = copies_order_commits(c) ? COPIES_PREPARED : COPIES_QUEUES;
    if (c->phase == COPIES_PREPARED)
        commit_main(c);
    else if (c->phase == COPIES_DOUBT)
        doubt(c);
    if ((c->phase == COPIES_FINISHES || c->phase == COPIES_UNDOES) && all_ended(c))
        finish(c);
}

void
copies_reset(struct session_copies *c)
{
    struct buf begin = copies_chained(c);

    list_for_each (it, &c->copies) {
        struct copy *copy = copy_at(it);
        copy->begun = copy->asked = copy->prepared = copy->ends = copy->leaves = false;
        copy->lost = copy->probed = false;
        copy->reads = copy->early = false;
        copy->deviates = false;
        copy->heard = 0;
    }
    if (c->s != NULL && c->s->primary != NULL)
        c->s->primary->watched &= (uint8_t)~SERVER_SHOWS_ENDS;
    copies_lose_main(c);
    c->phase = COPIES_REST;
    c->own_tx = c->main_begun = c->holds = c->owes = c->failed = c->commits = false;
    c->draws = c->unprepared = c->doomed = c->link_failed = c->data_broke = false;
    c->data = DATA_NONE;
    c->passed = c->cancelled = c->tied = c->spared = false;
    c->ran = 0;
    copies_order_reset(c);
    c->gate = c->gate_due = GATE_NONE;
    c->xid[0] = '\0';
    c->rule = (struct copies_rule){.way = COPIES_AS_ALWAYS};
    buf_free(&c->begin);
    buf_free(&c->text);
    buf_free(&c->held);
    buf_free(&c->kept);
    buf_free(&c->values);
    buf_free(&c->for_all);
    buf_free(&c->items);
    buf_free(&c->parses);
    c->begin = begin;
    buf_free(&c->untyped);
    buf_free(&c->types);
    copies_execute_forget(c);
}

void
copies_free(struct session_copies *c)
{
    if (c->dead)
        return;
    leave_main(c);
    copies_unlink_all(c);
    pool_wait_no_more(c->host->pool, &c->waiter);
    copies_reset(c);
    copies_taught_fini(c);
    buf_free(&c->places);
    copies_watch_no_more(c);
    copies_forget(c);
    if (c->s == NULL)
        list_remove(&c->link);
    c->s = NULL;
    pool_key_put(c->key);
    c->dead = true;
    io_timer_start(c->host->io, &c->again, 0, again, c);
}

/* ---- without the session ----------------------------------------------------------------------
 */

static void
on_main_cycle_end(void *ctx, struct server *server, const struct pending_entry *e, bool failed)
{
    struct session_copies *c = ctx;
    bool committed = strcmp(c->outcome.tag, "committed") == 0;
    /* it has crashed, and does not know of it any more: a commit is on its disk first */
    bool forgotten = failed && strcmp(c->failure, "22023") == 0;

    if (c->phase == COPIES_COMMITS && (!e->skip || e->flags & CYCLE_OWN_END)) {
        copies_committed(c, !failed && strcmp(c->outcome.tag, "COMMIT") == 0);
        return;
    }
    if (c->phase != COPIES_DOUBT || !(e->flags & CYCLE_VALUES))
        return;
    if (forgotten || (!failed && (committed || strcmp(c->outcome.tag, "aborted") == 0))) {
        log_info("the transaction %s on node %d was %s", c->xid, server->node_id,
                 forgotten ? "lost in a crash" : c->outcome.tag);
        copies_committed(c, committed && !failed);
        return;
    }
    copies_step_later(c);
}

static bool
on_main_ends(void *ctx, struct server *server UNUSED, uint8_t type, const uint8_t *msg, size_t len)
{
    struct session_copies *c = ctx;

    if (type == 'C' && c->phase == COPIES_COMMITS)
        copies_note_tag(&c->outcome, msg, len);
    if (type == 'E')
        copies_again_note(c, msg, len);
    return false;
}

static void
on_main_row(void *ctx, struct server *server UNUSED, const uint8_t *msg, size_t len)
{
    struct session_copies *c = ctx;
    struct wire_view word = wire_column(msg, (uint32_t)len, 0);

    str_copy_n(c->outcome.tag, sizeof(c->outcome.tag), word.data != NULL ? word.data : "",
               word.data != NULL ? word.len : 0);
}

static void
on_main_forward(void *ctx UNUSED, struct server *server UNUSED, struct io_rx *rx UNUSED,
                const uint8_t *bytes UNUSED, size_t len UNUSED)
{
    /* its client has gone */
}

static void
ask_main(struct session_copies *c)
{
    char sql[96];
    int len = snprintf(sql, sizeof(sql), "SELECT pg_catalog.txid_status(%s)", c->xid);

    c->outcome.tag[0] = '\0';
    c->main->watched |= SERVER_SHOWS_ENDS;
    server_ask(c->main, sql, (size_t)len, CYCLE_VALUES);
}

static void
on_main_taken(void *ctx, struct server *server)
{
    struct session_copies *c = ctx;

    c->main = server;
    if (server != NULL && server->state == SERVER_LENT)
        ask_main(c);
    else if (server == NULL)
        copies_step_later(c);
}

static void
on_main_turned_away(void *ctx, bool gone UNUSED)
{
    struct session_copies *c = ctx;

    pool_wait_no_more(c->host->pool, &c->waiter);
    copies_step_later(c);
}

static void
on_main_ready(void *ctx, struct server *server)
{
    struct session_copies *c = ctx;

    c->main = server;
    ask_main(c);
}

static void
on_main_failed(void *ctx, struct server *server UNUSED, const struct err *err UNUSED,
               const uint8_t *fatal UNUSED, size_t fatal_len UNUSED)
{
    struct session_copies *c = ctx;

    c->main = NULL;
    copies_step_later(c);
}

static void
on_main_lost(void *ctx, struct server *server UNUSED, const struct err *err UNUSED,
             const struct pending_owed *owed UNUSED)
{
    struct session_copies *c = ctx;

    c->main = NULL;
    if (c->phase == COPIES_COMMITS)
        c->phase = COPIES_DOUBT;
    copies_step_later(c);
}

static const struct server_ops main_ops = {
    .taken = on_main_taken,
    .turned_away = on_main_turned_away,
    .ready = on_main_ready,
    .failed = on_main_failed,
    .forward = on_main_forward,
    .row = on_main_row,
    .ends = on_main_ends,
    .cycle_end = on_main_cycle_end,
    .lost = on_main_lost,
};

/* Whether it has committed, the main node's commit log tells; when that is gone for good, what is
 * prepared is committed: the client was told nothing else. */
static void
doubt(struct session_copies *c)
{
    struct err err;
    bool waits = false;

    if (c->s != NULL && !copies_again_waits(c))
        return;
    if (c->xid[0] == '\0') { /* nothing was written */
        copies_committed(c, false);
        return;
    }
    if (!is_member(c, c->main_id)) {
        log_warning("the transaction %s is committed: node %d is gone, and may have", c->xid,
                    c->main_id);
        copies_committed(c, true);
        return;
    }
    if (c->main != NULL || c->waiter.line != NULL) {
        if (c->main != NULL && c->main->state == SERVER_LENT && c->main->pending.count == 0)
            ask_main(c);
        return;
    }
    c->waiter.key = c->key;
    c->waiter.ops = &main_ops;
    c->waiter.owner = c;
    c->waiter.slot = NULL;
    c->waiter.proof = NULL;
    c->waiter.node_id = (int16_t)c->main_id;
    c->main = pool_checkout(&c->waiter, &err, &waits);
    if (c->main != NULL && c->main->state == SERVER_LENT)
        ask_main(c);
    else if (c->main == NULL && !waits)
        copies_step_later(c);
}

void
copies_orphan(struct session_copies *c)
{
    struct session *s = c->s;
    struct server *main = s->primary;

    if (c->phase == COPIES_COMMITS && main != NULL) {
        statements_link_gone(s, main);
        s->primary = NULL;
        if (s->cur == main)
            s->cur = NULL;
        main->ops = &main_ops;
        main->owner = c;
        c->main = main;
    }
    c->s = NULL;
    c->owes = false;
    c->undoing = c->asks = 0;
    list_append(&c->host->orphans, &c->link);
    if (c->phase >= COPIES_PREPARES && c->phase <= COPIES_PREPARED)
        copies_undo(c);
    copies_step(c);
}

void
copies_host_fini(struct session_host *host)
{
    while (!list_empty(&host->orphans)) {
        struct session_copies *c = list_first(&host->orphans, struct session_copies, link);
        log_warning("the transaction %s is left as it is prepared", c->xid);
        copies_free(c);
        io_timer_stop(&c->again);
        free(c);
    }
}

/*
 * Native replication: a session's connections to the nodes beside the main one.
 *
 * They are opened when a transaction first has something for all nodes, one after the other and
 * behind the main node's, in the order of their numbers: so no two sessions wait for each other.
 * What they answer is nobody's but ours: command tags are compared with the main node's, and
 * whatever else comes is not passed on. Called by copies.c and copies_end.c, and by the pool.
 */
#include "session/copies.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/str.h"
#include "config/config.h"
#include "wire/build.h"

#include <stdlib.h>
#include <string.h>

static struct copy *
copy_at(const struct list *it)
{
    return list_entry(it, struct copy, link);
}

/* ---- what they have to do ---------------------------------------------------------------------
 */

void
copies_run(struct copy *copy, const char *sql, size_t len, uint16_t flags)
{
    if (flags & (CYCLE_BEGIN | CYCLE_SETTING) || (flags & COPY_END && !copy->all->commits))
        server_run_whole(copy->server, sql, len, flags);
    else
        server_run(copy->server, sql, len, flags);
}

bool
copies_opens(struct copy *copy)
{
    if (copy->begun)
        return false;
    copy->begun = true;
    copy->heard = copy->all->ran;
    return true;
}

void
copies_open(struct copy *copy)
{
    static const char sql[] = "BEGIN";
    const struct buf *begin = &copy->all->begin;

    if (!copies_opens(copy))
        return;
    if (copy->all->own_tx || begin->len == 0)
        copies_run(copy, sql, sizeof(sql) - 1, CYCLE_BEGIN);
    else
        copies_run(copy, (const char *)begin->data, begin->len, CYCLE_BEGIN);
}

/* Its connection was lost while the main node ran the first statement for all. */
static void
miss_beginning(struct copy *copy)
{
    struct err err;

    if (copy->begun || copy->all->rule.way != COPIES_ALL)
        return; /* somebody knows */
    err_set(&err, "40001", "node %d was lost in the transaction", copy->node_id);
    err_hint(&err, "Run the transaction again.");
    if (!copies_bear_loss(copy, &err))
        copies_miss(copy, &err);
}

/* What the copies are to do for the unit. */
static void
send_one(struct session_copies *c, struct copy *copy)
{
    if (copies_taught_send(copy))
        return;
    if (c->rule.way == COPIES_ALL)
        copies_open(copy);
    else
        copy->heard = c->ran;
    copies_gate_follow(copy);
    if (!c->query) {
        copies_batch_send(c->s, copy);
        return;
    }
    if (c->rule.executes)
        copies_execute_teach(copy);
    server_expect(copy->server, c->text.data[0] == 'F' ? PENDING_CALL : PENDING_QUERY, true,
                  COPY_STATEMENT, NULL);
    server_send(copy->server, c->text.data, c->text.len);
}

/* In a block nobody waits for a copy before COMMIT, and a short statement is over soon then: a
 * server that gets several at once is woken up once. */
void
copies_send(struct session_copies *c)
{
    const struct server *main = c->s->primary;
    bool holds = c->patient && !c->own_tx;

    list_for_each (it, &c->copies) {
        struct copy *copy = copy_at(it);
        if (copy->server == NULL) {
            miss_beginning(copy);
            continue;
        }
        copy->server->spoilt |= main->spoilt;
        send_one(c, copy);
        if (holds)
            io_hold(copy->server->stream);
    }
    copies_taught_end(c);
    c->gate_due = GATE_NONE;
    c->ran++;
}

void
copies_draw(struct session_copies *c, const struct buf *question)
{
    list_for_each (it, &c->copies) {
        struct copy *copy = copy_at(it);
        if (copy->server == NULL)
            continue; /* it is to be detached */
        copies_open(copy);
        copies_gate_follow(copy);
        copies_run(copy, (const char *)question->data, question->len, 0);
    }
}

bool
copies_are_quiet(const struct session_copies *c)
{
    bool quiet = true;

    list_for_each (it, &c->copies) {
        const struct copy *copy = copy_at(it);
        if (copy->server == NULL || copy->server->pending.count == 0)
            continue;
        io_release(copy->server->stream);
        quiet = false;
    }
    return quiet;
}

bool
copies_keep_up(const struct session_copies *c)
{
    list_for_each (it, &c->copies) {
        const struct copy *copy = copy_at(it);
        if (copy->server == NULL || !copy->begun)
            continue;
        if (c->ran - copy->heard >= COPIES_LAG_MAX || io_is_full(copy->server->stream)) {
            io_release(copy->server->stream);
            return false;
        }
    }
    return true;
}

bool
copies_any_begun(const struct session_copies *c)
{
    list_for_each (it, &c->copies) {
        if (copy_at(it)->begun)
            return true;
    }
    return false;
}

bool
copies_any_sets(const struct session_copies *c)
{
    list_for_each (it, &c->copies) {
        if (copy_at(it)->server != NULL && copy_at(it)->sets)
            return true;
    }
    return false;
}

bool
copies_can_prepare(const struct session_copies *c)
{
    list_for_each (it, &c->copies) {
        if (c->host->can_prepare[copy_at(it)->node_id] != SESSION_CAN)
            return false;
    }
    return true;
}

void
copies_note_tag(struct copies_outcome *outcome, const uint8_t *msg, size_t len)
{
    struct wire_view tag;

    if (wire_parse_tag(msg, (uint32_t)len, &tag) != WIRE_OK)
        return;
    str_copy_n(outcome->tag, sizeof(outcome->tag), tag.data, tag.len);
    outcome->hash = hash_bytes(tag.data, tag.len) + outcome->hash * 31;
}

/* ---- opening and closing ----------------------------------------------------------------------
 */

void
copies_unlink(struct copy *copy)
{
    struct server *server = copy->server;

    if (copy->all->waiter.owner == copy)
        pool_wait_no_more(copy->all->host->pool, &copy->all->waiter);
    if (server == NULL)
        return;
    copy->server = NULL;
    server->watched = 0;
    if (server->pending.count > 0)
        copies_doubt_draws(copy->all);
    if (server->state != SERVER_LENT)
        server_close(server, "its session does not wait for it");
    else if (server_is_idle(server))
        pool_return(server);
    else
        server_close(server, "its session left it in the middle of something");
}

static void
drop(struct copy *copy)
{
    copies_unlink(copy);
    list_remove(&copy->link);
    free(copy);
}

void
copies_unlink_all(struct session_copies *c)
{
    list_for_each_safe (it, next, &c->copies)
        drop(copy_at(it));
}

void
copies_release(struct session *s)
{
    s->copies->ties = false;
    list_for_each (it, &s->copies->copies) {
        struct copy *copy = copy_at(it);
        struct server *server = copy->server;
        if (server == NULL) /* whatever it had, the main node's does not either by now */
            copy->ties = copy->renewed = false;
        if (server == NULL || server->state != SERVER_LENT || !server_is_idle(server))
            continue;
        copy->server = NULL;
        copy->ties = copy->renewed = false;
        server->watched = 0;
        if (copy->sets) /* more than its image says */
            pool_return(server);
        else
            pool_release(server);
    }
}

struct copy *
copies_find(struct session_copies *c, int node_id)
{
    list_for_each (it, &c->copies) {
        if (copy_at(it)->node_id == node_id)
            return copy_at(it);
    }
    return NULL;
}

/* Those that the cluster has now, in the order of their numbers. Only between transactions. */
static void
take_view(struct session_copies *c)
{
    const struct cluster_view *view = c->host->view;

    list_for_each_safe (it, next, &c->copies) {
        struct copy *copy = copy_at(it);
        if (!view->nodes[copy->node_id].copy || copy->node_id == view->primary_id)
            drop(copy);
    }
    for (uint32_t n = 0; n < view->node_count; n++) {
        struct copy *copy = copies_find(c, (int)n);
        if (!view->nodes[n].copy || (int)n == view->primary_id)
            continue;
        if (copy == NULL) {
            copy = xcalloc(1, sizeof(*copy));
            copy->all = c;
            copy->node_id = (int16_t)n;
            copy->ties = c->ties;
        } else {
            list_remove(&copy->link);
        }
        list_append(&c->copies, &copy->link);
    }
}

static void
took(struct copy *copy, struct server *server)
{
    copy->server = server;
    copy->sets = false;
    copy->renewed |= copy->ties;
    server->watched = SERVER_SHOWS_ENDS;
    if (server->slot != NULL)
        server->slot->session = copy->all->s != NULL ? (int32_t)copy->all->s->place.index : -1;
}

static struct server *
checkout(struct copy *copy, struct err *err, bool *waits_r)
{
    struct session_copies *c = copy->all;

    pool_wait_no_more(c->host->pool, &c->waiter);
    c->waiter.key = c->key;
    c->waiter.ops = &copies_server_ops;
    c->waiter.owner = copy;
    c->waiter.slot = c->s != NULL ? c->s->place.slot : NULL;
    c->waiter.proof = NULL;
    c->waiter.node_id = copy->node_id;
    return pool_checkout(&c->waiter, err, waits_r);
}

bool
copies_dial(struct copy *copy)
{
    bool waits = false;
    struct server *server;
    struct err err;

    server = checkout(copy, &err, &waits);
    if (server != NULL)
        took(copy, server);
    else if (!waits)
        log_warning("%s", err.message);
    return server != NULL || waits;
}

/* It is wanted and cannot be had: the session waits until that changes, or the node is detached. */
static int
wait_for_node(struct session_copies *c, const struct err *why, struct err *err)
{
    struct session *s = c->s;

    s->stall = STALL_SERVER;
    if (hold_for_copy(s))
        return 1;
    s->stall = STALL_NONE;
    s->outage_ns = 0;
    err_set(err, "57P03", "a node that must have every write does not take connections");
    err_detail(err, "%s", why->message);
    err_hint(err, "It is left out once the failover process has detached it: see "
                  "health_check_period and backend_flag.");
    return -1;
}

static void
ask_what_it_can(struct copy *copy)
{
    static const char sql[] = "SHOW max_prepared_transactions";

    server_ask(copy->server, sql, sizeof(sql) - 1, CYCLE_VALUES);
}

bool
copies_settle_first(struct session_copies *c)
{
    list_for_each (it, &c->copies) {
        const struct copy *copy = copy_at(it);
        if (copy->renewed || (copy->ties && copy->server == NULL))
            return keeps_settles(c->s);
    }
    return false;
}

/* The main node has begun: the transaction is rolled back as if it were lost now, and what the
 * session has set is asked for in front of the next one, or gone with its connections. Where it
 * keeps those without being asked, the next one would be no better off. */
static bool
loses_transaction(struct copy *copy)
{
    struct session *s = copy->all->s;
    struct err why;

    if (s->primary == NULL || s->primary->tx_status == 'I' ||
        !(keeps_may_settle(s) || (session_pool_mode(s) == CONFIG_POOL_MODE_TRANSACTION &&
                                  !session_pins_copies(s->keeps.kinds))))
        return false;
    err_set(&why, "40001", "node %d was lost in the transaction", copy->node_id);
    err_hint(&why, "Run the transaction again.");
    if (!copies_bear_loss(copy, &why))
        return false;
    copies_unlink(copy);
    return true;
}

/* The connection of before may have held what no other has. Returns as copies_link(): the session
 * may wait for the main node to say what that was, or be over. */
static int
renew(struct copy *copy, struct err *err_r)
{
    struct session *s = copy->all->s;
    struct err err;

    if (keeps_settles(s)) {
        s->stall = STALL_ANSWERS;
        return 1;
    }
    if (named_owes(s) || !copies_tie(s)) {
        copy->ties = copy->renewed = false;
        return 0;
    }
    if (loses_transaction(copy))
        return 0;
    if (s->tx_status != 'I' && keeps_may_settle(s)) { /* it is asked in front of the next one */
        err_set(err_r, "40001", "node %d was lost in the transaction", copy->node_id);
        err_hint(err_r, "Run the transaction again.");
        return -1;
    }
    err_set(&err, "57P01", "the connection to node %d is a new one", copy->node_id);
    outage_refuse(s, &err);
    session_fatal(s, &err);
    return 1;
}

void
copies_bring_anew(struct session *s, struct server *server)
{
    static const char sql[] = "RESET SESSION AUTHORIZATION;RESET ROLE;RESET ALL";

    server_run_whole(server, sql, sizeof(sql) - 1, CYCLE_SETTING);
    server_set_image(server, NULL);
    settings_bring(s, server);
}

/* Where functions may have set parameters, SET has run, too (copies_any_sets): brought once more,
 * it would come behind what functions have set since. */
static void
bring_settings(struct session *s, struct copy *copy)
{
    if (!copy->sets) {
        settings_bring(s, copy->server);
    } else if (copies_know_parameters(s)) {
        copy->sets = false;
        copies_bring_anew(s, copy->server);
    } else {
        settings_are_there(s, copy->server);
    }
}

/* As copies_link, of one. */
static int
link_one(struct copy *copy, struct err *err)
{
    struct session_copies *c = copy->all;
    struct session *s = c->s;
    struct server *server = copy->server;
    struct err why;
    bool waits = false;

    if (server == NULL) {
        err_set(&why, "08001", "node %d does not answer", copy->node_id);
        if (!c->host->view->nodes[copy->node_id].usable)
            return wait_for_node(c, &why, err);
        server =
            c->waiter.line != NULL && c->waiter.owner == copy ? NULL : checkout(copy, &why, &waits);
        if (server != NULL)
            took(copy, server);
        else if (!waits && c->waiter.line == NULL)
            return wait_for_node(c, &why, err);
    }
    if (server == NULL || server->state != SERVER_LENT) {
        s->stall = STALL_SERVER;
        return 1;
    }
    if (unlikely(copy->renewed)) {
        int rc = renew(copy, err);
        if (rc != 0 || copy->lost)
            return rc;
    }
    if (server->pending.count == 0)
        bring_settings(s, copy);
    if (server->pending.count == 0 && c->host->can_prepare[copy->node_id] == SESSION_CAN_UNASKED)
        ask_what_it_can(copy);
    if (server->pending.count == 0)
        return 0;
    s->stall = STALL_ANSWERS;
    return 1;
}

void
copies_ran(struct session_copies *c)
{
    bool sets = !copies_know_parameters(c->s);
    bool ties = copies_tie(c->s);

    c->ties |= ties;
    list_for_each (it, &c->copies) {
        copy_at(it)->sets |= sets;
        copy_at(it)->ties |= ties;
    }
}

int
copies_link(struct session_copies *c, struct err *err)
{
    int rc = 0;

    if (copies_any_begun(c))
        return 0;
    if (c->link_failed) {
        c->link_failed = false;
        return wait_for_node(c, &c->link_err, err);
    }
    take_view(c);
    list_for_each (it, &c->copies) {
        rc = link_one(copy_at(it), err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- what they say ----------------------------------------------------------------------------
 */

static void
go_on(struct session_copies *c)
{
    if (c->s != NULL && c->s->state == CLIENT_READY &&
        (c->s->stall == STALL_ANSWERS || c->s->stall == STALL_FULL))
        client_go_on(c->s);
}

static void
on_taken(void *ctx, struct server *server)
{
    struct copy *copy = ctx;
    struct session *s = copy->all->s;

    if (server != NULL)
        took(copy, server);
    else if (s != NULL)
        s->waited_out = true;
    if (s != NULL && s->stall == STALL_SERVER && (server == NULL || server->state == SERVER_LENT))
        client_go_on(s);
    else
        copies_step(copy->all);
}

static void
on_turned_away(void *ctx, bool gone UNUSED)
{
    struct copy *copy = ctx;
    struct session *s = copy->all->s;

    if (s != NULL && s->stall == STALL_SERVER)
        client_go_on(s);
}

static void
on_ready(void *ctx, struct server *server)
{
    struct copy *copy = ctx;
    struct session *s = copy->all->s;

    took(copy, server);
    if (s != NULL && s->stall == STALL_SERVER)
        client_go_on(s);
    else
        copies_step(copy->all);
}

static void
on_failed(void *ctx, struct server *server UNUSED, const struct err *err,
          const uint8_t *fatal UNUSED, size_t fatal_len UNUSED)
{
    struct copy *copy = ctx;
    struct session_copies *c = copy->all;

    copy->server = NULL;
    if (c->s == NULL || c->s->stall != STALL_SERVER) {
        copies_step_later(c);
        return;
    }
    c->link_failed = true;
    c->link_err = *err;
    client_go_on(c->s);
}

static void
on_forward(void *ctx UNUSED, struct server *server UNUSED, struct io_rx *rx UNUSED,
           const uint8_t *bytes UNUSED, size_t len UNUSED)
{
    /* notices that nobody has asked for: the main node's are the client's */
}

/* Is it what begins a transaction, and has no part in what is compared (copies_taught_send)? */
static bool
is_in_front(const struct pending_entry *e)
{
    return e->kind == PENDING_EXECUTE && !(e->flags & COPY_STATEMENT);
}

static bool
on_ends(void *ctx, struct server *server, uint8_t type, const uint8_t *msg, size_t len)
{
    struct copy *copy = ctx;

    if (server->pending.count == 0)
        return false;
    if (type == 'E')
        server_error_from_message(msg, len, &copy->err);
    else if (type == 'C' && !is_in_front(&server->pending.ring[server->pending.head]))
        copies_note_tag(&copy->outcome, msg, len);
    else if (type == 'V')
        copies_note_result(&copy->outcome, msg, len);
    return false;
}

static void
on_row(void *ctx, struct server *server, const uint8_t *msg, size_t len)
{
    struct copy *copy = ctx;
    struct wire_view number = wire_column(msg, (uint32_t)len, 0);
    bool none = number.data == NULL || (number.len == 1 && number.data[0] == '0');
    uint8_t *can = &copy->all->host->can_prepare[server->node_id];

    *can = none ? SESSION_CANNOT : SESSION_CAN;
    if (none)
        log_warning("node %d has max_prepared_transactions = 0: a transaction that fails there "
                    "while it is committed will detach the node",
                    server->node_id);
}

/* The unit has ended there as it has on the main node, or the transaction ends. */
void
copies_compare(struct copy *copy, bool failed)
{
    struct session_copies *c = copy->all;
    const struct copies_outcome *wanted = &c->outcomes[copy->heard % COPIES_LAG_MAX];
    struct err err;

    copy->heard++;
    if (copy->deviates ||
        (failed == wanted->fails && (failed || wanted->any || copy->outcome.hash == wanted->hash)))
        return;
    if (failed)
        err_set(&err, "40001", "node %d did not do what the main node did: %s", copy->node_id,
                copy->err.message);
    else
        err_set(&err, "40001", "node %d did not do what the main node did: \"%s\", not \"%s\"",
                copy->node_id, copy->outcome.tag, wanted->tag);
    err_hint(&err, "Run the transaction again.");
    log_error_parts(LOG_LEVEL_WARNING, &err);
    if (!copies_deviates(copy, failed, wanted))
        copies_miss(copy, &err);
}

/* Deferred constraints are checked then: what it says of them is what the main node would say. */
static void
end_prepare(struct copy *copy, bool failed)
{
    struct session_copies *c = copy->all;
    struct err err;

    copy->prepared = !failed && strcmp(copy->outcome.tag, "PREPARE TRANSACTION") == 0;
    if (copy->prepared)
        return;
    if (failed && strcmp(copy->err.sqlstate, "55000") == 0)
        c->host->can_prepare[copy->node_id] = SESSION_CAN_UNASKED;
    if (failed && strcmp(copy->err.sqlstate, "55000") != 0) {
        copies_miss(copy, &copy->err);
        return;
    }
    err_set(&err, "40001", "node %d could not prepare the transaction: %s", copy->node_id,
            failed ? copy->err.message : "it had failed there");
    err_hint(&err, "Run the transaction again.");
    copies_miss(copy, &err);
}

/* One that nobody knows any more has been ended before, over a connection that was lost. */
static void
end_transaction(struct copy *copy, bool failed)
{
    struct session_copies *c = copy->all;
    const char *wanted = copy->prepared ? "COMMIT PREPARED" : "COMMIT";
    bool gone = failed && copy->prepared && strcmp(copy->err.sqlstate, "42704") == 0;

    struct err err;

    if (gone || !c->commits || (!failed && strcmp(copy->outcome.tag, wanted) == 0)) {
        copy->begun = copy->prepared = copy->asked = false;
        return;
    }
    err_set(&err, "40001", "node %d could not commit what the main node has committed: %s",
            copy->node_id, failed ? copy->err.message : "its transaction had failed");
    copies_miss(copy, &err);
}

static void
on_cycle_end(void *ctx, struct server *server, const struct pending_entry *e, bool failed)
{
    struct copy *copy = ctx;
    struct session_copies *c = copy->all;
    struct err err;

    if (failed && e->flags & CYCLE_SETTING && c->s != NULL) {
        err_set(&err, "08006", "could not set the session's parameters on node %d: %s",
                server->node_id, copy->err.message);
        session_fatal(c->s, &err);
        return;
    }
    if (failed && e->kind == PENDING_SYNC)
        copies_taught_failed(c, server, &copy->err);
    if (e->flags & COPY_STATEMENT && !copies_data_early(copy, failed))
        copies_compare(copy, failed);
    else if (e->flags & COPY_PREPARE)
        end_prepare(copy, failed);
    else if (e->flags & COPY_END)
        end_transaction(copy, failed);
    else if (failed && e->flags & CYCLE_BEGIN)
        copies_compare(copy, true);
    copy->outcome = (struct copies_outcome){.hash = 0};
    copies_step(c);
}

static void
on_settled(void *ctx UNUSED, struct server *server, const struct pending_entry *e, bool done)
{
    statements_taught(server, e, done);
}

static void
on_drained(void *ctx, struct server *server UNUSED)
{
    struct copy *copy = ctx;

    go_on(copy->all);
}

static void
on_eased(void *ctx, struct server *server)
{
    struct copy *copy = ctx;

    if (server->pending.count == 0)
        go_on(copy->all);
}

/* A transaction that is open there is lost with it, unless it is prepared. */
static void
on_lost(void *ctx, struct server *server, const struct err *err,
        const struct pending_owed *owed UNUSED)
{
    struct copy *copy = ctx;
    struct session_copies *c = copy->all;
    struct err why;

    copies_doubt_draws(c);
    copy->server = NULL;
    copy->ends = false;
    if (copy->ties && c->s != NULL) /* what may be gone is asked for at once (keeps_settles) */
        c->s->keeps.fruitless = 0;
    if (!copy->begun && (server->pending.count == 0 || c->phase < COPIES_SNAPS) &&
        c->rule.way != COPIES_ALONE) {
        go_on(c);
        return;
    }
    err_set(&why, "40001", "node %d was lost in the transaction: %s", server->node_id,
            err->message);
    err_hint(&why, "Run the transaction again.");
    if (!copies_bear_loss(copy, &why))
        copies_miss(copy, &why);
    if (c->data != DATA_NONE)
        go_on(c); /* the client may have waited for this one */
    copies_step(c);
}

const struct server_ops copies_server_ops = {
    .taken = on_taken,
    .turned_away = on_turned_away,
    .ready = on_ready,
    .failed = on_failed,
    .forward = on_forward,
    .row = on_row,
    .ends = on_ends,
    .settled = on_settled,
    .cycle_end = on_cycle_end,
    .eased = on_eased,
    .drained = on_drained,
    .lost = on_lost,
};

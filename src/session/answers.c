/*
 * What servers say to a session: answers go to the client, ends of cycles move the session on.
 *
 * Called by pool/server. Invariant: bytes reach the client in the order of its statements, since
 * only one connection owes forwarded answers at a time.
 */
#include "session/internal.h"

#include "base/log.h"
#include "os/clock.h"

#include <string.h>

static void
on_ready(void *ctx, struct server *server)
{
    struct session *s = ctx;

    if (startup_is_dialling(s, server)) {
        startup_server_ready(s, server);
        return;
    }
    if (server == s->primary && server->is_standby &&
        server->node_id == s->host->view->primary_id) {
        struct err err;
        err_set(&err, "57P03", "node %d is not the primary any more", server->node_id);
        session_drop_link(s, server);
        session_fatal(s, &err);
        return;
    }
    hold_trusts(s, server->node_id);
    if (server->slot != NULL)
        server->slot->session = (int32_t)s->place.index;
    if (s->stall == STALL_SERVER)
        client_go_on(s);
}

static void
forget_link(struct session *s, struct server *server)
{
    definitions_lost(s);
    if (s->cache != NULL)
        cache_link_gone(s, server);
    statements_link_gone(s, server);
    if (copies_orders(s))
        copies_order_lost(s, server);
    if (s->copies != NULL && s->primary == server)
        copies_main_lost(s, server);
    if (s->cur == server)
        s->cur = NULL;
    if (s->batch == server)
        s->batch = NULL;
    if (s->replaying == server)
        s->replaying = NULL;
    if (s->primary == server)
        s->primary = NULL;
    if (s->reader == server)
        s->reader = NULL;
}

/* The wait for a connection is over. */
static void
on_taken(void *ctx, struct server *server)
{
    struct session *s = ctx;
    bool primary;

    if (s->state != CLIENT_READY) {
        startup_server_taken(s, server);
        return;
    }
    if (server == NULL) {
        s->waited_out = true;
        client_go_on(s);
        return;
    }
    primary = server->node_id == s->host->view->primary_id;
    if ((primary ? s->primary : s->reader) != NULL) {
        /* the primary has changed meanwhile */
        server_close(server, "nobody waits for it any more");
        client_go_on(s);
        return;
    }
    if (primary)
        s->primary = server;
    else
        s->reader = server;
    if (server->slot != NULL)
        server->slot->session = (int32_t)s->place.index;
    if (server->state == SERVER_LENT && s->stall == STALL_SERVER)
        client_go_on(s);
}

static void
on_turned_away(void *ctx, bool gone)
{
    struct session *s = ctx;

    if (s->state != CLIENT_READY && gone)
        startup_go_on(s);
    else if (s->state != CLIENT_READY)
        pool_wait(s->host->pool, &s->waiter);
    else if (s->stall == STALL_SERVER)
        client_go_on(s);
}

static void
on_failed(void *ctx, struct server *server, const struct err *err, const uint8_t *fatal,
          size_t fatal_len)
{
    struct session *s = ctx;

    if (startup_is_dialling(s, server)) {
        startup_server_failed(s, server, err, fatal, fatal_len);
        return;
    }
    if (server == s->reader && s->reader_node == server->node_id) {
        /* Reads can go elsewhere. What it refused once it would refuse again, and one that does not
         * answer us may still answer the lag process: neither is tried without end. */
        cluster_set_add(&s->refused, server->node_id);
        s->refused_ns = io_now_ns(s->host->io);
        s->reader_node = -1;
        forget_link(s, server);
        if (s->stall == STALL_SERVER)
            client_go_on(s);
        return;
    }
    forget_link(s, server);
    if (s->stall == STALL_SERVER && hold_suspects(s, server->node_id, err))
        return;
    if (s->stall == STALL_SERVER && pool_blames_node(err) &&
        server->node_id != s->host->view->primary_id) {
        client_go_on(s); /* it is known by now not to be the primary */
        return;
    }
    if (s->stall == STALL_SERVER && s->outage_ns != 0) {
        s->waited_out = true;
        client_go_on(s);
        return;
    }
    session_fatal(s, err);
}

static void
on_forward(void *ctx, struct server *server, struct io_rx *rx, const uint8_t *bytes, size_t len)
{
    struct session *s = ctx;

    if (s->state != CLIENT_READY)
        return;
    /* what it says unasked would land inside of a message that passes in pieces */
    if (unlikely(server != s->cur) && s->cur != NULL && server_is_mid_message(s->cur))
        return;
    if (unlikely(s->copies != NULL) && copies_keeps_back(s, server, bytes, len))
        return;
    if (s->cache != NULL)
        cache_passes(s, server, bytes, len);
    if (rx != NULL)
        io_send_rx(s->client, rx, (size_t)(bytes - rx->data), len);
    else
        io_send_copy(s->client, bytes, len);
    notice_flush(s);
    if (io_is_full(s->client))
        server_pause(server);
}

static void
on_message(void *ctx, struct server *server, uint8_t type, uint32_t bytes)
{
    notice_message(ctx, server, type, bytes);
}

static void
on_settled(void *ctx, struct server *server, const struct pending_entry *e, bool done)
{
    struct session *s = ctx;

    if (e->note != 0)
        timed_settled(s, server, e, done);
    if (e->tag == NULL)
        return;
    if (e->kind == PENDING_PARSE || e->kind == PENDING_CLOSE)
        statements_settled(s, server, e, done);
    else
        settings_settled(s, server, e->tag, done);
}

/* The loop's clock will not do: it may have been read before this answer was. */
static void
note_write(struct session *s)
{
    s->last_write_ns = clock_monotonic_ns();
    s->host->wrote(s->host->ctx, s->last_write_ns);
}

static void
end_transaction(struct session *s, struct server *server, bool failed)
{
    tx_fini(s);
    s->tx_local_path = false;
    settings_tx_ended(s, server, !failed && s->tx_status == 'T');
}

/* "cached plan must not change result type": whoever prepares it anew must not get the old one. */
static void
doubt_plans(struct session *s, const struct server *server, const struct err *err)
{
    if (strcmp(err->sqlstate, "0A000") == 0 &&
        server->pending.ring[server->pending.head].kind == PENDING_BIND)
        catalog_changed(s->host->catalog, pool_key_database(s->key));
}

static bool
on_error(void *ctx, struct server *server, const struct err *err)
{
    doubt_plans(ctx, server, err);
    return retry_wants(ctx, server, err);
}

/* A cancel request that has come too late may have stopped what was to end a transaction. It is
 * none of the client's: that has none, or goes on with it elsewhere. */
static void
leave_failed(struct session *s, struct server *server)
{
    if (server->tx_status == 'E' && server->pending.count == 0 &&
        (s->tx_status == 'I' || (server == s->reader && !s->tx.on_reader)))
        server_run_whole(server, "ROLLBACK", 8, 0);
}

void
answers_cycle_end(struct session *s, struct server *server, const struct pending_entry *e,
                  bool failed)
{
    struct err err;

    if (e->skip) {
        if (failed && (e->flags & CYCLE_BEGIN)) {
            err_set(&err, "08006", "could not begin the transaction on node %d", server->node_id);
            session_fatal(s, &err);
            return;
        }
        if (failed && (e->flags & CYCLE_SETTING)) {
            err_set(&err, "08006", "could not set the session's parameters on node %d",
                    server->node_id);
            err_hint(&err, "Connect again; the server's log tells what it refused.");
            session_fatal(s, &err);
            return;
        }
        if (unlikely(failed))
            leave_failed(s, server);
        if (e->flags & CYCLE_KEEPS)
            keeps_answered(s, server, failed);
        else
            keeps_cycle_end(s, server, false);
    } else if (s->retry.due) {
        if (s->cache != NULL)
            cache_forget_answer(s);
        retry_run(s, false);
        return;
    } else {
        bool in_tx = s->tx_status != 'I';
        if (s->retry.bytes != NULL)
            retry_drop(s);
        s->tx_wrote |= (e->flags & CYCLE_WRITE) != 0;
        if (s->tx_status != 'I' && server->tx_status == 'I')
            end_transaction(s, server, failed);
        if (s->tx_wrote && server->tx_status == 'I') {
            note_write(s);
            s->has_written = true;
            s->tx_has_written |= s->tx_status != 'I';
            s->tx_wrote = false;
        }
        definitions_cycle_end(s, server, e, failed);
        if (s->cache != NULL)
            cache_cycle_end(s, server, e, failed);
        s->tx_status = server->tx_status;
        s->active_ns = io_now_ns(s->host->io);
        histogram_add(&s->host->times[server->node_id].statements, s->active_ns - s->sent_ns);
        s->sent_ns = s->active_ns;
        keeps_cycle_end(s, server, failed || in_tx);
    }
    notice_flush(s);
    if (server->pending.count == 0)
        session_show_state(s, s->tx_status == 'I' ? SESSION_SLOT_IDLE : SESSION_SLOT_IN_TX);
    if (s->stall == STALL_ANSWERS || s->stall == STALL_FULL)
        client_go_on(s);
    session_release(s);
}

static void
on_cycle_end(void *ctx, struct server *server, const struct pending_entry *e, bool failed)
{
    struct session *s = ctx;

    if (unlikely(failed) && !e->skip)
        keeps_failed(s, server);
    if (unlikely(s->named != NULL) && !e->skip)
        named_cycle_end(s, server, failed && server->failure == SERVER_FAILED_EARLY);
    if (likely(s->copies == NULL)) {
        answers_cycle_end(s, server, e, failed);
        return;
    }
    if (copies_cycle_end(s, server, e, failed))
        return;
    answers_cycle_end(s, server, e, failed);
    copies_cycle_ended(s);
}

static bool
on_ends(void *ctx, struct server *server, uint8_t type, const uint8_t *msg, size_t len)
{
    return copies_ends(ctx, server, type, msg, len);
}

static void
on_eased(void *ctx, struct server *server)
{
    struct session *s = ctx;

    if (server != s->cur)
        return;
    if (unlikely(s->copies != NULL) && server->pending.copy_in)
        copies_data_wanted(s, server);
    if (s->stall == STALL_ANSWERS || (s->stall == STALL_FULL && !pending_is_full(&server->pending)))
        client_go_on(s);
}

static void
on_parameter(void *ctx, struct wire_view name, struct wire_view value)
{
    session_note_parameter(ctx, name, value);
}

static void
on_row(void *ctx, struct server *server, const uint8_t *msg, size_t len)
{
    if (((struct session *)ctx)->copies != NULL && copies_row(ctx, server, msg, len))
        return;
    keeps_row(ctx, server, msg, len);
}

static void
on_drained(void *ctx, struct server *server)
{
    struct session *s = ctx;

    if (server == s->cur && s->stall == STALL_FULL)
        client_go_on(s);
}

/* Native replication: a block of the client's, whose BEGIN the main node may not have answered. */
static bool
has_begun(const struct session *s)
{
    return s->copies != NULL && s->tx_status == 'T' && !s->tx.deferred && !s->tx.on_reader &&
           s->cur == s->primary && !copies_has_committed(s);
}

static void
on_lost(void *ctx, struct server *server, const struct err *err, const struct pending_owed *owed)
{
    struct session *s = ctx;
    bool again = retry_wants_lost(s, server, owed);
    bool in_tx = (server->tx_status != 'I' || has_begun(s)) && server == s->cur;
    bool mid_batch = s->batch == server;
    bool primary_lost = server == s->primary;
    bool cut = copies_cut_is_on(s, server);
    struct err why = *err;
    bool survives;
    bool spared;

    keeps_reconsider(s);
    survives = !cut && outage_survives(s, server, owed, &why);
    if (survives && primary_lost && unlikely(outage_bereaves(s, again)))
        copies_bereave(s, server->node_id);
    spared = survives && s->state == CLIENT_READY && copies_again_spares(s, server);

    forget_link(s, server);
    if (s->state != CLIENT_READY)
        return;
    if (spared) {
        outage_spare(s, err);
        if (s->stall == STALL_ANSWERS || s->stall == STALL_FULL)
            client_go_on(s);
        return;
    }
    if (again && !cut && (!primary_lost || survives)) {
        if (primary_lost)
            keeps_lost(s);
        s->reader_node = -1;
        retry_run(s, primary_lost);
        return;
    }
    if (survives) {
        if (primary_lost)
            keeps_undone(s); /* also of a block that was rolled back before */
        log_debug("node %d: %s; the session goes on without that connection", server->node_id,
                  err->message);
        if (owed->count > 0 || owed->skip_till_sync || in_tx || mid_batch || s->pass_left > 0)
            outage_settle(s, owed, err);
        else if (primary_lost)
            keeps_lost(s);
        if (s->stall == STALL_ANSWERS || s->stall == STALL_FULL)
            client_go_on(s);
        return;
    }
    if (server->fatal_told)
        session_end(s, "the server ended the connection");
    else if (server_is_mid_message(server))
        session_end(s, err->message); /* there is no way to tell the client */
    else
        session_fatal(s, &why);
}

const struct server_ops session_server_ops = {
    .taken = on_taken,
    .turned_away = on_turned_away,
    .ready = on_ready,
    .failed = on_failed,
    .forward = on_forward,
    .error = on_error,
    .row = on_row,
    .ends = on_ends,
    .settled = on_settled,
    .cycle_end = on_cycle_end,
    .eased = on_eased,
    .parameter = on_parameter,
    .message = on_message,
    .drained = on_drained,
    .lost = on_lost,
};

/*
 * Reads that survive their server: a batch of plain reads that a standby gives up for reasons of
 * its own, or because it does not have what is named, before anything of the answer went to the
 * client, runs again at the primary. One whose server is lost runs again, too, and when that was
 * the primary, wherever it may be read; so does what the primary has not answered and whose effect
 * has gone with its connection: BEGIN, SET, LISTEN, an advisory lock.
 *
 * Called by client.c when a unit is sent (keep it), and by answers.c when the reader errs, is lost
 * or has answered. Invariants: what is kept is the only unit under way and has no effect; once a
 * byte of its answer was forwarded it does not run again. In a transaction only what the standby's
 * catalog refuses runs again, where a write would have gone on at the primary, too. It runs again
 * once: at the primary all errors are the client's.
 * Source: PostgreSQL's manual, chapter "Hot Standby", section "Handling Query Conflicts".
 */
#include "session/internal.h"

#include "base/arena.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

void
retry_drop(struct session *s)
{
    slab_put_bytes(&s->host->small, s->retry.bytes, s->retry.len);
    s->retry = (struct session_retry){.bytes = NULL};
}

/* A BEGIN by itself has no effect before it is answered. */
static bool
begins_alone(const struct unit *u)
{
    return u->begins && u->executed == 1 && !u->chains;
}

static bool
locks_only(const struct sql_statement *st)
{
    for (uint32_t n = 0; n < st->function_count; n++) {
        struct sql_text name = st->functions[n].name;
        if (st->functions[n].function_class != SQL_FUNCTION_SESSION ||
            !(sql_text_begins(name, "pg_advisory_") || sql_text_begins(name, "pg_try_advisory_")))
            return false;
    }
    return st->kind == SQL_SELECT && st->advisory_lock && st->function_count > 0 &&
           st->table_count + st->operator_count + st->type_count == 0;
}

/* All that it does is on the connection, and is gone with that. */
static bool
is_the_connection_s(const struct unit *u)
{
    const struct sql_facts *f = u->type == 'Q' ? u->facts : NULL;

    if (u->executed != 1)
        return false;
    switch (u->verb) {
    case SQL_LISTEN:
    case SQL_UNLISTEN:
    case SQL_NOTIFY: /* who listened there is gone, too */
    case SQL_CLOSE:
    case SQL_PREPARE:
    case SQL_DEALLOCATE:
    case SQL_DISCARD:
    case SQL_SET:
    case SQL_SET_SESSION:
    case SQL_RESET_ALL:
    case SQL_SHOW:
        return true;
    default:
        return f != NULL && f->understood && f->count == 1 && locks_only(&f->statements[0]);
    }
}

/* At the primary, where it has no effect either: one SELECT, for whatever reason it is there, or
 * one BEGIN. What the catalog was not asked about is looked at again (retry_may). */
static bool
may_read_again(const struct session *s, const struct unit *u)
{
    return s->tx_status == 'I' && !u->may_write && (u->touches_session & ~TOUCHES_UNASKED) == 0 &&
           !u->local && !u->draws && !u->recalls &&
           (u->executed == 0 || (u->executed == 1 && (u->verb == SQL_SELECT || begins_alone(u))));
}

void
retry_keep(struct session *s, const struct server *server, const uint8_t *bytes,
           const struct unit *u)
{
    bool alone = server->pending.forwards == 0 && s->batch == NULL;

    if (s->retry.bytes != NULL)
        retry_drop(s);
    if (!alone || !u->ends || (u->has_begin && !(begins_alone(u) && server != s->reader)) ||
        !(u->executed > 0 || u->type == 'P' || u->type == 'D'))
        return;
    if (server == s->reader
            ? !u->tx_read || !(s->tx_status == 'I' || s->tx.movable)
            : !may_read_again(s, u) && !(s->tx_status == 'I' && is_the_connection_s(u)))
        return;
    s->retry.kinds = u->discards_all ? 0 : s->keeps.kinds; /* done away with, here or there */
    s->retry.unknown = (u->asks || u->touches_session & TOUCHES_UNASKED) && u->verb != SQL_PREPARE;
    s->retry.bytes = slab_get_bytes(&s->host->small, u->bytes);
    s->retry.len = u->bytes;
    memcpy(s->retry.bytes, bytes, u->bytes);
}

/* Nothing is wrong with the statement: replay was in its way, or the server goes down. */
static bool
is_the_standby_s_own(const struct err *err)
{
    static const char *const states[] = {"40001", "40P01", "57P01", "57P02", "57P03"};

    for (size_t n = 0; n < ARRAY_LEN(states); n++) {
        if (strcmp(err->sqlstate, states[n]) == 0)
            return true;
    }
    return false;
}

/* The standby does not know what is named, or may not do what is asked: what was known of the
 * catalog may have been wrong, and the primary will tell. */
static bool
is_another_catalog_s(const struct err *err)
{
    static const char *const states[] = {"42P01", "42883", "42703", "42704", "42725", "42809",
                                         "42501", "3F000", "25006", "0A000", "55000"};

    for (size_t n = 0; n < ARRAY_LEN(states); n++) {
        if (strcmp(err->sqlstate, states[n]) == 0)
            return true;
    }
    return false;
}

/* A write that was taken for a read: what is known of names is forgotten, once a second at most. */
static void
doubt_catalog(struct session *s, const struct err *err)
{
    int64_t now_ns = io_now_ns(s->host->io);

    if (strncmp(err->sqlstate, "42", 2) == 0 || now_ns - s->host->doubted_ns < NS_PER_S)
        return;
    s->host->doubted_ns = now_ns;
    catalog_changed(s->host->catalog, pool_key_database(s->key));
}

bool
retry_wants(struct session *s, const struct server *server, const struct err *err)
{
    bool catalog = is_another_catalog_s(err);

    if (s->retry.bytes == NULL || server != s->reader)
        return false;
    if (!catalog && !(s->tx_status == 'I' && is_the_standby_s_own(err)))
        return false;
    if (catalog)
        doubt_catalog(s, err);
    s->retry.due = true;
    return true;
}

bool
retry_wants_lost(const struct session *s, const struct server *server,
                 const struct pending_owed *owed)
{
    if (s->retry.bytes == NULL || s->tx_status != 'I' || (owed->count == 0 && !s->retry.due))
        return false;
    if (server == s->primary)
        return !server->forwarded && !server_is_terminated(server);
    return s->retry.due || !server->forwarded;
}

/* Names that the unit gives were given already: it gives them again. */
static void
forget_names(struct session *s, const uint8_t *bytes, size_t len)
{
    struct wire_header h;
    struct wire_parse p;
    struct err err;

    for (size_t at = 0; at < len; at += h.total_bytes) {
        if (wire_client_header(bytes + at, len - at, &h, &err) != WIRE_OK)
            return;
        if (h.type == 'P' && wire_parse_parse(bytes + at, h.total_bytes, &p, &err) == WIRE_OK &&
            p.name.len > 0)
            statements_forget(s, (struct sql_text){p.name.data, p.name.len});
    }
}

void
retry_put_back(struct session *s, const uint8_t *bytes, size_t len)
{
    struct buf again = BUF_EMPTY;

    buf_add(&again, bytes, len);
    buf_add(&again, s->in.data, s->in.len);
    forget_names(s, bytes, len);
    buf_free(&s->in);
    s->in = again;
    s->held_at = 0;
}

/* The catalog could not be asked, as the primary is not there yet. */
static bool
waits_for_primary(struct session *s)
{
    int primary_id = s->host->view->primary_id;
    struct err err;
    bool waits;

    if (!s->lookup_failed)
        return false;
    err_set(&err, "08006", "the catalog cannot be asked");
    waits = primary_id >= 0 ? hold_suspects(s, primary_id, &err) : hold_for_copy(s);
    if (waits) {
        s->lookup_failed = false;
        s->lookups = 0;
        s->stall = STALL_SERVER;
    }
    return waits;
}

bool
retry_may(struct session *s, const struct unit *u)
{
    bool judged = !u->asks && !(u->to_primary && u->reason == ROUTE_NOT_ASKED);
    bool reads = judged && !u->may_write && u->touches_session == 0;
    struct err err;

    if (!reads && waits_for_primary(s))
        return false;
    s->again_if_read = false;
    if (reads)
        return true;
    err_set(&err, "08007",
            "it is not known whether the transaction was committed: its server was lost");
    err_hint(&err, "Look whether it has taken effect before you run it again.");
    client_refuse_unit(s, u, &err);
    return false;
}

void
retry_run(struct session *s, bool primary_lost)
{

    log_info(primary_lost ? "a statement without effect runs again: the primary was lost"
                          : "a read runs again at the primary: its standby gave it up");
    retry_put_back(s, s->retry.bytes, s->retry.len);
    s->again_if_read = s->retry.unknown;
    retry_drop(s);
    s->to_primary_once = !primary_lost;
    if (s->tx.on_reader) {
        tx_leave_reader(s);
        s->stall = STALL_ANSWERS;
        return;
    }
    client_go_on(s);
}

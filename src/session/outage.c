/*
 * A session whose connection is lost: it stays, and its client is told what has become of what was
 * open there.
 *
 * Whatever was still to be answered gets one error: 40001 when nothing of it can have been
 * committed, 08007 when it may have been and nobody knows. Nothing is sent a second time here
 * (retry.c does so for reads that have no effect). A transaction block stays open for the client,
 * as one that has failed, until the client ends it; it is answered here, and no server hears of it.
 * Who had something there that no other connection can be given ends with its connection.
 *
 * Called by answers.c (the loss) and client.c (units behind it). Invariants: as many ReadyForQuery
 * go to the client as it has asked for; no statement of a lost block runs outside of it.
 * Source: PostgreSQL's manual, appendix "PostgreSQL Error Codes", and chapter "Message Flow".
 */
#include "session/internal.h"

#include "base/buf.h"
#include "base/log.h"
#include "os/clock.h"
#include "wire/build.h"

#include <string.h>

static const char *const keeps_words[] = {
#define SESSION_KEEPS(id, words, pins, asked) [SESSION_KEEPS_##id] = words,
#include "tables/keeps.def"
#undef SESSION_KEEPS
};

/* ---- does it survive? ---- */

/* Numbers drawn from sequences are not missed: whoever asks for them is told that there are none.
 */
static uint32_t
needed_of(const struct session *s, uint32_t all)
{
    uint32_t kinds = all & ~(1u << SESSION_KEEPS_SEQUENCE);
    uint32_t function = 1u << SESSION_KEEPS_FUNCTION;
    uint32_t statement = 1u << SESSION_KEEPS_STATEMENT;

    if (s->copies != NULL && kinds & statement && copies_may_prepare_again(s))
        kinds &= ~statement;
    if (kinds & function && named_may_owe(s)) /* the next connection is asked about it */
        kinds &= ~function;
    return kinds;
}

/* Is a transaction open that is rolled back with the connection? */
static bool
loses_transaction(const struct session *s)
{
    return s->tx_status != 'I' && !(s->copies != NULL && copies_has_committed(s));
}

/* What is not undone with the transaction that was open. */
static uint32_t
left_of(const struct session *s, uint32_t all)
{
    uint32_t kinds = needed_of(s, all);
    uint32_t outlive = 1u << SESSION_KEEPS_STATEMENT | 1u << SESSION_KEEPS_STATEMENTS |
                       1u << SESSION_KEEPS_LOCK | 1u << SESSION_KEEPS_LIBRARY |
                       1u << SESSION_KEEPS_UNKNOWN;

    return loses_transaction(s) ? kinds & (~s->keeps.fresh | outlive) : kinds;
}

/* Native replication: the copies have some of it, too. */
static uint32_t
ties_of(const struct session *s, uint32_t all)
{
    return left_of(s, all) & ~(s->copies != NULL ? copies_lasting(s) : 0);
}

/* again: what is under way runs again, and leaves there what it leaves. */
static uint32_t
lost_kinds(const struct session *s, bool again)
{
    uint32_t kinds = s->copies != NULL ? copies_again_kinds(s) : s->keeps.kinds;

    return again ? kinds & s->retry.kinds : kinds;
}

static uint32_t
ties(const struct session *s, bool again)
{
    return ties_of(s, lost_kinds(s, again));
}

bool
outage_bereaves(const struct session *s, bool again)
{
    uint32_t kinds;

    if (likely(s->copies == NULL))
        return false;
    kinds = copies_commits(s) ? needed_of(s, s->keeps.kinds) : left_of(s, lost_kinds(s, again));
    return (kinds & copies_lasting(s)) != 0;
}

bool
outage_may_leave(const struct session *s)
{
    return ties_of(s, s->keeps.kinds) == 0;
}

static void
tell_kinds(uint32_t kinds, struct err *err)
{
    for (size_t n = 0; n < ARRAY_LEN(keeps_words); n++) {
        if (kinds & 1u << n) {
            err_detail(err, "The session had something on its connection that is lost: %s.",
                       keeps_words[n]);
            return;
        }
    }
}

void
outage_refuse(const struct session *s, struct err *err)
{
    tell_kinds(left_of(s, lost_kinds(s, false)), err);
}

bool
outage_ties(const struct session *s, uint32_t kinds, struct err *why_r)
{
    uint32_t ones = ties_of(s, kinds);

    if (ones == 0)
        return false;
    err_set(why_r, "57P01", "the connection to the main node was lost");
    tell_kinds(ones, why_r);
    return true;
}

bool
outage_survives(const struct session *s, const struct server *server,
                const struct pending_owed *owed, struct err *why_r)
{
    bool nonsense = strcmp(why_r->sqlstate, "08P01") == 0;

    if (server->fatal_told || server_is_mid_message(server) || owed->in_doubt || nonsense)
        return false;
    if (server != s->primary || ties(s, retry_wants_lost(s, server, owed)) == 0)
        return true;
    if (server_is_terminated(server))
        return false; /* the server has said all that there is to say */
    memcpy(why_r->sqlstate, "57P01", sizeof("57P01"));
    tell_kinds(ties(s, false), why_r);
    return false;
}

/* ---- what it is told ---- */

static uint8_t
status_behind(uint8_t status, uint16_t flags)
{
    if (flags & CYCLE_OPENS)
        return 'E';
    if (flags & CYCLE_ENDS)
        return 'I';
    return status == 'I' ? 'I' : 'E';
}

/* May something have been committed? What no Sync was sent for has not been, outside of a block. */
static bool
is_uncertain(const struct session *s, const struct pending_owed *owed)
{
    uint8_t status = (uint8_t)s->tx_status;

    for (uint32_t n = 0; n < owed->count; n++) {
        uint16_t flags = owed->flags[n];
        if (!pending_ends_cycle(owed->kinds[n]))
            continue;
        if (flags & CYCLE_COMMITS ||
            (status == 'I' && flags & CYCLE_WRITE && !(flags & CYCLE_OPENS)))
            return true;
        status = status_behind(status, flags);
    }
    return (s->batch_flags & CYCLE_COMMITS) != 0;
}

static void
add_error(struct buf *b, const char *sqlstate, const char *detail)
{
    struct err err;

    if (strcmp(sqlstate, "25P02") == 0) {
        err_set(&err, sqlstate,
                "current transaction is aborted, commands ignored until end of transaction block");
    } else if (strcmp(sqlstate, "08007") == 0) {
        err_set(&err, sqlstate,
                "it is not known whether the transaction was committed: its server "
                "was lost");
        err_hint(&err, "Look whether it has taken effect before you run it again.");
    } else {
        err_set(&err, sqlstate, "the transaction was rolled back: its server was lost");
        err_hint(&err, "Run the transaction again.");
    }
    if (detail != NULL)
        err_detail(&err, "%s", detail);
    build_error(b, "ERROR", &err);
}

/* The answers that are still to come, in order. Returns the status behind them. */
static uint8_t
build_answers(struct session *s, const struct pending_owed *owed, const char *detail, struct buf *b)
{
    uint8_t status = (uint8_t)s->tx_status;
    bool failed = owed->skip_till_sync; /* of the running cycle: its error is told */
    bool told = false;

    for (uint32_t n = 0; n < owed->count; n++) {
        bool ends = pending_ends_cycle(owed->kinds[n]);
        if (!failed && !(ends && owed->kinds[n] == PENDING_SYNC)) {
            add_error(b, told && status == 'E' ? "25P02" : s->tx.why, told ? NULL : detail);
            failed = told = true;
        }
        if (!ends)
            continue;
        status = status_behind(status, owed->flags[n]);
        build_ready(b, (char)status);
        failed = false;
    }
    s->skip_till_sync = failed;
    if (!told && (status != 'I' || s->batch_flags != 0))
        s->tx.lost = TX_LOST_UNTOLD;
    else if (status != 'I')
        s->tx.lost = TX_LOST_TOLD;
    return status;
}

void
outage_settle(struct session *s, const struct pending_owed *owed, const struct err *err)
{
    bool uncertain = is_uncertain(s, owed);
    struct buf b = BUF_EMPTY;
    uint8_t status;

    tx_fini(s);
    memcpy(s->tx.why, uncertain ? "08007" : "40001", sizeof(s->tx.why));
    status = build_answers(s, owed, err->message, &b);
    if (s->tx_status != 'I' || status != 'I')
        settings_tx_ended(s, NULL, false);
    s->tx_status = (char)status;
    s->tx_local_path = false;
    s->batch_forgets = false;
    s->batch_flags = 0;
    s->pass_drop = true;
    keeps_lost(s);
    if (uncertain) {
        s->last_write_ns = clock_monotonic_ns();
        s->host->wrote(s->host->ctx, s->last_write_ns);
    }
    session_show_state(s, status == 'I' ? SESSION_SLOT_IDLE : SESSION_SLOT_IN_TX);
    log_info("the session goes on without its connection, %s: %s",
             uncertain ? "and whether its transaction was committed is not known"
                       : "its transaction or statement was rolled back",
             err->message);
    if (b.len > 0)
        session_send(s, &b);
    buf_free(&b);
}

void
outage_spare(struct session *s, const struct err *err)
{
    keeps_lost(s);
    s->batch_forgets = false;
    s->batch_flags = 0;
    log_info("the session goes on without its connection, and its client waits: %s", err->message);
}

/* ---- what comes behind it ---- */

static void
refuse(struct session *s, const struct unit *u)
{
    struct buf b = BUF_EMPTY;

    if (s->copies == NULL || s->tx.lost == TX_LOST_TOLD || !copies_tell_why(s, &b))
        add_error(&b, s->tx.lost == TX_LOST_TOLD ? "25P02" : s->tx.why, NULL);
    if (s->tx_status != 'I') {
        s->tx_status = 'E';
        s->tx.lost = TX_LOST_TOLD;
    } else {
        s->tx.lost = TX_LOST_NOT;
    }
    if (u->flags & CYCLE_ENDS) {
        s->tx_status = 'I';
        s->tx.lost = TX_LOST_NOT;
    }
    session_send(s, &b);
    buf_free(&b);
    if (u->ends)
        local_ready(s);
    else
        s->skip_till_sync = true;
}

/* The end of a block that has failed; a COMMIT whose client does not know of that is an error. */
static bool
ends_block(struct session *s, const uint8_t *bytes, const struct unit *u)
{
    if (s->tx_status == 'I' || u->executed != 1 || !u->ends || u->pass_left > 0 || u->chains ||
        !(u->flags & CYCLE_ENDS))
        return false;
    if (u->verb != SQL_ROLLBACK && s->tx.lost == TX_LOST_UNTOLD)
        return false;
    if (!tx_answer(s, bytes, u, "ROLLBACK", 'I'))
        return false;
    s->tx.lost = TX_LOST_NOT;
    return true;
}

void
outage_unit(struct session *s, const uint8_t *bytes, const struct unit *u)
{
    bool alone =
        u->type == 'S' || u->type == 'H' || u->type == 'd' || u->type == 'c' || u->type == 'f';

    if (u->type == 'S' && s->tx.lost == TX_LOST_TOLD)
        local_ready(s);
    else if (u->type == 'S')
        refuse(s, u); /* it would have been a commit */
    else if (!alone && !ends_block(s, bytes, u))
        refuse(s, u);
    s->pass_left = u->pass_left;
    s->pass_drop = true;
}

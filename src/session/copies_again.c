/*
 * Native replication: a statement outside of a transaction that is rolled back for no fault of its
 * own runs again, and its client hears nothing of that.
 *
 * Such a statement is a transaction of ours. What it answers is held until all nodes have
 * committed, as far as that is little; so when it is certain that all have rolled it back, because
 * the main node or another one was lost, or another transaction was in the way (40001, 40P01), it
 * is put in front of what the client has sent since, byte for byte, and goes the whole way again:
 * it is judged anew, and gets other values. Its COMMIT may be in doubt, when the main node was lost
 * with it; so may the client's own. Then the client waits until that is known, as long as it would
 * for a main node (failover_wait).
 *
 * Called by copies.c and copies_end.c (its end), copies_lost.c and answers.c (the loss).
 * Invariants: nothing runs again of whose answer the client has a byte, nor what may be committed
 * anywhere, nor what the client has cancelled; each statement runs again a few times at most.
 */
#include "session/copies.h"

#include "base/hash.h"
#include "base/log.h"
#include "config/config.h"
#include "os/clock.h"
#include "wire/build.h"

#include <string.h>

enum {
    TRIES_MAX = 8,
    HELD_MAX_BYTES = 64 * 1024,
};

/* ---- what runs again --------------------------------------------------------------------------
 */

/* A statement that is closed in the batch is not there any more when that runs again. */
static bool
closes_statement(const uint8_t *bytes, size_t len)
{
    struct wire_header h;
    struct err err;

    for (size_t at = 0; at < len; at += h.total_bytes) {
        if (wire_client_header(bytes + at, len - at, &h, &err) != WIRE_OK)
            return true;
        if (h.type == 'C' && h.total_bytes > WIRE_HEADER_BYTES &&
            bytes[at + WIRE_HEADER_BYTES] == 'S')
            return true;
    }
    return false;
}

void
copies_again_keep(struct session_copies *c, const uint8_t *bytes, const struct unit *u)
{
    const struct session *s = c->s;
    bool own = c->rule.way == COPIES_ALL && s->tx_status == 'I' && !(c->begins && u->type != 'Q');
    bool commit = c->rule.way == COPIES_COMMIT && !c->cuts && !u->chains && u->executed == 1;

    buf_free(&c->kept);
    c->passed = false;
    c->cancelled &= own; /* else that was of a statement before it */
    c->kinds = s->keeps.kinds;
    c->tied = (u->touches_session & TOUCHES_SURELY) != 0;
    if ((own || commit) && u->ends && u->pass_left == 0 &&
        (u->type == 'Q' || u->type == 'F' || !closes_statement(bytes, u->bytes)))
        buf_add(&c->kept, bytes, u->bytes);
}

static bool
is_conflict(const char *sqlstate)
{
    return strcmp(sqlstate, "40001") == 0 || strcmp(sqlstate, "40P01") == 0;
}

/* It is the same statement as the last time? Then it has had a try. */
static bool
has_tries(struct session_copies *c, const uint8_t *bytes, size_t len)
{
    uint64_t hash = hash_bytes(bytes, len);

    if (hash != c->kept_hash)
        c->tries = 0;
    c->kept_hash = hash;
    return c->tries++ < TRIES_MAX;
}

/* Has the client no byte of it, and may it run again if it is rolled back? */
static bool
may_run(const struct session_copies *c)
{
    return c->own_tx && c->kept.len > 0 && !c->passed && !c->cancelled &&
           c->s->state == CLIENT_READY;
}

bool
copies_again_next(struct session_copies *c, const uint8_t *bytes, const struct unit *u,
                  const struct err *err)
{
    const struct session *s = c->s;

    if (s->tx_status != 'I' || s->cancelled || c->cancelled || !u->ends ||
        !is_conflict(err->sqlstate) || !has_tries(c, bytes, u->bytes))
        return false;
    log_info("a statement is begun anew: %s", err->message);
    c->doomed = false;
    copies_undo(c);
    copies_step_later(c);
    return true;
}

/* ---- its answer -------------------------------------------------------------------------------
 */

bool
copies_again_holds(const struct session_copies *c)
{
    return c->holds && c->own_tx && !c->passed && c->phase >= COPIES_RUNS;
}

bool
copies_keeps_back(struct session *s, const struct server *server, const uint8_t *bytes, size_t len)
{
    struct session_copies *c = s->copies;

    if (server != s->primary || !copies_again_holds(c))
        return false;
    if (!server->fatal_told && c->data == DATA_NONE && c->held.len + len <= HELD_MAX_BYTES) {
        buf_add(&c->held, bytes, len);
        return true;
    }
    c->passed = true;
    if (c->held.len > 0)
        session_send(s, &c->held);
    buf_free(&c->held);
    return false;
}

void
copies_again_note(struct session_copies *c, const uint8_t *msg, size_t len)
{
    struct err err;

    server_error_from_message(msg, len, &err);
    memcpy(c->failure, err.sqlstate, sizeof(c->failure));
}

/* ---- the main node is lost --------------------------------------------------------------------
 */

bool
copies_again_awaits_commit(const struct session_copies *c)
{
    return c->host->options.failover_wait_ms > 0 && (c->own_tx || c->kept.len > 0);
}

bool
copies_again_spares(struct session *s, const struct server *server)
{
    struct session_copies *c = s->copies;

    if (c == NULL || server != s->primary)
        return false;
    if (c->phase == COPIES_RUNS) {
        c->spared = c->own_tx && c->data == DATA_NONE; /* it is rolled back, and is told so else */
    } else if (c->phase == COPIES_COMMITS) {
        c->spared = copies_again_awaits_commit(c);
        c->left = s->keeps.kinds;
    }
    return c->spared;
}

uint32_t
copies_again_kinds(const struct session *s)
{
    const struct session_copies *c = s->copies;
    bool undone = c->phase >= COPIES_RUNS && c->phase <= COPIES_PREPARED;
    bool waits = c->phase == COPIES_COMMITS && c->own_tx && s->host->options.failover_wait_ms > 0;

    /* should it be committed, the session is ended behind its answer */
    return (undone && may_run(c)) || waits ? s->keeps.kinds & c->kinds : s->keeps.kinds;
}

/* The client's block is over, and it has been told so, or is about to be. */
static void
end_block(struct session *s, bool committed)
{
    tx_fini(s);
    settings_tx_ended(s, NULL, committed);
    s->tx_status = 'I';
    s->tx_local_path = false;
    session_show_state(s, SESSION_SLOT_IDLE);
}

static void
set_doubt(struct err *err)
{
    err_set(err, "08007",
            "it is not known whether the transaction was committed: its server was lost");
    err_hint(err, "Look whether it has taken effect before you run it again.");
}

void
copies_again_tell_doubt(struct session_copies *c)
{
    struct session *s = c->s;
    struct buf b = BUF_EMPTY;
    struct err err;

    set_doubt(&err);
    build_error(&b, "ERROR", &err);
    build_ready(&b, 'I');
    session_send(s, &b);
    buf_free(&b);
    end_block(s, false);
}

bool
copies_again_waits(struct session_copies *c)
{
    struct session *s = c->s;
    struct err why;
    bool ends;

    if (clock_monotonic_ns() - c->doubt_ns < s->host->options.failover_wait_ms * NS_PER_MS) {
        copies_step_later(c);
        return true;
    }
    copies_again_tell_doubt(c);
    ends = copies_is_bereft(s); /* its connections go with that */
    err_set(&why, "57P01", "the connection to the main node was lost");
    outage_refuse(s, &why);
    s->copies = copies_new(s);
    copies_orphan(c);
    if (ends)
        session_fatal(s, &why);
    if (s->state == CLIENT_READY && s->stall == STALL_ANSWERS)
        client_go_on(s);
    return false;
}

/* ---- its end ----------------------------------------------------------------------------------
 */

/* The client's COMMIT was in doubt, and is not any more. */
static void
answer_commit(struct session_copies *c)
{
    struct session *s = c->s;
    struct buf unit = c->kept;
    bool committed = c->commits;
    struct err err = c->doom;
    struct unit u;
    struct err ignored;
    struct err why;
    bool ends = copies_again_ends_session(c, &why);

    c->kept = BUF_EMPTY;
    copies_reset(c);
    end_block(s, committed);
    unit_scan(s, unit.data, unit.len, &u, &ignored);
    if (committed)
        set_doubt(&err); /* of an answer of more than a word, which nobody has */
    if (!committed || !tx_answer(s, unit.data, &u, "COMMIT", 'I'))
        client_refuse_unit(s, &u, &err);
    buf_free(&unit);
    if (ends)
        session_fatal(s, &why);
}

static void
run(struct session_copies *c)
{
    struct session *s = c->s;
    struct buf unit = c->kept;

    log_info("a statement runs again, as it was rolled back on all nodes: %s",
             c->failed ? c->failure : c->doom.message);
    c->kept = BUF_EMPTY;
    copies_reset(c);
    retry_put_back(s, unit.data, unit.len);
    buf_free(&unit);
    if (session_pool_mode(s) == CONFIG_POOL_MODE_TRANSACTION)
        session_release(s); /* it is between two of them */
    client_go_on(s);
}

bool
copies_again_goes(struct session_copies *c)
{
    const char *why = c->failed ? c->failure : c->doomed ? c->doom.sqlstate : "";

    if (c->spared && !c->own_tx) {
        answer_commit(c);
        return true;
    }
    if (c->commits || !may_run(c) || !is_conflict(why) ||
        (c->tied && (c->s->primary != NULL || copies_is_bereft(c->s))) ||
        !has_tries(c, c->kept.data, c->kept.len))
        return false;
    run(c);
    return true;
}

bool
copies_again_ends_session(const struct session_copies *c, struct err *why_r)
{
    return c->spared && c->commits && outage_ties(c->s, c->left, why_r);
}

void
copies_deliver(struct session_copies *c)
{
    struct session *s = c->s;
    struct server *main = s->primary;
    struct pending_entry entry = c->entry;
    bool failed = c->failed || c->doomed;
    bool commits = c->commits && !failed;
    bool lost = c->rule.chains && main == NULL && !failed; /* what it has begun */
    struct buf b = BUF_EMPTY;

    c->tries = 0;
    if (c->doomed && c->cancelled)
        err_set(&c->doom, "57014", "canceling statement due to user request");
    if (c->doomed && !c->failed)
        build_error(&b, "ERROR", &c->doom);
    else
        buf_add(&b, c->held.data, c->held.len);
    if (!copies_cut_over(c, failed))
        build_ready(&b, lost ? 'T' : c->rule.chains && main != NULL ? main->tx_status : 'I');
    copies_reset(c);
    session_send(s, &b);
    buf_free(&b);
    if (main != NULL) {
        if (s->tx_status == 'I') { /* it was ours: what it has set holds, or does not */
            settings_tx_ended(s, main, commits);
            s->tx_local_path = false;
        }
        answers_cycle_end(s, main, &entry, failed);
        return;
    }
    if (lost) {
        copies_chain_lost(c);
        return;
    }
    end_block(s, commits);
}

/*
 * Online recovery in native replication: a standby that has all of the primary's WAL becomes a
 * server of its own.
 *
 * The caller keeps everybody from writing at the primary meanwhile. What was written there last is
 * marked by a message in the WAL: every commit lies in front of it, and one that is not flushed
 * yet, as synchronous_commit is off, is flushed with it at the latest. The node is promoted when it
 * has replayed the mark. Invariant: a slot of the node's at the primary does not outlive its use,
 * or it would keep WAL for ever.
 * Source: PostgreSQL's manual, sections "Backup Control Functions", "Recovery Control Functions"
 * and "Replication Management Functions".
 */
#include "base/num.h"
#include "base/str.h"
#include "recovery_parts.h"

#include <string.h>

enum { TRIES_MAX = 25 };

static const char mark[] = "SELECT pg_catalog.pg_logical_emit_message(true, 'pgpool', 'recovery')";
static const char replayed[] = "SELECT pg_catalog.pg_last_wal_replay_lsn(),"
                               " pg_catalog.current_setting('primary_slot_name')";
static const char independent[] = "SELECT pg_catalog.pg_is_in_recovery()";

/* ---- ready ---- */

static void
tell_ready(void *ctx)
{
    struct recovery *r = ctx;

    r->ops->ready(r->ctx);
}

void
recovery_be_ready(struct recovery *r)
{
    ask_free(r->node); /* the wait may be long */
    r->node = NULL;
    r->phase = RECOVERY_READY;
    io_timer_start(r->io, &r->next, 0, tell_ready, r);
}

static void
go_on(void *ctx)
{
    struct recovery *r = ctx;

    if (r->script == RECOVERY_SECOND_STAGE)
        recovery_script_go_on(r);
    else
        recovery_mark(r);
}

void
recovery_promote(struct recovery *r)
{
    r->promotes = true;
    io_timer_start(r->io, &r->next, 0, go_on, r);
}

/* ---- the node ---- */

static void
ask_node(void *ctx)
{
    struct recovery *r = ctx;

    if (r->phase == RECOVERY_REPLAY)
        ask_question(r->node, replayed, RECOVERY_ASK_MS);
    else
        ask_question(r->node, independent, RECOVERY_ASK_MS);
}

static void
ask_again(struct recovery *r)
{
    io_timer_start(r->io, &r->timer, RECOVERY_POLL_MS / 4, ask_node, r);
}

static void
promote(struct recovery *r)
{
    recovery_progress(r, "node %d has all that was written: it is promoted",
                      r->options.node.node_id);
    r->phase = RECOVERY_PROMOTE;
    ask_question(r->node, "SELECT pg_catalog.pg_promote(false)", RECOVERY_ASK_MS);
}

static void
drop_slot(void *ctx)
{
    struct recovery *r = ctx;

    ask_question(r->primary, buf_cstr(&r->sql), RECOVERY_ASK_MS);
}

/* It is a server of its own. */
static void
promoted(struct recovery *r)
{
    io_timer_stop(&r->deadline);
    if (r->slot[0] == '\0') {
        recovery_end(r, PLAN_DONE, "");
        return;
    }
    r->phase = RECOVERY_UNSLOT;
    r->tries = 0;
    buf_clear(&r->sql);
    buf_add_str(&r->sql, "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM"
                         " pg_catalog.pg_replication_slots WHERE slot_name = ");
    rebuild_quote_sql(&r->sql, r->slot);
    drop_slot(r);
}

static void
node_answered(void *ctx, const struct ask_rows *rows)
{
    struct recovery *r = ctx;
    uint64_t position = 0;

    if (r->phase == RECOVERY_REPLAY) {
        num_parse_lsn(ask_value(rows, 0, 0), &position);
        str_copy(r->slot, sizeof(r->slot), ask_value(rows, 0, 1));
        if (position >= r->position)
            promote(r);
        else
            ask_again(r);
        return;
    }
    if (r->phase == RECOVERY_PROMOTED && ask_value(rows, 0, 0)[0] == 'f') {
        promoted(r);
        return;
    }
    r->phase = RECOVERY_PROMOTED;
    ask_again(r);
}

static void
node_failed(void *ctx, const struct err *err, bool asked)
{
    struct recovery *r = ctx;

    str_copy(r->last_error, sizeof(r->last_error), err->message);
    if (r->phase == RECOVERY_PROMOTE)
        r->phase = RECOVERY_PROMOTED; /* it may have heard it */
    if (asked)
        ask_again(r);
}

static void
takes_too_long(void *ctx)
{
    struct recovery *r = ctx;

    recovery_fail(r, "node %d %s in time%s%s", r->options.node.node_id,
                  r->phase == RECOVERY_REPLAY ? "does not have all that was written"
                                              : "was not promoted",
                  r->last_error[0] != '\0' ? ": " : "", r->last_error);
}

/* ---- the primary ---- */

void
recovery_mark(struct recovery *r)
{
    r->phase = RECOVERY_MARK;
    buf_clear(&r->sql);
    buf_add_str(&r->sql, mark);
    ask_question(r->primary, buf_cstr(&r->sql), RECOVERY_ASK_MS);
}

static void
wait_replayed(struct recovery *r)
{
    static const struct ask_ops ops = {node_answered, node_failed};
    int64_t wait_ms = r->options.timeout_ms > 0 ? r->options.timeout_ms : RECOVERY_UNBOUNDED_MS;

    r->phase = RECOVERY_REPLAY;
    r->last_error[0] = '\0';
    ask_free(r->node);
    r->node = recovery_ask(r, &r->options.node, &ops);
    io_timer_start(r->io, &r->deadline, wait_ms, takes_too_long, r);
    ask_node(r);
}

void
recovery_mark_answered(struct recovery *r, const struct ask_rows *rows)
{
    if (r->phase == RECOVERY_UNSLOT)
        recovery_end(r, PLAN_DONE, "");
    else if (num_parse_lsn(ask_value(rows, 0, 0), &r->position))
        wait_replayed(r);
    else
        recovery_fail(r, "the primary does not say where its WAL ends");
}

/* Whoever has sent WAL through it may not have ended yet. */
void
recovery_mark_failed(struct recovery *r, const struct err *err)
{
    if (strcmp(err->sqlstate, "55006") == 0 && r->tries++ < TRIES_MAX) {
        io_timer_start(r->io, &r->timer, RECOVERY_POLL_MS, drop_slot, r);
        return;
    }
    recovery_progress(r, "the slot \"%s\" at node %d could not be dropped: %s", r->slot,
                      r->options.primary.node_id, err->message);
    recovery_end(r, PLAN_DONE, "");
}

/*
 * Reads that survive their standby: a batch of plain reads that a standby gives up for reasons of
 * its own, before anything of the answer went to the client, runs again at the primary.
 *
 * Called by client.c when a unit is sent (keep it), and by answers.c when the reader errs, is lost
 * or has answered. Invariants: what is kept is the only unit under way, outside of a transaction,
 * and has no effect; once a byte of its answer was forwarded it does not run again. It runs again
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
    free(s->retry.bytes);
    s->retry = (struct session_retry){.bytes = NULL};
}

void
retry_keep(struct session *s, const struct server *server, const uint8_t *bytes,
           const struct unit *u)
{
    bool alone = server->pending.forwards == 0 && s->batch == NULL;

    if (s->retry.bytes != NULL)
        retry_drop(s);
    if (server != s->reader || !alone || !u->ends || !u->tx_read || u->has_begin ||
        s->tx_status != 'I' || u->executed == 0)
        return;
    s->retry.bytes = xmalloc(u->bytes);
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

bool
retry_wants(struct session *s, const struct server *server, const struct err *err)
{
    if (s->retry.bytes == NULL || server != s->reader || !is_the_standby_s_own(err))
        return false;
    s->retry.due = true;
    return true;
}

bool
retry_wants_lost(const struct session *s, const struct server *server, bool owed)
{
    return s->retry.bytes != NULL && owed && (s->retry.due || !server->forwarded);
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
retry_run(struct session *s)
{
    struct buf again = BUF_EMPTY;

    log_info("a read runs again at the primary: its standby gave it up");
    buf_add(&again, s->retry.bytes, s->retry.len);
    buf_add(&again, s->in.data, s->in.len);
    retry_drop(s);
    forget_names(s, again.data, again.len);
    buf_free(&s->in);
    s->in = again;
    s->to_primary_once = true;
    client_go_on(s);
}

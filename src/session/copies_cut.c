/*
 * Native replication: batches of the extended protocol that begin and end transactions are cut.
 *
 * BEGIN in front of other statements is answered here, as a piece of its own. A statement that ends
 * the transaction, or has to do with savepoints or prepared statements, is a piece of its own, too:
 * what stands in front of it, and it where something stands behind it, goes to the server with a
 * Sync of ours, whose ReadyForQuery the client does not see. So each piece is a batch as it would
 * be alone. Where a piece fails, the rest is silent up to the client's Sync, as PostgreSQL has it.
 *
 * Called by client.c for each unit, copies.c and answers.c. Invariants: a piece is sent when all in
 * front of it is answered; while it is under way nothing of the next one is looked at.
 */
#include "session/copies.h"

/* Behind it stands then what needs values of the main node's, or the gate, in the transaction. */
static bool
cuts_begin(struct session *s, const uint8_t *bytes, struct unit *u)
{
    const struct session_copies *c = s->copies;
    bool owed = s->cur != NULL && s->cur->pending.count > 0;
    size_t len = 0;

    if (!copies_orders(s) && s->host->writes == SESSION_WRITES_GO && c->phase == COPIES_REST &&
        !c->doomed && s->tx_status == 'I' && s->batch == NULL && u->type != 'Q' && u->begins &&
        u->executed > 1 && u->may_write && !owed &&
        !(s->cur != NULL && s->cur->pending.skip_till_sync) && !s->cancelled && !s->waited_out)
        len = tx_begins_alone(s, bytes, u);
    if (len > 0)
        u->bytes = len;
    return len > 0;
}

/* May there be something in it that must not stand beside the end of its transaction, or a
 * savepoint? */
static bool
may_cut(const struct session *s, const struct unit *u)
{
    const struct session_copies *c = s->copies;

    if (s->tx_status == 'I' || u->type == 'Q' || u->executed < 2 || u->partial || u->pass_left > 0)
        return false;
    return copies_orders(s) || u->may_write || copies_any_begun(c) ||
           session_options(s)->replicates_reads;
}

static bool
cuts_end(struct session *s, const uint8_t *bytes, struct unit *u)
{
    size_t len = may_cut(s, u) ? copies_batch_cut(s, bytes, u->bytes) : 0;
    bool held_long = s->held_long;
    struct err err;

    if (len == 0)
        return false;
    s->held_long = false; /* it is all there, though no Sync is */
    unit_scan(s, bytes, len, u, &err);
    s->held_long = held_long;
    return true;
}

bool
copies_cuts(struct session *s, const uint8_t *bytes, struct unit *u)
{
    struct session_copies *c = s->copies;

    c->cuts = false;
    if (c->cut != NULL)
        return false;
    if (cuts_begin(s, bytes, u))
        return true;
    c->cuts = cuts_end(s, bytes, u);
    return false;
}

struct effect *
copies_cut_sent(struct session *s, struct effect *effects)
{
    struct session_copies *c = s->copies;
    struct server *server = s->cur;

    if (likely(c == NULL) || !c->cuts)
        return effects;
    c->cut = server;
    server->watched |= SERVER_SHOWS_ENDS;
    server_expect(server, PENDING_SYNC, false, s->batch_flags, effects);
    server_send(server, "S\0\0\0\4", 5);
    s->batch = NULL;
    s->batch_forgets = false;
    s->batch_flags = 0;
    if (s->unreal)
        statements_close_real(s, server);
    return NULL;
}

bool
copies_cut_ends(const struct session_copies *c, const struct server *server, uint8_t type)
{
    return server == c->cut && type == 'Z' && server->pending.count > 0 &&
           !server->pending.ring[server->pending.head].skip;
}

bool
copies_cut_over(struct session_copies *c, bool failed)
{
    struct server *server = c->cut;

    if (server == NULL)
        return false;
    c->cut = NULL;
    c->s->skip_till_sync = failed;
    if (server != c->s->primary && server != c->solo)
        server->watched &= (uint8_t)~SERVER_SHOWS_ENDS;
    return true;
}

bool
copies_cut_is_on(const struct session *s, const struct server *server)
{
    return s->copies != NULL && s->copies->cut == server;
}

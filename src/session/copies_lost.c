/*
 * Native replication: the main node is lost, or has ended a transaction that no copy has heard of.
 *
 * Called by answers.c and copies.c. Invariant: nothing of a transaction that has ended (its number,
 * how it held the gate) is taken for the next one's.
 */
#include "session/copies.h"

#include "wire/build.h"

void
copies_forget_block(struct session_copies *c)
{
    if (!copies_any_begun(c) && (c->gate != GATE_NONE || c->xid[0] != '\0'))
        copies_reset(c);
}

/* It is not known whether it has committed: the copies keep what they have prepared until it is. */
static void
leave_in_doubt(struct session *s)
{
    struct session_copies *c = s->copies;
    struct buf b = BUF_EMPTY;
    struct err err;

    if (c->own_tx) { /* else the client's COMMIT is owed, and answered with all that is */
        err_set(&err, "08007",
                "it is not known whether the transaction was committed: its server was lost");
        err_hint(&err, "Look whether it has taken effect before you run it again.");
        build_error(&b, "ERROR", &err);
        build_ready(&b, 'I');
        session_send(s, &b);
        buf_free(&b);
    }
    s->copies = copies_new(s);
    c->phase = COPIES_DOUBT;
    s->primary = NULL;
    copies_orphan(c);
}

void
copies_main_lost(struct session *s, const struct server *server)
{
    struct session_copies *c = s->copies;

    c->undoing = c->asks = 0;
    c->learns = false;
    buf_free(&c->untyped);
    c->main_begun = false;
    copies_data_main_lost(c);
    if (c->phase == COPIES_COMMITS) {
        leave_in_doubt(s);
        return;
    }
    if (c->phase == COPIES_FINISHES || c->phase == COPIES_UNDOES) {
        copies_step_later(c);
        return;
    }
    if (c->phase == COPIES_REST && !copies_any_begun(c)) {
        copies_forget_block(c);
        return;
    }
    if (c->owes) {
        err_set(&c->doom, "40001", "the transaction was rolled back: node %d was lost",
                server->node_id);
        err_hint(&c->doom, "Run the transaction again.");
        c->doomed = true;
    }
    s->primary = NULL;
    copies_undo(c);
    copies_step_later(c);
    copies_order_main_lost(s, server);
}

/*
 * Native replication: a node is lost in a transaction, or the main node has ended one that no copy
 * has heard of.
 *
 * A copy that is lost takes its part of the transaction along. When its node is detached, the
 * others commit without it: it is made anew before it comes back. When the node answers, only the
 * connection was lost, and the node would miss the commit: all roll back. Which of the two it is,
 * is known soon: the transaction's end waits for that, and its client notices nothing of a node
 * that dies. Called by answers.c, copies.c, copies_end.c and copies_links.c.
 *
 * Invariants: nothing of a transaction that has ended (its number, how it held the gate) is taken
 * for the next one's; who is left out of a commit is detached, and that is known here before the
 * main node commits.
 */
#include "session/copies.h"

#include "base/num.h"
#include "os/clock.h"
#include "wire/build.h"

enum { LOSS_LIMIT_MS = 10 * 1000 };

static struct copy *
copy_at(const struct list *it)
{
    return list_entry(it, struct copy, link);
}

void
copies_doubt_draws(struct session_copies *c)
{
    if (c->draws)
        c->host->doubt_sequences(c->host->ctx, pool_key_database(c->key));
    c->draws = false;
}

/* ---- a copy -----------------------------------------------------------------------------------
 */

bool
copies_bear_loss(struct copy *copy, const struct err *why)
{
    struct session_copies *c = copy->all;
    bool early = c->phase <= COPIES_PREPARES && c->phase != COPIES_SNAPS;

    if (c->s == NULL || copy->deviates || c->doomed || c->rule.way == COPIES_ALONE)
        return false;
    if (copy->prepared && c->phase >= COPIES_PREPARES && c->phase <= COPIES_PREPARED)
        return true; /* it is there for whoever ends it */
    if (!early)
        return false;
    copy->begun = copy->lost = true;
    copy->probed = false;
    c->loss = *why;
    c->loss_ns = 0;
    return true;
}

/* Does its node answer? What was in the pool may have been lost as well, so it is asked. */
static bool
answers_again(struct copy *copy)
{
    struct session_copies *c = copy->all;
    struct server *server = copy->server;

    if (server == NULL) {
        copy->probed = false;
        if (c->host->view->nodes[copy->node_id].usable &&
            !(c->waiter.line != NULL && c->waiter.owner == copy))
            copies_dial(copy);
        return false;
    }
    if (server->state != SERVER_LENT || server->pending.count > 0)
        return false;
    if (copy->probed)
        return true;
    copy->probed = true;
    copies_run(copy, "SELECT 1", 8, 0);
    return false;
}

bool
copies_settle_losses(struct session_copies *c)
{
    int64_t now_ns = clock_monotonic_ns();
    bool done = true;
    bool in_vain = false;

    list_for_each (it, &c->copies) {
        struct copy *copy = copy_at(it);
        if (!copy->lost)
            continue;
        if (!c->host->view->nodes[copy->node_id].copy) {
            copy->begun = copy->asked = copy->prepared = copy->lost = false;
            copies_unlink(copy);
            continue;
        }
        done = false;
        in_vain |= answers_again(copy);
    }
    if (done)
        return true;
    if (c->loss_ns == 0)
        c->loss_ns = now_ns;
    if (in_vain || now_ns - c->loss_ns > LOSS_LIMIT_MS * NS_PER_MS) {
        c->doom = c->loss;
        c->doomed = true;
    }
    copies_step_later(c);
    return false;
}

/* ---- the main node ----------------------------------------------------------------------------
 */

void
copies_say_lost(struct err *err_r, int node_id)
{
    err_set(err_r, "40001", "the transaction was rolled back: node %d was lost", node_id);
    err_hint(err_r, "Run the transaction again.");
}

void
copies_forget_block(struct session_copies *c)
{
    if (!copies_any_begun(c) && (c->gate != GATE_NONE || c->xid[0] != '\0'))
        copies_reset(c);
}

void
copies_fail_block(struct session_copies *c, bool told)
{
    struct session *s = c->s;

    if (s->cur != NULL && s->cur == s->reader && s->cur->tx_status != 'I')
        server_run_whole(s->cur, "ROLLBACK", 8, 0);
    tx_fini(s);
    settings_tx_ended(s, NULL, false);
    keeps_doubt(s);
    s->tx_status = 'E';
    s->tx_local_path = s->tx_wrote = false;
    s->tx.lost = told ? TX_LOST_TOLD : TX_LOST_UNTOLD;
    memcpy(s->tx.why, "40001", sizeof(s->tx.why));
    c->untold = !told;
    c->doomed = false;
}

bool
copies_tell_why(struct session *s, struct buf *b)
{
    struct session_copies *c = s->copies;

    if (!c->untold)
        return false;
    c->untold = false;
    build_error(b, "ERROR", &c->doom);
    return true;
}

/* It is not known whether it has committed: the copies keep what they have prepared until it is. */
static void
leave_in_doubt(struct session *s)
{
    struct session_copies *c = s->copies;

    c->phase = COPIES_DOUBT;
    s->primary = NULL;
    if (c->spared) {
        c->owes = true;
        c->doubt_ns = clock_monotonic_ns();
        copies_step_later(c);
        return;
    }
    if (c->own_tx) /* else the client's COMMIT is owed, and answered with all that is */
        copies_again_tell_doubt(c);
    s->copies = copies_new(s);
    copies_orphan(c);
}

void
copies_main_lost(struct session *s, const struct server *server)
{
    struct session_copies *c = s->copies;

    copies_doubt_draws(c);
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
    c->owes |= c->spared;
    if (c->owes) {
        copies_say_lost(&c->doom, server->node_id);
        c->doomed = true;
    }
    s->primary = NULL;
    copies_undo(c);
    copies_step_later(c);
    copies_order_main_lost(s, server);
}

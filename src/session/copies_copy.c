/*
 * Native replication: COPY FROM STDIN.
 *
 * The main node gets the statement first. Once it asks for data the copies get the statement, too,
 * and from then on every node gets each piece of data in the same turn: the client is as fast as
 * the slowest of them, and nothing is kept here. The end of the data goes to the main node alone;
 * when that has succeeded the copies get it, and CopyFail when it has not.
 *
 * So a copy may insert a row before the main node does. That is why such a statement holds the gate
 * alone, whatever its table (copies_gate.c): nobody who writes is beside it, and no lock of a row
 * on a copy can stand in another order than on the main node.
 *
 * Called by pass.c with the client's messages, by answers.c when the main node asks for data, and
 * by the other files of copies*.c. Invariants: a copy that reads data gets whole messages; nothing
 * is sent to any node in the middle of one. What a copy says before the main node has ended counts
 * when that has. Source: PostgreSQL's manual, chapter "Message Flow", section "COPY Operations".
 */
#include "session/copies.h"

#include "wire/build.h"

#include <string.h>

static const char not_done[] = "the main node has not done it";

static struct copy *
copy_at(const struct list *it)
{
    return list_entry(it, struct copy, link);
}

/* A part of CopyData has gone to the nodes, and the rest is to come. */
static bool
is_mid_message(const struct session *s)
{
    return s->pass_left > 0 && !s->pass_drop;
}

static bool
runs(const struct session_copies *c)
{
    return c->phase == COPIES_RUNS && c->data != DATA_NONE;
}

/* ---- what the client sends --------------------------------------------------------------------
 */

enum copies_turn
copies_data_message(struct session *s, uint8_t type)
{
    struct session_copies *c = s->copies;

    if (!runs(c) || c->data >= DATA_ENDED)
        return s->cur != NULL && s->cur->pending.copy_in ? COPIES_GOES_ON : COPIES_ANSWERED;
    if (c->data == DATA_ASKED) {
        s->stall = STALL_ANSWERS;
        return COPIES_WAITS;
    }
    if (type != 'd')
        c->data = DATA_ENDED;
    return COPIES_GOES_ON;
}

void
copies_data_pass(struct session *s, struct io_rx *rx, const uint8_t *bytes, size_t len)
{
    struct session_copies *c = s->copies;

    if (!runs(c) || c->data != DATA_FLOWS)
        return;
    list_for_each (it, &c->copies) {
        struct copy *copy = copy_at(it);
        if (copy->server == NULL || !copy->reads)
            continue;
        if (rx != NULL)
            io_send_rx(copy->server->stream, rx, (size_t)(bytes - rx->data), len);
        else
            io_send_copy(copy->server->stream, bytes, len);
    }
}

bool
copies_data_is_full(const struct session *s)
{
    if (!runs(s->copies))
        return false;
    list_for_each (it, &s->copies->copies) {
        const struct copy *copy = copy_at(it);
        if (copy->server != NULL && copy->reads && io_is_full(copy->server->stream))
            return true;
    }
    return false;
}

/* Sync and Flush go on to the main node, which ignores them while it reads data. */
static enum copies_turn
pass_sync(struct session_copies *c, uint8_t type)
{
    struct session *s = c->s;
    struct server *main = s->primary;

    if (type == 'H') {
        server_send(main, "H\0\0\0\4", 5);
        return COPIES_ANSWERED;
    }
    if (!main->pending.copy_in)
        c->data = DATA_SYNCED;
    server_expect(main, PENDING_SYNC, false, CYCLE_WRITE, NULL);
    server_send(main, "S\0\0\0\4", 5);
    return COPIES_ANSWERED;
}

enum copies_turn
copies_data_other(struct session *s, const struct unit *u)
{
    struct session_copies *c = s->copies;
    bool waits = c->data == DATA_ASKED || c->data == DATA_SYNCED ||
                 (c->data == DATA_ENDED && c->query && !s->primary->pending.skip_till_sync);
    struct err err;

    if (waits) {
        s->stall = STALL_ANSWERS;
        return COPIES_WAITS;
    }
    if (u->type == 'S' || u->type == 'H')
        return pass_sync(c, u->type);
    err_set(&err, "08P01", "unexpected message type 0x%02X during COPY from stdin", u->type);
    err_hint(&err, "Send CopyDone or CopyFail, and in the extended protocol Sync, first "
                   "(native_replication).");
    session_fatal(s, &err);
    return COPIES_WAITS;
}

/* ---- what the main node says ------------------------------------------------------------------
 */

/* The statement of a batch that consists of nothing else. */
static void
take_item(struct session_copies *c)
{
    struct wire_view text = copies_batch_text(c);

    buf_clear(&c->text);
    build_query(&c->text, text.data, text.len);
}

void
copies_data_wanted(struct session *s, struct server *server)
{
    struct session_copies *c = s->copies;
    bool query = c->query;

    if (server != s->primary || !runs(c) || c->data != DATA_ASKED || !server->pending.copy_in)
        return;
    c->data = DATA_FLOWS;
    if (!query)
        take_item(c);
    c->query = true;
    copies_send(c);
    c->query = query;
    list_for_each (it, &c->copies)
        copy_at(it)->reads = copy_at(it)->server != NULL;
}

static void
end_data(struct copy *copy, const char *why)
{
    struct buf b = BUF_EMPTY;

    copy->reads = false;
    if (why == NULL)
        build_simple(&b, 'c');
    else
        build_copy_fail(&b, why);
    server_expect(copy->server, PENDING_COPY_END, true, 0, NULL);
    server_send(copy->server, b.data, b.len);
    buf_free(&b);
}

void
copies_data_end(struct session_copies *c, bool failed)
{
    struct copies_outcome *outcome = &c->outcomes[(c->ran - 1) % COPIES_LAG_MAX];

    *outcome = c->outcome;
    outcome->fails = failed;
    c->data = DATA_NONE;
    list_for_each (it, &c->copies) {
        struct copy *copy = copy_at(it);
        bool early = copy->early;
        copy->early = false;
        if (copy->server != NULL && copy->reads)
            end_data(copy, failed ? not_done : NULL);
        copy->reads = false;
        if (early)
            copies_compare(copy, true);
    }
}

bool
copies_data_breaks(struct session_copies *c, const struct pending_entry *e, bool failed)
{
    if (c->data == DATA_NONE || !is_mid_message(c->s))
        return false;
    c->data_failed = failed;
    c->data_broke = true;
    c->entry = *e;
    c->entry.tag = NULL;
    return true;
}

void
copies_data_passed(struct session *s)
{
    struct session_copies *c = s->copies;
    struct server *main = s->primary;
    struct pending_entry e = c->entry;

    if (!c->data_broke)
        return;
    c->data_broke = false;
    if (copies_cycle_end(s, main, &e, c->data_failed))
        return;
    answers_cycle_end(s, main, &e, c->data_failed);
    copies_cycle_ended(s);
}

/* ---- in the middle of it ----------------------------------------------------------------------
 */

bool
copies_data_early(struct copy *copy, bool failed)
{
    struct session_copies *c = copy->all;

    if (!failed || !runs(c) || c->data == DATA_ASKED || copy->heard + 1 != c->ran)
        return false;
    copy->early = true;
    return true;
}

bool
copies_data_leave(struct copy *copy)
{
    const struct session *s = copy->all->s;

    if (!copy->reads)
        return true;
    if (s == NULL || is_mid_message(s)) {
        copy->reads = false;
        copies_unlink(copy);
        return false;
    }
    end_data(copy, not_done);
    return true;
}

void
copies_data_main_lost(struct session_copies *c)
{
    struct buf b = BUF_EMPTY;

    if (c->data_broke && c->holds) { /* its error has been told, and nothing else is owed */
        build_ready(&b, 'I');
        session_send(c->s, &b);
        buf_free(&b);
    }
    if (c->data > DATA_ASKED)
        c->outcomes[(c->ran - 1) % COPIES_LAG_MAX].fails = true;
    c->data_broke = false;
    c->data = DATA_NONE;
}

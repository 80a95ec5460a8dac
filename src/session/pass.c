/*
 * What passes from a client without being looked into: the messages of COPY, and the rest of a
 * message that was too long to be held.
 *
 * Called by client.c. They go where the last unit went; the messages of a COPY in native
 * replication to all nodes (session/native.h). Bytes leave from the receive buffer.
 */
#include "session/internal.h"

static void
send_piece(struct io_stream *stream, const struct piece *p, size_t len)
{
    if (p->rx != NULL)
        io_send_rx(stream, p->rx, (size_t)(p->bytes - p->rx->data), len);
    else
        io_send_copy(stream, p->bytes, len);
}

/* COPY messages go where a COPY runs, and are ignored elsewhere, as PostgreSQL does. */
static struct server *
copy_target(struct session *s)
{
    return s->cur != NULL && (s->cur->pending.count > 0 || s->cur->pending.skip_till_sync) ? s->cur
                                                                                           : NULL;
}

bool
pass_copy(struct session *s, const struct piece *p, const struct unit *u)
{
    struct server *server = copy_target(s);
    enum copies_turn turn = COPIES_GOES_ON;

    if (unlikely(s->copies != NULL))
        turn = copies_data_message(s, u->type);
    if (turn == COPIES_WAITS)
        return false;
    s->pass_left = u->pass_left;
    s->pass_drop = server == NULL || turn == COPIES_ANSWERED;
    if (s->pass_drop)
        return true;
    if (u->type != 'd')
        server_expect(server, PENDING_COPY_END, false, 0, NULL);
    send_piece(server->stream, p, u->bytes);
    if (unlikely(s->copies != NULL) && u->type == 'd')
        copies_data_pass(s, p->rx, p->bytes, u->bytes);
    return true;
}

size_t
pass_on(struct session *s, const struct piece *p, size_t len)
{
    size_t n = MIN((size_t)s->pass_left, len);
    bool drops = s->pass_drop || s->cur == NULL;

    s->pass_left -= (uint32_t)n;
    if (unlikely(s->passing != 0))
        definitions_pass(s, p->bytes, n);
    if (!drops)
        send_piece(s->cur->stream, p, n);
    if (likely(s->copies == NULL))
        return n;
    if (!drops)
        copies_data_pass(s, p->rx, p->bytes, n);
    if (s->pass_left == 0)
        copies_data_passed(s);
    return n;
}

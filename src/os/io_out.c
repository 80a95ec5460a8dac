/*
 * Queues of bytes that a stream still has to send: a list of pieces. A stream has one, with TLS
 * two: of plaintext, which is encrypted at the end of the turn, and of what goes to the kernel.
 *
 * A piece is a part of a receive buffer, which it keeps from going back to the engine, or a chunk
 * of heap memory. Called by io_stream.c for the callers' io_send_*, and by the back ends, which
 * send from it while no callback runs: a piece never grows while the kernel reads it.
 *
 * Small pieces are worth a copy: one vector more costs a system call more than some hundred bytes
 * do. Chunks of the usual size are kept for reuse, but only a few, so that an idle process holds
 * nothing.
 */
#include "base/arena.h"
#include "base/log.h"
#include "io_private.h"

#include <stdlib.h>
#include <string.h>

enum {
    CHUNK_BYTES = 2048,
    CHUNK_CACHE_MAX = 32,
    COPY_AT_MOST = 512, /* a part of a receive buffer this small joins a chunk */
};

static struct io_piece *
chunk_new(struct io *io, size_t at_least)
{
    struct io_piece *p;
    size_t cap = MAX(at_least, (size_t)CHUNK_BYTES);

    if (cap == CHUNK_BYTES && io->chunk_cache != NULL) {
        p = io->chunk_cache;
        io->chunk_cache = p->next;
        io->chunk_cached--;
    } else {
        p = xmalloc(sizeof(*p) + cap);
    }
    p->next = NULL;
    p->data = p->bytes;
    p->len = 0;
    p->buffer = NULL;
    p->cap = cap;
    return p;
}

static void
piece_free(struct io *io, struct io_piece *p)
{
    if (p->buffer != NULL) {
        io_buffer_unref(io, p->buffer);
        slab_put(&io->piece_slab, p);
    } else if (p->cap == CHUNK_BYTES && io->chunk_cached < CHUNK_CACHE_MAX) {
        p->next = io->chunk_cache;
        io->chunk_cache = p;
        io->chunk_cached++;
    } else {
        free(p);
    }
}

void
io_out_fini(struct io *io)
{
    struct io_piece *next;

    for (struct io_piece *p = io->chunk_cache; p != NULL; p = next) {
        next = p->next;
        free(p);
    }
    io->chunk_cache = NULL;
}

static void
append(struct io_queue *q, struct io_piece *p)
{
    if (q->last == NULL)
        q->first = p;
    else
        q->last->next = p;
    q->last = p;
}

static size_t
room_behind(const struct io_piece *p)
{
    if (p == NULL || p->buffer != NULL)
        return 0;
    return (size_t)(p->bytes + p->cap - (p->data + p->len));
}

static void
append_copy(struct io *io, struct io_queue *q, const uint8_t *bytes, size_t len)
{
    size_t part = MIN(len, room_behind(q->last));

    if (part > 0) {
        memcpy(q->last->bytes + (q->last->data - q->last->bytes) + q->last->len, bytes, part);
        q->last->len += part;
    }
    if (part < len) {
        struct io_piece *p = chunk_new(io, len - part);

        memcpy(p->bytes, bytes + part, len - part);
        p->len = len - part;
        append(q, p);
    }
}

/* Where the callers' bytes go: with TLS they are encrypted first, at the end of the turn. */
static struct io_queue *
queue_of(struct io_stream *s)
{
    return unlikely(s->tls != NULL) ? io_tls_queue(s) : &s->out;
}

void
io_queue_add(struct io *io, struct io_queue *q, const uint8_t *bytes, size_t len)
{
    append_copy(io, q, bytes, len);
    q->bytes += len;
}

static void
grown(struct io_stream *s, struct io_queue *q, size_t len)
{
    q->bytes += len;
    if (io_unsent_bytes(s) >= IO_HIGH_WATER)
        s->full = true;
    if (unlikely(s->is_held))
        io_release(s);
    io_stream_dirty(s);
}

void
io_send_copy(struct io_stream *s, const void *bytes, size_t len)
{
    struct io_queue *q = queue_of(s);

    if (len == 0 || s->discards)
        return;
    append_copy(s->io, q, bytes, len);
    grown(s, q, len);
}

void
io_send_rx(struct io_stream *s, struct io_rx *rx, size_t offset, size_t len)
{
    struct io_buffer *b = rx->engine_private;
    const uint8_t *data = rx->data + offset;
    struct io_queue *q = queue_of(s);
    struct io_piece *last = q->last;

    BUG_UNLESS(offset <= rx->len && len <= rx->len - offset);
    if (len == 0 || s->discards)
        return;
    if (last != NULL && last->buffer == b && last->data + last->len == data) {
        last->len += len;
    } else if (len <= COPY_AT_MOST && len <= room_behind(last)) {
        append_copy(s->io, q, data, len);
    } else {
        struct io_piece *p = slab_get(&s->io->piece_slab);

        p->data = data;
        p->len = len;
        p->buffer = b;
        b->refs++;
        append(q, p);
    }
    grown(s, q, len);
}

static void
release_all(void *ctx)
{
    struct io *io = ctx;

    list_for_each_safe (it, tmp, &io->held_streams)
        io_release(list_entry(it, struct io_stream, held));
}

void
io_hold(struct io_stream *s)
{
    struct io *io = s->io;
    size_t bytes = io_unsent_bytes(s);

    if (bytes == 0 || bytes >= IO_HOLD_BYTES || s->discards || s->is_held)
        return;
    s->is_held = true;
    list_append(&io->held_streams, &s->held);
    if (!io_timer_running(&io->held_timer))
        io_timer_start(io, &io->held_timer, IO_HOLD_MS, release_all, io);
}

void
io_release(struct io_stream *s)
{
    if (!s->is_held)
        return;
    s->is_held = false;
    list_remove(&s->held);
    io_stream_dirty(s);
}

size_t
io_unsent_bytes(const struct io_stream *s)
{
    return s->out.bytes + (unlikely(s->tls != NULL) ? io_tls_queue(s)->bytes : 0);
}

void
io_queue_drop(struct io *io, struct io_queue *q)
{
    struct io_piece *next;

    for (struct io_piece *p = q->first; p != NULL; p = next) {
        next = p->next;
        piece_free(io, p);
    }
    *q = (struct io_queue){0};
}

void
io_out_drop(struct io_stream *s)
{
    io_queue_drop(s->io, &s->out);
    if (s->tls != NULL)
        io_queue_drop(s->io, io_tls_queue(s));
}

void
io_queue_set_aside(struct io *io, struct io_queue *q)
{
    struct io_piece *p = q->first;
    struct io_piece *next;

    while (p != NULL && p->buffer == NULL)
        p = p->next;
    if (p == NULL)
        return;
    p = q->first;
    q->first = q->last = NULL;
    for (; p != NULL; p = next) {
        next = p->next;
        p->next = NULL;
        if (p->buffer == NULL) {
            append(q, p);
            continue;
        }
        append_copy(io, q, p->data, p->len);
        io->stats.copied_bytes += p->len;
        piece_free(io, p);
    }
}

int
io_out_gather(const struct io_stream *s, struct iovec *iov, size_t *bytes_r)
{
    int count = 0;

    *bytes_r = 0;
    for (const struct io_piece *p = s->out.first; p != NULL && count < IO_PIECES_MAX; p = p->next) {
        iov[count].iov_base = (void *)(uintptr_t)p->data;
        iov[count].iov_len = p->len;
        *bytes_r += p->len;
        count++;
    }
    return count;
}

void
io_queue_take(struct io *io, struct io_queue *q, size_t bytes)
{
    q->bytes -= bytes;
    while (bytes > 0) {
        struct io_piece *p = q->first;

        if (bytes < p->len) {
            p->data += bytes;
            p->len -= bytes;
            return;
        }
        bytes -= p->len;
        q->first = p->next;
        if (q->first == NULL)
            q->last = NULL;
        piece_free(io, p);
    }
}

/*
 * The queue of bytes that a stream still has to send: a list of pieces.
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
append(struct io_stream *s, struct io_piece *p)
{
    if (s->last == NULL)
        s->first = p;
    else
        s->last->next = p;
    s->last = p;
}

static size_t
room_behind(const struct io_piece *p)
{
    if (p == NULL || p->buffer != NULL)
        return 0;
    return (size_t)(p->bytes + p->cap - (p->data + p->len));
}

static void
append_copy(struct io_stream *s, const uint8_t *bytes, size_t len)
{
    size_t part = MIN(len, room_behind(s->last));

    if (part > 0) {
        memcpy(s->last->bytes + (s->last->data - s->last->bytes) + s->last->len, bytes, part);
        s->last->len += part;
    }
    if (part < len) {
        struct io_piece *p = chunk_new(s->io, len - part);

        memcpy(p->bytes, bytes + part, len - part);
        p->len = len - part;
        append(s, p);
    }
}

static void
grown(struct io_stream *s, size_t len)
{
    s->unsent += len;
    if (s->unsent >= IO_HIGH_WATER)
        s->full = true;
    io_stream_dirty(s);
}

void
io_send_copy(struct io_stream *s, const void *bytes, size_t len)
{
    if (len == 0 || s->discards)
        return;
    append_copy(s, bytes, len);
    grown(s, len);
}

void
io_send_rx(struct io_stream *s, struct io_rx *rx, size_t offset, size_t len)
{
    struct io_buffer *b = rx->engine_private;
    const uint8_t *data = rx->data + offset;
    struct io_piece *last = s->last;

    BUG_UNLESS(offset <= rx->len && len <= rx->len - offset);
    if (len == 0 || s->discards)
        return;
    if (last != NULL && last->buffer == b && last->data + last->len == data) {
        last->len += len;
    } else if (len <= COPY_AT_MOST && len <= room_behind(last)) {
        append_copy(s, data, len);
    } else {
        struct io_piece *p = slab_get(&s->io->piece_slab);

        p->data = data;
        p->len = len;
        p->buffer = b;
        b->refs++;
        append(s, p);
    }
    grown(s, len);
}

void
io_out_drop(struct io_stream *s)
{
    struct io_piece *next;

    for (struct io_piece *p = s->first; p != NULL; p = next) {
        next = p->next;
        piece_free(s->io, p);
    }
    s->first = s->last = NULL;
    s->unsent = 0;
}

void
io_out_set_aside(struct io_stream *s)
{
    struct io_piece *p = s->first;
    struct io_piece *next;

    while (p != NULL && p->buffer == NULL)
        p = p->next;
    if (p == NULL)
        return;
    p = s->first;
    s->first = s->last = NULL;
    for (; p != NULL; p = next) {
        next = p->next;
        p->next = NULL;
        if (p->buffer == NULL) {
            append(s, p);
            continue;
        }
        append_copy(s, p->data, p->len);
        s->io->stats.copied_bytes += p->len;
        piece_free(s->io, p);
    }
}

int
io_out_gather(const struct io_stream *s, struct iovec *iov, size_t *bytes_r)
{
    int count = 0;

    *bytes_r = 0;
    for (const struct io_piece *p = s->first; p != NULL && count < IO_PIECES_MAX; p = p->next) {
        iov[count].iov_base = (void *)(uintptr_t)p->data;
        iov[count].iov_len = p->len;
        *bytes_r += p->len;
        count++;
    }
    return count;
}

void
io_out_take(struct io_stream *s, size_t bytes)
{
    s->unsent -= bytes;
    while (bytes > 0) {
        struct io_piece *p = s->first;

        if (bytes < p->len) {
            p->data += bytes;
            p->len -= bytes;
            return;
        }
        bytes -= p->len;
        s->first = p->next;
        if (s->first == NULL)
            s->last = NULL;
        piece_free(s->io, p);
    }
}

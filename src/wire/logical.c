/*
 * Logical changes as a replication connection brings them.
 *
 * Called by the process that watches other writers. Invariant: a cursor never passes its end; what
 * is read beyond it is zero and marks the message as short.
 */
#include "wire/logical.h"

#include "base/num.h"

#include <string.h>

struct reading {
    const uint8_t *at;
    const uint8_t *end;
    bool is_bad;
};

static const uint8_t *
take(struct reading *r, size_t n)
{
    const uint8_t *at = r->at;

    if ((size_t)(r->end - r->at) < n) {
        r->is_bad = true;
        r->at = r->end;
        return NULL;
    }
    r->at += n;
    return at;
}

static uint8_t
take_u8(struct reading *r)
{
    const uint8_t *p = take(r, 1);

    return p != NULL ? *p : 0;
}

static uint16_t
take_u16(struct reading *r)
{
    const uint8_t *p = take(r, 2);

    return p != NULL ? num_get_u16(p) : 0;
}

static uint32_t
take_u32(struct reading *r)
{
    const uint8_t *p = take(r, 4);

    return p != NULL ? num_get_u32(p) : 0;
}

static uint64_t
take_u64(struct reading *r)
{
    uint64_t high = take_u32(r);

    return high << 32 | take_u32(r);
}

static struct wire_view
take_text(struct reading *r)
{
    const uint8_t *nul = r->at < r->end ? memchr(r->at, 0, (size_t)(r->end - r->at)) : NULL;
    struct wire_view v = {(const char *)r->at, 0};

    if (nul == NULL) {
        r->is_bad = true;
        r->at = r->end;
        return (struct wire_view){NULL, 0};
    }
    v.len = (uint32_t)(nul - r->at);
    r->at = nul + 1;
    return v;
}

/* ---- frames ---- */

enum wire_result
wire_stream_parse(const uint8_t *p, size_t n, struct wire_stream *s_r, struct err *err)
{
    struct reading r = {p, p + n, false};
    uint8_t type = take_u8(&r);

    *s_r = (struct wire_stream){.kind = WIRE_STREAM_DATA};
    switch (type) {
    case 'w':
        s_r->start = take_u64(&r);
        s_r->end = take_u64(&r);
        s_r->sent_us = (int64_t)take_u64(&r);
        s_r->data = r.at;
        s_r->len = (size_t)(r.end - r.at);
        r.at = r.end;
        break;
    case 'k':
        s_r->kind = WIRE_STREAM_KEEPALIVE;
        s_r->end = take_u64(&r);
        s_r->sent_us = (int64_t)take_u64(&r);
        s_r->reply = take_u8(&r) != 0;
        break;
    default:
        err_set(err, "08P01", "unexpected message of type %d in a replication stream", type);
        return WIRE_BAD;
    }
    if (!r.is_bad && r.at == r.end)
        return WIRE_OK;
    err_set(err, "08P01", "invalid length of message \"%c\" in a replication stream", type);
    return WIRE_BAD;
}

static void
add_u64(struct buf *out, uint64_t v)
{
    buf_add_u32(out, (uint32_t)(v >> 32));
    buf_add_u32(out, (uint32_t)v);
}

void
wire_stream_status(struct buf *out, const struct wire_status *status)
{
    buf_add_u8(out, 'r');
    add_u64(out, status->written);
    add_u64(out, status->flushed);
    add_u64(out, status->applied);
    add_u64(out, (uint64_t)status->now_us);
    buf_add_u8(out, status->reply ? 1 : 0);
}

/* ---- messages ---- */

/* A row, of which nothing is wanted but its end. */
static void
skip_row(struct reading *r)
{
    uint32_t columns = take_u16(r);

    for (; columns > 0 && !r->is_bad; columns--) {
        switch (take_u8(r)) {
        case 'n': /* null */
        case 'u': /* unchanged and stored elsewhere */
            break;
        case 't':
        case 'b':
            take(r, take_u32(r));
            break;
        default:
            r->is_bad = true;
            break;
        }
    }
}

static void
skip_row_marked(struct reading *r, uint8_t mark)
{
    if (take_u8(r) != mark)
        r->is_bad = true;
    skip_row(r);
}

/* The old row, whole or its key. */
static bool
skip_old_row(struct reading *r)
{
    uint8_t mark = r->at < r->end ? *r->at : 0;

    if (mark != 'K' && mark != 'O')
        return false;
    skip_row_marked(r, mark);
    return true;
}

static void
read_relation(struct reading *r, struct wire_logical *m)
{
    m->kind = WIRE_LOGICAL_RELATION;
    m->oid = take_u32(r);
    m->schema = take_text(r);
    m->name = take_text(r);
    take_u8(r); /* its replica identity */
    m->columns = take_u16(r);
    for (uint32_t left = m->columns; left > 0 && !r->is_bad; left--) {
        take_u8(r);   /* whether it is of the key */
        take_text(r); /* name */
        take(r, 8);   /* type and its modifier */
    }
}

static void
read_truncate(struct reading *r, struct wire_logical *m)
{
    m->kind = WIRE_LOGICAL_TRUNCATE;
    m->count = take_u32(r);
    take_u8(r); /* CASCADE, RESTART IDENTITY */
    m->oids = m->count <= (size_t)(r->end - r->at) / 4 ? take(r, (size_t)m->count * 4) : NULL;
    r->is_bad |= m->oids == NULL;
}

static void
read_change(struct reading *r, struct wire_logical *m, uint8_t type)
{
    m->oid = take_u32(r);
    switch (type) {
    case 'I':
        m->kind = WIRE_LOGICAL_INSERT;
        skip_row_marked(r, 'N');
        break;
    case 'U':
        m->kind = WIRE_LOGICAL_UPDATE;
        skip_old_row(r);
        skip_row_marked(r, 'N');
        break;
    default:
        m->kind = WIRE_LOGICAL_DELETE;
        r->is_bad |= !skip_old_row(r);
        break;
    }
}

static void
read_end(struct reading *r, struct wire_logical *m)
{
    m->kind = WIRE_LOGICAL_COMMIT;
    take_u8(r); /* unused */
    m->lsn = take_u64(r);
    m->end_lsn = take_u64(r);
    m->committed_us = (int64_t)take_u64(r);
}

static bool
read_message(struct reading *r, struct wire_logical *m, uint8_t type)
{
    switch (type) {
    case 'B':
        m->kind = WIRE_LOGICAL_BEGIN;
        m->lsn = take_u64(r);
        m->committed_us = (int64_t)take_u64(r);
        m->xid = take_u32(r);
        return true;
    case 'C':
        read_end(r, m);
        return true;
    case 'O':
        m->kind = WIRE_LOGICAL_ORIGIN;
        m->lsn = take_u64(r);
        m->name = take_text(r);
        return true;
    case 'R':
        read_relation(r, m);
        return true;
    case 'Y':
        m->kind = WIRE_LOGICAL_TYPE;
        m->oid = take_u32(r);
        m->schema = take_text(r);
        m->name = take_text(r);
        return true;
    case 'I':
    case 'U':
    case 'D':
        read_change(r, m, type);
        return true;
    case 'T':
        read_truncate(r, m);
        return true;
    default:
        return false;
    }
}

enum wire_result
wire_logical_parse(const uint8_t *p, size_t n, struct wire_logical *m_r, struct err *err)
{
    struct reading r = {p, p + n, false};
    uint8_t type = take_u8(&r);

    *m_r = (struct wire_logical){.kind = WIRE_LOGICAL_BEGIN};
    if (!read_message(&r, m_r, type)) {
        err_set(err, "08P01", "unexpected logical replication message of type %d", type);
        return WIRE_BAD;
    }
    if (!r.is_bad && r.at == r.end)
        return WIRE_OK;
    err_set(err, "08P01", "invalid logical replication message \"%c\"", type);
    return WIRE_BAD;
}

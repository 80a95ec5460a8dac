/*
 * The streaming replication protocol, as far as it brings logical changes: what stands in the
 * CopyData of a replication connection, the messages of the output plugin pgoutput (version 1 of
 * its protocol), and the status that is sent back.
 *
 * Pure: bytes in, facts out; nothing is copied, views point into the caller's bytes. Every length
 * is checked to the last byte: what is not whole is BAD.
 * Source: PostgreSQL's manual, chapter "Frontend/Backend Protocol", sections "Streaming
 * Replication Protocol", "Logical Streaming Replication Protocol" and "Logical Replication Message
 * Formats".
 */
#ifndef WIRE_LOGICAL_H
#define WIRE_LOGICAL_H

#include "base/buf.h"
#include "base/err.h"
#include "wire/proto.h"

/* ---- what is in a CopyData ---- */

enum wire_stream_kind {
    WIRE_STREAM_DATA,      /* XLogData: one message of the plugin */
    WIRE_STREAM_KEEPALIVE, /* everything before `end` has been sent */
};

struct wire_stream {
    enum wire_stream_kind kind;
    uint64_t start; /* of XLogData */
    uint64_t end;
    int64_t sent_us;     /* the server's clock, microseconds since 2000 */
    bool reply;          /* of a keepalive: the status is wanted at once */
    const uint8_t *data; /* of XLogData */
    size_t len;
};

/* Never MORE: a CopyData is whole. */
enum wire_result wire_stream_parse(const uint8_t *p, size_t n, struct wire_stream *s_r,
                                   struct err *err);

/* Appends a Standby status update. now_us: microseconds since 2000; reply: a keepalive is wanted.
 */
struct wire_status {
    uint64_t written;
    uint64_t flushed;
    uint64_t applied;
    int64_t now_us;
    bool reply;
};
void wire_stream_status(struct buf *out, const struct wire_status *status);

/* ---- messages of pgoutput ---- */

enum wire_logical_kind {
    WIRE_LOGICAL_BEGIN,
    WIRE_LOGICAL_COMMIT,
    WIRE_LOGICAL_ORIGIN,
    WIRE_LOGICAL_RELATION,
    WIRE_LOGICAL_TYPE,
    WIRE_LOGICAL_INSERT,
    WIRE_LOGICAL_UPDATE,
    WIRE_LOGICAL_DELETE,
    WIRE_LOGICAL_TRUNCATE,
};

struct wire_logical {
    enum wire_logical_kind kind;
    uint32_t xid;            /* BEGIN */
    uint64_t lsn;            /* BEGIN: where its commit lies; COMMIT: the same; ORIGIN */
    uint64_t end_lsn;        /* COMMIT: behind it */
    int64_t committed_us;    /* BEGIN, COMMIT: the server's clock, since 2000 */
    uint32_t oid;            /* RELATION, TYPE, INSERT, UPDATE, DELETE */
    struct wire_view schema; /* RELATION, TYPE */
    struct wire_view name;   /* RELATION, TYPE, ORIGIN */
    uint16_t columns;        /* RELATION */
    uint32_t count;          /* TRUNCATE */
    const uint8_t *oids;     /* TRUNCATE: count of them, network byte order */
};

/* Reads one message, all of p. BAD also for what nobody asks for in version 1 (streamed and
 * prepared transactions, messages). */
enum wire_result wire_logical_parse(const uint8_t *p, size_t n, struct wire_logical *m_r,
                                    struct err *err);

#endif

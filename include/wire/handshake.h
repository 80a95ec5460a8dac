/*
 * What the listening side answers before a login, the same on every port of ours.
 *
 * Pure: facts in, bytes out. Source: PostgreSQL's manual, sections "Start-up", "SSL Session
 * Encryption" and "GSSAPI Session Encryption".
 */
#ifndef WIRE_HANDSHAKE_H
#define WIRE_HANDSHAKE_H

#include "base/buf.h"
#include "base/err.h"
#include "wire/proto.h"

/* Requests for encryption that one connection has made so far; all zeroes at first. */
struct wire_asked {
    bool ssl;
    bool gss;
};

/*
 * SSLRequest and GSSENCRequest where no encryption is offered: appends the letter N. -1 with err
 * when it was asked for before, or when more than the request has arrived (received_bytes, from the
 * packet's first byte on): that was sent without waiting for the answer, perhaps by somebody in
 * between.
 */
int wire_refuse_encryption(const struct wire_startup *p, size_t received_bytes,
                           struct wire_asked *asked, struct buf *out, struct err *err);

/* The same where it is accepted, once: the letter S is due, and then the handshake. */
int wire_accept_encryption(const struct wire_startup *p, size_t received_bytes,
                           struct wire_asked *asked, struct err *err);

/* The protocol that is spoken with this client. A newer minor version than ours and options of the
 * protocol, of which we know none, are answered with NegotiateProtocolVersion, appended to out. */
uint32_t wire_negotiate(const struct wire_startup *p, struct buf *out);

#endif

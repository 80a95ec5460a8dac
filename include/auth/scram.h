/*
 * SCRAM-SHA-256, the client's side: we prove a password to a server, and it proves that it has
 * the verifier.
 *
 * Source: RFC 5802, RFC 7677; PostgreSQL's manual, section "SASL Authentication". Without channel
 * binding ("n,,"). A password that is not ASCII is used as the bytes that it is, which is what
 * PostgreSQL does when a password cannot be prepared.
 */
#ifndef AUTH_SCRAM_H
#define AUTH_SCRAM_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>

enum {
    SCRAM_KEY_BYTES = 32,
    SCRAM_NONCE_BYTES = 24, /* as text: 32 */
    SCRAM_ITERATIONS_MAX = 1000000,
    SCRAM_MESSAGE_MAX = 4096,
};

struct scram {
    const char *user;     /* borrowed */
    const char *password; /* borrowed */
    char nonce[33];       /* ours, as text */
    struct buf bare;      /* client-first-message-bare */
    uint8_t server_signature[SCRAM_KEY_BYTES];
    bool proved;   /* we sent our proof */
    bool verified; /* the server's signature was right */
};

/* user may be "": PostgreSQL takes the name from the startup packet. nonce NULL: random. */
int scram_init(struct scram *s, const char *user, const char *password, const char *nonce,
               struct err *err);
void scram_fini(struct scram *s);

/* client-first-message, then client-final-message for the server's first, then the check of the
 * server's last. Each appends to out what is to be sent. */
void scram_first(struct scram *s, struct buf *out);
int scram_final(struct scram *s, const char *server_first, size_t len, struct buf *out,
                struct err *err);
int scram_verify(struct scram *s, const char *server_final, size_t len, struct err *err);

#endif

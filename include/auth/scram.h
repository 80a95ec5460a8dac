/*
 * SCRAM-SHA-256, the client's side: we prove a password or its keys to a server, and it proves that
 * it has the verifier.
 *
 * Source: RFC 5802, RFC 7677, RFC 5929; PostgreSQL's manual, section "SASL Authentication".
 */
#ifndef AUTH_SCRAM_H
#define AUTH_SCRAM_H

#include "auth/credentials.h"

enum {
    SCRAM_NONCE_BYTES = 24,   /* as text: 32 */
    SCRAM_MESSAGE_MAX = 4096, /* of a server's */
};

struct scram {
    const char *user;                      /* borrowed */
    const struct credentials *credentials; /* borrowed */
    struct scram_binding binding;
    char nonce[33];  /* ours, as text */
    struct buf bare; /* client-first-message-bare */
    uint8_t server_signature[SCRAM_KEY_BYTES];
    bool proved;   /* we sent our proof */
    bool verified; /* the server's signature was right */
};

/* user may be "": PostgreSQL takes the name from the startup packet. nonce NULL: random. */
int scram_init(struct scram *s, const char *user, const struct credentials *credentials,
               const char *nonce, struct err *err);
void scram_fini(struct scram *s);

/* Before scram_first; without it there is nothing to bind to. Copied. */
void scram_bind(struct scram *s, const struct scram_binding *binding);

/* client-first-message, then client-final-message for the server's first, then the check of the
 * server's last. Each appends to out what is to be sent. */
void scram_first(struct scram *s, struct buf *out);
int scram_final(struct scram *s, const char *server_first, size_t len, struct buf *out,
                struct err *err);
int scram_verify(struct scram *s, const char *server_final, size_t len, struct err *err);

#endif

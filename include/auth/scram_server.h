/*
 * SCRAM-SHA-256, the server's side: a client proves a password of which we have only the verifier.
 *
 * Source: RFC 5802, RFC 7677, RFC 5929; PostgreSQL's manual, section "SASL Authentication". The
 * name in the client's message counts for nothing: the startup packet has named the user.
 */
#ifndef AUTH_SCRAM_SERVER_H
#define AUTH_SCRAM_SERVER_H

#include "auth/scram.h"

enum { SCRAM_CLIENT_MESSAGE_MAX = 1024 }; /* as PostgreSQL's */

struct scram_server {
    const struct scram_verifier *verifier; /* borrowed */
    const struct scram_binding *binding;   /* borrowed */
    struct buf nonce;                      /* the client's and ours */
    struct buf message;                    /* what is signed, as far as it is known */
    struct buf header;                     /* base64 of the client's GS2 header and the binding */
    uint8_t client_key[SCRAM_KEY_BYTES];   /* of a client whose proof was right: it logs us in to
                                            * servers, too */
};

/* The binding's state is what the client chose: SCRAM_BINDABLE when SCRAM-SHA-256-PLUS was offered,
 * and it took the other. */
void scram_server_init(struct scram_server *s, const struct scram_verifier *verifier,
                       const struct scram_binding *binding);

/* Wipes the key. */
void scram_server_fini(struct scram_server *s);

/* For the client's first message: appends the answer. nonce: our part of the nonce, for tests;
 * NULL: a random one. -1: 08P01, 0A000, or 28000 when a client was told that we cannot bind. */
int scram_server_first(struct scram_server *s, const struct buf *client_first, const char *nonce,
                       struct buf *out, struct err *err);

/* For its last one. *right_r: it knows the password; then our signature is appended. -1: 08P01, or
 * 28000 when it is bound to another TLS connection than this one. */
int scram_server_final(struct scram_server *s, const struct buf *client_final, struct buf *out,
                       bool *right_r, struct err *err);

#endif

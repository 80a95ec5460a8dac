/*
 * SCRAM-SHA-256, the server's side: a client proves a password of which we have only the verifier.
 *
 * Source: RFC 5802, RFC 7677; PostgreSQL's manual, section "SASL Authentication". Without channel
 * binding. The name in the client's message counts for nothing: the startup packet has named the
 * user.
 */
#ifndef AUTH_SCRAM_SERVER_H
#define AUTH_SCRAM_SERVER_H

#include "auth/scram.h"

enum { SCRAM_SALT_MAX = 64 };

struct scram_verifier {
    uint32_t iterations;
    uint32_t salt_len;
    uint8_t salt[SCRAM_SALT_MAX];
    uint8_t stored_key[SCRAM_KEY_BYTES];
    uint8_t server_key[SCRAM_KEY_BYTES];
};

/* PostgreSQL's form: SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>. -1 with F0000. */
int scram_verifier_parse(const char *text, size_t len, struct scram_verifier *v_r, struct err *err);

struct scram_server {
    const struct scram_verifier *verifier; /* borrowed */
    struct buf nonce;                      /* the client's and ours */
    struct buf message;                    /* what is signed, as far as it is known */
    char header[8];                        /* base64 of the client's GS2 header */
};

void scram_server_init(struct scram_server *s, const struct scram_verifier *verifier);
void scram_server_fini(struct scram_server *s);

/* For the client's first message: appends the answer. nonce: our part of the nonce, for tests;
 * NULL: a random one. -1: 08P01 or 0A000. */
int scram_server_first(struct scram_server *s, const struct buf *client_first, const char *nonce,
                       struct buf *out, struct err *err);

/* For its last one. *right_r: it knows the password; then our signature is appended. -1: 08P01. */
int scram_server_final(struct scram_server *s, const struct buf *client_final, struct buf *out,
                       bool *right_r, struct err *err);

#endif

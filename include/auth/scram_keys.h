/*
 * The keys of SCRAM-SHA-256: what both sides derive from a password, and what a server keeps of it.
 *
 * Source: RFC 5802, section 3; RFC 7677; PostgreSQL's manual, "SASL Authentication" and
 * "pg_authid".
 */
#ifndef AUTH_SCRAM_KEYS_H
#define AUTH_SCRAM_KEYS_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SCRAM_KEY_BYTES = 32,
    SCRAM_SALT_MAX = 64,     /* PostgreSQL makes salts of 16 bytes */
    SCRAM_ITERATIONS = 4096, /* where we choose; PostgreSQL's default */

    /* What we derive a key with. The derivation runs in an event loop and keeps everybody else in
     * the process waiting: 4,096 iterations, PostgreSQL's default, take about a millisecond, these
     * some tens. Whatever is derived is remembered (auth/credentials.h); and with keys that a
     * client has proved nothing is derived, and there is no bound. */
    SCRAM_DERIVE_MAX = 100000,
};

struct scram_keys {
    uint32_t iterations;
    uint32_t salt_len;
    uint8_t salt[SCRAM_SALT_MAX];
    uint8_t client_key[SCRAM_KEY_BYTES];
    uint8_t server_key[SCRAM_KEY_BYTES];
};

/* Fills in the two keys from salt and iterations, which stand in *keys_io. The password is prepared
 * (auth/saslprep.h). -1: more iterations than SCRAM_DERIVE_MAX (0A000), or OpenSSL fails. */
int scram_derive(const char *password, struct scram_keys *keys_io, struct err *err);

struct scram_verifier {
    uint32_t iterations;
    uint32_t salt_len;
    uint8_t salt[SCRAM_SALT_MAX];
    uint8_t stored_key[SCRAM_KEY_BYTES];
    uint8_t server_key[SCRAM_KEY_BYTES];
};

/* PostgreSQL's form: SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>. -1 with F0000. */
int scram_verifier_parse(const char *text, size_t len, struct scram_verifier *v_r, struct err *err);

/* Appends that form. */
void scram_verifier_text(const struct scram_verifier *v, struct buf *out);

/* False when OpenSSL cannot. */
bool scram_verifier_of(const struct scram_keys *keys, struct scram_verifier *v_r);

/* tls-server-end-point, RFC 5929: a hash of the certificate of the side that accepts. */
enum scram_bind {
    SCRAM_UNBOUND,  /* there is nothing to bind to: no TLS, or a certificate without such a hash */
    SCRAM_BINDABLE, /* there is, but the client chose, or the server offers, plain SCRAM-SHA-256 */
    SCRAM_BOUND,    /* SCRAM-SHA-256-PLUS */
};

enum { SCRAM_BINDING_MAX = 64 };

struct scram_binding {
    enum scram_bind state;
    uint32_t len;
    uint8_t data[SCRAM_BINDING_MAX];
};

/* data NULL, len 0 or longer than SCRAM_BINDING_MAX: SCRAM_UNBOUND; else SCRAM_BINDABLE. */
void scram_binding_set(struct scram_binding *b, const uint8_t *data, size_t len);

#endif

/*
 * Authorities, certificates and keys for tests, made in memory.
 */
#ifndef UNIT_OS_TLS_BED_H
#define UNIT_OS_TLS_BED_H

#include "io_bed.h"

#include "base/buf.h"
#include "os/tls.h"

#include <openssl/x509.h>

/* A certificate with its key, and both as PEM. */
struct identity {
    X509 *certificate;
    EVP_PKEY *key;
    struct buf cert_pem;
    struct buf key_pem;
};

struct wish {
    const char *common_name;
    const char *dns;     /* NULL: none */
    const char *address; /* the same */
    int from_days;       /* from now */
    int until_days;
    long serial;
};

/* issuer NULL: signs itself, as an authority. */
void identity_make(struct identity *i, const struct identity *issuer, const struct wish *wish);
void identity_free(struct identity *i);

/* The authority's list of revoked serial numbers, ending in 0. */
void make_crl(const struct identity *authority, const long *serials, struct buf *pem);

/* The key, protected. */
void encrypt_key(const struct identity *i, const char *passphrase, struct buf *pem);

struct tls_text text_of(const struct buf *b);

/* ---- what the tests use ---- */

struct identities {
    struct identity authority;
    struct identity stranger; /* another authority */
    struct identity server;   /* db.example, 127.0.0.1 */
    struct identity client;   /* alice, serial 5 */
    struct identity expired;
    struct tls_tickets tickets;
};
struct identities *ids(void);
void identities_make(void);
void identities_free(void);

struct tls_context *tls_make(const struct tls_options *o);
struct tls_options accepting(void);
struct tls_options connecting(void);
struct tls_options with_identity(struct tls_options o, const struct identity *i);

/* Two streams that are each other's peer. */
struct pair {
    struct tape accepts;
    struct tape connects;
};

void pair_open(struct bed *bed, struct pair *p);
void pair_start(struct pair *p, const struct tls_options *accepts,
                const struct tls_options *connects, const char *host);
/* Opens, and has both secured. */
void pair_secure(struct bed *bed, struct pair *p, const struct tls_options *accepts,
                 const struct tls_options *connects);
void pair_fini(struct bed *bed, struct pair *p);

#endif

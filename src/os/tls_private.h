/*
 * What tls.c (contexts), tls_cert.c (certificates) and io_tls.c (streams) share. Nobody else
 * includes it.
 */
#ifndef OS_TLS_PRIVATE_H
#define OS_TLS_PRIVATE_H

#include "os/tls.h"

#include <openssl/ssl.h>

struct tls_context {
    uint32_t refs;
    SSL_CTX *ssl;
    bool connects;
    enum tls_verify verify;
    struct tls_tickets *tickets;
    uint8_t binding[EVP_MAX_MD_SIZE]; /* of our own certificate */
    size_t binding_len;
};

/* Facts, and what they point to. */
struct tls_known {
    struct tls_facts facts;
    char *common_name;
    char *dn;
    uint8_t binding[EVP_MAX_MD_SIZE];
};

/* The newest of OpenSSL's complaints, in words; forgets all of them. */
const char *tls_reason(void);

/* tls-server-end-point of a certificate; len 0: there is none. */
void tls_binding(X509 *certificate, uint8_t *binding_r, size_t *len_r);

/* All certificates, or revocations, of a text; -1 when there is none or one is faulty. */
int tls_add_authorities(X509_STORE *store, STACK_OF(X509_NAME) * names, struct tls_text text);
int tls_add_revocations(X509_STORE *store, struct tls_text text);

/* As libpq compares: addresses and names of the certificate, its common name where there is no
 * such name. */
bool tls_names_host(X509 *certificate, const char *host);
bool tls_is_address(const char *host);

/* After the handshake. */
void tls_learn(SSL *ssl, const struct tls_context *context, struct tls_known *k);
void tls_forget(struct tls_known *k);

/* direct: the client has to agree on the protocol. NULL: out of memory. */
SSL *tls_connection(struct tls_context *context, bool direct);

#endif

/*
 * TLS of streams (os/io.h): contexts, made once from certificates and keys, and what is known of
 * one connection.
 *
 * A context is of one side: it accepts (for our clients) or connects (to servers). It is immutable
 * and reference-counted; streams keep the one that they began with, so that another one may take
 * its place at any time. Everything is made from texts in memory: but for
 * tls_read_directory nothing here reads a file, and no call does anything but compute.
 * Sources: PostgreSQL's manual, sections "Secure TCP/IP Connections with SSL", "SSL Support"
 * (libpq) and "SSL Session Encryption" (protocol); RFC 5929 for the binding, RFC 5077 and 8446 for
 * tickets, RFC 7301 for ALPN.
 */
#ifndef OS_TLS_H
#define OS_TLS_H

#include "base/err.h"
#include "base/util.h"

#include <stdatomic.h>
#include <stdbool.h>

struct tls_context;

/* As OpenSSL numbers them; 0: whatever OpenSSL offers. */
enum tls_version { TLS_ANY = 0, TLS_1_0 = 0x301, TLS_1_1, TLS_1_2, TLS_1_3 };

enum tls_verify {
    TLS_VERIFY_NONE, /* takes any certificate */
    TLS_VERIFY_CA,   /* one of a trusted authority */
    TLS_VERIFY_FULL, /* and it names the host that was asked for */
};

/* PEM, or what it stands for. len 0: none. */
struct tls_text {
    const char *data;
    size_t len;
};

/* Tickets with which clients resume their sessions. The struct lies in memory that all processes
 * share, which must be zeroed at first: one of them changes the key, all use it. */
enum { TLS_TICKET_KEYS = 2, TLS_TICKET_KEY_BYTES = 80 };
struct tls_tickets {
    _Atomic uint32_t current; /* number of the newest key, 0: none; it lies in current % keys */
    uint8_t keys[TLS_TICKET_KEYS][TLS_TICKET_KEY_BYTES];
};
/* A new key, in place of the one before the last. Tickets of the last one are still taken. */
int tls_tickets_renew(struct tls_tickets *t, struct err *err);

struct tls_options {
    bool connects;           /* to servers; false: accepts clients */
    struct tls_text cert;    /* our certificate, and those between it and the authority */
    struct tls_text key;     /* its private key, not encrypted */
    struct tls_text ca;      /* trusted authorities; accepting: clients are asked for theirs */
    struct tls_text crl;     /* revoked certificates */
    struct tls_text dh;      /* parameters; none: OpenSSL's */
    const char *ciphers;     /* TLS 1.2 and below; NULL or "": OpenSSL's */
    const char *ciphers_1_3; /* the same, for TLS 1.3 */
    const char *curves;      /* names with ":" between; NULL or "": OpenSSL's */
    enum tls_version min_version;
    enum tls_version max_version;
    enum tls_verify verify;      /* connecting only */
    bool prefers_own_ciphers;    /* accepting only */
    struct tls_tickets *tickets; /* accepting only; NULL: sessions are not resumed */
};

/* Nothing of the options is kept but the tickets, which must outlive the context. -1: err says
 * which of them is faulty. The caller holds the only reference. */
int tls_context_new(const struct tls_options *o, struct tls_context **context_r, struct err *err);
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context); /* NULL is allowed */

/* What is wrong with the certificate now, such as that it has expired; false: nothing. */
bool tls_context_warns(const struct tls_context *context, struct err *warning_r);

/* The private key as a text that is not encrypted; out is wiped by the caller. The passphrase may
 * be NULL. */
struct buf;
int tls_decrypt_key(struct tls_text key, const char *passphrase, struct buf *out, struct err *err);
bool tls_key_is_encrypted(struct tls_text key);

/* Adds the certificates and revocation lists of a directory as "openssl rehash" makes it. Blocks on
 * the disk. More than `limit` bytes of either are an error. */
struct tls_found {
    struct buf *authorities;
    struct buf *revocations;
};
int tls_read_directory(const char *path, size_t limit, struct tls_found *found, struct err *err);

/* Of one connection, from `secured` on. */
struct tls_facts {
    const char *version; /* "TLSv1.3" */
    const char *cipher;  /* OpenSSL's name */
    int bits;            /* of its key */
    bool resumed;
    bool alpn;               /* "postgresql" was agreed upon */
    bool peer_present;       /* the other side has shown a certificate */
    bool peer_verified;      /* and a trusted authority stands for it */
    const char *common_name; /* of the peer's certificate; NULL: it has none that can be believed
                              * (zero bytes in it) */
    const char *dn;          /* RFC 2253; NULL: as above */
    /* tls-server-end-point: of our certificate on the accepting side, of the peer's on the
     * connecting one; len 0: it has none (RFC 5929, 4.1). */
    const uint8_t *binding;
    size_t binding_len;
};

#endif

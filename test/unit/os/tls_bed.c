/*
 * Authorities, certificates and keys for tests; see tls_bed.h.
 */
#include "tls_bed.h"
#include "io_bed.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAY_S = 86400 };

static void
take_pem(BIO *bio, struct buf *out)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);

    buf_add(out, data, (size_t)len);
    BIO_free(bio);
}

static void
extend(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

void
identity_make(struct identity *i, const struct identity *issuer, const struct wish *wish)
{
    X509_NAME *name;
    char names[200];
    BIO *bio;

    *i = (struct identity){.certificate = X509_new(), .key = EVP_EC_gen("P-256")};
    assert_non_null(i->key);
    X509_set_version(i->certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(i->certificate), wish->serial);
    X509_gmtime_adj(X509_getm_notBefore(i->certificate), (long)wish->from_days * DAY_S);
    X509_gmtime_adj(X509_getm_notAfter(i->certificate), (long)wish->until_days * DAY_S);
    X509_set_pubkey(i->certificate, i->key);
    name = X509_get_subject_name(i->certificate);
    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)wish->common_name,
                               -1, -1, 0);
    X509_set_issuer_name(i->certificate,
                         issuer == NULL ? name : X509_get_subject_name(issuer->certificate));
    if (issuer == NULL) {
        extend(i->certificate, NID_basic_constraints, "critical,CA:TRUE");
        extend(i->certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
    }
    if (wish->dns != NULL || wish->address != NULL) {
        snprintf(names, sizeof(names), "%s%s%s%s%s", wish->dns != NULL ? "DNS:" : "",
                 wish->dns != NULL ? wish->dns : "",
                 wish->dns != NULL && wish->address != NULL ? "," : "",
                 wish->address != NULL ? "IP:" : "", wish->address != NULL ? wish->address : "");
        extend(i->certificate, NID_subject_alt_name, names);
    }
    assert_true(X509_sign(i->certificate, issuer == NULL ? i->key : issuer->key, EVP_sha256()) > 0);
    bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509(bio, i->certificate), 1);
    take_pem(bio, &i->cert_pem);
    bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(bio, i->key, NULL, NULL, 0, NULL, NULL), 1);
    take_pem(bio, &i->key_pem);
}

void
identity_free(struct identity *i)
{
    X509_free(i->certificate);
    EVP_PKEY_free(i->key);
    buf_free(&i->cert_pem);
    buf_free(&i->key_pem);
}

void
make_crl(const struct identity *issuer, const long *serials, struct buf *pem)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *now = X509_gmtime_adj(NULL, 0);
    ASN1_TIME *next = X509_gmtime_adj(NULL, 30L * DAY_S);
    BIO *bio = BIO_new(BIO_s_mem());

    X509_CRL_set_version(crl, 1);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->certificate));
    X509_CRL_set1_lastUpdate(crl, now);
    X509_CRL_set1_nextUpdate(crl, next);
    for (; *serials != 0; serials++) {
        X509_REVOKED *revoked = X509_REVOKED_new();
        ASN1_INTEGER *number = ASN1_INTEGER_new();

        ASN1_INTEGER_set(number, *serials);
        X509_REVOKED_set_serialNumber(revoked, number);
        X509_REVOKED_set_revocationDate(revoked, now);
        X509_CRL_add0_revoked(crl, revoked);
        ASN1_INTEGER_free(number);
    }
    X509_CRL_sort(crl);
    assert_true(X509_CRL_sign(crl, issuer->key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509_CRL(bio, crl), 1);
    take_pem(bio, pem);
    ASN1_TIME_free(now);
    ASN1_TIME_free(next);
    X509_CRL_free(crl);
}

void
encrypt_key(const struct identity *i, const char *passphrase, struct buf *pem)
{
    BIO *bio = BIO_new(BIO_s_mem());

    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, i->key, EVP_aes_128_cbc(), passphrase,
                                                   (int)strlen(passphrase), NULL, NULL),
                     1);
    take_pem(bio, pem);
}

struct tls_text
text_of(const struct buf *b)
{
    return (struct tls_text){(const char *)b->data, b->len};
}

/* ---- what the tests use ---- */

struct identity stranger; /* another authority */
static struct identities all;

struct identities *
ids(void)
{
    return &all;
}

struct tls_context *
tls_make(const struct tls_options *o)
{
    struct tls_context *c;
    struct err err;

    if (tls_context_new(o, &c, &err) != 0)
        fail_msg("%s", err.message);
    return c;
}

struct tls_options
accepting(void)
{
    return (struct tls_options){.cert = text_of(&ids()->server.cert_pem),
                                .key = text_of(&ids()->server.key_pem),
                                .min_version = TLS_1_2,
                                .tickets = &ids()->tickets};
}

struct tls_options
connecting(void)
{
    return (struct tls_options){.connects = true,
                                .ca = text_of(&ids()->authority.cert_pem),
                                .min_version = TLS_1_2,
                                .verify = TLS_VERIFY_CA};
}

struct tls_options
with_identity(struct tls_options o, const struct identity *i)
{
    o.cert = text_of(&i->cert_pem);
    o.key = text_of(&i->key_pem);
    return o;
}

/* ---- pairs ---- */

void
pair_open(struct bed *bed, struct pair *p)
{
    int fds[2];

    *p = (struct pair){0};
    if (bed->io == NULL)
        skip();
    socket_pair(false, fds);
    p->accepts.bed = p->connects.bed = bed;
    p->accepts.stream = io_stream_open(bed->io, fds[0], &tape_ops, &p->accepts);
    p->connects.stream = io_stream_open(bed->io, fds[1], &tape_ops, &p->connects);
}

void
pair_start(struct pair *p, const struct tls_options *accepts, const struct tls_options *connects,
           const char *host)
{
    struct tls_context *a = tls_make(accepts);
    struct tls_context *c = tls_make(connects);

    io_stream_start_tls(p->accepts.stream, a, NULL);
    io_stream_start_tls(p->connects.stream, c, host);
    tls_context_unref(a); /* the streams have theirs */
    tls_context_unref(c);
}

static bool
both_told(void *ctx)
{
    const struct pair *p = ctx;

    return p->accepts.secured > 0 && p->connects.secured > 0;
}

void
pair_secure(struct bed *bed, struct pair *p, const struct tls_options *accepts,
            const struct tls_options *connects)
{
    pair_open(bed, p);
    pair_start(p, accepts, connects, "db.example");
    bed_until(bed, both_told, p);
    assert_string_equal(p->accepts.secure_error.message, "");
    assert_string_equal(p->connects.secure_error.message, "");
}

void
pair_fini(struct bed *bed, struct pair *p)
{
    tape_fini(&p->accepts);
    tape_fini(&p->connects);
    bed_until_empty(bed);
}

void
identities_make(void)
{
    const struct wish root = {"root", NULL, NULL, -1, 100, 1};
    const struct wish other = {"other root", NULL, NULL, -1, 100, 2};
    const struct wish db = {"db", "db.example", "127.0.0.1", -1, 100, 3};
    const struct wish alice = {"alice", NULL, NULL, -1, 100, 5};
    const struct wish old = {"old", "db.example", NULL, -10, -1, 6};
    struct err err;

    identity_make(&ids()->authority, NULL, &root);
    identity_make(&ids()->stranger, NULL, &other);
    identity_make(&ids()->server, &ids()->authority, &db);
    identity_make(&ids()->client, &ids()->authority, &alice);
    identity_make(&ids()->expired, &ids()->authority, &old);
    if (tls_tickets_renew(&ids()->tickets, &err) != 0)
        abort();
}

void
identities_free(void)
{
    identity_free(&ids()->authority);
    identity_free(&ids()->stranger);
    identity_free(&ids()->server);
    identity_free(&ids()->client);
    identity_free(&ids()->expired);
}

/*
 * Certificates: what they say, whom they name, who stands for them.
 *
 * Called by tls.c when a context is made and by io_tls.c when a handshake has ended. Pure: no
 * file is read and no name is resolved here.
 */
#include "base/arena.h"
#include "tls_private.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 1024 };

/* ---- authorities and revocations ---- */

/* A text ends with "there is no further one", and with nothing else. */
static bool
ended_well(void)
{
    unsigned long last = ERR_peek_last_error();
    bool well = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;

    if (well)
        ERR_clear_error();
    return well;
}

int
tls_add_authorities(X509_STORE *store, STACK_OF(X509_NAME) * names, struct tls_text text)
{
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    X509 *certificate;
    int count = 0;
    bool good = bio != NULL;

    while (good && (certificate = PEM_read_bio_X509_AUX(bio, NULL, NULL, "")) != NULL) {
        good = X509_STORE_add_cert(store, certificate) == 1;
        if (good && names != NULL) {
            X509_NAME *name = X509_NAME_dup(X509_get_subject_name(certificate));

            good = name != NULL && sk_X509_NAME_push(names, name) > 0;
        }
        X509_free(certificate);
        count++;
    }
    BIO_free(bio);
    return good && ended_well() && count > 0 ? 0 : -1;
}

int
tls_add_revocations(X509_STORE *store, struct tls_text text)
{
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    X509_CRL *crl;
    int count = 0;
    bool good = bio != NULL;

    while (good && (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, "")) != NULL) {
        good = X509_STORE_add_crl(store, crl) == 1;
        X509_CRL_free(crl);
        count++;
    }
    BIO_free(bio);
    if (!good || !ended_well() || count == 0)
        return -1;
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return 0;
}

/* ---- names ---- */

bool
tls_is_address(const char *host)
{
    uint8_t address[16];

    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

bool
tls_names_host(X509 *certificate, const char *host)
{
    if (!tls_is_address(host))
        return X509_check_host(certificate, host, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) ==
               1;
    return X509_check_ip_asc(certificate, host, 0) == 1 ||
           X509_check_host(certificate, host, 0, X509_CHECK_FLAG_NO_WILDCARDS, NULL) == 1;
}

/* NULL: there is none, or it has a zero byte inside, behind which somebody may have hidden the
 * rest. */
static char *
common_name_of(const X509_NAME *name)
{
    char text[NAME_BYTES];
    int len = X509_NAME_get_text_by_NID(name, NID_commonName, text, sizeof(text));

    if (len <= 0 || len >= (int)sizeof(text) - 1 || strlen(text) != (size_t)len)
        return NULL;
    return xstrdup(text);
}

static char *
dn_of(const X509_NAME *name)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    char *data = NULL;
    long len;

    if (bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
        len = BIO_get_mem_data(bio, &data);
        if (len > 0 && memchr(data, '\0', (size_t)len) == NULL) {
            text = xmalloc((size_t)len + 1);
            memcpy(text, data, (size_t)len);
            text[len] = '\0';
        }
    }
    BIO_free(bio);
    return text;
}

/* ---- binding ---- */

/* Hash of the certificate by its signature's hash function, by SHA-256 where that is MD5 or SHA-1.
 * A signature without such a function has none (RFC 5929). */
void
tls_binding(X509 *certificate, uint8_t *binding_r, size_t *len_r)
{
    unsigned len = 0;
    int digest = NID_undef;
    const EVP_MD *md;

    *len_r = 0;
    if (certificate == NULL ||
        X509_get_signature_info(certificate, &digest, NULL, NULL, NULL) != 1 || digest == NID_undef)
        return;
    md = digest == NID_md5 || digest == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(digest);
    if (md != NULL && X509_digest(certificate, md, binding_r, &len) == 1)
        *len_r = len;
}

/* ---- facts ---- */

static void
learn_peer(SSL *ssl, const struct tls_context *context, struct tls_known *k)
{
    X509 *peer = SSL_get0_peer_certificate(ssl);
    const X509_NAME *name;

    if (peer == NULL)
        return;
    k->facts.peer_present = true;
    k->facts.peer_verified =
        SSL_get_verify_result(ssl) == X509_V_OK && SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE;
    if (context->connects) {
        tls_binding(peer, k->binding, &k->facts.binding_len);
        k->facts.binding = k->binding;
        return; /* nobody asks for a server's names */
    }
    name = X509_get_subject_name(peer);
    k->facts.common_name = k->common_name = common_name_of(name);
    k->facts.dn = k->dn = dn_of(name);
}

void
tls_learn(SSL *ssl, const struct tls_context *context, struct tls_known *k)
{
    const unsigned char *protocol;
    unsigned len;

    k->facts.version = SSL_get_version(ssl);
    k->facts.cipher = SSL_get_cipher_name(ssl);
    k->facts.bits = SSL_get_cipher_bits(ssl, NULL);
    k->facts.resumed = SSL_session_reused(ssl) == 1;
    SSL_get0_alpn_selected(ssl, &protocol, &len);
    k->facts.alpn = len > 0;
    if (!context->connects) {
        k->facts.binding = context->binding;
        k->facts.binding_len = context->binding_len;
    }
    learn_peer(ssl, context, k);
    ERR_clear_error();
}

void
tls_forget(struct tls_known *k)
{
    free(k->common_name);
    free(k->dn);
}

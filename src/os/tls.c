/*
 * TLS contexts: from certificates, keys and options to what OpenSSL makes connections from.
 *
 * Called by proc/ (which reads the files) and by io_tls.c (which drives the connections). Nothing
 * is looked up later: every text is in memory, so that no handshake reads a file. Renegotiation,
 * compression and early data are off; sessions are resumed by tickets alone, and never those in
 * which a client has shown a certificate, since nobody would look again whether that one has been
 * revoked meanwhile.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "os/random.h"
#include "tls_private.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum { TICKET_LIFE_S = 7200, NAME_LEN = 16, MAC_KEY_LEN = 32, CIPHER_KEY_LEN = 32 };

_Static_assert((int)TLS_TICKET_KEY_BYTES == (int)NAME_LEN + MAC_KEY_LEN + CIPHER_KEY_LEN,
               "a ticket key is a name and two keys");

static const unsigned char protocols[] = "\012postgresql";

const char *
tls_reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *words = ERR_reason_error_string(code);

    ERR_clear_error();
    return words != NULL ? words : "OpenSSL does not say why";
}

/* ---- ALPN ---- */

static int
choose_protocol(SSL *ssl UNUSED, const unsigned char **out, unsigned char *out_len,
                const unsigned char *in, unsigned in_len, void *arg UNUSED)
{
    unsigned char *chosen;

    if (SSL_select_next_proto(&chosen, out_len, protocols, sizeof(protocols) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* Who begins with TLS at once must say what it wants to speak: it could have been led here from
 * another protocol. */
static int
client_said_hello(SSL *ssl, int *alert, void *arg UNUSED)
{
    const unsigned char *extension;
    size_t len;

    if (SSL_get_app_data(ssl) == NULL ||
        SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation,
                                  &extension, &len) == 1)
        return SSL_CLIENT_HELLO_SUCCESS;
    *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
    ERR_raise(ERR_LIB_SSL, SSL_R_NO_APPLICATION_PROTOCOL);
    return SSL_CLIENT_HELLO_ERROR;
}

/* ---- tickets ---- */

int
tls_tickets_renew(struct tls_tickets *t, struct err *err)
{
    uint32_t next = atomic_load(&t->current) + 1;

    next += next == 0;
    if (random_bytes(t->keys[next % TLS_TICKET_KEYS], TLS_TICKET_KEY_BYTES, err) != 0)
        return -1;
    atomic_store(&t->current, next);
    return 0;
}

static bool
find_ticket_key(const struct tls_tickets *t, const unsigned char *name, uint8_t *key_r,
                bool *newest_r)
{
    uint32_t current = atomic_load(&((struct tls_tickets *)(uintptr_t)t)->current);

    for (uint32_t age = 0; age < TLS_TICKET_KEYS && age < current; age++) {
        memcpy(key_r, t->keys[(current - age) % TLS_TICKET_KEYS], TLS_TICKET_KEY_BYTES);
        *newest_r = age == 0;
        if (name == NULL || CRYPTO_memcmp(name, key_r, NAME_LEN) == 0)
            return true;
    }
    return false;
}

static int
use_ticket_key(const uint8_t *key, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
               int sealing)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)(key + NAME_LEN),
                                          MAC_KEY_LEN),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };

    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key + NAME_LEN + MAC_KEY_LEN, iv,
                             sealing) == 1 &&
           EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* OpenSSL's words: -1 failed, 0 no such key, 1 good, 2 good and a new ticket is due. */
static int
ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
           EVP_MAC_CTX *mac, int sealing)
{
    const struct tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    uint8_t key[TLS_TICKET_KEY_BYTES];
    bool newest = false;
    int result = 0;

    if (find_ticket_key(context->tickets, sealing ? NULL : name, key, &newest)) {
        if (sealing)
            memcpy(name, key, NAME_LEN);
        result = newest ? 1 : 2;
        if ((sealing && RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) ||
            !use_ticket_key(key, iv, cipher, mac, sealing))
            result = -1;
    }
    OPENSSL_cleanse(key, sizeof(key));
    return result;
}

static SSL_TICKET_RETURN
judge_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name UNUSED,
             size_t name_len UNUSED, SSL_TICKET_STATUS status, void *arg UNUSED)
{
    switch (status) {
    case SSL_TICKET_SUCCESS:
    case SSL_TICKET_SUCCESS_RENEW:
        if (session != NULL && SSL_SESSION_get0_peer(session) != NULL)
            return SSL_TICKET_RETURN_IGNORE_RENEW;
        /* with TLS 1.3 a client uses each ticket once */
        return status == SSL_TICKET_SUCCESS && SSL_version(ssl) < TLS1_3_VERSION
                   ? SSL_TICKET_RETURN_USE
                   : SSL_TICKET_RETURN_USE_RENEW;
    case SSL_TICKET_EMPTY:
    case SSL_TICKET_NO_DECRYPT:
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    default:
        return SSL_TICKET_RETURN_ABORT;
    }
}

/* A session is resumed only where it could have begun. */
static bool
set_session_scope(SSL_CTX *ssl, const struct tls_options *o)
{
    const struct tls_text *parts[] = {&o->cert, &o->ca, &o->crl};
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    bool good = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;

    for (size_t n = 0; good && n < ARRAY_LEN(parts); n++)
        good = EVP_DigestUpdate(md, &parts[n]->len, sizeof(parts[n]->len)) == 1 &&
               EVP_DigestUpdate(md, parts[n]->data, parts[n]->len) == 1;
    good = good && EVP_DigestFinal_ex(md, hash, &len) == 1 &&
           SSL_CTX_set_session_id_context(ssl, hash, MIN(len, 32U)) == 1;
    EVP_MD_CTX_free(md);
    return good;
}

static int
set_tickets(struct tls_context *c, const struct tls_options *o, struct err *err)
{
    SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
    if (o->tickets == NULL) {
        SSL_CTX_set_options(c->ssl, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(c->ssl, 0);
        return 0;
    }
    c->tickets = o->tickets;
    if (!set_session_scope(c->ssl, o) || SSL_CTX_set_num_tickets(c->ssl, 1) != 1 ||
        SSL_CTX_set_tlsext_ticket_key_evp_cb(c->ssl, ticket_key) != 1 ||
        SSL_CTX_set_session_ticket_cb(c->ssl, NULL, judge_ticket, NULL) != 1)
        return err_set(err, NULL, "could not set up TLS session tickets: %s", tls_reason());
    SSL_CTX_set_timeout(c->ssl, TICKET_LIFE_S);
    return 0;
}

/* ---- certificate and key ---- */

/* Without it OpenSSL would ask the terminal. */
static int
no_passphrase(char *buf UNUSED, int size UNUSED, int writing UNUSED, void *arg UNUSED)
{
    return -1;
}

static EVP_PKEY *
read_key(struct tls_text text, pem_password_cb *callback, void *arg)
{
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, callback, arg);

    BIO_free(bio);
    return key;
}

static int
use_certificates(SSL_CTX *ssl, struct tls_text text)
{
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    X509 *certificate = bio == NULL ? NULL : PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL);
    bool good = certificate != NULL && SSL_CTX_use_certificate(ssl, certificate) == 1;
    unsigned long last;

    X509_free(certificate);
    while (good && (certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
        good = SSL_CTX_add0_chain_cert(ssl, certificate) == 1;
        if (!good)
            X509_free(certificate);
    }
    BIO_free(bio);
    last = ERR_peek_last_error();
    if (good && ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE) {
        ERR_clear_error();
        return 0;
    }
    return -1;
}

static int
use_identity(struct tls_context *c, const struct tls_options *o, struct err *err)
{
    EVP_PKEY *key;
    int good;

    if (o->cert.len == 0)
        return 0;
    if (use_certificates(c->ssl, o->cert) != 0)
        return err_set(err, "F0000", "could not read the certificate: %s", tls_reason());
    if (o->key.len == 0)
        return err_set(err, "F0000", "there is no private key for the certificate");
    key = read_key(o->key, no_passphrase, NULL);
    if (key == NULL && tls_key_is_encrypted(o->key)) {
        ERR_clear_error();
        return err_set(err, "F0000", "the private key is protected by a passphrase");
    }
    if (key == NULL)
        return err_set(err, "F0000", "could not read the private key: %s", tls_reason());
    good = SSL_CTX_use_PrivateKey(c->ssl, key) == 1 && SSL_CTX_check_private_key(c->ssl) == 1;
    EVP_PKEY_free(key);
    if (!good)
        return err_set(err, "F0000", "the private key does not fit the certificate: %s",
                       tls_reason());
    tls_binding(SSL_CTX_get0_certificate(c->ssl), c->binding, &c->binding_len);
    return 0;
}

bool
tls_key_is_encrypted(struct tls_text key)
{
    return memmem(key.data, key.len, "ENCRYPTED", 9) != NULL;
}

static int
give_passphrase(char *buf, int size, int writing UNUSED, void *arg)
{
    const char *passphrase = arg;
    size_t len = passphrase == NULL ? 0 : strlen(passphrase);

    if (passphrase == NULL || len >= (size_t)size)
        return -1;
    memcpy(buf, passphrase, len);
    return (int)len;
}

int
tls_decrypt_key(struct tls_text key, const char *passphrase, struct buf *out, struct err *err)
{
    EVP_PKEY *pkey = read_key(key, give_passphrase, (void *)(uintptr_t)passphrase);
    BIO *bio = BIO_new(BIO_s_secmem());
    char *data = NULL;
    long len;
    int rc = -1;

    if (pkey != NULL && bio != NULL &&
        PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) == 1) {
        len = BIO_get_mem_data(bio, &data);
        buf_add(out, data, (size_t)len);
        rc = 0;
    } else {
        err_set(err, "F0000", "could not read the private key: %s", tls_reason());
    }
    BIO_free(bio);
    EVP_PKEY_free(pkey);
    return rc;
}

bool
tls_context_warns(const struct tls_context *context, struct err *warning_r)
{
    X509 *certificate = SSL_CTX_get0_certificate(context->ssl);

    if (certificate == NULL)
        return false;
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
        err_set(warning_r, "01000", "the certificate has expired");
        return true;
    }
    if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
        err_set(warning_r, "01000", "the certificate is not valid yet");
        return true;
    }
    return false;
}

/* ---- who is trusted ---- */

static int
set_trust(struct tls_context *c, const struct tls_options *o, struct err *err)
{
    X509_STORE *store = SSL_CTX_get_cert_store(c->ssl);
    STACK_OF(X509_NAME) *names = NULL;

    if (o->ca.len > 0) {
        names = o->connects ? NULL : sk_X509_NAME_new_null();
        if (tls_add_authorities(store, names, o->ca) != 0) {
            sk_X509_NAME_pop_free(names, X509_NAME_free);
            return err_set(err, "F0000", "could not read the certificates of authorities: %s",
                           tls_reason());
        }
        if (names != NULL)
            SSL_CTX_set_client_CA_list(c->ssl, names);
        SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER | (o->connects ? 0 : SSL_VERIFY_CLIENT_ONCE),
                           NULL);
    } else if (o->connects && o->verify != TLS_VERIFY_NONE) {
        return err_set(err, "F0000", "there is no certificate of an authority to check with");
    }
    if (o->crl.len > 0 && tls_add_revocations(store, o->crl) != 0)
        return err_set(err, "F0000", "could not read the revoked certificates: %s", tls_reason());
    return 0;
}

/* ---- ciphers and versions ---- */

static bool
is_set(const char *s)
{
    return s != NULL && s[0] != '\0';
}

static int
set_ciphers(SSL_CTX *ssl, const struct tls_options *o, struct err *err)
{
    if (SSL_CTX_set_min_proto_version(ssl, o->min_version) != 1 ||
        SSL_CTX_set_max_proto_version(ssl, o->max_version) != 1)
        return err_set(err, "F0000", "OpenSSL does not offer these TLS versions");
    if (is_set(o->ciphers) && SSL_CTX_set_cipher_list(ssl, o->ciphers) != 1)
        return err_set(err, "F0000", "could not use the ciphers \"%s\": %s", o->ciphers,
                       tls_reason());
    if (is_set(o->ciphers_1_3) && SSL_CTX_set_ciphersuites(ssl, o->ciphers_1_3) != 1)
        return err_set(err, "F0000", "could not use the TLS 1.3 ciphers \"%s\": %s", o->ciphers_1_3,
                       tls_reason());
    if (is_set(o->curves) && SSL_CTX_set1_groups_list(ssl, o->curves) != 1)
        return err_set(err, "F0000", "could not use the curves \"%s\": %s", o->curves,
                       tls_reason());
    return 0;
}

static int
set_dh(SSL_CTX *ssl, struct tls_text text, struct err *err)
{
    BIO *bio;
    EVP_PKEY *parameters;

    if (text.len == 0) {
        SSL_CTX_set_dh_auto(ssl, 1);
        return 0;
    }
    bio = BIO_new_mem_buf(text.data, (int)text.len);
    parameters = bio == NULL ? NULL : PEM_read_bio_Parameters(bio, NULL);
    BIO_free(bio);
    if (parameters != NULL && EVP_PKEY_is_a(parameters, "DH") &&
        SSL_CTX_set0_tmp_dh_pkey(ssl, parameters) == 1)
        return 0;
    EVP_PKEY_free(parameters);
    return err_set(err, "F0000", "could not use the DH parameters: %s", tls_reason());
}

/* ---- the context ---- */

static int
fill(struct tls_context *c, const struct tls_options *o, struct err *err)
{
    SSL_CTX_set_app_data(c->ssl, c);
    SSL_CTX_set_mode(c->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(c->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    if (o->prefers_own_ciphers)
        SSL_CTX_set_options(c->ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_default_passwd_cb(c->ssl, no_passphrase);
    if (set_ciphers(c->ssl, o, err) != 0 || use_identity(c, o, err) != 0 ||
        set_trust(c, o, err) != 0)
        return -1;
    if (o->connects) {
        SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
        if (SSL_CTX_set_alpn_protos(c->ssl, protocols, sizeof(protocols) - 1) != 0)
            return err_set(err, NULL, "could not set up TLS: %s", tls_reason());
        return 0;
    }
    if (o->cert.len == 0)
        return err_set(err, "F0000", "there is no certificate to show to clients");
    SSL_CTX_set_alpn_select_cb(c->ssl, choose_protocol, NULL);
    SSL_CTX_set_client_hello_cb(c->ssl, client_said_hello, NULL);
    if (set_dh(c->ssl, o->dh, err) != 0)
        return -1;
    return set_tickets(c, o, err);
}

int
tls_context_new(const struct tls_options *o, struct tls_context **context_r, struct err *err)
{
    struct tls_context *c = xcalloc(1, sizeof(*c));

    ERR_clear_error();
    c->refs = 1;
    c->connects = o->connects;
    c->verify = o->verify;
    c->ssl = SSL_CTX_new(o->connects ? TLS_client_method() : TLS_server_method());
    if (c->ssl == NULL)
        err_set(err, NULL, "could not set up TLS: %s", tls_reason());
    else if (fill(c, o, err) == 0) {
        *context_r = c;
        return 0;
    }
    tls_context_unref(c);
    return -1;
}

struct tls_context *
tls_context_ref(struct tls_context *context)
{
    context->refs++;
    return context;
}

void
tls_context_unref(struct tls_context *context)
{
    if (context == NULL || --context->refs > 0)
        return;
    SSL_CTX_free(context->ssl);
    free(context);
}

SSL *
tls_connection(struct tls_context *context, bool direct)
{
    SSL *ssl = SSL_new(context->ssl);

    if (ssl == NULL)
        return NULL;
    SSL_set_app_data(ssl, direct ? context : NULL);
    if (context->connects)
        SSL_set_connect_state(ssl);
    else
        SSL_set_accept_state(ssl);
    return ssl;
}

/*
 * SCRAM-SHA-256 as a client. Called by auth/login.
 *
 * The server is not trusted before its signature was checked: its nonce must continue ours, its
 * iteration count is bounded (it costs our processor's time), its lengths are checked.
 */
#include "auth/scram.h"

#include "auth/scram_text.h"
#include "base/num.h"
#include "base/str.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

static int
bad(struct err *err, const char *what)
{
    return err_set(err, "08P01", "the server's SCRAM message is malformed: %s", what);
}

int
scram_init(struct scram *s, const char *user, const char *password, const char *nonce,
           struct err *err)
{
    memset(s, 0, sizeof(*s));
    s->user = user;
    s->password = password;
    if (nonce != NULL)
        str_copy(s->nonce, sizeof(s->nonce), nonce);
    else if (!scram_nonce(s->nonce))
        return err_set(err, "XX000", "could not make random bytes");
    return 0;
}

void
scram_fini(struct scram *s)
{
    buf_free(&s->bare);
    OPENSSL_cleanse(s->server_signature, sizeof(s->server_signature));
}

void
scram_first(struct scram *s, struct buf *out)
{
    buf_clear(&s->bare);
    buf_printf(&s->bare, "n=%s,r=%s", s->user, s->nonce);
    buf_add_str(out, "n,,");
    buf_add(out, s->bare.data, s->bare.len);
}

struct server_first {
    const char *nonce;
    size_t nonce_len;
    uint8_t salt[SCRAM_DECODED_MAX];
    int salt_len;
    uint32_t iterations;
};

static int
read_server_first(const struct scram *s, const char *text, size_t len, struct server_first *f,
                  struct err *err)
{
    const char *at = text;
    const char *end = text + len;
    const char *value;
    char number[16];
    size_t value_len;

    if (!scram_take(&at, end, 'r', &f->nonce, &f->nonce_len))
        return bad(err, "no nonce");
    if (f->nonce_len <= strlen(s->nonce) || f->nonce_len > SCRAM_MESSAGE_MAX / 2 ||
        memcmp(f->nonce, s->nonce, strlen(s->nonce)) != 0)
        return bad(err, "its nonce does not continue ours");
    if (!scram_take(&at, end, 's', &value, &value_len))
        return bad(err, "no salt");
    f->salt_len = scram_decode(value, value_len, f->salt, sizeof(f->salt));
    if (f->salt_len <= 0)
        return bad(err, "the salt is not base64");
    if (!scram_take(&at, end, 'i', &value, &value_len) || value_len >= sizeof(number))
        return bad(err, "no iteration count");
    str_copy_n(number, sizeof(number), value, value_len);
    if (!num_parse_u32(number, &f->iterations) || f->iterations == 0 ||
        f->iterations > SCRAM_ITERATIONS_MAX)
        return bad(err, "the iteration count is out of range");
    return at == end ? 0 : bad(err, "something stands behind the iteration count");
}

/* RFC 5802, section 3: keys, signature and proof over the authentication message. */
static bool
prove(struct scram *s, const struct server_first *f, const struct buf *message,
      uint8_t proof_r[SCRAM_KEY_BYTES])
{
    uint8_t salted[SCRAM_KEY_BYTES];
    uint8_t client_key[SCRAM_KEY_BYTES];
    uint8_t stored_key[SCRAM_KEY_BYTES];
    uint8_t signature[SCRAM_KEY_BYTES];
    uint8_t server_key[SCRAM_KEY_BYTES];
    bool ok;

    ok = PKCS5_PBKDF2_HMAC(s->password, (int)strlen(s->password), f->salt, f->salt_len,
                           (int)f->iterations, EVP_sha256(), SCRAM_KEY_BYTES, salted) == 1 &&
         scram_hmac(salted, "Client Key", 10, client_key) &&
         EVP_Digest(client_key, SCRAM_KEY_BYTES, stored_key, NULL, EVP_sha256(), NULL) == 1 &&
         scram_hmac(stored_key, message->data, message->len, signature) &&
         scram_hmac(salted, "Server Key", 10, server_key) &&
         scram_hmac(server_key, message->data, message->len, s->server_signature);
    for (int n = 0; n < SCRAM_KEY_BYTES; n++)
        proof_r[n] = client_key[n] ^ signature[n];
    OPENSSL_cleanse(salted, sizeof(salted));
    OPENSSL_cleanse(client_key, sizeof(client_key));
    OPENSSL_cleanse(stored_key, sizeof(stored_key));
    OPENSSL_cleanse(server_key, sizeof(server_key));
    return ok;
}

int
scram_final(struct scram *s, const char *server_first, size_t len, struct buf *out, struct err *err)
{
    struct buf message = BUF_EMPTY;
    struct server_first f;
    uint8_t proof[SCRAM_KEY_BYTES];
    char text[SCRAM_KEY_BYTES * 2];
    size_t begun = out->len;
    bool ok;

    if (len > SCRAM_MESSAGE_MAX)
        return bad(err, "it is too long");
    if (read_server_first(s, server_first, len, &f, err) != 0)
        return -1;
    buf_printf(out, "c=biws,r=%.*s", (int)f.nonce_len, f.nonce);
    buf_add(&message, s->bare.data, s->bare.len);
    buf_add_u8(&message, ',');
    buf_add(&message, server_first, len);
    buf_add_u8(&message, ',');
    buf_add(&message, out->data + begun, out->len - begun);
    ok = prove(s, &f, &message, proof);
    buf_free(&message);
    if (!ok)
        return err_set(err, "XX000", "OpenSSL could not compute the SCRAM proof");
    EVP_EncodeBlock((unsigned char *)text, proof, sizeof(proof));
    buf_printf(out, ",p=%s", text);
    s->proved = true;
    return 0;
}

int
scram_verify(struct scram *s, const char *server_final, size_t len, struct err *err)
{
    const char *at = server_final;
    uint8_t signature[SCRAM_KEY_BYTES];
    const char *value;
    size_t value_len;

    if (!s->proved)
        return bad(err, "it ends before we proved anything");
    if (scram_take(&at, server_final + len, 'e', &value, &value_len))
        return err_set(err, "28P01", "the server refused the SCRAM login: %.*s",
                       (int)MIN(value_len, (size_t)100), value);
    if (!scram_take(&at, server_final + len, 'v', &value, &value_len) ||
        scram_decode(value, value_len, signature, sizeof(signature)) != SCRAM_KEY_BYTES)
        return bad(err, "no signature");
    if (CRYPTO_memcmp(signature, s->server_signature, SCRAM_KEY_BYTES) != 0) {
        err_set(err, "28P01", "the server does not know the password: its signature is wrong");
        err_hint(err, "Something may be impersonating the server.");
        return -1;
    }
    s->verified = true;
    return 0;
}

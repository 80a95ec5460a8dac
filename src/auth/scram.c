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
scram_init(struct scram *s, const char *user, const struct credentials *credentials,
           const char *nonce, struct err *err)
{
    memset(s, 0, sizeof(*s));
    s->user = user;
    s->credentials = credentials;
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
scram_bind(struct scram *s, const struct scram_binding *binding)
{
    s->binding = *binding;
}

/* RFC 5802, section 7: gs2-header. "y": we could bind, but the server seems not to be able to; one
 * that is finds out that somebody between us has taken its offer away. */
static const char *
header(const struct scram *s)
{
    switch (s->binding.state) {
    case SCRAM_UNBOUND:
        return "n,,";
    case SCRAM_BINDABLE:
        return "y,,";
    case SCRAM_BOUND:
        break;
    }
    return "p=tls-server-end-point,,";
}

void
scram_first(struct scram *s, struct buf *out)
{
    buf_clear(&s->bare);
    buf_printf(&s->bare, "n=%s,r=%s", s->user, s->nonce);
    buf_add_str(out, header(s));
    buf_add(out, s->bare.data, s->bare.len);
}

struct server_first {
    const char *nonce;
    size_t nonce_len;
    struct scram_keys keys; /* salt and iterations */
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
    int salt_len;

    memset(&f->keys, 0, sizeof(f->keys));
    if (!scram_take(&at, end, 'r', &f->nonce, &f->nonce_len))
        return bad(err, "no nonce");
    if (f->nonce_len <= strlen(s->nonce) || f->nonce_len > SCRAM_MESSAGE_MAX / 2 ||
        memcmp(f->nonce, s->nonce, strlen(s->nonce)) != 0)
        return bad(err, "its nonce does not continue ours");
    if (!scram_is_printable(f->nonce, f->nonce_len))
        return bad(err, "its nonce is not printable");
    if (!scram_take(&at, end, 's', &value, &value_len))
        return bad(err, "no salt");
    salt_len = scram_decode(value, value_len, f->keys.salt, sizeof(f->keys.salt));
    if (salt_len <= 0)
        return bad(err, "the salt is no base64 of 1 to 64 bytes");
    f->keys.salt_len = (uint32_t)salt_len;
    if (!scram_take(&at, end, 'i', &value, &value_len) || value_len >= sizeof(number))
        return bad(err, "no iteration count");
    str_copy_n(number, sizeof(number), value, value_len);
    if (!num_parse_u32(number, &f->keys.iterations) || f->keys.iterations == 0 ||
        f->keys.iterations > INT32_MAX)
        return bad(err, "the iteration count is out of range");
    return at == end ? 0 : bad(err, "something stands behind the iteration count");
}

/* RFC 5802, section 3: signature and proof over the authentication message. */
static bool
prove(struct scram *s, const struct scram_keys *keys, const struct buf *message,
      uint8_t proof_r[SCRAM_KEY_BYTES])
{
    uint8_t stored_key[SCRAM_KEY_BYTES];
    uint8_t signature[SCRAM_KEY_BYTES];
    bool ok;

    ok = EVP_Digest(keys->client_key, SCRAM_KEY_BYTES, stored_key, NULL, EVP_sha256(), NULL) == 1 &&
         scram_hmac(stored_key, message->data, message->len, signature) &&
         scram_hmac(keys->server_key, message->data, message->len, s->server_signature);
    for (int n = 0; ok && n < SCRAM_KEY_BYTES; n++)
        proof_r[n] = keys->client_key[n] ^ signature[n];
    OPENSSL_cleanse(signature, sizeof(signature));
    return ok;
}

static void
add_channel(const struct scram *s, struct buf *out)
{
    struct buf channel = BUF_EMPTY;

    buf_add_str(&channel, header(s));
    if (s->binding.state == SCRAM_BOUND)
        buf_add(&channel, s->binding.data, s->binding.len);
    buf_add_str(out, "c=");
    scram_encode(out, channel.data, channel.len);
    buf_free(&channel);
}

int
scram_final(struct scram *s, const char *server_first, size_t len, struct buf *out, struct err *err)
{
    struct buf message = BUF_EMPTY;
    struct server_first f;
    uint8_t proof[SCRAM_KEY_BYTES];
    size_t begun = out->len;
    bool ok;

    if (len > SCRAM_MESSAGE_MAX)
        return bad(err, "it is too long");
    if (read_server_first(s, server_first, len, &f, err) != 0 ||
        credentials_keys(s->credentials, &f.keys, err) != 0)
        return -1;
    add_channel(s, out);
    buf_printf(out, ",r=%.*s", (int)f.nonce_len, f.nonce);
    buf_add(&message, s->bare.data, s->bare.len);
    buf_add_u8(&message, ',');
    buf_add(&message, server_first, len);
    buf_add_u8(&message, ',');
    buf_add(&message, out->data + begun, out->len - begun);
    ok = prove(s, &f.keys, &message, proof);
    buf_free(&message);
    OPENSSL_cleanse(&f.keys, sizeof(f.keys));
    if (!ok)
        return err_set(err, "XX000", "OpenSSL could not compute the SCRAM proof");
    buf_add_str(out, ",p=");
    scram_encode(out, proof, sizeof(proof));
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
    if (len > SCRAM_MESSAGE_MAX)
        return bad(err, "it is too long");
    if (scram_take(&at, server_final + len, 'e', &value, &value_len))
        return err_set(err, "28P01", "the server refused the SCRAM login: %.*s",
                       scram_is_printable(value, value_len) ? (int)MIN(value_len, (size_t)100) : 0,
                       value);
    if (!scram_take(&at, server_final + len, 'v', &value, &value_len) ||
        scram_decode(value, value_len, signature, sizeof(signature)) != SCRAM_KEY_BYTES ||
        at != server_final + len)
        return bad(err, "no signature, or something behind it");
    if (CRYPTO_memcmp(signature, s->server_signature, SCRAM_KEY_BYTES) != 0) {
        err_set(err, "28P01", "the server does not know the password: its signature is wrong");
        err_hint(err, "Something may be impersonating the server.");
        return -1;
    }
    s->verified = true;
    return 0;
}

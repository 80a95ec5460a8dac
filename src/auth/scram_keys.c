/*
 * SCRAM's keys and verifiers. Called by the files of auth/ and by tools/.
 *
 * Keys are wiped from where they were computed. Deriving them is the one slow thing in auth/: see
 * SCRAM_DERIVE_MAX.
 */
#include "auth/scram_keys.h"

#include "auth/saslprep.h"
#include "auth/scram_text.h"
#include "base/num.h"
#include "base/str.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

int
scram_derive(const char *password, struct scram_keys *keys_io, struct err *err)
{
    uint8_t salted[SCRAM_KEY_BYTES];
    char *prepared;
    bool ok;

    if (keys_io->iterations == 0 || keys_io->iterations > SCRAM_DERIVE_MAX) {
        err_set(err, "0A000", "cannot derive SCRAM keys with %u iterations", keys_io->iterations);
        err_detail(err,
                   "At most %d are possible, since everybody else in the process waits "
                   "meanwhile.",
                   SCRAM_DERIVE_MAX);
        err_hint(err, "Let clients log in by scram-sha-256, where nothing is derived, or set the "
                      "password again with a lower scram_iterations.");
        return -1;
    }
    prepared = saslprep(password);
    ok = PKCS5_PBKDF2_HMAC(prepared, (int)strlen(prepared), keys_io->salt, (int)keys_io->salt_len,
                           (int)keys_io->iterations, EVP_sha256(), SCRAM_KEY_BYTES, salted) == 1 &&
         scram_hmac(salted, "Client Key", 10, keys_io->client_key) &&
         scram_hmac(salted, "Server Key", 10, keys_io->server_key);
    saslprep_free(prepared);
    OPENSSL_cleanse(salted, sizeof(salted));
    return ok ? 0 : err_set(err, "XX000", "OpenSSL could not derive SCRAM keys");
}

/* ---- verifiers ---- */

static int
bad_verifier(struct err *err, const char *what)
{
    return err_set(err, "F0000", "the SCRAM-SHA-256 verifier is malformed: %s", what);
}

/* Up to the letter or the end; *at moves behind it. False: the letter is not there. */
static bool
cut(const char **at, const char *end, char letter, struct scram_part *part_r)
{
    const char *found = letter != '\0' ? memchr(*at, letter, (size_t)(end - *at)) : end;

    if (found == NULL)
        return false;
    part_r->text = *at;
    part_r->len = (size_t)(found - *at);
    *at = found < end ? found + 1 : end;
    return true;
}

int
scram_verifier_parse(const char *text, size_t len, struct scram_verifier *v_r, struct err *err)
{
    static const char scheme[] = "SCRAM-SHA-256";
    const char *at = text;
    const char *end = text + len;
    struct scram_part p[5];
    char number[16];
    int salt_len;

    memset(v_r, 0, sizeof(*v_r));
    if (!cut(&at, end, '$', &p[0]) || !cut(&at, end, ':', &p[1]) || !cut(&at, end, '$', &p[2]) ||
        !cut(&at, end, ':', &p[3]) || !cut(&at, end, '\0', &p[4]) ||
        p[0].len != sizeof(scheme) - 1 || memcmp(p[0].text, scheme, p[0].len) != 0)
        return bad_verifier(err, "it is not SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey");
    str_copy_n(number, sizeof(number), p[1].text, p[1].len);
    if (p[1].len >= sizeof(number) || !num_parse_u32(number, &v_r->iterations) ||
        v_r->iterations == 0 || v_r->iterations > INT32_MAX)
        return bad_verifier(err, "the iteration count is out of range");
    salt_len = scram_decode(p[2].text, p[2].len, v_r->salt, sizeof(v_r->salt));
    if (salt_len <= 0)
        return bad_verifier(err, "the salt is no base64 of 1 to 64 bytes");
    v_r->salt_len = (uint32_t)salt_len;
    if (scram_decode(p[3].text, p[3].len, v_r->stored_key, SCRAM_KEY_BYTES) != SCRAM_KEY_BYTES ||
        scram_decode(p[4].text, p[4].len, v_r->server_key, SCRAM_KEY_BYTES) != SCRAM_KEY_BYTES)
        return bad_verifier(err, "a key is no base64 of 32 bytes");
    return 0;
}

void
scram_verifier_text(const struct scram_verifier *v, struct buf *out)
{
    buf_printf(out, "SCRAM-SHA-256$%u:", v->iterations);
    scram_encode(out, v->salt, v->salt_len);
    buf_add_u8(out, '$');
    scram_encode(out, v->stored_key, sizeof(v->stored_key));
    buf_add_u8(out, ':');
    scram_encode(out, v->server_key, sizeof(v->server_key));
}

bool
scram_verifier_of(const struct scram_keys *keys, struct scram_verifier *v_r)
{
    memset(v_r, 0, sizeof(*v_r));
    v_r->iterations = keys->iterations;
    v_r->salt_len = keys->salt_len;
    memcpy(v_r->salt, keys->salt, keys->salt_len);
    memcpy(v_r->server_key, keys->server_key, sizeof(v_r->server_key));
    return EVP_Digest(keys->client_key, SCRAM_KEY_BYTES, v_r->stored_key, NULL, EVP_sha256(),
                      NULL) == 1;
}

/* ---- channel binding ---- */

void
scram_binding_set(struct scram_binding *b, const uint8_t *data, size_t len)
{
    memset(b, 0, sizeof(*b));
    if (data == NULL || len == 0 || len > sizeof(b->data))
        return;
    b->state = SCRAM_BINDABLE;
    b->len = (uint32_t)len;
    memcpy(b->data, data, len);
}

/*
 * SCRAM-SHA-256 as a server. Called by auth/challenge.
 *
 * The client is not trusted: its messages are bounded, its nonce must be printable, what it repeats
 * must be what was said before. Proofs are compared in constant time.
 */
#include "auth/scram_server.h"

#include "auth/scram_text.h"
#include "base/num.h"
#include "base/str.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

static int
bad(struct err *err, const char *what)
{
    err_set(err, "08P01", "malformed SCRAM message");
    err_detail(err, "%s", what);
    return -1;
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
        v_r->iterations == 0 || v_r->iterations > SCRAM_ITERATIONS_MAX)
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

/* ---- the exchange ---- */

void
scram_server_init(struct scram_server *s, const struct scram_verifier *verifier)
{
    memset(s, 0, sizeof(*s));
    s->verifier = verifier;
}

void
scram_server_fini(struct scram_server *s)
{
    buf_free(&s->nonce);
    buf_free(&s->message);
}

/* "n,," or "y,,": the client wants no channel binding, or thinks that we have none, which is true.
 */
static int
read_header(struct scram_server *s, const char **at, const char *end, struct err *err)
{
    const char *text = *at;

    if (end - text >= 2 && text[0] == 'p' && text[1] == '=')
        return bad(err, "The client asks for channel binding, which was not offered.");
    if (end - text < 3 || (text[0] != 'n' && text[0] != 'y') || text[1] != ',')
        return bad(err, "It does not begin with a header.");
    if (text[2] == 'a')
        return err_set(err, "0A000", "authorization identities are not supported");
    if (text[2] != ',')
        return bad(err, "Something stands in its header.");
    str_copy(s->header, sizeof(s->header), text[0] == 'n' ? "biws" : "eSws");
    *at = text + 3;
    return 0;
}

static bool
is_printable(const char *text, size_t len)
{
    for (size_t n = 0; n < len; n++) {
        if (text[n] < 0x21 || text[n] > 0x7e)
            return false;
    }
    return true;
}

int
scram_server_first(struct scram_server *s, const struct buf *client_first, const char *nonce,
                   struct buf *out, struct err *err)
{
    const char *at = (const char *)client_first->data;
    const char *end;
    unsigned char salt[SCRAM_SALT_MAX * 2];
    struct scram_part user;
    struct scram_part theirs;
    const char *bare;
    char ours[33];
    size_t begun = out->len;

    if (client_first->len == 0 || client_first->len > SCRAM_MESSAGE_MAX)
        return bad(err, "Its length is out of range.");
    end = at + client_first->len;
    if (read_header(s, &at, end, err) != 0)
        return -1;
    bare = at;
    if (at < end && *at == 'm')
        return err_set(err, "0A000", "the client requires an unsupported SCRAM extension");
    if (!scram_take(&at, end, 'n', &user.text, &user.len) ||
        !scram_take(&at, end, 'r', &theirs.text, &theirs.len))
        return bad(err, "It has no name and nonce.");
    if (theirs.len == 0 || theirs.len > SCRAM_MESSAGE_MAX / 4 ||
        !is_printable(theirs.text, theirs.len))
        return bad(err, "Its nonce is empty, too long or not printable.");
    if (nonce != NULL)
        str_copy(ours, sizeof(ours), nonce);
    else if (!scram_nonce(ours))
        return err_set(err, "XX000", "could not make random bytes");
    buf_clear(&s->nonce);
    buf_add(&s->nonce, theirs.text, theirs.len);
    buf_add_str(&s->nonce, ours);
    EVP_EncodeBlock(salt, s->verifier->salt, (int)s->verifier->salt_len);
    buf_printf(out, "r=%s,s=%s,i=%u", buf_cstr(&s->nonce), (const char *)salt,
               s->verifier->iterations);
    buf_clear(&s->message);
    buf_add(&s->message, bare, (size_t)(end - bare));
    buf_add_u8(&s->message, ',');
    buf_add(&s->message, out->data + begun, out->len - begun);
    buf_add_u8(&s->message, ',');
    return 0;
}

/* RFC 5802, section 3: the proof gives the client's key back, which only its password makes. */
static bool
is_proof(const struct scram_server *s, const uint8_t proof[SCRAM_KEY_BYTES])
{
    uint8_t client_key[SCRAM_KEY_BYTES];
    uint8_t signature[SCRAM_KEY_BYTES];
    uint8_t stored_key[SCRAM_KEY_BYTES];
    bool ok = scram_hmac(s->verifier->stored_key, s->message.data, s->message.len, signature);

    for (int n = 0; n < SCRAM_KEY_BYTES; n++)
        client_key[n] = proof[n] ^ signature[n];
    ok = ok && EVP_Digest(client_key, SCRAM_KEY_BYTES, stored_key, NULL, EVP_sha256(), NULL) == 1 &&
         CRYPTO_memcmp(stored_key, s->verifier->stored_key, SCRAM_KEY_BYTES) == 0;
    OPENSSL_cleanse(client_key, sizeof(client_key));
    return ok;
}

/* Finds ",p=" of the proof, which is the last attribute. */
static const char *
find_proof(const char *begin, const char *end)
{
    for (const char *at = end - 3; at >= begin; at--) {
        if (memcmp(at, ",p=", 3) == 0)
            return at;
    }
    return NULL;
}

int
scram_server_final(struct scram_server *s, const struct buf *client_final, struct buf *out,
                   bool *right_r, struct err *err)
{
    const char *begin = (const char *)client_final->data;
    const char *end;
    const char *at = begin;
    const char *proof_at;
    struct scram_part part;
    uint8_t bytes[SCRAM_KEY_BYTES];
    uint8_t signature[SCRAM_KEY_BYTES];
    char text[SCRAM_KEY_BYTES * 2];

    *right_r = false;
    if (client_final->len < 3 || client_final->len > SCRAM_MESSAGE_MAX)
        return bad(err, "Its length is out of range.");
    end = begin + client_final->len;
    if (!scram_take(&at, end, 'c', &part.text, &part.len) || part.len != strlen(s->header) ||
        memcmp(part.text, s->header, part.len) != 0)
        return bad(err, "Its header is not that of the first message.");
    if (!scram_take(&at, end, 'r', &part.text, &part.len) || part.len != s->nonce.len ||
        CRYPTO_memcmp(part.text, s->nonce.data, part.len) != 0)
        return bad(err, "Its nonce is not the one that was agreed on.");
    proof_at = find_proof(begin, end);
    if (proof_at == NULL || proof_at + 1 < at ||
        scram_decode(proof_at + 3, (size_t)(end - proof_at - 3), bytes, sizeof(bytes)) !=
            SCRAM_KEY_BYTES)
        return bad(err, "It has no proof.");
    buf_add(&s->message, begin, (size_t)(proof_at - begin));
    if (!is_proof(s, bytes))
        return 0;
    if (!scram_hmac(s->verifier->server_key, s->message.data, s->message.len, signature))
        return err_set(err, "XX000", "OpenSSL could not compute the SCRAM signature");
    EVP_EncodeBlock((unsigned char *)text, signature, sizeof(signature));
    buf_printf(out, "v=%s", text);
    *right_r = true;
    return 0;
}

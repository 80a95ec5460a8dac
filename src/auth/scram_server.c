/*
 * SCRAM-SHA-256 as a server. Called by auth/challenge.
 *
 * The client is not trusted: its messages are bounded, its nonce must be printable, what it repeats
 * must be what was said before. Proofs are compared in constant time.
 */
#include "auth/scram_server.h"

#include "auth/scram_text.h"
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

void
scram_server_init(struct scram_server *s, const struct scram_verifier *verifier,
                  const struct scram_binding *binding)
{
    memset(s, 0, sizeof(*s));
    s->verifier = verifier;
    s->binding = binding;
}

void
scram_server_fini(struct scram_server *s)
{
    buf_free(&s->nonce);
    buf_free(&s->message);
    buf_free(&s->header);
    OPENSSL_cleanse(s->client_key, sizeof(s->client_key));
}

/* What the client says of channel binding, up to the first comma, must be what it chose. */
static int
check_flag(const struct scram_server *s, const char *flag, size_t len, struct err *err)
{
    static const char bound[] = "p=tls-server-end-point";

    if (len >= 2 && flag[0] == 'p' && flag[1] == '=') {
        if (s->binding->state != SCRAM_BOUND)
            return bad(err, "The client asks for channel binding, but did not choose "
                            "SCRAM-SHA-256-PLUS.");
        if (len != sizeof(bound) - 1 || memcmp(flag, bound, len) != 0)
            return err_set(err, "08P01", "the client asks for an unknown type of channel binding");
        return 0;
    }
    if (len != 1 || (flag[0] != 'n' && flag[0] != 'y'))
        return bad(err, "It does not begin with a header.");
    if (s->binding->state == SCRAM_BOUND)
        return bad(err, "The client chose SCRAM-SHA-256-PLUS, but asks for no channel binding.");
    if (flag[0] == 'y' && s->binding->state == SCRAM_BINDABLE) {
        err_set(err, "28000", "channel binding was not negotiated as it should have been");
        err_detail(err, "The client could bind, but was told that we cannot, which is not true: "
                        "somebody may be listening in between.");
        return -1;
    }
    return 0;
}

/* RFC 5802, section 7: gs2-header; *at moves behind it. */
static int
read_header(struct scram_server *s, const char **at, const char *end, struct err *err)
{
    struct buf channel = BUF_EMPTY;
    const char *text = *at;
    const char *comma = memchr(text, ',', (size_t)(end - text));

    if (comma == NULL || end - comma < 2)
        return bad(err, "It does not begin with a header.");
    if (check_flag(s, text, (size_t)(comma - text), err) != 0)
        return -1;
    if (comma[1] == 'a')
        return err_set(err, "0A000", "authorization identities are not supported");
    if (comma[1] != ',')
        return bad(err, "Something stands in its header.");
    *at = comma + 2;
    buf_add(&channel, text, (size_t)(*at - text));
    if (s->binding->state == SCRAM_BOUND)
        buf_add(&channel, s->binding->data, s->binding->len);
    buf_clear(&s->header);
    scram_encode(&s->header, channel.data, channel.len);
    buf_free(&channel);
    return 0;
}

int
scram_server_first(struct scram_server *s, const struct buf *client_first, const char *nonce,
                   struct buf *out, struct err *err)
{
    const char *at = (const char *)client_first->data;
    const char *end;
    struct scram_part user;
    struct scram_part theirs;
    const char *bare;
    char ours[33];
    size_t begun = out->len;

    if (client_first->len == 0 || client_first->len > SCRAM_CLIENT_MESSAGE_MAX)
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
    if (theirs.len == 0 || !scram_is_printable(theirs.text, theirs.len))
        return bad(err, "Its nonce is empty or not printable.");
    if (memchr(bare, '\0', (size_t)(end - bare)) != NULL)
        return bad(err, "A NUL stands in it.");
    if (nonce != NULL)
        str_copy(ours, sizeof(ours), nonce);
    else if (!scram_nonce(ours))
        return err_set(err, "XX000", "could not make random bytes");
    buf_clear(&s->nonce);
    buf_add(&s->nonce, theirs.text, theirs.len);
    buf_add_str(&s->nonce, ours);
    buf_printf(out, "r=%s,s=", buf_cstr(&s->nonce));
    scram_encode(out, s->verifier->salt, s->verifier->salt_len);
    buf_printf(out, ",i=%u", s->verifier->iterations);
    buf_clear(&s->message);
    buf_add(&s->message, bare, (size_t)(end - bare));
    buf_add_u8(&s->message, ',');
    buf_add(&s->message, out->data + begun, out->len - begun);
    buf_add_u8(&s->message, ',');
    return 0;
}

/* RFC 5802, section 3: the proof gives the client's key back, which only its password makes. */
static bool
is_proof(struct scram_server *s, const uint8_t proof[SCRAM_KEY_BYTES])
{
    uint8_t signature[SCRAM_KEY_BYTES];
    uint8_t stored_key[SCRAM_KEY_BYTES];
    bool ok = scram_hmac(s->verifier->stored_key, s->message.data, s->message.len, signature);

    for (int n = 0; n < SCRAM_KEY_BYTES; n++)
        s->client_key[n] = proof[n] ^ signature[n];
    ok = ok &&
         EVP_Digest(s->client_key, SCRAM_KEY_BYTES, stored_key, NULL, EVP_sha256(), NULL) == 1 &&
         CRYPTO_memcmp(stored_key, s->verifier->stored_key, SCRAM_KEY_BYTES) == 0;
    if (!ok)
        OPENSSL_cleanse(s->client_key, sizeof(s->client_key));
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

/* The channel, as it was in the first message, and the nonce. *at moves behind both. */
static int
check_repeated(const struct scram_server *s, const char **at, const char *end, struct err *err)
{
    struct scram_part part;

    if (!scram_take(at, end, 'c', &part.text, &part.len))
        return bad(err, "It does not begin with the channel binding.");
    if (part.len != s->header.len || CRYPTO_memcmp(part.text, s->header.data, part.len) != 0) {
        if (s->binding->state != SCRAM_BOUND)
            return bad(err, "Its header is not that of the first message.");
        err_set(err, "28000", "the client is bound to another channel than this one");
        err_detail(err, "Somebody may be listening in between.");
        return -1;
    }
    if (!scram_take(at, end, 'r', &part.text, &part.len) || part.len != s->nonce.len ||
        CRYPTO_memcmp(part.text, s->nonce.data, part.len) != 0)
        return bad(err, "Its nonce is not the one that was agreed on.");
    return 0;
}

int
scram_server_final(struct scram_server *s, const struct buf *client_final, struct buf *out,
                   bool *right_r, struct err *err)
{
    const char *begin = (const char *)client_final->data;
    const char *end;
    const char *at = begin;
    const char *proof_at;
    uint8_t bytes[SCRAM_KEY_BYTES];
    uint8_t signature[SCRAM_KEY_BYTES];

    *right_r = false;
    if (client_final->len < 3 || client_final->len > SCRAM_CLIENT_MESSAGE_MAX)
        return bad(err, "Its length is out of range.");
    end = begin + client_final->len;
    if (check_repeated(s, &at, end, err) != 0)
        return -1;
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
    buf_add_str(out, "v=");
    scram_encode(out, signature, sizeof(signature));
    *right_r = true;
    return 0;
}

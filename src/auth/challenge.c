/*
 * The login machine of the side that is logged in to. Called for each message of the client until
 * it has passed or failed.
 *
 * Invariants: a doomed login goes through the same steps and the same computations as any other,
 * and fails in the end; what was asked for once is not asked for again. Comparisons take the same
 * time whatever differs. What a client has proved is there only once it has passed.
 */
#include "auth/challenge.h"

#include "auth/md5.h"
#include "auth/saslprep.h"
#include "base/arena.h"
#include "base/num.h"
#include "wire/build.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 5 };

static const char plain_name[] = "SCRAM-SHA-256";
static const char plus_name[] = "SCRAM-SHA-256-PLUS";

/* As PostgreSQL: who keeps a verifier is asked for SCRAM, whatever the rule says of md5. */
static enum challenge_method
real_method(enum challenge_method method, enum secret_kind kind)
{
    return method == CHALLENGE_MD5 && kind == SECRET_SCRAM ? CHALLENGE_SCRAM : method;
}

static bool
is_possible(enum challenge_method method, enum secret_kind kind)
{
    switch (method) {
    case CHALLENGE_CLEAR:
        return true;
    case CHALLENGE_MD5:
        return kind == SECRET_MD5 || kind == SECRET_TEXT;
    case CHALLENGE_SCRAM:
        break;
    }
    return kind == SECRET_SCRAM || kind == SECRET_TEXT;
}

void
challenge_init(struct challenge *c, enum challenge_method method, const char *user,
               const struct secret *secret, const struct challenge_channel *channel)
{
    memset(c, 0, sizeof(*c));
    c->user = xstrdup(user);
    c->method = real_method(method, secret->kind);
    c->doomed = !is_possible(c->method, secret->kind);
    secret_copy(&c->secret, secret);
    if (channel != NULL) {
        c->mock_key = channel->mock_key;
        if (channel->is_tls)
            scram_binding_set(&c->binding, channel->binding, channel->binding_len);
    }
    scram_server_init(&c->scram, &c->secret.scram, &c->binding);
}

enum challenge_method
challenge_method_for(const struct secret *secret)
{
    switch (secret->kind) {
    case SECRET_MD5_ALONE:
        return CHALLENGE_CLEAR;
    case SECRET_MD5:
        return CHALLENGE_MD5;
    case SECRET_SCRAM:
    case SECRET_TEXT:
        break;
    }
    return CHALLENGE_SCRAM;
}

void
challenge_fini(struct challenge *c)
{
    scram_server_fini(&c->scram);
    secret_fini(&c->secret);
    credentials_unref(c->proved);
    free(c->user);
    OPENSSL_cleanse(c, sizeof(*c));
}

/* ---- the question ---- */

/* The verifier of a password that is known, with a salt that depends on the name alone. */
static int
verifier_of_text(struct challenge *c, const uint8_t *mock_key, struct err *err)
{
    struct scram_keys keys;
    int rc;

    secret_salt(c->user, mock_key, &keys);
    rc = credentials_keys(c->secret.text, &keys, err);
    if (rc == 0 && !scram_verifier_of(&keys, &c->secret.scram))
        rc = err_set(err, "XX000", "OpenSSL does not offer SHA-256");
    OPENSSL_cleanse(&keys, sizeof(keys));
    return rc;
}

static int
ask_scram(struct challenge *c, struct buf *out, struct err *err)
{
    static const char *const both[] = {plus_name, plain_name, NULL};
    uint8_t random[SECRET_MOCK_KEY_BYTES];
    const uint8_t *mock_key = c->mock_key;
    struct secret mock;
    int rc = 0;

    if (mock_key == NULL && c->secret.kind != SECRET_SCRAM) {
        if (RAND_bytes(random, sizeof(random)) != 1)
            return err_set(err, "XX000", "could not make random bytes");
        mock_key = random;
    }
    if (c->secret.kind == SECRET_TEXT) {
        rc = verifier_of_text(c, mock_key, err);
    } else if (c->secret.kind != SECRET_SCRAM) {
        secret_mock(c->user, mock_key, &mock);
        c->secret.scram = mock.scram;
        secret_fini(&mock);
    }
    if (rc == 0)
        build_auth_sasl(out, c->binding.state != SCRAM_UNBOUND ? both : both + 1);
    return rc;
}

int
challenge_begin(struct challenge *c, struct buf *out, struct err *err)
{
    c->state = CHALLENGE_ASKED;
    switch (c->method) {
    case CHALLENGE_CLEAR:
        build_auth_cleartext(out);
        return 0;
    case CHALLENGE_MD5:
        if (RAND_bytes(c->salt, sizeof(c->salt)) != 1)
            return err_set(err, "XX000", "could not make random bytes");
        if (c->secret.kind == SECRET_TEXT &&
            md5_of_password(c->user, c->secret.text->password, c->secret.md5, err) != 0)
            return -1;
        build_auth_md5(out, c->salt);
        return 0;
    case CHALLENGE_SCRAM:
        break;
    }
    return ask_scram(c, out, err);
}

/* ---- the answers ---- */

static int
malformed(struct err *err)
{
    return err_set(err, "08P01", "malformed password message");
}

static int
judge(struct challenge *c, bool right, struct err *err)
{
    if (right && !c->doomed) {
        c->state = CHALLENGE_PASSED;
        if (c->secret.kind == SECRET_TEXT) /* more than any proof gives */
            c->proved = credentials_ref(c->secret.text);
        return 0;
    }
    return err_set(err, "28P01", "password authentication failed for user \"%.64s\"", c->user);
}

static bool
same(const char *a, const char *b)
{
    size_t len = strlen(a);

    return len == strlen(b) && CRYPTO_memcmp(a, b, len) == 0;
}

const char *
challenge_text(const uint8_t *msg, uint32_t len, struct err *err)
{
    const char *text = (const char *)msg + HEADER;

    if (len < HEADER + 1 || msg[0] != 'p' || msg[len - 1] != '\0' ||
        strlen(text) + 1 != len - HEADER) {
        malformed(err);
        return NULL;
    }
    if (text[0] == '\0') {
        err_set(err, "28P01", "the client sent an empty password");
        return NULL;
    }
    return text;
}

/* A hash of what is typed, so that not even a length shows in the time that comparing takes. */
static bool
hash_of(const char *password, uint8_t hash_r[SCRAM_KEY_BYTES])
{
    char *prepared = saslprep(password);
    bool ok = EVP_Digest(prepared, strlen(prepared), hash_r, NULL, EVP_sha256(), NULL) == 1;

    saslprep_free(prepared);
    return ok;
}

static bool
is_text(const struct secret *secret, const char *password)
{
    uint8_t theirs[SCRAM_KEY_BYTES];
    uint8_t ours[SCRAM_KEY_BYTES];
    bool right = hash_of(password, theirs) && hash_of(secret->text->password, ours) &&
                 CRYPTO_memcmp(theirs, ours, sizeof(ours)) == 0;

    OPENSSL_cleanse(theirs, sizeof(theirs));
    OPENSSL_cleanse(ours, sizeof(ours));
    return right;
}

static int
is_of_verifier(const struct scram_verifier *v, const char *password, bool *right_r, struct err *err)
{
    struct scram_keys keys = {.iterations = v->iterations, .salt_len = v->salt_len};
    struct scram_verifier made;
    int rc;

    memcpy(keys.salt, v->salt, sizeof(keys.salt));
    rc = scram_derive(password, &keys, err);
    *right_r = rc == 0 && scram_verifier_of(&keys, &made) &&
               CRYPTO_memcmp(made.stored_key, v->stored_key, SCRAM_KEY_BYTES) == 0;
    OPENSSL_cleanse(&keys, sizeof(keys));
    OPENSSL_cleanse(&made, sizeof(made));
    return rc;
}

static int
take_password(struct challenge *c, const uint8_t *msg, uint32_t len, struct err *err)
{
    const char *password = challenge_text(msg, len, err);
    char hash[SECRET_MD5_BYTES] = "";
    bool right = false;
    int rc = 0;

    if (password == NULL)
        return -1;
    switch (c->secret.kind) {
    case SECRET_MD5_ALONE:
        rc = md5_of(password, strlen(password), hash, err);
        right = rc == 0 && same(hash, c->secret.md5);
        break;
    case SECRET_MD5:
        rc = md5_of_password(c->user, password, hash, err);
        right = rc == 0 && same(hash, c->secret.md5);
        break;
    case SECRET_SCRAM:
        rc = is_of_verifier(&c->secret.scram, password, &right, err);
        break;
    case SECRET_TEXT:
        right = is_text(&c->secret, password);
        break;
    }
    OPENSSL_cleanse(hash, sizeof(hash));
    if (rc == 0)
        rc = judge(c, right, err);
    if (rc == 0 && c->proved == NULL)
        c->proved = credentials_password(password);
    return rc;
}

static int
take_md5(struct challenge *c, const uint8_t *msg, uint32_t len, struct err *err)
{
    const char *answer = challenge_text(msg, len, err);
    char right[MD5_RESPONSE_BYTES];
    int rc;

    if (answer == NULL)
        return -1;
    if (md5_response_of_hash(c->secret.md5, c->salt, right, err) != 0)
        return -1;
    rc = judge(c, same(answer, right), err);
    if (rc == 0 && c->proved == NULL)
        c->proved = credentials_md5(c->secret.md5);
    return rc;
}

/* Which of those that were offered; what the client says of channel binding must fit it. */
static bool
take_mechanism(struct challenge *c, const char *name, size_t len)
{
    bool plus = len == sizeof(plus_name) - 1 && memcmp(name, plus_name, len) == 0;

    if (plus && c->binding.state == SCRAM_BINDABLE) {
        c->binding.state = SCRAM_BOUND;
        return true;
    }
    return len == sizeof(plain_name) - 1 && memcmp(name, plain_name, len) == 0;
}

static int
first_message(struct challenge *c, const uint8_t *data, uint32_t len, struct buf *out,
              struct err *err)
{
    struct buf first = BUF_EMPTY;
    struct buf answer = BUF_EMPTY;
    int rc;

    buf_add(&first, data, len);
    rc = scram_server_first(&c->scram, &first, NULL, &answer, err);
    if (rc == 0) {
        build_auth_sasl_continue(out, answer.data, answer.len);
        c->state = CHALLENGE_PROOF;
    }
    buf_free(&first);
    buf_free(&answer);
    return rc;
}

/* The mechanism's name, the length of what follows, and SCRAM's first message; a length of -1: the
 * message comes by itself, when asked for by an empty one of ours. */
static int
take_first(struct challenge *c, const uint8_t *msg, uint32_t len, struct buf *out, struct err *err)
{
    size_t name_len = strnlen((const char *)msg + HEADER, len - HEADER);
    size_t at = HEADER + name_len + 1;
    uint32_t length;

    if (at + 4 > len)
        return malformed(err);
    length = num_get_u32(msg + at);
    if (length == UINT32_MAX ? len != at + 4 : length != len - at - 4)
        return malformed(err);
    if (!take_mechanism(c, (const char *)msg + HEADER, name_len))
        return err_set(err, "08P01", "the client chose a SASL mechanism that was not offered");
    if (length == UINT32_MAX) {
        build_auth_sasl_continue(out, "", 0);
        c->state = CHALLENGE_FIRST;
        return 0;
    }
    return first_message(c, msg + at + 4, length, out, err);
}

static void
keep_keys(struct challenge *c)
{
    struct scram_keys keys = {.iterations = c->secret.scram.iterations,
                              .salt_len = c->secret.scram.salt_len};

    memcpy(keys.salt, c->secret.scram.salt, sizeof(keys.salt));
    memcpy(keys.client_key, c->scram.client_key, sizeof(keys.client_key));
    memcpy(keys.server_key, c->secret.scram.server_key, sizeof(keys.server_key));
    c->proved = credentials_scram(&keys);
    OPENSSL_cleanse(&keys, sizeof(keys));
}

static int
take_proof(struct challenge *c, const uint8_t *msg, uint32_t len, struct buf *out, struct err *err)
{
    struct buf final = BUF_EMPTY;
    struct buf answer = BUF_EMPTY;
    bool right;
    int rc;

    buf_add(&final, msg + HEADER, len - HEADER);
    rc = scram_server_final(&c->scram, &final, &answer, &right, err);
    if (rc == 0)
        rc = judge(c, right, err);
    if (rc == 0) {
        build_auth_sasl_final(out, answer.data, answer.len);
        if (c->proved == NULL)
            keep_keys(c);
    }
    buf_free(&final);
    buf_free(&answer);
    return rc;
}

int
challenge_step(struct challenge *c, const uint8_t *msg, uint32_t len, struct buf *out,
               struct err *err)
{
    if (len < HEADER || len > CHALLENGE_ANSWER_MAX || msg[0] != 'p')
        return malformed(err);
    switch (c->state) {
    case CHALLENGE_ASKED:
        if (c->method == CHALLENGE_CLEAR)
            return take_password(c, msg, len, err);
        if (c->method == CHALLENGE_MD5)
            return take_md5(c, msg, len, err);
        return take_first(c, msg, len, out, err);
    case CHALLENGE_FIRST:
        return first_message(c, msg + HEADER, len - HEADER, out, err);
    case CHALLENGE_PROOF:
        return take_proof(c, msg, len, out, err);
    case CHALLENGE_PASSED:
        break;
    }
    return err_set(err, "08P01", "the password message comes too late");
}

struct credentials *
challenge_credentials(const struct challenge *c)
{
    return c->state == CHALLENGE_PASSED ? credentials_ref(c->proved) : NULL;
}

/*
 * The login machine of the side that is logged in to. Called by admin/startup for each message of
 * the client until it has passed or failed.
 *
 * Invariants: a doomed login goes through the same steps and the same computations as any other,
 * and fails in the end; what was asked for once is not asked for again. Comparisons take the same
 * time whatever differs.
 */
#include "auth/challenge.h"

#include "auth/md5.h"
#include "base/arena.h"
#include "base/num.h"
#include "wire/build.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 5 };

static const char mechanism[] = "SCRAM-SHA-256";

void
challenge_init(struct challenge *c, const char *user, const struct secret *secret)
{
    memset(c, 0, sizeof(*c));
    c->user = xstrdup(user);
    c->secret = *secret;
    scram_server_init(&c->scram, &c->secret.scram);
}

void
challenge_fini(struct challenge *c)
{
    scram_server_fini(&c->scram);
    free(c->user);
    OPENSSL_cleanse(c, sizeof(*c));
}

int
challenge_begin(struct challenge *c, struct buf *out, struct err *err)
{
    static const char *const mechanisms[] = {mechanism, NULL};

    c->state = CHALLENGE_ASKED;
    switch (c->secret.kind) {
    case SECRET_MD5_ALONE:
        build_auth_cleartext(out);
        return 0;
    case SECRET_MD5:
        if (RAND_bytes(c->salt, sizeof(c->salt)) != 1)
            return err_set(err, "XX000", "could not make random bytes");
        build_auth_md5(out, c->salt);
        return 0;
    case SECRET_SCRAM:
        build_auth_sasl(out, mechanisms);
        return 0;
    }
    return err_set(err, "XX000", "a password of unknown form");
}

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

/* The text that a message consists of. */
static const char *
take_text(const uint8_t *msg, uint32_t len)
{
    const char *text = (const char *)msg + HEADER;

    if (len < HEADER + 1 || msg[len - 1] != '\0' || strlen(text) + 1 != len - HEADER)
        return NULL;
    return text;
}

static int
take_password(struct challenge *c, const uint8_t *msg, uint32_t len, struct err *err)
{
    const char *password = take_text(msg, len);
    char hash[SECRET_MD5_BYTES];

    if (password == NULL)
        return malformed(err);
    if (md5_of(password, strlen(password), hash, err) != 0)
        return -1;
    return judge(c, same(hash, c->secret.md5), err);
}

static int
take_md5(struct challenge *c, const uint8_t *msg, uint32_t len, struct err *err)
{
    const char *answer = take_text(msg, len);
    char right[MD5_RESPONSE_BYTES];

    if (answer == NULL)
        return malformed(err);
    if (md5_response_of_hash(c->secret.md5, c->salt, right, err) != 0)
        return -1;
    return judge(c, same(answer, right), err);
}

/* The mechanism's name, the length of what follows, and SCRAM's first message. */
static int
take_first(struct challenge *c, const uint8_t *msg, uint32_t len, struct buf *out, struct err *err)
{
    struct buf first = BUF_EMPTY;
    struct buf answer = BUF_EMPTY;
    size_t name_len = strnlen((const char *)msg + HEADER, len - HEADER);
    size_t at = HEADER + name_len + 1;
    int rc;

    if (at + 4 > len || num_get_u32(msg + at) != len - at - 4)
        return malformed(err);
    if (name_len != sizeof(mechanism) - 1 || memcmp(msg + HEADER, mechanism, name_len) != 0)
        return err_set(err, "08P01", "client selected an invalid SASL authentication mechanism");
    buf_add(&first, msg + at + 4, len - at - 4);
    rc = scram_server_first(&c->scram, &first, NULL, &answer, err);
    if (rc == 0) {
        build_auth_sasl_continue(out, answer.data, answer.len);
        c->state = CHALLENGE_PROOF;
    }
    buf_free(&first);
    buf_free(&answer);
    return rc;
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
    if (rc == 0)
        build_auth_sasl_final(out, answer.data, answer.len);
    buf_free(&final);
    buf_free(&answer);
    return rc;
}

int
challenge_step(struct challenge *c, const uint8_t *msg, uint32_t len, struct buf *out,
               struct err *err)
{
    if (len < HEADER || msg[0] != 'p')
        return malformed(err);
    switch (c->state) {
    case CHALLENGE_ASKED:
        if (c->secret.kind == SECRET_MD5_ALONE)
            return take_password(c, msg, len, err);
        if (c->secret.kind == SECRET_MD5)
            return take_md5(c, msg, len, err);
        return take_first(c, msg, len, out, err);
    case CHALLENGE_PROOF:
        return take_proof(c, msg, len, out, err);
    case CHALLENGE_PASSED:
        break;
    }
    return err_set(err, "08P01", "the password message comes too late");
}

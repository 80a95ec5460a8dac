/*
 * What proves us to servers. Made by auth/challenge and auth/passwd, kept by pool/ and session/.
 *
 * Invariant: what is counted or remembered changes nothing of what is proved, so that a const
 * pointer may be shared and derive.
 */
#include "auth/credentials.h"

#include "base/arena.h"
#include "base/str.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

enum { DERIVED = 2 };

/* The count and the memory of derivations are no part of the value. */
static struct credentials *
inner(const struct credentials *c)
{
    return (struct credentials *)(uintptr_t)c;
}

static struct credentials *
make(enum credentials_kind kind)
{
    struct credentials *c = xcalloc(1, sizeof(*c));

    c->kind = kind;
    c->references = 1;
    return c;
}

struct credentials *
credentials_password(const char *password)
{
    struct credentials *c = make(CREDENTIALS_PASSWORD);

    c->password = xstrdup(password);
    return c;
}

struct credentials *
credentials_md5(const char hex[CREDENTIALS_MD5_BYTES])
{
    struct credentials *c = make(CREDENTIALS_MD5);

    str_copy(c->md5, sizeof(c->md5), hex);
    return c;
}

struct credentials *
credentials_scram(const struct scram_keys *keys)
{
    struct credentials *c = make(CREDENTIALS_SCRAM);

    c->scram = *keys;
    return c;
}

struct credentials *
credentials_ref(const struct credentials *c)
{
    if (c != NULL)
        inner(c)->references++;
    return inner(c);
}

void
credentials_unref(struct credentials *c)
{
    if (c == NULL || --c->references > 0)
        return;
    if (c->password != NULL) {
        OPENSSL_cleanse(c->password, strlen(c->password));
        free(c->password);
    }
    OPENSSL_cleanse(c, sizeof(*c));
    free(c);
}

static bool
same_text(const char *a, const char *b)
{
    size_t len = strlen(a);

    return len == strlen(b) && CRYPTO_memcmp(a, b, len) == 0;
}

static bool
same_salt(const struct scram_keys *a, const struct scram_keys *b)
{
    return a->iterations == b->iterations && a->salt_len == b->salt_len &&
           memcmp(a->salt, b->salt, a->salt_len) == 0;
}

bool
credentials_equal(const struct credentials *a, const struct credentials *b)
{
    if (a == b)
        return true;
    if (a == NULL || b == NULL || a->kind != b->kind)
        return false;
    switch (a->kind) {
    case CREDENTIALS_PASSWORD:
        return same_text(a->password, b->password);
    case CREDENTIALS_MD5:
        return same_text(a->md5, b->md5);
    case CREDENTIALS_SCRAM:
        break;
    }
    return same_salt(&a->scram, &b->scram) &&
           CRYPTO_memcmp(a->scram.client_key, b->scram.client_key, SCRAM_KEY_BYTES) == 0 &&
           CRYPTO_memcmp(a->scram.server_key, b->scram.server_key, SCRAM_KEY_BYTES) == 0;
}

static int
derive(struct credentials *c, struct scram_keys *keys_io, struct err *err)
{
    for (int n = 0; n < DERIVED; n++) {
        if (c->derived[n].iterations > 0 && same_salt(&c->derived[n], keys_io)) {
            *keys_io = c->derived[n];
            return 0;
        }
    }
    if (scram_derive(c->password, keys_io, err) != 0)
        return -1;
    c->derived[c->derived_next] = *keys_io;
    c->derived_next = (c->derived_next + 1) % DERIVED;
    return 0;
}

int
credentials_keys(const struct credentials *c, struct scram_keys *keys_io, struct err *err)
{
    switch (c->kind) {
    case CREDENTIALS_PASSWORD:
        return derive(inner(c), keys_io, err);
    case CREDENTIALS_MD5:
        err_set(err, "28000", "an md5 hash of the password is no proof for scram-sha-256");
        err_hint(err, "Ask clients for scram-sha-256 or password, and keep no md5 of them.");
        return -1;
    case CREDENTIALS_SCRAM:
        break;
    }
    if (same_salt(&c->scram, keys_io)) {
        *keys_io = c->scram;
        return 0;
    }
    err_set(err, "28000", "the server keeps another SCRAM verifier than the one that was proved");
    err_hint(err, "The password was changed meanwhile, the verifier in pool_passwd is an old one, "
                  "or the servers have no common origin.");
    return -1;
}

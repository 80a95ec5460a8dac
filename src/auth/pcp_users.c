/*
 * pcp.conf in memory. Called by proc/passwords (parse) and admin/startup (find).
 *
 * What unknown users are given is made from a hash of the whole file: it stays the same as long as
 * the file does, and nobody knows it who cannot read the file.
 */
#include "auth/pcp_users.h"

#include "auth/challenge.h"
#include "auth/scram_text.h"
#include "base/arena.h"
#include "base/map.h"
#include "base/str.h"
#include "wire/build.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { MOCK_ITERATIONS = 4096, MOCK_SALT_BYTES = 16 };

struct entry {
    unsigned line_number;
    struct pcp_user user;
};

struct pcp_users {
    struct map by_name;           /* to struct entry */
    enum secret_kind first_kind;  /* of the first entry; SECRET_SCRAM without one */
    uint32_t iterations;          /* of the first verifier */
    uint32_t salt_len;            /* of the first verifier */
    uint8_t key[SCRAM_KEY_BYTES]; /* of the file */
};

const char *
pcp_role_name(enum pcp_role role)
{
    return role == PCP_ADMIN ? "admin" : "monitor";
}

static void
wipe(void *ctx UNUSED, void *value)
{
    OPENSSL_cleanse(value, sizeof(struct entry));
    free(value);
}

void
pcp_users_free(struct pcp_users *u)
{
    if (u == NULL)
        return;
    map_clear(&u->by_name, wipe, NULL);
    OPENSSL_cleanse(u, sizeof(*u));
    free(u);
}

/* ---- the file ---- */

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Where the secret ends: at a colon, of which a SCRAM verifier has two of its own. */
static const char *
end_of_secret(const char *secret, const char *end)
{
    int own = end - secret > 6 && memcmp(secret, "SCRAM-", 6) == 0 ? 2 : 0;

    for (const char *at = secret; at < end; at++) {
        if (*at == ':' && own-- == 0)
            return at;
    }
    return end;
}

static int
take_role(const char *text, size_t len, enum pcp_role *role_r, struct err *err)
{
    if (len == 5 && memcmp(text, "admin", 5) == 0)
        *role_r = PCP_ADMIN;
    else if (len == 7 && memcmp(text, "monitor", 7) == 0)
        *role_r = PCP_MONITOR;
    else
        return err_set(err, "F0000", "there is no role \"%.*s\": admin or monitor",
                       (int)MIN(len, 32u), text);
    return 0;
}

static int
take_entry(struct entry *e, const char *secret, const char *end, struct err *err)
{
    const char *stop = end_of_secret(secret, end);

    e->user.role = PCP_ADMIN;
    if (stop < end && take_role(stop + 1, (size_t)(end - stop - 1), &e->user.role, err) != 0)
        return -1;
    return secret_parse(secret, (size_t)(stop - secret), &e->user.secret, err);
}

static void
remember_form(struct pcp_users *u, const struct secret *secret)
{
    if (u->by_name.count == 1)
        u->first_kind = secret->kind;
    if (secret->kind == SECRET_SCRAM && u->iterations == 0) {
        u->iterations = secret->scram.iterations;
        u->salt_len = secret->scram.salt_len;
    }
}

static int
take_line(struct pcp_users *u, const char *line, size_t len, unsigned number, struct err *err)
{
    const char *end = line + len;
    const struct entry *other;
    const char *colon;
    struct entry *e;

    while (end > line && is_blank(end[-1]))
        end--;
    while (line < end && is_blank(*line))
        line++;
    if (line == end || *line == '#')
        return 0;
    if (len > PCP_LINE_MAX)
        return err_set(err, "F0000", "the line is longer than %d bytes", PCP_LINE_MAX);
    colon = memchr(line, ':', (size_t)(end - line));
    if (colon == NULL || colon == line || memchr(line, 0, (size_t)(end - line)) != NULL)
        return err_set(err, "F0000",
                       "the line is not of the form user:password or "
                       "user:password:role");
    other = map_get(&u->by_name, line, (size_t)(colon - line));
    if (other != NULL)
        return err_set(err, "F0000", "user \"%.*s\" stands in line %u, too",
                       (int)MIN(colon - line, (ptrdiff_t)64), line, other->line_number);
    e = xcalloc(1, sizeof(*e));
    e->line_number = number;
    if (take_entry(e, colon + 1, end, err) != 0) {
        wipe(NULL, e);
        return -1;
    }
    map_put(&u->by_name, line, (size_t)(colon - line), e);
    remember_form(u, &e->user.secret);
    return 0;
}

int
pcp_users_parse(const char *text, size_t len, const char *name, struct pcp_users **u_r,
                struct err *err)
{
    struct pcp_users *u = xcalloc(1, sizeof(*u));
    const char *end = text + len;
    unsigned number = 0;

    u->first_kind = SECRET_SCRAM;
    if (EVP_Digest(text, len, u->key, NULL, EVP_sha256(), NULL) != 1) {
        pcp_users_free(u);
        return err_set(err, "XX000", "%s: OpenSSL does not offer SHA-256", name);
    }
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *stop = newline != NULL ? newline : end;

        number++;
        if (take_line(u, text, (size_t)(stop - text), number, err) != 0) {
            err_prefix(err, "%s:%u: ", name, number);
            pcp_users_free(u);
            return -1;
        }
        text = newline != NULL ? newline + 1 : end;
    }
    *u_r = u;
    return 0;
}

/* ---- who is it ---- */

/* Keys and salt that depend on the file and the name alone. */
static void
make_up(const struct pcp_users *u, const char *user, enum secret_kind kind, struct secret *secret_r)
{
    struct scram_verifier *v = &secret_r->scram;
    uint8_t base[SCRAM_KEY_BYTES];
    uint8_t salt[2 * SCRAM_KEY_BYTES];

    _Static_assert(sizeof(salt) >= SCRAM_SALT_MAX, "room for any salt");
    memset(secret_r, 0, sizeof(*secret_r));
    secret_r->kind = kind;
    v->iterations = u->iterations > 0 ? u->iterations : MOCK_ITERATIONS;
    v->salt_len = u->salt_len > 0 ? u->salt_len : MOCK_SALT_BYTES;
    if (scram_hmac(u->key, user, strlen(user), base) && scram_hmac(base, "salt 1", 6, salt) &&
        scram_hmac(base, "salt 2", 6, salt + SCRAM_KEY_BYTES) &&
        scram_hmac(base, "stored key", 10, v->stored_key) &&
        scram_hmac(base, "server key", 10, v->server_key))
        memcpy(v->salt, salt, v->salt_len);
}

enum pcp_found
pcp_users_find(const struct pcp_users *u, const char *user, bool channel_is_safe,
               struct pcp_user *user_r)
{
    const struct entry *e = map_get(&u->by_name, user, strlen(user));
    enum secret_kind kind = u->first_kind;

    if (e != NULL && (channel_is_safe || e->user.secret.kind != SECRET_MD5_ALONE)) {
        *user_r = e->user;
        return PCP_USER_KNOWN;
    }
    if (!channel_is_safe && kind == SECRET_MD5_ALONE)
        kind = SECRET_SCRAM;
    user_r->role = PCP_MONITOR;
    make_up(u, user, kind, &user_r->secret);
    return e != NULL ? PCP_USER_NEEDS_CLEAR : PCP_USER_UNKNOWN;
}

bool
pcp_users_prove(const struct pcp_users *u, const char *user, const char *password,
                enum pcp_role *role_r)
{
    struct buf out = BUF_EMPTY;
    struct buf msg = BUF_EMPTY;
    struct challenge c;
    struct pcp_user found;
    struct err err;
    enum pcp_found how = pcp_users_find(u, user, true, &found);
    bool good;

    challenge_init(&c, CHALLENGE_CLEAR, user, &found.secret, NULL);
    c.doomed |= how != PCP_USER_KNOWN;
    build_password(&msg, password);
    good = challenge_begin(&c, &out, &err) == 0 &&
           challenge_step(&c, msg.data, (uint32_t)msg.len, &out, &err) == 0 &&
           c.state == CHALLENGE_PASSED;
    *role_r = found.role;
    challenge_fini(&c);
    secret_fini(&found.secret);
    OPENSSL_cleanse(msg.data, msg.cap);
    buf_free(&msg);
    buf_free(&out);
    return good;
}

/*
 * Logins of the status page. Called by proc/http_page.c for each of its requests.
 *
 * Invariant: two entries never have the same token, and one that is too old is found by nobody.
 */
#include "auth/http_sessions.h"

#include "base/str.h"
#include "os/random.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

enum { RANDOM_BYTES = (HTTP_TOKEN_BYTES - 1) / 2 };

static void
wipe(struct http_session *one)
{
    OPENSSL_cleanse(one, sizeof(*one));
}

static bool
is_old(const struct http_session *one, int64_t now_ns)
{
    return now_ns - one->used_ns > HTTP_SESSION_IDLE_S * NS_PER_S ||
           now_ns - one->began_ns > HTTP_SESSION_LIFE_S * NS_PER_S;
}

int
http_sessions_begin(struct http_sessions *s, const struct http_login *who, int64_t now_ns,
                    const struct http_session **session_r, struct err *err)
{
    struct http_session *one = &s->list[0];
    uint8_t bytes[RANDOM_BYTES];

    if (random_bytes(bytes, sizeof(bytes), err) != 0)
        return -1;
    for (size_t n = 1; n < ARRAY_LEN(s->list) && one->token[0] != '\0'; n++) {
        if (s->list[n].token[0] == '\0' || s->list[n].used_ns < one->used_ns)
            one = &s->list[n];
    }
    memset(one, 0, sizeof(*one));
    for (size_t n = 0; n < sizeof(bytes); n++)
        snprintf(one->token + 2 * n, 3, "%02x", bytes[n]);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    str_copy(one->user, sizeof(one->user), who->user);
    one->role = who->role;
    one->began_ns = one->used_ns = now_ns;
    *session_r = one;
    return 0;
}

/* All are compared, whichever it is. */
static struct http_session *
find(struct http_sessions *s, const char *token)
{
    struct http_session *found = NULL;

    if (token == NULL || strlen(token) != HTTP_TOKEN_BYTES - 1)
        return NULL;
    for (size_t n = 0; n < ARRAY_LEN(s->list); n++) {
        if (CRYPTO_memcmp(s->list[n].token, token, HTTP_TOKEN_BYTES - 1) == 0)
            found = &s->list[n];
    }
    return found;
}

const struct http_session *
http_sessions_find(struct http_sessions *s, const char *token, int64_t now_ns)
{
    struct http_session *one = find(s, token);

    if (one == NULL)
        return NULL;
    if (is_old(one, now_ns)) {
        wipe(one);
        return NULL;
    }
    one->used_ns = now_ns;
    return one;
}

void
http_sessions_end(struct http_sessions *s, const char *token)
{
    struct http_session *one = find(s, token);

    if (one != NULL)
        wipe(one);
}

void
http_sessions_forget(struct http_sessions *s)
{
    OPENSSL_cleanse(s, sizeof(*s));
}

/* "http://host:port": what comes behind the scheme is compared; a proxy in front of us may have
 * spoken TLS for us. */
static bool
names_us(const char *origin, const char *host)
{
    const char *name = strstr(origin, "://");

    return name != NULL && host[0] != '\0' && str_equal_nocase(name + 3, host);
}

bool
http_request_is_ours(const struct http_request *r)
{
    if (r->origin == NULL && r->site == NULL)
        return false;
    return (r->origin == NULL || names_us(r->origin, r->host)) &&
           (r->site == NULL || strcmp(r->site, "same-origin") == 0);
}

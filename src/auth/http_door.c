/*
 * Who may see what over HTTP. Called by proc/http.c for each request.
 */
#include "auth/http_door.h"

#include "base/num.h"
#include "base/str.h"
#include "os/random.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

enum { HOST_BYTES = 64 };

/* ---- Host ---- */

bool
http_host_is_local(const char *host)
{
    char name[HOST_BYTES];
    struct sock_address addr;
    const char *end = host + strlen(host);
    const char *colon = strrchr(host, ':');
    const char *bracket = strrchr(host, ']');
    uint32_t port;

    if (colon != NULL && (host[0] != '[' || (bracket != NULL && colon == bracket + 1))) {
        if (!num_parse_u32(colon + 1, &port) || port > UINT16_MAX)
            return false;
        end = colon;
    }
    if (host[0] == '[') {
        if (bracket == NULL || bracket + 1 != end)
            return false;
        host++;
        end = bracket;
    }
    if (end == host || !str_copy_n(name, sizeof(name), host, (size_t)(end - host)))
        return false;
    return str_equal_nocase(name, "localhost") || sock_parse_literal(name, 0, &addr);
}

/* ---- what was proved before ---- */

int
http_door_forget(struct http_door *d, struct err *err)
{
    memset(&d->proved, 0, sizeof(d->proved));
    return random_bytes(d->proved.key, sizeof(d->proved.key), err);
}

static bool
tag_of(const struct http_proved *p, const struct http_request *r, uint8_t tag_r[HTTP_TAG_BYTES])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool good = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(md, p->key, sizeof(p->key)) == 1 &&
                EVP_DigestUpdate(md, r->user, strlen(r->user) + 1) == 1 &&
                EVP_DigestUpdate(md, r->password, strlen(r->password)) == 1 &&
                EVP_DigestFinal_ex(md, tag_r, NULL) == 1;

    EVP_MD_CTX_free(md);
    return good;
}

static bool
was_proved(const struct http_proved *p, const uint8_t tag[HTTP_TAG_BYTES])
{
    bool found = false;

    for (uint32_t n = 0; n < p->count; n++)
        found |= CRYPTO_memcmp(p->tags[n], tag, HTTP_TAG_BYTES) == 0;
    return found;
}

static void
remember(struct http_proved *p, const uint8_t tag[HTTP_TAG_BYTES])
{
    memcpy(p->tags[p->next], tag, HTTP_TAG_BYTES);
    p->next = (p->next + 1) % HTTP_PROVED_MAX;
    p->count = MIN(p->count + 1, (uint32_t)HTTP_PROVED_MAX);
}

static bool
proves(struct http_door *d, const struct http_request *r)
{
    uint8_t tag[HTTP_TAG_BYTES];
    enum pcp_role role;
    bool hashed = tag_of(&d->proved, r, tag);
    bool good;

    if (hashed && was_proved(&d->proved, tag))
        return true;
    good = pcp_users_prove(d->users, r->user, r->password, &role);
    if (good && hashed)
        remember(&d->proved, tag);
    return good;
}

/* ---- the verdict ---- */

static enum http_verdict
refuse(const struct http_request *r, const char *hint, struct err *why_r)
{
    char text[SOCK_TEXT_BYTES];

    sock_address_text(&r->peer, text, sizeof(text));
    err_set(why_r, "28000", "this is not shown to \"%s\"", text);
    err_hint(why_r, "%s", hint);
    return HTTP_REFUSE;
}

bool
http_door_knows(const struct http_door *d, const struct http_request *r)
{
    uint8_t tag[HTTP_TAG_BYTES];

    return tag_of(&d->proved, r, tag) && was_proved(&d->proved, tag);
}

static enum http_verdict
refuse_clear(const struct http_request *r, struct err *why_r)
{
    return refuse(r,
                  "A user of pcp.conf may see it, but the password would cross the network in "
                  "the clear: set \"http_ssl_cert\" and \"http_ssl_key\".",
                  why_r);
}

enum http_verdict
http_door_takes_logins(const struct http_door *d, const struct http_request *r, struct err *why_r)
{
    if (d->users == NULL)
        return refuse(r, "There is no pcp.conf, and so nobody who could log in.", why_r);
    return r->is_tls || sock_is_loopback(&r->peer) ? HTTP_LET_IN : refuse_clear(r, why_r);
}

enum http_verdict
http_door_judge(struct http_door *d, const struct http_request *r, enum config_http_public need,
                struct err *why_r)
{
    bool is_here = sock_is_loopback(&r->peer);

    if (need <= d->config->http_public)
        return HTTP_LET_IN;
    if (d->users == NULL && !is_here)
        return refuse(r, "Ask on pgpool's own machine, or write a pcp.conf.", why_r);
    if (d->users == NULL && !http_host_is_local(r->host))
        return refuse(r, "Ask for \"localhost\" or for an address, or write a pcp.conf.", why_r);
    if (d->users == NULL)
        return HTTP_LET_IN;
    if (!r->is_tls && !is_here)
        return refuse_clear(r, why_r);
    if (r->user != NULL && proves(d, r))
        return HTTP_LET_IN;
    err_set(why_r, "28P01",
            r->user != NULL ? "password authentication failed"
                            : "a user of pcp.conf and the password are needed");
    return HTTP_ASK;
}

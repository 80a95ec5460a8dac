/*
 * Logins of the status page: who has proved a password of pcp.conf gets a token, and shows that
 * with each request that follows (Bearer authentication), until it is given back or too old.
 *
 * In the memory of one process, and so ended with it. A token is 256 random bits; no browser sends
 * it by itself, so no other page can make one act for its user. Pure but for the random bytes.
 * Source: RFC 6750.
 */
#ifndef AUTH_HTTP_SESSIONS_H
#define AUTH_HTTP_SESSIONS_H

#include "auth/pcp_users.h"
#include "os/http_server.h"

#include <stdbool.h>

enum {
    HTTP_SESSIONS_MAX = 16, /* the one that was used longest ago makes room */
    HTTP_TOKEN_BYTES = 65,  /* 64 hexadecimal digits and NUL */
    HTTP_USER_BYTES = 64,   /* a longer name is cut: it is shown only */
    HTTP_SESSION_IDLE_S = 10 * 60,
    HTTP_SESSION_LIFE_S = 12 * 60 * 60,
};

struct http_session {
    char token[HTTP_TOKEN_BYTES]; /* "": none */
    char user[HTTP_USER_BYTES];
    enum pcp_role role;
    int64_t began_ns;
    int64_t used_ns;
};

/* All zeroes: there are none. */
struct http_sessions {
    struct http_session list[HTTP_SESSIONS_MAX];
};

/* Who has proved it. */
struct http_login {
    const char *user;
    enum pcp_role role;
};

/* One more, borrowed until the next call; times are CLOCK_MONOTONIC. -1: no random bytes. */
int http_sessions_begin(struct http_sessions *s, const struct http_login *who, int64_t now_ns,
                        const struct http_session **session_r, struct err *err);

/* Whose token it is; it counts as used. NULL token or result: nobody's, or too old. */
const struct http_session *http_sessions_find(struct http_sessions *s, const char *token,
                                              int64_t now_ns);

/* It was given back. Nobody's: nothing. */
void http_sessions_end(struct http_sessions *s, const char *token);

/* All of them end, and their tokens are wiped. */
void http_sessions_forget(struct http_sessions *s);

/* Does what is asked for come from a page of our own? A browser says so of every POST, by Origin or
 * by Sec-Fetch-Site (Fetch Standard; W3C Fetch Metadata): each of them that is there must be ours,
 * and one of them must be there. */
bool http_request_is_ours(const struct http_request *r);

#endif

/*
 * Who may see what over HTTP.
 *
 * The same people as on the administration port, by the same file: users of pcp.conf prove their
 * password (Basic authentication), and while there is no such file whoever is on this machine may
 * look. A password crosses no network in the clear: it is neither asked for nor taken there. Never
 * blocks; a password that was not right before takes about a millisecond.
 */
#ifndef AUTH_HTTP_DOOR_H
#define AUTH_HTTP_DOOR_H

#include "auth/pcp_users.h"
#include "config/config.h"
#include "os/http_server.h"

/* Who asks may have the answer; is to be asked for a password; or may not have it. */
enum http_verdict { HTTP_LET_IN, HTTP_ASK, HTTP_REFUSE };

enum { HTTP_PROVED_MAX = 8, HTTP_TAG_BYTES = 32 };

/* Passwords that were right once, as hashes with a key that nobody else has: a scrape every few
 * seconds need not derive SCRAM's keys each time. */
struct http_proved {
    uint8_t key[HTTP_TAG_BYTES];
    uint8_t tags[HTTP_PROVED_MAX][HTTP_TAG_BYTES];
    uint32_t count;
    uint32_t next;
};

struct http_door {
    const struct config *config;
    const struct pcp_users *users; /* NULL: there is no pcp.conf */
    struct http_proved proved;
};

/* A key of its own, and nothing is remembered: at the start, and when the users are others. -1: no
 * random bytes. */
int http_door_forget(struct http_door *d, struct err *err);

/* need: who may see the thing without a password. why_r: words for whoever may not. */
enum http_verdict http_door_judge(struct http_door *d, const struct http_request *r,
                                  enum config_http_public need, struct err *why_r);

/* The same for who asks with the token of a login that has been proved before: whether it may cross
 * this connection, and whether anybody can have logged in. HTTP_LET_IN or HTTP_REFUSE. */
enum http_verdict http_door_takes_logins(const struct http_door *d, const struct http_request *r,
                                         struct err *why_r);

/* Of a request with a user: has this password been right before? It costs nothing to say so. */
bool http_door_knows(const struct http_door *d, const struct http_request *r);

/* Does the Host header name this machine: "localhost" or an address, with or without a port? A page
 * from elsewhere that a browser here has been led to by a name of its own does not. */
bool http_host_is_local(const char *host);

#endif

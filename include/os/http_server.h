/*
 * HTTP: short answers to GET and HEAD, and to POST without a body, on sockets that others accept.
 *
 * libmicrohttpd reads and writes, driven by the engine of its process (os/io.h): no thread, and no
 * call blocks. Bounded: so many connections, 16 kB for the head of a request, no body, 15 s in
 * which nothing comes or leaves, 60 s for one request, but for the time that an answer is held back
 * on purpose. What a client does wrong is answered by a
 * 4xx or ends its connection. Paths are not decoded: one with an escape in it is another path.
 * Sources: RFC 9110, 9112, 7617.
 */
#ifndef OS_HTTP_SERVER_H
#define OS_HTTP_SERVER_H

#include "base/buf.h"
#include "base/err.h"
#include "os/io.h"
#include "os/sock.h"
#include "os/tls.h"

#include <stdbool.h>

enum { HTTP_CONNECTIONS_MAX = 64 };

struct http_server;

/* Valid during the call. */
struct http_request {
    const char *path;     /* as it was sent, from its / to before the ? */
    const char *host;     /* of the header; "": there is none */
    const char *user;     /* Basic authentication; NULL: none */
    const char *password; /* then never NULL; wiped when the call returns */
    const char *bearer;   /* the token of Bearer authentication (RFC 6750); NULL: none */
    const char *origin;   /* of the header Origin, */
    const char *site;     /* and of Sec-Fetch-Site; NULL: there is none */
    bool is_post;
    bool is_tls;
    struct sock_address peer;
};

/* All zeroes but status, at first. */
struct http_answer {
    unsigned status;
    const char *type;   /* of the body; NULL: plain text */
    const char *policy; /* Content-Security-Policy; NULL: nothing may be done with it */
    const char *asks;   /* WWW-Authenticate, with 401; NULL: nothing */
    const char *allow;  /* with 405; NULL: GET, HEAD */
    bool closes;        /* the connection ends behind it */
    int64_t delay_ms;   /* it leaves so much later; 0: at once */
    struct buf body;    /* becomes the server's */
};

typedef void http_answer_fn(void *ctx, const struct http_request *r, struct http_answer *answer_r);

struct http_options {
    struct tls_text cert; /* PEM; len 0: no TLS. Nothing is kept of it but libmicrohttpd's copy */
    struct tls_text key;
    http_answer_fn *answer;               /* from the event loop */
    bool (*takes_post)(const char *path); /* NULL: none does, and 405 is the answer */
    void (*changed)(void *ctx);           /* a client came or went; may be NULL */
    void *ctx;
};

bool http_server_is_built(void);

/* -1: err says why, 0A000 in a build without it. */
int http_server_new(struct io *io, const struct http_options *options, struct http_server **s_r,
                    struct err *err);

/* Ends all connections. Not from within a callback of its own. NULL is allowed. */
void http_server_free(struct http_server *s);

/* Takes the connected, nonblocking socket. While it is full, the caller should accept no more; what
 * comes all the same is closed. */
void http_server_accept(struct http_server *s, int fd);
bool http_server_is_full(const struct http_server *s);
uint32_t http_server_count(const struct http_server *s);

/* How many answers are held back now (delay_ms). */
uint32_t http_server_delayed(const struct http_server *s);

#endif

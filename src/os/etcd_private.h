/*
 * What the files of the etcd client share (src/os/etcd_*.c); nobody else includes it.
 */
#ifndef OS_ETCD_PRIVATE_H
#define OS_ETCD_PRIVATE_H

#include "base/buf.h"
#include "os/etcd_client.h"

/* ---- etcd_http.c: posts over libcurl on the loop ---- */

struct etcd_http;
struct etcd_post;

struct etcd_http_files {
    const char *ca_cert; /* borrowed as long as the etcd_http lives */
    const char *cert;
    const char *key;
};

struct etcd_http_end {
    const char *trouble; /* NULL: there is an answer; else in libcurl's words */
    bool sent;           /* something of the request may have left */
    bool too_long;
    long status;
    struct buf *body;
};

struct etcd_post_ops {
    void (*done)(void *ctx, const struct etcd_http_end *end);
    /* NULL: the body is collected. Else it comes in pieces, and there is no deadline. */
    void (*piece)(void *ctx, const void *bytes, size_t len);
};

struct etcd_letter {
    const char *url;
    const char *resolve; /* libcurl's form: host:port:address; NULL: not needed */
    const char *token;   /* NULL: none */
    const char *text;    /* copied */
    int64_t limit_ms;
};

int etcd_http_new(struct io *io, const struct etcd_http_files *files, struct etcd_http **http_r,
                  struct err *err);
void etcd_http_free(struct etcd_http *http); /* no done is called any more */
/* NULL: no memory. done is called from io_run only, once. */
struct etcd_post *etcd_http_post(struct etcd_http *http, const struct etcd_letter *letter,
                                 const struct etcd_post_ops *ops, void *ctx);
void etcd_post_cancel(struct etcd_post *post);

/* ---- etcd_endpoint.c ---- */

struct etcd_endpoint {
    bool tls;
    uint16_t port;
    char host[256];
    char name[280]; /* for people */
};

struct etcd_endpoints {
    uint32_t count;
    struct etcd_endpoint list[ETCD_ENDPOINTS_MAX];
};

enum { ETCD_URL_BYTES = 384 };

/* tls: where nothing is said. -1 (22023). */
int etcd_endpoints_parse(struct etcd_endpoints *endpoints, const char *hosts, bool tls,
                         struct err *err);
void etcd_endpoint_url(const struct etcd_endpoint *endpoint, const char *path, char *url_r);
/* What libcurl is to take instead of asking for the name; "" for a literal. */
void etcd_endpoint_resolve(const struct etcd_endpoint *endpoint, const struct dns_answer *answer,
                           char *text_r, size_t size);

/* ---- etcd_json.c: what is said, and what it means ---- */

/* Texts of requests; freed by the caller. */
char *etcd_json_grant(int64_t ttl_s);
char *etcd_json_lease(uint64_t lease);
char *etcd_json_range(const char *prefix);
char *etcd_json_txn(const struct etcd_txn *txn);
char *etcd_json_watch(const char *prefix);
char *etcd_json_login(const char *user, const char *password);

/* An answer with memory of its own. */
struct etcd_reading {
    struct etcd_answer answer;
    struct etcd_pair *pairs;
    uint32_t pairs_cap;
    struct buf bytes; /* keys and values */
    char token[512];
};
/* -1: that is no answer of etcd's. */
int etcd_json_read(const void *text, size_t len, struct etcd_reading *reading);
void etcd_reading_fini(struct etcd_reading *reading);

/* An error of etcd's: gRPC's code, or -1 when there is none. message_r is always set. */
int etcd_json_error(const void *text, size_t len, char *message_r, size_t size);

/* Does the line of a watch tell of changes? */
bool etcd_json_has_events(const void *text, size_t len);

#endif

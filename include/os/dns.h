/*
 * Names to addresses, in an event loop, without ever blocking it (c-ares over io_watch).
 *
 * IP literals and absolute paths (a unix socket's directory) need no resolver. /etc/hosts comes
 * before DNS, "localhost" is always known. Answers are kept for a while; when the resolver
 * fails, the last good answer for that name is used again and marked as old.
 */
#ifndef OS_DNS_H
#define OS_DNS_H

#include "os/io.h"
#include "os/sock.h"

struct dns;
struct dns_query;

enum {
    DNS_ADDRESSES_MAX = 8,
    DNS_KEEP_MS = 30 * 1000,   /* how long an answer is fresh */
    DNS_TIMEOUT_MS = 5 * 1000, /* of one question, all servers and tries together */
    DNS_CACHE_NAMES_MAX = 1024,
};

struct dns_answer {
    uint32_t count; /* at least 1 */
    bool old;       /* the resolver failed; this is what it said the last time */
    struct sock_address list[DNS_ADDRESSES_MAX]; /* port set; in the order to try */
};

/* One dns per event loop. */
int dns_new(struct io *io, struct dns **dns_r, struct err *err);

/* Drops all queries without calling them. */
void dns_free(struct dns *dns);

/* What needs no question: literals, absolute paths, localhost, a fresh answer kept. False when a
 * question is needed: then use dns_lookup. */
bool dns_known(struct dns *dns, const char *host, uint16_t port, struct dns_answer *answer_r);

/* answer is NULL when err is set ("could not translate host name ...", sqlstate 08001). Both are
 * valid during the call only. */
typedef void dns_done_fn(void *ctx, const struct dns_answer *answer, const struct err *err);

/* Calls done once, always from io_run and never inside this call, also for what is known. Asks
 * once for one name however many wait for it. */
struct dns_query *dns_lookup(struct dns *dns, const char *host, uint16_t port, dns_done_fn *done,
                             void *ctx);

/* done will not be called any more. Not allowed once it has been called. */
void dns_cancel(struct dns_query *q);

/* The name that an address has by /etc/hosts or the DNS, which whoever owns the address may choose
 * as he likes; NULL: none, or nobody answered in time. Valid during the call only, which comes from
 * io_run. Nothing is kept. */
typedef void dns_named_fn(void *ctx, const char *name);
struct dns_reverse;
struct dns_reverse *dns_name_of(struct dns *dns, const struct sockaddr *addr, dns_named_fn *done,
                                void *ctx);
void dns_reverse_cancel(struct dns_reverse *r); /* as dns_cancel */

#endif

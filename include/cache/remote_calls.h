/*
 * Answers in memcached for an event loop: what cache/remote.h does, on threads.
 *
 * One of them per process that has sessions. A lookup ends within a bounded time, by an answer that
 * is valid at that moment or by none; a dead memcached, too many lookups at once and values that
 * are older than what was written since are misses. Putting is of no consequence to anybody: it is
 * dropped where it would have to wait.
 */
#ifndef CACHE_REMOTE_CALLS_H
#define CACHE_REMOTE_CALLS_H

#include "cache/remote.h"
#include "os/worker.h"

struct remote_calls;
struct remote_call;

struct remote_calls_options {
    struct io *io;
    const struct versions *versions;
    const struct cache_secret *secret;
    const char *servers;  /* memqcache_memcached_host */
    uint16_t port;        /* memqcache_memcached_port */
    size_t answer_max;    /* memqcache_maxcache */
    uint32_t expire_s;    /* memqcache_expire */
    uint32_t patience_ms; /* of a lookup; of each server a bit less */
};

/* Connects to nobody. -1: the list of servers makes no sense (22023), or memcached is not built in
 * (0A000). Before the fork it may be tried, to see whether it would work. */
int remote_calls_new(const struct remote_calls_options *o, struct remote_calls **rc_r,
                     struct err *err);

/* Nobody is called back any more. True: a call is still under way on a thread, as worker_free
 * says; then the process ends by _exit. NULL is allowed. */
bool remote_calls_free(struct remote_calls *rc);

/* answer: NULL when there is none. Valid during the call, which may begin and cancel others. */
typedef void remote_found_fn(void *ctx, const struct store_facts *facts, const struct buf *answer);

/* Looks for an answer. NULL: it is a miss, at once. found is called once, from the loop, unless it
 * is cancelled before. */
struct remote_call *remote_calls_get(struct remote_calls *rc, const struct cache_key *key,
                                     remote_found_fn *found, void *ctx);
void remote_call_cancel(struct remote_call *call);

/* Would an answer of this size be kept? */
bool remote_calls_fit(const struct remote_calls *rc, size_t len);

/* Keeps an answer: copied. */
void remote_calls_put(struct remote_calls *rc, const struct cache_key *key,
                      const struct store_facts *facts, const void *bytes, size_t len);

#endif

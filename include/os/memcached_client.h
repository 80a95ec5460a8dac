/*
 * memcached, through libmemcached: get, set and delete under keys of text, on one or several
 * servers. cache/remote.h is what others call.
 *
 * Everything blocks up to the timeout for each server that is asked (and as long as it takes to
 * resolve names), so it is for threads of os/worker.h, several of which may use one client at the
 * same time: each call has a connection to itself. A server that does not answer is left out for
 * RETRY_S seconds, its keys go to the others, and come back to it afterwards: whoever uses this
 * must be able to tell an old value from a new one.
 *
 * Built without libmemcached (configure --without-memcached) opening fails.
 */
#ifndef OS_MEMCACHED_CLIENT_H
#define OS_MEMCACHED_CLIENT_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>

struct memcached_client;

bool memcached_client_is_built(void);

struct memcached_options {
    const char *servers; /* "one, two:11212, [::1]:11211, /run/memcached.sock" */
    uint16_t port;       /* of those that do not say */
    uint32_t timeout_ms;
};

/* Does not connect. -1: the list makes no sense (22023), or it is not built (0A000). */
int memcached_client_open(const struct memcached_options *options, struct memcached_client **c_r,
                          struct err *err);

/* No call may be running. NULL is allowed. */
void memcached_client_close(struct memcached_client *c);

enum memcached_answer {
    MEMCACHED_DONE,
    MEMCACHED_ABSENT,
    MEMCACHED_FAILED, /* err says why: the server is dead, too slow, or talks nonsense */
};

enum { MEMCACHED_KEY_BYTES = 250 };

/* Appends the value. A value longer than max_len is none. */
enum memcached_answer memcached_client_get(struct memcached_client *c, const char *key,
                                           size_t max_len, struct buf *out, struct err *err);

/* expire_s 0: never, of the server's own accord. More than 30 days are 30 days. */
struct memcached_value {
    const void *bytes;
    size_t len;
    uint32_t expire_s;
};
enum memcached_answer memcached_client_set(struct memcached_client *c, const char *key,
                                           const struct memcached_value *value, struct err *err);
enum memcached_answer memcached_client_delete(struct memcached_client *c, const char *key,
                                              struct err *err);

#endif

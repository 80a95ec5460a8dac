/*
 * Answers in memcached: the store's other form (memqcache_method = memcached).
 *
 * What is kept is the answer and its facts in one value, with a signature over both and the key
 * under the daemon's secret: memcached has no notion of who may write what, so a value that was
 * not made by this start of the daemon under this very key is none. What memcached says is as good
 * as an entry of the store only after versions_valid, in the process, when it arrives: values
 * outlive writes, and come back with servers that were dead.
 *
 * remote_get and the others block: for threads of os/worker.h (run calls one of them with the
 * question as its argument, done looks at the result, discard frees the question), any number at a
 * time; they touch nothing but the question. A server that is dead or too slow is a miss.
 */
#ifndef CACHE_REMOTE_H
#define CACHE_REMOTE_H

#include "cache/key.h"
#include "cache/store.h"
#include "os/memcached_client.h"

/* Appends the value that goes to memcached. */
void remote_encode(const struct cache_secret *secret, const struct cache_key *key,
                   const struct store_facts *facts, const struct buf *answer, struct buf *value);

/* The reverse, of any bytes. False: they are not of this daemon and key. The answer is the part of
 * the value from *answer_at_r to its end. */
bool remote_decode(const struct cache_secret *secret, const struct cache_key *key,
                   const struct buf *value, struct store_facts *facts_r, size_t *answer_at_r);

/* The longest value for answers of this length. */
size_t remote_value_max(size_t answer_len);

enum { REMOTE_NAME_BYTES = 40 };
/* The key's name in memcached, of all pgpools: "pgpool_" and 32 hexadecimal digits. */
void remote_name(const struct cache_key *key, char name_r[REMOTE_NAME_BYTES]);

/* One question, for a thread: the caller keeps it until that is done. */
struct remote_question {
    struct memcached_client *client;
    const struct cache_secret *secret;
    struct cache_key key;
    size_t answer_max;        /* memqcache_maxcache */
    uint32_t expire_s;        /* memqcache_expire */
    struct store_facts facts; /* to be put; or found */
    struct buf answer;        /* the same */
    enum memcached_answer result;
    struct err err; /* with MEMCACHED_FAILED */
};
void remote_get(struct remote_question *q);
void remote_put(struct remote_question *q);
void remote_delete(struct remote_question *q);

#endif

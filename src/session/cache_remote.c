/*
 * Answers that are kept in memcached (memqcache_method): a session waits for its lookup, stalled,
 * and its unit is looked at anew when that has ended, well or not.
 *
 * Called by cache.c and cache_fill.c while the host has `remote`. Invariants: a session has at most
 * one lookup, of the key in `remote.key`; what one has found is for the next look at a unit with
 * that key, and is judged by the versions once more then.
 */
#include "session/cache.h"

#include "cache/remote_calls.h"

static void
found(void *ctx, const struct store_facts *facts, const struct buf *answer)
{
    struct session *s = ctx;
    struct cache_lookup *l = &s->cache->remote;

    l->call = NULL;
    l->heard = true;
    if (answer != NULL) {
        l->facts = *facts;
        buf_add(&l->answer, answer->data, answer->len);
    }
    if (s->stall == STALL_CACHE)
        client_go_on(s);
    else
        cache_remote_drop(s); /* it went on without that */
}

void
cache_remote_drop(struct session *s)
{
    struct cache_lookup *l = &s->cache->remote;

    if (l->call != NULL)
        remote_call_cancel(l->call);
    l->call = NULL;
    l->heard = false;
    buf_free(&l->answer);
}

static bool
is_of(const struct cache_lookup *l, const struct cache_key *key)
{
    return (l->call != NULL || l->heard) && l->key.a == key->a && l->key.b == key->b;
}

/* Appends what was found. */
static bool
take(struct session *s, struct buf *out, struct store_facts *facts_r)
{
    struct cache_lookup *l = &s->cache->remote;
    bool valid = l->answer.len > 0 &&
                 versions_valid(s->host->cache->versions, &l->facts.reads, l->facts.as_of_ns);

    if (valid) {
        *facts_r = l->facts;
        buf_add(out, l->answer.data, l->answer.len);
    }
    cache_remote_drop(s);
    return valid;
}

bool
cache_remote_get(struct session *s, const struct cache_key *key, struct buf *out,
                 struct store_facts *facts_r)
{
    struct cache_lookup *l = &s->cache->remote;

    if (is_of(l, key) && l->heard)
        return take(s, out, facts_r);
    if (!is_of(l, key)) {
        cache_remote_drop(s);
        l->key = *key;
        l->call = remote_calls_get(s->host->remote, key, found, s);
        if (l->call == NULL)
            return false;
    }
    s->stall = STALL_CACHE;
    return false;
}

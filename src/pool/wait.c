/*
 * The queue of those who wait for a server connection, because there are as many to the node as
 * there may be.
 *
 * Called by pool.c: a connection is idle again, or closed; and by a timer while anybody waits,
 * since other children may have let one go. Invariants: who waits is served in turn, per key and
 * node; nobody is served from within another's callback.
 */
#include "base/log.h"
#include "pool/pool.h"

#include <string.h>

enum { RETRY_MS = 20 };

static void serve(void *ctx);

void
pool_serve_soon(struct pool *p)
{
    struct pool_queue *q = pool_queue(p);

    if (!list_empty(&q->waiters))
        io_timer_start(pool_io(p), &q->timer, 0, serve, p);
}

bool
pool_is_waited_for(struct pool *p, const struct pool_key *key, int node_id)
{
    list_for_each (it, &pool_queue(p)->waiters) {
        const struct pool_waiter *w = list_entry(it, struct pool_waiter, link);
        if (w->node_id == node_id && (key == NULL || w->key == key))
            return true;
    }
    return false;
}

void
pool_wait(struct pool *p, struct pool_waiter *w)
{
    struct pool_queue *q = pool_queue(p);

    w->since_ns = io_now_ns(pool_io(p));
    list_append(&q->waiters, &w->link);
    q->count++;
    if (!io_timer_running(&q->timer))
        io_timer_start(pool_io(p), &q->timer, RETRY_MS, serve, p);
}

void
pool_wait_no_more(struct pool *p, struct pool_waiter *w)
{
    if (!list_linked(&w->link))
        return;
    list_remove(&w->link);
    pool_queue(p)->count--;
}

/* Tells the first whose turn it is; false: nobody's. */
static bool
serve_one(struct pool *p)
{
    list_for_each (it, &pool_queue(p)->waiters) {
        struct pool_waiter *w = list_entry(it, struct pool_waiter, link);
        struct server *s = pool_take(w->key, w->node_id, w->ops, w->owner);
        if (s == NULL)
            continue;
        pool_wait_no_more(p, w);
        w->ops->taken(w->owner, s);
        return true;
    }
    return false;
}

static bool
end_one(struct pool *p, int64_t limit_ns)
{
    int64_t now_ns = io_now_ns(pool_io(p));

    list_for_each (it, &pool_queue(p)->waiters) {
        struct pool_waiter *w = list_entry(it, struct pool_waiter, link);
        if (limit_ns == 0 || now_ns - w->since_ns < limit_ns)
            continue;
        pool_wait_no_more(p, w);
        w->ops->taken(w->owner, NULL);
        return true;
    }
    return false;
}

static void
serve(void *ctx)
{
    struct pool *p = ctx;
    struct pool_queue *q = pool_queue(p);

    while (serve_one(p))
        ;
    while (end_one(p, pool_options(p)->query_wait_ms * NS_PER_MS))
        ;
    if (list_empty(&q->waiters))
        return;
    pool_ask_for_spare(p, list_first(&q->waiters, struct pool_waiter, link)->node_id);
    io_timer_start(pool_io(p), &q->timer, RETRY_MS, serve, p);
}

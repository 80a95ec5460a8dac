/*
 * min_pool_size: server connections that are there before anybody asks for them.
 *
 * Called by pool.c: once a second for each key that is kept, and when a login has succeeded. A key
 * that a server has let in once is warm until max_pool pushes it out or a server refuses it; the
 * pool holds it as long, whether it has connections or not. Invariants: one connection is dialled
 * at a time for a key and node; none while anybody here waits, none in place of another key's;
 * where a dial has failed, the next one waits.
 */
#include "pool/internal.h"

#include "base/log.h"
#include "ipc/slots.h"
#include "os/clock.h"

#include <string.h>

enum {
    NODE_REST_S = 5,   /* after a dial that the node is to blame for */
    FULL_REST_S = 60,  /* after the server had too many clients already */
    CLOSED_REST_S = 10 /* after all were closed, because a database is about to be dropped */
};

/* What a key has at a node. */
struct stock {
    uint32_t count;       /* in use or not */
    bool dialling;        /* one more is on its way */
    struct server *stale; /* idle for longer than connection_life_time */
};

static void
take_stock(const struct pool_key *k, int node_id, struct stock *stock_r)
{
    const struct pool *p = k->pool;
    int64_t life_ns = p->options.life_time_ms * NS_PER_MS;

    *stock_r = (struct stock){0};
    list_for_each (it, &k->idle) {
        struct server *s = list_entry(it, struct server, link);
        stock_r->count += s->node_id == node_id;
        if (s->node_id == node_id && stock_r->stale == NULL && life_ns > 0 &&
            io_now_ns(p->io) - s->since_ns >= life_ns)
            stock_r->stale = s;
    }
    list_for_each (it2, &p->busy) {
        const struct server *s = list_entry(it2, struct server, link);
        stock_r->count += s->key == k && s->node_id == node_id;
        stock_r->dialling |= s->key == k && s->node_id == node_id && s->ops == &pool_warm_ops;
    }
}

static void
warm_node(struct pool_key *k, int node_id)
{
    struct pool *p = k->pool;
    struct stock stock;

    if (p->options.nodes[node_id].host == NULL || pool_is_on_hold(k, node_id) ||
        io_now_ns(p->io) < p->node_rest_ns[node_id] ||
        !p->callbacks.usable(p->callbacks.ctx, node_id))
        return;
    take_stock(k, node_id, &stock);
    if (stock.dialling || stock.count > p->options.min_size ||
        (stock.count == p->options.min_size && stock.stale == NULL))
        return;
    if (pool_dial_spare(k, node_id, &pool_warm_ops, k) || stock.stale == NULL)
        return;
    /* there may be no more than there are: the new one comes in place of the old one */
    server_close(stock.stale, "connection_life_time is over");
    pool_dial_spare(k, node_id, &pool_warm_ops, k);
}

void
pool_warm(struct pool_key *k)
{
    struct pool *p = k->pool;

    if (!k->warm || io_now_ns(p->io) < k->rest_ns)
        return;
    for (uint32_t n = 0; n < p->options.node_count && p->queue.count == 0; n++)
        warm_node(k, (int)n);
}

bool
pool_is_warm_stock(const struct server *s)
{
    struct stock stock;

    if (!s->key->warm)
        return false;
    take_stock(s->key, s->node_id, &stock);
    return stock.count <= s->pool->options.min_size;
}

/* ---- which keys ---- */

void
pool_key_warms(struct pool_key *k)
{
    if (k->warm || k->pool->options.min_size == 0 || !k->pool->options.keep)
        return;
    k->warm = true;
    k->rest_ns = 0;
    pool_key_ref(k);
}

void
pool_key_cools(struct pool_key *k)
{
    if (!k->warm)
        return;
    k->warm = false;
    pool_key_put(k);
}

void
pool_cool_all(struct pool *p)
{
    list_for_each_safe (it, next, &p->keys)
        pool_key_cools(list_entry(it, struct pool_key, link));
}

void
pool_rest(struct pool *p, const char *database)
{
    list_for_each (it, &p->keys) {
        struct pool_key *k = list_entry(it, struct pool_key, link);
        if (database == NULL || strcmp(k->database, database) == 0)
            k->rest_ns = io_now_ns(p->io) + CLOSED_REST_S * NS_PER_S;
    }
    list_for_each_safe (it2, next, &p->busy) {
        struct server *s = list_entry(it2, struct server, link);
        if (s->ops == &pool_warm_ops &&
            (database == NULL || strcmp(s->key->database, database) == 0))
            server_close(s, "it is not needed any more");
    }
}

/* ---- what becomes of a dial ---- */

static void
on_ready(void *ctx, struct server *s)
{
    struct pool_key *k = ctx;

    if (s->slot != NULL)
        s->slot->pool_counter = 0; /* it has served nobody */
    pool_return(s);
    if (s->state == SERVER_IDLE) /* else its place is needed elsewhere */
        pool_warm(k);
}

static void
on_failed(void *ctx, struct server *s, const struct err *err, const uint8_t *fatal UNUSED,
          size_t fatal_len UNUSED)
{
    struct pool_key *k = ctx;
    struct pool *p = k->pool;

    if (pool_blames_node(err)) {
        p->node_rest_ns[s->node_id] = io_now_ns(p->io) + NODE_REST_S * NS_PER_S;
    } else if (strcmp(err->sqlstate, "53300") == 0) {
        k->rest_ns = io_now_ns(p->io) + FULL_REST_S * NS_PER_S;
    } else {
        log_debug("no connections are kept warm for user \"%s\" to database \"%s\": %s", k->user,
                  k->database, err->message);
        pool_key_cools(k);
    }
}

const struct server_ops pool_warm_ops = {.ready = on_ready, .failed = on_failed};

/*
 * The queues of those who wait for a server connection, because there are as many to the node as
 * there may be.
 *
 * One line per key and node: first come first served in it, and the lines take turns, so that no
 * busy user or database keeps another one out. Called by pool.c when a connection is idle again or
 * closed; and by a timer while anybody waits, since other children may have let one go. Invariants:
 * a line is never empty; nobody is served from within another's callback.
 */
#include "base/arena.h"
#include "base/log.h"
#include "pool/pool.h"

#include <stdlib.h>

enum {
    RETRY_MS = 10,
    PATIENCE_MS = 100, /* then a line may have the place of a connection that others wait for */
    SERVED_AT_ONCE = 64,
};

struct line {
    struct list link;
    struct pool_key *key;
    struct list waiters;
    int16_t node_id;
};

static void serve(void *ctx);

void
pool_serve_soon(struct pool *p)
{
    struct pool_queue *q = pool_queue(p);

    if (q->count > 0)
        io_timer_start(pool_io(p), &q->timer, 0, serve, p);
}

static struct line *
find_line(struct pool *p, const struct pool_key *key, int node_id)
{
    list_for_each (it, &pool_queue(p)->lines) {
        struct line *line = list_entry(it, struct line, link);
        if (line->node_id == node_id && (key == NULL || line->key == key))
            return line;
    }
    return NULL;
}

bool
pool_is_waited_for(struct pool *p, const struct pool_key *key, int node_id)
{
    return pool_queue(p)->count > 0 && find_line(p, key, node_id) != NULL;
}

void
pool_wait(struct pool *p, struct pool_waiter *w)
{
    struct pool_queue *q = pool_queue(p);
    struct line *line = find_line(p, w->key, w->node_id);

    if (line == NULL) {
        line = xcalloc(1, sizeof(*line));
        line->key = w->key;
        line->node_id = w->node_id;
        pool_key_ref(line->key);
        list_init(&line->waiters);
        list_append(&q->lines, &line->link);
    }
    w->since_ns = io_now_ns(pool_io(p));
    w->line = line;
    if (w->urgent)
        list_prepend(&line->waiters, &w->link);
    else
        list_append(&line->waiters, &w->link);
    q->count++;
    pool_tell_waiting(p, w->node_id, 1);
    if (!io_timer_running(&q->timer))
        io_timer_start(pool_io(p), &q->timer, 0, serve, p);
}

void
pool_wait_no_more(struct pool *p, struct pool_waiter *w)
{
    struct line *line = w->line;

    if (line == NULL)
        return;
    list_remove(&w->link);
    w->line = NULL;
    pool_queue(p)->count--;
    pool_tell_waiting(p, w->node_id, -1);
    if (!list_empty(&line->waiters))
        return;
    list_remove(&line->link);
    pool_key_put(line->key);
    free(line);
}

/* Serves the first of the line, if there is a connection or a place for him. */
static bool
serve_line(struct pool *p, struct line *line)
{
    struct pool_waiter *w = list_first(&line->waiters, struct pool_waiter, link);
    bool long_enough = io_now_ns(pool_io(p)) - w->since_ns >= PATIENCE_MS * NS_PER_MS;
    struct server *s = pool_take(w, long_enough);

    if (s == NULL)
        return false;
    list_remove(&line->link);
    list_append(&pool_queue(p)->lines, &line->link);
    pool_wait_no_more(p, w);
    w->ops->taken(w->owner, s);
    return true;
}

static bool
serve_one(struct pool *p)
{
    list_for_each (it, &pool_queue(p)->lines) {
        if (serve_line(p, list_entry(it, struct line, link)))
            return true; /* the lines may be others now */
    }
    return false;
}

static bool
end_one(struct pool *p, int64_t limit_ns)
{
    int64_t now_ns = io_now_ns(pool_io(p));

    list_for_each (it, &pool_queue(p)->lines) {
        struct line *line = list_entry(it, struct line, link);
        struct pool_waiter *w = list_first(&line->waiters, struct pool_waiter, link);
        if (limit_ns == 0 || now_ns - w->since_ns < limit_ns)
            continue;
        pool_wait_no_more(p, w);
        w->ops->taken(w->owner, NULL);
        return true;
    }
    return false;
}

static void
ask_for_spare(struct pool *p)
{
    list_for_each (it, &pool_queue(p)->lines) {
        const struct line *line = list_entry(it, struct line, link);
        /* once per node; a few asked twice do no harm */
        if (find_line(p, NULL, line->node_id) == line)
            pool_ask_for_spare(p, line->node_id);
    }
}

static void
serve(void *ctx)
{
    struct pool *p = ctx;
    struct pool_queue *q = pool_queue(p);
    int served = 0;

    while (served < SERVED_AT_ONCE && serve_one(p))
        served++;
    while (end_one(p, pool_options(p)->query_wait_ms * NS_PER_MS))
        ;
    if (q->count == 0)
        return;
    if (served == 0)
        ask_for_spare(p);
    io_timer_start(pool_io(p), &q->timer, served == SERVED_AT_ONCE ? 0 : RETRY_MS, serve, p);
}

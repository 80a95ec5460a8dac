/*
 * The queues of those who wait for a server connection, because there are as many to the node as
 * there may be.
 *
 * One line per key and node: first come first served in it, and the lines take turns, so that no
 * busy user or database keeps another one out. Called by pool.c when a connection is idle again or
 * closed; and by a timer while anybody waits, since other children may have let one go. A line
 * whose own group has no place keeps no other one waiting. Invariants: a line is never empty;
 * nobody is served from within another's callback.
 */
#include "base/arena.h"
#include "base/log.h"
#include "ipc/slots.h"
#include "pool/internal.h"

#include <stdlib.h>
#include <string.h>

enum {
    RETRY_MS = 10,
    PATIENCE_MS = 100, /* then a line may have the place of a connection that others wait for */
    SERVED_AT_ONCE = 64,
};

struct line {
    struct list link;
    struct pool_key *key;
    struct list waiters;
    uint32_t count;
    struct pool_place full; /* what its first one waits for, as far as it is known */
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
        if (line->full.node_id == node_id && line->key == key)
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
pool_show_waiting(struct session_slot *slot, const struct pool_waiter *w)
{
    if (slot == NULL)
        return;
    if (w != NULL && w->line != NULL)
        slot->waits_for_node = w->node_id;
    atomic_store_explicit(&slot->waiting_since_ns,
                          w != NULL && w->line != NULL ? MAX(w->since_ns, 1) : 0,
                          memory_order_release);
}

void
pool_wait(struct pool *p, struct pool_waiter *w)
{
    struct pool_queue *q = pool_queue(p);
    struct line *line = find_line(p, w->key, w->node_id);

    if (line == NULL) {
        line = xcalloc(1, sizeof(*line));
        line->key = w->key;
        line->full = (struct pool_place){w->full, w->node_id};
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
    line->count++;
    pool_show_waiting(w->slot, w);
    pool_tell_waiting(p, line->full, 1);
    if (!io_timer_running(&q->timer))
        io_timer_start(pool_io(p), &q->timer, 0, serve, p);
}

void
pool_wait_no_more(struct pool *p, struct pool_waiter *w)
{
    const struct pool_callbacks *c = pool_callbacks(p);
    struct line *line = w->line;

    if (line == NULL)
        return;
    list_remove(&w->link);
    w->line = NULL;
    if (w->slot != NULL && w->node_id >= 0 && c->waited != NULL)
        c->waited(c->ctx, w->node_id, io_now_ns(pool_io(p)) - w->since_ns);
    pool_show_waiting(w->slot, NULL);
    pool_queue(p)->count--;
    line->count--;
    pool_tell_waiting(p, line->full, -1);
    if (!list_empty(&line->waiters))
        return;
    list_remove(&line->link);
    pool_key_put(line->key);
    free(line);
}

bool
pool_waits_for_pace(const struct pool_waiter *w)
{
    return w->line != NULL && w->line->full.group == POOL_GROUP_PACED;
}

static uint32_t
count_alike(struct pool *p, const struct line *line)
{
    uint32_t count = 0;

    list_for_each (it, &pool_queue(p)->lines) {
        const struct line *other = list_entry(it, struct line, link);
        if (other->full.node_id == line->full.node_id &&
            strcmp(other->key->user, line->key->user) == 0 &&
            strcmp(other->key->database, line->key->database) == 0)
            count += other->count;
    }
    return count;
}

void
pool_crowd(struct pool *p, struct pool_crowd *crowd_r)
{
    int64_t now_ns = io_now_ns(pool_io(p));

    *crowd_r = (struct pool_crowd){.all = pool_queue(p)->count, .user = "", .database = ""};
    list_for_each (it, &pool_queue(p)->lines) {
        const struct line *line = list_entry(it, struct line, link);
        uint32_t count = count_alike(p, line);

        /* an urgent one may stand in front of who came first */
        list_for_each (it2, &line->waiters) {
            const struct pool_waiter *w = list_entry(it2, struct pool_waiter, link);
            crowd_r->longest_ns = MAX(crowd_r->longest_ns, now_ns - w->since_ns);
        }
        if (count <= crowd_r->waiting)
            continue;
        crowd_r->waiting = count;
        crowd_r->user = line->key->user;
        crowd_r->database = line->key->database;
        crowd_r->full = line->full;
    }
}

/* It waits for this group to have a place, and not for the one that it waited for. */
static void
wait_for_group(struct pool *p, struct line *line, uint32_t group)
{
    if (line->full.group == group)
        return;
    pool_tell_waiting(p, line->full, -(int)line->count);
    line->full.group = group;
    pool_tell_waiting(p, line->full, (int)line->count);
}

void
pool_regroup_waiters(struct pool *p)
{
    list_for_each (it, &pool_queue(p)->lines)
        wait_for_group(p, list_entry(it, struct line, link), 0);
    pool_serve_soon(p);
}

/* What was a matter of milliseconds is not any more. Who is told may end others that wait. */
static void
tell_line(struct pool *p, struct line *line)
{
    struct pool_key *key = line->key;
    int node_id = line->full.node_id;

    pool_key_ref(key);
    for (uint32_t left = line->count; left > 0 && line != NULL; left--) {
        struct pool_waiter *w = list_first(&line->waiters, struct pool_waiter, link);

        pool_wait_no_more(p, w);
        w->ops->turned_away(w->owner, false);
        line = find_line(p, key, node_id);
    }
    pool_key_put(key);
}

/* Serves the first of the line, if there is a connection or a place for him. */
static bool
serve_line(struct pool *p, struct line *line)
{
    struct pool_waiter *w = list_first(&line->waiters, struct pool_waiter, link);
    bool long_enough = io_now_ns(pool_io(p)) - w->since_ns >= PATIENCE_MS * NS_PER_MS;
    struct server *s = pool_take(w, long_enough);

    if (s == NULL) {
        bool was_paced = line->full.group == POOL_GROUP_PACED;

        wait_for_group(p, line, w->full);
        if (!was_paced || w->full == POOL_GROUP_PACED)
            return false;
        tell_line(p, line);
        return true;
    }
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

static struct pool_waiter *
first_waiter(struct pool *p, int node_id)
{
    list_for_each (it, &pool_queue(p)->lines) {
        struct line *line = list_entry(it, struct line, link);
        if (line->full.node_id == node_id)
            return list_first(&line->waiters, struct pool_waiter, link);
    }
    return NULL;
}

void
pool_turn_away(struct pool *p, int node_id)
{
    /* who stands in line for it again has not understood, and is not told for ever */
    uint32_t left = pool_queue(p)->count;
    struct pool_waiter *w;

    while (left-- > 0 && (w = first_waiter(p, node_id)) != NULL) {
        pool_wait_no_more(p, w);
        w->ops->turned_away(w->owner, true);
    }
}

/* Is it the first that waits for this? */
static bool
is_first(struct pool *p, const struct line *line)
{
    list_for_each (it, &pool_queue(p)->lines) {
        const struct line *other = list_entry(it, struct line, link);
        if (other->full.node_id == line->full.node_id && other->full.group == line->full.group)
            return other == line;
    }
    return false;
}

static void
ask_for_spare(struct pool *p)
{
    list_for_each (it, &pool_queue(p)->lines) {
        const struct line *line = list_entry(it, struct line, link);
        if (is_first(p, line))
            pool_ask_for_spare(p, line->full);
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

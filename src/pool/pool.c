/*
 * The pool of one child: keys, idle connections, lending and taking back.
 *
 * Called by session/ (checkout, return) and by proc/child (sweep, configure). Invariants: an idle
 * connection owes nothing, is in no transaction, has run reset_query_list, and no cancel request
 * for it is under way. A key lives while a session holds it or a connection has it.
 */
#include "pool/internal.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "ipc/slots.h"
#include "os/clock.h"

#include <stdlib.h>
#include <string.h>

enum { RESET_LIMIT_S = 10 };

struct pool *
pool_new(struct io *io, struct dns *dns, const struct pool_callbacks *callbacks)
{
    struct pool *p = xcalloc(1, sizeof(*p));

    p->io = io;
    p->dns = dns;
    p->callbacks = *callbacks;
    list_init(&p->keys);
    list_init(&p->busy);
    list_init(&p->dead);
    list_init(&p->queue.lines);
    slab_init(&p->servers, sizeof(struct server), 16);
    return p;
}

void
pool_configure(struct pool *p, const struct pool_options *options)
{
    p->options = *options;
    memset(p->owed, 0, sizeof(p->owed));
    pool_regroup(p);
    if (options->min_size == 0)
        pool_cool_all(p);
}

struct map *
pool_statements(struct pool *p)
{
    return &p->statements;
}

uint64_t
pool_next_statement_id(struct pool *p)
{
    return ++p->statement_id;
}

struct io *
pool_io(const struct pool *p)
{
    return p->io;
}

struct dns *
pool_dns(const struct pool *p)
{
    return p->dns;
}

const struct pool_options *
pool_options(const struct pool *p)
{
    return &p->options;
}

const struct pool_callbacks *
pool_callbacks(const struct pool *p)
{
    return &p->callbacks;
}

uint32_t
pool_server_count(const struct pool *p)
{
    return p->server_count;
}

/* ---- rows in shared memory ---- */

static void
slot_fill(struct server *s)
{
    struct server_slot *slot = s->pool->callbacks.slot_get(s->pool->callbacks.ctx);

    s->slot = slot;
    if (slot == NULL)
        return;
    slot->node_id = s->node_id;
    slot->session = -1;
    slot->backend_pid = 0;
    slot->pool_counter = 0;
    slot->created_at_us = clock_wall_us();
    slot->client_connected_at_us = slot->client_disconnected_at_us = 0;
    str_copy(slot->user, sizeof(slot->user), s->key->user);
    str_copy(slot->database, sizeof(slot->database), s->key->database);
}

/* ---- lending ---- */

static struct server *
take_idle(struct pool_key *k, int node_id)
{
    for (struct list *it = k->idle.prev; it != &k->idle; it = it->prev) {
        struct server *s = list_entry(it, struct server, link);
        if (s->node_id == node_id && s->cancels == 0)
            return s;
    }
    return NULL;
}

void
pool_prefer(struct pool_key *k, int node_id, uint64_t ticket)
{
    list_for_each (it, &k->idle) {
        struct server *s = list_entry(it, struct server, link);
        if (s->ticket != ticket || s->node_id != node_id)
            continue;
        list_remove(&s->link);
        list_append(&k->idle, &s->link);
        return;
    }
}

static void
lend(struct server *s)
{
    s->state = SERVER_LENT;
    list_remove(&s->link);
    list_append(&s->pool->busy, &s->link);
    if (s->slot != NULL) {
        s->slot->backend_pid = (int32_t)s->backend_pid;
        s->slot->pool_counter++;
        s->slot->client_connected_at_us = clock_wall_us();
        s->slot->client_disconnected_at_us = 0;
    }
}

static bool
has_node(const struct pool *p, int node_id, struct err *err)
{
    if (node_id >= 0 && (uint32_t)node_id < p->options.node_count &&
        p->options.nodes[node_id].host != NULL)
        return true;
    err_set(err, "08001", "there is no node %d", node_id);
    return false;
}

struct buf *
pool_scratch(struct pool *p)
{
    return &p->scratch;
}

struct pool_queue *
pool_queue(struct pool *p)
{
    return &p->queue;
}

uint32_t
pool_waiting(const struct pool *p)
{
    return p->queue.count;
}

void
pool_ask_for_spare(struct pool *p, struct pool_place place)
{
    if (place.group != POOL_GROUP_PACED)
        p->callbacks.places.spare(p->callbacks.places.ctx, place);
}

void
pool_tell_waiting(struct pool *p, struct pool_place place, int change)
{
    if (place.group != POOL_GROUP_PACED)
        p->callbacks.places.waiting(p->callbacks.places.ctx, place, change);
}

/* The idle connection to the node that has not been used for longest, of whatever key of the group
 * (0: of any). */
static struct server *
oldest_idle(struct pool *p, struct pool_place place, bool even_waited_for)
{
    struct server *oldest = NULL;

    list_for_each (it, &p->keys) {
        struct pool_key *k = list_entry(it, struct pool_key, link);
        if ((place.group != 0 && k->group != place.group) ||
            (!even_waited_for && pool_is_waited_for(p, k, place.node_id)))
            continue;
        list_for_each (it2, &k->idle) {
            struct server *s = list_entry(it2, struct server, link);
            if (s->node_id == place.node_id && (oldest == NULL || s->since_ns < oldest->since_ns))
                oldest = s;
        }
    }
    return oldest;
}

void
pool_close_spare(struct pool *p, struct pool_place place, bool owes)
{
    struct server *s = oldest_idle(p, place, false);

    if (s != NULL)
        server_close(s, "another process needs its place");
    else
        p->owed[place.node_id][place.group != 0] =
            (struct pool_owed){.any = owes, .group = place.group};
}

/* Does another child wait for the place of this one? Then it is told so no more. */
static bool
is_owed(struct server *s)
{
    struct pool_owed *all = &s->pool->owed[s->node_id][0];
    struct pool_owed *group = &s->pool->owed[s->node_id][1];

    if (group->any && group->group == s->key->group)
        group->any = false;
    else if (all->any)
        all->any = false;
    else
        return false;
    return true;
}

bool
pool_is_on_hold(const struct pool_key *k, int node_id)
{
    const struct pool_callbacks *c = &k->pool->callbacks;

    return unlikely(c->on_hold(c->ctx, k->database, node_id));
}

static bool
may_log_in(struct pool *p, int node_id)
{
    const struct pool_logins *l = &p->logins[node_id];

    return l->under_way < POOL_LOGINS_AT_ONCE ||
           io_now_ns(p->io) - l->last_ns >= POOL_LOGIN_PACE_MS * NS_PER_MS;
}

void
pool_login_over(struct server *s)
{
    s->pool->logins[s->node_id].under_way--;
    pool_serve_soon(s->pool);
}

/* A place for one more connection, if need be that of an idle one; *full_r: the group that has
 * none, if there is none. */
static bool
take_place(struct pool_key *k, int node_id, bool even_waited_for, uint32_t *full_r)
{
    const struct pool_places *places = &k->pool->callbacks.places;
    struct pool_place place = {k->group, node_id};
    struct server *idle;

    *full_r = 0;
    if (pool_is_on_hold(k, node_id))
        return false;
    if (!may_log_in(k->pool, node_id)) {
        *full_r = POOL_GROUP_PACED;
        return false;
    }
    if (places->take(places->ctx, place, full_r))
        return true;
    idle = oldest_idle(k->pool, (struct pool_place){*full_r, node_id}, even_waited_for);
    if (idle == NULL)
        return false;
    server_close(idle, "its place is needed");
    return places->take(places->ctx, place, full_r);
}

static struct server *dial(struct pool_key *k, int node_id, const struct server_ops *ops,
                           void *owner);

struct server *
pool_take(struct pool_waiter *w, bool even_waited_for)
{
    struct server *s = NULL;

    if (w->proof == NULL && !pool_is_on_hold(w->key, w->node_id))
        s = take_idle(w->key, w->node_id);
    if (s == NULL) {
        if (!take_place(w->key, w->node_id, even_waited_for, &w->full))
            return NULL;
        s = dial(w->key, w->node_id, w->ops, w->owner);
        dial_start(s, w->proof);
        return s;
    }
    s->ops = w->ops;
    s->owner = w->owner;
    lend(s);
    return s;
}

struct server *
pool_checkout(struct pool_waiter *w, struct err *err, bool *waits_r)
{
    struct pool *p = w->key->pool;
    struct server *s = NULL;

    *waits_r = false;
    if (!has_node(p, w->node_id, err))
        return NULL;
    if (w->urgent || !pool_is_waited_for(p, w->key, w->node_id))
        s = pool_take(w, false);
    if (s != NULL)
        return s;
    pool_wait(p, w);
    *waits_r = true;
    return NULL;
}

struct server *
pool_dial(const struct pool_check *check, struct err *err)
{
    struct pool_key *k = check->key;
    int node_id = check->node_id;
    struct server *s;
    uint32_t full;

    if (!has_node(k->pool, node_id, err))
        return NULL;
    s = check->proof == NULL ? take_idle(k, node_id) : NULL;
    if (s != NULL)
        server_close(s, "a new one takes its place");
    if (!take_place(k, node_id, false, &full)) {
        err_set(err, "53300", "there are as many connections to node %d as there may be", node_id);
        return NULL;
    }
    s = dial(k, node_id, check->ops, check->owner);
    dial_start(s, check->proof);
    return s;
}

bool
pool_dial_spare(struct pool_key *k, int node_id, const struct server_ops *ops, void *owner)
{
    const struct pool_places *places = &k->pool->callbacks.places;
    uint32_t full;

    if (pool_is_on_hold(k, node_id) || !may_log_in(k->pool, node_id) ||
        !places->take(places->ctx, (struct pool_place){k->group, node_id}, &full))
        return false;
    dial_start(dial(k, node_id, ops, owner), NULL);
    return true;
}

/* Its place is taken; dial_start follows. */
static struct server *
dial(struct pool_key *k, int node_id, const struct server_ops *ops, void *owner)
{
    struct pool *p = k->pool;
    struct server *s = slab_get(&p->servers);

    p->server_count++;
    p->logins[node_id].under_way++;
    p->logins[node_id].last_ns = io_now_ns(p->io);
    s->pool = p;
    s->key = k;
    s->ops = ops;
    s->owner = owner;
    s->node_id = (int16_t)node_id;
    s->tx_status = 'I';
    s->created_ns = s->since_ns = io_now_ns(p->io);
    list_init(&s->known.used);
    k->refs++;
    pending_init(&s->pending);
    list_init(&s->owner_link);
    list_append(&p->busy, &s->link);
    slot_fill(s);
    return s;
}

static bool
may_be_kept(const struct server *s)
{
    const struct pool_options *o = &s->pool->options;

    return o->keep && !str_equal_nocase_n(s->key->database, "template0", 10) &&
           !str_equal_nocase_n(s->key->database, "template1", 10);
}

void
pool_dialled(struct server *s)
{
    s->clean = true;
    lend(s);
    if (may_be_kept(s))
        pool_key_warms(s->key);
    s->ops->ready(s->owner, s);
}

bool
pool_blames_node(const struct err *err)
{
    return strcmp(err->sqlstate, "08001") == 0 || strcmp(err->sqlstate, "08006") == 0 ||
           strncmp(err->sqlstate, "57P0", 4) == 0;
}

void
pool_dial_failed(struct server *s, const struct err *err, const uint8_t *fatal, size_t fatal_len)
{
    const struct server_ops *ops = s->ops;
    void *owner = s->owner;
    struct err words = *err;

    /* what the server itself refused says nothing against the node, but for 57P03 and the like */
    if (pool_blames_node(err) && s->pool->callbacks.node_failed != NULL)
        s->pool->callbacks.node_failed(s->pool->callbacks.ctx, s->node_id, &words);
    server_close(s, words.message);
    if (ops != NULL)
        ops->failed(owner, s, &words, fatal, fatal_len);
}

static void
reap(void *ctx)
{
    struct pool *p = ctx;

    list_for_each_safe (it, next, &p->dead) {
        struct server *s = list_entry(it, struct server, link);
        if (s->cancels > 0)
            continue; /* its cancel request still speaks of it; comes back when that ended */
        list_remove(&s->link);
        buf_free(&s->in);
        pool_key_put(s->key);
        slab_put(&p->servers, s);
    }
}

void
pool_bury(struct server *s)
{
    struct pool *p = s->pool;

    list_remove(&s->link);
    list_append(&p->dead, &s->link);
    p->server_count--;
    p->callbacks.places.give(p->callbacks.places.ctx,
                             (struct pool_place){s->key->group, s->node_id});
    pool_serve_soon(p);
    server_forgets_all(s);
    map_fini(&s->known.by_id);
    server_set_unnamed(s, NULL);
    server_set_image(s, NULL);
    buf_free(&s->fakes);
    if (s->slot != NULL)
        p->callbacks.slot_put(p->callbacks.ctx, s->slot);
    s->slot = NULL;
    if (!io_timer_running(&p->reaper))
        io_timer_start(p->io, &p->reaper, 0, reap, p);
}

void
pool_cancel_ended(struct server *s)
{
    if (s->state == SERVER_CLOSED && s->cancels == 0 && !io_timer_running(&s->pool->reaper))
        io_timer_start(s->pool->io, &s->pool->reaper, 0, reap, s->pool);
    if (s->state == SERVER_LENT && s->cancels == 0 && s->ops != NULL && s->ops->eased != NULL)
        s->ops->eased(s->owner, s);
}

/* ---- taking back ---- */

static void
park(struct server *s)
{
    if (!may_be_kept(s) || s->unwanted) {
        server_close(s, "it is not to be kept");
        return;
    }
    if (is_owed(s)) {
        server_close(s, "another process needs its place");
        return;
    }
    if (pool_is_on_hold(s->key, s->node_id)) {
        server_close(s, "its database is paused or its node drained");
        return;
    }
    s->state = SERVER_IDLE;
    s->since_ns = io_now_ns(s->pool->io);
    list_remove(&s->link);
    list_append(&s->key->idle, &s->link);
    pool_serve_soon(s->pool);
}

void
pool_reset_progress(struct server *s, bool failed)
{
    if (failed) {
        server_close(s, "reset_query_list failed on it");
        return;
    }
    if (s->pending.count > 0)
        return;
    if (!server_is_idle(s) || s->doubtful) {
        server_close(s, "it is not clean after reset_query_list");
        return;
    }
    s->clean = true;
    park(s);
}

void
pool_release(struct server *s)
{
    if (s->state != SERVER_LENT || !server_is_idle(s) || s->doubtful || s->pending.sync_in_doubt) {
        server_close(s, "its session left it in the middle of something");
        return;
    }
    if (s->spoilt) {
        server_close(s, "its session left what nothing takes away");
        return;
    }
    s->ops = NULL;
    s->owner = NULL;
    s->reads_otherwise = false;
    if (s->slot != NULL) {
        s->slot->session = -1;
        s->slot->client_disconnected_at_us = clock_wall_us();
    }
    io_resume(s->stream);
    park(s);
}

static bool
is_abort(const char *sql)
{
    return str_equal_nocase(sql, "ABORT") || str_equal_nocase(sql, "ROLLBACK");
}

/* What is known of the connection's state is true again when this has run. */
static void
note_reset(struct server *s, const char *sql)
{
    bool all = str_equal_nocase(sql, "DISCARD ALL");

    if (all || str_equal_nocase(sql, "DEALLOCATE ALL")) {
        server_forgets_all(s);
        s->forgetful = false;
    }
    if (all)
        s->ticket = 0;
    if (all || str_equal_nocase(sql, "RESET ALL"))
        server_set_image(s, NULL);
}

void
pool_return(struct server *s)
{
    const struct pool_options *o = &s->pool->options;
    bool ran = false;

    if (s->state != SERVER_LENT || s->pending.count > 0 || s->pending.skip_till_sync ||
        s->pass_left > 0 || s->doubtful || s->pending.sync_in_doubt) {
        server_close(s, "its session left it in the middle of something");
        return;
    }
    /* no DISCARD drops the schema itself, and others can see that it is there */
    if (s->spoilt) {
        server_close(s, "its session left what nothing takes away");
        return;
    }
    s->ops = NULL;
    s->owner = NULL;
    s->reads_otherwise = false;
    s->watched = 0;
    s->heard_type = 0;
    s->heard_again = 0;
    s->state = SERVER_RESETTING;
    s->since_ns = io_now_ns(s->pool->io);
    if (s->slot != NULL) {
        s->slot->session = -1;
        s->slot->client_disconnected_at_us = clock_wall_us();
    }
    io_resume(s->stream);
    for (uint32_t n = 0; n < o->reset_query_count && !s->clean; n++) {
        const char *sql = o->reset_queries[n];
        /* outside a transaction, ABORT would only earn a warning */
        if (s->tx_status == 'I' && is_abort(sql))
            continue;
        server_run(s, sql, strlen(sql), 0);
        note_reset(s, sql);
        ran = true;
    }
    if (!ran)
        pool_reset_progress(s, false);
}

void
pool_return_instead(struct server *s)
{
    struct server *before = take_idle(s->key, s->node_id);

    if (before != NULL)
        server_close(before, "a new one takes its place");
    pool_return(s);
}

/* ---- housekeeping ---- */

void
pool_close_idle(struct pool *p, const char *database)
{
    pool_rest(p, database);
    list_for_each_safe (it, next, &p->keys) {
        struct pool_key *k = list_entry(it, struct pool_key, link);
        if (database != NULL && strcmp(k->database, database) != 0)
            continue;
        while (!list_empty(&k->idle))
            server_close(list_first(&k->idle, struct server, link), "it is not needed any more");
    }
    /* a question of ours, or a reset, may be under way on others */
    list_for_each (it2, &p->busy) {
        struct server *s = list_entry(it2, struct server, link);
        s->unwanted |= database == NULL || strcmp(s->key->database, database) == 0;
    }
}

static bool
is_busy(const struct server *s)
{
    return s->login == NULL && s->state == SERVER_LENT && !server_is_idle(s);
}

static struct server *
next_to_node(struct list *list, int node_id, bool spare_busy)
{
    list_for_each (it, list) {
        struct server *s = list_entry(it, struct server, link);
        if (s->node_id == node_id && !(spare_busy && is_busy(s)))
            return s;
    }
    return NULL;
}

/* Whoever is told may close others and ask for new ones: the search begins anew each time. */
uint32_t
pool_lose_node(struct pool *p, int node_id, bool spare_busy, const struct err *err)
{
    uint32_t left = 0;
    struct server *s;

    list_for_each (it, &p->keys) {
        struct pool_key *k = list_entry(it, struct pool_key, link);
        while ((s = next_to_node(&k->idle, node_id, false)) != NULL)
            server_close(s, err->message);
    }
    while ((s = next_to_node(&p->busy, node_id, spare_busy)) != NULL) {
        if (s->login != NULL)
            pool_dial_failed(s, err, NULL, 0);
        else
            server_lose(s, err);
    }
    list_for_each (it, &p->busy)
        left += list_entry(it, struct server, link)->node_id == node_id;
    return left;
}

void
pool_holds_changed(struct pool *p)
{
    static const char why[] = "its database is paused or its node drained";

    list_for_each (it, &p->keys) {
        struct pool_key *k = list_entry(it, struct pool_key, link);

        list_for_each_safe (it2, next, &k->idle) {
            struct server *s = list_entry(it2, struct server, link);
            if (pool_is_on_hold(k, s->node_id))
                server_close(s, why);
        }
    }
    list_for_each_safe (it3, next2, &p->busy) {
        struct server *s = list_entry(it3, struct server, link);
        if (s->ops == &pool_warm_ops && pool_is_on_hold(s->key, s->node_id))
            server_close(s, why);
    }
    pool_serve_soon(p);
}

static void
sweep_key(struct pool *p, struct pool_key *k, bool beyond)
{
    int64_t now_ns = io_now_ns(p->io);
    int64_t life_ns = p->options.life_time_ms * NS_PER_MS;

    list_for_each_safe (it, next, &k->idle) {
        struct server *s = list_entry(it, struct server, link);
        if (beyond)
            server_close(s, "max_pool is reached");
        else if (life_ns > 0 && now_ns - s->since_ns >= life_ns && !pool_is_warm_stock(s))
            server_close(s, "connection_life_time is over");
        else if ((uint32_t)s->node_id >= p->options.node_count ||
                 p->options.nodes[s->node_id].host == NULL)
            server_close(s, "its node was removed");
    }
}

void
pool_sweep(struct pool *p)
{
    int64_t now_ns = io_now_ns(p->io);
    uint32_t keys = 0;

    for (struct list *it = p->keys.prev, *prev; it != &p->keys; it = prev) {
        struct pool_key *k = list_entry(it, struct pool_key, link);
        prev = it->prev;
        sweep_key(p, k, keys >= p->options.max_keys);
        if (keys < p->options.max_keys)
            pool_warm(k);
        else
            pool_key_cools(k);
        keys++;
    }
    list_for_each_safe (it2, next, &p->busy) {
        struct server *s = list_entry(it2, struct server, link);
        if (s->state == SERVER_RESETTING && now_ns - s->since_ns > RESET_LIMIT_S * NS_PER_S)
            server_close(s, "reset_query_list did not end in time");
    }
}

void
pool_free(struct pool *p)
{
    pool_close_idle(p, NULL);
    while (!list_empty(&p->busy))
        server_close(list_first(&p->busy, struct server, link), "pgpool stops");
    io_timer_stop(&p->reaper);
    io_timer_stop(&p->queue.timer);
    reap(p);
    pool_cool_all(p);
    map_fini(&p->keys_by_name);
    map_fini(&p->statements);
    map_fini(&p->images);
    buf_free(&p->scratch);
    slab_fini(&p->servers);
    free(p);
}

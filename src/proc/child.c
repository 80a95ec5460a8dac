/*
 * A child: accepts clients, holds their sessions and its own pool of server connections.
 *
 * Owns the session table (an index is what a cancel key names), the view of the cluster, and the
 * balance between children: whose turn it is to accept follows from the numbers that all of them
 * show. Writes its own slots and counters, and the moment of the last write.
 */
#include "child.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "cache/admission.h"
#include "cache/remote_calls.h"
#include "catalog/knowledge.h"
#include "cluster/carried.h"
#include "cluster/nodes.h"
#include "cluster/view.h"
#include "config/config.h"
#include "config/limits.h"
#include "inspect/inspect.h"
#include "ipc/gate.h"
#include "ipc/statement_tally.h"
#include "os/clock.h"
#include "os/dns.h"
#include "pool/pool.h"
#include "proc/limits.h"
#include "proc/proc.h"
#include "session/session.h"
#include "sql/determinism.h"
#include "sql/facts.h"
#include "sql/normal.h"
#include "sql/parameters.h"
#include "turn.h"
#include "wire/build.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SWEEP_MS = 1000,
    REMOTE_PATIENCE_MS = 200, /* of a lookup in memcached */
    SQL_CACHE_BYTES = 1024 * 1024,
    KNOWLEDGE_BYTES = 4 * 1024 * 1024,
    BUSY_PERMILLE = 600, /* of a CPU */
    RECHECK_MS = 250,
    CLOSING_MS = 1,
};

/* ---- configuration ---- */

/* The parent has checked the lists: a fault here is a bug, and leaves the rules as they were. */
static void
make_rules(struct child *c)
{
    struct route_rules *rules;
    struct err err;

    if (route_rules_new(c->proc->config, &rules, &err) != 0) {
        log_error("%s", err.message);
        return;
    }
    route_rules_free(c->rules);
    c->rules = rules;
}

/* Who finishes the sessions that it has keeps no connection warm: others need the places. */
static void
configure_pool(struct child *c)
{
    const struct config *cfg = c->proc->config;
    struct pool_options o = {0};

    for (uint32_t n = 0; n < cfg->backend_count; n++) {
        const struct config_backend *b = &cfg->backends[n];
        c->nodes[n].host = b->configured ? b->hostname : NULL;
        c->nodes[n].port = (uint16_t)b->port;
    }
    o.nodes = c->nodes;
    o.node_count = cfg->backend_count;
    o.reset_queries = cfg->reset_query_list.items;
    o.reset_query_count = cfg->reset_query_list.count;
    o.passwords = c->passwords;
    o.tls = c->tls.connects;
    o.tls_mode = cfg->backend_sslmode == CONFIG_SSLMODE_ALLOW    ? POOL_TLS_ALLOW
                 : cfg->backend_sslmode == CONFIG_SSLMODE_PREFER ? POOL_TLS_PREFER
                                                                 : POOL_TLS_REQUIRE;
    o.max_keys = (uint32_t)cfg->max_pool;
    o.min_size = c->stopping || c->retiring ? 0 : (uint32_t)cfg->min_pool_size;
    o.keep = cfg->connection_cache;
    o.life_time_ms = cfg->connection_life_time_ms;
    o.connect_timeout_ms = (int)cfg->connect_timeout_ms;
    o.query_wait_ms = cfg->query_wait_timeout_ms;
    o.login_timeout_ms = cfg->connect_timeout_ms;
    pool_configure(c->pool, &o);
}

static void
configure(struct child *c)
{
    const struct config *cfg = c->proc->config;
    struct err err;

    limits_configure(&c->limits);
    child_configure_login(c);
    tls_sides_take(cfg, c->proc->shared, &c->tls);
    c->host.tls = c->tls.accepts;
    make_rules(c);
    if (catalog_configure(c->host.catalog, cfg, &err) != 0)
        log_error("%s", err.message);
    configure_pool(c);
    session_options_from_config(cfg, c->rules, &c->host.options);
    c->host.is_one_of_several = cfg->use_watchdog;
}

static void
follow_primary(void *ctx)
{
    struct child *c = ctx;

    for (uint32_t n = 0; n < c->max_sessions && c->session_count > 0; n++) {
        if (c->sessions[n] != NULL)
            session_follow_primary(c->sessions[n]);
    }
}

/* Before any session sees the new view. */
static void
note_primary(struct child *c)
{
    int node_id = c->view.primary_id;
    uint32_t timeline = node_id >= 0 ? c->freshness->nodes[node_id].timeline : 0;

    if (c->proc->cache == NULL)
        return;
    if (node_id != c->cached_primary_id || timeline != c->cached_timeline)
        c->host.primary_epoch++;
    c->cached_primary_id = node_id;
    c->cached_timeline = timeline;
    cache_note_primary(c->proc->cache, node_id, timeline);
}

/* Sessions may be the ones who look: they follow a new primary from the event loop. */
void
child_rebuild_view(struct child *c)
{
    struct cluster_members members;

    cluster_members_from_config(&members, c->proc->config);
    for (uint32_t n = 0; n < members.node_count; n++)
        members.nodes[n].drained = holds_drained(shared_holds(c->proc->shared), (int)n, NULL);
    cluster_view_build(&c->view, c->freshness, &members, c->judged);
    child_shut_primary(c);
    note_primary(c);
    if (c->view.primary_id < 0 && c->last_primary_id >= 0 && c->primary_lost_ns == 0)
        c->primary_lost_ns = io_now_ns(c->proc->io);
    if (c->view.primary_id < 0 || c->view.primary_id == c->last_primary_id)
        return;
    c->last_primary_id = c->view.primary_id;
    io_timer_start(c->proc->io, &c->follow, 0, follow_primary, c);
}

/* Only as much of it as counts. */
static void
look_at_carried(struct child *c)
{
    const struct area *a = shared_carried(c->proc->shared);
    uint64_t epoch;

    if (c->carried == NULL || area_epoch(a) == c->carried_seen)
        return;
    do {
        const struct cluster_carried *payload = area_peek(a, &epoch);
        memcpy(c->carried, payload, carried_bytes(payload));
    } while (!area_unchanged(a, epoch));
    c->carried_seen = epoch;
    c->host.carried_epoch++;
}

void
child_look_at_freshness(struct child *c)
{
    const struct area *a = shared_freshness(c->proc->shared);
    const struct area *n = shared_nodes(c->proc->shared);

    look_at_carried(c);
    if (area_epoch(a) == c->freshness_epoch && area_epoch(n) == c->judged_epoch)
        return;
    if (area_epoch(n) != c->judged_epoch) {
        c->judged_epoch = area_read(n, c->judged);
        child_note_judged(c);
    }
    c->freshness_epoch = area_read(a, c->freshness);
    child_rebuild_view(c);
}

/* ---- accepting ---- */

static void balance(struct child *c);

static void
recheck(void *ctx)
{
    balance(ctx);
}

static void
set_accepting(struct child *c, bool on)
{
    if (c->accepting == on)
        return;
    c->accepting = on;
    atomic_store(&c->slot->accepting, on);
    for (uint32_t n = 0; n < c->listener_count; n++) {
        if (on)
            io_listener_resume(c->listeners[n]);
        else
            io_listener_pause(c->listeners[n]);
    }
}

static void
balance(struct child *c)
{
    struct turn_self self = {c->proc->child_no, c->session_count, c->max_sessions, false};
    uint32_t next;
    bool mine;

    if (!shared_doors_are_open(c->proc->shared)) {
        set_accepting(c, false);
        return;
    }
    self.takes = !c->stopping && !c->retiring && c->free_count > 0;
    next = turn_whose(c->proc->shared, &self);
    mine = next == c->proc->child_no;
    set_accepting(c, mine && self.takes);
    if (mine || c->stopping || c->retiring)
        return;
    if (next != UINT32_MAX && atomic_load_explicit(&shared_child(c->proc->shared, next)->accepting,
                                                   memory_order_relaxed) == 0)
        wake_send(c->proc->wakes, shared_slot_of_child(c->proc->shared, next));
    /* whoever's turn it is may die before it looks */
    io_timer_start(c->proc->io, &c->recheck, RECHECK_MS, recheck, c);
}

static void
refuse_client(int fd)
{
    struct buf b = BUF_EMPTY;
    struct err err;

    err_set(&err, "53300", "sorry, too many clients already");
    build_error(&b, "FATAL", &err);
    if (write(fd, b.data, b.len) < 0)
        log_debug("a refused client was gone already");
    buf_free(&b);
    close(fd);
}

static bool
is_reserved(struct child *c)
{
    const struct config *cfg = c->proc->config;
    uint64_t total = 0;
    const struct shared_layout *layout = shared_layout(c->proc->shared);

    if (cfg->reserved_connections <= 0)
        return false;
    for (uint32_t n = 0; n < layout->child_slots; n++)
        total += atomic_load(&shared_child(c->proc->shared, n)->sessions);
    return total + (uint64_t)cfg->reserved_connections >=
           (uint64_t)c->proc->child_target * c->max_sessions;
}

static void
begin_session(struct child *c, int fd)
{
    struct session_place place = {0};

    place.index = c->free_indexes[--c->free_count];
    place.pid = proc_make_pid(c->proc->child_base + c->proc->child_no, place.index);
    place.slot = shared_session(c->proc->shared, c->proc->child_no, place.index);
    c->sessions[place.index] = session_new(&c->host, fd, &place);
    c->session_count++;
    c->served++;
    c->slot->accepted_total++;
    atomic_store_explicit(&c->slot->sessions, c->session_count, memory_order_relaxed);
}

/* One who was on his way when we paused may find no place left: he waits here, as he would have
 * waited in the kernel's queue. */
static void
accepted(void *ctx, int fd, int error)
{
    struct child *c = ctx;

    if (error != 0) {
        log_warning("could not accept a client: %s", strerror(error));
        return;
    }
    if (is_reserved(c))
        refuse_client(fd);
    else if (c->free_count > 0)
        begin_session(c, fd);
    else if (c->held_count < ARRAY_LEN(c->held))
        c->held[c->held_count++] = fd;
    else
        refuse_client(fd);
    balance(c);
}

static void
let_held_in(struct child *c)
{
    int fd = c->held[0];

    if (c->held_count == 0 || c->free_count == 0 || c->in_a_hurry)
        return;
    c->held_count--;
    memmove(c->held, c->held + 1, c->held_count * sizeof(c->held[0]));
    begin_session(c, fd);
}

static void
terminate_all(struct child *c)
{
    struct err err;

    err_set(&err, "57P01", "terminating connection due to administrator command");
    for (uint32_t n = 0; n < c->max_sessions; n++) {
        if (c->sessions[n] != NULL)
            session_terminate(c->sessions[n], &err);
    }
}

static void
show_clients(struct child *c)
{
    if (c->stopping || c->retiring)
        proc_title(c->proc, "finishing %u session%s", c->session_count,
                   c->session_count == 1 ? "" : "s");
    else
        proc_title(c->proc, "%u clients, %u server connections", c->session_count,
                   pool_server_count(c->pool));
}

static void
leave_when_done(struct child *c)
{
    if (session_host_is_busy(&c->host) && !c->in_a_hurry)
        return; /* sweep() comes here again */
    if (c->session_count == 0 && (c->doors_closed || c->in_a_hurry))
        proc_end(c->proc);
}

/*
 * Accepts no more and lets go of the listening sockets, so that the port of a generation that
 * finishes is not held by it. Not before the last accept has ended, which may have brought a
 * client. And when we stop, those who wait are let in at last: the kernel may have woken us alone
 * for them, and the next generation would not hear of them before somebody else comes.
 */
static void
close_doors(void *ctx)
{
    struct child *c = ctx;
    const struct sock_listeners *all = c->proc->clients;
    int fd;

    set_accepting(c, false);
    for (uint32_t n = 0; n < c->listener_count; n++) {
        if (!io_listener_is_quiet(c->listeners[n])) {
            io_timer_start(c->proc->io, &c->closing, CLOSING_MS, close_doors, c);
            return;
        }
    }
    for (uint32_t n = 0; n < c->listener_count; n++) {
        while (c->stopping && c->free_count > 0 && (fd = sock_accept(all->list[n].fd)) >= 0)
            accepted(c, fd, 0);
        io_listener_close(c->listeners[n]);
    }
    c->listener_count = 0;
    sock_listeners_close(c->proc->clients, false);
    c->doors_closed = true;
    configure_pool(c);
    if (c->in_a_hurry)
        terminate_all(c);
    show_clients(c);
    leave_when_done(c);
}

static void
maybe_retire(struct child *c)
{
    const struct config *cfg = c->proc->config;

    if (c->retiring || c->stopping)
        return;
    if (cfg->child_max_connections == 0 || c->served < (uint64_t)cfg->child_max_connections)
        return;
    /* while nobody can take its place it goes on */
    if (!proc_retire(c->proc))
        return;
    c->retiring = true;
    close_doors(c);
}

static void
session_ended(void *ctx, struct session *s)
{
    struct child *c = ctx;
    const struct session_place *place = session_place(s);

    atomic_store(&place->slot->state, SESSION_SLOT_FREE);
    c->sessions[place->index] = NULL;
    c->free_indexes[c->free_count++] = place->index;
    c->session_count--;
    c->idle_since_ns = io_now_ns(c->proc->io);
    atomic_store_explicit(&c->slot->sessions, c->session_count, memory_order_relaxed);
    let_held_in(c);
    maybe_retire(c);
    balance(c);
    leave_when_done(c);
}

/* ---- events ---- */

static void
on_inbox(void *ctx, const struct inbox_msg *msg)
{
    struct child *c = ctx;
    struct pool_place place = {0, 0};

    switch (msg->kind) {
    case INBOX_CANCEL:
        child_cancel_for(c, msg);
        break;
    case INBOX_CANCEL_DONE:
        child_cancel_answered(c, msg);
        break;
    case INBOX_CLOSE_IDLE:
        pool_close_idle(c->pool, msg->node.words[0] != '\0' ? msg->node.words : NULL);
        break;
    case INBOX_SPARE:
        place = (struct pool_place){msg->node.group, msg->node.node_id};
        pool_close_spare(c->pool, place, limits_owes(&c->limits, msg->from, place));
        break;
    default:
        break;
    }
}

static void
on_wake(void *ctx)
{
    struct child *c = ctx;

    child_look_at_nodes(c);
    child_look_at_holds(c);
    if (c->host.gates != NULL)
        gate_look(c->host.gates);
    if (unlikely(c->host.awaits_positions)) {
        child_look_at_freshness(c);
        session_hosts_positions_known(&c->host);
    }
    balance(c);
}

static void
on_config(void *ctx, const struct config *before UNUSED)
{
    struct child *c = ctx;

    configure(c);
    for (uint32_t n = 0; n < c->max_sessions && c->session_count > 0; n++) {
        if (c->sessions[n] != NULL)
            session_reconfigured(c->sessions[n]);
    }
    child_rebuild_view(c);
}

static void
on_stop(void *ctx, enum proc_stop mode)
{
    struct child *c = ctx;

    c->stopping = true;
    c->in_a_hurry = mode != PROC_STOP_SMART;
    if (c->in_a_hurry)
        terminate_all(c);
    if (!c->doors_closed)
        close_doors(c);
    pool_close_idle(c->pool, NULL); /* the next generation needs the places at the servers */
    show_clients(c);
    leave_when_done(c);
}

static void
note_cpu(struct child *c)
{
    int64_t cpu_ns = clock_cpu_ns();
    int64_t now_ns = io_now_ns(c->proc->io);

    if (now_ns > c->cpu_seen_ns)
        atomic_store(&c->slot->busy,
                     (cpu_ns - c->cpu_ns) * 1000 / (now_ns - c->cpu_seen_ns) >= BUSY_PERMILLE);
    c->cpu_ns = cpu_ns;
    c->cpu_seen_ns = now_ns;
    balance(c);
}

static void
sweep(void *ctx)
{
    struct child *c = ctx;
    const struct config *cfg = c->proc->config;
    int64_t idle_ms = (io_now_ns(c->proc->io) - c->idle_since_ns) / NS_PER_MS;

    for (uint32_t n = 0; n < c->max_sessions && c->session_count > 0; n++) {
        if (c->sessions[n] != NULL)
            session_sweep(c->sessions[n]);
    }
    pool_sweep(c->pool);
    child_sweep_login(c);
    child_sweep_nodes(c);
    child_sweep_address(c);
    catalog_sweep(c->host.catalog, io_now_ns(c->proc->io));
    child_look_at_nodes(c);
    child_look_at_holds(c);
    maybe_retire(c);
    note_cpu(c);
    limits_tell(&c->limits, c->pool);
    show_clients(c);
    if (c->host.tally != NULL)
        cache_tally_flush(c->host.tally);
    statement_tallies_flush(c->host.tallies);
    leave_when_done(c);
    if (cfg->child_life_time_ms > 0 && c->session_count == 0 && c->served > 0 &&
        idle_ms >= cfg->child_life_time_ms && !c->stopping && !c->retiring) {
        log_debug("idle for child_life_time: a new process takes this place");
        c->retiring = true;
        proc_retire(c->proc);
        close_doors(c);
    }
    io_timer_start(c->proc->io, &c->sweep, SWEEP_MS, sweep, c);
}

/* ---- life ---- */

/* With memqcache_method = memcached; what the parent has started with holds. */
static void
child_open_remote(struct child *c)
{
    const struct config *cfg = c->proc->config;
    struct remote_calls_options o = {.io = c->proc->io,
                                     .versions = c->proc->cache->versions,
                                     .secret = &c->proc->cache->secret,
                                     .servers = cfg->memqcache_memcached_host,
                                     .port = (uint16_t)cfg->memqcache_memcached_port,
                                     .answer_max = (size_t)cfg->memqcache_maxcache_bytes,
                                     .expire_s = (uint32_t)(cfg->memqcache_expire_ms / 1000),
                                     .patience_ms = REMOTE_PATIENCE_MS};
    struct err err;

    if (c->proc->cache->store == NULL && remote_calls_new(&o, &c->host.remote, &err) != 0)
        log_error_parts(LOG_LEVEL_WARNING, &err);
}

static struct child *
child_new(struct proc *p)
{
    struct child *c = xcalloc(1, sizeof(*c));
    struct pool_callbacks callbacks = child_pool_callbacks(c);
    struct err err;

    c->proc = c->limits.proc = p;
    c->slot = shared_child(p->shared, p->child_no);
    c->max_sessions = shared_layout(p->shared)->sessions_per_child;
    c->sessions = xcalloc(c->max_sessions, sizeof(struct session *));
    c->free_indexes = xmalloc(c->max_sessions * sizeof(uint32_t));
    for (uint32_t n = c->max_sessions; n-- > 0;)
        c->free_indexes[c->free_count++] = n;
    c->freshness = xcalloc(1, sizeof(*c->freshness));
    c->judged = xcalloc(1, sizeof(*c->judged));
    c->freshness->primary_id = c->last_primary_id = c->shut_primary_id = -1;
    c->idle_since_ns = io_now_ns(p->io);
    list_init(&c->cancels);
    if (dns_new(p->io, &c->dns, &err) != 0) {
        log_fatal("%s", err.message);
        exit(1);
    }
    c->pool = pool_new(p->io, c->dns, &callbacks);
    c->host = (struct session_host){
        .io = p->io,
        .pool = c->pool,
        .sql = sql_cache_new(SQL_CACHE_BYTES),
        .memo = shared_memo(p->shared),
        .catalog = catalog_new(shared_memo(p->shared)),
        .determinism = config_has_copies(p->config) ? sql_determinism_new() : NULL,
        .gates = p->gates != NULL ? gate_join(p->gates, p->child_no) : NULL,
        .view = &c->view,
        .cursor = &c->cursor,
        .counters = c->slot->nodes,
        .times = c->slot->times,
        .routed = c->slot->routed,
        .tallies = statement_tallies_new(p->statements, p->slot),
        .ended = session_ended,
    };
    if (p->cache != NULL) {
        c->host.cache = p->cache;
        c->host.doubts = cache_shared_join(p->cache, cache_owner_of_child(p->child_no));
        c->host.tally = cache_tally_new(p->cache->stats);
        c->host.admission = admission_new();
        child_open_remote(c);
    }
    if (c->host.determinism != NULL)
        c->host.knowledge = knowledge_new(KNOWLEDGE_BYTES);
    if (p->config->backend_clustering_mode == CONFIG_MODE_LOGICAL_REPLICATION)
        c->host.carried = c->carried = xcalloc(1, sizeof(*c->carried));
    child_fill_host(c, &c->host);
    session_host_init(&c->host);
    child_fill_login(c, &c->host);
    configure(c);
    child_watch_clock(c);
    child_rebuild_view(c);
    child_look_at_nodes(c);
    child_look_at_holds(c);
    return c;
}

static bool
child_free(struct child *c)
{
    bool left;

    for (uint32_t n = 0; n < c->listener_count; n++)
        io_listener_close(c->listeners[n]);
    for (uint32_t n = 0; n < c->held_count; n++)
        close(c->held[n]);
    io_timer_stop(&c->sweep);
    io_timer_stop(&c->recheck);
    io_timer_stop(&c->follow);
    io_timer_stop(&c->closing);
    io_timer_stop(&c->finish);
    io_timer_stop(&c->in_the_way);
    child_cancel_drop(c);
    session_host_fini(&c->host);
    left = remote_calls_free(c->host.remote);
    left |= child_drop_login(c);
    pool_free(c->pool);
    dns_free(c->dns);
    catalog_free(c->host.catalog);
    doubts_free(c->host.doubts);
    cache_tally_free(c->host.tally);
    admission_free(c->host.admission);
    statement_tallies_free(c->host.tallies);
    sql_normal_free(c->host.normal);
    sql_parameters_free(c->host.parameters);
    sql_cache_free((struct sql_cache *)c->host.sql);
    if (c->host.determinism != NULL) {
        sql_determinism_free(c->host.determinism);
        knowledge_free(c->host.knowledge);
    }
    gate_part(c->host.gates);
    tls_sides_free(&c->tls);
    route_rules_free(c->rules);
    free(c->freshness);
    free(c->carried);
    free(c->judged);
    free(c->free_indexes);
    free(c->sessions);
    free(c);
    return left;
}

void
child_main(struct proc *p)
{
    static const struct proc_ops ops = {on_config, on_inbox, on_wake, on_stop};
    struct child *c = child_new(p);

    c->accepting = true;
    atomic_store(&c->slot->accepting, 1);
    atomic_store(&c->slot->busy, 0);
    for (uint32_t n = 0; n < p->clients->count; n++)
        c->listeners[c->listener_count++] = io_listen(p->io, p->clients->list[n].fd, accepted, c);
    sweep(c);
    proc_run(p, &ops, c);
    if (child_free(c))
        _exit(0);
}

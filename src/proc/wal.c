/*
 * The wal process: writes that bypass this pgpool make the query cache's answers invalid, too
 * (cache_invalidation = wal).
 *
 * Reads the changes of each database that sessions want answers kept of, from the primary, by
 * logical replication; wal.h has the files and the proof. Which databases is said by the table of
 * streams, which sessions add to, with a wake. Invariant: all streams are of one primary, on one
 * timeline; where that is not known any more there are none, and no lease is renewed.
 */
#include "wal.h"

#include "auth/passwd.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "config/config.h"
#include "proc/tls.h"

#include <stdlib.h>
#include <string.h>

void
wal_target(struct wal *w, const char *database, struct ask_target *target_r)
{
    const struct config *cfg = w->proc->config;
    const struct config_backend *backend = &cfg->backends[w->primary_id];
    bool own = cfg->cache_wal_user[0] != '\0';
    const char *user = own ? cfg->cache_wal_user : cfg->sr_check_user;
    const char *configured = own ? cfg->cache_wal_password : cfg->sr_check_password;

    *target_r = (struct ask_target){.host = backend->hostname,
                                    .port = (uint16_t)backend->port,
                                    .user = user,
                                    .password = proc_password(w->passwords, user, configured),
                                    .database = database,
                                    .options = "-c search_path= -c statement_timeout=0",
                                    .tls = proc_ask_tls(cfg)};
}

const char *
wal_quote(const char *name, bool identifier, char quoted_r[WAL_QUOTED_BYTES])
{
    size_t len = 0;

    if (identifier)
        quoted_r[len++] = '"';
    for (; *name != '\0' && len + 4 < WAL_QUOTED_BYTES; name++) {
        if (*name == (identifier ? '"' : '\''))
            quoted_r[len++] = *name;
        quoted_r[len++] = *name;
    }
    if (identifier)
        quoted_r[len++] = '"';
    quoted_r[len] = '\0';
    return quoted_r;
}

void
wal_lose_all(struct wal *w, const struct err *err)
{
    for (uint32_t n = 0; n < CACHE_STREAMS_MAX; n++) {
        if (w->streams[n] != NULL)
            wal_stream_lose(w->streams[n], err);
    }
}

static void
show_title(struct wal *w)
{
    uint32_t count = 0;

    for (uint32_t n = 0; n < CACHE_STREAMS_MAX; n++)
        count += w->streams[n] != NULL;
    if (w->primary_id < 0)
        proc_title(w->proc, "no primary, %u databases", count);
    else
        proc_title(w->proc, "node %d, %u databases", w->primary_id, count);
}

/* ---- which databases ---- */

static uint32_t
find(const struct wal *w, uint32_t below, const char *database)
{
    char other[CACHE_STREAM_NAME_BYTES];

    for (uint32_t n = 0; n < below; n++) {
        if (w->streams[n] != NULL && cache_stream_database(w->cache->streams, n, other) &&
            strcmp(other, database) == 0)
            return n;
    }
    return CACHE_STREAMS_MAX;
}

static void
look_at_wanted(struct wal *w)
{
    char database[CACHE_STREAM_NAME_BYTES];

    for (uint32_t n = 0; n < CACHE_STREAMS_MAX; n++) {
        if (w->streams[n] != NULL || w->twin_of[n] != CACHE_STREAMS_MAX ||
            !cache_stream_database(w->cache->streams, n, database))
            continue;
        w->twin_of[n] = find(w, n, database);
        if (w->twin_of[n] == CACHE_STREAMS_MAX)
            w->streams[n] = wal_stream_new(w, n, database);
    }
    for (uint32_t n = 0; n < CACHE_STREAMS_MAX; n++) {
        if (w->streams[n] != NULL)
            wal_stream_look(w->streams[n]);
    }
}

/* ---- which server ---- */

static void
look_at_primary(struct wal *w)
{
    struct area *freshness = shared_freshness(w->proc->shared);
    struct area *nodes = shared_nodes(w->proc->shared);
    struct cluster_members members;
    uint32_t timeline = 0;
    struct err err;

    if (area_epoch(freshness) != w->freshness_epoch)
        w->freshness_epoch = area_read(freshness, w->freshness);
    if (area_epoch(nodes) != w->judged_epoch)
        w->judged_epoch = area_read(nodes, w->judged);
    cluster_members_from_config(&members, w->proc->config);
    cluster_view_build(&w->view, w->freshness, &members, w->judged);
    if (w->view.primary_id >= 0)
        timeline = w->freshness->nodes[w->view.primary_id].timeline;
    if (w->view.primary_id == w->primary_id && timeline == w->timeline)
        return;
    w->primary_id = w->view.primary_id;
    w->timeline = timeline;
    wal_watch_close(w->watch);
    err_set(&err, "57P01", w->primary_id < 0 ? "there is no primary" : "there is another primary");
    wal_lose_all(w, &err);
    show_title(w);
}

/* ---- events ---- */

static void
look(struct wal *w)
{
    look_at_primary(w);
    look_at_wanted(w);
    show_title(w);
}

static void
on_tick(void *ctx)
{
    struct wal *w = ctx;

    look(w);
    for (uint32_t n = 0; n < CACHE_STREAMS_MAX; n++) {
        if (w->streams[n] != NULL)
            wal_stream_tick(w->streams[n]);
    }
    wal_watch_tick(w->watch);
    io_timer_start(w->proc->io, &w->tick, WAL_TICK_MS, on_tick, w);
}

static void
on_wake(void *ctx)
{
    look(ctx);
}

static void
read_passwords(struct wal *w)
{
    proc_read_passwords(w->proc->config, w->proc->files->pool_key, &w->passwords);
}

/* Another server, user or publication: the simplest is to begin anew. */
static void
on_config(void *ctx, const struct config *before)
{
    struct wal *w = ctx;
    const struct config *cfg = w->proc->config;
    struct err err;

    read_passwords(w);
    w->freshness_epoch = w->judged_epoch = 0;
    if (w->primary_id >= 0 &&
        ((uint32_t)w->primary_id >= cfg->backend_count ||
         strcmp(cfg->backends[w->primary_id].hostname, before->backends[w->primary_id].hostname) ||
         cfg->backends[w->primary_id].port != before->backends[w->primary_id].port))
        w->primary_id = -1;
    err_set(&err, "57P01", "the configuration has changed");
    if (w->primary_id < 0 || strcmp(cfg->cache_wal_user, before->cache_wal_user) != 0 ||
        strcmp(cfg->cache_wal_publication, before->cache_wal_publication) != 0) {
        wal_watch_close(w->watch);
        wal_lose_all(w, &err);
    }
    look(w);
}

/* Somebody is about to do something to the database that does not bear other connections. */
static void
on_inbox(void *ctx, const struct inbox_msg *msg)
{
    struct wal *w = ctx;
    char database[CACHE_STREAM_NAME_BYTES];

    for (uint32_t n = 0; msg->kind == INBOX_CLOSE_IDLE && n < CACHE_STREAMS_MAX; n++) {
        if (w->streams[n] != NULL && cache_stream_database(w->cache->streams, n, database) &&
            (msg->node.words[0] == '\0' || strcmp(msg->node.words, database) == 0))
            wal_stream_lose(w->streams[n], NULL);
    }
}

void
wal_main(struct proc *p)
{
    static const struct proc_ops ops = {
        .on_config = on_config, .on_inbox = on_inbox, .on_wake = on_wake};
    struct wal *w = xcalloc(1, sizeof(*w));
    struct err err;

    w->proc = p;
    w->cache = p->cache;
    w->primary_id = w->view.primary_id = -1;
    w->freshness = xcalloc(1, sizeof(*w->freshness));
    w->judged = xcalloc(1, sizeof(*w->judged));
    w->catalog = catalog_new(shared_memo(p->shared));
    for (uint32_t n = 0; n < CACHE_STREAMS_MAX; n++)
        w->twin_of[n] = CACHE_STREAMS_MAX;
    if (dns_new(p->io, &w->dns, &err) != 0) {
        log_fatal("%s", err.message);
        exit(1);
    }
    cache_streams_end_leases(w->cache->streams);
    w->doubts = cache_shared_join(w->cache, cache_owner_of_wal(w->cache));
    w->watch = wal_watch_new(w);
    read_passwords(w);
    on_tick(w);
    proc_run(p, &ops, w);
    io_timer_stop(&w->tick);
    for (uint32_t n = 0; n < CACHE_STREAMS_MAX; n++) {
        if (w->streams[n] != NULL)
            wal_stream_free(w->streams[n]);
    }
    wal_watch_free(w->watch);
    doubts_free(w->doubts);
    dns_free(w->dns);
    passwd_free(w->passwords);
    catalog_free(w->catalog);
    free(w->freshness);
    free(w->judged);
    free(w);
}

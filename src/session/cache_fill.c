/*
 * Answers that are kept: of a read that was looked for in the cache in vain, judged by the catalog
 * when it is sent, collected while it passes, and put into the store when its cycle has ended well.
 *
 * Called by cache.c when the unit is sent, and by answers.c for what passes and for the end.
 * Invariants: the moment as of which it counts was taken before the catalog was asked; what is put
 * consists of nothing but the messages of one answer; whatever is not sure is not put. A session
 * has one buffer, while it lasts, and all sessions of a process have COLLECTED_MAX_BYTES together.
 */
#include "session/cache.h"

#include "cache/remote_calls.h"

#include <stdio.h>
#include <string.h>

enum { COLLECTED_MAX_BYTES = 32 * 1024 * 1024, READY_BYTES = 6, HURRY_MS = 100 };

/* ---- begin ---- */

/* May others' names be taken for the session's? */
static bool
knows_names(const struct session *s)
{
    return !s->defines && !s->tx_local_path && !s->pinned && list_empty(&s->settings.pending);
}

/* From when the node has everything. 0: nobody knows. */
static int64_t
fresh_as_of(const struct session *s, const struct server *server, int64_t now_ns)
{
    const struct cluster_view *view = s->host->view;

    if (server->created_ns < cache_renewed_ns(s->host->cache))
        return 0;
    if (server->node_id == view->primary_id)
        return server->is_standby ? 0 : now_ns;
    return MIN(now_ns, view->nodes[server->node_id].fresh_as_of_ns);
}

static bool
take_reads(const struct session *s, const struct catalog_tables *tables, struct read_set *reads)
{
    const struct cache_shared *cache = s->host->cache;
    uint32_t database = s->cache->database;

    if (tables->everything || (tables->roots && cache->by_stream))
        return false;
    read_set_init(reads, cache->versions, database);
    for (uint32_t n = 0; n < tables->n; n++) {
        if (!read_set_add(reads, cache->versions, database, tables->oids[n]))
            return false;
    }
    return true;
}

/* What was judged of the text before, while the catalog was the same. */
static bool
remembered(const struct catalog_scope *scope, const struct sql_memo *memo,
           struct catalog_tables *tables)
{
    if (scope->tag == 0 || memo->tables_scope != scope->tag || memo->tables_epoch != scope->epoch)
        return false;
    *tables = (struct catalog_tables){.n = memo->table_count, .roots = memo->table_roots};
    memcpy(tables->oids, memo->tables, sizeof(memo->tables));
    return true;
}

static void
remember(const struct catalog_scope *scope, struct sql_memo *memo,
         const struct catalog_tables *tables)
{
    if (tables->n > SQL_MEMO_TABLES || tables->everything)
        return;
    memo->tables_scope = scope->tag;
    memo->tables_epoch = scope->epoch;
    memo->table_count = (uint8_t)tables->n;
    memo->table_roots = tables->roots;
    memcpy(memo->tables, tables->oids, sizeof(memo->tables));
}

/* True: it is known what it reads, and that it does nothing else. */
static bool
judge(struct session *s, const struct sql_facts *f, struct catalog_tables *tables)
{
    const struct catalog_scope *scope = lookup_scope(s);
    const struct sql_statement *st = &f->statements[0];
    enum catalog_uncached why;

    if (likely(remembered(scope, f->memo, tables)))
        return true;
    switch (catalog_reads(s->host->catalog, scope, st, tables, &why)) {
    case CATALOG_TABLES_KNOWN:
        remember(scope, f->memo, tables);
        return true;
    case CATALOG_TABLES_UNKNOWN:
        catalog_question_add(&s->host->question, s->host->catalog, scope, st);
        return false;
    default:
        return false;
    }
}

/* For the views: who is counted. What reads one table alone says its name. */
static void
note_names(const struct session *s, const struct sql_facts *f, const struct catalog_tables *tables)
{
    struct cache_stats *stats = s->host->cache->stats;
    const struct sql_statement *st = &f->statements[0];
    const char *database = pool_key_database(s->key);
    char name[CACHE_STATS_TEXT_BYTES] = "";

    cache_stats_name_statement(stats, f->identity, database, f->text.data, f->text.len);
    if (tables->n == 1 && st->table_count == 1)
        snprintf(name, sizeof(name), "%.*s%s%.*s", (int)st->tables[0].schema.len,
                 st->tables[0].schema.data, st->tables[0].schema.len > 0 ? "." : "",
                 (int)st->tables[0].name.len, st->tables[0].name.data);
    for (uint32_t n = 0; n < tables->n; n++)
        cache_stats_name_table(stats, &(struct cache_stats_table){s->cache->database,
                                                                  tables->oids[n], database, name});
}

/* What a standby says would count if it were known to be as fresh as it may well be: while nobody
 * writes, lag asks seldom. */
static void
ask_for_freshness(struct session *s, const struct cache_fill *fill)
{
    int64_t now_ns = s->cache->as_of_ns;

    if (fill->facts.as_of_ns == now_ns || now_ns - s->host->hurried_ns < HURRY_MS * NS_PER_MS ||
        !versions_valid(s->host->cache->versions, &fill->facts.reads, now_ns))
        return;
    s->host->hurried_ns = now_ns;
    s->host->wrote(s->host->ctx, now_ns);
}

bool
cache_fill_begin(struct session *s, struct server *server, const struct sql_facts *f)
{
    struct session_cache *c = s->cache;
    struct cache_fill *fill = &c->fill;
    struct catalog_tables tables;

    cache_fill_drop(s);
    if (!knows_names(s) || c->unsettled || !judge(s, f, &tables))
        return false;
    fill->facts.as_of_ns = fresh_as_of(s, server, c->as_of_ns);
    if (fill->facts.as_of_ns <= 0 || !take_reads(s, &tables, &fill->facts.reads))
        return true;
    if (!versions_valid(s->host->cache->versions, &fill->facts.reads, fill->facts.as_of_ns)) {
        ask_for_freshness(s, fill);
        return true;
    }
    note_names(s, f, &tables);
    cache_tally_miss(s->host->tally, &fill->facts.reads, 0);
    fill->facts.note = 0;
    fill->key = c->key;
    fill->server = server;
    return true;
}

/* ---- collect ---- */

void
cache_fill_drop(struct session *s)
{
    struct cache_fill *fill = &s->cache->fill;

    s->host->collected_bytes -= fill->bytes.cap;
    buf_free(&fill->bytes);
    fill->whole = NULL;
    fill->server = NULL;
}

static bool
fits(const struct session_host *host, size_t len)
{
    return host->remote != NULL ? remote_calls_fit(host->remote, len)
                                : store_fits(host->cache->store, len);
}

static bool
may_grow(struct session *s, const struct cache_fill *fill, size_t more)
{
    size_t len = fill->bytes.len + more;

    return (len <= READY_BYTES || fits(s->host, len - READY_BYTES)) &&
           s->host->collected_bytes + more <= COLLECTED_MAX_BYTES;
}

/* With ReadyForQuery at the end, as far as that can be told: then its cycle ends before anything
 * else comes, and the bytes are there until then. */
static bool
seems_whole(const uint8_t *bytes, size_t len)
{
    static const uint8_t ready[] = {'Z', 0, 0, 0, 5};

    return len >= READY_BYTES && memcmp(bytes + len - READY_BYTES, ready, sizeof(ready)) == 0;
}

void
cache_passes(struct session *s, const struct server *server, const uint8_t *bytes, size_t len)
{
    struct cache_fill *fill = &s->cache->fill;
    size_t before;

    if (fill->server == NULL || fill->server != server)
        return;
    if (fill->whole != NULL || !may_grow(s, fill, len)) {
        cache_fill_drop(s);
        return;
    }
    if (fill->bytes.len == 0 && seems_whole(bytes, len)) {
        fill->whole = bytes;
        fill->whole_len = len;
        return;
    }
    before = fill->bytes.cap;
    buf_add(&fill->bytes, bytes, len);
    s->host->collected_bytes += fill->bytes.cap - before;
}

/* ---- end ---- */

/* The messages of one answer, and ReadyForQuery. An error, a notice, a parameter that has changed
 * or a notification among them belongs to this client alone. */
static bool
is_one_answer(const uint8_t *bytes, size_t len)
{
    uint32_t completed = 0;
    struct wire_header h;
    struct err err;
    size_t at = 0;

    for (; at + READY_BYTES < len; at += h.total_bytes) {
        if (wire_server_header(bytes + at, len - at, &h, &err) != WIRE_OK ||
            h.total_bytes > len - READY_BYTES - at || strchr("12tTnDC", h.type) == NULL)
            return false;
        completed += h.type == 'C';
        if (completed > 0 && h.type != 'C')
            return false; /* a second answer behind the first */
    }
    return completed == 1 && at + READY_BYTES == len && seems_whole(bytes, len);
}

/* Is the primary that it was judged for still the primary, by all that can be known? */
static bool
still_counts(struct session *s, const struct cache_fill *fill)
{
    s->host->refresh(s->host->ctx);
    return fill->primary_epoch == s->host->primary_epoch && s->host->view->primary_id >= 0 &&
           cache_is_open(s->host->cache);
}

static void
put(struct session_host *host, const struct cache_fill *fill, const uint8_t *bytes, size_t len)
{
    if (host->remote != NULL)
        remote_calls_put(host->remote, &fill->key, &fill->facts, bytes, len);
    else
        store_put(host->cache->store, &fill->key, &fill->facts, bytes, len);
}

void
cache_fill_end(struct session *s, struct server *server, bool failed)
{
    struct cache_fill *fill = &s->cache->fill;
    const uint8_t *bytes = fill->whole != NULL ? fill->whole : fill->bytes.data;
    size_t len = fill->whole != NULL ? fill->whole_len : fill->bytes.len;

    if (fill->server == NULL || fill->server != server)
        return;
    if (!failed && len > READY_BYTES && is_one_answer(bytes, len) && still_counts(s, fill))
        put(s->host, fill, bytes, len - READY_BYTES);
    cache_fill_drop(s);
}

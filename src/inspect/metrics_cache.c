/*
 * Metrics of the query cache. Called by metrics.c.
 */
#include "cache/shared.h"
#include "inspect/metrics_parts.h"
#include "os/clock.h"

#include <string.h>

/* ---- with a store of its own ---- */

static void
show_store(const struct store_numbers *n, struct metrics *m)
{
    const struct {
        const char *name;
        const char *type;
        uint64_t value;
        const char *help;
    } rows[] = {
        {"cache_hits_total", "counter", n->hits, "Answers given from the query cache."},
        {"cache_misses_total", "counter", n->misses, "Answers looked for there in vain."},
        {"cache_invalid_total", "counter", n->invalid,
         "Of these, those that had been written to since."},
        {"cache_expired_total", "counter", n->expired, "Of these, those that were too old."},
        {"cache_puts_total", "counter", n->puts, "Answers kept."},
        {"cache_evictions_total", "counter", n->evictions, "Answers that made room for others."},
        {"cache_entries", "gauge", n->entries, "Answers that are kept now."},
        {"cache_entries_limit", "gauge", n->entries_max, "memqcache_max_num_cache."},
        {"cache_bytes", "gauge", n->bytes_used, "Memory that they take."},
        {"cache_bytes_limit", "gauge", n->bytes_max, "Memory that there is for them."},
    };

    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        metrics_family(m, rows[r].name, rows[r].type, rows[r].help);
        metrics_count(m, NULL, rows[r].value);
    }
}

/* What is kept in memcached is not ours to count. */
static void
show_sums(const struct cache_shared *cache, struct metrics *m)
{
    struct cache_stats_sums sums;

    cache_stats_sums(cache->stats, &sums);
    metrics_family(m, "cache_hits_total", "counter", "Answers given from the query cache.");
    metrics_count(m, NULL, sums.hits);
    metrics_family(m, "cache_misses_total", "counter", "Answers looked for there in vain.");
    metrics_count(m, NULL, sums.misses);
}

/* ---- cache_invalidation = wal ---- */

enum wal_number { WAL_GOOD, WAL_LAG_TIME, WAL_LAG_BYTES, WAL_COMMITS };

static void
show_streams(struct cache_streams *s, struct metrics *m, enum wal_number what)
{
    int64_t now_ns = clock_monotonic_ns();

    for (uint32_t n = 0; n < CACHE_STREAMS_MAX; n++) {
        char database[CACHE_STREAM_NAME_BYTES];
        struct cache_stream_row r;
        const struct metrics_labels labels = {{{"database", database}}};

        if (!cache_stream_database(s, n, database) || !cache_stream_row(s, n, &r))
            continue;
        if (what == WAL_GOOD)
            metrics_count(m, &labels, cache_stream_is_good(s, n, now_ns));
        else if (what == WAL_LAG_TIME)
            metrics_time(m, &labels, r.lag_us);
        else
            metrics_count(m, &labels, what == WAL_COMMITS ? r.commits : r.lag_bytes);
    }
}

static void
show_wal(struct cache_streams *s, struct metrics *m)
{
    metrics_family(m, "cache_wal_good", "gauge",
                   "1: the changes of the database are followed, so that its answers count.");
    show_streams(s, m, WAL_GOOD);
    metrics_family(m, "cache_wal_lag_seconds", "gauge", "How far behind the changes that is.");
    show_streams(s, m, WAL_LAG_TIME);
    metrics_family(m, "cache_wal_lag_bytes", "gauge", "The same in bytes of WAL.");
    show_streams(s, m, WAL_LAG_BYTES);
    metrics_family(m, "cache_wal_commits_total", "counter",
                   "Transactions that wrote tables of it.");
    show_streams(s, m, WAL_COMMITS);
}

void
metrics_cache(const struct inspect_input *in, struct metrics *m)
{
    struct store_numbers numbers;

    if (in->cache == NULL)
        return;
    if (in->cache->store != NULL) {
        memset(&numbers, 0, sizeof(numbers));
        store_numbers(in->cache->store, &numbers);
        show_store(&numbers, m);
    } else {
        show_sums(in->cache, m);
    }
    if (in->cache->streams != NULL)
        show_wal(in->cache->streams, m);
}

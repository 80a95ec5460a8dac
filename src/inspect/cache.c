/*
 * SHOW pool_cache, pool_cache_tables and pool_cache_statements: what the query cache holds, and how
 * often it was of use.
 *
 * Called through include/tables/views.def. Sums over all processes, taken without locks. The two
 * long ones show what is counted, which is bounded (cache/stats.h); a child adds to it once a
 * second.
 */
#include "cache/shared.h"
#include "inspect/views.h"

#include <stdio.h>
#include <string.h>

enum { RATIO_BYTES = 8 };

static const char *
ratio(uint64_t hits, uint64_t misses, char text_r[RATIO_BYTES])
{
    double all = (double)hits + (double)misses;

    snprintf(text_r, RATIO_BYTES, "%.2f", all > 0 ? (double)hits / all : 0.0);
    return text_r;
}

/* What is kept in memcached is not ours to count. */
static void
take_numbers(const struct cache_shared *cache, struct store_numbers *n_r)
{
    struct cache_stats_sums sums;

    memset(n_r, 0, sizeof(*n_r));
    if (cache == NULL)
        return;
    if (cache->store != NULL) {
        store_numbers(cache->store, n_r);
        return;
    }
    cache_stats_sums(cache->stats, &sums);
    n_r->hits = sums.hits;
    n_r->misses = sums.misses;
}

void
inspect_pool_cache(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    char texts[8][VIEWS_NUMBER_BYTES];
    char part[RATIO_BYTES];
    struct store_numbers n;

    take_numbers(in->cache, &n);
    row(ctx,
        (const char *const[]){
            views_number((int64_t)n.hits, texts[0]), views_number((int64_t)n.misses, texts[1]),
            ratio(n.hits, n.misses, part), views_number((int64_t)n.entries_max, texts[2]),
            views_number((int64_t)n.entries, texts[3]), views_number((int64_t)n.entries, texts[4]),
            views_number((int64_t)n.bytes_used, texts[5]),
            views_number((int64_t)(n.bytes_max - n.bytes_used), texts[6]),
            views_number((int64_t)n.bytes_lost, texts[7])},
        9);
}

void
inspect_pool_cache_tables(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    char texts[4][VIEWS_NUMBER_BYTES];
    char part[RATIO_BYTES];
    struct cache_stats_row r;
    uint32_t at = 0;

    while (in->cache != NULL && cache_stats_next(in->cache->stats, CACHE_STATS_TABLES, &at, &r))
        row(ctx,
            (const char *const[]){
                r.database, views_number(r.oid, texts[0]), r.text,
                views_number((int64_t)r.hits, texts[1]), views_number((int64_t)r.misses, texts[2]),
                ratio(r.hits, r.misses, part), views_number((int64_t)r.written, texts[3])},
            7);
}

void
inspect_pool_cache_statements(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    char texts[2][VIEWS_NUMBER_BYTES];
    char part[RATIO_BYTES];
    struct cache_stats_row r;
    uint32_t at = 0;

    while (in->cache != NULL && cache_stats_next(in->cache->stats, CACHE_STATS_STATEMENTS, &at, &r))
        row(ctx,
            (const char *const[]){r.database, views_number((int64_t)r.hits, texts[0]),
                                  views_number((int64_t)r.misses, texts[1]),
                                  ratio(r.hits, r.misses, part), r.text},
            5);
}

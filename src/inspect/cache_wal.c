/*
 * The view pool_cache_wal: how the changes of each database are read whose answers are kept
 * (cache_invalidation = wal). A commit whose record ends before applied_lsn counts already;
 * good_for_ms: nothing is given from the cache when it is 0.
 */
#include "cache/shared.h"
#include "inspect/views.h"
#include "os/clock.h"

#include <stdio.h>

enum { LSN_BYTES = 32 };

struct texts {
    char node_id[VIEWS_NUMBER_BYTES];
    char since[VIEWS_TIME_BYTES];
    char received[LSN_BYTES];
    char applied[LSN_BYTES];
    char lag_bytes[VIEWS_NUMBER_BYTES];
    char lag_ms[VIEWS_NUMBER_BYTES];
    char commits[VIEWS_NUMBER_BYTES];
    char good_for_ms[VIEWS_NUMBER_BYTES];
};

static const char *
print_lsn(uint64_t lsn, char text_r[LSN_BYTES])
{
    snprintf(text_r, LSN_BYTES, "%X/%X", (unsigned)(lsn >> 32), (unsigned)lsn);
    return text_r;
}

void
inspect_pool_cache_wal(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    struct cache_streams *s = in->cache != NULL ? in->cache->streams : NULL;
    int64_t now_ns = clock_monotonic_ns();

    for (uint32_t n = 0; s != NULL && n < CACHE_STREAMS_MAX; n++) {
        char database[CACHE_STREAM_NAME_BYTES];
        struct cache_stream_row r;
        struct texts t;
        int64_t good_ns = atomic_load(cache_stream_lease(s, n)) - now_ns;

        if (!cache_stream_database(s, n, database) || !cache_stream_row(s, n, &r))
            continue;
        row(ctx,
            (const char *const[]){
                database,
                r.node_id >= 0 ? views_number(r.node_id, t.node_id) : "",
                r.slot,
                cache_stream_state_name(r.state),
                views_time(r.since_us, t.since),
                print_lsn(r.received_lsn, t.received),
                print_lsn(r.applied_lsn, t.applied),
                views_number((int64_t)r.lag_bytes, t.lag_bytes),
                views_number(r.lag_us / 1000, t.lag_ms),
                views_number((int64_t)r.commits, t.commits),
                views_number(MAX(good_ns, 0) / NS_PER_MS, t.good_for_ms),
                r.words,
            },
            12);
    }
}

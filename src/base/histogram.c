/*
 * What is read out of a histogram. Pure; called by those who show it.
 */
#include "base/histogram.h"

enum { FINE = 1 << HISTOGRAM_FINE_BITS };

static uint64_t
begin_of(uint32_t bucket)
{
    uint32_t shift;

    if (bucket < 2 * FINE)
        return bucket;
    shift = (bucket >> HISTOGRAM_FINE_BITS) - 1;
    return (uint64_t)(FINE + (bucket & (FINE - 1))) << shift;
}

uint64_t
histogram_bucket_end(uint32_t bucket)
{
    return begin_of(bucket + 1);
}

void
histogram_merge(struct histogram *h, const struct histogram *from)
{
    h->sum_us += from->sum_us;
    for (uint32_t n = 0; n < HISTOGRAM_BUCKETS; n++)
        h->counts[n] += from->counts[n];
}

uint64_t
histogram_count(const struct histogram *h)
{
    uint64_t count = 0;

    for (uint32_t n = 0; n < HISTOGRAM_BUCKETS; n++)
        count += h->counts[n];
    return count;
}

uint64_t
histogram_advance(const struct histogram *h, uint32_t *bucket_io, uint64_t bound_us)
{
    uint64_t count = 0;

    while (*bucket_io < HISTOGRAM_BUCKETS && histogram_bucket_end(*bucket_io) <= bound_us)
        count += h->counts[(*bucket_io)++];
    return count;
}

uint64_t
histogram_quantile(const struct histogram *h, unsigned thousandths)
{
    uint64_t all = histogram_count(h);
    uint64_t rank = all / 1000 * thousandths + (all % 1000 * thousandths + 999) / 1000;
    uint64_t seen = 0;

    if (all == 0)
        return 0;
    rank = MIN(MAX(rank, (uint64_t)1), all);
    for (uint32_t n = 0; n < HISTOGRAM_BUCKETS; n++) {
        seen += h->counts[n];
        if (seen >= rank)
            return begin_of(n) + (histogram_bucket_end(n) - begin_of(n)) / 2;
    }
    return histogram_bucket_end(HISTOGRAM_BUCKETS - 1);
}

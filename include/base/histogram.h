/*
 * A histogram of durations, after HdrHistogram: one add, a fixed size, no memory of its own.
 *
 * Buckets lie closer where values are small: 16 of equal width in each power of two, so a value is
 * known within 1/16. All zeroes is an empty one, so that it may lie in shared memory that one
 * process writes and others read without a lock: what a reader sees is at most a few values old.
 * Unit: microseconds, from 0 to about 19 hours; what is longer counts as that.
 * Source: the idea of Gil Tene's HdrHistogram (decision 0024).
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include "base/util.h"

enum {
    HISTOGRAM_FINE_BITS = 4,
    HISTOGRAM_TOP_BIT = 36, /* values are below 2^36 */
    HISTOGRAM_BUCKETS = (HISTOGRAM_TOP_BIT - HISTOGRAM_FINE_BITS + 1) << HISTOGRAM_FINE_BITS,
};

struct histogram {
    uint64_t sum_us;
    uint64_t counts[HISTOGRAM_BUCKETS];
};

/* The bucket of a value. */
static inline uint32_t
histogram_bucket(uint64_t value_us)
{
    const uint64_t most = (UINT64_C(1) << HISTOGRAM_TOP_BIT) - 1;
    unsigned shift;

    value_us = MIN(value_us, most);
    if (value_us < 1U << HISTOGRAM_FINE_BITS)
        return (uint32_t)value_us;
    shift = 63U - (unsigned)__builtin_clzll(value_us) - HISTOGRAM_FINE_BITS;
    return (uint32_t)((shift << HISTOGRAM_FINE_BITS) + (value_us >> shift));
}

/* The least value that lies behind it. */
uint64_t histogram_bucket_end(uint32_t bucket);

static inline void
histogram_add(struct histogram *h, int64_t value_ns)
{
    uint64_t value_us = value_ns > 0 ? (uint64_t)value_ns / 1000 : 0;

    h->sum_us += value_us;
    h->counts[histogram_bucket(value_us)]++;
}

/* Adds all that is in `from`. */
void histogram_merge(struct histogram *h, const struct histogram *from);

uint64_t histogram_count(const struct histogram *h);

/* How many values lie in the buckets from *bucket_io on that end at the bound or before it; behind
 * those it stands then. From 0 on with growing bounds: what is below each of them, piece by piece.
 */
uint64_t histogram_advance(const struct histogram *h, uint32_t *bucket_io, uint64_t bound_us);

/* The value that so many thousandths of all do not exceed (0 to 1000), as the middle of its bucket;
 * 0 when there is none. */
uint64_t histogram_quantile(const struct histogram *h, unsigned thousandths);

#endif

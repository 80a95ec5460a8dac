/*
 * How fresh a standby is: pairs of moments and WAL positions, and what they prove.
 *
 * A pair (t, L) says: everything that was committed before t lies before L in the WAL. It is made
 * by noting the clock and then asking the primary for its insert position. A standby on the
 * same timeline that has replayed up to L is therefore fresh as of t, whenever it is asked. Pairs
 * are kept for a while, so that a standby that is behind is judged by the pairs of the past.
 *
 * Pure. Times are CLOCK_MONOTONIC in nanoseconds, positions bytes of WAL.
 */
#ifndef CLUSTER_FRESH_H
#define CLUSTER_FRESH_H

#include "base/util.h"

enum { CLUSTER_FRESH_PAIRS = 64 };

struct cluster_fresh_pair {
    int64_t t_ns;     /* the last moment at which the primary stood there, */
    int64_t first_ns; /* and the first */
    uint64_t lsn;
};

/* Oldest first, all columns ascending. All zeroes is an empty one. */
struct cluster_fresh {
    uint32_t count;
    struct cluster_fresh_pair pairs[CLUSTER_FRESH_PAIRS];
};

/*
 * An insert position as replay will reach it. Right at the beginning of a page the server reports
 * the position behind the page's header, while replay on an idle primary stops in front of it; the
 * header's length (long on the first page of a segment) is taken off. Sizes in bytes as the
 * server has them, 0 for the usual ones (8 kB pages, 16 MB segments).
 */
uint64_t cluster_fresh_target(uint64_t insert_lsn, uint32_t block_bytes, uint32_t segment_bytes);

/* Adds a pair; lsn as cluster_fresh_target gives it. A pair that goes back in time or position is
 * dropped (the caller clears the history when the primary changed). When full, a pair is given up
 * so that old moments are known less exactly, never wrongly. */
void cluster_fresh_note(struct cluster_fresh *history, int64_t t_ns, uint64_t lsn);

/* The latest moment that a standby with this replay position is fresh as of; 0 when none is
 * proved. */
int64_t cluster_fresh_as_of(const struct cluster_fresh *history, uint64_t replay_lsn);

/* How far behind the newest pair it is. 0 when it has reached that. */
uint64_t cluster_fresh_delay_bytes(const struct cluster_fresh *history, uint64_t replay_lsn);

/* For how long it has been behind: the time since the oldest known moment at which something stood
 * in the WAL that it has not replayed yet. Never more than the truth; less by at most the distance
 * of two pairs. 0 when it has reached the newest pair. */
int64_t cluster_fresh_delay_us(const struct cluster_fresh *history, uint64_t replay_lsn,
                               int64_t now_ns);

#endif

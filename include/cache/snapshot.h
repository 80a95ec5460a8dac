/*
 * Which transactions of the primary have ended, as a snapshot of it says (txid_current_snapshot).
 *
 * Source: PostgreSQL's manual, chapter "System Information Functions", section "Transaction ID and
 * Snapshot Information Functions".
 */
#ifndef CACHE_SNAPSHOT_H
#define CACHE_SNAPSHOT_H

#include "base/util.h"

#include <stdbool.h>

struct cache_snapshot {
    uint64_t xmin; /* all below have ended */
    uint64_t xmax; /* none from here on has, as far as this says */
    uint32_t n;
    uint32_t cap;
    uint64_t *running; /* between the two, ascending */
};

/* All zeroes is an empty one. */
void cache_snapshot_free(struct cache_snapshot *s);

/* Reads "10:20:10,14,15" in place of what it holds. False: that is no snapshot; it is empty then.
 */
bool cache_snapshot_read(struct cache_snapshot *s, const char *text);

/* Has the transaction with this number (its lower 32 bits, no more than 2^31 from xmax) ended, so
 * that every later snapshot sees what it has committed? */
bool cache_snapshot_ended(const struct cache_snapshot *s, uint32_t xid);

#endif

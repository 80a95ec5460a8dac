/*
 * The last hour of this pgpool, for the plots of the status page: a sample every few seconds in a
 * ring of fixed size.
 *
 * In the memory of the process that takes them (http): a new one of its kind begins with nothing.
 * Made of the same counters as SHOW and the metrics; asks nobody, never blocks.
 */
#ifndef INSPECT_HISTORY_H
#define INSPECT_HISTORY_H

#include "base/buf.h"
#include "inspect/inspect.h"

struct history;

enum {
    HISTORY_EVERY_MS = 5000,
    HISTORY_SAMPLES = 3600 * 1000 / HISTORY_EVERY_MS,
    HISTORY_NODES = 16, /* the nodes with lower numbers are told apart */
};

struct history *history_new(void);
void history_free(struct history *h); /* NULL is allowed */

/* What happened since the last call becomes a sample; the first call only remembers the counters.
 * Times are the wall clock, and CLOCK_MONOTONIC for rates. */
void history_take(struct history *h, const struct inspect_input *in, int64_t now_us,
                  int64_t now_ns);

/* Appends an object (JSON): the names of the fields, and the samples from number `from` on (they
 * count from 0), as far as they are kept. */
void history_json(const struct history *h, uint64_t from, struct buf *out);

/* The same for one sample made now, of what is not a rate: clients, connections and their limits.
 */
void history_json_now(const struct inspect_input *in, struct buf *out);

#endif

/*
 * The parts of inspect/metrics.h; for the files metrics*.c of this room.
 */
#ifndef INSPECT_METRICS_PARTS_H
#define INSPECT_METRICS_PARTS_H

#include "inspect/inspect.h"
#include "inspect/metrics_text.h"

/* Of nodes: state, lag, counters, health checks. */
void metrics_nodes(const struct inspect_input *in, struct metrics *m);

/* Clients and server connections, by database. */
void metrics_clients(const struct inspect_input *in, struct metrics *m);

/* Histograms, by node. */
void metrics_times(const struct inspect_input *in, struct metrics *m);

/* The list of statements. Nothing where none are counted. */
void metrics_statements(const struct inspect_input *in, struct metrics *m);

/* The pgpools of the cluster. Nothing without a watchdog. */
void metrics_watchdog(const struct inspect_input *in, struct metrics *m);

/* The query cache. Nothing where there is none. */
void metrics_cache(const struct inspect_input *in, struct metrics *m);

#endif

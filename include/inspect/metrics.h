/*
 * Everything that pgpool counts and measures of itself, for Prometheus.
 */
#ifndef INSPECT_METRICS_H
#define INSPECT_METRICS_H

#include "inspect/inspect.h"

/* Appends all families in the text format (inspect/metrics_text.h). Reads shared memory only; its
 * length grows with nodes and databases, not with clients. */
void inspect_metrics(const struct inspect_input *in, struct buf *out);

#endif

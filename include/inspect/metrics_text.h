/*
 * Prometheus' text format, version 0.0.4: families of samples, written one behind the other.
 *
 * Source: Prometheus' documentation, "Exposition formats".
 */
#ifndef INSPECT_METRICS_TEXT_H
#define INSPECT_METRICS_TEXT_H

#include "base/buf.h"

struct metrics_label {
    const char *name;
    const char *value; /* any bytes; what is no UTF-8 becomes U+FFFD */
};

enum { METRICS_LABELS_MAX = 4 };

/* Of one sample: labels end with the first without a name. */
struct metrics_labels {
    struct metrics_label list[METRICS_LABELS_MAX];
};

struct metrics {
    struct buf *out;
    const char *name; /* of the family that is being written */
};

/* Begins one: the name without "pgpool_", type "counter", "gauge" or "histogram". help: one line of
 * plain text. Names are used as they are and must be borrowed until the next family. */
void metrics_family(struct metrics *m, const char *name, const char *type, const char *help);

/* labels may be NULL. */
void metrics_count(struct metrics *m, const struct metrics_labels *labels, uint64_t value);

/* Microseconds, shown as seconds. */
void metrics_time(struct metrics *m, const struct metrics_labels *labels, int64_t value_us);

/* The same with something behind the family's name, for histograms: "_sum", "_count", "_bucket". */
void metrics_part_count(struct metrics *m, const char *suffix, const struct metrics_labels *labels,
                        uint64_t value);
void metrics_part_time(struct metrics *m, const char *suffix, const struct metrics_labels *labels,
                       int64_t value_us);

enum { METRICS_NUMBER_BYTES = 32 };

/* Writes microseconds as seconds with all digits that count ("0.000064", "3"). Returns text_r. */
const char *metrics_seconds(int64_t value_us, char text_r[METRICS_NUMBER_BYTES]);

#endif

/*
 * What has happened, for the status page: the failover process's events (SHOW pool_events), and
 * beside them what the process that shows them has noticed itself, in a ring of fixed size.
 */
#ifndef INSPECT_HAPPENINGS_H
#define INSPECT_HAPPENINGS_H

#include "base/buf.h"
#include "inspect/inspect.h"

enum { HAPPENINGS_MAX = 64, HAPPENING_KIND_BYTES = 24, HAPPENING_TEXT_BYTES = 192 };

struct happening {
    int64_t at_us; /* wall clock */
    char kind[HAPPENING_KIND_BYTES];
    char text[HAPPENING_TEXT_BYTES];
};

/* Number n lies at n modulo the size. All zeroes: nothing has. */
struct happenings {
    uint64_t total;
    struct happening list[HAPPENINGS_MAX];
};

/* One more; words that are too long are cut. */
void happenings_note(struct happenings *h, int64_t at_us, const char *kind, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Another number whenever there is something new. */
uint64_t happenings_version(const struct happenings *h, const struct inspect_input *in);

/* Appends an array (JSON) of all of both, each kind from the oldest to the newest: at_ms, node_id
 * (or null), event, text. Nothing in a build without HTTP. */
void happenings_json(const struct happenings *h, const struct inspect_input *in, struct buf *out);

#endif

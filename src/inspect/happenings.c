/*
 * Events for the status page. Called by proc/http.c and its files.
 */
#include "inspect/happenings.h"

#include "base/arena.h"
#include "base/str.h"
#include "cluster/nodes.h"
#include "inspect/json.h"
#include "ipc/shared.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
happenings_note(struct happenings *h, int64_t at_us, const char *kind, const char *fmt, ...)
{
    struct happening *one = &h->list[h->total++ % HAPPENINGS_MAX];
    va_list args;

    one->at_us = at_us;
    str_copy(one->kind, sizeof(one->kind), kind);
    va_start(args, fmt);
    vsnprintf(one->text, sizeof(one->text), fmt, args);
    va_end(args);
}

uint64_t
happenings_version(const struct happenings *h, const struct inspect_input *in)
{
    return h->total + area_epoch(shared_events(in->shared));
}

/* ---- as text ---- */

struct line {
    int64_t at_us;
    int32_t node_id;
    const char *event;
    const char *text;
};

static void
print(const struct line *l, bool first, struct buf *out)
{
    buf_printf(out, "%s{\"at_ms\":%" PRId64 ",\"node_id\":", first ? "\n" : ",\n", l->at_us / 1000);
    if (l->node_id >= 0)
        buf_printf(out, "%d", (int)l->node_id);
    else
        buf_add_str(out, "null");
    buf_add_str(out, ",\"event\":");
    inspect_json_text(l->event, out);
    buf_add_str(out, ",\"text\":");
    inspect_json_text(l->text, out);
    buf_add_str(out, "}");
}

static bool
print_events(const struct inspect_input *in, struct buf *out)
{
    struct cluster_events *events = xcalloc(1, sizeof(*events));
    bool first = true;
    uint64_t n;

    area_read(shared_events(in->shared), events);
    n = events->total > CLUSTER_EVENTS_MAX ? events->total - CLUSTER_EVENTS_MAX : 0;
    for (; n < events->total; n++) {
        const struct cluster_event *e = &events->list[n % CLUSTER_EVENTS_MAX];

        print(&(struct line){e->at_us, e->node_id, node_event_name((enum node_event)e->event),
                             e->text},
              first, out);
        first = false;
    }
    free(events);
    return first;
}

void
happenings_json(const struct happenings *h, const struct inspect_input *in, struct buf *out)
{
    uint64_t n = h->total > HAPPENINGS_MAX ? h->total - HAPPENINGS_MAX : 0;
    bool first;

    buf_add_str(out, "[");
    first = print_events(in, out);
    for (; n < h->total; n++) {
        const struct happening *one = &h->list[n % HAPPENINGS_MAX];

        print(&(struct line){one->at_us, -1, one->kind, one->text}, first, out);
        first = false;
    }
    buf_add_str(out, "\n]\n");
}

/*
 * Snapshots of the primary, from their text.
 */
#include "cache/snapshot.h"

#include "base/arena.h"

#include <errno.h>
#include <stdlib.h>

void
cache_snapshot_free(struct cache_snapshot *s)
{
    free(s->running);
    *s = (struct cache_snapshot){0};
}

/* Digits, and the byte behind them, which is passed. */
static bool
read_number(const char **at_io, char end, uint64_t *value_r)
{
    char *rest;

    if (**at_io < '0' || **at_io > '9')
        return false;
    errno = 0;
    *value_r = strtoull(*at_io, &rest, 10);
    if (errno != 0 || *rest != end)
        return false;
    *at_io = rest + 1;
    return true;
}

static void
add(struct cache_snapshot *s, uint64_t xid)
{
    if (s->n == s->cap) {
        s->cap = s->cap == 0 ? 64 : 2 * s->cap;
        s->running = xrealloc(s->running, s->cap * sizeof(*s->running));
    }
    s->running[s->n++] = xid;
}

static bool
read_running(struct cache_snapshot *s, const char *at)
{
    uint64_t last = 0;
    uint64_t xid;

    while (*at != '\0') {
        const char *end = at;

        while (*end >= '0' && *end <= '9')
            end++;
        if (!read_number(&at, *end, &xid) || (*end != ',' && *end != '\0'))
            return false;
        if (xid < s->xmin || xid >= s->xmax || xid <= last)
            return false;
        add(s, xid);
        last = xid;
        if (*end == '\0')
            return true;
    }
    return s->n == 0;
}

bool
cache_snapshot_read(struct cache_snapshot *s, const char *text)
{
    s->n = 0;
    if (read_number(&text, ':', &s->xmin) && read_number(&text, ':', &s->xmax) &&
        s->xmin <= s->xmax && read_running(s, text))
        return true;
    s->xmin = s->xmax = 0;
    s->n = 0;
    return false;
}

bool
cache_snapshot_ended(const struct cache_snapshot *s, uint32_t xid)
{
    int64_t before = (int32_t)(xid - (uint32_t)s->xmax);
    uint64_t whole = s->xmax + (uint64_t)before;
    uint32_t low = 0;
    uint32_t high = s->n;

    if (before >= 0)
        return false;
    if (whole < s->xmin)
        return true;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (s->running[middle] < whole)
            low = middle + 1;
        else
            high = middle;
    }
    return low == s->n || s->running[low] != whole;
}

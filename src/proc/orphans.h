/*
 * What was left behind at servers and may still write: when it has ended, the query cache gives
 * these tables again. For the lag process.
 *
 * Two things are waited for. Server processes whose connection was lost, or whose child has died,
 * with a write whose end is not known (cache_orphan_add): until they have ended, at the node where
 * they were. And, after a start, an upgrade, or when there were too many of those: any statement of
 * any client that began before, at the primary, since nobody knows what was left behind there.
 */
#ifndef PROC_ORPHANS_H
#define PROC_ORPHANS_H

#include "os/ask.h"
#include "os/dns.h"
#include "proc/proc.h"

struct orphans;

/* What the lag process knows. */
struct orphans_host {
    int (*primary)(void *ctx); /* -1: none is known */
    bool (*reachable)(void *ctx, int node_id);
    /* False: there is no such node. Borrowed until the next call. */
    bool (*target)(void *ctx, int node_id, struct ask_target *target_r);
};

/* NULL where there is no cache. host is borrowed. */
struct orphans *orphans_new(struct proc *p, struct dns *dns, const struct orphans_host *host,
                            void *ctx);
void orphans_free(struct orphans *o); /* NULL: nothing */

#endif

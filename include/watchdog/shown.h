/*
 * What the watchdog shows of itself: from its state to the payload that views read. Pure.
 */
#ifndef WATCHDOG_SHOWN_H
#define WATCHDOG_SHOWN_H

#include "cluster/pgpools.h"
#include "watchdog/watchdog.h"

/* What the state does not hold. Borrowed during the call. */
struct wd_shown_more {
    const char *endpoint; /* etcd_client_endpoint */
    /* Where the member's node list is another than ours, "" when it is the same or not known:
     * wd_asker_difference. NULL: nobody knows. */
    const char *(*difference)(void *ctx, uint32_t id);
    void *ctx;
};

/* Writes all of *shown; for the process of the watchdog, after each turn. Publish it when it
 * differs from what was published (memcmp: all bytes are written), but for its moments at most
 * every 100 ms or so. */
void wd_shown_fill(const struct wd *wd, const struct wd_config *config,
                   const struct wd_shown_more *more, struct cluster_pgpools *shown);

#endif

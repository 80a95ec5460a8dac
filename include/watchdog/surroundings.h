/*
 * The surroundings: whether clients can reach this machine, as far as that can be told from here.
 *
 * For the process of the watchdog, on its loop; nothing here blocks. trusted_servers are asked
 * every SURROUNDINGS_ASK_MS by trusted_server_command, all at the same time; one that answers is
 * enough. The interfaces of wd_monitoring_interfaces_list are looked at every SURROUNDINGS_LOOK_MS;
 * one that is up and connected is enough. Where nothing is configured all is well.
 */
#ifndef WATCHDOG_SURROUNDINGS_H
#define WATCHDOG_SURROUNDINGS_H

#include "config/config.h"
#include "os/io.h"

#include <stdbool.h>

enum {
    SURROUNDINGS_ASK_MS = 10000,    /* from the end of one round to the next */
    SURROUNDINGS_ANSWER_MS = 10000, /* what runs longer has not answered */
    SURROUNDINGS_LOOK_MS = 1000,
};

struct wd_surroundings;

struct wd_surroundings_ops {
    /* It has changed: tell the watchdog WD_SURROUNDINGS with it. All is well at first. */
    void (*changed)(void *ctx, bool are_there);
};

/* Both lists are copied; io and ops must outlive it. Begins at once, but calls nothing in here. */
struct wd_surroundings *wd_surroundings_new(struct io *io, const struct config *config,
                                            const struct wd_surroundings_ops *ops, void *ctx);
/* No callback runs any more; allowed in its own. NULL is allowed. */
void wd_surroundings_free(struct wd_surroundings *s);

/* After a reload: trusted_server_command may be another one. */
void wd_surroundings_reload(struct wd_surroundings *s, const struct config *config);

#endif

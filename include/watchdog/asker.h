/*
 * What the watchdog asks of etcd, asked: requests of watchdog/watchdog.h over os/etcd_client.h.
 *
 * The only file of this room that does I/O, through the client that it was given.
 */
#ifndef WATCHDOG_ASKER_H
#define WATCHDOG_ASKER_H

#include "os/etcd_client.h"
#include "watchdog/watchdog.h"

struct wd_asker;

struct wd_asker_ops {
    /* A request has ended: event is WD_ANSWERED, without a moment. payload: of the state of a FETCH
     * that is WD_OK, else NULL. err: why it is not WD_OK, for people; NULL when etcd only said no.
     * All of it is valid during the call. */
    void (*answered)(void *ctx, const struct wd_event *event, const char *payload,
                     const struct err *err);
    /* WD_CHANGED is due. */
    void (*changed)(void *ctx);
};

/* client and ops are borrowed, the prefix is copied. */
struct wd_asker *wd_asker_new(struct etcd_client *client, const char *prefix,
                              const struct wd_asker_ops *ops, void *ctx);
/* No callback runs any more. Allowed in its own callbacks. NULL is allowed. */
void wd_asker_free(struct wd_asker *asker);

/* Our list of nodes (wd_nodes_print), to be told to the others and compared with theirs; copied.
 * Before the first request, and again when it changes. */
void wd_asker_set_nodes(struct wd_asker *asker, const char *nodes);

/* Where the list of that member was another one than ours when etcd was last asked; "": it is the
 * same, or there is no such member. Valid until the next callback. The log tells of it, once. */
const char *wd_asker_difference(const struct wd_asker *asker, uint32_t id);

/* For a WD_DO_ASK; wd and config as they are then. payload: of COMMIT, borrowed during the call:
 * the one that was proposed, or, for proposal 0, the one that is committed. */
void wd_asker_ask(struct wd_asker *asker, const struct wd *wd, const struct wd_config *config,
                  const struct wd_action *action, const char *payload);

#endif

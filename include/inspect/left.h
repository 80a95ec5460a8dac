/*
 * What a pause or a drain still waits for: server connections that are there and must not be.
 */
#ifndef INSPECT_LEFT_H
#define INSPECT_LEFT_H

#include "ipc/holds.h"

struct shared;

/* One of them, in words, such as `user "app" of database "shop" from 10.0.0.7, node 0: in a
 * transaction`. Valid during the call. */
typedef void inspect_left_fn(void *ctx, const char *words);

/* How many there are. 0: there are none, and there will be none while it is in force. fn may be
 * NULL. Reads shared memory only. */
uint32_t inspect_left(struct shared *shared, const struct hold_request *r, inspect_left_fn *fn,
                      void *ctx);

/* The same of HOLD_WRITES: transactions, and sessions with something on the copies. */
uint32_t inspect_in_the_way(struct shared *shared);
/* Sessions for whose keeps (struct session_slot) fn says so. */
uint32_t inspect_keeping(struct shared *shared, bool (*fn)(uint32_t keeps));

/* Clients that wait because of it. */
uint32_t inspect_held(struct shared *shared, const struct hold_request *r);

#endif

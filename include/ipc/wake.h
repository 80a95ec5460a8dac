/*
 * Wake: one eventfd per process slot that says "an area that you read has a new epoch".
 *
 * Many wakes before the process looks are one wake. Never blocks, cannot fail.
 */
#ifndef IPC_WAKE_H
#define IPC_WAKE_H

#include "base/err.h"
#include "base/util.h"

struct wakes;

/* Before any fork. */
int wakes_new(uint32_t slot_count, struct wakes **w_r, struct err *err);
void wakes_free(struct wakes *w);

void wake_send(struct wakes *w, uint32_t slot);

/* Every slot but our own (our_slot), which may be UINT32_MAX. */
void wake_send_all(struct wakes *w, uint32_t our_slot);

/* Becomes readable when woken: for io_watch. */
int wake_fd(const struct wakes *w, uint32_t slot);

/* Takes the wakes away. Drain first, then look at the areas: nothing is missed. */
void wake_drain(struct wakes *w, uint32_t slot);

#endif

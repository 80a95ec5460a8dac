/*
 * Whose turn it is to accept; for child.c.
 */
#ifndef PROC_TURN_H
#define PROC_TURN_H

#include "ipc/shared.h"

#include <stdbool.h>
#include <stdint.h>

/* The child that asks: its own numbers are newer than those that it shows. */
struct turn_self {
    uint32_t child_no;
    uint32_t sessions;
    uint32_t max_sessions; /* the same for all of them */
    bool takes;            /* it could take another client */
};

/* The child that accepts the next client: every one finds the same. UINT32_MAX: all are full. */
uint32_t turn_whose(struct shared *sh, const struct turn_self *self);

#endif

/*
 * How many connections to a node this child may have, beside the others: max_backend_connections
 * is for all of them.
 *
 * While several want more than there are, each has its share: one that has less asks the others,
 * and who has more lets one go.
 */
#ifndef PROC_LIMITS_H
#define PROC_LIMITS_H

#include "pool/pool.h"

struct proc;

struct limits {
    struct proc *proc;
    uint32_t turn;   /* the child that is asked next */
    int64_t told_ns; /* when the log was told that clients wait; 0: never */
};

/* What the child's pool asks; l must live as long as the pool. */
struct pool_places limits_places(struct limits *l);

/* May the process that asks have the place of a connection that is in use here? */
bool limits_owes(struct limits *l, uint32_t from_slot, int node_id);

/* Tells the log that clients wait, once a minute; to be called each second. */
void limits_tell(struct limits *l, uint32_t waiting);

#endif

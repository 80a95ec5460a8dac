/*
 * What a process that answers questions about pgpool (pcp, http) knows of the cluster: made from
 * the areas that lag and the failover process write, and kept as new as those are.
 */
#ifndef PROC_INSPECTION_H
#define PROC_INSPECTION_H

#include "cluster/nodes.h"
#include "cluster/view.h"
#include "inspect/inspect.h"

struct proc;

struct proc_inspection {
    struct proc *proc;
    struct inspect_input input; /* points into this struct, which must not move */
    struct cluster_view view;
    struct cluster_freshness freshness;
    uint64_t freshness_epoch;
    struct cluster_nodes nodes;
    uint64_t nodes_epoch;
};

void proc_inspection_init(struct proc_inspection *i, struct proc *p);

/* Looks at the areas; two loads when nothing is new. */
void proc_inspection_look(struct proc_inspection *i);

/* The configuration is another. */
void proc_inspection_configure(struct proc_inspection *i);

#endif

/*
 * The states of a node, and what each of them means. Table: include/tables/node_states.def.
 */
#ifndef CLUSTER_STATES_H
#define CLUSTER_STATES_H

#include "base/util.h"

#include <stdbool.h>

enum node_state {
#define NODE_STATE(id, name, status, word, reads, writes, advice) NODE_##id,
#include "tables/node_states.def"
#undef NODE_STATE
    NODE_STATES
};

struct node_state_info {
    const char *name;
    int status;       /* Pgpool-II's number: 0 unused, 1 waiting, 2 up, 3 down */
    const char *word; /* Pgpool-II's word; "up" is shown as "waiting" (1) by whoever counts
                       * connections, while there is none */
    bool reads;
    bool writes;
    const char *advice;
};

/* Never NULL; what is no state is UNUSED. */
const struct node_state_info *node_state_info(enum node_state state);

/* By its name; -1 when there is none of that name. */
int node_state_parse(const char *name);

#endif

/*
 * The table of node states, as data. Used by everybody who shows or prints one. Pure.
 */
#include "cluster/states.h"

#include <string.h>

static const struct node_state_info infos[NODE_STATES] = {
#define NODE_STATE(id, name, status, word, reads, writes, advice)                                  \
    [NODE_##id] = {name, status, word, reads, writes, advice},
#include "tables/node_states.def"
#undef NODE_STATE
};

const struct node_state_info *
node_state_info(enum node_state state)
{
    return &infos[(unsigned)state < NODE_STATES ? state : NODE_UNUSED];
}

int
node_state_parse(const char *name)
{
    for (int state = 0; state < NODE_STATES; state++)
        if (strcmp(infos[state].name, name) == 0)
            return state;
    return -1;
}

/*
 * The servers of the plan's random test, with true histories: branches that fork at a position.
 */
#ifndef TEST_CLUSTER_FIELD_H
#define TEST_CLUSTER_FIELD_H

#include "base/util.h"

#include <stdbool.h>

enum { NODES_MAX = 4, BRANCHES_MAX = 256 };

struct branch {
    int parent;
    uint64_t fork_lsn;
    uint32_t timeline;
    uint64_t epoch; /* in which the plan told to make it; 0: somebody else did */
};

struct server {
    bool running;
    bool frozen; /* SIGSTOP, or cut off from pgpool and the others */
    bool paused; /* receives nothing */
    bool in_recovery;
    bool promotes_late; /* was told, and will do it some time */
    uint64_t told_epoch;
    int upstream;
    int branch;
    uint64_t lsn;
    int misses; /* probes since the last answer */
};

struct field {
    struct server servers[NODES_MAX];
    struct branch branches[BRANCHES_MAX];
    int branch_count;
    int nodes;
    bool quiet; /* no faults any more */
    uint64_t seed;
};

extern struct field *const field;

uint32_t dice(uint32_t sides); /* 0 to sides - 1 */

bool is_reachable(int id);
/* epoch: in which the plan told it to; 0: somebody else did. */
void promote_server(int id, uint64_t epoch);
bool streams(int id, int from_id);
/* Standbys receive what there is, or do not yet. */
void replicate(void);

#endif

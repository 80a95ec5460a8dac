/*
 * What stands in etcd for one cluster: the members, the roster, who leads, and the committed state.
 *
 * A member reads all of it at once, as of one revision of etcd; that is a picture. What the keys
 * are for, and why that is safe: doc/decisions/0023. Plain values; watchdog/record.h prints and
 * parses them.
 */
#ifndef WATCHDOG_PICTURE_H
#define WATCHDOG_PICTURE_H

#include "cluster/plan.h"
#include "cluster/view.h"

enum { WD_MEMBERS_MAX = 16, WD_HOST_BYTES = 128, WD_ADDRESS_BYTES = 64 };

/* The part of the committed state that the watchdog itself works with. The whole plan travels
 * beside it, as text, and is nothing to the watchdog. */
struct wd_state {
    uint64_t epoch;
    uint64_t system_identifier; /* 0: not known */
    uint64_t nodes_hash;        /* of the node list that node_ids are of */
    uint32_t timeline;          /* committed; 0: not known */
    uint32_t node_count;
    int32_t primary_id;    /* -1: none */
    int32_t candidate_id;  /* may be told to promote; -1: none */
    uint8_t phase;         /* enum plan_phase */
    struct cluster_set in; /* may be promoted by what the plan knows */
    /* kept by the watchdog, whatever is proposed */
    struct cluster_set electable; /* were in when every member last looked */
    uint64_t fence_epoch;         /* in which the last primary was laid down */
    int32_t last_primary_id;      /* the one that is, or was before; -1: there was none yet */
    int32_t told_id;              /* the candidate of told_epoch; -1: none yet */
    uint64_t told_epoch;
};

/* What a member says of itself. */
struct wd_member {
    uint32_t id; /* pgpool_node_id */
    int32_t priority;
    uint64_t incarnation; /* of this start of pgpool; never 0 */
    uint64_t nodes_hash;
    uint64_t fenced_epoch; /* its children have acted on that */
    int64_t applied;       /* the state's revision that it acts on */
    bool leaving;          /* neither votes nor leads */
    bool isolated;         /* cut off from clients, by what it can tell: others lead rather */
    struct cluster_set alive;
    struct cluster_set dead;
    /* not of the text */
    uint64_t lease;
    int64_t key_revision; /* the last change of its key */
};

struct wd_roster_entry {
    uint32_t id;
    uint64_t incarnation;
};

struct wd_leader {
    uint32_t id;
    uint64_t incarnation;
    int64_t term; /* create revision of the key; 0: nobody leads */
};

struct wd_picture {
    int64_t revision; /* of etcd, when it was read; 0: none was read yet */
    struct wd_leader leader;
    int64_t state_revision; /* the last change of the state; 0: there is none yet */
    struct wd_state state;
    uint32_t member_count;
    struct wd_member members[WD_MEMBERS_MAX];
    uint32_t roster_count;
    struct wd_roster_entry roster[WD_MEMBERS_MAX];
};

/* The state's part of a plan. What the watchdog keeps is left as it is. */
void wd_state_from_plan(struct wd_state *state, const struct plan *plan, uint64_t nodes_hash);

/* NULL: not there. */
const struct wd_member *wd_picture_member(const struct wd_picture *picture, uint32_t id);

/* The member that the entry speaks of, when it lives; else NULL. */
const struct wd_member *wd_picture_live(const struct wd_picture *picture,
                                        const struct wd_roster_entry *entry);

/* How many members with that node list vote, and how many of them see the node dead. */
struct wd_votes {
    uint32_t voters;
    uint32_t dead;
    uint32_t alive;
};
struct wd_votes wd_picture_votes(const struct wd_picture *picture, uint64_t nodes_hash,
                                 int node_id);

#endif

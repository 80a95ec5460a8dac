/*
 * The memory that all processes share: areas, process slots, children's slots.
 *
 * One mapping, made by the parent before any fork, zero at first, and taken from the kernel only
 * as far as it is touched. Who writes what stands in include/tables/areas.def: every part has one
 * writing process.
 *
 * Slots are numbered through: 0 parent, 1 lag, 2 pcp, 3 logger, 4 failover, 5 wal, 6 watchdog,
 * 7 http, from SLOT_FIRST_HEALTH on the health processes, one per node, behind them the children.
 * There are twice as many child slots as children, so that one that retires (finishes its sessions
 * and ends) is replaced at once.
 */
#ifndef IPC_SHARED_H
#define IPC_SHARED_H

#include "base/buf.h"
#include "base/err.h"
#include "base/util.h"
#include "ipc/area.h"
#include "ipc/holds.h"
#include "ipc/memo.h"
#include "ipc/slots.h"

enum {
    SLOT_PARENT = 0,
    SLOT_LAG = 1,
    SLOT_PCP = 2,
    SLOT_LOGGER = 3,
    SLOT_FAILOVER = 4,
    SLOT_WAL = 5,
    SLOT_WATCHDOG = 6,
    SLOT_HTTP = 7,
    SLOT_FIRST_HEALTH = 8,
    CONFIG_TEXT_MAX = 1024 * 1024,
    TLS_FILES_MAX = 8 * 1024 * 1024,
};

struct shared;

/* Of the areas between the watchdog process and the failover process, and of what all may look at
 * (watchdog/board.h knows their forms). */
struct shared_watchdog_bytes {
    size_t orders_bytes;
    size_t committed_bytes;
    size_t word_bytes;
    size_t proposal_bytes;
    size_t live_bytes;
    size_t pulse_bytes;
};

struct shared_layout {
    uint32_t child_slots;        /* child_no goes from 0 to child_slots - 1 */
    uint32_t health_slots;       /* nodes with lower numbers can be watched */
    uint32_t sessions_per_child; /* child_max_clients; servers are twice as many */
    uint32_t memo_entries;       /* relcache_size */
    size_t freshness_bytes;      /* payload of the freshness area: cluster/ knows its form, */
    size_t carried_bytes;        /* of what subscribers carry, */
    size_t nodes_bytes;          /* and that of the node area, */
    size_t events_bytes;         /* of the events, */
    size_t pgpools_bytes;        /* of the watchdog's, */
    size_t health_bytes;         /* and of what is kept of one node's health */
    struct shared_watchdog_bytes watchdog;
    int writes_fd; /* the word of the last write of another generation of processes
                    * (its shared_writes_fd), taken over when shared_new succeeds;
                    * -1: one of our own */
};

int shared_new(const struct shared_layout *layout, struct shared **sh_r, struct err *err);
void shared_free(struct shared *sh);

const struct shared_layout *shared_layout(const struct shared *sh);

/* Random, chosen at start: tells one running pgpool from another. */
uint64_t shared_instance_id(const struct shared *sh);

/* Wall clock, microseconds since 1970, of shared_new. */
int64_t shared_started_at_us(const struct shared *sh);

/* Processes, of all kinds. */
uint32_t shared_slot_count(const struct shared *sh);
uint32_t shared_first_child(const struct shared *sh); /* the slot of child 0 */
static inline uint32_t
shared_slot_of_child(const struct shared *sh, uint32_t child_no)
{
    return shared_first_child(sh) + child_no;
}
static inline uint32_t
slot_of_health(int node_id)
{
    return SLOT_FIRST_HEALTH + (uint32_t)node_id;
}
struct proc_slot *shared_proc(struct shared *sh, uint32_t slot);
static inline struct proc_slot *
shared_proc_of_child(struct shared *sh, uint32_t child_no)
{
    return shared_proc(sh, shared_slot_of_child(sh, child_no));
}

struct child_slot *shared_child(struct shared *sh, uint32_t child_no);
/* n from 0 to sessions_per_child - 1. */
struct session_slot *shared_session(struct shared *sh, uint32_t child_no, uint32_t n);
/* n from 0 to 2 * sessions_per_child - 1. */
struct server_slot *shared_server(struct shared *sh, uint32_t child_no, uint32_t n);
uint32_t shared_servers_per_child(const struct shared *sh);

/* A dead child's slots become free. Parent only, while no process lives in them. Its counters
 * (nodes, accepted_total) stay: they belong to the daemon, not to one life of a child. */
void shared_clear_child(struct shared *sh, uint32_t child_no);

/* Freshness: written by lag (payload struct cluster_freshness). */
struct area *shared_freshness(struct shared *sh);
/* Carried: written by lag (payload struct cluster_carried, of which only the begin counts). */
struct area *shared_carried(struct shared *sh);

/* Nodes, as the failover process judges them (payload struct cluster_nodes), and what happened to
 * them (struct cluster_events). */
struct area *shared_nodes(struct shared *sh);
struct area *shared_events(struct shared *sh);

/* The pgpools of the cluster, as the watchdog sees them (payload struct cluster_pgpools). */
struct area *shared_pgpools(struct shared *sh);

/* health_bytes of a node with a number below health_slots, written by its health process alone;
 * they outlive it. Zero at first. */
void *shared_health(struct shared *sh, int node_id);

/* With a watchdog (watchdog/board.h): orders and committed state are its own, word and proposal the
 * failover process's. live: written by the watchdog process alone, pulse by the failover process
 * alone; zero at first. */
struct area *shared_wd_orders(struct shared *sh);
struct area *shared_wd_committed(struct shared *sh);
struct area *shared_wd_word(struct shared *sh);
struct area *shared_wd_proposal(struct shared *sh);
void *shared_wd_live(struct shared *sh);
void *shared_wd_pulse(struct shared *sh);

/* What children have found out about the servers' catalogs; any of them writes (catalog/ knows
 * what). */
struct memo *shared_memo(struct shared *sh);

/* What is paused and drained: written by the parent. */
struct holds *shared_holds(struct shared *sh);

/* n from 0 to GROUPS_MAX - 1. */
struct group_slot *shared_group(struct shared *sh, uint32_t child_no, uint32_t n);

/* One connection more to the node of those that are counted in the group, by this child; false:
 * there are `limit` already (0: no limit), over all children. A child that dies has none any more.
 */
struct shared_place {
    uint32_t group;
    int node_id;
};
bool shared_take_connection(struct shared *sh, uint32_t child_no, struct shared_place place,
                            uint32_t limit);
void shared_give_connection(struct shared *sh, uint32_t child_no, struct shared_place place);
/* So many more (less) of this child wait for the group to have a place. */
void shared_note_waiting(struct shared *sh, uint32_t child_no, struct shared_place place,
                         int change);
uint32_t shared_connections(const struct shared *sh, struct shared_place place); /* of all */

/* One client more, of this child; false: there are `limit` already (0: no limit), over all
 * children. A child that dies has none any more. */
bool shared_admit_client(struct shared *sh, uint32_t child_no, uint32_t limit);
void shared_dismiss_client(struct shared *sh, uint32_t child_no);

/* ---- who wrote last: told by children, asked by lag ------------------------------------------ */

/* Some session wrote at this moment (CLOCK_MONOTONIC). Never goes back. */
void shared_note_write(struct shared *sh, int64_t now_ns);
int64_t shared_last_write_ns(const struct shared *sh); /* 0: none so far */

/* The descriptor behind that word, to be handed to the next generation of processes, so that its
 * sessions hear of what this one's write. Stays ours. The word's form (64 bits at the start of a
 * page, nanoseconds) is the same in every version of pgpool. */
int shared_writes_fd(const struct shared *sh);

/* Lag says that it asks seldom now; a child that then notes a write sends it a wake. Lag sets it
 * first and looks at the last write after that, so that no write is missed. */
void shared_set_lag_sleeps(struct shared *sh, bool sleeps);
bool shared_lag_sleeps(const struct shared *sh);

/* Sessions wait to hear where all nodes stand, asked after this moment (CLOCK_MONOTONIC): told by
 * children, each of which says so in its slot (awaits_positions) and wakes lag when it had not;
 * lag wakes those children whenever it has heard something. 0: nobody has ever waited. */
void shared_want_positions(struct shared *sh, int64_t since_ns);
int64_t shared_positions_wanted_ns(const struct shared *sh);

/* ---- whether clients are taken: told by the parent, asked by children -------------------------
 */

/* Closed at first. Then wake the children. */
void shared_open_doors(struct shared *sh);
bool shared_doors_are_open(const struct shared *sh);

/* How many older generations of processes still have sessions. Told by the parent, which wakes the
 * failover process when there is one less. */
void shared_set_elders(struct shared *sh, uint32_t count);
uint32_t shared_elders(const struct shared *sh);

/* ---- configuration: written by the parent --------------------------------------------------- */

/* The canonical text of a checked configuration becomes the current one; then wake everybody.
 * Fails when it is longer than CONFIG_TEXT_MAX. Generations count from 1. */
int shared_publish_config(struct shared *sh, const char *text, size_t len, struct err *err);

/* The current generation: one load. 0: nothing published. */
uint64_t shared_config_generation(const struct shared *sh);

/* A copy of the current text, ends in NUL, free() it; NULL when nothing was published. */
char *shared_read_config(const struct shared *sh, size_t *len_r, uint64_t *generation_r);

/* ---- TLS: written by the parent -------------------------------------------------------------- */

/* Certificates, keys and their like as the parent has read them (proc/tls_files knows the form);
 * published before the configuration that goes with them. Private keys are among them: whoever
 * copies them wipes his copy. */
int shared_publish_tls(struct shared *sh, const void *bytes, size_t len, struct err *err);

/* A copy, free() it; NULL when nothing was published. */
uint8_t *shared_read_tls(const struct shared *sh, size_t *len_r);

/* Keys of TLS tickets: the parent changes them, children use them. */
struct tls_tickets;
struct tls_tickets *shared_tickets(struct shared *sh);

enum { SHARED_HBA_MAX = 2 * 1024 * 1024 };

/* The files for client authentication in one (auth/hba_copy.h), published before the configuration
 * that they belong to. Fails when it is longer than SHARED_HBA_MAX. */
int shared_publish_hba(struct shared *sh, const void *bytes, size_t len, struct err *err);

/* A copy of what was published last, in place of what the buffer holds; nothing when there is
 * none. */
void shared_read_hba(const struct shared *sh, struct buf *bytes_r);

#endif

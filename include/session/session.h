/*
 * A session: one client, from its first byte to goodbye.
 *
 * It stands without a server until a statement needs one, and holds at most two: one to the
 * primary, one to the node that its reads go to. It answers by itself what it can.
 * Source: PostgreSQL's manual, chapter "Message Flow".
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "base/err.h"
#include "base/list.h"
#include "base/slab.h"
#include "cache/shared.h"
#include "catalog/question.h"
#include "cluster/view.h"
#include "ipc/slots.h"
#include "os/io.h"
#include "os/sock.h"
#include "pool/pool.h"
#include "route/rules.h"
#include "session/login.h"
#include "sql/facts.h"
#include "wire/proto.h"

#include <stdbool.h>

struct config;
struct gate_member;
struct knowledge;
struct config_overrides;
struct cluster_carried;
struct tls_context;
struct session;
struct sql_normal;
struct statement_tallies;

enum session_consistency {
    SESSION_SEES_ITS_OWN, /* what it wrote, and what was written before it began */
    SESSION_SEES_ALL,     /* what any session wrote */
    SESSION_SEES_WHATEVER,
};

/* disable_load_balance_on_write, as far as a transaction that has written does not stay where it is
 * anyway. */
enum session_after_write {
    SESSION_AFTER_WRITE_NOTHING,
    SESSION_AFTER_WRITE_TRANSACTIONS, /* all later explicit transactions go to the primary */
    SESSION_AFTER_WRITE_ALWAYS,       /* all later reads */
};

/* What the configuration says to sessions; a session may have some of it set for itself. */
struct session_options {
    const struct config *config; /* that it comes from */
    bool load_balance;
    bool replicates_reads; /* all nodes run them (native replication) */
    bool statement_level_balance;
    bool allow_comments; /* in front of a statement that is read from a standby */
    bool ignore_blanks;  /* the same */
    enum session_after_write after_write;
    uint8_t pool_mode;         /* enum config_pool_mode */
    uint32_t max_prepared;     /* statements that a server connection keeps */
    bool prefer_other_standby; /* to the primary, when the chosen one is behind */
    enum session_consistency consistency;
    uint64_t max_delay_bytes; /* delay_threshold, 0: no limit */
    int64_t max_delay_us;     /* delay_threshold_by_time, 0: no limit */
    const struct route_rules *rules;
    uint32_t catalog_mask; /* enum catalog_flag: what of the catalog's knowledge counts */
    bool ask_reader;       /* relcache_query_target: the catalog of the node that is read from */
    bool log_connections;
    bool log_disconnections;
    bool log_statement;
    bool log_per_node_statement;
    bool notice_per_node_statement; /* and client_min_messages lets notices through */
    bool log_client_messages;
    bool times_statements;        /* for statistics or for the log */
    bool log_duration_values;     /* with literals and parameters */
    int64_t log_min_duration_ns;  /* INT64_MAX: none is logged for its duration */
    uint8_t log_backend_messages; /* enum config_backend_messages */
    bool warns;                   /* client_min_messages lets warnings through */
    bool cache;                   /* memory_cache_enabled */
    bool cache_follows_writes;    /* memqcache_auto_cache_invalidation */
    int64_t failover_wait_ms;     /* for a primary, 0: not at all */
    int64_t idle_limit_ms;        /* client_idle_limit, 0: none */
    int64_t held_idle_limit_ms;   /* client_idle_limit_in_recovery, 0: none, -1: at once */
    int64_t login_limit_ms;       /* authentication_timeout, 0: none */
};

void session_options_from_config(const struct config *cfg, const struct route_rules *rules,
                                 struct session_options *options_r);

/* SHOW pool_..., PGPOOL SHOW: what of the answer is wanted. */
enum session_part {
    SESSION_DESCRIPTION, /* RowDescription */
    SESSION_ROWS,        /* the rows and CommandComplete */
    SESSION_WHOLE,       /* both */
};
struct session_question {
    struct sql_text name; /* of a view; with `parameter` of a parameter or a group of them */
    bool parameter;
    enum session_part part;
};

enum { SESSION_ANY_NODE = -2 };

/* A CancelRequest as it came. */
struct session_cancel_request {
    uint32_t pid; /* as BackendKeyData had it */
    uint32_t key_len;
    bool of_member; /* another pgpool has passed it on: it goes no further */
    uint8_t key[WIRE_CANCEL_KEY_MAX_BYTES];
};

/* Can a node prepare transactions (max_prepared_transactions)? */
enum session_can { SESSION_CAN_UNASKED, SESSION_CAN, SESSION_CANNOT };

/* May transactions begin in native replication? */
enum session_writes {
    SESSION_WRITES_GO,
    SESSION_WRITES_HELD,    /* none begins; who is in the way goes on */
    SESSION_WRITES_STOPPED, /* nobody is in the way any more */
};

/* What a child gives to its sessions. */
struct session_host {
    struct io *io;
    struct pool *pool;
    struct sql_cache *sql;
    struct sql_determinism *determinism; /* NULL: this is not native replication */
    struct knowledge *knowledge;         /* with it */
    struct gate_member *gates;           /* ipc/gate.h; NULL: it is not snapshot_isolation */
    struct tls_context *tls;             /* what clients are offered; NULL: nothing */
    struct memo *memo;                   /* what `catalog` knows */
    struct catalog *catalog;
    struct cache_shared *cache;        /* NULL: there is no query cache */
    struct doubts *doubts;             /* this process's, with `cache` */
    struct cache_tally *tally;         /* the same */
    struct admission *admission;       /* the same */
    struct statement_tallies *tallies; /* what statements have cost, and their texts */
    struct sql_normal *normal;         /* NULL until it is needed */
    struct sql_parameters *parameters; /* the same */
    struct remote_calls *remote; /* with `cache`: answers are in memcached (cache/remote_calls.h) */
    int64_t hurried_ns;          /* when lag was last asked to look at standbys for its sake */
    size_t collected_bytes;      /* of answers that sessions are keeping */
    uint64_t primary_epoch;      /* another one with each change of the primary, with `cache` */
    struct buf scratch;          /* of whoever needs one for a moment */
    struct slab small;           /* what sessions keep while a statement runs */
    struct slab sessions;
    struct list lookups; /* questions to the catalog under way */
    struct list held;    /* sessions on hold */
    struct list orphans; /* transactions on several nodes that end without a session */
    uint8_t can_prepare[CLUSTER_NODES_MAX]; /* enum session_can, with `determinism` */
    uint8_t writes;                         /* enum session_writes, the same */
    int suspect_node;                       /* has just failed to take a connection; -1: none */
    int64_t suspect_until_ns;               /* until then nobody else tries it */
    struct io_timer suspect;                /* somebody does then */
    bool awaits_positions;                  /* one of those on hold does */
    struct io_timer positions;              /* who waits for them goes on without */
    struct catalog_question question;       /* the next one, while a unit is looked at */
    int64_t lookup_failed_ns;               /* when none could be asked */
    uint64_t tickets;   /* numbers of connections that sequences were drawn on */
    int64_t doubted_ns; /* when what was known was last found wrong */
    const struct cluster_view *view;
    const struct cluster_carried *carried; /* NULL: the mode is not logical replication */
    uint64_t carried_epoch;                /* another one whenever that has changed */
    struct cluster_cursor *cursor;
    struct session_options options;
    struct login_host login;
    struct node_counters *counters; /* by node_id */
    struct node_times *times;       /* the same */
    uint64_t *routed;               /* units, by enum route_reason */
    void *ctx;
    /* Is there a place for one client more? dismiss: it has left. Cancel requests need none. */
    bool (*admit)(void *ctx);
    void (*dismiss)(void *ctx);
    /* A cancel request came over this session's connection; session_cancel_done answers. */
    void (*cancel)(void *ctx, struct session *s, const struct session_cancel_request *request);
    /* Something was written up to this moment (CLOCK_MONOTONIC): standbys that are older must not
     * be read by who wrote it. */
    void (*wrote)(void *ctx, int64_t at_ns);
    /* The moment of the last write by anybody, 0: none. */
    int64_t (*last_write)(void *ctx);
    /* Others write to this cluster, too: what they have written, the primary alone knows. */
    bool is_one_of_several;
    /* Has all nodes asked where they stand. Then session_hosts_positions_known, which may be called
     * for other reasons, too. */
    void (*want_positions)(void *ctx, int64_t since_ns);
    /* The view may be older than what is known: looks again, true when it has changed. */
    bool (*refresh)(void *ctx);
    /* Must who needs a connection of this database to this node (-1: none is known;
     * SESSION_ANY_NODE: to whichever) wait until that is over? While *holding is 0, only -1 need be
     * asked for. */
    const _Atomic uint32_t *holding;
    enum session_slot_hold (*on_hold)(void *ctx, const char *database, int node_id);
    /* The node has missed what the others have committed: the failover process is to detach it. */
    void (*lose_copy)(void *ctx, int node_id, const char *words);
    /* Numbers may have been drawn there that not all nodes have: the failover process looks. */
    void (*doubt_sequences)(void *ctx, const char *database);
    /* Which session, of any child, has the connection to this server process? A number; -1: none.
     */
    int64_t (*session_of)(void *ctx, int node_id, int backend_pid);
    /* Idle connections to this database must go, in every child. */
    void (*close_database)(void *ctx, const char *database);
    /* With `cache` and its streams (cache/streams.h): the number of the one of this database, which
     * is begun if it has to be. */
    uint32_t (*want_stream)(void *ctx, const char *database);
    /* Answers SHOW pool_... and PGPOOL SHOW: appends messages to out. -1 with err: no such view or
     * parameter. */
    int (*show)(void *ctx, struct session *s, const struct session_question *question,
                struct buf *out, struct err *err);
    /* The session is closed and its memory about to go. */
    void (*ended)(void *ctx, struct session *s);
};

/* Takes the socket. slot may be NULL. pid and index are what cancel requests name. */
struct session_place {
    uint32_t pid; /* for BackendKeyData */
    uint32_t index;
    struct session_slot *slot;
};
struct session *session_new(struct session_host *host, int fd, const struct session_place *place);

const struct session_place *session_place(const struct session *s);
int session_load_balance_node(const struct session *s); /* -1: none chosen yet */
/* What it has set for itself; NULL: nothing. */
const struct config_overrides *session_overrides(const struct session *s);

/* The host has other options than before. */
void session_reconfigured(struct session *s);

/* True when key is the session's; then cancels what it runs and calls done, now or later. */
bool session_cancel(struct session *s, const void *key, size_t key_len, pool_cancel_fn *done,
                    void *ctx);
/* The session that brought a cancel request: it waits for session_cancel_done. */
bool session_is_cancelling(const struct session *s);
void session_cancel_done(struct session *s);

/* The address that the client came to. False when the kernel does not know it any more, or the
 * session has ended. */
bool session_came_to(const struct session *s, struct sock_address *addr_r);

/* FATAL to the client, and the end. */
void session_terminate(struct session *s, const struct err *err);

/* The view has another primary than before. What runs on the old one ends with its session, so
 * that nothing more is written there; a session with nothing there goes on with the new one. */
void session_follow_primary(struct session *s);

/* Something is paused or drained now: what the session has there and need not have goes. */
void session_holds_changed(struct session *s);
/* Lag may have heard where the nodes stand now; the view is up to date. */
void session_hosts_positions_known(struct session_host *host);
/* Something is not, or the cluster has changed: those on hold are looked at again. From the event
 * loop. */
void session_hosts_held_go_on(struct session_host *host);

/* In native replication: is it in a transaction, or has it on the nodes beside the main one what a
 * node that is added would lack? */
bool session_is_in_the_way(const struct session *s);
/* ... and waits itself, as that was not known when it was put on hold? Those on hold are to be
 * looked at again. */
bool session_waits_in_the_way(const struct session *s);
/* Has it such things, by a session_slot's keeps? */
bool session_pins_copies(uint32_t keeps);
/* Ends a session that is in the way and silent for longer than client_idle_limit_in_recovery. */
void session_limit_in_the_way(struct session *s);

/* Once a second: time limits. */
void session_sweep(struct session *s);

/* Before anything else; the other members are set already. */
void session_host_init(struct session_host *host);

/* Are transactions under way that have lost their sessions? */
bool session_host_is_busy(const struct session_host *host);

/* No session is there any more: ends the questions to the catalog that are under way. */
void session_host_fini(struct session_host *host);

#endif

/*
 * The pool and its keys; for the files of pool/ alone.
 *
 * pool.c  lending and taking back     key.c   keys, their groups, settings of sessions
 * wait.c  who waits, and his turn     warm.c  min_pool_size
 * dial_tls.c  TLS towards a server
 */
#ifndef POOL_INTERNAL_H
#define POOL_INTERNAL_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "base/slab.h"
#include "pool/pool.h"

struct pool_key {
    struct pool *pool;
    struct list link; /* in pool->keys, most recently used last */
    struct list idle; /* servers, most recently used last */
    uint32_t refs;    /* sessions and server connections */
    bool recalls;     /* its sessions ask for currval() and the like */
    uint32_t group;   /* what its connections are counted in besides 0 */
    bool warm;        /* the pool holds it, to have min_pool_size connections for it */
    int64_t rest_ns;  /* not before this moment */
    uint8_t means;    /* enum pool_means */
    struct credentials *credentials; /* NULL: pool_passwd's */
    int64_t shut_ns;                 /* when a server has asked a POOL_OPEN key for a password */
    struct buf welcome;
    int64_t welcome_ns;
    size_t key_len;
    char *user;
    char *database;
    char *parameters;
    size_t parameters_len;
    char bytes[]; /* user\0database\0parameters, and the means */
};

/* ---- dial_tls.c ---- */

struct dial_tls {
    bool wanted;     /* the connection begins with SSLRequest */
    bool asked;      /* and waits for the answer */
    bool may_change; /* the other way has not been tried, and may be */
};
void dial_tls_init(struct dial_tls *t, const struct server *s);
/* Right after connecting: false: nothing to ask, the startup packet is due. */
bool dial_tls_ask(struct dial_tls *t, struct io_stream *stream, const struct sock_address *to);
/* What has come while `asked`. SECURE: the handshake is due; PLAIN: the startup packet is. */
enum dial_tls_answer { DIAL_TLS_SECURE, DIAL_TLS_PLAIN, DIAL_TLS_BAD };
enum dial_tls_answer dial_tls_answer(struct dial_tls *t, const struct io_rx *rx, int node_id,
                                     struct err *err);
/* It did not work out so: true when another connection is to be tried the other way. sqlstate: of
 * the server's refusal; NULL: it was the handshake. */
bool dial_tls_change(struct dial_tls *t, const struct sock_address *to, const char *sqlstate);

/* Another child waits for the place of the next connection of the group that is given back. */
struct pool_owed {
    bool any;
    uint32_t group;
};

/* Logins to a node: after a failover everybody comes at once, and a server that makes a hundred
 * processes at a time is slow for those that are there already. */
struct pool_logins {
    uint32_t under_way;
    int64_t last_ns; /* when the last one began */
};

struct pool {
    struct io *io;
    struct dns *dns;
    struct pool_callbacks callbacks;
    struct pool_options options;
    struct map keys_by_name;
    struct map statements;
    struct map images;
    uint64_t statement_id;
    struct buf scratch;
    struct pool_queue queue;
    struct pool_owed owed[POOL_NODES_MAX][2]; /* of all, of the group that asked last */
    struct pool_logins logins[POOL_NODES_MAX];
    int64_t node_rest_ns[POOL_NODES_MAX]; /* nothing is dialled there for nobody before */
    struct list keys;
    struct list busy; /* dialling, lent or resetting */
    struct list dead; /* closed; freed by the timer */
    struct io_timer reaper;
    struct slab servers;
    uint32_t server_count;
};

/* pool.c: nothing is dialled, kept or lent there now. */
bool pool_is_on_hold(const struct pool_key *k, int node_id);

/* key.c: the groups may be others now. */
void pool_regroup(struct pool *p);
/* wait.c: the same, for those who wait. */
void pool_regroup_waiters(struct pool *p);

/* pool.c: dials where there may be one more, as long as nobody has to go for it. */
bool pool_dial_spare(struct pool_key *k, int node_id, const struct server_ops *ops, void *owner);

/* warm.c */
extern const struct server_ops pool_warm_ops; /* of connections that are dialled for nobody */
/* Dials what the key lacks. */
void pool_warm(struct pool_key *k);
/* Is the connection, idle now, one of the min_pool_size that its key has to the node? */
bool pool_is_warm_stock(const struct server *s);
/* A server has let somebody in. */
void pool_key_warms(struct pool_key *k);
/* It may be gone then, unless somebody else holds it. */
void pool_key_cools(struct pool_key *k);
void pool_cool_all(struct pool *p);
/* Nothing is dialled for a while that nobody has asked for: of a database (NULL: all). */
void pool_rest(struct pool *p, const char *database);

#endif

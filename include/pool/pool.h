/*
 * A child's server connections: dial, log in, keep, lend, reset, cancel.
 *
 * Connections are kept by key: user, database and startup parameters. One that comes back runs
 * reset_query_list before anybody else gets it; one in doubt is closed.
 */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include "pool/server.h"

struct credentials;
struct dns;
struct passwd;
struct tls_context;
struct session_slot;

/* What the configuration says; the pool keeps the pointer's content by copy (strings borrowed:
 * they must live until the next pool_configure). */
struct pool_node {
    const char *host;
    uint16_t port;
};

enum { POOL_NODES_MAX = 128 };

/* What libpq calls sslmode; what is checked in the server's certificate is the context's matter. */
enum pool_tls_mode {
    POOL_TLS_ALLOW,   /* when the server does not let us in without */
    POOL_TLS_PREFER,  /* when the server offers it; without, when it does not let us in so */
    POOL_TLS_REQUIRE, /* or not at all */
};

struct pool_options {
    const struct pool_node *nodes; /* by node_id; host NULL: no such node */
    uint32_t node_count;
    const char *const *reset_queries;
    uint32_t reset_query_count;
    const struct passwd *passwords; /* may be NULL */
    struct tls_context *tls;        /* towards servers; NULL: never. Never over a unix socket. */
    enum pool_tls_mode tls_mode;
    uint32_t max_keys;    /* max_pool: keys whose idle connections are kept */
    uint32_t min_size;    /* min_pool_size */
    bool keep;            /* connection_cache */
    int64_t life_time_ms; /* connection_life_time, 0: no limit */
    int connect_timeout_ms;
    int64_t login_timeout_ms;
    int64_t query_wait_ms; /* query_wait_timeout, 0: for ever */
};

/* What bounds the number of connections. They are counted in groups: 0 are all of them, another
 * number those that a limit of their own is for. */
enum {
    POOL_LOGINS_AT_ONCE = 8, /* to a node; more of them under way: */
    POOL_LOGIN_PACE_MS = 5,  /* one each so often */
};
#define POOL_GROUP_PACED UINT32_MAX /* no group: the node has enough logins at the moment */

struct pool_place {
    uint32_t group;
    int node_id;
};
struct pool_places {
    void *ctx;
    /* In which group, besides 0, is who logs in so? 0: in none. The answer changes only before
     * pool_configure. */
    uint32_t (*group)(void *ctx, const char *user, const char *database);
    /* May there be one more in both groups? False: *full_r is the one that has as many as it may.
     * And one less there is. */
    bool (*take)(void *ctx, struct pool_place place, uint32_t *full_r);
    void (*give)(void *ctx, struct pool_place place);
    /* One that is there belongs to another group now. */
    void (*move)(void *ctx, struct pool_place from, uint32_t group);
    /* So many more (less) wait for this group to have a place. */
    void (*waiting)(void *ctx, struct pool_place place, int change);
    /* Others may have connections of the group to spare: they are asked to close one. */
    void (*spare)(void *ctx, struct pool_place place);
};

/* What a server said of itself when the connection was made. */
struct pool_identity {
    bool is_standby;
    bool reads_only; /* it was made for reads alone */
    bool asked;      /* the others are known */
    uint32_t timeline;
    uint64_t system_identifier;
};

struct pool_callbacks {
    void *ctx;
    /* Facts for the lag process. */
    void (*node_failed)(void *ctx, int node_id, const struct err *err);
    /* A row of shared memory for a server connection, and back; may return NULL. */
    struct server_slot *(*slot_get)(void *ctx);
    void (*slot_put)(void *ctx, struct server_slot *slot);
    struct pool_places places;
    /* A client has waited so long for a connection to it; may be NULL. */
    void (*waited)(void *ctx, int node_id, int64_t wait_ns);
    /* Is nothing to be had there now: the database is paused, or the node drained? */
    bool (*on_hold)(void *ctx, const char *database, int node_id);
    /* Is the node of use to anybody now? */
    bool (*usable)(void *ctx, int node_id);
    /* Is a server there that says it is a primary to be asked for timeline and system? */
    bool (*asks_identity)(void *ctx, int node_id);
    /* May nothing be written there, though the server would take it (a subscriber)? Its connections
     * are made with default_transaction_read_only. NULL: nowhere. */
    bool (*reads_only)(void *ctx, int node_id);
    /* A connection is about to be given to somebody; -1 with err: to nobody, it is closed. */
    int (*accepts)(void *ctx, int node_id, const struct pool_identity *who, struct err *err);
    /* The node has refused what clients had proved to us of this user. Is that the last word? A
     * standby may not have heard of a change yet. NULL: it is. */
    bool (*refused)(void *ctx, int node_id, const char *user);
};

/* Somebody's place in the queue; the owner's memory, all zeroes at first. */
struct pool_waiter {
    struct list link;
    struct line *line; /* NULL: it does not wait */
    struct pool_key *key;
    const struct server_ops *ops;
    void *owner;
    struct session_slot *slot; /* where it is shown that it waits; NULL: nowhere */
    struct credentials *proof; /* as in struct pool_check: only a connection made with these will
                                * do; borrowed. NULL: any of the key */
    int64_t since_ns;
    uint32_t full; /* the group that had no place */
    int16_t node_id;
    bool urgent; /* before all others */
};

/* By content: struct prepared, for prepared.c. */
struct map *pool_statements(struct pool *p);
uint64_t pool_next_statement_id(struct pool *p);
struct buf *pool_scratch(struct pool *p); /* of whoever needs one for a moment */

struct pool *pool_new(struct io *io, struct dns *dns, const struct pool_callbacks *callbacks);
void pool_free(struct pool *p);
void pool_configure(struct pool *p, const struct pool_options *options);
struct io *pool_io(const struct pool *p);

/* ---- keys -------------------------------------------------------------------------------------
 */

/* How the sessions of a key have come in. None of one kind ever gets a connection of the other. */
enum pool_means {
    POOL_PROVED, /* they have proved to us or to a server who they are, or a rule of ours trusts
                  * them: connections are made with the key's credentials, or pool_passwd's */
    POOL_OPEN,   /* the servers let them in without any proof: connections are made without */
};

struct pool_login {
    const char *user;
    const char *database;
    const char *parameters; /* the pairs of the startup packet as name\0value\0..., without user,
                             * database, replication and "_pq_." ones */
    size_t parameters_len;
    enum pool_means means;
};

/* The key lives while somebody holds it or a connection has it. */
struct pool_key *pool_key_get(struct pool *p, const struct pool_login *login);
void pool_key_ref(struct pool_key *k); /* one more holder */
void pool_key_put(struct pool_key *k);
const char *pool_key_user(const struct pool_key *k);
const char *pool_key_database(const struct pool_key *k);

/* What a client has just proved (a reference is taken): from now on connections of the key are made
 * with it. They are dropped when a server refuses them. Not for POOL_OPEN. */
void pool_key_set_credentials(struct pool_key *k, struct credentials *credentials);

/* Of a POOL_OPEN key: has a server asked for a password within the last minute? */
bool pool_key_is_shut(const struct pool_key *k);

/* The ParameterStatus messages that a server sent when it was last logged in to with this key, as
 * bytes; NULL when none did in the last minute. Borrowed until the next login. */
const struct buf *pool_key_welcome(const struct pool_key *k);

/* ---- lending ----------------------------------------------------------------------------------
 */

/* An idle connection of w->key to w->node_id, or a new one that is being dialled: then its state
 * is not SERVER_LENT yet, and ops->ready or ops->failed tells. NULL with *waits_r where there are
 * as many connections to the node as there may be: ops->taken tells later. NULL with err: there is
 * no such node. */
struct server *pool_checkout(struct pool_waiter *w, struct err *err, bool *waits_r);
void pool_wait_no_more(struct pool *p, struct pool_waiter *w); /* also when it does not wait */
/* It waits only for other logins to get on, for milliseconds, and not for anybody's connection. */
bool pool_waits_for_pace(const struct pool_waiter *w);
uint32_t pool_waiting(const struct pool *p);
/* Who waits: of how many are those most that are alike, and what for. Only while somebody waits;
 * the names are borrowed. */
struct pool_crowd {
    uint32_t all;
    int64_t longest_ns; /* of all */
    uint32_t waiting;
    const char *user;
    const char *database;
    struct pool_place full;
};
void pool_crowd(struct pool *p, struct pool_crowd *crowd_r);
/* Shows for a session what it waits for: w as far as that waits, NULL: nothing. slot may be NULL.
 */
void pool_show_waiting(struct session_slot *slot, const struct pool_waiter *w);

/* Another child needs a place in the group: closes an idle connection that nobody here waits for;
 * when there is none and `owes`, the next one that is given back. */
void pool_close_spare(struct pool *p, struct pool_place place, bool owes);

/* Of the idle connections of the key to the node, the one with this ticket goes first. */
void pool_prefer(struct pool_key *k, int node_id, uint64_t ticket);

/* A session of this key has asked for currval() or lastval(): others will, too. */
void pool_key_recalls(struct pool_key *k);
bool pool_key_has_recalled(const struct pool_key *k);

/* Does a dial's error say that the node is of no use now, rather than that it did not take this
 * login or misbehaved in it? */
bool pool_blames_node(const struct err *err);

/* A login that is to be checked by a new connection. */
struct pool_check {
    struct pool_key *key;
    int node_id;
    const struct server_ops *ops;
    void *owner;
    struct credentials *proof; /* NULL: those of the key, and the connection takes the place of an
                                * idle one, which is closed. Else it is made with these alone, which
                                * nobody has proved yet, and no other connection of the key has to
                                * go before it has been accepted: pool_return_instead() */
};
struct server *pool_dial(const struct pool_check *check, struct err *err);

/* The owner is done with it. It is reset and kept, or closed when it is not clean or spoilt. */
void pool_return(struct server *s);

/* The same, of one that was dialled with a proof of its own: an idle one of its key and node goes
 * instead. Without, each such login would leave one more. */
void pool_return_instead(struct server *s);

/* Closes what is idle: of a database (NULL: all), because it is about to be dropped. */
void pool_close_idle(struct pool *p, const char *database);

/* Whoever waits for a connection to the node is to look elsewhere. */
void pool_turn_away(struct pool *p, int node_id);

/* Closes the connections to the node, whoever has them, as if they had been lost; what is being
 * dialled has failed. spare_busy: but for those on which something runs or a transaction is open.
 * Returns how many are left. */
uint32_t pool_lose_node(struct pool *p, int node_id, bool spare_busy, const struct err *err);

/* Closes what is idle and on hold now; what is lent follows when it comes back. */
void pool_holds_changed(struct pool *p);

/* Once a second: life times, keys beyond max_pool, resets that do not end, min_pool_size. */
void pool_sweep(struct pool *p);

uint32_t pool_server_count(const struct pool *p);

/* ---- cancel -----------------------------------------------------------------------------------
 */

typedef void pool_cancel_fn(void *ctx);

/* Asks the server to cancel what it runs, over a connection of its own; done (may be NULL) is
 * called when the server has taken the request or could not be reached. Until then the server
 * connection is not lent to anybody else. */
void pool_cancel(struct server *s, pool_cancel_fn *done, void *ctx);

/* The owner lends it back for a while: it goes, as it is, to whoever wants one of its key next.
 * Closed when it is not idle, or spoilt. */
void pool_release(struct server *s);

/* ---- parameters of sessions -----------------------------------------------------------------
 */

/* What a session has set, as bytes of the owner's own form; one for all with the same bytes. */
struct settings_image {
    struct pool *pool;
    uint32_t refs;
    uint32_t len;
    char bytes[];
};
/* The caller holds a reference. */
struct settings_image *settings_image_get(struct pool *p, const void *bytes, size_t len);
void settings_image_put(struct settings_image *image); /* NULL is allowed */
/* The connection has these now (NULL: none but those of its login). */
void server_set_image(struct server *s, struct settings_image *image);

/* ---- between the files of this room -------------------------------------------------------------
 */

/* wait.c */
struct pool_queue {
    struct list lines;
    uint32_t count;
    struct io_timer timer;
};
struct pool_queue *pool_queue(struct pool *p);
void pool_wait(struct pool *p, struct pool_waiter *w);
void pool_serve_soon(struct pool *p);
bool pool_is_waited_for(struct pool *p, const struct pool_key *key, int node_id);
/* An idle connection, or a new one where there may be one more or in place of an idle one; NULL:
 * neither, and w->full says which group has no place (or POOL_GROUP_PACED). even_waited_for: also
 * in place of one that others wait for. */
struct server *pool_take(struct pool_waiter *w, bool even_waited_for);
void pool_tell_waiting(struct pool *p, struct pool_place place, int change);
void pool_ask_for_spare(struct pool *p, struct pool_place place);

/* dial.c tells how it ended; and before, that the login is over. */
void pool_login_over(struct server *s);
void pool_dialled(struct server *s);
void pool_dial_failed(struct server *s, const struct err *err, const uint8_t *fatal,
                      size_t fatal_len);
/* server.c: a closed connection leaves every list; a reset took a step. */
void pool_bury(struct server *s);
void pool_reset_progress(struct server *s, bool failed);
/* cancel.c: one cancel request less is under way. */
void pool_cancel_ended(struct server *s);
const struct pool_options *pool_options(const struct pool *p);
const struct pool_callbacks *pool_callbacks(const struct pool *p);
struct dns *pool_dns(const struct pool *p);
const char *pool_key_parameters(const struct pool_key *k, size_t *len_r);
void pool_key_set_welcome(struct pool_key *k, const struct buf *messages);
/* What to log in with; NULL: nothing. A new reference. */
struct credentials *pool_key_credentials(const struct pool_key *k);
/* The node has refused them, or (with NULL) asks for some. */
void pool_key_refused(struct pool_key *k, int node_id, const struct credentials *credentials);
/* proof: see struct pool_check. */
void dial_start(struct server *s, struct credentials *proof);
void dial_stop(struct server *s);

#endif

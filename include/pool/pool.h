/*
 * A child's server connections: dial, log in, keep, lend, reset, cancel.
 *
 * Connections are kept by key: user, database and startup parameters. One that comes back runs
 * reset_query_list before anybody else gets it; one in doubt is closed.
 */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include "pool/server.h"

struct dns;
struct passwd;

/* What the configuration says; the pool keeps the pointer's content by copy (strings borrowed:
 * they must live until the next pool_configure). */
struct pool_node {
    const char *host;
    uint16_t port;
};

enum { POOL_NODES_MAX = 128 };

struct pool_options {
    const struct pool_node *nodes; /* by node_id; host NULL: no such node */
    uint32_t node_count;
    const char *const *reset_queries;
    uint32_t reset_query_count;
    const struct passwd *passwords; /* may be NULL */
    uint32_t max_keys;              /* max_pool: keys whose idle connections are kept */
    bool keep;                      /* connection_cache */
    int64_t life_time_ms;           /* connection_life_time, 0: no limit */
    int connect_timeout_ms;
    int64_t login_timeout_ms;
    int64_t query_wait_ms; /* query_wait_timeout, 0: for ever */
};

/* What bounds the number of connections. */
struct pool_places {
    void *ctx;
    /* May there be one connection more to the node? And one less there is. */
    bool (*take)(void *ctx, int node_id);
    void (*give)(void *ctx, int node_id);
    /* One more (1) or one less (-1) waits for a connection to it. */
    void (*waiting)(void *ctx, int node_id, int change);
    /* Others may have connections to it to spare: they are asked to close one. */
    void (*spare)(void *ctx, int node_id);
};

struct pool_callbacks {
    void *ctx;
    /* Facts for the lag process. */
    void (*node_failed)(void *ctx, int node_id, const struct err *err);
    /* A row of shared memory for a server connection, and back; may return NULL. */
    struct server_slot *(*slot_get)(void *ctx);
    void (*slot_put)(void *ctx, struct server_slot *slot);
    struct pool_places places;
};

/* Somebody's place in the queue; the owner's memory, all zeroes at first. */
struct pool_waiter {
    struct list link;
    struct line *line; /* NULL: it does not wait */
    struct pool_key *key;
    const struct server_ops *ops;
    void *owner;
    int64_t since_ns;
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

/* parameters: the pairs of the startup packet as name\0value\0..., without user, database,
 * replication and "_pq_." ones. The key lives while somebody holds it or a connection has it. */
struct pool_key *pool_key_get(struct pool *p, const char *user, const char *database,
                              const char *parameters, size_t parameters_len);
void pool_key_ref(struct pool_key *k); /* one more holder */
void pool_key_put(struct pool_key *k);
const char *pool_key_user(const struct pool_key *k);
const char *pool_key_database(const struct pool_key *k);

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
uint32_t pool_waiting(const struct pool *p);

/* Another child needs a place: closes an idle connection to the node that nobody here waits for;
 * when there is none and `owes`, the next one that is given back. */
void pool_close_spare(struct pool *p, int node_id, bool owes);

/* Does a dial's error say that the node is of no use now, rather than that it did not take this
 * login or misbehaved in it? */
bool pool_blames_node(const struct err *err);

/* A new connection in place of an idle one, which is closed: the login is to be checked. */
struct server *pool_dial(struct pool_key *k, int node_id, const struct server_ops *ops, void *owner,
                         struct err *err);

/* The owner is done with it. It is reset and kept, or closed when it is not clean or has a
 * temporary schema. */
void pool_return(struct server *s);

/* Closes what is idle: of a database (NULL: all), because it is about to be dropped. */
void pool_close_idle(struct pool *p, const char *database);

/* Once a second: life times, keys beyond max_pool, resets that do not end. */
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
 * Closed when it is not idle. */
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
/* key: NULL for any. */
bool pool_is_waited_for(struct pool *p, const struct pool_key *key, int node_id);
/* An idle connection, or a new one where there may be one more or in place of an idle one; NULL:
 * neither. even_waited_for: also in place of one that others wait for. */
struct server *pool_take(const struct pool_waiter *w, bool even_waited_for);
void pool_tell_waiting(struct pool *p, int node_id, int change);
void pool_ask_for_spare(struct pool *p, int node_id);

/* dial.c tells how it ended. */
void pool_dialled(struct server *s);
void pool_dial_failed(struct server *s, const struct err *err, const uint8_t *fatal,
                      size_t fatal_len);
/* server.c: a closed connection leaves every list; a reset took a step. */
void pool_bury(struct server *s);
void pool_reset_progress(struct server *s, bool failed);
/* cancel.c: one cancel request less is under way. */
void pool_cancel_ended(struct server *s);
const struct pool_options *pool_options(const struct pool *p);
struct dns *pool_dns(const struct pool *p);
const char *pool_key_parameters(const struct pool_key *k, size_t *len_r);
void pool_key_set_welcome(struct pool_key *k, const struct buf *messages);
void dial_start(struct server *s);
void dial_stop(struct server *s);

#endif

/*
 * What the servers know of a role: auth_query, asked as auth_user over a connection of our own, and
 * the roles that it is a member of.
 *
 * Asked of the primary, else of any node that is of use. Nothing of a client reaches that
 * connection but the user's name, as a parameter; its search path is empty. One question for a name
 * however many wait; answers are kept for auth_query_cache_time, unknown roles, too.
 */
#ifndef SESSION_ROLE_QUERY_H
#define SESSION_ROLE_QUERY_H

#include "auth/secret.h"
#include "base/list.h"
#include "cluster/view.h"
#include "os/ask.h"
#include "os/dns.h"
#include "os/io.h"
#include "pool/pool.h"

#include <stdbool.h>

struct role_query;

/* Copied. */
struct role_query_options {
    const char *user;     /* auth_user; "": nothing is asked */
    const char *password; /* NULL: none */
    const char *database;
    const char *sql;    /* gives name and password, and perhaps until when that is valid */
    struct ask_tls tls; /* its texts are borrowed until the next configuration */
    int64_t keep_ms;
    int64_t limit_ms; /* of one question at one node */
};

/* Where to ask; borrowed, and read for each question. */
struct role_query_nodes {
    const struct cluster_view *view;
    const struct pool_node *nodes; /* by node_id */
};

struct role_query *role_query_new(struct io *io, struct dns *dns,
                                  const struct role_query_nodes *nodes);
/* NULL is allowed. Nobody may wait any more. */
void role_query_free(struct role_query *q);
void role_query_configure(struct role_query *q, const struct role_query_options *options);
bool role_query_is_on(const struct role_query *q); /* may be NULL: it is not */

struct role_answer;

enum role_ask { ROLE_ASK_SECRET, ROLE_ASK_MEMBERSHIP };

/* Whoever waits for an answer: his memory, which must stay until done or role_query_leave. */
struct role_waiter {
    struct list link; /* all zeroes: it does not wait */
    void (*done)(void *ctx, const struct role_answer *answer);
    void *ctx;
};

/* Valid during the call only. */
struct role_answer {
    const struct err *failure;   /* nobody knows; else NULL, and */
    const struct secret *secret; /* NULL: nothing that a client could prove, */
    const char *why;             /* for these reasons, for the log; NULL otherwise */
    const char *const *roles;    /* of ROLE_ASK_MEMBERSHIP: all that it is a member of, itself */
    uint32_t role_count;         /* included; none: no such role */
};

/* done is called once, from the event loop, never inside this call. */
void role_query_ask(struct role_query *q, enum role_ask what, const char *user,
                    struct role_waiter *w);
void role_query_leave(struct role_waiter *w); /* also when it does not wait */

/* What is kept of the role may not be so any more. */
void role_query_forget(struct role_query *q, const char *user);

#endif

/*
 * Administration: clients that ask what pgpool knows of itself, whatever its servers do.
 *
 * They speak PostgreSQL's protocol (3.0 to 3.2, simple and extended queries) and get the views of
 * inspect/; who has the role admin also gives commands. Roles and passwords are those of pcp.conf
 * (auth/pcp_users.h); pgpool's own user and root are admin over the unix socket. Anything else is
 * an error that says where to go. Needs no server, no pool and no file. Bounded: so many clients,
 * 10 s for a startup, 64 kB of input each, no further answer while 64 kB of the last ones have not
 * left, and 10 s in which nothing of them is taken. What a client does wrong ends at most its own
 * session.
 *
 * Source: PostgreSQL's manual, chapters "Message Flow" and "Message Formats".
 */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include "base/err.h"
#include "inspect/inspect.h"
#include "ipc/holds.h"
#include "ipc/inbox.h"
#include "os/io.h"

#include <stdbool.h>

enum {
    ADMIN_CLIENTS_MAX = 64,
    ADMIN_SPARE_CLIENTS = 16, /* beyond: let in only to be told that there are too many */
};

struct admin;
struct explain_login;
struct pcp_users;
struct tls_context;

/* A client came, logged in or went. */
typedef void admin_changed_fn(void *ctx);

/* What the process does for it. */
struct admin_host {
    void *ctx;
    admin_changed_fn *changed;
    /* Lets the parent pause, resume or drain; admin_hold_done tells what has come of it, or it is
     * asked again. */
    void (*hold)(void *ctx, uint32_t token, const struct hold_request *r);
    /* INBOX_ORDER to the parent, INBOX_NODE_COMMAND to the failover process; admin_order_done tells
     * what has come of it, or it is sent again. */
    void (*send)(void *ctx, uint32_t slot, struct inbox_msg *msg);
    /* Fills in the rules and secrets that are in force, borrowed until the next turn of the loop.
     */
    void (*login_rules)(void *ctx, struct explain_login *login_r);
    /* Before a reload: the files that the parent does not read. -1: one is faulty. */
    int (*check_files)(void *ctx, struct err *err);
};

/* input is read for every answer: the caller keeps it current. */
struct admin *admin_new(struct io *io, const struct inspect_input *input,
                        const struct admin_host *host);

/* Who may come in from now on; borrowed. NULL: there is no pcp.conf. */
void admin_set_users(struct admin *a, const struct pcp_users *users);

/* What TLS is offered with from now on; borrowed. NULL: none is. Streams that have begun keep what
 * they have. */
void admin_set_tls(struct admin *a, struct tls_context *tls);

/* The parent's answer. is_new: it was not so before; why: NULL when it was done. */
void admin_hold_done(struct admin *a, uint32_t token, const struct hold_request *r, bool is_new,
                     const struct err *why);

/* The answer to an order. words: why it was refused or has failed, or what is done now. */
void admin_order_done(struct admin *a, uint32_t token, enum inbox_command_result result,
                      const struct err *words);

/* Closes what is left, without a word. */
void admin_free(struct admin *a);

/* Takes the connected, nonblocking socket. While admin_is_full the caller should accept no more;
 * one that it had accepted already is served all the same. */
void admin_accept(struct admin *a, int fd);

bool admin_is_full(const struct admin *a);
bool admin_is_empty(const struct admin *a);         /* nobody is there, not even in its login */
uint32_t admin_client_count(const struct admin *a); /* that have logged in */

/* FATAL to every client; what is queued for them leaves at the end of the turn. */
void admin_terminate(struct admin *a, const struct err *err);

#endif

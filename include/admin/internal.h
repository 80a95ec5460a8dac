/*
 * What the files of admin/ share. Nobody else includes this.
 *
 * admin.c    life and death of clients, their input, their limits
 * startup.c  from the first byte to ReadyForQuery
 * enter.c    who may enter, and as what         tls.c  TLS
 * query.c    simple queries          extended.c  the extended protocol
 * hold.c     pause, resume, drain, undrain
 * order.c    commands that another process carries out
 * explain.c  what would become of a login
 */
#ifndef ADMIN_INTERNAL_H
#define ADMIN_INTERNAL_H

#include "admin/admin.h"
#include "auth/pcp_users.h"
#include "base/list.h"
#include "base/map.h"
#include "os/sock.h"
#include "sql/command.h"
#include "sql/facts.h"
#include "wire/handshake.h"
#include "wire/proto.h"

enum {
    ADMIN_STARTUP_MS = 10 * 1000,
    ADMIN_INPUT_MAX_BYTES = 64 * 1024, /* of one message, header included */
    ADMIN_STALLED_MS = 10 * 1000,      /* a full output of which nothing is taken for so long */
    ADMIN_NAME_MAX_BYTES = 255,        /* of a statement or a portal */
    ADMIN_KEY_BYTES = 32,
    ADMIN_NAMES_MAX = 256, /* statements, and portals, of one client */
};

#define ADMIN_DATABASE "pgpool"

struct challenge;

/* A client only ever moves on. */
enum admin_state { ADMIN_STARTUP, ADMIN_READY, ADMIN_CLOSED };

struct admin {
    struct io *io;
    const struct inspect_input *input;
    struct admin_host host;
    const struct pcp_users *users; /* borrowed; NULL: there is no pcp.conf */
    struct tls_context *tls;       /* borrowed; NULL: not offered */
    struct sql_cache *sql;
    struct list clients;
    uint32_t count; /* ADMIN_CLOSED ones, whose memory goes next turn, included */
    uint32_t ready; /* that have logged in */
    uint32_t last_number;
    uint32_t last_token; /* of orders; begins anywhere, so that none is another life's */
    struct io_timer sweep;
    struct io_timer stop; /* an immediate one that was asked for */
};

/* A command that another process carries out. */
struct order_request {
    uint32_t verb;         /* enum sql_command_verb; 0: none */
    uint32_t node_command; /* enum inbox_node_command; 0: the parent's */
    uint32_t order;        /* enum inbox_order, of the parent */
    int32_t node_id;       /* -1: none */
    bool gracefully;
};

/* PGPOOL EXPLAIN LOGIN. */
struct admin_login {
    char user[SQL_COMMAND_NAME_BYTES]; /* "": nothing of that kind */
    char database[SQL_COMMAND_NAME_BYTES];
    struct sock_address address;
    bool is_local;
    bool tls;
};

/* What a statement asks for. */
struct admin_target {
    struct inspect_target view; /* its view is admin_nothing when there is nothing to be shown */
    struct hold_request hold;   /* verb 0: nothing of that kind */
    struct order_request order; /* the same */
    struct admin_login login;
};

/* A pause or its like that a client waits for: its next messages wait, too. */
struct admin_hold {
    struct hold_request request; /* verb 0: none */
    bool simple;                 /* it came as a simple query */
    bool answered;               /* by the parent */
    bool is_new;
    int64_t asked_ns;
    struct io_timer timer;
};

/* The same for an order. */
struct admin_order {
    struct order_request request; /* verb 0: none */
    bool simple;
    bool progress; /* it was heard of */
    bool drained;  /* we have begun the drain of its node */
    uint32_t token;
    struct io_timer timer;
};

struct admin_client {
    struct admin *admin;
    struct list link;
    struct io_stream *stream;
    uint32_t number; /* process id of its BackendKeyData: 1 and up, less than any child gives */
    uint8_t state;   /* enum admin_state */
    bool stalled;    /* its output is full: its input waits */
    bool skip_till_sync;
    struct wire_asked asked;
    struct buf packet;       /* its startup packet, until it has logged in */
    struct challenge *login; /* while it proves who it is; else NULL */
    enum pcp_role promised;  /* what it is then */
    enum pcp_role role;      /* 0 before */
    uint32_t drop_left;      /* of a message that was refused for its length */
    int64_t began_ns;
    int64_t moved_ns; /* when it last took something, or had nothing to take */
    size_t unsent_before;
    struct buf in;          /* what came and is not handled */
    struct map statements;  /* name to struct admin_target */
    struct map portals;     /* name to struct portal */
    struct admin_hold hold; /* together with an order: a detach waits for its drain */
    struct admin_order order;
    uint8_t key[ADMIN_KEY_BYTES]; /* for cancel requests */
    struct io_timer reaper;       /* frees it when no callback of its own runs any more */
    char who[160];                /* for the log; empty before the login */
};

/* admin.c */
void admin_enter(struct admin_client *c, enum admin_state state);
void admin_send(struct admin_client *c, const struct buf *b);
void admin_fatal(struct admin_client *c, const struct err *err);
void admin_end(struct admin_client *c, const char *why);

/* Goes on with the input that waits. */
void admin_go_on(struct admin_client *c);

/* hold.c */
/* It is answered later. */
void hold_begin(struct admin_client *c, const struct hold_request *r, bool simple);
/* Gives it up; its answer is err. */
void hold_cancel(struct admin_client *c, const struct err *err);
/* The client has gone. */
void hold_drop(struct admin_client *c);

/* Its next messages wait until what it has asked for is done. */
static inline bool
admin_is_busy(const struct admin_client *c)
{
    return c->hold.request.verb != 0 || c->order.request.verb != 0;
}

/* A cancel request: counts when the key is right and that client is busy. */
void admin_cancel(struct admin *a, uint32_t number, struct wire_view key);

/* Whether it may do more than look. -1 with 42501. */
int admin_check_role(const struct admin_client *c, struct err *err);

/* order.c */
/* -1 when this client may not, or there is no such node or thing. */
int order_find(struct admin_client *c, const struct sql_command *command, struct order_request *r,
               struct err *err);
/* It is answered later. */
void order_begin(struct admin_client *c, const struct order_request *r, bool simple);
/* The drain that it began with has ended; is_new: the node was not drained before. */
void order_drained(struct admin_client *c, bool is_new, const struct err *err);
/* We are stopping: who has asked for that hears that it is done. */
void order_stopping(struct admin_client *c);
/* The client has gone. */
void order_drop(struct admin_client *c);

/* tls.c */
bool admin_tls_is_offered(const struct admin_client *c);
/* For SSLRequest. c->in is empty then, or the client at its end. */
void admin_tls_accept(struct admin_client *c, const struct wire_startup *p);
/* For one that begins with TLS's own first message. The same. */
void admin_tls_begin(struct admin_client *c);
void admin_tls_done(void *ctx, const struct err *err); /* of struct io_stream_ops */

/* enter.c */
/* Lets the client in (its role is set), or asks it for a password (login is set). -1: it may not
 * come in. */
int enter_begin(struct admin_client *c, const struct wire_startup *p, struct err *err);

/* Handles its answers in c->in as far as they are complete. *more_r: it is not in yet. -1: it has
 * failed. */
int enter_step(struct admin_client *c, bool *more_r, struct err *err);
void enter_forget(struct admin_client *c);

/* startup.c: handles the packets in c->in as far as they are complete. */
void admin_startup(struct admin_client *c);

/* query.c */
extern const struct inspect_view admin_nothing; /* what an empty text asks for: no columns */

/* Borrowed until the next call. Has at least one statement. */
const struct sql_facts *admin_facts(struct admin_client *c, struct wire_view text);

/* explain.c */
extern const struct inspect_view admin_login_view;
/* -1 with err: it is none that could be. */
int admin_login_find(struct admin_client *c, const struct sql_command *command,
                     struct admin_target *target_r, struct err *err);
void admin_login_run(struct admin_client *c, const struct admin_login *login, inspect_row_fn *row,
                     void *ctx);

/* What a statement of the text asks for; its view is admin_nothing when it is empty. -1 with err
 * when it is none of ours. */
int admin_find(struct admin_client *c, const struct sql_statement *st, struct wire_view text,
               struct admin_target *target_r, struct err *err);

/* A whole message of the client. */
void admin_message(struct admin_client *c, const uint8_t *msg, uint32_t len);

/* A message of this type that is longer than ADMIN_INPUT_MAX_BYTES; its bytes are dropped. */
void admin_message_too_long(struct admin_client *c, uint8_t type);

/* extended.c: Parse, Bind, Describe, Execute, Close. Appends the answer; -1 with err. */
int extended_message(struct admin_client *c, const uint8_t *msg, uint32_t len, struct buf *out,
                     struct err *err);
void extended_forget_portals(struct admin_client *c);
void extended_forget_unnamed(struct admin_client *c);
void extended_fini(struct admin_client *c);

#endif

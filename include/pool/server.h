/*
 * A server connection: one PostgreSQL backend that we hold, from dialling to close.
 *
 * It knows the protocol's state on its wire (what is owed, transaction status) and passes answers
 * on to whoever owns it, out of the buffer that they came in. It knows nothing of clients.
 * Source: PostgreSQL's manual, chapter "Message Flow".
 */
#ifndef POOL_SERVER_H
#define POOL_SERVER_H

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "os/io.h"
#include "os/sock.h"
#include "pool/pending.h"
#include "pool/prepared.h"
#include "wire/proto.h"

#include <stdbool.h>

struct pool;
struct pool_key;
struct server;
struct server_slot;
struct server_login;

enum server_state {
#define SERVER_STATE(id, name) id,
#include "tables/server_states.def"
#undef SERVER_STATE
};
const char *server_state_name(enum server_state state);

/* What the owner is told. Owner's callbacks may call everything below, server_close too. */
struct server_ops {
    /* Who waited (struct pool_waiter) gets this connection, which may be dialling still; NULL: none
     * became free in time. */
    void (*taken)(void *ctx, struct server *s);
    /* Who waited waits no more: nothing is to be had at that node (gone), or it would take longer
     * than it seemed, and he may not wait so long for one connection while he has another. */
    void (*turned_away)(void *ctx, bool gone);
    /* Dialled and logged in: statements may be sent. */
    void (*ready)(void *ctx, struct server *s);
    /* Dialling or login failed; s is gone. fatal: the server's own ErrorResponse, whole message,
     * or NULL when it was not the server who refused. */
    void (*failed)(void *ctx, struct server *s, const struct err *err, const uint8_t *fatal,
                   size_t fatal_len);
    /* Answers for the client, whole or in pieces, in order. rx is NULL when they do not stand in
     * a receive buffer. */
    void (*forward)(void *ctx, struct server *s, struct io_rx *rx, const uint8_t *bytes,
                    size_t len);
    /* An error came, and nothing of the cycle's answer was passed on. True: nothing of it shall be,
     * the end of the cycle (or of the connection) is told as always. */
    bool (*error)(void *ctx, struct server *s, const struct err *err);
    /* A row of what server_ask asked for: the whole DataRow message. */
    void (*row)(void *ctx, struct server *s, const uint8_t *msg, size_t len);
    /* An entry with a tag or a note was answered (done) or dropped because of an error. */
    void (*settled)(void *ctx, struct server *s, const struct pending_entry *e, bool done);
    /* ReadyForQuery came, and was passed on when it is for the client. */
    void (*cycle_end)(void *ctx, struct server *s, const struct pending_entry *e, bool failed);
    /* Nothing is owed any more, with or without the end of a cycle; or what is owed waits for
     * COPY's data; or a full queue of owed answers has room again; or no cancel request is under
     * way any more. */
    void (*eased)(void *ctx, struct server *s);
    /* A parameter's value, as the client is about to be told. */
    void (*parameter)(void *ctx, struct wire_view name, struct wire_view value);
    /* A message has come, or the beginning of a long one: with SERVER_TELLS_MESSAGES alone. */
    void (*message)(void *ctx, struct server *s, uint8_t type, uint32_t bytes);
    /* CommandComplete, EmptyQueryResponse, FunctionCallResponse (perhaps only its beginning),
     * ErrorResponse or ReadyForQuery has come, whoever it is for, and nothing of it is done yet:
     * with SERVER_SHOWS_ENDS alone. True: the owner keeps the message, and passes it on itself.
     * Nothing may be called from here but server_send and server_expect. */
    bool (*ends)(void *ctx, struct server *s, uint8_t type, const uint8_t *msg, size_t len);
    /* What was queued for the server has left far enough. */
    void (*drained)(void *ctx, struct server *s);
    /* The connection is closed; s is only its name now, and may be asked for fatal_told (a FATAL
     * message about it went to the client already) and tx_status. err says why, in the server's
     * words if it gave any. owed: which answers for the client were still to come. */
    void (*lost)(void *ctx, struct server *s, const struct err *err,
                 const struct pending_owed *owed);
};

/* What of the messages the owner is told of, a set. */
enum server_watch {
    SERVER_TELLS_MESSAGES = 1, /* ops->message */
    SERVER_SHOWS_ENDS = 2,     /* ops->ends */
};

/* How the running cycle has failed. */
enum server_failure {
    SERVER_FAILED_NOT,
    SERVER_FAILED,
    SERVER_FAILED_LATE,  /* or so it may be: it was cancelled, or there was a second error */
    SERVER_FAILED_EARLY, /* no command of it but BEGIN has come to its end, and the next was refused
                          * for what it says: whatever the texts hold, they have committed nothing
                          */
};

struct server {
    struct pool *pool;
    struct pool_key *key;
    struct io_stream *stream;
    const struct server_ops *ops; /* NULL: nobody owns it */
    void *owner;
    struct list link;       /* in the pool's list of its state */
    uint64_t ticket;        /* the owners': whoever last drew from a sequence on it; 0: nobody */
    struct list owner_link; /* for the owner's use */
    struct server_login *login; /* while dialling */
    struct server_slot *slot;
    struct buf in;    /* a message that has not arrived whole */
    struct buf fakes; /* answers of ours that go in front of the next one */
    struct known_statements known;
    struct prepared *unnamed;     /* what its unnamed statement is; NULL: not known, or none */
    struct settings_image *image; /* the parameters that were set on it; NULL: none */
    int64_t created_ns;
    int64_t since_ns;   /* idle or resetting since */
    uint32_t pass_left; /* bytes of a long message still to come */
    uint32_t backend_pid;
    uint32_t cancel_key_len;
    uint32_t version;   /* 150018 */
    uint32_t cancels;   /* cancel requests under way */
    uint64_t data_rows; /* that came since the last end of an answer */
    uint64_t rows;      /* the owner's: what the server has said of rows, of entries with a note */
    int16_t node_id;
    uint8_t state;   /* enum server_state */
    char tx_status;  /* of the last ReadyForQuery: I, T, E */
    bool pass_skip;  /* the long message is not for the client */
    bool is_standby; /* by in_hot_standby, or by asking */
    bool fatal_told; /* a FATAL message was passed on */
    bool fatal_seen;
    bool forwarded;       /* something of the running cycle was passed on */
    bool answering;       /* an answer in the running cycle has begun to arrive */
    bool swallow;         /* nothing of the running cycle is passed on */
    bool completed;       /* a command of the running cycle that is no BEGIN has come to its end */
    uint8_t failure;      /* enum server_failure */
    bool authenticated;   /* the server has accepted the login */
    bool asked_proof;     /* it has asked for a password or its like, */
    bool unproved;        /* and there was nothing to answer with */
    bool clean;           /* nobody has sent anything since the login or the last reset */
    bool doubtful;        /* must not be used again */
    bool unwanted;        /* closed when it is given back */
    uint8_t watched;      /* enum server_watch */
    uint8_t heard_type;   /* the owner's: of the last of them, */
    uint32_t heard_again; /* and how many more of the same kind it has not told of */
    bool note_failed;     /* the owner's: what has a note has failed in the running cycle */
    bool spoilt;          /* the owner's: it may have what no DISCARD takes away, such as a
                           * temporary schema */
    bool reads_otherwise; /* the owner's: parameters by which it reads literals were set for a
                           * transaction, or by a function */
    bool forgetful;       /* the owner's: statements that it knew may be gone, unseen */
    struct err fatal;     /* what the server said when it ended the connection */
    struct sock_address address; /* for cancel requests */
    uint8_t cancel_key[256];
    struct pending pending;
};

/* ---- for the owner ------------------------------------------------------------------------ */

/* Something is on its way to the server: puts what it will answer into the queue. */
void server_expect(struct server *s, enum pending_kind kind, bool skip, uint16_t flags, void *tag);

/* The same for ours, whose rows the owner is told of. */
void server_expect_heard(struct server *s, enum pending_kind kind, uint16_t flags);

/* The same for the client's, with a note. */
void server_expect_noted(struct server *s, enum pending_kind kind, uint16_t flags, void *tag,
                         uint32_t note);

/* Its unnamed statement is this one now. A Query has none behind it. */
void server_set_unnamed(struct server *s, struct prepared *prepared);

/* Nothing is on its way for this one: its answer is made here when its turn comes. */
void server_expect_fake(struct server *s, enum pending_kind kind, void *tag);
/* From ops->ends, of a message that is kept: the client gets these bytes in its place. */
void server_tell_instead(struct server *s, const struct buf *b);
/* Makes the answers that no other answer will bring along: the client waits for them (Flush). */
void server_flush_fakes(struct server *s);

/* Sends bytes of our own, or part of a receive buffer. */
static inline void
server_send(struct server *s, const void *bytes, size_t len)
{
    io_send_copy(s->stream, bytes, len);
}

/* Nothing owed, nothing half sent, not in a transaction. */
static inline bool
server_is_idle(const struct server *s)
{
    return s->pending.count == 0 && s->tx_status == 'I' && !s->pending.skip_till_sync &&
           s->pass_left == 0;
}

/* A part of a message has gone to the client: whatever else it is sent would become part of it. */
static inline bool
server_is_mid_message(const struct server *s)
{
    return s->pass_left > 0 && !s->pass_skip;
}

/* Runs a statement of ours, the answer skipped. cycle_end tells when it has ended. */
void server_run(struct server *s, const char *sql, size_t len, uint16_t flags);
/* The same of what is soon over, and what comes behind it relies on, such as BEGIN: a cancel
 * request waits for its end. */
void server_run_whole(struct server *s, const char *sql, size_t len, uint16_t flags);
/* The same; the owner is told of the rows, which must be few and short. */
void server_ask(struct server *s, const char *sql, size_t len, uint16_t flags);

/* Stops and goes on receiving answers: the client is slow. */
void server_pause(struct server *s);
void server_resume(struct server *s);

/* Has the server said that somebody has ended this connection alone? Also once it is lost. */
bool server_is_terminated(const struct server *s);

/* Closes it as if it had been lost: the owner is told last, and may do as it likes. */
void server_lose(struct server *s, const struct err *err);

/* Closes it without a call of lost; what it still owed is settled as dropped. The memory stays
 * until the running callback has returned. */
void server_close(struct server *s, const char *why);

/* ---- for the pool --------------------------------------------------------------------------- */

/* The socket is there: takes its callbacks. */
void server_attach_stream(struct server *s);

/* Does an ErrorResponse end the connection (FATAL, PANIC)? */
bool server_is_fatal(const uint8_t *msg, size_t len);
/* An ErrorResponse as a struct err. */
void server_error_from_message(const uint8_t *msg, size_t len, struct err *err_r);

#endif

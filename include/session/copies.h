/*
 * Native replication in a session, for the files of it alone (decision 0026).
 *
 * copies.c        a unit: what is done with it, what the main node says to it
 * copies_rules.c  which statements go to all nodes, to the main node alone, or to none
 * copies_batch.c  batches of the extended protocol
 * copies_known.c  what the catalog says of what a unit names
 * copies_values.c values of the main node's, for a unit
 * copies_links.c  the connections to the other nodes, what they answer, comparison
 * copies_hold.c   writes are held for a while
 * copies_mismatch.c  copies that do something else are detached
 * copies_gate.c   the same rows on all nodes: who may write beside whom
 * copies_end.c    commit, rollback, and what becomes of both when somebody is lost
 *
 * The main node is the session's primary. Each other node is a copy. A statement that may write
 * goes to the main node; when that has answered without an error, to the copies, which may lag
 * behind until the transaction ends. Invariant: a copy has been sent nothing that the main node has
 * not answered.
 */
#ifndef SESSION_COPIES_H
#define SESSION_COPIES_H

#include "catalog/knowledge.h"
#include "session/internal.h"
#include "session/native.h"
#include "sql/determinism.h"

enum {
    COPIES_LAG_MAX = 64, /* statements that a copy may be behind */
    COPIES_TAG_BYTES = 64,
    COPIES_XID_BYTES = 24,
    COPIES_NAME_BYTES = 96, /* of a prepared transaction, with its quotes */
};

enum copies_phase {
    COPIES_REST,     /* none of the client's units is in our hands */
    COPIES_ASKS,     /* the main node is asked about the unit that is next: */
    COPIES_LEARNED,  /* ... its catalog has answered */
    COPIES_ASKED,    /* ... it has told the values that the unit needs */
    COPIES_RUNS,     /* the main node runs a unit */
    COPIES_SETTLES,  /* it has; the copies are to have answered all */
    COPIES_PREPARES, /* they prepare the transaction */
    COPIES_PREPARED, /* they have: the main node is to commit */
    COPIES_COMMITS,  /* it does */
    COPIES_DOUBT,    /* it was lost with that, and is asked whether it has */
    COPIES_FINISHES, /* the copies do what the main node has done */
    COPIES_UNDOES,   /* all roll back */
};

/* What becomes of a unit. */
enum copies_way {
    COPIES_AS_ALWAYS, /* one node runs it */
    COPIES_ALL,       /* all nodes, in a transaction */
    COPIES_ALONE,     /* all nodes, where none may be: first the main node, then the others */
    COPIES_COMMIT,
    COPIES_ROLLBACK,
    COPIES_DISCARD, /* one node runs it, and the others' connections are given back */
    COPIES_REFUSED,
};

/* How a transaction holds the gate of its database (copies_gate.c). */
enum copies_gate {
    GATE_NONE,
    GATE_SHARED, /* with all others that have written by key alone */
    GATE_ALONE,
};

struct copies_rule {
    uint8_t way;     /* enum copies_way */
    bool judged;     /* sql_determinism_judge() has a word in it */
    bool writes;     /* rows or definitions, so that the transaction has a number */
    bool unprepared; /* its transaction cannot be prepared */
};

/* Flags of cycles on the connections, beside those of the session's. */
enum {
    CYCLE_VALUES = 1024,  /* of the main node: values for a statement; of a copy: what it can do */
    CYCLE_XID = 2048,     /* the number of the transaction */
    CYCLE_OWN_END = 4096, /* COMMIT or ROLLBACK of ours on the main node */
    COPY_STATEMENT = 8192,
    COPY_PREPARE = 16384,
    COPY_END = 32768, /* COMMIT, ROLLBACK, and both of them PREPARED */
};

/* A statement that is looked at. */
struct copies_look {
    struct session *s;
    const struct sql_statement *st;
    const char *text; /* that it stands in */
    bool may_write;   /* as the catalog has it */
    bool block;       /* in a transaction block of the client's */
};

/* What a unit has done on a node: the command tags of all that it executed. */
struct copies_outcome {
    uint64_t hash;
    char tag[COPIES_TAG_BYTES]; /* the last one */
};

struct copy {
    struct list link;
    struct session_copies *all;
    struct server *server; /* NULL: none */
    int16_t node_id;
    bool begun;         /* a transaction is open there, prepared or not */
    bool asked;         /* PREPARE TRANSACTION was sent */
    bool prepared;      /* ... and is done */
    bool ends;          /* the end of the transaction was sent over this connection */
    bool deviates;      /* it has done something else, and is to be detached before COMMIT: */
    uint64_t deviation; /* what */
    bool leaves;        /* it has missed something: the failover process is to detach it */
    uint32_t heard;     /* units that it has answered */
    struct copies_outcome outcome; /* of what it runs now */
    struct err err;                /* the same */
};

struct session_copies {
    struct session_host *host;
    struct session *s; /* NULL: there is none any more, what has begun is ended without it */
    struct pool_key *key;
    struct list link; /* without s: in the host's list */
    struct list copies;
    struct pool_waiter waiter; /* for one of them, or for the main node when that is asked */
    struct server *main;       /* without s: where COMMIT runs, or who is asked about it */
    int main_id;               /* of the transaction */
    uint8_t phase;             /* enum copies_phase */
    struct copies_rule rule;   /* of the unit in hand */
    bool own_tx;               /* the transaction is ours: of one statement */
    bool main_begun;           /* ... and has begun at the main node */
    bool holds;                /* the end of the answer waits for the copies */
    bool owes;                 /* the main node has answered, the client has not heard it yet */
    bool failed;               /* by the main node */
    bool commits;              /* FINISHES: so; else rolls back */
    uint8_t gate;        /* enum copies_gate: the main node's transaction holds it, or has asked */
    uint8_t gate_due;    /* ... and the copies are to hold it, too, in front of the unit in hand */
    bool unprepared;     /* the transaction cannot be prepared */
    bool doomed;         /* for the reason in `doom`, which the client is to be told */
    bool untold;         /* ... as its block has failed for that */
    bool main_gives_way; /* it is to be detached when all have rolled back */
    bool link_failed;
    bool dead;        /* about to be freed */
    uint32_t undoing; /* statements of ours that the main node is to answer */
    uint32_t ran;     /* units of the transaction that the main node has run */
    struct err doom;
    struct err link_err;
    struct pending_entry entry; /* of the unit that is owed */
    char xid[COPIES_XID_BYTES];
    struct copies_outcome outcome;                  /* of what the main node runs now */
    struct copies_outcome outcomes[COPIES_LAG_MAX]; /* of the main node, by unit */
    struct buf begin;                               /* the client's BEGIN */
    struct buf text;                                /* the unit as the main node gets it */
    struct buf held;                                /* for the client */
    struct buf values;  /* that the main node has told: each a length and bytes, UINT32_MAX: null */
    struct buf for_all; /* of a batch: a byte for each Bind */
    struct buf items;   /* of a batch: what the copies are to run */
    struct buf parses;  /* for the main node, in front of a batch with values */
    uint32_t parsed;    /* statements in it */
    uint32_t asks;      /* questions for values that the main node is to answer */
    bool query;         /* the unit is a Query */
    bool begins;        /* a batch begins a transaction block */
    bool opens;         /* what is under way leaves one open */
    uint32_t told;      /* CommandCompletes of the batch that have come */
    struct unit unit;   /* that stands in `text` */
    struct io_timer again;
    /* copies_known.c */
    struct knowledge *own; /* that only the transaction has; NULL: it needs none */
    struct knowledge_question *question;
    struct catalog_scope asked_scope; /* as of when it was asked */
    uint8_t questions;                /* for the unit in hand */
    bool learns;                      /* the main node is asked it now */
    bool sensible;                    /* ... and its answer has made sense so far */
    bool snapshot; /* the block may keep one snapshot for all of its statements */
    bool set_tx;   /* the same, by SET TRANSACTION */
};

/* ---- copies_rules.c ---- */

/* What becomes of the unit; REFUSED with err. */
struct copies_rule copies_rule(struct session *s, const uint8_t *bytes, const struct unit *u,
                               struct err *err);
/* May it be run as its text stands, or made so? Borrowed until anybody judges again. Else -1 with
 * err. */
int copies_judge(struct session *s, const uint8_t *bytes, const struct unit *u,
                 struct sql_determined *d_r, struct err *err);
int copies_judge_text(struct session *s, struct sql_text text, struct sql_determined *d_r,
                      struct err *err);
/* Of one statement. */
struct copies_rule copies_rule_of(const struct copies_look *look, struct err *err);

/* ---- copies_batch.c: as the above, of a batch ---- */

struct copies_rule copies_batch_rule(struct session *s, const uint8_t *bytes, const struct unit *u,
                                     struct err *err);
int copies_batch_judge(struct session *s, const uint8_t *bytes, const struct unit *u,
                       struct sql_determined *d_r, struct err *err);
/* Asks for the values of each. */
void copies_batch_ask(struct session_copies *c, const uint8_t *bytes, const struct unit *u);
/* They are there: the batch as it goes to the main node is in c->text, behind c->parses, and what
 * is for the copies is kept. False: they do not fit. */
bool copies_batch_take(struct session_copies *c, const uint8_t *bytes, const struct unit *u);
/* It is about to go to the main node: what is for the copies is kept, */
void copies_batch_keep(struct session *s, const uint8_t *bytes, const struct unit *u);
/* and goes to them. */
void copies_batch_send(struct session *s, struct copy *copy);
/* Calls fn for each statement that is for all nodes; true when it was for any of them. */
bool copies_batch_each(struct session *s, const uint8_t *bytes, const struct unit *u,
                       bool (*fn)(struct session_copies *c, struct sql_text text));

/* ---- copies_links.c ---- */

extern const struct server_ops copies_server_ops; /* a constant */

/* Has every copy a connection that is ready for the transaction? 1: the session is stalled until
 * then. -1 with err: there is no hope. */
int copies_link(struct session_copies *c, struct err *err);
/* The statement has run on the main node: now the copies. */
void copies_send(struct session_copies *c);
/* A question about sequences, whose answer does not matter. */
void copies_draw(struct session_copies *c, const struct buf *question);
void copies_run(struct copy *copy, const char *sql, size_t len, uint16_t flags);
/* What becomes of a statement that is not equal for this reason: -1 with err when it is refused. */
int copies_unsafe(struct session *s, const struct err *reason, struct err *err);

/* ---- copies_known.c ---- */

/* Adds the question to be asked of the main node, within the transaction, before the unit can be
 * judged. False: there is none. */
bool copies_asks(struct session_copies *c, const uint8_t *bytes, const struct unit *u,
                 struct buf *sql);
void copies_hear(struct session_copies *c, const uint8_t *msg, size_t len); /* a DataRow of it */
void copies_learn(struct session_copies *c, bool failed);                   /* its end */
void copies_forget(struct session_copies *c);

/* ---- copies_links.c ---- */

/* One more command tag of what runs there. */
void copies_note_tag(struct copies_outcome *outcome, const uint8_t *msg, size_t len);
/* Has every one answered all? */
bool copies_are_quiet(const struct session_copies *c);
/* May the client's next statement be added to what they have to do? */
bool copies_keep_up(const struct session_copies *c);
bool copies_can_prepare(const struct session_copies *c);
bool copies_any_begun(const struct session_copies *c);
/* The copy has no connection any more; closes it unless it is idle. */
void copies_unlink(struct copy *copy);
void copies_unlink_all(struct session_copies *c);
/* A connection for a copy that has lost its own. False: not now. */
bool copies_dial(struct copy *copy);

/* ---- copies_hold.c ---- */

/* Must the unit wait, as writes are held? As copies_look has it. */
enum copies_turn copies_hold(struct session_copies *c, const struct unit *u, uint8_t way);

/* ---- copies_mismatch.c ---- */

/* It has done something else than the main node. True: that is noted, and not told to the client;
 * copies_leave_out does what there is to do. */
bool copies_deviates(struct copy *copy, bool failed, const struct copies_outcome *wanted);
/* All have answered: may the transaction commit on those that are left? False: later. */
bool copies_leave_out(struct session_copies *c);
/* All have rolled back: a main node in the minority is to be detached. */
void copies_lose_main(struct session_copies *c);

/* ---- copies_gate.c ---- */

/* How the unit must hold the gate; d: what was judged of it. */
enum copies_gate copies_gate_of(const struct session_copies *c, const struct sql_determined *d);
/* Asks the main node for it, and for the transaction's number in the same statement. */
void copies_gate_ask(struct session_copies *c, enum copies_gate gate, uint16_t flags);
/* The same of a copy, whose answer does not matter: the main node has it, so it will be had. */
void copies_gate_follow(struct copy *copy);
/* Both, behind a batch that has begun its transaction and written by key. */
void copies_gate_late(struct session_copies *c);
/* It may have been given back: by ROLLBACK TO. */
void copies_gate_doubt(struct session_copies *c);
/* What the main node has said against it, in words for the client. */
void copies_gate_failed(struct session_copies *c);

/* ---- copies_end.c ---- */

/* Goes on as far as it can without waiting. The last thing that a callback does. */
void copies_step(struct session_copies *c);
void copies_step_later(struct session_copies *c);
/* The copy has not done what the main node has: copies_step rolls all back, and the client is told;
 * or, where it is too late for that, the copy is to be detached. */
void copies_miss(struct copy *copy, const struct err *err);
/* Rolls back everywhere, without a word to the client. */
void copies_undo(struct session_copies *c);
/* The main node has answered COMMIT. */
void copies_committed(struct session_copies *c, bool done);
/* The transaction is over, and all have ended it. */
void copies_reset(struct session_copies *c);
/* The session goes on without it; c is freed when all is done. */
void copies_orphan(struct session_copies *c);
void copies_free(struct session_copies *c);

/* ---- copies.c ---- */

struct session_copies *copies_new(struct session *s);

/* The client's block has failed, and is gone on all nodes. told: the client knows. */
void copies_fail_block(struct session_copies *c, bool told);
/* The client gets what was held. */
void copies_deliver(struct session_copies *c);
/* ---- copies_values.c ---- */

/* Asks the main node for the values of one statement. */
void copies_ask_values(struct session_copies *c, const struct sql_determined *d);
/* Puts values that were told into a text, from *at_io on. False: there are not as many. */
bool copies_put_values(struct session_copies *c, const struct sql_determined *d,
                       struct sql_text text, size_t *at_io, struct buf *sql);

#endif

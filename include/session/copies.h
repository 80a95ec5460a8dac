/*
 * Native replication in a session, for the files of it alone (decision 0026).
 *
 * copies.c        a unit: what is done with it, what the main node says to it
 * copies_rules.c  which statements go to all nodes, to the main node alone, or to none
 * copies_batch.c  batches of the extended protocol
 * copies_known.c  what the catalog says of what a unit names
 * copies_values.c values of the main node's, for a unit
 * copies_taught.c what servers are sent again and again, as prepared statements of ours
 * copies_main.c   the same of the main node's, with the answer of a simple Query
 * copies_prepare.c  PREPARE and EXECUTE in SQL
 * copies_chain.c  COMMIT AND CHAIN
 * copies_cut.c    batches that begin and end transactions
 * copies_copy.c   COPY FROM STDIN
 * copies_links.c  the connections to the other nodes, what they answer, comparison
 * copies_hold.c   writes are held for a while
 * copies_heir.c   the main node is lost, and what the session had there is on the others, too
 * copies_mismatch.c  copies that do something else are detached
 * copies_gate.c   the same rows on all nodes: who may write beside whom
 * copies_calls.c  FunctionCall, large objects
 * copies_lost.c   the main node is lost
 * copies_again.c  statements that run again, commits that are in doubt
 * copies_order.c  snapshot isolation: one moment for all nodes' snapshots (session/native.h)
 * copies_deadlock.c  who waits for whom, over several nodes
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
#include "ipc/gate.h"
#include "session/internal.h"
#include "session/native.h"
#include "sql/determinism.h"
#include "sql/parameters.h"

enum {
    COPIES_LAG_MAX = 64,   /* statements that a copy may be behind */
    COPIES_SEEN_SETS = 32, /* texts that a session remembers to have sent */
    COPIES_SEEN_WAYS = 4,
    COPIES_TAG_BYTES = 64,
    COPIES_XID_BYTES = 24,
    COPIES_NAME_BYTES = 96, /* of a prepared transaction, with its quotes */
};

enum copies_phase {
    COPIES_REST,     /* none of the client's units is in our hands */
    COPIES_ASKS,     /* the main node is asked about the unit that is next: */
    COPIES_LEARNED,  /* ... its catalog has answered, or the gate is had in front of values; */
    COPIES_ASKED,    /* ... it has told the values that the unit needs */
    COPIES_SNAPS,    /* all nodes take their snapshots */
    COPIES_RUNS,     /* the main node runs a unit */
    COPIES_SETTLES,  /* it has; the copies are to have answered all */
    COPIES_PREPARES, /* they prepare the transaction */
    COPIES_QUEUES,   /* they have, and snapshots are under way that must not see half of it */
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

/* How far a COPY FROM STDIN has come. */
enum copies_data {
    DATA_NONE,
    DATA_ASKED,  /* the main node has the statement, and is to ask for data */
    DATA_FLOWS,  /* it has, and every node gets what the client sends */
    DATA_ENDED,  /* the main node has been sent the end of it, */
    DATA_SYNCED, /* and in the extended protocol Sync */
};

/* How a transaction holds the gate of its database (copies_gate.c). */
enum copies_gate {
    GATE_NONE,
    GATE_SHARED, /* with all others that have written by key alone */
    GATE_ALONE,
};

/* Has the session something on all nodes, and no main node? */
enum copies_bereft {
    BEREFT_NOT,
    BEREFT,
    BEREFT_FOR_GOOD, /* the main node that it was lost with is the main one still */
};

struct copies_rule {
    uint8_t way;     /* enum copies_way */
    bool judged;     /* sql_determinism_judge() has a word in it */
    bool writes;     /* rows or definitions, so that the transaction has a number */
    bool unprepared; /* its transaction cannot be prepared */
    bool several;  /* it is several statements in one Query, or a call: parts of its answer pass */
    bool alone;    /* holds the gate alone, judged or not */
    bool in_vain;  /* AS_ALWAYS because the block has failed */
    bool data;     /* COPY FROM: it may ask the client for data */
    bool reads;    /* is or holds a read that all nodes run (replicate_select) */
    bool chains;   /* ends a transaction, and begins another one */
    bool defines;  /* what others read without a lock: the gate of definitions is its alone */
    bool executes; /* is EXECUTE */
    bool locks;    /* is or holds a SELECT that locks rows */
    bool sets;     /* of a batch: sets parameters */
    bool behind_set; /* of a batch: what is judged stands behind SET, or such a read */
};

/* Flags of cycles on the connections, beside those of the session's. */
enum {
    CYCLE_VALUES = 1024,  /* of the main node: values for a statement; of a copy: what it can do */
    CYCLE_XID = 2048,     /* the number of the transaction */
    CYCLE_OWN_END = 4096, /* COMMIT or ROLLBACK of ours on the main node */
    COPY_STATEMENT = 8192,
    CYCLE_SNAPSHOT = 8192, /* of the session's own links: of one node */
    COPY_PREPARE = 16384,
    CYCLE_GATE = 16384, /* of the main node: the gate alone, without the number */
    COPY_END = 32768,   /* COMMIT, ROLLBACK, and both of them PREPARED */
};

/* A statement that is looked at. */
struct copies_look {
    struct session *s;
    const struct sql_statement *st;
    const char *text; /* that it stands in */
    bool may_write;   /* as the catalog has it */
    uint8_t touches;  /* the same: enum touches */
    bool block;       /* in a transaction block of the client's */
    bool several;     /* it stands among others in one Query */
};

/* What a unit has done on a node: the command tags of all that it executed. */
struct copies_outcome {
    uint64_t hash;
    uint32_t number; /* that a FunctionCall has returned */
    bool fails;      /* it is to fail, as it has on the main node */
    bool any;        /* of the main node: tags do not count, as reads have one by what they see */
    char tag[COPIES_TAG_BYTES]; /* the last one */
};

/* The unit in hand as a statement that the copies know, and what runs it there. */
struct copies_taught {
    struct prepared *prepared; /* NULL: its text is sent */
    struct buf run;
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
    bool lost;          /* its part of the transaction is, with its connection: c->loss tells why */
    bool probed;        /* ... and the new connection was asked whether it answers */
    bool reads;         /* it has been sent COPY, and not the end of the data */
    bool early;         /* ... and has failed before the main node has ended */
    bool sets;          /* functions may have set parameters there, whatever its image says */
    bool ties;          /* it may have what no other has (copies_tie) */
    bool renewed;       /* ... and is in the place of such a one, which was lost */
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
    bool draws;          /* it may have drawn from sequences, which all nodes are to do */
    bool doomed;         /* for the reason in `doom`, which the client is to be told */
    bool untold;         /* ... as its block has failed for that */
    bool main_gives_way; /* it is to be detached when all have rolled back */
    bool link_failed;
    bool ties;        /* the session may have left on all nodes what a node that comes lacks */
    bool dead;        /* about to be freed */
    uint32_t undoing; /* statements of ours that the main node is to answer */
    uint32_t ran;     /* units of the transaction that the main node has run */
    struct err doom;
    struct err loss;
    int64_t loss_ns; /* since when the end of the transaction waits for what becomes of the lost */
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
    bool gate_first;    /* ... or for the gate, in front of those */
    bool query;         /* the unit is a Query */
    bool begins;        /* a batch begins a transaction block */
    bool opens;         /* what is under way leaves one open */
    uint32_t told;      /* CommandCompletes of the batch that have come */
    struct unit unit;   /* that stands in `text` */
    struct io_timer again;
    uint8_t data;     /* enum copies_data */
    bool data_broke;  /* the main node has ended it in the middle of a message of the client's, */
    bool data_failed; /* so or so: that counts when the message is through, as of `entry` */
    /* copies_known.c */
    struct knowledge *own; /* that only the transaction has; NULL: it needs none */
    struct knowledge_question *question;
    struct catalog_scope asked_scope; /* as of when it was asked */
    struct catalog_scope scope;       /* as of this look at the unit */
    uint8_t questions;                /* for the unit in hand */
    bool learns;                      /* the main node is asked it now, or for types: */
    struct buf untyped;               /* ... of what it knows by this name */
    struct buf types;                 /* ... that it has told, in network byte order */
    struct buf taught;                /* what the copies are to know: struct prepared * */
    bool sensible;                    /* ... and its answer has made sense so far */
    bool snapshot; /* the block may keep one snapshot for all of its statements */
    bool set_tx;   /* the same, by SET TRANSACTION */
    /* copies_order.c */
    struct gate_pass pass;
    struct server *solo; /* the one node that the transaction is on; NULL: it is another one */
    bool in_use;         /* it is inside of the gate, and not for nothing */
    bool has_snapshot;   /* the transaction */
    bool solo_own;       /* ... is one read, which the client has not put into a transaction, */
    bool solo_ends;      /* ... and its COMMIT is under way */
    bool serial;         /* it is SERIALIZABLE, at the main node */
    bool read_only;      /* by BEGIN's word */
    uint32_t epoch;      /* of the catalog, when it got its snapshot */
    bool cuts;           /* copies_cut.c: the unit in hand is a piece of a batch, without a Sync */
    struct server *cut;  /* ... where one is under way; NULL: none is */
    /* copies_heir.c */
    uint8_t bereft;          /* enum copies_bereft */
    int16_t lost_id;         /* ... with which main node */
    bool prepares;           /* the main node is to be told again what PREPARE has made, */
    uint32_t prepared_again; /* ... which was done so often */
    uint32_t main_only; /* of keeps.kinds: what statements have left that the copies did not run */
    /* copies_again.c */
    struct buf kept;    /* the client's own bytes of the unit in hand; empty: it runs once */
    uint32_t kinds;     /* that tied the session before it was sent */
    bool passed;        /* the client has some of its answer */
    bool cancelled;     /* the client wants no more of it */
    bool tied;          /* it leaves something on the connection, rolled back or not */
    bool spared;        /* the main node was lost with it, and the client does not know */
    uint32_t left;      /* ... and what it had there, as keeps.kinds: with a commit in doubt */
    uint8_t tries;      /* of what is told by: */
    uint64_t kept_hash; /* ... a unit's bytes */
    int64_t doubt_ns;   /* since when it is not known whether it has committed */
    char failure[6];    /* SQLSTATE of the main node's last error */
    /* copies_taught.c */
    bool patient; /* all that the unit in hand writes is by key, */
    bool by_key;  /* and it is one Query with one statement */
    bool literal; /* texts go as they are: something has failed */
    uint32_t seen[COPIES_SEEN_SETS * COPIES_SEEN_WAYS]; /* parts of their hashes; 0: none */
    uint32_t seen_at;                                   /* the last one */
    struct copies_taught now;
    struct prepared *known_begin; /* NULL: not needed yet */
    struct prepared *known_gate;
    /* copies_main.c */
    bool main_runs;             /* a client's Query, as a statement that the main node knows: */
    bool main_reads;            /* ... a SELECT, */
    struct buf places;          /* ... with these struct sql_parameter_place */
    bool quoted;                /* the unit with values had strings or parameters before */
    struct copies_watch *watch; /* copies_deadlock.c; NULL: nothing has begun yet */
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
/* Is it known what parameters the session has on the main node? Functions may have set some. */
bool copies_know_parameters(const struct session *s);
/* Of one statement. */
struct copies_rule copies_rule_of(const struct copies_look *look, struct err *err);

/* ---- copies_batch.c: as the above, of a batch ---- */

struct copies_rule copies_batch_rule(struct session *s, const uint8_t *bytes, const struct unit *u,
                                     struct err *err);
int copies_batch_judge(struct session *s, const uint8_t *bytes, const struct unit *u,
                       struct sql_determined *d_r, struct err *err);
/* Asks for the values of each. */
void copies_batch_ask(struct session_copies *c, const uint8_t *bytes, const struct unit *u);
/* Is any of them drawn from a sequence? */
bool copies_batch_draws(struct session_copies *c, const uint8_t *bytes, const struct unit *u);
/* They are there: the batch as it goes to the main node is in c->text, behind c->parses, and what
 * is for the copies is kept. False: they do not fit. */
bool copies_batch_take(struct session_copies *c, const uint8_t *bytes, const struct unit *u);
/* It is about to go to the main node: what is for the copies is kept, */
void copies_batch_keep(struct session *s, const uint8_t *bytes, const struct unit *u);
/* The first statement of PREPARE's in it, for all nodes, whose types nobody has asked for; NULL. */
struct statement *copies_batch_untyped(struct session *s, const uint8_t *bytes,
                                       const struct unit *u);
/* and goes to them. */
void copies_batch_send(struct session *s, struct copy *copy);
/* The first statement of it that is for all; borrowed. */
struct wire_view copies_batch_text(const struct session_copies *c);
/* How much of a batch in a transaction is a piece of its own: up to a command of transactions or
 * of names, or that. 0: all of it. */
size_t copies_batch_cut(struct session *s, const uint8_t *bytes, size_t len);
/* Calls fn for each statement that is for all nodes; true when it was for any of them. */
bool copies_batch_each(struct session *s, const uint8_t *bytes, const struct unit *u,
                       bool (*fn)(struct session_copies *c, struct sql_text text));

/* ---- copies_links.c ---- */

extern const struct server_ops copies_server_ops; /* a constant */

/* What they run may leave something there that only these connections have; parameters are reset
 * once it is known what they are. */
void copies_ran(struct session_copies *c);
/* Has the session, or may it have, what a new connection to a node would not have? */
bool copies_tie(const struct session *s);
/* A connection was lost that may have had such things, and nothing has begun at the main node: is
 * that asked, what they are? Then the session waits for it. */
bool copies_settle_first(struct session_copies *c);
/* NULL: there is none at this node. */
struct copy *copies_find(struct session_copies *c, int node_id);
/* Resets the parameters of a connection that is idle, and sets the session's there: they are on
 * their way. */
void copies_bring_anew(struct session *s, struct server *server);
/* Has every copy a connection that is ready for the transaction? 1: the session is stalled until
 * then. -1 with err: there is no hope. */
int copies_link(struct session_copies *c, struct err *err);
/* The statement has run on the main node: now the copies. */
void copies_send(struct session_copies *c);
/* A question about sequences, whose answer does not matter. The main node has the gate. */
void copies_draw(struct session_copies *c, const struct buf *question);
/* The transaction begins there, unless it has. */
void copies_open(struct copy *copy);
/* The same for who sends BEGIN himself. False: it has. */
bool copies_opens(struct copy *copy);
void copies_run(struct copy *copy, const char *sql, size_t len, uint16_t flags);
/* What becomes of a statement that is not equal for this reason: -1 with err when it is refused. */
int copies_unsafe(struct session *s, const struct err *reason, struct err *err);

/* ---- copies_known.c ---- */

/* Adds the question to be asked of the main node, within the transaction, before the unit can be
 * judged. in_block: it will be open. False: there is none. */
bool copies_asks(struct session_copies *c, const uint8_t *bytes, const struct unit *u,
                 bool in_block, struct buf *sql);
void copies_hear(struct session_copies *c, const uint8_t *msg, size_t len); /* a DataRow of it */
void copies_learn(struct session_copies *c, bool failed);                   /* its end */
void copies_forget(struct session_copies *c);

/* ---- copies_links.c ---- */

/* One more command tag of what runs there. */
void copies_note_tag(struct copies_outcome *outcome, const uint8_t *msg, size_t len);
/* Has every one answered all? What was held back from those that have not is on its way then. */
bool copies_are_quiet(const struct session_copies *c);
/* May the client's next statement be added to what they have to do? */
bool copies_keep_up(const struct session_copies *c);
/* Has one a connection on which functions may have set parameters? */
bool copies_any_sets(const struct session_copies *c);
bool copies_can_prepare(const struct session_copies *c);
bool copies_any_begun(const struct session_copies *c);
/* The copy has no connection any more; closes it unless it is idle. */
void copies_unlink(struct copy *copy);
void copies_unlink_all(struct session_copies *c);
/* A connection for a copy that has lost its own. False: not now. */
bool copies_dial(struct copy *copy);

/* What the main node has said of the unit that the copy has answered next is known now. */
void copies_compare(struct copy *copy, bool failed);

/* ---- copies_copy.c ---- */

/* While a COPY runs: something that is no message of it. */
enum copies_turn copies_data_other(struct session *s, const struct unit *u);
/* The main node has ended it, and c->outcome says how: so do the copies. */
void copies_data_end(struct session_copies *c, bool failed);
/* True: that is put off until the client's message is through. */
bool copies_data_breaks(struct session_copies *c, const struct pending_entry *e, bool failed);
/* The copy has ended a statement. True: it is COPY, and the main node has not ended it yet. */
bool copies_data_early(struct copy *copy, bool failed);
/* Something else is to be sent there. False: the connection is gone. */
bool copies_data_leave(struct copy *copy);
void copies_data_main_lost(struct session_copies *c);

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

/* Of a statement that was judged: has a table of it a column of type interval, or does nobody know
 * that? */
bool copies_reads_intervals(struct session *s, struct sql_text text);

/* Of UPDATE, with the text that it comes from: does every column to which it assigns a constant
 * take all constants of that type, or none? */
bool copies_assigns_alike(struct session *s, struct sql_text text,
                          const struct sql_with_parameters *p);

/* ---- copies_taught.c ---- */

/* Does the session see what others see, now and as long as its connections know a statement? */
bool copies_taught_is_common(const struct session_copies *c);
/* The unit in hand, a Query for all nodes: c->now. False: its text is sent. p_r is borrowed until
 * the next one. */
bool copies_taught_begin(struct session_copies *c, struct sql_text text,
                         struct sql_with_parameters *p_r);
/* A read that only the main node runs, likewise; NULL: its text is sent. The caller puts it. */
struct prepared *copies_taught_read(struct session_copies *c, struct sql_text text,
                                    struct sql_with_parameters *p_r);
void copies_taught_end(struct session_copies *c);
void copies_taught_fini(struct session_copies *c); /* c ends */
/* c->now to one copy, with what begins the transaction in front where it has not begun there.
 * False: it is to get the text. */
bool copies_taught_send(struct copy *copy);
/* Adds Bind. */
void copies_taught_bind(const struct prepared *prepared, const struct sql_with_parameters *p,
                        struct buf *b);
/* The main node has refused the last text for its words: it may not even be SQL. */
void copies_taught_unseen(struct session_copies *c);
/* Asks the main node the question for the values of d. */
void copies_taught_ask(struct session_copies *c, const struct sql_determined *d,
                       const struct buf *question);
/* What was sent in the extended protocol has failed there. Puts err into words for the client where
 * it is nothing of his. */
void copies_taught_failed(struct session_copies *c, struct server *server, struct err *err);

/* ---- copies_main.c ---- */

/* An error of the main node's: one to a Query that it runs so? Then it is dealt with. True: the
 * client gets other bytes in its place. */
bool copies_main_fails(struct session_copies *c, struct server *server, const uint8_t *msg,
                       size_t len, bool *replaced_r);
/* A unit is about to be sent there: what was in hand before is over. */
void copies_main_begin(struct session_copies *c, const struct server *server);
/* One was: has it left something behind of which nobody can tell what it is? */
void copies_main_doubt(struct server *server, const struct unit *u);

/* ---- copies_gate.c ---- */

/* How the unit must hold the gate; d: what was judged of it. */
enum copies_gate copies_gate_of(const struct session_copies *c, const struct sql_determined *d);
/* Asks the main node for it, and for the transaction's number in the same write. The flags are
 * those of what ends the answer. */
void copies_gate_ask(struct session_copies *c, enum copies_gate gate, uint16_t flags);
/* The main node has told the number: a FunctionCallResponse. */
void copies_gate_hear(struct session_copies *c, const uint8_t *msg, size_t len);
/* The same of a copy, whose answer does not matter: the main node has it, so it will be had. */
void copies_gate_follow(struct copy *copy);
/* Both, behind a batch that has begun its transaction and written by key. */
void copies_gate_late(struct session_copies *c);
/* It may have been given back: by ROLLBACK TO. */
void copies_gate_doubt(struct session_copies *c);
/* What the main node has said against it, in words for the client. */
void copies_gate_failed(struct session_copies *c);

/* ---- copies_calls.c ---- */

/* Is the function of this FunctionCall one of large objects? */
bool copies_call_is_known(const uint8_t *bytes, size_t len);
/* The same of any function in a text. */
bool copies_calls_large_object(const struct sql_facts *f);
/* FunctionCallResponse. */
void copies_note_result(struct copies_outcome *outcome, const uint8_t *msg, size_t len);
/* The main node has called the function in c->text: what the copies are to call is there now. */
void copies_call_follow(struct session_copies *c);

/* ---- copies_lost.c ---- */

/* Not all nodes may have drawn what others have, or will: the failover process is to look. */
void copies_doubt_draws(struct session_copies *c);

/* Its connection is lost, and its part of the transaction with it. True: the end of the transaction
 * waits until it is known whether its node is, too; else as of copies_miss. */
bool copies_bear_loss(struct copy *copy, const struct err *why);
/* May the transaction end on those that are left? False: later, or it is doomed. */
bool copies_settle_losses(struct session_copies *c);

/* The error for a client whose transaction is gone with the main node. */
void copies_say_lost(struct err *err_r, int node_id);

/* The client's block has ended: should no copy have heard of it, as all of it has failed on the
 * main node, what is known of it is forgotten. */
void copies_forget_block(struct session_copies *c);
/* It has failed, and is gone on all nodes. told: the client knows. */
void copies_fail_block(struct session_copies *c, bool told);

/* ---- copies_again.c ---- */

/* The unit is placed: its bytes as the client has sent them are kept, should they be needed. */
void copies_again_keep(struct session_copies *c, const uint8_t *bytes, const struct unit *u);
/* The unit, which is still to be sent, would be refused for this: true when it is begun anew, and
 * is to wait for that. */
bool copies_again_next(struct session_copies *c, const uint8_t *bytes, const struct unit *u,
                       const struct err *err);
/* Is the unit's answer held as a whole? */
bool copies_again_holds(const struct session_copies *c);
/* Its COMMIT is under way: were the main node lost now, would the session wait for what becomes of
 * that? */
bool copies_again_awaits_commit(const struct session_copies *c);
/* The main node's error to it, or to our COMMIT. */
void copies_again_note(struct session_copies *c, const uint8_t *msg, size_t len);
/* It is not known whether the transaction has committed. True: the client still waits. Else it was
 * told so, and c goes on without it. */
bool copies_again_waits(struct session_copies *c);
/* The client is told that. */
void copies_again_tell_doubt(struct session_copies *c);
/* All is over, and the client is owed an answer: true when it runs again, or was answered. */
bool copies_again_goes(struct session_copies *c);
/* Is the session to end behind its answer, which is a commit's, for what it has left on a main node
 * that is lost? Before that. */
bool copies_again_ends_session(const struct session_copies *c, struct err *why_r);
/* Else: the client gets what was held. */
void copies_deliver(struct session_copies *c);

/* ---- copies_order.c ---- */

/* The first look at a unit. ANSWERED: as copies_look. */
enum copies_turn copies_order_look(struct session *s, const uint8_t *bytes, struct unit *u);
/* All copies are prepared. May the main node commit? False: later, by copies_step. */
bool copies_order_commits(struct session_copies *c);
/* Snapshots are under way: have all been taken? */
void copies_order_step(struct session_copies *c);
/* It is not at the gate any more, whatever it was there for. */
void copies_order_leave(struct session_copies *c);
void copies_order_reset(struct session_copies *c); /* the transaction is over */
/* SET TRANSACTION is about to run. */
void copies_order_sets(struct session *s, const struct sql_statement *st);
/* Is the snapshot older than a definition that the unit may depend on? Then with err. */
bool copies_order_is_stale(const struct session_copies *c, struct err *err);
/* As copies_ends and copies_cycle_end. */
bool copies_order_ends(struct session *s, const struct server *server, uint8_t type,
                       const uint8_t *msg, size_t len);
bool copies_order_cycle_end(struct session *s, struct server *server, const struct pending_entry *e,
                            bool failed);
void copies_order_cycle_ended(struct session *s);
/* The main node's connection is gone, and all was undone. */
void copies_order_main_lost(struct session *s, const struct server *server);
/* A unit is placed on this server: as copies_place, before anything else of it. */
enum copies_turn copies_order_place(struct session *s, struct server *server, const struct unit *u);

/* ---- copies_deadlock.c ---- */

/* A transaction has begun, or is under way. */
void copies_watch_deadlocks(struct session_copies *c);
void copies_watch_no_more(struct session_copies *c); /* c ends */

/* ---- copies_end.c ---- */

/* Goes on as far as it can without waiting. The last thing that a callback does. */
void copies_step(struct session_copies *c);
void copies_step_later(struct session_copies *c);
/* The copy has not done what the main node has: copies_step rolls all back, and the client is told;
 * or, where it is too late for that, the copy is to be detached. */
void copies_miss(struct copy *copy, const struct err *err);
/* Rolls back everywhere, without a word to the client. */
void copies_undo(struct session_copies *c);
/* What was to end the transaction at the main node has come to an end, or has failed there: a
 * cancel request may stop it before it begins. Then that is rolled back again. */
void copies_undo_again(struct session_copies *c, bool failed);
/* The same of the copies: the main node has. */
void copies_follow_back(struct session_copies *c);
/* The main node has answered COMMIT. */
void copies_committed(struct session_copies *c, bool done);
/* The transaction is over, and all have ended it. */
void copies_reset(struct session_copies *c);
/* The session goes on without it; c is freed when all is done. */
void copies_orphan(struct session_copies *c);
void copies_free(struct session_copies *c);

/* ---- copies.c ---- */

struct session_copies *copies_new(struct session *s);

/* ---- copies_values.c ---- */

/* Is any value drawn from a sequence: of one statement, of a unit as it was judged? */
bool copies_draws_values(const struct sql_determined *d);
bool copies_draws(struct session_copies *c, const uint8_t *bytes, const struct unit *u,
                  const struct sql_determined *d);
/* Asks the main node for the values of one statement. */
void copies_ask_values(struct session_copies *c, const struct sql_determined *d);
/* Puts values that were told into a text, from *at_io on. False: there are not as many. */
bool copies_put_values(struct session_copies *c, const struct sql_determined *d,
                       struct sql_text text, size_t *at_io, struct buf *sql);
/* Both, of a unit; d is what was judged of all of it. The unit with the values is in c->text. */
void copies_ask_unit(struct session_copies *c, const uint8_t *bytes, const struct unit *u,
                     const struct sql_determined *d);
bool copies_take_unit(struct session_copies *c, const uint8_t *bytes, const struct unit *u,
                      const struct sql_determined *d);
/* The statements of ours that a unit with values names, in front of it. */
void copies_send_parses(struct session_copies *c, struct server *server);

/* ---- copies_cut.c ---- */

/* Is it the answer to that Sync? The client does not see it. */
bool copies_cut_ends(const struct session_copies *c, const struct server *server, uint8_t type);
/* The piece that is under way is. False: there was none. */
bool copies_cut_over(struct session_copies *c, bool failed);

/* ---- copies_chain.c ---- */

/* Of COMMIT and ROLLBACK with AND CHAIN. */
struct copies_rule copies_rule_of_chain(const struct copies_look *look);
/* It was sent to the main node: behind it, what the transaction is that it begins. */
void copies_chain_ask(struct session_copies *c);
/* That, as a BEGIN for the copies; empty: none has begun. What is left of the one before is known
 * still. */
struct buf copies_chained(struct session_copies *c);
/* The main node was lost with the one that it had begun. */
void copies_chain_lost(struct session_copies *c);

/* ---- copies_prepare.c ---- */

/* What an EXECUTE stands for; borrowed as long as the session knows that statement. */
struct copies_named {
    struct statement *st;
    const struct copies_prepared *prepared; /* NULL: it is one of the protocol's */
    struct sql_text text;
    const uint8_t *types;
    uint16_t type_count;
};

/* False: its text is not known. */
bool copies_named_of(struct statement *st, struct copies_named *n_r);
/* Can its types not be had, or not be told to others? Then with err. */
bool copies_named_is_bad(const struct copies_named *named, struct err *err);
/* Is the text an EXECUTE, of what is known here? */
bool copies_executes(struct session *s, struct sql_text text, struct copies_named *n_r);
/* Of EXECUTE, of EXPLAIN EXECUTE, and of what either may name. */
struct copies_rule copies_rule_of_execute(const struct copies_look *look, struct err *err);
struct copies_rule copies_rule_of_explained(const struct copies_look *look, struct err *err);
struct copies_rule copies_rule_of_named(const struct copies_look *look, struct statement *st,
                                        struct err *err);
/* As copies_judge_text, of an EXECUTE with what it stands for: of the places there is the count
 * alone then. */
int copies_judge_statement(struct session *s, struct sql_text text, struct sql_determined *d_r,
                           struct err *err);
bool copies_is_untyped(const struct statement *st);
/* What else than its text decides what it is to the copies. */
uint64_t copies_prepared_meaning(struct session_copies *c);
/* As copies_asks, for types of parameters. */
bool copies_types_ask(struct session_copies *c, const uint8_t *bytes, const struct unit *u,
                      struct buf *sql);
/* As copies_hear and copies_learn; false: it is something else that was asked. */
bool copies_types_hear(struct session_copies *c, const uint8_t *msg, size_t len);
bool copies_types_learn(struct session_copies *c, bool failed);
/* As copies_ask_unit and copies_take_unit, of EXECUTE in a Query. */
void copies_execute_ask(struct session_copies *c, const uint8_t *bytes, const struct unit *u);
/* Would a server read this statement of the protocol now as it was read when it was parsed? */
bool copies_reads_alike(const struct session *s, const struct statement *st, struct sql_text text);
/* Is any of its values drawn from a sequence? */
bool copies_execute_draws(struct session_copies *c, const uint8_t *bytes, const struct unit *u);
bool copies_execute_take(struct session_copies *c, const uint8_t *bytes, const struct unit *u);
/* It goes to the main node as it is: what is for the copies is in c->text, */
void copies_execute_keep(struct session_copies *c, const uint8_t *bytes, const struct unit *u);
/* and what stands in front of it goes there. */
void copies_execute_teach(struct copy *copy);
/* Adds to sql the text of an EXECUTE, naming as we do what is returned, which is kept until
 * copies_execute_forget. NULL: it is not known where the name stands. */
struct prepared *copies_execute_rename(struct session_copies *c, struct sql_text text,
                                       struct buf *sql);
void copies_execute_forget(struct session_copies *c);

#endif

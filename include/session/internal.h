/*
 * What the files of session/ share. Nobody else includes this.
 *
 * session.c  life and death, the links to servers   startup.c    from the first byte to login
 * client.c   what the client sends, unit by unit    unit.c       what a unit holds
 * answers.c  what servers say                       statements.c prepared statements
 * settings.c parameters that follow the session     local.c      what we answer ourselves
 * transaction.c explicit transactions               retry.c      reads that survive their standby
 * lookup.c   what the catalog says of a text        place.c      where a unit goes
 * explain.c  PGPOOL EXPLAIN                         hold.c       paused databases, drained nodes
 * secure.c   TLS with the client                    pass.c       what passes unseen
 * options.c  options, its own included              command.c    PGPOOL SHOW, SET and RESET
 * keeps.c    what ties it to its connection         sequences.c currval() and lastval()
 * notice.c   what is told of servers' messages      timed.c      how long statements take
 * cache*.c   reads answered from the query cache (session/cache.h)
 * copies*.c  native replication (session/copies.h)  definitions.c  what changes the catalog
 * carried.c  which subscribers have what a read reads
 * login.c    who may come in: rule, secret, proof   login_rule.c which rule, and its words
 * login_ask.c  what takes a thread or the resolver  role_query.c auth_query
 */
#ifndef SESSION_INTERNAL_H
#define SESSION_INTERNAL_H

#include "base/log.h"
#include "base/map.h"
#include "route/route.h"
#include "session/session.h"
#include "wire/handshake.h"
#include "wire/proto.h"

enum client_state {
#define CLIENT_STATE(id, name) id,
#include "tables/client_states.def"
#undef CLIENT_STATE
};

enum {
    HOLD_MAX_BYTES = 64 * 1024, /* of a batch that has not ended, or a message */
    STATEMENTS_MAX = 65536,     /* prepared statements of one session */
    STATEMENTS_MAX_BYTES = 16 * 1024 * 1024,
    REFUSED_S = 30,        /* a node that did not take a login is not asked again for so long */
    CANCEL_KEY_BYTES = 32, /* for protocol 3.2; 3.0 gets the first 4 */
};

/* Why the client's input stands still. */
enum stall { STALL_NONE, STALL_ANSWERS, STALL_SERVER, STALL_FULL, STALL_LOOKUP, STALL_CACHE };

/* May it leave something in the session? A set. */
enum touches {
    TOUCHES_UNASKED = 1, /* nobody has asked the catalog about its names yet */
    TOUCHES_SURELY = 2,  /* by all that is known it may */
};

/* What a text may do, as far as anybody can tell. */
struct verdict {
    bool may_write;
    uint8_t touches_session; /* enum touches */
    bool plain;              /* a standby may run all of it */
    bool defines;            /* may change the catalog */
    bool by_catalog;         /* the catalog was asked, or should have been */
    bool judged;             /* ... and what it says is in this verdict */
    bool watches;   /* it stays at the primary: the catalog is asked what it leaves there */
    bool watched;   /* ... and has said so */
    bool unknown;   /* ... and has not answered yet: the unit waits */
    uint32_t flags; /* enum catalog_flag */
    enum route_reason reason; /* unless plain */
    struct cluster_set away;  /* nodes that do not carry all that it reads */
};

/* What the client may be told to do with a statement again elsewhere. */
struct statement {
    uint32_t refs;
    struct prepared *prepared; /* NULL: made by PREPARE on the primary, nobody else can be told */
    struct server *real;       /* knows it by the client's own name, too */
    bool own_name;             /* only that one says whether it is still there */
    uint8_t kind;              /* enum sql_kind of its only statement */
    bool may_write;
    uint8_t touches_session; /* enum touches */
    bool to_primary;
    uint8_t wants_primary; /* enum route_reason: a comment or the configuration does; or 0 */
    uint8_t reason;        /* the same, of to_primary */
    bool tx_read;          /* a SELECT that may run in a transaction on a reader */
    bool draws;            /* may draw from a sequence */
    bool plain;            /* one statement that has no effect on the session */
    uint8_t hint;          /* enum sql_hint: PRIMARY counts as to_primary */
    uint32_t hint_node;
    bool local;      /* SHOW pool_..., PGPOOL ... */
    bool watched;    /* as a verdict watches */
    bool by_catalog; /* what it may do was asked from the catalog, as of: */
    bool defines;    /* may change the catalog */
    uint32_t epoch;
    uint64_t scope;
    struct cluster_set away;        /* as a verdict's, */
    uint64_t carried_epoch;         /* ... as of the host's */
    uint64_t meaning;               /* lookup_meaning() when it was parsed */
    uint32_t literals;              /* settings_literals() of then */
    uint64_t identity;              /* of its facts, for statistics */
    uint8_t keeps_answer;           /* enum cache_keeps */
    bool named;                     /* in the map now */
    struct copies_prepared *by_sql; /* native replication: what PREPARE has made; NULL */
    uint16_t name_len;
    char name[];
};

/* What becomes of a client's Parse or Close. */
enum statements_way {
    STATEMENTS_AS_IS,   /* it is passed on */
    STATEMENTS_RENAMED, /* with our name for it */
    STATEMENTS_KNOWN,   /* it is answered here */
};

/* Why the session keeps its connection to the primary. */
enum session_keeps {
#define SESSION_KEEPS(id, words, pins, asked) SESSION_KEEPS_##id,
#include "tables/keeps.def"
#undef SESSION_KEEPS
};

/* What it has left there, as sets of enum session_keeps. */
struct keeps {
    uint32_t kinds;    /* may be there */
    uint32_t fresh;    /* since the last end of a transaction: it may undo them */
    uint32_t ended;    /* may be gone since the server was asked last */
    uint32_t asked;    /* what the server's answer will be about */
    uint32_t left;     /* what it says is there */
    uint32_t cycles;   /* of the client, since all may be gone */
    uint8_t fruitless; /* questions in vain */
    uint8_t settled;   /* those for keeps_settles, since something was noted last */
    bool asking;
    bool answered;
    bool too_much;       /* parameters that cannot be followed */
    bool blank;          /* all of it was noted for what is under way */
    struct buf settings; /* those that it says are set, while it answers */
    struct io_timer quiet;
};

/* A parameter that was set, and how to set it again. */
struct setting {
    struct list link;
    uint64_t seq;
    uint32_t name_len; /* of name, in front of the text */
    uint32_t text_len;
    char bytes[];
};

struct settings {
    struct list applied; /* committed, oldest first */
    struct list pending; /* of the running transaction */
    uint64_t seq;
    uint32_t bytes;
};

/* What is done when a cycle's answer was no error. */
enum effect_kind {
    EFFECT_SET,
    EFFECT_RESET_ALL,
    EFFECT_DISCARD,
    EFFECT_DEALLOCATE,
    EFFECT_PREPARE,
    EFFECT_ROLLBACK,
    EFFECT_CHAIN, /* COMMIT AND CHAIN */
    EFFECT_SAVEPOINT,
    EFFECT_COMMIT, /* in the middle of a batch */
    EFFECT_BEHIND, /* DISCARD, in its batch */
};
struct effect {
    struct effect *next;
    uint8_t kind;
    uint32_t name_len;
    uint32_t text_len;
    char bytes[]; /* name, text */
};

/* Flags of cycle entries in the queue of owed answers. */
enum {
    CYCLE_WRITE = 1,
    CYCLE_SETTING = 2,
    CYCLE_BEGIN = 4,
    CYCLE_EVICT = 8,  /* closes a statement of the server's, struct prepared */
    CYCLE_KEEPS = 16, /* asks what the session has left there */
    /* of the client's, as far as texts tell: */
    CYCLE_OPENS = 32,    /* a transaction block is open behind it, */
    CYCLE_ENDS = 64,     /* or is not any more; neither: as before */
    CYCLE_COMMITS = 128, /* may have committed one */
    /* for the query cache: */
    CYCLE_DOUBT = 256,    /* something in it has put tables in doubt */
    CYCLE_ALONE = 512,    /* one statement that commits nothing before its end, or a block's end */
    CYCLE_TAUGHT = 32768, /* of Parse: under a name of ours, struct prepared; others: copies.h */
};

/* An explicit transaction, as far as it may run on a reader. */
struct session_tx {
    char *begin; /* its BEGIN, as long as that may be run again; NULL */
    uint32_t begin_len;
    bool deferred;    /* we have answered BEGIN, no server has run it */
    bool on_reader;   /* it runs there, and has only read */
    bool movable;     /* it may be ended there and go on at the primary */
    bool left_reader; /* it has run statements there */
    uint8_t lost;     /* enum tx_lost */
    char why[6];      /* SQLSTATE of that */
};

/* The connection with what was open on it (a transaction block, a batch) is gone. */
enum tx_lost {
    TX_LOST_NOT = 0,
    TX_LOST_UNTOLD, /* the client does not know yet */
    TX_LOST_TOLD,   /* it does; its transaction block is to be ended by it */
};

/* A unit of reads that is under way, to be run again should its standby give it up. */
struct session_retry {
    uint8_t *bytes; /* NULL: none */
    size_t len;
    bool due;       /* it was given up; the end of its cycle is to come */
    bool unknown;   /* the catalog had not been asked whether it has an effect */
    uint32_t kinds; /* as keeps.kinds, before it was sent */
};

/* The last Bind of a statement of ours. */
struct local_portal {
    uint32_t name_len;
    uint32_t text_len;
    char bytes[]; /* the portal's name, the statement's text */
};

/* What is timed (timed.c). */
struct session_timed {
    uint64_t who;    /* a number of database and user; 0: not made yet */
    int64_t step_ns; /* when the statement that ends next was sent, or the one before it ended */
    uint64_t bound_serial;
    uint32_t bound;    /* the place of what the last Bind named, for its Execute; 0: none */
    char **words;      /* of statements under way, where values are to be logged; NULL: none yet */
    char *bound_words; /* of the last Bind; NULL: none */
};

struct session_cache;
struct session_copies;
struct session_login;
struct session_own;

struct session {
    struct session_host *host;
    const struct session_options *options; /* the host's, or its own */
    struct session_own *own;               /* what it has set for itself; NULL: nothing */
    struct session_place place;
    struct io_stream *client;
    struct pool_key *key;
    struct server *primary;
    struct server *reader;   /* never the same connection as primary */
    struct server *cur;      /* where the last unit went */
    struct server *batch;    /* has messages of a batch that has not ended with Sync */
    uint8_t state;           /* enum client_state */
    uint8_t stall;           /* enum stall */
    char tx_status;          /* as the client knows it */
    bool pinned;             /* every statement goes to the primary */
    bool unreal;             /* a server knows a statement by the client's name until Sync */
    struct wire_asked asked; /* for encryption */
    int8_t pool_mode;        /* enum config_pool_mode, by pool_limits; -1: as the options say */
    int8_t cache_mode;       /* the same of memory_cache_enabled */
    bool admitted;           /* it counts as a client */
    bool pumping;
    bool skip_till_sync;   /* we refused something: silent until Sync */
    bool batch_forgets;    /* the open batch has executed a DEALLOCATE or its like */
    uint16_t batch_flags;  /* of the open batch, as of its cycle */
    bool always_pinned;    /* by its startup parameters, DISCARD ALL or not */
    bool cancelled;        /* a cancel request came for a unit that waits for its server */
    bool ending;           /* close when all was sent */
    bool held_long;        /* the client waits: a held batch goes on as far as it has come */
    bool plain_strings;    /* standard_conforming_strings */
    bool serializable;     /* its transactions may be, by a parameter that it has set */
    bool odd_encoding;     /* client_encoding has bytes below 128 inside of characters */
    uint32_t name_effects; /* under way, that change what names stand for or how texts are read */
    uint32_t protocol;
    uint32_t pass_left;  /* of a long message from the client */
    int16_t reader_node; /* load_balance_node, -1: not chosen */
    bool pass_drop;
    uint8_t reason;             /* enum route_reason of the unit that is sent */
    struct route_wish wish;     /* of the redirect preference lists */
    struct cluster_set refused; /* nodes that did not take this session's login for reads */
    int64_t refused_ns;         /* when the last of them did not */
    int64_t last_write_ns;
    int64_t look_ns; /* from when on others' writes must be seen, 0: not decided; for one of several
                      * pgpools */
    int64_t active_ns; /* the client's last sign of life */
    int64_t sent_ns;   /* when the unit left that is answered next, or the answer before it came */
    struct buf in;     /* what the client sent and is not handled */
    size_t held_at;    /* in `in`: behind the whole messages of a batch that has not ended */
    struct map statements;
    size_t statement_bytes;
    uint64_t ticket; /* of the connection on which it last drew from a sequence; 0: it never has */
    struct keeps keeps;  /* what the primary's connection holds and another would not have */
    struct named *named; /* what is known of parameters that no view shows; NULL: nothing */
    struct session_cache *cache;   /* what it has to do with the query cache; NULL: nothing */
    struct session_copies *copies; /* native replication; NULL: it is another mode */
    struct settings settings;
    struct settings_image *image; /* of the settings that hold; NULL: none */
    uint64_t image_seq;
    struct session_tx tx;
    struct session_retry retry;
    struct session_timed *timed; /* NULL: none of its statements were timed */
    struct pool_waiter waiter;   /* for a server connection */
    bool has_real;               /* some statement of it may have `real` */
    bool waited_out;             /* none became free in time */
    bool on_hold;                /* in the host's list of those, by lookup_link */
    bool torn;                   /* some of what it has drawn was not on `ticket` */
    uint32_t passing_word;       /* the last letters of a text that passes unread */
    int64_t outage_ns;           /* since when it waits for a primary; 0: it does not */
    struct lookup *lookup;       /* the question to the catalog that it waits for */
    struct list lookup_link;
    struct catalog_scope scope; /* whose names its statements have */
    uint64_t scope_seq;         /* settings that this follows from */
    uint64_t path_hash;         /* of those that set the search path, or by which texts are read */
    uint32_t literals;          /* settings_literals() */
    uint8_t lookups;            /* questions of its own that the unit which is next has had */
    bool lookup_failed;         /* for the unit that is next */
    bool tx_local_path;         /* SET LOCAL in the running transaction: names are in doubt */
    uint8_t defines;            /* enum definitions: what may change the catalog */
    bool renews;                /* ... or what new connections are given */
    bool to_primary_once;       /* the next unit goes there */
    bool again_if_read;         /* the next unit, which has run before, must have no effect */
    bool tx_wrote;              /* the running transaction may have written */
    bool has_written;           /* any has, since the session began, */
    bool tx_has_written;        /* and an explicit one */
    uint8_t passing;            /* enum passing_place: where in such a text; 0: none passes */
    bool passing_inserts;       /* its last whole word was INSERT or MERGE */
    struct server *replaying;   /* settings are being run on it before the client's next unit */
    struct io_timer timer;      /* of a batch that is held, or of the end */
    struct log_context log;
    struct session_login *login;       /* until the welcome; NULL */
    char *names;                       /* owns user, database, application */
    struct local_portal *local_portal; /* NULL: none */
    struct buf notices;                /* for the client, as soon as no message is passing */
    uint8_t cancel_key[CANCEL_KEY_BYTES];
};

/* A piece of the client's input that goes to one server. */
struct unit {
    size_t bytes;
    uint8_t type;   /* of its first message */
    bool ends;      /* with Query, FunctionCall or Sync: the server will be ready again */
    bool flushes;   /* ends with Flush */
    bool has_begin; /* a BEGIN stands first in it */
    bool begins;    /* its first statement is BEGIN */
    bool tx_read;   /* all else in it is plain SELECTs, fetched whole */
    uint8_t hint;   /* enum sql_hint, of a comment: STANDBY or NODE */
    uint32_t hint_node;
    bool chains;                /* COMMIT AND CHAIN or its like is in it */
    uint8_t verb;               /* enum sql_kind of its last statement that is executed */
    uint32_t executed;          /* statements */
    struct sql_statement begin; /* with begins */
    uint32_t last_parse;        /* where its last Parse stands, with parses */
    bool parses;                /* holds a Parse */
    bool partial;               /* cut: more of the same batch or message follows */
    uint16_t flags;             /* CYCLE_OPENS, ENDS, COMMITS */
    bool may_write;
    uint8_t touches_session; /* enum touches */
    bool to_primary;         /* something in it runs nowhere else, */
    uint8_t reason;          /* enum route_reason: for this */
    bool binds;
    bool local;                    /* a statement of ours is in it, */
    bool foreign;                  /* and one of PostgreSQL's */
    bool asks;                     /* the catalog must be asked about it first */
    bool draws;                    /* may draw from a sequence, */
    bool drew;                     /* the same of what was executed in it so far, */
    bool pins_sequence;            /* by a call of pinning_function_list, */
    bool recalls;                  /* and asks for what the session has drawn before, */
    bool recalls_any;              /* from whichever sequence */
    bool defines;                  /* may change the catalog */
    bool discards_all;             /* DISCARD ALL is in it */
    bool waits;                    /* for what is under way: that decides what a name stands for */
    uint32_t pass_left;            /* of a message that has not arrived whole */
    const struct sql_facts *facts; /* of a Query; until facts are asked for again */
    struct cluster_set away;       /* nodes that do not carry all that it reads */
};

/* session.c */
void session_enter(struct session *s, enum client_state state);
void session_end(struct session *s, const char *why);
void session_send(struct session *s, const struct buf *b);
void session_fatal(struct session *s, const struct err *err);
void session_error(struct session *s, const struct err *err);
void session_show_state(struct session *s, enum session_slot_state state);
/* NULL with *waits_r: it waits for one (ops->taken tells). */
struct server *session_link(struct session *s, int node_id, bool *waits_r, struct err *err);
/* What the text is, as the session's parameters make it be read. */
const struct sql_facts *session_facts(struct session *s, const char *text, size_t len);
void session_note_parameter(struct session *s, struct wire_view name, struct wire_view value);
/* The connection is not the session's any more, whoever has it then; */
void session_unlink(struct session *s, struct server *server);
/* ... the pool has. */
void session_drop_link(struct session *s, struct server *server);
/* Gives back what it does not need between transactions, as pool_mode says. */
void session_release(struct session *s);

/* secure.c: TLS with the client */
bool secure_is_offered(const struct session *s);
/* SSLRequest: takes the session's bytes. -1: err is for the client. */
int secure_accept(struct session *s, const struct wire_startup *p, struct err *err);
/* The client did not ask. False: it is not offered, or too late. */
bool secure_begin_at_once(struct session *s);
void secure_done(void *ctx, const struct err *err); /* the stream's */

/* startup.c */
void startup_received(struct session *s);
/* It has a key: the client comes in when the login of that is known to be good, or once a server
 * has checked it. */
void startup_enter(struct session *s);
void startup_ask_a_server(struct session *s);
bool startup_is_dialling(const struct session *s, const struct server *server);
void startup_server_ready(struct session *s, struct server *server);
/* It waited for one; NULL: in vain. */
void startup_server_taken(struct session *s, struct server *server);
/* server: its name only; NULL when there was none. */
void startup_server_failed(struct session *s, const struct server *server, const struct err *err,
                           const uint8_t *fatal, size_t fatal_len);

void startup_go_on(struct session *s); /* it was on hold */
/* What pool_limits says for its database and user. */
void startup_take_limits(struct session *s);

/* Stalls it until all nodes have said where they stand, asked after s->look_ns, or for so long. */
void hold_for_positions(struct session *s, int64_t limit_ms);

/* hold.c */
/* Must it wait before it gets a connection to the node (-1: none is known; SESSION_ANY_NODE: to
 * whichever)? Then it is on hold, and the caller stalls it. */
bool hold_stops(struct session *s, int node_id);
void hold_leave(struct session *s);
/* The node, to which the session is not linked any more, has failed to take a connection: true when
 * the session waits on hold for what becomes of it. */
bool hold_suspects(struct session *s, int node_id, const struct err *err);
/* Native replication: a node that must be written to takes no connection. True when the session
 * waits on hold until it does, or does not belong to the others any more. */
bool hold_for_copy(struct session *s);
void hold_writes(struct session *s); /* the same: they are held; the session is stalled */
/* The unit has waited in vain, or for too long for its client: answers it. */
void hold_give_up(struct session *s, const struct unit *u);
/* It has taken one. */
void hold_trusts(struct session *s, int node_id);
static inline bool
hold_may_stop(const struct session *s, int node_id)
{
    return unlikely(atomic_load_explicit(s->host->holding, memory_order_relaxed) != 0 ||
                    node_id == -1 || node_id == s->host->suspect_node);
}

/* carried.c: in other modes than logical replication nothing is away */
/* Adds the nodes that do not carry what the statement reads; its names are known to the catalog. */
void carried_note(struct session *s, const struct sql_statement *st, struct cluster_set *away);
/* The same of a unit (NULL: of the database). */
void carried_exclude(struct session *s, const struct unit *u, struct cluster_set *exclude);
bool carried_at(struct session *s, const struct unit *u, int node_id);
/* At a node beside the main one that is of use now? */
bool carried_anywhere(struct session *s, const struct unit *u);

/* client.c */
size_t client_pump(struct session *s, struct io_rx *rx, const uint8_t *bytes, size_t len);
void client_go_on(struct session *s);
void client_refuse(struct session *s, const struct err *err);
/* The same, as the answer to a unit. */
void client_refuse_unit(struct session *s, const struct unit *u, const struct err *err);

/* unit.c */
enum wire_result unit_scan(struct session *s, const uint8_t *bytes, size_t len, struct unit *u,
                           struct err *err);
/* Is there more in what is held than a batch that has not ended? Looks at each message once,
 * however small the pieces are in which it comes. */
bool unit_is_due(struct session *s);
/* The same for the text of a Query that nobody has sent. */
void unit_of_text(struct session *s, const char *text, size_t len, struct unit *u);
/* What else than the statement itself sends a text to the primary: enum route_reason, or 0. */
uint8_t unit_wish(const struct session *s, const char *text, size_t len, const struct sql_facts *f);

/* sequences.c */
/* Of one statement that is executed: what it may draw and asks for. */
void sequences_scan(struct session *s, struct unit *u, const struct sql_facts *f);
/* May a text with this verdict draw something? */
bool sequences_drawn(const struct sql_facts *f, const struct verdict *v);
/* The unit is about to go to this server. */
void sequences_send(struct session *s, const struct unit *u, struct server *server);
/* DISCARD SEQUENCES, or ALL, has run there. */
void sequences_discarded(struct session *s, struct server *server);

/* place.c */
/* The node for reads, chosen once for a session (or for each statement when so configured); -1:
 * no server is there. reason_r: why that one. */
int place_reader(struct session *s, const struct unit *u, enum route_reason *reason_r);
/* Where the unit would go now, as far as no server's answer has to be waited for. */
int place_decide(struct session *s, const struct unit *u, enum route_reason *reason_r);
/* Where the unit goes. 0: *server_r is the connection, ready, and *reason_r says why there. 1: wait
 * (s->stall says for what). -1 with err: there is none to be had. */
int place_unit(struct session *s, const struct unit *u, struct server **server_r,
               enum route_reason *reason_r, struct err *err);
/* Ends the batch that is open there by a Sync of ours; the session is stalled until it is answered.
 */
void place_end_batch(struct session *s, struct server *server);
/* -1 with err: no node can take it. */
int place_no_server(const struct session *s, struct err *err);
/* By disable_load_balance_on_write: does what the session has written keep its reads at the
 * primary? in_tx: of those in explicit transactions. */
bool place_is_after_write(const struct session *s, bool in_tx);
/* From when on a standby must know everything; 0: from never. */
int64_t place_not_before_ns(struct session *s);
/* Must a standby, which is all that is left, say where it stands before it can be asked? */
bool place_waits_to_ask(struct session *s);

/* cache_words.c */
enum { CACHE_WORDS_BYTES = 128 };
/* May its answer be kept? "yes" or why not, for people. */
void cache_words(struct session *s, const struct sql_facts *f, const struct verdict *v,
                 char words_r[CACHE_WORDS_BYTES]);
/* Must the catalog be asked before cache_words? Then the host's question holds it. */
bool cache_asks(struct session *s, const struct sql_facts *f);
/* PGPOOL SET CACHE DELETE: appends NOTICE and CommandComplete. -1 when there is no cache. */
int cache_delete(struct session *s, struct sql_text literal, struct buf *out, struct err *err);

/* explain.c */
void explain_description(struct buf *out);
void explain_rows(struct session *s, struct sql_text inner, struct buf *out);

/* transaction.c */
/* A BEGIN that is not sent yet, or the end of a transaction that no server knows of: answered here.
 * Only while no server owes answers. */
bool tx_answers(struct session *s, const uint8_t *bytes, const struct unit *u);
/* Answers the unit, a statement without a result and nothing else, as if a server had executed it;
 * false when it is not so simple. Then the session's status is this one. */
bool tx_answer(struct session *s, const uint8_t *bytes, const struct unit *u, const char *tag,
               char status);
/* A batch that begins with BEGIN and goes on with reads may go where reads go. */
bool tx_batch_may_read(struct session *s, const struct unit *u);
/* The transaction runs on the reader, and the unit may run in it there. */
bool tx_stays_on_reader(struct session *s, const struct unit *u);
/* Ends it there, to be begun again at the primary by tx_open. Only while the reader owes nothing.
 */
void tx_leave_reader(struct session *s);
/* In front of the next unit to this server: BEGIN, if it was not sent yet. */
void tx_open(struct session *s, struct server *server, const struct unit *u);
/* A BEGIN is about to run on this server. */
void tx_begun(struct session *s, struct server *server, const struct sql_statement *st,
              struct sql_text text);
void tx_fini(struct session *s);

/* outage.c */
/* Can the session go on without the connection that it has just lost? Then what it owed is answered
 * by an error, and what was open there is undone. Else says why not. */
bool outage_survives(const struct session *s, const struct server *server,
                     const struct pending_owed *owed, struct err *why_r);
void outage_settle(struct session *s, const struct pending_owed *owed, const struct err *err);
/* The client's next unit while its transaction or batch is lost: it is answered here. */
void outage_unit(struct session *s, const uint8_t *bytes, const struct unit *u);
/* What ties the session to a connection, in words. */
void outage_refuse(const struct session *s, struct err *err);

/* retry.c */
/* The unit is about to be sent. */
void retry_keep(struct session *s, const struct server *server, const uint8_t *bytes,
                const struct unit *u);
void retry_drop(struct session *s);
/* The server has given it up with this error: true when it is to run again. */
bool retry_wants(struct session *s, const struct server *server, const struct err *err);
/* The same for a server that is gone (its name only). */
bool retry_wants_lost(const struct session *s, const struct server *server,
                      const struct pending_owed *owed);
/* The unit runs again, and had not been asked about: has it no effect? Else it waits (the session
 * is stalled), or its client is told that nobody knows whether it was committed. */
bool retry_may(struct session *s, const struct unit *u);
/* Runs it again, in front of whatever the client has sent meanwhile. */
void retry_run(struct session *s, bool primary_lost);

/* answers.c */
extern const struct server_ops session_server_ops; /* a constant */
/* A cycle has ended, and its answer was passed on. */
void answers_cycle_end(struct session *s, struct server *server, const struct pending_entry *e,
                       bool failed);

/* statements.c */
enum statements_way statements_parse(struct session *s, struct server *server,
                                     const struct wire_parse *p, struct pending_entry *e_r);
/* False: one more would be too much; it is then known to the primary alone. */
bool statements_have_room(const struct session *s, const struct wire_parse *p);
/* Is the unnamed statement what this Parse would make it? */
bool statements_has_unnamed(struct session *s, const struct wire_parse *p);
/* A Parse too long to be looked into: only its name is known. */
enum statements_way statements_parse_unseen(struct session *s, struct server *server,
                                            struct wire_view name);
/* Is there an answer to come that may change what the name stands for? */
bool statements_in_doubt(const struct statement *st);
/* Made by an SQL PREPARE. */
void statements_add_by_sql(struct session *s, struct sql_text name, struct sql_text text);
/* One of ours, parsed by no server. */
void statements_remember(struct session *s, const struct wire_parse *p);
struct statement *statements_find(struct session *s, struct wire_view name);
/* What it may do is judged again when the catalog may have changed. False: the catalog must be
 * asked first. */
bool statements_judge(struct session *s, struct statement *st);
/* Makes sure that the server knows it: may send Parse in front. */
void statements_provide(struct session *s, struct server *server, struct statement *st);
/* ... by the client's own name, for statements of SQL that name it. */
void statements_provide_real(struct session *s, struct server *server, struct statement *st);
/* Something that cannot be followed may have dropped it (empty: any): the server is asked by the
 * client's own name from now on. True: there is one that may be gone. */
bool statements_doubt(struct session *s, struct sql_text name);
/* Makes sure that a copy (native replication) knows it under our name, and what comes of that. */
void statements_teach(struct session *s, struct server *server, struct prepared *prepared);
void statements_taught(struct server *server, const struct pending_entry *e, bool done);
/* What it was parsed from; empty for one made by SQL's PREPARE. */
struct wire_view statements_text(const struct statement *st);
/* Its name on servers. */
struct wire_view statements_wire_name(const struct statement *st);
enum statements_way statements_close(struct session *s, struct server *server,
                                     struct wire_view name, struct pending_entry *e_r);
void statements_settled(struct session *s, struct server *server, const struct pending_entry *e,
                        bool done);
void statements_forget(struct session *s, struct sql_text name); /* empty: all */
/* The session has this server no more. */
void statements_link_gone(struct session *s, struct server *server);
/* Closes there what it knows by the client's names. Only behind a Sync. */
void statements_close_real(struct session *s, struct server *server);
/* The client's simple query has dropped the unnamed statement. */
void statements_unnamed_gone(struct session *s);
void statements_fini(struct session *s);

/* settings.c */
void settings_init(struct session *s);
void settings_fini(struct session *s);
/* Of what stands behind DISCARD or DEALLOCATE in its batch. */
struct effect *settings_behind(void);

struct effect *settings_effects(struct session *s, const struct sql_facts *f, const char *text);
void settings_settled(struct session *s, struct server *server, struct effect *effects, bool done);
/* The server's transaction is over; NULL: with its connection. What was set in it holds, or does
 * not. */
void settings_tx_ended(struct session *s, struct server *server, bool committed);
/* What a server says is set on it, parameter by parameter: false when it is too much. Then it is
 * what the session has set. False: that cannot be followed. */
bool settings_hear(struct buf *heard, struct sql_text name, struct sql_text text);
bool settings_adopt(struct session *s, struct server *server, const struct buf *heard);
/* Brings the settings to a connection that does not have them. True: they are on their way, and
 * nothing may follow before they have succeeded. */
bool settings_replay(struct session *s, struct server *server);
/* The same for a copy (native replication), which is idle: the caller waits until it has answered.
 * Whether they succeeded, cycles with CYCLE_SETTING tell. */
void settings_bring(struct session *s, struct server *server);

/* reading.c: numbers of what has been set that decides how texts are cut into words, and how a
 * server reads literals; is this parameter one of these? */
uint64_t settings_reading(const struct session *s);
bool settings_is_reading(struct sql_text name);
uint32_t settings_literals(const struct session *s);
bool settings_is_of_literals(struct sql_text name);
/* Does it set such a one for its transaction, or by a function? */
bool settings_of_literals(const struct sql_statement *st);
/* May there be any in it that such parameters count for? */
bool settings_text_has_literals(struct sql_text text);

/* cache.c: all of it only while there is a query cache (host->cache) */
enum cache_keeps {
    CACHE_KEEPS_NOT,
    CACHE_KEEPS,        /* its answer may be kept, as far as its text tells */
    CACHE_KEEPS_ALWAYS, /* the same, and a comment asks for it whatever memory_cache_enabled says */
};
uint8_t cache_keeps(const struct sql_facts *f);
/* Before the unit is placed: true when its answer was there, and is given. */
bool cache_answers(struct session *s, const uint8_t *bytes, const struct unit *u);
/* It is placed, and goes to the server now. */
void cache_sending(struct session *s, struct server *server, const uint8_t *bytes, struct unit *u);
void cache_sent(struct session *s); /* it has gone, and facts of texts may be asked for again */
/* A Bind in it, of this statement (NULL: one that nobody here knows). */
void cache_bound(struct session *s, struct server *server, const struct statement *st);
/* cache_fill.c: these bytes go to the client. */
void cache_passes(struct session *s, const struct server *server, const uint8_t *bytes, size_t len);
/* cache.c: the end of a cycle of the client's, before the session has the server's status. */
void cache_cycle_end(struct session *s, struct server *server, const struct pending_entry *e,
                     bool failed);
void cache_forget_answer(struct session *s); /* what is being collected */
/* The session has this server no more. */
void cache_link_gone(struct session *s, struct server *server);
/* DISCARD ALL has run. */
void cache_is_clean(struct session *s);
void cache_fini(struct session *s);

/* lookup.c */
/* What the text may do. Where the catalog must be asked for that, the names are added to the host's
 * question. */
/* What else than its text the meaning of a statement depends on. */
uint64_t lookup_meaning(struct session *s);
struct verdict lookup_verdict(struct session *s, const struct sql_facts *f);
/* Are all tables of the database on every server? False with *unknown_r when the catalog must be
 * asked for that, in the same way. */
bool lookup_is_alike(struct session *s, bool *unknown_r);
/* Asks the host's question; client_go_on is called when it has its answer. False: it cannot be
 * asked. */
bool lookup_ask(struct session *s);
/* Is it of a kind that calls functions, or fires triggers, whose names the catalog is asked about?
 */
bool lookup_watches(const struct sql_statement *st);
/* Does the parameter decide what names stand for? */
bool lookup_is_path(struct sql_text name);
/* Whose names the session's are, now. */
const struct catalog_scope *lookup_scope(struct session *s);
/* For who asks a question of his own on his own connection: its text, and that all rows are there;
 * scope is that from before. */
void lookup_text(struct session *s, const struct catalog_question *q, struct buf *sql);
void lookup_heard(struct session *s, struct catalog_question *q, struct catalog_scope *scope);
struct knowledge_question;
/* The same for what is asked of tables and functions as such (catalog/knowledge.h). */
void lookup_learned(struct session *s, struct knowledge_question *q, struct catalog_scope *scope);
/* Is a connection being asked on behalf of the session's login? */
bool lookup_is_under_way(const struct session *s);
/* The same, and nobody waits for it. */
void lookup_learn(struct session *s);
/* The session waits no more. */
void lookup_leave(struct session *s);
void lookup_end_all(struct session_host *host);
/* options.c */
static inline const struct session_options *
session_options(const struct session *s)
{
    return s->options;
}
static inline uint8_t
session_pool_mode(const struct session *s)
{
    return s->pool_mode >= 0 ? (uint8_t)s->pool_mode : s->options->pool_mode;
}
/* text: NULL for DEFAULT. -1 with err when there is no such option, it is not for sessions to set,
 * or has no such value. */
int options_set(struct session *s, const char *name, const char *text, struct err *err);
void options_reset_all(struct session *s);
/* Is the session to be told of the messages of its server? */
void options_watch(const struct session *s, struct server *server);
void options_fini(struct session *s);

/* command.c */
/* Is it a command that we know? -1 with err. */
int command_check(struct session *s, struct sql_text text, struct err *err);
/* Is it PGPOOL EXPLAIN? Then what is to be explained. */
bool command_explains(struct session *s, struct sql_text text, struct sql_text *inner_r);
/* Does it, and appends that part of the answer. */
int command_answer(struct session *s, struct sql_text text, enum session_part part, struct buf *out,
                   struct err *err);

/* notice.c */
/* The statement goes to this server: tells the client, when no message is passing. */
void notice_statement(struct session *s, const struct server *server, const char *text, size_t len);
/* What waited for the end of a message. */
void notice_flush(struct session *s);
/* A message of a watched server, for the log. */
void notice_message(struct session *s, struct server *server, uint8_t type, uint32_t bytes);

/* local.c */
/* Is any of the statements ours? */
bool local_takes(const struct sql_facts *f);
void local_unit(struct session *s, const uint8_t *bytes, const struct unit *u);
void local_ready(struct session *s);
void local_fini(struct session *s);

/* these know all of it */
#include "session/definitions.h"
#include "session/keeps.h"
#include "session/native.h"
#include "session/pass.h"
#include "session/timed.h"

#endif

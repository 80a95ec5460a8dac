/*
 * The query cache in a session, for the files of it alone.
 *
 * cache.c        what may be answered from it, and the hit
 * cache_fill.c   an answer that is kept
 * cache_remote.c answers in memcached
 * cache_write.c  what writes may touch: doubts
 */
#ifndef SESSION_CACHE_H
#define SESSION_CACHE_H

#include "cache/shared.h"
#include "catalog/tables.h"
#include "session/internal.h"

/* An answer on its way to the client, of a read that may be kept. */
struct cache_fill {
    struct server *server; /* that gives it; NULL: none is being collected */
    struct cache_key key;
    struct store_facts facts;
    uint64_t primary_epoch; /* the host's when it was asked */
    const uint8_t *whole;   /* all of it, in the receive buffer, */
    size_t whole_len;
    struct buf bytes; /* or as far as it has come */
};

/* What a transaction may have written, or statements that are under way. */
struct cache_writes {
    struct doubt doubt;
    struct server *server; /* where */
    bool committed;        /* some of it may be, before the end */
    bool defines;          /* the catalog must be forgotten before the end, */
    bool defined;          /* ... also when what is under way should fail as a whole, */
    bool everywhere;       /* that of all databases, */
    bool renews;           /* and connections from before it are not like those from behind it */
};

/* In memcached. */
struct cache_lookup {
    struct remote_call *call; /* under way; NULL: none is */
    bool heard;               /* it has ended: with an answer, or with none (empty) */
    struct cache_key key;
    struct store_facts facts;
    struct buf answer;
};

struct session_cache {
    uint32_t database;             /* its number */
    bool has_stream;               /* `stream` is known: */
    uint32_t stream;               /* its database's (cache/streams.h); CACHE_STREAMS_MAX: none */
    bool based;                    /* `base` is of these settings: */
    bool plain_strings;            /* the session's then */
    uint64_t base_seq;             /* the same */
    struct cache_key_builder base; /* of a key: what is the same for all statements */
    bool tx_reads;                 /* the running transaction is READ COMMITTED and has only read */
    bool opaque;           /* what it has run may have left something that nobody will find out */
    struct buf unjudged;   /* texts of which it is not known yet, each ended by a zero, */
    uint64_t unjudged_seq; /* as of these settings */
    bool unsettled;        /* something that changes what names mean may be under way */
    bool prepares_defines; /* what a PREPARE has named may change the catalog */
    /* of the unit that is being sent: */
    bool reads;  /* it does nothing else */
    bool doubts; /* it has put something in doubt */
    bool lasts;  /* it may define by what it calls (CYCLE_LASTS) */
    /* the unit that is about to be sent, if its answer may be kept */
    bool asked;
    struct wire_view text; /* of a batch's statement */
    struct cache_key key;
    int64_t as_of_ns;
    struct cache_fill fill;
    struct cache_lookup remote;
    struct cache_writes writes;
};

/* The session's, made when it is first needed. */
struct session_cache *cache_of(struct session *s);

/* cache_fill.c: the unit is sent to the server now; f: what it asks. True: what it reads is known,
 * and it is nothing but a read. */
bool cache_fill_begin(struct session *s, struct server *server, const struct sql_facts *f);
void cache_fill_drop(struct session *s);
void cache_fill_end(struct session *s, struct server *server, bool failed);

/* cache_write.c: the text goes to the server now. */
void cache_write_text(struct session *s, struct server *server, const struct sql_facts *f,
                      struct wire_view text);
/* What has run and was not known then: is it now? */
void cache_write_judge(struct session *s);
void cache_write_query(struct session *s, struct server *server, const uint8_t *bytes,
                       const struct unit *u);
/* Anything may be written by what goes there. */
void cache_write_anything(struct session *s, struct server *server);
void cache_write_end(struct session *s, struct server *server, const struct pending_entry *e,
                     bool failed);
void cache_write_lost(struct session *s, struct server *server);

/* cache_remote.c: with host->remote. */
/* Appends the answer, or begins to look for it: the session is stalled (STALL_CACHE) then and asks
 * again with the same key. */
bool cache_remote_get(struct session *s, const struct cache_key *key, struct buf *out,
                      struct store_facts *facts_r);
void cache_remote_drop(struct session *s);

#endif

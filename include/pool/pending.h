/*
 * The answers that a server connection still owes, in the order in which they will come.
 *
 * Each entry says what was asked and what becomes of the answer: it goes to the client, it is
 * skipped since we asked for ourselves, or nothing was asked and we answer in the server's place. A
 * connection may change hands only with an empty queue: this is what keeps one client's rows from
 * ever reaching another.
 *
 * Source: PostgreSQL's manual, chapter "Message Flow", sections "Simple Query", "Extended Query",
 * "Function Call" and "COPY Operations".
 */
#ifndef POOL_PENDING_H
#define POOL_PENDING_H

#include "base/util.h"

#include <stdbool.h>

enum pending_kind {
    PENDING_QUERY,    /* ... Z */
    PENDING_SYNC,     /* Z */
    PENDING_CALL,     /* V Z */
    PENDING_PARSE,    /* 1 */
    PENDING_BIND,     /* 2 */
    PENDING_DESCRIBE, /* [t] T or n */
    PENDING_EXECUTE,  /* D* and one of C I s */
    PENDING_CLOSE,    /* 3 */
    PENDING_COPY_END, /* CopyDone or CopyFail: has no answer of its own */
};

struct pending_entry {
    uint8_t kind;   /* enum pending_kind */
    bool skip : 1;  /* the answer is not for the client */
    bool fake : 1;  /* the server was not asked: ParseComplete and CloseComplete are made here */
    bool heard : 1; /* with skip: the owner is told of the rows, which come whole */
    bool whole : 1; /* no cancel request is to stop it */
    uint16_t flags; /* the owner's */
    uint32_t note;  /* the owner's, as the tag; 0: none */
    void *tag;      /* the owner's; handed back when the entry is settled */
};

enum { PENDING_INLINE = 8, PENDING_MAX = 8192 };

struct pending {
    struct pending_entry *ring;
    uint32_t head;
    uint32_t count;
    uint32_t cap;        /* a power of two */
    uint32_t forwards;   /* entries that are not skipped */
    bool skip_till_sync; /* the server ignores everything up to the next Sync */
    bool copy_in;        /* the server waits for CopyData */
    bool sync_in_doubt;  /* a Sync or the like may or may not have been swallowed by COPY */
    bool error_seen;     /* since the last end of a cycle */
    struct pending_entry small[PENDING_INLINE];
};

/* What a message from the server means for the queue. */
struct pending_step {
    bool skip;      /* the message is not for the client */
    bool cycle_end; /* it was the ReadyForQuery that `ended` waited for */
    bool failed;    /* with cycle_end: an error was among the cycle's answers */
    bool unasked;   /* nothing was owed: an asynchronous message */
    struct pending_entry ended;
};

/* Called for each entry with a tag or a note that is settled: done, or dropped because of an error.
 */
typedef void pending_settled_fn(void *ctx, const struct pending_entry *e, bool done);

void pending_init(struct pending *p);

/* Drops what is left, telling settled (may be NULL). */
void pending_fini(struct pending *p, pending_settled_fn *settled, void *ctx);

/* Room for more? A client whose queue is full waits. */
static inline bool
pending_is_full(const struct pending *p)
{
    return p->count >= PENDING_MAX;
}

/* What the client is still to be answered. All zeroes: nothing. */
struct pending_owed {
    uint8_t *kinds;  /* enum pending_kind, in order */
    uint16_t *flags; /* the same number of them */
    uint32_t count;
    bool skip_till_sync; /* an error has been told, and its Sync is to come */
    bool in_doubt;       /* which of them a COPY has swallowed is not known */
};

/* The caller frees it. */
void pending_note_owed(const struct pending *p, struct pending_owed *owed_r);
void pending_owed_free(struct pending_owed *owed);
bool pending_ends_cycle(uint8_t kind); /* the server is ready behind it */

/* Something was sent to the server. Returns false when it will have no answer: the server
 * ignores it (an entry's tag is then settled as dropped at once). */
bool pending_push(struct pending *p, const struct pending_entry *e, pending_settled_fn *settled,
                  void *ctx);

/* The first entry, when it is a fake: it is settled and gone. */
bool pending_take_fake(struct pending *p, struct pending_entry *e_r, pending_settled_fn *settled,
                       void *ctx);

/* A message of this type came from the server. Handles everything but what becomes of the bytes. */
struct pending_step pending_answer(struct pending *p, uint8_t type, pending_settled_fn *settled,
                                   void *ctx);

#endif

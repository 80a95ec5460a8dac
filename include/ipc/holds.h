/*
 * Holds: what clients must wait for, so that servers can be worked on. All databases or some are
 * paused, nodes are drained, and writes are held: in native replication no transaction begins.
 *
 * In shared memory, so that a child forked later knows them. Written by the parent alone, read by
 * everybody, without locks. Each change is a new epoch; a child that has acted on it says so in its
 * slot (holds_seen), and what it lends from then on is in accordance with it.
 */
#ifndef IPC_HOLDS_H
#define IPC_HOLDS_H

#include "base/err.h"
#include "ipc/slots.h"

struct holds;

enum { HOLDS_DATABASES_MAX = 64 };

enum hold_verb {
    HOLD_PAUSE = 1, /* all, or a database */
    HOLD_RESUME,    /* all, its databases included; or a database that was paused by itself */
    HOLD_UNPAUSE,   /* takes one HOLD_PAUSE back: databases paused by themselves stay so */
    HOLD_DRAIN,     /* a node */
    HOLD_UNDRAIN,
    HOLD_WRITES, /* the failover process's alone: no text stands for it */
    HOLD_UNWRITES,
};

struct hold_request {
    uint32_t verb; /* enum hold_verb */
    int32_t node_id;
    char database[SLOT_NAME_BYTES]; /* "": all */
};

/* Reads "pause", "pause DATABASE", "resume ...", "unpause ...", "drain NODE", "undrain NODE". */
bool hold_request_read(const char *text, struct hold_request *r_r);
/* The reverse; text_r has HOLD_TEXT_BYTES. */
enum { HOLD_TEXT_BYTES = SLOT_NAME_BYTES + 16 };
void hold_request_write(const struct hold_request *r, char *text_r);

size_t holds_bytes(void);

/* Not zero while there are any: one load, for those who ask often. */
const _Atomic uint32_t *holds_word(const struct holds *h);
bool holds_any(const struct holds *h);
uint32_t holds_epoch(const struct holds *h); /* from 0 */

/* Must who wants something of the database wait? */
bool holds_paused(const struct holds *h, const char *database);
bool holds_all_paused(const struct holds *h, int64_t *since_us_r);
/* The entry n, below HOLDS_DATABASES_MAX; false: there is none. */
bool holds_database(const struct holds *h, uint32_t n, char name_r[SLOT_NAME_BYTES],
                    int64_t *since_us_r);
bool holds_drained(const struct holds *h, int node_id, int64_t *since_us_r); /* may be NULL */
bool holds_any_drained(const struct holds *h);
bool holds_writes(const struct holds *h, int64_t *since_us_r); /* may be NULL */

/* Is what was asked for in force? Of HOLD_PAUSE, HOLD_DRAIN and HOLD_WRITES. */
bool holds_has(const struct holds *h, const struct hold_request *r);
/* What takes it back. */
struct hold_request hold_request_reverse(const struct hold_request *r);

/* The parent's: does it. *new_r: it was not so before. -1: too many databases, or a database is
 * resumed while all are paused. */
int holds_change(struct holds *h, const struct hold_request *r, bool *new_r, struct err *err);

#endif

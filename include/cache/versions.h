/*
 * Versions: when each table was last written through this pgpool, and whether it is being written
 * now. What was read is valid as long as that says so: no list of entries per table, no scan.
 *
 * In shared memory, made by the parent before it forks. A table (oid of its database, own oid) has
 * a slot in a map of fixed size; so has a database ("everything of it"), and there is one for all
 * databases. Tables that share a slot by chance only make more invalid, never less. A slot holds
 *
 *   version   the moment (CLOCK_MONOTONIC, ns) at which the answer to the last commit that wrote
 *             the table was here; it only grows. 0: never;
 *   doubts    one bit per process: some transaction of it may write the table, or has, and its end
 *             is not known yet; and two bits for what processes have left behind (orphans).
 *
 * The protocol.
 *   Write: before the first byte of a statement that may write leaves for the server, the doubts
 *     of all that it may touch are set (doubt_begin). When the answer of its COMMIT (or of the
 *     statement itself, outside of a block) is here, and before any of that is sent to the client,
 *     the versions are raised to now and then the doubts are taken back (doubt_end). After a
 *     ROLLBACK the doubts are taken back alone: entries are valid again. Where the end stays
 *     unknown (the connection was lost), the doubt goes to the orphans (doubt_abandon).
 *   Read: an answer is kept with as_of, the moment as of which the node that gave it was fresh:
 *     for the primary any moment before the statement that took its snapshot left; for a standby
 *     the fresh_as_of known by then (cluster/fresh.h). And with the tables that it came from.
 *   Hit: allowed when no slot of these tables, of their database and of all has a doubt, and each
 *     version is less than as_of (versions_valid: first the doubts, then the version).
 *
 * Why a hit is right: it gives what the primary would have answered at the moment of the check.
 *   Take any transaction W that writes one of the tables. b: its doubt is set; c: its commit
 *   becomes visible on the primary; a: its version is raised; b < c < a, as the statement leaves
 *   after b and the answer that comes before a is sent after c. h: the check of that table's slot.
 *   - a < h: the check sees a version of at least a (the doubt was taken back after the raise, and
 *     is looked at before the version), so a < as_of, and c < as_of: the node had W when it
 *     answered. The answer contains W.
 *   - b < h < a: the doubt is seen. No hit.
 *   - h < b: W has not begun to write; the answer, which is older than h, does not contain it.
 *   So the answer contains exactly those whose raise came before the check: all that any client
 *   was told of, and none that any client can have seen and will not see again. Tables checked at
 *   different moments h1 < h2 < ... are all unchanged until h1, and the answer is that of h1.
 *   The clock is one for all processes; a version is taken from it after the answer is here, and
 *   as_of before the question leaves.
 *   It follows that a session never gets an entry older than a write of its own, nor than any
 *   write that was acknowledged to anybody through this pgpool, as far as doubt_begin was told
 *   everything that the write touches. Who cannot know that names the database.
 *
 * A process that dies. Its bits stay, so that its tables give no hits; the statements that it left
 *   behind may still commit. Before another process takes its number, the parent gives the bits to
 *   the orphans (versions_orphan). Later somebody who has made sure that no statement left behind
 *   runs any more (the server processes have ended) raises the versions of all these slots and
 *   takes the orphans' bits back (versions_orphans_turn, then versions_orphans_settle). No entry
 *   becomes valid by a death, and no table stays blocked for longer than its orphans live. Orphans
 *   have two bits, so that those who come while others are waited for are not settled with them.
 *
 * What this does not see: writes that bypass this pgpool (cache_invalidation = wal raises for
 * them), and other generations of processes during an upgrade. After a promotion acknowledged
 * commits may be gone: whoever publishes the new primary raises everything (versions_raise).
 *
 * No function blocks or waits. Source of the form: doc/decisions/0021.
 */
#ifndef CACHE_VERSIONS_H
#define CACHE_VERSIONS_H

#include "base/err.h"
#include "base/util.h"

#include <stdbool.h>

struct versions;

/* owners: how many processes may have doubts, numbered from 0. */
int versions_new(uint32_t owners, struct versions **v_r, struct err *err);
void versions_free(struct versions *v);

/* ---- reads ---- */

enum { READ_SET_MAX = 24 };

/* The tables that an answer came from, as slots. */
struct read_set {
    uint32_t n;
    uint32_t slots[READ_SET_MAX];
};

/* Nothing but "everything of the database". */
void read_set_init(struct read_set *rs, const struct versions *v, uint32_t database);

/* False: these are too many tables for one answer that is kept. */
bool read_set_add(struct read_set *rs, const struct versions *v, uint32_t database, uint32_t table);

/* May an answer be given, or be kept, that was fresh as of this moment? Any bytes in the set are
 * survived. */
bool versions_valid(const struct versions *v, const struct read_set *rs, int64_t as_of_ns);

/* ---- writes ---- */

struct doubts; /* of one process */

/* owner: the process's number, whose bits are given to the orphans before it is used again. */
struct doubts *doubts_new(struct versions *v, uint32_t owner);

/* Frees what is the process's own. Doubts that it still has stay in the map, for versions_orphan.
 */
void doubts_free(struct doubts *ds);

enum { DOUBT_MAX = 64 }; /* tables; who writes more, writes everything of the database */

/* What one transaction, or statement outside of one, may have written. */
struct doubt {
    uint32_t database;
    uint32_t n;
    uint32_t cap;
    uint32_t *slots;
};

void doubt_init(struct doubt *d, uint32_t database);
static inline bool
doubt_any(const struct doubt *d)
{
    return d->n > 0;
}

/* Before the bytes leave. May be called any number of times, for the same table, too. */
void doubt_begin(struct doubts *ds, struct doubt *d, uint32_t table);
void doubt_begin_database(struct doubts *ds, struct doubt *d);
void doubt_begin_all(struct doubts *ds, struct doubt *d); /* all databases: roles, for example */

/* When the end is known, before the client is told. committed: any of it may have been. The doubt
 * is then empty, owns no memory, and may be used again. */
void doubt_end(struct doubts *ds, struct doubt *d, bool committed);

/* The end will not be known here: the connection is lost. As doubt_end, but the tables give no hits
 * until the orphans are settled. */
void doubt_abandon(struct doubts *ds, struct doubt *d);

/* What is known to have been written by others and can be seen by now. Any process. */
void versions_raise(struct versions *v, uint32_t database, uint32_t table);
void versions_raise_database(struct versions *v, uint32_t database);
void versions_raise_all(struct versions *v);

/* ---- orphans ---- */

/* The process with this number is dead; before its successor is forked. The parent's. */
void versions_orphan(struct versions *v, uint32_t owner);

/* Are there any? One load. */
bool versions_has_orphans(const struct versions *v);

/* One process alone does both, any number of times: after the first it finds out which statements
 * of lost connections may still run (those from before the call); when none of them does any more
 * it calls the second. */
void versions_orphans_turn(struct versions *v);
void versions_orphans_settle(struct versions *v);

#endif

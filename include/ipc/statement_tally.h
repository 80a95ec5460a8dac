/*
 * What one process has counted of statements and not yet added to the shared numbers
 * (ipc/statement_stats.h): an end of a statement writes a few words that nobody else writes.
 *
 * Of fixed size: what many different texts push out is added before it goes. Statements under way
 * hold their place. Texts lead to it by a number of the caller's for each, so that a text that has
 * just been seen is not looked into again.
 *
 * Works without shared numbers, too (NULL): then it knows texts, and counts nothing. Never blocks.
 */
#ifndef IPC_STATEMENT_TALLY_H
#define IPC_STATEMENT_TALLY_H

#include "base/util.h"
#include "ipc/statement_stats.h"

#include <stdbool.h>

enum {
    STATEMENT_TALLIES = 512,
    STATEMENT_ALIASES = 2048, /* texts that lead to them */
    STATEMENT_BANKS = 4,
    STATEMENT_ENDS = 16, /* that wait in one of these to be added */
};

/* Where one has run and why, as one word. */
static inline uint32_t
statement_where(int node_id, bool standby, uint8_t reason)
{
    return (uint16_t)node_id | (uint32_t)reason << 16 | (uint32_t)standby << 24;
}

struct statement_end {
    uint32_t where;
    bool failed;
    uint64_t rows;
    uint64_t time_us;
};

/* Ends that wait to be added, all of one where. */
struct statement_bank {
    uint32_t where;
    uint32_t count;
    uint16_t buckets[STATEMENT_ENDS]; /* of the histogram */
};

struct statement_tally {
    uint64_t key; /* 0: free */
    uint64_t serial;
    uint64_t fingerprint;
    char *names; /* database, user, text, one behind the other */
    uint32_t text_at;
    uint32_t user_at;
    uint32_t under_way;
    uint32_t number; /* its own, from 1 on */
    uint32_t used;   /* the clock of the last use */
    uint32_t errors;
    uint64_t rows;
    uint64_t time_us;
    struct statement_bank banks[STATEMENT_BANKS];
};

struct statement_alias {
    uint64_t text;
    uint64_t serial;
    uint32_t number; /* less 1 */
};

struct statement_tallies {
    struct statement_stats *stats;
    uint32_t owner;
    uint32_t clock;
    uint64_t serial;
    struct statement_alias aliases[STATEMENT_ALIASES];
    struct statement_tally list[STATEMENT_TALLIES];
};

/* owner: as in statement_stats_add. */
struct statement_tallies *statement_tallies_new(struct statement_stats *stats, uint32_t owner);
void statement_tallies_free(struct statement_tallies *t); /* NULL: nothing; adds before */

/* The place of a text that was seen a moment ago; NULL: it must be told (statement_tally_take).
 * text: its number, not 0. */
static inline struct statement_tally *
statement_tally_of(struct statement_tallies *t, uint64_t text)
{
    const struct statement_alias *a = &t->aliases[(text >> 8) % STATEMENT_ALIASES];
    struct statement_tally *tally = &t->list[a->number];

    return likely(a->text == text && a->serial == tally->serial) ? tally : NULL;
}

/* The place for what that text is; NULL: there is none, since too many are under way. */
struct statement_tally *statement_tally_take(struct statement_tallies *t, uint64_t text,
                                             const struct statement_name *name);

static inline const char *
statement_tally_text(const struct statement_tally *tally)
{
    return tally->names + tally->text_at;
}

static inline struct statement_tally *
statement_tally_at(struct statement_tallies *t, uint32_t number)
{
    return &t->list[number - 1];
}

/* One has begun; it is to end by one of the two others. */
static inline void
statement_begins(struct statement_tallies *t, struct statement_tally *tally)
{
    tally->under_way++;
    tally->used = t->clock;
}
static inline void
statement_is_dropped(struct statement_tally *tally)
{
    tally->under_way--;
}

/* Nodes with numbers next to each other have different ones. */
static inline struct statement_bank *
statement_bank_of(struct statement_tally *tally, uint32_t where)
{
    return &tally->banks[where % STATEMENT_BANKS];
}

/* Adds to the shared numbers what waits where this is to wait next. */
void statement_tally_turn(struct statement_tallies *t, struct statement_tally *tally,
                          uint32_t where);

static inline void
statement_ends(struct statement_tallies *t, struct statement_tally *tally, struct statement_end end)
{
    struct statement_bank *bank = statement_bank_of(tally, end.where);

    tally->under_way--;
    if (unlikely(bank->where != end.where || bank->count == STATEMENT_ENDS))
        statement_tally_turn(t, tally, end.where);
    tally->rows += end.rows;
    tally->time_us += end.time_us;
    tally->errors += end.failed;
    bank->buckets[bank->count++] = (uint16_t)histogram_bucket(end.time_us);
}

/* The same for all; about once a second. */
void statement_tallies_flush(struct statement_tallies *t);

#endif

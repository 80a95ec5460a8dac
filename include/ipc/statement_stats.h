/*
 * What statements have cost, by fingerprint, database and user: calls, errors, rows, times, where
 * they ran and why there.
 *
 * In shared memory of fixed size, made by the parent before it forks: so many statements; when
 * there is no place for a new one, the one with the least calls among a few makes room. Numbers are
 * added without a lock. Only who gives a place to a statement, or takes it, holds a lock; whoever
 * finds it held goes away and tries again later, and the parent gives it back for who has died
 * with it (statement_stats_bury). Nothing here waits.
 *
 * Processes count in their own memory first (ipc/statement_tally.h).
 */
#ifndef IPC_STATEMENT_STATS_H
#define IPC_STATEMENT_STATS_H

#include "base/err.h"
#include "base/histogram.h"

#include <stdatomic.h>
#include <stdbool.h>

enum {
    STATEMENT_NAME_BYTES = 64,   /* of a database or a user, its NUL included */
    STATEMENT_TEXT_BYTES = 1024, /* of a normal form; longer ones are cut */
    STATEMENT_REASONS = 48,      /* numbers of reasons are below */
    STATEMENT_PLACES = 10,       /* pairs of node and role; what does not fit is counted as one */
    STATEMENT_NOWHERE = -1,      /* in place of a node: answered by pgpool itself */
};

struct statement_stats;

/* statements: how many have a place, at least 8. */
int statement_stats_new(uint32_t statements, struct statement_stats **s_r, struct err *err);
void statement_stats_free(struct statement_stats *s); /* NULL: nothing */

/* ---- counting ---- */

struct statement_name {
    uint64_t fingerprint;
    const char *database;
    const char *user;
    const char *text;
};

/* Of the three names; the same in all processes, and never 0. */
uint64_t statement_key(const struct statement_name *name);

struct statement_cell;

/* Where its numbers are added; NULL: it has no place. Valid until the caller's next call of
 * anything here: another statement may have the place later, which then gets these numbers. */
struct statement_cell *statement_stats_find(struct statement_stats *s, uint64_t key);

/* Gives it one. False: somebody else is busy here, try again later. owner: a number of this
 * process, which the parent knows, below 65535. */
bool statement_stats_add(struct statement_stats *s, uint32_t owner, uint64_t key,
                         const struct statement_name *name);

struct statement_sums {
    uint64_t calls;
    uint64_t errors;
    uint64_t rows;
    uint64_t time_us;
};
void statement_add_sums(struct statement_cell *c, const struct statement_sums *sums);
void statement_add_times(struct statement_cell *c, uint32_t bucket, uint32_t count);
void statement_add_reason(struct statement_cell *c, uint32_t reason, uint32_t count);
void statement_add_place(struct statement_cell *c, int node_id, bool standby, uint32_t count);

/* So many calls could not be counted. */
void statement_stats_lose(struct statement_stats *s, uint64_t calls);

/* ---- care ---- */

/* Forgets all of it. False: somebody else is busy, try again. */
bool statement_stats_reset(struct statement_stats *s, uint32_t owner);

/* The parent's, when the process is dead: what it held is free again, what it had begun to write
 * has never been. */
void statement_stats_bury(struct statement_stats *s, uint32_t owner);

/* ---- what is shown ---- */

struct statement_place {
    int node_id;
    bool standby;
    uint32_t calls;
};

struct statement_row {
    uint64_t fingerprint;
    char database[STATEMENT_NAME_BYTES];
    char user[STATEMENT_NAME_BYTES];
    char text[STATEMENT_TEXT_BYTES];
    int64_t since_us; /* wall clock: when it got its place */
    struct statement_sums sums;
    struct histogram times; /* but for sum_us */
    uint32_t reasons[STATEMENT_REASONS];
    struct statement_place places[STATEMENT_PLACES];
    uint32_t place_count;
    uint32_t elsewhere; /* calls at places that found no room */
};

/* Places are numbered from 0 to statement_numbers.limit - 1. False: nobody has this one. */
bool statement_stats_row(const struct statement_stats *s, uint32_t at, struct statement_row *row_r);
/* The same, of its numbers these alone. */
bool statement_stats_look(const struct statement_stats *s, uint32_t at, uint64_t *time_us_r,
                          uint64_t *calls_r);
/* All of them: *at_io is 0 at first. False: no more. */
bool statement_stats_next(const struct statement_stats *s, uint32_t *at_io,
                          struct statement_row *row_r);

struct statement_numbers {
    uint64_t statements; /* that have a place */
    uint64_t limit;
    uint64_t evictions;
    uint64_t lost;    /* calls that were not counted */
    int64_t reset_us; /* wall clock: when all was forgotten last, or begun */
};
void statement_stats_numbers(const struct statement_stats *s, struct statement_numbers *n_r);

/* ---- for tests ---- */

/* The first half of statement_stats_add: holds the lock, and a place that nobody sees. */
bool statement_stats_begin(struct statement_stats *s, uint32_t owner, uint64_t key);

#endif

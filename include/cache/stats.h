/*
 * What the query cache has done for each table and each statement: hits, misses, invalidations.
 *
 * In shared memory of fixed size, made by the parent before it forks: so many tables and so many
 * statements; what finds no place is not counted, of statements the one of least use makes room.
 * A process counts in its own memory (a tally) and adds that to the shared numbers now and then
 * (cache_tally_flush), so that a hit writes nothing that others write. A process that dies takes
 * with it what it had not added yet. Tables that share a slot of the versions are counted as one.
 *
 * Nothing here blocks, and no function fails but the one that makes it.
 */
#ifndef CACHE_STATS_H
#define CACHE_STATS_H

#include "base/err.h"
#include "cache/versions.h"

#include <stdbool.h>

struct cache_stats;

int cache_stats_new(const struct versions *versions, struct cache_stats **s_r, struct err *err);
void cache_stats_free(struct cache_stats *s); /* NULL: nothing */

/* ---- counting: one process's own ---- */

struct cache_tally;
struct cache_tally *cache_tally_new(struct cache_stats *s);
void cache_tally_free(struct cache_tally *t); /* NULL: nothing; what it has is added before */

/* A statement was answered from the cache, or might have been. reads: its tables, NULL where they
 * are not known. statement: a number of its text that is the same in all processes; with a miss 0
 * when it was counted before its tables were known. */
void cache_tally_hit(struct cache_tally *t, const struct read_set *reads, uint64_t statement);
void cache_tally_miss(struct cache_tally *t, const struct read_set *reads, uint64_t statement);

/* What was committed just now makes answers from these tables invalid: before doubt_end. */
void cache_tally_written(struct cache_tally *t, const struct doubt *d);

/* Adds all of it to the shared numbers; about once a second. */
void cache_tally_flush(struct cache_tally *t);

/* ---- names ---- */

enum { CACHE_STATS_DATABASE_BYTES = 64, CACHE_STATS_TEXT_BYTES = 160 };

/* Who is counted from now on: cheap when it is known already. The name may be cut. */
struct cache_stats_table {
    uint32_t database;
    uint32_t table; /* oids */
    const char *database_name;
    const char *name; /* "": only its oid is known */
};
void cache_stats_name_table(struct cache_stats *s, const struct cache_stats_table *t);
void cache_stats_name_statement(struct cache_stats *s, uint64_t statement,
                                const char *database_name, const char *text, size_t len);

/* ---- what is shown ---- */

enum cache_stats_kind { CACHE_STATS_TABLES, CACHE_STATS_STATEMENTS, CACHE_STATS_KINDS };

struct cache_stats_row {
    char database[CACHE_STATS_DATABASE_BYTES];
    char text[CACHE_STATS_TEXT_BYTES]; /* a name, or a statement's beginning */
    uint32_t oid;                      /* of a table */
    uint64_t hits;
    uint64_t misses;
    uint64_t written;
};

/* *at_io is 0 at first. False: no more. */
bool cache_stats_next(const struct cache_stats *s, enum cache_stats_kind kind, uint32_t *at_io,
                      struct cache_stats_row *row_r);

/* Of all statements. */
struct cache_stats_sums {
    uint64_t hits;
    uint64_t misses;
};
void cache_stats_sums(const struct cache_stats *s, struct cache_stats_sums *sums_r);

#endif

/*
 * Numbers of statements in one process (ipc/statement_tally.h).
 *
 * A table of sets of four. A new statement takes the place of its set that was not used for the
 * longest time and has nothing under way. Invariants: a place is given away only when what waits
 * in it was added or counted as lost; a serial number is used once, so that an alias never leads to
 * what stands in its place later.
 */
#include "ipc/statement_tally.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

enum { WAYS = 4, SETS = STATEMENT_TALLIES / WAYS };

struct statement_tallies *
statement_tallies_new(struct statement_stats *stats, uint32_t owner)
{
    struct statement_tallies *t = xcalloc(1, sizeof(*t));

    t->stats = stats;
    t->owner = owner;
    return t;
}

/* ---- to the shared numbers ---- */

static struct statement_cell *
cell_of(struct statement_tallies *t, const struct statement_tally *tally)
{
    struct statement_cell *c = statement_stats_find(t->stats, tally->key);
    const struct statement_name name = {.fingerprint = tally->fingerprint,
                                        .database = tally->names,
                                        .user = tally->names + tally->user_at,
                                        .text = statement_tally_text(tally)};

    if (likely(c != NULL) || !statement_stats_add(t->stats, t->owner, tally->key, &name))
        return c;
    return statement_stats_find(t->stats, tally->key);
}

static void
add_ends(struct statement_cell *c, const struct statement_bank *bank)
{
    int node_id = (int16_t)(bank->where & 0xffff);

    statement_add_reason(c, bank->where >> 16 & 0xff, bank->count);
    statement_add_place(c, node_id, bank->where >> 24 != 0, bank->count);
    if (node_id == STATEMENT_NOWHERE)
        return; /* what we answer takes no time that is known */
    for (uint32_t n = 0; n < bank->count; n++)
        statement_add_times(c, bank->buckets[n], 1);
}

/* With rows and times of the other banks, too: these are sums. False: not now. */
static bool
flush_bank(struct statement_tallies *t, struct statement_tally *tally, struct statement_bank *bank)
{
    const struct statement_sums sums = {.calls = bank->count,
                                        .errors = tally->errors,
                                        .rows = tally->rows,
                                        .time_us = tally->time_us};
    struct statement_cell *c;

    if (bank->count == 0)
        return true;
    c = cell_of(t, tally);
    if (c == NULL)
        return false;
    statement_add_sums(c, &sums);
    add_ends(c, bank);
    tally->errors = 0;
    tally->rows = tally->time_us = 0;
    bank->count = 0;
    return true;
}

/* All banks of it: their sums are one. */
static void
lose(struct statement_tallies *t, struct statement_tally *tally)
{
    for (size_t n = 0; n < STATEMENT_BANKS; n++) {
        if (t->stats != NULL)
            statement_stats_lose(t->stats, tally->banks[n].count);
        tally->banks[n].count = 0;
    }
    tally->errors = 0;
    tally->rows = tally->time_us = 0;
}

/* What cannot be added now is lost: its place is needed. */
static void
empty_bank(struct statement_tallies *t, struct statement_tally *tally, struct statement_bank *bank)
{
    if (t->stats == NULL || !flush_bank(t, tally, bank))
        lose(t, tally);
}

void
statement_tally_turn(struct statement_tallies *t, struct statement_tally *tally, uint32_t where)
{
    struct statement_bank *bank = statement_bank_of(tally, where);

    empty_bank(t, tally, bank);
    bank->where = where;
}

/* Before another statement has the place. */
static void
empty_all(struct statement_tallies *t, struct statement_tally *tally)
{
    for (size_t n = 0; n < STATEMENT_BANKS; n++)
        empty_bank(t, tally, &tally->banks[n]);
}

void
statement_tallies_flush(struct statement_tallies *t)
{
    t->clock++;
    if (t->stats == NULL)
        return;
    for (size_t n = 0; n < STATEMENT_TALLIES; n++) {
        for (size_t b = 0; b < STATEMENT_BANKS; b++)
            flush_bank(t, &t->list[n], &t->list[n].banks[b]);
    }
}

void
statement_tallies_free(struct statement_tallies *t)
{
    if (t == NULL)
        return;
    for (size_t n = 0; n < STATEMENT_TALLIES; n++) {
        empty_all(t, &t->list[n]);
        free(t->list[n].names);
    }
    free(t);
}

/* ---- places ---- */

static bool
is_older(const struct statement_tallies *t, const struct statement_tally *a,
         const struct statement_tally *b)
{
    return t->clock - a->used > t->clock - b->used;
}

static struct statement_tally *
place_for(struct statement_tallies *t, uint64_t key)
{
    struct statement_tally *set = &t->list[(key >> 8) % SETS * WAYS];
    struct statement_tally *oldest = NULL;

    for (size_t n = 0; n < WAYS; n++) {
        if (set[n].key == key)
            return &set[n];
    }
    for (size_t n = 0; n < WAYS; n++) {
        if (set[n].key == 0)
            return &set[n];
        if (set[n].under_way == 0 && (oldest == NULL || is_older(t, &set[n], oldest)))
            oldest = &set[n];
    }
    return oldest;
}

/* As much of it as there is room for, up to the end of a character. */
static size_t
text_length(const char *text)
{
    size_t len = strnlen(text, STATEMENT_TEXT_BYTES - 1);

    while (text[len] != '\0' && len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    return len;
}

static void
name_place(struct statement_tally *tally, const struct statement_name *name)
{
    size_t database = strnlen(name->database, STATEMENT_NAME_BYTES - 1) + 1;
    size_t user = strnlen(name->user, STATEMENT_NAME_BYTES - 1) + 1;
    size_t text = text_length(name->text);

    free(tally->names);
    tally->names = xcalloc(1, database + user + text + 1);
    tally->user_at = (uint32_t)database;
    tally->text_at = (uint32_t)(database + user);
    memcpy(tally->names, name->database, database - 1);
    memcpy(tally->names + tally->user_at, name->user, user - 1);
    memcpy(tally->names + tally->text_at, name->text, text);
}

struct statement_tally *
statement_tally_take(struct statement_tallies *t, uint64_t text, const struct statement_name *name)
{
    struct statement_alias *a = &t->aliases[(text >> 8) % STATEMENT_ALIASES];
    uint64_t key = statement_key(name);
    struct statement_tally *tally = place_for(t, key);

    if (tally == NULL) {
        if (t->stats != NULL)
            statement_stats_lose(t->stats, 1);
        return NULL;
    }
    if (tally->key != key) {
        empty_all(t, tally);
        tally->key = key;
        tally->fingerprint = name->fingerprint;
        tally->serial = ++t->serial;
        tally->number = (uint32_t)(tally - t->list) + 1;
        name_place(tally, name);
    }
    tally->used = t->clock;
    *a = (struct statement_alias){text, tally->serial, tally->number - 1};
    return tally;
}

/*
 * Between the files that judge whether a text does the same on several servers. Private to sql/.
 *
 * determinism.c judges statements, queries.c walks through queries and expressions, calls.c looks
 * at calls and words, literals.c at literals and casts, assigned.c at what columns are given,
 * order.c at what depends on the order of rows, by_key.c at how rows are found.
 */
#ifndef SQL_DETERMINING_H
#define SQL_DETERMINING_H

#include "base/arena.h"
#include "sql/determinism.h"
#include "sql/walk.h"

struct sql_determinism {
    struct sql_work work;
    struct sql_found found;
    void *scanner;
    struct arena arena;
    struct sql_list places; /* struct sql_place, in the order in which they were found */
    struct sql_list values;
    struct sql_determinism *inner; /* for defaults */
    const struct sql_known *known;
    const struct sql_token *t;
    uint32_t end;                   /* of the statement: token */
    const struct sql_table *tables; /* of the statement */
    uint32_t table_count;
    struct sql_list seen; /* struct sql_text: calls that were looked at */
    bool *looked_at;      /* by token: calls, words for the current time, literals */
    bool reads;           /* what its outermost query gives goes to the client */
    bool recalls;         /* has a value of the kind RECALLED */
    bool refused;
    bool by_key;                          /* all statements so far */
    bool keyed;                           /* the WHERE of this one names one row */
    const struct sql_known_table *target; /* that it writes; NULL: none, or not known */
    struct err reason;
};

/* Where an expression stands. */
struct sql_scope {
    const struct sql_known_table *table; /* the only one of FROM; NULL: none, several, not known */
    const struct sql_known_column *column; /* what it is assigned to; NULL: not known */
    bool rows;                             /* may be evaluated for more than one row */
    bool many;                             /* the same, before aggregates sum rows up */
    bool answer;                           /* goes to the client, who sees one server's */
    bool root;    /* of the statement's own query: its RETURNING goes to the client */
    bool ordered; /* the order of a query's rows counts */
    bool from;    /* an item of FROM */
    bool list;    /* an item of SELECT's list */
    bool call;    /* an argument */
};

/* ---- determinism.c ---- */

/* Keeps the first reason. */
void determinism_refuse(struct sql_determinism *d, const char *hint, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Its number in values; the same one for the same expression where that is asked for once. */
uint32_t determinism_value(struct sql_determinism *d, enum sql_value_kind kind,
                           struct sql_text expression, struct sql_text type);
/* Replaces the tokens from first to the one in front of `end`. */
void determinism_replace(struct sql_determinism *d, uint32_t first, uint32_t end, uint32_t value);
void determinism_insert_text(struct sql_determinism *d, uint32_t at, const char *before,
                             uint32_t value, const char *behind);

struct sql_text determinism_text(const char *s);
struct sql_text determinism_written(const struct sql_determinism *d, uint32_t first, uint32_t end);
struct sql_text determinism_name(struct sql_determinism *d, uint32_t n); /* folded */
bool determinism_is(const struct sql_determinism *d, uint32_t n, const char *word);
uint32_t determinism_chain_end(const struct sql_determinism *d, uint32_t n);
bool determinism_begins_query(const struct sql_determinism *d, uint32_t n);

/* The table that is named at n; NULL when nothing is known of it. */
const struct sql_known_table *determinism_table(struct sql_determinism *d, uint32_t n);
const struct sql_known_column *determinism_column(const struct sql_known_table *table,
                                                  struct sql_text name);
bool determinism_same(struct sql_text a, const char *b);

/* A default by itself; *kind_r when it is made equal. */
enum sql_equality determinism_fallback(struct sql_determinism *d,
                                       const struct sql_known_column *column,
                                       enum sql_value_kind *kind_r);

/* ---- queries.c ---- */

void determinism_query(struct sql_determinism *d, uint32_t from, uint32_t to,
                       const struct sql_scope *outer);
void determinism_expression(struct sql_determinism *d, uint32_t from, uint32_t to,
                            const struct sql_scope *scope);
/* The parenthesis at n; returns the token behind it. */
uint32_t determinism_parenthesis(struct sql_determinism *d, uint32_t n,
                                 const struct sql_scope *scope);

/* ---- calls.c ---- */

/* The token at n, which is no parenthesis; returns the next to look at. */
uint32_t determinism_look(struct sql_determinism *d, uint32_t n, uint32_t to,
                          const struct sql_scope *scope);
/* Is it one of the calls, words and literals that give something else each time? */
bool determinism_varies(struct sql_determinism *d, uint32_t n);
/* Does a call from first on give several rows, or sum several up to one? */
void determinism_counts(struct sql_determinism *d, uint32_t from, uint32_t to, bool *several_r,
                        bool *aggregate_r);

/* ---- literals.c ---- */

uint32_t determinism_type_end(const struct sql_determinism *d, uint32_t n);
bool determinism_time_type(const char *type);
bool determinism_says_now(const struct sql_determinism *d, uint32_t n);
/* Is the literal nothing but words for the time of asking? */
bool determinism_is_now(const struct sql_determinism *d, uint32_t n);

/* 0: there is no literal or cast at n that it knows; else the token behind it. */
uint32_t determinism_literal(struct sql_determinism *d, uint32_t n, uint32_t to,
                             const struct sql_scope *scope);

/* ---- assigned.c: from their first token on ---- */

void determinism_insert(struct sql_determinism *d, uint32_t n, uint32_t to,
                        const struct sql_scope *outer);
void determinism_update(struct sql_determinism *d, uint32_t n, uint32_t to,
                        const struct sql_scope *outer);
void determinism_delete(struct sql_determinism *d, uint32_t n, uint32_t to,
                        const struct sql_scope *outer);
void determinism_merge(struct sql_determinism *d, uint32_t n, uint32_t to,
                       const struct sql_scope *outer);
/* The table is written, these of its columns are given. given NULL: the first given_count. */
void determinism_ungiven(struct sql_determinism *d, const struct sql_known_table *table,
                         const uint16_t *given, uint32_t given_count);
/* Names in the parenthesis at n: numbers of columns. */
uint16_t *determinism_names(struct sql_determinism *d, const struct sql_known_table *table,
                            uint32_t n, uint32_t *count_r);

/* ---- by_key.c ---- */

/* Of a statement that has been judged: does it find its rows by nothing but a key? */
bool determinism_by_key(struct sql_determinism *d, const struct sql_statement *st,
                        const struct sql_head *h, const struct sql_function *functions);

/* ---- order.c ---- */

/* Where the clauses of a query begin, at its own level; 0: it has none. */
struct sql_clauses {
    uint32_t select;
    uint32_t from;
    uint32_t where;
    uint32_t group;
    uint32_t order; /* ORDER */
    uint32_t limit; /* LIMIT, OFFSET or FETCH */
    uint32_t set_operation;
    uint32_t returning;
    uint32_t list_end; /* the token behind the list of SELECT */
    bool distinct_on;
};

void determinism_clauses(const struct sql_determinism *d, uint32_t from, uint32_t to,
                         struct sql_clauses *r);
/* The only table of FROM. */
const struct sql_known_table *determinism_only_table(struct sql_determinism *d,
                                                     const struct sql_clauses *c, uint32_t to);
/* Do the columns in this list have a key among them? */
bool determinism_covers_key(struct sql_determinism *d, const struct sql_known_table *table,
                            uint32_t from, uint32_t to);
bool determinism_total_order(struct sql_determinism *d, uint32_t from, uint32_t to);
void determinism_check_order(struct sql_determinism *d, uint32_t from, uint32_t to,
                             const struct sql_scope *scope);
/* Does the condition name one row at most of the table? With an alias: per row of what it is joined
 * with. */
bool determinism_one_row(struct sql_determinism *d, const struct sql_known_table *table,
                         uint32_t from, uint32_t to, struct sql_text alias);
/* An aggregate or window function whose parenthesis is at open. */
void determinism_aggregate(struct sql_determinism *d, struct sql_text name, uint32_t open,
                           const struct sql_scope *scope);
void determinism_window(struct sql_determinism *d, struct sql_text name, uint32_t open,
                        const struct sql_scope *scope);

#endif

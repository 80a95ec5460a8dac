/*
 * A question to a server's catalog: one batch of names, asked in one round trip, and its answer.
 *
 * The question is a text of several statements in a transaction of its own, which is rolled back:
 * nothing stays behind on the connection. It changes nothing and reads only the catalog, and works
 * on PostgreSQL 12 to 18, primary or standby.
 */
#ifndef CATALOG_QUESTION_H
#define CATALOG_QUESTION_H

#include "base/buf.h"
#include "catalog/tables.h"

enum { CATALOG_ASKED_MAX = 400 };

struct catalog_asked {
    uint32_t at; /* of schema and name in `chars` */
    uint32_t flags;
    uint8_t schema_len;
    uint8_t name_len;
    char kind;
    uint8_t args;
    bool found;
    uint32_t oid;  /* of a relation, 0: it was not told */
    uint32_t sets; /* the first of its sets in the question's */
};

/* All zeroes is an empty one. */
struct catalog_question {
    struct buf chars;
    struct catalog_asked *asked;
    uint32_t count;
    uint32_t cap;
    bool overflow; /* more names than are asked for: what they are stays unknown */
    bool asks_tables;
    bool asks_places;
    bool from_standby; /* which may not have the latest catalog: no tables are learned from it */
    struct catalog_set *sets; /* from the first row about tables on */
    struct buf path;
    struct buf parameters; /* of bodies: names, each ended by a zero */
};

void catalog_question_clear(struct catalog_question *q);
void catalog_question_free(struct catalog_question *q);
/* Takes back the names behind the first `count`. */
void catalog_question_cut(struct catalog_question *q, uint32_t count);

/* Adds the statement's names that are not known in the scope. */
void catalog_question_add(struct catalog_question *q, const struct catalog *c,
                          const struct catalog_scope *scope, const struct sql_statement *st);

/* Adds all functions of that name, whatever their schema. */
void catalog_question_add_called(struct catalog_question *q, const struct catalog *c,
                                 const struct catalog_scope *scope, struct sql_text name);

/* Adds the names of another question. */
void catalog_question_join(struct catalog_question *q, const struct catalog_question *other);

/* Adds the bodies of the database's functions (catalog_parameters). */
void catalog_question_add_bodies(struct catalog_question *q);

/* What is known of all its names by now, summed up; false when one is not known. Of bodies
 * catalog_parameters tells. */
bool catalog_question_known(const struct catalog_question *q, const struct catalog *c,
                            const struct catalog_scope *scope, uint32_t *flags_r);

/* The SQL text; settings: statements with semicolons that set the search path as the session has
 * it. */
void catalog_question_sql(const struct catalog_question *q, const char *settings, size_t len,
                          struct buf *sql);

/* One row of the answer: the body of its DataRow message, three columns in text form; others are
 * passed over. False when it makes no sense. */
bool catalog_question_row(struct catalog_question *q, const struct catalog *c, const uint8_t *body,
                          size_t len);

/* All rows are there: what was learned is known from now on. scope is the one from before the
 * question was sent; its tag is filled in. */
void catalog_question_done(struct catalog_question *q, struct catalog *c,
                           const struct catalog_login *login, struct catalog_scope *scope);

/* ---- between the files of this room ---------------------------------------------------------- */

/* Adds a name once; too many of them set `overflow`. */
void catalog_question_add_name(struct catalog_question *q, const struct catalog_name *name);
/* The n-th name, from 0 on. Borrowed until one is added. */
struct catalog_name catalog_question_name(const struct catalog_question *q, uint32_t n);

/* The statements in front of a question, with settings as catalog_question_sql() has them. ROLLBACK
 * ends what they begin. */
void catalog_question_begin(const char *settings, size_t len, struct buf *sql);
/* The columns of a DataRow's body that has `count` of them; data of a null one is NULL. False when
 * it is cut, or longer. */
bool catalog_question_columns(const uint8_t *body, size_t len, struct sql_text *columns,
                              uint16_t count);
/* "WITH RECURSIVE wanted(...) AS (...)," with a row for each name. */
void catalog_question_wanted(const struct catalog_question *q, struct buf *sql);

#endif

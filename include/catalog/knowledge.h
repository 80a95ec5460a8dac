/*
 * What the servers' catalog says of tables and functions for sql_determinism_judge(), as struct
 * sql_known: columns with their defaults, keys, and what makes a write differ from server to
 * server.
 *
 * For native replication. These are texts, so each child keeps them by itself, by scope and epoch
 * (catalog/catalog.h), within a limit; DDL that passes by raises the epoch, and all of them are
 * asked for anew. Pure. The way of a text:
 *
 *   if (!knowledge_view_init(&v, k, scope, facts)) {         -- something is not known yet
 *       knowledge_view_fini(&v);
 *       knowledge_question_add(&q, k, scope, facts);
 *       knowledge_question_sql(&q, settings, len, &sql);     -- run it at the main node,
 *       knowledge_question_row(&q, row, len)                 -- for each DataRow,
 *       knowledge_question_done(&q, k, catalog, &login, &scope);
 *       knowledge_view_init(&v, k, &scope, facts);           -- false: judge all the same
 *   }
 *   sql_determinism_judge(d, text, options, &v.known, &r);
 *   knowledge_view_fini(&v);
 *
 * Fails closed: what is still not known behind one question (too many names, too long, DDL that
 * overtook it) counts as a table that nothing is known of, a function that is not equal, and a
 * spoiler.
 *
 * Not seen, and believed: functions in C and what is declared IMMUTABLE; that data which a function
 * turns into times does not say "now"; that a query in a function which takes one row finds one;
 * that a literal of a composite type has no "now" in it; that a function of a row is not called by
 * a column's name within a body; defaults of domains that ALTER TABLE ADD COLUMN fills rows with;
 * event triggers.
 *
 * Source: PostgreSQL's manual, chapters "System Catalogs", "Function Volatility Categories" and
 * "The Rule System".
 */
#ifndef CATALOG_KNOWLEDGE_H
#define CATALOG_KNOWLEDGE_H

#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"
#include "catalog/question.h"
#include "sql/determinism.h"

enum {
    KNOWLEDGE_ENTRY_MAX = 256 * 1024,      /* bytes of a table; of a longer one nothing is known */
    KNOWLEDGE_ANSWER_MAX = 4 * 1024 * 1024 /* of all that one question gives */
};

/* ---- what is kept ---------------------------------------------------------------------------- */

struct knowledge;

/* One per child; or one of a session's own, for what only its transaction sees (temporary tables,
 * DDL that is not committed). limit_bytes bounds it; the least recently used goes first. */
struct knowledge *knowledge_new(size_t limit_bytes);
void knowledge_free(struct knowledge *k);
/* Forgets all of it. */
void knowledge_clear(struct knowledge *k);
/* Bytes in use. */
size_t knowledge_bytes(const struct knowledge *k);

/* ---- asking ---------------------------------------------------------------------------------- */

struct knowledge_entry;

/* All zeroes is an empty one. */
struct knowledge_question {
    struct catalog_question names; /* names.count: how many; 0: there is nothing to ask */
    struct knowledge_entry **entries;
    struct buf path;
    size_t bytes;
    bool answered;
};

void knowledge_question_clear(struct knowledge_question *q);
void knowledge_question_free(struct knowledge_question *q);

/* Adds all names in the text's statements that are not known in the scope; more than
 * CATALOG_ASKED_MAX are left out. Clear the question before it is asked again. */
void knowledge_question_add(struct knowledge_question *q, struct knowledge *k,
                            const struct catalog_scope *scope, const struct sql_facts *f);

/* The SQL text, for a connection of its own outside of a transaction: several statements in a
 * transaction that is rolled back. settings: as of catalog_question_sql(). */
void knowledge_question_sql(const struct knowledge_question *q, const char *settings, size_t len,
                            struct buf *sql);
/* The same for the session's own connection and transaction, which it leaves as it is (but for a
 * snapshot: under REPEATABLE READ it is the transaction's). in_block: a transaction block is open.
 * Either way jit is off for it, which would take some 0.3 s. */
void knowledge_question_sql_within(const struct knowledge_question *q, bool in_block,
                                   struct buf *sql);

/* One row of the answer: the body of its DataRow message, six columns in text form; rows of another
 * width, which are the settings', are passed over. False when it makes no sense: the answer is of
 * no use then. */
bool knowledge_question_row(struct knowledge_question *q, const uint8_t *body, size_t len);

/* All rows are there: what was learned is known from now on, and of names that no row mentioned
 * that there is no such thing. scope is the one from before the question was sent. c and login:
 * where the search path is learned, which fills in the scope's tag; c NULL: its tag stays as it is
 * (not 0). False when the answer is not whole: nothing was learned. Ends what views have borrowed.
 */
bool knowledge_question_done(struct knowledge_question *q, struct knowledge *k, struct catalog *c,
                             const struct catalog_login *login, struct catalog_scope *scope);

/* ---- looking up ------------------------------------------------------------------------------ */

/* What sql_determinism_judge() is told about one text. Stays where it was made; it borrows from k
 * until the next knowledge_question_done() or knowledge_clear(), and from the facts as they do. */
struct knowledge_view {
    struct sql_known known;
    /* A table of the text that is not there, by whose name 42P01 says more than the judge can; len
     * 0: none. It is no reason to send the text: what only the session has (temporary tables, DDL
     * that is not committed) is seen only by knowledge_question_sql_within(). From the facts. */
    struct sql_text missing;
    struct knowledge *k;
    struct catalog_scope scope;
    struct map functions; /* by schema and name: what they are */
};

/* Is all known that the text names? When not, the view is usable all the same (see above). */
bool knowledge_view_init(struct knowledge_view *v, struct knowledge *k,
                         const struct catalog_scope *scope, const struct sql_facts *f);
void knowledge_view_fini(struct knowledge_view *v);

/* ---- between the files of this room ---------------------------------------------------------- */

enum { KNOWLEDGE_KEY_MAX = 160 };

/* A function of somebody's that a default calls. */
struct knowledge_call {
    const char *schema;
    const char *name;
    bool unequal;
};

/* What is known of one name. Its texts are in its arena, its lists its own. */
struct knowledge_entry {
    struct list link; /* in knowledge, the most recently used one first */
    uint32_t epoch;
    size_t bytes;
    size_t key_len;
    bool found;
    bool own;                     /* a function: some of that name is PostgreSQL's */
    bool others;                  /* a function: some is not */
    bool too_long;                /* nothing is known of it */
    const char *differs;          /* why a read of it does; NULL: it does not */
    const char *write_differs;    /* why only a write does */
    const char *truncate_differs; /* why only TRUNCATE does */
    struct sql_known_table table;
    struct sql_known_column *columns;
    struct sql_known_key *keys;
    struct knowledge_call *calls;
    uint32_t column_cap;
    uint32_t key_cap;
    uint32_t call_cap;
    uint32_t call_count;
    struct arena arena;
    uint8_t key[KNOWLEDGE_KEY_MAX]; /* as knowledge_key() makes it */
};

/* Returns the key's length. */
size_t knowledge_key(const struct catalog_scope *scope, const struct catalog_name *name,
                     uint8_t key[KNOWLEDGE_KEY_MAX]);
/* NULL: nothing is known. */
const struct knowledge_entry *knowledge_get(struct knowledge *k, const struct catalog_scope *scope,
                                            const struct catalog_name *name);
/* Takes the entry over. */
void knowledge_put(struct knowledge *k, const struct catalog_scope *scope,
                   const struct catalog_name *name, struct knowledge_entry *entry);

struct knowledge_entry *knowledge_entry_new(void);
void knowledge_entry_free(struct knowledge_entry *e);
/* Bytes that it holds. */
size_t knowledge_entry_bytes(const struct knowledge_entry *e);

/* Calls fn for each name of the text that must be known, until it returns false; returns whether it
 * never did. */
bool knowledge_each_name(const struct sql_facts *f, catalog_name_fn *fn, void *ctx);

#endif

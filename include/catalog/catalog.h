/*
 * What the servers' catalog says about the names in a statement: is this relation a view over
 * something, unlogged, foreign; is this function volatile, and may it leave something behind.
 *
 * Answers are kept in the memo that all children share, by database, effective search path, kind
 * and name, until DDL passes by. Pure but for that memory: who needs what is not there yet makes
 * a question (catalog/question.h), has it answered by a server, and puts the answer in.
 *
 * Source: PostgreSQL's manual, chapter "System Catalogs".
 */
#ifndef CATALOG_CATALOG_H
#define CATALOG_CATALOG_H

#include "base/buf.h"
#include "base/err.h"
#include "ipc/memo.h"
#include "sql/facts.h"

#include <stdbool.h>

/* What is known of a name, and summed up of a statement. */
enum catalog_flag {
    CATALOG_MISSING = 1,    /* no such name in the search path, or more names than are asked for */
    CATALOG_WRITES = 2,     /* calls a volatile function */
    CATALOG_KEEPS = 4,      /* calls a function that may leave something in the session */
    CATALOG_DEFINES = 8,    /* calls a function that may change the catalog */
    CATALOG_UNLOGGED = 16,  /* reads what is not replicated */
    CATALOG_TEMPORARY = 32, /* reads a temporary relation */
    CATALOG_SYSTEM = 64,    /* reads the system's own tables */
    CATALOG_FOREIGN = 128,  /* reads a foreign table */
    CATALOG_SEQUENCE = 256, /* reads a sequence, whose numbers are replicated ahead */
    CATALOG_DIFFERS = 512,  /* calls a function of PostgreSQL's that another server may answer
                             * differently */
    CATALOG_DRAWS = 4096,   /* may draw from a sequence */
    CATALOG_OPAQUE = 2048,  /* calls one that may leave what a server cannot be asked for; of the
                             * bodies of a database: some function of it may */
    CATALOG_LOCAL = 8192,   /* needs what another server need not have: a view, somebody's own
                             * function, operator or type; found out in logical replication */
    CATALOG_MIXED = 1024,   /* of a database: some of its tables are not on every server */
    CATALOG_JUDGED = 1 << 30, /* in sql_memo.verdict: the rest counts */
};

/* What a text calls of pinning_function_list. */
enum catalog_pins {
    CATALOG_PINS_LISTED = 1,
    CATALOG_PINS_SEQUENCE = 2, /* nextval() or setval(), which reads do not depend on */
};

struct config;
struct catalog;

/* One per process. memo is shared, and outlives it. */
struct catalog *catalog_new(struct memo *memo);
void catalog_free(struct catalog *c);

/* Takes over the lists of functions and tables, relcache_expire, and whether tables are asked for
 * (memory_cache_enabled); forgets everything when a list has changed. -1 with err (2201B) for a
 * pattern that is no regular expression: nothing has changed then. */
int catalog_configure(struct catalog *c, const struct config *config, struct err *err);

/* ---- scopes ---------------------------------------------------------------------------------- */

/* Whose names: a database, and what the search path follows from. `who` is anything that tells
 * logins with different defaults apart; path the statements that set it in the session. Borrowed.
 */
struct catalog_login {
    const char *database;
    const void *who;
    size_t who_len;
    const char *path;
    size_t path_len;
};

/* A database with an effective search path. */
struct catalog_scope {
    uint64_t tag; /* 0: not known, names cannot be looked up before the server has told the path */
    uint32_t group; /* of the memo */
    uint32_t epoch; /* of that, now */
};

struct catalog_scope catalog_scope(const struct catalog *c, const struct catalog_login *login);

/* The server has told the effective search path (any text that names its schemas in order). */
void catalog_learn_scope(struct catalog *c, const struct catalog_login *login,
                         struct catalog_scope *scope, const char *path, size_t path_len);

/* Something may have changed in this database (NULL: in any): forget what is known of it, in all
 * processes. */
void catalog_changed(struct catalog *c, const char *database);

/* Once a second: forgets everything when relcache_expire has passed. */
void catalog_sweep(struct catalog *c, int64_t now_ns);

/* ---- judging --------------------------------------------------------------------------------- */

/* Sums up what is known of all names that the statement reads or calls. False when something is
 * not known. culprit_r (may be NULL): the first name that says anything. */
bool catalog_judge(const struct catalog *c, const struct catalog_scope *scope,
                   const struct sql_statement *st, uint32_t *flags_r, struct sql_text *culprit_r);

/* What is known of the database itself: CATALOG_MIXED. False: nothing. */
bool catalog_database(const struct catalog *c, const struct catalog_scope *scope,
                      uint32_t *flags_r);

/* Parameters of an application's own ("app.user"), which no view of a server shows, that functions
 * of the database may set: names that stand in their bodies, in lower case, each ended by a zero;
 * *opaque_r when others may be set, too. False: not known to this process. Borrowed until the next
 * question's end. */
bool catalog_parameters(const struct catalog *c, const struct catalog_scope *scope,
                        const char *database, struct sql_text *names_r, bool *opaque_r);

/* Of the memo: what is known of this database is forgotten when its epoch moves. */
uint32_t catalog_group(const char *database);

/* In logical replication: the number of the table that a name stands for, 0: none. False: not
 * known.
 */
bool catalog_table_oid(const struct catalog *c, const struct catalog_scope *scope,
                       const struct sql_table *table, uint32_t *oid_r);

/* enum catalog_pins; kept in the facts' memo. */
uint32_t catalog_pins(const struct catalog *c, const struct sql_facts *f);

/* ---- between the files of this room ---------------------------------------------------------- */

/* A name to be looked up. */
struct catalog_name {
    char kind;    /* r relation, w one that is written, f function, o operator, t type, c column,
                   * d the database itself, n a function in any schema, b the bodies of all
                   * functions */
    uint8_t args; /* of a function */
    struct sql_text schema;
    struct sql_text name;
};

/* Calls fn for each name of the statement that matters, until it returns false; returns whether it
 * never did. */
typedef bool catalog_name_fn(void *ctx, const struct catalog_name *name);
bool catalog_each_name(const struct sql_statement *st, catalog_name_fn *fn, void *ctx);
/* The same of operators and types alone. */
bool catalog_each_other_name(const struct sql_statement *st, catalog_name_fn *fn, void *ctx);
/* Is it pg_catalog? */
bool catalog_is_system(struct sql_text schema);

/* Does the query cache need to know the tables behind names? */
bool catalog_asks_tables(const struct catalog *c);

/* Is it logical replication, where it counts which tables names stand for? */
bool catalog_asks_places(const struct catalog *c);
enum { CATALOG_PART_OID = 1000 }; /* of a relation */

/* Something else that is known of a name, by a number from 1 on. */
bool catalog_part(const struct catalog *c, const struct catalog_scope *scope,
                  const struct catalog_name *name, uint32_t part, uint32_t *value_r);
void catalog_put_part(struct catalog *c, const struct catalog_scope *scope,
                      const struct catalog_name *name, uint32_t part, uint32_t value);

/* Is the table, as schema.name, in cache_safe_memqcache_table_list or in the unsafe one? */
bool catalog_table_is_safe(const struct catalog *c, const char *name, size_t len);
bool catalog_table_is_unsafe(const struct catalog *c, const char *name, size_t len);

bool catalog_known(const struct catalog *c, const struct catalog_scope *scope,
                   const struct catalog_name *name, uint32_t *flags_r);
void catalog_put(struct catalog *c, const struct catalog_scope *scope,
                 const struct catalog_name *name, uint32_t flags);

/* What the bodies of a database's functions say: as catalog_parameters has it. Copied. */
void catalog_put_parameters(struct catalog *c, const struct catalog_scope *scope,
                            const char *database, const struct buf *names, bool opaque);

/* Does a function of these flags write, by the lists of the configuration? name: schema.name, or a
 * bare name. */
uint32_t catalog_listed(const struct catalog *c, const char *name, size_t len, uint32_t flags);

#endif

/*
 * What routing must know of a text: its statements, and what each may do.
 *
 * Pure. A text that is not understood yields facts all the same: may_write is then set. Nothing
 * is ever called a read unless every token of it was recognised as part of one.
 *
 * Source: PostgreSQL's manual, chapter "Lexical Structure" and reference "SQL Commands".
 */
#ifndef SQL_FACTS_H
#define SQL_FACTS_H

#include "base/util.h"

#include <stdbool.h>

enum sql_kind {
    SQL_OTHER,       /* anything not named below, also what was not understood */
    SQL_EMPTY,       /* nothing but white space, comments and semicolons */
    SQL_SELECT,      /* SELECT, VALUES, TABLE, WITH ... that only read as far as syntax tells */
    SQL_BEGIN,       /* BEGIN, START TRANSACTION */
    SQL_COMMIT,      /* COMMIT, END */
    SQL_ROLLBACK,    /* ROLLBACK, ABORT; not ROLLBACK TO */
    SQL_SAVEPOINT,   /* SAVEPOINT, RELEASE, ROLLBACK TO */
    SQL_PREPARED_TX, /* PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED */
    SQL_SET,         /* SET [SESSION] name, RESET name, SET TIME ZONE, SET NAMES, ... */
    SQL_SET_LOCAL,   /* SET LOCAL */
    SQL_SET_TX,      /* SET TRANSACTION, SET CONSTRAINTS */
    SQL_SET_SESSION, /* SET SESSION CHARACTERISTICS, SESSION AUTHORIZATION, ROLE, and their RESET */
    SQL_RESET_ALL,
    SQL_SHOW, /* SHOW name of PostgreSQL */
    SQL_DISCARD,
    SQL_PREPARE,
    SQL_EXECUTE,
    SQL_DEALLOCATE,
    SQL_DECLARE, /* DECLARE, FETCH, MOVE, CLOSE: cursors */
    SQL_LISTEN,  /* LISTEN, UNLISTEN */
    SQL_COPY_FROM,
    SQL_COPY_TO,
    SQL_POOL_SHOW, /* SHOW pool_...: ours */
    SQL_POOL,      /* PGPOOL ...: ours */
    SQL_INSERT,
    SQL_UPDATE,
    SQL_DELETE,
    SQL_DDL, /* CREATE, ALTER, DROP, ... */
};

/* How a transaction was asked for. */
enum sql_access { SQL_ACCESS_DEFAULT, SQL_ACCESS_READ_ONLY, SQL_ACCESS_READ_WRITE };
enum sql_isolation {
    SQL_ISOLATION_DEFAULT,
    SQL_ISOLATION_READ_UNCOMMITTED,
    SQL_ISOLATION_READ_COMMITTED,
    SQL_ISOLATION_REPEATABLE_READ,
    SQL_ISOLATION_SERIALIZABLE,
};

/* What a function does, as far as its name tells (include/tables/functions.def). */
enum sql_function_class {
    SQL_FUNCTION_SAFE,    /* known to read nothing but tables, and harmless on a standby */
    SQL_FUNCTION_PRIMARY, /* must run on the primary; leaves nothing in the session */
    SQL_FUNCTION_SESSION, /* must run on the primary, and may leave something in the session */
    SQL_FUNCTION_UNKNOWN, /* not known: treated as SESSION */
};

struct sql_text {
    const char *data;
    uint32_t len;
};

struct sql_statement {
    enum sql_kind kind;
    uint32_t start; /* offset of its first token in the text */
    uint32_t end;   /* offset behind its last token (its semicolon not included) */
    bool may_write; /* anything but a recognised harmless read, verb or SET */
    bool locks_rows;
    /* May leave something that another connection would not have: temporary objects, session
     * functions, LOAD, DO, CALL, advisory locks, ... */
    bool may_touch_session;
    bool system_catalog;          /* names pg_catalog, information_schema or a pg_ relation */
    bool has_parameters;          /* $1 ... */
    enum sql_access access;       /* BEGIN, SET_TX, SET_SESSION CHARACTERISTICS */
    enum sql_isolation isolation; /* the same */
    bool chain;                   /* COMMIT AND CHAIN, ROLLBACK AND CHAIN */
    /* SET, RESET, SHOW: the parameter in lower case ("time zone" is "timezone", NAMES is
     * "client_encoding"); PREPARE, EXECUTE, DEALLOCATE (empty for ALL), DECLARE, SAVEPOINT: the
     * name as PostgreSQL folds it; POOL_SHOW: the view ("pool_nodes"). */
    struct sql_text name;
};

struct sql_facts {
    uint32_t count; /* statements, EMPTY ones between semicolons not counted */
    bool understood;
    bool may_write; /* any of them */
    bool may_touch_session;
    const struct sql_statement *statements; /* one EMPTY statement when the text holds none */
};

struct sql_options {
    bool standard_conforming_strings; /* as the session's parameter stands */
};

struct sql_cache;

/* limit_bytes bounds all that the cache holds; the least recently used go first. */
struct sql_cache *sql_cache_new(size_t limit_bytes);
void sql_cache_free(struct sql_cache *c);

/* Facts of a text (UTF-8 or any encoding whose bytes below 128 are ASCII), from the cache when it
 * was seen before. Never fails. Borrowed: valid until the next call on the same cache. */
const struct sql_facts *sql_facts(struct sql_cache *c, const char *text, size_t len,
                                  const struct sql_options *options);

const char *sql_kind_name(enum sql_kind kind);

#endif

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
#include <string.h>

enum { SQL_TEXT_MAX = 1024 * 1024 }; /* longer ones are not understood */

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
    SQL_DECLARE, /* DECLARE ... CURSOR */
    SQL_LISTEN,
    SQL_COPY_FROM,
    SQL_COPY_TO,
    SQL_POOL_SHOW, /* SHOW pool_...: ours */
    SQL_POOL,      /* PGPOOL ...: ours */
    SQL_INSERT,
    SQL_UPDATE,
    SQL_DELETE,
    SQL_DDL, /* CREATE, ALTER, DROP, REASSIGN OWNED: what has no kind of its own below */
    SQL_MERGE,
    SQL_SELECT_INTO,
    SQL_CREATE_TABLE_AS, /* and CREATE MATERIALIZED VIEW */
    SQL_EXPLAIN,
    SQL_CALL,
    SQL_DO,
    SQL_LOCK,
    SQL_TRUNCATE,
    SQL_VACUUM,
    SQL_ANALYZE,
    SQL_CLUSTER,
    SQL_REINDEX,
    SQL_CHECKPOINT,
    SQL_FETCH, /* FETCH, MOVE */
    SQL_CLOSE,
    SQL_NOTIFY,
    SQL_UNLISTEN,
    SQL_COMMENT,
    SQL_SECURITY_LABEL,
    SQL_GRANT, /* GRANT, REVOKE */
    SQL_REFRESH,
    SQL_IMPORT,
    SQL_LOAD,
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

/* What a statement does with a table; several may hold. */
enum sql_use {
    SQL_USE_READ = 1,
    SQL_USE_WRITE = 2,  /* its rows or its definition */
    SQL_USE_DEFINE = 4, /* its definition: CREATE, ALTER, DROP, COMMENT, GRANT, ...; with WRITE */
    SQL_USE_LOCK = 8,   /* LOCK; with WRITE */
    SQL_USE_NAMED = 16, /* only named: 'name'::regclass */
};

/* What becomes of a table's rows by SQL_USE_WRITE; several may hold. */
enum sql_event { SQL_EVENT_INSERT = 1, SQL_EVENT_UPDATE = 2, SQL_EVENT_DELETE = 4 };

enum sql_deferrable { SQL_DEFERRABLE_DEFAULT, SQL_DEFERRABLE, SQL_NOT_DEFERRABLE };
enum sql_savepoint { SQL_SAVEPOINT_SET, SQL_SAVEPOINT_RELEASE, SQL_SAVEPOINT_ROLLBACK_TO };

/* Where a comment wants the text to run: "pgpool: primary", "pgpool: standby", "pgpool: node=2". */
enum sql_hint { SQL_HINT_NONE, SQL_HINT_PRIMARY, SQL_HINT_STANDBY, SQL_HINT_NODE };

struct sql_text {
    const char *data;
    uint32_t len;
};

static inline bool
sql_text_begins(struct sql_text text, const char *with)
{
    size_t len = strlen(with);

    return text.len >= len && memcmp(text.data, with, len) == 0;
}

/* Names are as PostgreSQL folds them; the schema is empty where none was written. A name that
 * stands for a WITH query is no table. */
struct sql_table {
    struct sql_text schema;
    struct sql_text name;
    uint8_t use;    /* enum sql_use */
    uint8_t events; /* enum sql_event, of INSERT, UPDATE, DELETE, MERGE and COPY FROM */
};

enum { SQL_ARGS_UNKNOWN = 255 };

/* A call. What only syntax can call (EXTRACT, CURRENT_USER, a SUBSTRING with FROM, XMLELEMENT, ...)
 * has the schema pg_catalog and `syntax` set. The words that are syntax from PostgreSQL 16 or 17 on
 * (JSON_VALUE, ...) have no schema, and `syntax` set when the server is that new. */
struct sql_function {
    struct sql_text schema;
    struct sql_text name;
    enum sql_function_class function_class;
    bool syntax;
    bool fixed;   /* as sql_function_fixed() says */
    uint8_t args; /* written in the call; SQL_ARGS_UNKNOWN where that does not tell its signature */
};

/* An operator, or the type of a cast. */
struct sql_name {
    struct sql_text schema;
    struct sql_text name;
};

/* set_config() within a query. */
struct sql_setting {
    struct sql_text name;  /* in lower case; data is NULL when it is no plain literal */
    struct sql_text value; /* the same */
    bool local;            /* or perhaps so */
    bool ends;             /* with the transaction, for sure */
};

struct sql_statement {
    enum sql_kind kind;
    /* EXPLAIN, PREPARE, DECLARE, COPY (query) TO, CREATE TABLE AS: of the statement within; the
     * tables and functions are those of both. SQL_EMPTY where there is none. */
    enum sql_kind inner_kind;
    bool inner_may_write;
    /* For SELECT, INSERT, UPDATE, DELETE and MERGE, start and end may be those of a text with other
     * numbers in it: such texts share their facts. */
    uint32_t start; /* offset of its first token in the text */
    uint32_t end;   /* offset behind its last token (its semicolon not included) */
    bool may_write; /* anything but a recognised harmless read, verb or SET */
    bool writes;    /* may write whatever the functions do that it calls */
    bool locks_rows;
    /* May leave something that another connection would not have: temporary objects, session
     * functions, LOAD, DO, CALL, advisory locks, ... */
    bool may_touch_session;
    /* may_write and may_touch_session hold for no other reason than functions of class UNKNOWN:
     * where these are known to be harmless, the statement is a plain read. */
    bool unknown_calls;
    bool system_catalog;          /* names pg_catalog, information_schema or a pg_ relation */
    bool has_parameters;          /* $1 ... */
    enum sql_access access;       /* BEGIN, SET_TX, SET_SESSION CHARACTERISTICS */
    enum sql_isolation isolation; /* the same */
    /* What comments anywhere in the text ask for: the same in all its statements. */
    enum sql_hint hint; /* the first one counts */
    uint32_t hint_node;
    bool no_load_balance;
    bool force_query_cache;
    bool no_query_cache;
    /* What makes a read one whose answer may change though no table is written. */
    bool says_now;       /* a literal that is the time of asking where it is read as a time */
    bool reads_times;    /* turns what may be any text into a time, or depends on today's time zone;
                          * of columns that are turned into times `columns` tells */
    bool samples;        /* TABLESAMPLE */
    bool system_columns; /* names xmin, ctid or the like */
    bool tells_tables;   /* names tableoid, the number of a row's table */
    bool chain;          /* COMMIT AND CHAIN, ROLLBACK AND CHAIN */
    bool changes_catalog; /* what is known of tables and functions may be wrong behind it */
    bool temporary;       /* makes or names something temporary */
    bool advisory_lock;   /* takes or gives back one */
    bool analyze;         /* EXPLAIN ANALYZE */
    bool hold;            /* DECLARE ... WITH HOLD */
    enum sql_deferrable deferrable; /* as access */
    enum sql_savepoint savepoint;   /* SAVEPOINT */
    uint32_t parameters;            /* the highest $n */
    /* SET, RESET, SHOW: the parameter in lower case ("time zone" is "timezone", NAMES is
     * "client_encoding"); PREPARE, EXECUTE, DEALLOCATE (empty for ALL), DECLARE, FETCH, CLOSE,
     * SAVEPOINT, LISTEN, UNLISTEN, NOTIFY, DISCARD: the name as PostgreSQL folds it; POOL_SHOW: the
     * view ("pool_nodes"). */
    struct sql_text name;
    /* SET: a single word or literal without its quotes, anything longer as it was written; data is
     * NULL for DEFAULT, RESET and what cannot be told. PREPARED_TX: the transaction's name. */
    struct sql_text value;
    const struct sql_table *tables;
    const struct sql_function *functions;
    const struct sql_name *operators; /* each name once */
    const struct sql_name *types;     /* of casts, but for those with a name of their own in SQL */
    const struct sql_setting *settings;
    const struct sql_name *columns; /* cast to a date or time; each is one of a table's */
    uint32_t table_count;
    uint32_t function_count;
    uint32_t operator_count;
    uint32_t type_count;
    uint32_t setting_count;
    uint32_t column_count;
};

/* What somebody else found out about a text with these facts; all zeroes at first. The caller's to
 * write and read. */
enum { SQL_MEMO_TABLES = 6 };
struct sql_memo {
    uint64_t scope;
    uint32_t epoch;
    uint32_t verdict;
    uint32_t pins;       /* what it calls of a list, */
    uint32_t pins_as_of; /* which has this number; 0: not looked at */
    /* The tables that it reads, as the catalog had them in this scope and epoch; no scope: nobody
     * has said. */
    uint64_t tables_scope;
    uint32_t tables_epoch;
    uint32_t tables[SQL_MEMO_TABLES];
    uint8_t table_count;
    bool table_roots; /* catalog/tables.h says what that is */
};

struct sql_facts {
    uint32_t count; /* statements, EMPTY ones between semicolons not counted */
    bool understood;
    bool may_write; /* any of them */
    bool may_touch_session;
    const struct sql_statement *statements; /* one EMPTY statement when the text holds none */
    struct sql_memo *memo;                  /* lives as long as the facts */
    uint64_t identity;    /* the same for texts with the same facts, in all processes */
    struct sql_text text; /* what they have in common: each number is 0 there */
};

struct sql_options {
    bool standard_conforming_strings; /* as the session's parameter stands */
    /* The server's major version, 0 when it is not known: JSON_VALUE and its like are syntax from
     * 16 or 17 on, and before that functions that somebody may have made. */
    uint8_t server_version;
};

struct sql_cache;

/* limit_bytes bounds all that the cache holds; the least recently used go first. */
struct sql_cache *sql_cache_new(size_t limit_bytes);
void sql_cache_free(struct sql_cache *c);

/* Facts of a text (UTF-8 or any encoding whose bytes below 128 are ASCII), from the cache when it
 * was seen before. Never fails. Borrowed: valid until the next call on the same cache. */
const struct sql_facts *sql_facts(struct sql_cache *c, const char *text, size_t len,
                                  const struct sql_options *options);

/* currval() or lastval(): what the session has drawn from a sequence before. */
bool sql_function_recalls(const struct sql_function *f);
/* nextval() or setval(). */
bool sql_function_draws(const struct sql_function *f);

const char *sql_kind_name(enum sql_kind kind);

/* What a function of PostgreSQL's own does, by its name: schema is empty or "pg_catalog". */
enum sql_function_class sql_function_class(struct sql_text schema, struct sql_text name);

/* One of PostgreSQL's own whose answer depends on nothing but its arguments, tables, the catalog,
 * parameters and roles; args as in sql_function. */
bool sql_function_fixed(struct sql_text schema, struct sql_text name, uint8_t args);

/* May a date or time be read out of this text that is another one when it is read later? It has the
 * word now, today, tomorrow or yesterday. */
bool sql_says_now(const char *text, size_t len);

#endif

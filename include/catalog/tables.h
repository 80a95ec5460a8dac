/*
 * Which tables a statement reads and writes, as their numbers (oid), and whether what it reads may
 * be kept and given again.
 *
 * Found out by the same questions as all that is known of names (catalog/question.h), when the
 * query cache is on (memory_cache_enabled at catalog_configure); kept in the same memo, and as
 * lossy. Pure but for that memory. Everything is judged in the scope; that no name stands for
 * something else in the session (temporary objects, SET LOCAL, DDL of the transaction's own) is the
 * caller's to know.
 *
 * Partitions: where a partitioned table has few, reads and writes name them all. Where it has many,
 * the topmost partitioned table stands for all of them, in reads and writes alike (`roots`).
 *
 * Source: PostgreSQL's manual, chapters "System Catalogs" and "Function Volatility Categories".
 */
#ifndef CATALOG_TABLES_H
#define CATALOG_TABLES_H

#include "catalog/catalog.h"

enum { CATALOG_TABLES_MAX = 24 };

struct catalog_tables {
    uint32_t database; /* its oid; 0 when that is not known */
    bool everything;   /* of writes: what they touch is not known: all of the database */
    bool roots;        /* a partitioned table stands for its partitions, or what is read is not
                        * in logical replication (unlogged, a materialized view): who hears of
                        * others' writes by that does not hear of all of them */
    uint32_t n;
    uint32_t oids[CATALOG_TABLES_MAX]; /* each once, in no order */
};

enum catalog_answer {
    CATALOG_TABLES_UNKNOWN, /* the catalog must be asked first: catalog_question_add() */
    CATALOG_TABLES_NOT,     /* may not be kept */
    CATALOG_TABLES_KNOWN,
};

/* Why an answer may not be kept. */
enum catalog_uncached {
    CATALOG_UNCACHED_NONE,
    CATALOG_UNCACHED_KIND,      /* no plain SELECT, VALUES or TABLE */
    CATALOG_UNCACHED_LOCKS,     /* locks rows, perhaps within a view */
    CATALOG_UNCACHED_TIME,      /* what it says of time may depend on when it is asked */
    CATALOG_UNCACHED_FUNCTION,  /* calls one that may answer differently, or of whom nobody knows */
    CATALOG_UNCACHED_SAMPLE,    /* TABLESAMPLE */
    CATALOG_UNCACHED_COLUMN,    /* xmin, ctid and the like */
    CATALOG_UNCACHED_MISSING,   /* no such name */
    CATALOG_UNCACHED_TEMPORARY, /* reads what only this session has */
    CATALOG_UNCACHED_SYSTEM,    /* reads the system's own tables */
    CATALOG_UNCACHED_FOREIGN,   /* reads a foreign table */
    CATALOG_UNCACHED_SEQUENCE,  /* reads a sequence */
    CATALOG_UNCACHED_LISTED,    /* reads a table in cache_unsafe_memqcache_table_list */
    CATALOG_UNCACHED_MANY,      /* comes from too many tables */
    CATALOG_UNCACHED_LAST = CATALOG_UNCACHED_MANY
};

/* The tables that a plain read comes from: what views, inheritance and policies of row security
 * lead to. When NOT, *why_r says why not, and *r is empty. Values of parameters are not seen: who
 * keeps the answer looks into them (sql_says_now()). */
enum catalog_answer catalog_reads(const struct catalog *c, const struct catalog_scope *scope,
                                  const struct sql_statement *st, struct catalog_tables *r,
                                  enum catalog_uncached *why_r);

/* What any statement may write: the tables themselves, partitions and children, base tables of
 * views, tables that foreign keys lead to. `everything` where that cannot be told: rules, triggers,
 * volatile functions that do more than compute, DDL, CALL, DO, EXECUTE, foreign tables, names that
 * are missing. Never NOT. When UNKNOWN, *r says everything of a database whose oid may be 0. */
enum catalog_answer catalog_writes(const struct catalog *c, const struct catalog_scope *scope,
                                   const struct sql_statement *st, struct catalog_tables *r);

/* Does a statement of this kind change neither rows nor definitions, whatever it names? PREPARE
 * does not, as EXECUTE counts. */
bool catalog_changes_nothing(enum sql_kind kind);

/* The database's oid; 0 when it is not known. */
uint32_t catalog_database_oid(const struct catalog *c, const struct catalog_scope *scope);

/* ---- between the files of this room ---------------------------------------------------------- */

enum { CATALOG_EVENTS = 4 }; /* INSERT, UPDATE, DELETE, TRUNCATE */

/* What is known of one name, or of one event of one that is written. */
struct catalog_set {
    uint32_t reasons; /* 1 << enum catalog_uncached */
    bool spreads;     /* a write: nobody can tell how far */
    bool roots;
    bool safe; /* the name itself is in the list of safe tables */
    uint32_t n;
    uint32_t oids[CATALOG_TABLES_MAX];
};

static inline uint32_t
catalog_sets_of(char kind)
{
    return kind == 'w' ? CATALOG_EVENTS : 1;
}

/* Is all there that catalog_reads() and catalog_writes() want to know of the name? */
bool catalog_sets_known(const struct catalog *c, const struct catalog_scope *scope,
                        const struct catalog_name *name);
void catalog_put_set(struct catalog *c, const struct catalog_scope *scope,
                     const struct catalog_name *name, uint32_t number,
                     const struct catalog_set *set);

void catalog_set_add(struct catalog_set *set, uint32_t oid);

/* A row of the answer about tables: its flags as src/catalog/tables.sql says. sets: of the name. */
void catalog_take_tables(const struct catalog *c, struct catalog_set *sets, uint32_t flags,
                         struct sql_text text);

/* For people: "it calls a function whose answers may change". */
const char *catalog_uncached_words(enum catalog_uncached why);

#endif

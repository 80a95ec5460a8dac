/*
 * Does a text do the same on several servers that are not copies of each other's WAL?
 *
 * Pure. For native replication, where every server runs every write itself. A text does the same on
 * all of them as it stands, or when certain places of it are replaced by values that one server
 * (the main node) is asked for (sql/rewrite.h), or it is refused with what to change. Nothing is
 * called equal unless everything in it was recognised as equal.
 *
 * Not seen here, and the caller's to know: values of parameters (sql_says_now()), rows of COPY,
 * bodies of functions and triggers (struct sql_known tells), differences between the servers'
 * versions, parameters and collations, and sums of floating point numbers, which depend on the
 * order of rows.
 *
 * Source: PostgreSQL's manual, chapters "Functions and Operators", "Function Volatility Categories"
 * and "Date/Time Types".
 */
#ifndef SQL_DETERMINISM_H
#define SQL_DETERMINISM_H

#include "base/err.h"
#include "sql/facts.h"

/* ---- what the catalog knows ------------------------------------------------------------------ */

/* A column of a table, in the table's order; dropped ones are not there. */
struct sql_known_column {
    const char *name;
    const char *type;     /* with its schema: pg_catalog.bpchar, pg_catalog."timestamp"; not as
                           * format_type() has it, where "character" is one letter */
    const char *fallback; /* its default, as pg_get_expr() has it, or that of its type; of identity
                           * columns nextval('...'::regclass); NULL: none, as of generated ones */
    bool always;          /* GENERATED ALWAYS AS IDENTITY */
};

/* Columns (from 0 on) that are unique together and never null; no index on expressions, none with
 * a condition, none that is deferrable. */
struct sql_known_key {
    uint32_t count;
    uint16_t columns[8];
};

struct sql_known_table {
    const struct sql_known_column *columns;
    uint32_t column_count;
    const struct sql_known_key *keys;
    uint32_t key_count;
    /* What makes a write to it do different things on different servers, for people: "trigger
     * \"t\" calls a volatile function". Of a materialized view: what its query does. NULL: nothing.
     */
    const char *spoiler;
    /* A plain table, and a write of it runs nothing of anybody's: no trigger, rule, policy, check
     * or default with a function that is not PostgreSQL's own. */
    bool bare;
};

enum sql_known_function { SQL_KNOWN_NOT, SQL_KNOWN_EQUAL, SQL_KNOWN_UNEQUAL };

/* Asked for what a text names. Answers stay as they are until the judging ends. */
struct sql_known {
    void *ctx;
    /* NULL: not known. schema is empty where none was written. */
    const struct sql_known_table *(*table)(void *ctx, struct sql_text schema, struct sql_text name);
    /* One that is not PostgreSQL's own, or hidden by one that is not. */
    enum sql_known_function (*function)(void *ctx, const struct sql_function *f);
    const char *spoiler; /* of operators and casts that are used, as above; NULL: nothing */
};

/* ---- what is found out ----------------------------------------------------------------------- */

enum sql_equality {
    SQL_EQUAL,
    SQL_MADE_EQUAL, /* when its places are replaced */
    SQL_UNEQUAL,    /* for the reason given; its places are to be replaced all the same where it is
                     * run nevertheless (replication_unsafe_statements = warn or allow) */
};

enum sql_value_kind {
    SQL_VALUE_TRANSACTION,  /* stays the same throughout a transaction */
    SQL_VALUE_STATEMENT,    /* one for a statement */
    SQL_VALUE_OWN,          /* one for each place */
    SQL_VALUE_DRAWN,        /* from a sequence: as OWN, and to be asked for on all nodes, so that
                             * all sequences move on; the main node's is used */
    SQL_VALUE_RECALLED,     /* depends on the session's earlier statements (currval) */
    SQL_VALUE_LARGE_OBJECT, /* a number for a new large object: under a lock (lobj_lock_table) that
                             * is held until the transaction ends */
};

/* A value that the main node is to be asked for, in the transaction of the statement. */
struct sql_value {
    enum sql_value_kind kind;
    struct sql_text expression; /* SQL, without parameters */
    struct sql_text type;       /* to which the value is cast where it is used */
};

enum { SQL_NO_VALUE = UINT32_MAX };

/* What stands from start to end (bytes of the text; nothing where they are the same) becomes
 * `before`, the value, `behind`. */
struct sql_place {
    uint32_t start;
    uint32_t end;
    uint32_t value; /* in values; SQL_NO_VALUE: none */
    struct sql_text before;
    struct sql_text behind;
};

/* Borrowed until the next judging. */
struct sql_determined {
    enum sql_equality equality;
    const struct sql_place *places; /* in the text's order, none reaching into the next */
    uint32_t place_count;
    const struct sql_value *values;
    uint32_t value_count;
    uint32_t parameters; /* the highest $n of the text */
    /* The places take values as literals only; where it is clear, they may as well become
     * parameters behind the text's own, given anew with each Bind. */
    bool literals_only;
    /* Each statement takes rows that it is given, or one that is named by its key, and looks at no
     * others: which rows it finds does not depend on what commits meanwhile. */
    bool by_key;
    bool prepares;     /* PREPARE: the places must become parameters, and each EXECUTE gives their
                        * values behind its own (sql_rewrite_execute()) */
    struct err reason; /* of UNEQUAL: 0A000, with a hint that says what to change */
};

/* Does this function of PostgreSQL's own give and do the same on all servers, however often it is
 * called and in which order? args as in struct sql_function. */
bool sql_function_equal(struct sql_text name, uint8_t args);

struct sql_determinism;

/* One per process. */
struct sql_determinism *sql_determinism_new(void);
void sql_determinism_free(struct sql_determinism *d);

/* Judges a text of one or more statements. Never fails. */
void sql_determinism_judge(struct sql_determinism *d, struct sql_text text,
                           const struct sql_options *options, const struct sql_known *known,
                           struct sql_determined *r);

#endif

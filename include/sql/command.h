/*
 * What a statement of ours says: PGPOOL SHOW, PGPOOL SET, PGPOOL RESET, PGPOOL EXPLAIN; and at the
 * administration port PGPOOL PAUSE, RESUME, DRAIN, UNDRAIN, and commands to nodes and to pgpool.
 *
 * Pure. The words are PostgreSQL's for SHOW, SET and RESET: names may be quoted; a value is a word,
 * a number or a literal.
 */
#ifndef SQL_COMMAND_H
#define SQL_COMMAND_H

#include "base/err.h"
#include "sql/facts.h"

enum sql_command_verb {
    SQL_COMMAND_SHOW,         /* name: a parameter, "all", or a group of them */
    SQL_COMMAND_SET,          /* name and value; is_default without one */
    SQL_COMMAND_RESET,        /* name */
    SQL_COMMAND_RESET_ALL,    /* nothing */
    SQL_COMMAND_EXPLAIN,      /* rest: the statement */
    SQL_COMMAND_CACHE_DELETE, /* SET CACHE DELETE rest: a literal with a statement in it */
    SQL_COMMAND_PAUSE,        /* name: a database; "": all */
    SQL_COMMAND_RESUME,       /* the same */
    SQL_COMMAND_DRAIN,        /* name: digits */
    SQL_COMMAND_UNDRAIN,      /* the same */
    SQL_COMMAND_ATTACH,       /* NODE name: digits */
    SQL_COMMAND_DETACH,       /* NODE name; gracefully */
    SQL_COMMAND_PROMOTE,      /* NODE name; switchover, gracefully */
    SQL_COMMAND_SWITCHOVER,
    SQL_COMMAND_RECOVER, /* NODE name */
    SQL_COMMAND_STOP,    /* name: smart, fast or immediate */
    SQL_COMMAND_RELOAD,
    SQL_COMMAND_ROTATE_LOG,
    SQL_COMMAND_INVALIDATE_CACHE, /* INVALIDATE QUERY CACHE */
    SQL_COMMAND_RESET_STATEMENTS, /* RESET STATEMENTS */
    SQL_COMMAND_EXPLAIN_LOGIN,    /* EXPLAIN LOGIN name, value: database, address; over_ssl */
};

enum {
    SQL_COMMAND_NAME_BYTES = 64,
    SQL_COMMAND_VALUE_BYTES = 256,
    SQL_COMMAND_ADDRESS_BYTES = 64,
};

struct sql_command {
    enum sql_command_verb verb;
    bool is_default;                     /* SET ... TO DEFAULT */
    bool gracefully;                     /* ... GRACEFULLY */
    bool switchover;                     /* PROMOTE NODE ... SWITCHOVER */
    char name[SQL_COMMAND_NAME_BYTES];   /* in lower case unless quoted */
    char value[SQL_COMMAND_VALUE_BYTES]; /* without its quotes */
    char address[SQL_COMMAND_ADDRESS_BYTES];
    bool over_ssl;
    struct sql_text rest; /* in the caller's text */
};

/* What a literal says. to_r has room for its length; returns how much of that it is. */
size_t sql_command_unquote(struct sql_text literal, const struct sql_options *options, char *to_r);

/* text: of a statement of the kind SQL_POOL, from its first token to its last. -1 with 42601 when
 * it is none of these, with 42622 when its name and 22023 when its value is too long. */
int sql_command_parse(struct sql_text text, const struct sql_options *options,
                      struct sql_command *command_r, struct err *err);

#endif

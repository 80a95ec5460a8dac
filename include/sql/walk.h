/*
 * The look into queries: from tokens to tables, functions, operators, casts and locks.
 *
 * Private to sql/. A look belongs to one statement; what it finds is gathered in a sql_found, which
 * belongs to the cache and is used again for the next text.
 */
#ifndef SQL_WALK_H
#define SQL_WALK_H

#include "sql/facts.h"
#include "sql/token.h"

enum { SQL_DEPTH_MAX = 200, SQL_CTES_MAX = 200, SQL_IDENTIFIER_MAX = 63 };

struct sql_list {
    void *items;
    uint32_t count;
    uint32_t cap;
};

/* What was found in one text so far. Names stand in chars, or are constants of the program. */
struct sql_found {
    char *chars; /* room for twice the text */
    uint32_t char_count;
    uint32_t char_cap;
    struct sql_list statements; /* struct sql_statement; their lists are filled in at the end */
    struct sql_list tables;
    struct sql_list functions;
    struct sql_list operators;
    struct sql_list types;
    struct sql_list settings;
    struct sql_list columns;
};

enum sql_clause {
    SQL_AT_START, /* a query begins */
    SQL_AT_EXPRESSION,
    SQL_AT_WITH,      /* names of WITH */
    SQL_AT_FROM,      /* an item of a FROM list is due */
    SQL_AT_FROM_NEXT, /* behind one: an alias, a comma, a join */
    SQL_AT_JOIN,      /* a join's condition */
};

enum sql_call {
    SQL_CALL_NONE,
    SQL_CALL_CAST,
    SQL_CALL_TREAT,
    SQL_CALL_XML,
    SQL_CALL_JSON,
    SQL_CALL_ROWS
};

/* One per open parenthesis. */
struct sql_frame {
    uint8_t clause; /* enum sql_clause */
    uint8_t query;  /* enum sql_kind of the query at this level; SQL_OTHER without one */
    uint8_t call;   /* enum sql_call: whose arguments these are */
    bool insert;    /* INSERT ... SELECT */
    bool group;     /* GROUP BY */
    bool columns;   /* COLUMNS of XMLTABLE and JSON_TABLE */
    bool recursive; /* WITH RECURSIVE */
    uint16_t cases; /* CASE without its END */
    uint16_t ctes;  /* names of WITH that were there before */
    uint32_t cte;   /* the name that is due when its query ends */
};

/* May the token before have ended a value? */
enum sql_operand { SQL_NO_OPERAND, SQL_MAYBE_OPERAND, SQL_OPERAND };

struct sql_look {
    const struct sql_work *w;
    struct sql_found *found;
    struct sql_statement *st;
    const struct sql_token *t; /* of the whole text */
    uint32_t end;
    uint32_t table_first; /* what belongs to this statement */
    uint32_t function_first;
    uint32_t operator_first;
    uint32_t type_first;
    uint32_t setting_first;
    uint32_t column_first;
    uint32_t depth;
    uint32_t cte_count;
    uint8_t operand; /* enum sql_operand */
    uint8_t main;    /* enum sql_kind of the outermost query */
    bool similar;    /* SIMILAR TO stands closer than LIKE */
    bool bad;        /* not understood */
    bool literals;   /* facts depend on what stands in a string */
    bool writes;
    bool calls_primary; /* calls a function of this class */
    bool calls_session;
    bool calls_unknown;
    bool conflicts;    /* ON CONFLICT DO UPDATE */
    bool renames;      /* a column may be another one than one of a table's */
    bool time_type;    /* the last type was a date or time */
    bool zone_type;    /* a time with time zone */
    bool cast_fixed;   /* the cast that ended last gives a time, or what is written there */
    uint32_t cast_end; /* the token behind that */
    struct sql_frame frames[SQL_DEPTH_MAX];
    uint32_t ctes[SQL_CTES_MAX]; /* tokens */
};

/* ---- sql/names.c ---- */

void sql_found_clear(struct sql_found *f, uint32_t text_len);
void sql_found_free(struct sql_found *f);
void *sql_list_add(struct sql_list *list, size_t size);

bool sql_is_name(const struct sql_token *t);
bool sql_is_word(const struct sql_look *l, uint32_t n, const char *word);

/* The last token of the name with dots that begins at n. */
uint32_t sql_chain_end(const struct sql_look *l, uint32_t n);

/* The token's name as PostgreSQL folds it. */
struct sql_text sql_fold(struct sql_look *l, uint32_t n);

/* What a string says; data is NULL when it has escapes. Letters are folded when asked for. */
struct sql_text sql_literal(struct sql_look *l, uint32_t n, bool fold);

/* Each returns the last token of the name that begins at n. events: enum sql_event. */
uint32_t sql_add_table(struct sql_look *l, uint32_t n, unsigned use);
uint32_t sql_add_target(struct sql_look *l, uint32_t n, unsigned events);
uint32_t sql_add_function(struct sql_look *l, uint32_t n);
uint32_t sql_add_type(struct sql_look *l, uint32_t n);

void sql_add_syntax(struct sql_look *l, const char *name);
void sql_add_system_function(struct sql_look *l, uint32_t n); /* whatever schema is written */
void sql_add_new_syntax(struct sql_look *l, uint32_t n, uint8_t since); /* major version */
void sql_add_operator(struct sql_look *l, uint32_t schema, uint32_t n); /* schema 0: none */
void sql_add_regclass(struct sql_look *l, uint32_t n);
void sql_add_column(struct sql_look *l, uint32_t n);

/* ---- sql/walk.c ---- */

/* Looks into the query or expression from token `from` to `to`. */
void sql_walk(struct sql_look *l, enum sql_clause clause, uint32_t from, uint32_t to);
void sql_push(struct sql_look *l, enum sql_clause clause);

/* ---- sql/expr.c: each returns the next token to look at ---- */

uint32_t sql_expression(struct sql_look *l, uint32_t n);
uint32_t sql_open(struct sql_look *l, uint32_t n, enum sql_clause otherwise);
uint32_t sql_type(struct sql_look *l, uint32_t n);
/* The same, of what is written as a literal, or of a value that ends in front of n. */
uint32_t sql_type_of_literal(struct sql_look *l, uint32_t n);
uint32_t sql_column_definitions(struct sql_look *l, uint32_t n);

/* ---- sql/times.c ---- */

/* Does the type that ends with this token hold dates or times? Sets time_type and zone_type. */
void sql_look_at_type(struct sql_look *l, uint32_t first, uint32_t last);

/* The last type is given to the value of the tokens from first to last; first is 0 where the value
 * is only known to end with the last token, last is 0 where it is not known at all. */
void sql_look_at_cast(struct sql_look *l, uint32_t first, uint32_t last);

/* A function of that name is called, with the parenthesis at open. */
void sql_look_at_time_call(struct sql_look *l, uint32_t n, uint32_t open);

/* The literal at n. */
void sql_look_at_literal(struct sql_look *l, uint32_t n);

/* ---- sql/functions.c ---- */

bool sql_syntax_fixed(const char *name);

/* ---- sql/call.c ---- */

/* A name that stands in an expression, called or not. */
uint32_t sql_name_or_call(struct sql_look *l, uint32_t n);

#endif

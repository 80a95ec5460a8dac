/*
 * Tokens of SQL, as the scanner hands them to the grammar and to the look at expressions.
 *
 * Token numbers below SQL_WALK_FIRST are the grammar's (gram.h); to the grammar all others are
 * names.
 */
#ifndef SQL_TOKEN_H
#define SQL_TOKEN_H

#include "base/util.h"
#include "sql/facts.h"

#include <stdbool.h>

enum sql_category { SQL_NO_KEYWORD, SQL_UNRESERVED, SQL_COL_NAME, SQL_TYPE_FUNC, SQL_RESERVED };

/* Words that only the look at expressions knows. */
enum {
    SQL_WALK_FIRST = 1000,
    T_WORD = SQL_WALK_FIRST, /* a key word that nobody asks for */
    K_ANY,
    K_ARRAY,
    K_ASC,
    K_ASYMMETRIC,
    K_BETWEEN,
    K_BIGINT,
    K_BINARY,
    K_BIT,
    K_BOOLEAN,
    K_BOTH,
    K_BY,
    K_CASE,
    K_CAST,
    K_CHAR,
    K_CHARACTER,
    K_COALESCE,
    K_COLLATE,
    K_COLLATION,
    K_COLUMNS,
    K_CONFLICT,
    K_CROSS,
    K_CUBE,
    K_CURRENT_CATALOG,
    K_CURRENT_DATE,
    K_CURRENT_ROLE,
    K_CURRENT_SCHEMA,
    K_CURRENT_TIME,
    K_CURRENT_TIMESTAMP,
    K_CURRENT_USER,
    K_CYCLE,
    K_DAY,
    K_DEC,
    K_DECIMAL,
    K_DEFAULT,
    K_DESC,
    K_DISTINCT,
    K_DOUBLE,
    K_ELSE,
    K_ESCAPE,
    K_EXCEPT,
    K_EXTRACT,
    K_FALSE,
    K_FILTER,
    K_FIRST,
    K_FLOAT,
    K_GREATEST,
    K_GROUP,
    K_GROUPING,
    K_GROUPS,
    K_HAVING,
    K_HOUR,
    K_ILIKE,
    K_INHERITS,
    K_INNER,
    K_INT,
    K_INTEGER,
    K_INTERSECT,
    K_INTERVAL,
    K_ISNULL,
    K_JOIN,
    K_JSON,
    K_JSON_ARRAY,
    K_JSON_ARRAYAGG,
    K_JSON_EXISTS,
    K_JSON_OBJECT,
    K_JSON_OBJECTAGG,
    K_JSON_QUERY,
    K_JSON_SCALAR,
    K_JSON_SERIALIZE,
    K_JSON_TABLE,
    K_JSON_VALUE,
    K_KEEP,
    K_KEY,
    K_LATERAL,
    K_LEADING,
    K_LEAST,
    K_LEFT,
    K_LIKE,
    K_LIMIT,
    K_LOCALTIME,
    K_LOCALTIMESTAMP,
    K_MATCHED,
    K_MERGE_ACTION,
    K_MINUTE,
    K_MONTH,
    K_NATIONAL,
    K_NATURAL,
    K_NCHAR,
    K_NEW,
    K_NEXT,
    K_NONE,
    K_NORMALIZE,
    K_NORMALIZED,
    K_NULL,
    K_NULLIF,
    K_NUMERIC,
    K_OF,
    K_OFFSET,
    K_OLD,
    K_OPERATOR,
    K_ORDER,
    K_ORDINALITY,
    K_OUTER,
    K_OVER,
    K_OVERLAPS,
    K_OVERLAY,
    K_OVERRIDING,
    K_PARTITION,
    K_PASSING,
    K_PATH,
    K_POSITION,
    K_PRECISION,
    K_RANGE,
    K_REAL,
    K_REFERENCES,
    K_RETURNING,
    K_RIGHT,
    K_ROLLUP,
    K_ROW,
    K_ROWS,
    K_SEARCH,
    K_SECOND,
    K_SESSION_USER,
    K_SETOF,
    K_SETS,
    K_SHARE,
    K_SIMILAR,
    K_SMALLINT,
    K_SOME,
    K_SUBSTRING,
    K_SYMMETRIC,
    K_SYSTEM_USER,
    K_TABLESAMPLE,
    K_THEN,
    K_TIMESTAMP,
    K_TRAILING,
    K_TREAT,
    K_TRIM,
    K_TRUE,
    K_UNION,
    K_USING,
    K_VALUE,
    K_VARCHAR,
    K_VARIADIC,
    K_VARYING,
    K_WINDOW,
    K_WITHIN,
    K_XMLATTRIBUTES,
    K_XMLCONCAT,
    K_XMLELEMENT,
    K_XMLEXISTS,
    K_XMLFOREST,
    K_XMLNAMESPACES,
    K_XMLPARSE,
    K_XMLPI,
    K_XMLROOT,
    K_XMLSERIALIZE,
    K_XMLTABLE,
    K_YEAR,
};

struct sql_token {
    uint16_t kind;
    uint8_t category; /* enum sql_category */
    bool quoted;      /* "name" */
    uint32_t start;
    uint32_t len;
    uint32_t match; /* of a parenthesis: the token that closes or opens it */
};

/* A name that the grammar found, and what is done with it. */
struct sql_mark {
    uint32_t token;
    uint8_t use;
};

/* What one text's scan and parse work on; reused for the next text. */
struct sql_work {
    const char *text;
    uint32_t len;
    uint32_t at;    /* of the next byte that the scanner has not been given */
    uint32_t start; /* of the token being scanned */
    uint32_t end;
    uint32_t depth; /* of nested comments */
    bool standard_strings;
    uint8_t server_version;
    bool bad;           /* something unterminated, or not SQL */
    bool in_quotes;     /* U&"..." */
    uint32_t tag_start; /* of the open dollar quote's tag */
    uint32_t tag_len;
    struct sql_token *tokens; /* one more than count, of kind 0 */
    uint32_t count;
    uint32_t cap;
    struct sql_head *heads; /* one per statement */
    uint32_t head_count;
    uint32_t head_cap;
    struct sql_mark *marks; /* of all statements */
    uint32_t mark_count;
    uint32_t mark_cap;
    bool atomic; /* BEGIN ATOMIC stands somewhere */
    /* from comments */
    bool has_hint; /* or what looks like one */
    bool no_load_balance;
    bool force_query_cache;
    bool no_query_cache;
    uint8_t hint; /* enum sql_hint */
    uint32_t hint_node;
    uint16_t *keywords; /* sql/keywords.c */
};

/* A statement as the grammar saw it. Tokens are counted from the text's first; 0 is none. */
struct sql_head {
    uint8_t kind;  /* enum sql_kind */
    uint8_t inner; /* the same; SQL_EMPTY without one */
    uint8_t access;
    uint8_t isolation;
    uint8_t deferrable;
    uint8_t savepoint;
    bool chain;
    bool hold;
    bool temporary;
    bool harmless;       /* a kind that writes nothing by itself */
    bool recursive;      /* a view that may name itself */
    uint32_t first;      /* token */
    uint32_t end;        /* token behind the last */
    uint32_t name;       /* token */
    uint32_t value;      /* its first token */
    uint32_t query;      /* the first token of what is looked into as a query */
    uint32_t options;    /* the parenthesis in front of EXPLAIN's options */
    bool analyze;        /* EXPLAIN ANALYZE */
    uint32_t mark_first; /* its marks */
    uint32_t mark_count;
    const char *fixed_name; /* a name that does not stand in the text */
};

void *sql_scanner_new(struct sql_work *w);
void sql_scanner_free(void *scanner);

/* Scans the whole text into w->tokens; false when it is no SQL or too long, or when its parentheses
 * are not in balance. */
bool sql_scan(void *scanner, struct sql_work *w);

/* Finds the statements in w->tokens; false when the grammar does not know them. */
bool sql_parse_heads(struct sql_work *w);

/* The token number and category of a word; a plain name when it is no key word. */
void sql_keywords_init(struct sql_work *w);
void sql_keyword(const struct sql_work *w, const char *word, uint32_t len, struct sql_token *t);

/* Takes what a comment (its delimiters included) says to us into w. */
void sql_hint_take(struct sql_work *w, const char *comment, uint32_t len);

#endif

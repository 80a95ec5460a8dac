/*
 * Tokens of SQL, as the scanner hands them to the grammar and to the look at expressions.
 */
#ifndef SQL_TOKEN_H
#define SQL_TOKEN_H

#include "base/util.h"

#include <stdbool.h>

struct sql_token {
    uint16_t kind; /* the grammar's token number */
    bool quoted;   /* "name" */
    uint32_t start;
    uint32_t len;
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
    bool bad;           /* something unterminated, or not SQL */
    uint32_t tag_start; /* of the open dollar quote's tag */
    uint32_t tag_len;
    struct sql_token *tokens;
    uint32_t count;
    uint32_t cap;
    struct sql_head *heads; /* one per statement */
    uint32_t head_count;
    uint32_t head_cap;
};

/* A statement as the grammar saw it. */
struct sql_head {
    uint8_t kind; /* enum sql_kind */
    uint8_t access;
    uint8_t isolation;
    bool chain;
    bool harmless;          /* a kind that writes nothing by itself */
    uint32_t first;         /* token */
    uint32_t end;           /* token behind the last */
    const char *fixed_name; /* a name that does not stand in the text */
};

void *sql_scanner_new(struct sql_work *w);
void sql_scanner_free(void *scanner);
void sql_scanner_start(void *scanner);

/* Scans the whole text into w->tokens; false when it is no SQL or too long. */
bool sql_scan(void *scanner, struct sql_work *w);

/* Finds the statements in w->tokens; false when the grammar does not know them. */
bool sql_parse_heads(struct sql_work *w);

#endif

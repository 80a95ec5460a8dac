/*
 * The words of a configuration file, one by one. Defined in src/config/lex.l.
 */
#ifndef CONFIG_LEX_H
#define CONFIG_LEX_H

#include "base/util.h"

enum lex_kind {
    LEX_END,
    LEX_EOL,
    LEX_EQUALS,
    LEX_WORD,         /* a name, or a value without quotes */
    LEX_QUOTED,       /* with its quotes and escapes */
    LEX_UNTERMINATED, /* a quoted value that its line does not end */
    LEX_BAD,          /* a byte that begins nothing */
};

/* The text ends in NUL and is valid up to the next call; it holds no other NUL but for LEX_BAD. */
struct lex_token {
    enum lex_kind kind;
    uint32_t line; /* counted from 1; an end of line counts to the line that it ends */
    const char *text;
    size_t len;
};

struct lex;

/* Copies the text. Text of any bytes is fine. */
struct lex *lex_new(const char *text, size_t len);
void lex_free(struct lex *lex);
void lex_next(struct lex *lex, struct lex_token *token_r);

#endif

/*
 * Tokens of a line of pool_hba.conf and pool_ident.conf.
 *
 * Called by hba_file.c, which has joined continued lines. A token ends at a blank or a comma that
 * does not stand in quotes; quotes may begin and end within it, and those that are written twice
 * within quotes are one of its bytes. Commas in front of a token count for nothing.
 */
#include "auth/hba_file.h"

#include "config/value.h"

#include <string.h>

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Behind the opening quote. */
static int
read_quoted(struct hba_cursor *c, struct buf *text, struct err *err)
{
    for (;; c->at++) {
        if (*c->at == '\0')
            return err_set(err, "F0000", "double quotes that the line does not close");
        if (*c->at == '"' && c->at[1] != '"')
            break;
        c->at += *c->at == '"';
        buf_add_u8(text, (uint8_t)*c->at);
    }
    c->at++;
    return 0;
}

int
hba_next_token(struct hba_cursor *c, struct hba_read_token *t, struct err *err)
{
    bool any_quotes = false;

    buf_clear(&t->text);
    t->quoted = t->comma = false;
    while (is_blank(*c->at) || *c->at == ',')
        c->at++;
    while (*c->at != '\0' && *c->at != '#' && !is_blank(*c->at) && !t->comma) {
        if (*c->at == '"') {
            t->quoted |= t->text.len == 0;
            any_quotes = true;
            c->at++;
            if (read_quoted(c, &t->text, err) != 0)
                return -1;
        } else if (*c->at == ',') {
            t->comma = true;
            c->at++;
        } else {
            buf_add_u8(&t->text, (uint8_t)*c->at++);
        }
    }
    if (*c->at == '#')
        c->at += strlen(c->at);
    if (t->text.len > HBA_TOKEN_MAX)
        return err_set(err, "54000", "a word is longer than %d bytes", HBA_TOKEN_MAX);
    return t->text.len > 0 || any_quotes;
}

bool
hba_token_is(const struct hba_token *token, const char *word)
{
    return !token->quoted && strcmp(token->text, word) == 0;
}

const char *
hba_shown(const char *text, struct arena *arena)
{
    struct buf shown = BUF_EMPTY;
    const char *kept;

    value_quote_short(text, &shown);
    kept = arena_strdup(arena, buf_cstr(&shown));
    buf_free(&shown);
    return kept;
}

/*
 * The parts of PREPARE and EXECUTE: a name, a list of types, a statement.
 *
 * Called by session/copies_prepare.c. Invariant: no byte behind the text is looked at.
 */
#include "sql/execute.h"

#include "base/str.h"

#include <string.h>

struct at {
    const char *text;
    uint32_t len;
    uint32_t n;
};

static bool
is(const struct at *a, uint32_t ahead, char c)
{
    return a->n + ahead < a->len && a->text[a->n + ahead] == c;
}

static void
skip_block_comment(struct at *a)
{
    uint32_t depth = 0;

    do {
        if (is(a, 0, '/') && is(a, 1, '*')) {
            depth++;
            a->n += 2;
        } else if (is(a, 0, '*') && is(a, 1, '/')) {
            depth--;
            a->n += 2;
        } else {
            a->n++;
        }
    } while (depth > 0 && a->n < a->len);
}

static void
skip_space(struct at *a)
{
    while (a->n < a->len) {
        if (memchr(" \t\n\r\f\v", a->text[a->n], 6) != NULL) {
            a->n++;
        } else if (is(a, 0, '-') && is(a, 1, '-')) {
            while (a->n < a->len && a->text[a->n] != '\n' && a->text[a->n] != '\r')
                a->n++;
        } else if (is(a, 0, '/') && is(a, 1, '*')) {
            skip_block_comment(a);
        } else {
            return;
        }
    }
}

static bool
is_of_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || (unsigned char)c >= 128;
}

static void
skip_quoted(struct at *a)
{
    for (a->n++; a->n < a->len; a->n++) {
        if (a->text[a->n] != '"')
            continue;
        if (!is(a, 1, '"'))
            break;
        a->n++;
    }
    a->n += a->n < a->len;
}

static bool
skip_name(struct at *a)
{
    uint32_t from = a->n;

    if (is(a, 0, '"')) {
        skip_quoted(a);
        return true;
    }
    while (a->n < a->len && is_of_word(a->text[a->n]))
        a->n++;
    return a->n > from && !(is(a, 0, '&') && is(a, 1, '"'));
}

static bool
skip_word(struct at *a, const char *word)
{
    size_t len = strlen(word);

    if (a->len - a->n < len || !str_equal_nocase_n(a->text + a->n, word, len) ||
        (a->n + len < a->len && is_of_word(a->text[a->n + len])))
        return false;
    a->n += (uint32_t)len;
    return true;
}

/* Behind the parenthesis that opens here. */
static bool
skip_list(struct at *a)
{
    uint32_t depth = 0;

    while (a->n < a->len) {
        char c = a->text[a->n];
        if (c == '"') {
            skip_quoted(a);
        } else if ((c == '-' && is(a, 1, '-')) || (c == '/' && is(a, 1, '*'))) {
            skip_space(a);
        } else if (c == '\'') {
            return false;
        } else {
            depth += c == '(';
            depth -= c == ')';
            a->n++;
            if (depth == 0)
                return true;
        }
    }
    return false;
}

static bool
find_name(struct at *a, const char *verb, struct sql_prepare *r)
{
    if (!skip_word(a, verb))
        return false;
    skip_space(a);
    r->name = a->n;
    if (!skip_name(a))
        return false;
    r->name_end = a->n;
    return true;
}

bool
sql_execute_parts(struct sql_text text, uint32_t start, struct sql_prepare *r)
{
    struct at a = {text.data, text.len, MIN(start, text.len)};

    *r = (struct sql_prepare){.types = false};
    return find_name(&a, "execute", r);
}

bool
sql_prepare_parts(struct sql_text text, uint32_t start, struct sql_prepare *r)
{
    struct at a = {text.data, text.len, MIN(start, text.len)};

    *r = (struct sql_prepare){.types = false};
    if (!find_name(&a, "prepare", r))
        return false;
    skip_space(&a);
    r->types = is(&a, 0, '(');
    if (r->types && !skip_list(&a))
        return false;
    skip_space(&a);
    if (!skip_word(&a, "as"))
        return false;
    skip_space(&a);
    r->query = a.n;
    return true;
}

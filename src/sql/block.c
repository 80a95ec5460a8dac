/*
 * Words of a block: SET, set_config, EXECUTE, and what is called.
 *
 * Called by session/. Invariant: what is not one of the known forms counts as one that may set
 * anything.
 */
#include "sql/block.h"

#include "base/str.h"

#include <string.h>

enum { NAME_MAX_BYTES = 512 };

struct scan {
    const char *start;
    const char *at;
    const char *end;
    sql_block_fn *fn;
    void *ctx;
};

static bool
is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || (unsigned char)c >= 128;
}

static void
skip_space(struct scan *s)
{
    while (s->at < s->end && is_space(*s->at))
        s->at++;
}

static bool
take_char(struct scan *s, char c)
{
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

static struct sql_text
take_word(struct scan *s)
{
    const char *start = s->at;

    while (s->at < s->end && is_word_char(*s->at))
        s->at++;
    return (struct sql_text){start, (uint32_t)(s->at - start)};
}

static bool
is_word(struct sql_text word, const char *wanted)
{
    return word.len == strlen(wanted) && str_equal_nocase_n(word.data, wanted, word.len);
}

/* In lower case, without quotes. */
static void
tell(struct scan *s, enum sql_block_name what, struct sql_text name)
{
    char lower[NAME_MAX_BYTES];
    uint32_t len = 0;

    for (uint32_t n = 0; n < name.len && len < sizeof(lower); n++) {
        char c = name.data[n];
        if (c != '"')
            lower[len++] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    s->fn(s->ctx, what, (struct sql_text){lower, len});
}

static void
tell_parameter(struct scan *s, struct sql_text name)
{
    if (memchr(name.data, '.', name.len) != NULL)
        tell(s, SQL_BLOCK_PARAMETER, name);
}

/* A comment may stand in front of the parenthesis. */
static bool
is_called(struct scan next)
{
    skip_space(&next);
    return next.at < next.end && (*next.at == '(' || *next.at == '/' || *next.at == '-');
}

/* What stands in quotes is told as it is written. */
static void
tell_quoted(struct scan *s, const char *word)
{
    struct scan next = *s;
    const char *start = word;

    if (!take_char(&next, '"') || !is_called(next))
        return;
    while (start > s->start && start[-1] != '"')
        start--;
    if (s->at - start <= NAME_MAX_BYTES)
        s->fn(s->ctx, SQL_BLOCK_CALL, (struct sql_text){start, (uint32_t)(s->at - start)});
}

static bool
is_write(struct sql_text word)
{
    static const char *const words[] = {"insert", "update", "delete", "merge", "truncate", "copy"};

    for (size_t n = 0; n < ARRAY_LEN(words); n++) {
        if (is_word(word, words[n]))
            return true;
    }
    return false;
}

static void
tell_word(struct scan *s, struct sql_text word)
{
    if (is_write(word))
        tell(s, SQL_BLOCK_WRITE, word);
    else if (is_called(*s))
        tell(s, SQL_BLOCK_CALL, word);
    tell_quoted(s, word.data);
}

/* Behind the word: ('name', */
static bool
take_call(struct scan *s)
{
    struct sql_text name;

    skip_space(s);
    if (!take_char(s, '('))
        return false;
    skip_space(s);
    if (!take_char(s, '\''))
        return false;
    name.data = s->at;
    while (s->at < s->end && (is_word_char(*s->at) || *s->at == '.'))
        s->at++;
    name.len = (uint32_t)(s->at - name.data);
    if (name.len == 0 || name.len > NAME_MAX_BYTES || !take_char(s, '\''))
        return false;
    skip_space(s);
    if (!take_char(s, ','))
        return false;
    tell_parameter(s, name);
    return true;
}

/* Behind the word: [SESSION | LOCAL] name. Of UPDATE the names are told, too: that does no harm. */
static bool
take_set(struct scan *s)
{
    struct sql_text name;
    struct scan word;

    skip_space(s);
    word = *s;
    name = take_word(&word);
    if (is_word(name, "session") || is_word(name, "local")) {
        *s = word;
        skip_space(s);
    }
    name.data = s->at;
    while (s->at < s->end && (is_word_char(*s->at) || *s->at == '.' || *s->at == '"'))
        s->at++;
    name.len = (uint32_t)(s->at - name.data);
    if (name.len > NAME_MAX_BYTES)
        return false;
    tell_parameter(s, name);
    skip_space(s);
    /* a comment, a point that stands alone, or U&"..." */
    return s->at == s->end || memchr("./-&", *s->at, 4) == NULL;
}

/* U&"...", and E'...' as the block itself: words may be written in numbers. */
static bool
escapes(const struct scan *s, struct sql_text word)
{
    return s->at + 1 < s->end &&
           ((is_word(word, "u") && s->at[0] == '&' && strchr("'\"", s->at[1])) ||
            (is_word(word, "e") && s->at[0] == '\'' &&
             memchr(s->start, '$', (size_t)(s->at - s->start)) == NULL));
}

bool
sql_block_names(const char *text, size_t len, sql_block_fn *fn, void *ctx)
{
    struct scan s = {text, text, text + len, fn, ctx};

    while (s.at < s.end) {
        struct sql_text word = take_word(&s);
        bool known = true;
        if (word.len == 0)
            s.at++;
        else if (is_word(word, "set_config"))
            known = take_call(&s);
        else if (is_word(word, "set"))
            known = take_set(&s);
        else if (is_word(word, "execute") || escapes(&s, word))
            known = false;
        else
            tell_word(&s, word);
        if (!known)
            return false;
    }
    return true;
}

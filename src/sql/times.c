/*
 * What may make an answer depend on when it is asked: texts that become dates and times.
 *
 * Called by the look into queries for literals and casts. 'today' is another date tomorrow; so is
 * a text of unknown origin that is cast to a date. Literals are looked into, columns are kept for
 * the catalog to say whether they are text, and what else is no time already counts as any text.
 * Times with time zone are never fixed: the zone of one without is that of today. Invariant: what
 * is not recognised reads times.
 */
#include "sql/walk.h"

#include "base/str.h"

#include "gram.h"

#include <string.h>

/* What is known of a value. */
enum value { VALUE_ANY, VALUE_FIXED, VALUE_COLUMN };

static bool
is_letter(char c)
{
    return (unsigned char)((c | 0x20) - 'a') < 26;
}

bool
sql_says_now(const char *text, size_t len)
{
    static const char *const by_length[] = {
        [3] = "now", [5] = "today", [8] = "tomorrow", [9] = "yesterday"};

    for (size_t at = 0; at < len; at++) {
        size_t begin = at;
        while (at < len && is_letter(text[at]))
            at++;
        if (at - begin < 3 || at - begin >= ARRAY_LEN(by_length))
            continue;
        if (by_length[at - begin] != NULL &&
            str_equal_nocase_n(text + begin, by_length[at - begin], at - begin))
            return true;
    }
    return false;
}

void
sql_look_at_literal(struct sql_look *l, uint32_t n)
{
    const struct sql_token *t = &l->t[n];
    const char *text = l->w->text + t->start;
    bool escapes = !l->w->standard_strings && *text != '$';

    if (l->st->says_now)
        return;
    if (*text == 'u' || *text == 'U')
        l->st->says_now = true;
    escapes |= *text == 'e' || *text == 'E';
    if (escapes && memchr(text, '\\', t->len) != NULL)
        l->st->says_now = true;
    /* one of several parts */
    for (uint32_t at = 2; *text != '$' && at + 1 < t->len; at++) {
        if (text[at] == '\'' && text[++at] != '\'')
            l->st->says_now = true;
    }
    l->st->says_now |= sql_says_now(text, t->len);
}

/* ---- types ---- */

static bool
is_called(const struct sql_look *l, uint32_t n, const char *name)
{
    const struct sql_token *t = &l->t[n];
    size_t len = strlen(name);

    if (t->quoted)
        return t->len == len + 2 && memcmp(l->w->text + t->start + 1, name, len) == 0;
    return t->len == len && str_equal_nocase_n(l->w->text + t->start, name, len);
}

static bool
is_one_of(const struct sql_look *l, uint32_t n, const char *const *names, size_t count)
{
    for (size_t at = 0; at < count; at++) {
        if (is_called(l, n, names[at]))
            return true;
    }
    return false;
}

static void
look_at_name(struct sql_look *l, uint32_t n)
{
    static const char *const times[] = {
        "date",         "time",           "timestamp",       "timestamptz",   "daterange",
        "tsrange",      "tstzrange",      "_date",           "_time",         "_timestamp",
        "_timestamptz", "_daterange",     "_tsrange",        "_tstzrange",    "datemultirange",
        "tsmultirange", "tstzmultirange", "_datemultirange", "_tsmultirange", "_tstzmultirange",
    };

    l->zone_type = is_called(l, n, "timetz") || is_called(l, n, "_timetz");
    l->time_type = l->zone_type || is_one_of(l, n, times, ARRAY_LEN(times));
}

void
sql_look_at_type(struct sql_look *l, uint32_t first, uint32_t end)
{
    int kind = l->t[first].kind;

    if (kind == K_TIME || kind == K_TIMESTAMP) {
        l->time_type = true;
        l->zone_type = false;
        for (uint32_t n = first; kind == K_TIME && n < end; n++)
            l->zone_type |= l->t[n].kind == K_WITH;
    } else {
        look_at_name(l, sql_chain_end(l, first));
    }
}

/* ---- values ---- */

static bool
is_literal(const struct sql_token *t)
{
    return t->kind == T_STRING || t->kind == T_PARAM || t->kind == K_NULL || t->kind == T_NUMBER;
}

/* x AT TIME ZONE y, x + INTERVAL '...' */
static bool
ends_as_time(const struct sql_look *l, uint32_t first, uint32_t last)
{
    const struct sql_token *t = &l->t[last];

    if (last < first + 3)
        return false;
    if (t[-1].kind == K_ZONE)
        return t[-2].kind == K_TIME && sql_is_word(l, last - 3, "at");
    return t->kind == T_STRING && t[-1].kind == K_INTERVAL && t[-2].kind == T_OPERATOR &&
           t[-2].len == 1 && strchr("+-", l->w->text[t[-2].start]) != NULL;
}

/* No operator and no word of SQL stands in it, but within parentheses. */
static bool
is_plain(const struct sql_look *l, uint32_t first, uint32_t last)
{
    for (uint32_t n = first; n <= last; n++) {
        const struct sql_token *t = &l->t[n];
        if (t->kind == '(')
            n = t->match;
        else if (t->kind == T_OPERATOR || t->kind == ',' || t->kind == '[' ||
                 (sql_is_name(t) && t->category == SQL_RESERVED && t->kind != K_NULL))
            return false;
    }
    return true;
}

static bool
gives_time(const struct sql_look *l, uint32_t n)
{
    static const char *const names[] = {
        "date",      "date_bin",    "date_trunc", "make_date", "make_timestamp", "make_timestamptz",
        "timestamp", "timestamptz", "timezone",   "to_date",   "to_timestamp",
    };

    return is_one_of(l, n, names, ARRAY_LEN(names));
}

/* The first token of the name with dots that ends here; 0 when it is a field of something else. */
static uint32_t
chain_begin(const struct sql_look *l, uint32_t first, uint32_t last)
{
    while (last >= first + 2 && l->t[last - 1].kind == '.' && sql_is_name(&l->t[last - 2]))
        last -= 2;
    return last > 0 && l->t[last - 1].kind == '.' ? 0 : last;
}

static enum value
value_of(const struct sql_look *l, uint32_t first, uint32_t last, uint32_t *column_r)
{
    const struct sql_token *t = &l->t[last];
    uint32_t begin = first;

    for (;;) {
        if (first > 0 && ends_as_time(l, first, last))
            return VALUE_FIXED;
        if (first > 0 && !is_plain(l, first, last))
            return VALUE_ANY;
        if (last + 1 == l->cast_end)
            return l->cast_fixed ? VALUE_FIXED : VALUE_ANY;
        if (t->kind != ')')
            break;
        begin = l->t[last].match;
        if (begin == 0)
            return VALUE_ANY; /* the text begins with it */
        if (sql_is_name(&l->t[begin - 1]) && l->t[begin - 1].category != SQL_RESERVED) {
            if (gives_time(l, begin - 1))
                return VALUE_FIXED;
            if (!is_called(l, begin - 1, "max") && !is_called(l, begin - 1, "min"))
                return VALUE_ANY;
        } else if (first > 0 && begin != first) {
            return VALUE_ANY;
        }
        if (begin + 1 >= last)
            return VALUE_ANY;
        first = begin + 1;
        t = &l->t[--last];
    }
    if (is_literal(t))
        return VALUE_FIXED;
    begin = chain_begin(l, first, last);
    if (!sql_is_name(t) || begin == 0 || (first > 0 && begin != first) ||
        (t->category != SQL_NO_KEYWORD && t->category != SQL_UNRESERVED))
        return VALUE_ANY;
    *column_r = last;
    return VALUE_COLUMN;
}

void
sql_look_at_cast(struct sql_look *l, uint32_t first, uint32_t last)
{
    uint32_t column = 0;
    enum value value = last > 0 ? value_of(l, first, last, &column) : VALUE_ANY;

    l->cast_fixed = l->time_type || value == VALUE_FIXED;
    if (!l->time_type)
        return;
    if (l->zone_type || value == VALUE_ANY)
        l->st->reads_times = true;
    else if (value == VALUE_COLUMN)
        sql_add_column(l, column);
}

void
sql_look_at_time_call(struct sql_look *l, uint32_t n, uint32_t open)
{
    uint32_t close = l->t[open].match;

    look_at_name(l, n);
    if (!l->time_type || is_called(l, n, "daterange") || is_called(l, n, "tsrange") ||
        is_called(l, n, "tstzrange") || is_called(l, n, "datemultirange") ||
        is_called(l, n, "tsmultirange") || is_called(l, n, "tstzmultirange"))
        return;
    sql_look_at_cast(l, open + 1, close > open + 1 ? close - 1 : 0);
}

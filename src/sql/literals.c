/*
 * Literals and casts that mean the time at which they are read: 'now'::timestamp, date 'today'.
 *
 * Called by calls.c. Where the type is written it is asked for as it stands; where a literal stands
 * alone, the column that it is given to tells. What may be such a time and is not known to be text
 * is refused.
 */
#include "sql/determining.h"

#include "base/str.h"

#include "gram.h"

#include <string.h>

/* ---- types ---- */

static uint32_t
skip_zone(const struct sql_determinism *d, uint32_t n)
{
    if (n + 2 < d->end && (d->t[n].kind == K_WITH || d->t[n].kind == K_WITHOUT) &&
        d->t[n + 1].kind == K_TIME && d->t[n + 2].kind == K_ZONE)
        return n + 3;
    return n;
}

/* The token behind the type (or alias) that begins at n. */
uint32_t
determinism_type_end(const struct sql_determinism *d, uint32_t n)
{
    int kind = d->t[n].kind;
    uint32_t end;

    if (n >= d->end || !sql_is_name(&d->t[n]))
        return n;
    end = determinism_chain_end(d, n) + 1;
    if ((kind == K_DOUBLE && d->t[end].kind == K_PRECISION) || d->t[end].kind == K_VARYING ||
        kind == K_NATIONAL)
        end++;
    if (end < d->end && d->t[end].kind == '(')
        end = d->t[end].match + 1;
    if (kind == K_TIME || kind == K_TIMESTAMP)
        end = skip_zone(d, end);
    while (end + 1 < d->end && d->t[end].kind == '[' &&
           (d->t[end + 1].kind == ']' || d->t[end + 2].kind == ']'))
        end += d->t[end + 1].kind == ']' ? 2 : 3;
    return MIN(end, d->end);
}

static bool
is_time_word(const char *word, size_t len)
{
    static const char *const names[] = {
        "date",   "daterange",    "datemultirange", "time",           "timestamp", "timestamptz",
        "timetz", "tsmultirange", "tsrange",        "tstzmultirange", "tstzrange",
    };

    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        if (strlen(names[n]) == len && str_equal_nocase_n(word, names[n], len))
            return true;
    }
    return false;
}

bool
determinism_time_type(const char *type)
{
    const char *dot = strrchr(type, '.');
    size_t len;

    if (dot != NULL)
        type = dot + 1;
    type += *type == '"';
    len = strcspn(type, " ([\"");
    return is_time_word(type, len);
}

static bool
is_time_type(const struct sql_determinism *d, uint32_t n)
{
    uint32_t last = determinism_chain_end(d, n);
    const struct sql_token *t = &d->t[last];
    uint32_t quotes = t->quoted ? 1 : 0;

    if (n >= d->end || !sql_is_name(t) || t->len <= 2 * quotes)
        return false;
    return is_time_word(d->work.text + t->start + quotes, t->len - 2 * quotes);
}

/* ---- literals ---- */

/* Escapes that may stand for letters. */
static bool
hides_letters(const struct sql_determinism *d, const char *text, uint32_t len)
{
    bool unicode = *text == 'u' || *text == 'U';
    bool escapes = *text == 'e' || *text == 'E' || (!d->work.standard_strings && *text != '$');

    for (uint32_t n = 0; n + 1 < len; n++) {
        if (text[n] == '\\' && (unicode || (escapes && strchr("xXuU01234567", text[n + 1]))))
            return true;
    }
    return unicode;
}

static bool
is_joined(const char *text, uint32_t len)
{
    for (uint32_t n = 2; *text != '$' && n + 1 < len; n++) {
        if (text[n] == '\'' && text[n - 1] != '\\' && text[++n] != '\'')
            return true;
    }
    return false;
}

bool
determinism_says_now(const struct sql_determinism *d, uint32_t n)
{
    const struct sql_token *t = &d->t[n];
    const char *text = d->work.text + t->start;

    return sql_says_now(text, t->len) || hides_letters(d, text, t->len) || is_joined(text, t->len);
}

bool
determinism_is_now(const struct sql_determinism *d, uint32_t n)
{
    static const char *const others[] = {"am", "at", "e", "gmt", "n", "on", "pm", "t", "utc", "z"};
    const char *text = d->work.text + d->t[n].start;
    uint32_t len = d->t[n].len;

    if (!determinism_says_now(d, n))
        return false;
    for (uint32_t at = 0; at < len; at++) {
        uint32_t begin = at;
        bool known = false;
        while (at < len && ((text[at] | 32) >= 'a' && (text[at] | 32) <= 'z'))
            at++;
        if (at == begin)
            continue;
        known = sql_says_now(text + begin, at - begin);
        for (size_t w = 0; w < ARRAY_LEN(others); w++)
            known |= strlen(others[w]) == at - begin &&
                     str_equal_nocase_n(text + begin, others[w], at - begin);
        if (!known && !hides_letters(d, text, len))
            return false;
    }
    return true;
}

/* ---- casts ---- */

static void
ask(struct sql_determinism *d, uint32_t first, uint32_t end, struct sql_text type)
{
    determinism_replace(
        d, first, end,
        determinism_value(d, SQL_VALUE_TRANSACTION, determinism_written(d, first, end), type));
}

/* Calls whose answers are times already, or never say now. */
static bool
gives_time(const struct sql_determinism *d, uint32_t n)
{
    static const char *const names[] = {
        "age",
        "clock_timestamp",
        "date",
        "date_add",
        "date_bin",
        "date_subtract",
        "date_trunc",
        "lower",
        "make_date",
        "make_time",
        "make_timestamp",
        "make_timestamptz",
        "now",
        "statement_timestamp",
        "timestamp",
        "timestamptz",
        "timezone",
        "to_date",
        "to_timestamp",
        "transaction_timestamp",
        "upper",
    };

    for (size_t at = 0; at < ARRAY_LEN(names); at++) {
        if (determinism_is(d, n, names[at]))
            return true;
    }
    return false;
}

static bool
is_time_value(int kind)
{
    return kind == K_CURRENT_DATE || kind == K_CURRENT_TIME || kind == K_CURRENT_TIMESTAMP ||
           kind == K_LOCALTIME || kind == K_LOCALTIMESTAMP || kind == K_NULL;
}

/* No column of this name in the statement's tables may hold any text. */
static bool
column_is_time(struct sql_determinism *d, uint32_t n)
{
    struct sql_text name = determinism_name(d, n);
    bool found = false;

    for (uint32_t at = 0; at < d->table_count; at++) {
        const struct sql_known_table *table =
            d->known->table(d->known->ctx, d->tables[at].schema, d->tables[at].name);
        const struct sql_known_column *column = determinism_column(table, name);
        if (column == NULL)
            continue;
        found = true;
        if (!determinism_time_type(column->type))
            return false;
    }
    return found;
}

/* The value that ends with this token is cast to a time: can it be a text that says now? */
static bool
is_safe_value(struct sql_determinism *d, uint32_t last)
{
    const struct sql_token *t = &d->t[last];
    uint32_t n;

    if (t->kind == T_STRING || t->kind == T_PARAM || t->kind == T_NUMBER || is_time_value(t->kind))
        return true;
    if (t->kind == ')') {
        n = t->match;
        if (n > 0 && sql_is_name(&d->t[n - 1]) && d->t[n - 1].category != SQL_RESERVED)
            return gives_time(d, n - 1) || is_time_type(d, n - 1);
        if (n > 0 && is_time_value(d->t[n - 1].kind))
            return true;
        for (n++; n < last; n++) {
            const struct sql_token *s = &d->t[n];
            if (s->kind == '(') {
                n = s->match;
                if (!is_safe_value(d, n))
                    return false;
            } else if (s->kind == T_CAST) {
                n = determinism_type_end(d, n + 1) - 1;
            } else if (sql_is_name(s) && s->category == SQL_NO_KEYWORD && d->t[n + 1].kind != '(' &&
                       d->t[n + 1].kind != '.' && !column_is_time(d, n)) {
                return false;
            }
        }
        return true;
    }
    return sql_is_name(t) && t->category != SQL_RESERVED && column_is_time(d, last);
}

/* Is what ends in front of this cast the type of an earlier one? */
static bool
behind_cast(const struct sql_determinism *d, uint32_t n)
{
    for (uint32_t at = n; at > 0 && n - at < 12; at--) {
        if (d->t[at - 1].kind == T_CAST)
            return determinism_type_end(d, at) == n && is_time_type(d, at);
    }
    return false;
}

/* regclass and its like are numbers, which are others on each server; as an argument (nextval), or
 * made a text again, they are names. */
static void
judge_number_of_name(struct sql_determinism *d, uint32_t n, uint32_t end,
                     const struct sql_scope *scope)
{
    uint32_t last = determinism_chain_end(d, n);
    struct sql_text type = determinism_name(d, last);

    if (scope->answer || scope->call || type.len < 7 || memcmp(type.data, "reg", 3) != 0)
        return;
    if (end + 1 < d->end && d->t[end].kind == T_CAST &&
        (determinism_is(d, end + 1, "text") || determinism_is(d, end + 1, "varchar")))
        return;
    determinism_refuse(d, "Write ::text behind it.",
                       "the number of \"%.*s\" is another one on each "
                       "server",
                       (int)type.len, type.data);
}

static uint32_t
cast(struct sql_determinism *d, uint32_t n, const struct sql_scope *scope)
{
    uint32_t end = determinism_type_end(d, n + 1);

    if (end > n + 1)
        judge_number_of_name(d, n + 1, end, scope);
    if (!scope->answer && is_time_type(d, n + 1) && !behind_cast(d, n) && n > 0 &&
        !is_safe_value(d, n - 1))
        determinism_refuse(d, "Use to_timestamp() or to_date(), which know no word for it.",
                           "a text that is read as a time may be \"now\"");
    return MAX(end, n + 1);
}

/* 'now'::a::b ...: up to the first type of times. */
static uint32_t
literal_and_casts(struct sql_determinism *d, uint32_t n, const struct sql_scope *scope)
{
    uint32_t end = n + 1;

    while (end < d->end && d->t[end].kind == T_CAST) {
        uint32_t type = end + 1;
        end = determinism_type_end(d, type);
        if (end <= type)
            return type;
        if (is_time_type(d, type)) {
            if (!scope->answer)
                ask(d, n, end, determinism_written(d, type, end));
            return end;
        }
    }
    return end;
}

static bool
stands_alone(const struct sql_determinism *d, uint32_t n, uint32_t to)
{
    int before = n > 0 ? d->t[n - 1].kind : ',';
    bool equals =
        before == T_OPERATOR && d->t[n - 1].len == 1 && d->work.text[d->t[n - 1].start] == '=';

    return (before == ',' || before == '(' || equals) && n + 1 >= to;
}

static bool
has_times(struct sql_determinism *d)
{
    for (uint32_t n = 0; n < d->table_count; n++) {
        const struct sql_known_table *table =
            d->known->table(d->known->ctx, d->tables[n].schema, d->tables[n].name);
        if (table == NULL)
            return true;
        for (uint32_t at = 0; at < table->column_count; at++) {
            if (determinism_time_type(table->columns[at].type))
                return true;
        }
    }
    return d->table_count == 0;
}

static uint32_t
bare_literal(struct sql_determinism *d, uint32_t n, uint32_t to, const struct sql_scope *scope)
{
    if (scope->answer)
        return n + 1;
    if (scope->column != NULL && stands_alone(d, n, to)) {
        if (determinism_time_type(scope->column->type)) {
            struct sql_text type = determinism_text(scope->column->type);
            char *asked = arena_printf(&d->arena, "%.*s::%s", (int)d->t[n].len,
                                       d->work.text + d->t[n].start, scope->column->type);
            type.data = arena_strndup(&d->arena, type.data, type.len);
            determinism_replace(
                d, n, n + 1,
                determinism_value(d, SQL_VALUE_TRANSACTION, determinism_text(asked), type));
        }
        return n + 1;
    }
    if (determinism_is_now(d, n) && (scope->call || has_times(d)))
        determinism_refuse(d,
                           "Write now() or CURRENT_DATE; or, where it is no time, ::text behind "
                           "it.",
                           "%.*s may be the time at which each server reads it",
                           (int)MIN(d->t[n].len, 60u), d->work.text + d->t[n].start);
    return n + 1;
}

/* date 'now', timestamp (3) with time zone 'now'; 0: none. */
static uint32_t
typed_literal(struct sql_determinism *d, uint32_t n, const struct sql_scope *scope)
{
    const struct sql_token *t = &d->t[n];
    uint32_t end;
    bool other = determinism_is(d, n, "text") || determinism_is(d, n, "xml") ||
                 determinism_is(d, n, "name") || t->kind == K_JSON || t->kind == K_INTERVAL;

    if (!sql_is_name(t) || (n > 0 && (d->t[n - 1].kind == '.' || d->t[n - 1].kind == T_CAST)))
        return 0;
    if (!other && t->category != SQL_NO_KEYWORD && t->kind != K_TIME && t->kind != K_TIMESTAMP &&
        d->t[n + 1].kind != '.')
        return 0;
    end = determinism_type_end(d, n);
    if (end >= d->end || d->t[end].kind != T_STRING)
        return 0;
    d->looked_at[end] = true;
    if (is_time_type(d, n) && determinism_says_now(d, end) && !scope->answer)
        ask(d, n, end + 1, determinism_written(d, n, end));
    return end + 1;
}

/* XMLTABLE and its like read texts as the types of their columns. */
static void
judge_columns(struct sql_determinism *d, uint32_t n, uint32_t open)
{
    int kind = d->t[n].kind;

    if (kind != K_XMLTABLE && kind != K_JSON_TABLE && kind != K_JSON_VALUE && kind != K_JSON_QUERY)
        return;
    for (uint32_t at = open + 1; at < d->t[open].match; at++) {
        if (is_time_type(d, at))
            determinism_refuse(d, "Take it as a text, and use to_timestamp() or to_date().",
                               "a text that is read as a time may be \"now\"");
    }
}

/* CAST('now' AS date), date('now'); 0: none. */
static uint32_t
called_literal(struct sql_determinism *d, uint32_t n, const struct sql_scope *scope)
{
    uint32_t last = determinism_chain_end(d, n);
    uint32_t open = last + 1;
    uint32_t close;
    uint32_t as;

    if (!sql_is_name(&d->t[n]) || open >= d->end || d->t[open].kind != '(')
        return 0;
    close = d->t[open].match;
    if (!scope->answer)
        judge_columns(d, n, open);
    if (d->t[n].kind == K_CAST) {
        for (as = open + 1; as < close && d->t[as].kind != K_AS; as++) {
            if (d->t[as].kind == '(')
                as = d->t[as].match;
        }
        if (as >= close || !is_time_type(d, as + 1))
            return 0;
        if (as == open + 2 && d->t[open + 1].kind == T_STRING) {
            d->looked_at[open + 1] = true;
            if (determinism_says_now(d, open + 1) && !scope->answer)
                ask(d, n, close + 1, determinism_written(d, as + 1, close));
            return close + 1;
        }
        if (!scope->answer && as > open + 1 && !behind_cast(d, as) && !is_safe_value(d, as - 1))
            determinism_refuse(d, "Use to_timestamp() or to_date(), which know no word for it.",
                               "a text that is read as a time may be \"now\"");
        return 0;
    }
    if (close == open + 2 && d->t[open + 1].kind == T_STRING && is_time_type(d, last) &&
        (last > n || (d->t[n].kind != K_TIME && d->t[n].kind != K_TIMESTAMP))) {
        d->looked_at[open + 1] = true;
        if (determinism_says_now(d, open + 1) && !scope->answer)
            ask(d, n, close + 1, determinism_written(d, n, last + 1));
        return close + 1;
    }
    return 0;
}

uint32_t
determinism_literal(struct sql_determinism *d, uint32_t n, uint32_t to,
                    const struct sql_scope *scope)
{
    uint32_t next;

    if (d->t[n].kind == T_CAST)
        return cast(d, n, scope);
    if (d->t[n].kind == T_STRING) {
        bool casted = n + 1 < to && d->t[n + 1].kind == T_CAST;
        d->looked_at[n] = true;
        if (!determinism_says_now(d, n))
            return n + 1;
        return casted ? literal_and_casts(d, n, scope) : bare_literal(d, n, to, scope);
    }
    next = typed_literal(d, n, scope);
    return next > 0 ? next : called_literal(d, n, scope);
}

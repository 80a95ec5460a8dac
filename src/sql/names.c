/*
 * Names: from tokens to what PostgreSQL takes them for, each kept once per statement.
 *
 * Called by the look into queries. Letters A to Z outside of quotes become small, a doubled quote
 * is one, and 63 bytes count; other letters are left alone, as with the encodings of several bytes.
 */
#include "sql/walk.h"

#include "base/arena.h"
#include "base/str.h"

#include "gram.h"

#include <stdlib.h>
#include <string.h>

enum { COMPARED = 64, NEW_ITEMS = 16 };

void *
sql_list_add(struct sql_list *list, size_t size)
{
    if (list->count == list->cap) {
        list->cap = list->cap > 0 ? list->cap * 2 : NEW_ITEMS;
        list->items = xrealloc(list->items, list->cap * size);
    }
    return (char *)list->items + size * list->count++;
}

void
sql_found_clear(struct sql_found *f, uint32_t text_len)
{
    f->char_count = 0;
    if (f->char_cap < 2 * text_len + SQL_IDENTIFIER_MAX) {
        f->char_cap = 4 * text_len + SQL_IDENTIFIER_MAX;
        f->chars = xrealloc(f->chars, f->char_cap);
    }
    f->statements.count = f->tables.count = f->functions.count = 0;
    f->operators.count = f->types.count = f->settings.count = f->columns.count = 0;
}

void
sql_found_free(struct sql_found *f)
{
    free(f->chars);
    free(f->statements.items);
    free(f->tables.items);
    free(f->functions.items);
    free(f->operators.items);
    free(f->types.items);
    free(f->settings.items);
    free(f->columns.items);
}

/* ---- tokens ---- */

bool
sql_is_name(const struct sql_token *t)
{
    return t->kind == T_NAME || t->kind == T_QUOTED || t->kind >= K_ABORT;
}

bool
sql_is_word(const struct sql_look *l, uint32_t n, const char *word)
{
    const struct sql_token *t = &l->t[n];

    return n < l->end && !t->quoted && t->len == strlen(word) &&
           str_equal_nocase_n(l->w->text + t->start, word, t->len);
}

uint32_t
sql_chain_end(const struct sql_look *l, uint32_t n)
{
    while (l->t[n + 1].kind == '.' && sql_is_name(&l->t[n + 2]))
        n += 2;
    return n;
}

/* Room that every name of the text fits into, each used no more than twice; else not understood. */
static char *
take_chars(struct sql_look *l, uint32_t len)
{
    struct sql_found *f = l->found;

    if (f->char_count + len > f->char_cap) {
        l->bad = true;
        return NULL;
    }
    f->char_count += len;
    return f->chars + f->char_count - len;
}

/* A name that is too long loses whole letters of UTF-8. */
static uint32_t
clip(const char *name, uint32_t len)
{
    if (len <= SQL_IDENTIFIER_MAX)
        return len;
    len = SQL_IDENTIFIER_MAX;
    while (len > 0 && ((uint8_t)name[len] & 0xc0) == 0x80)
        len--;
    return len;
}

struct sql_text
sql_fold(struct sql_look *l, uint32_t n)
{
    const struct sql_token *t = &l->t[n];
    const char *from = l->w->text + t->start;
    uint32_t len = t->len;
    char *begin = take_chars(l, len);
    char *to = begin;
    uint32_t kept;

    if (begin == NULL)
        return (struct sql_text){NULL, 0};
    if (!t->quoted) {
        for (uint32_t at = 0; at < len; at++)
            to[at] = (char)(from[at] >= 'A' && from[at] <= 'Z' ? from[at] + 32 : from[at]);
        to += len;
    } else {
        for (uint32_t at = 1; at + 1 < len; at++) {
            *to++ = from[at];
            at += from[at] == '"';
        }
    }
    kept = clip(begin, (uint32_t)(to - begin));
    l->found->char_count -= len - kept;
    return (struct sql_text){begin, kept};
}

struct sql_text
sql_literal(struct sql_look *l, uint32_t n, bool fold)
{
    const struct sql_token *t = &l->t[n];
    const char *from = l->w->text + t->start;
    const char *end = from + t->len - 1;
    struct sql_text none = {NULL, 0};
    bool escapes = !l->w->standard_strings;
    char *begin, *to;

    l->literals = true;
    if (*from == 'e' || *from == 'E') {
        escapes = true;
        from++;
    } else if (*from == 'n' || *from == 'N') {
        from++;
    }
    if (*from++ != '\'' || (escapes && memchr(from, '\\', (size_t)(end - from)) != NULL))
        return none;
    begin = to = take_chars(l, t->len);
    if (begin == NULL)
        return none;
    for (; from < end; from++) {
        if (*from == '\'' && *++from != '\'') {
            l->found->char_count -= t->len; /* joined of several */
            return none;
        }
        *to++ = (char)(fold && *from >= 'A' && *from <= 'Z' ? *from + 32 : *from);
    }
    l->found->char_count -= t->len - (uint32_t)(to - begin);
    return (struct sql_text){begin, (uint32_t)(to - begin)};
}

/* ---- what was found ---- */

static bool
same(struct sql_text a, struct sql_text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static bool
is_temporary(struct sql_text schema)
{
    return schema.len >= 7 && memcmp(schema.data, "pg_temp", 7) == 0;
}

static void
keep_table(struct sql_look *l, const struct sql_table *table)
{
    struct sql_list *list = &l->found->tables;
    struct sql_table *t = list->items;
    uint32_t first = MAX(l->table_first, list->count > COMPARED ? list->count - COMPARED : 0);

    l->st->temporary |= is_temporary(table->schema);
    for (uint32_t n = first; n < list->count; n++) {
        if (same(t[n].name, table->name) && same(t[n].schema, table->schema)) {
            t[n].use |= table->use;
            t[n].events |= table->events;
            return;
        }
    }
    t = sql_list_add(list, sizeof(*t));
    *t = *table;
}

/* Takes back the room of names that are kept already. */
static void
forget(struct sql_look *l, uint32_t char_count, uint32_t before, const struct sql_list *list)
{
    if (list->count == before)
        l->found->char_count = char_count;
}

static uint32_t
add_table(struct sql_look *l, uint32_t n, unsigned use, unsigned events)
{
    uint32_t last = sql_chain_end(l, n);
    uint32_t chars = l->found->char_count;
    uint32_t before = l->found->tables.count;
    struct sql_table table = {.use = (uint8_t)use, .events = (uint8_t)events};

    if (last > n)
        table.schema = sql_fold(l, last - 2);
    table.name = sql_fold(l, last);
    if (table.name.len == 0)
        l->bad = true;
    keep_table(l, &table);
    forget(l, chars, before, &l->found->tables);
    return last;
}

uint32_t
sql_add_table(struct sql_look *l, uint32_t n, unsigned use)
{
    return add_table(l, n, use, 0);
}

uint32_t
sql_add_target(struct sql_look *l, uint32_t n, unsigned events)
{
    return add_table(l, n, SQL_USE_WRITE, events);
}

static void
keep_function(struct sql_look *l, struct sql_function f)
{
    struct sql_list *list = &l->found->functions;
    struct sql_function *t = list->items;
    uint32_t first = MAX(l->function_first, list->count > COMPARED ? list->count - COMPARED : 0);

    for (uint32_t n = first; n < list->count; n++) {
        if (same(t[n].name, f.name) && same(t[n].schema, f.schema) && t[n].syntax == f.syntax &&
            t[n].args == f.args)
            return;
    }
    if (f.function_class == SQL_FUNCTION_UNKNOWN && !f.syntax)
        f.function_class = sql_function_class(f.schema, f.name);
    l->calls_primary |= f.function_class == SQL_FUNCTION_PRIMARY;
    l->calls_session |= f.function_class == SQL_FUNCTION_SESSION;
    l->calls_unknown |= f.function_class == SQL_FUNCTION_UNKNOWN;
    l->st->temporary |= is_temporary(f.schema);
    l->st->advisory_lock |= f.name.len > 12 && memmem(f.name.data, f.name.len, "_advisory_", 10);
    t = sql_list_add(list, sizeof(*t));
    *t = f;
}

/* Arguments of the call whose parenthesis stands at open. */
static uint8_t
count_arguments(const struct sql_look *l, uint32_t open)
{
    uint32_t close = l->t[open].match;
    uint32_t brackets = 0;
    uint32_t commas = 0;

    if (l->t[open].kind != '(' || l->t[open + 1].kind == K_VARIADIC ||
        l->t[close + 1].kind == K_WITHIN)
        return SQL_ARGS_UNKNOWN;
    for (uint32_t n = open + 1; n < close; n++) {
        int kind = l->t[n].kind;
        if (kind == '(')
            n = l->t[n].match;
        else if (kind == '[' || kind == ']')
            brackets += kind == '[' ? 1u : -1u;
        else if (kind == ',' && brackets == 0)
            commas++;
        else if (kind == K_ORDER || kind == K_VARIADIC)
            return kind == K_ORDER ? (uint8_t)MIN(commas + 1, 254u) : SQL_ARGS_UNKNOWN;
    }
    return close == open + 1 ? 0 : (uint8_t)MIN(commas + 1, 254u);
}

uint32_t
sql_add_function(struct sql_look *l, uint32_t n)
{
    struct sql_function f = {.function_class = SQL_FUNCTION_UNKNOWN};
    uint32_t last = sql_chain_end(l, n);
    uint32_t chars = l->found->char_count;
    uint32_t before = l->found->functions.count;

    if (last > n)
        f.schema = sql_fold(l, last - 2);
    f.name = sql_fold(l, last);
    f.args = count_arguments(l, last + 1);
    f.fixed = sql_function_fixed(f.schema, f.name, f.args);
    keep_function(l, f);
    forget(l, chars, before, &l->found->functions);
    return last;
}

void
sql_add_syntax(struct sql_look *l, const char *name)
{
    keep_function(l, (struct sql_function){
                         .schema = {"pg_catalog", 10},
                         .name = {name, (uint32_t)strlen(name)},
                         .function_class = SQL_FUNCTION_SAFE,
                         .syntax = true,
                         .fixed = sql_syntax_fixed(name),
                     });
}

void
sql_add_system_function(struct sql_look *l, uint32_t n)
{
    keep_function(l, (struct sql_function){
                         .schema = {"pg_catalog", 10},
                         .name = sql_fold(l, sql_chain_end(l, n)),
                         .function_class = SQL_FUNCTION_UNKNOWN,
                     });
}

static bool
new_syntax_fixed(struct sql_text name)
{
    char word[SQL_IDENTIFIER_MAX + 1];

    memcpy(word, name.data, name.len);
    word[name.len] = '\0';
    return sql_syntax_fixed(word);
}

void
sql_add_new_syntax(struct sql_look *l, uint32_t n, uint8_t since)
{
    bool known = l->w->server_version >= since;
    uint32_t chars = l->found->char_count;
    uint32_t before = l->found->functions.count;
    struct sql_text name = sql_fold(l, n);

    keep_function(l, (struct sql_function){
                         .name = name,
                         .function_class = known ? SQL_FUNCTION_SAFE : SQL_FUNCTION_UNKNOWN,
                         .syntax = known,
                         .fixed = known && new_syntax_fixed(name),
                         .args = SQL_ARGS_UNKNOWN,
                     });
    forget(l, chars, before, &l->found->functions);
}

static void
keep_name(struct sql_list *list, uint32_t first, struct sql_name name)
{
    struct sql_name *t = list->items;

    first = MAX(first, list->count > COMPARED ? list->count - COMPARED : 0);
    for (uint32_t n = first; n < list->count; n++) {
        if (same(t[n].name, name.name) && same(t[n].schema, name.schema))
            return;
    }
    t = sql_list_add(list, sizeof(*t));
    *t = name;
}

uint32_t
sql_add_type(struct sql_look *l, uint32_t n)
{
    uint32_t last = sql_chain_end(l, n);
    uint32_t chars = l->found->char_count;
    uint32_t before = l->found->types.count;
    struct sql_name name = {{NULL, 0}, {NULL, 0}};

    if (last > n)
        name.schema = sql_fold(l, last - 2);
    name.name = sql_fold(l, last);
    keep_name(&l->found->types, l->type_first, name);
    forget(l, chars, before, &l->found->types);
    return last;
}

void
sql_add_operator(struct sql_look *l, uint32_t schema, uint32_t n)
{
    uint32_t chars = l->found->char_count;
    uint32_t before = l->found->operators.count;
    struct sql_name name = {{NULL, 0}, {NULL, 0}};

    if (schema > 0)
        name.schema = sql_fold(l, schema);
    name.name = sql_fold(l, n);
    keep_name(&l->found->operators, l->operator_first, name);
    forget(l, chars, before, &l->found->operators);
}

void
sql_add_column(struct sql_look *l, uint32_t n)
{
    uint32_t chars = l->found->char_count;
    uint32_t before = l->found->columns.count;
    struct sql_name name = {{NULL, 0}, sql_fold(l, n)};

    keep_name(&l->found->columns, l->column_first, name);
    forget(l, chars, before, &l->found->columns);
}

/* One part of 'schema."Name"' in place; NULL when there is none. */
static char *
literal_part(char *at, const char *end, struct sql_text *part_r)
{
    char *begin = at;
    char *to = at;

    if (at < end && *at == '"') {
        for (at++; at < end && (*at != '"' || (at + 1 < end && at[1] == '"')); at++) {
            *to++ = *at;
            at += *at == '"';
        }
        if (at++ >= end)
            return NULL;
    } else {
        for (; at < end && *at != '.' && *at != '"' && *at != ' '; at++)
            *to++ = (char)(*at >= 'A' && *at <= 'Z' ? *at + 32 : *at);
    }
    *part_r = (struct sql_text){begin, clip(begin, (uint32_t)(to - begin))};
    return to == begin || (at < end && *at != '.') ? NULL : at;
}

/* 'name'::regclass; a number is none. What cannot be told is left out. */
void
sql_add_regclass(struct sql_look *l, uint32_t n)
{
    struct sql_text literal = sql_literal(l, n, false);
    struct sql_table named = {.use = SQL_USE_NAMED};
    char *at = (char *)literal.data;
    const char *end;

    if (literal.len == 0)
        return;
    end = literal.data + literal.len;
    if (*at >= '0' && *at <= '9')
        return;
    while (at < end) {
        named.schema = named.name;
        at = literal_part(at, end, &named.name);
        if (at == NULL)
            return;
        if (at < end && ++at == end)
            return;
    }
    keep_table(l, &named);
}

/*
 * Judges whether a text does the same on several servers, statement by statement.
 *
 * Called by whoever sends one text to several servers. The facts say what each statement is; what
 * its queries hold is queries.c's. Invariants: a statement is equal only when each call, literal
 * and clause in it was recognised as equal, and each call that the facts know of was looked at;
 * what is in doubt is refused. Nothing here depends on anything but the text and what is known.
 */
#include "sql/determining.h"

#include "base/str.h"
#include "sql/understand.h"

#include "gram.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_CHUNK = 8192 };

struct sql_determinism *
sql_determinism_new(void)
{
    struct sql_determinism *d = xcalloc(1, sizeof(*d));

    arena_init(&d->arena, ARENA_CHUNK);
    d->scanner = sql_scanner_new(&d->work);
    return d;
}

void
sql_determinism_free(struct sql_determinism *d)
{
    if (d->inner != NULL)
        sql_determinism_free(d->inner);
    sql_scanner_free(d->scanner);
    sql_found_free(&d->found);
    free(d->work.tokens);
    free(d->work.heads);
    free(d->work.marks);
    free(d->places.items);
    free(d->values.items);
    free(d->seen.items);
    arena_fini(&d->arena);
    free(d);
}

/* ---- what is found ---- */

void
determinism_refuse(struct sql_determinism *d, const char *hint, const char *fmt, ...)
{
    char message[400];
    va_list args;

    if (d->refused)
        return;
    d->refused = true;
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    err_set(&d->reason, "0A000", "%s", message);
    err_hint(&d->reason, "%s", hint);
}

struct sql_text
determinism_text(const char *s)
{
    return (struct sql_text){s, (uint32_t)strlen(s)};
}

static bool
same_text(struct sql_text a, struct sql_text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool
determinism_same(struct sql_text a, const char *b)
{
    return a.len == strlen(b) && memcmp(a.data, b, a.len) == 0;
}

uint32_t
determinism_value(struct sql_determinism *d, enum sql_value_kind kind, struct sql_text expression,
                  struct sql_text type)
{
    struct sql_value *values = d->values.items;
    bool once = kind == SQL_VALUE_TRANSACTION || kind == SQL_VALUE_STATEMENT;
    struct sql_value *v;

    d->recalls |= kind == SQL_VALUE_RECALLED;
    for (uint32_t n = 0; once && n < MIN(d->values.count, 64u); n++) {
        if (values[n].kind == kind && same_text(values[n].expression, expression) &&
            same_text(values[n].type, type))
            return n;
    }
    v = sql_list_add(&d->values, sizeof(*v));
    *v = (struct sql_value){kind, expression, type};
    return d->values.count - 1;
}

/* Places at the same spot stay in the order in which they were found. */
struct found_place {
    struct sql_place place;
    uint32_t number;
};

static void
add_place(struct sql_determinism *d, struct sql_place place)
{
    struct found_place *p = sql_list_add(&d->places, sizeof(*p));

    p->place = place;
    p->number = d->places.count;
}

void
determinism_replace(struct sql_determinism *d, uint32_t first, uint32_t end, uint32_t value)
{
    const struct sql_token *last = &d->t[end - 1];

    add_place(
        d, (struct sql_place){d->t[first].start, last->start + last->len, value, {"", 0}, {"", 0}});
}

void
determinism_insert_text(struct sql_determinism *d, uint32_t at, const char *before, uint32_t value,
                        const char *behind)
{
    add_place(
        d, (struct sql_place){at, at, value, determinism_text(before), determinism_text(behind)});
}

/* ---- tokens ---- */

struct sql_text
determinism_written(const struct sql_determinism *d, uint32_t first, uint32_t end)
{
    uint32_t start = d->t[first].start;
    const struct sql_token *last = &d->t[end - 1];

    return (struct sql_text){d->work.text + start, last->start + last->len - start};
}

struct sql_text
determinism_name(struct sql_determinism *d, uint32_t n)
{
    const struct sql_token *t = &d->t[n];
    const char *from = d->work.text + t->start;
    char *begin = arena_alloc(&d->arena, t->len + 1);
    char *to = begin;

    for (uint32_t at = t->quoted ? 1 : 0; at + (t->quoted ? 1u : 0u) < t->len; at++) {
        char c = from[at];
        *to++ = (char)(!t->quoted && c >= 'A' && c <= 'Z' ? c + 32 : c);
        at += t->quoted && c == '"';
    }
    *to = '\0';
    return (struct sql_text){begin, MIN((uint32_t)(to - begin), (uint32_t)SQL_IDENTIFIER_MAX)};
}

bool
determinism_is(const struct sql_determinism *d, uint32_t n, const char *word)
{
    const struct sql_token *t = &d->t[n];
    uint32_t len = (uint32_t)strlen(word);

    if (n >= d->end)
        return false;
    if (t->quoted)
        return t->len == len + 2 && memcmp(d->work.text + t->start + 1, word, len) == 0;
    return sql_is_name(t) && t->len == len &&
           str_equal_nocase_n(d->work.text + t->start, word, len);
}

uint32_t
determinism_chain_end(const struct sql_determinism *d, uint32_t n)
{
    while (n + 2 < d->end && d->t[n + 1].kind == '.' && sql_is_name(&d->t[n + 2]))
        n += 2;
    return n;
}

bool
determinism_begins_query(const struct sql_determinism *d, uint32_t n)
{
    int kind = d->t[n].kind;

    while (kind == '(' && n < d->end)
        kind = d->t[++n].kind;
    return kind == K_SELECT || kind == K_WITH || kind == K_TABLE || kind == K_INSERT ||
           kind == K_UPDATE || kind == K_DELETE || kind == K_MERGE ||
           (kind == K_VALUES && d->t[n + 1].kind == '(');
}

/* ---- tables ---- */

const struct sql_known_table *
determinism_table(struct sql_determinism *d, uint32_t n)
{
    uint32_t last = determinism_chain_end(d, n);
    struct sql_text name = determinism_name(d, last);
    struct sql_text schema = {"", 0};

    if (last > n)
        schema = determinism_name(d, last - 2);
    /* names of WITH are no tables */
    for (uint32_t at = 0; at < d->table_count; at++) {
        if (same_text(d->tables[at].name, name) && same_text(d->tables[at].schema, schema))
            return d->known->table(d->known->ctx, schema, name);
    }
    return NULL;
}

const struct sql_known_column *
determinism_column(const struct sql_known_table *table, struct sql_text name)
{
    for (uint32_t n = 0; table != NULL && n < table->column_count; n++) {
        if (determinism_same(name, table->columns[n].name))
            return &table->columns[n];
    }
    return NULL;
}

static void judge_text(struct sql_determinism *d, struct sql_text text,
                       const struct sql_options *options, bool expression);

static enum sql_value_kind
stronger(enum sql_value_kind a, enum sql_value_kind b)
{
    return a > b ? a : b;
}

enum sql_equality
determinism_fallback(struct sql_determinism *d, const struct sql_known_column *column,
                     enum sql_value_kind *kind_r)
{
    struct sql_options options = {d->work.standard_strings, d->work.server_version};
    const struct sql_value *values;
    char *text;

    *kind_r = SQL_VALUE_TRANSACTION;
    if (column->fallback == NULL)
        return SQL_EQUAL;
    if (d->inner == NULL)
        d->inner = sql_determinism_new();
    d->inner->known = d->known;
    text = arena_printf(&d->arena, "SELECT %s", column->fallback);
    judge_text(d->inner, determinism_text(text), &options, true);
    if (d->inner->refused)
        return SQL_UNEQUAL;
    values = d->inner->values.items;
    for (uint32_t n = 0; n < d->inner->values.count; n++)
        *kind_r = stronger(*kind_r, values[n].kind);
    return d->inner->places.count > 0 ? SQL_MADE_EQUAL : SQL_EQUAL;
}

/* ---- statements ---- */

static void
check_tables(struct sql_determinism *d)
{
    for (uint32_t n = 0; n < d->table_count; n++) {
        const struct sql_table *t = &d->tables[n];
        if (t->use == SQL_USE_NAMED)
            continue;
        if (determinism_same(t->schema, "pg_catalog") ||
            determinism_same(t->schema, "information_schema") ||
            (t->schema.len == 0 && t->name.len > 3 && memcmp(t->name.data, "pg_", 3) == 0))
            determinism_refuse(d, "Read it first, and give what was read as values.",
                               "\"%.*s\" holds other numbers on each server", (int)t->name.len,
                               t->name.data);
    }
}

/* Calls that the facts know of, and that nothing here has come by. */
static void
check_calls(struct sql_determinism *d, const struct sql_function *functions, uint32_t count)
{
    const struct sql_text *seen = d->seen.items;

    for (uint32_t n = 0; n < count; n++) {
        bool found = functions[n].fixed || functions[n].syntax;
        for (uint32_t at = 0; at < d->seen.count && !found; at++)
            found = same_text(seen[at], functions[n].name);
        if (!found)
            determinism_refuse(d, "Write the statement in a plainer way.",
                               "function \"%.*s\" is called where pgpool cannot see how",
                               (int)functions[n].name.len, functions[n].name.data);
    }
}

static bool
is_replaced(const struct sql_determinism *d, uint32_t n)
{
    const struct found_place *places = d->places.items;

    for (uint32_t at = 0; at < d->places.count; at++) {
        if (places[at].place.start <= d->t[n].start && d->t[n].start < places[at].place.end)
            return true;
    }
    return false;
}

/* The same of each place where something is called that gives something else each time. */
static void
check_places(struct sql_determinism *d, uint32_t from)
{
    for (uint32_t n = from; n < d->end && !d->refused; n++) {
        if (determinism_varies(d, n) && !d->looked_at[n] && !is_replaced(d, n))
            determinism_refuse(d, "Write the statement in a plainer way.",
                               "\"%.*s\" stands where pgpool cannot see how", (int)d->t[n].len,
                               d->work.text + d->t[n].start);
    }
}

static bool
is_query_kind(int kind)
{
    return kind == SQL_SELECT || kind == SQL_INSERT || kind == SQL_UPDATE || kind == SQL_DELETE ||
           kind == SQL_MERGE || kind == SQL_SELECT_INTO;
}

/* A SELECT that writes at most through functions: the client sees one server's answer. */
static bool
only_answers(const struct sql_determinism *d)
{
    for (uint32_t n = 0; n < d->table_count; n++) {
        if (d->tables[n].use & SQL_USE_WRITE && d->tables[n].events > 0)
            return false;
    }
    return d->reads;
}

static void
judge_query(struct sql_determinism *d, const struct sql_statement *st, const struct sql_head *h)
{
    struct sql_scope scope = {.root = true};
    uint32_t from = h->query > 0 ? h->query : h->first;
    int kind = st->inner_kind == SQL_EMPTY ? st->kind : st->inner_kind;

    d->reads = kind == SQL_SELECT && st->kind != SQL_CREATE_TABLE_AS;
    scope.answer = only_answers(d);
    determinism_query(d, from, h->end, &scope);
    if (scope.answer)
        return;
    check_tables(d);
    check_places(d, from);
}

static void
judge_create_as(struct sql_determinism *d, const struct sql_statement *st, const struct sql_head *h)
{
    judge_query(d, st, h);
    for (uint32_t n = h->first; n < h->query && n < h->first + 6; n++) {
        if (d->t[n].kind == K_MATERIALIZED && d->places.count > 0)
            determinism_refuse(d, "Leave that out of its query, or make it a table.",
                               "a materialized view would be filled with something else on each "
                               "server");
    }
}

static uint32_t
behind_word(const struct sql_determinism *d, const struct sql_head *h, int kind)
{
    for (uint32_t n = h->first; n < h->end; n++) {
        if (d->t[n].kind == '(')
            n = d->t[n].match;
        else if (d->t[n].kind == kind)
            return n + 1;
    }
    return h->end;
}

static void
judge_copy_from(struct sql_determinism *d, const struct sql_head *h)
{
    uint32_t n = behind_word(d, h, K_FROM);
    uint32_t name = h->mark_count > 0 ? d->work.marks[h->mark_first].token : 0;
    const struct sql_known_table *table = name > 0 ? determinism_table(d, name) : NULL;
    uint32_t behind = name > 0 ? determinism_chain_end(d, name) + 1 : h->end;
    struct sql_scope scope = {.rows = true};
    uint32_t count = 0;
    uint16_t *given = NULL;

    if (n < h->end && (d->t[n].kind == T_STRING || determinism_is(d, n, "program")))
        determinism_refuse(d, "Use COPY FROM STDIN.", "each server would read a file of its own");
    if (table == NULL) {
        determinism_refuse(d, "Try again.", "nothing is known of the table that is copied to");
        return;
    }
    if (table->spoiler != NULL)
        determinism_refuse(d, "Change the table.", "%s", table->spoiler);
    if (behind < h->end && d->t[behind].kind == '(')
        given = determinism_names(d, table, behind, &count);
    else
        count = table->column_count;
    determinism_ungiven(d, table, given, count);
    n = behind_word(d, h, K_WHERE);
    scope.table = table;
    determinism_expression(d, n, h->end, &scope);
}

/* ---- definitions ---- */

static bool
is_serial(const struct sql_determinism *d, uint32_t n)
{
    static const char *const names[] = {"serial",  "bigserial", "smallserial",
                                        "serial2", "serial4",   "serial8"};

    for (size_t at = 0; at < ARRAY_LEN(names); at++) {
        if (determinism_is(d, n, names[at]))
            return true;
    }
    return determinism_is(d, n, "identity");
}

/* An action of ALTER TABLE that gives the rows that are there new values. */
static bool
fills(const struct sql_determinism *d, uint32_t n, uint32_t end)
{
    if (determinism_is(d, n, "add")) {
        int next = d->t[n + 1].kind;
        return next != K_CONSTRAINT && next != K_UNIQUE && next != K_FOREIGN &&
               !determinism_is(d, n + 1, "check") && !determinism_is(d, n + 1, "primary") &&
               !determinism_is(d, n + 1, "exclude");
    }
    if (d->t[n].kind != K_ALTER)
        return false;
    for (; n < end; n++) {
        if (determinism_is(d, n, "type"))
            return true;
    }
    return false;
}

static void
judge_action(struct sql_determinism *d, uint32_t from, uint32_t end)
{
    struct sql_scope scope = {.rows = true};
    uint32_t places = d->places.count;
    bool serial = false;

    if (from >= end || !fills(d, from, end))
        return;
    for (uint32_t n = from; n < end; n++)
        serial |= is_serial(d, n);
    determinism_expression(d, from, end, &scope);
    if (serial || d->places.count > places || d->refused) {
        d->refused = false;
        determinism_refuse(d,
                           "Add the column without it, give the rows their values by UPDATE with a "
                           "condition on the key, then set the default.",
                           "the rows that are there would get other values on each server");
    }
}

static void
judge_alter_table(struct sql_determinism *d, const struct sql_head *h)
{
    uint32_t from = h->mark_count > 0 ? d->work.marks[h->mark_first].token : h->end;

    from = from < h->end ? determinism_chain_end(d, from) + 1 : h->end;
    from += from < h->end && d->t[from].kind == T_OPERATOR; /* name * */
    for (uint32_t n = from; n <= h->end; n++) {
        if (n < h->end && d->t[n].kind == '(')
            n = d->t[n].match;
        if (n < h->end && d->t[n].kind != ',')
            continue;
        judge_action(d, from, MIN(n, h->end));
        from = n + 1;
    }
}

/* CREATE and ALTER of what may hold literals that are times now. */
static void
judge_definition(struct sql_determinism *d, const struct sql_head *h)
{
    bool table = false;
    bool code = false;

    for (uint32_t n = h->first; n < h->end && n < h->first + 6; n++) {
        table |= d->t[n].kind == K_TABLE;
        code |= determinism_is(d, n, "function") || determinism_is(d, n, "procedure") ||
                determinism_is(d, n, "routine");
    }
    if (code)
        return;
    for (uint32_t n = h->first; n < h->end; n++) {
        if (d->t[n].kind == T_STRING && determinism_is_now(d, n))
            determinism_refuse(d, "Write now() or CURRENT_DATE, or a time.",
                               "%.*s is the time at which each server reads it", (int)d->t[n].len,
                               d->work.text + d->t[n].start);
    }
    if (table && d->t[h->first].kind == K_ALTER)
        judge_alter_table(d, h);
}

static void
judge_refresh(struct sql_determinism *d, const struct sql_head *h)
{
    const struct sql_known_table *table = NULL;

    if (h->mark_count > 0)
        table = determinism_table(d, d->work.marks[h->mark_first].token);
    if (table == NULL)
        determinism_refuse(d, "Try again.", "nothing is known of the materialized view");
    else if (table->spoiler != NULL)
        determinism_refuse(d, "Change its query, or make it a table.", "%s", table->spoiler);
}

static void
judge_arguments(struct sql_determinism *d, const struct sql_head *h)
{
    struct sql_scope scope = {.rows = false};

    if (h->query > 0)
        determinism_expression(d, h->query, h->end, &scope);
}

/* Kinds that do the same wherever they run, or run on one server only. */
static bool
is_harmless(int kind)
{
    switch (kind) {
    case SQL_OTHER:
    case SQL_DO:
    case SQL_IMPORT:
        return false;
    default:
        return true;
    }
}

static void
judge_kind(struct sql_determinism *d, const struct sql_statement *st, const struct sql_head *h)
{
    switch (h->kind) {
    case SQL_SELECT:
    case SQL_INSERT:
    case SQL_UPDATE:
    case SQL_DELETE:
    case SQL_MERGE:
    case SQL_SELECT_INTO:
        judge_query(d, st, h);
        break;
    case SQL_CREATE_TABLE_AS:
        if (h->inner == SQL_EXECUTE)
            judge_arguments(d, h);
        else
            judge_create_as(d, st, h);
        break;
    case SQL_EXPLAIN:
        if (st->analyze && (h->query == 0 || !is_query_kind(st->inner_kind)))
            determinism_refuse(d, "Run it without EXPLAIN.",
                               "pgpool does not look into what EXPLAIN ANALYZE runs here");
        else if (st->analyze)
            judge_query(d, st, h);
        break;
    case SQL_DECLARE:
    case SQL_PREPARE:
    case SQL_COPY_TO:
        if (h->query > 0 && is_query_kind(st->inner_kind))
            judge_query(d, st, h);
        break;
    case SQL_EXECUTE:
    case SQL_CALL:
        judge_arguments(d, h);
        break;
    case SQL_COPY_FROM:
        judge_copy_from(d, h);
        break;
    case SQL_DDL:
        judge_definition(d, h);
        break;
    case SQL_REFRESH:
        judge_refresh(d, h);
        break;
    case SQL_DO:
        determinism_refuse(d,
                           "Send its statements one by one, or make it a function that is not "
                           "volatile.",
                           "pgpool cannot see what a block of code does");
        break;
    default:
        if (!is_harmless(h->kind))
            determinism_refuse(d, "Run it on each server by itself.",
                               "pgpool does not know what this statement does");
        break;
    }
}

/* ---- a text ---- */

/* The lists of what was found are one behind the other. */
struct at {
    uint32_t tables;
    uint32_t functions;
};

static void
judge_statement(struct sql_determinism *d, const struct sql_statement *st, const struct sql_head *h,
                const struct at *at)
{
    const struct sql_function *functions = d->found.functions.items;
    const struct sql_table *tables = d->found.tables.items;

    d->end = h->end;
    d->tables = d->found.tables.count > 0 ? tables + at->tables : NULL;
    d->table_count = st->table_count;
    d->seen.count = 0;
    d->reads = d->keyed = false;
    d->target = NULL;
    judge_kind(d, st, h);
    if (d->by_key)
        d->by_key =
            determinism_by_key(d, st, h, st->function_count > 0 ? functions + at->functions : NULL);
    if (is_query_kind(h->kind) && !only_answers(d) && st->function_count > 0)
        check_calls(d, functions + at->functions, st->function_count);
    if (st->may_write && d->known->spoiler != NULL)
        determinism_refuse(d, "Leave that out of the statement.", "%s", d->known->spoiler);
}

static void
judge_text(struct sql_determinism *d, struct sql_text text, const struct sql_options *options,
           bool expression)
{
    bool changed = false;
    bool literals;
    struct at at = {0, 0};
    uint32_t n = 0;

    if (text.len == 0)
        text.data = ""; /* whatever it was */
    arena_reset(&d->arena);
    d->places.count = d->values.count = d->seen.count = 0;
    d->recalls = d->refused = false;
    d->by_key = !expression;
    d->work.text = text.data;
    d->work.len = text.len;
    d->work.standard_strings = options->standard_conforming_strings;
    d->work.server_version = options->server_version;
    d->found.statements.count = 0;
    if (text.len > SQL_TEXT_MAX || memchr(text.data, 0, text.len) != NULL ||
        !sql_understand(&d->work, d->scanner, &d->found, &literals)) {
        determinism_refuse(d, "Run it on each server by itself, or write it in a plainer way.",
                           "pgpool does not understand the statement");
        return;
    }
    d->t = d->work.tokens;
    d->looked_at = arena_calloc(&d->arena, d->work.count + 1);
    for (uint32_t head = 0; head < d->work.head_count; head++) {
        const struct sql_head *h = &d->work.heads[head];
        const struct sql_statement *st = d->found.statements.items;
        if (h->end <= h->first)
            continue;
        st += n;
        if (expression) {
            struct sql_scope scope = {.rows = false};
            d->end = h->end;
            d->table_count = 0;
            determinism_expression(d, h->first + 1, h->end, &scope);
        } else {
            judge_statement(d, st, h, &at);
        }
        if (n > 0 && (changed || d->recalls))
            determinism_refuse(d, "Send its statements one by one.",
                               "what a statement does depends on one in front of it in the text");
        changed |= st->changes_catalog;
        at.tables += st->table_count;
        at.functions += st->function_count;
        n++;
    }
}

static int
compare_places(const void *a, const void *b)
{
    const struct found_place *x = a;
    const struct found_place *y = b;

    if (x->place.start != y->place.start)
        return x->place.start < y->place.start ? -1 : 1;
    if (x->place.end != y->place.end)
        return x->place.end < y->place.end ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

/* False when one reaches into the next, which must never be. */
static bool
settle_places(struct sql_determinism *d, struct sql_determined *r)
{
    uint32_t count = d->places.count;
    struct found_place *found = d->places.items;
    struct sql_place *places = arena_alloc(&d->arena, MAX(count, 1u) * sizeof(*places));
    uint32_t end = 0;

    if (count > 0)
        qsort(found, count, sizeof(*found), compare_places);
    for (uint32_t n = 0; n < count; n++) {
        places[n] = found[n].place;
        if (places[n].start < end || places[n].end < places[n].start)
            return false;
        end = places[n].end;
    }
    r->places = places;
    r->place_count = count;
    return true;
}

void
sql_determinism_judge(struct sql_determinism *d, struct sql_text text,
                      const struct sql_options *options, const struct sql_known *known,
                      struct sql_determined *r)
{
    const struct sql_statement *st;

    d->known = known;
    memset(&d->reason, 0, sizeof(d->reason));
    judge_text(d, text, options, false);
    *r = (struct sql_determined){.equality = SQL_EQUAL};
    if (!settle_places(d, r))
        determinism_refuse(d, "Write the statement in a plainer way.",
                           "values would have to be put into each other");
    else if (r->place_count > 0)
        r->equality = SQL_MADE_EQUAL;
    r->values = d->values.items;
    r->value_count = d->values.count;
    st = d->found.statements.items;
    for (uint32_t n = 0; n < d->found.statements.count; n++) {
        r->parameters = MAX(r->parameters, st[n].parameters);
        r->literals_only |= st[n].kind == SQL_EXECUTE || st[n].kind == SQL_COPY_FROM ||
                            st[n].kind == SQL_COPY_TO || d->found.statements.count > 1;
        r->prepares |= st[n].kind == SQL_PREPARE && d->places.count > 0;
    }
    if (r->prepares && d->found.statements.count > 1)
        determinism_refuse(d, "Send its statements one by one.",
                           "a PREPARE among several statements cannot be changed");
    r->by_key = d->by_key && !d->refused;
    if (d->refused) {
        r->equality = SQL_UNEQUAL;
        r->reason = d->reason;
    }
}

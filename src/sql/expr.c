/*
 * Expressions: runs of tokens in which calls, casts, operators, locks and queries stand.
 *
 * Called by sql/walk for each token of an expression; returns the next one to look at. An
 * expression is never checked: what counts is that no call, no query and no lock is missed.
 */
#include "sql/walk.h"

#include "gram.h"

#include <string.h>

static struct sql_frame *
top(struct sql_look *l)
{
    return &l->frames[l->depth];
}

static uint32_t
bad(struct sql_look *l)
{
    l->bad = true;
    return l->end;
}

/* ---- parentheses ---- */

/* The parenthesis at n holds a query, or what is said otherwise. */
uint32_t
sql_open(struct sql_look *l, uint32_t n, enum sql_clause otherwise)
{
    int kind = l->t[n + 1].kind;
    bool query = kind == K_SELECT || kind == K_WITH || kind == K_TABLE ||
                 (kind == K_VALUES && l->t[n + 2].kind == '(');

    sql_push(l, query ? SQL_AT_START : otherwise);
    l->operand = SQL_NO_OPERAND;
    return n + 1;
}

static uint32_t
open_here(struct sql_look *l, uint32_t n)
{
    bool group = l->t[n - 1].kind == K_SETS && top(l)->group;
    bool columns = l->t[n - 1].kind == K_COLUMNS;
    uint8_t call = top(l)->call;

    n = sql_open(l, n, SQL_AT_EXPRESSION);
    top(l)->group = group;
    top(l)->columns = columns;
    if (columns)
        top(l)->call = call;
    return n;
}

/* ---- types ---- */

static uint32_t
skip_modifiers(struct sql_look *l, uint32_t n)
{
    uint32_t close;

    if (n >= l->end || l->t[n].kind != '(')
        return n;
    close = l->t[n].match;
    for (n++; n < close; n++) {
        if (l->t[n].kind == '(')
            return bad(l);
    }
    return close + 1;
}

static uint32_t
skip_bounds(const struct sql_look *l, uint32_t n)
{
    if (n < l->end && l->t[n].kind == K_ARRAY)
        n++;
    while (n < l->end && l->t[n].kind == '[') {
        if (l->t[n + 1].kind == ']')
            n += 2;
        else if (l->t[n + 1].kind == T_NUMBER && l->t[n + 2].kind == ']')
            n += 3;
        else
            break;
    }
    return n;
}

/* YEAR, DAY TO SECOND(3), ...; and WITH TIME ZONE. */
static uint32_t
skip_fields(struct sql_look *l, uint32_t n, int kind)
{
    if (kind == K_INTERVAL) {
        while (n < l->end &&
               (l->t[n].kind == K_YEAR || l->t[n].kind == K_MONTH || l->t[n].kind == K_DAY ||
                l->t[n].kind == K_HOUR || l->t[n].kind == K_MINUTE || l->t[n].kind == K_TO))
            n++;
        if (n < l->end && l->t[n].kind == K_SECOND)
            n = skip_modifiers(l, n + 1);
    } else if ((kind == K_TIME || kind == K_TIMESTAMP) && n + 2 < l->end &&
               (l->t[n].kind == K_WITH || l->t[n].kind == K_WITHOUT) &&
               l->t[n + 1].kind == K_TIME && l->t[n + 2].kind == K_ZONE) {
        n += 3;
    }
    return n;
}

/* A type with a name of its own in SQL. */
static uint32_t
sql_word_type(struct sql_look *l, uint32_t n)
{
    int kind = l->t[n++].kind;

    if (kind == K_NATIONAL && l->t[n].kind != '(')
        n++;
    if (kind == K_DOUBLE)
        n++;
    if (n < l->end && l->t[n].kind == K_VARYING)
        n++;
    n = skip_fields(l, n, kind == K_INTERVAL ? K_INTERVAL : 0);
    n = skip_modifiers(l, n);
    return skip_fields(l, n, kind == K_INTERVAL ? 0 : kind);
}

static bool
is_word_type(const struct sql_look *l, uint32_t n)
{
    return l->t[n + 1].kind != '.' &&
           ((l->t[n].category == SQL_COL_NAME && l->t[n].kind != K_JSON) ||
            (l->t[n].kind == K_DOUBLE && l->t[n + 1].kind == K_PRECISION));
}

static uint32_t
type(struct sql_look *l, uint32_t n)
{
    uint32_t first;

    if (n < l->end && l->t[n].kind == K_SETOF)
        n++;
    first = n;
    if (n >= l->end || !sql_is_name(&l->t[n]) || l->t[n].category == SQL_RESERVED)
        return bad(l);
    if (is_word_type(l, n))
        n = sql_word_type(l, n);
    else
        n = skip_modifiers(l, sql_add_type(l, n) + 1);
    if (!l->bad)
        sql_look_at_type(l, first, n);
    return skip_bounds(l, n);
}

/* The same, of the value of the tokens from `from` to `to`. */
static uint32_t
type_of(struct sql_look *l, uint32_t n, uint32_t from, uint32_t to)
{
    n = type(l, n);
    if (!l->bad)
        sql_look_at_cast(l, from, to);
    l->cast_end = n;
    return n;
}

uint32_t
sql_type(struct sql_look *l, uint32_t n)
{
    return type_of(l, n, 0, 0);
}

uint32_t
sql_type_of_literal(struct sql_look *l, uint32_t n)
{
    n = type(l, n);
    l->st->reads_times |= !l->bad && l->zone_type;
    return n;
}

/* ---- casts ---- */

static bool
is_regclass(const struct sql_look *l, uint32_t n)
{
    uint32_t last = sql_chain_end(l, n);

    return sql_is_word(l, last, "regclass") &&
           (last == n || sql_is_word(l, last - 2, "pg_catalog"));
}

static uint32_t
cast(struct sql_look *l, uint32_t n)
{
    if (l->t[n - 1].kind == T_STRING && is_regclass(l, n + 1))
        sql_add_regclass(l, n - 1);
    l->operand = SQL_OPERAND;
    return type_of(l, n + 1, 0, n - 1);
}

/* (name type, ...) or (name, ...) at n. */
uint32_t
sql_column_definitions(struct sql_look *l, uint32_t n)
{
    uint32_t close = l->t[n].match;

    while (++n < close) {
        if (!sql_is_name(&l->t[n]))
            return bad(l);
        n++;
        if (l->t[n].kind != ',' && l->t[n].kind != ')')
            n = sql_type(l, n);
        if (n < close && l->t[n].kind == K_COLLATE)
            n = sql_chain_end(l, n + 1) + 1;
        if (l->bad || n > close || (n < close && l->t[n].kind != ','))
            return bad(l);
    }
    return close + 1;
}

/* ---- words of queries ---- */

/* The first token of what CAST or XMLSERIALIZE casts, up to its AS. */
static uint32_t
cast_begin(const struct sql_look *l, uint32_t n)
{
    while (l->t[n].kind != '(' || l->t[n].match == n) {
        n--;
        if (l->t[n].kind == ')')
            n = l->t[n].match - 1;
    }
    return n + 1;
}

static uint32_t
after_as(struct sql_look *l, uint32_t n)
{
    const struct sql_token *next = &l->t[n + 1];
    uint8_t call = top(l)->call;

    l->operand = SQL_OPERAND;
    if (next->kind == '(') {
        if (call == SQL_CALL_ROWS)
            return sql_column_definitions(l, n + 1);
        l->operand = SQL_NO_OPERAND;
        return n + 1;
    }
    if (call == SQL_CALL_TREAT) { /* calls what has the type's name */
        if (next->category != SQL_COL_NAME && sql_is_name(next))
            sql_add_system_function(l, n + 1);
        return sql_type(l, n + 1);
    }
    if (call == SQL_CALL_CAST) {
        if (l->t[n - 1].kind == T_STRING && l->t[n - 2].kind == '(' && is_regclass(l, n + 1))
            sql_add_regclass(l, n - 1);
        return type_of(l, n + 1, cast_begin(l, n), n - 1);
    }
    return sql_is_name(next) ? n + 2 : n + 1;
}

static bool
is_distinct_from(const struct sql_look *l, uint32_t n)
{
    if (n < 3 || l->t[n - 1].kind != K_DISTINCT)
        return false;
    return l->t[n - 2].kind == K_IS || (l->t[n - 2].kind == K_NOT && l->t[n - 3].kind == K_IS);
}

static uint32_t
at_from(struct sql_look *l, uint32_t n)
{
    struct sql_frame *f = top(l);

    l->operand = SQL_NO_OPERAND;
    if (!is_distinct_from(l, n) &&
        (f->query == SQL_SELECT || f->query == SQL_UPDATE || f->query == SQL_INSERT))
        f->clause = SQL_AT_FROM;
    return n + 1;
}

/* TEMP, TABLE and the like between INTO and the name, if they are not the name. */
static bool
is_into_word(const struct sql_look *l, uint32_t n)
{
    const struct sql_token *next = &l->t[n + 1];

    switch (l->t[n].kind) {
    case K_TEMP:
    case K_UNLOGGED:
    case K_LOCAL:
    case K_GLOBAL:
    case K_TABLE:
        return n + 1 < l->end && sql_is_name(next) &&
               (next->category != SQL_RESERVED || next->kind == K_TABLE);
    default:
        return false;
    }
}

static uint32_t
at_into(struct sql_look *l, uint32_t n)
{
    if (top(l)->query != SQL_SELECT)
        return bad(l);
    l->writes = true;
    if (l->depth == 0 && l->main == SQL_SELECT)
        l->main = SQL_SELECT_INTO;
    for (n++; is_into_word(l, n); n++)
        l->st->temporary |= l->t[n].kind == K_TEMP;
    if (!sql_is_name(&l->t[n]))
        return bad(l);
    l->operand = SQL_OPERAND;
    return sql_add_table(l, n, SQL_USE_WRITE | SQL_USE_DEFINE) + 1;
}

static uint32_t
at_for(struct sql_look *l, uint32_t n)
{
    int kind = l->t[n + 1].kind;

    l->operand = SQL_NO_OPERAND;
    if (kind == K_UPDATE || kind == K_SHARE || kind == K_NO ||
        (kind == K_KEY && l->t[n + 2].kind == K_SHARE))
        l->st->locks_rows = true;
    return n + 1;
}

static uint32_t
set_operation(struct sql_look *l, uint32_t n)
{
    struct sql_frame *f = top(l);

    n++;
    if (l->t[n].kind == K_ALL || l->t[n].kind == K_DISTINCT)
        n++;
    f->clause = SQL_AT_START;
    f->group = false;
    l->operand = SQL_NO_OPERAND;
    return n;
}

/* ON CONFLICT [(columns)] */
static uint32_t
at_on(struct sql_look *l, uint32_t n)
{
    l->operand = SQL_NO_OPERAND;
    if (top(l)->query == SQL_INSERT && l->t[n + 1].kind == K_CONFLICT)
        return n + 2;
    return n + 1;
}

static uint32_t
at_star(struct sql_look *l, uint32_t n)
{
    const struct sql_token *t = &l->t[n];
    const struct sql_token *next = &l->t[n + 1];
    bool star = t->len == 1 && l->w->text[t->start] == '*';

    if (star && ((l->operand == SQL_NO_OPERAND && l->t[n - 1].category != SQL_UNRESERVED) ||
                 n + 1 >= l->end || next->kind == ',' || next->kind == ')' ||
                 next->kind == K_FROM || next->kind == K_INTO)) {
        l->operand = SQL_OPERAND;
        return n + 1;
    }
    if (!(t->len == 2 && (memcmp(l->w->text + t->start, "=>", 2) == 0 ||
                          memcmp(l->w->text + t->start, ":=", 2) == 0 ||
                          memcmp(l->w->text + t->start, "..", 2) == 0)))
        sql_add_operator(l, 0, n);
    l->operand = SQL_NO_OPERAND;
    return n + 1;
}

/* A column of XMLTABLE or JSON_TABLE: its type, when n stands at its name. */
static uint32_t
table_column(struct sql_look *l, uint32_t n)
{
    int before = l->t[n - 1].kind;

    if ((before != ',' && before != '(' && before != K_COLUMNS) || !sql_is_name(&l->t[n]) ||
        sql_is_word(l, n, "nested") || l->t[n + 1].kind == K_FOR)
        return 0;
    l->operand = SQL_MAYBE_OPERAND;
    return sql_type(l, n + 1);
}

static uint32_t
reserved(struct sql_look *l, uint32_t n)
{
    struct sql_frame *f = top(l);

    switch (l->t[n].kind) {
    case K_END:
        f->cases -= f->cases > 0;
        /* fall through */
    case K_NULL:
    case K_TRUE:
    case K_FALSE:
        l->operand = SQL_OPERAND;
        return n + 1;
    case K_DEFAULT: /* VALUES (DEFAULT), but DEFAULT f() as well */
        l->operand = SQL_MAYBE_OPERAND;
        return n + 1;
    case K_NOT: /* a NOT LIKE (b) */
        return n + 1;
    case K_CASE:
        f->cases++;
        break;
    case K_GROUP:
        f->group = l->t[n + 1].kind == K_BY;
        break;
    case K_HAVING:
    case K_WINDOW:
    case K_ORDER:
    case K_LIMIT:
    case K_OFFSET:
    case K_FETCH:
        f->group = false;
        break;
    case K_RETURNING:
        if (f->query == SQL_OTHER && f->clause == SQL_AT_EXPRESSION)
            return sql_type(l, n + 1); /* of JSON */
        break;
    case K_CURRENT_CATALOG:
    case K_CURRENT_DATE:
    case K_CURRENT_ROLE:
    case K_CURRENT_TIME:
    case K_CURRENT_TIMESTAMP:
    case K_CURRENT_USER:
    case K_LOCALTIME:
    case K_LOCALTIMESTAMP:
    case K_SESSION_USER:
    case K_SYSTEM_USER:
    case K_USER:
    case K_CAST:
        return sql_name_or_call(l, n);
    default:
        break;
    }
    l->operand = SQL_NO_OPERAND;
    return n + 1;
}

static uint32_t
key_word(struct sql_look *l, uint32_t n)
{
    struct sql_frame *f = top(l);

    switch (l->t[n].kind) {
    case K_SELECT:
        f->query = f->insert ? SQL_INSERT : SQL_SELECT;
        l->operand = SQL_NO_OPERAND;
        return n + 1;
    case K_FROM:
        return at_from(l, n);
    case K_INTO:
        return at_into(l, n);
    case K_AS:
        return after_as(l, n);
    case K_FOR:
        return at_for(l, n);
    case K_ON:
        return at_on(l, n);
    case K_UNION:
    case K_INTERSECT:
    case K_EXCEPT:
        return set_operation(l, n);
    default:
        break;
    }
    if (l->t[n].category == SQL_RESERVED)
        return reserved(l, n);
    return sql_name_or_call(l, n);
}

uint32_t
sql_expression(struct sql_look *l, uint32_t n)
{
    const struct sql_token *t = &l->t[n];
    uint32_t next;

    if (unlikely(top(l)->columns) && (next = table_column(l, n)) > 0)
        return next;
    switch (t->kind) {
    case '(':
        return open_here(l, n);
    case T_CAST:
        return cast(l, n);
    case T_STRING:
    case T_NUMBER:
    case T_PARAM:
    case ']':
        l->operand = SQL_OPERAND;
        return n + 1;
    case T_OPERATOR:
        return at_star(l, n);
    case '.':
        l->operand = SQL_OPERAND;
        return n + 2; /* of a row: name or * */
    case T_INNER:
        return bad(l);
    default:
        break;
    }
    if (sql_is_name(t))
        return t[1].kind == '.' ? sql_name_or_call(l, n) : key_word(l, n);
    l->operand = SQL_NO_OPERAND;
    return n + 1;
}

/*
 * Queries: where their parts begin and end, which tables they read and write, what WITH names.
 *
 * Called by sql/facts for each statement that holds a query. One pass over its tokens with a frame
 * for every open parenthesis; what stands in an expression is sql/expr's. A part that does not fit
 * makes the statement not understood.
 */
#include "sql/walk.h"

#include "base/str.h"

#include "gram.h"

#include <string.h>

static struct sql_frame *
top(struct sql_look *l)
{
    return &l->frames[l->depth];
}

void
sql_push(struct sql_look *l, enum sql_clause clause)
{
    if (l->depth + 1 == SQL_DEPTH_MAX) {
        l->bad = true;
        return;
    }
    l->frames[++l->depth] = (struct sql_frame){
        .clause = (uint8_t)clause, .query = SQL_OTHER, .ctes = (uint16_t)l->cte_count};
}

static uint32_t
bad(struct sql_look *l)
{
    l->bad = true;
    return l->end;
}

/* ---- WITH ---- */

static void
add_cte(struct sql_look *l, uint32_t n)
{
    if (l->cte_count == SQL_CTES_MAX)
        l->bad = true;
    else
        l->ctes[l->cte_count++] = n;
}

static bool
same_name(struct sql_look *l, uint32_t a, uint32_t b)
{
    const struct sql_token *s = &l->t[a];
    const struct sql_token *t = &l->t[b];
    uint32_t chars = l->found->char_count;
    struct sql_text x, y;

    if (!s->quoted && !t->quoted && s->len <= SQL_IDENTIFIER_MAX && t->len <= SQL_IDENTIFIER_MAX)
        return s->len == t->len &&
               str_equal_nocase_n(l->w->text + s->start, l->w->text + t->start, s->len);
    x = sql_fold(l, a);
    y = sql_fold(l, b);
    l->found->char_count = chars;
    return x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
}

static bool
is_cte(struct sql_look *l, uint32_t n)
{
    for (uint32_t at = l->cte_count; at > 0; at--) {
        if (same_name(l, l->ctes[at - 1], n))
            return true;
    }
    return false;
}

/* Behind the name: [(columns)] AS [[NOT] MATERIALIZED] "("; returns that parenthesis or 0. */
static uint32_t
cte_body(const struct sql_look *l, uint32_t n)
{
    if (l->t[n].kind == '(')
        n = l->t[n].match + 1;
    if (l->t[n++].kind != K_AS)
        return 0;
    n += l->t[n].kind == K_NOT;
    n += l->t[n].kind == K_MATERIALIZED;
    return n < l->end && l->t[n].kind == '(' ? n : 0;
}

/* Behind the body: SEARCH ... SET name, CYCLE ... SET name [TO v DEFAULT v] USING name. */
static uint32_t
cte_tail(const struct sql_look *l, uint32_t n)
{
    if (n < l->end && l->t[n].kind == K_SEARCH) {
        while (n < l->end && l->t[n].kind != K_SET)
            n++;
        n += 2;
    }
    if (n < l->end && l->t[n].kind == K_CYCLE) {
        while (n < l->end && l->t[n].kind != K_USING)
            n++;
        n += 2;
    }
    return n;
}

/* With RECURSIVE all names are known from the start. */
static void
add_recursive(struct sql_look *l, uint32_t n)
{
    for (;;) {
        uint32_t body = cte_body(l, n + 1);
        if (!sql_is_name(&l->t[n]) || body == 0)
            return;
        add_cte(l, n);
        n = cte_tail(l, l->t[body].match + 1);
        if (n >= l->end || l->t[n++].kind != ',')
            return;
    }
}

static uint32_t
with_name(struct sql_look *l, uint32_t n)
{
    struct sql_frame *f = top(l);
    uint32_t body = cte_body(l, n + 1);

    if (!sql_is_name(&l->t[n]) || body == 0)
        return bad(l);
    f->clause = SQL_AT_WITH;
    f->cte = n;
    sql_push(l, SQL_AT_START);
    return body + 1;
}

static uint32_t
with_begins(struct sql_look *l, uint32_t n)
{
    n++;
    l->renames = true;
    top(l)->recursive =
        l->t[n].kind == K_RECURSIVE && l->t[n + 1].kind != K_AS && l->t[n + 1].kind != '(';
    if (top(l)->recursive)
        add_recursive(l, ++n);
    return with_name(l, n);
}

/* The body of one is closed; n stands behind it. */
static uint32_t
with_next(struct sql_look *l, uint32_t n)
{
    struct sql_frame *f = top(l);

    if (!f->recursive)
        add_cte(l, f->cte);
    n = cte_tail(l, n);
    if (n < l->end && l->t[n].kind == ',')
        return with_name(l, n + 1);
    f->clause = SQL_AT_START;
    return n;
}

/* ---- beginnings ---- */

/* [ONLY] name [*], [ONLY] (name); returns the token behind it. events: enum sql_event; 0: it is
 * read. */
static uint32_t
target(struct sql_look *l, uint32_t n, unsigned events)
{
    bool closed = false;

    n += l->t[n].kind == K_ONLY;
    if (l->t[n].kind == '(') {
        closed = true;
        n++;
    }
    if (n >= l->end || !sql_is_name(&l->t[n]))
        return bad(l);
    if (events > 0)
        n = sql_add_target(l, n, events) + 1;
    else if (l->t[n + 1].kind != '.' && is_cte(l, n))
        n++;
    else
        n = sql_add_table(l, n, SQL_USE_READ) + 1;
    if (closed && l->t[n++].kind != ')')
        return bad(l);
    if (n < l->end && l->t[n].kind == T_OPERATOR && !closed)
        n++;
    return n;
}

/* [AS] alias in front of one of the key words that may follow. */
static uint32_t
skip_alias(struct sql_look *l, uint32_t n)
{
    if (n < l->end && l->t[n].kind == K_AS)
        return n + 2;
    if (n < l->end && sql_is_name(&l->t[n]) && l->t[n].category != SQL_RESERVED &&
        l->t[n].kind != K_SET && l->t[n].kind != K_OVERRIDING && l->t[n].kind != K_VALUES)
        n++;
    return n;
}

/* A list of columns, whose subscripts are no more than numbers. */
static uint32_t
skip_columns(struct sql_look *l, uint32_t n)
{
    uint32_t close = l->t[n].match;

    for (n++; n < close; n++) {
        if (l->t[n].kind == '(')
            return bad(l);
    }
    return close + 1;
}

static bool
begins_query(const struct sql_look *l, uint32_t n)
{
    int kind = l->t[n].kind;

    return kind == K_SELECT || kind == K_WITH || kind == '(' || kind == K_TABLE ||
           (kind == K_VALUES && l->t[n + 1].kind == '(');
}

static void
set_query(struct sql_look *l, enum sql_kind kind)
{
    if (top(l)->insert)
        kind = SQL_INSERT;
    top(l)->query = (uint8_t)kind;
    if (l->depth == 0 && l->main == SQL_OTHER)
        l->main = (uint8_t)kind;
}

static uint32_t
insert_begins(struct sql_look *l, uint32_t n)
{
    struct sql_frame *f = top(l);

    if (l->t[n + 1].kind != K_INTO)
        return bad(l);
    l->writes = f->insert = true;
    set_query(l, SQL_INSERT);
    n = target(l, n + 2, SQL_EVENT_INSERT);
    if (n < l->end && l->t[n].kind == K_AS)
        n += 2;
    if (n + 1 < l->end && l->t[n].kind == '(' && !begins_query(l, n + 1))
        n = skip_columns(l, n);
    f->clause = SQL_AT_START;
    return n;
}

/* What may stand between INSERT's columns and its query. */
static uint32_t
insert_continues(struct sql_look *l, uint32_t n)
{
    if (l->t[n].kind == K_OVERRIDING)
        return n + 3;
    top(l)->clause = SQL_AT_EXPRESSION; /* DEFAULT VALUES */
    return n + 2;
}

static uint32_t
update_begins(struct sql_look *l, uint32_t n)
{
    l->writes = true;
    n = skip_alias(l, target(l, n + 1, SQL_EVENT_UPDATE));
    if (n >= l->end || l->t[n].kind != K_SET)
        return bad(l);
    top(l)->clause = SQL_AT_EXPRESSION;
    return n;
}

static uint32_t
delete_begins(struct sql_look *l, uint32_t n)
{
    if (l->t[n + 1].kind != K_FROM)
        return bad(l);
    l->writes = true;
    n = skip_alias(l, target(l, n + 2, SQL_EVENT_DELETE));
    top(l)->clause = SQL_AT_EXPRESSION;
    if (n < l->end && l->t[n].kind == K_USING) {
        top(l)->clause = SQL_AT_FROM;
        n++;
    }
    return n;
}

static uint32_t
merge_begins(struct sql_look *l, uint32_t n)
{
    if (l->t[n + 1].kind != K_INTO)
        return bad(l);
    l->writes = true;
    n = skip_alias(l, target(l, n + 2, SQL_EVENT_INSERT | SQL_EVENT_UPDATE | SQL_EVENT_DELETE));
    if (n >= l->end || l->t[n].kind != K_USING)
        return bad(l);
    top(l)->clause = SQL_AT_FROM;
    return n + 1;
}

/* A query or a statement begins at n. */
static uint32_t
at_start(struct sql_look *l, uint32_t n)
{
    struct sql_frame *f = top(l);

    l->operand = SQL_NO_OPERAND;
    switch (l->t[n].kind) {
    case '(':
        if (f->query == SQL_OTHER)
            set_query(l, SQL_SELECT);
        sql_push(l, SQL_AT_START);
        return n + 1;
    case K_WITH:
        return with_begins(l, n);
    case K_SELECT:
        set_query(l, SQL_SELECT);
        f->clause = SQL_AT_EXPRESSION;
        return n + 1;
    case K_VALUES:
        set_query(l, SQL_SELECT);
        f->clause = SQL_AT_EXPRESSION;
        return n + 1;
    case K_TABLE:
        set_query(l, SQL_SELECT);
        f->clause = SQL_AT_EXPRESSION;
        l->operand = SQL_OPERAND;
        return target(l, n + 1, 0);
    case K_INSERT:
        return insert_begins(l, n);
    case K_UPDATE:
        set_query(l, SQL_UPDATE);
        return update_begins(l, n);
    case K_DELETE:
        set_query(l, SQL_DELETE);
        return delete_begins(l, n);
    case K_MERGE:
        set_query(l, SQL_MERGE);
        return merge_begins(l, n);
    case K_OVERRIDING:
    case K_DEFAULT:
        if (f->insert)
            return insert_continues(l, n);
        return bad(l);
    default:
        return bad(l);
    }
}

/* ---- FROM ---- */

static bool
is_value_function(int kind)
{
    return kind == K_CURRENT_DATE || kind == K_CURRENT_TIME || kind == K_CURRENT_TIMESTAMP ||
           kind == K_LOCALTIME || kind == K_LOCALTIMESTAMP || kind == K_CURRENT_ROLE ||
           kind == K_CURRENT_USER || kind == K_USER || kind == K_SESSION_USER ||
           kind == K_SYSTEM_USER || kind == K_CURRENT_CATALOG || kind == K_CAST ||
           kind == K_COLLATION || kind == K_CURRENT_SCHEMA;
}

/* A table, a function, a query or a join in parentheses is due. */
static uint32_t
from_item(struct sql_look *l, uint32_t n)
{
    struct sql_frame *f = top(l);
    const struct sql_token *t = &l->t[n];
    uint32_t last;

    l->operand = SQL_NO_OPERAND;
    if (t->kind == K_ONLY || t->kind == K_LATERAL)
        return n + 1;
    if (t->kind == '(') {
        n = sql_open(l, n, SQL_AT_FROM);
        l->renames |= top(l)->clause == SQL_AT_START;
        return n;
    }
    if (t->kind == K_ROWS && t[1].kind == K_FROM && t[2].kind == '(') {
        f->clause = SQL_AT_FROM_NEXT;
        l->renames = true;
        sql_push(l, SQL_AT_EXPRESSION);
        top(l)->call = SQL_CALL_ROWS;
        return n + 3;
    }
    if (!sql_is_name(t))
        return bad(l);
    last = sql_chain_end(l, n);
    if (last == n &&
        (is_value_function(t->kind) || (t[1].kind == '(' && t->category == SQL_COL_NAME))) {
        f->clause = SQL_AT_FROM_NEXT;
        l->renames = true;
        return sql_name_or_call(l, n);
    }
    if (last == n && t->category == SQL_RESERVED)
        return bad(l);
    f->clause = SQL_AT_FROM_NEXT;
    if (l->t[last + 1].kind == '(') {
        /* name (: a call, whatever the name */
        l->renames = true;
        return sql_name_or_call(l, n);
    }
    if (last == n && is_cte(l, n))
        return n + 1;
    return sql_add_table(l, n, SQL_USE_READ) + 1;
}

/* Behind [AS] alias, or AS alone: columns, perhaps with types. */
static uint32_t
alias_columns(struct sql_look *l, uint32_t n)
{
    if (n >= l->end || l->t[n].kind != '(')
        return n;
    l->renames = true;
    return sql_column_definitions(l, n);
}

static uint32_t
sample(struct sql_look *l, uint32_t n)
{
    if (!sql_is_name(&l->t[n + 1]))
        return bad(l);
    l->st->samples = true;
    n = sql_add_function(l, n + 1) + 1;
    if (l->t[n].kind != '(')
        return bad(l);
    return sql_open(l, n, SQL_AT_EXPRESSION);
}

static bool
is_join_word(int kind)
{
    return kind == K_INNER || kind == K_LEFT || kind == K_RIGHT || kind == K_FULL ||
           kind == K_CROSS || kind == K_NATURAL || kind == K_OUTER;
}

static bool
on_conflict(const struct sql_look *l, uint32_t n)
{
    return l->t[n].kind == K_ON && l->t[n + 1].kind == K_CONFLICT &&
           l->frames[l->depth].query == SQL_INSERT;
}

/* Behind an item of FROM. */
static uint32_t
from_next(struct sql_look *l, uint32_t n)
{
    struct sql_frame *f = top(l);
    const struct sql_token *t = &l->t[n];

    if (t->kind == ',' || t->kind == K_JOIN) {
        f->clause = SQL_AT_FROM;
        return n + 1;
    }
    if (is_join_word(t->kind) || t->kind == T_OPERATOR)
        return n + 1;
    if (t->kind == K_ON && !on_conflict(l, n)) {
        f->clause = SQL_AT_JOIN;
        l->operand = SQL_NO_OPERAND;
        return n + 1;
    }
    if (t->kind == K_USING && t[1].kind == '(') {
        n = t[1].match + 1;
        return n < l->end && l->t[n].kind == K_AS ? n + 2 : n;
    }
    if (t->kind == K_AS)
        return alias_columns(l, t[1].kind == '(' ? n + 1 : n + 2);
    if (t->kind == K_TABLESAMPLE)
        return sample(l, n);
    if (t->kind == K_REPEATABLE && t[1].kind == '(')
        return sql_open(l, n + 1, SQL_AT_EXPRESSION);
    if (t->kind == K_WITH && t[1].kind == K_ORDINALITY)
        return n + 2;
    if (t->category == SQL_RESERVED) {
        f->clause = SQL_AT_EXPRESSION;
        return sql_expression(l, n);
    }
    if (sql_is_name(t) && t->category != SQL_TYPE_FUNC)
        return alias_columns(l, n + 1);
    return bad(l);
}

/* A join's condition: an expression that a comma, a join or the next clause ends. */
static uint32_t
in_join(struct sql_look *l, uint32_t n)
{
    struct sql_frame *f = top(l);
    const struct sql_token *t = &l->t[n];

    switch (t->kind) {
    case ',':
    case K_JOIN:
        f->clause = SQL_AT_FROM;
        return n + 1;
    case K_INNER:
    case K_CROSS:
    case K_NATURAL:
        f->clause = SQL_AT_FROM_NEXT;
        return n + 1;
    case K_LEFT:
    case K_RIGHT:
    case K_FULL:
        if (t[1].kind != K_JOIN && t[1].kind != K_OUTER)
            break;
        f->clause = SQL_AT_FROM_NEXT;
        return n + 1;
    case K_USING:
        if (t[1].kind == '(')
            return from_next(l, n);
        break;
    case K_ON:
        if (on_conflict(l, n))
            f->clause = SQL_AT_EXPRESSION;
        break;
    case K_WHEN:
        if (f->cases == 0)
            f->clause = SQL_AT_EXPRESSION;
        break;
    case K_WHERE:
    case K_GROUP:
    case K_HAVING:
    case K_WINDOW:
    case K_ORDER:
    case K_LIMIT:
    case K_OFFSET:
    case K_FETCH:
    case K_FOR:
    case K_RETURNING:
        f->clause = SQL_AT_EXPRESSION;
        break;
    default:
        break;
    }
    return sql_expression(l, n);
}

/* ---- the whole ---- */

/* A parenthesis is closed at n. */
static uint32_t
closed(struct sql_look *l, uint32_t n)
{
    struct sql_frame *f;

    if (l->depth == 0)
        return bad(l);
    l->cte_count = top(l)->ctes;
    l->depth--;
    f = top(l);
    l->operand = SQL_OPERAND;
    if (f->clause == SQL_AT_WITH)
        return with_next(l, n + 1);
    if (f->clause == SQL_AT_START)
        f->clause = SQL_AT_EXPRESSION;
    else if (f->clause == SQL_AT_FROM)
        f->clause = SQL_AT_FROM_NEXT;
    return n + 1;
}

static uint32_t
step(struct sql_look *l, uint32_t n)
{
    if (l->t[n].kind == ')')
        return closed(l, n);
    switch ((enum sql_clause)top(l)->clause) {
    case SQL_AT_START:
        return at_start(l, n);
    case SQL_AT_FROM:
        return from_item(l, n);
    case SQL_AT_FROM_NEXT:
        return from_next(l, n);
    case SQL_AT_JOIN:
        return in_join(l, n);
    case SQL_AT_EXPRESSION:
        return sql_expression(l, n);
    case SQL_AT_WITH:
        break;
    }
    return bad(l);
}

void
sql_walk(struct sql_look *l, enum sql_clause clause, uint32_t from, uint32_t to)
{
    l->end = to;
    l->depth = 0;
    l->operand = SQL_NO_OPERAND;
    l->frames[0] = (struct sql_frame){.clause = (uint8_t)clause, .query = SQL_OTHER};
    while (from < to && !l->bad)
        from = step(l, from);
    if (l->depth != 0 || from != to)
        l->bad = true;
}

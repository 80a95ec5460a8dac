/*
 * Walks through queries and expressions, and knows of each expression whether it is evaluated once
 * or for every row, and who sees what it gives.
 *
 * Called by determinism.c and assigned.c. The text is understood already: parentheses match, and
 * are nested at most SQL_DEPTH_MAX deep.
 */
#include "sql/determining.h"

#include "gram.h"

enum region { AT_START, AT_WITH, AT_LIST, AT_FROM, AT_VALUES, AT_REST };

struct walk {
    struct sql_determinism *d;
    const struct sql_scope *outer;
    struct sql_scope scope; /* of what comes next */
    enum region region;
    bool recursive;
    bool writes_answer; /* WITH: only the client sees what its queries do */
    uint32_t to;
};

uint32_t
determinism_parenthesis(struct sql_determinism *d, uint32_t n, const struct sql_scope *scope)
{
    struct sql_scope inner = *scope;
    uint32_t close = d->t[n].match;

    inner.root = inner.from = inner.list = false;
    if (n > 0 && (d->t[n - 1].kind == K_FILTER || d->t[n - 1].kind == K_OVER))
        inner.rows |= inner.many;
    if (determinism_begins_query(d, n + 1)) {
        inner.column = NULL;
        inner.call = false;
        inner.ordered = n > 0 && d->t[n - 1].kind == K_ARRAY;
        if (n > 0 && d->t[n - 1].kind == K_EXISTS) {
            /* whatever rows there are, it is true */
            struct sql_scope exists = inner;
            exists.ordered = false;
            determinism_query(d, n + 1, close, &exists);
            return close + 1;
        }
        determinism_query(d, n + 1, close, &inner);
    } else {
        determinism_expression(d, n + 1, close, &inner);
    }
    return close + 1;
}

void
determinism_expression(struct sql_determinism *d, uint32_t from, uint32_t to,
                       const struct sql_scope *scope)
{
    while (from < to) {
        if (d->t[from].kind == '(')
            from = determinism_parenthesis(d, from, scope);
        else
            from = determinism_look(d, from, to, scope);
    }
}

/* ---- one query ---- */

static bool
is_distinct_from(const struct sql_determinism *d, uint32_t n)
{
    if (n < 3 || d->t[n - 1].kind != K_DISTINCT)
        return false;
    return d->t[n - 2].kind == K_IS || (d->t[n - 2].kind == K_NOT && d->t[n - 3].kind == K_IS);
}

/* SELECT at n: what its expressions are evaluated for. */
static uint32_t
begin_select(struct walk *w, uint32_t n)
{
    struct sql_determinism *d = w->d;
    struct sql_clauses c;
    bool several, aggregate;

    determinism_clauses(d, n, w->to, &c);
    w->scope = *w->outer;
    w->scope.root = w->scope.ordered = w->scope.from = w->scope.call = false;
    w->scope.column = NULL;
    w->scope.list = true;
    determinism_counts(d, n + 1, c.list_end, &several, &aggregate);
    w->scope.many = w->outer->rows || c.from > 0 || several;
    w->scope.rows = w->scope.many;
    if (aggregate && c.group == 0 && !several)
        w->scope.rows = w->outer->rows; /* in the list, but for what is summed up */
    w->scope.table = determinism_only_table(d, &c, c.set_operation > 0 ? c.set_operation : w->to);
    w->region = AT_LIST;
    n++;
    if (d->t[n].kind == K_ALL)
        return n + 1;
    if (d->t[n].kind != K_DISTINCT)
        return n;
    if (d->t[n + 1].kind == K_ON && d->t[n + 2].kind == '(')
        return determinism_parenthesis(d, n + 2, &w->scope);
    return n + 1;
}

static uint32_t
with_body(struct walk *w, uint32_t n)
{
    struct sql_scope scope = {.rows = w->recursive};
    int before = w->d->t[n - 1].kind;

    if (before != K_AS && before != K_MATERIALIZED)
        return w->d->t[n].match + 1; /* names of columns */
    scope.answer = w->writes_answer;
    determinism_query(w->d, n + 1, w->d->t[n].match, &scope);
    return w->d->t[n].match + 1;
}

static uint32_t
parenthesis(struct walk *w, uint32_t n)
{
    struct sql_determinism *d = w->d;

    if (w->region == AT_WITH && d->t[n - 1].kind != ')')
        return with_body(w, n);
    if (w->region == AT_START || w->region == AT_WITH) {
        struct sql_scope scope = *w->outer;
        w->region = AT_REST;
        determinism_query(d, n + 1, d->t[n].match, &scope);
        return d->t[n].match + 1;
    }
    if (w->region == AT_FROM) {
        const struct sql_token *before = &d->t[n - 1];
        struct sql_scope scope = *w->outer;
        if (!w->scope.from) /* in a join's condition */
            return determinism_parenthesis(d, n, &w->scope);
        if (sql_is_name(before) && before->category == SQL_NO_KEYWORD)
            return d->t[n].match + 1; /* an alias's columns */
        scope.root = scope.ordered = false;
        if (determinism_begins_query(d, n + 1))
            return determinism_parenthesis(d, n, &scope);
        scope.from = true; /* a join */
        determinism_expression(d, n + 1, d->t[n].match, &scope);
        return d->t[n].match + 1;
    }
    return determinism_parenthesis(d, n, &w->scope);
}

static void
enter(struct walk *w, enum region region)
{
    w->region = region;
    w->scope.from = region == AT_FROM;
    w->scope.list = false;
    w->scope.rows = w->scope.many;
}

/* A key word at the query's own level that begins something; 0: none. */
static uint32_t
clause(struct walk *w, uint32_t n)
{
    struct sql_determinism *d = w->d;

    switch (d->t[n].kind) {
    case K_FROM:
        if (w->region == AT_START || w->region == AT_WITH || is_distinct_from(d, n))
            return 0;
        enter(w, AT_FROM);
        return n + 1;
    case K_ON:
    case K_USING:
        if (w->region == AT_FROM)
            w->scope.from = false;
        return n + 1;
    case ',':
    case K_JOIN:
        if (w->region == AT_FROM)
            w->scope.from = true;
        return n + 1;
    case K_WHERE:
    case K_GROUP:
    case K_HAVING:
    case K_WINDOW:
    case K_ORDER:
    case K_LIMIT:
    case K_OFFSET:
    case K_FETCH:
    case K_FOR:
        enter(w, AT_REST);
        return n + 1;
    case K_UNION:
    case K_INTERSECT:
    case K_EXCEPT:
        w->region = AT_START;
        n++;
        return d->t[n].kind == K_ALL || d->t[n].kind == K_DISTINCT ? n + 1 : n;
    default:
        return 0;
    }
}

/* A query begins at n; 0: it does not. */
static uint32_t
start(struct walk *w, uint32_t n)
{
    struct sql_determinism *d = w->d;

    switch (d->t[n].kind) {
    case K_WITH:
        w->region = AT_WITH;
        w->recursive = d->t[n + 1].kind == K_RECURSIVE;
        return n + 1;
    case K_SELECT:
        return begin_select(w, n);
    case K_VALUES:
        w->scope = *w->outer;
        w->scope.root = w->scope.list = false;
        w->region = AT_VALUES;
        return n + 1;
    case K_TABLE:
        w->region = AT_REST;
        return n + 1;
    case K_INSERT:
        determinism_insert(d, n, w->to, w->outer);
        return w->to;
    case K_UPDATE:
        determinism_update(d, n, w->to, w->outer);
        return w->to;
    case K_DELETE:
        determinism_delete(d, n, w->to, w->outer);
        return w->to;
    case K_MERGE:
        determinism_merge(d, n, w->to, w->outer);
        return w->to;
    default:
        return 0;
    }
}

void
determinism_query(struct sql_determinism *d, uint32_t from, uint32_t to,
                  const struct sql_scope *outer)
{
    struct sql_scope own = *outer;
    struct walk w = {.d = d, .outer = &own, .region = AT_START, .to = to};

    w.writes_answer = outer->answer;
    own.answer |= outer->root && d->reads;
    w.scope = own;
    determinism_check_order(d, from, to, &own);
    while (from < to) {
        uint32_t next = 0;
        if (d->t[from].kind == '(') {
            from = parenthesis(&w, from);
            continue;
        }
        if (w.region == AT_START || w.region == AT_WITH)
            next = start(&w, from);
        if (next == 0 && w.region == AT_WITH)
            next = from + 1;
        if (next == 0)
            next = clause(&w, from);
        if (next == 0)
            next = determinism_look(d, from, to, &w.scope);
        from = next;
    }
}

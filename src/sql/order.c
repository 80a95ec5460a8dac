/*
 * What depends on the order of rows, which is another one on each server unless a key decides it;
 * and whether a condition names one row.
 *
 * Called by queries.c, calls.c and assigned.c. Only plain forms are recognised: a list of columns
 * that has a key of the query's only table among them, a condition of equalities joined by AND.
 */
#include "sql/determining.h"

#include "gram.h"

#include <string.h>

enum { COLUMNS_MAX = 64 };

static const char hint[] =
    "Order by all columns of a primary key, or of a unique one that is never "
    "null.";

/* ---- clauses ---- */

static bool
is_distinct_from(const struct sql_determinism *d, uint32_t n)
{
    return n > 1 && d->t[n - 1].kind == K_DISTINCT &&
           (d->t[n - 2].kind == K_IS || d->t[n - 2].kind == K_NOT);
}

static void
first(uint32_t *to, uint32_t n)
{
    if (*to == 0)
        *to = n;
}

static bool
limits(const struct sql_determinism *d, uint32_t n)
{
    return d->t[n].kind != K_LIMIT || (d->t[n + 1].kind != K_ALL && d->t[n + 1].kind != K_NULL);
}

static void
take_clause(const struct sql_determinism *d, uint32_t n, struct sql_clauses *r)
{
    switch (d->t[n].kind) {
    case K_SELECT:
        first(&r->select, n);
        break;
    case K_FROM:
        if (!is_distinct_from(d, n))
            first(&r->from, n);
        break;
    case K_WHERE:
        first(&r->where, n);
        break;
    case K_GROUP:
        first(&r->group, n);
        break;
    case K_ORDER:
        first(&r->order, n);
        break;
    case K_RETURNING:
        first(&r->returning, n);
        break;
    case K_LIMIT:
    case K_OFFSET:
    case K_FETCH:
        if (limits(d, n))
            first(&r->limit, n);
        break;
    case K_UNION:
    case K_INTERSECT:
    case K_EXCEPT:
        first(&r->set_operation, n);
        break;
    default:
        break;
    }
}

static bool
ends_list(int kind)
{
    return kind == K_FROM || kind == K_INTO || kind == K_WHERE || kind == K_GROUP ||
           kind == K_HAVING || kind == K_WINDOW || kind == K_UNION || kind == K_INTERSECT ||
           kind == K_EXCEPT || kind == K_ORDER || kind == K_LIMIT || kind == K_OFFSET ||
           kind == K_FETCH || kind == K_FOR;
}

void
determinism_clauses(const struct sql_determinism *d, uint32_t from, uint32_t to,
                    struct sql_clauses *r)
{
    bool list = false;

    memset(r, 0, sizeof(*r));
    r->list_end = to;
    for (uint32_t n = from; n < to; n++) {
        if (d->t[n].kind == '(') {
            n = d->t[n].match;
            continue;
        }
        if (list && ends_list(d->t[n].kind) && !is_distinct_from(d, n)) {
            r->list_end = n;
            list = false;
        }
        if (r->select == 0 && d->t[n].kind == K_SELECT) {
            list = true;
            r->distinct_on = d->t[n + 1].kind == K_DISTINCT && d->t[n + 2].kind == K_ON;
        }
        if (r->set_operation == 0 || d->t[n].kind == K_LIMIT || d->t[n].kind == K_OFFSET ||
            d->t[n].kind == K_FETCH || d->t[n].kind == K_ORDER)
            take_clause(d, n, r);
    }
}

static bool
ends_from(const struct sql_determinism *d, uint32_t n, uint32_t to)
{
    if (n >= to)
        return true;
    switch (d->t[n].kind) {
    case K_WHERE:
    case K_ORDER:
    case K_LIMIT:
    case K_OFFSET:
    case K_FETCH:
    case K_FOR:
    case K_GROUP:
    case K_HAVING:
    case K_WINDOW:
    case K_RETURNING:
        return true;
    default:
        return false;
    }
}

/* A table's name at n and perhaps an alias, and then FROM ends. */
static const struct sql_known_table *
table_alone(struct sql_determinism *d, uint32_t n, uint32_t to)
{
    uint32_t name;

    n += n < to && d->t[n].kind == K_ONLY;
    if (n >= to || !sql_is_name(&d->t[n]))
        return NULL;
    name = n;
    n = determinism_chain_end(d, n) + 1;
    if (n < to && d->t[n].kind == '(')
        return NULL;
    n += n < to && d->t[n].kind == T_OPERATOR; /* name * */
    n += n < to && d->t[n].kind == K_AS;
    n += n < to && sql_is_name(&d->t[n]) && d->t[n].category != SQL_RESERVED;
    return ends_from(d, n, to) ? determinism_table(d, name) : NULL;
}

const struct sql_known_table *
determinism_only_table(struct sql_determinism *d, const struct sql_clauses *c, uint32_t to)
{
    return c->from > 0 ? table_alone(d, c->from + 1, to) : NULL;
}

/* ---- keys ---- */

static bool
key_is_among(const struct sql_known_table *table, const bool *columns)
{
    for (uint32_t n = 0; n < table->key_count; n++) {
        const struct sql_known_key *key = &table->keys[n];
        bool all = key->count > 0;
        for (uint32_t at = 0; at < key->count; at++)
            all &= key->columns[at] < table->column_count && key->columns[at] < COLUMNS_MAX &&
                   columns[key->columns[at]];
        if (all)
            return true;
    }
    return false;
}

/* A column by itself, with ASC, DESC and NULLS behind it. */
static bool
take_item(struct sql_determinism *d, const struct sql_known_table *table, uint32_t from,
          uint32_t to, bool *columns)
{
    uint32_t last;
    const struct sql_known_column *column;

    if (from >= to || !sql_is_name(&d->t[from]))
        return false;
    last = determinism_chain_end(d, from);
    for (uint32_t n = last + 1; n < to; n++) {
        if (d->t[n].kind != K_ASC && d->t[n].kind != K_DESC && !determinism_is(d, n, "nulls") &&
            d->t[n].kind != K_FIRST && !determinism_is(d, n, "last"))
            return false;
    }
    column = determinism_column(table, determinism_name(d, last));
    if (column != NULL && column - table->columns < COLUMNS_MAX)
        columns[column - table->columns] = true;
    return column != NULL;
}

static uint32_t
item_end(const struct sql_determinism *d, uint32_t n, uint32_t to)
{
    for (; n < to && d->t[n].kind != ','; n++) {
        if (d->t[n].kind == '(')
            n = d->t[n].match;
    }
    return n;
}

bool
determinism_covers_key(struct sql_determinism *d, const struct sql_known_table *table,
                       uint32_t from, uint32_t to)
{
    bool columns[COLUMNS_MAX] = {false};

    if (table == NULL)
        return false;
    while (from < to) {
        uint32_t end = item_end(d, from, to);
        take_item(d, table, from, end, columns);
        from = end + 1;
    }
    return key_is_among(table, columns);
}

/* Behind ORDER BY, up to the next clause. */
static uint32_t
order_end(const struct sql_determinism *d, uint32_t n, uint32_t to)
{
    for (; n < to; n++) {
        int kind = d->t[n].kind;
        if (kind == '(')
            n = d->t[n].match;
        else if (kind == K_LIMIT || kind == K_OFFSET || kind == K_FETCH || kind == K_FOR ||
                 kind == K_ROWS || kind == K_RANGE || kind == K_GROUPS || kind == K_RETURNING)
            return n;
    }
    return to;
}

/* Does a name in ORDER BY mean a column of the answer, which is named so in the list? */
static bool
is_hidden(struct sql_determinism *d, const struct sql_clauses *c, uint32_t from, uint32_t to)
{
    uint32_t list = c->select + 1;

    if (c->distinct_on && d->t[list + 2].kind == '(')
        list = d->t[list + 2].match + 1;
    for (uint32_t n = from; n < to; n++) {
        struct sql_text name;
        if (!sql_is_name(&d->t[n]) || d->t[n].category == SQL_RESERVED || d->t[n - 1].kind == '.' ||
            d->t[n + 1].kind == '.')
            continue;
        name = determinism_name(d, n);
        for (uint32_t at = list; at < c->list_end; at++) {
            int before = at > list ? d->t[at - 1].kind : ',';
            int behind = at + 1 < c->list_end ? d->t[at + 1].kind : ',';
            struct sql_text other;
            if (d->t[at].kind == '(') {
                at = d->t[at].match;
                continue;
            }
            if (!sql_is_name(&d->t[at]) || behind != ',' || before == ',' || before == '.' ||
                before == K_SELECT || before == K_ALL || before == K_DISTINCT)
                continue;
            other = determinism_name(d, at);
            if (other.len == name.len && memcmp(other.data, name.data, name.len) == 0)
                return true;
        }
    }
    return false;
}

bool
determinism_total_order(struct sql_determinism *d, uint32_t from, uint32_t to)
{
    const struct sql_known_table *table;
    struct sql_clauses c;

    determinism_clauses(d, from, to, &c);
    if (c.select > 0 && c.from == 0 && c.set_operation == 0)
        return true; /* one row, but for functions that give several */
    if (c.order == 0 || c.set_operation > 0 || c.group > 0)
        return false;
    table = determinism_only_table(d, &c, to);
    to = order_end(d, c.order + 2, to);
    return !is_hidden(d, &c, c.order + 2, to) && determinism_covers_key(d, table, c.order + 2, to);
}

/* An aggregate without GROUP BY: one row, whatever LIMIT says. */
static bool
sums_up(struct sql_determinism *d, const struct sql_clauses *c)
{
    bool several, aggregate;

    if (c->select == 0 || c->group > 0 || c->set_operation > 0)
        return false;
    determinism_counts(d, c->select + 1, c->list_end, &several, &aggregate);
    return aggregate && !several;
}

void
determinism_check_order(struct sql_determinism *d, uint32_t from, uint32_t to,
                        const struct sql_scope *scope)
{
    struct sql_clauses c;

    if (scope->answer)
        return;
    if (from > 1 && d->t[from - 1].kind == '(' && d->t[from - 2].kind == K_EXISTS)
        return;
    determinism_clauses(d, from, to, &c);
    if ((c.limit == 0 && !scope->ordered && !c.distinct_on) || (sums_up(d, &c) && !c.distinct_on) ||
        determinism_total_order(d, from, to))
        return;
    determinism_refuse(d, hint, "which rows %s takes depends on their order",
                       c.limit > 0     ? "LIMIT"
                       : c.distinct_on ? "DISTINCT ON"
                                       : "the query");
}

/* ---- one row ---- */

/* What stands from n on is a literal, a number or a parameter, up to AND or the end. */
static bool
is_given(const struct sql_determinism *d, uint32_t n, uint32_t to)
{
    int kind = d->t[n].kind;

    if (n >= to || (kind != T_STRING && kind != T_NUMBER && kind != T_PARAM))
        return false;
    for (n++; n < to && d->t[n].kind == T_CAST;)
        n = determinism_type_end(d, n + 1);
    return n >= to || d->t[n].kind == K_AND;
}

static bool
is_equals(const struct sql_determinism *d, uint32_t n, uint32_t to)
{
    return n < to && d->t[n].kind == T_OPERATOR && d->t[n].len == 1 &&
           d->work.text[d->t[n].start] == '=';
}

static void
take_equal(struct sql_determinism *d, const struct sql_known_table *table, uint32_t n,
           struct sql_text alias, bool *columns)
{
    uint32_t last = determinism_chain_end(d, n);
    const struct sql_known_column *column = determinism_column(table, determinism_name(d, last));

    if (last > n && alias.len > 0) {
        struct sql_text name = determinism_name(d, last - 2);
        if (name.len != alias.len || memcmp(name.data, alias.data, name.len) != 0)
            return;
    } else if (alias.len > 0) {
        return; /* whose it is cannot be told */
    }
    if (column != NULL && column - table->columns < COLUMNS_MAX)
        columns[column - table->columns] = true;
}

bool
determinism_one_row(struct sql_determinism *d, const struct sql_known_table *table, uint32_t from,
                    uint32_t to, struct sql_text alias)
{
    bool columns[COLUMNS_MAX] = {false};

    if (table == NULL)
        return false;
    for (uint32_t n = from; n < to; n++) {
        uint32_t last;
        bool begins = n == from || d->t[n - 1].kind == K_AND;
        if (d->t[n].kind == '(') {
            n = d->t[n].match;
            continue;
        }
        if (d->t[n].kind == K_OR || d->t[n].kind == K_BETWEEN || d->t[n].kind == K_CASE)
            return false;
        if (!begins || !sql_is_name(&d->t[n]))
            continue;
        last = determinism_chain_end(d, n);
        if (!is_equals(d, last + 1, to))
            continue;
        if (is_given(d, last + 2, to)) {
            take_equal(d, table, n, alias, columns);
        } else if (alias.len > 0 && last + 2 < to && sql_is_name(&d->t[last + 2])) {
            uint32_t end = determinism_chain_end(d, last + 2) + 1;
            if (end >= to || d->t[end].kind == K_AND) {
                take_equal(d, table, n, alias, columns);
                take_equal(d, table, last + 2, alias, columns);
            }
        }
        n = last;
    }
    return key_is_among(table, columns);
}

/* ---- aggregates and windows ---- */

static uint32_t
find_order(const struct sql_determinism *d, uint32_t from, uint32_t to)
{
    for (uint32_t n = from; n < to; n++) {
        if (d->t[n].kind == '(')
            n = d->t[n].match;
        else if (d->t[n].kind == K_ORDER)
            return n;
    }
    return 0;
}

static bool
same_tokens(const struct sql_determinism *d, uint32_t a, uint32_t a_end, uint32_t b, uint32_t b_end)
{
    if (a_end - a != b_end - b)
        return false;
    for (; a < a_end; a++, b++) {
        if (d->t[a].len != d->t[b].len ||
            memcmp(d->work.text + d->t[a].start, d->work.text + d->t[b].start, d->t[a].len) != 0)
            return false;
    }
    return true;
}

void
determinism_aggregate(struct sql_determinism *d, struct sql_text name, uint32_t open,
                      const struct sql_scope *scope)
{
    uint32_t close = d->t[open].match;
    uint32_t begin = open + 1;
    uint32_t order = find_order(d, begin, close);

    if (scope->answer)
        return;
    begin += d->t[begin].kind == K_DISTINCT || d->t[begin].kind == K_ALL;
    if (order > 0) {
        uint32_t end = item_end(d, order + 2, close);
        uint32_t expression = end;
        while (expression > order + 2 &&
               (d->t[expression - 1].kind == K_ASC || d->t[expression - 1].kind == K_DESC))
            expression--;
        if (same_tokens(d, begin, MIN(item_end(d, begin, close), order), order + 2, expression) ||
            determinism_covers_key(d, scope->table, order + 2, close))
            return;
    }
    determinism_refuse(d, "Give it an ORDER BY of its argument, or of a key.",
                       "what \"%.*s\" gives depends on the order of rows", (int)name.len,
                       name.data);
}

/* PARTITION BY a, b ORDER BY c: all are columns to tell rows apart by. */
static bool
window_is_total(struct sql_determinism *d, const struct sql_known_table *table, uint32_t from,
                uint32_t to)
{
    bool columns[COLUMNS_MAX] = {false};
    uint32_t order = find_order(d, from, to);

    if (table == NULL || order == 0)
        return false;
    for (uint32_t n = from; n < order; n++) {
        if (d->t[n].kind == K_BY) {
            for (n++; n < order;) {
                uint32_t end = MIN(item_end(d, n, order), order);
                take_item(d, table, n, end, columns);
                n = end + 1;
            }
        }
    }
    to = order_end(d, order, to);
    for (uint32_t n = order + 2; n < to;) {
        uint32_t end = item_end(d, n, to);
        take_item(d, table, n, end, columns);
        n = end + 1;
    }
    return key_is_among(table, columns);
}

void
determinism_window(struct sql_determinism *d, struct sql_text name, uint32_t open,
                   const struct sql_scope *scope)
{
    uint32_t n = d->t[open].match + 1;

    if (scope->answer)
        return;
    while (n < d->end && d->t[n].kind != K_OVER && d->t[n].kind != ',' && d->t[n].kind != K_FROM)
        n = d->t[n].kind == '(' ? d->t[n].match + 1 : n + 1;
    if (n + 1 < d->end && d->t[n].kind == K_OVER && d->t[n + 1].kind == '(' &&
        window_is_total(d, scope->table, n + 2, d->t[n + 1].match))
        return;
    determinism_refuse(d, "Let its window be ordered by all columns of a key, within OVER.",
                       "what \"%.*s\" gives depends on the order of rows", (int)name.len,
                       name.data);
}

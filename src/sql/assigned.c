/*
 * What a written table's columns are given: by the statement, by DEFAULT, or by their defaults when
 * nobody names them.
 *
 * Called by queries.c for INSERT, UPDATE, DELETE and MERGE. A default that gives something else on
 * each server is asked for on one, and the column is named with that value; where that cannot be
 * done, the statement is refused.
 */
#include "sql/determining.h"

#include "base/buf.h"

#include "gram.h"

#include <string.h>

enum { COLUMNS_MAX = 1600 };

static const char name_it[] = "Name the column and give its value.";

/* An INSERT that is looked at. */
struct insert {
    struct sql_determinism *d;
    const struct sql_known_table *table;
    uint32_t behind_target; /* token behind the table and its alias */
    uint32_t open;          /* of the list of columns; 0: none is written */
    uint32_t overriding;    /* OVERRIDING */
    uint32_t query;         /* its source */
    uint32_t query_end;
    uint16_t *given; /* columns that are named; NULL: the first ones */
    uint32_t given_count;
    uint16_t *added; /* columns that must be */
    uint32_t added_count;
    enum sql_value_kind *kinds; /* of their defaults */
    bool system;                /* a value is given to GENERATED ALWAYS AS IDENTITY */
    bool several;               /* rows, perhaps */
};

/* ---- columns and values ---- */

uint16_t *
determinism_names(struct sql_determinism *d, const struct sql_known_table *table, uint32_t n,
                  uint32_t *count_r)
{
    uint32_t close = d->t[n].match;
    uint16_t *names = arena_alloc(&d->arena, (close - n) * sizeof(*names));
    bool due = true;

    *count_r = 0;
    for (n++; n < close; n++) {
        if (due && sql_is_name(&d->t[n])) {
            const struct sql_known_column *column =
                determinism_column(table, determinism_name(d, n));
            names[(*count_r)++] = column != NULL ? (uint16_t)(column - table->columns) : UINT16_MAX;
        }
        due = d->t[n].kind == ',';
    }
    return names;
}

static uint32_t
value_of(struct sql_determinism *d, const struct sql_known_column *column, enum sql_value_kind kind)
{
    struct sql_text fallback = determinism_text(column->fallback);
    struct sql_text type = determinism_text(column->type);

    fallback.data = arena_strndup(&d->arena, fallback.data, fallback.len);
    type.data = arena_strndup(&d->arena, type.data, type.len);
    return determinism_value(d, kind, fallback, type);
}

static bool
is_given(const uint16_t *given, uint32_t count, uint32_t column)
{
    if (given == NULL)
        return column < count;
    for (uint32_t n = 0; n < count; n++) {
        if (given[n] == column)
            return true;
    }
    return false;
}

static void
refuse_column(struct sql_determinism *d, const struct sql_known_column *column)
{
    determinism_refuse(d, name_it,
                       "the default of column \"%s\" gives another value on each server",
                       column->name);
}

void
determinism_ungiven(struct sql_determinism *d, const struct sql_known_table *table,
                    const uint16_t *given, uint32_t given_count)
{
    enum sql_value_kind kind;

    for (uint32_t n = 0; n < table->column_count; n++) {
        if (!is_given(given, given_count, n) &&
            determinism_fallback(d, &table->columns[n], &kind) != SQL_EQUAL)
            refuse_column(d, &table->columns[n]);
    }
}

/* DEFAULT stands at n for this column. */
static void
take_default(struct sql_determinism *d, uint32_t n, const struct sql_known_column *column,
             bool rows)
{
    enum sql_value_kind kind;
    enum sql_equality equality;

    if (column == NULL) {
        determinism_refuse(d, name_it, "nothing is known of the column that is given its default");
        return;
    }
    equality = determinism_fallback(d, column, &kind);
    if (equality == SQL_EQUAL)
        return;
    if (equality == SQL_UNEQUAL || (rows && (kind == SQL_VALUE_OWN || kind == SQL_VALUE_DRAWN))) {
        refuse_column(d, column);
        return;
    }
    determinism_replace(d, n, n + 1, value_of(d, column, kind));
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

/* ---- UPDATE's list, also that of ON CONFLICT and MERGE ---- */

static bool
ends_set(const struct sql_determinism *d, uint32_t n)
{
    int kind = d->t[n].kind;

    return kind == K_WHERE || kind == K_RETURNING ||
           (kind == K_FROM && d->t[n - 1].kind != K_DISTINCT);
}

static void
several_columns(struct sql_determinism *d, uint32_t from, uint32_t to,
                const struct sql_scope *scope)
{
    for (uint32_t n = d->t[from].match; n < to; n++) {
        if (d->t[n].kind == K_DEFAULT)
            determinism_refuse(d, "Give each column its DEFAULT by itself.",
                               "DEFAULT stands within a row");
    }
    determinism_expression(d, d->t[from].match + 1, to, scope);
}

/* From the first column on; returns where it ends. */
static uint32_t
assignments(struct sql_determinism *d, uint32_t n, uint32_t to, const struct sql_known_table *table,
            const struct sql_scope *scope)
{
    while (n < to && !ends_set(d, n)) {
        struct sql_scope inner = *scope;
        uint32_t end = n;
        uint32_t value = n;
        while (end < to && d->t[end].kind != ',' && !ends_set(d, end))
            end = d->t[end].kind == '(' ? d->t[end].match + 1 : end + 1;
        if (d->t[n].kind == '(') {
            several_columns(d, n, end, &inner);
        } else {
            while (value < end && !(d->t[value].kind == T_OPERATOR && d->t[value].len == 1))
                value++;
            inner.column = determinism_column(table, determinism_name(d, n));
            if (value + 2 == end && d->t[value + 1].kind == K_DEFAULT)
                take_default(d, value + 1, inner.column, scope->rows);
            else
                determinism_expression(d, MIN(value + 1, end), end, &inner);
        }
        n = end < to && d->t[end].kind == ',' ? end + 1 : end;
    }
    return n;
}

static uint32_t
find(const struct sql_determinism *d, uint32_t n, uint32_t to, int kind)
{
    for (; n < to; n++) {
        if (d->t[n].kind == '(')
            n = d->t[n].match;
        else if (d->t[n].kind == kind && !(kind == K_FROM && d->t[n - 1].kind == K_DISTINCT))
            return n;
    }
    return to;
}

static const struct sql_known_table *
written_table(struct sql_determinism *d, uint32_t n)
{
    const struct sql_known_table *table = determinism_table(d, n);

    if (table == NULL)
        determinism_refuse(d, "Try again.", "nothing is known of the table that is written");
    else if (table->spoiler != NULL)
        determinism_refuse(d, "Change the table.", "%s", table->spoiler);
    d->target = table;
    return table;
}

/* [ONLY] name [*], or in parentheses: the name's first token, and the one behind it all. */
static uint32_t
target(const struct sql_determinism *d, uint32_t n, uint32_t *behind_r)
{
    uint32_t name;

    n += d->t[n].kind == K_ONLY;
    n += d->t[n].kind == '(';
    name = n;
    n = determinism_chain_end(d, n) + 1;
    n += n < d->end && d->t[n].kind == ')';
    n += n < d->end && d->t[n].kind == T_OPERATOR;
    *behind_r = n;
    return name;
}

/* RETURNING goes to the client, unless it is that of a query in WITH. */
static void
returning(struct sql_determinism *d, uint32_t n, uint32_t to, const struct sql_scope *outer)
{
    struct sql_scope scope = *outer;

    scope.answer |= outer->root;
    scope.root = false;
    scope.rows = true;
    if (n < to)
        determinism_expression(d, n + 1, to, &scope);
}

/* Each row of the target meets one row at most of what stands in FROM. */
static void
check_join(struct sql_determinism *d, uint32_t from, uint32_t where, uint32_t end)
{
    uint32_t n = from + 1;

    while (n < where) {
        uint32_t item = item_end(d, n, where);
        uint32_t last = sql_is_name(&d->t[n]) ? determinism_chain_end(d, n) : n;
        uint32_t alias = last + 1;
        const struct sql_known_table *table =
            sql_is_name(&d->t[n]) ? determinism_table(d, n) : NULL;
        alias += alias < item && d->t[alias].kind == K_AS;
        if (alias >= item)
            alias = last;
        if (table == NULL || item > alias + 1 || where >= end ||
            !determinism_one_row(d, table, where + 1, end, determinism_name(d, alias)))
            determinism_refuse(d,
                               "Join by all columns of a key, or use a subquery that gives one "
                               "value in SET.",
                               "which row of several is taken depends on their order");
        n = item + 1;
    }
}

void
determinism_update(struct sql_determinism *d, uint32_t n, uint32_t to,
                   const struct sql_scope *outer)
{
    struct sql_scope scope = {.rows = true, .many = true};
    uint32_t end = find(d, n, to, K_RETURNING);
    uint32_t where = find(d, n, end, K_WHERE);
    uint32_t from = find(d, n, where, K_FROM);
    uint32_t behind;
    uint32_t name = target(d, n + 1, &behind);
    uint32_t set = behind;

    scope.table = written_table(d, name);
    while (set < to && !(d->t[set].kind == K_SET && sql_is_name(&d->t[set])))
        set++;
    if (from == where && where < end)
        d->keyed = determinism_one_row(d, scope.table, where + 1, end, determinism_text(""));
    scope.rows = !d->keyed;
    scope.rows |= outer->rows;
    if (set < to)
        set = assignments(d, set + 1, end, scope.table, &scope);
    if (from < where) {
        struct sql_scope source = {.rows = true, .from = true};
        check_join(d, from, where, end);
        for (n = from + 1; n < where;) {
            uint32_t item = item_end(d, n, where);
            determinism_expression(d, n, item, &source);
            n = item + 1;
        }
    }
    scope.rows = true;
    determinism_expression(d, MIN(where, end), end, &scope);
    returning(d, end, to, outer);
}

void
determinism_delete(struct sql_determinism *d, uint32_t n, uint32_t to,
                   const struct sql_scope *outer)
{
    struct sql_scope scope = {.rows = true, .many = true};
    uint32_t end = find(d, n, to, K_RETURNING);
    uint32_t using = find(d, n, end, K_USING);
    uint32_t where = find(d, n, end, K_WHERE);
    uint32_t behind;

    scope.table = written_table(d, target(d, n + 2, &behind));
    if (using < where) {
        struct sql_scope source = {.rows = true, .from = true};
        determinism_expression(d, using + 1, where, &source);
    }
    d->keyed = using >= where && where < end &&
               determinism_one_row(d, scope.table, where + 1, end, determinism_text(""));
    determinism_expression(d, where, end, &scope);
    returning(d, end, to, outer);
}

/* WHEN NOT MATCHED THEN INSERT (columns) VALUES (...) */
static void
merge_insert(struct sql_determinism *d, uint32_t n, uint32_t to,
             const struct sql_known_table *table)
{
    uint16_t *given = NULL;
    uint32_t count = 0;

    if (table == NULL)
        return;
    if (n + 1 < to && d->t[n + 1].kind == '(')
        given = determinism_names(d, table, n + 1, &count);
    else if (n + 2 < to && d->t[n + 1].kind == K_VALUES && d->t[n + 2].kind == '(')
        for (uint32_t at = n + 3; at < d->t[n + 2].match; at++, count++)
            at = item_end(d, at, d->t[n + 2].match);
    determinism_ungiven(d, table, given, count);
}

void
determinism_merge(struct sql_determinism *d, uint32_t n, uint32_t to, const struct sql_scope *outer)
{
    struct sql_scope scope = {.rows = true, .many = true};
    uint32_t end = find(d, n, to, K_RETURNING);
    uint32_t behind;
    const struct sql_known_table *table = written_table(d, target(d, n + 2, &behind));

    n = find(d, behind, end, K_USING) + 1;
    while (n < end) {
        if (d->t[n].kind == '(') {
            n = determinism_parenthesis(d, n, &scope);
        } else if (d->t[n].kind == K_INSERT) {
            merge_insert(d, n, end, table);
            n++;
            n = n < end && d->t[n].kind == '(' ? d->t[n].match + 1 : n;
        } else if (d->t[n].kind == K_DEFAULT) {
            determinism_refuse(d, name_it, "DEFAULT stands within MERGE");
            n++;
        } else if (d->t[n].kind == K_SET && d->t[n - 1].kind == K_UPDATE) {
            n++;
        } else {
            n = determinism_look(d, n, end, &scope);
        }
    }
    returning(d, end, to, outer);
}

/* ---- INSERT ---- */

static void
add_name(struct buf *list, const char *name)
{
    if (list->len > 0)
        buf_add_str(list, ", ");
    buf_add_u8(list, '"');
    for (; *name != '\0'; name++) {
        if (*name == '"')
            buf_add_u8(list, '"');
        buf_add_u8(list, (uint8_t)*name);
    }
    buf_add_u8(list, '"');
}

/* The added columns' names, behind those that are given in the table's order when asked for. */
static const char *
quoted_columns(struct insert *i, bool given)
{
    struct buf list = BUF_EMPTY;
    const char *names;

    for (uint32_t n = 0; given && n < i->given_count; n++)
        add_name(&list, i->table->columns[n].name);
    for (uint32_t n = 0; n < i->added_count; n++)
        add_name(&list, i->table->columns[i->added[n]].name);
    names = arena_strndup(&i->d->arena, (const char *)list.data, list.len);
    buf_free(&list);
    return names;
}

/* Which columns must be named. False when one can only be refused. */
static bool
find_added(struct insert *i)
{
    struct sql_determinism *d = i->d;
    uint32_t count = i->table->column_count;

    i->added = arena_alloc(&d->arena, (count + 1) * sizeof(*i->added));
    i->kinds = arena_alloc(&d->arena, (count + 1) * sizeof(*i->kinds));
    for (uint32_t n = 0; n < count; n++) {
        const struct sql_known_column *column = &i->table->columns[n];
        enum sql_value_kind kind;
        enum sql_equality equality;
        if (is_given(i->given, i->given_count, n))
            continue;
        equality = determinism_fallback(d, column, &kind);
        if (equality == SQL_EQUAL)
            continue;
        if (equality == SQL_UNEQUAL) {
            refuse_column(d, column);
            return false;
        }
        i->kinds[i->added_count] = kind;
        i->added[i->added_count++] = (uint16_t)n;
        i->system |= column->always;
    }
    return true;
}

/* Puts the added columns' values in front of what stands at `at`. */
static void
add_values(struct insert *i, uint32_t at, bool first)
{
    for (uint32_t n = 0; n < i->added_count; n++) {
        const struct sql_known_column *column = &i->table->columns[i->added[n]];
        determinism_insert_text(i->d, at, first && n == 0 ? "" : ", ",
                                value_of(i->d, column, i->kinds[n]), "");
    }
}

/* Names the added columns, behind those that are there, and says OVERRIDING where it is due. */
static void
add_columns(struct insert *i)
{
    struct sql_determinism *d = i->d;
    const struct sql_token *last = &d->t[i->behind_target - 1];
    const char *system = i->system && i->overriding == 0 ? " OVERRIDING SYSTEM VALUE" : "";

    if (i->open == 0) {
        if (i->added_count > 0)
            system = arena_printf(&d->arena, " (%s)%s", quoted_columns(i, true), system);
        if (*system != '\0')
            determinism_insert_text(d, last->start + last->len, system, SQL_NO_VALUE, "");
        return;
    }
    last = &d->t[d->t[i->open].match];
    if (i->added_count > 0)
        determinism_insert_text(d, last->start, ", ", SQL_NO_VALUE, quoted_columns(i, false));
    if (*system != '\0')
        determinism_insert_text(d, last->start + last->len, system, SQL_NO_VALUE, "");
}

static const struct sql_known_column *
column_of(const struct insert *i, uint32_t item)
{
    uint32_t column = item;

    if (i->given != NULL)
        column = item < i->given_count ? i->given[item] : UINT16_MAX;
    return column < i->table->column_count ? &i->table->columns[column] : NULL;
}

/* A row of VALUES, its parenthesis at n. */
static void
insert_row(struct insert *i, uint32_t n)
{
    struct sql_determinism *d = i->d;
    uint32_t close = d->t[n].match;
    struct sql_scope scope = {.rows = false};
    uint32_t item = 0;

    for (uint32_t at = n + 1; at < close; item++) {
        uint32_t end = item_end(d, at, close);
        scope.column = column_of(i, item);
        if (end == at + 1 && d->t[at].kind == K_DEFAULT) {
            uint32_t places = d->places.count;
            take_default(d, at, scope.column, false);
            i->system |= d->places.count > places && scope.column->always;
        } else {
            determinism_expression(d, at, end, &scope);
        }
        at = end + 1;
    }
    if (i->added_count > 0)
        add_values(i, d->t[close].start, false);
}

static uint32_t
count_items(struct sql_determinism *d, uint32_t from, uint32_t to, bool *star_r)
{
    uint32_t count = 0;

    *star_r = false;
    while (from < to) {
        uint32_t end = item_end(d, from, to);
        const struct sql_token *last = &d->t[end - 1];
        if (end > from && last->kind == T_OPERATOR)
            *star_r = true;
        count++;
        from = end + 1;
    }
    return count;
}

/* Nothing but rows behind VALUES. */
static bool
is_rows(const struct insert *i)
{
    const struct sql_token *t = i->d->t;
    uint32_t n = i->query + 1;

    while (n < i->query_end && t[n].kind == '(') {
        n = t[n].match + 1;
        if (n >= i->query_end)
            return true;
        if (t[n++].kind != ',')
            return false;
    }
    return false;
}

static void
insert_rows(struct insert *i)
{
    struct sql_determinism *d = i->d;
    uint32_t end = i->query_end;
    bool star;

    if (i->open == 0)
        i->given_count = count_items(d, i->query + 2, d->t[i->query + 1].match, &star);
    if (i->given_count > i->table->column_count || !find_added(i))
        return; /* too many values: the server says so */
    for (uint32_t n = i->query + 1, rows = 0; n < end; n++) {
        if (d->t[n].kind != '(')
            continue;
        insert_row(i, n);
        i->several = ++rows > 1;
        n = d->t[n].match;
    }
    add_columns(i);
}

/* DEFAULT VALUES */
static void
insert_defaults(struct insert *i)
{
    struct sql_determinism *d = i->d;
    uint32_t values = i->query + 1;
    const char *begin;

    i->given = NULL;
    i->given_count = 0;
    if (!find_added(i) || i->added_count == 0)
        return;
    begin = arena_printf(&d->arena, "(%s)%s VALUES (", quoted_columns(i, true),
                         i->system ? " OVERRIDING SYSTEM VALUE" : "");
    determinism_replace(d, i->query, values, SQL_NO_VALUE);
    determinism_insert_text(d, d->t[values].start, begin, SQL_NO_VALUE, "");
    add_values(i, d->t[values].start, true);
    determinism_insert_text(d, d->t[values].start, "", SQL_NO_VALUE, ")");
    determinism_replace(d, values, values + 1, SQL_NO_VALUE);
}

/* The list of SELECT that the rows come from; 0 when there is none that could be longer. */
static uint32_t
list_begin(const struct sql_determinism *d, const struct sql_clauses *c)
{
    uint32_t n = c->select;

    if (n == 0 || c->set_operation > 0)
        return 0;
    n++;
    if (d->t[n].kind == K_ALL)
        return n + 1;
    if (d->t[n].kind != K_DISTINCT)
        return n;
    return c->distinct_on ? d->t[n + 2].match + 1 : n + 1;
}

static bool
is_own(const struct insert *i)
{
    for (uint32_t n = 0; n < i->added_count; n++) {
        if (i->kinds[n] == SQL_VALUE_OWN || i->kinds[n] == SQL_VALUE_DRAWN)
            return true;
    }
    return false;
}

static void
insert_query(struct insert *i, const struct sql_scope *outer)
{
    struct sql_determinism *d = i->d;
    struct sql_scope scope = {.rows = outer->rows};
    bool star = false, sets, aggregate;
    struct sql_clauses c;
    uint32_t begin;

    determinism_clauses(d, i->query, i->query_end, &c);
    begin = list_begin(d, &c);
    if (i->open == 0)
        i->given_count = begin > 0 ? count_items(d, begin, c.list_end, &star) : 0;
    determinism_counts(d, i->query, i->query_end, &sets, &aggregate);
    i->several = begin == 0 || c.from > 0 || sets;
    determinism_query(d, i->query, i->query_end, &scope);
    if (i->given_count > i->table->column_count || !find_added(i))
        return;
    if (i->added_count > 0 && (begin == 0 || begin >= c.list_end || (star && i->open == 0)))
        refuse_column(d, &i->table->columns[i->added[0]]);
    if (d->refused || i->added_count == 0)
        return;
    if (is_own(i) && i->several) {
        determinism_refuse(d, "Give the rows one by one with VALUES, or name the column.",
                           "column \"%s\" gets another value in each row, and on each server",
                           i->table->columns[i->added[0]].name);
        return;
    }
    add_columns(i);
    add_values(i, d->t[c.list_end - 1].start + d->t[c.list_end - 1].len, false);
}

static void
on_conflict(struct insert *i, uint32_t n, uint32_t to)
{
    struct sql_determinism *d = i->d;
    struct sql_scope scope = {.rows = i->several, .many = true, .table = i->table};

    while (n < to && d->t[n].kind != K_DO)
        n = d->t[n].kind == '(' ? determinism_parenthesis(d, n, &scope) : n + 1;
    if (n + 1 >= to)
        return;
    if (determinism_is(d, n + 1, "nothing")) {
        if (i->several && !(d->t[i->query].kind == K_VALUES && is_rows(i)) &&
            !determinism_total_order(d, i->query, i->query_end))
            determinism_refuse(d, "Order the rows by a key, or leave out those that are there.",
                               "which of two rows with the same key stays depends on their order");
        return;
    }
    n = find(d, n, to, K_SET);
    if (n < to)
        n = assignments(d, n + 1, to, i->table, &scope);
    scope.rows = true;
    determinism_expression(d, n, to, &scope);
}

/* Behind the target: alias, columns, OVERRIDING. */
static void
insert_head(struct insert *i, uint32_t n)
{
    struct sql_determinism *d = i->d;

    if (d->t[n].kind == K_AS)
        n += 2;
    i->behind_target = n;
    if (d->t[n].kind == '(' && !determinism_begins_query(d, n + 1)) {
        i->open = n;
        i->given = determinism_names(d, i->table, n, &i->given_count);
        n = d->t[n].match + 1;
    }
    if (d->t[n].kind == K_OVERRIDING) {
        i->overriding = n;
        n += 3;
    }
    i->query = n;
}

static bool
has_identity(const struct sql_known_table *table)
{
    for (uint32_t n = 0; n < table->column_count; n++) {
        if (table->columns[n].fallback != NULL &&
            strstr(table->columns[n].fallback, "nextval(") != NULL)
            return true;
    }
    return false;
}

void
determinism_insert(struct sql_determinism *d, uint32_t n, uint32_t to,
                   const struct sql_scope *outer)
{
    struct insert i = {.d = d};
    uint32_t name = n + 2;
    uint32_t end = find(d, n, to, K_RETURNING);
    uint32_t conflict = n;

    i.table = written_table(d, name);
    if (i.table == NULL || i.table->column_count > COLUMNS_MAX)
        return;
    do {
        conflict = find(d, conflict + 1, end, K_ON);
    } while (conflict < end && d->t[conflict + 1].kind != K_CONFLICT);
    insert_head(&i, determinism_chain_end(d, name) + 1);
    i.query_end = conflict;
    if (i.overriding > 0 && d->t[i.overriding + 1].kind == K_USER && has_identity(i.table))
        determinism_refuse(d, "Leave out OVERRIDING and the column.",
                           "a value from a sequence would take the place of the one given");
    if (d->t[i.query].kind == K_DEFAULT)
        insert_defaults(&i);
    else if (d->t[i.query].kind == K_VALUES && is_rows(&i))
        insert_rows(&i);
    else
        insert_query(&i, outer);
    if (conflict < end)
        on_conflict(&i, conflict + 2, end);
    returning(d, end, to, outer);
}

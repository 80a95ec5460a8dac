/*
 * Which calls and words of an expression give something else on each server, and what becomes of
 * them.
 *
 * Called by queries.c for each token that is no parenthesis. A call is known by its name
 * (include/tables/unequal.def, functions.def), or to the catalog, or refused.
 */
#include "sql/determining.h"

#include "base/str.h"

#include "gram.h"

#include <string.h>

enum behaviour {
    TRANSACTION,
    STATEMENT,
    OWN,
    DRAWN,
    RECALLED,
    LARGE_OBJECT,
    AGE,
    ORDERED,
    WINDOW,
    SEVERAL,
    EQUAL,
    NEVER,
};

struct unequal {
    const char *name;
    enum behaviour behaviour;
    const char *type;
};

static const struct unequal unequals[] = {
#define SQL_UNEQUAL(name, behaviour, type) {name, behaviour, type},
#include "tables/unequal.def"
#undef SQL_UNEQUAL
};

static const struct unequal *
find(struct sql_text name)
{
    size_t low = 0;
    size_t high = ARRAY_LEN(unequals);

    while (low < high) {
        size_t middle = (low + high) / 2;
        const char *other = unequals[middle].name;
        size_t len = strlen(other);
        int order = memcmp(name.data, other, MIN(name.len, len));
        if (order == 0)
            order = name.len < len ? -1 : name.len > len;
        if (order == 0)
            return &unequals[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static bool
is_ordered(struct sql_text name)
{
    const struct unequal *u = find(name);

    return u != NULL && (u->behaviour == ORDERED || u->behaviour == WINDOW);
}

bool
sql_function_equal(struct sql_text name, uint8_t args)
{
    static const struct sql_text system = {"pg_catalog", 10};
    const struct unequal *u = find(name);

    if (u == NULL || u->behaviour == AGE)
        return sql_function_fixed(system, name, args);
    /* of several setval() the last one counts */
    return u->behaviour == SEVERAL || (u->behaviour == EQUAL && !determinism_same(name, "setval"));
}

/* ---- arguments ---- */

static uint8_t
count_arguments(const struct sql_determinism *d, uint32_t open)
{
    uint32_t close = d->t[open].match;
    uint32_t commas = 0;

    for (uint32_t n = open + 1; n < close; n++) {
        if (d->t[n].kind == '(')
            n = d->t[n].match;
        else if (d->t[n].kind == K_ORDER)
            break;
        commas += d->t[n].kind == ',';
    }
    return close == open + 1 ? 0 : (uint8_t)MIN(commas + 1, 254u);
}

/* Nothing but literals, numbers and casts: another connection can be asked for it. */
static bool
is_constant(const struct sql_determinism *d, uint32_t from, uint32_t to)
{
    for (uint32_t n = from; n < to; n++) {
        switch (d->t[n].kind) {
        case T_STRING:
        case T_NUMBER:
        case K_NULL:
        case K_TRUE:
        case K_FALSE:
        case ',':
        case T_OPERATOR:
            break;
        case T_CAST:
            n = determinism_type_end(d, n + 1) - 1;
            break;
        default:
            return false;
        }
    }
    return true;
}

/* ---- select lists ---- */

static bool
ends_item(const struct sql_determinism *d, uint32_t n, uint32_t to)
{
    if (n >= to)
        return true;
    switch (d->t[n].kind) {
    case ',':
    case K_FROM:
    case K_INTO:
    case K_WHERE:
    case K_GROUP:
    case K_HAVING:
    case K_WINDOW:
    case K_UNION:
    case K_INTERSECT:
    case K_EXCEPT:
    case K_ORDER:
    case K_LIMIT:
    case K_OFFSET:
    case K_FETCH:
    case K_FOR:
        return true;
    default:
        return false;
    }
}

/* What stands from first to `end` gave a column of a query its name: a literal in its place does
 * not. */
static void
keep_name(struct sql_determinism *d, uint32_t first, uint32_t end, uint32_t to, const char *name)
{
    int before;

    while (end < to && d->t[end].kind == T_CAST)
        end = determinism_type_end(d, end + 1);
    before = first > 0 ? d->t[first - 1].kind : 0;
    if (before != K_SELECT && before != ',' && before != K_ALL && before != K_DISTINCT)
        return;
    if (ends_item(d, end, to) && end > 0) {
        const struct sql_token *last = &d->t[end - 1];
        char *alias = arena_printf(&d->arena, " AS \"%s\"", name);
        determinism_insert_text(d, last->start + last->len, alias, SQL_NO_VALUE, "");
    }
}

/* ---- replacing ---- */

struct call {
    uint32_t first; /* token of the name, with its schema */
    uint32_t open;
    uint32_t close;
    uint32_t to;
    struct sql_text name;
    bool listed; /* in a list of SELECT */
};

static bool
may_ask(struct sql_determinism *d, const struct call *c, const struct sql_scope *scope,
        enum sql_value_kind kind)
{
    bool own = kind == SQL_VALUE_OWN || kind == SQL_VALUE_DRAWN;

    if (scope->from) {
        determinism_refuse(d, "Write it into a list of values.",
                           "\"%.*s\" gives another row on each server", (int)c->name.len,
                           c->name.data);
        return false;
    }
    if (!is_constant(d, c->open + 1, c->close)) {
        determinism_refuse(d, "Ask for the value first, and give it.",
                           "\"%.*s\" gives other values on each server, and its arguments are not "
                           "known before",
                           (int)c->name.len, c->name.data);
        return false;
    }
    if (own && scope->rows) {
        determinism_refuse(
            d,
            "Give the rows one by one with VALUES, or name one row by all columns of "
            "a key.",
            "\"%.*s\" gives each row another value, and on each server", (int)c->name.len,
            c->name.data);
        return false;
    }
    return true;
}

static void
ask(struct sql_determinism *d, const struct call *c, const struct sql_scope *scope,
    enum sql_value_kind kind, const char *type)
{
    struct sql_text expression = determinism_written(d, c->first, c->close + 1);
    char name[SQL_IDENTIFIER_MAX + 1];

    if (scope->answer || !may_ask(d, c, scope, kind))
        return;
    determinism_replace(d, c->first, c->close + 1,
                        determinism_value(d, kind, expression, determinism_text(type)));
    str_copy_n(name, sizeof(name), c->name.data, c->name.len);
    if (c->listed && strchr(name, '"') == NULL)
        keep_name(d, c->first, c->close + 1, c->to, name);
}

/* A number that is not 0, perhaps in quotes. */
static bool
is_number(const struct sql_determinism *d, uint32_t n)
{
    const struct sql_token *t = &d->t[n];
    const char *text = d->work.text + t->start;

    if (t->kind != T_NUMBER && t->kind != T_STRING)
        return false;
    for (uint32_t at = 0; at < t->len; at++) {
        if (text[at] >= '1' && text[at] <= '9')
            return true;
    }
    return false;
}

static void
make_large_object(struct sql_determinism *d, const struct call *c, const struct sql_scope *scope)
{
    static const char number[] =
        "(SELECT COALESCE(pg_catalog.max(o.oid::pg_catalog.int8), 16383) + 1"
        " FROM pg_catalog.pg_largeobject_metadata AS o)";
    const struct sql_token *t = &d->t[c->open + 1];
    bool old = determinism_same(c->name, "lo_creat");
    uint32_t value;

    if (!old && is_number(d, c->open + 1))
        return; /* the client's own */
    if (scope->from || scope->rows || (!old && t->kind != T_NUMBER)) {
        determinism_refuse(d, "Give it a number, and make one at a time.",
                           "each server would give the large object a number of its own");
        return;
    }
    value = determinism_value(d, SQL_VALUE_LARGE_OBJECT, determinism_text(number),
                              determinism_text("pg_catalog.oid"));
    if (old) {
        uint32_t start = d->t[c->first].start;
        uint32_t paren = d->t[c->open].start;
        determinism_replace(d, c->first, c->open, SQL_NO_VALUE);
        determinism_insert_text(d, paren, "pg_catalog.lo_create", SQL_NO_VALUE, "");
        if (c->close == c->open + 1 || start == paren)
            return;
        determinism_replace(d, c->open + 1, c->close, value);
    } else {
        determinism_replace(d, c->open + 1, c->open + 2, value);
    }
}

static void
count_from_today(struct sql_determinism *d, const struct call *c)
{
    uint32_t value;

    if (count_arguments(d, c->open) != 1)
        return;
    value = determinism_value(d, SQL_VALUE_TRANSACTION, determinism_text("CURRENT_DATE"),
                              determinism_text("pg_catalog.date"));
    determinism_insert_text(d, d->t[c->open + 1].start, "", value, ", ");
}

/* ---- calls ---- */

static void
refuse_call(struct sql_determinism *d, const struct call *c)
{
    determinism_refuse(d,
                       "Ask for the value first and give it, or write a function that is immutable "
                       "or depends on nothing but tables.",
                       "function \"%.*s\" may do or return something else on each server",
                       (int)c->name.len, c->name.data);
}

static void
judge_unequal(struct sql_determinism *d, const struct call *c, const struct sql_scope *scope,
              const struct unequal *u)
{
    switch (u->behaviour) {
    case TRANSACTION:
        ask(d, c, scope, SQL_VALUE_TRANSACTION, u->type);
        break;
    case STATEMENT:
        ask(d, c, scope, SQL_VALUE_STATEMENT, u->type);
        break;
    case OWN:
        ask(d, c, scope, SQL_VALUE_OWN, u->type);
        break;
    case DRAWN:
        ask(d, c, scope, SQL_VALUE_DRAWN, u->type);
        break;
    case RECALLED:
        ask(d, c, scope, SQL_VALUE_RECALLED, u->type);
        break;
    case LARGE_OBJECT:
        make_large_object(d, c, scope);
        break;
    case AGE:
        if (!scope->answer)
            count_from_today(d, c);
        break;
    case ORDERED:
        determinism_aggregate(d, c->name, c->open, scope);
        break;
    case WINDOW:
        determinism_window(d, c->name, c->open, scope);
        break;
    case SEVERAL:
        break;
    case EQUAL:
        /* the last row counts, and which one that is */
        if (scope->rows && determinism_same(c->name, "setval") &&
            !is_constant(d, c->open + 1, c->close))
            refuse_call(d, c);
        break;
    case NEVER:
        if (!scope->answer)
            refuse_call(d, c);
        break;
    }
}

/* Does it change something, so that its arguments must be the same everywhere? */
static bool
has_effect(struct sql_text schema, struct sql_text name)
{
    enum sql_function_class c = sql_function_class(schema, name);

    return c == SQL_FUNCTION_PRIMARY || c == SQL_FUNCTION_SESSION || c == SQL_FUNCTION_UNKNOWN;
}

static void
judge_call(struct sql_determinism *d, const struct call *c, struct sql_text schema,
           const struct sql_scope *scope)
{
    struct sql_function f = {.schema = schema, .name = c->name};
    bool own = schema.len == 0 || determinism_same(schema, "pg_catalog");
    const struct unequal *u = own ? find(c->name) : NULL;
    enum sql_known_function known;
    struct sql_text *seen = sql_list_add(&d->seen, sizeof(*seen));

    *seen = c->name;
    f.args = count_arguments(d, c->open);
    f.function_class = sql_function_class(schema, c->name);
    known = determinism_same(schema, "pg_catalog") ? SQL_KNOWN_NOT
                                                   : d->known->function(d->known->ctx, &f);
    /* extensions have their names for identifiers in any schema */
    if (u != NULL && (known == SQL_KNOWN_NOT || f.function_class == SQL_FUNCTION_UNKNOWN))
        judge_unequal(d, c, scope, u);
    else if (known == SQL_KNOWN_UNEQUAL)
        refuse_call(d, c);
    else if (known == SQL_KNOWN_NOT && (!own || !sql_function_fixed(schema, c->name, f.args)) &&
             !(scope->answer && f.function_class == SQL_FUNCTION_SAFE))
        refuse_call(d, c);
}

static bool
sums_up(const struct sql_determinism *d, uint32_t n)
{
    static const char *const names[] = {"avg", "bool_and", "bool_or", "count", "max", "min", "sum"};

    for (size_t at = 0; at < ARRAY_LEN(names); at++) {
        if (determinism_is(d, n, names[at]))
            return true;
    }
    return false;
}

static uint32_t
call(struct sql_determinism *d, uint32_t first, uint32_t last, uint32_t to,
     const struct sql_scope *scope)
{
    struct call c = {first, last + 1, d->t[last + 1].match, to, determinism_name(d, last), false};
    struct sql_text schema = {"", 0};
    struct sql_scope inner = *scope;
    uint32_t places = d->places.count;

    if (last > first)
        schema = determinism_name(d, last - 2);
    c.listed = scope->list;
    d->looked_at[last] = true;
    judge_call(d, &c, schema, scope);
    if (d->places.count > places && is_constant(d, c.open + 1, c.close))
        return c.close + 1; /* its arguments went with it */
    inner.column = NULL;
    inner.call = true;
    inner.from = inner.list = false;
    inner.answer &= !has_effect(schema, c.name);
    if (sums_up(d, last) || is_ordered(c.name))
        inner.rows |= inner.many;
    return determinism_parenthesis(d, c.open, &inner);
}

static bool
is_window(const struct sql_determinism *d, uint32_t open, uint32_t to)
{
    uint32_t behind = d->t[open].match + 1;

    if (behind + 1 < to && d->t[behind].kind == K_FILTER && d->t[behind + 1].kind == '(')
        behind = d->t[behind + 1].match + 1;
    return behind < to && d->t[behind].kind == K_OVER;
}

void
determinism_counts(struct sql_determinism *d, uint32_t from, uint32_t to, bool *several_r,
                   bool *aggregate_r)
{
    *several_r = *aggregate_r = false;
    for (uint32_t n = from; n < to; n++) {
        const struct unequal *u;
        if (d->t[n].kind == '(' && determinism_begins_query(d, n + 1)) {
            n = d->t[n].match;
            continue;
        }
        if (!sql_is_name(&d->t[n]) || d->t[n + 1].kind != '(')
            continue;
        u = find(determinism_name(d, n));
        *several_r |= u != NULL && u->behaviour == SEVERAL;
        if (u == NULL && sql_function_class((struct sql_text){NULL, 0}, determinism_name(d, n)) ==
                             SQL_FUNCTION_UNKNOWN)
            *several_r |= d->t[n].category == SQL_NO_KEYWORD;
        *aggregate_r |= sums_up(d, n) && !is_window(d, n + 1, to);
    }
}

/* ---- words ---- */

static const char *
type_of_word(int kind)
{
    switch (kind) {
    case K_CURRENT_DATE:
        return "pg_catalog.date";
    case K_CURRENT_TIME:
        return "pg_catalog.timetz";
    case K_CURRENT_TIMESTAMP:
        return "pg_catalog.timestamptz";
    case K_LOCALTIME:
        return "pg_catalog.time";
    case K_LOCALTIMESTAMP:
        return "pg_catalog.timestamp";
    default:
        return NULL;
    }
}

static const char *
name_of_word(int kind)
{
    switch (kind) {
    case K_CURRENT_DATE:
        return "current_date";
    case K_CURRENT_TIME:
        return "current_time";
    case K_CURRENT_TIMESTAMP:
        return "current_timestamp";
    case K_LOCALTIME:
        return "localtime";
    default:
        return "localtimestamp";
    }
}

static uint32_t
time_word(struct sql_determinism *d, uint32_t n, uint32_t to, const struct sql_scope *scope)
{
    uint32_t end = n + 1;
    uint32_t value;

    d->looked_at[n] = true;
    if (end < to && d->t[end].kind == '(')
        end = d->t[end].match + 1;
    if (scope->answer)
        return end;
    if (scope->from) {
        determinism_refuse(d, "Write it into a list of values.",
                           "the current time is another one on each server");
        return end;
    }
    value = determinism_value(d, SQL_VALUE_TRANSACTION, determinism_written(d, n, end),
                              determinism_text(type_of_word(d->t[n].kind)));
    determinism_replace(d, n, end, value);
    if (scope->list)
        keep_name(d, n, end, to, name_of_word(d->t[n].kind));
    return end;
}

bool
determinism_varies(struct sql_determinism *d, uint32_t n)
{
    const struct sql_token *t = &d->t[n];
    const struct unequal *u;

    if (t->kind == T_STRING)
        return determinism_is_now(d, n);
    if (!sql_is_name(t) || (n > 0 && t[-1].kind == K_AS))
        return false;
    if (type_of_word(t->kind) != NULL)
        return n == 0 || t[-1].kind != '.';
    if (n + 1 >= d->end || t[1].kind != '(')
        return false;
    u = find(determinism_name(d, n));
    return u != NULL && u->behaviour != SEVERAL && u->behaviour != EQUAL;
}

static bool
is_system_column(const struct sql_determinism *d, uint32_t n)
{
    static const char *const names[] = {"cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"};

    for (size_t at = 0; at < ARRAY_LEN(names); at++) {
        if (determinism_is(d, n, names[at]))
            return true;
    }
    return false;
}

static void
judge_word(struct sql_determinism *d, uint32_t n)
{
    if (is_system_column(d, n))
        determinism_refuse(d, "Use the columns of a key.",
                           "system column \"%.*s\" is another one on each server", (int)d->t[n].len,
                           d->work.text + d->t[n].start);
    else if (d->t[n].kind == K_TABLESAMPLE)
        determinism_refuse(d, "Choose rows by a condition.",
                           "TABLESAMPLE takes other rows on each server");
    else if (determinism_is(d, n, "skip") && determinism_is(d, n + 1, "locked"))
        determinism_refuse(d,
                           "Choose the rows by a SELECT of its own, then name them by their key.",
                           "SKIP LOCKED takes other rows on each server");
    else if (determinism_is(d, n, "current") && d->t[n + 1].kind == K_OF)
        determinism_refuse(d, "Name the row by its key.",
                           "the cursor may stand at another row on each server");
}

/* Words in front of a parenthesis that call nothing. */
static bool
is_syntax(const struct sql_determinism *d, uint32_t n)
{
    const struct sql_token *t = &d->t[n];

    if (t->category == SQL_RESERVED || t->category == SQL_COL_NAME)
        return true;
    switch (t->kind) {
    case K_OVER:
    case K_FILTER:
    case K_BY:
    case K_SETS:
    case K_CONFLICT:
    case K_SET:
    case K_CUBE:
    case K_ROLLUP:
    case K_ZONE:
    case K_ESCAPE:
    case K_LIKE:
    case K_ILIKE:
    case K_OPERATOR:
    case K_RANGE:
    case K_ROWS:
    case K_REPEATABLE:
    case K_OVERLAPS:
    case K_FIRST:
    case K_NEXT:
    case K_INSERT:
        return true;
    default:
        return false;
    }
}

static bool
is_alias(const struct sql_determinism *d, uint32_t n, const struct sql_scope *scope)
{
    const struct sql_token *before = n > 0 ? &d->t[n - 1] : &d->t[n];

    return scope->from && n > 0 && before->kind != K_LATERAL && before->kind != K_ONLY &&
           ((sql_is_name(before) && before->category == SQL_NO_KEYWORD) || before->kind == ')');
}

uint32_t
determinism_look(struct sql_determinism *d, uint32_t n, uint32_t to, const struct sql_scope *scope)
{
    const struct sql_token *t = &d->t[n];
    uint32_t last;
    uint32_t next = determinism_literal(d, n, to, scope);

    if (next > 0)
        return next;
    if (!sql_is_name(t))
        return n + 1;
    if (t->kind == K_AS && n + 1 < to && sql_is_name(&d->t[n + 1]))
        return determinism_type_end(d, n + 1);
    if (t->kind == K_COLLATE && n + 1 < to)
        return determinism_chain_end(d, n + 1) + 1;
    last = determinism_chain_end(d, n);
    if (last == n && type_of_word(t->kind) != NULL)
        return time_word(d, n, to, scope);
    if (last + 1 < to && d->t[last + 1].kind == '(') {
        if (is_alias(d, n, scope))
            return d->t[last + 1].match + 1;
        if (last > n || !is_syntax(d, n))
            return call(d, n, last, to, scope);
    }
    if (!scope->answer)
        judge_word(d, last);
    return last + 1;
}

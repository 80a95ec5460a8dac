/*
 * Names in expressions: columns, calls, what syntax makes a call of, and types in front of strings.
 *
 * Called by sql/expr and, for functions in FROM, by sql/walk. In front of a parenthesis a name is a
 * call, unless it is one of the words that SQL has there; one behind a value that is none of these
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

/* ---- arguments ---- */

static uint32_t
open_arguments(struct sql_look *l, uint32_t n, enum sql_call call)
{
    n = sql_open(l, n, SQL_AT_EXPRESSION);
    top(l)->call = (uint8_t)call;
    return n;
}

/* Does one of these words stand directly within the parenthesis at n? */
static bool
holds(const struct sql_look *l, uint32_t n, int a, int b, int c)
{
    uint32_t close = l->t[n].match;

    while (++n < close) {
        int kind = l->t[n].kind;
        if (kind == '(')
            n = l->t[n].match;
        else if ((kind == a || kind == b || kind == c) && l->t[n - 1].kind != '.')
            return true;
    }
    return false;
}

/* set_config('name', 'value', false) */
static void
note_setting(struct sql_look *l, uint32_t open)
{
    const struct sql_token *t = &l->t[open];
    uint32_t close = l->t[open].match;
    struct sql_setting *s;

    s = sql_list_add(&l->found->settings, sizeof(*s));
    *s = (struct sql_setting){
        .local = true,
        .ends = close > open + 2 && l->t[close - 1].kind == K_TRUE && l->t[close - 2].kind == ',',
    };
    l->literals = true;
    if (t[1].kind != T_STRING || t[2].kind != ',')
        return;
    s->name = sql_literal(l, open + 1, true);
    if (t[3].kind == T_STRING && t[4].kind == ',') {
        s->value = sql_literal(l, open + 3, false);
        s->local = !(t[5].kind == K_FALSE && t[6].kind == ')');
    }
}

static bool
is_set_config(const struct sql_look *l, uint32_t n)
{
    static const char quoted[] = "\"set_config\"";
    const struct sql_token *t = &l->t[n];

    return sql_is_word(l, n, "set_config") ||
           (t->quoted && t->len == sizeof(quoted) - 1 &&
            memcmp(l->w->text + t->start, quoted, sizeof(quoted) - 1) == 0);
}

/* The name from first to last is called. */
static uint32_t
call(struct sql_look *l, uint32_t first, uint32_t last)
{
    sql_add_function(l, first);
    sql_look_at_time_call(l, last, last + 1);
    if (is_set_config(l, last))
        note_setting(l, last + 1);
    return open_arguments(l, last + 1, SQL_CALL_NONE);
}

/* ---- calls made by syntax ---- */

static uint32_t
trim(struct sql_look *l, uint32_t n)
{
    int kind = l->t[n + 2].kind;

    sql_add_syntax(l, kind == K_LEADING ? "ltrim" : kind == K_TRAILING ? "rtrim" : "btrim");
    return open_arguments(l, n + 1, SQL_CALL_NONE);
}

static uint32_t
value_function(struct sql_look *l, uint32_t n, const char *name)
{
    sql_add_syntax(l, name);
    l->operand = SQL_OPERAND;
    if (l->t[n + 1].kind != '(')
        return n + 1;
    if (l->t[n + 2].kind != T_NUMBER || l->t[n + 3].kind != ')')
        l->bad = true;
    return n + 4;
}

static const char *
value_function_name(int kind)
{
    switch (kind) {
    case K_CURRENT_CATALOG:
        return "current_catalog";
    case K_CURRENT_DATE:
        return "current_date";
    case K_CURRENT_ROLE:
        return "current_role";
    case K_CURRENT_TIME:
        return "current_time";
    case K_CURRENT_TIMESTAMP:
        return "current_timestamp";
    case K_CURRENT_USER:
        return "current_user";
    case K_LOCALTIME:
        return "localtime";
    case K_LOCALTIMESTAMP:
        return "localtimestamp";
    case K_SESSION_USER:
        return "session_user";
    case K_SYSTEM_USER:
        return "system_user";
    case K_USER:
        return "user";
    default:
        return NULL;
    }
}

static const char *
xml_name(int kind)
{
    switch (kind) {
    case K_XMLCONCAT:
        return "xmlconcat";
    case K_XMLELEMENT:
        return "xmlelement";
    case K_XMLEXISTS:
        return "xmlexists";
    case K_XMLFOREST:
        return "xmlforest";
    case K_XMLPARSE:
        return "xmlparse";
    case K_XMLPI:
        return "xmlpi";
    case K_XMLROOT:
        return "xmlroot";
    case K_XMLSERIALIZE:
        return "xmlserialize";
    case K_XMLTABLE:
        return "xmltable";
    default:
        return NULL;
    }
}

/* A word that only syntax may call, in front of a parenthesis. 0 when it is none. */
static uint32_t
syntax_call(struct sql_look *l, uint32_t n)
{
    const char *name = xml_name(l->t[n].kind);

    if (name != NULL) {
        sql_add_syntax(l, name);
        return open_arguments(l, n + 1,
                              l->t[n].kind == K_XMLSERIALIZE ? SQL_CALL_CAST : SQL_CALL_XML);
    }
    switch (l->t[n].kind) {
    case K_CAST:
        return open_arguments(l, n + 1, SQL_CALL_CAST);
    case K_TREAT:
        return open_arguments(l, n + 1, SQL_CALL_TREAT);
    case K_EXTRACT:
        sql_add_syntax(l, "extract");
        break;
    case K_POSITION:
        sql_add_syntax(l, "position");
        break;
    case K_NORMALIZE:
        sql_add_syntax(l, "normalize");
        break;
    case K_OVERLAY:
        if (!holds(l, n + 1, K_FROM, K_FROM, K_FOR))
            return call(l, n, n);
        sql_add_syntax(l, "overlay");
        break;
    case K_SUBSTRING:
        if (!holds(l, n + 1, K_FROM, K_FOR, K_SIMILAR))
            return call(l, n, n);
        sql_add_syntax(l, "substring");
        l->similar = true;
        break;
    case K_TRIM:
        return trim(l, n);
    case K_COALESCE:
    case K_GREATEST:
    case K_LEAST:
    case K_NULLIF:
    case K_ROW:
    case K_EXISTS:
    case K_GROUPING:
    case K_VALUES:
    case K_BETWEEN:
    case K_XMLATTRIBUTES:
    case K_XMLNAMESPACES:
        return open_arguments(l, n + 1, SQL_CALL_XML);
    case K_JSON_ARRAY:
    case K_JSON_ARRAYAGG:
    case K_JSON_OBJECT:
    case K_JSON_OBJECTAGG:
        sql_add_new_syntax(l, n, 16);
        return open_arguments(l, n + 1, SQL_CALL_JSON);
    case K_JSON:
    case K_JSON_EXISTS:
    case K_JSON_QUERY:
    case K_JSON_SCALAR:
    case K_JSON_SERIALIZE:
    case K_JSON_TABLE:
    case K_JSON_VALUE:
    case K_MERGE_ACTION:
        sql_add_new_syntax(l, n, 17);
        return open_arguments(l, n + 1, SQL_CALL_JSON);
    default:
        return 0;
    }
    return open_arguments(l, n + 1, SQL_CALL_NONE);
}

/* OPERATOR(schema.+) */
static uint32_t
operator_call(struct sql_look *l, uint32_t n)
{
    uint32_t close = l->t[n + 1].match;

    if (l->t[close - 1].kind != T_OPERATOR) {
        l->bad = true;
        return l->end;
    }
    sql_add_operator(l, close - 2 > n + 1 ? close - 3 : 0, close - 1);
    l->operand = SQL_NO_OPERAND;
    return close + 1;
}

/* ---- words that stand in front of a parenthesis without calling ---- */

static bool
is_infix(const struct sql_look *l, uint32_t n)
{
    switch (l->t[n].kind) {
    case K_OVER:
    case K_FILTER:
        return l->t[n - 1].kind == ')';
    case K_ESCAPE:
    case K_LIKE:
    case K_ILIKE:
    case K_OVERLAPS:
    case K_VALUE:
    case K_COLUMNS:
    case K_PASSING:
    case K_ROWS:
    case K_RANGE:
    case K_GROUPS:
        return true;
    default:
        return false;
    }
}

static bool
is_no_call(struct sql_look *l, uint32_t n)
{
    const struct sql_frame *f = top(l);
    int before = l->t[n - 1].kind;

    if (l->operand != SQL_NO_OPERAND && is_infix(l, n))
        return true;
    switch (l->t[n].kind) {
    case K_BY:
        return before == K_GROUP || before == K_ORDER || before == K_PARTITION;
    case K_SETS:
        return before == K_GROUPING;
    case K_CUBE:
    case K_ROLLUP:
        return f->group;
    case K_FIRST:
    case K_NEXT:
        return before == K_FETCH;
    case K_ZONE:
        return before == K_TIME;
    case K_SET:
        return f->query == SQL_UPDATE || f->query == SQL_INSERT || f->query == SQL_MERGE;
    case K_CONFLICT:
        return before == K_ON && f->query == SQL_INSERT;
    case K_INSERT:
        return f->query == SQL_MERGE && before == K_THEN;
    case K_SECOND:
        return before == T_STRING || (before == K_TO && l->t[n - 2].kind != K_SIMILAR);
    case T_WORD: /* XMLPARSE(DOCUMENT (a)) */
        return before == '(' &&
               (l->t[n - 2].kind == K_XMLPARSE || l->t[n - 2].kind == K_XMLSERIALIZE) &&
               (sql_is_word(l, n, "document") || sql_is_word(l, n, "content"));
    default:
        return false;
    }
}

/* ---- types ---- */

static bool
may_be_type(const struct sql_look *l, uint32_t first, uint32_t last)
{
    const struct sql_token *t = &l->t[last];

    return last > first || t->category == SQL_NO_KEYWORD || t->kind == K_JSON ||
           sql_is_word(l, last, "name") || sql_is_word(l, last, "text") ||
           sql_is_word(l, last, "xml");
}

/* A type in front of a string: date '2020-01-01', t(1) 'x'. 0 when it is none. */
static uint32_t
typed_string(struct sql_look *l, uint32_t first, uint32_t last)
{
    uint32_t at = last + 1;

    if (l->t[at].kind == '(')
        at = l->t[at].match + 1;
    if (at >= l->end || l->t[at].kind != T_STRING || !may_be_type(l, first, last))
        return 0;
    if (sql_is_word(l, last, "uescape") || l->operand == SQL_OPERAND)
        return 0;
    if (last == first && sql_is_word(l, last, "regclass"))
        sql_add_regclass(l, at);
    at = sql_type_of_literal(l, first);
    l->operand = SQL_OPERAND;
    return at + 1;
}

static bool
is_type_word(int kind)
{
    switch (kind) {
    case K_BIGINT:
    case K_BIT:
    case K_BOOLEAN:
    case K_CHAR:
    case K_CHARACTER:
    case K_DEC:
    case K_DECIMAL:
    case K_FLOAT:
    case K_INT:
    case K_INTEGER:
    case K_INTERVAL:
    case K_NATIONAL:
    case K_NCHAR:
    case K_NUMERIC:
    case K_REAL:
    case K_SMALLINT:
    case K_TIME:
    case K_TIMESTAMP:
    case K_VARCHAR:
        return true;
    default:
        return false;
    }
}

/* A type with a name of its own in SQL, or a column of that name. */
static uint32_t
type_word(struct sql_look *l, uint32_t n)
{
    const struct sql_token *t = &l->t[n];

    if (t->kind == K_TIME && t[1].kind == K_ZONE) { /* AT TIME ZONE */
        sql_add_syntax(l, "timezone");
        l->operand = SQL_NO_OPERAND;
        return n + 2;
    }
    if (t[1].kind == T_STRING || t[1].kind == '(' || t[1].kind == K_VARYING ||
        t[1].kind == K_WITH || t[1].kind == K_WITHOUT || t[1].kind == K_CHAR ||
        t[1].kind == K_CHARACTER)
        n = sql_type_of_literal(l, n);
    else
        n++;
    l->operand = SQL_OPERAND;
    return n;
}

/* ---- the words between values ---- */

static void
note_word(struct sql_look *l, uint32_t n)
{
    int kind = l->t[n].kind;

    if (kind == K_LIKE || kind == K_ILIKE) {
        l->similar = false;
    } else if (kind == K_SIMILAR && l->t[n + 1].kind == K_TO) {
        sql_add_syntax(l, "similar_to_escape");
        l->similar = true;
    } else if (kind == K_ESCAPE && l->operand != SQL_NO_OPERAND && !l->similar) {
        sql_add_syntax(l, "like_escape");
    } else if (kind == K_OVERLAPS && l->operand != SQL_NO_OPERAND) {
        sql_add_syntax(l, "overlaps");
    } else if (kind == K_NORMALIZED) {
        sql_add_syntax(l, "is_normalized");
    } else if (kind == K_LOCAL && n > 0 && sql_is_word(l, n - 1, "at")) {
        sql_add_syntax(l, "timezone");
    }
}

/* Words that stand in front of a value: what follows is no infix. */
static bool
leads_to_value(const struct sql_look *l, uint32_t n)
{
    switch (l->t[n].kind) {
    case K_BY:
    case K_ESCAPE:
    case K_FIRST:
    case K_GROUPS:
    case K_NEXT:
    case K_PASSING:
    case K_PATH:
    case K_RANGE:
    case K_ROWS:
    case K_ZONE:
        return true;
    case K_VALUE:
        return l->operand != SQL_NO_OPERAND || l->t[n - 1].kind == K_BY;
    case T_WORD: /* XMLPARSE(DOCUMENT f(a)), PASSING BY REF f(a) */
        return l->frames[l->depth].call == SQL_CALL_XML;
    default:
        return false;
    }
}

static enum sql_operand
operand_behind(const struct sql_look *l, uint32_t n)
{
    const struct sql_token *t = &l->t[n];

    if (leads_to_value(l, n))
        return SQL_NO_OPERAND;
    switch (t->category) {
    case SQL_NO_KEYWORD:
        return SQL_OPERAND;
    case SQL_TYPE_FUNC:
        return t->kind == K_ISNULL ? SQL_OPERAND : SQL_NO_OPERAND;
    case SQL_COL_NAME:
        return t->kind == K_BETWEEN ? SQL_NO_OPERAND : SQL_MAYBE_OPERAND;
    default:
        return SQL_MAYBE_OPERAND;
    }
}

static uint32_t
plain_word(struct sql_look *l, uint32_t n)
{
    const struct sql_token *t = &l->t[n];
    const char *name;

    if (t->category == SQL_NO_KEYWORD) {
        l->operand = SQL_OPERAND;
        return n + 1;
    }
    name = value_function_name(t->kind);
    if (name != NULL)
        return value_function(l, n, name);
    if (t->kind == K_CURRENT_SCHEMA) {
        sql_add_syntax(l, "current_schema");
        l->operand = SQL_OPERAND;
        return n + 1;
    }
    if (t->kind == K_COLLATION && t[1].kind == K_FOR && t[2].kind == '(') {
        sql_add_syntax(l, "pg_collation_for");
        return open_arguments(l, n + 2, SQL_CALL_NONE);
    }
    note_word(l, n);
    if (is_type_word(t->kind) || (t->kind == K_DOUBLE && t[1].kind == K_PRECISION))
        return type_word(l, n);
    if (t->kind == K_COLUMNS && top(l)->call == SQL_CALL_XML)
        top(l)->columns = true;
    l->operand = (uint8_t)operand_behind(l, n);
    return n + 1;
}

/* One word, in front of a parenthesis. */
static uint32_t
word_and_parenthesis(struct sql_look *l, uint32_t n)
{
    const struct sql_token *t = &l->t[n];
    uint32_t next = syntax_call(l, n);

    if (next > 0)
        return next;
    if (value_function_name(t->kind) != NULL || is_type_word(t->kind))
        return plain_word(l, n);
    if (t->kind == K_OPERATOR)
        return operator_call(l, n);
    if (t->category != SQL_NO_KEYWORD && is_no_call(l, n)) {
        note_word(l, n);
        l->operand = SQL_NO_OPERAND;
        return n + 1;
    }
    if (l->operand == SQL_OPERAND || t->category == SQL_COL_NAME) {
        l->bad = true;
        return l->end;
    }
    return call(l, n, n);
}

uint32_t
sql_name_or_call(struct sql_look *l, uint32_t n)
{
    uint32_t last = sql_chain_end(l, n);
    int behind = l->t[last + 1].kind;
    uint32_t next;

    if (behind == '(' || behind == T_STRING) {
        next = typed_string(l, n, last);
        if (next > 0)
            return next;
        if (behind == '(') {
            if (last == n)
                return word_and_parenthesis(l, n);
            if (l->operand == SQL_OPERAND)
                l->bad = true;
            return call(l, n, last);
        }
    }
    if (last == n && behind != '.')
        return plain_word(l, n);
    l->operand = SQL_OPERAND;
    return behind == '.' ? last + 3 : last + 1; /* name.* */
}

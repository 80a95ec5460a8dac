/*
 * From tokens to facts, statement by statement.
 *
 * Called by the cache for a text that it does not know. The grammar says what each statement is,
 * sql/walk looks into the queries; here it is judged what that makes of the statement. Invariant:
 * what is not understood may write, and a read is called one only when nothing in it is in doubt.
 */
#include "sql/facts.h"

#include "base/str.h"
#include "sql/understand.h"
#include "sql/walk.h"

#include "gram.h"

#include <string.h>

enum { STATEMENTS_MAX = 1000, PARAMETER_MAX = 65535 };

/* ---- names and values of the head ---- */

/* Parameters are all in lower case, with their dots. */
static struct sql_text
parameter_name(struct sql_look *l, uint32_t n)
{
    uint32_t last = sql_chain_end(l, n);
    char *begin = l->found->chars + l->found->char_count;
    char *to = begin;

    for (;; n += 2) {
        struct sql_text part = sql_fold(l, n);
        if (l->bad)
            return part;
        memmove(to, part.data, part.len);
        for (uint32_t at = 0; at < part.len; at++)
            to[at] = (char)(to[at] >= 'A' && to[at] <= 'Z' ? to[at] + 32 : to[at]);
        to += part.len;
        l->found->char_count = (uint32_t)(to - l->found->chars);
        if (n == last)
            break;
        *to++ = '.';
        l->found->char_count++;
    }
    return (struct sql_text){begin, (uint32_t)(to - begin)};
}

static bool
names_parameter(int kind)
{
    return kind == SQL_SET || kind == SQL_SET_LOCAL || kind == SQL_SHOW;
}

static void
take_name(struct sql_look *l, const struct sql_head *h)
{
    struct sql_statement *st = l->st;

    if (h->fixed_name != NULL)
        st->name = (struct sql_text){h->fixed_name, (uint32_t)strlen(h->fixed_name)};
    else if (h->name == 0)
        return;
    else if (names_parameter(h->kind))
        st->name = parameter_name(l, h->name);
    else if (sql_is_name(&l->t[h->name]))
        st->name = sql_fold(l, h->name);
    if (st->kind == SQL_SHOW && st->name.len > 5 && memcmp(st->name.data, "pool_", 5) == 0)
        st->kind = SQL_POOL_SHOW;
}

static void
take_value(struct sql_look *l, const struct sql_head *h)
{
    const struct sql_token *t = &l->t[h->value];
    const struct sql_token *last = &l->t[h->end - 1];

    if (h->value == 0 || h->value >= h->end || t->kind == K_DEFAULT)
        return;
    if (t == last && t->kind == T_STRING) {
        l->st->value = sql_literal(l, h->value, false);
    } else if (t == last && sql_is_name(t)) {
        l->st->value = sql_fold(l, h->value);
    } else {
        /* as it stands there */
        uint32_t len = last->start + last->len - t->start;
        char *to = l->found->chars + l->found->char_count;
        if (l->found->char_count + len > l->found->char_cap)
            return;
        memcpy(to, l->w->text + t->start, len);
        l->found->char_count += len;
        l->st->value = (struct sql_text){to, len};
    }
}

/* ---- what any token may say, wherever it stands ---- */

static bool
begins_with(const struct sql_look *l, const struct sql_token *t, const char *word, uint32_t len)
{
    const char *name = l->w->text + t->start + (t->quoted ? 1 : 0);

    return t->len >= len + (t->quoted ? 2u : 0u) && str_equal_nocase_n(name, word, len);
}

static bool
is_system_column(const struct sql_look *l, const struct sql_token *t)
{
    static const char *const names[] = {"cmax", "cmin", "ctid", "xmax", "xmin"};

    if (t->len != 4 + (t->quoted ? 2u : 0u))
        return false;
    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        if (begins_with(l, t, names[n], 4))
            return true;
    }
    return false;
}

/* Names of the system's own tables. */
static void
look_at_name(struct sql_look *l, const struct sql_token *t)
{
    char first = l->w->text[t->start + (t->quoted ? 1 : 0)];

    if (first != 'p' && first != 'P' && first != 'i' && first != 'I')
        return;
    if (begins_with(l, t, "pg_temp", 7))
        l->st->temporary = true;
    if (t[1].kind == '(')
        return;
    /* pg_catalog.f( is a function, and OPERATOR(pg_catalog.+) none of its tables */
    if (begins_with(l, t, "information_schema", 18) ||
        (begins_with(l, t, "pg_", 3) &&
         !(t[1].kind == '.' && (t[3].kind == '(' || !sql_is_name(&t[2])))))
        l->st->system_catalog = true;
}

static void
look_at_parameter(struct sql_look *l, const struct sql_token *t)
{
    uint32_t value = 0;

    for (uint32_t n = 1; n < t->len && value <= PARAMETER_MAX; n++)
        value = value * 10 + (uint32_t)(l->w->text[t->start + n] - '0');
    l->st->has_parameters = true;
    l->st->parameters = MAX(l->st->parameters, MIN(value, (uint32_t)PARAMETER_MAX));
}

/* In a statement that is not looked into: does it name a function that changes the session? */
static void
look_at_mention(struct sql_look *l, uint32_t n)
{
    uint32_t chars = l->found->char_count;
    struct sql_text none = {NULL, 0};
    struct sql_text name;

    if (!sql_is_name(&l->t[n]) || l->t[n + 1].kind != '(')
        return;
    name = sql_fold(l, n);
    l->calls_session |= sql_function_class(none, name) == SQL_FUNCTION_SESSION;
    l->found->char_count = chars;
}

static void
look_at_tokens(struct sql_look *l, const struct sql_head *h)
{
    bool unseen = h->query == 0 && (h->kind == SQL_DDL || h->kind == SQL_OTHER);

    for (uint32_t n = h->first; n < h->end; n++) {
        const struct sql_token *t = &l->t[n];
        switch (t->kind) {
        case T_PARAM:
            look_at_parameter(l, t);
            break;
        case T_STRING:
            sql_look_at_literal(l, n);
            break;
        case T_NAME:
        case T_QUOTED:
            look_at_name(l, t);
            l->st->system_columns |= is_system_column(l, t);
            l->st->tells_tables |= begins_with(l, t, "tableoid", 8);
            break;
        case K_UPDATE:
            l->conflicts |= n > h->first && t[-1].kind == K_DO;
            break;
        case K_TEMP:
            l->st->may_touch_session = true;
            break;
        case K_INSERT:
        case K_MERGE:
            l->writes |= t[1].kind == K_INTO;
            break;
        case K_DELETE: /* AS delete FROM is a column's name */
            l->writes |= t[1].kind == K_FROM && !(n > h->first && t[-1].kind == K_AS);
            break;
        default:
            break;
        }
        if (unseen)
            look_at_mention(l, n);
    }
}

/* ---- what is looked into ---- */

static uint32_t
where_of_copy(const struct sql_look *l, const struct sql_head *h)
{
    for (uint32_t n = h->first; n < h->end; n++) {
        if (l->t[n].kind == '(')
            n = l->t[n].match;
        else if (l->t[n].kind == K_WHERE)
            return n;
    }
    return 0;
}

/* GRANT and REVOKE: ON [TABLE | SEQUENCE] name, ...; behind any other word are no tables. */
static void
look_at_grant(struct sql_look *l, const struct sql_head *h)
{
    uint32_t n = h->first;

    while (n < h->end && l->t[n].kind != K_ON && l->t[n].kind != K_TO)
        n = l->t[n].kind == '(' ? l->t[n].match : n + 1;
    if (n++ >= h->end || l->t[n - 1].kind == K_TO)
        return;
    if (l->t[n].kind == K_TABLE || (l->t[n].kind == K_SEQUENCE && sql_is_name(&l->t[n + 1]) &&
                                    l->t[n + 1].kind != K_TO && l->t[n + 1].kind != K_FROM))
        n++;
    while (n < h->end && sql_is_name(&l->t[n]) && l->t[n].category != SQL_RESERVED) {
        uint32_t behind = sql_chain_end(l, n) + 1;
        int kind = l->t[behind].kind;
        if (kind != ',' && kind != K_TO && kind != K_FROM)
            return;
        sql_add_table(l, n, SQL_USE_WRITE | SQL_USE_DEFINE);
        if (kind != ',')
            return;
        n = behind + 1;
    }
}

static void
look_into(struct sql_look *l, const struct sql_head *h)
{
    const struct sql_mark *marks = h->mark_count > 0 ? &l->w->marks[h->mark_first] : NULL;
    uint32_t where;

    for (uint32_t n = 0; n < h->mark_count; n++)
        sql_add_table(l, marks[n].token, marks[n].use);
    if (h->kind == SQL_GRANT)
        look_at_grant(l, h);
    if (h->recursive)
        l->ctes[l->cte_count++] = sql_chain_end(l, marks[0].token);
    if (h->kind == SQL_COPY_TO && h->query > 0) {
        sql_walk(l, SQL_AT_START, h->query, l->t[h->query].match + 1);
    } else if (h->kind == SQL_COPY_FROM && (where = where_of_copy(l, h)) > 0) {
        sql_walk(l, SQL_AT_EXPRESSION, where, h->end);
    } else if (h->kind == SQL_CALL || h->kind == SQL_EXECUTE || h->inner == SQL_EXECUTE) {
        if (h->query > 0)
            sql_walk(l, SQL_AT_EXPRESSION, h->query, h->end);
    } else if (h->query > 0 || h->kind == SQL_SELECT || h->kind == SQL_INSERT ||
               h->kind == SQL_UPDATE || h->kind == SQL_DELETE || h->kind == SQL_MERGE) {
        sql_walk(l, SQL_AT_START, h->query, h->end);
    }
}

/* EXPLAIN's options: ANALYZE without a word that switches it off. */
static bool
asks_to_analyze(const struct sql_look *l, uint32_t open)
{
    bool analyze = false;

    for (uint32_t n = open + 1; l->t[n].kind != ')'; n++) {
        if (l->t[n].kind == K_ANALYZE)
            analyze = l->t[n + 1].kind != K_FALSE && !sql_is_word(l, n + 1, "off") &&
                      !(l->t[n + 1].kind == T_NUMBER && l->w->text[l->t[n + 1].start] == '0');
    }
    return analyze;
}

/* ---- judging ---- */

static bool
is_table_query(int kind)
{
    return kind == SQL_SELECT || kind == SQL_INSERT || kind == SQL_UPDATE || kind == SQL_DELETE ||
           kind == SQL_MERGE;
}

static bool
changes_catalog(int kind)
{
    switch (kind) {
    case SQL_OTHER:
    case SQL_DDL:
    case SQL_SELECT_INTO:
    case SQL_CREATE_TABLE_AS:
    case SQL_GRANT:
    case SQL_IMPORT:
    case SQL_DO:
    case SQL_CALL:
    case SQL_LOAD:
        return true;
    default:
        return false;
    }
}

/* What a SELECT as it was found may do, by itself and by its calls. */
static bool
read_writes(const struct sql_look *l)
{
    return l->writes || l->st->locks_rows || l->st->temporary;
}

static bool
read_may_write(const struct sql_look *l)
{
    return read_writes(l) || l->calls_primary || l->calls_session || l->calls_unknown;
}

/* INSERT ... ON CONFLICT DO UPDATE, and what COPY FROM does. */
static void
add_events(struct sql_look *l)
{
    struct sql_table *tables = l->found->tables.items;

    for (uint32_t n = l->table_first; n < l->found->tables.count; n++) {
        struct sql_table *t = &tables[n];
        if (l->st->kind == SQL_COPY_FROM && t->use & SQL_USE_WRITE)
            t->events |= SQL_EVENT_INSERT;
        if (l->conflicts && t->events & SQL_EVENT_INSERT)
            t->events |= SQL_EVENT_UPDATE;
    }
}

static void
judge(struct sql_look *l, const struct sql_head *h)
{
    struct sql_statement *st = l->st;
    bool reads = h->harmless && (h->kind == SQL_SELECT || h->kind == SQL_COPY_TO);
    bool touched = st->may_touch_session;

    if (is_table_query(st->kind) && l->main != SQL_OTHER)
        st->kind = (enum sql_kind)l->main;
    if (h->inner != SQL_EMPTY) {
        st->inner_kind = (enum sql_kind)h->inner;
        if (is_table_query(h->inner) && l->main != SQL_OTHER)
            st->inner_kind = (enum sql_kind)l->main;
        st->inner_may_write = st->inner_kind != SQL_SELECT || read_may_write(l);
    } else if (h->kind == SQL_COPY_TO && h->query > 0) {
        st->inner_kind = l->main != SQL_OTHER ? (enum sql_kind)l->main : SQL_SELECT;
        st->inner_may_write = read_may_write(l);
    }
    if (h->kind == SQL_EXPLAIN)
        reads = st->inner_kind == SQL_SELECT;
    st->writes = reads ? read_writes(l) : !h->harmless;
    st->may_write = reads ? read_may_write(l) : !h->harmless;
    st->may_touch_session |= l->calls_session || st->temporary;
    if (reads)
        st->may_touch_session |= l->calls_unknown;
    st->unknown_calls = reads && l->calls_unknown && !touched && !read_writes(l) &&
                        !l->calls_primary && !l->calls_session;
    /* what EXECUTE will call */
    if (h->kind == SQL_PREPARE)
        st->may_touch_session |= l->calls_unknown;
    if (h->kind == SQL_DO || h->kind == SQL_CALL || h->kind == SQL_LOAD)
        st->may_touch_session = true;
    st->changes_catalog =
        changes_catalog(st->kind) || (st->kind == SQL_EXPLAIN && changes_catalog(st->inner_kind));
}

static void
begin(struct sql_look *l, struct sql_found *found)
{
    l->table_first = found->tables.count;
    l->function_first = found->functions.count;
    l->operator_first = found->operators.count;
    l->type_first = found->types.count;
    l->setting_first = found->settings.count;
    l->column_first = found->columns.count;
    l->conflicts = l->renames = l->cast_fixed = false;
    l->cast_end = 0;
    l->main = SQL_OTHER;
    l->cte_count = 0;
    l->similar = l->writes = l->calls_primary = l->calls_session = l->calls_unknown = false;
}

static void
count(const struct sql_look *l, struct sql_statement *st)
{
    const struct sql_found *f = l->found;

    st->table_count = f->tables.count - l->table_first;
    st->function_count = f->functions.count - l->function_first;
    st->operator_count = f->operators.count - l->operator_first;
    st->type_count = f->types.count - l->type_first;
    st->setting_count = f->settings.count - l->setting_first;
    st->column_count = f->columns.count - l->column_first;
}

static void
take_statement(struct sql_look *l, const struct sql_head *h)
{
    struct sql_statement *st = sql_list_add(&l->found->statements, sizeof(*st));
    const struct sql_token *last = &l->t[h->end - 1];

    memset(st, 0, sizeof(*st));
    begin(l, l->found);
    l->st = st;
    l->end = h->end;
    st->kind = (enum sql_kind)h->kind;
    st->inner_kind = SQL_EMPTY;
    st->access = (enum sql_access)h->access;
    st->isolation = (enum sql_isolation)h->isolation;
    st->deferrable = (enum sql_deferrable)h->deferrable;
    st->savepoint = (enum sql_savepoint)h->savepoint;
    st->chain = h->chain;
    st->hold = h->hold;
    st->temporary = h->temporary;
    st->analyze = h->analyze || (h->options > 0 && asks_to_analyze(l, h->options));
    st->start = l->t[h->first].start;
    st->end = last->start + last->len;
    take_name(l, h);
    take_value(l, h);
    look_into(l, h);
    look_at_tokens(l, h);
    judge(l, h);
    add_events(l);
    count(l, st);
    /* some table's column may have the name, but not be meant */
    st->reads_times |= l->renames && st->column_count > 0;
}

/* ---- a text ---- */

bool
sql_understand(struct sql_work *w, void *scanner, struct sql_found *found, bool *literals_r)
{
    struct sql_look l; /* large: only what is used is set */

    if (!sql_scan(scanner, w) || !sql_parse_heads(w) || w->head_count > STATEMENTS_MAX)
        return false;
    sql_found_clear(found, w->len);
    l.w = w;
    l.found = found;
    l.t = w->tokens;
    l.bad = l.literals = false;
    for (uint32_t n = 0; n < w->head_count && !l.bad; n++) {
        const struct sql_head *h = &w->heads[n];
        if (h->end > h->first)
            take_statement(&l, h);
    }
    *literals_r = l.literals;
    return !l.bad;
}

const char *
sql_kind_name(enum sql_kind kind)
{
    static const char *const names[] = {
        [SQL_OTHER] = "other",
        [SQL_EMPTY] = "empty",
        [SQL_SELECT] = "select",
        [SQL_BEGIN] = "begin",
        [SQL_COMMIT] = "commit",
        [SQL_ROLLBACK] = "rollback",
        [SQL_SAVEPOINT] = "savepoint",
        [SQL_PREPARED_TX] = "prepared transaction",
        [SQL_SET] = "set",
        [SQL_SET_LOCAL] = "set local",
        [SQL_SET_TX] = "set transaction",
        [SQL_SET_SESSION] = "set session",
        [SQL_RESET_ALL] = "reset all",
        [SQL_SHOW] = "show",
        [SQL_DISCARD] = "discard",
        [SQL_PREPARE] = "prepare",
        [SQL_EXECUTE] = "execute",
        [SQL_DEALLOCATE] = "deallocate",
        [SQL_DECLARE] = "cursor",
        [SQL_LISTEN] = "listen",
        [SQL_COPY_FROM] = "copy from",
        [SQL_COPY_TO] = "copy to",
        [SQL_POOL_SHOW] = "show pool",
        [SQL_POOL] = "pgpool",
        [SQL_INSERT] = "insert",
        [SQL_UPDATE] = "update",
        [SQL_DELETE] = "delete",
        [SQL_DDL] = "ddl",
        [SQL_MERGE] = "merge",
        [SQL_SELECT_INTO] = "select into",
        [SQL_CREATE_TABLE_AS] = "create table as",
        [SQL_EXPLAIN] = "explain",
        [SQL_CALL] = "call",
        [SQL_DO] = "do",
        [SQL_LOCK] = "lock",
        [SQL_TRUNCATE] = "truncate",
        [SQL_VACUUM] = "vacuum",
        [SQL_ANALYZE] = "analyze",
        [SQL_CLUSTER] = "cluster",
        [SQL_REINDEX] = "reindex",
        [SQL_CHECKPOINT] = "checkpoint",
        [SQL_FETCH] = "fetch",
        [SQL_CLOSE] = "close",
        [SQL_NOTIFY] = "notify",
        [SQL_UNLISTEN] = "unlisten",
        [SQL_COMMENT] = "comment",
        [SQL_SECURITY_LABEL] = "security label",
        [SQL_GRANT] = "grant",
        [SQL_REFRESH] = "refresh",
        [SQL_IMPORT] = "import",
        [SQL_LOAD] = "load",
    };

    return names[kind];
}

/*
 * The question to a server's catalog, and what its rows mean.
 *
 * From each name the query goes on to all that is reached by it: the relations and functions in a
 * view's tree, in policies of row security and in constraints of domains; partitions and children;
 * the functions behind operators, casts and aggregates; those that a function's body names. A
 * stored tree is not taken apart, only its object numbers are read out of its text.
 *
 * Called by session/. Invariants: a name that the answer does not mention is missing; what a row
 * says that is not understood counts as everything.
 */
#include "catalog/question.h"

#include "base/arena.h"
#include "base/num.h"
#include "sql/literal.h"

#include <stdlib.h>
#include <string.h>

/* Of a row's flags: one of PostgreSQL's own functions, and a volatile one of these. */
enum {
    ROW_OWN = 1 << 20,
    ROW_VOLATILE = 1 << 21,
    ROW_TABLES = 1 << 22,
    ROW_STANDBY = 1 << 26,
    ROW_OID = 1 << 27
};
enum { PARAMETERS_MAX = 64, NAME_MAX_BYTES = 63 };

/* What stands behind the names that are asked for: src/catalog/question.sql as a string. */
static const char query[] =
#include "question_sql.h"
    ;

/* What they lead to: src/catalog/tables.sql, and src/catalog/touched.sql for those written. */
static const char tables_query[] =
#include "tables_sql.h"
    ;
static const char touched_query[] =
#include "touched_sql.h"
    ;
/* Which tables they are, and what is found on this server alone: src/catalog/placed.sql. */
static const char placed_query[] =
#include "placed_sql.h"
    ;
static const char untouched[] =
    "touched(i,e,c,o,v) AS (SELECT 0,0,'w'::pg_catalog.text,0::pg_catalog.oid,0 WHERE false)";

/* ---- asking ---- */

void
catalog_question_clear(struct catalog_question *q)
{
    buf_clear(&q->chars);
    buf_clear(&q->path);
    buf_clear(&q->parameters);
    q->count = 0;
    free(q->sets);
    q->sets = NULL;
    q->overflow = q->asks_tables = q->asks_places = q->from_standby = false;
}

void
catalog_question_free(struct catalog_question *q)
{
    buf_free(&q->chars);
    buf_free(&q->path);
    buf_free(&q->parameters);
    free(q->asked);
    free(q->sets);
    *q = (struct catalog_question){.count = 0};
}

void
catalog_question_cut(struct catalog_question *q, uint32_t count)
{
    if (count >= q->count)
        return;
    q->chars.len = q->asked[count].at;
    q->count = count;
}

struct catalog_name
catalog_question_name(const struct catalog_question *q, uint32_t n)
{
    const struct catalog_asked *a = &q->asked[n];
    const char *at = q->chars.len > 0 ? (const char *)q->chars.data + a->at : "";

    return (struct catalog_name){
        a->kind, a->args, {at, a->schema_len}, {at + a->schema_len, a->name_len}};
}

static bool
is_asked(const struct catalog_question *q, const struct catalog_name *name)
{
    for (uint32_t n = 0; n < q->count; n++) {
        struct catalog_name other = catalog_question_name(q, n);
        if (other.kind == name->kind && other.args == name->args &&
            other.schema.len == name->schema.len && other.name.len == name->name.len &&
            (name->schema.len == 0 ||
             memcmp(other.schema.data, name->schema.data, name->schema.len) == 0) &&
            (name->name.len == 0 || memcmp(other.name.data, name->name.data, name->name.len) == 0))
            return true;
    }
    return false;
}

void
catalog_question_add_name(struct catalog_question *q, const struct catalog_name *name)
{
    if (is_asked(q, name))
        return;
    if (q->count == CATALOG_ASKED_MAX) {
        q->overflow = true;
        return;
    }
    if (q->count == q->cap) {
        q->cap = q->cap > 0 ? q->cap * 2 : 16;
        q->asked = xrealloc(q->asked, q->cap * sizeof(*q->asked));
    }
    q->asked[q->count++] = (struct catalog_asked){
        .at = (uint32_t)q->chars.len,
        .schema_len = (uint8_t)name->schema.len,
        .name_len = (uint8_t)name->name.len,
        .kind = name->kind,
        .args = name->args,
    };
    buf_add(&q->chars, name->schema.data, name->schema.len);
    buf_add(&q->chars, name->name.data, name->name.len);
}

struct adding {
    struct catalog_question *q;
    const struct catalog *c;
    const struct catalog_scope *scope;
};

static bool
add_name(void *ctx, const struct catalog_name *name)
{
    struct adding *a = ctx;
    uint32_t flags;

    if (a->scope->tag == 0 || !catalog_known(a->c, a->scope, name, &flags) ||
        (name->kind == 'r' && catalog_asks_places(a->c) &&
         !catalog_part(a->c, a->scope, name, CATALOG_PART_OID, &flags)) ||
        (catalog_asks_tables(a->c) && !catalog_sets_known(a->c, a->scope, name)))
        catalog_question_add_name(a->q, name);
    return !a->q->overflow;
}

/* Columns whose type decides whether an answer may be kept. */
static void
add_columns(struct adding *a, const struct sql_statement *st)
{
    bool goes_on = st->kind == SQL_SELECT && !st->reads_times;

    for (uint32_t n = 0; goes_on && n < st->column_count; n++) {
        struct catalog_name name = {'c', 0, {NULL, 0}, st->columns[n].name};
        if (a->scope->tag == 0 || !catalog_sets_known(a->c, a->scope, &name))
            catalog_question_add_name(a->q, &name);
        goes_on = !a->q->overflow;
    }
}

void
catalog_question_add(struct catalog_question *q, const struct catalog *c,
                     const struct catalog_scope *scope, const struct sql_statement *st)
{
    struct adding a = {q, c, scope};

    q->asks_tables |= catalog_asks_tables(c);
    q->asks_places |= catalog_asks_places(c);
    if (catalog_each_name(st, add_name, &a) && catalog_asks_tables(c))
        add_columns(&a, st);
}

void
catalog_question_add_called(struct catalog_question *q, const struct catalog *c,
                            const struct catalog_scope *scope, struct sql_text name)
{
    struct adding a = {q, c, scope};
    struct catalog_name called = {'n', 0, {NULL, 0}, name};

    if (name.len <= NAME_MAX_BYTES)
        add_name(&a, &called);
}

void
catalog_question_join(struct catalog_question *q, const struct catalog_question *other)
{
    q->asks_tables |= other->asks_tables;
    q->asks_places |= other->asks_places;
    q->overflow |= other->overflow;
    for (uint32_t n = 0; n < other->count && !q->overflow; n++) {
        struct catalog_name name = catalog_question_name(other, n);
        catalog_question_add_name(q, &name);
    }
}

void
catalog_question_add_bodies(struct catalog_question *q)
{
    static const struct catalog_name bodies = {'b', 0, {NULL, 0}, {NULL, 0}};

    catalog_question_add_name(q, &bodies);
}

bool
catalog_question_known(const struct catalog_question *q, const struct catalog *c,
                       const struct catalog_scope *scope, uint32_t *flags_r)
{
    *flags_r = 0;
    for (uint32_t n = 0; n < q->count; n++) {
        struct catalog_name name = catalog_question_name(q, n);
        uint32_t flags;
        if (name.kind == 'b' || name.kind == 'c')
            continue; /* catalog_parameters and catalog_reads tell */
        if (scope->tag == 0 || !catalog_known(c, scope, &name, &flags))
            return false;
        *flags_r |= flags;
    }
    return true;
}

static bool
asks_writes(const struct catalog_question *q)
{
    for (uint32_t n = 0; n < q->count; n++) {
        if (q->asked[n].kind == 'w')
            return true;
    }
    return false;
}

void
catalog_question_begin(const char *settings, size_t len, struct buf *sql)
{
    /* the connection may have been another session's */
    buf_add_str(sql, "BEGIN READ ONLY;SET LOCAL search_path TO DEFAULT;"
                     "SET LOCAL client_encoding TO DEFAULT;"
                     "SET LOCAL SESSION AUTHORIZATION DEFAULT;SET LOCAL ROLE NONE;");
    buf_add(sql, settings, len);
    buf_add_str(sql, "SET LOCAL jit = off;");
}

void
catalog_question_wanted(const struct catalog_question *q, struct buf *sql)
{
    buf_add_str(sql, "WITH RECURSIVE wanted(i, k, s, n, a) AS (VALUES"
                     " (-2, '-', ''::pg_catalog.text, ''::pg_catalog.text, 0)");
    for (uint32_t n = 0; n < q->count; n++) {
        struct catalog_name name = catalog_question_name(q, n);
        buf_printf(sql, ",(%u,'%c',", n, name.kind);
        sql_add_literal(sql, name.schema);
        buf_add_u8(sql, ',');
        sql_add_literal(sql, name.name);
        buf_printf(sql, ",%u)", name.args);
    }
    buf_add_str(sql, "),");
}

void
catalog_question_sql(const struct catalog_question *q, const char *settings, size_t len,
                     struct buf *sql)
{
    catalog_question_begin(settings, len, sql);
    catalog_question_wanted(q, sql);
    if (q->asks_tables) {
        buf_add_str(sql, asks_writes(q) ? touched_query : untouched);
        buf_add_u8(sql, ',');
        buf_add_str(sql, tables_query);
        buf_add_u8(sql, ',');
    }
    buf_add_str(sql, query);
    if (q->asks_tables)
        buf_printf(sql, "UNION ALL SELECT DISTINCT t.i,%d|t.f,t.t FROM tables t WHERE t.f<>0",
                   ROW_TABLES);
    if (q->asks_places)
        buf_add_str(sql, placed_query);
    buf_add_str(sql, ";ROLLBACK");
}

/* ---- the answer ---- */

static int64_t
number_of(struct sql_text text)
{
    char digits[24];
    int64_t value;

    if (text.len == 0 || text.len >= sizeof(digits))
        return INT64_MIN;
    memcpy(digits, text.data, text.len);
    digits[text.len] = '\0';
    return num_parse_i64(digits, &value) ? value : INT64_MIN;
}

/* What one of PostgreSQL's own functions does, where a name alone did not tell already. */
static uint32_t
flags_of_own(struct sql_text name, uint32_t row)
{
    static const struct sql_text system = {"pg_catalog", 10};
    const struct sql_function f = {.schema = system, .name = name};

    if (sql_function_draws(&f))
        return CATALOG_WRITES | CATALOG_DRAWS;
    switch (sql_function_class(system, name)) {
    case SQL_FUNCTION_SAFE:
        return 0;
    case SQL_FUNCTION_PRIMARY:
        return CATALOG_WRITES;
    case SQL_FUNCTION_SESSION:
        return CATALOG_WRITES | CATALOG_KEEPS;
    default:
        return row & ROW_VOLATILE ? CATALOG_WRITES | CATALOG_KEEPS : CATALOG_DIFFERS;
    }
}

static struct catalog_set *
sets_of(struct catalog_question *q, struct catalog_asked *a)
{
    uint32_t count = 0;

    if (q->sets == NULL) {
        for (uint32_t n = 0; n < q->count; n++) {
            q->asked[n].sets = count;
            count += catalog_sets_of(q->asked[n].kind);
        }
        q->sets = xcalloc(count, sizeof(*q->sets));
    }
    return q->sets + a->sets;
}

static void
take_row(struct catalog_question *q, const struct catalog *c, const struct sql_text columns[3])
{
    int64_t number = number_of(columns[0]);
    int64_t row = number_of(columns[1]);
    struct catalog_asked *a;
    uint32_t flags = (uint32_t)row;

    if (number == -1) {
        if (columns[2].len > 0)
            buf_add(&q->path, columns[2].data, columns[2].len);
        return;
    }
    if (number < 0 || number >= q->count || row < 0)
        return;
    a = &q->asked[number];
    if (flags & ROW_TABLES) {
        q->from_standby |= (flags & ROW_STANDBY) != 0;
        if (q->asks_tables)
            catalog_take_tables(c, sets_of(q, a), flags, columns[2]);
        return;
    }
    if (flags & ROW_OID) {
        a->oid = (uint32_t)MAX(number_of(columns[2]), 0);
        return;
    }
    a->found = true;
    if (a->kind == 'b' && columns[2].len > 0) {
        buf_add(&q->parameters, columns[2].data, columns[2].len);
        buf_add_u8(&q->parameters, '\0');
    } else if (flags & ROW_OWN) {
        flags = flags_of_own(columns[2], flags);
    } else if (columns[2].len > 0) {
        flags = catalog_listed(c, columns[2].data, columns[2].len, flags);
    }
    a->flags |= flags;
}

bool
catalog_question_columns(const uint8_t *body, size_t len, struct sql_text *columns, uint16_t count)
{
    size_t at = 2;

    for (uint16_t n = 0; n < count; n++) {
        uint32_t size;
        if (len - at < 4)
            return false;
        size = num_get_u32(body + at);
        at += 4;
        columns[n] = (struct sql_text){NULL, 0};
        if (size == UINT32_MAX)
            continue;
        if (len - at < size)
            return false;
        columns[n] = (struct sql_text){(const char *)body + at, size};
        at += size;
    }
    return at == len;
}

bool
catalog_question_row(struct catalog_question *q, const struct catalog *c, const uint8_t *body,
                     size_t len)
{
    struct sql_text columns[3];

    if (len < 2)
        return false;
    if (num_get_u16(body) != ARRAY_LEN(columns))
        return true; /* of a setting */
    if (!catalog_question_columns(body, len, columns, ARRAY_LEN(columns)))
        return false;
    take_row(q, c, columns);
    return true;
}

/* Were there more of them than are asked for? */
static bool
has_room(const struct buf *parameters)
{
    uint32_t count = 0;

    for (size_t n = 0; n < parameters->len; n++)
        count += parameters->data[n] == '\0';
    return count <= PARAMETERS_MAX;
}

static void
put_sets(struct catalog_question *q, struct catalog *c, const struct catalog_scope *scope,
         uint32_t number)
{
    struct catalog_asked *a = &q->asked[number];
    struct catalog_set *sets = sets_of(q, a);
    struct catalog_name name = catalog_question_name(q, number);
    bool missing = a->kind == 'd'
                       ? sets[0].n == 0
                       : !a->found && (a->kind == 'r' || a->kind == 'w' || a->kind == 'f');

    for (uint32_t n = 0; n < catalog_sets_of(a->kind); n++) {
        if (missing) {
            sets[n].reasons |= 1u << CATALOG_UNCACHED_MISSING;
            sets[n].spreads = true;
        }
        catalog_put_set(c, scope, &name, n, &sets[n]);
    }
}

void
catalog_question_done(struct catalog_question *q, struct catalog *c,
                      const struct catalog_login *login, struct catalog_scope *scope)
{
    catalog_learn_scope(c, login, scope, (const char *)q->path.data, q->path.len);
    for (uint32_t n = 0; n < q->count; n++) {
        struct catalog_asked *a = &q->asked[n];
        struct catalog_name name = catalog_question_name(q, n);
        bool must_exist = a->kind == 'r' || a->kind == 'w' || a->kind == 'f';

        if (q->asks_tables && !q->from_standby && a->kind != 'b' && a->kind != 'n')
            put_sets(q, c, scope, n);
        if (q->asks_places && a->kind == 'r')
            catalog_put_part(c, scope, &name, CATALOG_PART_OID, a->oid);
        if (a->kind == 'c')
            continue;
        if (a->kind == 'b')
            catalog_put_parameters(c, scope, login->database, &q->parameters,
                                   a->flags & CATALOG_OPAQUE || !has_room(&q->parameters));
        else
            catalog_put(c, scope, &name, a->found || !must_exist ? a->flags : CATALOG_MISSING);
    }
}

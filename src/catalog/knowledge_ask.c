/*
 * The question for what sql_determinism_judge() must know, and what its rows mean: see
 * src/catalog/knowledge.sql.
 *
 * Called by session/. Invariants: a row that is not understood makes the answer useless; a table of
 * which a column is missing or that is too long is not known; where several things differ, the same
 * one is named each time.
 */
#include "base/num.h"
#include "catalog/knowledge.h"

#include <stdlib.h>
#include <string.h>

enum {
    ROW_COLUMNS = 6,
    COLUMNS_MAX = 1664, /* more than a table can have */
    KEYS_MAX = 64,
    CALLS_MAX = 256,
    WHY_MAX = 200,
};

static const char query[] =
#include "knowledge_sql.h"
    ;

/* A row: which name it is about, what kind of row, and what it says. */
struct row {
    int64_t name;
    int64_t number;
    char letter;
    struct sql_text texts[3];
};

/* ---- asking ---- */

static void
drop_entries(struct knowledge_question *q)
{
    for (uint32_t n = 0; q->entries != NULL && n < q->names.count; n++)
        knowledge_entry_free(q->entries[n]);
    free(q->entries);
    q->entries = NULL;
}

void
knowledge_question_clear(struct knowledge_question *q)
{
    drop_entries(q);
    catalog_question_clear(&q->names);
    buf_clear(&q->path);
    q->bytes = 0;
    q->answered = false;
}

void
knowledge_question_free(struct knowledge_question *q)
{
    drop_entries(q);
    catalog_question_free(&q->names);
    buf_free(&q->path);
    *q = (struct knowledge_question){.bytes = 0};
}

struct adding {
    struct knowledge_question *q;
    struct knowledge *k;
    const struct catalog_scope *scope;
};

static bool
add_name(void *ctx, const struct catalog_name *name)
{
    struct adding *a = ctx;

    if (knowledge_get(a->k, a->scope, name) == NULL)
        catalog_question_add_name(&a->q->names, name);
    return !a->q->names.overflow;
}

void
knowledge_question_add(struct knowledge_question *q, struct knowledge *k,
                       const struct catalog_scope *scope, const struct sql_facts *f)
{
    struct adding a = {q, k, scope};

    drop_entries(q);
    knowledge_each_name(f, add_name, &a);
}

static void
add_question(const struct knowledge_question *q, struct buf *sql)
{
    catalog_question_wanted(&q->names, sql);
    buf_add_str(sql, query);
}

void
knowledge_question_sql_within(const struct knowledge_question *q, bool in_block, struct buf *sql)
{
    if (in_block)
        buf_add_str(sql, "SAVEPOINT \"pgpool question\";");
    buf_add_str(sql, "SET LOCAL jit = off;");
    add_question(q, sql);
    if (in_block)
        buf_add_str(sql, ";ROLLBACK TO SAVEPOINT \"pgpool question\""
                         ";RELEASE SAVEPOINT \"pgpool question\"");
}

void
knowledge_question_sql(const struct knowledge_question *q, const char *settings, size_t len,
                       struct buf *sql)
{
    catalog_question_begin(settings, len, sql);
    add_question(q, sql);
    buf_add_str(sql, ";ROLLBACK");
}

/* ---- the answer ---- */

/* Digits from *at on; false when there are none, or they say more than most. */
static bool
take_number(const char **at, const char *end, uint32_t most, uint32_t *value_r)
{
    uint32_t value = 0;
    const char *from = *at;

    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
        value = value * 10 + (uint32_t)(**at - '0');
        if (value > most)
            return false;
    }
    *value_r = value;
    return *at > from;
}

static char *
keep(struct knowledge_entry *e, struct sql_text text)
{
    return arena_strndup(&e->arena, text.len > 0 ? text.data : "", text.len);
}

/* The list with room for one more. */
static void *
grow(void *list, uint32_t count, uint32_t *cap, size_t size)
{
    uint32_t before = *cap;

    if (count < before)
        return list;
    *cap = MAX(before * 2, MAX(count + 1, 4u));
    list = xrealloc(list, *cap * size);
    memset((char *)list + before * size, 0, (*cap - before) * size);
    return list;
}

static bool
take_column(struct knowledge_entry *e, const struct row *row)
{
    uint32_t place = (uint32_t)row->number;
    struct sql_known_column *column;

    if (row->number >= COLUMNS_MAX || row->texts[0].len == 0 || row->texts[1].len == 0)
        return false;
    e->columns = grow(e->columns, place, &e->column_cap, sizeof(*e->columns));
    column = &e->columns[place];
    if (column->name != NULL)
        return false;
    column->name = keep(e, row->texts[0]);
    column->type = keep(e, row->texts[1]);
    column->fallback = row->texts[2].data != NULL ? keep(e, row->texts[2]) : NULL;
    column->always = row->letter == 'a';
    e->table.column_count = MAX(e->table.column_count, place + 1);
    return true;
}

/* Places with spaces between. Of very many keys the first ones do. */
static bool
take_key(struct knowledge_entry *e, const struct row *row)
{
    const char *at = row->texts[0].data;
    const char *end = at + row->texts[0].len;
    struct sql_known_key key = {.count = 0};
    uint32_t place;

    while (key.count < ARRAY_LEN(key.columns) && take_number(&at, end, COLUMNS_MAX - 1, &place)) {
        key.columns[key.count++] = (uint16_t)place;
        if (at == end) {
            if (e->table.key_count == KEYS_MAX)
                return true;
            e->keys = grow(e->keys, e->table.key_count, &e->key_cap, sizeof(*e->keys));
            e->keys[e->table.key_count++] = key;
            return true;
        }
        if (*at++ != ' ')
            return false;
    }
    return false;
}

static struct knowledge_call *
call_of(struct knowledge_entry *e, const struct row *row)
{
    struct knowledge_call *call;

    for (uint32_t n = 0; n < e->call_count; n++) {
        call = &e->calls[n];
        if (strlen(call->schema) == row->texts[0].len && strlen(call->name) == row->texts[1].len &&
            memcmp(call->schema, row->texts[0].data, row->texts[0].len) == 0 &&
            memcmp(call->name, row->texts[1].data, row->texts[1].len) == 0)
            return call;
    }
    if (e->call_count == CALLS_MAX)
        return NULL;
    e->calls = grow(e->calls, e->call_count, &e->call_cap, sizeof(*e->calls));
    call = &e->calls[e->call_count++];
    call->schema = keep(e, row->texts[0]);
    call->name = keep(e, row->texts[1]);
    return call;
}

/* Of R, W, Z and D: it differs for certain, or by one of PostgreSQL's own functions. */
static bool
is_different(const struct row *row)
{
    return row->texts[2].len == 0 || !sql_function_equal(row->texts[2], (uint8_t)row->number);
}

/* The same one, whatever order the rows come in. */
static bool
take_reason(struct knowledge_entry *e, const char **reason, const struct row *row)
{
    struct sql_text via = row->texts[0];
    struct sql_text what = row->texts[1];
    const char *why;

    if (row->number > UINT8_MAX || what.len == 0)
        return false;
    if (!is_different(row))
        return true;
    why = arena_printf(&e->arena, "%.*s%s%.*s", (int)MIN(via.len, (uint32_t)WHY_MAX),
                       via.len > 0 ? via.data : "", via.len > 0 ? " " : "",
                       (int)MIN(what.len, (uint32_t)WHY_MAX), what.data);
    if (*reason == NULL || strcmp(why, *reason) < 0)
        *reason = why;
    return true;
}

static bool
take_call(struct knowledge_entry *e, const struct row *row)
{
    struct knowledge_call *call;

    if (row->texts[0].len == 0 || row->texts[1].len == 0)
        return false;
    call = call_of(e, row);
    if (call == NULL)
        e->too_long = true;
    else if (row->letter == 'D')
        call->unequal |= is_different(row);
    return true;
}

static bool
take_row(struct knowledge_entry *e, char kind, const struct row *row)
{
    switch (row->letter) {
    case '+':
        e->found = true;
        e->own |= row->number == 1;
        e->others |= row->number == 2;
        return row->number <= 2;
    case 'a':
    case 'c':
        return kind == 'r' && take_column(e, row);
    case 'b':
        e->table.bare = true;
        return kind == 'r';
    case 'k':
        return kind == 'r' && take_key(e, row);
    case 'u':
    case 'D':
        return kind == 'r' && row->number <= UINT8_MAX && take_call(e, row);
    case 'R':
        return take_reason(e, &e->differs, row);
    case 'W':
        return take_reason(e, &e->write_differs, row);
    case 'Z':
        return take_reason(e, &e->truncate_differs, row);
    default:
        return false;
    }
}

/* Ends with an entry that says that nothing is known, when there is too much to know. */
static bool
take_about_name(struct knowledge_question *q, const struct row *row)
{
    struct knowledge_entry **place, *e;
    size_t before;
    bool ok;

    if (q->entries == NULL)
        q->entries = xcalloc(q->names.count, sizeof(struct knowledge_entry *));
    place = &q->entries[row->name];
    if (*place == NULL)
        *place = knowledge_entry_new();
    e = *place;
    if (e->too_long)
        return true;
    before = knowledge_entry_bytes(e);
    ok = take_row(e, q->names.asked[row->name].kind, row);
    q->bytes += knowledge_entry_bytes(e) - before;
    if (knowledge_entry_bytes(e) > KNOWLEDGE_ENTRY_MAX || q->bytes > KNOWLEDGE_ANSWER_MAX)
        e->too_long = true;
    if (e->too_long) {
        q->bytes -= MIN(q->bytes, knowledge_entry_bytes(e));
        knowledge_entry_free(e);
        *place = knowledge_entry_new();
        (*place)->too_long = true;
    }
    return ok;
}

static bool
read_number(struct sql_text text, int64_t *value_r)
{
    char digits[24];

    if (text.len == 0 || text.len >= sizeof(digits))
        return false;
    memcpy(digits, text.data, text.len);
    digits[text.len] = '\0';
    return strlen(digits) == text.len && num_parse_i64(digits, value_r);
}

static bool
read_row(const struct sql_text columns[ROW_COLUMNS], struct row *row)
{
    if (!read_number(columns[0], &row->name) || columns[1].len != 1 ||
        !read_number(columns[2], &row->number) || row->number < 0)
        return false;
    row->letter = columns[1].data[0];
    for (size_t n = 0; n < ARRAY_LEN(row->texts); n++) {
        row->texts[n] = columns[3 + n];
        if (row->texts[n].len > 0 && memchr(row->texts[n].data, 0, row->texts[n].len) != NULL)
            return false;
    }
    return true;
}

bool
knowledge_question_row(struct knowledge_question *q, const uint8_t *body, size_t len)
{
    struct sql_text columns[ROW_COLUMNS];
    struct row row;

    if (len < 2)
        return false;
    if (num_get_u16(body) != ROW_COLUMNS)
        return true; /* of a setting */
    if (!catalog_question_columns(body, len, columns, ROW_COLUMNS) || !read_row(columns, &row))
        return false;
    if (row.name == -1 && row.letter == 'p' && !q->answered) {
        q->answered = true;
        if (row.texts[0].len > 0)
            buf_add(&q->path, row.texts[0].data, row.texts[0].len);
        return true;
    }
    return row.name >= 0 && row.name < q->names.count && take_about_name(q, &row);
}

/* Its columns and keys are all there. */
static bool
is_whole(const struct knowledge_entry *e)
{
    for (uint32_t n = 0; n < e->table.column_count; n++) {
        if (e->columns[n].name == NULL)
            return false;
    }
    for (uint32_t n = 0; n < e->table.key_count; n++) {
        for (uint32_t at = 0; at < e->keys[n].count; at++) {
            if (e->keys[n].columns[at] >= e->table.column_count)
                return false;
        }
    }
    return true;
}

static void
settle(struct knowledge_entry *e)
{
    e->table.columns = e->columns;
    e->table.keys = e->keys;
    e->table.spoiler = e->write_differs != NULL ? e->write_differs : e->differs;
}

bool
knowledge_question_done(struct knowledge_question *q, struct knowledge *k, struct catalog *c,
                        const struct catalog_login *login, struct catalog_scope *scope)
{
    if (!q->answered)
        return false;
    for (uint32_t n = 0; q->entries != NULL && n < q->names.count; n++) {
        if (q->entries[n] != NULL && !is_whole(q->entries[n]))
            return false;
    }
    if (c != NULL)
        catalog_learn_scope(c, login, scope, (const char *)q->path.data, q->path.len);
    for (uint32_t n = 0; n < q->names.count; n++) {
        struct catalog_name name = catalog_question_name(&q->names, n);
        struct knowledge_entry *e = q->entries != NULL ? q->entries[n] : NULL;
        if (e == NULL)
            e = knowledge_entry_new();
        settle(e);
        knowledge_put(k, scope, &name, e);
        if (q->entries != NULL)
            q->entries[n] = NULL;
    }
    return true;
}

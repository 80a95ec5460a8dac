/*
 * What is kept of tables and functions for sql_determinism_judge(), and how a text's names are
 * looked up in it.
 *
 * Called by session/ for what goes to several servers; filled by knowledge_ask.c. Invariants: what
 * is kept carries the epoch from before it was asked for, and is not found in another; a name of
 * the text that is not known is a table that nothing is known of, or a function that is not equal;
 * of several functions by one name the worst counts.
 */
#include "catalog/knowledge.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 63, ENTRY_CHUNK = 512, MAP_ENTRY_BYTES = 192 };

struct knowledge {
    struct map entries; /* by key */
    struct list used;   /* the same, the most recently used one first */
    size_t bytes;
    size_t limit;
};

/* ---- entries ---- */

struct knowledge_entry *
knowledge_entry_new(void)
{
    struct knowledge_entry *e = xcalloc(1, sizeof(*e));

    list_init(&e->link);
    arena_init(&e->arena, ENTRY_CHUNK);
    return e;
}

void
knowledge_entry_free(struct knowledge_entry *e)
{
    if (e == NULL)
        return;
    free(e->columns);
    free(e->keys);
    free(e->calls);
    arena_fini(&e->arena);
    free(e);
}

size_t
knowledge_entry_bytes(const struct knowledge_entry *e)
{
    return sizeof(*e) + MAP_ENTRY_BYTES + MAX(e->arena.used_bytes, (size_t)ENTRY_CHUNK) +
           e->column_cap * sizeof(*e->columns) + e->key_cap * sizeof(*e->keys) +
           e->call_cap * sizeof(*e->calls);
}

size_t
knowledge_key(const struct catalog_scope *scope, const struct catalog_name *name,
              uint8_t key[KNOWLEDGE_KEY_MAX])
{
    size_t schema_len = MIN(name->schema.len, (uint32_t)NAME_BYTES);
    size_t name_len = MIN(name->name.len, (uint32_t)NAME_BYTES);
    size_t len = sizeof(scope->tag);

    memcpy(key, &scope->tag, len);
    key[len++] = (uint8_t)name->kind;
    key[len++] = name->args;
    key[len++] = (uint8_t)schema_len;
    if (schema_len > 0)
        memcpy(key + len, name->schema.data, schema_len);
    len += schema_len;
    if (name_len > 0)
        memcpy(key + len, name->name.data, name_len);
    return len + name_len;
}

/* ---- all of them ---- */

struct knowledge *
knowledge_new(size_t limit_bytes)
{
    struct knowledge *k = xcalloc(1, sizeof(*k));

    list_init(&k->used);
    k->limit = limit_bytes;
    return k;
}

static void
drop_entry(void *ctx UNUSED, void *value)
{
    knowledge_entry_free(value);
}

void
knowledge_clear(struct knowledge *k)
{
    map_clear(&k->entries, drop_entry, NULL);
    list_init(&k->used);
    k->bytes = 0;
}

void
knowledge_free(struct knowledge *k)
{
    if (k == NULL)
        return;
    knowledge_clear(k);
    map_fini(&k->entries);
    free(k);
}

size_t
knowledge_bytes(const struct knowledge *k)
{
    return k->bytes;
}

static void
forget(struct knowledge *k, struct knowledge_entry *e)
{
    map_remove(&k->entries, e->key, e->key_len);
    list_remove(&e->link);
    k->bytes -= e->bytes;
    knowledge_entry_free(e);
}

const struct knowledge_entry *
knowledge_get(struct knowledge *k, const struct catalog_scope *scope,
              const struct catalog_name *name)
{
    uint8_t key[KNOWLEDGE_KEY_MAX];
    size_t len = knowledge_key(scope, name, key);
    struct knowledge_entry *e = map_get(&k->entries, key, len);

    if (scope->tag == 0 || e == NULL || e->epoch != scope->epoch)
        return NULL;
    list_remove(&e->link);
    list_prepend(&k->used, &e->link);
    return e;
}

void
knowledge_put(struct knowledge *k, const struct catalog_scope *scope,
              const struct catalog_name *name, struct knowledge_entry *entry)
{
    struct knowledge_entry *old;

    entry->key_len = knowledge_key(scope, name, entry->key);
    entry->epoch = scope->epoch;
    entry->bytes = knowledge_entry_bytes(entry);
    old = map_get(&k->entries, entry->key, entry->key_len);
    if (old != NULL && (int32_t)(old->epoch - entry->epoch) > 0) {
        knowledge_entry_free(entry); /* its question was the slower one */
        return;
    }
    if (old != NULL)
        forget(k, old);
    while (k->bytes + entry->bytes > k->limit && !list_empty(&k->used))
        forget(k, list_last(&k->used, struct knowledge_entry, link));
    if (entry->bytes > k->limit) {
        knowledge_entry_free(entry);
        return;
    }
    map_put(&k->entries, entry->key, entry->key_len, entry);
    list_prepend(&k->used, &entry->link);
    k->bytes += entry->bytes;
}

/* ---- a text's names ---- */

/* What becomes of a definition does not depend on what there is. */
static bool
is_looked_up(const struct sql_table *t)
{
    return t->use != SQL_USE_NAMED && !(t->use & SQL_USE_DEFINE) && !catalog_is_system(t->schema);
}

static bool
each_name_of(const struct sql_statement *st, catalog_name_fn *fn, void *ctx)
{
    for (uint32_t n = 0; n < st->table_count; n++) {
        struct catalog_name name = {'r', 0, st->tables[n].schema, st->tables[n].name};
        if (is_looked_up(&st->tables[n]) && !fn(ctx, &name))
            return false;
    }
    for (uint32_t n = 0; n < st->function_count; n++) {
        const struct sql_function *f = &st->functions[n];
        struct catalog_name name = {'f', f->args, f->schema, f->name};
        if (!f->syntax && !catalog_is_system(f->schema) && !fn(ctx, &name))
            return false;
    }
    return catalog_each_other_name(st, fn, ctx);
}

bool
knowledge_each_name(const struct sql_facts *f, catalog_name_fn *fn, void *ctx)
{
    static const struct catalog_name the_database = {'d', 0, {NULL, 0}, {NULL, 0}};

    for (uint32_t n = 0; n < f->count; n++) {
        if (!each_name_of(&f->statements[n], fn, ctx))
            return false;
    }
    return fn(ctx, &the_database);
}

/* ---- what the judge asks ---- */

static const struct sql_known_table *
table_of(void *ctx, struct sql_text schema, struct sql_text name)
{
    struct knowledge_view *v = ctx;
    struct catalog_name wanted = {'r', 0, schema, name};
    const struct knowledge_entry *e = knowledge_get(v->k, &v->scope, &wanted);

    return e != NULL && e->found && !e->too_long ? &e->table : NULL;
}

/* Values of the map: the worse, the higher. NULL is a name that the text does not have, and so one
 * of a default, or of SQL's syntax: PostgreSQL's own. */
enum { EQUAL = 1, NOT_KNOWN, UNEQUAL };

static size_t
name_key(struct sql_text schema, struct sql_text name, uint8_t key[KNOWLEDGE_KEY_MAX])
{
    struct catalog_scope none = {.tag = 0};
    struct catalog_name wanted = {'f', 0, schema, name};

    return knowledge_key(&none, &wanted, key);
}

static enum sql_known_function
function_of(void *ctx, const struct sql_function *f)
{
    struct knowledge_view *v = ctx;
    uint8_t key[KNOWLEDGE_KEY_MAX];
    size_t len = name_key(f->schema, f->name, key);

    switch ((uintptr_t)map_get(&v->functions, key, len)) {
    case EQUAL:
        return SQL_KNOWN_EQUAL;
    case UNEQUAL:
        return SQL_KNOWN_UNEQUAL;
    default:
        return SQL_KNOWN_NOT;
    }
}

static void
add_function(struct knowledge_view *v, struct sql_text schema, struct sql_text name,
             uintptr_t value)
{
    uint8_t key[KNOWLEDGE_KEY_MAX];
    size_t len = name_key(schema, name, key);
    uintptr_t before = (uintptr_t)map_get(&v->functions, key, len);

    if (value > before)
        map_put(&v->functions, key, len, (void *)value);
}

static struct sql_text
text_of(const char *s)
{
    return (struct sql_text){s, (uint32_t)strlen(s)};
}

/* A default says its names with or without the schema. */
static void
add_calls(struct knowledge_view *v, const struct knowledge_entry *e)
{
    for (uint32_t n = 0; n < e->call_count; n++) {
        const struct knowledge_call *call = &e->calls[n];
        uintptr_t value = call->unequal ? UNEQUAL : EQUAL;
        add_function(v, text_of(call->schema), text_of(call->name), value);
        add_function(v, text_of(""), text_of(call->name), value);
    }
}

/* One of PostgreSQL's own by the same name, with other arguments, may be meant: what is equal must
 * then be so in its eyes, too. */
static uintptr_t
value_of(const struct knowledge_entry *e)
{
    if (e == NULL || e->too_long || e->differs != NULL)
        return UNEQUAL;
    return e->others && !e->own ? EQUAL : NOT_KNOWN;
}

/* ---- views ---- */

/* Does the statement leave more behind than an answer that the client sees? */
static bool
leaves_something(const struct sql_statement *st)
{
    enum sql_kind kind = st->inner_kind == SQL_EMPTY ? st->kind : st->inner_kind;

    if (kind != SQL_SELECT || st->kind == SQL_CREATE_TABLE_AS)
        return st->may_write;
    for (uint32_t n = 0; n < st->table_count; n++) {
        if (st->tables[n].use & SQL_USE_WRITE && st->tables[n].events > 0)
            return true;
    }
    for (uint32_t n = 0; n < st->function_count; n++) {
        enum sql_function_class c = st->functions[n].function_class;
        if (c == SQL_FUNCTION_PRIMARY || c == SQL_FUNCTION_SESSION)
            return true;
    }
    return false;
}

struct looking {
    struct knowledge_view *v;
    bool leaves;
    bool truncates;
    bool all;
};

/* Why a statement that leaves something behind may not name this; NULL: it may. */
static const char *
spoiler_of(const struct looking *l, const struct catalog_name *name,
           const struct knowledge_entry *e)
{
    bool is_table = name->kind == 'r';

    if (name->kind == 'f' || (is_table && !l->leaves))
        return NULL;
    if (e == NULL || e->too_long || (is_table && !e->found))
        return is_table ? "nothing is known of a table that it reads or writes"
                        : "nothing is known of its operators and casts";
    if (e->differs == NULL && l->truncates)
        return e->truncate_differs;
    return e->differs;
}

static bool
look_up(void *ctx, const struct catalog_name *name)
{
    struct looking *l = ctx;
    struct knowledge_view *v = l->v;
    const struct knowledge_entry *e = knowledge_get(v->k, &v->scope, name);

    l->all &= e != NULL;
    if (v->known.spoiler == NULL)
        v->known.spoiler = spoiler_of(l, name, e);
    if (name->kind == 'f')
        add_function(v, name->schema, name->name, value_of(e));
    if (name->kind != 'r' || e == NULL)
        return true;
    if (!e->found && !e->too_long && v->missing.len == 0)
        v->missing = name->name;
    add_calls(v, e);
    return true;
}

bool
knowledge_view_init(struct knowledge_view *v, struct knowledge *k,
                    const struct catalog_scope *scope, const struct sql_facts *f)
{
    struct looking l = {.v = v, .all = true};

    *v = (struct knowledge_view){.k = k, .scope = *scope};
    v->known = (struct sql_known){v, table_of, function_of, NULL};
    for (uint32_t n = 0; n < f->count; n++)
        l.leaves |= leaves_something(&f->statements[n]);
    for (uint32_t n = 0; n < f->count; n++)
        l.truncates |= f->statements[n].kind == SQL_TRUNCATE;
    knowledge_each_name(f, look_up, &l);
    return l.all;
}

void
knowledge_view_fini(struct knowledge_view *v)
{
    map_clear(&v->functions, NULL, NULL);
    map_fini(&v->functions);
}

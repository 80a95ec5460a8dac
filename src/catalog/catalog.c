/*
 * What is known of names: keys, scopes, the lists of the configuration, and the sum over a
 * statement.
 *
 * Called by session/ for every read whose verdict is not kept beside its facts. Invariants: what
 * is put into the memo carries the epoch from before the question; a name that is not known makes
 * the statement unknown, never harmless.
 */
#include "catalog/catalog.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/map.h"
#include "config/config.h"
#include "config/regexes.h"

#include <stdlib.h>
#include <string.h>

enum { DATABASES_MAX = 256, SCOPES_MAX = 4096, KEY_MAX = 192, NAME_BYTES = 64 };

struct catalog {
    struct memo *memo;
    struct map scopes;     /* by login: struct known_scope */
    struct map parameters; /* by database: struct known_parameters */
    struct regexes readers;
    struct regexes writers;
    struct regexes pinners;
    struct regexes safe_tables;
    struct regexes unsafe_tables;
    bool asks_tables;
    bool asks_places;
    uint64_t lists_hash;
    int64_t expire_ns;
    int64_t expired_ns;
};

/* The effective search path of a login, as of an epoch. */
struct known_scope {
    uint64_t tag;
    uint32_t epoch;
};

/* What functions of a database may set, as of an epoch. */
struct known_parameters {
    uint32_t epoch;
    uint32_t len;
    bool opaque;
    char names[];
};

struct catalog *
catalog_new(struct memo *memo)
{
    struct catalog *c = xcalloc(1, sizeof(*c));

    c->memo = memo;
    return c;
}

/* ---- the configuration ---- */

enum { LISTS = 5 };

static void
find_lists(const struct config *config, const struct config_list *lists[LISTS])
{
    lists[0] = &config->read_only_function_list;
    lists[1] = &config->write_function_list;
    lists[2] = &config->pinning_function_list;
    lists[3] = &config->cache_safe_memqcache_table_list;
    lists[4] = &config->cache_unsafe_memqcache_table_list;
}

static uint64_t
hash_of_lists(const struct config_list *const lists[LISTS])
{
    uint64_t hash = 0;

    for (size_t n = 0; n < LISTS; n++) {
        for (uint32_t i = 0; i < lists[n]->count; i++)
            hash = (hash + n + 1) * 31 + hash_bytes(lists[n]->items[i], strlen(lists[n]->items[i]));
    }
    return hash;
}

int
catalog_configure(struct catalog *c, const struct config *config, struct err *err)
{
    struct regexes *const targets[LISTS] = {&c->readers, &c->writers, &c->pinners, &c->safe_tables,
                                            &c->unsafe_tables};
    const struct config_list *lists[LISTS];
    struct regexes compiled[LISTS] = {{NULL, 0}};
    uint64_t hash;

    find_lists(config, lists);
    hash = hash_of_lists(lists);
    for (size_t n = 0; n < LISTS; n++) {
        if (regexes_compile(&compiled[n], lists[n], true, err) != 0) {
            for (size_t i = 0; i <= n; i++)
                regexes_free(&compiled[i]);
            return -1;
        }
    }
    for (size_t n = 0; n < LISTS; n++) {
        regexes_free(targets[n]);
        *targets[n] = compiled[n];
    }
    c->expire_ns = config->relcache_expire_ms * NS_PER_MS;
    c->asks_tables = config_wants_cache(config);
    c->asks_places = config->backend_clustering_mode == CONFIG_MODE_LOGICAL_REPLICATION;
    if (hash != c->lists_hash)
        memo_drop_all(c->memo);
    c->lists_hash = hash;
    return 0;
}

bool
catalog_asks_tables(const struct catalog *c)
{
    return c->asks_tables;
}

bool
catalog_asks_places(const struct catalog *c)
{
    return c->asks_places;
}

/* As schema.name or without the schema. */
static bool
is_listed(const struct regexes *list, const char *name, size_t len)
{
    const char *dot = memrchr(name, '.', len);

    return regexes_match(list, name, len) ||
           (dot != NULL && regexes_match(list, dot + 1, (size_t)(name + len - dot - 1)));
}

bool
catalog_table_is_safe(const struct catalog *c, const char *name, size_t len)
{
    return c->safe_tables.count > 0 && is_listed(&c->safe_tables, name, len);
}

bool
catalog_table_is_unsafe(const struct catalog *c, const char *name, size_t len)
{
    return c->unsafe_tables.count > 0 && is_listed(&c->unsafe_tables, name, len);
}

uint32_t
catalog_listed(const struct catalog *c, const char *name, size_t len, uint32_t flags)
{
    const struct regexes *list = c->readers.count > 0 ? &c->readers : &c->writers;

    if (list->count > 0) {
        bool listed = is_listed(list, name, len);
        flags = listed == (list == &c->readers) ? 0 : flags | CATALOG_WRITES;
    }
    if (c->pinners.count > 0 && is_listed(&c->pinners, name, len))
        flags |= CATALOG_KEEPS | CATALOG_OPAQUE;
    return flags;
}

static uint32_t
pins_of(const struct catalog *c, const struct sql_function *f)
{
    char name[2 * NAME_BYTES];
    size_t len = 0;

    if (f->syntax || f->schema.len + f->name.len + 1 > sizeof(name))
        return 0;
    if (f->schema.len > 0) {
        memcpy(name, f->schema.data, f->schema.len);
        len = f->schema.len;
        name[len++] = '.';
    }
    memcpy(name + len, f->name.data, f->name.len);
    len += f->name.len;
    if (!is_listed(&c->pinners, name, len))
        return 0;
    return sql_function_draws(f) ? CATALOG_PINS_SEQUENCE : CATALOG_PINS_LISTED;
}

uint32_t
catalog_pins(const struct catalog *c, const struct sql_facts *f)
{
    struct sql_memo *memo = f->memo;
    uint32_t tag = (uint32_t)c->lists_hash | 1;

    if (!f->understood || c->pinners.count == 0)
        return 0;
    if (likely(memo->pins_as_of == tag))
        return memo->pins;
    memo->pins = 0;
    memo->pins_as_of = tag;
    for (uint32_t n = 0; n < f->count; n++) {
        const struct sql_statement *st = &f->statements[n];
        for (uint32_t i = 0; i < st->function_count; i++)
            memo->pins |= pins_of(c, &st->functions[i]);
    }
    return memo->pins;
}

/* ---- scopes ---- */

/* Two halves of 64 bits, by one byte more. */
static struct memo_key
hash_twice(struct buf *bytes)
{
    struct memo_key key = {.a = hash_bytes(bytes->data, bytes->len)};

    buf_add_u8(bytes, 0xff);
    key.b = hash_bytes(bytes->data, bytes->len);
    return key;
}

uint32_t
catalog_group(const char *database)
{
    return (uint32_t)(hash_bytes(database, strlen(database)) % MEMO_GROUPS);
}

/* Names and paths are as long as clients make them: only their hash is kept. */
static struct memo_key
login_key(const struct catalog_login *login)
{
    struct buf bytes = BUF_EMPTY;
    struct memo_key key;

    buf_add_cstr(&bytes, login->database);
    buf_add_u32(&bytes, (uint32_t)login->who_len);
    buf_add(&bytes, login->who, login->who_len);
    buf_add(&bytes, login->path, login->path_len);
    key = hash_twice(&bytes);
    buf_free(&bytes);
    return key;
}

struct catalog_scope
catalog_scope(const struct catalog *c, const struct catalog_login *login)
{
    struct catalog_scope scope = {.group = catalog_group(login->database)};
    struct memo_key key = login_key(login);
    const struct known_scope *known = map_get(&c->scopes, &key, sizeof(key));

    scope.epoch = memo_epoch(c->memo, scope.group);
    if (known != NULL && known->epoch == scope.epoch)
        scope.tag = known->tag;
    return scope;
}

static void
drop_value(void *ctx UNUSED, void *value)
{
    free(value);
}

void
catalog_learn_scope(struct catalog *c, const struct catalog_login *login,
                    struct catalog_scope *scope, const char *path, size_t path_len)
{
    struct known_scope *known = xmalloc(sizeof(*known));
    struct memo_key key = login_key(login);
    struct buf bytes = BUF_EMPTY;

    buf_add_cstr(&bytes, login->database);
    buf_add(&bytes, path, path_len);
    scope->tag = hash_bytes(bytes.data, bytes.len) | 1;
    buf_free(&bytes);
    known->tag = scope->tag;
    known->epoch = scope->epoch;
    if (c->scopes.count >= SCOPES_MAX)
        map_clear(&c->scopes, drop_value, NULL);
    free(map_put(&c->scopes, &key, sizeof(key), known));
}

bool
catalog_parameters(const struct catalog *c, const struct catalog_scope *scope, const char *database,
                   struct sql_text *names_r, bool *opaque_r)
{
    const struct known_parameters *known = map_get(&c->parameters, database, strlen(database));

    if (known == NULL || known->epoch != scope->epoch)
        return false;
    *names_r = (struct sql_text){known->names, known->len};
    *opaque_r = known->opaque;
    return true;
}

void
catalog_put_parameters(struct catalog *c, const struct catalog_scope *scope, const char *database,
                       const struct buf *names, bool opaque)
{
    struct known_parameters *known = xmalloc(sizeof(*known) + names->len);

    known->epoch = scope->epoch;
    known->len = (uint32_t)names->len;
    known->opaque = opaque;
    if (names->len > 0)
        memcpy(known->names, names->data, names->len);
    if (c->parameters.count >= DATABASES_MAX)
        map_clear(&c->parameters, drop_value, NULL);
    free(map_put(&c->parameters, database, strlen(database), known));
}

void
catalog_changed(struct catalog *c, const char *database)
{
    if (database == NULL)
        memo_drop_all(c->memo);
    else
        memo_drop(c->memo, catalog_group(database));
}

/* Every child does so: what is found out anew in between is found out once more. */
void
catalog_sweep(struct catalog *c, int64_t now_ns)
{
    if (c->expire_ns == 0 || now_ns - c->expired_ns < c->expire_ns)
        return;
    if (c->expired_ns != 0)
        memo_drop_all(c->memo);
    c->expired_ns = now_ns;
}

void
catalog_free(struct catalog *c)
{
    map_clear(&c->scopes, drop_value, NULL);
    map_fini(&c->scopes);
    map_clear(&c->parameters, drop_value, NULL);
    map_fini(&c->parameters);
    regexes_free(&c->readers);
    regexes_free(&c->writers);
    regexes_free(&c->pinners);
    regexes_free(&c->safe_tables);
    regexes_free(&c->unsafe_tables);
    free(c);
}

/* ---- names ---- */

bool
catalog_is_system(struct sql_text schema)
{
    return schema.len == 10 && memcmp(schema.data, "pg_catalog", 10) == 0;
}

static bool
each_of_list(const struct sql_name *list, uint32_t count, char kind, catalog_name_fn *fn, void *ctx)
{
    for (uint32_t n = 0; n < count; n++) {
        struct catalog_name name = {kind, 0, list[n].schema, list[n].name};
        if (!catalog_is_system(name.schema) && !fn(ctx, &name))
            return false;
    }
    return true;
}

bool
catalog_each_other_name(const struct sql_statement *st, catalog_name_fn *fn, void *ctx)
{
    return each_of_list(st->operators, st->operator_count, 'o', fn, ctx) &&
           each_of_list(st->types, st->type_count, 't', fn, ctx);
}

static const struct catalog_name the_database = {'d', 0, {NULL, 0}, {NULL, 0}};

bool
catalog_each_name(const struct sql_statement *st, catalog_name_fn *fn, void *ctx)
{
    for (uint32_t n = 0; n < st->table_count; n++) {
        const struct sql_table *t = &st->tables[n];
        struct catalog_name name = {t->use & SQL_USE_WRITE ? 'w' : 'r', 0, t->schema, t->name};
        if (t->use != SQL_USE_NAMED && !(t->use & SQL_USE_DEFINE) && !fn(ctx, &name))
            return false;
    }
    for (uint32_t n = 0; n < st->function_count; n++) {
        const struct sql_function *f = &st->functions[n];
        struct catalog_name name = {'f', f->args, f->schema, f->name};
        if (f->syntax || (catalog_is_system(f->schema) && f->function_class == SQL_FUNCTION_SAFE))
            continue;
        if (!fn(ctx, &name))
            return false;
    }
    return catalog_each_other_name(st, fn, ctx) && fn(ctx, &the_database);
}

/* Names are at most 63 bytes long. */
static struct memo_key
key_of(const struct catalog_scope *scope, const struct catalog_name *name)
{
    uint8_t bytes[KEY_MAX];
    size_t len = sizeof(scope->tag);
    struct memo_key key;

    memcpy(bytes, &scope->tag, len);
    bytes[len++] = (uint8_t)name->kind;
    bytes[len++] = name->args;
    bytes[len++] = (uint8_t)name->schema.len;
    if (name->schema.len > 0)
        memcpy(bytes + len, name->schema.data, name->schema.len);
    len += name->schema.len;
    if (name->name.len > 0)
        memcpy(bytes + len, name->name.data, name->name.len);
    len += name->name.len;
    key.a = hash_bytes(bytes, len);
    bytes[len++] = 0xff;
    key.b = hash_bytes(bytes, len);
    return key;
}

bool
catalog_known(const struct catalog *c, const struct catalog_scope *scope,
              const struct catalog_name *name, uint32_t *flags_r)
{
    return memo_get(c->memo, key_of(scope, name), scope->epoch, flags_r);
}

void
catalog_put(struct catalog *c, const struct catalog_scope *scope, const struct catalog_name *name,
            uint32_t flags)
{
    memo_put(c->memo, key_of(scope, name), scope->epoch, flags);
}

/* Keys of parts lie far from those of others. */
static struct memo_key
key_of_part(const struct catalog_scope *scope, const struct catalog_name *name, uint32_t part)
{
    struct memo_key key = key_of(scope, name);

    key.a += part * 0x9e3779b97f4a7c15u;
    key.b ^= part * 0xc2b2ae3d27d4eb4fu;
    return key;
}

bool
catalog_part(const struct catalog *c, const struct catalog_scope *scope,
             const struct catalog_name *name, uint32_t part, uint32_t *value_r)
{
    return memo_get(c->memo, key_of_part(scope, name, part), scope->epoch, value_r);
}

void
catalog_put_part(struct catalog *c, const struct catalog_scope *scope,
                 const struct catalog_name *name, uint32_t part, uint32_t value)
{
    memo_put(c->memo, key_of_part(scope, name, part), scope->epoch, value);
}

bool
catalog_table_oid(const struct catalog *c, const struct catalog_scope *scope,
                  const struct sql_table *table, uint32_t *oid_r)
{
    struct catalog_name name = {'r', 0, table->schema, table->name};

    return scope->tag != 0 && catalog_part(c, scope, &name, CATALOG_PART_OID, oid_r);
}

/* ---- judging ---- */

struct judging {
    const struct catalog *c;
    const struct catalog_scope *scope;
    uint32_t flags;
    struct sql_text culprit;
};

static bool
judge_name(void *ctx, const struct catalog_name *name)
{
    struct judging *j = ctx;
    uint32_t flags;

    if (!catalog_known(j->c, j->scope, name, &flags))
        return false;
    flags &= ~(uint32_t)CATALOG_MIXED;
    if (flags != 0 && j->flags == 0)
        j->culprit = name->name;
    j->flags |= flags;
    return true;
}

bool
catalog_judge(const struct catalog *c, const struct catalog_scope *scope,
              const struct sql_statement *st, uint32_t *flags_r, struct sql_text *culprit_r)
{
    struct judging j = {.c = c, .scope = scope};

    if (scope->tag == 0 || !catalog_each_name(st, judge_name, &j))
        return false;
    *flags_r = j.flags;
    if (culprit_r != NULL)
        *culprit_r = j.culprit;
    return true;
}

bool
catalog_database(const struct catalog *c, const struct catalog_scope *scope, uint32_t *flags_r)
{
    return scope->tag != 0 && catalog_known(c, scope, &the_database, flags_r);
}

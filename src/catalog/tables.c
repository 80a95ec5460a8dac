/*
 * Which tables a statement reads and writes: what is known of its names, put together.
 *
 * Of each name the memo holds a set: flags, a check over all of it, and the tables' numbers one by
 * one. Called by session/ for answers that may be kept and before writes leave, by catalog/question
 * with the rows of src/catalog/tables.sql. Invariants: a set of which a part is gone, or belongs to
 * another answer, is not known; a name that is not known makes the statement unknown, never
 * harmless.
 */
#include "catalog/tables.h"

#include "base/num.h"

#include <string.h>

/* Of rows: src/catalog/tables.sql. */
enum {
    ROW_REASONS = 0xffff,
    ROW_SPREADS = 1 << 16,
    ROW_ROOT = 1 << 17,
    ROW_EVENT_SHIFT = 18,
    ROW_OWN = 1 << 20,
    ROW_VOLATILE = 1 << 21,
    ROW_WRITE = 1 << 23,
    ROW_TABLE = 1 << 24,
    ROW_ASKED = 1 << 25,
};

/* Of the first part of a set; reasons are below. */
enum {
    PART_REASONS = 0xffff,
    PART_COUNT_SHIFT = 16,
    PART_COUNT = 31,
    PART_SPREADS = 1 << 21,
    PART_ROOTS = 1 << 22,
    PARTS = 32, /* of each set */
};

static const uint32_t many = 1u << CATALOG_UNCACHED_MANY;

_Static_assert(CATALOG_UNCACHED_LAST < 16, "reasons fit into 16 bits");
_Static_assert(CATALOG_TABLES_MAX < (int)PART_COUNT && CATALOG_TABLES_MAX + 2 <= (int)PARTS,
               "sets fit");

/* ---- rows ---- */

void
catalog_set_add(struct catalog_set *set, uint32_t oid)
{
    for (uint32_t n = 0; n < set->n; n++) {
        if (set->oids[n] == oid)
            return;
    }
    if (set->n < CATALOG_TABLES_MAX)
        set->oids[set->n++] = oid;
    else
        set->reasons |= many;
}

static bool
is(struct sql_text text, const char *word)
{
    return text.len == strlen(word) && memcmp(text.data, word, text.len) == 0;
}

/* May a volatile function of PostgreSQL's own reach tables, by the SQL that it is given? */
static bool
spreads(struct sql_text name)
{
    static const struct sql_text system = {"pg_catalog", 10};
    static const char *const harmless[] = {"random_normal",
                                           "suppress_redundant_updates_trigger",
                                           "tsvector_update_trigger",
                                           "tsvector_update_trigger_column",
                                           "uuidv4",
                                           "uuidv7"};

    if (sql_function_class(system, name) != SQL_FUNCTION_UNKNOWN)
        return false;
    for (size_t n = 0; n < ARRAY_LEN(harmless); n++) {
        if (is(name, harmless[n]))
            return false;
    }
    return true;
}

/* "number rest": takes the number, and leaves the rest in text. */
static uint32_t
take_number(struct sql_text *text)
{
    uint64_t value = 0;
    uint32_t n = 0;

    while (n < text->len && text->data[n] >= '0' && text->data[n] <= '9' && value <= UINT32_MAX)
        value = value * 10 + (uint32_t)(text->data[n++] - '0');
    if (n < text->len && text->data[n] == ' ')
        n++;
    text->data += n;
    text->len -= n;
    return value <= UINT32_MAX ? (uint32_t)value : 0;
}

/* "name arguments" */
static void
take_own(struct catalog_set *set, uint32_t flags, struct sql_text text)
{
    static const struct sql_text system = {"pg_catalog", 10};
    const char *space = text.len > 0 ? memrchr(text.data, ' ', text.len) : NULL;
    struct sql_text name, args;

    if (space == NULL) {
        set->reasons |= 1u << CATALOG_UNCACHED_FUNCTION;
        set->spreads = true;
        return;
    }
    name = (struct sql_text){text.data, (uint32_t)(space - text.data)};
    args = (struct sql_text){space + 1, text.len - name.len - 1};
    if (!sql_function_fixed(system, name, (uint8_t)take_number(&args)))
        set->reasons |= 1u << CATALOG_UNCACHED_FUNCTION;
    if (flags & ROW_VOLATILE && spreads(name))
        set->spreads = true;
}

/* A relation that is read. */
static void
take_relation(const struct catalog *c, struct catalog_set *set, uint32_t flags,
              struct sql_text name)
{
    if (name.len == 0)
        return;
    if (catalog_table_is_unsafe(c, name.data, name.len)) {
        set->reasons |= 1u << CATALOG_UNCACHED_LISTED;
    } else if (flags & 1u << CATALOG_UNCACHED_FOREIGN || flags & ROW_ASKED) {
        bool safe = catalog_table_is_safe(c, name.data, name.len);
        set->safe |= safe && flags & ROW_ASKED;
        if (flags & 1u << CATALOG_UNCACHED_FOREIGN && !safe)
            set->reasons |= 1u << CATALOG_UNCACHED_FOREIGN;
    }
}

void
catalog_take_tables(const struct catalog *c, struct catalog_set *sets, uint32_t flags,
                    struct sql_text text)
{
    struct catalog_set *set = sets;
    uint32_t oid;

    if (flags & ROW_WRITE)
        set = &sets[flags >> ROW_EVENT_SHIFT & (CATALOG_EVENTS - 1)];
    set->reasons |= flags & ROW_REASONS & ~(1u << CATALOG_UNCACHED_FOREIGN);
    set->spreads |= (flags & ROW_SPREADS) != 0;
    set->roots |= (flags & ROW_ROOT) != 0;
    if (flags & ROW_OWN) {
        take_own(set, flags, text);
        return;
    }
    if (text.len == 0)
        return;
    oid = take_number(&text);
    if (flags & ROW_TABLE)
        catalog_set_add(set, oid);
    if (!(flags & ROW_WRITE))
        take_relation(c, set, flags, text);
}

/* ---- sets in the memo ---- */

static uint32_t
check_of(const struct catalog_set *set, uint32_t flags)
{
    uint64_t sum = flags;

    for (uint32_t n = 0; n < set->n; n++)
        sum = (sum ^ set->oids[n]) * 0x9e3779b97f4a7c15u + n;
    return (uint32_t)(sum >> 32);
}

void
catalog_put_set(struct catalog *c, const struct catalog_scope *scope,
                const struct catalog_name *name, uint32_t number, const struct catalog_set *set)
{
    uint32_t part = 1 + number * PARTS;
    uint32_t reasons = set->reasons;
    uint32_t flags;

    if (set->safe)
        reasons &= ~(1u << CATALOG_UNCACHED_FOREIGN);
    flags = reasons | set->n << PART_COUNT_SHIFT | (set->spreads ? PART_SPREADS : 0) |
            (set->roots ? PART_ROOTS : 0);
    catalog_put_part(c, scope, name, part, flags);
    catalog_put_part(c, scope, name, part + 1, check_of(set, flags));
    for (uint32_t n = 0; n < set->n; n++)
        catalog_put_part(c, scope, name, part + 2 + n, set->oids[n]);
}

static bool
get_set(const struct catalog *c, const struct catalog_scope *scope, const struct catalog_name *name,
        uint32_t number, struct catalog_set *set)
{
    uint32_t part = 1 + number * PARTS;
    uint32_t flags, check;

    if (!catalog_part(c, scope, name, part, &flags) ||
        !catalog_part(c, scope, name, part + 1, &check))
        return false;
    *set = (struct catalog_set){
        .reasons = flags & PART_REASONS,
        .spreads = flags & PART_SPREADS,
        .roots = flags & PART_ROOTS,
        .n = MIN(flags >> PART_COUNT_SHIFT & PART_COUNT, (uint32_t)CATALOG_TABLES_MAX),
    };
    for (uint32_t n = 0; n < set->n; n++) {
        if (!catalog_part(c, scope, name, part + 2 + n, &set->oids[n]))
            return false;
    }
    return check_of(set, flags) == check;
}

bool
catalog_sets_known(const struct catalog *c, const struct catalog_scope *scope,
                   const struct catalog_name *name)
{
    struct catalog_set set;

    for (uint32_t n = 0; n < catalog_sets_of(name->kind); n++) {
        if (!get_set(c, scope, name, n, &set))
            return false;
    }
    return true;
}

/* ---- reads ---- */

/* What all names of a statement say together. */
struct summing {
    const struct catalog *c;
    const struct catalog_scope *scope;
    const struct sql_statement *st;
    struct catalog_set sum;
    uint32_t database;
};

static void
add_set(struct summing *s, const struct catalog_name *name, const struct catalog_set *set)
{
    s->sum.reasons |= set->reasons;
    s->sum.spreads |= set->spreads;
    s->sum.roots |= set->roots;
    if (name->kind == 'd') {
        s->database = set->n > 0 ? set->oids[0] : 0;
        return;
    }
    for (uint32_t n = 0; n < set->n; n++)
        catalog_set_add(&s->sum, set->oids[n]);
}

static bool
sum_read(void *ctx, const struct catalog_name *name)
{
    struct summing *s = ctx;
    struct catalog_set set;

    if (!get_set(s->c, s->scope, name, 0, &set))
        return false;
    add_set(s, name, &set);
    return true;
}

static bool
sum_columns(struct summing *s)
{
    for (uint32_t n = 0; n < s->st->column_count; n++) {
        struct catalog_name name = {'c', 0, {NULL, 0}, s->st->columns[n].name};
        if (!sum_read(s, &name))
            return false;
    }
    return true;
}

/* What the text alone says against it, as reasons. */
static uint32_t
against(const struct sql_statement *st)
{
    uint32_t reasons = 0;

    if (st->kind != SQL_SELECT || (st->writes && !st->locks_rows && !st->temporary))
        reasons |= 1u << CATALOG_UNCACHED_KIND;
    if (st->locks_rows)
        reasons |= 1u << CATALOG_UNCACHED_LOCKS;
    if (st->says_now || st->reads_times)
        reasons |= 1u << CATALOG_UNCACHED_TIME;
    if (st->samples)
        reasons |= 1u << CATALOG_UNCACHED_SAMPLE;
    if (st->system_columns)
        reasons |= 1u << CATALOG_UNCACHED_COLUMN;
    if (st->temporary)
        reasons |= 1u << CATALOG_UNCACHED_TEMPORARY;
    /* whose method is a function, too */
    for (uint32_t n = 0; n < st->function_count && !st->samples; n++) {
        const struct sql_function *f = &st->functions[n];
        if (!f->fixed && (f->syntax || f->function_class != SQL_FUNCTION_UNKNOWN))
            reasons |= 1u << CATALOG_UNCACHED_FUNCTION;
    }
    for (uint32_t n = 0; n < st->table_count; n++) {
        if (st->tables[n].use & (SQL_USE_WRITE | SQL_USE_DEFINE | SQL_USE_LOCK))
            reasons |= 1u << CATALOG_UNCACHED_KIND;
    }
    return reasons;
}

/* The first in the order of the enum: what people should hear of first. */
static enum catalog_uncached
first_of(uint32_t reasons)
{
    enum catalog_uncached why = CATALOG_UNCACHED_KIND;

    while (why < CATALOG_UNCACHED_LAST && !(reasons & 1u << why))
        why++;
    return why;
}

static void
take(struct catalog_tables *r, const struct summing *s)
{
    *r = (struct catalog_tables){.database = s->database, .roots = s->sum.roots, .n = s->sum.n};
    memcpy(r->oids, s->sum.oids, s->sum.n * sizeof(r->oids[0]));
}

enum catalog_answer
catalog_reads(const struct catalog *c, const struct catalog_scope *scope,
              const struct sql_statement *st, struct catalog_tables *r,
              enum catalog_uncached *why_r)
{
    struct summing s = {.c = c, .scope = scope, .st = st};
    uint32_t reasons = against(st);

    *r = (struct catalog_tables){.n = 0};
    *why_r = CATALOG_UNCACHED_NONE;
    if (reasons == 0) {
        if (scope->tag == 0 || !catalog_each_name(st, sum_read, &s) || !sum_columns(&s))
            return CATALOG_TABLES_UNKNOWN;
        reasons = s.sum.reasons;
    }
    if (reasons != 0) {
        *why_r = first_of(reasons);
        return CATALOG_TABLES_NOT;
    }
    take(r, &s);
    return CATALOG_TABLES_KNOWN;
}

uint32_t
catalog_database_oid(const struct catalog *c, const struct catalog_scope *scope)
{
    static const struct catalog_name the_database = {'d', 0, {NULL, 0}, {NULL, 0}};
    struct catalog_set set;

    if (scope->tag == 0 || !get_set(c, scope, &the_database, 0, &set) || set.n == 0)
        return 0;
    return set.oids[0];
}

/* ---- writes ---- */

enum effect { EFFECT_NONE, EFFECT_NAMES, EFFECT_EVERYTHING };

static enum effect
effect_of_kind(enum sql_kind kind)
{
    switch (kind) {
    case SQL_EMPTY:
    case SQL_BEGIN:
    case SQL_COMMIT:
    case SQL_ROLLBACK:
    case SQL_SAVEPOINT:
    case SQL_SET:
    case SQL_SET_LOCAL:
    case SQL_SET_TX:
    case SQL_SET_SESSION:
    case SQL_RESET_ALL:
    case SQL_SHOW:
    case SQL_DISCARD:
    case SQL_PREPARE:
    case SQL_DEALLOCATE:
    case SQL_LISTEN:
    case SQL_UNLISTEN:
    case SQL_NOTIFY:
    case SQL_CLOSE:
    case SQL_POOL_SHOW:
    case SQL_POOL:
    case SQL_LOCK:
    case SQL_VACUUM:
    case SQL_ANALYZE:
    case SQL_CLUSTER:
    case SQL_REINDEX:
    case SQL_CHECKPOINT:
        return EFFECT_NONE;
    case SQL_SELECT:
    case SQL_INSERT:
    case SQL_UPDATE:
    case SQL_DELETE:
    case SQL_MERGE:
    case SQL_COPY_FROM:
    case SQL_COPY_TO:
    case SQL_TRUNCATE:
    case SQL_REFRESH:
    case SQL_DECLARE:
        return EFFECT_NAMES;
    default:
        return EFFECT_EVERYTHING;
    }
}

bool
catalog_changes_nothing(enum sql_kind kind)
{
    return effect_of_kind(kind) == EFFECT_NONE;
}

static enum effect
effect_of(const struct sql_statement *st)
{
    if (st->kind == SQL_EXPLAIN)
        return st->analyze ? effect_of_kind(st->inner_kind) : EFFECT_NONE;
    return effect_of_kind(st->kind);
}

/* Sets of events that the statement makes of a table: a mask of their numbers. */
static unsigned
events_of(const struct sql_statement *st, const struct catalog_name *name)
{
    if (st->kind == SQL_TRUNCATE)
        return 1u << 3;
    if (st->kind == SQL_REFRESH)
        return 1u << 0;
    for (uint32_t n = 0; n < st->table_count; n++) {
        const struct sql_table *t = &st->tables[n];
        if (t->use & SQL_USE_WRITE && t->events > 0 && t->name.data == name->name.data)
            return t->events;
    }
    return (1u << 0) | (1u << 1) | (1u << 2);
}

_Static_assert(SQL_EVENT_INSERT == 1u << 0 && SQL_EVENT_UPDATE == 1u << 1 &&
                   SQL_EVENT_DELETE == 1u << 2,
               "sets are in the order of events");

static bool
sum_write(void *ctx, const struct catalog_name *name)
{
    struct summing *s = ctx;
    struct catalog_set set;
    unsigned events;

    if (name->kind != 'w') {
        if (!get_set(s->c, s->scope, name, 0, &set))
            return false;
        /* what is only read counts for what it calls */
        if (name->kind != 'd')
            set.n = 0;
        set.roots = false;
        set.reasons &= 1u << CATALOG_UNCACHED_MISSING;
        add_set(s, name, &set);
        return true;
    }
    events = events_of(s->st, name);
    for (uint32_t n = 0; n < CATALOG_EVENTS; n++) {
        if (!(events & 1u << n))
            continue;
        if (!get_set(s->c, s->scope, name, n, &set))
            return false;
        set.reasons &= many | 1u << CATALOG_UNCACHED_MISSING;
        add_set(s, name, &set);
    }
    return true;
}

enum catalog_answer
catalog_writes(const struct catalog *c, const struct catalog_scope *scope,
               const struct sql_statement *st, struct catalog_tables *r)
{
    struct summing s = {.c = c, .scope = scope, .st = st};
    enum effect effect = effect_of(st);

    *r = (struct catalog_tables){.database = catalog_database_oid(c, scope),
                                 .everything = effect != EFFECT_NONE};
    if (effect == EFFECT_NONE)
        return CATALOG_TABLES_KNOWN;
    if (effect == EFFECT_EVERYTHING || st->changes_catalog)
        return r->database != 0 ? CATALOG_TABLES_KNOWN : CATALOG_TABLES_UNKNOWN;
    if (scope->tag == 0 || !catalog_each_name(st, sum_write, &s))
        return CATALOG_TABLES_UNKNOWN;
    if (s.sum.spreads || s.sum.reasons != 0) {
        r->everything = true;
        return CATALOG_TABLES_KNOWN;
    }
    take(r, &s);
    return CATALOG_TABLES_KNOWN;
}

/* ---- words ---- */

const char *
catalog_uncached_words(enum catalog_uncached why)
{
    static const char *const words[CATALOG_UNCACHED_LAST + 1] = {
        [CATALOG_UNCACHED_NONE] = "",
        [CATALOG_UNCACHED_KIND] = "it is no plain read",
        [CATALOG_UNCACHED_LOCKS] = "it locks rows",
        [CATALOG_UNCACHED_TIME] = "it may depend on the time",
        [CATALOG_UNCACHED_FUNCTION] = "it calls a function whose answers may change",
        [CATALOG_UNCACHED_SAMPLE] = "it reads a sample of a table",
        [CATALOG_UNCACHED_COLUMN] = "it reads columns of the system's",
        [CATALOG_UNCACHED_MISSING] = "a name in it is not known",
        [CATALOG_UNCACHED_TEMPORARY] = "it reads a temporary table",
        [CATALOG_UNCACHED_SYSTEM] = "it reads the system's own tables",
        [CATALOG_UNCACHED_FOREIGN] = "it reads a foreign table",
        [CATALOG_UNCACHED_SEQUENCE] = "it reads a sequence",
        [CATALOG_UNCACHED_LISTED] = "it reads a table in \"cache_unsafe_memqcache_table_list\"",
        [CATALOG_UNCACHED_MANY] = "it comes from too many tables",
    };

    return words[why];
}

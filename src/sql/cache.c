/*
 * The cache of facts by text.
 *
 * Called by session/ and admin/ for every text. Texts that differ in numbers only share their facts
 * where those do not depend on the numbers. A text is kept when it comes the second time; facts of
 * all others stand in one place that is used again. Invariants: the cache holds at most its limit
 * of bytes; an entry is one allocation and owns all that its facts point to, but for constants.
 */
#include "sql/facts.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/list.h"
#include "sql/understand.h"

#include <stdlib.h>
#include <string.h>

enum {
    CACHED_TEXT_MAX = 16 * 1024,
    COMMON_TEXT_MAX = 1024, /* of texts that are compared without their numbers */
    SEEN = 4096,            /* texts whose hash is remembered after one look */
    BUCKETS = 1024,
    STANDARD_STRINGS = 0x80,
    VERSION_MAX = 0x7f,
};

struct entry {
    struct entry *next; /* in its bucket */
    struct list link;   /* least recently used first */
    uint64_t hash;
    size_t bytes;
    struct sql_facts facts;
    struct sql_memo memo;
    uint32_t text_len;
    uint8_t options; /* options_of() */
    bool common;     /* text stands for all that differ from it in numbers only */
    char *text;      /* behind statements and lists; names behind it */
};

struct sql_cache {
    struct entry *buckets[BUCKETS];
    struct list used;
    size_t limit_bytes;
    size_t bytes;
    struct entry *last; /* facts of the last text that was not worth keeping */
    size_t last_bytes;  /* what is allocated there */
    bool has_last;
    uint32_t seen[SEEN];
    struct sql_work work;
    struct sql_found found;
    void *scanner;
};

struct sql_cache *
sql_cache_new(size_t limit_bytes)
{
    struct sql_cache *c = xcalloc(1, sizeof(*c));

    c->limit_bytes = limit_bytes;
    list_init(&c->used);
    c->scanner = sql_scanner_new(&c->work);
    return c;
}

static void
evict(struct sql_cache *c, struct entry *e)
{
    struct entry **link = &c->buckets[e->hash % BUCKETS];

    while (*link != e)
        link = &(*link)->next;
    *link = e->next;
    list_remove(&e->link);
    c->bytes -= e->bytes;
    free(e);
}

void
sql_cache_free(struct sql_cache *c)
{
    while (!list_empty(&c->used))
        evict(c, list_first(&c->used, struct entry, link));
    free(c->last);
    sql_scanner_free(c->scanner);
    sql_found_free(&c->found);
    free(c->work.tokens);
    free(c->work.heads);
    free(c->work.marks);
    free(c);
}

/* ---- keys ---- */

/* What a text is looked up by. */
struct key {
    const char *text;
    size_t len;
    uint8_t options;
    bool common;
    uint64_t hash;
};

/* The version and, in the highest bit, how backslashes are taken. */
static inline uint8_t
options_of(const struct sql_options *o)
{
    uint8_t version = MIN(o->server_version, (uint8_t)VERSION_MAX);

    return o->standard_conforming_strings ? version | STANDARD_STRINGS : version;
}

static bool
is_of(const struct entry *e, const struct key *k)
{
    return e->text_len == k->len && e->common == k->common && e->options == k->options &&
           memcmp(e->text, k->text, k->len) == 0;
}

static struct entry *
find(struct sql_cache *c, const struct key *k)
{
    struct entry *e = c->buckets[k->hash % BUCKETS];

    while (e != NULL && (e->hash != k->hash || !is_of(e, k)))
        e = e->next;
    return e;
}

/* Could a digit behind it belong to a name, a parameter, or a number that goes on? */
static const bool binds_digits[256] = {
    ['0' ... '9'] = true, ['a' ... 'z'] = true, ['A' ... 'Z'] = true,
    ['_'] = true,         ['$'] = true,         [128 ... 255] = true,
};

/* The text with a 0 for each number, whether it is one or stands in a string or comment: no
 * boundary of a token depends on it. Returns 0 when the text is too long for that, or has names in
 * quotes, whose digits count. */
static size_t
without_numbers(const char *text, size_t len, char *to)
{
    char *begin = to;
    const char *end = text + len;
    uint8_t before = ' ';

    if (len > COMMON_TEXT_MAX || memchr(text, '"', len) != NULL)
        return 0;
    while (text < end) {
        uint8_t now = (uint8_t)*text++;
        if ((uint8_t)(now - '0') <= 9 && !binds_digits[before]) {
            while (text < end && (uint8_t)(*text - '0') <= 9)
                text++;
            now = '0';
        }
        *to++ = (char)now;
        before = now;
    }
    return (size_t)(to - begin);
}

/* ---- entries ---- */

/* Where everything of an entry stands, and its size. */
struct layout {
    size_t statements, tables, functions, operators, types, settings, columns, text, chars, size;
};

static struct layout
lay_out(const struct sql_found *f, size_t text_len)
{
    struct layout o;

    o.statements = sizeof(struct entry);
    o.tables = o.statements + MAX(f->statements.count, 1u) * sizeof(struct sql_statement);
    o.functions = o.tables + f->tables.count * sizeof(struct sql_table);
    o.operators = o.functions + f->functions.count * sizeof(struct sql_function);
    o.types = o.operators + f->operators.count * sizeof(struct sql_name);
    o.settings = o.types + f->types.count * sizeof(struct sql_name);
    o.columns = o.settings + f->settings.count * sizeof(struct sql_setting);
    o.text = o.columns + f->columns.count * sizeof(struct sql_name);
    o.chars = o.text + text_len;
    o.size = o.chars + f->char_count;
    return o;
}

/* From names in what was found to names in the entry; constants stay where they are. */
struct move {
    const char *from;
    uint32_t len;
    char *to;
};

static inline void
move_text(struct sql_text *t, const struct move *m)
{
    uintptr_t at = (uintptr_t)t->data - (uintptr_t)m->from;

    if (t->data != NULL && at < m->len)
        t->data = m->to + at;
}

static void
move_names(struct sql_name *names, uint32_t count, const struct move *m)
{
    for (uint32_t n = 0; n < count; n++) {
        move_text(&names[n].schema, m);
        move_text(&names[n].name, m);
    }
}

static void
copy_list(char *to, const struct sql_list *list, size_t size)
{
    if (list->count > 0)
        memcpy(to, list->items, list->count * size);
}

/* Copies the lists behind each other, and gives each statement its part of them. */
static void
copy_found(struct entry *e, const struct sql_found *f, const struct layout *o)
{
    char *base = (char *)e;
    struct move m = {f->chars, f->char_count, base + o->chars};
    struct sql_statement *st = (struct sql_statement *)(base + o->statements);
    struct sql_table *tables = (struct sql_table *)(base + o->tables);
    struct sql_function *functions = (struct sql_function *)(base + o->functions);
    struct sql_name *operators = (struct sql_name *)(base + o->operators);
    struct sql_name *types = (struct sql_name *)(base + o->types);
    struct sql_setting *settings = (struct sql_setting *)(base + o->settings);
    struct sql_name *columns = (struct sql_name *)(base + o->columns);

    copy_list((char *)st, &f->statements, sizeof(*st));
    copy_list((char *)tables, &f->tables, sizeof(*tables));
    copy_list((char *)functions, &f->functions, sizeof(*functions));
    copy_list((char *)operators, &f->operators, sizeof(*operators));
    copy_list((char *)types, &f->types, sizeof(*types));
    copy_list((char *)settings, &f->settings, sizeof(*settings));
    copy_list((char *)columns, &f->columns, sizeof(*columns));
    if (f->char_count > 0)
        memcpy(m.to, f->chars, f->char_count);
    for (uint32_t n = 0; n < f->tables.count; n++) {
        move_text(&tables[n].schema, &m);
        move_text(&tables[n].name, &m);
    }
    for (uint32_t n = 0; n < f->functions.count; n++) {
        move_text(&functions[n].schema, &m);
        move_text(&functions[n].name, &m);
    }
    move_names(operators, f->operators.count, &m);
    move_names(types, f->types.count, &m);
    move_names(columns, f->columns.count, &m);
    for (uint32_t n = 0; n < f->settings.count; n++) {
        move_text(&settings[n].name, &m);
        move_text(&settings[n].value, &m);
    }
    for (uint32_t n = 0; n < f->statements.count; n++, st++) {
        move_text(&st->name, &m);
        move_text(&st->value, &m);
        st->tables = tables;
        st->functions = functions;
        st->operators = operators;
        st->types = types;
        st->settings = settings;
        st->columns = columns;
        tables += st->table_count;
        functions += st->function_count;
        operators += st->operator_count;
        types += st->type_count;
        settings += st->setting_count;
        columns += st->column_count;
    }
}

static void
not_understood(struct sql_facts *f, struct sql_statement *st, size_t len)
{
    memset(st, 0, sizeof(*st));
    st->kind = SQL_OTHER;
    st->inner_kind = SQL_EMPTY;
    st->end = (uint32_t)len;
    st->may_write = st->writes = st->may_touch_session = st->changes_catalog = true;
    f->count = 1;
    f->may_write = f->may_touch_session = true;
}

static void
sum_up(struct sql_facts *f, struct sql_statement *st, const struct sql_found *found)
{
    f->understood = true;
    f->count = found->statements.count;
    if (f->count == 0) {
        memset(st, 0, sizeof(*st));
        st->kind = st->inner_kind = SQL_EMPTY;
        f->count = 1;
    }
    for (uint32_t n = 0; n < f->count; n++) {
        f->may_write |= st[n].may_write;
        f->may_touch_session |= st[n].may_touch_session;
    }
}

static void
take_hints(struct sql_statement *st, uint32_t count, const struct sql_work *w)
{
    for (uint32_t n = 0; n < count; n++) {
        st[n].no_load_balance = w->no_load_balance;
        st[n].force_query_cache = w->force_query_cache;
        st[n].no_query_cache = w->no_query_cache;
        st[n].hint = (enum sql_hint)w->hint;
        st[n].hint_node = w->hint_node;
    }
}

/* The place for facts that are not kept. */
static struct entry *
last_entry(struct sql_cache *c, size_t size)
{
    if (c->last_bytes < size) {
        free(c->last);
        c->last_bytes = size + 4096;
        c->last = xmalloc(c->last_bytes);
    }
    return c->last;
}

static struct entry *
fill(struct sql_cache *c, const struct key *k, bool understood, bool kept)
{
    size_t text_len = k->len <= SQL_TEXT_MAX ? k->len : 0;
    struct layout o = lay_out(&c->found, text_len);
    struct entry *e = kept ? xmalloc(o.size) : last_entry(c, o.size);
    struct sql_statement *st = (struct sql_statement *)((char *)e + o.statements);

    memset(e, 0, sizeof(*e));
    e->bytes = o.size;
    e->text = (char *)e + o.text;
    e->text_len = (uint32_t)text_len;
    e->options = k->options;
    e->common = k->common;
    e->hash = k->hash;
    memcpy(e->text, k->text, text_len);
    e->facts.statements = st;
    e->facts.memo = &e->memo;
    e->facts.identity = k->hash | 1;
    e->facts.text = (struct sql_text){e->text, e->text_len};
    if (understood) {
        copy_found(e, &c->found, &o);
        sum_up(&e->facts, st, &c->found);
    } else {
        not_understood(&e->facts, st, k->len);
    }
    take_hints(st, e->facts.count, &c->work);
    return e;
}

/* ---- looking up ---- */

/* Do the facts hold whatever the numbers are? */
static bool
is_common(const struct sql_cache *c, bool literals)
{
    const struct sql_statement *st = c->found.statements.items;

    return c->found.statements.count == 1 && !literals && !c->work.has_hint &&
           (st->kind == SQL_SELECT || st->kind == SQL_INSERT || st->kind == SQL_UPDATE ||
            st->kind == SQL_DELETE || st->kind == SQL_MERGE);
}

/* A text comes once with its values in it: only what is seen again is worth its place. */
static bool
is_worth_keeping(struct sql_cache *c, const struct key *k)
{
    uint32_t *mark = &c->seen[k->hash % SEEN];
    uint32_t wanted = (uint32_t)(k->hash >> 32);
    bool again = *mark == wanted;

    *mark = wanted;
    return again && k->len <= CACHED_TEXT_MAX;
}

static void
keep(struct sql_cache *c, struct entry *e)
{
    struct entry **bucket = &c->buckets[e->hash % BUCKETS];

    e->next = *bucket;
    *bucket = e;
    list_append(&c->used, &e->link);
    c->bytes += e->bytes;
    while (c->bytes > c->limit_bytes && c->used.next != &e->link)
        evict(c, list_first(&c->used, struct entry, link));
}

static const struct sql_facts *
use(struct sql_cache *c, struct entry *e)
{
    list_remove(&e->link);
    list_append(&c->used, &e->link);
    return &e->facts;
}

static bool
understand(struct sql_cache *c, const struct key *k, bool *literals_r)
{
    struct sql_work *w = &c->work;

    w->has_hint = w->no_load_balance = w->force_query_cache = w->no_query_cache = false;
    w->hint = SQL_HINT_NONE;
    w->hint_node = 0;
    c->found.statements.count = 0;
    if (k->len <= SQL_TEXT_MAX && memchr(k->text, 0, k->len) == NULL) {
        w->text = k->text;
        w->len = (uint32_t)k->len;
        w->standard_strings = k->options & STANDARD_STRINGS;
        w->server_version = k->options & ~STANDARD_STRINGS;
        if (sql_understand(w, c->scanner, &c->found, literals_r))
            return true;
    }
    sql_found_clear(&c->found, 0);
    return false;
}

/* A text that is not there: facts anew. `common` has no length when it has no common form. */
static const struct sql_facts *
look_up_new(struct sql_cache *c, struct key *exact, const struct key *common)
{
    bool literals = false;
    bool understood = understand(c, exact, &literals);
    const struct key *k = exact;
    struct entry *e;

    if (common->len > 0 && understood && is_common(c, literals))
        k = common;
    if (!is_worth_keeping(c, k)) {
        c->has_last = true;
        e = fill(c, exact, understood, false);
        e->facts.identity = k->hash | 1;
        return &e->facts;
    }
    e = fill(c, k, understood, true);
    keep(c, e);
    return &e->facts;
}

const struct sql_facts *
sql_facts(struct sql_cache *c, const char *text, size_t len, const struct sql_options *options)
{
    char shortened[COMMON_TEXT_MAX];
    struct key exact = {text, len, options_of(options), false, 0};
    struct key common = {shortened, 0, options_of(options), true, 0};
    struct entry *e;

    if (c->has_last && len > 0 && is_of(c->last, &exact))
        return &c->last->facts;
    common.len = without_numbers(text, len, shortened);
    if (common.len > 0) {
        common.hash = hash_bytes(shortened, common.len);
        e = find(c, &common);
        if (e != NULL)
            return use(c, e);
    }
    exact.hash = hash_bytes(text, len);
    e = find(c, &exact);
    if (e != NULL)
        return use(c, e);
    return look_up_new(c, &exact, &common);
}

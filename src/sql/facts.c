/*
 * From tokens to facts, and the cache of facts by text.
 *
 * Called by session/. The grammar says what each statement is; this file looks at the run of its
 * tokens for all that makes a read unsafe: INTO, FOR UPDATE and its like, a data-modifying word
 * anywhere, a call of a function that is not known to be harmless. Invariants: what is not
 * understood may write; the cache holds at most its limit of bytes.
 */
#include "sql/facts.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/str.h"
#include "sql/token.h"

#include "gram.h"

#include <stdlib.h>
#include <string.h>

enum {
    TEXT_MAX = 64 * 1024,
    CACHED_TEXT_MAX = 16 * 1024,
    COMMON_TEXT_MAX = 1024, /* of texts that are compared without their numbers */
    SEEN = 4096,            /* texts whose hash is remembered after one look */
    STATEMENTS_MAX = 1000,
    BUCKETS = 1024,
    FUNCTION_NAME_MAX = 63,
};

struct entry {
    struct entry *next; /* in its bucket */
    struct list link;   /* least recently used first */
    uint64_t hash;
    size_t bytes;
    struct sql_facts facts;
    uint32_t text_len;
    bool standard_strings;
    bool common; /* text stands for all that differ from it in numbers only */
    char *text;  /* behind the statements; names behind it */
};

struct sql_cache {
    struct entry *buckets[BUCKETS];
    struct list used;
    size_t limit_bytes;
    size_t bytes;
    struct entry *last; /* facts of the last text that was not worth keeping */
    uint32_t seen[SEEN];
    struct sql_work work;
    void *scanner;
};

/* ---- functions ---- */

static const struct {
    const char *name;
    enum sql_function_class function_class;
} functions[] = {
#define SAFE SQL_FUNCTION_SAFE
#define PRIMARY SQL_FUNCTION_PRIMARY
#define SESSION SQL_FUNCTION_SESSION
#define SQL_FUNCTION(name, function_class) {name, function_class},
#include "tables/functions.def"
#undef SQL_FUNCTION
#undef SAFE
#undef PRIMARY
#undef SESSION
};

static enum sql_function_class
function_class(const char *name, uint32_t len, bool quoted)
{
    char folded[FUNCTION_NAME_MAX + 1];
    size_t low = 0;
    size_t high = ARRAY_LEN(functions);

    if (len > FUNCTION_NAME_MAX)
        return SQL_FUNCTION_UNKNOWN;
    for (uint32_t n = 0; n < len; n++)
        folded[n] = (char)(!quoted && name[n] >= 'A' && name[n] <= 'Z' ? name[n] + 32 : name[n]);
    folded[len] = '\0';
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(folded, functions[middle].name);
        if (order == 0)
            return functions[middle].function_class;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return SQL_FUNCTION_UNKNOWN;
}

/* ---- one statement ---- */

struct look {
    const struct sql_work *w;
    struct sql_statement *st;
    const struct sql_token *t; /* the statement's tokens */
    uint32_t count;
    uint32_t depth;
    uint64_t in_with; /* by depth: names before "(" are of common table expressions */
};

static bool
is_word(const struct look *l, uint32_t n, const char *word)
{
    return n < l->count && !l->t[n].quoted && l->t[n].len == strlen(word) &&
           str_equal_nocase_n(l->w->text + l->t[n].start, word, l->t[n].len);
}

static bool
kind_is(const struct look *l, uint32_t n, int kind)
{
    return n < l->count && l->t[n].kind == kind;
}

/* Letters of the token, without quotes. */
static const char *
letters(const struct look *l, uint32_t n, uint32_t *len_r)
{
    const struct sql_token *t = &l->t[n];

    *len_r = t->len - (t->quoted ? 2u : 0u);
    return l->w->text + t->start + (t->quoted ? 1 : 0);
}

static bool
names_something(const struct sql_token *t)
{
    return t->kind == T_NAME || t->kind == T_QUOTED || t->kind >= K_ABORT;
}

/* The token in front of "(" at n: is it called, and what would that do? */
static void
look_at_call(struct look *l, uint32_t n)
{
    enum sql_function_class c = SQL_FUNCTION_UNKNOWN;
    const char *name;
    uint32_t len;

    if (n < 2 || !names_something(&l->t[n - 1]))
        return;
    /* x::numeric(10,2), AS alias(a, b), WITH name(a, b) AS */
    if (kind_is(l, n - 2, T_CAST) || kind_is(l, n - 2, K_AS))
        return;
    if (l->depth < 64 && (l->in_with >> l->depth & 1))
        return;
    name = letters(l, n - 1, &len);
    if (n < 3 || !kind_is(l, n - 2, '.'))
        c = function_class(name, len, l->t[n - 1].quoted);
    else if (is_word(l, n - 3, "pg_catalog"))
        c = function_class(name, len, l->t[n - 1].quoted);
    if (l->t[n - 1].quoted && memchr(name, '"', len) != NULL)
        c = SQL_FUNCTION_UNKNOWN;
    if (c == SQL_FUNCTION_SAFE)
        return;
    if (l->st->kind == SQL_SELECT || l->st->kind == SQL_COPY_TO) {
        l->st->may_write = true;
        l->st->may_touch_session |= c != SQL_FUNCTION_PRIMARY;
    } else {
        l->st->may_touch_session |= c == SQL_FUNCTION_SESSION;
    }
}

static bool
begins_with(const struct look *l, uint32_t n, const char *word)
{
    uint32_t len;
    const char *name = letters(l, n, &len);

    return len >= strlen(word) && str_equal_nocase_n(name, word, strlen(word));
}

/* Names of the system's own tables; pg_catalog.f( is a function and looked at as such. */
static void
look_at_name(struct look *l, uint32_t n)
{
    if (begins_with(l, n, "pg_temp"))
        l->st->may_write = l->st->may_touch_session = true;
    if (kind_is(l, n + 1, '('))
        return;
    if (begins_with(l, n, "information_schema") ||
        (begins_with(l, n, "pg_") && !(kind_is(l, n + 1, '.') && kind_is(l, n + 3, '('))))
        l->st->system_catalog = true;
}

static void
look_at_for(struct look *l, uint32_t n)
{
    if (kind_is(l, n + 1, K_UPDATE) || is_word(l, n + 1, "share") || is_word(l, n + 1, "key") ||
        kind_is(l, n + 1, K_NO)) {
        l->st->locks_rows = true;
        l->st->may_write = true;
    }
}

static void
look_at_token(struct look *l, uint32_t n)
{
    switch (l->t[n].kind) {
    case '(':
        look_at_call(l, n);
        l->depth++;
        if (l->depth < 64)
            l->in_with &= ~(UINT64_C(1) << l->depth);
        break;
    case ')':
        l->depth--;
        break;
    case K_WITH:
        if (l->depth < 64 && !is_word(l, n + 1, "time") && !is_word(l, n + 1, "ordinality"))
            l->in_with |= UINT64_C(1) << l->depth;
        break;
    case K_SELECT:
    case K_VALUES:
    case K_TABLE:
        if (l->depth < 64)
            l->in_with &= ~(UINT64_C(1) << l->depth);
        break;
    case K_FOR:
        look_at_for(l, n);
        break;
    case K_INTO:
    case K_INSERT:
    case K_UPDATE:
    case K_DELETE:
    case K_MERGE:
        l->st->may_write = true;
        break;
    case K_TEMP:
        l->st->may_touch_session = true;
        break;
    case T_PARAM:
        l->st->has_parameters = true;
        break;
    case T_NAME:
    case T_QUOTED:
        look_at_name(l, n);
        break;
    default:
        break;
    }
}

/* COPY ... TO STDOUT reads; every other COPY writes somewhere. */
static void
judge_copy(struct look *l)
{
    uint32_t depth = 0;

    l->st->may_write = true;
    for (uint32_t n = 1; n < l->count; n++) {
        if (kind_is(l, n, '('))
            depth++;
        else if (kind_is(l, n, ')'))
            depth--;
        else if (depth == 0 && kind_is(l, n, K_FROM))
            return;
        else if (depth == 0 && kind_is(l, n, K_TO)) {
            l->st->kind = SQL_COPY_TO;
            l->st->may_write = !kind_is(l, n + 1, K_STDOUT);
            return;
        }
    }
}

/* The first token of the statement's name, by its kind; count when it has none. */
static uint32_t
name_at(const struct look *l)
{
    uint32_t n = 1;

    switch (l->st->kind) {
    case SQL_SET:
        if (kind_is(l, n, K_SESSION) && is_word(l, 0, "set"))
            n++;
        return n;
    case SQL_SET_LOCAL:
        return 2;
    case SQL_DEALLOCATE:
        if (kind_is(l, n, K_PREPARE))
            n++;
        return kind_is(l, n, K_ALL) ? l->count : n;
    case SQL_SHOW:
    case SQL_PREPARE:
    case SQL_EXECUTE:
    case SQL_DECLARE:
    case SQL_SAVEPOINT:
        return n;
    default:
        return l->count;
    }
}

/* Copies the name, folded as PostgreSQL folds it (parameters: all in lower case). */
static char *
copy_name(struct look *l, char *to)
{
    bool parameter = l->st->kind == SQL_SET || l->st->kind == SQL_SHOW;
    uint32_t at = name_at(l);
    char *begin = to;

    while (at < l->count) {
        uint32_t len;
        const char *from = letters(l, at, &len);
        for (uint32_t n = 0; n < len; n++) {
            bool fold = parameter || !l->t[at].quoted;
            if (l->t[at].quoted && from[n] == '"' && n + 1 < len)
                n++;
            *to++ = (char)(fold && from[n] >= 'A' && from[n] <= 'Z' ? from[n] + 32 : from[n]);
        }
        if (!kind_is(l, at + 1, '.') || !parameter)
            break;
        *to++ = '.';
        at += 2;
    }
    l->st->name = (struct sql_text){begin, (uint32_t)(to - begin)};
    return to;
}

static char *
take_name(struct look *l, const struct sql_head *h, char *to)
{
    if (h->fixed_name != NULL) {
        l->st->name = (struct sql_text){h->fixed_name, (uint32_t)strlen(h->fixed_name)};
        return to;
    }
    return copy_name(l, to);
}

static void
judge(struct look *l, const struct sql_head *h)
{
    struct sql_statement *st = l->st;

    if (st->kind == SQL_COPY_FROM)
        judge_copy(l);
    else
        st->may_write = !h->harmless;
    for (uint32_t n = 0; n < l->count; n++)
        look_at_token(l, n);
    if (h->harmless && st->kind != SQL_SELECT)
        st->may_write = false;
    if (kind_is(l, 0, K_DO) || kind_is(l, 0, K_CALL) || kind_is(l, 0, K_LOAD))
        st->may_touch_session = true;
    if (st->kind == SQL_SHOW && st->name.len > 5 && memcmp(st->name.data, "pool_", 5) == 0)
        st->kind = SQL_POOL_SHOW;
}

static char *
take_statement(struct sql_work *w, const struct sql_head *h, struct sql_statement *st, char *to)
{
    struct look l = {.w = w, .st = st, .t = w->tokens + h->first, .count = h->end - h->first};
    const struct sql_token *last = &w->tokens[h->end - 1];

    memset(st, 0, sizeof(*st));
    st->kind = (enum sql_kind)h->kind;
    st->access = (enum sql_access)h->access;
    st->isolation = (enum sql_isolation)h->isolation;
    st->chain = h->chain;
    st->start = l.t[0].start;
    st->end = last->start + last->len;
    to = take_name(&l, h, to);
    judge(&l, h);
    return to;
}

/* ---- a text ---- */

static void
not_understood(struct sql_facts *f, struct sql_statement *st, size_t len)
{
    memset(st, 0, sizeof(*st));
    st->kind = SQL_OTHER;
    st->end = (uint32_t)len;
    st->may_write = st->may_touch_session = true;
    *f = (struct sql_facts){1, false, true, true, st};
}

static void
sum_up(struct sql_facts *f)
{
    f->understood = true;
    f->may_write = f->may_touch_session = false;
    for (uint32_t n = 0; n < f->count; n++) {
        f->may_write |= f->statements[n].may_write;
        f->may_touch_session |= f->statements[n].may_touch_session;
    }
}

/* BEGIN ATOMIC ... END, the body of a function: its semicolons do not end the statement. */
static bool
holds_body(const struct sql_work *w)
{
    struct look l = {.w = w, .t = w->tokens, .count = w->count};

    for (uint32_t n = 0; n < w->count; n++) {
        if (kind_is(&l, n, K_BEGIN) && is_word(&l, n + 1, "atomic"))
            return true;
    }
    return false;
}

static bool
understand(struct sql_cache *c, const char *text, size_t len, const struct sql_options *options)
{
    struct sql_work *w = &c->work;

    if (len > TEXT_MAX || memchr(text, 0, len) != NULL)
        return false;
    w->text = text;
    w->len = (uint32_t)len;
    w->standard_strings = options->standard_conforming_strings;
    return sql_scan(c->scanner, w) && sql_parse_heads(w) && w->head_count <= STATEMENTS_MAX &&
           !holds_body(w);
}

static struct entry *
entry_new(struct sql_cache *c, const char *text, size_t len, const struct sql_options *options)
{
    bool understood = understand(c, text, len, options);
    uint32_t room = understood ? MAX(c->work.head_count, 1u) : 1;
    size_t kept = len <= TEXT_MAX ? len : 0;
    /* names are not longer than the text, but for the fixed ones, which are not copied */
    size_t size = sizeof(struct entry) + room * sizeof(struct sql_statement) + kept + len;
    struct entry *e = xmalloc(size);
    struct sql_statement *st = (struct sql_statement *)(e + 1);
    char *names;

    memset(e, 0, sizeof(*e));
    e->bytes = size;
    e->text = (char *)(st + room);
    e->text_len = (uint32_t)kept;
    e->standard_strings = options->standard_conforming_strings;
    memcpy(e->text, text, kept);
    names = e->text + kept;
    if (!understood) {
        not_understood(&e->facts, st, len);
        return e;
    }
    e->facts.statements = st;
    for (uint32_t n = 0; n < c->work.head_count; n++) {
        const struct sql_head *h = &c->work.heads[n];
        if (h->end > h->first)
            names = take_statement(&c->work, h, &st[e->facts.count++], names);
    }
    if (e->facts.count == 0) {
        memset(st, 0, sizeof(*st));
        st->kind = SQL_EMPTY;
        e->facts.count = 1;
    }
    sum_up(&e->facts);
    return e;
}

/* ---- the cache ---- */

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
    free(c->work.tokens);
    free(c->work.heads);
    free(c);
}

/* What a text is looked up by. */
struct key {
    const char *text;
    size_t len;
    bool standard_strings;
    bool common;
    uint64_t hash;
};

static bool
is_of(const struct entry *e, const struct key *k)
{
    return e->text_len == k->len && e->common == k->common &&
           e->standard_strings == k->standard_strings && memcmp(e->text, k->text, k->len) == 0;
}

static struct entry *
find(struct sql_cache *c, const struct key *k)
{
    struct entry *e = c->buckets[k->hash % BUCKETS];

    while (e != NULL && (e->hash != k->hash || !is_of(e, k)))
        e = e->next;
    return e;
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Could a digit behind it belong to a name, a parameter, or a number that goes on? */
static bool
binds_digits(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' ||
           is_digit(c) || (unsigned char)c >= 128;
}

/* The text with a 0 for each number, whether it is one or stands in a string or comment: no
 * boundary of a token depends on it. Returns 0 when the text is too long for that, or has names in
 * quotes, whose digits count. */
static size_t
without_numbers(const char *text, size_t len, char *to)
{
    char *begin = to;
    char before = ' ';

    if (len > COMMON_TEXT_MAX)
        return 0;
    for (size_t n = 0; n < len; n++) {
        char now = text[n];
        if (now == '"')
            return 0;
        if (is_digit(now) && !binds_digits(before)) {
            while (n + 1 < len && is_digit(text[n + 1]))
                n++;
            now = '0';
        }
        *to++ = before = now;
    }
    return (size_t)(to - begin);
}

/* Facts that hold whatever the numbers are. */
static bool
is_common(const struct sql_facts *f)
{
    enum sql_kind kind = f->statements[0].kind;

    return f->understood && f->count == 1 &&
           (kind == SQL_SELECT || kind == SQL_INSERT || kind == SQL_UPDATE || kind == SQL_DELETE);
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
keep(struct sql_cache *c, struct entry *e, const struct key *k)
{
    if (k->common) {
        /* not longer than the text that stood here; the names behind it are none */
        memcpy(e->text, k->text, k->len);
        e->text_len = (uint32_t)k->len;
        e->common = true;
    }
    e->hash = k->hash;
    e->next = c->buckets[k->hash % BUCKETS];
    c->buckets[k->hash % BUCKETS] = e;
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

const struct sql_facts *
sql_facts(struct sql_cache *c, const char *text, size_t len, const struct sql_options *options)
{
    char shortened[COMMON_TEXT_MAX];
    struct key exact = {text, len, options->standard_conforming_strings, false, 0};
    struct key common = {shortened, 0, options->standard_conforming_strings, true, 0};
    const struct key *k = &exact;
    struct entry *e;

    if (c->last != NULL && len > 0 && is_of(c->last, &exact))
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
    e = entry_new(c, text, len, options);
    if (common.len > 0 && is_common(&e->facts))
        k = &common;
    if (is_worth_keeping(c, k)) {
        keep(c, e, k);
        return &e->facts;
    }
    free(c->last);
    c->last = e;
    return &e->facts;
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
    };

    return names[kind];
}

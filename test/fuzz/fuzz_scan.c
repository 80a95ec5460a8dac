/*
 * Any text as SQL: the scanner, and the facts.
 *
 * Checked besides memory: tokens and statements ascend within the text; what is not understood may
 * write; facts are the same whether they come from the cache or not, and with the text moved or
 * written twice; beginnings of the text do no harm.
 */
#include "fuzz.h"

#include "base/buf.h"
#include "sql/facts.h"
#include "sql/token.h"

#include <stdlib.h>

enum { TEXT_MAX = 16 * 1024, PARTS = 4 };

static void
check_tokens(const char *text, size_t len, const struct sql_options *options)
{
    struct sql_work w = {.text = text, .len = (uint32_t)len};
    void *scanner = sql_scanner_new(&w);
    uint32_t at = 0;

    w.standard_strings = options->standard_conforming_strings;
    if (memchr(text, 0, len) == NULL && sql_scan(scanner, &w)) {
        for (uint32_t n = 0; n < w.count; n++) {
            const struct sql_token *t = &w.tokens[n];
            if (t->start < at || t->len == 0 || t->start + t->len > len)
                BUG("token %u stands at %u, %u long", n, t->start, t->len);
            at = t->start + t->len;
        }
        if (w.end != len)
            BUG("%u bytes of %zu were scanned", w.end, len);
    }
    sql_scanner_free(scanner);
    free(w.tokens);
    free(w.heads);
    free(w.marks);
}

static void
check_statement(const struct sql_facts *f, const struct sql_statement *st, size_t len)
{
    char sum = 0;

    if (st->end < st->start || st->end > len)
        BUG("a statement from %u to %u", st->start, st->end);
    if (st->may_write && !f->may_write)
        BUG("a statement may write, its text may not");
    if (st->may_touch_session && !f->may_touch_session)
        BUG("a statement may touch the session, its text may not");
    if (st->locks_rows && !st->may_write)
        BUG("a statement locks rows and does not write");
    if (sql_kind_name(st->kind) == NULL)
        BUG("a kind without a name");
    if (st->kind == SQL_OTHER && !st->may_write)
        BUG("a statement of no known kind is a read");
    for (uint32_t n = 0; n < st->name.len; n++)
        sum ^= st->name.data[n];
    if (st->name.len > MAX(len, (size_t)16) || (st->name.len > 0 && sum == 0 && len == 0))
        BUG("a name of %u bytes", st->name.len);
}

static void
check_facts(const struct sql_facts *f, size_t len)
{
    uint32_t at = 0;

    if (f->count == 0)
        BUG("facts without a statement");
    if (!f->understood && (!f->may_write || !f->may_touch_session || f->count != 1))
        BUG("what is not understood is harmless");
    for (uint32_t n = 0; n < f->count; n++) {
        if (f->statements[n].start < at)
            BUG("statement %u begins within the one in front of it", n);
        check_statement(f, &f->statements[n], len);
        at = f->statements[n].end;
        if (f->statements[n].kind == SQL_EMPTY && f->count > 1)
            BUG("an empty statement counts");
    }
}

static bool
same_statement(const struct sql_statement *a, const struct sql_statement *b, uint32_t shift)
{
    return a->kind == b->kind && a->start + shift == b->start && a->end + shift == b->end &&
           a->may_write == b->may_write && a->locks_rows == b->locks_rows &&
           a->may_touch_session == b->may_touch_session && a->chain == b->chain &&
           a->system_catalog == b->system_catalog && a->has_parameters == b->has_parameters &&
           a->access == b->access && a->isolation == b->isolation && a->name.len == b->name.len &&
           (a->name.len == 0 || memcmp(a->name.data, b->name.data, a->name.len) == 0);
}

static bool
same_text(struct sql_text a, struct sql_text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Facts that were copied once more, or found behind others. */
static bool
same_lists(const struct sql_statement *a, const struct sql_statement *b)
{
    if (a->table_count != b->table_count || a->function_count != b->function_count ||
        a->operator_count != b->operator_count || a->type_count != b->type_count ||
        a->setting_count != b->setting_count || !same_text(a->value, b->value))
        return false;
    for (uint32_t n = 0; n < a->table_count; n++) {
        if (!same_text(a->tables[n].name, b->tables[n].name) ||
            !same_text(a->tables[n].schema, b->tables[n].schema) ||
            a->tables[n].use != b->tables[n].use)
            return false;
    }
    for (uint32_t n = 0; n < a->function_count; n++) {
        if (!same_text(a->functions[n].name, b->functions[n].name) ||
            !same_text(a->functions[n].schema, b->functions[n].schema) ||
            a->functions[n].function_class != b->functions[n].function_class)
            return false;
    }
    for (uint32_t n = 0; n < a->type_count; n++) {
        if (!same_text(a->types[n].name, b->types[n].name))
            return false;
    }
    for (uint32_t n = 0; n < a->setting_count; n++) {
        if (!same_text(a->settings[n].name, b->settings[n].name))
            return false;
    }
    return true;
}

/* The statements of a are those of b from `first` on, `shift` bytes further. */
static void
check_same(const struct sql_facts *a, const struct sql_facts *b, uint32_t first, uint32_t shift)
{
    if (a->understood != b->understood || a->may_write != b->may_write ||
        a->may_touch_session != b->may_touch_session || first + a->count > b->count)
        BUG("the same text has other facts");
    for (uint32_t n = 0; n < a->count; n++) {
        if (!same_statement(&a->statements[n], &b->statements[first + n], shift) ||
            !same_lists(&a->statements[n], &b->statements[first + n]))
            BUG("the same statement has other facts");
    }
}

/* The text twice, with a semicolon between: twice the statements. */
static void
check_twice(struct sql_cache *c, const struct sql_facts *f, const char *text, size_t len,
            const struct sql_options *options)
{
    struct sql_cache *other;
    const struct sql_facts *twice;
    struct buf b = BUF_EMPTY;

    if (!f->understood || f->statements[0].kind == SQL_EMPTY || len > TEXT_MAX / 2)
        return;
    other = sql_cache_new(0);
    buf_add(&b, text, len);
    buf_add_str(&b, "\n;");
    buf_add(&b, text, len);
    f = sql_facts(c, text, len, options);
    twice = sql_facts(other, (const char *)b.data, b.len, options);
    if (f->count < 500) {
        if (twice->count != f->count * 2)
            BUG("the text twice has %u statements, once %u", twice->count, f->count);
        check_same(f, twice, 0, 0);
        check_same(f, twice, f->count, (uint32_t)len + 2);
    }
    sql_cache_free(other);
    buf_free(&b);
}

static void
check_text(const char *text, size_t len, bool standard_strings)
{
    struct sql_options options = {.standard_conforming_strings = standard_strings};
    struct sql_cache *large = sql_cache_new(1024 * 1024);
    struct sql_cache *none = sql_cache_new(0);
    const struct sql_facts *f;

    check_tokens(text, len, &options);
    f = sql_facts(large, text, len, &options);
    check_facts(f, len);
    for (size_t n = 0; n < PARTS; n++) {
        size_t part = len * n / PARTS;
        check_facts(sql_facts(none, text, part, &options), part);
        sql_facts(large, text, part, &options);
    }
    f = sql_facts(large, text, len, &options);
    check_same(f, sql_facts(none, text, len, &options), 0, 0);
    check_twice(large, f, text, len, &options);
    sql_cache_free(large);
    sql_cache_free(none);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > TEXT_MAX)
        return 0;
    check_text((const char *)data, size, true);
    check_text((const char *)data, size, false);
    return 0;
}

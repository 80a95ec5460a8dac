/*
 * What people say to the query cache and hear of it: PGPOOL SET CACHE DELETE, and PGPOOL EXPLAIN's
 * line.
 *
 * Called by command.c and explain.c. Nothing is sent to a server for it but, once, the question to
 * the catalog (unit.c sees to that).
 */
#include "session/cache.h"

#include "base/str.h"
#include "sql/command.h"
#include "wire/build.h"

#include <stdio.h>

/* ---- PGPOOL EXPLAIN ---- */

static const char *
closed_words(const struct cache_shared *cache)
{
    uint32_t closed = atomic_load(cache_closed_word(cache));

    if (closed & CACHE_CLOSED_GENERATION)
        return "no: the cache is off until those who were here before an upgrade have gone";
    if (closed & CACHE_CLOSED_STREAM)
        return "no: the cache is off while it does not hear of the changes that others make";
    return NULL;
}

/* Why nothing may be kept of it, by what it says itself. NULL: nothing is against it. */
static const char *
own_words(const struct session *s, const struct sql_facts *f, const struct verdict *v)
{
    const struct sql_statement *st = &f->statements[0];

    if (!f->understood)
        return "no: it is not understood";
    if (f->count != 1)
        return "no: it is not one statement";
    if (v->may_write)
        return "no: it may write";
    if (st->no_query_cache)
        return "no: its comment says so";
    if (st->hint != SQL_HINT_NONE)
        return "no: its comment names a node";
    if (s->pinned)
        return "no: what the session has left at the primary may change the answer";
    return NULL;
}

static void
names_words(struct session *s, const struct sql_statement *st, char words_r[CACHE_WORDS_BYTES])
{
    enum catalog_uncached why = CATALOG_UNCACHED_NONE;
    struct catalog_tables r;

    switch (catalog_reads(s->host->catalog, lookup_scope(s), st, &r, &why)) {
    case CATALOG_TABLES_UNKNOWN:
        str_copy(words_r, CACHE_WORDS_BYTES, "not known: the catalog could not be asked");
        return;
    case CATALOG_TABLES_NOT:
        snprintf(words_r, CACHE_WORDS_BYTES, "no: %s", catalog_uncached_words(why));
        return;
    case CATALOG_TABLES_KNOWN:
        snprintf(words_r, CACHE_WORDS_BYTES, "yes: its answer comes from %u table%s", r.n,
                 r.n == 1 ? "" : "s");
    }
}

void
cache_words(struct session *s, const struct sql_facts *f, const struct verdict *v,
            char words_r[CACHE_WORDS_BYTES])
{
    const char *against = "no: memory_cache_enabled was off when pgpool was started";

    if (s->host->cache != NULL)
        against = closed_words(s->host->cache);
    if (against == NULL)
        against = own_words(s, f, v);
    if (against != NULL)
        str_copy(words_r, CACHE_WORDS_BYTES, against);
    else
        names_words(s, &f->statements[0], words_r);
}

bool
cache_asks(struct session *s, const struct sql_facts *f)
{
    const struct catalog_scope *scope = lookup_scope(s);
    enum catalog_uncached why;
    struct catalog_tables r;

    if (s->host->cache == NULL || !f->understood || f->count != 1 ||
        f->statements[0].kind != SQL_SELECT || s->lookup_failed ||
        catalog_reads(s->host->catalog, scope, &f->statements[0], &r, &why) !=
            CATALOG_TABLES_UNKNOWN)
        return false;
    catalog_question_add(&s->host->question, s->host->catalog, scope, &f->statements[0]);
    return true;
}

/* ---- PGPOOL SET CACHE DELETE ---- */

/* Answers to the text are kept under as many keys as there are ways to ask for it, and by others as
 * well: what they come from is said to have been written. Where that is not known, everything is.
 */
static void
forget(struct session *s, const char *text, size_t len)
{
    const struct sql_facts *f = session_facts(s, text, len);
    struct versions *versions = s->host->cache->versions;
    uint32_t database = cache_of(s)->database;
    enum catalog_uncached why;
    struct catalog_tables r;

    if (f->count != 1 || catalog_reads(s->host->catalog, lookup_scope(s), &f->statements[0], &r,
                                       &why) == CATALOG_TABLES_UNKNOWN) {
        versions_raise_database(versions, database);
        return;
    }
    for (uint32_t n = 0; n < r.n; n++)
        versions_raise(versions, database, r.oids[n]);
}

int
cache_delete(struct session *s, struct sql_text literal, struct buf *out, struct err *err)
{
    const struct sql_options options = {.standard_conforming_strings = s->plain_strings};
    struct buf text = BUF_EMPTY;
    struct err words;
    size_t len;

    if (s->host->cache == NULL)
        return err_set(err, "55000",
                       "there is no query cache: \"memory_cache_enabled\" was off when pgpool was "
                       "started");
    buf_reserve(&text, literal.len + 1);
    len = sql_command_unquote(literal, &options, (char *)text.data);
    text.data[len] = '\0';
    forget(s, (const char *)text.data, len);
    err_set(&words, "00000", "query cache deleted: answers from the tables of \"%.*s\"",
            (int)MIN(len, 200), (const char *)text.data);
    build_notice(out, "NOTICE", &words);
    build_command_complete(out, "SET");
    buf_free(&text);
    return 0;
}

/*
 * Rows of tables: checksums of chunks, and of the chunks that differ the rows.
 *
 * Called by compare.c. A table with a key is read in its order, a chunk of so many rows of the
 * first node's at a time, which the other nodes are asked for by its bounds; one without is read at
 * once, its rows put into buckets by their checksum. What a row says is its text with the session's
 * settings, which are the same everywhere; columns are taken by name. Locks are given back with
 * every question (ROLLBACK TO SAVEPOINT), so that nobody waits for us; the snapshot stays.
 */
#include "compare.h"

#include "base/num.h"
#include "os/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK_ROWS = 10000,
    BUCKETS = 256,
    LISTED_BUCKETS = 8, /* of a table without a key, whose rows are told */
    RANGES = 20,        /* told of a table */
    PROGRESS_S = 5,
};

#define HASH "('x' || substr(md5(ROW(%s)::text), 1, 15))::bit(60)::bigint"

/* Ordinary tables, partitions and materialized views; their columns, and a key's columns in three
 * forms: names, an expression for literals of their values, one for people. */
static const char list[] =
    "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname),"
    " (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname COLLATE \"C\")"
    " FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),"
    " k.names, k.literals, k.words, GREATEST(c.reltuples, 0)::bigint::text"
    " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
    " LEFT JOIN LATERAL ("
    "SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY o.i),"
    " string_agg(format('quote_literal(%I::text) || %L', a.attname, '::' ||"
    " y.q), ' || '', '' || ' ORDER BY o.i),"
    " string_agg(format(CASE WHEN y.c = 'N' THEN '%L || %I::text'"
    " ELSE '%L || quote_literal(%I::text)' END, a.attname || ' ', a.attname), ' || '', '' || '"
    " ORDER BY o.i)"
    " FROM (SELECT x.indkey FROM pg_index AS x WHERE x.indrelid = c.oid AND x.indisunique"
    " AND x.indimmediate AND x.indisvalid AND x.indpred IS NULL AND x.indexprs IS NULL"
    " AND NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid"
    " AND a.attnum = ANY (x.indkey) AND NOT a.attnotnull)"
    " ORDER BY x.indisprimary DESC, x.indexrelid LIMIT 1) AS x,"
    " unnest(x.indkey) WITH ORDINALITY AS o(attnum, i)"
    " JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = o.attnum"
    " CROSS JOIN LATERAL (SELECT quote_ident(s.nspname) || '.' || quote_ident(t.typname),"
    " t.typcategory::text FROM pg_type AS t JOIN pg_namespace AS s ON s.oid = t.typnamespace"
    " WHERE t.oid = a.atttypid) AS y(q, c)"
    ") AS k(names, literals, words) ON true"
    " WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND c.relispopulated"
    " AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
    " ORDER BY n.nspname, c.relname";

struct table {
    const char *name;
    const char *columns; /* that all nodes have */
    const char *key;     /* "": none */
    const char *literals;
    const char *words;
    const char *rows; /* about */
};

/* One that is compared. */
struct work {
    struct compare *c;
    const struct table *t;
    struct buf from; /* bounds of the chunk; empty: none */
    struct buf to;
    uint64_t rows;
    uint32_t ranges;
    struct compare_found found;
    int64_t told_ns;
};

static const struct table large_objects[] = {
    {"pg_catalog.pg_largeobject_metadata", "oid", "oid", "quote_literal(oid::text) || '::oid'",
     "'large object ' || oid::text", "0"},
    {"pg_catalog.pg_largeobject", "loid, pageno, data", "loid, pageno",
     "quote_literal(loid::text) || '::oid, ' || quote_literal(pageno::text) || '::int4'",
     "'large object ' || loid::text || ', page ' || pageno::text", "0"},
};

/* ---- chunks ---- */

static void
add_where(struct work *w, struct buf *sql)
{
    if (w->from.len > 0)
        buf_printf(sql, " WHERE (%s) > (%s)", w->t->key, buf_cstr(&w->from));
    if (w->to.len > 0)
        buf_printf(sql, " %s (%s) <= (%s)", w->from.len > 0 ? "AND" : "WHERE", w->t->key,
                   buf_cstr(&w->to));
}

static bool
same_first_row(const struct compare *c, uint32_t n)
{
    const struct compare_rows *a = &c->nodes[0].rows;
    const struct compare_rows *b = &c->nodes[n].rows;

    if (a->count != b->count || a->columns != b->columns)
        return false;
    for (uint32_t at = 0; at < a->count * a->columns; at++) {
        if (strcmp(a->values[at], b->values[at]) != 0)
            return false;
    }
    return true;
}

static bool
all_same(const struct compare *c)
{
    for (uint32_t n = 1; n < c->node_count; n++) {
        if (!same_first_row(c, n))
            return false;
    }
    return true;
}

static void
tell_rows(struct work *w, const char *sql)
{
    char what[512];

    if (!compare_ask(w->c, sql))
        return;
    snprintf(what, sizeof(what), "table %s", w->t->name);
    for (uint32_t n = 1; n < w->c->node_count; n++)
        compare_rows(&w->c->nodes[0], &w->c->nodes[n], what, &w->ranges, &w->found);
}

static void
progress(struct work *w)
{
    int64_t now_ns = clock_monotonic_ns();

    if (now_ns - w->told_ns < PROGRESS_S * NS_PER_S)
        return;
    w->told_ns = now_ns;
    fprintf(stderr, "pgpool: table %s: %llu of about %s rows\n", w->t->name,
            (unsigned long long)w->rows, w->t->rows);
}

/* The upper bound of the next chunk, empty when it is the last one. False: no answer. */
static bool
find_bound(struct work *w)
{
    struct buf sql = BUF_EMPTY;
    bool ok;

    buf_printf(&sql, "ROLLBACK TO SAVEPOINT c; SELECT %s FROM ONLY %s", w->t->literals, w->t->name);
    buf_clear(&w->to);
    add_where(w, &sql);
    buf_printf(&sql, " ORDER BY %s OFFSET %d LIMIT 1", w->t->key, CHUNK_ROWS - 1);
    ok = compare_ask_first(w->c, buf_cstr(&sql));
    if (ok && w->c->nodes[0].rows.count > 0)
        buf_add_str(&w->to, compare_value(&w->c->nodes[0], 0, 0));
    buf_free(&sql);
    return ok;
}

static bool
compare_chunk(struct work *w)
{
    const struct table *t = w->t;
    struct buf sql = BUF_EMPTY;
    bool ok;

    buf_printf(&sql,
               "ROLLBACK TO SAVEPOINT c; SELECT count(*), COALESCE(sum(" HASH "::numeric), 0)"
               " FROM ONLY %s",
               t->columns, t->name);
    add_where(w, &sql);
    ok = compare_ask(w->c, buf_cstr(&sql));
    if (ok) {
        w->rows += strtoull(compare_value(&w->c->nodes[0], 0, 0), NULL, 10);
        progress(w);
    }
    if (ok && !all_same(w->c)) {
        buf_clear(&sql);
        buf_printf(&sql, "ROLLBACK TO SAVEPOINT c; SELECT %s, md5(ROW(%s)::text) FROM ONLY %s",
                   t->words, t->columns, t->name);
        add_where(w, &sql);
        buf_printf(&sql, " ORDER BY %s", t->key);
        tell_rows(w, buf_cstr(&sql));
    }
    buf_free(&sql);
    return ok;
}

static void
compare_by_key(struct work *w)
{
    do {
        if (!find_bound(w) || !compare_chunk(w))
            return;
        if (w->to.len > 0 && w->to.len == w->from.len &&
            memcmp(w->to.data, w->from.data, w->to.len) == 0) {
            fprintf(stderr, "pgpool: error: table %s: values of its key cannot be read again\n",
                    w->t->name);
            w->c->broken = true;
            return;
        }
        buf_clear(&w->from);
        buf_add(&w->from, w->to.data, w->to.len);
    } while (w->to.len > 0);
}

/* ---- tables without a key ---- */

/* Buckets that are not the same everywhere, as a list of numbers. */
static uint32_t
differing_buckets(struct compare *c, struct buf *numbers)
{
    bool differs[BUCKETS] = {false};
    uint32_t count = 0;

    for (uint32_t n = 1; n < c->node_count; n++) {
        const char *sums[2][BUCKETS] = {{NULL}};
        for (uint32_t side = 0; side < 2; side++) {
            const struct compare_node *node = &c->nodes[side * n];
            for (uint32_t row = 0; row < node->rows.count; row++) {
                uint32_t bucket = 0;
                if (num_parse_u32(compare_value(node, row, 0), &bucket))
                    sums[side][bucket % BUCKETS] = compare_value(node, row, 1);
            }
        }
        for (uint32_t at = 0; at < BUCKETS; at++) {
            if (sums[0][at] != sums[1][at] && (sums[0][at] == NULL || sums[1][at] == NULL ||
                                               strcmp(sums[0][at], sums[1][at]) != 0))
                differs[at] = true;
        }
    }
    for (uint32_t at = 0; at < BUCKETS; at++) {
        if (differs[at] && count++ < LISTED_BUCKETS)
            buf_printf(numbers, "%s%u", count > 1 ? ", " : "", at);
    }
    return count;
}

static void
compare_by_buckets(struct work *w)
{
    const struct table *t = w->t;
    struct buf sql = BUF_EMPTY;
    struct buf numbers = BUF_EMPTY;
    uint32_t count;

    buf_printf(&sql,
               "ROLLBACK TO SAVEPOINT c; SELECT h %% %d, count(*) || ' ' || sum(h::numeric)"
               " FROM (SELECT " HASH " AS h FROM ONLY %s) AS r GROUP BY 1",
               BUCKETS, t->columns, t->name);
    if (compare_ask(w->c, buf_cstr(&sql)) && (count = differing_buckets(w->c, &numbers)) > 0) {
        buf_clear(&sql);
        buf_printf(&sql,
                   "ROLLBACK TO SAVEPOINT c; SELECT md5(r), count(*)::text,"
                   " quote_literal(left(r, 200))"
                   " FROM (SELECT ROW(%s)::text AS r, " HASH " AS h FROM ONLY %s) AS r"
                   " WHERE h %% %d IN (%s) GROUP BY r ORDER BY r COLLATE \"C\"",
                   t->columns, t->columns, t->name, BUCKETS, buf_cstr(&numbers));
        tell_rows(w, buf_cstr(&sql));
        if (count > LISTED_BUCKETS)
            printf("table %s: about %u times as many rows differ: it has no key to find them by\n",
                   t->name, count / LISTED_BUCKETS);
    }
    buf_free(&numbers);
    buf_free(&sql);
}

/* ---- tables ---- */

static void
compare_table(struct compare *c, const struct table *t)
{
    struct work w = {.c = c, .t = t, .ranges = RANGES, .told_ns = clock_monotonic_ns()};
    uint64_t differing;

    if (t->key[0] != '\0')
        compare_by_key(&w);
    else
        compare_by_buckets(&w);
    differing = w.found.other + w.found.missing + w.found.extra;
    if (differing > 0)
        printf("table %s: %llu rows differ: %llu in what they say, %llu missing, %llu too many\n",
               t->name, (unsigned long long)differing, (unsigned long long)w.found.other,
               (unsigned long long)w.found.missing, (unsigned long long)w.found.extra);
    c->differences += differing;
    buf_free(&w.from);
    buf_free(&w.to);
}

/* A list of tables that outlives the answers. */
struct tables {
    struct arena arena;
    struct table *items;
    uint32_t count;
};

/* The row of this table in another node's answer; its columns must be the same ones. */
static bool
has_table(const struct compare_node *n, const struct table *t)
{
    for (uint32_t row = 0; row < n->rows.count; row++) {
        if (strcmp(compare_value(n, row, 0), t->name) == 0)
            return strcmp(compare_value(n, row, 1), t->columns) == 0;
    }
    return false;
}

static void
take_tables(struct compare *c, struct tables *r)
{
    const struct compare_node *first = &c->nodes[0];

    r->items = arena_alloc(&r->arena, (first->rows.count + 1) * sizeof(*r->items));
    for (uint32_t row = 0; row < first->rows.count; row++) {
        struct table *t = &r->items[r->count];
        bool common = true;
        t->name = arena_strdup(&r->arena, compare_value(first, row, 0));
        t->columns = arena_strdup(&r->arena, compare_value(first, row, 1));
        t->key = arena_strdup(&r->arena, compare_value(first, row, 2));
        t->literals = arena_strdup(&r->arena, compare_value(first, row, 3));
        t->words = arena_strdup(&r->arena, compare_value(first, row, 4));
        t->rows = arena_strdup(&r->arena, compare_value(first, row, 5));
        for (uint32_t n = 1; n < c->node_count; n++)
            common = common && has_table(&c->nodes[n], t);
        if (common)
            r->count++;
        else
            printf("table %s: its rows are not compared: not every node has it with the same"
                   " columns\n",
                   t->name);
    }
}

void
compare_data(struct compare *c)
{
    struct tables tables = {.count = 0};

    arena_init(&tables.arena, 0);
    if (compare_ask(c, list))
        take_tables(c, &tables);
    for (uint32_t n = 0; n < tables.count; n++) {
        fprintf(stderr, "pgpool: database \"%s\": table %u of %u, %s\n", c->database, n + 1,
                tables.count, tables.items[n].name);
        compare_table(c, &tables.items[n]);
    }
    for (size_t n = 0; n < ARRAY_LEN(large_objects); n++)
        compare_table(c, &large_objects[n]);
    arena_fini(&tables.arena);
}

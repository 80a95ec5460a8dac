/*
 * Any text as SQL, beside PostgreSQL's own parser (libpg_query, of PostgreSQL 15); begins with the
 * corpus in test/corpus.
 *
 * What PostgreSQL refuses is of no interest. Of what it accepts, and we say to understand, the
 * statements must be the same; what we call a read must hold no node of a statement that writes, no
 * lock, and no call of a function that is not known to be safe; and no table that is written may be
 * missing.
 *
 * libFuzzer does not see into that parser: the nodes of its tree count as code that was reached. An
 * input that begins with byte 1 is a sequence of words, one a byte.
 */
#include "fuzz.h"

#include "../unit/sql/tree.h"
#include "base/buf.h"
#include "sql/facts.h"

#include <pg_query.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 4096, NODES = 8192, IS_WORDS = 1 };

/* libFuzzer looks for this section, and clears it before each input. */
static uint8_t reached[NODES] __attribute__((section("__libfuzzer_extra_counters")));

static const char *const words[] = {"select",
                                    "from",
                                    "where",
                                    "with",
                                    "as",
                                    "(",
                                    ")",
                                    ",",
                                    ";",
                                    ".",
                                    "*",
                                    "=",
                                    "a",
                                    "b",
                                    "c",
                                    "t",
                                    "1",
                                    "'x'",
                                    "$1",
                                    "insert into",
                                    "values",
                                    "update",
                                    "set",
                                    "delete from",
                                    "returning",
                                    "for update",
                                    "for",
                                    "share",
                                    "key",
                                    "no",
                                    "of",
                                    "into",
                                    "table",
                                    "temp",
                                    "create",
                                    "begin",
                                    "commit",
                                    "rollback",
                                    "end",
                                    "transaction",
                                    "read only",
                                    "read write",
                                    "isolation level",
                                    "serializable",
                                    "start",
                                    "savepoint",
                                    "release",
                                    "to",
                                    "prepare",
                                    "execute",
                                    "deallocate",
                                    "all",
                                    "discard",
                                    "show",
                                    "reset",
                                    "session",
                                    "local",
                                    "role",
                                    "time zone",
                                    "names",
                                    "authorization",
                                    "copy",
                                    "stdin",
                                    "stdout",
                                    "program",
                                    "declare",
                                    "cursor",
                                    "fetch",
                                    "close",
                                    "move",
                                    "listen",
                                    "unlisten",
                                    "lock",
                                    "call",
                                    "do",
                                    "$$x$$",
                                    "explain",
                                    "analyze",
                                    "union",
                                    "except",
                                    "order by",
                                    "group by",
                                    "having",
                                    "limit",
                                    "offset",
                                    "window",
                                    "over",
                                    "partition by",
                                    "filter",
                                    "within group",
                                    "lateral",
                                    "ordinality",
                                    "join",
                                    "on",
                                    "using",
                                    "left",
                                    "cross",
                                    "case",
                                    "when",
                                    "then",
                                    "else",
                                    "exists",
                                    "in",
                                    "not",
                                    "and",
                                    "or",
                                    "null",
                                    "is",
                                    "like",
                                    "between",
                                    "cast",
                                    "::",
                                    "int",
                                    "numeric",
                                    "varchar",
                                    "interval",
                                    "timestamp",
                                    "array",
                                    "[",
                                    "]",
                                    "row",
                                    "extract",
                                    "year",
                                    "now",
                                    "nextval",
                                    "setval",
                                    "lower",
                                    "count",
                                    "set_config",
                                    "pg_advisory_lock",
                                    "pg_catalog",
                                    "pg_temp",
                                    "pg_class",
                                    "\"now\"",
                                    "\"nextval\"",
                                    "u&\"f\"",
                                    "/* x */",
                                    "-- x\n",
                                    "'\n'",
                                    "E'\\''",
                                    "materialized",
                                    "recursive",
                                    "only",
                                    "distinct",
                                    "chain",
                                    "work",
                                    "prepared",
                                    "snapshot",
                                    "characteristics",
                                    "constraints",
                                    "deferrable",
                                    "schema",
                                    "variadic",
                                    "=>",
                                    ":=",
                                    "collate",
                                    "operator",
                                    "+",
                                    "alter",
                                    "drop",
                                    "truncate",
                                    "grant",
                                    "revoke",
                                    "to public",
                                    "function",
                                    "view",
                                    "merge into",
                                    "when matched then delete",
                                    "refresh materialized view",
                                    "import",
                                    "load",
                                    "vacuum",
                                    "tablesample",
                                    "xmlelement",
                                    "coalesce",
                                    "current_date",
                                    "any",
                                    "some",
                                    "grouping sets",
                                    "cube",
                                    "atomic"};

static uint32_t
count_of(const char *tree, const char *what)
{
    uint32_t count = 0;

    for (; (tree = strstr(tree, what)) != NULL; tree++)
        count++;
    return count;
}

static uint32_t
count_kind(const struct sql_facts *f, enum sql_kind kind)
{
    uint32_t count = 0;

    for (uint32_t n = 0; n < f->count; n++)
        count += f->statements[n].kind == kind;
    return count;
}

static void
check_kinds(const struct sql_facts *f, const char *tree, const char *text)
{
    if (count_of(tree, "\"kind\":\"TRANS_STMT_BEGIN\"") +
            count_of(tree, "\"kind\":\"TRANS_STMT_START\"") !=
        count_kind(f, SQL_BEGIN))
        BUG("transactions begin elsewhere: %s", text);
    if (count_of(tree, "\"kind\":\"TRANS_STMT_COMMIT\"") != count_kind(f, SQL_COMMIT) ||
        count_of(tree, "\"kind\":\"TRANS_STMT_ROLLBACK\"") != count_kind(f, SQL_ROLLBACK))
        BUG("transactions end elsewhere: %s", text);
    if (strstr(tree, "\"relpersistence\":\"t\"") != NULL && !f->may_touch_session)
        BUG("makes something temporary, and does not touch the session: %s", text);
}

static void
check_boundaries(const struct sql_facts *f, const char *text)
{
    PgQuerySplitResult split = pg_query_split_with_parser(text);
    uint32_t count = f->count == 1 && f->statements[0].kind == SQL_EMPTY ? 0 : f->count;

    if (split.error == NULL && count != (uint32_t)split.n_stmts)
        BUG("%u statements, PostgreSQL finds %d: %s", count, split.n_stmts, text);
    for (uint32_t n = 0; split.error == NULL && n < count; n++) {
        uint32_t start = (uint32_t)split.stmts[n]->stmt_location;
        uint32_t end = start + (uint32_t)split.stmts[n]->stmt_len;
        if (f->statements[n].start < start || f->statements[n].end > end)
            BUG("statement %u from %u to %u, in PostgreSQL from %u to %u: %s", n,
                f->statements[n].start, f->statements[n].end, start, end, text);
    }
    pg_query_free_split_result(split);
}

/* Each pair of names that follow each other in the tree counts. */
static void
note_nodes(const char *tree)
{
    uint32_t last = 0;

    while ((tree = strchr(tree, '"')) != NULL) {
        size_t len = strcspn(++tree, "\"");
        uint32_t hash = 5381;
        for (size_t n = 0; n < len; n++)
            hash = hash * 33 + (uint8_t)tree[n];
        tree += len;
        if (tree[0] != '"' || tree[1] != ':') {
            tree += *tree != '\0';
            continue;
        }
        tree++;
        reached[(last * 31 + hash) % NODES] = 1;
        last = hash;
    }
}

static void
add_words(struct buf *b, const uint8_t *data, size_t size)
{
    for (size_t n = 0; n < size && b->len < TEXT_MAX; n++) {
        buf_add_str(b, words[data[n] % ARRAY_LEN(words)]);
        buf_add_u8(b, ' ');
    }
}

static bool
is_written(const struct sql_statement *st, const char *name)
{
    char full[160];

    for (uint32_t n = 0; n < st->table_count; n++) {
        const struct sql_table *t = &st->tables[n];
        snprintf(full, sizeof(full), "%.*s%s%.*s", (int)t->schema.len,
                 t->schema.len > 0 ? t->schema.data : "", t->schema.len > 0 ? "." : "",
                 (int)t->name.len, t->name.data);
        if ((t->use & SQL_USE_WRITE) && strcmp(full, name) == 0)
            return true;
    }
    return false;
}

static void
check_statements(const struct sql_facts *f, const char *text)
{
    struct arena a;
    struct tree tree;

    arena_init(&a, 1 << 16);
    if (tree_of(&a, text, &tree) && tree.count == f->count) {
        for (uint32_t n = 0; n < tree.count; n++) {
            const struct sql_statement *st = &f->statements[n];
            const struct tree_statement *t = &tree.statements[n];
            if (!st->may_write && t->writes)
                BUG("called a read, and holds %s: %s", t->why, text);
            for (uint32_t w = 0; w < t->writes_to.count; w++) {
                /* long names that are no UTF-8 are cut elsewhere */
                if (strlen(t->writes_to.names[w]) < 60 && !is_written(st, t->writes_to.names[w]))
                    BUG("writes %s, and we do not know: %s", t->writes_to.names[w], text);
            }
        }
    }
    arena_fini(&a);
}

static void
check_text(const char *text, size_t len)
{
    static const struct sql_options options = {.standard_conforming_strings = true,
                                               .server_version = 15};
    struct sql_cache *c = sql_cache_new(0);
    const struct sql_facts *f = sql_facts(c, text, len, &options);

    if (f->understood) {
        PgQueryParseResult r = pg_query_parse(text);
        if (r.error == NULL) {
            note_nodes(r.parse_tree);
            check_boundaries(f, text);
            check_kinds(f, r.parse_tree, text);
            check_statements(f, text);
        }
        pg_query_free_parse_result(r);
    }
    sql_cache_free(c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf b = BUF_EMPTY;

    if (size > TEXT_MAX)
        return 0;
    if (size > 0 && data[0] == IS_WORDS)
        add_words(&b, data + 1, size - 1);
    else
        buf_add(&b, data, size);
    check_text(buf_cstr(&b), b.len);
    buf_free(&b);
    return 0;
}

/*
 * Which tables statements read and write: rows as src/catalog/tables.sql gives them, put together.
 * Whether that SQL finds out the right things, test/integration/test_cache_catalog.py shows.
 */
#include "catalog/question.h"
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    TABLES = 1 << 22,
    TABLE = TABLES | 1 << 24,
    ASKED = 1 << 25,
    WRITE = 1 << 23,
    EVENT = 1 << 18,
    SPREADS = 1 << 16,
    ROOT = 1 << 17,
    OWN = 1 << 20,
    VOLATILE = 1 << 21,
    STANDBY = 1 << 26,
};

static struct memo *memo;
static struct catalog *catalog;
static struct sql_cache *cache;
static struct catalog_question question;
static const struct catalog_login ann = {"shop", "ann", 3, "", 0};

static void
configure(const char *text)
{
    struct config_report report;
    struct config *config;
    struct err err;

    config_report_init(&report);
    if (config_load_text(text, strlen(text), "/etc/pgpool/test.conf", &config, &report) != 0)
        fail_msg("%s", report.findings[0].text);
    assert_int_equal(catalog_configure(catalog, config, &err), 0);
    config_free(config);
    config_report_fini(&report);
}

static void
start(uint32_t entries)
{
    memo = calloc(1, memo_bytes(entries));
    assert_non_null(memo);
    memo_init(memo, entries);
    catalog = catalog_new(memo);
    cache = sql_cache_new(100000);
    memset(&question, 0, sizeof(question));
    configure("memory_cache_enabled = on\n"
              "cache_unsafe_memqcache_table_list = 'secret'\n"
              "cache_safe_memqcache_table_list = 's[.]far'\n");
}

static int
setup(void **state)
{
    (void)state;
    start(4096);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    catalog_question_free(&question);
    sql_cache_free(cache);
    catalog_free(catalog);
    free(memo);
    return 0;
}

static const struct sql_statement *
statement(const char *text)
{
    const struct sql_options options = {true, 15};

    return sql_facts(cache, text, strlen(text), &options)->statements;
}

static void
row(int number, uint32_t flags, const char *text)
{
    char columns[2][16];
    const char *all[3] = {columns[0], columns[1], text};
    struct buf b = BUF_EMPTY;
    size_t len;

    snprintf(columns[0], sizeof(columns[0]), "%d", number);
    snprintf(columns[1], sizeof(columns[1]), "%u", flags);
    buf_add_u16(&b, 3);
    for (size_t n = 0; n < 3; n++) {
        buf_add_u32(&b, (uint32_t)strlen(all[n]));
        buf_add_str(&b, all[n]);
    }
    len = b.len;
    buf_add_u8(&b, '\0'); /* regexec() may look at it */
    assert_true(catalog_question_row(&question, catalog, b.data, len));
    buf_free(&b);
}

static void
ask(const char *text)
{
    struct catalog_scope scope = catalog_scope(catalog, &ann);

    catalog_question_clear(&question);
    catalog_question_add(&question, catalog, &scope, statement(text));
}

/* Number of the last name that is asked for: the database. */
static void
done(void)
{
    struct catalog_scope scope = catalog_scope(catalog, &ann);

    for (uint32_t n = 0; n < question.count; n++) {
        if (question.asked[n].kind == 'd')
            row((int)n, TABLE, "5");
        else if (question.asked[n].kind != 'c')
            row((int)n, 0, "");
    }
    row(-1, 0, "pg_catalog,public");
    catalog_question_done(&question, catalog, &ann, &scope);
}

static const char *
reads(const char *text)
{
    static char said[512];
    struct catalog_scope scope = catalog_scope(catalog, &ann);
    struct catalog_tables r;
    enum catalog_uncached why;
    enum catalog_answer a = catalog_reads(catalog, &scope, statement(text), &r, &why);
    size_t len = 0;

    assert_int_equal(a == CATALOG_TABLES_NOT, why != CATALOG_UNCACHED_NONE);
    if (a == CATALOG_TABLES_UNKNOWN)
        return "unknown";
    if (a == CATALOG_TABLES_NOT)
        return catalog_uncached_words(why);
    assert_int_equal(r.database, 5);
    assert_false(r.everything);
    said[0] = '\0';
    for (uint32_t n = 0; n < r.n; n++)
        len += (size_t)snprintf(said + len, sizeof(said) - len, "%u ", r.oids[n]);
    if (r.roots)
        snprintf(said + len, sizeof(said) - len, "roots ");
    return said;
}

static const char *
writes(const char *text)
{
    static char said[512];
    struct catalog_scope scope = catalog_scope(catalog, &ann);
    struct catalog_tables r;
    enum catalog_answer a = catalog_writes(catalog, &scope, statement(text), &r);
    size_t len = 0;

    assert_int_not_equal(a, CATALOG_TABLES_NOT);
    if (a == CATALOG_TABLES_UNKNOWN) {
        assert_true(r.everything);
        return "unknown";
    }
    if (r.everything)
        return "everything";
    said[0] = '\0';
    for (uint32_t n = 0; n < r.n; n++)
        len += (size_t)snprintf(said + len, sizeof(said) - len, "%u ", r.oids[n]);
    return said;
}

static void
tables_behind_names(void **state)
{
    static const char text[] = "SELECT f(x) FROM v JOIN t ON true";

    (void)state;
    assert_string_equal(reads(text), "unknown");
    ask(text);
    assert_int_equal(question.count, 4);
    row(0, TABLE, "100 public.t1");
    row(0, TABLE, "101 public.t2");
    row(1, TABLE | ASKED, "101 public.t2");
    row(1, TABLE | ROOT, "102 public.p1");
    done();
    assert_string_equal(reads(text), "100 101 102 roots ");
    assert_string_equal(reads("SELECT 1 FROM v"), "100 101 ");
    assert_string_equal(reads("SELECT 1"), "");
    assert_string_equal(reads("SELECT 1 FROM other"), "unknown");
    ask(text);
    assert_int_equal(question.count, 0);
    catalog_changed(catalog, "shop");
    assert_string_equal(reads(text), "unknown");
    assert_string_equal(reads("SELECT 1"), "unknown");
}

static void
texts_that_are_not_kept(void **state)
{
    static const char *const cases[][2] = {
        {"INSERT INTO t VALUES (1)", "it is no plain read"},
        {"SELECT * FROM t FOR SHARE", "it locks rows"},
        {"SELECT 'now'::timestamp", "it may depend on the time"},
        {"SELECT now()", "it calls a function whose answers may change"},
        {"SELECT * FROM t TABLESAMPLE system (1)", "it reads a sample of a table"},
        {"SELECT ctid FROM t", "it reads columns of the system's"},
        {"SELECT * FROM pg_temp.t", "it reads a temporary table"},
        {"WITH x AS (DELETE FROM t RETURNING a) SELECT * FROM x", "it is no plain read"},
    };

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(cases); n++)
        assert_string_equal(reads(cases[n][0]), cases[n][1]);
}

static void
names_that_keep_from_it(void **state)
{
    static const struct {
        uint32_t flags;
        const char *text;
        const char *said;
    } cases[] = {
        {TABLES | 512, "1 pg_catalog.pg_class", "it reads the system's own tables"},
        {TABLE | 256, "100 pg_temp.t", "it reads a temporary table"},
        {TABLE | ASKED | 1024, "100 public.far", "it reads a foreign table"},
        {TABLE | ASKED | 1024, "100 s.far", "100 "},
        {TABLE, "100 x.secret", "it reads a table in \"cache_unsafe_memqcache_table_list\""},
        {TABLES | OWN, "now 0", "it calls a function whose answers may change"},
        {TABLES | OWN, "age 1", "it calls a function whose answers may change"},
        {TABLES | OWN, "age 2", ""},
        {TABLES | OWN, "to_char 2", ""},
        {TABLES | OWN, "nonsense", "it calls a function whose answers may change"},
        {TABLES | OWN, "", "it calls a function whose answers may change"},
        {TABLES | 16, "", "it calls a function whose answers may change"},
    };

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
        catalog_changed(catalog, "shop");
        ask("SELECT * FROM v");
        row(0, cases[n].flags, cases[n].text);
        done();
        assert_string_equal(reads("SELECT * FROM v"), cases[n].said);
    }
}

/* A view in the list of safe tables may come from a foreign table; one over it may not. */
static void
safe_views(void **state)
{
    (void)state;
    ask("SELECT * FROM s.far, v");
    row(0, TABLES | ASKED, "90 s.far");
    row(0, TABLE | 1024, "100 public.elsewhere");
    row(1, TABLES | ASKED, "91 public.v");
    row(1, TABLE | 1024, "100 public.elsewhere");
    done();
    assert_string_equal(reads("SELECT * FROM s.far"), "100 ");
    assert_string_equal(reads("SELECT * FROM v"), "it reads a foreign table");
}

static void
too_many_tables(void **state)
{
    char text[32];

    (void)state;
    ask("SELECT * FROM v, w");
    for (int n = 0; n < 24; n++) {
        snprintf(text, sizeof(text), "%d public.t", 100 + n);
        row(0, TABLE, text);
    }
    row(0, TABLE, "100 public.t");
    row(1, TABLE, "200 public.t");
    done();
    assert_int_equal(strlen(reads("SELECT * FROM v")), 24 * 4);
    assert_string_equal(reads("SELECT * FROM v, w"), "it comes from too many tables");
}

static void
columns_cast_to_times(void **state)
{
    (void)state;
    ask("SELECT d::date, e::date FROM t");
    assert_int_equal(question.count, 5); /* the type, too */
    assert_int_equal(question.asked[3].kind, 'c');
    row(4, TABLES | 8, "");
    done();
    assert_string_equal(reads("SELECT d::date FROM t"), "");
    assert_string_equal(reads("SELECT e::date FROM t"), "it may depend on the time");
    assert_string_equal(reads("SELECT f::date FROM t"), "unknown");
}

static void
events_of_writes(void **state)
{
    (void)state;
    ask("UPDATE t SET a = 1");
    for (uint32_t event = 0; event < 4; event++) {
        row(0, TABLE | WRITE | event * EVENT, "100 ");
        row(0, TABLE | WRITE | event * EVENT, event == 1 ? "101 " : "100 ");
        row(0, TABLE | WRITE | event * EVENT, event == 3 ? "103 " : "100 ");
    }
    row(0, TABLES | SPREADS | WRITE | 2 * EVENT, "");
    row(0, TABLES | OWN | VOLATILE | WRITE, "nextval 1");
    done();
    assert_string_equal(writes("INSERT INTO t VALUES (1)"), "100 ");
    assert_string_equal(writes("COPY t FROM STDIN"), "100 ");
    assert_string_equal(writes("UPDATE t SET a = 1"), "100 101 ");
    assert_string_equal(writes("INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1"),
                        "100 101 ");
    assert_string_equal(writes("DELETE FROM t"), "everything");
    assert_string_equal(writes("MERGE INTO t USING t x ON true WHEN MATCHED THEN DELETE"),
                        "everything");
    assert_string_equal(writes("TRUNCATE t"), "100 103 ");
    assert_string_equal(writes("INSERT INTO t SELECT 1 FROM u"), "unknown");
    assert_string_equal(writes("DELETE FROM u"), "unknown");
}

static void
functions_that_spread(void **state)
{
    (void)state;
    ask("SELECT f(), g(), query_to_xml(1), uuidv7()");
    row(0, TABLES | SPREADS | 16, "");
    row(1, TABLES | 16, "");
    row(2, TABLES | OWN | VOLATILE, "query_to_xml 4");
    row(3, TABLES | OWN | VOLATILE, "uuidv7 0");
    done();
    assert_string_equal(writes("SELECT f()"), "everything");
    assert_string_equal(writes("SELECT g()"), "");
    assert_string_equal(writes("SELECT query_to_xml(1)"), "everything");
    assert_string_equal(writes("SELECT uuidv7()"), "");
}

static void
effects_of_kinds(void **state)
{
    (void)state;
    assert_string_equal(writes("BEGIN"), "");
    assert_string_equal(writes("EXPLAIN DELETE FROM t"), "");
    assert_string_equal(writes("CREATE TABLE t (a int)"), "unknown"); /* of which database? */
    ask("SELECT 1");
    done();
    assert_string_equal(writes("CREATE TABLE t (a int)"), "everything");
    assert_string_equal(writes("CALL p()"), "everything");
    assert_string_equal(writes("EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1"), "everything");
    assert_string_equal(writes("FETCH c"), "everything");
}

static void
missing_names(void **state)
{
    struct catalog_scope scope;

    (void)state;
    ask("SELECT * FROM t");
    row(1, TABLE, "5");
    row(-1, 0, "public");
    scope = catalog_scope(catalog, &ann);
    catalog_question_done(&question, catalog, &ann, &scope);
    assert_string_equal(reads("SELECT * FROM t"), "a name in it is not known");
    assert_string_equal(writes("SELECT * FROM t"), "everything");
    ask("DELETE FROM u");
    row(-1, 0, "public");
    scope = catalog_scope(catalog, &ann);
    catalog_question_done(&question, catalog, &ann, &scope);
    assert_string_equal(writes("DELETE FROM u"), "everything");
}

static void
standbys_are_not_believed(void **state)
{
    uint32_t flags;
    struct catalog_scope scope;

    (void)state;
    ask("SELECT * FROM t");
    row(0, TABLE, "100 public.t");
    row(1, TABLES | STANDBY, "");
    done();
    assert_string_equal(reads("SELECT * FROM t"), "unknown");
    scope = catalog_scope(catalog, &ann);
    assert_true(catalog_judge(catalog, &scope, statement("SELECT * FROM t"), &flags, NULL));
}

/* Where nothing is kept, nothing more is asked than for routing. */
static void
without_the_cache(void **state)
{
    struct buf sql = BUF_EMPTY;

    (void)state;
    configure("");
    ask("SELECT d::date FROM t");
    assert_int_equal(question.count, 3);
    catalog_question_sql(&question, "", 0, &sql);
    assert_null(strstr(buf_cstr(&sql), "touched"));
    assert_null(strstr(buf_cstr(&sql), "pg_partition_root"));
    row(0, TABLE, "100 public.t"); /* survived */
    done();
    assert_string_equal(reads("SELECT d::date FROM t"), "unknown");
    configure("memory_cache_enabled = on");
    ask("SELECT d::date FROM t");
    assert_int_equal(question.count, 4);
    buf_clear(&sql);
    catalog_question_sql(&question, "", 0, &sql);
    assert_non_null(strstr(buf_cstr(&sql), "pg_partition_root"));
    assert_null(strstr(buf_cstr(&sql), "pg_trigger w\nWHERE t.c"));
    buf_free(&sql);
}

/* In a memo that is too small sets lose parts: they are not known then, and never half known. */
static void
sets_that_lose_parts(void **state)
{
    uint32_t known = 0;
    uint32_t unknown = 0;

    (void)state;
    teardown(NULL);
    start(128);
    for (int round = 0; round < 200; round++) {
        char name[2][64];
        char text[64];
        catalog_changed(catalog, "shop");
        snprintf(name[0], sizeof(name[0]), "SELECT * FROM t%d", round);
        snprintf(name[1], sizeof(name[1]), "SELECT * FROM u%d", round);
        for (int n = 0; n < 2; n++) {
            ask(name[n]);
            for (int i = 0; i < 20; i++) {
                snprintf(text, sizeof(text), "%d public.t", 100 + i);
                row(0, TABLE, text);
            }
            done();
        }
        for (int n = 0; n < 2; n++) {
            const char *said = reads(name[n]);
            if (strcmp(said, "unknown") == 0)
                unknown++;
            else
                known += strlen(said) == 80;
        }
    }
    assert_int_equal(known + unknown, 400);
    assert_true(known > 0);
    assert_true(unknown > 0);
}

/* Two answers that somebody else's catalog changes lie between are not mixed. */
static void
sets_of_two_answers(void **state)
{
    static const struct catalog_name t = {'r', 0, {NULL, 0}, {"t", 1}};
    struct catalog_scope scope;

    (void)state;
    ask("SELECT * FROM t");
    row(0, TABLE, "100 public.t");
    row(0, TABLE, "101 public.t");
    done();
    assert_string_equal(reads("SELECT * FROM t"), "100 101 ");
    scope = catalog_scope(catalog, &ann);
    catalog_put_part(catalog, &scope, &t, 4, 202);
    assert_string_equal(reads("SELECT * FROM t"), "unknown");
    catalog_put_part(catalog, &scope, &t, 4, 101);
    assert_string_equal(reads("SELECT * FROM t"), "100 101 ");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tables_behind_names, setup, teardown),
        cmocka_unit_test_setup_teardown(texts_that_are_not_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(names_that_keep_from_it, setup, teardown),
        cmocka_unit_test_setup_teardown(safe_views, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_tables, setup, teardown),
        cmocka_unit_test_setup_teardown(columns_cast_to_times, setup, teardown),
        cmocka_unit_test_setup_teardown(events_of_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(functions_that_spread, setup, teardown),
        cmocka_unit_test_setup_teardown(effects_of_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(missing_names, setup, teardown),
        cmocka_unit_test_setup_teardown(standbys_are_not_believed, setup, teardown),
        cmocka_unit_test_setup_teardown(without_the_cache, setup, teardown),
        cmocka_unit_test_setup_teardown(sets_that_lose_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(sets_of_two_answers, setup, teardown),
    };

    return cmocka_run_group_tests_name("catalog/tables", tests, NULL, NULL);
}

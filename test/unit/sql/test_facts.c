/*
 * Facts of statements: kind, may it write, may it touch the session. And the lexical forms in which
 * something could hide.
 */
#include "sql/facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* letters: w may write, t may touch the session, c system catalog, l locks rows, ! not understood
 */
static const struct {
    const char *text;
    enum sql_kind kind;
    const char *letters;
} cases[] = {
    {"SELECT 1", SQL_SELECT, ""},
    {"select abalance from pgbench_accounts where aid = 12345;", SQL_SELECT, ""},
    {"  /* a /* nested */ comment */ SELECT 1 -- end", SQL_SELECT, ""},
    {"", SQL_EMPTY, ""},
    {" ; ;; -- nothing", SQL_EMPTY, ""},
    {"VALUES (1, 2), (3, 4)", SQL_SELECT, ""},
    {"TABLE t", SQL_SELECT, ""},
    {"(SELECT 1) UNION (SELECT 2) ORDER BY 1", SQL_SELECT, ""},
    {"WITH a(x, y) AS (SELECT 1, 2), b(z) AS (SELECT 3) SELECT * FROM a, b", SQL_SELECT, ""},
    {"WITH a AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM a", SQL_SELECT, "w"},
    {"WITH a AS (WITH b AS (DELETE FROM t RETURNING 1) SELECT 1) SELECT 2", SQL_SELECT, "w"},
    {"SELECT * INTO t2 FROM t", SQL_SELECT_INTO, "w"},
    {"SELECT * INTO TEMP t2 FROM t", SQL_SELECT_INTO, "wt"},
    {"SELECT * FROM t FOR UPDATE", SQL_SELECT, "wl"},
    {"SELECT * FROM (SELECT * FROM t FOR NO KEY UPDATE) x", SQL_SELECT, "wl"},
    {"SELECT * FROM t FOR SHARE", SQL_SELECT, "wl"},
    {"SELECT * FROM t FOR KEY SHARE", SQL_SELECT, "wl"},
    {"SELECT substring(a FROM 1 FOR 2) FROM t", SQL_SELECT, ""},
    {"SELECT count(*), sum(a), lower(b), now() FROM t GROUP BY b", SQL_SELECT, ""},
    {"SELECT pg_catalog.lower('A')", SQL_SELECT, ""},
    {"SELECT public.lower('A')", SQL_SELECT, "wt"},
    {"SELECT my_function(1)", SQL_SELECT, "wt"},
    {"SELECT \"my function\"(1)", SQL_SELECT, "wt"},
    {"SELECT \"LOWER\"('x')", SQL_SELECT, "wt"},
    {"SELECT LOWER('x')", SQL_SELECT, ""},
    {"SELECT nextval('s')", SQL_SELECT, "w"},
    {"SELECT setval('s', 1)", SQL_SELECT, "w"},
    {"SELECT currval('s')", SQL_SELECT, "wt"},
    {"SELECT set_config('a.b', 'c', false)", SQL_SELECT, "wt"},
    {"SELECT pg_advisory_lock(1)", SQL_SELECT, "wt"},
    {"SELECT pg_advisory_xact_lock(1)", SQL_SELECT, "w"},
    {"SELECT * FROM my_function(1) AS x(a int, b text)", SQL_SELECT, "wt"},
    {"SELECT * FROM generate_series(1, 3) AS x(a)", SQL_SELECT, ""},
    {"SELECT x::numeric(10, 2), CAST(y AS varchar(10)) FROM t", SQL_SELECT, ""},
    {"SELECT a FROM t WHERE b IN (1, 2) AND EXISTS (SELECT 1) OR c = ANY (ARRAY[1])", SQL_SELECT,
     ""},
    {"SELECT rank() OVER (PARTITION BY a) FROM t", SQL_SELECT, ""},
    {"SELECT count(*) FILTER (WHERE a > 1) FROM t", SQL_SELECT, ""},
    {"SELECT * FROM a JOIN b USING (id)", SQL_SELECT, ""},
    {"SELECT relname FROM pg_class", SQL_SELECT, "c"},
    {"SELECT * FROM pg_catalog.pg_tables", SQL_SELECT, "c"},
    {"SELECT * FROM information_schema.tables", SQL_SELECT, "c"},
    {"SELECT * FROM \"pg_class\"", SQL_SELECT, "c"},
    {"SELECT * FROM pg_temp.t", SQL_SELECT, "wtc"},
    {"SELECT $1::int", SQL_SELECT, ""},
    {"SELECT 'it''s; DELETE FROM t'", SQL_SELECT, ""},
    {"SELECT E'\\'; DELETE FROM t; --'", SQL_SELECT, ""},
    {"SELECT '\\'; DELETE FROM t; --'", SQL_SELECT, "w!"},
    {"SELECT $$ ; DELETE FROM t $$", SQL_SELECT, ""},
    {"SELECT $a$ $$ $b$ $a$", SQL_SELECT, ""},
    {"SELECT $a$ $b$ $a $a$", SQL_SELECT, ""},
    {"SELECT $a$ $b$a$", SQL_SELECT, ""},
    {"SELECT $a$ $b$ $b$a$ $a$", SQL_OTHER, "wt!"},
    {"SELECT \"a;\"\"b\" FROM t", SQL_SELECT, ""},
    {"SELECT 'a'\n 'b'", SQL_SELECT, ""},
    {"SELECT E'a' -- joined\n '\\'', nextval('s') --'", SQL_SELECT, "w"},
    {"SELECT 'a'\n -- joined\n 'b', nextval('s')", SQL_SELECT, "w"},
    {"SELECT U&'\\0061', B'01', X'ff', N'x', 0x1F, 1_000, .5, 1.e5", SQL_SELECT, ""},
    {"SELECT 1 /* DELETE FROM t */", SQL_SELECT, ""},
    {"SELECT 'unterminated", SQL_OTHER, "wt!"},
    {"SELECT /* unterminated", SQL_OTHER, "wt!"},
    {"SELECT $a$ unterminated", SQL_OTHER, "wt!"},
    {"SELECT (1", SQL_OTHER, "wt!"},
    {"SELECT 1)", SQL_OTHER, "wt!"},
    {"INSERT INTO t (a, b) VALUES (1, 2)", SQL_INSERT, "w"},
    {"INSERT INTO t SELECT set_config('a', 'b', true)", SQL_INSERT, "wt"},
    {"UPDATE t SET a = 1", SQL_UPDATE, "w"},
    {"DELETE FROM t", SQL_DELETE, "w"},
    {"MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE", SQL_MERGE, "w"},
    {"CREATE TABLE t (a int)", SQL_DDL, "w"},
    {"CREATE TEMP TABLE t (a int)", SQL_DDL, "wt"},
    {"CREATE TEMPORARY TABLE t (a int)", SQL_DDL, "wt"},
    {"DROP TABLE t", SQL_DDL, "w"},
    {"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END", SQL_DDL, "w"},
    {"TRUNCATE t", SQL_TRUNCATE, "w"},
    {"VACUUM", SQL_VACUUM, "w"},
    {"LOCK TABLE t", SQL_LOCK, "w"},
    {"EXPLAIN SELECT 1", SQL_EXPLAIN, ""},
    {"DO $$ BEGIN END $$", SQL_DO, "wt"},
    {"CALL p()", SQL_CALL, "wt"},
    {"LOAD 'x'", SQL_LOAD, "wt"},
    {"COPY t TO STDOUT", SQL_COPY_TO, ""},
    {"COPY (SELECT nextval('s')) TO STDOUT", SQL_COPY_TO, "w"},
    {"COPY (SELECT 1) TO STDOUT WITH (FORMAT csv)", SQL_COPY_TO, ""},
    {"COPY t TO '/tmp/x'", SQL_COPY_TO, "w"},
    {"COPY t TO PROGRAM 'cat'", SQL_COPY_TO, "w"},
    {"COPY t FROM STDIN", SQL_COPY_FROM, "w"},
    {"BEGIN", SQL_BEGIN, ""},
    {"START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE", SQL_BEGIN, ""},
    {"COMMIT", SQL_COMMIT, ""},
    {"END TRANSACTION AND CHAIN", SQL_COMMIT, ""},
    {"ROLLBACK WORK", SQL_ROLLBACK, ""},
    {"ABORT", SQL_ROLLBACK, ""},
    {"ROLLBACK TO SAVEPOINT a", SQL_SAVEPOINT, ""},
    {"ROLLBACK TO a", SQL_SAVEPOINT, ""},
    {"SAVEPOINT a", SQL_SAVEPOINT, ""},
    {"RELEASE SAVEPOINT a", SQL_SAVEPOINT, ""},
    {"PREPARE TRANSACTION 'x'", SQL_PREPARED_TX, "w"},
    {"COMMIT PREPARED 'x'", SQL_PREPARED_TX, "w"},
    {"ROLLBACK PREPARED 'x'", SQL_PREPARED_TX, "w"},
    {"PREPARE p AS SELECT 1", SQL_PREPARE, "w"},
    {"EXECUTE p(1)", SQL_EXECUTE, "w"},
    {"DEALLOCATE p", SQL_DEALLOCATE, ""},
    {"DEALLOCATE PREPARE ALL", SQL_DEALLOCATE, ""},
    {"DISCARD ALL", SQL_DISCARD, ""},
    {"SET a = 1", SQL_SET, ""},
    {"SET SESSION a.b TO 'x'", SQL_SET, ""},
    {"SET LOCAL a = 1", SQL_SET_LOCAL, ""},
    {"SET TIME ZONE 'UTC'", SQL_SET, ""},
    {"SET NAMES 'UTF8'", SQL_SET, ""},
    {"SET TRANSACTION READ ONLY", SQL_SET_TX, ""},
    {"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", SQL_SET_SESSION, ""},
    {"SET ROLE x", SQL_SET_SESSION, ""},
    {"SET SESSION AUTHORIZATION x", SQL_SET_SESSION, ""},
    {"RESET a", SQL_SET, ""},
    {"RESET ALL", SQL_RESET_ALL, ""},
    {"RESET ROLE", SQL_SET_SESSION, ""},
    {"SHOW a", SQL_SHOW, ""},
    {"SHOW ALL", SQL_SHOW, ""},
    {"SHOW TRANSACTION ISOLATION LEVEL", SQL_SHOW, ""},
    {"SHOW pool_nodes", SQL_POOL_SHOW, ""},
    {"show POOL_NODES;", SQL_POOL_SHOW, ""},
    {"PGPOOL SHOW ALL", SQL_POOL, ""},
    {"DECLARE c CURSOR FOR SELECT 1", SQL_DECLARE, "w"},
    {"FETCH 1 FROM c", SQL_FETCH, "w"},
    {"LISTEN x", SQL_LISTEN, "w"},
    {"NOTIFY x", SQL_NOTIFY, "w"},
    {"frobnicate", SQL_OTHER, "w"},
};

static void
check(struct sql_cache *c, size_t n)
{
    struct sql_options options = {.standard_conforming_strings = true};
    const char *want = cases[n].letters;
    const struct sql_facts *f = sql_facts(c, cases[n].text, strlen(cases[n].text), &options);
    const struct sql_statement *st = &f->statements[0];
    char got[8] = "";
    size_t at = 0;

    if (f->may_write)
        got[at++] = 'w';
    if (f->may_touch_session)
        got[at++] = 't';
    if (st->system_catalog)
        got[at++] = 'c';
    if (st->locks_rows)
        got[at++] = 'l';
    if (!f->understood)
        got[at++] = '!';
    if (strcmp(want, "w!") == 0) { /* several statements, cut in a quote: never a read */
        assert_true(f->may_write);
        return;
    }
    if (strcmp(got, want) != 0 || st->kind != cases[n].kind)
        fail_msg("%s: got %s \"%s\", want %s \"%s\"", cases[n].text, sql_kind_name(st->kind), got,
                 sql_kind_name(cases[n].kind), want);
}

static void
facts_of_statements(void **state)
{
    struct sql_cache *c = sql_cache_new(1 << 20);

    (void)state;
    for (int round = 0; round < 4; round++) { /* kept at the second look, from the cache then */
        for (size_t n = 0; n < ARRAY_LEN(cases); n++)
            check(c, n);
    }
    sql_cache_free(c);
}

static const struct sql_facts *
facts_of(struct sql_cache *c, const char *text)
{
    const struct sql_options options = {.standard_conforming_strings = true};

    return sql_facts(c, text, strlen(text), &options);
}

static void
texts_that_differ_in_numbers(void **state)
{
    struct sql_cache *c = sql_cache_new(1 << 20);
    char text[128];

    (void)state;
    for (int n = 0; n < 50; n++) {
        snprintf(text, sizeof(text), "SELECT a%d, $1 FROM t WHERE b = %d AND c < '%d'", n % 2, n,
                 n * 1000);
        assert_int_equal(facts_of(c, text)->statements[0].kind, SQL_SELECT);
        assert_false(facts_of(c, text)->may_write);
        snprintf(text, sizeof(text), "SELECT f%d(%d)", n % 3, n);
        assert_true(facts_of(c, text)->may_write);
        snprintf(text, sizeof(text), "SELECT log%s(%d)", n % 2 == 0 ? "10" : "11", n);
        assert_int_equal(facts_of(c, text)->may_write, n % 2 != 0);
        snprintf(text, sizeof(text), "DEALLOCATE \"%d\"", n);
        assert_int_equal(facts_of(c, text)->statements[0].name.len, n < 10 ? 1 : 2);
        snprintf(text, sizeof(text), "SELECT %d; DELETE FROM t WHERE a = %d", n, n);
        assert_int_equal(facts_of(c, text)->statements[1].end, strlen(text));
    }
    sql_cache_free(c);
}

static void
a_small_cache_stays_right(void **state)
{
    struct sql_cache *c = sql_cache_new(2000);

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t n = 0; n < ARRAY_LEN(cases); n++)
            check(c, n);
    }
    sql_cache_free(c);
}

static void
several_statements(void **state)
{
    static const char text[] = "SELECT 1; ; INSERT INTO t VALUES (';') ;SELECT 2;";
    struct sql_options options = {.standard_conforming_strings = true};
    struct sql_cache *c = sql_cache_new(1 << 20);
    const struct sql_facts *f = sql_facts(c, text, strlen(text), &options);

    (void)state;
    assert_true(f->understood);
    assert_int_equal(f->count, 3);
    assert_int_equal(f->statements[1].kind, SQL_INSERT);
    assert_int_equal(strncmp(text + f->statements[1].start, "INSERT", 6), 0);
    assert_int_equal(text[f->statements[1].end - 1], ')');
    assert_true(f->may_write);
    sql_cache_free(c);
}

static void
names_of_parameters(void **state)
{
    static const char *const names[][2] = {
        {"SET Search_Path TO a", "search_path"},
        {"SET \"MyApp\".\"X\" = 1", "myapp.x"},
        {"SET SESSION work_mem = 1", "work_mem"},
        {"SET TIME ZONE 1", "timezone"},
        {"SHOW pool_nodes", "pool_nodes"},
        {"DEALLOCATE \"Abc\"", "Abc"},
        {"DEALLOCATE Abc", "abc"},
        {"DEALLOCATE ALL", ""},
        {"RESET work_mem", "work_mem"},
        {"SET NAMES 'x'", "client_encoding"},
    };
    struct sql_options options = {.standard_conforming_strings = true};
    struct sql_cache *c = sql_cache_new(1 << 20);

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        const struct sql_facts *f = sql_facts(c, names[n][0], strlen(names[n][0]), &options);
        struct sql_text name = f->statements[0].name;
        assert_int_equal(name.len, strlen(names[n][1]));
        assert_memory_equal(name.data != NULL ? name.data : "", names[n][1], name.len);
    }
    sql_cache_free(c);
}

static void
backslashes_without_standard_strings(void **state)
{
    static const char text[] = "SELECT '\\'; DELETE FROM t; --'";
    struct sql_options options = {.standard_conforming_strings = false};
    struct sql_cache *c = sql_cache_new(1 << 20);
    const struct sql_facts *f = sql_facts(c, text, strlen(text), &options);

    (void)state;
    assert_int_equal(f->count, 1);
    assert_false(f->may_write);
    options.standard_conforming_strings = true;
    f = sql_facts(c, text, strlen(text), &options);
    assert_true(f->may_write);
    sql_cache_free(c);
}

/* N'...' is an ordinary string with a word in front of it. */
static void
backslashes_in_national_strings(void **state)
{
    static const char text[] = "SELECT N'\\'', nextval('s') --'";
    struct sql_options options = {.standard_conforming_strings = false};
    struct sql_cache *c = sql_cache_new(1 << 20);

    (void)state;
    assert_true(sql_facts(c, text, strlen(text), &options)->may_write);
    options.standard_conforming_strings = true;
    assert_false(sql_facts(c, text, strlen(text), &options)->may_write);
    sql_cache_free(c);
}

static void
long_and_odd_texts(void **state)
{
    struct sql_options options = {.standard_conforming_strings = true};
    struct sql_cache *c = sql_cache_new(1 << 20);
    static char text[SQL_TEXT_MAX + 1];

    (void)state;
    memset(text, ' ', sizeof(text));
    memcpy(text, "SELECT 1", 8);
    assert_false(sql_facts(c, text, 20000, &options)->may_write);
    assert_false(sql_facts(c, text, SQL_TEXT_MAX, &options)->may_write);
    assert_true(sql_facts(c, text, SQL_TEXT_MAX + 1, &options)->may_write);
    assert_true(sql_facts(c, "SELECT \0 1", 10, &options)->may_write);
    memset(text, '(', sizeof(text));
    assert_true(sql_facts(c, text, SQL_TEXT_MAX, &options)->may_write);
    assert_true(sql_facts(c, text, 60000, &options)->may_write);
    memset(text, ';', sizeof(text));
    (void)sql_facts(c, text, SQL_TEXT_MAX, &options);
    sql_cache_free(c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_of_statements),
        cmocka_unit_test(texts_that_differ_in_numbers),
        cmocka_unit_test(a_small_cache_stays_right),
        cmocka_unit_test(several_statements),
        cmocka_unit_test(names_of_parameters),
        cmocka_unit_test(backslashes_without_standard_strings),
        cmocka_unit_test(backslashes_in_national_strings),
        cmocka_unit_test(long_and_odd_texts),
    };

    return cmocka_run_group_tests_name("sql/facts", tests, NULL, NULL);
}

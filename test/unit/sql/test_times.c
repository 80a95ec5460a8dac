/*
 * What the query cache must know of a text: does its answer depend on the clock, whatever the
 * tables say; what becomes of the rows of the tables that it writes; which functions are fixed.
 */
#include "base/buf.h"
#include "sql/facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct sql_options options = {true, 17};

static void
describe(struct buf *b, const struct sql_statement *st)
{
    buf_clear(b);
    buf_printf(b, "%s%s%s%s", st->says_now ? " now" : "", st->reads_times ? " times" : "",
               st->samples ? " sample" : "", st->system_columns ? " system" : "");
    for (uint32_t n = 0; n < st->column_count && !st->reads_times; n++)
        buf_printf(b, " %.*s", (int)st->columns[n].name.len, st->columns[n].name.data);
    for (uint32_t n = 0; n < st->table_count; n++) {
        const struct sql_table *t = &st->tables[n];
        if (t->events > 0)
            buf_printf(b, " %.*s:%s%s%s", (int)t->name.len, t->name.data,
                       t->events & SQL_EVENT_INSERT ? "i" : "",
                       t->events & SQL_EVENT_UPDATE ? "u" : "",
                       t->events & SQL_EVENT_DELETE ? "d" : "");
    }
    for (uint32_t n = 0; n < st->function_count; n++) {
        if (!st->functions[n].fixed)
            buf_printf(b, " %.*s()", (int)st->functions[n].name.len, st->functions[n].name.data);
    }
}

static const char *const cases[][2] = {
    {"SELECT 'now'", " now"},
    {"SELECT 'know', 'nowhere', 'snow', 'todays', 'a\"b', 'it''s'", ""},
    {"SELECT date 'Today'", " now"},
    {"SELECT date 'epoch', date '2020-01-01', timestamp(3) '2020-01-01 10:00'", ""},
    {"SELECT '{\"a\": \"TOMORROW\"}'::json", " now"},
    {"SELECT ' yesterday 10:00'::timestamp", " now"},
    {"SELECT '10:00today'", " now"},
    {"SELECT E'\\x6eow'::date", " now"},
    {"SELECT E'a'", ""},
    {"SELECT 'to'\n'day'", " now"},
    {"SELECT U&'a!006f' UESCAPE '!'", " now"},
    {"SELECT $$now$$", " now"},
    {"SELECT $a$x'y$a$", ""},
    {"SELECT b'01', x'ff', n'a'", ""},
    {"SELECT 1 AS now, \"today\" FROM tomorrow", ""},
    /* casts to times */
    {"SELECT a::date FROM t", " a"},
    {"SELECT t.a::date, B::timestamptz(3), CAST(t.\"C\" AS timestamp with time zone) FROM t",
     " a b C"},
    {"SELECT CAST(a || b AS date)", " times"},
    {"SELECT (a || b)::date", " times"},
    {"SELECT (a)::date, ((t.b))::timestamp", " a b"},
    {"SELECT $1::date, CAST($2 AS timestamp), 'x'::text::date, NULL::date", ""},
    {"SELECT a::text::date", " times"},
    {"SELECT a::timestamp::date", " a"},
    {"SELECT CAST(a::timestamp AS date), CAST(b || a::timestamp AS date)", " times"},
    {"SELECT CAST(a::timestamp AS date)", " a"},
    {"SELECT date_trunc('day', a)::date, to_timestamp(b)::date", ""},
    {"SELECT (a AT TIME ZONE 'UTC')::date, (b + interval '1 day')::date", ""},
    {"SELECT (a + b)::date", " times"},
    {"SELECT max(a)::date, min(t.b)::date", " a b"},
    {"SELECT max(a || b)::date", " times"},
    {"(SELECT a)::text", ""},
    {"(SELECT a)::date", " times"},
    {"SELECT coalesce(a, b)::date", " times"},
    {"SELECT CASE WHEN a THEN b END::date", " times"},
    {"SELECT (a).b::date", " times"},
    {"SELECT a[1]::date", " times"},
    {"SELECT (j->>'a')::timestamptz", " times"},
    {"SELECT date(a), \"timestamp\"(b), pg_catalog.timestamptz(c)", " a b c"},
    {"SELECT date(a || b)", " times"},
    {"SELECT date('2020-01-01'), daterange(a, b)", ""},
    {"SELECT a::interval, a::text, a::int, a::int::text", ""},
    {"SELECT a::daterange, b::date[]", " a b"},
    {"SELECT a::timetz", " times"},
    {"SELECT '10:00'::timetz", " times"},
    {"SELECT time with time zone '10:00'", " times"},
    {"SELECT time '10:00', time(3) without time zone '10:00'", ""},
    {"SELECT a::time", " a"},
    {"SELECT time, timestamp FROM t", ""},
    /* where a column may be another one */
    {"SELECT d::date FROM (SELECT 'to' || 'x' AS d) x", " times"},
    {"WITH x(d) AS (SELECT 1) SELECT d::date FROM x", " times"},
    {"SELECT d::date FROM t AS x(d)", " times"},
    {"SELECT d::date FROM f() d", " times f()"},
    {"SELECT d::date FROM a JOIN b USING (c) WHERE e IN (SELECT f FROM g)", " d"},
    {"SELECT d FROM json_to_record('{}') AS x(d date)", " times json_to_record()"},
    {"SELECT JSON_VALUE(a, '$' RETURNING date)", " times json_value()"},
    {"SELECT * FROM XMLTABLE('/a' PASSING x COLUMNS d date)", " times"},
    {"SELECT * FROM XMLTABLE('/a' PASSING x COLUMNS d text)", ""},
    /* others */
    {"SELECT 1 FROM t TABLESAMPLE system (10)", " sample system()"},
    {"SELECT xmin FROM t", " system"},
    {"SELECT t.\"ctid\" FROM t", " system"},
    {"SELECT age(a, b), count(*), lower(a), current_user, extract(year FROM a)", ""},
    {"SELECT age(a)", " age()"},
    {"SELECT now(), random()", " now() random()"},
    {"SELECT current_date", " current_date()"},
    {"SELECT localtimestamp", " localtimestamp()"},
    {"SELECT s.lower(a), pg_catalog.lower(a)", " lower()"},
    {"SELECT user, session_user, current_role, XMLELEMENT(NAME a)", ""},
    {"SELECT system_user", " system_user()"},
    {"SELECT current_setting('a')", " current_setting()"},
    {"SELECT JSON_OBJECT('a': 1), JSON_ARRAY(1)", ""},
    /* writes */
    {"INSERT INTO t VALUES (1)", " t:i"},
    {"INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", " t:i"},
    {"INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1", " t:iu"},
    {"UPDATE t SET a = 1", " t:u"},
    {"DELETE FROM t USING u", " t:d"},
    {"MERGE INTO t USING u ON a = b WHEN MATCHED THEN DELETE", " t:iud"},
    {"COPY t FROM STDIN", " t:i"},
    {"COPY t TO STDOUT", ""},
    {"WITH x AS (DELETE FROM a RETURNING *), y AS (UPDATE b SET c = 1) INSERT INTO a TABLE x",
     " a:id b:u"},
    {"TRUNCATE t", ""},
};

static void
what_depends_on_the_clock(void **state)
{
    struct sql_cache *c = sql_cache_new(1 << 20);
    struct buf b = BUF_EMPTY;

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
            const struct sql_facts *f = sql_facts(c, cases[n][0], strlen(cases[n][0]), &options);
            assert_true(f->understood);
            describe(&b, &f->statements[0]);
            if (strcmp(b.len > 0 ? buf_cstr(&b) : "", cases[n][1]) != 0)
                fail_msg("%s:\n got%s\nwant%s", cases[n][0], buf_cstr(&b), cases[n][1]);
        }
    }
    buf_free(&b);
    sql_cache_free(c);
}

static void
backslashes_that_count(void **state)
{
    static const char text[] = "SELECT '\\x6eow'";
    struct sql_cache *c = sql_cache_new(1 << 20);
    struct sql_options o = {true, 15};

    (void)state;
    assert_false(sql_facts(c, text, strlen(text), &o)->statements[0].says_now);
    o.standard_conforming_strings = false;
    assert_true(sql_facts(c, text, strlen(text), &o)->statements[0].says_now);
    sql_cache_free(c);
}

static void
values_that_say_now(void **state)
{
    (void)state;
    assert_true(sql_says_now("now", 3));
    assert_true(sql_says_now("{x,NOW}", 7));
    assert_true(sql_says_now("2 tomorrow", 10));
    assert_false(sql_says_now("tomorrow", 7));
    assert_false(sql_says_now("no", 2));
    assert_false(sql_says_now("", 0));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_depends_on_the_clock),
        cmocka_unit_test(backslashes_that_count),
        cmocka_unit_test(values_that_say_now),
    };

    return cmocka_run_group_tests_name("sql/times", tests, NULL, NULL);
}

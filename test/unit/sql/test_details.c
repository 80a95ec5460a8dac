/*
 * What facts say beside kind and may_write: names and values, tables with their uses, calls, casts,
 * settings, hints in comments, and what is shared in the cache.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "sql/facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct sql_options options = {.standard_conforming_strings = true,
                                           .server_version = 15};

static void
add_text(struct buf *b, const char *word, struct sql_text t)
{
    if (t.data != NULL)
        buf_printf(b, " %s=%.*s", word, (int)t.len, t.data);
}

static void
add_full(struct buf *b, const char *word, struct sql_text schema, struct sql_text name)
{
    buf_printf(b, " %s:%.*s%s%.*s", word, (int)schema.len, schema.len > 0 ? schema.data : "",
               schema.len > 0 ? "." : "", (int)name.len, name.data);
}

static void
add_lists(struct buf *b, const struct sql_statement *st)
{
    for (uint32_t n = 0; n < st->table_count; n++) {
        unsigned use = st->tables[n].use;
        char letters[8];
        snprintf(letters, sizeof(letters), "%s%s%s%s%s", use & SQL_USE_READ ? "r" : "",
                 use & SQL_USE_WRITE ? "w" : "", use & SQL_USE_DEFINE ? "d" : "",
                 use & SQL_USE_LOCK ? "l" : "", use & SQL_USE_NAMED ? "n" : "");
        add_full(b, letters, st->tables[n].schema, st->tables[n].name);
    }
    for (uint32_t n = 0; n < st->function_count; n++)
        add_full(b, st->functions[n].syntax ? "syntax" : "call", st->functions[n].schema,
                 st->functions[n].name);
    for (uint32_t n = 0; n < st->operator_count; n++)
        add_full(b, "op", st->operators[n].schema, st->operators[n].name);
    for (uint32_t n = 0; n < st->type_count; n++)
        add_full(b, "cast", st->types[n].schema, st->types[n].name);
    for (uint32_t n = 0; n < st->setting_count; n++) {
        buf_add_str(b, st->settings[n].local ? " local" : " set");
        add_text(b, "param", st->settings[n].name);
        add_text(b, "to", st->settings[n].value);
    }
}

/* All that is not as it is by default, in words. */
static void
describe(struct buf *b, const struct sql_statement *st)
{
    static const char *const hints[] = {"", " primary", " standby", " node"};
    static const char *const savepoints[] = {"", " release", " rollback-to"};

    buf_clear(b);
    buf_add_str(b, sql_kind_name(st->kind));
    if (st->inner_kind != SQL_EMPTY)
        buf_printf(b, " of %s%s", sql_kind_name(st->inner_kind),
                   st->inner_may_write ? " that writes" : "");
    add_text(b, "name", st->name);
    add_text(b, "value", st->value);
    buf_printf(b, "%s%s%s%s%s", st->temporary ? " temporary" : "",
               st->advisory_lock ? " advisory" : "", st->analyze ? " analyze" : "",
               st->hold ? " hold" : "", st->changes_catalog ? " catalog" : "");
    if (st->deferrable != SQL_DEFERRABLE_DEFAULT)
        buf_add_str(b, st->deferrable == SQL_DEFERRABLE ? " deferrable" : " not-deferrable");
    buf_add_str(b, savepoints[st->savepoint]);
    if (st->parameters > 0)
        buf_printf(b, " $%u", st->parameters);
    buf_add_str(b, hints[st->hint]);
    if (st->hint == SQL_HINT_NODE)
        buf_printf(b, "%u", st->hint_node);
    buf_printf(b, "%s%s%s", st->no_load_balance ? " no-balance" : "",
               st->force_query_cache ? " force-cache" : "", st->no_query_cache ? " no-cache" : "");
    add_lists(b, st);
}

static const char *const cases[][2] = {
    /* names and values */
    {"SET search_path TO a, \"$user\"", "set name=search_path value=a, \"$user\""},
    {"SET work_mem = '64MB'", "set name=work_mem value=64MB"},
    {"SET a TO Off", "set name=a value=off"},
    {"SET a TO -1", "set name=a value=-1"},
    {"SET a TO DEFAULT", "set name=a"},
    {"SET a = 'it''s'", "set name=a value=it's"},
    {"SET a = E'\\n'", "set name=a"},
    {"SET a = 'x'\n'y'", "set name=a"},
    {"SET SESSION TIME ZONE 'UTC'", "set name=timezone value=UTC"},
    {"SET LOCAL a.B TO 1", "set local name=a.b value=1"},
    {"SET LOCAL XML OPTION content", "set local name=xmloption value=content"},
    {"SET ROLE \"Me\"", "set session name=role value=Me"},
    {"SET SESSION AUTHORIZATION me", "set session name=session_authorization value=me"},
    {"SET TRANSACTION SNAPSHOT '1-2'", "set transaction name=transaction_snapshot value=1-2"},
    {"SET SESSION CHARACTERISTICS AS TRANSACTION NOT DEFERRABLE", "set session not-deferrable"},
    {"BEGIN DEFERRABLE", "begin deferrable"},
    {"RESET a.b", "set name=a.b"},
    {"SAVEPOINT \"A\"\"b\"", "savepoint name=A\"b"},
    {"RELEASE SAVEPOINT a", "savepoint name=a release"},
    {"ROLLBACK WORK TO B", "savepoint name=b rollback-to"},
    {"PREPARE TRANSACTION 'x'", "prepared transaction value=x"},
    {"DISCARD TEMP", "discard name=temp"},
    {"LISTEN Ch", "listen name=ch"},
    {"UNLISTEN *", "unlisten"},
    {"NOTIFY ch, 'x'", "notify name=ch"},
    {"FETCH FORWARD 5 FROM C", "fetch name=c"},
    {"CLOSE ALL", "close"},
    {"DEALLOCATE PREPARE p", "deallocate name=p"},
    /* statements within statements */
    {"PREPARE p (int) AS SELECT f($2) FROM t",
     "prepare of select that writes name=p $2 r:t call:f"},
    {"DECLARE c CURSOR WITH HOLD FOR SELECT 1", "cursor of select name=c hold"},
    {"DECLARE c CURSOR FOR TABLE t FOR UPDATE", "cursor of select that writes name=c r:t"},
    {"EXPLAIN (ANALYZE) DELETE FROM t", "explain of delete that writes analyze w:t"},
    {"EXPLAIN (ANALYZE off) SELECT 1", "explain of select"},
    {"EXPLAIN CREATE TABLE a AS TABLE b",
     "explain of create table as that writes catalog wd:a r:b"},
    {"COPY (SELECT 1 FROM t) TO STDOUT", "copy to of select r:t"},
    {"CREATE TEMP TABLE a AS SELECT f(1) FROM b",
     "create table as of select that writes temporary catalog wd:a r:b call:f"},
    {"WITH w AS (SELECT 1) INSERT INTO t TABLE w", "insert w:t"},
    /* tables */
    {"SELECT 1 FROM t, T, s.t, \"T\", a.s.t", "select r:t r:s.t r:T"},
    {"UPDATE t SET a = 1 FROM t b", "update rw:t op:="},
    {"LOCK s.t", "lock wl:s.t"},
    {"TRUNCATE a, b", "truncate w:a w:b"},
    {"DROP TABLE IF EXISTS a, s.b CASCADE", "ddl catalog wd:a wd:s.b"},
    {"SELECT 1 FROM pg_temp.t", "select temporary r:pg_temp.t"},
    {"SELECT 1 FROM U&\"t\"", "select r:t"},
    {"SELECT 1 FROM abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkLMNOP",
     "select r:abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"},
    {"SELECT '\"S\".t'::regclass, 'T'::regclass, '12'::regclass, 'a b'::regclass",
     "select n:S.t n:t cast:regclass"},
    {"SELECT ''::regclass, '\"'::regclass, 'a.'::regclass, pg_catalog.regclass 'x'",
     "select cast:regclass cast:pg_catalog.regclass"},
    /* calls, casts, operators */
    {"SELECT s.F(\"G\"(1)), extract(year FROM a)",
     "select call:s.f call:G syntax:pg_catalog.extract"},
    {"SELECT a::s.ty, b::int, CAST(c AS \"T\"), date 'x'", "select cast:s.ty cast:T cast:date"},
    {"SELECT a + b * c, count(*), d OPERATOR(s.+) e", "select call:count op:+ op:* op:s.+"},
    {"SELECT a+-b, c@-d, e<-1", "select op:+ op:- op:@- op:<"},
    {"SELECT json_value(a, 'x')", "select call:json_value"},
    {"SELECT pg_try_advisory_lock(1)", "select advisory call:pg_try_advisory_lock"},
    /* set_config */
    {"SELECT set_config('A.b', 'c', false)", "select call:set_config set param=a.b to=c"},
    {"SELECT set_config('a', $1, true)", "select $1 call:set_config local param=a"},
    {"SELECT set_config(a, 'b', true), set_config('c', 'd', true)",
     "select call:set_config local local param=c to=d"},
    /* hints */
    {"/* pgpool: primary */ SELECT 1", "select primary"},
    {"/*PGPOOL:  Standby*/ SELECT 1", "select standby"},
    {"SELECT 1 /* pgpool : node = 12 */", "select node12"},
    {"SELECT /*pgpool: node=1*/ 1 /* pgpool: primary */", "select node1"},
    {"/* pgpool: node=x */ SELECT 1", "select"},
    {"/* pgpool: node= */ SELECT 1", "select"},
    {"/* pgpool: node=99999 */ SELECT 1", "select"},
    {"/*NO LOAD BALANCE*/ SELECT 1", "select no-balance"},
    {"/*FORCE QUERY CACHE*/ SELECT 1", "select force-cache"},
    {"/* no query cache */ SELECT 1", "select no-cache"},
    {"-- pgpool: primary\nSELECT '/* pgpool: standby */'", "select"},
    {"/* pgpool: primary but this comment is much longer than any hint would ever be */ SELECT 1",
     "select"},
};

static void
details_of_statements(void **state)
{
    struct sql_cache *c = sql_cache_new(1 << 20);
    struct buf b = BUF_EMPTY;

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
            const struct sql_facts *f = sql_facts(c, cases[n][0], strlen(cases[n][0]), &options);
            assert_true(f->understood);
            describe(&b, &f->statements[0]);
            if (strcmp(buf_cstr(&b), cases[n][1]) != 0)
                fail_msg("%s:\n got %s\nwant %s", cases[n][0], buf_cstr(&b), cases[n][1]);
        }
    }
    buf_free(&b);
    sql_cache_free(c);
}

/* Texts that differ in numbers share their facts, unless these depend on them. */
static void
numbers_that_count(void **state)
{
    static const char *const formats[] = {"SELECT 1 /* pgpool: node=%d */",
                                          "SELECT set_config('a', '%d', true)",
                                          "SELECT '%d_t'::regclass, 't.%d'::regclass",
                                          "SELECT 1 FROM t%d WHERE a = %d", "SELECT f%d(%d), $%d"};
    struct sql_cache *kept = sql_cache_new(1 << 20);
    struct buf a = BUF_EMPTY;
    struct buf b = BUF_EMPTY;
    char text[128];

    (void)state;
    for (int n = 0; n < 60; n++) {
        struct sql_cache *none = sql_cache_new(0);
        size_t len;
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#endif
        len = (size_t)snprintf(text, sizeof(text), formats[n % 5], n % 7, n % 7, n % 7);
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
        describe(&a, &sql_facts(kept, text, len, &options)->statements[0]);
        describe(&b, &sql_facts(none, text, len, &options)->statements[0]);
        assert_string_equal(buf_cstr(&a), buf_cstr(&b));
        sql_cache_free(none);
    }
    buf_free(&a);
    buf_free(&b);
    sql_cache_free(kept);
}

/* JSON_VALUE and its like are calls of who knows what, until the server is known to be new. */
static void
syntax_of_newer_servers(void **state)
{
    static const char text[] = "SELECT json_value(a, '$') FROM t";
    struct sql_cache *c = sql_cache_new(1 << 20);
    struct sql_options o = {.standard_conforming_strings = true};

    (void)state;
    for (int n = 0; n < 4; n++) {
        o.server_version = 0;
        assert_true(sql_facts(c, text, strlen(text), &o)->may_write);
        o.server_version = 16;
        assert_true(sql_facts(c, text, strlen(text), &o)->may_write);
        o.server_version = 17;
        assert_false(sql_facts(c, text, strlen(text), &o)->may_write);
    }
    sql_cache_free(c);
}

/* Depths and numbers that nobody needs make a text not understood; they do no harm. */
static void
too_much_of_something(void **state)
{
    struct sql_cache *c = sql_cache_new(1 << 20);
    struct buf b = BUF_EMPTY;

    (void)state;
    buf_add_str(&b, "SELECT ");
    for (int n = 0; n < 300; n++)
        buf_add_str(&b, "(");
    buf_add_str(&b, "1");
    for (int n = 0; n < 300; n++)
        buf_add_str(&b, ")");
    assert_false(sql_facts(c, buf_cstr(&b), b.len, &options)->understood);
    buf_clear(&b);
    buf_add_str(&b, "WITH a AS (SELECT 1)");
    for (int n = 0; n < 300; n++)
        buf_printf(&b, ", a%d AS (SELECT 1)", n);
    buf_add_str(&b, " SELECT 1");
    assert_false(sql_facts(c, buf_cstr(&b), b.len, &options)->understood);
    buf_clear(&b);
    buf_add_str(&b, "SELECT 1 FROM t");
    for (int n = 0; n < 500; n++)
        buf_printf(&b, ", t%d", n);
    assert_int_equal(sql_facts(c, buf_cstr(&b), b.len, &options)->statements[0].table_count, 501);
    buf_free(&b);
    sql_cache_free(c);
}

/* A function's body and a rule's actions hold semicolons that end nothing. */
static void
bodies_of_functions(void **state)
{
    static const char *const texts[][2] = {
        {"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT 3", "2"},
        {"CREATE PROCEDURE p() BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; END", "1"},
        {"CREATE PROCEDURE p() BEGIN ATOMIC SELECT a AS end; SELECT b.end; END; COMMIT", "2"},
        {"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; DELETE FROM u); SELECT 2; ;", "2"},
        {"CREATE PROCEDURE p() BEGIN ATOMIC SELECT 1; SELECT 2", ""},
        {"BEGIN; SELECT 1; END; SELECT CASE WHEN a THEN 1 END; COMMIT", "5"},
        {"SELECT (1; 2)", ""},
    };
    struct sql_cache *c = sql_cache_new(1 << 20);

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(texts); n++) {
        const struct sql_facts *f = sql_facts(c, texts[n][0], strlen(texts[n][0]), &options);
        char got[16];
        snprintf(got, sizeof(got), "%u", f->count);
        assert_string_equal(f->understood ? got : "", texts[n][1]);
    }
    sql_cache_free(c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(details_of_statements),   cmocka_unit_test(numbers_that_count),
        cmocka_unit_test(syntax_of_newer_servers), cmocka_unit_test(too_much_of_something),
        cmocka_unit_test(bodies_of_functions),
    };

    return cmocka_run_group_tests_name("sql/details", tests, NULL, NULL);
}

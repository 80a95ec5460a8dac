/*
 * What is known of tables and functions for the judge of determinism: questions, answers that make
 * sense and that make none, what is kept and for how long. Whether the question's SQL finds out the
 * right things, test/integration/test_knowledge.py shows.
 */
#include "catalog/knowledge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LIMIT = 1024 * 1024, MEMO_ENTRIES = 256 };

static struct memo *memo;
static struct catalog *catalog;
static struct sql_cache *cache;
static struct knowledge *knowledge;
static struct knowledge_question question;
static struct knowledge_view view;
static const struct catalog_login ann = {"shop", "ann", 3, "", 0};

static int
setup(void **state)
{
    (void)state;
    memo = calloc(1, memo_bytes(MEMO_ENTRIES));
    memo_init(memo, MEMO_ENTRIES);
    catalog = catalog_new(memo);
    cache = sql_cache_new(LIMIT);
    knowledge = knowledge_new(LIMIT);
    memset(&question, 0, sizeof(question));
    memset(&view, 0, sizeof(view));
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    knowledge_view_fini(&view);
    knowledge_question_free(&question);
    knowledge_free(knowledge);
    sql_cache_free(cache);
    catalog_free(catalog);
    free(memo);
    return 0;
}

static const struct sql_facts *
facts(const char *text)
{
    const struct sql_options options = {true, 15};

    return sql_facts(cache, text, strlen(text), &options);
}

static struct sql_text
text_of(const char *s)
{
    return (struct sql_text){s, (uint32_t)strlen(s)};
}

/* ---- rows ---- */

/* A row's body; NULL columns are null. */
static void
make_row(struct buf *row, const char *const *columns, size_t count)
{
    buf_add_u16(row, (uint16_t)count);
    for (size_t n = 0; n < count; n++) {
        if (columns[n] == NULL) {
            buf_add_u32(row, UINT32_MAX);
            continue;
        }
        buf_add_u32(row, (uint32_t)strlen(columns[n]));
        buf_add_str(row, columns[n]);
    }
}

/* "number letter number text|text|text", where a text that is "-" is null. */
static bool
row(const char *line)
{
    char copy[512];
    char *rest = copy;
    const char *columns[6];
    struct buf b = BUF_EMPTY;
    bool ok;

    snprintf(copy, sizeof(copy), "%s", line);
    for (size_t n = 0; n < 6; n++) {
        const char *column = strsep(&rest, n < 3 ? " " : "|");
        columns[n] = column == NULL ? "" : strcmp(column, "-") == 0 ? NULL : column;
    }
    make_row(&b, columns, 6);
    ok = knowledge_question_row(&question, b.data, b.len);
    buf_free(&b);
    return ok;
}

static void
ask(const char *text)
{
    struct catalog_scope scope = catalog_scope(catalog, &ann);

    knowledge_question_clear(&question);
    knowledge_question_add(&question, knowledge, &scope, facts(text));
}

static bool
done(void)
{
    struct catalog_scope scope = catalog_scope(catalog, &ann);

    return knowledge_question_done(&question, knowledge, catalog, &ann, &scope);
}

static bool
look(const char *text)
{
    struct catalog_scope scope = catalog_scope(catalog, &ann);

    knowledge_view_fini(&view);
    return knowledge_view_init(&view, knowledge, &scope, facts(text));
}

static const struct sql_known_table *
table(const char *schema, const char *name)
{
    return view.known.table(view.known.ctx, text_of(schema), text_of(name));
}

static enum sql_known_function
function(const char *schema, const char *name)
{
    const struct sql_function f = {.schema = text_of(schema), .name = text_of(name)};

    return view.known.function(view.known.ctx, &f);
}

/* Asks about the text and answers with the rows. */
static bool
learn(const char *text, const char *const *rows, size_t count)
{
    ask(text);
    for (size_t n = 0; n < count; n++)
        assert_true(row(rows[n]));
    assert_true(row("-1 p 0 pg_catalog,public"));
    return done();
}

#define LEARN(text, ...)                                                                           \
    learn(text, (const char *const[]){__VA_ARGS__},                                                \
          sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

/* ---- what is asked and answered ---- */

static void
asks_for_each_name_once(void **state)
{
    struct buf sql = BUF_EMPTY;

    (void)state;
    ask("INSERT INTO a SELECT f(b.x, 1), f(b.x, 2) FROM s.b; DELETE FROM a WHERE x +% 1 IS NULL;"
        "SELECT pg_catalog.now(), extract(day FROM 'x'::t)");
    knowledge_question_sql(&question, "SET search_path TO x;", 21, &sql);
    assert_non_null(strstr(buf_cstr(&sql), "SET LOCAL ROLE NONE;SET search_path TO x;"));
    assert_non_null(strstr(buf_cstr(&sql), "(0,'r',E'',E'a',0),(1,'r',E's',E'b',0),"
                                           "(2,'f',E'',E'f',2),(3,'o',E'',E'+%',0),"
                                           "(4,'t',E'',E't',0),(5,'d',E'',E'',0)),"));
    assert_non_null(strstr(buf_cstr(&sql), ";ROLLBACK"));
    buf_clear(&sql);
    knowledge_question_sql_within(&question, false, &sql);
    assert_int_equal(strncmp(buf_cstr(&sql), "SET LOCAL jit = off;WITH RECURSIVE wanted", 41), 0);
    assert_null(strstr(buf_cstr(&sql), "BEGIN"));
    assert_null(strstr(buf_cstr(&sql), "ROLLBACK"));
    buf_clear(&sql);
    knowledge_question_sql_within(&question, true, &sql);
    assert_int_equal(strncmp(buf_cstr(&sql), "SAVEPOINT", 9), 0);
    assert_non_null(strstr(buf_cstr(&sql), ";ROLLBACK TO SAVEPOINT"));
    buf_free(&sql);
}

static void
a_table_is_what_its_rows_say(void **state)
{
    const struct sql_known_table *t;

    (void)state;
    assert_false(look("INSERT INTO a VALUES (1)"));
    assert_null(table("", "a"));
    assert_true(LEARN("INSERT INTO a VALUES (1)", "0 c 1 at|pg_catalog.timestamptz|now()", "0 + 0 ",
                      "0 k 0 0 1", "0 a 0 id|pg_catalog.int4|nextval('s'::regclass)",
                      "0 c 2 v|pg_catalog.text|-", "0 k 0 0"));
    assert_true(look("INSERT INTO a VALUES (1)"));
    assert_int_equal(view.missing.len, 0);
    assert_null(table("public", "a")); /* which may be another one */
    t = table("", "a");
    assert_non_null(t);
    assert_int_equal(t->column_count, 3);
    assert_string_equal(t->columns[0].name, "id");
    assert_true(t->columns[0].always);
    assert_string_equal(t->columns[0].fallback, "nextval('s'::regclass)");
    assert_string_equal(t->columns[1].type, "pg_catalog.timestamptz");
    assert_false(t->columns[1].always);
    assert_null(t->columns[2].fallback);
    assert_int_equal(t->key_count, 2);
    assert_int_equal(t->keys[0].count, 2);
    assert_int_equal(t->keys[0].columns[1], 1);
    assert_null(t->spoiler);
    assert_null(view.known.spoiler);
}

static void
what_is_not_mentioned_is_missing(void **state)
{
    (void)state;
    assert_true(LEARN("INSERT INTO a VALUES (f(1))", "1 + 2 "));
    assert_true(look("INSERT INTO a VALUES (f(1))"));
    assert_int_equal(view.missing.len, 1);
    assert_non_null(view.known.spoiler);
    assert_null(table("", "a"));
    assert_int_equal(function("", "f"), SQL_KNOWN_EQUAL);
}

static void
functions_are_theirs_or_somebodys(void **state)
{
    const char *text =
        "INSERT INTO a VALUES (own(), mine(), mixed(), bad(), nobodys(), loud(), more())";

    (void)state;
    assert_false(look(text));
    assert_int_equal(function("", "mine"), SQL_KNOWN_UNEQUAL); /* not before it is known */
    assert_int_equal(function("", "now"), SQL_KNOWN_NOT);      /* of a default's text */
    assert_true(LEARN(text, "1 + 1 ", "2 + 2 ", "3 + 1 ", "3 + 2 ", "4 + 2 ",
                      "4 R 0 |calls a volatile function \"x\"|", "6 + 2 ",
                      "6 R 255 |calls \"random\"|random", "7 + 2 ",
                      "7 R 255 |calls \"lower\"|lower"));
    assert_true(look(text));
    assert_int_equal(function("", "own"), SQL_KNOWN_NOT);
    assert_int_equal(function("", "mine"), SQL_KNOWN_EQUAL);
    assert_int_equal(function("", "mixed"), SQL_KNOWN_NOT);
    assert_int_equal(function("", "bad"), SQL_KNOWN_UNEQUAL);
    assert_int_equal(function("", "nobodys"), SQL_KNOWN_NOT);
    assert_int_equal(function("", "loud"), SQL_KNOWN_UNEQUAL);
    assert_int_equal(function("", "more"), SQL_KNOWN_EQUAL); /* lower() is the same everywhere */
    assert_int_equal(function("other", "mine"), SQL_KNOWN_NOT);
}

static void
the_worst_of_several_functions_counts(void **state)
{
    const char *text = "INSERT INTO a VALUES (f(1), f(1, 2))";

    (void)state;
    assert_true(LEARN(text, "1 + 2 ", "2 + 2 ", "2 R 0 |calls something|"));
    assert_true(look(text));
    assert_int_equal(function("", "f"), SQL_KNOWN_UNEQUAL);
}

static void
functions_of_defaults_are_known_by_both_names(void **state)
{
    (void)state;
    assert_true(LEARN("INSERT INTO a VALUES (1)", "0 + 0 ", "0 u 0 s|good|", "0 D 255 s|bad|random",
                      "0 u 0 s|bad|", "0 D 255 s|good|lower", "0 D 0 s|worse|"));
    assert_true(look("INSERT INTO a VALUES (1)"));
    assert_int_equal(function("", "good"), SQL_KNOWN_EQUAL);
    assert_int_equal(function("s", "good"), SQL_KNOWN_EQUAL);
    assert_int_equal(function("", "bad"), SQL_KNOWN_UNEQUAL);
    assert_int_equal(function("s", "bad"), SQL_KNOWN_UNEQUAL);
    assert_int_equal(function("s", "worse"), SQL_KNOWN_UNEQUAL);
    assert_int_equal(function("x", "good"), SQL_KNOWN_NOT);
}

static void
the_same_reason_is_named_whatever_comes_first(void **state)
{
    (void)state;
    assert_true(LEARN("INSERT INTO a VALUES (1)", "0 + 0 ", "0 W 255 trigger \"b\"|calls \"x\"|now",
                      "0 W 255 trigger \"a\"|calls \"y\"|random",
                      "0 R 0 policy \"0\"|locks rows|"));
    assert_true(look("INSERT INTO a VALUES (1)"));
    assert_string_equal(table("", "a")->spoiler, "trigger \"a\" calls \"y\"");
    assert_string_equal(view.known.spoiler, "policy \"0\" locks rows");
}

static void
what_a_read_spoils_only_matters_where_something_is_left(void **state)
{
    (void)state;
    assert_true(LEARN("SELECT x FROM a", "0 + 0 ", "0 R 255 view \"a\"|calls \"now\"|now"));
    assert_true(look("SELECT x FROM a"));
    assert_null(view.known.spoiler);
    assert_true(LEARN("INSERT INTO b SELECT x FROM a", "0 + 0 "));
    assert_true(look("INSERT INTO b SELECT x FROM a"));
    assert_string_equal(view.known.spoiler, "view \"a\" calls \"now\"");
    assert_null(table("", "b")->spoiler);
    assert_true(look("CREATE TABLE c AS SELECT x FROM a"));
    assert_non_null(view.known.spoiler);
}

/* ---- answers that make no sense ---- */

static void
rows_that_make_no_sense_are_refused(void **state)
{
    static const char *const rows[] = {
        "1 c 0 a|pg_catalog.int4|",    /* of what was not asked for: there are 0 and 1 */
        "2 + 0 ",                      /* the same */
        "-2 + 0 ",                     /* the same */
        "x + 0 ",                      /* no number */
        "0 + x ",                      /* the same */
        "0 + -1 ",                     /* less than nothing */
        "0 + 3 ",                      /* neither theirs nor somebody's */
        "0 x 0 ",                      /* no such letter */
        "0 cc 0 a|pg_catalog.int4|",   /* no letter */
        "0 c 0 |pg_catalog.int4|",     /* a column without a name */
        "0 c 0 a||",                   /* without a type */
        "0 c 1664 a|pg_catalog.int4|", /* more columns than a table can have */
        "0 c 4294967296 a|pg_catalog.int4|",
        "0 k 0 ",                  /* a key of nothing */
        "0 k 0 1,2",               /* no list */
        "0 k 0 1 2 ",              /* ends too late */
        "0 k 0 0 1 2 3 4 5 6 7 8", /* of too many columns */
        "0 k 0 99999999999",       /* of a column too far */
        "0 u 0 |f|",               /* a function in no schema */
        "0 R 0 trigger||",         /* no reason */
        "0 R 256 trigger|calls|f", /* too many arguments */
        "1 k 0 0",                 /* a key of the database */
    };

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
        ask("INSERT INTO a VALUES (1)");
        assert_int_equal(question.names.count, 2);
        if (row(rows[n]))
            fail_msg("\"%s\" was taken", rows[n]);
    }
    ask("INSERT INTO a VALUES (1)");
    assert_true(row("0 c 0 a|pg_catalog.int4|"));
    assert_false(row("0 c 0 a|pg_catalog.int4|")); /* twice */
    assert_true(row("-1 p 0 public"));
    assert_false(row("-1 p 0 public"));
}

static void
cut_rows_are_refused_and_other_widths_passed_over(void **state)
{
    static const char *const columns[] = {"0", "c", "0", "a", "pg_catalog.int4", "now()"};
    struct buf b = BUF_EMPTY;

    (void)state;
    ask("INSERT INTO a VALUES (1)");
    make_row(&b, columns, ARRAY_LEN(columns));
    for (size_t len = 0; len < b.len; len++) {
        uint8_t *part = malloc(len > 0 ? len : 1); /* so that valgrind sees a read too far */
        memcpy(part, b.data, len);
        assert_false(knowledge_question_row(&question, part, len));
        free(part);
    }
    buf_add_u8(&b, 'x');
    assert_false(knowledge_question_row(&question, b.data, b.len));
    b.len--;
    assert_true(knowledge_question_row(&question, b.data, b.len));
    b.data[2 + 4 + 1 + 4] = '\0'; /* no letter */
    assert_false(knowledge_question_row(&question, b.data, b.len));
    buf_clear(&b);
    make_row(&b, columns, 1);
    assert_true(knowledge_question_row(&question, b.data, b.len));
    buf_free(&b);
}

static void
an_answer_that_is_not_whole_teaches_nothing(void **state)
{
    (void)state;
    ask("INSERT INTO a VALUES (1)");
    assert_true(row("0 + 0 "));
    assert_false(done()); /* the path is not there */
    assert_false(look("INSERT INTO a VALUES (1)"));
    assert_false(LEARN("INSERT INTO a VALUES (1)", "0 + 0 ", "0 c 1 a|pg_catalog.int4|"));
    assert_false(look("INSERT INTO a VALUES (1)"));
    assert_false(
        LEARN("INSERT INTO a VALUES (1)", "0 + 0 ", "0 c 0 a|pg_catalog.int4|", "0 k 0 1"));
    assert_false(look("INSERT INTO a VALUES (1)"));
    assert_int_equal(knowledge_bytes(knowledge), 0);
}

/* ---- too much ---- */

static bool
long_column(uint32_t name, uint32_t place, size_t len)
{
    char number[16], at[16];
    char *fallback = malloc(len + 1);
    const char *const columns[] = {number, "c", at, "a", "pg_catalog.text", fallback};
    struct buf b = BUF_EMPTY;
    bool ok;

    snprintf(number, sizeof(number), "%u", name);
    snprintf(at, sizeof(at), "%u", place);
    memset(fallback, '1', len);
    fallback[len] = '\0';
    make_row(&b, columns, ARRAY_LEN(columns));
    ok = knowledge_question_row(&question, b.data, b.len);
    buf_free(&b);
    free(fallback);
    return ok;
}

static void
nothing_is_known_of_a_table_that_is_too_long(void **state)
{
    (void)state;
    ask("INSERT INTO a SELECT 1 FROM b");
    assert_true(row("0 + 0 "));
    assert_true(row("1 + 0 "));
    assert_true(row("1 c 0 x|pg_catalog.int4|-"));
    for (uint32_t n = 0; n < 300; n++)
        assert_true(long_column(0, n, 1024));
    assert_true(question.bytes < KNOWLEDGE_ENTRY_MAX);
    assert_true(row("-1 p 0 public"));
    assert_true(done());
    assert_true(look("INSERT INTO a SELECT 1 FROM b")); /* it is not asked for again */
    assert_null(table("", "a"));
    assert_non_null(table("", "b"));
    assert_int_equal(view.missing.len, 0);
}

static void
an_answer_has_an_end(void **state)
{
    struct buf text = BUF_EMPTY;

    (void)state;
    buf_add_str(&text, "SELECT 1 FROM t0");
    for (unsigned n = 1; n < 40; n++)
        buf_printf(&text, ", t%u", n);
    ask(buf_cstr(&text));
    for (uint32_t n = 0; n < 40; n++) {
        for (uint32_t at = 0; at < 200; at++) {
            assert_true(long_column(n, at, 1000));
            assert_true(question.bytes <= KNOWLEDGE_ANSWER_MAX + KNOWLEDGE_ENTRY_MAX);
        }
    }
    assert_true(row("-1 p 0 public"));
    assert_true(done());
    assert_true(knowledge_bytes(knowledge) <= LIMIT);
    buf_free(&text);
}

static void
too_many_names_stay_unknown(void **state)
{
    struct buf text = BUF_EMPTY;

    (void)state;
    buf_add_str(&text, "SELECT 1 FROM t0");
    for (unsigned n = 1; n < CATALOG_ASKED_MAX + 50; n++)
        buf_printf(&text, ", t%u", n);
    ask(buf_cstr(&text));
    assert_int_equal(question.names.count, CATALOG_ASKED_MAX);
    assert_true(row("-1 p 0 public"));
    assert_true(done());
    assert_false(look(buf_cstr(&text)));
    assert_null(table("", "t449"));
    ask(buf_cstr(&text));
    assert_int_equal(question.names.count, 51); /* and the database */
    buf_free(&text);
}

/* ---- how long it is kept ---- */

static void
what_is_known_ends_with_its_epoch(void **state)
{
    struct catalog_scope before;

    (void)state;
    assert_true(LEARN("DELETE FROM a", "0 + 0 "));
    assert_true(look("DELETE FROM a"));
    catalog_changed(catalog, "shop");
    assert_false(look("DELETE FROM a"));
    assert_null(table("", "a"));
    /* DDL that overtakes an answer */
    ask("DELETE FROM a");
    before = catalog_scope(catalog, &ann);
    catalog_changed(catalog, "shop");
    assert_true(row("0 + 0 "));
    assert_true(row("-1 p 0 public"));
    assert_true(knowledge_question_done(&question, knowledge, catalog, &ann, &before));
    assert_false(look("DELETE FROM a"));
}

static void
memory_is_bounded_and_the_oldest_go_first(void **state)
{
    struct knowledge *small = knowledge_new(20000);
    struct catalog_scope scope = {.tag = 7, .group = 0, .epoch = 0};
    char text[64];

    (void)state;
    for (unsigned n = 0; n < 200; n++) {
        snprintf(text, sizeof(text), "DELETE FROM t%u", n);
        knowledge_question_clear(&question);
        knowledge_question_add(&question, small, &scope, facts(text));
        assert_true(row("0 + 0 "));
        assert_true(row("-1 p 0 public"));
        assert_true(knowledge_question_done(&question, small, NULL, NULL, &scope));
        assert_true(knowledge_bytes(small) <= 20000);
        knowledge_view_fini(&view);
        assert_true(knowledge_view_init(&view, small, &scope, facts(text)));
        /* what is used stays */
        knowledge_view_fini(&view);
        assert_true(knowledge_view_init(&view, small, &scope, facts("DELETE FROM t0")));
    }
    knowledge_view_fini(&view);
    assert_false(knowledge_view_init(&view, small, &scope, facts("DELETE FROM t1")));
    knowledge_clear(small);
    assert_int_equal(knowledge_bytes(small), 0);
    knowledge_view_fini(&view);
    assert_false(knowledge_view_init(&view, small, &scope, facts("DELETE FROM t0")));
    knowledge_free(small);
}

static void
another_scope_knows_nothing_of_it(void **state)
{
    struct catalog_scope scope;

    (void)state;
    assert_true(LEARN("DELETE FROM a", "0 + 0 "));
    scope = catalog_scope(catalog, &ann);
    knowledge_view_fini(&view);
    assert_true(knowledge_view_init(&view, knowledge, &scope, facts("DELETE FROM a")));
    scope.tag++;
    knowledge_view_fini(&view);
    assert_false(knowledge_view_init(&view, knowledge, &scope, facts("DELETE FROM a")));
    scope.tag = 0;
    knowledge_view_fini(&view);
    assert_false(knowledge_view_init(&view, knowledge, &scope, facts("DELETE FROM a")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(asks_for_each_name_once),
        TEST(a_table_is_what_its_rows_say),
        TEST(what_is_not_mentioned_is_missing),
        TEST(functions_are_theirs_or_somebodys),
        TEST(the_worst_of_several_functions_counts),
        TEST(functions_of_defaults_are_known_by_both_names),
        TEST(the_same_reason_is_named_whatever_comes_first),
        TEST(what_a_read_spoils_only_matters_where_something_is_left),
        TEST(rows_that_make_no_sense_are_refused),
        TEST(cut_rows_are_refused_and_other_widths_passed_over),
        TEST(an_answer_that_is_not_whole_teaches_nothing),
        TEST(nothing_is_known_of_a_table_that_is_too_long),
        TEST(an_answer_has_an_end),
        TEST(too_many_names_stay_unknown),
        TEST(what_is_known_ends_with_its_epoch),
        TEST(memory_is_bounded_and_the_oldest_go_first),
        TEST(another_scope_knows_nothing_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

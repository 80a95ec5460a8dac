/*
 * What is known of names: questions, answers, verdicts, lists, scopes. Whether the question's SQL
 * finds out the right things, test/integration/test_routing.py shows.
 */
#include "catalog/question.h"
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct memo *memo;
static struct catalog *catalog;
static struct sql_cache *cache;
static struct catalog_question question;
static struct config_report report;
static struct config *config;
static const struct catalog_login ann = {"shop", "ann", 3, "", 0};

static void
configure(const char *text)
{
    struct err err;

    config_report_init(&report);
    if (config_load_text(text, strlen(text), "/etc/pgpool/test.conf", &config, &report) != 0)
        fail_msg("%s", report.findings[0].text);
    assert_int_equal(catalog_configure(catalog, config, &err), 0);
    config_free(config);
    config_report_fini(&report);
}

static int
setup(void **state)
{
    (void)state;
    memo = calloc(1, memo_bytes(256));
    memo_init(memo, 256);
    catalog = catalog_new(memo);
    cache = sql_cache_new(100000);
    memset(&question, 0, sizeof(question));
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
answer(const char *number, const char *flags, const char *name)
{
    const char *const columns[3] = {number, flags, name};
    struct buf row = BUF_EMPTY;
    size_t row_len;

    buf_add_u16(&row, ARRAY_LEN(columns));
    for (size_t n = 0; n < ARRAY_LEN(columns); n++) {
        buf_add_u32(&row, (uint32_t)strlen(columns[n]));
        buf_add_str(&row, columns[n]);
    }
    row_len = row.len;
    buf_add_u8(&row,
               '\0'); /* the sanitizer takes regexec() to read up to one, whatever it is told */
    assert_true(catalog_question_row(&question, catalog, row.data, row_len));
    for (size_t len = 0; len < row_len; len++)
        assert_false(catalog_question_row(&question, catalog, row.data, len));
    buf_free(&row);
}

static bool
judge(const char *text, uint32_t *flags_r)
{
    struct catalog_scope scope = catalog_scope(catalog, &ann);

    return catalog_judge(catalog, &scope, statement(text), flags_r, NULL);
}

static void
ask(const char *text)
{
    struct catalog_scope scope = catalog_scope(catalog, &ann);

    catalog_question_clear(&question);
    catalog_question_add(&question, catalog, &scope, statement(text));
}

static void
done(void)
{
    struct catalog_scope scope = catalog_scope(catalog, &ann);

    answer("-1", "0", "pg_catalog,public");
    catalog_question_done(&question, catalog, &ann, &scope);
}

static void
asks_for_what_is_not_known(void **state)
{
    struct buf sql = BUF_EMPTY;
    uint32_t flags;

    (void)state;
    assert_false(judge("SELECT f(a, 1), lower(b) FROM t", &flags));
    ask("SELECT f(a, 1), lower(b) FROM t");
    assert_int_equal(question.count, 4);
    catalog_question_sql(&question, "SET search_path TO x;", 21, &sql);
    assert_non_null(strstr(buf_cstr(&sql), "SET LOCAL ROLE NONE;SET search_path TO x;"));
    assert_non_null(strstr(buf_cstr(&sql), ",(0,'r',E'',E't',0),(1,'f',E'',E'f',2),(2,'f',"
                                           "E'',E'lower',1),(3,'d',E'',E'',0)),"));
    assert_non_null(strstr(buf_cstr(&sql), ";ROLLBACK"));
    buf_free(&sql);
    answer("0", "0", "");
    answer("1", "0", "");
    answer("1", "2", "public.f");
    answer("2", "0", "");
    done();
    assert_true(judge("SELECT f(a, 1), lower(b) FROM t", &flags));
    assert_int_equal(flags, CATALOG_WRITES);
    assert_true(judge("SELECT lower(b) FROM t", &flags));
    assert_int_equal(flags, 0);
    ask("SELECT f(a, 2), g() FROM t");
    assert_int_equal(question.count, 1);
}

static void
names_are_written_safely(void **state)
{
    struct buf sql = BUF_EMPTY;

    (void)state;
    ask("SELECT * FROM \"a'b\\c\".\"x\"\"y\"");
    catalog_question_sql(&question, "", 0, &sql);
    assert_non_null(strstr(buf_cstr(&sql), "E'a''b\\\\c',E'x\"y'"));
    buf_free(&sql);
}

static void
what_is_not_answered_is_missing(void **state)
{
    uint32_t flags;

    (void)state;
    ask("SELECT f() FROM t");
    answer("0", "16", "");
    answer("7", "2", "no.such");
    answer("x", "2", "no.number");
    done();
    assert_true(judge("SELECT * FROM t", &flags));
    assert_int_equal(flags, CATALOG_UNLOGGED);
    assert_true(judge("SELECT f()", &flags));
    assert_int_equal(flags, CATALOG_MISSING);
}

/* Functions of PostgreSQL's own within views: by name, else by volatility. */
static void
knows_own_functions(void **state)
{
    static const struct {
        const char *name;
        const char *row;
        uint32_t flags;
    } cases[] = {
        {"random", "3145728", 0},
        {"nextval", "3145728", CATALOG_WRITES | CATALOG_DRAWS},
        {"pg_advisory_lock", "3145728", CATALOG_WRITES | CATALOG_KEEPS},
        {"something_new", "3145728", CATALOG_WRITES | CATALOG_KEEPS},
        {"something_stable", "1048576", CATALOG_DIFFERS},
    };
    uint32_t flags;

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
        catalog_changed(catalog, "shop");
        ask("SELECT * FROM v");
        answer("0", cases[n].row, cases[n].name);
        done();
        assert_true(judge("SELECT * FROM v", &flags));
        if ((flags & ~(uint32_t)CATALOG_WRITES) != (cases[n].flags & ~(uint32_t)CATALOG_WRITES) ||
            (cases[n].flags == 0 && flags != 0))
            fail_msg("%s: %x", cases[n].name, flags);
    }
}

static void
ddl_makes_it_forget(void **state)
{
    uint32_t flags;

    (void)state;
    ask("SELECT * FROM t");
    answer("0", "0", "");
    done();
    assert_true(judge("SELECT * FROM t", &flags));
    catalog_changed(catalog, "shop");
    assert_false(judge("SELECT * FROM t", &flags));
}

static void
a_question_that_ddl_overtakes_is_not_believed(void **state)
{
    struct catalog_scope before = catalog_scope(catalog, &ann);
    uint32_t flags;

    (void)state;
    ask("SELECT * FROM t");
    answer("0", "0", "");
    answer("-1", "0", "public");
    catalog_changed(catalog, "shop");
    catalog_question_done(&question, catalog, &ann, &before);
    assert_false(judge("SELECT * FROM t", &flags));
}

static void
other_paths_are_other_scopes(void **state)
{
    const struct catalog_login moved = {"shop", "ann", 3, "SET search_path TO x;", 21};
    const struct catalog_login bob = {"shop", "bob", 3, "", 0};
    struct catalog_scope scope;
    uint32_t flags;

    (void)state;
    ask("SELECT * FROM t");
    answer("0", "0", "");
    done();
    scope = catalog_scope(catalog, &moved);
    assert_false(catalog_judge(catalog, &scope, statement("SELECT * FROM t"), &flags, NULL));
    /* another user with the same path shares what is known */
    scope = catalog_scope(catalog, &bob);
    catalog_learn_scope(catalog, &bob, &scope, "pg_catalog,public", 17);
    assert_true(catalog_judge(catalog, &scope, statement("SELECT * FROM t"), &flags, NULL));
}

static void
lists_of_functions_win(void **state)
{
    uint32_t flags;

    (void)state;
    configure("read_only_function_list = 'get_.*,app\\.f'");
    ask("SELECT get_a(), f()");
    answer("0", "2", "public.get_a");
    answer("1", "0", "public.f");
    done();
    assert_true(judge("SELECT get_a()", &flags));
    assert_int_equal(flags, 0);
    assert_true(judge("SELECT f()", &flags));
    assert_int_equal(flags, CATALOG_WRITES);
    configure("write_function_list = 'put_.*'");
    assert_false(judge("SELECT f()", &flags));
    ask("SELECT put_a(), f()");
    answer("0", "0", "public.put_a");
    answer("1", "6", "public.f");
    done();
    assert_true(judge("SELECT put_a()", &flags));
    assert_int_equal(flags, CATALOG_WRITES);
    assert_true(judge("SELECT f()", &flags));
    assert_int_equal(flags, 0);
}

static uint32_t
pins(const char *text)
{
    struct sql_options options = {.standard_conforming_strings = true};

    return catalog_pins(catalog, sql_facts(cache, text, strlen(text), &options));
}

static void
listed_functions_pin(void **state)
{
    uint32_t flags;

    (void)state;
    configure("");
    assert_int_equal(pins("SELECT nextval('s'), f()"), CATALOG_PINS_SEQUENCE);
    assert_int_equal(pins("INSERT INTO t VALUES (pg_catalog.setval('s', 1))"),
                     CATALOG_PINS_SEQUENCE);
    assert_int_equal(pins("SELECT app.nextval('s'), currval('s')"), CATALOG_PINS_LISTED);
    configure("pinning_function_list = 'keep_.*,app\\.f'");
    assert_int_equal(pins("SELECT nextval('s'), f()"), 0);
    assert_int_equal(pins("SELECT 1; SELECT a FROM app.f(1) AS x(a)"), CATALOG_PINS_LISTED);
    assert_int_equal(pins("UPDATE t SET a = Keep_it(b)"), CATALOG_PINS_LISTED);
    assert_int_equal(pins("UPDATE t SET a = keep(b)"), 0);
    ask("SELECT g()");
    answer("0", "0", "app.f");
    done();
    assert_true(judge("SELECT g()", &flags));
    assert_int_equal(flags, CATALOG_KEEPS | CATALOG_OPAQUE);
}

static void
parameters_of_bodies(void **state)
{
    struct catalog_scope scope = catalog_scope(catalog, &ann);
    struct sql_text names;
    uint32_t flags;
    bool opaque;

    (void)state;
    assert_false(catalog_parameters(catalog, &scope, ann.database, &names, &opaque));
    ask("SELECT f()");
    catalog_question_add_bodies(&question);
    catalog_question_add_bodies(&question);
    assert_int_equal(question.count, 3);
    assert_false(catalog_question_known(&question, catalog, &scope, &flags));
    answer("0", "2052", "app.f");
    answer("2", "0", "");
    answer("2", "0", "app.user");
    answer("2", "0", "app.tenant");
    scope = catalog_scope(catalog, &ann);
    answer("-1", "0", "public");
    catalog_question_done(&question, catalog, &ann, &scope);
    assert_true(catalog_question_known(&question, catalog, &scope, &flags));
    assert_int_equal(flags, CATALOG_KEEPS | CATALOG_OPAQUE);
    assert_true(catalog_parameters(catalog, &scope, ann.database, &names, &opaque));
    assert_int_equal(names.len, 20);
    assert_memory_equal(names.data, "app.user\0app.tenant", 20);
    assert_false(opaque);
    assert_false(catalog_parameters(catalog, &scope, "another", &names, &opaque));

    catalog_changed(catalog, ann.database);
    scope = catalog_scope(catalog, &ann);
    assert_false(catalog_parameters(catalog, &scope, ann.database, &names, &opaque));
    catalog_question_clear(&question);
    catalog_question_add_bodies(&question);
    answer("0", "2048", "");
    answer("-1", "0", "public");
    catalog_question_done(&question, catalog, &ann, &scope);
    assert_true(catalog_parameters(catalog, &scope, ann.database, &names, &opaque));
    assert_int_equal(names.len, 0);
    assert_true(opaque);

    /* more than are asked for */
    catalog_question_clear(&question);
    catalog_question_add_bodies(&question);
    for (int n = 0; n < 65; n++)
        answer("0", "0", "a.b");
    catalog_question_done(&question, catalog, &ann, &scope);
    assert_true(catalog_parameters(catalog, &scope, ann.database, &names, &opaque));
    assert_true(opaque);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(asks_for_what_is_not_known, setup, teardown),
        cmocka_unit_test_setup_teardown(names_are_written_safely, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_answered_is_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(knows_own_functions, setup, teardown),
        cmocka_unit_test_setup_teardown(ddl_makes_it_forget, setup, teardown),
        cmocka_unit_test_setup_teardown(a_question_that_ddl_overtakes_is_not_believed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(other_paths_are_other_scopes, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_of_functions_win, setup, teardown),
        cmocka_unit_test_setup_teardown(listed_functions_pin, setup, teardown),
        cmocka_unit_test_setup_teardown(parameters_of_bodies, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* command.h: PGPOOL SHOW, SET and RESET, as people write them, and everything else refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "sql/command.h"

#include <stdlib.h>
#include <string.h>

static int
parse(const char *text, bool plain_strings, struct sql_command *c, struct err *err)
{
    const struct sql_options options = {.standard_conforming_strings = plain_strings};
    size_t len = strlen(text);
    char *exact = malloc(len + 1); /* so that a sanitizer sees what reads behind its end */
    int rc;

    memcpy(exact, text, len);
    exact = realloc(exact, len > 0 ? len : 1);
    rc = sql_command_parse((struct sql_text){exact, (uint32_t)len}, &options, c, err);
    free(exact);
    return rc;
}

static const struct {
    const char *text;
    enum sql_command_verb verb;
    const char *name;
    const char *value;
} known[] = {
    {"PGPOOL SHOW ALL", SQL_COMMAND_SHOW, "all", ""},
    {"PGPOOL PAUSE", SQL_COMMAND_PAUSE, "", ""},
    {"PGPOOL PAUSE Shop", SQL_COMMAND_PAUSE, "shop", ""},
    {"pgpool resume \"Sh\"\"op\"", SQL_COMMAND_RESUME, "Sh\"op", ""},
    {"PGPOOL DRAIN 12", SQL_COMMAND_DRAIN, "12", ""},
    {"PGPOOL UNDRAIN /* c */ 0", SQL_COMMAND_UNDRAIN, "0", ""},
    {"PGPOOL ATTACH NODE 1", SQL_COMMAND_ATTACH, "1", ""},
    {"pgpool detach node 2 ", SQL_COMMAND_DETACH, "2", ""},
    {"PGPOOL PROMOTE NODE 0", SQL_COMMAND_PROMOTE, "0", ""},
    {"PGPOOL SWITCHOVER", SQL_COMMAND_SWITCHOVER, "", ""},
    {"PGPOOL RECOVER /* c */ NODE 10", SQL_COMMAND_RECOVER, "10", ""},
    {"PGPOOL STOP Fast", SQL_COMMAND_STOP, "fast", ""},
    {"PGPOOL RELOAD", SQL_COMMAND_RELOAD, "", ""},
    {"PGPOOL ROTATE LOG", SQL_COMMAND_ROTATE_LOG, "", ""},
    {"PGPOOL INVALIDATE QUERY CACHE", SQL_COMMAND_INVALIDATE_CACHE, "", ""},
    {"pgpool show Log_Statement", SQL_COMMAND_SHOW, "log_statement", ""},
    {"PGPOOL SHOW backend_hostname0", SQL_COMMAND_SHOW, "backend_hostname0", ""},
    {"PGPOOL/* a /* b */ */SHOW -- c\n \"Port\"", SQL_COMMAND_SHOW, "Port", ""},
    {"PGPOOL SET a TO b", SQL_COMMAND_SET, "a", "b"},
    {"PGPOOL SET a=b", SQL_COMMAND_SET, "a", "b"},
    {"PGPOOL SET a to 'B c'", SQL_COMMAND_SET, "a", "B c"},
    {"PGPOOL SET a = 'it''s'", SQL_COMMAND_SET, "a", "it's"},
    {"PGPOOL SET a = E'it\\'s'", SQL_COMMAND_SET, "a", "it's"},
    {"PGPOOL SET a = 'c:\\d'", SQL_COMMAND_SET, "a", "c:\\d"},
    {"PGPOOL SET a = \"Word\"", SQL_COMMAND_SET, "a", "Word"},
    {"PGPOOL SET a = ''", SQL_COMMAND_SET, "a", ""},
    {"PGPOOL SET a = -1", SQL_COMMAND_SET, "a", "-1"},
    {"PGPOOL SET a = 1.5", SQL_COMMAND_SET, "a", "1.5"},
    {"PGPOOL SET a = 5min", SQL_COMMAND_SET, "a", "5min"},
    {"PGPOOL SET a = 'default'", SQL_COMMAND_SET, "a", "default"},
    {"PGPOOL RESET a", SQL_COMMAND_RESET, "a", ""},
    {"PGPOOL RESET ALL", SQL_COMMAND_RESET_ALL, "", ""},
    {"PGPOOL RESET STATEMENTS", SQL_COMMAND_RESET_STATEMENTS, "", ""},
    {"PGPOOL RESET \"statements\"", SQL_COMMAND_RESET, "statements", ""},
};

static void
commands_are_understood(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof(known) / sizeof(known[0]); n++) {
        struct sql_command c;
        struct err err;

        if (parse(known[n].text, true, &c, &err) != 0)
            fail_msg("%s: %s", known[n].text, err.message);
        assert_int_equal(c.verb, known[n].verb);
        assert_string_equal(c.name, known[n].name);
        assert_string_equal(c.value, known[n].value);
        assert_false(c.is_default);
    }
}

static void
commands_have_manners(void **state)
{
    static const struct {
        const char *text;
        bool switchover;
        bool gracefully;
    } asked[] = {{"PGPOOL DETACH NODE 1", false, false},
                 {"PGPOOL DETACH NODE 1 GRACEFULLY", false, true},
                 {"PGPOOL PROMOTE NODE 1", false, false},
                 {"PGPOOL PROMOTE NODE 1 switchover", true, false},
                 {"PGPOOL PROMOTE NODE 1 GRACEFULLY", false, true},
                 {"PGPOOL PROMOTE NODE 1 SWITCHOVER GRACEFULLY", true, true}};
    struct sql_command c;
    struct err err;

    (void)state;
    for (size_t n = 0; n < sizeof(asked) / sizeof(asked[0]); n++) {
        assert_int_equal(parse(asked[n].text, true, &c, &err), 0);
        assert_int_equal(c.switchover, asked[n].switchover);
        assert_int_equal(c.gracefully, asked[n].gracefully);
    }
}

static void
default_is_no_value(void **state)
{
    struct sql_command c;
    struct err err;

    (void)state;
    assert_int_equal(parse("PGPOOL SET a TO DEFAULT", true, &c, &err), 0);
    assert_true(c.is_default);
    assert_int_equal(c.verb, SQL_COMMAND_SET);
}

static void
backslashes_are_as_the_session_reads_them(void **state)
{
    struct sql_command c;
    struct err err;

    (void)state;
    assert_int_equal(parse("PGPOOL SET a = 'x\\'y'", false, &c, &err), 0);
    assert_string_equal(c.value, "x'y");
    assert_int_equal(parse("PGPOOL SET a = 'x\\\\y'", false, &c, &err), 0);
    assert_string_equal(c.value, "x\\y");
}

static void
a_statement_to_be_forgotten(void **state)
{
    static const struct {
        const char *text;
        bool plain;
        const char *statement;
    } cases[] = {
        {"pgpool set cache delete 'SELECT ''a'' FROM t'", true, "SELECT 'a' FROM t"},
        {"PGPOOL SET CACHE DELETE E'SELECT \\'a\\''", true, "SELECT 'a'"},
        {"PGPOOL SET /* x */ CACHE DELETE 'a\\\\b'", false, "a\\b"},
        {"PGPOOL SET CACHE DELETE 'a\\\\b'", true, "a\\\\b"},
        {"PGPOOL SET CACHE DELETE ''", true, ""},
    };

    (void)state;
    for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
        struct sql_options options = {.standard_conforming_strings = cases[n].plain};
        struct sql_command c;
        char found[100];
        struct err err;

        assert_int_equal(
            sql_command_parse((struct sql_text){cases[n].text, (uint32_t)strlen(cases[n].text)},
                              &options, &c, &err),
            0);
        assert_int_equal(c.verb, SQL_COMMAND_CACHE_DELETE);
        assert_int_equal(sql_command_unquote(c.rest, &options, found), strlen(cases[n].statement));
        assert_string_equal(found, cases[n].statement);
    }
}

static const struct {
    const char *text;
    const char *message;
} wrong[] = {
    {"PGPOOL", "syntax error at end of input"},
    {"PGPOOL SHOW", "syntax error at end of input"},
    {"PGPOOL ATTACH", "syntax error at end of input"},
    {"PGPOOL ATTACH 1", "syntax error at or near \"1\""},
    {"PGPOOL ATTACH NODE", "syntax error at end of input"},
    {"PGPOOL ATTACH NODE x", "\"x\" is no number of a node"},
    {"PGPOOL ATTACH NODE 1 GRACEFULLY", "syntax error at or near \"GRACEFULLY\""},
    {"PGPOOL DETACH NODE 1 SWITCHOVER", "syntax error at or near \"SWITCHOVER\""},
    {"PGPOOL PROMOTE NODE 1 GRACEFULLY SWITCHOVER", "syntax error at or near \"SWITCHOVER\""},
    {"PGPOOL SWITCHOVER 1", "syntax error at or near \"1\""},
    {"PGPOOL STOP", "syntax error at end of input"},
    {"PGPOOL STOP now", "syntax error at or near \"now\""},
    {"PGPOOL STOP 'fast'", "syntax error at or near \"'fast'\""},
    {"PGPOOL ROTATE", "syntax error at end of input"},
    {"PGPOOL INVALIDATE CACHE", "syntax error at or near \"CACHE\""},
    {"PGPOOL SHOW a b", "syntax error at or near \"b\""},
    {"PGPOOL SHOW 'a'", "syntax error at or near \"'a'\""},
    {"PGPOOL SET", "syntax error at end of input"},
    {"PGPOOL SET a", "syntax error at end of input"},
    {"PGPOOL SET a b", "syntax error at or near \"b\""},
    {"PGPOOL SET a =", "syntax error at end of input"},
    {"PGPOOL SET a TO", "syntax error at end of input"},
    {"PGPOOL SET a = b, c", "syntax error at or near \",\""},
    {"PGPOOL SET a = $1", "syntax error at or near \"$\""},
    {"PGPOOL SET a = b c", "syntax error at or near \"c\""},
    {"PGPOOL SET a = - 1", "syntax error at or near \"-\""},
    {"PGPOOL SET CACHE", "syntax error at end of input"},
    {"PGPOOL SET CACHE 'SELECT 1'", "syntax error at or near \"'SELECT 1'\""},
    {"PGPOOL SET CACHE DELETE", "syntax error at end of input"},
    {"PGPOOL SET CACHE DELETE SELECT 1", "syntax error at or near \"SELECT\""},
    {"PGPOOL SET CACHE DELETE 'SELECT 1' x", "syntax error at or near \"x\""},
    {"PGPOOL SET = b", "syntax error at or near \"=\""},
    {"PGPOOL RESET", "syntax error at end of input"},
    {"PGPOOL RESET ALL ALL", "syntax error at or near \"ALL\""},
    {"PGPOOL DROP a", "syntax error at or near \"DROP\""},
};

static void
anything_else_is_a_syntax_error(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof(wrong) / sizeof(wrong[0]); n++) {
        struct sql_command c;
        struct err err;

        if (parse(wrong[n].text, true, &c, &err) != -1)
            fail_msg("understood: %s", wrong[n].text);
        assert_string_equal(err.sqlstate, "42601");
        assert_string_equal(err.message, wrong[n].message);
    }
}

static void
what_is_explained_is_taken_as_it_stands(void **state)
{
    struct sql_command c;
    struct err err;

    (void)state;
    assert_int_equal(parse("pgpool /* why? */ EXPLAIN\nSELECT 'a;b' -- here", true, &c, &err), 0);
    assert_int_equal(c.verb, SQL_COMMAND_EXPLAIN);
    assert_int_equal(c.rest.len, strlen("SELECT 'a;b' -- here"));
    assert_memory_equal(c.rest.data, "SELECT 'a;b' -- here", c.rest.len);
    assert_int_equal(parse("PGPOOL EXPLAIN /* c */ SELECT 1", true, &c, &err), 0);
    assert_int_equal(c.rest.len, strlen("/* c */ SELECT 1"));
    assert_int_equal(parse("PGPOOL EXPLAIN", true, &c, &err), -1);
    assert_string_equal(err.sqlstate, "42601");
    assert_int_equal(parse("PGPOOL EXPLAIN -- c", true, &c, &err), -1);
}

static void
long_words_are_refused(void **state)
{
    char text[400] = "PGPOOL SET a = ";
    struct sql_command c;
    struct err err;

    (void)state;
    memset(text + strlen(text), 'x', 300);
    assert_int_equal(parse(text, true, &c, &err), -1);
    assert_string_equal(err.sqlstate, "22023");
    str_copy(text, sizeof(text), "PGPOOL SHOW ");
    memset(text + strlen(text), 'x', 100);
    assert_int_equal(parse(text, true, &c, &err), -1);
    assert_string_equal(err.sqlstate, "42622");
}

static void
logins_are_explained(void **state)
{
    struct sql_command c;
    struct err err;

    (void)state;
    assert_int_equal(parse("PGPOOL EXPLAIN LOGIN joe \"My DB\" '::1' SSL", true, &c, &err), 0);
    assert_int_equal(c.verb, SQL_COMMAND_EXPLAIN_LOGIN);
    assert_string_equal(c.name, "joe");
    assert_string_equal(c.value, "My DB");
    assert_string_equal(c.address, "::1");
    assert_true(c.over_ssl);
    assert_int_equal(parse("pgpool explain login 'a' b 10.0.0.1", true, &c, &err), 0);
    assert_string_equal(c.address, "10.0.0.1");
    assert_false(c.over_ssl);
    assert_int_equal(parse("PGPOOL EXPLAIN LOGIN a b", true, &c, &err), -1);
    assert_string_equal(err.sqlstate, "42601");
    assert_int_equal(parse("PGPOOL EXPLAIN LOGIN a b local tls", true, &c, &err), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_understood),
        cmocka_unit_test(commands_have_manners),
        cmocka_unit_test(default_is_no_value),
        cmocka_unit_test(backslashes_are_as_the_session_reads_them),
        cmocka_unit_test(a_statement_to_be_forgotten),
        cmocka_unit_test(anything_else_is_a_syntax_error),
        cmocka_unit_test(what_is_explained_is_taken_as_it_stands),
        cmocka_unit_test(logins_are_explained),
        cmocka_unit_test(long_words_are_refused),
    };

    return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}

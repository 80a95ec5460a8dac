/*
 * sql/normal: texts without their values.
 */
#include "sql/normal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct sql_normal *normal;
static char shown[70000];

static int
setup(void **state)
{
    (void)state;
    normal = sql_normal_new();
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    sql_normal_free(normal);
    return 0;
}

static uint64_t
normalise(const char *text, bool plain_strings)
{
    struct sql_options options = {.standard_conforming_strings = plain_strings};
    struct sql_text out;
    uint64_t fingerprint = sql_normalise(normal, text, strlen(text), &options, &out);

    assert_true(out.len < sizeof(shown));
    memcpy(shown, out.data, out.len);
    shown[out.len] = '\0';
    assert_int_not_equal(fingerprint, 0);
    return fingerprint;
}

static void
shows(const char *text, const char *wanted)
{
    normalise(text, true);
    assert_string_equal(shown, wanted);
}

static void
constants_become_parameters(void **state)
{
    (void)state;
    shows("select 1, 'two', 3.5e1, null from t where a = $1",
          "select $2, $3, $4, null from t where a = $1");
    shows("select E'a\\'b', U&'x', B'01', x'ff', N'n', $$body$$, $q$a $$ b$q$",
          "select $1, $2, $3, $4, $5, $6, $7");
    shows("select 'a'\n  'b' , 0x1F, 1_000", "select $1 , $2, $3");
    shows("alter role r password 'secret'", "alter role r password $1");
    shows("select date '2020-01-01', interval '1 day', 'x'::text", "select date $1, interval $2, "
                                                                   "$3::text");
}

static void
a_sign_belongs_to_its_number(void **state)
{
    (void)state;
    shows("select -1, a-1, a - 1, (a)-1, 2 * -3, $1 -1", "select $2, a-$3, a - $4, (a)-$5, "
                                                         "$6 * $7, $1 -$8");
    assert_true(normalise("select * from t where a = -1", true) ==
                normalise("select * from t where a = 1", true));
}

static void
comments_and_blanks_are_one_blank(void **state)
{
    (void)state;
    shows("  /* secret */ select -- secret\n  1 /* a /* b */ c */ + 2 ;; ", "select $1 + $2");
    assert_true(normalise("select  a,b\nfrom t", true) == normalise("SELECT a, b FROM T;", true));
    assert_false(normalise("select \"a\" from t", true) == normalise("select \"A\" from t", true));
    assert_false(normalise("select ab from t", true) == normalise("select a b from t", true));
}

static void
lists_stand_for_any_length(void **state)
{
    uint64_t one = normalise("select * from t where a in (1)", true);

    (void)state;
    assert_true(one == normalise("select * from t where a in (1, 'x', -3)", true));
    assert_true(one == normalise("select * from t where a in ($1, $2)", true));
    shows("select * from t where a in (1, 2) and b = 3", "select * from t where a in ($1, ...) "
                                                         "and b = $2");
    shows("select * from t where a = any (array[1,2])", "select * from t where a = any "
                                                        "(array[$1, ...])");
    shows("select * from t where a in (1, f(2))", "select * from t where a in ($1, f($2))");
    shows("select * from t where a in (select 1)", "select * from t where a in (select $1)");
    shows("insert into t values (1, 'a'), (2, 'b'), (default, null) returning 1",
          "insert into t values ($1, $2), ... returning $3");
    shows("insert into t values (1, f(2)), (3, 4)", "insert into t values ($1, f($2)), ($3, $4)");
    assert_true(normalise("insert into t values (1, 2)", true) !=
                normalise("insert into t values (1, 2), (3, 4)", true));
    assert_true(normalise("insert into t values (1, 2), (5, 6), (7, 8)", true) ==
                normalise("insert into t values (1, 2), (3, 4)", true));
}

static void
what_is_not_understood_is_not_shown(void **state)
{
    static const char *const texts[] = {
        "select 'secret",      "select $x$secret",   "select \"secret",
        "select /* secret",    "select E'secret\\'", "select 'a\\' secret \\'b'",
        "select ( 'a' secret", "secret \\ secret",   "select U&\"a\" uescape 'secret'"};

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(texts); n++) {
        normalise(texts[n], true);
        assert_null(strstr(shown, "secret"));
    }
    normalise("select 'a\\' secret \\'b'", false);
    assert_string_equal(shown, "select $1");
}

static void
long_and_empty_texts(void **state)
{
    char *text = malloc(200000);

    (void)state;
    assert_non_null(text);
    shows("", "");
    shows(" ; -- nothing", "");
    memset(text, 'a', 199999);
    text[199999] = '\0';
    normalise(text, true);
    assert_null(strstr(shown, "aaaa"));
    text[60000] = '\0';
    normalise(text, true);
    assert_string_equal(shown, text);
    free(text);
}

static void
fingerprints_do_not_change(void **state)
{
    (void)state;
    /* people keep them: another pgpool, or a later one, must give the same */
    assert_true(normalise("select 1", true) == UINT64_C(0xdb130af1ed1b45d7));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants_become_parameters),
        cmocka_unit_test(a_sign_belongs_to_its_number),
        cmocka_unit_test(comments_and_blanks_are_one_blank),
        cmocka_unit_test(lists_stand_for_any_length),
        cmocka_unit_test(what_is_not_understood_is_not_shown),
        cmocka_unit_test(long_and_empty_texts),
        cmocka_unit_test(fingerprints_do_not_change),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

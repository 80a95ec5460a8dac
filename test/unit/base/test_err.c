/* err.h: what is said, in which SQLSTATE, and that long texts are cut, not overrun. */
#include "unit.h"

#include "base/err.h"

#include <errno.h>
#include <string.h>

static void
set_fills_and_returns_minus_one(void **state)
{
    struct err err;

    (void)state;
    memset(&err, 'x', sizeof(err));
    assert_int_equal(err_set(&err, "08006", "lost node %d", 2), -1);
    assert_string_equal(err.sqlstate, "08006");
    assert_string_equal(err.message, "lost node 2");
    assert_string_equal(err.detail, "");
    assert_string_equal(err.hint, "");
}

static void
unknown_sqlstate_is_internal_error(void **state)
{
    struct err err;

    (void)state;
    err_set(&err, NULL, "a");
    assert_string_equal(err.sqlstate, "XX000");
    err_set(&err, "123", "a");
    assert_string_equal(err.sqlstate, "XX000");
    err_set(&err, "1234567", "a");
    assert_string_equal(err.sqlstate, "XX000");
}

static void
errno_is_told_in_words(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(err_set_errno(&err, NULL, ECONNREFUSED, "could not connect to \"%s\"", "a"),
                     -1);
    assert_string_equal(err.message, "could not connect to \"a\": Connection refused");
}

static void
detail_hint_and_prefix(void **state)
{
    struct err err;

    (void)state;
    err_set(&err, "F0000", "bad value");
    err_detail(&err, "it is %d", 7);
    err_hint(&err, "use %s", "8");
    err_prefix(&err, "%s:%d: ", "pgpool.conf", 12);
    assert_string_equal(err.message, "pgpool.conf:12: bad value");
    assert_string_equal(err.detail, "it is 7");
    assert_string_equal(err.hint, "use 8");
    assert_string_equal(err.sqlstate, "F0000");
    err_set(&err, "F0000", "again");
    assert_string_equal(err.detail, "");
    assert_string_equal(err.hint, "");
}

static void
long_texts_are_cut(void **state)
{
    struct err err;

    (void)state;
    err_set_errno(&err, NULL, EPIPE, "%2000d", 1);
    assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
    err_detail(&err, "%2000d", 1);
    assert_int_equal(strlen(err.detail), sizeof(err.detail) - 1);
    err_hint(&err, "%2000d", 1);
    assert_int_equal(strlen(err.hint), sizeof(err.hint) - 1);
    err_set(&err, NULL, "end");
    err_prefix(&err, "%2000d", 1);
    assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_fills_and_returns_minus_one),
        cmocka_unit_test(unknown_sqlstate_is_internal_error),
        cmocka_unit_test(errno_is_told_in_words),
        cmocka_unit_test(detail_hint_and_prefix),
        cmocka_unit_test(long_texts_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Placeholders of commands: each letter, nodes that are not there, and what is refused.
 */
#include "cluster/placeholders.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct placeholders full = {
    .node = {.node_id = 0, .host = "db0", .port = 5430, .data_directory = "/data/0"},
    .new_main = {.node_id = 1, .host = "db1", .port = 5431, .data_directory = "/data/1"},
    .old_main = {.node_id = 2, .host = "db2", .port = 5432, .data_directory = "/data/2"},
    .old_primary = {.node_id = 3, .host = "db3", .port = 5433, .data_directory = "/data/3"},
};

static void
assert_becomes(const char *command, const struct placeholders *values, const char *expected)
{
    struct buf out = BUF_EMPTY;
    struct err err;

    buf_add_str(&out, ">");
    assert_int_equal(placeholders_expand(command, values, &out, &err), 0);
    assert_string_equal(buf_cstr(&out) + 1, expected);
    buf_free(&out);
}

static void
each_letter_has_its_value(void **state)
{
    (void)state;
    assert_becomes("%d", &full, "0");
    assert_becomes("%h", &full, "db0");
    assert_becomes("%p", &full, "5430");
    assert_becomes("%D", &full, "/data/0");
    assert_becomes("%m", &full, "1");
    assert_becomes("%H", &full, "db1");
    assert_becomes("%r", &full, "5431");
    assert_becomes("%R", &full, "/data/1");
    assert_becomes("%M", &full, "2");
    assert_becomes("%P", &full, "3");
    assert_becomes("%N", &full, "db3");
    assert_becomes("%S", &full, "5433");
    assert_becomes("%%", &full, "%");
}

static void
command_of_the_manual_is_expanded(void **state)
{
    (void)state;
    assert_becomes("/etc/pgpool/failover.sh %d %h %p %D %m %H %M %P %r %R %N %S", &full,
                   "/etc/pgpool/failover.sh 0 db0 5430 /data/0 1 db1 2 3 5431 /data/1 db3 5433");
    assert_becomes("", &full, "");
    assert_becomes("true", &full, "true");
    assert_becomes("%d%d-%m", &full, "00-1");
}

static void
what_is_no_placeholder_stays(void **state)
{
    (void)state;
    assert_becomes("date +%Y%z; echo 5% %", &full, "date +%Y%z; echo 5% %");
    assert_becomes("%%d %%%d %%%%", &full, "%d %0 %%");
    assert_becomes("%Y%d", &full, "%Y0");
}

static void
node_that_is_not_there_keeps_its_place(void **state)
{
    struct placeholders none = {
        .node = {.node_id = 0, .host = "db0", .port = 5430, .data_directory = ""},
        .new_main = {.node_id = -1, .host = "not looked at", .port = 1, .data_directory = "\n"},
        .old_main = {.node_id = -1},
        .old_primary = {.node_id = -1},
    };

    (void)state;
    assert_becomes("%d %h %p %D", &none, "0 db0 5430 \"\"");
    assert_becomes("%m %H %r %R", &none, "-1 \"\" \"\" \"\"");
    assert_becomes("%M %P %N %S", &none, "-1 -1 \"\" \"\"");
    none.node.host = none.node.data_directory = NULL;
    assert_becomes("%h %D", &none, "\"\" \"\"");
}

static void
values_are_not_expanded_again(void **state)
{
    struct placeholders values = full;

    (void)state;
    values.node.host = "%H";
    values.node.data_directory = "/var/lib/my data/$X";
    assert_becomes("%h '%D'", &values, "%H '/var/lib/my data/$X'");
    values.node.host = "gr\303\274n";
    assert_becomes("%h", &values, "gr\303\274n");
}

static void
control_characters_are_refused(void **state)
{
    static const char *const bad[] = {"db0\nrm -rf", "\r", "a\tb", "\033[1m", "x\177"};
    struct placeholders values = full;
    struct buf out = BUF_EMPTY;
    struct err err;

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(bad); n++) {
        values.node.host = bad[n];
        buf_add_str(&out, "before");
        assert_int_equal(placeholders_expand("x %d %h", &values, &out, &err), -1);
        assert_string_equal(err.message, "the value of \"%h\" holds a control character");
        assert_string_equal(err.sqlstate, "22023");
        assert_string_equal(buf_cstr(&out), "before");
        assert_becomes("x %d", &values, "x 0");
        buf_clear(&out);
    }
    values.new_main.data_directory = "/data\n";
    assert_int_equal(placeholders_expand("%R", &values, &out, &err), -1);
    assert_string_equal(err.message, "the value of \"%R\" holds a control character");
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_letter_has_its_value),
        cmocka_unit_test(command_of_the_manual_is_expanded),
        cmocka_unit_test(what_is_no_placeholder_stays),
        cmocka_unit_test(node_that_is_not_there_keeps_its_place),
        cmocka_unit_test(values_are_not_expanded_again),
        cmocka_unit_test(control_characters_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

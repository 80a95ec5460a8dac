/* str.h: bounded copies, comparison without case, edit distance. */
#include "unit.h"

#include "base/str.h"

#include <string.h>

static void
copy_cuts_and_ends_in_nul(void **state)
{
    char dst[5];

    (void)state;
    assert_true(str_copy(dst, sizeof(dst), "abcd"));
    assert_string_equal(dst, "abcd");
    assert_false(str_copy(dst, sizeof(dst), "vwxyz"));
    assert_string_equal(dst, "vwxy");
    assert_true(str_copy(dst, sizeof(dst), ""));
    assert_string_equal(dst, "");
    assert_true(str_copy_n(dst, sizeof(dst), "abcdefgh", 3));
    assert_string_equal(dst, "abc");
    assert_false(str_copy_n(dst, 1, "a", 1));
    assert_string_equal(dst, "");
}

static void
equal_without_case(void **state)
{
    (void)state;
    assert_true(str_equal_nocase("Begin", "bEGIN"));
    assert_true(str_equal_nocase("", ""));
    assert_false(str_equal_nocase("begin", "begin "));
    assert_false(str_equal_nocase("begin ", "begin"));
    assert_false(str_equal_nocase("[", "{")); /* 0x20 apart, but no letters */
    assert_false(str_equal_nocase("\xc4", "\xe4"));
    assert_true(str_equal_nocase_n("SELECT 1", "select 2", 7));
    assert_false(str_equal_nocase_n("SELECT 1", "select 2", 8));
    assert_true(str_equal_nocase_n("a", "A", 99));
    assert_true(str_equal_nocase_n("a", "b", 0));
}

static void
distance_counts_edits(void **state)
{
    char longest[64];
    char longer[65];

    (void)state;
    assert_int_equal(str_distance("port", "port"), 0);
    assert_int_equal(str_distance("PORT", "port"), 0);
    assert_int_equal(str_distance("port", "prt"), 1);
    assert_int_equal(str_distance("port", "ports"), 1);
    assert_int_equal(str_distance("port", "pout"), 1);
    assert_int_equal(str_distance("kitten", "sitting"), 3);
    assert_int_equal(str_distance("", "abc"), 3);
    assert_int_equal(str_distance("abc", ""), 3);
    memset(longest, 'x', 63);
    longest[63] = '\0';
    memset(longer, 'x', 64);
    longer[64] = '\0';
    assert_int_equal(str_distance(longest, longest), 0);
    assert_true(str_distance(longer, longest) > 1000);
    assert_true(str_distance(longest, longer) > 1000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copy_cuts_and_ends_in_nul),
        cmocka_unit_test(equal_without_case),
        cmocka_unit_test(distance_counts_edits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

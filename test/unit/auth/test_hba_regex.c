/*
 * Regular expressions: what PostgreSQL's mean, and what is refused instead of meaning something
 * else.
 */
#include "auth/hba_regex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int
match(const char *pattern, const char *text)
{
    struct hba_regex re;
    struct err err;
    int rc;

    if (hba_regex_init(&re, pattern, &err) != 0)
        fail_msg("%s: %s", pattern, err.message);
    rc = hba_regex_match(&re, text, NULL);
    hba_regex_fini(&re);
    return rc;
}

static void
assert_refused(const char *pattern, const char *why)
{
    struct hba_regex re;
    struct err err;

    if (hba_regex_init(&re, pattern, &err) == 0)
        fail_msg("%s was accepted", pattern);
    assert_string_equal(err.sqlstate, "2201B");
    if (strstr(err.message, why) == NULL)
        fail_msg("%s: %s", pattern, err.message);
}

static void
patterns_mean_what_they_mean_in_postgresql(void **state)
{
    static const struct {
        const char *pattern;
        const char *text;
        int matches;
    } cases[] = {
        {"^db\\d{2,4}$", "db12", 1},
        {"^db\\d{2,4}$", "db1", 0},
        {"^db\\d{2,4}$", "db12345", 0},
        {"b", "abc", 1},
        {"B", "abc", 0},
        {"^b", "abc", 0},
        {"^(a|bc)+$", "abca", 1},
        {"^(a|bc)+$", "abcb", 0},
        {"^a?b*$", "abbb", 1},
        {"^[^a-c]$", "d", 1},
        {"^[^a-c]$", "b", 0},
        {"^[]a]+$", "]a", 1},
        {"^[\\d_]+$", "1_2", 1},
        {"^[\\w.]+$", "a.b_1", 1},
        {"^[[:alpha:]]+$", "ab", 1},
        {"^[\\\\]$", "\\", 1},
        {"^[\\.]$", "\\", 0},
        {"^\\w+\\s\\W\\S$", "ab_1 -x", 1},
        {"^\\D+$", "a1", 0},
        {"^a\\.b$", "a.b", 1},
        {"^a\\.b$", "axb", 0},
        {"^\\<a\\>$", "<a>", 1},
        {"^\\-\\'\\`$", "-'`", 1},
        {"^a{b}$", "a{b}", 1},
        {"^a]$", "a]", 1},
        {"^x{2}$", "xx", 1},
        {"^x{2,}$", "x", 0},
        {"\\Aab\\Z", "ab", 1},
        {"\\Aab\\Z", "abc", 0},
        {"\\mab\\M", "x ab y", 1},
        {"\\mab\\M", "xab", 0},
        {"\\yab\\y", "ab", 1},
        {"a\\Yb", "ab", 1},
        {"^a\\tb$", "a\tb", 1},
        {"^()$", "", 1},
        {"^(a|)$", "", 1},
    };

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
        if (match(cases[n].pattern, cases[n].text) != cases[n].matches)
            fail_msg("%s on %s", cases[n].pattern, cases[n].text);
    }
}

static void
what_we_cannot_do_is_refused(void **state)
{
    (void)state;
    assert_refused("", "empty");
    assert_refused("(a)\\1", "\"\\1\" is not supported");
    assert_refused("a\\B", "\"\\B\" is not supported");
    assert_refused("[\\D]", "\"\\D\" is not supported");
    assert_refused("[a\\-b]", "\"\\-\" is not supported");
    assert_refused("a\\", "a backslash ends it");
    assert_refused("[\\", "a backslash ends it");
    assert_refused("(?:a)", "\"(?\" is not supported");
    assert_refused("a*?", "non-greedy");
    assert_refused("a**", "nothing to repeat");
    assert_refused("***:a", "nothing to repeat");
    assert_refused("^*", "nothing to repeat");
    assert_refused("(|+)", "nothing to repeat");
    assert_refused("(a", "not closed");
    assert_refused("a)", "nobody has opened");
    assert_refused("[a", "not closed");
    assert_refused("[[:a", "not closed");
    assert_refused("[[:nothing:]]", "");
    assert_refused("[b-a]", "");
    assert_refused("a{3,2}", "{m,n}");
    assert_refused("a{3", "{m,n}");
    assert_refused("a{3,x}", "{m,n}");
    assert_refused("a{256}", "more than 255 times");
}

static void
cost_is_bounded(void **state)
{
    char deep[2 * HBA_REGEX_DEPTH_MAX + 8] = "";
    struct hba_regex re;
    struct err err;

    (void)state;
    assert_refused("((a{255}){255}){255}", "too complex");
    assert_refused("((((((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+", "too complex");
    memset(deep, '(', HBA_REGEX_DEPTH_MAX + 1);
    assert_refused(deep, "too deep");
    /* a UUID is nothing special */
    assert_int_equal(hba_regex_init(&re, "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", &err), 0);
    assert_int_equal(hba_regex_match(&re, "00000000-0000-0000-0000-00000000000a", NULL), 1);
    hba_regex_fini(&re);
}

static void
the_first_group_is_told(void **state)
{
    struct buf group = BUF_EMPTY;
    struct hba_regex re;
    struct err err;

    (void)state;
    assert_int_equal(hba_regex_init(&re, "^(.*)@(x|y)$", &err), 0);
    assert_int_equal(re.groups, 2);
    assert_int_equal(hba_regex_match(&re, "joe@y", &group), 1);
    assert_string_equal(buf_cstr(&group), "joe");
    assert_int_equal(hba_regex_match(&re, "joe@z", &group), 0);
    hba_regex_fini(&re);
    buf_clear(&group);
    assert_int_equal(hba_regex_init(&re, "^a(b)?", &err), 0);
    assert_int_equal(hba_regex_match(&re, "ac", &group), 1);
    assert_int_equal(group.len, 0);
    hba_regex_fini(&re);
    buf_free(&group);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_mean_what_they_mean_in_postgresql),
        cmocka_unit_test(what_we_cannot_do_is_refused),
        cmocka_unit_test(cost_is_bounded),
        cmocka_unit_test(the_first_group_is_told),
    };

    return cmocka_run_group_tests_name("hba_regex", tests, NULL, NULL);
}

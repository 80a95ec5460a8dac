/*
 * What is paused and drained: each change is an epoch, and what was not changed is none.
 */
#include "ipc/holds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct holds *holds;

static int
setup(void **state)
{
    (void)state;
    holds = calloc(1, holds_bytes());
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    free(holds);
    return 0;
}

/* Whether it was new; -1: refused. */
static int
change(const char *text)
{
    struct hold_request r;
    struct err err;
    bool is_new;

    assert_true(hold_request_read(text, &r));
    return holds_change(holds, &r, &is_new, &err) == 0 ? is_new : -1;
}

static void
requests_are_read_as_they_are_written(void **state)
{
    static const char *const texts[] = {"pause",   "pause a b", "resume",    "resume x",
                                        "unpause", "unpause x", "drain 127", "undrain 0"};
    static const char *const wrong[] = {"",        "paus",  "pausex",    "pause ",    "drain",
                                        "drain x", "drain", "drain 1 2", "drain 128", "drain -1"};
    char text[HOLD_TEXT_BYTES];
    struct hold_request r;

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(texts); n++) {
        assert_true(hold_request_read(texts[n], &r));
        hold_request_write(&r, text);
        assert_string_equal(text, texts[n]);
    }
    for (size_t n = 0; n < ARRAY_LEN(wrong); n++)
        assert_false(hold_request_read(wrong[n], &r));
}

static void
all_and_databases_are_paused_by_themselves(void **state)
{
    (void)state;
    assert_false(holds_paused(holds, "a"));
    assert_int_equal(change("pause a"), 1);
    assert_int_equal(change("pause a"), 0);
    assert_int_equal(holds_epoch(holds), 1);
    assert_true(holds_paused(holds, "a"));
    assert_false(holds_paused(holds, "b"));
    assert_int_equal(change("pause"), 1);
    assert_true(holds_paused(holds, "b"));
    assert_int_equal(change("resume b"), -1);
    assert_int_equal(change("unpause"), 1);
    assert_true(holds_paused(holds, "a"));
    assert_int_equal(change("pause b"), 1);
    assert_int_equal(change("pause"), 1);
    assert_int_equal(change("resume"), 1);
    assert_int_equal(change("resume"), 0);
    assert_false(holds_any(holds));
    assert_int_equal(change("resume a"), 0);
    assert_int_equal(holds_epoch(holds), 6);
}

static void
nodes_are_drained(void **state)
{
    int64_t since_us;

    (void)state;
    assert_false(holds_any_drained(holds));
    assert_int_equal(change("drain 127"), 1);
    assert_int_equal(change("drain 127"), 0);
    assert_true(holds_drained(holds, 127, &since_us));
    assert_true(since_us > 0);
    assert_false(holds_drained(holds, 0, NULL));
    assert_false(holds_drained(holds, -1, NULL));
    assert_true(holds_any_drained(holds));
    assert_int_equal(change("resume"), 0);
    assert_int_equal(change("undrain 127"), 1);
    assert_int_equal(change("undrain 127"), 0);
    assert_false(holds_any(holds));
}

static void
reverse_takes_back_what_was_begun(void **state)
{
    static const char *const texts[] = {"pause", "pause a", "drain 3"};
    struct hold_request r;
    bool is_new;
    struct err err;

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(texts); n++) {
        assert_int_equal(change(texts[n]), 1);
        assert_true(hold_request_read(texts[n], &r));
        assert_true(holds_has(holds, &r));
        r = hold_request_reverse(&r);
        assert_int_equal(holds_change(holds, &r, &is_new, &err), 0);
        assert_true(is_new);
        assert_false(holds_any(holds));
    }
}

static void
table_of_databases_is_bounded(void **state)
{
    char text[HOLD_TEXT_BYTES];

    (void)state;
    for (int n = 0; n < HOLDS_DATABASES_MAX; n++) {
        snprintf(text, sizeof(text), "pause db%d", n);
        assert_int_equal(change(text), 1);
    }
    assert_int_equal(change("pause one_more"), -1);
    assert_int_equal(change("resume db7"), 1);
    assert_int_equal(change("pause one_more"), 1);
    assert_true(holds_paused(holds, "one_more"));
    assert_false(holds_paused(holds, "db7"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_are_read_as_they_are_written, setup, teardown),
        cmocka_unit_test_setup_teardown(all_and_databases_are_paused_by_themselves, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(nodes_are_drained, setup, teardown),
        cmocka_unit_test_setup_teardown(reverse_takes_back_what_was_begun, setup, teardown),
        cmocka_unit_test_setup_teardown(table_of_databases_is_bounded, setup, teardown),
    };

    return cmocka_run_group_tests_name("holds", tests, NULL, NULL);
}

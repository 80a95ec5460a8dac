/*
 * The memo that processes share: what is put is found, until its group is dropped.
 */
#include "ipc/memo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct memo *
memo_of(uint32_t entries)
{
    struct memo *m = calloc(1, memo_bytes(entries));

    memo_init(m, entries);
    return m;
}

static struct memo_key
key_of(uint64_t n)
{
    return (struct memo_key){n * 0x9e3779b97f4a7c15ULL, n * 0xc2b2ae3d27d4eb4fULL + 1};
}

static void
finds_what_was_put(void **state)
{
    struct memo *m = memo_of(64);
    uint32_t epoch = memo_epoch(m, 3);
    uint32_t value = 0;

    (void)state;
    assert_false(memo_get(m, key_of(1), epoch, &value));
    memo_put(m, key_of(1), epoch, 77);
    assert_true(memo_get(m, key_of(1), epoch, &value));
    assert_int_equal(value, 77);
    assert_false(memo_get(m, key_of(2), epoch, &value));
    memo_put(m, key_of(1), epoch, 0);
    assert_true(memo_get(m, key_of(1), epoch, &value));
    assert_int_equal(value, 0);
    free(m);
}

static void
forgets_a_dropped_group(void **state)
{
    struct memo *m = memo_of(64);
    uint32_t before = memo_epoch(m, 3);
    uint32_t other = memo_epoch(m, 4);
    uint32_t value;

    (void)state;
    memo_put(m, key_of(1), before, 5);
    memo_put(m, key_of(2), other, 6);
    memo_drop(m, 3);
    assert_int_not_equal(memo_epoch(m, 3), before);
    assert_false(memo_get(m, key_of(1), memo_epoch(m, 3), &value));
    /* what was asked before the drop comes too late */
    memo_put(m, key_of(1), before, 5);
    assert_false(memo_get(m, key_of(1), memo_epoch(m, 3), &value));
    assert_true(memo_get(m, key_of(2), memo_epoch(m, 4), &value));
    memo_drop_all(m);
    assert_false(memo_get(m, key_of(2), memo_epoch(m, 4), &value));
    free(m);
}

/* More than fits: what is found is right, and the newest are found. */
static void
overflows_without_lies(void **state)
{
    struct memo *m = memo_of(128);
    uint32_t epoch = memo_epoch(m, 0);
    uint32_t found = 0;
    uint32_t value;

    (void)state;
    for (uint32_t n = 0; n < 10000; n++) {
        memo_put(m, key_of(n), epoch, n);
        assert_true(memo_get(m, key_of(n), epoch, &value));
        assert_int_equal(value, n);
    }
    for (uint32_t n = 0; n < 10000; n++) {
        if (!memo_get(m, key_of(n), epoch, &value))
            continue;
        assert_int_equal(value, n);
        found++;
    }
    assert_in_range(found, 64, 128);
    free(m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_put),
        cmocka_unit_test(forgets_a_dropped_group),
        cmocka_unit_test(overflows_without_lies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

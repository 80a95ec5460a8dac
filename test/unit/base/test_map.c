/* map.h: put, get, remove, growth, binary keys, walking. */
#include "unit.h"

#include "base/map.h"

#include <stdio.h>
#include <string.h>

static void
empty_map_answers(void **state)
{
    struct map m = {0};

    (void)state;
    assert_null(map_get(&m, "a", 1));
    assert_null(map_remove(&m, "a", 1));
    map_visit(&m, NULL, NULL);
    map_clear(&m, NULL, NULL);
    map_fini(&m);
}

static void
put_replaces_and_remove_returns(void **state)
{
    struct map m = {0};
    int one, two;

    (void)state;
    assert_null(map_put(&m, "key", 3, &one));
    assert_ptr_equal(map_get(&m, "key", 3), &one);
    assert_null(map_get(&m, "ke", 2));
    assert_ptr_equal(map_put(&m, "key", 3, &two), &one);
    assert_int_equal(m.count, 1);
    assert_ptr_equal(map_remove(&m, "key", 3), &two);
    assert_null(map_remove(&m, "key", 3));
    assert_int_equal(m.count, 0);
    map_fini(&m);
}

static void
keys_are_copied_and_may_hold_nul(void **state)
{
    struct map m = {0};
    char key[] = "a\0b";
    int one, two, none;

    (void)state;
    map_put(&m, key, 3, &one);
    map_put(&m, "a\0c", 3, &two);
    map_put(&m, "", 0, &none);
    key[2] = 'x';
    assert_ptr_equal(map_get(&m, "a\0b", 3), &one);
    assert_ptr_equal(map_get(&m, "a\0c", 3), &two);
    assert_ptr_equal(map_get(&m, "", 0), &none);
    map_fini(&m);
}

static void
thousands_of_keys(void **state)
{
    static int values[5000];
    struct map m = {0};
    char key[16];

    (void)state;
    for (int n = 0; n < 5000; n++) {
        snprintf(key, sizeof(key), "key%d", n);
        assert_null(map_put(&m, key, strlen(key), &values[n]));
    }
    for (int n = 0; n < 5000; n += 2) {
        snprintf(key, sizeof(key), "key%d", n);
        assert_ptr_equal(map_remove(&m, key, strlen(key)), &values[n]);
    }
    assert_int_equal(m.count, 2500);
    for (int n = 0; n < 5000; n++) {
        snprintf(key, sizeof(key), "key%d", n);
        assert_ptr_equal(map_get(&m, key, strlen(key)), n % 2 ? &values[n] : NULL);
    }
    map_fini(&m);
}

static bool
sum_until_ten(void *ctx, const void *key, size_t key_len, void *value)
{
    int *left = ctx;

    assert_int_equal(key_len, 1);
    assert_int_equal(*(const char *)key, *(char *)value);
    return --*left > 0;
}

static void
count_drop(void *ctx, void *value)
{
    (void)value;
    ++*(int *)ctx;
}

static void
visit_and_clear_see_every_entry(void **state)
{
    struct map m = {0};
    char letters[20];
    int left = 100;
    int dropped = 0;

    (void)state;
    for (int n = 0; n < 20; n++) {
        letters[n] = (char)('a' + n);
        map_put(&m, &letters[n], 1, &letters[n]);
    }
    map_visit(&m, sum_until_ten, &left);
    assert_int_equal(left, 80);
    left = 10;
    map_visit(&m, sum_until_ten, &left);
    assert_int_equal(left, 0);
    map_clear(&m, count_drop, &dropped);
    assert_int_equal(dropped, 20);
    assert_int_equal(m.count, 0);
    assert_null(map_get(&m, "a", 1));
    map_put(&m, "a", 1, &left);
    assert_ptr_equal(map_get(&m, "a", 1), &left);
    map_fini(&m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_map_answers),
        cmocka_unit_test(put_replaces_and_remove_returns),
        cmocka_unit_test(keys_are_copied_and_may_hold_nul),
        cmocka_unit_test(thousands_of_keys),
        cmocka_unit_test(visit_and_clear_see_every_entry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

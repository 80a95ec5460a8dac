/* slab.h: cleared objects, reuse, many pages. */
#include "unit.h"

#include "base/slab.h"

#include <string.h>

static void
objects_come_cleared_and_are_reused(void **state)
{
    struct slab s;
    char *first;
    char *again;

    (void)state;
    slab_init(&s, 40, 4);
    first = slab_get(&s);
    memset(first, 0xff, 40);
    assert_int_equal(s.used, 1);
    slab_put(&s, first);
    assert_int_equal(s.used, 0);
    again = slab_get(&s);
    assert_ptr_equal(again, first);
    for (int n = 0; n < 40; n++)
        assert_int_equal(again[n], 0);
    slab_fini(&s);
}

static void
many_objects_stand_apart(void **state)
{
    enum { COUNT = 1000 };
    static uint32_t *objects[COUNT];
    struct slab s;

    (void)state;
    slab_init(&s, 24, 7);
    for (uint32_t n = 0; n < COUNT; n++) {
        objects[n] = slab_get(&s);
        assert_int_equal((uintptr_t)objects[n] % 16, 0);
        for (int word = 0; word < 6; word++)
            objects[n][word] = n;
    }
    assert_int_equal(s.used, COUNT);
    for (uint32_t n = 0; n < COUNT; n++) {
        for (int word = 0; word < 6; word++)
            assert_int_equal(objects[n][word], n);
        slab_put(&s, objects[n]);
    }
    assert_int_equal(s.used, 0);
    slab_fini(&s);
}

static void
smallest_sizes(void **state)
{
    struct slab s;
    void *a;
    void *b;

    (void)state;
    slab_init(&s, 1, 0);
    a = slab_get(&s);
    b = slab_get(&s);
    assert_ptr_not_equal(a, b);
    slab_put(&s, a);
    slab_put(&s, b);
    assert_ptr_equal(slab_get(&s), b);
    assert_ptr_equal(slab_get(&s), a);
    slab_fini(&s);
    assert_int_equal(s.used, 0);
}

static void
what_does_not_fit_comes_from_elsewhere(void **state)
{
    struct slab s;
    char *small;
    char *large;

    (void)state;
    slab_init(&s, 32, 4);
    small = slab_get_bytes(&s, 32);
    large = slab_get_bytes(&s, 1000);
    memset(small, 1, 32);
    memset(large, 2, 1000);
    assert_true(s.used <= 1);
    slab_put_bytes(&s, large, 1000);
    slab_put_bytes(&s, small, 32);
    slab_put_bytes(&s, NULL, 32);
    assert_int_equal(s.used, 0);
    slab_fini(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_come_cleared_and_are_reused),
        cmocka_unit_test(many_objects_stand_apart),
        cmocka_unit_test(smallest_sizes),
        cmocka_unit_test(what_does_not_fit_comes_from_elsewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* arena.h: alignment, growth, reuse after a reset. */
#include "unit.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

static void
takes_no_memory_before_the_first_allocation(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, 0);
    assert_null(a.chunks);
    assert_int_equal(a.used_bytes, 0);
    arena_fini(&a);
}

static void
objects_are_aligned_and_apart(void **state)
{
    struct arena a;
    char *before = NULL;

    (void)state;
    arena_init(&a, 256);
    for (size_t size = 0; size < 100; size++) {
        char *p = arena_alloc(&a, size);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        assert_ptr_not_equal(p, before);
        memset(p, 0xaa, size);
        before = p;
    }
    arena_fini(&a);
}

static void
large_object_keeps_the_current_chunk(void **state)
{
    struct arena a;
    char *first;
    char *large;
    char *second;

    (void)state;
    arena_init(&a, 256);
    first = arena_alloc(&a, 16);
    large = arena_alloc(&a, 100000);
    memset(large, 1, 100000);
    second = arena_alloc(&a, 16);
    assert_ptr_equal(second, first + 16);
    arena_fini(&a);
}

static void
reset_keeps_one_usual_chunk(void **state)
{
    struct arena a;
    void *again;

    (void)state;
    arena_init(&a, 256);
    for (int n = 0; n < 50; n++)
        arena_alloc(&a, 100);
    arena_alloc(&a, 5000);
    arena_reset(&a);
    assert_int_equal(a.used_bytes, 0);
    assert_non_null(a.chunks);
    again = arena_alloc(&a, 256); /* a whole chunk fits into the kept one */
    assert_true((char *)again + 256 == a.end);
    assert_ptr_equal(a.at, a.end);
    arena_fini(&a);
}

static void
reset_after_only_large_objects(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, 256);
    arena_alloc(&a, 5000);
    arena_reset(&a);
    assert_null(a.chunks);
    assert_non_null(arena_alloc(&a, 10));
    arena_fini(&a);
}

static void
calloc_clears_reused_memory(void **state)
{
    struct arena a;
    char *p;

    (void)state;
    arena_init(&a, 256);
    memset(arena_alloc(&a, 200), 0xff, 200);
    arena_reset(&a);
    p = arena_calloc(&a, 200);
    for (int n = 0; n < 200; n++)
        assert_int_equal(p[n], 0);
    arena_fini(&a);
}

static void
strings_are_copied(void **state)
{
    struct arena a;
    char text[] = "house";
    char *whole;
    char *part;

    (void)state;
    arena_init(&a, 0);
    whole = arena_strdup(&a, text);
    part = arena_strndup(&a, text, 2);
    text[0] = 'm';
    assert_string_equal(whole, "house");
    assert_string_equal(part, "ho");
    assert_string_equal(arena_strdup(&a, ""), "");
    assert_string_equal(arena_printf(&a, "%s %d", "node", 3), "node 3");
    assert_int_equal(strlen(arena_printf(&a, "%9000s", "x")), 9000);
    arena_fini(&a);
}

static void
x_functions_give_memory(void **state)
{
    char *p = xcalloc(3, 4);
    char *s = xstrdup("tap");

    (void)state;
    for (int n = 0; n < 12; n++)
        assert_int_equal(p[n], 0);
    p = xrealloc(p, 1000);
    memset(p, 1, 1000);
    assert_string_equal(s, "tap");
    p = xrealloc(p, 1);
    assert_int_equal(p[0], 1);
    free(p);
    free(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_no_memory_before_the_first_allocation),
        cmocka_unit_test(objects_are_aligned_and_apart),
        cmocka_unit_test(large_object_keeps_the_current_chunk),
        cmocka_unit_test(reset_keeps_one_usual_chunk),
        cmocka_unit_test(reset_after_only_large_objects),
        cmocka_unit_test(calloc_clears_reused_memory),
        cmocka_unit_test(strings_are_copied),
        cmocka_unit_test(x_functions_give_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

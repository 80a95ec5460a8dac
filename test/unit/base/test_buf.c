/* buf.h: growth, byte order, dropping from the front. */
#include "unit.h"

#include "base/buf.h"

#include <string.h>

static void
empty_owns_nothing(void **state)
{
    struct buf b = BUF_EMPTY;

    (void)state;
    buf_add(&b, NULL, 0);
    assert_null(b.data);
    buf_free(&b);
    assert_string_equal(buf_cstr(&b), "");
    assert_int_equal(b.len, 0);
    buf_free(&b);
    assert_null(b.data);
    assert_int_equal(b.cap, 0);
}

static void
grows_and_keeps_what_it_held(void **state)
{
    struct buf b = BUF_EMPTY;

    (void)state;
    for (unsigned n = 0; n < 100000; n++)
        buf_add_u8(&b, (uint8_t)(n % 251));
    assert_int_equal(b.len, 100000);
    for (unsigned n = 0; n < 100000; n++)
        assert_int_equal(b.data[n], n % 251);
    assert_true(b.cap < 2 * 100000 + 512);
    buf_free(&b);
}

static void
reserve_does_not_change_length(void **state)
{
    struct buf b = BUF_EMPTY;
    uint8_t *at;

    (void)state;
    buf_add_str(&b, "ab");
    at = buf_reserve(&b, 5000);
    assert_int_equal(b.len, 2);
    assert_true(b.cap - b.len >= 5000);
    assert_ptr_equal(at, b.data + 2);
    buf_free(&b);
}

static void
numbers_go_in_network_order(void **state)
{
    static const uint8_t expected[] = {0x01, 0x02, 0x03, 0xfe, 0xdc, 0xba, 0x98};
    struct buf b = BUF_EMPTY;

    (void)state;
    buf_add_u8(&b, 0x01);
    buf_add_u16(&b, 0x0203);
    buf_add_u32(&b, 0xfedcba98);
    assert_int_equal(b.len, sizeof(expected));
    assert_memory_equal(b.data, expected, sizeof(expected));
    buf_free(&b);
}

static void
strings_with_and_without_nul(void **state)
{
    struct buf b = BUF_EMPTY;

    (void)state;
    buf_add_cstr(&b, "ab");
    buf_add_str(&b, "cd");
    assert_int_equal(b.len, 5);
    assert_memory_equal(b.data, "ab\0cd", 5);
    buf_free(&b);
}

static void
printf_appends_without_its_nul(void **state)
{
    struct buf b = BUF_EMPTY;

    (void)state;
    buf_add_str(&b, "node ");
    buf_printf(&b, "%d is %s", 1, "up");
    assert_string_equal(buf_cstr(&b), "node 1 is up");
    assert_int_equal(b.len, 12);
    buf_printf(&b, "%2000s", "");
    assert_int_equal(b.len, 2012);
    buf_free(&b);
}

static void
drop_takes_from_the_front(void **state)
{
    struct buf b = BUF_EMPTY;

    (void)state;
    buf_drop(&b, 0);
    buf_add_str(&b, "abcdef");
    buf_drop(&b, 2);
    assert_string_equal(buf_cstr(&b), "cdef");
    buf_drop(&b, 4);
    assert_int_equal(b.len, 0);
    buf_add_str(&b, "x");
    assert_string_equal(buf_cstr(&b), "x");
    buf_clear(&b);
    assert_string_equal(buf_cstr(&b), "");
    buf_free(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_owns_nothing),
        cmocka_unit_test(grows_and_keeps_what_it_held),
        cmocka_unit_test(reserve_does_not_change_length),
        cmocka_unit_test(numbers_go_in_network_order),
        cmocka_unit_test(strings_with_and_without_nul),
        cmocka_unit_test(printf_appends_without_its_nul),
        cmocka_unit_test(drop_takes_from_the_front),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

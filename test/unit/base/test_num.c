/* num.h: the whole text must be the number, and within its range. */
#include "unit.h"

#include "base/num.h"

static void
signed_64_bits(void **state)
{
    static const char *const bad[] = {"",
                                      " 1",
                                      "1 ",
                                      "+",
                                      "-",
                                      "+-1",
                                      "0x10",
                                      "1.0",
                                      "1e3",
                                      "a",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "\t1"};
    int64_t v = 77;

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(bad); n++)
        assert_false(num_parse_i64(bad[n], &v));
    assert_true(v == 77);
    assert_true(num_parse_i64("0", &v) && v == 0);
    assert_true(num_parse_i64("-0012", &v) && v == -12);
    assert_true(num_parse_i64("+5", &v) && v == 5);
    assert_true(num_parse_i64("9223372036854775807", &v) && v == INT64_MAX);
    assert_true(num_parse_i64("-9223372036854775808", &v) && v == INT64_MIN);
}

static void
unsigned_32_bits(void **state)
{
    uint32_t v = 77;

    (void)state;
    assert_false(num_parse_u32("-1", &v));
    assert_false(num_parse_u32("4294967296", &v));
    assert_false(num_parse_u32("", &v));
    assert_int_equal(v, 77);
    assert_true(num_parse_u32("4294967295", &v));
    assert_int_equal(v, UINT32_MAX);
}

static void
doubles(void **state)
{
    static const char *const bad[] = {"",      " 1",   "1 ",  "nan",  "inf", "-inf",
                                      "1e999", "0x10", "1,5", "1.5x", "."};
    double v = 77;

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(bad); n++)
        assert_false(num_parse_double(bad[n], &v));
    assert_true(v == 77);
    assert_true(num_parse_double("0.5", &v) && v == 0.5);
    assert_true(num_parse_double("-2e3", &v) && v == -2000);
    assert_true(num_parse_double(".25", &v) && v == 0.25);
}

static void
wal_positions(void **state)
{
    static const char *const bad[] = {"",      "/",           "1/",          "/1",  "16B374D848",
                                      "1/2/3", "123456789/0", "0/123456789", "1/G", " 1/2",
                                      "1/2 ",  "-1/2",        "1 /2"};
    uint64_t v = 77;

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(bad); n++)
        assert_false(num_parse_lsn(bad[n], &v));
    assert_true(v == 77);
    assert_true(num_parse_lsn("16/B374D848", &v) && v == UINT64_C(0x16B374D848));
    assert_true(num_parse_lsn("0/0", &v) && v == 0);
    assert_true(num_parse_lsn("ffffffff/FFFFFFFF", &v) && v == UINT64_MAX);
}

static void
network_order(void **state)
{
    uint8_t bytes[4];

    (void)state;
    num_put_u32(bytes, 0xfedcba98);
    assert_int_equal(bytes[0], 0xfe);
    assert_int_equal(bytes[3], 0x98);
    assert_true(num_get_u32(bytes) == 0xfedcba98);
    assert_int_equal(num_get_u16(bytes), 0xfedc);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signed_64_bits), cmocka_unit_test(unsigned_32_bits),
        cmocka_unit_test(doubles),        cmocka_unit_test(wal_positions),
        cmocka_unit_test(network_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

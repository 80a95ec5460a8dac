/* histogram.h: buckets without gaps, one add, sums and quantiles. */
#include "unit.h"

#include "base/histogram.h"

#include <string.h>

static struct histogram h;

static int
clear(void **state)
{
    (void)state;
    memset(&h, 0, sizeof(h));
    return 0;
}

static void
buckets_have_no_gaps(void **state)
{
    uint64_t begin = 0;

    (void)state;
    for (uint32_t n = 0; n < HISTOGRAM_BUCKETS; n++) {
        uint64_t end = histogram_bucket_end(n);

        assert_true(end > begin);
        assert_int_equal(histogram_bucket(begin), n);
        assert_int_equal(histogram_bucket(end - 1), n);
        /* and are as narrow as promised */
        assert_true(end - begin == 1 || (end - begin) * 16 <= begin);
        begin = end;
    }
    assert_int_equal(begin, UINT64_C(1) << HISTOGRAM_TOP_BIT);
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void
powers_of_two_and_their_halves_are_bounds(void **state)
{
    (void)state;
    for (uint64_t bound = 64; bound < UINT64_C(1) << 30; bound *= 2) {
        assert_int_equal(histogram_bucket_end(histogram_bucket(bound) - 1), bound);
        assert_int_equal(histogram_bucket_end(histogram_bucket(bound / 2 * 3) - 1), bound / 2 * 3);
    }
}

static void
odd_values_count_as_the_nearest(void **state)
{
    (void)state;
    histogram_add(&h, -5);
    histogram_add(&h, 999);
    histogram_add(&h, INT64_MAX);
    assert_int_equal(h.counts[0], 2);
    assert_int_equal(h.counts[HISTOGRAM_BUCKETS - 1], 1);
    assert_int_equal(histogram_count(&h), 3);
}

static void
advance_counts_piece_by_piece(void **state)
{
    uint32_t at = 0;

    (void)state;
    for (int64_t us = 0; us < 1000; us++)
        histogram_add(&h, us * 1000);
    assert_int_equal(histogram_advance(&h, &at, 64), 64);
    assert_int_equal(histogram_advance(&h, &at, 64), 0);
    assert_int_equal(histogram_advance(&h, &at, 96), 32);
    assert_int_equal(histogram_advance(&h, &at, 512), 416);
    assert_int_equal(histogram_advance(&h, &at, UINT64_MAX), 488);
    assert_int_equal(at, HISTOGRAM_BUCKETS);
}

static void
assert_near(uint64_t value, uint64_t expected)
{
    assert_in_range(value, expected - expected / 16 - 1, expected + expected / 16 + 1);
}

static void
quantiles_are_within_a_sixteenth(void **state)
{
    (void)state;
    assert_int_equal(histogram_quantile(&h, 500), 0);
    for (int64_t us = 1; us <= 100000; us++)
        histogram_add(&h, us * 1000);
    assert_near(histogram_quantile(&h, 0), 1);
    assert_near(histogram_quantile(&h, 500), 50000);
    assert_near(histogram_quantile(&h, 990), 99000);
    assert_near(histogram_quantile(&h, 1000), 100000);
    assert_int_equal(h.sum_us, UINT64_C(100000) * 100001 / 2);
}

static void
merge_adds(void **state)
{
    struct histogram other = {.sum_us = 7};

    (void)state;
    other.counts[7] = 1;
    histogram_add(&h, 7000);
    histogram_merge(&h, &other);
    assert_int_equal(h.counts[7], 2);
    assert_int_equal(h.sum_us, 14);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(buckets_have_no_gaps, clear),
        cmocka_unit_test_setup(powers_of_two_and_their_halves_are_bounds, clear),
        cmocka_unit_test_setup(odd_values_count_as_the_nearest, clear),
        cmocka_unit_test_setup(advance_counts_piece_by_piece, clear),
        cmocka_unit_test_setup(quantiles_are_within_a_sixteenth, clear),
        cmocka_unit_test_setup(merge_adds, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Freshness: what pairs of moments and positions prove, and where headers of WAL pages stand.
 */
#include "cluster/fresh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MB (1024 * 1024ULL)

static void
header_of_a_page_is_taken_off(void **state)
{
    (void)state;
    assert_int_equal(cluster_fresh_target(16 * MB + 8192 + 24, 0, 0), 16 * MB + 8192);
    assert_int_equal(cluster_fresh_target(16 * MB + 40, 0, 0), 16 * MB);
    assert_int_equal(cluster_fresh_target(16 * MB + 8192 + 40, 0, 0), 16 * MB + 8192 + 40);
    assert_int_equal(cluster_fresh_target(16 * MB + 24, 0, 0), 16 * MB + 24);
    assert_int_equal(cluster_fresh_target(16 * MB + 8192, 0, 0), 16 * MB + 8192);
    assert_int_equal(cluster_fresh_target(16 * MB + 8192 + 32, 0, 0), 16 * MB + 8192 + 32);
}

static void
header_follows_the_servers_sizes(void **state)
{
    (void)state;
    assert_int_equal(cluster_fresh_target(MB + 40, 8192, MB), MB);
    assert_int_equal(cluster_fresh_target(MB + 40, 8192, 4 * MB), MB + 40);
    assert_int_equal(cluster_fresh_target(MB + 24, 8192, 4 * MB), MB);
    assert_int_equal(cluster_fresh_target(MB + 8192 + 24, 65536, MB), MB + 8192 + 24);
    assert_int_equal(cluster_fresh_target(MB + 65536 + 24, 65536, MB), MB + 65536);
}

static void
nothing_is_proved_without_pairs(void **state)
{
    struct cluster_fresh history = {0};

    (void)state;
    assert_int_equal(cluster_fresh_as_of(&history, UINT64_MAX), 0);
    assert_int_equal(cluster_fresh_delay_bytes(&history, 0), 0);
    assert_int_equal(cluster_fresh_delay_us(&history, 0, 1), 0);
}

static void
standby_is_judged_by_older_pairs_while_behind(void **state)
{
    struct cluster_fresh history = {0};

    (void)state;
    cluster_fresh_note(&history, 1000, 100);
    cluster_fresh_note(&history, 2000, 200);
    cluster_fresh_note(&history, 3000, 300);
    assert_int_equal(cluster_fresh_as_of(&history, 99), 0);
    assert_int_equal(cluster_fresh_as_of(&history, 100), 1000);
    assert_int_equal(cluster_fresh_as_of(&history, 299), 2000);
    assert_int_equal(cluster_fresh_as_of(&history, 300), 3000);
    assert_int_equal(cluster_fresh_as_of(&history, 5000), 3000);
    assert_int_equal(cluster_fresh_delay_bytes(&history, 120), 180);
    assert_int_equal(cluster_fresh_delay_bytes(&history, 300), 0);
    assert_int_equal(cluster_fresh_delay_us(&history, 120, 9000), 7);
    assert_int_equal(cluster_fresh_delay_us(&history, 50, 9000), 8);
    assert_int_equal(cluster_fresh_delay_us(&history, 300, 9000), 0);
}

static void
idle_primary_moves_the_newest_pair_on(void **state)
{
    struct cluster_fresh history = {0};

    (void)state;
    cluster_fresh_note(&history, 1000, 100);
    cluster_fresh_note(&history, 2000, 100);
    cluster_fresh_note(&history, 3000, 100);
    assert_int_equal(history.count, 1);
    assert_int_equal(cluster_fresh_as_of(&history, 100), 3000);
    assert_int_equal(cluster_fresh_as_of(&history, 99), 0);
}

/* It wrote once, and nobody writes any more: who has not replayed that stays behind. */
static void
delay_grows_while_the_primary_is_idle(void **state)
{
    struct cluster_fresh history = {0};

    (void)state;
    cluster_fresh_note(&history, 1000000, 100);
    cluster_fresh_note(&history, 2000000, 200);
    for (int64_t at = 3; at <= 9; at++)
        cluster_fresh_note(&history, at * 1000000, 200);
    assert_int_equal(cluster_fresh_delay_us(&history, 100, 9000000), 7000);
    assert_int_equal(cluster_fresh_as_of(&history, 200), 9000000);
    assert_int_equal(cluster_fresh_delay_us(&history, 200, 9000000), 0);
}

static void
pairs_never_go_back(void **state)
{
    struct cluster_fresh history = {0};

    (void)state;
    cluster_fresh_note(&history, 2000, 200);
    cluster_fresh_note(&history, 1000, 300);
    cluster_fresh_note(&history, 3000, 100);
    cluster_fresh_note(&history, 2000, 200);
    assert_int_equal(history.count, 1);
    assert_int_equal(cluster_fresh_as_of(&history, 1000), 2000);
}

/* However many pairs come, an answer is never later than the truth, the newest is exact, and the
 * memory of the past reaches far back. */
static void
long_history_stays_true(void **state)
{
    struct cluster_fresh history = {0};
    int64_t previous = 0;

    (void)state;
    for (int64_t at = 1; at <= 100000; at++)
        cluster_fresh_note(&history, at * 1000, (uint64_t)at * 10);
    assert_true(history.count <= CLUSTER_FRESH_PAIRS);
    assert_int_equal(cluster_fresh_as_of(&history, 1000000), 100000000);
    for (uint64_t replayed = 0; replayed <= 1000000; replayed += 5) {
        int64_t as_of = cluster_fresh_as_of(&history, replayed);

        assert_true(as_of <= (int64_t)(replayed / 10) * 1000);
        assert_true(as_of >= previous);
        previous = as_of;
    }
    assert_in_range(cluster_fresh_as_of(&history, 999900), 99000000, 99990000);
    assert_in_range(cluster_fresh_as_of(&history, 500000), 25000000, 50000000);
    assert_in_range(cluster_fresh_as_of(&history, 1000), 1000, 100000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_of_a_page_is_taken_off),
        cmocka_unit_test(header_follows_the_servers_sizes),
        cmocka_unit_test(nothing_is_proved_without_pairs),
        cmocka_unit_test(standby_is_judged_by_older_pairs_while_behind),
        cmocka_unit_test(idle_primary_moves_the_newest_pair_on),
        cmocka_unit_test(delay_grows_while_the_primary_is_idle),
        cmocka_unit_test(pairs_never_go_back),
        cmocka_unit_test(long_history_stays_true),
    };

    return cmocka_run_group_tests_name("fresh", tests, NULL, NULL);
}

/* delay.h: when a standby's delay is logged, and in which unit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/delay.h"
#include "config/config.h"

#include <stdlib.h>

static struct config *cfg;

static int
start(void **state)
{
    (void)state;
    cfg = calloc(1, sizeof(*cfg));
    cfg->log_standby_delay = CONFIG_STANDBY_DELAY_IF_OVER;
    return 0;
}

static int
finish(void **state)
{
    (void)state;
    free(cfg);
    return 0;
}

static bool
logged(uint64_t bytes, int64_t us)
{
    const struct node_freshness node = {.delay_bytes = bytes, .delay_us = us};

    return cluster_delay_is_logged(cfg, &node);
}

static void
over_a_threshold_only(void **state)
{
    (void)state;
    assert_false(logged(UINT64_MAX, INT64_MAX)); /* there is none */
    cfg->delay_threshold_bytes = 1000;
    assert_false(logged(1000, 9000000));
    assert_true(logged(1001, 0));
    cfg->delay_threshold_by_time_ms = 20;
    assert_false(logged(1001, 20000));
    assert_true(logged(0, 20001));
}

static void
always_is_whenever_there_is_a_delay(void **state)
{
    (void)state;
    cfg->log_standby_delay = CONFIG_STANDBY_DELAY_ALWAYS;
    assert_false(logged(0, 5000000));
    assert_true(logged(1, 0));
    cfg->delay_threshold_by_time_ms = 20000;
    assert_false(logged(1, 999));
    assert_true(logged(1, 1000));
}

static void
none_is_never(void **state)
{
    (void)state;
    cfg->log_standby_delay = CONFIG_STANDBY_DELAY_NONE;
    cfg->delay_threshold_bytes = 1;
    assert_false(logged(UINT64_MAX, INT64_MAX));
}

static void
the_unit_is_the_threshold_s(void **state)
{
    const struct node_freshness node = {.delay_bytes = 4096, .delay_us = 1234567};
    char text[CLUSTER_DELAY_BYTES];

    (void)state;
    assert_string_equal(cluster_delay_text(cfg, &node, text), "4096 bytes");
    cfg->delay_threshold_by_time_ms = 1;
    assert_string_equal(cluster_delay_text(cfg, &node, text), "1234 ms");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, finish)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(over_a_threshold_only),
        TEST(always_is_whenever_there_is_a_delay),
        TEST(none_is_never),
        TEST(the_unit_is_the_threshold_s),
    };

    return cmocka_run_group_tests_name("delay", tests, NULL, NULL);
}

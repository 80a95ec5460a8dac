/* health.h: what is death and what is not. A number is the fault's in the catalogue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/health.h"

#include <string.h>

static struct health h;
static struct health_config cfg;
static int64_t now_ns;

static int
start(void **state)
{
    (void)state;
    memset(&h, 0, sizeof(h));
    cfg = (struct health_config){
        .period_ns = 1000 * NS_PER_MS,
        .max_retries = 2,
        .retry_delay_ns = 300 * NS_PER_MS,
        .recovery_grace_ns = 60 * NS_PER_S,
        .shutdown_grace_ns = 10 * NS_PER_S,
    };
    now_ns = 500 * NS_PER_S;
    return 0;
}

static bool
probe_answered(const struct health_answer *answer)
{
    struct health_probe probe = {.outcome = HEALTH_OK,
                                 .began_ns = now_ns,
                                 .ended_ns = now_ns + 1000000,
                                 .ended_at_us = now_ns / 1000,
                                 .answer = *answer};

    now_ns += NS_PER_MS;
    return health_probe_ended(&h, &cfg, &probe);
}

static bool
ok(void)
{
    return probe_answered(&(struct health_answer){.timeline = 1, .system_identifier = 7});
}

static bool
outcome(enum health_outcome what)
{
    struct health_probe probe = {.outcome = what,
                                 .began_ns = now_ns,
                                 .ended_ns = now_ns + 2000000,
                                 .ended_at_us = now_ns / 1000,
                                 .error = "it said something"};

    now_ns += 2 * NS_PER_MS;
    return health_probe_ended(&h, &cfg, &probe);
}

static void
pass(int64_t ms)
{
    now_ns += ms * NS_PER_MS;
}

static void
assert_verdict(enum health_verdict verdict)
{
    assert_string_equal(health_verdict_name(h.fact.verdict), health_verdict_name(verdict));
}

static int64_t
next_ms(void)
{
    return (health_next_ns(&h, &cfg) - now_ns) / NS_PER_MS;
}

static void
nothing_is_known_at_first(void **state)
{
    (void)state;
    assert_verdict(HEALTH_UNKNOWN);
    assert_true(health_next_ns(&h, &cfg) <= now_ns);
    cfg.period_ns = 0;
    assert_true(health_next_ns(&h, &cfg) == INT64_MAX);
    health_report(&h);
    assert_true(health_next_ns(&h, &cfg) <= now_ns);
    assert_string_equal(health_verdict_name((enum health_verdict)99), "unknown");
}

static void
answer_is_told_once(void **state)
{
    (void)state;
    assert_true(ok());
    assert_verdict(HEALTH_ALIVE);
    assert_true(h.fact.answered);
    assert_int_equal(h.fact.answer.system_identifier, 7);
    assert_string_equal(h.fact.reason, "");
    assert_int_equal(next_ms(), 999);
    pass(999);
    assert_false(ok());
    assert_true(probe_answered(&(struct health_answer){.timeline = 2, .system_identifier = 7}));
    assert_true(probe_answered(&(struct health_answer){.timeline = 2, .system_identifier = 8}));
    assert_true(probe_answered(
        &(struct health_answer){.in_recovery = true, .timeline = 2, .system_identifier = 8}));
}

/* 1, 2 */
static void
refused_twice_is_death(void **state)
{
    (void)state;
    ok();
    assert_true(outcome(HEALTH_RESET));
    assert_verdict(HEALTH_SUSPECT);
    assert_string_equal(h.fact.reason, "it said something");
    assert_int_equal(next_ms(), 100);
    pass(50); /* a child has reported meanwhile */
    assert_false(outcome(HEALTH_REFUSED));
    assert_verdict(HEALTH_SUSPECT);
    pass(50);
    assert_true(outcome(HEALTH_REFUSED));
    assert_verdict(HEALTH_DEAD);
    assert_int_equal(next_ms(), 998);
    pass(998);
    assert_false(outcome(HEALTH_REFUSED));
    assert_true(ok());
    assert_verdict(HEALTH_ALIVE);
}

static void
answer_clears_all_suspicion(void **state)
{
    (void)state;
    ok();
    outcome(HEALTH_REFUSED);
    pass(100);
    ok();
    outcome(HEALTH_REFUSED);
    assert_verdict(HEALTH_SUSPECT);
}

/* 4: SIGSTOP */
static void
silence_counts_by_retries(void **state)
{
    (void)state;
    ok();
    outcome(HEALTH_TIMEOUT);
    assert_verdict(HEALTH_SUSPECT);
    assert_int_equal(next_ms(), 300);
    pass(300);
    outcome(HEALTH_TIMEOUT);
    assert_verdict(HEALTH_SUSPECT);
    pass(300);
    assert_true(outcome(HEALTH_TIMEOUT));
    assert_verdict(HEALTH_DEAD);
}

static void
polling_fast_does_not_kill(void **state)
{
    (void)state;
    ok();
    health_hurry(&h, 20 * NS_PER_MS, now_ns + 10 * NS_PER_S);
    for (int at = 0; at < 10; at++) {
        assert_true(outcome(HEALTH_TIMEOUT)); /* and each is told */
        assert_int_equal(next_ms(), 18);
        pass(18);
    }
    assert_verdict(HEALTH_SUSPECT);
    assert_int_equal(h.failures, 1);
}

static void
hurry_ends(void **state)
{
    (void)state;
    ok();
    health_hurry(&h, 0, now_ns + 10 * NS_PER_MS);
    assert_int_equal(next_ms(), 9);
    pass(20);
    assert_false(ok());
    assert_int_equal(next_ms(), 999);
}

static void
nonsense_counts_by_retries(void **state)
{
    (void)state;
    cfg.max_retries = 0;
    ok();
    outcome(HEALTH_NONSENSE);
    assert_verdict(HEALTH_DEAD);
}

/* Without retries one refusal is still none. */
static void
one_refusal_never_kills(void **state)
{
    (void)state;
    cfg.max_retries = 0;
    ok();
    outcome(HEALTH_REFUSED);
    assert_verdict(HEALTH_SUSPECT);
}

/* 3, 12 */
static void
recovery_has_its_grace(void **state)
{
    (void)state;
    ok();
    assert_true(outcome(HEALTH_STARTING));
    assert_verdict(HEALTH_RECOVERING);
    assert_int_equal(next_ms(), 100);
    pass(59000);
    assert_false(outcome(HEALTH_STARTING));
    pass(1000);
    assert_true(outcome(HEALTH_STARTING));
    assert_verdict(HEALTH_DEAD);
    assert_false(outcome(HEALTH_STARTING));
    ok();
    assert_verdict(HEALTH_ALIVE);
    cfg.recovery_grace_ns = 0;
    outcome(HEALTH_STARTING);
    assert_verdict(HEALTH_DEAD);
}

/* 9: it panics, starts, panics */
static void
crash_loop_ends(void **state)
{
    (void)state;
    ok();
    for (int at = 0; at < 59; at++) {
        outcome(HEALTH_STARTING);
        outcome(HEALTH_RESET);
        assert_int_not_equal(h.fact.verdict, HEALTH_DEAD);
        pass(1000);
    }
    pass(1000);
    outcome(HEALTH_STARTING);
    assert_verdict(HEALTH_DEAD);
}

/* 15, 17 */
static void
planned_restart_is_no_death(void **state)
{
    (void)state;
    ok();
    outcome(HEALTH_TERMINATED);
    assert_verdict(HEALTH_SUSPECT);
    assert_int_equal(next_ms(), 8);
    outcome(HEALTH_SHUTTING_DOWN);
    assert_verdict(HEALTH_RECOVERING);
    for (int at = 0; at < 20; at++) {
        pass(100);
        outcome(HEALTH_REFUSED);
        assert_verdict(HEALTH_RECOVERING);
    }
    outcome(HEALTH_STARTING);
    assert_verdict(HEALTH_RECOVERING);
    ok();
    assert_verdict(HEALTH_ALIVE);
    outcome(HEALTH_REFUSED); /* that grace is over */
    pass(100);
    outcome(HEALTH_REFUSED);
    assert_verdict(HEALTH_DEAD);
}

static void
shutdown_without_a_start_is_death(void **state)
{
    (void)state;
    ok();
    outcome(HEALTH_SHUTTING_DOWN);
    pass(10000);
    outcome(HEALTH_REFUSED);
    pass(100);
    outcome(HEALTH_REFUSED);
    assert_verdict(HEALTH_DEAD);
    ok();
    cfg.shutdown_grace_ns = 0; /* failover_on_backend_shutdown */
    outcome(HEALTH_SHUTTING_DOWN);
    assert_verdict(HEALTH_DEAD);
}

/* 15: the words "shutting down" may be missed: it closes its port soon */
static void
refused_after_57P01_is_a_shutdown(void **state)
{
    (void)state;
    ok();
    outcome(HEALTH_TERMINATED);
    outcome(HEALTH_REFUSED);
    assert_verdict(HEALTH_RECOVERING);
    pass(9900);
    outcome(HEALTH_REFUSED);
    assert_verdict(HEALTH_RECOVERING);
    pass(100);
    outcome(HEALTH_REFUSED);
    pass(100);
    outcome(HEALTH_REFUSED);
    assert_verdict(HEALTH_DEAD);
    ok();
    outcome(HEALTH_REFUSED);
    assert_verdict(HEALTH_SUSPECT);
    pass(100);
    outcome(HEALTH_REFUSED);
    assert_verdict(HEALTH_DEAD);
}

/* 1, 15: between two probes */
static void
lost_connection_is_a_question(void **state)
{
    (void)state;
    ok();
    health_lost(&h, false, now_ns);
    assert_verdict(HEALTH_ALIVE);
    assert_int_equal(next_ms(), 9);
    outcome(HEALTH_REFUSED);
    pass(100);
    outcome(HEALTH_REFUSED);
    assert_verdict(HEALTH_DEAD);
    ok();
    health_lost(&h, true, now_ns);
    assert_int_equal(next_ms(), 9);
    outcome(HEALTH_REFUSED);
    pass(100);
    outcome(HEALTH_REFUSED);
    assert_verdict(HEALTH_RECOVERING);
    cfg.shutdown_grace_ns = 0;
    ok();
    health_lost(&h, true, now_ns);
    outcome(HEALTH_REFUSED);
    pass(100);
    outcome(HEALTH_REFUSED);
    assert_verdict(HEALTH_DEAD);
}

/* 11, 16: a child's error is a question */
static void
report_is_no_verdict(void **state)
{
    (void)state;
    ok();
    for (int at = 0; at < 1000; at++)
        health_report(&h);
    assert_verdict(HEALTH_ALIVE);
    assert_int_equal(next_ms(), 9);
    pass(9);
    assert_false(ok());
    assert_int_equal(next_ms(), 999);
}

static void
somebody_ends_our_connection(void **state)
{
    (void)state;
    ok();
    outcome(HEALTH_TERMINATED);
    pass(8);
    ok();
    assert_verdict(HEALTH_ALIVE);
}

/* 13 */
static void
too_many_is_alive(void **state)
{
    (void)state;
    ok();
    outcome(HEALTH_REFUSED);
    outcome(HEALTH_TOO_MANY);
    assert_verdict(HEALTH_ALIVE);
    assert_false(h.fact.answered);
    assert_false(h.fact.misconfigured);
}

/* 14, 29 */
static void
configuration_is_an_alarm(void **state)
{
    (void)state;
    ok();
    assert_true(outcome(HEALTH_REJECTED));
    assert_true(h.fact.misconfigured);
    for (int at = 0; at < 1000; at++) {
        pass(1000);
        assert_false(outcome(HEALTH_REJECTED));
    }
    assert_verdict(HEALTH_ALIVE);
    for (int at = 0; at < 1000; at++) {
        pass(1000);
        outcome(HEALTH_UNRESOLVED);
    }
    assert_verdict(HEALTH_ALIVE);
    assert_int_equal(next_ms(), 998);
    assert_true(ok());
    assert_false(h.fact.misconfigured);
}

static void
without_a_period_only_when_asked(void **state)
{
    (void)state;
    cfg.period_ns = 0;
    health_report(&h);
    ok();
    assert_true(health_next_ns(&h, &cfg) == INT64_MAX);
    health_report(&h);
    assert_int_equal(next_ms(), 9);
}

static void
checks_are_counted(void **state)
{
    const struct health_stats *stats = &h.stats;

    (void)state;
    assert_true(health_average_retries(stats) == 0);
    assert_int_equal(health_average_duration_us(stats), 0);
    ok();
    outcome(HEALTH_TIMEOUT);
    pass(300);
    outcome(HEALTH_TIMEOUT);
    ok(); /* one check with two retries */
    outcome(HEALTH_REFUSED);
    pass(100);
    outcome(HEALTH_REFUSED); /* one with one, failed */
    pass(1000);
    outcome(HEALTH_REFUSED); /* and one more */
    outcome(HEALTH_UNRESOLVED);
    health_skipped(&h, 4711);
    assert_int_equal(stats->total_count, 5);
    assert_int_equal(stats->success_count, 2);
    assert_int_equal(stats->fail_count, 3);
    assert_int_equal(stats->skip_count, 1);
    assert_int_equal(stats->retry_count, 3);
    assert_int_equal(stats->max_retry_count, 2);
    assert_int_equal(stats->min_duration_us, 1000);
    assert_int_equal(stats->max_duration_us, 2000);
    assert_int_equal(health_average_duration_us(stats), 14000 / 8);
    assert_true(health_average_retries(stats) == 0.6);
    assert_int_equal(stats->last_skip_us, 4711);
    assert_true(stats->last_failed_us > stats->last_successful_us);
    assert_int_equal(stats->last_health_check_us, stats->last_failed_us);
}

#define TEST(name) cmocka_unit_test_setup(name, start)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_known_at_first),
        TEST(answer_is_told_once),
        TEST(refused_twice_is_death),
        TEST(answer_clears_all_suspicion),
        TEST(silence_counts_by_retries),
        TEST(polling_fast_does_not_kill),
        TEST(hurry_ends),
        TEST(nonsense_counts_by_retries),
        TEST(one_refusal_never_kills),
        TEST(recovery_has_its_grace),
        TEST(crash_loop_ends),
        TEST(planned_restart_is_no_death),
        TEST(shutdown_without_a_start_is_death),
        TEST(refused_after_57P01_is_a_shutdown),
        TEST(lost_connection_is_a_question),
        TEST(report_is_no_verdict),
        TEST(somebody_ends_our_connection),
        TEST(too_many_is_alive),
        TEST(configuration_is_an_alarm),
        TEST(without_a_period_only_when_asked),
        TEST(checks_are_counted),
    };

    return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}

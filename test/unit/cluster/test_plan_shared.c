/*
 * The failover plan with several pgpools: epochs with one candidate each, fences that are waited
 * for by everybody who goes on, and nodes that may not be promoted yet.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "drive.h"

static int
set(void **state)
{
    stage_set(state);
    stage->config.shared = true;
    stage->config.may_promote = (struct cluster_set){{UINT64_MAX}};
    return 0;
}

static void
lose_primary(void)
{
    stage_verdict(0, HEALTH_DEAD);
    stage_fenced();
}

static void
answer_all(uint64_t lsn_1, uint64_t lsn_2)
{
    stage_pass(1);
    stage_standby(1, 1, lsn_1);
    stage_standby(2, 1, lsn_2);
}

static void
second_candidate_has_an_epoch_of_its_own(void **state)
{
    uint64_t epoch;

    (void)state;
    lose_primary();
    answer_all(200, 100);
    epoch = stage->plan.epoch;
    assert_int_equal(stage->plan.operation.candidate_id, 1);
    stage_verdict(1, HEALTH_DEAD);
    assert_int_equal(stage->plan.epoch, epoch + 1);
    assert_int_equal(stage->plan.operation.phase, PLAN_FENCING);
    stage_standby(2, 1, 100);
    assert_int_equal(stage->plan.operation.candidate_id, -1);
    stage_fenced();
    stage_pass(1);
    stage_standby(2, 1, 100);
    assert_int_equal(stage->plan.operation.candidate_id, 2);
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 2));
    assert_int_equal(stage->plan.epoch, epoch + 1);
}

static void
who_goes_on_tells_the_same_candidate_and_publishes_behind_the_fence(void **state)
{
    (void)state;
    lose_primary();
    answer_all(200, 100);
    stage_resume();
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 1));
    stage_pass(1);
    stage_primary(1, 2, 210);
    assert_int_equal(stage->plan.primary_id, -1);
    stage_pass(60000);
    assert_int_equal(stage->plan.primary_id, -1);
    stage_fenced();
    assert_int_equal(stage->plan.primary_id, 1);
}

static void
nobody_is_chosen_before_the_fence_was_told_here(void **state)
{
    (void)state;
    lose_primary();
    stage_resume();
    answer_all(200, 100);
    assert_int_equal(stage->plan.operation.phase, PLAN_CHOOSING);
    assert_int_equal(plan_next_ns(&stage->plan, &stage->config), INT64_MAX);
    stage_fenced();
    assert_int_equal(stage->plan.operation.candidate_id, 1);
}

static void
barred_node_with_more_is_waited_for(void **state)
{
    (void)state;
    stage->config.may_promote.bits[0] = 4;
    lose_primary();
    answer_all(200, 100);
    assert_int_equal(stage->plan.operation.candidate_id, -1);
    stage_pass(2001); /* candidate_wait */
    assert_int_equal(stage->plan.operation.candidate_id, 2);
}

static void
barred_node_with_more_is_not_left_out_of_synchronous_ones(void **state)
{
    (void)state;
    stage_sync(true, 1);
    stage->config.may_promote.bits[0] = 4;
    lose_primary();
    answer_all(200, 100);
    for (int n = 0; n < 5; n++)
        stage_pass(2001);
    assert_int_equal(stage->plan.operation.candidate_id, -1);
    stage->config.may_promote.bits[0] = 6;
    answer_all(200, 100);
    stage_pass(2001); /* whoever comes back now may have more */
    assert_int_equal(stage->plan.operation.candidate_id, 1);
}

static void
barred_node_with_as_much_is_not_waited_for(void **state)
{
    (void)state;
    stage->config.may_promote.bits[0] = 4;
    lose_primary();
    answer_all(200, 200);
    assert_int_equal(stage->plan.operation.candidate_id, 2);
}

static void
standbys_follow_again_when_the_old_primary_remains(void **state)
{
    (void)state;
    lose_primary();
    stage_primary(0, 1, 300);
    stage_pass(1);
    stage_primary(0, 1, 300);
    assert_int_equal(stage->plan.primary_id, 0);
    assert_true(stage->plan.nodes[1].job == PLAN_JOB_FOLLOW || stage->plan.nodes[1].must_follow);
    assert_true(stage->plan.nodes[2].job == PLAN_JOB_FOLLOW || stage->plan.nodes[2].must_follow);
    assert_false(stage->plan.nodes[0].must_follow);
}

static void
fence_command_helps_a_fence_that_does_not_come(void **state)
{
    const struct plan_step *step;

    (void)state;
    stage->config.fence_command = true;
    stage_verdict(0, HEALTH_DEAD);
    assert_null(stage_step(PLAN_DO_FENCE_COMMAND, 0));
    stage_pass(501);
    step = stage_step(PLAN_DO_FENCE_COMMAND, 0);
    assert_non_null(step);
    assert_int_equal(step->serial, 0);
    stage_fenced();
    step = stage_step(PLAN_DO_FENCE_COMMAND, 0);
    assert_non_null(step);
    assert_int_not_equal(step->serial, 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set)
    const struct CMUnitTest tests[] = {
        TEST(second_candidate_has_an_epoch_of_its_own),
        TEST(who_goes_on_tells_the_same_candidate_and_publishes_behind_the_fence),
        TEST(nobody_is_chosen_before_the_fence_was_told_here),
        TEST(barred_node_with_more_is_waited_for),
        TEST(barred_node_with_more_is_not_left_out_of_synchronous_ones),
        TEST(barred_node_with_as_much_is_not_waited_for),
        TEST(standbys_follow_again_when_the_old_primary_remains),
        TEST(fence_command_helps_a_fence_that_does_not_come),
    };

    return cmocka_run_group_tests_name("plan_shared", tests, NULL, NULL);
}

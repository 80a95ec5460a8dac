/* plan.h: what others do to the cluster: promotions and demotions that we have not asked for, and
 * histories that contradict each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "drive.h"

static void
assert_phase(enum plan_phase phase)
{
    assert_string_equal(plan_phase_name(stage->plan.operation.phase), plan_phase_name(phase));
}

static void
assert_state(int node_id, enum node_state state)
{
    assert_string_equal(node_state_info(stage_state(node_id))->name, node_state_info(state)->name);
}

/* No writes anywhere: a failover has begun and not ended. */
static void
assert_fenced(void)
{
    for (int node_id = 0; node_id < 3; node_id++)
        assert_false(plan_may_write(&stage->plan, node_id));
}

/* Somebody else manages the cluster: who was promoted by him is taken. */
static void
foreign_promotion_is_adopted(void **state)
{
    (void)state;
    stage->config.nodes[0].allow_failover = false;
    stage_verdict(0, HEALTH_DEAD);
    stage_primary(1, 2, 2000);
    assert_phase(PLAN_FENCING);
    assert_fenced();
    stage_fenced();
    assert_int_equal(stage->plan.primary_id, 1);
    assert_int_equal(stage->plan.epoch, 2);
    assert_state(1, NODE_UP);
}

/* ... seen before the old one's death is certain */
static void
foreign_promotion_is_no_rogue_at_once(void **state)
{
    (void)state;
    stage_verdict(0, HEALTH_SUSPECT);
    stage_primary(1, 2, 2000);
    assert_state(1, NODE_QUARANTINED);
    stage_verdict(0, HEALTH_DEAD);
    stage_fenced();
    assert_int_equal(stage->plan.primary_id, 1);
}

static void
promotion_beside_a_primary_is_rogue(void **state)
{
    (void)state;
    stage_primary(1, 2, 2000);
    assert_state(1, NODE_QUARANTINED);
    stage_primary(0, 1, 2000);
    assert_state(1, NODE_ROGUE);
    assert_int_equal(stage->plan.primary_id, 0);
    stage_verdict(0, HEALTH_DEAD); /* what was written to node 0 meanwhile is not there */
    stage_fenced();
    stage_primary(1, 2, 2000);
    assert_phase(PLAN_CHOOSING);
    assert_int_equal(stage->plan.primary_id, -1);
}

static void
foreign_promotions_that_contradict_are_none(void **state)
{
    (void)state;
    stage_verdict(0, HEALTH_DEAD);
    stage_primary(1, 2, 2000);
    stage_primary(2, 2, 2000);
    stage_fenced();
    stage_pass(2100);
    assert_non_null(stage_told(NODE_EVENT_PRIMARY_IN_DOUBT));
    assert_int_equal(stage->plan.primary_id, -1);
    stage_pass(1100);
    assert_null(stage_told(NODE_EVENT_PRIMARY_IN_DOUBT));
    stage_command(PLAN_PROMOTE, 2);
    stage_primary(2, 2, 2000);
    assert_int_equal(stage->plan.primary_id, 2);
    assert_state(1, NODE_ROGUE);
}

/* Nobody has ever seen node 2 stream: its timeline may be another one of the same number. */
static void
proven_history_comes_first(void **state)
{
    (void)state;
    stage->plan.nodes[2].proven = false;
    stage->plan.nodes[2].stream = PLAN_STREAM_UNKNOWN;
    stage_verdict(0, HEALTH_DEAD);
    stage_fenced();
    stage_standby(2, 1, 9000);
    stage_standby(1, 1, 1000);
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 1));
}

static void
standby_that_does_not_stream_is_put_aside(void **state)
{
    (void)state;
    stage_streams(2, PLAN_STREAM_NO);
    stage_pass(3900);
    assert_state(2, NODE_UP);
    assert_null(stage_step(PLAN_DO_FOLLOW, 2));
    stage_pass(200);
    assert_non_null(stage_step(PLAN_DO_FOLLOW, 2));
    for (int attempt = 0; attempt < 3; attempt++) {
        stage_end(PLAN_DO_FOLLOW, 2, PLAN_FAILED);
        stage_pass(1100);
    }
    assert_state(2, NODE_QUARANTINED);
}

static void
primary_that_has_become_a_standby_is_lost(void **state)
{
    (void)state;
    stage_standby(0, 1, 3000);
    assert_phase(PLAN_FENCING);
    stage_fenced();
    stage_standby(0, 1, 3000);
    stage_standby(1, 1, 2000);
    stage_standby(2, 1, 2000);
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 0)); /* it has most */
    stage_primary(0, 2, 3000);
    assert_int_equal(stage->plan.primary_id, 0);
    assert_state(0, NODE_UP);
}

static void
primary_with_another_history_is_lost(void **state)
{
    (void)state;
    stage_foreign(0, false);
    assert_state(0, NODE_ROGUE);
    assert_phase(PLAN_FENCING);
    stage_fenced();
    stage_standby(1, 1, 1000);
    stage_standby(2, 1, 1000);
    assert_phase(PLAN_PROMOTING);
}

static void
primary_that_was_promoted_again_is_kept(void **state)
{
    (void)state;
    stage_primary(0, 3, 1000);
    assert_int_equal(stage->plan.primary_id, 0);
    assert_int_equal(stage->plan.timeline, 3);
    assert_state(0, NODE_UP);
    stage_standby(1, 1, 1000);
    assert_null(stage_step(PLAN_DO_FOLLOW, 1)); /* it may come after by itself */
    stage_pass(1000);
    assert_non_null(stage_step(PLAN_DO_FOLLOW, 1));
    stage_primary(0, 2, 1000); /* an old backup */
    assert_state(0, NODE_ROGUE);
    assert_phase(PLAN_FENCING);
}

/* An older primary is no candidate, whatever happened to it meanwhile. */
static void
replaced_primary_is_not_adopted(void **state)
{
    (void)state;
    stage_failover_to(1);
    stage_primary(1, 2, 2000);
    stage_primary(0, 1, 2000);
    stage_command(PLAN_PROMOTE, 0); /* a person takes the older one */
    stage_fenced();
    stage_primary(0, 1, 2000);
    assert_int_equal(stage->plan.primary_id, 0);
    stage_command(PLAN_DETACH, 1);
    stage_verdict(0, HEALTH_DEAD);
    stage_command(PLAN_ATTACH, 1);
    stage_fenced();
    stage_primary(1, 2, 2000);
    assert_int_equal(stage->plan.primary_id, -1);
    assert_state(1, NODE_ROGUE);
}

#define TEST(name) cmocka_unit_test_setup(name, stage_set)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(foreign_promotion_is_adopted),
        TEST(foreign_promotion_is_no_rogue_at_once),
        TEST(promotion_beside_a_primary_is_rogue),
        TEST(foreign_promotions_that_contradict_are_none),
        TEST(proven_history_comes_first),
        TEST(standby_that_does_not_stream_is_put_aside),
        TEST(primary_that_has_become_a_standby_is_lost),
        TEST(primary_with_another_history_is_lost),
        TEST(primary_that_was_promoted_again_is_kept),
        TEST(replaced_primary_is_not_adopted),
    };

    return cmocka_run_group_tests_name("plan_foreign", tests, NULL, NULL);
}

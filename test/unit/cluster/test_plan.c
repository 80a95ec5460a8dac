/* plan.h: the faults of the catalogue as sequences of events. A number is the fault's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "drive.h"

#include <string.h>

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

static void
start_finds_the_primary(void **state)
{
    (void)state;
    assert_int_equal(stage->plan.primary_id, 0);
    assert_int_equal(stage->plan.epoch, 1);
    assert_int_equal(stage->plan.timeline, 1);
    assert_true(plan_may_write(&stage->plan, 0));
    assert_false(plan_may_write(&stage->plan, 1));
    for (int node_id = 0; node_id < 3; node_id++) {
        assert_state(node_id, NODE_UP);
        assert_true(plan_may_read(&stage->plan, node_id));
    }
    assert_true(plan_next_ns(&stage->plan, &stage->config) == INT64_MAX);
}

/* 1 */
static void
killed_primary_is_replaced(void **state)
{
    (void)state;
    stage_verdict(0, HEALTH_SUSPECT);
    assert_state(0, NODE_SUSPECT);
    assert_true(plan_may_write(&stage->plan, 0));
    stage_verdict(0, HEALTH_DEAD);
    assert_phase(PLAN_FENCING);
    assert_int_equal(stage->plan.epoch, 2);
    assert_int_equal(stage_step(PLAN_DO_FENCE, -1)->epoch, 2);
    assert_non_null(stage_step(PLAN_DO_WAIT_FENCED, -1));
    assert_non_null(stage_step(PLAN_DO_WRITE_STATUS, -1));
    assert_null(stage_step(PLAN_DO_PROMOTE_SQL, -1));
    assert_fenced();
    stage_fenced();
    assert_phase(PLAN_CHOOSING);
    stage_standby(1, 1, 2000);
    assert_phase(PLAN_CHOOSING); /* node 2 may have more */
    stage_standby(2, 1, 2100);
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 2));
    assert_fenced();
    stage_end(PLAN_DO_PROMOTE_SQL, 2, PLAN_DONE);
    assert_non_null(stage_step(PLAN_DO_VERIFY_PRIMARY, 2));
    assert_fenced();
    stage_primary(2, 2, 2200);
    assert_int_equal(stage->plan.primary_id, 2);
    assert_int_equal(stage->plan.timeline, 2);
    assert_int_equal(stage->plan.epoch, 2);
    assert_true(plan_may_write(&stage->plan, 2));
    assert_non_null(stage_step(PLAN_DO_PUBLISH, -1));
    assert_non_null(stage_step(PLAN_DO_FOLLOW, 1));
    assert_int_equal(stage_step(PLAN_DO_FOLLOW, 1)->other_id, 2);
    assert_null(stage_step(PLAN_DO_FOLLOW, 0));
    assert_state(0, NODE_FENCED);
    assert_state(1, NODE_UP); /* it goes on to serve reads, as fresh as they are */
    stage_end(PLAN_DO_FOLLOW, 1, PLAN_DONE);
    stage_standby(1, 2, 2300);
    stage_streams(1, PLAN_STREAM_YES);
    assert_non_null(stage_told(NODE_EVENT_FOLLOWING));
    assert_false(stage->plan.nodes[1].must_follow);
}

/* The order of steps: children first, then the file, then what cannot be taken back. */
static void
steps_come_in_their_order(void **state)
{
    int at[PLAN_DO_KINDS];

    (void)state;
    stage->config.candidate_wait_ns = NS_PER_MS;
    memset(at, -1, sizeof(at));
    stage_verdict(0, HEALTH_DEAD);
    for (int n = 0; n < (int)stage->steps.count; n++)
        at[stage->steps.list[n].kind] = n;
    assert_true(at[PLAN_DO_FENCE] < at[PLAN_DO_PUBLISH]);
    assert_true(at[PLAN_DO_PUBLISH] < at[PLAN_DO_WRITE_STATUS]);
    assert_true(at[PLAN_DO_WRITE_STATUS] < at[PLAN_DO_WAIT_FENCED]);
    stage_fenced();
    stage_standby(1, 1, 2000);
    stage_standby(2, 1, 2000);
    memset(at, -1, sizeof(at));
    for (int n = 0; n < (int)stage->steps.count; n++)
        at[stage->steps.list[n].kind] = n;
    assert_true(at[PLAN_DO_WRITE_STATUS] >= 0);
    assert_true(at[PLAN_DO_WRITE_STATUS] < at[PLAN_DO_PROMOTE_SQL]);
}

/* 3, 12: 57P03 is RECOVERING; nothing is promoted, and it is up again afterwards */
static void
recovering_primary_is_waited_for(void **state)
{
    (void)state;
    stage_verdict(0, HEALTH_RECOVERING);
    assert_state(0, NODE_RECOVERING);
    assert_false(plan_may_write(&stage->plan, 0));
    assert_int_equal(stage->plan.primary_id, 0);
    stage_pass(600000);
    assert_int_equal(stage->plan.epoch, 1);
    stage_primary(0, 1, 3000);
    assert_state(0, NODE_UP);
    assert_true(plan_may_write(&stage->plan, 0));
}

/* 4, 5: it is stopped, replaced, and wakes up again */
static void
woken_old_primary_is_rogue(void **state)
{
    (void)state;
    stage_failover_to(1);
    stage_end(PLAN_DO_PROMOTE_SQL, 1, PLAN_DONE);
    stage_primary(1, 2, 2100);
    assert_int_equal(stage->plan.primary_id, 1);
    stage_primary(0, 1, 1900);
    assert_state(0, NODE_ROGUE);
    assert_non_null(stage_step(PLAN_DO_STOP_ROGUE, 0));
    assert_non_null(stage_step(PLAN_DO_QUARANTINE, 0));
    assert_non_null(strstr(stage_told(NODE_EVENT_STATE)->text, "pcp_recovery_node"));
    assert_false(plan_may_write(&stage->plan, 0));
    assert_false(plan_may_read(&stage->plan, 0));
    assert_int_equal(stage->plan.primary_id, 1);
    stage_verdict(0, HEALTH_DEAD);
    assert_state(0, NODE_ROGUE); /* remembered */
    stage_command(PLAN_ATTACH, 0);
    stage_primary(0, 1, 1900);
    assert_state(0, NODE_ROGUE);

    stage_command(PLAN_RECOVERY_BEGUN, 0);
    assert_state(0, NODE_REJOINING);
    stage_event(&(struct plan_event){.kind = PLAN_RECOVERY_ENDED, .node_id = 0});
    stage_standby(0, 2, 2200);
    assert_state(0, NODE_REJOINING);
    stage_streams(0, PLAN_STREAM_YES);
    assert_state(0, NODE_UP);
}

static void
old_primary_comes_back_in_time(void **state)
{
    (void)state;
    stage_verdict(0, HEALTH_DEAD);
    stage_fenced();
    stage_primary(0, 1, 1500);
    assert_non_null(stage_told(NODE_EVENT_FAILOVER_CANCELLED));
    assert_int_equal(stage->plan.primary_id, 0);
    assert_int_equal(stage->plan.epoch, 2);
    assert_state(0, NODE_UP);
    assert_true(plan_may_write(&stage->plan, 0));
    stage_standby(1, 1, 1500);
    assert_state(1, NODE_UP);
}

/* ... but not once somebody was told to promote */
static void
old_primary_comes_back_too_late(void **state)
{
    (void)state;
    stage_failover_to(1);
    assert_phase(PLAN_PROMOTING);
    stage_primary(0, 1, 1500);
    assert_phase(PLAN_PROMOTING);
    assert_fenced();
    stage_primary(1, 2, 2000);
    assert_int_equal(stage->plan.primary_id, 1);
    assert_state(0, NODE_ROGUE);
}

/* 10: the laggard has the better priority, and the other one more WAL */
static void
laggard_is_not_promoted(void **state)
{
    (void)state;
    stage->config.nodes[1].priority = 100;
    stage_verdict(0, HEALTH_DEAD);
    stage_fenced();
    stage_standby(1, 1, 1999);
    stage_standby(2, 1, 2000);
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 2));
}

static void
priority_decides_between_equals(void **state)
{
    (void)state;
    stage->config.nodes[2].priority = 1;
    stage_verdict(0, HEALTH_DEAD);
    stage_fenced();
    stage_standby(1, 1, 2000);
    stage_standby(2, 1, 2000);
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 2));
}

static void
number_decides_at_last(void **state)
{
    (void)state;
    stage_verdict(0, HEALTH_DEAD);
    stage_fenced();
    stage_standby(2, 1, 2000);
    stage_standby(1, 1, 2000);
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 1));
}

static void
silent_node_is_waited_for(void **state)
{
    (void)state;
    stage_verdict(0, HEALTH_DEAD);
    stage_verdict(2, HEALTH_SUSPECT);
    stage_fenced();
    stage_standby(1, 1, 2000);
    stage_pass(1900);
    assert_phase(PLAN_CHOOSING);
    stage_pass(200);
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 1));
}

/* 19: the best standby dies with the primary, or right after it was chosen */
static void
dead_node_is_not_waited_for(void **state)
{
    (void)state;
    stage_verdict(0, HEALTH_DEAD);
    stage_fenced();
    stage_standby(1, 1, 2000);
    stage_verdict(2, HEALTH_DEAD);
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 1));
    assert_state(2, NODE_DOWN);
}

static void
candidates_are_looked_at_anew_after_each_step(void **state)
{
    (void)state;
    stage_failover_to(2);
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 2));
    stage_verdict(2, HEALTH_DEAD);
    assert_phase(PLAN_CHOOSING);
    assert_non_null(stage_step(PLAN_DO_ASK_POSITIONS, -1));
    stage_standby(1, 1, 1500);
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 1));
    assert_int_equal(stage->plan.epoch, 2);
    stage_end(PLAN_DO_PROMOTE_SQL, 1, PLAN_DONE);
    stage_primary(1, 2, 1600);
    assert_int_equal(stage->plan.primary_id, 1);
    assert_int_equal(stage->plan.epoch, 2);
    /* the one that was told first comes back promoted: nobody may use it */
    stage_primary(2, 2, 2000);
    assert_state(2, NODE_ROGUE);
}

/* 20 */
static void
failed_promotion_goes_to_the_next(void **state)
{
    (void)state;
    stage_failover_to(2);
    stage_end(PLAN_DO_PROMOTE_SQL, 2, PLAN_FAILED);
    assert_non_null(strstr(stage_told(NODE_EVENT_STEP_FAILED)->text, "it said no"));
    assert_phase(PLAN_VERIFYING);
    stage_standby(2, 1, 2000); /* it has not happened */
    assert_phase(PLAN_CHOOSING);
    stage_standby(1, 1, 1500);
    assert_phase(PLAN_PROMOTING);
    assert_int_equal(stage->plan.operation.candidate_id, 1);
    assert_non_null(strstr(stage_told(NODE_EVENT_LOSS_POSSIBLE)->text, "node 2"));
    stage_pass(3100); /* a command is ended by force now, and says so soon */
    assert_phase(PLAN_PROMOTING);
    stage_pass(5100); /* nobody says anything */
    assert_phase(PLAN_VERIFYING);
    stage_pass(3100);
    assert_phase(PLAN_CHOOSING);
    assert_int_equal(stage->plan.epoch, 2);
    /* all have been tried: all again */
    stage_standby(1, 1, 1500);
    stage_standby(2, 1, 2000);
    stage_pass(2100);
    assert_non_null(stage_told(NODE_EVENT_NO_CANDIDATE));
    stage_standby(1, 1, 1500);
    stage_standby(2, 1, 2000);
    stage_pass(2100);
    assert_phase(PLAN_PROMOTING);
    assert_int_equal(stage->plan.operation.candidate_id, 2);
    assert_int_equal(stage->plan.operation.attempt, 3);
}

/* A promotion that failed for who asked, and happened. */
static void
doubtful_promotion_is_verified(void **state)
{
    (void)state;
    stage_failover_to(2);
    stage_end(PLAN_DO_PROMOTE_SQL, 2, PLAN_TIMED_OUT);
    stage_primary(2, 2, 2000);
    assert_int_equal(stage->plan.primary_id, 2);
    assert_false(stage->plan.nodes[2].given_up);
}

/* ... and only after it had been given up. */
static void
late_promotion_of_the_same_epoch_is_taken(void **state)
{
    (void)state;
    stage_failover_to(2);
    stage_end(PLAN_DO_PROMOTE_SQL, 2, PLAN_TIMED_OUT);
    stage_standby(2, 1, 2000);
    assert_phase(PLAN_CHOOSING);
    stage_primary(2, 2, 2000);
    assert_int_equal(stage->plan.primary_id, 2);
}

/* Both that were told have done it: nobody was let at either, so the one with more is it. */
static void
two_late_promotions_are_one_primary(void **state)
{
    (void)state;
    stage_failover_to(2);
    stage_end(PLAN_DO_PROMOTE_SQL, 2, PLAN_FAILED);
    stage_standby(2, 1, 2000);
    stage_standby(1, 1, 1500);
    stage_end(PLAN_DO_PROMOTE_SQL, 1, PLAN_FAILED);
    stage->plan.nodes[1].answer.in_recovery = stage->plan.nodes[2].answer.in_recovery = false;
    stage->plan.nodes[1].answer.timeline = stage->plan.nodes[2].answer.timeline = 2;
    stage_pass(3100);
    assert_int_equal(stage->plan.primary_id, 1); /* the candidate itself */
    assert_state(2, NODE_ROGUE);
}

/* 21: commands hang or fail */
static void
failover_command_is_bounded(void **state)
{
    const struct plan_step *step;

    (void)state;
    stage->config.failover_command = true;
    stage_failover_to(1);
    step = stage_step(PLAN_DO_FAILOVER_COMMAND, 1);
    assert_non_null(step);
    assert_int_equal(step->other_id, 0);
    assert_int_equal(step->deadline_ns, stage->now_ns + 10000 * NS_PER_MS);
    stage_end(PLAN_DO_FAILOVER_COMMAND, 1, PLAN_TIMED_OUT);
    assert_phase(PLAN_VERIFYING);
    stage_primary(1, 2, 2000);
    assert_int_equal(stage->plan.primary_id, 1);
}

static void
nothing_is_promoted_before_fence_command_has_succeeded(void **state)
{
    (void)state;
    stage->config.fence_command = true;
    stage_verdict(0, HEALTH_DEAD);
    stage_fenced();
    assert_non_null(stage_step(PLAN_DO_FENCE_COMMAND, 0));
    stage_standby(1, 1, 2000);
    stage_standby(2, 1, 2000);
    stage_end(PLAN_DO_FENCE_COMMAND, 0, PLAN_FAILED);
    assert_phase(PLAN_FENCE_COMMAND);
    stage_pass(1100);
    assert_non_null(stage_step(PLAN_DO_FENCE_COMMAND, 0));
    stage_pass(10100); /* it hangs */
    assert_null(stage_told(NODE_EVENT_STEP_FAILED));
    stage_pass(5100); /* and nobody says so */
    assert_non_null(stage_told(NODE_EVENT_STEP_FAILED));
    stage_pass(1100);
    assert_phase(PLAN_FENCE_COMMAND);
    stage_end(PLAN_DO_FENCE_COMMAND, 0, PLAN_DONE);
    assert_phase(PLAN_CHOOSING);
    stage_standby(1, 1, 2000);
    stage_standby(2, 1, 2000);
    assert_phase(PLAN_PROMOTING);
}

/* A command that runs may stop it at any moment: it is not trusted meanwhile. */
static void
old_primary_is_not_taken_back_under_fence_command(void **state)
{
    (void)state;
    stage->config.fence_command = true;
    stage_verdict(0, HEALTH_DEAD);
    stage_fenced();
    stage_primary(0, 1, 1500);
    assert_phase(PLAN_FENCE_COMMAND);
    stage_end(PLAN_DO_FENCE_COMMAND, 0, PLAN_DONE);
    assert_phase(PLAN_CHOOSING); /* what it said was said before */
    stage_primary(0, 1, 1500);
    assert_int_equal(stage->plan.primary_id, 0);
}

static void
nothing_is_promoted_before_the_fence_stands(void **state)
{
    (void)state;
    stage_verdict(0, HEALTH_DEAD);
    stage_standby(1, 1, 2000);
    stage_standby(2, 1, 2000);
    stage_event(&(struct plan_event){.kind = PLAN_FENCED, .epoch = 1}); /* an older one */
    assert_phase(PLAN_FENCING);
    stage_pass(600);
    assert_non_null(stage_step(PLAN_DO_END_UNFENCED, -1));
    stage_pass(100);
    assert_null(stage_step(PLAN_DO_END_UNFENCED, -1));
    stage_pass(600);
    assert_non_null(stage_step(PLAN_DO_END_UNFENCED, -1));
    assert_phase(PLAN_FENCING);
    stage_fenced();
    assert_phase(PLAN_CHOOSING);
}

/* 2, 9, 15, 17 end in verdicts that health gives; here: what is done with them. 13, 14, 16, 29: an
 * alarm, or a node that lives and cannot be asked, moves nothing. */
static void
alarms_move_nothing(void **state)
{
    struct health_fact fact = {.verdict = HEALTH_ALIVE, .misconfigured = true, .reason = "28P01"};
    const struct plan_event event = {.kind = PLAN_HEALTH, .node_id = 0, .health = &fact};

    (void)state;
    stage_event(&event);
    assert_non_null(stage_told(NODE_EVENT_ALARM));
    assert_state(0, NODE_UP);
    stage_event(&event);
    assert_null(stage_told(NODE_EVENT_ALARM));
    fact.misconfigured = false;
    stage_event(&event);
    assert_non_null(stage_told(NODE_EVENT_ALARM_OVER));
    stage_pass(1000000);
    assert_int_equal(stage->plan.epoch, 1);
    assert_state(0, NODE_UP);
    /* back from recovery, and it has no connection left for us */
    stage_verdict(0, HEALTH_RECOVERING);
    stage_verdict(0, HEALTH_ALIVE);
    assert_state(0, NODE_UP);
}

/* 17: standbys restart one after the other */
static void
standby_dies_and_returns(void **state)
{
    (void)state;
    stage_verdict(1, HEALTH_DEAD);
    assert_state(1, NODE_DOWN);
    assert_int_equal(stage->plan.epoch, 1);
    assert_true(plan_may_write(&stage->plan, 0));
    stage_streams(1, PLAN_STREAM_NO);
    stage_standby(1, 1, 1000);
    assert_state(1, NODE_REJOINING);
    stage_streams(1, PLAN_STREAM_YES);
    assert_state(1, NODE_UP);
    /* not more often than auto_failback_interval */
    stage_verdict(1, HEALTH_DEAD);
    stage_standby(1, 1, 1000);
    assert_state(1, NODE_REJOINING);
    assert_true(plan_next_ns(&stage->plan, &stage->config) < INT64_MAX);
    stage_pass(10000);
    assert_state(1, NODE_UP);
}

static void
without_auto_failback_it_stays_down(void **state)
{
    (void)state;
    stage->config.auto_failback = false;
    stage->config.failback_command = true;
    stage_verdict(1, HEALTH_DEAD);
    stage_standby(1, 1, 1000);
    assert_state(1, NODE_DOWN);
    stage_command(PLAN_ATTACH, 1);
    assert_non_null(stage_told(NODE_EVENT_COMMAND_DONE));
    assert_int_equal(stage_told(NODE_EVENT_COMMAND_DONE)->request, 77);
    assert_state(1, NODE_UP);
    assert_non_null(stage_step(PLAN_DO_FAILBACK_COMMAND, 1));
    stage_resume();
    assert_non_null(stage_step(PLAN_DO_FAILBACK_COMMAND, 1));
    stage_end(PLAN_DO_FAILBACK_COMMAND, 1, PLAN_FAILED);
    assert_non_null(stage_told(NODE_EVENT_STEP_FAILED));
    stage_resume();
    assert_null(stage_step(PLAN_DO_FAILBACK_COMMAND, 1));
}

/* 18 */
static void
diverged_standby_is_not_promoted(void **state)
{
    (void)state;
    stage_standby(2, 2, 9000);
    assert_state(2, NODE_QUARANTINED);
    stage_verdict(0, HEALTH_DEAD);
    stage_fenced();
    stage_standby(2, 2, 9000);
    stage_standby(1, 1, 2000);
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 1));
}

static void
standby_of_an_older_timeline_is_not_promoted(void **state)
{
    (void)state;
    stage_failover_to(1);
    stage_end(PLAN_DO_PROMOTE_SQL, 1, PLAN_DONE);
    stage_primary(1, 2, 2000);
    stage_verdict(1, HEALTH_DEAD); /* before node 2 has followed */
    stage_fenced();
    stage_standby(2, 1, 1500);
    stage_pass(2100);
    assert_phase(PLAN_CHOOSING);
    assert_non_null(stage_told(NODE_EVENT_NO_CANDIDATE));
    stage_command(PLAN_PROMOTE, 2); /* a person may */
    stage_standby(2, 1, 1500);
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 2));
}

static void
foreign_system_is_not_used(void **state)
{
    (void)state;
    stage_foreign(2, true);
    assert_state(2, NODE_QUARANTINED);
    stage_foreign(2, false);
    assert_state(2, NODE_ROGUE);
    stage_verdict(0, HEALTH_DEAD);
    stage_fenced();
    stage_foreign(2, true);
    stage_standby(1, 1, 1000);
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 1));
}

static void
synchronous_standby_is_promoted_first(void **state)
{
    (void)state;
    stage_sync(true, 2);
    stage_verdict(0, HEALTH_DEAD);
    stage_fenced();
    stage_standby(1, 1, 2000);
    stage_standby(2, 1, 2000);
    assert_null(stage_told(NODE_EVENT_LOSS_POSSIBLE));
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 2));
}

/* Acknowledged was what the synchronous one has, and this one has that. */
static void
unless_another_has_more(void **state)
{
    (void)state;
    stage_sync(true, 1);
    stage_verdict(0, HEALTH_DEAD);
    stage_fenced();
    stage_standby(2, 1, 9000);
    stage_standby(1, 1, 2000);
    assert_null(stage_told(NODE_EVENT_LOSS_POSSIBLE));
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 2));
}

static void
or_none_of_them_answers(void **state)
{
    (void)state;
    stage_sync(true, 1);
    stage_verdict(0, HEALTH_DEAD);
    stage_verdict(1, HEALTH_DEAD);
    stage_fenced();
    stage_standby(2, 1, 9000);
    assert_phase(PLAN_CHOOSING);
    stage_pass(2100);
    assert_non_null(stage_told(NODE_EVENT_LOSS_POSSIBLE));
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 2));
}

/* Everything is gone at once, and comes back. */
static void
total_loss_and_return(void **state)
{
    (void)state;
    for (int node_id = 0; node_id < 3; node_id++)
        stage_verdict(node_id, HEALTH_DEAD);
    stage_fenced();
    stage_pass(2100);
    assert_non_null(stage_told(NODE_EVENT_NO_CANDIDATE));
    stage_pass(60000);
    assert_null(stage_told(NODE_EVENT_NO_CANDIDATE)); /* said once */
    stage_standby(1, 1, 1000);
    assert_phase(PLAN_CHOOSING); /* the others may come, too */
    stage_pass(500);
    stage_primary(0, 1, 1000);
    assert_int_equal(stage->plan.primary_id, 0);
    assert_state(0, NODE_UP);
    assert_int_equal(stage->plan.epoch, 2);
}

static void
flags_forbid_a_failover(void **state)
{
    (void)state;
    stage->config.nodes[0].allow_failover = false;
    stage_verdict(0, HEALTH_DEAD);
    assert_state(0, NODE_DOWN);
    assert_non_null(stage_told(NODE_EVENT_FAILOVER_REFUSED));
    assert_int_equal(stage->plan.primary_id, 0);
    assert_false(plan_may_write(&stage->plan, 0));
    stage_verdict(0, HEALTH_DEAD);
    assert_null(stage_told(NODE_EVENT_FAILOVER_REFUSED));
    stage_primary(0, 1, 1000);
    assert_state(0, NODE_UP);
    assert_int_equal(stage->plan.epoch, 1);

    stage->config.nodes[0].allow_failover = true;
    stage->config.nodes[0].always_primary = true;
    stage_verdict(0, HEALTH_DEAD);
    assert_state(0, NODE_DOWN);
    stage_standby(0, 1, 1000); /* whatever it says */
    assert_state(0, NODE_UP);
    assert_true(plan_may_write(&stage->plan, 0));
}

#define TEST(name) cmocka_unit_test_setup(name, stage_set)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(start_finds_the_primary),
        TEST(killed_primary_is_replaced),
        TEST(steps_come_in_their_order),
        TEST(recovering_primary_is_waited_for),
        TEST(woken_old_primary_is_rogue),
        TEST(old_primary_comes_back_in_time),
        TEST(old_primary_comes_back_too_late),
        TEST(laggard_is_not_promoted),
        TEST(priority_decides_between_equals),
        TEST(number_decides_at_last),
        TEST(silent_node_is_waited_for),
        TEST(dead_node_is_not_waited_for),
        TEST(candidates_are_looked_at_anew_after_each_step),
        TEST(failed_promotion_goes_to_the_next),
        TEST(doubtful_promotion_is_verified),
        TEST(late_promotion_of_the_same_epoch_is_taken),
        TEST(two_late_promotions_are_one_primary),
        TEST(failover_command_is_bounded),
        TEST(nothing_is_promoted_before_fence_command_has_succeeded),
        TEST(old_primary_is_not_taken_back_under_fence_command),
        TEST(nothing_is_promoted_before_the_fence_stands),
        TEST(alarms_move_nothing),
        TEST(standby_dies_and_returns),
        TEST(without_auto_failback_it_stays_down),
        TEST(diverged_standby_is_not_promoted),
        TEST(standby_of_an_older_timeline_is_not_promoted),
        TEST(foreign_system_is_not_used),
        TEST(synchronous_standby_is_promoted_first),
        TEST(unless_another_has_more),
        TEST(or_none_of_them_answers),
        TEST(total_loss_and_return),
        TEST(flags_forbid_a_failover),
    };

    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}

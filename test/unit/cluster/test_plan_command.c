/* plan.h: commands of an administrator, the list of nodes, the search for a primary, and going on
 * after a crash. */
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

static void
assert_refused(void)
{
    assert_non_null(stage_told(NODE_EVENT_COMMAND_REFUSED));
    assert_int_equal(stage_told(NODE_EVENT_COMMAND_REFUSED)->request, 77);
}

static void
assert_done(void)
{
    assert_non_null(stage_told(NODE_EVENT_COMMAND_DONE));
    assert_int_equal(stage_told(NODE_EVENT_COMMAND_DONE)->request, 77);
}

/* ---- switchover ---- */

static void
switchover_loses_nothing(void **state)
{
    (void)state;
    stage_command(PLAN_SWITCHOVER_TO, 1);
    assert_phase(PLAN_FENCING);
    assert_state(0, NODE_FENCED);
    assert_false(plan_may_write(&stage->plan, 0));
    stage_fenced();
    assert_phase(PLAN_CATCHING_UP);
    stage_standby(1, 1, 1500);
    stage_primary(0, 1, 2000);
    assert_phase(PLAN_CATCHING_UP);
    stage_standby(1, 1, 1999);
    assert_phase(PLAN_CATCHING_UP);
    stage_primary(0, 1, 2100); /* what it writes for itself later does not count */
    stage_standby(1, 1, 2000);
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 1));
    stage_end(PLAN_DO_PROMOTE_SQL, 1, PLAN_DONE);
    stage_primary(1, 2, 2100);
    assert_int_equal(stage->plan.primary_id, 1);
    assert_int_equal(stage->plan.epoch, 2);
    assert_done();
    assert_non_null(stage_step(PLAN_DO_FOLLOW, 2));
    assert_null(stage_step(PLAN_DO_FOLLOW, 0)); /* its end would be sent to node 2 */
    stage_end(PLAN_DO_FOLLOW, 2, PLAN_DONE);
    assert_true(stage_step(PLAN_DO_FOLLOW, 0)->was_primary);
    stage_primary(0, 1, 2100);
    assert_state(0, NODE_FENCED); /* not a rogue: it is about to follow */
    stage_end(PLAN_DO_FOLLOW, 0, PLAN_DONE);
    stage_verdict(0, HEALTH_RECOVERING);
    stage_standby(0, 2, 2200);
    stage_streams(0, PLAN_STREAM_YES);
    assert_state(0, NODE_UP);
    assert_false(stage->plan.nodes[0].must_follow);
}

/* Asynchronous commits are waited for as long as the WAL writer may need, and nothing else. */
static void
switchover_waits_for_the_wal_writer(void **state)
{
    (void)state;
    stage_command(PLAN_SWITCHOVER_TO, 1);
    stage_fenced();
    stage_unflushed(0, 1, 2000, 1700);
    stage_standby(1, 1, 1700);
    stage_pass(900);
    stage_unflushed(0, 1, 2000, 1800);
    stage_standby(1, 1, 1800);
    assert_phase(PLAN_CATCHING_UP);
    stage_pass(100);
    stage_unflushed(0, 1, 2000, 1900);
    stage_standby(1, 1, 1899);
    assert_phase(PLAN_CATCHING_UP);
    stage_standby(1, 1, 1900);
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 1));
}

/* The insert position is behind the header of a page on which nothing stands yet. */
static void
switchover_at_the_end_of_a_page(void **state)
{
    static const struct {
        uint64_t flushed, inserted;
        bool only_header;
    } cases[] = {
        {5 * 8192, 5 * 8192 + 24, true},  {3 << 20, (3 << 20) + 40, true},
        {5 * 8192, 5 * 8192 + 40, false}, {5 * 8192 + 8, 5 * 8192 + 32, false},
        {3 << 20, (3 << 20) + 80, false}, {(3 << 20) - 24, 3 << 20, false},
    };

    for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
        assert_int_equal(stage_set(state), 0);
        stage_command(PLAN_SWITCHOVER_TO, 1);
        stage_fenced();
        stage_unflushed(0, 1, cases[n].inserted, cases[n].flushed);
        stage_standby(1, 1, cases[n].flushed);
        assert_int_equal(stage->plan.operation.phase,
                         cases[n].only_header ? PLAN_PROMOTING : PLAN_CATCHING_UP);
    }
}

static void
switchover_takes_the_best(void **state)
{
    (void)state;
    stage->config.nodes[2].priority = 5;
    stage_command(PLAN_SWITCHOVER_TO, -1);
    assert_int_equal(stage->plan.operation.candidate_id, 2);
}

static void
switchover_gives_up_in_time(void **state)
{
    (void)state;
    stage_command(PLAN_SWITCHOVER_TO, 1);
    stage_fenced();
    stage_primary(0, 1, 2000);
    stage_standby(1, 1, 1000);
    assert_int_equal(plan_next_ns(&stage->plan, &stage->config) / NS_PER_MS,
                     stage->plan.operation.give_up_ns / NS_PER_MS);
    stage_pass(5100);
    assert_non_null(stage_told(NODE_EVENT_SWITCHOVER_GIVEN_UP));
    assert_refused();
    assert_int_equal(stage->plan.primary_id, 0);
    assert_true(plan_may_write(&stage->plan, 0));
    assert_int_equal(stage->plan.epoch, 2);
}

static void
switchover_gives_up_without_its_candidate(void **state)
{
    (void)state;
    stage_command(PLAN_SWITCHOVER_TO, 1);
    stage_fenced();
    stage_verdict(1, HEALTH_DEAD);
    assert_int_equal(stage->plan.primary_id, 0);
    assert_state(1, NODE_DOWN);
    assert_refused();
}

static void
switchover_gives_up_after_a_failed_promotion(void **state)
{
    (void)state;
    stage_command(PLAN_SWITCHOVER_TO, 1);
    stage_fenced();
    stage_primary(0, 1, 2000);
    stage_standby(1, 1, 2000);
    stage_end(PLAN_DO_PROMOTE_SQL, 1, PLAN_FAILED);
    stage_standby(1, 1, 2000);
    assert_int_equal(stage->plan.primary_id, 0);
    assert_refused();
    stage_primary(1, 2, 2000); /* late: others have written meanwhile */
    assert_state(1, NODE_ROGUE);
    stage_verdict(0, HEALTH_DEAD);
    stage_fenced();
    stage_primary(1, 2, 2000);
    stage_standby(2, 1, 2000);
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 2));
}

static void
switchover_becomes_a_failover(void **state)
{
    (void)state;
    stage->config.fence_command = true;
    stage_command(PLAN_SWITCHOVER_TO, 1);
    stage_fenced();
    assert_null(stage_step(PLAN_DO_FENCE_COMMAND, -1));
    stage_verdict(0, HEALTH_DEAD);
    assert_non_null(stage_step(PLAN_DO_FENCE_COMMAND, 0));
    stage_end(PLAN_DO_FENCE_COMMAND, 0, PLAN_DONE);
    stage_standby(1, 1, 1000);
    stage_standby(2, 1, 1001);
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 2));
    assert_int_equal(stage->plan.epoch, 2);
}

static void
switchover_fails_and_the_old_one_has_died(void **state)
{
    (void)state;
    stage_command(PLAN_SWITCHOVER_TO, 1);
    stage_fenced();
    stage_primary(0, 1, 2000);
    stage_standby(1, 1, 2000);
    stage_verdict(0, HEALTH_DEAD);
    assert_phase(PLAN_PROMOTING);
    stage_verdict(1, HEALTH_DEAD);
    assert_phase(PLAN_CHOOSING);
    stage_standby(2, 1, 1900);
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 2));
}

static void
switchover_needs_somebody(void **state)
{
    (void)state;
    stage_command(PLAN_SWITCHOVER_TO, 0);
    assert_refused();
    stage_command(PLAN_SWITCHOVER_TO, 9);
    assert_refused();
    stage_verdict(2, HEALTH_DEAD);
    stage_command(PLAN_SWITCHOVER_TO, 2);
    assert_refused();
    stage_verdict(0, HEALTH_SUSPECT);
    stage_command(PLAN_SWITCHOVER_TO, 1);
    assert_refused();
    stage_primary(0, 1, 1000);
    stage->config.nodes[0].always_primary = true;
    stage_command(PLAN_SWITCHOVER_TO, 1);
    assert_refused();
    stage->config.nodes[0].always_primary = false;
    stage_command(PLAN_SWITCHOVER_TO, 1);
    stage_command(PLAN_SWITCHOVER_TO, 1);
    assert_refused();
}

static void
old_primary_that_does_not_follow_is_rogue(void **state)
{
    (void)state;
    stage_command(PLAN_SWITCHOVER_TO, 1);
    stage_fenced();
    stage_primary(0, 1, 2000);
    stage_standby(1, 1, 2000);
    stage_primary(1, 2, 2000);
    stage_end(PLAN_DO_FOLLOW, 2, PLAN_DONE);
    for (int attempt = 0; attempt < 3; attempt++) {
        assert_state(0, NODE_FENCED);
        assert_non_null(stage_step(PLAN_DO_FOLLOW, 0));
        stage_end(PLAN_DO_FOLLOW, 0, PLAN_FAILED);
        stage_pass(1100);
    }
    assert_state(0, NODE_ROGUE);
}

/* ---- detach, attach, promote, recovery ---- */

static void
detached_stays_away(void **state)
{
    (void)state;
    stage_command(PLAN_DETACH, 1);
    assert_done();
    assert_state(1, NODE_MAINTENANCE);
    assert_non_null(stage_step(PLAN_DO_QUARANTINE, 1));
    stage_standby(1, 1, 1000);
    stage_verdict(1, HEALTH_DEAD);
    stage_standby(1, 1, 1000);
    assert_state(1, NODE_MAINTENANCE);
    stage_command(PLAN_DETACH, 1);
    assert_done();
    stage_verdict(0, HEALTH_DEAD);
    stage_fenced();
    stage_standby(1, 1, 9000);
    stage_standby(2, 1, 1000);
    assert_int_equal(stage->plan.operation.candidate_id, 2);
    stage_command(PLAN_DETACH, 2);
    assert_refused();
    stage_primary(2, 2, 1000);
    stage_standby(1, 1, 9000);
    assert_null(stage_step(PLAN_DO_FOLLOW, 1));
    stage_command(PLAN_ATTACH, 1);
    assert_done();
    stage_standby(1, 2, 9000);
    assert_state(1, NODE_UP);
    stage_command(PLAN_ATTACH, 1);
    assert_done();
}

static void
attached_without_a_primary_is_looked_at(void **state)
{
    (void)state;
    stage_empty(2);
    stage_command(PLAN_DETACH, 1);
    stage_command(PLAN_ATTACH, 1);
    assert_state(1, NODE_UNKNOWN);
    stage_standby(1, 1, 1000);
    assert_state(1, NODE_UP);
}

static void
detaching_the_primary_is_a_switchover(void **state)
{
    (void)state;
    stage_command(PLAN_DETACH, 0);
    stage_fenced();
    stage_primary(0, 1, 1000);
    stage_standby(1, 1, 1000);
    stage_primary(1, 2, 1000);
    assert_done();
    assert_state(0, NODE_MAINTENANCE);
    assert_null(stage_step(PLAN_DO_FOLLOW, 0));
    stage_primary(0, 1, 1000);
    assert_state(0, NODE_MAINTENANCE);
}

static void
promote_needs_no_dead_primary(void **state)
{
    (void)state;
    stage_command(PLAN_PROMOTE, 0);
    assert_done();
    stage_command(PLAN_PROMOTE, 2);
    assert_phase(PLAN_FENCING);
    stage_primary(0, 1, 1000);
    assert_phase(PLAN_FENCING); /* it is well, and is replaced all the same */
    stage_fenced();
    stage_standby(1, 1, 2000);
    stage_standby(2, 1, 1000);
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 2));
    stage_command(PLAN_PROMOTE, 1);
    assert_refused();
    stage_primary(2, 2, 1000);
    assert_done();
    stage_primary(0, 1, 1000);
    assert_state(0, NODE_ROGUE);
    stage_verdict(1, HEALTH_DEAD);
    stage_command(PLAN_PROMOTE, 1);
    assert_refused();
}

static void
wish_that_cannot_be_met_is_forgotten(void **state)
{
    (void)state;
    stage_command(PLAN_PROMOTE, 2);
    stage_verdict(2, HEALTH_DEAD);
    stage_fenced();
    stage_pass(2100);
    assert_refused();
    stage_primary(0, 1, 1000);
    assert_int_equal(stage->plan.primary_id, 0);
    assert_state(0, NODE_UP);
}

/* Two histories, and a person chooses the other one. */
static void
rogue_can_be_chosen(void **state)
{
    (void)state;
    stage_failover_to(1);
    stage_primary(1, 2, 2000);
    stage_primary(0, 1, 2000);
    assert_state(0, NODE_ROGUE);
    stage_command(PLAN_ATTACH, 0);
    assert_refused();
    stage_command(PLAN_PROMOTE, 0);
    stage_fenced();
    stage_primary(0, 1, 2000);
    assert_int_equal(stage->plan.primary_id, 0);
    assert_int_equal(stage->plan.timeline, 1);
    assert_int_equal(stage->plan.epoch, 3);
    assert_done();
    stage_primary(1, 2, 2000);
    assert_state(1, NODE_ROGUE);
}

static void
recovery_that_fails(void **state)
{
    (void)state;
    stage_command(PLAN_RECOVERY_BEGUN, 0);
    assert_refused();
    stage_command(PLAN_RECOVERY_BEGUN, 1);
    assert_done();
    assert_state(1, NODE_REJOINING);
    stage_standby(1, 1, 500);
    assert_state(1, NODE_REJOINING);
    stage_command(PLAN_RECOVERY_BEGUN, 1);
    assert_refused();
    stage_command(PLAN_ATTACH, 1);
    assert_refused();
    stage_command(PLAN_DETACH, 1);
    assert_refused();
    stage_event(&(struct plan_event){
        .kind = PLAN_RECOVERY_ENDED, .node_id = 1, .result = PLAN_FAILED, .text = "disk full"});
    assert_state(1, NODE_DOWN);
    assert_string_equal(stage->plan.nodes[1].reason, "its recovery failed: disk full");
    stage_event(&(struct plan_event){.kind = PLAN_RECOVERY_ENDED, .node_id = 1});
    stage_event(&(struct plan_event){.kind = PLAN_RECOVERY_ENDED, .node_id = 9});
    assert_state(1, NODE_DOWN);
    stage_verdict(0, HEALTH_DEAD);
    stage_command(PLAN_RECOVERY_BEGUN, 1);
    assert_refused();
}

/* ---- following ---- */

static void
standby_that_does_not_follow_is_put_aside(void **state)
{
    (void)state;
    stage_failover_to(1);
    stage_primary(1, 2, 2000);
    stage_end(PLAN_DO_FOLLOW, 2, PLAN_FAILED);
    assert_state(2, NODE_UP);
    stage_pass(1100);
    assert_non_null(stage_step(PLAN_DO_FOLLOW, 2));
    stage_pass(4100); /* no word of it */
    stage_pass(1100);
    assert_non_null(stage_step(PLAN_DO_FOLLOW, 2));
    stage_end(PLAN_DO_FOLLOW, 2, PLAN_DONE);
    stage_pass(4100); /* it does not stream */
    assert_state(2, NODE_QUARANTINED);
    assert_false(plan_may_read(&stage->plan, 2));
    assert_true(plan_next_ns(&stage->plan, &stage->config) > stage->now_ns + 9000 * NS_PER_MS);
    stage_pass(10000);
    assert_non_null(stage_step(PLAN_DO_FOLLOW, 2));
    stage_standby(2, 2, 2000);
    stage_streams(2, PLAN_STREAM_YES);
    assert_state(2, NODE_UP);
}

static void
dead_standby_follows_when_it_is_back(void **state)
{
    (void)state;
    stage_verdict(2, HEALTH_DEAD);
    stage_failover_to(1);
    stage_verdict(2, HEALTH_DEAD);
    stage_primary(1, 2, 2000);
    assert_null(stage_step(PLAN_DO_FOLLOW, 2));
    stage_standby(2, 1, 1000);
    assert_state(2, NODE_REJOINING);
    assert_non_null(stage_step(PLAN_DO_FOLLOW, 2));
    stage_verdict(2, HEALTH_DEAD);
    stage_end(PLAN_DO_FOLLOW, 2, PLAN_FAILED);
    assert_int_equal(stage->plan.nodes[2].attempts, 0);
}

/* ---- going on after a crash ---- */

static void
resumes_in_every_phase(void **state)
{
    (void)state;
    stage->config.fence_command = true;
    stage_verdict(0, HEALTH_DEAD);
    stage_resume();
    assert_int_equal(stage_step(PLAN_DO_FENCE, -1)->epoch, 2);
    assert_non_null(stage_step(PLAN_DO_WAIT_FENCED, -1));
    assert_non_null(stage_step(PLAN_DO_WRITE_STATUS, -1));
    assert_non_null(stage_told(NODE_EVENT_RESUMED));
    stage_fenced();
    stage_resume();
    assert_non_null(stage_step(PLAN_DO_FENCE_COMMAND, 0));
    stage_end(PLAN_DO_FENCE_COMMAND, 0, PLAN_DONE);
    stage_resume();
    assert_non_null(stage_step(PLAN_DO_ASK_POSITIONS, -1));
    stage_standby(1, 1, 1000);
    stage_standby(2, 1, 1000);
    stage_resume();
    assert_non_null(stage_step(PLAN_DO_PROMOTE_SQL, 1));
    stage_end(PLAN_DO_PROMOTE_SQL, 1, PLAN_DONE);
    stage_resume();
    assert_non_null(stage_step(PLAN_DO_VERIFY_PRIMARY, 1));
    stage_primary(1, 2, 1000);
    assert_non_null(stage_step(PLAN_DO_FOLLOW, 2));
    stage_resume();
    assert_non_null(stage_step(PLAN_DO_FOLLOW, 2));
    assert_int_equal(stage->plan.epoch, 2);
}

/* An end that was told to the process before the crash says nothing now. */
static void
ends_of_earlier_steps_are_ignored(void **state)
{
    uint32_t serial;

    (void)state;
    stage_failover_to(1);
    serial = stage->serials[PLAN_DO_PROMOTE_SQL][1];
    stage_resume();
    stage_event(&(struct plan_event){
        .kind = PLAN_STEP_ENDED, .node_id = 1, .serial = serial, .result = PLAN_DONE});
    assert_phase(PLAN_PROMOTING);
    stage_end(PLAN_DO_PROMOTE_SQL, 1, PLAN_DONE);
    assert_phase(PLAN_VERIFYING);
}

static void
interrupted_recovery_is_over(void **state)
{
    (void)state;
    stage_command(PLAN_RECOVERY_BEGUN, 1);
    stage_resume();
    assert_state(1, NODE_DOWN);
}

static void
restart_of_the_machine_forgets_moments(void **state)
{
    (void)state;
    stage_command(PLAN_SWITCHOVER_TO, 1);
    stage_fenced();
    plan_forget_moments(&stage->plan);
    stage->now_ns = 5 * NS_PER_S;
    stage_resume();
    assert_phase(PLAN_CATCHING_UP);
    stage_primary(0, 1, 1000);
    stage_standby(1, 1, 1000);
    assert_phase(PLAN_PROMOTING);
    plan_forget_moments(&stage->plan);
    stage_resume();
    stage_primary(1, 2, 1000);
    assert_int_equal(stage->plan.primary_id, 1);
}

static void
switchover_that_is_given_up_after_a_restart_trusts_nobody(void **state)
{
    (void)state;
    stage_command(PLAN_SWITCHOVER_TO, 1);
    stage_fenced();
    plan_forget_moments(&stage->plan);
    stage_resume();
    stage_pass(5100);
    assert_int_equal(stage->plan.primary_id, 0);
    assert_state(0, NODE_UNKNOWN);
    assert_false(plan_may_write(&stage->plan, 0));
    stage_primary(0, 1, 1000);
    assert_true(plan_may_write(&stage->plan, 0));
}

static void
primary_of_the_status_file_is_trusted_again(void **state)
{
    (void)state;
    plan_forget_moments(&stage->plan);
    assert_state(0, NODE_UNKNOWN);
    stage_resume();
    stage_primary(1, 1, 1000); /* it was a standby when we last looked */
    assert_state(1, NODE_ROGUE);
    stage_primary(0, 1, 1000);
    assert_state(0, NODE_UP);
    assert_true(plan_may_write(&stage->plan, 0));
}

/* ---- the search ---- */

static void
later_of_two_primaries_is_found(void **state)
{
    (void)state;
    stage_empty(3);
    assert_non_null(stage_step(PLAN_DO_SEARCH_PRIMARY, -1));
    stage_primary(0, 1, 5000);
    assert_int_equal(stage->plan.primary_id, -1);
    stage_standby(2, 1, 1000);
    stage_primary(1, 2, 1000);
    assert_int_equal(stage->plan.primary_id, 1);
    assert_state(0, NODE_ROGUE);
    assert_state(2, NODE_UP);
}

static void
equal_primaries_are_none(void **state)
{
    (void)state;
    stage_empty(2);
    stage_primary(0, 1, 5000);
    stage_primary(1, 1, 1000);
    assert_int_equal(stage->plan.primary_id, -1);
    assert_non_null(stage_told(NODE_EVENT_PRIMARY_IN_DOUBT));
    stage_pass(1);
    assert_null(stage_told(NODE_EVENT_PRIMARY_IN_DOUBT));
    stage_pass(61000);
    assert_non_null(stage_told(NODE_EVENT_PRIMARY_MISSING));
    stage_pass(61000);
    assert_null(stage_told(NODE_EVENT_PRIMARY_MISSING));
    stage_command(PLAN_PROMOTE, 1);
    stage_fenced();
    stage_primary(1, 1, 1000);
    assert_int_equal(stage->plan.primary_id, 1);
    assert_state(0, NODE_ROGUE);
}

static void
primary_behind_a_standby_is_none(void **state)
{
    (void)state;
    stage_empty(3);
    stage_primary(0, 1, 5000);
    stage_standby(1, 2, 1000);
    stage_pass(2100); /* node 2 says nothing */
    assert_int_equal(stage->plan.primary_id, -1);
    stage_primary(2, 2, 1000);
    assert_int_equal(stage->plan.primary_id, 2);
}

static void
silent_node_delays_the_search(void **state)
{
    (void)state;
    stage_empty(2);
    stage_primary(0, 1, 5000);
    assert_int_equal(stage->plan.primary_id, -1);
    assert_true(plan_next_ns(&stage->plan, &stage->config) < stage->now_ns + 2100 * NS_PER_MS);
    stage_pass(2100);
    assert_int_equal(stage->plan.primary_id, 0);
}

static void
always_primary_is_found_at_once(void **state)
{
    (void)state;
    stage_empty(2);
    stage->config.nodes[1].always_primary = true;
    stage_standby(1, 1, 5000);
    assert_int_equal(stage->plan.primary_id, 1);
    assert_true(plan_may_write(&stage->plan, 1));
}

/* ---- the list of nodes ---- */

static void
nodes_come_and_go(void **state)
{
    (void)state;
    stage->config.node_count = 4;
    stage->config.nodes[3] = (struct plan_node_config){.configured = true, .allow_failover = true};
    stage_event(&(struct plan_event){.kind = PLAN_NODES_LOADED});
    assert_state(3, NODE_UNKNOWN);
    stage_standby(3, 1, 1000);
    assert_state(3, NODE_UP);
    stage->config.nodes[1].configured = false;
    stage_event(&(struct plan_event){.kind = PLAN_NODES_LOADED});
    assert_state(1, NODE_UNUSED);
    stage_standby(1, 1, 1000);
    assert_state(1, NODE_UNUSED);
    stage_command(PLAN_ATTACH, 1);
    assert_refused();
    stage->config.node_count = 3;
    stage_event(&(struct plan_event){.kind = PLAN_NODES_LOADED});
    assert_int_equal(stage->plan.node_count, 3);
    stage->config.nodes[0].configured = false;
    stage_event(&(struct plan_event){.kind = PLAN_NODES_LOADED});
    assert_int_equal(stage->plan.primary_id, -1);
    assert_non_null(stage_step(PLAN_DO_SEARCH_PRIMARY, -1));
    assert_false(plan_may_write(&stage->plan, 0));
    assert_false(plan_may_read(&stage->plan, 9));
    assert_false(plan_may_write(&stage->plan, 9));
}

static void
candidate_goes_in_the_middle(void **state)
{
    (void)state;
    stage_failover_to(1);
    assert_phase(PLAN_PROMOTING);
    stage->config.nodes[1].configured = false;
    stage_event(&(struct plan_event){.kind = PLAN_NODES_LOADED});
    assert_phase(PLAN_CHOOSING);
    stage_standby(2, 1, 1000);
    assert_int_equal(stage->plan.operation.candidate_id, 2);
    stage->config.nodes[0].configured = false;
    stage_event(&(struct plan_event){.kind = PLAN_NODES_LOADED});
    stage_primary(2, 2, 1000);
    assert_int_equal(stage->plan.primary_id, 2);
}

static void
wanted_node_goes_in_the_middle(void **state)
{
    (void)state;
    stage_command(PLAN_PROMOTE, 1);
    stage->config.nodes[1].configured = false;
    stage_event(&(struct plan_event){.kind = PLAN_NODES_LOADED});
    assert_false(stage->plan.operation.forced);
    stage_primary(0, 1, 1000);
    assert_int_equal(stage->plan.primary_id, 0);
}

static void
names_are_there(void **state)
{
    (void)state;
    assert_string_equal(plan_step_name(PLAN_DO_FOLLOW), "follow");
    assert_string_equal(plan_step_name(PLAN_DO_KINDS), "");
    assert_string_equal(node_event_name(NODE_EVENT_PROMOTED), "promoted");
    assert_string_equal(plan_operation_name(PLAN_SWITCHOVER), "switchover");
    assert_int_equal(plan_operation_parse("switchover"), PLAN_SWITCHOVER);
    assert_int_equal(plan_phase_parse("choosing"), PLAN_CHOOSING);
    assert_int_equal(plan_phase_parse("sleeping"), -1);
    assert_int_equal(node_state_info(NODE_UP)->status, 2);
    assert_int_equal(node_state_info((enum node_state)99)->status, 0);
    assert_int_equal(node_state_parse("rogue"), NODE_ROGUE);
    assert_int_equal(node_state_parse("rogues"), -1);
}

#define TEST(name) cmocka_unit_test_setup(name, stage_set)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(switchover_loses_nothing),
        TEST(switchover_waits_for_the_wal_writer),
        TEST(switchover_at_the_end_of_a_page),
        TEST(switchover_takes_the_best),
        TEST(switchover_gives_up_in_time),
        TEST(switchover_gives_up_without_its_candidate),
        TEST(switchover_gives_up_after_a_failed_promotion),
        TEST(switchover_becomes_a_failover),
        TEST(switchover_fails_and_the_old_one_has_died),
        TEST(switchover_needs_somebody),
        TEST(old_primary_that_does_not_follow_is_rogue),
        TEST(detached_stays_away),
        TEST(attached_without_a_primary_is_looked_at),
        TEST(detaching_the_primary_is_a_switchover),
        TEST(promote_needs_no_dead_primary),
        TEST(wish_that_cannot_be_met_is_forgotten),
        TEST(rogue_can_be_chosen),
        TEST(recovery_that_fails),
        TEST(standby_that_does_not_follow_is_put_aside),
        TEST(dead_standby_follows_when_it_is_back),
        TEST(resumes_in_every_phase),
        TEST(ends_of_earlier_steps_are_ignored),
        TEST(interrupted_recovery_is_over),
        TEST(restart_of_the_machine_forgets_moments),
        TEST(switchover_that_is_given_up_after_a_restart_trusts_nobody),
        TEST(primary_of_the_status_file_is_trusted_again),
        TEST(later_of_two_primaries_is_found),
        TEST(equal_primaries_are_none),
        TEST(primary_behind_a_standby_is_none),
        TEST(silent_node_delays_the_search),
        TEST(always_primary_is_found_at_once),
        TEST(nodes_come_and_go),
        TEST(candidate_goes_in_the_middle),
        TEST(wanted_node_goes_in_the_middle),
        TEST(names_are_there),
    };

    return cmocka_run_group_tests_name("plan_command", tests, NULL, NULL);
}

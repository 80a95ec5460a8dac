/* plan.h, BY POSITION: raw and logical replication. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "drive.h"

#include <string.h>

static void
assert_state(int node_id, enum node_state state)
{
    assert_string_equal(node_state_info(stage_state(node_id))->name, node_state_info(state)->name);
}

/* Nothing that streaming does to servers is asked for, whatever happens. */
static void
assert_harmless(void)
{
    for (uint32_t n = 0; n < stage->steps.count; n++) {
        enum plan_step_kind kind = (enum plan_step_kind)stage->steps.list[n].kind;

        assert_true(kind != PLAN_DO_PROMOTE_SQL && kind != PLAN_DO_FOLLOW &&
                    kind != PLAN_DO_VERIFY_PRIMARY && kind != PLAN_DO_STOP_ROGUE);
    }
}

static void
assert_main(int node_id)
{
    assert_harmless();
    assert_int_equal(stage->plan.operation.kind, PLAN_IDLE);
    assert_int_equal(stage->plan.primary_id, node_id);
    for (int other_id = 0; other_id < 3; other_id++)
        assert_int_equal(plan_may_write(&stage->plan, other_id), other_id == node_id);
}

static void
assert_nobody_writes(void)
{
    assert_harmless();
    for (int node_id = 0; node_id < 3; node_id++)
        assert_false(plan_may_write(&stage->plan, node_id));
}

static void
begin(enum cluster_mode mode)
{
    stage_empty(3);
    stage->config.mode = mode;
    plan_init(&stage->plan);
    stage_resume();
}

static int
raw(void **state)
{
    (void)state;
    begin(CLUSTER_MODE_RAW);
    for (int node_id = 2; node_id >= 0; node_id--) {
        assert_int_equal(stage->plan.primary_id, -1);
        stage_primary(node_id, 1, 1000 + 100 * (uint64_t)node_id);
    }
    return 0;
}

static int
logical(void **state)
{
    (void)state;
    begin(CLUSTER_MODE_LOGICAL);
    for (int node_id = 2; node_id >= 0; node_id--)
        stage_primary(node_id, 1, 1000);
    return 0;
}

/* ---- raw --------------------------------------------------------------------------------------
 */

static void
lowest_number_is_the_main_node(void **state)
{
    (void)state;
    assert_main(0);
    for (int node_id = 0; node_id < 3; node_id++)
        assert_state(node_id, NODE_UP);
    assert_true(plan_next_ns(&stage->plan, &stage->config) == INT64_MAX);
}

static void
who_is_late_at_start_is_passed_over(void **state)
{
    (void)state;
    begin(CLUSTER_MODE_RAW);
    stage_primary(1, 1, 1000);
    stage_primary(2, 1, 1000);
    assert_int_equal(stage->plan.primary_id, -1);
    stage_pass(2000);
    assert_main(1);
    stage_primary(0, 1, 1000);
    assert_main(1);
    assert_state(0, NODE_DOWN);
}

static void
next_one_takes_over_behind_a_fence(void **state)
{
    (void)state;
    stage_verdict(0, HEALTH_DEAD);
    assert_nobody_writes();
    assert_non_null(stage_step(PLAN_DO_FENCE, -1));
    assert_non_null(stage_step(PLAN_DO_WAIT_FENCED, -1));
    stage_pass(600);
    assert_non_null(stage_step(PLAN_DO_END_UNFENCED, -1));
    assert_nobody_writes();
    stage_fenced();
    assert_main(1);
    assert_non_null(stage_step(PLAN_DO_WRITE_STATUS, -1));
    assert_state(0, NODE_DOWN);
    stage_primary(0, 1, 1000);
    assert_main(1);
    assert_state(0, NODE_DOWN);
}

static void
attached_one_takes_over_again(void **state)
{
    (void)state;
    stage_verdict(0, HEALTH_DEAD);
    stage_fenced();
    stage_command(PLAN_ATTACH, 0);
    assert_non_null(stage_told(NODE_EVENT_COMMAND_DONE));
    assert_main(1);
    stage_primary(0, 1, 1000);
    assert_nobody_writes();
    assert_non_null(stage_step(PLAN_DO_FENCE, -1));
    stage_fenced();
    assert_main(0);
    assert_state(1, NODE_UP);
}

static void
last_one_remains(void **state)
{
    (void)state;
    stage_verdict(1, HEALTH_DEAD);
    stage_verdict(2, HEALTH_DEAD);
    stage_verdict(0, HEALTH_DEAD);
    assert_non_null(stage_told(NODE_EVENT_FAILOVER_REFUSED));
    assert_nobody_writes();
    stage_primary(1, 1, 1000); /* it has taken no part, and is not attached */
    assert_nobody_writes();
    stage_primary(0, 1, 1000);
    assert_main(0);
    stage_verdict(0, HEALTH_DEAD);
    stage_command(PLAN_ATTACH, 1);
    stage_primary(1, 1, 1000);
    stage_fenced();
    assert_main(1);
}

static void
flag_keeps_the_main_node(void **state)
{
    (void)state;
    stage->config.nodes[0].allow_failover = false;
    stage_verdict(0, HEALTH_DEAD);
    assert_non_null(stage_told(NODE_EVENT_FAILOVER_REFUSED));
    assert_nobody_writes();
    stage_pass(100000);
    assert_nobody_writes();
    stage_primary(0, 1, 1000);
    assert_main(0);
}

static void
main_node_is_detached(void **state)
{
    (void)state;
    stage_command(PLAN_DETACH, 0);
    assert_nobody_writes();
    stage_fenced();
    assert_main(1);
    assert_int_equal(stage_told(NODE_EVENT_COMMAND_DONE)->request, 77);
    assert_state(0, NODE_MAINTENANCE);
    stage_primary(0, 1, 1000);
    assert_state(0, NODE_MAINTENANCE);
    stage_command(PLAN_DETACH, 2);
    stage_command(PLAN_DETACH, 1);
    assert_non_null(stage_told(NODE_EVENT_COMMAND_REFUSED));
    assert_main(1);
}

static void
commands_run_on_the_way(void **state)
{
    (void)state;
    stage->config.fence_command = stage->config.failover_command = true;
    stage_verdict(0, HEALTH_DEAD);
    stage_fenced();
    assert_non_null(stage_step(PLAN_DO_FENCE_COMMAND, 0));
    stage_end(PLAN_DO_FENCE_COMMAND, 0, PLAN_FAILED);
    assert_non_null(stage_told(NODE_EVENT_STEP_FAILED));
    assert_nobody_writes();
    stage_pass(1000);
    assert_non_null(stage_step(PLAN_DO_FENCE_COMMAND, 0));
    stage_end(PLAN_DO_FENCE_COMMAND, 0, PLAN_DONE);
    assert_int_equal(stage_step(PLAN_DO_FAILOVER_COMMAND, 1)->other_id, 0);
    assert_nobody_writes();
    stage_end(PLAN_DO_FAILOVER_COMMAND, 1, PLAN_FAILED);
    assert_non_null(stage_told(NODE_EVENT_STEP_FAILED));
    assert_main(1);
}

static void
chosen_one_dies_while_the_command_runs(void **state)
{
    (void)state;
    stage->config.failover_command = true;
    stage_verdict(0, HEALTH_DEAD);
    stage_fenced();
    stage_verdict(1, HEALTH_DEAD);
    stage_end(PLAN_DO_FAILOVER_COMMAND, 1, PLAN_DONE);
    assert_non_null(stage_step(PLAN_DO_FAILOVER_COMMAND, 2));
    stage_end(PLAN_DO_FAILOVER_COMMAND, 2, PLAN_DONE);
    assert_main(2);
}

static void
fence_begins_anew_after_a_crash(void **state)
{
    (void)state;
    stage_verdict(0, HEALTH_DEAD);
    stage_resume();
    assert_nobody_writes();
    assert_non_null(stage_step(PLAN_DO_WAIT_FENCED, -1));
    stage_fenced();
    assert_main(1);
}

static void
choice_outlives_pgpool(void **state)
{
    (void)state;
    stage_verdict(0, HEALTH_DEAD);
    stage_fenced();
    plan_forget_moments(&stage->plan);
    stage_resume();
    stage_primary(0, 1, 1000);
    stage_primary(1, 1, 1000);
    assert_main(1);
    assert_state(0, NODE_DOWN);
}

static void
promote_is_refused(void **state)
{
    (void)state;
    stage_command(PLAN_PROMOTE, 1);
    assert_non_null(stage_told(NODE_EVENT_COMMAND_REFUSED));
    stage_command(PLAN_SWITCHOVER_TO, 1);
    assert_non_null(stage_told(NODE_EVENT_COMMAND_REFUSED));
    stage_command(PLAN_RECOVERY_BEGUN, 1);
    assert_non_null(stage_told(NODE_EVENT_COMMAND_REFUSED));
    assert_main(0);
}

/* ---- logical replication ----------------------------------------------------------------------
 */

static void
subscriber_is_never_the_main_node(void **state)
{
    (void)state;
    assert_main(0);
    stage_verdict(0, HEALTH_DEAD);
    assert_non_null(stage_told(NODE_EVENT_FAILOVER_REFUSED));
    assert_nobody_writes();
    assert_true(plan_may_read(&stage->plan, 1));
    stage_pass(100000);
    stage_verdict(0, HEALTH_DEAD);
    stage_primary(1, 2, 5000);
    stage_resume();
    assert_nobody_writes();
    stage_primary(0, 2, 1000);
    assert_main(0);
}

/* Also at the very first start: a publisher that is away makes no subscriber the main node. */
static void
nobody_takes_its_place_at_start(void **state)
{
    (void)state;
    begin(CLUSTER_MODE_LOGICAL);
    stage_primary(1, 1, 1000);
    stage_primary(2, 1, 1000);
    stage_verdict(0, HEALTH_DEAD);
    stage_pass(100000);
    assert_nobody_writes();
    stage_primary(0, 1, 1000);
    assert_main(0);
}

static void
flag_names_the_main_node(void **state)
{
    (void)state;
    stage->config.nodes[2].always_primary = true;
    stage_event(&(struct plan_event){.kind = PLAN_NODES_LOADED});
    assert_nobody_writes();
    assert_non_null(stage_step(PLAN_DO_FENCE, -1));
    stage_fenced();
    assert_main(2);
    assert_state(0, NODE_UP);
}

static void
detached_main_node_has_no_successor(void **state)
{
    (void)state;
    stage_command(PLAN_DETACH, 0);
    assert_non_null(stage_told(NODE_EVENT_COMMAND_DONE));
    assert_nobody_writes();
    stage_primary(0, 1, 1000);
    assert_nobody_writes();
    stage->config.nodes[1].always_primary = true;
    stage_event(&(struct plan_event){.kind = PLAN_NODES_LOADED});
    stage_fenced();
    assert_main(1);
    assert_state(0, NODE_MAINTENANCE);
    stage_command(PLAN_ATTACH, 0);
    stage_primary(0, 1, 1000);
    assert_state(0, NODE_UP);
    assert_main(1);
}

static void
subscriber_comes_back_by_itself(void **state)
{
    (void)state;
    stage_verdict(1, HEALTH_DEAD);
    assert_state(1, NODE_DOWN);
    stage_primary(1, 1, 1000);
    assert_state(1, NODE_UP);
    stage->config.auto_failback = false;
    stage_verdict(1, HEALTH_DEAD);
    stage_primary(1, 1, 1000);
    assert_state(1, NODE_DOWN);
    stage_command(PLAN_ATTACH, 1);
    stage_primary(1, 1, 1000);
    assert_state(1, NODE_UP);
}

static void
standby_is_put_aside(void **state)
{
    (void)state;
    stage_standby(2, 1, 1000);
    assert_state(2, NODE_QUARANTINED);
    stage_standby(0, 1, 1000);
    assert_nobody_writes();
    stage_primary(2, 2, 1000);
    assert_state(2, NODE_UP);
    stage_primary(0, 2, 1000);
    assert_main(0);
}

#define RAW(name) cmocka_unit_test_setup(name, raw)
#define LOGICAL(name) cmocka_unit_test_setup(name, logical)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RAW(lowest_number_is_the_main_node),
        RAW(who_is_late_at_start_is_passed_over),
        RAW(next_one_takes_over_behind_a_fence),
        RAW(attached_one_takes_over_again),
        RAW(last_one_remains),
        RAW(flag_keeps_the_main_node),
        RAW(main_node_is_detached),
        RAW(commands_run_on_the_way),
        RAW(chosen_one_dies_while_the_command_runs),
        RAW(fence_begins_anew_after_a_crash),
        RAW(choice_outlives_pgpool),
        RAW(promote_is_refused),
        LOGICAL(subscriber_is_never_the_main_node),
        LOGICAL(nobody_takes_its_place_at_start),
        LOGICAL(flag_names_the_main_node),
        LOGICAL(detached_main_node_has_no_successor),
        LOGICAL(subscriber_comes_back_by_itself),
        LOGICAL(standby_is_put_aside),
    };

    return cmocka_run_group_tests_name("plan_position", tests, NULL, NULL);
}

/* See drive.h. */
#include "drive.h"

#include <string.h>

static struct stage the_stage;
struct stage *const stage = &the_stage;

void
stage_empty(uint32_t nodes)
{
    memset(stage, 0, sizeof(*stage));
    stage->now_ns = 1000 * NS_PER_S;
    stage->config = (struct plan_config){
        .node_count = nodes,
        .auto_failback = true,
        .auto_failback_interval_ns = 10000 * NS_PER_MS,
        .candidate_wait_ns = 2000 * NS_PER_MS,
        .fence_wait_ns = 500 * NS_PER_MS,
        .command_wait_ns = 10000 * NS_PER_MS,
        .promote_wait_ns = 3000 * NS_PER_MS,
        .verify_wait_ns = 3000 * NS_PER_MS,
        .follow_wait_ns = 4000 * NS_PER_MS,
        .switchover_wait_ns = 5000 * NS_PER_MS,
        .flush_wait_ns = 1000 * NS_PER_MS,
        .retry_wait_ns = 1000 * NS_PER_MS,
        .search_wait_ns = 60000 * NS_PER_MS,
    };
    for (uint32_t node_id = 0; node_id < nodes; node_id++)
        stage->config.nodes[node_id] =
            (struct plan_node_config){.configured = true, .allow_failover = true};
    plan_init(&stage->plan);
    stage_event(&(struct plan_event){.kind = PLAN_RESUMED});
}

int
stage_set(void **state)
{
    (void)state;
    stage_empty(3);
    stage_primary(0, 1, 1000);
    stage_standby(1, 1, 1000);
    stage_standby(2, 1, 1000);
    stage_streams(1, PLAN_STREAM_YES);
    stage_streams(2, PLAN_STREAM_YES);
    return 0;
}

void
stage_event(const struct plan_event *event)
{
    struct plan_event copy = *event;

    stage->now_ns += NS_PER_MS;
    copy.now_ns = stage->now_ns;
    copy.at_us = stage->now_ns / 1000;
    stage->steps.count = 0;
    plan_handle(&stage->plan, &stage->config, &copy, &stage->steps);
    for (uint32_t n = 0; n < stage->steps.count; n++) {
        const struct plan_step *step = &stage->steps.list[n];

        if (step->serial != 0)
            stage->serials[step->kind][step->node_id] = step->serial;
    }
}

void
stage_pass(int64_t ms)
{
    stage->now_ns += ms * NS_PER_MS;
    stage_event(&(struct plan_event){.kind = PLAN_TICK});
}

static void
answer(int node_id, const struct health_answer *words)
{
    struct health_fact fact = {
        .verdict = HEALTH_ALIVE, .answered = true, .began_ns = stage->now_ns, .answer = *words};

    stage_event(&(struct plan_event){.kind = PLAN_HEALTH, .node_id = node_id, .health = &fact});
}

void
stage_primary(int node_id, uint32_t timeline, uint64_t lsn)
{
    stage_unflushed(node_id, timeline, lsn, lsn);
}

void
stage_unflushed(int node_id, uint32_t timeline, uint64_t inserted, uint64_t flushed)
{
    answer(node_id, &(struct health_answer){.timeline = timeline,
                                            .system_identifier = SYSTEM,
                                            .received_lsn = inserted,
                                            .flushed_lsn = flushed});
}

void
stage_standby(int node_id, uint32_t timeline, uint64_t lsn)
{
    answer(node_id, &(struct health_answer){.in_recovery = true,
                                            .timeline = timeline,
                                            .system_identifier = SYSTEM,
                                            .received_lsn = lsn});
}

void
stage_foreign(int node_id, bool in_recovery)
{
    answer(node_id, &(struct health_answer){
                        .in_recovery = in_recovery, .timeline = 1, .system_identifier = 8000});
}

void
stage_verdict(int node_id, enum health_verdict verdict)
{
    struct health_fact fact = {.verdict = (uint8_t)verdict, .began_ns = stage->now_ns};

    stage_event(&(struct plan_event){.kind = PLAN_HEALTH, .node_id = node_id, .health = &fact});
}

static void
tell_lag(void)
{
    stage->lag.primary_id = stage->plan.primary_id;
    stage_event(&(struct plan_event){.kind = PLAN_LAG, .lag = &stage->lag});
}

void
stage_streams(int node_id, enum plan_stream stream)
{
    stage->lag.stream[node_id] = (uint8_t)stream;
    tell_lag();
}

void
stage_sync(bool set, int sync_id)
{
    memset(stage->lag.sync, 0, sizeof(stage->lag.sync));
    stage->lag.synchronous = set;
    if (sync_id >= 0)
        stage->lag.sync[sync_id] = true;
    tell_lag();
}

void
stage_fenced(void)
{
    stage_event(&(struct plan_event){.kind = PLAN_FENCED, .epoch = stage->plan.epoch});
}

void
stage_end(enum plan_step_kind kind, int node_id, enum plan_result result)
{
    stage_event(&(struct plan_event){.kind = PLAN_STEP_ENDED,
                                     .node_id = node_id,
                                     .serial = stage->serials[kind][node_id],
                                     .result = result,
                                     .text = result == PLAN_DONE ? NULL : "it said no"});
}

void
stage_command(enum plan_event_kind kind, int node_id)
{
    stage_event(&(struct plan_event){.kind = kind, .node_id = node_id, .request = 77});
}

void
stage_resume(void)
{
    stage_event(&(struct plan_event){.kind = PLAN_RESUMED});
}

const struct plan_step *
stage_step(enum plan_step_kind kind, int node_id)
{
    for (uint32_t n = 0; n < stage->steps.count; n++)
        if (stage->steps.list[n].kind == kind &&
            (node_id < 0 || stage->steps.list[n].node_id == node_id))
            return &stage->steps.list[n];
    return NULL;
}

const struct plan_step *
stage_told(enum node_event event)
{
    for (uint32_t n = 0; n < stage->steps.count; n++)
        if (stage->steps.list[n].kind == PLAN_DO_EVENT && stage->steps.list[n].event == event)
            return &stage->steps.list[n];
    return NULL;
}

enum node_state
stage_state(int node_id)
{
    return stage->plan.nodes[node_id].state;
}

void
stage_failover_to(int node_id)
{
    stage_verdict(stage->plan.primary_id, HEALTH_DEAD);
    stage_fenced();
    for (int other_id = 0; other_id < (int)stage->plan.node_count; other_id++)
        if (other_id != stage->plan.operation.old_primary_id)
            stage_standby(other_id, stage->plan.timeline, other_id == node_id ? 2000 : 1500);
}

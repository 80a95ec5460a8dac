/*
 * Any bytes as pgpool_status, and any lines with a right checksum behind them.
 *
 * Checked besides memory: who fails names the line; what is accepted prints to a text that is
 * accepted and prints to the same again; and the plan can go on from it, whatever it says.
 */
#include "fuzz.h"

#include "cluster/status.h"

#include <inttypes.h>

static struct status status;
static struct status again;
static struct plan_steps steps;

static void
check_round_trip(void)
{
    struct buf first = BUF_EMPTY;
    struct buf second = BUF_EMPTY;
    struct err err;

    status_print(&status, &first);
    if (status_parse(&again, (const char *)first.data, first.len, &err) != 0)
        BUG("what was printed is refused: %s", err.message);
    status_print(&again, &second);
    if (first.len != second.len || memcmp(first.data, second.data, first.len) != 0)
        BUG("what was printed changes when it is parsed");
    buf_free(&first);
    buf_free(&second);
}

static void
go_on(void)
{
    struct plan_config config = {.node_count = CLUSTER_NODES_MAX, .candidate_wait_ns = 1};
    struct plan_event event = {.kind = PLAN_RESUMED, .now_ns = NS_PER_S};

    for (uint32_t node_id = 0; node_id < status.plan.node_count; node_id++)
        config.nodes[node_id].configured = node_id % 3 != 2;
    for (int at = 0; at < 3; at++) {
        steps.count = 0;
        plan_handle(&status.plan, &config, &event, &steps);
        for (int node_id = 0; node_id < CLUSTER_NODES_MAX; node_id++)
            if (plan_may_write(&status.plan, node_id))
                BUG("a write where nobody has answered");
        event = (struct plan_event){.kind = at == 0 ? PLAN_FENCED : PLAN_TICK,
                                    .now_ns = event.now_ns + NS_PER_S,
                                    .epoch = status.plan.epoch};
    }
}

static void
take(const char *text, size_t len)
{
    struct err err;

    if (status_parse(&status, text, len, &err) != 0) {
        fuzz_check_error(&err);
        if (strstr(err.message, "line ") == NULL || status.plan.node_count != 0)
            BUG("a failure without its line, or with nodes");
        return;
    }
    check_round_trip();
    go_on();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t sum = UINT64_C(14695981039346656037);
    struct buf text = BUF_EMPTY;

    take((const char *)data, size);
    for (size_t at = 0; at < size; at++)
        sum = (sum ^ data[at]) * UINT64_C(1099511628211);
    buf_add(&text, data, size);
    buf_printf(&text, "checksum %016" PRIx64 "\n", sum);
    take((const char *)text.data, text.len);
    buf_free(&text);
    return 0;
}

/*
 * The last hour: rates, percentiles of intervals, the ring; and what has happened beside the
 * events.
 */
#include "cluster/health.h"
#include "cluster/nodes.h"
#include "cluster/view.h"
#include "config/config.h"
#include "inspect/happenings.h"
#include "inspect/history.h"
#include "ipc/shared.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct config *config;
static struct shared *shared;
static struct cluster_freshness freshness;
static struct cluster_view view = {.primary_id = 0};
static struct inspect_input in;
static struct history *history;
static struct buf out;
static int64_t now_ns = NS_PER_S;

static const char SETTINGS[] = "backend_hostname0 = 'a'\nbackend_port0 = 1\n"
                               "backend_hostname1 = 'b'\nbackend_port1 = 2\n"
                               "max_backend_connections = 7\n";

static int
setup(void **state)
{
    const struct shared_layout layout = {.child_slots = 2,
                                         .health_slots = 2,
                                         .sessions_per_child = 10,
                                         .memo_entries = 64,
                                         .freshness_bytes = sizeof(struct cluster_freshness),
                                         .nodes_bytes = sizeof(struct cluster_nodes),
                                         .events_bytes = sizeof(struct cluster_events),
                                         .health_bytes = sizeof(struct health),
                                         .writes_fd = -1};
    struct config_report report;
    struct err err;

    (void)state;
    config_report_init(&report);
    assert_int_equal(config_load_text(SETTINGS, strlen(SETTINGS), "test.conf", &config, &report),
                     0);
    config_report_fini(&report);
    assert_int_equal(shared_new(&layout, &shared, &err), 0);
    freshness = (struct cluster_freshness){.node_count = 2};
    freshness.nodes[0] = (struct node_freshness){.reachable = 1};
    freshness.nodes[1] = (struct node_freshness){.reachable = 1, .delay_us = 2500};
    in = (struct inspect_input){
        .config = config, .shared = shared, .freshness = &freshness, .view = &view};
    history = history_new();
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    history_free(history);
    shared_free(shared);
    config_free(config);
    buf_free(&out);
    return 0;
}

static void
take(int64_t seconds)
{
    now_ns += seconds * NS_PER_S;
    history_take(history, &in, now_ns / 1000, now_ns);
}

static const char *
text(uint64_t from)
{
    buf_clear(&out);
    history_json(history, from, &out);
    return buf_cstr(&out);
}

static void
assert_has(const char *whole, const char *part)
{
    if (strstr(whole, part) == NULL)
        fail_msg("no %s in %s", part, whole);
}

static void
rates_are_of_the_interval(void **state)
{
    struct child_slot *child = shared_child(shared, 0);

    (void)state;
    child->accepted_total = 1;
    child->nodes[0].select_cnt = 1000000; /* from before: no part of any sample */
    histogram_add(&child->times[0].statements, 60 * NS_PER_S);
    take(5);
    assert_has(text(0), "\"next\":0,");
    child->nodes[0].select_cnt += 40;
    child->nodes[1].insert_cnt += 10;
    child->nodes[1].error_cnt += 5;
    for (int n = 0; n < 100; n++)
        histogram_add(&child->times[0].statements, 1000000);
    take(5);
    assert_has(text(0), "\"next\":1,");
    assert_has(text(0), ",8,2,1,0,0,0,1.00"); /* reads, writes, errors; hits, misses, waits; p50 */
    assert_has(text(0), ",8,0,2,2.5]");       /* node 0 and its lag, node 1 and its lag */
    take(10);
    assert_has(text(1), ",0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,2.5]");
    child->nodes[0].select_cnt = 0; /* went back */
    freshness.nodes[1].reachable = 0;
    take(5);
    assert_has(text(2), ",0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,null]");
    history_take(history, &in, now_ns / 1000, now_ns); /* no time has passed */
    assert_has(text(2), "\"next\":3,");
}

static void
what_is_there_is_counted(void **state)
{
    struct session_slot *slot = shared_session(shared, 1, 3);
    struct server_slot *server = shared_server(shared, 1, 0);

    (void)state;
    atomic_store(&shared_child(shared, 1)->sessions, 2);
    atomic_store(&shared_session(shared, 1, 0)->state, SESSION_SLOT_IDLE);
    atomic_store(&slot->state, SESSION_SLOT_IN_TX);
    atomic_store(&slot->waiting_since_ns, 1);
    atomic_store(&server->used, 1);
    server->created_at_us = 1;
    server->node_id = 1;
    server->session = 3;
    atomic_store(&shared_proc_of_child(shared, 1)->pid, 4711);
    buf_clear(&out);
    history_json_now(&in, &out);
    assert_string_equal(buf_cstr(&out),
                        "{\"clients\":2,\"active\":1,\"waiting\":1,\"on_hold\":0,\"busy\":1,"
                        "\"idle\":0,\"most\":1,\"clients_limit\":10,\"connections_limit\":7}");
}

static unsigned
count_samples(const char *whole)
{
    unsigned count = 0;

    for (const char *at = strstr(whole, "\"samples\""); (at = strchr(at, '\n')) != NULL; at++)
        count += at[1] == '[';
    return count;
}

static void
an_hour_is_kept(void **state)
{
    (void)state;
    for (int n = 0; n < HISTORY_SAMPLES + 11; n++)
        take(5);
    assert_int_equal(count_samples(text(0)), HISTORY_SAMPLES);
    assert_has(text(0), "\"from\":10,\"next\":730,");
    assert_int_equal(count_samples(text(725)), 5);
    assert_int_equal(count_samples(text(730)), 0);
    assert_has(text(730), "\"from\":730,");
    assert_has(text(731), "\"from\":10,"); /* another process's number */
}

static void
happenings_are_kept_in_a_ring(void **state)
{
    static struct happenings h;
    uint64_t version = happenings_version(&h, &in);
    char many[2 * HAPPENING_TEXT_BYTES];

    (void)state;
    memset(many, 'x', sizeof(many) - 1);
    many[sizeof(many) - 1] = '\0';
    happenings_note(&h, 1000000, "a kind that is much too long for its place", "%s", many);
    assert_int_not_equal(happenings_version(&h, &in), version);
    assert_int_equal(strlen(h.list[0].text), HAPPENING_TEXT_BYTES - 1);
    for (int n = 0; n < HAPPENINGS_MAX; n++)
        happenings_note(&h, 2000000 + n, "test", "number <%d>", n);
    buf_clear(&out);
    happenings_json(&h, &in, &out);
    assert_null(strstr(buf_cstr(&out), "xxx"));
    assert_has(buf_cstr(&out), "number <0>");
    assert_has(buf_cstr(&out), "\"at_ms\":2000,\"node_id\":null,\"event\":\"test\"");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rates_are_of_the_interval, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_there_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(an_hour_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(happenings_are_kept_in_a_ring, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

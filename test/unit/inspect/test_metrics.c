/*
 * Metrics and JSON: the forms themselves, and a whole answer from slots filled by hand.
 */
#include "config.h"

#include "base/str.h"
#include "cluster/health.h"
#include "cluster/nodes.h"
#include "cluster/view.h"
#include "config/config.h"
#include "inspect/json.h"
#include "inspect/metrics.h"
#include "inspect/metrics_text.h"
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
static struct cluster_view view;
static struct inspect_input in;
static struct buf out;

static const char SETTINGS[] = "backend_hostname0 = 'db\"0'\n"
                               "backend_port0 = 5432\n"
                               "backend_port2 = 5433\n"
                               "pool_mode = transaction\n";

static int
setup(void **state)
{
    const struct shared_layout layout = {.child_slots = 3,
                                         .health_slots = 4,
                                         .sessions_per_child = 10,
                                         .memo_entries = 64,
                                         .freshness_bytes = sizeof(struct cluster_freshness),
                                         .nodes_bytes = sizeof(struct cluster_nodes),
                                         .events_bytes = sizeof(struct cluster_events),
                                         .health_bytes = sizeof(struct health),
                                         .writes_fd = -1};
    struct cluster_members members;
    struct config_report report;
    struct err err;

    (void)state;
    config_report_init(&report);
    assert_int_equal(config_load_text(SETTINGS, strlen(SETTINGS), "test.conf", &config, &report),
                     0);
    config_report_fini(&report);
    assert_int_equal(shared_new(&layout, &shared, &err), 0);
    memset(&freshness, 0, sizeof(freshness));
    freshness.node_count = 3;
    for (int id = 0; id <= 2; id += 2)
        freshness.nodes[id] = (struct node_freshness){
            .configured = 1,
            .reachable = 1,
            .asked = 1,
            .role = id == 0 ? NODE_ROLE_PRIMARY : NODE_ROLE_STANDBY,
            .timeline = 1,
            .system_identifier = 7,
            .delay_bytes = id == 0 ? 0 : 4096,
            .delay_us = id == 0 ? 0 : 1500000,
        };
    cluster_members_from_config(&members, config);
    cluster_view_build(&view, &freshness, &members, NULL);
    in = (struct inspect_input){
        .config = config, .shared = shared, .freshness = &freshness, .view = &view};
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    shared_free(shared);
    config_free(config);
    buf_free(&out);
    return 0;
}

static void
assert_says(const char *line)
{
    char with_ends[512];

    snprintf(with_ends, sizeof(with_ends), "\n%s\n", line);
    if (strstr(buf_cstr(&out), with_ends) == NULL)
        fail_msg("there is no line \"%s\" in\n%s", line, buf_cstr(&out));
}

/* ---- the text format ---- */

static void
labels_are_escaped(void **state)
{
    struct metrics m = {.out = &out};
    const struct metrics_labels labels = {{{"a", "x\"\\\ny"}, {"b", "\xff\xc3\xa4\xc3"}}};

    (void)state;
    metrics_family(&m, "f", "gauge", "Words.");
    metrics_count(&m, &labels, UINT64_MAX);
    metrics_count(&m, NULL, 0);
    assert_string_equal(buf_cstr(&out),
                        "# HELP pgpool_f Words.\n# TYPE pgpool_f gauge\n"
                        "pgpool_f{a=\"x\\\"\\\\\\ny\",b=\"\xEF\xBF\xBD\xc3\xa4\xEF\xBF\xBD\"} "
                        "18446744073709551615\npgpool_f 0\n");
}

static void
seconds_have_the_digits_that_count(void **state)
{
    char text[METRICS_NUMBER_BYTES];

    (void)state;
    assert_string_equal(metrics_seconds(0, text), "0");
    assert_string_equal(metrics_seconds(64, text), "0.000064");
    assert_string_equal(metrics_seconds(1500000, text), "1.5");
    assert_string_equal(metrics_seconds(100000000, text), "100");
    assert_string_equal(metrics_seconds(-1, text), "-0.000001");
    assert_string_equal(metrics_seconds(INT64_MIN, text), "-9223372036854.775808");
    assert_string_equal(metrics_seconds(INT64_MAX, text), "9223372036854.775807");
}

/* ---- the whole answer ---- */

static void
add_session(uint32_t n, enum session_slot_state state, const char *database)
{
    struct session_slot *slot = shared_session(shared, 1, n);

    str_copy(slot->database, sizeof(slot->database), database);
    atomic_store(&slot->state, state);
    atomic_fetch_add(&shared_child(shared, 1)->sessions, 1);
}

static void
every_node_is_told_of(void **state)
{
    (void)state;
    shared_child(shared, 0)->nodes[2].select_cnt = 3;
    shared_child(shared, 1)->nodes[2].select_cnt = 4;
    shared_child(shared, 1)->nodes[0].error_cnt = 5;
    inspect_metrics(&in, &out);
    assert_says("pgpool_node_info{node_id=\"0\",hostname=\"db\\\"0\",port=\"5432\"} 1");
    assert_says("pgpool_node_primary{node_id=\"0\"} 1");
    assert_says("pgpool_node_primary{node_id=\"2\"} 0");
    assert_says("pgpool_node_status{node_id=\"2\",status=\"up\"} 1");
    assert_says("pgpool_node_status{node_id=\"2\",status=\"down\"} 0");
    assert_says("pgpool_node_replication_delay_bytes{node_id=\"2\"} 4096");
    assert_says("pgpool_node_replication_delay_seconds{node_id=\"2\"} 1.5");
    assert_says("pgpool_node_statements_total{node_id=\"2\",kind=\"select\"} 7");
    assert_says("pgpool_node_errors_total{node_id=\"0\",severity=\"error\"} 5");
    assert_null(strstr(buf_cstr(&out), "node_id=\"1\""));
}

static void
clients_are_counted_by_database_and_state(void **state)
{
    (void)state;
    add_session(0, SESSION_SLOT_IDLE, "shop");
    add_session(1, SESSION_SLOT_IDLE, "shop");
    add_session(2, SESSION_SLOT_ACTIVE, "shop");
    add_session(5, SESSION_SLOT_LOGIN, "whatever it says");
    shared_session(shared, 1, 2)->waiting_since_ns = 1;
    shared_child(shared, 1)->accepted_total = 9;
    inspect_metrics(&in, &out);
    assert_says("pgpool_clients{database=\"shop\",pool_mode=\"transaction\",state=\"idle\"} 2");
    assert_says("pgpool_clients{database=\"shop\",pool_mode=\"transaction\",state=\"active\"} 1");
    assert_says("pgpool_clients{database=\"\",pool_mode=\"transaction\",state=\"login\"} 1");
    assert_says("pgpool_clients_waiting{database=\"shop\"} 1");
    assert_says("pgpool_clients_accepted_total 9");
    assert_null(strstr(buf_cstr(&out), "whatever"));
}

static void
histograms_add_up(void **state)
{
    struct child_slot *child = shared_child(shared, 1);

    (void)state;
    child->accepted_total = 1;
    histogram_add(&child->times[2].statements, 63 * 1000);
    histogram_add(&child->times[2].statements, 64 * 1000);
    histogram_add(&child->times[2].statements, 3600 * INT64_C(1000000000));
    inspect_metrics(&in, &out);
    assert_says("pgpool_statement_duration_seconds_bucket{node_id=\"2\",le=\"0.000064\"} 1");
    assert_says("pgpool_statement_duration_seconds_bucket{node_id=\"2\",le=\"0.000096\"} 2");
    assert_says("pgpool_statement_duration_seconds_bucket{node_id=\"2\",le=\"67.108864\"} 2");
    assert_says("pgpool_statement_duration_seconds_bucket{node_id=\"2\",le=\"+Inf\"} 3");
    assert_says("pgpool_statement_duration_seconds_count{node_id=\"2\"} 3");
    assert_says("pgpool_statement_duration_seconds_sum{node_id=\"2\"} 3600.000127");
    assert_says("pgpool_connection_wait_seconds_count{node_id=\"2\"} 0");
}

/* Each family is declared once, before its samples, and each sample once. */
static void
no_line_stands_twice(void **state)
{
    const char *end;

    (void)state;
    inspect_metrics(&in, &out);
    for (const char *line = buf_cstr(&out); *line != '\0'; line = end + 1) {
        char text[512];
        const char *value;

        end = strchr(line, '\n');
        assert_non_null(end);
        assert_true(str_copy_n(text, sizeof(text), line, (size_t)(end - line)));
        value = line[0] == '#' ? NULL : strrchr(text, ' ');
        if (value != NULL)
            text[value - text + 1] = '\0';
        assert_null(strstr(end, text));
    }
}

/* ---- JSON ---- */

#ifdef HAVE_HTTP

static void
two_rows(const struct inspect_input *input, inspect_row_fn *row, void *ctx)
{
    (void)input;
    row(ctx, (const char *const[]){"a\"\n\x01", NULL}, 2);
    row(ctx, (const char *const[]){"", "\xe4\xc3\xa4\xc3"}, 2);
}

static void
rows_become_objects(void **state)
{
    const struct inspect_view of = {"x", 2, {"one", "two"}, two_rows};

    (void)state;
    inspect_json(&in, &of, &out);
    assert_string_equal(buf_cstr(&out),
                        "[\n{\"one\":\"a\\\"\\n\\u0001\",\"two\":null},\n"
                        "{\"one\":\"\",\"two\":\"\xEF\xBF\xBD\xc3\xa4\xEF\xBF\xBD\"}\n]\n");
}

static void
no_row(const struct inspect_input *input, inspect_row_fn *row, void *ctx)
{
    (void)input;
    (void)row;
    (void)ctx;
}

static void
no_rows_are_an_empty_array(void **state)
{
    const struct inspect_view of = {"x", 1, {"one"}, no_row};

    (void)state;
    inspect_json(&in, &of, &out);
    assert_string_equal(buf_cstr(&out), "[\n]\n");
}

#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(labels_are_escaped, setup, teardown),
        cmocka_unit_test_setup_teardown(seconds_have_the_digits_that_count, setup, teardown),
        cmocka_unit_test_setup_teardown(every_node_is_told_of, setup, teardown),
        cmocka_unit_test_setup_teardown(clients_are_counted_by_database_and_state, setup, teardown),
        cmocka_unit_test_setup_teardown(histograms_add_up, setup, teardown),
        cmocka_unit_test_setup_teardown(no_line_stands_twice, setup, teardown),
#ifdef HAVE_HTTP
        cmocka_unit_test_setup_teardown(rows_become_objects, setup, teardown),
        cmocka_unit_test_setup_teardown(no_rows_are_an_empty_array, setup, teardown),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

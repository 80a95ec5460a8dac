/*
 * The views of SHOW, from slots and freshness filled by hand.
 */
#include "auth/hba_file.h"
#include "base/str.h"
#include "cluster/health.h"
#include "cluster/pgpools.h"
#include "cluster/view.h"
#include "config/config.h"
#include "config/overrides.h"
#include "inspect/inspect.h"
#include "ipc/shared.h"
#include "os/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* pool_hba.conf of these tests; there is no pool_ident.conf unless ident_text is set. */
static const char *ident_text;

static int
read_text(void *ctx, const char *path, struct buf *text, struct err *err)
{
    const char *content = ident_text;

    (void)ctx;
    (void)err;
    if (strcmp(path, "/e/pool_hba.conf") == 0)
        content = "local all \"x y\",+b peer map=m\n"
                  "\n"
                  "hostssl sameuser all 10.0.0.0/8 ldap ldapserver=s ldapprefix=p "
                  "ldapbindpasswd=secret\n"
                  "host all all samenet ldap ldapserver=s ldapbasedn=b ldapbindpasswd=secret\n"
                  "host all all all gss\n";
    if (content == NULL)
        return 1;
    buf_add_str(text, content);
    return 0;
}

static const struct hba_reader hba_reader = {NULL, read_text, NULL};

enum { ROWS_MAX = 400 };
static const int64_t JANUARY_US = 1769860800LL * 1000000; /* 2026-01-31 12:00:00 UTC */

static struct config *config;
static struct shared *shared;
static struct cluster_freshness freshness;
static struct cluster_view view;
static struct inspect_input in;
static char *rows[ROWS_MAX]; /* values joined by '|' */
static uint32_t row_count;

static const char SETTINGS[] = "backend_hostname0 = 'db0'\n"
                               "backend_port0 = 5432\n"
                               "backend_weight0 = 1\n"
                               "backend_hostname2 = '/run/pg'\n"
                               "backend_port2 = 5433\n"
                               "backend_weight2 = 3\n";

static void
rebuild(void)
{
    struct cluster_members members;

    cluster_members_from_config(&members, config);
    cluster_view_build(&view, &freshness, &members, NULL);
}

static void
load(const char *more)
{
    struct config_report report;
    char text[1024];

    snprintf(text, sizeof(text), "%s%s", SETTINGS, more);
    config_free(config);
    config_report_init(&report);
    assert_int_equal(config_load_text(text, strlen(text), "test.conf", &config, &report), 0);
    config_report_fini(&report);
    in.config = config;
    rebuild();
}

static void
set_node(uint32_t node_id, enum node_role role)
{
    freshness.node_count = MAX(freshness.node_count, node_id + 1);
    freshness.nodes[node_id] = (struct node_freshness){
        .configured = 1,
        .reachable = 1,
        .asked = 1,
        .role = role,
        .timeline = 1,
        .system_identifier = 7,
        .changed_at_us = JANUARY_US,
    };
}

static int
setup(void **state)
{
    const struct shared_layout layout = {.child_slots = 3,
                                         .health_slots = 2,
                                         .sessions_per_child = 10,
                                         .memo_entries = 64,
                                         .freshness_bytes = 4096,
                                         .nodes_bytes = 64,
                                         .events_bytes = 64,
                                         .pgpools_bytes = sizeof(struct cluster_pgpools),
                                         .health_bytes = sizeof(struct health),
                                         .writes_fd = -1};
    struct err err;

    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    assert_int_equal(shared_new(&layout, &shared, &err), 0);
    memset(&freshness, 0, sizeof(freshness));
    set_node(0, NODE_ROLE_PRIMARY);
    set_node(2, NODE_ROLE_STANDBY);
    freshness.nodes[2].delay_bytes = 4096;
    freshness.nodes[2].delay_us = 1500000;
    str_copy(freshness.nodes[2].replication_state, 16, "streaming");
    str_copy(freshness.nodes[2].replication_sync_state, 16, "async");
    in = (struct inspect_input){.shared = shared,
                                .freshness = &freshness,
                                .view = &view,
                                .load_balance_node = 2,
                                .hba_reader = &hba_reader,
                                .hba_path = "/e/pool_hba.conf",
                                .ident_path = "/e/pool_ident.conf"};
    load("");
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    shared_free(shared);
    config_free(config);
    config = NULL;
    while (row_count > 0)
        free(rows[--row_count]);
    return 0;
}

static void
keep_row(void *ctx, const char *const *values, uint16_t count)
{
    const struct inspect_view *of = ctx;
    char text[2048] = "";
    size_t used = 0;

    assert_int_equal(count, of->column_count);
    for (uint16_t at = 0; at < count; at++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", at > 0 ? "|" : "",
                                 values[at]);
    assert_in_range(row_count, 0, ROWS_MAX - 1);
    rows[row_count++] = strdup(text);
}

static int
find(const char *name, bool parameter, struct inspect_target *target_r, struct err *err)
{
    const struct inspect_question question = {{name, (uint32_t)strlen(name)}, parameter};

    return inspect_find(&in, &question, target_r, err);
}

static void
run(const char *name)
{
    const struct inspect_view *of;
    struct inspect_target target;
    struct err err;

    assert_int_equal(find(name, false, &target, &err), 0);
    of = target.view;
    while (row_count > 0)
        free(rows[--row_count]);
    of->run(&in, keep_row, (void *)(uintptr_t)of);
}

static void
start_child(uint32_t child_no, int pid)
{
    struct proc_slot *process = shared_proc_of_child(shared, child_no);

    atomic_store(&process->pid, pid);
    process->started_at_us = JANUARY_US;
}

static struct session_slot *
add_client(uint32_t child_no, uint32_t n, enum session_slot_state state)
{
    struct session_slot *session = shared_session(shared, child_no, n);

    atomic_fetch_add(&shared_child(shared, child_no)->sessions, 1);
    atomic_store(&session->state, state);
    session->load_balance_node = 2;
    session->port = 40000;
    str_copy(session->database, SLOT_NAME_BYTES, "shop");
    str_copy(session->user, SLOT_NAME_BYTES, "alice");
    str_copy(session->host, SLOT_HOST_BYTES, "127.0.0.1");
    str_copy(session->statement, SLOT_STATEMENT_BYTES, "SELECT 1");
    return session;
}

static struct server_slot *
add_server(uint32_t child_no, uint32_t n, int node_id, int session_no)
{
    struct server_slot *server = shared_server(shared, child_no, n);

    atomic_store(&server->used, 1);
    server->node_id = node_id;
    server->session = session_no;
    server->backend_pid = 4711;
    server->pool_counter = 2;
    server->created_at_us = JANUARY_US + 1000000;
    server->client_connected_at_us = JANUARY_US + 2000000;
    str_copy(server->database, SLOT_NAME_BYTES, "shop");
    str_copy(server->user, SLOT_NAME_BYTES, "alice");
    return server;
}

static void
nodes_are_shown_as_routing_sees_them(void **state)
{
    (void)state;
    run("pool_nodes");
    assert_int_equal(row_count, 2);
    assert_string_equal(rows[0], "0|db0|5432|up|up|0.250000|primary|primary|0|false|0|||"
                                 "2026-01-31 12:00:00");
    assert_string_equal(rows[1], "2|/run/pg|5433|up|up|0.750000|standby|standby|0|true|4096|"
                                 "streaming|async|2026-01-31 12:00:00");
}

static void
status_tells_waiting_down_and_quarantine(void **state)
{
    (void)state;
    freshness.nodes[0].reachable = 0;
    rebuild();
    run("POOL_NODES");
    assert_non_null(strstr(rows[0], "|down|down|0.250000|standby|primary|"));
    set_node(0, NODE_ROLE_UNKNOWN);
    rebuild();
    run("pool_nodes");
    assert_non_null(strstr(rows[0], "|quarantine|up|0.250000|standby|unknown|"));
    memset(&freshness, 0, sizeof(freshness));
    rebuild();
    run("pool_nodes");
    assert_int_equal(row_count, 2);
    assert_string_equal(rows[0],
                        "0|db0|5432|waiting|unknown|0.250000|standby|unknown|0|false|0|||");
}

/* Node 2 has no place for its health here: a node that was added beyond the spare ones. */
static void
health_checks_are_counted(void **state)
{
    struct health *health = shared_health(shared, 0);

    (void)state;
    health->stats = (struct health_stats){
        .total_count = 5,
        .success_count = 4,
        .fail_count = 1,
        .skip_count = 3,
        .retry_count = 2,
        .max_retry_count = 2,
        .probe_count = 8,
        .max_duration_us = 9999,
        .min_duration_us = 1000,
        .total_duration_us = 20000,
        .last_health_check_us = JANUARY_US + 3000000,
        .last_successful_us = JANUARY_US + 2000000,
        .last_failed_us = JANUARY_US + 3000000,
    };
    run("pool_health_check_stats");
    assert_int_equal(row_count, 2);
    assert_string_equal(rows[0], "0|db0|5432|up|primary|2026-01-31 12:00:00|5|4|1|3|2|0.400000|2|"
                                 "9|1|2.500000|2026-01-31 12:00:03|2026-01-31 12:00:02||"
                                 "2026-01-31 12:00:03");
    assert_string_equal(rows[1], "2|/run/pg|5433|up|standby|2026-01-31 12:00:00|0|0|0|0|0|"
                                 "0.000000|0|0|0|0.000000||||");
}

static void
delay_is_in_seconds_when_judged_by_time(void **state)
{
    (void)state;
    load("delay_threshold_by_time = 1s\n");
    run("pool_nodes");
    assert_non_null(strstr(rows[0], "|0.000000 second|"));
    assert_non_null(strstr(rows[1], "|1.500000 second|"));
}

static void
replication_tells_how_fresh_each_node_is(void **state)
{
    struct node_freshness *standby = &freshness.nodes[2];

    (void)state;
    freshness.nodes[0].replay_lsn = 0x1600000010;
    standby->replay_lsn = 0x15ABCDEF01;
    standby->delay_us = 1500007;
    standby->fresh_as_of_ns = clock_monotonic_ns() - 2500 * NS_PER_MS;
    rebuild();
    run("pool_replication");
    assert_int_equal(row_count, 2);
    assert_non_null(strstr(rows[0], "0|db0|5432|primary|16/10|1|0|0.000|20"));
    assert_non_null(strstr(rows[0], "|0|||"));
    assert_non_null(strstr(rows[1], "2|/run/pg|5433|standby|15/ABCDEF01|1|4096|1500.007|20"));
    assert_non_null(strstr(rows[1], "|25"));
    assert_non_null(strstr(rows[1], "|streaming|async|"));
    assert_true(strlen(strstr(rows[1], "1500.007|")) > 9 + 26 + 5);
    standby->fresh_as_of_ns = 0; /* nothing is proved */
    run("pool_replication");
    assert_non_null(strstr(rows[1], "|1500.007|||streaming|async|"));
    standby->reachable = 0;
    str_copy(standby->last_error, sizeof(standby->last_error), "no route");
    rebuild();
    run("pool_replication");
    assert_non_null(strstr(rows[1], "|15/ABCDEF01|1|||||streaming|async|no route"));
    freshness.nodes[0].reachable = 0; /* no primary: behind whom? */
    standby->reachable = 1;
    rebuild();
    run("pool_replication");
    assert_non_null(strstr(rows[0], "0|db0|5432|standby|16/10|1||||||"));
    assert_non_null(strstr(rows[1], "|15/ABCDEF01|1|||||streaming"));
}

static void
raw_mode_has_main_and_replica(void **state)
{
    (void)state;
    load("backend_clustering_mode = raw\nhealth_check_period = 0\n"); /* nobody judges */
    run("pool_nodes");
    assert_non_null(strstr(rows[0], "|up|up|0.250000|main|primary|"));
    assert_non_null(strstr(rows[1], "|up|up|0.750000|replica|standby|"));
}

static void
counters_are_summed_over_children(void **state)
{
    (void)state;
    shared_child(shared, 0)->nodes[2].select_cnt = 5;
    shared_child(shared, 2)->nodes[2].select_cnt = 7;
    shared_child(shared, 1)->nodes[0] = (struct node_counters){1, 2, 3, 4, 5, 6, 7, 8, 9};
    run("pool_nodes");
    assert_non_null(strstr(rows[0], "|primary|primary|1|"));
    assert_non_null(strstr(rows[1], "|standby|standby|12|"));
    run("pool_backend_stats");
    assert_string_equal(rows[0], "0|db0|5432|up|primary|1|2|3|4|5|6|7|8|9");
    assert_string_equal(rows[1], "2|/run/pg|5433|up|standby|12|0|0|0|0|0|0|0|0");
}

static void
processes_have_a_row_per_client(void **state)
{
    (void)state;
    start_child(0, 100);
    start_child(2, 102);
    shared_child(shared, 0)->accepted_total = 9;
    add_client(0, 1, SESSION_SLOT_ACTIVE);
    add_client(0, 4, SESSION_SLOT_IN_TX);
    add_server(0, 0, 0, -1);
    add_server(0, 1, 2, 4);
    run("pool_processes");
    assert_int_equal(row_count, 3);
    assert_string_equal(rows[0], "100|2026-01-31 12:00:00|9|shop|alice||0|Execute command");
    assert_string_equal(rows[1], "100|2026-01-31 12:00:00|9|shop|alice|2026-01-31 12:00:01|2|"
                                 "Idle in transaction");
    assert_string_equal(rows[2], "102|2026-01-31 12:00:00|0||||0|Wait for connection");
}

static void
pools_have_a_row_per_server_connection(void **state)
{
    struct server_slot *idle;

    (void)state;
    start_child(1, 101);
    start_child(2, 102);
    add_client(1, 3, SESSION_SLOT_IDLE);
    add_server(1, 0, 2, 3);
    idle = add_server(1, 2, 0, -1);
    shared_server(shared, 1, 1)->created_at_us = JANUARY_US; /* given back */
    idle->client_disconnected_at_us = JANUARY_US + 3000000;
    run("pool_pools");
    assert_int_equal(row_count, 3);
    assert_string_equal(rows[0], "101|2026-01-31 12:00:00|0|0|2|shop|alice|2026-01-31 12:00:01|"
                                 "2026-01-31 12:00:02||0|3|0|2|4711|1|Idle|1|127.0.0.1|40000|"
                                 "SELECT 1");
    assert_non_null(strstr(rows[1], "|2|0|shop|alice|2026-01-31 12:00:01|2026-01-31 12:00:02|"
                                    "2026-01-31 12:00:03|"));
    assert_non_null(strstr(rows[1], "|3|0|2|4711|0|Wait for connection|0|||"));
    assert_string_equal(rows[2], "102|2026-01-31 12:00:00|0|0|||||||0|||0|0|0|"
                                 "Wait for connection|0|||");
}

static void
unterminated_texts_are_cut(void **state)
{
    (void)state;
    start_child(0, 100);
    memset(add_client(0, 0, SESSION_SLOT_IDLE)->database, 'x', SLOT_NAME_BYTES);
    memset(add_server(0, 0, 0, 0)->database, 'y', SLOT_NAME_BYTES);
    run("pool_processes");
    assert_non_null(strstr(rows[0], "xxx|alice|"));
    run("pool_pools");
    assert_non_null(strstr(rows[0], "yyy|alice|"));
}

static void
status_lists_every_option(void **state)
{
    bool found = false;

    (void)state;
    run("pool_status");
    for (uint32_t at = 0; at < row_count; at++)
        if (strncmp(rows[at], "backend_hostname2|/run/pg|", 26) == 0)
            found = true;
    assert_true(found);
    run("pool_version");
    assert_int_equal(row_count, 1);
    assert_true(strlen(rows[0]) > 0);
}

static void
answer_holds_what_was_asked_for(void **state)
{
    struct inspect_target target;
    struct buf out = BUF_EMPTY;
    struct err err;

    (void)state;
    assert_int_equal(find("Pool_Version", false, &target, &err), 0);
    inspect_describe(&target, &out);
    assert_int_equal(out.data[0], 'T');
    buf_clear(&out);
    inspect_rows(&in, &target, &out);
    assert_int_equal(out.data[0], 'D');
    assert_memory_equal(out.data + out.len - 10, "C\0\0\0\x09SHOW", 10);
    buf_free(&out);
}

/* What the only row of the only column holds. */
static void
keep_value(void *ctx, const char *const *values, uint16_t count)
{
    assert_int_equal(count, 1);
    str_copy(ctx, 256, values[0]);
}

static void
a_parameter_is_one_column_of_its_name(void **state)
{
    struct config_overrides *own = config_overrides_new();
    struct inspect_target target;
    struct buf out = BUF_EMPTY;
    char value[256];
    struct err err;

    (void)state;
    assert_int_equal(find("LOGDIR", true, &target, &err), 0);
    inspect_describe(&target, &out);
    assert_memory_equal(out.data + 5, "\0\1work_dir", 11);
    buf_free(&out);
    assert_int_equal(find("log_statement", true, &target, &err), 0);
    inspect_run(&in, &target, keep_value, value);
    assert_string_equal(value, "off");
    assert_int_equal(config_overrides_set(own, "log_statement", "on", &err), 0);
    in.own = own;
    inspect_run(&in, &target, keep_value, value);
    assert_string_equal(value, "on");
    config_overrides_free(own);
    assert_int_equal(find("backend_port1", true, &target, &err), -1);
    assert_string_equal(err.sqlstate, "42704");
    assert_int_equal(find("pool_nodes", true, &target, &err), -1);
    assert_int_equal(find("log_statement", false, &target, &err), -1);
}

static void
keep_items(void *ctx, const char *const *values, uint16_t count)
{
    struct buf *items = ctx;

    assert_int_equal(count, 3);
    buf_printf(items, "%s=%s ", values[0], values[1]);
}

static void
groups_hold_what_belongs_together(void **state)
{
    struct inspect_target target;
    struct buf items = BUF_EMPTY;
    struct err err;

    (void)state;
    assert_int_equal(find("Backend", true, &target, &err), 0);
    assert_string_equal(target.parameter, "");
    inspect_run(&in, &target, keep_items, &items);
    assert_non_null(strstr(buf_cstr(&items), "backend_hostname2=/run/pg "));
    assert_null(strstr(buf_cstr(&items), "port="));
    buf_clear(&items);
    assert_int_equal(find("watchdog", true, &target, &err), 0);
    inspect_run(&in, &target, keep_items, &items);
    assert_int_equal(items.len, 0);
    assert_int_equal(find("health_check", true, &target, &err), 0);
    inspect_run(&in, &target, keep_items, &items);
    assert_non_null(strstr(buf_cstr(&items), "health_check_period2=1s "));
    buf_clear(&items);
    assert_int_equal(find("all", true, &target, &err), 0);
    inspect_run(&in, &target, keep_items, &items);
    assert_non_null(strstr(buf_cstr(&items), " port=9999 "));
    buf_free(&items);
}

static void
assert_begins(const char *text, const char *with)
{
    if (strncmp(text, with, strlen(with)) != 0)
        fail_msg("%s does not begin with %s", text, with);
}

/* This pgpool first, then the others by number, and those that only the configuration knows. */
static void
pgpools_are_shown_as_the_watchdog_sees_them(void **state)
{
    struct cluster_pgpools *p = area_write(shared_pgpools(shared));
    int64_t now_ns = clock_boottime_ns();

    (void)state;
    run("pool_watchdog");
    assert_int_equal(row_count, 0);
    load("hostname0 = a\nhostname1 = b\npgpool_port1 = 9000\nhostname3 = d\n"
         "delegate_ip = 192.0.2.1\n");
    *p = (struct cluster_pgpools){.enabled = true,
                                  .own_id = 1,
                                  .leader_id = 1,
                                  .leads = true,
                                  .term = 40,
                                  .state_revision = 41,
                                  .epoch = 3,
                                  .escalated = true,
                                  .address = PGPOOL_ADDRESS_UP,
                                  .lease_until_ns = now_ns + 600 * NS_PER_S,
                                  .reached_ns = now_ns,
                                  .endpoint = "e:2379",
                                  .count = 2};
    p->list[0] = (struct cluster_pgpool){
        .id = 0, .state = PGPOOL_STANDBY, .priority = 7, .applied = 41, .fenced_epoch = 2};
    str_copy(p->list[0].difference, PGPOOL_DIFFERENCE_BYTES, "node 0 differs");
    p->list[1] = (struct cluster_pgpool){.id = 1, .state = PGPOOL_LEADER, .priority = 1};
    cluster_set_add(&p->list[0].alive, 0);
    cluster_set_add(&p->list[0].alive, 2);
    area_publish(shared_pgpools(shared));
    run("pool_watchdog");
    assert_int_equal(row_count, 3);
    assert_begins(rows[0], "1|b:9000 Linux b|b|9000|0|1|4|LEADER|0|MEMBER|YES|YES|YES|192.0.2.1|up|"
                           "QUORUM EXIST|||0|0|40|41|3|");
    assert_non_null(strstr(rows[0], "|e:2379|"));
    assert_string_equal(rows[1], "0|a:9999 Linux a|a|9999|0|7|7|STANDBY|0|MEMBER|YES|NO|NO|(null)|"
                                 "(null)|(null)|0,2||41|2|(null)|(null)|(null)|(null)|(null)|"
                                 "(null)|(null)|node 0 differs");
    assert_begins(rows[2], "3|d:9999 Linux d|d|9999|0|(null)|0|DEAD|2|REVOKED-NO-SHOW|NO|NO");
    /* a lease that has ended, and an etcd that is silent */
    p = area_write(shared_pgpools(shared));
    p->lease_until_ns = 1;
    p->reached_ns = 1;
    area_publish(shared_pgpools(shared));
    run("pool_watchdog");
    assert_begins(rows[0], "1|b:9000 Linux b|b|9000|0|1|2|JOINING|0|MEMBER|YES|YES|NO|");
    assert_non_null(strstr(rows[0], "|QUORUM ABSENT|"));
    assert_begins(rows[1], "0|a:9999 Linux a|a|9999|0|7|8|LOST|0|MEMBER|NO|NO|NO|");
}

static void
unknown_view_is_an_error_with_a_list(void **state)
{
    struct inspect_target target;
    struct err err;

    (void)state;
    assert_int_equal(find("pool_node", false, &target, &err), -1);
    assert_string_equal(err.sqlstate, "42704");
    assert_non_null(strstr(err.hint, "pool_nodes, "));
    assert_non_null(strstr(err.hint, "pool_backend_stats"));
    assert_int_equal(find("", false, &target, &err), -1);
    for (uint32_t at = 0; inspect_view_at(at) != NULL; at++) {
        assert_int_equal(find(inspect_view_at(at)->name, false, &target, &err), 0);
        assert_ptr_equal(target.view, inspect_view_at(at));
    }
}

static void
add_waiter(uint32_t child_no, uint32_t n, const char *user, int64_t since_ms)
{
    struct session_slot *session = add_client(child_no, n, SESSION_SLOT_ACTIVE);

    str_copy(session->user, SLOT_NAME_BYTES, user);
    session->waits_for_node = 2;
    atomic_store(&session->waiting_since_ns, clock_monotonic_ns() - since_ms * NS_PER_MS);
    atomic_fetch_add(&shared_child(shared, child_no)->waiters, 1);
}

static void
who_waits_is_shown_by_child_database_user_and_node(void **state)
{
    (void)state;
    load("max_backend_connections = 3\n");
    start_child(0, 111);
    start_child(1, 222);
    run("pool_waiters");
    assert_int_equal(row_count, 0);
    assert_true(shared_take_connection(shared, 1, (struct shared_place){0, 2}, 3));
    add_client(0, 0, SESSION_SLOT_IDLE);
    add_waiter(0, 1, "bob", 10);
    add_waiter(0, 2, "alice", 3600 * 1000);
    add_waiter(0, 3, "bob", 7200 * 1000);
    add_waiter(1, 0, "bob", 10);
    run("pool_waiters");
    assert_int_equal(row_count, 3);
    assert_memory_equal(rows[0], "111|shop|alice|2|1|36", 21);
    assert_memory_equal(rows[1], "111|shop|bob|2|2|72", 19);
    assert_memory_equal(rows[2], "222|shop|bob|2|1|", 17);
    for (uint32_t n = 0; n < row_count; n++)
        assert_string_equal(rows[n] + strlen(rows[n]) - 4, "|3|1");
}

static void
hold(const char *text)
{
    struct hold_request r;
    struct err err;
    bool is_new;

    assert_true(hold_request_read(text, &r));
    assert_int_equal(holds_change(shared_holds(shared), &r, &is_new, &err), 0);
}

/* A child that has not heard of it counts as one connection that is left. */
static void
holds_are_shown_with_who_waits_and_what_is_left(void **state)
{
    struct server_slot *server;

    (void)state;
    load("");
    start_child(0, 111);
    run("pool_holds");
    assert_int_equal(row_count, 0);
    hold("pause shop");
    hold("drain 2");
    run("pool_holds");
    assert_int_equal(row_count, 2);
    assert_string_equal(rows[0] + strlen(rows[0]) - 4, "|0|1");
    atomic_store(&shared_child(shared, 0)->holds_seen, holds_epoch(shared_holds(shared)));
    server = shared_server(shared, 0, 0);
    *server = (struct server_slot){.node_id = 1, .session = 0, .created_at_us = 1};
    atomic_store(&server->used, 1);
    str_copy(server->database, SLOT_NAME_BYTES, "shop");
    atomic_store(&add_client(0, 0, SESSION_SLOT_IDLE)->on_hold, SESSION_HOLD_PAUSE);
    assert_true(shared_take_connection(shared, 0, (struct shared_place){0, 2}, 0));
    run("pool_holds");
    assert_memory_equal(rows[0], "paused database|shop|", 21);
    assert_string_equal(rows[0] + strlen(rows[0]) - 4, "|1|1");
    assert_memory_equal(rows[1], "drained node|2|", 15);
    assert_string_equal(rows[1] + strlen(rows[1]) - 4, "|0|1");
    atomic_store(&server->used, 0);
    shared_give_connection(shared, 0, (struct shared_place){0, 2});
    run("pool_holds");
    assert_string_equal(rows[0] + strlen(rows[0]) - 4, "|1|0");
    assert_string_equal(rows[1] + strlen(rows[1]) - 4, "|0|0");
}

static void
rules_are_shown_as_the_file_has_them_now(void **state)
{
    (void)state;
    run("pool_hba_file_rules");
    assert_int_equal(row_count, 4);
    assert_string_equal(rows[0], "1|/e/pool_hba.conf|1|local|{all}|{\"x y\",+b}|(null)|(null)|peer|"
                                 "{map=m}|(null)");
    assert_memory_equal(rows[1],
                        "(null)|/e/pool_hba.conf|3|(null)|(null)|(null)|(null)|(null)|"
                        "(null)|(null)|\"ldapprefix\"",
                        84);
    assert_string_equal(rows[2], "2|/e/pool_hba.conf|4|host|{all}|{all}|samenet|(null)|ldap|"
                                 "{ldapserver=s,ldapbasedn=b,ldapbindpasswd=****,ldapscope=2}|"
                                 "(null)");
    assert_non_null(
        strstr(rows[3], "|authentication method \"gss\" is not offered by pgpool (hint"));
}

static void
maps_are_shown_as_the_file_has_them_now(void **state)
{
    (void)state;
    ident_text = NULL;
    run("pool_ident_file_mappings");
    assert_int_equal(row_count, 0);
    ident_text = "m /^(.*)@x$ \\1\nm a\n";
    run("pool_ident_file_mappings");
    assert_int_equal(row_count, 2);
    assert_string_equal(rows[0], "1|/e/pool_ident.conf|1|m|/^(.*)@x$|\\1|(null)");
    assert_string_equal(rows[1], "(null)|/e/pool_ident.conf|2|(null)|(null)|(null)|the line ends "
                                 "before the role (hint: A line reads: map system-name role.)");
    ident_text = NULL;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nodes_are_shown_as_routing_sees_them),
        TEST(status_tells_waiting_down_and_quarantine),
        TEST(holds_are_shown_with_who_waits_and_what_is_left),
        TEST(rules_are_shown_as_the_file_has_them_now),
        TEST(maps_are_shown_as_the_file_has_them_now),
        TEST(health_checks_are_counted),
        TEST(delay_is_in_seconds_when_judged_by_time),
        TEST(replication_tells_how_fresh_each_node_is),
        TEST(raw_mode_has_main_and_replica),
        TEST(counters_are_summed_over_children),
        TEST(processes_have_a_row_per_client),
        TEST(pools_have_a_row_per_server_connection),
        TEST(who_waits_is_shown_by_child_database_user_and_node),
        TEST(unterminated_texts_are_cut),
        TEST(status_lists_every_option),
        TEST(answer_holds_what_was_asked_for),
        TEST(a_parameter_is_one_column_of_its_name),
        TEST(groups_hold_what_belongs_together),
        TEST(pgpools_are_shown_as_the_watchdog_sees_them),
        TEST(unknown_view_is_an_error_with_a_list),
    };

    return cmocka_run_group_tests_name("inspect", tests, NULL, NULL);
}

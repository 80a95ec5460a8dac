/*
 * Commands at the administration port that another process carries out, with the test in the place
 * of that process.
 */
#include "../os/io_bed.h"

#include "admin/admin.h"
#include "cluster/view.h"
#include "config/config.h"
#include "ipc/shared.h"
#include "wire/build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SENT_MAX = 16, CLIENTS = 2 };

static const char SETTINGS[] = "backend_hostname0 = 'db0'\nbackend_port0 = 1\n"
                               "backend_hostname1 = 'db1'\nbackend_port1 = 1\n";

static struct bed *bed;
static struct config *config;
static struct shared *shared;
static struct inspect_input input;
static struct admin *admin;
static int fds[CLIENTS];
static struct buf got[CLIENTS];
static struct inbox_msg sent[SENT_MAX];
static uint32_t sent_to[SENT_MAX];
static unsigned sent_count;
static struct hold_request held[SENT_MAX];
static uint32_t held_by[SENT_MAX];
static unsigned held_count;
static bool files_are_faulty;

/* ---- the process around it ---- */

static void
changed(void *ctx)
{
    (void)ctx;
}

static void
hold(void *ctx, uint32_t token, const struct hold_request *r)
{
    (void)ctx;
    held_by[held_count % SENT_MAX] = token;
    held[held_count++ % SENT_MAX] = *r;
}

static void
send_order(void *ctx, uint32_t slot, struct inbox_msg *msg)
{
    (void)ctx;
    sent_to[sent_count % SENT_MAX] = slot;
    sent[sent_count++ % SENT_MAX] = *msg;
}

static int
check_files(void *ctx, struct err *err)
{
    (void)ctx;
    return files_are_faulty ? err_set(err, "F0000", "pcp.conf:1: wrong") : 0;
}

/* ---- clients ---- */

struct awaited {
    int client;
    const char *bytes;
    size_t len;
};

static bool
has_come(void *ctx)
{
    const struct awaited *a = ctx;
    struct buf *b = &got[a->client];
    ssize_t n = read(fds[a->client], buf_reserve(b, 4096), 4096);

    if (n > 0)
        b->len += (size_t)n;
    return b->len > 0 && memmem(b->data, b->len, a->bytes, a->len) != NULL;
}

static void
await(int client, const char *bytes, size_t len)
{
    struct awaited a = {client, bytes, len};

    bed_until(bed, has_come, &a);
    buf_clear(&got[client]);
}

static void
await_text(int client, const char *text)
{
    await(client, text, strlen(text));
}

static void
await_ready(int client)
{
    await(client, "Z\0\0\0\5I", 6);
}

static void
ask(int client, const char *text)
{
    struct buf b = BUF_EMPTY;

    build_query(&b, text, strlen(text));
    put(fds[client], b.data, b.len);
    buf_free(&b);
}

static void
log_in(int client)
{
    static const char *const parameters[] = {"user", "me", "database", "pgpool"};
    struct buf b = BUF_EMPTY;
    int pair[2];

    socket_pair(false, pair);
    fds[client] = pair[1];
    admin_accept(admin, pair[0]);
    build_startup(&b, WIRE_PROTOCOL(3, 0), parameters, 2);
    put(fds[client], b.data, b.len);
    buf_free(&b);
    await_ready(client);
}

static void
answer(uint32_t token, enum inbox_command_result result, const char *words)
{
    struct err err;

    err_set(&err, "55000", "%s", words);
    admin_order_done(admin, token, result, &err);
}

/* ---- the bed ---- */

static int
setup(void **state)
{
    static const struct admin_host host = {
        .changed = changed, .hold = hold, .send = send_order, .check_files = check_files};
    struct shared_layout layout = {.child_slots = 2,
                                   .health_slots = 2,
                                   .sessions_per_child = 2,
                                   .memo_entries = 16,
                                   .freshness_bytes = sizeof(struct cluster_freshness),
                                   .nodes_bytes = 8,
                                   .events_bytes = 8,
                                   .pgpools_bytes = 8,
                                   .health_bytes = 8,
                                   .writes_fd = -1};
    static const enum io_engine engine = IO_ENGINE_EPOLL; /* as the process has it */
    struct config_report report;
    struct err err;

    *state = (void *)(uintptr_t)&engine;
    assert_int_equal(bed_setup(state), 0);
    bed = *state;
    config_report_init(&report);
    assert_int_equal(
        config_load_text(SETTINGS, sizeof(SETTINGS) - 1, "test.conf", &config, &report), 0);
    config_report_fini(&report);
    assert_int_equal(shared_new(&layout, &shared, &err), 0);
    input = (struct inspect_input){.config = config, .shared = shared};
    admin = admin_new(bed->io, &input, &host);
    sent_count = held_count = 0;
    files_are_faulty = false;
    for (int n = 0; n < CLIENTS; n++)
        log_in(n);
    return 0;
}

static int
teardown(void **state)
{
    for (int n = 0; n < CLIENTS; n++) {
        if (fds[n] >= 0)
            close(fds[n]);
        buf_free(&got[n]);
    }
    admin_free(admin);
    shared_free(shared);
    config_free(config);
    config = NULL;
    return bed_teardown(state);
}

/* ---- tests ---- */

static void
outcome_and_progress_are_told(void **state)
{
    uint32_t token;

    (void)state;
    ask(0, "PGPOOL SWITCHOVER");
    bed_until_count(bed, &sent_count, 1);
    assert_int_equal(sent_to[0], SLOT_FAILOVER);
    assert_int_equal(sent[0].kind, INBOX_NODE_COMMAND);
    assert_int_equal(sent[0].command.verb, NODE_COMMAND_SWITCHOVER);
    assert_int_equal(sent[0].command.node_id, -1);
    token = sent[0].command.token;
    answer(token + 1, NODE_COMMAND_OK, "another's");
    answer(token, NODE_COMMAND_PROGRESS, "fencing the old primary");
    await_text(0, "SNOTICE");
    answer(token, NODE_COMMAND_PROGRESS, "waiting for node 1");
    await_text(0, "Mwaiting for node 1");
    answer(token, NODE_COMMAND_OK, "");
    await_text(0, "SWITCHOVER");
    answer(token, NODE_COMMAND_OK, ""); /* again */
    ask(0, "PGPOOL PROMOTE NODE 1 SWITCHOVER");
    bed_until_count(bed, &sent_count, 2);
    assert_int_equal(sent[1].command.verb, NODE_COMMAND_SWITCHOVER);
    assert_int_equal(sent[1].command.node_id, 1);
    assert_int_not_equal(sent[1].command.token, token);
    answer(sent[1].command.token, NODE_COMMAND_REFUSED, "node 1 is down");
    await_text(0, "Mnode 1 is down");
    ask(0, "PGPOOL RECOVER NODE 2");
    await_text(0, "there is no node 2");
    assert_int_equal(sent_count, 2);
}

static void
several_wait_at_once(void **state)
{
    (void)state;
    ask(0, "PGPOOL ATTACH NODE 1");
    bed_until_count(bed, &sent_count, 1);
    ask(1, "PGPOOL PROMOTE NODE 0 GRACEFULLY");
    bed_until_count(bed, &sent_count, 2);
    assert_int_equal(sent[0].command.verb, NODE_COMMAND_ATTACH);
    assert_int_equal(sent[1].command.verb, NODE_COMMAND_PROMOTE);
    assert_int_equal(sent[1].command.gracefully, 1);
    answer(sent[1].command.token, NODE_COMMAND_OK, "");
    await_text(1, "PROMOTE NODE");
    answer(sent[0].command.token, NODE_COMMAND_OK, "");
    await_text(0, "ATTACH NODE");
}

static void
silence_is_asked_again(void **state)
{
    (void)state;
    ask(0, "PGPOOL RECOVER NODE 1");
    bed_until_count(bed, &sent_count, 2);
    assert_int_equal(sent[1].command.token, sent[0].command.token);
    answer(sent[0].command.token, NODE_COMMAND_OK, "");
    await_text(0, "RECOVER NODE");
}

static void
who_has_gone_is_forgotten(void **state)
{
    (void)state;
    ask(0, "PGPOOL RECOVER NODE 1");
    bed_until_count(bed, &sent_count, 1);
    close(fds[0]);
    fds[0] = -1;
    ask(1, "SHOW pool_version");
    await_ready(1);
    answer(sent[0].command.token, NODE_COMMAND_PROGRESS, "anybody there?");
    answer(sent[0].command.token, NODE_COMMAND_OK, "");
    ask(1, "SHOW pool_version");
    await_ready(1);
}

/* As the parent does it. */
static void
change_hold(unsigned at)
{
    bool is_new;
    struct err err;

    assert_int_equal(holds_change(shared_holds(shared), &held[at], &is_new, &err), 0);
    admin_hold_done(admin, held_by[at], &held[at], is_new, NULL);
}

static void
graceful_detach_drains_first(void **state)
{
    (void)state;
    ask(0, "PGPOOL DETACH NODE 1 GRACEFULLY");
    bed_until_count(bed, &held_count, 1);
    assert_int_equal(held[0].verb, HOLD_DRAIN);
    assert_int_equal(held[0].node_id, 1);
    assert_int_equal(sent_count, 0);
    change_hold(0);
    bed_until_count(bed, &sent_count, 1);
    assert_int_equal(sent[0].command.verb, NODE_COMMAND_DETACH);
    assert_int_equal(sent[0].command.gracefully, 1);
    assert_int_equal(held_count, 1);
    answer(sent[0].command.token, NODE_COMMAND_OK, "");
    await_text(0, "DETACH NODE");
    assert_int_equal(held_count, 2);
    assert_int_equal(held[1].verb, HOLD_UNDRAIN);
    /* who was drained before stays so */
    ask(0, "PGPOOL DETACH NODE 1 GRACEFULLY");
    bed_until_count(bed, &held_count, 3);
    change_hold(2);
    bed_until_count(bed, &sent_count, 2);
    answer(sent[1].command.token, NODE_COMMAND_REFUSED, "no");
    await_ready(0);
    assert_int_equal(held_count, 3);
}

static void
the_parent_is_ordered(void **state)
{
    (void)state;
    ask(0, "PGPOOL RELOAD");
    bed_until_count(bed, &sent_count, 1);
    assert_int_equal(sent_to[0], SLOT_PARENT);
    assert_int_equal(sent[0].order.verb, ORDER_RELOAD);
    answer(sent[0].order.token, NODE_COMMAND_REFUSED, "pgpool.conf:7: wrong");
    await_text(0, "pgpool.conf:7: wrong");
    files_are_faulty = true;
    ask(0, "PGPOOL RELOAD");
    await_text(0, "pcp.conf:1: wrong");
    assert_int_equal(sent_count, 1);
    ask(0, "PGPOOL ROTATE LOG");
    await_text(0, "logging_collector");
    ask(0, "PGPOOL INVALIDATE QUERY CACHE");
    await_text(0, "there is no query cache");
    assert_int_equal(sent_count, 1);
}

/* Who has asked for it is told before the connection ends; of an immediate one before it begins. */
static void
stops_are_answered(void **state)
{
    struct err err;

    (void)state;
    ask(0, "PGPOOL STOP FAST");
    bed_until_count(bed, &sent_count, 1);
    assert_int_equal(sent[0].order.verb, ORDER_STOP_FAST);
    ask(1, "PGPOOL STOP IMMEDIATE");
    await_text(1, "STOP");
    bed_until_count(bed, &sent_count, 2);
    assert_int_equal(sent[1].order.verb, ORDER_STOP_IMMEDIATE);
    err_set(&err, "57P01", "terminating connection due to administrator command");
    admin_terminate(admin, &err);
    await_text(0, "STOP");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(outcome_and_progress_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(several_wait_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(silence_is_asked_again, setup, teardown),
        cmocka_unit_test_setup_teardown(who_has_gone_is_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(graceful_detach_drains_first, setup, teardown),
        cmocka_unit_test_setup_teardown(the_parent_is_ordered, setup, teardown),
        cmocka_unit_test_setup_teardown(stops_are_answered, setup, teardown),
    };

    return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}

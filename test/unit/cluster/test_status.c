/* status.h: what is printed is parsed to the same, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/status.h"

#include <inttypes.h>
#include <string.h>

static struct status status;
static struct status parsed;
static struct buf text;
static struct err err;

static int
start(void **state)
{
    (void)state;
    memset(&status, 0, sizeof(status));
    plan_init(&status.plan);
    status.plan.node_count = 3;
    status.plan.primary_id = 1;
    status.plan.timeline = 3;
    status.plan.system_identifier = UINT64_MAX;
    status.plan.epoch = 12;
    status.plan.synchronous = true;
    status.plan.nodes[0] = (struct plan_node){
        .state = NODE_FENCED, .since_us = 1790000000000000, .must_follow = true, .demote = true};
    status.plan.nodes[1] = (struct plan_node){.state = NODE_UNKNOWN, .proven = true};
    status.plan.nodes[2] = (struct plan_node){
        .state = NODE_MAINTENANCE, .reason = "say \"no\"\n\\ and more", .since_us = -1};
    strncpy(status.nodes[0].host, "db0.example", sizeof(status.nodes[0].host) - 1);
    strncpy(status.nodes[1].host, "/var/run/postgresql", sizeof(status.nodes[1].host) - 1);
    strncpy(status.nodes[2].host, "::1", sizeof(status.nodes[2].host) - 1);
    for (int node_id = 0; node_id < 3; node_id++)
        status.nodes[node_id].port = (uint16_t)(5432 + node_id);
    return 0;
}

static int
finish(void **state)
{
    (void)state;
    buf_free(&text);
    return 0;
}

static int
parse_text(const char *words)
{
    return status_parse(&parsed, words, strlen(words), &err);
}

/* With a right checksum behind it. */
static int
parse_lines(const char *lines)
{
    uint64_t sum = UINT64_C(14695981039346656037);

    for (const char *p = lines; *p != '\0'; p++)
        sum = (sum ^ (uint8_t)*p) * UINT64_C(1099511628211);
    buf_clear(&text);
    buf_printf(&text, "%schecksum %016" PRIx64 "\n", lines, sum);
    return parse_text(buf_cstr(&text));
}

static void
assert_bad(const char *lines, const char *message)
{
    assert_int_equal(parse_lines(lines), -1);
    assert_non_null(strstr(err.message, message));
    assert_int_equal(parsed.plan.node_count, 0);
    assert_int_equal(parsed.plan.primary_id, -1);
}

static void
what_is_printed_is_parsed(void **state)
{
    (void)state;
    status_print(&status, &text);
    assert_int_equal(parse_text(buf_cstr(&text)), 0);
    assert_memory_equal(&parsed.plan, &status.plan, sizeof(parsed.plan));
    assert_memory_equal(parsed.nodes, status.nodes, sizeof(parsed.nodes));
}

static void
operation_is_kept(void **state)
{
    (void)state;
    status.plan.primary_id = -1;
    status.plan.operation = (struct plan_operation){.kind = PLAN_SWITCHOVER,
                                                    .phase = PLAN_PROMOTING,
                                                    .fenced = true,
                                                    .detach_old = true,
                                                    .doubtful = true,
                                                    .old_primary_id = 0,
                                                    .candidate_id = 1,
                                                    .wanted_id = 1,
                                                    .attempt = 4};
    status.plan.nodes[1].told = status.plan.nodes[1].tried = true;
    status_print(&status, &text);
    assert_int_equal(parse_text(buf_cstr(&text)), 0);
    assert_memory_equal(&parsed.plan, &status.plan, sizeof(parsed.plan));
}

static void
facts_and_moments_are_not_kept(void **state)
{
    (void)state;
    status.plan.nodes[1].state = NODE_UP;
    status.plan.nodes[1].verdict = HEALTH_ALIVE;
    status.plan.nodes[1].asked_ns = 4711;
    status.plan.nodes[2].job = PLAN_JOB_RECOVERY;
    status_print(&status, &text);
    assert_int_equal(parse_text(buf_cstr(&text)), 0);
    assert_int_equal(parsed.plan.nodes[1].state, NODE_UNKNOWN);
    assert_int_equal(parsed.plan.nodes[1].verdict, HEALTH_UNKNOWN);
    assert_int_equal(parsed.plan.nodes[1].asked_ns, 0);
    assert_int_equal(parsed.plan.nodes[2].job, PLAN_JOB_RECOVERY);
}

/* Each cut, and each changed byte, is seen. */
static void
torn_text_is_refused(void **state)
{
    (void)state;
    status_print(&status, &text);
    buf_cstr(&text);
    for (size_t len = 0; len < text.len; len++)
        assert_int_equal(status_parse(&parsed, (const char *)text.data, len, &err), -1);
    for (size_t at = 0; at < text.len; at++) {
        text.data[at] ^= 1;
        assert_int_equal(status_parse(&parsed, (const char *)text.data, text.len, &err), -1);
        text.data[at] ^= 1;
    }
    assert_int_equal(parse_text(buf_cstr(&text)), 0);
}

static void
faults_have_their_line(void **state)
{
    (void)state;
    assert_int_equal(parse_text(""), -1);
    assert_int_equal(parse_text("hello\n"), -1);
    assert_non_null(strstr(err.message, "line 1"));
    assert_int_equal(parse_text("pgpool_status 2\n"), -1);
    assert_non_null(strstr(err.message, "version"));
    assert_int_equal(parse_text("pgpool_status 1\ncluster\nx"), -1);
    assert_non_null(strstr(err.message, "cut"));
    assert_int_equal(parse_text("pgpool_status 1\ncluster\nchecksum 1\n"), -1);
    assert_non_null(strstr(err.message, "line 3 of the status file: the checksum"));
    assert_bad("pgpool_status 1\n", "line 2");
    assert_bad("pgpool_status 1\ncluster primary=x timeline=1\n", "line 2");
}

static void
strange_lines_are_refused(void **state)
{
    static const char head[] =
        "pgpool_status 1\ncluster primary=-1 timeline=1 system=7 epoch=5 synchronous=0\n";
    static const struct {
        const char *line;
        const char *message;
    } cases[] = {
        {"rubbish\n", "line 3 of the status file: expected \"node\""},
        {"node 0", "expected \" host=\""},
        {"node x host=\"a\" port=1 state=up since=0 flags=- reason=\"\"\n", "number is out of"},
        {"node 128 host=\"a\" port=1 state=up since=0 flags=- reason=\"\"\n", "out of range"},
        {"node 0 host=\"a\" port=65536 state=up since=0 flags=- reason=\"\"\n", "out of range"},
        {"node 0 host=\"a\" port=1 state=upp since=0 flags=- reason=\"\"\n", "no such state"},
        {"node 0 host=\"a\" port=1 state=unused since=0 flags=- reason=\"\"\n", "no such state"},
        {"node 0 host=\"a\" port=1 state=up since=0 flags=x reason=\"\"\n", "no such flag"},
        {"node 0 host=\"a\" port=1 state=up since=0 flags=told, reason=\"\"\n", "no such flag"},
        {"node 0 host=\"a\\x\" port=1 state=up since=0 flags=- reason=\"\"\n", "escape"},
        {"node 0 host=\"a\" port=1 state=up since=0 flags=- reason=\"", "expected"},
        {"node 0 host=\"a\" port=1 state=up since=0 flags=- reason=\"\\", "cut"},
        {"node 0 host=\"a\" port=1 state=up since=0 flags=- reason=\"\" more\n", "end of line"},
        {"operation sleep phase=choosing\n", "no such operation"},
        {"operation none phase=choosing\n", "no such operation"},
        {"operation failover phase=sleeping\n", "no such phase"},
        {"operation failover phase=choosing fenced=2\n", "out of range"},
        {"operation failover phase=choosing fenced=1 forced=0 detach=0 told=0 doubtful=0 "
         "attempt=1 old=0 candidate=-1 wanted=-1\n",
         "has no line"},
        {"operation failover phase=choosing fenced=0 forced=0 detach=0 told=0 doubtful=0 "
         "attempt=1 old=-1 candidate=-1 wanted=-1\n",
         "in this phase"},
        {"operation failover phase=promoting fenced=1 forced=0 detach=0 told=0 doubtful=0 "
         "attempt=1 old=-1 candidate=-1 wanted=-1\n",
         "in this phase"},
    };
    char long_reason[PLAN_REASON_BYTES + 1];

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
        struct buf lines = BUF_EMPTY;

        buf_printf(&lines, "%s%s", head, cases[n].line);
        /* the checksum begins a line of its own */
        if (lines.data[lines.len - 1] != '\n')
            buf_add_u8(&lines, '\n');
        assert_bad(buf_cstr(&lines), n == 11 ? "escape" : cases[n].message);
        buf_free(&lines);
    }
    memset(long_reason, 'x', sizeof(long_reason) - 1);
    long_reason[sizeof(long_reason) - 1] = '\0';
    {
        struct buf lines = BUF_EMPTY;

        buf_printf(&lines, "%snode 0 host=\"a\" port=1 state=up since=0 flags=- reason=\"%s\"\n",
                   head, long_reason);
        assert_bad(buf_cstr(&lines), "too long");
        buf_free(&lines);
    }
    assert_bad("pgpool_status 1\n"
               "cluster primary=0 timeline=1 system=99999999999999999999 epoch=5 synchronous=0\n",
               "line 2 of the status file: a number");
    assert_bad("pgpool_status 1\ncluster primary=0 timeline=1 system=7 epoch=5 synchronous=0\n"
               "operation failover phase=fencing fenced=0 forced=0 detach=0 told=0 doubtful=0 "
               "attempt=0 old=-1 candidate=-1 wanted=-1\n"
               "node 0 host=\"a\" port=1 state=up since=0 flags=- reason=\"\"\n",
               "cannot be a primary");
}

static void
too_long_a_text_is_refused(void **state)
{
    (void)state;
    buf_reserve(&text, STATUS_FILE_BYTES + 1);
    memset(text.data, 'x', STATUS_FILE_BYTES + 1);
    assert_int_equal(status_parse(&parsed, (const char *)text.data, STATUS_FILE_BYTES + 1, &err),
                     -1);
    assert_non_null(strstr(err.message, "too long"));
}

static void
node_that_is_elsewhere_is_another(void **state)
{
    struct status_node now[3];

    (void)state;
    memcpy(now, status.nodes, sizeof(now));
    status_keep_same_nodes(&status, now, 3);
    assert_int_equal(status.plan.primary_id, 1);
    assert_int_equal(status.plan.nodes[2].state, NODE_MAINTENANCE);
    now[1].port = 1;
    status_keep_same_nodes(&status, now, 2);
    assert_int_equal(status.plan.primary_id, -1);
    assert_int_equal(status.plan.nodes[0].state, NODE_FENCED);
    assert_int_equal(status.plan.nodes[1].state, NODE_UNUSED);
    assert_int_equal(status.plan.nodes[2].state, NODE_UNUSED);
    status.plan.operation = (struct plan_operation){
        .kind = PLAN_FAILOVER, .phase = PLAN_FENCING, .old_primary_id = 0, .candidate_id = -1};
    now[0].host[0] = 'x';
    status_keep_same_nodes(&status, now, 2);
    assert_int_equal(status.plan.operation.kind, PLAN_IDLE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, finish)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_printed_is_parsed),      TEST(operation_is_kept),
        TEST(facts_and_moments_are_not_kept), TEST(torn_text_is_refused),
        TEST(faults_have_their_line),         TEST(strange_lines_are_refused),
        TEST(too_long_a_text_is_refused),     TEST(node_that_is_elsewhere_is_another),
    };

    return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}

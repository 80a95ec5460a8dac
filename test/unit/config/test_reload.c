/* reload.c: what a reload may change, and what waits for a restart. */
#include "unit.h"

#define NODE0 "backend_hostname0 = a\nbackend_port0 = 5432\n"
#define NODE1 "backend_hostname1 = b\nbackend_port1 = 5433\nbackend_weight1 = 3\n"

struct reload {
    struct loaded old;
    struct loaded next; /* its report holds only what the reload found */
    int rc;
};

static struct reload
reload(const char *before, const char *after)
{
    struct reload r = {.old = load(before), .next = load(after)};

    assert_non_null(r.old.cfg);
    assert_non_null(r.next.cfg);
    config_report_fini(&r.next.report);
    config_report_init(&r.next.report);
    r.rc = config_reload_check(r.old.cfg, r.next.cfg, &r.next.report);
    return r;
}

static void
reload_fini(struct reload *r)
{
    loaded_fini(&r->old);
    loaded_fini(&r->next);
}

static void
what_may_change_changes(void **state)
{
    struct reload r = reload(NODE0 "log_statement = off\n",
                             NODE0 "log_statement = on\nbackend_weight0 = 7\n"
                                   "reset_query_list = 'ABORT'\nclient_idle_limit = 5\n");

    (void)state;
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.next.report.count, 0);
    assert_true(r.next.cfg->log_statement);
    assert_true(r.next.cfg->backends[0].weight == 7);
    assert_int_equal(r.next.cfg->reset_query_list.count, 1);
    assert_int_equal(r.next.cfg->client_idle_limit_ms, 5000);
    reload_fini(&r);
}

static void
what_needs_a_restart_keeps_its_value(void **state)
{
    struct reload r = reload(NODE0 "listen_addresses = '10.0.0.1'\nport = 1\nmax_pool = 9\n",
                             NODE0 "listen_addresses = '*'\nport = 2\nmax_pool = 9\n"
                                   "pid_file_name = '/x'\nlog_connections = on\n");

    (void)state;
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.next.report.count, 3);
    assert_found(&r.next, CONFIG_NOTE,
                 "test.conf: \"listen_addresses\" cannot be changed without a restart");
    assert_found(&r.next, CONFIG_NOTE, "\"port\" cannot");
    assert_found(&r.next, CONFIG_NOTE, "\"pid_file_name\" cannot");
    loaded_fini(&r.old); /* what was kept is a copy */
    assert_string_equal(r.next.cfg->listen_addresses.items[0], "10.0.0.1");
    assert_int_equal(r.next.cfg->port, 1);
    assert_string_equal(r.next.cfg->pid_file_name, "/var/run/pgpool/pgpool.pid");
    assert_true(r.next.cfg->log_connections);
    loaded_fini(&r.next);
}

static void
a_node_comes(void **state)
{
    struct reload r = reload(NODE0, NODE0 NODE1);

    (void)state;
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.next.report.count, 0);
    assert_int_equal(r.next.cfg->backend_count, 2);
    assert_string_equal(r.next.cfg->backends[1].hostname, "b");
    reload_fini(&r);
}

static void
a_node_stays_where_it_is(void **state)
{
    struct reload r = reload(NODE0, "backend_hostname0 = c\nbackend_port0 = 5439\n");

    (void)state;
    assert_int_equal(r.rc, 0);
    assert_found(&r.next, CONFIG_NOTE, "\"backend_hostname0\" cannot be changed");
    assert_found(&r.next, CONFIG_NOTE, "\"backend_port0\" cannot be changed");
    assert_string_equal(r.next.cfg->backends[0].hostname, "a");
    assert_int_equal(r.next.cfg->backends[0].port, 5432);
    reload_fini(&r);
}

static void
a_node_does_not_go(void **state)
{
    struct reload r = reload(NODE0 NODE1 "connect_timeout1 = 3s\n", NODE0);

    (void)state;
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.next.report.count, 1);
    assert_found(&r.next, CONFIG_NOTE, "node 1 cannot be removed without a restart");
    loaded_fini(&r.old);
    assert_int_equal(r.next.cfg->backend_count, 2);
    assert_true(r.next.cfg->backends[1].configured);
    assert_string_equal(r.next.cfg->backends[1].hostname, "b");
    assert_true(r.next.cfg->backends[1].weight == 3);
    assert_int_equal(r.next.cfg->backends[1].connect_timeout_ms, 3000);
    loaded_fini(&r.next);
}

/* The new file is fine by itself, but not with the node that has to stay. */
static void
an_outcome_that_does_not_fit_is_refused(void **state)
{
    struct reload r = reload(NODE0 NODE1 "backend_flag1 = ALWAYS_PRIMARY\n",
                             NODE0 "backend_flag0 = ALWAYS_PRIMARY\n");

    (void)state;
    assert_int_equal(r.rc, -1);
    assert_found(&r.next, CONFIG_FAULT, "more than one node is ALWAYS_PRIMARY");
    reload_fini(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_change_changes),
        cmocka_unit_test(what_needs_a_restart_keeps_its_value),
        cmocka_unit_test(a_node_comes),
        cmocka_unit_test(a_node_stays_where_it_is),
        cmocka_unit_test(a_node_does_not_go),
        cmocka_unit_test(an_outcome_that_does_not_fit_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

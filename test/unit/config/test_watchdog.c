/* check_watchdog.c: what the watchdog's options must say together, the number of this pgpool, and
 * what takes the place of Pgpool-II's. */
#include "unit.h"

#include "config.h"

#include <stdlib.h>
#include <unistd.h>

#ifdef HAVE_ETCD
enum { IS_BUILT = true };
#else
enum { IS_BUILT = false };
#endif

#define NODE "backend_hostname0 = a\nbackend_port0 = 5432\n"
#define ON "use_watchdog = on\n"
#define HOSTS "wd_etcd_hosts = 'a:2379, [::1]:2379'\n"
#define ME "pgpool_node_id = 1\nhostname1 = b\n"
#define WHOLE NODE ON HOSTS ME

static void
the_least_that_is_needed(void **state)
{
    (void)state;
    if (!IS_BUILT)
        skip();
    shows(WHOLE, "use_watchdog", "on");
    shows(WHOLE, "wd_lease_ttl", "3s");
    shows("wd_etcd_prefix = x", "wd_etcd_prefix", "x"); /* nothing counts while it is off */
    refused(ON ME, "\"wd_etcd_hosts\" is not set");
    refused(ON HOSTS, "this pgpool does not know its number");
    refused(WHOLE "backend_clustering_mode = raw", "needs \"backend_clustering_mode\"");
    warned(NODE ON HOSTS "pgpool_node_id = 2\nhostname1 = b", CONFIG_WARNING,
           "this is pgpool 2, and \"hostname2\" is not set");
}

static void
etcd(void **state)
{
    (void)state;
    if (!IS_BUILT)
        skip();
    refused(WHOLE "wd_etcd_prefix = ''", "does not end in a slash");
    refused(WHOLE "wd_etcd_prefix = '/pgpool'", "does not end in a slash");
    shows(WHOLE "wd_etcd_prefix = 'a/'", "wd_etcd_prefix", "a/");
    refused(WHOLE "wd_etcd_ssl_cert = '/a'", "belong together");
    refused(WHOLE "wd_etcd_password = secret", "needs \"wd_etcd_user\"");
    shows(WHOLE "wd_etcd_user = me\nwd_etcd_password = secret", "wd_etcd_password", "****");
    refused(WHOLE "wd_lease_ttl = 1", "outside");
    warned(WHOLE "memory_cache_enabled = on", CONFIG_WARNING, "through another pgpool");
}

static void
addresses(void **state)
{
    (void)state;
    if (!IS_BUILT)
        skip();
    shows(WHOLE "delegate_ip = 192.0.2.1", "delegate_ip", "192.0.2.1");
    refused(WHOLE "delegate_ip = '192.0.2.1/24'", "neither an IPv4 nor an IPv6 address");
    refused(WHOLE "delegate_ip = '2001:db8::1'", "\"if_up_cmd\" is for IPv4");
    refused(WHOLE "delegate_ip = '2001:db8::1'", "\"if_down_cmd\" is for IPv4");
    shows(WHOLE "delegate_ip = '2001:db8::1'\nif_down_cmd = 'ip addr del $_IP_$/64 dev eth0'\n"
                "if_up_cmd = 'ip addr replace $_IP_$/64 dev eth0 valid_lft $_LIFETIME_$'",
          "delegate_ip", "2001:db8::1");
    refused(WHOLE "delegate_ip = 192.0.2.1\nif_up_cmd = ''", "\"if_up_cmd\" or \"if_down_cmd\"");
    refused(WHOLE "delegate_ip = 192.0.2.1\nif_down_cmd = ''", "\"if_up_cmd\" or \"if_down_cmd\"");
    warned(WHOLE "delegate_ip = 192.0.2.1\nif_up_cmd = 'ip addr add 192.0.2.1 dev x'",
           CONFIG_WARNING, "does not say $_IP_$");
    warned(WHOLE "delegate_ip = 192.0.2.1\nif_up_cmd = 'ip addr add $_IP_$/24 dev x'",
           CONFIG_WARNING, "has no lifetime");
    warned(WHOLE "delegate_ip = 192.0.2.1\nwd_on_etcd_loss = keep", CONFIG_WARNING,
           "two pgpools may hold the address");
}

/* One line for all that the same thing has replaced, and only for what is set to something. */
static void
what_pgpool_ii_had(void **state)
{
    struct loaded l = load(NODE "wd_port0 = 9000\nwd_authkey = secret\nwd_interval = 10\n"
                                "heartbeat_hostname1 = x\nheartbeat_port1 = 9694\n"
                                "enable_consensus_with_half_votes = on\n"
                                "wd_remove_shutdown_nodes = on\nwd_lifecheck_user = me\n");

    (void)state;
    assert_int_equal(l.report.count, 4);
    assert_found(&l, CONFIG_NOTE,
                 "accepted, and not needed any more: wd_port0, "
                 "heartbeat_hostname1, heartbeat_port1, wd_lifecheck_user");
    assert_found(&l, CONFIG_NOTE, "meet in etcd (wd_etcd_hosts)");
    assert_found(&l, CONFIG_NOTE, "not needed any more: wd_authkey");
    assert_found(&l, CONFIG_NOTE, "not needed any more: enable_consensus_with_half_votes");
    assert_found(&l, CONFIG_NOTE, "not needed any more: wd_remove_shutdown_nodes");
    assert_null(find(&l, "secret"));
    loaded_fini(&l);
}

static void
write_file(const char *directory, const char *name, const char *text)
{
    char path[100];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void
number_is(const char *directory, const char *text, int number, const char *words)
{
    char path[100];
    struct loaded l = {.cfg = NULL};

    if (text != NULL)
        write_file(directory, "pgpool_node_id", text);
    snprintf(path, sizeof(path), "%s/pgpool.conf", directory);
    config_report_init(&l.report);
    if (config_load_file(path, &l.cfg, &l.report) != 0) {
        l.cfg = NULL;
        assert_non_null(words);
        assert_found(&l, CONFIG_FAULT, words);
    } else {
        assert_null(words);
        assert_int_equal(l.cfg->pgpool_node_id, number);
    }
    loaded_fini(&l);
}

static void
the_number_from_its_file(void **state)
{
    char directory[] = "/tmp/pgpool-test-XXXXXX";
    char path[100];

    (void)state;
    if (!IS_BUILT)
        skip();
    assert_non_null(mkdtemp(directory));
    write_file(directory, "pgpool.conf", NODE ON HOSTS "hostname3 = x\n");
    number_is(directory, NULL, 0, "does not know its number");
    number_is(directory, "3\n", 3, NULL);
    number_is(directory, " 12 ", 12, NULL);
    number_is(directory, "128\n", 0, "pgpool_node_id:1: this is no number from 0 to 127");
    number_is(directory, "one\n", 0, "pgpool_node_id:1: this is no number from 0 to 127");
    number_is(directory, "", 0, "no number");
    write_file(directory, "pgpool.conf", WHOLE);
    number_is(directory, "one\n", 1, NULL);
    write_file(directory, "pgpool.conf", NODE);
    number_is(directory, "one\n", -1, NULL);
    snprintf(path, sizeof(path), "%s/pgpool.conf", directory);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof(path), "%s/pgpool_node_id", directory);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(directory), 0);
}

static void
not_without_etcd(void **state)
{
    (void)state;
    if (IS_BUILT)
        skip();
    refused(WHOLE, "this pgpool was built without it");
    shows(NODE HOSTS ME, "wd_lease_ttl", "3s");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_that_is_needed),
        cmocka_unit_test(etcd),
        cmocka_unit_test(addresses),
        cmocka_unit_test(what_pgpool_ii_had),
        cmocka_unit_test(the_number_from_its_file),
        cmocka_unit_test(not_without_etcd),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

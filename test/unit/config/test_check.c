/* check.c: values that do not fit together, and options that do nothing so far. */
#include "unit.h"

#define NODE "backend_hostname0 = a\nbackend_port0 = 5432\n"

static void
clustering_modes(void **state)
{
    (void)state;
    shows("backend_clustering_mode = raw", "backend_clustering_mode", "raw");
    shows("backend_clustering_mode = native_replication", "backend_clustering_mode",
          "native_replication");
    refused("backend_clustering_mode = native_replication\nmemory_cache_enabled = on",
            "\"memory_cache_enabled\" is not built yet for native_replication");
    shows("backend_clustering_mode = snapshot_isolation", "backend_clustering_mode",
          "snapshot_isolation");
    refused("backend_clustering_mode = snapshot_isolation\nmemory_cache_enabled = on",
            "\"memory_cache_enabled\" is not built yet for native_replication");
    refused("backend_clustering_mode = snapshot_isolation\nchild_max_clients = 65536",
            "\"child_max_clients\" is more than snapshot_isolation can count");
    shows("backend_clustering_mode = snapshot_isolation\nchild_max_clients = 65535",
          "child_max_clients", "65535");
    shows("backend_clustering_mode = logical_replication", "backend_clustering_mode",
          "logical_replication");
    refused("backend_clustering_mode = 'slony'", "logical_replication or raw");
    refused("replication_mode = on", "\"replication_mode\" is not used any more");
    shows("replication_mode = off", "port", "9999");
}

static void
statements_that_are_not_equal(void **state)
{
    static const char name[] = "replication_unsafe_statements";

    (void)state;
    shows("port = 9999", name, "error");
    shows("replication_unsafe_statements = ERROR", name, "error");
    shows("replication_unsafe_statements = warn", name, "warn");
    shows("replication_unsafe_statements = 'allow'", name, "allow");
    refused("\nreplication_unsafe_statements = on", "test.conf:2: ");
    refused("replication_unsafe_statements = on", "error, warn or allow");
}

static void
ports_and_sockets(void **state)
{
    char text[300];
    char directory[100];

    (void)state;
    refused("port = 9898", "\"port\" and \"pcp_port\" are the same");
    refused("listen_addresses = ''\nunix_socket_directories = ''", "neither");
    shows("listen_addresses = ''", "listen_addresses", "");
    shows("unix_socket_directories = ''", "unix_socket_directories", "");
    refused("unix_socket_directories = '/tmp, here'", "is not an absolute path");
    refused("pcp_socket_dir = 'here'", "directory in \"pcp_socket_dir\" is not an absolute path");
    memset(directory, 'd', sizeof(directory));
    directory[0] = '/';
    directory[92] = '\0'; /* and "/.s.PGSQL.65535" and a NUL make 108 */
    snprintf(text, sizeof(text), "unix_socket_directories = '%s'", directory);
    shows(text, "unix_socket_directories", directory);
    directory[92] = 'd';
    directory[93] = '\0';
    snprintf(text, sizeof(text), "unix_socket_directories = '%s'", directory);
    refused(text, "longer than 92 bytes");
    snprintf(text, sizeof(text), "backend_port0 = 1\nbackend_hostname0 = '%s'", directory);
    refused(text, "too long for the directory of a Unix socket");
}

static void
places_for_clients(void **state)
{
    (void)state;
    refused("num_init_children = 2\nchild_max_clients = 10\nreserved_connections = 20",
            "test.conf:3: \"reserved_connections\" leaves no place");
    shows("num_init_children = 2\nchild_max_clients = 10\nreserved_connections = 19",
          "reserved_connections", "19");
    warned("reserved_connections = 1000", CONFIG_WARNING, "leaves few places or none");
    warned("num_init_children = 300", CONFIG_WARNING, "\"num_init_children\" is large");
}

static void
log_prefix(void **state)
{
    struct loaded l = load("log_line_prefix = '%m: %a pid %p %d %u %l %t %P %%%%'");
    char text[400];

    (void)state;
    assert_null(find(&l, "log_line_prefix"));
    loaded_fini(&l);
    warned("log_line_prefix = '%q'", CONFIG_WARNING, "unknown % letter");
    warned("log_line_prefix = 'a%'", CONFIG_WARNING, "unknown % letter");
    snprintf(text, sizeof(text), "log_line_prefix = '%0256d'", 0);
    warned(text, CONFIG_WARNING, "cut after 255 bytes");
}

static void
files(void **state)
{
    (void)state;
    refused("pid_file_name = ''", "\"pid_file_name\" is empty");
    refused("logdir = ''", "\"work_dir\" is empty");
    refused("logging_collector = on\nlog_directory = ''", "\"log_directory\" is empty");
    refused("logging_collector = on\nlog_filename = ''", "\"log_filename\" is empty");
    shows("log_filename = ''", "log_filename", "");
    warned("logging_collector = on\nlog_destination = syslog", CONFIG_WARNING,
           "nothing to collect");
}

static void
routing_and_cache(void **state)
{
    (void)state;
    warned("read_only_function_list = a\nwrite_function_list = b", CONFIG_WARNING,
           "both \"read_only_function_list\" and \"write_function_list\"");
    shows("memory_cache_enabled = on\nmemqcache_maxcache = 2MB", "memqcache_maxcache", "2MB");
}

static void
nodes(void **state)
{
    struct loaded l = load(NODE);

    (void)state;
    assert_int_equal(l.report.count, 0);
    loaded_fini(&l);
    warned("", CONFIG_WARNING, "no node is configured");
    refused("\nbackend_hostname3 = a", "test.conf:2: \"backend_hostname3\" is set without");
    refused("backend_hostname3 = a\nbackend_port3 = 0", "every node needs a port");
    shows("backend_hostname3 = ''\nbackend_port3 = 0", "port", "9999");
    shows("backend_port3 = 5432", "backend_hostname3", "");
    warned(NODE "backend_weight1 = 1", CONFIG_WARNING, "test.conf:3: \"backend_weight1\" is set");
    warned(NODE "backend_weight0 = 0", CONFIG_WARNING, "every node has \"backend_weight\" 0");
}

static void
nodes_at_one_address(void **state)
{
    struct loaded l = load(NODE "backend_hostname1 = a\nbackend_port1 = 5433\n");

    (void)state;
    assert_int_equal(l.report.count, 0);
    loaded_fini(&l);
    warned(NODE "backend_hostname4 = A\nbackend_port4 = 5432\n", CONFIG_WARNING,
           "test.conf:3: nodes 0 and 4 are the same server \"A:5432\"");
}

static void
flags_of_nodes(void **state)
{
    (void)state;
    shows(NODE "backend_flag0 = ALWAYS_PRIMARY", "backend_flag0",
          "ALLOW_TO_FAILOVER|ALWAYS_PRIMARY");
    refused(NODE "backend_flag0 = 'ALLOW_TO_FAILOVER|DISALLOW_TO_FAILOVER'",
            "test.conf:3: \"backend_flag0\" both allows and forbids failover");
    refused(NODE "backend_flag0 = ALWAYS_PRIMARY\nbackend_port1 = 1\n"
                 "backend_flag1 = ALWAYS_PRIMARY",
            "test.conf:5: more than one node is ALWAYS_PRIMARY");
}

static void
names_of_hosts(void **state)
{
    struct buf text = BUF_EMPTY;

    (void)state;
    buf_add_str(&text, "backend_port0 = 1\nbackend_hostname0 = ");
    for (int n = 0; n < 256; n++)
        buf_add_u8(&text, 'h');
    refused(buf_cstr(&text), "\"backend_hostname0\" is longer than 255 bytes");
    buf_free(&text);
}

/* One line for all of them, and only for those that are set to something. */
static void
options_without_effect(void **state)
{
    struct loaded l =
        load(NODE "log_pcp_processes = on\nmax_spare_children = 10\nhealth_check_test = on\n"
                  "port = 1\n");

    (void)state;
    assert_int_equal(l.report.count, 1);
    assert_found(&l, CONFIG_NOTE, "without effect: log_pcp_processes, health_check_test");
    assert_null(find(&l, "max_spare_children"));
    loaded_fini(&l);
}

/* Nothing is said of them where they say what they say by default. */
static void
options_that_are_not_needed(void **state)
{
    struct loaded l = load(NODE "insert_lock = on\nlobj_lock_table = t\n");

    (void)state;
    assert_int_equal(l.report.count, 1);
    assert_found(&l, CONFIG_NOTE, "same numbers on all nodes without: lobj_lock_table");
    assert_null(find(&l, "not built"));
    loaded_fini(&l);
    warned("insert_lock = off", CONFIG_NOTE, "same numbers on all nodes without: insert_lock");
    warned("memqcache_oiddir = '/oids'", CONFIG_NOTE, "no files: memqcache_oiddir");
}

static void
all_values_fit_into_the_shared_text(void **state)
{
    struct buf text = BUF_EMPTY;
    struct loaded l;

    (void)state;
    /* A tab is printed as an escape of four bytes. */
    for (int node = 0; node < 70; node++) {
        buf_printf(&text, "backend_port%d = %d\nbackend_data_directory%d = '", node, node + 1,
                   node);
        for (int n = 0; n < 14000; n++)
            buf_add_u8(&text, '\t');
        buf_add_str(&text, "'\n");
    }
    l = load(buf_cstr(&text));
    assert_found(&l, CONFIG_FAULT, "all values together are longer");
    loaded_fini(&l);
    buf_free(&text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clustering_modes),
        cmocka_unit_test(statements_that_are_not_equal),
        cmocka_unit_test(ports_and_sockets),
        cmocka_unit_test(places_for_clients),
        cmocka_unit_test(log_prefix),
        cmocka_unit_test(files),
        cmocka_unit_test(routing_and_cache),
        cmocka_unit_test(nodes),
        cmocka_unit_test(nodes_at_one_address),
        cmocka_unit_test(flags_of_nodes),
        cmocka_unit_test(names_of_hosts),
        cmocka_unit_test(options_without_effect),
        cmocka_unit_test(options_that_are_not_needed),
        cmocka_unit_test(all_values_fit_into_the_shared_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

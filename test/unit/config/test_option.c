/* option.h: the table holds together, and names are found as people write them. */
#include "unit.h"

#include "base/str.h"
#include "config/option.h"
#include "config/value.h"

static void
names_are_unique(void **state)
{
    (void)state;
    for (size_t a = 0; a < OPTION_COUNT; a++) {
        assert_true(strlen(option_table[a].name) < OPTION_NAME_MAX - 4);
        for (size_t b = 0; b < a; b++)
            assert_false(str_equal_nocase(option_table[a].name, option_table[b].name));
    }
}

static void
rows_are_complete(void **state)
{
    (void)state;
    for (size_t n = 0; n < OPTION_COUNT; n++) {
        const struct option *option = &option_table[n];
        size_t len = strlen(option->description);
        bool words = option->type == OPTION_TYPE_ENUM || option->type == OPTION_TYPE_FLAGS;
        bool list = option->type == OPTION_TYPE_LIST || option->type == OPTION_TYPE_REGEXES;
        bool unit = option->type == OPTION_TYPE_TIME || option->type == OPTION_TYPE_SIZE;

        assert_true(len > 0 && option->description[len - 1] == '.');
        assert_true((option->words != NULL) == words);
        assert_true((option->separator != '\0') == (list || option->type == OPTION_TYPE_FLAGS));
        assert_true((option->unit != OPTION_UNIT_NONE) == unit);
        assert_true(option->least <= option->most);
    }
}

/* The sample shows the defaults as SHOW would print them. */
static void
defaults_are_in_their_printed_form(void **state)
{
    struct loaded l = load("");

    (void)state;
    for (size_t n = 0; n < OPTION_COUNT; n++) {
        const struct option *option = &option_table[n];
        int node_id = option_has_global(option) ? OPTION_ALL_NODES : 0;
        struct buf text = BUF_EMPTY;

        value_print(option, option_value(option, l.cfg, node_id), &text);
        if (option->type != OPTION_TYPE_DOUBLE && strcmp(option->preset, "pool_passwd") != 0 &&
            strcmp(option->preset, "pool_limits") != 0 && strcmp(option->preset, "90s") != 0 &&
            strcmp(option->preset, "60s") != 0)
            assert_string_equal(buf_cstr(&text), option->preset);
        buf_free(&text);
    }
    loaded_fini(&l);
}

static void
assert_lookup(const char *name, enum option_lookup expected, const char *found, int node_id)
{
    struct option_ref ref;

    assert_int_equal(option_find(name, &ref), expected);
    if (expected == OPTION_FOUND) {
        assert_string_equal(ref.option->name, found);
        assert_int_equal(ref.node_id, node_id);
    } else {
        assert_null(ref.option);
        assert_true((ref.reason != NULL) == (expected == OPTION_IS_RETIRED));
    }
}

static void
names_in_any_case(void **state)
{
    (void)state;
    assert_lookup("port", OPTION_FOUND, "port", OPTION_ALL_NODES);
    assert_lookup("PORT", OPTION_FOUND, "port", OPTION_ALL_NODES);
    assert_lookup("delegate_IP", OPTION_FOUND, "delegate_ip", OPTION_ALL_NODES);
    assert_lookup("port1", OPTION_UNKNOWN, NULL, 0);
    assert_lookup("", OPTION_UNKNOWN, NULL, 0);
    assert_lookup("7", OPTION_UNKNOWN, NULL, 0);
}

static void
numbers_of_nodes(void **state)
{
    (void)state;
    assert_lookup("backend_hostname0", OPTION_FOUND, "backend_hostname", 0);
    assert_lookup("backend_weight127", OPTION_FOUND, "backend_weight", 127);
    assert_lookup("heartbeat_port3", OPTION_FOUND, "heartbeat_port", 3);
    assert_lookup("hostname2", OPTION_FOUND, "hostname", 2);
    assert_lookup("wd_port2", OPTION_FOUND, "wd_port", 2);
    assert_lookup("backend_hostname", OPTION_NEEDS_NUMBER, NULL, 0);
    assert_lookup("backend_hostname128", OPTION_BAD_NUMBER, NULL, 0);
    assert_lookup("backend_hostname00", OPTION_BAD_NUMBER, NULL, 0);
    assert_lookup("backend_hostname99999999999999999999", OPTION_BAD_NUMBER, NULL, 0);
    assert_lookup("health_check_period", OPTION_FOUND, "health_check_period", OPTION_ALL_NODES);
    assert_lookup("health_check_period5", OPTION_FOUND, "health_check_period", 5);
    assert_lookup("connect_timeout1", OPTION_FOUND, "connect_timeout", 1);
}

static void
old_names(void **state)
{
    (void)state;
    assert_lookup("logdir", OPTION_FOUND, "work_dir", OPTION_ALL_NODES);
    assert_lookup("socket_dir", OPTION_FOUND, "unix_socket_directories", OPTION_ALL_NODES);
    assert_lookup("fail_over_on_backend_error", OPTION_FOUND, "failover_on_backend_error",
                  OPTION_ALL_NODES);
    assert_lookup("replication_mode", OPTION_FOUND, "replication_mode", OPTION_ALL_NODES);
    assert_lookup("master_slave_mode", OPTION_IS_RETIRED, NULL, 0);
    assert_lookup("wd_port", OPTION_IS_RETIRED, NULL, 0);
    assert_lookup("other_wd_port0", OPTION_IS_RETIRED, NULL, 0);
}

static void
assert_nearest(const char *name, const char *expected)
{
    char nearest[OPTION_NAME_MAX];

    assert_true(option_nearest(name, nearest));
    assert_string_equal(nearest, expected);
}

static void
nearest_name(void **state)
{
    char nearest[OPTION_NAME_MAX];
    char endless[200];

    (void)state;
    assert_nearest("prot", "port");
    assert_nearest("num_init_childern", "num_init_children");
    assert_nearest("backend_hostnam2", "backend_hostname2");
    assert_nearest("backend_hostnam", "backend_hostname0");
    assert_nearest("helth_check_period", "health_check_period");
    assert_nearest("helth_check_period4", "health_check_period4");
    assert_false(option_nearest("something_else_entirely", nearest));
    memset(endless, 'a', sizeof(endless));
    endless[sizeof(endless) - 1] = '\0';
    assert_false(option_nearest(endless, nearest));
}

static void
groups_begin_with_an_option(void **state)
{
    (void)state;
    assert_string_equal(option_group_title(OPTION_ID_GLOBAL_listen_addresses), "Connections");
    assert_string_equal(option_group_title(OPTION_ID_BACKEND_hostname), "Backends");
    assert_null(option_group_title(OPTION_ID_GLOBAL_port));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(rows_are_complete),
        cmocka_unit_test(defaults_are_in_their_printed_form),
        cmocka_unit_test(names_in_any_case),
        cmocka_unit_test(numbers_of_nodes),
        cmocka_unit_test(old_names),
        cmocka_unit_test(nearest_name),
        cmocka_unit_test(groups_begin_with_an_option),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* print.c and sample.c: what is printed loads again, and the files in the tree are up to date. */
#include "unit.h"

#include "config/option.h"
#include "config/value.h"

#include <stdlib.h>

#define NODES                                                                                      \
    "backend_hostname0 = a\nbackend_port0 = 5432\nbackend_hostname2 = b\nbackend_port2 = 5433\n"

/* Every value, those that print alike included. */
static void
assert_same(const struct config *a, const struct config *b)
{
    assert_int_equal(a->backend_count, b->backend_count);
    for (size_t n = 0; n < OPTION_COUNT; n++) {
        const struct option *option = &option_table[n];

        if (option_has_global(option))
            assert_true(value_equal(option, option_value(option, a, OPTION_ALL_NODES),
                                    option_value(option, b, OPTION_ALL_NODES)));
        for (int node_id = 0; option_has_nodes(option) && node_id < CONFIG_NODES_MAX; node_id++) {
            assert_int_equal(option_node_exists(option, a, node_id),
                             option_node_exists(option, b, node_id));
            if (option_node_exists(option, a, node_id))
                assert_true(value_equal(option, option_value(option, a, node_id),
                                        option_value(option, b, node_id)));
        }
    }
}

static void
survives(const char *text)
{
    struct loaded first = load(text);
    struct buf printed = BUF_EMPTY;
    struct config_report report;
    struct config *again;

    assert_non_null(first.cfg);
    config_print(first.cfg, &printed);
    config_report_init(&report);
    assert_int_equal(
        config_load_text(buf_cstr(&printed), printed.len, "elsewhere", &again, &report), 0);
    assert_same(first.cfg, again);
    config_free(again);
    config_report_fini(&report);
    buf_free(&printed);
    loaded_fini(&first);
}

static void
what_is_printed_loads_again(void **state)
{
    (void)state;
    survives("");
    survives(NODES);
    survives(NODES "health_check_period = 5\nhealth_check_period2 = 0\nconnect_timeout0 = 1ms\n");
    survives("syslog_ident = '\\001\\n''\\\\\\177\\377'");
    survives("reset_query_list = 'a\\\\;b; c\\\\ ;\\\\\\\\'");
    survives("log_destination = 'syslog,stderr'\nlog_rotation_size = 7B\nlog_file_mode = 0640");
    survives("hostname4 = x\nwd_port4 = 1\nheartbeat_hostname0 = y\nheartbeat_device0 = z");
    survives("backend_port9 = 1\nbackend_weight9 = 0.1\nbackend_flag9 = DISALLOW_TO_FAILOVER");
}

/* A setting of every option, far from its default. */
static void
every_option_survives(void **state)
{
    struct buf text = BUF_EMPTY;

    (void)state;
    buf_add_str(&text, NODES "hostname0 = h\nheartbeat_hostname0 = h\n");
    for (size_t n = 0; n < OPTION_COUNT; n++) {
        const struct option *option = &option_table[n];
        char name[OPTION_NAME_MAX];

        if (n == OPTION_ID_GLOBAL_replication_mode ||
            n == OPTION_ID_GLOBAL_backend_clustering_mode || n == OPTION_ID_GLOBAL_use_watchdog ||
            n == OPTION_ID_GLOBAL_memory_cache_enabled || strstr(option->name, "hostname") != NULL)
            continue;
        option_full_name(option, option_has_nodes(option) ? 0 : OPTION_ALL_NODES, name);
        if (option->type == OPTION_TYPE_BOOL)
            buf_printf(&text, "%s = %s\n", name, option->preset[1] == 'n' ? "off" : "on");
        else if (option->type == OPTION_TYPE_ENUM)
            buf_printf(&text, "%s = '%s'\n", name, option->words[1].word);
        else if (option->type == OPTION_TYPE_FLAGS)
            buf_printf(&text, "%s = '%s'\n", name, option->words[1].word);
        else if (option->type == OPTION_TYPE_MODE)
            buf_printf(&text, "%s = 0123\n", name);
        else if (strstr(option->name, "redirect") != NULL)
            buf_printf(&text, "%s = 'x:%zu(0.5)'\n", name, n % 100);
        else if (value_is_text(option))
            buf_printf(&text, "%s = '/x%zu'\n", name, n);
        else
            buf_printf(&text, "%s = %lld\n", name,
                       (long long)MIN(option->most, option->least + 200 + (int64_t)n));
    }
    survives(buf_cstr(&text));
    buf_free(&text);
}

static void
defaults_are_not_printed(void **state)
{
    struct loaded l = load(
        "port = 9999\npool_limits = ''\npool_passwd = ''\nmax_pool = 7\nsyslog_ident = 'it''s'\n"
        "backend_port1 = 5432\nhealth_check_period1 = 1\n");
    struct buf text = BUF_EMPTY;

    (void)state;
    config_print(l.cfg, &text);
    assert_string_equal(buf_cstr(&text),
                        "backend_port1 = 5432\npool_limits = ''\nmax_pool = 7\npool_passwd = ''\n"
                        "syslog_ident = 'it''s'\n");
    buf_free(&text);
    loaded_fini(&l);
}

struct shown {
    struct buf lines;
    unsigned count;
};

static void
note(void *ctx, const char *item, const char *value, const char *description)
{
    struct shown *shown = ctx;

    assert_true(description[0] != '\0');
    buf_printf(&shown->lines, "\n%s=%s\n", item, value);
    shown->count++;
}

static void
listing_for_people(void **state)
{
    struct loaded l = load(NODES "health_check_period2 = 90\nsr_check_password = secret\n"
                                 "hostname1 = h\npgpool_port1 = 9694\n");
    struct shown shown = {BUF_EMPTY, 0};

    (void)state;
    config_show(l.cfg, NULL, CONFIG_GROUP_ALL, note, &shown);
    buf_cstr(&shown.lines);
    for (size_t n = 0; n < 14; n++) {
        static const char *const lines[] = {
            "port=9999",
            "child_life_time=5min",
            "load_balance_mode=on",
            "backend_hostname0=a",
            "backend_port2=5433",
            "health_check_period=1s",
            "health_check_period0=1s",
            "health_check_period2=90s",
            "sr_check_password=****",
            "wd_etcd_password=",
            "log_rotation_size=10MB",
            "pgpool_port1=9694",
            "log_min_messages=warning",
            "reset_query_list=ABORT; DISCARD ALL",
        };
        char line[100];

        snprintf(line, sizeof(line), "\n%s\n", lines[n]);
        if (strstr((const char *)shown.lines.data, line) == NULL)
            fail_msg("not shown: %s", lines[n]);
    }
    assert_null(strstr((const char *)shown.lines.data, "\nbackend_hostname1="));
    assert_null(strstr((const char *)shown.lines.data, "\nreplication_mode="));
    assert_true(shown.count > 180);
    buf_free(&shown.lines);
    loaded_fini(&l);
}

static void
one_value_by_name(void **state)
{
    struct loaded l = load(NODES "recovery_password = p\n");
    struct buf text = BUF_EMPTY;

    (void)state;
    assert_false(config_get(l.cfg, NULL, "nonsense", &text));
    assert_false(config_get(l.cfg, NULL, "backend_hostname", &text));
    assert_false(config_get(l.cfg, NULL, "backend_hostname1", &text));
    assert_false(config_get(l.cfg, NULL, "master_slave_mode", &text));
    assert_int_equal(text.len, 0);
    assert_true(config_get(l.cfg, NULL, "backend_hostname2", &text));
    assert_true(config_get(l.cfg, NULL, "RECOVERY_password", &text));
    assert_true(config_get(l.cfg, NULL, "logdir", &text));
    assert_string_equal(buf_cstr(&text), "b****/tmp");
    buf_free(&text);
    loaded_fini(&l);
}

static void
assert_file(const char *path, const struct buf *expected)
{
    char *text = xmalloc(expected->len + 1);
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    if (fread(text, 1, expected->len + 1, file) != expected->len ||
        memcmp(text, expected->data, expected->len) != 0)
        fail_msg("%s is not what the table prints: run make update-generated", path);
    fclose(file);
    free(text);
}

static void
generated_files_have_not_drifted(void **state)
{
    struct buf text = BUF_EMPTY;

    (void)state;
    config_print_sample(&text);
    assert_file(TOP_SRCDIR "/pgpool.conf.sample", &text);
    buf_clear(&text);
    config_print_man(&text);
    assert_file(TOP_SRCDIR "/doc/pgpool.conf.5", &text);
    buf_free(&text);
}

/* With its lines uncommented the sample changes nothing. */
static void
the_sample_shows_the_defaults(void **state)
{
    struct buf sample = BUF_EMPTY;
    struct buf active = BUF_EMPTY;
    struct loaded l;
    struct loaded fresh = load("");
    unsigned settings = 0;

    (void)state;
    config_print_sample(&sample);
    for (const char *p = buf_cstr(&sample); *p != '\0'; p += strcspn(p, "\n"), p += *p == '\n') {
        bool setting = p[0] == '#' && p[1] >= 'a' && p[1] <= 'z';

        buf_add(&active, p + setting, strcspn(p, "\n") + 1 - setting);
        settings += setting;
        assert_true(strcspn(p, "\n") < 100);
    }
    assert_true(settings > 180);
    l = load(buf_cstr(&active));
    assert_non_null(l.cfg);
    assert_same(fresh.cfg, l.cfg);
    buf_free(&sample);
    buf_free(&active);
    loaded_fini(&l);
    loaded_fini(&fresh);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_printed_loads_again),
        cmocka_unit_test(every_option_survives),
        cmocka_unit_test(defaults_are_not_printed),
        cmocka_unit_test(listing_for_people),
        cmocka_unit_test(one_value_by_name),
        cmocka_unit_test(generated_files_have_not_drifted),
        cmocka_unit_test(the_sample_shows_the_defaults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* overrides.h: what a session sets for itself, and how it is told that it cannot. */
#include "unit.h"

#include "config/option.h"
#include "config/overrides.h"
#include "config/value.h"

static struct config_overrides *own;

static int
start(void **state)
{
    (void)state;
    own = config_overrides_new();
    return 0;
}

static int
finish(void **state)
{
    (void)state;
    config_overrides_free(own);
    return 0;
}

/* Setting fails with these words. */
static void
fails(const char *name, const char *text, const char *sqlstate, const char *message,
      const char *hint)
{
    struct err err;

    assert_int_equal(config_overrides_set(own, name, text, &err), -1);
    assert_string_equal(err.sqlstate, sqlstate);
    assert_string_equal(err.message, message);
    if (strstr(err.hint, hint) == NULL)
        fail_msg("hint of %s: %s", name, err.hint);
    assert_true(config_overrides_empty(own));
}

static void
set(const char *name, const char *text)
{
    struct err err;

    if (config_overrides_set(own, name, text, &err) != 0)
        fail_msg("%s: %s", name, err.message);
}

/* No override needs memory of its own, and each is one value for all nodes. */
static void
session_options_are_plain_values(void **state)
{
    uint32_t count = 0;

    (void)state;
    for (size_t n = 0; n < OPTION_COUNT; n++) {
        const struct option *option = &option_table[n];
        if (option->context != OPTION_CONTEXT_SESSION)
            continue;
        count++;
        assert_int_equal(option->scope, OPTION_SCOPE_GLOBAL);
        assert_false(value_is_text(option));
        set(option->name, option->preset);
    }
    assert_true(count >= 12);
}

static void
what_is_set_counts_and_can_be_reset(void **state)
{
    struct loaded l = load("log_statement = on\nclient_idle_limit = 7");
    struct config_session values;
    struct err err;

    (void)state;
    config_session_values(l.cfg, NULL, &values);
    assert_true(values.log_statement);
    assert_int_equal(values.client_idle_limit_ms, 7000);
    set("LOG_Statement", "f");
    set("client_idle_limit", "5min");
    set("read_consistency", "EVENTUAL");
    set("log_min_messages", "debug");
    config_session_values(l.cfg, own, &values);
    assert_false(values.log_statement);
    assert_int_equal(values.client_idle_limit_ms, 300000);
    assert_int_equal(values.read_consistency, CONFIG_CONSISTENCY_EVENTUAL);
    assert_int_equal(values.log_min_messages, LOG_DEBUG2);
    assert_int_equal(config_overrides_reset(own, "log_statement", &err), 0);
    assert_int_equal(config_overrides_reset(own, "log_statement", &err), 0);
    config_session_values(l.cfg, own, &values);
    assert_true(values.log_statement);
    assert_int_equal(values.client_idle_limit_ms, 300000);
    assert_false(config_overrides_empty(own));
    config_overrides_reset_all(own);
    assert_true(config_overrides_empty(own));
    config_session_values(l.cfg, own, &values);
    assert_int_equal(values.client_idle_limit_ms, 7000);
    loaded_fini(&l);
}

static void
empty_when_the_last_was_reset(void **state)
{
    struct err err;

    (void)state;
    assert_true(config_overrides_empty(own));
    set("log_statement", "on");
    set("log_statement", "off");
    assert_false(config_overrides_empty(own));
    assert_int_equal(config_overrides_reset(own, "log_statement", &err), 0);
    assert_true(config_overrides_empty(own));
}

static void
wrong_names_and_values_are_told(void **state)
{
    (void)state;
    fails("log_statment", "on", "42704", "unrecognized configuration parameter \"log_statment\"",
          "\"log_statement\"");
    fails("", "on", "42704", "unrecognized configuration parameter \"\"", "SHOW ALL");
    fails("backend_port", "1", "42704", "unrecognized configuration parameter \"backend_port\"",
          "\"backend_port0\"");
    fails("backend_port999", "1", "42704",
          "unrecognized configuration parameter \"backend_port999\"", "127");
    fails("parallel_mode", "on", "42704", "unrecognized configuration parameter \"parallel_mode\"",
          "not used any more");
    fails("port", "1", "55P02", "parameter \"port\" cannot be changed without restarting pgpool",
          "restart");
    fails("recovery_password", "x", "55P02",
          "parameter \"recovery_password\" cannot be changed now", "reload");
    fails("log_statement", "perhaps", "22023",
          "invalid value for parameter \"log_statement\": \"perhaps\"", "on or off");
    fails("client_idle_limit", "-1", "22023",
          "invalid value for parameter \"client_idle_limit\": \"-1\"", "0s or more");
    fails("client_idle_limit", "1 week", "22023",
          "invalid value for parameter \"client_idle_limit\": \"1 week\"", "min");
    fails("read_consistency", "", "22023", "invalid value for parameter \"read_consistency\": \"\"",
          "session, global or eventual");
}

static void
shown_as_the_session_has_it(void **state)
{
    struct loaded l = load("recovery_password = 'secret'\nbackend_port1 = 5432");
    struct buf text = BUF_EMPTY;
    char name[CONFIG_NAME_MAX];
    struct err err;

    (void)state;
    set("client_idle_limit", "90000ms");
    assert_true(config_get(l.cfg, own, "client_idle_limit", &text));
    assert_string_equal(buf_cstr(&text), "90s");
    buf_clear(&text);
    assert_true(config_get(l.cfg, own, "recovery_password", &text));
    assert_string_equal(buf_cstr(&text), "****");
    buf_free(&text);
    assert_int_equal(config_find(l.cfg, "BACKEND_port1", name, &err), 0);
    assert_string_equal(name, "backend_port1");
    assert_int_equal(config_find(l.cfg, "backend_port0", name, &err), -1);
    assert_string_equal(err.sqlstate, "42704");
    assert_true(config_has_effect("log_statement"));
    assert_false(config_has_effect("log_pcp_processes"));
    loaded_fini(&l);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, finish)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(session_options_are_plain_values), TEST(what_is_set_counts_and_can_be_reset),
        TEST(empty_when_the_last_was_reset),    TEST(wrong_names_and_values_are_told),
        TEST(shown_as_the_session_has_it),
    };

    return cmocka_run_group_tests_name("overrides", tests, NULL, NULL);
}

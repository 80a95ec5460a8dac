/*
 * Rules out of the configuration: query patterns and redirect preference lists.
 */
#include "config/config.h"
#include "route/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct config_report report;
static struct config *config;

static struct route_rules *
rules_of(const char *text)
{
    struct route_rules *rules = NULL;
    struct err err;

    config_report_init(&report);
    if (config_load_text(text, strlen(text), "/etc/pgpool/test.conf", &config, &report) != 0)
        fail_msg("%s", report.findings[0].text);
    if (route_rules_new(config, &rules, &err) != 0)
        fail_msg("%s", err.message);
    return rules;
}

static void
done(struct route_rules *rules)
{
    route_rules_free(rules);
    config_free(config);
    config_report_fini(&report);
}

static struct route_wish
wish(const struct route_rules *rules, const char *user, const char *database,
     const char *application)
{
    const struct route_client client = {user, database, application};

    return route_rules_wish(rules, &client, 0.5);
}

static void
nothing_is_wished_by_default(void **state)
{
    struct route_rules *rules = rules_of("");

    (void)state;
    assert_int_equal(wish(rules, "ann", "shop", "psql").kind, ROUTE_WISH_NONE);
    assert_false(route_rules_pattern(rules, "SELECT 1", 8));
    done(rules);
}

static void
names_are_matched_whole(void **state)
{
    struct route_rules *rules =
        rules_of("database_redirect_preference_list = 'shop:primary, test.*:1, (a|b):standby'\n");

    (void)state;
    assert_int_equal(wish(rules, "ann", "shop", "").kind, ROUTE_WISH_PRIMARY);
    assert_int_equal(wish(rules, "ann", "shop2", "").kind, ROUTE_WISH_NONE);
    assert_int_equal(wish(rules, "ann", "my_shop", "").kind, ROUTE_WISH_NONE);
    assert_int_equal(wish(rules, "ann", "test2", "").kind, ROUTE_WISH_NODE);
    assert_int_equal(wish(rules, "ann", "test2", "").node_id, 1);
    assert_int_equal(wish(rules, "ann", "b", "").kind, ROUTE_WISH_STANDBY);
    assert_int_equal(wish(rules, "ann", "ab", "").kind, ROUTE_WISH_NONE);
    done(rules);
}

static void
application_before_database_before_user(void **state)
{
    struct route_rules *rules = rules_of("app_name_redirect_preference_list = 'report:2'\n"
                                         "database_redirect_preference_list = 'shop:1'\n"
                                         "user_redirect_preference_list = 'ann:0'\n");

    (void)state;
    assert_int_equal(wish(rules, "ann", "shop", "report").node_id, 2);
    assert_int_equal(wish(rules, "ann", "shop", "psql").node_id, 1);
    assert_int_equal(wish(rules, "ann", "shop", "").node_id, 1);
    assert_int_equal(wish(rules, "ann", "other", "psql").node_id, 0);
    assert_int_equal(wish(rules, "bob", "other", "psql").kind, ROUTE_WISH_NONE);
    done(rules);
}

static void
first_match_counts_and_its_ratio(void **state)
{
    struct route_rules *rules =
        rules_of("user_redirect_preference_list = 'ann:primary(0.25), a.*:1(1.0)'\n");
    const struct route_client ann = {"ann", "shop", ""};
    const struct route_client amy = {"amy", "shop", ""};

    (void)state;
    assert_int_equal(route_rules_wish(rules, &ann, 0.2).kind, ROUTE_WISH_PRIMARY);
    assert_int_equal(route_rules_wish(rules, &ann, 0.25).kind, ROUTE_WISH_NONE);
    assert_int_equal(route_rules_wish(rules, &ann, 0.99).kind, ROUTE_WISH_NONE);
    assert_int_equal(route_rules_wish(rules, &amy, 0.99).node_id, 1);
    done(rules);
}

static void
patterns_match_anywhere(void **state)
{
    struct route_rules *rules =
        rules_of("primary_routing_query_pattern_list = 'from t1;^select .*fresh'\n");
    const char text[] = "SELECT a FROM T1 WHERE b";

    (void)state;
    assert_true(route_rules_pattern(rules, text, sizeof(text) - 1));
    assert_false(route_rules_pattern(rules, text, 12)); /* not beyond the text's end */
    assert_true(route_rules_pattern(rules, "select now_fresh", 16));
    assert_false(route_rules_pattern(rules, " select now_fresh", 17));
    done(rules);
}

static void
bad_entries_are_faults(void **state)
{
    static const char *const entries[] = {"shop",       "shop:",       ":1",        "shop:128",
                                          "shop:-1",    "shop:master", "shop:1(2)", "shop:1(-0.5)",
                                          "shop:1(0.5", "shop:1()",    "sh(op:1",   "shop:1(0.5)x"};

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(entries); n++) {
        char text[128];
        struct config *cfg = NULL;

        snprintf(text, sizeof(text), "user_redirect_preference_list = '%s'\n", entries[n]);
        config_report_init(&report);
        if (config_load_text(text, strlen(text), "/etc/pgpool/test.conf", &cfg, &report) == 0)
            fail_msg("accepted: %s", entries[n]);
        assert_int_equal(report.faults, 1);
        config_report_fini(&report);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_wished_by_default),
        cmocka_unit_test(names_are_matched_whole),
        cmocka_unit_test(application_before_database_before_user),
        cmocka_unit_test(first_match_counts_and_its_ratio),
        cmocka_unit_test(patterns_match_anywhere),
        cmocka_unit_test(bad_entries_are_faults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

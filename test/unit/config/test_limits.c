/* limits.c: entries of pool_limits, what is wrong with them, and the numbers that they keep. */
#include "unit.h"

#include "config/load.h"

static const char file_name[] = "/etc/pgpool/pool_limits";

/* Entries of a text in a configuration of their own. */
static struct loaded
limits_of(const char *text)
{
    struct limits_source source = {text, strlen(text), file_name};
    struct loaded l = load("backend_hostname0 = a\nbackend_port0 = 5432\n");

    assert_non_null(l.cfg);
    config_limits_parse(&source, &l.cfg->arena, &l.cfg->limits, &l.report);
    return l;
}

static void
wrong(const char *text, const char *words)
{
    struct loaded l = limits_of(text);

    assert_found(&l, CONFIG_FAULT, words);
    assert_int_equal(l.report.faults, 1);
    loaded_fini(&l);
}

/* The entry that counts. */
static const struct config_limit *
entry_of(const struct loaded *l, const char *database, const char *user)
{
    return config_limit_find(&l->cfg->limits, database, user);
}

static void
the_first_match_counts(void **state)
{
    struct loaded l = limits_of("# database user mode connections\n"
                                "\n"
                                "app   bob  session     2  # his own\n"
                                "app   *    transaction 5\r\n"
                                "\tall\tbob\t-\t7\n"
                                "\"all\" \"a \"\"b\"\"#\" AUTO default");

    (void)state;
    assert_int_equal(l.report.count, 0);
    assert_int_equal(l.cfg->limits.count, 4);
    assert_int_equal(entry_of(&l, "app", "bob")->max_connections, 2);
    assert_int_equal(entry_of(&l, "app", "bob")->pool_mode, CONFIG_POOL_MODE_SESSION);
    assert_int_equal(entry_of(&l, "app", "eve")->max_connections, 5);
    assert_int_equal(entry_of(&l, "app", "eve")->pool_mode, CONFIG_POOL_MODE_TRANSACTION);
    assert_int_equal(entry_of(&l, "shop", "bob")->max_connections, 7);
    assert_int_equal(entry_of(&l, "shop", "bob")->pool_mode, -1);
    assert_int_equal(entry_of(&l, "all", "a \"b\"#")->max_connections, 0);
    assert_int_equal(entry_of(&l, "all", "a \"b\"#")->pool_mode, CONFIG_POOL_MODE_AUTO);
    assert_int_equal(entry_of(&l, "all", "a \"b\"#")->group, 0);
    assert_null(entry_of(&l, "shop", "eve"));
    assert_null(entry_of(&l, "APP", "eve"));
    loaded_fini(&l);
}

static void
the_cache_is_turned_on_and_off(void **state)
{
    struct loaded l =
        limits_of("app bob - 2 cache=on\napp * - - CACHE=off # not theirs\n* * - 3\n");

    (void)state;
    assert_int_equal(l.report.count, 0);
    assert_int_equal(entry_of(&l, "app", "bob")->cache, 1);
    assert_int_equal(entry_of(&l, "app", "eve")->cache, 0);
    assert_int_equal(entry_of(&l, "shop", "eve")->cache, -1);
    assert_true(config_wants_cache(l.cfg));
    loaded_fini(&l);
    l = limits_of("app * - - cache=off\n");
    assert_false(config_wants_cache(l.cfg));
    loaded_fini(&l);
}

static void
native_replication_takes_no_cache(void **state)
{
    static const char mode[] = "backend_clustering_mode = native_replication\n";
    static const char fault[] = "cache=on in \"pool_limits\" is not built yet";
    struct loaded l = limits_of("app bob - 2 cache=on\n");
    struct buf text = BUF_EMPTY;

    (void)state;
    config_print(l.cfg, &text);
    loaded_fini(&l);
    shows(buf_cstr(&text), "port", "9999");
    buf_add_str(&text, mode);
    refused(buf_cstr(&text), fault);
    buf_clear(&text);
    l = limits_of("app bob - 2 cache=off\n");
    config_print(l.cfg, &text);
    loaded_fini(&l);
    buf_add_str(&text, mode);
    shows(buf_cstr(&text), "port", "9999");
    buf_free(&text);
}

static void
statements_are_logged_by_their_duration(void **state)
{
    struct loaded l = limits_of("app bob - - log_min_duration_statement=250ms\n"
                                "app eve - - LOG_MIN_DURATION_STATEMENT=2s cache=off\n"
                                "app ann - - cache=on log_min_duration_statement=-1\n* * - 3\n");

    (void)state;
    assert_int_equal(l.report.count, 0);
    assert_int_equal(entry_of(&l, "app", "bob")->log_min_duration_ms, 250);
    assert_int_equal(entry_of(&l, "app", "bob")->cache, -1);
    assert_int_equal(entry_of(&l, "app", "eve")->log_min_duration_ms, 2000);
    assert_int_equal(entry_of(&l, "app", "eve")->cache, 0);
    assert_int_equal(entry_of(&l, "app", "ann")->log_min_duration_ms, -1);
    assert_int_equal(entry_of(&l, "app", "ann")->cache, 1);
    assert_int_equal(entry_of(&l, "shop", "ann")->log_min_duration_ms, CONFIG_LIMIT_NO_LOGGING);
    loaded_fini(&l);
}

static void
faults_have_their_place(void **state)
{
    (void)state;
    wrong("app\n", "/etc/pgpool/pool_limits:1: the line ends too early (hint: a line reads: ");
    wrong("\n\napp bob - # 5\n", "pool_limits:3: the line ends too early");
    wrong("app bob - 5 6\n", "the line goes on behind max_backend_connections");
    wrong("app bob - 5 cache=maybe\n", "the line goes on behind max_backend_connections");
    wrong("app bob - 5 \"cache=on\"\n", "the line goes on behind max_backend_connections");
    wrong("app bob - 5 cache=on 7\n", "the line goes on behind \"cache=on\"");
    wrong("app bob - 5 cache=on cache=on\n", "the line goes on behind \"cache=on\"");
    wrong("app bob - 5 log_min_duration_statement=1s x\n",
          "the line goes on behind \"log_min_duration_statement=1s\"");
    wrong("app bob - 5 log_min_duration_statement=\n", "\"\" is no log_min_duration_statement");
    wrong("app bob - 5 log_min_duration_statement=-2\n",
          "\"-2\" is no log_min_duration_statement (hint: a time, as 250ms");
    wrong("app bob - 5 log_min_duration_statement\n",
          "the line goes on behind max_backend_connections");
    wrong("app bob fast 5\n", "\"fast\" is no pool_mode (hint: session, transaction or auto");
    wrong("app bob - five\n", "\"five\" is no number of connections");
    wrong("app bob - -1\n", "\"-1\" is no number of connections");
    wrong("app bob - 2147483648\n", "is no number of connections");
    wrong("app bob - \"-\"\n", "is no number of connections");
    wrong("app \"bob - 5\n", "double quotes that the line does not close");
    wrong("app \"bob\"x - 5\n", "no blank behind double quotes");
    wrong("app b\"ob\" - 5\n", "double quotes within a word");
    wrong("\"\" bob - 5\n", "a name is empty");
    wrong("app b\001b - 5\n", "unexpected byte 0x01");
    wrong("a123456789a123456789a123456789a123456789a123456789a123456789abcd * - 5\n",
          "a name is longer than 63 bytes");
}

static void
all_faults_are_told_and_the_rest_is_read(void **state)
{
    struct loaded l = limits_of("app bob - x\neve\nshop eve - 3\n* * - y\n");

    (void)state;
    assert_int_equal(l.report.faults, 3);
    assert_int_equal(l.report.findings[2].line, 4);
    assert_int_equal(l.cfg->limits.count, 1);
    loaded_fini(&l);
}

static void
what_no_client_gets_to_is_told(void **state)
{
    struct loaded l = limits_of("app * - 1\n* bob - 2\napp bob - 3\n* * - 4\n* eve - 5\n");

    (void)state;
    assert_found(&l, CONFIG_WARNING,
                 "pool_limits:3: entry has no effect: that of line 1 matches before it");
    assert_found(&l, CONFIG_WARNING, "pool_limits:5: entry has no effect: that of line 4");
    assert_int_equal(l.report.count, 2);
    assert_int_equal(l.cfg->limits.count, 3);
    loaded_fini(&l);
}

static void
there_are_not_too_many(void **state)
{
    struct buf text = BUF_EMPTY;

    (void)state;
    for (int n = 0; n <= CONFIG_LIMITS_MAX; n++)
        buf_printf(&text, "db%d * - 1\n", n);
    wrong(buf_cstr(&text), "pool_limits:513: there are more than 512 entries");
    buf_free(&text);
}

static void
entries_travel_with_the_text(void **state)
{
    struct loaded l = limits_of("app \"b\\o'b\" session 2\n\"*\" \"\"\"\" - 3\n* * transaction - "
                                "log_min_duration_statement=-1 cache=off\n");
    struct buf text = BUF_EMPTY;
    struct buf again = BUF_EMPTY;
    struct loaded other;

    (void)state;
    config_print(l.cfg, &text);
    other = load(buf_cstr(&text));
    assert_non_null(other.cfg);
    assert_int_equal(other.cfg->limits.count, 3);
    assert_int_equal(entry_of(&other, "app", "b\\o'b")->max_connections, 2);
    assert_int_equal(entry_of(&other, "*", "\"")->group, 2);
    assert_int_equal(entry_of(&other, "x", "y")->pool_mode, CONFIG_POOL_MODE_TRANSACTION);
    assert_int_equal(entry_of(&other, "x", "y")->log_min_duration_ms, -1);
    assert_int_equal(entry_of(&other, "*", "\"")->log_min_duration_ms, CONFIG_LIMIT_NO_LOGGING);
    config_print(other.cfg, &again);
    assert_string_equal(buf_cstr(&again), buf_cstr(&text));
    buf_free(&text);
    buf_free(&again);
    loaded_fini(&other);
    loaded_fini(&l);
}

static void
what_is_not_printed_so_is_refused(void **state)
{
    (void)state;
    refused("pool_limits_entry = '1 * * - 0'\n", "wrong number of a group");
    refused("pool_limits_entry = '0 * * - 5'\n", "wrong number of a group");
    refused("pool_limits_entry = '1 a * - 5'\npool_limits_entry = '1 b * - 5'\n",
            "wrong number of a group");
    refused("pool_limits_entry = '1025 * * - 5'\n", "no number of a group");
    refused("pool_limits_entry = '1 * * - 5'\npool_limits_entry = '2 a * - 5'\n",
            "one entry too many");
}

static void
groups_outlive_a_reload(void **state)
{
    struct loaded old = limits_of("app * - 1\nshop * - 2\n* bob - 3\n");
    struct loaded next = limits_of("new * - 1\n* bob - 9\nshop * - -\napp * - 4\n");

    (void)state;
    limits_keep_groups(&old.cfg->limits, &next.cfg->limits);
    assert_int_equal(entry_of(&next, "app", "x")->group, 1);
    assert_int_equal(entry_of(&next, "shop", "x")->group, 0);
    assert_int_equal(entry_of(&next, "x", "bob")->group, 3);
    assert_int_equal(entry_of(&next, "new", "x")->group, 4);
    loaded_fini(&old);
    loaded_fini(&next);
}

/* As many entries as there may be, each time others. */
static void
there_are_always_free_groups(void **state)
{
    struct loaded old = limits_of("");

    (void)state;
    for (int round = 0; round < 3; round++) {
        struct buf text = BUF_EMPTY;
        bool used[CONFIG_GROUPS_MAX] = {true};
        struct loaded next;

        for (int n = 0; n < CONFIG_LIMITS_MAX; n++)
            buf_printf(&text, "r%d_%d * - 1\n", round, n);
        next = limits_of(buf_cstr(&text));
        limits_keep_groups(&old.cfg->limits, &next.cfg->limits);
        for (uint32_t n = 0; n < old.cfg->limits.count; n++)
            used[old.cfg->limits.list[n].group] = true;
        for (uint32_t n = 0; n < next.cfg->limits.count; n++) {
            assert_false(used[next.cfg->limits.list[n].group]);
            used[next.cfg->limits.list[n].group] = true;
        }
        buf_free(&text);
        loaded_fini(&old);
        old = next;
    }
    loaded_fini(&old);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_match_counts),
        cmocka_unit_test(the_cache_is_turned_on_and_off),
        cmocka_unit_test(native_replication_takes_no_cache),
        cmocka_unit_test(statements_are_logged_by_their_duration),
        cmocka_unit_test(faults_have_their_place),
        cmocka_unit_test(all_faults_are_told_and_the_rest_is_read),
        cmocka_unit_test(what_no_client_gets_to_is_told),
        cmocka_unit_test(there_are_not_too_many),
        cmocka_unit_test(entries_travel_with_the_text),
        cmocka_unit_test(what_is_not_printed_so_is_refused),
        cmocka_unit_test(groups_outlive_a_reload),
        cmocka_unit_test(there_are_always_free_groups),
    };

    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}

/* value.h: each type reads what people write, prints it in one form, and refuses the rest. */
#include "unit.h"

#include "config/option.h"
#include "config/value.h"

/* Options that stand for their type. */
#define ROW(name) (&option_table[OPTION_ID_GLOBAL_##name])

union field {
    bool flag;
    int integer;
    unsigned bits;
    double real;
    int64_t amount;
    const char *text;
    struct config_list list;
};

static struct arena arena;

static int
set(const struct option *option, const char *text, union field *field, struct err *err)
{
    const struct value_home home = {&arena, "/etc/pgpool"};

    return value_parse(option, text, &home, field, err);
}

static void
assert_prints(const struct option *option, const char *text, const char *expected)
{
    union field field = {.amount = 0};
    struct buf out = BUF_EMPTY;
    struct err err;

    if (set(option, text, &field, &err) != 0)
        fail_msg("\"%s\" for %s %s", text, option->name, err.message);
    value_print(option, &field, &out);
    assert_string_equal(buf_cstr(&out), expected);
    buf_free(&out);
}

/* Refused with these words in message or hint, and the field left as it was. */
static void
assert_refused(const struct option *option, const char *text, const char *words)
{
    union field field;
    union field before;
    struct err err;

    memset(&field, 0x5a, sizeof(field));
    before = field;
    assert_int_equal(set(option, text, &field, &err), -1);
    assert_memory_equal(&field, &before, sizeof(field));
    if (strstr(err.message, words) == NULL && strstr(err.hint, words) == NULL)
        fail_msg("\"%s\" for %s: %s (%s)", text, option->name, err.message, err.hint);
}

static void
truth_values(void **state)
{
    static const char *const yes[] = {"on", "ON", "true", "t", "tr", "yes", "y", "1", " on "};
    static const char *const no[] = {"off", "of", "OFF", "false", "f", "no", "n", "0"};
    static const char *const neither[] = {"", "o", "maybe", "onn", "2", "10", " "};

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(yes); n++)
        assert_prints(ROW(load_balance_mode), yes[n], "on");
    for (size_t n = 0; n < ARRAY_LEN(no); n++)
        assert_prints(ROW(load_balance_mode), no[n], "off");
    for (size_t n = 0; n < ARRAY_LEN(neither); n++)
        assert_refused(ROW(load_balance_mode), neither[n], "on or off");
}

static void
whole_numbers(void **state)
{
    (void)state;
    assert_prints(ROW(port), "1", "1");
    assert_prints(ROW(port), " 65535 ", "65535");
    assert_prints(ROW(port), "+5432", "5432");
    assert_prints(ROW(port), "5432.0", "5432");
    assert_prints(ROW(port), "1e3", "1000");
    assert_prints(ROW(max_pool), "2147483647", "2147483647");
    assert_refused(ROW(port), "0", "1 .. 65535");
    assert_refused(ROW(port), "65536", "1 .. 65535");
    assert_refused(ROW(port), "-1", "1 .. 65535");
    assert_refused(ROW(port), "99999999999999999999", "1 .. 65535");
    assert_refused(ROW(port), "1e300", "1 .. 65535");
    assert_refused(ROW(max_pool), "2147483648", "the largest value is 2147483647");
    assert_refused(ROW(port), "54.5", "whole number");
    assert_refused(ROW(port), "", "not a number");
    assert_refused(ROW(port), ".", "not a number");
    assert_refused(ROW(port), "five", "not a number");
    assert_refused(ROW(port), "inf", "not a number");
    assert_refused(ROW(port), "5432s", "takes no unit");
    assert_refused(ROW(port), "0x10", "takes no unit");
    assert_refused(ROW(port), "010", "leading zeros");
}

static void
real_numbers(void **state)
{
    const struct option *weight = &option_table[OPTION_ID_BACKEND_weight];

    (void)state;
    assert_prints(weight, "0", "0");
    assert_prints(weight, "-0.0", "0");
    assert_prints(weight, "0.1", "0.1");
    assert_prints(weight, ".5", "0.5");
    assert_prints(weight, "100000000", "1e+08");
    assert_prints(weight, "0.1234567890123456", "0.1234567890123456");
    assert_refused(weight, "-0.1", "0 .. 100000000");
    assert_refused(weight, "100000000.5", "0 .. 100000000");
    assert_refused(weight, "nan", "not a number");
    assert_refused(weight, "1 kg", "takes no unit");
}

static void
assert_ms(const struct option *option, const char *text, int64_t expected)
{
    union field field = {.amount = -77};
    struct err err;

    assert_int_equal(set(option, text, &field, &err), 0);
    assert_int_equal(field.amount, expected);
}

static void
durations_are_kept_in_ms(void **state)
{
    (void)state;
    assert_ms(ROW(sr_check_period), "10", 10000);
    assert_ms(ROW(sr_check_period), "10 s", 10000);
    assert_ms(ROW(sr_check_period), "250ms", 250);
    assert_ms(ROW(sr_check_period), "1.5min", 90000);
    assert_ms(ROW(sr_check_period), "2h", 7200000);
    assert_ms(ROW(sr_check_period), "1d", 86400000);
    assert_ms(ROW(sr_check_period), "0", 0);
    assert_ms(ROW(log_rotation_age), "10", 600000);
    assert_ms(ROW(delay_threshold_by_time), "10", 10);
    assert_ms(ROW(sr_check_period), "2147483647", 2147483647000);
}

static void
more_than_nothing_never_becomes_nothing(void **state)
{
    (void)state;
    assert_ms(ROW(sr_check_period), "1us", 1);
    assert_ms(ROW(sr_check_period), "0.0001", 1);
    assert_ms(ROW(sr_check_period), "1400us", 1);
    assert_ms(ROW(sr_check_period), "1600us", 2);
}

static void
durations_print_in_the_largest_unit(void **state)
{
    (void)state;
    assert_prints(ROW(sr_check_period), "300", "5min");
    assert_prints(ROW(sr_check_period), "86400", "1d");
    assert_prints(ROW(sr_check_period), "90", "90s");
    assert_prints(ROW(sr_check_period), "1ms", "1ms");
    assert_prints(ROW(sr_check_period), "0h", "0");
}

static void
durations_refused(void **state)
{
    (void)state;
    assert_refused(ROW(sr_check_period), "10 kB", "us, ms, s, min, h, d");
    assert_refused(ROW(sr_check_period), "10 S", "the units are");
    assert_refused(ROW(sr_check_period), "10 s x", "the units are");
    assert_refused(ROW(sr_check_period), "-1", "0s or more");
    assert_refused(ROW(sr_check_period), "-1us", "0s or more");
    assert_refused(ROW(sr_check_period), "2147483648", "the largest value");
    assert_refused(ROW(sr_check_period), "9223372036854775807d", "the largest value");
    assert_refused(ROW(sr_check_period), "1e300", "the largest value");
    assert_refused(ROW(sr_check_period), "s", "not a number");
    assert_refused(ROW(replication_delay_source_timeout), "0", "1s .. 3600s");
}

static void
minus_one_where_it_has_a_meaning(void **state)
{
    (void)state;
    assert_prints(ROW(client_idle_limit_in_recovery), "-1", "-1");
    assert_refused(ROW(client_idle_limit_in_recovery), "-2", "-1s or more");
    assert_refused(ROW(client_idle_limit_in_recovery), "-1s", "-1s or more");
    assert_refused(ROW(client_idle_limit_in_recovery), "-1ms", "-1s or more");
}

static void
sizes_are_kept_in_bytes(void **state)
{
    (void)state;
    assert_ms(ROW(log_rotation_size), "10240", 10485760);
    assert_ms(ROW(log_rotation_size), "1B", 1);
    assert_ms(ROW(memqcache_total_size), "64MB", 67108864);
    assert_ms(ROW(memqcache_total_size), "9223372036854775807", INT64_MAX);
    assert_prints(ROW(memqcache_total_size), "0.5GB", "512MB");
    assert_prints(ROW(memqcache_total_size), "1TB", "1TB");
    assert_refused(ROW(memqcache_total_size), "64mb", "B, kB, MB, GB, TB");
    assert_refused(ROW(memqcache_cache_block_size), "511", "512B or more");
}

static void
permissions_are_octal(void **state)
{
    (void)state;
    assert_prints(ROW(log_file_mode), "0640", "0640");
    assert_prints(ROW(log_file_mode), "0", "0000");
    assert_prints(ROW(log_file_mode), "00777 ", "0777");
    assert_refused(ROW(log_file_mode), "640", "leading 0");
    assert_refused(ROW(log_file_mode), "0680", "leading 0");
    assert_refused(ROW(log_file_mode), "01777", "0000 .. 0777");
    assert_refused(ROW(log_file_mode), "", "leading 0");
}

static void
words(void **state)
{
    (void)state;
    assert_prints(ROW(log_min_messages), "DEBUG1", "debug1");
    assert_prints(ROW(log_min_messages), "debug", "debug2");
    assert_prints(ROW(check_temp_table), "on", "catalog");
    assert_prints(ROW(io_engine), " epoll ", "epoll");
    assert_refused(ROW(io_engine), "kqueue", "auto, io_uring or epoll");
    assert_refused(ROW(io_engine), "", "auto, io_uring or epoll");
    assert_refused(ROW(io_engine), "epol", "auto, io_uring or epoll");
}

static void
combined_words(void **state)
{
    const struct option *flag = &option_table[OPTION_ID_BACKEND_flag];

    (void)state;
    assert_prints(ROW(log_destination), "syslog , STDERR", "stderr,syslog");
    assert_prints(flag, "always_primary|DISALLOW_TO_FAILOVER",
                  "DISALLOW_TO_FAILOVER|ALWAYS_PRIMARY");
    assert_prints(flag, "ALWAYS_MASTER", "ALWAYS_PRIMARY");
    assert_refused(ROW(log_destination), "stderr,", "stderr or syslog");
    assert_refused(ROW(log_destination), "csvlog", "stderr or syslog");
    assert_refused(ROW(log_destination), "", "stderr or syslog");
}

static void
paths_belong_to_the_directory(void **state)
{
    char *endless = arena_calloc(&arena, 5000);

    (void)state;
    assert_prints(ROW(pool_passwd), "users", "/etc/pgpool/users");
    assert_prints(ROW(pool_passwd), "/users", "/users");
    assert_prints(ROW(pool_passwd), "", "");
    memset(endless, 'a', 4090);
    assert_refused(ROW(pool_passwd), endless, "path");
}

static void
lists(void **state)
{
    union field field;
    struct err err;

    (void)state;
    assert_prints(ROW(listen_addresses), " a,b , c", "a, b, c");
    assert_prints(ROW(listen_addresses), " , ,", "");
    assert_prints(ROW(reset_query_list), "ABORT;DISCARD ALL;", "ABORT; DISCARD ALL");
    assert_prints(ROW(reset_query_list), "a\\;b; c\\ ;d\\\\", "a\\;b; c\\ ; d\\\\");
    assert_int_equal(set(ROW(reset_query_list), "a\\;b\\\\; c \\ ;d\\", &field, &err), 0);
    assert_int_equal(field.list.count, 2);
    assert_string_equal(field.list.items[0], "a;b\\; c \\");
    assert_string_equal(field.list.items[1], "d\\");
}

static void
long_texts_are_refused(void **state)
{
    char *endless = arena_calloc(&arena, VALUE_MAX + 2);

    (void)state;
    memset(endless, ',', VALUE_MAX + 1);
    assert_refused(ROW(log_line_prefix), endless, "longer than");
    assert_refused(ROW(listen_addresses), endless, "longer than");
    endless[VALUE_MAX / 2] = '\0';
    assert_prints(ROW(listen_addresses), endless, "");
    for (size_t n = 0; n < VALUE_MAX / 2; n += 2)
        endless[n] = 'a';
    assert_refused(ROW(listen_addresses), endless, "more than 1024 texts");
}

static void
regular_expressions(void **state)
{
    (void)state;
    assert_prints(ROW(write_function_list), "nextval,^set_[a-z]{1\\,63}$",
                  "nextval, ^set_[a-z]{1\\,63}$");
    assert_refused(ROW(write_function_list), "nextval,^set_[a-z]{1,63}$",
                   "the expression is \"^set_[a-z]{1\"");
    assert_prints(ROW(primary_routing_query_pattern_list), "^SELECT .{3,5}$; (a|b)+",
                  "^SELECT .{3,5}$; (a|b)+");
    assert_refused(ROW(primary_routing_query_pattern_list), "a; (b", "regular expression");
    assert_refused(ROW(primary_routing_query_pattern_list), "[", "the expression is \"[\"");
}

static void
costly_regular_expressions(void **state)
{
    const struct option *patterns = ROW(primary_routing_query_pattern_list);
    char *deep = arena_calloc(&arena, 2000);

    (void)state;
    assert_refused(patterns, "((a{255}){255}){255}", "too complex");
    assert_refused(patterns, "a{99999999999999999999}", "too complex");
    memset(deep, '(', 60);
    assert_refused(patterns, deep, "too complex");
    memset(deep, 'a', 1500);
    assert_refused(patterns, deep, "1024 bytes");
}

static void
copies_are_equal_and_their_own(void **state)
{
    static const struct option *const rows[] = {
        ROW(load_balance_mode),
        ROW(port),
        ROW(sr_check_period),
        ROW(log_rotation_size),
        ROW(log_file_mode),
        ROW(io_engine),
        ROW(log_destination),
        ROW(pool_passwd),
        ROW(syslog_ident),
        ROW(wd_authkey),
        ROW(listen_addresses),
        ROW(write_function_list),
        ROW(track_table_mutation_ttl_factor),
    };
    static const char *const values[][2] = {
        {"on", "off"},     {"1", "2"},           {"1s", "2s"}, {"1kB", "2kB"}, {"0600", "0644"},
        {"auto", "epoll"}, {"stderr", "syslog"}, {"/a", "/b"}, {"a", "b"},     {"a", "b"},
        {"a,b", "a"},      {"a,b", "a,c"},       {"1.5", "2"},
    };

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
        union field one;
        union field other;
        union field copy;
        struct err err;

        memset(&copy, 0, sizeof(copy));
        assert_int_equal(set(rows[n], values[n][0], &one, &err), 0);
        assert_int_equal(set(rows[n], values[n][1], &other, &err), 0);
        assert_false(value_equal(rows[n], &one, &other));
        value_copy(rows[n], &copy, &one, &arena);
        assert_true(value_equal(rows[n], &one, &copy));
        if (value_is_text(rows[n]) && rows[n]->type != OPTION_TYPE_FLAGS)
            assert_ptr_not_equal(one.text, copy.text);
    }
}

static void
quotes_for_messages(void **state)
{
    struct buf out = BUF_EMPTY;
    char endless[101];

    (void)state;
    value_quote_short("a\001b\177", &out);
    assert_string_equal(buf_cstr(&out), "\"a?b?\"");
    memset(endless, 'x', 100);
    endless[100] = '\0';
    buf_clear(&out);
    value_quote_short(endless, &out);
    assert_int_equal(out.len, 60 + 5);
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(truth_values),
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(real_numbers),
        cmocka_unit_test(durations_are_kept_in_ms),
        cmocka_unit_test(more_than_nothing_never_becomes_nothing),
        cmocka_unit_test(durations_print_in_the_largest_unit),
        cmocka_unit_test(durations_refused),
        cmocka_unit_test(minus_one_where_it_has_a_meaning),
        cmocka_unit_test(sizes_are_kept_in_bytes),
        cmocka_unit_test(permissions_are_octal),
        cmocka_unit_test(words),
        cmocka_unit_test(combined_words),
        cmocka_unit_test(paths_belong_to_the_directory),
        cmocka_unit_test(lists),
        cmocka_unit_test(long_texts_are_refused),
        cmocka_unit_test(regular_expressions),
        cmocka_unit_test(costly_regular_expressions),
        cmocka_unit_test(copies_are_equal_and_their_own),
        cmocka_unit_test(quotes_for_messages),
    };
    int rc;

    arena_init(&arena, 0);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&arena);
    return rc;
}

/* log_json.h, and log.h with it: one object a line, whatever the texts are. */
#include "unit.h"

#include "base/err.h"
#include "base/log.h"
#include "base/log_json.h"

#include <stdio.h>
#include <string.h>

static char got[16384];
static int count;

static void
sink(void *ctx, enum log_level level, const char *line, size_t len)
{
    (void)ctx;
    (void)level;
    assert_true(len < sizeof(got));
    memcpy(got, line, len);
    got[len] = '\0';
    count++;
}

static int
start(void **state)
{
    (void)state;
    count = 0;
    log_set_sink(sink, NULL);
    log_set_level(LOG_LEVEL_WARNING);
    log_set_verbosity(LOG_DEFAULT);
    log_set_process("child");
    log_set_context(NULL);
    log_set_json(true);
    return 0;
}

static int
end(void **state)
{
    (void)state;
    log_set_json(false);
    log_set_sink(NULL, NULL);
    return 0;
}

static const char *
print(const struct log_json *j)
{
    size_t len = log_json_print(got, LOG_JSON_LEAST, j);

    assert_int_equal(len, strlen(got));
    assert_true(len < LOG_JSON_LEAST);
    assert_null(memchr(got, '\n', len));
    assert_int_equal(got[len - 1], '}');
    return got;
}

static void
all_names(void **state)
{
    const struct log_json j = {.timestamp = "2026-01-31 12:00:00.000 UTC",
                               .user = "me",
                               .dbname = "db",
                               .remote = "fe80::1:5432",
                               .application_name = "app",
                               .backend_type = "child",
                               .severity = "log",
                               .state_code = "00000",
                               .message = "m",
                               .detail = "d",
                               .hint = "h",
                               .pid = 12,
                               .line_num = 3,
                               .query_id = UINT64_MAX};

    (void)state;
    assert_string_equal(
        print(&j),
        "{\"timestamp\":\"2026-01-31 12:00:00.000 UTC\",\"user\":\"me\",\"dbname\":\"db\","
        "\"pid\":12,\"remote_host\":\"fe80::1\",\"remote_port\":5432,\"line_num\":3,"
        "\"error_severity\":\"LOG\",\"state_code\":\"00000\",\"message\":\"m\",\"detail\":\"d\","
        "\"hint\":\"h\",\"application_name\":\"app\",\"backend_type\":\"child\",\"query_id\":-1}");
}

static void
what_there_is_not(void **state)
{
    const struct log_json j = {
        .severity = "panic", .message = "m", .remote = "[local]", .user = "", .pid = 1};

    (void)state;
    assert_string_equal(print(&j), "{\"pid\":1,\"remote_host\":\"[local]\",\"line_num\":0,"
                                   "\"error_severity\":\"PANIC\",\"message\":\"m\"}");
}

static void
odd_characters(void **state)
{
    const struct log_json j = {.severity = "log",
                               .message = "\"\\\n\t\x01\x7f\xff\xc3\xa4\xe2\x82 \xed\xa0\x80",
                               .pid = 1};

    (void)state;
    assert_non_null(strstr(print(&j),
                           "\"message\":\"\\\"\\\\\\n\\t\\u0001\\u007f\xEF\xBF\xBD\xc3\xa4"
                           "\xEF\xBF\xBD\xEF\xBF\xBD \xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""));
}

/* Each text as long as can be, of what is written longest: still whole. */
static void
long_texts_are_cut(void **state)
{
    static char text[20000];
    const struct log_json j = {.timestamp = text,
                               .user = text,
                               .dbname = text,
                               .remote = text,
                               .application_name = text,
                               .backend_type = text,
                               .severity = "warning",
                               .state_code = text,
                               .message = text,
                               .detail = text,
                               .hint = text,
                               .pid = 4194304,
                               .line_num = UINT64_MAX,
                               .query_id = UINT64_MAX / 2};
    static const char fills[] = "a\"\x01\xff";

    (void)state;
    for (const char *fill = fills; *fill != '\0'; fill++) {
        memset(text, *fill, sizeof(text) - 1);
        print(&j);
        assert_non_null(strstr(got, "\"message\":\""));
        assert_non_null(strstr(got, "\"hint\":\""));
        assert_non_null(strstr(got, "\"query_id\":9223372036854775807}"));
    }
}

static void
messages_of_the_process(void **state)
{
    const struct log_context ctx = {.user = "me", .database = "db", .remote = "[local]"};

    (void)state;
    log_set_context(&ctx);
    log_warning("node %d\nis %s", 1, "down");
    log_set_context(NULL);
    assert_int_equal(count, 1);
    assert_non_null(strstr(got, "\"user\":\"me\",\"dbname\":\"db\""));
    assert_non_null(strstr(got, "\"message\":\"node 1\\nis down\""));
    assert_non_null(strstr(got, "\"backend_type\":\"child\""));
    log_write(LOG_LEVEL_NOTICE, "no");
    assert_int_equal(count, 1);
}

static void
an_error_is_one_object(void **state)
{
    struct err err;

    (void)state;
    err_set(&err, "57P03", "no");
    err_detail(&err, "because");
    err_hint(&err, "wait");
    log_error_parts(LOG_LEVEL_ERROR, &err);
    assert_int_equal(count, 1);
    assert_non_null(strstr(got,
                           "\"state_code\":\"57P03\",\"message\":\"no\",\"detail\":\"because\","
                           "\"hint\":\"wait\""));
    log_set_verbosity(LOG_TERSE);
    log_error_parts(LOG_LEVEL_ERROR, &err);
    assert_null(strstr(got, "because"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_names),
        cmocka_unit_test(what_there_is_not),
        cmocka_unit_test(odd_characters),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test_setup_teardown(messages_of_the_process, start, end),
        cmocka_unit_test_setup_teardown(an_error_is_one_object, start, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* log.h: levels, the prefix's letters, one whole line for the sink, and how a bug ends. */
#include "unit.h"

#include "base/err.h"
#include "base/log.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
    char line[16384];
    size_t len;
    enum log_level level;
    int count;
} got;

static void
sink(void *ctx, enum log_level level, const char *line, size_t len)
{
    assert_ptr_equal(ctx, &got);
    assert_true(len < sizeof(got.line));
    memcpy(got.line, line, len);
    got.line[len] = '\0';
    got.len = len;
    got.level = level;
    got.count++;
}

static int
start(void **state)
{
    (void)state;
    memset(&got, 0, sizeof(got));
    log_set_sink(sink, &got);
    log_set_level(LOG_LEVEL_WARNING);
    log_set_verbosity(LOG_DEFAULT);
    log_set_prefix("");
    log_set_process("child");
    log_set_context(NULL);
    return 0;
}

static void
a_line_is_level_and_text(void **state)
{
    (void)state;
    log_warning("node %d is %s", 1, "down");
    assert_string_equal(got.line, "WARNING:  node 1 is down");
    assert_int_equal(got.level, LOG_LEVEL_WARNING);
    assert_int_equal(got.count, 1);
}

static void
lower_levels_are_dropped(void **state)
{
    (void)state;
    log_write(LOG_LEVEL_NOTICE, "no");
    log_debug("no");
    assert_int_equal(got.count, 0);
    assert_false(log_enabled(LOG_LEVEL_INFO));
    assert_true(log_enabled(LOG_LEVEL_LOG));
    log_info("yes");
    assert_string_equal(got.line, "LOG:  yes");
    log_set_level(LOG_LEVEL_FATAL);
    log_info("no");
    log_error("no");
    assert_int_equal(got.count, 1);
    log_set_level(LOG_DEBUG1);
    log_debug("yes");
    log_write(LOG_DEBUG2, "no");
    assert_string_equal(got.line, "DEBUG1:  yes");
}

static void
a_context_may_have_limits_of_its_own(void **state)
{
    const struct log_limits more = {LOG_DEBUG1, LOG_DEFAULT};
    const struct log_limits less = {LOG_LEVEL_FATAL, LOG_DEFAULT};
    struct log_context ctx = {"psql", "shop", "ann", NULL, &more};

    (void)state;
    log_set_context(&ctx);
    log_debug("yes");
    assert_int_equal(got.count, 1);
    ctx.limits = &less;
    log_error("no");
    assert_int_equal(got.count, 1);
    ctx.limits = NULL;
    log_debug("no");
    log_error("yes");
    assert_int_equal(got.count, 2);
    log_set_context(NULL);
}

static void
errors_are_logged_as_far_as_wanted(void **state)
{
    const struct log_limits verbose = {LOG_LEVEL_WARNING, LOG_VERBOSE};
    const struct log_context ctx = {"psql", "shop", "ann", NULL, &verbose};
    struct err err;

    (void)state;
    err_set(&err, "57P03", "no server");
    log_error_parts(LOG_LEVEL_FATAL, &err);
    assert_string_equal(got.line, "FATAL:  no server");
    assert_int_equal(got.count, 1);
    err_detail(&err, "None answers.");
    err_hint(&err, "Wait.");
    log_error_parts(LOG_LEVEL_FATAL, &err);
    assert_string_equal(got.line, "HINT:  Wait.");
    assert_int_equal(got.count, 4);
    log_set_verbosity(LOG_TERSE);
    log_error_parts(LOG_LEVEL_FATAL, &err);
    assert_string_equal(got.line, "FATAL:  no server");
    assert_int_equal(got.count, 5);
    log_error_parts(LOG_LEVEL_NOTICE, &err);
    assert_int_equal(got.count, 5);
    log_set_context(&ctx);
    err_set(&err, "57P03", "no server");
    log_error_parts(LOG_LEVEL_ERROR, &err);
    assert_string_equal(got.line, "ERROR:  57P03: no server");
    log_set_context(NULL);
}

static void
prefix_letters(void **state)
{
    const struct log_context ctx = {"psql", "shop", "ann", NULL, NULL};
    char expected[128];

    (void)state;
    log_set_prefix("%a|%d|%u|%p|%P|%%|%q: ");
    log_set_context(&ctx);
    log_error("x");
    snprintf(expected, sizeof(expected), "psql|shop|ann|%d|child|%%|: ERROR:  x", (int)getpid());
    assert_string_equal(got.line, expected);
    assert_ptr_equal(log_set_context(NULL), &ctx);
    log_set_prefix("%a|%d|%u|");
    log_error("x");
    assert_string_equal(got.line, "child|||ERROR:  x");
}

static void
empty_names_are_unknown(void **state)
{
    const struct log_context ctx = {"", NULL, "ann", NULL, NULL};

    (void)state;
    log_set_prefix("%a %d ");
    log_set_context(&ctx);
    log_error("x");
    assert_string_equal(got.line, "[unknown] [unknown] ERROR:  x");
}

static void
time_and_line_number(void **state)
{
    int year, month, day, hour, minute, second, ms, end = 0;
    unsigned first, second_line;

    (void)state;
    log_set_prefix("%m ");
    log_error("x");
    assert_int_equal(sscanf(got.line, "%d-%d-%d %d:%d:%d.%d ERROR:%n", &year, &month, &day, &hour,
                            &minute, &second, &ms, &end),
                     7);
    assert_true(end > 0 && year >= 2024 && ms < 1000);
    log_set_prefix("%l %t ");
    log_error("x");
    assert_int_equal(sscanf(got.line, "%u", &first), 1);
    log_error("x");
    assert_int_equal(sscanf(got.line, "%u", &second_line), 1);
    assert_int_equal(second_line, first + 1);
}

static void
long_lines_are_cut(void **state)
{
    char user[200];
    const struct log_context ctx = {"a", "b", user, NULL, NULL};

    (void)state;
    memset(user, 'u', sizeof(user) - 1);
    user[sizeof(user) - 1] = '\0';
    log_set_prefix("%u%u%u%u%u%u%u%u%u%u%u%u%u%u%u%u%u%u%u%u%u%u%u%u");
    log_set_context(&ctx);
    log_error("%20000s|", "x");
    assert_in_range(got.len, 8000, 8192);
}

static void
level_names_both_ways(void **state)
{
    (void)state;
    for (int level = LOG_DEBUG5; level <= LOG_LEVEL_PANIC; level++)
        assert_int_equal(log_level_parse(log_level_name((enum log_level)level)), level);
    assert_int_equal(log_level_parse("WARNING"), LOG_LEVEL_WARNING);
    assert_int_equal(log_level_parse("debug"), LOG_DEBUG2);
    assert_int_equal(log_level_parse("loud"), -1);
    assert_int_equal(log_level_parse(""), -1);
}

/* Runs fn in a child whose stderr is read; returns its wait status. */
static int
in_child(void (*fn)(void), char *text, size_t size)
{
    int pipe_fds[2];
    size_t len = 0;
    ssize_t n;
    int status;
    pid_t pid;

    assert_int_equal(pipe(pipe_fds), 0);
    pid = fork();
    if (pid == 0) {
        dup2(pipe_fds[1], STDERR_FILENO);
        log_set_sink(NULL, NULL);
        fn();
        _exit(0);
    }
    close(pipe_fds[1]);
    while ((n = read(pipe_fds[0], text + len, size - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    close(pipe_fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void
meet_a_bug(void)
{
    BUG_UNLESS(1 + 1 == 2);
    BUG_UNLESS(1 + 1 == 3);
}

static void
a_bug_says_where_and_aborts(void **state)
{
    char text[4096];
    int status = in_child(meet_a_bug, text, sizeof(text));

    (void)state;
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(text, "PANIC:  "));
    assert_non_null(strstr(text, "test_log.c:"));
    assert_non_null(strstr(text, "1 + 1 == 3"));
}

static void
say_two_lines(void)
{
    log_warning("one");
    log_fatal("two");
}

static void
without_a_sink_lines_go_to_stderr(void **state)
{
    char text[4096];
    int status = in_child(say_two_lines, text, sizeof(text));

    (void)state;
    assert_int_equal(status, 0);
    assert_string_equal(text, "WARNING:  one\nFATAL:  two\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_line_is_level_and_text, start),
        cmocka_unit_test_setup(lower_levels_are_dropped, start),
        cmocka_unit_test_setup(a_context_may_have_limits_of_its_own, start),
        cmocka_unit_test_setup(errors_are_logged_as_far_as_wanted, start),
        cmocka_unit_test_setup(prefix_letters, start),
        cmocka_unit_test_setup(empty_names_are_unknown, start),
        cmocka_unit_test_setup(time_and_line_number, start),
        cmocka_unit_test_setup(long_lines_are_cut, start),
        cmocka_unit_test_setup(level_names_both_ways, start),
        cmocka_unit_test_setup(a_bug_says_where_and_aborts, start),
        cmocka_unit_test_setup(without_a_sink_lines_go_to_stderr, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

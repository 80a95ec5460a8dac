/*
 * Log files: what is in a file that a logger turns to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "os/file.h"
#include "os/logfile.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
turn_to(struct logfile *f, const char *directory, const char *pattern)
{
    struct logfile_name name = {directory, pattern, 0600, true};
    struct err err;

    assert_int_equal(logfile_open(f, &name, &err), 0);
}

static void
assert_holds(const char *directory, const char *name, const char *words)
{
    struct buf text = BUF_EMPTY;
    char path[128];
    struct err err;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    assert_int_equal(file_read(path, 1000, &text, &err), 0);
    assert_string_equal(buf_cstr(&text), words);
    buf_free(&text);
}

static void
old_file_begins_empty_for_one_of_two_loggers(void **state)
{
    struct logfile a = LOGFILE_NONE;
    struct logfile b = LOGFILE_NONE;
    char directory[] = "/tmp/test_logfile.XXXXXX";
    char path[128];

    (void)state;
    assert_non_null(mkdtemp(directory));
    turn_to(&a, directory, "monday");
    logfile_write(&a, "last week\n", 10);
    turn_to(&a, directory, "sunday");
    turn_to(&b, directory, "sunday");
    logfile_write(&a, "a1\n", 3);
    logfile_write(&b, "b1\n", 3);
    poll(NULL, 0, 20); /* a file's time is as coarse as the kernel's ticks */
    turn_to(&a, directory, "monday");
    logfile_write(&a, "a2\n", 3);
    turn_to(&b, directory, "monday");
    logfile_write(&b, "b2\n", 3);
    assert_holds(directory, "sunday", "a1\nb1\n");
    assert_holds(directory, "monday", "a2\nb2\n");
    turn_to(&a, directory, "monday");
    assert_holds(directory, "monday", "a2\nb2\n");
    logfile_close(&a);
    logfile_close(&b);
    for (int n = 0; n < 2; n++) {
        snprintf(path, sizeof(path), "%s/%s", directory, n == 0 ? "sunday" : "monday");
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(directory), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_file_begins_empty_for_one_of_two_loggers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

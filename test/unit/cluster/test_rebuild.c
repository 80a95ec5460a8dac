/* rebuild.h: whatever a value holds, it stays a value for the shell, for SQL and for libpq. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/rebuild.h"

#include <string.h>

static struct rebuild
usual(void)
{
    return (struct rebuild){.mode = REBUILD_AUTO,
                            .node_id = 2,
                            .node_host = "db2",
                            .node_port = 5433,
                            .data_directory = "/srv/data",
                            .application_name = "",
                            .primary_host = "/run/postgresql",
                            .primary_port = 5432,
                            .user = "o'brien",
                            .password = "a\\b'c\"$(id)",
                            .system_identifier = "7123",
                            .timeline = 3,
                            .server_version = 150018,
                            .history = "1 0/A\n2 1/B",
                            .bin_directory = "",
                            .wait_s = 90};
}

static void
values_are_quoted_in_the_script(void **state)
{
    struct rebuild r = usual();
    struct buf out = BUF_EMPTY;
    struct err err;

    (void)state;
    assert_int_equal(rebuild_script(&r, &out, &err), 0);
    buf_cstr(&out);
    assert_non_null(strstr((char *)out.data, "\ndata='/srv/data'\n"));
    assert_non_null(strstr((char *)out.data, "\npassword='a\\b'\\''c\"$(id)'\n"));
    assert_non_null(strstr((char *)out.data, "\nmajor=15\n"));
    assert_non_null(strstr((char *)out.data, "\nhistory='1 0/A\n2 1/B'\n"));
    /* first for libpq, then for the shell */
    assert_non_null(strstr((char *)out.data, "\nlogin='user='\\''o\\'\\''brien'\\'''\n"));
    assert_non_null(strstr((char *)out.data, " password='\\''a\\\\b\\'\\''c\"$(id)'\\'''\n"));
    assert_non_null(strstr((char *)out.data, " host=/run/postgresql port=5432 dbname=postgres'\n"));
    assert_string_equal((char *)out.data + out.len - 17, "\nmain </dev/null\n");
    buf_free(&out);
}

static void
refused(const struct rebuild *r, const char *words)
{
    struct buf out = BUF_EMPTY;
    struct err err;

    assert_int_equal(rebuild_script(r, &out, &err), -1);
    assert_non_null(strstr(err.message, words));
    assert_int_equal(out.len, 0);
    buf_free(&out);
}

static void
what_cannot_be_passed_on_is_refused(void **state)
{
    struct rebuild r = usual();

    (void)state;
    r.data_directory = "";
    refused(&r, "is not known");
    r.data_directory = "data";
    refused(&r, "no absolute path");
    r.data_directory = "/";
    refused(&r, "no absolute path");
    r.data_directory = "/srv/a\nb";
    refused(&r, "control character");
    r = usual();
    r.primary_host = "db 1";
    refused(&r, "the primary's host \"db 1\" cannot be used");
    r = usual();
    r.application_name = "it's";
    refused(&r, "application_name");
    r = usual();
    r.password = "a\nb";
    refused(&r, "the password of online recovery holds a control character");
}

static void
history(const char *file, const char *expected)
{
    struct buf out = BUF_EMPTY;

    rebuild_history(file, &out);
    assert_string_equal(buf_cstr(&out), expected);
    buf_free(&out);
}

static void
history_files_are_read(void **state)
{
    (void)state;
    history("", "");
    history("1\t0/3000148\tno recovery target specified\n", "1 0/3000148");
    history("1\t0/30\tno\n\n2\t1A/B0000000\tbefore 2000-01-01\n", "1 0/30\n2 1A/B0000000");
    history("# a comment\n\n1\t0/30", "1 0/30");
}

static void
program_is_quoted_twice(void **state)
{
    const char *words[] = {"first stage", "it's", "a\\b", "$(id)", "", NULL};
    struct buf out = BUF_EMPTY;
    struct err err;

    (void)state;
    assert_int_equal(rebuild_program_sql("/srv/d'1", 4, words, &out, &err), 0);
    assert_string_equal(
        buf_cstr(&out),
        "COPY (SELECT 1 WHERE false) TO PROGRAM E'''/srv/d''\\\\''''1/first stage'' "
        "''it''\\\\''''s'' ''a\\\\b'' ''$(id)'' '''' "
        "</dev/null >pgsql_tmp_pgpool_recovery.4 2>&1'");
    buf_clear(&out);
    words[1] = "a\nb";
    assert_int_equal(rebuild_program_sql("/srv", 4, words, &out, &err), -1);
    buf_free(&out);
}

static void
output_is_read_from_an_offset(void **state)
{
    struct buf out = BUF_EMPTY;

    (void)state;
    rebuild_output_sql(7, 8192, &out);
    assert_non_null(strstr(buf_cstr(&out), "'pgsql_tmp_pgpool_recovery.7', 8192, 8192, true"));
    buf_clear(&out);
    rebuild_forget_sql(7, &out);
    assert_non_null(strstr(buf_cstr(&out), "'rm -f pgsql_tmp_pgpool_recovery.7'"));
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_quoted_in_the_script),
        cmocka_unit_test(what_cannot_be_passed_on_is_refused),
        cmocka_unit_test(history_files_are_read),
        cmocka_unit_test(program_is_quoted_twice),
        cmocka_unit_test(output_is_read_from_an_offset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

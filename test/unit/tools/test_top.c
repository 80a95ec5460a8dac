/*
 * tools/top.h: what the list of statements is read as, compared, sorted and shown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tools/top.h"

#include <string.h>

enum { COLUMNS = 15 };

static const char *const names[COLUMNS] = {
    "fingerprint", "database", "username", "calls", "errors",  "rows",  "total_ms", "mean_ms",
    "p50_ms",      "p99_ms",   "max_ms",   "nodes", "reasons", "since", "statement"};

/* Rows of calls, rows, total and statement. */
struct given {
    const char *calls;
    const char *rows;
    const char *total;
    const char *statement;
};

static PGresult *
make(const struct given *given, int count, int columns)
{
    PGresult *r = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc attributes[COLUMNS] = {0};

    for (int n = 0; n < columns; n++)
        attributes[n].name = (char *)(uintptr_t)names[n];
    assert_true(PQsetResultAttrs(r, columns, attributes));
    for (int row = 0; row < count; row++) {
        const char *values[COLUMNS] = {given[row].statement,
                                       "db",
                                       "me",
                                       given[row].calls,
                                       "0",
                                       given[row].rows,
                                       given[row].total,
                                       "1.500",
                                       "1",
                                       "2",
                                       "3",
                                       "0 primary 1",
                                       "writes 1",
                                       "",
                                       given[row].statement};
        for (int n = 0; n < columns; n++)
            assert_true(
                PQsetvalue(r, row, n, (char *)(uintptr_t)values[n], (int)strlen(values[n])));
    }
    return r;
}

static void
compared_and_sorted(void **state)
{
    static const struct given first[] = {{"10", "1", "100.0", "a"}, {"50", "9", "200.0", "b"}};
    static const struct given then[] = {
        {"5", "9", "250.0", "b"}, {"30", "1", "1100.0", "a"}, {"8", "2", "4000.0", "c"}};
    PGresult *before = make(first, 2, COLUMNS);
    PGresult *now = make(then, 3, COLUMNS);
    struct top_list old;
    struct top_list list;

    (void)state;
    assert_int_equal(top_list_read(before, &old), 0);
    assert_int_equal(top_list_read(now, &list), 0);
    top_list_compare(&list, &old, 2);
    top_list_sort(&list, TOP_BY_TIME, false);
    assert_string_equal(list.rows[0].statement, "c");
    assert_string_equal(list.rows[2].statement, "b");
    assert_true(list.rows[0].calls_per_s == 4 && list.rows[0].load == 2); /* it is new */
    assert_true(list.rows[1].calls_per_s == 10 && list.rows[1].load == 0.5);
    assert_true(list.rows[2].calls_per_s == 2.5); /* it was forgotten meanwhile */
    top_list_sort(&list, TOP_BY_CALLS, true);
    assert_string_equal(list.rows[0].statement, "b");
    top_list_sort(&list, TOP_BY_ROWS, false);
    assert_string_equal(list.rows[0].statement, "b");
    top_list_free(&old);
    top_list_free(&list);
    PQclear(before);
    PQclear(now);
}

static void
another_result_is_refused(void **state)
{
    PGresult *r = make(NULL, 0, COLUMNS - 1);
    struct top_list list;

    (void)state;
    assert_int_equal(top_list_read(r, &list), -1);
    PQclear(r);
}

static void
orders_have_names_and_keys(void **state)
{
    enum top_order order;

    (void)state;
    for (int n = 0; n < TOP_ORDERS; n++) {
        assert_true(top_order_find(top_order_name((enum top_order)n), &order));
        assert_int_equal(order, n);
        for (int other = 0; other < n; other++)
            assert_int_not_equal(top_order_key((enum top_order)n),
                                 top_order_key((enum top_order)other));
    }
    assert_false(top_order_find("nothing", &order));
}

static void
a_screen_has_its_size(void **state)
{
    static const struct given given[] = {
        {"1", "123456789", "3.0", "select \xc3\xa4\x1b[2J\xc2\x9b\xff"},
        {"2", "1", "2.0", "b"},
        {"3", "1", "1.0", "c"}};
    PGresult *r = make(given, 3, COLUMNS);
    struct top_list list;
    struct top_view v = {.where = "/tmp:9898",
                         .time = "12:00:00",
                         .list = &list,
                         .delay_s = 2,
                         .keys = true,
                         .width = 40,
                         .height = 6};
    struct buf out = BUF_EMPTY;
    size_t lines = 0;
    size_t width = 0;

    (void)state;
    assert_int_equal(top_list_read(r, &list), 0);
    top_print(&v, &out);
    for (size_t n = 0; n < out.len; n++) {
        lines += out.data[n] == '\n';
        width = out.data[n] == '\n' ? 0 : width + 1;
        assert_true(width <= 40);
    }
    assert_int_equal(lines, 6);
    v.width = v.height = 0;
    top_print(&v, &out);
    assert_non_null(strstr(buf_cstr(&out), "select \xc3\xa4?[2J??\n"));
    assert_non_null(strstr(buf_cstr(&out), "123.5M"));
    assert_null(strchr(buf_cstr(&out), 0x1b));
    v.failure = "server gone";
    top_print(&v, &out);
    assert_non_null(strstr(buf_cstr(&out), "server gone\n"));
    buf_free(&out);
    top_list_free(&list);
    PQclear(r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compared_and_sorted),
        cmocka_unit_test(another_result_is_refused),
        cmocka_unit_test(orders_have_names_and_keys),
        cmocka_unit_test(a_screen_has_its_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * What is known of other writers: the table of streams, and which transactions a snapshot says have
 * ended.
 */
#include "cache/snapshot.h"
#include "cache/streams.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void
a_database_has_one_entry(void **state)
{
    struct cache_streams *s;
    struct cache_stream_row row;
    char name[CACHE_STREAM_NAME_BYTES];
    struct err err;
    bool is_new;

    (void)state;
    assert_int_equal(cache_streams_new(&s, &err), 0);
    assert_false(cache_stream_database(s, 0, name));
    assert_int_equal(cache_stream_want(s, "a", &is_new), 0);
    assert_true(is_new);
    assert_int_equal(cache_stream_want(s, "b", &is_new), 1);
    assert_int_equal(cache_stream_want(s, "a", &is_new), 0);
    assert_false(is_new);
    assert_true(cache_stream_database(s, 1, name));
    assert_string_equal(name, "b");
    assert_true(cache_stream_row(s, 1, &row));
    assert_int_equal(row.state, CACHE_STREAM_STARTING);
    assert_int_equal(row.node_id, -1);
    cache_streams_free(s);
}

static void
there_are_so_many_and_no_more(void **state)
{
    struct cache_streams *s;
    char name[2 * CACHE_STREAM_NAME_BYTES];
    struct err err;
    bool is_new;

    (void)state;
    assert_int_equal(cache_streams_new(&s, &err), 0);
    memset(name, 'x', sizeof(name));
    name[CACHE_STREAM_NAME_BYTES] = '\0';
    assert_int_equal(cache_stream_want(s, name, &is_new), CACHE_STREAMS_MAX);
    for (uint32_t n = 0; n < CACHE_STREAMS_MAX; n++) {
        snprintf(name, sizeof(name), "%u", n);
        assert_int_equal(cache_stream_want(s, name, &is_new), n);
    }
    assert_int_equal(cache_stream_want(s, "more", &is_new), CACHE_STREAMS_MAX);
    assert_false(is_new);
    assert_false(cache_stream_is_good(s, CACHE_STREAMS_MAX, 0));
    assert_int_equal(cache_stream_want(s, "7", &is_new), 7);
    cache_streams_free(s);
}

static void
a_lease_ends_by_itself(void **state)
{
    struct cache_streams *s;
    struct err err;
    bool is_new;

    (void)state;
    assert_int_equal(cache_streams_new(&s, &err), 0);
    cache_stream_want(s, "a", &is_new);
    assert_false(cache_stream_is_good(s, 0, 0));
    cache_stream_renew(s, 0, 1000);
    assert_true(cache_stream_is_good(s, 0, 999));
    assert_false(cache_stream_is_good(s, 0, 1000));
    assert_false(cache_stream_is_good(s, 1, 1));
    cache_streams_end_leases(s);
    assert_false(cache_stream_is_good(s, 0, 1));
    cache_streams_free(s);
}

static void
a_snapshot_tells_who_has_ended(void **state)
{
    struct cache_snapshot s = {0};

    (void)state;
    assert_true(cache_snapshot_read(&s, "10:20:10,14,15"));
    assert_true(cache_snapshot_ended(&s, 9));
    assert_false(cache_snapshot_ended(&s, 10));
    assert_true(cache_snapshot_ended(&s, 11));
    assert_false(cache_snapshot_ended(&s, 14));
    assert_false(cache_snapshot_ended(&s, 15));
    assert_true(cache_snapshot_ended(&s, 19));
    assert_false(cache_snapshot_ended(&s, 20));
    assert_false(cache_snapshot_ended(&s, 4000));
    assert_true(cache_snapshot_read(&s, "20:20:"));
    assert_true(cache_snapshot_ended(&s, 19));
    assert_false(cache_snapshot_ended(&s, 20));
    cache_snapshot_free(&s);
}

static void
numbers_go_around(void **state)
{
    struct cache_snapshot s = {0};

    (void)state;
    /* 2^32 - 2, 2^32, 2^32 + 3 */
    assert_true(cache_snapshot_read(&s, "4294967294:4294967299:4294967294,4294967297"));
    assert_true(cache_snapshot_ended(&s, 0xfffffffd));
    assert_false(cache_snapshot_ended(&s, 0xfffffffe));
    assert_true(cache_snapshot_ended(&s, 0xffffffff));
    assert_true(cache_snapshot_ended(&s, 0));
    assert_false(cache_snapshot_ended(&s, 1));
    assert_true(cache_snapshot_ended(&s, 2));
    assert_false(cache_snapshot_ended(&s, 3));
    cache_snapshot_free(&s);
}

static void
what_is_no_snapshot_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "1",
                                        "1:2",
                                        ":2:",
                                        "1:x:",
                                        "2:1:",
                                        "1:2:x",
                                        "1:5:1,",
                                        "1:5:5",
                                        "1:5:0",
                                        "1:5:2,2",
                                        "1:5:3,2",
                                        "-1:5:",
                                        "1:5:2 ",
                                        " 1:5:",
                                        "1:5:2,,3",
                                        "1:5:,",
                                        "1:5:2;3",
                                        "99999999999999999999:1:"};
    struct cache_snapshot s = {0};

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(texts); n++) {
        assert_false(cache_snapshot_read(&s, texts[n]));
        assert_false(cache_snapshot_ended(&s, 0));
    }
    cache_snapshot_free(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_database_has_one_entry),
        cmocka_unit_test(there_are_so_many_and_no_more),
        cmocka_unit_test(a_lease_ends_by_itself),
        cmocka_unit_test(a_snapshot_tells_who_has_ended),
        cmocka_unit_test(numbers_go_around),
        cmocka_unit_test(what_is_no_snapshot_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

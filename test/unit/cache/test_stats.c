/*
 * cache/stats: counts by table and statement, in a bounded number of cells.
 */
#include "cache/stats.h"

#include "base/util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { DATABASE = 5 };

struct bed {
    struct versions *versions;
    struct cache_stats *stats;
    struct cache_tally *tally;
};

static int
setup(void **state)
{
    static struct bed b;
    struct err err;

    assert_int_equal(versions_new(4, &b.versions, &err), 0);
    assert_int_equal(cache_stats_new(b.versions, &b.stats, &err), 0);
    b.tally = cache_tally_new(b.stats);
    *state = &b;
    return 0;
}

static int
teardown(void **state)
{
    struct bed *b = *state;

    cache_tally_free(b->tally);
    cache_stats_free(b->stats);
    versions_free(b->versions);
    return 0;
}

static bool
find(struct bed *b, enum cache_stats_kind kind, const char *text, struct cache_stats_row *row_r)
{
    uint32_t at = 0;

    while (cache_stats_next(b->stats, kind, &at, row_r)) {
        if (strcmp(row_r->text, text) == 0)
            return true;
    }
    return false;
}

static uint32_t
count_rows(struct bed *b, enum cache_stats_kind kind)
{
    struct cache_stats_row row;
    uint32_t at = 0, n = 0;

    while (cache_stats_next(b->stats, kind, &at, &row))
        n++;
    return n;
}

static void
tables_are_counted(void **state)
{
    struct bed *b = *state;
    struct cache_stats_row row;
    struct read_set reads;
    struct doubts *doubts = doubts_new(b->versions, 0);
    struct doubt d;

    cache_stats_name_table(b->stats, &(struct cache_stats_table){DATABASE, 77, "shop", "orders"});
    cache_stats_name_table(b->stats, &(struct cache_stats_table){DATABASE, 77, "shop", "again"});
    read_set_init(&reads, b->versions, DATABASE);
    assert_true(read_set_add(&reads, b->versions, DATABASE, 77));
    for (int n = 0; n < 3; n++)
        cache_tally_hit(b->tally, &reads, 0);
    cache_tally_miss(b->tally, &reads, 0);
    doubt_init(&d, DATABASE);
    doubt_begin(doubts, &d, 77);
    cache_tally_written(b->tally, &d);
    doubt_end(doubts, &d, true);
    doubts_free(doubts);
    assert_int_equal(count_rows(b, CACHE_STATS_TABLES), 1);
    assert_true(find(b, CACHE_STATS_TABLES, "orders", &row));
    assert_int_equal(row.hits, 0); /* not told yet */
    cache_tally_flush(b->tally);
    cache_tally_flush(b->tally);
    assert_true(find(b, CACHE_STATS_TABLES, "orders", &row));
    assert_string_equal(row.database, "shop");
    assert_int_equal(row.oid, 77);
    assert_int_equal(row.hits, 3);
    assert_int_equal(row.misses, 1);
    assert_int_equal(row.written, 1);
}

static void
statements_are_counted(void **state)
{
    struct bed *b = *state;
    struct cache_stats_sums sums;
    struct cache_stats_row row;

    cache_stats_name_statement(b->stats, 99, "shop", "SELECT 17 + a1", 14);
    cache_stats_name_statement(b->stats, UINT64_MAX, "shop", "SELECT b, 2", 11);
    cache_tally_hit(b->tally, NULL, 99);
    cache_tally_miss(b->tally, NULL, UINT64_MAX);
    cache_tally_miss(b->tally, NULL, 12345); /* nobody has named it */
    cache_tally_flush(b->tally);
    assert_int_equal(count_rows(b, CACHE_STATS_STATEMENTS), 2);
    assert_true(find(b, CACHE_STATS_STATEMENTS, "SELECT 0 + a1", &row));
    assert_int_equal(row.hits, 1);
    assert_true(find(b, CACHE_STATS_STATEMENTS, "SELECT b, 0", &row));
    assert_int_equal(row.misses, 1);
    cache_stats_sums(b->stats, &sums);
    assert_int_equal(sums.hits, 1);
    assert_int_equal(sums.misses, 2);
}

/* However many there are; and those that are of use stay. */
static void
what_is_kept_is_bounded(void **state)
{
    struct bed *b = *state;
    struct cache_stats_row row;
    char text[CACHE_STATS_TEXT_BYTES * 2];

    memset(text, 'x', sizeof(text));
    cache_stats_name_statement(b->stats, 7, "shop", "of use", 6);
    for (int n = 0; n < 10; n++)
        cache_tally_hit(b->tally, NULL, 7);
    cache_tally_flush(b->tally);
    for (uint64_t n = 1000; n < 101000; n++) {
        cache_stats_name_statement(b->stats, n, "shop", text, sizeof(text));
        cache_stats_name_table(b->stats,
                               &(struct cache_stats_table){DATABASE, (uint32_t)n, "shop", "some"});
        cache_tally_miss(b->tally, NULL, n);
    }
    cache_tally_flush(b->tally);
    assert_in_range(count_rows(b, CACHE_STATS_STATEMENTS), 1, 1024);
    assert_in_range(count_rows(b, CACHE_STATS_TABLES), 1, 2048);
    assert_true(find(b, CACHE_STATS_STATEMENTS, "of use", &row));
    assert_int_equal(row.hits, 10);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tables_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(statements_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_kept_is_bounded, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Versions: what makes entries invalid, for whom and for how long.
 */
#include "cache/versions.h"

#include "os/clock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { DB = 5, OTHER_DB = 6, OWNERS = 3 };

struct fixture {
    struct versions *v;
    struct doubts *a;
    struct doubts *b;
};

static int
set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err err;

    assert_int_equal(versions_new(OWNERS, &f->v, &err), 0);
    f->a = doubts_new(f->v, 0);
    f->b = doubts_new(f->v, 1);
    *state = f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;

    doubts_free(f->a);
    doubts_free(f->b);
    versions_free(f->v);
    versions_free(NULL);
    free(f);
    return 0;
}

/* An answer from this table, as of that moment: is it valid? */
static bool
valid(const struct fixture *f, uint32_t database, uint32_t table, int64_t as_of_ns)
{
    struct read_set rs;

    read_set_init(&rs, f->v, database);
    assert_true(read_set_add(&rs, f->v, database, table));
    return versions_valid(f->v, &rs, as_of_ns);
}

static void
a_commit_ends_what_was_read_before(void **state)
{
    struct fixture *f = *state;
    int64_t before = clock_monotonic_ns();
    struct doubt d;

    doubt_init(&d, DB);
    assert_false(doubt_any(&d));
    assert_true(valid(f, DB, 100, before));
    doubt_begin(f->a, &d, 100);
    assert_true(doubt_any(&d));
    assert_false(valid(f, DB, 100, before));
    assert_false(valid(f, DB, 100, INT64_MAX));
    assert_true(valid(f, DB, 101, before));
    assert_true(valid(f, OTHER_DB, 100, before));
    doubt_end(f->a, &d, true);
    assert_false(doubt_any(&d));
    assert_null(d.slots);
    assert_false(valid(f, DB, 100, before));
    assert_true(valid(f, DB, 101, before));
    assert_true(valid(f, DB, 100, clock_monotonic_ns() + 1));
}

static void
a_rollback_changes_nothing(void **state)
{
    struct fixture *f = *state;
    int64_t before = clock_monotonic_ns();
    struct doubt d;

    doubt_init(&d, DB);
    doubt_begin(f->a, &d, 100);
    doubt_begin(f->a, &d, 100);
    assert_int_equal(d.n, 1);
    doubt_end(f->a, &d, false);
    assert_true(valid(f, DB, 100, before));
}

static void
doubts_of_several_end_with_the_last(void **state)
{
    struct fixture *f = *state;
    struct doubt one, two, three;

    doubt_init(&one, DB);
    doubt_init(&two, DB);
    doubt_init(&three, DB);
    doubt_begin(f->a, &one, 100);
    doubt_begin(f->a, &two, 100);
    doubt_begin(f->b, &three, 100);
    doubt_end(f->a, &one, true);
    assert_false(valid(f, DB, 100, INT64_MAX));
    doubt_end(f->b, &three, false);
    assert_false(valid(f, DB, 100, INT64_MAX));
    doubt_end(f->a, &two, false);
    assert_true(valid(f, DB, 100, INT64_MAX));
}

static void
a_database_covers_its_tables(void **state)
{
    struct fixture *f = *state;
    int64_t before = clock_monotonic_ns();
    struct doubt d;

    doubt_init(&d, DB);
    doubt_begin_database(f->a, &d);
    assert_false(valid(f, DB, 100, INT64_MAX));
    assert_false(valid(f, DB, 101, INT64_MAX));
    assert_true(valid(f, OTHER_DB, 100, before));
    doubt_end(f->a, &d, true);
    assert_false(valid(f, DB, 100, before));
    assert_true(valid(f, OTHER_DB, 100, before));

    doubt_begin_all(f->a, &d);
    assert_false(valid(f, OTHER_DB, 100, INT64_MAX));
    doubt_end(f->a, &d, true);
    assert_false(valid(f, OTHER_DB, 100, before));
    assert_true(valid(f, OTHER_DB, 100, INT64_MAX));
}

static void
others_raise_without_doubt(void **state)
{
    struct fixture *f = *state;
    int64_t before = clock_monotonic_ns();

    versions_raise(f->v, DB, 100);
    assert_false(valid(f, DB, 100, before));
    assert_true(valid(f, DB, 101, before));
    versions_raise_database(f->v, DB);
    assert_false(valid(f, DB, 101, before));
    assert_true(valid(f, OTHER_DB, 100, before));
    versions_raise_all(f->v);
    assert_false(valid(f, OTHER_DB, 100, before));
    assert_true(valid(f, OTHER_DB, 100, INT64_MAX));
}

/* More tables than are counted one by one: everything of the database. */
static void
many_tables_are_the_database(void **state)
{
    struct fixture *f = *state;
    int64_t before = clock_monotonic_ns();
    struct doubt d;

    doubt_init(&d, DB);
    for (uint32_t table = 1; d.n < DOUBT_MAX; table++)
        doubt_begin(f->a, &d, table);
    assert_true(valid(f, DB, 99999, before));
    for (uint32_t table = 1000; table < 2000; table++)
        doubt_begin(f->a, &d, table);
    assert_int_equal(d.n, DOUBT_MAX + 1);
    assert_false(valid(f, DB, 99999, before));
    doubt_begin_all(f->a, &d);
    assert_false(valid(f, OTHER_DB, 99999, before));
    doubt_end(f->a, &d, true);
    assert_false(valid(f, DB, 99999, before));
    assert_true(valid(f, DB, 99999, INT64_MAX));
}

static void
read_sets_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct read_set rs;
    uint32_t table = 1;

    read_set_init(&rs, f->v, DB);
    assert_int_equal(rs.n, 1);
    while (rs.n < READ_SET_MAX)
        assert_true(read_set_add(&rs, f->v, DB, table++));
    assert_true(read_set_add(&rs, f->v, DB, 1));
    assert_false(read_set_add(&rs, f->v, DB, 1000000));
    assert_int_equal(rs.n, READ_SET_MAX);
    /* whatever it holds */
    memset(&rs, 0xff, sizeof(rs));
    versions_valid(f->v, &rs, 1);
}

/* One child of the test: a process with the number `owner` that does this and is killed. */
static void
die_in_doubt(struct fixture *f, uint32_t owner, uint32_t table)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        struct doubts *ds = doubts_new(f->v, owner);
        struct doubt d;

        doubt_init(&d, DB);
        doubt_begin(ds, &d, table);
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static void
a_death_blocks_until_it_is_settled(void **state)
{
    struct fixture *f = *state;
    int64_t before = clock_monotonic_ns();
    struct doubts *next;
    struct doubt d;

    assert_false(versions_has_orphans(f->v));
    die_in_doubt(f, 2, 100);
    assert_false(valid(f, DB, 100, INT64_MAX));
    versions_orphan(f->v, 2);
    assert_true(versions_has_orphans(f->v));
    assert_false(valid(f, DB, 100, INT64_MAX));
    assert_true(valid(f, DB, 101, before));

    /* The successor has the number, and nothing to do with the orphan. */
    next = doubts_new(f->v, 2);
    doubt_init(&d, DB);
    doubt_begin(next, &d, 100);
    doubt_end(next, &d, true);
    assert_false(valid(f, DB, 100, INT64_MAX));
    doubts_free(next);

    versions_orphans_turn(f->v);
    assert_false(valid(f, DB, 100, INT64_MAX));
    versions_orphans_settle(f->v);
    assert_false(versions_has_orphans(f->v));
    assert_false(valid(f, DB, 100, before));
    assert_true(valid(f, DB, 100, INT64_MAX));
}

/* Who is left behind while others are asked about is not settled with them. */
static void
later_orphans_wait_for_their_turn(void **state)
{
    struct fixture *f = *state;
    int64_t before = clock_monotonic_ns();
    struct doubt early, late;

    doubt_init(&early, DB);
    doubt_init(&late, DB);
    doubt_begin(f->a, &early, 100);
    doubt_begin(f->a, &late, 101);
    doubt_abandon(f->a, &early);
    assert_false(doubt_any(&early));
    versions_orphans_turn(f->v);
    doubt_abandon(f->a, &late);
    versions_orphans_settle(f->v);
    assert_false(valid(f, DB, 100, before)); /* it may have committed */
    assert_true(valid(f, DB, 100, INT64_MAX));
    assert_false(valid(f, DB, 101, INT64_MAX));
    assert_true(versions_has_orphans(f->v));
    versions_orphans_settle(f->v);
    assert_false(valid(f, DB, 101, INT64_MAX));
    versions_orphans_turn(f->v);
    versions_orphans_settle(f->v);
    assert_true(valid(f, DB, 101, INT64_MAX));
    assert_false(versions_has_orphans(f->v));
}

/* More than fit in a word of bits: everybody's counts, and nobody takes another's back. */
static void
many_owners_do_not_mix(void **state)
{
    enum { MANY = 300 };
    struct fixture f = {0};
    struct doubts *ds[MANY];
    struct doubt d[MANY];
    struct err err;

    (void)state;
    assert_int_equal(versions_new(MANY, &f.v, &err), 0);
    for (uint32_t n = 0; n < MANY; n++) {
        ds[n] = doubts_new(f.v, n);
        doubt_init(&d[n], DB);
        doubt_begin(ds[n], &d[n], 100);
    }
    for (uint32_t n = 0; n < MANY; n++) {
        assert_false(valid(&f, DB, 100, INT64_MAX));
        doubt_end(ds[n], &d[n], n % 2 == 0);
        doubts_free(ds[n]);
    }
    assert_true(valid(&f, DB, 100, INT64_MAX));
    versions_free(f.v);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_commit_ends_what_was_read_before),
        TEST(a_rollback_changes_nothing),
        TEST(doubts_of_several_end_with_the_last),
        TEST(a_database_covers_its_tables),
        TEST(others_raise_without_doubt),
        TEST(many_tables_are_the_database),
        TEST(read_sets_are_bounded),
        TEST(a_death_blocks_until_it_is_settled),
        TEST(later_orphans_wait_for_their_turn),
        cmocka_unit_test(many_owners_do_not_mix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * cache/shared: the switch, whom orphans wait for, deaths and new primaries.
 */
#include "cache/shared.h"
#include "os/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { CHILDREN = 4, DATABASE = 5, TABLE = 77 };

static struct cache_shared *
shared(void)
{
    struct cache_shared_options o = {
        .limits = {.total_bytes = 4 << 20, .entries_max = 1000, .entry_bytes = 10000},
        .child_slots = CHILDREN,
    };
    struct cache_shared *cs;
    struct err err;

    assert_int_equal(cache_shared_new(&o, &cs, &err), 0);
    return cs;
}

static bool
is_valid(const struct cache_shared *cs, int64_t as_of_ns)
{
    struct read_set reads;

    read_set_init(&reads, cs->versions, DATABASE);
    assert_true(read_set_add(&reads, cs->versions, DATABASE, TABLE));
    return versions_valid(cs->versions, &reads, as_of_ns);
}

static void
it_is_open_while_nothing_is_in_the_way(void **state)
{
    struct cache_shared *cs = shared();

    (void)state;
    assert_true(cache_is_open(cs));
    cache_close(cs, CACHE_CLOSED_STREAM);
    cache_close(cs, CACHE_CLOSED_GENERATION);
    cache_open(cs, CACHE_CLOSED_STREAM);
    assert_false(cache_is_open(cs));
    cache_open(cs, CACHE_CLOSED_GENERATION);
    assert_true(cache_is_open(cs));
    cache_shared_free(cs);
}

static void
orphans_are_kept_until_removed(void **state)
{
    struct cache_shared *cs = shared();
    struct cache_orphan o;
    uint32_t at = 0;

    (void)state;
    assert_false(cache_orphans_next(cs, &at, &o));
    cache_orphan_add(cs, (struct cache_orphan){0, 100});
    cache_orphan_add(cs, (struct cache_orphan){127, UINT32_MAX});
    assert_true(cache_orphans_next(cs, &at, &o));
    assert_int_equal(o.node_id, 0);
    assert_int_equal(o.pid, 100);
    cache_orphan_remove(cs, at - 1);
    assert_true(cache_orphans_next(cs, &at, &o));
    assert_int_equal(o.node_id, 127);
    assert_int_equal(o.pid, UINT32_MAX);
    assert_false(cache_orphans_next(cs, &at, &o));
    for (uint32_t n = 0; n < CACHE_ORPHANS_MAX - 1; n++)
        cache_orphan_add(cs, (struct cache_orphan){1, n});
    assert_false(cache_orphans_overflowed(cs));
    cache_orphan_add(cs, (struct cache_orphan){1, 1});
    assert_true(cache_orphans_overflowed(cs));
    cache_orphans_forget_overflow(cs);
    assert_false(cache_orphans_overflowed(cs));
    cache_shared_free(cs);
}

static void
a_dead_child_s_doubts_wait_for_its_orphans(void **state)
{
    struct cache_shared *cs = shared();
    struct doubts *ds = cache_shared_join(cs, cache_owner_of_child(CHILDREN - 1));
    struct doubt d;
    int64_t as_of_ns = clock_monotonic_ns();

    (void)state;
    assert_true(is_valid(cs, as_of_ns));
    doubt_init(&d, DATABASE);
    doubt_begin(ds, &d, TABLE);
    assert_false(is_valid(cs, as_of_ns));
    free(d.slots);
    doubts_free(ds); /* it dies */
    cache_shared_bury(cs, cache_owner_of_child(CHILDREN - 1));
    assert_true(versions_has_orphans(cs->versions));
    ds = cache_shared_join(cs, cache_owner_of_wal(cs));
    versions_orphans_turn(cs->versions);
    versions_orphans_settle(cs->versions);
    assert_false(is_valid(cs, as_of_ns));
    assert_true(is_valid(cs, clock_monotonic_ns() + 1));
    doubts_free(ds);
    cache_shared_free(cs);
}

static void
another_primary_raises_everything(void **state)
{
    struct cache_shared *cs = shared();
    int64_t as_of_ns;

    (void)state;
    cache_note_primary(cs, 0, 1);
    as_of_ns = clock_monotonic_ns() + 1;
    cache_note_primary(cs, 0, 1);
    assert_true(is_valid(cs, as_of_ns));
    cache_note_primary(cs, 0, 2);
    assert_false(is_valid(cs, as_of_ns));
    as_of_ns = clock_monotonic_ns() + 1;
    cache_note_primary(cs, -1, 0);
    assert_false(is_valid(cs, as_of_ns));
    cache_shared_free(cs);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_open_while_nothing_is_in_the_way),
        cmocka_unit_test(orphans_are_kept_until_removed),
        cmocka_unit_test(a_dead_child_s_doubts_wait_for_its_orphans),
        cmocka_unit_test(another_primary_raises_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

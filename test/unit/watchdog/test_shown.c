/*
 * shown.h: what the watchdog shows, of itself and of all members.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "watchdog/shown.h"

#include <string.h>

static const char *
difference(void *ctx UNUSED, uint32_t id)
{
    return id == 4 ? "node 1 is another" : "";
}

static const struct wd_shown_more more = {"etcd:2379", difference, NULL};
static struct wd_config config = {.id = 2, .priority = 5, .incarnation = 22};
static struct wd wd;
static struct cluster_pgpools shown;

static int
setup(void **state UNUSED)
{
    wd_config_times(&config, 3 * NS_PER_S);
    wd_init(&wd, &config);
    wd.now_ns = 100 * NS_PER_S;
    return 0;
}

static void
add_member(uint32_t id, uint64_t incarnation)
{
    wd.seen.members[wd.seen.member_count++] =
        (struct wd_member){.id = id, .incarnation = incarnation, .priority = 1, .applied = 9};
    wd.seen.roster[wd.seen.roster_count++] = (struct wd_roster_entry){id, incarnation};
}

static void
have_lease(void)
{
    wd.joined = true;
    wd.lease = 7;
    wd.lease_until_ns = wd.now_ns + NS_PER_S;
}

static void
alone_before_it_has_joined(void **state UNUSED)
{
    wd_shown_fill(&wd, &config, &more, &shown);
    assert_true(shown.enabled);
    assert_int_equal(shown.count, 1);
    assert_int_equal(shown.list[0].id, 2);
    assert_int_equal(shown.list[0].state, PGPOOL_JOINING);
    assert_int_equal(shown.list[0].priority, 5);
    assert_int_equal(shown.leader_id, -1);
    assert_string_equal(shown.endpoint, "etcd:2379");
}

static void
members_are_in_order_with_what_they_are(void **state UNUSED)
{
    add_member(4, 44);
    add_member(2, 22);
    add_member(1, 11);
    add_member(7, 77);
    wd.seen.members[0].isolated = true;
    wd.seen.members[3].leaving = true;
    wd.seen.roster[wd.seen.roster_count++] = (struct wd_roster_entry){9, 99};
    wd.seen.leader = (struct wd_leader){1, 11, 50};
    have_lease();
    wd_shown_fill(&wd, &config, &more, &shown);
    assert_int_equal(shown.count, 5);
    for (uint32_t n = 1; n < shown.count; n++)
        assert_true(shown.list[n - 1].id < shown.list[n].id);
    assert_int_equal(shown.list[0].state, PGPOOL_LEADER);
    assert_int_equal(shown.list[1].state, PGPOOL_STANDBY);
    assert_int_equal(shown.list[2].state, PGPOOL_ISOLATED);
    assert_int_equal(shown.list[3].state, PGPOOL_LEAVING);
    assert_int_equal(shown.list[4].state, PGPOOL_LOST);
    assert_int_equal(shown.list[4].incarnation, 99);
    assert_string_equal(shown.list[2].difference, "node 1 is another");
    assert_int_equal(shown.list[0].applied, 9);
    assert_int_equal(shown.leader_id, 1);
    assert_int_equal(shown.term, 50);
    assert_false(shown.leads);
}

/* By its lease: a picture that still names it does not count. */
static void
the_leader_is_one_while_its_lease_lasts(void **state UNUSED)
{
    add_member(2, 22);
    wd.seen.leader = (struct wd_leader){2, 22, 50};
    wd.term = 50;
    wd.address = WD_ADDRESS_UP;
    have_lease();
    wd_shown_fill(&wd, &config, &more, &shown);
    assert_true(shown.leads);
    assert_int_equal(shown.list[0].state, PGPOOL_LEADER);
    assert_int_equal(shown.address, PGPOOL_ADDRESS_UP);
    wd.now_ns = wd.lease_until_ns;
    wd_shown_fill(&wd, &config, &more, &shown);
    assert_false(shown.leads);
    assert_int_equal(shown.list[0].state, PGPOOL_JOINING);
}

/* The key of another one that has our number is no leader of ours. */
static void
another_incarnation_is_not_the_leader(void **state UNUSED)
{
    add_member(3, 33);
    wd.seen.leader = (struct wd_leader){3, 34, 50};
    have_lease();
    wd_shown_fill(&wd, &config, &more, &shown);
    assert_int_equal(shown.list[1].id, 3);
    assert_int_equal(shown.list[1].state, PGPOOL_STANDBY);
}

static void
a_full_list_stays_whole(void **state UNUSED)
{
    for (uint32_t n = 0; n < WD_MEMBERS_MAX; n++)
        add_member(10 + n, n + 1);
    wd_shown_fill(&wd, &config, &more, &shown);
    assert_int_equal(shown.count, WD_MEMBERS_MAX);
    assert_int_equal(shown.list[WD_MEMBERS_MAX - 1].id, 9 + WD_MEMBERS_MAX);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(alone_before_it_has_joined),
        TEST(members_are_in_order_with_what_they_are),
        TEST(the_leader_is_one_while_its_lease_lasts),
        TEST(another_incarnation_is_not_the_leader),
        TEST(a_full_list_stays_whole),
    };

    return cmocka_run_group_tests_name("shown", tests, NULL, NULL);
}

/*
 * The view: who is primary, who may be read from, and how reads are spread.
 */
#include "cluster/view.h"

#include "cluster/nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct cluster_freshness freshness;
static struct cluster_members members;
static struct cluster_view view;

/* One primary, two standbys, all up, of one system on timeline 1. */
static int
setup(void **state)
{
    (void)state;
    memset(&freshness, 0, sizeof(freshness));
    memset(&members, 0, sizeof(members));
    freshness.node_count = members.node_count = 3;
    for (uint32_t node_id = 0; node_id < 3; node_id++) {
        members.nodes[node_id] = (struct cluster_member){.configured = true, .weight = 1};
        freshness.nodes[node_id] = (struct node_freshness){
            .configured = 1,
            .reachable = 1,
            .asked = 1,
            .role = node_id == 0 ? NODE_ROLE_PRIMARY : NODE_ROLE_STANDBY,
            .timeline = 1,
            .system_identifier = 7000,
            .fresh_as_of_ns = node_id == 0 ? INT64_MAX : 1000 * node_id,
            .delay_bytes = 10 * node_id,
            .delay_us = 5 * node_id,
        };
    }
    return 0;
}

static void
build(void)
{
    cluster_view_build(&view, &freshness, &members, NULL);
}

static void
primary_is_found_by_what_it_says(void **state)
{
    char why[128];

    (void)state;
    freshness.nodes[0].role = NODE_ROLE_STANDBY;
    freshness.nodes[2].role = NODE_ROLE_PRIMARY;
    build();
    assert_int_equal(view.primary_id, 2);
    assert_int_equal(view.nodes[2].role, NODE_ROLE_PRIMARY);
    assert_true(view.nodes[2].fresh_as_of_ns == INT64_MAX);
    assert_int_equal(view.nodes[2].delay_bytes, 0);
    for (uint32_t node_id = 0; node_id < 3; node_id++)
        assert_true(view.nodes[node_id].usable);
    assert_int_equal(view.nodes[1].fresh_as_of_ns, 1000);
    assert_int_equal(view.nodes[1].delay_bytes, 10);
    assert_string_equal(cluster_view_no_primary(&view, &freshness, why, sizeof(why)), "");
}

static void
nothing_is_usable_before_the_first_measurement(void **state)
{
    struct cluster_pick pick = {0};
    struct cluster_cursor cursor = {0};
    char why[128];

    (void)state;
    memset(&freshness, 0, sizeof(freshness));
    freshness.primary_id = 0;
    build();
    assert_int_equal(view.primary_id, -1);
    assert_int_equal(view.node_count, 3);
    for (uint32_t node_id = 0; node_id < 3; node_id++)
        assert_false(view.nodes[node_id].usable);
    assert_int_equal(cluster_pick_reader(&view, &cursor, &pick), -1);
    assert_string_equal(cluster_view_no_primary(&view, &freshness, why, sizeof(why)),
                        "no node has been asked yet");
}

static void
node_just_added_waits_to_be_asked(void **state)
{
    (void)state;
    members.node_count = 4;
    members.nodes[3] = (struct cluster_member){.configured = true, .weight = 1};
    build();
    assert_int_equal(view.node_count, 4);
    assert_false(view.nodes[3].usable);
    freshness.node_count = 4;
    freshness.nodes[3] = freshness.nodes[2];
    freshness.nodes[3].asked = 0;
    build();
    assert_false(view.nodes[3].usable);
    freshness.nodes[3].asked = 1;
    build();
    assert_true(view.nodes[3].usable);
}

static void
node_just_removed_is_not_used(void **state)
{
    (void)state;
    members.nodes[1].configured = false;
    members.node_count = 2;
    build();
    assert_int_equal(view.node_count, 2);
    assert_false(view.nodes[1].usable);
    members.nodes[0].configured = false;
    build();
    assert_int_equal(view.primary_id, -1);
}

static void
unreachable_primary_is_no_primary(void **state)
{
    char why[128];

    (void)state;
    freshness.nodes[0].reachable = 0;
    build();
    assert_int_equal(view.primary_id, -1);
    assert_false(view.nodes[0].usable);
    assert_true(view.nodes[1].usable);
    assert_string_equal(cluster_view_no_primary(&view, &freshness, why, sizeof(why)),
                        "no node that answers is a primary");
    freshness.nodes[1].reachable = freshness.nodes[2].reachable = 0;
    build();
    assert_string_equal(cluster_view_no_primary(&view, &freshness, why, sizeof(why)),
                        "no node answers");
}

static void
unknown_role_is_not_used(void **state)
{
    (void)state;
    freshness.nodes[1].role = NODE_ROLE_UNKNOWN;
    build();
    assert_false(view.nodes[1].usable);
    assert_int_equal(view.primary_id, 0);
}

static void
two_primaries_on_one_timeline_are_none(void **state)
{
    char why[128];

    (void)state;
    freshness.nodes[1].role = NODE_ROLE_PRIMARY;
    build();
    assert_int_equal(view.primary_id, -1);
    assert_false(view.nodes[0].usable);
    assert_false(view.nodes[1].usable);
    assert_true(view.nodes[2].usable);
    assert_string_equal(cluster_view_no_primary(&view, &freshness, why, sizeof(why)),
                        "2 nodes say that they are the primary and timelines do not decide");
}

static void
later_timeline_wins_within_one_system(void **state)
{
    (void)state;
    freshness.nodes[1].role = NODE_ROLE_PRIMARY;
    freshness.nodes[1].timeline = 2;
    build();
    assert_int_equal(view.primary_id, 1);
    assert_false(view.nodes[0].usable);
    freshness.nodes[1].system_identifier = 8000;
    build();
    assert_int_equal(view.primary_id, -1);
    freshness.nodes[1].system_identifier = 0;
    build();
    assert_int_equal(view.primary_id, -1);
}

static void
former_primary_is_refused_while_its_successor_is_away(void **state)
{
    char why[128];

    (void)state;
    freshness.nodes[1].role = NODE_ROLE_PRIMARY;
    freshness.nodes[1].timeline = 2;
    freshness.nodes[1].reachable = 0;
    build();
    assert_int_equal(view.primary_id, -1);
    assert_false(view.nodes[0].usable);
    assert_string_equal(
        cluster_view_no_primary(&view, &freshness, why, sizeof(why)),
        "node 0 says that it is the primary, but a later timeline than its 1 was seen");

    /* a standby that followed the successor is proof enough */
    freshness.nodes[1].timeline = 0;
    freshness.nodes[1].role = NODE_ROLE_UNKNOWN;
    freshness.nodes[2].timeline = 2;
    build();
    assert_int_equal(view.primary_id, -1);
}

static void
always_primary_decides(void **state)
{
    (void)state;
    freshness.nodes[1].role = NODE_ROLE_PRIMARY;
    members.nodes[1].always_primary = true;
    build();
    assert_int_equal(view.primary_id, 1);
    assert_false(view.nodes[0].usable);
    freshness.nodes[1].role = NODE_ROLE_UNKNOWN;
    build();
    assert_int_equal(view.primary_id, 1);
    assert_true(view.nodes[1].usable);
    freshness.nodes[1].reachable = 0;
    build();
    assert_int_equal(view.primary_id, 0);
}

static void
standby_of_another_system_is_not_used(void **state)
{
    (void)state;
    freshness.nodes[2].system_identifier = 8000;
    build();
    assert_int_equal(view.primary_id, 0);
    assert_false(view.nodes[2].usable);
    freshness.nodes[2].system_identifier = 0;
    build();
    assert_true(view.nodes[2].usable);
}

static void
raw_mode_uses_the_lowest_node_alone(void **state)
{
    struct cluster_pick pick = {0};
    struct cluster_cursor cursor = {0};

    (void)state;
    members.mode = CLUSTER_MODE_RAW;
    freshness.nodes[0].role = NODE_ROLE_UNKNOWN;
    build();
    assert_int_equal(view.primary_id, 0);
    assert_int_equal(cluster_pick_reader(&view, &cursor, &pick), 0);
    freshness.nodes[0].reachable = 0;
    build();
    assert_int_equal(view.primary_id, 1);
    assert_false(view.nodes[2].usable);
    for (int at = 0; at < 10; at++)
        assert_int_equal(cluster_pick_reader(&view, &cursor, &pick), 1);
}

static void
logical_mode_reads_everywhere(void **state)
{
    struct cluster_pick pick = {0};
    struct cluster_cursor cursor = {0};
    int picks[3] = {0};

    (void)state;
    members.mode = CLUSTER_MODE_LOGICAL;
    for (uint32_t node_id = 0; node_id < 3; node_id++) {
        freshness.nodes[node_id].role = NODE_ROLE_PRIMARY;
        freshness.nodes[node_id].system_identifier = node_id + 1;
        freshness.nodes[node_id].fresh_as_of_ns = 0;
    }
    build();
    assert_int_equal(view.primary_id, 0);
    for (int at = 0; at < 9; at++)
        picks[cluster_pick_reader(&view, &cursor, &pick)]++;
    for (uint32_t node_id = 0; node_id < 3; node_id++)
        assert_int_equal(picks[node_id], 3);
}

static void
logical_mode_has_no_second_main_node(void **state)
{
    (void)state;
    members.mode = CLUSTER_MODE_LOGICAL;
    for (uint32_t node_id = 0; node_id < 3; node_id++)
        freshness.nodes[node_id].role = NODE_ROLE_PRIMARY;
    freshness.nodes[0].reachable = 0;
    build();
    assert_int_equal(view.primary_id, -1);
    assert_true(view.nodes[1].usable);
    members.nodes[2].always_primary = true;
    build();
    assert_int_equal(view.primary_id, 2);
    freshness.nodes[1].role = NODE_ROLE_STANDBY;
    build();
    assert_false(view.nodes[1].usable);
}

static void
reads_are_spread_exactly_by_weight(void **state)
{
    struct cluster_pick pick = {0};
    struct cluster_cursor cursor = {0};
    struct cluster_cursor same = {0};
    int picks[3] = {0};

    (void)state;
    members.nodes[0].weight = 1;
    members.nodes[1].weight = 3;
    members.nodes[2].weight = 6;
    build();
    for (int at = 0; at < 1000; at++) {
        int node_id = cluster_pick_reader(&view, &cursor, &pick);

        assert_in_range(node_id, 0, 2);
        assert_int_equal(cluster_pick_reader(&view, &same, &pick), node_id);
        picks[node_id]++;
        if ((at + 1) % 10 == 0) { /* and evenly on the way */
            assert_int_equal(picks[0], (at + 1) / 10);
            assert_int_equal(picks[1], 3 * (at + 1) / 10);
        }
    }
    assert_int_equal(picks[0], 100);
    assert_int_equal(picks[1], 300);
    assert_int_equal(picks[2], 600);
}

static void
zero_weight_gets_no_reads(void **state)
{
    struct cluster_pick pick = {0};
    struct cluster_cursor cursor = {0};

    (void)state;
    members.nodes[0].weight = 0;
    members.nodes[1].weight = 0.5;
    members.nodes[2].weight = 0;
    build();
    for (int at = 0; at < 100; at++)
        assert_int_equal(cluster_pick_reader(&view, &cursor, &pick), 1);
    assert_true(cluster_may_read(&view, 2, &pick));
    cluster_set_add(&pick.exclude, 1);
    assert_int_equal(cluster_pick_reader(&view, &cursor, &pick), -1);
}

static void
excluded_nodes_are_not_picked(void **state)
{
    struct cluster_pick pick = {0};
    struct cluster_cursor cursor = {0};
    int picks[3] = {0};

    (void)state;
    build();
    cluster_set_add(&pick.exclude, 1);
    for (int at = 0; at < 100; at++)
        picks[cluster_pick_reader(&view, &cursor, &pick)]++;
    assert_int_equal(picks[0], 50);
    assert_int_equal(picks[1], 0);
    assert_int_equal(picks[2], 50);
    pick.standbys_only = true;
    assert_int_equal(cluster_pick_reader(&view, &cursor, &pick), 2);
    assert_false(cluster_may_read(&view, 0, &pick));
}

static void
stale_standbys_are_not_picked(void **state)
{
    struct cluster_pick pick = {.not_before_ns = 2000};
    struct cluster_cursor cursor = {0};

    (void)state;
    build();
    assert_false(cluster_may_read(&view, 1, &pick));
    assert_true(cluster_may_read(&view, 2, &pick));
    pick.not_before_ns = 2001;
    for (int at = 0; at < 10; at++)
        assert_int_equal(cluster_pick_reader(&view, &cursor, &pick), 0);
    pick.standbys_only = true;
    assert_int_equal(cluster_pick_reader(&view, &cursor, &pick), -1);
}

static void
late_standbys_are_not_picked(void **state)
{
    struct cluster_pick bytes = {.max_delay_bytes = 10};
    struct cluster_pick time = {.max_delay_us = 9};

    (void)state;
    build();
    assert_true(cluster_may_read(&view, 0, &bytes));
    assert_true(cluster_may_read(&view, 1, &bytes));
    assert_false(cluster_may_read(&view, 2, &bytes));
    assert_true(cluster_may_read(&view, 1, &time));
    assert_false(cluster_may_read(&view, 2, &time));
    assert_false(cluster_may_read(&view, 3, &time));
    assert_false(cluster_may_read(&view, -1, &time));
}

static void
spread_stays_even_while_a_node_comes_and_goes(void **state)
{
    struct cluster_pick all = {0};
    struct cluster_pick without = {0};
    struct cluster_cursor cursor = {0};
    int picks[3] = {0};

    (void)state;
    build();
    cluster_set_add(&without.exclude, 0);
    for (int at = 0; at < 300; at++) {
        int node_id = cluster_pick_reader(&view, &cursor, at % 2 == 0 ? &all : &without);

        picks[node_id]++;
    }
    assert_in_range(picks[0], 45, 55); /* a third of every second pick */
    assert_in_range(picks[1] - picks[2] + 10, 8, 12);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

static void
drained_nodes_are_left_out(void **state)
{
    struct cluster_pick pick = {0};
    struct cluster_cursor cursor = {0};

    (void)state;
    members.nodes[0].weight = 0;
    members.nodes[1].drained = true;
    build();
    assert_true(view.nodes[1].usable);
    assert_false(cluster_may_read(&view, 1, &pick));
    assert_true(view.has_readers);
    for (int n = 0; n < 3; n++)
        assert_int_equal(cluster_pick_reader(&view, &cursor, &pick), 2);
    members.nodes[2].drained = members.nodes[0].drained = true;
    build();
    assert_int_equal(view.primary_id, 0);
    assert_false(view.has_readers);
    assert_false(cluster_may_read(&view, 0, &pick));
    assert_int_equal(cluster_pick_reader(&view, &cursor, &pick), -1);
}

static void
native_nodes_are_copies_until_they_are_detached(void **state)
{
    struct cluster_nodes *nodes = calloc(1, sizeof(*nodes));
    struct cluster_pick pick = {.not_before_ns = 5000};

    (void)state;
    members.mode = CLUSTER_MODE_NATIVE;
    for (uint32_t n = 0; n < 3; n++)
        freshness.nodes[n].role = NODE_ROLE_PRIMARY;
    /* before the failover process has said who is a copy, nobody is */
    cluster_view_build(&view, &freshness, &members, NULL);
    assert_int_equal(view.primary_id, -1);
    cluster_view_build(&view, &freshness, &members, nodes);
    assert_int_equal(view.primary_id, -1);
    assert_false(view.nodes[1].copy || view.nodes[1].usable);
    nodes->plan.node_count = 3;
    for (uint32_t n = 0; n < 3; n++)
        nodes->plan.nodes[n].state = NODE_UP;
    cluster_view_build(&view, &freshness, &members, nodes);
    assert_int_equal(view.primary_id, 0);
    for (int n = 0; n < 3; n++)
        assert_true(view.nodes[n].copy && cluster_may_read(&view, n, &pick));
    /* who does not answer is one all the same: nobody takes the main node's place */
    freshness.nodes[0].reachable = 0;
    cluster_view_build(&view, &freshness, &members, nodes);
    assert_int_equal(view.primary_id, -1);
    assert_true(view.nodes[0].copy && !view.nodes[0].usable);
    assert_true(view.nodes[1].role == NODE_ROLE_STANDBY && view.nodes[1].usable);
    /* who is detached stays so when it answers again */
    nodes->plan.nodes[0].state = NODE_MAINTENANCE;
    freshness.nodes[0].reachable = 1;
    cluster_view_build(&view, &freshness, &members, nodes);
    assert_int_equal(view.primary_id, 1);
    assert_false(view.nodes[0].copy || view.nodes[0].usable);
    free(nodes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(primary_is_found_by_what_it_says),
        TEST(nothing_is_usable_before_the_first_measurement),
        TEST(node_just_added_waits_to_be_asked),
        TEST(node_just_removed_is_not_used),
        TEST(unreachable_primary_is_no_primary),
        TEST(unknown_role_is_not_used),
        TEST(two_primaries_on_one_timeline_are_none),
        TEST(later_timeline_wins_within_one_system),
        TEST(former_primary_is_refused_while_its_successor_is_away),
        TEST(always_primary_decides),
        TEST(standby_of_another_system_is_not_used),
        TEST(raw_mode_uses_the_lowest_node_alone),
        TEST(logical_mode_reads_everywhere),
        cmocka_unit_test_setup(logical_mode_has_no_second_main_node, setup),
        TEST(reads_are_spread_exactly_by_weight),
        TEST(zero_weight_gets_no_reads),
        TEST(excluded_nodes_are_not_picked),
        TEST(drained_nodes_are_left_out),
        TEST(stale_standbys_are_not_picked),
        TEST(late_standbys_are_not_picked),
        TEST(spread_stays_even_while_a_node_comes_and_goes),
        TEST(native_nodes_are_copies_until_they_are_detached),
    };

    return cmocka_run_group_tests_name("view", tests, NULL, NULL);
}

/*
 * watchdog.h, one situation at a time: what test_wd_random.c does not come to, or does not look at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "watchdog/watchdog.h"

#include <string.h>

enum { NODES = 3, LEASE = 9 };

static struct wd wd;
static struct wd_config config;
static struct wd_actions actions;
static struct wd_picture etcd;
static int64_t now_ns;

/* ---- driving --------------------------------------------------------------------------------- */

static void
tell(struct wd_event event)
{
    actions.count = 0;
    event.now_ns = now_ns;
    wd_handle(&wd, &config, &event, &actions);
}

static void
tick(int64_t ms)
{
    now_ns += ms * NS_PER_MS;
    tell((struct wd_event){.kind = WD_TICK});
}

static const struct wd_action *
find(enum wd_action_kind kind)
{
    for (uint32_t n = 0; n < actions.count; n++)
        if (actions.list[n].kind == kind)
            return &actions.list[n];
    return NULL;
}

static bool
asks(enum wd_request request)
{
    return wd.pending[request].serial != 0;
}

static void
answer(enum wd_request request, enum wd_answer how)
{
    tell((struct wd_event){.kind = WD_ANSWERED,
                           .request = request,
                           .serial = wd.pending[request].serial,
                           .answer = how,
                           .lease = LEASE,
                           .ttl_ns = config.ttl_ns,
                           .revision = ++etcd.revision,
                           .picture = &etcd});
}

static void
look(void)
{
    now_ns += config.fetch_ns;
    tell((struct wd_event){.kind = WD_TICK});
    assert_true(asks(WD_FETCH));
    etcd.revision++;
    answer(WD_FETCH, WD_OK);
}

/* Another member, with what it says. */
static struct wd_member *
other(uint32_t id)
{
    struct wd_member *member = &etcd.members[etcd.member_count++];

    *member = (struct wd_member){.id = id,
                                 .incarnation = 100 + id,
                                 .nodes_hash = config.nodes_hash,
                                 .lease = 1000 + id,
                                 .key_revision = 1};
    etcd.roster[etcd.roster_count++] = (struct wd_roster_entry){.id = id, .incarnation = 100 + id};
    return member;
}

static void
own_key(void)
{
    struct wd_member *member = other(config.id);

    *member = wd.self;
    member->lease = LEASE;
    member->key_revision = etcd.revision;
    etcd.roster[etcd.roster_count - 1].incarnation = config.incarnation;
}

static void
fact(int node_id, bool alive, bool in_recovery)
{
    struct wd_fact fact = {.node_id = node_id,
                           .began_ns = now_ns,
                           .alive = alive,
                           .dead = !alive,
                           .answered = alive,
                           .in_recovery = in_recovery,
                           .streams = in_recovery,
                           .timeline = 1,
                           .system_identifier = 7};

    tell((struct wd_event){.kind = WD_FACT, .fact = &fact});
}

static int
set_up(void **state UNUSED)
{
    memset(&config, 0, sizeof(config));
    memset(&etcd, 0, sizeof(etcd));
    now_ns = 1000 * NS_PER_S;
    wd_config_times(&config, 3 * NS_PER_S);
    config.id = 1;
    config.priority = 5;
    config.incarnation = 42;
    config.nodes_hash = 1;
    config.node_count = NODES;
    config.consensus = config.address = true;
    for (int node_id = 0; node_id < NODES; node_id++)
        cluster_set_add(&config.nodes, node_id);
    etcd.state.primary_id = etcd.state.candidate_id = -1;
    etcd.state.last_primary_id = etcd.state.told_id = -1;
    wd_init(&wd, &config);
    return 0;
}

static void
commit_primary(void)
{
    etcd.state = (struct wd_state){.epoch = 1,
                                   .system_identifier = 7,
                                   .nodes_hash = 1,
                                   .timeline = 1,
                                   .node_count = NODES,
                                   .candidate_id = -1,
                                   .told_id = -1,
                                   .in = config.nodes,
                                   .electable = config.nodes};
    etcd.state_revision = ++etcd.revision;
}

static void
join(void)
{
    look();
    assert_true(asks(WD_GRANT));
    answer(WD_GRANT, WD_OK);
    assert_true(asks(WD_JOIN));
    answer(WD_JOIN, WD_OK);
    own_key();
    look();
}

static void
lead(void)
{
    join();
    etcd.leader = (struct wd_leader){config.id, config.incarnation, ++etcd.revision};
    look();
    assert_true(wd.judging);
}

/* ---- joining --------------------------------------------------------------------------------- */

static void
joins_under_its_lease(void **state UNUSED)
{
    int64_t asked_ns;

    look();
    asked_ns = now_ns;
    now_ns += 400 * NS_PER_MS; /* the answer takes long: the lease counts from before */
    answer(WD_GRANT, WD_OK);
    assert_int_equal(wd.lease_until_ns, asked_ns + 2500 * NS_PER_MS);
    assert_int_equal(wd_leads_until_ns(&wd), 0);
    answer(WD_JOIN, WD_OK);
    assert_true(wd.joined);
}

static void
waits_while_its_number_is_anothers(void **state UNUSED)
{
    other(config.id);
    look();
    assert_false(asks(WD_GRANT));
    assert_non_null(find(WD_DO_TELL));
    look();
    assert_null(find(WD_DO_TELL));
    etcd.member_count = etcd.roster_count = 0;
    look();
    assert_true(asks(WD_GRANT));
}

static void
a_new_process_goes_on_with_its_key(void **state UNUSED)
{
    own_key();
    look();
    assert_true(wd.joined);
    assert_false(asks(WD_GRANT));
    assert_true(asks(WD_KEEPALIVE));
    assert_int_equal(wd_writes_until_ns(&wd, &config), 0);
    answer(WD_KEEPALIVE, WD_OK);
    assert_true(wd.lease_until_ns > now_ns);
}

static void
joins_anew_when_its_lease_is_gone(void **state UNUSED)
{
    commit_primary();
    join();
    assert_true(wd_writes_until_ns(&wd, &config) > now_ns);
    tick(600);
    answer(WD_KEEPALIVE, WD_NO);
    assert_int_equal(wd_writes_until_ns(&wd, &config), 0);
    etcd.member_count = etcd.roster_count = 0;
    look();
    assert_true(asks(WD_GRANT));
}

static void
gives_its_lease_up_when_children_do_not_act(void **state UNUSED)
{
    commit_primary();
    join();
    etcd.state.primary_id = -1;
    etcd.state.epoch = etcd.state.fence_epoch = 2;
    etcd.state_revision = ++etcd.revision;
    look();
    assert_non_null(find(WD_DO_APPLY));
    while (asks(WD_KEEPALIVE) || now_ns < wd.apply_by_ns) {
        if (asks(WD_KEEPALIVE))
            answer(WD_KEEPALIVE, WD_OK);
        tick(100);
    }
    tick(1000);
    assert_false(asks(WD_KEEPALIVE));
    tell((struct wd_event){.kind = WD_FENCED_HERE, .epoch = 2});
    assert_true(asks(WD_KEEPALIVE));
}

/* ---- leading --------------------------------------------------------------------------------- */

static void
goes_in_the_order_of_priorities(void **state UNUSED)
{
    struct wd_member *first;

    first = other(0);
    first->priority = 9;
    join();
    assert_false(asks(WD_CAMPAIGN));
    tick(config.stagger_ns / NS_PER_MS);
    assert_true(asks(WD_CAMPAIGN));
}

static void
who_sees_the_primary_goes_first(void **state UNUSED)
{
    struct wd_member *blind = other(0);

    blind->priority = 9;
    commit_primary();
    fact(0, true, false);
    join();
    assert_true(asks(WD_CAMPAIGN));
}

static void
another_list_of_nodes_is_refused(void **state UNUSED)
{
    other(0);
    commit_primary();
    etcd.state.nodes_hash = 2;
    etcd.members[0].nodes_hash = 2;
    join();
    assert_true(wd.differs);
    tick(2000);
    assert_false(asks(WD_CAMPAIGN));
    assert_int_equal(wd_writes_until_ns(&wd, &config), 0);
    etcd.members[0].nodes_hash = 1; /* all have the new list: it is the cluster's */
    look();
    assert_false(wd.differs);
}

static void
judges_until_its_lease_ends_by_its_clock(void **state UNUSED)
{
    commit_primary();
    lead();
    assert_non_null(find(WD_DO_JUDGE));
    assert_non_null(find(WD_DO_ESCALATE));
    assert_non_null(find(WD_DO_ADDRESS_UP));
    assert_int_equal(find(WD_DO_ADDRESS_UP)->until_ns, wd.lease_until_ns);
    tell((struct wd_event){.kind = WD_ADDRESS_ENDED, .done = true});
    now_ns = wd_leads_until_ns(&wd);
    tell((struct wd_event){.kind = WD_TICK});
    assert_non_null(find(WD_DO_STOP_JUDGING));
    assert_non_null(find(WD_DO_DE_ESCALATE));
    assert_non_null(find(WD_DO_ADDRESS_DOWN));
    assert_int_equal(wd_leads_until_ns(&wd), 0);
}

static void
keeps_the_address_when_told_to(void **state UNUSED)
{
    config.keep_address = true;
    commit_primary();
    lead();
    assert_int_equal(find(WD_DO_ADDRESS_UP)->until_ns, INT64_MAX);
    tell((struct wd_event){.kind = WD_ADDRESS_ENDED, .done = true});
    tick(20000);
    assert_null(find(WD_DO_ADDRESS_DOWN));
    etcd.leader = (struct wd_leader){0, 100, ++etcd.revision};
    etcd.revision++;
    if (!asks(WD_FETCH))
        tick(1000);
    answer(WD_FETCH, WD_OK);
    assert_non_null(find(WD_DO_ADDRESS_DOWN));
}

static void
hands_over_when_it_is_stopped(void **state UNUSED)
{
    commit_primary();
    lead();
    tell((struct wd_event){.kind = WD_ADDRESS_ENDED, .done = true});
    tell((struct wd_event){.kind = WD_STOP});
    assert_non_null(find(WD_DO_STOP_JUDGING));
    assert_non_null(find(WD_DO_ADDRESS_DOWN));
    assert_false(asks(WD_RESIGN));
    tell((struct wd_event){.kind = WD_ADDRESS_ENDED, .done = false});
    assert_false(asks(WD_RESIGN)); /* it may still be up */
    tick(1000);
    assert_non_null(find(WD_DO_ADDRESS_DOWN));
    tell((struct wd_event){.kind = WD_ADDRESS_ENDED, .done = true});
    tick(0);
    assert_true(asks(WD_RESIGN));
    answer(WD_RESIGN, WD_OK);
    memset(&etcd.leader, 0, sizeof(etcd.leader));
    if (!asks(WD_FETCH))
        tick(1000);
    answer(WD_FETCH, WD_OK);
    assert_false(asks(WD_LEAVE));
    tell((struct wd_event){.kind = WD_CLOSED});
    assert_true(asks(WD_LEAVE));
    answer(WD_LEAVE, WD_UNSURE);
    tick(1000);
    assert_true(asks(WD_LEAVE));
    answer(WD_LEAVE, WD_OK);
    assert_non_null(find(WD_DO_END));
    assert_int_equal(wd_next_ns(&wd, &config), INT64_MAX);
    tick(1000);
    assert_int_equal(actions.count, 0);
}

static void
never_leads_again_in_a_term_it_has_laid_down(void **state UNUSED)
{
    etcd.leader = (struct wd_leader){config.id, config.incarnation, ++etcd.revision};
    own_key();
    look(); /* an earlier process of ours led: what it has asked for may still be done */
    answer(WD_KEEPALIVE, WD_OK);
    look();
    assert_false(wd.judging);
    assert_int_equal(wd_leads_until_ns(&wd), 0);
    assert_true(asks(WD_RESIGN));
    answer(WD_RESIGN, WD_UNSURE);
    look();
    assert_false(wd.judging);
    assert_true(asks(WD_RESIGN));
    answer(WD_RESIGN, WD_OK);
    memset(&etcd.leader, 0, sizeof(etcd.leader));
    if (!asks(WD_FETCH))
        tick(1000);
    answer(WD_FETCH, WD_OK);
    assert_true(asks(WD_CAMPAIGN)); /* there is nobody else */
    answer(WD_CAMPAIGN, WD_OK);
    etcd.leader = (struct wd_leader){config.id, config.incarnation, ++etcd.revision};
    if (!asks(WD_FETCH))
        tick(1000);
    answer(WD_FETCH, WD_OK);
    assert_true(wd.judging);
}

static void
hands_over_when_it_alone_is_blind(void **state UNUSED)
{
    struct wd_member *seeing = other(0);

    other(2);
    cluster_set_add(&seeing->alive, 0);
    commit_primary();
    lead();
    for (int n = 0; n < 12 && !wd.resigning; n++) {
        fact(0, false, false);
        if (asks(WD_KEEPALIVE))
            answer(WD_KEEPALIVE, WD_OK);
        tick(100);
    }
    assert_true(wd.resigning);
    assert_int_equal(wd_leads_until_ns(&wd), 0);
}

static void
surroundings(bool are_there)
{
    tell((struct wd_event){.kind = WD_SURROUNDINGS, .done = are_there});
}

static void
hands_over_when_clients_cannot_reach_it(void **state UNUSED)
{
    struct wd_member *rival = other(0);

    commit_primary();
    lead();
    surroundings(false);
    assert_false(wd.resigning); /* the other one does not see the primary */
    assert_true(asks(WD_UPDATE) && wd.telling.isolated);
    cluster_set_add(&rival->alive, 0);
    rival->isolated = true;
    look();
    assert_false(wd.resigning);
    rival->isolated = false;
    look();
    assert_true(wd.resigning);
    assert_int_equal(wd_leads_until_ns(&wd), 0);
}

/* ... but an isolated leader is better than none. */
static void
who_is_cut_off_goes_last(void **state UNUSED)
{
    surroundings(false);
    other(0);
    commit_primary();
    fact(0, true, false);
    etcd.members[0].priority = -9;
    cluster_set_add(&etcd.members[0].alive, 0);
    join();
    assert_false(asks(WD_CAMPAIGN));
    tick(config.stagger_ns / NS_PER_MS + 1);
    assert_true(asks(WD_CAMPAIGN));
}

static void
forgets_who_is_lost_for_good(void **state UNUSED)
{
    config.lost_member_ns = 5 * NS_PER_S;
    other(0);
    commit_primary();
    lead();
    etcd.members[0] = etcd.members[1];
    etcd.member_count = 1;
    for (int n = 0; n < 100 && !asks(WD_FORGET); n++) {
        etcd.members[0].key_revision = wd.key_revision;
        if (asks(WD_UPDATE))
            answer(WD_UPDATE, WD_OK);
        if (asks(WD_COMMIT))
            answer(WD_COMMIT, WD_NO);
        if (asks(WD_KEEPALIVE))
            answer(WD_KEEPALIVE, WD_OK);
        look();
    }
    assert_true(asks(WD_FORGET));
    assert_true(now_ns - wd.missing[0].gone_ns >= config.lost_member_ns);
}

/* ---- the fence ------------------------------------------------------------------------------- */

static void
propose(struct wd_state next)
{
    tell((struct wd_event){.kind = WD_PROPOSED, .state = &next, .proposal = 1 + wd.serial});
}

static void
lay_primary_down(void)
{
    struct wd_state next = wd.state;

    next.primary_id = -1;
    next.epoch++;
    next.phase = PLAN_FENCING;
    propose(next);
    assert_true(asks(WD_COMMIT));
    answer(WD_COMMIT, WD_OK);
    assert_non_null(find(WD_DO_COMMITTED));
    etcd.state = wd.state;
    etcd.state_revision = wd.applied;
}

static void
a_missing_member_is_waited_for(void **state UNUSED)
{
    struct wd_state next;
    struct cluster_set cut = {{2}};

    other(0);
    commit_primary();
    lead();
    lay_primary_down();
    tell((struct wd_event){.kind = WD_FENCED_HERE, .epoch = 2});
    look();
    assert_null(find(WD_DO_FENCED)); /* member 0 has not acted */
    etcd.members[0] = etcd.members[1];
    etcd.member_count = 1; /* its lease has ended */
    look();
    assert_null(find(WD_DO_FENCED));
    assert_non_null(find(WD_DO_CUT));
    tell((struct wd_event){.kind = WD_CUT, .set = cut});
    assert_false(wd_may_promote(&wd, &config, 1, now_ns));
    answer(WD_KEEPALIVE, WD_OK);
    tick((config.alone_ns + config.margin_ns) / NS_PER_MS);
    assert_non_null(find(WD_DO_FENCED));
    assert_true(wd_may_promote(&wd, &config, 1, now_ns));
    assert_false(wd_may_promote(&wd, &config, 2, now_ns)); /* it streams */
    next = wd.state;
    next.candidate_id = 2;
    next.phase = PLAN_PROMOTING;
    propose(next);
    assert_non_null(find(WD_DO_STOP_JUDGING));
}

static void
fence_command_spares_the_wait(void **state UNUSED)
{
    other(0);
    commit_primary();
    lead();
    lay_primary_down();
    tell((struct wd_event){.kind = WD_FENCED_HERE, .epoch = 2});
    etcd.members[0] = etcd.members[1];
    etcd.member_count = 1;
    look();
    assert_null(find(WD_DO_FENCED));
    tell((struct wd_event){.kind = WD_OLD_STOPPED, .epoch = 2});
    assert_non_null(find(WD_DO_FENCED));
    assert_true(wd_may_promote(&wd, &config, 2, now_ns));
}

static void
proposals_that_cannot_be(void **state UNUSED)
{
    struct wd_state next;

    commit_primary();
    lead();
    next = wd.state;
    next.primary_id = 1; /* without a fence */
    next.epoch++;
    propose(next);
    assert_non_null(find(WD_DO_STOP_JUDGING));
    assert_false(asks(WD_COMMIT));
    look();
    assert_non_null(find(WD_DO_JUDGE));
    next = wd.state;
    next.primary_id = -1; /* in the same epoch */
    propose(next);
    assert_non_null(find(WD_DO_STOP_JUDGING));
}

static void
a_commit_without_an_answer_is_looked_for(void **state UNUSED)
{
    struct wd_state next;

    commit_primary();
    lead();
    next = wd.state;
    next.epoch++;
    next.primary_id = -1;
    propose(next);
    answer(WD_COMMIT, WD_UNSURE);
    assert_non_null(find(WD_DO_STOP_JUDGING));
    assert_int_equal(wd.state.primary_id, 0);
    etcd.state = wd.proposal;
    etcd.state_revision = ++etcd.revision;
    if (!asks(WD_FETCH))
        tick(1000);
    answer(WD_FETCH, WD_OK);
    assert_non_null(find(WD_DO_JUDGE));
    assert_int_equal(wd.state.primary_id, -1);
}

/* ---- questions ------------------------------------------------------------------------------- */

static void
alone_only_while_nobody_was_promoted(void **state UNUSED)
{
    commit_primary();
    join();
    tick(10000); /* etcd says nothing more */
    assert_true(wd_writes_until_ns(&wd, &config) <= now_ns);
    fact(0, true, false);
    fact(1, true, true);
    assert_true(wd_writes_until_ns(&wd, &config) <= now_ns); /* nobody knows of node 2 */
    fact(2, true, true);
    assert_int_equal(wd_writes_until_ns(&wd, &config), now_ns + config.alone_ns);
    fact(2, true, false);
    assert_true(wd_writes_until_ns(&wd, &config) <= now_ns);
    fact(2, true, true);
    fact(0, true, true); /* the primary is none any more */
    assert_true(wd_writes_until_ns(&wd, &config) <= now_ns);
}

static void
verdicts_need_a_majority(void **state UNUSED)
{
    other(0);
    other(2);
    commit_primary();
    join();
    assert_int_equal(wd_verdict(&wd, &config, 1, HEALTH_DEAD), HEALTH_SUSPECT);
    assert_int_equal(wd_verdict(&wd, &config, 1, HEALTH_ALIVE), HEALTH_ALIVE);
    cluster_set_add(&etcd.members[0].dead, 1);
    cluster_set_add(&etcd.members[1].dead, 1);
    look();
    assert_int_equal(wd_verdict(&wd, &config, 1, HEALTH_ALIVE), HEALTH_DEAD);
    etcd.members[1].leaving = true; /* has no vote any more */
    look();
    assert_int_equal(wd_verdict(&wd, &config, 1, HEALTH_DEAD), HEALTH_SUSPECT);
    config.consensus = false;
    assert_int_equal(wd_verdict(&wd, &config, 1, HEALTH_DEAD), HEALTH_DEAD);
    fact(1, false, false);
    fact(0, false, false);
    assert_true(wd_is_quarantined_here(&wd, 1));
    assert_false(wd_is_quarantined_here(&wd, 0));
    assert_false(wd_is_quarantined_here(&wd, 2));
}

static void
a_plan_as_the_watchdog_sees_it(void **state UNUSED)
{
    static struct plan plan;
    struct wd_state seen = {.told_id = 2};

    plan_init(&plan);
    plan.epoch = 4;
    plan.node_count = 4;
    plan.nodes[0].state = NODE_FENCED;
    plan.nodes[1].state = NODE_UP;
    plan.nodes[2].state = NODE_REJOINING;
    plan.nodes[3].state = NODE_MAINTENANCE;
    plan.operation.kind = PLAN_FAILOVER;
    plan.operation.phase = PLAN_CHOOSING;
    plan.operation.candidate_id = 1;
    wd_state_from_plan(&seen, &plan, 77);
    assert_int_equal(seen.epoch, 4);
    assert_int_equal(seen.nodes_hash, 77);
    assert_int_equal(seen.in.bits[0], 6);
    assert_int_equal(seen.candidate_id, -1);
    assert_int_equal(seen.told_id, 2);
    plan.operation.phase = PLAN_VERIFYING;
    wd_state_from_plan(&seen, &plan, 77);
    assert_int_equal(seen.candidate_id, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(joins_under_its_lease, set_up),
        cmocka_unit_test_setup(waits_while_its_number_is_anothers, set_up),
        cmocka_unit_test_setup(a_new_process_goes_on_with_its_key, set_up),
        cmocka_unit_test_setup(joins_anew_when_its_lease_is_gone, set_up),
        cmocka_unit_test_setup(gives_its_lease_up_when_children_do_not_act, set_up),
        cmocka_unit_test_setup(goes_in_the_order_of_priorities, set_up),
        cmocka_unit_test_setup(who_sees_the_primary_goes_first, set_up),
        cmocka_unit_test_setup(another_list_of_nodes_is_refused, set_up),
        cmocka_unit_test_setup(judges_until_its_lease_ends_by_its_clock, set_up),
        cmocka_unit_test_setup(keeps_the_address_when_told_to, set_up),
        cmocka_unit_test_setup(hands_over_when_it_is_stopped, set_up),
        cmocka_unit_test_setup(never_leads_again_in_a_term_it_has_laid_down, set_up),
        cmocka_unit_test_setup(hands_over_when_it_alone_is_blind, set_up),
        cmocka_unit_test_setup(hands_over_when_clients_cannot_reach_it, set_up),
        cmocka_unit_test_setup(who_is_cut_off_goes_last, set_up),
        cmocka_unit_test_setup(forgets_who_is_lost_for_good, set_up),
        cmocka_unit_test_setup(a_missing_member_is_waited_for, set_up),
        cmocka_unit_test_setup(fence_command_spares_the_wait, set_up),
        cmocka_unit_test_setup(proposals_that_cannot_be, set_up),
        cmocka_unit_test_setup(a_commit_without_an_answer_is_looked_for, set_up),
        cmocka_unit_test_setup(alone_only_while_nobody_was_promoted, set_up),
        cmocka_unit_test_setup(verdicts_need_a_majority, set_up),
        cmocka_unit_test_setup(a_plan_as_the_watchdog_sees_it, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

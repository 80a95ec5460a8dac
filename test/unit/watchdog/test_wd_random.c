/*
 * watchdog.h in a world of faults: random schedules in which nothing that must never happen
 * happens, and which end whole; and the same with each safety rule broken, which is noticed.
 *
 * WD_RANDOM_SEED and WD_RANDOM_EPISODES in the environment repeat or prolong it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "world.h"

#include "config.h"

#include <stdlib.h>

enum {
    FAULTS_FOR_S = 15,
    WHOLE_IN_S = 60,
#ifdef PGPOOL_SANITIZE
    EPISODES = 500,
#else
    EPISODES = 10000,
#endif
    BROKEN_EPISODES = 20000, /* at most, until a broken rule is noticed */
};

static long
from_environment(const char *name, long otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? strtol(text, NULL, 10) : otherwise;
}

/* False: something happened that must never happen. */
static bool
play(uint64_t seed, enum wd_rule broken)
{
    int64_t began_ns;

    world_begin(seed, broken);
    began_ns = world->now_ns;
    while (world->now_ns < began_ns + FAULTS_FOR_S * NS_PER_S && world->wrong[0] == '\0')
        world_step();
    return world->wrong[0] == '\0';
}

static void
nothing_that_must_never_happen(void **state UNUSED)
{
    uint64_t first = (uint64_t)from_environment("WD_RANDOM_SEED", 1);
    uint64_t count = (uint64_t)from_environment("WD_RANDOM_EPISODES", EPISODES);
    long promotions = 0, writes = 0, alone = 0, leaders = 0, events = 0, cancelled = 0;
    int64_t whole_ns = 0;

    for (uint64_t seed = first; seed < first + count; seed++) {
        bool held = play(seed, WD_RULE_NONE);
        int64_t healed_ns = world->now_ns;

        world_heal();
        while (held && !world_is_whole() && world->wrong[0] == '\0' &&
               world->now_ns < healed_ns + WHOLE_IN_S * NS_PER_S)
            world_step();
        if (world->wrong[0] == '\0' && !world_is_whole())
            wrong("the cluster is not whole");
        if (world->wrong[0] != '\0') {
            world_print();
            fail_msg("seed %lu: %s", seed, world->wrong);
        }
        whole_ns = MAX(whole_ns, world->now_ns - healed_ns);
        events += world->events;
        promotions += world->promotions;
        writes += world->writes;
        alone += world->alone_writes;
        leaders += world->leaders;
        cancelled += world->cancelled;
    }
    print_message("%lu schedules, %ld events: %ld leaders, %ld promotions, %ld cancelled, %ld "
                  "writes, %ld of them without etcd; whole in at most %.1f s\n",
                  count, events, leaders, promotions, cancelled, writes, alone,
                  (double)whole_ns / NS_PER_S);
    if (count >= 500) {
        assert_true(promotions > (long)count / 4);
        assert_true(alone > (long)count);
        assert_true(cancelled > 0);
    }
}

/* The schedule that notices it, found by trying; when that does not any more, all are tried. */
static const struct {
    enum wd_rule rule;
    const char *name;
    uint64_t noticed_by;
} rules[] = {
    {WD_RULE_LEASE_BY_CLOCK, "LEASE_BY_CLOCK", 12},
    {WD_RULE_LEASE_FROM_SENDING, "LEASE_FROM_SENDING", 687},
    {WD_RULE_ALL_FENCED, "ALL_FENCED", 4},
    {WD_RULE_FENCE_SEEN, "FENCE_SEEN", 1086},
    {WD_RULE_WAIT_FOR_MISSING, "WAIT_FOR_MISSING", 4},
    {WD_RULE_CANDIDATE_CUT, "CANDIDATE_CUT", 4},
    {WD_RULE_CANDIDATE_ELECTABLE, "CANDIDATE_ELECTABLE", 480},
    {WD_RULE_ELECTABLE_WHEN_SEEN, "ELECTABLE_WHEN_SEEN", 8624},
    {WD_RULE_PROOF_OF_STANDBYS, "PROOF_OF_STANDBYS", 4},
    {WD_RULE_PROOF_EXCUSE, "PROOF_EXCUSE", 480},
    {WD_RULE_JOIN_THEN_LOOK, "JOIN_THEN_LOOK", 5670},
    {WD_RULE_ONE_CANDIDATE, "ONE_CANDIDATE", 97},
    {WD_RULE_EPOCH_FORWARD, "EPOCH_FORWARD", 14},
    {WD_RULE_COMMIT_BEFORE_ACT, "COMMIT_BEFORE_ACT", 85},
    {WD_RULE_CONSENSUS, "CONSENSUS", 4},
    {WD_RULE_ADDRESS_LIFETIME, "ADDRESS_LIFETIME", 39},
    {WD_RULE_LEFT_IS_UP, "LEFT_IS_UP", 6},
    {WD_RULE_DOWN_BEFORE_RESIGN, "DOWN_BEFORE_RESIGN", 6},
    {WD_RULE_UNSURE_IS_NO, "UNSURE_IS_NO", 50},
};
_Static_assert(ARRAY_LEN(rules) == WD_RULES - 1, "each rule is broken once");

static void
each_rule_is_needed(void **state UNUSED)
{
    int missed = 0;

    for (size_t n = 0; n < ARRAY_LEN(rules); n++) {
        uint64_t seed = rules[n].noticed_by;

        if (play(seed, rules[n].rule))
            seed = 1;
        while (seed <= BROKEN_EPISODES && play(seed, rules[n].rule))
            seed++;
        if (seed <= BROKEN_EPISODES) {
            print_message("%-20s broken: schedule %lu: %s\n", rules[n].name, seed, world->wrong);
            continue;
        }
        print_error("%s broken, and nobody notices\n", rules[n].name);
        missed++;
    }
    assert_int_equal(missed, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_that_must_never_happen),
        cmocka_unit_test(each_rule_is_needed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

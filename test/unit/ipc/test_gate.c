/*
 * Gates: many snapshots or many commits at a time, never both; who waits goes next; who dies leaves
 * nothing but what may be half done.
 */
#include "ipc/gate.h"

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

enum { MEMBERS = 4 };

static struct wakes *wakes;
static struct gates *gates;
static struct gate_member *members[MEMBERS];
static int told;

static void
granted(void *ctx)
{
    struct gate_pass *pass = ctx;

    assert_int_equal(pass->state, GATE_INSIDE);
    told++;
}

static int
setup(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(wakes_new(MEMBERS, &wakes, &err), 0);
    assert_int_equal(gates_new(MEMBERS, wakes, 0, &gates, &err), 0);
    for (uint32_t n = 0; n < MEMBERS; n++)
        members[n] = gate_join(gates, n);
    assert_int_not_equal(gates_owe(gates), 0);
    gates_settled(gates, gates_owe(gates));
    assert_int_equal(gates_owe(gates), 0);
    told = 0;
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < MEMBERS; n++)
        gate_part(members[n]);
    gates_free(gates);
    wakes_free(wakes);
    return 0;
}

static bool
enter(struct gate_member *m, struct gate_pass *pass, enum gate_side side)
{
    pass->granted = granted;
    pass->ctx = pass;
    return gate_enter(m, pass, "db", side);
}

static void
sides_exclude_each_other_and_groups_go_together(void **state)
{
    struct gate_pass s[4] = {0};
    struct gate_pass c[3] = {0};

    (void)state;
    assert_true(enter(members[0], &s[0], GATE_SNAPSHOT));
    assert_true(enter(members[1], &s[1], GATE_SNAPSHOT));
    assert_true(enter(members[1], &s[1], GATE_SNAPSHOT)); /* it is inside already */
    assert_false(enter(members[0], &c[0], GATE_COMMIT));
    assert_false(enter(members[2], &c[1], GATE_COMMIT));
    assert_false(enter(members[2], &c[1], GATE_COMMIT));   /* it stays queued, once */
    assert_false(enter(members[1], &s[2], GATE_SNAPSHOT)); /* others wait longer */
    gate_leave(members[0], &s[0]);
    gate_look(members[0]);
    assert_int_equal(told, 0);
    gate_leave(members[1], &s[1]);
    gate_look(members[1]);
    assert_int_equal(told, 0);
    gate_look(members[0]);
    assert_int_equal(told, 1);
    assert_int_equal(c[1].state, GATE_QUEUED);           /* it is inside, and does not know yet */
    assert_false(enter(members[3], &c[2], GATE_COMMIT)); /* behind the snapshots that wait */
    assert_false(enter(members[0], &s[3], GATE_SNAPSHOT));
    gate_leave(members[0], &c[0]);
    gate_look(members[1]);
    assert_int_equal(s[2].state, GATE_QUEUED); /* c[1] is inside */
    gate_look(members[2]);
    assert_int_equal(told, 2);
    gate_leave(members[2], &c[1]);
    gate_look(members[1]);
    gate_look(members[0]);
    assert_int_equal(told, 4);
    gate_leave(members[1], &s[2]);
    gate_leave(members[0], &s[3]);
    gate_look(members[3]);
    assert_int_equal(told, 5);
    gate_leave(members[3], &c[2]);
    assert_true(enter(members[3], &s[0], GATE_SNAPSHOT));
    gate_leave(members[3], &s[0]);
}

static void
databases_do_not_wait_for_each_other(void **state)
{
    struct gate_pass s = {.granted = granted};
    struct gate_pass c = {.granted = granted};

    (void)state;
    assert_true(gate_enter(members[0], &s, "db", GATE_SNAPSHOT));
    assert_true(gate_enter(members[1], &c, "other", GATE_COMMIT));
    gate_leave(members[0], &s);
    gate_leave(members[1], &c);
}

static void
who_leaves_the_queue_is_not_waited_for(void **state)
{
    struct gate_pass s[2] = {0};
    struct gate_pass c[3] = {0};

    (void)state;
    assert_true(enter(members[0], &s[0], GATE_SNAPSHOT));
    assert_false(enter(members[1], &c[0], GATE_COMMIT));
    assert_false(enter(members[2], &s[1], GATE_SNAPSHOT));
    gate_leave(members[1], &c[0]);
    gate_look(members[2]);
    assert_int_equal(s[1].state, GATE_INSIDE);
    assert_false(enter(members[1], &c[0], GATE_COMMIT));
    assert_false(enter(members[1], &c[1], GATE_COMMIT));
    assert_false(enter(members[1], &c[2], GATE_COMMIT));
    gate_leave(members[0], &s[0]);
    gate_leave(members[2], &s[1]);
    gate_leave(members[1], &c[1]); /* let in, and not told yet */
    gate_look(members[1]);
    assert_int_equal(c[0].state, GATE_INSIDE);
    assert_int_equal(c[2].state, GATE_INSIDE);
    gate_leave(members[1], &c[0]);
    assert_false(enter(members[0], &s[0], GATE_SNAPSHOT));
    gate_leave(members[1], &c[2]);
    gate_look(members[0]);
    assert_int_equal(s[0].state, GATE_INSIDE);
    gate_leave(members[0], &s[0]);
}

static void
the_dead_leave_nothing_but_commits(void **state)
{
    struct gate_pass s[3] = {0};
    struct gate_pass c[2] = {0};
    uint64_t owed;

    (void)state;
    assert_true(enter(members[0], &s[0], GATE_SNAPSHOT));
    assert_false(enter(members[1], &c[0], GATE_COMMIT));
    gates_bury(gates, 0);
    gate_look(members[1]);
    assert_int_equal(c[0].state, GATE_INSIDE);
    assert_int_equal(gates_owe(gates), 0);
    assert_false(enter(members[2], &s[1], GATE_SNAPSHOT));
    gates_bury(gates, 1);
    gate_look(members[2]);
    assert_int_equal(s[1].state, GATE_QUEUED);
    owed = gates_owe(gates);
    assert_true(owed > 0);
    gates_settled(gates, owed - 1); /* of what was before */
    gate_look(members[2]);
    assert_int_equal(s[1].state, GATE_QUEUED);
    gates_settled(gates, owed);
    gate_look(members[2]);
    assert_int_equal(s[1].state, GATE_INSIDE);
    gate_leave(members[2], &s[1]);
    assert_true(enter(members[2], &c[1], GATE_COMMIT));
    gate_leave(members[2], &c[1]);
}

/* Processes that die at any moment, also with a lock. */
static void
a_killed_member_stops_nobody(void **state)
{
    struct gate_pass s = {.granted = granted};

    (void)state;
    for (int n = 0; n < 60; n++) {
        pid_t pid = fork();
        int status;
        assert_true(pid >= 0);
        if (pid == 0) {
            struct gate_pass pass = {.granted = granted};
            for (;;) {
                if (gate_enter(members[1], &pass, "db", GATE_SNAPSHOT))
                    gate_leave(members[1], &pass);
            }
        }
        for (int turn = 0; turn < 200 * (n % 7); turn++) {
            if (gate_enter(members[0], &s, "db", GATE_SNAPSHOT))
                gate_leave(members[0], &s);
        }
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        gates_bury(gates, 1);
        assert_true(gate_enter(members[0], &s, "db", GATE_COMMIT));
        gate_leave(members[0], &s);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sides_exclude_each_other_and_groups_go_together, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(databases_do_not_wait_for_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(who_leaves_the_queue_is_not_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(the_dead_leave_nothing_but_commits, setup, teardown),
        cmocka_unit_test_setup_teardown(a_killed_member_stops_nobody, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

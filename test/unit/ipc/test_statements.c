/*
 * ipc/statement_stats and statement_tally: numbers of statements, by several processes, some of
 * which die.
 */
#include "ipc/statement_tally.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PLACES = 64, PROCESSES = 4, ROUNDS = 20000, REASON = 3 };

static struct statement_stats *stats;

static int
setup(void **state)
{
    struct err err;

    (void)state;
    return statement_stats_new(PLACES, &stats, &err);
}

static int
teardown(void **state)
{
    (void)state;
    statement_stats_free(stats);
    return 0;
}

static struct statement_name
name_of(uint64_t number, char text[32])
{
    snprintf(text, 32, "statement %u", (unsigned)number);
    return (struct statement_name){
        .fingerprint = number + 1, .database = "db", .user = "me", .text = text};
}

/* One call of the statement with this number, at node 1, with two rows, of 100 us. */
static void
call(struct statement_tallies *t, uint64_t number)
{
    const struct statement_end end = {.where = statement_where(1, true, REASON),
                                      .failed = number % 2 != 0,
                                      .rows = 2,
                                      .time_us = 100};
    uint64_t text = (number + 1) << 8;
    struct statement_tally *tally = statement_tally_of(t, text);
    char words[32];
    struct statement_name name = name_of(number, words);

    if (tally == NULL)
        tally = statement_tally_take(t, text, &name);
    if (tally == NULL)
        return;
    statement_begins(t, tally);
    statement_ends(t, tally, end);
}

static bool
find(const char *text, struct statement_row *row_r)
{
    uint32_t at = 0;

    while (statement_stats_next(stats, &at, row_r)) {
        if (strcmp(row_r->text, text) == 0)
            return true;
    }
    return false;
}

static uint64_t
count_rows(void)
{
    struct statement_row row;
    uint64_t count = 0;
    uint32_t at = 0;

    while (statement_stats_next(stats, &at, &row))
        count++;
    return count;
}

static void
what_was_counted_is_shown(void **state)
{
    struct statement_tallies *t = statement_tallies_new(stats, 0);
    struct statement_row row;

    (void)state;
    for (int n = 0; n < 100; n++)
        call(t, 7);
    call(t, 8);
    statement_tallies_flush(t);
    assert_true(find("statement 7", &row));
    assert_string_equal(row.database, "db");
    assert_string_equal(row.user, "me");
    assert_int_equal(row.fingerprint, 8);
    assert_int_equal(row.sums.calls, 100);
    assert_int_equal(row.sums.errors, 100);
    assert_int_equal(row.sums.rows, 200);
    assert_int_equal(row.sums.time_us, 10000);
    assert_int_equal(row.reasons[REASON], 100);
    assert_int_equal(row.place_count, 1);
    assert_int_equal(row.places[0].node_id, 1);
    assert_true(row.places[0].standby);
    assert_int_equal(row.places[0].calls, 100);
    assert_int_equal(histogram_count(&row.times), 100);
    assert_in_range(histogram_quantile(&row.times, 990), 94, 107);
    assert_true(find("statement 8", &row));
    assert_int_equal(row.sums.errors, 0);
    statement_tallies_free(t);
}

static void
nothing_is_lost_before_the_flush(void **state)
{
    struct statement_tallies *t = statement_tallies_new(stats, 0);
    struct statement_row row;

    (void)state;
    call(t, 1);
    assert_false(find("statement 1", &row));
    statement_tallies_free(t);
    assert_true(find("statement 1", &row));
}

static void
least_called_ones_make_room(void **state)
{
    struct statement_tallies *t = statement_tallies_new(stats, 0);
    struct statement_numbers numbers;
    struct statement_row row;

    (void)state;
    for (int n = 0; n < 50; n++)
        call(t, 0);
    for (uint64_t number = 1; number < 2000; number++)
        call(t, number);
    statement_tallies_flush(t);
    statement_stats_numbers(stats, &numbers);
    assert_int_equal(numbers.limit, PLACES);
    assert_int_equal(numbers.statements, count_rows());
    assert_in_range(numbers.statements, PLACES / 2, PLACES);
    assert_in_range(numbers.evictions, 1000, 2000);
    assert_int_equal(numbers.lost, 0);
    assert_true(find("statement 0", &row));
    assert_int_equal(row.sums.calls, 50);
    statement_tallies_free(t);
}

/* Those under way keep their place, whatever comes. */
static void
under_way_ones_stay(void **state)
{
    const struct statement_end end = {.rows = 5};
    struct statement_tallies *t = statement_tallies_new(stats, 0);
    char words[32];
    struct statement_name name = name_of(77, words);
    struct statement_tally *tally = statement_tally_take(t, 77 << 8, &name);
    struct statement_row row;

    (void)state;
    statement_begins(t, tally);
    for (uint64_t number = 1000; number < 5000; number++)
        call(t, number);
    assert_string_equal(statement_tally_text(tally), "statement 77");
    assert_ptr_equal(statement_tally_at(t, tally->number), tally);
    statement_ends(t, tally, end);
    statement_tallies_flush(t);
    assert_true(find("statement 77", &row));
    assert_int_equal(row.sums.rows, 5);
    statement_tallies_free(t);
}

/* A long text is cut, but no character of it. */
static void
texts_are_cut(void **state)
{
    struct statement_tallies *t = statement_tallies_new(stats, 0);
    char text[STATEMENT_TEXT_BYTES * 2];
    const struct statement_name name = {1, "db", "me", text};
    struct statement_tally *tally;

    (void)state;
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    memcpy(text + STATEMENT_TEXT_BYTES - 2, "\xc3\xa4", 2);
    tally = statement_tally_take(t, 1, &name);
    assert_int_equal(strlen(statement_tally_text(tally)), STATEMENT_TEXT_BYTES - 2);
    statement_tallies_free(t);
}

static void
reset_forgets_all(void **state)
{
    struct statement_tallies *t = statement_tallies_new(stats, 0);
    struct statement_numbers before;
    struct statement_numbers after;
    struct statement_row row;

    (void)state;
    call(t, 1);
    call(t, 2);
    statement_tallies_flush(t);
    statement_stats_numbers(stats, &before);
    assert_true(statement_stats_reset(stats, 5));
    assert_int_equal(count_rows(), 0);
    statement_stats_numbers(stats, &after);
    assert_true(after.reset_us >= before.reset_us);
    call(t, 2);
    statement_tallies_flush(t);
    assert_true(find("statement 2", &row));
    assert_int_equal(row.sums.calls, 1);
    assert_int_equal(count_rows(), 1);
    statement_tallies_free(t);
}

/* ---- several processes ---- */

static pid_t
run(uint32_t owner, void (*body)(uint32_t owner))
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    body(owner);
    _exit(0);
}

static void
call_ten(uint32_t owner)
{
    struct statement_tallies *t = statement_tallies_new(stats, owner);

    for (int n = 0; n < ROUNDS; n++)
        call(t, (uint64_t)n % 10);
    statement_tallies_free(t);
}

static void
several_processes_add_up(void **state)
{
    struct statement_numbers numbers;
    struct statement_row row;
    uint64_t calls = 0;
    uint32_t at = 0;

    (void)state;
    for (uint32_t n = 0; n < PROCESSES; n++)
        run(n, call_ten);
    while (wait(NULL) > 0) {
    }
    while (statement_stats_next(stats, &at, &row)) {
        calls += row.sums.calls;
        assert_int_equal(row.sums.rows, 2 * row.sums.calls);
        assert_int_equal(histogram_count(&row.times), row.sums.calls);
        assert_int_equal(row.reasons[REASON], row.sums.calls);
        assert_int_equal(row.places[0].calls, row.sums.calls);
    }
    statement_stats_numbers(stats, &numbers);
    assert_int_equal(numbers.statements, 10); /* none of them twice */
    assert_int_equal(calls + numbers.lost, PROCESSES * ROUNDS);
}

static void
call_many(uint32_t owner)
{
    struct statement_tallies *t = statement_tallies_new(stats, owner);

    for (uint64_t n = 0;; n++) {
        call(t, n * (owner + 1) % 5000);
        if (n % 16 == 0)
            statement_tallies_flush(t);
    }
}

static void
hold(uint32_t owner)
{
    if (!statement_stats_begin(stats, owner, 12345))
        _exit(1);
    raise(SIGKILL);
}

/* Who dies with the lock keeps others from new statements until the parent hears of it, and from
 * nothing else. */
static void
death_with_the_lock_costs_nothing(void **state)
{
    struct statement_tallies *t = statement_tallies_new(stats, 1);
    struct statement_row row;
    int status;
    pid_t pid;

    (void)state;
    call(t, 1);
    statement_tallies_flush(t);
    pid = run(3, hold);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    call(t, 1);
    call(t, 2);
    statement_tallies_flush(t);
    assert_true(find("statement 1", &row));
    assert_int_equal(row.sums.calls, 2);
    assert_false(find("statement 2", &row));
    assert_false(statement_stats_reset(stats, 1));
    statement_stats_bury(stats, 2); /* somebody else: nothing */
    statement_tallies_flush(t);
    assert_false(find("statement 2", &row));
    statement_stats_bury(stats, 3);
    statement_tallies_flush(t);
    assert_true(find("statement 2", &row));
    assert_int_equal(row.sums.calls, 1);
    assert_int_equal(count_rows(), 2);
    statement_tallies_free(t);
}

/* Killed at any moment: what is shown is always whole, and the others go on. */
static void
deaths_at_any_moment(void **state)
{
    struct statement_row row;
    pid_t pids[PROCESSES];
    uint32_t at;

    (void)state;
    for (uint32_t n = 0; n < PROCESSES; n++)
        pids[n] = run(n, call_many);
    for (uint32_t round = 0; round < 200; round++) {
        uint32_t n = round % PROCESSES;
        for (at = 0; statement_stats_next(stats, &at, &row);) {
            char words[32];
            name_of(row.fingerprint - 1, words);
            assert_string_equal(row.text, words);
        }
        assert_int_equal(kill(pids[n], SIGKILL), 0);
        assert_int_equal(waitpid(pids[n], NULL, 0), pids[n]);
        statement_stats_bury(stats, n);
        pids[n] = run(n, call_many);
    }
    for (uint32_t n = 0; n < PROCESSES; n++) {
        kill(pids[n], SIGKILL);
        waitpid(pids[n], NULL, 0);
        statement_stats_bury(stats, n);
    }
    assert_true(statement_stats_reset(stats, 0));
    assert_int_equal(count_rows(), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_counted_is_shown, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_lost_before_the_flush, setup, teardown),
        cmocka_unit_test_setup_teardown(least_called_ones_make_room, setup, teardown),
        cmocka_unit_test_setup_teardown(under_way_ones_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(texts_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(reset_forgets_all, setup, teardown),
        cmocka_unit_test_setup_teardown(several_processes_add_up, setup, teardown),
        cmocka_unit_test_setup_teardown(death_with_the_lock_costs_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(deaths_at_any_moment, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

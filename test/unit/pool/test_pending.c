/*
 * The queue of owed answers, driven as a server would drive it.
 */
#include "pool/pending.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int done_count;
static int dropped_count;

static void
count_settled(void *ctx, const struct pending_entry *e, bool done)
{
    (void)ctx;
    (void)e;
    if (done)
        done_count++;
    else
        dropped_count++;
}

static int
setup(void **state)
{
    (void)state;
    done_count = dropped_count = 0;
    return 0;
}

static bool
push(struct pending *p, enum pending_kind kind, bool skip, void *tag)
{
    struct pending_entry e = {.kind = (uint8_t)kind, .skip = skip, .tag = tag};

    return pending_push(p, &e, count_settled, NULL);
}

static struct pending_step
answer(struct pending *p, char type)
{
    return pending_answer(p, (uint8_t)type, count_settled, NULL);
}

static void
simple_query_ends_with_ready(void **state)
{
    struct pending p;
    struct pending_step step;

    (void)state;
    pending_init(&p);
    assert_true(push(&p, PENDING_QUERY, false, NULL));
    assert_int_equal(p.forwards, 1);
    assert_false(answer(&p, 'T').cycle_end);
    assert_false(answer(&p, 'C').cycle_end);
    assert_int_equal(p.count, 1);
    step = answer(&p, 'Z');
    assert_true(step.cycle_end);
    assert_false(step.skip);
    assert_false(step.failed);
    assert_int_equal(p.count, 0);
    assert_int_equal(p.forwards, 0);
}

static void
skipped_parse_in_a_batch(void **state)
{
    struct pending p;

    (void)state;
    pending_init(&p);
    push(&p, PENDING_PARSE, true, &p);
    push(&p, PENDING_BIND, false, NULL);
    push(&p, PENDING_EXECUTE, false, NULL);
    push(&p, PENDING_SYNC, false, NULL);
    assert_true(answer(&p, '1').skip);
    assert_int_equal(done_count, 1);
    assert_false(answer(&p, '2').skip);
    assert_false(answer(&p, 'D').skip);
    assert_false(answer(&p, 'C').skip);
    assert_true(answer(&p, 'Z').cycle_end);
}

static void
error_drops_up_to_sync(void **state)
{
    struct pending p;
    struct pending_step step;

    (void)state;
    pending_init(&p);
    push(&p, PENDING_PARSE, false, &p);
    push(&p, PENDING_QUERY, false, NULL); /* ignored too: no Sync stands before it */
    push(&p, PENDING_CLOSE, false, &p);
    push(&p, PENDING_SYNC, false, NULL);
    push(&p, PENDING_PARSE, false, NULL);
    answer(&p, 'E');
    assert_int_equal(dropped_count, 2);
    assert_int_equal(p.count, 2);
    assert_false(p.skip_till_sync);
    step = answer(&p, 'Z');
    assert_true(step.cycle_end);
    assert_true(step.failed);
    answer(&p, '1');
    assert_int_equal(p.count, 0);
}

static void
error_goes_to_whoever_asked_for_the_sync(void **state)
{
    struct pending p;

    (void)state;
    pending_init(&p);
    push(&p, PENDING_PARSE, true, NULL);
    push(&p, PENDING_QUERY, true, NULL); /* the server will ignore it */
    push(&p, PENDING_SYNC, false, NULL);
    assert_false(answer(&p, 'E').skip);
    assert_true(answer(&p, 'Z').cycle_end);
    push(&p, PENDING_PARSE, false, NULL);
    push(&p, PENDING_QUERY, false, NULL);
    push(&p, PENDING_SYNC, true, NULL);
    assert_true(answer(&p, 'E').skip);
    assert_true(answer(&p, 'Z').skip);
    push(&p, PENDING_QUERY, true, NULL);
    push(&p, PENDING_SYNC, false, NULL);
    assert_true(answer(&p, 'E').skip);
}

static void
error_without_sync_ignores_what_follows(void **state)
{
    struct pending p;

    (void)state;
    pending_init(&p);
    push(&p, PENDING_BIND, false, NULL);
    answer(&p, 'E');
    assert_true(p.skip_till_sync);
    assert_false(push(&p, PENDING_PARSE, false, &p));
    assert_int_equal(dropped_count, 1);
    assert_false(push(&p, PENDING_QUERY, false, NULL));
    assert_true(push(&p, PENDING_SYNC, false, NULL));
    assert_false(p.skip_till_sync);
    assert_true(answer(&p, 'Z').failed);
    push(&p, PENDING_QUERY, false, NULL);
    assert_false(answer(&p, 'Z').failed);
}

static void
copy_swallows_earlier_syncs(void **state)
{
    struct pending p;

    (void)state;
    pending_init(&p);
    push(&p, PENDING_EXECUTE, false, NULL);
    push(&p, PENDING_SYNC, false, NULL);
    answer(&p, 'G');
    assert_true(p.copy_in);
    assert_int_equal(p.count, 1);
    assert_int_equal(p.forwards, 1);
    assert_false(push(&p, PENDING_SYNC, false, NULL)); /* ignored by the server in COPY */
    push(&p, PENDING_COPY_END, false, NULL);
    push(&p, PENDING_SYNC, false, NULL);
    answer(&p, 'C');
    assert_int_equal(p.count, 1);
    assert_true(answer(&p, 'Z').cycle_end);
    assert_int_equal(p.count, 0);
}

static void
copy_sent_at_once(void **state)
{
    struct pending p;

    (void)state;
    pending_init(&p);
    push(&p, PENDING_EXECUTE, false, NULL);
    push(&p, PENDING_COPY_END, false, NULL);
    push(&p, PENDING_SYNC, false, NULL);
    answer(&p, 'G');
    assert_false(p.copy_in);
    answer(&p, 'C');
    assert_int_equal(p.count, 1);
    assert_true(answer(&p, 'Z').cycle_end);
    assert_int_equal(p.count, 0);
}

static void
two_copies_in_one_text(void **state)
{
    struct pending p;

    (void)state;
    pending_init(&p);
    push(&p, PENDING_QUERY, false, NULL);
    answer(&p, 'G');
    push(&p, PENDING_COPY_END, false, NULL);
    assert_false(p.copy_in);
    answer(&p, 'C');
    answer(&p, 'G');
    assert_true(p.copy_in);
    push(&p, PENDING_COPY_END, false, NULL);
    answer(&p, 'C');
    assert_true(answer(&p, 'Z').cycle_end);
    assert_int_equal(p.count, 0);
}

/* The message is lost with the COPY; what follows it is ignored up to the next Sync. */
static void
another_message_breaks_copy(void **state)
{
    struct pending_step step;
    struct pending p;

    (void)state;
    for (int at_once = 0; at_once < 2; at_once++) {
        pending_init(&p);
        dropped_count = 0;
        push(&p, PENDING_EXECUTE, false, NULL);
        if (!at_once)
            answer(&p, 'G');
        push(&p, PENDING_PARSE, false, &p);
        push(&p, PENDING_SYNC, false, NULL);
        if (at_once)
            answer(&p, 'G');
        assert_false(p.copy_in);
        assert_int_equal(dropped_count, 1);
        answer(&p, 'E');
        assert_false(p.skip_till_sync);
        step = answer(&p, 'Z');
        assert_true(step.cycle_end);
        assert_true(step.failed);
    }
}

static void
another_message_breaks_copy_of_a_query(void **state)
{
    struct pending p;

    (void)state;
    pending_init(&p);
    push(&p, PENDING_QUERY, false, NULL);
    push(&p, PENDING_PARSE, false, &p);
    push(&p, PENDING_SYNC, false, NULL);
    answer(&p, 'G');
    answer(&p, 'E');
    assert_true(answer(&p, 'Z').failed);
    assert_true(answer(&p, 'Z').cycle_end);
    assert_int_equal(p.count, 0);
}

static void
sync_ends_a_copy_that_failed_at_once(void **state)
{
    struct pending_step step;
    struct pending p;

    (void)state;
    pending_init(&p);
    push(&p, PENDING_EXECUTE, false, NULL);
    push(&p, PENDING_SYNC, false, NULL);
    answer(&p, 'G');
    answer(&p, 'E'); /* the server has not read the Sync as data */
    assert_true(p.skip_till_sync);
    step = answer(&p, 'Z');
    assert_true(step.cycle_end);
    assert_true(step.failed);
    assert_int_equal(step.ended.kind, PENDING_SYNC);
    assert_false(p.skip_till_sync);
    assert_true(p.sync_in_doubt);
}

static void
copy_leaves_with_its_command(void **state)
{
    struct pending p;

    (void)state;
    pending_init(&p);
    push(&p, PENDING_EXECUTE, false, NULL);
    answer(&p, 'G');
    answer(&p, 'C'); /* no server does this */
    assert_false(p.copy_in);
    assert_false(push(&p, PENDING_COPY_END, false, NULL));
    assert_true(push(&p, PENDING_QUERY, false, NULL));
    assert_true(answer(&p, 'Z').cycle_end);
}

static void
stray_copy_end_owes_nothing(void **state)
{
    struct pending p;

    (void)state;
    pending_init(&p);
    assert_false(push(&p, PENDING_COPY_END, false, NULL));
    push(&p, PENDING_QUERY, false, NULL);
    push(&p, PENDING_COPY_END, false, NULL);
    assert_true(answer(&p, 'Z').cycle_end);
    assert_int_equal(p.count, 0);
}

static void
describe_of_a_statement_takes_two(void **state)
{
    struct pending p;

    (void)state;
    pending_init(&p);
    push(&p, PENDING_DESCRIBE, false, NULL);
    push(&p, PENDING_DESCRIBE, false, NULL);
    answer(&p, 't');
    assert_int_equal(p.count, 2);
    answer(&p, 'T');
    assert_int_equal(p.count, 1);
    answer(&p, 'n');
    assert_int_equal(p.count, 0);
}

static void
grows_and_keeps_the_order(void **state)
{
    struct pending p;

    (void)state;
    pending_init(&p);
    for (int round = 0; round < 3; round++) {
        for (int n = 0; n < 1000; n++)
            push(&p, n % 2 ? PENDING_SYNC : PENDING_CLOSE, n % 4 == 0, NULL);
        for (int n = 0; n < 1000; n++) {
            struct pending_step step = answer(&p, n % 2 ? 'Z' : '3');
            assert_false(step.unasked);
            assert_int_equal(step.skip, n % 4 == 0);
        }
        assert_int_equal(p.count, 0);
        assert_int_equal(p.forwards, 0);
    }
    pending_fini(&p, NULL, NULL);
}

static void
what_nobody_asked_is_told(void **state)
{
    struct pending p;

    (void)state;
    pending_init(&p);
    assert_true(answer(&p, 'Z').unasked);
    assert_true(answer(&p, '1').unasked);
    assert_true(answer(&p, 'E').unasked);
}

static void
fini_drops_what_is_left(void **state)
{
    struct pending p;

    (void)state;
    pending_init(&p);
    push(&p, PENDING_PARSE, false, &p);
    push(&p, PENDING_SYNC, false, &p);
    pending_fini(&p, count_settled, NULL);
    assert_int_equal(dropped_count, 2);
    assert_int_equal(p.count, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(simple_query_ends_with_ready, setup),
        cmocka_unit_test_setup(skipped_parse_in_a_batch, setup),
        cmocka_unit_test_setup(error_drops_up_to_sync, setup),
        cmocka_unit_test_setup(error_goes_to_whoever_asked_for_the_sync, setup),
        cmocka_unit_test_setup(error_without_sync_ignores_what_follows, setup),
        cmocka_unit_test_setup(copy_swallows_earlier_syncs, setup),
        cmocka_unit_test_setup(copy_sent_at_once, setup),
        cmocka_unit_test_setup(two_copies_in_one_text, setup),
        cmocka_unit_test_setup(another_message_breaks_copy, setup),
        cmocka_unit_test_setup(another_message_breaks_copy_of_a_query, setup),
        cmocka_unit_test_setup(sync_ends_a_copy_that_failed_at_once, setup),
        cmocka_unit_test_setup(copy_leaves_with_its_command, setup),
        cmocka_unit_test_setup(stray_copy_end_owes_nothing, setup),
        cmocka_unit_test_setup(describe_of_a_statement_takes_two, setup),
        cmocka_unit_test_setup(grows_and_keeps_the_order, setup),
        cmocka_unit_test_setup(what_nobody_asked_is_told, setup),
        cmocka_unit_test_setup(fini_drops_what_is_left, setup),
    };

    return cmocka_run_group_tests_name("pool/pending", tests, NULL, NULL);
}

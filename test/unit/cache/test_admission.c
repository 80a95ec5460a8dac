/*
 * cache/admission: what is worth being kept.
 */
#include "cache/admission.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static unsigned
ask(struct admission *a, uint64_t statement, unsigned times)
{
    unsigned kept = 0;

    for (unsigned n = 0; n < times; n++)
        kept += admission_miss(a, statement);
    return kept;
}

static void
what_is_new_is_kept(void **state)
{
    struct admission *a = admission_new();

    (void)state;
    for (uint64_t statement = 1; statement <= 100; statement++)
        assert_int_equal(ask(a, statement, 500), 500);
    admission_free(a);
}

static void
what_is_never_asked_again_is_kept_in_part(void **state)
{
    struct admission *a = admission_new();

    (void)state;
    ask(a, 7, 1000);
    assert_int_equal(ask(a, 7, 8000), 1000);
    assert_int_equal(ask(a, 8, 100), 100); /* that says nothing of another one */
    admission_free(a);
}

static void
one_hit_in_fifty_is_enough(void **state)
{
    struct admission *a = admission_new();

    (void)state;
    ask(a, 7, 1000);
    for (unsigned n = 0; n < 50; n++) { /* of those that were kept */
        admission_hit(a, 7);
        ask(a, 7, 45);
    }
    assert_int_equal(ask(a, 7, 100), 100);
    admission_free(a);
}

static void
what_is_not_known_is_kept(void **state)
{
    struct admission *a = admission_new();

    (void)state;
    assert_int_equal(ask(a, 0, 5000), 5000);
    admission_free(a);
    admission_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_new_is_kept),
        cmocka_unit_test(what_is_never_asked_again_is_kept_in_part),
        cmocka_unit_test(one_hit_in_fifty_is_enough),
        cmocka_unit_test(what_is_not_known_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Keys: equal for equal fields, and different for whatever differs in any of them.
 */
#include "cache/key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct cache_secret secret = {{0x0123456789abcdefULL, 0xfedcba9876543210ULL}};

struct field {
    enum cache_field kind;
    const char *bytes;
    int32_t len;
};

static struct cache_key
key_of(const struct cache_secret *with, const struct field *fields, size_t count)
{
    struct cache_key_builder b;

    cache_key_begin(&b, with);
    for (size_t n = 0; n < count; n++) {
        if (fields[n].kind == CACHE_VALUE)
            cache_key_add_value(&b, fields[n].bytes, fields[n].len);
        else
            cache_key_add(&b, fields[n].kind, fields[n].bytes, (size_t)fields[n].len);
    }
    return cache_key_end(&b);
}

static bool
equal(struct cache_key a, struct cache_key b)
{
    return a.a == b.a && a.b == b.b;
}

/* No two of these lists may have the same key. */
static const struct field lists[][4] = {
    {{CACHE_STATEMENT, "SELECT 1", 8}},
    {{CACHE_STATEMENT, "SELECT 2", 8}},
    {{CACHE_STATEMENT, "SELECT 1\0", 9}},
    {{CACHE_STATEMENT, "SELECT ", 7}},
    {{CACHE_STATEMENT, "", 0}},
    {{CACHE_DATABASE, "SELECT 1", 8}},
    {{CACHE_STATEMENT, "SELECT 1", 8}, {CACHE_VALUE, "", -1}},
    {{CACHE_STATEMENT, "SELECT 1", 8}, {CACHE_VALUE, "", 0}},
    {{CACHE_STATEMENT, "SELECT 1", 8}, {CACHE_VALUE, "a", 1}},
    {{CACHE_STATEMENT, "SELECT 1", 8}, {CACHE_VALUE, "ab", 2}, {CACHE_VALUE, "c", 1}},
    {{CACHE_STATEMENT, "SELECT 1", 8}, {CACHE_VALUE, "a", 1}, {CACHE_VALUE, "bc", 2}},
    {{CACHE_STATEMENT, "SELECT 1", 8}, {CACHE_VALUE, "abc", 3}, {CACHE_VALUE, "", 0}},
    {{CACHE_STATEMENT, "SELECT 1", 8}, {CACHE_VALUE, "", 0}, {CACHE_VALUE, "abc", 3}},
    {{CACHE_STATEMENT, "SELECT 1", 8}, {CACHE_VALUE, "", -1}, {CACHE_VALUE, "abc", 3}},
    {{CACHE_SESSION_ROLE, "a", 1}, {CACHE_ROLE, "b", 1}},
    {{CACHE_SESSION_ROLE, "b", 1}, {CACHE_ROLE, "a", 1}},
    {{CACHE_SESSION_ROLE, "a", 1}, {CACHE_ROLE, "a", 1}},
    {{CACHE_SETTING_NAME, "search_path", 11}, {CACHE_SETTING, "a", 1}},
    {{CACHE_SETTING_NAME, "search_path", 11}, {CACHE_SETTING, "a, b", 4}},
    {{CACHE_SETTING_NAME, "search_patha", 12}, {CACHE_SETTING, "", 0}},
    {{CACHE_RESULT_FORMAT, "\0\0", 2}},
    {{CACHE_RESULT_FORMAT, "\0\1", 2}},
    {{CACHE_FORM, "\0", 1}},
    {{CACHE_FORM, "\1", 1}},
};

static size_t
fields_in(size_t list)
{
    size_t n = 0;

    while (n < 4 && lists[list][n].kind != 0)
        n++;
    return n;
}

static void
differs_with_every_field(void **state)
{
    (void)state;
    for (size_t a = 0; a < ARRAY_LEN(lists); a++) {
        for (size_t b = 0; b < ARRAY_LEN(lists); b++)
            assert_int_equal(equal(key_of(&secret, lists[a], fields_in(a)),
                                   key_of(&secret, lists[b], fields_in(b))),
                             a == b);
    }
}

static void
differs_with_the_secret(void **state)
{
    struct cache_secret other = secret;

    (void)state;
    other.words[1]++;
    assert_false(equal(key_of(&secret, lists[0], 1), key_of(&other, lists[0], 1)));
}

static void
goes_on_from_a_copy(void **state)
{
    struct cache_key_builder session;
    struct cache_key_builder statement;
    struct cache_key_builder whole;

    (void)state;
    cache_key_begin(&session, &secret);
    cache_key_add_number(&session, CACHE_DATABASE, 5);
    cache_key_add_text(&session, CACHE_ROLE, "somebody");
    statement = session;
    cache_key_add_text(&statement, CACHE_STATEMENT, "SELECT 1");
    cache_key_begin(&whole, &secret);
    cache_key_add_number(&whole, CACHE_DATABASE, 5);
    cache_key_add_text(&whole, CACHE_ROLE, "somebody");
    cache_key_add_text(&whole, CACHE_STATEMENT, "SELECT 1");
    assert_true(equal(cache_key_end(&statement), cache_key_end(&whole)));
    assert_false(equal(cache_key_end(&session), cache_key_end(&whole)));
}

/* Single bits of long values: all keys differ, and about half of the bits do each time. */
static void
every_bit_counts(void **state)
{
    enum { BYTES = 37 };
    char value[BYTES] = {0};
    struct field field = {CACHE_VALUE, value, BYTES};
    struct cache_key base = key_of(&secret, &field, 1);
    unsigned flipped = 0;

    (void)state;
    for (int bit = 0; bit < 8 * BYTES; bit++) {
        struct cache_key k;

        value[bit / 8] ^= (char)(1 << bit % 8);
        k = key_of(&secret, &field, 1);
        value[bit / 8] ^= (char)(1 << bit % 8);
        assert_false(equal(base, k));
        flipped +=
            (unsigned)(__builtin_popcountll(base.a ^ k.a) + __builtin_popcountll(base.b ^ k.b));
    }
    assert_in_range(flipped / (8 * BYTES), 60, 68);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(differs_with_every_field),
        cmocka_unit_test(differs_with_the_secret),
        cmocka_unit_test(goes_on_from_a_copy),
        cmocka_unit_test(every_bit_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

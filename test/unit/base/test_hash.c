/* hash.h: equal for equal bytes, different by seed, spread over buckets. */
#include "unit.h"

#include "base/hash.h"

#include <string.h>

static void
equal_bytes_hash_equally(void **state)
{
    char shifted[64];

    (void)state;
    for (size_t len = 0; len < 40; len++) {
        char text[40];
        memset(text, 'q', sizeof(text));
        for (size_t at = 0; at < 16; at++) {
            memcpy(shifted + at, text, len);
            assert_true(hash_bytes(text, len) == hash_bytes(shifted + at, len));
        }
    }
}

static void
length_and_every_byte_count(void **state)
{
    char text[33] = "abcdefghijklmnopqrstuvwxyz012345";
    uint64_t whole = hash_bytes(text, 32);

    (void)state;
    for (size_t n = 0; n < 32; n++) {
        char old = text[n];
        text[n] ^= 1;
        assert_true(hash_bytes(text, 32) != whole);
        text[n] = old;
        assert_true(hash_bytes(text, n) != whole);
    }
    assert_true(hash_bytes("\0\0", 1) != hash_bytes("\0\0", 2));
}

static void
the_seed_changes_it(void **state)
{
    uint64_t before;

    (void)state;
    hash_seed(1);
    before = hash_bytes("key", 3);
    hash_seed(2);
    assert_true(hash_bytes("key", 3) != before);
    hash_seed(1);
    assert_true(hash_bytes("key", 3) == before);
}

static void
low_bits_are_spread(void **state)
{
    unsigned buckets[64] = {0};

    (void)state;
    for (uint32_t n = 0; n < 64 * 100; n++)
        buckets[hash_bytes(&n, sizeof(n)) % 64]++;
    for (int n = 0; n < 64; n++)
        assert_in_range(buckets[n], 50, 170);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_bytes_hash_equally),
        cmocka_unit_test(length_and_every_byte_count),
        cmocka_unit_test(the_seed_changes_it),
        cmocka_unit_test(low_bits_are_spread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

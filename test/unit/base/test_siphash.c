/*
 * SipHash: OpenSSL's is the judge, over all lengths and all ways to cut the input.
 */
#include "base/siphash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

enum { INPUT_MAX = 200 };

static uint8_t input[INPUT_MAX];
static uint8_t key_bytes[16];

static struct siphash
begin(void)
{
    struct siphash s;
    uint64_t key[2];

    memcpy(key, key_bytes, 16);
    siphash_init(&s, key);
    return s;
}

static void
judge(size_t len, uint8_t result_r[16])
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    size_t size = 16;
    size_t got;
    OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
                           OSSL_PARAM_construct_end()};

    assert_int_equal(EVP_MAC_init(ctx, key_bytes, 16, params), 1);
    assert_int_equal(EVP_MAC_update(ctx, input, len), 1);
    assert_int_equal(EVP_MAC_final(ctx, result_r, &got, 16), 1);
    assert_int_equal(got, 16);
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
}

static void
assert_result(const struct siphash *s, const uint8_t expected[16])
{
    struct siphash_result r = siphash_result(s);

    assert_memory_equal(&r, expected, 16);
}

static void
agrees_with_the_papers_vector(void **state)
{
    static const uint8_t of_nothing[16] = {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6,
                                           0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93};
    struct siphash s;

    (void)state;
    for (int n = 0; n < 16; n++)
        key_bytes[n] = (uint8_t)n;
    s = begin();
    assert_result(&s, of_nothing);
}

static void
agrees_with_openssl(void **state)
{
    uint8_t expected[16];

    (void)state;
    for (size_t len = 0; len <= INPUT_MAX; len++) {
        struct siphash s = begin();

        judge(len, expected);
        siphash_add(&s, input, len);
        assert_result(&s, expected);
        assert_result(&s, expected); /* the state is as it was */
    }
}

static void
does_not_depend_on_the_pieces(void **state)
{
    uint8_t expected[16];

    (void)state;
    for (int n = 0; n < 2000; n++) {
        struct siphash s = begin();
        size_t len = (size_t)(rand() % (INPUT_MAX + 1));

        judge(len, expected);
        for (size_t at = 0; at < len;) {
            size_t piece = (size_t)(rand() % 20);

            piece = MIN(piece, len - at);
            siphash_add(&s, input + at, piece);
            at += piece;
        }
        assert_result(&s, expected);
    }
}

static void
a_copy_goes_on_by_itself(void **state)
{
    struct siphash s = begin();
    struct siphash copy;
    uint8_t expected[16];

    (void)state;
    siphash_add(&s, input, 13);
    copy = s;
    siphash_add(&s, "other", 5);
    siphash_add(&copy, input + 13, 50);
    judge(63, expected);
    assert_result(&copy, expected);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_papers_vector),
        cmocka_unit_test(agrees_with_openssl),
        cmocka_unit_test(does_not_depend_on_the_pieces),
        cmocka_unit_test(a_copy_goes_on_by_itself),
    };

    srand(1);
    for (int n = 0; n < INPUT_MAX; n++)
        input[n] = (uint8_t)rand();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

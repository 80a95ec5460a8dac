/*
 * SipHash-2-4 with a result of 128 bits: a hash under a secret key, such that nobody who does not
 * know the key can find two inputs with the same result, or one for a given result.
 *
 * The state is a plain value: a copy of it goes on from the same beginning.
 *
 * Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), and its extension to
 * 128 bits.
 */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include "base/util.h"

struct siphash {
    uint64_t v[4];
    uint64_t rest; /* the bytes behind the last full word, the first one lowest */
    uint64_t len;
};

struct siphash_result {
    uint64_t a; /* the first eight bytes, little-endian */
    uint64_t b;
};

void siphash_init(struct siphash *s, const uint64_t key[2]);
void siphash_add(struct siphash *s, const void *bytes, size_t len);

/* Of all that was added so far; does not change the state. */
struct siphash_result siphash_result(const struct siphash *s);

#endif

/*
 * A seeded 64-bit hash: eight bytes a step, each step a 64x64 multiplication folded to 64 bits.
 */
#include "base/hash.h"

#include <string.h>

static uint64_t seed_value = 0x9e3779b97f4a7c15ULL;

void
hash_seed(uint64_t seed)
{
    seed_value = seed | 1;
}

static uint64_t
fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t
load(const uint8_t *p, size_t len)
{
    uint64_t v = 0;

    memcpy(&v, p, len);
    return v;
}

uint64_t
hash_bytes(const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    uint64_t h = seed_value ^ fold(len ^ 0xa0761d6478bd642fULL, seed_value);
    size_t left = len;

    for (; left >= 8; left -= 8, p += 8)
        h = fold(load(p, 8) ^ 0xe7037ed1a0b428dbULL, h ^ 0x8ebc6af09c88c6e3ULL);
    if (left > 0)
        h = fold(load(p, left) ^ 0x589965cc75374cc3ULL, h ^ 0x1d8e4e27c47d124fULL);
    return fold(h ^ seed_value, 0x9e3779b97f4a7c15ULL);
}

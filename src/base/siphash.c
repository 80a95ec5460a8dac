/*
 * SipHash: words of eight bytes go through two rounds each, the result through four and four.
 *
 * Called where clients choose what is hashed and a collision would be a wrong answer (cache/).
 */
#include "base/siphash.h"

#include <endian.h>
#include <string.h>

static inline uint64_t
rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void
mix(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static inline void
mix_twice(uint64_t v[4])
{
    mix(v);
    mix(v);
}

static inline void
take_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    mix_twice(v);
    v[0] ^= word;
}

void
siphash_init(struct siphash *s, const uint64_t key[2])
{
    *s = (struct siphash){
        .v = {key[0] ^ 0x736f6d6570736575ULL, key[1] ^ 0x646f72616e646f6dULL ^ 0xee,
              key[0] ^ 0x6c7967656e657261ULL, key[1] ^ 0x7465646279746573ULL},
    };
}

static const uint8_t *
fill_rest(struct siphash *s, const uint8_t *p, size_t *left)
{
    unsigned have = s->len & 7;

    while (have > 0 && have < 8 && *left > 0) {
        s->rest |= (uint64_t)*p++ << (8 * have++);
        s->len++;
        --*left;
    }
    if (have == 8) {
        take_word(s->v, s->rest);
        s->rest = 0;
    }
    return p;
}

void
siphash_add(struct siphash *s, const void *bytes, size_t len)
{
    size_t left = len;
    const uint8_t *p = (s->len & 7) == 0 ? bytes : fill_rest(s, bytes, &left);
    uint64_t v[4];
    uint64_t word;

    if (left == 0)
        return;
    s->len += left;
    memcpy(v, s->v, sizeof(v)); /* in registers: the bytes might be anything's */
    for (; left >= 8; left -= 8, p += 8) {
        memcpy(&word, p, 8);
        take_word(v, le64toh(word));
    }
    memcpy(s->v, v, sizeof(v));
    if (left == 0)
        return;
    word = 0;
    memcpy(&word, p, left);
    s->rest |= le64toh(word);
}

struct siphash_result
siphash_result(const struct siphash *s)
{
    struct siphash end = *s;
    struct siphash_result result;

    take_word(end.v, end.len << 56 | end.rest);
    end.v[2] ^= 0xee;
    mix_twice(end.v);
    mix_twice(end.v);
    result.a = end.v[0] ^ end.v[1] ^ end.v[2] ^ end.v[3];
    end.v[1] ^= 0xdd;
    mix_twice(end.v);
    mix_twice(end.v);
    result.b = end.v[0] ^ end.v[1] ^ end.v[2] ^ end.v[3];
    return result;
}

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
mix(uint64_t v[4], int rounds)
{
    for (int n = 0; n < rounds; n++) {
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
}

static inline void
take_word(struct siphash *s, uint64_t word)
{
    s->v[3] ^= word;
    mix(s->v, 2);
    s->v[0] ^= word;
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
        take_word(s, s->rest);
        s->rest = 0;
    }
    return p;
}

void
siphash_add(struct siphash *s, const void *bytes, size_t len)
{
    size_t left = len;
    const uint8_t *p = fill_rest(s, bytes, &left);
    uint64_t word;

    if (left == 0)
        return;
    s->len += left;
    for (; left >= 8; left -= 8, p += 8) {
        memcpy(&word, p, 8);
        take_word(s, le64toh(word));
    }
    word = 0;
    memcpy(&word, p, left);
    s->rest |= le64toh(word);
}

struct siphash_result
siphash_result(const struct siphash *s)
{
    struct siphash end = *s;
    struct siphash_result result;

    take_word(&end, end.len << 56 | end.rest);
    end.v[2] ^= 0xee;
    mix(end.v, 4);
    result.a = end.v[0] ^ end.v[1] ^ end.v[2] ^ end.v[3];
    end.v[1] ^= 0xdd;
    mix(end.v, 4);
    result.b = end.v[0] ^ end.v[1] ^ end.v[2] ^ end.v[3];
    return result;
}

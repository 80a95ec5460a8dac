/*
 * Keys: each field is a word (kind in the upper eight bits, length below) and its bytes, filled up
 * with zeroes to full words. The length tells what is filling, so the bytes can be read back in
 * one way only: different fields, different input of the hash.
 *
 * Called by session/, once per statement that may be cached: a hit pays for it.
 */
#include "cache/key.h"

#include <string.h>

enum { KIND_SHIFT = 56 };

static void
add_word(struct cache_key_builder *b, uint64_t word)
{
    siphash_add(&b->hash, &word, sizeof(word));
}

void
cache_key_begin(struct cache_key_builder *b, const struct cache_secret *secret)
{
    siphash_init(&b->hash, secret->words);
}

void
cache_key_add(struct cache_key_builder *b, enum cache_field field, const void *bytes, size_t len)
{
    size_t whole = len & ~(size_t)7;
    uint64_t last = 0;

    add_word(b, (uint64_t)field << KIND_SHIFT | len);
    if (len == 0)
        return;
    siphash_add(&b->hash, bytes, whole);
    if (whole == len)
        return;
    memcpy(&last, (const uint8_t *)bytes + whole, len - whole);
    add_word(b, last);
}

void
cache_key_add_text(struct cache_key_builder *b, enum cache_field field, const char *text)
{
    cache_key_add(b, field, text, strlen(text));
}

void
cache_key_add_number(struct cache_key_builder *b, enum cache_field field, uint64_t number)
{
    cache_key_add(b, field, &number, sizeof(number));
}

void
cache_key_add_value(struct cache_key_builder *b, const void *bytes, int32_t len)
{
    if (len < 0)
        cache_key_add(b, CACHE_VALUE_NULL, NULL, 0);
    else
        cache_key_add(b, CACHE_VALUE, bytes, (size_t)len);
}

struct cache_key
cache_key_end(const struct cache_key_builder *b)
{
    struct siphash_result r = siphash_result(&b->hash);

    return (struct cache_key){r.a, r.b};
}

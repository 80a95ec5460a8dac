/*
 * The hash map: chains, a power of two of buckets, doubled when it holds more than one a bucket.
 */
#include "base/map.h"

#include "base/arena.h"
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BUCKETS = 8 };

struct map_entry {
    struct map_entry *next;
    uint64_t hash;
    void *value;
    size_t key_len;
    char key[];
};

void
map_fini(struct map *m)
{
    map_clear(m, NULL, NULL);
}

static struct map_entry **
find(const struct map *m, const void *key, size_t key_len, uint64_t hash)
{
    struct map_entry **link = &m->buckets[hash & (m->bucket_count - 1)];

    for (; *link != NULL; link = &(*link)->next) {
        const struct map_entry *e = *link;
        if (e->hash == hash && e->key_len == key_len && memcmp(e->key, key, key_len) == 0)
            break;
    }
    return link;
}

void *
map_get(const struct map *m, const void *key, size_t key_len)
{
    struct map_entry *e;

    if (m->count == 0)
        return NULL;
    e = *find(m, key, key_len, hash_bytes(key, key_len));
    return e != NULL ? e->value : NULL;
}

static void
grow(struct map *m)
{
    uint32_t count = m->bucket_count > 0 ? m->bucket_count * 2 : FIRST_BUCKETS;
    struct map_entry **buckets = xcalloc(count, sizeof(struct map_entry *));

    for (uint32_t b = 0; b < m->bucket_count; b++) {
        struct map_entry *next;
        for (struct map_entry *e = m->buckets[b]; e != NULL; e = next) {
            next = e->next;
            e->next = buckets[e->hash & (count - 1)];
            buckets[e->hash & (count - 1)] = e;
        }
    }
    free(m->buckets);
    m->buckets = buckets;
    m->bucket_count = count;
}

void *
map_put(struct map *m, const void *key, size_t key_len, void *value)
{
    uint64_t hash = hash_bytes(key, key_len);
    struct map_entry **link;
    struct map_entry *e;

    if (m->count >= m->bucket_count)
        grow(m);
    link = find(m, key, key_len, hash);
    if (*link != NULL) {
        void *before = (*link)->value;
        (*link)->value = value;
        return before;
    }
    e = xmalloc(sizeof(*e) + key_len);
    e->next = NULL;
    e->hash = hash;
    e->value = value;
    e->key_len = key_len;
    memcpy(e->key, key, key_len);
    *link = e;
    m->count++;
    return NULL;
}

void *
map_remove(struct map *m, const void *key, size_t key_len)
{
    struct map_entry **link;
    struct map_entry *e;
    void *value;

    if (m->count == 0)
        return NULL;
    link = find(m, key, key_len, hash_bytes(key, key_len));
    e = *link;
    if (e == NULL)
        return NULL;
    *link = e->next;
    value = e->value;
    free(e);
    m->count--;
    return value;
}

void
map_visit(const struct map *m, map_visit_fn *fn, void *ctx)
{
    for (uint32_t b = 0; b < m->bucket_count; b++) {
        for (struct map_entry *e = m->buckets[b]; e != NULL; e = e->next) {
            if (!fn(ctx, e->key, e->key_len, e->value))
                return;
        }
    }
}

void
map_clear(struct map *m, map_drop_fn *fn, void *ctx)
{
    for (uint32_t b = 0; b < m->bucket_count; b++) {
        struct map_entry *next;
        for (struct map_entry *e = m->buckets[b]; e != NULL; e = next) {
            next = e->next;
            if (fn != NULL)
                fn(ctx, e->value);
            free(e);
        }
    }
    free(m->buckets);
    memset(m, 0, sizeof(*m));
}

/*
 * A hash map from byte strings to pointers. Keys are copied; values are the caller's.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/util.h"

#include <stdbool.h>

struct map_entry;

struct map {
    struct map_entry **buckets;
    uint32_t bucket_count; /* a power of two, 0 while the map is empty */
    uint32_t count;
};

/* A map that is all zeroes is empty and ready. */
void map_fini(struct map *m);

void *map_get(const struct map *m, const void *key, size_t key_len);

/* Returns the value that stood there before, or NULL. */
void *map_put(struct map *m, const void *key, size_t key_len, void *value);

/* Returns the value that was removed, or NULL. */
void *map_remove(struct map *m, const void *key, size_t key_len);

/* Calls fn for every entry; fn may not change the map. Stops when fn returns false. */
typedef bool map_visit_fn(void *ctx, const void *key, size_t key_len, void *value);
void map_visit(const struct map *m, map_visit_fn *fn, void *ctx);

/* Removes every entry, handing each value to fn (which may be NULL). */
typedef void map_drop_fn(void *ctx, void *value);
void map_clear(struct map *m, map_drop_fn *fn, void *ctx);

#endif

/*
 * A slab: objects of one size, taken and given back in constant time, kept for reuse.
 *
 * Objects come cleared. Memory of a slab is returned only by slab_fini: a child that once held a
 * thousand sessions keeps the room for them.
 */
#ifndef BASE_SLAB_H
#define BASE_SLAB_H

#include "base/util.h"

struct slab_page;

struct slab {
    void *free_list;
    struct slab_page *pages;
    size_t object_size;
    uint32_t per_page;
    uint32_t used; /* objects out now */
};

void slab_init(struct slab *s, size_t object_size, uint32_t per_page);
void slab_fini(struct slab *s);
void *slab_get(struct slab *s);
void slab_put(struct slab *s, void *object);

/* Not cleared, of a size that must be told again when it is given back. What is larger than the
 * slab's objects comes from the heap; under AddressSanitizer, which then sees more, everything. */
void *slab_get_bytes(struct slab *s, size_t bytes);
void slab_put_bytes(struct slab *s, void *object, size_t bytes);

#endif

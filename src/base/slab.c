/*
 * Slabs: pages of equal objects; free objects hold the list of free objects.
 */
#include "base/slab.h"

#include "base/arena.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if !defined(__SANITIZE_ADDRESS__) && defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1 /* as gcc says it */
#endif
#endif

enum { ALIGNMENT = 16 };

struct slab_page {
    struct slab_page *next;
    _Alignas(ALIGNMENT) char bytes[];
};

void
slab_init(struct slab *s, size_t object_size, uint32_t per_page)
{
    memset(s, 0, sizeof(*s));
    object_size = MAX(object_size, sizeof(void *));
    s->object_size = (object_size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    s->per_page = MAX(per_page, 1u);
}

void
slab_fini(struct slab *s)
{
    struct slab_page *next;

    for (struct slab_page *p = s->pages; p != NULL; p = next) {
        next = p->next;
        free(p);
    }
    s->pages = NULL;
    s->free_list = NULL;
    s->used = 0;
}

static void
add_page(struct slab *s)
{
    struct slab_page *page = xmalloc(sizeof(*page) + s->object_size * s->per_page);

    page->next = s->pages;
    s->pages = page;
    for (uint32_t n = s->per_page; n-- > 0;) {
        void **object = (void **)(void *)(page->bytes + n * s->object_size);
        *object = s->free_list;
        s->free_list = object;
    }
}

static void *
get(struct slab *s)
{
    void *object;

    if (s->free_list == NULL)
        add_page(s);
    object = s->free_list;
    s->free_list = *(void **)object;
    s->used++;
    return object;
}

void *
slab_get(struct slab *s)
{
    return memset(get(s), 0, s->object_size);
}

void
slab_put(struct slab *s, void *object)
{
    *(void **)object = s->free_list;
    s->free_list = object;
    s->used--;
}

static bool
fits(const struct slab *s, size_t bytes)
{
#if defined(__SANITIZE_ADDRESS__)
    return bytes == SIZE_MAX && s != NULL;
#else
    return bytes <= s->object_size;
#endif
}

void *
slab_get_bytes(struct slab *s, size_t bytes)
{
    return fits(s, bytes) ? get(s) : xmalloc(bytes);
}

void
slab_put_bytes(struct slab *s, void *object, size_t bytes)
{
    if (object == NULL)
        return;
    if (fits(s, bytes))
        slab_put(s, object);
    else
        free(object);
}

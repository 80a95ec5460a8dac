/*
 * An arena: many small allocations with one lifetime, given back at once.
 *
 * Out of memory ends the process (it belongs to one child, its sessions end); no caller checks
 * for NULL. What a client can make large must be limited by the caller before it allocates.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/util.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    char *at;
    char *end;
    size_t chunk_size;
    size_t used_bytes;
};

/* No memory is taken before the first allocation. chunk_size in bytes, 0 for 4096. */
void arena_init(struct arena *a, size_t chunk_size);
void arena_fini(struct arena *a);

/* Gives back all but one chunk of the usual size. */
void arena_reset(struct arena *a);

/* Aligned for any type, not cleared. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_calloc(struct arena *a, size_t size);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t len);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* malloc and friends that end the process when memory is out. */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *ptr, size_t size);
char *xstrdup(const char *s);

#endif

/*
 * Arenas and the allocation functions that cannot fail.
 */
#include "base/arena.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_CHUNK = 4096, ALIGNMENT = 16 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; /* of the bytes behind this header */
    _Alignas(ALIGNMENT) char bytes[];
};

static void
out_of_memory(size_t size)
{
    log_write(LOG_LEVEL_PANIC, "out of memory (%zu bytes were asked for)", size);
    abort();
}

void *
xmalloc(size_t size)
{
    void *p = malloc(size);

    if (p == NULL && size > 0)
        out_of_memory(size);
    return p;
}

void *
xcalloc(size_t count, size_t size)
{
    void *p = calloc(count, size);

    if (p == NULL && count > 0 && size > 0)
        out_of_memory(count * size);
    return p;
}

void *
xrealloc(void *ptr, size_t size)
{
    void *p = realloc(ptr, size);

    if (p == NULL && size > 0)
        out_of_memory(size);
    return p;
}

char *
xstrdup(const char *s)
{
    size_t size = strlen(s) + 1;

    return memcpy(xmalloc(size), s, size);
}

void
arena_init(struct arena *a, size_t chunk_size)
{
    memset(a, 0, sizeof(*a));
    a->chunk_size = chunk_size > 0 ? chunk_size : DEFAULT_CHUNK;
}

void
arena_fini(struct arena *a)
{
    struct arena_chunk *next;

    for (struct arena_chunk *c = a->chunks; c != NULL; c = next) {
        next = c->next;
        free(c);
    }
    a->chunks = NULL;
    a->at = a->end = NULL;
    a->used_bytes = 0;
}

void
arena_reset(struct arena *a)
{
    struct arena_chunk *kept = NULL;
    struct arena_chunk *next;

    for (struct arena_chunk *c = a->chunks; c != NULL; c = next) {
        next = c->next;
        if (kept == NULL && c->size == a->chunk_size)
            kept = c;
        else
            free(c);
    }
    a->chunks = kept;
    a->at = a->end = NULL;
    if (kept != NULL) {
        kept->next = NULL;
        a->at = kept->bytes;
        a->end = kept->bytes + kept->size;
    }
    a->used_bytes = 0;
}

void *
arena_alloc(struct arena *a, size_t size)
{
    struct arena_chunk *c;
    void *p;

    size = (MAX(size, (size_t)1) + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    a->used_bytes += size;
    if (size <= (size_t)(a->end - a->at)) {
        p = a->at;
        a->at += size;
        return p;
    }
    c = xmalloc(sizeof(*c) + MAX(size, a->chunk_size));
    c->size = MAX(size, a->chunk_size);
    if (size > a->chunk_size / 2 && a->chunks != NULL) {
        /* a large object gets a chunk of its own behind the current one, which stays in use */
        c->next = a->chunks->next;
        a->chunks->next = c;
        return c->bytes;
    }
    c->next = a->chunks;
    a->chunks = c;
    a->at = c->bytes + size;
    a->end = c->bytes + c->size;
    return c->bytes;
}

void *
arena_calloc(struct arena *a, size_t size)
{
    return memset(arena_alloc(a, size), 0, size);
}

char *
arena_strndup(struct arena *a, const char *s, size_t len)
{
    char *copy = arena_alloc(a, len + 1);

    memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

char *
arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args;
    va_list again;
    char *text;
    int len;

    va_start(args, fmt);
    va_copy(again, args);
    len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    BUG_UNLESS(len >= 0);
    text = arena_alloc(a, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    return text;
}

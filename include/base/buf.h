/*
 * A growing byte buffer. Owns its memory; an empty one owns none.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/util.h"

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
};

#define BUF_EMPTY ((struct buf){NULL, 0, 0})

/* Frees the memory; the buffer is empty and usable again. */
void buf_free(struct buf *b);
static inline void
buf_clear(struct buf *b)
{
    b->len = 0;
}

/* Room for `more` further bytes; returns where they go. Does not change len. */
uint8_t *buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *bytes, size_t len);
void buf_add_u8(struct buf *b, uint8_t v);
void buf_add_u16(struct buf *b, uint16_t v);     /* network byte order */
void buf_add_u32(struct buf *b, uint32_t v);     /* network byte order */
void buf_add_str(struct buf *b, const char *s);  /* without its NUL */
void buf_add_cstr(struct buf *b, const char *s); /* with its NUL */
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Takes the first n bytes away. */
void buf_drop(struct buf *b, size_t n);

/* The bytes as a C string: puts a NUL behind len without counting it. */
const char *buf_cstr(struct buf *b);

#endif

/*
 * Growing byte buffers; they double, so that adding is amortised constant.
 */
#include "base/buf.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/num.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 256 };

void
buf_free(struct buf *b)
{
    free(b->data);
    *b = BUF_EMPTY;
}

uint8_t *
buf_reserve(struct buf *b, size_t more)
{
    if (b->cap - b->len < more) {
        size_t cap = MAX(b->cap * 2, (size_t)FIRST_CAP);

        while (cap - b->len < more)
            cap *= 2;
        b->data = xrealloc(b->data, cap);
        b->cap = cap;
    }
    return b->data + b->len;
}

void
buf_add(struct buf *b, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    memcpy(buf_reserve(b, len), bytes, len);
    b->len += len;
}

void
buf_add_u8(struct buf *b, uint8_t v)
{
    buf_add(b, &v, 1);
}

void
buf_add_u16(struct buf *b, uint16_t v)
{
    uint8_t bytes[2] = {(uint8_t)(v >> 8), (uint8_t)v};

    buf_add(b, bytes, sizeof(bytes));
}

void
buf_add_u32(struct buf *b, uint32_t v)
{
    uint8_t bytes[4];

    num_put_u32(bytes, v);
    buf_add(b, bytes, sizeof(bytes));
}

void
buf_add_str(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void
buf_add_cstr(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s) + 1);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    va_list again;
    int len;

    va_start(args, fmt);
    va_copy(again, args);
    len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    BUG_UNLESS(len >= 0);
    vsnprintf((char *)buf_reserve(b, (size_t)len + 1), (size_t)len + 1, fmt, again);
    va_end(again);
    b->len += (size_t)len;
}

void
buf_drop(struct buf *b, size_t n)
{
    BUG_UNLESS(n <= b->len);
    b->len -= n;
    if (b->len > 0)
        memmove(b->data, b->data + n, b->len);
}

const char *
buf_cstr(struct buf *b)
{
    *buf_reserve(b, 1) = '\0';
    return (const char *)b->data;
}

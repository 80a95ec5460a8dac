/*
 * Strings.
 */
#include "base/str.h"

#include <string.h>

bool
str_copy_n(char *dst, size_t dst_size, const char *src, size_t src_len)
{
    size_t len = MIN(src_len, dst_size - 1);

    memcpy(dst, src, len);
    dst[len] = '\0';
    return len == src_len;
}

bool
str_copy(char *dst, size_t dst_size, const char *src)
{
    return str_copy_n(dst, dst_size, src, strlen(src));
}

static char
lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool
str_equal_nocase_n(const char *a, const char *b, size_t len)
{
    for (size_t n = 0; n < len; n++) {
        if (lower(a[n]) != lower(b[n]))
            return false;
        if (a[n] == '\0')
            return true;
    }
    return true;
}

bool
str_equal_nocase(const char *a, const char *b)
{
    return str_equal_nocase_n(a, b, SIZE_MAX);
}

unsigned
str_distance(const char *a, const char *b)
{
    enum { MAX_LEN = 63 };
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
    unsigned row[MAX_LEN + 1];

    if (a_len > MAX_LEN || b_len > MAX_LEN)
        return UINT32_MAX;
    for (unsigned n = 0; n <= b_len; n++)
        row[n] = n;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned replaced = diagonal + (lower(a[i - 1]) != lower(b[j - 1]));
            diagonal = row[j];
            row[j] = MIN(MIN(row[j], row[j - 1]) + 1, replaced);
        }
    }
    return row[b_len];
}

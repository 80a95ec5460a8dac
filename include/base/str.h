/*
 * Strings: bounded copies, comparisons as SQL means them, lists of names.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/util.h"

#include <stdbool.h>

/* Copies what fits, always ends in NUL; returns false when it was cut. */
bool str_copy(char *dst, size_t dst_size, const char *src);
bool str_copy_n(char *dst, size_t dst_size, const char *src, size_t src_len);

/* ASCII only, whatever the locale. */
bool str_equal_nocase(const char *a, const char *b);
bool str_equal_nocase_n(const char *a, const char *b, size_t len);

/* How many single-character edits lead from a to b (letters in either case are equal): for
 * "did you mean". Texts longer than 63 bytes count as far apart. */
unsigned str_distance(const char *a, const char *b);

#endif

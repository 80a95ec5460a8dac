/*
 * UTF-8 for those who take nothing else: JSON, Prometheus.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/util.h"

/* Bytes of the character that stands at the beginning, 1 to 4; 0: none does (RFC 3629: also what is
 * cut, longer than need be, a surrogate or beyond U+10FFFF). len is above 0. */
unsigned utf8_length(const char *text, size_t len);

#define UTF8_REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD, for each byte that belongs to no character */

#endif

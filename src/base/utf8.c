/*
 * Which bytes are UTF-8. Pure.
 */
#include "base/utf8.h"

#include <stdbool.h>

static bool
follows(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

unsigned
utf8_length(const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    unsigned char least = 0x80;
    unsigned char most = 0xBF;
    unsigned count;

    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xC2 || p[0] > 0xF4)
        return 0;
    count = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (p[0] == 0xE0)
        least = 0xA0;
    else if (p[0] == 0xED)
        most = 0x9F;
    else if (p[0] == 0xF0)
        least = 0x90;
    else if (p[0] == 0xF4)
        most = 0x8F;
    if (len < count || p[1] < least || p[1] > most)
        return 0;
    for (unsigned n = 2; n < count; n++) {
        if (!follows(p[n]))
            return 0;
    }
    return count;
}

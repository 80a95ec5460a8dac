/*
 * Numbers from text.
 */
#include "base/num.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool
num_parse_i64(const char *text, int64_t *value_r)
{
    char *end;
    long long v;

    if (!isdigit((unsigned char)text[0]) && text[0] != '-' && text[0] != '+')
        return false;
    errno = 0;
    v = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0')
        return false;
    *value_r = v;
    return true;
}

bool
num_parse_u32(const char *text, uint32_t *value_r)
{
    int64_t v;

    if (!num_parse_i64(text, &v) || v < 0 || v > UINT32_MAX)
        return false;
    *value_r = (uint32_t)v;
    return true;
}

bool
num_parse_double(const char *text, double *value_r)
{
    char *end;
    double v;

    if (isspace((unsigned char)text[0]) || strpbrk(text, "xX") != NULL) /* strtod takes both */
        return false;
    errno = 0;
    v = strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !isfinite(v))
        return false;
    *value_r = v;
    return true;
}

static bool
parse_hex32(const char **text, uint64_t *value_r)
{
    const char *p = *text;
    uint64_t v = 0;

    for (; isxdigit((unsigned char)*p); p++) {
        if (p - *text == 8)
            return false;
        v = v << 4 | (uint64_t)(isdigit((unsigned char)*p) ? *p - '0'
                                                           : tolower((unsigned char)*p) - 'a' + 10);
    }
    if (p == *text)
        return false;
    *text = p;
    *value_r = v;
    return true;
}

bool
num_parse_lsn(const char *text, uint64_t *lsn_r)
{
    uint64_t high;
    uint64_t low;

    if (!parse_hex32(&text, &high) || *text++ != '/' || !parse_hex32(&text, &low) || *text != '\0')
        return false;
    *lsn_r = high << 32 | low;
    return true;
}

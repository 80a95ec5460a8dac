/*
 * Numbers from text, without surprises: the whole text must be the number.
 */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include "base/util.h"

#include <stdbool.h>

/* Decimal, optional sign; false when it is no number or out of range. */
bool num_parse_i64(const char *text, int64_t *value_r);
bool num_parse_u32(const char *text, uint32_t *value_r);
bool num_parse_double(const char *text, double *value_r);

/* A WAL position as PostgreSQL prints it ("16/B374D848"). */
bool num_parse_lsn(const char *text, uint64_t *lsn_r);

static inline uint32_t
num_get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint16_t
num_get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void
num_put_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

#endif

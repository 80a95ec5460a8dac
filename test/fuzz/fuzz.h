/*
 * What the fuzz targets share: libFuzzer's entry, bytes taken one by one, and views that must lie
 * inside of a message.
 *
 * A target says BUG when an invariant does not hold: that aborts, and libFuzzer keeps the input.
 */
#ifndef TEST_FUZZ_H
#define TEST_FUZZ_H

#include "base/err.h"
#include "base/log.h"
#include "wire/proto.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_bytes {
    const uint8_t *at;
    const uint8_t *end;
};

/* The next byte; 0 behind the end. */
static inline uint8_t
fuzz_byte(struct fuzz_bytes *b)
{
    return b->at < b->end ? *b->at++ : 0;
}

static inline void
fuzz_check_view(struct wire_view v, const void *bytes, size_t len)
{
    const char *begin = bytes;

    if (v.data == NULL ? v.len > 0 : v.data < begin || v.data + v.len > begin + len)
        BUG("a view lies outside of its message");
}

/* Whoever fails says why, with a whole SQLSTATE. */
static inline void
fuzz_check_error(const struct err *err)
{
    if (strlen(err->sqlstate) != 5 || err->message[0] == '\0')
        BUG("an error without a message or SQLSTATE");
}

#endif

/*
 * Any bytes as a client's first packet.
 *
 * Checked besides memory: what a packet says does not depend on what stands behind it, a packet
 * that is cut short wants more, views lie inside of it, and its parameters build to it again.
 */
#include "fuzz.h"

#include "base/buf.h"
#include "base/num.h"
#include "wire/build.h"

#include <stdlib.h>

enum { PACKET_MAX = WIRE_STARTUP_MAX_BYTES + 4, PAIRS_MAX = WIRE_STARTUP_MAX_BYTES / 3 };

static void
check_parameters(const struct wire_startup *s, const uint8_t *data)
{
    static const char *words[PAIRS_MAX * 2];
    struct buf built = BUF_EMPTY;
    struct wire_view name;
    struct wire_view value;
    uint32_t pairs = 0;
    uint32_t at = 0;

    while (wire_startup_next(s, &at, &name, &value)) {
        fuzz_check_view(name, s->parameters, s->parameters_bytes);
        fuzz_check_view(value, s->parameters, s->parameters_bytes);
        if (name.len == 0 || name.data[name.len] != '\0' || value.data[value.len] != '\0')
            BUG("a parameter that does not end with a NUL");
        words[pairs * 2] = name.data;
        words[pairs * 2 + 1] = value.data;
        pairs++;
    }
    build_startup(&built, s->protocol, words, pairs);
    if (built.len != s->total_bytes || memcmp(built.data, data, built.len) != 0)
        BUG("the parameters build to another packet");
    buf_free(&built);
}

static void
check_packet(const struct wire_startup *s, const uint8_t *data, size_t size)
{
    if (s->kind == WIRE_TLS_HELLO)
        return;
    if (s->total_bytes < 8 || s->total_bytes > size)
        BUG("a packet of %u bytes", s->total_bytes);
    fuzz_check_view(s->user, data, s->total_bytes);
    fuzz_check_view(s->database, data, s->total_bytes);
    fuzz_check_view(s->options, data, s->total_bytes);
    fuzz_check_view(s->application_name, data, s->total_bytes);
    fuzz_check_view(s->cancel_key, data, s->total_bytes);
    if (s->kind == WIRE_CANCEL &&
        (s->cancel_key.len < 4 || s->cancel_key.len > WIRE_CANCEL_KEY_MAX_BYTES))
        BUG("a cancel key of %u bytes", s->cancel_key.len);
    if (s->kind != WIRE_STARTUP)
        return;
    if (s->user.len == 0 || s->protocol >> 16 != 3)
        BUG("a startup packet without a user, or of another protocol");
    check_parameters(s, data);
}

static void
check_beginning(const uint8_t *data, size_t n)
{
    uint8_t *part = n > 0 ? malloc(n) : NULL;
    struct err err = {0};
    struct wire_startup s;

    if (n > 0)
        memcpy(part, data, n);
    if (wire_startup_parse(part, n, &s, &err) != WIRE_MORE)
        BUG("a packet that was cut short is judged another way");
    free(part);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    struct wire_startup s;
    enum wire_result result = wire_startup_parse(size > 0 ? data : NULL, size, &s, &err);
    size_t needed = size;

    if (result == WIRE_BAD)
        fuzz_check_error(&err);
    if (result == WIRE_MORE && (size >= PACKET_MAX || (size >= 4 && size >= num_get_u32(data))))
        BUG("a whole packet wants more bytes");
    if (result == WIRE_OK) {
        check_packet(&s, data, size);
        needed = s.kind == WIRE_TLS_HELLO ? 1 : s.total_bytes;
    }
    if (result != WIRE_BAD) {
        for (size_t n = 0; n < MIN(needed, (size_t)64); n++)
            check_beginning(data, n);
    }
    return 0;
}

/*
 * Any bytes as messages of clients and of servers: headers, and all that is read within a message.
 *
 * Checked besides memory: what a header says does not change with more bytes, views lie inside of
 * their message, a Bind that is cut short wants more until its names are there, and what was
 * understood builds to the same bytes again.
 */
#include "fuzz.h"

#include "base/buf.h"
#include "base/num.h"
#include "wire/build.h"

#include <stdlib.h>

typedef enum wire_result header_fn(const uint8_t *p, size_t n, struct wire_header *h_r,
                                   struct err *err);

enum { MESSAGE_MAX = 0x3fffffff + 1 };

/* Reads all shorter beginnings, too: each is a copy of its own, so that a byte too many is seen. */
static enum wire_result
check_header(header_fn *header, const uint8_t *data, size_t size, struct wire_header *h_r)
{
    struct err err = {0};
    enum wire_result result = header(data, size, h_r, &err);

    if (result == WIRE_BAD)
        fuzz_check_error(&err);
    if (result == WIRE_MORE && size >= WIRE_HEADER_BYTES)
        BUG("a whole header wants more bytes");
    if (result == WIRE_OK && (size < WIRE_HEADER_BYTES || h_r->total_bytes < WIRE_HEADER_BYTES ||
                              h_r->total_bytes > MESSAGE_MAX || h_r->type != data[0]))
        BUG("a header that cannot be");
    for (size_t n = 0; n < MIN(size, (size_t)WIRE_HEADER_BYTES + 1); n++) {
        uint8_t *part = malloc(n);
        struct wire_header h;
        enum wire_result r;
        memcpy(part, data, n);
        r = header(part, n, &h, &err);
        if (n >= WIRE_HEADER_BYTES ? r != result : r == WIRE_OK || (r == WIRE_BAD && r != result))
            BUG("a header is another with fewer bytes behind it");
        free(part);
    }
    return result;
}

static void
same(struct buf *built, const uint8_t *msg, uint32_t len)
{
    if (built->len != len || memcmp(built->data, msg, len) != 0)
        BUG("what was read builds to other bytes");
    buf_free(built);
}

/* Whether the length word tells the truth: only then can the message be built again. */
static bool
is_whole(const uint8_t *msg, uint32_t len, char type)
{
    return len >= WIRE_HEADER_BYTES && msg[0] == (uint8_t)type && num_get_u32(msg + 1) == len - 1;
}

static void
check_parse(const uint8_t *msg, uint32_t len)
{
    struct buf built = BUF_EMPTY;
    struct err err = {0};
    struct wire_parse p;

    if (wire_parse_parse(msg, len, &p, &err) != WIRE_OK) {
        fuzz_check_error(&err);
        return;
    }
    fuzz_check_view(p.name, msg, len);
    fuzz_check_view(p.query, msg, len);
    fuzz_check_view((struct wire_view){(const char *)p.types, p.type_count * 4u}, msg, len);
    if (is_whole(msg, len, 'P')) {
        build_parse(&built, &p);
        same(&built, msg, len);
    }
}

static void
check_bind(const uint8_t *msg, uint32_t len)
{
    struct err err = {0};
    struct wire_bind b;
    enum wire_result result = wire_parse_bind(msg, len, &b, &err);
    uint32_t needed;

    if (result == WIRE_BAD)
        fuzz_check_error(&err);
    if (result == WIRE_MORE && is_whole(msg, len, 'B'))
        BUG("a whole Bind wants more bytes");
    if (result != WIRE_OK)
        return;
    fuzz_check_view(b.portal, msg, len);
    fuzz_check_view(b.statement, msg, len);
    needed = WIRE_HEADER_BYTES + b.portal.len + b.statement.len + 2;
    if (needed > len || wire_parse_bind(msg, needed, &b, &err) != WIRE_OK ||
        wire_parse_bind(msg, needed - 1, &b, &err) == WIRE_OK)
        BUG("a Bind is read without all of its names");
}

static void
check_small(const uint8_t *msg, uint32_t len)
{
    struct buf built = BUF_EMPTY;
    struct wire_execute execute;
    struct wire_target target;
    struct err err = {0};

    if (wire_parse_execute(msg, len, &execute, &err) == WIRE_OK)
        fuzz_check_view(execute.portal, msg, len);
    else
        fuzz_check_error(&err);
    memset(&err, 0, sizeof(err));
    if (wire_parse_target(msg, len, &target, &err) != WIRE_OK) {
        fuzz_check_error(&err);
        return;
    }
    fuzz_check_view(target.name, msg, len);
    if (is_whole(msg, len, 'C')) {
        build_close(&built, target.kind, target.name.data, target.name.len);
        same(&built, msg, len);
    }
}

static void
check_query(const uint8_t *msg, uint32_t len)
{
    struct buf built = BUF_EMPTY;
    struct err err = {0};
    struct wire_view text;

    if (wire_parse_query(msg, len, &text, &err) != WIRE_OK) {
        fuzz_check_error(&err);
        return;
    }
    fuzz_check_view(text, msg, len);
    if (memchr(text.data, 0, text.len) != NULL)
        BUG("a NUL in a Query's text");
    if (is_whole(msg, len, 'Q')) {
        build_query(&built, text.data, text.len);
        same(&built, msg, len);
    }
}

static void
check_server_message(const uint8_t *msg, uint32_t len)
{
    struct wire_error e;
    struct wire_view name;
    struct wire_view value;
    uint32_t pid;

    if (wire_parse_error(msg, len, &e) == WIRE_OK) {
        fuzz_check_view(e.severity, msg, len);
        fuzz_check_view(e.sqlstate, msg, len);
        fuzz_check_view(e.message, msg, len);
        fuzz_check_view(e.detail, msg, len);
        fuzz_check_view(e.hint, msg, len);
    }
    if (wire_parse_parameter(msg, len, &name, &value) == WIRE_OK) {
        fuzz_check_view(name, msg, len);
        fuzz_check_view(value, msg, len);
    }
    if (wire_parse_key(msg, len, &pid, &value) == WIRE_OK) {
        fuzz_check_view(value, msg, len);
        if (value.len < 4 || value.len > WIRE_CANCEL_KEY_MAX_BYTES)
            BUG("a cancel key of %u bytes", value.len);
    }
    if (wire_parse_tag(msg, len, &value) == WIRE_OK)
        fuzz_check_view(value, msg, len);
}

static void
check_message(const uint8_t *msg, uint32_t len)
{
    check_parse(msg, len);
    check_bind(msg, len);
    check_small(msg, len);
    check_query(msg, len);
    check_server_message(msg, len);
}

/* A stream of messages, each in memory of its own. */
static void
walk(header_fn *header, const uint8_t *data, size_t size)
{
    struct wire_header h;

    while (check_header(header, data, size, &h) == WIRE_OK && h.total_bytes <= size) {
        uint8_t *msg = malloc(h.total_bytes);
        memcpy(msg, data, h.total_bytes);
        check_message(msg, h.total_bytes);
        free(msg);
        data += h.total_bytes;
        size -= h.total_bytes;
    }
    if (size > 0)
        check_message(data, (uint32_t)size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    walk(wire_client_header, data, size);
    walk(wire_server_header, data, size);
    return 0;
}

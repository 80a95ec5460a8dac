/*
 * Answers to startup packets that need no knowledge of who is asking.
 *
 * Called by the administration port. Names of options stay where they are in the packet, which
 * ends each of them with NUL.
 */
#include "wire/handshake.h"

#include "wire/build.h"

#include <string.h>

enum { OPTIONS_MAX = 64 };

static const char option_prefix[] = "_pq_.";

int
wire_accept_encryption(const struct wire_startup *p, size_t received_bytes,
                       struct wire_asked *asked, struct err *err)
{
    bool ssl = p->kind == WIRE_SSL;
    bool *before = ssl ? &asked->ssl : &asked->gss;

    if (*before)
        return err_set(err, "0A000",
                       "unsupported frontend protocol 1234.%u: server supports 3.0 to 3.2",
                       ssl ? 5679u : 5680u);
    *before = true;
    if (received_bytes > p->total_bytes) {
        err_set(err, "08P01", "received unencrypted data after %s request",
                ssl ? "SSL" : "GSSAPI encryption");
        err_detail(err, "This could be either a client-software bug or evidence of an attempted "
                        "man-in-the-middle attack.");
        return -1;
    }
    return 0;
}

int
wire_refuse_encryption(const struct wire_startup *p, size_t received_bytes,
                       struct wire_asked *asked, struct buf *out, struct err *err)
{
    if (wire_accept_encryption(p, received_bytes, asked, err) != 0)
        return -1;
    buf_add_u8(out, 'N');
    return 0;
}

static bool
is_protocol_option(struct wire_view name)
{
    size_t len = sizeof(option_prefix) - 1;

    return name.len >= len && memcmp(name.data, option_prefix, len) == 0;
}

uint32_t
wire_negotiate(const struct wire_startup *p, struct buf *out)
{
    uint32_t protocol = MIN(p->protocol, WIRE_PROTOCOL(3, 2));
    const char *options[OPTIONS_MAX];
    struct wire_view name;
    struct wire_view value;
    uint32_t count = 0;
    uint32_t at = 0;

    if (protocol == WIRE_PROTOCOL(3, 1))
        protocol = WIRE_PROTOCOL(3, 0); /* 3.1 was never a version */
    while (wire_startup_next(p, &at, &name, &value)) {
        if (is_protocol_option(name) && count < OPTIONS_MAX)
            options[count++] = name.data;
    }
    if (count > 0 || protocol != p->protocol)
        build_negotiate(out, protocol, options, count);
    return protocol;
}

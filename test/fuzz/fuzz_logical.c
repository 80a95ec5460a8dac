/*
 * Any bytes as a CopyData of a replication stream, and as a message of pgoutput.
 *
 * Checked besides memory: views and lists lie inside of the message; a message with a byte less or
 * more is refused; who is refused is told why.
 */
#include "fuzz.h"

#include "wire/logical.h"

static void
take_message(const uint8_t *data, size_t size)
{
    struct wire_logical m;
    struct wire_logical other;
    struct err err;

    if (wire_logical_parse(data, size, &m, &err) != WIRE_OK) {
        fuzz_check_error(&err);
        return;
    }
    fuzz_check_view(m.schema, data, size);
    fuzz_check_view(m.name, data, size);
    if (m.oids != NULL && (m.oids < data || m.oids + (size_t)m.count * 4 > data + size))
        BUG("a list of tables lies outside of its message");
    if (wire_logical_parse(data, size - 1, &other, &err) == WIRE_OK)
        BUG("a message without its end is taken");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_stream s;
    struct err err;

    take_message(data, size);
    if (wire_stream_parse(data, size, &s, &err) != WIRE_OK)
        fuzz_check_error(&err);
    else if (s.kind == WIRE_STREAM_DATA)
        take_message(s.data, s.len);
    return 0;
}

/*
 * Logical changes: messages as PostgreSQL 15 has sent them, every shorter and longer form of them,
 * and what is no message at all.
 */
#include "base/buf.h"
#include "base/num.h"
#include "wire/logical.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Taken from PostgreSQL 15.18, pg_logical_slot_get_binary_changes(..., 'proto_version', '1'). */
static const char *const captured[] = {
    "42000000000154c3a80003043137033c6c000002db",
    "59000040017075626c6963006d6f6f6400",
    "52000040057075626c69630074006400040169640000000017ffffffff006d0000004001ffffffff"
    "00730000000019ffffffff006269670000000019ffffffff",
    "4300000000000154c3a8000000000154c3d80003043137033c6c",
    "55000040054e000474000000013374000000016174000000027a7a75",
    "55000040054b00047400000001336e6e6e4e000474000000013474000000016174000000027a7a75",
    "44000040054b00047400000001346e6e6e",
    "520000400c7075626c696300660066000201610000000017ffffffff01620000000019ffffffff",
    "490000400c4e0002740000000131740000000178",
    "550000400c4f00027400000001317400000001784e0002740000000131740000000179",
    "440000400c4f0002740000000131740000000179",
    "52000040167075626c6963007031006400020169640000000017ffffffff00780000000017ffffff"
    "ff",
    "49000040164e0002740000000131740000000131",
    "55000040164e0002740000000131740000000132",
    "4f00000000000000056f00",
    "490000400c4e00027400000001396e",
    "5400000002000000400500004016",
};

static size_t
bytes_of(const char *hex, uint8_t *bytes_r)
{
    size_t len = strlen(hex) / 2;

    for (size_t n = 0; n < len; n++) {
        char digits[3] = {hex[2 * n], hex[2 * n + 1], '\0'};

        bytes_r[n] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return len;
}

/* In memory of its very length, so that a look behind it is seen. */
static enum wire_result
parse(const uint8_t *bytes, size_t len, struct wire_logical *m_r)
{
    uint8_t *copy = malloc(len + (len == 0));
    struct err err = {.message = ""};
    enum wire_result result;

    memcpy(copy, bytes, len);
    result = wire_logical_parse(copy, len, m_r, &err);
    if (result == WIRE_BAD)
        assert_string_equal(err.sqlstate, "08P01");
    free(copy);
    return result;
}

static void
captured_messages_are_whole_and_nothing_else_is(void **state)
{
    uint32_t kinds = 0;
    struct wire_logical m;
    uint8_t bytes[4096];

    (void)state;
    for (size_t at = 0; at < ARRAY_LEN(captured); at++) {
        size_t len = bytes_of(captured[at], bytes);

        assert_int_equal(parse(bytes, len, &m), WIRE_OK);
        kinds |= 1u << m.kind;
        for (size_t shorter = 0; shorter < len; shorter++)
            assert_int_equal(parse(bytes, shorter, &m), WIRE_BAD);
        bytes[len] = 0;
        assert_int_equal(parse(bytes, len + 1, &m), WIRE_BAD);
    }
    assert_int_equal(kinds, (1u << (WIRE_LOGICAL_TRUNCATE + 1)) - 1);
}

static void
a_transaction_says_who_and_where(void **state)
{
    static const uint8_t begin[] = "B\0\0\0\1\2\3\4\5\0\2\0\0\0\0\0\7\0\0\3\x09";
    static const uint8_t commit[] = "C\0\0\0\0\1\2\3\4\5\0\0\0\1\2\3\4\6\0\2\0\0\0\0\0\7";
    struct wire_logical m;

    (void)state;
    assert_int_equal(parse(begin, sizeof(begin) - 1, &m), WIRE_OK);
    assert_int_equal(m.kind, WIRE_LOGICAL_BEGIN);
    assert_int_equal(m.lsn, 0x102030405);
    assert_int_equal(m.xid, 777);
    assert_int_equal(parse(commit, sizeof(commit) - 1, &m), WIRE_OK);
    assert_int_equal(m.kind, WIRE_LOGICAL_COMMIT);
    assert_int_equal(m.lsn, 0x102030405);
    assert_int_equal(m.end_lsn, 0x102030406);
    assert_int_equal(m.committed_us, 0x2000000000007);
}

static void
changes_say_which_table(void **state)
{
    static const uint8_t insert[] = "I\0\0\x40\1N\0\3nut\0\0\0\2ab";
    static const uint8_t update[] = "U\0\0\x40\2O\0\1nN\0\1t\0\0\0\0";
    static const uint8_t renamed[] = "U\0\0\x40\3N\0\1b\0\0\0\1\xff";
    static const uint8_t delete[] = "D\0\0\x40\4K\0\1t\0\0\0\1"
                                    "7";
    static const uint8_t truncate[] = "T\0\0\0\2\1\0\0\x40\5\0\0\x40\6";
    static const uint8_t relation[] = "R\0\0\x40\7s\0t\0d\0\1\1id\0\0\0\0\x17\xff\xff\xff\xff";
    struct wire_logical m;

    (void)state;
    assert_int_equal(parse(insert, sizeof(insert) - 1, &m), WIRE_OK);
    assert_int_equal(m.oid, 0x4001);
    assert_int_equal(parse(update, sizeof(update) - 1, &m), WIRE_OK);
    assert_int_equal(m.oid, 0x4002);
    assert_int_equal(parse(renamed, sizeof(renamed) - 1, &m), WIRE_OK);
    assert_int_equal(m.oid, 0x4003);
    assert_int_equal(parse(delete, sizeof(delete) - 1, &m), WIRE_OK);
    assert_int_equal(m.oid, 0x4004);
    assert_int_equal(wire_logical_parse(truncate, sizeof(truncate) - 1, &m, NULL), WIRE_OK);
    assert_int_equal(m.count, 2);
    assert_int_equal(num_get_u32(m.oids + 4), 0x4006);
    assert_int_equal(wire_logical_parse(relation, sizeof(relation) - 1, &m, NULL), WIRE_OK);
    assert_int_equal(m.oid, 0x4007);
    assert_memory_equal(m.schema.data, "s", 2);
    assert_memory_equal(m.name.data, "t", 2);
    assert_int_equal(m.columns, 1);
}

static void
lengths_that_cannot_be_are_refused(void **state)
{
    static const uint8_t column[] = "I\0\0\x40\1N\0\1t\xff\xff\xff\xff";
    static const uint8_t tables[] = "T\x40\0\0\1\0\0\0\x40\5";
    static const uint8_t kind[] = "I\0\0\x40\1N\0\1x";
    static const uint8_t mark[] = "I\0\0\x40\1K\0\1n";
    static const uint8_t no_old_row[] = "D\0\0\x40\1N\0\1n";
    static const uint8_t streamed[] = "S\0\0\0\1\1";
    struct wire_logical m;

    (void)state;
    assert_int_equal(parse(column, sizeof(column) - 1, &m), WIRE_BAD);
    assert_int_equal(parse(tables, sizeof(tables) - 1, &m), WIRE_BAD);
    assert_int_equal(parse(kind, sizeof(kind) - 1, &m), WIRE_BAD);
    assert_int_equal(parse(mark, sizeof(mark) - 1, &m), WIRE_BAD);
    assert_int_equal(parse(no_old_row, sizeof(no_old_row) - 1, &m), WIRE_BAD);
    assert_int_equal(parse(streamed, sizeof(streamed) - 1, &m), WIRE_BAD);
    assert_int_equal(parse((const uint8_t *)"", 0, &m), WIRE_BAD);
}

static void
frames_are_data_or_keepalives(void **state)
{
    static const uint8_t data[] = "w\0\0\0\1\0\0\0\2\0\0\0\1\0\0\0\3\0\0\0\0\0\0\0\4xyz";
    static const uint8_t keepalive[] = "k\0\0\0\1\0\0\0\2\0\0\0\0\0\0\0\4\1";
    struct wire_stream s;
    struct err err;

    (void)state;
    assert_int_equal(wire_stream_parse(data, sizeof(data) - 1, &s, &err), WIRE_OK);
    assert_int_equal(s.kind, WIRE_STREAM_DATA);
    assert_int_equal(s.start, 0x100000002);
    assert_int_equal(s.end, 0x100000003);
    assert_int_equal(s.len, 3);
    assert_memory_equal(s.data, "xyz", 3);
    for (size_t len = 0; len < 25; len++)
        assert_int_equal(wire_stream_parse(data, len, &s, &err), WIRE_BAD);
    assert_int_equal(wire_stream_parse(keepalive, sizeof(keepalive) - 1, &s, &err), WIRE_OK);
    assert_int_equal(s.kind, WIRE_STREAM_KEEPALIVE);
    assert_int_equal(s.end, 0x100000002);
    assert_true(s.reply);
    for (size_t len = 0; len < sizeof(keepalive) - 1; len++)
        assert_int_equal(wire_stream_parse(keepalive, len, &s, &err), WIRE_BAD);
    assert_int_equal(wire_stream_parse(keepalive, sizeof(keepalive), &s, &err), WIRE_BAD);
    assert_int_equal(wire_stream_parse((const uint8_t *)"x", 1, &s, &err), WIRE_BAD);
}

static void
the_status_has_its_form(void **state)
{
    const struct wire_status status = {0x100000002, 3, 4, 5, true};
    struct buf out = BUF_EMPTY;

    (void)state;
    wire_stream_status(&out, &status);
    assert_int_equal(out.len, 34);
    assert_memory_equal(out.data,
                        "r\0\0\0\1\0\0\0\2\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0\4\0\0\0\0\0\0\0\5\1", 34);
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captured_messages_are_whole_and_nothing_else_is),
        cmocka_unit_test(a_transaction_says_who_and_where),
        cmocka_unit_test(changes_say_which_table),
        cmocka_unit_test(lengths_that_cannot_be_are_refused),
        cmocka_unit_test(frames_are_data_or_keepalives),
        cmocka_unit_test(the_status_has_its_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

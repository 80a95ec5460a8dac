/*
 * Messages: what is built is read back; what is cut or malformed is refused, at every byte.
 */
#include "base/buf.h"
#include "base/num.h"
#include "wire/build.h"
#include "wire/proto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool
view_is(struct wire_view v, const char *text)
{
    return v.len == strlen(text) && memcmp(v.data, text, v.len) == 0;
}

static void
headers_of_clients(void **state)
{
    uint8_t sync[] = {'S', 0, 0, 0, 4};
    struct wire_header h;
    struct err err;

    (void)state;
    for (size_t n = 0; n < sizeof(sync); n++)
        assert_int_equal(wire_client_header(sync, n, &h, &err), WIRE_MORE);
    assert_int_equal(wire_client_header(sync, 5, &h, &err), WIRE_OK);
    assert_int_equal(h.type, 'S');
    assert_int_equal(h.total_bytes, 5);
    sync[4] = 3;
    assert_int_equal(wire_client_header(sync, 5, &h, &err), WIRE_BAD);
    assert_string_equal(err.sqlstate, "08P01");
    sync[3] = 0xff;
    assert_int_equal(wire_client_header(sync, 5, &h, &err), WIRE_BAD);
    sync[0] = 'y';
    assert_int_equal(wire_client_header(sync, 1, &h, &err), WIRE_BAD);
    assert_string_equal(err.message, "invalid frontend message type 121");
}

static void
headers_of_servers(void **state)
{
    uint8_t ready[] = {'Z', 0, 0, 0, 5, 'I'};
    struct wire_header h;
    struct err err;

    (void)state;
    assert_int_equal(wire_server_header(ready, 4, &h, &err), WIRE_MORE);
    assert_int_equal(wire_server_header(ready, 6, &h, &err), WIRE_OK);
    assert_int_equal(h.total_bytes, 6);
    ready[4] = 6;
    assert_int_equal(wire_server_header(ready, 6, &h, &err), WIRE_BAD);
    ready[0] = 'Q';
    assert_int_equal(wire_server_header(ready, 6, &h, &err), WIRE_BAD);
}

static void
parse_round_trip(void **state)
{
    static const uint8_t types[] = {0, 0, 0, 23, 0, 0, 0, 25};
    struct wire_parse in = {{"s1", 2}, {"select $1", 9}, 2, types};
    struct wire_parse out;
    struct buf b = BUF_EMPTY;
    struct err err;

    (void)state;
    build_parse(&b, &in);
    assert_int_equal(wire_parse_parse(b.data, (uint32_t)b.len, &out, &err), WIRE_OK);
    assert_true(view_is(out.name, "s1"));
    assert_true(view_is(out.query, "select $1"));
    assert_int_equal(out.type_count, 2);
    assert_int_equal(num_get_u32(out.types + 4), 25);
    for (uint32_t n = 0; n < b.len; n++)
        assert_int_equal(wire_parse_parse(b.data, n, &out, &err), WIRE_BAD);
    buf_add_u8(&b, 0);
    assert_int_equal(wire_parse_parse(b.data, (uint32_t)b.len, &out, &err), WIRE_BAD);
    buf_free(&b);
}

static void
query_needs_its_nul(void **state)
{
    struct wire_view text;
    struct buf b = BUF_EMPTY;
    struct err err;

    (void)state;
    build_query(&b, "select 1", 8);
    assert_int_equal(wire_parse_query(b.data, (uint32_t)b.len, &text, &err), WIRE_OK);
    assert_true(view_is(text, "select 1"));
    assert_int_equal(wire_parse_query(b.data, (uint32_t)b.len - 1, &text, &err), WIRE_BAD);
    assert_string_equal(err.message, "invalid string in message");
    assert_int_equal(wire_parse_query(b.data, 5, &text, &err), WIRE_BAD);
    buf_free(&b);
}

static void
bind_may_be_cut_behind_its_names(void **state)
{
    static const uint8_t bind[] = {'B', 0, 0, 0, 20, 'p', 0, 's', 't', 0, 0, 0, 0, 0};
    struct wire_bind b;
    struct err err;

    (void)state;
    for (uint32_t n = 5; n < 10; n++)
        assert_int_equal(wire_parse_bind(bind, n, &b, &err), WIRE_MORE);
    assert_int_equal(wire_parse_bind(bind, 10, &b, &err), WIRE_OK);
    assert_true(view_is(b.portal, "p"));
    assert_true(view_is(b.statement, "st"));
}

static void
close_and_execute(void **state)
{
    static const uint8_t execute[] = {'E', 0, 0, 0, 9, 0, 0, 0, 1, 0};
    struct wire_execute e;
    struct wire_target t;
    struct buf b = BUF_EMPTY;
    struct err err;

    (void)state;
    build_close(&b, 'S', "x", 1);
    assert_int_equal(wire_parse_target(b.data, (uint32_t)b.len, &t, &err), WIRE_OK);
    assert_int_equal(t.kind, 'S');
    assert_true(view_is(t.name, "x"));
    assert_int_equal(wire_parse_target(b.data, 5, &t, &err), WIRE_BAD);
    assert_int_equal(wire_parse_execute(execute, 10, &e, &err), WIRE_OK);
    assert_int_equal(e.max_rows, 256);
    assert_int_equal(wire_parse_execute(execute, 9, &e, &err), WIRE_BAD);
    buf_free(&b);
}

static void
errors_round_trip(void **state)
{
    struct wire_error e;
    struct buf b = BUF_EMPTY;
    struct err err;

    (void)state;
    err_set(&err, "53300", "sorry, too many clients already");
    err_hint(&err, "wait");
    build_error(&b, "FATAL", &err);
    assert_int_equal(b.data[0], 'E');
    assert_int_equal(wire_parse_error(b.data, (uint32_t)b.len, &e), WIRE_OK);
    assert_true(view_is(e.severity, "FATAL"));
    assert_true(view_is(e.sqlstate, "53300"));
    assert_true(view_is(e.message, "sorry, too many clients already"));
    assert_true(view_is(e.hint, "wait"));
    assert_int_equal(e.detail.len, 0);
    for (uint32_t n = 6; n < b.len; n++)
        assert_int_equal(wire_parse_error(b.data, n, &e), WIRE_BAD);
    buf_free(&b);
}

/* Does it point into the client's text, and was something under way that had called it? */
static void
places_of_errors(void **state)
{
    static const struct {
        const char *fields;
        size_t len;
        bool positioned;
        bool within;
    } errors[] = {
#define FIELDS(text) text, sizeof(text)
        {FIELDS("C42601\0P7"), true, false},
        {FIELDS("C42601\0MPqW\0FPqW"), false, false},
        {FIELDS("C42601\0p7\0qSELEC 1\0WPL/pgSQL function f()"), false, true},
        {FIELDS("C42601\0P7\0WSQL function \"f\""), true, true},
        {FIELDS("C42601\0p7\0qSELEC 1"), false, true},
        {FIELDS("C42601\0Rscanner_yyerror"), false, false},
#undef FIELDS
    };

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(errors); n++) {
        struct wire_error e;
        struct buf b = BUF_EMPTY;
        buf_add_u8(&b, 'E');
        buf_add_u32(&b, (uint32_t)(4 + errors[n].len + 1));
        buf_add(&b, errors[n].fields, errors[n].len);
        buf_add_u8(&b, 0);
        assert_int_equal(wire_parse_error(b.data, (uint32_t)b.len, &e), WIRE_OK);
        assert_true(view_is(e.sqlstate, "42601"));
        assert_int_equal(e.positioned, errors[n].positioned);
        assert_int_equal(e.within, errors[n].within);
        buf_free(&b);
    }
}

static void
keys_and_parameters(void **state)
{
    struct wire_view name;
    struct wire_view value;
    struct buf b = BUF_EMPTY;
    uint32_t pid;

    (void)state;
    build_backend_key(&b, 4711, "0123456789abcdef0123456789abcdef", 32);
    assert_int_equal(wire_parse_key(b.data, (uint32_t)b.len, &pid, &value), WIRE_OK);
    assert_int_equal(pid, 4711);
    assert_int_equal(value.len, 32);
    assert_int_equal(wire_parse_key(b.data, 12, &pid, &value), WIRE_BAD);
    buf_clear(&b);
    build_parameter_status(&b, "TimeZone", "UTC");
    assert_int_equal(wire_parse_parameter(b.data, (uint32_t)b.len, &name, &value), WIRE_OK);
    assert_true(view_is(name, "TimeZone"));
    assert_true(view_is(value, "UTC"));
    buf_free(&b);
}

static void
startup_round_trip(void **state)
{
    static const char *const pairs[] = {"user", "u", "database", "d", "options", "-c a=b"};
    struct wire_startup s;
    struct wire_view name;
    struct wire_view value;
    struct buf b = BUF_EMPTY;
    struct err err;
    uint32_t at = 0;
    int count = 0;

    (void)state;
    build_startup(&b, WIRE_PROTOCOL(3, 2), pairs, 3);
    for (size_t n = 0; n < b.len; n++)
        assert_int_equal(wire_startup_parse(b.data, n, &s, &err), WIRE_MORE);
    assert_int_equal(wire_startup_parse(b.data, b.len, &s, &err), WIRE_OK);
    assert_int_equal(s.kind, WIRE_STARTUP);
    assert_int_equal(s.protocol, WIRE_PROTOCOL(3, 2));
    assert_true(view_is(s.user, "u"));
    assert_true(view_is(s.database, "d"));
    assert_true(view_is(s.options, "-c a=b"));
    assert_false(s.replication);
    while (wire_startup_next(&s, &at, &name, &value))
        count++;
    assert_int_equal(count, 3);
    buf_free(&b);
}

static enum wire_result
startup_with(const char *name, const char *value, uint32_t protocol, struct wire_startup *s,
             struct err *err)
{
    const char *pairs[] = {"user", "u", name, value};
    static struct buf b;
    buf_free(&b);
    build_startup(&b, protocol, pairs, 2);
    return wire_startup_parse(b.data, b.len, s, err);
}

static void
startup_refusals(void **state)
{
    static const uint8_t no_user[] = {0, 0, 0, 9, 0, 3, 0, 0, 0};
    static const uint8_t no_end[] = {0, 0, 0, 12, 0, 3, 0, 0, 'u', 's', 'e', 'r'};
    static const uint8_t other_end[] = {0,   0,   0,   16,  0, 3,   0, 0,
                                        'u', 's', 'e', 'r', 0, 'a', 0, 'b'};
    static const uint8_t huge[] = {0x7f, 0, 0, 0};
    static const uint8_t tiny[] = {0, 0, 0, 7, 0, 3, 0, 0};
    struct wire_startup s;
    struct err err;

    (void)state;
    assert_int_equal(wire_startup_parse(no_user, sizeof(no_user), &s, &err), WIRE_BAD);
    assert_string_equal(err.sqlstate, "28000");
    assert_int_equal(wire_startup_parse(no_end, sizeof(no_end), &s, &err), WIRE_BAD);
    assert_int_equal(wire_startup_parse(other_end, sizeof(other_end), &s, &err), WIRE_BAD);
    assert_int_equal(wire_startup_parse(huge, sizeof(huge), &s, &err), WIRE_BAD);
    assert_int_equal(wire_startup_parse(tiny, sizeof(tiny), &s, &err), WIRE_BAD);
    assert_int_equal(startup_with("a", "b", WIRE_PROTOCOL(2, 0), &s, &err), WIRE_BAD);
    assert_string_equal(err.sqlstate, "0A000");
    assert_int_equal(startup_with("replication", "maybe", WIRE_PROTOCOL(3, 0), &s, &err), WIRE_BAD);
    assert_int_equal(startup_with("replication", "database", WIRE_PROTOCOL(3, 0), &s, &err),
                     WIRE_OK);
    assert_true(s.replication);
    assert_int_equal(startup_with("replication", "off", WIRE_PROTOCOL(3, 0), &s, &err), WIRE_OK);
    assert_false(s.replication);
}

static void
startup_requests(void **state)
{
    struct wire_startup s;
    struct buf b = BUF_EMPTY;
    struct err err;

    (void)state;
    build_ssl_request(&b);
    assert_int_equal(wire_startup_parse(b.data, b.len, &s, &err), WIRE_OK);
    assert_int_equal(s.kind, WIRE_SSL);
    assert_int_equal(s.total_bytes, 8);
    buf_clear(&b);
    build_cancel_request(&b, 99, "abcd", 4);
    assert_int_equal(wire_startup_parse(b.data, b.len, &s, &err), WIRE_OK);
    assert_int_equal(s.kind, WIRE_CANCEL);
    assert_int_equal(s.cancel_pid, 99);
    assert_true(view_is(s.cancel_key, "abcd"));
    assert_false(s.cancel_of_member);
    buf_clear(&b);
    build_member_cancel_request(&b, 98, "abcd", 4);
    assert_int_equal(wire_startup_parse(b.data, b.len, &s, &err), WIRE_OK);
    assert_int_equal(s.kind, WIRE_CANCEL);
    assert_int_equal(s.cancel_pid, 98);
    assert_true(view_is(s.cancel_key, "abcd"));
    assert_true(s.cancel_of_member);
    buf_clear(&b);
    build_cancel_request(&b, 99, "abc", 3);
    assert_int_equal(wire_startup_parse(b.data, b.len, &s, &err), WIRE_BAD);
    buf_clear(&b);
    buf_add_u8(&b, 0x16);
    assert_int_equal(wire_startup_parse(b.data, b.len, &s, &err), WIRE_OK);
    assert_int_equal(s.kind, WIRE_TLS_HELLO);
    buf_free(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_of_clients),  cmocka_unit_test(headers_of_servers),
        cmocka_unit_test(parse_round_trip),    cmocka_unit_test(query_needs_its_nul),
        cmocka_unit_test(close_and_execute),   cmocka_unit_test(bind_may_be_cut_behind_its_names),
        cmocka_unit_test(errors_round_trip),   cmocka_unit_test(places_of_errors),
        cmocka_unit_test(keys_and_parameters), cmocka_unit_test(startup_round_trip),
        cmocka_unit_test(startup_refusals),    cmocka_unit_test(startup_requests),
    };

    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}

/*
 * The handshake: encryption is refused once and only to who waits; versions and options of the
 * protocol are negotiated.
 */
#include "base/buf.h"
#include "base/num.h"
#include "wire/build.h"
#include "wire/handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void
encryption_is_refused_once(void **state)
{
    const struct wire_startup ssl = {.kind = WIRE_SSL, .total_bytes = 8};
    const struct wire_startup gss = {.kind = WIRE_GSSENC, .total_bytes = 8};
    struct wire_asked asked = {0};
    struct buf out = BUF_EMPTY;
    struct err err;

    (void)state;
    assert_int_equal(wire_refuse_encryption(&gss, 8, &asked, &out, &err), 0);
    assert_int_equal(wire_refuse_encryption(&ssl, 8, &asked, &out, &err), 0);
    assert_int_equal(out.len, 2);
    assert_memory_equal(out.data, "NN", 2);
    assert_int_equal(wire_refuse_encryption(&gss, 8, &asked, &out, &err), -1);
    assert_string_equal(err.sqlstate, "0A000");
    assert_non_null(strstr(err.message, "1234.5680"));
    assert_int_equal(wire_refuse_encryption(&ssl, 8, &asked, &out, &err), -1);
    assert_non_null(strstr(err.message, "1234.5679"));
    assert_int_equal(out.len, 2);
    buf_free(&out);
}

static void
bytes_behind_the_request_are_suspect(void **state)
{
    const struct wire_startup ssl = {.kind = WIRE_SSL, .total_bytes = 8};
    struct wire_asked asked = {0};
    struct buf out = BUF_EMPTY;
    struct err err;

    (void)state;
    assert_int_equal(wire_refuse_encryption(&ssl, 9, &asked, &out, &err), -1);
    assert_string_equal(err.sqlstate, "08P01");
    assert_true(err.detail[0] != '\0');
    assert_int_equal(out.len, 0);
}

/* Negotiates a startup of this version with up to two parameters beside the user. */
static uint32_t
negotiate(uint32_t protocol, const char *const *more, uint32_t pair_count, struct buf *out)
{
    const char *pairs[8] = {"user", "u"};
    struct wire_startup p;
    struct buf b = BUF_EMPTY;
    struct err err;
    uint32_t spoken;

    for (uint32_t n = 0; n < pair_count * 2; n++)
        pairs[2 + n] = more[n];
    build_startup(&b, protocol, pairs, 1 + pair_count);
    assert_int_equal(wire_startup_parse(b.data, b.len, &p, &err), WIRE_OK);
    buf_clear(out);
    spoken = wire_negotiate(&p, out);
    buf_free(&b);
    return spoken;
}

static void
known_versions_are_silent(void **state)
{
    struct buf out = BUF_EMPTY;

    (void)state;
    assert_int_equal(negotiate(WIRE_PROTOCOL(3, 0), NULL, 0, &out), WIRE_PROTOCOL(3, 0));
    assert_int_equal(out.len, 0);
    assert_int_equal(negotiate(WIRE_PROTOCOL(3, 2), NULL, 0, &out), WIRE_PROTOCOL(3, 2));
    assert_int_equal(out.len, 0);
    buf_free(&out);
}

static void
other_versions_are_told(void **state)
{
    struct buf out = BUF_EMPTY;

    (void)state;
    assert_int_equal(negotiate(WIRE_PROTOCOL(3, 9999), NULL, 0, &out), WIRE_PROTOCOL(3, 2));
    assert_int_equal(out.len, 13);
    assert_int_equal(out.data[0], 'v');
    assert_int_equal(num_get_u32(out.data + 5), WIRE_PROTOCOL(3, 2));
    assert_int_equal(num_get_u32(out.data + 9), 0);
    assert_int_equal(negotiate(WIRE_PROTOCOL(3, 1), NULL, 0, &out), WIRE_PROTOCOL(3, 0));
    assert_int_equal(num_get_u32(out.data + 5), WIRE_PROTOCOL(3, 0));
    buf_free(&out);
}

static void
unknown_options_are_named(void **state)
{
    const char *const more[] = {"_pq_.wine", "red", "database", "_pq_.d"};
    struct buf out = BUF_EMPTY;

    (void)state;
    assert_int_equal(negotiate(WIRE_PROTOCOL(3, 0), more, 2, &out), WIRE_PROTOCOL(3, 0));
    assert_int_equal(num_get_u32(out.data + 9), 1);
    assert_int_equal(out.len, 13 + sizeof("_pq_.wine"));
    assert_string_equal((const char *)out.data + 13, "_pq_.wine");
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encryption_is_refused_once),
        cmocka_unit_test(bytes_behind_the_request_are_suspect),
        cmocka_unit_test(known_versions_are_silent),
        cmocka_unit_test(other_versions_are_told),
        cmocka_unit_test(unknown_options_are_named),
    };

    return cmocka_run_group_tests_name("handshake", tests, NULL, NULL);
}

/*
 * Messages that we write ourselves. Called by session/, pool/ and the administration port; each
 * function appends one whole message and fills in its length at the end.
 */
#include "wire/build.h"

#include "base/num.h"
#include "wire/proto.h"

#include <string.h>

/* Begins a message; type 0: a startup packet, which has none. Returns where its length goes. */
static size_t
begin(struct buf *b, char type)
{
    size_t at;

    if (type != 0)
        buf_add_u8(b, (uint8_t)type);
    at = b->len;
    buf_add_u32(b, 0);
    return at;
}

static void
end(struct buf *b, size_t at)
{
    num_put_u32(b->data + at, (uint32_t)(b->len - at));
}

/* ---- to clients ---- */

static size_t
begin_auth(struct buf *b, uint32_t kind)
{
    size_t at = begin(b, 'R');

    buf_add_u32(b, kind);
    return at;
}

void
build_auth_ok(struct buf *b)
{
    end(b, begin_auth(b, 0));
}

void
build_auth_cleartext(struct buf *b)
{
    end(b, begin_auth(b, 3));
}

void
build_auth_md5(struct buf *b, const uint8_t salt[4])
{
    size_t at = begin_auth(b, 5);

    buf_add(b, salt, 4);
    end(b, at);
}

void
build_auth_sasl(struct buf *b, const char *const *mechanisms)
{
    size_t at = begin_auth(b, 10);

    for (; *mechanisms != NULL; mechanisms++)
        buf_add_cstr(b, *mechanisms);
    buf_add_u8(b, 0);
    end(b, at);
}

void
build_auth_sasl_continue(struct buf *b, const void *data, size_t len)
{
    size_t at = begin_auth(b, 11);

    buf_add(b, data, len);
    end(b, at);
}

void
build_auth_sasl_final(struct buf *b, const void *data, size_t len)
{
    size_t at = begin_auth(b, 12);

    buf_add(b, data, len);
    end(b, at);
}

void
build_parameter_status(struct buf *b, const char *name, const char *value)
{
    size_t at = begin(b, 'S');

    buf_add_cstr(b, name);
    buf_add_cstr(b, value);
    end(b, at);
}

void
build_backend_key(struct buf *b, uint32_t pid, const void *key, size_t key_len)
{
    size_t at = begin(b, 'K');

    buf_add_u32(b, pid);
    buf_add(b, key, key_len);
    end(b, at);
}

void
build_ready(struct buf *b, char tx_status)
{
    size_t at = begin(b, 'Z');

    buf_add_u8(b, (uint8_t)tx_status);
    end(b, at);
}

void
build_command_complete(struct buf *b, const char *tag)
{
    size_t at = begin(b, 'C');

    buf_add_cstr(b, tag);
    end(b, at);
}

void
build_empty_query(struct buf *b)
{
    build_simple(b, 'I');
}

void
build_simple(struct buf *b, char type)
{
    end(b, begin(b, type));
}

void
build_negotiate(struct buf *b, uint32_t newest_protocol, const char *const *options,
                uint32_t option_count)
{
    size_t at = begin(b, 'v');

    buf_add_u32(b, newest_protocol);
    buf_add_u32(b, option_count);
    for (uint32_t n = 0; n < option_count; n++)
        buf_add_cstr(b, options[n]);
    end(b, at);
}

static void
add_field(struct buf *b, char field, const char *text)
{
    if (text[0] == '\0')
        return;
    buf_add_u8(b, (uint8_t)field);
    buf_add_cstr(b, text);
}

static void
build_report(struct buf *b, char type, const char *severity, const struct err *err)
{
    size_t at = begin(b, type);

    add_field(b, 'S', severity);
    add_field(b, 'V', severity);
    add_field(b, 'C', err->sqlstate);
    add_field(b, 'M', err->message);
    add_field(b, 'D', err->detail);
    add_field(b, 'H', err->hint);
    buf_add_u8(b, 0);
    end(b, at);
}

void
build_error(struct buf *b, const char *severity, const struct err *err)
{
    build_report(b, 'E', severity, err);
}

void
build_notice(struct buf *b, const char *severity, const struct err *err)
{
    build_report(b, 'N', severity, err);
}

void
build_notice_text(struct buf *b, const char *severity, const char *sqlstate, const char *text)
{
    size_t at = begin(b, 'N');

    add_field(b, 'S', severity);
    add_field(b, 'V', severity);
    add_field(b, 'C', sqlstate);
    add_field(b, 'M', text);
    buf_add_u8(b, 0);
    end(b, at);
}

void
build_row_description(struct buf *b, const char *const *names, uint16_t count)
{
    enum { TEXT_OID = 25 };
    size_t at = begin(b, 'T');

    buf_add_u16(b, count);
    for (uint16_t n = 0; n < count; n++) {
        buf_add_cstr(b, names[n]);
        buf_add_u32(b, 0); /* of no table */
        buf_add_u16(b, 0); /* and no column */
        buf_add_u32(b, TEXT_OID);
        buf_add_u16(b, UINT16_MAX); /* length: varies (-1) */
        buf_add_u32(b, UINT32_MAX); /* type modifier: none (-1) */
        buf_add_u16(b, 0);          /* format: text */
    }
    end(b, at);
}

void
build_data_row(struct buf *b, const char *const *values, uint16_t count)
{
    size_t at = begin(b, 'D');

    buf_add_u16(b, count);
    for (uint16_t n = 0; n < count; n++) {
        if (values[n] == NULL) {
            buf_add_u32(b, UINT32_MAX);
            continue;
        }
        buf_add_u32(b, (uint32_t)strlen(values[n]));
        buf_add_str(b, values[n]);
    }
    end(b, at);
}

/* ---- to servers ---- */

void
build_startup(struct buf *b, uint32_t protocol, const char *const *parameters, uint32_t pair_count)
{
    size_t at = begin(b, 0);

    buf_add_u32(b, protocol);
    for (uint32_t n = 0; n < pair_count * 2; n++)
        buf_add_cstr(b, parameters[n]);
    buf_add_u8(b, 0);
    end(b, at);
}

void
build_password(struct buf *b, const char *secret)
{
    size_t at = begin(b, 'p');

    buf_add_cstr(b, secret);
    end(b, at);
}

void
build_sasl_initial(struct buf *b, const char *mechanism, const void *data, size_t len)
{
    size_t at = begin(b, 'p');

    buf_add_cstr(b, mechanism);
    buf_add_u32(b, (uint32_t)len);
    buf_add(b, data, len);
    end(b, at);
}

void
build_sasl_response(struct buf *b, const void *data, size_t len)
{
    size_t at = begin(b, 'p');

    buf_add(b, data, len);
    end(b, at);
}

void
build_query(struct buf *b, const char *text, size_t len)
{
    size_t at = begin(b, 'Q');

    buf_add(b, text, len);
    buf_add_u8(b, 0);
    end(b, at);
}

void
build_parse(struct buf *b, const struct wire_parse *p)
{
    size_t at = begin(b, 'P');

    buf_add(b, p->name.data, p->name.len);
    buf_add_u8(b, 0);
    buf_add(b, p->query.data, p->query.len);
    buf_add_u8(b, 0);
    buf_add_u16(b, p->type_count);
    buf_add(b, p->types, (size_t)p->type_count * 4);
    end(b, at);
}

void
build_close(struct buf *b, char kind, const char *name, size_t name_len)
{
    size_t at = begin(b, 'C');

    buf_add_u8(b, (uint8_t)kind);
    buf_add(b, name, name_len);
    buf_add_u8(b, 0);
    end(b, at);
}

void
build_copy_fail(struct buf *b, const char *reason)
{
    size_t at = begin(b, 'f');

    buf_add_cstr(b, reason);
    end(b, at);
}

void
build_sync(struct buf *b)
{
    build_simple(b, 'S');
}

void
build_flush(struct buf *b)
{
    build_simple(b, 'H');
}

void
build_terminate(struct buf *b)
{
    build_simple(b, 'X');
}

static void
add_cancel_request(struct buf *b, uint32_t code, uint32_t pid, struct wire_view key)
{
    size_t at = begin(b, 0);

    buf_add_u32(b, code);
    buf_add_u32(b, pid);
    buf_add(b, key.data, key.len);
    end(b, at);
}

void
build_cancel_request(struct buf *b, uint32_t pid, const void *key, size_t key_len)
{
    add_cancel_request(b, WIRE_CANCEL_REQUEST, pid, (struct wire_view){key, (uint32_t)key_len});
}

void
build_member_cancel_request(struct buf *b, uint32_t pid, const void *key, size_t key_len)
{
    add_cancel_request(b, WIRE_MEMBER_CANCEL_REQUEST, pid,
                       (struct wire_view){key, (uint32_t)key_len});
}

void
build_ssl_request(struct buf *b)
{
    size_t at = begin(b, 0);

    buf_add_u32(b, WIRE_SSL_REQUEST);
    end(b, at);
}

/*
 * Startup packets: what a client sends before anything else.
 *
 * Called by session/startup and by the administration port. Source: PostgreSQL's manual, sections
 * "Start-up", "SSL Session Encryption" and "Canceling Requests in Progress". The words of errors
 * are PostgreSQL's.
 */
#include "wire/proto.h"

#include "base/num.h"
#include "base/str.h"

#include <string.h>

enum { LENGTH_BYTES = 4, CODE_BYTES = 4, TLS_HANDSHAKE = 0x16 };

static enum wire_result
bad_length(struct err *err)
{
    err_set(err, "08P01", "invalid length of startup packet");
    return WIRE_BAD;
}

static bool
view_is(struct wire_view v, const char *text)
{
    return v.len == strlen(text) && memcmp(v.data, text, v.len) == 0;
}

bool
wire_startup_next(const struct wire_startup *s, uint32_t *at_io, struct wire_view *name_r,
                  struct wire_view *value_r)
{
    const char *p = (const char *)s->parameters + *at_io;
    uint32_t left = s->parameters_bytes - *at_io;

    if (left == 0 || *p == '\0')
        return false;
    name_r->data = p;
    name_r->len = (uint32_t)strnlen(p, left);
    if (name_r->len + 1 >= left)
        return false;
    value_r->data = p + name_r->len + 1;
    value_r->len = (uint32_t)strnlen(value_r->data, left - name_r->len - 1);
    if (name_r->len + 1 + value_r->len >= left)
        return false;
    *at_io += name_r->len + value_r->len + 2;
    return true;
}

/* PostgreSQL's booleans, as far as this parameter takes them: unique beginnings of the words. */
static bool
parse_bool(struct wire_view v, bool *value_r)
{
    static const struct {
        const char *word;
        bool value;
        uint8_t least;
    } words[] = {{"true", true, 1}, {"false", false, 1}, {"yes", true, 1}, {"no", false, 1},
                 {"on", true, 2},   {"off", false, 2},   {"1", true, 1},   {"0", false, 1}};

    for (size_t n = 0; n < ARRAY_LEN(words); n++) {
        if (v.len >= words[n].least && v.len <= strlen(words[n].word) &&
            str_equal_nocase_n(v.data, words[n].word, v.len)) {
            *value_r = words[n].value;
            return true;
        }
    }
    return false;
}

static int
take_parameter(struct wire_startup *s, struct wire_view name, struct wire_view value,
               struct err *err)
{
    if (view_is(name, "user")) {
        s->user = value;
    } else if (view_is(name, "database")) {
        s->database = value;
    } else if (view_is(name, "options")) {
        s->options = value;
    } else if (view_is(name, "application_name")) {
        s->application_name = value;
    } else if (view_is(name, "replication")) {
        if (view_is(value, "database"))
            s->replication = true;
        else if (!parse_bool(value, &s->replication)) {
            err_set(err, "22023", "invalid value for parameter \"replication\": \"%.*s\"",
                    (int)value.len, value.data);
            err_hint(err, "Valid values are: \"false\", 0, \"true\", 1, \"database\".");
            return -1;
        }
    }
    return 0;
}

static enum wire_result
parse_parameters(struct wire_startup *s, struct err *err)
{
    struct wire_view name;
    struct wire_view value;
    uint32_t at = 0;

    while (wire_startup_next(s, &at, &name, &value)) {
        if (take_parameter(s, name, value, err) != 0)
            return WIRE_BAD;
    }
    if (at + 1 != s->parameters_bytes || s->parameters[at] != 0) {
        err_set(err, "08P01", "invalid startup packet layout: expected terminator as last byte");
        return WIRE_BAD;
    }
    if (s->user.len == 0) {
        err_set(err, "28000", "no PostgreSQL user name specified in startup packet");
        return WIRE_BAD;
    }
    return WIRE_OK;
}

static enum wire_result
parse_cancel(struct wire_startup *s, const uint8_t *body, uint32_t len, struct err *err)
{
    if (len < 8 || len > 4 + WIRE_CANCEL_KEY_MAX_BYTES)
        return bad_length(err);
    s->kind = WIRE_CANCEL;
    s->cancel_pid = num_get_u32(body);
    s->cancel_key = (struct wire_view){(const char *)body + 4, len - 4};
    return WIRE_OK;
}

enum wire_result
wire_startup_parse(const uint8_t *p, size_t n, struct wire_startup *s_r, struct err *err)
{
    const uint8_t *rest;
    uint32_t total;
    uint32_t code;

    memset(s_r, 0, sizeof(*s_r));
    if (n == 0)
        return WIRE_MORE;
    if (p[0] == TLS_HANDSHAKE) {
        s_r->kind = WIRE_TLS_HELLO;
        return WIRE_OK;
    }
    if (n < LENGTH_BYTES)
        return WIRE_MORE;
    total = num_get_u32(p);
    if (total < LENGTH_BYTES + CODE_BYTES || total > WIRE_STARTUP_MAX_BYTES + LENGTH_BYTES)
        return bad_length(err);
    if (n < total)
        return WIRE_MORE;
    s_r->total_bytes = total;
    rest = p + LENGTH_BYTES + CODE_BYTES;
    code = num_get_u32(p + LENGTH_BYTES);
    switch (code) {
    case WIRE_MEMBER_CANCEL_REQUEST:
        s_r->cancel_of_member = true;
        /* fall through */
    case WIRE_CANCEL_REQUEST:
        return parse_cancel(s_r, rest, total - LENGTH_BYTES - CODE_BYTES, err);
    case WIRE_SSL_REQUEST:
    case WIRE_GSSENC_REQUEST:
        s_r->kind = code == WIRE_SSL_REQUEST ? WIRE_SSL : WIRE_GSSENC;
        return WIRE_OK;
    default:
        break;
    }
    if (code >> 16 != 3) {
        err_set(err, "0A000", "unsupported frontend protocol %u.%u: server supports 3.0 to 3.2",
                code >> 16, code & 0xffff);
        return WIRE_BAD;
    }
    s_r->kind = WIRE_STARTUP;
    s_r->protocol = code;
    s_r->parameters = rest;
    s_r->parameters_bytes = total - LENGTH_BYTES - CODE_BYTES;
    return parse_parameters(s_r, err);
}

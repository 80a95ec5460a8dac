/*
 * Headers of messages, and the parts of messages that the program needs.
 *
 * Called by pool/ and session/ for each message, so a header costs one look into a table.
 * Everything is read within the bounds given; nothing is copied. The words of errors are those
 * that PostgreSQL itself answers to the same bytes.
 */
#include "wire/proto.h"

#include "base/num.h"

#include <string.h>

enum { SMALL = 10000, LARGE = 0x3ffffffe };

struct limits {
    uint32_t least;
    uint32_t most; /* 0: no such message */
};

static const struct limits client_limits[256] = {
#define CLIENT_MESSAGE(letter, name, least, most) [letter] = {least, most},
#include "tables/messages.def"
};

static const struct limits server_limits[256] = {
#define SERVER_MESSAGE(letter, name, least, most) [letter] = {least, most},
#include "tables/messages.def"
};

enum wire_result
wire_client_header(const uint8_t *p, size_t n, struct wire_header *h_r, struct err *err)
{
    const struct limits *limits;
    uint32_t length;

    if (n == 0)
        return WIRE_MORE;
    limits = &client_limits[p[0]];
    if (unlikely(limits->most == 0)) {
        err_set(err, "08P01", "invalid frontend message type %d", p[0]);
        return WIRE_BAD;
    }
    if (n < WIRE_HEADER_BYTES)
        return WIRE_MORE;
    length = num_get_u32(p + 1);
    if (unlikely(length < limits->least || length > limits->most)) {
        err_set(err, "08P01", "invalid message length");
        return WIRE_BAD;
    }
    h_r->type = p[0];
    h_r->total_bytes = length + 1;
    return WIRE_OK;
}

enum wire_result
wire_server_header(const uint8_t *p, size_t n, struct wire_header *h_r, struct err *err)
{
    const struct limits *limits;
    uint32_t length;

    if (n < WIRE_HEADER_BYTES)
        return WIRE_MORE;
    limits = &server_limits[p[0]];
    length = num_get_u32(p + 1);
    if (unlikely(limits->most == 0)) {
        err_set(err, "08P01", "the server sent a message of unknown type %d", p[0]);
        return WIRE_BAD;
    }
    if (unlikely(length < limits->least || length > limits->most)) {
        err_set(err, "08P01", "the server sent a message of type \"%c\" and invalid length %u",
                p[0], length);
        return WIRE_BAD;
    }
    h_r->type = p[0];
    h_r->total_bytes = length + 1;
    return WIRE_OK;
}

/* ---- reading within a message ---- */

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

static struct cursor
body(const uint8_t *msg, uint32_t len)
{
    return (struct cursor){msg + MIN(len, (uint32_t)WIRE_HEADER_BYTES), msg + len};
}

static bool
take_string(struct cursor *c, struct wire_view *v_r)
{
    const uint8_t *nul = c->at < c->end ? memchr(c->at, 0, (size_t)(c->end - c->at)) : NULL;

    if (nul == NULL)
        return false;
    v_r->data = (const char *)c->at;
    v_r->len = (uint32_t)(nul - c->at);
    c->at = nul + 1;
    return true;
}

static enum wire_result
no_string(struct err *err)
{
    err_set(err, "08P01", "invalid string in message");
    return WIRE_BAD;
}

static enum wire_result
too_short(struct err *err)
{
    err_set(err, "08P01", "insufficient data left in message");
    return WIRE_BAD;
}

static enum wire_result
at_end(const struct cursor *c, struct err *err)
{
    if (c->at == c->end)
        return WIRE_OK;
    err_set(err, "08P01", "invalid message format");
    return WIRE_BAD;
}

/* ---- from clients ---- */

enum wire_result
wire_parse_parse(const uint8_t *msg, uint32_t len, struct wire_parse *p_r, struct err *err)
{
    struct cursor c = body(msg, len);

    if (!take_string(&c, &p_r->name) || !take_string(&c, &p_r->query))
        return no_string(err);
    if (c.end - c.at < 2)
        return too_short(err);
    p_r->type_count = num_get_u16(c.at);
    p_r->types = c.at + 2;
    c.at += 2;
    if ((size_t)(c.end - c.at) < (size_t)p_r->type_count * 4)
        return too_short(err);
    c.at += (size_t)p_r->type_count * 4;
    return at_end(&c, err);
}

enum wire_result
wire_parse_bind(const uint8_t *msg, uint32_t len, struct wire_bind *b_r, struct err *err)
{
    struct cursor c = body(msg, len);
    bool whole = len >= WIRE_HEADER_BYTES && len >= num_get_u32(msg + 1) + 1;

    if (take_string(&c, &b_r->portal) && take_string(&c, &b_r->statement))
        return WIRE_OK;
    return whole ? no_string(err) : WIRE_MORE;
}

/* A counted list of 16-bit words; false when it is not there as a whole. */
static bool
skip_words(const uint8_t **at, const uint8_t *end)
{
    size_t count;

    if (end - *at < 2)
        return false;
    count = num_get_u16(*at);
    *at += 2;
    if ((size_t)(end - *at) < count * 2)
        return false;
    *at += count * 2;
    return true;
}

int
wire_check_bind(const uint8_t *msg, uint32_t len, const struct wire_bind *b, struct err *err)
{
    const uint8_t *end = msg + len;
    const uint8_t *at = (const uint8_t *)b->statement.data + b->statement.len + 1;
    uint16_t values;

    if (!skip_words(&at, end) || end - at < 2)
        return err_set(err, "08P01", "insufficient data left in message");
    values = num_get_u16(at);
    at += 2;
    if (values != 0)
        return err_set(err, "08P01",
                       "bind message supplies %u parameters, but prepared statement \"%.*s\" "
                       "requires 0",
                       values, (int)b->statement.len, b->statement.data);
    if (!skip_words(&at, end))
        return err_set(err, "08P01", "insufficient data left in message");
    return at == end ? 0 : err_set(err, "08P01", "invalid message format");
}

enum wire_result
wire_parse_target(const uint8_t *msg, uint32_t len, struct wire_target *t_r, struct err *err)
{
    struct cursor c = body(msg, len);

    if (c.at == c.end) {
        err_set(err, "08P01", "no data left in message");
        return WIRE_BAD;
    }
    t_r->kind = (char)*c.at++;
    if (!take_string(&c, &t_r->name))
        return no_string(err);
    return at_end(&c, err);
}

enum wire_result
wire_parse_execute(const uint8_t *msg, uint32_t len, struct wire_execute *e_r, struct err *err)
{
    struct cursor c = body(msg, len);

    if (!take_string(&c, &e_r->portal))
        return no_string(err);
    if (c.end - c.at < 4)
        return too_short(err);
    e_r->max_rows = num_get_u32(c.at);
    c.at += 4;
    return at_end(&c, err);
}

enum wire_result
wire_parse_query(const uint8_t *msg, uint32_t len, struct wire_view *text_r, struct err *err)
{
    struct cursor c = body(msg, len);

    if (!take_string(&c, text_r))
        return no_string(err);
    return at_end(&c, err);
}

/* ---- from servers ---- */

enum wire_result
wire_parse_error(const uint8_t *msg, uint32_t len, struct wire_error *e_r)
{
    struct cursor c = body(msg, len);
    struct wire_view v;

    memset(e_r, 0, sizeof(*e_r));
    while (c.at < c.end && *c.at != 0) {
        uint8_t field = *c.at++;
        if (!take_string(&c, &v))
            return WIRE_BAD;
        if (field == 'V' || (field == 'S' && e_r->severity.data == NULL))
            e_r->severity = v;
        else if (field == 'C')
            e_r->sqlstate = v;
        else if (field == 'M')
            e_r->message = v;
        else if (field == 'D')
            e_r->detail = v;
        else if (field == 'H')
            e_r->hint = v;
        else if (field == 'P')
            e_r->positioned = true;
        else if (field == 'q' || field == 'W')
            e_r->within = true;
    }
    return c.at < c.end ? WIRE_OK : WIRE_BAD;
}

struct wire_view
wire_column(const uint8_t *msg, uint32_t len, uint32_t wanted)
{
    struct wire_view none = {NULL, 0};
    uint32_t at = WIRE_HEADER_BYTES + 2;

    if (len < at || num_get_u16(msg + WIRE_HEADER_BYTES) <= wanted)
        return none;
    for (uint32_t n = 0;; n++) {
        uint32_t size;
        if (len - at < 4)
            return none;
        size = num_get_u32(msg + at);
        at += 4;
        if (size != UINT32_MAX && len - at < size)
            return none;
        if (n == wanted)
            return size == UINT32_MAX ? none : (struct wire_view){(const char *)msg + at, size};
        at += size != UINT32_MAX ? size : 0;
    }
}

enum wire_result
wire_parse_parameter(const uint8_t *msg, uint32_t len, struct wire_view *name_r,
                     struct wire_view *value_r)
{
    struct cursor c = body(msg, len);

    if (!take_string(&c, name_r) || !take_string(&c, value_r))
        return WIRE_BAD;
    return WIRE_OK;
}

enum wire_result
wire_parse_key(const uint8_t *msg, uint32_t len, uint32_t *pid_r, struct wire_view *key_r)
{
    struct cursor c = body(msg, len);

    if (c.end - c.at < 8 || c.end - c.at > 4 + WIRE_CANCEL_KEY_MAX_BYTES)
        return WIRE_BAD;
    *pid_r = num_get_u32(c.at);
    key_r->data = (const char *)c.at + 4;
    key_r->len = (uint32_t)(c.end - c.at) - 4;
    return WIRE_OK;
}

enum wire_result
wire_parse_tag(const uint8_t *msg, uint32_t len, struct wire_view *tag_r)
{
    struct cursor c = body(msg, len);

    return take_string(&c, tag_r) ? WIRE_OK : WIRE_BAD;
}

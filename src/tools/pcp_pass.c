/*
 * .pcppass, PostgreSQL's .pgpass without the database. Called by pcp_connect.c, which reads the
 * file.
 */
#include "tools/pcp.h"

#include <string.h>

struct field {
    const char *at;
    const char *end; /* of the line */
};

/* Compares the field with the value, and moves behind its colon. False also when no colon comes. */
static bool
fits(struct field *f, const char *value)
{
    bool same = true;
    bool any = f->end - f->at >= 2 && f->at[0] == '*' && f->at[1] == ':';

    for (; f->at < f->end && *f->at != ':'; f->at++) {
        if (*f->at == '\\' && f->at + 1 < f->end)
            f->at++;
        if (*value == '\0' || *value != *f->at)
            same = false;
        else
            value++;
    }
    if (f->at == f->end)
        return false;
    f->at++;
    return any || (same && *value == '\0');
}

static bool
take_line(const char *line, const char *end, const struct pcp_pass_key *key, struct buf *password)
{
    struct field f = {line, end};

    if (line == end || *line == '#' || !fits(&f, key->host) || !fits(&f, key->port) ||
        !fits(&f, key->user))
        return false;
    for (; f.at < f.end; f.at++) {
        if (*f.at == '\\' && f.at + 1 < f.end)
            f.at++;
        buf_add_u8(password, (uint8_t)*f.at);
    }
    return true;
}

bool
pcp_pass_find(const char *text, size_t len, const struct pcp_pass_key *key, struct buf *password)
{
    const char *end = len > 0 ? text + len : text;

    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *stop = newline != NULL ? newline : end;
        const char *last = stop > text && stop[-1] == '\r' ? stop - 1 : stop;

        if (take_line(text, last, key, password))
            return true;
        text = newline != NULL ? newline + 1 : end;
    }
    return false;
}

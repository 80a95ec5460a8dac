/*
 * Log messages as JSON (base/log_json.h). Called by log.c and by the sink.
 *
 * Invariant: each text has a part of the room that no other text takes, so that what stands behind
 * it fits, whatever it is.
 */
#include "base/log_json.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    NAME_ROOM = 200,  /* of each short text, */
    NAMES = 7,        /* of which there are so many */
    WORDS_ROOM = 700, /* of detail and of hint */
    NUMBERS_ROOM = 200,
    KEY_ROOM = 32,
};

struct line {
    char *to;
    size_t room;
    size_t len;
};

static void PRINTF_LIKE(2, 3) add(struct line *l, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(l->to + l->len, l->room - l->len, fmt, args);
    va_end(args);
    if (n > 0)
        l->len = MIN(l->len + (size_t)n, l->room - 1);
}

/* How the character that stands there is written; returns its bytes. */
static unsigned
escape(const char *text, size_t len, char out_r[8])
{
    unsigned bytes = utf8_length(text, len);
    unsigned char c = (unsigned char)*text;

    if (bytes == 0) {
        memcpy(out_r, UTF8_REPLACEMENT, sizeof(UTF8_REPLACEMENT));
        return 1;
    }
    if (c == '"' || c == '\\')
        snprintf(out_r, 8, "\\%c", c);
    else if (c == '\n')
        memcpy(out_r, "\\n", 3);
    else if (c == '\t')
        memcpy(out_r, "\\t", 3);
    else if (c < ' ' || c == 0x7f)
        snprintf(out_r, 8, "\\u%04x", c);
    else
        snprintf(out_r, 8, "%.*s", (int)bytes, text);
    return bytes;
}

/* At most so many bytes of it, as they are written. */
static void
add_text(struct line *l, const char *key, const char *text, size_t most)
{
    size_t left = text != NULL ? strlen(text) : 0;
    size_t end;

    if (left == 0)
        return;
    add(l, "%s\"%s\":\"", l->len > 1 ? "," : "", key);
    end = MIN(l->len + most, l->room - 3);
    while (left > 0) {
        char out[8];
        unsigned bytes = escape(text, left, out);
        size_t len = strlen(out);
        if (l->len + len > end)
            break;
        memcpy(l->to + l->len, out, len);
        l->len += len;
        text += bytes;
        left -= bytes;
    }
    add(l, "\"");
}

static void
add_severity(struct line *l, const char *severity)
{
    char name[16];
    size_t n = 0;

    for (; severity[n] != '\0' && n + 1 < sizeof(name); n++)
        name[n] = (char)(severity[n] >= 'a' && severity[n] <= 'z' ? severity[n] - 'a' + 'A'
                                                                  : severity[n]);
    name[n] = '\0';
    add_text(l, "error_severity", name, sizeof(name));
}

static void
add_remote(struct line *l, const char *remote)
{
    const char *port = remote != NULL ? strrchr(remote, ':') : NULL;
    char host[NAME_ROOM];

    if (port == NULL || strspn(port + 1, "0123456789") != strlen(port + 1)) {
        add_text(l, "remote_host", remote, NAME_ROOM);
        return;
    }
    snprintf(host, sizeof(host), "%.*s", (int)MIN(port - remote, (ptrdiff_t)NAME_ROOM - 1), remote);
    add_text(l, "remote_host", host, NAME_ROOM);
    add(l, ",\"remote_port\":%.5s", port + 1);
}

size_t
log_json_print(char *to, size_t room, const struct log_json *j)
{
    struct line l = {.to = to, .room = room};
    size_t others = (size_t)NAMES * (NAME_ROOM + KEY_ROOM) + 2 * (WORDS_ROOM + KEY_ROOM) +
                    NUMBERS_ROOM + KEY_ROOM;

    _Static_assert((size_t)NAMES * (NAME_ROOM + KEY_ROOM) + 2 * (WORDS_ROOM + KEY_ROOM) +
                           NUMBERS_ROOM + KEY_ROOM + 200 <
                       LOG_JSON_LEAST,
                   "there is room for a message");
    add(&l, "{");
    add_text(&l, "timestamp", j->timestamp, NAME_ROOM);
    add_text(&l, "user", j->user, NAME_ROOM);
    add_text(&l, "dbname", j->dbname, NAME_ROOM);
    add(&l, "%s\"pid\":%d", l.len > 1 ? "," : "", j->pid);
    add_remote(&l, j->remote);
    add(&l, ",\"line_num\":%" PRIu64, j->line_num);
    add_severity(&l, j->severity);
    add_text(&l, "state_code", j->state_code, NAME_ROOM);
    add_text(&l, "message", j->message, room - others);
    add_text(&l, "detail", j->detail, WORDS_ROOM);
    add_text(&l, "hint", j->hint, WORDS_ROOM);
    add_text(&l, "application_name", j->application_name, NAME_ROOM);
    add_text(&l, "backend_type", j->backend_type, NAME_ROOM);
    if (j->query_id != 0)
        add(&l, ",\"query_id\":%" PRId64, (int64_t)j->query_id);
    add(&l, "}");
    return l.len;
}

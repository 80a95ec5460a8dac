/*
 * What a session tells of the servers' side of its work: to its client, by
 * notice_per_node_statement, and to the log, by log_backend_messages.
 *
 * Called by client.c for each statement that leaves, and by answers.c. Invariant: a notice stands
 * between two messages of the server; while a long one passes in pieces it waits for its end.
 */
#include "session/internal.h"

#include "config/config.h"
#include "wire/build.h"

#include <inttypes.h>

static const char *
name_of(uint8_t type)
{
    static const char *const names[UINT8_MAX + 1] = {
#define SERVER_MESSAGE(letter, name, least, most) [letter] = name,
#include "tables/messages.def"
    };

    return names[type] != NULL ? names[type] : "unknown";
}

void
notice_statement(struct session *s, const struct server *server, const char *text, size_t len)
{
    struct buf words = BUF_EMPTY;

    /* what waits is bounded: the client that sends so much meanwhile goes without */
    if (s->notices.len + len > HOLD_MAX_BYTES)
        return;
    buf_printf(&words, "DB node id: %d backend pid: %" PRIu32 " statement: ", server->node_id,
               server->backend_pid);
    buf_add(&words, text, len);
    build_notice_text(&s->notices, "NOTICE", "00000", buf_cstr(&words));
    buf_free(&words);
    notice_flush(s);
}

void
notice_flush(struct session *s)
{
    if (likely(s->notices.len == 0) || s->state != CLIENT_READY ||
        (s->cur != NULL && server_is_mid_message(s->cur)))
        return;
    session_send(s, &s->notices);
    buf_free(&s->notices);
}

/* Told with the next message of another kind. */
static void
log_repeated(struct server *server)
{
    if (server->heard_again > 0)
        log_info("message %s from node %d, server process %" PRIu32 ": %" PRIu32 " more",
                 name_of(server->heard_type), server->node_id, server->backend_pid,
                 server->heard_again);
    server->heard_again = 0;
}

void
notice_message(struct session *s, struct server *server, uint8_t type, uint32_t bytes)
{
    const struct log_context *before = log_set_context(&s->log);
    bool terse = session_options(s)->log_backend_messages == CONFIG_BACKEND_MESSAGES_TERSE;

    if (terse && server->heard_type == type) {
        server->heard_again++;
    } else {
        log_repeated(server);
        log_info("message %s from node %d, server process %" PRIu32 ", %" PRIu32 " bytes",
                 name_of(type), server->node_id, server->backend_pid, bytes);
    }
    server->heard_type = type;
    /* with the end of a cycle the next one is news */
    if (type == 'Z')
        server->heard_type = 0;
    log_set_context(before);
}

/*
 * Native replication: the main node runs a client's Query as a statement that it knows, and the
 * client is answered what the Query would be.
 *
 * Each server runs every write, and spends more on parsing and planning a short one than on running
 * it. What the copies get with parameters (copies_taught.c) the main node gets so as well when even
 * its errors are those of the text (sql/parameters.h); and so does, in a transaction, a SELECT of
 * columns by integers, which is mostly about a row that the transaction has written. It goes as
 * Bind, Describe (of a SELECT, which has RowDescription), Execute, Close of the portal, and Sync.
 * Called by client.c as it sends, and by copies.c with what the main node says.
 *
 * Invariants: a text was run as such before, so the server takes its words for SQL. The session's
 * unnamed statement, which a Query ends, is none. Positions in errors are put back into the
 * client's text; words about parameters, which log_parameter_max_length_on_error adds, are taken
 * out. What only a prepared statement can fail for the client never sees: outside of a block the
 * Query runs again, as a text; in a block it is 40001. That is a result whose type has changed,
 * where somebody's definition has overtaken the catalog's epoch, and a name that is gone, where a
 * function has deallocated it that nobody knew to do so: where one may have, the connection gets
 * texts. Source: PostgreSQL's manual, section "Extended Query"; its sources, postgres.c and
 * plancache.c.
 */
#include "session/copies.h"

#include "base/num.h"
#include "wire/build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t describe[] = {'D', 0, 0, 0, 6, 'P', 0};
static const uint8_t execute_and_close[] = {
    'E', 0, 0, 0, 9, 0,   0, 0,   0, 0, /* all rows */
    'C', 0, 0, 0, 6, 'P', 0, 'S', 0, 0, 0, 4,
};

/* ---- what is sent -----------------------------------------------------------------------------
 */

/* In a transaction of all nodes, with nothing under way. */
static bool
is_read(const struct session_copies *c, const struct server *server, const struct unit *u)
{
    const struct session *s = c->s;

    return c->rule.way == COPIES_AS_ALWAYS && u->verb == SQL_SELECT && u->executed == 1 &&
           !u->may_write && u->touches_session == 0 && s->tx_status == 'T' &&
           server->tx_status == 'T' && server->pending.count == 0;
}

/* Does a statement that it knows do there what its text does? */
static bool
is_sure(struct session *s, const struct server *server)
{
    static const struct wire_view unnamed = {"", 0};

    return server == s->primary && !server->spoilt && !server->forgetful &&
           server->unnamed == NULL && statements_find(s, unnamed) == NULL;
}

/* The one that the unit is; NULL: its text is sent. The caller puts it. */
static struct prepared *
prepared_of(struct session_copies *c, const uint8_t *bytes, struct sql_text text,
            struct sql_with_parameters *p_r)
{
    bool values = bytes == c->text.data; /* of the main node's are in it */

    if (!copies_taught_begin(c, text, p_r) || !p_r->exact ||
        (p_r->strings && (!values || c->quoted)) || !copies_assigns_alike(c->s, text, p_r))
        return NULL;
    prepared_ref(c->now.prepared);
    return c->now.prepared;
}

static void
send_known(struct session_copies *c, struct server *server, struct prepared *prepared,
           const struct sql_with_parameters *p, const struct pending_entry *e)
{
    struct buf *b = &c->host->scratch;

    statements_teach(c->s, server, prepared);
    buf_clear(b);
    copies_taught_bind(prepared, p, b);
    server_expect(server, PENDING_BIND, true, 0, NULL);
    if (c->main_reads) {
        buf_add(b, describe, sizeof(describe));
        server_expect(server, PENDING_DESCRIBE, false, 0, NULL);
    }
    buf_add(b, execute_and_close, sizeof(execute_and_close));
    server_expect_noted(server, PENDING_EXECUTE, CYCLE_ALONE, NULL, e->note); /* as of a Query */
    server_expect(server, PENDING_CLOSE, true, 0, NULL);
    server_expect(server, PENDING_SYNC, false, e->flags, e->tag);
    server_send(server, b->data, b->len);
}

bool
copies_main_takes(struct session *s, struct server *server, const uint8_t *bytes,
                  const struct unit *u, const struct pending_entry *e)
{
    struct session_copies *c = s->copies;
    struct prepared *prepared = NULL;
    struct sql_with_parameters p;
    struct wire_view view;
    struct sql_text text;
    struct err err;
    bool reads;
    bool sure;

    if (u->pass_left > 0 || wire_parse_query(bytes, (uint32_t)u->bytes, &view, &err) != WIRE_OK)
        return false;
    text = (struct sql_text){view.data, view.len};
    reads = is_read(c, server, u);
    if (reads)
        prepared = copies_taught_read(c, text, &p);
    else if (c->by_key)
        prepared = prepared_of(c, bytes, text, &p);
    if (prepared == NULL)
        return false;
    sure = is_sure(s, server);
    if (sure) {
        c->main_runs = true;
        c->main_reads = reads;
        buf_clear(&c->places);
        buf_add(&c->places, p.places, p.count * sizeof(*p.places));
        send_known(c, server, prepared, &p, e);
    }
    prepared_put(prepared);
    return sure;
}

void
copies_main_begin(struct session_copies *c, const struct server *server)
{
    copies_taught_end(c);
    if (server->pending.count == 0)
        c->main_runs = false;
}

void
copies_main_doubt(struct server *server, const struct unit *u)
{
    if (server != NULL && u->touches_session & TOUCHES_SURELY)
        server->forgetful = true;
}

/* ---- its errors -------------------------------------------------------------------------------
 */

static void
add_position(const struct session_copies *c, const char *digits, struct buf *b)
{
    uint32_t position = (uint32_t)strtoul(digits, NULL, 10);
    uint16_t count = (uint16_t)(c->places.len / sizeof(struct sql_parameter_place));

    buf_printf(b, "%u",
               sql_parameters_position((const struct sql_parameter_place *)c->places.data, count,
                                       position));
}

/* Without a last line that is about parameters. False: nothing is left. */
static bool
add_context(const char *text, struct buf *b)
{
    const char *line = strrchr(text, '\n');
    size_t len = line != NULL ? (size_t)(line - text) : 0;

    if (strstr(line != NULL ? line : text, "$1 = '") == NULL)
        len = strlen(text);
    buf_add(b, text, len);
    return len > 0;
}

/* As a Query would have got it. The message is whole and well formed. */
static void
translate(const struct session_copies *c, const uint8_t *msg, size_t len, struct buf *b)
{
    buf_add(b, msg, WIRE_HEADER_BYTES);
    for (size_t at = WIRE_HEADER_BYTES; at < len && msg[at] != 0;) {
        const char *text = (const char *)msg + at + 1;
        size_t before = b->len;
        bool any = true;
        buf_add_u8(b, msg[at]);
        if (msg[at] == 'P')
            add_position(c, text, b);
        else if (msg[at] == 'W')
            any = add_context(text, b);
        else
            buf_add_str(b, text);
        if (any)
            buf_add_u8(b, 0);
        else
            b->len = before;
        at += 1 + strlen(text) + 1;
    }
    buf_add_u8(b, 0);
    num_put_u32(b->data + 1, (uint32_t)(b->len - 1));
}

/* Is it something that no text would have failed for? Then with what the client is to be told,
 * should it be told anything. */
static bool
is_own(struct session_copies *c, struct server *server, const char *sqlstate, struct err *err_r)
{
    uint8_t kind = server->pending.ring[server->pending.head].kind;

    if (kind == PENDING_BIND && c->main_reads && strcmp(sqlstate, "0A000") == 0) {
        catalog_changed(c->host->catalog, pool_key_database(c->key));
        err_set(err_r, "40001", "could not serialize access due to a definition that has changed");
    } else if ((kind == PENDING_BIND && strcmp(sqlstate, "26000") == 0) ||
               (kind == PENDING_PARSE && strcmp(sqlstate, "42P05") == 0)) {
        server->forgetful = server->unwanted = true;
        err_set(err_r, "40001",
                "prepared statements were deallocated where pgpool could not see it");
    } else {
        return false;
    }
    err_hint(err_r, "Run the transaction again.");
    return true;
}

/* Does it tell something about values or others' doings, so that the words are SQL? */
static bool
is_understood(const char *sqlstate)
{
    static const char *const classes[] = {"22", "23", "40"};

    for (size_t n = 0; n < ARRAY_LEN(classes); n++) {
        if (strncmp(sqlstate, classes[n], 2) == 0)
            return true;
    }
    return false;
}

bool
copies_main_fails(struct session_copies *c, struct server *server, const uint8_t *msg, size_t len,
                  bool *replaced_r)
{
    const struct pending_entry *head = &server->pending.ring[server->pending.head];
    struct buf b = BUF_EMPTY;
    struct wire_error e;
    struct err err;

    server_error_from_message(msg, len, &err);
    if (!head->skip && !is_understood(err.sqlstate))
        copies_taught_unseen(c);
    if (!c->main_runs || head->kind == PENDING_QUERY || head->kind == PENDING_CALL)
        return false;
    *replaced_r = false;
    if (wire_parse_error(msg, (uint32_t)len, &e) != WIRE_OK || num_get_u32(msg + 1) + 1 != len) {
        copies_again_note(c, msg, len); /* too long to be changed */
        return true;
    }
    if (is_own(c, server, err.sqlstate, &err))
        build_error(&b, "ERROR", &err);
    else
        translate(c, msg, len, &b);
    if (!is_understood(err.sqlstate))
        copies_taught_unseen(c);
    copies_again_note(c, b.data, b.len);
    server_tell_instead(server, &b);
    buf_free(&b);
    *replaced_r = true;
    return true;
}

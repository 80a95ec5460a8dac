/*
 * Explicit transactions: where they run, and how one that has only read goes on at the primary.
 *
 * A BEGIN that may turn out to be one of reads is answered here and sent to nobody; the first
 * statement behind it chooses the server, and BEGIN goes in front of it in the same write. A
 * transaction on a reader under READ COMMITTED, where each statement has a snapshot of its own, is
 * ended there and begun again at the primary when something comes that is no plain read. Under
 * REPEATABLE READ the one snapshot is never split: only READ ONLY transactions may run on a
 * reader, and they stay. SERIALIZABLE is the primary's.
 *
 * Called by client.c before and after place_unit, and by answers.c when a transaction has ended.
 * Source: PostgreSQL's manual, chapters "Concurrency Control" and "Hot Standby".
 */
#include "session/internal.h"

#include "base/arena.h"
#include "base/num.h"
#include "base/str.h"
#include "wire/build.h"

#include <stdlib.h>
#include <string.h>

void
tx_fini(struct session *s)
{
    free(s->tx.begin);
    s->tx = (struct session_tx){.begin = NULL};
}

/* What BEGIN without a level means, on every server and for every role. */
static bool
default_is_read_committed(const struct session *s, int node_id)
{
    const struct cluster_view *view = s->host->view;

    return node_id >= 0 && view->nodes[node_id].read_committed && view->primary_id >= 0 &&
           view->nodes[view->primary_id].read_committed;
}

/* May such a transaction run on the reader, and may it leave that again? */
static bool
may_read_there(struct session *s, const struct sql_statement *begin, int node_id, bool *movable_r)
{
    bool unknown;

    *movable_r = true;
    if (begin->access == SQL_ACCESS_READ_WRITE)
        return false; /* a standby refuses it at once */
    if (begin->hint == SQL_HINT_PRIMARY || begin->no_load_balance)
        return false;
    switch (begin->isolation) {
    case SQL_ISOLATION_READ_UNCOMMITTED:
    case SQL_ISOLATION_READ_COMMITTED:
        return true;
    case SQL_ISOLATION_DEFAULT:
        return default_is_read_committed(s, node_id);
    case SQL_ISOLATION_REPEATABLE_READ:
        /* it cannot go on elsewhere when it comes to a table that the standby does not have */
        *movable_r = false;
        return begin->access == SQL_ACCESS_READ_ONLY && lookup_is_alike(s, &unknown);
    default:
        return false;
    }
}

/* A node to read from that is not the primary; -1: the transaction is for the primary. u: what it
 * reads, NULL: nobody knows yet. */
static int
reader_for(struct session *s, const struct unit *u)
{
    enum route_reason reason;
    bool stays = s->pinned || place_is_after_write(s, true);
    int node_id = stays ? -1 : place_reader(s, u, &reason);

    return node_id == s->host->view->primary_id ? -1 : node_id;
}

static void
keep_begin(struct session *s, const char *text, size_t len, bool movable)
{
    tx_fini(s);
    s->tx.begin = xmalloc(len + 1);
    memcpy(s->tx.begin, text, len);
    s->tx.begin[len] = '\0';
    s->tx.begin_len = (uint32_t)len;
    s->tx.movable = movable;
}

static const char *
begin_tag(const struct sql_statement *st, const char *text)
{
    return text[st->start] == 's' || text[st->start] == 'S' ? "START TRANSACTION" : "BEGIN";
}

/* A Bind without formats and values of parameters. */
static bool
binds_nothing(const uint8_t *msg, uint32_t len, const struct wire_bind *b)
{
    uint32_t at = WIRE_HEADER_BYTES + b->portal.len + b->statement.len + 2;

    return at + 4 <= len && num_get_u32(msg + at) == 0;
}

/* One message of a batch that holds nothing but our statement: its answer, as a server would give
 * it. False when it is none that we answer. */
static bool
answer_message(struct session *s, const uint8_t *msg, uint32_t len, const char *tag, struct buf *b)
{
    static const uint8_t no_parameters[] = {'t', 0, 0, 0, 6, 0, 0};
    struct wire_parse p;
    struct wire_bind bind;
    struct wire_target target;
    struct err err;

    switch (msg[0]) {
    case 'P':
        build_simple(b, '1');
        return wire_parse_parse(msg, len, &p, &err) == WIRE_OK && p.type_count == 0 &&
               (p.name.len == 0 || statements_find(s, p.name) == NULL);
    case 'B':
        build_simple(b, '2');
        return wire_parse_bind(msg, len, &bind, &err) == WIRE_OK && bind.portal.len == 0 &&
               binds_nothing(msg, len, &bind);
    case 'D':
        if (wire_parse_target(msg, len, &target, &err) != WIRE_OK)
            return false;
        if (target.kind == 'S')
            buf_add(b, no_parameters, sizeof(no_parameters));
        build_simple(b, 'n');
        return target.kind == 'S' || (target.kind == 'P' && target.name.len == 0);
    case 'E':
        build_command_complete(b, tag);
        return true;
    default:
        return msg[0] == 'S';
    }
}

/* What was parsed in the batch is known to the session from now on, and to no server. */
static void
remember_parsed(struct session *s, const uint8_t *bytes, const struct unit *u)
{
    struct wire_header h;
    struct wire_parse p;
    struct err err;

    for (size_t at = 0; at < u->bytes; at += h.total_bytes) {
        if (wire_client_header(bytes + at, u->bytes - at, &h, &err) != WIRE_OK)
            return;
        if (h.type == 'P' && wire_parse_parse(bytes + at, h.total_bytes, &p, &err) == WIRE_OK)
            statements_remember(s, &p);
    }
}

static bool
build_answer(struct session *s, const uint8_t *bytes, const struct unit *u, const char *tag,
             struct buf *b)
{
    struct wire_header h;
    struct err err;

    if (u->type == 'Q') {
        build_command_complete(b, tag);
        return true;
    }
    for (size_t at = 0; at < u->bytes; at += h.total_bytes) {
        if (wire_client_header(bytes + at, u->bytes - at, &h, &err) != WIRE_OK ||
            !answer_message(s, bytes + at, h.total_bytes, tag, b))
            return false;
    }
    remember_parsed(s, bytes, u);
    return true;
}

bool
tx_answer(struct session *s, const uint8_t *bytes, const struct unit *u, const char *tag,
          char status)
{
    struct buf b = BUF_EMPTY;
    bool done = build_answer(s, bytes, u, tag, &b);

    if (done) {
        s->tx_status = status;
        build_ready(&b, s->tx_status);
        session_send(s, &b);
    }
    buf_free(&b);
    return done;
}

/* The text of the unit's only statement. */
static bool
text_of(struct session *s, const uint8_t *bytes, const struct unit *u, struct wire_view *text_r)
{
    const struct statement *st;
    struct wire_header h;
    struct wire_bind bind;
    struct wire_parse p;
    struct err err;

    if (u->type == 'Q')
        return wire_parse_query(bytes, (uint32_t)u->bytes, text_r, &err) == WIRE_OK;
    for (size_t at = 0; at < u->bytes; at += h.total_bytes) {
        const uint8_t *msg = bytes + at;
        if (wire_client_header(msg, u->bytes - at, &h, &err) != WIRE_OK)
            return false;
        if (h.type == 'P' && wire_parse_parse(msg, h.total_bytes, &p, &err) == WIRE_OK) {
            *text_r = p.query;
            return true;
        }
        if (h.type != 'B')
            continue;
        if (wire_parse_bind(msg, h.total_bytes, &bind, &err) != WIRE_OK)
            return false;
        st = statements_find(s, bind.statement);
        if (st == NULL)
            return false;
        *text_r = statements_text(st);
        return true;
    }
    return false;
}

static bool
answers_end(struct session *s, const uint8_t *bytes, const struct unit *u)
{
    if (u->verb == SQL_COMMIT && tx_answer(s, bytes, u, "COMMIT", 'I')) {
        tx_fini(s);
        return true;
    }
    if (u->verb == SQL_ROLLBACK && tx_answer(s, bytes, u, "ROLLBACK", 'I')) {
        tx_fini(s);
        return true;
    }
    return false;
}

static bool
begins_with(struct session *s, const uint8_t *bytes, const struct unit *u, const char *word)
{
    const struct sql_facts *f;
    struct wire_view text;
    uint32_t at;

    if (!text_of(s, bytes, u, &text))
        return false;
    f = session_facts(s, text.data, text.len);
    at = f->statements[0].start;
    return at + strlen(word) <= text.len && str_equal_nocase_n(text.data + at, word, strlen(word));
}

/* PREPARE TRANSACTION rolls a failed transaction back, but a standby refuses the word at any time.
 */
static bool
rolls_back(struct session *s, const uint8_t *bytes, const struct unit *u)
{
    static const char sql[] = "ROLLBACK";
    struct buf b = BUF_EMPTY;

    if (u->verb != SQL_PREPARED_TX || u->type != 'Q' || !s->tx.on_reader || s->cur != s->reader ||
        s->cur->tx_status != 'E' || s->cur->pending.count > 0 ||
        !begins_with(s, bytes, u, "prepare"))
        return false;
    server_expect(s->cur, PENDING_QUERY, false, 0, NULL);
    build_query(&b, sql, sizeof(sql) - 1);
    server_send(s->cur, b.data, b.len);
    buf_free(&b);
    return true;
}

/* Its first statement is kept, to be run in front of the next one. */
static bool
defer(struct session *s, const uint8_t *bytes, const struct unit *u, bool movable)
{
    struct wire_view text;

    if (!text_of(s, bytes, u, &text))
        return false;
    keep_begin(s, text.data, text.len, movable);
    s->tx.deferred = true;
    if (copies_orders(s))
        copies_order_begins(s, &u->begin);
    return true;
}

/* Where it may run is known when it has a statement. */
static bool
may_defer(struct session *s, const struct unit *u, bool *movable_r)
{
    int node_id;

    *movable_r = false;
    if (copies_orders(s))
        return true;
    node_id = reader_for(s, NULL);
    return node_id >= 0 && may_read_there(s, &u->begin, node_id, movable_r);
}

bool
tx_answers(struct session *s, const uint8_t *bytes, const struct unit *u)
{
    struct wire_view text;
    bool movable;

    if (u->executed != 1 || !u->ends || s->batch != NULL || u->pass_left > 0 || u->chains)
        return false;
    if (s->tx.deferred)
        return answers_end(s, bytes, u);
    if (unlikely(rolls_back(s, bytes, u)))
        return true;
    if (!u->begins || s->tx_status != 'I')
        return false;
    if (!may_defer(s, u, &movable) || !text_of(s, bytes, u, &text) ||
        !tx_answer(s, bytes, u, begin_tag(&u->begin, text.data), 'T'))
        return false;
    return defer(s, bytes, u, movable);
}

/* The messages of the batch up to the first Execute: those of one statement and nothing else, with
 * their answers. */
static bool
build_first(struct session *s, const uint8_t *bytes, struct unit *first, const char *tag,
            struct buf *b)
{
    struct wire_header h;
    struct err err;
    uint32_t parses = 0;
    size_t at = 0;

    do {
        if (at >= first->bytes ||
            wire_client_header(bytes + at, first->bytes - at, &h, &err) != WIRE_OK)
            return false;
        parses += h.type == 'P';
        if (h.type == 'S' || h.type == 'C' || parses > 1 ||
            !answer_message(s, bytes + at, h.total_bytes, tag, b))
            return false;
        at += h.total_bytes;
    } while (h.type != 'E');
    first->bytes = at;
    return true;
}

size_t
tx_begins_alone(struct session *s, const uint8_t *bytes, const struct unit *u)
{
    struct unit first = *u;
    struct buf b = BUF_EMPTY;
    struct wire_view text;
    bool done = u->begins &&
                (copies_orders(s) || u->begin.isolation <= SQL_ISOLATION_READ_COMMITTED) &&
                text_of(s, bytes, u, &text);

    done = done && build_first(s, bytes, &first, begin_tag(&u->begin, text.data), &b) &&
           defer(s, bytes, &first, !copies_orders(s));
    if (done) {
        s->tx_status = 'T';
        remember_parsed(s, bytes, &first);
        session_send(s, &b);
    }
    buf_free(&b);
    return done ? first.bytes : 0;
}

bool
tx_batch_may_read(struct session *s, const struct unit *u)
{
    bool movable;
    int node_id;

    if (!u->begins || !u->tx_read || u->executed < 2 || s->tx_status != 'I')
        return false;
    node_id = reader_for(s, u);
    return node_id >= 0 && may_read_there(s, &u->begin, node_id, &movable);
}

/* A COMMIT or ROLLBACK ends it where it runs. PREPARE TRANSACTION is the primary's, whatever was
 * read before. */
static bool
ends_it(const struct unit *u)
{
    return u->executed == 1 && (u->verb == SQL_COMMIT || u->verb == SQL_ROLLBACK);
}

/* One that has failed there, or has the only snapshot that it may have, ends there; whether it has
 * ended, only its answers tell. */
static bool
stays_to_its_end(const struct session *s, const struct unit *u)
{
    return (s->cur->tx_status == 'E' || (!s->tx.movable && u->verb != SQL_PREPARED_TX)) &&
           (s->cur->pending.count == 0 || s->batch == s->reader);
}

bool
tx_stays_on_reader(struct session *s, const struct unit *u)
{
    return s->tx.on_reader && s->cur == s->reader &&
           ((u->tx_read && carried_at(s, u, s->cur->node_id)) || ends_it(u) ||
            stays_to_its_end(s, u) || s->cur->pending.skip_till_sync || s->cur->pending.copy_in ||
            u->type == 'S' || u->type == 'H');
}

void
tx_leave_reader(struct session *s)
{
    static const char sql[] = "COMMIT";

    server_run(s->reader, sql, sizeof(sql) - 1, 0);
    s->tx.on_reader = false;
    s->tx.left_reader = true;
    s->tx.deferred = true; /* to be begun again in front of what comes now */
}

void
tx_open(struct session *s, struct server *server, const struct unit *u)
{
    static const char query[] = "SELECT 1";

    if (likely(!s->tx.deferred))
        return;
    server_run_whole(server, s->tx.begin, s->tx.begin_len, CYCLE_BEGIN);
    /* SET TRANSACTION depends on whether there was a query */
    if (s->tx.left_reader && u->verb == SQL_SET_TX)
        server_run_whole(server, query, sizeof(query) - 1, CYCLE_BEGIN);
    s->tx.deferred = false;
    s->tx.on_reader = server == s->reader;
    if (!s->tx.on_reader)
        tx_fini(s);
}

void
tx_begun(struct session *s, struct server *server, const struct sql_statement *st,
         struct sql_text text)
{
    bool movable;

    if (server != s->reader || s->tx_status != 'I' ||
        !may_read_there(s, st, server->node_id, &movable))
        return;
    keep_begin(s, text.data, text.len, movable);
    s->tx.on_reader = true;
}

/*
 * Native replication: values of the main node's, which all nodes get in the statement's text.
 *
 * Asked for in the transaction of the statement; what comes back lies in c->values, in the order of
 * the questions. Called by copies.c and copies_batch.c. Invariant: sequences are drawn on all nodes
 * by the same questions, so that they stand at the same number everywhere; on each node the
 * transaction holds the gate then, so that all come in the same order behind setval() and
 * definitions, and none draws when the gate is not had.
 */
#include "session/copies.h"

#include "base/arena.h"
#include "sql/rewrite.h"
#include "wire/build.h"

#include <stdlib.h>
#include <string.h>

bool
copies_draws_values(const struct sql_determined *d)
{
    for (uint32_t n = 0; n < d->value_count; n++) {
        if (d->values[n].kind == SQL_VALUE_DRAWN)
            return true;
    }
    return false;
}

bool
copies_draws(struct session_copies *c, const uint8_t *bytes, const struct unit *u,
             const struct sql_determined *d)
{
    if (d->place_count == 0)
        return false;
    if (u->type != 'Q')
        return copies_batch_draws(c, bytes, u);
    return c->rule.executes ? copies_execute_draws(c, bytes, u) : copies_draws_values(d);
}

void
copies_ask_values(struct session_copies *c, const struct sql_determined *d)
{
    struct buf sql = BUF_EMPTY;

    sql_rewrite_question(d, false, &sql);
    copies_taught_ask(c, d, &sql);
    c->asks++;
    if (copies_draws_values(d)) {
        buf_clear(&sql);
        sql_rewrite_question(d, true, &sql);
        copies_draw(c, &sql);
        c->gate_due = GATE_NONE;
    }
    buf_free(&sql);
}

bool
copies_put_values(struct session_copies *c, const struct sql_determined *d, struct sql_text text,
                  size_t *at_io, struct buf *sql)
{
    struct sql_answer *answers = xcalloc(d->value_count + 1, sizeof(*answers));
    bool done = true;

    for (uint32_t n = 0; done && n < d->value_count; n++) {
        uint32_t len;
        done = *at_io + sizeof(len) <= c->values.len;
        if (!done)
            break;
        memcpy(&len, c->values.data + *at_io, sizeof(len));
        *at_io += sizeof(len);
        if (len == UINT32_MAX)
            continue;
        answers[n] = (struct sql_answer){(const char *)c->values.data + *at_io, len};
        *at_io += len;
    }
    done = done && sql_rewrite_literals(d, text, answers, sql);
    free(answers);
    return done;
}

void
copies_ask_unit(struct session_copies *c, const uint8_t *bytes, const struct unit *u,
                const struct sql_determined *d)
{
    if (u->type != 'Q')
        copies_batch_ask(c, bytes, u);
    else if (c->rule.executes)
        copies_execute_ask(c, bytes, u);
    else
        copies_ask_values(c, d);
}

static bool
take_query(struct session_copies *c, const uint8_t *bytes, const struct unit *u,
           const struct sql_determined *d)
{
    struct buf sql = BUF_EMPTY;
    struct wire_view text;
    struct err err;
    size_t at = 0;
    bool done = wire_parse_query(bytes, (uint32_t)u->bytes, &text, &err) == WIRE_OK &&
                copies_put_values(c, d, (struct sql_text){text.data, text.len}, &at, &sql) &&
                at == c->values.len;

    c->quoted = done && (memchr(text.data, '\'', text.len) != NULL ||
                         memchr(text.data, '$', text.len) != NULL);
    buf_clear(&c->text);
    build_query(&c->text, (const char *)sql.data, sql.len);
    c->unit.facts = session_facts(c->s, (const char *)sql.data, sql.len);
    buf_free(&sql);
    return done;
}

bool
copies_take_unit(struct session_copies *c, const uint8_t *bytes, const struct unit *u,
                 const struct sql_determined *d)
{
    if (u->type != 'Q')
        return copies_batch_take(c, bytes, u);
    return c->rule.executes ? copies_execute_take(c, bytes, u) : take_query(c, bytes, u, d);
}

void
copies_send_parses(struct session_copies *c, struct server *server)
{
    for (uint32_t n = 0; n < c->parsed; n++) {
        server_expect(server, PENDING_CLOSE, true, 0, NULL);
        server_expect(server, PENDING_PARSE, true, 0, NULL);
    }
    server_send(server, c->parses.data, c->parses.len);
    if (!c->query)
        return;
    server_expect(server, PENDING_SYNC, true, 0, NULL);
    server_send(server, "S\0\0\0\4", 5);
}

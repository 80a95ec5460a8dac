/*
 * Native replication: what servers are sent again and again, as prepared statements of ours.
 *
 * A server spends more on parsing and planning a short statement than on running it, and in this
 * mode each of them runs every write. So a statement of the simple protocol that is by key goes to
 * the copies with parameters in the place of its constants (sql/parameters.h), and the main node is
 * asked for values by a statement that it knows. Names, what a connection knows, how much of that
 * it keeps and when it is forgotten are those of the protocol's statements (statements_teach).
 * Called by copies_links.c and copies_values.c.
 *
 * Invariants: a statement is taught only when its text, without constants, has been seen before.
 * The main node gets the client's statements as they are, since its answer, with positions in the
 * text, is the client's. What is taught means the same as its text for as long as it may be found:
 * its scope is the session's search path and the catalog's epoch; where a session may see something
 * else than others do (temporary tables, definitions of its own), texts go as they are. When a
 * copy fails with any of it, the session goes on with texts.
 */
#include "session/copies.h"

#include "base/hash.h"
#include "base/num.h"
#include "sql/parameters.h"
#include "wire/build.h"

#include <string.h>

/* Was a text like this one sent before? From now on it was. */
static bool
was_seen(struct session_copies *c, const char *text, size_t len)
{
    uint64_t hash = hash_bytes(text, len);
    uint32_t print = (uint32_t)(hash >> 32) | 1;
    uint32_t *seen = &c->seen[hash % COPIES_SEEN];
    bool was = *seen == print;

    *seen = print;
    return was;
}

/* Does the session see what others see, now and as long as its connections know a statement? */
static bool
is_common(const struct session_copies *c)
{
    const struct session *s = c->s;

    return c->own == NULL && !s->defines && !s->pinned && !s->tx_local_path && s->keeps.kinds == 0;
}

static struct prepared *
prepared_of(struct session_copies *c, const struct sql_with_parameters *p)
{
    struct prepared_text content = {.query = p->text.data,
                                    .query_len = p->text.len,
                                    .types = p->types,
                                    .type_count = p->count,
                                    .scope = lookup_meaning(c->s)};

    return prepared_get(c->host->pool, &content);
}

/* Bind, Execute and Sync. */
static void
build_run(const struct prepared *prepared, const struct sql_with_parameters *p, struct buf *b)
{
    size_t len = 4 + 1 + prepared->name_len + 1u + 2 + 2 + p->values_len + 2;

    buf_add_u8(b, 'B');
    buf_add_u32(b, (uint32_t)len);
    buf_add_u8(b, 0);
    buf_add(b, prepared->name, prepared->name_len + 1u);
    buf_add_u16(b, 0);
    buf_add_u16(b, p->count);
    buf_add(b, p->values, p->values_len);
    buf_add_u16(b, 0);
    buf_add(b, "E\0\0\0\x09\0\0\0\0\0", 10);
    build_sync(b);
}

/* ---- the copies -------------------------------------------------------------------------------
 */

static bool
has_parameters(struct session_copies *c, struct sql_with_parameters *p_r)
{
    struct session *s = c->s;
    struct sql_options options = {.standard_conforming_strings = s->plain_strings,
                                  .server_version = s->host->view->server_version};
    struct wire_view text;
    struct err err;

    if (!c->by_key || c->literal || !is_common(c) ||
        wire_parse_query(c->text.data, (uint32_t)c->text.len, &text, &err) != WIRE_OK)
        return false;
    if (c->host->parameters == NULL)
        c->host->parameters = sql_parameters_new();
    return sql_parameters_take(c->host->parameters, (struct sql_text){text.data, text.len},
                               &options, p_r) &&
           was_seen(c, p_r->text.data, p_r->text.len) &&
           !(p_r->strings && copies_reads_intervals(s, (struct sql_text){text.data, text.len}));
}

void
copies_taught_begin(struct session_copies *c, struct copies_taught *t_r)
{
    struct sql_with_parameters p;

    *t_r = (struct copies_taught){.run = BUF_EMPTY};
    if (!has_parameters(c, &p))
        return;
    t_r->prepared = prepared_of(c, &p);
    build_run(t_r->prepared, &p, &t_r->run);
}

bool
copies_taught_send(struct copy *copy, const struct copies_taught *t)
{
    struct server *server = copy->server;

    if (t->prepared == NULL || server->spoilt)
        return false;
    statements_teach(copy->all->s, server, t->prepared);
    server_expect(server, PENDING_BIND, true, COPY_STATEMENT, NULL);
    server_expect(server, PENDING_EXECUTE, true, COPY_STATEMENT, NULL);
    server_expect(server, PENDING_SYNC, true, COPY_STATEMENT, NULL);
    server_send(server, t->run.data, t->run.len);
    return true;
}

void
copies_taught_end(struct copies_taught *t)
{
    if (t->prepared != NULL)
        prepared_put(t->prepared);
    buf_free(&t->run);
}

/* ---- the main node ----------------------------------------------------------------------------
 */

/* A literal is read when the statement is prepared, with the parameters of that moment. */
static bool
is_lasting(const struct sql_determined *d)
{
    for (uint32_t n = 0; n < d->value_count; n++) {
        struct sql_text expression = d->values[n].expression;
        if (d->values[n].kind == SQL_VALUE_DRAWN ||
            memchr(expression.data, '\'', expression.len) != NULL ||
            memchr(expression.data, '$', expression.len) != NULL)
            return false;
    }
    return true;
}

void
copies_taught_ask(struct session_copies *c, const struct sql_determined *d,
                  const struct buf *question)
{
    struct sql_with_parameters p = {
        .text = {(const char *)question->data, (uint32_t)question->len}};
    struct server *main = c->s->primary;
    struct prepared *prepared;
    struct buf run = BUF_EMPTY;

    if (c->literal || !is_common(c) || main->spoilt || !is_lasting(d) ||
        !was_seen(c, p.text.data, p.text.len)) {
        server_ask(main, p.text.data, p.text.len, CYCLE_VALUES);
        return;
    }
    prepared = prepared_of(c, &p);
    statements_teach(c->s, main, prepared);
    build_run(prepared, &p, &run);
    server_expect(main, PENDING_BIND, true, CYCLE_VALUES, NULL);
    server_expect_heard(main, PENDING_EXECUTE, CYCLE_VALUES);
    server_expect(main, PENDING_SYNC, true, CYCLE_VALUES, NULL);
    server_send(main, run.data, run.len);
    buf_free(&run);
    prepared_put(prepared);
}

void
copies_taught_failed(struct session_copies *c, struct server *server, struct err *err)
{
    static const char *const elsewhere[] = {"08", "25", "40", "55", "57"}; /* others' doing */
    bool own = true;

    for (size_t n = 0; n < ARRAY_LEN(elsewhere); n++)
        own &= strncmp(err->sqlstate, elsewhere[n], 2) != 0;
    c->literal |= own;
    if (strcmp(err->sqlstate, "26000") != 0)
        return;
    server_forgets_all(server); /* a function has said DEALLOCATE ALL */
    err_set(err, "40001", "prepared statements were deallocated where pgpool could not see it");
    err_hint(err, "Run the transaction again.");
}

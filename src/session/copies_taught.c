/*
 * Native replication: what servers are sent again and again, as prepared statements of ours.
 *
 * A server spends more on parsing and planning a short statement than on running it, and in this
 * mode each of them runs every write. So a statement of the simple protocol that is by key goes to
 * the copies with parameters in the place of its constants (sql/parameters.h), to the main node as
 * well where its answer is the same then (copies_main.c); and that is asked for values by a
 * statement that it knows. What begins a copy's transaction goes with its first statement,
 * likewise. Names, what a connection knows, how much of that it keeps and when it is forgotten are
 * those of the protocol's statements (statements_teach). Called by copies_main.c, copies_links.c
 * and copies_values.c.
 *
 * Invariants: a statement is taught only when its text, without constants, has been seen before,
 * and was not refused for its words. What is taught means the same as its text for as long as it
 * may be found: its scope is the session's search path and the catalog's epoch; where a session may
 * see something else than others do (temporary tables, definitions of its own), texts go as they
 * are. When a copy fails with any of it, the session goes on with texts.
 */
#include "session/copies.h"

#include "base/hash.h"
#include "base/num.h"
#include "base/str.h"
#include "sql/parameters.h"
#include "wire/build.h"

#include <string.h>

static const uint8_t execute[] = {'E', 0, 0, 0, 9, 0, 0, 0, 0, 0}; /* all rows */

/* Was a text like this one, with parameters of these types, sent before? From now on it was. The
 * few that share a set push out the one that was not sent for the longest time. */
static bool
was_seen(struct session_copies *c, const struct sql_with_parameters *p)
{
    uint64_t hash = hash_bytes(p->text.data, p->text.len);
    uint32_t *set;
    uint32_t print;
    uint32_t n = 0;
    bool was;

    if (p->count > 0)
        hash = hash * 31 + hash_bytes(p->types, (size_t)p->count * 4);
    print = (uint32_t)(hash >> 32) | 1;
    c->seen_at = hash % COPIES_SEEN_SETS * COPIES_SEEN_WAYS;
    set = &c->seen[c->seen_at];
    while (n < COPIES_SEEN_WAYS - 1 && set[n] != print)
        n++;
    was = set[n] == print;
    memmove(set + 1, set, n * sizeof(*set));
    set[0] = print;
    return was;
}

void
copies_taught_unseen(struct session_copies *c)
{
    c->seen[c->seen_at] = 0;
}

bool
copies_taught_is_common(const struct session_copies *c)
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

void
copies_taught_bind(const struct prepared *prepared, const struct sql_with_parameters *p,
                   struct buf *b)
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
}

/* Bind, Execute and Sync. */
static void
build_run(const struct prepared *prepared, const struct sql_with_parameters *p, struct buf *b)
{
    copies_taught_bind(prepared, p, b);
    buf_add(b, execute, sizeof(execute));
    build_sync(b);
}

/* ---- a Query ----------------------------------------------------------------------------------
 */

static struct sql_options
options_of(const struct session *s)
{
    return (struct sql_options){.standard_conforming_strings = s->plain_strings,
                                .server_version = s->host->view->server_version};
}

static struct sql_parameters *
parameters_of(struct session_copies *c)
{
    if (c->host->parameters == NULL)
        c->host->parameters = sql_parameters_new();
    return c->host->parameters;
}

bool
copies_taught_begin(struct session_copies *c, struct sql_text text, struct sql_with_parameters *p_r)
{
    struct sql_options options = options_of(c->s);

    if (!c->by_key || c->literal || !copies_taught_is_common(c) ||
        !sql_parameters_take(parameters_of(c), text, &options, p_r) || !was_seen(c, p_r) ||
        (p_r->strings && copies_reads_intervals(c->s, text)))
        return false;
    c->now.prepared = prepared_of(c, p_r);
    build_run(c->now.prepared, p_r, &c->now.run);
    return true;
}

struct prepared *
copies_taught_read(struct session_copies *c, struct sql_text text, struct sql_with_parameters *p_r)
{
    struct sql_options options = options_of(c->s);

    if (!copies_taught_is_common(c) ||
        !sql_parameters_take_read(parameters_of(c), text, &options, p_r) || !was_seen(c, p_r))
        return NULL;
    return prepared_of(c, p_r);
}

/* In front of the statement, up to the same Sync. */
static void
put_in_front(struct copy *copy, struct prepared **known, const char *sql)
{
    struct session_copies *c = copy->all;
    struct sql_with_parameters none = {.count = 0};
    struct prepared_text content = {.query = sql, .query_len = strlen(sql)};
    struct buf *b = &c->host->scratch;

    if (*known == NULL)
        *known = prepared_get(c->host->pool, &content);
    statements_teach(c->s, copy->server, *known);
    server_expect(copy->server, PENDING_BIND, true, 0, NULL);
    server_expect(copy->server, PENDING_EXECUTE, true, 0, NULL);
    buf_clear(b);
    copies_taught_bind(*known, &none, b);
    buf_add(b, execute, sizeof(execute));
    server_send(copy->server, b->data, b->len);
}

/* May the copy's transaction begin with BEGIN, and nothing more? */
static bool
begins_plainly(const struct session_copies *c)
{
    size_t len = c->begin.len;

    if (c->own_tx || len == 0)
        return true;
    len -= c->begin.data[len - 1] == ';';
    return len == 5 && str_equal_nocase_n((const char *)c->begin.data, "BEGIN", 5);
}

/* A server that is ready again says so at once, with a system call for each time. So what begins
 * the transaction goes with its first statement. */
static void
open_with_it(struct copy *copy)
{
    struct session_copies *c = copy->all;

    if (!begins_plainly(c))
        copies_open(copy);
    else if (copies_opens(copy))
        put_in_front(copy, &c->known_begin, "BEGIN");
    if (c->gate_due == GATE_SHARED)
        put_in_front(copy, &c->known_gate,
                     "SELECT pg_catalog.pg_advisory_xact_lock_shared(" GATE_LOCK_NUMBERS ")");
    else
        copies_gate_follow(copy);
}

bool
copies_taught_send(struct copy *copy)
{
    const struct copies_taught *t = &copy->all->now;
    struct server *server = copy->server;

    if (t->prepared == NULL || server->spoilt || copy->all->literal)
        return false;
    open_with_it(copy);
    statements_teach(copy->all->s, server, t->prepared);
    server_expect(server, PENDING_BIND, true, COPY_STATEMENT, NULL);
    server_expect(server, PENDING_EXECUTE, true, COPY_STATEMENT, NULL);
    server_expect(server, PENDING_SYNC, true, COPY_STATEMENT, NULL);
    server_send(server, t->run.data, t->run.len);
    return true;
}

void
copies_taught_fini(struct session_copies *c)
{
    copies_taught_end(c);
    buf_free(&c->now.run);
    if (c->known_begin != NULL)
        prepared_put(c->known_begin);
    if (c->known_gate != NULL)
        prepared_put(c->known_gate);
    c->known_begin = c->known_gate = NULL;
}

void
copies_taught_end(struct session_copies *c)
{
    if (c->now.prepared != NULL)
        prepared_put(c->now.prepared);
    c->now.prepared = NULL;
    buf_clear(&c->now.run);
}

/* ---- a question -------------------------------------------------------------------------------
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

    if (c->literal || !copies_taught_is_common(c) || main->spoilt || !is_lasting(d) ||
        !was_seen(c, &p)) {
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

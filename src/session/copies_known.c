/*
 * Native replication: what the catalog says of the tables and functions that a unit names.
 *
 * It is asked for on the main node's connection, in the transaction of the unit, so that temporary
 * tables and definitions that are not committed are seen. What anybody would be told is kept for
 * the whole child; what only this transaction sees, and what is asked anew because definitions have
 * overtaken the first answer, is kept for the unit alone. Called by copies.c
 * in front of the judgement, and by copies_rules.c and copies_batch.c for it. What is still not
 * known behind the questions counts as unequal (catalog/knowledge.h). Invariant: a text that is
 * judged more than once in a turn is judged by the same knowledge, whatever others define
 * meanwhile: the scope is looked up once.
 */
#include "session/copies.h"

#include "base/arena.h"
#include "catalog/catalog.h"

#include <stdlib.h>
#include <string.h>

enum { QUESTIONS_MAX = 3, OWN_BYTES = 512 * 1024 };

/* Does the transaction see something else than a new one of anybody's? */
static bool
sees_its_own(const struct session_copies *c)
{
    const struct session *s = c->s;

    if (s->defines || s->tx_local_path || s->pinned)
        return true;
    if (copies_orders(s)) /* who has an old snapshot is stopped (copies_order_is_stale) */
        return false;
    return s->serializable || c->set_tx ||
           (s->tx_status != 'I' &&
            (c->snapshot || !s->host->view->nodes[c->main_id].read_committed));
}

static struct knowledge *
knowledge_of(struct session_copies *c)
{
    return c->own != NULL ? c->own : c->host->knowledge;
}

static struct catalog_scope
scope_of(struct session_copies *c)
{
    struct catalog_scope scope = *lookup_scope(c->s);

    if (c->own != NULL) { /* all of it is of this unit, and no other scope is ever in it */
        scope.tag = 1;
        scope.epoch = 1;
    }
    return scope;
}

/* Definitions have overtaken the answer, which is for nobody else then. For the unit it is true as
 * of a moment behind its arrival, as any answer is: it is not refused because others define. */
static bool
is_overtaken(const struct session_copies *c)
{
    return c->questions > 0 && (c->own != NULL || c->questions + 1 == QUESTIONS_MAX ||
                                c->asked_scope.epoch != lookup_scope(c->s)->epoch);
}

static void
begin(struct session_copies *c)
{
    bool own = sees_its_own(c) || is_overtaken(c);

    if (c->own != NULL && (!own || c->questions == 0)) {
        knowledge_free(c->own);
        c->own = NULL;
    }
    if (own && c->own == NULL)
        c->own = knowledge_new(OWN_BYTES);
}

/* Adds what is not known. False: there is nothing. */
static bool
add_text(struct session_copies *c, struct sql_text text)
{
    struct knowledge *k = knowledge_of(c);
    const struct sql_facts *f = session_facts(c->s, text.data, text.len);
    struct knowledge_view v;
    bool known = knowledge_view_init(&v, k, &c->scope, f);

    knowledge_view_fini(&v);
    if (!known)
        knowledge_question_add(c->question, k, &c->scope, f);
    return !known;
}

static bool
add_statement(struct session_copies *c, struct sql_text text)
{
    struct copies_named named;
    bool adds = add_text(c, text);

    if (copies_executes(c->s, text, &named))
        adds |= add_text(c, named.text);
    return adds;
}

static bool
add_unit(struct session_copies *c, const uint8_t *bytes, const struct unit *u)
{
    struct wire_view text;
    struct err err;

    if (u->type != 'Q')
        return copies_batch_each(c->s, bytes, u, add_statement);
    return wire_parse_query(bytes, (uint32_t)u->bytes, &text, &err) == WIRE_OK &&
           add_statement(c, (struct sql_text){text.data, text.len});
}

bool
copies_asks(struct session_copies *c, const uint8_t *bytes, const struct unit *u, bool in_block,
            struct buf *sql)
{
    begin(c);
    c->scope = scope_of(c);
    if (copies_types_ask(c, bytes, u, sql)) {
        c->learns = true;
        return true;
    }
    if (c->questions >= QUESTIONS_MAX)
        return false;
    if (c->question == NULL)
        c->question = xcalloc(1, sizeof(*c->question));
    knowledge_question_clear(c->question);
    c->asked_scope = c->scope;
    if (!add_unit(c, bytes, u) || c->question->names.count == 0)
        return false;
    c->questions++;
    c->learns = c->sensible = true;
    knowledge_question_sql_within(c->question, in_block, sql);
    return true;
}

void
copies_hear(struct session_copies *c, const uint8_t *msg, size_t len)
{
    if (copies_types_hear(c, msg, len))
        return;
    c->sensible = c->sensible && knowledge_question_row(c->question, msg + WIRE_HEADER_BYTES,
                                                        len - WIRE_HEADER_BYTES);
}

void
copies_learn(struct session_copies *c, bool failed)
{
    c->learns = false;
    if (copies_types_learn(c, failed))
        return;
    if (!failed && c->sensible && c->own != NULL)
        knowledge_question_done(c->question, c->own, NULL, NULL, &c->asked_scope);
    else if (!failed && c->sensible)
        lookup_learned(c->s, c->question, &c->asked_scope);
    knowledge_question_clear(c->question);
}

void
copies_forget(struct session_copies *c)
{
    knowledge_free(c->own);
    c->own = NULL;
    if (c->question != NULL)
        knowledge_question_free(c->question);
    free(c->question);
    c->question = NULL;
}

int
copies_judge_text(struct session *s, struct sql_text text, struct sql_determined *d_r,
                  struct err *err)
{
    struct sql_options options = {.standard_conforming_strings = s->plain_strings,
                                  .server_version = s->host->view->server_version};
    const struct sql_facts *f = session_facts(s, text.data, text.len);
    struct knowledge_view v;

    knowledge_view_init(&v, knowledge_of(s->copies), &s->copies->scope, f);
    sql_determinism_judge(s->host->determinism, text, &options, &v.known, d_r);
    if (d_r->equality == SQL_UNEQUAL && v.missing.len > 0 && f->count == 1)
        err_set(&d_r->reason, "42P01", "relation \"%.*s\" does not exist", (int)v.missing.len,
                v.missing.data);
    knowledge_view_fini(&v);
    if (copies_calls_large_object(f))
        d_r->by_key = false;
    return d_r->equality == SQL_UNEQUAL ? copies_unsafe(s, &d_r->reason, err) : 0;
}

bool
copies_reads_intervals(struct session *s, struct sql_text text)
{
    const struct sql_facts *f = session_facts(s, text.data, text.len);
    struct knowledge_view v;
    bool reads = false;

    knowledge_view_init(&v, knowledge_of(s->copies), &s->copies->scope, f);
    for (uint32_t n = 0; n < f->statements[0].table_count; n++) {
        const struct sql_table *named = &f->statements[0].tables[n];
        const struct sql_known_table *t = v.known.table(v.known.ctx, named->schema, named->name);
        for (uint32_t at = 0; t != NULL && at < t->column_count; at++)
            reads |= strstr(t->columns[at].type, "interval") != NULL;
        reads |= t == NULL;
    }
    knowledge_view_fini(&v);
    return reads;
}

/* Does a column of this type take any int4 and any moment, or refuse it as soon as the statement is
 * parsed? */
static bool
takes_all(const char *type)
{
    static const char *const types[] = {"int4",          "int8",        "float8", "text",
                                        "\"timestamp\"", "timestamptz", "date"};
    static const char schema[] = "pg_catalog.";

    if (strncmp(type, schema, sizeof(schema) - 1) != 0)
        return false;
    for (size_t n = 0; n < ARRAY_LEN(types); n++) {
        if (strcmp(type + sizeof(schema) - 1, types[n]) == 0)
            return true;
    }
    return false;
}

/* written: ASCII, perhaps in quotes. */
static bool
is_called(const char *name, struct sql_text written)
{
    bool quoted = written.data[0] == '"';

    if (quoted)
        written = (struct sql_text){written.data + 1, written.len - 2};
    for (uint32_t n = 0; n < written.len; n++) {
        char c = written.data[n];
        if (!quoted && c >= 'A' && c <= 'Z')
            c += 'a' - 'A';
        if (c == '"' || name[n] != c) /* also at the name's end */
            return false;
    }
    return name[written.len] == '\0';
}

static bool
column_takes_all(const struct sql_known_table *t, struct sql_text written)
{
    for (uint32_t at = 0; at < t->column_count; at++) {
        if (is_called(t->columns[at].name, written))
            return takes_all(t->columns[at].type);
    }
    return false;
}

bool
copies_assigns_alike(struct session *s, struct sql_text text, const struct sql_with_parameters *p)
{
    const struct sql_facts *f = session_facts(s, text.data, text.len);
    const struct sql_known_table *t = NULL;
    struct knowledge_view v;
    bool alike = true;
    uint16_t first = 0;

    while (first < p->count && p->places[first].column.len == 0)
        first++;
    if (first == p->count)
        return true;
    if (f->statements[0].table_count != 1)
        return false;
    knowledge_view_init(&v, knowledge_of(s->copies), &s->copies->scope, f);
    t = v.known.table(v.known.ctx, f->statements[0].tables[0].schema,
                      f->statements[0].tables[0].name);
    for (uint16_t n = first; t != NULL && n < p->count; n++) {
        if (p->places[n].column.len > 0)
            alike = alike && column_takes_all(t, p->places[n].column);
    }
    knowledge_view_fini(&v);
    return t != NULL && alike;
}

/*
 * Native replication: PREPARE and EXECUTE in SQL.
 *
 * PREPARE runs on the main node alone, under the client's name: so whatever PostgreSQL says of
 * names is said by it. Its text is kept here. EXECUTE is judged as the statement it stands for, and
 * with its own arguments; it goes to the main node as the client has sent it, and to the copies
 * with a name of ours, under which they know the same statement by content, as they know those of
 * the protocol (statements_teach). It is made known there in front of the EXECUTE that needs it, so
 * a connection that is new lacks nothing. The types of its parameters are those that the main node
 * says it has: what would be found out on a copy might be another one, as the catalog changes.
 *
 * An EXECUTE that needs values of the main node's runs everywhere, also there, under another name
 * of ours, with the values as literals in what it stands for and in its arguments.
 *
 * When the main node is lost, the next one is told again what PREPARE has made, in front of the
 * session's next statement. Should it refuse that, the session ends.
 *
 * Called by copies_rules.c, copies_batch.c, copies_known.c, copies_values.c, copies.c, keeps.c
 * (another main node), and by statements.c, which keeps what is kept here. Invariant: nothing that
 * PREPARE has made runs on a copy unless this child has seen its text. Source: PostgreSQL's manual,
 * reference "PREPARE" and "EXECUTE", and view pg_prepared_statements.
 */
#include "session/copies.h"

#include "base/arena.h"
#include "base/num.h"
#include "config/config.h"
#include "sql/execute.h"
#include "sql/literal.h"
#include "wire/build.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_OF_USERS = 16384 }; /* numbers of types that are not the same on all nodes */

struct copies_prepared {
    uint64_t reading;  /* settings_reading() of when it was prepared, */
    uint32_t literals; /* ... and settings_literals() */
    bool typed;        /* PREPARE gives types */
    bool untyped;      /* nobody has asked for the types of its parameters yet */
    bool foreign;      /* they were given, and have other numbers on other nodes */
    bool gone;         /* the main node does not know it */
    bool harmless;     /* as the catalog was asked last, it leaves nothing in the session */
    uint16_t type_count;
    uint8_t *types; /* in network byte order */
    uint32_t query; /* where in the text what it prepares begins */
    uint32_t len;
    char text[]; /* PREPARE and all */
};

static struct sql_text
query_of(const struct copies_prepared *p)
{
    return (struct sql_text){p->text + p->query, p->len - p->query};
}

/* ---- what PREPARE has made --------------------------------------------------------------------
 */

struct copies_prepared *
copies_prepared_new(struct session *s, struct sql_text prepare)
{
    struct copies_prepared *p;
    struct sql_prepare parts;
    struct sql_text text;

    if (!sql_prepare_parts(prepare, 0, &parts))
        return NULL;
    text = (struct sql_text){prepare.data + parts.query, prepare.len - parts.query};
    p = xcalloc(1, sizeof(*p) + prepare.len + 1);
    p->reading = settings_reading(s);
    p->literals = settings_literals(s);
    p->typed = parts.types;
    p->untyped = parts.types || session_facts(s, text.data, text.len)->statements[0].has_parameters;
    p->query = (uint32_t)parts.query;
    p->len = prepare.len;
    memcpy(p->text, prepare.data, prepare.len);
    return p;
}

void
copies_prepared_free(struct copies_prepared *p)
{
    if (p != NULL)
        free(p->types);
    free(p);
}

size_t
copies_prepared_bytes(const struct copies_prepared *p)
{
    return sizeof(*p) + p->len + 1;
}

/* ---- what EXECUTE names ------------------------------------------------------------------------
 */

bool
copies_named_of(struct statement *st, struct copies_named *n_r)
{
    const struct copies_prepared *p = st->by_sql;

    *n_r = (struct copies_named){.st = st, .prepared = st->by_sql};
    if (p != NULL) {
        n_r->text = query_of(p);
        n_r->types = p->types;
        n_r->type_count = p->type_count;
    } else if (st->prepared != NULL) {
        n_r->text = (struct sql_text){st->prepared->query, st->prepared->query_len};
        n_r->types = st->prepared->types;
        n_r->type_count = st->prepared->type_count;
    }
    return n_r->text.data != NULL;
}

static struct statement *
find(struct session *s, struct sql_text name)
{
    return statements_find(s, (struct wire_view){name.data, name.len});
}

bool
copies_executes(struct session *s, struct sql_text text, struct copies_named *n_r)
{
    const struct sql_facts *f = session_facts(s, text.data, text.len);
    struct statement *st;

    if (f->count != 1 || f->statements[0].kind != SQL_EXECUTE)
        return false;
    st = find(s, f->statements[0].name);
    return st != NULL && copies_named_of(st, n_r);
}

bool
copies_execute_asks(struct session *s, struct statement *st)
{
    struct sql_text query;
    struct verdict v;

    if (st == NULL)
        return false;
    if (st->by_sql == NULL)
        return !statements_judge(s, st);
    query = query_of(st->by_sql);
    v = lookup_verdict(s, session_facts(s, query.data, query.len));
    st->by_sql->harmless = !v.unknown && v.touches_session == 0;
    return v.unknown;
}

bool
copies_prepared_is_harmless(const struct statement *st)
{
    return st->by_sql != NULL && st->by_sql->harmless;
}

bool
copies_execute_is_harmless(struct session *s, const struct sql_statement *execute)
{
    const struct statement *st = find(s, execute->name);

    return st != NULL && copies_prepared_is_harmless(st) &&
           execute->function_count + execute->operator_count + execute->type_count == 0;
}

bool
copies_text_asks(struct session *s, const struct sql_facts *f)
{
    if (f->count != 1 || f->statements[0].name.len == 0 ||
        (f->statements[0].kind != SQL_EXECUTE && f->statements[0].inner_kind != SQL_EXECUTE))
        return false;
    return copies_execute_asks(s, find(s, f->statements[0].name));
}

/* ---- the rule ---------------------------------------------------------------------------------
 */

static struct copies_rule
refuse(struct err *err, const char *what, const char *hint)
{
    err_set(err, "0A000", "%s cannot be run on all nodes (native_replication)", what);
    err_hint(err, "%s", hint);
    return (struct copies_rule){.way = COPIES_REFUSED};
}

/* It may be there all the same, by ways that nobody here has seen: it must not run there alone. */
static struct copies_rule
rule_of_unknown(const struct copies_look *look, struct err *err)
{
    err_set(err, "26000", "prepared statement \"%.*s\" does not exist",
            (int)MIN(look->st->name.len, 63u), look->st->name.data);
    return (struct copies_rule){.way = COPIES_REFUSED};
}

static bool
is_query(enum sql_kind kind)
{
    return kind == SQL_SELECT || kind == SQL_INSERT || kind == SQL_UPDATE || kind == SQL_DELETE ||
           kind == SQL_MERGE;
}

static bool
is_plain(struct sql_text text)
{
    for (uint32_t n = 0; n < text.len; n++) {
        if (text.data[n] == '\\' || (unsigned char)text.data[n] >= 128)
            return false;
    }
    return true;
}

/* Would a server read it now as the main node has? */
static bool
reads_alike(const struct session *s, const struct copies_prepared *p)
{
    struct sql_text text = {p->text, p->len};

    return (p->reading == settings_reading(s) || is_plain(text)) &&
           (p->literals == settings_literals(s) || !settings_text_has_literals(text));
}

bool
copies_reads_alike(const struct session *s, const struct statement *st, struct sql_text text)
{
    return st->literals == settings_literals(s) || !settings_text_has_literals(text);
}

static struct copies_rule
rule_of_writing(struct session *s, const struct copies_named *named, struct copies_rule r,
                struct err *err)
{
    const struct copies_prepared *p = named->prepared;

    if (r.reads)
        return (struct copies_rule){.way = COPIES_AS_ALWAYS};
    if (p != NULL && session_pool_mode(s) == CONFIG_POOL_MODE_TRANSACTION)
        return refuse(err, "EXECUTE of a statement that may write, with pool_mode = transaction,",
                      "Send the statement itself, or use the protocol's prepared statements.");
    if (p != NULL ? !reads_alike(s, p) : !copies_reads_alike(s, named->st, named->text))
        return refuse(err,
                      "what was prepared under other parameters by which its literals are read "
                      "(TimeZone, DateStyle, client_encoding and their like)",
                      "Prepare it again.");
    r.executes = true;
    return r;
}

struct copies_rule
copies_rule_of_named(const struct copies_look *look, struct statement *st, struct err *err)
{
    struct copies_look inner = *look;
    struct copies_named named;
    const struct sql_facts *f;
    struct copies_rule r;

    if (!copies_named_of(st, &named))
        return refuse(err, "a prepared statement whose text is not known",
                      "Prepare it under a plainer name.");
    f = session_facts(look->s, named.text.data, named.text.len);
    if (!f->understood || f->count != 1 || !is_query(f->statements[0].kind))
        return refuse(err, "EXECUTE of a statement that is not understood",
                      "Send the statement itself.");
    inner.may_write = lookup_verdict(look->s, f).may_write;
    f = session_facts(look->s, named.text.data, named.text.len);
    inner.st = &f->statements[0];
    inner.text = named.text.data;
    r = copies_rule_of(&inner, err);
    return r.way == COPIES_ALL ? rule_of_writing(look->s, &named, r, err) : r;
}

/* Arguments run whatever they are for. */
static bool
arguments_may_write(const struct sql_statement *st)
{
    for (uint32_t n = 0; n < st->function_count; n++) {
        if (st->functions[n].function_class != SQL_FUNCTION_SAFE)
            return true;
    }
    return st->operator_count > 0 || st->type_count > 0;
}

struct copies_rule
copies_rule_of_execute(const struct copies_look *look, struct err *err)
{
    struct statement *st;
    struct sql_prepare parts;
    struct copies_rule r;
    bool known, writes;

    if (look->several)
        return refuse(err, "EXECUTE among other statements in one query", "Send them one by one.");
    st = find(look->s, look->st->name);
    if (st == NULL)
        return rule_of_unknown(look, err);
    known =
        sql_execute_parts((struct sql_text){look->text, look->st->end}, look->st->start, &parts);
    writes = arguments_may_write(look->st);
    r = copies_rule_of_named(look, st, err);
    if (r.way == COPIES_AS_ALWAYS && writes)
        r = (struct copies_rule){
            .way = COPIES_ALL, .judged = true, .writes = true, .executes = true};
    if (r.way == COPIES_ALL && !known)
        return refuse(err, "EXECUTE of a name that is written so", "Give it a plainer name.");
    return r;
}

struct copies_rule
copies_rule_of_explained(const struct copies_look *look, struct err *err)
{
    struct copies_rule r = {.way = COPIES_AS_ALWAYS};
    struct statement *st;

    if (arguments_may_write(look->st))
        return refuse(err, "EXPLAIN EXECUTE with arguments that are more than values",
                      "Explain the statement itself.");
    if (!look->st->analyze)
        return r;
    st = find(look->s, look->st->name);
    r = st != NULL ? copies_rule_of_named(look, st, err) : rule_of_unknown(look, err);
    if (r.way != COPIES_ALL)
        return r;
    return refuse(err, "EXPLAIN ANALYZE EXECUTE of a statement that may write",
                  "Explain the statement itself.");
}

/* ---- does it do the same everywhere? -----------------------------------------------------------
 */

bool
copies_named_is_bad(const struct copies_named *named, struct err *err)
{
    const struct copies_prepared *p = named->prepared;

    if (p == NULL || !(p->gone || p->foreign))
        return false;
    if (p->gone) {
        err_set(err, "26000", "prepared statement \"%s\" does not exist", named->st->name);
        return true;
    }
    err_set(err, "0A000",
            "a statement that was prepared with types of a user's own cannot be run on all nodes "
            "(native_replication)");
    err_hint(err, "Leave its types out of PREPARE, and cast its parameters where they stand.");
    return true;
}

int
copies_judge_statement(struct session *s, struct sql_text text, struct sql_determined *d_r,
                       struct err *err)
{
    struct copies_named named;
    struct sql_determined d;
    bool executes = copies_executes(s, text, &named);

    if (executes && copies_named_is_bad(&named, err))
        return -1;
    if (copies_judge_text(s, text, &d, err) != 0)
        return -1;
    *d_r = d;
    if (!executes)
        return 0;
    if (copies_judge_text(s, named.text, &d, err) != 0)
        return -1;
    *d_r = (struct sql_determined){.equality = SQL_EQUAL,
                                   .place_count = d_r->place_count + d.place_count,
                                   .by_key = d_r->by_key && d.by_key};
    return 0;
}

/* ---- types of parameters -----------------------------------------------------------------------
 */

/* Of the unit: what must be asked for. NULL: nothing. */
static struct statement *
untyped_in(struct session *s, const uint8_t *bytes, const struct unit *u)
{
    const struct sql_facts *f;
    struct statement *st;
    struct wire_view text;
    struct err err;

    if (u->type != 'Q')
        return copies_batch_untyped(s, bytes, u);
    if (!s->copies->rule.executes ||
        wire_parse_query(bytes, (uint32_t)u->bytes, &text, &err) != WIRE_OK)
        return NULL;
    f = session_facts(s, text.data, text.len);
    st = find(s, f->statements[0].name);
    return copies_is_untyped(st) ? st : NULL;
}

bool
copies_is_untyped(const struct statement *st)
{
    return st != NULL && st->by_sql != NULL && st->by_sql->untyped;
}

bool
copies_types_ask(struct session_copies *c, const uint8_t *bytes, const struct unit *u,
                 struct buf *sql)
{
    const struct statement *st = untyped_in(c->s, bytes, u);

    if (st == NULL)
        return false;
    buf_clear(&c->untyped);
    buf_clear(&c->types);
    buf_add(&c->untyped, st->name, st->name_len);
    buf_add_str(sql, "SELECT t.t::pg_catalog.oid FROM pg_catalog.pg_prepared_statements AS p, "
                     "pg_catalog.unnest(p.parameter_types) WITH ORDINALITY AS t(t, n) "
                     "WHERE p.name OPERATOR(pg_catalog.=) ");
    sql_add_literal(sql, (struct sql_text){st->name, st->name_len});
    buf_add_str(sql, " ORDER BY t.n");
    return true;
}

bool
copies_types_hear(struct session_copies *c, const uint8_t *msg, size_t len)
{
    struct wire_view oid = wire_column(msg, (uint32_t)len, 0);
    uint32_t number = 0;

    if (c->untyped.len == 0)
        return false;
    for (uint32_t n = 0; oid.data != NULL && n < oid.len; n++)
        number = number * 10 + (uint32_t)(oid.data[n] - '0');
    buf_add_u32(&c->types, number);
    return true;
}

/* What a user has defined has another number on each node: there it is found out anew. */
static void
take_types(struct copies_prepared *p, struct buf *types)
{
    p->gone = types->len == 0 || types->len / 4 > UINT16_MAX;
    if (p->gone)
        return;
    for (size_t at = 0; at < types->len; at += 4) {
        if (num_get_u32(types->data + at) < FIRST_OF_USERS)
            continue;
        p->foreign |= p->typed;
        num_put_u32(types->data + at, 0);
    }
    p->types = xmalloc(types->len);
    memcpy(p->types, types->data, types->len);
    p->type_count = (uint16_t)(types->len / 4);
}

bool
copies_types_learn(struct session_copies *c, bool failed)
{
    struct statement *st;

    if (c->untyped.len == 0)
        return false;
    st = find(c->s, (struct sql_text){(const char *)c->untyped.data, (uint32_t)c->untyped.len});
    if (!failed && copies_is_untyped(st)) {
        st->by_sql->untyped = false;
        take_types(st->by_sql, &c->types);
    }
    buf_free(&c->untyped);
    buf_free(&c->types);
    return true;
}

/* ---- another main node -------------------------------------------------------------------------
 */

struct again {
    const struct session *s;
    bool alike;
};

static bool
compare_reading(void *ctx, const void *key UNUSED, size_t key_len UNUSED, void *value)
{
    struct again *a = ctx;
    const struct statement *st = value;

    a->alike &= st->by_sql == NULL || reads_alike(a->s, st->by_sql);
    return a->alike;
}

bool
copies_may_prepare_again(const struct session *s)
{
    struct again a = {s, session_pool_mode(s) != CONFIG_POOL_MODE_TRANSACTION};

    if (a.alike)
        map_visit(&s->statements, compare_reading, &a);
    return a.alike;
}

static bool
prepare_again(void *ctx, const void *key UNUSED, size_t key_len UNUSED, void *value)
{
    struct server *server = ctx;
    const struct statement *st = value;
    const struct copies_prepared *p = st->by_sql;

    if (p != NULL && !p->gone)
        server_run_whole(server, p->text, p->len, CYCLE_SETTING);
    return true;
}

uint64_t
copies_prepared_meaning(struct session_copies *c)
{
    return lookup_meaning(c->s) + c->prepared_again;
}

void
copies_statements_lost(struct session *s)
{
    s->copies->prepares = true;
}

bool
copies_prepares_again(struct session *s, struct server *server)
{
    struct session_copies *c = s->copies;

    if (likely(!c->prepares))
        return false;
    c->prepares = false;
    map_visit(&s->statements, prepare_again, server);
    if (server->pending.count == 0)
        return false;
    c->prepared_again++; /* its names may mean something else by now, and then on all nodes */
    session_keep(s, SESSION_KEEPS_STATEMENT);
    s->replaying = server;
    s->stall = STALL_ANSWERS;
    return true;
}

/* ---- names of ours -----------------------------------------------------------------------------
 */

void
copies_execute_forget(struct session_copies *c)
{
    for (size_t at = 0; at < c->taught.len; at += sizeof(struct prepared *)) {
        struct prepared *prepared;
        memcpy(&prepared, c->taught.data + at, sizeof(struct prepared *));
        prepared_put(prepared);
    }
    buf_free(&c->taught);
}

/* The text of an EXECUTE with this name in it. False: it is not known where the name stands. */
static bool
rename_execute(struct session *s, struct sql_text text, const char *name, struct buf *sql)
{
    const struct sql_facts *f = session_facts(s, text.data, text.len);
    struct sql_prepare parts;

    if (!sql_execute_parts(text, f->statements[0].start, &parts))
        return false;
    buf_add(sql, text.data, parts.name);
    buf_add_str(sql, name);
    buf_add(sql, text.data + parts.name_end, text.len - parts.name_end);
    return true;
}

struct prepared *
copies_execute_rename(struct session_copies *c, struct sql_text text, struct buf *sql)
{
    struct copies_named named;
    struct prepared_text content;
    struct prepared *prepared;

    if (!copies_executes(c->s, text, &named))
        return NULL;
    content = (struct prepared_text){named.text.data, named.text.len, named.types, named.type_count,
                                     copies_prepared_meaning(c)};
    prepared = prepared_get(c->host->pool, &content);
    buf_add(&c->taught, &prepared, sizeof(struct prepared *));
    return rename_execute(c->s, text, prepared->name, sql) ? prepared : NULL;
}

void
copies_execute_keep(struct session_copies *c, const uint8_t *bytes, const struct unit *u)
{
    struct buf sql = BUF_EMPTY;
    struct wire_view text;
    struct err err;

    copies_execute_forget(c);
    c->parsed = 0;
    buf_clear(&c->text);
    if (wire_parse_query(bytes, (uint32_t)u->bytes, &text, &err) == WIRE_OK &&
        copies_execute_rename(c, (struct sql_text){text.data, text.len}, &sql) != NULL)
        build_query(&c->text, (const char *)sql.data, sql.len);
    else
        buf_add(&c->text, bytes, u->bytes); /* they do not know it: nothing is committed */
    buf_free(&sql);
}

void
copies_execute_teach(struct copy *copy)
{
    struct session_copies *c = copy->all;
    struct prepared *prepared;

    if (c->parsed > 0) {
        copies_send_parses(c, copy->server);
        return;
    }
    if (c->taught.len < sizeof(struct prepared *))
        return;
    memcpy(&prepared, c->taught.data, sizeof(struct prepared *));
    if (server_knows(copy->server, prepared))
        return;
    statements_teach(c->s, copy->server, prepared);
    server_expect(copy->server, PENDING_SYNC, true, 0, NULL);
    server_send(copy->server, "S\0\0\0\4", 5);
}

/* ---- values -----------------------------------------------------------------------------------
 */

static bool
texts_of(struct session *s, const uint8_t *bytes, const struct unit *u, struct sql_text *execute_r,
         struct copies_named *named_r)
{
    struct wire_view text;
    struct err err;

    if (wire_parse_query(bytes, (uint32_t)u->bytes, &text, &err) != WIRE_OK)
        return false;
    *execute_r = (struct sql_text){text.data, text.len};
    return copies_executes(s, *execute_r, named_r);
}

static void
ask_of(struct session_copies *c, struct sql_text text)
{
    struct sql_determined d;
    struct err err;

    if (copies_judge_text(c->s, text, &d, &err) == 0 && d.place_count > 0)
        copies_ask_values(c, &d);
}

static bool
draws(struct session_copies *c, struct sql_text text)
{
    struct sql_determined d;
    struct err err;

    return copies_judge_text(c->s, text, &d, &err) == 0 && copies_draws_values(&d);
}

bool
copies_execute_draws(struct session_copies *c, const uint8_t *bytes, const struct unit *u)
{
    struct copies_named named;
    struct sql_text execute;

    return texts_of(c->s, bytes, u, &execute, &named) &&
           (draws(c, execute) || draws(c, named.text));
}

void
copies_execute_ask(struct session_copies *c, const uint8_t *bytes, const struct unit *u)
{
    struct copies_named named;
    struct sql_text execute;

    if (!texts_of(c->s, bytes, u, &execute, &named))
        return;
    ask_of(c, execute);
    ask_of(c, named.text);
}

/* The text with the values that were told for it. */
static bool
fill(struct session_copies *c, struct sql_text text, size_t *at_io, struct buf *sql)
{
    struct sql_determined d;
    struct err err;

    if (copies_judge_text(c->s, text, &d, &err) != 0)
        return false;
    if (d.place_count > 0)
        return copies_put_values(c, &d, text, at_io, sql);
    buf_add(sql, text.data, text.len);
    return true;
}

bool
copies_execute_take(struct session_copies *c, const uint8_t *bytes, const struct unit *u)
{
    static const char name[] = "pgpool_v0";
    struct buf execute = BUF_EMPTY;
    struct buf inner = BUF_EMPTY;
    struct copies_named named;
    struct wire_parse p;
    struct sql_text text;
    size_t at = 0;
    bool done;

    done = texts_of(c->s, bytes, u, &text, &named) && fill(c, text, &at, &inner);
    done = done && rename_execute(c->s, (struct sql_text){(char *)inner.data, (uint32_t)inner.len},
                                  name, &execute);
    buf_clear(&inner);
    done = done && fill(c, named.text, &at, &inner) && at == c->values.len;
    if (done) {
        p = (struct wire_parse){{name, sizeof(name) - 1},
                                {(char *)inner.data, (uint32_t)inner.len},
                                named.type_count,
                                named.types};
        buf_clear(&c->parses);
        build_close(&c->parses, 'S', name, sizeof(name) - 1);
        build_parse(&c->parses, &p);
        c->parsed = 1;
        buf_clear(&c->text);
        build_query(&c->text, (const char *)execute.data, execute.len);
        c->unit.facts = session_facts(c->s, (const char *)execute.data, execute.len);
    }
    buf_free(&execute);
    buf_free(&inner);
    return done;
}

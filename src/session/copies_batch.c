/*
 * Native replication: batches of the extended protocol.
 *
 * The main node gets a batch as the client has sent it. What it has executed in it that is for all
 * nodes goes to the copies when it has answered the whole batch without an error: Parse where they
 * do not know the statement, Bind with the client's values, Execute without a limit, and one Sync.
 * Of a batch that has failed on the main node they get nothing: whatever of it was executed is
 * undone there with its transaction, or by ROLLBACK TO.
 *
 * Called by copies_rules.c and copies.c, and by copies_links.c when a batch is to be sent.
 */
#include "session/copies.h"

#include "base/num.h"
#include "base/str.h"
#include "wire/build.h"

#include <stdio.h>
#include <string.h>

/* A Bind in a batch, and what it binds. */
struct bound {
    const uint8_t *msg; /* Bind */
    uint32_t len;
    struct wire_bind bind;
    struct wire_view text;
    const uint8_t *types; /* of parameters, in network byte order */
    uint16_t type_count;
    bool named;
    bool whole;               /* its portal is executed next, without a limit */
    bool unknown;             /* made by PREPARE, and its text is not known */
    struct statement *by_sql; /* it is of PREPARE's; NULL */
    bool stale;               /* its literals would not be read now as they were */
};

struct walk {
    struct session *s;
    const uint8_t *bytes;
    size_t len;
    size_t at;
};

/* In front of a position in the batch: the last Parse of this name. */
static bool
parsed_before(const struct walk *w, size_t before, struct wire_view name, struct wire_parse *p_r)
{
    struct wire_parse p;
    struct wire_header h;
    struct err err;
    bool found = false;

    for (size_t at = 0; at < before; at += h.total_bytes) {
        if (wire_client_header(w->bytes + at, w->len - at, &h, &err) != WIRE_OK)
            break;
        if (h.type != 'P' || wire_parse_parse(w->bytes + at, h.total_bytes, &p, &err) != WIRE_OK ||
            p.name.len != name.len ||
            (name.len > 0 && memcmp(p.name.data, name.data, name.len) != 0))
            continue;
        *p_r = p;
        found = true;
    }
    return found;
}

/* Is its portal executed as a whole, before anything else is bound? */
static bool
is_executed(const struct walk *w, size_t at, struct wire_view portal)
{
    struct wire_execute e;
    struct wire_header h;
    struct err err;

    for (; at < w->len; at += h.total_bytes) {
        if (wire_client_header(w->bytes + at, w->len - at, &h, &err) != WIRE_OK || h.type == 'B')
            return false;
        if (h.type != 'E')
            continue;
        return wire_parse_execute(w->bytes + at, h.total_bytes, &e, &err) == WIRE_OK &&
               e.max_rows == 0 && e.portal.len == portal.len &&
               (portal.len == 0 || memcmp(e.portal.data, portal.data, portal.len) == 0);
    }
    return false;
}

/* What is bound by it: false when nobody here knows. */
static bool
look_up(const struct walk *w, size_t before, struct bound *b)
{
    struct copies_named named;
    struct statement *st;
    struct wire_parse p;

    b->named = b->bind.statement.len > 0;
    if (parsed_before(w, before, b->bind.statement, &p)) {
        b->text = p.query;
        b->types = p.types;
        b->type_count = p.type_count;
        return true;
    }
    st = statements_find(w->s, b->bind.statement);
    if (st == NULL)
        return false;
    b->unknown = !copies_named_of(st, &named);
    if (b->unknown)
        return true;
    b->by_sql = named.prepared != NULL ? st : NULL;
    b->stale = b->by_sql == NULL && !copies_reads_alike(w->s, st, named.text);
    b->text = (struct wire_view){named.text.data, named.text.len};
    b->types = named.types;
    b->type_count = named.type_count;
    return true;
}

/* 1: the next Bind. 0: there is none. -1: it cannot be understood. */
static int
next_bound(struct walk *w, struct bound *b)
{
    struct wire_header h;
    struct err err;

    while (w->at < w->len) {
        size_t at = w->at;
        if (wire_client_header(w->bytes + at, w->len - at, &h, &err) != WIRE_OK)
            return -1;
        w->at += h.total_bytes;
        if (h.type != 'B')
            continue;
        *b = (struct bound){.msg = w->bytes + at, .len = h.total_bytes};
        if (wire_parse_bind(b->msg, b->len, &b->bind, &err) != WIRE_OK || !look_up(w, at, b))
            return -1;
        b->whole = is_executed(w, w->at, b->bind.portal);
        return 1;
    }
    return 0;
}

/* ---- pieces -----------------------------------------------------------------------------------
 */

/* Behind the last Execute in front of the next Bind; 0: there is none. more_r: is there anything
 * else to be run behind it? */
static size_t
behind_execute(const struct walk *w, bool *more_r)
{
    size_t behind = 0;
    struct wire_header h;
    struct err err;

    *more_r = false;
    for (size_t at = w->at; at < w->len; at += h.total_bytes) {
        if (wire_client_header(w->bytes + at, w->len - at, &h, &err) != WIRE_OK)
            break;
        *more_r |= h.type == 'P' || h.type == 'B';
        if (h.type == 'B')
            break;
        if (h.type == 'E')
            behind = at + h.total_bytes;
    }
    return behind;
}

static bool
sets(enum sql_kind kind)
{
    return kind == SQL_SET || kind == SQL_SET_SESSION || kind == SQL_SET_LOCAL ||
           kind == SQL_RESET_ALL;
}

static bool
calls_set_config(const struct sql_statement *st)
{
    for (uint32_t n = 0; n < st->function_count; n++) {
        const struct sql_function *f = &st->functions[n];
        if (f->function_class == SQL_FUNCTION_SESSION && sql_text_begins(f->name, "set_config"))
            return true;
    }
    return false;
}

/* What stands behind PREPARE and SET is looked at when that has succeeded. */
static bool
stands_alone(const struct sql_facts *f)
{
    if (f->count != 1)
        return false;
    switch (f->statements[0].kind) {
    case SQL_COMMIT:
    case SQL_ROLLBACK:
    case SQL_SAVEPOINT:
    case SQL_PREPARE:
    case SQL_DEALLOCATE:
        return true;
    default:
        return sets(f->statements[0].kind) || calls_set_config(&f->statements[0]);
    }
}

size_t
copies_batch_cut(struct session *s, const uint8_t *bytes, size_t len)
{
    struct walk w = {.s = s, .bytes = bytes, .len = len};
    size_t before = 0;
    struct bound b;

    while (next_bound(&w, &b) > 0) {
        bool more;
        size_t behind = behind_execute(&w, &more);
        if (b.unknown)
            return 0;
        if (stands_alone(session_facts(s, b.text.data, b.text.len)))
            return before > 0 ? before : more ? behind : 0;
        if (behind > 0)
            before = behind;
    }
    return 0;
}

/* ---- what becomes of it ------------------------------------------------------------------------
 */

static struct copies_rule
refuse(struct err *err, const char *what, const char *hint)
{
    err_set(err, "0A000", "%s cannot be run on all nodes (native_replication)", what);
    err_hint(err, "%s", hint);
    return (struct copies_rule){.way = COPIES_REFUSED};
}

/* What a batch is made of. */
struct mix {
    struct copies_rule rule; /* of all */
    uint32_t count;
    bool verbs;   /* the end of a transaction, or a savepoint */
    bool special; /* something that is neither a read nor for all in a transaction */
    bool parts;   /* a portal that is not executed as a whole */
    bool sets;    /* parameters; */
    bool renames; /* ... by which texts and names behind it mean something else */
    bool renamed; /* what is judged stands behind such */
};

/* What c->for_all says of a Bind. */
enum {
    FOR_ONE,
    FOR_ALL,
    WITH_OTHERS, /* for all nodes, if any of its batch is */
};

static void
add(struct mix *m, const struct copies_rule *r, const struct sql_statement *st,
    const struct bound *b)
{
    bool plain = r->way == COPIES_ALL || r->way == COPIES_AS_ALWAYS;

    m->verbs |= st->kind == SQL_COMMIT || st->kind == SQL_ROLLBACK || st->kind == SQL_SAVEPOINT;
    m->special |= !plain;
    m->parts |= !b->whole;
    m->rule.behind_set |= r->judged && m->sets;
    m->renamed |= r->judged && m->renames;
    m->sets |= r->sets;
    if (r->sets)
        m->renames |= st->kind == SQL_RESET_ALL || st->kind == SQL_SELECT ||
                      lookup_is_path(st->name) || settings_is_reading(st->name);
    if (m->count++ == 0) {
        m->rule = *r;
        return;
    }
    if (r->way != COPIES_AS_ALWAYS)
        m->rule.way = r->way;
    m->rule.judged |= r->judged;
    m->rule.writes |= r->writes;
    m->rule.data |= r->data;
    m->rule.chains |= r->chains;
    m->rule.unprepared |= r->unprepared;
    m->rule.defines |= r->defines;
    m->rule.alone |= r->alone;
    m->rule.reads |= r->reads;
}

static struct copies_rule
rule_of_mix(const struct mix *m, bool ends, struct err *err)
{
    if (m->rule.way == COPIES_AS_ALWAYS && !m->special)
        return m->rule;
    if (m->count > 1 && (m->special || m->verbs))
        return refuse(err, "transaction commands among other statements of a batch",
                      "Send Sync behind each.");
    if (m->renamed)
        return refuse(err, "a statement behind SET of such a parameter in one batch",
                      "Send Sync behind SET.");
    if (m->rule.data && m->count > 1)
        return refuse(err, "COPY FROM among other statements of a batch", "Send Sync behind each.");
    if (m->parts)
        return refuse(err, "a portal of a statement that may write",
                      "Execute it where it is bound, without a limit of rows.");
    if (!ends)
        return refuse(err, "a batch that may write and does not end with Sync",
                      "Send Sync behind it.");
    return m->rule;
}

/* SET among others has run before what stands behind it, on each node. */
static void
note(struct session_copies *c, const struct copies_rule *r, const struct sql_statement *st)
{
    bool for_all = r->way == COPIES_ALL || r->way == COPIES_ALONE;

    buf_add_u8(&c->for_all, for_all ? FOR_ALL : sets(st->kind) ? WITH_OTHERS : FOR_ONE);
}

static void
settle_for_all(struct session_copies *c, const struct copies_rule *r)
{
    bool any = r->way == COPIES_ALL;

    for (size_t n = 0; n < c->for_all.len; n++)
        c->for_all.data[n] =
            c->for_all.data[n] == FOR_ALL || (any && c->for_all.data[n] == WITH_OTHERS);
}

static void
take_begin(struct session_copies *c, const struct bound *b)
{
    buf_clear(&c->begin);
    buf_add(&c->begin, b->text.data, b->text.len);
}

/* Bind of what PREPARE has made. */
static struct copies_rule
rule_of_prepared(const struct copies_look *look, const struct bound *b, struct err *err)
{
    struct copies_rule r;

    if (b->unknown)
        return refuse(err, "a prepared statement whose text is not known",
                      "Prepare it under a plainer name.");
    r = copies_rule_of_named(look, b->by_sql, err);
    r.executes = false; /* by its name */
    return r;
}

static struct copies_rule
rule_of_bound(struct session *s, const struct bound *b, bool block, struct sql_statement *st_r,
              struct err *err)
{
    const struct sql_facts *f;
    struct copies_look look = {.s = s, .block = block};
    struct copies_rule r;
    struct verdict v;

    if (b->unknown || b->by_sql != NULL) {
        *st_r = (struct sql_statement){.kind = SQL_EXECUTE};
        return rule_of_prepared(&look, b, err);
    }
    f = session_facts(s, b->text.data, b->text.len);
    *st_r = f->statements[0];
    if (!f->understood || f->count != 1)
        return refuse(err, "a statement that is not understood",
                      "Run it on each server by itself.");
    v = lookup_verdict(s, f);
    look.may_write = v.may_write;
    look.touches = v.touches_session;
    f = session_facts(s, b->text.data, b->text.len);
    look.st = &f->statements[0];
    look.text = b->text.data;
    r = copies_rule_of(&look, err);
    r.sets = sets(st_r->kind) || (st_r->kind == SQL_SELECT && look.touches & TOUCHES_SURELY);
    return r;
}

struct copies_rule
copies_batch_rule(struct session *s, const uint8_t *bytes, const struct unit *u, struct err *err)
{
    struct walk w = {.s = s, .bytes = bytes, .len = u->bytes};
    struct mix mix = {.rule = {.way = COPIES_AS_ALWAYS}};
    struct session_copies *c = s->copies;
    bool block = s->tx_status != 'I';
    bool ends = u->ends || c->cuts;
    struct sql_statement st;
    struct copies_rule r;
    struct bound b = {.len = 0};
    int rc;

    buf_clear(&c->for_all);
    c->begins = false;
    while ((rc = next_bound(&w, &b)) > 0) {
        r = rule_of_bound(s, &b, block, &st, err);
        if (r.way == COPIES_ALL && b.stale)
            return refuse(err,
                          "what was parsed under other parameters by which its literals are read "
                          "(TimeZone, DateStyle and their like)",
                          "Parse it again.");
        if (r.way == COPIES_REFUSED)
            return r;
        if (r.reads && (!ends || !b.whole))
            r = (struct copies_rule){.way = COPIES_AS_ALWAYS};
        if (st.kind == SQL_BEGIN && !block) {
            take_begin(c, &b);
            c->begins = block = true;
        }
        note(c, &r, &st);
        add(&mix, &r, &st, &b);
    }
    settle_for_all(c, &mix.rule);
    if (rc == 0)
        return rule_of_mix(&mix, ends, err);
    if (b.bind.statement.len > 0)
        err_set(err, "26000", "prepared statement \"%.*s\" does not exist",
                (int)MIN(b.bind.statement.len, 200u), b.bind.statement.data);
    else
        err_set(err, "26000", "unnamed prepared statement does not exist");
    return (struct copies_rule){.way = COPIES_REFUSED};
}

/* ---- does it do the same everywhere? -----------------------------------------------------------
 */

/* A text for a parameter that the server may read as a time. */
static bool
says_now(const struct bound *b, uint32_t number, const uint8_t *value, uint32_t len)
{
    enum { TEXT = 25, VARCHAR = 1043, NAME = 19, LONGEST = 64 };
    uint32_t type = number < b->type_count ? num_get_u32(b->types + (size_t)number * 4) : 0;

    return type != TEXT && type != VARCHAR && type != NAME && len <= LONGEST &&
           sql_says_now((const char *)value, len);
}

static bool
values_say_now(const struct bound *b)
{
    size_t at = WIRE_HEADER_BYTES + b->bind.portal.len + b->bind.statement.len + 2;
    uint32_t formats;
    uint32_t count;

    if (at + 2 > b->len)
        return false;
    formats = num_get_u16(b->msg + at);
    at += 2 + (size_t)formats * 2;
    if (at + 2 > b->len)
        return false;
    count = num_get_u16(b->msg + at);
    at += 2;
    for (uint32_t n = 0; n < count && at + 4 <= b->len; n++) {
        uint32_t len = num_get_u32(b->msg + at);
        at += 4;
        if (len == UINT32_MAX)
            continue;
        if (len > b->len - at)
            return false;
        if (says_now(b, n, b->msg + at, len))
            return true;
        at += len;
    }
    return false;
}

static int
judge_bound(struct session *s, const struct bound *b, struct sql_determined *d, struct err *err)
{
    struct sql_text text = {b->text.data, b->text.len};
    struct copies_named named;

    if (b->by_sql != NULL && copies_named_of(b->by_sql, &named) && copies_named_is_bad(&named, err))
        return -1;
    if (copies_judge_statement(s, text, d, err) != 0)
        return -1;
    if (d->place_count == 0 || !copies_executes(s, text, &named))
        return 0;
    err_set(err, "0A000",
            "values of the main node cannot be had for EXECUTE in the extended protocol "
            "(native_replication)");
    err_hint(err, "Bind what was prepared, or send EXECUTE as a simple query.");
    return -1;
}

int
copies_batch_judge(struct session *s, const uint8_t *bytes, const struct unit *u,
                   struct sql_determined *d_r, struct err *err)
{
    struct walk w = {.s = s, .bytes = bytes, .len = u->bytes};
    struct sql_determined d;
    struct bound b;

    d_r->by_key = true;
    for (size_t n = 0; next_bound(&w, &b) > 0 && n < s->copies->for_all.len; n++) {
        if (!s->copies->for_all.data[n])
            continue;
        if (judge_bound(s, &b, &d, err) != 0)
            return -1;
        d_r->place_count += d.place_count;
        d_r->by_key &= d.by_key;
        if (values_say_now(&b)) {
            err_set(err, "0A000",
                    "a parameter may be read as another time on each node "
                    "(native_replication)");
            err_hint(err, "Give the time itself, or now() in the statement.");
            return -1;
        }
    }
    if (d_r->place_count > 0 && s->copies->rule.behind_set) { /* its values would not know of it */
        err_set(err, "0A000",
                "values of the main node cannot be had behind SET in the same batch "
                "(native_replication)");
        err_hint(err, "Send Sync behind SET.");
        return -1;
    }
    if (d_r->place_count == 0 || !s->copies->begins)
        return 0;
    err_set(err, "0A000",
            "values of the main node cannot be had in the batch that begins the "
            "transaction (native_replication)");
    err_hint(err, "Send Sync behind BEGIN.");
    return -1;
}

struct statement *
copies_batch_untyped(struct session *s, const uint8_t *bytes, const struct unit *u)
{
    struct walk w = {.s = s, .bytes = bytes, .len = u->bytes};
    struct copies_named named;
    struct statement *st;
    struct bound b;

    for (size_t n = 0; next_bound(&w, &b) > 0 && n < s->copies->for_all.len; n++) {
        struct sql_text text = {b.text.data, b.text.len};
        st = b.by_sql;
        if (s->copies->for_all.data[n] && copies_executes(s, text, &named))
            st = named.prepared != NULL ? named.st : NULL;
        if (s->copies->for_all.data[n] && copies_is_untyped(st))
            return st;
    }
    return NULL;
}

bool
copies_batch_each(struct session *s, const uint8_t *bytes, const struct unit *u,
                  bool (*fn)(struct session_copies *c, struct sql_text text))
{
    struct walk w = {.s = s, .bytes = bytes, .len = u->bytes};
    struct bound b;
    bool any = false;

    for (size_t n = 0; next_bound(&w, &b) > 0 && n < s->copies->for_all.len; n++) {
        if (s->copies->for_all.data[n])
            any |= fn(s->copies, (struct sql_text){b.text.data, b.text.len});
    }
    return any;
}

/* ---- for the copies ----------------------------------------------------------------------------
 */

/* As it lies in c->items; text, types and the rest of Bind follow. */
struct item {
    uint32_t text_len;
    uint32_t rest_len;
    uint64_t scope;
    struct prepared *teach; /* NULL; else it is only to be known there, and has no Bind */
    uint16_t type_count;
    bool named;
};

/* text: what it is to run, another one than what is bound where values were put in. */
static void
keep(struct session_copies *c, const struct bound *b, struct wire_view text, bool named)
{
    size_t names = WIRE_HEADER_BYTES + b->bind.portal.len + b->bind.statement.len + 2;
    struct item item = {.text_len = text.len,
                        .rest_len = b->len - (uint32_t)names,
                        .scope =
                            b->by_sql != NULL ? copies_prepared_meaning(c) : lookup_meaning(c->s),
                        .type_count = b->type_count,
                        .named = named};

    buf_add(&c->items, &item, sizeof(item));
    buf_add(&c->items, text.data, text.len);
    buf_add(&c->items, b->types, (size_t)b->type_count * 4);
    buf_add(&c->items, b->msg + names, item.rest_len);
}

/* As it was bound. EXECUTE gets a name of ours, and what that stands for is to be known. */
static void
keep_bound(struct session_copies *c, const struct bound *b)
{
    struct sql_text text = {b->text.data, b->text.len};
    struct buf sql = BUF_EMPTY;
    struct copies_named named;
    struct item item = {.teach = NULL};

    if (copies_executes(c->s, text, &named))
        item.teach = copies_execute_rename(c, text, &sql);
    if (item.teach != NULL) {
        buf_add(&c->items, &item, sizeof(item));
        keep(c, b, (struct wire_view){(const char *)sql.data, (uint32_t)sql.len}, false);
    } else {
        keep(c, b, b->text, b->named);
    }
    buf_free(&sql);
}

void
copies_batch_keep(struct session *s, const uint8_t *bytes, const struct unit *u)
{
    struct walk w = {.s = s, .bytes = bytes, .len = u->bytes};
    struct session_copies *c = s->copies;
    struct bound b;

    buf_clear(&c->items);
    copies_execute_forget(c);
    for (size_t n = 0; next_bound(&w, &b) > 0 && n < c->for_all.len; n++) {
        if (c->for_all.data[n])
            keep_bound(c, &b);
    }
}

struct wire_view
copies_batch_text(const struct session_copies *c)
{
    struct item item = {.text_len = 0};

    if (c->items.len < sizeof(item))
        return (struct wire_view){"", 0};
    memcpy(&item, c->items.data, sizeof(item));
    return (struct wire_view){(const char *)c->items.data + sizeof(item), item.text_len};
}

/* ---- with values -------------------------------------------------------------------------------
 */

/* Is it for all, with places for values? */
static bool
has_places(struct session_copies *c, size_t n, const struct bound *b, struct sql_determined *d_r)
{
    struct err err;

    return c->for_all.data[n] &&
           copies_judge_text(c->s, (struct sql_text){b->text.data, b->text.len}, d_r, &err) == 0 &&
           d_r->place_count > 0;
}

void
copies_batch_ask(struct session_copies *c, const uint8_t *bytes, const struct unit *u)
{
    struct walk w = {.s = c->s, .bytes = bytes, .len = u->bytes};
    struct sql_determined d;
    struct bound b;

    for (size_t n = 0; next_bound(&w, &b) > 0 && n < c->for_all.len; n++) {
        if (has_places(c, n, &b, &d))
            copies_ask_values(c, &d);
    }
}

bool
copies_batch_draws(struct session_copies *c, const uint8_t *bytes, const struct unit *u)
{
    struct walk w = {.s = c->s, .bytes = bytes, .len = u->bytes};
    struct sql_determined d;
    struct bound b;

    for (size_t n = 0; next_bound(&w, &b) > 0 && n < c->for_all.len; n++) {
        if (has_places(c, n, &b, &d) && copies_draws_values(&d))
            return true;
    }
    return false;
}

/* Its Bind names a statement of ours, which is parsed in front of the batch. */
static void
take_bound(struct session_copies *c, const struct bound *b, const struct buf *sql)
{
    size_t names = WIRE_HEADER_BYTES + b->bind.portal.len + b->bind.statement.len + 2;
    char name[32];
    int len = snprintf(name, sizeof(name), "pgpool_v%u", c->parsed++);
    struct wire_view text = {(const char *)sql->data, (uint32_t)sql->len};
    struct wire_parse p = {{name, (uint32_t)len}, text, b->type_count, b->types};

    build_close(&c->parses, 'S', name, (size_t)len);
    build_parse(&c->parses, &p);
    buf_add_u8(&c->text, 'B');
    buf_add_u32(&c->text,
                4 + b->bind.portal.len + 1 + (uint32_t)len + 1 + (b->len - (uint32_t)names));
    buf_add(&c->text, b->bind.portal.data, b->bind.portal.len);
    buf_add_u8(&c->text, 0);
    buf_add(&c->text, name, (size_t)len + 1);
    buf_add(&c->text, b->msg + names, b->len - names);
    keep(c, b, text, false);
}

bool
copies_batch_take(struct session_copies *c, const uint8_t *bytes, const struct unit *u)
{
    struct walk w = {.s = c->s, .bytes = bytes, .len = u->bytes};
    struct sql_determined d;
    struct bound b;
    size_t done = 0; /* of the batch */
    size_t at = 0;   /* of the values */
    bool fits = true;

    buf_clear(&c->text);
    buf_clear(&c->items);
    buf_clear(&c->parses);
    copies_execute_forget(c);
    c->parsed = 0;
    for (size_t n = 0; fits && next_bound(&w, &b) > 0 && n < c->for_all.len; n++) {
        struct buf sql = BUF_EMPTY;
        if (!has_places(c, n, &b, &d)) {
            if (c->for_all.data[n])
                keep_bound(c, &b);
            continue;
        }
        fits = copies_put_values(c, &d, (struct sql_text){b.text.data, b.text.len}, &at, &sql);
        buf_add(&c->text, bytes + done, (size_t)(b.msg - bytes) - done);
        if (fits)
            take_bound(c, &b, &sql);
        done = (size_t)(b.msg - bytes) + b.len;
        buf_free(&sql);
    }
    buf_add(&c->text, bytes + done, u->bytes - done);
    return fits && at == c->values.len;
}

/* Parse and Bind. prepared NULL: as the unnamed statement. */
static void
send_bind(struct server *server, const struct item *item, const char *bytes,
          const struct prepared *prepared)
{
    const char *types = bytes + item->text_len;
    const char *rest = types + (size_t)item->type_count * 4;
    const char *name = prepared != NULL ? prepared->name : "";
    size_t name_len = strlen(name);
    struct wire_parse p = {
        {"", 0}, {bytes, item->text_len}, item->type_count, (const uint8_t *)types};
    struct buf b = BUF_EMPTY;

    if (prepared == NULL) {
        server_set_unnamed(server, NULL);
        build_parse(&b, &p);
        server_expect(server, PENDING_PARSE, true, COPY_STATEMENT, NULL);
    }
    buf_add_u8(&b, 'B');
    buf_add_u32(&b, (uint32_t)(4 + 1 + name_len + 1 + item->rest_len));
    buf_add_u8(&b, 0);
    buf_add(&b, name, name_len + 1);
    buf_add(&b, rest, item->rest_len);
    server_expect(server, PENDING_BIND, true, COPY_STATEMENT, NULL);
    buf_add(&b, "E\0\0\0\x09\0\0\0\0\0", 10);
    server_expect(server, PENDING_EXECUTE, true, COPY_STATEMENT, NULL);
    server_send(server, b.data, b.len);
    buf_free(&b);
}

void
copies_batch_send(struct session *s, struct copy *copy)
{
    const struct buf *items = &s->copies->items;
    struct server *server = copy->server;
    struct item item;

    for (size_t at = 0; at < items->len;
         at += sizeof(item) + item.text_len + (size_t)item.type_count * 4 + item.rest_len) {
        const char *bytes = (const char *)items->data + at + sizeof(item);
        struct prepared *prepared = NULL;
        memcpy(&item, items->data + at, sizeof(item));
        if (item.teach != NULL) {
            statements_teach(s, server, item.teach);
            continue;
        }
        if (item.named) {
            struct prepared_text text = {bytes, item.text_len,
                                         (const uint8_t *)bytes + item.text_len, item.type_count,
                                         item.scope};
            prepared = prepared_get(s->host->pool, &text);
            statements_teach(s, server, prepared);
        }
        send_bind(server, &item, bytes, prepared);
        if (prepared != NULL)
            prepared_put(prepared);
    }
    server_expect(server, PENDING_SYNC, true, COPY_STATEMENT, NULL);
    server_send(server, "S\0\0\0\4", 5);
}

/*
 * Reads that are answered from the query cache, without a server.
 *
 * A unit may be when it is one Query, or one batch [Parse] Bind [Describe] Execute Sync, of one
 * statement that reads as far as its text tells; the key says everything else that the answer
 * depends on, and what was judged when the answer was kept need not be judged again: whatever would
 * change the judgement raises versions. Behind it the session looks as if a server had answered.
 *
 * Called by client.c for each unit that could go to a server, while there is a cache, and by
 * answers.c. Invariants: nothing is answered here while a server owes the client anything, nor in
 * a transaction that has written or sees a snapshot of its own; what the session has that its key
 * does not tell keeps it from the cache.
 */
#include "session/cache.h"

#include "base/arena.h"
#include "base/str.h"
#include "cache/admission.h"
#include "os/clock.h"
#include "wire/build.h"

#include <stdlib.h>
#include <string.h>

enum {
    VALUES_MAX_BYTES = 4096, /* of a Bind: each hit looks through them */
    FORM_QUERY = 0,
    FORM_BATCH = 1,
    FORM_PARSES = 2,
    FORM_PORTAL = 4,    /* is described, */
    FORM_STATEMENT = 8, /* or the statement is */
};

/* A read. */
struct question {
    struct wire_view text;
    uint64_t identity; /* of what it says, for statistics */
    uint8_t form;
    bool always;                   /* the text says that it is to be kept */
    const struct statement *known; /* it is that one; NULL: its text came along */
    struct wire_parse parse;       /* with FORM_PARSES */
    const uint8_t *types;          /* of its parameters */
    uint32_t types_len;
    const uint8_t *values; /* Bind, behind the names */
    uint32_t values_len;
};

struct session_cache *
cache_of(struct session *s)
{
    if (likely(s->cache != NULL))
        return s->cache;
    s->cache = xcalloc(1, sizeof(*s->cache));
    s->cache->database = cache_database(pool_key_database(s->key));
    doubt_init(&s->cache->writes.doubt, s->cache->database);
    return s->cache;
}

void
cache_fini(struct session *s)
{
    if (s->cache == NULL)
        return;
    BUG_UNLESS(!doubt_any(&s->cache->writes.doubt));
    cache_fill_drop(s);
    cache_remote_drop(s);
    buf_free(&s->cache->unjudged);
    free(s->cache);
    s->cache = NULL;
}

void
cache_is_clean(struct session *s)
{
    if (s->cache == NULL)
        return;
    s->cache->opaque = s->cache->prepares_defines = false;
    buf_free(&s->cache->unjudged);
}

/* ---- may it be? ---- */

uint8_t
cache_keeps(const struct sql_facts *f)
{
    const struct sql_statement *st = &f->statements[0];

    if (!f->understood || f->count != 1 || st->kind != SQL_SELECT || st->writes || st->locks_rows ||
        st->says_now || st->samples || st->system_columns || st->no_query_cache ||
        st->hint != SQL_HINT_NONE)
        return CACHE_KEEPS_NOT;
    return st->force_query_cache ? CACHE_KEEPS_ALWAYS : CACHE_KEEPS;
}

static bool
is_wanted(const struct session *s, struct question *q, uint8_t keeps)
{
    q->always = keeps == CACHE_KEEPS_ALWAYS;
    if (keeps == CACHE_KEEPS)
        return s->cache_mode >= 0 ? s->cache_mode > 0 : session_options(s)->cache;
    return q->always;
}

/* Is the session where an answer would be that of its next statement, at the primary? */
static bool
is_ready(const struct session *s)
{
    const struct server *cur = s->cur;

    if (cur != NULL && (cur->pending.forwards > 0 || cur->pending.skip_till_sync ||
                        cur->pending.copy_in || cur->pending.sync_in_doubt || cur->pass_left > 0))
        return false;
    return s->batch == NULL && !s->pinned && !s->odd_encoding && s->name_effects == 0 &&
           !s->defines && !s->tx_local_path && s->local_portal == NULL && !s->to_primary_once &&
           !s->cancelled && !s->waited_out && s->replaying == NULL &&
           list_empty(&s->settings.pending);
}

static bool
tx_allows(struct session *s, struct session_cache *c)
{
    if (s->tx_status == 'I')
        return true;
    if (s->tx.deferred && !s->tx.left_reader)
        c->tx_reads = s->tx.movable; /* nothing of it has run, and that is READ COMMITTED */
    return s->tx_status == 'T' && c->tx_reads;
}

/* What older connections answer does not count behind a renewal. */
static bool
is_current(const struct session *s)
{
    int64_t renewed_ns = cache_renewed_ns(s->host->cache);

    return likely(renewed_ns == 0) ||
           ((s->primary == NULL || s->primary->created_ns >= renewed_ns) &&
            (s->reader == NULL || s->reader->created_ns >= renewed_ns));
}

static bool
may_answer(struct session *s, struct session_cache *c, const struct unit *u)
{
    const struct session_host *host = s->host;

    return u->ends && !u->local && !u->partial && u->pass_left == 0 && u->executed == 1 &&
           u->verb == SQL_SELECT && !u->has_begin &&
           (host->cache->store != NULL || host->remote != NULL) && cache_is_open(host->cache) &&
           !c->opaque && c->unjudged.len == 0 && is_ready(s) && tx_allows(s, c) &&
           host->view->primary_id >= 0 && !hold_may_stop(s, host->view->primary_id) &&
           is_current(s);
}

/* Are writes that bypass this pgpool heard of in time? Before the versions are looked at. */
static bool
others_are_heard(struct session *s, struct session_cache *c)
{
    const struct session_host *host = s->host;

    if (host->cache->streams == NULL)
        return true;
    if (unlikely(!c->has_stream)) {
        c->stream = host->want_stream(host->ctx, pool_key_database(s->key));
        c->has_stream = true;
    }
    return cache_stream_is_good(host->cache->streams, c->stream, io_now_ns(host->io));
}

/* ---- the question ---- */

static bool
take_bind(struct session *s, const uint8_t *msg, uint32_t len, struct question *q)
{
    struct wire_bind bind;
    struct err err;
    uint32_t at;

    if (wire_parse_bind(msg, len, &bind, &err) != WIRE_OK || bind.portal.len > 0)
        return false;
    at = WIRE_HEADER_BYTES + bind.portal.len + 1 + bind.statement.len + 1;
    q->values = msg + at;
    q->values_len = len - at;
    if (q->values_len > VALUES_MAX_BYTES)
        return false;
    if (q->form & FORM_PARSES)
        return bind.statement.len == q->parse.name.len &&
               (bind.statement.len == 0 ||
                memcmp(bind.statement.data, q->parse.name.data, bind.statement.len) == 0);
    q->known = statements_find(s, bind.statement);
    if (q->known == NULL || q->known->prepared == NULL || q->known->own_name ||
        statements_in_doubt(q->known))
        return false;
    q->text = statements_text(q->known);
    q->types = q->known->prepared->types;
    q->types_len = (uint32_t)q->known->prepared->type_count * 4;
    return true;
}

/* One that gives a name which is taken is answered by an error. */
static bool
take_parse(struct session *s, const uint8_t *msg, uint32_t len, struct question *q)
{
    const struct statement *old;
    struct err err;

    if (wire_parse_parse(msg, len, &q->parse, &err) != WIRE_OK ||
        !statements_have_room(s, &q->parse))
        return false;
    old = statements_find(s, q->parse.name);
    if (old != NULL && (q->parse.name.len > 0 || statements_in_doubt(old)))
        return false;
    q->form |= FORM_PARSES;
    q->text = q->parse.query;
    q->types = q->parse.types;
    q->types_len = (uint32_t)q->parse.type_count * 4;
    return true;
}

static bool
take_describe(const uint8_t *msg, uint32_t len, struct question *q)
{
    struct wire_target target;
    struct wire_view name = {"", 0};
    struct err err;

    if (wire_parse_target(msg, len, &target, &err) != WIRE_OK)
        return false;
    if (target.kind == 'S' && q->known != NULL)
        name = (struct wire_view){q->known->name, q->known->name_len};
    else if (target.kind == 'S')
        name = q->parse.name;
    q->form |= target.kind == 'S' ? FORM_STATEMENT : FORM_PORTAL;
    return (target.kind == 'S' || target.kind == 'P') && target.name.len == name.len &&
           (name.len == 0 || memcmp(target.name.data, name.data, name.len) == 0);
}

static bool
is_whole_execute(const uint8_t *msg, uint32_t len)
{
    struct wire_execute execute;
    struct err err;

    return wire_parse_execute(msg, len, &execute, &err) == WIRE_OK && execute.portal.len == 0 &&
           execute.max_rows == 0;
}

/* [P] B [D] E S, and nothing else. */
static bool
read_batch(struct session *s, const uint8_t *bytes, const struct unit *u, struct question *q)
{
    struct wire_header h;
    struct err err;
    const char *next = "PB"; /* what may come */

    q->form = FORM_BATCH;
    for (size_t at = 0; at < u->bytes; at += h.total_bytes) {
        const uint8_t *msg = bytes + at;
        bool good = wire_client_header(msg, u->bytes - at, &h, &err) == WIRE_OK &&
                    h.total_bytes <= u->bytes - at && strchr(next, h.type) != NULL;
        switch (good ? h.type : 0) {
        case 'P':
            good = take_parse(s, msg, h.total_bytes, q);
            next = "B";
            break;
        case 'B':
            good = take_bind(s, msg, h.total_bytes, q);
            next = "DE";
            break;
        case 'D':
            good = take_describe(msg, h.total_bytes, q);
            next = "E";
            break;
        case 'E':
            good = is_whole_execute(msg, h.total_bytes);
            next = "S";
            break;
        default: /* Sync, or nothing that may come */
            return good && at + h.total_bytes == u->bytes;
        }
        if (!good)
            return false;
    }
    return false;
}

/* A client that has not asked for the description with this answer has it from before: from when
 * the statement was parsed, at a time when the catalog was the same. */
static bool
knows_its_columns(struct session *s, const struct question *q)
{
    return q->known == NULL || q->form & (FORM_PORTAL | FORM_STATEMENT) ||
           q->known->meaning == lookup_meaning(s);
}

static bool
read_question(struct session *s, const uint8_t *bytes, const struct unit *u, struct question *q)
{
    const struct sql_facts *f = u->facts;
    struct err err;

    *q = (struct question){.form = FORM_QUERY};
    if (u->type == 'Q') {
        q->identity = f != NULL ? f->identity : 0;
        return f != NULL && is_wanted(s, q, cache_keeps(f)) &&
               wire_parse_query(bytes, (uint32_t)u->bytes, &q->text, &err) == WIRE_OK;
    }
    if (!read_batch(s, bytes, u, q) || !knows_its_columns(s, q))
        return false;
    if (q->known != NULL) {
        q->identity = q->known->identity;
        return is_wanted(s, q, q->known->keeps_answer) &&
               !sql_says_now((const char *)q->values, q->values_len);
    }
    f = session_facts(s, q->text.data, q->text.len);
    q->identity = f->identity;
    return is_wanted(s, q, cache_keeps(f)) && !sql_says_now((const char *)q->values, q->values_len);
}

/* ---- the key ---- */

static bool
is_name(const char *text, size_t len)
{
    static const char name[] = "application_name";

    return len == sizeof(name) - 1 && memcmp(text, name, len) == 0;
}

/* What the login has asked for. */
static void
add_login(struct session *s, struct cache_key_builder *b)
{
    size_t len;
    const char *pair = pool_key_parameters(s->key, &len);
    const char *end = pair + len;

    cache_key_add_text(b, CACHE_DATABASE, pool_key_database(s->key));
    cache_key_add_text(b, CACHE_SESSION_ROLE, pool_key_user(s->key));
    while (pair < end) {
        const char *value = pair + strlen(pair) + 1;
        if (!is_name(pair, strlen(pair))) {
            cache_key_add_text(b, CACHE_SETTING_NAME, pair);
            cache_key_add_text(b, CACHE_SETTING, value);
        }
        pair = value + strlen(value) + 1;
    }
}

/* Once for the parameters that hold, in the order in which they were set. */
static void
make_base(struct session *s, struct session_cache *c)
{
    struct cache_key_builder *b = &c->base;

    cache_key_begin(b, &s->host->cache->secret);
    add_login(s, b);
    cache_key_add_number(b, CACHE_FORM, s->plain_strings);
    list_for_each (it, &s->settings.applied) {
        const struct setting *x = list_entry(it, struct setting, link);
        if (is_name(x->bytes, x->name_len))
            continue;
        cache_key_add(b, CACHE_ROLE, x->bytes, x->name_len);
        cache_key_add(b, CACHE_SETTING, x->bytes + x->name_len, x->text_len);
    }
    c->base_seq = s->settings.seq;
    c->plain_strings = s->plain_strings;
    c->based = true;
}

static struct cache_key
make_key(struct session *s, struct session_cache *c, const struct question *q)
{
    struct cache_key_builder b;

    if (unlikely(!c->based || c->base_seq != s->settings.seq ||
                 c->plain_strings != s->plain_strings))
        make_base(s, c);
    b = c->base;
    cache_key_add_number(&b, CACHE_FORM, q->form);
    cache_key_add(&b, CACHE_STATEMENT, q->text.data, q->text.len);
    if (q->form != FORM_QUERY) {
        cache_key_add(&b, CACHE_VALUE_TYPE, q->types, q->types_len);
        cache_key_add(&b, CACHE_VALUE, q->values, q->values_len);
        if (q->known != NULL && !(q->form & (FORM_PORTAL | FORM_STATEMENT)))
            cache_key_add_number(&b, CACHE_RESULT_FORMAT, q->known->meaning);
    }
    return cache_key_end(&b);
}

/* ---- the hit ---- */

static void
note_hit(struct session *s, const struct question *q)
{
    struct session_slot *slot = s->place.slot;

    s->host->routed[ROUTE_CACHED]++;
    if (slot != NULL) {
        str_copy_n(slot->statement, sizeof(slot->statement), q->text.data, q->text.len);
        slot->statement_cnt++;
    }
    if (unlikely(session_options(s)->log_statement))
        log_info("statement: %.*s", (int)MIN(q->text.len, 4096), q->text.data);
}

/* What a server's answer would have left. */
static void
leave_statements(struct session *s, const struct question *q)
{
    if (q->form == FORM_QUERY)
        statements_unnamed_gone(s);
    else if (q->form & FORM_PARSES && !statements_has_unnamed(s, &q->parse))
        statements_remember(s, &q->parse);
}

static bool
give(struct session *s, const struct session_cache *c, const struct question *q)
{
    struct session_host *host = s->host;
    struct buf *answer = &host->scratch;
    struct store_facts facts;

    buf_clear(answer);
    if (unlikely(host->remote != NULL)) {
        if (!cache_remote_get(s, &c->key, answer, &facts))
            return false;
    } else if (!store_get(host->cache->store, &c->key, io_now_ns(host->io), answer, &facts)) {
        return false;
    }
    if (!cache_is_open(host->cache)) /* it was when the versions were looked at, too */
        return false;
    build_ready(answer, s->tx_status);
    session_send(s, answer);
    cache_tally_hit(host->tally, &facts.reads, q->identity);
    admission_hit(host->admission, q->identity);
    timed_cached(s, q->identity, q->text.data, q->text.len);
    note_hit(s, q);
    leave_statements(s, q);
    return true;
}

bool
cache_answers(struct session *s, const uint8_t *bytes, const struct unit *u)
{
    struct session_cache *c = cache_of(s);
    struct question q;

    c->asked = false;
    if (unlikely(u->begins))
        c->tx_reads = false; /* that was of the transaction before it */
    if (!may_answer(s, c, u) || !read_question(s, bytes, u, &q) || !others_are_heard(s, c))
        return false;
    c->key = make_key(s, c, &q);
    if (give(s, c, &q))
        return true;
    if (unlikely(s->stall == STALL_CACHE))
        return false;
    cache_tally_miss(s->host->tally, NULL, q.identity);
    c->asked = admission_miss(s->host->admission, q.identity) || q.always;
    if (!c->asked)
        return false;
    c->text = q.text;
    /* before the judgement, and before anything leaves */
    c->as_of_ns = clock_monotonic_ns();
    c->fill.primary_epoch = s->host->primary_epoch;
    return false;
}

/* ---- what is sent ---- */

/* Does the transaction that it begins see a snapshot of each statement's own? */
static bool
begins_reads(const struct session *s, const struct unit *u)
{
    const struct cluster_view *view = s->host->view;

    if (!u->begins || u->executed != 1 || u->chains)
        return false;
    switch (u->begin.isolation) {
    case SQL_ISOLATION_READ_UNCOMMITTED:
    case SQL_ISOLATION_READ_COMMITTED:
        return true;
    case SQL_ISOLATION_DEFAULT:
        return view->primary_id >= 0 && view->nodes[view->primary_id].read_committed &&
               !s->serializable && !s->pinned;
    default:
        return false;
    }
}

/* One statement, which commits nothing in its middle, or the end of a block. */
static bool
is_alone(const struct session *s, const struct unit *u)
{
    if (u->executed != 1 || !u->ends || u->pass_left > 0 || u->chains || u->partial ||
        s->batch != NULL)
        return false;
    switch ((enum sql_kind)u->verb) {
    case SQL_SELECT:
    case SQL_INSERT:
    case SQL_UPDATE:
    case SQL_DELETE:
    case SQL_MERGE:
    case SQL_COPY_FROM:
    case SQL_TRUNCATE:
    case SQL_COMMIT:
    case SQL_ROLLBACK:
        return true;
    default:
        return false;
    }
}

void
cache_sending(struct session *s, struct server *server, const uint8_t *bytes, struct unit *u)
{
    struct session_cache *c = cache_of(s);
    bool reads = false;

    if (unlikely(c->remote.heard))
        cache_remote_drop(s);
    if (c->asked) {
        const struct sql_facts *f =
            u->type == 'Q' ? u->facts : session_facts(s, c->text.data, c->text.len);
        reads = cache_fill_begin(s, server, f);
    }
    c->asked = false;
    if (u->begins && s->tx_status == 'I')
        c->tx_reads = begins_reads(s, u) && s->batch == NULL && server->pending.forwards == 0;
    else if (!reads)
        c->tx_reads &= u->tx_read && !u->may_write && u->ends && u->touches_session == 0;
    c->reads = reads || (u->tx_read && !u->may_write && !u->asks && u->touches_session == 0);
    if (c->reads)
        return;
    c->writes.defines |= u->defines;
    c->doubts = c->lasts = false;
    if (u->type == 'Q')
        cache_write_query(s, server, bytes, u);
    else if (u->type == 'F')
        cache_write_anything(s, server);
    u->flags |= c->doubts ? CYCLE_DOUBT : 0;
    u->flags |= c->lasts ? CYCLE_LASTS : 0;
    u->flags |= is_alone(s, u) ? CYCLE_ALONE : 0;
}

void
cache_sent(struct session *s)
{
    if (unlikely(s->cache->unjudged.len > 0))
        cache_write_judge(s);
}

void
cache_cycle_end(struct session *s, struct server *server, const struct pending_entry *e,
                bool failed)
{
    struct session_cache *c = s->cache;

    if (c->fill.server != NULL)
        cache_fill_end(s, server, failed);
    cache_write_end(s, server, e, failed);
    if (unlikely(c->unsettled) && server->pending.count == 0 && s->batch == NULL)
        c->unsettled = false;
}

void
cache_forget_answer(struct session *s)
{
    cache_fill_drop(s);
}

void
cache_link_gone(struct session *s, struct server *server)
{
    if (s->cache->fill.server == server)
        cache_fill_drop(s);
    cache_write_lost(s, server);
    s->cache->unsettled = false;
}

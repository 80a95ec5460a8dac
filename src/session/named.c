/*
 * Parameters of an application's own ("app.user"), which no view of the server shows.
 *
 * When the server is asked what a session has set (keeps.c), it is asked for these by name: those
 * that the session's texts have named, and those that stand in the bodies of the database's
 * functions. Where something has run that may set others, the connection is kept until DISCARD ALL.
 * What the catalog had not been asked about when it ran is asked about first, on the session's own
 * connection: no other one may be free. When that is lost before, the question is owed: the next
 * connection is asked in front of all else, and only who has left something ends.
 *
 * Called by keeps.c (texts, the question), settings.c (SET) and lookup.c (names that nobody knew).
 * Invariants: a session without such things has no memory here; names that a text has told are kept
 * until DISCARD ALL.
 */
#include "session/internal.h"

#include "base/arena.h"
#include "config/config.h"
#include "sql/block.h"
#include "sql/literal.h"

#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 64, NAME_MAX_BYTES = 512, VALUE_MAX_BYTES = 8000 };

struct named {
    struct buf names; /* told by its texts, in lower case, each ended by a zero */
    uint32_t count;   /* of them */
    bool uncertain;   /* something ran of which not even names are known */
    bool sure;        /* ... or that may leave something by all that is known */
    bool asking;      /* `asked` is on its way */
    bool told;        /* bodies were, as of `scope`: behind what ran, that will do */
    struct catalog_question unjudged; /* what ran and was not known */
    struct catalog_question asked;    /* the same, as the server is asked about it */
    struct catalog_question owed;     /* ... of what ran on a connection that is lost */
    bool refused;                     /* nobody can say it of `owed`, or it has left something */
    struct catalog_scope scope;       /* as of before that */
    struct {                          /* as of the last end, behind which nothing was under way: */
        uint32_t unjudged;            /* names */
        bool uncertain;
        bool sure;
    } before;
    bool crowded; /* behind the last end something was */
};

static struct named *
named_of(struct session *s)
{
    if (s->named == NULL)
        s->named = xcalloc(1, sizeof(*s->named));
    return s->named;
}

static void
remember(struct named *n)
{
    n->before.unjudged = n->unjudged.count;
    n->before.uncertain = n->uncertain;
    n->before.sure = n->sure;
}

void
named_cycle_end(struct session *s, const struct server *server, bool refused)
{
    struct named *n = s->named;

    if (n == NULL)
        return;
    if (refused && server == s->primary && server->pending.count == 0 && !n->crowded) {
        catalog_question_cut(&n->unjudged, n->before.unjudged);
        n->uncertain = n->before.uncertain;
        n->sure = n->before.sure;
    }
    n->crowded = server->pending.count > 0;
    if (!n->crowded)
        remember(n);
}

void
named_lost(struct session *s)
{
    struct named *n = s->named;

    if (n == NULL)
        return;
    n->uncertain = n->sure = n->asking = n->told = n->refused = false;
    catalog_question_clear(&n->unjudged);
    catalog_question_clear(&n->asked);
    catalog_question_clear(&n->owed);
    remember(n);
}

void
named_interrupted(struct session *s)
{
    if (s->named != NULL)
        s->named->asking = false;
}

bool
named_owes(const struct session *s)
{
    return s->named != NULL && s->named->owed.count > 0;
}

bool
named_may_owe(const struct session *s)
{
    const struct named *n = s->named;

    if (n == NULL)
        return false;
    if (n->owed.count > 0) /* nothing else has run since */
        return !n->refused;
    return !n->sure && !n->uncertain && n->unjudged.count + n->asked.count > 0 &&
           !n->unjudged.overflow && !n->asked.overflow &&
           !(n->asked.count > 0 && n->asked.asked[0].kind == 'b');
}

void
named_owe(struct session *s)
{
    struct named *n = s->named;
    struct catalog_question owed = n->owed;

    n->owed = (struct catalog_question){.count = 0};
    catalog_question_join(&owed, &n->asked);
    catalog_question_join(&owed, &n->unjudged);
    named_lost(s);
    n->owed = owed;
}

void
named_clear(struct session *s)
{
    struct named *n = s->named;

    if (likely(n == NULL))
        return;
    buf_free(&n->names);
    catalog_question_free(&n->unjudged);
    catalog_question_free(&n->asked);
    catalog_question_free(&n->owed);
    free(n);
    s->named = NULL;
}

static bool judge(struct session *s, struct catalog_question *q, const struct catalog_scope *scope);

/* ---- what has run ---- */

static bool
follows(const struct session *s)
{
    return session_pool_mode(s) == CONFIG_POOL_MODE_AUTO;
}

/* All names of what runs are judged together, also those that are known already; and what the
 * transaction has defined is another thing by the same name. */
static const struct catalog_scope unjudged_scope = {.tag = 0};

static bool
has_name(const char *names, size_t len, struct sql_text name)
{
    for (const char *at = names; at < names + len; at += strlen(at) + 1) {
        if (strlen(at) == name.len && memcmp(at, name.data, name.len) == 0)
            return true;
    }
    return false;
}

/* Others would be asked for in the encoding of now, whatever it is then. */
static bool
is_ascii(struct sql_text name)
{
    for (uint32_t n = 0; n < name.len; n++) {
        if ((unsigned char)name.data[n] >= 128)
            return false;
    }
    return true;
}

void
named_add(struct session *s, struct sql_text name)
{
    struct named *n;

    if (memchr(name.data, '.', name.len) == NULL || !follows(s))
        return;
    n = named_of(s);
    if (n->count > 0 && has_name((const char *)n->names.data, n->names.len, name))
        return;
    if (n->count == NAMES_MAX || name.len > NAME_MAX_BYTES || !is_ascii(name)) {
        session_keep(s, SESSION_KEEPS_LIBRARY);
        return;
    }
    buf_add(&n->names, name.data, name.len);
    buf_add_u8(&n->names, '\0');
    n->count++;
}

void
named_uncertain(struct session *s)
{
    if (follows(s))
        named_of(s)->uncertain = true;
}

static void
add_name(void *ctx, enum sql_block_name what, struct sql_text name)
{
    struct session *s = ctx;

    if (what == SQL_BLOCK_PARAMETER)
        named_add(s, name);
    else if (what == SQL_BLOCK_WRITE)
        named_uncertain(s);
    else
        catalog_question_add_called(&named_of(s)->unjudged, s->host->catalog, &unjudged_scope,
                                    name);
}

void
named_statement(struct session *s, const struct sql_statement *st, const char *text)
{
    for (uint32_t n = 0; n < st->setting_count; n++) {
        const struct sql_setting *x = &st->settings[n];
        if (x->name.data != NULL)
            named_add(s, x->name);
        else if (!x->ends && follows(s))
            session_keep(s, SESSION_KEEPS_LIBRARY);
    }
    if (st->kind == SQL_DO && follows(s) &&
        !sql_block_names(text + st->start, st->end - st->start, add_name, s))
        session_keep(s, SESSION_KEEPS_LIBRARY);
}

void
named_sure(struct session *s)
{
    if (!follows(s))
        return;
    named_of(s)->sure = true;
    s->named->told = false; /* it ran behind that */
}

bool
named_is_harmless(struct session *s)
{
    struct named *n = s->named;

    return n != NULL && follows(s) && judge(s, &n->unjudged, lookup_scope(s)) && !n->sure &&
           !n->uncertain && n->asked.count + n->owed.count == 0;
}

void
named_unjudged(struct session *s, const struct sql_statement *st)
{
    if (!follows(s))
        return;
    if (s->tx_local_path)
        named_uncertain(s); /* whose names they are is forgotten with the transaction */
    else
        catalog_question_add(&named_of(s)->unjudged, s->host->catalog, &unjudged_scope, st);
}

/* ---- judging it ---- */

/* Takes over what is known of these names; false when one is not known. */
static bool
judge(struct session *s, struct catalog_question *q, const struct catalog_scope *scope)
{
    uint32_t flags;

    if (q->count == 0)
        return true;
    if (!catalog_question_known(q, s->host->catalog, scope, &flags))
        return false;
    if (flags & CATALOG_OPAQUE)
        session_keep(s, SESSION_KEEPS_LIBRARY);
    if (flags & CATALOG_KEEPS)
        named_sure(s);
    if (flags & CATALOG_MISSING || q->overflow)
        named_uncertain(s);
    catalog_question_clear(q);
    if (s->named != NULL)
        remember(s->named);
    return true;
}

/* May functions have set something? */
static bool
by_functions(const struct session *s)
{
    return s->keeps.kinds & 1u << SESSION_KEEPS_FUNCTION ||
           (s->named != NULL && s->named->uncertain);
}

/* DDL may pass by all the time: what was asked behind all that ran counts, whatever came since. */
static const struct catalog_scope *
told_scope(struct session *s)
{
    return s->named != NULL && s->named->told ? &s->named->scope : lookup_scope(s);
}

static void
ask(struct session *s, const struct catalog_question *q, struct buf *sql)
{
    s->named->scope = *lookup_scope(s);
    s->named->asking = true;
    lookup_text(s, q, sql);
}

enum named_state
named_settle(struct session *s, struct buf *sql)
{
    const struct catalog_scope *scope = lookup_scope(s);
    struct sql_text names;
    bool opaque = false;
    bool known = s->named == NULL || judge(s, &s->named->unjudged, scope);
    struct named *n;

    if (s->named != NULL && s->named->asked.count > 0)
        known = false; /* the last time was in vain */
    else if (known && named_is_harmless(s))
        return NAMED_KNOWN;
    else if (known && by_functions(s))
        known = catalog_parameters(s->host->catalog, told_scope(s), pool_key_database(s->key),
                                   &names, &opaque);
    if (known) {
        if (opaque && s->named != NULL && s->named->uncertain)
            session_keep(s, SESSION_KEEPS_LIBRARY);
        if (s->named != NULL)
            s->named->uncertain = false;
        return NAMED_KNOWN;
    }
    if (lookup_is_under_way(s))
        return NAMED_LATER;
    n = named_of(s);
    if (n->asked.count == 0) {
        catalog_question_free(&n->asked);
        n->asked = n->unjudged;
        n->unjudged = (struct catalog_question){.count = 0};
    }
    if (n->asked.count == 0) /* all names are known: what may they set? */
        catalog_question_add_bodies(&n->asked);
    n->told = false;
    ask(s, &n->asked, sql);
    return NAMED_ASK;
}

/* ---- what is owed ---- */

/* True: of all names is known what they are; *left_r: they may have left something. */
static bool
judge_owed(struct session *s, const struct catalog_scope *scope, bool *left_r)
{
    const struct catalog_question *q = &s->named->owed;
    uint32_t flags;

    if (!catalog_question_known(q, s->host->catalog, scope, &flags))
        return false;
    *left_r = (flags & (CATALOG_OPAQUE | CATALOG_KEEPS | CATALOG_MISSING)) != 0 || q->overflow;
    return true;
}

static void
settle_owed(struct session *s, bool left)
{
    if (left)
        s->named->refused = true;
    else
        catalog_question_clear(&s->named->owed);
}

enum named_state
named_pay(struct session *s, struct buf *sql)
{
    struct named *n = s->named;
    bool left;

    if (!n->refused && judge_owed(s, lookup_scope(s), &left))
        settle_owed(s, left);
    if (n->refused || n->owed.count == 0)
        return NAMED_KNOWN;
    ask(s, &n->owed, sql);
    return NAMED_ASK;
}

static void
paid(struct session *s, bool failed)
{
    struct named *n = s->named;
    bool left = true;

    if (!failed) {
        lookup_heard(s, &n->owed, &n->scope);
        failed = !judge_owed(s, &n->scope, &left);
    }
    settle_owed(s, failed || left);
}

/* ---- the answer ---- */

bool
named_is_asking(const struct session *s)
{
    return s->named != NULL && s->named->asking;
}

void
named_row(struct session *s, const uint8_t *body, size_t len)
{
    struct named *n = s->named;

    catalog_question_row(n->owed.count > 0 ? &n->owed : &n->asked, s->host->catalog, body, len);
}

static void
take_answer(struct session *s)
{
    struct named *n = s->named;

    n->told = n->asked.count == 1 && n->asked.asked[0].kind == 'b';
    lookup_heard(s, &n->asked, &n->scope);
    if (!judge(s, &n->asked, &n->scope)) {
        named_uncertain(s);
        catalog_question_clear(&n->asked);
        remember(n);
    }
}

void
named_answered(struct session *s, bool failed)
{
    s->named->asking = false;
    if (named_owes(s))
        paid(s, failed);
    else if (!failed)
        take_answer(s);
}

/* ---- asking for the parameters ---- */

static void
add_values(struct buf *sql, const char *names, size_t len, bool *any_io)
{
    for (const char *at = names; at < names + len; at += strlen(at) + 1) {
        buf_add_str(sql, *any_io ? "),(" : "(");
        sql_add_literal(sql, (struct sql_text){at, (uint32_t)strlen(at)});
        *any_io = true;
    }
}

void
named_question(struct session *s, struct buf *sql)
{
    const struct named *n = s->named;
    struct buf values = BUF_EMPTY;
    struct sql_text names;
    bool opaque;
    bool any = false;

    if (n != NULL && n->count > 0)
        add_values(&values, (const char *)n->names.data, n->names.len, &any);
    if (by_functions(s) && catalog_parameters(s->host->catalog, told_scope(s),
                                              pool_key_database(s->key), &names, &opaque))
        add_values(&values, names.data, names.len, &any);
    if (any) {
        buf_add_str(sql, " UNION ALL SELECT n, CASE WHEN pg_catalog.length(v) <= ");
        buf_printf(sql, "%d", VALUE_MAX_BYTES);
        buf_add_str(sql,
                    " THEN pg_catalog.format('SELECT pg_catalog.set_config(%L,%L,false)', n, v)"
                    " END FROM (SELECT DISTINCT n, pg_catalog.current_setting(n, true) AS v"
                    " FROM (VALUES ");
        buf_add(sql, values.data, values.len);
        buf_add_str(sql, ")) AS y(n)) AS x WHERE v IS NOT NULL");
    }
    buf_free(&values);
}

/*
 * What a session has left on its connection to the primary that another connection would not have,
 * and how it comes to an end.
 *
 * While there is anything, the session keeps the connection (pool_mode = auto) and, for most of it,
 * reads at the primary. What a statement leaves is noted when it is sent, whether it succeeds or
 * not. Whatever may have ended something is noted, too; when all could be gone, the server is
 * asked, in one query whose answer the client never sees: when the session has been quiet for a
 * moment, after some more statements of one that never is, or at once while others wait for a
 * connection. After each question in vain the next one waits twice as long. Client statements that
 * come meanwhile are ordered behind it.
 *
 * Called by client.c and settings.c (what is left), answers.c (ends of cycles, the answer).
 * Invariants: nothing is asked in a transaction or an open batch; what was noted behind the
 * question is not touched by its answer.
 */
#include "session/internal.h"
#include "session/native.h"

#include "base/num.h"
#include "base/str.h"
#include "config/config.h"
#include "sql/literal.h"

#include <stdlib.h>
#include <string.h>

enum {
    QUIET_MS = 5,
    BUSY_CYCLES = 16, /* of one that is never quiet */
    BACKOFF_MAX = 8,
    SETTLES_MAX = 3,
    SETTING_MAX_BYTES = 8000,
};

#define BIT(id) (1u << SESSION_KEEPS_##id)

static const uint32_t pinning = 0
#define SESSION_KEEPS(id, words, pins, asked) | ((pins) ? BIT(id) : 0)
#include "tables/keeps.def"
#undef SESSION_KEEPS
    ;

static const uint32_t askable = 0
#define SESSION_KEEPS(id, words, pins, asked) | ((asked) ? BIT(id) : 0)
#include "tables/keeps.def"
#undef SESSION_KEEPS
    ;

/* Of these nobody knows what they have left: all is asked for. */
static const uint32_t anything = BIT(STATEMENT) | BIT(STATEMENTS) | BIT(FUNCTION);

/* What the server is asked, and what it says with which letter. */
enum { SAYS_SCHEMA = 's' };

static const struct {
    char letter;
    uint32_t kinds;
    const char *condition;
} questions[] = {
    {'p', BIT(STATEMENT) | BIT(STATEMENTS),
     "EXISTS (SELECT FROM pg_catalog.pg_prepared_statements"
     " WHERE from_sql OR name !~ '^pgpool_v?[0-9]+$')"},
    {'c', BIT(CURSOR), "EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable)"},
    {'t', BIT(TEMPORARY),
     "EXISTS (SELECT FROM pg_catalog.pg_depend"
     " WHERE refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass"
     " AND refobjid = pg_catalog.pg_my_temp_schema())"},
    {SAYS_SCHEMA, BIT(TEMPORARY), "pg_catalog.pg_my_temp_schema() <> 0"},
    {'n', BIT(LISTEN), "EXISTS (SELECT FROM pg_catalog.pg_listening_channels())"},
    {'l', BIT(LOCK),
     "EXISTS (SELECT FROM pg_catalog.pg_locks"
     " WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid())"},
};

static void
show(struct session *s)
{
    s->pinned = s->always_pinned || s->serializable || (s->keeps.kinds & pinning) != 0;
    if (s->place.slot != NULL)
        s->place.slot->keeps = named_owes(s) ? 0 : s->keeps.kinds;
}

/* ---- noting ---- */

void
session_keep(struct session *s, enum session_keeps what)
{
    struct keeps *k = &s->keeps;
    uint32_t bit = 1u << what;

    k->fresh |= bit & ~k->kinds; /* what was there before outlives the transaction */
    k->settled = 0;
    k->asked &= ~bit;
    /* it may have left nothing at all */
    k->ended |= bit & (BIT(FUNCTION) | BIT(SETTING));
    if (what == SESSION_KEEPS_FUNCTION)
        k->ended |= askable;
    if (unlikely(s->copies != NULL))
        copies_note_kept(s, bit, !(k->kinds & bit));
    if (k->kinds & bit)
        return;
    k->kinds |= bit;
    show(s);
}

void
keeps_drop(struct session *s, enum session_keeps what)
{
    struct keeps *k = &s->keeps;

    k->kinds &= ~(1u << what);
    k->ended &= ~(1u << what);
    show(s);
}

void
keeps_clear(struct session *s)
{
    struct keeps *k = &s->keeps;

    k->kinds = k->fresh = k->ended = k->asked = 0;
    k->fruitless = 0;
    s->serializable = false;
    io_timer_stop(&k->quiet);
    named_clear(s);
    cache_is_clean(s);
    show(s);
}

void
keeps_pin(struct session *s)
{
    s->serializable = true;
    show(s);
}

/* DROP, or ON COMMIT DROP. */
static bool
drops(const struct sql_statement *st, const char *text)
{
    if (st->kind != SQL_DDL && st->kind != SQL_CREATE_TABLE_AS)
        return false;
    for (uint32_t at = st->start; at + 4 <= st->end; at++) {
        if (str_equal_nocase_n(text + at, "drop", 4))
            return true;
    }
    return false;
}

/* One of PostgreSQL's own functions that leave something, or a well-known one. */
static void
keep_for_call(struct session *s, struct server *server, struct sql_text name)
{
    server->spoilt |= sql_text_begins(name, "dblink_connect"); /* no DISCARD ends it */
    if (sql_text_begins(name, "pg_advisory_unlock") || sql_text_begins(name, "pg_try_advisory_"))
        s->keeps.ended |= BIT(LOCK);
    if (sql_text_begins(name, "pg_advisory_") || sql_text_begins(name, "pg_try_advisory_"))
        session_keep(s, SESSION_KEEPS_LOCK);
    else if (sql_text_begins(name, "set_config"))
        session_keep(s, SESSION_KEEPS_SETTING);
    else
        session_keep(s, SESSION_KEEPS_LIBRARY);
}

/* Where something else may leave something, too, its own functions do not explain all. */
static bool
has_others(const struct sql_statement *st)
{
    return st->table_count > 0 || st->operator_count > 0 || st->type_count > 0;
}

static void
keep_for_calls(struct session *s, struct server *server, const struct sql_statement *st,
               uint8_t touches)
{
    bool explained = st->temporary || st->kind == SQL_LOAD;

    for (uint32_t n = 0; n < st->function_count; n++) {
        const struct sql_function *f = &st->functions[n];
        if (f->function_class != SQL_FUNCTION_SESSION)
            continue;
        explained |= !has_others(st);
        if (!sql_function_recalls(f))
            keep_for_call(s, server, f->name);
    }
    if (touches & TOUCHES_SURELY || st->kind == SQL_CALL || !lookup_watches(st))
        named_sure(s);
    if (!explained || st->kind == SQL_CALL || st->kind == SQL_DO || st->unknown_calls)
        session_keep(s, SESSION_KEEPS_FUNCTION);
}

/* An UPDATE of pg_settings sets parameters. Types and functions of pg_catalog do nothing like it;
 * values that pgpool has put into a text have such types. */
static bool
updates_system(const struct sql_statement *st)
{
    for (uint32_t n = 0; n < st->table_count; n++) {
        if (sql_text_begins(st->tables[n].name, "pg_"))
            return true;
    }
    return st->table_count == 0;
}

/* What it runs was noted with its PREPARE, but the server may have been asked since; in the native
 * modes it was not. */
static void
executes(struct session *s)
{
    if (session_pool_mode(s) == CONFIG_POOL_MODE_AUTO)
        session_keep(s, SESSION_KEEPS_FUNCTION);
    named_sure(s);
}

void
keeps_bound(struct session *s, const struct statement *st)
{
    if (s->copies == NULL || !copies_prepared_is_harmless(st))
        executes(s);
}

void
keeps_statement(struct session *s, struct server *server, const struct sql_statement *st,
                const char *text, uint8_t touches)
{
    struct keeps *k = &s->keeps;

    switch (st->kind) {
    case SQL_PREPARE:
        session_keep(s, SESSION_KEEPS_STATEMENT);
        break;
    case SQL_DEALLOCATE:
        k->ended |= BIT(STATEMENT) | BIT(STATEMENTS);
        break;
    case SQL_EXECUTE:
        if (s->copies != NULL && copies_execute_is_harmless(s, st))
            return;
        executes(s);
        break;
    case SQL_DECLARE:
        if (st->hold)
            session_keep(s, SESSION_KEEPS_CURSOR);
        break;
    case SQL_CLOSE:
        k->ended |= BIT(CURSOR);
        break;
    case SQL_LISTEN:
        /* notifications come at any time, and must not come in the middle of a row from elsewhere
         */
        session_keep(s, SESSION_KEEPS_LISTEN);
        break;
    case SQL_UNLISTEN:
        k->ended |= BIT(LISTEN);
        break;
    case SQL_LOAD:
        server->spoilt = true;
        session_keep(s, SESSION_KEEPS_LIBRARY);
        break;
    case SQL_UPDATE:
        if (st->system_catalog && updates_system(st))
            session_keep(s, SESSION_KEEPS_SETTING);
        break;
    default:
        break;
    }
    if (st->kind == SQL_DISCARD || drops(st, text))
        k->ended |= BIT(TEMPORARY);
    if (st->temporary) {
        server->spoilt = true;
        session_keep(s, SESSION_KEEPS_TEMPORARY);
    }
    /* only EXECUTE runs it, and notes that; in the native modes it counts where */
    if (touches && !(st->kind == SQL_PREPARE && s->copies != NULL &&
                     session_pool_mode(s) == CONFIG_POOL_MODE_AUTO))
        keep_for_calls(s, server, st, touches);
}

bool
keeps_is_of_large_objects(uint32_t oid)
{
    /* lo_create, lo_open, lo_close, loread, lowrite, lo_lseek, lo_creat, lo_tell, lo_unlink,
     * lo_truncate, and those with 64 bits */
    static const uint32_t oids[] = {715, 952, 953,  954,  955,  956, 957,
                                    958, 964, 1004, 3170, 3171, 3172};

    for (size_t n = 0; n < ARRAY_LEN(oids); n++) {
        if (oids[n] == oid)
            return true;
    }
    return false;
}

/* A function by its number. */
void
keeps_called(struct session *s, uint32_t oid)
{
    enum { SET_CONFIG = 2078, FIRST_NORMAL = 16384 };

    if (keeps_is_of_large_objects(oid))
        return;
    named_sure(s);
    session_keep(s, oid == SET_CONFIG ? SESSION_KEEPS_LIBRARY : SESSION_KEEPS_FUNCTION);
    if (oid >= FIRST_NORMAL)
        named_uncertain(s);
}

/* Of which we can take it again, once EXECUTE has run; nobody knows what that left. */
void
keeps_lent_name(struct session *s)
{
    session_keep(s, SESSION_KEEPS_STATEMENT);
    s->keeps.ended |= BIT(STATEMENT);
}

void
keeps_overtaken(struct session *s)
{
    static const uint32_t setters = BIT(STATEMENTS) | BIT(SETTING) | BIT(FUNCTION);

    if (likely(!(s->keeps.asked & BIT(SETTING))))
        return;
    s->keeps.asked &= ~BIT(SETTING);
    if (s->keeps.kinds & setters)
        session_keep(s, SESSION_KEEPS_SETTING);
}

void
keeps_doubt(struct session *s)
{
    s->keeps.ended |= s->keeps.fresh;
}

void
keeps_text(struct session *s, const struct sql_facts *f, const char *text, uint8_t touches)
{
    if (!f->understood)
        session_keep(s, SESSION_KEEPS_UNKNOWN);
    if (catalog_pins(s->host->catalog, f) & CATALOG_PINS_LISTED ||
        (touches && f->memo->verdict & CATALOG_OPAQUE))
        session_keep(s, SESSION_KEEPS_LIBRARY);
    if (f->count > 1 && touches)
        session_keep(s, SESSION_KEEPS_FUNCTION);
    if (f->count > 1 && touches & TOUCHES_SURELY)
        named_sure(s);
    if (f->count > 1)
        keeps_doubt(s);
    if (f->understood) {
        for (uint32_t n = 0; n < f->count; n++)
            named_statement(s, &f->statements[n], text);
    }
}

/* ---- asking ---- */

/* The first row: letters; the others: a parameter and the statement that sets it. */
static void
build_question(struct session *s, uint32_t kinds, struct buf *sql)
{
    const char *user = pool_key_user(s->key);

    buf_add_str(sql, "SELECT ''::pg_catalog.text, pg_catalog.concat(''");
    for (size_t n = 0; n < ARRAY_LEN(questions); n++) {
        if (kinds & questions[n].kinds)
            buf_printf(sql, ", CASE WHEN %s THEN '%c' END", questions[n].condition,
                       questions[n].letter);
    }
    buf_add_str(sql, ")");
    if (!(kinds & BIT(SETTING)))
        return;
    buf_add_str(sql, " UNION ALL SELECT 'session_authorization', pg_catalog.format("
                     "'SET SESSION AUTHORIZATION %L', session_user) WHERE session_user <> ");
    sql_add_literal(sql, (struct sql_text){user, (uint32_t)strlen(user)});
    buf_add_str(sql, " UNION ALL SELECT 'role', pg_catalog.format("
                     "'SET ROLE %L', pg_catalog.current_setting('role'))"
                     " WHERE pg_catalog.current_setting('role') <> 'none'");
    buf_printf(sql,
               " UNION ALL SELECT n, CASE WHEN pg_catalog.length(x.setting) <= %d THEN"
               " pg_catalog.format('SELECT pg_catalog.set_config(%%L,%%L,false)', n, x.setting)"
               " END FROM (SELECT pg_catalog.lower(name) AS n, setting"
               " FROM pg_catalog.pg_settings WHERE source = 'session'"
               " AND name !~ '^transaction_' LIMIT 1000) AS x",
               SETTING_MAX_BYTES);
    named_question(s, sql);
}

static bool
may_ask(const struct session *s)
{
    const struct server *server = s->primary;

    return s->state == CLIENT_READY && s->tx_status == 'I' && !s->tx.deferred && server != NULL &&
           server->state == SERVER_LENT && server_is_idle(server) && s->batch != server &&
           !(s->cur == server && s->pass_left > 0) && !server->pending.sync_in_doubt;
}

/* Could all be gone that can be asked for, and does it matter? Beside what was drawn from sequences
 * it is only reads that may go elsewhere then. */
static bool
is_due(const struct session *s)
{
    const struct keeps *k = &s->keeps;
    uint32_t may_be_asked = k->kinds & askable;

    return may_be_asked != 0 && (may_be_asked & ~k->ended) == 0 &&
           (k->kinds & ~askable & pinning) == 0 && !k->asking &&
           session_pool_mode(s) == CONFIG_POOL_MODE_AUTO;
}

static void quiet(void *ctx);

static void
ask_later(struct session *s)
{
    struct keeps *k = &s->keeps;

    io_timer_start(s->host->io, &k->quiet, (int64_t)QUIET_MS << k->fruitless, quiet, s);
}

/* Is known what the session has run? If not, the catalog is asked first, or will be. */
static bool
settle(struct session *s)
{
    struct buf sql = BUF_EMPTY;
    enum named_state state = named_settle(s, &sql);

    if (state == NAMED_LATER)
        ask_later(s);
    if (state == NAMED_ASK) {
        s->keeps.asking = true;
        server_ask(s->primary, (const char *)sql.data, sql.len, CYCLE_KEEPS);
    }
    buf_free(&sql);
    return state == NAMED_KNOWN;
}

void
keeps_reconsider(struct session *s)
{
    if (s->keeps.kinds & BIT(FUNCTION) && named_is_harmless(s))
        keeps_drop(s, SESSION_KEEPS_FUNCTION);
}

/* What has it left that nobody can bring back? */
static void
end_session(struct session *s)
{
    struct err err;

    err_set(&err, "57P01", "the connection to the primary was lost");
    outage_refuse(s, &err);
    session_fatal(s, &err);
}

/* Nothing has run since. */
static void
pay_off(struct session *s)
{
    if (!named_owes(s))
        keeps_drop(s, SESSION_KEEPS_FUNCTION);
}

static bool
asks_first(struct session *s, struct server *server)
{
    struct buf sql = BUF_EMPTY;

    if (likely(!named_owes(s)) || server != s->primary)
        return false;
    s->stall = STALL_ANSWERS;
    if (server->pending.count > 0)
        return true;
    if (named_pay(s, &sql) == NAMED_ASK) {
        s->keeps.asking = true;
        server_ask(server, (const char *)sql.data, sql.len, CYCLE_KEEPS);
    } else if (named_owes(s)) {
        end_session(s);
    } else {
        s->stall = STALL_NONE;
        pay_off(s);
    }
    buf_free(&sql);
    return s->stall != STALL_NONE;
}

/* Is the node that the session is bereft of still the main one? Then what it had there is gone. */
static bool
looks_there(struct session *s, struct server *server)
{
    if (s->copies == NULL || !copies_is_bereft(s) || server != s->primary)
        return false;
    s->stall = STALL_ANSWERS;
    if (copies_is_disinherited(s)) {
        end_session(s);
    } else if (server->pending.count == 0) {
        s->keeps.asking = true;
        server_ask(server, "SELECT 1", 8, CYCLE_KEEPS);
    }
    return true;
}

bool
keeps_waits_there(struct session *s, struct server *server)
{
    if (looks_there(s, server))
        return true;
    if (settings_replay(s, server)) {
        s->stall = STALL_ANSWERS;
        return true;
    }
    if (unlikely(s->named != NULL) && asks_first(s, server))
        return true;
    return unlikely(s->copies != NULL) && server == s->primary && copies_prepares_again(s, server);
}

static void
ask(struct session *s)
{
    struct keeps *k = &s->keeps;
    struct buf sql = BUF_EMPTY;

    k->cycles = 0;
    io_timer_stop(&k->quiet);
    if (!may_ask(s) || named_owes(s))
        return; /* the end of what runs comes here again */
    if (!settle(s))
        return;
    keeps_reconsider(s);
    if (!is_due(s))
        return;
    k->asked = k->kinds & anything ? askable : k->kinds & askable;
    k->ended = 0;
    k->asking = true;
    k->answered = k->too_much = false;
    /* what is set on it is what the session has set, and no more */
    if (k->asked & BIT(SETTING))
        settings_replay(s, s->primary);
    statements_close_real(s, s->primary);
    build_question(s, k->asked, &sql);
    server_ask(s->primary, (const char *)sql.data, sql.len, CYCLE_KEEPS);
    buf_free(&sql);
}

static void
quiet(void *ctx)
{
    struct session *s = ctx;

    ask(s);
    session_release(s); /* there may have been nothing to ask for */
    if (unlikely(s->stall == STALL_ANSWERS) && !s->keeps.asking)
        client_go_on(s); /* keeps_settles has waited for that */
}

void
keeps_hurry(struct session *s)
{
    if (is_due(s) && !io_timer_running(&s->keeps.quiet))
        ask(s);
}

bool
keeps_may_settle(struct session *s)
{
    static const uint32_t of_all_nodes =
        BIT(SETTING) | BIT(FUNCTION) | BIT(TEMPORARY) | BIT(STATEMENTS);
    struct keeps *k = &s->keeps;

    if (!(k->kinds & of_all_nodes) || k->settled == SETTLES_MAX)
        return false;
    k->ended |= k->kinds & askable;
    return is_due(s);
}

bool
keeps_settles(struct session *s)
{
    struct keeps *k = &s->keeps;
    struct server *server = s->primary;

    if (k->asking ||
        (server != NULL && s->batch != server && server->pending.count > 0)) /* its end comes */
        return true;
    if (!keeps_may_settle(s))
        return false;
    ask(s);
    k->settled += k->asking;
    return k->asking || io_timer_running(&k->quiet);
}

void
keeps_failed(struct session *s, const struct server *server)
{
    if (!s->keeps.blank || server != s->primary || server->failure != SERVER_FAILED_EARLY ||
        server->pending.count > 0)
        return;
    /* all was noted for what has not run; but a Parse may have */
    s->keeps.kinds &= BIT(STATEMENT) | BIT(STATEMENTS) | BIT(SEQUENCE) | BIT(ROLE);
    s->keeps.blank = false;
    named_lost(s);
    show(s);
}

void
keeps_cycle_end(struct session *s, struct server *server, bool doubtful)
{
    struct keeps *k = &s->keeps;

    if (likely(k->kinds == 0) || server != s->primary || server->tx_status != 'I')
        return;
    if (doubtful)
        keeps_doubt(s);
    if (server->pending.count > 0)
        return;
    k->fresh = 0;
    keeps_reconsider(s);
    if (!is_due(s))
        return;
    if (++k->cycles >= (uint32_t)BUSY_CYCLES << k->fruitless ||
        (k->fruitless == 0 && pool_waiting(s->host->pool) > 0))
        ask(s);
    else
        ask_later(s);
}

/* ---- the answer ---- */

static struct sql_text
column(const uint8_t *msg, size_t len, uint32_t wanted)
{
    struct wire_view value = wire_column(msg, (uint32_t)len, wanted);

    return (struct sql_text){value.data, value.len};
}

static void
take_letters(struct keeps *k, struct server *server, struct sql_text letters)
{
    uint32_t left = 0;

    for (uint32_t at = 0; at < letters.len; at++) {
        char letter = letters.data[at];
        for (size_t n = 0; n < ARRAY_LEN(questions); n++) {
            uint32_t kinds = questions[n].kinds;
            if (questions[n].letter != letter || letter == SAYS_SCHEMA)
                continue;
            left |= k->kinds & kinds ? k->kinds & kinds : kinds & -kinds;
        }
    }
    if (k->asked & BIT(TEMPORARY))
        server->spoilt = memchr(letters.data, SAYS_SCHEMA, letters.len) != NULL ||
                         (server->spoilt && server->pending.count > 1);
    k->left = left;
    k->answered = true;
}

void
keeps_row(struct session *s, struct server *server, const uint8_t *msg, size_t len)
{
    struct keeps *k = &s->keeps;
    struct sql_text name = column(msg, len, 0);
    struct sql_text text = column(msg, len, 1);

    if (unlikely(named_is_asking(s)))
        named_row(s, msg + WIRE_HEADER_BYTES, len - WIRE_HEADER_BYTES);
    else if (name.data != NULL && name.len == 0 && text.data != NULL)
        take_letters(k, server, text);
    else if (name.data == NULL || text.data == NULL || !settings_hear(&k->settings, name, text))
        k->too_much = true;
}

/* The catalog has answered: the session can be judged now. */
static void
settled(struct session *s, struct server *server, bool failed)
{
    struct keeps *k = &s->keeps;

    bool owed = named_owes(s);

    k->asking = false;
    named_answered(s, failed);
    if (owed) { /* the unit that waits goes on, or ends the session */
        pay_off(s);
        return;
    }
    if (failed && k->fruitless < BACKOFF_MAX)
        k->fruitless++;
    if (failed)
        ask_later(s);
    else if (server->pending.count == 0)
        ask(s);
}

void
keeps_answered(struct session *s, struct server *server, bool failed)
{
    struct keeps *k = &s->keeps;
    uint32_t asked = k->asked;
    uint32_t left = k->left & asked;

    if (unlikely(s->copies != NULL) && copies_is_bereft(s)) { /* looks_there */
        k->asking = false;
        copies_main_lives(s);
        return;
    }
    if (unlikely(named_is_asking(s))) {
        settled(s, server, failed);
        return;
    }
    k->asked = 0;
    k->asking = false;
    if (s->replaying == server && server->pending.count == 0)
        s->replaying = NULL;
    if (failed || !k->answered) {
        k->ended |= asked; /* another time */
        left = asked & k->kinds;
    } else if (asked & BIT(SETTING) && (k->too_much || !settings_adopt(s, server, &k->settings))) {
        left |= BIT(SETTING);
    }
    buf_free(&k->settings);
    if (unlikely(s->copies != NULL))
        copies_note_found(s, asked & k->kinds & anything, left & ~k->kinds);
    k->kinds = (k->kinds & ~asked) | left;
    if (!(k->kinds & BIT(FUNCTION)))
        named_lost(s);
    if (left == 0)
        k->fruitless = 0;
    else if (k->fruitless < BACKOFF_MAX)
        k->fruitless++;
    show(s);
    /* who is idle from now on would keep the connection for no reason */
    if (unlikely(failed || k->ended & BIT(SETTING)) && server == s->primary && is_due(s))
        ask_later(s);
}

void
keeps_undone(struct session *s)
{
    if (s->tx_status != 'I' && s->keeps.fresh & BIT(FUNCTION) &&
        !(s->copies != NULL && copies_has_committed(s)))
        named_lost(s);
}

void
keeps_lost(struct session *s)
{
    struct keeps *k = &s->keeps;
    bool bereft = s->copies != NULL && copies_is_bereft(s);
    uint32_t lasts = bereft ? k->kinds & copies_lasting(s) : 0;
    bool owes = k->kinds & ~lasts & BIT(FUNCTION) && named_may_owe(s);

    if (s->copies != NULL && k->kinds & BIT(STATEMENT))
        copies_statements_lost(s);
    k->kinds = lasts | (owes ? BIT(FUNCTION) : 0);
    k->ended = (k->ended | k->asked) & lasts;
    k->fresh = k->asked = 0;
    k->fruitless = 0;
    k->asking = false;
    io_timer_stop(&k->quiet);
    buf_free(&k->settings);
    if (owes)
        named_owe(s);
    else if (lasts & BIT(FUNCTION))
        named_interrupted(s);
    else
        named_lost(s);
    show(s);
}

void
keeps_fini(struct session *s)
{
    io_timer_stop(&s->keeps.quiet);
    named_clear(s);
    buf_free(&s->keeps.settings);
}

/* CREATE, ALTER or DROP DATABASE do not bear others' connections; and those that there are do not
 * have what ALTER DATABASE or ALTER ROLE may set for new ones. */
bool
keeps_renews(const struct sql_statement *st, const char *text)
{
    static const char *const verbs[] = {"create", "alter", "drop"};
    const char *sql = text + st->start;
    uint32_t len = st->end - st->start;

    for (size_t n = 0; st->kind == SQL_DDL && n < ARRAY_LEN(verbs); n++) {
        uint32_t at = (uint32_t)strlen(verbs[n]);
        if (len <= at || !str_equal_nocase_n(sql, verbs[n], at))
            continue;
        while (at < len && memchr(" \t\n\r\f\v", sql[at], 6) != NULL)
            at++;
        return len - at > 8 && (str_equal_nocase_n(sql + at, "database", 8) ||
                                str_equal_nocase_n(sql + at, "role", 4) ||
                                str_equal_nocase_n(sql + at, "user ", 5));
    }
    return false;
}

/*
 * Native replication: which statements go to all nodes, which to the main node alone, and which to
 * none.
 *
 * Called by copies.c for each unit. Nothing goes to one node unless it was recognised as something
 * that leaves nothing there which the others must have; nothing goes to all unless it does the same
 * everywhere, or replication_unsafe_statements says otherwise. What is not built yet is refused.
 */
#include "session/copies.h"

#include "base/str.h"
#include "config/config.h"
#include "wire/build.h"

#include <string.h>

static const struct copies_rule as_always = {.way = COPIES_AS_ALWAYS};
static const struct copies_rule refused = {.way = COPIES_REFUSED};
/* The main node will say so. */
static const struct copies_rule in_vain = {.way = COPIES_AS_ALWAYS, .in_vain = true};

static struct copies_rule
refuse(struct err *err, const char *what, const char *hint)
{
    err_set(err, "0A000", "%s cannot be run on all nodes (native_replication)", what);
    err_hint(err, "%s", hint);
    return refused;
}

/* ---- words ---- */

static bool
begins_with(const struct sql_statement *st, const char *text, const char *word)
{
    size_t len = strlen(word);

    return st->end - st->start >= len && str_equal_nocase_n(text + st->start, word, len);
}

static bool
has_word(const struct sql_statement *st, const char *text, const char *word)
{
    size_t len = strlen(word);

    for (uint32_t at = st->start; at + len <= st->end; at++) {
        if (str_equal_nocase_n(text + at, word, len))
            return true;
    }
    return false;
}

/* PostgreSQL does not run it within a transaction block. One that is taken for such by mistake
 * loses nothing but that all nodes commit it at the same point. */
static bool
runs_alone(const struct sql_statement *st, const char *text)
{
    static const char *const things[] = {"database", "tablespace", "subscription"};

    switch (st->kind) {
    case SQL_VACUUM:
    case SQL_CLUSTER:
        return true;
    case SQL_REINDEX:
        return has_word(st, text, "database") || has_word(st, text, "system") ||
               has_word(st, text, "schema") || has_word(st, text, "concurrently");
    case SQL_DDL:
        break;
    default:
        return false;
    }
    if (has_word(st, text, "concurrently") || begins_with(st, text, "alter system"))
        return true;
    for (size_t n = 0; n < ARRAY_LEN(things); n++) {
        if (has_word(st, text, things[n]) &&
            (begins_with(st, text, "create") || begins_with(st, text, "drop")))
            return true;
    }
    return false;
}

/* ---- reads ---- */

static bool
is_lock_call(const struct sql_function *f)
{
    return f->name.len > 12 && memmem(f->name.data, f->name.len, "_advisory_", 10) != NULL;
}

/* Locks rows, or takes an advisory lock, and does nothing else: the main node's matter. */
static bool
only_locks(const struct sql_statement *st)
{
    if (st->kind != SQL_SELECT || st->writes || !(st->locks_rows || st->advisory_lock))
        return false;
    for (uint32_t n = 0; n < st->function_count; n++) {
        const struct sql_function *f = &st->functions[n];
        if (f->function_class != SQL_FUNCTION_SAFE && !is_lock_call(f))
            return false;
    }
    return true;
}

/* Beside it others would draw from the sequence before it on one node, and behind it on another. */
static bool
sets_sequence(const struct sql_statement *st)
{
    for (uint32_t n = 0; n < st->function_count; n++) {
        if (st->functions[n].name.len == 6 &&
            str_equal_nocase_n(st->functions[n].name.data, "setval", 6))
            return true;
    }
    return false;
}

/* ---- the rule ---- */

static struct copies_rule
all_judged(bool unprepared)
{
    return (struct copies_rule){
        .way = COPIES_ALL, .judged = true, .writes = true, .unprepared = unprepared};
}

/* It changes the transaction or the session, not what is stored. */
static struct copies_rule
in_block(bool block)
{
    return block ? (struct copies_rule){.way = COPIES_ALL} : as_always;
}

static struct copies_rule
rule_of_end(const struct copies_look *look)
{
    if (look->st->chain)
        return copies_rule_of_chain(look);
    if (!copies_any_begun(look->s->copies))
        return as_always;
    return (struct copies_rule){.way =
                                    look->st->kind == SQL_COMMIT ? COPIES_COMMIT : COPIES_ROLLBACK};
}

/* The copies get what the session has set, as far as that is known. Parameters that functions have
 * set are not, before the server was asked: what changes them now must run where those have run. */
bool
copies_know_parameters(const struct session *s)
{
    static const uint32_t unknown = 1u << SESSION_KEEPS_SETTING | 1u << SESSION_KEEPS_FUNCTION |
                                    1u << SESSION_KEEPS_LIBRARY | 1u << SESSION_KEEPS_UNKNOWN;

    return (s->keeps.kinds & unknown) == 0;
}

static struct copies_rule
rule_of_set(const struct copies_look *look, struct err *err)
{
    if (look->st->kind == SQL_SET_SESSION && look->st->name.len == 0)
        return refuse(err, "SET SESSION CHARACTERISTICS",
                      "SET default_transaction_isolation and its like instead.");
    return in_block(look->block || !copies_know_parameters(look->s) ||
                    copies_any_sets(look->s->copies));
}

/* ALL: the copies' connections are given back. Less leaves something there, as on the main node. */
static struct copies_rule
rule_of_discard(const struct copies_look *look, struct err *err)
{
    if (look->block)
        return refuse(err, "DISCARD in a transaction", "End the transaction first.");
    if (has_word(look->st, look->text, "all"))
        return (struct copies_rule){.way = COPIES_DISCARD};
    return (struct copies_rule){.way = COPIES_ALL, .unprepared = true};
}

/* Verbs: what they do, their kind tells. False: it depends on more. */
static bool
rule_of_verb(const struct copies_look *look, struct copies_rule *r, struct err *err)
{
    switch (look->st->kind) {
    case SQL_EMPTY:
    case SQL_BEGIN:
    case SQL_SHOW:
    case SQL_FETCH:
    case SQL_CLOSE:
    case SQL_UNLISTEN:
    case SQL_NOTIFY:
    case SQL_LISTEN:
    case SQL_PREPARE: /* what it prepares is looked at by EXECUTE */
    case SQL_DEALLOCATE:
    case SQL_CHECKPOINT:
        *r = as_always;
        return true;
    case SQL_COMMIT:
    case SQL_ROLLBACK:
        *r = rule_of_end(look);
        return true;
    case SQL_SET:
    case SQL_SET_SESSION:
    case SQL_RESET_ALL:
        *r = rule_of_set(look, err);
        return true;
    case SQL_SET_TX:
        copies_order_sets(look->s, look->st);
        *r = in_block(look->block);
        return true;
    case SQL_SET_LOCAL:
    case SQL_SAVEPOINT:
    case SQL_LOCK:
        *r = in_block(look->block);
        return true;
    case SQL_DISCARD:
        *r = rule_of_discard(look, err);
        return true;
    case SQL_EXECUTE:
        *r = copies_rule_of_execute(look, err);
        return true;
    case SQL_PREPARED_TX:
        *r = refuse(err, "two-phase commit", "Let pgpool prepare transactions.");
        return true;
    case SQL_LOAD:
        *r = refuse(err, "LOAD", "Set session_preload_libraries on the servers.");
        return true;
    default:
        return false;
    }
}

/* What it does to rows, locks of rows and tables order. */
static bool
is_dml(enum sql_kind kind)
{
    return kind == SQL_SELECT || kind == SQL_INSERT || kind == SQL_UPDATE || kind == SQL_DELETE ||
           kind == SQL_MERGE || kind == SQL_COPY_TO || kind == SQL_COPY_FROM || kind == SQL_EXPLAIN;
}

/* What sets parameters on the main node, sets them on all: what is written behind it may depend on
 * them. */
static struct copies_rule
rule_of_read(const struct copies_look *look)
{
    bool sets = look->touches != 0 && !only_locks(look->st);

    if (!(session_options(look->s)->replicates_reads || sets) || look->st->kind != SQL_SELECT ||
        look->may_write)
        return as_always;
    return (struct copies_rule){.way = COPIES_ALL, .reads = true};
}

struct copies_rule
copies_rule_of(const struct copies_look *look, struct err *err)
{
    const struct sql_statement *st = look->st;
    struct copies_rule r;

    if (rule_of_verb(look, &r, err))
        return r;
    if (st->inner_kind == SQL_EXECUTE && st->kind == SQL_EXPLAIN)
        return copies_rule_of_explained(look, err);
    if (st->inner_kind == SQL_EXECUTE)
        return refuse(err, "CREATE TABLE AS EXECUTE", "Write the query itself.");
    switch (st->kind) {
    case SQL_SELECT:
    case SQL_EXPLAIN:
        if (!look->may_write || only_locks(st))
            return rule_of_read(look);
        break;
    case SQL_COPY_TO:
        if (!st->may_write)
            return as_always;
        break;
    case SQL_DECLARE:
        if (!st->inner_may_write)
            return as_always;
        return refuse(err, "a cursor that may write or lock", "Send the statement itself.");
    case SQL_OTHER:
    case SQL_IMPORT:
        return refuse(err, "this statement", "Run it on each server by itself.");
    default:
        break;
    }
    if (!look->block && runs_alone(st, look->text))
        return (struct copies_rule){.way = COPIES_ALONE,
                                    .judged = st->kind != SQL_VACUUM && st->kind != SQL_CLUSTER &&
                                              st->kind != SQL_REINDEX};
    r = all_judged(st->temporary);
    r.alone = sets_sequence(st);
    r.locks = st->locks_rows;
    r.data = st->kind == SQL_COPY_FROM;
    r.defines = !is_dml(st->kind);
    if (st->kind == SQL_ANALYZE || st->kind == SQL_CLUSTER || st->kind == SQL_REINDEX)
        r.judged = false;
    return r;
}

/* What may stand among others: it neither begins nor ends a transaction, nor changes what the text
 * behind it means. */
static bool
may_stand_with_others(const struct sql_statement *st, const struct copies_rule *r)
{
    if (r->way == COPIES_AS_ALWAYS)
        return !st->locks_rows && !st->advisory_lock &&
               (st->kind == SQL_SELECT || st->kind == SQL_SHOW || st->kind == SQL_EXPLAIN ||
                st->kind == SQL_EMPTY);
    return r->way == COPIES_ALL && st->kind != SQL_SAVEPOINT && st->kind != SQL_SET_TX && !r->data;
}

/* They are one unit: all nodes run all of them, in one transaction, as PostgreSQL does. */
static struct copies_rule
rule_of_several(struct copies_look *look, struct wire_view text, struct err *err)
{
    struct copies_rule all = {.way = COPIES_ALL, .several = true};
    struct verdict v = lookup_verdict(look->s, session_facts(look->s, text.data, text.len));
    const struct sql_facts *f = session_facts(look->s, text.data, text.len);
    bool reads = !v.may_write && !(v.touches_session & TOUCHES_SURELY);
    bool sets = false;

    look->text = text.data;
    look->block = look->may_write = look->several = true;
    look->touches = 0;
    for (uint32_t n = 0; n < f->count; n++) {
        struct copies_rule r;
        look->st = &f->statements[n];
        r = copies_rule_of(look, err);
        if (r.way == COPIES_REFUSED)
            return r;
        if (!may_stand_with_others(look->st, &r))
            return refuse(err, "this statement among others in one query", "Send them one by one.");
        reads &= look->st->kind == SQL_SELECT || look->st->kind == SQL_SHOW ||
                 look->st->kind == SQL_EMPTY;
        sets |= r.way == COPIES_ALL && !r.writes && look->st->kind != SQL_LOCK;
        all.judged |= r.judged;
        all.alone |= r.alone;
        all.writes |= r.writes;
        all.unprepared |= r.unprepared;
    }
    if (look->s->tx_status == 'E')
        return in_vain;
    if (reads)
        return as_always;
    if (sets && all.writes)
        return refuse(err, "SET among other statements in one query", "Send them one by one.");
    return all;
}

static struct copies_rule
rule_of_query(struct session *s, const uint8_t *bytes, const struct unit *u, struct err *err)
{
    struct copies_look look = {.s = s,
                               .may_write = u->may_write,
                               .touches = u->touches_session,
                               .block = s->tx_status != 'I'};
    const struct sql_facts *f;
    struct wire_view text;

    if (u->pass_left > 0)
        return refuse(err, "a statement of more than 1 MB", "Send it in parts.");
    if (wire_parse_query(bytes, (uint32_t)u->bytes, &text, err) != WIRE_OK)
        return as_always; /* the main node will say so */
    if (text.len > SQL_TEXT_MAX)
        return refuse(err, "a statement of more than 1 MB", "Send it in parts.");
    f = session_facts(s, text.data, text.len);
    if (!f->understood)
        return refuse(err, "a statement that is not understood",
                      "Run it on each server by itself.");
    if (f->count == 1) {
        look.st = &f->statements[0];
        look.text = text.data;
        return copies_rule_of(&look, err);
    }
    return rule_of_several(&look, text, err);
}

static struct copies_rule
rule_of_call(struct session *s, const uint8_t *bytes, const struct unit *u, struct err *err)
{
    if (u->pass_left > 0 || !copies_call_is_known(bytes, u->bytes))
        return refuse(err, "FunctionCall of this function", "Call the function in a SELECT.");
    if (s->tx_status == 'E')
        return in_vain;
    s->copies->begins = false;
    return (struct copies_rule){.way = COPIES_ALL, .writes = true, .alone = true, .several = true};
}

struct copies_rule
copies_rule(struct session *s, const uint8_t *bytes, const struct unit *u, struct err *err)
{
    if (u->type == 'Q')
        return rule_of_query(s, bytes, u, err);
    if (u->type == 'F')
        return rule_of_call(s, bytes, u, err);
    if (u->type == 'S' || u->type == 'H')
        return as_always;
    if (u->pass_left > 0 || u->partial)
        return refuse(err, "a batch of more than 16 MB, or without Sync",
                      "Send smaller batches, each with its Sync.");
    return copies_batch_rule(s, bytes, u, err);
}

/* ---- does it do the same everywhere? ---- */

static void
tell_unsafe(struct session *s, const struct err *reason)
{
    struct buf b = BUF_EMPTY;

    build_notice(&b, "NOTICE", reason);
    session_send(s, &b);
    buf_free(&b);
}

int
copies_unsafe(struct session *s, const struct err *reason, struct err *err)
{
    switch (session_options(s)->config->replication_unsafe_statements) {
    case CONFIG_UNSAFE_ALLOW:
        return 0;
    case CONFIG_UNSAFE_WARN:
        if (session_options(s)->warns && s->copies->phase != COPIES_ASKED)
            tell_unsafe(s, reason);
        return 0;
    default:
        *err = *reason;
        return -1;
    }
}

int
copies_judge(struct session *s, const uint8_t *bytes, const struct unit *u,
             struct sql_determined *d_r, struct err *err)
{
    struct wire_view text;

    if (u->type != 'Q')
        return copies_batch_judge(s, bytes, u, d_r, err);
    if (wire_parse_query(bytes, (uint32_t)u->bytes, &text, err) != WIRE_OK)
        return -1;
    return copies_judge_statement(s, (struct sql_text){text.data, text.len}, d_r, err);
}

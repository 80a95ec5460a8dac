/*
 * Parameters that follow the session: SET and RESET that succeeded, in order, to be run again on
 * a connection that does not have them yet.
 *
 * Called by client.c (what a unit will set), answers.c (it succeeded) and before every unit
 * (replay). A setting inside a transaction counts when that commits. What cannot be followed
 * exactly pins the session to the primary.
 */
#include "session/internal.h"

#include "base/arena.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

enum { SETTINGS_MAX_BYTES = 32 * 1024 };

void
settings_init(struct session *s)
{
    list_init(&s->settings.applied);
    list_init(&s->settings.pending);
}

static void
drop_all(struct settings *t, struct list *head)
{
    list_for_each_safe (it, next, head) {
        struct setting *x = list_entry(it, struct setting, link);
        t->bytes -= x->name_len + x->text_len;
        list_remove(&x->link);
        free(x);
    }
}

void
settings_fini(struct session *s)
{
    drop_all(&s->settings, &s->settings.applied);
    drop_all(&s->settings, &s->settings.pending);
}

static struct effect *
effect_new(enum effect_kind kind, struct sql_text name, const char *text, uint32_t text_len)
{
    struct effect *e = xmalloc(sizeof(*e) + name.len + text_len);

    e->next = NULL;
    e->kind = (uint8_t)kind;
    e->name_len = name.len;
    e->text_len = text_len;
    if (name.len > 0)
        memcpy(e->bytes, name.data, name.len);
    memcpy(e->bytes + name.len, text, text_len);
    return e;
}

static bool
is_named(const char *name, size_t len, const char *wanted)
{
    return len == strlen(wanted) && memcmp(name, wanted, len) == 0;
}

static struct effect *
set_effect(struct session *s, struct sql_text name, const char *sql, uint32_t len)
{
    /* end with the transaction, whatever that does; a standby would refuse them */
    if (is_named(name.data, name.len, "transaction_isolation") ||
        is_named(name.data, name.len, "transaction_read_only") ||
        is_named(name.data, name.len, "transaction_deferrable"))
        return NULL;
    /* no statement of a serializable transaction runs on a standby */
    if (is_named(name.data, name.len, "default_transaction_isolation"))
        s->pinned = true;
    return effect_new(EFFECT_SET, name, sql, len);
}

/* The end of a transaction and the like always count: what stands in front of them in the pipeline
 * may not have been answered yet. */
static struct effect *
one_effect(struct session *s, const struct sql_statement *st, const char *text)
{
    static const struct sql_text none = {NULL, 0};
    const char *sql = text + st->start;
    uint32_t len = st->end - st->start;

    switch (st->kind) {
    case SQL_SET:
        return set_effect(s, st->name, sql, len);
    case SQL_RESET_ALL:
        return effect_new(EFFECT_RESET_ALL, none, sql, len);
    case SQL_DISCARD:
        return effect_new(EFFECT_DISCARD, none, sql, len);
    case SQL_DEALLOCATE:
        return effect_new(EFFECT_DEALLOCATE, st->name, "", 0);
    case SQL_PREPARE:
        return effect_new(EFFECT_PREPARE, st->name, "", 0);
    case SQL_ROLLBACK:
        return effect_new(EFFECT_ROLLBACK, none, "", 0);
    case SQL_COMMIT:
        if (st->chain)
            return effect_new(EFFECT_CHAIN, none, "", 0);
        return s->batch != NULL ? effect_new(EFFECT_COMMIT, none, "", 0) : NULL;
    case SQL_SET_SESSION:
        s->pinned = s->keeps_primary = true;
        return NULL;
    case SQL_SAVEPOINT:
        return effect_new(EFFECT_SAVEPOINT, none, "", 0);
    default:
        return NULL;
    }
}

static bool
changes_meanings(const struct effect *e)
{
    switch ((enum effect_kind)e->kind) {
    case EFFECT_DEALLOCATE:
    case EFFECT_PREPARE:
    case EFFECT_DISCARD:
    case EFFECT_RESET_ALL:
        return true;
    case EFFECT_SET:
        return is_named(e->bytes, e->name_len, "standard_conforming_strings") ||
               is_named(e->bytes, e->name_len, "client_encoding");
    default:
        return false;
    }
}

static bool
is_setting(const struct effect *e)
{
    return e->kind == EFFECT_SET || e->kind == EFFECT_RESET_ALL;
}

/* A batch has one answer for all of it: of a setting beside the end of a transaction nobody can
 * tell whether it holds. */
static bool
is_mixed(const struct effect *effects)
{
    bool sets = false;
    bool ends = false;

    for (const struct effect *e = effects; e != NULL; e = e->next) {
        sets |= is_setting(e);
        ends |= e->kind == EFFECT_ROLLBACK || e->kind == EFFECT_CHAIN || e->kind == EFFECT_COMMIT ||
                e->kind == EFFECT_SAVEPOINT;
    }
    return sets && ends;
}

/* PostgreSQL makes the temporary schema for whatever names it, and for the first look at a
 * search_path that begins with it, which a standby refuses. */
static bool
looks_for_temporary(const struct sql_statement *st)
{
    static const char schema[] = "pg_temp";
    const uint32_t len = sizeof(schema) - 1;

    if (st->kind != SQL_SET || !is_named(st->name.data, st->name.len, "search_path"))
        return false;
    for (uint32_t at = 0; at + len <= st->value.len; at++) {
        if (str_equal_nocase_n(st->value.data + at, schema, len))
            return true;
    }
    return false;
}

struct effect *
settings_effects(struct session *s, const struct sql_facts *f, const char *text)
{
    struct effect *e;

    for (uint32_t n = 0; n < f->count; n++) {
        bool looks = looks_for_temporary(&f->statements[n]);
        if (unlikely(looks))
            s->pinned = s->keeps_primary = true;
        s->has_temporary |= looks || f->statements[n].temporary;
    }
    if (f->count == 1) {
        e = one_effect(s, &f->statements[0], text);
        if (e != NULL)
            s->name_effects += changes_meanings(e);
        return e;
    }
    for (uint32_t n = 0; n < f->count; n++) {
        e = one_effect(s, &f->statements[n], text);
        if (e == NULL)
            continue;
        /* one of several in a string: whether it took effect cannot be told from the answer */
        free(e);
        s->pinned = s->keeps_primary = true;
    }
    return NULL;
}

/* Does the new setting leave nothing of the old one? */
static bool
replaces(const struct effect *e, const struct setting *old)
{
    if (e->name_len == 0 || old->name_len != e->name_len ||
        memcmp(old->bytes, e->bytes, e->name_len) != 0)
        return false;
    /* a style or an order alone leaves the other part as it was */
    if (e->name_len == 9 && memcmp(e->bytes, "datestyle", 9) == 0)
        return old->text_len == e->text_len &&
               memcmp(old->bytes + old->name_len, e->bytes + e->name_len, e->text_len) == 0;
    return true;
}

static void
add(struct session *s, struct list *head, const struct effect *e)
{
    struct settings *t = &s->settings;
    struct setting *x;

    list_for_each_safe (it, next, head) {
        struct setting *old = list_entry(it, struct setting, link);
        if (!replaces(e, old))
            continue;
        t->bytes -= old->name_len + old->text_len;
        list_remove(&old->link);
        free(old);
    }
    if (t->bytes + e->name_len + e->text_len > SETTINGS_MAX_BYTES) {
        s->pinned = s->keeps_primary = true;
        return;
    }
    x = xmalloc(sizeof(*x) + e->name_len + e->text_len);
    x->seq = ++t->seq;
    x->name_len = e->name_len;
    x->text_len = e->text_len;
    memcpy(x->bytes, e->bytes, (size_t)e->name_len + e->text_len);
    t->bytes += e->name_len + e->text_len;
    list_append(head, &x->link);
}

static bool
is_discard_all(const struct effect *e)
{
    return e->text_len >= 3 && str_equal_nocase_n(e->bytes + e->text_len - 3, "all", 3);
}

static void
apply(struct session *s, struct server *server, const struct effect *e)
{
    struct settings *t = &s->settings;
    bool in_tx = server->tx_status != 'I';

    switch (e->kind) {
    case EFFECT_RESET_ALL:
        drop_all(t, &t->pending);
        /* fall through */
    case EFFECT_SET:
        if (!in_tx && e->kind == EFFECT_RESET_ALL)
            drop_all(t, &t->applied);
        add(s, in_tx ? &t->pending : &t->applied, e);
        if (!in_tx)
            server->settings_seq = t->seq;
        break;
    case EFFECT_DISCARD:
        if (!is_discard_all(e))
            break;
        settings_fini(s);
        add(s, &t->applied, e);
        server->settings_seq = t->seq;
        statements_forget(s, (struct sql_text){NULL, 0});
        s->pinned = s->always_pinned;
        s->keeps_primary = false;
        break;
    case EFFECT_DEALLOCATE:
        statements_forget(s, (struct sql_text){e->bytes, e->name_len});
        break;
    case EFFECT_PREPARE:
        statements_add_by_sql(s, server, (struct sql_text){e->bytes, e->name_len});
        break;
    case EFFECT_ROLLBACK:
        drop_all(t, &t->pending);
        s->scope_seq = UINT64_MAX;
        break;
    case EFFECT_CHAIN:
        settings_tx_ended(s, s->tx_status == 'T');
        break;
    case EFFECT_SAVEPOINT:
        /* what a ROLLBACK TO undoes is not followed */
        if (!list_empty(&t->pending))
            s->pinned = s->keeps_primary = true;
        break;
    case EFFECT_COMMIT:
        break;
    }
}

void
settings_settled(struct session *s, struct server *server, struct effect *effects, bool done)
{
    if (is_mixed(effects))
        s->pinned = s->keeps_primary = true;
    while (effects != NULL) {
        struct effect *next = effects->next;
        s->name_effects -= changes_meanings(effects);
        if (done)
            apply(s, server, effects);
        free(effects);
        effects = next;
    }
}

void
settings_tx_ended(struct session *s, bool committed)
{
    struct settings *t = &s->settings;

    if (list_empty(&t->pending))
        return;
    s->scope_seq = UINT64_MAX; /* the search path may be another again */
    list_for_each_safe (it, next, &t->pending) {
        struct setting *x = list_entry(it, struct setting, link);
        struct effect *e = xmalloc(sizeof(*e) + x->name_len + x->text_len);
        e->name_len = x->name_len;
        e->text_len = x->text_len;
        memcpy(e->bytes, x->bytes, (size_t)x->name_len + x->text_len);
        t->bytes -= x->name_len + x->text_len;
        list_remove(&x->link);
        free(x);
        if (committed)
            add(s, &t->applied, e);
        free(e);
    }
    if (committed && s->cur != NULL)
        s->cur->settings_seq = t->seq;
}

/* The client's statement waits until its settings are there: with others it could write something
 * else, somewhere else. */
bool
settings_replay(struct session *s, struct server *server)
{
    struct settings *t = &s->settings;

    if (s->replaying == server) {
        if (server->pending.count > 0)
            return true;
        s->replaying = NULL;
    }
    if (likely(server->settings_seq == t->seq) || server->tx_status != 'I')
        return false;
    list_for_each (it, &t->applied) {
        struct setting *x = list_entry(it, struct setting, link);
        if (x->seq <= server->settings_seq)
            continue;
        server_run(server, x->bytes + x->name_len, x->text_len, CYCLE_SETTING);
        s->replaying = server;
    }
    server->settings_seq = t->seq;
    if (s->replaying != server)
        return false;
    statements_unnamed_gone(s, server);
    return true;
}

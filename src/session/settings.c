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

static struct effect *
one_effect(struct session *s, const struct sql_statement *st, const char *text)
{
    const char *sql = text + st->start;
    uint32_t len = st->end - st->start;

    switch (st->kind) {
    case SQL_SET:
        return effect_new(EFFECT_SET, st->name, sql, len);
    case SQL_RESET_ALL:
        return effect_new(EFFECT_RESET_ALL, (struct sql_text){NULL, 0}, sql, len);
    case SQL_DISCARD:
        return effect_new(EFFECT_DISCARD, (struct sql_text){NULL, 0}, sql, len);
    case SQL_DEALLOCATE:
        return effect_new(EFFECT_DEALLOCATE, st->name, "", 0);
    case SQL_PREPARE:
        return effect_new(EFFECT_PREPARE, st->name, "", 0);
    case SQL_ROLLBACK:
        if (list_empty(&s->settings.pending))
            return NULL;
        return effect_new(EFFECT_ROLLBACK, (struct sql_text){NULL, 0}, "", 0);
    case SQL_COMMIT:
        if (!st->chain || list_empty(&s->settings.pending))
            return NULL;
        return effect_new(EFFECT_CHAIN, (struct sql_text){NULL, 0}, "", 0);
    case SQL_SET_SESSION:
        s->pinned = s->keeps_primary = true;
        return NULL;
    case SQL_SAVEPOINT:
        /* what a ROLLBACK TO undoes is not followed */
        if (!list_empty(&s->settings.pending))
            s->pinned = s->keeps_primary = true;
        return NULL;
    default:
        return NULL;
    }
}

static bool
is_about_names(const struct effect *e)
{
    return e->kind == EFFECT_DEALLOCATE || e->kind == EFFECT_PREPARE || e->kind == EFFECT_DISCARD;
}

struct effect *
settings_effects(struct session *s, const struct sql_facts *f, const char *text)
{
    struct effect *e;

    if (f->count == 1) {
        e = one_effect(s, &f->statements[0], text);
        if (e != NULL)
            s->name_effects += is_about_names(e);
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
        s->pinned = s->keeps_primary = false;
        break;
    case EFFECT_DEALLOCATE:
        statements_forget(s, (struct sql_text){e->bytes, e->name_len});
        break;
    case EFFECT_PREPARE:
        statements_add_by_sql(s, server, (struct sql_text){e->bytes, e->name_len});
        break;
    case EFFECT_ROLLBACK:
        drop_all(t, &t->pending);
        break;
    case EFFECT_CHAIN:
        settings_tx_ended(s, s->tx_status == 'T');
        break;
    }
}

void
settings_settled(struct session *s, struct server *server, struct effect *effects, bool done)
{
    while (effects != NULL) {
        struct effect *next = effects->next;
        s->name_effects -= is_about_names(effects);
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

void
settings_replay(struct session *s, struct server *server)
{
    struct settings *t = &s->settings;

    if (likely(server->settings_seq == t->seq) || server->tx_status != 'I')
        return;
    list_for_each (it, &t->applied) {
        struct setting *x = list_entry(it, struct setting, link);
        if (x->seq > server->settings_seq)
            server_run(server, x->bytes + x->name_len, x->text_len, CYCLE_SETTING);
    }
    server->settings_seq = t->seq;
}

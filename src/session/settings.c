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
#include "base/hash.h"
#include "base/str.h"
#include "os/clock.h"

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
drop_one(struct settings *t, struct setting *x)
{
    t->bytes -= x->name_len + x->text_len;
    list_remove(&x->link);
    free(x);
}

static void
drop_all(struct settings *t, struct list *head)
{
    list_for_each_safe (it, next, head)
        drop_one(t, list_entry(it, struct setting, link));
}

void
settings_fini(struct session *s)
{
    drop_all(&s->settings, &s->settings.applied);
    drop_all(&s->settings, &s->settings.pending);
    settings_image_put(s->image);
    s->image = NULL;
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
    /* random() goes on from where it was set */
    if (is_named(name.data, name.len, "seed")) {
        session_keep(s, SESSION_KEEPS_LIBRARY);
        return NULL;
    }
    /* no statement of a serializable transaction runs on a standby */
    if (is_named(name.data, name.len, "default_transaction_isolation"))
        keeps_pin(s);
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
        named_add(s, st->name);
        return set_effect(s, st->name, sql, len);
    case SQL_RESET_ALL:
        return effect_new(EFFECT_RESET_ALL, none, sql, len);
    case SQL_DISCARD:
        return effect_new(EFFECT_DISCARD, none, sql, len);
    case SQL_DEALLOCATE:
        return effect_new(EFFECT_DEALLOCATE, st->name, "", 0);
    case SQL_PREPARE:
        return effect_new(EFFECT_PREPARE, st->name, sql, s->copies != NULL ? len : 0);
    case SQL_ROLLBACK:
        return effect_new(EFFECT_ROLLBACK, none, "", 0);
    case SQL_COMMIT:
        if (st->chain)
            return effect_new(EFFECT_CHAIN, none, "", 0);
        return s->batch != NULL ? effect_new(EFFECT_COMMIT, none, "", 0) : NULL;
    case SQL_SET_SESSION:
        if (st->name.len > 0)
            return effect_new(EFFECT_SET, st->name, sql, len);
        session_keep(s, SESSION_KEEPS_SETTING); /* CHARACTERISTICS */
        return NULL;
    case SQL_SAVEPOINT:
        return effect_new(EFFECT_SAVEPOINT, none, "", 0);
    default:
        return NULL;
    }
}

static bool
says_reset(const char *bytes, uint32_t name_len, uint32_t text_len)
{
    return text_len >= 5 && str_equal_nocase_n(bytes + name_len, "reset", 5);
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
        return settings_is_reading((struct sql_text){e->bytes, e->name_len});
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

static bool
names_temporary(struct sql_text text)
{
    static const char schema[] = "pg_temp";
    const uint32_t len = sizeof(schema) - 1;

    for (uint32_t at = 0; at + len <= text.len; at++) {
        if (str_equal_nocase_n(text.data + at, schema, len))
            return true;
    }
    return false;
}

/* PostgreSQL makes the temporary schema for whatever names it, and for the first look at a
 * search_path that begins with it, which a standby refuses. */
static bool
looks_for_temporary(const struct sql_statement *st)
{
    return st->kind == SQL_SET && is_named(st->name.data, st->name.len, "search_path") &&
           names_temporary(st->value);
}

struct effect *
settings_effects(struct session *s, const struct sql_facts *f, const char *text)
{
    struct effect *e;

    for (uint32_t n = 0; n < f->count; n++) {
        bool looks = looks_for_temporary(&f->statements[n]);
        if (unlikely(looks)) {
            session_keep(s, SESSION_KEEPS_SETTING);
            s->cur->spoilt = true;
        }
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
        /* one of several in a string: whether it took effect cannot be told from the answer, and
         * of a statement that may be gone only its own connection knows */
        if ((e->kind == EFFECT_DEALLOCATE || e->kind == EFFECT_DISCARD) &&
            statements_doubt(s, (struct sql_text){e->bytes, e->name_len}))
            session_keep(s, SESSION_KEEPS_UNKNOWN);
        free(e);
        session_keep(s, SESSION_KEEPS_SETTING);
    }
    return NULL;
}

struct effect *
settings_behind(void)
{
    return effect_new(EFFECT_BEHIND, (struct sql_text){NULL, 0}, "", 0);
}

/* Who the session is. RESET ALL leaves it alone. */
static bool
is_role(const char *name, size_t len)
{
    return is_named(name, len, "role") || is_named(name, len, "session_authorization");
}

/* Does the new setting leave nothing of the old one? */
static bool
replaces(const struct effect *e, const struct setting *old)
{
    if (is_named(e->bytes, e->name_len, "session_authorization") &&
        is_named(old->bytes, old->name_len, "role"))
        return true;
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
drop_all_but_role(struct settings *t, struct list *head)
{
    list_for_each_safe (it, next, head) {
        struct setting *x = list_entry(it, struct setting, link);
        if (!is_role(x->bytes, x->name_len))
            drop_one(t, x);
    }
}

/* Parameters of nobody's, "name.with_a_point", are in no view of the server's. */
static void
drop_all_that_show(struct settings *t)
{
    list_for_each_safe (it, next, &t->applied) {
        struct setting *x = list_entry(it, struct setting, link);
        if (x->name_len == 0 || memchr(x->bytes, '.', x->name_len) == NULL)
            drop_one(t, x);
    }
}

static void
add(struct session *s, struct list *head, const struct effect *e)
{
    struct settings *t = &s->settings;
    struct setting *x;

    list_for_each_safe (it, next, head) {
        struct setting *old = list_entry(it, struct setting, link);
        if (replaces(e, old))
            drop_one(t, old);
    }
    if (t->bytes + e->name_len + e->text_len > SETTINGS_MAX_BYTES) {
        session_keep(s, SESSION_KEEPS_SETTING);
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
ends_with(const struct effect *e, const char *word)
{
    size_t len = strlen(word);

    return e->text_len >= len && str_equal_nocase_n(e->bytes + e->text_len - len, word, len);
}

/* ---- images ---- */

static void
add_to_image(struct buf *b, const struct setting *x)
{
    buf_add(b, &x->name_len, sizeof(x->name_len));
    buf_add(b, &x->text_len, sizeof(x->text_len));
    buf_add(b, x->bytes, (size_t)x->name_len + x->text_len);
}

/* The settings that hold, as connections remember them. NULL: none. */
static struct settings_image *
image_of(struct session *s)
{
    struct settings *t = &s->settings;
    struct buf b = BUF_EMPTY;

    if (likely(s->image_seq == t->seq))
        return s->image;
    list_for_each (it, &t->applied)
        add_to_image(&b, list_entry(it, struct setting, link));
    settings_image_put(s->image);
    s->image = b.len > 0 ? settings_image_get(s->host->pool, b.data, b.len) : NULL;
    s->image_seq = t->seq;
    buf_free(&b);
    return s->image;
}

struct image_entry {
    struct sql_text name;
    struct sql_text text;
};

static bool
next_entry(const struct settings_image *image, uint32_t *at_io, struct image_entry *e_r)
{
    const char *at;

    if (image == NULL || *at_io >= image->len)
        return false;
    at = image->bytes + *at_io;
    memcpy(&e_r->name.len, at, sizeof(uint32_t));
    memcpy(&e_r->text.len, at + sizeof(uint32_t), sizeof(uint32_t));
    e_r->name.data = at + 2 * sizeof(uint32_t);
    e_r->text.data = e_r->name.data + e_r->name.len;
    *at_io += 2 * (uint32_t)sizeof(uint32_t) + e_r->name.len + e_r->text.len;
    return true;
}

static bool
same_text(struct sql_text a, struct sql_text b)
{
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* All that an image says of a name, in order: most have one setting of a name. */
static void
texts_of(const struct settings_image *image, struct sql_text name, struct buf *b)
{
    struct image_entry e;
    uint32_t at = 0;

    while (next_entry(image, &at, &e)) {
        if (!same_text(e.name, name))
            continue;
        buf_add(b, e.text.data, e.text.len);
        buf_add_str(b, "\n;");
    }
}

static bool
has_name(const struct settings_image *image, struct sql_text name, uint32_t before)
{
    struct image_entry e;
    uint32_t at = 0;

    while (at < before && next_entry(image, &at, &e)) {
        if (same_text(e.name, name))
            return true;
    }
    return false;
}

static void
add_reset(struct buf *sql, struct sql_text name)
{
    buf_add_str(sql, "RESET \"");
    buf_add(sql, name.data, name.len);
    buf_add_str(sql, "\";");
}

/* Parameters whose setting cannot fail where it has succeeded before, whatever the server. */
static bool
is_harmless(struct sql_text name)
{
    static const char *const names[] = {"application_name",
                                        "search_path",
                                        "datestyle",
                                        "intervalstyle",
                                        "timezone",
                                        "statement_timeout",
                                        "lock_timeout",
                                        "extra_float_digits",
                                        "bytea_output",
                                        "work_mem",
                                        "client_encoding",
                                        "client_min_messages",
                                        "row_security",
                                        "synchronous_commit",
                                        "standard_conforming_strings",
                                        "idle_in_transaction_session_timeout"};

    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        if (is_named(name.data, name.len, names[n]))
            return true;
    }
    return false;
}

/* What makes of a connection with one image one with the other: of the parameters by which texts
 * are read, or of all others. Returns whether the client's statement may follow at once. */
static bool
difference(const struct settings_image *from, const struct settings_image *to, bool reading,
           struct buf *sql)
{
    struct buf before = BUF_EMPTY;
    struct buf after = BUF_EMPTY;
    struct image_entry e;
    bool harmless = true;
    uint32_t begin = 0;
    uint32_t at = 0;

    for (; next_entry(from, &at, &e); begin = at) {
        if (settings_is_reading(e.name) == reading && !has_name(from, e.name, begin) &&
            !has_name(to, e.name, UINT32_MAX))
            add_reset(sql, e.name);
    }
    for (at = begin = 0; next_entry(to, &at, &e); begin = at) {
        if (settings_is_reading(e.name) != reading || has_name(to, e.name, begin))
            continue;
        buf_clear(&before);
        buf_clear(&after);
        texts_of(from, e.name, &before);
        texts_of(to, e.name, &after);
        if (before.len == after.len && memcmp(before.data, after.data, after.len) == 0)
            continue;
        if (before.len > 0)
            add_reset(sql, e.name);
        buf_add(sql, after.data, after.len);
        harmless &= is_harmless(e.name);
    }
    buf_free(&before);
    buf_free(&after);
    return harmless;
}

/* Returns whether the client's statement must wait for it. */
static bool
run_difference(struct server *server, const struct settings_image *to, bool reading)
{
    struct buf sql = BUF_EMPTY;
    bool waits = !difference(server->image, to, reading, &sql) && sql.len > 0;

    if (sql.len > 0)
        server_run_whole(server, (const char *)sql.data, sql.len, CYCLE_SETTING);
    buf_free(&sql);
    return waits;
}

/* ---- what a server says is set ---- */

bool
settings_hear(struct buf *heard, struct sql_text name, struct sql_text text)
{
    if (heard->len + name.len + text.len > SETTINGS_MAX_BYTES)
        return false;
    buf_add(heard, &name.len, sizeof(name.len));
    buf_add(heard, &text.len, sizeof(text.len));
    buf_add(heard, name.data, name.len);
    buf_add(heard, text.data, text.len);
    return true;
}

/* ---- effects ---- */

/* Which of the others a role may set, and which only the one before it, is not followed. */
static void
check_roles(struct session *s)
{
    const struct list *const lists[] = {&s->settings.applied, &s->settings.pending};
    bool has_role = false;
    bool has_other = false;

    for (size_t n = 0; n < ARRAY_LEN(lists); n++) {
        list_for_each (it, lists[n]) {
            const struct setting *x = list_entry(it, struct setting, link);
            bool role = is_role(x->bytes, x->name_len);
            has_role |= role;
            has_other |=
                !role && x->name_len > 0 && !is_harmless((struct sql_text){x->bytes, x->name_len});
        }
    }
    if (has_role && has_other)
        session_keep(s, SESSION_KEEPS_ROLE);
    else if (s->keeps.kinds != 0)
        keeps_drop(s, SESSION_KEEPS_ROLE);
    if (!has_role)
        return;
    /* a standby may not know the role yet */
    s->last_write_ns = clock_monotonic_ns();
    s->host->wrote(s->host->ctx, s->last_write_ns);
}

/* What has been set holds from now on. */
static void
take_over(struct session *s, const struct effect *e)
{
    struct settings *t = &s->settings;

    keeps_overtaken(s);
    if (e->name_len == 0) {
        drop_all_but_role(t, &t->applied);
        t->seq++;
        return;
    }
    add(s, &t->applied, e);
    /* what was there at login is there on every connection */
    if (is_role(e->bytes, e->name_len) && says_reset(e->bytes, e->name_len, e->text_len))
        drop_one(t, list_entry(t->applied.prev, struct setting, link));
}

static void
settings_drop(struct session *s)
{
    drop_all(&s->settings, &s->settings.applied);
    drop_all(&s->settings, &s->settings.pending);
    s->settings.seq++;
}

/* Each connection that it came to would have a temporary schema from then on. */
static bool
may_be_followed(const struct settings_image *image)
{
    struct image_entry e;
    uint32_t at = 0;

    while (next_entry(image, &at, &e)) {
        if (is_named(e.name.data, e.name.len, "search_path") && names_temporary(e.text))
            return false;
    }
    return true;
}

bool
settings_adopt(struct session *s, struct server *server, const struct buf *heard)
{
    struct settings_image *image =
        heard->len > 0 ? settings_image_get(s->host->pool, heard->data, heard->len) : NULL;
    bool follows = may_be_followed(image);
    struct image_entry e;
    uint32_t at = 0;

    if (follows) {
        drop_all_that_show(&s->settings);
        s->settings.seq++;
    }
    while (follows && next_entry(image, &at, &e)) {
        struct effect *effect = effect_new(EFFECT_SET, e.name, e.text.data, e.text.len);
        take_over(s, effect);
        free(effect);
        if (is_named(e.name.data, e.name.len, "default_transaction_isolation"))
            keeps_pin(s);
    }
    if (follows) {
        check_roles(s);
        server_set_image(server, image_of(s));
    }
    settings_image_put(image);
    return follows;
}

static bool
is_plain_ascii(const struct setting *x)
{
    for (uint32_t at = x->name_len; at < x->name_len + x->text_len; at++) {
        if (x->bytes[at] == '\\' || (unsigned char)x->bytes[at] >= 128)
            return false;
    }
    return true;
}

/* What was set under another one of these is asked for: it would not be read as it was. */
static void
check_reading(struct session *s, const struct effect *e)
{
    const struct list *const lists[] = {&s->settings.applied, &s->settings.pending};

    if (e->kind == EFFECT_SET && !settings_is_reading((struct sql_text){e->bytes, e->name_len}))
        return;
    for (size_t n = 0; n < ARRAY_LEN(lists); n++) {
        list_for_each (it, lists[n]) {
            if (!is_plain_ascii(list_entry(it, struct setting, link)))
                session_keep(s, SESSION_KEEPS_SETTING);
        }
    }
}

static void
apply(struct session *s, struct server *server, const struct effect *e)
{
    struct settings *t = &s->settings;
    bool in_tx = server->tx_status != 'I';

    switch (e->kind) {
    case EFFECT_RESET_ALL:
        drop_all_but_role(t, &t->pending);
        /* fall through */
    case EFFECT_SET:
        if (in_tx)
            add(s, &t->pending, e);
        else
            take_over(s, e);
        check_reading(s, e);
        check_roles(s);
        if (!in_tx)
            server_set_image(server, image_of(s));
        break;
    case EFFECT_DISCARD:
        if (!ends_with(e, "all") && !ends_with(e, "sequences"))
            break;
        sequences_discarded(s, server);
        if (!ends_with(e, "all"))
            break;
        settings_drop(s);
        server_set_image(server, NULL);
        statements_forget(s, (struct sql_text){NULL, 0});
        keeps_clear(s);
        break;
    case EFFECT_DEALLOCATE:
        statements_forget(s, (struct sql_text){e->bytes, e->name_len});
        break;
    case EFFECT_PREPARE:
        statements_add_by_sql(s, (struct sql_text){e->bytes, e->name_len},
                              (struct sql_text){e->bytes + e->name_len, e->text_len});
        break;
    case EFFECT_ROLLBACK:
        drop_all(t, &t->pending);
        s->scope_seq = UINT64_MAX;
        break;
    case EFFECT_CHAIN:
        settings_tx_ended(s, server, s->tx_status == 'T');
        break;
    case EFFECT_SAVEPOINT:
        /* what a ROLLBACK TO undoes is not followed */
        if (!list_empty(&t->pending))
            session_keep(s, SESSION_KEEPS_SETTING);
        break;
    case EFFECT_COMMIT:
    case EFFECT_BEHIND:
        break;
    }
}

static bool
is_discard_all(const struct effect *e)
{
    return e->kind == EFFECT_DISCARD && ends_with(e, "all");
}

void
settings_settled(struct session *s, struct server *server, struct effect *effects, bool done)
{
    bool discarded = false;

    if (is_mixed(effects))
        session_keep(s, SESSION_KEEPS_SETTING);
    while (effects != NULL) {
        struct effect *next = effects->next;
        discarded |= done && is_discard_all(effects);
        if (unlikely(discarded && effects->kind == EFFECT_BEHIND))
            session_keep(s, SESSION_KEEPS_LIBRARY); /* what it leaves was noted before that */
        s->name_effects -= changes_meanings(effects);
        if (done)
            apply(s, server, effects);
        free(effects);
        effects = next;
    }
}

void
settings_tx_ended(struct session *s, struct server *server, bool committed)
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
            take_over(s, e);
        free(e);
    }
    check_roles(s);
    if (committed && server != NULL)
        server_set_image(server, image_of(s));
}

void
settings_bring(struct session *s, struct server *server)
{
    struct settings_image *image = image_of(s);

    if (server->image == image)
        return;
    run_difference(server, image, true);
    run_difference(server, image, false);
    server_set_image(server, image);
}

void
settings_are_there(struct session *s, struct server *server)
{
    server_set_image(server, image_of(s));
}

/* The client's statement waits until its settings are there, where these might fail: without them
 * it could write something else, somewhere else. */
bool
settings_replay(struct session *s, struct server *server)
{
    struct settings_image *image;
    bool waits;

    if (s->replaying == server) {
        if (server->pending.count > 0)
            return true;
        s->replaying = NULL;
    }
    image = image_of(s);
    if (likely(server->image == image) || server->tx_status != 'I')
        return false;
    /* a message is read as a whole by what is set in front of it */
    waits = run_difference(server, image, true);
    waits |= run_difference(server, image, false);
    server_set_image(server, image);
    if (waits)
        s->replaying = server;
    return waits;
}

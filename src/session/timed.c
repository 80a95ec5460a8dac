/*
 * How long statements take, of all and of each: SHOW pool_statements and
 * log_min_duration_statement.
 *
 * Called by client.c when a statement leaves, and by answers.c when it has ended. What is known of
 * it meanwhile is a number beside the answer that is owed (struct pending_entry, note): where it is
 * counted, and why it went where it went. Invariant: each note comes back once, when the entry is
 * settled, whatever becomes of the connection.
 *
 * A statement of the extended protocol is counted for the first Execute behind each Bind. Of those
 * that an error has struck only the first one has failed; the server has not looked at the others.
 */
#include "session/internal.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/num.h"
#include "base/utf8.h"
#include "ipc/statement_tally.h"
#include "sql/normal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)ROUTE_REASON_COUNT <= (int)STATEMENT_REASONS, "a place for each reason");
_Static_assert((int)STATEMENT_TALLIES < 0xffff, "their numbers fit into a note");

enum {
    REASON_SHIFT = 16,
    WORDS_SHIFT = 24,
    WORDS_MAX_BYTES = 4096, /* of one statement with its values */
    VALUE_MAX_BYTES = 256,
    WORDS_MAX = 64, /* statements of a session that are kept with their values */
};

/* ---- which one it is ---- */

static struct statement_tally *
take(struct session *s, uint64_t number, const char *text, size_t len)
{
    const struct sql_options options = {.standard_conforming_strings = s->plain_strings,
                                        .server_version = s->host->view->server_version};
    struct statement_name name = {.database = s->log.database, .user = s->log.user};
    struct sql_text normal;

    if (s->host->normal == NULL)
        s->host->normal = sql_normal_new();
    if (s->odd_encoding) { /* quotes may be halves of characters: nothing of it is shown */
        text = "'";
        len = 1;
    }
    name.fingerprint = sql_normalise(s->host->normal, text, len, &options, &normal);
    name.text = normal.data;
    return statement_tally_take(s->host->tallies, number, &name);
}

static inline struct statement_tally *
tally_of(struct session *s, uint64_t identity, const char *text, size_t len)
{
    struct statement_tally *tally;
    uint64_t number;

    if (unlikely(s->timed == NULL)) {
        s->timed = xcalloc(1, sizeof(*s->timed));
        s->timed->step_ns = io_now_ns(s->host->io); /* it is about to be sent */
        s->timed->who = hash_bytes(s->log.database, strlen(s->log.database)) * 3 +
                        hash_bytes(s->log.user, strlen(s->log.user));
    }
    number = (identity ^ s->timed->who) | 1;
    tally = statement_tally_of(s->host->tallies, number);
    return likely(tally != NULL) ? tally : take(s, number, text, len);
}

static inline uint32_t
begin(struct session *s, struct statement_tally *tally)
{
    statement_begins(s->host->tallies, tally);
    return tally->number | (uint32_t)s->reason << REASON_SHIFT;
}

/* ---- the words of those whose values are to be logged ---- */

static bool
wants_words(const struct session *s)
{
    const struct session_options *o = session_options(s);

    return o->log_duration_values && o->log_min_duration_ns < INT64_MAX;
}

/* Where they stand, as a part of the note; 0: there is no room. Takes them. */
static uint32_t
keep_words(struct session *s, char *words)
{
    if (s->timed->words == NULL)
        s->timed->words = xcalloc(WORDS_MAX, sizeof(*s->timed->words));
    for (uint32_t n = 0; n < WORDS_MAX; n++) {
        if (s->timed->words[n] != NULL)
            continue;
        s->timed->words[n] = words;
        return (n + 1) << WORDS_SHIFT;
    }
    free(words);
    return 0;
}

static char *
take_words(struct session *s, uint32_t note)
{
    uint32_t number = note >> WORDS_SHIFT;
    char *words;

    if (likely(number == 0))
        return NULL;
    words = s->timed->words[number - 1];
    s->timed->words[number - 1] = NULL;
    return words;
}

static bool
is_text(const uint8_t *value, size_t len)
{
    for (size_t n = 0; n < len; n++) {
        if (value[n] < ' ' && value[n] != '\t' && value[n] != '\n' && value[n] != '\r')
            return false;
    }
    return true;
}

static void
add_value(struct buf *out, const uint8_t *value, size_t len, bool binary)
{
    size_t shown = MIN(len, (size_t)VALUE_MAX_BYTES);

    if (binary || !is_text(value, shown)) {
        buf_printf(out, "(%zu bytes)", len);
        return;
    }
    buf_add_u8(out, '\'');
    for (size_t n = 0; n < shown; n++) {
        if (value[n] == '\'')
            buf_add_u8(out, '\'');
        buf_add_u8(out, value[n]);
    }
    buf_add_str(out, shown < len ? "...'" : "'");
}

/* What a Bind gives to its parameters; a client may say anything there. */
static void
add_values(struct buf *out, const uint8_t *msg, uint32_t len, const struct wire_bind *b)
{
    const uint8_t *at = (const uint8_t *)b->statement.data + b->statement.len + 1;
    const uint8_t *end = msg + len;
    const uint8_t *formats = at + 2;
    uint32_t format_count;
    uint32_t count;

    if (end - at < 2)
        return;
    format_count = num_get_u16(at);
    if ((size_t)(end - at) < 2 + (size_t)format_count * 2 + 2)
        return;
    at += 2 + (size_t)format_count * 2;
    count = num_get_u16(at);
    at += 2;
    for (uint32_t n = 0; n < count && end - at >= 4 && out->len < WORDS_MAX_BYTES; n++) {
        uint32_t bytes = num_get_u32(at);
        uint32_t which = format_count == 1 ? 0 : n;

        buf_printf(out, "%s$%" PRIu32 " = ", n == 0 ? "  parameters: " : ", ", n + 1);
        at += 4;
        if (bytes == UINT32_MAX) {
            buf_add_str(out, "NULL");
            continue;
        }
        if (bytes > (size_t)(end - at))
            return;
        add_value(out, at, bytes,
                  which < format_count && num_get_u16(formats + (size_t)which * 2) != 0);
        at += bytes;
    }
}

static void
drop_bound(struct session *s)
{
    if (unlikely(s->timed->bound_words != NULL))
        free(s->timed->bound_words);
    s->timed->bound_words = NULL;
    s->timed->bound = 0;
}

/* ---- what leaves ---- */

static uint32_t __attribute__((noinline)) keep_text(struct session *s, const char *text, size_t len)
{
    struct buf words = BUF_EMPTY;
    uint32_t part;

    buf_add(&words, text, MIN(len, (size_t)WORDS_MAX_BYTES));
    part = keep_words(s, xstrdup(buf_cstr(&words)));
    buf_free(&words);
    return part;
}

uint32_t
timed_query(struct session *s, const struct sql_facts *f, const char *text, size_t len)
{
    struct statement_tally *tally;

    if (!session_options(s)->times_statements)
        return 0;
    tally = tally_of(s, f->identity, text, len);
    if (unlikely(tally == NULL))
        return 0;
    if (unlikely(wants_words(s)))
        return begin(s, tally) | keep_text(s, text, len);
    return begin(s, tally);
}

static void __attribute__((noinline))
keep_bound(struct session *s, const struct prepared *prepared, const uint8_t *msg, uint32_t len)
{
    struct buf words = BUF_EMPTY;
    struct wire_bind b;
    struct err err;

    if (wire_parse_bind(msg, len, &b, &err) != WIRE_OK)
        return;
    buf_add(&words, prepared->query, MIN(prepared->query_len, (size_t)WORDS_MAX_BYTES));
    add_values(&words, msg, len, &b);
    s->timed->bound_words = xstrdup(buf_cstr(&words));
    buf_free(&words);
}

void
timed_bind(struct session *s, const struct statement *st, const uint8_t *msg, uint32_t len)
{
    struct statement_tally *tally;

    if (s->timed != NULL)
        drop_bound(s);
    if (st == NULL || st->prepared == NULL || !session_options(s)->times_statements)
        return;
    tally = tally_of(s, st->identity, st->prepared->query, st->prepared->query_len);
    if (unlikely(tally == NULL))
        return;
    s->timed->bound = tally->number;
    s->timed->bound_serial = tally->serial;
    if (unlikely(wants_words(s)))
        keep_bound(s, st->prepared, msg, len);
}

uint32_t
timed_execute(struct session *s)
{
    struct statement_tally *tally;
    uint32_t note;

    if (s->timed->bound == 0)
        return 0;
    tally = statement_tally_at(s->host->tallies, s->timed->bound);
    s->timed->bound = 0;
    if (unlikely(tally->serial != s->timed->bound_serial)) {
        drop_bound(s);
        return 0;
    }
    note = begin(s, tally);
    if (likely(s->timed->bound_words == NULL))
        return note;
    note |= keep_words(s, s->timed->bound_words);
    s->timed->bound_words = NULL;
    return note;
}

/* ---- what has ended ---- */

struct ending {
    const struct statement_tally *tally;
    const struct server *server;
    const struct pending_entry *entry;
    char *words; /* NULL: its normal form is all there is */
    int64_t duration_ns;
    uint64_t rows;
    bool failed;
};

static void
log_duration(const struct ending *e)
{
    struct buf message = BUF_EMPTY;
    struct buf detail = BUF_EMPTY;
    int64_t us = e->duration_ns / 1000;
    uint32_t reason = e->entry->note >> REASON_SHIFT & 0xff;
    bool query = e->entry->kind == PENDING_QUERY || e->entry->flags & CYCLE_ALONE;

    buf_printf(&message, "duration: %" PRId64 ".%03d ms  %s: %s", us / 1000, (int)(us % 1000),
               query ? "statement" : "execute",
               e->words != NULL ? e->words : statement_tally_text(e->tally));
    buf_printf(&detail, "Node %d (%s): %s; %s, %" PRIu64 " rows, fingerprint %016" PRIx64 ".",
               e->server->node_id, e->server->is_standby ? "standby" : "primary",
               route_reason_words((enum route_reason)reason), e->failed ? "failed" : "succeeded",
               e->rows, e->tally->fingerprint);
    log_parts(LOG_LEVEL_LOG, &(struct log_parts){.message = buf_cstr(&message),
                                                 .detail = buf_cstr(&detail),
                                                 .query_id = e->tally->fingerprint});
    buf_free(&message);
    buf_free(&detail);
}

static void __attribute__((noinline)) log_long(struct session *s, struct ending e)
{
    const struct log_context *before = log_set_context(&s->log);

    e.words = take_words(s, e.entry->note);
    log_duration(&e);
    free(e.words);
    log_set_context(before);
}

/* It has not run, runs again elsewhere, or nobody is there any more. */
static void __attribute__((noinline))
drop(struct session *s, struct statement_tally *tally, uint32_t note)
{
    statement_is_dropped(tally);
    free(take_words(s, note));
}

void
timed_settled(struct session *s, struct server *server, const struct pending_entry *entry,
              bool done)
{
    struct statement_tally *tally = statement_tally_at(s->host->tallies, entry->note & 0xffff);
    int64_t now_ns = io_now_ns(s->host->io);
    int64_t duration_ns = now_ns - s->timed->step_ns;
    struct statement_end end = {.rows = server->rows, .failed = !done};

    server->rows = 0;
    if (unlikely(!done) && (server->note_failed || server->pending.skip_till_sync || s->retry.due ||
                            s->state != CLIENT_READY)) {
        drop(s, tally, entry->note);
        return;
    }
    server->note_failed |= !done;
    s->timed->step_ns = now_ns;
    end.where = statement_where(server->node_id, server->is_standby,
                                (uint8_t)(entry->note >> REASON_SHIFT));
    end.time_us = (uint64_t)duration_ns / 1000;
    if (unlikely(duration_ns >= session_options(s)->log_min_duration_ns))
        log_long(s, (struct ending){tally, server, entry, NULL, duration_ns, end.rows, !done});
    else if (unlikely(entry->note >> WORDS_SHIFT != 0))
        free(take_words(s, entry->note));
    statement_ends(s->host->tallies, tally, end);
}

void
timed_cached(struct session *s, uint64_t identity, const char *text, size_t len)
{
    const struct statement_end end = {.where =
                                          statement_where(STATEMENT_NOWHERE, false, ROUTE_CACHED)};
    struct statement_tally *tally;

    if (!session_options(s)->times_statements)
        return;
    tally = tally_of(s, identity, text, len);
    if (tally == NULL)
        return;
    statement_begins(s->host->tallies, tally);
    statement_ends(s->host->tallies, tally, end);
}

void
timed_fini(struct session *s)
{
    if (s->timed == NULL)
        return;
    drop_bound(s);
    for (uint32_t n = 0; s->timed->words != NULL && n < WORDS_MAX; n++)
        free(s->timed->words[n]);
    free(s->timed->words);
    free(s->timed);
    s->timed = NULL;
}

/*
 * What may have changed the servers' catalog, and when everybody is to forget what is known of it.
 *
 * A client that goes on sending definitions that fail, or texts that are no SQL, must not make all
 * others ask the catalog again and again. So when a cycle (a Query, or a batch up to Sync) has
 * failed, nothing is forgotten where it is certain that all of it was rolled back: when its first
 * command was refused for what it says (enum server_failure), whatever that is; or when its texts
 * are understood and hold nothing that commits before the end, as a Query and a batch are one
 * transaction each. In a block such a cycle leaves nothing either: what goes on behind ROLLBACK TO
 * is from before it. Whatever else may have happened counts as if it had succeeded.
 *
 * A block that is rolled back as a whole makes the catalog be forgotten, too: a statement that was
 * parsed behind a definition in it is known to its connection from then on under a name that others
 * use, and has the columns of what is not there any more. For the same reason a batch counts as
 * lasting when something stands behind a definition in it that is parsed or bound.
 *
 * Called by unit.c, client.c and pass.c (what a unit is), answers.c (its end), cache_write.c,
 * session.c. Invariants:
 * while a cycle with CYCLE_DEFINES is owed, DEFINITIONS_UNDER_WAY is set; it is taken back only
 * with the cycle's end, and when nobody can tell that (a Sync of ours has ended it, COPY has
 * swallowed it), as if it had succeeded. What functions do over connections of their own is not
 * rolled back: a query that calls any that are not PostgreSQL's lasts; what definitions run by
 * themselves (event triggers, expressions of indexes) is not looked at, and what that defines over
 * such a connection is, as all DDL that goes past us, not heard of.
 * Source: PostgreSQL's manual, chapter "Message Flow", sections "Multiple Statements in a Simple
 * Query" and "Pipelining", and in the reference what "cannot be executed inside a transaction
 * block".
 */
#include "session/internal.h"

#include "base/str.h"

#include <string.h>

/* ---- what a unit is ---------------------------------------------------------------------------
 */

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

void
definitions_words(const struct sql_statement *st, const char *text, struct sql_text words_r[2])
{
    uint32_t at = st->start;

    for (size_t n = 0; n < 2; n++) {
        uint32_t begin = at;
        while (at < st->end && (text[at] | 32) >= 'a' && (text[at] | 32) <= 'z')
            at++;
        words_r[n] = (struct sql_text){text + begin, at - begin};
        while (at < st->end && is_blank(text[at]))
            at++;
    }
}

bool
definitions_is_word(struct sql_text word, const char *const *list, size_t count)
{
    for (size_t n = 0; n < count; n++) {
        if (word.len == strlen(list[n]) && str_equal_nocase_n(word.data, list[n], word.len))
            return true;
    }
    return false;
}

/* Anywhere, as a word or not. */
static bool
holds(struct wire_view text, const char *word)
{
    uint32_t len = (uint32_t)strlen(word);

    for (uint32_t at = 0; at + len <= text.len; at++) {
        if (str_equal_nocase_n(text.data + at, word, len))
            return true;
    }
    return false;
}

/* CREATE, ALTER or DROP that does nothing but within the transaction that it stands in: not so what
 * has effects beside the catalog, and what works in several transactions (the second of the words
 * that are looked for is TimescaleDB's). */
static bool
is_transactional(const struct sql_statement *st, const char *text)
{
    static const char *const verbs[] = {"create", "alter", "drop"};
    static const char *const others[] = {"", "database", "tablespace", "subscription", "system"};
    struct wire_view all = {text + st->start, st->end - st->start};
    struct sql_text words[2];

    definitions_words(st, text, words);
    return definitions_is_word(words[0], verbs, ARRAY_LEN(verbs)) &&
           !definitions_is_word(words[1], others, ARRAY_LEN(others)) &&
           !holds(all, "concurrently") && !holds(all, "transaction_per_chunk");
}

static bool
calls_unknown(const struct sql_statement *st)
{
    for (uint32_t n = 0; n < st->function_count; n++) {
        if (st->functions[n].function_class == SQL_FUNCTION_UNKNOWN)
            return true;
    }
    return false;
}

/* Is nothing of it left when its transaction fails? */
static bool
is_undone_by_failure(const struct sql_statement *st, const char *text)
{
    switch (st->kind) {
    case SQL_EMPTY:
    case SQL_BEGIN: /* what stands in front of it in the same cycle is in the block, too */
    case SQL_SELECT:
    case SQL_INSERT:
    case SQL_UPDATE:
    case SQL_DELETE:
    case SQL_MERGE:
    case SQL_TRUNCATE:
    case SQL_LOCK:
    case SQL_SELECT_INTO:
    case SQL_CREATE_TABLE_AS:
    case SQL_GRANT:
    case SQL_COMMENT:
    case SQL_SET:
    case SQL_SET_LOCAL:
    case SQL_SHOW:
        return !calls_unknown(st);
    case SQL_DDL:
        return is_transactional(st, text) && !calls_unknown(st);
    default:
        return false;
    }
}

void
definitions_note(struct unit *u, const struct sql_facts *f, struct wire_view text, bool defines)
{
    bool by_itself = false;

    for (uint32_t n = 0; n < f->count; n++) {
        const struct sql_statement *st = &f->statements[n];
        by_itself |= st->changes_catalog;
        if (!f->understood || !is_undone_by_failure(st, text.data))
            u->flags |= CYCLE_LASTS;
    }
    /* What it calls does; or semicolons in it may end statements, though we take them for some in
     * the body of a function. */
    if (defines && (!by_itself || holds(text, "atomic")))
        u->flags |= CYCLE_LASTS;
}

/* Of the batch that the unit goes on with. */
static uint16_t
flags_so_far(const struct session *s)
{
    return s->batch != NULL ? s->batch_flags : 0;
}

void
definitions_note_plan(const struct session *s, struct unit *u)
{
    if (unlikely((u->flags | flags_so_far(s)) & CYCLE_RAN))
        u->flags |= CYCLE_LASTS;
}

void
definitions_note_run(const struct session *s, struct unit *u)
{
    if (unlikely(u->defines || flags_so_far(s) & CYCLE_DEFINES))
        u->flags |= CYCLE_RAN;
}

uint16_t
definitions_flags(const struct session *s, const struct unit *u)
{
    uint16_t before = flags_so_far(s);
    uint16_t flags = u->defines ? CYCLE_DEFINES : 0;

    if (likely(!((flags | before) & CYCLE_DEFINES)))
        return 0;
    flags |= u->flags & (CYCLE_LASTS | CYCLE_RAN);
    if (s->batch != NULL && (u->type == 'Q' || u->type == 'F' || !(before & CYCLE_DEFINES)))
        flags |= CYCLE_LASTS; /* what it goes on with was not looked at for that */
    return flags;
}

/* ---- what becomes of it -----------------------------------------------------------------------
 */

bool
definitions_are_undone(const struct server *server, const struct pending_entry *e, bool failed)
{
    static const uint16_t doubtful = CYCLE_LASTS | CYCLE_COMMITS | CYCLE_ENDS;

    if (server->pending.sync_in_doubt)
        return false;
    if (failed && (server->failure == SERVER_FAILED_EARLY || e->flags & CYCLE_UNDONE))
        return true;
    if (!(e->flags & CYCLE_DEFINES))
        return false; /* what else the caller has heard of */
    if (e->kind == PENDING_SYNC && !(e->flags & (CYCLE_RAN | CYCLE_COMMITS)))
        return true; /* it was parsed, no more */
    return failed && server->failure != SERVER_FAILED_LATE && !(e->flags & doubtful);
}

struct pending_entry
definitions_kept(const struct server *server, const struct pending_entry *e, bool failed)
{
    struct pending_entry kept = *e;

    kept.tag = NULL;
    kept.flags |= definitions_are_undone(server, e, failed) ? CYCLE_UNDONE : 0;
    return kept;
}

static bool
is_under_way(const struct session *s, const struct server *server)
{
    const struct pending *p = &server->pending;

    if (flags_so_far(s) & CYCLE_DEFINES)
        return true;
    for (uint32_t n = 0; n < p->count; n++) {
        const struct pending_entry *e = &p->ring[(p->head + n) & (p->cap - 1)];
        if (!e->skip && e->flags & CYCLE_DEFINES)
            return true;
    }
    return false;
}

static void
forget(struct session *s)
{
    if (s->renews) /* what new connections are given, too */
        s->host->close_database(s->host->ctx, NULL);
    s->renews = false;
    if (s->key != NULL)
        catalog_changed(s->host->catalog, pool_key_database(s->key));
}

void
definitions_cycle_end(struct session *s, const struct server *server, const struct pending_entry *e,
                      bool failed)
{
    bool under_way;
    bool undone;

    if (likely(s->defines == 0))
        return;
    undone = definitions_are_undone(server, e, failed);
    under_way = is_under_way(s, server);
    if (e->flags & CYCLE_DEFINES ? !undone : !under_way && s->defines & DEFINITIONS_UNDER_WAY)
        s->defines |= DEFINITIONS_MADE;
    s->defines &= (uint8_t) ~(under_way ? 0 : DEFINITIONS_UNDER_WAY);
    if (s->defines & DEFINITIONS_MADE &&
        (server->tx_status == 'I' || (e->flags & CYCLE_COMMITS && !undone)))
        forget(s);
    if (server->tx_status == 'I')
        s->defines &= (uint8_t)~DEFINITIONS_MADE;
    if (s->defines == 0)
        s->renews = false; /* what was to be is as it was before */
}

void
definitions_lost(struct session *s)
{
    if (likely(s->defines == 0))
        return;
    s->defines = 0;
    forget(s);
}

/* ---- a text that passes unread ----------------------------------------------------------------
 *
 * It is too long to be understood. What counts are its words: one that begins what may change the
 * catalog does, wherever it stands but within quotes, as long as those are certain.
 */

enum passing_place { PASSING_NOT, PASSING_CODE, PASSING_STRING, PASSING_NAME, PASSING_ANYWHERE };

/* The last six letters of a word, as they come: five bits each. */
#define L2(a, b) ((uint32_t)((a)&31) << 5 | ((b)&31))
#define L4(a, b, c, d) (L2(a, b) << 10 | L2(c, d))
#define L6(a, b, c, d, e, f) (L4(a, b, c, d) << 10 | L2(e, f))
enum { LETTERS_MASK = (1 << 30) - 1 };

static bool
word_defines(uint32_t word, bool inserts)
{
    switch (word) {
    case L2('d', 'o'):
    case L4('d', 'r', 'o', 'p'):
    case L4('c', 'a', 'l', 'l'):
    case L4('l', 'o', 'a', 'd'):
    case L6(0, 'a', 'l', 't', 'e', 'r'):
    case L6(0, 'g', 'r', 'a', 'n', 't'):
    case L6('c', 'r', 'e', 'a', 't', 'e'):
    case L6('i', 'm', 'p', 'o', 'r', 't'):
    case L6('r', 'e', 'v', 'o', 'k', 'e'):
    case L6('x', 'e', 'c', 'u', 't', 'e'):
    case L6('c', 'u', 'r', 'i', 't', 'y'):
    case L6('a', 's', 's', 'i', 'g', 'n'):
        return true;
    case L4('i', 'n', 't', 'o'):
        return !inserts;
    default:
        return false;
    }
}

/* A backslash may make the next quote be none; other quotes and comments may hold some. */
static uint8_t
place_behind(uint8_t place, uint8_t c)
{
    switch (place) {
    case PASSING_CODE:
        if (c == '$' || c == '-' || c == '/')
            return PASSING_ANYWHERE;
        return c == '\'' ? PASSING_STRING : c == '"' ? PASSING_NAME : PASSING_CODE;
    case PASSING_STRING:
        return c == '\'' ? PASSING_CODE : c == '\\' ? PASSING_ANYWHERE : PASSING_STRING;
    case PASSING_NAME:
        return c == '"' ? PASSING_CODE : PASSING_NAME;
    default:
        return place;
    }
}

/* It belongs to the cycle that is sent last: the Query's, or that of the open batch. */
static void
note_passing(struct session *s)
{
    struct pending *p = &s->cur->pending;

    s->passing = PASSING_NOT;
    s->defines |= DEFINITIONS_UNDER_WAY;
    if (s->batch != NULL)
        s->batch_flags |= CYCLE_DEFINES | CYCLE_LASTS;
    else if (p->count > 0)
        p->ring[(p->head + p->count - 1) & (p->cap - 1)].flags |= CYCLE_DEFINES | CYCLE_LASTS;
}

void
definitions_pass(struct session *s, const uint8_t *bytes, size_t len)
{
    uint32_t word = s->passing_word;
    uint8_t place = s->passing;

    for (size_t n = 0; n < len; n++) {
        uint8_t c = bytes[n];
        bool in_quotes = place == PASSING_STRING || place == PASSING_NAME;
        if (!in_quotes && (uint8_t)((c | 32) - 'a') < 26) {
            word = (word << 5 | (c & 31)) & LETTERS_MASK;
            continue;
        }
        if (word_defines(word, s->passing_inserts) && s->cur != NULL) {
            note_passing(s);
            return;
        }
        if (word != 0)
            s->passing_inserts =
                word == L6('i', 'n', 's', 'e', 'r', 't') || word == L6(0, 'm', 'e', 'r', 'g', 'e');
        word = 0;
        place = place_behind(place, c);
    }
    s->passing_word = word;
    s->passing = s->pass_left == 0 ? PASSING_NOT : place;
}

void
definitions_pass_begins(struct session *s, const uint8_t *bytes, size_t len)
{
    s->passing = PASSING_CODE;
    s->passing_word = 0;
    s->passing_inserts = false;
    definitions_pass(s, bytes + WIRE_HEADER_BYTES, len - MIN(len, (size_t)WIRE_HEADER_BYTES));
}

/* ---- what goes on without its session ---------------------------------------------------------
 *
 * PostgreSQL does not notice that a client is gone before it has run what it was sent, and commits
 * that. So the connection stays until then, and owns itself.
 */

/* The note of the last answer: are new connections given something else behind it, too? */
enum { ALONE_LAST = 1, ALONE_RENEWS };

static void
on_settled(void *ctx, struct server *server, const struct pending_entry *e, bool done)
{
    struct session_host *host = ctx;

    (void)done;
    if (e->note == ALONE_RENEWS)
        host->close_database(host->ctx, NULL);
    catalog_changed(host->catalog, pool_key_database(server->key));
}

static void
on_cycle_end(void *ctx, struct server *server, const struct pending_entry *e, bool failed)
{
    (void)ctx;
    (void)e;
    (void)failed;
    if (server->pending.count == 0)
        server_close(server, "what its session left running has ended");
}

static void
on_forward(void *ctx, struct server *server, struct io_rx *rx, const uint8_t *bytes, size_t len)
{
    (void)ctx;
    (void)server;
    (void)rx;
    (void)bytes;
    (void)len;
}

static const struct server_ops alone_ops = {
    .settled = on_settled, .cycle_end = on_cycle_end, .forward = on_forward};

/* Will the server come to the end of all that it has to answer, by itself? */
static bool
comes_to_its_end(const struct session *s, const struct server *server)
{
    const struct pending *p = &server->pending;

    return server->state == SERVER_LENT && p->count > 0 && !p->copy_in && !p->sync_in_doubt &&
           s->batch != server && s->pass_left == 0;
}

/* The last answer counts, whatever it is, and also when the connection is lost or closed. */
static void
leave_alone(struct session *s, struct server *server)
{
    struct pending *p = &server->pending;

    session_unlink(s, server);
    for (uint32_t n = 0; n < p->count; n++) {
        struct pending_entry *e = &p->ring[(p->head + n) & (p->cap - 1)];
        if (e->tag != NULL || e->note != 0)
            server->ops->settled(server->owner, server, e, false);
        e->tag = NULL;
        e->note = n + 1 < p->count ? 0 : s->renews ? ALONE_RENEWS : ALONE_LAST;
    }
    server->ops = &alone_ops;
    server->owner = s->host;
    server->watched = 0;
    if (server->slot != NULL)
        server->slot->session = -1;
    server_resume(server);
}

void
definitions_session_ends(struct session *s)
{
    struct server *server = s->primary;

    if (likely(s->defines == 0))
        return;
    if (server != NULL && s->copies == NULL && comes_to_its_end(s, server))
        leave_alone(s, server);
    definitions_lost(s);
}

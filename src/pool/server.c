/*
 * A server connection's wire: what arrives is judged message by message and passed on in runs.
 *
 * Called by os/io (bytes) and by the owner (what it sends). Invariants: the queue of owed answers
 * matches what was sent; bytes for the client leave in order; a connection whose bytes make no
 * sense is closed. Never looks into DataRow or CopyData.
 */
#include "pool/server.h"

#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "pool/pool.h"
#include "wire/build.h"
#include "wire/proto.h"

#include <string.h>

enum { INSPECT_MAX_BYTES = 64 * 1024 };

const char *
server_state_name(enum server_state state)
{
    static const char *const names[] = {
#define SERVER_STATE(id, name) [id] = name,
#include "tables/server_states.def"
#undef SERVER_STATE
    };

    return names[state];
}

static void
settled(void *ctx, const struct pending_entry *e, bool done)
{
    struct server *s = ctx;

    if (s->ops != NULL && s->ops->settled != NULL)
        s->ops->settled(s->owner, s, e, done);
}

static void
expect(struct server *s, const struct pending_entry *e)
{
    s->clean = false;
    if (s->pending.count == 0)
        s->forwarded = s->answering = false;
    if (e->kind == PENDING_QUERY)
        server_set_unnamed(s, NULL);
    pending_push(&s->pending, e, settled, s);
}

void
server_expect(struct server *s, enum pending_kind kind, bool skip, uint16_t flags, void *tag)
{
    struct pending_entry e = {.kind = (uint8_t)kind, .skip = skip, .flags = flags, .tag = tag};

    expect(s, &e);
}

void
server_expect_heard(struct server *s, enum pending_kind kind, uint16_t flags)
{
    struct pending_entry e = {.kind = (uint8_t)kind, .skip = true, .heard = true, .flags = flags};

    expect(s, &e);
}

void
server_expect_noted(struct server *s, enum pending_kind kind, uint16_t flags, void *tag,
                    uint32_t note)
{
    struct pending_entry e = {.kind = (uint8_t)kind, .flags = flags, .note = note, .tag = tag};

    expect(s, &e);
}

void
server_set_unnamed(struct server *s, struct prepared *prepared)
{
    struct prepared *before = s->unnamed;

    if (prepared != NULL)
        prepared_ref(prepared);
    s->unnamed = prepared;
    if (before != NULL)
        prepared_put(before);
}

void
server_expect_fake(struct server *s, enum pending_kind kind, void *tag)
{
    struct pending_entry e = {.kind = (uint8_t)kind, .fake = true, .tag = tag};

    if (s->pending.count == 0)
        s->forwarded = s->answering = false;
    pending_push(&s->pending, &e, settled, s);
}

/* Those whose turn has come, as bytes. */
static void
take_fakes(struct server *s)
{
    struct pending_entry e;

    while (unlikely(pending_take_fake(&s->pending, &e, settled, s)))
        build_simple(&s->fakes, e.kind == PENDING_PARSE ? '1' : '3');
}

static void
tell_fakes(struct server *s)
{
    if (s->fakes.len > 0 && !s->swallow && s->ops != NULL) {
        s->forwarded = true;
        s->ops->forward(s->owner, s, NULL, s->fakes.data, s->fakes.len);
    }
    buf_free(&s->fakes);
}

void
server_tell_instead(struct server *s, const struct buf *b)
{
    buf_add(&s->fakes, b->data, b->len);
}

void
server_flush_fakes(struct server *s)
{
    for (uint32_t n = 0; n < s->pending.count; n++) {
        if (!s->pending.ring[(s->pending.head + n) & (s->pending.cap - 1)].fake)
            return;
    }
    take_fakes(s);
    tell_fakes(s);
}

static void
send_query(struct server *s, const char *sql, size_t len)
{
    struct buf b = BUF_EMPTY;

    build_query(&b, sql, len);
    server_send(s, b.data, b.len);
    buf_free(&b);
}

void
server_run(struct server *s, const char *sql, size_t len, uint16_t flags)
{
    server_expect(s, PENDING_QUERY, true, flags, NULL);
    send_query(s, sql, len);
}

void
server_run_whole(struct server *s, const char *sql, size_t len, uint16_t flags)
{
    struct pending_entry e = {.kind = PENDING_QUERY, .skip = true, .whole = true, .flags = flags};

    expect(s, &e);
    send_query(s, sql, len);
}

void
server_ask(struct server *s, const char *sql, size_t len, uint16_t flags)
{
    server_expect_heard(s, PENDING_QUERY, flags);
    send_query(s, sql, len);
}

void
server_pause(struct server *s)
{
    io_pause(s->stream);
}

void
server_resume(struct server *s)
{
    io_resume(s->stream);
}

static void
copy_view(char *dst, size_t size, struct wire_view v)
{
    str_copy_n(dst, size, v.data != NULL ? v.data : "", v.data != NULL ? v.len : 0);
}

void
server_error_from_message(const uint8_t *msg, size_t len, struct err *err_r)
{
    struct wire_error e;

    memset(err_r, 0, sizeof(*err_r));
    if (wire_parse_error(msg, (uint32_t)len, &e) != WIRE_OK) {
        err_set(err_r, "08P01", "the server sent an error message that cannot be read");
        return;
    }
    copy_view(err_r->sqlstate, sizeof(err_r->sqlstate), e.sqlstate);
    if (strlen(err_r->sqlstate) != 5)
        str_copy(err_r->sqlstate, sizeof(err_r->sqlstate), "XX000");
    copy_view(err_r->message, sizeof(err_r->message), e.message);
    copy_view(err_r->detail, sizeof(err_r->detail), e.detail);
    copy_view(err_r->hint, sizeof(err_r->hint), e.hint);
}

bool
server_is_fatal(const uint8_t *msg, size_t len)
{
    struct wire_error e;

    if (wire_parse_error(msg, (uint32_t)len, &e) != WIRE_OK)
        return false;
    return (e.severity.len == 5 && memcmp(e.severity.data, "FATAL", 5) == 0) ||
           (e.severity.len == 5 && memcmp(e.severity.data, "PANIC", 5) == 0);
}

/* The words are all that tells: a fast shutdown says the same, and is taken so. */
bool
server_is_terminated(const struct server *s)
{
    static const char words[] = "terminating connection due to administrator command";

    return s->fatal_seen && strcmp(s->fatal.sqlstate, "57P01") == 0 &&
           strcmp(s->fatal.message, words) == 0;
}

/* Is it the server that ends? */
static bool
ends_with_server(const struct server *s)
{
    return strcmp(s->fatal.sqlstate, "57P02") == 0 ||
           (strcmp(s->fatal.sqlstate, "57P01") == 0 && !server_is_terminated(s));
}

/* in_hot_standby is about this server, not about what the client is connected to. Returns true
 * when the client is to be told. */
static bool
hear_parameter(struct server *s, const uint8_t *msg, size_t len)
{
    struct wire_view name;
    struct wire_view value;

    if (wire_parse_parameter(msg, (uint32_t)len, &name, &value) != WIRE_OK)
        return true;
    if (name.len == 14 && memcmp(name.data, "in_hot_standby", 14) == 0) {
        s->is_standby = value.len == 2;
        return false;
    }
    if (s->pending.count > 0 && s->pending.ring[s->pending.head].skip)
        return false;
    if (s->ops != NULL && s->ops->parameter != NULL)
        s->ops->parameter(s->owner, name, value);
    return true;
}

/* Does the owner keep the error of this cycle to itself? */
static bool
owner_takes_error(struct server *s, const struct err *err)
{
    if (s->forwarded || s->pending.count == 0 || s->pending.ring[s->pending.head].skip ||
        s->ops == NULL || s->ops->error == NULL)
        return false;
    s->swallow = s->ops->error(s->owner, s, err);
    return s->swallow;
}

/* The warning in front of the end of an immediate shutdown: is it the owner's alone? */
static bool
announces_end(struct server *s, const uint8_t *msg, size_t len)
{
    struct err err;

    if (s->pending.count == 0 || s->forwarded)
        return false;
    server_error_from_message(msg, len, &err);
    return strncmp(err.sqlstate, "57P0", 4) == 0 && owner_takes_error(s, &err);
}

static bool
has_state(const struct wire_error *e, const char *sqlstate, size_t len)
{
    return e->sqlstate.len == 5 && memcmp(e->sqlstate.data, sqlstate, len) == 0;
}

/* Was the first command of the cycle refused without being run? In the extended protocol that is
 * what was not executed yet. Of a Query it is one whose text is wrong: the error points into that,
 * and nothing was under way that would have said where it was. What other errors look so
 * (a function's body in CREATE FUNCTION) are of commands that commit nothing by themselves; and a
 * text whose later statements are wrong has an answer to its first one in front of the error. */
static bool
is_refused(const struct server *s, const struct wire_error *e)
{
    if (s->completed || s->pending.count == 0)
        return false;
    switch ((enum pending_kind)s->pending.ring[s->pending.head].kind) {
    case PENDING_PARSE:
    case PENDING_BIND:
    case PENDING_DESCRIBE:
    case PENDING_CLOSE:
        return true;
    case PENDING_QUERY:
        return !e->within && ((e->positioned && has_state(e, "42", 2)) || has_state(e, "25P02", 5));
    default:
        return false;
    }
}

/* The tag of what begins a transaction block, and does no more. */
static bool
is_begin(const uint8_t *msg, size_t len)
{
    static const char tags[2][18] = {"BEGIN", "START TRANSACTION"};
    const char *tag = (const char *)msg + WIRE_HEADER_BYTES;

    return (len == WIRE_HEADER_BYTES + sizeof("BEGIN") && memcmp(tag, tags[0], 6) == 0) ||
           (len == WIRE_HEADER_BYTES + sizeof(tags[1]) && memcmp(tag, tags[1], 18) == 0);
}

static void
note_failure(struct server *s, const uint8_t *msg, size_t len)
{
    struct wire_error e;
    bool sensible = wire_parse_error(msg, (uint32_t)len, &e) == WIRE_OK;

    if (s->failure != SERVER_FAILED_NOT || !sensible)
        s->failure = SERVER_FAILED_LATE;
    else if (is_refused(s, &e))
        s->failure = SERVER_FAILED_EARLY;
    else
        s->failure = has_state(&e, "57014", 5) ? SERVER_FAILED_LATE : SERVER_FAILED;
}

static bool
error_is_told(struct server *s, const uint8_t *msg, size_t len)
{
    struct err err;

    if (s->forwarded)
        return true;
    server_error_from_message(msg, len, &err);
    return !owner_takes_error(s, &err);
}

/* Is the owner told of the rows that come now? */
static bool
is_heard(const struct server *s)
{
    return s->pending.count > 0 && s->pending.ring[s->pending.head].heard && s->ops != NULL &&
           s->ops->row != NULL;
}

/* What a command says behind its name; 0: nothing. */
static uint64_t
rows_of_tag(const uint8_t *msg, size_t len)
{
    uint64_t rows = 0;
    uint64_t unit = 1;

    for (size_t at = len - 1; at-- > WIRE_HEADER_BYTES && (uint8_t)(msg[at] - '0') <= 9; unit *= 10)
        rows += unit * (uint64_t)(msg[at] - '0');
    return rows;
}

/* Has come to the end of an answer, or of a part of one; only those with a note count. */
static void
count_rows(struct server *s, uint8_t type, const uint8_t *msg, size_t len)
{
    uint64_t data_rows = s->data_rows;

    s->data_rows = 0;
    if (s->pending.count == 0 || s->pending.ring[s->pending.head].note == 0)
        return;
    if (type == 'C')
        s->rows += rows_of_tag(msg, len);
    else
        s->rows += data_rows; /* the portal has more */
}

/* The owner watches what comes. Returns true when it keeps the message to itself. */
static NOINLINE bool
show(struct server *s, uint8_t type, const uint8_t *msg, size_t len)
{
    if (s->ops == NULL)
        return false;
    if (s->watched & SERVER_TELLS_MESSAGES && s->ops->message != NULL)
        s->ops->message(s->owner, s, type, num_get_u32(msg + 1) + 1);
    return s->watched & SERVER_SHOWS_ENDS &&
           (type == 'C' || type == 'I' || type == 'E' || type == 'Z' || type == 'V') &&
           s->ops->ends != NULL && s->ops->ends(s->owner, s, type, msg, len);
}

/* One whole message, or the beginning of one that is too long to be looked into (len is then
 * shorter than it claims). Returns true when it is for the client. */
static bool
judge(struct server *s, uint8_t type, const uint8_t *msg, size_t len, struct pending_step *step_r)
{
    bool told = true;

    if (unlikely(s->watched))
        told = !show(s, type, msg, len);
    if (type != 'N' && type != 'A' && type != 'S')
        take_fakes(s);
    switch (type) {
    case 'N':
        if (announces_end(s, msg, len)) {
            *step_r = (struct pending_step){0};
            return false;
        }
        /* fall through */
    case 'A':
        /* may come at any time, and settle nothing */
        *step_r = (struct pending_step){.unasked = s->pending.count == 0};
        return type == 'A' || s->pending.count == 0 || !s->pending.ring[s->pending.head].skip;
    case 'S':
        *step_r = (struct pending_step){.unasked = s->pending.count == 0};
        return hear_parameter(s, msg, len);
    case 'E':
        if (server_is_fatal(msg, len)) {
            s->fatal_seen = true;
            server_error_from_message(msg, len, &s->fatal);
            *step_r = (struct pending_step){0};
            s->fatal_told = !owner_takes_error(s, &s->fatal) && !ends_with_server(s) &&
                            (s->pending.forwards > 0 || s->tx_status != 'I');
            return s->fatal_told;
        }
        note_failure(s, msg, len);
        told &= error_is_told(s, msg, len);
        break;
    case 'C':
    case 's':
        s->completed |= !is_begin(msg, len);
        count_rows(s, type, msg, len);
        break;
    case 'I':
        s->completed = true;
        break;
    case 'D':
        s->data_rows++;
        if (unlikely(is_heard(s)))
            s->ops->row(s->owner, s, msg, len);
        break;
    case 'Z':
        s->tx_status = len > WIRE_HEADER_BYTES ? (char)msg[WIRE_HEADER_BYTES] : 'E';
        break;
    default:
        break;
    }
    s->answering = true;
    *step_r = pending_answer(&s->pending, type, settled, s);
    if (step_r->unasked)
        s->doubtful = true; /* an answer to nothing that we asked */
    return told && !step_r->skip && !s->swallow;
}

struct run {
    struct io_rx *rx;
    const uint8_t *bytes;
    size_t start;
};

static void
flush_run(struct server *s, struct run *run, size_t end)
{
    if (s->swallow)
        run->start = end;
    if (end > run->start && s->answering)
        s->forwarded = true;
    if (end > run->start && s->ops != NULL)
        s->ops->forward(s->owner, s, run->rx, run->bytes + run->start, end - run->start);
    run->start = end;
}

/* Messages that settle nothing and are never looked into may pass in pieces of any size. */
static bool
passes_in_pieces(uint8_t type, uint32_t total_bytes)
{
    return type == 'D' || type == 'd' || total_bytes > INSPECT_MAX_BYTES;
}

static void
end_cycle(struct server *s, const struct pending_step *step)
{
    if (s->state == SERVER_RESETTING)
        pool_reset_progress(s, step->failed);
    else if (s->ops != NULL && s->ops->cycle_end != NULL)
        s->ops->cycle_end(s->owner, s, &step->ended, step->failed);
}

/* Returns how many bytes were used; the rest is the beginning of a message. */
static size_t
process(struct server *s, struct io_rx *rx, const uint8_t *bytes, size_t len)
{
    struct run run = {.rx = rx, .bytes = bytes};
    struct pending_step step;
    struct wire_header h;
    struct err err;
    bool was_full = pending_is_full(&s->pending);
    size_t at = 0;

    while (at < len && s->state != SERVER_CLOSED) {
        enum wire_result result;
        bool skip;
        if (s->pass_left > 0) {
            size_t n = MIN((size_t)s->pass_left, len - at);
            s->pass_left -= (uint32_t)n;
            if (s->pass_skip)
                flush_run(s, &run, at);
            at += n;
            if (s->pass_skip)
                run.start = at;
            continue;
        }
        result = wire_server_header(bytes + at, len - at, &h, &err);
        if (result == WIRE_MORE)
            break;
        if (result == WIRE_BAD) {
            flush_run(s, &run, at);
            s->fatal = err;
            s->doubtful = s->fatal_seen = true;
            return SIZE_MAX;
        }
        if (h.total_bytes > len - at) {
            if (!passes_in_pieces(h.type, h.total_bytes) || is_heard(s))
                break;
            skip = !judge(s, h.type, bytes + at, len - at, &step);
            if (unlikely(s->fakes.len > 0)) {
                flush_run(s, &run, at);
                tell_fakes(s);
            }
            s->pass_left = h.total_bytes;
            s->pass_skip = skip;
            continue;
        }
        skip = !judge(s, h.type, bytes + at, h.total_bytes, &step);
        if (unlikely(s->fakes.len > 0)) {
            flush_run(s, &run, at);
            tell_fakes(s);
        }
        if (skip)
            flush_run(s, &run, at);
        at += h.total_bytes;
        if (skip)
            run.start = at;
        if (step.cycle_end) {
            flush_run(s, &run, at);
            s->forwarded = s->swallow = s->answering = s->note_failed = false;
            end_cycle(s, &step);
            s->completed = false;
            s->failure = SERVER_FAILED_NOT;
        }
    }
    if (s->state != SERVER_CLOSED)
        flush_run(s, &run, at);
    if (s->ops != NULL && s->ops->eased != NULL &&
        (s->pending.count == 0 || s->pending.copy_in ||
         (was_full && !pending_is_full(&s->pending))))
        s->ops->eased(s->owner, s);
    return at;
}

void
server_lose(struct server *s, const struct err *err)
{
    const struct server_ops *ops = s->ops;
    void *owner = s->owner;
    struct err words = *err;
    struct pending_owed owed;

    pending_note_owed(&s->pending, &owed);
    server_close(s, words.message);
    if (ops != NULL && ops->lost != NULL)
        ops->lost(owner, s, &words, &owed);
    pending_owed_free(&owed);
}

/* What it has begun to say while nobody has it must not end in the hands of who gets it next. */
static bool
is_noisy(const struct server *s)
{
    return s->doubtful || s->pass_left > 0 || s->in.len > 0;
}

static void
stream_received(void *ctx, struct io_rx *rx)
{
    struct server *s = ctx;
    const uint8_t *bytes = rx->data;
    struct io_rx *from = rx;
    size_t len = rx->len;
    size_t used;

    if (s->in.len > 0) {
        buf_add(&s->in, rx->data, rx->len);
        bytes = s->in.data;
        len = s->in.len;
        from = NULL;
    }
    used = process(s, from, bytes, len);
    if (s->state == SERVER_CLOSED)
        return;
    if (used == SIZE_MAX || s->fatal_seen) {
        server_lose(s, &s->fatal); /* behind a FATAL there is only the end */
        return;
    }
    if (from == NULL)
        buf_drop(&s->in, used);
    else if (used < len)
        buf_add(&s->in, bytes + used, len - used);
    if (s->in.len == 0)
        buf_free(&s->in);
    if (s->state == SERVER_IDLE && is_noisy(s))
        server_close(s, "it answered what nobody had asked");
}

static void
stream_drained(void *ctx)
{
    struct server *s = ctx;

    if (s->ops != NULL && s->ops->drained != NULL)
        s->ops->drained(s->owner, s);
}

static void
stream_closed(void *ctx, int error)
{
    struct server *s = ctx;
    struct err err;

    if (s->fatal_seen)
        err = s->fatal;
    else if (error != 0)
        err_set_errno(&err, "08006", error, "connection to node %d was lost", s->node_id);
    else
        err_set(&err, "08006", "node %d closed the connection unexpectedly", s->node_id);
    server_lose(s, &err);
}

void
server_attach_stream(struct server *s)
{
    static const struct io_stream_ops ops = {
        .received = stream_received,
        .drained = stream_drained,
        .closed = stream_closed,
    };

    io_stream_set_ops(s->stream, &ops, s);
}

void
server_close(struct server *s, const char *why)
{
    static const uint8_t terminate[] = {'X', 0, 0, 0, 4};

    if (s->state == SERVER_CLOSED)
        return;
    log_debug("closing the connection to node %d (server process %u): %s", s->node_id,
              s->backend_pid, why);
    if (s->login != NULL)
        dial_stop(s);
    if (s->stream != NULL) {
        if (s->state >= SERVER_LENT && !s->fatal_seen)
            io_send_copy(s->stream, terminate, sizeof(terminate));
        io_stream_close(s->stream, s->state >= SERVER_LENT);
        s->stream = NULL;
    }
    pending_fini(&s->pending, settled, s);
    s->ops = NULL;
    s->owner = NULL;
    s->state = SERVER_CLOSED;
    pool_bury(s);
}

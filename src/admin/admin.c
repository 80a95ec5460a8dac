/*
 * The life of administration clients: their streams, their input, their limits, their end.
 *
 * Called by the process for administration (proc/pcp.c). Input is handled message by message as
 * long as the answers leave; while 64 kB of them wait, the rest of the input waits too, so that
 * what one client holds is bounded by one answer. Once a second, while there are clients: those
 * that do not finish their startup, or take nothing of their answers, are ended.
 *
 * Invariant: an ADMIN_CLOSED client has no stream and gets no callback but its reaper's.
 */
#include "admin/admin.h"

#include "admin/internal.h"
#include "base/arena.h"
#include "base/log.h"
#include "config/config.h"
#include "wire/build.h"

#include <stdlib.h>

enum { SWEEP_MS = 1000, SQL_CACHE_BYTES = 64 * 1024, NUMBER_MAX = (1 << 20) - 1 };

void
admin_enter(struct admin_client *c, enum admin_state state)
{
    BUG_UNLESS(state > c->state);
    if (c->state == ADMIN_READY)
        c->admin->ready--;
    if (state == ADMIN_READY)
        c->admin->ready++;
    c->state = (uint8_t)state;
    if (state == ADMIN_READY)
        c->admin->host.changed(c->admin->host.ctx);
}

void
admin_send(struct admin_client *c, const struct buf *b)
{
    io_send_copy(c->stream, b->data, b->len);
}

/* ---- the end ---- */

static void
client_free(struct admin_client *c)
{
    list_remove(&c->link);
    c->admin->count--;
    io_timer_stop(&c->reaper);
    io_timer_stop(&c->hold.timer);
    io_timer_stop(&c->order.timer);
    extended_fini(c);
    enter_forget(c);
    buf_free(&c->packet);
    buf_free(&c->in);
    free(c);
}

static void
reap(void *ctx)
{
    struct admin_client *c = ctx;
    struct admin *a = c->admin;

    client_free(c);
    a->host.changed(a->host.ctx);
}

static void
end(struct admin_client *c, const char *why, bool flush)
{
    if (c->state == ADMIN_CLOSED)
        return;
    if (c->who[0] != '\0' && c->admin->input->config->log_disconnections)
        log_info("administration disconnection: %s: %s", c->who, why);
    else
        log_debug("administration client gone: %s", why);
    hold_drop(c);
    order_drop(c);
    admin_enter(c, ADMIN_CLOSED);
    io_stream_close(c->stream, flush);
    c->stream = NULL;
    io_timer_start(c->admin->io, &c->reaper, 0, reap, c);
}

void
admin_end(struct admin_client *c, const char *why)
{
    end(c, why, true);
}

void
admin_fatal(struct admin_client *c, const struct err *err)
{
    struct buf b = BUF_EMPTY;

    if (c->state == ADMIN_CLOSED)
        return;
    log_error_parts(LOG_LEVEL_FATAL, err);
    build_error(&b, "FATAL", err);
    admin_send(c, &b);
    buf_free(&b);
    admin_end(c, err->message);
}

/* ---- input ---- */

/* One message, or what is there of one that is too long. Returns the bytes that it took; 0: more
 * are needed, or the client has ended. */
static size_t
take_message(struct admin_client *c, const uint8_t *bytes, size_t len)
{
    struct wire_header h;
    struct err err;
    size_t dropped;

    if (c->drop_left > 0) {
        dropped = MIN((size_t)c->drop_left, len);
        c->drop_left -= (uint32_t)dropped;
        return dropped;
    }
    switch (wire_client_header(bytes, len, &h, &err)) {
    case WIRE_MORE:
        return 0;
    case WIRE_BAD:
        admin_fatal(c, &err);
        return 0;
    case WIRE_OK:
        break;
    }
    if (h.total_bytes > ADMIN_INPUT_MAX_BYTES) {
        admin_message_too_long(c, h.type);
        c->drop_left = h.total_bytes - WIRE_HEADER_BYTES;
        return WIRE_HEADER_BYTES;
    }
    if (h.total_bytes > len)
        return 0;
    admin_message(c, bytes, h.total_bytes);
    return h.total_bytes;
}

static void
pump(struct admin_client *c)
{
    size_t at = 0;
    size_t taken = 1;

    while (taken > 0 && at < c->in.len && c->state == ADMIN_READY && !c->stalled &&
           !admin_is_busy(c)) {
        taken = take_message(c, c->in.data + at, c->in.len - at);
        at += taken;
        if (c->state == ADMIN_READY && io_is_full(c->stream)) {
            c->stalled = true;
            io_pause(c->stream);
        }
    }
    if (at > 0)
        buf_drop(&c->in, at);
    if (c->in.len == 0)
        buf_free(&c->in);
}

void
admin_go_on(struct admin_client *c)
{
    pump(c);
    if (c->state == ADMIN_READY && !c->stalled)
        io_resume(c->stream);
}

static void
received(void *ctx, struct io_rx *rx)
{
    struct admin_client *c = ctx;

    buf_add(&c->in, rx->data, rx->len);
    if (c->state == ADMIN_STARTUP)
        admin_startup(c);
    pump(c);
    if (c->state == ADMIN_READY && admin_is_busy(c) && c->in.len >= ADMIN_INPUT_MAX_BYTES)
        io_pause(c->stream);
}

static void
drained(void *ctx)
{
    struct admin_client *c = ctx;

    if (!c->stalled)
        return;
    c->stalled = false;
    admin_go_on(c);
}

static void
closed(void *ctx, int error UNUSED)
{
    admin_end(ctx, "the client closed the connection");
}

/* ---- limits in time ---- */

static bool
takes_nothing(struct admin_client *c, int64_t now_ns)
{
    size_t unsent = io_unsent_bytes(c->stream);

    if (!c->stalled || unsent != c->unsent_before)
        c->moved_ns = now_ns;
    c->unsent_before = unsent;
    return now_ns - c->moved_ns >= ADMIN_STALLED_MS * NS_PER_MS;
}

static void
sweep(void *ctx)
{
    struct admin *a = ctx;
    int64_t now_ns = io_now_ns(a->io);

    list_for_each_safe (it, tmp, &a->clients) {
        struct admin_client *c = list_entry(it, struct admin_client, link);

        if (c->state == ADMIN_STARTUP && now_ns - c->began_ns >= ADMIN_STARTUP_MS * NS_PER_MS)
            end(c, "its startup took too long", true);
        else if (c->state == ADMIN_READY && takes_nothing(c, now_ns))
            end(c, "it does not take its answer", false);
    }
    if (a->count > 0)
        io_timer_start(a->io, &a->sweep, SWEEP_MS, sweep, a);
}

/* ---- for the process ---- */

struct admin *
admin_new(struct io *io, const struct inspect_input *input, const struct admin_host *host)
{
    struct admin *a = xcalloc(1, sizeof(*a));

    a->io = io;
    a->input = input;
    a->host = *host;
    a->last_token = (uint32_t)io_now_ns(io);
    a->sql = sql_cache_new(SQL_CACHE_BYTES);
    list_init(&a->clients);
    return a;
}

void
admin_set_users(struct admin *a, const struct pcp_users *users)
{
    a->users = users;
}

int
admin_check_role(const struct admin_client *c, struct err *err)
{
    if (c->role == PCP_ADMIN)
        return 0;
    err_set(err, "42501", "permission denied: this needs the role admin");
    err_hint(err, "Connect as a user to whom pcp.conf gives that role, or over the unix socket as "
                  "pgpool's own user or root.");
    return -1;
}

void
admin_free(struct admin *a)
{
    list_for_each_safe (it, tmp, &a->clients) {
        struct admin_client *c = list_entry(it, struct admin_client, link);

        if (c->stream != NULL)
            io_stream_close(c->stream, false);
        client_free(c);
    }
    io_timer_stop(&a->sweep);
    io_timer_stop(&a->stop);
    sql_cache_free(a->sql);
    free(a);
}

void
admin_accept(struct admin *a, int fd)
{
    static const struct io_stream_ops ops = {
        .received = received, .drained = drained, .closed = closed, .secured = admin_tls_done};
    struct admin_client *c = xcalloc(1, sizeof(*c));

    c->admin = a;
    a->last_number = a->last_number % NUMBER_MAX + 1;
    c->number = a->last_number;
    c->began_ns = c->moved_ns = io_now_ns(a->io);
    c->stream = io_stream_open(a->io, fd, &ops, c);
    list_append(&a->clients, &c->link);
    a->count++;
    if (!io_timer_running(&a->sweep))
        io_timer_start(a->io, &a->sweep, SWEEP_MS, sweep, a);
    a->host.changed(a->host.ctx);
}

void
admin_set_tls(struct admin *a, struct tls_context *tls)
{
    a->tls = tls;
}

bool
admin_is_full(const struct admin *a)
{
    return a->count >= ADMIN_CLIENTS_MAX + ADMIN_SPARE_CLIENTS;
}

bool
admin_is_empty(const struct admin *a)
{
    return list_empty(&a->clients);
}

uint32_t
admin_client_count(const struct admin *a)
{
    return a->ready;
}

void
admin_terminate(struct admin *a, const struct err *err)
{
    list_for_each (it, &a->clients) {
        struct admin_client *c = list_entry(it, struct admin_client, link);

        order_stopping(c);
        admin_fatal(c, err);
    }
}

/*
 * Cancel requests: for a session of this child, of another child, of another generation, or of
 * another pgpool of the watchdog's.
 *
 * The pid of a key names a child and a session, but not the pgpool: each counts from zero, and who
 * cancels may have reached any of them through a load balancer or the virtual address. So a request
 * whose key is nobody's here goes to all others, marked, so that they do not pass it on again: one
 * of them knows it, whatever their configurations say about each other. Invariants: a request is
 * answered (its connection closed) once, when whoever may have it has answered or CANCEL_LIMIT_MS
 * are over; nothing of it outlives that.
 *
 * Source: PostgreSQL's manual, section "Canceling Requests in Progress".
 */
#include "child.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "os/dns.h"
#include "proc/proc.h"
#include "wire/build.h"

#include <stdlib.h>
#include <string.h>

enum {
    CANCEL_LIMIT_MS = 10000,
    PASSED_ON_MAX = 64, /* at a time: whoever guesses keys shall not keep others busy */
};

/* What a client of ours has asked for, until it is answered. */
struct cancel {
    struct list link; /* of child.cancels */
    struct child *child;
    uint64_t token;
    uint32_t index; /* of the session that brought it */
    bool passed_on;
    struct session_cancel_request request;
    struct list members; /* who has not answered yet */
};

/* Another pgpool that is asked. */
struct cancel_member {
    struct list link;
    struct cancel *cancel;
    uint32_t id;
    struct dns_query *query;
    struct io_stream *stream;
    struct io_timer timer;
};

/* What another child, or the parent, has passed to us. */
struct cancel_errand {
    struct child *child;
    uint32_t from; /* slot */
    uint64_t token;
};

/* ---- answering ---- */

static void
member_free(struct cancel_member *m)
{
    if (m->query != NULL)
        dns_cancel(m->query);
    if (m->stream != NULL)
        io_stream_close(m->stream, false);
    io_timer_stop(&m->timer);
    list_remove(&m->link);
    free(m);
}

static void
cancel_free(struct cancel *k)
{
    while (!list_empty(&k->members))
        member_free(list_first(&k->members, struct cancel_member, link));
    list_remove(&k->link);
    free(k);
}

static void
finish(struct cancel *k)
{
    struct session *s = k->child->sessions[k->index];

    if (s != NULL && session_is_cancelling(s))
        session_cancel_done(s);
    cancel_free(k);
}

/* ---- other pgpools ---- */

static void
member_done(struct cancel_member *m, const char *why)
{
    struct cancel *k = m->cancel;

    if (why != NULL)
        log_warning("could not pass a cancel request on to pgpool %u: %s", m->id, why);
    member_free(m);
    if (list_empty(&k->members))
        finish(k);
}

static void
member_connected(void *ctx, int error)
{
    struct cancel_member *m = ctx;
    const struct session_cancel_request *request = &m->cancel->request;
    struct buf b = BUF_EMPTY;

    if (error != 0) {
        member_done(m, strerror(error));
        return;
    }
    build_member_cancel_request(&b, request->pid, request->key, request->key_len);
    io_send_copy(m->stream, b.data, b.len);
    buf_free(&b);
}

/* It closes when it has done what it could. */
static void
member_closed(void *ctx, int error UNUSED)
{
    member_done(ctx, NULL);
}

/* It has nothing to say. */
static void
member_received(void *ctx UNUSED, struct io_rx *rx UNUSED)
{
}

static void
member_late(void *ctx)
{
    member_done(ctx, "it does not answer");
}

static void
member_found(void *ctx, const struct dns_answer *answer, const struct err *err)
{
    static const struct io_stream_ops ops = {
        .connected = member_connected, .received = member_received, .closed = member_closed};
    struct cancel_member *m = ctx;
    struct err failed;

    m->query = NULL;
    if (answer == NULL) {
        member_done(m, err->message);
        return;
    }
    m->stream = io_connect(
        m->cancel->child->proc->io,
        &(struct io_target){sock_addr(&answer->list[0]), answer->list[0].len, CANCEL_LIMIT_MS},
        &ops, m, &failed);
    if (m->stream == NULL)
        member_done(m, failed.message);
}

static void
ask_member(struct cancel *k, uint32_t id)
{
    struct child *c = k->child;
    const struct config_peer *peer = &c->proc->config->peers[id];
    int port = peer->pgpool_port > 0 ? peer->pgpool_port : c->proc->config->port;
    struct cancel_member *m = xcalloc(1, sizeof(*m));

    m->cancel = k;
    m->id = id;
    list_append(&k->members, &m->link);
    io_timer_start(c->proc->io, &m->timer, CANCEL_LIMIT_MS, member_late, m);
    m->query = dns_lookup(c->dns, peer->hostname, (uint16_t)port, member_found, m);
}

static uint32_t
count_passed_on(const struct child *c)
{
    uint32_t count = 0;

    for (const struct list *at = c->cancels.next; at != &c->cancels; at = at->next)
        count += list_entry(at, struct cancel, link)->passed_on;
    return count;
}

/* ---- where it goes ---- */

/* found: it was a session's of this pgpool. */
static void
answered(struct cancel *k, bool found)
{
    const struct config *cfg = k->child->proc->config;

    if (!found && !k->request.of_member && cfg->use_watchdog &&
        count_passed_on(k->child) < PASSED_ON_MAX) {
        k->passed_on = true;
        for (uint32_t id = 0; id < CONFIG_NODES_MAX; id++) {
            if (cfg->peers[id].hostname[0] != '\0' && (int)id != cfg->pgpool_node_id)
                ask_member(k, id);
        }
    }
    if (list_empty(&k->members))
        finish(k);
}

static void
cancelled_here(void *ctx)
{
    finish(ctx);
}

static struct session *
named(const struct child *c, uint32_t pid)
{
    uint32_t index = proc_session_of_pid(pid);

    return index < c->max_sessions ? c->sessions[index] : NULL;
}

void
child_cancel_asked(void *ctx, struct session *s, const struct session_cancel_request *request)
{
    struct child *c = ctx;
    uint32_t child_no = proc_child_of_pid(request->pid) - c->proc->child_base;
    struct inbox_msg msg = {.kind = INBOX_CANCEL};
    struct cancel *k = xcalloc(1, sizeof(*k));
    uint32_t to;

    k->child = c;
    k->token = ++c->last_cancel;
    k->index = session_place(s)->index;
    k->request = *request;
    list_init(&k->members);
    list_append(&c->cancels, &k->link);
    if (child_no == c->proc->child_no) {
        struct session *mine = named(c, request->pid);
        if (mine == NULL ||
            !session_cancel(mine, request->key, request->key_len, cancelled_here, k))
            answered(k, false);
        return;
    }
    msg.cancel.token = k->token;
    msg.cancel.pid = request->pid;
    msg.cancel.key_len = request->key_len;
    memcpy(msg.cancel.key, request->key, request->key_len);
    /* none of ours: the parent knows other generations */
    to = child_no < shared_layout(c->proc->shared)->child_slots
             ? shared_slot_of_child(c->proc->shared, child_no)
             : SLOT_PARENT;
    if (!proc_send(c->proc, to, &msg))
        answered(k, false);
}

void
child_cancel_answered(struct child *c, const struct inbox_msg *msg)
{
    for (struct list *at = c->cancels.next; at != &c->cancels; at = at->next) {
        struct cancel *k = list_entry(at, struct cancel, link);

        if (k->token == msg->cancel_done.token && !k->passed_on) {
            answered(k, msg->cancel_done.found != 0);
            return;
        }
    }
}

/* ---- for others ---- */

static void
errand_answer(struct cancel_errand *e, bool found)
{
    struct inbox_msg msg = {.kind = INBOX_CANCEL_DONE};

    msg.cancel_done.token = e->token;
    msg.cancel_done.found = found;
    proc_send(e->child->proc, e->from, &msg);
    free(e);
}

static void
errand_done(void *ctx)
{
    errand_answer(ctx, true);
}

void
child_cancel_for(struct child *c, const struct inbox_msg *msg)
{
    struct cancel_errand *e = xcalloc(1, sizeof(*e));
    struct session *s = named(c, msg->cancel.pid);

    e->child = c;
    e->from = msg->from;
    e->token = msg->cancel.token;
    if (s == NULL || !session_cancel(s, msg->cancel.key, msg->cancel.key_len, errand_done, e))
        errand_answer(e, false);
}

void
child_cancel_drop(struct child *c)
{
    while (!list_empty(&c->cancels))
        cancel_free(list_first(&c->cancels, struct cancel, link));
}

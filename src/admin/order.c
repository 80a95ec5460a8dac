/*
 * Commands that another process carries out: those to nodes the failover process, those to pgpool
 * as a whole the parent.
 *
 * Called by query.c and extended.c, only for who has the role admin. The other process is asked
 * through struct admin_host, again with the same token when it says nothing, and may tell of its
 * progress, which the client gets as NOTICE. The client's next messages wait meanwhile, for as long
 * as it takes: there is no limit but its cancel request and its leaving, after which nobody is told
 * of the outcome. What has begun is not undone by that, but for the drain of a graceful detach.
 *
 * An immediate stop ends this process without a further word: its client is answered before the
 * parent is told. After any other stop the parent's word and its signal may come in either order:
 * whoever has asked for it is told so before the connection ends.
 */
#include "admin/internal.h"
#include "base/log.h"
#include "base/num.h"
#include "cache/shared.h"
#include "config/config.h"
#include "ipc/shared.h"
#include "ipc/statement_stats.h"
#include "wire/build.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

enum { ASK_AGAIN_MS = 1000, ASK_AGAIN_PROGRESS_MS = 10 * 1000, FLUSH_MS = 1 };

static const struct {
    const char *tag;
    uint32_t node_command; /* 0: it is the parent's */
} kinds[] = {
    [SQL_COMMAND_ATTACH] = {"ATTACH NODE", NODE_COMMAND_ATTACH},
    [SQL_COMMAND_DETACH] = {"DETACH NODE", NODE_COMMAND_DETACH},
    [SQL_COMMAND_PROMOTE] = {"PROMOTE NODE", NODE_COMMAND_PROMOTE},
    [SQL_COMMAND_SWITCHOVER] = {"SWITCHOVER", NODE_COMMAND_SWITCHOVER},
    [SQL_COMMAND_RECOVER] = {"RECOVER NODE", NODE_COMMAND_RECOVER},
    [SQL_COMMAND_STOP] = {"STOP", 0},
    [SQL_COMMAND_RELOAD] = {"RELOAD", 0},
    [SQL_COMMAND_ROTATE_LOG] = {"ROTATE LOG", 0},
    [SQL_COMMAND_INVALIDATE_CACHE] = {"INVALIDATE QUERY CACHE", 0}, /* done here, */
    [SQL_COMMAND_RESET_STATEMENTS] = {"RESET STATEMENTS", 0},       /* and this */
};

/* ---- what is asked for ---- */

static int
find_node(struct admin_client *c, const char *name, int32_t *node_id_r, struct err *err)
{
    const struct config *cfg = c->admin->input->config;
    uint32_t node_id;

    if (!num_parse_u32(name, &node_id) || node_id >= cfg->backend_count ||
        !cfg->backends[node_id].configured)
        return err_set(err, "22023", "there is no node %s", name);
    *node_id_r = (int32_t)node_id;
    return 0;
}

static uint32_t
find_stop(const char *mode)
{
    return strcmp(mode, "smart") == 0  ? ORDER_STOP_SMART
           : strcmp(mode, "fast") == 0 ? ORDER_STOP_FAST
                                       : ORDER_STOP_IMMEDIATE;
}

int
order_find(struct admin_client *c, const struct sql_command *command, struct order_request *r,
           struct err *err)
{
    if (admin_check_role(c, err) != 0)
        return -1;
    memset(r, 0, sizeof(*r));
    r->node_id = -1;
    r->gracefully = command->gracefully;
    switch (command->verb) {
    case SQL_COMMAND_INVALIDATE_CACHE:
        if (c->admin->input->cache == NULL)
            return err_set(err, "55000",
                           "there is no query cache to invalidate: \"memory_cache_enabled\" was "
                           "off when pgpool was started");
        break;
    case SQL_COMMAND_RESET_STATEMENTS:
        if (c->admin->input->statements == NULL)
            return err_set(err, "55000",
                           "no statements are counted: \"pool_statements_max\" was 0 when pgpool "
                           "was started");
        break;
    case SQL_COMMAND_SWITCHOVER:
        break;
    case SQL_COMMAND_STOP:
        r->order = find_stop(command->name);
        break;
    case SQL_COMMAND_RELOAD:
        r->order = ORDER_RELOAD;
        break;
    case SQL_COMMAND_ROTATE_LOG:
        if (!c->admin->input->config->logging_collector)
            return err_set(err, "55000",
                           "there is no log file to rotate: \"logging_collector\" is "
                           "off");
        r->order = ORDER_ROTATE_LOG;
        break;
    default:
        if (find_node(c, command->name, &r->node_id, err) != 0)
            return -1;
        break;
    }
    r->verb = command->verb;
    r->node_command = kinds[r->verb].node_command;
    if (command->switchover)
        r->node_command = NODE_COMMAND_SWITCHOVER;
    return 0;
}

/* ---- asking ---- */

static void
send_question(struct admin *a, const struct order_request *r, uint32_t token)
{
    struct inbox_msg msg;

    memset(&msg, 0, sizeof(msg));
    if (r->node_command != 0) {
        msg.kind = INBOX_NODE_COMMAND;
        msg.command.token = token;
        msg.command.verb = r->node_command;
        msg.command.node_id = r->node_id;
        msg.command.gracefully = r->gracefully;
        a->host.send(a->host.ctx, SLOT_FAILOVER, &msg);
        return;
    }
    msg.kind = INBOX_ORDER;
    msg.order.token = token;
    msg.order.verb = r->order;
    a->host.send(a->host.ctx, SLOT_PARENT, &msg);
}

static void
ask(void *ctx)
{
    struct admin_client *c = ctx;
    struct admin_order *o = &c->order;

    send_question(c->admin, &o->request, o->token);
    io_timer_start(c->admin->io, &o->timer, o->progress ? ASK_AGAIN_PROGRESS_MS : ASK_AGAIN_MS, ask,
                   c);
}

/* The drain of a graceful detach has done its work, or is of no use any more. */
static void
undrain(struct admin_client *c)
{
    struct admin *a = c->admin;
    struct hold_request r = {.verb = HOLD_UNDRAIN, .node_id = c->order.request.node_id};

    if (c->order.drained)
        a->host.hold(a->host.ctx, 0, &r);
    c->order.drained = false;
}

/* err: NULL when it was done. */
static void
finish(struct admin_client *c, const struct err *err)
{
    struct buf b = BUF_EMPTY;

    io_timer_stop(&c->order.timer);
    undrain(c);
    if (err == NULL)
        build_command_complete(&b, kinds[c->order.request.verb].tag);
    else
        build_error(&b, "ERROR", err);
    if (c->order.simple)
        build_ready(&b, 'I');
    else
        c->skip_till_sync = err != NULL;
    c->order.request.verb = 0;
    admin_send(c, &b);
    buf_free(&b);
    admin_go_on(c);
}

/* What was answered before has left by now. */
static void
stop_now(void *ctx)
{
    struct admin *a = ctx;
    const struct order_request r = {.order = ORDER_STOP_IMMEDIATE};

    send_question(a, &r, 0);
    io_timer_start(a->io, &a->stop, ASK_AGAIN_MS, stop_now, a);
}

/* A child that gives a place to a new statement is done in no time. */
static void
reset_statements(void *ctx)
{
    struct admin_client *c = ctx;

    if (statement_stats_reset(c->admin->input->statements, SLOT_PCP))
        finish(c, NULL);
    else
        io_timer_start(c->admin->io, &c->order.timer, FLUSH_MS, reset_statements, c);
}

static void
begin(void *ctx)
{
    struct admin_client *c = ctx;
    struct admin *a = c->admin;
    struct err err;

    if (c->order.request.verb == SQL_COMMAND_INVALIDATE_CACHE) {
        versions_raise_all(a->input->cache->versions);
        finish(c, NULL);
        return;
    }
    if (c->order.request.verb == SQL_COMMAND_RESET_STATEMENTS) {
        reset_statements(c);
        return;
    }
    if (c->order.request.order == ORDER_RELOAD && a->host.check_files(a->host.ctx, &err) != 0) {
        finish(c, &err);
        return;
    }
    if (c->order.request.order == ORDER_STOP_IMMEDIATE) {
        finish(c, NULL);
        io_timer_start(a->io, &a->stop, FLUSH_MS, stop_now, a);
        return;
    }
    ask(c);
}

static void
log_command(const struct order_request *r, const char *who)
{
    static const char *const modes[] = {[ORDER_STOP_SMART] = " SMART",
                                        [ORDER_STOP_FAST] = " FAST",
                                        [ORDER_STOP_IMMEDIATE] = " IMMEDIATE"};
    char what[16] = "";

    if (r->node_id >= 0)
        snprintf(what, sizeof(what), " %d", (int)r->node_id);
    else if (r->verb == SQL_COMMAND_STOP)
        snprintf(what, sizeof(what), "%s", modes[r->order]);
    log_info("administration command %s%s%s%s: %s", kinds[r->verb].tag, what,
             r->verb == SQL_COMMAND_PROMOTE && r->node_command == NODE_COMMAND_SWITCHOVER
                 ? " SWITCHOVER"
                 : "",
             r->gracefully ? " GRACEFULLY" : "", who);
}

void
order_begin(struct admin_client *c, const struct order_request *r, bool simple)
{
    struct admin_order *o = &c->order;
    struct hold_request drain = {.verb = HOLD_DRAIN, .node_id = r->node_id};

    log_command(r, c->who);
    o->request = *r;
    o->simple = simple;
    o->progress = o->drained = false;
    o->token = ++c->admin->last_token;
    if (r->verb == SQL_COMMAND_DETACH && r->gracefully)
        hold_begin(c, &drain, simple);
    else /* not at once: it may end at once, and the client's message is still being handled */
        io_timer_start(c->admin->io, &o->timer, 0, begin, c);
}

void
order_drained(struct admin_client *c, bool is_new, const struct err *err)
{
    c->order.drained = is_new;
    if (err != NULL)
        finish(c, err);
    else
        begin(c);
}

/* ---- answers ---- */

static struct admin_client *
find(struct admin *a, uint32_t token)
{
    list_for_each (it, &a->clients) {
        struct admin_client *c = list_entry(it, struct admin_client, link);
        if (c->state == ADMIN_READY && c->order.request.verb != 0 && c->order.token == token &&
            c->hold.request.verb == 0)
            return c;
    }
    return NULL;
}

void
admin_order_done(struct admin *a, uint32_t token, enum inbox_command_result result,
                 const struct err *words)
{
    struct admin_client *c = find(a, token);
    struct buf b = BUF_EMPTY;

    if (c == NULL)
        return; /* who has asked for it has gone, or heard of it before */
    if (result != NODE_COMMAND_PROGRESS) {
        finish(c, result == NODE_COMMAND_OK ? NULL : words);
        return;
    }
    build_notice(&b, "NOTICE", words);
    admin_send(c, &b);
    buf_free(&b);
    c->order.progress = true;
    io_timer_start(a->io, &c->order.timer, ASK_AGAIN_PROGRESS_MS, ask, c);
}

void
order_stopping(struct admin_client *c)
{
    if (c->state == ADMIN_READY && c->order.request.verb == SQL_COMMAND_STOP)
        finish(c, NULL);
}

void
order_drop(struct admin_client *c)
{
    if (c->order.request.verb == 0)
        return;
    io_timer_stop(&c->order.timer);
    undrain(c);
    c->order.request.verb = 0;
}

static void
cancel(struct admin_client *c)
{
    struct err err;

    err_set(&err, "57014", "canceling statement due to user request");
    if (c->hold.request.verb != 0) {
        hold_cancel(c, &err);
        return;
    }
    err_detail(&err, "It may be carried out all the same.");
    finish(c, &err);
}

void
admin_cancel(struct admin *a, uint32_t number, struct wire_view key)
{
    list_for_each (it, &a->clients) {
        struct admin_client *c = list_entry(it, struct admin_client, link);

        if (c->number != number || c->state != ADMIN_READY || !admin_is_busy(c))
            continue;
        if ((key.len == 4 || key.len == ADMIN_KEY_BYTES) &&
            CRYPTO_memcmp(key.data, c->key, key.len) == 0)
            cancel(c);
        return;
    }
}

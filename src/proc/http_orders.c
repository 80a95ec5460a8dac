/*
 * Commands from the status page: what other processes are asked to do, and what they say of it.
 *
 * Called by http_page.c for a user with the role admin, and by http.c with what comes into the
 * inbox. Nodes are the failover process's, pausing is the parent's; whoever is asked is asked again
 * with the same token while nothing is heard of it, as the administration port does it
 * (admin/order.c). A command goes on when its page is closed, and its outcome stays until others
 * need the place. What is under way when this process dies is carried out all the same.
 */
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "config/config.h"
#include "http.h"
#include "inspect/json.h"
#include "os/clock.h"

#include <inttypes.h>
#include <string.h>

enum { ASK_AGAIN_MS = 1000, ASK_AGAIN_PROGRESS_MS = 10 * 1000 };

struct http_verb {
    const char *name;
    bool of_node;
    enum inbox_node_command command; /* the failover process's, */
    enum hold_verb hold;             /* or the parent's */
};

static const struct http_verb verbs[] = {
    {"attach", true, NODE_COMMAND_ATTACH, 0},   {"detach", true, NODE_COMMAND_DETACH, 0},
    {"promote", true, NODE_COMMAND_PROMOTE, 0}, {"switchover", true, NODE_COMMAND_SWITCHOVER, 0},
    {"recover", true, NODE_COMMAND_RECOVER, 0}, {"pause", false, 0, HOLD_PAUSE},
    {"resume", false, 0, HOLD_RESUME},
};

static bool
is_under_way(const struct http_order *o)
{
    return o->state == HTTP_ORDER_ASKED || o->state == HTTP_ORDER_GOING;
}

/* ---- asking ---- */

static void
ask(void *ctx)
{
    struct http_order *o = ctx;
    struct proc *p = o->http->proc;
    struct inbox_msg msg;

    memset(&msg, 0, sizeof(msg));
    if (o->verb->of_node) {
        msg.kind = INBOX_NODE_COMMAND;
        msg.command.token = o->token;
        msg.command.verb = o->verb->command;
        msg.command.node_id = o->node_id;
        proc_send(p, SLOT_FAILOVER, &msg);
    } else {
        msg.kind = INBOX_HOLD;
        msg.hold.token = o->token;
        msg.hold.request.verb = o->verb->hold;
        proc_send(p, SLOT_PARENT, &msg);
    }
    io_timer_start(p->io, &o->timer,
                   o->state == HTTP_ORDER_GOING ? ASK_AGAIN_PROGRESS_MS : ASK_AGAIN_MS, ask, o);
}

/* In the place of none, or of the one that has ended longest ago. */
static struct http_order *
find_place(struct http_orders *all)
{
    struct http_order *found = NULL;

    for (size_t n = 0; n < ARRAY_LEN(all->list); n++) {
        struct http_order *o = &all->list[n];

        if (!is_under_way(o) && (found == NULL || o->number < found->number))
            found = o;
    }
    return found;
}

static const struct http_verb *
find_verb(const char *name, size_t len)
{
    for (size_t n = 0; n < ARRAY_LEN(verbs); n++) {
        if (strlen(verbs[n].name) == len && memcmp(verbs[n].name, name, len) == 0)
            return &verbs[n];
    }
    return NULL;
}

static int
parse(const struct http *h, const char *what, const struct http_verb **verb_r, int32_t *node_id_r,
      struct err *err)
{
    const struct config *cfg = h->proc->config;
    size_t len = strcspn(what, "/");
    bool has_node = what[len] == '/';
    uint32_t node_id;

    *verb_r = find_verb(what, len);
    *node_id_r = -1;
    if (*verb_r == NULL || (*verb_r)->of_node != has_node)
        return err_set(err, "0A000", "there is no such command");
    if (!has_node)
        return 0;
    if (!num_parse_u32(what + len + 1, &node_id) || node_id >= cfg->backend_count ||
        !cfg->backends[node_id].configured)
        return err_set(err, "22023", "there is no such node");
    *node_id_r = (int32_t)node_id;
    return 0;
}

int
http_orders_begin(struct http *h, const char *what, const struct http_session *who,
                  uint64_t *number_r, struct err *err)
{
    struct http_order *o = find_place(&h->orders);
    const struct http_verb *verb;
    int32_t node_id;

    if (parse(h, what, &verb, &node_id, err) != 0)
        return -1;
    if (o == NULL)
        return err_set(err, "53300", "too many commands are under way");
    memset(o, 0, sizeof(*o));
    o->http = h;
    o->number = *number_r = ++h->orders.last_number;
    o->token = ++h->orders.last_token;
    o->state = HTTP_ORDER_ASKED;
    o->verb = verb;
    o->node_id = node_id;
    o->began_us = clock_wall_us();
    str_copy(o->user, sizeof(o->user), who->user);
    log_info("administration command \"%s\" of the status page: user \"%s\"", what, o->user);
    ask(o);
    return 0;
}

/* ---- hearing ---- */

static struct http_order *
find(struct http *h, uint32_t token, bool of_node)
{
    for (size_t n = 0; n < ARRAY_LEN(h->orders.list); n++) {
        struct http_order *o = &h->orders.list[n];

        if (is_under_way(o) && o->token == token && o->verb->of_node == of_node)
            return o;
    }
    return NULL;
}

static void
add_line(struct http_order *o, const char *words)
{
    if (words[0] != '\0')
        str_copy(o->lines[o->line_count++ % HTTP_ORDER_LINES], INBOX_WORDS_BYTES, words);
}

static void
finish(struct http_order *o, bool done, const char *words)
{
    io_timer_stop(&o->timer);
    o->state = done ? HTTP_ORDER_DONE : HTTP_ORDER_FAILED;
    o->ended_us = clock_wall_us();
    add_line(o, words);
}

static void
hear_of_node(struct http *h, const struct inbox_msg *msg)
{
    struct http_order *o = find(h, msg->command_done.token, true);
    uint32_t result = msg->command_done.done;

    if (o == NULL)
        return; /* it was heard of before */
    if (result != NODE_COMMAND_PROGRESS) {
        finish(o, result == NODE_COMMAND_OK, msg->command_done.words);
        return;
    }
    o->state = HTTP_ORDER_GOING;
    add_line(o, msg->command_done.words);
    io_timer_start(h->proc->io, &o->timer, ASK_AGAIN_PROGRESS_MS, ask, o);
}

void
http_orders_hear(struct http *h, const struct inbox_msg *msg)
{
    struct http_order *o;

    if (msg->kind == INBOX_NODE_COMMAND_DONE)
        hear_of_node(h, msg);
    if (msg->kind != INBOX_HOLD_DONE)
        return;
    o = find(h, msg->hold_done.token, false);
    if (o != NULL)
        finish(o, msg->hold_done.done != 0, msg->hold_done.words);
}

/* ---- as text ---- */

static void
print_lines(const struct http_order *o, struct buf *out)
{
    uint32_t n = o->line_count > HTTP_ORDER_LINES ? o->line_count - HTTP_ORDER_LINES : 0;

    for (uint32_t first = n; n < o->line_count; n++) {
        buf_add_str(out, n > first ? "," : "");
        inspect_json_text(o->lines[n % HTTP_ORDER_LINES], out);
    }
}

static void
print(const struct http_order *o, struct buf *out)
{
    static const char *const states[] = {[HTTP_ORDER_ASKED] = "asked",
                                         [HTTP_ORDER_GOING] = "under way",
                                         [HTTP_ORDER_DONE] = "done",
                                         [HTTP_ORDER_FAILED] = "failed"};

    buf_printf(out,
               "{\"number\":%" PRIu64 ",\"command\":\"%s\",\"state\":\"%s\",\"began_ms\":%" PRId64
               ",\"ended_ms\":%" PRId64 ",\"node_id\":%d,\"user\":",
               o->number, o->verb->name, states[o->state], o->began_us / 1000, o->ended_us / 1000,
               (int)o->node_id);
    inspect_json_text(o->user, out);
    buf_add_str(out, ",\"lines\":[");
    print_lines(o, out);
    buf_add_str(out, "]}");
}

void
http_orders_json(const struct http *h, struct buf *out)
{
    bool first = true;

    buf_add_str(out, "[");
    for (size_t n = 0; n < ARRAY_LEN(h->orders.list); n++) {
        if (h->orders.list[n].state == HTTP_ORDER_NONE)
            continue;
        buf_add_str(out, first ? "\n" : ",\n");
        print(&h->orders.list[n], out);
        first = false;
    }
    buf_add_str(out, "]");
}

/* ---- life ---- */

/* Its tokens begin anywhere, so that none is another life's. */
void
http_orders_init(struct http *h)
{
    h->orders.last_token = (uint32_t)io_now_ns(h->proc->io);
}

void
http_orders_fini(struct http *h)
{
    for (size_t n = 0; n < ARRAY_LEN(h->orders.list); n++)
        io_timer_stop(&h->orders.list[n].timer);
}

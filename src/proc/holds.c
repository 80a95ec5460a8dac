/*
 * Pause, resume and drain, the parent's side: it writes what is on hold, tells everybody, and says
 * what is left when it is asked. Whoever waits for that asks again and again: nothing is remembered
 * here but what is on hold.
 */
#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"
#include "inspect/left.h"
#include "parent.h"

#include <stdio.h>
#include <string.h>

enum { LINES_MAX = 12 };

static bool
begins_hold(const struct hold_request *r)
{
    return r->verb == HOLD_PAUSE || r->verb == HOLD_DRAIN || r->verb == HOLD_WRITES;
}

/* What keeps anything from being paused or drained now; NULL: nothing. Other generations have what
 * is on hold in a memory of their own. */
static const char *
obstacle(const struct parent *pa)
{
    if (pa->stopping != 0)
        return "pgpool is stopping";
    if (!pa->took_over || pa->succeeded)
        return "pgpool is still starting, or has been replaced";
    if (pa->upgrade.pid != 0)
        return "an upgrade is under way";
    if (peers_elder_count(pa) > 0)
        return "an older generation of processes still finishes its sessions (see pgpool status)";
    return NULL;
}

static int
hold(struct parent *pa, const struct hold_request *r, bool *new_r, struct err *err)
{
    const char *why = begins_hold(r) ? obstacle(pa) : NULL;
    bool of_node = r->verb == HOLD_DRAIN || r->verb == HOLD_UNDRAIN;
    char text[HOLD_TEXT_BYTES];

    *new_r = false;
    hold_request_write(r, text);
    if (why != NULL)
        return err_set(err, "55000", "\"%s\" cannot be done now: %s", text, why);
    if (of_node && ((uint32_t)r->node_id >= pa->config->backend_count ||
                    !pa->config->backends[r->node_id].configured))
        return err_set(err, "22023", "there is no node %d", (int)r->node_id);
    if (holds_change(shared_holds(pa->base.shared), r, new_r, err) != 0)
        return -1;
    if (!*new_r)
        return 0;
    log_info("received request \"%s\"", text);
    wake_send_all(pa->base.wakes, SLOT_PARENT);
    return 0;
}

/* ---- the control socket ---- */

struct lines {
    struct buf *out;
    uint32_t count;
};

static void
add_line(void *ctx, const char *words)
{
    struct lines *l = ctx;

    if (l->count++ < LINES_MAX)
        buf_printf(l->out, "%s\n", words);
}

static void
say_left(struct parent *pa, const struct hold_request *r, struct buf *answer)
{
    struct buf words = BUF_EMPTY;
    struct lines lines = {.out = &words};
    uint32_t count = inspect_left(pa->base.shared, r, add_line, &lines);

    if (!holds_has(shared_holds(pa->base.shared), r)) {
        buf_printf(answer, "failed it was taken back meanwhile");
    } else {
        buf_printf(answer, "left %u\n", count);
        buf_add(answer, words.data, words.len);
        if (lines.count > LINES_MAX)
            buf_printf(answer, "and %u more\n", lines.count - LINES_MAX);
    }
    buf_free(&words);
}

/* For `pgpool status`. */
static void
say_holds(struct parent *pa, struct buf *answer)
{
    const struct holds *h = shared_holds(pa->base.shared);
    char name[SLOT_NAME_BYTES];
    int64_t since_us;

    buf_printf(answer, "holds\n");
    if (holds_writes(h, NULL))
        buf_printf(answer, "paused: what may write\n");
    if (holds_all_paused(h, &since_us))
        buf_printf(answer, "paused: all databases\n");
    for (uint32_t n = 0; n < HOLDS_DATABASES_MAX && answer->len < CONTROL_ANSWER_BYTES / 2; n++) {
        if (holds_database(h, n, name, &since_us))
            buf_printf(answer, "paused: database \"%s\"\n", name);
    }
    for (int node_id = 0; node_id < NODES_MAX && answer->len < CONTROL_ANSWER_BYTES - 64;
         node_id++) {
        if (holds_drained(h, node_id, NULL))
            buf_printf(answer, "drained: node %d\n", node_id);
    }
}

bool
parent_hold_asked(struct parent *pa, const char *text, struct buf *answer)
{
    struct hold_request r;
    bool is_new;
    struct err err;

    if (strcmp(text, "holds") == 0) {
        say_holds(pa, answer);
    } else if (strncmp(text, "left ", 5) == 0 && hold_request_read(text + 5, &r) &&
               begins_hold(&r)) {
        say_left(pa, &r, answer);
    } else if (!hold_request_read(text, &r)) {
        return false;
    } else if (hold(pa, &r, &is_new, &err) != 0) {
        buf_printf(answer, "failed %s%s%s%s", err.message, err.hint[0] != '\0' ? " (hint: " : "",
                   err.hint, err.hint[0] != '\0' ? ")" : "");
    } else {
        buf_printf(answer, "done %d", is_new);
    }
    return true;
}

/* ---- the administration port ---- */

void
parent_hold_by_inbox(struct parent *pa, const struct inbox_msg *msg)
{
    struct inbox_msg reply = {.kind = INBOX_HOLD_DONE};
    bool is_new;
    struct err err;

    reply.hold_done.token = msg->hold.token;
    reply.hold_done.request = msg->hold.request;
    reply.hold_done.done = hold(pa, &msg->hold.request, &is_new, &err) == 0;
    reply.hold_done.is_new = is_new;
    if (!reply.hold_done.done) {
        str_copy(reply.hold_done.sqlstate, sizeof(reply.hold_done.sqlstate), err.sqlstate);
        str_copy(reply.hold_done.words, sizeof(reply.hold_done.words), err.message);
    }
    inbox_send(pa->base.inboxes, msg->from, &reply);
}

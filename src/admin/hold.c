/*
 * PGPOOL PAUSE, RESUME, DRAIN and UNDRAIN at the administration port.
 *
 * Called by query.c and extended.c. The parent is asked through the process (struct admin_host),
 * again when its answer does not come; a pause and a drain then wait until no server connection is
 * left. The client's next messages wait as long. Who goes away or cancels takes back what he has
 * begun, as `pgpool pause` does. Only who has the role admin gets here.
 */
#include "admin/internal.h"
#include "inspect/left.h"
#include "ipc/shared.h"
#include "os/clock.h"
#include "wire/build.h"

#include <string.h>

enum { LOOK_MS = 100, ASK_AGAIN_MS = 1000 };

static void
ask(struct admin_client *c)
{
    struct admin *a = c->admin;

    c->hold.asked_ns = io_now_ns(a->io);
    a->host.hold(a->host.ctx, c->number, &c->hold.request);
}

/* err: NULL when it was done. */
static void
finish(struct admin_client *c, const struct err *err)
{
    static const char *const tags[] = {[HOLD_PAUSE] = "PAUSE",
                                       [HOLD_RESUME] = "RESUME",
                                       [HOLD_DRAIN] = "DRAIN",
                                       [HOLD_UNDRAIN] = "UNDRAIN"};
    struct buf b = BUF_EMPTY;

    io_timer_stop(&c->hold.timer);
    if (c->order.request.verb != 0) { /* that is what the client waits for */
        c->hold.request.verb = 0;
        order_drained(c, c->hold.is_new && err == NULL, err);
        return;
    }
    if (err == NULL)
        build_command_complete(&b, tags[c->hold.request.verb]);
    else
        build_error(&b, "ERROR", err);
    if (c->hold.simple)
        build_ready(&b, 'I');
    else
        c->skip_till_sync = err != NULL;
    c->hold.request.verb = 0;
    admin_send(c, &b);
    buf_free(&b);
    admin_go_on(c);
}

static void
look(void *ctx)
{
    struct admin_client *c = ctx;
    struct admin *a = c->admin;
    struct admin_hold *h = &c->hold;
    struct err err;

    if (!h->answered) {
        if (io_now_ns(a->io) - h->asked_ns >= ASK_AGAIN_MS * NS_PER_MS)
            ask(c);
    } else if (!holds_has(shared_holds(a->input->shared), &h->request)) {
        err_set(&err, "55000", "it was taken back meanwhile");
        finish(c, &err);
        return;
    } else if (inspect_left(a->input->shared, &h->request, NULL, NULL) == 0) {
        finish(c, NULL);
        return;
    }
    io_timer_start(a->io, &h->timer, LOOK_MS, look, c);
}

void
hold_begin(struct admin_client *c, const struct hold_request *r, bool simple)
{
    c->hold.request = *r;
    c->hold.simple = simple;
    c->hold.answered = c->hold.is_new = false;
    ask(c);
    io_timer_start(c->admin->io, &c->hold.timer, LOOK_MS, look, c);
}

static struct admin_client *
find(struct admin *a, uint32_t number)
{
    list_for_each (it, &a->clients) {
        struct admin_client *c = list_entry(it, struct admin_client, link);
        if (c->number == number && c->state == ADMIN_READY && c->hold.request.verb != 0)
            return c;
    }
    return NULL;
}

static void
take_back(struct admin *a, const struct hold_request *r)
{
    struct hold_request reverse = hold_request_reverse(r);

    if (r->verb == HOLD_PAUSE || r->verb == HOLD_DRAIN)
        a->host.hold(a->host.ctx, 0, &reverse);
}

void
admin_hold_done(struct admin *a, uint32_t token, const struct hold_request *r, bool is_new,
                const struct err *why)
{
    struct admin_client *c = find(a, token);

    if (c == NULL || memcmp(&c->hold.request, r, sizeof(*r)) != 0) {
        /* who has asked for it waits no more */
        if (is_new)
            take_back(a, r);
        return;
    }
    if (c->hold.answered)
        return;
    c->hold.answered = true;
    c->hold.is_new = is_new;
    if (why != NULL)
        finish(c, why);
    else if (r->verb == HOLD_PAUSE || r->verb == HOLD_DRAIN)
        look(c);
    else
        finish(c, NULL);
}

void
hold_drop(struct admin_client *c)
{
    struct admin_hold *h = &c->hold;

    if (h->request.verb == 0)
        return;
    io_timer_stop(&h->timer);
    if (h->is_new)
        take_back(c->admin, &h->request);
    h->request.verb = 0;
}

void
hold_cancel(struct admin_client *c, const struct err *err)
{
    struct hold_request request = c->hold.request;

    hold_drop(c);
    c->hold.request = request; /* for its answer */
    finish(c, err);
}

/*
 * Stop, reload and a new log file, as the administration port asks for them: the same as by
 * signals, but that the outcome is told. Called by the parent's inbox.
 *
 * An order that comes again, because its answer was late, is carried out again: each of them may
 * be.
 */
#include "base/str.h"
#include "parent.h"

#include <string.h>

static void
answer(struct parent *pa, const struct inbox_msg *msg, const struct err *why)
{
    struct inbox_msg reply;

    memset(&reply, 0, sizeof(reply));
    reply.kind = INBOX_ORDER_DONE;
    reply.command_done.token = msg->order.token;
    reply.command_done.done = why == NULL ? NODE_COMMAND_OK : NODE_COMMAND_REFUSED;
    if (why != NULL) {
        str_copy(reply.command_done.sqlstate, sizeof(reply.command_done.sqlstate), why->sqlstate);
        str_copy(reply.command_done.words, sizeof(reply.command_done.words), why->message);
    }
    inbox_send(pa->base.inboxes, msg->from, &reply);
}

void
parent_order_by_inbox(struct parent *pa, const struct inbox_msg *msg)
{
    struct err err;

    if (!pa->took_over || pa->succeeded) {
        err_set(&err, "55000", "another generation of processes is pgpool now: connect again");
        answer(pa, msg, &err);
        return;
    }
    switch (msg->order.verb) {
    case ORDER_STOP_SMART:
    case ORDER_STOP_FAST:
    case ORDER_STOP_IMMEDIATE:
        answer(pa, msg, NULL); /* before the signal that ends whoever has asked */
        parent_stop(pa, (enum proc_stop)(PROC_STOP_SMART + (msg->order.verb - ORDER_STOP_SMART)));
        break;
    case ORDER_RELOAD:
        if (parent_reload_all(pa, "asked at the administration port", &err) == 0)
            answer(pa, msg, NULL);
        else
            answer(pa, msg, &err);
        break;
    case ORDER_ROTATE_LOG:
        parent_rotate_all(pa);
        answer(pa, msg, NULL);
        break;
    default:
        break;
    }
}

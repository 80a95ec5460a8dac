/*
 * Inboxes: one queue (os/channel.h) per process slot.
 *
 * Every process holds all sending ends and, after inboxes_keep, its own receiving end only. A
 * receiver takes whole messages of the right size and nothing else.
 */
#include "ipc/inbox.h"

#include "ipc/slots.h"

#include "base/arena.h"
#include "base/log.h"
#include "os/channel.h"

#include <stdlib.h>
#include <string.h>

struct inboxes {
    uint32_t slot_count;
    uint32_t our_slot;
    uint64_t dropped;
    struct {
        int receive_fd; /* -1 when it is another process's */
        int send_fd;
    } ends[];
};

int
inboxes_new(uint32_t slot_count, struct inboxes **in_r, struct err *err)
{
    struct inboxes *in = xcalloc(1, sizeof(*in) + slot_count * sizeof(in->ends[0]));

    in->slot_count = slot_count;
    for (uint32_t slot = 0; slot < slot_count; slot++)
        in->ends[slot].receive_fd = in->ends[slot].send_fd = -1;
    for (uint32_t slot = 0; slot < slot_count; slot++) {
        int pair[2];

        if (channel_new(pair, err) != 0) {
            inboxes_free(in);
            return -1;
        }
        in->ends[slot].receive_fd = pair[0];
        in->ends[slot].send_fd = pair[1];
    }
    *in_r = in;
    return 0;
}

void
inboxes_free(struct inboxes *in)
{
    if (in == NULL)
        return;
    for (uint32_t slot = 0; slot < in->slot_count; slot++) {
        fd_close(&in->ends[slot].receive_fd);
        fd_close(&in->ends[slot].send_fd);
    }
    free(in);
}

void
inboxes_keep(struct inboxes *in, uint32_t slot)
{
    in->our_slot = slot;
    for (uint32_t other = 0; other < in->slot_count; other++) {
        if (other != slot)
            fd_close(&in->ends[other].receive_fd);
    }
}

bool
inbox_send(struct inboxes *in, uint32_t to_slot, struct inbox_msg *msg)
{
    BUG_UNLESS(to_slot < in->slot_count);
    msg->from = in->our_slot;
    if (channel_send(in->ends[to_slot].send_fd, msg, sizeof(*msg)))
        return true;
    in->dropped++;
    return false;
}

int
inbox_fd(const struct inboxes *in, uint32_t slot)
{
    return in->ends[slot].receive_fd;
}

static bool
is_well_formed(const struct inboxes *in, const struct inbox_msg *msg, size_t len)
{
    if (len != sizeof(*msg) || msg->from >= in->slot_count)
        return false;
    switch (msg->kind) {
    case INBOX_NODE_FAILED:
    case INBOX_NODE_OK:
    case INBOX_CLOSE_IDLE:
    case INBOX_COPY_LOST:
    case INBOX_SEQUENCES:
        return memchr(msg->node.words, '\0', sizeof(msg->node.words)) != NULL;
    case INBOX_SPARE:
        return msg->node.node_id >= 0 && msg->node.node_id < NODES_MAX;
    case INBOX_CANCEL:
        return msg->cancel.key_len <= sizeof(msg->cancel.key);
    case INBOX_HOLD:
        return msg->hold.request.verb >= HOLD_PAUSE && msg->hold.request.verb <= HOLD_UNWRITES &&
               msg->hold.request.node_id >= 0 && msg->hold.request.node_id < NODES_MAX &&
               memchr(msg->hold.request.database, '\0', SLOT_NAME_BYTES) != NULL;
    case INBOX_HOLD_DONE:
        return memchr(msg->hold_done.words, '\0', sizeof(msg->hold_done.words)) != NULL &&
               memchr(msg->hold_done.sqlstate, '\0', sizeof(msg->hold_done.sqlstate)) != NULL;
    case INBOX_HEALTH_FACT:
    case INBOX_WD_FACT:
        return msg->fact.node_id >= 0 && msg->fact.node_id < NODES_MAX;
    case INBOX_NODE_COMMAND:
        return msg->command.verb >= NODE_COMMAND_ATTACH &&
               msg->command.verb <= NODE_COMMAND_RECOVER && msg->command.node_id >= -1 &&
               msg->command.node_id < NODES_MAX;
    case INBOX_ORDER:
        return msg->order.verb >= ORDER_STOP_SMART && msg->order.verb <= ORDER_ROTATE_LOG;
    case INBOX_NODE_COMMAND_DONE:
    case INBOX_ORDER_DONE:
        return msg->command_done.done <= NODE_COMMAND_PROGRESS &&
               memchr(msg->command_done.words, '\0', sizeof(msg->command_done.words)) != NULL &&
               memchr(msg->command_done.sqlstate, '\0', sizeof(msg->command_done.sqlstate)) != NULL;
    case INBOX_CHILD_RETIRING:
    case INBOX_HEALTH_HURRY:
    case INBOX_END_CHILD:
    case INBOX_END_ELDERS:
    case INBOX_CANCEL_DONE:
    case INBOX_LOG_ROTATE:
        return true;
    default:
        return false;
    }
}

bool
inbox_receive(struct inboxes *in, uint32_t slot, struct inbox_msg *msg_r)
{
    size_t len;

    do {
        len = channel_receive(in->ends[slot].receive_fd, msg_r, sizeof(*msg_r));
    } while (len != 0 && !is_well_formed(in, msg_r, len));
    return len != 0;
}

uint64_t
inbox_dropped(const struct inboxes *in)
{
    return in->dropped;
}

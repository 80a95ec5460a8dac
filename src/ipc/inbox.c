/*
 * Inboxes: one AF_UNIX SOCK_SEQPACKET pair per process slot. The kernel keeps the queue and the
 * borders of messages, so a writer killed half way leaves either a whole message or none.
 *
 * Every process holds all sending ends and, after inboxes_keep, its own receiving end only. A
 * receiver takes whole messages of the right size and nothing else.
 */
#include "ipc/inbox.h"

#include "base/arena.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
            err_set_errno(err, "53000", errno, "could not make the inbox of process slot %u", slot);
            inboxes_free(in);
            return -1;
        }
        in->ends[slot].receive_fd = pair[0];
        in->ends[slot].send_fd = pair[1];
    }
    *in_r = in;
    return 0;
}

static void
close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void
inboxes_free(struct inboxes *in)
{
    if (in == NULL)
        return;
    for (uint32_t slot = 0; slot < in->slot_count; slot++) {
        close_end(&in->ends[slot].receive_fd);
        close_end(&in->ends[slot].send_fd);
    }
    free(in);
}

void
inboxes_keep(struct inboxes *in, uint32_t slot)
{
    in->our_slot = slot;
    for (uint32_t other = 0; other < in->slot_count; other++) {
        if (other != slot)
            close_end(&in->ends[other].receive_fd);
    }
}

bool
inbox_send(struct inboxes *in, uint32_t to_slot, struct inbox_msg *msg)
{
    ssize_t n;

    BUG_UNLESS(to_slot < in->slot_count);
    msg->from = in->our_slot;
    do {
        n = send(in->ends[to_slot].send_fd, msg, sizeof(*msg), MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n == (ssize_t)sizeof(*msg))
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
is_well_formed(const struct inboxes *in, const struct inbox_msg *msg, ssize_t len)
{
    if (len != (ssize_t)sizeof(*msg) || msg->from >= in->slot_count)
        return false;
    switch (msg->kind) {
    case INBOX_NODE_FAILED:
    case INBOX_NODE_OK:
        return memchr(msg->node.words, '\0', sizeof(msg->node.words)) != NULL;
    case INBOX_CANCEL:
        return msg->cancel.key_len <= sizeof(msg->cancel.key);
    case INBOX_CHILD_RETIRING:
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
    for (;;) {
        ssize_t n = recv(in->ends[slot].receive_fd, msg_r, sizeof(*msg_r), MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        if (is_well_formed(in, msg_r, n))
            return true;
    }
}

uint64_t
inbox_dropped(const struct inboxes *in)
{
    return in->dropped;
}

/*
 * Queues, events and pipes between processes. A queue is an AF_UNIX SOCK_SEQPACKET pair: the
 * kernel keeps the messages and their borders, so a sender that is killed leaves a whole message
 * or none. An event is an eventfd whose value means nothing.
 */
#include "os/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

int
channel_new(int ends_r[2], struct err *err)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends_r) != 0)
        return err_set_errno(err, "53000", errno, "could not make a queue between processes");
    return 0;
}

bool
channel_send(int fd, const void *msg, size_t len)
{
    ssize_t n;

    do {
        n = send(fd, msg, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)len;
}

size_t
channel_receive(int fd, void *msg, size_t size)
{
    ssize_t n;

    do {
        n = recv(fd, msg, size, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n > 0 ? (size_t)n : 0;
}

bool
channel_send_fds(int fd, const void *msg, size_t len, const int *fds, size_t fd_count)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)] = {0};
    struct iovec part = {.iov_base = (void *)(uintptr_t)msg, .iov_len = len};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t n;

    if (fd_count > CHANNEL_FDS_MAX)
        return false;
    if (fd_count > 0) {
        struct cmsghdr *rights;

        header.msg_control = control;
        header.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(rights), fds, sizeof(int) * fd_count);
    }
    do {
        n = sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)len;
}

static void
take_fds(struct msghdr *header, struct channel_parcel *p)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        size_t count;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        count = MIN(count, CHANNEL_FDS_MAX - p->fd_count);
        memcpy(p->fds + p->fd_count, CMSG_DATA(c), count * sizeof(int));
        p->fd_count += count;
    }
}

enum channel_result
channel_receive_fds(int fd, void *msg, size_t size, struct channel_parcel *p_r)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
    struct iovec part = {.iov_base = msg, .iov_len = size};
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = sizeof(control)};
    ssize_t n;

    p_r->len = p_r->fd_count = 0;
    do {
        n = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? CHANNEL_NOTHING : CHANNEL_GONE;
    take_fds(&header, p_r);
    if (n > 0 && (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0) {
        p_r->len = (size_t)n;
        return CHANNEL_GOT;
    }
    for (size_t at = 0; at < p_r->fd_count; at++)
        close(p_r->fds[at]);
    p_r->fd_count = 0;
    return CHANNEL_GONE;
}

int
event_new(int *fd_r, struct err *err)
{
    *fd_r = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (*fd_r < 0)
        return err_set_errno(err, "53000", errno, "could not make an event between processes");
    return 0;
}

void
event_raise(int fd)
{
    uint64_t one = 1;
    ssize_t n;

    /* EAGAIN: the counter is at its end, which also is "raised". */
    do {
        n = write(fd, &one, sizeof(one));
    } while (n < 0 && errno == EINTR);
}

void
event_clear(int fd)
{
    uint64_t count;
    ssize_t n;

    do {
        n = read(fd, &count, sizeof(count));
    } while (n < 0 && errno == EINTR);
}

int
pipe_new(int ends_r[2], struct err *err)
{
    if (pipe2(ends_r, O_CLOEXEC | O_NONBLOCK) != 0)
        return err_set_errno(err, "53000", errno, "could not make a pipe");
    return 0;
}

void
fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

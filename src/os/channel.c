/*
 * Queues, events and pipes between processes. A queue is an AF_UNIX SOCK_SEQPACKET pair: the
 * kernel keeps the messages and their borders, so a sender that is killed leaves a whole message
 * or none. An event is an eventfd whose value means nothing.
 */
#include "os/channel.h"

#include <errno.h>
#include <fcntl.h>
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

/*
 * What processes of one family talk through: a queue of whole messages, and an event that is
 * either raised or not. Made before a fork, used on both sides. Nothing here blocks.
 */
#ifndef OS_CHANNEL_H
#define OS_CHANNEL_H

#include "base/err.h"
#include "base/util.h"

#include <stdbool.h>

/* ends_r[0] receives, ends_r[1] sends. Close-on-exec. */
int channel_new(int ends_r[2], struct err *err);

/* False when the queue is full or nobody can ever receive. */
bool channel_send(int fd, const void *msg, size_t len);

/* Length of the next message, which is cut when it is longer than size; 0 when none waits. */
size_t channel_receive(int fd, void *msg, size_t size);

/* As channel_send, and descriptors go along: the receiver gets copies, ours stay open. At most
 * CHANNEL_FDS_MAX. */
enum { CHANNEL_FDS_MAX = 240 };
bool channel_send_fds(int fd, const void *msg, size_t len, const int *fds, size_t fd_count);

/* What a peer has sent, with descriptors (close-on-exec, the caller's) when it sent some. For both
 * ends of a queue that speak to each other, and for sockets of whole messages. */
struct channel_parcel {
    size_t len; /* of msg; text of a peer does not end in NUL */
    size_t fd_count;
    int fds[CHANNEL_FDS_MAX];
};
enum channel_result { CHANNEL_GOT, CHANNEL_NOTHING, CHANNEL_GONE };

/* Never blocks. A message that is longer than size, or has lost descriptors on its way, counts as
 * CHANNEL_GONE: the peer speaks another language. */
enum channel_result channel_receive_fds(int fd, void *msg, size_t size, struct channel_parcel *p_r);

/* An event's descriptor is readable while it is raised. Raising twice is raising once. */
int event_new(int *fd_r, struct err *err);
void event_raise(int fd);
void event_clear(int fd);

/* A byte pipe: ends_r[0] reads, ends_r[1] writes; nonblocking on both ends, close-on-exec. */
int pipe_new(int ends_r[2], struct err *err);

/* Closes unless -1, and sets to -1. */
void fd_close(int *fd);

#endif

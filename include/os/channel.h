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

/* An event's descriptor is readable while it is raised. Raising twice is raising once. */
int event_new(int *fd_r, struct err *err);
void event_raise(int fd);
void event_clear(int fd);

/* A byte pipe: ends_r[0] reads, ends_r[1] writes; nonblocking on both ends, close-on-exec. */
int pipe_new(int ends_r[2], struct err *err);

/* Closes unless -1, and sets to -1. */
void fd_close(int *fd);

#endif

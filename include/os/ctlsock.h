/*
 * The control socket: where a command that was typed speaks to the daemon that runs.
 *
 * A unix socket of whole messages (SOCK_SEQPACKET) beside the pid file, open to the daemon's own
 * user and root only.
 */
#ifndef OS_CTLSOCK_H
#define OS_CTLSOCK_H

#include "base/err.h"
#include "base/util.h"

#include <stdbool.h>
#include <sys/types.h>

enum { CTLSOCK_PATH_BYTES = 108 };

struct ctlsock {
    int fd; /* listening, nonblocking, close-on-exec; -1: none */
    char path[CTLSOCK_PATH_BYTES];
    dev_t device; /* of the file, to tell it from another's under the same name */
    ino_t inode;
};

#define CTLSOCK_NONE ((struct ctlsock){.fd = -1})

/* Listens at this path, in place of whatever was there: at no moment is there nothing. The caller
 * has seen to it that the path is his. -1: too long a path (107 bytes), or no socket could be
 * made; *c_r is then CTLSOCK_NONE. */
int ctlsock_listen(struct ctlsock *c_r, const char *path, struct err *err);

/* The file at its path still is this one. */
bool ctlsock_is_there(const struct ctlsock *c);

/* After fork: closes it and leaves the file. Safe on none. */
void ctlsock_forget(struct ctlsock *c);

/* Closes it, and removes the file unless it has become another's. */
void ctlsock_drop(struct ctlsock *c);

/* Whether the peer of an accepted connection is root or of our own user. */
bool ctlsock_is_trusted(int fd);

/* In the command: connects; messages are read and written by os/channel.h. May block for a moment.
 * The descriptor is the caller's. */
int ctlsock_connect(const char *path, int *fd_r, struct err *err);

#endif

/*
 * This host and who owns what on it.
 */
#ifndef OS_HERE_H
#define OS_HERE_H

#include "base/util.h"
#include "os/sock.h"

#include <stdbool.h>
#include <sys/types.h>

/* Whether an address is one of this host's: a unix socket, loopback, or of one of its network
 * interfaces. */
bool here_has_address(const struct sock_address *address);

/* Who owns a path or, when that does not exist, the nearest directory above it that does, and the
 * group of that user. root when it cannot be told. */
void here_owner(const char *path, uid_t *uid_r, gid_t *gid_r);

/* Whom this process acts as. */
uid_t here_uid(void);

#endif

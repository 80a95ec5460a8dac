/*
 * This host and who owns what on it.
 */
#ifndef OS_HERE_H
#define OS_HERE_H

#include "base/err.h"
#include "base/util.h"
#include "os/sock.h"

#include <stdbool.h>
#include <sys/types.h>

/* Whether an address is one of this host's: a unix socket, loopback, or of one of its network
 * interfaces. */
bool here_has_address(const struct sock_address *address);

/* Whether the kernel says that it is none of this host's. Not the opposite: when the kernel does
 * not tell, both are false. */
bool here_lacks_address(const struct sock_address *address);

/* A network interface's address and the mask of its network, in network byte order; IPv4 uses the
 * first 4 bytes. */
struct here_network {
    int family; /* AF_INET or AF_INET6 */
    uint8_t address[16];
    uint8_t mask[16]; /* of an interface without one: all of the address */
};

/* All of this host's, loopback included; free() the list. -1: the kernel does not tell. */
int here_networks(struct here_network **list_r, uint32_t *count_r, struct err *err);

/* Whether one of the network interfaces is up and connected, of those named or, with "any" among
 * the names, of all but the loopback. False, too, when the kernel does not tell. */
bool here_interface_is_up(const char *const *names, uint32_t count);

/* Who owns a path or, when that does not exist, the nearest directory above it that does, and the
 * group of that user. root when it cannot be told. */
void here_owner(const char *path, uid_t *uid_r, gid_t *gid_r);

/* Whom this process acts as. */
uid_t here_uid(void);

#endif

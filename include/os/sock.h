/*
 * Sockets: addresses, listening, and what to tell people about a peer. Connecting is os/io's.
 */
#ifndef OS_SOCK_H
#define OS_SOCK_H

#include "base/err.h"
#include "base/util.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

struct sock_address {
    socklen_t len;
    struct sockaddr_storage storage;
};

enum { SOCK_TEXT_BYTES = 128 };

/* PostgreSQL's name of a unix socket: <directory>/.s.PGSQL.<port>. Fails when it is too long for
 * the kernel (107 bytes). */
int sock_unix_address(const char *directory, uint16_t port, struct sock_address *addr_r,
                      struct err *err);

/* An IPv4 or IPv6 literal (also with %scope); false when it is none. Never asks a resolver. */
bool sock_parse_literal(const char *host, uint16_t port, struct sock_address *addr_r);

static inline const struct sockaddr *
sock_addr(const struct sock_address *a)
{
    return (const struct sockaddr *)&a->storage;
}

/* "192.0.2.1:5432", "[2001:db8::1]:5432", or the path of a unix socket. */
void sock_address_text(const struct sock_address *addr, char *text, size_t text_size);

/* The peer of a connected socket: host "[local]" and port -1 for a unix socket. False (and
 * host "???") when the kernel does not know it any more. */
bool sock_peer(int fd, char *host, size_t host_size, int *port_r);
bool sock_peer_address(int fd, struct sock_address *addr_r);

/* Our own side's. */
bool sock_local_address(int fd, struct sock_address *addr_r);

/* The same host; ports do not count. False for unix sockets. */
bool sock_same_host(const struct sock_address *a, const struct sock_address *b);

/* Is it an address of this machine that nobody else can reach? A unix socket's is not one. */
bool sock_is_loopback(const struct sock_address *addr);

/* Of a unix socket: the user as whom the other side runs, by the kernel's word. */
bool sock_peer_user(int fd, uid_t *uid_r);

/* For a TCP connection, nothing for others: TCP_NODELAY and SO_KEEPALIVE. Cannot fail in a way
 * that matters. */
void sock_set_usual_options(int fd);

/* ---- listening: only at start; names are resolved at once and may block -----------------------
 */

enum { SOCK_LISTEN_MAX = 64 };

struct sock_listener {
    int fd; /* listening, nonblocking, close-on-exec */
    bool is_unix;
    char text[SOCK_TEXT_BYTES]; /* as sock_address_text prints it */
    int lock_fd;                /* unix: holds the lock file, as its owner; else -1 */
};

struct sock_listeners {
    uint32_t count;
    struct sock_listeners *former; /* those of whom we succeed, or NULL: one with the same address
                                    * is moved from there instead of being opened */
    struct sock_listener list[SOCK_LISTEN_MAX];
};

/* host: a name, a literal, or "*" for every address of IPv4 and IPv6. Adds one listener per
 * address. IPv6 not being there is no fault of "*" or of a name that also has IPv4. */
int sock_listen_tcp(struct sock_listeners *l, const char *host, uint16_t port, int backlog,
                    struct err *err);

struct sock_unix_options {
    const char *group; /* "" for the group of the process; a name or a number */
    mode_t mode;
    int backlog;
};

/* <directory>/.s.PGSQL.<port> and, beside it, <the same>.lock with our process id, as PostgreSQL
 * keeps it. A socket that nobody serves any more is replaced; a served one is refused, with the
 * process id of its owner when known. Call in the process that will own them: the lock is not
 * inherited by fork. */
int sock_listen_unix(struct sock_listeners *l, const char *directory, uint16_t port,
                     const struct sock_unix_options *options, struct err *err);

/* Adds one that somebody else has opened; the descriptor is ours from now on. */
int sock_listeners_add(struct sock_listeners *l, const char *text, int fd, struct err *err);

/* The next client who waits at a listening socket: nonblocking, close-on-exec, the caller's; -1
 * when nobody does. For who serves that socket without an io_listener. */
int sock_accept(int fd);

/* Becomes the owner of those unix sockets that came from a former one, or whose lock file has
 * become another's: replaces the lock files, sets group and permissions. Does what it can; -1 when
 * something could not be done (the last of it in err). */
int sock_listeners_own(struct sock_listeners *l, const struct sock_unix_options *options,
                       struct err *err);

/* Nobody can connect from now on, and who waits in a queue is told so, also where other processes
 * have the same sockets: they accept nobody any more. Files and locks stay. */
void sock_listeners_refuse(struct sock_listeners *l);

/* Closes all; with unlink, the owner also removes socket files and lock files, unless they have
 * become another's. */
void sock_listeners_close(struct sock_listeners *l, bool unlink);

#endif

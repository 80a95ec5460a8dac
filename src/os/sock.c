/*
 * Addresses: to text, from text, and of peers. No names are looked up here.
 */
#include "os/sock.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

int
sock_unix_address(const char *directory, uint16_t port, struct sock_address *addr_r,
                  struct err *err)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&addr_r->storage;
    int len;

    memset(addr_r, 0, sizeof(*addr_r));
    un->sun_family = AF_UNIX;
    len = snprintf(un->sun_path, sizeof(un->sun_path), "%s/.s.PGSQL.%u", directory, port);
    if (len < 0 || (size_t)len >= sizeof(un->sun_path))
        return err_set(err, "58P01",
                       "unix socket path \"%s/.s.PGSQL.%u\" is too long (at most %zu)", directory,
                       port, sizeof(un->sun_path) - 1);
    addr_r->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len + 1);
    return 0;
}

static bool
parse_v6(const char *host, uint16_t port, struct sock_address *addr_r)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&addr_r->storage;
    char text[INET6_ADDRSTRLEN];
    const char *scope = strchr(host, '%');
    size_t len = scope == NULL ? strlen(host) : (size_t)(scope - host);

    if (!str_copy_n(text, sizeof(text), host, len) ||
        inet_pton(AF_INET6, text, &in6->sin6_addr) != 1)
        return false;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    if (scope != NULL)
        in6->sin6_scope_id = if_nametoindex(scope + 1);
    addr_r->len = sizeof(*in6);
    return scope == NULL || in6->sin6_scope_id != 0;
}

bool
sock_parse_literal(const char *host, uint16_t port, struct sock_address *addr_r)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&addr_r->storage;

    memset(addr_r, 0, sizeof(*addr_r));
    if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        addr_r->len = sizeof(*in);
        return true;
    }
    return parse_v6(host, port, addr_r);
}

void
sock_address_text(const struct sock_address *addr, char *text, size_t text_size)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&addr->storage;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr->storage;
    const struct sockaddr_un *un = (const struct sockaddr_un *)&addr->storage;
    char host[INET6_ADDRSTRLEN] = "???";

    switch (addr->storage.ss_family) {
    case AF_INET:
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(text, text_size, "%s:%u", host, ntohs(in->sin_port));
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(text, text_size, "[%s]:%u", host, ntohs(in6->sin6_port));
        break;
    case AF_UNIX:
        str_copy(text, text_size, un->sun_path);
        break;
    default:
        str_copy(text, text_size, "???");
    }
}

bool
sock_peer_address(int fd, struct sock_address *addr_r)
{
    memset(addr_r, 0, sizeof(*addr_r));
    addr_r->len = sizeof(addr_r->storage);
    return getpeername(fd, (struct sockaddr *)&addr_r->storage, &addr_r->len) == 0;
}

bool
sock_local_address(int fd, struct sock_address *addr_r)
{
    memset(addr_r, 0, sizeof(*addr_r));
    addr_r->len = sizeof(addr_r->storage);
    return getsockname(fd, (struct sockaddr *)&addr_r->storage, &addr_r->len) == 0;
}

bool
sock_same_host(const struct sock_address *a, const struct sock_address *b)
{
    const struct sockaddr_in *a4 = (const struct sockaddr_in *)&a->storage;
    const struct sockaddr_in *b4 = (const struct sockaddr_in *)&b->storage;
    const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)&a->storage;
    const struct sockaddr_in6 *b6 = (const struct sockaddr_in6 *)&b->storage;

    if (a->storage.ss_family != b->storage.ss_family)
        return false;
    if (a->storage.ss_family == AF_INET)
        return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
    return a->storage.ss_family == AF_INET6 &&
           memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0;
}

bool
sock_peer(int fd, char *host, size_t host_size, int *port_r)
{
    struct sock_address peer;
    const struct sockaddr_in *in = (const struct sockaddr_in *)&peer.storage;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&peer.storage;

    *port_r = -1;
    str_copy(host, host_size, "???");
    if (!sock_peer_address(fd, &peer))
        return false;
    switch (peer.storage.ss_family) {
    case AF_UNIX:
        str_copy(host, host_size, "[local]");
        return true;
    case AF_INET:
        *port_r = ntohs(in->sin_port);
        return inet_ntop(AF_INET, &in->sin_addr, host, (socklen_t)host_size) != NULL;
    case AF_INET6:
        *port_r = ntohs(in6->sin6_port);
        return inet_ntop(AF_INET6, &in6->sin6_addr, host, (socklen_t)host_size) != NULL;
    default:
        return false;
    }
}

bool
sock_is_loopback(const struct sock_address *addr)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&addr->storage;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr->storage;

    if (addr->storage.ss_family == AF_INET)
        return ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    if (addr->storage.ss_family != AF_INET6)
        return false;
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
        return in6->sin6_addr.s6_addr[12] == IN_LOOPBACKNET;
    return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

bool
sock_peer_user(int fd, uid_t *uid_r)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 || peer.uid == (uid_t)-1)
        return false;
    *uid_r = peer.uid;
    return true;
}

void
sock_set_usual_options(int fd)
{
    int on = 1;

    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0)
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

/*
 * Addresses and owners of this host.
 */
#include "os/here.h"

#include "base/str.h"

#include <ifaddrs.h>
#include <limits.h>
#include <netinet/in.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool
is_same(const struct sockaddr *a, const struct sockaddr *b)
{
    if (b == NULL || a->sa_family != b->sa_family)
        return false;
    if (a->sa_family == AF_INET)
        return ((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)(const void *)b)->sin_addr.s_addr;
    return a->sa_family == AF_INET6 &&
           memcmp(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr,
                  &((const struct sockaddr_in6 *)(const void *)b)->sin6_addr,
                  sizeof(struct in6_addr)) == 0;
}

bool
here_has_address(const struct sock_address *address)
{
    const struct sockaddr *wanted = sock_addr(address);
    struct ifaddrs *list;
    bool found = false;

    if (wanted->sa_family == AF_UNIX)
        return true;
    if (wanted->sa_family == AF_INET &&
        ntohl(((const struct sockaddr_in *)(const void *)wanted)->sin_addr.s_addr) >> 24 == 127)
        return true;
    if (getifaddrs(&list) != 0)
        return false;
    for (const struct ifaddrs *at = list; at != NULL && !found; at = at->ifa_next)
        found = is_same(wanted, at->ifa_addr);
    freeifaddrs(list);
    return found;
}

static void
copy_bytes(const struct sockaddr *from, uint8_t to[16])
{
    const struct sockaddr_in *in = (const void *)from;
    const struct sockaddr_in6 *in6 = (const void *)from;

    if (from->sa_family == AF_INET)
        memcpy(to, &in->sin_addr, sizeof(in->sin_addr));
    else
        memcpy(to, &in6->sin6_addr, sizeof(in6->sin6_addr));
}

uint32_t
here_networks(struct here_network *out, uint32_t room)
{
    struct ifaddrs *list;
    uint32_t count = 0;

    if (getifaddrs(&list) != 0)
        return 0;
    for (const struct ifaddrs *at = list; at != NULL && count < room; at = at->ifa_next) {
        struct here_network *n = &out[count];

        if (at->ifa_addr == NULL || at->ifa_netmask == NULL ||
            (at->ifa_addr->sa_family != AF_INET && at->ifa_addr->sa_family != AF_INET6) ||
            at->ifa_addr->sa_family != at->ifa_netmask->sa_family)
            continue;
        memset(n, 0, sizeof(*n));
        n->family = at->ifa_addr->sa_family;
        copy_bytes(at->ifa_addr, n->address);
        copy_bytes(at->ifa_netmask, n->mask);
        count++;
    }
    freeifaddrs(list);
    return count;
}

void
here_owner(const char *path, uid_t *uid_r, gid_t *gid_r)
{
    char at[PATH_MAX];
    struct passwd *user;
    struct stat st;

    *uid_r = 0;
    *gid_r = 0;
    if (!str_copy(at, sizeof(at), path))
        return;
    while (stat(at, &st) != 0) {
        char *slash = strrchr(at, '/');

        if (slash == NULL || slash == at)
            return;
        *slash = '\0';
    }
    *uid_r = st.st_uid;
    user = getpwuid(st.st_uid);
    *gid_r = user != NULL ? user->pw_gid : st.st_gid;
}

uid_t
here_uid(void)
{
    return geteuid();
}

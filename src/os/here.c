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

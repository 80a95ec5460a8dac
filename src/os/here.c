/*
 * Addresses and owners of this host.
 */
#include "os/here.h"

#include "base/arena.h"
#include "base/str.h"

#include <errno.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum presence { PRESENCE_UNKNOWN, PRESENCE_NO, PRESENCE_YES };

static enum presence
look_for(const struct sock_address *wanted)
{
    const struct sockaddr *addr = sock_addr(wanted);
    enum presence found = PRESENCE_NO;
    struct ifaddrs *list;

    if (addr->sa_family == AF_UNIX)
        return PRESENCE_YES;
    if (addr->sa_family == AF_INET &&
        ntohl(((const struct sockaddr_in *)(const void *)addr)->sin_addr.s_addr) >> 24 == 127)
        return PRESENCE_YES;
    if (getifaddrs(&list) != 0)
        return PRESENCE_UNKNOWN;
    for (const struct ifaddrs *at = list; at != NULL && found == PRESENCE_NO; at = at->ifa_next) {
        struct sock_address one = {0};

        if (at->ifa_addr == NULL)
            continue;
        if (at->ifa_addr->sa_family == AF_INET)
            memcpy(&one.storage, at->ifa_addr, sizeof(struct sockaddr_in));
        else if (at->ifa_addr->sa_family == AF_INET6)
            memcpy(&one.storage, at->ifa_addr, sizeof(struct sockaddr_in6));
        if (sock_same_host(wanted, &one))
            found = PRESENCE_YES;
    }
    freeifaddrs(list);
    return found;
}

bool
here_has_address(const struct sock_address *address)
{
    return look_for(address) == PRESENCE_YES;
}

bool
here_lacks_address(const struct sock_address *address)
{
    return look_for(address) == PRESENCE_NO;
}

static bool
is_named(const struct ifaddrs *at, const char *const *names, uint32_t count)
{
    for (uint32_t n = 0; n < count; n++) {
        if (strcmp(names[n], at->ifa_name) == 0)
            return true;
        if (str_equal_nocase(names[n], "any") && (at->ifa_flags & IFF_LOOPBACK) == 0)
            return true;
    }
    return false;
}

bool
here_interface_is_up(const char *const *names, uint32_t count)
{
    struct ifaddrs *list;
    bool is_up = false;

    if (getifaddrs(&list) != 0)
        return false;
    for (const struct ifaddrs *at = list; at != NULL && !is_up; at = at->ifa_next)
        is_up = (at->ifa_flags & IFF_UP) != 0 && (at->ifa_flags & IFF_RUNNING) != 0 &&
                is_named(at, names, count);
    freeifaddrs(list);
    return is_up;
}

/* The address's bytes; 0 of other families than IP. */
static size_t
address_bytes(const struct sockaddr *addr, uint8_t bytes_r[16])
{
    if (addr == NULL)
        return 0;
    if (addr->sa_family == AF_INET) {
        memcpy(bytes_r, &((const struct sockaddr_in *)(const void *)addr)->sin_addr, 4);
        return 4;
    }
    if (addr->sa_family == AF_INET6) {
        memcpy(bytes_r, &((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr, 16);
        return 16;
    }
    return 0;
}

int
here_networks(struct here_network **list_r, uint32_t *count_r, struct err *err)
{
    struct ifaddrs *list;
    uint32_t most = 0;

    *count_r = 0;
    if (getifaddrs(&list) != 0)
        return err_set_errno(err, "58000", errno, "could not list network interfaces");
    for (const struct ifaddrs *at = list; at != NULL; at = at->ifa_next)
        most++;
    *list_r = xcalloc(MAX(most, 1U), sizeof(**list_r));
    for (const struct ifaddrs *at = list; at != NULL; at = at->ifa_next) {
        struct here_network *one = &(*list_r)[*count_r];
        size_t len = address_bytes(at->ifa_addr, one->address);

        if (len == 0)
            continue;
        one->family = at->ifa_addr->sa_family;
        if (address_bytes(at->ifa_netmask, one->mask) != len)
            memset(one->mask, 0xff, sizeof(one->mask));
        ++*count_r;
    }
    freeifaddrs(list);
    return 0;
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

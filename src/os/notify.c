/*
 * One datagram per message to the socket that NOTIFY_SOCKET names: a path, or with '@' in front
 * a name in the abstract namespace. Only the parent calls this.
 */
#include "os/notify.h"

#include "os/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void
notify(const char *text)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t len;
    int fd;

    if (name == NULL || (name[0] != '/' && name[0] != '@'))
        return;
    len = strlen(name);
    if (len >= sizeof(addr.sun_path))
        return;
    memcpy(addr.sun_path, name, len);
    if (name[0] == '@')
        addr.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    /* Nothing can be done about a service manager that does not listen. */
    (void)!sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&addr,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    close(fd);
}

void
notify_ready(void)
{
    char text[64];

    snprintf(text, sizeof(text), "READY=1\nMAINPID=%d", (int)getpid());
    notify(text);
}

void
notify_reloading(void)
{
    char text[80];

    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)(clock_monotonic_ns() / 1000));
    notify(text);
}

void
notify_stopping(void)
{
    notify("STOPPING=1");
}

void
notify_successor(pid_t pid)
{
    char text[64];

    snprintf(text, sizeof(text), "MAINPID=%d", (int)pid);
    notify(text);
}

bool
notify_is_heard(void)
{
    const char *name = getenv("NOTIFY_SOCKET");

    return name != NULL && name[0] != '\0';
}

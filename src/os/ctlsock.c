/*
 * The control socket. It is bound under another name and renamed, so that a successor replaces its
 * predecessor's without a gap.
 */
#include "os/ctlsock.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 8 };

static int
make_address(const char *path, struct sockaddr_un *un_r, struct err *err)
{
    memset(un_r, 0, sizeof(*un_r));
    un_r->sun_family = AF_UNIX;
    if (!str_copy(un_r->sun_path, sizeof(un_r->sun_path), path))
        return err_set(err, "58P01", "control socket path \"%s\" is too long (at most %zu)", path,
                       sizeof(un_r->sun_path) - 1);
    return 0;
}

static int
bind_at(int fd, const struct sockaddr_un *un)
{
    mode_t before = umask(0177);
    int rc = bind(fd, (const struct sockaddr *)un, sizeof(*un));

    umask(before);
    return rc;
}

static bool
look(const char *path, struct stat *st_r)
{
    return lstat(path, st_r) == 0 && S_ISSOCK(st_r->st_mode);
}

int
ctlsock_listen(struct ctlsock *c_r, const char *path, struct err *err)
{
    struct ctlsock c = CTLSOCK_NONE;
    struct sockaddr_un un;
    struct stat st;
    char fresh[CTLSOCK_PATH_BYTES + 8];

    *c_r = c;
    snprintf(fresh, sizeof(fresh), "%s.new", path);
    if (!str_copy(c.path, sizeof(c.path), path) || make_address(fresh, &un, err) != 0)
        return err_set(err, "58P01", "control socket path \"%s\" is too long", path);
    c.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c.fd < 0)
        return err_set_errno(err, NULL, errno, "could not make a control socket");
    unlink(fresh);
    if (bind_at(c.fd, &un) == 0 && listen(c.fd, BACKLOG) == 0 && rename(fresh, path) == 0 &&
        look(path, &st)) {
        c.device = st.st_dev;
        c.inode = st.st_ino;
        *c_r = c;
        return 0;
    }
    err_set_errno(err, NULL, errno, "could not listen on control socket \"%s\"", path);
    unlink(fresh);
    close(c.fd);
    return -1;
}

bool
ctlsock_is_there(const struct ctlsock *c)
{
    struct stat st;

    return c->fd >= 0 && look(c->path, &st) && st.st_dev == c->device && st.st_ino == c->inode;
}

void
ctlsock_forget(struct ctlsock *c)
{
    if (c->fd >= 0)
        close(c->fd);
    *c = CTLSOCK_NONE;
}

void
ctlsock_drop(struct ctlsock *c)
{
    if (ctlsock_is_there(c))
        unlink(c->path);
    ctlsock_forget(c);
}

bool
ctlsock_is_trusted(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

int
ctlsock_connect(const char *path, int *fd_r, struct err *err)
{
    struct sockaddr_un un;
    int fd;

    if (make_address(path, &un, err) != 0)
        return -1;
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set_errno(err, NULL, errno, "could not make a socket");
    if (connect(fd, (const struct sockaddr *)&un, sizeof(un)) != 0) {
        err_set_errno(err, NULL, errno, "could not connect to control socket \"%s\"", path);
        close(fd);
        return -1;
    }
    *fd_r = fd;
    return 0;
}

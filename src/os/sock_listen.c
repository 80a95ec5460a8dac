/*
 * Listening sockets, opened once by the parent. Whoever is there already gets named in the
 * error: the address, and the process when it can be known.
 */
#include "base/num.h"
#include "base/str.h"
#include "os/pidfile.h"
#include "os/sock.h"

#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { LOCK_PATH_BYTES = SOCK_TEXT_BYTES + 8 };

static void
name_lock(const struct sock_listener *one, char *path, size_t path_size)
{
    snprintf(path, path_size, "%s.lock", one->text);
}

/* A listener with nothing but its slot in the list; the caller fills it. */
static struct sock_listener *
add_listener(struct sock_listeners *l, struct err *err)
{
    if (l->count == SOCK_LISTEN_MAX) {
        err_set(err, "54000", "more than %d addresses to listen on", (int)SOCK_LISTEN_MAX);
        return NULL;
    }
    l->list[l->count] = (struct sock_listener){.fd = -1, .lock_fd = -1};
    return &l->list[l->count];
}

static int
fail_listen(struct err *err, const char *text, int errnum)
{
    err_set_errno(err, errnum == EADDRINUSE ? "55006" : "58000", errnum,
                  "could not listen on \"%s\"", text);
    if (errnum == EADDRINUSE)
        err_hint(err, "is another pgpool or another program using this port already? Stop it, or "
                      "choose another port in pgpool.conf");
    else if (errnum == EADDRNOTAVAIL)
        err_hint(err, "this machine does not have that address: see listen_addresses");
    return -1;
}

/* Returns 0 or an errno. */
static int
listen_address(struct sock_listener *one, const struct sock_address *addr, int backlog)
{
    int on = 1;
    int saved;

    one->fd = socket(addr->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (one->fd < 0)
        return errno;
    setsockopt(one->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (addr->storage.ss_family == AF_INET6)
        setsockopt(one->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(one->fd, sock_addr(addr), addr->len) == 0 && listen(one->fd, backlog) == 0)
        return 0;
    saved = errno;
    close(one->fd);
    return saved;
}

static bool
is_listed(const struct sock_listeners *l, const struct sock_address *addr)
{
    char text[SOCK_TEXT_BYTES];

    sock_address_text(addr, text, sizeof(text));
    for (uint32_t n = 0; n < l->count; n++) {
        if (strcmp(l->list[n].text, text) == 0)
            return true;
    }
    return false;
}

static bool
has_former(const struct sock_listeners *l, const struct sock_listener *one)
{
    for (uint32_t n = 0; l->former != NULL && n < l->former->count; n++) {
        if (l->former->list[n].fd >= 0 && strcmp(l->former->list[n].text, one->text) == 0)
            return true;
    }
    return false;
}

/* Moves the former one's socket here, when there is one of this address. */
static bool
take_former(struct sock_listeners *l, struct sock_listener *one, int backlog)
{
    for (uint32_t n = 0; l->former != NULL && n < l->former->count; n++) {
        struct sock_listener *other = &l->former->list[n];

        if (other->fd < 0 || strcmp(other->text, one->text) != 0)
            continue;
        one->fd = other->fd;
        other->fd = -1;
        /* It listens already: this sets the backlog, and loses nobody who waits in it. */
        listen(one->fd, backlog);
        return true;
    }
    return false;
}

/* Listens on each address of the list; how many of them are served now, or -1. */
static int
listen_all(struct sock_listeners *l, const struct addrinfo *list, int backlog, struct err *err)
{
    int served = 0;

    for (const struct addrinfo *at = list; at != NULL; at = at->ai_next) {
        struct sock_address addr = {.len = at->ai_addrlen};
        struct sock_listener *one;
        int errnum;

        if (at->ai_family != AF_INET && at->ai_family != AF_INET6)
            continue;
        memcpy(&addr.storage, at->ai_addr, at->ai_addrlen);
        served++;
        if (is_listed(l, &addr))
            continue;
        one = add_listener(l, err);
        if (one == NULL)
            return -1;
        sock_address_text(&addr, one->text, sizeof(one->text));
        errnum = take_former(l, one, backlog) ? 0 : listen_address(one, &addr, backlog);
        if (errnum == 0) {
            l->count++;
            continue;
        }
        fail_listen(err, one->text, errnum);
        /* A machine without IPv6 is no fault as long as another address works. */
        if (at->ai_family == AF_INET || (errnum != EAFNOSUPPORT && errnum != EADDRNOTAVAIL))
            return -1;
        served--;
    }
    return served;
}

int
sock_listen_tcp(struct sock_listeners *l, const char *host, uint16_t port, int backlog,
                struct err *err)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    bool every = strcmp(host, "*") == 0;
    char service[8];
    int served;
    int rc;

    snprintf(service, sizeof(service), "%u", port);
    rc = getaddrinfo(every ? NULL : host, service, &hints, &found);
    if (rc != 0)
        return err_set(err, "08001", "could not translate listen address \"%s\": %s", host,
                       gai_strerror(rc));
    err_set(err, "08001", "listen address \"%s\" has no usable address", host);
    served = listen_all(l, found, backlog, err);
    freeaddrinfo(found);
    return served > 0 ? 0 : -1;
}

/* ---- unix ---- */

/* Whether anybody accepts there: the file alone says nothing. */
static bool
is_served(const struct sock_address *addr)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool served;

    if (fd < 0)
        return true;
    served = connect(fd, sock_addr(addr), addr->len) == 0 || errno == EAGAIN;
    close(fd);
    return served;
}

static int
fail_served(struct err *err, const char *path, pid_t owner)
{
    err_set(err, "55006", "could not listen on \"%s\": it is in use", path);
    if (owner > 0)
        err_hint(err,
                 "process %d listens there: stop it, or choose another port or another "
                 "directory in pgpool.conf",
                 (int)owner);
    else
        err_hint(err, "another pgpool or PostgreSQL listens there: stop it, or choose another port "
                      "or another directory in pgpool.conf");
    return -1;
}

static int
set_owner(const char *path, const struct sock_unix_options *options, struct err *err)
{
    if (options->group[0] != '\0') {
        const struct group *group = getgrnam(options->group);
        uint32_t gid;

        if (group != NULL)
            gid = group->gr_gid;
        else if (!num_parse_u32(options->group, &gid))
            return err_set(err, "42704", "group \"%s\" does not exist", options->group);
        if (chown(path, (uid_t)-1, gid) != 0)
            return err_set_errno(err, "58000", errno, "could not set group of \"%s\"", path);
    }
    if (chmod(path, options->mode) != 0)
        return err_set_errno(err, "58000", errno, "could not set permissions of \"%s\"", path);
    return 0;
}

static int
bind_unix(struct sock_listener *one, const struct sock_address *addr,
          const struct sock_unix_options *options, struct err *err)
{
    mode_t before;
    int rc;

    one->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (one->fd < 0)
        return fail_listen(err, one->text, errno);
    unlink(one->text);
    /* Nobody gets in before group and permissions are what they should be. */
    before = umask(0777);
    rc = bind(one->fd, sock_addr(addr), addr->len);
    umask(before);
    if (rc != 0) {
        int saved = errno;

        close(one->fd);
        return fail_listen(err, one->text, saved);
    }
    if (set_owner(one->text, options, err) == 0) {
        if (listen(one->fd, options->backlog) == 0)
            return 0;
        fail_listen(err, one->text, errno);
    }
    close(one->fd);
    unlink(one->text);
    return -1;
}

/* Becomes the owner of the file at this address, unless somebody lives there. */
static int
take_lock(const struct sock_listener *one, const struct sock_address *addr, struct pidfile *lock_r,
          struct err *err)
{
    char lock_path[LOCK_PATH_BYTES];
    pid_t owner;

    name_lock(one, lock_path, sizeof(lock_path));
    if (is_served(addr))
        return fail_served(err, one->text, pidfile_owner(lock_path));
    if (pidfile_take(lock_r, lock_path, &owner, err) != 0)
        return owner > 0 ? fail_served(err, one->text, owner) : -1;
    return 0;
}

int
sock_listen_unix(struct sock_listeners *l, const char *directory, uint16_t port,
                 const struct sock_unix_options *options, struct err *err)
{
    struct sock_listener *one = add_listener(l, err);
    struct pidfile lock = PIDFILE_NONE;
    struct sock_address addr;
    bool file_exists;

    if (one == NULL || sock_unix_address(directory, port, &addr, err) != 0)
        return -1;
    if (is_listed(l, &addr))
        return 0;
    sock_address_text(&addr, one->text, sizeof(one->text));
    file_exists = access(one->text, F_OK) == 0;
    if (file_exists && take_former(l, one, options->backlog)) {
        one->is_unix = true;
        l->count++;
        return 0;
    }
    /* Somebody has deleted the former one's file: its lock will be ours with all the others. */
    if ((file_exists || !has_former(l, one)) && take_lock(one, &addr, &lock, err) != 0)
        return -1;
    if (bind_unix(one, &addr, options, err) != 0) {
        pidfile_drop(&lock);
        return -1;
    }
    one->is_unix = true;
    one->lock_fd = lock.fd;
    free(lock.path);
    l->count++;
    return 0;
}

int
sock_listeners_add(struct sock_listeners *l, const char *text, int fd, struct err *err)
{
    struct sock_listener *one = add_listener(l, err);

    if (one == NULL)
        return -1;
    one->fd = fd;
    one->is_unix = text[0] == '/';
    str_copy(one->text, sizeof(one->text), text);
    l->count++;
    return 0;
}

int
sock_accept(int fd)
{
    return accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static bool
holds_lock(const struct sock_listener *one)
{
    char lock_path[LOCK_PATH_BYTES];

    name_lock(one, lock_path, sizeof(lock_path));
    return pidfile_is_ours(&(struct pidfile){one->lock_fd, lock_path});
}

int
sock_listeners_own(struct sock_listeners *l, const struct sock_unix_options *options,
                   struct err *err)
{
    int result = 0;

    for (uint32_t n = 0; n < l->count; n++) {
        struct sock_listener *one = &l->list[n];
        char lock_path[LOCK_PATH_BYTES];
        struct pidfile lock;

        if (!one->is_unix)
            continue;
        name_lock(one, lock_path, sizeof(lock_path));
        pidfile_clean(lock_path);
        if (holds_lock(one))
            continue;
        if (one->lock_fd >= 0)
            close(one->lock_fd);
        one->lock_fd = -1;
        if (pidfile_replace(&lock, lock_path, err) != 0) {
            unlink(lock_path); /* else the former owner would remove the socket with it */
            result = -1;
            continue;
        }
        one->lock_fd = lock.fd;
        free(lock.path);
        if (set_owner(one->text, options, err) != 0)
            result = -1;
    }
    return result;
}

/* What others have inherited listens on after a close; after a shutdown nothing does. */
void
sock_listeners_refuse(struct sock_listeners *l)
{
    for (uint32_t n = 0; n < l->count; n++)
        shutdown(l->list[n].fd, SHUT_RD);
}

void
sock_listeners_close(struct sock_listeners *l, bool unlink_files)
{
    for (uint32_t n = 0; n < l->count; n++) {
        struct sock_listener *one = &l->list[n];
        char lock_path[LOCK_PATH_BYTES];

        if (one->is_unix && unlink_files && holds_lock(one)) {
            name_lock(one, lock_path, sizeof(lock_path));
            unlink(one->text);
            unlink(lock_path);
        }
        if (one->fd >= 0)
            close(one->fd);
        if (one->lock_fd >= 0)
            close(one->lock_fd);
    }
    l->count = 0;
}

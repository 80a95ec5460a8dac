/*
 * Lock files by fcntl record locks: they belong to the process (not to what it forks), end with
 * it, and the kernel names their owner.
 */
#include "os/pidfile.h"

#include "base/arena.h"
#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIES = 10 };

static const char fresh_suffix[] = ".new";

static struct flock
whole_file(void)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
}

/* In another pid namespace the kernel cannot name the owner; then the file's own word counts. */
static pid_t
written_pid(int fd)
{
    char text[32];
    uint32_t pid;
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

    if (n <= 0)
        return 0;
    text[n] = '\0';
    text[strcspn(text, " \n")] = '\0';
    return num_parse_u32(text, &pid) ? (pid_t)pid : 0;
}

static pid_t
lock_owner(int fd)
{
    struct flock lock = whole_file();

    if (fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
        return 0;
    if (lock.l_pid > 0)
        return lock.l_pid;
    return MAX(written_pid(fd), 1);
}

/* Between open and lock its owner may have removed the file: then the lock means nothing. */
static bool
is_still_there(int fd, const char *path)
{
    struct stat ours;
    struct stat now;

    return fstat(fd, &ours) == 0 && stat(path, &now) == 0 && ours.st_dev == now.st_dev &&
           ours.st_ino == now.st_ino;
}

static int
write_pid(int fd)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%d\n", (int)getpid());

    if (ftruncate(fd, 0) != 0)
        return -1;
    return pwrite(fd, text, (size_t)len, 0) == len ? 0 : -1;
}

int
pidfile_take(struct pidfile *p, const char *path, pid_t *owner_r, struct err *err)
{
    *owner_r = 0;
    *p = PIDFILE_NONE;
    for (int tries = 0; tries < TRIES; tries++) {
        struct flock lock = whole_file();
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

        if (fd < 0)
            return err_set_errno(err, "58030", errno, "could not open file \"%s\"", path);
        if (fcntl(fd, F_SETLK, &lock) == 0) {
            if (!is_still_there(fd, path)) {
                close(fd);
                continue;
            }
            if (write_pid(fd) != 0) {
                err_set_errno(err, "58030", errno, "could not write file \"%s\"", path);
                close(fd);
                return -1;
            }
            *p = (struct pidfile){fd, xstrdup(path)};
            return 0;
        }
        if (errno != EACCES && errno != EAGAIN) {
            err_set_errno(err, "58030", errno, "could not lock file \"%s\"", path);
            close(fd);
            return -1;
        }
        *owner_r = lock_owner(fd);
        close(fd);
        if (*owner_r != 0)
            break;
    }
    return err_set(err, "55006", "file \"%s\" is held by process %d", path, (int)*owner_r);
}

static char *
fresh_path(const char *path)
{
    size_t size = strlen(path) + sizeof(fresh_suffix);
    char *fresh = xmalloc(size);

    snprintf(fresh, size, "%s%s", path, fresh_suffix);
    return fresh;
}

int
pidfile_replace(struct pidfile *p, const char *path, struct err *err)
{
    struct flock lock = whole_file();
    char *fresh = fresh_path(path);
    int fd;

    *p = PIDFILE_NONE;
    unlink(fresh);
    fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd >= 0 && fcntl(fd, F_SETLK, &lock) == 0 && write_pid(fd) == 0 &&
        rename(fresh, path) == 0) {
        free(fresh);
        *p = (struct pidfile){fd, xstrdup(path)};
        return 0;
    }
    err_set_errno(err, "58030", errno, "could not replace file \"%s\"", path);
    if (fd >= 0) {
        unlink(fresh);
        close(fd);
    }
    free(fresh);
    return -1;
}

bool
pidfile_is_ours(const struct pidfile *p)
{
    return p->fd >= 0 && is_still_there(p->fd, p->path);
}

void
pidfile_clean(const char *path)
{
    char *fresh = fresh_path(path);

    unlink(fresh);
    free(fresh);
}

void
pidfile_forget(struct pidfile *p)
{
    if (p->fd >= 0)
        close(p->fd);
    free(p->path);
    *p = PIDFILE_NONE;
}

void
pidfile_drop(struct pidfile *p)
{
    if (pidfile_is_ours(p))
        unlink(p->path);
    pidfile_forget(p);
}

pid_t
pidfile_owner(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    pid_t owner;

    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
    owner = lock_owner(fd);
    close(fd);
    return owner;
}

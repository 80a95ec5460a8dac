/*
 * Whole files in and out.
 */
#include "os/file.h"

#include "base/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_CHUNK = 16 * 1024, PATH_BYTES = 4096 };

static int
read_all(int fd, const char *path, size_t limit_bytes, struct buf *out, struct err *err)
{
    size_t before = out->len;

    for (;;) {
        ssize_t n = read(fd, buf_reserve(out, READ_CHUNK), READ_CHUNK);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            out->len = before;
            return err_set_errno(err, "58030", errno, "could not read file \"%s\"", path);
        }
        if (n == 0)
            return 0;
        out->len += (size_t)n;
        if (out->len - before > limit_bytes) {
            out->len = before;
            return err_set(err, "54000", "file \"%s\" is larger than %zu bytes", path, limit_bytes);
        }
    }
}

int
file_read(const char *path, size_t limit_bytes, struct buf *out, struct err *err)
{
    /* O_NONBLOCK: a FIFO of that name must not stop us. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    int result;

    if (fd < 0)
        return err_set_errno(err, "58P01", errno, "could not open file \"%s\"", path);
    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
        result = err_set(err, "58P01", "\"%s\" is no regular file", path);
    else
        result = read_all(fd, path, limit_bytes, out, err);
    close(fd);
    return result;
}

static int
write_all(int fd, const void *bytes, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = write(fd, (const uint8_t *)bytes + done, len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        done += (size_t)n;
    }
    return 0;
}

static void
sync_directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = slash == NULL ? xstrdup(".") : xstrdup(path);
    int fd;

    if (slash != NULL)
        directory[slash == path ? 1 : slash - path] = '\0';
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        /* Some file systems refuse it for directories and need none. */
        fsync(fd);
        close(fd);
    }
    free(directory);
}

static int
fail_write(struct err *err, const char *path, const char *temporary)
{
    err_set_errno(err, "58030", errno, "could not write file \"%s\"", path);
    unlink(temporary);
    return -1;
}

int
file_write_durable(const char *path, mode_t mode, const void *bytes, size_t len, struct err *err)
{
    char temporary[PATH_BYTES];
    int written;
    int fd;

    if ((size_t)snprintf(temporary, sizeof(temporary), "%s.%d.tmp", path, (int)getpid()) >=
        sizeof(temporary))
        return err_set(err, "58P01", "path of file \"%s\" is too long", path);
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return err_set_errno(err, "58030", errno, "could not create file \"%s\"", temporary);
    written = write_all(fd, bytes, len) == 0 && fchmod(fd, mode) == 0 && fsync(fd) == 0;
    if (!written) {
        int saved = errno;

        close(fd);
        errno = saved;
        return fail_write(err, path, temporary);
    }
    if (close(fd) != 0 || rename(temporary, path) != 0)
        return fail_write(err, path, temporary);
    sync_directory_of(path);
    return 0;
}

bool
file_exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

int
file_make_directory(const char *path, mode_t mode, struct err *err)
{
    struct stat st;

    if (mkdir(path, mode) == 0)
        return 0;
    if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    return err_set_errno(err, "58030", errno, "could not make directory \"%s\"", path);
}

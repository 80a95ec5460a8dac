/*
 * Log files: names by the time of day, appending, replacing.
 */
#include "os/logfile.h"

#include "base/log.h"
#include "base/str.h"
#include "os/clock.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int
make_path(const struct logfile_name *name, char path_r[LOGFILE_PATH_BYTES], struct err *err)
{
    int len = snprintf(path_r, LOGFILE_PATH_BYTES, "%s/", name->directory);
    time_t now = time(NULL);
    struct tm tm;

    localtime_r(&now, &tm);
    if (len >= LOGFILE_PATH_BYTES ||
        strftime(path_r + len, LOGFILE_PATH_BYTES - (size_t)len, name->pattern, &tm) == 0)
        return err_set(err, "58P01", "log file name \"%s\" in \"%s\" is empty or too long",
                       name->pattern, name->directory);
    return 0;
}

/* What was written into it since we began the present one is another logger's: during an upgrade
 * there are two of them (decision 0011). */
static bool
is_older(int fd, int64_t opened_us)
{
    struct stat st;

    return fstat(fd, &st) == 0 &&
           (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000 <= opened_us;
}

int
logfile_open(struct logfile *f, const struct logfile_name *name, struct err *err)
{
    char path[LOGFILE_PATH_BYTES];
    int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
    struct stat st;
    int fd;

    if (file_make_directory(name->directory, 0700, err) != 0 || make_path(name, path, err) != 0)
        return -1;
    fd = open(path, flags, name->mode | S_IWUSR);
    if (fd < 0)
        return err_set_errno(err, "58030", errno, "could not open log file \"%s\"", path);
    fchmod(fd, name->mode | S_IWUSR);
    if (name->truncate && f->path[0] != '\0' && strcmp(path, f->path) != 0 &&
        is_older(fd, f->opened_us) && ftruncate(fd, 0) != 0)
        log_debug("could not empty \"%s\": %s", path, strerror(errno));
    logfile_close(f);
    f->fd = fd;
    f->opened_us = clock_wall_us();
    f->bytes = fstat(fd, &st) == 0 ? (int64_t)st.st_size : 0;
    f->in_line = false;
    str_copy(f->path, sizeof(f->path), path);
    return 0;
}

void
logfile_close(struct logfile *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

/* A full disk loses lines; there is nobody to tell that could help. */
void
logfile_write(struct logfile *f, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    size_t left = len;

    while (left > 0) {
        ssize_t n = write(f->fd >= 0 ? f->fd : STDERR_FILENO, at, left);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        at += n;
        left -= (size_t)n;
    }
    f->bytes += (int64_t)(len - left);
    if (len > 0)
        f->in_line = ((const uint8_t *)bytes)[len - 1] != '\n';
}

int64_t
logfile_until_next_ms(int64_t age_ms)
{
    int64_t now_ms = clock_wall_us() / 1000;
    time_t now = (time_t)(now_ms / 1000);
    struct tm tm;

    localtime_r(&now, &tm);
    return age_ms - (now_ms + tm.tm_gmtoff * 1000) % age_ms;
}

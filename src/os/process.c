/*
 * Other processes, by pidfd and /proc. For commands, not for event loops.
 */
#include "os/process.h"

#include "base/num.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOOK_AGAIN_MS = 50, STAT_BYTES = 1024 };

int
process_signal(pid_t pid, int signo, struct err *err)
{
    if (kill(pid, signo) != 0)
        return err_set_errno(err, NULL, errno, "could not send signal %d to process %d", signo,
                             (int)pid);
    return 0;
}

/* For kernels without pidfd_open (before 5.3). */
static bool
wait_by_looking(pid_t pid, int timeout_ms)
{
    for (int waited_ms = 0;; waited_ms += LOOK_AGAIN_MS) {
        if (kill(pid, 0) != 0 && errno == ESRCH)
            return true;
        if (waited_ms >= timeout_ms)
            return false;
        poll(NULL, 0, LOOK_AGAIN_MS);
    }
}

bool
process_wait(pid_t pid, int timeout_ms)
{
    struct pollfd p = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    int n;

    if (p.fd < 0)
        return errno == ESRCH || wait_by_looking(pid, timeout_ms);
    do {
        n = poll(&p, 1, timeout_ms);
    } while (n < 0 && errno == EINTR);
    close(p.fd);
    return n > 0;
}

static ssize_t
read_proc(pid_t pid, const char *file, char *text, size_t text_size)
{
    char path[64];
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    n = read(fd, text, text_size - 1);
    close(fd);
    text[MAX(n, 0)] = '\0';
    return n;
}

bool
process_title(pid_t pid, char *title, size_t title_size)
{
    ssize_t n = read_proc(pid, "cmdline", title, title_size);

    if (n <= 0)
        return false;
    while (n > 0 && title[n - 1] == '\0')
        n--;
    for (ssize_t at = 0; at < n; at++) {
        if (title[at] == '\0')
            title[at] = ' ';
    }
    return true;
}

/* The fourth field; the second one, a name in brackets, may hold anything. */
pid_t
process_parent(pid_t pid)
{
    char text[STAT_BYTES];
    const char *at;
    int parent;

    if (read_proc(pid, "stat", text, sizeof(text)) <= 0)
        return 0;
    at = strrchr(text, ')');
    return at != NULL && sscanf(at + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static int
compare_pids(const void *a, const void *b)
{
    pid_t left = *(const pid_t *)a;
    pid_t right = *(const pid_t *)b;

    return (left > right) - (left < right);
}

size_t
process_children(pid_t pid, pid_t *children_r, size_t max)
{
    DIR *dir = opendir("/proc");
    size_t count = 0;
    const struct dirent *entry;

    if (dir == NULL)
        return 0;
    while (count < max && (entry = readdir(dir)) != NULL) {
        uint32_t other;

        if (num_parse_u32(entry->d_name, &other) && process_parent((pid_t)other) == pid)
            children_r[count++] = (pid_t)other;
    }
    closedir(dir);
    qsort(children_r, count, sizeof(*children_r), compare_pids);
    return count;
}

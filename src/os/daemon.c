/*
 * The way into the background. A pipe joins the command that was typed and the daemon: one byte
 * means "serves", its end without a byte means that the daemon has failed and has said why.
 */
#include "os/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int ready_fd = -1;

static void
wait_and_exit(int fd, pid_t middle)
{
    char byte;
    ssize_t n;

    while (waitpid(middle, NULL, 0) < 0 && errno == EINTR) {
    }
    do {
        n = read(fd, &byte, 1);
    } while (n < 0 && errno == EINTR);
    _exit(n == 1 ? 0 : 1);
}

int
daemon_detach(struct err *err)
{
    int ends[2];
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set_errno(err, NULL, errno, "could not make a pipe");
    pid = fork();
    if (pid < 0) {
        err_set_errno(err, NULL, errno, "could not fork");
        close(ends[0]);
        close(ends[1]);
        return -1;
    }
    if (pid > 0) {
        close(ends[1]);
        wait_and_exit(ends[0], pid);
    }
    close(ends[0]);
    ready_fd = ends[1];
    setsid();
    /* A session's leader could get a terminal again; its child cannot. */
    pid = fork();
    if (pid != 0)
        _exit(pid < 0 ? 1 : 0);
    return chdir("/") == 0 ? 0 : err_set_errno(err, NULL, errno, "could not change to \"/\"");
}

bool
daemon_keeps_stderr(void)
{
    struct stat st;

    return fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode);
}

void
daemon_let_go(void)
{
    int null;

    if (ready_fd < 0)
        return;
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (!daemon_keeps_stderr())
        dup2(null, STDERR_FILENO);
    if (null > STDERR_FILENO)
        close(null);
}

void
daemon_ready(void)
{
    ssize_t n;

    if (ready_fd < 0)
        return;
    do {
        n = write(ready_fd, "1", 1);
    } while (n < 0 && errno == EINTR);
    daemon_forget();
}

void
daemon_forget(void)
{
    if (ready_fd >= 0)
        close(ready_fd);
    ready_fd = -1;
}

/*
 * Who we are on disk, and becoming somebody else. The only place that execs.
 */
#include "os/exec.h"

#include "base/arena.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char proc_self[] = "/proc/self/exe";

static bool
is_this_program(const char *path)
{
    struct stat ours;
    struct stat its;

    return stat(proc_self, &ours) == 0 && stat(path, &its) == 0 && ours.st_dev == its.st_dev &&
           ours.st_ino == its.st_ino;
}

/* directory/name, made absolute; NULL when that is not this program. */
static char *
try_path(const char *directory, size_t directory_len, const char *name)
{
    char path[PATH_MAX];
    char cwd[PATH_MAX] = "";
    int len;

    if (directory_len == 0 || directory[0] != '/') {
        if (getcwd(cwd, sizeof(cwd)) == NULL)
            return NULL;
    }
    len = snprintf(path, sizeof(path), "%s%s%.*s%s%s", cwd, cwd[0] != '\0' ? "/" : "",
                   (int)directory_len, directory, directory_len > 0 ? "/" : "", name);
    if (len < 0 || (size_t)len >= sizeof(path) || !is_this_program(path))
        return NULL;
    return xstrdup(path);
}

static char *
search_path(const char *name)
{
    const char *at = getenv("PATH");
    char *found = NULL;

    while (at != NULL && found == NULL) {
        size_t len = strcspn(at, ":");

        found = try_path(at, len, name);
        at = at[len] == ':' ? at + len + 1 : NULL;
    }
    return found;
}

char *
exec_own_path(const char *argv0)
{
    char path[PATH_MAX];
    char *found;
    ssize_t len;

    if (argv0[0] == '/')
        found = is_this_program(argv0) ? xstrdup(argv0) : NULL;
    else if (strchr(argv0, '/') != NULL)
        found = try_path("", 0, argv0);
    else
        found = search_path(argv0);
    if (found != NULL)
        return found;
    len = readlink(proc_self, path, sizeof(path) - 1);
    if (len <= 0)
        return NULL;
    path[len] = '\0';
    return xstrdup(path);
}

/* All at their default, but perhaps one. */
static void
reset_signals(int ignored)
{
    struct sigaction usual = {.sa_handler = SIG_DFL};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t none;

    for (int signo = 1; signo < NSIG; signo++)
        sigaction(signo, signo == ignored ? &ignore : &usual, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int
become(const char *path, char *const argv[], struct err *err)
{
    execv(path, argv);
    return err_set_errno(err, NULL, errno, "could not run \"%s\"", path);
}

int
exec_program(const char *path, char *const argv[], struct err *err)
{
    reset_signals(0);
    return become(path, argv, err);
}

int
exec_command(const char *path, char *const argv[], bool ignore_sigpipe, struct err *err)
{
    reset_signals(ignore_sigpipe ? SIGPIPE : 0);
    return become(path, argv, err);
}

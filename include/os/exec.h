/*
 * Running another program in place of this process.
 */
#ifndef OS_EXEC_H
#define OS_EXEC_H

#include "base/err.h"
#include "base/util.h"

#include <stdbool.h>

/* The path of the program that this process runs, absolute, as it was named when it was started:
 * argv0, looked up in PATH when it holds no slash, links left as they are. Who looks there later
 * finds what a new package has put there. When argv0 names another file, the kernel's own word for
 * it (/proc/self/exe). Own memory; NULL when neither is to be had. Call before the first chdir. */
char *exec_own_path(const char *argv0);

/* Becomes that program, with the environment and the working directory that are here, no signal
 * blocked and all with their default action. Open descriptors stay unless they are close-on-exec.
 * Returns only when it fails: -1. argv ends in NULL. */
int exec_program(const char *path, char *const argv[], struct err *err);

/* The same, but SIGPIPE may stay ignored: for what goes on when the reader of its output is gone.
 */
int exec_command(const char *path, char *const argv[], bool ignore_sigpipe, struct err *err);

#endif

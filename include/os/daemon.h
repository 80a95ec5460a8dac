/*
 * Going into the background so that the command's exit status says whether the daemon serves.
 */
#ifndef OS_DAEMON_H
#define OS_DAEMON_H

#include "base/err.h"

#include <stdbool.h>

/* Forks twice into a session of its own, in "/". Returns 0 in the daemon. The process that was
 * called waits: it exits 0 when the daemon calls daemon_ready, 1 when the daemon ends before. The
 * daemon keeps stderr until daemon_let_go, so its messages reach the terminal. -1: no process could
 * be made; nothing has changed. */
int daemon_detach(struct err *err);

/* Lets go of the terminal, when all that may fail has been done: stdin and stdout become
 * /dev/null, and so does stderr unless it is a file. (Whoever reads the other end of a pipe would
 * wait for its end as long as the daemon lives.) Does nothing in the foreground. */
void daemon_let_go(void);

/* stderr is a file, which daemon_let_go keeps. */
bool daemon_keeps_stderr(void);

/* The daemon serves: lets the waiting command return. Does nothing in the foreground. */
void daemon_ready(void);

/* After fork, in the processes that the daemon made before it was ready. */
void daemon_forget(void);

#endif

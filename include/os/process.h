/*
 * Other processes: signals to them, waiting for their end, what they call themselves.
 */
#ifndef OS_PROCESS_H
#define OS_PROCESS_H

#include "base/err.h"
#include "base/util.h"

#include <stdbool.h>
#include <sys/types.h>

int process_signal(pid_t pid, int signo, struct err *err);

/* Blocks until the process has ended; false when it has not within this time. Any process, not
 * only a child. */
bool process_wait(pid_t pid, int timeout_ms);

/* Its title as ps shows it, cut; false when there is no such process. */
bool process_title(pid_t pid, char *title, size_t title_size);

/* The process that it belongs to; 0 when there is no such process. */
pid_t process_parent(pid_t pid);

/* The processes that this one forked, in ascending order; at most max. */
size_t process_children(pid_t pid, pid_t *children_r, size_t max);

#endif

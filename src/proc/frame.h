/*
 * Between the parent and the frame of the other processes; for the files of this room.
 */
#ifndef PROC_FRAME_H
#define PROC_FRAME_H

#include "base/err.h"
#include "proc/proc.h"

struct config;

/* One row of include/tables/processes.def. */
struct proc_row {
    const char *name;
    void (*entry)(struct proc *p);
};
const struct proc_row *proc_row(enum proc_kind kind);

/* Right after fork, when everything that is the parent's alone has been dropped: runs the process
 * to its end. p->io is made here. life_fd reads the parent's pipe: its end is the parent's. */
void proc_enter(struct proc *p, int life_fd, bool debug) NORETURN;

/* Level, prefix and sink of this process's log lines. */
void proc_configure_log(const struct config *cfg, bool debug);

/* Of the logger: the end of the log pipe that it reads. */
void logger_set_pipe(int fd);

#endif

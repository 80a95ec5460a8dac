/*
 * The parent's state; for parent.c, parent_open.c and supervise.c.
 */
#ifndef PROC_PARENT_H
#define PROC_PARENT_H

#include "config/config.h"
#include "frame.h"
#include "proc/start.h"

/* One process slot as the parent knows it. */
struct process {
    pid_t pid; /* 0: nobody here */
    int64_t started_ns;
    enum proc_stop told; /* the strictest stop that it was told, or 0 */
};

/* Processes of one kind that die again and again at once are forked more and more slowly. */
struct relapse {
    unsigned quick_deaths;
    int64_t not_before_ns;
};

struct parent {
    const struct command *cmd;
    struct proc base; /* what every process is given; .config is ours, too */
    struct config *config;
    struct io *io;
    struct pidfile pidfile;
    struct sock_listeners clients;
    struct sock_listeners pcp;
    int life[2];     /* [1] stays open as long as we live; the others see the end of [0] */
    int log_pipe[2]; /* {-1, -1} without logging_collector */
    int own_stderr;  /* what stderr was before the logger's pipe; -1 without */
    uint32_t slot_count;
    struct process *processes; /* by slot; that of the parent is unused */
    struct relapse relapses[PROC_LOGGER + 1];
    bool serving;            /* children may run: the nodes were looked at */
    enum proc_stop stopping; /* 0 while we serve */
    int exit_status;
    struct io_timer first_look; /* how long the children wait for that */
    struct io_timer again;      /* when a fork was put off */
    struct io_timer deadline;   /* of a fast or immediate stop */
};

/* ---- parent_open.c: what is opened before the first fork ---- */

/* Everything that can fail at start. -1: err says what and why. */
int parent_open(struct parent *pa, struct err *err);

/* Turns stderr into the logger's pipe, when there is to be a logger. */
void parent_use_log_pipe(struct parent *pa);

/* The configuration becomes the current one of all processes; they are not told yet. Numbers it. */
int parent_publish(struct parent *pa, struct config *cfg, struct err *err);

/* What is still open; removes the files that are ours. */
void parent_close(struct parent *pa);

/* ---- supervise.c: the processes ---- */

/* Compares what should run with what does: forks, tells to stop. Call whenever either changed. */
void supervise(struct parent *pa);

/* Takes all who have ended. */
void supervise_reap(struct parent *pa);

/* How many live, the logger not counted. */
uint32_t supervise_living(const struct parent *pa);
bool supervise_logger_lives(const struct parent *pa);

/* Kills what still lives. */
void supervise_kill(struct parent *pa);

#endif

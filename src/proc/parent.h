/*
 * The parent's state; for parent.c, parent_open.c and supervise.c.
 */
#ifndef PROC_PARENT_H
#define PROC_PARENT_H

#include "config/config.h"
#include "frame.h"
#include "ipc/holds.h"
#include "os/ctlsock.h"
#include "peers.h"
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

/* A command at the control socket. */
struct caller {
    int fd; /* -1: nobody */
    struct io_watch *watch;
};

/* `pgpool upgrade`, seen from the one that is to be replaced. */
struct upgrade {
    struct ctlsock door;          /* where commands come in */
    struct io_listener *listener; /* of the door */
    struct caller asking;         /* has connected and not asked yet */
    struct caller client;         /* waits for the outcome */
    struct io_timer limit;
    pid_t pid;            /* of the new program, our child; 0: none */
    const char *given_up; /* why it was killed, or NULL */
};

struct parent {
    const struct command *cmd;
    struct proc base; /* what every process is given; .config is ours, too */
    struct config *config;
    struct io *io;
    struct pidfile pidfile;
    bool made_pid_directory;
    bool made_log_directory;
    struct sock_listeners clients;
    struct sock_listeners pcp;
    struct sock_listeners http; /* none without http_listen_addresses */
    int life[2];     /* [1] stays open as long as we live; the others see the end of [0] */
    int log_pipe[2]; /* {-1, -1} without logging_collector */
    int own_stderr;  /* what stderr was before the logger's pipe; -1 without */
    uint32_t slot_count;
    uint32_t first_child;      /* its slot */
    struct process *processes; /* by slot; that of the parent is unused */
    struct relapse relapses[PROC_KINDS];
    bool serving;            /* children may run: the nodes were looked at */
    enum proc_stop stopping; /* 0 while we serve */
    bool succeeded;          /* another generation serves; we finish our sessions */
    struct upgrade upgrade;
    struct peers peers;
    struct handover *from; /* what we were handed by whom we replace; NULL: started ordinarily */
    bool took_over;        /* and the files are ours now: pgpool is we */
    int command_stderr;    /* of the upgrade command, for words of failure; -1: none */
    struct err failure;    /* why we ended before we took over */
    bool failed;
    int last_status;            /* of a process that ended and was none of ours */
    struct io_timer first_look; /* how long the children wait for that */
    struct io_timer tickets;    /* when the key of TLS tickets is changed */
    struct io_timer again;      /* when a fork was put off */
    struct io_timer deadline;   /* of a fast or immediate stop */
};

/* ---- parent_open.c, parent_rights.c: what is done before the first fork ---- */

/* Everything that can fail at start. -1: err says what and why. */
int parent_open(struct parent *pa, struct err *err);

/* Becomes run_as_user, and lets nobody look into our memory; what was opened before is that user's
 * from then on. -1: the user does not exist, or could not go on with the files that there are. */
int parent_drop_rights(struct parent *pa, struct err *err);

/* Turns stderr into the logger's pipe, when there is to be a logger. */
void parent_use_log_pipe(struct parent *pa);

/* The configuration becomes the current one of all processes, and with enable_pool_hba the rules
 * for clients; they are not told yet. Numbers it. -1: nothing has changed; faults of rules are in
 * the log, all of them. */
int parent_publish(struct parent *pa, struct config *cfg, struct err *err);

/* Certificates and keys of this configuration are read and published, before it is. -1: nothing
 * has changed. */
int parent_publish_tls(struct parent *pa, const struct config *cfg, struct err *err);

/* The unix sockets that we listen on come to stand under their names; the log tells where not. */
void parent_own_sockets(struct parent *pa);

/* What is still open; removes the files that are ours. */
void parent_close(struct parent *pa);

/* ---- parent.c ---- */

void parent_stop(struct parent *pa, enum proc_stop mode);
void parent_rotate_log(struct parent *pa);
/* -1: a file is faulty and nothing has changed; err has the first fault, the log has all. */
int parent_reload(struct parent *pa, const char *why, struct err *err);
/* The same, and a new program that is getting ready does it, too. */
int parent_reload_all(struct parent *pa, const char *why, struct err *err);
void parent_rotate_all(struct parent *pa);

/* Sessions end by themselves, and we with the last one: another generation serves. */
void parent_finish(struct parent *pa);

/* Ends the loop when it is time: we are stopping and nobody is left. */
void parent_finish_when_alone(struct parent *pa);

/* As the successor, before it has taken over: gives up. */
void parent_give_up(struct parent *pa, const struct err *err);

/* ---- upgrade.c: being replaced ---- */

#define CONTROL_SUFFIX ".control"          /* behind the name of the pid file */
enum { CONTROL_ANSWER_BYTES = 16 * 1024 }; /* of an answer there */

/* The control socket beside the pid file. Without one, upgrades do not work and the log says so. */
void upgrade_open_door(struct parent *pa);
void upgrade_close_door(struct parent *pa);

/* The new program says that it serves: it is pgpool from now on. */
void upgrade_done(struct parent *pa);

/* A process has ended: true when it was the new program. */
bool upgrade_reaped(struct parent *pa, pid_t pid, int status);

/* Ends a new program that does not serve yet. */
void upgrade_kill(struct parent *pa);

/* Right after fork, in other processes. */
void upgrade_forget(struct parent *pa);

/* Whether this process must stay, without work of its own, until pgpool ends: see upgrade.c. */
bool upgrade_must_stand_in(const struct parent *pa);

/* Does that: passes signals on to the owner of the pid file, and returns when none of the processes
 * that came from us is left, with the exit status of the last one. last_status: of one that has
 * been waited for already. Everything else of this process is gone. */
int upgrade_stand_in(const char *pid_file, int last_status);

/* Then signals are meant for whoever is pgpool now: true when it got this one. */
bool upgrade_pass_signal_on(const struct parent *pa, int signo);

/* ---- holds.c: pause, resume, drain ---- */

/* A request of the control socket: "pause", "left pause" and the like, "holds". Appends the answer;
 * false: it is none of these. */
bool parent_hold_asked(struct parent *pa, const char *text, struct buf *answer);
/* The same for INBOX_HOLD. */
struct inbox_msg;
void parent_hold_by_inbox(struct parent *pa, const struct inbox_msg *msg);

/* ---- orders.c: what the administration port asks for ---- */

/* INBOX_ORDER. */
void parent_order_by_inbox(struct parent *pa, const struct inbox_msg *msg);

/* ---- supervise.c: the processes ---- */

/* Compares what should run with what does: forks, tells to stop. Call whenever either changed. */
void supervise(struct parent *pa);

/* Takes all who have ended. */
void supervise_reap(struct parent *pa);

/* Whether so many children as there should be have begun to work. */
bool supervise_all_ready(const struct parent *pa);

/* How many live, the logger not counted. */
uint32_t supervise_living(const struct parent *pa);
bool supervise_logger_lives(const struct parent *pa);

/* Kills what still lives. */
void supervise_kill(struct parent *pa);
/* At the word of the failover process. Nothing happens when it is not that child any more. */
void supervise_end_child(struct parent *pa, uint32_t slot, pid_t pid);

#endif

/*
 * The common frame of all processes but the parent.
 *
 * Each kind has one entry, `void x_main(struct proc *)`, in one file src/proc/x.c, named in
 * include/tables/processes.def. When it is called, everything below is ready: the engine, the
 * configuration, the shared memory. It sets up what is its own, calls proc_run, and when that
 * returns it cleans up and returns; the process then ends.
 *
 *     void
 *     lag_main(struct proc *p)
 *     {
 *         struct lag *lag = lag_new(p);
 *
 *         proc_run(p, &lag_ops, lag);
 *         lag_free(lag);
 *     }
 *
 * The frame does for everybody: signals, title and log, the end when the parent has gone,
 * configuration reload, inbox and wake.
 */
#ifndef PROC_PROC_H
#define PROC_PROC_H

#include "base/util.h"
#include "ipc/inbox.h"
#include "ipc/shared.h"
#include "ipc/slots.h"
#include "ipc/wake.h"
#include "os/io.h"
#include "os/sock.h"

#include <stdbool.h>

struct cache_shared;
struct statement_stats;
struct config;
struct proc_frame;

enum proc_stop {
    PROC_STOP_SMART = 1, /* no new clients; end when the last session has ended */
    PROC_STOP_FAST,      /* sessions get FATAL 57P01 and end; then end */
    PROC_STOP_IMMEDIATE, /* end at once; the frame does it, nobody is asked */
};

/* The files given on the command line, or their defaults: absolute paths. */
struct proc_files {
    const char *config;    /* pgpool.conf */
    const char *pcp_conf;  /* pcp.conf */
    const char *hba;       /* pool_hba.conf */
    const char *ident;     /* pool_ident.conf, beside it */
    const char *pool_key;  /* ".pgpoolkey", "" when there is none */
    const char *directory; /* of pgpool.conf: other relative names start there */
};

struct proc {
    struct io *io;
    const struct config *config; /* the current generation, frozen; changes only in on_config */
    uint64_t config_generation;
    struct shared *shared;
    struct cache_shared *cache;         /* cache/shared.h; NULL: there is no query cache */
    struct statement_stats *statements; /* NULL: they are not counted */
    struct gates *gates;                /* ipc/gate.h; NULL: the mode is not snapshot_isolation */
    struct inboxes *inboxes;
    struct wakes *wakes;
    const struct proc_files *files;
    enum proc_kind kind;
    uint32_t slot;                  /* in ipc/shared.h: whom others address */
    uint32_t child_no;              /* of a child, else UINT32_MAX */
    int32_t node_id;                /* of a health process, else -1 */
    uint32_t child_target;          /* how many children the parent keeps: one's fair share */
    uint32_t child_base;            /* children's numbers in cancel keys begin here */
    struct sock_listeners *clients; /* listening sockets for SQL clients; shared with the others,
                                     * but who accepts no more closes his own copies */
    struct sock_listeners *pcp;     /* for administration; the same */
    struct sock_listeners *http;    /* for metrics and status; the same */
    bool forgets_status;            /* the status file is not read */
    uint8_t mock_key[32];           /* of passwords for roles that there are not (auth/secret.h) */
    struct proc_frame *frame;       /* proc.c's own */
};

/* The pid of a cancel key (BackendKeyData) names a child, by its number plus p->child_base, and one
 * of its sessions. No two generations of processes that live at the same time have a number in
 * common (proc/parent). */
enum { PROC_SESSION_BITS = 17, PROC_CHILD_NUMBERS = (1 << (31 - PROC_SESSION_BITS)) - 1 };
static inline uint32_t
proc_make_pid(uint32_t child_number, uint32_t session)
{
    return (child_number + 1) << PROC_SESSION_BITS | session;
}
static inline uint32_t
proc_child_of_pid(uint32_t pid)
{
    return (pid >> PROC_SESSION_BITS) - 1;
}
static inline uint32_t
proc_session_of_pid(uint32_t pid)
{
    return pid & ((1u << PROC_SESSION_BITS) - 1);
}

/* Any of them may be NULL. They run from the event loop. */
struct proc_ops {
    /* p->config is the new generation. `before` is freed when the call returns: nothing may point
     * into it any more. */
    void (*on_config)(void *ctx, const struct config *before);
    void (*on_inbox)(void *ctx, const struct inbox_msg *msg);
    /* An area has, or may have, a new epoch. */
    void (*on_wake)(void *ctx);
    /* Called again when a stricter stop overrides. Call proc_end when done: at once or later.
     * NULL: the frame ends the process at once. Bounded: the parent kills what is left a few
     * seconds after a fast stop. */
    void (*on_stop)(void *ctx, enum proc_stop mode);
};

/* Runs the event loop until proc_end, or until the parent has gone. */
void proc_run(struct proc *p, const struct proc_ops *ops, void *ctx);

/* Lets proc_run return after the running callback. */
void proc_end(struct proc *p);

/* What ps shows: "pgpool: child 2: <words>". Cheap enough for every change of state, not for
 * every statement. */
void proc_title(struct proc *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Sends with our slot as the sender's. False: dropped, the queue was full. */
bool proc_send(struct proc *p, uint32_t to_slot, struct inbox_msg *msg);

/* A child that wants to be replaced by a fresh one: true, and the parent is told to fork its
 * successor; the child accepts no more and ends with its last session. False when no slot is free
 * for a successor: then it goes on as before, and may ask again later. */
bool proc_retire(struct proc *p);

struct passwd;

/* Reads pool_passwd, and the key for its AES entries ("": there is none); what is not there counts
 * as empty, for pool_passwd only. -1: one is faulty, or others can read it. Blocks on the disk. */
int proc_load_passwords(const char *path, const char *key_path, struct passwd **p_r,
                        struct err *err);

/* The same in place of *passwords_io, which stays when a file is faulty (the log says why): NULL
 * when none was good yet, which is not the same as an empty one: nobody may be taken for unknown
 * then. */
void proc_read_passwords(const struct config *cfg, const char *key_path,
                         struct passwd **passwords_io);

/* The password of a user of our own: the configured one (TEXT..., AES... or bare), or that of
 * pool_passwd where that is ""; NULL when there is none. Borrowed from either. */
const char *proc_password(struct passwd *passwords, const char *user, const char *configured);

struct pcp_users;

/* Reads pcp.conf. *users_r is NULL when there is no such file. -1: it is faulty, or others can read
 * it. Blocks on the disk. */
int proc_read_pcp_users(const char *path, struct pcp_users **users_r, struct err *err);

/* The same for a process that has them: true with *users_io another one (what it was before is
 * still the caller's). A file that has become faulty leaves those in force that were known before;
 * one that is faulty at the start lets in nobody who needs a password. */
bool proc_take_pcp_users(const struct proc *p, bool at_start, struct pcp_users **users_io);

/* ---- the entries (include/tables/processes.def) -----------------------------------------------
 */

void child_main(struct proc *p);
void lag_main(struct proc *p);
void wal_main(struct proc *p);
void pcp_main(struct proc *p);
void http_main(struct proc *p);
void logger_main(struct proc *p);
void health_main(struct proc *p);
void failover_main(struct proc *p);
void watchdog_main(struct proc *p);

/* A process without work of its own: serves its signals, inbox and wake until it is stopped. */
void proc_idle_main(struct proc *p);

#endif

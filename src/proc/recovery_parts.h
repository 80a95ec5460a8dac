/*
 * Between the files of online recovery (proc/recovery.h).
 */
#ifndef PROC_RECOVERY_PARTS_H
#define PROC_RECOVERY_PARTS_H

#include "base/arena.h"
#include "base/buf.h"
#include "cluster/rebuild.h"
#include "os/ask.h"
#include "os/run.h"
#include "proc/recovery.h"

enum {
    RECOVERY_ASK_MS = 10 * 1000,
    RECOVERY_POLL_MS = 200,
    RECOVERY_CHECKPOINT_MS = 3600 * 1000,
    RECOVERY_REWOUND_MS = 60 * 1000, /* for a rewound node to stream, before it is copied */
};
/* For what takes as long as it takes. */
#define RECOVERY_UNBOUNDED_MS (30LL * 24 * 3600 * 1000)

enum recovery_phase {
    RECOVERY_FACTS,      /* what the primary is */
    RECOVERY_HISTORY,    /* its earlier timelines */
    RECOVERY_CHECKPOINT, /* so that its control file names its timeline, for pg_rewind */
    RECOVERY_LOCK,       /* no other recovery of the node by scripts */
    RECOVERY_SCRIPT,     /* one of them is running on the primary */
    RECOVERY_FORGET,     /* their output is taken away */
    RECOVERY_RUN,        /* our script is running at the node's host */
    RECOVERY_POSITION,   /* how far the primary has written */
    RECOVERY_STREAM,     /* until the node streams */
    RECOVERY_CLEAN,      /* our script takes away what was kept */
    RECOVERY_READY,      /* `ready` was told */
    RECOVERY_MARK,       /* what was written last at the primary */
    RECOVERY_REPLAY,     /* until the node has that */
    RECOVERY_PROMOTE,    /* the node is told to be a server of its own, */
    RECOVERY_PROMOTED,   /* until it is */
    RECOVERY_UNSLOT,     /* its slot at the primary goes */
    RECOVERY_OVER,
};

enum recovery_script {
    RECOVERY_FIRST_STAGE,
    RECOVERY_SECOND_STAGE,
    RECOVERY_REMOTE_START,
    RECOVERY_SCRIPTS,
};

struct recovery {
    struct io *io;
    struct dns *dns;
    const struct recovery_ops *ops;
    void *ctx;
    struct arena arena; /* the options */
    struct recovery_options options;
    enum recovery_phase phase;
    struct ask *primary;
    struct ask *reader; /* of the output of a script on the primary */
    struct ask *node;
    struct io_timer timer;    /* the first step; then the next question */
    struct io_timer deadline; /* of RECOVERY_STREAM */
    struct buf sql;           /* that primary is asked */
    struct buf reader_sql;
    /* the primary */
    char system_identifier[24];
    char directory[1024];
    uint32_t timeline;
    int server_version;
    uint32_t receiver; /* process that received WAL when the node was last asked */
    uint64_t position; /* that the node must receive */
    struct buf history;
    /* scripts on the primary */
    enum recovery_script script;
    bool script_ended;
    bool script_failed;
    uint64_t output_offset;
    struct buf output; /* a line that has not ended */
    /* our script */
    struct dns_query *lookup;
    struct run *run;
    enum rebuild_mode mode;
    bool rewound;
    bool cleans;          /* there is something to take away after it */
    bool promotes;        /* recovery_promote was called */
    uint8_t tries;        /* to drop: */
    char slot[64];        /* at the primary, that the node received WAL through; "": none */
    struct io_timer next; /* of a step that is not taken from within a callback */
    char last_error[RECOVERY_WORDS_MAX];
    char told_error[RECOVERY_WORDS_MAX]; /* the one that was passed on last */
};

void recovery_progress(struct recovery *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Both are the last that their caller does. */
void recovery_end(struct recovery *r, enum plan_result result, const char *words);
void recovery_fail(struct recovery *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

const char *recovery_host(const struct recovery_node *node);

/* A connection to a node as the recovery user. */
struct ask *recovery_ask(struct recovery *r, const struct recovery_node *node,
                         const struct ask_ops *ops);

/* Waits until the node streams; the next step then. */
void recovery_wait_stream(struct recovery *r);

/* It streams, and there is nothing to clean up any more. */
void recovery_streams(struct recovery *r);

/* Until the node is a server of its own: recovery_independent.c. answered: by the primary, in the
 * phases from MARK on. */
void recovery_be_ready(struct recovery *r);
void recovery_mark(struct recovery *r);
void recovery_mark_answered(struct recovery *r, const struct ask_rows *rows);
void recovery_mark_failed(struct recovery *r, const struct err *err);

/* Our script at the node's host: recovery_run.c */
void recovery_run_begin(struct recovery *r, enum rebuild_mode mode);

/* Scripts on the primary: recovery_script.c. answered: of the statement that the phase is for. */
void recovery_script_begin(struct recovery *r);
/* With `independent`: those behind the first stage. */
void recovery_script_go_on(struct recovery *r);
void recovery_script_answered(struct recovery *r, const struct ask_rows *rows);
void recovery_script_failed(struct recovery *r, const struct err *err);

#endif

/*
 * The inbox: one queue of small messages per process, made before any fork.
 *
 * A process that is forked again inherits its queue. Messages are facts ("node 1 refused a
 * connection"), safe to repeat and safe to lose: a full queue drops what comes, and counts it.
 * Nothing here blocks. A process is addressed by its slot (ipc/shared.h).
 */
#ifndef IPC_INBOX_H
#define IPC_INBOX_H

#include "base/err.h"
#include "base/util.h"
#include "ipc/holds.h"

#include <stdbool.h>

enum inbox_kind {
    INBOX_NODE_FAILED = 1, /* child -> lag, and the health process of the node: .node */
    INBOX_NODE_OK,         /* child -> lag: .node */
    INBOX_CHILD_RETIRING,  /* child -> parent: accepts no more; fork another in a free slot */
    INBOX_CANCEL,          /* child -> child: .cancel */
    INBOX_CANCEL_DONE,     /* back to the asker: .cancel_done */
    INBOX_CLOSE_IDLE,      /* child -> child: .node.words: close idle connections to this database;
                            * "": to any */
    INBOX_SPARE,           /* child -> child: .node: close an idle server connection to it */
    INBOX_LOG_ROTATE,      /* anybody -> logger: begin a new file */
    INBOX_HOLD,            /* pcp -> parent: .hold */
    INBOX_HOLD_DONE,       /* back to the asker: .hold_done */
    INBOX_HEALTH_FACT,     /* health -> failover: .fact */
    INBOX_HEALTH_HURRY,    /* failover -> health: .hurry */
    INBOX_WD_FACT,         /* health -> watchdog: .fact, a struct wd_fact */
    INBOX_NODE_COMMAND,    /* pcp -> failover: .command */
    INBOX_NODE_COMMAND_DONE, /* back to the asker: .command_done; several, while it goes on */
    INBOX_ORDER,             /* pcp -> parent: .order */
    INBOX_ORDER_DONE,        /* back to the asker: .command_done */
    INBOX_END_ELDERS,        /* failover -> parent: older generations are to end */
    INBOX_COPY_LOST,         /* child -> failover: .node: it has missed a commit of the others */
    INBOX_SEQUENCES,         /* child -> failover: .node.words: in this database some may differ */
    INBOX_END_CHILD,         /* failover -> parent: .end: kill the child with this slot and pid */
};

enum { INBOX_KEY_BYTES = 256, INBOX_WORDS_BYTES = 256, INBOX_FACT_BYTES = 256 };

/* What an administrator wants of the failover process (cluster/plan.h). */
enum inbox_node_command {
    NODE_COMMAND_ATTACH = 1,
    NODE_COMMAND_DETACH,
    NODE_COMMAND_PROMOTE,
    NODE_COMMAND_SWITCHOVER, /* node_id -1: to the best one */
    NODE_COMMAND_RECOVER,
};

/* What an administrator wants of the parent. */
enum inbox_order {
    ORDER_STOP_SMART = 1,
    ORDER_STOP_FAST,
    ORDER_STOP_IMMEDIATE,
    ORDER_RELOAD,
    ORDER_ROTATE_LOG,
};

enum inbox_command_result { NODE_COMMAND_REFUSED, NODE_COMMAND_OK, NODE_COMMAND_PROGRESS };

struct inbox_msg {
    uint32_t kind; /* enum inbox_kind */
    uint32_t from; /* slot of the sender */
    union {
        struct {
            int32_t node_id;
            uint32_t group;                /* of INBOX_SPARE */
            char words[INBOX_WORDS_BYTES]; /* what happened; always ends in NUL */
        } node;
        struct {
            uint64_t token;   /* the asker's, comes back with the answer */
            uint32_t pid;     /* of BackendKeyData as we gave it to the client */
            uint32_t key_len; /* 4 to 256 */
            uint8_t key[INBOX_KEY_BYTES];
        } cancel;
        struct {
            uint64_t token;
            uint32_t found; /* 1: the key was right and the server has been asked */
        } cancel_done;
        struct {
            uint32_t token; /* the asker's, comes back with the answer */
            struct hold_request request;
        } hold;
        struct {
            uint32_t token;
            uint32_t done; /* 0: it was refused */
            struct hold_request request;
            uint32_t is_new;               /* it was not so before */
            char sqlstate[6];              /* why it was refused, */
            char words[INBOX_WORDS_BYTES]; /* and in words; both end in NUL */
        } hold_done;
        struct {
            int32_t node_id;
            uint8_t bytes[INBOX_FACT_BYTES]; /* a struct health_fact (cluster/health.h) */
        } fact;
        struct {
            int64_t every_ns; /* a probe as often as that is wanted, and to hear of each, */
            int64_t until_ns; /* until then */
        } hurry;
        struct {
            uint32_t token; /* the asker's, comes back with the answer */
            uint32_t verb;  /* enum inbox_order */
        } order;
        /* Comes again with the same token while nothing is heard of it: that is no new command. No
         * two commands of one pgpool have a token in common. */
        struct {
            uint32_t token;  /* the asker's, comes back with the answer */
            uint32_t verb;   /* enum inbox_node_command */
            int32_t node_id; /* -1: none */
            uint32_t gracefully;
        } command;
        struct {
            uint32_t token;
            uint32_t done;                 /* enum inbox_command_result */
            char sqlstate[6];              /* why it was refused or failed, */
            char words[INBOX_WORDS_BYTES]; /* and in words, or what is done now; both end in NUL */
        } command_done;
        struct {
            uint32_t slot;
            int32_t pid;
        } end;
    };
};
_Static_assert(sizeof(struct inbox_msg) <= 512, "an inbox message is small");

struct inboxes;

/* Before any fork. One queue per slot. */
int inboxes_new(uint32_t slot_count, struct inboxes **in_r, struct err *err);
void inboxes_free(struct inboxes *in);

/* After fork, in the process of this slot: closes the receiving ends of all others. */
void inboxes_keep(struct inboxes *in, uint32_t slot);

/* Any process. Fills msg->from with the sender's slot given to inboxes_keep (0 before). False
 * when the queue was full: the message is dropped and counted. */
bool inbox_send(struct inboxes *in, uint32_t to_slot, struct inbox_msg *msg);

/* Becomes readable when a message waits: for io_watch. */
int inbox_fd(const struct inboxes *in, uint32_t slot);

/* The next message of our own queue; false when there is none. What is not a whole message of a
 * known kind is skipped. */
bool inbox_receive(struct inboxes *in, uint32_t slot, struct inbox_msg *msg_r);

/* How many this process could not send since its start. */
uint64_t inbox_dropped(const struct inboxes *in);

#endif

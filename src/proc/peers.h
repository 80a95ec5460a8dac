/*
 * Other generations of processes, and how they are told from one another; for the files of this
 * room.
 *
 * `pgpool upgrade` makes a new generation: a new parent with children of its own. Older ones finish
 * their sessions. The parents of two generations speak over one channel (os/channel.h), in lines of
 * text that every version understands:
 *
 *     serving FIRST COUNT             new -> old: I have taken over; finish. My children's numbers
 *     stop MODE                       both ways: 1 smart, 2 fast, 3 immediate
 *     rotate                          both ways: begin a new log file
 *     reload                          old -> new: read the files again
 *     cancel ID PID KEY               a cancel request for a session of yours; KEY is hexadecimal
 *     cancelled ID FOUND              the answer; FOUND is 0 when no session has that key
 *
 * A line that is not understood is skipped. The end of the channel is the end of the other one.
 */
#ifndef PROC_PEERS_H
#define PROC_PEERS_H

#include "base/err.h"
#include "base/util.h"
#include "ipc/inbox.h"
#include "os/io.h"
#include "os/sock.h"

#include <stdbool.h>
#include <sys/types.h>

struct parent;

enum { ELDERS_MAX = 8, RELAYS_MAX = 64, PID_FILE_BYTES = 4096 };

/* The parent of another generation. */
struct peer {
    struct parent *parent; /* our own, set with the watch */
    int fd;                /* -1: nobody */
    struct io_watch *watch;
    pid_t pid;
    uint32_t child_base;  /* its children's numbers in cancel keys go from here ... */
    uint32_t child_count; /* ... so far; no two living generations have one in common */
};

/* A cancel request that a child of ours has asked us to pass on. */
struct relay {
    uint32_t id;   /* 0: none */
    uint32_t from; /* the child's slot */
    uint64_t token;
    const struct peer *to;
};

struct peers {
    struct peer elders[ELDERS_MAX]; /* older ones that still have sessions */
    struct peer successor;          /* who takes over from us, or has done so */
    struct relay
        relays[RELAYS_MAX]; /* by id modulo RELAYS_MAX; a new one drops what is forgotten */
    uint32_t last_relay;
};

/* Nobody. */
void peers_init(struct peers *p);

/* Listens to this peer, whose fd and pid are set. */
void peer_watch(struct parent *pa, struct peer *peer);

/* Takes what it has said by now; the loop does it whenever there is something. */
void peer_hear(struct peer *peer);

/* Lets go of the channel. Safe on nobody. */
void peer_close(struct peer *peer);

/* They are another one's from now on. Who asked for a cancel there is not kept waiting. */
void peers_close_elders(struct parent *pa);

/* False when it cannot be told (any more). */
bool peer_say(const struct peer *peer, const char *fmt, ...) PRINTF_LIKE(2, 3);
void peers_say_to_elders(struct parent *pa, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* How many older generations still have sessions. */
uint32_t peers_elder_count(const struct parent *pa);

/* Those that did not stop when they were told to. */
void peers_kill_elders(struct parent *pa);

/* A child's cancel request that names none of our sessions: goes to the generation that has it.
 * What nobody has is answered at once. */
void peers_cancel(struct parent *pa, const struct inbox_msg *msg);

/* A child of ours has done what another generation had asked for. */
void peers_cancel_done(struct parent *pa, const struct inbox_msg *msg);

/* Right after fork, in other processes: the descriptors alone; the watches have gone with the
 * loop. */
void peers_forget(struct peers *p);

/* ---- handover.c: what a parent gives to its successor -----------------------------------------
 */

struct handover {
    struct peers *peers; /* filled: elders[0] is the one whom we succeed */
    struct sock_listeners clients;
    struct sock_listeners pcp;
    struct sock_listeners http;
    int log_fd;    /* what its stderr was, where its log goes */
    int writes_fd; /* the word of the last write (ipc/shared.h) */
    char pid_file[PID_FILE_BYTES];
};

/* Puts all of it into the channel, for whoever will be at its other end; ours stays ours. */
int handover_send(int fd, struct parent *pa, struct err *err);

/* What was handed to this process by its environment. *h_r is NULL after an ordinary start. Fails
 * when it is not understood. Peers are put into *peers. */
int handover_receive(struct peers *peers, struct handover **h_r, struct err *err);

/* Closes what nobody has taken. Safe on NULL. */
void handover_close_rest(struct handover *h);

/* In the process that is about to become the successor: leaves the channel open and names it in
 * the environment. */
void handover_announce(int fd);

#endif

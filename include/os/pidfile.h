/*
 * A file that says which process owns something, and a lock on it that says whether it still does.
 *
 * The lock goes with the process, however it dies: a file left behind is told from a living
 * owner's without guessing by process id. It is not inherited by fork.
 */
#ifndef OS_PIDFILE_H
#define OS_PIDFILE_H

#include "base/err.h"
#include "base/util.h"

#include <stdbool.h>
#include <sys/types.h>

struct pidfile {
    int fd;     /* -1: not held */
    char *path; /* own memory */
};

#define PIDFILE_NONE ((struct pidfile){-1, NULL})

/* Takes the lock and writes our process id. A stale file is taken over. When somebody lives in it,
 * returns -1 and *owner_r is the process id (0 for other failures). */
int pidfile_take(struct pidfile *p, const char *path, pid_t *owner_r, struct err *err);

/* Takes the name over from a living owner: a new file with our process id and our lock stands in
 * the old one's place, and at no moment is there none. The old owner's lock means nothing from
 * then on. Only by agreement with that owner. */
int pidfile_replace(struct pidfile *p, const char *path, struct err *err);

/* Held, and the file at its path still is the one that we hold. */
bool pidfile_is_ours(const struct pidfile *p);

/* Removes what a pidfile_replace that was killed half way has left beside the file. */
void pidfile_clean(const char *path);

/* Removes the file, unless it has become another's, and lets go of it. Safe on one that is not
 * held. */
void pidfile_drop(struct pidfile *p);

/* After fork, in a process that is not the owner: closes it without touching the file. */
void pidfile_forget(struct pidfile *p);

/* Who lives in this file: 0 when nobody does, -1 (and errno) when the file cannot be opened for
 * another reason than that it is not there. Never to be asked by the owner itself: closing the file
 * would let go of its own lock. */
pid_t pidfile_owner(const char *path);

#endif

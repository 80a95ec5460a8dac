/*
 * What a process may do: its user, its capabilities, and whether its memory may be looked at.
 *
 * None of it can be had back. Source: capabilities(7), prctl(2), credentials(7).
 */
#ifndef OS_RIGHTS_H
#define OS_RIGHTS_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

struct rights_user {
    char name[64];
    char home[256];
    uid_t uid;
    gid_t gid;
};

/* Looks a user up, by name or number; group "" is the user's own. -1: there is none (42704). Reads
 * the system's tables of users, and may block for that. */
int rights_find(const char *user, const char *group, struct rights_user *user_r, struct err *err);

/* We are that user already. */
bool rights_is(const struct rights_user *user);

/* Gives a file, socket or directory of ours to the user; its group stays. One that is not there, is
 * another's, or has other names besides stays as it is: using it says so better. Does not follow
 * symbolic links. */
void rights_give(const struct rights_user *user, const char *path);

/* Becomes the user, with all groups of his, and sets HOME, USER and LOGNAME for what we run. All
 * rights of root are gone. -1: not root, or the kernel refuses; then the process must end. */
int rights_become(const struct rights_user *user, struct err *err);

/* Who will run commands keeps what these may need: all that root has, or the right to gain rights
 * by sudo and its like. Anybody else loses both, for good: of root's capabilities only those for
 * files of others, locked memory and audit records stay (PAM's modules need them as root), and no
 * program that it might start gains any. */
void rights_limit(bool runs_commands);

/* No core files, no debugger of our own user, no look at /proc/PID/mem: memory holds secrets. With
 * allow, the opposite: core files as large as the hard limit lets them be. Holds for what is
 * forked, and not for what is executed. After rights_become, the kernel's own choice is in force
 * until this is called again. */
void rights_guard_memory(bool allow);

#endif

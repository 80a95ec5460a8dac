/*
 * Asking PAM for a client's password (PostgreSQL's manual, "PAM Authentication").
 *
 * The password was asked from the client before, in the clear. Blocks for as long as the modules
 * like: to be run on a worker (os/worker.h), never in a loop.
 */
#ifndef AUTH_PAM_H
#define AUTH_PAM_H

#include "base/err.h"

#include <stdbool.h>

/* Of a rule without pamservice: /etc/pam.d/pgpool, as with Pgpool-II. */
#define PAM_DEFAULT_SERVICE "pgpool"

struct pam_request {
    const char *service; /* NULL or empty: the default */
    const char *user;
    const char *password;
    const char *remote_host; /* address, or name with pam_use_rhostname; NULL: a unix socket */
};

/* Was built with libpam. Without, pam_check fails, and a rule with this method is an error. */
bool pam_is_built(void);

/* 0: the password is the user's, and the account may be used now. -1: the error's SQLSTATE is 28000
 * when PAM has refused this user or password, 58000 when it could not be asked; some modules
 * (pam_exec) say the latter of whatever they refuse. The message is for the log and holds no
 * secret: the client hears only that authentication failed. Thread-safe, as far as the modules are.
 */
int pam_check(const struct pam_request *request, struct err *err);

#endif

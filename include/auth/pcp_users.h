/*
 * pcp.conf: who may administrate, with which password, as what.
 *
 * One entry a line, user:secret or user:secret:role. The secret has one of the forms of
 * auth/secret.h; the role is admin (also when none is given: Pgpool-II's files stay what they are)
 * or monitor. Pure: the caller reads the file.
 */
#ifndef AUTH_PCP_USERS_H
#define AUTH_PCP_USERS_H

#include "auth/secret.h"

#include <stdbool.h>

enum pcp_role {
    PCP_MONITOR = 1, /* may look */
    PCP_ADMIN,       /* may do everything */
};

enum { PCP_FILE_MAX = 1024 * 1024, PCP_LINE_MAX = 4096 };

struct pcp_users;

/* Reads the content of a file; name stands for it in messages ("pcp.conf:3: ..."). Empty lines and
 * lines that begin with # count for nothing. A user who stands there twice is a fault. */
int pcp_users_parse(const char *text, size_t len, const char *name, struct pcp_users **u_r,
                    struct err *err);

/* NULL is allowed. Wipes the secrets. */
void pcp_users_free(struct pcp_users *u);

enum pcp_found {
    PCP_USER_UNKNOWN,
    PCP_USER_KNOWN,
    PCP_USER_NEEDS_CLEAR, /* could prove himself only by a password in the clear, on a channel that
                           * is not safe for one */
};

struct pcp_user {
    enum pcp_role role;
    struct secret secret;
};

/* Whoever is not PCP_USER_KNOWN gets a secret, too, that no password fits: the same one each time,
 * of the form that the file's first entry has, so that nobody finds out by asking who is known. */
enum pcp_found pcp_users_find(const struct pcp_users *u, const char *user, bool channel_is_safe,
                              struct pcp_user *user_r);

/* Is this the user's password? It has come in the clear, over a channel that is safe for that. A
 * SCRAM verifier takes about a millisecond, and so does whoever is not known. */
bool pcp_users_prove(const struct pcp_users *u, const char *user, const char *password,
                     enum pcp_role *role_r);

const char *pcp_role_name(enum pcp_role role);

#endif

/*
 * What would become of a login, in words: for PGPOOL EXPLAIN LOGIN.
 *
 * Pure, and says what the rules and secrets say by themselves: it asks no server, no resolver, and
 * nobody for a password.
 */
#ifndef AUTH_EXPLAIN_H
#define AUTH_EXPLAIN_H

#include "auth/hba.h"
#include "auth/passwd.h"

struct explain_login {
    const char *user;
    const char *database;
    const struct sockaddr *addr; /* NULL: a unix socket */
    bool tls;
    bool by_lines;                  /* enable_pool_hba */
    const struct hba *hba;          /* NULL: there are no lines */
    const struct hba_nets *nets;    /* NULL: not known */
    const struct passwd *passwords; /* NULL: none */
    const char *auth_user;          /* "": the servers are not asked for passwords */
    bool allow_clear_text;          /* allow_clear_text_frontend_auth */
};

/* One line of the answer. */
typedef void explain_fn(void *ctx, const char *item, const char *words);

/* Rule, method, where the secret comes from, what the client is asked for, and what the servers
 * are told. */
void explain_login(const struct explain_login *e, explain_fn *fn, void *ctx);

#endif

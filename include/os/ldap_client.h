/*
 * One connection to an LDAP server through libldap: open, bind, find one entry. auth/ldap.h is what
 * others call.
 *
 * Everything blocks up to the deadline given at the opening, plus the time that it takes to resolve
 * names; for a thread of os/worker.h. Referrals are not followed: they would lead a login to
 * servers that nobody has named.
 */
#ifndef OS_LDAP_CLIENT_H
#define OS_LDAP_CLIENT_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>

struct ldap_client;

bool ldap_client_is_built(void);

enum ldap_answer {
    LDAP_ANSWER_YES,
    LDAP_ANSWER_NO,      /* refused, or no such entry: err (28000) says why */
    LDAP_ANSWER_UNKNOWN, /* could not be asked: err (58000) says why */
};

/* uri: "ldap://one:389". The connection is made when it is first needed; with start_tls it is made
 * and encrypted here. -1: err says why. */
int ldap_client_open(const char *uri, bool start_tls, int64_t deadline_ns,
                     struct ldap_client **client_r, struct err *err);

/* A simple bind. Without a name and a password: an anonymous one. The server refuses with
 * LDAP_ANSWER_NO only when name or password are wrong. */
enum ldap_answer ldap_client_bind(struct ldap_client *c, const char *name, const char *password,
                                  struct err *err);

/* Which entries, and how they are told apart. scope: 0 base, 1 one level, 2 the whole subtree. */
struct ldap_search {
    const char *base;
    int scope;
    const char *filter;
};

/* The distinguished name of the only entry that matches; none and several are LDAP_ANSWER_NO. */
enum ldap_answer ldap_client_find(struct ldap_client *c, const struct ldap_search *search,
                                  struct buf *name_r, struct err *err);

/* NULL is allowed. */
void ldap_client_close(struct ldap_client *c);

#endif

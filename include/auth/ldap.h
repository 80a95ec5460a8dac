/*
 * Asking LDAP servers for a client's password (PostgreSQL's manual, "LDAP Authentication"): by a
 * bind as a name built from prefix, user and suffix, or by searching the user's entry and a bind as
 * that.
 *
 * The password was asked from the client before, in the clear. ldap_check blocks up to its timeout
 * (and for as long as names are resolved): to be run on a worker (os/worker.h), never in a loop.
 * Everything else here is pure.
 */
#ifndef AUTH_LDAP_H
#define AUTH_LDAP_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>

/* The options of a line of pool_hba.conf, by their names there without "ldap". Strings that are
 * NULL or empty were not given. */
struct ldap_options {
    const char *server; /* names or addresses, separated by spaces: tried in this order */
    uint16_t port;      /* 0: 389, or 636 with ldaps */
    bool tls;           /* StartTLS */
    const char *scheme; /* "ldap" or "ldaps" */
    const char *prefix;
    const char *suffix;
    const char *basedn;
    const char *binddn;
    const char *bindpasswd;
    const char *searchattribute; /* "uid" when not given */
    const char *searchfilter;    /* with $username */
    const char *url;             /* gives scheme, server, port, basedn, attribute, scope, filter */
};

struct ldap_request {
    struct ldap_options options;
    const char *user;
    const char *password;
    int timeout_ms; /* for all of it */
};

/* Was built with libldap. Without, ldap_check fails, and a rule with this method is an error. */
bool ldap_is_built(void);

/* Are the options sound and complete, in PostgreSQL's words? -1 with F0000. */
int ldap_options_check(const struct ldap_options *options, struct err *err);

/* 0: the password is the user's. -1: the error's SQLSTATE is 28000 when the servers have refused
 * this user or password, or either may not be used with LDAP (empty passwords; user names with
 * characters that mean something in a filter); F0000 for the options; 58000 when no server could
 * be asked. The message is for the log and holds no secret: the client hears only that
 * authentication failed. Thread-safe. */
int ldap_check(const struct ldap_request *request, struct err *err);

/* ---- the pure part, for ldap_check and the tests ------------------------------------------- */

enum ldap_scope { LDAP_SCOPE_IS_BASE, LDAP_SCOPE_IS_ONE, LDAP_SCOPE_IS_SUB };

/* What the options come to: the URL taken apart, defaults filled in. */
struct ldap_plan {
    struct buf uris; /* "ldap://one:389", each with a NUL behind it */
    unsigned uri_count;
    bool start_tls;
    bool searches;
    enum ldap_scope scope;
    struct buf base;   /* of the search */
    struct buf filter; /* of the search, for this user */
    struct buf name;   /* to bind as, without a search */
};

/* Checks options and user. Errors as ldap_check. The plan is to be freed in any case. */
int ldap_plan_make(const struct ldap_options *options, const char *user, struct ldap_plan *plan_r,
                   struct err *err);
void ldap_plan_free(struct ldap_plan *plan);

/* A value as it stands in a distinguished name (RFC 4514, 2.4) and in a filter (RFC 4515, 3). */
void ldap_escape_dn(struct buf *out, const char *value);
void ldap_escape_filter(struct buf *out, const char *value);

#endif

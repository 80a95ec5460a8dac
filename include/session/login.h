/*
 * Who may come in: what all logins of a process share.
 *
 * A login is begun with what is in force at that moment and ends with it, whatever is reloaded
 * meanwhile.
 */
#ifndef SESSION_LOGIN_H
#define SESSION_LOGIN_H

#include "auth/hba.h"
#include "auth/ident.h"
#include "auth/passwd.h"
#include "auth/secret.h"
#include "base/list.h"
#include "os/dns.h"
#include "os/worker.h"
#include "session/role_query.h"

/* Immutable, reference-counted. */
struct login_rules {
    uint32_t refs;
    bool by_lines;            /* enable_pool_hba: without lines nobody may come in */
    struct hba *hba;          /* NULL: there are none */
    struct ident *ident;      /* NULL: none */
    struct passwd *passwords; /* pool_passwd; NULL: none */
};

/* Takes the references over (refs does not count); the caller holds the only one of the result. */
struct login_rules *login_rules_new(const struct login_rules *content);
struct login_rules *login_rules_ref(struct login_rules *r);
void login_rules_unref(struct login_rules *r); /* NULL is allowed */

struct login_host {
    struct login_rules *rules;
    struct role_query *roles; /* NULL: no auth_query */
    struct worker *worker;    /* for PAM, LDAP and the names of users */
    struct dns *dns;
    const struct hba_nets *nets;
    bool allow_clear_text;    /* allow_clear_text_frontend_auth */
    int64_t failure_delay_ms; /* auth_failure_delay */
    uint32_t begun_max;       /* max_unauthenticated_clients, 0: no limit */
    uint8_t mock_key[SECRET_MOCK_KEY_BYTES];
    struct list begun; /* logins that are not through, oldest first */
    uint32_t begun_count;
    int64_t crowded_ns; /* when it was last told that there were too many */
};

/* Ends the oldest of those who keep us waiting, while there are more than begun_max. Once a second.
 */
void login_hosts_sweep(struct login_host *host);

#endif

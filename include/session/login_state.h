/*
 * One login, from the first byte to the welcome. For login*.c and startup.c.
 */
#ifndef SESSION_LOGIN_STATE_H
#define SESSION_LOGIN_STATE_H

#include "auth/challenge.h"
#include "session/internal.h"
#include "session/login.h"

/* How it is decided. */
enum login_way {
    LOGIN_BY_US,     /* by a rule, a secret, or somebody whom a rule names */
    LOGIN_OPEN,      /* by the servers: they let the role in without any proof, */
    LOGIN_BY_SERVER, /* or by the password that the client has given to us */
};

/* What the client was asked for. */
enum login_asked { LOGIN_ASKED_NOTHING, LOGIN_ASKED_PROOF, LOGIN_ASKED_TEXT };

struct login_job; /* on a thread */

struct session_login {
    struct list link; /* in the host's list */
    struct session *session;
    int64_t silent_ns; /* since when we wait for the client; 0: we do not */
    struct login_rules *rules;
    const struct hba_line *line; /* that has matched; NULL: there are no rules */
    uint8_t way;                 /* enum login_way */
    uint8_t asked;               /* enum login_asked */
    bool by_secret;              /* what it has to prove was asked from the servers */
    struct sock_address peer;
    struct buf parameters; /* of the startup packet, for the key */
    bool knows_roles;
    struct hba_roles roles;                  /* our own memory */
    void (*resume)(struct session_login *l); /* when they are known */
    char *host_name;                         /* NULL: not looked up; "": none */
    char *system_user; /* as whom a client on this system runs; NULL: not looked up */
    char doom[128];    /* why whatever it answers is wrong, for the log */
    struct challenge *challenge;
    struct credentials *proved; /* what it has proved to us */
    struct credentials *proof;  /* the password that it gave, and nobody has proved */
    struct role_waiter waiter;
    struct dns_reverse *reverse;
    struct dns_query *forward;
    struct worker_job *job;
    struct server *server; /* that is being dialled for it */
    uint64_t tried[2];     /* nodes */
};

/* ---- login.c ---- */

struct session_login *login_new(struct session *s);
/* NULL is allowed. Whatever it waits for is dropped. */
void login_free(struct session_login *l);
/* The startup packet has come: finds out whether the client may come in. */
void login_begin(struct session_login *l);
/* More has come of the client. */
void login_received(struct session_login *l);
/* A server asks for a password where we have none. */
void login_needs_text(struct session_login *l);
/* Has failed: the client hears of it after auth_failure_delay. reason: for our log. */
void login_refuse(struct session_login *l, const struct err *err, const char *reason);
/* The same, with the server's own message. */
void login_refuse_with(struct session_login *l, const struct err *err, const uint8_t *fatal,
                       size_t fatal_len);
/* Could not be decided: the client hears of it at once. */
void login_broken(struct session_login *l, const struct err *err);
/* For log_connections. */
void login_describe(const struct session_login *l, char *text, size_t size);

/* ---- login_rule.c ---- */

/* LOGIN_MATCHES: the line is there. LOGIN_REFUSED: with err. */
enum login_match { LOGIN_MATCHES, LOGIN_REFUSED, LOGIN_TAKES_ROLES, LOGIN_TAKES_HOST_NAME };
enum login_match login_match(struct session_login *l, struct err *err);
/* Does the line take its certificate? -1 with err. */
int login_check_certificate(const struct session_login *l, struct err *err);
/* Does that name the role, if the line wants it to? *reason_r: why not, for the log. */
enum ident_result login_check_name(const struct session_login *l, const char **reason_r);
/* "... authentication failed for user ..." */
void login_failure(const struct session_login *l, struct err *err);
/* May this user of the system be the role? */
enum ident_result login_maps(const struct session_login *l, const char *system_user);

/* ---- login_ask.c: what takes time; each ends in login.c ---- */

void login_ask_host_name(struct session_login *l);
void login_ask_system_user(struct session_login *l);
void login_ask_authority(struct session_login *l, const char *password); /* PAM or LDAP */
void login_ask_no_more(struct session_login *l);
/* What they tell. */
void login_host_name_known(struct session_login *l);
void login_system_user_known(struct session_login *l, const char *name, const struct err *err);
void login_authority_said(struct session_login *l, const char *password, const struct err *err);

#endif

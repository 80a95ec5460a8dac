/*
 * Logging in to a server: what to answer to each Authentication message.
 *
 * A machine without I/O, fed by pool/. It knows trust, cleartext, md5, SCRAM-SHA-256 and
 * SCRAM-SHA-256-PLUS.
 * Source: PostgreSQL's manual, section "Start-up".
 */
#ifndef AUTH_LOGIN_H
#define AUTH_LOGIN_H

#include "auth/scram.h"

enum login_state {
    LOGIN_BEGUN,
    LOGIN_SCRAM_FIRST, /* our first SCRAM message is out */
    LOGIN_SCRAM_FINAL, /* our proof is out */
    LOGIN_PROVED,      /* nothing more to prove */
    LOGIN_DONE,        /* AuthenticationOk came */
};

struct login_channel {
    bool is_safe; /* a password may cross it in the clear */
    bool is_tls;
    const uint8_t
        *binding; /* tls-server-end-point of the server's certificate; NULL: none. Copied */
    size_t binding_len;
};

struct login {
    const char *user;                /* borrowed */
    struct credentials *credentials; /* a reference of our own; NULL: none known */
    bool is_safe;
    struct scram_binding binding;
    enum login_state state;
    struct scram scram;
};

/* The credentials: NULL when nothing is known that could be proved; we take a reference. */
void login_init(struct login *l, const char *user, const struct credentials *credentials,
                const struct login_channel *channel);

/* Safe on what is all zeroes. */
void login_fini(struct login *l);

/* msg: a whole Authentication message ('R'). Appends what is to be sent. -1: the login has failed,
 * err says why and what to do. */
int login_step(struct login *l, const uint8_t *msg, uint32_t len, struct buf *out, struct err *err);

/* True when the server has accepted us, and has proved itself where the method asks for it. */
bool login_done(const struct login *l);

#endif

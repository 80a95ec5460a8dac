/*
 * Logging in to a server: what to answer to each Authentication message.
 *
 * A machine without I/O, fed by pool/. It knows trust, cleartext, md5 and SCRAM-SHA-256.
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

struct login {
    const char *user;     /* borrowed */
    const char *password; /* borrowed; NULL: none known */
    bool channel_is_safe; /* a password may cross it in the clear */
    enum login_state state;
    struct scram scram;
};

void login_init(struct login *l, const char *user, const char *password, bool channel_is_safe);
void login_fini(struct login *l);

/* msg: a whole Authentication message ('R'). Appends what is to be sent. -1: the login has failed,
 * err says why and what to do. */
int login_step(struct login *l, const uint8_t *msg, uint32_t len, struct buf *out, struct err *err);

/* True when the server has accepted us, and has proved itself where the method asks for it. */
bool login_done(const struct login *l);

#endif

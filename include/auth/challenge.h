/*
 * The server's side of a login: what to ask a client for, and whether its answer is right.
 *
 * A machine without I/O, fed by whoever has the client. It asks for a password in the clear, for
 * md5 or SCRAM-SHA-256, as the kept secret demands; the caller sees to it that no password is asked
 * for in the clear where others could read it (auth/pcp_users.h does).
 * Source: PostgreSQL's manual, sections "Start-up" and "SASL Authentication".
 */
#ifndef AUTH_CHALLENGE_H
#define AUTH_CHALLENGE_H

#include "auth/secret.h"

enum { CHALLENGE_ANSWER_MAX = 8192 }; /* of the client's message, header included */

enum challenge_state {
    CHALLENGE_ASKED,  /* waits for the password, its hash, or SCRAM's first message */
    CHALLENGE_PROOF,  /* waits for SCRAM's last message */
    CHALLENGE_PASSED, /* the client is who he says */
};

struct challenge {
    char *user;  /* our own copy */
    bool doomed; /* whatever is answered is wrong */
    struct secret secret;
    enum challenge_state state;
    uint8_t salt[4]; /* of md5 */
    struct scram_server scram;
};

/* The user and the secret are copied. Set doomed behind it where the user is not known, but must
 * not find that out by how he is asked. */
void challenge_init(struct challenge *c, const char *user, const struct secret *secret);

/* Appends the first question. -1: no random bytes. */
int challenge_begin(struct challenge *c, struct buf *out, struct err *err);

/* msg: a whole message of the type 'p'. Appends what is to be said next; when the state has become
 * CHALLENGE_PASSED, AuthenticationOk is still the caller's. -1: 28P01 for a wrong password, 08P01
 * for nonsense; the login has failed. */
int challenge_step(struct challenge *c, const uint8_t *msg, uint32_t len, struct buf *out,
                   struct err *err);

/* Wipes the secret. Safe on what is all zeroes. */
void challenge_fini(struct challenge *c);

#endif

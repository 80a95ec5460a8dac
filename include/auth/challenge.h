/*
 * The server's side of a login: what to ask a client for, and whether its answer is right.
 *
 * A machine without I/O, fed by whoever has the client. It asks for a password in the clear, for
 * md5 or SCRAM-SHA-256; the caller sees to it that no password is asked for in the clear where
 * others could read it.
 * Source: PostgreSQL's manual, sections "Start-up" and "SASL Authentication".
 */
#ifndef AUTH_CHALLENGE_H
#define AUTH_CHALLENGE_H

#include "auth/secret.h"

/* What a client's message may have in bytes, header included: PostgreSQL takes tokens of 65,535. */
enum { CHALLENGE_ANSWER_MAX = 65535 + 5 };

enum challenge_method {
    CHALLENGE_CLEAR, /* fits any secret */
    CHALLENGE_MD5,   /* with a verifier: SCRAM, as in PostgreSQL */
    CHALLENGE_SCRAM, /* nobody passes whose secret is an md5 */
};

enum challenge_state {
    CHALLENGE_ASKED,  /* waits for the password, its hash, or SCRAM's first message */
    CHALLENGE_FIRST,  /* the mechanism was chosen without a message: waits for SCRAM's first */
    CHALLENGE_PROOF,  /* waits for SCRAM's last message */
    CHALLENGE_PASSED, /* the client is who he says */
};

struct challenge_channel {
    bool is_tls;
    const uint8_t *binding; /* tls-server-end-point of our certificate; NULL: none. Copied */
    size_t binding_len;
    const uint8_t *mock_key; /* 32 bytes, as of secret_mock(): the salt for a SECRET_TEXT is made of
                              * it, too, so that nobody can tell those from unknown roles. NULL: a
                              * random salt. Borrowed until challenge_begin() */
};

struct challenge {
    char *user;                   /* our own copy */
    bool doomed;                  /* whatever is answered is wrong */
    enum challenge_method method; /* what is really asked for */
    struct secret secret;
    enum challenge_state state;
    uint8_t salt[4]; /* of md5 */
    const uint8_t *mock_key;
    struct scram_binding binding;
    struct scram_server scram;
    struct credentials *proved; /* see challenge_credentials() */
};

/* The user and the secret are copied; channel NULL: not TLS. Set doomed behind it where the user is
 * not known, but must not find that out by how he is asked (a secret of secret_mock() needs no such
 * thing). */
void challenge_init(struct challenge *c, enum challenge_method method, const char *user,
                    const struct secret *secret, const struct challenge_channel *channel);

/* The method that needs least trust of those that the secret allows. */
enum challenge_method challenge_method_for(const struct secret *secret);

/* Appends the first question. -1: no random bytes, no such hash in OpenSSL. */
int challenge_begin(struct challenge *c, struct buf *out, struct err *err);

/* msg: a whole message of the type 'p'. Appends what is to be said next; when the state has become
 * CHALLENGE_PASSED, AuthenticationOk is still the caller's. -1: 28P01 for a wrong or empty
 * password, 28000 for a channel binding that is not this channel's, 08P01 and 0A000 for nonsense;
 * the login has failed. */
int challenge_step(struct challenge *c, const uint8_t *msg, uint32_t len, struct buf *out,
                   struct err *err);

/* A new reference to what the client has proved, with which to log in to servers: the password
 * (asked for in the clear, or known to us), its md5, or the SCRAM keys that its proof gave away.
 * NULL before CHALLENGE_PASSED. */
struct credentials *challenge_credentials(const struct challenge *c);

/* The text of a message of the type 'p' that holds a password alone: for methods where somebody
 * else judges it (PAM, LDAP, a server). Borrowed from msg. NULL: 08P01, or 28P01 for an empty one.
 */
const char *challenge_text(const uint8_t *msg, uint32_t len, struct err *err);

/* Wipes the secret. Safe on what is all zeroes. */
void challenge_fini(struct challenge *c);

#endif

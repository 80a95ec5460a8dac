/*
 * What is kept of a client's password, to check it.
 */
#ifndef AUTH_SECRET_H
#define AUTH_SECRET_H

#include "auth/scram_server.h"

enum secret_kind {
    SECRET_MD5_ALONE, /* Pgpool-II's pcp.conf: md5(password). Checked only with the password itself
                       */
    SECRET_MD5,       /* PostgreSQL's "md5" + md5(password + user) */
    SECRET_SCRAM,     /* PostgreSQL's verifier */
    SECRET_TEXT,      /* the password itself */
};

enum { SECRET_MD5_BYTES = CREDENTIALS_MD5_BYTES }; /* 32 hexadecimal digits and NUL */
enum { SECRET_MOCK_KEY_BYTES = 32 };

struct secret {
    enum secret_kind kind;
    char md5[SECRET_MD5_BYTES]; /* lower case; of the first two kinds */
    struct scram_verifier scram;
    struct credentials *text; /* of SECRET_TEXT: CREDENTIALS_PASSWORD, a reference of its own */
};

/* Reads one of the first three forms (pcp.conf); -1 with F0000. */
int secret_parse(const char *text, size_t len, struct secret *secret_r, struct err *err);

/* The same of pg_authid.rolpassword: md5... or SCRAM-SHA-256$.... -1 with F0000. */
int secret_parse_role(const char *text, size_t len, struct secret *secret_r, struct err *err);

/* SECRET_TEXT; the reference is the caller's still, the secret takes one more. */
void secret_of_text(const struct credentials *password, struct secret *secret_r);

/* to is initialised by it. */
void secret_copy(struct secret *to, const struct secret *from);

/* Wipes it. Safe on what is all zeroes. */
void secret_fini(struct secret *secret);

/* A secret for a role that is not known: SECRET_SCRAM, the same salt each time for the same name
 * and key, keys that no password has; md5 is filled in, too, so that the caller may set the kind to
 * SECRET_MD5 where that is what others would be asked. The key: random, of this pgpool, the same in
 * all its processes. */
void secret_mock(const char *user, const uint8_t mock_key[SECRET_MOCK_KEY_BYTES],
                 struct secret *secret_r);

/* The salt and the iterations (SCRAM_ITERATIONS) of that secret, which a SECRET_TEXT is asked with,
 * too. */
void secret_salt(const char *user, const uint8_t mock_key[SECRET_MOCK_KEY_BYTES],
                 struct scram_keys *keys_r);

#endif

/*
 * What we can prove to a server: a password, PostgreSQL's md5 of one, or SCRAM's keys.
 *
 * Reference-counted, not for more than one thread; immutable but for what it remembers of
 * derivations. Wiped when the last reference goes.
 */
#ifndef AUTH_CREDENTIALS_H
#define AUTH_CREDENTIALS_H

#include "auth/scram_keys.h"

enum credentials_kind {
    CREDENTIALS_PASSWORD, /* proves itself to any server */
    CREDENTIALS_MD5,      /* to one that asks for md5 */
    CREDENTIALS_SCRAM,    /* to one that asks for SCRAM, with the same salt and iterations: all
                           * servers of a streaming cluster have one catalog of passwords */
};

enum { CREDENTIALS_MD5_BYTES = 33 };

struct credentials {
    enum credentials_kind kind;
    char *password;                  /* of CREDENTIALS_PASSWORD */
    char md5[CREDENTIALS_MD5_BYTES]; /* of CREDENTIALS_MD5: md5(password + user), lower case */
    struct scram_keys scram;         /* of CREDENTIALS_SCRAM */

    unsigned references;          /* private */
    struct scram_keys derived[2]; /* private: of the password, iterations 0: not used. Two: the
                                   * servers' salt, and ours for a client (auth/challenge.h) */
    unsigned derived_next;        /* private */
};

/* Each has one reference, the caller's; what is given is copied. */
struct credentials *credentials_password(const char *password);
struct credentials *credentials_md5(const char hex[CREDENTIALS_MD5_BYTES]);
struct credentials *credentials_scram(const struct scram_keys *keys);

/* One reference more; returns c. NULL is allowed. */
struct credentials *credentials_ref(const struct credentials *c);

/* One less. NULL is allowed. */
void credentials_unref(struct credentials *c);

/* Whether both prove the same in the same way; in a time that does not depend on what differs. Two
 * NULLs are equal. */
bool credentials_equal(const struct credentials *a, const struct credentials *b);

/* SCRAM's keys for the salt and the iterations that stand in *keys_io. -1 (28000, 0A000): an md5,
 * keys for another salt or other iterations, too many iterations to derive them. */
int credentials_keys(const struct credentials *c, struct scram_keys *keys_io, struct err *err);

#endif

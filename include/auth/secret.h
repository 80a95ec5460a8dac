/*
 * What is kept of a client's password, to check it later.
 */
#ifndef AUTH_SECRET_H
#define AUTH_SECRET_H

#include "auth/scram_server.h"

enum secret_kind {
    SECRET_MD5_ALONE, /* Pgpool-II's pcp.conf: md5(password). Checked only with the password itself
                       */
    SECRET_MD5,       /* PostgreSQL's "md5" + md5(password + user) */
    SECRET_SCRAM,     /* PostgreSQL's verifier */
};

enum { SECRET_MD5_BYTES = 33 }; /* 32 hexadecimal digits and NUL */

struct secret {
    enum secret_kind kind;
    char md5[SECRET_MD5_BYTES]; /* lower case; of the first two kinds */
    struct scram_verifier scram;
};

/* Reads one of the three forms; -1 with F0000. */
int secret_parse(const char *text, size_t len, struct secret *secret_r, struct err *err);

#endif

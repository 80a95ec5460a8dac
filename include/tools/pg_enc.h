/*
 * pg_enc and pg_md5: one program that is what it is called as. They make entries of pool_passwd
 * (and secrets for pcp.conf). What its files share.
 *
 * pg_enc.c       the command line, and what each makes of a password
 * pg_enc_file.c  pool_passwd, and files of users and passwords
 */
#ifndef TOOLS_PG_ENC_H
#define TOOLS_PG_ENC_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>

/* What the command line says. Strings are argv's. */
struct pg_enc {
    const char *tool;   /* "pg_enc" or "pg_md5" */
    bool is_md5;        /* pg_md5 */
    bool scram;         /* a SCRAM verifier instead of an AES text */
    bool update;        /* into pool_passwd */
    bool ask;           /* for the password */
    bool ask_key;       /* for the key */
    const char *user;   /* NULL: the user of the operating system */
    const char *config; /* NULL: the default */
    const char *input;  /* a file of users and passwords; NULL: none */
    const char *key_file;
    const char *key;      /* NULL: from the file */
    const char *password; /* NULL: ask */
};

/* Puts the entry user:secret into a pool_passwd in place of what stands there for the user, or at
 * its end; out gets the whole new content. Pure. */
void pg_enc_put(const struct buf *content, const char *user, const char *secret, struct buf *out);

/* The same with the file, which stays with its owner and is readable by him alone; it is made when
 * it is not there. */
int pg_enc_update(const char *path, const char *user, const char *secret, struct err *err);

/* Where pool_passwd lies, as the configuration says; the caller frees it. NULL with err. */
char *pg_enc_pool_passwd(const char *config, struct err *err);

struct pg_enc_pair {
    const char *user;
    const char *password;
    unsigned line_number; /* 0: not of a file */
};

/* Calls fn for each line user:password of the file, as far as it returns 0. */
typedef int pg_enc_pair_fn(void *ctx, const struct pg_enc_pair *pair, struct err *err);
int pg_enc_pairs(const char *path, pg_enc_pair_fn *fn, void *ctx, struct err *err);

#endif

/*
 * pool_passwd: what clients must prove to us, and what we can prove to servers.
 *
 * One entry a line, `user:secret`. The secret is a SCRAM verifier or md5 as in pg_authid, TEXT and
 * the password, AES and the password as Pgpool-II's pg_enc encrypts it, or the bare password.
 * Pure: the caller reads the files.
 */
#ifndef AUTH_PASSWD_H
#define AUTH_PASSWD_H

#include "auth/secret.h"

struct passwd;

/* Where a text comes from, and what it takes to read it. */
struct passwd_source {
    const char *name; /* stands for the file in messages: "pool_passwd:3: ..." */
    const char *key; /* of AES entries, the first line of .pgpoolkey; NULL: none is known. Copied */
};

enum { PASSWD_FILE_MAX = 16 * 1024 * 1024, PASSWD_LINE_MAX = 4096 };

/* Reads the content of a file. Empty lines and lines that begin with # count for nothing; of two
 * entries of one user the last counts. -1 with F0000 for a line that is no entry; an entry that
 * cannot be used is no such fault, see passwd_fault(). */
int passwd_parse(const char *text, size_t len, const struct passwd_source *source,
                 struct passwd **p_r, struct err *err);

/* NULL is allowed. Wipes the secrets. */
void passwd_free(struct passwd *p);

/* What a client must prove. 1: found; 0: no entry; -1 with err: the entry cannot be used. p may be
 * NULL: an empty file. *secret_r is all zeroes unless found; secret_fini() it. */
int passwd_secret(const struct passwd *p, const char *user, struct secret *secret_r,
                  struct err *err);

/* A new reference to what we can prove to a server without a client; NULL: nothing (no entry, a
 * verifier, an entry that cannot be used). p may be NULL. */
struct credentials *passwd_credentials(const struct passwd *p, const char *user);

/* *password_r is NULL when there is no entry for the user; borrowed. -1 with err when the entry
 * holds something that no password can be had from. p may be NULL. */
int passwd_find(const struct passwd *p, const char *user, const char **password_r, struct err *err);

/* A password of the configuration: TEXT..., AES... or bare. Borrowed from configured or p (which
 * remembers it). NULL with err: it cannot be decrypted. */
const char *passwd_configured(struct passwd *p, const char *configured, struct err *err);

/* Whether there is an entry that cannot be used; err says which is the first, and why. */
bool passwd_fault(const struct passwd *p, struct err *err);

#endif

/*
 * pool_passwd: the passwords with which pgpool logs in to servers.
 *
 * One entry a line, `user:secret`. The secret is TEXT<password> or the bare password; `md5...`,
 * `AES...` and `SCRAM-SHA-256$...` entries are recognised, but cannot prove anything to a server.
 * Pure: the caller reads the file.
 */
#ifndef AUTH_PASSWD_H
#define AUTH_PASSWD_H

#include "base/err.h"

struct passwd;

enum { PASSWD_FILE_MAX = 16 * 1024 * 1024, PASSWD_LINE_MAX = 4096 };

/* Reads the content of a file; name stands for it in messages ("pool_passwd:3: ..."). Empty lines
 * and lines that begin with # count for nothing; of two entries of one user the last counts. */
int passwd_parse(const char *text, size_t len, const char *name, struct passwd **p_r,
                 struct err *err);

/* NULL is allowed. Wipes the secrets. */
void passwd_free(struct passwd *p);

/* *password_r is NULL when there is no entry for the user; borrowed. -1 with err when the entry
 * holds something that no password can be had from. p may be NULL: an empty file. */
int passwd_find(const struct passwd *p, const char *user, const char **password_r, struct err *err);

#endif

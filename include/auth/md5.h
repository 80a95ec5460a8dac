/*
 * PostgreSQL's md5 authentication: "md5" + md5(md5(password + user) + salt), in hexadecimal.
 * Source: PostgreSQL's manual, section "Start-up", AuthenticationMD5Password.
 */
#ifndef AUTH_MD5_H
#define AUTH_MD5_H

#include "base/err.h"

enum { MD5_RESPONSE_BYTES = 36 }; /* with its NUL */

int md5_response(const char *user, const char *password, const uint8_t salt[4],
                 char response_r[MD5_RESPONSE_BYTES], struct err *err);

/* The same from md5(password + user), which is all that a server keeps: 32 hexadecimal digits. */
int md5_response_of_hash(const char *hash, const uint8_t salt[4],
                         char response_r[MD5_RESPONSE_BYTES], struct err *err);

/* md5(password + user) in 32 lower case hexadecimal digits and NUL: what a server keeps. */
int md5_of_password(const char *user, const char *password, char hex_r[33], struct err *err);

/* md5(text) in 32 lower case hexadecimal digits and NUL. */
int md5_of(const char *text, size_t len, char hex_r[33], struct err *err);

#endif

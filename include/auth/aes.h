/*
 * Passwords encrypted with a passphrase, as Pgpool-II keeps them in pool_passwd and pgpool.conf:
 * AES-256-CBC in base64, key and initialisation vector both made of the passphrase by
 * EVP_BytesToKey with one round of SHA-1 and no salt.
 *
 * Equal passwords give equal texts, and whoever has the key reads them: kept for those who come
 * from Pgpool-II; a SCRAM verifier is better. Source: Pgpool-II's manual, "AES256 encrypted
 * passwords".
 */
#ifndef AUTH_AES_H
#define AUTH_AES_H

#include "base/buf.h"
#include "base/err.h"

/* Appends the base64. -1: OpenSSL cannot. */
int aes_encrypt(const char *passphrase, const char *password, struct buf *out, struct err *err);

/* The password of its base64; the caller wipes and frees it. NULL with F0000: it is no base64 or
 * too long, or the passphrase is another one. */
char *aes_decrypt(const char *passphrase, const char *base64, struct err *err);

#endif

/*
 * What both sides of SCRAM-SHA-256 need: attributes, base64, keyed hashes. For the files of auth/.
 *
 * Source: RFC 5802, section 7; RFC 4648, section 4.
 */
#ifndef AUTH_SCRAM_TEXT_H
#define AUTH_SCRAM_TEXT_H

#include "auth/scram_keys.h"

enum { SCRAM_DECODED_MAX = 1024 };

/* A piece of a message; borrowed. */
struct scram_part {
    const char *text;
    size_t len;
};

/* One attribute "x=value", up to the comma or the end; *at moves behind it. False: another one or
 * none stands there. */
bool scram_take(const char **at, const char *end, char letter, const char **value_r, size_t *len_r);

/* Strict base64 of at most SCRAM_DECODED_MAX bytes; returns their number, or -1. */
int scram_decode(const char *text, size_t len, uint8_t *out, size_t room);

/* Printable ASCII without blanks, of which nonces consist. */
bool scram_is_printable(const char *text, size_t len);

/* Appends base64. */
void scram_encode(struct buf *out, const void *data, size_t len);

/* HMAC-SHA-256; false when OpenSSL cannot. */
bool scram_hmac(const uint8_t key[SCRAM_KEY_BYTES], const void *data, size_t len,
                uint8_t out[SCRAM_KEY_BYTES]);

/* A nonce as text, with its NUL; false when there are no random bytes. */
bool scram_nonce(char nonce_r[33]);

#endif

/*
 * Attributes, base64 and hashes of SCRAM-SHA-256. Called by the files of auth/, with bytes of a
 * peer that is not trusted.
 */
#include "auth/scram_text.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

bool
scram_take(const char **at, const char *end, char letter, const char **value_r, size_t *len_r)
{
    const char *comma;

    if (end - *at < 2 || (*at)[0] != letter || (*at)[1] != '=')
        return false;
    *value_r = *at + 2;
    comma = memchr(*value_r, ',', (size_t)(end - *value_r));
    *len_r = (size_t)((comma != NULL ? comma : end) - *value_r);
    *at = comma != NULL ? comma + 1 : end;
    return true;
}

bool
scram_is_printable(const char *text, size_t len)
{
    for (size_t n = 0; n < len; n++) {
        if (text[n] < 0x21 || text[n] > 0x7e)
            return false;
    }
    return true;
}

int
scram_decode(const char *text, size_t len, uint8_t *out, size_t room)
{
    uint8_t whole[SCRAM_DECODED_MAX + 4];
    int padding = 0;
    int n;
    bool fits;

    if (len == 0 || len % 4 != 0 || len / 4 * 3 > SCRAM_DECODED_MAX)
        return -1;
    for (size_t at = 0; at < len; at++) {
        char c = text[at];
        if (c == '=' && at >= len - 2)
            padding++;
        else if (padding > 0 ||
                 strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                        "0123456789+/",
                        c) == NULL ||
                 c == '\0')
            return -1;
    }
    n = EVP_DecodeBlock(whole, (const unsigned char *)text, (int)len);
    fits = n >= 0 && (size_t)(n - padding) <= room;
    if (fits)
        memcpy(out, whole, (size_t)(n - padding));
    OPENSSL_cleanse(whole, sizeof(whole)); /* it may be a key */
    return fits ? n - padding : -1;
}

void
scram_encode(struct buf *out, const void *data, size_t len)
{
    size_t room = (len + 2) / 3 * 4 + 1; /* with the NUL that OpenSSL adds */

    out->len += (size_t)EVP_EncodeBlock(buf_reserve(out, room), data, (int)len);
}

bool
scram_hmac(const uint8_t key[SCRAM_KEY_BYTES], const void *data, size_t len,
           uint8_t out[SCRAM_KEY_BYTES])
{
    return HMAC(EVP_sha256(), key, SCRAM_KEY_BYTES, data, len, out, NULL) != NULL;
}

bool
scram_nonce(char nonce_r[33])
{
    uint8_t raw[24];

    if (RAND_bytes(raw, sizeof(raw)) != 1)
        return false;
    EVP_EncodeBlock((unsigned char *)nonce_r, raw, sizeof(raw));
    return true;
}

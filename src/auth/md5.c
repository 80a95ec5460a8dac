/*
 * md5 authentication. Called by auth/login, auth/challenge and auth/passwd.
 */
#include "auth/md5.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

enum { DIGEST_BYTES = 16, HEX_BYTES = 33 };

static int
md5_hex(const void *a, size_t a_len, const void *b, size_t b_len, char hex_r[HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[DIGEST_BYTES];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_md5(), NULL) == 1 &&
             EVP_DigestUpdate(ctx, a, a_len) == 1 && EVP_DigestUpdate(ctx, b, b_len) == 1 &&
             EVP_DigestFinal_ex(ctx, digest, NULL) == 1;

    EVP_MD_CTX_free(ctx);
    if (!ok)
        return -1;
    for (int n = 0; n < DIGEST_BYTES; n++) {
        hex_r[n * 2] = digits[digest[n] >> 4];
        hex_r[n * 2 + 1] = digits[digest[n] & 15];
    }
    hex_r[HEX_BYTES - 1] = '\0';
    return 0;
}

static int
no_md5(struct err *err)
{
    return err_set(err, "XX000", "OpenSSL does not offer md5 (is this a FIPS system?)");
}

int
md5_of(const char *text, size_t len, char hex_r[HEX_BYTES], struct err *err)
{
    return md5_hex(text, len, "", 0, hex_r) == 0 ? 0 : no_md5(err);
}

int
md5_of_password(const char *user, const char *password, char hex_r[HEX_BYTES], struct err *err)
{
    return md5_hex(password, strlen(password), user, strlen(user), hex_r) == 0 ? 0 : no_md5(err);
}

int
md5_response_of_hash(const char *hash, const uint8_t salt[4], char response_r[MD5_RESPONSE_BYTES],
                     struct err *err)
{
    memcpy(response_r, "md5", 3);
    if (md5_hex(hash, strlen(hash), salt, 4, response_r + 3) != 0)
        return no_md5(err);
    return 0;
}

int
md5_response(const char *user, const char *password, const uint8_t salt[4],
             char response_r[MD5_RESPONSE_BYTES], struct err *err)
{
    char inner[HEX_BYTES];
    int rc = md5_of_password(user, password, inner, err);

    if (rc == 0)
        rc = md5_response_of_hash(inner, salt, response_r, err);
    OPENSSL_cleanse(inner, sizeof(inner));
    return rc;
}

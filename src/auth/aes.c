/*
 * AES entries. Called by auth/passwd and tools/. What was derived or decrypted is wiped from here.
 */
#include "auth/aes.h"

#include "auth/scram_text.h"
#include "base/arena.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 16 };

struct key {
    uint8_t key[32];
    uint8_t iv[BLOCK_BYTES];
};

static bool
make_key(const char *passphrase, struct key *key_r)
{
    return EVP_BytesToKey(EVP_aes_256_cbc(), EVP_sha1(), NULL, (const uint8_t *)passphrase,
                          (int)strlen(passphrase), 1, key_r->key,
                          key_r->iv) == (int)sizeof(key_r->key);
}

/* to has room for a block more than from. Returns the length; -1: it fails. */
static int
cipher(const struct key *key, bool encrypt, const uint8_t *from, size_t len, uint8_t *to)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int first = 0;
    int last = 0;
    bool ok = ctx != NULL &&
              EVP_CipherInit_ex(ctx, EVP_aes_256_cbc(), NULL, key->key, key->iv, encrypt) == 1 &&
              EVP_CipherUpdate(ctx, to, &first, from, (int)len) == 1 &&
              EVP_CipherFinal_ex(ctx, to + first, &last) == 1;

    EVP_CIPHER_CTX_free(ctx);
    return ok ? first + last : -1;
}

int
aes_encrypt(const char *passphrase, const char *password, struct buf *out, struct err *err)
{
    size_t len = strlen(password);
    uint8_t *bytes = xmalloc(len + BLOCK_BYTES);
    struct key key;
    int n = -1;

    if (make_key(passphrase, &key))
        n = cipher(&key, true, (const uint8_t *)password, len, bytes);
    OPENSSL_cleanse(&key, sizeof(key));
    if (n >= 0)
        scram_encode(out, bytes, (size_t)n);
    free(bytes);
    return n >= 0 ? 0 : err_set(err, "XX000", "OpenSSL could not encrypt the password");
}

char *
aes_decrypt(const char *passphrase, const char *base64, struct err *err)
{
    uint8_t bytes[SCRAM_DECODED_MAX];
    char *text = xcalloc(1, sizeof(bytes) + BLOCK_BYTES + 1);
    struct key key;
    int len = scram_decode(base64, strlen(base64), bytes, sizeof(bytes));
    int n = -1;

    if (len <= 0) {
        err_set(err, "F0000", "the AES password is no base64 of at most %d bytes",
                SCRAM_DECODED_MAX);
        free(text);
        return NULL;
    }
    if (make_key(passphrase, &key))
        n = cipher(&key, false, bytes, (size_t)len, (uint8_t *)text);
    OPENSSL_cleanse(&key, sizeof(key));
    if (n >= 0 && strlen(text) == (size_t)n)
        return text;
    OPENSSL_cleanse(text, sizeof(bytes) + BLOCK_BYTES);
    free(text);
    err_set(err, "F0000", "the AES password cannot be decrypted with this key");
    return NULL;
}

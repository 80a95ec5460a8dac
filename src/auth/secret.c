/*
 * The forms in which passwords are kept. Called by auth/pcp_users, auth/passwd and session/.
 */
#include "auth/secret.h"

#include "auth/scram_text.h"

#include <openssl/crypto.h>
#include <string.h>

enum { DIGITS = SECRET_MD5_BYTES - 1, MOCK_SALT_BYTES = 16 };

static bool
take_digits(const char *text, char digits_r[SECRET_MD5_BYTES])
{
    for (int n = 0; n < DIGITS; n++) {
        char c = text[n];
        char lower = (char)(c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);

        if (!(lower >= '0' && lower <= '9') && !(lower >= 'a' && lower <= 'f'))
            return false;
        digits_r[n] = lower;
    }
    digits_r[DIGITS] = '\0';
    return true;
}

int
secret_parse_role(const char *text, size_t len, struct secret *secret_r, struct err *err)
{
    static const char scram[] = "SCRAM-SHA-256$";

    memset(secret_r, 0, sizeof(*secret_r));
    if (len == DIGITS + 3 && memcmp(text, "md5", 3) == 0 && take_digits(text + 3, secret_r->md5)) {
        secret_r->kind = SECRET_MD5;
        return 0;
    }
    if (len >= sizeof(scram) - 1 && memcmp(text, scram, sizeof(scram) - 1) == 0) {
        secret_r->kind = SECRET_SCRAM;
        return scram_verifier_parse(text, len, &secret_r->scram, err);
    }
    err_set(err, "F0000", "the password is in no known form");
    err_hint(err, "Known are md5 and 32 hexadecimal digits, and SCRAM-SHA-256$... as PostgreSQL "
                  "keeps it.");
    return -1;
}

int
secret_parse(const char *text, size_t len, struct secret *secret_r, struct err *err)
{
    memset(secret_r, 0, sizeof(*secret_r));
    if (len == DIGITS && take_digits(text, secret_r->md5)) {
        secret_r->kind = SECRET_MD5_ALONE;
        return 0;
    }
    if (secret_parse_role(text, len, secret_r, err) == 0)
        return 0;
    if (secret_r->kind != SECRET_SCRAM)
        err_hint(err, "Known are 32 hexadecimal digits, md5 and 32 hexadecimal digits, and "
                      "SCRAM-SHA-256$... as PostgreSQL keeps it.");
    return -1;
}

void
secret_of_text(const struct credentials *password, struct secret *secret_r)
{
    memset(secret_r, 0, sizeof(*secret_r));
    secret_r->kind = SECRET_TEXT;
    secret_r->text = credentials_ref(password);
}

void
secret_copy(struct secret *to, const struct secret *from)
{
    *to = *from;
    credentials_ref(to->text);
}

void
secret_fini(struct secret *secret)
{
    credentials_unref(secret->text);
    OPENSSL_cleanse(secret, sizeof(*secret));
}

void
secret_salt(const char *user, const uint8_t mock_key[SECRET_MOCK_KEY_BYTES],
            struct scram_keys *keys_r)
{
    uint8_t base[SCRAM_KEY_BYTES];

    memset(keys_r, 0, sizeof(*keys_r));
    keys_r->iterations = SCRAM_ITERATIONS;
    keys_r->salt_len = MOCK_SALT_BYTES;
    if (scram_hmac(mock_key, user, strlen(user), base) && scram_hmac(base, "salt", 4, base))
        memcpy(keys_r->salt, base, MOCK_SALT_BYTES);
    OPENSSL_cleanse(base, sizeof(base));
}

/* Both keys are hashes that nobody knows who does not know the mock key; no client key is known of
 * which the stored key would be the hash. */
void
secret_mock(const char *user, const uint8_t mock_key[SECRET_MOCK_KEY_BYTES],
            struct secret *secret_r)
{
    static const char digits[] = "0123456789abcdef";
    struct scram_verifier *v = &secret_r->scram;
    struct scram_keys salt;
    uint8_t base[SCRAM_KEY_BYTES];
    uint8_t md5[SCRAM_KEY_BYTES];

    memset(secret_r, 0, sizeof(*secret_r));
    secret_r->kind = SECRET_SCRAM;
    secret_salt(user, mock_key, &salt);
    v->iterations = salt.iterations;
    v->salt_len = salt.salt_len;
    memcpy(v->salt, salt.salt, sizeof(v->salt));
    if (!scram_hmac(mock_key, user, strlen(user), base) ||
        !scram_hmac(base, "stored key", 10, v->stored_key) ||
        !scram_hmac(base, "server key", 10, v->server_key) || !scram_hmac(base, "md5", 3, md5))
        memset(md5, 0, sizeof(md5)); /* then no login of any kind works */
    for (int n = 0; n < DIGITS; n++)
        secret_r->md5[n] = digits[md5[n] & 15];
    OPENSSL_cleanse(base, sizeof(base));
}

/*
 * The forms in which passwords are kept. Called by auth/pcp_users.
 */
#include "auth/secret.h"

#include <string.h>

enum { DIGITS = SECRET_MD5_BYTES - 1 };

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
secret_parse(const char *text, size_t len, struct secret *secret_r, struct err *err)
{
    static const char scram[] = "SCRAM-SHA-256$";

    memset(secret_r, 0, sizeof(*secret_r));
    if (len == DIGITS && take_digits(text, secret_r->md5)) {
        secret_r->kind = SECRET_MD5_ALONE;
        return 0;
    }
    if (len == DIGITS + 3 && memcmp(text, "md5", 3) == 0 && take_digits(text + 3, secret_r->md5)) {
        secret_r->kind = SECRET_MD5;
        return 0;
    }
    if (len >= sizeof(scram) - 1 && memcmp(text, scram, sizeof(scram) - 1) == 0) {
        secret_r->kind = SECRET_SCRAM;
        return scram_verifier_parse(text, len, &secret_r->scram, err);
    }
    err_set(err, "F0000", "the password is in no known form");
    err_hint(err, "Known are 32 hexadecimal digits, md5 and 32 hexadecimal digits, and "
                  "SCRAM-SHA-256$... as PostgreSQL keeps it.");
    return -1;
}

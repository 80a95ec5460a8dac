/*
 * Preparing passwords. Called by auth/scram_keys.
 *
 * Most passwords are ASCII and stay as they are. For the others libidn has the tables; what it
 * allocates and frees within is not wiped.
 */
#include "auth/saslprep.h"

#include "base/arena.h"

#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <stringprep.h>

static bool
is_ascii(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text > 127)
            return false;
    }
    return true;
}

/* U+0340 and U+0341 are prohibited, but gone after the normalisation: PostgreSQL looks before it.
 */
static bool
has_tone_mark(const char *text)
{
    return strstr(text, "\xcd\x80") != NULL || strstr(text, "\xcd\x81") != NULL;
}

char *
saslprep(const char *password)
{
    char *prepared = NULL;
    char *result;

    if (is_ascii(password) || has_tone_mark(password))
        return xstrdup(password);
    if (stringprep_profile(password, &prepared, "SASLprep", STRINGPREP_NO_UNASSIGNED) !=
        STRINGPREP_OK)
        return xstrdup(password);
    result = xstrdup(prepared[0] != '\0' ? prepared : password);
    OPENSSL_cleanse(prepared, strlen(prepared));
    free(prepared); /* libidn takes it from malloc */
    return result;
}

void
saslprep_free(char *text)
{
    if (text == NULL)
        return;
    OPENSSL_cleanse(text, strlen(text));
    free(text);
}

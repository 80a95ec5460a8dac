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

/* Five characters of which the normalisation was corrected in Unicode 4 (Corrigendum #4):
 * PostgreSQL has the correction, libidn has not. They have four bytes each, their successors three.
 */
static char *
correct(const char *password)
{
    static const char corrections[][2][5] = {
        {"\xf0\xaf\xa1\xa8", "\xe3\x9b\xbc"}, /* U+2F868 */
        {"\xf0\xaf\xa1\xb4", "\xe5\xbc\xb3"}, /* U+2F874 */
        {"\xf0\xaf\xa4\x9f", "\xe4\x8e\xab"}, /* U+2F91F */
        {"\xf0\xaf\xa5\x9f", "\xe7\xaa\xae"}, /* U+2F95F */
        {"\xf0\xaf\xa6\xbf", "\xe4\xb5\x97"}, /* U+2F9BF */
    };
    char *text = xstrdup(password);
    char *at;

    for (size_t n = 0; n < ARRAY_LEN(corrections); n++) {
        while ((at = strstr(text, corrections[n][0])) != NULL) {
            memcpy(at, corrections[n][1], 3);
            memmove(at + 3, at + 4, strlen(at + 4) + 1);
        }
    }
    return text;
}

char *
saslprep(const char *password)
{
    char *prepared = NULL;
    char *corrected;
    char *result;
    int rc;

    if (is_ascii(password) || has_tone_mark(password))
        return xstrdup(password);
    corrected = correct(password);
    rc = stringprep_profile(corrected, &prepared, "SASLprep", STRINGPREP_NO_UNASSIGNED);
    saslprep_free(corrected);
    if (rc != STRINGPREP_OK)
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

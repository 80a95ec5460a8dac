/*
 * The password file in memory. Called by proc/child (parse) and pool/dial (find).
 */
#include "auth/passwd.h"

#include "base/arena.h"
#include "base/map.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

struct passwd {
    struct map by_user; /* to char *, each of its own */
};

static void
wipe(void *ctx UNUSED, void *value)
{
    OPENSSL_cleanse(value, strlen(value));
    free(value);
}

void
passwd_free(struct passwd *p)
{
    if (p == NULL)
        return;
    map_clear(&p->by_user, wipe, NULL);
    free(p);
}

static int
take_line(struct passwd *p, const char *line, size_t len, struct err *err)
{
    const char *colon = memchr(line, ':', len);
    char *secret;
    size_t user_len;
    size_t secret_len;

    if (len == 0 || line[0] == '#')
        return 0;
    if (len > PASSWD_LINE_MAX)
        return err_set(err, "F0000", "the line is longer than %d bytes", PASSWD_LINE_MAX);
    if (colon == NULL || colon == line || memchr(line, 0, len) != NULL) {
        err_set(err, "F0000", "the line is not of the form user:password");
        return -1;
    }
    user_len = (size_t)(colon - line);
    secret_len = len - user_len - 1;
    secret = xmalloc(secret_len + 1);
    memcpy(secret, colon + 1, secret_len);
    secret[secret_len] = '\0';
    secret = map_put(&p->by_user, line, user_len, secret);
    if (secret != NULL)
        wipe(NULL, secret);
    return 0;
}

int
passwd_parse(const char *text, size_t len, const char *name, struct passwd **p_r, struct err *err)
{
    struct passwd *p = xcalloc(1, sizeof(*p));
    const char *end = text + len;
    unsigned line_number = 0;

    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *stop = newline != NULL ? newline : end;
        size_t line_len = (size_t)(stop - text);
        line_number++;
        if (line_len > 0 && text[line_len - 1] == '\r')
            line_len--;
        if (take_line(p, text, line_len, err) != 0) {
            err_prefix(err, "%s:%u: ", name, line_number);
            passwd_free(p);
            return -1;
        }
        text = newline != NULL ? newline + 1 : end;
    }
    *p_r = p;
    return 0;
}

static bool
begins(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0;
}

int
passwd_find(const struct passwd *p, const char *user, const char **password_r, struct err *err)
{
    const char *secret = p != NULL ? map_get(&p->by_user, user, strlen(user)) : NULL;
    const char *what = NULL;

    *password_r = NULL;
    if (secret == NULL)
        return 0;
    if (begins(secret, "TEXT")) {
        *password_r = secret + 4;
        return 0;
    }
    if (begins(secret, "AES"))
        what = "an AES entry, which cannot be read yet";
    else if (begins(secret, "md5") && strlen(secret) == 35)
        what = "an md5 entry, which does not give the password";
    else if (begins(secret, "SCRAM-SHA-256$"))
        what = "a SCRAM verifier, which does not give the password";
    if (what != NULL) {
        err_set(err, "28000", "pool_passwd holds %s for user \"%s\"", what, user);
        err_hint(err, "Put a line %s:TEXT<password> into pool_passwd.", user);
        return -1;
    }
    *password_r = secret;
    return 0;
}

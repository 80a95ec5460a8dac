/*
 * pool_passwd in memory. Called by proc/ (parse, configured passwords), session/ and pool/.
 *
 * A line that is no entry makes the whole file faulty; an entry that cannot be used only hurts its
 * user, who then gets in by nothing else. What is decrypted stays so in memory, and is wiped with
 * the rest.
 */
#include "auth/passwd.h"

#include "auth/aes.h"
#include "auth/saslprep.h"
#include "base/arena.h"
#include "base/map.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    bool is_usable;
    struct secret secret; /* md5, SCRAM or text; all zeroes unless it is usable */
    struct err why;       /* unless it is usable */
};

struct passwd {
    struct map by_user;   /* to struct entry */
    struct map decrypted; /* of passwd_configured(): AES... to the password */
    char *key;            /* NULL: none */
    bool has_fault;
    struct err fault; /* the first */
};

static void
wipe_entry(void *ctx UNUSED, void *value)
{
    struct entry *e = value;

    secret_fini(&e->secret);
    free(e);
}

static void
wipe_text(void *ctx UNUSED, void *value)
{
    saslprep_free(value);
}

void
passwd_free(struct passwd *p)
{
    if (p == NULL)
        return;
    map_clear(&p->by_user, wipe_entry, NULL);
    map_clear(&p->decrypted, wipe_text, NULL);
    saslprep_free(p->key);
    free(p);
}

static bool
begins(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0;
}

static char *
decrypt(const struct passwd *p, const char *base64, struct err *err)
{
    char *text;

    if (p == NULL || p->key == NULL) {
        err_set(err, "F0000", "there is no key for an AES password");
        err_hint(err, "Put it into ~/.pgpoolkey of pgpool's user, or name its file by -k or "
                      "PGPOOLKEYFILE.");
        return NULL;
    }
    text = aes_decrypt(p->key, base64, err);
    if (text == NULL)
        err_hint(err, "It takes the key that pg_enc had; a password that only begins with AES "
                      "needs TEXT in front of it.");
    return text;
}

/* ---- the file ---- */

/* PostgreSQL has no empty passwords: whoever keeps one would let in everybody. */
static void
take_text(struct entry *e, const char *password)
{
    struct credentials *c = credentials_password(password);

    e->is_usable = password[0] != '\0';
    if (e->is_usable)
        secret_of_text(c, &e->secret);
    else
        err_set(&e->why, "F0000", "the password is empty");
    credentials_unref(c);
}

static void
take_secret(const struct passwd *p, struct entry *e, const char *secret)
{
    char *text;

    e->is_usable = true;
    if (begins(secret, "TEXT")) {
        take_text(e, secret + 4);
    } else if (begins(secret, "AES")) {
        text = decrypt(p, secret + 3, &e->why);
        e->is_usable = text != NULL;
        if (text != NULL)
            take_text(e, text);
        saslprep_free(text);
    } else if (secret_parse_role(secret, strlen(secret), &e->secret, &e->why) != 0) {
        e->is_usable = !begins(secret, "SCRAM-SHA-256$");
        memset(&e->secret, 0, sizeof(e->secret));
        if (e->is_usable)
            take_text(e, secret);
    }
}

static void
remember_fault(struct passwd *p, const struct entry *e, const char *name, unsigned line_number)
{
    if (p->has_fault || e->is_usable)
        return;
    p->has_fault = true;
    p->fault = e->why;
    err_prefix(&p->fault, "%s:%u: ", name, line_number);
}

static int
take_line(struct passwd *p, const char *line, size_t len, struct entry **entry_r, struct err *err)
{
    const char *colon = memchr(line, ':', len);
    char *secret;
    size_t user_len;
    size_t secret_len;
    struct entry *other;

    *entry_r = NULL;
    if (len == 0 || line[0] == '#')
        return 0;
    if (len > PASSWD_LINE_MAX)
        return err_set(err, "F0000", "the line is longer than %d bytes", PASSWD_LINE_MAX);
    if (colon == NULL || colon == line || memchr(line, 0, len) != NULL)
        return err_set(err, "F0000", "the line is not of the form user:password");
    user_len = (size_t)(colon - line);
    secret_len = len - user_len - 1;
    secret = xmalloc(secret_len + 1);
    memcpy(secret, colon + 1, secret_len);
    secret[secret_len] = '\0';
    *entry_r = xcalloc(1, sizeof(**entry_r));
    take_secret(p, *entry_r, secret);
    saslprep_free(secret);
    other = map_put(&p->by_user, line, user_len, *entry_r);
    if (other != NULL)
        wipe_entry(NULL, other);
    return 0;
}

int
passwd_parse(const char *text, size_t len, const struct passwd_source *source, struct passwd **p_r,
             struct err *err)
{
    struct passwd *p = xcalloc(1, sizeof(*p));
    const char *end = len > 0 ? text + len : text;
    unsigned line_number = 0;
    struct entry *e;

    p->key = source->key != NULL ? xstrdup(source->key) : NULL;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *stop = newline != NULL ? newline : end;
        size_t line_len = (size_t)(stop - text);
        line_number++;
        if (line_len > 0 && text[line_len - 1] == '\r')
            line_len--;
        if (take_line(p, text, line_len, &e, err) != 0) {
            err_prefix(err, "%s:%u: ", source->name, line_number);
            passwd_free(p);
            return -1;
        }
        if (e != NULL)
            remember_fault(p, e, source->name, line_number);
        text = newline != NULL ? newline + 1 : end;
    }
    *p_r = p;
    return 0;
}

bool
passwd_fault(const struct passwd *p, struct err *err)
{
    if (p == NULL || !p->has_fault)
        return false;
    *err = p->fault;
    return true;
}

/* ---- what is in it ---- */

static const struct entry *
find(const struct passwd *p, const char *user)
{
    return p != NULL ? map_get(&p->by_user, user, strlen(user)) : NULL;
}

static int
unusable(const struct entry *e, const char *user, struct err *err)
{
    *err = e->why;
    err_prefix(err, "pool_passwd, user \"%.64s\": ", user);
    return -1;
}

int
passwd_secret(const struct passwd *p, const char *user, struct secret *secret_r, struct err *err)
{
    const struct entry *e = find(p, user);

    memset(secret_r, 0, sizeof(*secret_r));
    if (e == NULL)
        return 0;
    if (!e->is_usable)
        return unusable(e, user, err);
    secret_copy(secret_r, &e->secret);
    return 1;
}

struct credentials *
passwd_credentials(const struct passwd *p, const char *user)
{
    const struct entry *e = find(p, user);

    if (e == NULL || !e->is_usable)
        return NULL;
    if (e->secret.kind == SECRET_MD5)
        return credentials_md5(e->secret.md5);
    return credentials_ref(e->secret.text);
}

int
passwd_find(const struct passwd *p, const char *user, const char **password_r, struct err *err)
{
    const struct entry *e = find(p, user);

    *password_r = NULL;
    if (e == NULL)
        return 0;
    if (!e->is_usable)
        return unusable(e, user, err);
    if (e->secret.kind != SECRET_TEXT) {
        err_set(err, "28000", "pool_passwd holds %s for user \"%.64s\"",
                e->secret.kind == SECRET_MD5 ? "an md5 entry, which does not give the password"
                                             : "a SCRAM verifier, which does not give the password",
                user);
        err_hint(err, "Put a line %.64s:TEXT<password> into pool_passwd.", user);
        return -1;
    }
    *password_r = e->secret.text->password;
    return 0;
}

const char *
passwd_configured(struct passwd *p, const char *configured, struct err *err)
{
    size_t len = strlen(configured);
    char *text;

    if (begins(configured, "TEXT"))
        return configured + 4;
    if (!begins(configured, "AES"))
        return configured;
    text = p != NULL ? map_get(&p->decrypted, configured, len) : NULL;
    if (text != NULL)
        return text;
    text = decrypt(p, configured + 3, err);
    if (text != NULL)
        map_put(&p->decrypted, configured, len, text);
    return text;
}

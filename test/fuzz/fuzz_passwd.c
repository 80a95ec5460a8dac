/*
 * Any bytes as pool_passwd.
 *
 * Checked besides memory: what is accepted holds an answer for every user in it, that of the last
 * line, and what is refused says on which line.
 */
#include "fuzz.h"

#include "auth/passwd.h"
#include "base/buf.h"

static const char file_name[] = "pool_passwd";

/* The next line without its end, and without a carriage return in front of it. */
static bool
next_line(struct fuzz_bytes *b, struct wire_view *line_r)
{
    const uint8_t *newline;
    size_t len;

    if (b->at == b->end)
        return false;
    newline = memchr(b->at, '\n', (size_t)(b->end - b->at));
    len = (size_t)((newline != NULL ? newline : b->end) - b->at);
    *line_r = (struct wire_view){(const char *)b->at, (uint32_t)len};
    if (len > 0 && line_r->data[len - 1] == '\r')
        line_r->len--;
    b->at = newline != NULL ? newline + 1 : b->end;
    return true;
}

/* Where the last line of the user stands, without his name. */
static struct wire_view
last_secret(const uint8_t *data, size_t size, const char *user)
{
    struct fuzz_bytes b = {data, data + size};
    struct wire_view found = {NULL, 0};
    struct wire_view line;
    uint32_t len = (uint32_t)strlen(user);

    while (next_line(&b, &line)) {
        if (line.len > len && line.data[len] == ':' && memcmp(line.data, user, len) == 0)
            found = (struct wire_view){line.data + len + 1, line.len - len - 1};
    }
    return found;
}

/* What is asked of a client and what we can prove to a server fit each other. */
static void
check_proofs(const struct passwd *p, const char *user)
{
    struct credentials *c = passwd_credentials(p, user);
    struct secret secret;
    struct err err = {0};
    int rc = passwd_secret(p, user, &secret, &err);

    if (rc == 0)
        BUG("a user who stands in the file has no secret");
    if (rc < 0)
        fuzz_check_error(&err);
    if ((c != NULL) != (rc == 1 && secret.kind != SECRET_SCRAM))
        BUG("a secret proves nothing, or nothing proves something");
    if (rc == 1 && secret.kind == SECRET_TEXT && c != secret.text)
        BUG("other credentials than the secret has");
    secret_fini(&secret);
    credentials_unref(c);
}

static void
check_user(const struct passwd *p, const uint8_t *data, size_t size, const char *user)
{
    struct wire_view secret = last_secret(data, size, user);
    const char *password;
    struct err err = {0};

    check_proofs(p, user);
    if (passwd_find(p, user, &password, &err) != 0) {
        fuzz_check_error(&err);
        return;
    }
    if (secret.len >= 3 && memcmp(secret.data, "AES", 3) == 0)
        return;
    if (password == NULL)
        BUG("a user who stands in the file has no password");
    if (secret.len >= 4 && memcmp(secret.data, "TEXT", 4) == 0)
        secret = (struct wire_view){secret.data + 4, secret.len - 4};
    if (strlen(password) != secret.len || memcmp(password, secret.data, secret.len) != 0)
        BUG("a user has another password than his last line says");
}

static void
check_users(const struct passwd *p, const uint8_t *data, size_t size)
{
    struct fuzz_bytes b = {data, data + size};
    struct buf user = BUF_EMPTY;
    struct wire_view line;

    while (next_line(&b, &line)) {
        const char *colon = memchr(line.data, ':', line.len);
        if (line.len == 0 || line.data[0] == '#')
            continue;
        if (colon == NULL || colon == line.data || line.len > PASSWD_LINE_MAX)
            BUG("a line without a user was accepted");
        buf_clear(&user);
        buf_add(&user, line.data, (size_t)(colon - line.data));
        check_user(p, data, size, buf_cstr(&user));
    }
    buf_free(&user);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *password;
    struct err err = {0};
    struct passwd *p;
    struct passwd_source source = {.name = file_name, .key = "key"};

    if (passwd_parse((const char *)data, size, &source, &p, &err) != 0) {
        fuzz_check_error(&err);
        if (strncmp(err.message, file_name, strlen(file_name)) != 0)
            BUG("a fault without its place");
        return 0;
    }
    check_users(p, data, size);
    if (passwd_find(p, "", &password, &err) != 0 || password != NULL)
        BUG("nobody has a password");
    if (passwd_fault(p, &err))
        fuzz_check_error(&err);
    passwd_free(p);
    return 0;
}

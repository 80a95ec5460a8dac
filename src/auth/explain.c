/*
 * The way of a login without the login: session/login.c goes it. Called by admin/.
 */
#include "auth/explain.h"

#include <stdio.h>
#include <string.h>

enum { WORDS_BYTES = 512 };

struct telling {
    const struct explain_login *e;
    const struct hba_line *line; /* NULL: there are no rules */
    explain_fn *fn;
    void *ctx;
};

static void
tell(const struct telling *t, const char *item, const char *words)
{
    t->fn(t->ctx, item, words);
}

static bool
is_local(const struct explain_login *e)
{
    return e->addr == NULL || e->addr->sa_family == AF_UNIX;
}

/* ---- the rule ---- */

static void
print_line(const struct hba_line *line, struct buf *out)
{
    struct buf options = BUF_EMPTY;

    hba_print_options(line, &options);
    buf_printf(out, "%s:%u: %s ", line->file, line->number, hba_type_name(line->type));
    hba_print_names(&line->databases, out);
    buf_add_u8(out, ' ');
    hba_print_names(&line->users, out);
    if (line->type != HBA_LOCAL) {
        buf_add_u8(out, ' ');
        hba_print_address(line, out);
        buf_add_u8(out, ' ');
        hba_print_netmask(line, out);
    }
    buf_printf(out, " %s", hba_method_name(line->method));
    if (options.len > 0)
        buf_printf(out, " %s", buf_cstr(&options));
    buf_free(&options);
}

/* What cannot be known without asking somebody is taken as not being so, and said. False: refused.
 */
static bool
find_line(struct telling *t)
{
    const struct explain_login *e = t->e;
    const char *const names[] = {e->user};
    const struct hba_roles alone = {names, 1};
    struct hba_client client = {
        .user = e->user, .database = e->database, .addr = e->addr, .tls = e->tls, .nets = e->nets};
    struct buf words = BUF_EMPTY;
    enum hba_result result = HBA_NO_MATCH;

    while (e->hba != NULL) {
        result = hba_match(e->hba, &client, &t->line);
        if (result == HBA_NEEDS_ROLES && client.roles == NULL) {
            tell(t, "note",
                 "an earlier line may match by the roles that the user is a member of, "
                 "which only the servers know");
            client.roles = &alone;
        } else if (result == HBA_NEEDS_HOST_NAME && client.host_name == NULL) {
            tell(t, "note", "an earlier line may match by the name of the client's host");
            client.host_name = "";
        } else {
            break;
        }
    }
    if (result != HBA_MATCH) {
        tell(t, "rule", "no line matches: refused");
        return false;
    }
    print_line(t->line, &words);
    tell(t, "rule", buf_cstr(&words));
    buf_free(&words);
    if (t->line->method == HBA_REJECT)
        tell(t, "outcome", "refused");
    return t->line->method != HBA_REJECT;
}

/* ---- secrets ---- */

static const char *
kind_of(const struct secret *secret)
{
    switch (secret->kind) {
    case SECRET_MD5:
    case SECRET_MD5_ALONE:
        return "md5";
    case SECRET_SCRAM:
        return "SCRAM-SHA-256";
    case SECRET_TEXT:
        break;
    }
    return "the password itself";
}

static const char *
asks_for(const struct telling *t, const struct secret *secret)
{
    bool md5 = secret != NULL && secret->kind == SECRET_MD5;

    if (t->line != NULL && t->line->method == HBA_PASSWORD)
        return "the password in the clear";
    if (t->line != NULL && t->line->method == HBA_SCRAM && md5)
        return "SCRAM-SHA-256, which an md5 can never do: nobody comes in";
    if (md5)
        return "md5";
    return t->e->tls ? "SCRAM-SHA-256, SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256";
}

static void
tell_unknown(const struct telling *t)
{
    if (t->line != NULL && t->line->method != HBA_PASSWORD) {
        tell(t, "secret", "none: neither an entry in pool_passwd nor auth_user");
        tell(t, "asks for", "SCRAM-SHA-256, and nobody comes in");
        return;
    }
    tell(t, "secret", "none here: a server decides, by a login of its own");
    if (t->line != NULL)
        tell(t, "asks for", "the password in the clear");
    else if (t->e->tls || is_local(t->e) || t->e->allow_clear_text)
        tell(t, "asks for", "nothing, or, where the servers want one, the password in the clear");
    else
        tell(t, "asks for", "nothing; where the servers want a password, nobody comes in");
}

static void
tell_secret(const struct telling *t)
{
    char words[WORDS_BYTES];
    struct secret secret;
    struct err err;
    int rc = passwd_secret(t->e->passwords, t->e->user, &secret, &err);

    if (rc > 0) {
        snprintf(words, sizeof(words), "pool_passwd: %s", kind_of(&secret));
        tell(t, "secret", words);
        tell(t, "asks for", asks_for(t, &secret));
        tell(t, "servers",
             secret.kind == SECRET_TEXT ? "with the password of pool_passwd"
                                        : "with what the client has proved");
        secret_fini(&secret);
    } else if (rc < 0) {
        tell(t, "secret", err.message);
        tell(t, "asks for", "SCRAM-SHA-256, and nobody comes in");
    } else if (t->e->auth_user[0] != '\0') {
        snprintf(words, sizeof(words), "auth_query, asked as \"%s\"", t->e->auth_user);
        tell(t, "secret", words);
        tell(t, "asks for", asks_for(t, NULL));
        tell(t, "servers", "with what the client has proved");
    } else {
        tell_unknown(t);
    }
}

/* ---- methods without a secret of ours ---- */

static void
tell_method(const struct telling *t)
{
    switch (t->line->method) {
    case HBA_PASSWORD:
    case HBA_MD5:
    case HBA_SCRAM:
        tell_secret(t);
        return;
    case HBA_PAM:
    case HBA_LDAP:
        tell(t, "asks for", "the password in the clear");
        tell(t, "servers", "with that password");
        return;
    case HBA_CERT:
        tell(t, "asks for", "a certificate that names the role");
        break;
    case HBA_PEER:
        tell(t, "asks for", "the user of the system that stands behind the socket");
        break;
    case HBA_TRUST:
        tell(t, "asks for", "nothing");
        break;
    case HBA_REJECT:
        return;
    }
    tell(t, "servers", "with pool_passwd's entry, or what another client of the role has proved");
}

void
explain_login(const struct explain_login *e, explain_fn *fn, void *ctx)
{
    struct telling t = {.e = e, .fn = fn, .ctx = ctx};

    if (!e->by_lines) {
        tell(&t, "rule", "none: enable_pool_hba is off");
        tell_secret(&t);
        return;
    }
    if (!find_line(&t))
        return;
    if (t.line->options.clientcert != HBA_CLIENTCERT_OFF)
        tell(&t, "certificate",
             t.line->options.clientcert == HBA_CLIENTCERT_FULL
                 ? "of a trusted authority, for this role"
                 : "of a trusted authority");
    tell_method(&t);
}

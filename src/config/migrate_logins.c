/*
 * Who may come in, from PgBouncer's auth_type and userlist.txt.
 *
 * Called by migrate_pgbouncer.c. With passwords, pgpool needs no rules: who is known, by
 * pool_passwd or by auth_query, has to prove it. What keeps anybody out that a password alone would
 * let in needs pool_hba.conf, and then pgpool does not start without it.
 */
#include "base/str.h"
#include "config/migrate_parts.h"
#include "config/source.h"

#include <stdlib.h>
#include <string.h>

#define ID(name) OPTION_ID_GLOBAL_##name

static const char *
auth_type(const struct bouncer *b)
{
    const char *type = bouncer_get(b, "auth_type");

    return type != NULL ? type : "md5";
}

static bool
is_type(const struct bouncer *b, const char *type)
{
    return str_equal_nocase(auth_type(b), type);
}

/* Clients without TLS, or without a certificate, are to stay outside. */
static bool
tls_is_needed(const struct bouncer *b)
{
    const char *mode = bouncer_get(b, "client_tls_sslmode");

    return mode != NULL && (str_equal_nocase(mode, "require") || strncmp(mode, "verify", 6) == 0);
}

bool
bouncer_needs_hba(const struct bouncer *b)
{
    return is_type(b, "hba") || is_type(b, "cert") || is_type(b, "pam") || is_type(b, "ldap") ||
           tls_is_needed(b);
}

const char *
bouncer_method(const struct bouncer *b)
{
    static const char *const same[] = {"trust", "md5", "scram-sha-256", "cert", "pam", "peer"};

    for (size_t n = 0; n < ARRAY_LEN(same); n++) {
        if (is_type(b, same[n]))
            return same[n];
    }
    return is_type(b, "plain") ? "password" : "scram-sha-256";
}

/* A function of one's own that auth_query calls is where PgBouncer asked: in each database. */
static void
print_auth_database(const struct bouncer *b, struct buf *out)
{
    const char *database = bouncer_get(b, "auth_dbname");
    struct bouncer_entry entry;

    if (database != NULL) {
        migrate_setting(out, &option_table[ID(auth_dbname)], OPTION_ALL_NODES, database);
        return;
    }
    if (bouncer_get(b, "auth_query") == NULL || !bouncer_main_entry(b, &entry))
        return;
    database = entry.dbname != NULL ? entry.dbname : entry.name;
    migrate_comment(out, "auth_dbname was not set: auth_query was run in the database of each "
                         "client. Here it is run in one, where it has to work.");
    if (strcmp(database, "*") != 0)
        migrate_setting(out, &option_table[ID(auth_dbname)], OPTION_ALL_NODES, database);
    bouncer_entry_fini(&entry);
}

static void
print_auth_type(const struct bouncer *b, struct buf *out)
{
    migrate_was(out, "auth_type", auth_type(b));
    if (bouncer_needs_hba(b)) {
        migrate_comment(out, "pool_hba.conf has the rules; pgpool does not start without it.");
        migrate_setting(out, &option_table[ID(enable_pool_hba)], OPTION_ALL_NODES, "on");
    } else if (is_type(b, "trust") || is_type(b, "any")) {
        migrate_comment(out,
                        "Anybody came in, without a password. Here, who is known by pool_passwd or "
                        "auth_query has to prove it, and for all others the servers decide. "
                        "enable_pool_hba with a line \"host all all 127.0.0.1/32 trust\" in "
                        "pool_hba.conf lets them in again.");
    } else {
        migrate_comment(out, "Who is known by pool_passwd or auth_query has to prove it, in the "
                             "way that the secret allows; for all others the servers decide.");
    }
}

static void
print_file_names(const struct bouncer *b, struct buf *out)
{
    static const struct {
        const char *old;
        const char *text;
    } files[] = {
        {"auth_file", "pool_passwd has its users: \"pgpool --part=pool_passwd migrate FILE\" "
                      "prints it. Only pgpool's user may be able to read it."},
        {"auth_hba_file", "pool_hba.conf takes its place."},
        {"auth_ident_file", "Copy it beside pool_hba.conf, as pool_ident.conf."},
        {"admin_users", "Administration has a port of its own (pcp_port), and its users stand in "
                        "pcp.conf: see pcp.conf(5)."},
        {"stats_users", "Users of pcp.conf with the role monitor: see pcp.conf(5)."},
    };

    for (size_t n = 0; n < ARRAY_LEN(files); n++) {
        const char *value = bouncer_get(b, files[n].old);

        if (value == NULL)
            continue;
        migrate_was(out, files[n].old, value);
        migrate_comment(out, "%s", files[n].text);
        buf_add_u8(out, '\n');
    }
}

void
bouncer_print_logins(const struct bouncer *b, struct buf *out)
{
    print_auth_type(b, out);
    print_file_names(b, out);
    print_auth_database(b, out);
}

/* ---- files ---- */

/* Reads a file that a setting names; NULL with a fault. The caller frees it. */
static char *
read_named(const struct bouncer *b, const char *setting, size_t *len_r)
{
    const char *name = bouncer_get(b, setting);
    char *text;
    struct err err;

    if (name == NULL || name[0] == '\0') {
        report_add(b->report, CONFIG_FAULT, (struct place){b->path, 0}, NULL, "\"%s\" is not set",
                   setting);
        return NULL;
    }
    if (source_read(source_join(b->path, name, b->arena), &text, len_r, &err) != 0) {
        report_add(b->report, CONFIG_FAULT, (struct place){b->path, 0}, err.hint, "%s",
                   err.message);
        return NULL;
    }
    return text;
}

/* A text in double quotes, which are written twice inside; NULL when there is none. */
static char *
quoted(const char **at, const char *end, struct arena *arena)
{
    const char *p = *at;
    char *text;
    size_t len = 0;

    while (p < end && strchr(" \t\r", *p) != NULL)
        p++;
    if (p == end || *p != '"')
        return NULL;
    text = arena_alloc(arena, (size_t)(end - p));
    for (p++; p < end && (*p != '"' || (p + 1 < end && p[1] == '"')); p++) {
        p += *p == '"';
        text[len++] = *p;
    }
    if (p == end)
        return NULL;
    text[len] = '\0';
    *at = p + 1;
    return text;
}

/* `"user" "secret"`, as a line of pool_passwd. False when it is none, or none that can be one. */
static bool
print_user(const struct bouncer *b, const char *line, const char *end, struct buf *out)
{
    const char *user = quoted(&line, end, b->arena);
    const char *secret = user != NULL ? quoted(&line, end, b->arena) : NULL;
    bool hashed;

    if (secret == NULL || user[0] == '\0' || user[0] == '#' || strchr(user, ':') != NULL)
        return false;
    hashed = strncmp(secret, "SCRAM-SHA-256$", 14) == 0 ||
             (strncmp(secret, "md5", 3) == 0 && strlen(secret) == 35 &&
              strspn(secret + 3, "0123456789abcdef") == 32);
    if (secret[0] == '\0') {
        migrate_comment(
            out, "The user \"%s\" has no password: auth_query, or the server, knows it.", user);
        return true;
    }
    buf_printf(out, "%s:%s%s\n", user, hashed ? "" : "TEXT", secret);
    return true;
}

int
bouncer_print_passwd(const struct bouncer *b, struct buf *out)
{
    size_t len;
    char *text = read_named(b, "auth_file", &len);
    struct place place = {bouncer_get(b, "auth_file"), 0};
    const char *line = text;
    const char *end;

    if (text == NULL)
        return -1;
    migrate_comment(out,
                    "pool_passwd, made by \"pgpool migrate\" from PgBouncer's %s. Only "
                    "pgpool's user may be able to read it (chmod 600).",
                    place.file);
    for (end = text + len; line < end;) {
        const char *eol = memchr(line, '\n', (size_t)(end - line));
        const char *stop = eol != NULL ? eol : end;
        const char *first = line;

        place.line++;
        while (first < stop && strchr(" \t\r", *first) != NULL)
            first++;
        if (first < stop && *first != ';' && *first != '#' &&
            (memchr(first, 0, (size_t)(stop - first)) != NULL || !print_user(b, first, stop, out)))
            report_add(b->report, CONFIG_WARNING, place, "a line reads: \"user\" \"secret\"",
                       "the line is not understood, or its user cannot stand in pool_passwd");
        line = eol != NULL ? eol + 1 : end;
    }
    free(text);
    return 0;
}

static int
copy_hba(const struct bouncer *b, struct buf *out)
{
    size_t len;
    char *text = read_named(b, "auth_hba_file", &len);

    if (text == NULL)
        return -1;
    migrate_comment(out,
                    "pool_hba.conf, PgBouncer's %s as it was. \"pgpool configtest\" says what "
                    "of it pgpool does not know.",
                    bouncer_get(b, "auth_hba_file"));
    buf_add(out, text, len);
    if (len > 0 && text[len - 1] != '\n')
        buf_add_u8(out, '\n');
    free(text);
    return 0;
}

int
bouncer_print_hba(const struct bouncer *b, struct buf *out)
{
    const char *mode = bouncer_get(b, "client_tls_sslmode");
    bool tls = tls_is_needed(b) || is_type(b, "cert");
    bool certificate = mode != NULL && strncmp(mode, "verify", 6) == 0 && !is_type(b, "cert");

    if (is_type(b, "hba"))
        return copy_hba(b, out);
    migrate_comment(out,
                    "pool_hba.conf, made by \"pgpool migrate\" from auth_type = %s and "
                    "client_tls_sslmode = %s of PgBouncer's %s",
                    auth_type(b), mode != NULL ? mode : "disable", b->path);
    buf_add_str(out, "# type    database  user  address  method\n");
    if (!is_type(b, "cert"))
        buf_printf(out, "local     all       all            %s\n", bouncer_method(b));
    buf_printf(out, "%-9s all       all   all      %s%s\n", tls ? "hostssl" : "host",
               bouncer_method(b), certificate ? " clientcert=verify-ca" : "");
    return 0;
}

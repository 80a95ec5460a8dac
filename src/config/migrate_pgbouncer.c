/*
 * A pgbouncer.ini, written anew as a pgpool.conf: the section [pgbouncer].
 *
 * Called by migrate.c. Databases and users are migrate_databases.c's, logins migrate_logins.c's.
 * PgBouncer serves many clusters and pgpool one, with all of its servers: that is the difference
 * that no file can bridge, and the comments say so.
 */
#include "base/num.h"
#include "base/str.h"
#include "config/migrate_parts.h"

#include <string.h>

#define ID(name) OPTION_ID_GLOBAL_##name

enum {
    OLD_POOL_SIZE = 20, /* PgBouncer's default_pool_size */
};

enum row_kind { ROW_TO, ROW_SECONDS, ROW_OWN, ROW_NONE };

struct row {
    enum row_kind kind;
    const char *old;
    const char *new;
    const char *preset;
    const char *text;
};

static const struct row rows[] = {
#define BOUNCER_TO(old, new, preset, text) {ROW_TO, #old, #new, preset, text},
#define BOUNCER_SECONDS(old, new, preset, text) {ROW_SECONDS, #old, #new, preset, text},
#define BOUNCER_OWN(old) {ROW_OWN, #old, NULL, NULL, NULL},
#define BOUNCER_NONE(old, text) {ROW_NONE, #old, NULL, NULL, text},
#include "tables/pgbouncer.def"
};

const char *
bouncer_get(const struct bouncer *b, const char *name)
{
    return ini_get(b->ini, "pgbouncer", name);
}

static void
set(struct buf *out, enum option_id id, const char *value)
{
    migrate_setting(out, &option_table[id], OPTION_ALL_NODES, value);
}

/* ---- rows of the table ---- */

/* What the option reads: PgBouncer counts in seconds, also with a fraction. */
static const char *
value_of(const struct bouncer *b, const struct row *row, const char *value)
{
    if (row->kind != ROW_SECONDS || value[0] == '\0' || value[strspn(value, "0123456789.")] != '\0')
        return value;
    return arena_printf(b->arena, "%ss", value);
}

static void
print_row(const struct bouncer *b, const struct row *row, struct buf *out)
{
    const char *value = bouncer_get(b, row->old);
    struct option_ref ref;

    if (value == NULL && row->preset == NULL)
        return;
    if (option_find(row->new, &ref) != OPTION_FOUND)
        BUG("no option \"%s\"", row->new);
    if (value == NULL) {
        if (migrate_is_preset(ref.option, value_of(b, row, row->preset)))
            return;
        migrate_comment(out, "PgBouncer's default: %s = %s", row->old, row->preset);
    } else if (strcmp(row->old, row->new) != 0) {
        migrate_comment(out, "was called %s", row->old);
    }
    if (row->text[0] != '\0')
        migrate_comment(out, "%s", row->text);
    migrate_setting(out, ref.option, OPTION_ALL_NODES,
                    value_of(b, row, value != NULL ? value : row->preset));
}

static void
print_rows(const struct bouncer *b, struct buf *out)
{
    for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
        if (rows[n].kind == ROW_TO || rows[n].kind == ROW_SECONDS)
            print_row(b, &rows[n], out);
    }
}

static const struct row *
find_row(const char *name)
{
    for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
        if (str_equal_nocase(rows[n].old, name))
            return &rows[n];
    }
    return NULL;
}

/* Whether a later line of the section sets the name again: that one counts. */
static bool
is_set_later(const struct ini *ini, uint32_t at)
{
    for (uint32_t n = at + 1; n < ini->count; n++) {
        if (str_equal_nocase(ini->lines[n].section, "pgbouncer") &&
            str_equal_nocase(ini->lines[n].name, ini->lines[at].name))
            return true;
    }
    return false;
}

static void
print_lost(const struct bouncer *b, struct buf *out)
{
    bool title = false;

    for (uint32_t n = 0; n < b->ini->count; n++) {
        const struct ini_line *line = &b->ini->lines[n];
        bool ours = str_equal_nocase(line->section, "pgbouncer");
        bool known = ours || str_equal_nocase(line->section, "databases") ||
                     str_equal_nocase(line->section, "users");
        const struct row *row = ours ? find_row(line->name) : NULL;

        if ((known && !ours) || (row != NULL && row->kind != ROW_NONE) ||
            (ours && is_set_later(b->ini, n)))
            continue;
        if (!title)
            buf_add_str(out, "\n#---- What has no counterpart ----\n\n");
        title = true;
        migrate_was(out, line->name, line->value);
        if (row != NULL) {
            migrate_comment(out, "Not needed: %s.", row->text);
        } else if (!known) {
            migrate_comment(out, "Of the section [%s], which pgpool does not have.", line->section);
        } else {
            migrate_comment(out, "Nobody knows this setting.");
            report_add(b->report, CONFIG_WARNING, line->place, NULL,
                       "unknown setting \"%.64s\": it is not taken", line->name);
        }
    }
}

/* Nothing that is set may be passed over in silence. */
static void
print_unsaid(const struct bouncer *b, struct buf *out)
{
    struct buf names = BUF_EMPTY;

    for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
        if (rows[n].kind == ROW_OWN && bouncer_get(b, rows[n].old) != NULL &&
            strstr(buf_cstr(out), rows[n].old) == NULL)
            migrate_add_name(&names, rows[n].old);
    }
    migrate_names(out, "Set to what pgpool does by default", &names);
    buf_free(&names);
}

/* ---- settings that are not the same ---- */

static void
print_sockets(const struct bouncer *b, struct buf *out)
{
    const char *directory = bouncer_get(b, "unix_socket_dir");

    if (directory == NULL)
        return;
    migrate_comment(out, "was called unix_socket_dir");
    if (directory[0] == '@') {
        migrate_comment(out, "%s is an abstract name, which pgpool has not.", directory);
        directory = "/tmp";
    }
    set(out, ID(unix_socket_directories), directory);
}

static void
print_pool_mode(const struct bouncer *b, struct buf *out)
{
    const char *mode = bouncer_get(b, "pool_mode");

    if (mode == NULL)
        migrate_comment(out, "PgBouncer's default: pool_mode = session");
    if (mode != NULL && str_equal_nocase(mode, "statement")) {
        migrate_was(out, "pool_mode", mode);
        migrate_comment(out, "Transactions of several statements are possible here.");
        mode = "transaction";
    }
    migrate_comment(out, "auto is a third mode: a server connection for each transaction, and for "
                         "longer while the client has left something on it. What works in session "
                         "mode works in it.");
    set(out, ID(pool_mode), mode != NULL ? mode : "session");
}

static void
print_pool_size(const struct bouncer *b, struct buf *out)
{
    const char *text = bouncer_get(b, "default_pool_size");
    const char *least = bouncer_get(b, "min_pool_size");

    if (text != NULL)
        migrate_was(out, "default_pool_size", text);
    else
        migrate_comment(out, "PgBouncer's default: default_pool_size = %d", OLD_POOL_SIZE);
    migrate_comment(
        out, "There it was a limit for each pair of user and database. Here this is one for "
             "all connections to a server: as many as PgBouncer opened for one user of each "
             "database of the file. Clients wait when all are in use; pool_limits has limits "
             "for databases and users.");
    buf_printf(out, "max_backend_connections = %u\n", bouncer_connections(b));
    if (least != NULL && strcmp(least, "0") != 0) {
        migrate_was(out, "min_pool_size", least);
        migrate_comment(out, "Here each process keeps so many for each pair.");
        set(out, ID(min_pool_size), "1");
    }
}

/* What pool_limits has of it. */
static void
print_own_limits(const struct bouncer *b, struct buf *out)
{
    static const char *const names[] = {"max_db_connections", "max_user_connections"};

    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        if (bouncer_get(b, names[n]) == NULL)
            continue;
        migrate_was(out, names[n], bouncer_get(b, names[n]));
        migrate_comment(out, "pool_limits has it, for each of the %s that the file names.",
                        n == 0 ? "databases" : "users");
    }
}

static void
print_reset(const struct bouncer *b, struct buf *out)
{
    const char *query = bouncer_get(b, "server_reset_query");

    if (query == NULL)
        return;
    migrate_was(out, "server_reset_query", query);
    if (query[0] == '\0') {
        migrate_comment(out, "Clients never see what another one has left: the default stays.");
        return;
    }
    set(out, ID(reset_query_list), arena_printf(b->arena, "ABORT; %s", query));
}

/* "tlsv1.2, tlsv1.3", "secure", "all": the oldest one. */
static void
print_tls_versions(const struct bouncer *b, struct buf *out)
{
    const char *text = bouncer_get(b, "client_tls_protocols");
    const char *oldest = "TLSv1.2";

    if (text == NULL)
        return;
    migrate_was(out, "client_tls_protocols", text);
    if (strcasestr(text, "all") != NULL || strcasestr(text, "legacy") != NULL ||
        strcasestr(text, "tlsv1.0") != NULL)
        oldest = "TLSv1";
    else if (strcasestr(text, "tlsv1.1") != NULL)
        oldest = "TLSv1.1";
    else if (strcasestr(text, "tlsv1.3") != NULL && strcasestr(text, "tlsv1.2") == NULL)
        oldest = "TLSv1.3";
    set(out, ID(ssl_min_protocol_version), oldest);
}

/* Words that are a choice of PgBouncer's own leave it at our default. */
static void
print_tls_words(const struct bouncer *b, struct buf *out)
{
    static const char *const own_words[] = {"default", "secure", "compat", "legacy", "fast",
                                            "normal",  "all",    "auto",   "none",   ""};
    static const struct {
        const char *old;
        enum option_id id;
    } settings[] = {
        {"client_tls_ciphers", ID(ssl_ciphers)},
        {"client_tls_ecdhcurve", ID(ssl_ecdh_curve)},
    };

    for (size_t n = 0; n < ARRAY_LEN(settings); n++) {
        const char *value = bouncer_get(b, settings[n].old);
        bool own = false;

        for (size_t m = 0; value != NULL && m < ARRAY_LEN(own_words); m++)
            own = own || str_equal_nocase(value, own_words[m]);
        if (value == NULL)
            continue;
        migrate_was(out, settings[n].old, value);
        if (own)
            migrate_comment(out, "The default of %s stays.", option_table[settings[n].id].name);
        else
            set(out, settings[n].id, value);
    }
}

static void
print_tls(const struct bouncer *b, struct buf *out)
{
    const char *mode = bouncer_get(b, "client_tls_sslmode");

    if (mode != NULL) {
        migrate_was(out, "client_tls_sslmode", mode);
        set(out, ID(ssl), str_equal_nocase(mode, "disable") ? "off" : "on");
        if (strncmp(mode, "verify", 6) == 0)
            migrate_comment(out, "pool_hba.conf asks for the certificate: clientcert.");
        else if (str_equal_nocase(mode, "require"))
            migrate_comment(out, "pool_hba.conf keeps out who comes without TLS: hostssl.");
    }
    print_tls_versions(b, out);
    print_tls_words(b, out);
}

/* Log files go by directory and name here. */
static void
print_log(const struct bouncer *b, struct buf *out)
{
    const char *file = bouncer_get(b, "logfile");
    const char *syslog = bouncer_get(b, "syslog");
    const char *facility = bouncer_get(b, "syslog_facility");
    const char *slash = file != NULL ? strrchr(file, '/') : NULL;

    if (slash != NULL && slash > file && slash[1] != '\0') {
        migrate_was(out, "logfile", file);
        migrate_comment(out, "The directory must be writable by the user that pgpool runs as. It "
                             "rotates the file by log_rotation_age and log_rotation_size.");
        set(out, ID(logging_collector), "on");
        set(out, ID(log_directory), arena_strndup(b->arena, file, (size_t)(slash - file)));
        set(out, ID(log_filename), "pgpool-%Y-%m-%d_%H%M%S.log");
    } else if (file != NULL && file[0] != '\0') {
        migrate_was(out, "logfile", file);
        migrate_comment(out, "See logging_collector, log_directory and log_filename.");
    }
    if (syslog != NULL && (strcmp(syslog, "1") == 0 || str_equal_nocase(syslog, "on"))) {
        migrate_was(out, "syslog", syslog);
        set(out, ID(log_destination), slash != NULL ? "stderr, syslog" : "syslog");
    }
    if (facility != NULL)
        set(out, ID(syslog_facility), facility);
}

static void
print_files(const struct bouncer *b, struct buf *out)
{
    const char *user = bouncer_get(b, "user");
    const char *pid_file = bouncer_get(b, "pidfile");

    if (pid_file != NULL) {
        migrate_was(out, "pidfile", pid_file);
        migrate_comment(out, "PgBouncer may still hold that one. The directory of pid_file_name "
                             "must be writable by the user that pgpool runs as.");
    }
    if (user != NULL && user[0] != '\0') {
        migrate_comment(out, "was called user");
        set(out, ID(run_as_user), user);
    }
}

/* pgpool has to ask the servers who is the primary; PgBouncer asked nobody. */
static void
print_check_user(const struct bouncer *b, struct buf *out)
{
    const char *user = bouncer_get(b, "auth_user");
    struct bouncer_entry entry;

    if (!bouncer_main_entry(b, &entry))
        return;
    migrate_comment(out, "pgpool asks the servers which of them is the primary, and how far the "
                         "standbys are: as a role that has pg_monitor.");
    if (user != NULL && user[0] != '\0') {
        migrate_comment(out, "The one of auth_user may do so when it is given pg_monitor.");
        set(out, ID(sr_check_user), user);
    } else if (entry.user != NULL) {
        migrate_comment(out, "This is the one that PgBouncer logged in as.");
        set(out, ID(sr_check_user), entry.user);
        if (entry.password != NULL)
            set(out, ID(sr_check_password), entry.password);
    } else {
        migrate_comment(out, "Name one: without it, it is the user that pgpool runs as.");
        buf_add_str(out, "#sr_check_user = 'pgpool'\n#sr_check_password = ''\n");
    }
    bouncer_entry_fini(&entry);
}

/* ---- the file ---- */

static void
print_head(const struct bouncer *b, struct buf *out)
{
    static const char *const parts[] = {"pool_limits", "pool_passwd", "pool_hba.conf"};
    struct buf limits = BUF_EMPTY;
    bool has[] = {bouncer_print_limits(b, &limits) > 0, bouncer_get(b, "auth_file") != NULL,
                  bouncer_needs_hba(b)};

    buf_free(&limits);
    migrate_comment(out, "pgpool.conf, made by \"pgpool migrate\" from PgBouncer's %s", b->path);
    buf_add_str(out, "#\n");
    migrate_comment(out, "Every setting of that file is below: set, or in a comment that says why "
                         "it is not.");
    for (size_t n = 0; n < ARRAY_LEN(parts); n++) {
        if (has[n])
            buf_printf(out,
                       "#\n# %s, beside this file, is printed by\n"
                       "#     pgpool --part=%s migrate FILE\n",
                       parts[n], parts[n]);
    }
    buf_add_str(out, "#\n");
    migrate_comment(out, "\"pgpool -f FILE configtest --connect\" checks all of it.");
}

static void
print_conf(const struct bouncer *b, struct buf *out)
{
    print_head(b, out);
    buf_add_str(out, "\n#---- Servers ----\n\n");
    bouncer_print_nodes(b, out);
    print_check_user(b, out);
    buf_add_str(out, "\n#---- Pooling ----\n\n");
    print_pool_mode(b, out);
    print_pool_size(b, out);
    print_own_limits(b, out);
    print_reset(b, out);
    buf_add_str(out, "\n#---- Logins ----\n\n");
    bouncer_print_logins(b, out);
    buf_add_str(out, "\n#---- TLS, sockets, logs ----\n\n");
    print_tls(b, out);
    print_sockets(b, out);
    print_log(b, out);
    print_files(b, out);
    buf_add_str(out, "\n#---- What is called otherwise, or the same ----\n\n");
    print_rows(b, out);
    print_lost(b, out);
    print_unsaid(b, out);
}

int
migrate_pgbouncer(const struct migrate_request *request, struct buf *out,
                  struct config_report *report)
{
    struct arena arena;
    struct ini ini;
    struct bouncer b = {&ini, request->path, &arena, report};
    int rc;

    arena_init(&arena, 0);
    rc = ini_read(request->path, &arena, &ini, report);
    if (rc == 0) {
        switch (request->part) {
        case MIGRATE_PGPOOL_CONF:
            print_conf(&b, out);
            break;
        case MIGRATE_POOL_LIMITS:
            bouncer_print_limits(&b, out);
            break;
        case MIGRATE_POOL_PASSWD:
            rc = bouncer_print_passwd(&b, out);
            break;
        case MIGRATE_POOL_HBA:
            rc = bouncer_print_hba(&b, out);
            break;
        }
    }
    ini_fini(&ini);
    arena_fini(&arena);
    return rc;
}

/*
 * PgBouncer's [databases] and [users]: servers, and lines of pool_limits.
 *
 * Called by migrate_pgbouncer.c. The servers of "*", or of the first database, are the nodes; what
 * lies elsewhere is either a standby of the same cluster, or a cluster that needs a pgpool of its
 * own, and only people know.
 */
#include "base/num.h"
#include "base/str.h"
#include "config/migrate_parts.h"

#include <stdio.h>
#include <string.h>

enum { OLD_POOL_SIZE = 20, OLD_PORT = 5432 };

static bool
is_in(const struct ini_line *line, const char *section)
{
    return str_equal_nocase(line->section, section);
}

/* Words that say where something is. */
static const char **
place_of_word(struct bouncer_entry *entry, const char *word)
{
    const struct {
        const char *word;
        const char **field;
    } places[] = {
        {"host", &entry->host},
        {"port", &entry->port},
        {"dbname", &entry->dbname},
        {"user", &entry->user},
        {"password", &entry->password},
        {"auth_user", &entry->auth_user},
        {"pool_mode", &entry->pool_mode},
        {"pool_size", &entry->pool_size},
        {"max_db_connections", &entry->max_connections},
        {"max_user_connections", &entry->max_connections},
    };

    for (size_t n = 0; n < ARRAY_LEN(places); n++) {
        if (str_equal_nocase(word, places[n].word))
            return places[n].field;
    }
    return NULL;
}

static void
take_apart(const struct bouncer *b, const struct ini_line *line, struct bouncer_entry *entry_r)
{
    const char *at = line->value;
    const char *word;
    const char *value;

    *entry_r = (struct bouncer_entry){.name = line->name, .others = BUF_EMPTY};
    while (ini_next_word(&at, b->arena, &word, &value)) {
        const char **field = place_of_word(entry_r, word);

        if (field != NULL)
            *field = value;
        else
            migrate_add_name(&entry_r->others, word);
    }
    if (at[strspn(at, " \t")] != '\0')
        report_add(b->report, CONFIG_WARNING, line->place, NULL,
                   "the end of the line for \"%.64s\" is not understood, and not taken",
                   line->name);
}

void
bouncer_entry_fini(struct bouncer_entry *entry)
{
    buf_free(&entry->others);
}

bool
bouncer_main_entry(const struct bouncer *b, struct bouncer_entry *entry_r)
{
    const struct ini_line *found = NULL;

    for (uint32_t n = 0; n < b->ini->count; n++) {
        const struct ini_line *line = &b->ini->lines[n];

        if (is_in(line, "databases") && (found == NULL || strcmp(line->name, "*") == 0))
            found = line;
    }
    if (found != NULL)
        take_apart(b, found, entry_r);
    return found != NULL;
}

/* ---- servers ---- */

struct server {
    const char *host;
    uint32_t port;
};

struct servers {
    struct server list[CONFIG_NODES_MAX];
    uint32_t count;
    uint32_t active; /* those of the main entry come first */
};

/* Where PgBouncer looks for a server on this machine. */
static const char *
socket_directory(const struct bouncer *b)
{
    const char *directory = bouncer_get(b, "unix_socket_dir");

    return directory != NULL && directory[0] == '/' ? directory : "/tmp";
}

/* True when it is a new one. */
static bool
add_server(struct servers *servers, const char *host, uint32_t port)
{
    for (uint32_t n = 0; n < servers->count; n++) {
        if (servers->list[n].port == port && str_equal_nocase(servers->list[n].host, host))
            return false;
    }
    if (servers->count == CONFIG_NODES_MAX)
        return false;
    servers->list[servers->count++] = (struct server){host, port};
    return true;
}

static void
add_servers(const struct bouncer *b, const struct bouncer_entry *entry, struct servers *servers)
{
    const char *at = entry->host != NULL ? entry->host : "";
    uint32_t port = OLD_PORT;

    if (entry->port != NULL && (!num_parse_u32(entry->port, &port) || port == 0 || port > 65535)) {
        report_add(b->report, CONFIG_WARNING, (struct place){b->path, 0}, NULL,
                   "port of database \"%.64s\" is none: 5432 is taken", entry->name);
        port = OLD_PORT;
    }
    if (*at == '\0')
        add_server(servers, socket_directory(b), port);
    while (*at != '\0') {
        size_t len = strcspn(at, ",");

        if (len > 0)
            add_server(servers, arena_strndup(b->arena, at, len), port);
        at += len + (at[len] == ',');
    }
}

static void
find_servers(const struct bouncer *b, struct servers *servers)
{
    struct bouncer_entry entry;

    servers->count = 0;
    if (bouncer_main_entry(b, &entry)) {
        add_servers(b, &entry, servers);
        bouncer_entry_fini(&entry);
    }
    servers->active = servers->count;
    for (uint32_t n = 0; n < b->ini->count; n++) {
        if (!is_in(&b->ini->lines[n], "databases"))
            continue;
        take_apart(b, &b->ini->lines[n], &entry);
        add_servers(b, &entry, servers);
        bouncer_entry_fini(&entry);
    }
}

static void
print_node(struct buf *out, uint32_t node_id, const struct server *server, bool active)
{
    struct buf lines = BUF_EMPTY;
    char port[16];

    snprintf(port, sizeof(port), "%u", server->port);
    migrate_setting(&lines, &option_table[OPTION_ID_BACKEND_hostname], (int)node_id, server->host);
    migrate_setting(&lines, &option_table[OPTION_ID_BACKEND_port], (int)node_id, port);
    for (size_t n = 0; n < lines.len; n++) {
        if (!active && (n == 0 || lines.data[n - 1] == '\n'))
            buf_add_u8(out, '#');
        buf_add_u8(out, lines.data[n]);
    }
    buf_free(&lines);
}

/* What its clients have to do otherwise. */
static void
print_database(const struct bouncer *b, const struct ini_line *line, struct buf *out)
{
    struct bouncer_entry entry;

    take_apart(b, line, &entry);
    if (entry.dbname != NULL && strcmp(entry.dbname, entry.name) != 0)
        migrate_comment(out,
                        "Database \"%s\": clients have to ask for \"%s\", the name that it has at "
                        "the server; there are no other names for databases here.",
                        entry.name, entry.dbname);
    if (entry.user != NULL)
        migrate_comment(out,
                        "Database \"%s\": all clients were the role \"%s\" at the server. Here "
                        "each is the role that it logs in as.",
                        entry.name, entry.user);
    if (entry.auth_user != NULL)
        migrate_comment(out, "Database \"%s\": auth_user = %s. There is one auth_user for all.",
                        entry.name, entry.auth_user);
    if (entry.others.len > 0)
        migrate_comment(out, "Database \"%s\": without a counterpart: %s.", entry.name,
                        buf_cstr(&entry.others));
    bouncer_entry_fini(&entry);
}

void
bouncer_print_nodes(const struct bouncer *b, struct buf *out)
{
    struct servers servers;

    find_servers(b, &servers);
    migrate_comment(out, "All servers of one cluster: the primary, and its standbys. pgpool finds "
                         "out who is which, and sends reads to the standbys that are named here.");
    for (uint32_t n = 0; n < servers.active; n++)
        print_node(out, n, &servers.list[n], true);
    if (servers.count > servers.active)
        migrate_comment(out, "Other databases are here. Is it a standby of the same cluster, take "
                             "the # away. Is it another cluster, it needs a pgpool of its own.");
    for (uint32_t n = servers.active; n < servers.count; n++)
        print_node(out, n, &servers.list[n], false);
    if (servers.count == 0)
        migrate_comment(out, "The old file names no database, and so no server.");
    buf_add_u8(out, '\n');
    for (uint32_t n = 0; n < b->ini->count; n++) {
        if (is_in(&b->ini->lines[n], "databases"))
            print_database(b, &b->ini->lines[n], out);
    }
}

/* ---- limits ---- */

static uint32_t
number(const char *text, uint32_t preset)
{
    uint32_t value;

    return text != NULL && num_parse_u32(text, &value) && value <= INT32_MAX ? value : preset;
}

uint32_t
bouncer_connections(const struct bouncer *b)
{
    uint32_t each = number(bouncer_get(b, "default_pool_size"), OLD_POOL_SIZE);
    uint32_t each_most = number(bouncer_get(b, "max_db_connections"), 0);
    uint64_t sum = 0;

    for (uint32_t n = 0; n < b->ini->count; n++) {
        struct bouncer_entry entry;
        uint32_t most;

        if (!is_in(&b->ini->lines[n], "databases"))
            continue;
        take_apart(b, &b->ini->lines[n], &entry);
        most = number(entry.max_connections, each_most);
        sum += MAX(most, number(entry.pool_size, each));
        bouncer_entry_fini(&entry);
    }
    return (uint32_t)MIN(MAX(sum, (uint64_t)each), (uint64_t)INT32_MAX);
}

/* A name as pool_limits has it. */
static void
print_name(struct buf *out, const char *name)
{
    bool plain = name[0] != '\0' && strpbrk(name, " \t#\"") == NULL && strcmp(name, "all") != 0;

    if (plain) {
        buf_printf(out, "%-15s ", name);
        return;
    }
    buf_add_u8(out, '"');
    for (const char *p = name; *p != '\0'; p++)
        buf_printf(out, *p == '"' ? "\"\"" : "%c", *p);
    buf_add_str(out, "\" ");
}

/* A mode that pool_limits has, "-" for none. */
static const char *
mode_of(const char *mode)
{
    if (mode == NULL)
        return "-";
    if (str_equal_nocase(mode, "statement"))
        return "transaction";
    return str_equal_nocase(mode, "session") || str_equal_nocase(mode, "transaction") ? mode : "-";
}

/* Lines of a section, each for a name that has something of its own; with_star says whether "*" is
 * meant. Returns how many. */
static uint32_t
print_section(const struct bouncer *b, bool users, bool with_star, struct buf *out)
{
    uint32_t preset =
        number(bouncer_get(b, users ? "max_user_connections" : "max_db_connections"), 0);
    uint32_t count = 0;

    for (uint32_t n = 0; n < b->ini->count; n++) {
        const struct ini_line *line = &b->ini->lines[n];
        struct bouncer_entry entry;
        uint32_t most;

        if (!is_in(line, users ? "users" : "databases") ||
            (strcmp(line->name, "*") == 0) != with_star)
            continue;
        take_apart(b, line, &entry);
        most = number(entry.max_connections, number(entry.pool_size, preset));
        if (most > 0 || entry.pool_mode != NULL) {
            print_name(out, users ? "*" : entry.dbname != NULL ? entry.dbname : entry.name);
            print_name(out, users ? entry.name : "*");
            buf_printf(out, "%-13s %u\n", mode_of(entry.pool_mode), most);
            count++;
        }
        bouncer_entry_fini(&entry);
    }
    return count;
}

uint32_t
bouncer_print_limits(const struct bouncer *b, struct buf *out)
{
    uint32_t count;

    migrate_comment(out, "pool_limits, made by \"pgpool migrate\" from PgBouncer's %s", b->path);
    buf_add_str(out, "#\n");
    migrate_comment(out, "The first line that fits a client counts. A limit is for all clients of "
                         "its line together, where PgBouncer's pool_size was one for each user.");
    buf_add_str(out, "#\n# database      user            pool_mode     connections\n");
    count = print_section(b, true, false, out);
    count += print_section(b, false, false, out);
    count += print_section(b, false, true, out);
    return count;
}

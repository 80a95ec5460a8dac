/*
 * A pgpool.conf of Pgpool-II, written anew: option by option, in the order of our own table.
 *
 * Called by migrate.c. Each parameter of the old file ends in exactly one place: as a setting, in a
 * comment that says why it is none, or in one of the lists of names at the end. What Pgpool-II does
 * by default and we do not is decided by include/tables/migrate.def; a value that was never chosen
 * by anybody is no reason to give up a better default.
 */
#include "base/str.h"
#include "config/migrate_old.h"
#include "config/migrate_parts.h"
#include "config/source.h"

#include <string.h>

#define ID(name) OPTION_ID_GLOBAL_##name

enum {
    OLD_CHILDREN = 32, /* Pgpool-II's defaults */
    OLD_POOL = 4,
    DESCRIPTION_MAX = 1000,
};

struct writer {
    const char *path;
    const struct old *old;
    struct buf *out;
    struct migrate_group group;
    struct buf watchdog; /* names of what etcd has taken the place of */
    struct buf same;     /* names that are set to our default */
    struct buf silent;   /* ... not set, where Pgpool-II's default was another one */
};

enum rule_kind { RULE_NEW, RULE_NOTE, RULE_DROP };

struct rule {
    enum rule_kind kind;
    const char *name;
    const char *old_preset;
    const char *text;
};

static const struct rule rules[] = {
#define MIGRATE_NEW(name, old_preset, text) {RULE_NEW, #name, old_preset, text},
#define MIGRATE_NOTE(name, text) {RULE_NOTE, #name, NULL, text},
#define MIGRATE_DROP(name, text) {RULE_DROP, #name, NULL, text},
#include "tables/migrate.def"
};

static const struct rule *
find_rule(const struct option *option, enum rule_kind kind)
{
    for (size_t n = 0; n < ARRAY_LEN(rules); n++) {
        if (rules[n].kind == kind && strcmp(rules[n].name, option->name) == 0)
            return &rules[n];
    }
    return NULL;
}

static const char *
text_of(const struct old_value *value, const char *preset)
{
    return value != NULL ? value->text : preset;
}

/* The old setting in a comment, and why it is no setting here. */
static void
say_dropped(struct writer *w, const struct old_value *value, const char *why)
{
    migrate_title(&w->group, w->out);
    migrate_was(w->out, value->name, value->text);
    migrate_comment(w->out, "Not needed: %s.", why);
    buf_add_u8(w->out, '\n');
}

/* What etcd has taken the place of has one reason, and a list of names. */
static void
say_ignored(struct writer *w, const struct option *option, const struct old_value *value)
{
    char why[DESCRIPTION_MAX];
    size_t len;

    if (strstr(option->description, "Pgpool-II's watchdog") != NULL) {
        migrate_add_name(&w->watchdog, value->name);
        return;
    }
    str_copy(why, sizeof(why), option->description);
    len = strlen(why);
    if (len > 0 && why[len - 1] == '.')
        why[len - 1] = '\0';
    say_dropped(w, value, strncmp(why, "Not needed: ", 12) == 0 ? why + 12 : why);
}

/* A value that nobody has chosen gives way to ours. */
static void
say_default(struct writer *w, const struct option *option, const struct old_value *value,
            const char *why)
{
    migrate_title(&w->group, w->out);
    migrate_was(w->out, value->name, value->text);
    migrate_comment(w->out, "That is Pgpool-II's default. Here it is %s: %s.", option->preset, why);
    buf_add_u8(w->out, '\n');
}

/* ---- what takes more than one parameter ---- */

static bool
is_set(const struct old *old, enum option_id id)
{
    return old_get(old, &option_table[id], OPTION_ALL_NODES) != NULL;
}

/* A process was a client there. A file may be half ours already. */
static void
write_clients(struct writer *w)
{
    const struct old_value *value =
        old_get(w->old, &option_table[ID(num_init_children)], OPTION_ALL_NODES);
    uint32_t children = old_number(w->old, ID(num_init_children), OLD_CHILDREN);
    uint32_t reserved = old_number(w->old, ID(reserved_connections), 0);
    uint64_t servers = (uint64_t)children * MAX(old_number(w->old, ID(max_pool), OLD_POOL), 1u);

    migrate_title(&w->group, w->out);
    if (value != NULL)
        migrate_was(w->out, value->name, value->text);
    else
        migrate_comment(w->out, "Pgpool-II's default: num_init_children = %u", OLD_CHILDREN);
    migrate_comment(w->out,
                    "There, a process served one client. Here each serves up to child_max_clients "
                    "(1000), and there is one per CPU by default.");
    if (reserved > 0 && reserved < children && !is_set(w->old, ID(max_client_connections))) {
        migrate_was(
            w->out, "reserved_connections",
            old_get(w->old, &option_table[ID(reserved_connections)], OPTION_ALL_NODES)->text);
        migrate_comment(w->out, "Further clients were refused, and so they are here. More than "
                                "these can be served now.");
        buf_printf(w->out, "max_client_connections = %u\n", children - reserved);
    }
    if (children == 0 || is_set(w->old, ID(max_backend_connections)))
        return;
    migrate_comment(w->out, "So many connections could Pgpool-II have open to a server: "
                            "num_init_children times max_pool. Clients may be many more now; they "
                            "wait for a connection when all are in use.");
    buf_printf(w->out, "max_backend_connections = %u\n",
               (unsigned)MIN(MAX(servers, 1u), (uint64_t)INT32_MAX));
}

/* Versions before 4.2 had switches in place of backend_clustering_mode. */
static const char *
mode_of_switches(const struct old *old)
{
    const char *sub_mode = old->master_slave_sub_mode;
    bool slave;

    if (old_bool(old, ID(replication_mode), false))
        return "native_replication";
    if (old->master_slave_mode == NULL)
        return NULL;
    slave = migrate_same(&option_table[ID(replication_mode)], old->master_slave_mode, "on");
    if (!slave)
        return "raw";
    if (sub_mode == NULL || str_equal_nocase(sub_mode, "stream"))
        return "streaming_replication";
    return str_equal_nocase(sub_mode, "logical") ? "logical_replication" : "slony";
}

/* NULL: nothing says it. */
static const char *
mode_of(const struct old *old)
{
    const struct old_value *value =
        old_get(old, &option_table[ID(backend_clustering_mode)], OPTION_ALL_NODES);

    return text_of(value, mode_of_switches(old));
}

static bool
has_mode(const struct old *old, const char *word)
{
    const char *mode = mode_of(old);

    return mode != NULL && migrate_same(&option_table[ID(backend_clustering_mode)], mode, word);
}

static void
write_mode(struct writer *w)
{
    const struct option *option = &option_table[ID(backend_clustering_mode)];
    const struct old_value *value = old_get(w->old, option, OPTION_ALL_NODES);
    const char *mode = mode_of(w->old);

    if (mode == NULL)
        return;
    migrate_title(&w->group, w->out);
    if (value == NULL)
        migrate_comment(w->out, "was: replication_mode, master_slave_mode and "
                                "master_slave_sub_mode, which say the same");
    migrate_setting(w->out, option, OPTION_ALL_NODES, mode);
}

/* Whom the pgpools meet by, no old file can tell. */
static void
write_watchdog(struct writer *w, const struct old_value *value)
{
    if (!old_bool(w->old, ID(use_watchdog), false)) {
        migrate_add_name(&w->same, value->name);
        return;
    }
    migrate_title(&w->group, w->out);
    migrate_was(w->out, value->name, value->text);
    if (mode_of(w->old) != NULL && !has_mode(w->old, "streaming_replication")) {
        migrate_comment(w->out,
                        "Off: the watchdog works with streaming_replication only, and each "
                        "pgpool with this file decides by itself: let only one of them run.");
        buf_add_str(w->out, "use_watchdog = off\n");
        return;
    }
    migrate_comment(w->out,
                    "The pgpools of a cluster meet in etcd here. Until that runs, each pgpool with "
                    "this file decides by itself: let only one of them run. Then name its members "
                    "in wd_etcd_hosts, set use_watchdog = on, and keep the file pgpool_node_id: "
                    "see doc/watchdog.md.");
    buf_add_str(w->out, "use_watchdog = off\n#wd_etcd_hosts = 'etcd1:2379, etcd2:2379, "
                        "etcd3:2379'\n");
}

/* pgpool would not start with it. */
static bool
write_no_cache(struct writer *w, const struct old_value *value)
{
    if (!old_bool(w->old, ID(memory_cache_enabled), false) ||
        (!has_mode(w->old, "native_replication") && !has_mode(w->old, "snapshot_isolation")))
        return false;
    migrate_title(&w->group, w->out);
    migrate_was(w->out, value->name, value->text);
    migrate_comment(w->out, "Off: the query cache is not built for native_replication and "
                            "snapshot_isolation.");
    buf_add_str(w->out, "memory_cache_enabled = off\n");
    return true;
}

/* Parameters whose place is above. */
static bool
write_special(struct writer *w, const struct option *option)
{
    const struct old_value *value = old_get(w->old, option, OPTION_ALL_NODES);

    switch ((int)option_id(option)) {
    case ID(num_init_children):
        write_clients(w);
        return true;
    case ID(reserved_connections):
        if (value != NULL && old_number(w->old, ID(reserved_connections), 0) == 0)
            migrate_add_name(&w->same, value->name);
        else if (value != NULL && old_number(w->old, ID(reserved_connections), 0) >=
                                      old_number(w->old, ID(num_init_children), OLD_CHILDREN))
            say_dropped(w, value, "it left no place for a client");
        return true;
    case ID(backend_clustering_mode):
        write_mode(w);
        return true;
    case ID(replication_mode):
        if (value != NULL && !old_bool(w->old, ID(replication_mode), false))
            migrate_add_name(&w->same, value->name);
        else if (value != NULL)
            say_dropped(w, value, "backend_clustering_mode says it");
        return true;
    case ID(use_watchdog):
        if (value != NULL)
            write_watchdog(w, value);
        return true;
    case ID(memory_cache_enabled):
        return write_no_cache(w, value);
    default:
        return false;
    }
}

/* ---- one parameter ---- */

static void
write_set(struct writer *w, const struct option *option, int node_id, const struct old_value *value)
{
    const struct rule *note = find_rule(option, RULE_NOTE);
    char name[OPTION_NAME_MAX];

    option_full_name(option, node_id, name);
    migrate_title(&w->group, w->out);
    if (!str_equal_nocase(name, value->name))
        migrate_comment(w->out, "was called %s", value->name);
    if (note != NULL)
        migrate_comment(w->out, "%s", note->text);
    if (option->state == OPTION_STATE_LATER)
        migrate_comment(w->out, "Accepted, and without effect so far.");
    migrate_setting(w->out, option, node_id, value->text);
}

/* A value for all nodes. */
static void
write_option(struct writer *w, const struct option *option)
{
    const struct old_value *value = old_get(w->old, option, OPTION_ALL_NODES);
    const struct rule *new = find_rule(option, RULE_NEW);
    const struct rule *drop = find_rule(option, RULE_DROP);

    if (write_special(w, option))
        return;
    if (value == NULL) {
        if (new != NULL)
            migrate_add_name(&w->silent, option->name);
    } else if (migrate_is_preset(option, value->text)) {
        migrate_add_name(&w->same, value->name);
    } else if (drop != NULL) {
        say_dropped(w, value, drop->text);
    } else if (option->state == OPTION_STATE_IGNORED) {
        say_ignored(w, option, value);
    } else if (new != NULL && migrate_same(option, value->text, new->old_preset)) {
        say_default(w, option, value, new->text);
    } else {
        write_set(w, option, OPTION_ALL_NODES, value);
    }
}

static bool
node_has_port(const struct old *old, int node_id)
{
    const struct old_value *port = old_get(old, &option_table[OPTION_ID_BACKEND_port], node_id);

    return port != NULL && !migrate_same(&option_table[OPTION_ID_BACKEND_port], port->text, "0");
}

static bool
any_weight(const struct old *old)
{
    for (int node_id = 0; node_id < CONFIG_NODES_MAX; node_id++) {
        if (old_get(old, &option_table[OPTION_ID_BACKEND_weight], node_id) != NULL)
            return true;
    }
    return false;
}

/* Pgpools of a cluster that have no name are none. */
static bool
is_no_peer(const struct writer *w, const struct option *option, int node_id)
{
    const struct old_value *name = old_get(w->old, &option_table[OPTION_ID_PEER_hostname], node_id);

    return option->scope == OPTION_SCOPE_PEER && (name == NULL || name->text[0] == '\0');
}

/* Pgpool-II's default, set for a node as it is for all of them. */
static bool
is_nobodys_choice(const struct writer *w, const struct option *option,
                  const struct old_value *value)
{
    const struct rule *new = find_rule(option, RULE_NEW);
    const struct old_value *all =
        option_has_global(option) ? old_get(w->old, option, OPTION_ALL_NODES) : NULL;

    return new != NULL &&migrate_same(option, value->text, new->old_preset) &&
           (all == NULL || migrate_same(option, all->text, new->old_preset));
}

/* A value of one node, of one pgpool, or of one path for heartbeats. */
static void
write_node_value(struct writer *w, const struct option *option, int node_id)
{
    const struct old_value *value = old_get(w->old, option, node_id);
    bool is_backend = option->scope == OPTION_SCOPE_BACKEND;

    if (value == NULL) {
        if (option_id(option) == OPTION_ID_BACKEND_weight && node_has_port(w->old, node_id) &&
            any_weight(w->old)) {
            migrate_comment(w->out, "Pgpool-II's default: no reads");
            buf_printf(w->out, "backend_weight%d = 0\n", node_id);
        }
    } else if (option->state == OPTION_STATE_IGNORED) {
        say_ignored(w, option, value);
    } else if (!is_backend && is_no_peer(w, option, node_id)) {
        migrate_add_name(&w->same, value->name);
    } else if (is_nobodys_choice(w, option, value)) {
        say_default(w, option, value, find_rule(option, RULE_NEW)->text);
    } else if (is_backend && !node_has_port(w->old, node_id)) {
        migrate_title(&w->group, w->out);
        migrate_was(w->out, value->name, value->text);
        migrate_comment(w->out, "A node exists when it has a port, and this one has none.");
        buf_add_u8(w->out, '\n');
    } else {
        write_set(w, option, node_id, value);
    }
}

/* All that one node has of a scope stands together. */
static void
write_nodes(struct writer *w, enum option_scope scope)
{
    for (int node_id = 0; node_id < CONFIG_NODES_MAX; node_id++) {
        for (size_t n = 0; n < OPTION_COUNT; n++) {
            if (option_table[n].scope == scope)
                write_node_value(w, &option_table[n], node_id);
        }
    }
}

/* ---- the file ---- */

static void
write_head(struct writer *w)
{
    static const struct {
        const char *name;
        const char *text;
    } files[] = {
        {"pool_hba.conf", "taken as it is, with enable_pool_hba. Unknown methods and options are "
                          "faults, and with one fault none of it is used."},
        {"pool_passwd", "taken as it is: md5, AES (the key is ~/.pgpoolkey, PGPOOLKEYFILE or -k) "
                        "and TEXT. It must be readable by pgpool's user only. auth_user makes it "
                        "unnecessary: see pgpool.conf(5)."},
        {"pcp.conf", "taken as it is. Its md5 passwords count on this machine or over TLS only, "
                     "and the pcp_* tools have to be those that come with pgpool."},
        {"pgpool_node_id", "taken as it is, with use_watchdog."},
    };
    struct arena arena;

    arena_init(&arena, 0);
    migrate_comment(w->out, "pgpool.conf, made by \"pgpool migrate\" from Pgpool-II's %s", w->path);
    buf_add_str(w->out, "#\n");
    migrate_comment(w->out, "Every parameter of that file is below: set, or in a comment that says "
                            "why it is not. What it sets to a value that is the default here is "
                            "listed by name at the end.");
    buf_add_str(w->out, "#\n");
    migrate_comment(w->out, "Files that belong beside this one; then \"pgpool -f FILE "
                            "configtest --connect\" checks all of it:");
    for (size_t n = 0; n < ARRAY_LEN(files); n++) {
        bool found = source_exists(source_join(w->path, files[n].name, &arena));

        migrate_comment(w->out, "- %s (%s): %s", files[n].name,
                        found ? "copy the one beside the old file" : "none beside the old file",
                        files[n].text);
    }
    arena_fini(&arena);
}

static void
write_hints(struct writer *w)
{
    const char *user =
        text_of(old_get(w->old, &option_table[ID(sr_check_user)], OPTION_ALL_NODES), "");
    const char *command =
        text_of(old_get(w->old, &option_table[ID(failover_command)], OPTION_ALL_NODES), "");

    if (user[0] == '\0') {
        buf_add_u8(w->out, '\n');
        migrate_comment(w->out,
                        "sr_check_user was empty. pgpool finds the primary by asking the servers "
                        "as this user, and by default as the one that it runs as: name a role that "
                        "has pg_monitor.");
        buf_add_str(w->out, "#sr_check_user = 'pgpool'\n");
    }
    if (command[0] == '\0') {
        buf_add_u8(w->out, '\n');
        migrate_comment(w->out,
                        "failover_command was empty, and nothing was promoted. Here pgpool "
                        "promotes a standby by itself when the primary dies and its user may "
                        "do that. backend_flag = DISALLOW_TO_FAILOVER at each node keeps it from "
                        "doing so.");
    }
}

static void
write_file(struct writer *w)
{
    enum option_scope last = OPTION_SCOPE_GLOBAL;
    unsigned written = 0; /* scopes, as bits */

    write_head(w);
    for (size_t n = 0; n < OPTION_COUNT; n++) {
        const struct option *option = &option_table[n];

        if (option_group_title((enum option_id)n) != NULL) {
            if (last == OPTION_SCOPE_HEALTH)
                write_nodes(w, OPTION_SCOPE_HEALTH); /* behind those for all nodes */
            w->group.title = option_group_title((enum option_id)n);
            last = OPTION_SCOPE_GLOBAL;
        }
        if (option_has_global(option))
            write_option(w, option);
        else if ((written & 1u << option->scope) == 0)
            write_nodes(w, option->scope);
        written |= 1u << option->scope;
        if (option->scope == OPTION_SCOPE_HEALTH)
            last = OPTION_SCOPE_HEALTH;
    }
    write_hints(w);
    if (w->old->lost.len > 0) {
        buf_add_str(w->out, "\n#---- What pgpool does not have ----\n\n");
        buf_add(w->out, w->old->lost.data, w->old->lost.len);
    }
    migrate_names(w->out,
                  "Of Pgpool-II's watchdog, and not needed any more, for the pgpools of a cluster "
                  "meet in etcd (doc/watchdog.md)",
                  &w->watchdog);
    migrate_names(w->out, "Set as it is by default here", &w->same);
    migrate_names(w->out,
                  "Not set there, with another default than Pgpool-II's here (pgpool.conf(5))",
                  &w->silent);
}

int
migrate_pgpool2(const char *path, struct buf *out, struct config_report *report)
{
    struct old old;
    struct writer w = {path, &old, out, {NULL}, BUF_EMPTY, BUF_EMPTY, BUF_EMPTY};
    int rc = old_read(path, &old, report);

    if (rc == 0)
        write_file(&w);
    buf_free(&w.watchdog);
    buf_free(&w.same);
    buf_free(&w.silent);
    old_fini(&old);
    return rc;
}

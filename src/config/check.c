/*
 * Checks that take more than one value, or more than its type: run when a file has been loaded,
 * and again when a reload has kept some of the old values.
 *
 * Each check is one function with one concern. None looks outside the generation, so that what the
 * parent has accepted is accepted by every other process.
 */
#include "config/check.h"

#include "base/str.h"
#include "config/limits.h"
#include "config/load.h"
#include "config/redirect.h"
#include "config/value.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum {
    CHILDREN_MANY = 64,           /* more event-driven children than this are hardly meant */
    HOST_NAME_MAX_BYTES = 255,    /* of a name in the DNS */
    LINE_PREFIX_MAX = 255,        /* base/log.h */
    SNAPSHOT_CLIENTS_MAX = 65535, /* GATE_MOST of ipc/gate.h, which is a room above */
};

#define ID(name) OPTION_ID_GLOBAL_##name

struct place
origin_get(const struct origins *origins, const struct option *option, int node_id)
{
    const struct place *nodes = origins->nodes[option_id(option)];

    if (node_id == OPTION_ALL_NODES)
        return origins->all[option_id(option)];
    return nodes != NULL ? nodes[node_id] : (struct place){NULL, 0};
}

void
origin_set(struct origins *origins, const struct option *option, int node_id, struct place place)
{
    struct place **nodes = &origins->nodes[option_id(option)];

    if (node_id == OPTION_ALL_NODES) {
        origins->all[option_id(option)] = place;
        return;
    }
    if (*nodes == NULL)
        *nodes = xcalloc(CONFIG_NODES_MAX, sizeof(**nodes));
    (*nodes)[node_id] = place;
}

void
origins_fini(struct origins *origins)
{
    for (size_t n = 0; n < OPTION_COUNT; n++)
        free(origins->nodes[n]);
    *origins = (struct origins){.nodes = {NULL}};
}

static struct place
place_of(const struct check *check, enum option_id id, int node_id)
{
    if (check->origins == NULL)
        return (struct place){NULL, 0};
    return origin_get(check->origins, &option_table[id], node_id);
}

static void
fault(const struct check *check, enum option_id id, const char *text, const char *hint)
{
    report_add(check->report, CONFIG_FAULT, place_of(check, id, OPTION_ALL_NODES), hint, "%s",
               text);
}

static void
warn(const struct check *check, enum option_id id, const char *text, const char *hint)
{
    if (!check->faults_only)
        report_add(check->report, CONFIG_WARNING, place_of(check, id, OPTION_ALL_NODES), hint, "%s",
                   text);
}

static void
check_mode(const struct check *check)
{
    const struct config *cfg = check->cfg;

    static const char built[] = "streaming_replication, native_replication, snapshot_isolation, "
                                "logical_replication or raw";

    if (cfg->backend_clustering_mode != CONFIG_MODE_STREAMING_REPLICATION &&
        cfg->backend_clustering_mode != CONFIG_MODE_LOGICAL_REPLICATION &&
        cfg->backend_clustering_mode != CONFIG_MODE_RAW && !config_has_copies(cfg))
        fault(check, ID(backend_clustering_mode),
              "this \"backend_clustering_mode\" is not built yet", built);
    if (config_has_copies(cfg) && cfg->memory_cache_enabled)
        fault(check, ID(memory_cache_enabled),
              "\"memory_cache_enabled\" is not built yet for native_replication", NULL);
    else if (config_has_copies(cfg) && config_wants_cache(cfg))
        fault(check, ID(pool_limits),
              "cache=on in \"pool_limits\" is not built yet for native_replication", NULL);
    if (cfg->backend_clustering_mode == CONFIG_MODE_SNAPSHOT_ISOLATION &&
        cfg->child_max_clients > SNAPSHOT_CLIENTS_MAX)
        fault(check, ID(child_max_clients),
              "\"child_max_clients\" is more than snapshot_isolation can count",
              "it must be at most 65535; more children serve more clients");
    if (cfg->replication_mode)
        fault(check, ID(replication_mode), "\"replication_mode\" is not used any more",
              "use \"backend_clustering_mode\" = native_replication");
}

/* The path of a Unix socket must fit into its address. */
static void
check_socket_directories(const struct check *check, enum option_id id,
                         const struct config_list *list)
{
    const size_t longest =
        sizeof(((struct sockaddr_un *)NULL)->sun_path) - sizeof("/.s.PGSQL.65535");

    for (uint32_t n = 0; n < list->count; n++) {
        if (list->items[n][0] != '/')
            report_add(check->report, CONFIG_FAULT, place_of(check, id, OPTION_ALL_NODES), NULL,
                       "directory in \"%s\" is not an absolute path", option_table[id].name);
        else if (strlen(list->items[n]) > longest)
            report_add(check->report, CONFIG_FAULT, place_of(check, id, OPTION_ALL_NODES), NULL,
                       "directory in \"%s\" is longer than %zu bytes", option_table[id].name,
                       longest);
    }
}

/* The servers will refuse it. */
static void
check_auth_query(const struct check *check)
{
    if (check->cfg->auth_user[0] != '\0' && strstr(check->cfg->auth_query, "$1") == NULL)
        warn(check, ID(auth_query), "\"auth_query\" does not ask for $1, the user",
             "SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1");
}

static void
check_listening(const struct check *check)
{
    const struct config *cfg = check->cfg;

    if (cfg->port == cfg->pcp_port)
        fault(check, ID(pcp_port), "\"port\" and \"pcp_port\" are the same", NULL);
    if (cfg->listen_addresses.count == 0 && cfg->unix_socket_directories.count == 0)
        fault(check, ID(listen_addresses),
              "neither \"listen_addresses\" nor \"unix_socket_directories\" is set",
              "no client could connect");
    check_socket_directories(check, ID(unix_socket_directories), &cfg->unix_socket_directories);
    check_socket_directories(check, ID(pcp_socket_dir), &cfg->pcp_socket_dir);
}

static void
check_places(const struct check *check)
{
    const struct config *cfg = check->cfg;
    int64_t places = (int64_t)MAX(cfg->num_init_children, 1) * cfg->child_max_clients;

    if (cfg->num_init_children > CHILDREN_MANY)
        warn(check, ID(num_init_children), "\"num_init_children\" is large",
             "a child serves up to child_max_clients clients; 0 makes one child per CPU");
    if (cfg->reserved_connections < places)
        return;
    if (cfg->num_init_children > 0)
        fault(check, ID(reserved_connections),
              "\"reserved_connections\" leaves no place for a client",
              "it must be less than num_init_children times child_max_clients");
    else
        warn(check, ID(reserved_connections), "\"reserved_connections\" leaves few places or none",
             "it must be less than the number of CPUs times child_max_clients");
}

static void
check_log_prefix(const struct check *check)
{
    const char *prefix = check->cfg->log_line_prefix;

    if (strlen(prefix) > LINE_PREFIX_MAX)
        warn(check, ID(log_line_prefix), "\"log_line_prefix\" is cut after 255 bytes", NULL);
    for (const char *p = strchr(prefix, '%'); p != NULL; p = strchr(p, '%')) {
        p++;
        if (*p == '\0' || strchr("adlmptuP%", *p) == NULL) {
            warn(check, ID(log_line_prefix), "\"log_line_prefix\" has an unknown % letter",
                 "the letters are a, d, l, m, p, P, t, u and %");
            return;
        }
        p++;
    }
}

static void
check_files(const struct check *check)
{
    const struct config *cfg = check->cfg;

    if (cfg->pid_file_name[0] == '\0')
        fault(check, ID(pid_file_name), "\"pid_file_name\" is empty", NULL);
    if (cfg->work_dir[0] == '\0')
        fault(check, ID(work_dir), "\"work_dir\" is empty", NULL);
    if (!cfg->logging_collector)
        return;
    if (cfg->log_directory[0] == '\0')
        fault(check, ID(log_directory), "\"log_directory\" is empty", NULL);
    if (cfg->log_filename[0] == '\0')
        fault(check, ID(log_filename), "\"log_filename\" is empty", NULL);
    if ((cfg->log_destination & CONFIG_LOG_STDERR) == 0)
        warn(check, ID(logging_collector), "\"logging_collector\" has nothing to collect",
             "\"log_destination\" lacks stderr");
}

static void
check_redirects(const struct check *check, enum option_id id, const struct config_list *list)
{
    struct redirect r;
    struct err err;

    for (uint32_t n = 0; n < list->count; n++) {
        if (redirect_parse(list->items[n], &r, &err) != 0)
            report_add(check->report, CONFIG_FAULT, place_of(check, id, OPTION_ALL_NODES),
                       err.hint[0] != '\0' ? err.hint : NULL, "%s (in \"%s\")", err.message,
                       option_table[id].name);
    }
}

static void
check_routing(const struct check *check)
{
    const struct config *cfg = check->cfg;

    if (cfg->read_only_function_list.count > 0 && cfg->write_function_list.count > 0)
        warn(check, ID(write_function_list),
             "both \"read_only_function_list\" and \"write_function_list\" are set",
             "a function that is in neither counts as writing");
    check_redirects(check, ID(user_redirect_preference_list), &cfg->user_redirect_preference_list);
    check_redirects(check, ID(database_redirect_preference_list),
                    &cfg->database_redirect_preference_list);
    check_redirects(check, ID(app_name_redirect_preference_list),
                    &cfg->app_name_redirect_preference_list);
}

static void
check_backend(const struct check *check, int node_id)
{
    const unsigned both = CONFIG_BACKEND_ALLOW_TO_FAILOVER | CONFIG_BACKEND_DISALLOW_TO_FAILOVER;
    const struct config_backend *backend = &check->cfg->backends[node_id];
    struct place place = place_of(check, OPTION_ID_BACKEND_hostname, node_id);

    if (strlen(backend->hostname) > HOST_NAME_MAX_BYTES)
        report_add(check->report, CONFIG_FAULT, place, NULL,
                   "\"backend_hostname%d\" is longer than %d bytes", node_id, HOST_NAME_MAX_BYTES);
    else if (backend->hostname[0] == '/' &&
             strlen(backend->hostname) >=
                 sizeof(((struct sockaddr_un *)NULL)->sun_path) - sizeof("/.s.PGSQL.65535") + 1)
        report_add(check->report, CONFIG_FAULT, place, NULL,
                   "\"backend_hostname%d\" is too long for the directory of a Unix socket",
                   node_id);
    if ((backend->flag & both) == both)
        report_add(check->report, CONFIG_FAULT, place_of(check, OPTION_ID_BACKEND_flag, node_id),
                   NULL, "\"backend_flag%d\" both allows and forbids failover", node_id);
}

/* Two nodes at one address are one server that is counted twice. */
static void
check_same_address(const struct check *check, int node_id)
{
    const struct config_backend *backend = &check->cfg->backends[node_id];

    for (int before = 0; before < node_id && !check->faults_only; before++) {
        const struct config_backend *other = &check->cfg->backends[before];

        if (other->configured && other->port == backend->port &&
            str_equal_nocase(other->hostname, backend->hostname))
            report_add(check->report, CONFIG_WARNING,
                       place_of(check, OPTION_ID_BACKEND_hostname, node_id), NULL,
                       "nodes %d and %d are the same server \"%.255s:%d\"", before, node_id,
                       backend->hostname, backend->port);
    }
}

/* Something is set for a node that does not exist. */
static void
check_absent_backend(const struct check *check, int node_id)
{
    const struct config_backend *backend = &check->cfg->backends[node_id];

    if (backend->hostname[0] != '\0') {
        report_add(check->report, CONFIG_FAULT,
                   place_of(check, OPTION_ID_BACKEND_hostname, node_id), "every node needs a port",
                   "\"backend_hostname%d\" is set without "
                   "\"backend_port%d\"",
                   node_id, node_id);
        return;
    }
    for (size_t n = 0; n < OPTION_COUNT; n++) {
        const struct option *option = &option_table[n];
        struct place place = place_of(check, option_id(option), node_id);

        if (option->scope != OPTION_SCOPE_BACKEND || place.line == 0 ||
            n == OPTION_ID_BACKEND_hostname || n == OPTION_ID_BACKEND_port)
            continue;
        report_add(check->report, CONFIG_WARNING, place,
                   "set backend_hostname and backend_port, too",
                   "\"%s%d\" is set, but there is no such node", option->name, node_id);
        return;
    }
}

static void
check_backends(const struct check *check)
{
    const struct config *cfg = check->cfg;
    int configured = 0;
    int always_primary = 0;
    double weights = 0;

    for (int node_id = 0; node_id < CONFIG_NODES_MAX; node_id++) {
        const struct config_backend *backend = &cfg->backends[node_id];

        if (!backend->configured) {
            if (check->origins != NULL)
                check_absent_backend(check, node_id);
            continue;
        }
        check_backend(check, node_id);
        check_same_address(check, node_id);
        configured++;
        weights += backend->weight;
        always_primary += (backend->flag & CONFIG_BACKEND_ALWAYS_PRIMARY) != 0;
        if (always_primary == 2 && (backend->flag & CONFIG_BACKEND_ALWAYS_PRIMARY) != 0)
            report_add(check->report, CONFIG_FAULT,
                       place_of(check, OPTION_ID_BACKEND_flag, node_id), NULL,
                       "more than one node is ALWAYS_PRIMARY");
    }
    if (check->faults_only)
        return;
    if (configured == 0)
        report_add(check->report, CONFIG_WARNING, (struct place){cfg->path, 0},
                   "set backend_hostname0 and backend_port0", "no node is configured");
    else if (weights == 0 && cfg->load_balance_mode)
        report_add(check->report, CONFIG_WARNING, (struct place){cfg->path, 0},
                   "all reads go to the primary", "every node has \"backend_weight\" 0");
}

void
check_list_set(const struct check *check, const struct option *option, const struct config *fresh,
               struct buf *names)
{
    char name[OPTION_NAME_MAX];

    for (int node_id = OPTION_ALL_NODES; node_id < CONFIG_NODES_MAX; node_id++) {
        bool has =
            node_id == OPTION_ALL_NODES ? option_has_global(option) : option_has_nodes(option);

        if (!has || origin_get(check->origins, option, node_id).line == 0)
            continue;
        if (!value_equal(option, option_value(option, check->cfg, node_id),
                         option_value(option, fresh, node_id)))
            buf_printf(names, "%s%s", names->len > 0 ? ", " : "",
                       option_full_name(option, node_id, name));
    }
}

/* One line for all options that do nothing so far. */
static void
note_not_built(const struct check *check)
{
    struct buf names = BUF_EMPTY;
    struct config *fresh;

    if (check->faults_only || check->origins == NULL)
        return;
    fresh = config_new("", NULL);
    for (size_t n = 0; n < OPTION_COUNT; n++) {
        if (option_table[n].state == OPTION_STATE_LATER)
            check_list_set(check, &option_table[n], fresh, &names);
    }
    config_free(fresh);
    if (names.len > 0)
        report_add(check->report, CONFIG_NOTE, (struct place){check->cfg->path, 0}, NULL,
                   "accepted, but not built yet and without effect: %s", buf_cstr(&names));
    buf_free(&names);
}

/* What old files set and nothing here has a use for. */
static void
note_without_meaning(const struct check *check)
{
    static const struct {
        enum option_id ids[2];
        const char *text;
    } useless[] = {
        {{ID(memqcache_cache_block_size), ID(memqcache_oiddir)},
         "without meaning for this query cache, which keeps a result in as much room as it needs "
         "and no files"},
        {{ID(insert_lock), ID(lobj_lock_table)},
         "not needed, as sequences and large objects have the same numbers on all nodes without"},
    };
    struct buf names = BUF_EMPTY;
    struct config *fresh;

    if (check->faults_only || check->origins == NULL)
        return;
    fresh = config_new("", NULL);
    for (size_t n = 0; n < ARRAY_LEN(useless); n++) {
        buf_clear(&names);
        for (size_t i = 0; i < ARRAY_LEN(useless[n].ids); i++)
            check_list_set(check, &option_table[useless[n].ids[i]], fresh, &names);
        if (names.len > 0)
            report_add(check->report, CONFIG_NOTE, (struct place){check->cfg->path, 0}, NULL,
                       "accepted, and %s: %s", useless[n].text, buf_cstr(&names));
    }
    config_free(fresh);
    buf_free(&names);
}

static void
check_tls(const struct check *check)
{
    const struct config *cfg = check->cfg;

    if (cfg->ssl && cfg->ssl_cert[0] == '\0')
        fault(check, ID(ssl), "\"ssl\" is on, and \"ssl_cert\" is not set", NULL);
    if (cfg->ssl && cfg->ssl_key[0] == '\0')
        fault(check, ID(ssl), "\"ssl\" is on, and \"ssl_key\" is not set", NULL);
    if (cfg->ssl_max_protocol_version != CONFIG_TLS_ANY &&
        cfg->ssl_max_protocol_version < cfg->ssl_min_protocol_version)
        fault(check, ID(ssl_max_protocol_version),
              "\"ssl_max_protocol_version\" is older than \"ssl_min_protocol_version\"", NULL);
    if (cfg->backend_sslmode >= CONFIG_SSLMODE_VERIFY_CA && cfg->backend_ssl_ca_cert[0] == '\0')
        fault(check, ID(backend_sslmode), "this \"backend_sslmode\" needs \"backend_ssl_ca_cert\"",
              NULL);
    if ((cfg->backend_ssl_cert[0] == '\0') != (cfg->backend_ssl_key[0] == '\0'))
        fault(check, ID(backend_ssl_cert),
              "\"backend_ssl_cert\" and \"backend_ssl_key\" belong together", NULL);
    if ((cfg->http_ssl_cert[0] == '\0') != (cfg->http_ssl_key[0] == '\0'))
        fault(check, ID(http_ssl_cert), "\"http_ssl_cert\" and \"http_ssl_key\" belong together",
              NULL);
    if (cfg->backend_ssl_crl_file[0] != '\0' && cfg->backend_ssl_ca_cert[0] == '\0')
        fault(check, ID(backend_ssl_crl_file),
              "\"backend_ssl_crl_file\" needs \"backend_ssl_ca_cert\"", NULL);
}

/* The other processes are handed this text in a place of limited size. */
static void
check_printed_size(const struct check *check)
{
    struct buf text = BUF_EMPTY;

    config_print(check->cfg, &text);
    if (text.len > CONFIG_PRINT_MAX)
        report_add(check->report, CONFIG_FAULT, (struct place){check->cfg->path, 0}, NULL,
                   "all values together are longer than %d bytes", CONFIG_PRINT_MAX);
    buf_free(&text);
}

void
check_all(const struct check *check)
{
    check_mode(check);
    check_listening(check);
    check_auth_query(check);
    check_places(check);
    check_log_prefix(check);
    check_files(check);
    check_routing(check);
    check_backends(check);
    check_tls(check);
    check_watchdog(check);
    check_printed_size(check);
    note_without_meaning(check);
    note_replaced(check);
    note_not_built(check);
}

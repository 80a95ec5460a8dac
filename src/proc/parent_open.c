/*
 * What the parent opens before the first fork: everything that can fail at start, so that the
 * command that was typed can say so.
 */
#include "base/arena.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/str.h"
#include "cache/shared.h"
#include "cluster/carried.h"
#include "cluster/nodes.h"
#include "cluster/pgpools.h"
#include "cluster/view.h"
#include "ipc/gate.h"
#include "ipc/statement_stats.h"
#include "os/channel.h"
#include "os/file.h"
#include "os/http_server.h"
#include "os/limits.h"
#include "os/memcached_client.h"
#include "os/random.h"
#include "os/tls.h"
#include "parent.h"
#include "proc/hba.h"
#include "proc/tls.h"
#include "watchdog/board.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BACKLOG_MAX = 10000,
    HTTP_BACKLOG = 64,
    LOG_PIPE_BYTES = 1024 * 1024,
    OWN_DESCRIPTORS = 96, /* of a process, besides its clients and servers */
    SPARE_NODES = 8,      /* that can be added without a restart */
};

/* ---- pid file ---- */

/* Whether it was not there. */
static bool
make_directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = xstrdup(path);
    struct err ignored; /* opening the file will say it better */
    bool made = false;

    if (slash != NULL && slash != path) {
        directory[slash - path] = '\0';
        made = !file_exists(directory) && file_make_directory(directory, 0755, &ignored) == 0;
    }
    free(directory);
    return made;
}

static int
take_pidfile(struct parent *pa, struct err *err)
{
    const char *path = pa->config->pid_file_name;
    pid_t owner;

    if (path[0] == '\0')
        return err_set(err, "F0000", "\"pid_file_name\" is empty");
    if (pa->from != NULL && strcmp(path, pa->from->pid_file) != 0) {
        err_set(err, "F0000", "\"pid_file_name\" cannot be changed by an upgrade (now \"%s\")",
                pa->from->pid_file);
        err_hint(err, "stop pgpool and start it again");
        return -1;
    }
    if (pa->from != NULL)
        return 0; /* it is taken over when all is ready */
    pa->made_pid_directory = make_directory_of(path);
    if (pidfile_take(&pa->pidfile, path, &owner, err) == 0)
        return 0;
    if (owner > 0) {
        err_set(err, "55006", "another pgpool is running (process %d holds \"%s\")", (int)owner,
                path);
        err_hint(err, "stop it with \"pgpool stop\", or give this one a \"pid_file_name\" and a "
                      "\"port\" of its own");
    } else {
        err_hint(err, "\"pid_file_name\" in pgpool.conf says where the pid file is");
    }
    return -1;
}

/* ---- listening ---- */

static int
backlog(const struct parent *pa)
{
    double wanted = (double)pa->base.child_target * pa->config->child_max_clients *
                    pa->config->listen_backlog_multiplier;

    return wanted < BACKLOG_MAX ? (int)wanted : BACKLOG_MAX;
}

struct places {
    const struct config_list *hosts;
    const struct config_list *directories;
    uint16_t port;
};

static int
listen_on(struct sock_listeners *l, const struct places *at,
          const struct sock_unix_options *options, struct err *err)
{
    for (uint32_t n = 0; n < at->directories->count; n++) {
        if (sock_listen_unix(l, at->directories->items[n], at->port, options, err) != 0)
            return -1;
    }
    for (uint32_t n = 0; n < at->hosts->count; n++) {
        if (sock_listen_tcp(l, at->hosts->items[n], at->port, options->backlog, err) != 0)
            return -1;
    }
    return 0;
}

/* Group, permissions and backlog of our unix sockets. */
static void
socket_options(const struct parent *pa, bool pcp, struct sock_unix_options *options_r)
{
    options_r->group = pcp ? "" : pa->config->unix_socket_group;
    options_r->mode = pcp ? 0777 : (mode_t)pa->config->unix_socket_permissions;
    options_r->backlog = backlog(pa);
}

void
parent_own_sockets(struct parent *pa)
{
    struct sock_unix_options options;
    struct err err;

    socket_options(pa, false, &options);
    if (sock_listeners_own(&pa->clients, &options, &err) != 0)
        log_error("%s", err.message);
    socket_options(pa, true, &options);
    if (sock_listeners_own(&pa->pcp, &options, &err) != 0)
        log_error("%s", err.message);
}

static int
open_http(struct parent *pa, struct err *err)
{
    const struct config_list *hosts = &pa->config->http_listen_addresses;

    if (hosts->count > 0 && !http_server_is_built()) {
        err_set(err, "0A000", "HTTP is not supported by this build");
        err_hint(err, "leave \"http_listen_addresses\" empty");
        return -1;
    }
    for (uint32_t n = 0; n < hosts->count; n++) {
        if (sock_listen_tcp(&pa->http, hosts->items[n], (uint16_t)pa->config->http_port,
                            HTTP_BACKLOG, err) != 0)
            return -1;
    }
    return 0;
}

static int
open_sockets(struct parent *pa, struct err *err)
{
    const struct config *cfg = pa->config;
    struct sock_unix_options options;
    struct places sql = {&cfg->listen_addresses, &cfg->unix_socket_directories,
                         (uint16_t)cfg->port};
    struct places pcp = {&cfg->pcp_listen_addresses, &cfg->pcp_socket_dir, (uint16_t)cfg->pcp_port};

    socket_options(pa, false, &options);
    if (pa->from != NULL) {
        pa->clients.former = &pa->from->clients;
        pa->pcp.former = &pa->from->pcp;
        pa->http.former = &pa->from->http;
    }
    if (listen_on(&pa->clients, &sql, &options, err) != 0)
        return -1;
    if (pa->clients.count == 0) {
        err_set(err, "F0000", "there is no address to listen on");
        err_hint(err, "set \"listen_addresses\" or \"unix_socket_directories\"");
        return -1;
    }
    socket_options(pa, true, &options);
    if (listen_on(&pa->pcp, &pcp, &options, err) != 0)
        return -1;
    if (open_http(pa, err) != 0)
        return -1;
    pa->clients.former = pa->pcp.former = pa->http.former = NULL;
    return 0;
}

/* ---- shared memory ---- */

static void
log_hba_finding(void *ctx UNUSED, bool is_fault, const char *words)
{
    if (is_fault)
        log_error("%s", words);
    else
        log_warning("%s", words);
}

/* Nothing when the files do not count. */
static int
publish_hba(struct parent *pa, const struct config *cfg, struct err *err)
{
    struct proc_hba_check check = {&pa->cmd->files, true, log_hba_finding, NULL};
    struct buf copy = BUF_EMPTY;
    int rc = 0;

    if (cfg->enable_pool_hba)
        rc = proc_check_hba(&check, &copy, err);
    if (rc == 0)
        rc = shared_publish_hba(pa->base.shared, copy.data, copy.len, err);
    buf_free(&copy);
    return rc;
}

int
parent_publish(struct parent *pa, struct config *cfg, struct err *err)
{
    struct buf text = BUF_EMPTY;
    int result = publish_hba(pa, cfg, err);

    if (result == 0) {
        config_print(cfg, &text);
        result = shared_publish_config(pa->base.shared, buf_cstr(&text), text.len, err);
        buf_free(&text);
    }
    cfg->generation = shared_config_generation(pa->base.shared);
    return result;
}

int
parent_publish_tls(struct parent *pa, const struct config *cfg, struct err *err)
{
    struct buf files = BUF_EMPTY;
    int rc = tls_files_read(cfg, &files, err);

    if (rc == 0)
        rc = shared_publish_tls(pa->base.shared, files.data, files.len, err);
    tls_files_free(&files);
    return rc;
}

/* With a query cache each name has its tables, too. */
static uint32_t
memo_entries(const struct config *cfg)
{
    enum { PER_NAME = 8 };
    uint64_t entries = (uint64_t)cfg->relcache_size * (config_wants_cache(cfg) ? PER_NAME : 1);

    return (uint32_t)MIN(entries, INT32_MAX);
}

static int
open_shared(struct parent *pa, struct err *err)
{
    struct shared_layout layout = {
        .child_slots = 2 * pa->base.child_target,
        .sessions_per_child = (uint32_t)pa->config->child_max_clients,
        .memo_entries = memo_entries(pa->config),
        .health_slots = MIN(pa->config->backend_count + SPARE_NODES, (uint32_t)CLUSTER_NODES_MAX),
        .freshness_bytes = sizeof(struct cluster_freshness),
        .carried_bytes = sizeof(struct cluster_carried),
        .nodes_bytes = sizeof(struct cluster_nodes),
        .events_bytes = sizeof(struct cluster_events),
        .pgpools_bytes = sizeof(struct cluster_pgpools),
        .health_bytes = sizeof(struct health),
        .watchdog = {.orders_bytes = sizeof(struct wd_orders),
                     .committed_bytes = sizeof(struct wd_committed),
                     .word_bytes = sizeof(struct wd_word),
                     .proposal_bytes = sizeof(struct wd_proposal),
                     .live_bytes = sizeof(struct wd_live),
                     .pulse_bytes = sizeof(struct wd_pulse)},
        .writes_fd = pa->from != NULL ? pa->from->writes_fd : -1,
    };

    if (shared_new(&layout, &pa->base.shared, err) != 0)
        return -1;
    pa->slot_count = shared_slot_count(pa->base.shared);
    pa->first_child = shared_first_child(pa->base.shared);
    pa->processes = xcalloc(pa->slot_count, sizeof(*pa->processes));
    if (inboxes_new(pa->slot_count, &pa->base.inboxes, err) != 0 ||
        wakes_new(pa->slot_count, &pa->base.wakes, err) != 0)
        return -1;
    if (tls_tickets_renew(shared_tickets(pa->base.shared), err) != 0 ||
        parent_publish_tls(pa, pa->config, err) != 0 || parent_publish(pa, pa->config, err) != 0)
        return -1;
    pa->base.config_generation = pa->config->generation;
    return 0;
}

/* Would children be able to use it? Connects to nobody. */
static int
try_memcached(const struct config *cfg, struct err *err)
{
    struct memcached_options options = {.servers = cfg->memqcache_memcached_host,
                                        .port = (uint16_t)cfg->memqcache_memcached_port,
                                        .timeout_ms = 1};
    struct memcached_client *client;

    if (memcached_client_open(&options, &client, err) != 0)
        return -1;
    memcached_client_close(client);
    return 0;
}

static int
open_cache(struct parent *pa, struct err *err)
{
    const struct config *cfg = pa->config;
    struct cache_shared_options o = {
        .limits = {.total_bytes = (size_t)cfg->memqcache_total_size_bytes,
                   .entries_max = (uint32_t)cfg->memqcache_max_num_cache,
                   .entry_bytes = (uint32_t)cfg->memqcache_maxcache_bytes,
                   .expire_s = (uint32_t)(cfg->memqcache_expire_ms / 1000)},
        .child_slots = shared_layout(pa->base.shared)->child_slots,
        .with_streams = cfg->cache_invalidation == CONFIG_INVALIDATION_WAL,
        .without_store = cfg->memqcache_method == CONFIG_CACHE_MEMCACHED,
    };

    if (!config_wants_cache(cfg))
        return 0;
    if (o.without_store && try_memcached(cfg, err) != 0)
        return -1;
    if (cache_shared_new(&o, &pa->base.cache, err) != 0)
        return -1;
    cache_close(pa->base.cache, pa->from != NULL ? CACHE_CLOSED_GENERATION | CACHE_CLOSED_LEFT
                                                 : CACHE_CLOSED_START);
    return 0;
}

static int
open_statements(struct parent *pa, struct err *err)
{
    int count = pa->config->pool_statements_max;

    return count > 0 ? statement_stats_new((uint32_t)count, &pa->base.statements, err) : 0;
}

/* Two generations of processes would not see each other's commits. */
static int
open_gates(struct parent *pa, struct err *err)
{
    if (pa->config->backend_clustering_mode != CONFIG_MODE_SNAPSHOT_ISOLATION)
        return 0;
    if (pa->from != NULL) {
        err_set(err, "0A000", "with snapshot_isolation a running pgpool cannot be taken over");
        err_hint(err, "Stop it, and start this one.");
        return -1;
    }
    return gates_new(shared_layout(pa->base.shared)->child_slots, pa->base.wakes, pa->first_child,
                     &pa->base.gates, err);
}

static void
raise_limits(const struct parent *pa)
{
    uint64_t have = limits_raise_descriptors();
    uint64_t want = 2 * (uint64_t)pa->config->child_max_clients + OWN_DESCRIPTORS;

    if (have < want)
        log_warning(
            "the system allows %llu open descriptors per process; \"child_max_clients\" = %d "
            "may need %llu (see \"ulimit -n\")",
            (unsigned long long)have, pa->config->child_max_clients, (unsigned long long)want);
}

static int
seed(struct parent *pa, struct err *err)
{
    uint64_t value;

    if (random_bytes(&value, sizeof(value), err) != 0 ||
        random_bytes(pa->base.mock_key, sizeof(pa->base.mock_key), err) != 0)
        return -1;
    hash_seed(value);
    return 0;
}

static int
open_log_pipe(struct parent *pa, struct err *err)
{
    const char *directory = pa->config->log_directory;

    if (!pa->config->logging_collector)
        return 0;
    pa->made_log_directory = !file_exists(directory);
    if (file_make_directory(directory, 0700, err) != 0)
        return -1;
    if (access(directory, W_OK | X_OK) != 0) {
        err_set_errno(err, "58030", errno, "could not write log files into \"%s\"", directory);
        err_hint(err, "give the directory to the user that runs pgpool, or set \"log_directory\"");
        return -1;
    }
    if (pipe_new(pa->log_pipe, err) != 0)
        return -1;
    /* Room for a burst while the logger is forked again; the usual size does when refused. */
    fcntl(pa->log_pipe[1], F_SETPIPE_SZ, (int)LOG_PIPE_BYTES);
    return 0;
}

/* Numbers that no older generation has: behind those of one of them. */
static void
choose_child_numbers(struct parent *pa)
{
    uint32_t count = 2 * pa->base.child_target;

    pa->base.child_base = 0;
    for (uint32_t at = 0; at <= ELDERS_MAX; at++) {
        uint32_t base = 0;
        bool taken = false;

        if (at < ELDERS_MAX && pa->peers.elders[at].fd < 0)
            continue;
        if (at < ELDERS_MAX)
            base = pa->peers.elders[at].child_base + pa->peers.elders[at].child_count;
        for (uint32_t n = 0; n < ELDERS_MAX; n++) {
            const struct peer *other = &pa->peers.elders[n];

            taken = taken || (other->fd >= 0 && base < other->child_base + other->child_count &&
                              other->child_base < base + count);
        }
        if (!taken && base + count <= PROC_CHILD_NUMBERS) {
            pa->base.child_base = base;
            return;
        }
    }
    log_warning("so many children run that cancel requests may not find sessions of older "
                "generations");
}

int
parent_open(struct parent *pa, struct err *err)
{
    int children = pa->config->num_init_children;

    pa->base.child_target = children > 0 ? (uint32_t)children : limits_cpus();
    choose_child_numbers(pa);
    raise_limits(pa);
    if (seed(pa, err) != 0 || take_pidfile(pa, err) != 0 || open_sockets(pa, err) != 0 ||
        open_shared(pa, err) != 0 || open_cache(pa, err) != 0 || open_statements(pa, err) != 0 ||
        open_gates(pa, err) != 0 || open_log_pipe(pa, err) != 0)
        return -1;
    return pipe_new(pa->life, err);
}

void
parent_use_log_pipe(struct parent *pa)
{
    if (pa->log_pipe[0] < 0)
        return;
    pa->own_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (pa->own_stderr < 0)
        pa->own_stderr = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(pa->log_pipe[1], STDERR_FILENO);
}

void
parent_close(struct parent *pa)
{
    /* the watches have gone with the loop */
    peers_forget(&pa->peers);
    ctlsock_drop(&pa->upgrade.door);
    fd_close(&pa->upgrade.asking.fd);
    fd_close(&pa->upgrade.client.fd);
    fd_close(&pa->command_stderr);
    handover_close_rest(pa->from);
    free(pa->from);
    sock_listeners_close(&pa->clients, true);
    sock_listeners_close(&pa->pcp, true);
    sock_listeners_close(&pa->http, true);
    inboxes_free(pa->base.inboxes);
    wakes_free(pa->base.wakes);
    cache_shared_free(pa->base.cache);
    statement_stats_free(pa->base.statements);
    gates_free(pa->base.gates);
    shared_free(pa->base.shared);
    free(pa->processes);
    for (int end = 0; end < 2; end++) {
        fd_close(&pa->life[end]);
        fd_close(&pa->log_pipe[end]);
    }
    fd_close(&pa->own_stderr);
    config_free(pa->config);
    pidfile_drop(&pa->pidfile);
}

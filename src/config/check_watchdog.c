/*
 * Checks of the watchdog's options, the number of this pgpool from its file, and what to say of
 * parameters that Pgpool-II's watchdog had and this one needs no more.
 *
 * Called by load.c and check.c. Like all checks these look at values alone; only node_id_load reads
 * a file, before the checks, and its outcome is a value like any other from then on.
 */
#include "config/check.h"

#include "base/num.h"
#include "base/str.h"
#include "config/load.h"
#include "config/source.h"

#include "config.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define ID(name) OPTION_ID_GLOBAL_##name

enum { PREFIX_MAX = 127 }; /* watchdog/record.h */

static const char example_up[] =
    "ip addr replace $_IP_$/64 dev eth0 nodad valid_lft $_LIFETIME_$ preferred_lft $_LIFETIME_$";

static struct place
place_of(const struct check *check, enum option_id id)
{
    if (check->origins == NULL)
        return (struct place){NULL, 0};
    return origin_get(check->origins, &option_table[id], OPTION_ALL_NODES);
}

static void
fault(const struct check *check, enum option_id id, const char *text, const char *hint)
{
    report_add(check->report, CONFIG_FAULT, place_of(check, id), hint, "%s", text);
}

static void
warn(const struct check *check, enum option_id id, const char *text, const char *hint)
{
    if (!check->faults_only)
        report_add(check->report, CONFIG_WARNING, place_of(check, id), hint, "%s", text);
}

/* ---- the number of this pgpool ---- */

void
node_id_load(struct config *cfg, struct config_report *report)
{
    const char *path = source_join(cfg->path, "pgpool_node_id", &report->arena);
    char *text;
    size_t len;
    uint32_t number;
    struct err err;

    if (!cfg->use_watchdog || cfg->pgpool_node_id >= 0 || !source_exists(path))
        return;
    if (source_read(path, &text, &len, &err) != 0) {
        report_add(report, CONFIG_FAULT, (struct place){NULL, 0}, err.hint, "%s", err.message);
        return;
    }
    while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
        text[--len] = '\0';
    if (!num_parse_u32(text + strspn(text, " \t\r\n"), &number) || number >= CONFIG_NODES_MAX)
        report_add(report, CONFIG_FAULT, (struct place){path, 1},
                   "it holds one line with the number that this pgpool has in hostname<N>",
                   "this is no number from 0 to %d", CONFIG_NODES_MAX - 1);
    else
        cfg->pgpool_node_id = (int)number;
    free(text);
}

/* ---- the address ---- */

/* Words that only make sense for the other family are what a default leaves behind. */
static void
check_family(const struct check *check)
{
    const struct config *cfg = check->cfg;
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, cfg->delegate_ip, &v4) == 1)
        return;
    if (inet_pton(AF_INET6, cfg->delegate_ip, &v6) != 1) {
        fault(check, ID(delegate_ip), "\"delegate_ip\" is neither an IPv4 nor an IPv6 address",
              "write the address alone, without a netmask: 192.0.2.10 or 2001:db8::10");
        return;
    }
    if (strstr(cfg->if_up_cmd, "$_IP_$/24") != NULL || strstr(cfg->if_up_cmd, " label ") != NULL)
        fault(check, ID(if_up_cmd),
              "\"delegate_ip\" is an IPv6 address, and \"if_up_cmd\" is for IPv4", example_up);
    if (strstr(cfg->if_down_cmd, "$_IP_$/24") != NULL)
        fault(check, ID(if_down_cmd),
              "\"delegate_ip\" is an IPv6 address, and \"if_down_cmd\" is for IPv4",
              "ip addr del $_IP_$/64 dev eth0");
}

static void
check_address(const struct check *check)
{
    const struct config *cfg = check->cfg;

    if (cfg->delegate_ip[0] == '\0')
        return;
    check_family(check);
    if (cfg->if_up_cmd[0] == '\0' || cfg->if_down_cmd[0] == '\0')
        fault(check, cfg->if_up_cmd[0] == '\0' ? ID(if_up_cmd) : ID(if_down_cmd),
              "\"delegate_ip\" is set, and \"if_up_cmd\" or \"if_down_cmd\" is empty",
              "without them the address cannot be brought up and taken down");
    else if (strstr(cfg->if_up_cmd, "$_IP_$") == NULL || strstr(cfg->if_down_cmd, "$_IP_$") == NULL)
        warn(check, ID(if_up_cmd),
             "\"if_up_cmd\" or \"if_down_cmd\" does not say $_IP_$, the virtual address", NULL);
    if (strstr(cfg->if_up_cmd, "$_LIFETIME_$") == NULL)
        warn(check, ID(if_up_cmd),
             "the address that \"if_up_cmd\" brings up has no lifetime: a machine that freezes "
             "keeps it while another one leads",
             "add valid_lft $_LIFETIME_$ preferred_lft $_LIFETIME_$ to \"ip addr replace\"");
    if (cfg->wd_on_etcd_loss == CONFIG_ETCD_LOSS_KEEP)
        warn(check, ID(wd_on_etcd_loss),
             "with \"wd_on_etcd_loss\" = keep two pgpools may hold the address at the same time",
             "release is safe");
}

/* ---- all of it ---- */

static void
check_prefix(const struct check *check)
{
    const char *prefix = check->cfg->wd_etcd_prefix;
    size_t len = strlen(prefix);

    if (len < 2 || prefix[len - 1] != '/')
        fault(check, ID(wd_etcd_prefix), "\"wd_etcd_prefix\" does not end in a slash",
              "/pgpool/name of the cluster/");
    else if (len > PREFIX_MAX)
        fault(check, ID(wd_etcd_prefix), "\"wd_etcd_prefix\" is longer than 127 bytes", NULL);
}

static void
check_etcd(const struct check *check)
{
    const struct config *cfg = check->cfg;

    if (cfg->wd_etcd_hosts[0] == '\0')
        fault(check, ID(use_watchdog), "\"use_watchdog\" is on, and \"wd_etcd_hosts\" is not set",
              "the pgpools of a cluster meet in etcd: host:2379 of each of its members");
    check_prefix(check);
    if ((cfg->wd_etcd_ssl_cert[0] == '\0') != (cfg->wd_etcd_ssl_key[0] == '\0'))
        fault(check, ID(wd_etcd_ssl_cert),
              "\"wd_etcd_ssl_cert\" and \"wd_etcd_ssl_key\" belong together", NULL);
    if (cfg->wd_etcd_password[0] != '\0' && cfg->wd_etcd_user[0] == '\0')
        fault(check, ID(wd_etcd_password), "\"wd_etcd_password\" needs \"wd_etcd_user\"", NULL);
}

static void
check_peers(const struct check *check)
{
    const struct config *cfg = check->cfg;

    if (cfg->pgpool_node_id < 0) {
        fault(check, ID(use_watchdog),
              "\"use_watchdog\" is on, and this pgpool does not know its number",
              "set \"pgpool_node_id\", or write the number into the file pgpool_node_id beside "
              "pgpool.conf");
        return;
    }
    if (cfg->peers[cfg->pgpool_node_id].hostname[0] == '\0' && !check->faults_only)
        report_add(check->report, CONFIG_WARNING, place_of(check, ID(pgpool_node_id)),
                   "name this host as the others and clients reach it",
                   "this is pgpool %d, and \"hostname%d\" is not set", cfg->pgpool_node_id,
                   cfg->pgpool_node_id);
}

static void
check_together(const struct check *check)
{
    const struct config *cfg = check->cfg;

    if (cfg->backend_clustering_mode != CONFIG_MODE_STREAMING_REPLICATION)
        fault(check, ID(use_watchdog),
              "\"use_watchdog\" needs \"backend_clustering_mode\" = streaming_replication", NULL);
    if (cfg->health_check_period_ms == 0)
        fault(check, ID(use_watchdog), "\"use_watchdog\" needs \"health_check_period\" above 0",
              "without health checks no pgpool knows what to say of a node");
    if (config_wants_cache(cfg) && cfg->cache_invalidation == CONFIG_INVALIDATION_SQL)
        warn(check, ID(use_watchdog),
             "what is written through another pgpool makes no result of the query cache invalid",
             "\"cache_invalidation\" = wal hears of all writes");
}

void
check_watchdog(const struct check *check)
{
    if (!check->cfg->use_watchdog)
        return;
#ifndef HAVE_ETCD
    fault(check, ID(use_watchdog), "\"use_watchdog\" is on, and this pgpool was built without it",
          "build it without --without-etcd");
#endif
    check_etcd(check);
    check_peers(check);
    check_address(check);
    check_together(check);
}

/* ---- what has no place any more ---- */

struct replaced {
    const char *by;
    enum option_id ids[20]; /* ends in 0, which is none of them */
};

static const struct replaced replaced[] = {
    {"the pgpools of a cluster meet in etcd (wd_etcd_hosts), and one that etcd has not heard of "
     "for wd_lease_ttl is gone",
     {OPTION_ID_PEER_wd_port, ID(wd_listen_address), ID(wd_listen_port), ID(wd_ipc_socket_dir),
      ID(wd_lifecheck_method), ID(wd_interval), OPTION_ID_HEARTBEAT_hostname,
      OPTION_ID_HEARTBEAT_port, OPTION_ID_HEARTBEAT_device, ID(wd_heartbeat_listen_addresses),
      ID(wd_heartbeat_listen_port), ID(wd_heartbeat_keepalive), ID(wd_heartbeat_deadtime),
      ID(wd_life_point), ID(wd_lifecheck_query), ID(wd_lifecheck_dbname), ID(wd_lifecheck_user),
      ID(wd_lifecheck_password)}},
    {"etcd's users and TLS take its place (wd_etcd_user, wd_etcd_password, wd_etcd_ssl_ca_cert)",
     {ID(wd_authkey)}},
    {"each live pgpool has one voice on a node, and more than half of them decide "
     "(failover_require_consensus)",
     {ID(allow_multiple_failover_requests_from_node), ID(enable_consensus_with_half_votes)}},
    {"a pgpool that was stopped or never came is no member; for lost ones there is "
     "wd_lost_node_removal_timeout",
     {ID(wd_remove_shutdown_nodes), ID(wd_no_show_node_removal_timeout)}},
    {"trusted_server_command names its program", {ID(ping_path)}},
};

void
note_replaced(const struct check *check)
{
    struct buf names = BUF_EMPTY;
    struct config *fresh;

    if (check->faults_only || check->origins == NULL)
        return;
    fresh = config_new("", NULL);
    for (size_t n = 0; n < ARRAY_LEN(replaced); n++) {
        buf_clear(&names);
        for (const enum option_id *id = replaced[n].ids; *id != 0; id++)
            check_list_set(check, &option_table[*id], fresh, &names);
        if (names.len > 0)
            report_add(check->report, CONFIG_NOTE, (struct place){check->cfg->path, 0},
                       replaced[n].by, "accepted, and not needed any more: %s", buf_cstr(&names));
    }
    config_free(fresh);
    buf_free(&names);
}

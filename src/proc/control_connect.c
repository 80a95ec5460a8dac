/*
 * `pgpool configtest --connect`: asks every node whether pgpool's own users may do there what
 * health checks, failover, following, native replication and the query cache need, and says what is
 * missing and how to grant it.
 */
#include "control.h"

#include "auth/passwd.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "config/config.h"
#include "config/limits.h"
#include "os/ask.h"
#include "os/dns.h"
#include "os/io.h"
#include "proc/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT_MS = 10000, TEXT_BYTES = 512, VISITS = 5 };

/* What a user is asked about itself, a row each: what is needed, whether pgpool does without, and
 * what grants it. The function by which rights on parameters are asked is there from 15 on. */
static const char watching[] =
    "SELECT what, false, fix FROM (VALUES"
    " ('see the state of replication',"
    "  pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),"
    "  'GRANT pg_monitor TO ' || pg_catalog.quote_ident(current_user)))"
    " AS v (what, ok, fix) WHERE NOT ok";
static const char acting[] =
    "SELECT what, false, fix FROM (VALUES"
    " ('call pg_promote()',"
    "  pg_catalog.has_function_privilege('pg_catalog.pg_promote(boolean,integer)', 'EXECUTE'),"
    "  'GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO '"
    "  || pg_catalog.quote_ident(current_user)),"
    " ('call pg_reload_conf()',"
    "  pg_catalog.has_function_privilege('pg_catalog.pg_reload_conf()', 'EXECUTE'),"
    "  'GRANT EXECUTE ON FUNCTION pg_reload_conf() TO ' || pg_catalog.quote_ident(current_user)),"
    " ('read primary_conninfo',"
    "  pg_catalog.pg_has_role(current_user, 'pg_read_all_settings', 'USAGE'),"
    "  'GRANT pg_monitor TO ' || pg_catalog.quote_ident(current_user)),"
    " ('make replication slots', (SELECT rolreplication OR rolsuper FROM pg_catalog.pg_roles"
    "  WHERE rolname = current_user) OR pg_catalog.current_setting('primary_slot_name') = '',"
    "  'ALTER ROLE ' || pg_catalog.quote_ident(current_user) || ' REPLICATION'))"
    " AS v (what, ok, fix) WHERE NOT ok";
static const char altering[] =
    "SELECT 'set primary_conninfo', false, 'GRANT ALTER SYSTEM ON PARAMETER primary_conninfo TO '"
    " || pg_catalog.quote_ident(current_user)"
    " WHERE NOT pg_catalog.has_parameter_privilege('primary_conninfo', 'ALTER SYSTEM')";
static const char altering_before_15[] =
    "SELECT 'set primary_conninfo', false, 'make ' || pg_catalog.quote_ident(current_user)"
    " || ' a superuser, or set follow_primary_command' WHERE NOT"
    " (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)";
static const char reading_changes[] =
    "SELECT what, false, fix FROM (VALUES"
    " ('read changes for the query cache',"
    "  (SELECT rolreplication OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user),"
    "  'ALTER ROLE ' || pg_catalog.quote_ident(current_user) || ' REPLICATION'),"
    " ('decode changes for the query cache',"
    "  pg_catalog.current_setting('wal_level') = 'logical',"
    "  'set wal_level = logical there and restart it'))"
    " AS v (what, ok, fix) WHERE NOT ok";

static const char keeping[] =
    "SELECT what, without, fix FROM (VALUES"
    " ('set sequences and end prepared transactions of others',"
    "  (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user), false,"
    "  'ALTER ROLE ' || pg_catalog.quote_ident(current_user) || ' SUPERUSER'),"
    " ('prepare transactions: a commit that fails there will detach it',"
    "  pg_catalog.current_setting('max_prepared_transactions') <> '0', true,"
    "  'set max_prepared_transactions there, to as many as there are clients, and restart it'))"
    " AS v (what, ok, without, fix) WHERE NOT ok";
static const char rebuilding[] =
    "SELECT 'rebuild nodes', true, 'ALTER ROLE ' || pg_catalog.quote_ident(current_user)"
    " || ' SUPERUSER REPLICATION' WHERE NOT"
    " (SELECT rolsuper AND rolreplication FROM pg_catalog.pg_roles WHERE rolname = current_user)";

/* One user at one node. */
struct visit {
    struct visits *all;
    struct ask *ask;
    const char *user;
    const char *question;
    uint32_t node_id;
};

struct visits {
    const struct config *cfg;
    struct passwd *passwords;
    struct io *io;
    struct dns *dns;
    struct visit list[VISITS * CONFIG_NODES_MAX];
    uint32_t count;
    uint32_t left;
    bool faulty;
};

static void
end_visit(struct visit *v)
{
    if (--v->all->left == 0)
        io_stop(v->all->io);
}

static void
say(struct visit *v, const char *severity, const char *words)
{
    const struct config_backend *b = &v->all->cfg->backends[v->node_id];

    fprintf(stderr, "pgpool: %s: node %u \"%s:%d\", user \"%s\"%s: %s\n", severity, v->node_id,
            b->hostname, b->port, v->user,
            v->user[0] == '\0' ? " (\"sr_check_user\" is not set)" : "", words);
}

static void
answered(void *ctx, const struct ask_rows *rows)
{
    struct visit *v = ctx;

    for (uint32_t row = 0; row < ask_row_count(rows); row++) {
        char words[TEXT_BYTES];
        bool without = ask_value(rows, row, 1)[0] == 't';

        snprintf(words, sizeof(words), "it may not %s (hint: %s)", ask_value(rows, row, 0),
                 ask_value(rows, row, 2));
        say(v, without ? "warning" : "error", words);
        v->all->faulty |= !without;
    }
    if (v->question == acting) {
        v->question = ask_server_version(rows) >= 150000 ? altering : altering_before_15;
        ask_question(v->ask, v->question, LIMIT_MS);
        return;
    }
    end_visit(v);
}

static void
failed(void *ctx, const struct err *err, bool asked)
{
    struct visit *v = ctx;

    if (!asked)
        return;
    say(v, "error", err->message);
    v->all->faulty = true;
    end_visit(v);
}

struct user {
    const char *name;
    const char *password;
    const char *database;
    const char *question;
};

static void
visit(struct visits *all, uint32_t node_id, const struct user *user)
{
    static const struct ask_ops ops = {answered, failed};
    const struct config_backend *b = &all->cfg->backends[node_id];
    struct visit *v = &all->list[all->count++];
    struct ask_target target = {.host = b->hostname,
                                .port = (uint16_t)b->port,
                                .user = user->name,
                                .password =
                                    proc_password(all->passwords, user->name, user->password),
                                .database = user->database,
                                .application_name = "pgpool configtest",
                                .tls = proc_ask_tls(all->cfg)};

    *v = (struct visit){
        .all = all, .user = user->name, .question = user->question, .node_id = node_id};
    v->ask = ask_new(all->io, all->dns, &ops, v);
    ask_set_target(v->ask, &target);
    ask_question(v->ask, v->question, LIMIT_MS);
    all->left++;
}

static void
visit_node(struct visits *all, uint32_t node_id)
{
    const struct config *cfg = all->cfg;
    const struct config_backend *b = &cfg->backends[node_id];
    bool own = cfg->recovery_user[0] != '\0';
    bool copies = config_has_copies(cfg);
    bool acts = copies || cfg->backend_clustering_mode == CONFIG_MODE_STREAMING_REPLICATION;
    bool reads = cfg->cache_wal_user[0] != '\0';
    struct user lag = {cfg->sr_check_user, cfg->sr_check_password, cfg->sr_check_database,
                       watching};
    struct user health = {b->health_check_user, b->health_check_password, b->health_check_database,
                          watching};
    struct user doer = {own ? cfg->recovery_user : cfg->sr_check_user,
                        own ? cfg->recovery_password : cfg->sr_check_password,
                        own ? cfg->recovery_database : cfg->sr_check_database,
                        copies ? rebuilding : acting};
    struct user keeper = {cfg->sr_check_user, cfg->sr_check_password, cfg->sr_check_database,
                          keeping};
    struct user reader = {reads ? cfg->cache_wal_user : cfg->sr_check_user,
                          reads ? cfg->cache_wal_password : cfg->sr_check_password,
                          cfg->sr_check_database, reading_changes};

    if (health.database[0] == '\0')
        health.database = lag.database;
    visit(all, node_id, &lag);
    if (health.name[0] != '\0' && strcmp(health.name, lag.name) != 0)
        visit(all, node_id, &health);
    if (copies)
        visit(all, node_id, &keeper);
    if (acts && cfg->health_check_period_ms > 0)
        visit(all, node_id, &doer);
    if (config_wants_cache(cfg) && cfg->cache_invalidation == CONFIG_INVALIDATION_WAL)
        visit(all, node_id, &reader);
}

int
control_check_nodes(const struct config *cfg, const char *key_path)
{
    struct visits *all = xcalloc(1, sizeof(*all));
    struct io_options options = {.engine = IO_ENGINE_EPOLL};
    struct err err;
    int rc = -1;

    all->cfg = cfg;
    proc_read_passwords(cfg, key_path, &all->passwords);
    if (io_new(&options, &all->io, &err) != 0 || dns_new(all->io, &all->dns, &err) != 0) {
        fprintf(stderr, "pgpool: error: %s\n", err.message);
    } else {
        for (uint32_t n = 0; n < cfg->backend_count; n++) {
            if (cfg->backends[n].configured)
                visit_node(all, n);
        }
        if (all->left == 0 || io_run(all->io, &err) == 0)
            rc = all->faulty ? -1 : 0;
    }
    for (uint32_t n = 0; n < all->count; n++)
        ask_free(all->list[n].ask);
    if (all->dns != NULL)
        dns_free(all->dns);
    if (all->io != NULL)
        io_free(all->io);
    passwd_free(all->passwords);
    free(all);
    return rc;
}

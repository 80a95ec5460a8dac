/*
 * The options that count for a session: those of the configuration, or, when it has set some of
 * them for itself by PGPOOL SET, or pool_limits has one for it, a copy with these in their place.
 *
 * Called by proc/child.c (a configuration is there, or a new one), by command.c (SET and RESET) and
 * by whoever asks session_options. Invariants: a session that has none of its own has no copy and
 * reads the child's; a copy is made anew with every configuration, before anything else runs.
 */
#include "session/internal.h"

#include "base/arena.h"
#include "base/str.h"
#include "config/config.h"
#include "config/limits.h"
#include "config/overrides.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LOGGING "log_min_duration_statement"

struct session_own {
    struct config_overrides *set;
    struct session_options options;
    struct log_limits log;
};

static enum session_consistency
consistency_of(enum config_consistency consistency)
{
    switch (consistency) {
    case CONFIG_CONSISTENCY_GLOBAL:
        return SESSION_SEES_ALL;
    case CONFIG_CONSISTENCY_EVENTUAL:
        return SESSION_SEES_WHATEVER;
    default:
        return SESSION_SEES_ITS_OWN;
    }
}

/* A transaction that has written reads where it has; what it wrote is read where it is (see
 * read_consistency). So only these two add anything. */
static enum session_after_write
after_write_of(enum config_balance_after_write value)
{
    switch (value) {
    case CONFIG_AFTER_WRITE_ALWAYS:
        return SESSION_AFTER_WRITE_ALWAYS;
    case CONFIG_AFTER_WRITE_TRANS_TRANSACTION:
        return SESSION_AFTER_WRITE_TRANSACTIONS;
    default:
        return SESSION_AFTER_WRITE_NOTHING;
    }
}

/* INFO and below rank below NOTICE; LOG does so only for clients, as in PostgreSQL. */
static bool
sends_notices(enum log_level client_min_messages)
{
    return client_min_messages <= LOG_LEVEL_NOTICE || client_min_messages == LOG_LEVEL_LOG;
}

/* What a session may have of its own. */
static void
take_own(struct session_options *o, const struct config_session *values)
{
    o->consistency = consistency_of(values->read_consistency);
    /* what was written anywhere is read where it is: more than the tables that Pgpool-II watches */
    if (o->config->disable_load_balance_on_write == CONFIG_AFTER_WRITE_DML_ADAPTIVE_GLOBAL &&
        o->consistency == SESSION_SEES_ITS_OWN)
        o->consistency = SESSION_SEES_ALL;
    o->allow_comments = values->allow_sql_comments;
    o->log_statement = values->log_statement;
    o->log_per_node_statement = values->log_per_node_statement;
    o->notice_per_node_statement =
        values->notice_per_node_statement && sends_notices(values->client_min_messages);
    o->warns = sends_notices(values->client_min_messages) ||
               values->client_min_messages == LOG_LEVEL_WARNING;
    o->log_client_messages = values->log_client_messages;
    o->log_min_duration_ns = values->log_min_duration_statement_ms >= 0
                                 ? values->log_min_duration_statement_ms * NS_PER_MS
                                 : INT64_MAX;
    o->times_statements = o->config->pool_statements_max > 0 || o->log_min_duration_ns < INT64_MAX;
    o->log_backend_messages = values->log_backend_messages;
    o->idle_limit_ms = values->client_idle_limit_ms;
    o->held_idle_limit_ms = values->client_idle_limit_in_recovery_ms;
    o->cache = values->memory_cache_enabled;
    o->catalog_mask = UINT32_MAX;
    if (o->config->backend_clustering_mode != CONFIG_MODE_LOGICAL_REPLICATION)
        o->catalog_mask &= ~(uint32_t)CATALOG_LOCAL;
    if (o->config->check_temp_table == CONFIG_TEMP_TABLE_NONE)
        o->catalog_mask &= ~(uint32_t)CATALOG_TEMPORARY;
    if (!values->check_unlogged_table)
        o->catalog_mask &= ~(uint32_t)CATALOG_UNLOGGED;
}

void
session_options_from_config(const struct config *cfg, const struct route_rules *rules,
                            struct session_options *options_r)
{
    struct config_session values;

    bool replicates = config_has_copies(cfg) && cfg->replicate_select;

    *options_r = (struct session_options){
        .config = cfg,
        .load_balance = cfg->load_balance_mode && !replicates,
        .replicates_reads = replicates,
        .pool_mode = (uint8_t)cfg->pool_mode,
        .failover_wait_ms = cfg->failover_wait_ms,
        .max_prepared = (uint32_t)cfg->max_prepared_statements,
        .ignore_blanks = cfg->ignore_leading_white_space,
        .after_write = after_write_of(cfg->disable_load_balance_on_write),
        .statement_level_balance = cfg->statement_level_load_balance,
        .prefer_other_standby = cfg->prefer_lower_delay_standby,
        .max_delay_bytes =
            cfg->delay_threshold_by_time_ms > 0 ? 0 : (uint64_t)cfg->delay_threshold_bytes,
        .max_delay_us = cfg->delay_threshold_by_time_ms * 1000,
        .rules = rules,
        .ask_reader = cfg->relcache_query_target == CONFIG_RELCACHE_LOAD_BALANCE_NODE,
        .log_connections = cfg->log_connections,
        .log_disconnections = cfg->log_disconnections,
        .log_duration_values = cfg->log_duration_values,
        .login_limit_ms = cfg->authentication_timeout_ms,
        .cache_follows_writes = cfg->memqcache_auto_cache_invalidation,
    };
    config_session_values(cfg, NULL, &values);
    take_own(options_r, &values);
}

void
options_watch(const struct session *s, struct server *server)
{
    server->watched &= (uint8_t)~SERVER_TELLS_MESSAGES;
    if (session_options(s)->log_backend_messages != CONFIG_BACKEND_MESSAGES_NONE)
        server->watched |= SERVER_TELLS_MESSAGES;
}

static void
watch_links(struct session *s)
{
    if (s->primary != NULL)
        options_watch(s, s->primary);
    if (s->reader != NULL)
        options_watch(s, s->reader);
}

void
session_reconfigured(struct session *s)
{
    struct session_own *own = s->own;
    struct config_session values;

    s->options = &s->host->options;
    s->log.limits = NULL;
    if (own != NULL) {
        own->options = s->host->options;
        config_session_values(own->options.config, own->set, &values);
        take_own(&own->options, &values);
        own->log = (struct log_limits){values.log_min_messages, values.log_error_verbosity};
        s->options = &own->options;
        s->log.limits = &own->log;
    }
    watch_links(s);
}

const struct config_overrides *
session_overrides(const struct session *s)
{
    return s->own != NULL ? s->own->set : NULL;
}

void
options_fini(struct session *s)
{
    if (s->own == NULL)
        return;
    s->log.limits = NULL;
    s->options = &s->host->options;
    config_overrides_free(s->own->set);
    free(s->own);
    s->own = NULL;
}

static struct session_own *
own_new(void)
{
    struct session_own *own = xcalloc(1, sizeof(*own));

    own->set = config_overrides_new();
    return own;
}

/* What was changed takes effect; nothing is kept for a session that has nothing of its own. */
static void
changed(struct session *s)
{
    if (s->own != NULL && config_overrides_empty(s->own->set))
        options_fini(s);
    session_reconfigured(s);
}

void
options_preset_logging(struct session *s, int64_t duration_ms)
{
    char text[24];
    struct err err;

    snprintf(text, sizeof(text), "%" PRId64, duration_ms);
    if (s->own == NULL)
        s->own = own_new();
    if (config_overrides_set(s->own->set, LOGGING, text, &err) != 0)
        BUG("%s", err.message); /* it has been read as one */
    session_reconfigured(s);
}

int
options_set(struct session *s, const char *name, const char *text, struct err *err)
{
    bool of_cache = str_equal_nocase(name, "memory_cache_enabled");
    int rc;

    if (of_cache && text != NULL && s->host->cache == NULL)
        return err_set(err, "55000", "there is no query cache: it was off when pgpool was started");
    if (s->own == NULL)
        s->own = own_new();
    if (text != NULL)
        rc = config_overrides_set(s->own->set, name, text, err);
    else
        rc = config_overrides_reset(s->own->set, name, err);
    if (of_cache && rc == 0 && text != NULL)
        s->cache_mode = -1; /* its own word counts, not that of pool_limits */
    else if (of_cache)
        startup_take_limits(s);
    if (text == NULL && rc == 0 && str_equal_nocase(name, LOGGING))
        startup_take_logging(s);
    changed(s);
    return rc;
}

void
options_reset_all(struct session *s)
{
    if (s->own != NULL)
        config_overrides_reset_all(s->own->set);
    startup_take_limits(s);
    startup_take_logging(s);
    changed(s);
}

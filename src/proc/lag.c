/*
 * The lag process: who is the primary, which nodes answer, and how fresh each standby is.
 *
 * Asks every node over one kept connection of its own and publishes what it heard in the
 * freshness area; judging that is cluster/'s. A moment is noted before the primary is asked for its
 * insert position: what was committed before that moment lies before that position, and a standby
 * that has replayed so far is fresh as of then (cluster/fresh.h).
 *
 * It asks often only while a session waits for a standby to catch up with a recent write, or while
 * there is no primary; at once when a session wants to know where all stand now (what other pgpools
 * have written); else every sr_check_period. Invariants: the history of positions belongs to
 * one primary on one timeline; a standby on another timeline is never fresh.
 */
#include "auth/passwd.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "carried.h"
#include "cluster/delay.h"
#include "cluster/fresh.h"
#include "cluster/nodes.h"
#include "cluster/view.h"
#include "config/config.h"
#include "lag_questions.h"
#include "orphans.h"
#include "os/ask.h"
#include "os/clock.h"
#include "proc/proc.h"
#include "proc/tls.h"

#include <stdlib.h>
#include <string.h>

enum {
    OFTEN_MS = 25,            /* a session waits for freshness */
    LESS_OFTEN_MS = 200,      /* it has waited for a second, a standby is far behind */
    SELDOM_MS = 1000,         /* ... for ten seconds */
    SEARCH_MS = 100,          /* there is no primary */
    RETRY_MS = 500,           /* a node does not answer */
    RETURNING_MS = 100,       /* a node is about to be used again */
    RETURNING_LATE_MS = 1000, /* ... and has been so for RETURNING_S */
    RETURNING_S = 60,
    NO_PERIOD_MS = 10000, /* sr_check_period = 0: roles are still watched */
    QUESTION_MS = 5000,   /* for an answer over an open connection */
    CONNECT_MS = 10000,   /* to dial, where connect_timeout sets no limit */
    FLUSH_MS = 200,       /* the WAL writer flushes what was committed within this time */
    DELAY_LOG_MS = 100,   /* by then the primary, asked at the same time, has answered, too */
    NAME_BYTES = 64,
};

/* At least one row. */
static const char followers[] =
    "SELECT application_name, state, sync_state,"
    " pg_catalog.current_setting('synchronous_standby_names') <> ''"
    " FROM (VALUES (1)) AS one LEFT JOIN pg_catalog.pg_stat_replication ON true";

struct lag_node {
    struct lag *lag;
    int node_id;
    struct ask *ask;
    struct io_timer due;
    struct io_timer delay_log;
    const char *question;
    bool asks_who; /* it tells who the node is, too */
    bool sees_origins;
    int64_t asked_ns;          /* when the running question was sent */
    int64_t who_ns;            /* when `who` was last answered; 0: not on this connection */
    bool again;                /* ask once more as soon as the running question has ended */
    bool streams;              /* by its own word */
    char follower[NAME_BYTES]; /* the application_name of its WAL receiver */
};

struct lag {
    struct proc *proc;
    struct dns *dns;
    struct passwd *passwords;
    struct orphans *orphans;
    struct carried *carried;
    struct lag_node nodes[CLUSTER_NODES_MAX];
    struct cluster_freshness now;
    struct cluster_members members;
    struct cluster_view view;
    struct cluster_nodes *judged;
    uint64_t judged_epoch;
    struct cluster_fresh history;
    int history_of; /* the primary that the history belongs to, -1: none */
    uint32_t history_timeline;
    uint64_t insert_lsn;     /* the primary's, */
    int64_t insert_since_ns; /* and since when; or since when it was asked to flush up to there */
    struct io_timer publish;
    bool sleeps;
    bool tell_failover; /* what the primary says of its standbys is new */
    bool tell_all;      /* something changed that every process should see at once */
    char last_words[256];
};

static void lag_publish(void *ctx);

/* ---- what was heard ---------------------------------------------------------------------------
 */

static struct node_freshness *
measured(struct lag_node *n)
{
    return &n->lag->now.nodes[n->node_id];
}

/* The area is written once a turn, however much was heard in it. */
static void
note_change(struct lag *lag, bool tell_all)
{
    lag->tell_all |= tell_all;
    if (!io_timer_running(&lag->publish))
        io_timer_start(lag->proc->io, &lag->publish, 0, lag_publish, lag);
}

static void
hear_who(struct lag_node *n, const struct ask_rows *rows)
{
    const struct config_backend *backend = &n->lag->proc->config->backends[n->node_id];
    struct node_freshness *node = measured(n);
    const char *conninfo = ask_value(rows, 0, COL_CONNINFO);
    const char *system = ask_value(rows, 0, COL_SYSTEM);
    const char *levels;

    node->system_identifier = strtoull(system, NULL, 10);
    node->server_version = ask_server_version(rows);
    str_copy(node->replication_state, sizeof(node->replication_state),
             ask_value(rows, 0, COL_RECEIVER));
    n->streams = strcmp(node->replication_state, "streaming") == 0;
    if (backend->application_name[0] != '\0')
        str_copy(n->follower, sizeof(n->follower), backend->application_name);
    else if (!ask_conninfo_value(conninfo, "application_name", n->follower, sizeof(n->follower)) &&
             !ask_conninfo_value(conninfo, "fallback_application_name", n->follower,
                                 sizeof(n->follower)))
        n->follower[0] = '\0';
    levels = ask_value(rows, 0, COL_LEVELS);
    n->sees_origins = ask_value(rows, 0, COL_SEES_ORIGINS)[0] == 't';
    node->read_committed = strcmp(levels, "read committed") == 0;
    node->serializable = strstr(levels, "serializable") != NULL;
    n->who_ns = n->asked_ns;
}

/* Positions count for one primary on one timeline. */
static void
hear_primary(struct lag_node *n, uint64_t lsn)
{
    struct lag *lag = n->lag;
    const struct node_freshness *node = measured(n);

    if (lag->history_of != n->node_id || lag->history_timeline != node->timeline) {
        memset(&lag->history, 0, sizeof(lag->history));
        lag->history_of = n->node_id;
        lag->history_timeline = node->timeline;
    }
    cluster_fresh_note(&lag->history, n->asked_ns, cluster_fresh_target(lsn, 0, 0));
}

/* A subscriber's place is in the main node's WAL, its own WAL says nothing. */
static uint32_t
position_column(const struct lag_node *n)
{
    return n->lag->members.mode == CLUSTER_MODE_LOGICAL && n->node_id != n->lag->view.primary_id
               ? COL_APPLIED
               : COL_LSN;
}

static void
hear_position(struct lag_node *n, const struct ask_rows *rows)
{
    struct node_freshness *node = measured(n);
    bool standby = ask_value(rows, 0, COL_RECOVERY)[0] == 't';
    uint8_t role = standby ? NODE_ROLE_STANDBY : NODE_ROLE_PRIMARY;
    uint32_t timeline = lag_timeline(ask_value(rows, 0, COL_TIMELINE), standby);
    bool changed = !node->asked || !node->reachable || node->role != role;
    uint64_t lsn = 0;

    num_parse_lsn(ask_value(rows, 0, position_column(n)), &lsn);
    if (changed) {
        log_info("node %d \"%s:%d\" is up and a %s", n->node_id,
                 n->lag->proc->config->backends[n->node_id].hostname,
                 n->lag->proc->config->backends[n->node_id].port,
                 cluster_role_name((enum node_role)role));
        node->changed_at_us = clock_wall_us();
    }
    changed |= node->timeline != timeline;
    if (changed)
        n->who_ns = n->asks_who ? n->who_ns : 0;
    node->asked = node->reachable = 1;
    node->role = role;
    node->timeline = timeline;
    node->replay_lsn = lsn;
    node->heard_ns = n->asked_ns;
    node->last_error[0] = '\0';
    if (!standby)
        node->replication_state[0] = node->replication_sync_state[0] = '\0';
    note_change(n->lag, changed);
}

/* Several standbys may have one name. When there are as many rows that stream as standbys that say
 * they do, all of them do. */
static enum plan_stream
stream_of(struct lag *lag, uint32_t node_id, const struct ask_rows *rows)
{
    const struct lag_node *n = &lag->nodes[node_id];
    uint32_t rows_that_stream = 0;
    uint32_t claims = 0;

    if (n->follower[0] == '\0' || lag->now.nodes[node_id].role != NODE_ROLE_STANDBY ||
        !lag->now.nodes[node_id].reachable)
        return PLAN_STREAM_UNKNOWN;
    if (!n->streams)
        return PLAN_STREAM_NO;
    for (uint32_t row = 0; row < ask_row_count(rows); row++)
        rows_that_stream += strcmp(n->follower, ask_value(rows, row, 0)) == 0 &&
                            strcmp(ask_value(rows, row, 1), "streaming") == 0;
    for (uint32_t id = 0; id < lag->now.node_count; id++)
        claims += lag->nodes[id].streams && strcmp(lag->nodes[id].follower, n->follower) == 0;
    return rows_that_stream >= claims ? PLAN_STREAM_YES
           : rows_that_stream == 0    ? PLAN_STREAM_NO
                                      : PLAN_STREAM_UNKNOWN;
}

static void
hear_followers(struct lag_node *primary, const struct ask_rows *rows)
{
    struct lag *lag = primary->lag;

    lag->tell_failover = true;
    lag->now.followers_of = primary->node_id;
    lag->now.synchronous = ask_value(rows, 0, 3)[0] == 't';
    for (uint32_t id = 0; id < lag->now.node_count; id++)
        lag->now.nodes[id].stream = (uint8_t)stream_of(lag, id, rows);
    for (uint32_t id = 0; id < lag->now.node_count; id++) {
        struct lag_node *n = &lag->nodes[id];
        struct node_freshness *node = measured(n);

        node->replication_sync_state[0] = '\0';
        for (uint32_t row = 0; row < ask_row_count(rows); row++) {
            if (n->follower[0] == '\0' || node->role != NODE_ROLE_STANDBY ||
                strcmp(n->follower, ask_value(rows, row, 0)) != 0)
                continue;
            str_copy(node->replication_state, sizeof(node->replication_state),
                     ask_value(rows, row, 1));
            str_copy(node->replication_sync_state, sizeof(node->replication_sync_state),
                     ask_value(rows, row, 2));
        }
    }
    note_change(lag, false);
}

static void
hear_nothing(struct lag_node *n, const struct err *err)
{
    struct node_freshness *node = measured(n);
    const struct config_backend *backend = &n->lag->proc->config->backends[n->node_id];

    if (!node->asked || node->reachable) {
        log_warning("node %d \"%s:%d\" is not to be used: %s", n->node_id, backend->hostname,
                    backend->port, err->message);
        node->changed_at_us = clock_wall_us();
    }
    n->streams = false;
    node->stream = PLAN_STREAM_UNKNOWN;
    n->lag->tell_failover = true;
    note_change(n->lag, !node->asked || node->reachable);
    node->asked = 1;
    node->reachable = 0;
    node->replication_state[0] = node->replication_sync_state[0] = '\0';
    str_copy(node->last_error, sizeof(node->last_error), err->message);
}

/* Once in a period, for log_standby_delay. */
static void
log_delay(void *ctx)
{
    struct lag_node *n = ctx;
    const struct config *cfg = n->lag->proc->config;
    const struct node_freshness *node = measured(n);
    char words[CLUSTER_DELAY_BYTES];

    if (node->reachable && node->role == NODE_ROLE_STANDBY && n->lag->view.primary_id >= 0 &&
        cluster_delay_is_logged(cfg, node))
        log_info("node %d \"%s:%d\" is %s behind the primary, node %d", n->node_id,
                 cfg->backends[n->node_id].hostname, cfg->backends[n->node_id].port,
                 cluster_delay_text(cfg, node, words), n->lag->view.primary_id);
}

/* ---- asking -----------------------------------------------------------------------------------
 */

static bool
behind_a_write(struct lag *lag, int64_t last_write_ns)
{
    for (uint32_t id = 0; id < lag->view.node_count; id++) {
        const struct cluster_node *node = &lag->view.nodes[id];

        if (node->usable && (int)id != lag->view.primary_id && node->fresh_as_of_ns < last_write_ns)
            return true;
    }
    return false;
}

/* How soon to ask again; 0: nobody waits for it. */
static int64_t
hurry_ms(struct lag *lag)
{
    int64_t last_write_ns =
        MAX(shared_last_write_ns(lag->proc->shared), shared_positions_wanted_ns(lag->proc->shared));
    int64_t age_ms = (io_now_ns(lag->proc->io) - last_write_ns) / NS_PER_MS;

    if (lag->members.mode == CLUSTER_MODE_STREAMING && lag->view.primary_id < 0)
        return SEARCH_MS;
    if (last_write_ns == 0 || !behind_a_write(lag, last_write_ns))
        return 0;
    return age_ms < 1000 ? OFTEN_MS : age_ms < 10000 ? LESS_OFTEN_MS : SELDOM_MS;
}

/* Do standbys wait in vain for what the primary has not flushed? */
static bool
waits_for_flush(struct lag *lag, int64_t asked_ns, uint64_t lsn)
{
    bool same = lag->insert_lsn == lsn;

    if (same && (asked_ns - lag->insert_since_ns < FLUSH_MS * NS_PER_MS || hurry_ms(lag) == 0))
        return false;
    lag->insert_lsn = lsn;
    lag->insert_since_ns = asked_ns;
    return same;
}

/* Does somebody wait until a node streams? */
static bool
is_returning(const struct lag *lag, uint32_t node_id)
{
    const struct plan_node *node = &lag->judged->plan.nodes[node_id];

    if (!lag->judged->judging || (int)node_id == lag->judged->plan.primary_id ||
        !lag->now.nodes[node_id].reachable)
        return false;
    return node->must_follow || node->attach || node->job != PLAN_JOB_NONE ||
           (node->state != NODE_UP && node->state != NODE_MAINTENANCE);
}

static int64_t
period_ms(const struct lag *lag)
{
    int64_t period = lag->proc->config->sr_check_period_ms;
    int64_t since_us = clock_wall_us() - (int64_t)RETURNING_S * 1000000;

    period = period > 0 ? period : NO_PERIOD_MS;
    for (uint32_t id = 0; id < lag->now.node_count; id++) {
        if (is_returning(lag, id))
            period = MIN(period, lag->judged->plan.nodes[id].since_us > since_us
                                     ? (int64_t)RETURNING_MS
                                     : (int64_t)RETURNING_LATE_MS);
    }
    return period;
}

static void
ask_node(void *ctx)
{
    struct lag_node *n = ctx;
    struct lag *lag = n->lag;
    int64_t connect_ms = lag->proc->config->connect_timeout_ms;
    int64_t now_ns = io_now_ns(lag->proc->io);
    int64_t limit_ms = QUESTION_MS;

    n->again = false;
    if (n->who_ns == 0)
        limit_ms += connect_ms > 0 ? connect_ms : CONNECT_MS;
    n->asks_who = n->who_ns == 0 || now_ns - n->who_ns >= period_ms(lag) * NS_PER_MS;
    n->question = lag_question(n->asks_who, lag->members.mode == CLUSTER_MODE_LOGICAL,
                               n->sees_origins && n->who_ns != 0);
    n->asked_ns = now_ns;
    ask_question(n->ask, n->question, limit_ms);
}

static void
ask_soon(struct lag_node *n, int64_t delay_ms)
{
    struct io *io = n->lag->proc->io;

    if (n->ask == NULL)
        return;
    if (ask_is_busy(n->ask)) {
        n->again |= delay_ms == 0;
        return;
    }
    if (io_timer_running(&n->due) && n->due.due_ns <= io_now_ns(io) + delay_ms * NS_PER_MS)
        return;
    io_timer_start(io, &n->due, delay_ms, ask_node, n);
}

/* A session waits for what it says now. */
static bool
is_wanted(struct lag_node *n)
{
    return measured(n)->reachable && n->asked_ns < shared_positions_wanted_ns(n->lag->proc->shared);
}

static void
schedule(struct lag_node *n)
{
    int64_t hurry = hurry_ms(n->lag);
    int64_t delay = hurry > 0 ? hurry : period_ms(n->lag);

    if (is_wanted(n))
        delay = 0;
    else if (!measured(n)->reachable)
        delay = MIN(delay, (int64_t)RETRY_MS);
    ask_soon(n, n->again ? 0 : delay);
}

/* Says that it sleeps before it looks for a write the last time: none is missed. */
static void
schedule_all(struct lag *lag)
{
    bool sleeps = hurry_ms(lag) == 0;

    if (sleeps != lag->sleeps) {
        lag->sleeps = sleeps;
        shared_set_lag_sleeps(lag->proc->shared, sleeps);
        if (sleeps && hurry_ms(lag) > 0) {
            lag->sleeps = false;
            shared_set_lag_sleeps(lag->proc->shared, false);
        }
    }
    for (uint32_t id = 0; id < lag->now.node_count; id++)
        schedule(&lag->nodes[id]);
}

/* Whoever says neither is no PostgreSQL server, and above all no primary. */
static bool
tells_role(const struct ask_rows *rows)
{
    const char *recovery = ask_value(rows, 0, COL_RECOVERY);

    return strcmp(recovery, "t") == 0 || strcmp(recovery, "f") == 0;
}

/* A primary, which has told its position. */
static void
go_on_asking(struct lag_node *n)
{
    struct lag *lag = n->lag;
    uint64_t lsn = measured(n)->replay_lsn;

    if (n->node_id == lag->view.primary_id)
        hear_primary(n, lsn);
    if (n->asks_who && lag->members.mode == CLUSTER_MODE_STREAMING)
        n->question = followers;
    else if (n->node_id == lag->view.primary_id && waits_for_flush(lag, n->asked_ns, lsn))
        n->question = lag_flush;
    else
        return;
    n->asks_who = false;
    ask_question(n->ask, n->question, QUESTION_MS);
}

static void
on_answered(void *ctx, const struct ask_rows *rows)
{
    struct lag_node *n = ctx;
    struct err err;

    if (n->question == followers) {
        hear_followers(n, rows);
        return;
    }
    if (n->question == lag_flush) {
        note_change(n->lag, false);
        return;
    }
    if (!tells_role(rows)) {
        err_set(&err, "08P01", "the server's answer was not understood");
        n->who_ns = 0;
        hear_nothing(n, &err);
        return;
    }
    if (n->asks_who) {
        hear_who(n, rows);
        io_timer_start(n->lag->proc->io, &n->delay_log, DELAY_LOG_MS, log_delay, n);
    }
    hear_position(n, rows);
    if (measured(n)->role == NODE_ROLE_PRIMARY)
        go_on_asking(n);
}

static void
on_failed(void *ctx, const struct err *err, bool asked)
{
    struct lag_node *n = ctx;
    bool was_open = n->who_ns != 0;

    n->who_ns = 0;
    io_timer_stop(&n->due);
    if ((n->question == followers || n->question == lag_flush) && asked) {
        log_debug("node %d does not %s: %s", n->node_id,
                  n->question == followers ? "tell about its standbys" : "flush its WAL",
                  err->message);
        note_change(n->lag, false);
        return;
    }
    if (was_open) {
        /* one connection may be lost without the node: dial anew, that decides */
        log_debug("node %d: %s; asking again", n->node_id, err->message);
        ask_soon(n, 0);
        return;
    }
    hear_nothing(n, err);
}

static const struct ask_ops ask_ops = {on_answered, on_failed};

/* ---- publishing -------------------------------------------------------------------------------
 */

static void
judge_freshness(struct lag *lag)
{
    /* without a primary, what standbys had replayed of it stays true */
    bool known = lag->history_of >= 0 &&
                 (lag->view.primary_id < 0 || lag->view.primary_id == lag->history_of);
    int64_t now_ns = io_now_ns(lag->proc->io);

    for (uint32_t id = 0; id < lag->now.node_count; id++) {
        struct node_freshness *node = &lag->now.nodes[id];

        node->delay_bytes = 0;
        node->delay_us = 0;
        if ((int)id == lag->view.primary_id) {
            node->fresh_as_of_ns = INT64_MAX;
            continue;
        }
        node->fresh_as_of_ns = 0;
        if (!known || !node->reachable || lag->members.mode == CLUSTER_MODE_RAW)
            continue; /* in raw nobody replicates: positions have nothing to do with each other */
        node->delay_bytes = cluster_fresh_delay_bytes(&lag->history, node->replay_lsn);
        node->delay_us = cluster_fresh_delay_us(&lag->history, node->replay_lsn, now_ns);
        if (node->timeline == lag->history_timeline || lag->members.mode == CLUSTER_MODE_LOGICAL)
            node->fresh_as_of_ns = cluster_fresh_as_of(&lag->history, node->replay_lsn);
    }
}

static void
log_primary(struct lag *lag, int before)
{
    char words[sizeof(lag->last_words)];

    if (lag->view.primary_id != before && lag->view.primary_id >= 0)
        log_info("node %d is the primary", lag->view.primary_id);
    if (lag->judged->judging)
        return; /* who judges tells why */
    for (uint32_t id = 0; id < lag->now.node_count; id++) {
        if (lag->now.nodes[id].configured && !lag->now.nodes[id].asked)
            return; /* too early to tell */
    }
    cluster_view_no_primary(&lag->view, &lag->now, words, sizeof(words));
    if (words[0] != '\0' && strcmp(words, lag->last_words) != 0)
        log_warning("there is no primary: %s", words);
    str_copy(lag->last_words, sizeof(lag->last_words), words);
}

/* Whose sessions wait for positions. */
static void
wake_who_awaits(struct lag *lag)
{
    struct shared *sh = lag->proc->shared;

    if (shared_positions_wanted_ns(sh) == 0)
        return;
    for (uint32_t n = 0; n < shared_layout(sh)->child_slots; n++) {
        if (atomic_load(&shared_child(sh, n)->awaits_positions) != 0 &&
            atomic_exchange(&shared_child(sh, n)->awaits_positions, 0) != 0)
            wake_send(lag->proc->wakes, shared_slot_of_child(sh, n));
    }
}

static void
lag_publish(void *ctx)
{
    struct lag *lag = ctx;
    struct area *area = shared_freshness(lag->proc->shared);
    int before = lag->view.primary_id;
    uint32_t up = 0;

    cluster_view_build(&lag->view, &lag->now, &lag->members, lag->judged);
    lag->now.primary_id = lag->view.primary_id;
    judge_freshness(lag);
    cluster_view_build(&lag->view, &lag->now, &lag->members, lag->judged);
    memcpy(area_write(area), &lag->now, sizeof(lag->now));
    area_publish(area);
    wake_who_awaits(lag);
    if (lag->tell_all || before != lag->view.primary_id) {
        log_primary(lag, before);
        for (uint32_t id = 0; id < lag->view.node_count; id++)
            up += lag->view.nodes[id].usable;
        if (lag->view.primary_id >= 0)
            proc_title(lag->proc, "node %d is the primary, %u nodes up", lag->view.primary_id, up);
        else
            proc_title(lag->proc, "no primary, %u nodes up", up);
        wake_send_all(lag->proc->wakes, lag->proc->slot);
    } else if (lag->tell_failover) {
        wake_send(lag->proc->wakes, SLOT_FAILOVER);
    }
    lag->tell_all = lag->tell_failover = false;
    /* a new primary tells its position at once */
    if (before != lag->view.primary_id && lag->view.primary_id >= 0)
        ask_soon(&lag->nodes[lag->view.primary_id], 0);
    schedule_all(lag);
}

/* ---- configuration and events ------------------------------------------------------------------
 */

static void
drop_node(struct lag_node *n)
{
    ask_free(n->ask);
    io_timer_stop(&n->due);
    io_timer_stop(&n->delay_log);
    n->ask = NULL;
    n->who_ns = 0;
    memset(measured(n), 0, sizeof(struct node_freshness));
}

static struct ask_target
target_of(struct lag *lag, uint32_t id)
{
    const struct config *cfg = lag->proc->config;
    const struct config_backend *backend = &cfg->backends[id];

    return (struct ask_target){
        .host = backend->hostname,
        .port = (uint16_t)backend->port,
        .user = cfg->sr_check_user,
        .password = proc_password(lag->passwords, cfg->sr_check_user, cfg->sr_check_password),
        .database = cfg->sr_check_database,
        .application_name = "pgpool lag",
        .tls = proc_ask_tls(cfg)};
}

static void
configure_node(struct lag *lag, uint32_t id)
{
    const struct config *cfg = lag->proc->config;
    const struct config_backend *backend = &cfg->backends[id];
    struct lag_node *n = &lag->nodes[id];
    struct ask_target target = target_of(lag, id);

    n->lag = lag;
    n->node_id = (int)id;
    if (!backend->configured) {
        drop_node(n);
        return;
    }
    lag->now.nodes[id].configured = 1;
    if (n->ask == NULL)
        n->ask = ask_new(lag->proc->io, lag->dns, &ask_ops, n);
    if (ask_set_target(n->ask, &target)) {
        n->who_ns = 0;
        ask_soon(n, 0);
    }
}

static void
configure(struct lag *lag)
{
    const struct config *cfg = lag->proc->config;
    uint32_t count = MAX(lag->now.node_count, cfg->backend_count);

    proc_read_passwords(cfg, lag->proc->files->pool_key, &lag->passwords);
    cluster_members_from_config(&lag->members, cfg);
    lag->now.config_generation = cfg->generation;
    for (uint32_t id = 0; id < count; id++)
        configure_node(lag, id);
    lag->now.node_count = cfg->backend_count;
    note_change(lag, true);
}

static void
on_config(void *ctx, const struct config *before UNUSED)
{
    struct lag *lag = ctx;

    configure(lag);
    carried_look(lag->carried);
}

static void
on_inbox(void *ctx, const struct inbox_msg *msg)
{
    struct lag *lag = ctx;

    if (msg->kind != INBOX_NODE_FAILED || msg->node.node_id < 0 ||
        (uint32_t)msg->node.node_id >= lag->now.node_count)
        return;
    /* whoever told it waits for a new verdict */
    lag->tell_all = true;
    ask_soon(&lag->nodes[msg->node.node_id], 0);
}

static void
on_wake(void *ctx)
{
    struct lag *lag = ctx;

    if (area_epoch(shared_nodes(lag->proc->shared)) != lag->judged_epoch) {
        lag->judged_epoch = area_read(shared_nodes(lag->proc->shared), lag->judged);
        note_change(lag, false);
    }
    for (uint32_t id = 0; id < lag->now.node_count; id++) {
        if (is_wanted(&lag->nodes[id]))
            ask_soon(&lag->nodes[id], 0);
    }
    if (!lag->sleeps || hurry_ms(lag) == 0)
        return;
    for (uint32_t id = 0; id < lag->now.node_count; id++) {
        if (measured(&lag->nodes[id])->reachable)
            ask_soon(&lag->nodes[id], 0);
    }
    schedule_all(lag);
}

/* ---- for orphans.c ---- */

static int
primary_of(void *ctx)
{
    const struct lag *lag = ctx;

    return lag->view.primary_id;
}

static bool
is_reachable(void *ctx, int node_id)
{
    struct lag *lag = ctx;

    return measured(&lag->nodes[node_id])->reachable != 0;
}

static bool
target_for(void *ctx, int node_id, struct ask_target *target_r)
{
    struct lag *lag = ctx;

    if ((uint32_t)node_id >= lag->proc->config->backend_count ||
        !lag->proc->config->backends[node_id].configured)
        return false;
    *target_r = target_of(lag, (uint32_t)node_id);
    return true;
}

static const struct orphans_host orphans_host = {primary_of, is_reachable, target_for};

void
lag_main(struct proc *p)
{
    static const struct proc_ops ops = {
        .on_config = on_config, .on_inbox = on_inbox, .on_wake = on_wake};
    struct lag *lag = xcalloc(1, sizeof(*lag));
    struct err err;

    lag->proc = p;
    lag->judged = xcalloc(1, sizeof(*lag->judged));
    lag->judged_epoch = area_read(shared_nodes(p->shared), lag->judged);
    lag->history_of = -1;
    lag->now.primary_id = lag->now.followers_of = lag->view.primary_id = -1;
    if (dns_new(p->io, &lag->dns, &err) != 0) {
        log_fatal("%s", err.message);
        exit(1);
    }
    proc_title(p, "looking for the primary");
    configure(lag);
    lag->orphans = orphans_new(p, lag->dns, &orphans_host, lag);
    lag->carried = carried_new(p, lag->dns, &orphans_host, lag);
    proc_run(p, &ops, lag);
    orphans_free(lag->orphans);
    carried_free(lag->carried);
    for (uint32_t id = 0; id < CLUSTER_NODES_MAX; id++) {
        ask_free(lag->nodes[id].ask);
        io_timer_stop(&lag->nodes[id].due);
        io_timer_stop(&lag->nodes[id].delay_log);
    }
    io_timer_stop(&lag->publish);
    dns_free(lag->dns);
    passwd_free(lag->passwords);
    free(lag->judged);
    free(lag);
}

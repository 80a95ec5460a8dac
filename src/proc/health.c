/*
 * A health process: is one node alive?
 *
 * Probes its node over one connection of its own, which it keeps (so it has one even when the
 * server has no room for others), gives each outcome to cluster/health, and tells the failover
 * process what that makes of it. Judges nothing else: whether anybody is to be promoted is decided
 * elsewhere. Its struct health lies in shared memory, so a new process of its kind goes on where
 * the last one ended; it tells its first fact in any case, and repeats the last one now and then,
 * because a message may have died with whoever read it.
 *
 * Invariants: at most one probe at a time; what is asked for while one runs is asked again after
 * it, because the running one may have seen what was before; the log tells changes, never states.
 */
#include "cluster/health.h"

#include "auth/passwd.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "cluster/nodes.h"
#include "cluster/outcome.h"
#include "config/config.h"
#include "os/clock.h"
#include "os/dns.h"
#include "probe.h"
#include "proc/proc.h"
#include "proc/tls.h"
#include "watchdog/watchdog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FACT_REPEAT_MS = 5000, TITLE_BYTES = 200 };

_Static_assert(sizeof(struct health_fact) <= INBOX_FACT_BYTES, "a fact must fit");
_Static_assert(sizeof(struct wd_fact) <= INBOX_FACT_BYTES, "a fact must fit");

struct watch {
    struct proc *proc;
    struct dns *dns;
    struct passwd *passwords;
    struct probe *probe;
    struct health *health; /* ours alone to write, in shared memory */
    struct health_config cfg;
    struct cluster_nodes *judged;
    uint64_t judged_epoch;
    struct io_timer due;
    bool again;       /* asked for while a probe runs */
    bool blind;       /* that was said */
    int64_t told_ns;  /* the last fact that was sent; 0: none by this process */
    int64_t alive_ns; /* begin of the last probe that found life; 0: none by this process */
    int64_t skip_until_ns;
    int64_t sleep_ns; /* CLOCK_BOOTTIME less CLOCK_MONOTONIC, before the running probe began */
    char title[TITLE_BYTES];
};

static void schedule(struct watch *w);

static const struct config_backend *
backend_of(const struct watch *w)
{
    return &w->proc->config->backends[w->proc->node_id];
}

/* ---- what others hear --------------------------------------------------------------------------
 */

static void
tell_fact(struct watch *w, int64_t now_ns)
{
    struct inbox_msg msg = {.kind = INBOX_HEALTH_FACT};

    msg.fact.node_id = w->proc->node_id;
    memcpy(msg.fact.bytes, &w->health->fact, sizeof(w->health->fact));
    w->told_ns = proc_send(w->proc, SLOT_FAILOVER, &msg) ? now_ns : 0;
}

/* Every probe counts there, with the clock that goes on while the machine sleeps. */
static void
tell_watchdog(struct watch *w, const struct health_probe *result)
{
    const struct health_fact *fact = &w->health->fact;
    const struct health_answer *answer = &result->answer;
    struct inbox_msg msg = {.kind = INBOX_WD_FACT};
    struct wd_fact told = {.node_id = w->proc->node_id,
                           .began_ns = result->began_ns + w->sleep_ns,
                           .alive = fact->verdict == HEALTH_ALIVE,
                           .dead = fact->verdict == HEALTH_DEAD,
                           .answered = result->outcome == HEALTH_OK,
                           .in_recovery = answer->in_recovery,
                           .streams = answer->streams,
                           .timeline = answer->timeline,
                           .system_identifier = answer->system_identifier};

    if (!w->proc->config->use_watchdog)
        return;
    msg.fact.node_id = w->proc->node_id;
    memcpy(msg.fact.bytes, &told, sizeof(told));
    proc_send(w->proc, SLOT_WATCHDOG, &msg);
}

static const char *
role_of(const struct health_answer *answer)
{
    return answer->in_recovery ? "standby" : "primary";
}

static void
show_title(struct watch *w)
{
    const struct health_fact *fact = &w->health->fact;
    const char *verdict = health_verdict_name(fact->verdict);
    char title[TITLE_BYTES];

    if (fact->verdict == HEALTH_ALIVE && fact->answered)
        snprintf(title, sizeof(title), "%s, a %s on timeline %u", verdict, role_of(&fact->answer),
                 fact->answer.timeline);
    else if (fact->reason[0] != '\0')
        snprintf(title, sizeof(title), "%s: %s", verdict, fact->reason);
    else
        snprintf(title, sizeof(title), "%s", verdict);
    if (strcmp(title, w->title) == 0)
        return;
    str_copy(w->title, sizeof(w->title), title);
    proc_title(w->proc, "%s", title);
}

/* ---- the log -----------------------------------------------------------------------------------
 */

/* "node 1 "db1:5432"". */
static const char *
name_node(const struct watch *w, char *name_r, size_t size)
{
    snprintf(name_r, size, "node %d \"%s\"", w->proc->node_id, w->health->server);
    return name_r;
}

/* ", 1.204 s after it last answered", or nothing where this process has never seen that. */
static const char *
since_life(const struct watch *w, int64_t now_ns, char *text_r, size_t size)
{
    text_r[0] = '\0';
    if (w->alive_ns != 0)
        snprintf(text_r, size, ", %.3f s after it was last seen alive",
                 (double)(now_ns - w->alive_ns) / 1e9);
    return text_r;
}

static void
log_verdict(const struct watch *w, enum health_verdict before, int64_t now_ns)
{
    const struct health_fact *fact = &w->health->fact;
    char name[HEALTH_SERVER_BYTES + 32];
    char since[64];

    name_node(w, name, sizeof(name));
    since_life(w, now_ns, since, sizeof(since));
    switch ((enum health_verdict)fact->verdict) {
    case HEALTH_ALIVE:
        if (before == HEALTH_UNKNOWN)
            log_info("%s is alive", name);
        else
            log_info("%s is alive again%s; it was %s", name, since, health_verdict_name(before));
        break;
    case HEALTH_SUSPECT:
        log_warning("%s may be dead%s: %s", name, since, fact->reason);
        break;
    case HEALTH_RECOVERING:
        log_warning("%s takes no connections for now%s: %s", name, since, fact->reason);
        break;
    case HEALTH_DEAD:
        log_warning("%s is dead%s: %s", name, since, fact->reason);
        break;
    default:
        break;
    }
}

static void
log_changes(struct watch *w, const struct health_fact *before, int64_t now_ns)
{
    const struct health_fact *fact = &w->health->fact;
    const struct health_answer *a = &fact->answer;
    char name[HEALTH_SERVER_BYTES + 32];

    name_node(w, name, sizeof(name));
    if (fact->verdict != before->verdict)
        log_verdict(w, before->verdict, now_ns);
    if (fact->misconfigured && !before->misconfigured)
        log_warning("%s could not be checked: %s", name, fact->reason);
    if (!fact->misconfigured && before->misconfigured && fact->answered)
        log_info("%s can be checked again", name);
    if (fact->answered &&
        (a->in_recovery != before->answer.in_recovery || a->timeline != before->answer.timeline ||
         a->system_identifier != before->answer.system_identifier))
        log_info("%s is a %s of system %llu on timeline %u", name, role_of(a),
                 (unsigned long long)a->system_identifier, a->timeline);
    if (fact->answered && probe_is_blind(w->probe) != w->blind) {
        w->blind = probe_is_blind(w->probe);
        if (w->blind)
            log_warning("%s does not show its WAL receiver to the user that checks it: a new "
                        "timeline is noticed late; grant pg_monitor to that user",
                        name);
    }
}

/* ---- probing -----------------------------------------------------------------------------------
 */

/* Nobody wants to hear of a node that is in maintenance. */
static bool
is_to_be_skipped(const struct watch *w, int64_t now_ns)
{
    const struct plan *plan = &w->judged->plan;

    return w->told_ns != 0 && !w->health->confirm && w->health->hurry_until_ns <= now_ns &&
           w->judged->judging && (uint32_t)w->proc->node_id < plan->node_count &&
           plan->nodes[w->proc->node_id].state == NODE_MAINTENANCE;
}

static void
begin_probe(void *ctx)
{
    struct watch *w = ctx;
    const struct config_backend *backend = backend_of(w);
    struct probe_limits limits = {backend->health_check_timeout_ms, backend->connect_timeout_ms};
    int64_t now_ns = clock_monotonic_ns();

    if (is_to_be_skipped(w, now_ns)) {
        health_skipped(w->health, clock_wall_us());
        w->skip_until_ns = now_ns + MAX(w->cfg.period_ns, NS_PER_S);
        schedule(w);
        return;
    }
    w->sleep_ns = clock_boottime_ns() - now_ns;
    probe_begin(w->probe, &limits);
}

static void
schedule(struct watch *w)
{
    int64_t next_ns = health_next_ns(w->health, &w->cfg);
    int64_t wait_ns;

    if (probe_is_running(w->probe))
        return;
    if (!w->health->confirm && w->health->hurry_until_ns <= io_now_ns(w->proc->io))
        next_ns = MAX(next_ns, w->skip_until_ns);
    if (next_ns == INT64_MAX) {
        io_timer_stop(&w->due);
        return;
    }
    wait_ns = MAX(next_ns - io_now_ns(w->proc->io), 0);
    io_timer_start(w->proc->io, &w->due, (wait_ns + NS_PER_MS - 1) / NS_PER_MS, begin_probe, w);
}

static void
probe_ended(void *ctx, const struct health_probe *result)
{
    struct watch *w = ctx;
    struct health_fact before = w->health->fact;
    bool is_news = health_probe_ended(w->health, &w->cfg, result);

    tell_watchdog(w, result);
    if (is_news || w->told_ns == 0 || result->ended_ns - w->told_ns >= FACT_REPEAT_MS * NS_PER_MS)
        tell_fact(w, result->ended_ns);
    log_changes(w, &before, result->ended_ns);
    if (result->outcome != HEALTH_UNRESOLVED && w->health->fact.verdict == HEALTH_ALIVE)
        w->alive_ns = result->began_ns;
    show_title(w);
    if (w->again)
        health_report(w->health);
    w->again = false;
    schedule(w);
}

static void
connection_lost(void *ctx, const struct err *err)
{
    struct watch *w = ctx;

    log_debug("node %d: %s; asking again", w->proc->node_id, err->message);
    health_lost(w->health,
                strcmp(err->sqlstate, "57P01") == 0 &&
                    health_outcome_of_failure(ASK_SERVER, err) == HEALTH_TERMINATED,
                clock_monotonic_ns());
    schedule(w);
}

static const struct probe_ops probe_ops = {probe_ended, connection_lost};

/* ---- configuration and events ------------------------------------------------------------------
 */

static const char *
password(struct watch *w, const char *user)
{
    const struct config *cfg = w->proc->config;
    const struct config_backend *backend = backend_of(w);
    const char *configured = backend->health_check_password;

    if (configured[0] == '\0' && backend->health_check_user[0] == '\0')
        configured = cfg->sr_check_password;
    return proc_password(w->passwords, user, configured);
}

/* Another server has another health. */
static void
note_server(struct watch *w)
{
    const struct config_backend *backend = backend_of(w);
    char server[HEALTH_SERVER_BYTES];

    snprintf(server, sizeof(server), "%s:%d", backend->hostname, backend->port);
    if (strcmp(server, w->health->server) == 0 && w->health->fact.verdict <= HEALTH_DEAD)
        return;
    memset(w->health, 0, sizeof(*w->health));
    str_copy(w->health->server, sizeof(w->health->server), server);
    w->told_ns = w->alive_ns = w->skip_until_ns = 0;
}

static void
configure(struct watch *w)
{
    const struct config *cfg = w->proc->config;
    const struct config_backend *backend = backend_of(w);
    const char *user =
        backend->health_check_user[0] != '\0' ? backend->health_check_user : cfg->sr_check_user;
    const char *database = backend->health_check_database[0] != '\0'
                               ? backend->health_check_database
                               : cfg->sr_check_database;
    struct ask_target target = {.host = backend->hostname,
                                .port = (uint16_t)backend->port,
                                .user = user,
                                .database = database,
                                .application_name = "pgpool health",
                                .tls = proc_ask_tls(cfg)};

    if (!backend->configured)
        return; /* the parent is about to end this process */
    proc_read_passwords(cfg, w->proc->files->pool_key, &w->passwords);
    target.password = password(w, user);
    note_server(w);
    w->cfg = (struct health_config){
        .period_ns = (int64_t)backend->health_check_period_ms * NS_PER_MS,
        .max_retries = (uint32_t)backend->health_check_max_retries,
        .retry_delay_ns = (int64_t)backend->health_check_retry_delay_ms * NS_PER_MS,
        .recovery_grace_ns = (int64_t)cfg->recovery_grace_ms * NS_PER_MS,
        .shutdown_grace_ns =
            cfg->failover_on_backend_shutdown ? 0 : (int64_t)cfg->shutdown_grace_ms * NS_PER_MS,
    };
    if (probe_set_target(w->probe, &target) && w->health->stats.probe_count > 0)
        health_report(w->health);
    schedule(w);
}

static void
on_config(void *ctx, const struct config *before UNUSED)
{
    configure(ctx);
}

static void
hear_report(struct watch *w, const struct inbox_msg *msg)
{
    if (msg->node.node_id != w->proc->node_id || !w->proc->config->failover_on_backend_error)
        return;
    log_debug("node %d: reported: %s", w->proc->node_id, msg->node.words);
    if (probe_is_running(w->probe))
        w->again = true;
    else
        health_report(w->health);
}

static void
on_inbox(void *ctx, const struct inbox_msg *msg)
{
    struct watch *w = ctx;

    if (msg->kind == INBOX_NODE_FAILED)
        hear_report(w, msg);
    else if (msg->kind == INBOX_HEALTH_HURRY)
        health_hurry(w->health, msg->hurry.every_ns, msg->hurry.until_ns);
    schedule(w);
}

static void
on_wake(void *ctx)
{
    struct watch *w = ctx;
    struct area *area = shared_nodes(w->proc->shared);

    if (area_epoch(area) == w->judged_epoch)
        return;
    w->judged_epoch = area_read(area, w->judged);
    w->skip_until_ns = 0;
    schedule(w);
}

void
health_main(struct proc *p)
{
    static const struct proc_ops ops = {
        .on_config = on_config, .on_inbox = on_inbox, .on_wake = on_wake};
    struct watch *w = xcalloc(1, sizeof(*w));
    struct err err;

    w->proc = p;
    w->health = shared_health(p->shared, p->node_id);
    w->judged = xcalloc(1, sizeof(*w->judged));
    w->judged_epoch = area_read(shared_nodes(p->shared), w->judged);
    if (dns_new(p->io, &w->dns, &err) != 0) {
        log_fatal("%s", err.message);
        exit(1);
    }
    w->probe = probe_new(p->io, w->dns, &probe_ops, w);
    show_title(w);
    configure(w);
    proc_run(p, &ops, w);
    probe_free(w->probe);
    io_timer_stop(&w->due);
    dns_free(w->dns);
    passwd_free(w->passwords);
    free(w->judged);
    free(w);
}

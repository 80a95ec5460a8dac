/*
 * Online recovery at an administrator's command, and old primaries of switchovers that become
 * standbys: both are the work of proc/recovery.h, with what the configuration says.
 *
 * A command is answered when the node is used again, or when that has failed; what is done
 * meanwhile goes to whoever asked, line by line. Invariant: one recovery per node (the plan sees to
 * that); one that its asker does not hear of goes on all the same.
 */
#include "failover.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "config/config.h"
#include "proc/tls.h"

#include <stdlib.h>

enum { ATTACH_WAIT_MS = 30000 };

struct failover_recovery {
    struct list link;
    struct failover *f;
    struct recovery *engine;
    struct io_timer attach_limit;
    int node_id;
    uint32_t request;
    bool built; /* and the plan has not taken it yet */
};

static struct recovery_node
place(const struct failover *f, int node_id)
{
    const struct config_backend *b = &f->proc->config->backends[node_id];

    return (struct recovery_node){.node_id = node_id,
                                  .host = b->hostname,
                                  .port = (uint16_t)b->port,
                                  .data_directory = b->data_directory,
                                  .application_name = b->application_name};
}

struct recovery *
failover_rebuild(struct failover *f, const struct failover_rebuilding *what,
                 const struct recovery_ops *ops, void *ctx)
{
    const struct config *cfg = f->proc->config;
    bool own = cfg->recovery_user[0] != '\0';
    const char *user = own ? cfg->recovery_user : cfg->sr_check_user;
    const char *password =
        proc_password(f->passwords, user, own ? cfg->recovery_password : cfg->sr_check_password);
    struct recovery_options options = {
        .node = place(f, what->node_id),
        .primary = place(f, what->primary_id),
        .user = user,
        .password = password != NULL ? password : "",
        .database = own ? cfg->recovery_database : cfg->sr_check_database,
        .first_stage = cfg->recovery_1st_stage_command,
        .second_stage = what->independent ? cfg->recovery_2nd_stage_command : "",
        .command = cfg->recovery_command,
        .bin_directory = cfg->recovery_bin_directory,
        .tls = proc_ask_tls(cfg),
        .timeout_ms = cfg->recovery_timeout_ms,
        .rejoin = what->rejoin,
        .independent = what->independent,
    };

    return recovery_start(f->proc->io, f->dns, &options, ops, ctx);
}

/* ---- at a command ---- */

static void
forget(struct failover_recovery *r)
{
    recovery_stop(r->engine);
    io_timer_stop(&r->attach_limit);
    list_remove(&r->link);
    free(r);
}

static void
give_up_attach(void *ctx)
{
    struct failover_recovery *r = ctx;

    failover_answer(
        r->f, r->request, "55000",
        "the node has been rebuilt, but it is not used yet: SHOW pool_node_states tells "
        "why");
    forget(r);
}

void
failover_look_at_recoveries(struct failover *f)
{
    list_for_each_safe (it, next, &f->recoveries) {
        struct failover_recovery *r = list_entry(it, struct failover_recovery, link);

        if (!r->built || f->now.plan.nodes[r->node_id].state != NODE_UP)
            continue;
        failover_answer(f, r->request, NULL, "the node has been rebuilt and is used");
        forget(r);
    }
}

static void
on_progress(void *ctx, const char *words)
{
    struct failover_recovery *r = ctx;

    log_info("recovery of node %d: %s", r->node_id, words);
    failover_tell_progress(r->f, r->request, words);
}

static void
on_ended(void *ctx, enum plan_result result, const char *words)
{
    struct failover_recovery *r = ctx;
    struct failover *f = r->f;
    struct plan_event event = {
        .kind = PLAN_RECOVERY_ENDED, .node_id = r->node_id, .result = result, .text = words};

    if (result == PLAN_DONE) {
        r->built = true;
        io_timer_start(f->proc->io, &r->attach_limit, ATTACH_WAIT_MS, give_up_attach, r);
    }
    failover_handle(f, &event);
    if (result == PLAN_DONE) {
        failover_hurry(f, event.node_id);
        return;
    }
    failover_answer(f, r->request, "58000", words);
    forget(r);
}

void
failover_recover(struct failover *f, int node_id, uint32_t request)
{
    static const struct recovery_ops ops = {on_progress, NULL, on_ended};
    struct failover_rebuilding what = {node_id, f->now.plan.primary_id, false, false};
    struct failover_recovery *r;

    if (!failover_leads(f))
        return;
    r = xcalloc(1, sizeof(*r));
    r->f = f;
    r->node_id = node_id;
    r->request = request;
    list_append(&f->recoveries, &r->link);
    failover_tell_progress(f, request, "its recovery has begun");
    r->engine = failover_rebuild(f, &what, &ops, r);
}

void
failover_drop_recoveries(struct failover *f)
{
    while (!list_empty(&f->recoveries))
        forget(list_first(&f->recoveries, struct failover_recovery, link));
}

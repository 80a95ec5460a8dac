/*
 * Connections of the failover process to servers: one for each job that asks something there, and
 * some that are made beforehand.
 *
 * While a failover runs, applications come to the new primary all at once, and whoever has to log
 * in there stands in that queue. So one connection to each node that may be promoted or has to
 * follow is made when the old primary is fenced, and goes to the first job that asks that node.
 * What nobody has taken is closed after a while. Invariant: a connection kept here is nobody's.
 */
#include "failover.h"

#include "config/config.h"
#include "os/ask.h"
#include "proc/tls.h"

enum { KEPT_FOR_MS = 15000, LOGIN_MS = 5000 };

/* Whatever becomes of it: whoever takes it asks anew. */
static void
came(void *ctx UNUSED, const struct ask_rows *rows UNUSED)
{
}

static void
went(void *ctx UNUSED, const struct err *err UNUSED, bool asked UNUSED)
{
}

static const struct ask_ops nobodys = {came, went};

/* recovery_user, who may do that kind of thing, or else who watches replication. */
static void
aim(struct failover *f, struct ask *ask, int node_id)
{
    const struct config *cfg = f->proc->config;
    const struct config_backend *backend = &cfg->backends[node_id];
    bool own = cfg->recovery_user[0] != '\0';
    const char *user = own ? cfg->recovery_user : cfg->sr_check_user;
    struct ask_target target = {
        .host = backend->hostname,
        .port = (uint16_t)backend->port,
        .user = user,
        .password = proc_password(f->passwords, user,
                                  own ? cfg->recovery_password : cfg->sr_check_password),
        .database = own ? cfg->recovery_database : cfg->sr_check_database,
        .application_name = "pgpool failover",
        .tls = proc_ask_tls(cfg)};

    ask_set_target(ask, &target);
}

struct ask *
failover_line(struct failover *f, int node_id, const struct ask_ops *ops, void *ctx)
{
    struct ask *ask = f->lines[node_id];

    if (ask != NULL && !ask_is_busy(ask)) {
        f->lines[node_id] = NULL;
        ask_set_ops(ask, ops, ctx);
    } else {
        ask = ask_new(f->proc->io, f->dns, ops, ctx);
    }
    aim(f, ask, node_id);
    return ask;
}

void
failover_line_done(struct failover *f, int node_id, struct ask *ask)
{
    if (ask == NULL || !io_timer_running(&f->lines_close) || f->lines[node_id] != NULL ||
        ask_is_busy(ask)) {
        ask_free(ask);
        return;
    }
    ask_set_ops(ask, &nobodys, NULL);
    f->lines[node_id] = ask;
}

void
failover_drop_lines(struct failover *f)
{
    io_timer_stop(&f->lines_close);
    for (size_t n = 0; n < ARRAY_LEN(f->lines); n++) {
        ask_free(f->lines[n]);
        f->lines[n] = NULL;
    }
}

static void
kept_too_long(void *ctx)
{
    failover_drop_lines(ctx);
}

void
failover_open_lines(struct failover *f)
{
    const struct plan *plan = &f->now.plan;

    io_timer_start(f->proc->io, &f->lines_close, KEPT_FOR_MS, kept_too_long, f);
    for (uint32_t n = 0; n < MIN(f->config.node_count, (uint32_t)ARRAY_LEN(f->lines)); n++) {
        if (!f->config.nodes[n].configured || f->lines[n] != NULL ||
            (int)n == plan->operation.old_primary_id || plan->nodes[n].verdict == HEALTH_DEAD)
            continue;
        f->lines[n] = ask_new(f->proc->io, f->dns, &nobodys, NULL);
        aim(f, f->lines[n], (int)n);
        ask_question(f->lines[n], "SELECT 1", LOGIN_MS);
    }
}

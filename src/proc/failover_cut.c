/*
 * Ends the streaming of standbys before one of them is promoted, at the watchdog's order.
 *
 * A pgpool that is missing may go by what it sees of them (decision 0023). A standby's
 * primary_conninfo is pointed to a directory that does not exist, so that all else of it stays for
 * whom it is to follow later; then it is asked until it receives nothing. Who does not answer is
 * not in the set that is told. Invariants: a node is told by one at a time, and whoever was making
 * it follow is ended first.
 */
#include "failover.h"

#include "base/arena.h"
#include "base/log.h"
#include "config/config.h"
#include "os/ask.h"
#include "os/clock.h"
#include "os/conninfo.h"

#include <stdlib.h>
#include <string.h>

enum { LIMIT_MS = 2000, LOOK_AGAIN_MS = 30 };

/* No server listens in there, and libpq says so at once. */
static const char nowhere[] = "/nonexistent/pgpool";

enum cut_stage { CUT_LOOK, CUT_CHANGE, CUT_RELOAD, CUT_WATCH };

struct cut {
    struct list link;
    struct failover *f;
    struct ask *ask;
    struct io_timer ending;
    struct io_timer looking;
    int node_id;
    int stage; /* enum cut_stage */
    bool done;
    int64_t deadline_ns;
    struct buf sql;
};

static void
free_cut(struct cut *cut)
{
    failover_line_done(cut->f, cut->node_id, cut->ask);
    io_timer_stop(&cut->ending);
    io_timer_stop(&cut->looking);
    list_remove(&cut->link);
    buf_free(&cut->sql);
    free(cut);
}

void
failover_drop_cuts(struct failover *f)
{
    while (!list_empty(&f->watch.cuts))
        free_cut(list_first(&f->watch.cuts, struct cut, link));
}

static void
tell(void *ctx)
{
    struct cut *cut = ctx;
    struct failover *f = cut->f;

    if (cut->done)
        cluster_set_add(&f->watch.word.cut, cut->node_id);
    free_cut(cut);
    f->watch.word.cuts = f->watch.cutting;
    failover_tell_watchdog(f);
}

static void
end(struct cut *cut, bool done)
{
    cut->done = done;
    io_timer_start(cut->f->proc->io, &cut->ending, 0, tell, cut);
}

static int64_t
limit_ms(const struct cut *cut)
{
    return MAX((cut->deadline_ns - clock_monotonic_ns()) / NS_PER_MS, (int64_t)1);
}

static void
ask(struct cut *cut, enum cut_stage stage, const char *question)
{
    if ((stage == CUT_CHANGE || stage == CUT_RELOAD) && !failover_leads(cut->f)) {
        end(cut, false);
        return;
    }
    cut->stage = stage;
    ask_question(cut->ask, question, limit_ms(cut));
}

static void
watch(void *ctx)
{
    ask(ctx, CUT_WATCH, "SELECT count(*) FROM pg_catalog.pg_stat_wal_receiver");
}

static void
change(struct cut *cut, const struct ask_rows *rows)
{
    const char *conninfo = ask_value(rows, 0, 1);
    uint16_t port = (uint16_t)cut->f->proc->config->backends[cut->node_id].port;

    if (ask_value(rows, 0, 0)[0] != 't') {
        end(cut, false);
    } else if (conninfo_is_server(conninfo, nowhere, port)) {
        watch(cut);
    } else {
        failover_aim_standby(conninfo, nowhere, port, &cut->sql);
        ask(cut, CUT_CHANGE, buf_cstr(&cut->sql));
    }
}

static void
answered(void *ctx, const struct ask_rows *rows)
{
    struct cut *cut = ctx;

    switch ((enum cut_stage)cut->stage) {
    case CUT_LOOK:
        change(cut, rows);
        break;
    case CUT_CHANGE:
        ask(cut, CUT_RELOAD, "SELECT pg_catalog.pg_reload_conf()");
        break;
    case CUT_RELOAD:
        watch(cut);
        break;
    case CUT_WATCH:
        if (strcmp(ask_value(rows, 0, 0), "0") == 0)
            end(cut, true);
        else if (limit_ms(cut) > LOOK_AGAIN_MS)
            io_timer_start(cut->f->proc->io, &cut->looking, LOOK_AGAIN_MS, watch, cut);
        else
            end(cut, false);
        break;
    }
}

static void
failed(void *ctx, const struct err *err, bool asked)
{
    struct cut *cut = ctx;

    if (!asked || io_timer_running(&cut->ending))
        return;
    log_warning("could not end the streaming of node %d: %s", cut->node_id, err->message);
    end(cut, false);
}

static bool
is_to_be_cut(const struct failover *f, int node_id)
{
    const struct plan_node *node = &f->now.plan.nodes[node_id];

    return f->config.nodes[node_id].configured && node->verdict == HEALTH_ALIVE &&
           node->asked_ns != 0 && node->answer.in_recovery &&
           node_id != f->now.plan.operation.old_primary_id;
}

void
failover_cut(struct failover *f)
{
    static const struct ask_ops ops = {answered, failed};

    if (!list_empty(&f->watch.cuts) || f->watch.proposal != 0 || !failover_leads(f))
        return;
    f->watch.cutting = f->watch.orders.cuts;
    for (int node_id = 0; node_id < (int)f->config.node_count; node_id++) {
        struct cut *cut;

        if (!is_to_be_cut(f, node_id))
            continue;
        failover_drop_following(f, node_id);
        cut = xcalloc(1, sizeof(*cut));
        cut->f = f;
        cut->node_id = node_id;
        cut->deadline_ns = clock_monotonic_ns() + LIMIT_MS * NS_PER_MS;
        list_append(&f->watch.cuts, &cut->link);
        cut->ask = failover_line(f, node_id, &ops, cut);
        ask(cut, CUT_LOOK,
            "SELECT pg_catalog.pg_is_in_recovery(),"
            " pg_catalog.current_setting('primary_conninfo')");
    }
}

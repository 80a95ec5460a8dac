/*
 * Native replication: prepared transactions that nobody ends any more.
 *
 * A child that is killed, or a pgpool that is, may leave transactions prepared on the nodes. Each
 * has a name that says whose main node decides (session/copies_end.c), and that one's commit log is
 * the record: committed there, it is committed; aborted there, rolled back; in progress, asked
 * again later. Doing so is right whether its session lives or not. When the main node is detached,
 * what is prepared is committed, but only once the child is gone that might have decided otherwise.
 *
 * With snapshot_isolation no snapshot is taken in a database where a commit may be half done, until
 * a round has found that nothing of it is left; so it is at the start, and when a child has died.
 *
 * One question at a time over one connection, node by node; again at once when a child has ended,
 * and seldom else. Invariant: nothing is done to a transaction whose name is not ours.
 * Source: PostgreSQL's manual, "PREPARE TRANSACTION" and view "pg_prepared_xacts".
 */
#include "failover.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "config/config.h"
#include "ipc/gate.h"
#include "ipc/shared.h"
#include "os/ask.h"
#include "os/clock.h"
#include "proc/tls.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ITEMS_MAX = 256, GID_BYTES = 208, DATABASE_BYTES = 64, TICK_MS = 1000, SELDOM = 30 };
enum { ASK_LIMIT_MS = 5000 };

/* A transaction that is prepared somewhere. */
struct item {
    char gid[GID_BYTES];
    char database[DATABASE_BYTES];
    int64_t xid;
    int main_id; /* who decides */
    int node_id; /* where it is */
    int64_t pid; /* of the child that has begun it */
};

enum task { TASK_LIST, TASK_STATUS, TASK_END };

struct settler {
    struct failover *f;
    struct ask *ask;
    struct io_timer timer;
    struct io_timer turn; /* the next question: not from within the answer to the last one */
    enum task task;
    bool commits;  /* END: so; else rolls back */
    uint32_t node; /* that is listed */
    uint32_t next; /* of the items */
    uint32_t count;
    uint32_t ticks;    /* since the last round */
    uint64_t children; /* who they were then */
    bool busy;
    uint64_t owed; /* by the gates, when the round began (ipc/gate.h) */
    bool warned;   /* the log, that it could not be found out */
    bool clean;    /* all nodes were listed, and nothing is left of anybody who is dead */
    char sql[GID_BYTES + 32]; /* what is asked now */
    struct item items[ITEMS_MAX];
};

static void step(void *ctx);

static void
step_soon(struct settler *t)
{
    io_timer_start(t->f->proc->io, &t->turn, 0, step, t);
}

/* ---- questions --------------------------------------------------------------------------------
 */

static void
ask(struct settler *t, int node_id, const char *database, const char *sql)
{
    const struct config *cfg = t->f->proc->config;
    const struct config_backend *backend = &cfg->backends[node_id];
    struct ask_target target = {
        .host = backend->hostname,
        .port = (uint16_t)backend->port,
        .user = cfg->sr_check_user,
        .password = proc_password(t->f->passwords, cfg->sr_check_user, cfg->sr_check_password),
        .database = database != NULL ? database : cfg->sr_check_database,
        .application_name = "pgpool failover",
        .tls = proc_ask_tls(cfg)};

    ask_set_target(t->ask, &target);
    ask_question(t->ask, sql, ASK_LIMIT_MS);
}

static bool
is_alive(int64_t pid)
{
    return pid > 0 && pid <= INT32_MAX && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

/* ---- a round ----------------------------------------------------------------------------------
 */

/* "pgpool SYSTEM XID MAIN NODE PID" */
static bool
parse_gid(const char *gid, struct item *item)
{
    uint64_t system;
    int end = 0;

    if (strlen(gid) >= sizeof(item->gid) ||
        sscanf(gid, "pgpool %" SCNu64 " %" SCNd64 " %d %d %" SCNd64 "%n", &system, &item->xid,
               &item->main_id, &item->node_id, &item->pid, &end) != 5 ||
        gid[end] != '\0' || item->xid <= 0)
        return false;
    str_copy(item->gid, sizeof(item->gid), gid);
    return true;
}

static bool
is_a_child(const struct settler *t, int64_t pid)
{
    struct shared *shared = t->f->proc->shared;

    for (uint32_t n = 0; n < shared_layout(shared)->child_slots; n++) {
        if (atomic_load(&shared_proc_of_child(shared, n)->pid) == pid)
            return pid > 0;
    }
    return false;
}

static void
take_list(struct settler *t, const struct ask_rows *rows)
{
    log_debug("node %u has %u prepared transactions", t->node, ask_row_count(rows));
    for (uint32_t n = 0; n < ask_row_count(rows) && t->count < ITEMS_MAX; n++) {
        struct item *item = &t->items[t->count];
        if (!parse_gid(ask_value(rows, n, 0), item) || item->node_id != (int)t->node ||
            strlen(ask_value(rows, n, 1)) >= sizeof(item->database))
            continue;
        str_copy(item->database, sizeof(item->database), ask_value(rows, n, 1));
        t->clean &= is_a_child(t, item->pid);
        t->count++;
    }
    t->clean &= t->count < ITEMS_MAX;
}

static void
end_item(struct settler *t)
{
    bool commits = t->commits;
    const struct item *item = &t->items[t->next];

    log_info("the transaction \"%s\", prepared on node %d, is %s", item->gid, item->node_id,
             commits ? "committed" : "rolled back");
    snprintf(t->sql, sizeof(t->sql), "%s PREPARED '%s'", commits ? "COMMIT" : "ROLLBACK",
             item->gid);
    ask(t, item->node_id, item->database, t->sql);
}

static void
take_status(struct settler *t, const char *status)
{
    if (strcmp(status, "committed") == 0 || strcmp(status, "aborted") == 0) {
        t->task = TASK_END;
        t->commits = status[0] == 'c';
    } else {
        t->next++;
    }
    step_soon(t);
}

static void
look_at_item(struct settler *t)
{
    const struct item *item = &t->items[t->next];

    if (failover_copies_has(t->f, item->main_id)) {
        t->task = TASK_STATUS;
        snprintf(t->sql, sizeof(t->sql), "SELECT pg_catalog.txid_status(%" PRId64 ")", item->xid);
        ask(t, item->main_id, NULL, t->sql);
        return;
    }
    if (!is_alive(item->pid)) {
        t->task = TASK_END;
        t->commits = true;
    } else {
        t->next++;
    }
    step_soon(t);
}

static void
list_node(struct settler *t)
{
    t->task = TASK_LIST;
    ask(t, (int)t->node, NULL,
        "SELECT gid, database FROM pg_catalog.pg_prepared_xacts WHERE gid LIKE 'pgpool %'");
}

static void
step(void *ctx)
{
    struct settler *t = ctx;
    uint32_t nodes = t->f->proc->config->backend_count;

    if (t->task == TASK_LIST) {
        while (t->node < nodes && !failover_copies_has(t->f, (int)t->node))
            t->node++;
        if (t->node < nodes) {
            list_node(t);
            return;
        }
        t->task = TASK_STATUS;
    }
    if (t->task == TASK_END) {
        end_item(t);
        return;
    }
    if (t->next < t->count) {
        look_at_item(t);
        return;
    }
    t->busy = false;
    ask_close(t->ask);
    if (!t->clean || t->owed == 0)
        return;
    gates_settled(t->f->proc->gates, t->owed);
    t->warned = false;
}

static void
answered(void *ctx, const struct ask_rows *rows)
{
    struct settler *t = ctx;

    switch (t->task) {
    case TASK_LIST:
        take_list(t, rows);
        t->node++;
        step_soon(t);
        break;
    case TASK_STATUS:
        take_status(t, ask_value(rows, 0, 0));
        break;
    case TASK_END:
        t->task = TASK_STATUS;
        t->next++;
        step_soon(t);
        break;
    }
}

static void
failed(void *ctx, const struct err *err, bool asked)
{
    struct settler *t = ctx;

    if (!asked)
        return;
    log_debug("prepared transactions: %s", err->message);
    if (t->task == TASK_STATUS && strcmp(err->sqlstate, "22023") == 0) {
        take_status(t, "aborted"); /* lost in a crash: what is committed is on the disk first */
        return;
    }
    if (t->owed != 0 && !t->warned)
        log_warning("statements wait until all nodes have told what is prepared: %s", err->message);
    t->warned |= t->owed != 0;
    t->clean = false;
    if (t->task == TASK_LIST)
        t->node++;
    else
        t->next++;
    if (t->task == TASK_END && strcmp(err->sqlstate, "42704") != 0)
        log_warning("a prepared transaction could not be ended: %s", err->message);
    if (t->task == TASK_END)
        t->task = TASK_STATUS;
    step_soon(t);
}

/* ---- when --------------------------------------------------------------------------------------
 */

static uint64_t
who_are_children(const struct settler *t)
{
    struct shared *shared = t->f->proc->shared;
    uint64_t sum = 0;

    for (uint32_t n = 0; n < shared_layout(shared)->child_slots; n++) {
        int64_t pid = atomic_load(&shared_proc_of_child(shared, n)->pid);
        sum = sum * 31 + (uint64_t)pid;
    }
    return sum;
}

static void
tick(void *ctx)
{
    struct settler *t = ctx;
    uint64_t children = who_are_children(t);
    uint64_t owed = t->f->proc->gates != NULL ? gates_owe(t->f->proc->gates) : 0;
    bool left = t->count > 0 || owed != 0; /* by the round before */

    io_timer_start(t->f->proc->io, &t->timer, TICK_MS, tick, t);
    t->ticks++;
    if (children != t->children && t->children != 0)
        failover_sequences_doubt(t->f, NULL); /* one may have died in the middle of something */
    if (t->busy || (children == t->children && !left && t->ticks < SELDOM))
        return;
    t->children = children;
    t->ticks = t->node = t->next = t->count = 0;
    t->owed = owed;
    t->clean = true;
    t->task = TASK_LIST;
    t->busy = true;
    step_soon(t);
}

void
failover_settle_soon(struct failover *f)
{
    f->settler->ticks = SELDOM;
}

void
failover_settle_begin(struct failover *f)
{
    static const struct ask_ops ops = {answered, failed};
    struct settler *t = xcalloc(1, sizeof(*t));

    t->f = f;
    t->ask = ask_new(f->proc->io, f->dns, &ops, t);
    t->ticks = SELDOM;
    f->settler = t;
    io_timer_start(f->proc->io, &t->timer, 0, tick, t);
}

void
failover_settle_end(struct failover *f)
{
    struct settler *t = f->settler;

    if (t == NULL)
        return;
    io_timer_stop(&t->timer);
    io_timer_stop(&t->turn);
    ask_free(t->ask);
    free(t);
    f->settler = NULL;
}

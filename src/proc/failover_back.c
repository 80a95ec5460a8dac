/*
 * Native replication: a node that is detached comes back.
 *
 * At an administrator's command: recovered (a base backup of the main node, that follows its WAL
 * while clients work, and then is promoted), or attached as it is. In both, writes are held before
 * anything is believed: no transaction begins at any child, and those that are open end. When
 * nothing writes at the main node any more, the node is promoted, if it was rebuilt, and compared
 * with the main node by `pgpool compare`; only when that finds all equal it is a copy. That is
 * published while writes are held, so that every child knows of it before the next write.
 *
 * Invariants: one node at a time; how long writes are held is bounded by recovery_timeout, and they
 * go on whatever happens, also when this process is killed: its successor lets them go.
 */
#include "compare.h"
#include "failover.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "config/config.h"
#include "inspect/left.h"
#include "ipc/shared.h"
#include "os/ask.h"
#include "os/clock.h"
#include "os/run.h"
#include "proc/tls.h"
#include "session/session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOOK_MS = 20,
    ASK_HOLD_MS = 300,
    ASK_LIMIT_MS = 10 * 1000,
    SEEN_LIMIT_MS = 15 * 1000, /* for the lag process to find it */
    TOLD_MAX = 100,            /* lines of compare's */
};

enum back_phase {
    BACK_REBUILDS, /* it is made a standby of the main node */
    BACK_PINNED,   /* sessions have on the copies what it would lack */
    BACK_HOLDS,    /* the parent is asked to hold writes, and children to end theirs */
    BACK_SETTLES,  /* the main node is asked whether anybody writes there */
    BACK_LISTS,    /* ... for its databases, */
    BACK_DRAWS,    /* ... and to say in its WAL where the sequences of each stand */
    BACK_PROMOTES, /* the node becomes a server of its own */
    BACK_ASKS,     /* ... and is asked what it is */
    BACK_COMPARES,
    BACK_SEEN, /* the lag process is to know that it answers */
};

struct failover_back {
    struct failover *f;
    int node_id;
    int main_id;
    uint32_t request;
    enum back_phase phase;
    struct recovery *engine; /* NULL: it is compared as it is */
    struct ask *ask;
    struct run *compare;
    struct buf databases; /* their names, each ended by a zero byte */
    size_t database;      /* where the one stands whose turn it is */
    struct io_timer timer;
    struct io_timer deadline;
    int64_t since_ns;           /* of the phase */
    int64_t asked_ns;           /* the parent or the lag process, last */
    int64_t held_ns;            /* since when writes are held; 0: not yet */
    uint32_t told;              /* lines */
    uint32_t steps;             /* lines of progress that compare has said */
    char first[RUN_LINE_BYTES]; /* that compare has found */
    char last[RUN_LINE_BYTES];
};

static const char settled[] =
    "SELECT (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL"
    " AND backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()),"
    " (SELECT count(*) FROM pg_catalog.pg_prepared_xacts WHERE gid LIKE 'pgpool %')";
static const char databases[] = "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn";
/* The WAL is ahead of a sequence by up to 32 values, and so is a standby of it. This leaves the
 * value as it is. One that was never drawn from stands in the WAL as it is, and has no value here.
 */
static const char sequences[] =
    "SELECT pg_catalog.count(pg_catalog.setval(oid, value)) FROM (SELECT oid,"
    " pg_catalog.pg_sequence_last_value(oid) AS value FROM pg_catalog.pg_class"
    " WHERE relkind = 'S' AND relpersistence = 'p') AS s WHERE value IS NOT NULL";
static const char what_it_is[] = "SELECT pg_catalog.pg_is_in_recovery(), count(*), min(gid)"
                                 " FROM pg_catalog.pg_prepared_xacts WHERE gid LIKE 'pgpool %'";

/* ---- words and the end ------------------------------------------------------------------------
 */

static void
progress(struct failover_back *b, const char *words)
{
    log_info("node %d: %s", b->node_id, words);
    failover_tell_progress(b->f, b->request, words);
}

static void
enter(struct failover_back *b, enum back_phase phase)
{
    b->phase = phase;
    b->since_ns = clock_monotonic_ns();
}

/* The last that its caller does. sqlstate: NULL when it is used. */
static void
end(struct failover_back *b, const char *sqlstate, const char *words)
{
    struct failover *f = b->f;
    char copy[PLAN_TEXT_BYTES];

    str_copy(copy, sizeof(copy), words);
    if (b->held_ns != 0)
        log_info("writes were held for %.3f s",
                 (double)(clock_monotonic_ns() - b->held_ns) / (double)NS_PER_S);
    if (sqlstate != NULL)
        log_warning("node %d does not come back: %s", b->node_id, copy);
    failover_hold_writes(f, false);
    failover_answer(f, b->request, sqlstate, copy);
    failover_back_end(f);
}

static void fail(struct failover_back *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void
fail(struct failover_back *b, const char *fmt, ...)
{
    char words[PLAN_TEXT_BYTES];
    va_list args;

    va_start(args, fmt);
    vsnprintf(words, sizeof(words), fmt, args);
    va_end(args);
    end(b, "58000", words);
}

void
failover_back_end(struct failover *f)
{
    struct failover_back *b = f->back;

    if (b == NULL)
        return;
    f->back = NULL;
    recovery_stop(b->engine);
    ask_free(b->ask);
    run_free(b->compare);
    buf_free(&b->databases);
    io_timer_stop(&b->timer);
    io_timer_stop(&b->deadline);
    free(b);
}

/* Is the main node still the one? */
static bool
is_main_there(const struct failover_back *b)
{
    return failover_copies_main(b->f) == b->main_id;
}

/* ---- the hold ---------------------------------------------------------------------------------
 */

static void
ask_parent(void *ctx)
{
    struct failover *f = ctx;
    struct inbox_msg msg = {.kind = INBOX_HOLD};

    msg.hold.token = f->hold.token;
    msg.hold.request.verb = f->hold.wanted ? HOLD_WRITES : HOLD_UNWRITES;
    proc_send(f->proc, SLOT_PARENT, &msg);
    io_timer_start(f->proc->io, &f->hold.again, ASK_HOLD_MS, ask_parent, f);
}

void
failover_hold_writes(struct failover *f, bool wanted)
{
    f->hold.wanted = wanted;
    f->hold.token++;
    ask_parent(f);
}

void
failover_hold_answered(struct failover *f, const struct inbox_msg *msg)
{
    struct failover_back *b = f->back;

    if (msg->hold_done.token != f->hold.token)
        return;
    io_timer_stop(&f->hold.again);
    if (f->hold.wanted && !msg->hold_done.done && b != NULL && b->phase == BACK_HOLDS)
        fail(b, "writes cannot be held: %s", msg->hold_done.words);
}

/* ---- questions --------------------------------------------------------------------------------
 */

static void look(void *ctx);

static void
look_later(struct failover_back *b)
{
    io_timer_start(b->f->proc->io, &b->timer, LOOK_MS, look, b);
}

/* database: NULL for the one that is always asked. */
static void
ask_in(struct failover_back *b, int node_id, const char *database, const char *sql)
{
    const struct config *cfg = b->f->proc->config;
    const struct config_backend *backend = &cfg->backends[node_id];
    bool own = cfg->recovery_user[0] != '\0';
    const char *user = own ? cfg->recovery_user : cfg->sr_check_user;
    struct ask_target target = {
        .host = backend->hostname,
        .port = (uint16_t)backend->port,
        .user = user,
        .password = proc_password(b->f->passwords, user,
                                  own ? cfg->recovery_password : cfg->sr_check_password),
        .database = database != NULL ? database
                    : own            ? cfg->recovery_database
                                     : cfg->sr_check_database,
        .application_name = "pgpool recovery",
        .tls = proc_ask_tls(cfg)};

    ask_set_target(b->ask, &target);
    ask_question(b->ask, sql, ASK_LIMIT_MS);
}

static void
ask_node(struct failover_back *b, int node_id, const char *sql)
{
    ask_in(b, node_id, NULL, sql);
}

static void compare(struct failover_back *b);

/* The next database's sequences; behind all of them the node has what there is. */
static void
draw(struct failover_back *b)
{
    const char *name = (const char *)b->databases.data + b->database;

    if (b->database == b->databases.len) {
        enter(b, BACK_PROMOTES);
        recovery_promote(b->engine);
        return;
    }
    b->database += strlen(name) + 1;
    enter(b, BACK_DRAWS);
    ask_in(b, b->main_id, name, sequences);
}

static void
hear_databases(struct failover_back *b, const struct ask_rows *rows)
{
    buf_clear(&b->databases);
    b->database = 0;
    for (uint32_t n = 0; n < ask_row_count(rows); n++) {
        const char *name = ask_value(rows, n, 0);
        buf_add(&b->databases, name, strlen(name) + 1);
    }
    draw(b);
}

static void
hear_settled(struct failover_back *b, const struct ask_rows *rows)
{
    bool writers = strcmp(ask_value(rows, 0, 0), "0") != 0;
    bool prepared = strcmp(ask_value(rows, 0, 1), "0") != 0;

    if (prepared)
        failover_settle_soon(b->f);
    if (writers || prepared) {
        str_copy(b->last, sizeof(b->last),
                 prepared ? "transactions are left prepared on the main node"
                          : "somebody writes at the main node, not through pgpool");
        look_later(b);
        return;
    }
    b->last[0] = '\0';
    if (b->engine != NULL) {
        enter(b, BACK_LISTS);
        ask_node(b, b->main_id, databases);
        return;
    }
    enter(b, BACK_ASKS);
    ask_node(b, b->node_id, what_it_is);
}

/* What is left prepared would be ended later, and nothing compares it. */
static void
hear_what_it_is(struct failover_back *b, const struct ask_rows *rows)
{
    if (ask_value(rows, 0, 0)[0] != 'f')
        fail(b, "it is a standby: recover it (pcp_recovery_node)");
    else if (strcmp(ask_value(rows, 0, 1), "0") != 0)
        fail(b, "%s transactions are prepared there, as '%.100s': roll them back, or recover it",
             ask_value(rows, 0, 1), ask_value(rows, 0, 2));
    else
        compare(b);
}

static void
answered(void *ctx, const struct ask_rows *rows)
{
    struct failover_back *b = ctx;

    if (b->phase == BACK_SETTLES)
        hear_settled(b, rows);
    else if (b->phase == BACK_LISTS)
        hear_databases(b, rows);
    else if (b->phase == BACK_DRAWS)
        draw(b);
    else
        hear_what_it_is(b, rows);
}

static void
failed(void *ctx, const struct err *err, bool asked)
{
    struct failover_back *b = ctx;

    if (asked)
        fail(b, "%s", err->message);
}

/* ---- compare ----------------------------------------------------------------------------------
 */

/* How far it is, and where; what it finds begins otherwise, or says "error". */
static bool
is_progress(const char *line)
{
    return strncmp(line, "database ", 9) == 0 ||
           (strncmp(line, "pgpool: ", 8) == 0 && strncmp(line + 8, "error: ", 7) != 0);
}

/* A cluster of many tables has many lines of progress, which must not keep others from being told.
 */
static void
on_line(void *ctx, const char *text)
{
    struct failover_back *b = ctx;
    bool is_found = !is_progress(text);

    str_copy(b->last, sizeof(b->last), text);
    if (b->first[0] == '\0' && is_found)
        str_copy(b->first, sizeof(b->first), text);
    if (is_found ? b->told++ < TOLD_MAX : b->steps++ < TOLD_MAX)
        progress(b, text);
}

static void
on_compared(void *ctx, const struct run_result *result)
{
    struct failover_back *b = ctx;
    char how[80];

    run_free(b->compare);
    b->compare = NULL;
    if (result->end == RUN_EXITED && result->code == COMPARE_DIFFERENT) {
        fail(b, "it is not equal to node %d: %.60s: %.120s", b->main_id, b->last, b->first);
        return;
    }
    if (!run_succeeded(result)) {
        run_result_text(result, how, sizeof(how));
        fail(b, "pgpool compare %s: %.60s: %.120s", how, b->last, b->first);
        return;
    }
    enter(b, BACK_SEEN);
    look(b);
}

static void
compare(struct failover_back *b)
{
    static const struct run_ops ops = {on_line, on_compared};
    const struct proc_files *files = b->f->proc->files;
    char nodes[48];
    const char *argv[] = {"/proc/self/exe", "-f", files->config, nodes,
                          "compare",        NULL, NULL,          NULL};
    struct err err;

    snprintf(nodes, sizeof(nodes), "--nodes=%d,%d", b->main_id, b->node_id);
    if (files->pool_key[0] != '\0') {
        argv[5] = "-k";
        argv[6] = files->pool_key;
    }
    enter(b, BACK_COMPARES);
    b->first[0] = b->last[0] = '\0';
    progress(b, "it is compared with the main node");
    if (run_start(b->f->proc->io, &(struct run_options){.ops = &ops, .argv = argv}, b, &b->compare,
                  &err) != 0)
        fail(b, "%s", err.message);
}

/* ---- steps ------------------------------------------------------------------------------------
 */

static void
attach(struct failover_back *b)
{
    char words[64];

    if (!is_main_there(b)) {
        fail(b, "another node is the main one now");
        return;
    }
    snprintf(words, sizeof(words), "it was compared with node %d", b->main_id);
    if (!failover_copies_attach(b->f, b->node_id, words))
        fail(b, "the status file could not be written");
    else
        end(b, NULL, "it is equal to the main node, and is used");
}

/* Clients that come first behind the hold would wait until the lag process has found it, and
 * whoever still calls it dead would have it detached again. */
static void
wait_until_seen(struct failover_back *b)
{
    struct inbox_msg msg = {.kind = INBOX_NODE_FAILED};
    int64_t now_ns = clock_monotonic_ns();
    struct failover *f = b->f;

    area_read(shared_freshness(f->proc->shared), &f->seen);
    if ((uint32_t)b->node_id < f->seen.node_count && f->seen.nodes[b->node_id].reachable &&
        !f->called_dead[b->node_id]) {
        attach(b);
        return;
    }
    if (now_ns - b->since_ns > SEEN_LIMIT_MS * NS_PER_MS) {
        fail(b, "it is not seen to answer");
        return;
    }
    if (now_ns - b->asked_ns > ASK_HOLD_MS * NS_PER_MS) {
        b->asked_ns = now_ns;
        msg.node.node_id = b->node_id;
        str_copy(msg.node.words, sizeof(msg.node.words), "it is asked whether it answers");
        proc_send(f->proc, SLOT_LAG, &msg);
        failover_hurry(f, b->node_id);
    }
    look_later(b);
}

static void
held_too_long(void *ctx)
{
    static const char *const what[] = {
        [BACK_HOLDS] = "transactions are still open, or sessions have temporary objects "
                       "(see client_idle_limit_in_recovery)",
        [BACK_LISTS] = "the main node did not tell its databases",
        [BACK_DRAWS] = "the main node did not write down its sequences",
        [BACK_PROMOTES] = "the node was still being promoted",
        [BACK_ASKS] = "it did not answer",
        [BACK_COMPARES] = "the nodes were still being compared",
        [BACK_SEEN] = "it was not found to answer",
    };
    struct failover_back *b = ctx;

    fail(b, "writes were held for recovery_timeout, and go on: %s",
         b->phase == BACK_SETTLES ? b->last : what[b->phase]);
}

static void
hold(struct failover_back *b)
{
    int64_t limit_ms = b->f->proc->config->recovery_timeout_ms;

    enter(b, BACK_HOLDS);
    b->held_ns = b->since_ns;
    if (limit_ms > 0)
        io_timer_start(b->f->proc->io, &b->deadline, limit_ms, held_too_long, b);
    progress(b, "writes are held until it is equal to the main node");
    failover_hold_writes(b->f, true);
    look_later(b);
}

/* To hold others for their sake would be in vain: they may go on for long. Where those who are
 * silent are ended, that begins with the hold. */
static void
wait_for_pinned(struct failover_back *b)
{
    const struct config *cfg = b->f->proc->config;
    int64_t silent_ms = cfg->client_idle_limit_in_recovery_ms;
    int64_t limit_ms = silent_ms != 0 ? MAX(silent_ms, 0) : cfg->recovery_timeout_ms;
    uint32_t count = inspect_keeping(b->f->proc->shared, session_pins_copies);
    bool late = (limit_ms > 0 || silent_ms != 0) &&
                clock_monotonic_ns() - b->since_ns >= limit_ms * NS_PER_MS;
    char words[128];

    if (count == 0 || (late && silent_ms != 0)) {
        hold(b);
    } else if (late) {
        fail(b,
             "%u sessions have temporary objects or the like, which it would lack (SHOW "
             "pool_sessions): end them, or set client_idle_limit_in_recovery",
             count);
    } else {
        if (b->told == 0) {
            snprintf(words, sizeof(words),
                     "waiting for %u sessions with temporary objects or the "
                     "like",
                     count);
            progress(b, words);
            b->told = 1;
        }
        look_later(b);
    }
}

static void
look(void *ctx)
{
    struct failover_back *b = ctx;

    switch (b->phase) {
    case BACK_PINNED:
        wait_for_pinned(b);
        break;
    case BACK_HOLDS:
        if (!holds_writes(shared_holds(b->f->proc->shared), NULL) ||
            inspect_in_the_way(b->f->proc->shared) > 0) {
            look_later(b);
            break;
        }
        enter(b, BACK_SETTLES);
        ask_node(b, b->main_id, settled);
        break;
    case BACK_SETTLES:
        ask_node(b, b->main_id, settled);
        break;
    case BACK_SEEN:
        wait_until_seen(b);
        break;
    default:
        break;
    }
}

/* ---- the rebuilding ---------------------------------------------------------------------------
 */

static void
on_progress(void *ctx, const char *words)
{
    progress(ctx, words);
}

static void
begin_second_stage(struct failover_back *b)
{
    enter(b, BACK_PINNED);
    look_later(b);
}

static void
on_ready(void *ctx)
{
    begin_second_stage(ctx);
}

static void
on_ended(void *ctx, enum plan_result result, const char *words)
{
    struct failover_back *b = ctx;

    if (result != PLAN_DONE) {
        fail(b, "%s", words);
        return;
    }
    enter(b, BACK_ASKS);
    ask_node(b, b->node_id, what_it_is);
}

void
failover_back_begin(struct failover *f, int node_id, uint32_t request, bool rebuild)
{
    static const struct ask_ops ask_ops = {answered, failed};
    static const struct recovery_ops ops = {on_progress, on_ready, on_ended};
    struct failover_rebuilding what = {node_id, failover_copies_main(f), false, true};
    struct failover_back *b;

    if (f->back != NULL) {
        failover_answer(f, request, "55000", "another node is being recovered or attached");
        return;
    }
    if (f->shared) {
        failover_answer(f, request, "0A000",
                        "with use_watchdog no node of native replication comes back: the other "
                        "pgpools would write meanwhile");
        return;
    }
    f->back = b = xcalloc(1, sizeof(*b));
    b->f = f;
    b->node_id = node_id;
    b->main_id = what.primary_id;
    b->request = request;
    b->ask = ask_new(f->proc->io, f->dns, &ask_ops, b);
    if (rebuild) {
        enter(b, BACK_REBUILDS);
        progress(b, "its recovery has begun");
        b->engine = failover_rebuild(f, &what, &ops, b);
    } else {
        progress(b, "it is to be compared with the main node");
        begin_second_stage(b);
    }
}

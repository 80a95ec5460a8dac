/*
 * Native replication: sequences that do not stand at the same number everywhere.
 *
 * Numbers are drawn on every node by count. Where a connection ends between the main node's draw
 * and a copy's, the copy stays behind from then on, and would give a number twice when it becomes
 * the main node. Children tell in which databases that may have happened (INBOX_SEQUENCES); when a
 * child has ended, any database may be one. A round asks all nodes for a checksum of what their
 * sequences stand at. Where it is not the same, the gate (session/copies_gate.c) is taken alone, at
 * the main node first, as a session that writes takes it: nobody draws then, so what still differs
 * is what was lost, and setval() brings all to the one that is furthest on. What the ended
 * connections had under way may come to its end behind the first round, so there are several.
 *
 * One question at a time, each node over a connection of its own, which is closed when the round
 * ends, and the gate with it. Invariant: setval() runs only while the gate is held on all nodes.
 * Source: PostgreSQL's manual, "Sequence Manipulation Functions" and view "pg_sequences".
 */
#include "failover.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "config/config.h"
#include "ipc/gate.h"
#include "os/ask.h"
#include "os/clock.h"
#include "proc/tls.h"
#include "sql/literal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    DATABASES_MAX = 64,
    DATABASE_BYTES = 64,
    ROUNDS = 3, /* of a doubt */
    TICK_MS = 500,
    ASK_LIMIT_MS = 10000,
    AGAIN_MS = 5000, /* the next round; behind one that was in vain, twice as long as before that */
    AGAIN_MAX_MS = 5 * 60 * 1000,
};

/* It waits for the gate no longer than that: who comes behind it waits as well. */
#define OPTIONS "-c search_path= -c lock_timeout=500"

static const char checksum[] =
    "SELECT pg_catalog.md5(pg_catalog.string_agg(pg_catalog.format('%I.%I %s ', schemaname,"
    " sequencename, last_value), '' ORDER BY schemaname, sequencename))"
    " FROM pg_catalog.pg_sequences WHERE schemaname !~ '^pg_'";
static const char list[] =
    "SELECT pg_catalog.format('%I.%I', schemaname, sequencename), last_value, increment_by, cycle"
    " FROM pg_catalog.pg_sequences WHERE schemaname !~ '^pg_'"
    " ORDER BY pg_catalog.format('%I.%I', schemaname, sequencename) COLLATE \"C\"";
static const char databases[] =
    "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate";

/* A database where something may differ. */
struct doubted {
    char name[DATABASE_BYTES];
    int64_t due_ns;
    uint32_t rounds; /* that are left */
    uint32_t again_ms;
};

/* A sequence as a node has it. */
struct sequence {
    const char *name; /* with its schema, quoted */
    bool called;
    int64_t last; /* while called */
    bool down;
    bool around; /* CYCLE: none is further on than another */
};

struct node {
    struct sequencer *q;
    struct ask *ask;
    int node_id;
    char sum[64];
    struct sequence *sequences;
    uint32_t count;
};

enum task { TASK_SUMS, TASK_GATES, TASK_LISTS, TASK_SETS, TASK_DATABASES };

struct sequencer {
    struct failover *f;
    struct io_timer timer;
    struct io_timer turn; /* the next question: not from within the answer to the last one */
    struct doubted doubted[DATABASES_MAX];
    uint32_t count;
    bool all;           /* databases are in doubt: which there are is to be asked, */
    int64_t all_due_ns; /* then */
    bool busy;
    bool warned; /* the log, that a round was in vain */
    enum task task;
    char database[DATABASE_BYTES];        /* of the round */
    struct node nodes[CLUSTER_NODES_MAX]; /* the main node first */
    uint32_t node_count;
    uint32_t at;  /* of the nodes */
    uint32_t set; /* of the main node's sequences */
    struct arena arena;
    struct buf sql;
};

static void step(void *ctx);

static void
step_soon(struct sequencer *q)
{
    io_timer_start(q->f->proc->io, &q->turn, 0, step, q);
}

/* ---- what is in doubt -------------------------------------------------------------------------
 */

static void
doubt(struct sequencer *q, const char *database)
{
    struct doubted *d = NULL;

    for (uint32_t n = 0; n < q->count && d == NULL; n++)
        d = strcmp(q->doubted[n].name, database) == 0 ? &q->doubted[n] : NULL;
    if (d == NULL && q->count < DATABASES_MAX)
        d = &q->doubted[q->count++];
    if (d == NULL || strlen(database) >= sizeof(d->name)) {
        log_warning("too many databases have sequences in doubt: \"%s\" is not looked at",
                    database);
        return;
    }
    str_copy(d->name, sizeof(d->name), database);
    d->rounds = ROUNDS;
    d->again_ms = AGAIN_MS;
    d->due_ns = clock_monotonic_ns();
}

void
failover_sequences_doubt(struct failover *f, const char *database)
{
    if (f->sequencer == NULL)
        return;
    if (database != NULL)
        doubt(f->sequencer, database);
    else
        f->sequencer->all = true;
}

static struct doubted *
next_due(struct sequencer *q)
{
    int64_t now_ns = clock_monotonic_ns();

    for (uint32_t n = 0; n < q->count; n++) {
        if (q->doubted[n].due_ns <= now_ns)
            return &q->doubted[n];
    }
    return NULL;
}

/* ---- a round ----------------------------------------------------------------------------------
 */

static void
end_round(struct sequencer *q)
{
    for (uint32_t n = 0; n < q->node_count; n++) {
        ask_free(q->nodes[n].ask);
        q->nodes[n].ask = NULL;
    }
    q->node_count = 0;
    q->busy = false;
    arena_reset(&q->arena);
    buf_free(&q->sql);
}

static void
end_well(struct sequencer *q)
{
    q->warned = false;
    for (uint32_t n = 0; q->task != TASK_DATABASES && n < q->count; n++) {
        struct doubted *d = &q->doubted[n];
        if (strcmp(d->name, q->database) != 0)
            continue;
        d->again_ms = AGAIN_MS;
        if (--d->rounds == 0)
            *d = q->doubted[--q->count];
        break;
    }
    end_round(q);
}

static void
fail(struct sequencer *q, const struct err *err)
{
    log_debug("sequences of \"%s\": %s", q->database, err->message);
    if (!q->warned && strcmp(err->sqlstate, "55P03") != 0)
        log_warning("whether sequences stand at the same number on all nodes was not found out; "
                    "it will be tried again: %s",
                    err->message);
    q->warned |= strcmp(err->sqlstate, "55P03") != 0;
    if (strcmp(err->sqlstate, "3D000") == 0)
        end_well(q); /* dropped since */
    else
        end_round(q);
}

static bool
same_sums(const struct sequencer *q)
{
    for (uint32_t n = 1; n < q->node_count; n++) {
        if (strcmp(q->nodes[n].sum, q->nodes[0].sum) != 0)
            return false;
    }
    return true;
}

static void
take_list(struct node *node, const struct ask_rows *rows)
{
    struct arena *arena = &node->q->arena;

    node->count = 0;
    node->sequences = arena_alloc(arena, (ask_row_count(rows) + 1) * sizeof(*node->sequences));
    for (uint32_t n = 0; n < ask_row_count(rows); n++) {
        struct sequence *s = &node->sequences[node->count++];
        const char *name = ask_value(rows, n, 0);
        s->name = arena_strndup(arena, name, strlen(name));
        s->called = !ask_is_null(rows, n, 1);
        s->last = s->called ? strtoll(ask_value(rows, n, 1), NULL, 10) : 0;
        s->down = ask_value(rows, n, 2)[0] == '-';
        s->around = ask_value(rows, n, 3)[0] == 't';
    }
}

static const struct sequence *
find(const struct node *node, const char *name)
{
    uint32_t low = 0;
    uint32_t high = node->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(node->sequences[middle].name, name);
        if (order == 0)
            return &node->sequences[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* Who is further on; of those that go around, the main node's. NULL: nobody has drawn. */
static const struct sequence *
furthest(const struct sequencer *q, const struct sequence *mine)
{
    const struct sequence *best = mine->called ? mine : NULL;

    for (uint32_t n = 1; n < q->node_count && !mine->around; n++) {
        const struct sequence *s = find(&q->nodes[n], mine->name);
        if (s != NULL && s->called &&
            (best == NULL || (mine->down ? s->last < best->last : s->last > best->last)))
            best = s;
    }
    return best;
}

/* The next node that one of its sequences is to be set at. False: there is none. */
static bool
next_to_set(struct sequencer *q)
{
    for (; q->set < q->nodes[0].count; q->set++, q->at = 0) {
        const struct sequence *mine = &q->nodes[0].sequences[q->set];
        const struct sequence *best = furthest(q, mine);
        for (; best != NULL && q->at < q->node_count; q->at++) {
            const struct sequence *s = find(&q->nodes[q->at], mine->name);
            if (s == NULL || (s->called && s->last == best->last))
                continue;
            log_info("sequence %s of \"%s\" on node %d is set to %" PRId64
                     ", where it stands on another node",
                     mine->name, q->database, q->nodes[q->at].node_id, best->last);
            buf_clear(&q->sql);
            buf_add_str(&q->sql, "SELECT pg_catalog.setval(");
            sql_add_literal(&q->sql, (struct sql_text){mine->name, (uint32_t)strlen(mine->name)});
            buf_printf(&q->sql, "::pg_catalog.regclass, %" PRId64 ")", best->last);
            return true;
        }
    }
    return false;
}

static const char *
question_of(struct sequencer *q)
{
    switch (q->task) {
    case TASK_SUMS:
        return checksum;
    case TASK_GATES:
        return "SELECT pg_catalog.pg_advisory_lock(" GATE_LOCK_NUMBERS ")";
    case TASK_LISTS:
        return list;
    case TASK_DATABASES:
        return databases;
    default:
        return buf_cstr(&q->sql);
    }
}

static void
step(void *ctx)
{
    struct sequencer *q = ctx;

    if (q->task == TASK_SETS && !next_to_set(q)) {
        end_well(q);
        return;
    }
    ask_question(q->nodes[q->at].ask, question_of(q), ASK_LIMIT_MS);
}

/* All nodes have answered: what comes next. */
static void
next_task(struct sequencer *q)
{
    q->at = 0;
    if (q->task == TASK_SUMS && same_sums(q)) {
        end_well(q);
        return;
    }
    q->task++;
    q->set = 0;
    step_soon(q);
}

static void
take_databases(struct sequencer *q, const struct ask_rows *rows)
{
    q->all = false;
    for (uint32_t n = 0; n < ask_row_count(rows); n++)
        doubt(q, ask_value(rows, n, 0));
    end_well(q);
}

static void
answered(void *ctx, const struct ask_rows *rows)
{
    struct node *node = ctx;
    struct sequencer *q = node->q;

    if (q->task == TASK_DATABASES) {
        take_databases(q, rows);
        return;
    }
    if (q->task == TASK_SUMS)
        str_copy(node->sum, sizeof(node->sum), ask_value(rows, 0, 0));
    else if (q->task == TASK_LISTS)
        take_list(node, rows);
    if (++q->at < q->node_count || q->task == TASK_SETS)
        step_soon(q);
    else
        next_task(q);
}

static void
failed(void *ctx, const struct err *err, bool asked UNUSED)
{
    struct node *node = ctx;

    fail(node->q, err);
}

/* ---- when --------------------------------------------------------------------------------------
 */

static void
open_node(struct sequencer *q, int node_id)
{
    static const struct ask_ops ops = {answered, failed};
    const struct config *cfg = q->f->proc->config;
    const struct config_backend *backend = &cfg->backends[node_id];
    struct node *node = &q->nodes[q->node_count++];
    struct ask_target target = {
        .host = backend->hostname,
        .port = (uint16_t)backend->port,
        .user = cfg->sr_check_user,
        .password = proc_password(q->f->passwords, cfg->sr_check_user, cfg->sr_check_password),
        .database = q->task == TASK_DATABASES ? cfg->sr_check_database : q->database,
        .application_name = "pgpool failover",
        .options = OPTIONS,
        .tls = proc_ask_tls(cfg)};

    *node = (struct node){.q = q, .node_id = node_id};
    node->ask = ask_new(q->f->proc->io, q->f->dns, &ops, node);
    ask_set_target(node->ask, &target);
}

static void
begin(struct sequencer *q, struct doubted *d)
{
    int main_id = failover_copies_main(q->f);

    if (main_id < 0)
        return;
    q->task = d == NULL ? TASK_DATABASES : TASK_SUMS;
    str_copy(q->database, sizeof(q->database), d != NULL ? d->name : "");
    if (d != NULL) {
        d->due_ns = clock_monotonic_ns() + d->again_ms * NS_PER_MS;
        d->again_ms = MIN(d->again_ms * 2, (uint32_t)AGAIN_MAX_MS);
    } else {
        q->all_due_ns = clock_monotonic_ns() + AGAIN_MS * NS_PER_MS;
    }
    open_node(q, main_id);
    for (uint32_t n = 0; d != NULL && n < q->f->proc->config->backend_count; n++) {
        if ((int)n != main_id && failover_copies_has(q->f, (int)n))
            open_node(q, (int)n);
    }
    q->at = 0;
    q->busy = true;
    step_soon(q);
}

static void
tick(void *ctx)
{
    struct sequencer *q = ctx;
    struct doubted *d = next_due(q);

    io_timer_start(q->f->proc->io, &q->timer, TICK_MS, tick, q);
    if (!q->busy && q->all && q->all_due_ns <= clock_monotonic_ns())
        begin(q, NULL);
    else if (!q->busy && d != NULL)
        begin(q, d);
}

void
failover_sequences_begin(struct failover *f)
{
    struct sequencer *q = xcalloc(1, sizeof(*q));

    q->f = f;
    arena_init(&q->arena, 0);
    q->all = true; /* whatever has ended pgpool may have left something */
    f->sequencer = q;
    io_timer_start(f->proc->io, &q->timer, TICK_MS, tick, q);
}

void
failover_sequences_end(struct failover *f)
{
    struct sequencer *q = f->sequencer;

    if (q == NULL)
        return;
    io_timer_stop(&q->timer);
    io_timer_stop(&q->turn);
    end_round(q);
    arena_fini(&q->arena);
    free(q);
    f->sequencer = NULL;
}

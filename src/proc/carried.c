/*
 * Rounds of questions about what subscribers carry (carried.h).
 *
 * A round asks each subscriber for the databases of its subscriptions, then the main node and these
 * subscribers about each database, each over a connection of its own, which is kept. When the main
 * node does not answer, what was known of the database stays: nobody can change its publications,
 * and what is written there has an end, too. A subscriber that does not answer carries nothing.
 * Invariants: one round at a time; the epoch of a database is noted before anybody is asked about
 * it; what a round has found out is published at once, at its end.
 */
#include "carried.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "catalog/catalog.h"
#include "cluster/carried.h"
#include "config/config.h"
#include "ipc/shared.h"
#include "ipc/wake.h"

#include <stdlib.h>
#include <string.h>

enum {
    LOOK_MS = 50, /* has DDL passed by */
    NO_PERIOD_MS = 10000,
    AGAIN_MS = 200, /* a round after which something is still to be known, and doubled, */
    QUESTION_MS = 10000,
};

enum { COL_KIND, COL_AT, COL_SLOT, COL_NAME, COL_PRINT, COL_OID, COL_FULL, COL_ALONE, COL_LEAVES };

static const char databases_question[] =
    "SELECT DISTINCT d.datname FROM pg_catalog.pg_subscription s"
    " JOIN pg_catalog.pg_database d ON d.oid = s.subdbid";

static const char tables_question[] =
#include "carried_sql.h"
    ;

/* One connection: to a node, about a database or (NULL) about which there are. */
struct asked {
    struct carried *c;
    struct place *place;
    int node_id;
    struct ask *ask;
    bool wanted; /* its answer is waited for */
};

/* A database. */
struct place {
    char name[CARRIED_NAME_BYTES];
    bool found; /* in this round */
    bool main_answered;
    uint32_t epoch;
    struct cluster_set subscribers;
    struct carried_book *book;
    struct asked *nodes[CLUSTER_NODES_MAX];
};

struct carried {
    struct proc *proc;
    struct dns *dns;
    const struct orphans_host *host;
    void *ctx;
    struct io_timer look;
    bool on;
    bool finding; /* the first half of a round */
    bool running;
    bool again; /* something has changed since it began */
    int main_id;
    int64_t began_ns;
    struct cluster_set reachable; /* as of the last look */
    struct asked *finders[CLUSTER_NODES_MAX];
    struct place *places[CARRIED_DATABASES_MAX];
    struct cluster_carried *now; /* what is published */
};

static void look(void *ctx);

static void
look_in(struct carried *c, int64_t delay_ms)
{
    io_timer_start(c->proc->io, &c->look, delay_ms, look, c);
}

static uint32_t
epoch_of(const struct carried *c, const char *database)
{
    return memo_epoch(shared_memo(c->proc->shared), catalog_group(database));
}

static bool
is_subscriber(const struct carried *c, int node_id)
{
    return node_id != c->main_id && cluster_set_has(&c->reachable, node_id);
}

/* ---- the end of a round -----------------------------------------------------------------------
 */

static void
publish(struct carried *c)
{
    struct area *area = shared_carried(c->proc->shared);

    c->now->main_id = c->main_id;
    memcpy(area_write_anew(area), c->now, carried_bytes(c->now));
    area_publish(area);
    wake_send_all(c->proc->wakes, c->proc->slot);
}

/* As it was before, with the epoch that it had. */
static void
keep(const struct cluster_carried *before, const char *name, struct cluster_carried *next)
{
    const struct carried_database *d = carried_find(before, name);
    struct carried_database *kept = &next->databases[next->database_count];

    if (d == NULL || next->database_count >= CARRIED_DATABASES_MAX ||
        next->table_count + d->count > CARRIED_TABLES_MAX)
        return;
    *kept = *d;
    kept->first = next->table_count;
    memcpy(next->tables + kept->first, before->tables + d->first,
           d->count * sizeof(next->tables[0]));
    next->table_count += d->count;
    next->database_count++;
}

static void
close_place(struct carried *c, struct place *p, struct cluster_carried *next)
{
    struct carried_database as = {.epoch = p->epoch};

    str_copy(as.name, sizeof(as.name), p->name);
    if (!p->main_answered)
        keep(c->now, p->name, next);
    else if (!carried_book_close(p->book, &as, next))
        log_warning("database \"%s\" has more tables than logical replication is balanced for: its "
                    "reads go to the main node",
                    p->name);
    carried_book_free(p->book);
    p->book = NULL;
}

static void
end_round(struct carried *c)
{
    const size_t head = offsetof(struct cluster_carried, databases);
    struct cluster_carried *next = xcalloc(1, sizeof(*next));
    bool same; /* as what is published: nobody need look */

    for (size_t n = 0; n < ARRAY_LEN(c->places); n++) {
        if (c->places[n] != NULL && c->places[n]->book != NULL)
            close_place(c, c->places[n], next);
    }
    same = carried_bytes(next) == carried_bytes(c->now) &&
           memcmp(next->databases, c->now->databases, carried_bytes(next) - head) == 0 &&
           next->database_count == c->now->database_count &&
           next->table_count == c->now->table_count;
    free(c->now);
    c->now = next;
    c->running = false;
    if (!same)
        publish(c);
    look_in(c, 0);
}

/* ---- asking -----------------------------------------------------------------------------------
 */

static void
ask(struct asked *a, const char *question)
{
    struct carried *c = a->c;
    struct ask_target target;

    a->wanted = true;
    if (!c->host->target(c->ctx, a->node_id, &target)) {
        a->wanted = false;
        return;
    }
    target.application_name = "pgpool carried";
    target.options = "-c search_path= -c default_transaction_read_only=on";
    if (a->place != NULL)
        target.database = a->place->name;
    ask_set_target(a->ask, &target);
    if (!ask_is_busy(a->ask))
        ask_question(a->ask, question, QUESTION_MS);
}

static bool
waits_for_places(const struct carried *c)
{
    for (size_t n = 0; n < ARRAY_LEN(c->places); n++) {
        for (int id = 0; c->places[n] != NULL && id < CLUSTER_NODES_MAX; id++) {
            if (c->places[n]->nodes[id] != NULL && c->places[n]->nodes[id]->wanted)
                return true;
        }
    }
    return false;
}

static const struct ask_ops ops;

static struct asked *
asked_new(struct carried *c, struct place *place, int node_id)
{
    struct asked *a = xcalloc(1, sizeof(*a));

    a->c = c;
    a->place = place;
    a->node_id = node_id;
    a->ask = ask_new(c->proc->io, c->dns, &ops, a);
    return a;
}

static void
asked_free(struct asked **a)
{
    if (*a != NULL)
        ask_free((*a)->ask);
    free(*a);
    *a = NULL;
}

static void
ask_place(struct carried *c, struct place *p)
{
    p->epoch = epoch_of(c, p->name);
    p->main_answered = false;
    p->book = carried_book_new();
    for (int id = 0; id < CLUSTER_NODES_MAX; id++) {
        if (id != c->main_id && !cluster_set_has(&p->subscribers, id)) {
            asked_free(&p->nodes[id]);
            continue;
        }
        if (p->nodes[id] == NULL)
            p->nodes[id] = asked_new(c, p, id);
        ask(p->nodes[id], tables_question);
    }
}

static void
drop_place(struct place **place)
{
    struct place *p = *place;

    for (int id = 0; id < CLUSTER_NODES_MAX; id++)
        asked_free(&p->nodes[id]);
    if (p->book != NULL)
        carried_book_free(p->book);
    free(p);
    *place = NULL;
}

/* The second half. */
static void
ask_places(struct carried *c)
{
    c->finding = false;
    for (size_t n = 0; n < ARRAY_LEN(c->places); n++) {
        if (c->places[n] != NULL && !c->places[n]->found)
            drop_place(&c->places[n]);
        if (c->places[n] != NULL)
            ask_place(c, c->places[n]);
    }
    if (!waits_for_places(c))
        end_round(c);
}

static void
go_on(struct carried *c)
{
    if (!c->running)
        return;
    if (!c->finding) {
        if (!waits_for_places(c))
            end_round(c);
        return;
    }
    for (int id = 0; id < CLUSTER_NODES_MAX; id++) {
        if (c->finders[id] != NULL && c->finders[id]->wanted)
            return;
    }
    ask_places(c);
}

/* ---- answers ----------------------------------------------------------------------------------
 */

static void
find_place(struct carried *c, const char *name, int node_id)
{
    struct place **free_one = NULL;

    if (strlen(name) >= CARRIED_NAME_BYTES)
        return;
    for (size_t n = 0; n < ARRAY_LEN(c->places); n++) {
        struct place *p = c->places[n];

        if (p == NULL) {
            free_one = free_one != NULL ? free_one : &c->places[n];
            continue;
        }
        if (strcmp(p->name, name) != 0)
            continue;
        p->found = true;
        cluster_set_add(&p->subscribers, node_id);
        return;
    }
    if (free_one == NULL)
        return; /* what is not known is not carried */
    *free_one = xcalloc(1, sizeof(**free_one));
    str_copy((*free_one)->name, sizeof((*free_one)->name), name);
    (*free_one)->found = true;
    cluster_set_add(&(*free_one)->subscribers, node_id);
}

static void
take_row(struct asked *a, const struct ask_rows *rows, uint32_t row)
{
    struct carried_row r = {
        .kind = ask_value(rows, row, COL_KIND)[0],
        .full = ask_value(rows, row, COL_FULL)[0] == 't',
        .alone = ask_value(rows, row, COL_ALONE)[0] == 't',
        .at = ask_value(rows, row, COL_AT),
        .slot = ask_value(rows, row, COL_SLOT),
        .name = ask_value(rows, row, COL_NAME),
        .print = ask_value(rows, row, COL_PRINT),
        .leaves = ask_value(rows, row, COL_LEAVES),
    };

    num_parse_u32(ask_value(rows, row, COL_OID), &r.oid);
    carried_book_add(a->place->book, a->node_id == a->c->main_id ? -1 : a->node_id, &r);
}

static void
answered(void *ctx, const struct ask_rows *rows)
{
    struct asked *a = ctx;
    bool wanted = a->wanted;

    a->wanted = false;
    for (uint32_t row = 0; wanted && row < ask_row_count(rows); row++) {
        if (a->place == NULL)
            find_place(a->c, ask_value(rows, row, 0), a->node_id);
        else if (a->place->book != NULL)
            take_row(a, rows, row);
    }
    if (wanted && a->place != NULL && a->node_id == a->c->main_id)
        a->place->main_answered = true;
    go_on(a->c);
}

static void
failed(void *ctx, const struct err *err, bool was_asked)
{
    struct asked *a = ctx;

    if (!was_asked)
        return;
    log_debug("node %d does not tell what it carries%s%s: %s", a->node_id,
              a->place != NULL ? " in database " : "", a->place != NULL ? a->place->name : "",
              err->message);
    a->wanted = false;
    go_on(a->c);
}

static const struct ask_ops ops = {answered, failed};

/* ---- rounds -----------------------------------------------------------------------------------
 */

static void
begin_round(struct carried *c)
{
    c->running = c->finding = true;
    c->again = false;
    c->began_ns = io_now_ns(c->proc->io);
    for (size_t n = 0; n < ARRAY_LEN(c->places); n++) {
        if (c->places[n] == NULL)
            continue;
        c->places[n]->found = false;
        memset(&c->places[n]->subscribers, 0, sizeof(c->places[n]->subscribers));
    }
    for (int id = 0; id < CLUSTER_NODES_MAX; id++) {
        if (!is_subscriber(c, id)) {
            asked_free(&c->finders[id]);
            continue;
        }
        if (c->finders[id] == NULL)
            c->finders[id] = asked_new(c, NULL, id);
        ask(c->finders[id], databases_question);
    }
    go_on(c);
}

/* Nobody is asked any more. */
static void
end_all(struct carried *c)
{
    for (int id = 0; id < CLUSTER_NODES_MAX; id++)
        asked_free(&c->finders[id]);
    for (size_t n = 0; n < ARRAY_LEN(c->places); n++) {
        if (c->places[n] != NULL)
            drop_place(&c->places[n]);
    }
    c->running = c->finding = false;
}

static bool
is_outdated(const struct carried *c)
{
    for (uint32_t n = 0; n < c->now->database_count; n++) {
        if (c->now->databases[n].epoch != epoch_of(c, c->now->databases[n].name))
            return true;
    }
    return false;
}

/* Nodes that have come or gone. A main node that is away is still the one that was asked. */
static bool
nodes_have_changed(struct carried *c)
{
    struct cluster_set reachable = {{0}};
    int main_id = c->host->primary(c->ctx);
    bool changed;

    for (int id = 0; id < (int)MIN(c->proc->config->backend_count, (uint32_t)CLUSTER_NODES_MAX);
         id++) {
        if (c->host->reachable(c->ctx, id))
            cluster_set_add(&reachable, id);
    }
    changed = memcmp(&reachable, &c->reachable, sizeof(reachable)) != 0 ||
              (main_id >= 0 && main_id != c->main_id);
    if (main_id >= 0 && main_id != c->main_id) {
        end_all(c);
        c->main_id = main_id;
        memset(c->now, 0, offsetof(struct cluster_carried, tables));
        publish(c);
    }
    c->reachable = reachable;
    return changed;
}

static void
look(void *ctx)
{
    struct carried *c = ctx;
    int64_t period_ms = c->proc->config->sr_check_period_ms;
    int64_t age_ms = (io_now_ns(c->proc->io) - c->began_ns) / NS_PER_MS;

    period_ms = period_ms > 0 ? period_ms : NO_PERIOD_MS;
    c->again |= nodes_have_changed(c);
    if (!c->running && c->main_id >= 0 &&
        (c->again || age_ms >= period_ms || (age_ms >= AGAIN_MS && is_outdated(c))))
        begin_round(c);
    look_in(c, LOOK_MS);
}

void
carried_look(struct carried *c)
{
    bool on = c->proc->config->backend_clustering_mode == CONFIG_MODE_LOGICAL_REPLICATION;

    if (on == c->on) {
        if (on)
            look_in(c, 0);
        return;
    }
    c->on = on;
    if (on) {
        look_in(c, 0);
        return;
    }
    io_timer_stop(&c->look);
    end_all(c);
}

struct carried *
carried_new(struct proc *p, struct dns *dns, const struct orphans_host *host, void *ctx)
{
    struct carried *c = xcalloc(1, sizeof(*c));

    c->proc = p;
    c->dns = dns;
    c->host = host;
    c->ctx = ctx;
    c->main_id = -1;
    c->now = xcalloc(1, sizeof(*c->now));
    carried_look(c);
    return c;
}

void
carried_free(struct carried *c)
{
    io_timer_stop(&c->look);
    end_all(c);
    free(c->now);
    free(c);
}

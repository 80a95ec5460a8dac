/*
 * Where a read may go in logical replication: to nodes that carry all tables that it reads.
 *
 * Called by lookup.c with the catalog's verdict on a statement, and by place.c for each unit. A
 * node is away for a statement when it does not carry one of its tables, or the database at all,
 * and for everything while what is known of the database is older than DDL that has passed by.
 * Invariants: the main node is never away; what is not known is away.
 */
#include "session/internal.h"

#include "cluster/carried.h"
#include "route/anywhere.h"

#include <string.h>

static const struct cluster_set everybody = {{UINT64_MAX, UINT64_MAX}};

_Static_assert(CLUSTER_NODES_MAX == 128, "everybody is");

static bool
is_on(const struct session *s)
{
    return s->host->carried != NULL && s->key != NULL;
}

/* NULL: nothing is carried, as far as anybody knows. */
static const struct carried_database *
database_of(struct session *s)
{
    const struct cluster_carried *all = s->host->carried;
    const struct carried_database *d = carried_find(all, pool_key_database(s->key));

    int primary_id = s->host->view->primary_id;

    if (d == NULL || (primary_id >= 0 && all->main_id != primary_id) ||
        d->epoch != lookup_scope(s)->epoch)
        return NULL;
    return d;
}

static void
leave_out(struct cluster_set *away, const struct cluster_set *nodes)
{
    for (size_t n = 0; n < ARRAY_LEN(away->bits); n++)
        away->bits[n] |= ~nodes->bits[n];
}

void
carried_note(struct session *s, const struct sql_statement *st, struct cluster_set *away)
{
    const struct carried_database *d;

    if (likely(!is_on(s)))
        return;
    d = database_of(s);
    if (d == NULL || !route_runs_anywhere(st)) {
        *away = everybody;
        return;
    }
    for (uint32_t n = 0; n < st->table_count; n++) {
        struct cluster_set nodes = {{0}};
        uint32_t oid = 0;

        if (catalog_table_oid(s->host->catalog, &s->scope, &st->tables[n], &oid) && oid != 0)
            nodes = carried_nodes(s->host->carried, d, oid);
        leave_out(away, &nodes);
    }
}

void
carried_exclude(struct session *s, const struct unit *u, struct cluster_set *exclude)
{
    const struct carried_database *d;
    int primary_id = s->host->view->primary_id;

    if (likely(!is_on(s)))
        return;
    d = database_of(s);
    leave_out(exclude, d != NULL ? &d->nodes : &(struct cluster_set){{0}});
    for (size_t n = 0; u != NULL && n < ARRAY_LEN(exclude->bits); n++)
        exclude->bits[n] |= u->away.bits[n];
    if (primary_id >= 0)
        exclude->bits[primary_id / 64] &= ~(UINT64_C(1) << (primary_id % 64));
}

bool
carried_at(struct session *s, const struct unit *u, int node_id)
{
    struct cluster_set exclude = {{0}};

    if (likely(!is_on(s)))
        return true;
    carried_exclude(s, u, &exclude);
    return node_id < 0 || !cluster_set_has(&exclude, node_id);
}

bool
carried_anywhere(struct session *s, const struct unit *u)
{
    const struct cluster_view *view = s->host->view;

    for (int node_id = 0; is_on(s) && node_id < (int)view->node_count; node_id++) {
        if (node_id != view->primary_id && view->nodes[node_id].usable && carried_at(s, u, node_id))
            return true;
    }
    return !is_on(s);
}

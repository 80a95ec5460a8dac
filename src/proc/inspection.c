/*
 * The view of the cluster for those who are asked about it. Called by pcp.c and http.c.
 */
#include "proc/inspection.h"

#include "proc/hba.h"
#include "proc/proc.h"

static void
rebuild_view(struct proc_inspection *i)
{
    struct cluster_members members;

    cluster_members_from_config(&members, i->proc->config);
    cluster_view_build(&i->view, &i->freshness, &members, &i->nodes);
}

void
proc_inspection_look(struct proc_inspection *i)
{
    const struct area *freshness = shared_freshness(i->proc->shared);
    const struct area *nodes = shared_nodes(i->proc->shared);

    if (area_epoch(freshness) == i->freshness_epoch && area_epoch(nodes) == i->nodes_epoch)
        return;
    i->freshness_epoch = area_read(freshness, &i->freshness);
    i->nodes_epoch = area_read(nodes, &i->nodes);
    rebuild_view(i);
}

void
proc_inspection_configure(struct proc_inspection *i)
{
    i->input.config = i->proc->config;
    rebuild_view(i);
}

void
proc_inspection_init(struct proc_inspection *i, struct proc *p)
{
    i->proc = p;
    i->freshness.primary_id = -1;
    i->freshness_epoch = i->nodes_epoch = 0;
    i->input = (struct inspect_input){
        .config = p->config,
        .shared = p->shared,
        .cache = p->cache,
        .statements = p->statements,
        .freshness = &i->freshness,
        .view = &i->view,
        .nodes = &i->nodes,
        .load_balance_node = -1,
        .hba_reader = &proc_hba_reader,
        .hba_path = p->files->hba,
        .ident_path = p->files->ident,
    };
    rebuild_view(i);
    proc_inspection_look(i);
}

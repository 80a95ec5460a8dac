/*
 * Metrics: what is of pgpool as a whole, and the order of the rest. Called by the process for HTTP.
 *
 * Sums over all children, also those that have ended, taken without locks; so counters never go
 * back while pgpool runs.
 */
#include "config.h"

#include "inspect/metrics.h"

#include "base/arena.h"
#include "cluster/nodes.h"
#include "config/config.h"
#include "inspect/metrics_parts.h"
#include "ipc/shared.h"

#include <stdlib.h>

static void
show_program(const struct inspect_input *in, struct metrics *m)
{
    const struct metrics_labels version = {{{"version", PACKAGE_VERSION}}};

    metrics_family(m, "info", "gauge", "The version of pgpool.");
    metrics_count(m, &version, 1);
    metrics_family(m, "start_time_seconds", "gauge", "When pgpool was started, since 1970.");
    metrics_time(m, NULL, shared_started_at_us(in->shared));
    metrics_family(m, "configuration_generation", "gauge",
                   "How often a configuration has been taken since the start.");
    metrics_count(m, NULL, in->config->generation);
}

static void
show_processes(const struct inspect_input *in, struct metrics *m)
{
    static const char *const names[] = {
        [PROC_PARENT] = "parent",
#define PROCESS(kind, name, entry) [PROC_##kind] = name,
#include "tables/processes.def"
#undef PROCESS
    };
    uint32_t counts[PROC_KINDS] = {0};

    for (uint32_t slot = 0; slot < shared_slot_count(in->shared); slot++) {
        const struct proc_slot *p = shared_proc(in->shared, slot);

        if (atomic_load(&((struct proc_slot *)(uintptr_t)p)->pid) != 0 && p->kind < PROC_KINDS)
            counts[p->kind]++;
    }
    metrics_family(m, "processes", "gauge", "Processes that run, by their kind.");
    for (uint32_t kind = 0; kind < PROC_KINDS; kind++) {
        const struct metrics_labels labels = {{{"kind", names[kind]}}};

        metrics_count(m, &labels, counts[kind]);
    }
}

static void
show_routing(const struct inspect_input *in, struct metrics *m)
{
    static const char *const reasons[] = {
#define ROUTE_REASON(id, name, words) name,
#include "tables/reasons.def"
#undef ROUTE_REASON
    };

    metrics_family(m, "routed_total", "counter",
                   "Statements or batches by the reason why they went where they went.");
    for (size_t reason = 0; reason < ARRAY_LEN(reasons); reason++) {
        const struct metrics_labels labels = {{{"reason", reasons[reason]}}};
        uint64_t sum = 0;

        for (uint32_t n = 0; n < shared_layout(in->shared)->child_slots; n++)
            sum += shared_child(in->shared, n)->routed[reason];
        metrics_count(m, &labels, sum);
    }
}

static void
show_events(const struct inspect_input *in, struct metrics *m)
{
    struct cluster_events *events = xcalloc(1, sizeof(*events));

    metrics_family(m, "node_events_total", "counter",
                   "Events of nodes, such as failovers, since the start; SHOW pool_events has "
                   "the last of them.");
    area_read(shared_events(in->shared), events);
    metrics_count(m, NULL, events->total);
    free(events);
}

void
inspect_metrics(const struct inspect_input *in, struct buf *out)
{
    struct metrics m = {.out = out};

    show_program(in, &m);
    show_processes(in, &m);
    metrics_nodes(in, &m);
    metrics_clients(in, &m);
    show_routing(in, &m);
    metrics_times(in, &m);
    metrics_statements(in, &m);
    metrics_cache(in, &m);
    metrics_watchdog(in, &m);
    show_events(in, &m);
}

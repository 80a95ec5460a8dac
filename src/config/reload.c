/*
 * What a reload may change. Values that only a start can apply are carried over from the old
 * generation, so that a process never sees one that it does not live by.
 *
 * A node's place in the list is its identity: pools, counters and the status file go by its number.
 * Another server under the same number would inherit them; so host and port of a node stay, and a
 * node stays, until a restart. New nodes may come at any time.
 */
#include "config/check.h"
#include "config/load.h"
#include "config/value.h"

#include <string.h>

static void
keep(const struct option *option, int node_id, const struct config *old, struct config *next)
{
    value_copy(option, option_field(option, next, node_id), option_value(option, old, node_id),
               &next->arena);
}

static void
keep_changed(const struct option *option, int node_id, const struct config *old,
             struct config *next, struct config_report *report)
{
    const void *before = option_value(option, old, node_id);
    char name[OPTION_NAME_MAX];

    if (value_equal(option, before, option_value(option, next, node_id)))
        return;
    report_add(report, CONFIG_NOTE, (struct place){next->path, 0}, NULL,
               "\"%s\" cannot be changed without a restart: it keeps its value",
               option_full_name(option, node_id, name));
    keep(option, node_id, old, next);
}

/* The node is not in the file any more. */
static void
keep_node(int node_id, const struct config *old, struct config *next, struct config_report *report)
{
    report_add(report, CONFIG_NOTE, (struct place){next->path, 0}, NULL,
               "node %d cannot be removed without a restart: it stays", node_id);
    for (size_t n = 0; n < OPTION_COUNT; n++) {
        const struct option *option = &option_table[n];

        if (option->scope == OPTION_SCOPE_BACKEND || option->scope == OPTION_SCOPE_HEALTH)
            keep(option, node_id, old, next);
    }
    next->backends[node_id].configured = true;
    next->backend_count = MAX(next->backend_count, (uint32_t)node_id + 1);
}

int
config_reload_check(const struct config *old, struct config *next, struct config_report *report)
{
    uint32_t faults_before = report->faults;
    struct check check = {next, NULL, report, true};

    for (size_t n = 0; n < OPTION_COUNT; n++) {
        const struct option *option = &option_table[n];

        if (option->context == OPTION_CONTEXT_STARTUP)
            keep_changed(option, OPTION_ALL_NODES, old, next, report);
    }
    for (int node_id = 0; node_id < CONFIG_NODES_MAX; node_id++) {
        if (!old->backends[node_id].configured)
            continue;
        if (!next->backends[node_id].configured) {
            keep_node(node_id, old, next, report);
            continue;
        }
        keep_changed(&option_table[OPTION_ID_BACKEND_hostname], node_id, old, next, report);
        keep_changed(&option_table[OPTION_ID_BACKEND_port], node_id, old, next, report);
    }
    limits_keep_groups(&old->limits, &next->limits);
    check_all(&check);
    return report->faults == faults_before ? 0 : -1;
}

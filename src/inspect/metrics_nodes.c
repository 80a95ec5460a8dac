/*
 * Metrics of nodes: the same numbers that routing and the failover process go by.
 */
#include "cluster/health.h"
#include "cluster/nodes.h"
#include "cluster/view.h"
#include "config/config.h"
#include "inspect/metrics_parts.h"
#include "inspect/views.h"
#include "ipc/shared.h"
#include "os/clock.h"

#include <string.h>

/* Its number as a label; more can be set behind it. */
struct node_labels {
    char number[VIEWS_NUMBER_BYTES];
    struct metrics_labels labels;
};

static const struct metrics_labels *
label(struct node_labels *l, uint32_t node_id, const char *name, const char *value)
{
    views_number(node_id, l->number);
    l->labels = (struct metrics_labels){{{"node_id", l->number}, {name, value}}};
    return &l->labels;
}

static const struct node_freshness *
freshness_of(const struct inspect_input *in, uint32_t node_id)
{
    static const struct node_freshness nothing;

    return node_id < in->freshness->node_count ? &in->freshness->nodes[node_id] : &nothing;
}

static bool
is_primary(const struct inspect_input *in, uint32_t node_id)
{
    return (int)node_id == in->view->primary_id;
}

/* ---- state ---- */

/* One sample of one node of a family. */
typedef void show_fn(const struct inspect_input *in, struct metrics *m, uint32_t node_id);

static void
show_info(const struct inspect_input *in, struct metrics *m, uint32_t node_id)
{
    const struct config_backend *backend = &in->config->backends[node_id];
    char port[VIEWS_NUMBER_BYTES];
    struct node_labels l;

    label(&l, node_id, "hostname", backend->hostname);
    l.labels.list[2] = (struct metrics_label){"port", views_number(backend->port, port)};
    metrics_count(m, &l.labels, 1);
}

static void
show_status(const struct inspect_input *in, struct metrics *m, uint32_t node_id)
{
    static const char *const words[] = {"waiting", "up", "down", "quarantine", "unused"};
    const char *status = views_status(in, node_id);
    struct node_labels l;

    for (size_t n = 0; n < ARRAY_LEN(words); n++)
        metrics_count(m, label(&l, node_id, "status", words[n]), strcmp(words[n], status) == 0);
}

static void
show_reachable(const struct inspect_input *in, struct metrics *m, uint32_t node_id)
{
    struct node_labels l;

    metrics_count(m, label(&l, node_id, NULL, NULL), freshness_of(in, node_id)->reachable != 0);
}

static void
show_primary(const struct inspect_input *in, struct metrics *m, uint32_t node_id)
{
    struct node_labels l;

    metrics_count(m, label(&l, node_id, NULL, NULL), is_primary(in, node_id));
}

static void
show_drained(const struct inspect_input *in, struct metrics *m, uint32_t node_id)
{
    struct node_labels l;

    metrics_count(m, label(&l, node_id, NULL, NULL),
                  holds_drained(shared_holds(in->shared), (int)node_id, NULL));
}

/* ---- lag: of nodes of which it is known ---- */

static bool
has_delay(const struct inspect_input *in, uint32_t node_id)
{
    return in->view->primary_id >= 0 && freshness_of(in, node_id)->reachable != 0;
}

static void
show_delay_bytes(const struct inspect_input *in, struct metrics *m, uint32_t node_id)
{
    struct node_labels l;

    if (has_delay(in, node_id))
        metrics_count(m, label(&l, node_id, NULL, NULL),
                      is_primary(in, node_id) ? 0 : freshness_of(in, node_id)->delay_bytes);
}

static void
show_delay_time(const struct inspect_input *in, struct metrics *m, uint32_t node_id)
{
    struct node_labels l;

    if (has_delay(in, node_id))
        metrics_time(m, label(&l, node_id, NULL, NULL),
                     is_primary(in, node_id) ? 0 : freshness_of(in, node_id)->delay_us);
}

static void
show_age(const struct inspect_input *in, struct metrics *m, uint32_t node_id)
{
    const struct node_freshness *node = freshness_of(in, node_id);
    int64_t age_ns = is_primary(in, node_id) ? 0 : clock_monotonic_ns() - node->fresh_as_of_ns;
    struct node_labels l;

    if (node->reachable && (is_primary(in, node_id) || node->fresh_as_of_ns > 0))
        metrics_time(m, label(&l, node_id, NULL, NULL), MAX(age_ns, 0) / 1000);
}

/* ---- counters ---- */

enum family { STATEMENTS, ERRORS };

static void
show_counters(const struct inspect_input *in, struct metrics *m, uint32_t node_id,
              enum family family)
{
    const char *name = family == STATEMENTS ? "kind" : "severity";
    struct node_counters c = views_count_node(in->shared, node_id);
    struct node_labels l;

#define NODE_COUNTER(id, of, word)                                                                 \
    if (of == family)                                                                              \
        metrics_count(m, label(&l, node_id, name, word), c.id##_cnt);
#include "tables/counters.def"
#undef NODE_COUNTER
}

static void
show_statements(const struct inspect_input *in, struct metrics *m, uint32_t node_id)
{
    show_counters(in, m, node_id, STATEMENTS);
}

static void
show_errors(const struct inspect_input *in, struct metrics *m, uint32_t node_id)
{
    show_counters(in, m, node_id, ERRORS);
}

/* ---- health checks ---- */

/* The health process may be writing. False: the node has none. */
static bool
read_health(const struct inspect_input *in, uint32_t node_id, struct health_stats *stats_r)
{
    const struct health *health;

    if (node_id >= shared_layout(in->shared)->health_slots)
        return false;
    health = shared_health(in->shared, (int)node_id);
    memcpy(stats_r, &health->stats, sizeof(*stats_r));
    return true;
}

static void
show_checks(const struct inspect_input *in, struct metrics *m, uint32_t node_id)
{
    struct health_stats stats;
    struct node_labels l;

    if (!read_health(in, node_id, &stats))
        return;
    metrics_count(m, label(&l, node_id, "result", "success"), stats.success_count);
    metrics_count(m, label(&l, node_id, "result", "fail"), stats.fail_count);
    metrics_count(m, label(&l, node_id, "result", "skip"), stats.skip_count);
}

static void
show_retries(const struct inspect_input *in, struct metrics *m, uint32_t node_id)
{
    struct health_stats stats;
    struct node_labels l;

    if (read_health(in, node_id, &stats))
        metrics_count(m, label(&l, node_id, NULL, NULL), stats.retry_count);
}

static void
show_check_time(const struct inspect_input *in, struct metrics *m, uint32_t node_id)
{
    struct health_stats stats;
    struct node_labels l;

    if (read_health(in, node_id, &stats))
        metrics_time(m, label(&l, node_id, NULL, NULL), stats.total_duration_us);
}

/* ---- all of them ---- */

void
metrics_nodes(const struct inspect_input *in, struct metrics *m)
{
    static const struct {
        const char *name;
        const char *type;
        show_fn *show;
        const char *help;
    } families[] = {
        {"node_info", "gauge", show_info, "Where a node is."},
        {"node_status", "gauge", show_status,
         "1 for the status that a node has (SHOW pool_nodes)."},
        {"node_reachable", "gauge", show_reachable,
         "1: it has answered the process that measures lag the last time."},
        {"node_primary", "gauge", show_primary, "1: it is the primary."},
        {"node_drained", "gauge", show_drained, "1: nothing new is placed there."},
        {"node_replication_delay_bytes", "gauge", show_delay_bytes,
         "How much WAL a node has not replayed that the primary has written."},
        {"node_replication_delay_seconds", "gauge", show_delay_time,
         "For how long a node has not replayed all of the primary's WAL."},
        {"node_freshness_age_seconds", "gauge", show_age,
         "The age of the moment as of which a node is proved to be fresh."},
        {"node_statements_total", "counter", show_statements,
         "Statements sent to a node, by kind."},
        {"node_errors_total", "counter", show_errors, "Errors that a node has answered with."},
        {"health_checks_total", "counter", show_checks, "Health checks of a node, by result."},
        {"health_check_retries_total", "counter", show_retries, "Retries of health checks."},
        {"health_check_seconds_total", "counter", show_check_time,
         "Time that health checks of a node have taken."},
    };

    for (size_t n = 0; n < ARRAY_LEN(families); n++) {
        metrics_family(m, families[n].name, families[n].type, families[n].help);
        for (uint32_t node_id = 0; node_id < in->config->backend_count; node_id++) {
            if (in->config->backends[node_id].configured)
                families[n].show(in, m, node_id);
        }
    }
}

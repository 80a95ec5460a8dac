/*
 * Samples for the plots of the status page. Called by proc/http.c every few seconds.
 *
 * A sample is what was counted since the one before, as rates per second, and what was there at its
 * moment. Counters only grow, children come and go; one that has gone back all the same counts as
 * one that stood still. Percentiles are those of the interval: the sum of all histograms now
 * without what was in it before.
 */
#include "inspect/history.h"

#include "base/arena.h"
#include "cache/shared.h"
#include "cluster/view.h"
#include "config/config.h"
#include "inspect/views.h"
#include "ipc/shared.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What only grows. */
struct totals {
    uint64_t statements[NODES_MAX];
    uint64_t reads;
    uint64_t writes; /* whatever is no SELECT */
    uint64_t errors;
    uint64_t hits;
    uint64_t misses;
    uint64_t waits;
};

/* What is there at a moment. */
struct present {
    uint32_t clients;
    uint32_t active; /* in a statement or a transaction */
    uint32_t waiting;
    uint32_t on_hold;
    uint32_t busy; /* server connections: a client has it, */
    uint32_t idle; /* or the pool */
    uint32_t most; /* connections to the node that has most */
    uint64_t clients_limit;
};

struct sample {
    int64_t at_ms; /* wall clock */
    float reads, writes, errors, hits, misses, waits;
    float p50_ms, p90_ms, p99_ms;
    struct present present;
    float statements[HISTORY_NODES];
    float lag_ms[HISTORY_NODES]; /* below 0: not known */
};

struct history {
    uint64_t total; /* samples so far; number n lies at n modulo the size */
    int64_t last_ns;
    uint32_t node_count;
    struct totals before;
    struct histogram times; /* of statements, as of the last sample, */
    struct histogram fresh; /* and now */
    struct sample list[HISTORY_SAMPLES];
};

struct history *
history_new(void)
{
    return xcalloc(1, sizeof(struct history));
}

void
history_free(struct history *h)
{
    free(h);
}

/* ---- counting ---- */

static void
count_cache(const struct inspect_input *in, struct totals *t)
{
    struct cache_stats_sums sums;
    struct store_numbers numbers;

    if (in->cache == NULL)
        return;
    if (in->cache->store != NULL) {
        memset(&numbers, 0, sizeof(numbers));
        store_numbers(in->cache->store, &numbers);
        t->hits = numbers.hits;
        t->misses = numbers.misses;
    } else {
        cache_stats_sums(in->cache->stats, &sums);
        t->hits = sums.hits;
        t->misses = sums.misses;
    }
}

static void
count_totals(const struct inspect_input *in, struct totals *t, struct histogram *times)
{
    struct histogram waits = {0};

    memset(t, 0, sizeof(*t));
    memset(times, 0, sizeof(*times));
    for (uint32_t id = 0; id < in->config->backend_count; id++) {
        struct node_counters c;

        if (!in->config->backends[id].configured)
            continue;
        c = views_count_node(in->shared, id);
        t->statements[id] =
            c.select_cnt + c.insert_cnt + c.update_cnt + c.delete_cnt + c.ddl_cnt + c.other_cnt;
        t->reads += c.select_cnt;
        t->writes += t->statements[id] - c.select_cnt;
        t->errors += c.error_cnt + c.fatal_cnt + c.panic_cnt;
        views_add_times(in, id, times, &waits);
    }
    t->waits = histogram_count(&waits);
    count_cache(in, t);
}

static void
count_sessions(struct shared *shared, uint32_t child_no, struct present *p)
{
    uint32_t left = atomic_load(&shared_child(shared, child_no)->sessions);

    for (uint32_t n = 0; left > 0 && n < shared_layout(shared)->sessions_per_child; n++) {
        struct session_slot *slot = shared_session(shared, child_no, n);
        uint32_t state = atomic_load(&slot->state);

        if (state == SESSION_SLOT_FREE)
            continue;
        left--;
        p->clients++;
        p->active += state == SESSION_SLOT_ACTIVE || state == SESSION_SLOT_IN_TX;
        p->waiting += atomic_load(&slot->waiting_since_ns) != 0;
        p->on_hold += atomic_load(&slot->on_hold) != 0;
    }
}

static void
count_present(const struct inspect_input *in, struct present *p)
{
    const struct shared_layout *layout = shared_layout(in->shared);
    uint32_t by_node[NODES_MAX] = {0};

    memset(p, 0, sizeof(*p));
    for (uint32_t child_no = 0; child_no < layout->child_slots; child_no++) {
        const struct proc_slot *proc = shared_proc_of_child(in->shared, child_no);
        const struct server_slot *server;
        uint32_t at = 0;

        count_sessions(in->shared, child_no, p);
        if (atomic_load(&proc->pid) != 0 && atomic_load(&proc->retiring) == 0)
            p->clients_limit += layout->sessions_per_child;
        while ((server = views_next_server(in->shared, child_no, &at)) != NULL) {
            int32_t node_id = server->node_id;

            p->busy += server->session >= 0;
            p->idle += server->session < 0;
            if (node_id >= 0 && node_id < NODES_MAX)
                by_node[node_id]++;
        }
    }
    for (uint32_t id = 0; id < NODES_MAX; id++)
        p->most = MAX(p->most, by_node[id]);
    if (in->config->max_client_connections > 0)
        p->clients_limit = MIN(p->clients_limit, (uint64_t)in->config->max_client_connections);
}

/* ---- samples ---- */

static float
rate(uint64_t before, uint64_t now, double seconds)
{
    return now > before ? (float)((double)(now - before) / seconds) : 0;
}

static void
take_rates(const struct history *h, const struct totals *now, double seconds, struct sample *s)
{
    const struct totals *was = &h->before;

    s->reads = rate(was->reads, now->reads, seconds);
    s->writes = rate(was->writes, now->writes, seconds);
    s->errors = rate(was->errors, now->errors, seconds);
    s->hits = rate(was->hits, now->hits, seconds);
    s->misses = rate(was->misses, now->misses, seconds);
    s->waits = rate(was->waits, now->waits, seconds);
    for (uint32_t id = 0; id < HISTORY_NODES; id++)
        s->statements[id] = rate(was->statements[id], now->statements[id], seconds);
}

/* No statement has ended: 0. */
static void
take_times(struct history *h, struct sample *s)
{
    struct histogram since = h->fresh;

    for (uint32_t n = 0; n < HISTOGRAM_BUCKETS; n++)
        since.counts[n] -= MIN(since.counts[n], h->times.counts[n]);
    s->p50_ms = (float)((double)histogram_quantile(&since, 500) / 1000);
    s->p90_ms = (float)((double)histogram_quantile(&since, 900) / 1000);
    s->p99_ms = (float)((double)histogram_quantile(&since, 990) / 1000);
}

static void
take_lag(const struct inspect_input *in, struct sample *s)
{
    for (uint32_t id = 0; id < HISTORY_NODES; id++) {
        const struct node_freshness *node = &in->freshness->nodes[id];
        bool primary = (int)id == in->view->primary_id;

        s->lag_ms[id] = -1;
        if (id < in->freshness->node_count && node->reachable && in->view->primary_id >= 0)
            s->lag_ms[id] = primary ? 0 : (float)((double)node->delay_us / 1000);
    }
}

void
history_take(struct history *h, const struct inspect_input *in, int64_t now_us, int64_t now_ns)
{
    struct sample *s = &h->list[h->total % HISTORY_SAMPLES];
    double seconds = (double)(now_ns - h->last_ns) / (double)NS_PER_S;
    bool is_first = h->last_ns == 0;
    struct totals now;

    if (!is_first && seconds <= 0)
        return;
    count_totals(in, &now, &h->fresh);
    if (!is_first) {
        memset(s, 0, sizeof(*s));
        s->at_ms = now_us / 1000;
        take_rates(h, &now, seconds, s);
        take_times(h, s);
        take_lag(in, s);
        count_present(in, &s->present);
        h->total++;
    }
    h->node_count = MIN(in->config->backend_count, (uint32_t)HISTORY_NODES);
    h->times = h->fresh;
    h->before = now;
    h->last_ns = now_ns;
}

/* ---- as text ---- */

static void
print_present(const struct present *p, struct buf *out)
{
    buf_printf(out, "%u,%u,%u,%u,%u,%u", p->clients, p->active, p->waiting, p->on_hold, p->busy,
               p->idle);
}

static void
print_sample(const struct history *h, const struct sample *s, struct buf *out)
{
    buf_printf(out, "[%" PRId64 ",%.4g,%.4g,%.4g,%.4g,%.4g,%.4g,%.4g,%.4g,%.4g,", s->at_ms,
               (double)s->reads, (double)s->writes, (double)s->errors, (double)s->hits,
               (double)s->misses, (double)s->waits, (double)s->p50_ms, (double)s->p90_ms,
               (double)s->p99_ms);
    print_present(&s->present, out);
    for (uint32_t id = 0; id < h->node_count; id++) {
        buf_printf(out, ",%.4g,", (double)s->statements[id]);
        if (s->lag_ms[id] < 0)
            buf_add_str(out, "null");
        else
            buf_printf(out, "%.4g", (double)s->lag_ms[id]);
    }
    buf_add_str(out, "]");
}

void
history_json(const struct history *h, uint64_t from, struct buf *out)
{
    uint64_t oldest = h->total > HISTORY_SAMPLES ? h->total - HISTORY_SAMPLES : 0;

    /* who has seen more than there was has seen another process's */
    if (from > h->total || from < oldest)
        from = oldest;
    buf_printf(out, "{\"every_ms\":%d,\"kept\":%d,\"from\":%" PRIu64 ",\"next\":%" PRIu64,
               HISTORY_EVERY_MS, HISTORY_SAMPLES, from, h->total);
    buf_add_str(out, ",\"fields\":[\"at_ms\",\"reads\",\"writes\",\"errors\",\"hits\",\"misses\","
                     "\"waits\",\"p50_ms\",\"p90_ms\",\"p99_ms\",\"clients\",\"active\","
                     "\"waiting\",\"on_hold\",\"busy\",\"idle\"");
    for (uint32_t id = 0; id < h->node_count; id++)
        buf_printf(out, ",\"node%u\",\"lag%u_ms\"", id, id);
    buf_add_str(out, "],\"samples\":[");
    for (uint64_t n = from; n < h->total; n++) {
        buf_add_str(out, n > from ? ",\n" : "\n");
        print_sample(h, &h->list[n % HISTORY_SAMPLES], out);
    }
    buf_add_str(out, "]}\n");
}

void
history_json_now(const struct inspect_input *in, struct buf *out)
{
    struct present p;

    count_present(in, &p);
    buf_printf(out,
               "{\"clients\":%u,\"active\":%u,\"waiting\":%u,\"on_hold\":%u,\"busy\":%u,"
               "\"idle\":%u,\"most\":%u,\"clients_limit\":%" PRIu64 ",\"connections_limit\":%d}",
               p.clients, p.active, p.waiting, p.on_hold, p.busy, p.idle, p.most, p.clients_limit,
               (int)in->config->max_backend_connections);
}

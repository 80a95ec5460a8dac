/*
 * SHOW pool_watchdog and the metrics of it: the pgpools of the cluster, this one first, as its
 * watchdog sees them.
 *
 * Called through include/tables/views.def, and by metrics.c. States, memberships and their numbers
 * are Pgpool-II's. What is known of one pgpool stands in its row; what only this one knows of
 * itself (lease, address, etcd) stands in its own row, and is null in the others. Without a
 * watchdog there are no rows.
 */
#include "base/arena.h"
#include "cluster/pgpools.h"
#include "config/config.h"
#include "inspect/metrics_parts.h"
#include "inspect/views.h"
#include "ipc/shared.h"
#include "os/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 28, SET_BYTES = 512, NAME_BYTES = 600, OWN_NUMBERS = 6, ALL_NUMBERS = 8 };

struct look {
    const struct inspect_input *in;
    const struct cluster_pgpools *pgpools;
    int64_t now_ns;
    bool is_stale; /* etcd has not answered for longer than a lease: others may be anything */
    inspect_row_fn *row;
    void *ctx;
};

struct texts {
    char name[NAME_BYTES];
    char alive[SET_BYTES];
    char dead[SET_BYTES];
    char numbers[ALL_NUMBERS][VIEWS_NUMBER_BYTES];
    char own[OWN_NUMBERS][VIEWS_NUMBER_BYTES];
};

/* As Pgpool-II has them, and as metrics do. */
struct word {
    const char *number;
    const char *text;
    const char *label;
};

enum { PGPOOL_DEAD = PGPOOL_ISOLATED + 1 }; /* never seen, and no member */

static const struct word words[] = {
    [PGPOOL_JOINING] = {"2", "JOINING", "joining"},
    [PGPOOL_LEADER] = {"4", "LEADER", "leader"},
    [PGPOOL_STANDBY] = {"7", "STANDBY", "standby"},
    [PGPOOL_LOST] = {"8", "LOST", "lost"},
    [PGPOOL_LEAVING] = {"10", "SHUTDOWN", "leaving"},
    [PGPOOL_ISOLATED] = {"12", "NETWORK ISOLATION", "isolated"},
    [PGPOOL_DEAD] = {"0", "DEAD", "dead"},
};

static const struct word *
state_word(const struct look *look, const struct cluster_pgpool *pgpool, bool is_self)
{
    if (pgpool == NULL || pgpool->state >= PGPOOL_DEAD)
        return &words[PGPOOL_DEAD];
    if (is_self && pgpool->state != PGPOOL_LEAVING && look->pgpools->lease_until_ns <= look->now_ns)
        return &words[PGPOOL_JOINING];
    if (!is_self && look->is_stale)
        return &words[PGPOOL_LOST];
    return &words[pgpool->state];
}

static const char *
set_text(const struct cluster_set *set, char text_r[SET_BYTES])
{
    size_t len = 0;

    text_r[0] = '\0';
    for (int node_id = 0; node_id < CLUSTER_NODES_MAX && len < SET_BYTES; node_id++) {
        if (cluster_set_has(set, node_id))
            len += (size_t)snprintf(text_r + len, SET_BYTES - len, "%s%d", len > 0 ? "," : "",
                                    node_id);
    }
    return text_r;
}

static const char *
quorum_text(const struct look *look)
{
    if (look->is_stale)
        return "QUORUM ABSENT";
    return look->pgpools->leader_id < 0 ? "NO LEADER NODE" : "QUORUM EXIST";
}

/* What is left; 0 when it is over. */
static int64_t
left_ns(const struct look *look, int64_t until_ns)
{
    return until_ns > look->now_ns ? until_ns - look->now_ns : 0;
}

/* In milliseconds. */
static const char *
left_text(const struct look *look, int64_t until_ns, char text_r[VIEWS_NUMBER_BYTES])
{
    return views_number(left_ns(look, until_ns) / NS_PER_MS, text_r);
}

/* By its lease, now. */
static bool
leads(const struct look *look)
{
    return look->pgpools->leads && look->pgpools->lease_until_ns > look->now_ns;
}

/* What only we ourselves know. */
static void
fill_own(const struct look *look, struct texts *texts, const char **values)
{
    static const char *const addresses[] = {"down", "coming up", "up", "going down"};
    const struct cluster_pgpools *p = look->pgpools;

    values[12] = leads(look) && p->escalated ? "YES" : "NO";
    values[13] = look->in->config->delegate_ip;
    values[14] = p->address < ARRAY_LEN(addresses) ? addresses[p->address] : "";
    values[15] = quorum_text(look);
    values[20] = views_number(p->term, texts->own[0]);
    values[21] = views_number(p->state_revision, texts->own[1]);
    values[22] = views_number((int64_t)p->epoch, texts->own[2]);
    values[23] = left_text(look, p->lease_until_ns, texts->own[3]);
    values[24] = left_text(look, p->writes_until_ns, texts->own[4]);
    values[25] = p->endpoint;
    if (p->reached_ns > 0)
        values[26] = views_number((look->now_ns - p->reached_ns) / NS_PER_MS, texts->own[5]);
}

/* pgpool: NULL when nobody knows of it but the configuration. */
static void
show(const struct look *look, uint32_t id, const struct cluster_pgpool *pgpool, void *unused)
{
    const struct config *config = look->in->config;
    const struct config_peer *peer = &config->peers[MIN(id, (uint32_t)CONFIG_NODES_MAX - 1)];
    const char *host = peer->hostname[0] != '\0' ? peer->hostname : "unknown";
    int port = peer->pgpool_port > 0 ? peer->pgpool_port : config->port;
    bool is_self = id == look->pgpools->own_id;
    const struct word *state = state_word(look, pgpool, is_self);
    struct texts t;
    const char *values[COLUMNS] = {NULL};

    (void)unused;
    snprintf(t.name, sizeof(t.name), "%s:%d Linux %s", host, port, host);
    values[0] = views_number(id, t.numbers[0]);
    values[1] = t.name;
    values[2] = host;
    values[3] = views_number(port, t.numbers[1]);
    values[4] = views_number(peer->wd_port, t.numbers[2]);
    values[6] = state->number;
    values[7] = state->text;
    values[8] = pgpool != NULL ? "0" : "2";
    values[9] = pgpool != NULL ? "MEMBER" : "REVOKED-NO-SHOW";
    values[10] = pgpool != NULL && state != &words[PGPOOL_LOST] ? "YES" : "NO";
    values[11] = is_self ? "YES" : "NO";
    values[12] = "NO";
    if (pgpool != NULL) {
        values[5] = views_number(pgpool->priority, t.numbers[3]);
        values[16] = set_text(&pgpool->alive, t.alive);
        values[17] = set_text(&pgpool->dead, t.dead);
        values[18] = views_number(pgpool->applied, t.numbers[4]);
        values[19] = views_number((int64_t)pgpool->fenced_epoch, t.numbers[5]);
        values[27] = pgpool->difference;
    }
    if (is_self)
        fill_own(look, &t, values);
    look->row(look->ctx, values, COLUMNS);
}

static const struct cluster_pgpool *
find(const struct cluster_pgpools *pgpools, uint32_t id)
{
    for (uint32_t n = 0; n < MIN(pgpools->count, (uint32_t)CLUSTER_PGPOOLS_MAX); n++) {
        if (pgpools->list[n].id == id)
            return &pgpools->list[n];
    }
    return NULL;
}

/* Takes a copy, which its owner frees. Is there a watchdog? */
static bool
look_at(const struct inspect_input *in, struct look *look_r)
{
    struct cluster_pgpools *pgpools = xcalloc(1, sizeof(*pgpools));

    area_read(shared_pgpools(in->shared), pgpools);
    *look_r = (struct look){.in = in, .pgpools = pgpools, .now_ns = clock_boottime_ns()};
    look_r->is_stale = pgpools->reached_ns == 0 || look_r->now_ns - pgpools->reached_ns >
                                                       in->config->wd_lease_ttl_ms * NS_PER_MS;
    return pgpools->enabled;
}

static void
free_look(struct look *look)
{
    free((void *)(uintptr_t)look->pgpools);
}

typedef void (*each_fn)(const struct look *look, uint32_t id, const struct cluster_pgpool *pgpool,
                        void *ctx);

/* This one first, then the others by number, and those that only the configuration knows. */
static void
for_each(const struct look *look, each_fn fn, void *ctx)
{
    uint32_t own_id = look->pgpools->own_id;

    fn(look, own_id, find(look->pgpools, own_id), ctx);
    for (uint32_t id = 0; id < CONFIG_NODES_MAX; id++) {
        const struct cluster_pgpool *pgpool = find(look->pgpools, id);

        if (id != own_id && (pgpool != NULL || look->in->config->peers[id].hostname[0] != '\0'))
            fn(look, id, pgpool, ctx);
    }
}

void
inspect_pool_watchdog(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    struct look look;
    bool enabled = look_at(in, &look);

    look.row = row;
    look.ctx = ctx;
    if (enabled)
        for_each(&look, show, NULL);
    free_look(&look);
}

/* ---- metrics ---- */

static void
count_states(const struct look *look, uint32_t id, const struct cluster_pgpool *pgpool, void *ctx)
{
    bool is_self = id == look->pgpools->own_id;
    const struct word *state = state_word(look, pgpool, is_self);
    char number[VIEWS_NUMBER_BYTES];
    struct metrics_labels labels = {
        {{"pgpool_id", views_number(id, number)}, {"self", is_self ? "yes" : "no"}}};

    for (size_t n = 0; n < ARRAY_LEN(words); n++) {
        labels.list[2].name = "state";
        labels.list[2].value = words[n].label;
        metrics_count(ctx, &labels, state == &words[n]);
    }
}

static void
show_numbers(const struct look *look, struct metrics *m)
{
    const struct cluster_pgpools *p = look->pgpools;

    metrics_family(m, "watchdog_leads", "gauge", "1: this pgpool leads, by its lease.");
    metrics_count(m, NULL, leads(look));
    metrics_family(m, "watchdog_address_up", "gauge", "1: this pgpool has the virtual address.");
    metrics_count(m, NULL, p->address == PGPOOL_ADDRESS_UP);
    metrics_family(m, "watchdog_term", "gauge", "Of who leads; it grows with each new leader.");
    metrics_count(m, NULL, (uint64_t)MAX(p->term, 0));
    metrics_family(m, "watchdog_lease_seconds", "gauge", "How long the lease of this one lasts.");
    metrics_time(m, NULL, left_ns(look, p->lease_until_ns) / 1000);
    metrics_family(m, "watchdog_writes_seconds", "gauge",
                   "How long clients may write here without a word of etcd.");
    metrics_time(m, NULL, left_ns(look, p->writes_until_ns) / 1000);
    if (p->reached_ns == 0)
        return;
    metrics_family(m, "watchdog_etcd_age_seconds", "gauge",
                   "Since etcd was asked what it answered.");
    metrics_time(m, NULL, (look->now_ns - p->reached_ns) / 1000);
}

void
metrics_watchdog(const struct inspect_input *in, struct metrics *m)
{
    struct look look;

    if (look_at(in, &look)) {
        metrics_family(m, "watchdog_state", "gauge",
                       "1 for the state that each pgpool is in, as this one sees it.");
        for_each(&look, count_states, m);
        show_numbers(&look, m);
    }
    free_look(&look);
}

/*
 * SHOW pool_watchdog: the pgpools of the cluster, this one first, as its watchdog sees them.
 *
 * Called through include/tables/views.def. States, memberships and their numbers are Pgpool-II's.
 * What is known of one pgpool stands in its row; what only this one knows of itself (lease,
 * address, etcd) stands in its own row, and is null in the others. Without a watchdog there are no
 * rows.
 */
#include "base/arena.h"
#include "cluster/pgpools.h"
#include "config/config.h"
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

struct word {
    const char *number;
    const char *text;
};

/* As Pgpool-II has them; never seen: DEAD, and no member. */
static struct word
state_word(const struct look *look, const struct cluster_pgpool *pgpool, bool is_self)
{
    static const struct word words[] = {
        [PGPOOL_JOINING] = {"2", "JOINING"},   [PGPOOL_LEADER] = {"4", "LEADER"},
        [PGPOOL_STANDBY] = {"7", "STANDBY"},   [PGPOOL_LOST] = {"8", "LOST"},
        [PGPOOL_LEAVING] = {"10", "SHUTDOWN"}, [PGPOOL_ISOLATED] = {"12", "NETWORK ISOLATION"},
    };

    if (pgpool == NULL || pgpool->state >= ARRAY_LEN(words))
        return (struct word){"0", "DEAD"};
    if (is_self && pgpool->state != PGPOOL_LEAVING && look->pgpools->lease_until_ns <= look->now_ns)
        return words[PGPOOL_JOINING];
    if (!is_self && look->is_stale)
        return words[PGPOOL_LOST];
    return words[pgpool->state];
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

/* Milliseconds that are left; 0 when it is over. */
static const char *
left_text(const struct look *look, int64_t until_ns, char text_r[VIEWS_NUMBER_BYTES])
{
    int64_t left_ns = until_ns > look->now_ns ? until_ns - look->now_ns : 0;

    return views_number(left_ns / NS_PER_MS, text_r);
}

/* What only we ourselves know. */
static void
fill_own(const struct look *look, struct texts *texts, const char **values)
{
    static const char *const addresses[] = {"down", "coming up", "up", "going down"};
    const struct cluster_pgpools *p = look->pgpools;
    bool leads = p->leads && p->lease_until_ns > look->now_ns;

    values[12] = leads && p->escalated ? "YES" : "NO";
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
show(const struct look *look, uint32_t id, const struct cluster_pgpool *pgpool)
{
    const struct config *config = look->in->config;
    const struct config_peer *peer = &config->peers[MIN(id, (uint32_t)CONFIG_NODES_MAX - 1)];
    const char *host = peer->hostname[0] != '\0' ? peer->hostname : "unknown";
    int port = peer->pgpool_port > 0 ? peer->pgpool_port : config->port;
    bool is_self = id == look->pgpools->own_id;
    struct word state = state_word(look, pgpool, is_self);
    struct texts t;
    const char *values[COLUMNS] = {NULL};

    snprintf(t.name, sizeof(t.name), "%s:%d Linux %s", host, port, host);
    values[0] = views_number(id, t.numbers[0]);
    values[1] = t.name;
    values[2] = host;
    values[3] = views_number(port, t.numbers[1]);
    values[4] = views_number(peer->wd_port, t.numbers[2]);
    values[6] = state.number;
    values[7] = state.text;
    values[8] = pgpool != NULL ? "0" : "2";
    values[9] = pgpool != NULL ? "MEMBER" : "REVOKED-NO-SHOW";
    values[10] = pgpool != NULL && strcmp(state.text, "LOST") != 0 ? "YES" : "NO";
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

void
inspect_pool_watchdog(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    struct cluster_pgpools *pgpools = xcalloc(1, sizeof(*pgpools));
    struct look look = {.in = in, .pgpools = pgpools, .row = row, .ctx = ctx};

    area_read(shared_pgpools(in->shared), pgpools);
    look.now_ns = clock_boottime_ns();
    look.is_stale = pgpools->reached_ns == 0 ||
                    look.now_ns - pgpools->reached_ns > in->config->wd_lease_ttl_ms * NS_PER_MS;
    if (pgpools->enabled)
        show(&look, pgpools->own_id, find(pgpools, pgpools->own_id));
    for (uint32_t id = 0; pgpools->enabled && id < CONFIG_NODES_MAX; id++) {
        const struct cluster_pgpool *pgpool = find(pgpools, id);

        if (id != pgpools->own_id && (pgpool != NULL || in->config->peers[id].hostname[0] != '\0'))
            show(&look, id, pgpool);
    }
    free(pgpools);
}

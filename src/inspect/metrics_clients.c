/*
 * Metrics of clients and server connections, by database. Called by metrics.c.
 *
 * Made from the slots of the children in one walk each. Databases beyond DATABASES_MAX are one
 * together, so that nobody makes a scrape long by inventing names; who has not logged in yet counts
 * without a database.
 */
#include "base/arena.h"
#include "config/config.h"
#include "inspect/metrics_parts.h"
#include "inspect/views.h"
#include "ipc/shared.h"
#include "os/clock.h"

#include <stdlib.h>
#include <string.h>

enum { DATABASES_MAX = 100, MODES = 3, STATES = SESSION_SLOT_IN_TX + 1 };

static const char *const mode_words[MODES] = {[CONFIG_POOL_MODE_SESSION] = "session",
                                              [CONFIG_POOL_MODE_TRANSACTION] = "transaction",
                                              [CONFIG_POOL_MODE_AUTO] = "auto"};
static const char *const state_words[STATES] = {[SESSION_SLOT_LOGIN] = "login",
                                                [SESSION_SLOT_IDLE] = "idle",
                                                [SESSION_SLOT_ACTIVE] = "active",
                                                [SESSION_SLOT_IN_TX] = "idle in transaction"};

struct database {
    char name[SLOT_NAME_BYTES];
    uint64_t sessions[MODES][STATES];
    uint64_t waiting;
    uint64_t on_hold;
    int64_t waiting_since_ns; /* of who waits longest; 0: nobody does */
    uint64_t busy[NODES_MAX];
    uint64_t idle[NODES_MAX];
};

struct tally {
    struct database list[DATABASES_MAX + 1]; /* the last: all others */
    uint32_t count;
};

/* It may be written just now. */
static void
copy_name(char to[SLOT_NAME_BYTES], const char *name)
{
    memset(to, 0, SLOT_NAME_BYTES);
    memcpy(to, name, strnlen(name, SLOT_NAME_BYTES - 1));
}

static struct database *
find(struct tally *t, const char *name)
{
    char copy[SLOT_NAME_BYTES];

    copy_name(copy, name);
    for (uint32_t n = 0; n < t->count; n++) {
        if (strcmp(t->list[n].name, copy) == 0)
            return &t->list[n];
    }
    if (t->count == DATABASES_MAX)
        memcpy(copy, "(others)", sizeof("(others)"));
    memcpy(t->list[t->count].name, copy, sizeof(copy));
    return t->count == DATABASES_MAX ? &t->list[DATABASES_MAX] : &t->list[t->count++];
}

/* ---- counting ---- */

static int
mode_of(const struct config *config, const struct session_slot *slot)
{
    char database[SLOT_NAME_BYTES];
    char user[SLOT_NAME_BYTES];
    const struct config_limit *entry;

    if (config->limits.count == 0)
        return (int)config->pool_mode;
    copy_name(database, slot->database);
    copy_name(user, slot->user);
    entry = config_limit_find(&config->limits, database, user);
    return entry != NULL && entry->pool_mode >= 0 ? entry->pool_mode : (int)config->pool_mode;
}

static void
count_session(const struct inspect_input *in, struct tally *t, struct session_slot *slot,
              uint32_t state)
{
    struct database *db = find(t, state == SESSION_SLOT_LOGIN ? "" : slot->database);
    int64_t since_ns = atomic_load(&slot->waiting_since_ns);

    db->sessions[mode_of(in->config, slot)][state]++;
    db->on_hold += atomic_load(&slot->on_hold) != 0;
    if (since_ns == 0)
        return;
    db->waiting++;
    if (db->waiting_since_ns == 0 || since_ns < db->waiting_since_ns)
        db->waiting_since_ns = since_ns;
}

static void
count_child(const struct inspect_input *in, struct tally *t, uint32_t child_no)
{
    uint32_t left = atomic_load(&shared_child(in->shared, child_no)->sessions);
    const struct server_slot *server;
    uint32_t at = 0;

    for (uint32_t n = 0; left > 0 && n < shared_layout(in->shared)->sessions_per_child; n++) {
        struct session_slot *slot = shared_session(in->shared, child_no, n);
        uint32_t state = atomic_load(&slot->state);

        if (state == SESSION_SLOT_FREE || state >= STATES)
            continue;
        count_session(in, t, slot, state);
        left--;
    }
    while ((server = views_next_server(in->shared, child_no, &at)) != NULL) {
        struct database *db = find(t, server->database);

        if (server->node_id < 0 || server->node_id >= NODES_MAX)
            continue;
        if (server->session >= 0)
            db->busy[server->node_id]++;
        else
            db->idle[server->node_id]++;
    }
}

/* ---- showing ---- */

static void
show_sessions(const struct tally *t, struct metrics *m)
{
    metrics_family(m, "clients", "gauge", "Clients by database, pool_mode and state.");
    for (uint32_t n = 0; n <= DATABASES_MAX; n++) {
        const struct database *db = &t->list[n];

        for (int mode = 0; mode < MODES; mode++) {
            for (int state = SESSION_SLOT_LOGIN; state < STATES; state++) {
                const struct metrics_labels labels = {{{"database", db->name},
                                                       {"pool_mode", mode_words[mode]},
                                                       {"state", state_words[state]}}};
                if (db->sessions[mode][state] > 0)
                    metrics_count(m, &labels, db->sessions[mode][state]);
            }
        }
    }
}

static void
show_waiting(const struct tally *t, struct metrics *m)
{
    int64_t now_ns = clock_monotonic_ns();

    metrics_family(m, "clients_waiting", "gauge",
                   "Clients that wait for a server connection (SHOW pool_waiters).");
    for (uint32_t n = 0; n < t->count; n++)
        metrics_count(m, &(struct metrics_labels){{{"database", t->list[n].name}}},
                      t->list[n].waiting);
    metrics_family(m, "clients_longest_wait_seconds", "gauge",
                   "How long the one of them has waited that has waited longest.");
    for (uint32_t n = 0; n < t->count; n++) {
        int64_t since_ns = t->list[n].waiting_since_ns;

        metrics_time(m, &(struct metrics_labels){{{"database", t->list[n].name}}},
                     since_ns != 0 ? MAX(now_ns - since_ns, 0) / 1000 : 0);
    }
    metrics_family(m, "clients_on_hold", "gauge",
                   "Clients that wait for the end of a pause, a drain or a failover.");
    for (uint32_t n = 0; n < t->count; n++)
        metrics_count(m, &(struct metrics_labels){{{"database", t->list[n].name}}},
                      t->list[n].on_hold);
}

static void
show_connections(const struct inspect_input *in, const struct tally *t, struct metrics *m)
{
    metrics_family(m, "server_connections", "gauge",
                   "Connections to nodes: busy ones belong to a client, idle ones to the pool.");
    for (uint32_t n = 0; n <= DATABASES_MAX; n++) {
        for (uint32_t id = 0; id < in->config->backend_count; id++) {
            const struct database *db = &t->list[n];
            char number[VIEWS_NUMBER_BYTES];
            struct metrics_labels labels = {
                {{"node_id", views_number(id, number)}, {"database", db->name}, {"state", "busy"}}};

            if (db->busy[id] + db->idle[id] == 0)
                continue;
            metrics_count(m, &labels, db->busy[id]);
            labels.list[2].value = "idle";
            metrics_count(m, &labels, db->idle[id]);
        }
    }
    metrics_family(m, "server_connections_limit", "gauge",
                   "max_backend_connections: to each node, 0 for no limit.");
    metrics_count(m, NULL, (uint64_t)in->config->max_backend_connections);
}

static void
show_limits(const struct inspect_input *in, struct metrics *m)
{
    uint64_t accepted = 0;
    uint64_t places = 0;
    int64_t since_us;

    for (uint32_t n = 0; n < shared_layout(in->shared)->child_slots; n++) {
        accepted += shared_child(in->shared, n)->accepted_total;
        if (atomic_load(&shared_proc_of_child(in->shared, n)->pid) != 0 &&
            atomic_load(&shared_proc_of_child(in->shared, n)->retiring) == 0)
            places += shared_layout(in->shared)->sessions_per_child;
    }
    if (in->config->max_client_connections > 0)
        places = MIN(places, (uint64_t)in->config->max_client_connections);
    metrics_family(m, "clients_accepted_total", "counter", "Clients that have come.");
    metrics_count(m, NULL, accepted);
    metrics_family(m, "clients_limit", "gauge", "So many clients may be there at once.");
    metrics_count(m, NULL, places);
    metrics_family(m, "paused", "gauge", "1: pgpool pause is in force for all databases.");
    metrics_count(m, NULL, holds_all_paused(shared_holds(in->shared), &since_us));
}

void
metrics_clients(const struct inspect_input *in, struct metrics *m)
{
    struct tally *t = xcalloc(1, sizeof(*t));

    for (uint32_t n = 0; n < shared_layout(in->shared)->child_slots; n++)
        count_child(in, t, n);
    show_sessions(t, m);
    show_waiting(t, m);
    show_connections(in, t, m);
    show_limits(in, m);
    free(t);
}

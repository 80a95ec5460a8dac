/*
 * SHOW pool_waiters: who waits for a server connection, by child, database, user and node.
 *
 * Called through include/tables/views.def. Made from the clients' slots: a client writes there
 * since when it waits, and only when it really does. A child where nobody waits is not looked
 * through.
 */
#include "base/arena.h"
#include "config/config.h"
#include "inspect/views.h"
#include "ipc/shared.h"
#include "os/clock.h"

#include <stdlib.h>
#include <string.h>

/* One client that waits, and then the first of those that are alike in all but `since_ns`. */
struct waiter {
    char database[SLOT_NAME_BYTES];
    char user[SLOT_NAME_BYTES];
    int32_t node_id;
    uint32_t count;
    int64_t since_ns;
};

static int
compare(const void *a, const void *b)
{
    const struct waiter *x = a;
    const struct waiter *y = b;
    int order = strcmp(x->database, y->database);

    if (order == 0)
        order = strcmp(x->user, y->user);
    return order != 0 ? order : (x->node_id > y->node_id) - (x->node_id < y->node_id);
}

/* Copied: texts end, whatever happens. */
static bool
read_waiter(struct shared *shared, uint32_t child_no, uint32_t n, struct waiter *waiter_r)
{
    struct session_slot *slot = shared_session(shared, child_no, n);
    int64_t since_ns = atomic_load_explicit(&slot->waiting_since_ns, memory_order_acquire);

    if (since_ns == 0 || atomic_load(&slot->state) == SESSION_SLOT_FREE ||
        slot->waits_for_node < 0 || slot->waits_for_node >= NODES_MAX)
        return false;
    *waiter_r = (struct waiter){.node_id = slot->waits_for_node, .count = 1, .since_ns = since_ns};
    memcpy(waiter_r->database, slot->database, SLOT_NAME_BYTES - 1);
    memcpy(waiter_r->user, slot->user, SLOT_NAME_BYTES - 1);
    return true;
}

/* Those of a child, in order; free() them. */
static struct waiter *
read_waiters(struct shared *shared, uint32_t child_no, uint32_t *count_r)
{
    uint32_t expected = atomic_load(&shared_child(shared, child_no)->sessions);
    struct waiter *waiters = xcalloc(MAX(expected, 1U), sizeof(*waiters));
    uint32_t count = 0;

    for (uint32_t n = 0; n < shared_layout(shared)->sessions_per_child && expected > 0; n++) {
        if (atomic_load(&shared_session(shared, child_no, n)->state) == SESSION_SLOT_FREE)
            continue;
        expected--;
        if (read_waiter(shared, child_no, n, &waiters[count]))
            count++;
    }
    qsort(waiters, count, sizeof(*waiters), compare);
    *count_r = count;
    return waiters;
}

/* What it waits for: that of its entry in pool_limits, if there are as many as that allows; else
 * that of all. */
static uint32_t
limit_of(const struct inspect_input *in, const struct waiter *w, uint32_t *group_r)
{
    const struct config_limit *entry = config_limit_find(&in->config->limits, w->database, w->user);

    *group_r = 0;
    if (entry == NULL || entry->group == 0)
        return (uint32_t)in->config->max_backend_connections;
    if (in->config->max_backend_connections > 0 &&
        shared_connections(in->shared, (struct shared_place){entry->group, w->node_id}) <
            entry->max_connections)
        return (uint32_t)in->config->max_backend_connections;
    *group_r = entry->group;
    return entry->max_connections;
}

static void
show(const struct inspect_input *in, uint32_t child_no, const struct waiter *w, inspect_row_fn *row,
     void *ctx)
{
    int32_t pid = atomic_load(&shared_proc_of_child(in->shared, child_no)->pid);
    int64_t wait_ms = (clock_monotonic_ns() - w->since_ns) / NS_PER_MS;
    struct shared_place place = {0, w->node_id};
    uint32_t limit = limit_of(in, w, &place.group);
    char texts[6][VIEWS_NUMBER_BYTES];

    row(ctx,
        (const char *const[]){views_number(pid, texts[0]), w->database, w->user,
                              views_number(w->node_id, texts[1]), views_number(w->count, texts[2]),
                              views_number(MAX(wait_ms, 0), texts[3]),
                              views_number(limit, texts[4]),
                              views_number(shared_connections(in->shared, place), texts[5])},
        8);
}

void
inspect_pool_waiters(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    for (uint32_t child_no = 0; child_no < shared_layout(in->shared)->child_slots; child_no++) {
        struct waiter *waiters;
        uint32_t count;
        uint32_t next;

        if (atomic_load(&shared_child(in->shared, child_no)->waiters) == 0)
            continue;
        waiters = read_waiters(in->shared, child_no, &count);
        for (uint32_t at = 0; at < count; at = next) {
            struct waiter *first = &waiters[at];
            for (next = at + 1; next < count && compare(first, &waiters[next]) == 0; next++) {
                first->count++;
                first->since_ns = MIN(first->since_ns, waiters[next].since_ns);
            }
            show(in, child_no, first, row, ctx);
        }
        free(waiters);
    }
}

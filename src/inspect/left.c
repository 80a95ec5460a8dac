/*
 * What a pause or a drain still waits for; and SHOW pool_holds: what is paused and drained.
 *
 * Called by the parent for `pgpool pause` and `pgpool drain`, by the process for administration,
 * and through include/tables/views.def. Made from the slots of server connections, which are
 * complete: a child that has said that it knows of it opens no more, and has shown those that it
 * has. What is not shown for want of slots is still counted in shared memory.
 */
#include "inspect/left.h"

#include "base/str.h"
#include "inspect/views.h"
#include "ipc/shared.h"

#include <stdio.h>
#include <string.h>

enum { WORDS_BYTES = 1024 };

struct left {
    struct shared *shared;
    const struct hold_request *r;
    inspect_left_fn *fn;
    void *ctx;
    uint32_t count;
};

static bool
concerns(const struct hold_request *r, const char *database, int node_id)
{
    if (r->verb == HOLD_DRAIN)
        return node_id == r->node_id;
    return r->database[0] == '\0' || strncmp(database, r->database, SLOT_NAME_BYTES - 1) == 0;
}

/* Of a session's slot: why it has the connection. */
static void
print_why(const struct session_slot *s, char *text_r, size_t room)
{
    char keeps[VIEWS_KEEPS_BYTES];
    uint32_t state = atomic_load(&((struct session_slot *)(uintptr_t)s)->state);

    if (state == SESSION_SLOT_IN_TX)
        snprintf(text_r, room, "in a transaction");
    else if (state == SESSION_SLOT_ACTIVE)
        snprintf(text_r, room, "in a statement");
    else if (s->keeps != 0)
        snprintf(text_r, room, "keeps its connection: %s", views_keeps(s->keeps, keeps));
    else if (state == SESSION_SLOT_IDLE)
        snprintf(text_r, room, "between transactions, in session mode or about to give it back");
    else
        snprintf(text_r, room, "logging in");
}

static void
tell_server(const struct left *l, uint32_t child_no, const struct server_slot *server)
{
    const uint32_t per_child = shared_layout(l->shared)->sessions_per_child;
    struct session_slot s = {.host = ""};
    char why[VIEWS_KEEPS_BYTES + 64] = "it is being opened or closed";
    char words[WORDS_BYTES];
    char from[SLOT_HOST_BYTES + 16] = "";

    if (server->session >= 0 && (uint32_t)server->session < per_child) {
        memcpy(&s, shared_session(l->shared, child_no, (uint32_t)server->session), sizeof(s));
        s.host[SLOT_HOST_BYTES - 1] = '\0';
        print_why(&s, why, sizeof(why));
        snprintf(from, sizeof(from), " from %s", s.host);
    }
    snprintf(words, sizeof(words), "user \"%.63s\" of database \"%.63s\"%s, node %d: %s",
             server->user, server->database, from, (int)server->node_id, why);
    l->fn(l->ctx, words);
}

static void
look_at_child(struct left *l, uint32_t child_no)
{
    uint32_t count = shared_servers_per_child(l->shared);

    for (uint32_t n = 0; n < count; n++) {
        struct server_slot *slot = shared_server(l->shared, child_no, n);
        struct server_slot server;

        if (atomic_load(&slot->used) == 0) {
            if (slot->created_at_us == 0)
                return; /* it and those behind it were never used */
            continue;
        }
        memcpy(&server, slot, sizeof(server));
        server.database[SLOT_NAME_BYTES - 1] = server.user[SLOT_NAME_BYTES - 1] = '\0';
        if (!concerns(l->r, server.database, server.node_id))
            continue;
        l->count++;
        if (l->fn != NULL)
            tell_server(l, child_no, &server);
    }
}

/* Of those that are counted. A database's are not, by themselves. */
static uint32_t
count_all(const struct left *l)
{
    uint32_t count = 0;

    for (int node_id = 0; node_id < NODES_MAX; node_id++) {
        if (l->r->database[0] == '\0' && concerns(l->r, "", node_id))
            count += shared_connections(l->shared, (struct shared_place){0, node_id});
    }
    return count;
}

uint32_t
inspect_left(struct shared *shared, const struct hold_request *r, inspect_left_fn *fn, void *ctx)
{
    struct left l = {.shared = shared, .r = r, .fn = fn, .ctx = ctx};
    uint32_t epoch = holds_epoch(shared_holds(shared));
    uint32_t deaf = 0;
    char words[WORDS_BYTES];

    for (uint32_t n = 0; n < shared_layout(shared)->child_slots; n++) {
        int32_t pid = atomic_load(&shared_proc_of_child(shared, n)->pid);

        if (pid == 0)
            continue;
        if (atomic_load(&shared_child(shared, n)->holds_seen) != epoch) {
            deaf++;
            snprintf(words, sizeof(words), "process %d has not heard of it yet", (int)pid);
            if (fn != NULL)
                fn(ctx, words);
        }
        look_at_child(&l, n);
    }
    return MAX(l.count, count_all(&l)) + deaf;
}

uint32_t
inspect_in_the_way(struct shared *shared)
{
    uint32_t epoch = holds_epoch(shared_holds(shared));
    uint32_t count = 0;

    for (uint32_t n = 0; n < shared_layout(shared)->child_slots; n++) {
        struct child_slot *child = shared_child(shared, n);

        if (atomic_load(&shared_proc_of_child(shared, n)->pid) == 0)
            continue;
        /* in this order: what it has counted before it heard of it says nothing */
        if (atomic_load(&child->holds_seen) != epoch)
            count++;
        else
            count += atomic_load(&child->in_the_way);
    }
    return count;
}

uint32_t
inspect_keeping(struct shared *shared, bool (*fn)(uint32_t keeps))
{
    const struct shared_layout *layout = shared_layout(shared);
    uint32_t count = 0;

    for (uint32_t child_no = 0; child_no < layout->child_slots; child_no++) {
        uint32_t expected = atomic_load(&shared_child(shared, child_no)->sessions);

        for (uint32_t n = 0; expected > 0 && n < layout->sessions_per_child; n++) {
            struct session_slot *s = shared_session(shared, child_no, n);

            if (atomic_load(&s->state) == SESSION_SLOT_FREE)
                continue;
            expected--;
            count += fn(s->keeps);
        }
    }
    return count;
}

uint32_t
inspect_held(struct shared *shared, const struct hold_request *r)
{
    const struct shared_layout *layout = shared_layout(shared);
    int32_t wanted = r->verb == HOLD_DRAIN ? SESSION_HOLD_NODE : SESSION_HOLD_PAUSE;
    uint32_t count = 0;

    for (uint32_t child_no = 0; child_no < layout->child_slots; child_no++) {
        uint32_t expected = atomic_load(&shared_child(shared, child_no)->sessions);

        for (uint32_t n = 0; expected > 0 && n < layout->sessions_per_child; n++) {
            struct session_slot *s = shared_session(shared, child_no, n);

            if (atomic_load(&s->state) == SESSION_SLOT_FREE)
                continue;
            expected--;
            count += atomic_load(&s->on_hold) == wanted &&
                     (wanted == SESSION_HOLD_NODE || concerns(r, s->database, -1));
        }
    }
    return count;
}

/* ---- SHOW pool_holds ---- */

static void
show(const struct inspect_input *in, const struct hold_request *r, int64_t since_us,
     inspect_row_fn *row, void *ctx)
{
    char since[VIEWS_TIME_BYTES];
    char texts[3][VIEWS_NUMBER_BYTES];
    bool drain = r->verb == HOLD_DRAIN;
    bool writes = r->verb == HOLD_WRITES;
    uint32_t left =
        writes ? inspect_in_the_way(in->shared) : inspect_left(in->shared, r, NULL, NULL);
    const char *name = drain ? views_number(r->node_id, texts[0]) : r->database;

    row(ctx,
        (const char *const[]){drain                    ? "drained node"
                              : writes                 ? "paused writes"
                              : r->database[0] != '\0' ? "paused database"
                                                       : "paused",
                              name, views_time(since_us, since),
                              views_number(inspect_held(in->shared, r), texts[1]),
                              views_number(left, texts[2])},
        5);
}

void
inspect_pool_holds(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    const struct holds *h = shared_holds(in->shared);
    struct hold_request r = {.verb = HOLD_PAUSE};
    int64_t since_us;

    if (holds_all_paused(h, &since_us))
        show(in, &r, since_us, row, ctx);
    r.verb = HOLD_WRITES;
    if (holds_writes(h, &since_us))
        show(in, &r, since_us, row, ctx);
    r.verb = HOLD_PAUSE;
    for (uint32_t n = 0; n < HOLDS_DATABASES_MAX; n++) {
        if (holds_database(h, n, r.database, &since_us))
            show(in, &r, since_us, row, ctx);
    }
    r = (struct hold_request){.verb = HOLD_DRAIN};
    for (; r.node_id < NODES_MAX; r.node_id++) {
        if (holds_drained(h, r.node_id, &since_us))
            show(in, &r, since_us, row, ctx);
    }
}

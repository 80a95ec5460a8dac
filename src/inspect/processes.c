/*
 * Views of the children: pool_processes (one row per client) and pool_pools (one row per server
 * connection). A child without any has one row that says so.
 *
 * Slots are taken from the front, so a walk ends at the last one in use: memory that no child has
 * touched is not touched here either. Rows may be seen in the middle of a change; texts are copied
 * with their bounds before they are shown.
 */
#include "base/str.h"
#include "inspect/views.h"
#include "ipc/shared.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>

/* A child as the rows repeat it. */
struct child_row {
    uint32_t child_no;
    char pid[VIEWS_NUMBER_BYTES];
    char started[VIEWS_TIME_BYTES];
    char accepted[VIEWS_NUMBER_BYTES];
};

static bool
read_child(struct shared *shared, uint32_t child_no, struct child_row *child_r)
{
    struct proc_slot *process = shared_proc_of_child(shared, child_no);
    int32_t pid = atomic_load(&process->pid);

    if (pid == 0)
        return false;
    child_r->child_no = child_no;
    views_number(pid, child_r->pid);
    views_time(process->started_at_us, child_r->started);
    views_number((int64_t)shared_child(shared, child_no)->accepted_total, child_r->accepted);
    return true;
}

const char *
views_session_state(uint32_t state)
{
    switch (state) {
    case SESSION_SLOT_LOGIN:
        return "Connecting";
    case SESSION_SLOT_IDLE:
        return "Idle";
    case SESSION_SLOT_ACTIVE:
        return "Execute command";
    case SESSION_SLOT_IN_TX:
        return "Idle in transaction";
    default:
        return "Wait for connection";
    }
}

/* Slots never used end the walk. */
const struct server_slot *
views_next_server(struct shared *shared, uint32_t child_no, uint32_t *at_io)
{
    while (*at_io < shared_servers_per_child(shared)) {
        const struct server_slot *server = shared_server(shared, child_no, (*at_io)++);

        if (atomic_load(&((struct server_slot *)(uintptr_t)server)->used) != 0)
            return server;
        if (server->created_at_us == 0)
            break;
    }
    return NULL;
}

static const struct server_slot *
server_of(struct shared *shared, uint32_t child_no, uint32_t session_no)
{
    const struct server_slot *server;
    uint32_t at = 0;

    while ((server = views_next_server(shared, child_no, &at)) != NULL)
        if (server->session == (int32_t)session_no)
            return server;
    return NULL;
}

static void
show_session(const struct child_row *child, const struct session_slot *session,
             const struct server_slot *server, inspect_row_fn *row, void *ctx)
{
    char database[SLOT_NAME_BYTES];
    char user[SLOT_NAME_BYTES];
    char connected[VIEWS_TIME_BYTES];
    char served[VIEWS_NUMBER_BYTES];
    uint32_t state = atomic_load(&((struct session_slot *)(uintptr_t)session)->state);

    str_copy_n(database, sizeof(database), session->database,
               strnlen(session->database, sizeof(database) - 1));
    str_copy_n(user, sizeof(user), session->user, strnlen(session->user, sizeof(user) - 1));
    row(ctx,
        (const char *const[]){
            child->pid,
            child->started,
            child->accepted,
            database,
            user,
            views_time(server != NULL ? server->created_at_us : 0, connected),
            views_number(server != NULL ? server->pool_counter : 0, served),
            views_session_state(state),
        },
        8);
}

static uint32_t
show_sessions(const struct inspect_input *in, const struct child_row *child, inspect_row_fn *row,
              void *ctx)
{
    uint32_t expected = atomic_load(&shared_child(in->shared, child->child_no)->sessions);
    uint32_t shown = 0;

    for (uint32_t n = 0; shown < expected && n < shared_layout(in->shared)->sessions_per_child;
         n++) {
        struct session_slot *session = shared_session(in->shared, child->child_no, n);

        if (atomic_load(&session->state) == SESSION_SLOT_FREE)
            continue;
        show_session(child, session, server_of(in->shared, child->child_no, n), row, ctx);
        shown++;
    }
    return shown;
}

void
inspect_pool_processes(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    struct child_row child;

    for (uint32_t n = 0; n < shared_layout(in->shared)->child_slots; n++) {
        if (!read_child(in->shared, n, &child) || show_sessions(in, &child, row, ctx) > 0)
            continue;
        row(ctx,
            (const char *const[]){child.pid, child.started, child.accepted, "", "", "", "0",
                                  views_session_state(SESSION_SLOT_FREE)},
            8);
    }
}

/* A server connection and the client that holds it, copied: texts end, whatever happens. */
struct pool_row {
    struct server_slot server;
    struct session_slot session; /* all zeroes when no client holds it */
};

static void
read_pool(struct shared *shared, uint32_t child_no, const struct server_slot *server,
          struct pool_row *pool_r)
{
    memset(&pool_r->session, 0, sizeof(pool_r->session));
    memcpy(&pool_r->server, server, sizeof(pool_r->server));
    if (pool_r->server.session >= 0 &&
        (uint32_t)pool_r->server.session < shared_layout(shared)->sessions_per_child)
        memcpy(&pool_r->session, shared_session(shared, child_no, (uint32_t)pool_r->server.session),
               sizeof(pool_r->session));
    pool_r->server.database[SLOT_NAME_BYTES - 1] = '\0';
    pool_r->server.user[SLOT_NAME_BYTES - 1] = '\0';
    pool_r->session.host[SLOT_HOST_BYTES - 1] = '\0';
    pool_r->session.statement[SLOT_STATEMENT_BYTES - 1] = '\0';
}

static void
show_pool(const struct child_row *child, uint32_t pool_no, const struct pool_row *pool,
          inspect_row_fn *row, void *ctx)
{
    const struct server_slot *server = &pool->server;
    const struct session_slot *session = &pool->session;
    uint32_t state = atomic_load(&((struct session_slot *)(uintptr_t)session)->state);
    bool held = state != SESSION_SLOT_FREE;
    char texts[8][VIEWS_NUMBER_BYTES];
    char created[VIEWS_TIME_BYTES];
    char connected[VIEWS_TIME_BYTES];
    char disconnected[VIEWS_TIME_BYTES];

    row(ctx,
        (const char *const[]){
            child->pid,
            child->started,
            child->accepted,
            views_number(pool_no, texts[0]),
            views_number(server->node_id, texts[1]),
            server->database,
            server->user,
            views_time(server->created_at_us, created),
            views_time(server->client_connected_at_us, connected),
            views_time(server->client_disconnected_at_us, disconnected),
            views_number(held || server->client_disconnected_at_us == 0
                             ? 0
                             : MAX(clock_wall_us() - server->client_disconnected_at_us, 0) /
                                   1000000,
                         texts[2]),
            "3",
            views_number(server->protocol_minor, texts[3]),
            views_number(server->pool_counter, texts[4]),
            views_number(server->backend_pid, texts[5]),
            held ? "1" : "0",
            views_session_state(state),
            held && session->load_balance_node == server->node_id ? "1" : "0",
            session->host,
            held ? views_number(session->port, texts[6]) : "",
            session->statement,
        },
        21);
}

void
inspect_pool_pools(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    struct child_row child;

    for (uint32_t n = 0; n < shared_layout(in->shared)->child_slots; n++) {
        const struct server_slot *server;
        uint32_t at = 0;
        bool any = false;

        if (!read_child(in->shared, n, &child))
            continue;
        while ((server = views_next_server(in->shared, n, &at)) != NULL) {
            struct pool_row pool;

            read_pool(in->shared, n, server, &pool);
            show_pool(&child, at - 1, &pool, row, ctx);
            any = true;
        }
        if (!any)
            row(ctx,
                (const char *const[]){child.pid,
                                      child.started,
                                      child.accepted,
                                      "0",
                                      "",
                                      "",
                                      "",
                                      "",
                                      "",
                                      "",
                                      "0",
                                      "",
                                      "",
                                      "0",
                                      "0",
                                      "0",
                                      views_session_state(SESSION_SLOT_FREE),
                                      "0",
                                      "",
                                      "",
                                      ""},
                21);
    }
}

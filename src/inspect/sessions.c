/*
 * SHOW pool_sessions: every client, how many server connections it holds, and what keeps it from
 * giving them back between transactions.
 *
 * Called through include/tables/views.def.
 */
#include "base/str.h"
#include "inspect/views.h"
#include "ipc/shared.h"

#include <string.h>

/* Copied: texts end, whatever happens. */
static bool
read_session(struct shared *shared, uint32_t child_no, uint32_t n, struct session_slot *copy_r)
{
    struct session_slot *slot = shared_session(shared, child_no, n);

    if (atomic_load(&slot->state) == SESSION_SLOT_FREE)
        return false;
    memcpy(copy_r, slot, sizeof(*copy_r));
    copy_r->database[SLOT_NAME_BYTES - 1] = copy_r->user[SLOT_NAME_BYTES - 1] = '\0';
    copy_r->application[SLOT_NAME_BYTES - 1] = copy_r->host[SLOT_HOST_BYTES - 1] = '\0';
    return true;
}

static uint32_t
count_servers(struct shared *shared, uint32_t child_no, uint32_t session)
{
    uint32_t count = 0;

    for (uint32_t n = 0; n < shared_servers_per_child(shared); n++) {
        const struct server_slot *server = shared_server(shared, child_no, n);
        count += atomic_load(&server->used) != 0 && server->session == (int32_t)session;
    }
    return count;
}

const char *
views_keeps(uint32_t keeps, char text_r[VIEWS_KEEPS_BYTES])
{
    static const char *const words[] = {
#define SESSION_KEEPS(id, words, pins, asked) words,
#include "tables/keeps.def"
#undef SESSION_KEEPS
    };
    size_t len = 0;

    text_r[0] = '\0';
    for (size_t n = 0; n < ARRAY_LEN(words); n++) {
        if (!(keeps & 1u << n))
            continue;
        str_copy(text_r + len, VIEWS_KEEPS_BYTES - len, len > 0 ? "; " : "");
        len += strlen(text_r + len);
        str_copy(text_r + len, VIEWS_KEEPS_BYTES - len, words[n]);
        len += strlen(text_r + len);
    }
    return text_r;
}

static void
show_session(struct shared *shared, uint32_t child_no, uint32_t n, inspect_row_fn *row, void *ctx)
{
    char texts[5][VIEWS_NUMBER_BYTES];
    char keeps[VIEWS_KEEPS_BYTES];
    struct session_slot s;

    if (!read_session(shared, child_no, n, &s))
        return;
    row(ctx,
        (const char *const[]){
            views_number(atomic_load(&shared_proc_of_child(shared, child_no)->pid), texts[0]),
            views_number(n, texts[1]), s.database, s.user, s.application, s.host,
            views_number(s.port, texts[2]), views_session_state(atomic_load(&s.state)),
            views_number(s.load_balance_node, texts[3]),
            views_number(count_servers(shared, child_no, n), texts[4]),
            views_keeps(s.keeps, keeps)},
        11);
}

void
inspect_pool_sessions(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    const struct shared_layout *layout = shared_layout(in->shared);

    for (uint32_t child_no = 0; child_no < layout->child_slots; child_no++) {
        uint32_t expected = atomic_load(&shared_child(in->shared, child_no)->sessions);
        for (uint32_t n = 0; expected > 0 && n < layout->sessions_per_child; n++) {
            if (atomic_load(&shared_session(in->shared, child_no, n)->state) == SESSION_SLOT_FREE)
                continue;
            show_session(in->shared, child_no, n, row, ctx);
            expected--;
        }
    }
}

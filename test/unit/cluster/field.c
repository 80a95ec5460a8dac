/*
 * The servers of the plan's random test.
 */
#include "field.h"

static struct field the_field;
struct field *const field = &the_field;

uint32_t
dice(uint32_t sides)
{
    field->seed ^= field->seed << 13;
    field->seed ^= field->seed >> 7;
    field->seed ^= field->seed << 17;
    return (uint32_t)(field->seed >> 33) % sides;
}

bool
is_reachable(int id)
{
    return field->servers[id].running && !field->servers[id].frozen;
}

void
promote_server(int id, uint64_t epoch)
{
    struct server *server = &field->servers[id];

    server->promotes_late = false;
    if (!server->running || !server->in_recovery)
        return;
    if (field->branch_count == BRANCHES_MAX)
        return;
    field->branches[field->branch_count] = (struct branch){
        server->branch, server->lsn, field->branches[server->branch].timeline + 1, epoch};
    server->branch = field->branch_count++;
    server->in_recovery = false;
    server->lsn += 1;
}

/* Is the standby's history a beginning of the other's? */
static bool
can_stream(const struct server *standby, const struct server *from)
{
    uint64_t limit = from->lsn;

    for (int branch = from->branch; branch >= 0; branch = field->branches[branch].parent) {
        if (branch == standby->branch)
            return standby->lsn <= limit;
        limit = field->branches[branch].fork_lsn;
    }
    return false;
}

bool
streams(int id, int from_id)
{
    const struct server *standby = &field->servers[id];

    return id != from_id && standby->running && standby->in_recovery && !standby->frozen &&
           standby->upstream == from_id && is_reachable(from_id) &&
           !field->servers[from_id].in_recovery && can_stream(standby, &field->servers[from_id]);
}

void
replicate(void)
{
    for (int id = 0; id < field->nodes; id++) {
        struct server *standby = &field->servers[id];
        int from_id = standby->upstream;

        if (from_id < 0 || standby->paused || !streams(id, from_id) ||
            (!field->quiet && dice(3) == 0))
            continue;
        standby->branch = field->servers[from_id].branch;
        standby->lsn = field->servers[from_id].lsn;
    }
}

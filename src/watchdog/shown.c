/*
 * The payload of the watchdog's area: who is known, and as what.
 *
 * Members are those of the last picture, those of its roster that have no key (they are lost), and
 * this one, which is there before it has joined.
 */
#include "watchdog/shown.h"

#include "base/str.h"
#include "watchdog/internal.h"

#include <string.h>

_Static_assert((int)CLUSTER_PGPOOLS_MAX == (int)WD_MEMBERS_MAX, "all members are shown");
_Static_assert((int)PGPOOL_ADDRESS_GOING == (int)WD_ADDRESS_GOING, "the same order");

/* The entry of that number, made when there is none; NULL: there is no room for it. */
static struct cluster_pgpool *
entry_of(struct cluster_pgpools *shown, uint32_t id)
{
    uint32_t at = 0;

    while (at < shown->count && shown->list[at].id < id)
        at++;
    if (at < shown->count && shown->list[at].id == id)
        return &shown->list[at];
    if (shown->count == CLUSTER_PGPOOLS_MAX)
        return NULL;
    memmove(&shown->list[at + 1], &shown->list[at], (shown->count - at) * sizeof(shown->list[0]));
    memset(&shown->list[at], 0, sizeof(shown->list[0]));
    shown->list[at].id = id;
    shown->list[at].state = PGPOOL_LOST;
    shown->count++;
    return &shown->list[at];
}

static enum pgpool_state
state_of(const struct wd *wd, const struct wd_member *member)
{
    const struct wd_leader *leader = &wd->seen.leader;

    if (leader->term != 0 && leader->id == member->id && leader->incarnation == member->incarnation)
        return PGPOOL_LEADER;
    if (member->leaving)
        return PGPOOL_LEAVING;
    return member->isolated ? PGPOOL_ISOLATED : PGPOOL_STANDBY;
}

static void
fill_member(struct cluster_pgpool *entry, const struct wd_member *member)
{
    entry->priority = member->priority;
    entry->incarnation = member->incarnation;
    entry->applied = member->applied;
    entry->fenced_epoch = member->fenced_epoch;
    entry->alive = member->alive;
    entry->dead = member->dead;
}

/* Of ourselves we know more than a picture: it may be old. */
static void
fill_self(const struct wd *wd, const struct wd_config *config, struct cluster_pgpools *shown)
{
    struct cluster_pgpool *entry = entry_of(shown, config->id);

    if (entry == NULL)
        return;
    fill_member(entry, &wd->self);
    entry->priority = config->priority;
    if (wd->stopping)
        entry->state = PGPOOL_LEAVING;
    else if (!wd_has_lease(wd, wd->now_ns))
        entry->state = PGPOOL_JOINING;
    else if (shown->leads)
        entry->state = PGPOOL_LEADER;
    else
        entry->state = wd->self.isolated ? PGPOOL_ISOLATED : PGPOOL_STANDBY;
}

void
wd_shown_fill(const struct wd *wd, const struct wd_config *config, const struct wd_shown_more *more,
              struct cluster_pgpools *shown)
{
    const struct wd_picture *seen = &wd->seen;
    struct cluster_pgpool *entry;

    memset(shown, 0, sizeof(*shown));
    shown->enabled = true;
    shown->own_id = config->id;
    shown->leader_id = seen->leader.term != 0 ? (int32_t)seen->leader.id : -1;
    shown->term = seen->leader.term;
    shown->leads = wd->now_ns < wd_leads_until_ns(wd);
    shown->lease_until_ns = wd->lease_until_ns;
    shown->reached_ns = wd->seen_sent_ns;
    shown->state_revision = wd->applied;
    shown->epoch = wd->state.epoch;
    shown->writes_until_ns = wd_writes_until_ns(wd, config);
    shown->address = wd->address;
    shown->escalated = wd->escalated;
    str_copy(shown->endpoint, sizeof(shown->endpoint), more->endpoint);
    for (uint32_t n = 0; n < seen->member_count; n++) {
        entry = entry_of(shown, seen->members[n].id);
        if (entry == NULL)
            continue;
        fill_member(entry, &seen->members[n]);
        entry->state = (uint8_t)state_of(wd, &seen->members[n]);
    }
    for (uint32_t n = 0; n < seen->roster_count; n++) {
        entry = entry_of(shown, seen->roster[n].id);
        if (entry != NULL && wd_picture_live(seen, &seen->roster[n]) == NULL &&
            entry->incarnation == 0)
            entry->incarnation = seen->roster[n].incarnation;
    }
    fill_self(wd, config, shown);
    for (uint32_t n = 0; n < shown->count && more->difference != NULL; n++)
        str_copy(shown->list[n].difference, PGPOOL_DIFFERENCE_BYTES,
                 more->difference(more->ctx, shown->list[n].id));
}

/*
 * The watchdog: one event, one turn. The contract stands in watchdog/watchdog.h.
 *
 * Invariants: pure; one request of a kind at a time; what is asked of etcd again and again can be
 * done twice; a picture never replaces a newer one.
 */
#include "watchdog/internal.h"

#include "base/log.h"

#include <string.h>

void
wd_config_times(struct wd_config *config, int64_t ttl_ns)
{
    config->ttl_ns = ttl_ns;
    config->margin_ns = ttl_ns / 6;
    config->renew_ns = ttl_ns / 6;
    config->fetch_ns = ttl_ns / 12;
    config->stagger_ns = ttl_ns / 10;
    config->retry_ns = ttl_ns / 6;
    config->alone_ns = NS_PER_S;
    config->excuse_ns = 600 * NS_PER_S;
    config->apply_ns = 5 * NS_PER_S;
    config->handover_ns = NS_PER_S;
    config->pause_ns = 2 * ttl_ns;
}

void
wd_init(struct wd *wd, const struct wd_config *config)
{
    memset(wd, 0, sizeof(*wd));
    wd->state.primary_id = wd->state.candidate_id = -1;
    wd->state.last_primary_id = wd->state.told_id = -1;
    wd->self.id = config->id;
    wd->self.incarnation = config->incarnation;
    wd->address = WD_RULE(LEFT_IS_UP, !config->address_left) ? WD_ADDRESS_DOWN : WD_ADDRESS_GOING;
}

/* ---- actions --------------------------------------------------------------------------------- */

struct wd_action *
wd_do(struct wd_turn *turn, enum wd_action_kind kind)
{
    struct wd_action *action;

    if (turn->actions->count == WD_ACTIONS_MAX)
        BUG("more actions than there is room for");
    action = &turn->actions->list[turn->actions->count++];
    memset(action, 0, sizeof(*action));
    action->kind = (uint8_t)kind;
    return action;
}

struct wd_action *
wd_ask(struct wd_turn *turn, enum wd_request request)
{
    struct wd_pending *pending = &turn->wd->pending[request];
    struct wd_action *action;

    if (pending->serial != 0)
        return NULL;
    if (++turn->wd->serial == 0)
        turn->wd->serial = 1;
    *pending = (struct wd_pending){.serial = turn->wd->serial, .sent_ns = turn->now_ns};
    action = wd_do(turn, WD_DO_ASK);
    action->request = (uint8_t)request;
    action->serial = pending->serial;
    action->lease = turn->wd->lease;
    action->term = turn->wd->term;
    return action;
}

void
wd_tell(struct wd_turn *turn, const char *text)
{
    wd_do(turn, WD_DO_TELL)->text = text;
}

/* ---- pictures -------------------------------------------------------------------------------- */

void
wd_fetch_now(struct wd *wd)
{
    wd->hurry = true;
}

static void
take_picture(struct wd_turn *turn, int64_t sent_ns)
{
    struct wd *wd = turn->wd;
    const struct wd_picture *picture = turn->event->picture;
    bool first;

    if (turn->event->answer != WD_OK || picture == NULL || picture->revision < wd->seen.revision)
        return;
    wd_fence_pictured(turn); /* compares with the one before */
    first = wd->seen.revision == 0;
    wd->seen = *picture;
    wd->seen_sent_ns = sent_ns;
    if (first) /* what an earlier process of ours has asked for may still be done */
        wd->resigned_term = picture->leader.term;
    wd_member_pictured(turn);
    wd_leader_pictured(turn);
}

static void
fetch(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;

    if (!wd->hurry && turn->now_ns < wd->next_fetch_ns)
        return;
    if (wd_ask(turn, WD_FETCH) == NULL)
        return;
    wd->hurry = false;
    wd->next_fetch_ns = turn->now_ns + turn->config->fetch_ns;
}

/* ---- events ---------------------------------------------------------------------------------- */

static void
take_answer(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;
    const struct wd_event *event = turn->event;
    struct wd_pending pending;

    if (event->request >= WD_REQUESTS)
        return;
    pending = wd->pending[event->request];
    if (event->serial == 0 || pending.serial != event->serial)
        return;
    wd->pending[event->request].serial = 0;
    switch (event->request) {
    case WD_FETCH:
        take_picture(turn, pending.sent_ns);
        break;
    case WD_COMMIT:
        wd_leader_committed(turn);
        break;
    case WD_CAMPAIGN:
    case WD_RESIGN:
    case WD_FORGET:
        wd_fetch_now(wd); /* the next picture tells what has become of it */
        break;
    default:
        wd_member_answered(turn, pending.sent_ns);
        break;
    }
}

static void
take_fact(struct wd *wd, const struct wd_fact *fact)
{
    struct wd_node *node;

    if (fact == NULL || fact->node_id < 0 || fact->node_id >= CLUSTER_NODES_MAX)
        return;
    node = &wd->nodes[fact->node_id];
    if (fact->began_ns < node->fact.began_ns)
        return;
    node->fact = *fact;
    if (fact->answered && fact->streams && fact->began_ns > node->cut_ns)
        node->cut_ns = 0; /* somebody made it follow again */
}

static void
take_event(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;
    const struct wd_event *event = turn->event;

    switch (event->kind) {
    case WD_TICK:
        break;
    case WD_CHANGED:
        wd_fetch_now(wd);
        break;
    case WD_ANSWERED:
        take_answer(turn);
        break;
    case WD_FACT:
        take_fact(wd, event->fact);
        break;
    case WD_PROPOSED:
        wd_leader_propose(turn);
        break;
    case WD_FENCED_HERE:
        wd->self.fenced_epoch = MAX(wd->self.fenced_epoch, event->epoch);
        break;
    case WD_CUT:
        for (int node_id = 0; node_id < CLUSTER_NODES_MAX; node_id++)
            if (cluster_set_has(&event->set, node_id) && wd->nodes[node_id].cut_ns == 0)
                wd->nodes[node_id].cut_ns = turn->now_ns;
        break;
    case WD_OLD_STOPPED:
        wd->old_stopped = wd->old_stopped || event->epoch == wd->state.epoch;
        break;
    case WD_SURROUNDINGS:
        wd->isolated = !event->done;
        break;
    case WD_ADDRESS_ENDED:
        if (event->done && wd->address == WD_ADDRESS_COMING)
            wd->address = WD_ADDRESS_UP;
        else if (event->done && wd->address == WD_ADDRESS_GOING)
            wd->address = WD_ADDRESS_DOWN;
        break;
    case WD_STOP:
        wd->stopping = true;
        break;
    case WD_CLOSED:
        wd->closed = true;
        break;
    }
}

void
wd_handle(struct wd *wd, const struct wd_config *config, const struct wd_event *event,
          struct wd_actions *actions)
{
    struct wd_turn turn = {wd, config, event, actions, event->now_ns};

    if (wd->left)
        return;
    wd->now_ns = event->now_ns;
    take_event(&turn);
    wd_leader_settle(&turn);
    wd_address_settle(&turn);
    wd_fence_settle(&turn);
    wd_member_settle(&turn);
    if (!wd->left)
        fetch(&turn);
}

int64_t
wd_next_ns(const struct wd *wd, const struct wd_config *config)
{
    int64_t next_ns = INT64_MAX;

    if (wd->left)
        return next_ns;
    next_ns = wd_sooner(wd, next_ns, wd->next_fetch_ns);
    next_ns = wd_sooner(wd, next_ns, wd_member_next_ns(wd));
    next_ns = wd_sooner(wd, next_ns, wd_leader_next_ns(wd, config));
    next_ns = wd_sooner(wd, next_ns, wd_fence_next_ns(wd, config));
    return wd_sooner(wd, next_ns, wd->next_address_ns);
}

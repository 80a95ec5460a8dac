/*
 * Native replication: the main node is lost, and what a session had there is on the others, too.
 *
 * A temporary table, or what a function has set, was made on all nodes by the same statements; and
 * each copy's connection is the session's alone as long as it has such things. So the session goes
 * on: when one of the copies' nodes is the main one, the connection that the session has there
 * becomes the one to the main node (session_link), with all that is on it. Until then the session
 * is bereft: it gives no connection back, and gets no new one to a main node. Should the node that
 * was lost be the main one all the same, as it came back at once, what the session had is gone, and
 * so is the session; it is, too, where the connection to the new main node was lost as well.
 *
 * Called by answers.c and session.c (the loss), keeps.c (what a session has left) and session.c
 * (the new main node). Invariants: what only the main node has run is never taken for something
 * that the copies have; a connection that is taken over was there before the session left anything,
 * and nothing is under way on it.
 */
#include "session/copies.h"

#include "base/log.h"
#include "config/config.h"

#include <stdlib.h>

#define BIT(id) (1u << SESSION_KEEPS_##id)

/* What statements for all nodes leave, on all. The rest is on the main node alone, or is told to
 * whatever connection needs it. */
static const uint32_t of_all_nodes =
    BIT(TEMPORARY) | BIT(SETTING) | BIT(FUNCTION) | BIT(LIBRARY) | BIT(UNKNOWN);

static struct copy *
copy_at(const struct list *it)
{
    return list_entry(it, struct copy, link);
}

/* ---- what is where? ---------------------------------------------------------------------------
 */

void
copies_note_kept(struct session *s, uint32_t kinds, bool anew)
{
    struct session_copies *c = s->copies;
    bool on_all =
        c->rule.way == COPIES_ALL && c->phase >= COPIES_RUNS && c->phase <= COPIES_SETTLES;

    if (anew)
        c->main_only &= ~kinds;
    if (!on_all)
        c->main_only |= kinds;
}

void
copies_note_found(struct session *s, uint32_t asked, uint32_t found)
{
    struct session_copies *c = s->copies;

    if (c->main_only & asked)
        c->main_only |= found;
    else
        c->main_only &= ~found;
}

/* Has it all that the session has left there? */
static bool
has_all(const struct copy *copy)
{
    return copy->server != NULL && copy->server->state == SERVER_LENT && copy->ties &&
           !copy->renewed;
}

uint32_t
copies_lasting(const struct session *s)
{
    const struct session_copies *c = s->copies;

    if (session_pool_mode(s) == CONFIG_POOL_MODE_TRANSACTION ||
        (c->phase == COPIES_COMMITS && !copies_again_awaits_commit(c)))
        return 0; /* else its connections go on without it */
    list_for_each (it, &c->copies) {
        if (has_all(copy_at(it)) && c->host->view->nodes[copy_at(it)->node_id].copy)
            return of_all_nodes & ~c->main_only;
    }
    return 0;
}

bool
copies_commits(const struct session *s)
{
    return s->copies->phase == COPIES_COMMITS;
}

bool
copies_has_committed(const struct session *s)
{
    return s->copies->phase == COPIES_FINISHES && s->copies->commits;
}

/* ---- the main node is lost --------------------------------------------------------------------
 */

void
copies_bereave(struct session *s, int node_id)
{
    s->copies->bereft = BEREFT;
    s->copies->lost_id = (int16_t)node_id;
    log_debug("node %d: what the session has on all nodes is taken over from the next main node",
              node_id);
}

bool
copies_is_bereft(const struct session *s)
{
    return s->copies->bereft != BEREFT_NOT;
}

void
copies_main_lives(struct session *s)
{
    s->copies->bereft = BEREFT_FOR_GOOD;
}

bool
copies_is_disinherited(const struct session *s)
{
    return s->copies->bereft == BEREFT_FOR_GOOD;
}

/* ---- there is another one ---------------------------------------------------------------------
 */

/* Parameters: a connection on which functions may have set some has what the main node had; once it
 * is known what that is, it is set anew. */
static void
settle_parameters(struct session *s, struct copy *copy, struct server *server)
{
    if (!copy->sets)
        return; /* as of any other connection */
    if (!copies_know_parameters(s)) {
        settings_are_there(s, server);
        return;
    }
    copies_bring_anew(s, server);
    s->replaying = server;
}

enum copies_heir
copies_take_over(struct session *s, int node_id, struct server **server_r)
{
    struct session_copies *c = s->copies;
    struct copy *copy = copies_find(c, node_id);
    struct server *server;

    if (copy == NULL || !has_all(copy) || copies_is_busy(s) || !server_is_idle(copy->server))
        return node_id == c->lost_id && copy == NULL ? COPIES_LOOK_THERE : COPIES_NO_HEIR;
    server = copy->server;
    server->ops = &session_server_ops;
    server->owner = s;
    server->watched = 0;
    settle_parameters(s, copy, server);
    list_remove(&copy->link);
    free(copy);
    c->bereft = BEREFT_NOT;
    log_info("the session goes on with what it has on node %d, which is the main node now",
             node_id);
    *server_r = server;
    return COPIES_HEIR;
}

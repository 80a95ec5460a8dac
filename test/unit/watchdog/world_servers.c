/*
 * The servers, what members see of them, and what clients write.
 */
#include "world.h"

#include <string.h>

static bool
is_up(int server)
{
    const struct server *s = &world->servers[server];

    return s->running && world->now_ns >= s->frozen_until_ns;
}

bool
server_answers(int member, int server)
{
    return is_up(server) && world->players[member].to_server[server];
}

bool
server_streams(int server)
{
    const struct server *s = &world->servers[server];
    const struct server *from;

    if (!is_up(server) || !s->in_recovery || s->upstream < 0 || s->upstream == server)
        return false;
    from = &world->servers[s->upstream];
    return is_up(s->upstream) && !from->in_recovery && world->link[server][s->upstream] &&
           (s->history == from->history || s->history == from->parent);
}

void
server_promote(int server, uint64_t epoch)
{
    struct server *s = &world->servers[server];

    s->late = false;
    if (!s->running || !s->in_recovery)
        return;
    if (epoch < EPOCHS_MAX) {
        if (world->committed[epoch] != server)
            wrong("a promotion without its commit");
        if (world->promoted[epoch] >= 0)
            wrong("two promotions in one epoch");
        world->promoted[epoch] = (int8_t)server;
    }
    story("server %d is promoted, epoch %lu", server, epoch);
    s->in_recovery = false;
    s->upstream = -1;
    s->parent = s->history;
    s->history = ++world->histories;
    s->timeline++;
    world->promotions++;
}

void
servers_step(void)
{
    for (int server = 0; server < SERVERS; server++) {
        struct server *s = &world->servers[server];

        if (server_streams(server)) {
            s->history = world->servers[s->upstream].history;
            s->timeline = world->servers[s->upstream].timeline;
        }
        if (s->late && is_up(server) && (world->quiet || dice(40) == 0))
            server_promote(server, s->late_epoch);
    }
}

/* ---- what members see ------------------------------------------------------------------------ */

void
probe(int member)
{
    struct player *p = &world->players[member];
    struct mail *mail = post(MAIL_FACTS, member, delay_ns() / 2);

    servers_step();
    for (int server = 0; server < SERVERS; server++) {
        const struct server *s = &world->servers[server];
        struct wd_fact fact = {.node_id = server, .began_ns = local_ns(p)};

        if (server_answers(member, server)) {
            p->misses[server] = 0;
            fact.alive = fact.answered = true;
            fact.in_recovery = s->in_recovery;
            fact.streams = server_streams(server);
            fact.timeline = s->timeline;
            fact.system_identifier = SYSTEM;
        } else {
            fact.dead = ++p->misses[server] > (s->running ? 3 : 1);
        }
        mail->facts[server] = fact;
    }
}

/* ---- clients --------------------------------------------------------------------------------- */

/* A child has a connection that was checked at its birth, and looks at the clock. Somebody else is
 * the primary as soon as he was promoted with the consent of the committed state. */
void
write_something(int member)
{
    struct player *p = &world->players[member];
    const struct wd_state *acted = &p->acted;
    const struct wd_state *truth = &world->etcd.state;
    const struct server *s;
    int primary = acted->primary_id;

    if (primary < 0 || local_ns(p) >= p->writes_until_ns || !server_answers(member, primary))
        return;
    s = &world->servers[primary];
    if (s->in_recovery || s->timeline != acted->timeline)
        return;
    p->wrote++;
    world->writes++;
    if (p->wd.lease == 0 || local_ns(p) >= p->wd.lease_until_ns)
        world->alone_writes++;
    if (truth->primary_id >= 0 && truth->primary_id != primary)
        wrong("a write to a server that is not the primary any more");
    if (truth->candidate_id >= 0 && truth->candidate_id != primary &&
        !world->servers[truth->candidate_id].in_recovery &&
        world->servers[truth->candidate_id].timeline > truth->timeline)
        wrong("a write to the old primary after a promotion");
}

/* ---- orders ---------------------------------------------------------------------------------- */

void
order_arrives(struct mail *mail)
{
    struct server *s = &world->servers[mail->server];

    servers_step();
    if (mail->kind == MAIL_CUT) {
        struct mail *done = post(MAIL_CUT_DONE, mail->member, delay_ns());

        done->life = mail->life;
        for (int server = 0; server < SERVERS; server++) {
            if (!server_answers(mail->member, server) || !world->servers[server].in_recovery)
                continue;
            world->servers[server].upstream = -1;
            cluster_set_add(&done->event.set, server);
        }
        return;
    }
    if (!server_answers(mail->member, mail->server))
        return;
    if (mail->kind == MAIL_FOLLOW) {
        if (s->in_recovery)
            s->upstream = mail->action.kind;
    } else if (!world->quiet && dice(8) == 0) {
        s->late = s->in_recovery;
        s->late_epoch = mail->action.epoch;
    } else {
        server_promote(mail->server, mail->action.epoch);
    }
}

/*
 * The world's clockwork: what comes next, who hears of it, and what is checked behind it.
 */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct world the_world;
struct world *const world = &the_world;

uint32_t
dice(uint32_t sides)
{
    world->seed ^= world->seed << 13;
    world->seed ^= world->seed >> 7;
    world->seed ^= world->seed << 17;
    return (uint32_t)(world->seed >> 33) % sides;
}

void
wrong(const char *what)
{
    if (world->wrong[0] == '\0')
        snprintf(world->wrong, sizeof(world->wrong), "%s", what);
}

void
story(const char *fmt, ...)
{
    va_list args;

    if (!world->told)
        return;
    printf("%9.3f ", (double)world->now_ns / NS_PER_S);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
}

bool
wd_rule_is_broken(enum wd_rule rule)
{
    return rule == world->broken;
}

/* ---- time ------------------------------------------------------------------------------------ */

int64_t
local_ns(const struct player *p)
{
    return p->clock_ns + world->now_ns / 1000000 * (1000000 + p->clock_ppm);
}

static int64_t
real_ns(const struct player *p, int64_t at_ns)
{
    if (at_ns == INT64_MAX)
        return at_ns;
    return ((at_ns - p->clock_ns) / (1000000 + p->clock_ppm) + 1) * 1000000;
}

bool
is_frozen(const struct player *p)
{
    return world->now_ns < p->frozen_until_ns;
}

int64_t
delay_ns(void)
{
    if (world->quiet || !world->slow)
        return (1 + dice(5)) * NS_PER_MS;
    return dice(3) == 0 ? dice(1500) * NS_PER_MS : dice(60) * NS_PER_MS;
}

/* ---- mail ------------------------------------------------------------------------------------ */

struct mail *
post(enum mail_kind kind, int member, int64_t delay)
{
    int at = 0;
    struct mail *mail;

    while (at < world->mail_used && world->mail[at].due_ns != INT64_MAX)
        at++;
    if (at == MAIL_MAX)
        fail_msg("more mail than there is room for");
    if (at == world->mail_used)
        world->mail_used++;
    mail = &world->mail[at];
    memset(mail, 0, offsetof(struct mail, self));
    mail->due_ns = world->now_ns + delay;
    mail->sent_ns = world->now_ns;
    mail->kind = (uint8_t)kind;
    mail->member = (uint8_t)member;
    mail->life = world->players[member].life;
    return mail;
}

/* ---- actions --------------------------------------------------------------------------------- */

static void
ask(int member, const struct wd_action *action)
{
    struct player *p = &world->players[member];
    struct mail *mail = post(MAIL_REQUEST, member, delay_ns());

    mail->action = *action;
    if (action->request == WD_COMMIT)
        mail->state = p->wd.proposal;
    else
        mail->self = p->wd.self;
}

/* The children hear of it, and act on it a while later. */
static void
publish(int member, const struct wd_state *state, int64_t revision)
{
    struct player *p = &world->players[member];
    struct mail *mail;

    if (revision < p->published_revision)
        wrong("an older state was published");
    p->published = *state;
    p->published_revision = revision;
    mail = post(MAIL_ACTED, member,
                (!world->quiet && dice(20) == 0 ? dice(3000) : 1 + dice(50)) * NS_PER_MS);
    mail->state = *state;
    mail->action.revision = revision;
}

static void
address(int member, const struct wd_action *action)
{
    struct player *p = &world->players[member];

    if (action->kind == WD_DO_ADDRESS_KEEP) {
        p->holds_until_ns = action->until_ns;
        return;
    }
    post(MAIL_ADDRESS, member, (1 + dice(world->quiet ? 50 : 600)) * NS_PER_MS)->on =
        action->kind == WD_DO_ADDRESS_UP;
    if (action->kind == WD_DO_ADDRESS_UP) {
        p->holds = true; /* at once: that is the worse case */
        p->holds_until_ns = action->until_ns;
    }
}

static void
carry_out(int member, const struct wd_action *action)
{
    struct player *p = &world->players[member];

    if (action->kind != WD_DO_ASK)
        story("member %d does %u, epoch %lu, revision %ld", member, action->kind, p->wd.state.epoch,
              action->revision);
    switch ((enum wd_action_kind)action->kind) {
    case WD_DO_ASK:
        ask(member, action);
        break;
    case WD_DO_APPLY:
        publish(member, &p->wd.state, action->revision);
        break;
    case WD_DO_JUDGE:
        if (action->revision > 0)
            publish(member, &p->wd.state, action->revision);
        judge_begin(member);
        break;
    case WD_DO_STOP_JUDGING:
        p->judge.active = false;
        break;
    case WD_DO_COMMITTED:
        publish(member, &p->wd.state, action->revision);
        judge_committed(member, action->proposal);
        break;
    case WD_DO_FENCED:
        if (action->epoch == p->wd.state.epoch)
            p->judge.fenced = true;
        break;
    case WD_DO_CUT:
        post(MAIL_CUT, member, delay_ns());
        break;
    case WD_DO_ADDRESS_UP:
    case WD_DO_ADDRESS_KEEP:
    case WD_DO_ADDRESS_DOWN:
        address(member, action);
        break;
    case WD_DO_END:
        p->running = false;
        p->life++;
        p->writes_until_ns = 0;
        p->back_ns = world->now_ns + (200 + dice(3000)) * NS_PER_MS;
        break;
    default:
        break;
    }
}

void
tell(int member, struct wd_event event)
{
    struct player *p = &world->players[member];
    struct wd_actions actions = {0};
    uint32_t life = p->life;

    event.now_ns = local_ns(p);
    wd_handle(&p->wd, &p->config, &event, &actions);
    for (uint32_t n = 0; n < actions.count && p->life == life; n++)
        carry_out(member, &actions.list[n]);
    if (!p->running)
        return;
    p->writes_until_ns = wd_writes_until_ns(&p->wd, &p->config);
    p->leads_until_ns = wd_leads_until_ns(&p->wd);
    p->tick_ns = MAX(real_ns(p, wd_next_ns(&p->wd, &p->config)), world->now_ns + NS_PER_MS);
}

/* ---- what arrives ---------------------------------------------------------------------------- */

static void
acted(int member, const struct mail *mail)
{
    struct player *p = &world->players[member];

    if (mail->action.revision < p->acted_revision)
        return; /* they look at what is newest */
    p->acted_revision = mail->action.revision;
    p->acted = mail->state;
    tell(member, (struct wd_event){.kind = WD_FENCED_HERE, .epoch = mail->state.epoch});
}

static void
address_ended(int member, bool up)
{
    struct player *p = &world->players[member];
    bool done = world->quiet || dice(10) != 0;

    if (up && p->wd.address != WD_ADDRESS_COMING)
        return; /* that command was ended by the next one */
    if (!up && p->wd.address != WD_ADDRESS_GOING)
        return;
    if (!up && done)
        p->holds = false;
    tell(member, (struct wd_event){.kind = WD_ADDRESS_ENDED, .done = done});
}

static void
deliver(struct mail *at)
{
    struct mail mail = *at;
    int member = mail.member;
    struct player *p = &world->players[member];

    at->due_ns = INT64_MAX;
    while (world->mail_used > 0 && world->mail[world->mail_used - 1].due_ns == INT64_MAX)
        world->mail_used--;
    if (mail.kind == MAIL_REQUEST) {
        etcd_execute(&mail);
        return;
    }
    if (mail.kind == MAIL_PROMOTE || mail.kind == MAIL_FOLLOW || mail.kind == MAIL_CUT) {
        order_arrives(&mail);
        return;
    }
    if (!p->running || p->life != mail.life)
        return;
    if (mail.kind == MAIL_ANSWER) {
        mail.event.picture = &p->answer;
        tell(member, mail.event);
    } else if (mail.kind == MAIL_FACTS) {
        for (int server = 0; server < SERVERS; server++)
            tell(member, (struct wd_event){.kind = WD_FACT, .fact = &mail.facts[server]});
    } else if (mail.kind == MAIL_ACTED) {
        acted(member, &mail);
    } else if (mail.kind == MAIL_ADDRESS) {
        address_ended(member, mail.on);
    } else if (mail.kind == MAIL_CUT_DONE) {
        tell(member, (struct wd_event){.kind = WD_CUT, .set = mail.event.set});
    } else {
        tell(member, (struct wd_event){.kind = WD_CLOSED});
    }
    judge_think(member);
}

/* ---- checks ---------------------------------------------------------------------------------- */

static void
check(void)
{
    int leaders = 0;
    int holders = 0;

    for (int n = 0; n < MEMBERS; n++) {
        const struct player *p = &world->players[n];

        leaders += p->running && local_ns(p) < p->leads_until_ns;
        holders += p->holds && local_ns(p) < p->holds_until_ns && !p->config.keep_address;
    }
    if (leaders > 1)
        wrong("two members lead");
    if (holders > 1)
        wrong("two members hold the address");
}

/* ---- the next event -------------------------------------------------------------------------- */

struct next {
    int64_t due_ns;
    int member; /* -1: none */
    struct mail *mail;
};

static void
sooner(struct next *next, int64_t due_ns, int member, struct mail *mail)
{
    if (due_ns < next->due_ns)
        *next = (struct next){due_ns, member, mail};
}

static bool
waits_for_member(const struct mail *mail)
{
    return mail->kind != MAIL_REQUEST && mail->kind != MAIL_PROMOTE && mail->kind != MAIL_FOLLOW &&
           mail->kind != MAIL_CUT;
}

static struct next
find_next(void)
{
    struct next next = {world->fault_ns, -1, NULL};

    for (int at = 0; at < world->mail_used; at++) {
        struct mail *mail = &world->mail[at];
        int64_t due_ns = mail->due_ns;

        if (due_ns < next.due_ns && waits_for_member(mail))
            due_ns = MAX(due_ns, world->players[mail->member].frozen_until_ns);
        sooner(&next, due_ns, -1, mail);
    }
    for (int n = 0; n < MEMBERS; n++) {
        const struct player *p = &world->players[n];
        int64_t due_ns = MIN(MIN(p->tick_ns, p->probe_ns), p->write_ns);

        if (!p->running)
            sooner(&next, p->back_ns, n, NULL);
        else
            sooner(&next, MAX(due_ns, p->frozen_until_ns), n, NULL);
    }
    return next;
}

static void
run_player(int member)
{
    struct player *p = &world->players[member];

    if (!p->running) {
        start_player(member, true);
    } else if (p->tick_ns <= world->now_ns) {
        tell(member, (struct wd_event){.kind = WD_TICK});
        judge_think(member);
    } else if (p->probe_ns <= world->now_ns) {
        p->probe_ns = world->now_ns + (400 + dice(200)) * NS_PER_MS;
        probe(member);
    } else {
        p->write_ns = world->now_ns + (50 + dice(300)) * NS_PER_MS;
        write_something(member);
    }
}

void
world_step(void)
{
    struct next next = find_next();

    world->events++;
    world->now_ns = MAX(world->now_ns, next.due_ns);
    etcd_expire();
    if (next.mail != NULL)
        deliver(next.mail);
    else if (next.member >= 0)
        run_player(next.member);
    else
        fault();
    check();
}

/* ---- beginning and end ----------------------------------------------------------------------- */

void
world_begin(uint64_t seed, enum wd_rule broken)
{
    memset(world, 0, sizeof(*world));
    world->seed = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    world->broken = broken;
    world->told = getenv("WD_RANDOM_TELL") != NULL;
    world->etcd.revision = 1;
    world->now_ns = 100 * NS_PER_S;
    world->fault_ns = world->now_ns + 4 * NS_PER_S;
    memset(world->committed, -1, sizeof(world->committed));
    memset(world->promoted, -1, sizeof(world->promoted));
    memset(world->link, true, sizeof(world->link));
    for (int server = 0; server < SERVERS; server++)
        world->servers[server] = (struct server){.running = true,
                                                 .in_recovery = server != 0,
                                                 .timeline = 1,
                                                 .parent = -1,
                                                 .upstream = server != 0 ? 0 : -1};
    for (int n = 0; n < 8; n++)
        dice(2);
    world->keep = dice(6) == 0;
    world->lonely = seed % 4 == 0;
    world->restless = seed % 4 == 2;
    for (int n = 0; n < MEMBERS; n++) {
        struct player *p = &world->players[n];

        p->clock_ns = (int64_t)dice(1000000) * NS_PER_S / 10;
        p->clock_ppm = (int64_t)dice(10000) - 5000;
        p->to_etcd = p->from_etcd = true;
        memset(p->to_server, true, sizeof(p->to_server));
        start_player(n, true);
    }
}

bool
world_is_whole(void)
{
    const struct etcd *etcd = &world->etcd;
    int primary = etcd->state.primary_id;
    int holders = 0;

    if (etcd->leader.term == 0 || primary < 0 || world->servers[primary].in_recovery)
        return false;
    for (int server = 0; server < SERVERS; server++)
        if (server != primary &&
            (!server_streams(server) || !cluster_set_has(&etcd->state.in, server)))
            return false;
    for (int n = 0; n < MEMBERS; n++) {
        const struct player *p = &world->players[n];

        if (!p->running || p->stopping || p->wd.applied != etcd->state_revision ||
            p->acted.primary_id != primary || local_ns(p) >= p->writes_until_ns)
            return false;
        if (p->holds && local_ns(p) < p->holds_until_ns) {
            holders++;
            if ((int)etcd->leader.id != n)
                return false;
        }
    }
    return holders == 1 &&
           memcmp(&etcd->state.electable, &etcd->state.in, sizeof(etcd->state.in)) == 0;
}

void
world_print(void)
{
    const struct etcd *etcd = &world->etcd;

    print_error("etcd%s: leader %u term %ld, state %ld: epoch %lu primary %d timeline %u phase %u "
                "candidate %d in %lx electable %lx\n",
                etcd->lost ? " lost" : "", etcd->leader.id, etcd->leader.term, etcd->state_revision,
                etcd->state.epoch, etcd->state.primary_id, etcd->state.timeline, etcd->state.phase,
                etcd->state.candidate_id, etcd->state.in.bits[0], etcd->state.electable.bits[0]);
    for (int n = 0; n < MEMBERS; n++) {
        const struct player *p = &world->players[n];

        print_error("member %d%s%s: lease %lu left %ld ms, term %ld%s%s, applied %ld, acted %lu, "
                    "writes %ld ms, address %d%s, missing %u, to etcd %d %d, servers %d%d%d\n",
                    n, p->running ? "" : " dead", is_frozen(p) ? " frozen" : "", p->wd.lease,
                    (long)((p->wd.lease_until_ns - local_ns(p)) / NS_PER_MS), p->wd.term,
                    p->wd.judging ? " judging" : "", p->wd.fenced ? " fenced" : "", p->wd.applied,
                    p->wd.self.fenced_epoch, (long)((p->writes_until_ns - local_ns(p)) / NS_PER_MS),
                    p->wd.address, p->holds ? " held" : "", p->wd.missing_count, p->to_etcd,
                    p->from_etcd, p->to_server[0], p->to_server[1], p->to_server[2]);
    }
    for (int server = 0; server < SERVERS; server++) {
        const struct server *s = &world->servers[server];

        print_error("server %d: %s %s timeline %u history %d of %d, upstream %d%s\n", server,
                    s->running ? "runs" : "dead", s->in_recovery ? "standby" : "primary",
                    s->timeline, s->history, s->parent, s->upstream,
                    server_streams(server) ? ", streams" : "");
    }
}

/*
 * What goes wrong, and how members begin and end.
 */
#include "world.h"

#include <string.h>

static void
configure(struct player *p, uint32_t id)
{
    struct wd_config *config = &p->config;

    memset(config, 0, sizeof(*config));
    wd_config_times(config, 3 * NS_PER_S);
    config->fetch_ns = 500 * NS_PER_MS;
    config->excuse_ns = 5 * NS_PER_S;
    config->apply_ns = 2 * NS_PER_S;
    config->id = id;
    config->priority = (int32_t)dice(3);
    config->nodes_hash = 1;
    config->node_count = SERVERS;
    config->consensus = true;
    config->address = true;
    config->keep_address = world->keep;
    for (int server = 0; server < SERVERS; server++)
        cluster_set_add(&config->nodes, server);
}

/* anew: all of pgpool; else the watchdog process alone was forked again. */
void
start_player(int member, bool anew)
{
    struct player *p = &world->players[member];

    if (anew) {
        configure(p, (uint32_t)member);
        p->config.incarnation = (uint64_t)world->now_ns + (uint64_t)member;
        memset(&p->acted, 0, sizeof(p->acted));
        p->acted.primary_id = -1;
        p->writes_until_ns = 0;
        p->published_revision = p->acted_revision = 0;
        memset(p->misses, 0, sizeof(p->misses));
    }
    story("member %d starts%s", member, anew ? "" : " its watchdog");
    p->life++;
    p->running = true;
    p->stopping = false;
    p->back_ns = 0;
    p->leads_until_ns = 0;
    memset(&p->judge, 0, sizeof(p->judge));
    p->config.address_left = p->holds && local_ns(p) < p->holds_until_ns;
    wd_init(&p->wd, &p->config);
    p->probe_ns = p->write_ns = world->now_ns + dice(200) * NS_PER_MS;
    tell(member, (struct wd_event){.kind = WD_FENCED_HERE, .epoch = p->acted.epoch});
}

/* With all children; the address stays as long as the kernel has it. */
static void
kill_player(struct player *p)
{
    story("member %u is killed", p->config.id);
    p->running = p->judge.active = false;
    p->life++;
    p->writes_until_ns = 0;
    p->leads_until_ns = 0;
    p->back_ns = world->now_ns + (500 + dice(9000)) * NS_PER_MS;
    if (p->config.keep_address)
        p->holds = false;
}

static void
stop_player(struct player *p, int member, int64_t after_ms)
{
    if (p->stopping || !p->running)
        return;
    p->stopping = true;
    tell(member, (struct wd_event){.kind = WD_STOP});
    post(MAIL_CLOSED, member, after_ms * NS_PER_MS);
}

static void
hurt_player(struct player *p, int member)
{
    switch (dice(5)) {
    case 0:
        kill_player(p);
        break;
    case 1: /* the watchdog process alone; the address stays as long as the kernel has it */
        if (p->stopping)
            break;
        start_player(member, false);
        break;
    case 2:
        stop_player(p, member, 100 + dice(3000));
        break;
    default:
        p->frozen_until_ns = world->now_ns + (100 + dice(8000)) * NS_PER_MS;
        break;
    }
}

static void
hurt_server(struct server *s)
{
    if (dice(2) == 0)
        s->frozen_until_ns = world->now_ns + (100 + dice(6000)) * NS_PER_MS;
    else
        s->running = !s->running;
}

/* A person who rebuilds what is no part of the cluster any more. */
static void
rebuild(void)
{
    const struct wd_state *truth = &world->etcd.state;
    int primary = truth->primary_id;

    if (primary < 0 || world->servers[primary].in_recovery)
        return;
    for (int server = 0; server < SERVERS; server++) {
        struct server *s = &world->servers[server];

        if (server == primary || !s->running || s->late || server_streams(server) ||
            (!world->quiet && dice(3) != 0))
            continue;
        if (s->in_recovery && s->history == world->servers[primary].history && dice(4) != 0)
            continue;
        s->in_recovery = true;
        s->upstream = primary;
        s->history = world->servers[primary].history;
        s->parent = world->servers[primary].parent;
        s->timeline = world->servers[primary].timeline;
    }
}

static bool
toss(bool open)
{
    return open ? dice(3) != 0 : dice(2) == 0;
}

static void
hurt_links(struct player *p)
{
    if (dice(2) == 0) {
        p->to_etcd = toss(p->to_etcd);
        p->from_etcd = toss(p->from_etcd);
    } else {
        for (int server = 0; server < SERVERS; server++)
            p->to_server[server] = toss(p->to_server[server]);
    }
}

/* Half of the world on one side, half on the other; etcd is with one of them. */
static void
split(void)
{
    unsigned members = dice(1 << MEMBERS);
    unsigned servers = dice(1 << SERVERS);

    for (int n = 0; n < MEMBERS; n++) {
        struct player *p = &world->players[n];

        p->to_etcd = p->from_etcd = (members >> n & 1) != 0;
        for (int server = 0; server < SERVERS; server++)
            p->to_server[server] = (members >> n & 1) == (servers >> server & 1);
    }
    for (int a = 0; a < SERVERS; a++)
        for (int b = 0; b < SERVERS; b++)
            world->link[a][b] = (servers >> a & 1) == (servers >> b & 1);
}

static void
repair(void)
{
    struct etcd *etcd = &world->etcd;

    if (etcd->lost)
        for (int n = 0; n < LEASES_MAX; n++)
            etcd->leases[n].ends_ns = world->now_ns + 3 * NS_PER_S;
    etcd->lost = false;
    world->slow = false;
    memset(world->link, true, sizeof(world->link));
    for (int n = 0; n < MEMBERS; n++) {
        struct player *p = &world->players[n];

        p->to_etcd = p->from_etcd = true;
        memset(p->to_server, true, sizeof(p->to_server));
    }
    for (int server = 0; server < SERVERS; server++)
        world->servers[server].running = true;
}

static void
lonely_fault(void)
{
    struct player *p = &world->players[0];

    p->to_etcd = p->from_etcd = world->events < 250;
    if (dice(3) == 0)
        rebuild();
    else
        world->servers[1 + dice(2)].running = dice(3) != 0;
    p = &world->players[1 + dice(2)];
    p->to_server[dice(SERVERS)] = dice(3) != 0;
}

void
fault(void)
{
    int member = (int)dice(MEMBERS);
    struct player *p = &world->players[member];

    world->fault_ns = world->now_ns + (100 + dice(2500)) * NS_PER_MS;
    if (world->quiet) {
        rebuild();
        return;
    }
    if (world->restless) {
        stop_player(p, member, 20 + dice(100));
        world->fault_ns = world->now_ns + (50 + dice(1000)) * NS_PER_MS;
        world->slow = dice(4) == 0;
        if (dice(8) == 0)
            rebuild();
        return;
    }
    if (world->lonely) {
        lonely_fault();
        return;
    }
    switch (dice(10)) {
    case 0:
    case 1:
        if (p->running)
            hurt_player(p, member);
        break;
    case 2:
        hurt_server(&world->servers[dice(SERVERS)]);
        break;
    case 3:
        hurt_links(p);
        break;
    case 4:
        split();
        break;
    case 5:
        world->etcd.lost = true;
        break;
    case 6:
        world->slow = !world->slow;
        break;
    case 7:
    case 8:
        repair();
        break;
    default:
        rebuild();
        break;
    }
}

void
world_heal(void)
{
    world->quiet = true;
    repair();
    for (int n = 0; n < MEMBERS; n++)
        world->players[n].frozen_until_ns = MIN(world->players[n].frozen_until_ns, world->now_ns);
    for (int server = 0; server < SERVERS; server++)
        world->servers[server].frozen_until_ns = 0;
}

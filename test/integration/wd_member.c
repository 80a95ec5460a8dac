/*
 * A member of a watchdog on a real etcd, without the rest of pgpool, for test_watchdog_etcd.py:
 * parameters as name=value (hosts, prefix, id, priority, ttl_s, and nodes, the list of nodes with a
 * semicolon behind each), commands on standard input:
 *
 *   dead N | alive N    what this member sees of a node, again and again from then on
 *   fence               when it judges: the primary is laid down
 *   publish N           when it judges: N is the primary
 *   stop                hands over and leaves
 *
 * What it does is printed, one event in a line, with the moment (CLOCK_BOOTTIME, ms): the same
 * clock for all that run on one machine. "leads UNTIL" comes whenever that is another moment.
 */
#include "base/num.h"
#include "base/str.h"
#include "cluster/pgpools.h"
#include "os/clock.h"
#include "watchdog/asker.h"
#include "watchdog/nodes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NODES = 3, FACTS_MS = 300 };

static struct {
    struct io *io;
    struct wd wd;
    struct wd_config config;
    struct wd_asker *asker;
    struct io_timer tick;
    struct io_timer facts;
    bool dead[NODES];
    bool judging;
    bool cut; /* standbys receive nothing any more */
    int64_t leads_until_ns;
    uint32_t proposal;
    char payload[64];
    char committed[64];
    char nodes[256];
    char differences[4][PGPOOL_DIFFERENCE_BYTES]; /* to members, as told */
    char input[4096];
    size_t input_len;
} me;

static const char *
parameter(int count, char **words, const char *name, const char *otherwise)
{
    size_t len = strlen(name);

    for (int n = 1; n < count; n++)
        if (strncmp(words[n], name, len) == 0 && words[n][len] == '=')
            return words[n] + len + 1;
    return otherwise;
}

static void say(const char *fmt, ...) PRINTF_LIKE(1, 2);

static void
say(const char *fmt, ...)
{
    va_list args;

    printf("%lld ", (long long)(clock_boottime_ns() / NS_PER_MS));
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
}

static void tell(struct wd_event event);

/* ---- what it does ---------------------------------------------------------------------------- */

static void
propose(struct wd_state state)
{
    snprintf(me.payload, sizeof(me.payload), "by member %u", me.config.id);
    tell((struct wd_event){.kind = WD_PROPOSED, .state = &state, .proposal = ++me.proposal});
}

static void
first_state(void)
{
    struct wd_state state = {.system_identifier = 7,
                             .nodes_hash = me.config.nodes_hash,
                             .timeline = 1,
                             .node_count = NODES,
                             .candidate_id = -1,
                             .in = me.config.nodes};

    propose(state);
}

/* Its children act at once. */
static void
applied(const char *how, int64_t revision)
{
    say("%s %lld epoch %llu primary %d", how, (long long)revision,
        (unsigned long long)me.wd.state.epoch, me.wd.state.primary_id);
    tell((struct wd_event){.kind = WD_FENCED_HERE, .epoch = me.wd.state.epoch});
}

static void
carry_out(const struct wd_action *action)
{
    static const struct cluster_set standbys = {{6}};

    switch ((enum wd_action_kind)action->kind) {
    case WD_DO_ASK:
        wd_asker_ask(me.asker, &me.wd, &me.config, action,
                     action->proposal != 0 ? me.payload : me.committed);
        break;
    case WD_DO_APPLY:
        applied("apply", action->revision);
        break;
    case WD_DO_JUDGE:
        me.judging = true;
        say("judge %lld", (long long)action->term);
        applied("apply", action->revision);
        if (action->revision == 0)
            first_state();
        break;
    case WD_DO_STOP_JUDGING:
        me.judging = false;
        say("stop");
        break;
    case WD_DO_COMMITTED:
        str_copy(me.committed, sizeof(me.committed), me.payload);
        applied("committed", action->revision);
        break;
    case WD_DO_FENCED:
        say("fenced %llu", (unsigned long long)action->epoch);
        break;
    case WD_DO_CUT:
        say("cut");
        me.cut = true;
        tell((struct wd_event){.kind = WD_CUT, .set = standbys});
        break;
    case WD_DO_ADDRESS_UP:
    case WD_DO_ADDRESS_DOWN:
        say(action->kind == WD_DO_ADDRESS_UP ? "up" : "down");
        tell((struct wd_event){.kind = WD_ADDRESS_ENDED, .done = true});
        break;
    case WD_DO_TELL:
        say("tells: %s", action->text);
        break;
    case WD_DO_END:
        say("end");
        io_stop(me.io);
        break;
    default:
        break;
    }
}

static void
on_tick(void *ctx UNUSED)
{
    tell((struct wd_event){.kind = WD_TICK});
}

static void
tell(struct wd_event event)
{
    struct wd_actions actions = {0};
    int64_t next_ns;

    event.now_ns = clock_boottime_ns();
    wd_handle(&me.wd, &me.config, &event, &actions);
    for (uint32_t n = 0; n < actions.count; n++)
        carry_out(&actions.list[n]);
    if (me.leads_until_ns != wd_leads_until_ns(&me.wd)) {
        me.leads_until_ns = wd_leads_until_ns(&me.wd);
        say("leads %lld", (long long)(me.leads_until_ns / NS_PER_MS));
    }
    next_ns = wd_next_ns(&me.wd, &me.config);
    if (next_ns != INT64_MAX)
        io_timer_start(me.io, &me.tick, MAX(0, (next_ns - event.now_ns) / NS_PER_MS) + 1, on_tick,
                       NULL);
}

/* ---- what it hears --------------------------------------------------------------------------- */

static void
see_lists(void)
{
    for (uint32_t id = 0; id < ARRAY_LEN(me.differences); id++) {
        const char *words = wd_asker_difference(me.asker, id);

        if (strcmp(words, me.differences[id]) != 0)
            say("differs %u %s", id, words);
        str_copy(me.differences[id], sizeof(me.differences[id]), words);
    }
}

static void
answered(void *ctx UNUSED, const struct wd_event *event, const char *payload, const struct err *err)
{
    if (err != NULL)
        say("trouble %s %s", err->sqlstate, err->message);
    if (payload != NULL && !me.judging)
        str_copy(me.committed, sizeof(me.committed), payload);
    see_lists();
    tell(*event);
}

static void
changed(void *ctx UNUSED)
{
    tell((struct wd_event){.kind = WD_CHANGED});
}

static void
see(void *ctx)
{
    for (int node_id = 0; node_id < NODES; node_id++) {
        struct wd_fact fact = {.node_id = node_id,
                               .began_ns = clock_boottime_ns(),
                               .alive = !me.dead[node_id],
                               .dead = me.dead[node_id],
                               .answered = !me.dead[node_id],
                               .in_recovery = node_id != 0,
                               .streams = node_id != 0 && !me.cut,
                               .timeline = 1,
                               .system_identifier = 7};

        tell((struct wd_event){.kind = WD_FACT, .fact = &fact});
    }
    io_timer_start(me.io, &me.facts, FACTS_MS, see, ctx);
}

static void
command(const char *line)
{
    struct wd_state state = me.wd.state;
    const char *number = strchr(line, ' ');
    uint32_t node_id = 0;

    if (number != NULL)
        num_parse_u32(number + 1, &node_id);
    if (strncmp(line, "dead", 4) == 0 || strncmp(line, "alive", 5) == 0) {
        me.dead[node_id % NODES] = line[0] == 'd';
    } else if (strcmp(line, "fence") == 0) {
        state.epoch++;
        state.primary_id = -1;
        propose(state);
    } else if (strncmp(line, "publish", 7) == 0) {
        state.primary_id = (int32_t)node_id;
        state.timeline++;
        propose(state);
    } else if (strcmp(line, "stop") == 0) {
        tell((struct wd_event){.kind = WD_STOP});
        tell((struct wd_event){.kind = WD_CLOSED});
    }
}

static void
input(void *ctx UNUSED, int fd, unsigned events UNUSED)
{
    ssize_t got = read(fd, me.input + me.input_len, sizeof(me.input) - me.input_len);
    char *end;

    if (got <= 0) {
        io_stop(me.io);
        return;
    }
    me.input_len += (size_t)got;
    while ((end = memchr(me.input, '\n', me.input_len)) != NULL) {
        size_t len = (size_t)(end - me.input) + 1;

        *end = '\0';
        command(me.input);
        me.input_len -= len;
        memmove(me.input, me.input + len, me.input_len);
    }
}

static void
configure(int argc, char **argv)
{
    uint32_t number = 3;

    num_parse_u32(parameter(argc, argv, "ttl_s", "3"), &number);
    wd_config_times(&me.config, (int64_t)number * NS_PER_S);
    num_parse_u32(parameter(argc, argv, "id", "0"), &me.config.id);
    num_parse_u32(parameter(argc, argv, "priority", "1"), &number);
    me.config.priority = (int32_t)number;
    me.config.incarnation = (uint64_t)clock_wall_us() * 1000 + me.config.id;
    str_copy(me.nodes, sizeof(me.nodes), parameter(argc, argv, "nodes", "0 a:1;1 b:1;2 c:1;"));
    for (char *at = me.nodes; *at != '\0'; at++)
        *at = *at == ';' ? '\n' : *at;
    me.config.nodes_hash = wd_nodes_hash(me.nodes);
    me.config.node_count = NODES;
    me.config.consensus = me.config.address = true;
    for (int node_id = 0; node_id < NODES; node_id++)
        cluster_set_add(&me.config.nodes, node_id);
    wd_init(&me.wd, &me.config);
}

int
main(int argc, char **argv)
{
    static const struct wd_asker_ops ops = {answered, changed};
    struct etcd_target target = {.hosts = parameter(argc, argv, "hosts", NULL)};
    struct etcd_client *client;
    struct io_watch *watch;
    struct dns *dns;
    struct err err;

    configure(argc, argv);
    if (io_new(NULL, &me.io, &err) != 0 || dns_new(me.io, &dns, &err) != 0 ||
        etcd_client_new(me.io, dns, &target, &client, &err) != 0) {
        say("error %s", err.message);
        return 1;
    }
    me.asker = wd_asker_new(client, parameter(argc, argv, "prefix", "pgpool/"), &ops, NULL);
    wd_asker_set_nodes(me.asker, me.nodes);
    watch = io_watch(me.io, STDIN_FILENO, IO_READABLE, input, NULL);
    see(NULL);
    io_run(me.io, &err);
    io_unwatch(watch);
    io_timer_stop(&me.tick);
    io_timer_stop(&me.facts);
    wd_asker_free(me.asker);
    etcd_client_free(client);
    dns_free(dns);
    io_free(me.io);
    return 0;
}

/*
 * Trusted servers and network interfaces.
 *
 * Called by the process of the watchdog. A round of questions ends when all commands have ended;
 * until then the last round counts, unless one server has answered already.
 */
#include "watchdog/surroundings.h"

#include "base/arena.h"
#include "base/log.h"
#include "os/here.h"
#include "os/run.h"

#include <stdlib.h>
#include <string.h>

struct names {
    char **list;
    uint32_t count;
};

struct question {
    struct wd_surroundings *s;
    const char *server;
    struct run *run;
    char line[RUN_LINE_BYTES + 1]; /* the last one that it said */
};

struct wd_surroundings {
    struct io *io;
    const struct wd_surroundings_ops *ops;
    void *ctx;
    struct names servers;
    struct names interfaces;
    char *command;
    struct question *questions; /* one for each server */
    uint32_t running;
    bool answered; /* in this round */
    bool servers_are_there;
    bool interfaces_are_up;
    bool told; /* what the owner knows */
    struct io_timer ask;
    struct io_timer look;
};

static struct names
copy_names(const struct config_list *list)
{
    struct names names = {xcalloc(MAX(list->count, 1U), sizeof(*names.list)), list->count};

    for (uint32_t n = 0; n < list->count; n++)
        names.list[n] = xstrdup(list->items[n]);
    return names;
}

static void
free_names(struct names *names)
{
    for (uint32_t n = 0; n < names->count; n++)
        free(names->list[n]);
    free(names->list);
}

/* The last thing that its caller does. */
static void
tell(struct wd_surroundings *s)
{
    bool are_there = s->servers_are_there && s->interfaces_are_up;

    if (are_there == s->told)
        return;
    s->told = are_there;
    s->ops->changed(s->ctx, are_there);
}

/* ---- trusted servers ---- */

static void begin_round(void *ctx);

static void
judge_servers(struct wd_surroundings *s)
{
    if (s->answered != s->servers_are_there && s->answered)
        log_info("a trusted server answers again");
    else if (s->answered != s->servers_are_there)
        log_warning("no trusted server answers: this pgpool may be cut off%s%s",
                    s->questions[0].line[0] != '\0' ? ": " : "", s->questions[0].line);
    s->servers_are_there = s->answered;
}

static void
said(void *ctx, const char *text)
{
    struct question *q = ctx;

    memcpy(q->line, text, strlen(text) + 1);
}

static void
ended(void *ctx, const struct run_result *result)
{
    struct question *q = ctx;
    struct wd_surroundings *s = q->s;

    run_free(q->run);
    q->run = NULL;
    s->running--;
    s->answered = s->answered || run_succeeded(result);
    if (s->running == 0)
        io_timer_start(s->io, &s->ask, SURROUNDINGS_ASK_MS, begin_round, s);
    if (s->running == 0 || s->answered)
        judge_servers(s);
    tell(s);
}

/* The host goes to a shell: what no name of a host has in it is left out. */
static void
add_host(const char *host, struct buf *out)
{
    for (; *host != '\0'; host++) {
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-_%", *host) !=
            NULL)
            buf_add_u8(out, (uint8_t)*host);
    }
}

static void
ask(struct wd_surroundings *s, struct question *q)
{
    static const struct run_ops ops = {said, ended};
    struct buf command = BUF_EMPTY;
    struct run_options options = {
        .ops = &ops, .deadline_ns = io_now_ns(s->io) + SURROUNDINGS_ANSWER_MS * NS_PER_MS};
    const char *at = s->command;
    const char *found;
    struct err err;

    for (; (found = strstr(at, "%h")) != NULL; at = found + 2) {
        buf_add(&command, at, (size_t)(found - at));
        add_host(q->server, &command);
    }
    buf_add_str(&command, at);
    options.command = buf_cstr(&command);
    q->line[0] = '\0';
    if (run_start(s->io, &options, q, &q->run, &err) == 0)
        s->running++;
    else
        log_warning("could not run trusted_server_command: %s", err.message);
    buf_free(&command);
}

static void
begin_round(void *ctx)
{
    struct wd_surroundings *s = ctx;

    s->answered = false;
    for (uint32_t n = 0; n < s->servers.count; n++)
        ask(s, &s->questions[n]);
    if (s->running == 0) /* nothing was learnt */
        io_timer_start(s->io, &s->ask, SURROUNDINGS_ASK_MS, begin_round, s);
}

/* ---- interfaces ---- */

static void
look(void *ctx)
{
    struct wd_surroundings *s = ctx;
    bool are_up =
        here_interface_is_up((const char *const *)(void *)s->interfaces.list, s->interfaces.count);

    io_timer_start(s->io, &s->look, SURROUNDINGS_LOOK_MS, look, s);
    if (are_up != s->interfaces_are_up && are_up)
        log_info("a network interface of \"wd_monitoring_interfaces_list\" is up again");
    else if (are_up != s->interfaces_are_up)
        log_warning("no network interface of \"wd_monitoring_interfaces_list\" is up");
    s->interfaces_are_up = are_up;
    tell(s);
}

/* ---- for the owner ---- */

struct wd_surroundings *
wd_surroundings_new(struct io *io, const struct config *config,
                    const struct wd_surroundings_ops *ops, void *ctx)
{
    struct wd_surroundings *s = xcalloc(1, sizeof(*s));

    s->io = io;
    s->ops = ops;
    s->ctx = ctx;
    s->servers = copy_names(&config->trusted_servers);
    s->interfaces = copy_names(&config->wd_monitoring_interfaces_list);
    s->command = xstrdup(config->trusted_server_command);
    s->questions = xcalloc(MAX(s->servers.count, 1U), sizeof(*s->questions));
    s->servers_are_there = s->interfaces_are_up = s->told = true;
    for (uint32_t n = 0; n < s->servers.count; n++)
        s->questions[n] = (struct question){.s = s, .server = s->servers.list[n]};
    if (s->servers.count > 0)
        io_timer_start(io, &s->ask, 0, begin_round, s);
    if (s->interfaces.count > 0)
        io_timer_start(io, &s->look, 0, look, s);
    return s;
}

void
wd_surroundings_free(struct wd_surroundings *s)
{
    if (s == NULL)
        return;
    io_timer_stop(&s->ask);
    io_timer_stop(&s->look);
    for (uint32_t n = 0; n < s->servers.count; n++)
        run_free(s->questions[n].run);
    free_names(&s->servers);
    free_names(&s->interfaces);
    free(s->questions);
    free(s->command);
    free(s);
}

void
wd_surroundings_reload(struct wd_surroundings *s, const struct config *config)
{
    free(s->command);
    s->command = xstrdup(config->trusted_server_command);
}

/*
 * The commands of who becomes leader, and of who ceases to be it.
 *
 * Used by the runner alone. Invariant: never both at a time; the last one that was asked for is
 * the last one that runs. Nothing waits for them: a leader leads whatever they do.
 */
#include "watchdog/commands.h"

#include "base/arena.h"
#include "base/log.h"

#include <stdlib.h>

static const char *const names[] = {"wd_de_escalation_command", "wd_escalation_command"};

static void start(struct wd_escalation *e);

static void
said(void *ctx, const char *text)
{
    const struct wd_escalation *e = ctx;

    log_info("%s: %s", names[e->runs_up], text);
}

static void
ended(void *ctx, const struct run_result *result)
{
    struct wd_escalation *e = ctx;
    char words[128];

    run_result_text(result, words, sizeof(words));
    if (run_succeeded(result))
        log_info("%s %s", names[e->runs_up], words);
    else
        log_warning("%s %s", names[e->runs_up], words);
    run_free(e->run);
    e->run = NULL;
    if (e->waits && e->wanted != e->runs_up)
        start(e);
    e->waits = false;
}

static void
start(struct wd_escalation *e)
{
    static const struct run_ops ops = {said, ended};
    const struct run_options options = {.ops = &ops,
                                        .command = e->commands[e->wanted],
                                        .deadline_ns = io_now_ns(e->io) + e->limit_ms * NS_PER_MS,
                                        .outlives_us = true};
    struct err err;

    e->runs_up = e->wanted;
    if (options.command == NULL || options.command[0] == '\0')
        return;
    log_info("running %s: %s", names[e->runs_up], options.command);
    if (run_start(e->io, &options, e, &e->run, &err) != 0)
        log_warning("could not run %s: %s", names[e->runs_up], err.message);
}

void
wd_escalation_init(struct wd_escalation *e, struct io *io)
{
    *e = (struct wd_escalation){.io = io};
}

void
wd_escalation_fini(struct wd_escalation *e)
{
    run_leave(e->run);
    free(e->commands[0]);
    free(e->commands[1]);
    *e = (struct wd_escalation){.io = e->io};
}

void
wd_escalation_reload(struct wd_escalation *e, const struct config *config)
{
    free(e->commands[0]);
    free(e->commands[1]);
    e->commands[0] = xstrdup(config->wd_de_escalation_command);
    e->commands[1] = xstrdup(config->wd_escalation_command);
    e->limit_ms = config->command_timeout_ms;
}

void
wd_escalate(struct wd_escalation *e, bool up)
{
    e->wanted = up;
    e->waits = e->run != NULL;
    if (!e->waits)
        start(e);
}

bool
wd_escalation_is_idle(const struct wd_escalation *e)
{
    return e->run == NULL;
}

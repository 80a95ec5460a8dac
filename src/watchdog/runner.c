/*
 * The virtual address on this host: which command runs now, and which one after it.
 *
 * Invariants: one of if_up_cmd and if_down_cmd runs at a time, and when down was asked for no up
 * begins any more. An up that is to end by itself begins only when enough of its time is left, and
 * is killed when it has not ended before the moment from which its lifetime would be too long. A
 * guardian is there before the first up without a lifetime, and until a down has gone well.
 */
#include "watchdog/runner.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "os/clock.h"
#include "os/here.h"
#include "watchdog/commands.h"

#include <stdlib.h>
#include <string.h>

enum {
    COMMAND_MS = 5000, /* of if_down_cmd, arping_cmd, and if_up_cmd without a lifetime */
    AGAIN_MS = 1000,   /* until an up that has failed is tried again */
    KEEP_S = 10,       /* lifetime of an address that is to be kept whatever happens */
    KEEP_AGAIN_MS = 3000,
    SLACK_MS = 250, /* for if_up_cmd to run, at least */
};

enum wanted { NOTHING, UP, DOWN, CLEAR /* down, of an earlier life's */ };

struct wd_runner {
    struct io *io;
    const struct wd_runner_ops *ops;
    void *ctx;
    struct sock_address address;
    bool has_address;
    bool has_lifetime; /* if_up_cmd says $_LIFETIME_$ */
    struct wd_command up;
    struct wd_command down;
    struct wd_command announce;
    struct wd_command guardian;
    enum wanted wanted;
    int64_t until_ns; /* CLOCK_BOOTTIME, of UP */
    bool again;       /* UP was asked for since the last one began */
    bool is_up;
    bool failed;                 /* the last up, and that was told */
    struct io_timer timer;       /* the next up, or the end of the one that runs */
    struct io_timer guard_timer; /* the next guardian */
    struct wd_escalation escalation;
};

static void settle(struct wd_runner *r);

static void
on_timer(void *ctx)
{
    struct wd_runner *r = ctx;

    r->again = true;
    settle(r);
}

static void
try_again(struct wd_runner *r, int64_t delay_ms)
{
    io_timer_start(r->io, &r->timer, delay_ms, on_timer, r);
}

/* ---- the guardian ---- */

static void guard(void *ctx);

static void
guard_again(struct wd_runner *r)
{
    io_timer_start(r->io, &r->guard_timer, AGAIN_MS, guard, r);
}

static void
guardian_ended(void *ctx, bool done UNUSED)
{
    struct wd_runner *r = ctx;

    if (r->is_up)
        log_warning("the guardian of the virtual address has ended: another one is started");
    guard_again(r);
}

static void
guard(void *ctx)
{
    struct wd_runner *r = ctx;

    if (r->has_lifetime || wd_command_runs(&r->guardian) || (r->wanted != UP && !r->is_up))
        return;
    if (!wd_command_start(&r->guardian, 0, guardian_ended))
        guard_again(r);
}

/* ---- up ---- */

static void
announce(struct wd_runner *r)
{
    if (!wd_command_is_set(&r->announce))
        return;
    wd_command_kill(&r->announce); /* of the time before */
    wd_command_start(&r->announce, COMMAND_MS, NULL);
}

static void
up_failed(struct wd_runner *r)
{
    if (!r->failed)
        log_warning("the virtual address could not be brought up: trying again");
    r->failed = true;
    try_again(r, AGAIN_MS);
}

static void
up_ended(void *ctx, bool done)
{
    struct wd_runner *r = ctx;
    bool is_first = done && !r->is_up;

    io_timer_stop(&r->timer);
    if (r->wanted != UP) {
        r->is_up = r->is_up || done;
        settle(r);
        return;
    }
    if (done) {
        r->is_up = true;
        r->failed = false;
        if (is_first) {
            log_info("the virtual address is up");
            announce(r);
        }
        if (r->until_ns == INT64_MAX && r->has_lifetime)
            try_again(r, KEEP_AGAIN_MS);
    } else {
        up_failed(r);
    }
    r->ops->address_ended(r->ctx, done);
    if (r->again)
        settle(r);
}

/* It would bring the address up for too long if it ended now. */
static void
up_is_late(void *ctx)
{
    struct wd_runner *r = ctx;

    wd_command_kill(&r->up);
    log_warning("if_up_cmd did not end in time");
    up_ended(r, false);
}

/* How long the address may stay, in whole seconds, and how long the command may take; false: it is
 * not worth beginning. */
static bool
time_for_up(const struct wd_runner *r, int64_t *lifetime_s_r, int64_t *limit_ms_r)
{
    int64_t left_ms = (r->until_ns - clock_boottime_ns()) / NS_PER_MS;

    *lifetime_s_r = KEEP_S;
    *limit_ms_r = COMMAND_MS;
    if (r->until_ns == INT64_MAX)
        return true;
    *lifetime_s_r = (left_ms - SLACK_MS) / 1000;
    *limit_ms_r = r->has_lifetime ? left_ms - *lifetime_s_r * 1000 : MIN(left_ms, COMMAND_MS);
    return r->has_lifetime ? *lifetime_s_r > 0 : left_ms > 0;
}

static void
bring_up(struct wd_runner *r)
{
    int64_t lifetime_s;
    int64_t limit_ms;

    guard(r);
    if (!r->again || (r->is_up && !r->has_lifetime))
        return;
    r->again = false;
    if (!r->has_lifetime && !wd_command_runs(&r->guardian)) {
        up_failed(r);
        return;
    }
    if (!time_for_up(r, &lifetime_s, &limit_ms))
        return; /* the watchdog says so again when there is more of it */
    wd_command_set_lifetime(&r->up, lifetime_s);
    if (!wd_command_start(&r->up, 0, up_ended)) {
        up_failed(r);
        return;
    }
    io_timer_start(r->io, &r->timer, limit_ms, up_is_late, r);
}

/* ---- down ---- */

/* What is not here any more needs no command that goes well. */
static void
down_ended(void *ctx, bool done)
{
    struct wd_runner *r = ctx;
    bool clears = r->wanted == CLEAR;

    if (!done && !here_has_address(&r->address))
        done = true;
    if (done)
        wd_command_kill(&r->guardian);
    if (done && (r->is_up || clears))
        log_info("the virtual address is down");
    else if (!done)
        log_warning("the virtual address could not be taken down");
    r->is_up = r->is_up && !done;
    if (r->wanted == UP) { /* asked for while the other life's was taken down */
        settle(r);
        return;
    }
    if (clears && !done) {
        try_again(r, AGAIN_MS);
        return;
    }
    r->wanted = NOTHING;
    if (!clears)
        r->ops->address_ended(r->ctx, done);
}

static void
take_down(struct wd_runner *r)
{
    io_timer_stop(&r->timer);
    wd_command_kill(&r->announce);
    if (!wd_command_start(&r->down, COMMAND_MS, down_ended))
        down_ended(r, false);
}

static void
settle(struct wd_runner *r)
{
    if (wd_command_runs(&r->up) || wd_command_runs(&r->down))
        return;
    if (r->wanted == UP)
        bring_up(r);
    else if (r->wanted != NOTHING)
        take_down(r);
}

/* ---- for the watchdog ---- */

bool
wd_runner_address_is_left(const struct config *config)
{
    struct sock_address address;

    return sock_parse_literal(config->delegate_ip, 0, &address) && here_has_address(&address);
}

struct wd_runner *
wd_runner_new(struct io *io, const struct config *config, const struct wd_runner_ops *ops,
              void *ctx)
{
    struct wd_runner *r = xcalloc(1, sizeof(*r));
    const struct wd_command_text up = {"if_up_cmd", config->if_up_cmd, config->if_cmd_path};
    const struct wd_command_text down = {"if_down_cmd", config->if_down_cmd, config->if_cmd_path};
    const struct wd_command_text say = {"arping_cmd", config->arping_cmd, config->arping_path};

    r->io = io;
    r->ops = ops;
    r->ctx = ctx;
    wd_escalation_init(&r->escalation, io);
    wd_runner_reload(r, config);
    r->has_address = sock_parse_literal(config->delegate_ip, 0, &r->address);
    r->has_lifetime = strstr(config->if_up_cmd, "$_LIFETIME_$") != NULL;
    wd_command_init(&r->up, io, r, &up, config->delegate_ip);
    wd_command_init(&r->down, io, r, &down, config->delegate_ip);
    wd_command_init(&r->announce, io, r, &say, config->delegate_ip);
    wd_command_init(&r->guardian, io, r, &down, config->delegate_ip);
    wd_command_guard(&r->guardian);
    if (r->has_address && here_has_address(&r->address)) {
        log_warning("the virtual address is up from an earlier time: it is taken down");
        r->wanted = CLEAR;
        settle(r);
    }
    return r;
}

void
wd_runner_free(struct wd_runner *r)
{
    if (r == NULL)
        return;
    io_timer_stop(&r->timer);
    io_timer_stop(&r->guard_timer);
    wd_command_fini(&r->up);
    wd_command_fini(&r->announce);
    wd_command_leave(&r->down);
    if (r->is_up || r->wanted != NOTHING)
        wd_command_leave(&r->guardian);
    wd_command_fini(&r->down);
    wd_command_fini(&r->guardian);
    wd_escalation_fini(&r->escalation);
    free(r);
}

void
wd_runner_reload(struct wd_runner *r, const struct config *config)
{
    wd_escalation_reload(&r->escalation, config);
}

bool
wd_runner_do(struct wd_runner *r, const struct wd_action *action)
{
    switch (action->kind) {
    case WD_DO_ADDRESS_UP:
    case WD_DO_ADDRESS_KEEP:
        r->wanted = UP;
        r->until_ns = action->until_ns;
        r->again = true;
        settle(r);
        return true;
    case WD_DO_ADDRESS_DOWN:
        r->wanted = DOWN;
        settle(r);
        return true;
    case WD_DO_ESCALATE:
    case WD_DO_DE_ESCALATE:
        wd_escalate(&r->escalation, action->kind == WD_DO_ESCALATE);
        return true;
    default:
        return false;
    }
}

bool
wd_runner_is_idle(const struct wd_runner *r)
{
    return r->wanted == NOTHING && !wd_command_runs(&r->up) && !wd_command_runs(&r->down) &&
           wd_escalation_is_idle(&r->escalation);
}

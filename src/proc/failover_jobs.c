/*
 * Steps of the plan that take time: statements at servers, and commands of the user.
 *
 * A job has at most one statement or command under way. Its end goes to the plan from the event
 * loop, never from within the call that began it. Invariants: a job ends by its deadline; a
 * command that is to stop a server or to promote one goes on when this process dies, and is then
 * begun once more by the next one.
 *
 * How a standby is made to follow: its primary_conninfo is changed as to host and port alone, and
 * the slot that it uses is made at the new primary when it is not there. Source: PostgreSQL's
 * manual, chapters "High Availability, Load Balancing, and Replication" and "ALTER SYSTEM".
 */
#include "failover.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "cluster/placeholders.h"
#include "config/config.h"
#include "os/ask.h"
#include "os/clock.h"
#include "os/conninfo.h"
#include "os/run.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVENT_COMMANDS_MAX = 16, LOOKS_MAX = 16, LOOK_AGAIN_MS = 250 };

struct failover_job {
    struct list link;
    struct failover *f;
    struct plan_step step;
    struct ask *ask;   /* at the node */
    struct ask *other; /* at the primary that it is to follow */
    struct run *run;
    struct recovery *recovery;
    struct io_timer ending;
    struct io_timer looking;
    int looks; /* at a standby that was told to follow */
    struct buf sql;
    struct buf slot_sql;
    char slot[64]; /* that the standby uses, "": none */
    int stage;
    enum plan_result result;
    char text[PLAN_TEXT_BYTES];
    char line[PLAN_TEXT_BYTES]; /* the last that a command said */
};

/* ---- the end ----------------------------------------------------------------------------------
 */

static void
free_job(struct failover_job *job)
{
    failover_line_done(job->f, job->step.node_id, job->ask);
    failover_line_done(job->f, job->step.other_id, job->other);
    run_free(job->run);
    recovery_stop(job->recovery);
    io_timer_stop(&job->ending);
    io_timer_stop(&job->looking);
    list_remove(&job->link);
    buf_free(&job->sql);
    buf_free(&job->slot_sql);
    free(job);
}

static void
note_failure(struct failover *f, const struct plan_step *step, const char *why)
{
    char text[PLAN_TEXT_BYTES + 64];

    snprintf(text, sizeof(text), "%s of node %d failed: %s",
             plan_step_name((enum plan_step_kind)step->kind), step->node_id, why);
    failover_note(f, NODE_EVENT_STEP_FAILED, step->node_id, text);
}

static void
tell_end(void *ctx)
{
    struct failover_job *job = ctx;
    struct failover *f = job->f;
    char text[PLAN_TEXT_BYTES];
    struct plan_event event = {.kind = PLAN_STEP_ENDED,
                               .node_id = job->step.node_id,
                               .serial = job->step.serial,
                               .result = job->result,
                               .text = text};

    str_copy(text, sizeof(text), job->text);
    if (job->step.kind == PLAN_DO_FENCE_COMMAND && job->result == PLAN_DONE)
        failover_watch_stopped(f, job->step.epoch);
    if (f->copies && event.result != PLAN_DONE && job->step.kind != PLAN_DO_EVENT)
        note_failure(f, &job->step, text);
    free_job(job);
    if (event.serial != 0)
        failover_handle(f, &event);
}

PRINTF_LIKE(3, 4)
static void
end_job(struct failover_job *job, enum plan_result result, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(job->text, sizeof(job->text), fmt, args);
    va_end(args);
    job->result = result;
    io_timer_start(job->f->proc->io, &job->ending, 0, tell_end, job);
}

void
failover_drop_jobs(struct failover *f, bool acts_only)
{
    list_for_each_safe (it, next, &f->jobs) {
        struct failover_job *job = list_entry(it, struct failover_job, link);

        if (!acts_only || job->step.kind != PLAN_DO_EVENT)
            free_job(job);
    }
}

/* ---- statements -------------------------------------------------------------------------------
 */

static int64_t
limit_ms(const struct failover_job *job)
{
    int64_t left_ns = job->step.deadline_ns - clock_monotonic_ns();

    return MAX(left_ns / NS_PER_MS, (int64_t)1);
}

static void
add_text(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

/* A literal of standard_conforming_strings, whatever that is set to. */
static void
add_literal(struct buf *b, const char *text)
{
    add_text(b, "E'");
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\'' || *p == '\\')
            buf_add(b, "\\", 1);
        buf_add(b, p, 1);
    }
    add_text(b, "'");
}

static void
fail_statement(void *ctx, const struct err *err, bool asked)
{
    struct failover_job *job = ctx;

    if (!asked || io_timer_running(&job->ending))
        return;
    end_job(job, strcmp(err->sqlstate, "57014") == 0 ? PLAN_TIMED_OUT : PLAN_FAILED, "%s%s%s",
            err->message, strcmp(err->sqlstate, "42501") == 0 ? "; grant this right to " : "",
            strcmp(err->sqlstate, "42501") != 0              ? ""
            : job->f->proc->config->recovery_user[0] != '\0' ? job->f->proc->config->recovery_user
                                                             : job->f->proc->config->sr_check_user);
}

/* ---- promotion --------------------------------------------------------------------------------
 */

static void
promotion_asked(void *ctx, const struct ask_rows *rows UNUSED)
{
    end_job(ctx, PLAN_DONE, "it was told to promote");
}

/* 55000: it is no standby (any more). What it is, the plan finds out by itself. */
static void
promotion_failed(void *ctx, const struct err *err, bool asked)
{
    struct failover_job *job = ctx;

    if (asked && strcmp(err->sqlstate, "55000") == 0 && !io_timer_running(&job->ending))
        end_job(job, PLAN_DONE, "it has been promoted already");
    else
        fail_statement(ctx, err, asked);
}

static void
promote(struct failover_job *job)
{
    static const struct ask_ops ops = {promotion_asked, promotion_failed};

    job->ask = failover_line(job->f, job->step.node_id, &ops, job);
    ask_question(job->ask, "SELECT pg_catalog.pg_promote(false)", limit_ms(job));
}

/* ---- following --------------------------------------------------------------------------------
 */

enum follow_stage { FOLLOW_LOOK, FOLLOW_SLOT, FOLLOW_CHANGE, FOLLOW_RELOAD, FOLLOW_WATCH };

/* Before each statement that changes something. */
static bool
may_go_on(struct failover_job *job)
{
    if (failover_leads(job->f))
        return true;
    end_job(job, PLAN_FAILED, "another pgpool may lead now");
    return false;
}

static const struct config_backend *
leader(const struct failover_job *job)
{
    return &job->f->proc->config->backends[job->step.other_id];
}

static void
change_conninfo(struct failover_job *job)
{
    if (!may_go_on(job))
        return;
    job->stage = FOLLOW_CHANGE;
    ask_question(job->ask, buf_cstr(&job->sql), limit_ms(job));
}

static void
slot_made(void *ctx, const struct ask_rows *rows UNUSED)
{
    change_conninfo(ctx);
}

/* 42710: somebody has made it. */
static void
slot_failed(void *ctx, const struct err *err, bool asked)
{
    struct failover_job *job = ctx;

    if (asked && strcmp(err->sqlstate, "42710") == 0 && !io_timer_running(&job->ending))
        change_conninfo(job);
    else
        fail_statement(ctx, err, asked);
}

static void
make_slot(struct failover_job *job)
{
    static const struct ask_ops ops = {slot_made, slot_failed};

    if (!may_go_on(job))
        return;
    job->stage = FOLLOW_SLOT;
    add_text(&job->slot_sql, "SELECT pg_catalog.pg_create_physical_replication_slot(");
    add_literal(&job->slot_sql, job->slot);
    add_text(&job->slot_sql, ", true)");
    job->other = failover_line(job->f, job->step.other_id, &ops, job);
    ask_question(job->other, buf_cstr(&job->slot_sql), limit_ms(job));
}

void
failover_aim_standby(const char *conninfo, const char *host, uint16_t port, struct buf *sql)
{
    struct buf next = BUF_EMPTY;

    conninfo_with_server(conninfo, host, port, &next);
    add_text(sql, "ALTER SYSTEM SET primary_conninfo = ");
    add_literal(sql, buf_cstr(&next));
    buf_free(&next);
}

static void
look_at_standby(struct failover_job *job, const struct ask_rows *rows)
{
    const struct config_backend *to = leader(job);
    const char *conninfo = ask_value(rows, 0, 1);

    if (ask_value(rows, 0, 0)[0] != 't') {
        end_job(job, PLAN_FAILED, "it is not a standby");
        return;
    }
    str_copy(job->slot, sizeof(job->slot), ask_value(rows, 0, 2));
    failover_aim_standby(conninfo, to->hostname, (uint16_t)to->port, &job->sql);
    if (job->slot[0] != '\0')
        make_slot(job);
    else
        change_conninfo(job);
}

/* One whose first try has failed would sleep for wal_retrieve_retry_interval; another reload wakes
 * it, and changes nothing otherwise. */
static void
look_again(void *ctx)
{
    struct failover_job *job = ctx;

    job->stage = FOLLOW_WATCH;
    ask_question(job->ask,
                 "SELECT CASE WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_stat_wal_receiver"
                 " WHERE status = 'streaming') THEN true"
                 " ELSE pg_catalog.pg_reload_conf() AND false END",
                 limit_ms(job));
}

static void
watch_standby(struct failover_job *job, bool streams)
{
    if (streams || job->looks++ == LOOKS_MAX || limit_ms(job) < (int64_t)2 * LOOK_AGAIN_MS)
        end_job(job, PLAN_DONE, "it was told to follow node %d", job->step.other_id);
    else
        io_timer_start(job->f->proc->io, &job->looking, LOOK_AGAIN_MS, look_again, job);
}

static void
follow_answered(void *ctx, const struct ask_rows *rows)
{
    struct failover_job *job = ctx;

    log_debug("node %d follows node %d: stage %d is done", job->step.node_id, job->step.other_id,
              job->stage);
    switch ((enum follow_stage)job->stage) {
    case FOLLOW_LOOK:
        look_at_standby(job, rows);
        break;
    case FOLLOW_CHANGE:
        if (!may_go_on(job))
            return;
        job->stage = FOLLOW_RELOAD;
        ask_question(job->ask, "SELECT pg_catalog.pg_reload_conf()", limit_ms(job));
        break;
    case FOLLOW_RELOAD:
        watch_standby(job, false);
        break;
    default:
        watch_standby(job, ask_value(rows, 0, 0)[0] == 't');
        break;
    }
}

static void
follow_by_sql(struct failover_job *job)
{
    static const struct ask_ops ops = {follow_answered, fail_statement};

    job->stage = FOLLOW_LOOK;
    job->ask = failover_line(job->f, job->step.node_id, &ops, job);
    ask_question(job->ask,
                 "SELECT pg_catalog.pg_is_in_recovery(),"
                 " pg_catalog.current_setting('primary_conninfo'),"
                 " pg_catalog.current_setting('primary_slot_name')",
                 limit_ms(job));
}

/* ---- commands ---------------------------------------------------------------------------------
 */

static void
command_said(void *ctx, const char *text)
{
    struct failover_job *job = ctx;

    str_copy(job->line, sizeof(job->line), text);
    log_info("%s: %s", plan_step_name((enum plan_step_kind)job->step.kind), text);
}

static void
command_ended(void *ctx, const struct run_result *result)
{
    struct failover_job *job = ctx;
    char words[128];

    run_result_text(result, words, sizeof(words));
    log_info("%s %s", plan_step_name((enum plan_step_kind)job->step.kind), words);
    end_job(job,
            run_succeeded(result)          ? PLAN_DONE
            : result->end == RUN_TIMED_OUT ? PLAN_TIMED_OUT
                                           : PLAN_FAILED,
            "it %s%s%s", words, job->line[0] != '\0' ? ": " : "", job->line);
}

static void
run_command(struct failover_job *job, const char *command, const char *const *environment)
{
    static const struct run_ops ops = {command_said, command_ended};
    struct run_options options = {.ops = &ops,
                                  .command = command,
                                  .environment = environment,
                                  .deadline_ns = job->step.deadline_ns,
                                  .outlives_us = true};
    struct err err;

    if (options.deadline_ns == 0)
        options.deadline_ns = clock_monotonic_ns() + job->f->config.command_wait_ns;
    log_info("running %s: %s", plan_step_name((enum plan_step_kind)job->step.kind), command);
    if (run_start(job->f->proc->io, &options, job, &job->run, &err) != 0)
        end_job(job, PLAN_FAILED, "%s", err.message);
}

static void
fill_place(const struct failover *f, int node_id, struct placeholder_node *place)
{
    const struct config *cfg = f->proc->config;

    *place = (struct placeholder_node){.node_id = -1, .host = "", .data_directory = ""};
    if (node_id < 0 || (uint32_t)node_id >= cfg->backend_count)
        return;
    place->node_id = node_id;
    place->host = cfg->backends[node_id].hostname;
    place->port = (uint16_t)cfg->backends[node_id].port;
    place->data_directory = cfg->backends[node_id].data_directory;
}

/* about: what the command is about; to: the new main node; from: the old primary. */
static void
run_user_command(struct failover_job *job, const char *text, const int32_t nodes[3])
{
    struct placeholders values;
    struct buf command = BUF_EMPTY;
    struct err err;

    fill_place(job->f, nodes[0], &values.node);
    fill_place(job->f, nodes[1], &values.new_main);
    fill_place(job->f, nodes[2], &values.old_main);
    values.old_primary = values.old_main;
    if (placeholders_expand(text, &values, &command, &err) != 0)
        end_job(job, PLAN_FAILED, "%s", err.message);
    else
        run_command(job, buf_cstr(&command), NULL);
    buf_free(&command);
}

/* ---- beginning --------------------------------------------------------------------------------
 */

static struct failover_job *
new_job(struct failover *f, const struct plan_step *step)
{
    struct failover_job *job = xcalloc(1, sizeof(*job));

    job->f = f;
    job->step = *step;
    list_append(&f->jobs, &job->link);
    return job;
}

static void
rejoin_said(void *ctx, const char *words)
{
    const struct failover_job *job = ctx;

    log_info("node %d becomes a standby: %s", job->step.node_id, words);
}

static void
rejoin_ended(void *ctx, enum plan_result result, const char *words)
{
    struct failover_job *job = ctx;

    end_job(job, result, "%s", words);
}

/* It runs as a primary, and only a restart makes it a standby. */
static void
rejoin(struct failover_job *job)
{
    static const struct recovery_ops ops = {rejoin_said, NULL, rejoin_ended};
    struct failover_rebuilding what = {job->step.node_id, job->step.other_id, true, false};

    job->recovery = failover_rebuild(job->f, &what, &ops, job);
}

/* A node is told to do one thing at a time: what it was told before has taken too long. */
void
failover_drop_following(struct failover *f, int node_id)
{
    list_for_each_safe (it, next, &f->jobs) {
        struct failover_job *job = list_entry(it, struct failover_job, link);

        if (job->step.kind == PLAN_DO_FOLLOW && job->step.node_id == node_id)
            free_job(job);
    }
}

/* One that helps a fence is not waited for, and run once at a time. */
static bool
is_running(const struct failover *f, const struct plan_step *step)
{
    if (step->kind != PLAN_DO_FENCE_COMMAND || step->serial != 0)
        return false;
    list_for_each (it, &f->jobs)
        if (list_entry(it, struct failover_job, link)->step.kind == PLAN_DO_FENCE_COMMAND)
            return true;
    return false;
}

static void
follow(struct failover_job *job)
{
    const struct config *cfg = job->f->proc->config;
    const struct plan_step *step = &job->step;

    if (cfg->follow_primary_command[0] != '\0')
        run_user_command(
            job, cfg->follow_primary_command,
            (int32_t[]){step->node_id, step->other_id, job->f->now.plan.operation.old_primary_id});
    else if (step->was_primary)
        rejoin(job);
    else
        follow_by_sql(job);
}

void
failover_start_job(struct failover *f, const struct plan_step *step)
{
    const struct config *cfg = f->proc->config;
    int32_t primary_id = f->now.plan.primary_id;
    struct failover_job *job;

    if (!failover_leads(f) || is_running(f, step))
        return;
    if (step->kind == PLAN_DO_FOLLOW)
        failover_drop_following(f, step->node_id);
    job = new_job(f, step);
    switch ((enum plan_step_kind)step->kind) {
    case PLAN_DO_PROMOTE_SQL:
        promote(job);
        break;
    case PLAN_DO_FAILOVER_COMMAND:
        run_user_command(job, cfg->failover_command,
                         (int32_t[]){step->other_id, step->node_id, step->other_id});
        break;
    case PLAN_DO_FENCE_COMMAND:
        run_user_command(job, cfg->fence_command, (int32_t[]){step->node_id, -1, step->node_id});
        break;
    case PLAN_DO_STOP_ROGUE:
        if (cfg->fence_command[0] != '\0')
            run_user_command(job, cfg->fence_command,
                             (int32_t[]){step->node_id, primary_id, step->node_id});
        else
            free_job(job);
        break;
    case PLAN_DO_FOLLOW:
        follow(job);
        break;
    case PLAN_DO_FAILBACK_COMMAND:
        run_user_command(job, cfg->failback_command,
                         (int32_t[]){step->node_id, primary_id, primary_id});
        break;
    default:
        BUG("a step that is no job");
    }
}

void
failover_run_copies_command(struct failover *f, enum plan_step_kind kind, const int32_t node_ids[3])
{
    const struct config *cfg = f->proc->config;
    struct plan_step step = {.kind = (uint8_t)kind, .node_id = node_ids[0]};
    const char *command =
        kind == PLAN_DO_FAILOVER_COMMAND ? cfg->failover_command : cfg->failback_command;

    if (command[0] != '\0')
        run_user_command(new_job(f, &step), command, node_ids);
}

/* ---- event_command ----------------------------------------------------------------------------
 */

/* When the command hangs and events go on, some are left out rather than processes piled up. */
void
failover_run_event_command(struct failover *f, const struct cluster_event *event)
{
    const struct config *cfg = f->proc->config;
    struct plan_step step = {.kind = PLAN_DO_EVENT, .node_id = event->node_id};
    bool known = event->node_id >= 0 && (uint32_t)event->node_id < cfg->backend_count;
    char texts[6][PLAN_TEXT_BYTES + 32];
    const char *environment[7] = {0};
    uint32_t running = 0;

    if (cfg->event_command[0] == '\0')
        return;
    list_for_each (it, &f->jobs)
        running += list_entry(it, struct failover_job, link)->step.kind == PLAN_DO_EVENT;
    if (running >= EVENT_COMMANDS_MAX) {
        log_warning("event_command is not run for this: %d of it are running already",
                    EVENT_COMMANDS_MAX);
        return;
    }
    snprintf(texts[0], sizeof(texts[0]), "PGPOOL_EVENT=%s",
             node_event_name((enum node_event)event->event));
    snprintf(texts[1], sizeof(texts[1]), "PGPOOL_EVENT_TIME=%" PRId64 ".%06" PRId64,
             event->at_us / 1000000, event->at_us % 1000000);
    snprintf(texts[2], sizeof(texts[2]), "PGPOOL_EVENT_TEXT=%s", event->text);
    snprintf(texts[3], sizeof(texts[3]), "PGPOOL_NODE_ID=%d", event->node_id);
    snprintf(texts[4], sizeof(texts[4]), "PGPOOL_NODE_HOST=%s",
             known ? cfg->backends[event->node_id].hostname : "");
    snprintf(texts[5], sizeof(texts[5]), "PGPOOL_NODE_PORT=%d",
             known ? cfg->backends[event->node_id].port : 0);
    for (size_t n = 0; n < ARRAY_LEN(texts); n++)
        environment[n] = texts[n];
    run_command(new_job(f, &step), cfg->event_command, environment);
}

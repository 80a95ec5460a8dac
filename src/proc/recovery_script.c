/*
 * Online recovery by the user's scripts, as Pgpool-II runs them: they lie in the primary's data
 * directory and are run there, over SQL.
 *
 * COPY shows nothing of a script before its end, so its output goes to a file, and a second
 * connection reads that meanwhile. While a script runs, its connection holds an advisory lock: if
 * we go away, the script goes on, and the lock with it. Invariant: the next script begins when the
 * one before has ended and all of its output was passed on.
 */
#include "base/str.h"
#include "recovery_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOCK_CLASS = 0x70677063 };

static const char remote_start[] = "pgpool_remote_start";

static const char *
script_name(const struct recovery *r)
{
    switch (r->script) {
    case RECOVERY_FIRST_STAGE:
        return r->options.first_stage;
    case RECOVERY_SECOND_STAGE:
        return r->options.second_stage;
    default:
        return remote_start;
    }
}

/* Pgpool-II's arguments, in its order. */
static int
write_statement(struct recovery *r, struct err *err)
{
    const struct recovery_node *node = &r->options.node;
    const struct recovery_node *primary = &r->options.primary;
    char primary_port[8];
    char node_id[12];
    char node_port[8];
    const char *stage[] = {script_name(r),
                           r->directory,
                           recovery_host(node),
                           node->data_directory,
                           primary_port,
                           node_id,
                           node_port,
                           recovery_host(primary),
                           NULL};
    const char *start[] = {script_name(r), recovery_host(node), node->data_directory, NULL};

    snprintf(primary_port, sizeof(primary_port), "%u", primary->port);
    snprintf(node_id, sizeof(node_id), "%d", node->node_id);
    snprintf(node_port, sizeof(node_port), "%u", node->port);
    buf_clear(&r->sql);
    return rebuild_program_sql(r->directory, node->node_id,
                               r->script == RECOVERY_REMOTE_START ? start : stage, &r->sql, err);
}

static void read_output(void *ctx);

static void
run_script(struct recovery *r)
{
    struct err err;

    if (write_statement(r, &err) != 0) {
        recovery_fail(r, "%s", err.message);
        return;
    }
    recovery_progress(r, "running \"%s\" on the primary", script_name(r));
    r->phase = RECOVERY_SCRIPT;
    r->script_ended = r->script_failed = false;
    r->output_offset = 0;
    r->last_error[0] = '\0';
    buf_clear(&r->output);
    ask_question(r->primary, buf_cstr(&r->sql), RECOVERY_UNBOUNDED_MS);
    io_timer_start(r->io, &r->timer, RECOVERY_POLL_MS, read_output, r);
}

static void
forget_output(struct recovery *r)
{
    r->phase = RECOVERY_FORGET;
    buf_clear(&r->sql);
    rebuild_forget_sql(r->options.node.node_id, &r->sql);
    ask_question(r->primary, buf_cstr(&r->sql), RECOVERY_ASK_MS);
}

static void
next_script(struct recovery *r)
{
    if (r->script == RECOVERY_SECOND_STAGE && r->options.second_stage[0] == '\0')
        r->script++;
    if (r->script == RECOVERY_SCRIPTS)
        forget_output(r);
    else
        run_script(r);
}

void
recovery_script_go_on(struct recovery *r)
{
    next_script(r);
}

static void
script_over(struct recovery *r)
{
    if (r->script_failed) {
        forget_output(r);
        return;
    }
    r->script++;
    if (r->script == RECOVERY_SECOND_STAGE && r->options.independent && !r->promotes) {
        recovery_be_ready(r);
        return;
    }
    next_script(r);
}

/* ---- its output ---- */

static void
tell_line(struct recovery *r, size_t len)
{
    char line[RUN_LINE_BYTES];

    str_copy_n(line, sizeof(line), (const char *)r->output.data, MIN(len, sizeof(line) - 1));
    for (char *at = line; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ')
            *at = *at == '\t' ? ' ' : '?';
    }
    if (line[0] == '\0')
        return;
    str_copy(r->last_error, sizeof(r->last_error), line);
    recovery_progress(r, "%s", line);
}

static void
tell_lines(struct recovery *r, bool all)
{
    uint8_t *end;

    while (r->output.len > 0 && (end = memchr(r->output.data, '\n', r->output.len)) != NULL) {
        size_t len = (size_t)(end - r->output.data);

        tell_line(r, len);
        buf_drop(&r->output, len + 1);
    }
    if (r->output.len > 0 && (all || r->output.len > RUN_LINE_BYTES)) {
        tell_line(r, r->output.len);
        buf_clear(&r->output);
    }
}

static unsigned
digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
}

static void
output_answered(void *ctx, const struct ask_rows *rows)
{
    struct recovery *r = ctx;
    const char *hex = ask_value(rows, 0, 0);
    size_t count = strlen(hex) / 2;

    for (size_t n = 0; n < count; n++)
        buf_add_u8(&r->output, (uint8_t)(digit(hex[2 * n]) << 4 | digit(hex[2 * n + 1])));
    r->output_offset += count;
    tell_lines(r, false);
    if (count > 0) {
        read_output(r);
    } else if (r->script_ended) {
        tell_lines(r, true);
        script_over(r);
    } else {
        io_timer_start(r->io, &r->timer, RECOVERY_POLL_MS, read_output, r);
    }
}

/* The output is not what counts. */
static void
output_failed(void *ctx, const struct err *err UNUSED, bool asked)
{
    struct recovery *r = ctx;

    if (!asked)
        return;
    if (r->script_ended)
        script_over(r);
    else
        io_timer_start(r->io, &r->timer, RECOVERY_POLL_MS, read_output, r);
}

static void
read_output(void *ctx)
{
    struct recovery *r = ctx;

    buf_clear(&r->reader_sql);
    rebuild_output_sql(r->options.node.node_id, r->output_offset, &r->reader_sql);
    ask_question(r->reader, buf_cstr(&r->reader_sql), RECOVERY_ASK_MS);
}

/* What it said last is still to be read. */
static void
script_ended(struct recovery *r, bool failed)
{
    r->script_ended = true;
    r->script_failed = failed;
    if (!ask_is_busy(r->reader)) {
        io_timer_stop(&r->timer);
        read_output(r);
    }
}

/* ---- for recovery.c ---- */

static void
all_over(struct recovery *r)
{
    if (!r->script_failed)
        recovery_wait_stream(r);
    else if (r->last_error[0] != '\0')
        recovery_fail(r, "script \"%s\" failed on the primary: %s", script_name(r), r->last_error);
    else
        recovery_fail(r, "script \"%s\" failed on the primary", script_name(r));
}

void
recovery_script_answered(struct recovery *r, const struct ask_rows *rows)
{
    if (r->phase == RECOVERY_SCRIPT)
        script_ended(r, false);
    else if (r->phase == RECOVERY_FORGET)
        all_over(r);
    else if (ask_value(rows, 0, 0)[0] == 't')
        run_script(r);
    else
        recovery_fail(r, "a script of another recovery of node %d is still at work on the primary",
                      r->options.node.node_id);
}

void
recovery_script_failed(struct recovery *r, const struct err *err)
{
    if (r->phase == RECOVERY_SCRIPT) {
        if (strcmp(err->sqlstate, "38000") != 0)
            recovery_progress(r, "%s", err->message);
        script_ended(r, true);
    } else {
        all_over(r);
    }
}

void
recovery_script_begin(struct recovery *r)
{
    static const struct ask_ops ops = {output_answered, output_failed};

    r->reader = recovery_ask(r, &r->options.primary, &ops);
    r->phase = RECOVERY_LOCK;
    r->script = RECOVERY_FIRST_STAGE;
    buf_clear(&r->sql);
    buf_printf(&r->sql, "SELECT pg_catalog.pg_try_advisory_lock(%d, %d)", LOCK_CLASS,
               r->options.node.node_id);
    ask_question(r->primary, buf_cstr(&r->sql), RECOVERY_ASK_MS);
}

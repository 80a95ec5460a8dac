/*
 * Online recovery: the steps, what the primary is asked, and whether the node streams at last.
 *
 * One callback at a time moves it on; which, the phase says. Invariants: recovery_end is called
 * once and is the last thing that its caller does, since it may free the object; no secret is part
 * of any words.
 */
#include "proc/recovery.h"

#include "base/num.h"
#include "base/str.h"
#include "recovery_parts.h"

#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char facts[] =
    "SELECT pg_catalog.pg_is_in_recovery(),"
    " (SELECT system_identifier FROM pg_catalog.pg_control_system()),"
    " CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN"
    " pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) END,"
    " pg_catalog.current_setting('data_directory')";

static const char stands[] =
    "SELECT pg_catalog.pg_is_in_recovery(),"
    " (SELECT system_identifier FROM pg_catalog.pg_control_system()),"
    " (SELECT status FROM pg_catalog.pg_stat_wal_receiver),"
    " (SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver),"
    " GREATEST(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn()),"
    " (SELECT pid FROM pg_catalog.pg_stat_wal_receiver)";

static const char position[] = "SELECT pg_catalog.pg_current_wal_flush_lsn()";

/* ---- words ---- */

void
recovery_progress(struct recovery *r, const char *fmt, ...)
{
    char words[RECOVERY_WORDS_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(words, sizeof(words), fmt, args);
    va_end(args);
    r->ops->progress(r->ctx, words);
}

/* Nothing of ours runs any more. */
static void
halt(struct recovery *r)
{
    io_timer_stop(&r->timer);
    io_timer_stop(&r->deadline);
    io_timer_stop(&r->next);
    ask_free(r->primary);
    ask_free(r->reader);
    ask_free(r->node);
    r->primary = r->reader = r->node = NULL;
    run_free(r->run);
    r->run = NULL;
    if (r->lookup != NULL)
        dns_cancel(r->lookup);
    r->lookup = NULL;
    r->phase = RECOVERY_OVER;
}

void
recovery_end(struct recovery *r, enum plan_result result, const char *words)
{
    char copy[RECOVERY_WORDS_MAX];

    str_copy(copy, sizeof(copy), words);
    halt(r);
    r->ops->ended(r->ctx, result, copy);
}

void
recovery_fail(struct recovery *r, const char *fmt, ...)
{
    char words[RECOVERY_WORDS_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(words, sizeof(words), fmt, args);
    va_end(args);
    recovery_end(r, PLAN_FAILED, words);
}

const char *
recovery_host(const struct recovery_node *node)
{
    return node->host[0] != '\0' ? node->host : "/tmp";
}

/* ---- the primary ---- */

static void
ask_primary(struct recovery *r, enum recovery_phase phase, int64_t limit_ms)
{
    r->phase = phase;
    ask_question(r->primary, buf_cstr(&r->sql), limit_ms);
}

static void
ask_checkpoint(struct recovery *r)
{
    recovery_progress(r, "checkpoint at the primary, node %d", r->options.primary.node_id);
    buf_clear(&r->sql);
    buf_add_str(&r->sql, "CHECKPOINT");
    ask_primary(r, RECOVERY_CHECKPOINT, RECOVERY_CHECKPOINT_MS);
}

static void
hear_facts(struct recovery *r, const struct ask_rows *rows)
{
    if (ask_value(rows, 0, 0)[0] != 'f') {
        recovery_fail(r, "node %d \"%s:%d\" is not a primary", r->options.primary.node_id,
                      recovery_host(&r->options.primary), r->options.primary.port);
        return;
    }
    r->server_version = ask_server_version(rows);
    r->timeline = (uint32_t)strtoul(ask_value(rows, 0, 2), NULL, 16);
    str_copy(r->system_identifier, sizeof(r->system_identifier), ask_value(rows, 0, 1));
    if (!str_copy(r->directory, sizeof(r->directory), ask_value(rows, 0, 3))) {
        recovery_fail(r, "the path of the primary's data directory is too long");
        return;
    }
    if (r->timeline <= 1) {
        ask_checkpoint(r);
        return;
    }
    buf_clear(&r->sql);
    buf_printf(&r->sql, "SELECT pg_catalog.pg_read_file('pg_wal/%08X.history', 0, 1000000, true)",
               r->timeline);
    ask_primary(r, RECOVERY_HISTORY, RECOVERY_ASK_MS);
}

static void
choose_way(struct recovery *r)
{
    if (r->options.first_stage[0] != '\0' && !r->options.rejoin)
        recovery_script_begin(r);
    else
        recovery_run_begin(r, r->options.independent ? REBUILD_COPY : REBUILD_AUTO);
}

static void watch_node(struct recovery *r);

static void
primary_answered(void *ctx, const struct ask_rows *rows)
{
    struct recovery *r = ctx;

    switch (r->phase) {
    case RECOVERY_FACTS:
        hear_facts(r, rows);
        return;
    case RECOVERY_HISTORY:
        rebuild_history(ask_value(rows, 0, 0), &r->history);
        ask_checkpoint(r);
        return;
    case RECOVERY_CHECKPOINT:
        choose_way(r);
        return;
    case RECOVERY_POSITION:
        num_parse_lsn(ask_value(rows, 0, 0), &r->position);
        watch_node(r);
        return;
    case RECOVERY_MARK:
    case RECOVERY_UNSLOT:
        recovery_mark_answered(r, rows);
        return;
    default:
        recovery_script_answered(r, rows);
    }
}

static void
primary_failed(void *ctx, const struct err *err, bool asked)
{
    struct recovery *r = ctx;

    if (!asked)
        return; /* lost while idle: the next question dials anew */
    switch (r->phase) {
    case RECOVERY_FACTS:
    case RECOVERY_HISTORY:
    case RECOVERY_CHECKPOINT:
    case RECOVERY_LOCK:
    case RECOVERY_POSITION:
    case RECOVERY_MARK:
        recovery_fail(r, "could not ask the primary, node %d \"%s:%d\": %s",
                      r->options.primary.node_id, recovery_host(&r->options.primary),
                      r->options.primary.port, err->message);
        return;
    case RECOVERY_UNSLOT:
        recovery_mark_failed(r, err);
        return;
    default:
        recovery_script_failed(r, err);
    }
}

/* ---- streaming ---- */

static void
ask_node(void *ctx)
{
    struct recovery *r = ctx;

    ask_question(r->node, stands, RECOVERY_ASK_MS);
}

static void
ask_node_again(struct recovery *r)
{
    if (strcmp(r->told_error, r->last_error) != 0) {
        str_copy(r->told_error, sizeof(r->told_error), r->last_error);
        recovery_progress(r, "node %d: %s", r->options.node.node_id, r->last_error);
    }
    io_timer_start(r->io, &r->timer, RECOVERY_POLL_MS, ask_node, r);
}

/* Scripts may have made it a server of its own already. */
static bool
is_independent(struct recovery *r, const struct ask_rows *rows)
{
    if (!r->promotes || ask_value(rows, 0, 0)[0] != 'f')
        return false;
    io_timer_stop(&r->deadline);
    recovery_progress(r, "node %d is a server of its own", r->options.node.node_id);
    recovery_end(r, PLAN_DONE, "");
    return true;
}

void
recovery_streams(struct recovery *r)
{
    if (r->promotes)
        recovery_mark(r);
    else if (r->options.independent)
        recovery_be_ready(r);
    else
        recovery_end(r, PLAN_DONE, "");
}

static void
node_answered(void *ctx, const struct ask_rows *rows)
{
    struct recovery *r = ctx;
    const char *status = ask_value(rows, 0, 2);
    uint32_t before = r->receiver;
    uint32_t receiver = 0;
    uint32_t timeline = 0;
    uint64_t received = 0;

    num_parse_u32(ask_value(rows, 0, 3), &timeline);
    num_parse_lsn(ask_value(rows, 0, 4), &received);
    num_parse_u32(ask_value(rows, 0, 5), &receiver);
    r->receiver = receiver;
    if (is_independent(r, rows))
        return;
    if (strcmp(ask_value(rows, 0, 1), r->system_identifier) != 0) {
        recovery_fail(r, "node %d \"%s:%d\" is of another database system than the primary",
                      r->options.node.node_id, recovery_host(&r->options.node),
                      r->options.node.port);
    } else if (ask_value(rows, 0, 0)[0] != 't') {
        str_copy(r->last_error, sizeof(r->last_error), "it runs as a primary");
        ask_node_again(r);
    } else if (strcmp(status, "streaming") != 0 || timeline < r->timeline) {
        snprintf(r->last_error, sizeof(r->last_error), "its WAL receiver is %s",
                 status[0] != '\0' ? status : "not running");
        ask_node_again(r);
    } else if (received < r->position) {
        str_copy(r->last_error, sizeof(r->last_error),
                 "it has not received what the primary has written");
        ask_node_again(r);
    } else if (receiver != before) {
        /* "streaming" is also said by a receiver that has only just asked for WAL, and ends when it
         * is refused: two looks must find the same one */
        str_copy(r->last_error, sizeof(r->last_error), "its WAL receiver begins again and again");
        io_timer_start(r->io, &r->timer, RECOVERY_POLL_MS, ask_node, r);
    } else {
        io_timer_stop(&r->deadline);
        recovery_progress(r, "node %d streams from the primary", r->options.node.node_id);
        if (r->cleans)
            recovery_run_begin(r, REBUILD_CLEAN);
        else
            recovery_streams(r);
    }
}

static void
node_failed(void *ctx, const struct err *err, bool asked)
{
    struct recovery *r = ctx;

    str_copy(r->last_error, sizeof(r->last_error), err->message);
    if (asked)
        ask_node_again(r);
}

static void
does_not_stream(void *ctx)
{
    struct recovery *r = ctx;
    char words[RECOVERY_WORDS_MAX + 64];

    io_timer_stop(&r->timer);
    snprintf(words, sizeof(words), "node %d does not stream from the primary in time: %s",
             r->options.node.node_id, r->last_error);
    if (r->rewound) {
        r->rewound = false;
        ask_free(r->node);
        r->node = NULL;
        recovery_progress(r, "%.600s", words);
        recovery_run_begin(r, REBUILD_COPY);
    } else {
        recovery_end(r, PLAN_TIMED_OUT, words);
    }
}

struct ask *
recovery_ask(struct recovery *r, const struct recovery_node *node, const struct ask_ops *ops)
{
    struct ask *ask = ask_new(r->io, r->dns, ops, r);

    ask_set_target(ask, &(struct ask_target){.host = recovery_host(node),
                                             .port = node->port,
                                             .user = r->options.user,
                                             .password = r->options.password,
                                             .database = r->options.database,
                                             .application_name = "pgpool recovery",
                                             .tls = r->options.tls});
    return ask;
}

static void
watch_node(struct recovery *r)
{
    static const struct ask_ops ops = {node_answered, node_failed};
    int64_t wait_ms = r->options.timeout_ms > 0 ? r->options.timeout_ms : RECOVERY_UNBOUNDED_MS;

    if (r->rewound)
        wait_ms = MIN(wait_ms, RECOVERY_REWOUND_MS);
    r->phase = RECOVERY_STREAM;
    str_copy(r->last_error, sizeof(r->last_error), "it does not answer");
    r->told_error[0] = '\0';
    r->receiver = 0;
    if (r->node == NULL)
        r->node = recovery_ask(r, &r->options.node, &ops);
    io_timer_start(r->io, &r->deadline, wait_ms, does_not_stream, r);
    ask_node(r);
}

void
recovery_wait_stream(struct recovery *r)
{
    recovery_progress(r, "waiting until node %d streams from the primary", r->options.node.node_id);
    buf_clear(&r->sql);
    buf_add_str(&r->sql, position);
    ask_primary(r, RECOVERY_POSITION, RECOVERY_ASK_MS);
}

/* ---- begin and end ---- */

static void
copy_node(struct recovery *r, struct recovery_node *node)
{
    node->host = arena_strdup(&r->arena, node->host);
    node->data_directory = arena_strdup(&r->arena, node->data_directory);
    node->application_name = arena_strdup(&r->arena, node->application_name);
}

static const char *
copy_word(struct recovery *r, const char *word)
{
    return arena_strdup(&r->arena, word != NULL ? word : "");
}

static void
copy_options(struct recovery *r, const struct recovery_options *options)
{
    struct recovery_options *mine = &r->options;

    *mine = *options;
    copy_node(r, &mine->node);
    copy_node(r, &mine->primary);
    mine->user = arena_strdup(&r->arena, options->user);
    mine->password = arena_strdup(&r->arena, options->password);
    mine->database = arena_strdup(&r->arena, options->database);
    mine->first_stage = arena_strdup(&r->arena, options->first_stage);
    mine->second_stage = arena_strdup(&r->arena, options->second_stage);
    mine->command = arena_strdup(&r->arena, options->command);
    mine->bin_directory = arena_strdup(&r->arena, options->bin_directory);
    mine->tls.mode = copy_word(r, options->tls.mode);
    mine->tls.ca_cert = copy_word(r, options->tls.ca_cert);
    mine->tls.crl_file = copy_word(r, options->tls.crl_file);
    mine->tls.cert = copy_word(r, options->tls.cert);
    mine->tls.key = copy_word(r, options->tls.key);
    mine->tls.min_version = copy_word(r, options->tls.min_version);
}

static void
begin(void *ctx)
{
    struct recovery *r = ctx;

    recovery_progress(r, "asking the primary, node %d \"%s:%d\"", r->options.primary.node_id,
                      recovery_host(&r->options.primary), r->options.primary.port);
    buf_add_str(&r->sql, facts);
    ask_primary(r, RECOVERY_FACTS, RECOVERY_ASK_MS);
}

struct recovery *
recovery_start(struct io *io, struct dns *dns, const struct recovery_options *options,
               const struct recovery_ops *ops, void *ctx)
{
    static const struct ask_ops primary_ops = {primary_answered, primary_failed};
    struct recovery *r = xcalloc(1, sizeof(*r));

    r->io = io;
    r->dns = dns;
    r->ops = ops;
    r->ctx = ctx;
    arena_init(&r->arena, 0);
    copy_options(r, options);
    r->primary = recovery_ask(r, &r->options.primary, &primary_ops);
    io_timer_start(io, &r->timer, 0, begin, r);
    return r;
}

void
recovery_stop(struct recovery *r)
{
    if (r == NULL)
        return;
    halt(r);
    buf_free(&r->sql);
    buf_free(&r->reader_sql);
    buf_free(&r->history);
    buf_free(&r->output);
    OPENSSL_cleanse((char *)(uintptr_t)r->options.password, strlen(r->options.password));
    arena_fini(&r->arena);
    free(r);
}

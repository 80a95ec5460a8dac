/*
 * Online recovery by our own script: on this host as the owner of the data directory, on another
 * one through recovery_command.
 *
 * The script and its parameters, with a password among them, go through standard input only: no
 * process shows them.
 */
#include "base/str.h"
#include "cluster/placeholders.h"
#include "os/here.h"
#include "recovery_parts.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

static void
on_line(void *ctx, const char *text)
{
    static const char mark[] = "ERROR:  ";
    struct recovery *r = ctx;

    if (strncmp(text, mark, sizeof(mark) - 1) == 0)
        str_copy(r->last_error, sizeof(r->last_error), text + sizeof(mark) - 1);
    else if (text[0] != '\0')
        recovery_progress(r, "%s", text);
}

static void
on_end(void *ctx, const struct run_result *result)
{
    struct recovery *r = ctx;
    char words[128];
    bool done = result->end == RUN_EXITED &&
                (result->code == REBUILD_COPIED || result->code == REBUILD_REWOUND);

    run_free(r->run);
    r->run = NULL;
    run_result_text(result, words, sizeof(words));
    if (r->phase == RECOVERY_CLEAN) {
        if (!done)
            recovery_progress(r, "what was there before could not be removed: %s",
                              r->last_error[0] != '\0' ? r->last_error : words);
        recovery_streams(r);
        return;
    }
    if (!done) {
        if (r->last_error[0] != '\0')
            recovery_fail(r, "%s", r->last_error);
        else
            recovery_fail(r, "the recovery of node %d %s", r->options.node.node_id, words);
        return;
    }
    r->rewound = result->code == REBUILD_REWOUND;
    r->cleans = true;
    recovery_wait_stream(r);
}

static void
start(struct recovery *r, const char *command, const char *const *argv)
{
    static const struct run_ops ops = {on_line, on_end};
    const struct recovery_options *o = &r->options;
    struct buf input = BUF_EMPTY;
    struct err err;
    int rc;

    r->last_error[0] = '\0';
    rc = rebuild_script(&(struct rebuild){.mode = r->mode,
                                          .node_id = o->node.node_id,
                                          .node_host = recovery_host(&o->node),
                                          .node_port = o->node.port,
                                          .data_directory = o->node.data_directory,
                                          .application_name = o->node.application_name,
                                          .primary_host = recovery_host(&o->primary),
                                          .primary_port = o->primary.port,
                                          .user = o->user,
                                          .password = o->password,
                                          .system_identifier = r->system_identifier,
                                          .timeline = r->timeline,
                                          .server_version = r->server_version,
                                          .history = buf_cstr(&r->history),
                                          .bin_directory = o->bin_directory,
                                          .wait_s = o->timeout_ms > 0
                                                        ? MAX(o->timeout_ms / 1000, 1)
                                                        : RECOVERY_UNBOUNDED_MS / 1000},
                        &input, &err);
    if (rc == 0)
        rc = run_start(r->io,
                       &(struct run_options){.ops = &ops,
                                             .command = command,
                                             .argv = argv,
                                             .input = input.data,
                                             .input_len = input.len},
                       r, &r->run, &err);
    if (input.len > 0)
        OPENSSL_cleanse(input.data, input.len);
    buf_free(&input);
    if (rc != 0 && err.hint[0] != '\0')
        recovery_fail(r, "%s (%s)", err.message, err.hint);
    else if (rc != 0)
        recovery_fail(r, "%s", err.message);
}

static void
start_command(struct recovery *r)
{
    const struct recovery_options *o = &r->options;
    const struct placeholder_node node = {o->node.node_id, o->node.port, o->node.host,
                                          o->node.data_directory};
    const struct placeholder_node primary = {o->primary.node_id, o->primary.port, o->primary.host,
                                             o->primary.data_directory};
    const struct placeholders values = {node, primary, {.node_id = -1}, primary};
    struct buf command = BUF_EMPTY;
    struct err err;

    if (placeholders_expand(o->command, &values, &command, &err) != 0)
        recovery_fail(r, "recovery_command: %s", err.message);
    else
        start(r, buf_cstr(&command), NULL);
    buf_free(&command);
}

/* As the owner: root may not run servers, and files of root's would not be readable for them. */
static void
start_here(struct recovery *r)
{
    static const char shell[] = "/bin/sh";
    char user[32];
    char group[32];
    uid_t uid;
    gid_t gid;

    if (here_uid() != 0 || r->options.node.data_directory[0] != '/') { /* which it refuses */
        start(r, NULL, (const char *const[]){shell, "-s", NULL});
        return;
    }
    here_owner(r->options.node.data_directory, &uid, &gid);
    if (uid == 0) {
        recovery_fail(
            r,
            "the data directory \"%s\" of node %d, or the directory that it is to be made "
            "in, belongs to root; it must belong to the user that runs PostgreSQL",
            r->options.node.data_directory, r->options.node.node_id);
        return;
    }
    snprintf(user, sizeof(user), "--reuid=%u", uid);
    snprintf(group, sizeof(group), "--regid=%u", gid);
    start(
        r, NULL,
        (const char *const[]){"/usr/bin/setpriv", user, group, "--init-groups", shell, "-s", NULL});
}

static void
resolved(void *ctx, const struct dns_answer *answer, const struct err *err)
{
    struct recovery *r = ctx;

    r->lookup = NULL;
    if (answer == NULL) {
        recovery_fail(r, "%s", err->message);
        return;
    }
    for (uint32_t n = 0; n < answer->count; n++) {
        if (!here_has_address(&answer->list[n])) {
            recovery_fail(r,
                          "node %d \"%s:%d\" is on another host, where pgpool cannot run anything "
                          "(set recovery_command%s)",
                          r->options.node.node_id, recovery_host(&r->options.node),
                          r->options.node.port,
                          r->options.rejoin ? " or follow_primary_command"
                                            : " or recovery_1st_stage_command");
            return;
        }
    }
    start_here(r);
}

void
recovery_run_begin(struct recovery *r, enum rebuild_mode mode)
{
    r->mode = mode;
    r->phase = mode == REBUILD_CLEAN ? RECOVERY_CLEAN : RECOVERY_RUN;
    if (r->options.command[0] != '\0')
        start_command(r);
    else
        r->lookup =
            dns_lookup(r->dns, recovery_host(&r->options.node), r->options.node.port, resolved, r);
}

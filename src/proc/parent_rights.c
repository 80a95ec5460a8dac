/*
 * What the parent gives up once all is open and before anybody is forked (decision 0020).
 *
 * The whole program becomes run_as_user, the parent too: it goes on reading files that others may
 * have written, and there is nothing that it needs root for any more. Whoever succeeds us (upgrade)
 * is our child and that user already. What the user must be able to do later, replacing the pid
 * file or reading the configuration at a reload, is tried now, when the command can still say so.
 */
#include "base/arena.h"
#include "base/log.h"
#include "config/config.h"
#include "os/here.h"
#include "os/rights.h"
#include "parent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

static void
give_listeners(const struct rights_user *user, const struct sock_listeners *l)
{
    char lock[SOCK_TEXT_BYTES + sizeof(".lock")];

    for (uint32_t n = 0; n < l->count; n++) {
        if (!l->list[n].is_unix)
            continue;
        snprintf(lock, sizeof(lock), "%s.lock", l->list[n].text);
        rights_give(user, l->list[n].text);
        rights_give(user, lock);
    }
}

/* Own memory. */
static char *
directory_of(const char *path)
{
    char *directory = xstrdup(path);
    char *slash = strrchr(directory, '/');

    if (slash != NULL)
        slash[slash == directory ? 1 : 0] = '\0';
    return directory;
}

static void
give_files(const struct parent *pa, const struct rights_user *user)
{
    const struct config *cfg = pa->config;
    char *directory = directory_of(cfg->pid_file_name);
    char status[PATH_BYTES];

    if (pa->made_pid_directory)
        rights_give(user, directory);
    if (pa->made_log_directory)
        rights_give(user, cfg->log_directory);
    snprintf(status, sizeof(status), "%s/pgpool_status", cfg->work_dir);
    rights_give(user, status); /* of a run as root */
    rights_give(user, cfg->pid_file_name);
    give_listeners(user, &pa->clients);
    give_listeners(user, &pa->pcp);
    free(directory);
}

static int
try_access(const char *path, int mode, const char *what, struct err *err)
{
    if (access(path, mode) == 0)
        return 0;
    err_set_errno(err, "42501", errno, "\"run_as_user\" could not %s \"%s\"", what, path);
    err_hint(err, "give it to that user, or choose another one in pgpool.conf");
    return -1;
}

static int
try_files(const struct parent *pa, struct err *err)
{
    const struct config *cfg = pa->config;
    char *directory = directory_of(cfg->pid_file_name);
    int result = try_access(pa->cmd->files.config, R_OK, "read the configuration", err);

    if (result == 0)
        result = try_access(directory, W_OK | X_OK, "replace the pid file in directory", err);
    if (result == 0)
        result = try_access(cfg->work_dir, W_OK | X_OK, "write the status file in directory", err);
    if (result == 0 && cfg->logging_collector)
        result = try_access(cfg->log_directory, W_OK | X_OK, "write log files in directory", err);
    free(directory);
    return result;
}

static int
become(struct parent *pa, struct err *err)
{
    const struct config *cfg = pa->config;
    struct rights_user user;

    if (cfg->run_as_user[0] == '\0') {
        if (cfg->run_as_group[0] != '\0')
            return err_set(err, "F0000", "\"run_as_group\" needs \"run_as_user\"");
        if (here_uid() == 0)
            log_info("running as root; \"run_as_user\" names a user who can do less");
        return 0;
    }
    if (rights_find(cfg->run_as_user, cfg->run_as_group, &user, err) != 0) {
        err_prefix(err, "run_as_user: ");
        return -1;
    }
    if (rights_is(&user))
        return 0;
    if (pa->from != NULL) { /* nor could it end what the older generation has left */
        err_set(err, "F0000", "\"run_as_user\" cannot be changed by an upgrade");
        err_hint(err, "stop pgpool and start it again");
        return -1;
    }
    if (here_uid() != 0) {
        err_set(err, "42501", "could not become \"run_as_user\" \"%s\"", user.name);
        err_hint(err, "only root can become another user; start pgpool as root or as that user");
        return -1;
    }
    give_files(pa, &user);
    if (rights_become(&user, err) != 0)
        return -1;
    log_info("running as user \"%s\"", user.name);
    return try_files(pa, err);
}

int
parent_drop_rights(struct parent *pa, struct err *err)
{
    if (become(pa, err) != 0)
        return -1;
    rights_limit(true);
    rights_guard_memory(pa->config->allow_core_files);
    return 0;
}

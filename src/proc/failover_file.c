/*
 * The status file: written by each change, read at the start of pgpool.
 */
#include "failover.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "cluster/status.h"
#include "config/config.h"
#include "os/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, FILE_MODE = 0600 };

static void
path_of(const struct failover *f, const char *end, char *path_r)
{
    snprintf(path_r, PATH_BYTES, "%s/pgpool_status%s", f->proc->config->work_dir, end);
}

static void
fill_addresses(const struct failover *f, struct status_node *nodes)
{
    const struct config *cfg = f->proc->config;

    for (uint32_t n = 0; n < MIN(cfg->backend_count, (uint32_t)CLUSTER_NODES_MAX); n++) {
        if (!cfg->backends[n].configured)
            continue;
        str_copy(nodes[n].host, sizeof(nodes[n].host), cfg->backends[n].hostname);
        nodes[n].port = (uint16_t)cfg->backends[n].port;
    }
}

void
failover_print(const struct failover *f, struct buf *out)
{
    struct status *status = xcalloc(1, sizeof(*status));

    status->plan = f->now.plan;
    fill_addresses(f, status->nodes);
    status_print(status, out);
    free(status);
}

int
failover_save(struct failover *f, struct err *err)
{
    struct buf text = BUF_EMPTY;
    char path[PATH_BYTES];
    int rc;

    if (f->shared && f->watch.revision == 0)
        return 0;
    path_of(f, "", path);
    if (f->shared) /* what is being proposed is not true yet */
        buf_add(&text, f->watch.committed.data, f->watch.committed.len);
    else
        failover_print(f, &text);
    rc = file_write_durable(path, FILE_MODE, text.data, text.len, err);
    buf_free(&text);
    return rc;
}

int
failover_take(struct failover *f, const struct buf *text, struct err *err)
{
    struct status *status = xcalloc(1, sizeof(*status));
    struct status_node *nodes = xcalloc(CLUSTER_NODES_MAX, sizeof(*nodes));
    int rc = status_parse_present(status, (const char *)text->data, text->len, err);

    if (rc == 0) {
        fill_addresses(f, nodes);
        status_keep_same_nodes(status, nodes, f->proc->config->backend_count);
        f->now.plan = status->plan;
    }
    free(nodes);
    free(status);
    return rc;
}

/* It may hold what somebody needs to understand what has happened. With copies it is there under
 * both names until another one takes its place: at no moment there is none. */
static void
keep_aside(const struct failover *f, const char *path)
{
    char aside[PATH_BYTES];
    bool kept;

    path_of(f, ".faulty", aside);
    if (f->copies)
        kept = (unlink(aside) == 0 || errno == ENOENT) && link(path, aside) == 0;
    else
        kept = rename(path, aside) == 0;
    if (kept)
        log_warning("the faulty status file is \"%s\" now", aside);
}

/* Only what is certain: a directory that cannot be searched may have one. */
static bool
is_absent(const char *path)
{
    struct stat st;

    return lstat(path, &st) != 0 && errno == ENOENT;
}

enum failover_file
failover_load(struct failover *f)
{
    enum failover_file found = FAILOVER_FILE_FAULTY;
    struct status *status = xcalloc(1, sizeof(*status));
    struct status_node *nodes = xcalloc(CLUSTER_NODES_MAX, sizeof(*nodes));
    struct buf text = BUF_EMPTY;
    char path[PATH_BYTES];
    struct err err;

    path_of(f, "", path);
    fill_addresses(f, nodes);
    if (is_absent(path)) {
        found = FAILOVER_FILE_NONE;
        log_debug("there is no status file \"%s\": nodes are met for the first time", path);
    } else if (file_read(path, STATUS_FILE_BYTES, &text, &err) != 0) {
        log_error("%s", err.message);
    } else if (status_parse(status, (const char *)text.data, text.len, &err) != 0) {
        log_error("status file \"%s\" is not used: %s", path, err.message);
        keep_aside(f, path);
    } else {
        status_keep_same_nodes(status, nodes, f->proc->config->backend_count);
        f->now.plan = status->plan;
        found = FAILOVER_FILE_TAKEN;
        log_info("nodes are as status file \"%s\" says", path);
    }
    buf_free(&text);
    free(nodes);
    free(status);
    return found;
}

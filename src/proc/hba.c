/*
 * pool_hba.conf and pool_ident.conf: from the disk by the parent, by configtest and for SHOW; from
 * shared memory by the others.
 */
#include "proc/hba.h"

#include "auth/hba_copy.h"
#include "base/arena.h"
#include "base/log.h"
#include "config/config.h"
#include "config/source.h"
#include "ipc/shared.h"
#include "os/file.h"
#include "os/here.h"
#include "proc/proc.h"

#include <stdlib.h>
#include <string.h>

/* ---- the disk ---- */

static int
read_file(void *ctx UNUSED, const char *path, struct buf *text, struct err *err)
{
    if (!source_exists(path))
        return 1;
    return file_read(path, HBA_FILE_MAX, text, err);
}

static int
list_directory(void *ctx UNUSED, const char *path, struct buf *paths, struct err *err)
{
    struct source_list list;

    if (source_list(path, &list, err) != 0)
        return -1;
    for (size_t n = 0; n < list.count; n++)
        buf_add_cstr(paths, list.paths[n]);
    source_list_free(&list);
    return 0;
}

const struct hba_reader proc_hba_reader = {NULL, read_file, list_directory};

/* ---- findings ---- */

struct finding {
    const char *file;
    uint32_t line;
    const char *words;
    const char *hint;
};

static void
print_finding(const struct finding *f, struct buf *out)
{
    buf_printf(out, "%s:", f->file);
    if (f->line > 0)
        buf_printf(out, "%u:", f->line);
    buf_printf(out, " %s", f->words);
    if (f->hint != NULL)
        buf_printf(out, " (hint: %s)", f->hint);
}

struct telling {
    const struct proc_hba_check *check;
    struct err *err; /* gets the first fault */
    uint32_t faults;
};

static void
tell(struct telling *t, bool is_fault, const struct finding *f)
{
    struct buf words = BUF_EMPTY;

    print_finding(f, &words);
    is_fault = is_fault && t->check->counts;
    if (is_fault && t->faults++ == 0)
        err_set(t->err, "F0000", "%s", buf_cstr(&words));
    if (t->check->fn != NULL)
        t->check->fn(t->check->ctx, is_fault, buf_cstr(&words));
    buf_free(&words);
}

static void
tell_rules(struct telling *t, const struct hba *rules)
{
    const struct hba_line *line;

    for (uint32_t n = 0; (line = hba_line_at(rules, n)) != NULL; n++) {
        if (line->number == 0 && !t->check->counts)
            continue;
        if (line->error != NULL)
            tell(t, true, &(struct finding){line->file, line->number, line->error, line->hint});
        else if (line->note != NULL)
            tell(t, false, &(struct finding){line->file, line->number, line->note, NULL});
    }
}

static void
tell_maps(struct telling *t, const struct ident *ident)
{
    const struct ident_line *line;

    for (uint32_t n = 0; (line = ident_line_at(ident, n)) != NULL; n++) {
        if (line->error != NULL)
            tell(t, true, &(struct finding){line->file, line->number, line->error, line->hint});
    }
}

int
proc_check_hba(const struct proc_hba_check *check, struct buf *copy_r, struct err *err)
{
    struct telling t = {check, err, 0};
    struct hba_copy copy = {BUF_EMPTY, &proc_hba_reader};
    struct hba_reader reader = hba_copy_reader(&copy);
    struct hba *rules = hba_load(&reader, check->files->hba);
    struct ident *ident = ident_load(&reader, check->files->ident);

    tell_rules(&t, rules);
    tell_maps(&t, ident);
    hba_unref(rules);
    ident_unref(ident);
    if (copy_r != NULL)
        buf_add(copy_r, copy.bytes.data, copy.bytes.len);
    buf_free(&copy.bytes);
    return t.faults == 0 ? 0 : -1;
}

/* ---- shared memory ---- */

void
proc_free_hba(struct proc_hba *hba)
{
    hba_unref(hba->rules);
    ident_unref(hba->ident);
    free((void *)(uintptr_t)hba->nets.list);
    *hba = (struct proc_hba){.rules = NULL};
}

void
proc_read_hba(const struct proc *p, struct proc_hba *hba_io)
{
    struct hba_copy copy = {BUF_EMPTY, NULL};
    struct hba_reader reader = hba_copy_reader(&copy);
    struct proc_hba fresh = {.rules = NULL};

    if (!p->config->enable_pool_hba) {
        proc_free_hba(hba_io);
        return;
    }
    shared_read_hba(p->shared, &copy.bytes);
    fresh.rules = hba_load(&reader, p->files->hba);
    fresh.ident = ident_load(&reader, p->files->ident);
    buf_free(&copy.bytes);
    if (hba_is_good(fresh.rules) && ident_is_good(fresh.ident)) {
        proc_free_hba(hba_io);
        *hba_io = fresh;
        return;
    }
    /* The parent has read the same bytes, and found no fault. */
    log_error("could not read the rules of \"%s\" from shared memory", p->files->hba);
    proc_free_hba(&fresh);
}

/* ---- networks ---- */

const struct hba_nets *
proc_hba_nets(struct proc_hba *hba)
{
    struct here_network *found;
    struct hba_net *list;
    uint32_t count;
    struct err err;

    if (hba->rules == NULL || !hba_uses_nets(hba->rules))
        return NULL;
    if (here_networks(&found, &count, &err) != 0) {
        log_error("%s", err.message);
        return NULL;
    }
    list = xcalloc(MAX(count, 1U), sizeof(*list));
    for (uint32_t n = 0; n < count; n++) {
        list[n].family = found[n].family;
        memcpy(list[n].address, found[n].address, sizeof(list[n].address));
        memcpy(list[n].mask, found[n].mask, sizeof(list[n].mask));
    }
    free(found);
    free((void *)(uintptr_t)hba->nets.list);
    hba->nets = (struct hba_nets){list, count};
    return &hba->nets;
}

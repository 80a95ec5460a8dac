/*
 * pool_hba.conf and pool_ident.conf on the disk, and in shared memory.
 *
 * The parent reads them with pgpool.conf, at start and at every reload, and publishes what it has
 * read; the others take the rules from there, so all of them have the same ones, and a file that is
 * being edited counts for nobody. A fault in either changes nothing, and keeps us from starting.
 */
#ifndef PROC_HBA_H
#define PROC_HBA_H

#include "auth/hba.h"
#include "auth/ident.h"
#include "base/err.h"

struct config;
struct proc;
struct proc_files;

/* rules and ident are both NULL: enable_pool_hba is off, or the rules could not be had. With
 * enable_pool_hba and without rules nobody may come in. */
struct proc_hba {
    struct hba *rules;
    struct ident *ident;
    struct hba_nets nets; /* proc_hba_nets' own */
};

/* The rules that the parent has published last, in place of what is in *hba_io, which is unref'd:
 * for processes with clients, when they start and in on_config. Never blocks. */
void proc_read_hba(const struct proc *p, struct proc_hba *hba_io);
void proc_free_hba(struct proc_hba *hba);

/* This host's networks as they are now, for hba_client.nets; NULL when no rule is about them, or
 * the kernel does not tell (the log says so). Valid until the next call. */
const struct hba_nets *proc_hba_nets(struct proc_hba *hba);

/* Reads files on the disk; may block there. Lives as long as the program. */
extern const struct hba_reader proc_hba_reader;

/* A fault or, not is_fault, a note: "FILE:LINE: words (hint: ...)". */
typedef void proc_hba_finding_fn(void *ctx, bool is_fault, const char *words);

/* Reads both files from the disk, all faults and notes told to fn. -1: one is faulty, err has the
 * first. copy_r (appended to, may be NULL) is what the others can read the rules from. */
struct proc_hba_check {
    const struct proc_files *files;
    bool counts; /* enable_pool_hba; else nothing is a fault, and there need not be any rule */
    proc_hba_finding_fn *fn;
    void *ctx;
};
int proc_check_hba(const struct proc_hba_check *check, struct buf *copy_r, struct err *err);

#endif

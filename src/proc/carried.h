/*
 * Which tables the subscribers of logical replication carry (cluster/carried.h): asked of the main
 * node and of the subscribers, database by database, and published in the area "carried". For the
 * lag process.
 *
 * Asked anew every sr_check_period, when a node comes or goes, and when DDL has passed by (the
 * memo's epoch of the database is another one): what was published before does not count then.
 */
#ifndef PROC_CARRIED_H
#define PROC_CARRIED_H

#include "orphans.h"
#include "os/ask.h"
#include "os/dns.h"
#include "proc/proc.h"

struct carried;

/* Idle while the mode is another one. host is borrowed: orphans.h. */
struct carried *carried_new(struct proc *p, struct dns *dns, const struct orphans_host *host,
                            void *ctx);
void carried_free(struct carried *c);

/* The mode may be another one, or nodes have come or gone. */
void carried_look(struct carried *c);

#endif

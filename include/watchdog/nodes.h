/*
 * Node lists of pgpools: as text, as a hash, and where two of them differ. Pure.
 *
 * Numbers of nodes mean the same server to all members only when all have the same list. It is one
 * text for the same list, in every process and on every machine: a line "N host:port" for each
 * node, in the order of N. Names are compared as they are written, letters in either case are
 * equal: a name and its address are different.
 */
#ifndef WATCHDOG_NODES_H
#define WATCHDOG_NODES_H

#include "base/buf.h"
#include "config/config.h"

#include <stdbool.h>

void wd_nodes_print(const struct config *config, struct buf *out);

/* Of that text; never 0. */
uint64_t wd_nodes_hash(const char *text);

/* False: they are the same. Writes where they differ: `node 1 is "db2:5432" here and "db3:5432"
 * there, node 2 is not there`, cut to what there is room for. Any text may come as theirs. */
bool wd_nodes_differ(const char *ours, const char *theirs, char *words_r, size_t words_size);

#endif

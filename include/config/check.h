/*
 * Whether the values of a generation fit together; for the files of this room.
 */
#ifndef CONFIG_CHECK_H
#define CONFIG_CHECK_H

#include "config/option.h"
#include "config/report.h"

/* Where each value was set last; a line of 0 where it was not. Kept while a file is loaded. */
struct origins {
    struct place all[OPTION_COUNT];
    struct place *nodes[OPTION_COUNT]; /* CONFIG_NODES_MAX of them, or NULL */
};

struct place origin_get(const struct origins *origins, const struct option *option, int node_id);
void origin_set(struct origins *origins, const struct option *option, int node_id,
                struct place place);
void origins_fini(struct origins *origins);

struct check {
    const struct config *cfg;
    const struct origins *origins; /* NULL: nobody knows any more */
    struct config_report *report;
    bool faults_only; /* warnings and notes have been given before */
};

/* Looks at the values alone, at nothing outside: the same values always get the same verdict. */
void check_all(const struct check *check);

#endif

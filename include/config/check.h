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

/* Adds the names under which the option is set to another value than in fresh, the defaults. */
void check_list_set(const struct check *check, const struct option *option,
                    const struct config *fresh, struct buf *names);

/* ---- check_watchdog.c ---- */

/* pgpool_node_id from the file of that name beside cfg->path, where the watchdog needs it. */
void node_id_load(struct config *cfg, struct config_report *report);
void check_watchdog(const struct check *check);
/* One line for each kind of parameters that something else has taken the place of. */
void note_replaced(const struct check *check);

#endif

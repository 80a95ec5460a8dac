/*
 * What a pgpool.conf of Pgpool-II sets, by option; for `pgpool migrate`.
 */
#ifndef CONFIG_MIGRATE_OLD_H
#define CONFIG_MIGRATE_OLD_H

#include "config/option.h"
#include "config/report.h"

#include <stdbool.h>

/* The last setting of an option. Texts belong to the arena. */
struct old_value {
    const char *name; /* as the file has it; NULL when it sets none */
    const char *text;
};

struct old {
    struct arena arena;
    struct old_value all[OPTION_COUNT];
    struct old_value *nodes[OPTION_COUNT]; /* CONFIG_NODES_MAX of them, or NULL */
    struct buf lost;                       /* comments on what is no option of ours */
    /* names of versions before 4.2, NULL when not set */
    const char *master_slave_mode;
    const char *master_slave_sub_mode;
};

/* Reads the file and what it includes. -1 with a fault when a file cannot be read. Free with
 * old_fini in any case. */
int old_read(const char *path, struct old *old_r, struct config_report *report);
void old_fini(struct old *old);

/* NULL when the file does not set it. */
const struct old_value *old_get(const struct old *old, const struct option *option, int node_id);

/* The value of a plain number that is not per node, `preset` when the file does not set it, or to
 * no number. */
uint32_t old_number(const struct old *old, enum option_id id, uint32_t preset);
/* Truth values likewise. */
bool old_bool(const struct old *old, enum option_id id, bool preset);

#endif

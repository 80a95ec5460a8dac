/*
 * `pgpool migrate`: a configuration of Pgpool-II or of PgBouncer, written anew for this pgpool.
 */
#ifndef CONFIG_MIGRATE_H
#define CONFIG_MIGRATE_H

#include "config/config.h"

enum migrate_from {
    MIGRATE_FROM_ANY, /* a file with a section [databases] or [pgbouncer] is PgBouncer's */
    MIGRATE_FROM_PGPOOL2,
    MIGRATE_FROM_PGBOUNCER,
};

/* Which of the new files. Pgpool-II's other files are taken as they are. */
enum migrate_part {
    MIGRATE_PGPOOL_CONF,
    MIGRATE_POOL_LIMITS,
    MIGRATE_POOL_PASSWD, /* holds the secrets of userlist.txt */
    MIGRATE_POOL_HBA,
};

struct migrate_request {
    const char *path; /* of the old file */
    enum migrate_from from;
    enum migrate_part part;
};

/*
 * Reads the old file with all that it includes, and adds the new one, in which a comment stands
 * where anything is changed. Blocks on the disk. Returns 0, or -1 with a fault in the report when a
 * file cannot be read, or when pgpool.conf would not be accepted (the text is added all the same,
 * and the fault says what is wrong with it). Warnings tell of lines that were not understood.
 */
int config_migrate(const struct migrate_request *request, struct buf *out,
                   struct config_report *report);

#endif

/*
 * pool_limits: what differs from pgpool.conf for a database or a user.
 *
 * A file of lines `database user pool_mode max_backend_connections [cache=on|off]
 * [log_min_duration_statement=TIME]`; the first one that matches a client counts. It is read with
 * pgpool.conf and belongs to the same generation: a fault in either changes nothing, and every
 * process has the same entries.
 */
#ifndef CONFIG_LIMITS_H
#define CONFIG_LIMITS_H

#include "base/arena.h"
#include "base/util.h"

#include <stdbool.h>

struct config;
struct config_report;

enum {
    CONFIG_LIMITS_MAX = 512,                       /* entries */
    CONFIG_GROUPS_MAX = 2 * CONFIG_LIMITS_MAX + 1, /* so many numbers of groups, 0 included */
    CONFIG_LIMIT_NAME_MAX = 63,                    /* bytes of a name, as in PostgreSQL */
    CONFIG_LIMIT_NO_LOGGING = -2,                  /* beside all that is a duration, and -1 */
};

struct config_limit {
    const char *database;     /* NULL: any */
    const char *user;         /* NULL: any */
    int pool_mode;            /* enum config_pool_mode; -1: as pgpool.conf has it */
    uint32_t max_connections; /* to a node, over all children; 0: no limit of its own */
    uint32_t group; /* what connections are counted under, as long as the entry is for the same
                     * database and user; 0: they are not, with max_connections 0 */
    int8_t cache;   /* memory_cache_enabled: 1 on, 0 off; -1: as pgpool.conf has it */
    int64_t log_min_duration_ms; /* log_min_duration_statement: -1 never; CONFIG_LIMIT_NO_LOGGING:
                                  * as pgpool.conf has it */
    uint32_t line;               /* of the file; 0 where nobody knows it */
};

struct config_limits {
    struct config_limit *list; /* in the arena of their configuration */
    uint32_t count;
};

/* The entry that counts for who logs in as this user to this database; NULL: none. */
const struct config_limit *config_limit_find(const struct config_limits *limits,
                                             const char *database, const char *user);

/* Does anything turn the query cache on, so that there must be memory for it? */
bool config_wants_cache(const struct config *cfg);

/* Does every server run every write (native_replication, snapshot_isolation)? */
bool config_has_copies(const struct config *cfg);

/* A text as the file holds it; name stands for the file in findings. Faulty lines are reported and
 * left out, and so, with a warning, are those that an earlier one leaves nothing to match. */
struct limits_source {
    const char *text;
    size_t len;
    const char *name;
};
void config_limits_parse(const struct limits_source *source, struct arena *arena,
                         struct config_limits *limits_r, struct config_report *report);

#endif

/*
 * The parts of `pgpool migrate`; for the files of this room.
 */
#ifndef CONFIG_MIGRATE_PARTS_H
#define CONFIG_MIGRATE_PARTS_H

#include "config/ini.h"
#include "config/migrate.h"
#include "config/option.h"

#include <stdbool.h>

/* ---- src/config/migrate_text.c ---- */

/* Words as a comment, broken into lines. */
void migrate_comment(struct buf *out, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* `# was: name = value`, in which the value of a secret is not repeated. */
void migrate_was(struct buf *out, const char *name, const char *value);

/* `name = value`: the value as the option prints it. When it is none that the option takes, a
 * comment says so instead, and false comes back. */
bool migrate_setting(struct buf *out, const struct option *option, int node_id, const char *value);

/* The title of a group, in front of what its first option has to say. */
struct migrate_group {
    const char *title; /* NULL: said, or none so far */
};
void migrate_title(struct migrate_group *group, struct buf *out);

/* Whether the text means the option's default. */
bool migrate_is_preset(const struct option *option, const char *text);
/* Whether both mean the same to the option; not when one of them means nothing. */
bool migrate_same(const struct option *option, const char *a, const char *b);

/* A list of names, as a comment behind the text; nothing when there are none. */
void migrate_names(struct buf *out, const char *text, struct buf *names);
void migrate_add_name(struct buf *names, const char *name);

/* ---- src/config/migrate_pgpool2.c ---- */
int migrate_pgpool2(const char *path, struct buf *out, struct config_report *report);

/* ---- src/config/migrate_pgbouncer.c ---- */
int migrate_pgbouncer(const struct migrate_request *request, struct buf *out,
                      struct config_report *report);

/* What a pgbouncer.ini holds, while it is migrated. */
struct bouncer {
    const struct ini *ini;
    const char *path;
    struct arena *arena;
    struct config_report *report;
};

/* A value of [pgbouncer], NULL when it is not set. */
const char *bouncer_get(const struct bouncer *b, const char *name);

/* ---- src/config/migrate_databases.c ---- */

/* One line of [databases] or [users], taken apart; absent words are NULL. */
struct bouncer_entry {
    const char *name;
    const char *host;
    const char *port;
    const char *dbname;
    const char *user;
    const char *password;
    const char *auth_user;
    const char *pool_mode;
    const char *pool_size;
    const char *max_connections; /* max_db_connections, max_user_connections */
    struct buf others;           /* names of words that have no counterpart */
};

/* Nodes, and what clients of each database have to know. */
void bouncer_print_nodes(const struct bouncer *b, struct buf *out);
/* The entry whose servers are the nodes; false when there is none. Free with bouncer_entry_fini. */
bool bouncer_main_entry(const struct bouncer *b, struct bouncer_entry *entry_r);
void bouncer_entry_fini(struct bouncer_entry *entry);
/* Lines of pool_limits; how many. */
uint32_t bouncer_print_limits(const struct bouncer *b, struct buf *out);
/* How many server connections PgBouncer opens to all databases that it lists, for one user each. */
uint32_t bouncer_connections(const struct bouncer *b);

/* ---- src/config/migrate_logins.c ---- */

/* Whether pool_hba.conf has to say who may come in. */
bool bouncer_needs_hba(const struct bouncer *b);
/* The method of pool_hba.conf for auth_type. */
const char *bouncer_method(const struct bouncer *b);
void bouncer_print_logins(const struct bouncer *b, struct buf *out);
int bouncer_print_passwd(const struct bouncer *b, struct buf *out);
int bouncer_print_hba(const struct bouncer *b, struct buf *out);

#endif

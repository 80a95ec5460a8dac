/*
 * What a session has set for itself: values of options of the context "session" that count in place
 * of those of the configuration, and stay when that is loaded anew.
 *
 * Errors are worded as PostgreSQL words them for SET: 42704 for a name that nobody knows, 55P02 for
 * an option that no session may change, 22023 for a value that it cannot have, with a hint.
 */
#ifndef CONFIG_OVERRIDES_H
#define CONFIG_OVERRIDES_H

#include "base/err.h"
#include "config/config.h"

/* The options of the context "session", as one session has them; the fields of struct config. */
struct config_session {
#define CONFIG_IN_GLOBAL(field) field
#define CONFIG_AT_STARTUP(field)
#define CONFIG_AT_RELOAD(field)
#include "tables/option_fields.def"
};

struct config_overrides;

struct config_overrides *config_overrides_new(void);
void config_overrides_free(struct config_overrides *own); /* NULL is allowed */

/* The text as people write it ("5min"). -1 with err; nothing has changed then. */
int config_overrides_set(struct config_overrides *own, const char *name, const char *text,
                         struct err *err);

/* Back to the configuration's value. Fails as config_overrides_set does for the name. */
int config_overrides_reset(struct config_overrides *own, const char *name, struct err *err);
void config_overrides_reset_all(struct config_overrides *own);

bool config_overrides_empty(const struct config_overrides *own);

/* All values that count for a session; own may be NULL. */
void config_session_values(const struct config *cfg, const struct config_overrides *own,
                           struct config_session *values_r);

/* Finds a parameter of any context by the name that somebody gave it; name_r is the one that the
 * table has. -1 with 42704 when there is none, or none of that node. */
int config_find(const struct config *cfg, const char *name, char name_r[CONFIG_NAME_MAX],
                struct err *err);

/* False for an option that is accepted, and has no effect so far. For names that config_find
 * knows. */
bool config_has_effect(const char *name);

#endif

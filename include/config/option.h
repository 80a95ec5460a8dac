/*
 * The option table as data, for the files of this room: what each option is called, where its
 * value lies, and how it is read and written. All of it comes from include/tables/.
 */
#ifndef CONFIG_OPTION_H
#define CONFIG_OPTION_H

#include "config/config.h"
#include "config/overrides.h"

enum option_type {
    OPTION_TYPE_BOOL,
    OPTION_TYPE_INT,
    OPTION_TYPE_DOUBLE,
    OPTION_TYPE_TIME,
    OPTION_TYPE_SIZE,
    OPTION_TYPE_MODE,
    OPTION_TYPE_STRING,
    OPTION_TYPE_SECRET,
    OPTION_TYPE_PATH,
    OPTION_TYPE_ENUM,
    OPTION_TYPE_FLAGS,
    OPTION_TYPE_LIST,
    OPTION_TYPE_REGEXES,
};

enum option_scope {
    OPTION_SCOPE_GLOBAL,
    OPTION_SCOPE_BACKEND,
    OPTION_SCOPE_HEALTH,
    OPTION_SCOPE_PEER,
    OPTION_SCOPE_HEARTBEAT,
};

enum option_context { OPTION_CONTEXT_STARTUP, OPTION_CONTEXT_RELOAD, OPTION_CONTEXT_SESSION };
enum option_state { OPTION_STATE_BUILT, OPTION_STATE_LATER, OPTION_STATE_IGNORED };

/* What a number without a unit counts. */
enum option_unit {
    OPTION_UNIT_NONE,
    OPTION_UNIT_MS,
    OPTION_UNIT_S,
    OPTION_UNIT_MIN,
    OPTION_UNIT_B,
    OPTION_UNIT_KB,
};

/* A word of an enumeration. The last one of a list has no word. */
struct option_word {
    const char *word;
    int value;
    bool also; /* understood, never printed */
};

struct option {
    const char *name; /* without a node's number */
    const char *preset;
    const char *description;
    const struct option_word *words; /* ENUM and FLAGS */
    size_t offset;                   /* of the value for all nodes, in struct config */
    size_t node_offset;              /* of a node's value, in the struct of the scope */
    size_t session_offset;           /* of a session's own value, in struct config_session */
    int64_t least;                   /* in the unit */
    int64_t most;
    enum option_type type;
    enum option_scope scope;
    enum option_context context;
    enum option_state state;
    enum option_unit unit;
    char separator;
};

/* OPTION_ID_GLOBAL_port, OPTION_ID_BACKEND_hostname, ... index option_table; a group has the index
 * of the row that follows it. */
enum option_id {
#define OPTION_GROUP(id, title) OPTION_GROUP_##id, OPTION_END_##id = OPTION_GROUP_##id - 1,
#define OPTION_BOOL(scope, name, preset, context, state, text) OPTION_ID_##scope##_##name,
#define OPTION_INT(scope, name, least, most, preset, context, state, text)                         \
    OPTION_ID_##scope##_##name,
#define OPTION_DOUBLE OPTION_INT
#define OPTION_TIME(scope, name, unit, least, most, preset, context, state, text)                  \
    OPTION_ID_##scope##_##name,
#define OPTION_SIZE OPTION_TIME
#define OPTION_MODE OPTION_BOOL
#define OPTION_STRING OPTION_BOOL
#define OPTION_SECRET OPTION_BOOL
#define OPTION_PATH OPTION_BOOL
#define OPTION_ENUM(scope, name, type, preset, context, state, text) OPTION_ID_##scope##_##name,
#define OPTION_FLAGS(scope, name, type, separator, preset, context, state, text)                   \
    OPTION_ID_##scope##_##name,
#define OPTION_LIST(scope, name, separator, preset, context, state, text)                          \
    OPTION_ID_##scope##_##name,
#define OPTION_REGEXES OPTION_LIST
#include "tables/options.def"
    OPTION_COUNT
};

/* A node's number in every place where an option of all nodes stands. */
enum { OPTION_ALL_NODES = -1, OPTION_NAME_MAX = CONFIG_NAME_MAX };

extern const struct option option_table[OPTION_COUNT];

/* The title of the group that begins with this option, NULL when none does. */
const char *option_group_title(enum option_id id);

static inline enum option_id
option_id(const struct option *option)
{
    return (enum option_id)(option - option_table);
}

/* GLOBAL and HEALTH have a value for all nodes; all but GLOBAL have one per node. */
static inline bool
option_has_global(const struct option *option)
{
    return option->scope == OPTION_SCOPE_GLOBAL || option->scope == OPTION_SCOPE_HEALTH;
}

static inline bool
option_has_nodes(const struct option *option)
{
    return option->scope != OPTION_SCOPE_GLOBAL;
}

/* Where the value lies; node_id is OPTION_ALL_NODES or below CONFIG_NODES_MAX, as the option's
 * scope has it. */
void *option_field(const struct option *option, struct config *cfg, int node_id);
const void *option_value(const struct option *option, const struct config *cfg, int node_id);

/* Whether the node that a value belongs to exists; true for OPTION_ALL_NODES. */
bool option_node_exists(const struct option *option, const struct config *cfg, int node_id);

/* The name as it stands in a file, with the node's number. */
const char *option_full_name(const struct option *option, int node_id,
                             char name_r[OPTION_NAME_MAX]);

/* A session's own value, NULL when it has none (own may be NULL): src/config/overrides.c */
const void *overrides_value(const struct config_overrides *own, const struct option *option);

enum option_lookup {
    OPTION_FOUND,
    OPTION_UNKNOWN,
    OPTION_NEEDS_NUMBER, /* there is one per node */
    OPTION_BAD_NUMBER,   /* 128 or more */
    OPTION_IS_RETIRED,
};

struct option_ref {
    const struct option *option; /* NULL unless found */
    int node_id;
    const char *reason; /* why it is retired */
};

/* Knows old names, too; the case of letters does not count. */
enum option_lookup option_find(const char *name, struct option_ref *ref_r);

/* The known name that looks most like this one; false when none comes near. */
bool option_nearest(const char *name, char nearest_r[OPTION_NAME_MAX]);

#endif

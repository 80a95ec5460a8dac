/*
 * The option table: made from include/tables/ and never changed; and finding options by name.
 *
 * Used by all other files of this room. Names are found by walking the table: some two hundred
 * rows, a few dozen settings in a file.
 */
#include "config/option.h"

#include "base/num.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

#define OPTION_ENUM_BEGIN(type) static const struct option_word type##_words[] = {
#define OPTION_OTHER_BEGIN(type) static const struct option_word type##_words[] = {
#define OPTION_VALUE(constant, word) {word, constant, false},
#define OPTION_BIT(constant, bit, word) {word, constant, false},
#define OPTION_OTHER_VALUE(constant, word) {word, constant, false},
#define OPTION_ALSO(constant, word) {word, constant, true},
#define OPTION_ENUM_END(type)                                                                      \
    {                                                                                              \
        NULL, 0, false                                                                             \
    }                                                                                              \
    }                                                                                              \
    ;
#define OPTION_OTHER_END(type)                                                                     \
    {                                                                                              \
        NULL, 0, false                                                                             \
    }                                                                                              \
    }                                                                                              \
    ;
#include "tables/option_values.def"

/* What a scope adds to a name, and where its values lie. */
#define PREFIX_GLOBAL ""
#define PREFIX_BACKEND "backend_"
#define PREFIX_HEALTH ""
#define PREFIX_PEER ""
#define PREFIX_HEARTBEAT "heartbeat_"

#define PLACE_GLOBAL(field) .offset = offsetof(struct config, field)
#define PLACE_BACKEND(field) .node_offset = offsetof(struct config_backend, field)
#define PLACE_HEALTH(field) PLACE_GLOBAL(field), PLACE_BACKEND(field)
#define PLACE_PEER(field) .node_offset = offsetof(struct config_peer, field)
#define PLACE_HEARTBEAT(field) .node_offset = offsetof(struct config_heartbeat, field)

#define OWN_STARTUP(field)
#define OWN_RELOAD(field)
#define OWN_SESSION(field) , .session_offset = offsetof(struct config_session, field)

#define ROW(kind, in, title, field, start, when, how, text)                                        \
    .name = PREFIX_##in title, .type = OPTION_TYPE_##kind, .scope = OPTION_SCOPE_##in,             \
    .preset = start, .context = OPTION_CONTEXT_##when, .state = OPTION_STATE_##how,                \
    .description = text, PLACE_##in(field)OWN_##when(field)

#define OPTION_BOOL(in, name, start, when, how, text)                                              \
    {ROW(BOOL, in, #name, name, start, when, how, text)},
#define OPTION_INT(in, name, min, max, start, when, how, text)                                     \
    {ROW(INT, in, #name, name, start, when, how, text), .least = min, .most = max},
#define OPTION_DOUBLE(in, name, min, max, start, when, how, text)                                  \
    {ROW(DOUBLE, in, #name, name, start, when, how, text), .least = min, .most = max},
#define OPTION_TIME(in, name, base, min, max, start, when, how, text)                              \
    {ROW(TIME, in, #name, name##_ms, start, when, how, text), .least = min, .most = max,           \
     .unit = OPTION_UNIT_##base},
#define OPTION_SIZE(in, name, base, min, max, start, when, how, text)                              \
    {ROW(SIZE, in, #name, name##_bytes, start, when, how, text), .least = min, .most = max,        \
     .unit = OPTION_UNIT_##base},
#define OPTION_MODE(in, name, start, when, how, text)                                              \
    {ROW(MODE, in, #name, name, start, when, how, text), .most = 0777},
#define OPTION_STRING(in, name, start, when, how, text)                                            \
    {ROW(STRING, in, #name, name, start, when, how, text)},
#define OPTION_SECRET(in, name, start, when, how, text)                                            \
    {ROW(SECRET, in, #name, name, start, when, how, text)},
#define OPTION_PATH(in, name, start, when, how, text)                                              \
    {ROW(PATH, in, #name, name, start, when, how, text)},
#define OPTION_ENUM(in, name, type, start, when, how, text)                                        \
    {ROW(ENUM, in, #name, name, start, when, how, text), .words = type##_words},
#define OPTION_FLAGS(in, name, type, sep, start, when, how, text)                                  \
    {ROW(FLAGS, in, #name, name, start, when, how, text), .words = type##_words, .separator = sep},
#define OPTION_LIST(in, name, sep, start, when, how, text)                                         \
    {ROW(LIST, in, #name, name, start, when, how, text), .separator = sep},
#define OPTION_REGEXES(in, name, sep, start, when, how, text)                                      \
    {ROW(REGEXES, in, #name, name, start, when, how, text), .separator = sep},

const struct option option_table[OPTION_COUNT] = {
#include "tables/options.def"
};

_Static_assert(sizeof(enum config_io_engine) == sizeof(int), "enums are read and written as int");

struct title {
    const char *text;
    int first; /* the row that follows */
};

static const struct title titles[] = {
#define OPTION_GROUP(id, title) {title, OPTION_GROUP_##id},
#include "tables/options.def"
};

struct alias {
    const char *old_name;
    enum option_id id;
};

static const struct alias aliases[] = {
#define OPTION_ALIAS(old_name, name) {#old_name, OPTION_ID_GLOBAL_##name},
#include "tables/options.def"
};

struct retired {
    const char *old_name;
    const char *reason;
};

static const struct retired retired[] = {
#define OPTION_RETIRED(old_name, reason) {#old_name, reason},
#include "tables/options.def"
};

const char *
option_group_title(enum option_id id)
{
    for (size_t n = 0; n < ARRAY_LEN(titles); n++) {
        if (titles[n].first == (int)id)
            return titles[n].text;
    }
    return NULL;
}

const void *
option_value(const struct option *option, const struct config *cfg, int node_id)
{
    const void *base = cfg;

    if (node_id == OPTION_ALL_NODES)
        return (const char *)base + option->offset;
    switch (option->scope) {
    case OPTION_SCOPE_BACKEND:
    case OPTION_SCOPE_HEALTH:
        base = &cfg->backends[node_id];
        break;
    case OPTION_SCOPE_PEER:
        base = &cfg->peers[node_id];
        break;
    case OPTION_SCOPE_HEARTBEAT:
        base = &cfg->heartbeats[node_id];
        break;
    case OPTION_SCOPE_GLOBAL:
        BUG("\"%s\" has no value per node", option->name);
    }
    return (const char *)base + option->node_offset;
}

void *
option_field(const struct option *option, struct config *cfg, int node_id)
{
    return (void *)(uintptr_t)option_value(option, cfg, node_id);
}

bool
option_node_exists(const struct option *option, const struct config *cfg, int node_id)
{
    if (node_id == OPTION_ALL_NODES)
        return true;
    if (option->scope == OPTION_SCOPE_PEER)
        return cfg->peers[node_id].hostname[0] != '\0';
    if (option->scope == OPTION_SCOPE_HEARTBEAT)
        return cfg->heartbeats[node_id].hostname[0] != '\0';
    return cfg->backends[node_id].configured;
}

const char *
option_full_name(const struct option *option, int node_id, char name_r[OPTION_NAME_MAX])
{
    if (node_id == OPTION_ALL_NODES)
        snprintf(name_r, OPTION_NAME_MAX, "%s", option->name);
    else
        snprintf(name_r, OPTION_NAME_MAX, "%s%d", option->name, node_id);
    return name_r;
}

/* Parts "backend_port12" into its stem and "12"; false when no number stands at its end. */
static bool
split_number(const char *name, char stem_r[OPTION_NAME_MAX], const char **number_r)
{
    size_t len = strlen(name);

    while (len > 0 && name[len - 1] >= '0' && name[len - 1] <= '9')
        len--;
    *number_r = name + len;
    str_copy_n(stem_r, OPTION_NAME_MAX, name, len);
    return name[len] != '\0';
}

/* A node's number, -1 when it is none that a node can have. */
static int
node_number(const char *digits)
{
    uint32_t number;

    if ((digits[0] == '0' && digits[1] != '\0') || !num_parse_u32(digits, &number) ||
        number >= CONFIG_NODES_MAX)
        return -1;
    return (int)number;
}

static const struct option *
find_row(const char *name)
{
    for (size_t n = 0; n < OPTION_COUNT; n++) {
        if (str_equal_nocase(option_table[n].name, name))
            return &option_table[n];
    }
    for (size_t n = 0; n < ARRAY_LEN(aliases); n++) {
        if (str_equal_nocase(aliases[n].old_name, name))
            return &option_table[aliases[n].id];
    }
    return NULL;
}

static const char *
find_retired(const char *name)
{
    for (size_t n = 0; n < ARRAY_LEN(retired); n++) {
        if (str_equal_nocase(retired[n].old_name, name))
            return retired[n].reason;
    }
    return NULL;
}

enum option_lookup
option_find(const char *name, struct option_ref *ref_r)
{
    char stem[OPTION_NAME_MAX];
    const char *number;
    const struct option *row = find_row(name);

    *ref_r = (struct option_ref){.option = NULL, .node_id = OPTION_ALL_NODES};
    if (row != NULL && option_has_global(row)) {
        ref_r->option = row;
        return OPTION_FOUND;
    }
    ref_r->reason = find_retired(name);
    if (ref_r->reason != NULL)
        return OPTION_IS_RETIRED;
    if (row != NULL)
        return OPTION_NEEDS_NUMBER;
    if (strlen(name) >= OPTION_NAME_MAX || !split_number(name, stem, &number))
        return OPTION_UNKNOWN;
    row = find_row(stem);
    if (row == NULL || !option_has_nodes(row)) {
        ref_r->reason = find_retired(stem);
        return ref_r->reason != NULL ? OPTION_IS_RETIRED : OPTION_UNKNOWN;
    }
    ref_r->node_id = node_number(number);
    if (ref_r->node_id < 0)
        return OPTION_BAD_NUMBER;
    ref_r->option = row;
    return OPTION_FOUND;
}

bool
option_nearest(const char *name, char nearest_r[OPTION_NAME_MAX])
{
    char stem[OPTION_NAME_MAX];
    const char *number;
    const struct option *best = NULL;
    size_t stem_len;
    unsigned best_distance;

    if (strlen(name) >= OPTION_NAME_MAX)
        return false;
    split_number(name, stem, &number);
    stem_len = strlen(stem);
    best_distance = (unsigned)MAX(stem_len / 4, (size_t)2) + 1;
    for (size_t n = 0; n < OPTION_COUNT; n++) {
        size_t len = strlen(option_table[n].name);
        unsigned distance;

        /* As many letters have to come or go at least. */
        if (option_table[n].state == OPTION_STATE_IGNORED ||
            MAX(len, stem_len) - MIN(len, stem_len) >= best_distance)
            continue;
        distance = str_distance(stem, option_table[n].name);
        if (distance < best_distance) {
            best_distance = distance;
            best = &option_table[n];
        }
    }
    if (best == NULL)
        return false;
    if (!option_has_nodes(best) || (number[0] == '\0' && option_has_global(best)))
        option_full_name(best, OPTION_ALL_NODES, nearest_r);
    else
        option_full_name(best, MAX(node_number(number), 0), nearest_r);
    return true;
}

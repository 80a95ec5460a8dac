/*
 * A session's own values of options, and the errors of whoever names an option by hand.
 *
 * Called by sessions, and by SHOW. Invariant: an option of the context "session" has one value for
 * all nodes that holds no memory of its own (a number, a truth value, a word), so that overrides
 * need no arena; the table is looked at for that when it is first needed.
 */
#include "config/overrides.h"

#include "config/option.h"
#include "config/value.h"

#include <stdlib.h>
#include <string.h>

struct config_overrides {
    struct config_session values;
    uint32_t count; /* of what is set */
    bool set[OPTION_COUNT];
};

static void *
own_field(const struct option *option, struct config_session *values)
{
    BUG_UNLESS(option->scope == OPTION_SCOPE_GLOBAL && !value_is_text(option));
    return (char *)values + option->session_offset;
}

struct config_overrides *
config_overrides_new(void)
{
    return xcalloc(1, sizeof(struct config_overrides));
}

void
config_overrides_free(struct config_overrides *own)
{
    free(own);
}

/* ---- names ---- */

static int
unknown_name(const char *name, struct err *err)
{
    char nearest[OPTION_NAME_MAX];
    struct buf quoted = BUF_EMPTY;

    value_quote_short(name, &quoted);
    err_set(err, "42704", "unrecognized configuration parameter %s", buf_cstr(&quoted));
    buf_free(&quoted);
    if (option_nearest(name, nearest))
        err_hint(err, "Did you mean \"%s\"? PGPOOL SHOW ALL lists all of them.", nearest);
    else
        err_hint(err, "PGPOOL SHOW ALL lists all of them.");
    return -1;
}

static int
find_name(const char *name, struct option_ref *ref_r, struct err *err)
{
    switch (option_find(name, ref_r)) {
    case OPTION_FOUND:
        return 0;
    case OPTION_NEEDS_NUMBER:
        unknown_name(name, err);
        err_hint(err, "There is one per node, such as \"%s0\".", name);
        return -1;
    case OPTION_BAD_NUMBER:
        unknown_name(name, err);
        err_hint(err, "Nodes have the numbers 0 to %d.", CONFIG_NODES_MAX - 1);
        return -1;
    case OPTION_IS_RETIRED:
        unknown_name(name, err);
        err_hint(err, "It is not used any more: %s.", ref_r->reason);
        return -1;
    default:
        return unknown_name(name, err);
    }
}

int
config_find(const struct config *cfg, const char *name, char name_r[CONFIG_NAME_MAX],
            struct err *err)
{
    struct option_ref ref;

    if (find_name(name, &ref, err) != 0)
        return -1;
    option_full_name(ref.option, ref.node_id, name_r);
    if (option_node_exists(ref.option, cfg, ref.node_id))
        return 0;
    unknown_name(name_r, err);
    err_hint(err, "There is no %d of that kind.", ref.node_id);
    return -1;
}

bool
config_has_effect(const char *name)
{
    struct option_ref ref;

    return option_find(name, &ref) == OPTION_FOUND && ref.option->state == OPTION_STATE_BUILT;
}

/* One that a session may change. */
static int
find_own(const char *name, const struct option **option_r, struct err *err)
{
    struct option_ref ref;
    char full[OPTION_NAME_MAX];

    if (find_name(name, &ref, err) != 0)
        return -1;
    *option_r = ref.option;
    if (ref.option->context == OPTION_CONTEXT_SESSION)
        return 0;
    option_full_name(ref.option, ref.node_id, full);
    if (ref.option->context == OPTION_CONTEXT_STARTUP) {
        err_set(err, "55P02", "parameter \"%s\" cannot be changed without restarting pgpool", full);
        err_hint(err, "Change it in pgpool.conf and restart pgpool.");
    } else {
        err_set(err, "55P02", "parameter \"%s\" cannot be changed now", full);
        err_hint(err, "Change it in pgpool.conf and run \"pgpool reload\": it holds for all "
                      "sessions.");
    }
    return -1;
}

/* ---- values ---- */

static int
bad_value(const struct option *option, const char *text, struct err *err)
{
    struct err why = *err;
    struct buf quoted = BUF_EMPTY;
    struct buf range = BUF_EMPTY;
    struct buf units = BUF_EMPTY;

    value_quote_short(text, &quoted);
    value_print_range(option, &range);
    value_print_units(option, &units);
    err_set(err, "22023", "invalid value for parameter \"%s\": %s", option->name,
            buf_cstr(&quoted));
    err_detail(err, "It %s.", why.message);
    if (units.len > 0)
        err_hint(err, "Valid is %s; units are %s.", buf_cstr(&range), buf_cstr(&units));
    else
        err_hint(err, "Valid is %s.", buf_cstr(&range));
    buf_free(&quoted);
    buf_free(&range);
    buf_free(&units);
    return -1;
}

int
config_overrides_set(struct config_overrides *own, const char *name, const char *text,
                     struct err *err)
{
    const struct value_home nowhere = {NULL, NULL};
    const struct option *option;

    if (find_own(name, &option, err) != 0)
        return -1;
    if (value_parse(option, text, &nowhere, own_field(option, &own->values), err) != 0)
        return bad_value(option, text, err);
    own->count += !own->set[option_id(option)];
    own->set[option_id(option)] = true;
    return 0;
}

int
config_overrides_reset(struct config_overrides *own, const char *name, struct err *err)
{
    const struct option *option;

    if (find_own(name, &option, err) != 0)
        return -1;
    own->count -= own->set[option_id(option)];
    own->set[option_id(option)] = false;
    return 0;
}

void
config_overrides_reset_all(struct config_overrides *own)
{
    memset(own, 0, sizeof(*own));
}

bool
config_overrides_empty(const struct config_overrides *own)
{
    return own->count == 0;
}

const void *
overrides_value(const struct config_overrides *own, const struct option *option)
{
    if (own == NULL || !own->set[option_id(option)])
        return NULL;
    return (const char *)&own->values + option->session_offset;
}

void
config_session_values(const struct config *cfg, const struct config_overrides *own,
                      struct config_session *values_r)
{
    memset(values_r, 0, sizeof(*values_r));
    for (size_t n = 0; n < OPTION_COUNT; n++) {
        const struct option *option = &option_table[n];
        const void *value = overrides_value(own, option);

        if (option->context == OPTION_CONTEXT_SESSION)
            value_copy(option, own_field(option, values_r),
                       value != NULL ? value : option_value(option, cfg, OPTION_ALL_NODES), NULL);
    }
}

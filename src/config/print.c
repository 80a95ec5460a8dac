/*
 * A generation as text: the canonical form that another process loads, and the listing that SHOW
 * gives to people.
 */
#include "config/load.h"
#include "config/option.h"
#include "config/value.h"

#include <string.h>

/* `name = value` without an end of line. */
static void
print_setting(const struct option *option, int node_id, const void *value, struct buf *out)
{
    char name[OPTION_NAME_MAX];
    struct buf text = BUF_EMPTY;

    value_print(option, value, &text);
    buf_printf(out, "%s = ", option_full_name(option, node_id, name));
    if (value_is_text(option))
        value_quote(buf_cstr(&text), out);
    else
        buf_add(out, text.data, text.len);
    buf_free(&text);
}

/* A node's value stands in the text unless it is what the node would get without it. */
static bool
node_value_matters(const struct option *option, const struct config *cfg, int node_id,
                   const struct config *fresh)
{
    const void *value = option_value(option, cfg, node_id);

    if (!option_node_exists(option, cfg, node_id))
        return false;
    if (option->scope == OPTION_SCOPE_HEALTH)
        return !value_equal(option, value, option_value(option, cfg, OPTION_ALL_NODES));
    return !value_equal(option, value, option_value(option, fresh, node_id));
}

void
config_print(const struct config *cfg, struct buf *out)
{
    struct config *fresh = config_new("", NULL);

    for (size_t n = 0; n < OPTION_COUNT; n++) {
        const struct option *option = &option_table[n];

        if (option_has_global(option) &&
            !value_equal(option, option_value(option, cfg, OPTION_ALL_NODES),
                         option_value(option, fresh, OPTION_ALL_NODES))) {
            print_setting(option, OPTION_ALL_NODES, option_value(option, cfg, OPTION_ALL_NODES),
                          out);
            buf_add_u8(out, '\n');
        }
        for (int node_id = 0; option_has_nodes(option) && node_id < CONFIG_NODES_MAX; node_id++) {
            if (!node_value_matters(option, cfg, node_id, fresh))
                continue;
            print_setting(option, node_id, option_value(option, cfg, node_id), out);
            buf_add_u8(out, '\n');
        }
    }
    for (uint32_t n = 0; n < cfg->limits.count; n++) {
        struct buf text = BUF_EMPTY;

        limits_print(&cfg->limits.list[n], &text);
        buf_printf(out, "%s = ", limits_entry_name);
        value_quote(buf_cstr(&text), out);
        buf_add_u8(out, '\n');
        buf_free(&text);
    }
    config_free(fresh);
}

static void
print_shown(const struct option *option, const void *value, struct buf *out)
{
    if (option->type != OPTION_TYPE_SECRET)
        value_print(option, value, out);
    else if ((*(const char *const *)value)[0] != '\0')
        buf_add_str(out, "****");
}

/* As the session has it: its own value before that of the configuration. */
static const void *
shown_value(const struct config *cfg, const struct config_overrides *own,
            const struct option *option, int node_id)
{
    const void *value = overrides_value(own, option);

    return value != NULL ? value : option_value(option, cfg, node_id);
}

static bool
is_in_group(const struct option *option, enum config_group group)
{
    switch (group) {
    case CONFIG_GROUP_BACKEND:
        return option->scope == OPTION_SCOPE_BACKEND;
    case CONFIG_GROUP_WATCHDOG:
        return option->scope == OPTION_SCOPE_PEER;
    case CONFIG_GROUP_HEARTBEAT:
        return option->scope == OPTION_SCOPE_HEARTBEAT;
    case CONFIG_GROUP_HEALTH_CHECK:
        return option->scope == OPTION_SCOPE_HEALTH;
    default:
        return option->state != OPTION_STATE_IGNORED;
    }
}

struct listing {
    const struct config *cfg;
    const struct config_overrides *own;
    config_show_fn *fn;
    void *ctx;
    struct buf text;
};

static void
show_one(struct listing *list, const struct option *option, int node_id)
{
    char name[OPTION_NAME_MAX];

    buf_clear(&list->text);
    print_shown(option, shown_value(list->cfg, list->own, option, node_id), &list->text);
    list->fn(list->ctx, option_full_name(option, node_id, name), buf_cstr(&list->text),
             option->description);
}

void
config_show(const struct config *cfg, const struct config_overrides *own, enum config_group group,
            config_show_fn *fn, void *ctx)
{
    struct listing list = {cfg, own, fn, ctx, BUF_EMPTY};

    for (size_t n = 0; n < OPTION_COUNT; n++) {
        const struct option *option = &option_table[n];

        if (!is_in_group(option, group))
            continue;
        if (option_has_global(option))
            show_one(&list, option, OPTION_ALL_NODES);
        for (int node_id = 0; option_has_nodes(option) && node_id < CONFIG_NODES_MAX; node_id++) {
            if (option_node_exists(option, cfg, node_id))
                show_one(&list, option, node_id);
        }
    }
    buf_free(&list.text);
}

bool
config_get(const struct config *cfg, const struct config_overrides *own, const char *name,
           struct buf *out)
{
    struct option_ref ref;

    if (option_find(name, &ref) != OPTION_FOUND ||
        !option_node_exists(ref.option, cfg, ref.node_id))
        return false;
    print_shown(ref.option, shown_value(cfg, own, ref.option, ref.node_id), out);
    return true;
}

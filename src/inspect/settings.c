/*
 * Views of what pgpool was given: pool_version, pool_status, and PGPOOL SHOW of parameters, as the
 * asking session has them.
 */
#include "config.h"

#include "base/str.h"
#include "config/config.h"
#include "inspect/views.h"

#include <string.h>

void
inspect_pool_version(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    (void)in;
    row(ctx, (const char *const[]){PACKAGE_VERSION " (" PACKAGE_NAME ")"}, 1);
}

struct status_rows {
    inspect_row_fn *row;
    void *ctx;
};

static void
show_option(void *ctx, const char *item, const char *value, const char *description)
{
    const struct status_rows *rows = ctx;

    rows->row(rows->ctx, (const char *const[]){item, value, description}, 3);
}

static void
show_group(const struct inspect_input *in, enum config_group group, inspect_row_fn *row, void *ctx)
{
    struct status_rows rows = {row, ctx};

    config_show(in->config, in->own, group, show_option, &rows);
}

void
inspect_pool_status(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    show_group(in, CONFIG_GROUP_ALL, row, ctx);
}

static void
show_backend(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    show_group(in, CONFIG_GROUP_BACKEND, row, ctx);
}

static void
show_watchdog(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    show_group(in, CONFIG_GROUP_WATCHDOG, row, ctx);
}

static void
show_heartbeat(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    show_group(in, CONFIG_GROUP_HEARTBEAT, row, ctx);
}

static void
show_health_check(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    show_group(in, CONFIG_GROUP_HEALTH_CHECK, row, ctx);
}

const struct inspect_view *
views_find_group(const char *name, size_t len)
{
    static const struct inspect_view groups[] = {
        {"all", 3, {"item", "value", "description"}, inspect_pool_status},
        {"backend", 3, {"item", "value", "description"}, show_backend},
        {"watchdog", 3, {"item", "value", "description"}, show_watchdog},
        {"heartbeat", 3, {"item", "value", "description"}, show_heartbeat},
        {"health_check", 3, {"item", "value", "description"}, show_health_check},
    };

    for (size_t n = 0; n < ARRAY_LEN(groups); n++) {
        if (strlen(groups[n].name) == len && str_equal_nocase_n(groups[n].name, name, len))
            return &groups[n];
    }
    return NULL;
}

void
views_parameter(const struct inspect_input *in, const char *name, inspect_row_fn *row, void *ctx)
{
    struct buf value = BUF_EMPTY;

    config_get(in->config, in->own, name, &value);
    row(ctx, (const char *const[]){buf_cstr(&value)}, 1);
    buf_free(&value);
}

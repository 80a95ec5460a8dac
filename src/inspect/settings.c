/*
 * Views of what pgpool was given: pool_version and pool_status.
 */
#include "config.h"

#include "config/config.h"
#include "inspect/views.h"

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

void
inspect_pool_status(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    struct status_rows rows = {row, ctx};

    config_show(in->config, show_option, &rows);
}

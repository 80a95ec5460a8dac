/*
 * The list of views, and their rows as protocol messages.
 *
 * Called by children for their sessions and by the process for administration. A view's rows are
 * made in one go from what stands in shared memory at that moment.
 */
#include "inspect/inspect.h"
#include "base/str.h"
#include "config/config.h"
#include "config/overrides.h"
#include "inspect/views.h"
#include "wire/build.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define COLUMNS(...)                                                                               \
    (uint16_t)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)),                 \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static const struct inspect_view views[] = {
#define VIEW(name, run, ...) {#name, COLUMNS(__VA_ARGS__), run},
#include "tables/views.def"
#undef VIEW
};

const struct inspect_view *
inspect_view_at(uint32_t number)
{
    return number < ARRAY_LEN(views) ? &views[number] : NULL;
}

static const struct inspect_view *
find_view(const char *name, size_t len)
{
    for (uint32_t at = 0; at < ARRAY_LEN(views); at++)
        if (strlen(views[at].name) == len && str_equal_nocase_n(views[at].name, name, len))
            return &views[at];
    return NULL;
}

static void
add_row(void *ctx, const char *const *values, uint16_t count)
{
    build_data_row(ctx, values, count);
}

static void
hint_at_views(struct err *err)
{
    char names[560] = "";
    size_t used = 0;

    for (uint32_t at = 0; at < ARRAY_LEN(views) && used < sizeof(names); at++)
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", at > 0 ? ", " : "",
                                 views[at].name);
    err_hint(err, "There are: %s.", names);
}

static int
find_parameter(const struct inspect_input *in, struct sql_text name,
               struct inspect_target *target_r, struct err *err)
{
    char text[sizeof(target_r->parameter)];

    target_r->view = views_find_group(name.data, name.len);
    if (target_r->view != NULL)
        return 0;
    str_copy_n(text, sizeof(text), name.data, name.len);
    return config_find(in->config, text, target_r->parameter, err);
}

int
inspect_find(const struct inspect_input *in, const struct inspect_question *question,
             struct inspect_target *target_r, struct err *err)
{
    _Static_assert(sizeof(target_r->parameter) == CONFIG_NAME_MAX, "room for any name");

    memset(target_r, 0, sizeof(*target_r));
    if (question->parameter)
        return find_parameter(in, question->name, target_r, err);
    target_r->view = find_view(question->name.data, question->name.len);
    if (target_r->view != NULL)
        return 0;
    err_set(err, "42704", "unrecognized configuration parameter \"%.*s\"",
            (int)MIN(question->name.len, 64), question->name.data);
    hint_at_views(err);
    return -1;
}

void
inspect_describe(const struct inspect_target *target, struct buf *out)
{
    const char *const name = target->parameter;

    if (name[0] != '\0')
        build_row_description(out, &name, 1);
    else
        build_row_description(out, target->view->columns, target->view->column_count);
}

void
inspect_run(const struct inspect_input *in, const struct inspect_target *target,
            inspect_row_fn *row, void *ctx)
{
    if (target->parameter[0] != '\0')
        views_parameter(in, target->parameter, row, ctx);
    else
        target->view->run(in, row, ctx);
}

void
inspect_rows(const struct inspect_input *in, const struct inspect_target *target, struct buf *out)
{
    inspect_run(in, target, add_row, out);
    build_command_complete(out, "SHOW");
}

const char *
views_time(int64_t wall_us, char text_r[VIEWS_TIME_BYTES])
{
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm local;

    if (wall_us == 0 || localtime_r(&seconds, &local) == NULL ||
        strftime(text_r, VIEWS_TIME_BYTES, "%Y-%m-%d %H:%M:%S", &local) == 0)
        text_r[0] = '\0';
    return text_r;
}

const char *
views_time_us(int64_t wall_us, char text_r[VIEWS_TIME_BYTES])
{
    size_t len = strlen(views_time(wall_us, text_r));

    if (len > 0)
        snprintf(text_r + len, VIEWS_TIME_BYTES - len, ".%06d", (int)(wall_us % 1000000));
    return text_r;
}

const char *
views_number(int64_t value, char text_r[VIEWS_NUMBER_BYTES])
{
    snprintf(text_r, VIEWS_NUMBER_BYTES, "%lld", (long long)value);
    return text_r;
}

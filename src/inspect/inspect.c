/*
 * The list of views, and their rows as protocol messages.
 *
 * Called by children for their sessions and by the process for administration. A view's rows are
 * made in one go from what stands in shared memory at that moment.
 */
#include "inspect/inspect.h"
#include "base/str.h"
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

const struct inspect_view *
inspect_find(const char *name, size_t len)
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
    char names[200] = "";
    size_t used = 0;

    for (uint32_t at = 0; at < ARRAY_LEN(views) && used < sizeof(names); at++)
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", at > 0 ? ", " : "",
                                 views[at].name);
    err_hint(err, "There are: %s.", names);
}

int
inspect_answer(const struct inspect_input *in, const struct inspect_question *question,
               struct buf *out, struct err *err)
{
    const struct inspect_view *view = inspect_find(question->view.data, question->view.len);

    if (view == NULL) {
        err_set(err, "42704", "unrecognized configuration parameter \"%.*s\"",
                (int)MIN(question->view.len, 64), question->view.data);
        hint_at_views(err);
        return -1;
    }
    if (question->describe)
        build_row_description(out, view->columns, view->column_count);
    if (question->rows) {
        view->run(in, add_row, out);
        build_command_complete(out, "SHOW");
    }
    return 0;
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
views_number(int64_t value, char text_r[VIEWS_NUMBER_BYTES])
{
    snprintf(text_r, VIEWS_NUMBER_BYTES, "%lld", (long long)value);
    return text_r;
}

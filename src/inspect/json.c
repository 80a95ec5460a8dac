/*
 * Rows of views to JSON, by jansson. Called by the process for HTTP. One row at a time, so that of
 * a long view there is never more than its text.
 */
#include "config.h"

#include "inspect/json.h"

#ifdef HAVE_HTTP

#include "base/utf8.h"

#include <jansson.h>
#include <string.h>

struct writing {
    const struct inspect_view *view;
    struct buf *out;
    struct buf clean; /* of one value, when it had to be cleaned */
    bool first;
    const struct inspect_json_choice *choice; /* NULL: every row */
    uint32_t rows;
};

/* The library takes nothing but UTF-8; a statement may be cut in the middle of a character. */
static json_t *
text_of(struct writing *w, const char *value)
{
    size_t len = strlen(value);
    json_t *text = json_stringn(value, len);

    if (text != NULL)
        return text;
    buf_clear(&w->clean);
    while (len > 0) {
        unsigned bytes = utf8_length(value, len);

        if (bytes > 0)
            buf_add(&w->clean, value, bytes);
        else
            buf_add_str(&w->clean, UTF8_REPLACEMENT);
        value += MAX(bytes, 1U);
        len -= MAX(bytes, 1U);
    }
    return json_stringn((const char *)w->clean.data, w->clean.len);
}

static int
add_text(const char *bytes, size_t len, void *ctx)
{
    buf_add(ctx, bytes, len);
    return 0;
}

static bool
is_chosen(struct writing *w, const char *const *values, uint16_t count)
{
    const struct inspect_json_choice *c = w->choice;

    return c == NULL || (c->column < count && values[c->column] != NULL &&
                         values[c->column][0] != '\0' && w->rows++ < c->rows_max);
}

static void
add_row(void *ctx, const char *const *values, uint16_t count)
{
    struct writing *w = ctx;
    json_t *row;

    if (!is_chosen(w, values, count))
        return;
    row = json_object();
    for (uint16_t n = 0; n < count && n < w->view->column_count; n++)
        json_object_set_new(row, w->view->columns[n],
                            values[n] != NULL ? text_of(w, values[n]) : json_null());
    buf_add_str(w->out, w->first ? "\n" : ",\n");
    w->first = false;
    json_dump_callback(row, add_text, w->out, JSON_COMPACT);
    json_decref(row);
}

void
inspect_json_some(const struct inspect_input *in, const struct inspect_view *view,
                  const struct inspect_json_choice *choice, struct buf *out)
{
    struct writing w = {
        .view = view, .out = out, .clean = BUF_EMPTY, .first = true, .choice = choice};

    buf_add_str(out, "[");
    view->run(in, add_row, &w);
    buf_add_str(out, "\n]\n");
    buf_free(&w.clean);
}

void
inspect_json(const struct inspect_input *in, const struct inspect_view *view, struct buf *out)
{
    inspect_json_some(in, view, NULL, out);
}

void
inspect_json_text(const char *text, struct buf *out)
{
    struct writing w = {.out = out, .clean = BUF_EMPTY};
    json_t *value = text_of(&w, text);

    json_dump_callback(value, add_text, out, JSON_ENCODE_ANY);
    json_decref(value);
    buf_free(&w.clean);
}

void
inspect_json_names(struct buf *out)
{
    const struct inspect_view *view;

    buf_add_str(out, "[");
    for (uint32_t n = 0; (view = inspect_view_at(n)) != NULL; n++)
        buf_printf(out, "%s\"%s\"", n > 0 ? ", " : "", view->name);
    buf_add_str(out, "]\n");
}

#else

void
inspect_json(const struct inspect_input *in UNUSED, const struct inspect_view *view UNUSED,
             struct buf *out UNUSED)
{
}

void
inspect_json_some(const struct inspect_input *in UNUSED, const struct inspect_view *view UNUSED,
                  const struct inspect_json_choice *choice UNUSED, struct buf *out UNUSED)
{
}

void
inspect_json_text(const char *text UNUSED, struct buf *out UNUSED)
{
}

void
inspect_json_names(struct buf *out UNUSED)
{
}

#endif

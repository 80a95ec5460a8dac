/*
 * Any bytes as what we read and write for HTTP ourselves: a Host header, the value of a label, a
 * cell of a view.
 *
 * Checked besides memory: no label ends its line or its quotes early, all of it is UTF-8, and
 * jansson reads what it was made to write.
 */
#include "config.h"

#include "fuzz.h"

#include "auth/http_door.h"
#include "base/utf8.h"
#include "inspect/json.h"
#include "inspect/metrics_text.h"

static const char *cell;

#ifdef HAVE_HTTP

#include <jansson.h>

static void
one_row(const struct inspect_input *in UNUSED, inspect_row_fn *row, void *ctx)
{
    row(ctx, &cell, 1);
}

static void
check_json(void)
{
    const struct inspect_view view = {"x", 1, {"cell"}, one_row};
    const struct inspect_input in = {.config = NULL};
    struct buf out = BUF_EMPTY;
    json_t *read;

    inspect_json(&in, &view, &out);
    read = json_loadb((const char *)out.data, out.len, 0, NULL);
    if (read == NULL || json_array_size(read) != 1 ||
        !json_is_string(json_object_get(json_array_get(read, 0), "cell")))
        BUG("that is no JSON");
    json_decref(read);
    buf_free(&out);
}

#else

static void
check_json(void)
{
}

#endif

static void
check_label(void)
{
    const struct metrics_labels labels = {{{"a", cell}}};
    static const char begin[] = "pgpool_f{a=\"";
    static const char end[] = "\"} 7\n";
    struct buf out = BUF_EMPTY;
    struct metrics m = {.out = &out, .name = "f"};
    const char *at;
    const char *stop;

    metrics_count(&m, &labels, 7);
    at = buf_cstr(&out);
    stop = at + out.len - (sizeof(end) - 1);
    if (memcmp(at, begin, sizeof(begin) - 1) != 0 || memcmp(stop, end, sizeof(end)) != 0)
        BUG("the sample has another form");
    for (at += sizeof(begin) - 1; at < stop;) {
        unsigned len = utf8_length(at, (size_t)(stop - at));

        if (len == 0 || *at == '\n' || *at == '"')
            BUG("a byte that must not be there");
        if (*at == '\\' && (at + 1 == stop || strchr("\\\"n", at[1]) == NULL))
            BUG("no such escape");
        at += *at == '\\' ? 2 : len;
    }
    buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text = BUF_EMPTY;

    buf_add(&text, data, size);
    cell = buf_cstr(&text);
    if (http_host_is_local(cell) && strchr(cell, '/') != NULL)
        BUG("a name that cannot be one");
    check_json();
    check_label();
    buf_free(&text);
    return 0;
}

/*
 * Prometheus' text format. Pure; called by metrics*.c. No floating point, so that no locale and no
 * rounding has a say in it.
 */
#include "inspect/metrics_text.h"

#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

#define PREFIX "pgpool_"

void
metrics_family(struct metrics *m, const char *name, const char *type, const char *help)
{
    m->name = name;
    buf_printf(m->out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
}

static void
add_escaped(struct buf *out, const char *text)
{
    size_t len = strlen(text);

    while (len > 0) {
        unsigned bytes = utf8_length(text, len);

        if (*text == '\n')
            buf_add_str(out, "\\n");
        else if (*text == '"' || *text == '\\')
            buf_printf(out, "\\%c", *text);
        else if (bytes > 0)
            buf_add(out, text, bytes);
        else
            buf_add_str(out, UTF8_REPLACEMENT);
        text += MAX(bytes, 1U);
        len -= MAX(bytes, 1U);
    }
}

static void
add_labels(struct buf *out, const struct metrics_labels *labels)
{
    if (labels == NULL || labels->list[0].name == NULL)
        return;
    for (int n = 0; n < METRICS_LABELS_MAX && labels->list[n].name != NULL; n++) {
        buf_printf(out, "%s%s=\"", n > 0 ? "," : "{", labels->list[n].name);
        add_escaped(out, labels->list[n].value);
        buf_add_u8(out, '"');
    }
    buf_add_u8(out, '}');
}

static void
begin_sample(struct metrics *m, const char *suffix, const struct metrics_labels *labels)
{
    buf_printf(m->out, PREFIX "%s%s", m->name, suffix);
    add_labels(m->out, labels);
}

void
metrics_part_count(struct metrics *m, const char *suffix, const struct metrics_labels *labels,
                   uint64_t value)
{
    begin_sample(m, suffix, labels);
    buf_printf(m->out, " %llu\n", (unsigned long long)value);
}

void
metrics_part_time(struct metrics *m, const char *suffix, const struct metrics_labels *labels,
                  int64_t value_us)
{
    char text[METRICS_NUMBER_BYTES];

    begin_sample(m, suffix, labels);
    buf_printf(m->out, " %s\n", metrics_seconds(value_us, text));
}

void
metrics_count(struct metrics *m, const struct metrics_labels *labels, uint64_t value)
{
    metrics_part_count(m, "", labels, value);
}

void
metrics_time(struct metrics *m, const struct metrics_labels *labels, int64_t value_us)
{
    metrics_part_time(m, "", labels, value_us);
}

const char *
metrics_seconds(int64_t value_us, char text_r[METRICS_NUMBER_BYTES])
{
    uint64_t whole = (uint64_t)(value_us < 0 ? -(value_us + 1) : value_us) + (value_us < 0);
    int len = snprintf(text_r, METRICS_NUMBER_BYTES, "%s%llu.%06u", value_us < 0 ? "-" : "",
                       (unsigned long long)(whole / 1000000), (unsigned)(whole % 1000000));

    while (text_r[len - 1] == '0')
        text_r[--len] = '\0';
    if (text_r[len - 1] == '.')
        text_r[--len] = '\0';
    return text_r;
}

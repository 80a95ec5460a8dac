/*
 * The screen of pgpool top (tools/top.h). Pure.
 *
 * Statements come from clients: what is no visible character of UTF-8 is shown as a question mark.
 * Each character counts as one column; one that takes two only makes its line wrap later, which the
 * terminal is told not to do.
 */
#include "tools/top.h"

#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 512, NODES_WIDTH = 22, NAME_WIDTH = 10 };

/* C0 and DEL; and C1, which some terminals obey. */
static bool
is_visible(const char *text, unsigned bytes)
{
    unsigned char c = (unsigned char)text[0];

    if (bytes == 1)
        return c >= ' ' && c != 0x7f;
    return bytes > 1 && !(bytes == 2 && c == 0xc2 && (unsigned char)text[1] < 0xa0);
}

/* At most so many columns of it, 0: all; padded to that when it is not the last. */
static void
add_text(struct buf *out, const char *text, size_t width, bool pads)
{
    size_t left = strlen(text);
    size_t columns = 0;

    while (left > 0 && (width == 0 || columns < width)) {
        unsigned bytes = utf8_length(text, left);

        if (is_visible(text, bytes))
            buf_add(out, text, bytes);
        else
            buf_add_u8(out, text[0] == '\n' || text[0] == '\t' ? ' ' : '?');
        text += MAX(bytes, 1U);
        left -= MAX(bytes, 1U);
        columns++;
    }
    while (pads && columns++ < width)
        buf_add_u8(out, ' ');
}

static void
add_line(const struct top_view *v, struct buf *out, const char *line)
{
    add_text(out, line, v->width, false);
    buf_add_u8(out, '\n');
}

/* Short in any size: 12345, 1.2M. */
static void
print_count(double value, char text_r[16])
{
    static const char units[] = " kMGTP";
    size_t unit = 0;

    while (value >= 100000 && unit + 2 < sizeof(units)) {
        value /= 1000;
        unit++;
    }
    if (unit == 0)
        snprintf(text_r, 16, "%.0f", value);
    else
        snprintf(text_r, 16, "%.1f%c", value, units[unit]);
}

static void
print_ms(double ms, char text_r[16])
{
    if (ms < 1000)
        snprintf(text_r, 16, "%.3f", ms);
    else if (ms < 1000 * 1000)
        snprintf(text_r, 16, "%.2fs", ms / 1000);
    else
        snprintf(text_r, 16, "%.0fs", ms / 1000);
}

/* ---- lines ---- */

static void
add_nodes(const struct top_view *v, struct buf *out)
{
    int id = v->nodes != NULL ? PQfnumber(v->nodes, "node_id") : -1;
    int role = v->nodes != NULL ? PQfnumber(v->nodes, "role") : -1;
    int status = v->nodes != NULL ? PQfnumber(v->nodes, "status") : -1;
    struct buf line = BUF_EMPTY;

    if (id >= 0 && role >= 0 && status >= 0) {
        buf_add_str(&line, "nodes:");
        for (int n = 0; n < PQntuples(v->nodes); n++)
            buf_printf(&line, "%s %s %s %s", n > 0 ? "," : "", PQgetvalue(v->nodes, n, id),
                       PQgetvalue(v->nodes, n, role), PQgetvalue(v->nodes, n, status));
        add_line(v, out, buf_cstr(&line));
    }
    buf_free(&line);
}

static void
add_head(const struct top_view *v, struct buf *out)
{
    double calls = 0;
    double load = 0;
    char line[LINE_MAX_BYTES];
    char every[32] = "";

    for (size_t n = 0; n < v->list->count; n++) {
        calls += v->list->rows[n].calls_per_s;
        load += v->list->rows[n].load;
    }
    if (v->delay_s > 0)
        snprintf(every, sizeof(every), ", every %d s", v->delay_s);
    snprintf(line, sizeof(line), "pgpool %s  %s  %zu statements by %s%s%s", v->where, v->time,
             v->list->count, top_order_name(v->order), v->reverse ? ", least first" : "", every);
    add_line(v, out, line);
    if (v->delay_s > 0) {
        snprintf(line, sizeof(line), "calls/s %.1f  load %.2f", calls, load);
        add_line(v, out, line);
    }
    add_nodes(v, out);
    if (v->failure != NULL)
        add_line(v, out, v->failure);
}

static void
add_row(const struct top_view *v, struct buf *out, const struct top_row *row)
{
    struct buf line = BUF_EMPTY;
    char calls[16];
    char rows[16];
    char errors[16];
    char total[16];
    char mean[16];
    char p50[16];
    char p99[16];

    print_count(row->calls, calls);
    print_count(row->rows, rows);
    print_count(row->errors, errors);
    print_ms(row->total_ms, total);
    print_ms(row->mean_ms, mean);
    print_ms(row->p50_ms, p50);
    print_ms(row->p99_ms, p99);
    if (v->delay_s > 0)
        buf_printf(&line, "%8.1f %6.2f ", row->calls_per_s, row->load);
    buf_printf(&line, "%8s %9s %9s %9s %9s %8s %6s  ", calls, total, mean, p50, p99, rows, errors);
    add_text(&line, row->database, NAME_WIDTH, true);
    buf_add_u8(&line, ' ');
    add_text(&line, row->nodes, NODES_WIDTH, true);
    buf_add_u8(&line, ' ');
    buf_add_str(&line, row->statement);
    add_line(v, out, buf_cstr(&line));
    buf_free(&line);
}

static void
add_titles(const struct top_view *v, struct buf *out)
{
    char line[LINE_MAX_BYTES];

    snprintf(line, sizeof(line), "%s%8s %9s %9s %9s %9s %8s %6s  %-*s %-*s %s",
             v->delay_s > 0 ? " CALLS/S   LOAD " : "", "CALLS", "TOTAL", "MEAN ms", "P50 ms",
             "P99 ms", "ROWS", "ERRORS", NAME_WIDTH, "DATABASE", NODES_WIDTH, "NODES", "STATEMENT");
    add_line(v, out, line);
}

static void
add_keys(const struct top_view *v, struct buf *out)
{
    char line[LINE_MAX_BYTES] = "sort:";
    size_t len = strlen(line);

    for (int n = 0; n < TOP_ORDERS; n++)
        len +=
            (size_t)snprintf(line + len, sizeof(line) - len, " %c %s",
                             top_order_key((enum top_order)n), top_order_name((enum top_order)n));
    snprintf(line + len, sizeof(line) - len, "; R reverse, +/- slower/faster, q quit");
    add_line(v, out, line);
}

static size_t
count_lines(const struct buf *out)
{
    size_t lines = 0;

    for (size_t n = 0; n < out->len; n++)
        lines += out->data[n] == '\n';
    return lines;
}

void
top_print(const struct top_view *v, struct buf *out)
{
    size_t room;

    buf_clear(out);
    add_head(v, out);
    if (v->keys)
        add_keys(v, out);
    add_titles(v, out);
    room = count_lines(out);
    for (size_t n = 0; n < v->list->count && (v->height == 0 || room < v->height); n++, room++)
        add_row(v, out, &v->list->rows[n]);
}

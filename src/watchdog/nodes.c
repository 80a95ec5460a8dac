/*
 * Node lists, printed and compared line by line.
 */
#include "watchdog/nodes.h"

#include "base/str.h"
#include "base/util.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACE_BYTES = 300 };

void
wd_nodes_print(const struct config *config, struct buf *out)
{
    for (uint32_t node_id = 0; node_id < config->backend_count; node_id++) {
        const struct config_backend *backend = &config->backends[node_id];

        if (!backend->configured)
            continue;
        buf_printf(out, "%u ", node_id);
        for (const char *at = backend->hostname; *at != '\0'; at++)
            buf_add_u8(out, (uint8_t)(*at >= 'A' && *at <= 'Z' ? *at - 'A' + 'a' : *at));
        buf_printf(out, ":%d\n", backend->port);
    }
}

/* FNV-1a: it need not keep secrets, and has to be the same everywhere. */
uint64_t
wd_nodes_hash(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (; *text != '\0'; text++)
        hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    return hash != 0 ? hash : 1;
}

/* One line of a list; node_id is -1 behind the last one. */
struct line {
    int node_id;
    char place[PLACE_BYTES];
};

static void
read_line(const char **at, struct line *line_r)
{
    size_t len = strcspn(*at, "\n");
    char *end;
    long number;

    line_r->node_id = -1;
    line_r->place[0] = '\0';
    if (**at == '\0')
        return;
    number = strtol(*at, &end, 10);
    if (end > *at && end < *at + len && *end == ' ' && number >= 0 && number < CONFIG_NODES_MAX) {
        line_r->node_id = (int)number;
        str_copy_n(line_r->place, PLACE_BYTES, end + 1, (size_t)(*at + len - end - 1));
        for (char *c = line_r->place; *c != '\0'; c++) {
            if (*c < ' ' || *c == 0x7f)
                *c = '?';
        }
    }
    *at += len + ((*at)[len] == '\n');
}

struct words {
    char *text;
    size_t size;
    size_t len;
};

static void add(struct words *words, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
add(struct words *words, const char *fmt, ...)
{
    va_list args;
    int len;

    va_start(args, fmt);
    if (words->len > 0 && words->len + 3 < words->size) {
        memcpy(words->text + words->len, ", ", 3);
        words->len += 2;
    }
    len = vsnprintf(words->text + words->len, words->size - words->len, fmt, args);
    va_end(args);
    if (len > 0)
        words->len = MIN(words->len + (size_t)len, words->size - 1);
}

bool
wd_nodes_differ(const char *ours, const char *theirs, char *words_r, size_t words_size)
{
    struct words words = {words_r, words_size, 0};
    struct line our;
    struct line their;

    words_r[0] = '\0';
    if (strcmp(ours, theirs) == 0)
        return false;
    read_line(&ours, &our);
    read_line(&theirs, &their);
    while (our.node_id >= 0 || their.node_id >= 0) {
        bool only_here = their.node_id < 0 || (our.node_id >= 0 && our.node_id < their.node_id);
        bool only_there = our.node_id < 0 || (their.node_id >= 0 && their.node_id < our.node_id);

        if (only_here)
            add(&words, "node %d is \"%s\" here, and not there", our.node_id, our.place);
        else if (only_there)
            add(&words, "node %d is \"%s\" there, and not here", their.node_id, their.place);
        else if (strcmp(our.place, their.place) != 0)
            add(&words, "node %d is \"%s\" here and \"%s\" there", our.node_id, our.place,
                their.place);
        if (!only_there)
            read_line(&ours, &our);
        if (!only_here)
            read_line(&theirs, &their);
    }
    if (words.len == 0)
        add(&words, "their list is not understood");
    return true;
}

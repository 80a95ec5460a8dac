/*
 * The rules as a whole: read, counted, kept as long as somebody holds them.
 *
 * Called by whoever reads files at start and at reload, by logins and by SHOW. Invariants: what has
 * been loaded never changes; all of it lies in one arena.
 */
#include "auth/hba_parts.h"

#include <stdlib.h>
#include <string.h>

struct hba {
    struct hba_memory memory;
    struct buf lines; /* struct hba_line * */
    uint32_t rules;
    uint32_t references;
    bool faulty;
    bool uses_nets;
};

void
hba_memory_init(struct hba_memory *m)
{
    arena_init(&m->arena, 0);
    m->regexes = BUF_EMPTY;
}

void
hba_memory_fini(struct hba_memory *m)
{
    struct hba_regex *regex;

    for (size_t at = 0; at < m->regexes.len; at += sizeof(regex)) {
        memcpy(&regex, m->regexes.data + at, sizeof(regex));
        hba_regex_fini(regex);
    }
    buf_free(&m->regexes);
    arena_fini(&m->arena);
}

struct hba_regex *
hba_memory_regex(struct hba_memory *m, const char *pattern, struct err *err)
{
    struct hba_regex *regex = arena_alloc(&m->arena, sizeof(*regex));

    if (hba_regex_init(regex, pattern, err) != 0) {
        err_prefix(err, "regular expression %s: ", hba_shown(pattern, &m->arena));
        return NULL;
    }
    buf_add(&m->regexes, &regex, sizeof(regex));
    return regex;
}

static struct hba_line *
add_line(struct hba *h, const char *file, uint32_t number)
{
    struct hba_line *line = arena_calloc(&h->memory.arena, sizeof(*line));

    line->file = file;
    line->number = number;
    buf_add(&h->lines, &line, sizeof(line));
    return line;
}

static void
take_line(void *ctx, const struct hba_file_line *text)
{
    struct hba *h = ctx;
    struct hba_line *line = add_line(h, text->file, text->number);
    struct err err;

    if (text->error != NULL) {
        line->error = text->error;
        line->hint = text->hint;
    } else if (hba_parse_line(&h->memory, text, line, &err) != 0) {
        line->error = arena_strdup(&h->memory.arena, err.message);
        if (err.hint[0] != '\0')
            line->hint = arena_strdup(&h->memory.arena, err.hint);
    } else {
        line->rule = ++h->rules;
        h->uses_nets |=
            line->address == HBA_ADDRESS_SAMEHOST || line->address == HBA_ADDRESS_SAMENET;
    }
    h->faulty |= line->error != NULL;
}

struct hba *
hba_load(const struct hba_reader *reader, const char *path)
{
    struct hba *h = xcalloc(1, sizeof(*h));

    h->references = 1;
    hba_memory_init(&h->memory);
    hba_file_read(reader, path, &h->memory.arena, take_line, h);
    if (h->lines.len == 0) {
        struct hba_line *line = add_line(h, arena_strdup(&h->memory.arena, path), 0);

        line->error = "the file holds no rule";
        line->hint = "Without a rule that matches, a client is refused.";
        h->faulty = true;
    }
    return h;
}

struct hba *
hba_ref(struct hba *h)
{
    if (h != NULL)
        h->references++;
    return h;
}

void
hba_unref(struct hba *h)
{
    if (h == NULL || --h->references > 0)
        return;
    buf_free(&h->lines);
    hba_memory_fini(&h->memory);
    free(h);
}

bool
hba_is_good(const struct hba *h)
{
    return !h->faulty;
}

bool
hba_uses_nets(const struct hba *h)
{
    return h->uses_nets;
}

const struct hba_line *
hba_line_at(const struct hba *h, uint32_t n)
{
    const struct hba_line *line;

    if (n >= h->lines.len / sizeof(line))
        return NULL;
    memcpy(&line, h->lines.data + n * sizeof(line), sizeof(line));
    return line;
}

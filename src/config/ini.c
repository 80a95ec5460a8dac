/*
 * Reading pgbouncer.ini. Called by `pgpool migrate` only.
 *
 * A line is `name = value` up to its end: there are no quotes and no comments behind a value.
 * Comments begin with ; or #, as the first thing of a line.
 */
#include "config/ini.h"

#include "base/str.h"
#include "config/source.h"

#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = 100000, INCLUDE_DEPTH_MAX = 10 };

struct reader {
    struct ini *ini;
    struct arena *arena;
    struct config_report *report;
    const char *section;
    uint32_t depth;
};

struct span {
    const char *at;
    const char *end;
};

static int read_file(struct reader *r, const char *path, struct place from);

static struct span
trim(struct span s)
{
    while (s.at < s.end && strchr(" \t\r\f\v", *s.at) != NULL)
        s.at++;
    while (s.at < s.end && strchr(" \t\r\f\v", s.end[-1]) != NULL)
        s.end--;
    return s;
}

/* The next line without the blanks round it; false when there is none. */
static bool
next_line(struct span *text, struct span *line_r)
{
    const char *eol;

    if (text->at >= text->end)
        return false;
    eol = memchr(text->at, '\n', (size_t)(text->end - text->at));
    *line_r = trim((struct span){text->at, eol != NULL ? eol : text->end});
    text->at = eol != NULL ? eol + 1 : text->end;
    return true;
}

static bool
is_empty(struct span line)
{
    return line.at == line.end || *line.at == ';' || *line.at == '#' || *line.at == '\0';
}

/* "[name]" */
static bool
is_section(struct span line, struct span *name_r)
{
    if (line.at == line.end || *line.at != '[' || line.end[-1] != ']')
        return false;
    *name_r = trim((struct span){line.at + 1, line.end - 1});
    return true;
}

static bool
equals(struct span s, const char *text)
{
    size_t len = (size_t)(s.end - s.at);

    return len == strlen(text) && str_equal_nocase_n(s.at, text, len);
}

bool
ini_is_pgbouncer(const char *text, size_t len)
{
    struct span rest = {text, text + len};
    struct span line;
    struct span name;

    while (next_line(&rest, &line)) {
        if (is_section(line, &name) && (equals(name, "databases") || equals(name, "pgbouncer")))
            return true;
    }
    return false;
}

static void
add_line(struct reader *r, struct span name, struct span value, struct place place)
{
    struct ini *ini = r->ini;

    if (ini->count == ini->room) {
        ini->room = MAX(ini->room * 2, 64u);
        ini->lines = xrealloc(ini->lines, ini->room * sizeof(ini->lines[0]));
    }
    ini->lines[ini->count++] = (struct ini_line){
        .section = r->section,
        .name = arena_strndup(r->arena, name.at, (size_t)(name.end - name.at)),
        .value = arena_strndup(r->arena, value.at, (size_t)(value.end - value.at)),
        .place = place,
    };
}

/* A name may stand in double quotes; a double quote in it is written twice. */
static struct span
unquote_name(struct reader *r, struct span name)
{
    char *text;
    size_t len = 0;

    if (name.end - name.at < 2 || *name.at != '"' || name.end[-1] != '"')
        return name;
    text = arena_alloc(r->arena, (size_t)(name.end - name.at));
    for (const char *p = name.at + 1; p < name.end - 1; p++) {
        if (*p == '"' && p + 1 < name.end - 1)
            p++;
        text[len++] = *p;
    }
    return (struct span){text, text + len};
}

/* Where the name ends: an equals sign in quotes belongs to it. */
static const char *
find_equals(struct span line)
{
    bool quoted = false;

    for (const char *p = line.at; p < line.end; p++) {
        if (*p == '"')
            quoted = !quoted;
        else if (*p == '=' && !quoted)
            return p;
    }
    return NULL;
}

static int
take_include(struct reader *r, struct span line, struct place place)
{
    struct span path = trim((struct span){line.at + strlen("%include"), line.end});
    const char *text = arena_strndup(r->arena, path.at, (size_t)(path.end - path.at));

    return read_file(r, source_join(place.file, text, r->arena), place);
}

static int
take_line(struct reader *r, struct span line, struct place place)
{
    struct span name;
    const char *equals_at;

    if (is_empty(line))
        return 0;
    if (line.end - line.at > 9 && strncmp(line.at, "%include", 8) == 0 &&
        strchr(" \t", line.at[8]) != NULL)
        return take_include(r, line, place);
    if (is_section(line, &name)) {
        r->section = arena_strndup(r->arena, name.at, (size_t)(name.end - name.at));
        return 0;
    }
    equals_at = find_equals(line);
    if (equals_at == NULL || r->section == NULL || r->ini->count >= LINES_MAX ||
        memchr(line.at, 0, (size_t)(line.end - line.at)) != NULL) {
        report_add(r->report, CONFIG_WARNING, place, "a line of a section reads: name = value",
                   "the line is not understood, and not taken");
        return 0;
    }
    name = trim((struct span){line.at, equals_at});
    add_line(r, unquote_name(r, name), trim((struct span){equals_at + 1, line.end}), place);
    return 0;
}

static int
read_file(struct reader *r, const char *path, struct place from)
{
    struct place place = {path, 0};
    struct span rest;
    struct span line;
    char *text;
    size_t len;
    struct err err;
    int rc = 0;

    if (r->depth >= INCLUDE_DEPTH_MAX) {
        report_add(r->report, CONFIG_FAULT, from, NULL,
                   "files include each other more than %d deep", INCLUDE_DEPTH_MAX);
        return -1;
    }
    if (source_read(path, &text, &len, &err) != 0) {
        report_add(r->report, CONFIG_FAULT, from, err.hint, "%s", err.message);
        return -1;
    }
    r->depth++;
    rest = (struct span){text, text + len};
    while (rc == 0 && next_line(&rest, &line)) {
        place.line++;
        rc = take_line(r, line, place);
    }
    r->depth--;
    free(text);
    return rc;
}

int
ini_read(const char *path, struct arena *arena, struct ini *ini_r, struct config_report *report)
{
    struct reader r = {.ini = ini_r, .arena = arena, .report = report};

    *ini_r = (struct ini){NULL, 0, 0};
    return read_file(&r, path, (struct place){NULL, 0});
}

void
ini_fini(struct ini *ini)
{
    free(ini->lines);
    *ini = (struct ini){NULL, 0, 0};
}

const char *
ini_get(const struct ini *ini, const char *section, const char *name)
{
    for (uint32_t n = ini->count; n > 0; n--) {
        const struct ini_line *line = &ini->lines[n - 1];

        if (str_equal_nocase(line->section, section) && str_equal_nocase(line->name, name))
            return line->value;
    }
    return NULL;
}

bool
ini_next_word(const char **at, struct arena *arena, const char **word_r, const char **value_r)
{
    const char *p = *at + strspn(*at, " \t");
    size_t len = strcspn(p, " \t=");
    char *value;
    size_t out = 0;

    *word_r = arena_strndup(arena, p, len);
    p += len;
    p += strspn(p, " \t");
    if (len == 0 || *p != '=')
        return false;
    p++;
    p += strspn(p, " \t");
    value = arena_alloc(arena, strlen(p) + 1);
    if (*p == '\'') {
        for (p++; *p != '\0' && (*p != '\'' || p[1] == '\''); p++) {
            p += *p == '\'';
            value[out++] = *p;
        }
        p += *p == '\'';
    } else {
        while (*p != '\0' && *p != ' ' && *p != '\t')
            value[out++] = *p++;
    }
    value[out] = '\0';
    *value_r = value;
    *at = p;
    return true;
}

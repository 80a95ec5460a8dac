/*
 * Reading a pgpool.conf of Pgpool-II: every setting of it, whatever we think of its value.
 *
 * Called by migrate_pgpool2.c. A line that makes no sense is warned of and left out; a file that
 * cannot be read is a fault.
 */
#include "config/migrate_old.h"

#include "base/num.h"
#include "base/str.h"
#include "config/lex.h"
#include "config/load.h"
#include "config/migrate_parts.h"
#include "config/source.h"
#include "config/value.h"

#include <stdlib.h>
#include <string.h>

struct reader {
    struct old *old;
    struct config_report *report;
    struct config *scratch; /* what values are tried on */
    uint32_t depth;
    size_t total_bytes;
};

static int read_file(struct reader *r, const char *path, struct place from);

const struct old_value *
old_get(const struct old *old, const struct option *option, int node_id)
{
    const struct old_value *nodes = old->nodes[option_id(option)];
    const struct old_value *value = node_id == OPTION_ALL_NODES ? &old->all[option_id(option)]
                                    : nodes != NULL             ? &nodes[node_id]
                                                                : NULL;

    return value != NULL && value->name != NULL ? value : NULL;
}

static void
keep(struct reader *r, const struct option_ref *ref, struct old_value value, struct place place)
{
    const struct value_home nowhere = {&r->scratch->arena, NULL};
    size_t id = option_id(ref->option);
    struct old_value *slot = &r->old->all[id];
    struct err err;

    if (id != OPTION_ID_GLOBAL_num_init_children &&
        value_parse(ref->option, value.text, &nowhere,
                    option_field(ref->option, r->scratch, ref->node_id), &err) != 0)
        report_add(r->report, CONFIG_WARNING, place, err.hint,
                   "value of \"%s\" %s: it is not taken", value.name, err.message);
    if (ref->node_id != OPTION_ALL_NODES) {
        if (r->old->nodes[id] == NULL)
            r->old->nodes[id] = xcalloc(CONFIG_NODES_MAX, sizeof(*r->old->nodes[id]));
        slot = &r->old->nodes[id][ref->node_id];
    }
    *slot = value;
}

static void
lose(struct reader *r, const struct old_value *value, const char *why)
{
    migrate_was(&r->old->lost, value->name, value->text);
    migrate_comment(&r->old->lost, "%s", why);
}

static void
lose_unknown(struct reader *r, const struct old_value *value, struct place place)
{
    char nearest[OPTION_NAME_MAX];
    char *hint = NULL;

    if (option_nearest(value->name, nearest))
        hint = arena_printf(&r->old->arena, "did you mean \"%s\"?", nearest);
    report_add(r->report, CONFIG_WARNING, place, hint,
               "unknown parameter \"%.64s\": it is not taken", value->name);
    lose(r, value, "Nobody knows this parameter.");
}

static void
take_setting(struct reader *r, struct old_value value, struct place place)
{
    struct option_ref ref;

    switch (option_find(value.name, &ref)) {
    case OPTION_FOUND:
        keep(r, &ref, value, place);
        return;
    case OPTION_IS_RETIRED:
        if (str_equal_nocase(value.name, "master_slave_mode"))
            r->old->master_slave_mode = value.text;
        else if (str_equal_nocase(value.name, "master_slave_sub_mode"))
            r->old->master_slave_sub_mode = value.text;
        lose(r, &value, arena_printf(&r->old->arena, "Not used any more: %s.", ref.reason));
        return;
    case OPTION_NEEDS_NUMBER:
        lose(r, &value, "The name lacks the number of a node.");
        return;
    case OPTION_BAD_NUMBER:
        lose(r, &value, "There can be no node of this number: they are 0 to 127.");
        return;
    case OPTION_UNKNOWN:
        lose_unknown(r, &value, place);
        return;
    }
}

/* True when it was an include directive. */
static bool
include(struct reader *r, const struct old_value *value, struct place place, int *rc)
{
    bool directory = str_equal_nocase(value->name, "include_dir");
    bool if_exists = str_equal_nocase(value->name, "include_if_exists");
    struct source_list list;
    const char *path;
    struct err err;

    if (!directory && !if_exists && !str_equal_nocase(value->name, "include"))
        return false;
    path = source_join(place.file, value->text, &r->old->arena);
    if (!directory) {
        if (!if_exists || source_exists(path))
            *rc = read_file(r, path, place);
        return true;
    }
    if (source_list(path, &list, &err) != 0) {
        report_add(r->report, CONFIG_FAULT, place, err.hint, "%s", err.message);
        *rc = -1;
        return true;
    }
    for (size_t n = 0; n < list.count && *rc == 0; n++)
        *rc = read_file(r, arena_strdup(&r->old->arena, list.paths[n]), place);
    source_list_free(&list);
    return true;
}

/* One line that is not empty, up to its end. What is no setting is warned of. */
static int
read_line(struct reader *r, struct lex *lex, struct lex_token *token, const char *file)
{
    struct arena *arena = &r->old->arena;
    const struct place place = {file, token->line};
    struct old_value value = {NULL, NULL};
    int rc = 0;

    if (token->kind == LEX_WORD) {
        value.name = arena_strndup(arena, token->text, MIN(token->len, (size_t)OPTION_NAME_MAX));
        lex_next(lex, token);
        if (token->kind == LEX_EQUALS)
            lex_next(lex, token);
        if (token->kind == LEX_WORD)
            value.text = arena_strndup(arena, token->text, token->len);
        else if (token->kind == LEX_QUOTED)
            value.text = value_unquote(token->text, token->len, arena);
        if (value.text != NULL)
            lex_next(lex, token);
    }
    if (value.text == NULL || (token->kind != LEX_EOL && token->kind != LEX_END))
        report_add(r->report, CONFIG_WARNING, place, "a line reads: name = value",
                   "the line is not understood, and not taken");
    else if (!include(r, &value, place, &rc))
        take_setting(r, value, place);
    while (token->kind != LEX_EOL && token->kind != LEX_END)
        lex_next(lex, token);
    return rc;
}

static int
read_file(struct reader *r, const char *path, struct place from)
{
    struct lex_token token;
    struct lex *lex;
    char *text;
    size_t len;
    struct err err;
    int rc = 0;

    if (r->depth >= CONFIG_INCLUDE_DEPTH_MAX) {
        report_add(r->report, CONFIG_FAULT, from, NULL,
                   "files include each other more than %d deep", CONFIG_INCLUDE_DEPTH_MAX);
        return -1;
    }
    if (source_read(path, &text, &len, &err) != 0) {
        report_add(r->report, CONFIG_FAULT, from, err.hint, "%s", err.message);
        return -1;
    }
    r->total_bytes += len;
    if (r->total_bytes > SOURCE_TOTAL_MAX) {
        report_add(r->report, CONFIG_FAULT, from, NULL,
                   "all files together are longer than %d bytes", SOURCE_TOTAL_MAX);
        free(text);
        return -1;
    }
    r->depth++;
    lex = lex_new(text, len);
    do {
        lex_next(lex, &token);
        if (token.kind != LEX_EOL && token.kind != LEX_END)
            rc = read_line(r, lex, &token, path);
    } while (token.kind != LEX_END && rc == 0);
    lex_free(lex);
    free(text);
    r->depth--;
    return rc;
}

int
old_read(const char *path, struct old *old_r, struct config_report *report)
{
    struct reader r = {.old = old_r, .report = report, .scratch = config_new("", NULL)};
    int rc;

    *old_r = (struct old){.lost = BUF_EMPTY};
    arena_init(&old_r->arena, 0);
    rc = read_file(&r, path, (struct place){NULL, 0});
    config_free(r.scratch);
    return rc;
}

void
old_fini(struct old *old)
{
    for (size_t n = 0; n < OPTION_COUNT; n++)
        free(old->nodes[n]);
    buf_free(&old->lost);
    arena_fini(&old->arena);
}

/* A generation in which this value alone is set, NULL when it is not. The caller frees it. */
static struct config *
with_value(const struct old *old, enum option_id id)
{
    const struct option *option = &option_table[id];
    const struct old_value *value = old_get(old, option, OPTION_ALL_NODES);
    struct config *cfg;
    struct value_home nowhere = {NULL, NULL};
    struct err err;

    if (value == NULL)
        return NULL;
    cfg = config_new("", NULL);
    nowhere.arena = &cfg->arena;
    if (value_parse(option, value->text, &nowhere, option_field(option, cfg, OPTION_ALL_NODES),
                    &err) == 0)
        return cfg;
    config_free(cfg);
    return NULL;
}

uint32_t
old_number(const struct old *old, enum option_id id, uint32_t preset)
{
    const struct old_value *value = old_get(old, &option_table[id], OPTION_ALL_NODES);
    uint32_t number;

    return value != NULL && num_parse_u32(value->text, &number) ? number : preset;
}

bool
old_bool(const struct old *old, enum option_id id, bool preset)
{
    struct config *cfg = with_value(old, id);
    const void *field;

    if (cfg == NULL)
        return preset;
    field = option_value(&option_table[id], cfg, OPTION_ALL_NODES);
    preset = *(const bool *)field;
    config_free(cfg);
    return preset;
}

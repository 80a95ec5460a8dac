/*
 * Loading: from the words of files to one generation.
 *
 * A loader goes through a file and what it includes, line by line, and never stops at a fault: it
 * says what is wrong and goes on with the next line. The last setting of a name counts. When all
 * lines are read, values per node are completed from those for all nodes, and check.c looks at the
 * whole. Nothing outside the loader changes before that.
 *
 * Files are read here with stdio and not through os/, because both rooms stand on one level; only
 * the parent and the command line load files, never a child while it serves clients.
 */
#include "config/load.h"
#include "config/check.h"
#include "config/lex.h"
#include "config/source.h"
#include "config/value.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

struct loader {
    struct config *cfg;
    struct config_report *report;
    struct origins origins;
    struct value_home home;
    bool may_include;
    bool may_be_faulty; /* the generation is wanted whatever was found */
    uint32_t depth;
    size_t total_bytes;
};

/* What nodes hold that nobody set. */
struct blank {
    struct config_backend backend;
    struct config_peer peer;
    struct config_heartbeat heartbeat;
};

/* One file on its way through. */
struct input {
    const struct input *parent; /* the file that includes it */
    const char *file;
    struct lex *lex;
    struct lex_token token;
};

static void load_text(struct loader *loader, struct input *in, const char *text, size_t len);

static struct place
here(const struct input *in)
{
    return (struct place){in->file, in->token.line};
}

static void
unknown_name(struct loader *loader, const struct input *in, const char *name)
{
    char nearest[OPTION_NAME_MAX];
    struct buf quoted = BUF_EMPTY;
    char *hint = NULL;

    value_quote_short(name, &quoted);
    if (option_nearest(name, nearest))
        hint = arena_printf(&loader->report->arena, "did you mean \"%s\"?", nearest);
    report_add(loader->report, CONFIG_FAULT, here(in), hint, "unknown parameter %s",
               buf_cstr(&quoted));
    buf_free(&quoted);
}

/* True when the name is an option that can be set; otherwise says why it is not. */
static bool
find_option(struct loader *loader, const struct input *in, const char *name,
            struct option_ref *ref_r)
{
    switch (option_find(name, ref_r)) {
    case OPTION_FOUND:
        return true;
    case OPTION_UNKNOWN:
        unknown_name(loader, in, name);
        return false;
    case OPTION_NEEDS_NUMBER:
        report_add(loader->report, CONFIG_FAULT, here(in), "there is one per node",
                   "\"%s\" needs a number, as \"%s0\"", name, name);
        return false;
    case OPTION_BAD_NUMBER:
        report_add(loader->report, CONFIG_FAULT, here(in), NULL,
                   "the number of \"%s\" is outside the valid range (0 .. %d)", name,
                   CONFIG_NODES_MAX - 1);
        return false;
    case OPTION_IS_RETIRED:
        report_add(loader->report, CONFIG_WARNING, here(in), ref_r->reason,
                   "\"%s\" is not used any more", name);
        return false;
    }
    return false;
}

static void
set_option(struct loader *loader, const struct input *in, const char *name, const char *text)
{
    struct option_ref ref;
    struct place before;
    struct err err;
    struct buf shown = BUF_EMPTY;

    if (!find_option(loader, in, name, &ref))
        return;
    if (value_parse(ref.option, text, &loader->home,
                    option_field(ref.option, loader->cfg, ref.node_id), &err) != 0) {
        if (ref.option->type != OPTION_TYPE_SECRET) {
            buf_add_u8(&shown, ' ');
            value_quote_short(text, &shown);
        }
        report_add(loader->report, CONFIG_FAULT, here(in), err.hint, "value%s of \"%s\" %s",
                   buf_cstr(&shown), name, err.message);
        buf_free(&shown);
    }
    before = origin_get(&loader->origins, ref.option, ref.node_id);
    if (before.line > 0 && before.file == in->file)
        report_add(loader->report, CONFIG_WARNING, here(in), NULL,
                   "\"%s\" is set again: its value in line %u does not count", name, before.line);
    origin_set(&loader->origins, ref.option, ref.node_id, here(in));
}

/* The path lives as long as the report: places in the file refer to it. */
static void
include_file(struct loader *loader, const struct input *in, const char *path, bool must_exist)
{
    char *text;
    size_t len;
    struct err err;

    for (const struct input *outer = in; outer != NULL; outer = outer->parent) {
        if (strcmp(outer->file, path) == 0) {
            report_add(loader->report, CONFIG_FAULT, here(in), NULL, "file \"%s\" includes itself",
                       path);
            return;
        }
    }
    if (loader->depth >= CONFIG_INCLUDE_DEPTH_MAX) {
        report_add(loader->report, CONFIG_FAULT, here(in), NULL,
                   "files include each other more than %d deep", CONFIG_INCLUDE_DEPTH_MAX);
        return;
    }
    if (!must_exist && !source_exists(path))
        return;
    if (source_read(path, &text, &len, &err) != 0) {
        report_add(loader->report, CONFIG_FAULT, here(in), err.hint, "%s", err.message);
        return;
    }
    loader->depth++;
    load_text(loader, &(struct input){.parent = in, .file = path}, text, len);
    loader->depth--;
    free(text);
}

static void
include_directory(struct loader *loader, const struct input *in, const char *path)
{
    struct source_list list;
    struct err err;

    if (source_list(path, &list, &err) != 0) {
        report_add(loader->report, CONFIG_FAULT, here(in), err.hint, "%s", err.message);
        return;
    }
    for (size_t n = 0; n < list.count; n++)
        include_file(loader, in, arena_strdup(&loader->report->arena, list.paths[n]), true);
    source_list_free(&list);
}

/* True when the name was one of the three include directives. */
static bool
include(struct loader *loader, const struct input *in, const char *name, const char *text)
{
    const char *path;
    bool directory = str_equal_nocase(name, "include_dir");
    bool if_exists = str_equal_nocase(name, "include_if_exists");

    if (!directory && !if_exists && !str_equal_nocase(name, "include"))
        return false;
    if (!loader->may_include) {
        report_add(loader->report, CONFIG_FAULT, here(in), NULL, "\"%s\" is not possible here",
                   name);
        return true;
    }
    if (text[0] == '\0') {
        report_add(loader->report, CONFIG_FAULT, here(in), NULL, "\"%s\" needs a path", name);
        return true;
    }
    path = source_join(in->file, text, &loader->report->arena);
    if (directory)
        include_directory(loader, in, path);
    else
        include_file(loader, in, path, !if_exists);
    return true;
}

static void
syntax_fault(struct loader *loader, const struct input *in, const char *where, const char *hint)
{
    struct buf shown = BUF_EMPTY;

    switch (in->token.kind) {
    case LEX_BAD:
        buf_printf(&shown, "unexpected byte 0x%02x", (unsigned char)in->token.text[0]);
        if (in->token.text[0] == '"') {
            buf_clear(&shown);
            buf_add_str(&shown, "unexpected double quote");
            hint = "values are quoted with single quotes";
        }
        break;
    case LEX_UNTERMINATED:
        buf_add_str(&shown, "quotes that the line does not close");
        hint = "a single quote inside quotes is written twice";
        break;
    case LEX_END:
    case LEX_EOL:
        buf_add_str(&shown, "the line ends");
        break;
    default:
        buf_add_str(&shown, "unexpected ");
        value_quote_short(in->token.text, &shown);
        break;
    }
    report_add(loader->report, CONFIG_FAULT, here(in), hint, "%s %s", buf_cstr(&shown), where);
    buf_free(&shown);
}

static void
skip_line(struct input *in)
{
    while (in->token.kind != LEX_EOL && in->token.kind != LEX_END)
        lex_next(in->lex, &in->token);
}

/* The value of a setting, NULL after a fault. */
static const char *
read_value(struct loader *loader, struct input *in, const char *name)
{
    struct arena *arena = &loader->cfg->arena;
    const char *value;

    lex_next(in->lex, &in->token);
    if (in->token.kind == LEX_EQUALS)
        lex_next(in->lex, &in->token);
    if (in->token.kind == LEX_WORD) {
        value = arena_strndup(arena, in->token.text, in->token.len);
    } else if (in->token.kind == LEX_QUOTED) {
        value = value_unquote(in->token.text, in->token.len, arena);
        if (value == NULL)
            report_add(loader->report, CONFIG_FAULT, here(in), NULL,
                       "value of \"%s\" holds a zero byte", name);
    } else {
        syntax_fault(loader, in, "where a value should stand", "an empty value is written ''");
        value = NULL;
    }
    return value;
}

/* Text from memory holds what stood in pool_limits, too. */
static void
take_limit(struct loader *loader, const struct input *in, const char *text)
{
    struct err err;

    if (limits_take_printed(loader->cfg, text, &err) != 0)
        report_add(loader->report, CONFIG_FAULT, here(in), err.hint, "%s", err.message);
}

/* The current token begins a line that is not empty. Leaves the one that ends it. */
static void
load_line(struct loader *loader, struct input *in)
{
    char name[OPTION_NAME_MAX * 2];
    const char *value;

    if (in->token.kind != LEX_WORD) {
        syntax_fault(loader, in, "where a name should stand", "a line reads: name = value");
        return;
    }
    str_copy_n(name, sizeof(name), in->token.text, in->token.len);
    value = read_value(loader, in, name);
    if (value == NULL)
        return;
    lex_next(in->lex, &in->token);
    if (in->token.kind != LEX_EOL && in->token.kind != LEX_END) {
        syntax_fault(loader, in, "behind the value",
                     "a value of several words stands in single quotes");
        return;
    }
    if (!loader->may_include && strcmp(name, limits_entry_name) == 0)
        take_limit(loader, in, value);
    else if (!include(loader, in, name, value))
        set_option(loader, in, name, value);
}

/* A line of a reasonable length is asked for because messages and editors show lines. */
static bool
lines_fit(struct loader *loader, const char *file, const char *text, size_t len)
{
    uint32_t line = 1;

    for (const char *p = text, *end = text + len; p < end; line++) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));

        eol = eol != NULL ? eol : end;
        if (eol - p > SOURCE_LINE_MAX) {
            report_add(loader->report, CONFIG_FAULT, (struct place){file, line}, NULL,
                       "line is longer than %d bytes", SOURCE_LINE_MAX);
            return false;
        }
        p = eol + 1;
    }
    return true;
}

static void
load_text(struct loader *loader, struct input *in, const char *text, size_t len)
{
    loader->total_bytes += len;
    if (loader->total_bytes > SOURCE_TOTAL_MAX) {
        report_add(loader->report, CONFIG_FAULT, (struct place){in->file, 0}, NULL,
                   "all files together are longer than %d bytes", SOURCE_TOTAL_MAX);
        return;
    }
    if (!lines_fit(loader, in->file, text, len))
        return;
    in->lex = lex_new(text, len);
    do {
        lex_next(in->lex, &in->token);
        if (in->token.kind != LEX_EOL && in->token.kind != LEX_END) {
            load_line(loader, in);
            skip_line(in);
        }
    } while (in->token.kind != LEX_END && !report_full(loader->report));
    lex_free(in->lex);
}

/* Nodes take what is set for all of them where nothing is set for them. */
static void
complete_nodes(struct loader *loader)
{
    const unsigned either = CONFIG_BACKEND_ALLOW_TO_FAILOVER | CONFIG_BACKEND_DISALLOW_TO_FAILOVER;
    struct config *cfg = loader->cfg;

    for (int node_id = 0; node_id < CONFIG_NODES_MAX; node_id++) {
        struct config_backend *backend = &cfg->backends[node_id];

        backend->configured = backend->port != 0;
        if (!backend->configured)
            continue;
        cfg->backend_count = (uint32_t)node_id + 1;
        if ((backend->flag & either) == 0)
            backend->flag |= CONFIG_BACKEND_ALLOW_TO_FAILOVER;
        for (size_t n = 0; n < OPTION_COUNT; n++) {
            const struct option *option = &option_table[n];

            if (option->scope == OPTION_SCOPE_HEALTH &&
                origin_get(&loader->origins, option, node_id).line == 0)
                value_copy(option, option_field(option, cfg, node_id),
                           option_value(option, cfg, OPTION_ALL_NODES), &cfg->arena);
        }
    }
}

struct config *
config_new(const char *path, const char *directory)
{
    struct config *cfg = xcalloc(1, sizeof(*cfg));
    struct value_home home = {&cfg->arena, directory};
    struct err err;

    arena_init(&cfg->arena, 0);
    cfg->path = arena_strdup(&cfg->arena, path);
    for (size_t n = 0; n < OPTION_COUNT; n++) {
        const struct option *option = &option_table[n];

        if (option_has_global(option) &&
            value_parse(option, option->preset, &home, option_field(option, cfg, OPTION_ALL_NODES),
                        &err) != 0)
            BUG("default of \"%s\" %s", option->name, err.message);
        if (option_has_nodes(option) &&
            value_parse(option, option->preset, &home, option_field(option, cfg, 0), &err) != 0)
            BUG("default of \"%s\" %s", option->name, err.message);
    }
    for (int node_id = 1; node_id < CONFIG_NODES_MAX; node_id++) {
        cfg->backends[node_id] = cfg->backends[0];
        cfg->peers[node_id] = cfg->peers[0];
        cfg->heartbeats[node_id] = cfg->heartbeats[0];
    }
    return cfg;
}

/* What does not exist keeps nothing of the settings that named it. */
static void
forget_absent_nodes(struct config *cfg, const struct blank *blank)
{
    for (int node_id = 0; node_id < CONFIG_NODES_MAX; node_id++) {
        if (!cfg->backends[node_id].configured)
            cfg->backends[node_id] = blank->backend;
        if (cfg->peers[node_id].hostname[0] == '\0')
            cfg->peers[node_id] = blank->peer;
        if (cfg->heartbeats[node_id].hostname[0] == '\0')
            cfg->heartbeats[node_id] = blank->heartbeat;
    }
}

static int
load(const char *path, const char *text, size_t len, struct loader *loader, struct config **cfg_r)
{
    uint32_t faults_before = loader->report->faults;
    struct blank blank;
    struct check check;
    char *directory = source_directory(path);

    loader->cfg = config_new(path, directory);
    loader->home = (struct value_home){&loader->cfg->arena, directory};
    blank.backend = loader->cfg->backends[0];
    blank.peer = loader->cfg->peers[0];
    blank.heartbeat = loader->cfg->heartbeats[0];
    load_text(loader, &(struct input){.file = path}, text, len);
    complete_nodes(loader);
    if (loader->may_include) {
        limits_load(loader->cfg, loader->report);
        node_id_load(loader->cfg, loader->report);
    }
    check = (struct check){loader->cfg, &loader->origins, loader->report, false};
    check_all(&check);
    forget_absent_nodes(loader->cfg, &blank);
    origins_fini(&loader->origins);
    free(directory);
    if (loader->report->faults != faults_before && !loader->may_be_faulty) {
        config_free(loader->cfg);
        return -1;
    }
    *cfg_r = loader->cfg;
    return 0;
}

int
config_load_text(const char *text, size_t len, const char *name, struct config **cfg_r,
                 struct config_report *report)
{
    struct loader loader = {.report = report};

    if (len > CONFIG_FILE_MAX) {
        report_add(report, CONFIG_FAULT, (struct place){name, 0}, NULL,
                   "text is longer than %d bytes", CONFIG_FILE_MAX);
        return -1;
    }
    return load(name, text, len, &loader, cfg_r);
}

static int
load_file(const char *path, struct loader *loader, struct config **cfg_r)
{
    char *absolute = source_absolute(path);
    char *text;
    size_t len;
    struct err err;
    int rc;

    if (source_read(absolute, &text, &len, &err) != 0) {
        report_add(loader->report, CONFIG_FAULT, (struct place){NULL, 0}, err.hint, "%s",
                   err.message);
        free(absolute);
        return -1;
    }
    rc = load(absolute, text, len, loader, cfg_r);
    free(text);
    free(absolute);
    return rc;
}

int
config_load_file(const char *path, struct config **cfg_r, struct config_report *report)
{
    struct loader loader = {.report = report, .may_include = true};

    return load_file(path, &loader, cfg_r);
}

int
config_load_faulty_file(const char *path, struct config **cfg_r, struct config_report *report)
{
    struct loader loader = {.report = report, .may_include = true, .may_be_faulty = true};

    return load_file(path, &loader, cfg_r);
}

void
config_free(struct config *cfg)
{
    if (cfg == NULL)
        return;
    arena_fini(&cfg->arena);
    free(cfg);
}

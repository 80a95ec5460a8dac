/*
 * Entries of pool_limits: read from their file, printed into the canonical text and read from
 * there, and numbered so that connections stay counted when lines come and go.
 *
 * Called by load.c, print.c and reload.c. Invariants: no two entries have the same group but 0; an
 * entry that no client could get to is not in the list.
 */
#include "config/limits.h"

#include "base/num.h"
#include "base/str.h"
#include "config/load.h"
#include "config/report.h"
#include "config/source.h"
#include "config/value.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LINE_WORDS = 4, WORD_MAX = 4096 };

/* A line on its way through. */
struct line {
    const char *at;
    const char *end;
};

struct word {
    char text[WORD_MAX];
    bool quoted;
};

static const char form[] =
    "a line reads: database user pool_mode max_backend_connections [cache=on|off] "
    "[log_min_duration_statement=TIME]";

const struct config_limit *
config_limit_find(const struct config_limits *limits, const char *database, const char *user)
{
    for (uint32_t n = 0; n < limits->count; n++) {
        const struct config_limit *entry = &limits->list[n];
        if ((entry->database == NULL || strcmp(entry->database, database) == 0) &&
            (entry->user == NULL || strcmp(entry->user, user) == 0))
            return entry;
    }
    return NULL;
}

bool
config_has_copies(const struct config *cfg)
{
    return cfg->backend_clustering_mode == CONFIG_MODE_NATIVE_REPLICATION ||
           cfg->backend_clustering_mode == CONFIG_MODE_SNAPSHOT_ISOLATION;
}

bool
config_wants_cache(const struct config *cfg)
{
    bool wanted = cfg->memory_cache_enabled;

    for (uint32_t n = 0; n < cfg->limits.count; n++)
        wanted |= cfg->limits.list[n].cache > 0;
    return wanted;
}

/* ---- words ---- */

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool
is_at_end(struct line *l)
{
    while (l->at < l->end && is_blank(*l->at))
        l->at++;
    return l->at == l->end || *l->at == '#';
}

/* Behind the opening quote. */
static int
read_quoted(struct line *l, struct word *w, struct err *err)
{
    size_t len = 0;

    for (;; l->at++) {
        if (l->at == l->end || len == WORD_MAX - 1)
            return err_set(err, "F0000", "double quotes that the line does not close");
        if (*l->at == '"' && (l->at + 1 == l->end || l->at[1] != '"'))
            break;
        l->at += *l->at == '"';
        w->text[len++] = *l->at;
    }
    l->at++;
    w->text[len] = '\0';
    if (l->at < l->end && !is_blank(*l->at) && *l->at != '#')
        return err_set(err, "F0000", "no blank behind double quotes");
    return 0;
}

static int
read_bare(struct line *l, struct word *w, struct err *err)
{
    size_t len = 0;

    for (; l->at < l->end && !is_blank(*l->at) && *l->at != '#'; l->at++) {
        if (*l->at == '"')
            return err_set(err, "F0000", "double quotes within a word");
        if (len == WORD_MAX - 1)
            return err_set(err, "F0000", "a word is longer than %d bytes", WORD_MAX - 1);
        w->text[len++] = *l->at;
    }
    w->text[len] = '\0';
    return 0;
}

static int
read_word(struct line *l, struct word *w, struct err *err)
{
    if (is_at_end(l)) {
        err_set(err, "F0000", "the line ends too early");
        err_hint(err, "%s", form);
        return -1;
    }
    w->quoted = *l->at == '"';
    l->at += w->quoted;
    return w->quoted ? read_quoted(l, w, err) : read_bare(l, w, err);
}

/* ---- what they mean ---- */

static int
take_name(const struct word *w, struct arena *arena, const char **name_r, struct err *err)
{
    *name_r = NULL;
    if (!w->quoted && (strcmp(w->text, "*") == 0 || strcmp(w->text, "all") == 0))
        return 0;
    if (w->text[0] == '\0')
        return err_set(err, "F0000", "a name is empty");
    if (strlen(w->text) > CONFIG_LIMIT_NAME_MAX)
        return err_set(err, "F0000", "a name is longer than %d bytes", CONFIG_LIMIT_NAME_MAX);
    *name_r = arena_strdup(arena, w->text);
    return 0;
}

static bool
is_default(const struct word *w)
{
    return !w->quoted && (strcmp(w->text, "-") == 0 || str_equal_nocase(w->text, "default"));
}

static int
take_mode(const struct word *w, int *mode_r, struct err *err)
{
    const struct option *option = &option_table[OPTION_ID_GLOBAL_pool_mode];
    const struct value_home nowhere = {NULL, NULL};
    struct buf shown = BUF_EMPTY;
    enum config_pool_mode mode;

    *mode_r = -1;
    if (is_default(w))
        return 0;
    if (value_parse(option, w->text, &nowhere, &mode, err) == 0) {
        *mode_r = (int)mode;
        return 0;
    }
    value_quote_short(w->text, &shown);
    err_set(err, "22023", "%s is no pool_mode", buf_cstr(&shown));
    err_hint(err, "session, transaction or auto; - for that of pgpool.conf");
    buf_free(&shown);
    return -1;
}

static int
take_count(const struct word *w, uint32_t *count_r, struct err *err)
{
    struct buf shown = BUF_EMPTY;

    *count_r = 0;
    if (is_default(w) || (num_parse_u32(w->text, count_r) && *count_r <= INT32_MAX))
        return 0;
    value_quote_short(w->text, &shown);
    err_set(err, "22023", "%s is no number of connections", buf_cstr(&shown));
    err_hint(err, "0 .. %d; - or 0 for no limit of its own", INT32_MAX);
    buf_free(&shown);
    return -1;
}

/* What stands behind "name=", or NULL. */
static const char *
behind(const struct word *w, const char *name)
{
    size_t len = strlen(name);

    if (w->quoted || strncasecmp(w->text, name, len) != 0 || w->text[len] != '=')
        return NULL;
    return w->text + len + 1;
}

static int
take_duration(const char *text, int64_t *ms_r, struct err *err)
{
    const struct option *option = &option_table[OPTION_ID_GLOBAL_log_min_duration_statement];
    const struct value_home nowhere = {NULL, NULL};
    struct buf shown = BUF_EMPTY;
    struct err why;

    if (value_parse(option, text, &nowhere, ms_r, &why) == 0)
        return 0;
    value_quote_short(text, &shown);
    err_set(err, "22023", "%s is no log_min_duration_statement", buf_cstr(&shown));
    err_hint(err, "a time, as 250ms; 0 for all statements, -1 for none");
    buf_free(&shown);
    return -1;
}

/* 0: it is none of them, or stands there twice. */
static int
take_setting(const struct word *w, struct config_limit *entry, struct err *err)
{
    const char *text = behind(w, "cache");

    if (text != NULL && entry->cache < 0) {
        entry->cache = str_equal_nocase(text, "on") ? 1 : str_equal_nocase(text, "off") ? 0 : -1;
        return entry->cache >= 0;
    }
    text = behind(w, "log_min_duration_statement");
    if (text == NULL || entry->log_min_duration_ms != CONFIG_LIMIT_NO_LOGGING)
        return 0;
    return take_duration(text, &entry->log_min_duration_ms, err) == 0 ? 1 : -1;
}

/* "cache=on" and the like, where the line goes on. */
static int
take_settings(struct line *l, struct config_limit *entry, struct err *err)
{
    struct buf before = BUF_EMPTY;
    struct word w;
    int taken = 1;

    entry->cache = -1;
    entry->log_min_duration_ms = CONFIG_LIMIT_NO_LOGGING;
    while (taken > 0 && !is_at_end(l)) {
        taken = read_word(l, &w, err) == 0 ? take_setting(&w, entry, err) : -1;
        if (taken > 0) {
            buf_clear(&before);
            value_quote_short(w.text, &before);
        }
    }
    if (taken == 0) {
        err_set(err, "F0000", "the line goes on behind %s",
                before.len > 0 ? buf_cstr(&before) : "max_backend_connections");
        err_hint(err, "%s", form);
    }
    buf_free(&before);
    return taken > 0 ? 0 : -1;
}

/* No NUL, and nothing that a terminal would not show. */
static int
check_bytes(const struct line *l, struct err *err)
{
    for (const char *p = l->at; p < l->end; p++) {
        if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
            return err_set(err, "F0000", "unexpected byte 0x%02x", (unsigned char)*p);
    }
    return 0;
}

static int
read_entry(struct line *l, struct arena *arena, struct config_limit *entry, struct err *err)
{
    struct word w;

    if (check_bytes(l, err) != 0 || read_word(l, &w, err) != 0 ||
        take_name(&w, arena, &entry->database, err) != 0 || read_word(l, &w, err) != 0 ||
        take_name(&w, arena, &entry->user, err) != 0 || read_word(l, &w, err) != 0 ||
        take_mode(&w, &entry->pool_mode, err) != 0 || read_word(l, &w, err) != 0 ||
        take_count(&w, &entry->max_connections, err) != 0)
        return -1;
    return take_settings(l, entry, err);
}

/* ---- the list ---- */

static bool
covers(const char *earlier, const char *later)
{
    return earlier == NULL || (later != NULL && strcmp(earlier, later) == 0);
}

static const struct config_limit *
find_shadow(const struct config_limits *limits, const struct config_limit *entry)
{
    for (uint32_t n = 0; n < limits->count; n++) {
        if (covers(limits->list[n].database, entry->database) &&
            covers(limits->list[n].user, entry->user))
            return &limits->list[n];
    }
    return NULL;
}

static void
add(struct config_limits *limits, const struct config_limit *entry, struct arena *arena)
{
    if (limits->list == NULL)
        limits->list = arena_alloc(arena, CONFIG_LIMITS_MAX * sizeof(*limits->list));
    limits->list[limits->count++] = *entry;
}

void
config_limits_parse(const struct limits_source *source, struct arena *arena,
                    struct config_limits *limits_r, struct config_report *report)
{
    const char *end = source->text + source->len;
    struct place place = {source->name, 0};
    struct err err;

    *limits_r = (struct config_limits){NULL, 0};
    for (const char *next, *at = source->text; at < end && !report_full(report); at = next) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        struct line l = {at, newline != NULL ? newline : end};
        struct config_limit entry = {.line = ++place.line};
        const struct config_limit *shadow;

        next = newline != NULL ? newline + 1 : end;
        if (l.end > l.at && l.end[-1] == '\r')
            l.end--;
        if (is_at_end(&l))
            continue;
        if (read_entry(&l, arena, &entry, &err) != 0) {
            report_add(report, CONFIG_FAULT, place, err.hint, "%s", err.message);
            continue;
        }
        shadow = find_shadow(limits_r, &entry);
        if (shadow != NULL) {
            report_add(report, CONFIG_WARNING, place, "the first entry that matches counts",
                       "entry has no effect: that of line %u matches before it", shadow->line);
            continue;
        }
        if (limits_r->count == CONFIG_LIMITS_MAX) {
            report_add(report, CONFIG_FAULT, place, NULL, "there are more than %d entries",
                       CONFIG_LIMITS_MAX);
            return;
        }
        entry.group = entry.max_connections > 0 ? limits_r->count + 1 : 0;
        add(limits_r, &entry, arena);
    }
}

void
limits_load(struct config *cfg, struct config_report *report)
{
    struct limits_source source = {.name = cfg->pool_limits};
    char *text;
    struct err err;

    if (cfg->pool_limits[0] == '\0' || !source_exists(cfg->pool_limits))
        return;
    if (source_read(cfg->pool_limits, &text, &source.len, &err) != 0) {
        report_add(report, CONFIG_FAULT, (struct place){NULL, 0}, err.hint, "%s", err.message);
        return;
    }
    source.name = arena_strdup(&report->arena, cfg->pool_limits);
    source.text = text;
    config_limits_parse(&source, &cfg->arena, &cfg->limits, report);
    free(text);
}

/* ---- the canonical text ---- */

static void
print_name(const char *name, struct buf *out)
{
    if (name == NULL) {
        buf_add_str(out, " *");
        return;
    }
    buf_add_str(out, " \"");
    for (const char *p = name; *p != '\0'; p++) {
        if (*p == '"')
            buf_add_u8(out, '"');
        buf_add_u8(out, (uint8_t)*p);
    }
    buf_add_u8(out, '"');
}

void
limits_print(const struct config_limit *entry, struct buf *out)
{
    enum config_pool_mode mode = (enum config_pool_mode)entry->pool_mode;

    buf_printf(out, "%u", entry->group);
    print_name(entry->database, out);
    print_name(entry->user, out);
    buf_add_u8(out, ' ');
    if (entry->pool_mode < 0)
        buf_add_u8(out, '-');
    else
        value_print(&option_table[OPTION_ID_GLOBAL_pool_mode], &mode, out);
    buf_printf(out, " %u", entry->max_connections);
    if (entry->cache >= 0)
        buf_add_str(out, entry->cache > 0 ? " cache=on" : " cache=off");
    if (entry->log_min_duration_ms != CONFIG_LIMIT_NO_LOGGING)
        buf_printf(out, " log_min_duration_statement=%" PRId64, entry->log_min_duration_ms);
}

/* The number in front, which must be right. */
static int
take_group(struct line *l, uint32_t *group_r, struct err *err)
{
    struct word w;

    if (read_word(l, &w, err) != 0)
        return -1;
    if (w.quoted || !num_parse_u32(w.text, group_r) || *group_r >= CONFIG_GROUPS_MAX)
        return err_set(err, "F0000", "no number of a group");
    return 0;
}

static bool
is_used(const struct config_limits *limits, uint32_t group)
{
    for (uint32_t n = 0; n < limits->count; n++) {
        if (limits->list[n].group == group)
            return true;
    }
    return false;
}

int
limits_take_printed(struct config *cfg, const char *text, struct err *err)
{
    struct line l = {text, text + strlen(text)};
    struct config_limit entry = {0};

    if (check_bytes(&l, err) != 0 || take_group(&l, &entry.group, err) != 0 ||
        read_entry(&l, &cfg->arena, &entry, err) != 0)
        return -1;
    if ((entry.group > 0) != (entry.max_connections > 0) ||
        (entry.group > 0 && is_used(&cfg->limits, entry.group)))
        return err_set(err, "F0000", "wrong number of a group");
    if (find_shadow(&cfg->limits, &entry) != NULL || cfg->limits.count == CONFIG_LIMITS_MAX)
        return err_set(err, "F0000", "one entry too many");
    add(&cfg->limits, &entry, &cfg->arena);
    return 0;
}

/* ---- reload ---- */

static bool
same_name(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static uint32_t
group_of_same(const struct config_limits *limits, const struct config_limit *entry)
{
    for (uint32_t n = 0; n < limits->count; n++) {
        if (same_name(limits->list[n].database, entry->database) &&
            same_name(limits->list[n].user, entry->user))
            return limits->list[n].group;
    }
    return 0;
}

void
limits_keep_groups(const struct config_limits *old, struct config_limits *next)
{
    bool used[CONFIG_GROUPS_MAX] = {true};
    uint32_t free_group = 0;

    for (uint32_t n = 0; n < old->count; n++)
        used[old->list[n].group] = true;
    for (uint32_t n = 0; n < next->count; n++) {
        struct config_limit *entry = &next->list[n];
        if (entry->max_connections > 0)
            entry->group = group_of_same(old, entry);
    }
    /* what is no entry's now may still be counted by a child that has the old ones */
    for (uint32_t n = 0; n < next->count; n++) {
        struct config_limit *entry = &next->list[n];
        if (entry->max_connections == 0 || entry->group > 0)
            continue;
        while (used[free_group])
            free_group++;
        entry->group = free_group;
        used[free_group] = true;
    }
}

/*
 * What `pgpool migrate` writes: settings, and comments that say what has become of an old one.
 *
 * No text of an old file may end its comment: control characters go, and secrets are not repeated
 * in comments.
 */
#include "config/load.h"
#include "config/migrate_parts.h"
#include "config/value.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { COMMENT_MAX = 2000 };

void
migrate_comment(struct buf *out, const char *fmt, ...)
{
    char text[COMMENT_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    for (char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    }
    value_comment(text, out);
}

static bool
is_secret(const char *name)
{
    struct option_ref ref;

    if (option_find(name, &ref) == OPTION_FOUND)
        return ref.option->type == OPTION_TYPE_SECRET;
    return strcasestr(name, "password") != NULL || strcasestr(name, "authkey") != NULL;
}

void
migrate_was(struct buf *out, const char *name, const char *value)
{
    buf_add_str(out, "# was: ");
    for (const char *p = name; *p != '\0'; p++)
        buf_add_u8(out, (unsigned char)*p < ' ' || *p == 0x7f ? '?' : (uint8_t)*p);
    buf_add_str(out, " = ");
    value_quote(is_secret(name) && value[0] != '\0' ? "****" : value, out);
    buf_add_u8(out, '\n');
}

/* Reads the text as the option's value; the field is in the arena of the configuration, whose
 * paths stay relative. */
static const void *
parse(const struct option *option, const char *text, struct config *cfg, struct err *err)
{
    const struct value_home nowhere = {&cfg->arena, NULL};
    void *field = option_field(option, cfg, option_has_global(option) ? OPTION_ALL_NODES : 0);

    return value_parse(option, text, &nowhere, field, err) == 0 ? field : NULL;
}

bool
migrate_setting(struct buf *out, const struct option *option, int node_id, const char *value)
{
    struct config *cfg = config_new("", NULL);
    char name[OPTION_NAME_MAX];
    struct buf text = BUF_EMPTY;
    struct err err;
    const void *field = parse(option, value, cfg, &err);

    option_full_name(option, node_id, name);
    if (field == NULL) {
        migrate_was(out, name, value);
        migrate_comment(out, "The value %s%s%s: it is not taken.", err.message,
                        err.hint[0] != '\0' ? "; right is: " : "", err.hint);
    } else {
        value_print(option, field, &text);
        buf_printf(out, "%s = ", name);
        if (value_is_text(option))
            value_quote(buf_cstr(&text), out);
        else
            buf_add(out, text.data, text.len);
        buf_add_u8(out, '\n');
    }
    buf_free(&text);
    config_free(cfg);
    return field != NULL;
}

bool
migrate_same(const struct option *option, const char *a, const char *b)
{
    struct config *one = config_new("", NULL);
    struct config *other = config_new("", NULL);
    struct err err;
    const void *x = parse(option, a, one, &err);
    const void *y = parse(option, b, other, &err);
    bool same = x != NULL && y != NULL && value_equal(option, x, y);

    config_free(one);
    config_free(other);
    return same;
}

bool
migrate_is_preset(const struct option *option, const char *text)
{
    return migrate_same(option, text, option->preset);
}

void
migrate_title(struct migrate_group *group, struct buf *out)
{
    if (group->title != NULL)
        buf_printf(out, "\n#---- %s ----\n\n", group->title);
    group->title = NULL;
}

void
migrate_add_name(struct buf *names, const char *name)
{
    buf_printf(names, "%s%s", names->len > 0 ? ", " : "", name);
}

void
migrate_names(struct buf *out, const char *text, struct buf *names)
{
    struct buf all = BUF_EMPTY;

    if (names->len == 0)
        return;
    buf_printf(&all, "%s: %s", text, buf_cstr(names));
    buf_add_u8(out, '\n');
    value_comment(buf_cstr(&all), out);
    buf_free(&all);
}

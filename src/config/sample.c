/*
 * The sample file and the manual page, printed from the option table. Both are kept in the tree
 * and compared with what this prints by the unit tests, so neither can drift from the code.
 */
#include "config/option.h"
#include "config/value.h"

#include <string.h>

static const char *const sample_head[] = {
    "pgpool.conf: the configuration of pgpool. This sample is printed from the",
    "program's own table; every line shows the default.",
    "",
    "A line reads: name = value. A # begins a comment. Texts stand in single quotes.",
    "Durations take the units us, ms, s, min, h and d, sizes B, kB, MB, GB and TB; a",
    "number without a unit counts in the unit that is named with the option. A name",
    "that ends in a number belongs to the node (or pgpool, or path) of that number,",
    "0 to 127. `include 'file'`, `include_if_exists 'file'` and `include_dir 'dir'`",
    "take in other files; the last setting of a name counts.",
    "",
    "`pgpool configtest` checks a file; `pgpool reload` applies it, but for what",
    "requires a restart.",
};

static void
print_preset(const struct option *option, struct buf *out)
{
    if (!value_is_text(option)) {
        buf_add_str(out, option->preset);
        return;
    }
    buf_add_u8(out, '\'');
    for (const char *p = option->preset; *p != '\0'; p++)
        buf_printf(out, *p == '\'' || *p == '\\' ? "%c%c" : "%c", *p, *p);
    buf_add_u8(out, '\'');
}

static const char *
unit_name(const struct option *option)
{
    static const char *const names[] = {
        [OPTION_UNIT_NONE] = "",     [OPTION_UNIT_MS] = "milliseconds",
        [OPTION_UNIT_S] = "seconds", [OPTION_UNIT_MIN] = "minutes",
        [OPTION_UNIT_B] = "bytes",   [OPTION_UNIT_KB] = "kB",
    };

    return names[option->unit];
}

/* What may stand there, what a change takes, and whether it works: one sentence each. */
static void
print_rules(const struct option *option, struct buf *out)
{
    struct buf range = BUF_EMPTY;

    value_print_range(option, &range);
    if (range.len > 0 && option->type != OPTION_TYPE_BOOL)
        buf_printf(out, "Value: %s. ", buf_cstr(&range));
    buf_free(&range);
    if (option->unit != OPTION_UNIT_NONE)
        buf_printf(out, "Without a unit: %s. ", unit_name(option));
    if (option->scope == OPTION_SCOPE_HEALTH)
        buf_printf(out, "For one node: %s0 and so on. ", option->name);
    if (option->context == OPTION_CONTEXT_STARTUP)
        buf_add_str(out, "A change requires a restart. ");
    if (option->context == OPTION_CONTEXT_SESSION)
        buf_add_str(out, "A session can set its own. ");
    if (option->state == OPTION_STATE_LATER)
        buf_add_str(out, "Not built yet: accepted without effect. ");
}

static int
sample_node(const struct option *option)
{
    return option_has_global(option) ? OPTION_ALL_NODES : 0;
}

void
config_print_sample(struct buf *out)
{
    for (size_t n = 0; n < ARRAY_LEN(sample_head); n++)
        buf_printf(out, "#%s%s\n", sample_head[n][0] != '\0' ? " " : "", sample_head[n]);
    for (size_t n = 0; n < OPTION_COUNT; n++) {
        const struct option *option = &option_table[n];
        const char *title = option_group_title((enum option_id)n);
        char name[OPTION_NAME_MAX];
        struct buf rules = BUF_EMPTY;

        if (title != NULL)
            buf_printf(out, "\n\n#---- %s ----\n", title);
        if (option->state == OPTION_STATE_IGNORED)
            continue;
        buf_add_u8(out, '\n');
        value_comment(option->description, out);
        print_rules(option, &rules);
        if (rules.len > 0)
            value_comment(buf_cstr(&rules), out);
        buf_printf(out, "#%s = ", option_full_name(option, sample_node(option), name));
        print_preset(option, out);
        buf_add_u8(out, '\n');
        buf_free(&rules);
    }
}

static const char man_head[] =
    ".TH PGPOOL.CONF 5 \"\" \"pgpool\" \"File formats\"\n"
    ".SH NAME\n"
    "pgpool.conf \\- configuration of pgpool\n"
    ".SH DESCRIPTION\n"
    "The file holds one setting per line:\n"
    ".RS\n"
    ".PP\n"
    ".IR name \" = \" value\n"
    ".RE\n"
    ".PP\n"
    "The equals sign may be left out. A # begins a comment. The case of letters in a name does\n"
    "not count, and the last setting of a name does.\n"
    ".PP\n"
    "A value that is more than one plain word stands in single quotes; a quote inside is written\n"
    "twice, and a backslash begins an escape as in PostgreSQL. Truth values are on, off, true,\n"
    "false, yes, no, 1, 0, or an unambiguous beginning of these. Durations take the units us, ms,\n"
    "s, min, h and d, sizes B, kB, MB, GB and TB; a number without a unit counts in the unit that\n"
    "is named below. In a list, a backslash in front of a separator makes it part of the text.\n"
    ".PP\n"
    "A name that ends in\n"
    ".I N\n"
    "is written with the number of a node (0 to 127).\n"
    "Relative paths belong to the directory of the configuration file.\n"
    ".PP\n"
    ".BI include \" 'file'\" ,\n"
    ".BI include_if_exists \" 'file'\"\n"
    "and\n"
    ".BI include_dir \" 'directory'\"\n"
    "take in other files, the last one all files whose names end in .conf, sorted by name.\n"
    ".PP\n"
    ".B pgpool configtest\n"
    "checks the file and shows every fault with its line.\n"
    ".B pgpool reload\n"
    "applies it, but for settings that require a restart; a file with a fault changes nothing.\n"
    "Nodes can be added by a reload, but not be removed or moved to another host or port.\n";

static const char man_tail[] = ".SH SEE ALSO\n"
                               ".BR pgpool (8)\n";

/* Text as troff shows it literally. */
static void
print_troff(const char *text, struct buf *out)
{
    if (*text == '.' || *text == '\'')
        buf_add_str(out, "\\&");
    for (; *text != '\0'; text++) {
        if (*text == '\\')
            buf_add_str(out, "\\e");
        else if (*text == '-')
            buf_add_str(out, "\\-");
        else
            buf_add_u8(out, (uint8_t)*text);
    }
}

static void
print_man_entry(const struct option *option, struct buf *out)
{
    struct buf text = BUF_EMPTY;

    buf_printf(out, ".TP\n.B %s", option->name);
    if (!option_has_global(option))
        buf_add_str(out, "\\fIN\\fB");
    buf_add_str(out, "\\fR = ");
    print_preset(option, &text);
    print_troff(buf_cstr(&text), out);
    buf_add_u8(out, '\n');
    print_troff(option->description, out);
    buf_add_u8(out, '\n');
    buf_clear(&text);
    print_rules(option, &text);
    if (text.len > 0) {
        text.len--; /* the blank behind the last sentence */
        print_troff(buf_cstr(&text), out);
        buf_add_u8(out, '\n');
    }
    buf_free(&text);
}

void
config_print_man(struct buf *out)
{
    buf_add_str(out, man_head);
    for (size_t n = 0; n < OPTION_COUNT; n++) {
        const char *title = option_group_title((enum option_id)n);

        if (title != NULL)
            buf_printf(out, ".SH %s\n", title);
        if (option_table[n].state != OPTION_STATE_IGNORED)
            print_man_entry(&option_table[n], out);
    }
    buf_add_str(out, man_tail);
}

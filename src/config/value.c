/*
 * Values of options, by type. Fields are reached through untyped pointers here and nowhere else;
 * that each has the type of its row is sure because both come from the same row of the table.
 */
#include "config/value.h"

#include "base/str.h"

#include <limits.h>
#include <string.h>

static const struct option_word booleans[] = {
    {"on", 1, false}, {"off", 0, false}, {"true", 1, true}, {"false", 0, true}, {"yes", 1, true},
    {"no", 0, true},  {"1", 1, true},    {"0", 0, true},    {NULL, 0, false},
};

/* The blanks round a word do not count. */
struct word {
    const char *text;
    size_t len;
};

static struct word
trim(const char *text, size_t len)
{
    struct word word = {text, len};

    while (word.len > 0 && strchr(" \t\n\r\f\v", word.text[0]) != NULL) {
        word.text++;
        word.len--;
    }
    while (word.len > 0 && strchr(" \t\n\r\f\v", word.text[word.len - 1]) != NULL)
        word.len--;
    return word;
}

/* A beginning that only one truth value has is enough, as in PostgreSQL: "t", "of". */
static int
parse_bool(const char *text, bool *value_r, struct err *err)
{
    struct word word = trim(text, strlen(text));
    bool can_be[2] = {false, false};

    for (const struct option_word *known = booleans; known->word != NULL && word.len > 0; known++) {
        if (word.len <= strlen(known->word) && str_equal_nocase_n(word.text, known->word, word.len))
            can_be[known->value] = true;
    }
    if (can_be[0] == can_be[1]) {
        err_set(err, "22023", "is not a truth value");
        err_hint(err, "on or off");
        return -1;
    }
    *value_r = can_be[1];
    return 0;
}

static const struct option_word *
find_word(const struct option *option, struct word word)
{
    for (const struct option_word *known = option->words; known->word != NULL; known++) {
        if (strlen(known->word) == word.len && str_equal_nocase_n(word.text, known->word, word.len))
            return known;
    }
    return NULL;
}

static int
unknown_word(const struct option *option, struct err *err)
{
    struct buf words = BUF_EMPTY;

    value_print_range(option, &words);
    err_set(err, "22023", "is none of its values");
    err_hint(err, "%s", buf_cstr(&words));
    buf_free(&words);
    return -1;
}

static int
parse_enum(const struct option *option, const char *text, int *value_r, struct err *err)
{
    const struct option_word *word = find_word(option, trim(text, strlen(text)));

    if (word == NULL)
        return unknown_word(option, err);
    *value_r = word->value;
    return 0;
}

static int
parse_flags(const struct option *option, const char *text, unsigned *value_r, struct err *err)
{
    unsigned value = 0;

    for (;;) {
        size_t len = strcspn(text, (char[]){option->separator, '\0'});
        const struct option_word *word = find_word(option, trim(text, len));

        if (word == NULL)
            return unknown_word(option, err);
        value |= (unsigned)word->value;
        if (text[len] == '\0')
            break;
        text += len + 1;
    }
    *value_r = value;
    return 0;
}

static void
print_flags(const struct option *option, unsigned value, struct buf *out)
{
    const char *between = "";
    const char separator[] = {option->separator, '\0'};

    for (const struct option_word *word = option->words; word->word != NULL; word++) {
        if (word->also || (value & (unsigned)word->value) == 0)
            continue;
        buf_printf(out, "%s%s", between, word->word);
        between = separator;
    }
}

static int
parse_path(const char *text, const struct value_home *home, const char **value_r, struct err *err)
{
    bool relative = text[0] != '\0' && text[0] != '/' && home->directory != NULL;
    size_t len = strlen(text) + (relative ? strlen(home->directory) + 1 : 0);

    if (len >= PATH_MAX)
        return err_set(err, "22023", "is longer than a path can be (%d bytes)", PATH_MAX - 1);
    *value_r = relative ? arena_printf(home->arena, "%s/%s", home->directory, text)
                        : arena_strdup(home->arena, text);
    return 0;
}

/* Printing a list can make it a little longer than it was written. */
static size_t
longest(const struct option *option)
{
    bool list = option->type == OPTION_TYPE_LIST || option->type == OPTION_TYPE_REGEXES;

    return list ? VALUE_MAX / 2 : VALUE_MAX;
}

int
value_parse(const struct option *option, const char *text, const struct value_home *home,
            void *field, struct err *err)
{
    if (strlen(text) > longest(option))
        return err_set(err, "22023", "is longer than %zu bytes", longest(option));
    switch (option->type) {
    case OPTION_TYPE_BOOL:
        return parse_bool(text, field, err);
    case OPTION_TYPE_STRING:
    case OPTION_TYPE_SECRET:
        *(const char **)field = arena_strdup(home->arena, text);
        return 0;
    case OPTION_TYPE_PATH:
        return parse_path(text, home, field, err);
    case OPTION_TYPE_ENUM:
        return parse_enum(option, text, field, err);
    case OPTION_TYPE_FLAGS:
        return parse_flags(option, text, field, err);
    case OPTION_TYPE_LIST:
    case OPTION_TYPE_REGEXES:
        return list_parse(option, text, home->arena, field, err);
    default:
        return number_parse(option, text, field, err);
    }
}

static const char *
enum_name(const struct option *option, int value)
{
    const struct option_word *word = option->words;

    while (word->value != value || word->also)
        word++;
    return word->word;
}

void
value_print(const struct option *option, const void *field, struct buf *out)
{
    switch (option->type) {
    case OPTION_TYPE_BOOL:
        buf_add_str(out, *(const bool *)field ? "on" : "off");
        break;
    case OPTION_TYPE_STRING:
    case OPTION_TYPE_SECRET:
    case OPTION_TYPE_PATH:
        buf_add_str(out, *(const char *const *)field);
        break;
    case OPTION_TYPE_ENUM:
        buf_add_str(out, enum_name(option, *(const int *)field));
        break;
    case OPTION_TYPE_FLAGS:
        print_flags(option, *(const unsigned *)field, out);
        break;
    case OPTION_TYPE_LIST:
    case OPTION_TYPE_REGEXES:
        list_print(option, field, out);
        break;
    default:
        number_print(option, field, out);
        break;
    }
}

bool
value_is_text(const struct option *option)
{
    switch (option->type) {
    case OPTION_TYPE_STRING:
    case OPTION_TYPE_SECRET:
    case OPTION_TYPE_PATH:
    case OPTION_TYPE_FLAGS:
    case OPTION_TYPE_LIST:
    case OPTION_TYPE_REGEXES:
        return true;
    default:
        return false;
    }
}

bool
value_equal(const struct option *option, const void *a, const void *b)
{
    switch (option->type) {
    case OPTION_TYPE_BOOL:
        return *(const bool *)a == *(const bool *)b;
    case OPTION_TYPE_INT:
    case OPTION_TYPE_MODE:
    case OPTION_TYPE_ENUM:
    case OPTION_TYPE_FLAGS:
        return *(const int *)a == *(const int *)b;
    case OPTION_TYPE_DOUBLE:
        return *(const double *)a == *(const double *)b;
    case OPTION_TYPE_TIME:
    case OPTION_TYPE_SIZE:
        return *(const int64_t *)a == *(const int64_t *)b;
    case OPTION_TYPE_STRING:
    case OPTION_TYPE_SECRET:
    case OPTION_TYPE_PATH:
        return strcmp(*(const char *const *)a, *(const char *const *)b) == 0;
    case OPTION_TYPE_LIST:
    case OPTION_TYPE_REGEXES:
        return list_equal(a, b);
    }
    return false;
}

void
value_copy(const struct option *option, void *dst, const void *src, struct arena *arena)
{
    switch (option->type) {
    case OPTION_TYPE_BOOL:
        *(bool *)dst = *(const bool *)src;
        break;
    case OPTION_TYPE_INT:
    case OPTION_TYPE_MODE:
    case OPTION_TYPE_ENUM:
    case OPTION_TYPE_FLAGS:
        *(int *)dst = *(const int *)src;
        break;
    case OPTION_TYPE_DOUBLE:
        *(double *)dst = *(const double *)src;
        break;
    case OPTION_TYPE_TIME:
    case OPTION_TYPE_SIZE:
        *(int64_t *)dst = *(const int64_t *)src;
        break;
    case OPTION_TYPE_STRING:
    case OPTION_TYPE_SECRET:
    case OPTION_TYPE_PATH:
        *(const char **)dst = arena_strdup(arena, *(const char *const *)src);
        break;
    case OPTION_TYPE_LIST:
    case OPTION_TYPE_REGEXES:
        list_copy(dst, src, arena);
        break;
    }
}

static void
print_words(const struct option *option, struct buf *out)
{
    size_t left = 0;

    for (const struct option_word *word = option->words; word->word != NULL; word++)
        left += !word->also;
    for (const struct option_word *word = option->words; word->word != NULL; word++) {
        if (word->also)
            continue;
        left--;
        buf_printf(out, "%s%s", word->word, left == 0 ? "" : left == 1 ? " or " : ", ");
    }
}

void
value_print_range(const struct option *option, struct buf *out)
{
    switch (option->type) {
    case OPTION_TYPE_BOOL:
        buf_add_str(out, "on or off");
        break;
    case OPTION_TYPE_ENUM:
        print_words(option, out);
        break;
    case OPTION_TYPE_FLAGS:
        print_words(option, out);
        buf_printf(out, ", several separated by \"%c\"", option->separator);
        break;
    case OPTION_TYPE_LIST:
        buf_printf(out, "a list separated by \"%c\"", option->separator);
        break;
    case OPTION_TYPE_REGEXES:
        buf_printf(out, "a list of regular expressions separated by \"%c\"", option->separator);
        break;
    case OPTION_TYPE_STRING:
    case OPTION_TYPE_SECRET:
    case OPTION_TYPE_PATH:
        break;
    default:
        number_print_range(option, out);
        break;
    }
}

void
value_quote_short(const char *text, struct buf *out)
{
    enum { SHOWN_MAX = 60 };
    size_t len = strlen(text);

    buf_add_u8(out, '"');
    for (size_t n = 0; n < MIN(len, (size_t)SHOWN_MAX); n++)
        buf_add_u8(out, (uint8_t)text[n] < ' ' || text[n] == 0x7f ? '?' : (uint8_t)text[n]);
    buf_add_str(out, len > SHOWN_MAX ? "...\"" : "\"");
}

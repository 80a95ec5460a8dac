/*
 * Lists of texts, and regular expressions.
 *
 * A list is split at its separator, blanks round each text are dropped, empty texts are none. A
 * backslash in front of a separator makes it part of the text; all other backslashes stay as they
 * are, so that regular expressions keep theirs.
 *
 * regcomp takes time and memory that grow with the product of all repetition counts, and stack
 * with the depth of parentheses: patterns that would cost too much are refused before it sees them.
 */
#include "base/num.h"
#include "config/value.h"

#include <regex.h>
#include <string.h>

enum { REGEX_COST_MAX = 200000, REGEX_DEPTH_MAX = 50 };

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

/* The end of the text that starts here: its separator, or the end of the value. */
static const char *
end_of_item(const char *p, char separator)
{
    while (*p != '\0' && *p != separator) {
        if (p[0] == '\\' && p[1] == separator)
            p++;
        p++;
    }
    return p;
}

/* A copy without the backslashes that kept separators. */
static const char *
copy_item(const char *start, const char *end, char separator, struct arena *arena)
{
    char *copy = arena_alloc(arena, (size_t)(end - start) + 1);
    size_t len = 0;

    for (const char *p = start; p < end; p++) {
        if (p[0] == '\\' && p + 1 < end && p[1] == separator)
            p++;
        copy[len++] = *p;
    }
    copy[len] = '\0';
    return copy;
}

int
list_parse(const struct option *option, const char *text, struct arena *arena,
           struct config_list *list_r, struct err *err)
{
    const char *items[VALUE_LIST_MAX];
    const char **kept;
    uint32_t count = 0;

    for (const char *p = text;; p++) {
        const char *end = end_of_item(p, option->separator);
        const char *next = end;

        while (p < end && is_blank(*p))
            p++;
        while (end > p && is_blank(end[-1]))
            end--;
        if (p < end) {
            if (count == VALUE_LIST_MAX)
                return err_set(err, "22023", "has more than %d texts", VALUE_LIST_MAX);
            items[count] = copy_item(p, end, option->separator, arena);
            if (option->type == OPTION_TYPE_REGEXES && regex_check(items[count], err) != 0)
                return -1;
            count++;
        }
        p = next;
        if (*p == '\0')
            break;
    }
    kept = arena_alloc(arena, sizeof(*kept) * MAX(count, 1U));
    if (count > 0)
        memcpy(kept, items, sizeof(*kept) * count);
    *list_r = (struct config_list){.items = kept, .count = count};
    return 0;
}

void
list_print(const struct option *option, const struct config_list *list, struct buf *out)
{
    for (uint32_t n = 0; n < list->count; n++) {
        const char *item = list->items[n];

        if (n > 0)
            buf_printf(out, "%c ", option->separator);
        for (const char *p = item; *p != '\0'; p++) {
            if (*p == option->separator)
                buf_add_u8(out, '\\');
            buf_add_u8(out, (uint8_t)*p);
        }
        /* A backslash right before our separator would take it in. */
        if (n + 1 < list->count && item[strlen(item) - 1] == '\\')
            buf_add_u8(out, ' ');
    }
}

bool
list_equal(const struct config_list *a, const struct config_list *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t n = 0; n < a->count; n++) {
        if (strcmp(a->items[n], b->items[n]) != 0)
            return false;
    }
    return true;
}

void
list_copy(struct config_list *dst, const struct config_list *src, struct arena *arena)
{
    const char **items = arena_alloc(arena, sizeof(*items) * MAX(src->count, 1U));

    for (uint32_t n = 0; n < src->count; n++)
        items[n] = arena_strdup(arena, src->items[n]);
    *dst = (struct config_list){.items = items, .count = src->count};
}

/* What {n} or {n,m} at p multiplies by; *p moves to the closing brace. */
static uint32_t
repetitions(const char **p)
{
    uint32_t largest = 1;
    uint32_t now = 0;

    for ((*p)++; **p != '\0' && **p != '}'; (*p)++) {
        if (**p >= '0' && **p <= '9')
            now = MIN(now * 10 + (uint32_t)(**p - '0'), (uint32_t)REGEX_COST_MAX);
        else
            now = 0;
        largest = MAX(largest, now);
    }
    if (**p == '\0')
        (*p)--;
    return largest;
}

static int
regex_cost(const char *pattern, struct err *err)
{
    uint64_t cost = strlen(pattern);
    int depth = 0;
    int deepest = 0;

    if (cost > VALUE_REGEX_MAX)
        return err_set(err, "2201B", "has a regular expression of more than %d bytes",
                       VALUE_REGEX_MAX);
    for (const char *p = pattern; *p != '\0'; p++) {
        if (*p == '(')
            deepest = MAX(deepest, ++depth);
        else if (*p == ')')
            depth--;
        else if (*p == '{')
            cost *= repetitions(&p);
        if (cost > REGEX_COST_MAX || deepest > REGEX_DEPTH_MAX) {
            err_set(err, "2201B", "has a regular expression that is too complex");
            err_hint(err, "use smaller repetition counts and fewer parentheses");
            return -1;
        }
    }
    return 0;
}

int
regex_check(const char *pattern, struct err *err)
{
    regex_t compiled;
    char why[128];
    int rc;

    if (regex_cost(pattern, err) != 0)
        return -1;
    rc = regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB);
    if (rc == 0) {
        regfree(&compiled);
        return 0;
    }
    regerror(rc, NULL, why, sizeof(why));
    err_set(err, "2201B", "has a faulty regular expression: %s", why);
    err_hint(err, "the expression is \"%.100s\"", pattern);
    return -1;
}

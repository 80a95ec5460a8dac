/*
 * Lists of regular expressions; compiled by whoever asks them, from patterns that were checked when
 * the file was read.
 */
#include "config/regexes.h"

#include "base/arena.h"
#include "base/buf.h"

#include <stdlib.h>

int
regexes_compile_one(regex_t *re, const char *pattern, bool whole, bool match_case, struct err *err)
{
    int flags = REG_EXTENDED | REG_NOSUB | (match_case ? 0 : REG_ICASE);
    struct buf text = BUF_EMPTY;
    char words[128];
    int rc;

    buf_printf(&text, whole ? "^(%s)$" : "%s", pattern);
    rc = regcomp(re, buf_cstr(&text), flags);
    buf_free(&text);
    if (rc == 0)
        return 0;
    regerror(rc, re, words, sizeof(words));
    return err_set(err, "2201B", "invalid regular expression \"%s\": %s", pattern, words);
}

int
regexes_compile(struct regexes *r, const struct config_list *list, bool whole, struct err *err)
{
    r->list = xcalloc(MAX(list->count, 1u), sizeof(*r->list));
    for (uint32_t n = 0; n < list->count; n++) {
        if (regexes_compile_one(&r->list[n], list->items[n], whole, false, err) != 0)
            return -1;
        r->count++;
    }
    return 0;
}

void
regexes_free(struct regexes *r)
{
    for (uint32_t n = 0; n < r->count; n++)
        regfree(&r->list[n]);
    free(r->list);
    *r = (struct regexes){NULL, 0};
}

bool
regexes_match(const struct regexes *r, const char *text, size_t len)
{
    regmatch_t whole = {.rm_so = 0, .rm_eo = (regoff_t)len};

    for (uint32_t n = 0; n < r->count; n++) {
        regmatch_t range = whole;
        if (regexec(&r->list[n], text, 1, &range, REG_STARTEND) == 0)
            return true;
    }
    return false;
}

/*
 * A list of regular expressions out of the configuration, compiled once for each generation.
 */
#ifndef CONFIG_REGEXES_H
#define CONFIG_REGEXES_H

#include "base/err.h"
#include "config/config.h"

#include <regex.h>
#include <stdbool.h>

/* All zeroes is an empty one. */
struct regexes {
    regex_t *list;
    uint32_t count;
};

/* One pattern, extended. whole: it must match all of a text, else any part of it; case counts with
 * match_case. -1 with err (2201B). Free with regfree. */
int regexes_compile_one(regex_t *re, const char *pattern, bool whole, bool match_case,
                        struct err *err);

/* All of a list, in either case of letters. -1 with err (2201B): what was compiled is to be freed
 * all the same. */
int regexes_compile(struct regexes *r, const struct config_list *list, bool whole, struct err *err);
void regexes_free(struct regexes *r);

/* Does one of them match? The text need not end in NUL. */
bool regexes_match(const struct regexes *r, const char *text, size_t len);

#endif

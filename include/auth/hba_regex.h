/*
 * Regular expressions in pool_hba.conf and pool_ident.conf: PostgreSQL's form of them (chapter
 * "POSIX Regular Expressions"), as far as the C library's matcher can do the same. What it cannot
 * (back references, non-greedy quantifiers, (?...), look-around) is an error, never something else.
 * One character is one byte: "." does not match a whole letter of UTF-8 beyond ASCII.
 */
#ifndef AUTH_HBA_REGEX_H
#define AUTH_HBA_REGEX_H

#include "base/buf.h"
#include "base/err.h"

#include <regex.h>
#include <stdbool.h>

enum { HBA_REGEX_DEPTH_MAX = 50, HBA_REGEX_COST_MAX = 10000 };

struct hba_regex {
    regex_t re;
    uint32_t groups; /* how many parentheses it has */
};

/* -1 with err (2201B): no such expression, one that we do not do, or one of unreasonable cost.
 * Free with hba_regex_fini when it was made. */
int hba_regex_init(struct hba_regex *r, const char *pattern, struct err *err);
void hba_regex_fini(struct hba_regex *r);

/* 1: it matches some part of the text, 0: it does not, -1: it cannot be told (no memory).
 * group_r may be NULL; else, when it matches, gets what the first parentheses matched, or nothing.
 */
int hba_regex_match(const struct hba_regex *r, const char *text, struct buf *group_r);

#endif

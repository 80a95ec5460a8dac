/*
 * PostgreSQL's regular expressions, put into words of the C library's.
 *
 * Called by hba_line.c and ident.c. The pattern is gone through once: each character is passed on,
 * put differently, or refused, and what the matcher would make of it is counted, for repetitions
 * within repetitions multiply.
 */
#include "auth/hba_regex.h"

#include "base/arena.h"

#include <ctype.h>
#include <string.h>

enum { REPEAT_MAX = 255 };

struct level {
    uint32_t cost; /* of all so far */
    uint32_t last; /* of what a quantifier would repeat; 0: nothing */
};

struct scan {
    const char *at;
    struct buf out;
    unsigned depth;
    struct level levels[HBA_REGEX_DEPTH_MAX + 1];
};

/* A backslash and a letter; in brackets only some have a meaning. */
static const struct {
    char letter;
    bool anchor;
    const char *outside;
    const char *inside; /* NULL: refused */
} escapes[] = {
    {'d', false, "[[:digit:]]", "[:digit:]"},
    {'D', false, "[^[:digit:]]", NULL},
    {'s', false, "[[:space:]]", "[:space:]"},
    {'S', false, "[^[:space:]]", NULL},
    {'w', false, "[[:alnum:]_]", "[:alnum:]_"},
    {'W', false, "[^[:alnum:]_]", NULL},
    {'t', false, "\t", "\t"},
    {'A', true, "^", NULL},
    {'Z', true, "$", NULL},
    {'m', true, "\\<", NULL},
    {'M', true, "\\>", NULL},
    {'y', true, "\\b", NULL},
    {'Y', true, "\\B", NULL},
};

static int
bad(struct err *err, const char *what)
{
    return err_set(err, "2201B", "%s", what);
}

static int
add_cost(struct scan *s, uint32_t cost, bool anchor, struct err *err)
{
    struct level *level = &s->levels[s->depth];

    level->last = anchor ? 0 : cost;
    level->cost += cost;
    return level->cost > HBA_REGEX_COST_MAX ? bad(err, "it is too complex") : 0;
}

static const char *
escape_of(char letter, bool inside, bool *anchor_r)
{
    for (size_t n = 0; n < ARRAY_LEN(escapes); n++) {
        if (escapes[n].letter == letter) {
            *anchor_r = escapes[n].anchor;
            return inside ? escapes[n].inside : escapes[n].outside;
        }
    }
    return NULL;
}

static int
refuse_escape(char letter, struct err *err)
{
    if (letter == '\0')
        return bad(err, "a backslash ends it");
    return err_set(err, "2201B", "\"\\%c\" is not supported", letter);
}

static int
take_escape(struct scan *s, struct err *err)
{
    char letter = s->at[1];
    bool anchor = false;
    const char *words = escape_of(letter, false, &anchor);

    if (words != NULL) {
        buf_add_str(&s->out, words);
    } else if (ispunct((unsigned char)letter)) {
        /* only where it would mean something: the matcher has escapes of its own */
        if (strchr(".[]()*+?{}|^$\\", letter) != NULL)
            buf_add_u8(&s->out, '\\');
        buf_add_u8(&s->out, (uint8_t)letter);
    } else {
        return refuse_escape(letter, err);
    }
    s->at += 2;
    return add_cost(s, 1, anchor, err);
}

/* [: :], [. .] or [= =] */
static int
take_class(struct scan *s, struct err *err)
{
    const char end[] = {s->at[1], ']', '\0'};
    const char *stop = strstr(s->at + 2, end);

    if (stop == NULL)
        return bad(err, "a class in brackets is not closed");
    buf_add(&s->out, s->at, (size_t)(stop + 2 - s->at));
    s->at = stop + 2;
    return 0;
}

static int
take_bracket_escape(struct scan *s, struct err *err)
{
    char letter = s->at[1];
    bool anchor;
    const char *words = escape_of(letter, true, &anchor);

    if (words != NULL) {
        buf_add_str(&s->out, words);
    } else if (ispunct((unsigned char)letter) && strchr("]^-[", letter) == NULL) {
        buf_add_u8(&s->out, (uint8_t)letter);
    } else {
        return refuse_escape(letter, err);
    }
    s->at += 2;
    return 0;
}

static int
take_bracket(struct scan *s, struct err *err)
{
    buf_add_u8(&s->out, (uint8_t)*s->at++);
    if (*s->at == '^')
        buf_add_u8(&s->out, (uint8_t)*s->at++);
    if (*s->at == ']')
        buf_add_u8(&s->out, (uint8_t)*s->at++);
    while (*s->at != ']') {
        if (*s->at == '\0')
            return bad(err, "brackets are not closed");
        if (*s->at == '[' && s->at[1] != '\0' && strchr(":.=", s->at[1]) != NULL) {
            if (take_class(s, err) != 0)
                return -1;
        } else if (*s->at == '\\') {
            if (take_bracket_escape(s, err) != 0)
                return -1;
        } else {
            buf_add_u8(&s->out, (uint8_t)*s->at++);
        }
    }
    buf_add_u8(&s->out, (uint8_t)*s->at++);
    return add_cost(s, 1, false, err);
}

static int
open_group(struct scan *s, struct err *err)
{
    if (s->at[1] == '?')
        return bad(err, "\"(?\" is not supported");
    if (s->depth == HBA_REGEX_DEPTH_MAX)
        return bad(err, "parentheses stand too deep within each other");
    s->levels[++s->depth] = (struct level){0, 0};
    buf_add_u8(&s->out, (uint8_t)*s->at++);
    return 0;
}

static int
close_group(struct scan *s, struct err *err)
{
    uint32_t cost;

    if (s->depth == 0)
        return bad(err, "parentheses are closed that nobody has opened");
    cost = s->levels[s->depth--].cost;
    buf_add_u8(&s->out, (uint8_t)*s->at++);
    return add_cost(s, cost + 1, false, err);
}

static int
take_number(struct scan *s, uint32_t *number_r, struct err *err)
{
    *number_r = 0;
    if (!isdigit((unsigned char)*s->at))
        return bad(err, "a repetition in braces is no {m}, {m,} or {m,n}");
    for (; isdigit((unsigned char)*s->at); s->at++) {
        *number_r = *number_r * 10 + (uint32_t)(*s->at - '0');
        if (*number_r > REPEAT_MAX)
            return err_set(err, "2201B", "it repeats more than %d times", REPEAT_MAX);
        buf_add_u8(&s->out, (uint8_t)*s->at);
    }
    return 0;
}

/* times_r: how often the matcher writes it down. */
static int
take_braces(struct scan *s, uint32_t *times_r, struct err *err)
{
    uint32_t least;

    buf_add_u8(&s->out, (uint8_t)*s->at++);
    if (take_number(s, &least, err) != 0)
        return -1;
    *times_r = least;
    if (*s->at == ',') {
        buf_add_u8(&s->out, (uint8_t)*s->at++);
        if (*s->at == '}')
            *times_r = least + 1;
        else if (take_number(s, times_r, err) != 0)
            return -1;
    }
    if (*s->at != '}' || *times_r < least)
        return bad(err, "a repetition in braces is no {m}, {m,} or {m,n}");
    buf_add_u8(&s->out, (uint8_t)*s->at++);
    return 0;
}

static int
take_quantifier(struct scan *s, struct err *err)
{
    struct level *level = &s->levels[s->depth];
    uint32_t times = *s->at == '+' ? 2 : 1;
    uint32_t last = level->last;

    if (last == 0)
        return bad(err, "a quantifier has nothing to repeat (non-greedy ones are not supported)");
    if (*s->at != '{')
        buf_add_u8(&s->out, (uint8_t)*s->at++);
    else if (take_braces(s, &times, err) != 0)
        return -1;
    level->cost -= last;
    return add_cost(s, last * MAX(times, 1U), true, err);
}

static int
take_one(struct scan *s, struct err *err)
{
    switch (*s->at) {
    case '\\':
        return take_escape(s, err);
    case '[':
        return take_bracket(s, err);
    case '(':
        return open_group(s, err);
    case ')':
        return close_group(s, err);
    case '*':
    case '+':
    case '?':
        return take_quantifier(s, err);
    case '{':
        if (isdigit((unsigned char)s->at[1]))
            return take_quantifier(s, err);
        break;
    case '|':
    case '^':
    case '$':
        buf_add_u8(&s->out, (uint8_t)*s->at++);
        return add_cost(s, 1, true, err);
    default:
        break;
    }
    if (strchr("{}]", *s->at) != NULL)
        buf_add_u8(&s->out, '\\');
    buf_add_u8(&s->out, (uint8_t)*s->at++);
    return add_cost(s, 1, false, err);
}

static int
compile(struct hba_regex *r, struct buf *pattern, struct err *err)
{
    char words[128];
    int rc = regcomp(&r->re, buf_cstr(pattern), REG_EXTENDED);

    if (rc == 0) {
        r->groups = (uint32_t)r->re.re_nsub;
        return 0;
    }
    regerror(rc, &r->re, words, sizeof(words));
    return bad(err, words);
}

int
hba_regex_init(struct hba_regex *r, const char *pattern, struct err *err)
{
    struct scan s = {.at = pattern, .out = BUF_EMPTY};
    int rc = 0;

    if (pattern[0] == '\0')
        return bad(err, "it is empty, and would match anything");
    while (rc == 0 && *s.at != '\0')
        rc = take_one(&s, err);
    if (rc == 0 && s.depth > 0)
        rc = bad(err, "parentheses are not closed");
    if (rc == 0)
        rc = compile(r, &s.out, err);
    buf_free(&s.out);
    return rc;
}

void
hba_regex_fini(struct hba_regex *r)
{
    regfree(&r->re);
}

int
hba_regex_match(const struct hba_regex *r, const char *text, struct buf *group_r)
{
    regmatch_t spans[2] = {{-1, -1}, {-1, -1}};
    int rc = regexec(&r->re, text, group_r != NULL ? 2 : 0, spans, 0);

    if (rc != 0)
        return rc == REG_NOMATCH ? 0 : -1;
    if (group_r != NULL && spans[1].rm_so >= 0)
        buf_add(group_r, text + spans[1].rm_so, (size_t)(spans[1].rm_eo - spans[1].rm_so));
    return 1;
}

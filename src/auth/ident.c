/*
 * Maps of names.
 *
 * Called by logins with cert and peer, and by SHOW. Any line of the map that allows it is enough,
 * so one that depends on roles is asked last.
 */
#include "auth/ident.h"

#include "auth/hba_parts.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

static const char form[] = "A line reads: map system-name role.";

struct ident {
    struct hba_memory memory;
    struct buf lines; /* struct ident_line * */
    uint32_t rules;
    uint32_t references;
    bool faulty;
};

/* ---- loading ---- */

/* What stands for \1, in a role that is a name. */
static const char *
find_reference(const struct hba_name *role)
{
    return role->kind == HBA_NAME_REGEX ? NULL : strstr(role->text, "\\1");
}

static int
check_reference(const struct ident_line *line, struct err *err)
{
    if (line->system->kind != HBA_NAME_REGEX || find_reference(line->role_means) == NULL ||
        line->system->regex->groups > 0)
        return 0;
    err_set(err, "2201B", "the role has \\1, but the regular expression has no parentheses");
    err_hint(err, "\\1 is what the first parentheses have matched.");
    return -1;
}

static const struct hba_token *
single(const struct hba_file_line *text, uint32_t at, struct err *err)
{
    static const char *const what[] = {"map", "system name", "role"};

    if (at >= text->count)
        err_set(err, "F0000", "the line ends before the %s", what[at]);
    else if (text->fields[at].count > 1)
        err_set(err, "F0000", "more than one %s", what[at]);
    else
        return &text->fields[at].tokens[0];
    err_hint(err, "%s", form);
    return NULL;
}

static int
take_system(struct ident *i, const struct hba_token *token, struct hba_name *name, struct err *err)
{
    *name = (struct hba_name){HBA_NAME_PLAIN, token->text, NULL};
    if (token->text[0] != '/')
        return 0;
    name->kind = HBA_NAME_REGEX;
    name->regex = hba_memory_regex(&i->memory, token->text + 1, err);
    return name->regex != NULL ? 0 : -1;
}

static int
parse_line(struct ident *i, const struct hba_file_line *text, struct ident_line *line,
           struct err *err)
{
    struct hba_name *names = arena_calloc(&i->memory.arena, 2 * sizeof(*names));
    const struct hba_token *tokens[3];

    for (uint32_t n = 0; n < ARRAY_LEN(tokens); n++) {
        tokens[n] = single(text, n, err);
        if (tokens[n] == NULL)
            return -1;
    }
    if (text->count > ARRAY_LEN(tokens)) {
        err_set(err, "F0000", "the line goes on behind the role");
        err_hint(err, "%s", form);
        return -1;
    }
    line->map = tokens[0]->text;
    line->system_user = tokens[1]->text;
    line->role = tokens[2]->text;
    line->system = &names[0];
    line->role_means = &names[1];
    if (take_system(i, tokens[1], &names[0], err) != 0 ||
        hba_take_user(&i->memory, tokens[2], &names[1], err) != 0)
        return -1;
    return check_reference(line, err);
}

static void
take_line(void *ctx, const struct hba_file_line *text)
{
    struct ident *i = ctx;
    struct ident_line *line = arena_calloc(&i->memory.arena, sizeof(*line));
    struct err err;

    line->file = text->file;
    line->number = text->number;
    if (text->error != NULL) {
        line->error = text->error;
        line->hint = text->hint;
    } else if (parse_line(i, text, line, &err) != 0) {
        line->error = arena_strdup(&i->memory.arena, err.message);
        if (err.hint[0] != '\0')
            line->hint = arena_strdup(&i->memory.arena, err.hint);
    } else {
        line->rule = ++i->rules;
    }
    i->faulty |= line->error != NULL;
    buf_add(&i->lines, &line, sizeof(line));
}

struct ident *
ident_load(const struct hba_reader *reader, const char *path)
{
    struct ident *i = xcalloc(1, sizeof(*i));
    struct buf text = BUF_EMPTY;
    struct err err;

    i->references = 1;
    hba_memory_init(&i->memory);
    if (reader->read(reader->ctx, path, &text, &err) <= 0)
        hba_file_read(reader, path, &i->memory.arena, take_line, i);
    buf_free(&text);
    return i;
}

struct ident *
ident_ref(struct ident *i)
{
    if (i != NULL)
        i->references++;
    return i;
}

void
ident_unref(struct ident *i)
{
    if (i == NULL || --i->references > 0)
        return;
    buf_free(&i->lines);
    hba_memory_fini(&i->memory);
    free(i);
}

bool
ident_is_good(const struct ident *i)
{
    return !i->faulty;
}

const struct ident_line *
ident_line_at(const struct ident *i, uint32_t n)
{
    const struct ident_line *line;

    if (n >= i->lines.len / sizeof(line))
        return NULL;
    memcpy(&line, i->lines.data + n * sizeof(line), sizeof(line));
    return line;
}

/* ---- mapping ---- */

static bool
is_equal(const char *a, const char *b, bool nocase)
{
    return nocase ? str_equal_nocase(a, b) : strcmp(a, b) == 0;
}

static enum hba_verdict
role_matches(const struct hba_name *means, const struct ident_question *q)
{
    if (means->kind == HBA_NAME_PLAIN)
        return is_equal(means->text, q->role, q->nocase) ? HBA_YES : HBA_NO;
    return hba_user_matches(means, q->role, q->roles);
}

/* The role with what the parentheses have matched in the place of \1: a name, whatever it begins
 * with. */
static enum hba_verdict
filled_in_matches(const char *role, const struct buf *group, const struct ident_question *q)
{
    const char *reference = strstr(role, "\\1");
    struct buf name = BUF_EMPTY;
    bool equal;

    buf_add(&name, role, (size_t)(reference - role));
    buf_add(&name, group->data, group->len);
    buf_add_str(&name, reference + 2);
    equal = is_equal(buf_cstr(&name), q->role, q->nocase);
    buf_free(&name);
    return equal ? HBA_YES : HBA_NO;
}

static enum hba_verdict
line_allows(const struct ident_line *line, const struct ident_question *q)
{
    struct buf group = BUF_EMPTY;
    enum hba_verdict verdict = HBA_NO;
    int rc;

    if (line->system->kind != HBA_NAME_REGEX)
        return is_equal(line->system->text, q->system_user, q->nocase)
                   ? role_matches(line->role_means, q)
                   : HBA_NO;
    rc = hba_regex_match(line->system->regex, q->system_user, &group);
    if (rc > 0)
        verdict = find_reference(line->role_means) != NULL
                      ? filled_in_matches(line->role, &group, q)
                      : role_matches(line->role_means, q);
    buf_free(&group);
    return verdict;
}

enum ident_result
ident_map(const struct ident *i, const struct ident_question *q)
{
    enum ident_result result = IDENT_REFUSED;
    const struct ident_line *line;

    if (q->map == NULL)
        return is_equal(q->system_user, q->role, q->nocase) ? IDENT_ALLOWED : IDENT_REFUSED;
    if (i == NULL || !ident_is_good(i))
        return IDENT_REFUSED;
    for (uint32_t n = 0; (line = ident_line_at(i, n)) != NULL; n++) {
        enum hba_verdict verdict = HBA_NO;

        if (strcmp(line->map, q->map) == 0)
            verdict = line_allows(line, q);
        if (verdict == HBA_YES)
            return IDENT_ALLOWED;
        if (verdict == HBA_ASK_ROLES)
            result = IDENT_NEEDS_ROLES;
    }
    return result;
}

/*
 * JSON as libpg_query writes it. Nothing is checked that a parser's own output cannot get wrong.
 */
#include "json.h"

#include <stdlib.h>
#include <string.h>

struct reader {
    struct arena *a;
    const char *at;
};

static struct json *read_value(struct reader *r);

static void
skip_space(struct reader *r)
{
    r->at += strspn(r->at, " \t\r\n");
}

static char
unescape(struct reader *r)
{
    char c = *r->at++;

    switch (c) {
    case 'n':
        return '\n';
    case 't':
        return '\t';
    case 'r':
        return '\r';
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'u': {
        char digits[5] = "";
        memcpy(digits, r->at, strnlen(r->at, 4));
        r->at += strnlen(r->at, 4);
        return (char)strtoul(digits, NULL, 16); /* only for letters below 32 */
    }
    default:
        return c;
    }
}

static const char *
read_string(struct reader *r)
{
    size_t len = 0;
    char *text, *to;

    for (r->at++; r->at[len] != '\0' && r->at[len] != '"'; len++)
        len += r->at[len] == '\\' && r->at[len + 1] != '\0';
    text = to = arena_alloc(r->a, len + 1);
    while (*r->at != '\0' && *r->at != '"') {
        char c = *r->at++;
        *to++ = c == '\\' ? unescape(r) : c;
    }
    *to = '\0';
    if (*r->at == '"')
        r->at++;
    return text;
}

static struct json *
read_members(struct reader *r, struct json *j, char close)
{
    struct json **end = &j->first;

    j->type = close == '}' ? JSON_OBJECT : JSON_LIST;
    r->at++;
    for (;;) {
        const char *key = NULL;
        skip_space(r);
        if (*r->at == close) {
            r->at++;
            return j;
        }
        if (close == '}' && *r->at == '"') {
            key = read_string(r);
            skip_space(r);
            if (*r->at++ != ':')
                return NULL;
        }
        *end = read_value(r);
        if (*end == NULL)
            return NULL;
        (*end)->key = key;
        end = &(*end)->next;
        skip_space(r);
        r->at += *r->at == ',';
    }
}

static struct json *
read_value(struct reader *r)
{
    struct json *j = arena_calloc(r->a, sizeof(*j));
    size_t len;

    skip_space(r);
    switch (*r->at) {
    case '{':
        return read_members(r, j, '}');
    case '[':
        return read_members(r, j, ']');
    case '"':
        j->type = JSON_STRING;
        j->text = read_string(r);
        return j;
    default:
        len = strcspn(r->at, ",]} \t\r\n");
        if (len == 0)
            return NULL;
        j->text = arena_strndup(r->a, r->at, len);
        r->at += len;
        return j;
    }
}

struct json *
json_read(struct arena *a, const char *text)
{
    struct reader r = {a, text};

    return read_value(&r);
}

struct json *
json_member(const struct json *object, const char *key)
{
    if (object == NULL || object->type != JSON_OBJECT)
        return NULL;
    for (struct json *j = object->first; j != NULL; j = j->next) {
        if (strcmp(j->key, key) == 0)
            return j;
    }
    return NULL;
}

const char *
json_text(const struct json *object, const char *key)
{
    const struct json *j = json_member(object, key);

    return j != NULL && j->text != NULL ? j->text : "";
}

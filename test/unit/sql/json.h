/*
 * A reader of JSON for the judge: the whole text becomes a tree in an arena.
 */
#ifndef TEST_SQL_JSON_H
#define TEST_SQL_JSON_H

#include "base/arena.h"

#include <stdbool.h>

enum json_type { JSON_WORD, JSON_STRING, JSON_LIST, JSON_OBJECT };

struct json {
    enum json_type type;
    const char *key;  /* in its object */
    const char *text; /* of a string, a number, true, false or null */
    struct json *first;
    struct json *next;
};

/* NULL when the text is no JSON. */
struct json *json_read(struct arena *a, const char *text);

/* The member of that name; NULL without one. */
struct json *json_member(const struct json *object, const char *key);

/* A member's text; "" without one. */
const char *json_text(const struct json *object, const char *key);

#endif

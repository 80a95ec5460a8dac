/*
 * What a function does, as far as its name tells: include/tables/functions.def.
 *
 * Called for every call that is found, and by catalog/. A name in another schema than pg_catalog is
 * unknown; one without a schema is taken for PostgreSQL's own (whether another stands in front of
 * it in the search path, the catalog must tell).
 */
#include "sql/walk.h"

#include <string.h>

static const struct {
    const char *name;
    enum sql_function_class function_class;
    bool fixed;
} functions[] = {
#define SAFE SQL_FUNCTION_SAFE, false
#define FIXED SQL_FUNCTION_SAFE, true
#define PRIMARY SQL_FUNCTION_PRIMARY, false
#define SESSION SQL_FUNCTION_SESSION, false
#define SQL_FUNCTION(name, properties) {name, properties},
#include "tables/functions.def"
#undef SQL_FUNCTION
#undef SAFE
#undef FIXED
#undef PRIMARY
#undef SESSION
};

static bool
is_own(const struct sql_function *f, const char *name)
{
    bool schema = f->schema.len == 0 ||
                  (f->schema.len == 10 && memcmp(f->schema.data, "pg_catalog", 10) == 0);

    return schema && f->name.len == strlen(name) && memcmp(f->name.data, name, f->name.len) == 0;
}

bool
sql_function_recalls(const struct sql_function *f)
{
    return is_own(f, "currval") || is_own(f, "lastval");
}

bool
sql_function_draws(const struct sql_function *f)
{
    return is_own(f, "nextval") || is_own(f, "setval");
}

/* Its place in the table, or the table's length. */
static size_t
find(struct sql_text schema, struct sql_text name)
{
    char wanted[SQL_IDENTIFIER_MAX + 1];
    size_t low = 0;
    size_t high = ARRAY_LEN(functions);

    if (schema.len > 0 && (schema.len != 10 || memcmp(schema.data, "pg_catalog", 10) != 0))
        return ARRAY_LEN(functions);
    if (name.len == 0 || name.len > SQL_IDENTIFIER_MAX)
        return ARRAY_LEN(functions);
    memcpy(wanted, name.data, name.len);
    wanted[name.len] = '\0';
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(wanted, functions[middle].name);
        if (order == 0)
            return middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return ARRAY_LEN(functions);
}

enum sql_function_class
sql_function_class(struct sql_text schema, struct sql_text name)
{
    size_t at = find(schema, name);

    return at < ARRAY_LEN(functions) ? functions[at].function_class : SQL_FUNCTION_UNKNOWN;
}

bool
sql_function_fixed(struct sql_text schema, struct sql_text name, uint8_t args)
{
    size_t at = find(schema, name);

    if (at == ARRAY_LEN(functions) || !functions[at].fixed)
        return false;
    /* of one argument it is counted from today */
    return args == 2 || strcmp(functions[at].name, "age") != 0;
}

/* Words of SQL that are no functions by this name, or are listed for what else has the name. */
bool
sql_syntax_fixed(const char *name)
{
    static const char *const names[] = {
        "btrim",         "current_catalog", "current_role",   "json",        "json_array",
        "json_arrayagg", "json_object",     "json_objectagg", "json_scalar", "json_serialize",
        "like_escape",   "ltrim",           "rtrim",          "user",        "xmlconcat",
        "xmlelement",    "xmlexists",       "xmlforest",      "xmlparse",    "xmlpi",
        "xmlroot",       "xmlserialize",    "xmltable",
    };
    struct sql_text none = {NULL, 0};
    struct sql_text text = {name, (uint32_t)strlen(name)};

    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        if (strcmp(names[n], name) == 0)
            return true;
    }
    return sql_function_fixed(none, text, SQL_ARGS_UNKNOWN);
}

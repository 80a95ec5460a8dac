/*
 * What a function does, as far as its name tells: include/tables/functions.def.
 *
 * Called for every call that is found. A name in another schema than pg_catalog is unknown; one
 * without a schema is taken for PostgreSQL's own (whether another stands in front of it in the
 * search path, the catalog must tell).
 */
#include "sql/walk.h"

#include <string.h>

static const struct {
    const char *name;
    enum sql_function_class function_class;
} functions[] = {
#define SAFE SQL_FUNCTION_SAFE
#define PRIMARY SQL_FUNCTION_PRIMARY
#define SESSION SQL_FUNCTION_SESSION
#define SQL_FUNCTION(name, function_class) {name, function_class},
#include "tables/functions.def"
#undef SQL_FUNCTION
#undef SAFE
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

enum sql_function_class
sql_function_class(struct sql_text schema, struct sql_text name)
{
    char wanted[SQL_IDENTIFIER_MAX + 1];
    size_t low = 0;
    size_t high = ARRAY_LEN(functions);

    if (schema.len > 0 && (schema.len != 10 || memcmp(schema.data, "pg_catalog", 10) != 0))
        return SQL_FUNCTION_UNKNOWN;
    if (name.len > SQL_IDENTIFIER_MAX)
        return SQL_FUNCTION_UNKNOWN;
    memcpy(wanted, name.data, name.len);
    wanted[name.len] = '\0';
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(wanted, functions[middle].name);
        if (order == 0)
            return functions[middle].function_class;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return SQL_FUNCTION_UNKNOWN;
}

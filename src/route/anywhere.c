/*
 * Statements that do not depend on which server they run on, but for its tables.
 *
 * Called by session/ in logical replication. A function must be known: those that answer by their
 * arguments alone (FIXED in functions.def), but for those that take a configuration of text search
 * or tell of types, which lie in the catalog; and the clocks and the like of the list below.
 * Invariant: what is not known depends on the server.
 */
#include "route/anywhere.h"

#include <string.h>

/* FIXED as long as the catalog does not change; another server has another one. */
static const char *const of_catalog[] = {
    "current_database",     "current_schema",    "current_schemas",  "get_current_ts_config",
    "json_to_tsvector",     "jsonb_to_tsvector", "phraseto_tsquery", "pg_typeof",
    "plainto_tsquery",      "regclasssend",      "regcollationsend", "regconfigsend",
    "regdictionarysend",    "regnamespacesend",  "regopersend",      "regoperatorsend",
    "regproceduresend",     "regprocsend",       "regrolesend",      "regtypesend",
    "to_tsquery",           "to_tsvector",       "ts_headline",      "ts_lexize",
    "websearch_to_tsquery",
};

/* Not FIXED, and of no server's own. */
static const char *const of_none[] = {
    "clock_timestamp",
    "current_date",
    "current_time",
    "current_timestamp",
    "gen_random_uuid",
    "json_populate_record",
    "json_populate_recordset",
    "json_to_record",
    "json_to_recordset",
    "jsonb_path_exists_tz",
    "jsonb_path_match_tz",
    "jsonb_path_query_array_tz",
    "jsonb_path_query_first_tz",
    "jsonb_path_query_tz",
    "jsonb_populate_record",
    "jsonb_populate_recordset",
    "jsonb_to_record",
    "jsonb_to_recordset",
    "localtime",
    "localtimestamp",
    "now",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    "random",
    "statement_timestamp",
    "timeofday",
    "timezone",
    "transaction_timestamp",
};

static bool
is_listed(struct sql_text name, const char *const *list, size_t count)
{
    for (size_t n = 0; n < count; n++) {
        if (name.len == strlen(list[n]) && memcmp(name.data, list[n], name.len) == 0)
            return true;
    }
    return false;
}

static bool
is_of_none(const struct sql_function *f)
{
    if (is_listed(f->name, of_none, ARRAY_LEN(of_none)))
        return true;
    return f->fixed && !is_listed(f->name, of_catalog, ARRAY_LEN(of_catalog));
}

/* regclass and its like are numbers of the catalog's; of a schema's own nobody knows here. */
static bool
is_of_catalog(const struct sql_name *type)
{
    return type->name.len >= 3 && memcmp(type->name.data, "reg", 3) == 0;
}

bool
route_runs_anywhere(const struct sql_statement *st)
{
    if (st->kind == SQL_EXPLAIN || st->system_columns || st->tells_tables || st->samples ||
        st->system_catalog)
        return false;
    for (uint32_t n = 0; n < st->function_count; n++) {
        if (!is_of_none(&st->functions[n]))
            return false;
    }
    for (uint32_t n = 0; n < st->type_count; n++) {
        if (is_of_catalog(&st->types[n]))
            return false;
    }
    for (uint32_t n = 0; n < st->table_count; n++) {
        if (st->tables[n].use & SQL_USE_NAMED)
            return false; /* 'name'::regclass */
    }
    return true;
}

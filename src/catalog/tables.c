/*
 * Which tables a statement reads and writes: not known yet.
 */
#include "catalog/tables.h"

enum catalog_answer
catalog_reads(const struct catalog *c UNUSED, const struct catalog_scope *scope UNUSED,
              const struct sql_statement *st UNUSED, struct catalog_tables *r,
              enum catalog_uncached *why_r)
{
    *r = (struct catalog_tables){.n = 0};
    *why_r = CATALOG_UNCACHED_NONE;
    return CATALOG_TABLES_UNKNOWN;
}

enum catalog_answer
catalog_writes(const struct catalog *c UNUSED, const struct catalog_scope *scope UNUSED,
               const struct sql_statement *st UNUSED, struct catalog_tables *r)
{
    *r = (struct catalog_tables){.everything = true};
    return CATALOG_TABLES_UNKNOWN;
}

uint32_t
catalog_database_oid(const struct catalog *c UNUSED, const struct catalog_scope *scope UNUSED)
{
    return 0;
}

const char *
catalog_uncached_words(enum catalog_uncached why)
{
    static const char *const words[CATALOG_UNCACHED_LAST + 1] = {
        [CATALOG_UNCACHED_NONE] = "",
        [CATALOG_UNCACHED_KIND] = "it is no plain read",
        [CATALOG_UNCACHED_LOCKS] = "it locks rows",
        [CATALOG_UNCACHED_TIME] = "it may depend on the time",
        [CATALOG_UNCACHED_FUNCTION] = "it calls a function whose answers may change",
        [CATALOG_UNCACHED_SAMPLE] = "it reads a sample of a table",
        [CATALOG_UNCACHED_COLUMN] = "it reads columns of the system's",
        [CATALOG_UNCACHED_MISSING] = "a name in it is not known",
        [CATALOG_UNCACHED_TEMPORARY] = "it reads a temporary table",
        [CATALOG_UNCACHED_SYSTEM] = "it reads the system's own tables",
        [CATALOG_UNCACHED_FOREIGN] = "it reads a foreign table",
        [CATALOG_UNCACHED_SEQUENCE] = "it reads a sequence",
        [CATALOG_UNCACHED_LISTED] = "it reads a table in \"cache_unsafe_memqcache_table_list\"",
        [CATALOG_UNCACHED_MANY] = "it comes from too many tables",
    };

    return words[why];
}

#include "known.h"

#include <string.h>

#define COLUMNS(list) list, ARRAY_LEN(list)
#define KEYS(list) list, ARRAY_LEN(list)
#define COLUMN(name, type, fallback)                                                               \
    {                                                                                              \
        name, type, fallback, false                                                                \
    }

static const char with_zone[] = "pg_catalog.timestamptz";

static const struct sql_known_column columns_t[] = {
    COLUMN("id", "pg_catalog.int4", "nextval('t_id_seq'::regclass)"),
    COLUMN("a", "pg_catalog.int4", NULL), COLUMN("b", "pg_catalog.text", NULL),
    COLUMN("at", with_zone, "now()"), COLUMN("d", "pg_catalog.date", NULL)};
static const struct sql_known_column columns_u[] = {
    COLUMN("id", "pg_catalog.uuid", "gen_random_uuid()"), COLUMN("n", "pg_catalog.int4", NULL),
    COLUMN("r", "pg_catalog.float8", "random()"), COLUMN("s", "pg_catalog.text", NULL)};
static const struct sql_known_column columns_g[] = {
    {"id", "pg_catalog.int4", "nextval('g_id_seq'::regclass)", true},
    COLUMN("v", "pg_catalog.text", NULL)};
static const struct sql_known_column columns_p[] = {
    COLUMN("k", "pg_catalog.int4", NULL), COLUMN("v", "pg_catalog.text", NULL),
    COLUMN("w", "pg_catalog.int4", NULL), COLUMN("at", "pg_catalog.\"timestamp\"", NULL)};
static const struct sql_known_column columns_k2[] = {COLUMN("a", "pg_catalog.int4", NULL),
                                                     COLUMN("b", "pg_catalog.int4", NULL),
                                                     COLUMN("v", "pg_catalog.text", NULL)};
static const struct sql_known_column columns_n[] = {COLUMN("x", "pg_catalog.int4", NULL),
                                                    COLUMN("y", "pg_catalog.text", NULL)};
static const struct sql_known_column columns_q[] = {
    COLUMN("Wei\"rd", "pg_catalog.int4", "5"),
    COLUMN("at", with_zone, "(now() + '1 day'::interval)"), COLUMN("v", "pg_catalog.text", NULL)};
static const struct sql_known_column columns_x[] = {
    COLUMN("i", "pg_catalog.\"interval\"", NULL), COLUMN("l", "pg_catalog.pg_lsn", NULL),
    COLUMN("big", "pg_catalog.int8", NULL),       COLUMN("y", "pg_catalog.uuid", NULL),
    COLUMN("f", "pg_catalog.float8", NULL),       COLUMN("z", "pg_catalog.timetz", NULL),
    COLUMN("tm", "pg_catalog.\"time\"", NULL),    COLUMN("tx", "pg_catalog.text", NULL)};
static const struct sql_known_column columns_z[] = {COLUMN("i", "pg_catalog.int4", NULL)};
static const struct sql_known_column columns_fd[] = {COLUMN("a", "pg_catalog.int4", NULL),
                                                     COLUMN("c", "pg_catalog.int4", "f_bad()")};
static const struct sql_known_column columns_ch[] = {
    COLUMN("k", "pg_catalog.int4", NULL),
    COLUMN("c", "pg_catalog.bpchar", "substr(md5((random())::text), 1, 8)")};
static const struct sql_known_key first[] = {{1, {0}}};
static const struct sql_known_key both[] = {{2, {0, 1}}};

static const struct {
    const char *name;
    struct sql_known_table table;
} tables[] = {
    {"t", {COLUMNS(columns_t), KEYS(first), NULL, true}},
    {"u", {COLUMNS(columns_u), KEYS(first), NULL, true}},
    {"g", {COLUMNS(columns_g), KEYS(first), NULL, true}},
    {"p", {COLUMNS(columns_p), KEYS(first), NULL, true}},
    {"k2", {COLUMNS(columns_k2), KEYS(both), NULL, true}},
    {"n", {COLUMNS(columns_n), NULL, 0, NULL, true}},
    {"q", {COLUMNS(columns_q), NULL, 0, NULL, false}},
    {"x", {COLUMNS(columns_x), NULL, 0, NULL, true}},
    {"ch", {COLUMNS(columns_ch), KEYS(first), NULL, true}},
    {"z", {COLUMNS(columns_z), NULL, 0, "trigger \"z_random\" calls \"random\"", true}},
    {"fd", {COLUMNS(columns_fd), NULL, 0, NULL, true}},
};

static bool
is(struct sql_text text, const char *word)
{
    return text.len == strlen(word) && memcmp(text.data, word, text.len) == 0;
}

static const struct sql_known_table *
table(void *ctx UNUSED, struct sql_text schema, struct sql_text name)
{
    for (size_t n = 0; n < ARRAY_LEN(tables); n++) {
        if ((schema.len == 0 || is(schema, "public")) && is(name, tables[n].name))
            return &tables[n].table;
    }
    return NULL;
}

static enum sql_known_function
function(void *ctx UNUSED, const struct sql_function *f)
{
    if (is(f->name, "f_equal"))
        return SQL_KNOWN_EQUAL;
    return is(f->name, "f_bad") ? SQL_KNOWN_UNEQUAL : SQL_KNOWN_NOT;
}

const struct sql_known known_of_test = {NULL, table, function, NULL};

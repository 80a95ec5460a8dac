/*
 * What others do to the catalog of one database.
 *
 * Changes of the catalog are not in the stream of changes. But each leaves rows that are new, and
 * so have a higher xmin, or are gone: the number of rows and the sum of their xmin, per table of
 * the catalog, is another one after any of them. So one statement tells whether there was any; it
 * is asked once a second, and less often where it takes long. Temporary tables do not count. What
 * new connections are given (ALTER ROLE ... SET) is told apart: older ones are not like them then.
 * The publication is looked at as well: without it the server may go on and leave changes out.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"
#include "config/config.h"
#include "wal.h"

#include <stdlib.h>
#include <string.h>

enum {
    DIGEST_BYTES = 1024,
    SETTINGS_BYTES = 64,
    TIMES_LESS_OFTEN = 10,
    OFTEN_MS = 1000,
    PARTS_OF_LAG = 3
};

enum { COL_SETTINGS, COL_PUBLICATION, COL_DIGEST };

/* What answers may depend on. Roles are in a view without xmin, since their table is not for all.
 */
static const struct {
    const char *name;
    const char *without; /* rows of temporary tables; "": there are none, or they do not matter */
} catalogs[] = {
    {"pg_class", "x.relpersistence = 't'"},
    {"pg_attribute", "x.attrelid IN (SELECT t.oid FROM t)"},
    {"pg_namespace", "x.nspname ~ '^pg_(toast_)?temp_'"},
    {"pg_rewrite", "x.ev_class IN (SELECT t.oid FROM t)"},
    {"pg_trigger", "x.tgrelid IN (SELECT t.oid FROM t)"},
    {"pg_constraint", "x.conrelid IN (SELECT t.oid FROM t)"},
    {"pg_proc", ""},
    {"pg_inherits", ""},
    {"pg_policy", ""},
    {"pg_enum", ""},
    {"pg_operator", ""},
    {"pg_cast", ""},
    {"pg_collation", ""},
    {"pg_auth_members", ""},
    {"pg_database", ""},
};

#define SUM                                                                                        \
    "pg_catalog.count(*) || ':' || coalesce(pg_catalog.sum("                                       \
    "x.xmin::pg_catalog.text::pg_catalog.int8), 0)"

/* The name of the publication goes into it. */
static const char begin[] =
    "WITH t AS (SELECT c.oid FROM pg_catalog.pg_class AS c WHERE c.relpersistence = 't')"
    " SELECT (SELECT " SUM " FROM pg_catalog.pg_db_role_setting AS x), " WAL_PUBLICATION_IS_GOOD
    ", pg_catalog.concat_ws(' ', (SELECT pg_catalog.md5(pg_catalog.string_agg("
    "pg_catalog.concat_ws(',', r.oid, r.rolname, r.rolsuper, r.rolinherit, r.rolbypassrls), ' '"
    " ORDER BY r.oid)) FROM pg_catalog.pg_roles AS r)";

struct wal_catalog {
    struct wal_stream *st;
    struct wal *w;
    struct ask *ask;
    struct buf question;
    int64_t asked_ns;
    struct io_timer due;
    char last[DIGEST_BYTES]; /* "": none so far */
    char last_settings[SETTINGS_BYTES];
};

static void
build(struct buf *question, const char *publication)
{
    char name[WAL_QUOTED_BYTES];

    buf_printf(question, begin, wal_quote(publication, false, name));
    for (size_t n = 0; n < ARRAY_LEN(catalogs); n++) {
        const char *without = catalogs[n].without;

        buf_printf(question, ", (SELECT " SUM " FROM pg_catalog.%s AS x%s%s%s)", catalogs[n].name,
                   without[0] != '\0' ? " WHERE NOT (" : "", without,
                   without[0] != '\0' ? ")" : "");
    }
    buf_add_str(question, ")");
}

static void
look(void *ctx)
{
    struct wal_catalog *c = ctx;

    c->asked_ns = io_now_ns(c->w->proc->io);
    ask_question(c->ask, buf_cstr(&c->question), WAL_QUESTION_MS);
}

static void
answered(void *ctx, const struct ask_rows *rows)
{
    struct wal_catalog *c = ctx;
    struct io *io = c->w->proc->io;
    int64_t most_ms = MAX(c->w->proc->config->cache_wal_max_lag_ms / PARTS_OF_LAG, OFTEN_MS);
    int64_t took_ms = (io_now_ns(io) - c->asked_ns) / NS_PER_MS;
    const char *settings = ask_value(rows, 0, COL_SETTINGS);
    const char *text = ask_value(rows, 0, COL_DIGEST);
    bool renewed = c->last[0] != '\0' && strcmp(settings, c->last_settings) != 0;
    bool changed = renewed || (c->last[0] != '\0' && strcmp(text, c->last) != 0);
    struct err err;

    if (ask_value(rows, 0, COL_PUBLICATION)[0] != 't') {
        err_set(&err, "55000", "publication \"%s\" has changed, or is gone",
                c->w->proc->config->cache_wal_publication);
        wal_stream_lose(c->st, &err);
        return;
    }
    if (renewed)
        cache_note_renewal(c->w->cache);

    str_copy(c->last, sizeof(c->last), text);
    str_copy(c->last_settings, sizeof(c->last_settings), settings);
    io_timer_start(io, &c->due, MIN(MAX(took_ms * TIMES_LESS_OFTEN, (int64_t)OFTEN_MS), most_ms),
                   look, c);
    wal_stream_catalog_seen(c->st, c->asked_ns, changed);
}

static void
failed(void *ctx, const struct err *err, bool asked UNUSED)
{
    struct wal_catalog *c = ctx;

    wal_stream_lose(c->st, err);
}

struct wal_catalog *
wal_catalog_new(struct wal_stream *st, struct wal *w, const char *database)
{
    static const struct ask_ops ops = {answered, failed};
    struct wal_catalog *c = xcalloc(1, sizeof(*c));
    struct ask_target target;

    c->st = st;
    c->w = w;
    c->ask = ask_new(w->proc->io, w->dns, &ops, c);
    wal_target(w, database, &target);
    target.application_name = "pgpool wal catalog";
    ask_set_target(c->ask, &target);
    build(&c->question, w->proc->config->cache_wal_publication);
    look(c);
    return c;
}

void
wal_catalog_free(struct wal_catalog *c)
{
    if (c == NULL)
        return;
    io_timer_stop(&c->due);
    ask_free(c->ask);
    buf_free(&c->question);
    free(c);
}

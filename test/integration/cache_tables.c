/*
 * What catalog/tables makes of statements, asked of a real server: for test_cache_catalog.py.
 *
 * cache_tables CONNINFO [SETTING...]: reads statements from its input, each ended by a zero byte,
 * and writes one line for each: "R yes OID..." or "R no WORDS" or "R unknown"; a tab; "W OID..." or
 * "W everything" or "W unknown"; a tab; "roots" where some stand for partitions. A statement that
 * begins with "!" is run and answered with an empty line. The catalog is forgotten before each.
 */
#include "catalog/question.h"
#include "config/config.h"
#include "ipc/memo.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct catalog_login login = {"cache", "ann", 3, "", 0};
static struct memo *memo;
static struct catalog *catalog;

static void
fail(const char *what)
{
    fprintf(stderr, "cache_tables: %s\n", what);
    exit(2);
}

static void
configure(int argc, char **argv)
{
    struct config_report report;
    struct buf text = BUF_EMPTY;
    struct config *config;
    struct err err;

    buf_add_str(&text, "memory_cache_enabled = on\n");
    for (int n = 2; n < argc; n++)
        buf_printf(&text, "%s\n", argv[n]);
    config_report_init(&report);
    if (config_load_text(buf_cstr(&text), text.len, "/etc/pgpool/test.conf", &config, &report) != 0)
        fail(report.findings[0].text);
    if (catalog_configure(catalog, config, &err) != 0)
        fail(err.message);
    config_free(config);
    config_report_fini(&report);
    buf_free(&text);
}

static void
take_result(struct catalog_question *q, const PGresult *result)
{
    struct buf row = BUF_EMPTY;

    for (int n = 0; n < PQntuples(result); n++) {
        buf_clear(&row);
        buf_add_u16(&row, (uint16_t)PQnfields(result));
        for (int column = 0; column < PQnfields(result); column++) {
            int len = PQgetlength(result, n, column);
            buf_add_u32(&row, PQgetisnull(result, n, column) ? UINT32_MAX : (uint32_t)len);
            buf_add(&row, PQgetvalue(result, n, column), (size_t)len);
        }
        if (!catalog_question_row(q, catalog, row.data, row.len))
            fail("a row makes no sense");
    }
    buf_free(&row);
}

static void
ask(PGconn *connection, const struct sql_statement *st)
{
    struct catalog_scope scope = catalog_scope(catalog, &login);
    struct catalog_question q = {.count = 0};
    struct buf sql = BUF_EMPTY;
    PGresult *result;

    catalog_question_add(&q, catalog, &scope, st);
    catalog_question_sql(&q, "", 0, &sql);
    if (!PQsendQuery(connection, buf_cstr(&sql)))
        fail(PQerrorMessage(connection));
    while ((result = PQgetResult(connection)) != NULL) {
        if (PQresultStatus(result) == PGRES_TUPLES_OK)
            take_result(&q, result);
        else if (PQresultStatus(result) != PGRES_COMMAND_OK)
            fail(PQresultErrorMessage(result));
        PQclear(result);
    }
    catalog_question_done(&q, catalog, &login, &scope);
    catalog_question_free(&q);
    buf_free(&sql);
}

static void
print_tables(const struct catalog_tables *t)
{
    for (uint32_t n = 0; n < t->n; n++)
        printf(" %u", t->oids[n]);
}

static void
answer(const struct sql_statement *st)
{
    struct catalog_scope scope = catalog_scope(catalog, &login);
    struct catalog_tables r, w;
    enum catalog_uncached why;
    enum catalog_answer reads = catalog_reads(catalog, &scope, st, &r, &why);
    enum catalog_answer writes = catalog_writes(catalog, &scope, st, &w);

    if (reads == CATALOG_TABLES_KNOWN) {
        printf("R yes");
        print_tables(&r);
    } else {
        printf("R %s", reads == CATALOG_TABLES_NOT ? "no " : "unknown");
        printf("%s", catalog_uncached_words(why));
    }
    printf("\tW");
    if (writes == CATALOG_TABLES_UNKNOWN)
        printf(" unknown");
    else if (w.everything)
        printf(" everything");
    else
        print_tables(&w);
    printf("\t%s\n", r.roots || w.roots ? "roots" : "");
    if (reads == CATALOG_TABLES_KNOWN && r.database != catalog_database_oid(catalog, &scope))
        fail("the database has two numbers");
    fflush(stdout);
}

static void
run(PGconn *connection, const char *sql)
{
    PGresult *result = PQexec(connection, sql);

    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        fail(PQresultErrorMessage(result));
    PQclear(result);
    printf("\n");
    fflush(stdout);
}

int
main(int argc, char **argv)
{
    static const struct sql_options options = {true, 15};
    struct sql_cache *cache = sql_cache_new(1 << 20);
    PGconn *connection = PQconnectdb(argc > 1 ? argv[1] : "");
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;

    if (PQstatus(connection) != CONNECTION_OK)
        fail(PQerrorMessage(connection));
    memo = calloc(1, memo_bytes(65536));
    if (memo == NULL)
        fail("out of memory");
    memo_init(memo, 65536);
    catalog = catalog_new(memo);
    configure(argc, argv);
    while ((len = getdelim(&line, &cap, '\0', stdin)) > 0) {
        const struct sql_facts *f;
        if (line[0] == '!') {
            run(connection, line + 1);
            continue;
        }
        f = sql_facts(cache, line, (size_t)len - 1, &options);
        if (!f->understood || f->count != 1)
            fail(line);
        catalog_changed(catalog, login.database);
        ask(connection, &f->statements[0]);
        answer(&f->statements[0]);
    }
    PQfinish(connection);
    free(line);
    catalog_free(catalog);
    sql_cache_free(cache);
    free(memo);
    return 0;
}

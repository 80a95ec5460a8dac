/*
 * What catalog/knowledge makes of a real server's catalog: for test_knowledge.py.
 *
 * knowledge CONNINFO: reads lines, answers each with one.
 *   S sql         runs it: "ok", or "error" with the message
 *   J statement   what becomes of it, with what the server says
 *   W statement   the same, asked within the connection's own transaction
 *   H statement   the same by hand (test/unit/sql/known.c)
 *   N statement   how many names would be asked for
 *   C             DDL has passed by
 * What becomes of it: "equal", "unequal reason", or "made" and the text with its values' kinds and
 * expressions, each followed by " missing" where a table is not there.
 */
#include "catalog/knowledge.h"
#include "../unit/sql/known.h"
#include "base/buf.h"
#include "ipc/memo.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMO_ENTRIES = 4096, LIMIT = 1024 * 1024 };

static const struct catalog_login login = {"postgres", "ann", 3, "", 0};
static const struct sql_options options = {true, 15};
static struct memo *memo;
static struct catalog *catalog;
static struct sql_cache *cache;
static struct knowledge *knowledge;
static struct sql_determinism *determinism;
static PGconn *connection;

static void
fail(const char *what)
{
    fprintf(stderr, "knowledge: %s\n", what);
    exit(2);
}

static void
take_result(struct knowledge_question *q, const PGresult *result)
{
    struct buf row = BUF_EMPTY;

    for (int n = 0; n < PQntuples(result); n++) {
        buf_clear(&row);
        buf_add_u16(&row, (uint16_t)PQnfields(result));
        for (int column = 0; column < PQnfields(result); column++) {
            bool is_null = PQgetisnull(result, n, column);
            int len = PQgetlength(result, n, column);
            buf_add_u32(&row, is_null ? UINT32_MAX : (uint32_t)len);
            buf_add(&row, PQgetvalue(result, n, column), (size_t)len);
        }
        if (!knowledge_question_row(q, row.data, row.len))
            fail("a row makes no sense");
    }
    buf_free(&row);
}

static void
ask(struct knowledge *k, const struct sql_facts *f, bool within, struct catalog_scope *scope)
{
    struct knowledge_question q = {.bytes = 0};
    struct buf sql = BUF_EMPTY;
    PGresult *result;

    knowledge_question_add(&q, k, scope, f);
    if (within)
        knowledge_question_sql_within(&q, false, &sql);
    else
        knowledge_question_sql(&q, "", 0, &sql);
    if (!PQsendQuery(connection, buf_cstr(&sql)))
        fail(PQerrorMessage(connection));
    while ((result = PQgetResult(connection)) != NULL) {
        if (PQresultStatus(result) == PGRES_TUPLES_OK)
            take_result(&q, result);
        else if (PQresultStatus(result) != PGRES_COMMAND_OK)
            fail(PQresultErrorMessage(result));
        PQclear(result);
    }
    if (!knowledge_question_done(&q, k, within ? NULL : catalog, &login, scope))
        fail("the answer is not whole");
    knowledge_question_free(&q);
    buf_free(&sql);
}

static void
describe(const char *text, const struct sql_known *known, struct buf *out)
{
    static const char letters[] = "TSODRL";
    struct sql_text t = {text, (uint32_t)strlen(text)};
    struct sql_determined d;
    size_t at = 0;

    sql_determinism_judge(determinism, t, &options, known, &d);
    if (d.equality != SQL_MADE_EQUAL) {
        buf_printf(out, d.equality == SQL_EQUAL ? "equal" : "unequal %s", d.reason.message);
        return;
    }
    buf_add_str(out, "made ");
    for (uint32_t n = 0; n < d.place_count; n++) {
        const struct sql_place *p = &d.places[n];
        buf_printf(out, "%.*s%.*s", (int)(p->start - at), text + at, (int)p->before.len,
                   p->before.data);
        if (p->value != SQL_NO_VALUE) {
            const struct sql_value *v = &d.values[p->value];
            buf_printf(out, "{%c %.*s %.*s}", letters[v->kind], (int)v->expression.len,
                       v->expression.data, (int)v->type.len, v->type.data);
        }
        buf_printf(out, "%.*s", (int)p->behind.len, p->behind.data);
        at = p->end;
    }
    buf_add_str(out, text + at);
}

static void
judge(const char *text, bool within, struct buf *out)
{
    struct knowledge *k = within ? knowledge_new(LIMIT) : knowledge;
    const struct sql_facts *f = sql_facts(cache, text, strlen(text), &options);
    struct catalog_scope scope = catalog_scope(catalog, &login);
    struct knowledge_view v;

    if (within)
        scope.tag = 1;
    if (!knowledge_view_init(&v, k, &scope, f)) {
        knowledge_view_fini(&v);
        ask(k, f, within, &scope);
        if (!knowledge_view_init(&v, k, &scope, f))
            fail("not all is known behind a question");
    }
    describe(text, &v.known, out);
    buf_add_str(out, v.missing.len > 0 ? " missing" : "");
    knowledge_view_fini(&v);
    if (within)
        knowledge_free(k);
}

static void
run(const char *sql, struct buf *out)
{
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);

    buf_add_str(out, status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? "ok" : "error ");
    buf_add_str(out, PQresultErrorMessage(result));
    PQclear(result);
}

static void
count(const char *text, struct buf *out)
{
    struct catalog_scope scope = catalog_scope(catalog, &login);
    struct knowledge_question q = {.bytes = 0};

    knowledge_question_add(&q, knowledge, &scope, sql_facts(cache, text, strlen(text), &options));
    buf_printf(out, "%u", q.names.count);
    knowledge_question_free(&q);
}

static void
answer(const char *line, struct buf *out)
{
    switch (line[0]) {
    case 'S':
        run(line + 2, out);
        break;
    case 'J':
    case 'W':
        judge(line + 2, line[0] == 'W', out);
        break;
    case 'H':
        describe(line + 2, &known_of_test, out);
        break;
    case 'N':
        count(line + 2, out);
        break;
    case 'C':
        catalog_changed(catalog, login.database);
        break;
    default:
        fail("no such line");
    }
}

int
main(int argc, char **argv)
{
    struct buf out = BUF_EMPTY;
    char *line = NULL;
    size_t size = 0;
    ssize_t len;

    connection = PQconnectdb(argc > 1 ? argv[1] : "");
    if (PQstatus(connection) != CONNECTION_OK)
        fail(PQerrorMessage(connection));
    memo = calloc(1, memo_bytes(MEMO_ENTRIES));
    memo_init(memo, MEMO_ENTRIES);
    catalog = catalog_new(memo);
    cache = sql_cache_new(LIMIT);
    knowledge = knowledge_new(LIMIT);
    determinism = sql_determinism_new();
    while ((len = getline(&line, &size, stdin)) > 1) {
        line[len - 1] = '\0';
        buf_clear(&out);
        answer(line, &out);
        for (size_t n = 0; n < out.len; n++) {
            if (out.data[n] == '\n')
                out.data[n] = ' ';
        }
        printf("%s\n", buf_cstr(&out));
        fflush(stdout);
    }
    free(line);
    buf_free(&out);
    sql_determinism_free(determinism);
    knowledge_free(knowledge);
    sql_cache_free(cache);
    catalog_free(catalog);
    free(memo);
    PQfinish(connection);
    return 0;
}

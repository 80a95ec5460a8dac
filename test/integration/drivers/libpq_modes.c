/*
 * libpq's ways to take a result: whole, row by row, in chunks, and in pipeline mode. Prints what
 * it got; argument: a connection string.
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
fail(PGconn *conn, const char *what)
{
    printf("%s failed: %s", what, PQerrorMessage(conn));
    exit(1);
}

/* The first column of the last row; a binary one in hexadecimal. */
static void
print_last_value(const PGresult *res)
{
    int row = PQntuples(res) - 1;
    const char *value = row >= 0 ? PQgetvalue(res, row, 0) : "";

    if (row < 0 || PQfformat(res, 0) == 0) {
        printf("%s", value);
        return;
    }
    for (int n = 0; n < PQgetlength(res, row, 0); n++)
        printf("%02x", (unsigned char)value[n]);
}

static void
print_result(PGresult *res)
{
    static const char *last;
    static long results, rows;
    const char *status = PQresStatus(PQresultStatus(res));

    results = last == status ? results + 1 : 1;
    rows = last == status ? rows + PQntuples(res) : PQntuples(res);
    last = status;
    printf("%s %ld %ld [%s] [", status, results, rows, PQcmdStatus(res));
    print_last_value(res);
    printf("] %s\n", PQresultErrorMessage(res));
    PQclear(res);
}

static void
print_results(PGconn *conn)
{
    PGresult *res;

    while ((res = PQgetResult(conn)) != NULL)
        print_result(res);
    printf("-- transaction status %d\n", (int)PQtransactionStatus(conn));
}

static void
row_by_row(PGconn *conn, const char *sql)
{
    printf("single rows: %s\n", sql);
    if (!PQsendQuery(conn, sql) || !PQsetSingleRowMode(conn))
        fail(conn, "sending");
    print_results(conn);
}

static void
in_chunks(PGconn *conn, const char *sql)
{
#ifdef LIBPQ_HAS_CHUNK_MODE
    printf("chunks: %s\n", sql);
    if (!PQsendQuery(conn, sql) || !PQsetChunkedRowsMode(conn, 7))
        fail(conn, "sending");
    print_results(conn);
#else
    (void)conn;
    (void)sql;
#endif
}

static void
pipeline(PGconn *conn)
{
    const char *values[1];
    char number[16];
    PGresult *res;
    int syncs = 0;

    printf("pipeline\n");
    if (!PQenterPipelineMode(conn))
        fail(conn, "entering the pipeline mode");
    for (int n = 0; n < 30; n++) {
        snprintf(number, sizeof(number), "%d", 3 - n % 10);
        values[0] = number;
        PQsendQueryParams(conn, "SELECT 100 / $1::int", 1, NULL, values, NULL, NULL, n % 2);
        PQsendPrepare(conn, "", "SELECT $1::text", 1, NULL);
        PQsendDescribePrepared(conn, "");
        PQsendQueryPrepared(conn, "", 1, values, NULL, NULL, 0);
        if (n % 3 == 2) {
            PQpipelineSync(conn);
            syncs++;
        }
        if (n % 5 == 4)
            PQsendFlushRequest(conn);
    }
    while (syncs > 0) {
        res = PQgetResult(conn);
        if (res == NULL)
            continue;
        if (PQresultStatus(res) == PGRES_PIPELINE_SYNC)
            syncs--;
        print_result(res);
    }
    if (!PQexitPipelineMode(conn))
        fail(conn, "leaving the pipeline mode");
}

static void
large_object(PGconn *conn)
{
    static char data[300000];
    int fd;
    Oid oid;

    memset(data, 'l', sizeof(data));
    PQclear(PQexec(conn, "BEGIN"));
    oid = lo_creat(conn, 0x20000 | 0x40000);
    fd = lo_open(conn, oid, 0x20000 | 0x40000);
    printf("lo_write %d\n", lo_write(conn, fd, data, sizeof(data)));
    lo_lseek(conn, fd, 0, 0);
    printf("lo_read %d\n", lo_read(conn, fd, data, sizeof(data)));
    printf("lo_close %d lo_unlink %d\n", lo_close(conn, fd), lo_unlink(conn, oid));
    PQclear(PQexec(conn, "COMMIT"));
}

int
main(int argc, char **argv)
{
    PGconn *conn = PQconnectdb(argc > 1 ? argv[1] : "");

    if (PQstatus(conn) != CONNECTION_OK)
        fail(conn, "connecting");
    row_by_row(conn, "SELECT generate_series(1, 2000)");
    row_by_row(conn, "SELECT 1/(5 - g) FROM generate_series(1, 9) g");
    row_by_row(conn, "SELECT 1; SELECT 2 WHERE false; SELECT generate_series(1, 3)");
    in_chunks(conn, "SELECT generate_series(1, 2000)");
    in_chunks(conn, "SELECT 1/(50 - g) FROM generate_series(1, 90) g");
    pipeline(conn);
    large_object(conn);
    PQfinish(conn);
    return 0;
}

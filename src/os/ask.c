/*
 * Questions of our own to a server, over libpq and the event loop.
 *
 * libpq's nonblocking calls do the talking; names are resolved by os/dns beforehand, because libpq
 * would block for them. Invariants: no watch is left on a descriptor while libpq may close it; the
 * timer runs exactly while a question waits; a callback is the last thing that a function does,
 * since it may free the object (but for `received`, which may not).
 */
#include "os/ask.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"

#include <libpq-fe.h>
#include <netdb.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAIRS_MAX = 10 };

#define LOST "08006" /* connection_failure: the connection ended */

enum ask_state { ASK_CLOSED, ASK_RESOLVING, ASK_CONNECTING, ASK_IDLE, ASK_ASKING, ASK_STREAMING };

struct ask {
    struct io *io;
    struct dns *dns;
    const struct ask_ops *ops;
    void *ctx;
    enum ask_state state;
    char *host;
    char *user;
    char *password;
    char *database;
    char *application_name;
    char *options;
    char *tls[ASK_TLS_WORDS]; /* values of tls_keywords */
    uint16_t port;
    bool replication;
    const struct ask_stream_ops *stream; /* the question that waits is to become one; or it is */
    struct dns_query *query;
    PGconn *conn;
    struct io_watch *watch;
    struct io_timer deadline;
    struct io_timer start; /* a question to an open connection begins from the loop */
    const char *sql;       /* the question that waits, or NULL */
    const char *value;     /* its $1, or NULL: it has none */
    PGresult *result;
    struct err parting; /* the server's last words while nothing was asked; "" when none */
    enum ask_failure failure;
};

static const char *const tls_keywords[ASK_TLS_WORDS] = {
    "sslmode", "sslrootcert", "sslcrl", "sslcert", "sslkey", "ssl_min_protocol_version"};

struct ask_rows {
    const PGresult *result;
    int version;
};

uint32_t
ask_row_count(const struct ask_rows *rows)
{
    return (uint32_t)PQntuples(rows->result);
}

const char *
ask_value(const struct ask_rows *rows, uint32_t row, uint32_t column)
{
    if (row >= ask_row_count(rows) || column >= (uint32_t)PQnfields(rows->result))
        return "";
    return PQgetvalue(rows->result, (int)row, (int)column);
}

bool
ask_is_null(const struct ask_rows *rows, uint32_t row, uint32_t column)
{
    return row >= ask_row_count(rows) || column >= ask_column_count(rows) ||
           PQgetisnull(rows->result, (int)row, (int)column);
}

uint32_t
ask_column_count(const struct ask_rows *rows)
{
    return (uint32_t)PQnfields(rows->result);
}

int
ask_server_version(const struct ask_rows *rows)
{
    return rows->version;
}

bool
ask_conninfo_value(const char *conninfo, const char *keyword, char *value_r, size_t size)
{
    PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
    bool found = false;

    for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
        if (o->val == NULL || o->val[0] == '\0' || strcmp(o->keyword, keyword) != 0)
            continue;
        str_copy(value_r, size, o->val);
        found = true;
    }
    PQconninfoFree(options);
    return found;
}

/* ---- ends ---- */

static void
unwatch(struct ask *a)
{
    if (a->watch != NULL)
        io_unwatch(a->watch);
    a->watch = NULL;
}

static void
close_connection(struct ask *a)
{
    unwatch(a);
    io_timer_stop(&a->start);
    if (a->query != NULL)
        dns_cancel(a->query);
    a->query = NULL;
    PQclear(a->result);
    a->result = NULL;
    PQfinish(a->conn);
    a->conn = NULL;
    a->parting.message[0] = '\0';
    a->stream = NULL;
    a->state = ASK_CLOSED;
}

/* A server process that has lost its postmaster says 57P01, as it does when somebody shuts the
 * server down. Only the place in PostgreSQL's source tells them apart in every language. */
static bool
is_orphan_s(const PGresult *result, const char *code)
{
    const char *function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);

    return code != NULL && strcmp(code, "57P01") == 0 && function != NULL &&
           (strcmp(function, "secure_read") == 0 || strcmp(function, "secure_write") == 0);
}

static void
take_error(const PGresult *result, struct err *err)
{
    const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (is_orphan_s(result, code))
        code = LOST;

    err_set(err, code != NULL ? code : "08P01", "%s",
            words != NULL ? words : "the server's answer was not understood");
}

static enum ask_failure
failure_said(const struct err *err)
{
    return strcmp(err->sqlstate, LOST) == 0 ? ASK_RESET : ASK_SERVER;
}

/* After such an error the server closes the connection. */
static bool
is_fatal(const PGresult *result)
{
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

    return severity != NULL && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0);
}

/* An error while nothing is asked reaches us as a notice: why the connection is about to end. */
static void
on_notice(void *ctx, const PGresult *result)
{
    struct ask *a = ctx;

    if (is_fatal(result))
        take_error(result, &a->parting);
}

static void
fail(struct ask *a, enum ask_failure failure, const struct err *err)
{
    bool asked = a->sql != NULL;

    a->failure = failure;
    close_connection(a);
    io_timer_stop(&a->deadline);
    a->sql = NULL;
    a->ops->failed(a->ctx, err, asked);
}

/* What the server itself said last is better than what libpq says of the end. */
static void
fail_by_libpq(struct ask *a, const char *sqlstate)
{
    const char *code = a->result != NULL ? PQresultErrorField(a->result, PG_DIAG_SQLSTATE) : NULL;
    struct err err;

    if (code != NULL) {
        take_error(a->result, &err);
        fail(a, failure_said(&err), &err);
    } else if (a->parting.message[0] != '\0') {
        err = a->parting;
        fail(a, failure_said(&err), &err);
    } else {
        enum ask_failure failure = ask_judge(PQerrorMessage(a->conn), sqlstate, &err);

        fail(a, failure, &err);
    }
}

static void
too_late(void *ctx)
{
    struct ask *a = ctx;
    struct err err;

    err_set(&err, "57014", "no answer from \"%s:%u\" in time", a->host, a->port);
    fail(a, ASK_TIMEOUT, &err);
}

/* ---- answers ---- */

static void on_event(void *ctx, int fd, unsigned events);

static void
watch(struct ask *a, unsigned events)
{
    if (a->watch == NULL)
        a->watch = io_watch(a->io, PQsocket(a->conn), events, on_event, a);
    else
        io_watch_change(a->watch, events);
}

static void
answer(struct ask *a)
{
    PGresult *result = a->result;
    ExecStatusType status = PQresultStatus(result);
    struct ask_rows rows = {result, PQserverVersion(a->conn)};
    struct err err;

    io_timer_stop(&a->deadline);
    a->result = NULL;
    a->sql = NULL;
    a->stream = NULL;
    a->state = ASK_IDLE;
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        a->ops->answered(a->ctx, &rows);
    } else {
        take_error(result, &err);
        a->failure = PQresultErrorField(result, PG_DIAG_SQLSTATE) != NULL ? failure_said(&err)
                                                                          : ASK_NONSENSE;
        if (a->failure == ASK_NONSENSE || is_fatal(result))
            close_connection(a);
        a->ops->failed(a->ctx, &err, true);
    }
    PQclear(result);
}

/* libpq would give the same result again and again, and wait for us to copy. */
static bool
is_copy(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

/* The server has ended it, with an error or without. */
static void
end_stream(struct ask *a)
{
    struct err err;

    PQclear(a->result);
    a->result = PQgetResult(a->conn);
    if (a->result != NULL && PQresultErrorField(a->result, PG_DIAG_SQLSTATE) == NULL &&
        PQstatus(a->conn) == CONNECTION_OK) {
        err_set(&err, LOST, "the server has ended the stream");
        fail(a, ASK_RESET, &err);
        return;
    }
    fail_by_libpq(a, LOST);
}

/* What libpq has read by now, which is bounded by what it reads at a time. */
static void
read_stream(struct ask *a)
{
    char *bytes;
    int len;

    while (a->state == ASK_STREAMING && (len = PQgetCopyData(a->conn, &bytes, 1)) > 0) {
        bool go_on = a->stream->received(a->ctx, (const uint8_t *)bytes, (size_t)len);

        PQfreemem(bytes);
        if (!go_on) {
            ask_close(a);
            return;
        }
    }
    if (a->state == ASK_STREAMING && len < 0)
        end_stream(a);
}

static void
begin_stream(struct ask *a)
{
    io_timer_stop(&a->deadline);
    PQclear(a->result);
    a->result = NULL;
    a->sql = NULL;
    a->state = ASK_STREAMING;
    a->stream->begun(a->ctx);
    read_stream(a); /* what came with it */
}

static void
read_answer(struct ask *a)
{
    PGresult *next;
    struct err err;

    if (!PQconsumeInput(a->conn)) {
        fail_by_libpq(a, "08006");
        return;
    }
    if (a->state == ASK_STREAMING) {
        read_stream(a);
        return;
    }
    if (a->state != ASK_ASKING) {
        PQisBusy(a->conn); /* looks at what has come, for on_notice */
        return;
    }
    while (!PQisBusy(a->conn)) {
        next = PQgetResult(a->conn);
        if (next == NULL) {
            answer(a);
            return;
        }
        PQclear(a->result);
        a->result = next;
        if (PQstatus(a->conn) != CONNECTION_OK) {
            fail_by_libpq(a, "08006");
            return;
        }
        if (PQresultStatus(next) == PGRES_COPY_BOTH && a->stream != NULL) {
            begin_stream(a);
            return;
        }
        if (is_copy(next)) {
            err_set(&err, "08P01", "the server answers a question with COPY");
            fail(a, ASK_NONSENSE, &err);
            return;
        }
    }
}

static void
flush(struct ask *a)
{
    int rest = PQflush(a->conn);

    if (rest < 0)
        fail_by_libpq(a, "08006");
    else
        watch(a, rest > 0 ? IO_READABLE | IO_WRITABLE : IO_READABLE);
}

static void
send_question(struct ask *a)
{
    int sent;

    a->state = ASK_ASKING;
    if (a->value == NULL)
        sent = PQsendQuery(a->conn, a->sql);
    else
        sent = PQsendQueryParams(a->conn, a->sql, 1, NULL, (const char *const[]){a->value}, NULL,
                                 NULL, 0);
    if (!sent)
        fail_by_libpq(a, "08006");
    else
        flush(a);
}

/* ---- connecting ---- */

static void
connect_on(struct ask *a, PostgresPollingStatusType what)
{
    switch (what) {
    case PGRES_POLLING_READING:
        watch(a, IO_READABLE);
        return;
    case PGRES_POLLING_WRITING:
        watch(a, IO_WRITABLE);
        return;
    case PGRES_POLLING_OK:
        PQsetnonblocking(a->conn, 1);
        a->state = ASK_IDLE;
        send_question(a);
        return;
    default:
        fail_by_libpq(a, "08001");
        return;
    }
}

static void
on_event(void *ctx, int fd UNUSED, unsigned events)
{
    struct ask *a = ctx;

    if (a->state == ASK_CONNECTING) {
        unwatch(a); /* libpq may go on with another socket */
        connect_on(a, PQconnectPoll(a->conn));
    } else {
        if (a->state >= ASK_ASKING && events & IO_WRITABLE && PQflush(a->conn) == 0)
            watch(a, IO_READABLE);
        if (events & IO_READABLE)
            read_answer(a);
    }
}

/* "192.0.2.1,192.0.2.2", and as many times the name: libpq tries one after the other. */
static void
list_addresses(const struct ask *a, const struct dns_answer *answer, struct buf *hosts,
               struct buf *addresses)
{
    for (uint32_t n = 0; n < answer->count; n++) {
        const struct sock_address *at = &answer->list[n];
        char text[NI_MAXHOST] = "";

        if (sock_addr(at)->sa_family == AF_UNIX)
            continue;
        if (getnameinfo(sock_addr(at), at->len, text, sizeof(text), NULL, 0, NI_NUMERICHOST) != 0)
            continue;
        if (addresses->len > 0) {
            buf_add(addresses, ",", 1);
            buf_add(hosts, ",", 1);
        }
        buf_add(addresses, text, strlen(text));
        buf_add(hosts, a->host, strlen(a->host));
    }
    if (addresses->len == 0)
        buf_add(hosts, a->host, strlen(a->host));
}

static void
dial(struct ask *a, const struct dns_answer *answer)
{
    struct buf hosts = BUF_EMPTY;
    struct buf addresses = BUF_EMPTY;
    char port[8];
    const char *names[PAIRS_MAX + ASK_TLS_WORDS + 1] = {
        "host",     "hostaddr",         "port",       "user",    "dbname",
        "password", "application_name", "gssencmode", "options", "replication"};
    const char *values[PAIRS_MAX + ASK_TLS_WORDS + 1];

    snprintf(port, sizeof(port), "%u", a->port);
    list_addresses(a, answer, &hosts, &addresses);
    memcpy(values,
           (const char *const[PAIRS_MAX]){buf_cstr(&hosts), buf_cstr(&addresses), port, a->user,
                                          a->database, a->password, a->application_name, "disable",
                                          a->options, a->replication ? "database" : ""},
           PAIRS_MAX * sizeof(values[0]));
    memcpy(names + PAIRS_MAX, tls_keywords, sizeof(tls_keywords));
    memcpy(values + PAIRS_MAX, a->tls, sizeof(a->tls));
    values[PAIRS_MAX + ASK_TLS_WORDS] = NULL;
    a->conn = PQconnectStartParams(names, values, 0);
    buf_free(&hosts);
    buf_free(&addresses);
    if (a->conn == NULL)
        BUG("out of memory");
    PQsetErrorVerbosity(a->conn, PQERRORS_VERBOSE); /* or the words have no SQLSTATE */
    PQsetNoticeReceiver(a->conn, on_notice, a);
    a->state = ASK_CONNECTING;
    if (PQstatus(a->conn) == CONNECTION_BAD)
        fail_by_libpq(a, "08001");
    else
        connect_on(a, PGRES_POLLING_WRITING);
}

static void
resolved(void *ctx, const struct dns_answer *answer, const struct err *err)
{
    struct ask *a = ctx;

    a->query = NULL;
    if (answer == NULL)
        fail(a, ASK_UNRESOLVED, err);
    else
        dial(a, answer);
}

/* ---- for the owner ---- */

struct ask *
ask_new(struct io *io, struct dns *dns, const struct ask_ops *ops, void *ctx)
{
    struct ask *a = xcalloc(1, sizeof(*a));

    a->io = io;
    a->dns = dns;
    a->ops = ops;
    a->ctx = ctx;
    return a;
}

static void
forget_target(struct ask *a)
{
    free(a->host);
    free(a->user);
    if (a->password != NULL)
        OPENSSL_cleanse(a->password, strlen(a->password));
    free(a->password);
    free(a->database);
    free(a->application_name);
    free(a->options);
    for (size_t n = 0; n < ASK_TLS_WORDS; n++)
        free(a->tls[n]);
}

void
ask_free(struct ask *a)
{
    if (a == NULL)
        return;
    close_connection(a);
    io_timer_stop(&a->deadline);
    forget_target(a);
    free(a);
}

static void
list_tls(const struct ask_tls *tls, const char **values)
{
    const char *const list[ASK_TLS_WORDS] = {tls->mode, tls->ca_cert, tls->crl_file,
                                             tls->cert, tls->key,     tls->min_version};

    for (size_t n = 0; n < ASK_TLS_WORDS; n++)
        values[n] = list[n] != NULL ? list[n] : "";
}

static bool
is_same_tls(const struct ask *a, const struct ask_tls *tls)
{
    const char *values[ASK_TLS_WORDS];

    list_tls(tls, values);
    for (size_t n = 0; n < ASK_TLS_WORDS; n++) {
        if (strcmp(a->tls[n], values[n]) != 0)
            return false;
    }
    return true;
}

static bool
is_same(const struct ask *a, const struct ask_target *t)
{
    return a->host != NULL && a->port == t->port && strcmp(a->host, t->host) == 0 &&
           strcmp(a->user, t->user) == 0 && strcmp(a->database, t->database) == 0 &&
           strcmp(a->password, t->password != NULL ? t->password : "") == 0 &&
           strcmp(a->application_name, t->application_name) == 0 &&
           a->replication == t->replication &&
           strcmp(a->options, t->options != NULL ? t->options : "") == 0 && is_same_tls(a, &t->tls);
}

void
ask_close(struct ask *a)
{
    close_connection(a);
    io_timer_stop(&a->deadline);
    a->sql = NULL;
}

void
ask_set_ops(struct ask *a, const struct ask_ops *ops, void *ctx)
{
    BUG_UNLESS(a->sql == NULL);
    a->ops = ops;
    a->ctx = ctx;
}

bool
ask_set_target(struct ask *a, const struct ask_target *t)
{
    const char *tls[ASK_TLS_WORDS];

    if (is_same(a, t))
        return false;
    ask_close(a);
    forget_target(a);
    a->host = xstrdup(t->host);
    a->port = t->port;
    a->replication = t->replication;
    a->user = xstrdup(t->user);
    a->password = xstrdup(t->password != NULL ? t->password : "");
    a->database = xstrdup(t->database);
    a->application_name = xstrdup(t->application_name);
    a->options = xstrdup(t->options != NULL ? t->options : "");
    list_tls(&t->tls, tls);
    for (size_t n = 0; n < ASK_TLS_WORDS; n++)
        a->tls[n] = xstrdup(tls[n]);
    return true;
}

static void
begin(void *ctx)
{
    send_question(ctx);
}

void
ask_question(struct ask *a, const char *sql, int64_t limit_ms)
{
    ask_about(a, sql, NULL, limit_ms);
}

void
ask_about(struct ask *a, const char *sql, const char *value, int64_t limit_ms)
{
    BUG_UNLESS(a->sql == NULL && a->host != NULL);
    a->sql = sql;
    a->value = value;
    io_timer_start(a->io, &a->deadline, limit_ms, too_late, a);
    if (a->state == ASK_CLOSED) {
        a->state = ASK_RESOLVING;
        a->query = dns_lookup(a->dns, a->host, a->port, resolved, a);
    } else {
        io_timer_start(a->io, &a->start, 0, begin, a);
    }
}

void
ask_stream(struct ask *a, const char *sql, const struct ask_stream_ops *ops, int64_t limit_ms)
{
    ask_about(a, sql, NULL, limit_ms);
    a->stream = ops;
}

/* What does not leave at once does when the socket takes more; what fails is told when it is read
 * from. */
void
ask_send(struct ask *a, const void *bytes, size_t len)
{
    BUG_UNLESS(a->state == ASK_STREAMING);
    if (PQputCopyData(a->conn, bytes, (int)len) == 1 && PQflush(a->conn) > 0)
        watch(a, IO_READABLE | IO_WRITABLE);
}

bool
ask_is_busy(const struct ask *a)
{
    return a->sql != NULL;
}

enum ask_failure
ask_failure(const struct ask *a)
{
    return a->failure;
}

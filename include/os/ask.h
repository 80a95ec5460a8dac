/*
 * Questions of our own to a server: one kept connection over libpq, asked one statement at a time,
 * never blocking the event loop.
 *
 * A question dials when there is no connection; its deadline covers all of it: name, connection,
 * login, answer. Used by the processes that watch servers, never for a client's statement.
 * A connection for replication takes the commands of a walsender as questions, too, and may become
 * a stream.
 * Source: PostgreSQL's manual, chapter "libpq", sections "Database Connection Control Functions",
 * "Asynchronous Command Processing" and "Functions Associated with the COPY Command".
 */
#ifndef OS_ASK_H
#define OS_ASK_H

#include "base/err.h"
#include "os/ask_failure.h"
#include "os/dns.h"
#include "os/io.h"

#include <stdbool.h>

struct ask;

/* With libpq's words (sslmode and so on); NULL or "": libpq's own idea. */
struct ask_tls {
    const char *mode;
    const char *ca_cert;
    const char *crl_file;
    const char *cert;
    const char *key;
    const char *min_version;
};
enum { ASK_TLS_WORDS = 6 };

/* Copied. */
struct ask_target {
    const char *host; /* a name, a literal, or an absolute path: a unix socket's directory */
    uint16_t port;
    const char *user;
    const char *password; /* NULL or "": none */
    const char *database;
    const char *application_name;
    const char *options; /* parameters of the session, as "-c search_path="; NULL: none */
    bool replication;    /* of logical changes of this database: a walsender answers */
    struct ask_tls tls;
};

/* The rows of an answer, valid during the callback. */
struct ask_rows;
uint32_t ask_row_count(const struct ask_rows *rows);
/* "" for null and for what is not there. */
const char *ask_value(const struct ask_rows *rows, uint32_t row, uint32_t column);
bool ask_is_null(const struct ask_rows *rows, uint32_t row, uint32_t column);
uint32_t ask_column_count(const struct ask_rows *rows);
/* As libpq counts: 150018. */
int ask_server_version(const struct ask_rows *rows);

/* The value of a keyword in a connection string; false when it is not there. */
bool ask_conninfo_value(const char *conninfo, const char *keyword, char *value_r, size_t size);

struct ask_ops {
    void (*answered)(void *ctx, const struct ask_rows *rows);
    /* The question has no answer, or (asked is false) the connection was lost while nothing was
     * asked. err has the server's SQLSTATE where it gave one, else 08001 (could not connect),
     * 08006 (lost), 08P01 (nonsense) or 57014 (the deadline passed); ask_failure tells more. The
     * connection is closed unless the server only refused the statement. */
    void (*failed)(void *ctx, const struct err *err, bool asked);
};

/* Opens nothing yet. ops is borrowed; io and dns must outlive it. */
struct ask *ask_new(struct io *io, struct dns *dns, const struct ask_ops *ops, void *ctx);

/* Closes; no callback runs any more. Allowed in its own callbacks. NULL is allowed. */
void ask_free(struct ask *a);

/* It has another owner now; only while it is not busy. */
void ask_set_ops(struct ask *a, const struct ask_ops *ops, void *ctx);

/* When the target has changed (then true): closes what is open, forgets a question that waits
 * without a callback; the next one goes to the new target. */
bool ask_set_target(struct ask *a, const struct ask_target *target);

/* Closes what is open, so that the next question dials anew; forgets a question that waits without
 * a callback. Allowed in its own callbacks. */
void ask_close(struct ask *a);

/* How it failed; valid during failed. A deadline that passed is ASK_TIMEOUT, also when what was
 * waited for was the resolver. */
enum ask_failure ask_failure(const struct ask *a);

/* Asks; a callback tells, never inside this call. sql is borrowed until then. Not while
 * ask_is_busy. */
void ask_question(struct ask *a, const char *sql, int64_t limit_ms);

/* The same with a value for $1, a text, which is borrowed as well. sql is one statement. */
void ask_about(struct ask *a, const char *sql, const char *value, int64_t limit_ms);
bool ask_is_busy(const struct ask *a);

struct ask_stream_ops {
    /* Neither may free or close. */
    void (*begun)(void *ctx);
    /* One CopyData, valid during the call. False: the stream is of no use any more; the connection
     * is closed then, and failed is called no more. */
    bool (*received)(void *ctx, const uint8_t *bytes, size_t len);
};

/* A question whose answer is COPY in both directions (START_REPLICATION). From begun on the
 * connection is a stream, until failed is called (asked is false), or ask_close. ops is borrowed.
 */
void ask_stream(struct ask *a, const char *sql, const struct ask_stream_ops *ops, int64_t limit_ms);

/* Sends a CopyData; only while it is a stream. Failure is told by failed, from the loop. */
void ask_send(struct ask *a, const void *bytes, size_t len);

#endif

/*
 * Words of libpq to classes of failure. Pure.
 *
 * One row for each text that is known; a row's life says how much a line with it speaks for a
 * server that lives. It decides between the lines of several addresses: a standby server is not
 * dead because its IPv6 address refuses, and not alive because we have no IPv6.
 */
#include "os/ask_failure.h"

#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

enum life {
    LIFE_OURS, /* says nothing about the server */
    LIFE_REFUSED,
    LIFE_RESET,
    LIFE_NONSENSE,
    LIFE_UNREACHABLE,
    LIFE_TIMEOUT,
    LIFE_SPEAKS,
    LIFE_SERVER,
};

struct row {
    const char *text; /* NULL: that of error */
    int error;
    enum ask_failure failure;
    enum life life;
};

/* The first that fits counts: texts of libpq before those of strerror, which may end them. */
static const struct row rows[] = {
    {"could not translate host name", 0, ASK_UNRESOLVED, LIFE_OURS},
    {"SSL SYSCALL error: EOF detected", 0, ASK_RESET, LIFE_RESET},
    {"unexpected eof while reading", 0, ASK_RESET, LIFE_RESET},
    {"SSL connection has been closed unexpectedly", 0, ASK_RESET, LIFE_RESET},
    {"server closed the connection unexpectedly", 0, ASK_RESET, LIFE_RESET},
    {"certificate", 0, ASK_OWN, LIFE_SPEAKS},
    {"private key", 0, ASK_OWN, LIFE_SPEAKS},
    {"SSL error", 0, ASK_OWN, LIFE_SPEAKS},
    {"server does not support SSL", 0, ASK_OWN, LIFE_SPEAKS},
    {"authentication method", 0, ASK_OWN, LIFE_SPEAKS},
    {"authentication not supported", 0, ASK_OWN, LIFE_SPEAKS},
    {"SASL", 0, ASK_OWN, LIFE_SPEAKS},
    {"SCRAM", 0, ASK_OWN, LIFE_SPEAKS},
    {"channel binding", 0, ASK_OWN, LIFE_SPEAKS},
    {"out of memory", 0, ASK_OWN, LIFE_OURS},
    {"Unix-domain socket path", 0, ASK_OWN, LIFE_OURS},
    {" value: \"", 0, ASK_OWN, LIFE_OURS}, /* invalid sslmode value: "x" */
    {"invalid port number", 0, ASK_OWN, LIFE_OURS},
    {"timeout expired", 0, ASK_TIMEOUT, LIFE_TIMEOUT},
    {"expected authentication request", 0, ASK_NONSENSE, LIFE_NONSENSE},
    {"received invalid response", 0, ASK_NONSENSE, LIFE_NONSENSE},
    {"lost synchronization", 0, ASK_NONSENSE, LIFE_NONSENSE},
    {NULL, ECONNREFUSED, ASK_REFUSED, LIFE_REFUSED},
    {NULL, ENOENT, ASK_REFUSED, LIFE_REFUSED},
    {NULL, ECONNRESET, ASK_RESET, LIFE_RESET},
    {NULL, ECONNABORTED, ASK_RESET, LIFE_RESET},
    {NULL, EPIPE, ASK_RESET, LIFE_RESET},
    {NULL, ETIMEDOUT, ASK_TIMEOUT, LIFE_TIMEOUT},
    /* connect to a unix socket whose queue is full: libpq goes on without a connection */
    {NULL, ENOTCONN, ASK_TIMEOUT, LIFE_TIMEOUT},
    {NULL, EAGAIN, ASK_TIMEOUT, LIFE_TIMEOUT},
    {NULL, EHOSTUNREACH, ASK_UNREACHABLE, LIFE_UNREACHABLE},
    {NULL, EHOSTDOWN, ASK_UNREACHABLE, LIFE_UNREACHABLE},
    {NULL, ENETUNREACH, ASK_UNREACHABLE, LIFE_OURS},
    {NULL, ENETDOWN, ASK_UNREACHABLE, LIFE_OURS},
    {NULL, EMFILE, ASK_OWN, LIFE_OURS},
    {NULL, ENFILE, ASK_OWN, LIFE_OURS},
    {NULL, ENOMEM, ASK_OWN, LIFE_OURS},
    {NULL, ENOBUFS, ASK_OWN, LIFE_OURS},
    {NULL, EACCES, ASK_OWN, LIFE_OURS},
    {NULL, EPERM, ASK_OWN, LIFE_OURS},
    {NULL, EADDRNOTAVAIL, ASK_OWN, LIFE_OURS},
    {NULL, EAFNOSUPPORT, ASK_OWN, LIFE_OURS},
    {NULL, EINVAL, ASK_OWN, LIFE_OURS},
};

static const char *const names[] = {
    [ASK_REFUSED] = "refused",         [ASK_RESET] = "reset",           [ASK_TIMEOUT] = "timeout",
    [ASK_UNREACHABLE] = "unreachable", [ASK_UNRESOLVED] = "unresolved", [ASK_OWN] = "our side",
    [ASK_SERVER] = "server",           [ASK_NONSENSE] = "nonsense",
};

/* What one line says. */
struct said {
    enum ask_failure failure;
    int life; /* -1: nothing that is known */
    char sqlstate[6];
    const char *words; /* up to the end of the line */
};

const char *
ask_failure_name(enum ask_failure failure)
{
    return (size_t)failure < ARRAY_LEN(names) ? names[failure] : "";
}

static bool
holds(const char *line, size_t len, const char *text)
{
    return memmem(line, len, text, strlen(text)) != NULL;
}

/* "<severity in any language>:  57P03: the database system is starting up". */
static bool
find_server_error(const char *line, size_t len, struct said *said_r)
{
    enum { CODE = 5, SIGNS = 3 }; /* ":  ", five characters, ": " */

    for (size_t at = 0; at + SIGNS + CODE + 2 <= len; at++) {
        const char *code = line + at + SIGNS;
        int good = 0;

        if (memcmp(line + at, ":  ", SIGNS) != 0 || memcmp(code + CODE, ": ", 2) != 0)
            continue;
        while (good < CODE &&
               (isdigit((unsigned char)code[good]) || isupper((unsigned char)code[good])))
            good++;
        if (good < CODE)
            continue;
        said_r->failure = ASK_SERVER;
        said_r->life = LIFE_SERVER;
        str_copy_n(said_r->sqlstate, sizeof(said_r->sqlstate), code, CODE);
        said_r->words = code + CODE + 2;
        return true;
    }
    return false;
}

/* What a server says without a SQLSTATE, and what libpq says for it. */
static bool
find_server_words(const char *line, size_t len, struct said *said_r)
{
    const char *sqlstate;

    /* The oldest form of an error: the server could not even make a process for us. Nothing else is
     * said before the request for SSL is answered, and then libpq keeps the words to itself. */
    if (holds(line, len, "could not fork new process") ||
        holds(line, len, "error response during SSL exchange"))
        sqlstate = "53000";
    else if (holds(line, len, "no password supplied"))
        sqlstate = "28P01";
    else
        return false;
    said_r->failure = ASK_SERVER;
    said_r->life = LIFE_SERVER;
    str_copy(said_r->sqlstate, sizeof(said_r->sqlstate), sqlstate);
    return true;
}

static struct said
judge_line(const char *line, size_t len)
{
    struct said said = {.failure = ASK_NONSENSE, .life = -1, .words = line};

    /* tabs begin what libpq adds: "Is the server running on that host ...?" */
    if (line[0] == '\t' || find_server_error(line, len, &said) ||
        find_server_words(line, len, &said))
        return said;
    for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
        const char *text = rows[n].text != NULL ? rows[n].text : strerror(rows[n].error);

        if (!holds(line, len, text))
            continue;
        said.failure = rows[n].failure;
        said.life = (int)rows[n].life;
        return said;
    }
    return said;
}

enum ask_failure
ask_judge(const char *words, const char *sqlstate, struct err *err)
{
    struct said best = {.failure = ASK_NONSENSE, .life = -1, .words = words};
    size_t len;

    for (const char *line = words; *line != '\0';) {
        struct said said;

        len = strcspn(line, "\n");
        said = judge_line(line, len);
        if (said.life > best.life)
            best = said;
        line += len + (line[len] == '\n');
    }
    len = strcspn(best.words, "\n");
    err_set(err, best.sqlstate[0] != '\0' ? best.sqlstate : sqlstate, "%.*s",
            len > 0 ? (int)len : INT_MAX, len > 0 ? best.words : "no answer");
    return best.failure;
}

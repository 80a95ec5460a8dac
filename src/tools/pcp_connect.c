/*
 * The connection of a pcp_* tool. The password comes from .pcppass, else from the terminal, and
 * only when pgpool asks for one: over its unix socket its own user and root need none.
 * Used by the pcp_* tools and by pgpool top.
 */
#include "tools/pcp.h"

#include "base/err.h"
#include "os/file.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

enum { PASS_FILE_MAX = 1024 * 1024, PASSWORD_MAX = 4096, PATH_BYTES = 4096 };

static const char default_hosts[] = "/tmp,localhost";

int
pcp_fail(const struct pcp *p, const char *fmt, ...)
{
    char words[4096];
    size_t len;
    va_list args;

    va_start(args, fmt);
    vsnprintf(words, sizeof(words), fmt, args);
    va_end(args);
    len = strlen(words);
    while (len > 0 && words[len - 1] == '\n')
        words[--len] = '\0';
    fprintf(stderr, "%s: %s\n", p->tool, words);
    return 1;
}

static void
wipe(struct buf *secret)
{
    if (secret->len > 0)
        explicit_bzero(secret->data, secret->len);
    buf_free(secret);
}

/* ---- .pcppass ---- */

static bool
find_pass_file(char path_r[PATH_BYTES])
{
    const char *named = getenv("PCPPASSFILE");
    const char *home = getenv("HOME");
    const struct passwd *pw = NULL;

    if (named != NULL && named[0] != '\0')
        return snprintf(path_r, PATH_BYTES, "%s", named) < PATH_BYTES;
    if (home == NULL || home[0] == '\0')
        pw = getpwuid(geteuid());
    if (pw != NULL)
        home = pw->pw_dir;
    return home != NULL && snprintf(path_r, PATH_BYTES, "%s/.pcppass", home) < PATH_BYTES;
}

/* The whole file, when nobody else can read it. */
static bool
read_pass_file(const struct pcp *p, const char *path, struct buf *text)
{
    struct stat st;
    struct err err;

    if (stat(path, &st) != 0)
        return false;
    if (S_ISREG(st.st_mode) && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        fprintf(stderr,
                "%s: warning: password file \"%s\" is not used: others can read it (hint: chmod "
                "600)\n",
                p->tool, path);
        return false;
    }
    if (file_read(path, PASS_FILE_MAX, text, &err) == 0)
        return true;
    fprintf(stderr, "%s: warning: %s\n", p->tool, err.message);
    return false;
}

static bool
look_up(const struct pcp *p, const char *user, struct buf *password)
{
    struct pcp_pass_key key = {p->host != NULL ? p->host : "localhost", p->port, user};
    struct buf text = BUF_EMPTY;
    char path[PATH_BYTES];
    bool found = false;

    if (find_pass_file(path) && read_pass_file(p, path, &text))
        found = pcp_pass_find((const char *)text.data, text.len, &key, password);
    wipe(&text);
    return found;
}

/* ---- the terminal ---- */

/* Reads a line without showing it; from standard input where there is no terminal. */
static bool
prompt(struct buf *password)
{
    FILE *in = fopen("/dev/tty", "r+e");
    FILE *used = in != NULL ? in : stdin;
    char line[PASSWORD_MAX];
    struct termios before;
    struct termios quiet;
    bool hidden = tcgetattr(fileno(used), &before) == 0;
    bool got;

    if (hidden) {
        quiet = before;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(fileno(used), TCSAFLUSH, &quiet);
    }
    fputs("Password: ", in != NULL ? in : stderr);
    fflush(in != NULL ? in : stderr);
    got = fgets(line, sizeof(line), used) != NULL;
    if (hidden)
        tcsetattr(fileno(used), TCSAFLUSH, &before);
    fputs("\n", in != NULL ? in : stderr);
    if (in != NULL)
        fclose(in);
    if (got) {
        line[strcspn(line, "\r\n")] = '\0';
        buf_add_str(password, line);
    }
    explicit_bzero(line, sizeof(line));
    return got;
}

/* ---- the connection ---- */

static const char *
own_name(void)
{
    const struct passwd *pw = getpwuid(geteuid());

    return pw != NULL ? pw->pw_name : NULL;
}

static PGconn *
try(const struct pcp *p, const char *user, const char *password)
{
    const char *const names[] = {"host",     "port",   "user",
                                 "password", "dbname", "fallback_application_name",
                                 "passfile", NULL};
    const char *const values[] = {p->host != NULL ? p->host : default_hosts,
                                  p->port,
                                  user,
                                  password,
                                  "pgpool",
                                  p->tool,
                                  "/nonexistent/passfile",
                                  NULL};

    if (p->debug)
        fprintf(stderr, "%s: debug: connecting to \"%s\", port %s, as \"%s\"%s\n", p->tool,
                values[0], p->port, user, password != NULL ? " with a password" : "");
    return PQconnectdbParams(names, values, 0);
}

PGconn *
pcp_try(const struct pcp *p)
{
    const char *user = p->user != NULL ? p->user : own_name();
    struct buf password = BUF_EMPTY;
    bool known = user != NULL && look_up(p, user, &password);
    PGconn *conn = try(p, user, known ? buf_cstr(&password) : NULL);

    wipe(&password);
    return conn;
}

PGconn *
pcp_connect(const struct pcp *p)
{
    const char *user = p->user != NULL ? p->user : own_name();
    struct buf password = BUF_EMPTY;
    PGconn *conn;
    bool known;

    if (user == NULL) {
        pcp_fail(p, "the system does not know who you are: give a user with -U");
        return NULL;
    }
    known = p->prompt == PCP_PROMPT_ALWAYS ? prompt(&password) : look_up(p, user, &password);
    conn = try(p, user, known ? buf_cstr(&password) : NULL);
    if (PQstatus(conn) != CONNECTION_OK && PQconnectionNeedsPassword(conn) && !known &&
        p->prompt == PCP_PROMPT_WHEN_NEEDED && prompt(&password)) {
        PQfinish(conn);
        conn = try(p, user, buf_cstr(&password));
    }
    wipe(&password);
    if (PQstatus(conn) == CONNECTION_OK)
        return conn;
    pcp_fail(p, "%s", PQerrorMessage(conn));
    PQfinish(conn);
    return NULL;
}

/* ---- a command ---- */

static PGcancel *volatile to_cancel;

/* PQcancel may be called here. */
static void
interrupted(int signo UNUSED)
{
    char ignored[256];
    int error = errno;

    if (to_cancel != NULL)
        PQcancel(to_cancel, ignored, sizeof(ignored));
    errno = error;
}

/* FATAL comes behind the answer, when pgpool ends as it was told to. */
static void
print_notice(void *ctx UNUSED, const PGresult *notice)
{
    const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY);

    if (severity == NULL || strcmp(severity, "FATAL") != 0)
        fputs(PQresultErrorMessage(notice), stderr);
}

PGresult *
pcp_run(const struct pcp *p, PGconn *conn, const char *sql)
{
    struct sigaction act = {.sa_handler = interrupted, .sa_flags = SA_RESTART};
    ExecStatusType status;
    PGresult *r;

    if (p->debug)
        fprintf(stderr, "%s: debug: %s\n", p->tool, sql);
    to_cancel = PQgetCancel(conn);
    sigaction(SIGINT, &act, NULL);
    PQsetNoticeReceiver(conn, print_notice, NULL);
    r = PQexec(conn, sql);
    act.sa_handler = SIG_DFL;
    sigaction(SIGINT, &act, NULL);
    PQfreeCancel(to_cancel);
    to_cancel = NULL;
    status = PQresultStatus(r);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return r;
    pcp_fail(p, "%s", r != NULL ? PQresultErrorMessage(r) : PQerrorMessage(conn));
    PQclear(r);
    return NULL;
}

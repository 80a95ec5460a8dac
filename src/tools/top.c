/*
 * pgpool top: the loop and the command line (tools/top.h).
 *
 * On a terminal it asks again every few seconds and obeys single keys; elsewhere, and with --once,
 * it prints once. A connection that is lost is made anew at the next turn. While pgpool does not
 * answer it waits; signals end it all the same (os/terminal.h).
 */
#include "tools/top.h"

#include "base/num.h"
#include "os/clock.h"
#include "os/terminal.h"
#include "tools/pcp.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DELAY_S = 2, DELAY_MAX_S = 3600, STATUS_FAILED = 1, STATUS_USAGE = 2, FAILURE_BYTES = 256 };

static const char home[] = "\033[H";
static const char clear_below[] = "\033[J";

struct top {
    struct pcp pcp;
    PGconn *conn; /* NULL: not connected */
    PGresult *statements;
    PGresult *nodes;
    struct top_list list;
    PGresult *statements_before;
    struct top_list before;
    int64_t asked_ns; /* when `before` was asked for, then `list` */
    struct top_view view;
    char where[128];
    char failure[FAILURE_BYTES];
    bool once;
    int delay_s;
    size_t rows;
    struct buf screen;
};

/* ---- asking ---- */

static void
forget_before(struct top *t)
{
    top_list_free(&t->before);
    PQclear(t->statements_before);
    t->statements_before = NULL;
}

static void
forget(struct top *t)
{
    forget_before(t);
    top_list_free(&t->list);
    PQclear(t->statements);
    PQclear(t->nodes);
    t->statements = t->nodes = NULL;
}

/* Says so in the screen's head, or on standard error; -1. */
static int
fail(struct top *t, const char *words)
{
    snprintf(t->failure, sizeof(t->failure), "%.*s", (int)strcspn(words, "\n"), words);
    PQfinish(t->conn);
    t->conn = NULL;
    return -1;
}

static int
connect_again(struct top *t)
{
    struct pcp quiet = t->pcp;

    if (t->conn != NULL)
        return 0;
    quiet.prompt = PCP_PROMPT_NEVER;
    t->conn = pcp_try(&quiet);
    return PQstatus(t->conn) == CONNECTION_OK ? 0 : fail(t, PQerrorMessage(t->conn));
}

static PGresult *
ask(struct top *t, const char *sql)
{
    PGresult *r = PQexec(t->conn, sql);

    if (PQresultStatus(r) == PGRES_TUPLES_OK)
        return r;
    fail(t, r != NULL ? PQresultErrorMessage(r) : PQerrorMessage(t->conn));
    PQclear(r);
    return NULL;
}

/* The list that was there is then the one before. */
static int
refresh(struct top *t)
{
    struct top_list list;
    int64_t now_ns = clock_monotonic_ns();
    PGresult *statements;
    PGresult *nodes;

    if (connect_again(t) != 0 || (statements = ask(t, "SHOW pool_statements")) == NULL)
        return -1;
    nodes = ask(t, "SHOW pool_nodes");
    if (nodes == NULL || top_list_read(statements, &list) != 0) {
        PQclear(statements);
        PQclear(nodes);
        return nodes == NULL ? -1 : fail(t, "this pgpool shows no statements that are understood");
    }
    forget_before(t);
    PQclear(t->nodes);
    t->before = t->list;
    t->statements_before = t->statements;
    t->list = list;
    t->statements = statements;
    t->nodes = nodes;
    if (t->statements_before != NULL)
        top_list_compare(&t->list, &t->before, (double)(now_ns - t->asked_ns) / 1e9);
    t->asked_ns = now_ns;
    t->failure[0] = '\0';
    return 0;
}

/* ---- showing ---- */

static void
draw(struct top *t)
{
    time_t now = time(NULL);
    char text[32] = "";
    struct tm tm;

    if (localtime_r(&now, &tm) != NULL)
        strftime(text, sizeof(text), "%H:%M:%S", &tm);
    top_list_sort(&t->list, t->view.order, t->view.reverse);
    t->view.time = text;
    t->view.nodes = t->nodes;
    t->view.list = &t->list;
    t->view.failure = t->failure[0] != '\0' ? t->failure : NULL;
    t->view.delay_s = t->once ? 0 : t->delay_s;
    t->view.keys = !t->once;
    top_print(&t->view, &t->screen);
}

static int
show_once(struct top *t)
{
    size_t lines = 4;

    t->once = true;
    if (refresh(t) != 0)
        return pcp_fail(&t->pcp, "%s", t->failure);
    t->view.height = t->rows > 0 ? t->rows + lines - 1 : 0;
    draw(t);
    return fwrite(t->screen.data, 1, t->screen.len, stdout) == t->screen.len && fflush(stdout) == 0
               ? 0
               : STATUS_FAILED;
}

/* Each line is cleared behind its end, and what is left below; the last newline would scroll. */
static void
show_screen(struct top *t)
{
    struct buf out = BUF_EMPTY;
    size_t len;

    terminal_size(&t->view.width, &t->view.height);
    draw(t);
    len = t->screen.len > 0 ? t->screen.len - 1 : 0;
    buf_add_str(&out, home);
    for (size_t n = 0; n < len; n++) {
        if (t->screen.data[n] == '\n')
            buf_add_str(&out, "\033[K\r\n");
        else
            buf_add_u8(&out, t->screen.data[n]);
    }
    buf_add_str(&out, "\033[K");
    buf_add_str(&out, clear_below);
    terminal_write(out.data, out.len);
    buf_free(&out);
}

/* False: it is the end. */
static bool
obey(struct top *t, int key)
{
    for (int n = 0; n < TOP_ORDERS; n++) {
        if (key == top_order_key((enum top_order)n))
            t->view.order = (enum top_order)n;
    }
    if (key == 'R')
        t->view.reverse = !t->view.reverse;
    if (key == '+')
        t->delay_s = MIN(t->delay_s + 1, (int)DELAY_MAX_S);
    if (key == '-')
        t->delay_s = MAX(t->delay_s - 1, 1);
    return key != 'q' && key != 'Q' && key != 4; /* control-D */
}

/* Until it is time to ask again, or a key says so; false: it is the end. */
static bool
wait_for_keys(struct top *t)
{
    int64_t begun_ns = clock_monotonic_ns();

    for (;;) {
        int64_t left_ms =
            t->delay_s * INT64_C(1000) - (clock_monotonic_ns() - begun_ns) / NS_PER_MS;
        int key = left_ms > 0 ? terminal_key((int)left_ms) : TERMINAL_NOTHING;

        if (key == TERMINAL_NOTHING || key == ' ')
            return true;
        if (key == TERMINAL_GONE || !obey(t, key))
            return false;
        show_screen(t); /* another order, or another size */
    }
}

static int
show_forever(struct top *t)
{
    terminal_take();
    do {
        refresh(t);
        show_screen(t);
    } while (wait_for_keys(t));
    terminal_restore();
    return 0;
}

/* ---- the command line ---- */

static void
print_help(void)
{
    printf("pgpool top: the statements that cost most, from SHOW pool_statements\n\n"
           "Usage:\n"
           "  pgpool top [OPTION]...\n\n"
           "Options:\n"
           "  -h, --host=HOST       of pgpool's administration port, or the directory of its\n"
           "                        socket; default /tmp, then localhost\n"
           "  -p, --port=PORT       default 9898\n"
           "  -U, --username=USER   default: the user of the system\n"
           "  -w, --no-password     never ask for one\n"
           "  -W, --password        ask for one\n"
           "  -d, --delay=SECONDS   how often it looks, default %d\n"
           "  -s, --sort=BY         time (in all), load, calls, mean, p99, rows or errors\n"
           "  -n, --rows=COUNT      with --once: that many statements at most\n"
           "      --once            print once and end; so it does, too, when its output is no\n"
           "                        terminal\n"
           "      --help            this text\n\n"
           "Keys: t l c m p r e sort, R reverses, + and - look less and more often, space at\n"
           "once, q ends.\n\n"
           "Exit status: 0 done; 1 failed; 2 wrong command line.\n",
           (int)DELAY_S);
}

static int
wrong(const char *fmt, const char *value)
{
    fputs("pgpool top: ", stderr);
    fprintf(stderr, fmt, value);
    fputs("\nTry \"pgpool top --help\".\n", stderr);
    return STATUS_USAGE;
}

static int
take_number(const char *text, uint32_t most, uint32_t *number_r)
{
    return num_parse_u32(text, number_r) && *number_r > 0 && *number_r <= most ? 0 : -1;
}

enum { OPTION_ONCE = 256, OPTION_HELP };

/* 0, or the exit status. */
static int
take_option(struct top *t, int option)
{
    uint32_t number;

    switch (option) {
    case 'h':
        t->pcp.host = optarg;
        return 0;
    case 'p':
        t->pcp.port = optarg;
        return take_number(optarg, 65535, &number) == 0 ? 0 : wrong("\"%s\" is no port", optarg);
    case 'U':
        t->pcp.user = optarg;
        return 0;
    case 'w':
        t->pcp.prompt = PCP_PROMPT_NEVER;
        return 0;
    case 'W':
        t->pcp.prompt = PCP_PROMPT_ALWAYS;
        return 0;
    case 'd':
        if (take_number(optarg, DELAY_MAX_S, &number) != 0)
            return wrong("\"%s\" is no number of seconds from 1 to 3600", optarg);
        t->delay_s = (int)number;
        return 0;
    case 's':
        return top_order_find(optarg, &t->view.order)
                   ? 0
                   : wrong("\"%s\" is nothing to sort by", optarg);
    case 'n':
        if (take_number(optarg, 1000000, &number) != 0)
            return wrong("\"%s\" is no number of rows", optarg);
        t->rows = number;
        return 0;
    case OPTION_ONCE:
        t->once = true;
        return 0;
    default:
        return wrong("unknown option%s, or its value is missing", "");
    }
}

static const struct option long_options[] = {
    {"host", required_argument, NULL, 'h'},
    {"port", required_argument, NULL, 'p'},
    {"username", required_argument, NULL, 'U'},
    {"no-password", no_argument, NULL, 'w'},
    {"password", no_argument, NULL, 'W'},
    {"delay", required_argument, NULL, 'd'},
    {"sort", required_argument, NULL, 's'},
    {"rows", required_argument, NULL, 'n'},
    {"once", no_argument, NULL, OPTION_ONCE},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

int
top_main(int argc, char **argv)
{
    struct top t = {.pcp = {.tool = "pgpool top", .port = "9898", .node_id = -1},
                    .delay_s = DELAY_S};
    int status = 0;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "h:p:U:wWd:s:n:", long_options, NULL)) >= 0) {
        if (option == OPTION_HELP) {
            print_help();
            return 0;
        }
        status = take_option(&t, option);
        if (status != 0)
            return status;
    }
    if (optind < argc)
        return wrong("what is \"%s\"?", argv[optind]);
    t.conn = pcp_connect(&t.pcp);
    if (t.conn == NULL)
        return STATUS_FAILED;
    snprintf(t.where, sizeof(t.where), "%s:%s", PQhost(t.conn), PQport(t.conn));
    t.view.where = t.where;
    if (t.once || !terminal_is_there())
        status = show_once(&t);
    else
        status = show_forever(&t);
    forget(&t);
    PQfinish(t.conn);
    buf_free(&t.screen);
    return status;
}

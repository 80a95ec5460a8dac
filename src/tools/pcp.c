/*
 * The pcp_* tools: which there are, their options, and what each asks pgpool for.
 *
 * One program under many names: links pcp_node_info and so on point to it, and `pcp node_info`
 * does the same. Options, arguments and output are those of Pgpool-II's tools, but for --json, and
 * for the exit status, which is 0 only on success: 1 when it failed, 2 for a wrong command line.
 */
#include "config.h"

#include "base/num.h"
#include "base/str.h"
#include "tools/pcp.h"

#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STATUS_FAILED = 1, STATUS_USAGE = 2, OPTION_JSON = 256, OPTIONS_MAX = 24, SQL_BYTES = 128 };

/* Does it, over a connection that has logged in; the exit status. */
typedef int run_fn(const struct pcp *p, PGconn *conn);

static run_fn run_nodes, run_node_count, run_health, run_pids, run_pools, run_status;
static run_fn run_attach, run_detach, run_promote, run_recovery;
static run_fn run_stop, run_reload, run_rotate, run_invalidate, run_watchdog;

/* In options: what it takes besides the options of all: letters as for getopt. */
static const struct tool {
    const char *name;
    const char *options;
    bool needs_node;
    run_fn *run;
    const char *purpose;
} tools[] = {
    {"pcp_attach_node", "n:", true, run_attach, "use a node again"},
    {"pcp_detach_node", "n:g", true, run_detach, "take a node out of use"},
    {"pcp_health_check_stats", "n:", false, run_health, "show what health checks have found"},
    {"pcp_invalidate_query_cache", "", false, run_invalidate, "empty the query cache"},
    {"pcp_log_rotate", "s:", false, run_rotate, "begin a new log file"},
    {"pcp_node_count", "", false, run_node_count, "show how many nodes there are"},
    {"pcp_node_info", "n:a", false, run_nodes, "show nodes"},
    {"pcp_pool_status", "", false, run_status, "show the parameters of the configuration"},
    {"pcp_proc_count", "", false, run_pids, "show the processes that serve clients"},
    {"pcp_proc_info", "P:a", false, run_pools, "show server connections and their clients"},
    {"pcp_promote_node", "n:gs", true, run_promote, "make a standby the primary"},
    {"pcp_recovery_node", "n:", true, run_recovery, "rebuild a node from the primary or main node"},
    {"pcp_reload_config", "s:", false, run_reload, "let pgpool read its files again"},
    {"pcp_stop_pgpool", "m:s:", false, run_stop, "stop pgpool"},
    {"pcp_watchdog_info", "n:", false, run_watchdog, "show the pgpools of the cluster"},
};

static const char common_options[] = "h:p:U:wWdvV?";

/* letter: what it is in common_options or in the tool's. argument: its name in the help. */
static const struct long_name {
    const char *name;
    char letter;
    const char *argument;
    const char *help;
} long_names[] = {
    {"host", 'h', "HOST", "host of pgpool, or directory of its unix socket"},
    {"port", 'p', "PORT", "administration port; default 9898"},
    {"username", 'U', "NAME", "user of pcp.conf; default the user of the operating system"},
    {"no-password", 'w', NULL, "never ask for a password"},
    {"password", 'W', NULL, "ask for a password at once"},
    {"node-id", 'n', "ID", "number of the node"},
    {"all", 'a', NULL, "show all"},
    {"process-id", 'P', "PID", "only this process"},
    {"gracefully", 'g', NULL, "wait until clients have let go of the node"},
    {"mode", 'm', "MODE", "how to stop: smart (default), fast or immediate"},
    {"switchover", 's', NULL, "really promote it, with the old primary following"},
    {"scope", 's', "SCOPE", "local: each pgpool is told by itself"},
    {"debug", 'd', NULL, "tell what is done"},
    {"verbose", 'v', NULL, "output with titles"},
    {"version", 'V', NULL, "print the version"},
    {"help", '?', NULL, "print this text"},
};

/* ---- what each asks for ---- */

/* Something to be shown. */
static int
show(const struct pcp *p, PGconn *conn, const char *sql,
     bool (*print)(const struct pcp *p, const PGresult *r))
{
    PGresult *r = pcp_run(p, conn, sql);
    bool known;

    if (r == NULL)
        return STATUS_FAILED;
    known = print(p, r);
    PQclear(r);
    if (known)
        return 0;
    if (p->pid != 0)
        return pcp_fail(p, "there is no process %d that serves clients", p->pid);
    return pcp_fail(p, "there is no node %d", p->node_id);
}

static int
show_all(const struct pcp *p, PGconn *conn, const char *sql,
         void (*print)(const struct pcp *p, const PGresult *r))
{
    PGresult *r = pcp_run(p, conn, sql);

    if (r == NULL)
        return STATUS_FAILED;
    print(p, r);
    PQclear(r);
    return 0;
}

/* Something to be done. */
static int
command(const struct pcp *p, PGconn *conn, const char *sql)
{
    PGresult *r = pcp_run(p, conn, sql);

    if (r == NULL)
        return STATUS_FAILED;
    pcp_print_done(p);
    PQclear(r);
    return 0;
}

static int
run_nodes(const struct pcp *p, PGconn *conn)
{
    return show(p, conn, "SHOW pool_nodes", pcp_print_nodes);
}

static int
run_node_count(const struct pcp *p, PGconn *conn)
{
    return show_all(p, conn, "SHOW pool_nodes", pcp_print_node_count);
}

static int
run_health(const struct pcp *p, PGconn *conn)
{
    return show(p, conn, "SHOW pool_health_check_stats", pcp_print_health);
}

static int
run_pids(const struct pcp *p, PGconn *conn)
{
    return show_all(p, conn, "SHOW pool_processes", pcp_print_pids);
}

static int
run_pools(const struct pcp *p, PGconn *conn)
{
    return show(p, conn, "SHOW pool_pools", pcp_print_pools);
}

static int
run_status(const struct pcp *p, PGconn *conn)
{
    return show_all(p, conn, "SHOW pool_status", pcp_print_status);
}

static int
run_attach(const struct pcp *p, PGconn *conn)
{
    char sql[SQL_BYTES];

    snprintf(sql, sizeof(sql), "PGPOOL ATTACH NODE %d", p->node_id);
    return command(p, conn, sql);
}

static int
run_detach(const struct pcp *p, PGconn *conn)
{
    char sql[SQL_BYTES];

    snprintf(sql, sizeof(sql), "PGPOOL DETACH NODE %d%s", p->node_id,
             p->gracefully ? " GRACEFULLY" : "");
    return command(p, conn, sql);
}

static int
run_promote(const struct pcp *p, PGconn *conn)
{
    char sql[SQL_BYTES];

    snprintf(sql, sizeof(sql), "PGPOOL PROMOTE NODE %d%s%s", p->node_id,
             p->switchover ? " SWITCHOVER" : "", p->gracefully ? " GRACEFULLY" : "");
    return command(p, conn, sql);
}

static int
run_recovery(const struct pcp *p, PGconn *conn)
{
    char sql[SQL_BYTES];

    snprintf(sql, sizeof(sql), "PGPOOL RECOVER NODE %d", p->node_id);
    return command(p, conn, sql);
}

static int
run_stop(const struct pcp *p, PGconn *conn)
{
    char sql[SQL_BYTES];

    snprintf(sql, sizeof(sql), "PGPOOL STOP %s", p->mode);
    return command(p, conn, sql);
}

static int
run_reload(const struct pcp *p, PGconn *conn)
{
    return command(p, conn, "PGPOOL RELOAD");
}

static int
run_rotate(const struct pcp *p, PGconn *conn)
{
    return command(p, conn, "PGPOOL ROTATE LOG");
}

static int
run_invalidate(const struct pcp *p, PGconn *conn)
{
    return command(p, conn, "PGPOOL INVALIDATE QUERY CACHE");
}

static int
run_watchdog(const struct pcp *p, PGconn *conn)
{
    PGresult *r = pcp_run(p, conn, "SHOW pool_watchdog");
    int status = 0;

    if (r == NULL)
        return STATUS_FAILED;
    if (PQntuples(r) == 0)
        status = pcp_fail(p, "the watchdog is not enabled");
    else if (!pcp_print_watchdog(p, r))
        status = pcp_fail(p, "there is no pgpool %d in the list", p->node_id);
    PQclear(r);
    return status;
}

/* ---- help ---- */

static bool
takes(const struct tool *t, const struct long_name *name)
{
    const char *found = strchr(t->options, name->letter);

    if (strchr(common_options, name->letter) != NULL)
        return true;
    return found != NULL && (found[1] == ':') == (name->argument != NULL);
}

static void
print_help(const struct tool *t)
{
    char text[64];

    printf("%s: %s (%s)\n\nUsage:\n  %s [OPTION]...%s\n\nOptions:\n", t->name, t->purpose,
           PACKAGE_STRING, t->name,
           strstr(t->options, "n:") != NULL   ? " [NODE]"
           : strstr(t->options, "P:") != NULL ? " [PID]"
                                              : "");
    for (size_t n = 0; n < ARRAY_LEN(long_names); n++) {
        const struct long_name *name = &long_names[n];

        if (!takes(t, name))
            continue;
        snprintf(text, sizeof(text), "-%c, --%s%s%s", name->letter, name->name,
                 name->argument != NULL ? "=" : "", name->argument != NULL ? name->argument : "");
        printf("  %-24s %s\n", text, name->help);
    }
    printf("      --json               output as JSON\n\n"
           "The password comes from ~/.pcppass or the file that PCPPASSFILE names, in lines\n"
           "host:port:user:password, else from the terminal.\n"
           "Exit status: 0 done; 1 failed; 2 wrong command line.\n");
}

static int
usage(const struct pcp *p, const char *fmt, ...)
{
    va_list args;

    fprintf(stderr, "%s: ", p->tool);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "\nTry \"%s --help\".\n", p->tool);
    return STATUS_USAGE;
}

/* ---- the command line ---- */

static int
take_number(const struct pcp *p, const char *what, int *number_r)
{
    uint32_t number;

    if (!num_parse_u32(optarg, &number) || number > INT_MAX)
        return usage(p, "\"%s\" is no %s", optarg, what);
    *number_r = (int)number;
    return 0;
}

static int
take_mode(struct pcp *p)
{
    static const char *const modes[] = {"smart", "fast", "immediate"};

    for (size_t n = 0; n < ARRAY_LEN(modes); n++) {
        if (optarg[0] != '\0' && strncmp(modes[n], optarg, strlen(optarg)) == 0) {
            p->mode = modes[n];
            return 0;
        }
    }
    return usage(p, "\"%s\" is no mode: smart, fast or immediate", optarg);
}

static int
take_scope(const struct pcp *p)
{
    size_t len = strlen(optarg);

    if (len > 0 && strncmp("local", optarg, len) == 0)
        return 0;
    if (len > 0 && strncmp("cluster", optarg, len) == 0)
        return pcp_fail(p, "the only scope is local: each pgpool is told by itself");
    return usage(p, "\"%s\" is no scope: local", optarg);
}

static int
take_port(struct pcp *p)
{
    uint32_t port;

    if (!num_parse_u32(optarg, &port) || port == 0 || port > 65535)
        return usage(p, "\"%s\" is no port from 1 to 65535", optarg);
    p->port = optarg;
    return 0;
}

/* Options that the tool does not take never get here. */
static int
take_option(struct pcp *p, int option)
{
    switch (option) {
    case 'h':
        p->host = optarg;
        return 0;
    case 'p':
        return take_port(p);
    case 'U':
        p->user = optarg;
        return 0;
    case 'w':
        p->prompt = PCP_PROMPT_NEVER;
        return 0;
    case 'W':
        p->prompt = PCP_PROMPT_ALWAYS;
        return 0;
    case 'd':
        p->debug = true;
        return 0;
    case 'v':
        p->verbose = true;
        return 0;
    case 'n':
        return take_number(p, "number of a node", &p->node_id);
    case 'P':
        return take_number(p, "number of a process", &p->pid);
    case 'a':
        p->all = true;
        return 0;
    case 'g':
        p->gracefully = true;
        return 0;
    case 'm':
        return take_mode(p);
    case 's':
        if (optarg != NULL)
            return take_scope(p);
        p->switchover = true;
        return 0;
    case OPTION_JSON:
        p->json = true;
        return 0;
    default:
        return 0;
    }
}

static void
make_options(const struct tool *t, struct option options[OPTIONS_MAX])
{
    size_t count = 0;

    for (size_t n = 0; n < ARRAY_LEN(long_names); n++) {
        const struct long_name *name = &long_names[n];

        if (takes(t, name))
            options[count++] = (struct option){
                name->name, name->argument != NULL ? required_argument : no_argument, NULL,
                name->letter};
    }
    options[count++] = (struct option){"json", no_argument, NULL, OPTION_JSON};
    options[count] = (struct option){NULL, 0, NULL, 0};
}

/* What stands behind the options: the number of a node or a process. */
static int
take_rest(const struct tool *t, struct pcp *p, int argc, char **argv)
{
    bool of_node = strstr(t->options, "n:") != NULL;
    bool of_process = strstr(t->options, "P:") != NULL;

    if (optind < argc && of_node && p->node_id < 0) {
        optarg = argv[optind++];
        if (take_number(p, "number of a node", &p->node_id) != 0)
            return STATUS_USAGE;
    } else if (optind < argc && of_process && p->pid == 0) {
        optarg = argv[optind++];
        if (take_number(p, "number of a process", &p->pid) != 0)
            return STATUS_USAGE;
    }
    if (optind < argc)
        return usage(p, "\"%s\" is one argument too many", argv[optind]);
    if (t->needs_node && p->node_id < 0)
        return usage(p, "the number of the node is missing (-n)");
    return 0;
}

/* *done_r: nothing is left to do. */
static int
parse(const struct tool *t, struct pcp *p, int argc, char **argv, bool *done_r)
{
    struct option options[OPTIONS_MAX];
    char letters[64];
    int option;
    int rc = 0;

    snprintf(letters, sizeof(letters), ":%s%s", common_options, t->options);
    make_options(t, options);
    opterr = 0;
    *done_r = true;
    for (;;) {
        int at = MAX(optind, 1);

        option = getopt_long(argc, argv, letters, options, NULL);
        if (option < 0)
            break;
        if (option == 'V') {
            printf("%s (%s)\n", t->name, PACKAGE_STRING);
            return 0;
        }
        if (option == '?' && (optopt == 0 || optopt == '?') && at < argc &&
            (strcmp(argv[at], "-?") == 0 || strncmp(argv[at], "--he", 4) == 0)) {
            print_help(t);
            return 0;
        }
        if (option == ':')
            return usage(p, "option \"%s\" needs a value", argv[MIN(at, argc - 1)]);
        if (option == '?')
            return usage(p, "unknown option \"%s\"", argv[MIN(at, argc - 1)]);
        rc = take_option(p, option);
        if (rc != 0)
            return rc;
    }
    rc = take_rest(t, p, argc, argv);
    *done_r = rc != 0;
    return rc;
}

static const struct tool *
find_tool(const char *name)
{
    for (size_t n = 0; n < ARRAY_LEN(tools); n++) {
        if (strcmp(tools[n].name, name) == 0 || strcmp(tools[n].name + 4, name) == 0)
            return &tools[n];
    }
    return NULL;
}

static int
list_tools(void)
{
    fprintf(stderr, "pcp: the name of a tool is missing; there are:\n");
    for (size_t n = 0; n < ARRAY_LEN(tools); n++)
        fprintf(stderr, "  %-28s %s\n", tools[n].name, tools[n].purpose);
    return STATUS_USAGE;
}

static int
run(const struct tool *t, const struct pcp *p)
{
    PGconn *conn = pcp_connect(p);
    int status;

    if (conn == NULL)
        return STATUS_FAILED;
    status = t->run(p, conn);
    PQfinish(conn);
    if (fflush(stdout) != 0 || ferror(stdout))
        return pcp_fail(p, "could not write the output");
    return status;
}

int
main(int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *name = slash != NULL ? slash + 1 : argc > 0 ? argv[0] : "";
    const struct tool *t = strncmp(name, "pcp_", 4) == 0 ? find_tool(name) : NULL;
    struct pcp p = {.port = "9898", .node_id = -1, .mode = "smart"};
    bool done;
    int rc;

    if (t == NULL && argc > 1 && (t = find_tool(argv[1])) != NULL) {
        argc--;
        argv++;
    }
    if (t == NULL)
        return list_tools();
    p.tool = t->name;
    rc = parse(t, &p, argc, argv, &done);
    return done ? rc : run(t, &p);
}

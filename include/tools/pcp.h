/*
 * The pcp_* tools: one program that is what it is called as, a client of pgpool's administration
 * port. What its files share.
 *
 * pcp.c          the command line, and what each tool asks for
 * pcp_connect.c  the connection: where to, as whom, the password
 * pcp_pass.c     .pcppass. Pure
 * pcp_print.c    results as Pgpool-II's tools print them, and as JSON
 */
#ifndef TOOLS_PCP_H
#define TOOLS_PCP_H

#include "base/buf.h"
#include "base/util.h"

#include <libpq-fe.h>
#include <stdbool.h>

enum pcp_prompt { PCP_PROMPT_WHEN_NEEDED, PCP_PROMPT_NEVER, PCP_PROMPT_ALWAYS };

/* What the command line says. Strings are argv's. */
struct pcp {
    const char *tool; /* "pcp_node_info" */
    const char *host; /* NULL: the unix socket in /tmp, then localhost */
    const char *port;
    const char *user; /* NULL: the user of the operating system */
    enum pcp_prompt prompt;
    int node_id;      /* -1: none */
    int pid;          /* 0: none */
    const char *mode; /* of stop: smart, fast, immediate */
    bool all;
    bool gracefully;
    bool switchover;
    bool verbose;
    bool debug;
    bool json;
};

/* Says what went wrong, on standard error, behind the tool's name. Returns 1, the exit status. */
int pcp_fail(const struct pcp *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ---- pcp_connect.c ---- */

/* Logs in; NULL after a message. The caller's, for PQfinish. */
PGconn *pcp_connect(const struct pcp *p);

/* The same without a question and without a message: PQstatus tells. */
PGconn *pcp_try(const struct pcp *p);

/* Runs it to its end, however long that takes; notices are printed as they come, and an interrupt
 * cancels it. NULL after a message. */
PGresult *pcp_run(const struct pcp *p, PGconn *conn, const char *sql);

/* ---- pcp_pass.c ---- */

struct pcp_pass_key {
    const char *host;
    const char *port;
    const char *user;
};

/* Finds the first line host:port:user:password that fits; a field * fits everything, a backslash
 * takes the next character as it is. Appends the password; false: none fits. */
bool pcp_pass_find(const char *text, size_t len, const struct pcp_pass_key *key,
                   struct buf *password);

/* ---- pcp_print.c: all print on standard output ---- */

/* SHOW pool_nodes. False, with nothing printed, when there is no such node. */
bool pcp_print_nodes(const struct pcp *p, const PGresult *r);
void pcp_print_node_count(const struct pcp *p, const PGresult *r);
/* SHOW pool_health_check_stats; false as above. */
bool pcp_print_health(const struct pcp *p, const PGresult *r);
/* SHOW pool_processes. */
void pcp_print_pids(const struct pcp *p, const PGresult *r);
/* SHOW pool_pools; false: there is no such process. */
bool pcp_print_pools(const struct pcp *p, const PGresult *r);
/* SHOW pool_watchdog, with at least one row. False: the list has no such place. node_id is a place
 * in it, 0 is the pgpool that was asked. */
bool pcp_print_watchdog(const struct pcp *p, const PGresult *r);
/* SHOW pool_status. */
void pcp_print_status(const struct pcp *p, const PGresult *r);
/* A command has been carried out. */
void pcp_print_done(const struct pcp *p);

#endif

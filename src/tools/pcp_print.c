/*
 * Results, as scripts that were written for Pgpool-II's tools read them, and as JSON. Columns are
 * found by their names: one that pgpool does not send (yet) is empty.
 */
#include "tools/pcp.h"

#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A field of the output: the column that it comes from, and its title in verbose output. */
struct item {
    const char *column;
    const char *title;
};

static const char *
value_of(const PGresult *r, int row, const char *column)
{
    int at = PQfnumber(r, column);

    return at >= 0 ? PQgetvalue(r, row, at) : "";
}

static bool
is(const PGresult *r, int row, const char *column, const char *value)
{
    return strcmp(value_of(r, row, column), value) == 0;
}

static bool
has_number(const PGresult *r, int row, const char *column, int number)
{
    uint32_t value;

    return num_parse_u32(value_of(r, row, column), &value) && (int)value == number;
}

/* ---- JSON ---- */

static void
json_text(const char *text)
{
    putchar('"');
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\')
            printf("\\%c", *at);
        else if (*at < 0x20 || *at == 0x7f)
            printf("\\u%04x", *at);
        else
            putchar(*at);
    }
    putchar('"');
}

/* JSON's grammar: no sign but -, no leading zero, digits on both sides of the point. */
static bool
is_number(const char *text)
{
    static const char digits[] = "0123456789";
    size_t whole;
    size_t part;

    text += *text == '-';
    whole = strspn(text, digits);
    if (whole == 0 || (whole > 1 && text[0] == '0'))
        return false;
    text += whole;
    if (*text != '.')
        return *text == '\0';
    part = strspn(text + 1, digits);
    return part > 0 && text[1 + part] == '\0';
}

/* Names, addresses and texts stay texts, even if they look like numbers. */
static bool
is_text_column(const char *column)
{
    static const char *const texts[] = {
        "hostname", "database",    "username", "client_host",      "statement", "item",
        "value",    "description", "status",   "application_name", "pg_status"};

    for (size_t n = 0; n < ARRAY_LEN(texts); n++) {
        if (strcmp(column, texts[n]) == 0)
            return true;
    }
    return false;
}

static void
json_row(const PGresult *r, int row)
{
    printf("{");
    for (int at = 0; at < PQnfields(r); at++) {
        const char *column = PQfname(r, at);
        const char *value = PQgetvalue(r, row, at);

        printf("%s", at > 0 ? ", " : "");
        json_text(column);
        printf(": ");
        if (PQgetisnull(r, row, at))
            printf("null");
        else if (!is_text_column(column) && is_number(value))
            printf("%s", value);
        else
            json_text(value);
    }
    printf("}");
}

/* ---- rows ---- */

/* Which rows are wanted. */
typedef bool wanted_fn(const struct pcp *p, const PGresult *r, int row);

/* Values on one line, or each on a line of its own behind its title. */
static void
print_row(const struct pcp *p, const PGresult *r, int row, const struct item *items, int count)
{
    for (int n = 0; n < count; n++) {
        const char *value = value_of(r, row, items[n].column);

        if (p->verbose)
            printf("%-29s : %s\n", items[n].title, value);
        else
            printf("%s%s", n > 0 ? " " : "", value);
    }
    printf("\n");
}

static int
print_rows(const struct pcp *p, const PGresult *r, wanted_fn *wanted,
           void (*print)(const struct pcp *p, const PGresult *r, int row))
{
    int printed = 0;

    if (p->json)
        printf("[");
    for (int row = 0; row < PQntuples(r); row++) {
        if (!wanted(p, r, row))
            continue;
        if (p->json) {
            printf("%s", printed > 0 ? ",\n " : "");
            json_row(r, row);
        } else {
            print(p, r, row);
        }
        printed++;
    }
    if (p->json)
        printf("]\n");
    return printed;
}

/* ---- nodes ---- */

static bool
is_node_wanted(const struct pcp *p, const PGresult *r, int row)
{
    return p->node_id < 0 || has_number(r, row, "node_id", p->node_id);
}

static bool
has_node(const struct pcp *p, const PGresult *r)
{
    for (int row = 0; row < PQntuples(r); row++) {
        if (is_node_wanted(p, r, row))
            return true;
    }
    return p->node_id < 0;
}

static int
status_number(const char *name)
{
    return strcmp(name, "unused") == 0    ? 0
           : strcmp(name, "waiting") == 0 ? 1
           : strcmp(name, "up") == 0      ? 2
                                          : 3;
}

static const char *
or_none(const char *text)
{
    return text[0] != '\0' ? text : "none";
}

static void
print_node(const struct pcp *p, const PGresult *r, int row)
{
    static const struct item titles[] = {
        {NULL, "Hostname"},
        {NULL, "Port"},
        {NULL, "Status"},
        {NULL, "Weight"},
        {NULL, "Status Name"},
        {NULL, "Backend Status Name"},
        {NULL, "Role"},
        {NULL, "Backend Role"},
        {NULL, "Replication Delay"},
        {NULL, "Replication State"},
        {NULL, "Replication Sync State"},
        {NULL, "Last Status Change"},
    };
    const char *delay = value_of(r, row, "replication_delay");
    char number[16];
    char cut[64];
    const char *values[ARRAY_LEN(titles)];

    snprintf(number, sizeof(number), "%d", status_number(value_of(r, row, "status")));
    snprintf(cut, sizeof(cut), "%.*s", (int)strcspn(delay, " "), delay); /* without "second" */
    values[0] = value_of(r, row, "hostname");
    values[1] = value_of(r, row, "port");
    values[2] = number;
    values[3] = value_of(r, row, "lb_weight");
    values[4] = value_of(r, row, "status");
    values[5] = value_of(r, row, "pg_status");
    values[6] = value_of(r, row, "role");
    values[7] = value_of(r, row, "pg_role");
    values[8] = cut;
    values[9] = or_none(value_of(r, row, "replication_state"));
    values[10] = or_none(value_of(r, row, "replication_sync_state"));
    values[11] = value_of(r, row, "last_status_change");
    for (size_t n = 0; n < ARRAY_LEN(titles); n++) {
        if (p->verbose)
            printf("%-22s : %s\n", titles[n].title, values[n]);
        else
            printf("%s%s", n > 0 ? " " : "", values[n]);
    }
    printf("\n");
}

bool
pcp_print_nodes(const struct pcp *p, const PGresult *r)
{
    return has_node(p, r) && print_rows(p, r, is_node_wanted, print_node) >= 0;
}

void
pcp_print_node_count(const struct pcp *p, const PGresult *r)
{
    if (p->json)
        printf("{\"node_count\": %d}\n", PQntuples(r));
    else if (p->verbose)
        printf("Node Count\n____________\n %d\n", PQntuples(r));
    else
        printf("%d\n", PQntuples(r));
}

static void
print_health(const struct pcp *p, const PGresult *r, int row)
{
    static const struct item items[] = {
        {"node_id", "Node Id"},
        {"hostname", "Host Name"},
        {"port", "Port"},
        {"status", "Status"},
        {"role", "Role"},
        {"last_status_change", "Last Status Change"},
        {"total_count", "Total Count"},
        {"success_count", "Success Count"},
        {"fail_count", "Fail Count"},
        {"skip_count", "Skip Count"},
        {"retry_count", "Retry Count"},
        {"average_retry_count", "Average Retry Count"},
        {"max_retry_count", "Max Retry Count"},
        {"max_duration", "Max Health Check Duration"},
        {"min_duration", "Minimum Health Check Duration"},
        {"average_duration", "Average Health Check Duration"},
        {"last_health_check", "Last Health Check"},
        {"last_successful_health_check", "Last Successful Health Check"},
        {"last_skip_health_check", "Last Skip Health Check"},
        {"last_failed_health_check", "Last Failed Health Check"},
    };

    print_row(p, r, row, items, ARRAY_LEN(items));
}

bool
pcp_print_health(const struct pcp *p, const PGresult *r)
{
    return has_node(p, r) && print_rows(p, r, is_node_wanted, print_health) >= 0;
}

/* ---- processes ---- */

/* A process has as many rows as clients; they stand together. */
static bool
is_first_of_process(const PGresult *r, int row)
{
    return row == 0 || !is(r, row, "pool_pid", value_of(r, row - 1, "pool_pid"));
}

void
pcp_print_pids(const struct pcp *p, const PGresult *r)
{
    int count = 0;

    if (p->json)
        printf("{\"pids\": [");
    else if (p->verbose)
        printf("No \t | \t PID\n_____________________\n");
    for (int row = 0; row < PQntuples(r); row++) {
        const char *pid = value_of(r, row, "pool_pid");

        if (!is_first_of_process(r, row))
            continue;
        if (p->verbose && !p->json)
            printf("%d \t | \t %s\n", count, pid);
        else
            printf("%s%s", count == 0 ? "" : p->json ? ", " : " ", pid);
        count++;
    }
    if (p->json)
        printf("], \"count\": %d}\n", count);
    else if (p->verbose)
        printf("\nTotal Processes:%d\n", count);
    else
        printf("\n");
}

static bool
is_pool_wanted(const struct pcp *p, const PGresult *r, int row)
{
    if (p->pid != 0 && !has_number(r, row, "pool_pid", p->pid))
        return false;
    return p->all || !is(r, row, "database", "");
}

static void
print_pool(const struct pcp *p, const PGresult *r, int row)
{
    static const struct item items[] = {
        {"database", "Database"},
        {"username", "Username"},
        {"start_time", "Start time"},
        {"client_connection_count", "Client connection count"},
        {"majorversion", "Major"},
        {"minorversion", "Minor"},
        {"backend_connection_time", "Backend connection time"},
        {"client_connection_time", "Client connection time"},
        {"client_idle_duration", "Client idle duration"},
        {"client_disconnection_time", "Client disconnection time"},
        {"pool_counter", "Pool Counter"},
        {"pool_backendpid", "Backend PID"},
        {"pool_connected", "Connected"},
        {"pool_pid", "PID"},
        {"backend_id", "Backend ID"},
        {"status", "Status"},
        {"load_balance_node", "Load balance node"},
        {"client_host", "client host"},
        {"client_port", "client port"},
        {"statement", "statement"},
    };

    print_row(p, r, row, items, ARRAY_LEN(items));
}

bool
pcp_print_pools(const struct pcp *p, const PGresult *r)
{
    bool known = p->pid == 0;

    for (int row = 0; row < PQntuples(r) && !known; row++)
        known = has_number(r, row, "pool_pid", p->pid);
    return known && print_rows(p, r, is_pool_wanted, print_pool) >= 0;
}

/* ---- pgpools ---- */

/* Unlike nodes, pgpools are counted as they stand in the list. */
static bool
is_pgpool_wanted(const struct pcp *p, const PGresult *r UNUSED, int row)
{
    return p->node_id < 0 || p->node_id == row;
}

static void
print_pgpool(const struct pcp *p, const PGresult *r, int row)
{
    static const struct item items[] = {
        {"name", "Node Name"},
        {"hostname", "Host Name"},
        {"delegate_ip", "Delegate IP"},
        {"pgpool_port", "Pgpool port"},
        {"wd_port", "Watchdog port"},
        {"priority", "Node priority"},
        {"state", "Status"},
        {"state_name", "Status Name"},
        {"membership_name", "Membership Status"},
        {"lifecheck_started", "Lifecheck Started"},
    };
    static const char *const plain[] = {"name",       "hostname",        "pgpool_port",
                                        "wd_port",    "state",           "state_name",
                                        "membership", "membership_name", "lifecheck_started"};

    for (size_t n = 0; n < ARRAY_LEN(items) && p->verbose; n++) {
        int of = strcmp(items[n].column, "delegate_ip") == 0 ? 0 : row; /* the same for all */

        printf("%-18s: %s\n", items[n].title, value_of(r, of, items[n].column));
    }
    for (size_t n = 0; n < ARRAY_LEN(plain) && !p->verbose; n++)
        printf("%s%s", n > 0 ? " " : "", value_of(r, row, plain[n]));
    printf("\n");
}

/* What is true of all of them. Any one that reaches etcd may lead: that is all of a quorum. */
static void
print_pgpools(const struct pcp *p, const PGresult *r)
{
    const char *name = "Not Set";
    const char *host = "Not Set";
    int total = PQntuples(r);
    int members = 0;
    int alive = 0;

    for (int row = 0; row < total; row++) {
        members += is(r, row, "membership", "0");
        alive += row > 0 && is(r, row, "lifecheck_started", "YES");
        if (is(r, row, "state_name", "LEADER")) {
            name = value_of(r, row, "name");
            host = value_of(r, row, "hostname");
        }
    }
    if (!p->verbose) {
        printf("%d %d %s %s %s\n\n", total, members, value_of(r, 0, "escalated"), name, host);
        return;
    }
    printf("Watchdog Cluster Information\n"
           "Total Nodes              : %d\n"
           "Remote Nodes             : %d\n"
           "Member Remote Nodes      : %d\n"
           "Alive Remote Nodes       : %d\n"
           "Nodes required for quorum: 1\n"
           "Quorum state             : %s\n"
           "Local node escalation    : %s\n"
           "Leader Node Name         : %s\n"
           "Leader Host Name         : %s\n\n"
           "Watchdog Node Information\n",
           total, total - 1, members - is(r, 0, "membership", "0"), alive, value_of(r, 0, "quorum"),
           value_of(r, 0, "escalated"), name, host);
}

bool
pcp_print_watchdog(const struct pcp *p, const PGresult *r)
{
    if (p->node_id >= PQntuples(r))
        return false;
    if (!p->json)
        print_pgpools(p, r);
    print_rows(p, r, is_pgpool_wanted, print_pgpool);
    return true;
}

/* ---- parameters, and commands ---- */

static bool
is_any_wanted(const struct pcp *p UNUSED, const PGresult *r UNUSED, int row UNUSED)
{
    return true;
}

static void
print_parameter(const struct pcp *p UNUSED, const PGresult *r, int row)
{
    printf("name : %s\nvalue: %s\ndesc : %s\n\n", value_of(r, row, "item"),
           value_of(r, row, "value"), value_of(r, row, "description"));
}

void
pcp_print_status(const struct pcp *p, const PGresult *r)
{
    print_rows(p, r, is_any_wanted, print_parameter);
}

void
pcp_print_done(const struct pcp *p)
{
    if (p->json)
        printf("{\"command\": \"%s\", \"result\": \"successful\"}\n", p->tool);
    else
        printf("%s -- Command Successful\n", p->tool);
}

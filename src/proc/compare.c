/*
 * `pgpool compare`: are the nodes' databases the same?
 *
 * A command of its own: it needs no running pgpool, only its configuration. In each database a
 * connection to each node, all of them in one transaction each that reads (REPEATABLE READ), begun
 * at the same time; the first node of the list is what the others are compared with. It changes
 * nothing, and takes no lock that a reader does not take. Differences go to stdout, progress and
 * faults to stderr. Exit status: 0 the same, 1 something could not be compared, 3 differences.
 */
#include "compare.h"

#include "auth/passwd.h"
#include "base/num.h"
#include "config/config.h"
#include "control.h"
#include "os/io.h"
#include "proc/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_MS = 10000, STATEMENT_S = 600, DATABASES_MAX = 10000 };

/* A lock that somebody else holds is waited for no longer than that; a text of a value must not
 * depend on the server's settings. */
static const char settings[] =
    "SET search_path = ''; SET lock_timeout = '30s'; SET statement_timeout = 0;"
    " SET idle_in_transaction_session_timeout = 0; SET row_security = off;"
    " SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET timezone = 'UTC';"
    " SET extra_float_digits = 1; SET bytea_output = 'hex'; SET lc_monetary = 'C';"
    " SET client_encoding = 'UTF8'; SET xmloption = 'content'; SET jit = off;"
    " SET max_parallel_workers_per_gather = 0; SET standard_conforming_strings = on";
static const char begin[] =
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1; SAVEPOINT c";

static const char databases[] =
    "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate"
    " ORDER BY datname COLLATE \"C\"";

/* ---- questions ---- */

static void
end_one(struct compare *c)
{
    if (--c->left == 0)
        io_stop(c->io);
}

static void
answered(void *ctx, const struct ask_rows *rows)
{
    struct compare_node *n = ctx;
    struct compare_rows *r = &n->rows;
    size_t count = (size_t)ask_row_count(rows) * ask_column_count(rows);

    arena_reset(&r->arena);
    r->count = ask_row_count(rows);
    r->columns = ask_column_count(rows);
    r->values = arena_alloc(&r->arena, (count + 1) * sizeof(*r->values));
    for (uint32_t row = 0; row < r->count; row++) {
        for (uint32_t column = 0; column < r->columns; column++)
            r->values[row * r->columns + column] =
                arena_strdup(&r->arena, ask_value(rows, row, column));
    }
    n->failed = false;
    end_one(n->all);
}

static void
failed(void *ctx, const struct err *err, bool asked)
{
    struct compare_node *n = ctx;

    n->failed = true;
    n->err = *err;
    /* its transaction is gone, whether it was asked or not */
    n->all->lost |=
        !asked || ask_failure(n->ask) != ASK_SERVER || strncmp(err->sqlstate, "57P", 3) == 0;
    if (asked)
        end_one(n->all);
}

static bool
ask_some(struct compare *c, const char *sql, uint32_t count)
{
    struct err err;
    bool ok = true;

    if (c->lost)
        return false;
    for (uint32_t n = 0; n < count; n++) {
        c->nodes[n].rows.count = 0;
        c->left++;
        ask_question(c->nodes[n].ask, sql, c->limit_ms);
    }
    if (io_run(c->io, &err) != 0) {
        fprintf(stderr, "pgpool: error: %s\n", err.message);
        c->broken = true;
        return false;
    }
    for (uint32_t n = 0; n < count; n++) {
        const struct compare_node *node = &c->nodes[n];
        if (!node->failed)
            continue;
        fprintf(stderr, "pgpool: error: node %u \"%s:%d\", database \"%s\": %s\n", node->node_id,
                node->host, node->port, c->database, node->err.message);
        ok = false;
        c->broken = true;
    }
    return ok;
}

bool
compare_ask(struct compare *c, const char *sql)
{
    return ask_some(c, sql, c->node_count);
}

bool
compare_ask_first(struct compare *c, const char *sql)
{
    return ask_some(c, sql, 1);
}

/* ---- connections ---- */

static void
connect_to(struct compare *c, const char *database)
{
    const struct config *cfg = c->cfg;
    bool own = cfg->recovery_user[0] != '\0';
    const char *user = own ? cfg->recovery_user : cfg->sr_check_user;
    const char *password = own ? cfg->recovery_password : cfg->sr_check_password;

    c->database = database;
    c->lost = false;
    for (uint32_t n = 0; n < c->node_count; n++) {
        struct ask_target target = {.host = c->nodes[n].host,
                                    .port = (uint16_t)c->nodes[n].port,
                                    .user = user,
                                    .password = proc_password(c->passwords, user, password),
                                    .database = database,
                                    .application_name = "pgpool compare",
                                    .tls = proc_ask_tls(cfg)};
        ask_set_target(c->nodes[n].ask, &target);
    }
}

static void
add_node(struct compare *c, uint32_t node_id)
{
    static const struct ask_ops ops = {answered, failed};
    struct compare_node *n = &c->nodes[c->node_count++];

    n->all = c;
    n->node_id = node_id;
    n->host = c->cfg->backends[node_id].hostname;
    n->port = c->cfg->backends[node_id].port;
    arena_init(&n->rows.arena, 0);
    n->ask = ask_new(c->io, c->dns, &ops, n);
}

static bool
is_there(const struct compare *c, uint32_t node_id)
{
    for (uint32_t n = 0; n < c->node_count; n++) {
        if (c->nodes[n].node_id == node_id)
            return true;
    }
    return false;
}

/* "0,2": those nodes, the first of them first; NULL: all. */
static int
add_nodes(struct compare *c, const char *text)
{
    char number[16];

    for (uint32_t n = 0; text == NULL && n < c->cfg->backend_count; n++) {
        if (c->cfg->backends[n].configured)
            add_node(c, n);
    }
    while (text != NULL && *text != '\0') {
        size_t len = strcspn(text, ",");
        uint32_t node_id;
        snprintf(number, sizeof(number), "%.*s", (int)MIN(len, sizeof(number) - 1), text);
        if (!num_parse_u32(number, &node_id) || node_id >= c->cfg->backend_count ||
            !c->cfg->backends[node_id].configured || is_there(c, node_id)) {
            fprintf(stderr,
                    "pgpool: error: \"%s\" is no number of a node, or it stands there"
                    " twice\n",
                    number);
            return -1;
        }
        add_node(c, node_id);
        text += len + (text[len] == ',');
    }
    if (c->node_count >= 2)
        return 0;
    fprintf(stderr, "pgpool: error: there must be two nodes to compare\n");
    return -1;
}

/* ---- databases ---- */

static void
compare_database(struct compare *c, const char *database)
{
    connect_to(c, database);
    printf("database \"%s\":\n", database);
    if (!compare_ask(c, settings) || !compare_ask(c, begin))
        return;
    compare_schema(c);
    compare_data(c);
    compare_ask(c, "COMMIT");
    fflush(stdout);
}

/* All databases of the first node's; each must be there at the others, and none else. */
static void
compare_all(struct compare *c)
{
    struct compare_found found = {0, 0, 0};
    const struct compare_node *first = &c->nodes[0];
    uint32_t ranges = DATABASES_MAX;
    uint32_t count = 0;
    char **names;

    connect_to(c, c->cfg->recovery_user[0] != '\0' ? c->cfg->recovery_database
                                                   : c->cfg->sr_check_database);
    if (!compare_ask(c, "SELECT datname, '', datname FROM pg_catalog.pg_database WHERE datallowconn"
                        " AND NOT datistemplate ORDER BY datname COLLATE \"C\""))
        return;
    for (uint32_t n = 1; n < c->node_count; n++)
        compare_rows(first, &c->nodes[n], "database", &ranges, &found);
    c->differences += found.missing + found.extra;
    if (!compare_ask_first(c, databases))
        return;
    names = xcalloc(first->rows.count + 1, sizeof(*names));
    for (; count < first->rows.count; count++)
        names[count] = xstrdup(compare_value(first, count, 0));
    for (uint32_t n = 0; n < count; n++) {
        if (found.missing == 0)
            compare_database(c, names[n]);
        free(names[n]);
    }
    if (found.missing > 0)
        printf(
            "databases are not compared before all nodes have them; name those that are to be\n");
    free(names);
}

static void
run(struct compare *c, const struct command *cmd)
{
    if (cmd->object_count == 0) {
        compare_all(c);
        return;
    }
    for (int n = 0; n < cmd->object_count; n++)
        compare_database(c, cmd->objects[n]);
}

static int
conclude(const struct compare *c)
{
    if (c->broken)
        printf("not everything could be compared\n");
    if (c->differences > 0)
        printf("%llu differences\n", (unsigned long long)c->differences);
    else if (!c->broken)
        printf("no differences\n");
    if (c->broken)
        return 1;
    return c->differences > 0 ? COMPARE_DIFFERENT : 0;
}

int
control_compare(const struct command *cmd)
{
    struct config *cfg = control_load(cmd);
    struct compare *c = xcalloc(1, sizeof(*c));
    struct io_options options = {.engine = IO_ENGINE_EPOLL};
    struct err err;
    int rc = 1;

    setvbuf(stdout, NULL, _IOLBF, 0); /* who reads both streams gets them in their order */
    c->cfg = cfg;
    c->limit_ms = (int64_t)(cmd->timeout_s > 0 ? cmd->timeout_s : STATEMENT_S) * 1000;
    if (cfg != NULL)
        proc_read_passwords(cfg, cmd->files.pool_key, &c->passwords);
    if (cfg != NULL &&
        (io_new(&options, &c->io, &err) != 0 || dns_new(c->io, &c->dns, &err) != 0)) {
        fprintf(stderr, "pgpool: error: %s\n", err.message);
    } else if (cfg != NULL && add_nodes(c, cmd->nodes) == 0) {
        run(c, cmd);
        rc = conclude(c);
    }
    for (uint32_t n = 0; n < c->node_count; n++) {
        ask_free(c->nodes[n].ask);
        arena_fini(&c->nodes[n].rows.arena);
    }
    if (c->dns != NULL)
        dns_free(c->dns);
    if (c->io != NULL)
        io_free(c->io);
    passwd_free(c->passwords);
    free(c);
    config_free(cfg);
    return rc;
}

/*
 * Who may come in to a child: the rules and secrets in force, and the means to ask for more.
 *
 * Called when the child begins and at each reload. What is new counts for logins that begin then;
 * those that are under way go on with what they began with. A faulty pool_passwd leaves the one
 * that was known before.
 */
#include "child.h"

#include "auth/passwd.h"
#include "base/log.h"
#include "os/clock.h"
#include "os/here.h"
#include "proc/proc.h"
#include "proc/tls.h"

#include <stdlib.h>
#include <string.h>

enum {
    THREADS = 4, /* that ask PAM or LDAP at the same time */
    JOBS_MAX = 1000,
    QUESTION_MS = 5000, /* to one server */
    NETS_LIFE_S = 30,
    END_MS = 100, /* for what still runs on threads when the child ends */
};

static void
read_passwords(struct child *c)
{
    struct passwd *fresh;
    struct err err;

    if (proc_load_passwords(c->proc->config->pool_passwd, c->proc->files->pool_key, &fresh, &err) !=
        0) {
        log_warning("%s%s%s%s; the passwords known before stay", err.message,
                    err.hint[0] != '\0' ? " (hint: " : "", err.hint,
                    err.hint[0] != '\0' ? ")" : "");
        return;
    }
    passwd_free(c->passwords);
    c->passwords = fresh;
}

/* Only where a rule asks for them. */
static void
look_at_nets(struct child *c)
{
    struct here_network *found;
    uint32_t count;
    struct err err;

    c->nets_ns = io_now_ns(c->proc->io);
    if (here_networks(&found, &count, &err) != 0) {
        log_warning("%s", err.message);
        return;
    }
    c->net_list = (struct hba_nets){c->nets, MIN(count, (uint32_t)CHILD_NETS_MAX)};
    for (uint32_t n = 0; n < c->net_list.count; n++) {
        c->nets[n].family = found[n].family;
        memcpy(c->nets[n].address, found[n].address, sizeof(c->nets[n].address));
        memcpy(c->nets[n].mask, found[n].mask, sizeof(c->nets[n].mask));
    }
    free(found);
}

static bool
asks_for_nets(const struct child *c)
{
    const struct hba_line *line;

    for (uint32_t n = 0; c->hba.rules != NULL && (line = hba_line_at(c->hba.rules, n)) != NULL;
         n++) {
        if (line->address == HBA_ADDRESS_SAMEHOST || line->address == HBA_ADDRESS_SAMENET)
            return true;
    }
    return false;
}

static void
configure_query(struct child *c)
{
    const struct config *cfg = c->proc->config;
    const struct role_query_options o = {
        .user = cfg->auth_user,
        .password = cfg->auth_user[0] != '\0'
                        ? proc_password(c->passwords, cfg->auth_user, cfg->auth_password)
                        : NULL,
        .database = cfg->auth_dbname,
        .sql = cfg->auth_query,
        .tls = proc_ask_tls(cfg),
        .keep_ms = cfg->auth_query_cache_time_ms,
        .limit_ms = QUESTION_MS,
    };

    role_query_configure(c->host.login.roles, &o);
}

void
child_configure_login(struct child *c)
{
    const struct config *cfg = c->proc->config;
    struct login_host *h = &c->host.login;
    struct login_rules content = {.by_lines = cfg->enable_pool_hba};

    read_passwords(c);
    proc_read_hba(c->proc, &c->hba);
    content.hba = hba_ref(c->hba.rules);
    content.ident = ident_ref(c->hba.ident);
    content.passwords = passwd_ref(c->passwords);
    login_rules_unref(h->rules);
    h->rules = login_rules_new(&content);
    if (asks_for_nets(c))
        look_at_nets(c);
    h->nets = c->nets_ns != 0 ? &c->net_list : NULL;
    h->allow_clear_text = cfg->allow_clear_text_frontend_auth;
    h->failure_delay_ms = cfg->auth_failure_delay_ms;
    h->begun_max = (uint32_t)cfg->max_unauthenticated_clients;
    configure_query(c);
}

void
child_fill_login(struct child *c, struct session_host *host)
{
    const struct role_query_nodes nodes = {&c->view, c->nodes};
    struct login_host *h = &host->login;

    h->dns = c->dns;
    h->roles = role_query_new(c->proc->io, c->dns, &nodes);
    h->worker = worker_new(c->proc->io, THREADS, JOBS_MAX);
    memcpy(h->mock_key, c->proc->mock_key, sizeof(h->mock_key));
}

void
child_sweep_login(struct child *c)
{
    login_hosts_sweep(&c->host.login);
    if (io_now_ns(c->proc->io) - c->nets_ns > NETS_LIFE_S * NS_PER_S && asks_for_nets(c))
        look_at_nets(c);
}

bool
child_drop_login(struct child *c)
{
    struct login_host *h = &c->host.login;
    unsigned left = worker_free(h->worker, END_MS);

    role_query_free(h->roles);
    login_rules_unref(h->rules);
    proc_free_hba(&c->hba);
    passwd_free(c->passwords);
    return left > 0;
}

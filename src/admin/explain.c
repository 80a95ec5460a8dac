/*
 * PGPOOL EXPLAIN LOGIN user database address [SSL]: which rule a login would fall under, where its
 * secret would come from, and what it would be asked for.
 *
 * Called by query.c and extended.c, only for who has the role admin. Says what is in force now.
 */
#include "admin/internal.h"

#include "auth/explain.h"
#include "base/str.h"
#include "config/config.h"

const struct inspect_view admin_login_view = {
    .name = "login", .column_count = 2, .columns = {"item", "value"}};

int
admin_login_find(struct admin_client *c, const struct sql_command *command,
                 struct admin_target *target_r, struct err *err)
{
    struct admin_login *l = &target_r->login;

    if (admin_check_role(c, err) != 0)
        return -1;
    l->is_local = str_equal_nocase(command->address, "local") ||
                  str_equal_nocase(command->address, "[local]");
    if (!l->is_local && !sock_parse_literal(command->address, 0, &l->address)) {
        err_set(err, "22P02", "\"%s\" is no address", command->address);
        err_hint(err, "An IPv4 or IPv6 address in quotes, or local for a unix socket.");
        return -1;
    }
    if (command->name[0] == '\0' || !str_copy(l->database, sizeof(l->database), command->value))
        return err_set(err, "42622", "there is no such name of a user or database");
    str_copy(l->user, sizeof(l->user), command->name);
    l->tls = command->over_ssl;
    target_r->view.view = &admin_login_view;
    return 0;
}

struct rows {
    inspect_row_fn *row;
    void *ctx;
};

static void
add(void *ctx, const char *item, const char *words)
{
    const struct rows *r = ctx;
    const char *const values[] = {item, words};

    r->row(r->ctx, values, 2);
}

void
admin_login_run(struct admin_client *c, const struct admin_login *login, inspect_row_fn *row,
                void *ctx)
{
    const struct admin *a = c->admin;
    const struct config *cfg = a->input->config;
    struct rows rows = {row, ctx};
    struct explain_login e = {.user = login->user,
                              .database = login->database,
                              .addr = login->is_local ? NULL : sock_addr(&login->address),
                              .tls = login->tls,
                              .by_lines = cfg->enable_pool_hba,
                              .auth_user = cfg->auth_user,
                              .allow_clear_text = cfg->allow_clear_text_frontend_auth};

    a->host.login_rules(a->host.ctx, &e);
    explain_login(&e, add, &rows);
}

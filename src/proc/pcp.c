/*
 * The administration process: accepts on the administration port and its unix sockets, and keeps
 * for its clients (admin/) what the views are made of.
 *
 * Owns its view of the cluster, made from the freshness area whenever that is new. Writes no shared
 * memory (the parent and the failover process are asked for what is to be done), asks no server,
 * decides nothing: it works while every server is down. When it dies, its clients end and the
 * parent forks another. When another generation of processes has taken over, it accepts no more and
 * goes on for the clients that it has.
 */
#include "admin/admin.h"
#include "auth/explain.h"
#include "auth/pcp_users.h"
#include "base/arena.h"
#include "base/log.h"
#include "proc/hba.h"
#include "proc/inspection.h"
#include "proc/proc.h"
#include "proc/tls.h"

#include <stdlib.h>
#include <string.h>

struct pcp {
    struct tls_sides tls;
    struct proc *proc;
    struct admin *admin;
    struct pcp_users *users;  /* of pcp.conf; NULL: there is no such file */
    struct passwd *passwords; /* of pool_passwd, for EXPLAIN LOGIN */
    struct proc_hba hba;
    struct proc_inspection inspection;
    struct io_listener *listeners[SOCK_LISTEN_MAX];
    uint32_t listener_count;
    bool accepting;
    bool finishing;
    struct io_timer closing;
};

enum { CLOSING_MS = 1 };

/* ---- users ---- */

static void
read_users(struct pcp *s, bool at_start)
{
    struct pcp_users *before = s->users;

    if (!proc_take_pcp_users(s->proc, at_start, &s->users))
        return;
    admin_set_users(s->admin, s->users);
    pcp_users_free(before);
}

/* ---- clients of the other port, for those who ask about them ---- */

static void
read_rules(struct pcp *s)
{
    proc_read_passwords(s->proc->config, s->proc->files->pool_key, &s->passwords);
    proc_read_hba(s->proc, &s->hba);
}

static void
tell_rules(void *ctx, struct explain_login *login_r)
{
    const struct pcp *s = ctx;

    login_r->hba = s->hba.rules;
    login_r->passwords = s->passwords;
}

static void
read_tls(struct pcp *s)
{
    tls_sides_take(s->proc->config, s->proc->shared, &s->tls);
    admin_set_tls(s->admin, s->tls.accepts);
}

/* ---- clients ---- */

static void
set_accepting(struct pcp *s, bool on)
{
    if (s->accepting == on)
        return;
    s->accepting = on;
    for (uint32_t n = 0; n < s->listener_count; n++) {
        if (on)
            io_listener_resume(s->listeners[n]);
        else
            io_listener_pause(s->listeners[n]);
    }
}

static void
clients_changed(void *ctx)
{
    struct pcp *s = ctx;
    uint32_t count = admin_client_count(s->admin);

    set_accepting(s, shared_doors_are_open(s->proc->shared) && !admin_is_full(s->admin) &&
                         !s->finishing);
    proc_title(s->proc, "%s%u client%s", s->finishing ? "finishing " : "", count,
               count == 1 ? "" : "s");
    if (s->finishing && s->listener_count == 0 && admin_is_empty(s->admin))
        proc_end(s->proc);
}

static void
accepted(void *ctx, int fd, int error)
{
    struct pcp *s = ctx;

    if (error != 0) {
        log_warning("could not accept an administration client: %s", strerror(error));
        return;
    }
    admin_accept(s->admin, fd);
}

/* As a child does it (proc/child.c). */
static void
close_doors(void *ctx)
{
    struct pcp *s = ctx;
    int fd;

    clients_changed(s);
    for (uint32_t n = 0; n < s->listener_count; n++) {
        if (!io_listener_is_quiet(s->listeners[n])) {
            io_timer_start(s->proc->io, &s->closing, CLOSING_MS, close_doors, s);
            return;
        }
    }
    for (uint32_t n = 0; n < s->listener_count; n++) {
        while (!admin_is_full(s->admin) && (fd = sock_accept(s->proc->pcp->list[n].fd)) >= 0)
            admin_accept(s->admin, fd);
        io_listener_close(s->listeners[n]);
    }
    s->listener_count = 0;
    sock_listeners_close(s->proc->pcp, false);
    clients_changed(s);
}

/* ---- commands that others carry out ---- */

static void
ask_parent(void *ctx, uint32_t token, const struct hold_request *r)
{
    struct pcp *s = ctx;
    struct inbox_msg msg = {.kind = INBOX_HOLD};

    msg.hold.token = token;
    msg.hold.request = *r;
    proc_send(s->proc, SLOT_PARENT, &msg);
}

static void
send_order(void *ctx, uint32_t slot, struct inbox_msg *msg)
{
    struct pcp *s = ctx;

    proc_send(s->proc, slot, msg);
}

static int
check_files(void *ctx, struct err *err)
{
    struct pcp *s = ctx;
    struct pcp_users *users;

    if (proc_read_pcp_users(s->proc->files->pcp_conf, &users, err) != 0)
        return -1;
    pcp_users_free(users);
    return 0;
}

static void
on_inbox(void *ctx, const struct inbox_msg *msg)
{
    struct pcp *s = ctx;
    struct err err;

    if (msg->kind == INBOX_ORDER_DONE || msg->kind == INBOX_NODE_COMMAND_DONE) {
        err_set(&err, msg->command_done.sqlstate, "%s", msg->command_done.words);
        admin_order_done(s->admin, msg->command_done.token,
                         (enum inbox_command_result)msg->command_done.done, &err);
    }
    if (msg->kind != INBOX_HOLD_DONE)
        return;
    err_set(&err, msg->hold_done.sqlstate, "%s", msg->hold_done.words);
    admin_hold_done(s->admin, msg->hold_done.token, &msg->hold_done.request,
                    msg->hold_done.is_new != 0, msg->hold_done.done != 0 ? NULL : &err);
}

/* ---- events ---- */

static void
on_config(void *ctx, const struct config *before UNUSED)
{
    struct pcp *s = ctx;

    proc_inspection_configure(&s->inspection);
    read_users(s, false);
    read_rules(s);
    read_tls(s);
}

static void
on_wake(void *ctx)
{
    struct pcp *s = ctx;

    proc_inspection_look(&s->inspection);
    if (!s->accepting)
        clients_changed(s);
}

/* The parent asks for a smart stop only when another generation has taken over. Otherwise nothing
 * here is worth waiting for. */
static void
on_stop(void *ctx, enum proc_stop mode)
{
    struct pcp *s = ctx;
    struct err err;

    if (mode == PROC_STOP_SMART) {
        s->finishing = true;
        close_doors(s);
        return;
    }
    err_set(&err, "57P01", "terminating connection due to administrator command");
    admin_terminate(s->admin, &err);
    proc_end(s->proc);
}

/* ---- life ---- */

static struct pcp *
pcp_new(struct proc *p)
{
    struct pcp *s = xcalloc(1, sizeof(*s));
    const struct admin_host host = {.ctx = s,
                                    .changed = clients_changed,
                                    .hold = ask_parent,
                                    .send = send_order,
                                    .login_rules = tell_rules,
                                    .check_files = check_files};

    s->proc = p;
    proc_inspection_init(&s->inspection, p);
    s->admin = admin_new(p->io, &s->inspection.input, &host);
    read_users(s, true);
    read_rules(s);
    read_tls(s);
    return s;
}

static void
pcp_free(struct pcp *s)
{
    for (uint32_t n = 0; n < s->listener_count; n++)
        io_listener_close(s->listeners[n]);
    io_timer_stop(&s->closing);
    admin_free(s->admin);
    pcp_users_free(s->users);
    proc_free_hba(&s->hba);
    tls_sides_free(&s->tls);
    passwd_free(s->passwords);
    free(s);
}

void
pcp_main(struct proc *p)
{
    static const struct proc_ops ops = {
        .on_config = on_config, .on_inbox = on_inbox, .on_wake = on_wake, .on_stop = on_stop};
    struct pcp *s = pcp_new(p);

    s->accepting = true;
    for (uint32_t n = 0; n < p->pcp->count; n++)
        s->listeners[s->listener_count++] = io_listen(p->io, p->pcp->list[n].fd, accepted, s);
    clients_changed(s);
    proc_run(p, &ops, s);
    pcp_free(s);
}

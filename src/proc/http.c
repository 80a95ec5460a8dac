/*
 * The process for HTTP: metrics, health and the views for whoever asks by GET.
 *
 * Owns its view of the cluster and the connections of its clients; serves nobody else, so that no
 * scrape is on the way of a statement. Writes no shared memory, asks no server, changes nothing.
 * When it dies, its requests end and the parent forks another. When another generation of processes
 * has taken over, it accepts no more and ends when the last client has gone.
 */
#include "auth/http_door.h"
#include "base/arena.h"
#include "base/log.h"
#include "inspect/json.h"
#include "inspect/metrics.h"
#include "os/clock.h"
#include "proc/inspection.h"
#include "proc/proc.h"
#include "proc/tls.h"
#include "watchdog/board.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#define JSON "application/json"

enum { CLOSING_MS = 1, STATUS_OK = 200, STATUS_NOT_FOUND = 404, STATUS_UNAVAILABLE = 503 };
enum { STATUS_UNAUTHORIZED = 401, STATUS_FORBIDDEN = 403 };

struct http {
    struct proc *proc;
    struct http_server *server;
    struct tls_http tls; /* what it was started with */
    struct http_door door;
    struct pcp_users *users; /* of pcp.conf; NULL: there is no such file */
    struct proc_inspection inspection;
    struct io_listener *listeners[SOCK_LISTEN_MAX];
    uint32_t listener_count;
    bool accepting;
    bool finishing;
    struct io_timer closing;
};

/* ---- answers ---- */

static void
answer_health(struct http *h UNUSED, struct http_answer *a)
{
    buf_add_str(&a->body, "ok\n");
}

/* It stops, or another generation has taken over. */
static bool
takes_no_clients(const struct http *h)
{
    return h->finishing || atomic_load(&shared_proc(h->proc->shared, SLOT_PARENT)->retiring) != 0;
}

/* Is a moment that the watchdog process allows things until still to come? */
static bool
is_before(struct http *h, const _Atomic int64_t *until_ns)
{
    return !h->proc->config->use_watchdog || clock_boottime_ns() < atomic_load(until_ns);
}

/* Would a client that comes now find a primary? */
static void
answer_ready(struct http *h, struct http_answer *a)
{
    const struct wd_live *live = shared_wd_live(h->proc->shared);
    int id = h->inspection.view.primary_id;
    const char *why = NULL;

    if (takes_no_clients(h))
        why = "this pgpool is finishing";
    else if (id < 0)
        why = "no primary is known";
    else if (!h->inspection.freshness.nodes[id].reachable)
        why = "the primary does not answer";
    else if (!is_before(h, &live->writes_until_ns))
        why = "cut off from the other pgpools, it only reads";
    a->status = why != NULL ? STATUS_UNAVAILABLE : STATUS_OK;
    buf_printf(&a->body, "%s%s\n", why != NULL ? "not ready: " : "ready", why != NULL ? why : "");
}

/* Of several pgpools one leads; one alone does. */
static void
answer_role(struct http *h, struct http_answer *a)
{
    const struct wd_live *live = shared_wd_live(h->proc->shared);
    const char *role = "leader";

    if (takes_no_clients(h))
        role = "finishing";
    else if (!is_before(h, &live->leads_until_ns))
        role = "member";
    a->status = strcmp(role, "leader") == 0 ? STATUS_OK : STATUS_UNAVAILABLE;
    buf_printf(&a->body, "%s\n", role);
}

static void
answer_metrics(struct http *h, struct http_answer *a)
{
    a->type = "text/plain; version=0.0.4; charset=utf-8";
    inspect_metrics(&h->inspection.input, &a->body);
}

static void
answer_names(struct http *h UNUSED, struct http_answer *a)
{
    a->type = JSON;
    inspect_json_names(&a->body);
}

struct page {
    const char *path;
    enum config_http_public need;
    void (*answer)(struct http *h, struct http_answer *a);
};

static const struct page pages[] = {
    {"/health", CONFIG_HTTP_PUBLIC_HEALTH, answer_health},
    {"/ready", CONFIG_HTTP_PUBLIC_HEALTH, answer_ready},
    {"/role", CONFIG_HTTP_PUBLIC_HEALTH, answer_role},
    {"/metrics", CONFIG_HTTP_PUBLIC_METRICS, answer_metrics},
    {"/api", CONFIG_HTTP_PUBLIC_ALL, answer_names},
};

static const struct page *
find_page(const char *path)
{
    for (size_t n = 0; n < ARRAY_LEN(pages); n++) {
        if (strcmp(pages[n].path, path) == 0)
            return &pages[n];
    }
    return NULL;
}

/* Whoever watches the log sees who tries passwords. */
static void
log_failure(const struct http_request *r, const struct err *why)
{
    char peer[SOCK_TEXT_BYTES];

    if (r->user == NULL)
        return;
    sock_address_text(&r->peer, peer, sizeof(peer));
    log_warning("HTTP client \"%s\", user \"%.64s\": %s", peer, r->user, why->message);
}

static bool
may_have(struct http *h, const struct http_request *r, enum config_http_public need,
         struct http_answer *a)
{
    struct err why;

    switch (http_door_judge(&h->door, r, need, &why)) {
    case HTTP_LET_IN:
        return true;
    case HTTP_ASK:
        a->status = STATUS_UNAUTHORIZED;
        a->asks_password = true;
        log_failure(r, &why);
        break;
    case HTTP_REFUSE:
        a->status = STATUS_FORBIDDEN;
        break;
    }
    buf_printf(&a->body, "%s\n%s%s", why.message, why.hint, why.hint[0] != '\0' ? "\n" : "");
    return false;
}

static void
answer_view(struct http *h, const char *name, struct http_answer *a)
{
    const struct inspect_question question = {.name = {name, (uint32_t)strlen(name)}};
    struct inspect_target target;
    struct err err;

    if (inspect_find(&h->inspection.input, &question, &target, &err) != 0) {
        a->status = STATUS_NOT_FOUND;
        buf_printf(&a->body, "%s\n%s\n", err.message, err.hint);
        return;
    }
    a->type = JSON;
    inspect_json(&h->inspection.input, target.view, &a->body);
}

static void
answer(void *ctx, const struct http_request *r, struct http_answer *a)
{
    static const char api[] = "/api/";
    struct http *h = ctx;
    const struct page *page = find_page(r->path);
    bool is_view = strncmp(r->path, api, sizeof(api) - 1) == 0;

    proc_inspection_look(&h->inspection);
    if (page == NULL && !is_view) {
        a->status = STATUS_NOT_FOUND;
        buf_add_str(&a->body, "there are /metrics, /health, /ready, /role, /api and /api/NAME\n");
        return;
    }
    if (!may_have(h, r, is_view ? CONFIG_HTTP_PUBLIC_ALL : page->need, a))
        return;
    if (is_view)
        answer_view(h, r->path + sizeof(api) - 1, a);
    else
        page->answer(h, a);
}

/* ---- clients ---- */

static void
set_accepting(struct http *h, bool on)
{
    if (h->accepting == on)
        return;
    h->accepting = on;
    for (uint32_t n = 0; n < h->listener_count; n++) {
        if (on)
            io_listener_resume(h->listeners[n]);
        else
            io_listener_pause(h->listeners[n]);
    }
}

static void
clients_changed(void *ctx)
{
    struct http *h = ctx;
    uint32_t count = http_server_count(h->server);

    set_accepting(h, shared_doors_are_open(h->proc->shared) && !http_server_is_full(h->server) &&
                         !h->finishing);
    proc_title(h->proc, "%s%u client%s", h->finishing ? "finishing " : "", count,
               count == 1 ? "" : "s");
    if (h->finishing && h->listener_count == 0 && count == 0)
        proc_end(h->proc);
}

static void
accepted(void *ctx, int fd, int error)
{
    struct http *h = ctx;

    if (error != 0) {
        log_warning("could not accept an HTTP client: %s", strerror(error));
        return;
    }
    http_server_accept(h->server, fd);
}

/* As a child does it (proc/child.c). */
static void
close_doors(void *ctx)
{
    struct http *h = ctx;

    clients_changed(h);
    for (uint32_t n = 0; n < h->listener_count; n++) {
        if (!io_listener_is_quiet(h->listeners[n])) {
            io_timer_start(h->proc->io, &h->closing, CLOSING_MS, close_doors, h);
            return;
        }
    }
    for (uint32_t n = 0; n < h->listener_count; n++)
        io_listener_close(h->listeners[n]);
    h->listener_count = 0;
    sock_listeners_close(h->proc->http, false);
    clients_changed(h);
}

/* ---- files ---- */

static void
read_users(struct http *h, bool at_start)
{
    struct pcp_users *before = h->users;
    struct err err;

    if (!proc_take_pcp_users(h->proc, at_start, &h->users))
        return;
    pcp_users_free(before);
    h->door.users = h->users;
    if (http_door_forget(&h->door, &err) != 0)
        log_error("%s", err.message);
}

/* With another certificate it begins anew: requests under way end, and are made again by whoever
 * wants to know. */
static int
start_server(struct http *h, struct err *err)
{
    struct tls_http fresh;
    struct http_options options = {.answer = answer, .changed = clients_changed, .ctx = h};
    struct http_server *server;
    int rc;

    tls_http_take(h->proc->shared, &fresh);
    if (h->server != NULL && tls_http_equal(&fresh, &h->tls)) {
        tls_http_free(&fresh);
        return 0;
    }
    options.cert = (struct tls_text){(const char *)fresh.cert.data, fresh.cert.len};
    options.key = (struct tls_text){(const char *)fresh.key.data, fresh.key.len};
    rc = http_server_new(h->proc->io, &options, &server, err);
    if (rc != 0) {
        tls_http_free(&fresh);
        return -1;
    }
    http_server_free(h->server);
    tls_http_free(&h->tls);
    h->server = server;
    h->tls = fresh;
    return 0;
}

/* ---- events ---- */

static void
on_config(void *ctx, const struct config *before UNUSED)
{
    struct http *h = ctx;
    struct err err;

    proc_inspection_configure(&h->inspection);
    h->door.config = h->proc->config;
    read_users(h, false);
    if (start_server(h, &err) != 0)
        log_error("%s; what was in force stays", err.message);
    clients_changed(h);
}

static void
on_wake(void *ctx)
{
    struct http *h = ctx;

    if (!h->accepting)
        clients_changed(h);
}

/* As the administration process has it (proc/pcp.c). */
static void
on_stop(void *ctx, enum proc_stop mode)
{
    struct http *h = ctx;

    if (mode != PROC_STOP_SMART) {
        proc_end(h->proc);
        return;
    }
    h->finishing = true;
    close_doors(h);
}

/* ---- life ---- */

static struct http *
http_new(struct proc *p)
{
    struct http *h = xcalloc(1, sizeof(*h));
    struct err err;

    h->proc = p;
    h->door.config = p->config;
    proc_inspection_init(&h->inspection, p);
    read_users(h, true);
    if (start_server(h, &err) != 0) {
        log_fatal("%s%s%s%s", err.message, err.hint[0] != '\0' ? " (hint: " : "", err.hint,
                  err.hint[0] != '\0' ? ")" : "");
        exit(1);
    }
    return h;
}

static void
http_free(struct http *h)
{
    for (uint32_t n = 0; n < h->listener_count; n++)
        io_listener_close(h->listeners[n]);
    io_timer_stop(&h->closing);
    http_server_free(h->server);
    tls_http_free(&h->tls);
    pcp_users_free(h->users);
    OPENSSL_cleanse(&h->door, sizeof(h->door));
    free(h);
}

void
http_main(struct proc *p)
{
    static const struct proc_ops ops = {
        .on_config = on_config, .on_wake = on_wake, .on_stop = on_stop};
    struct http *h = http_new(p);

    h->accepting = true;
    for (uint32_t n = 0; n < p->http->count; n++)
        h->listeners[h->listener_count++] = io_listen(p->io, p->http->list[n].fd, accepted, h);
    clients_changed(h);
    proc_run(p, &ops, h);
    http_free(h);
}

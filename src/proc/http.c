/*
 * The process for HTTP: metrics, health and the views for whoever asks by GET, and the status page
 * (http_page.c).
 *
 * Owns its view of the cluster, the last hour in samples, what it has noticed, and the connections
 * of its clients; serves nobody else, so that no scrape is on the way of a statement. Writes no
 * shared memory, asks no server, changes nothing itself: what an admin wants of the page, other
 * processes are asked for (http_orders.c).
 * When it dies, its requests end and the parent forks another. When another generation of processes
 * has taken over, it accepts no more and ends when the last client has gone.
 */
#include "http.h"
#include "base/arena.h"
#include "base/log.h"
#include "config/config.h"
#include "inspect/json.h"
#include "inspect/metrics.h"
#include "os/clock.h"
#include "watchdog/board.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLOSING_MS = 1, LATE_MAX = 16, WORDS_BYTES = HAPPENING_TEXT_BYTES };
enum { SECOND_LIFE_US = 30 * 1000 * 1000 }; /* later than any first one begins */

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
const char *
http_why_not_ready(struct http *h)
{
    const struct wd_live *live = shared_wd_live(h->proc->shared);
    int id = h->inspection.view.primary_id;

    if (takes_no_clients(h))
        return "this pgpool is finishing";
    if (id < 0)
        return "no primary is known";
    if (!h->inspection.freshness.nodes[id].reachable)
        return "the primary does not answer";
    return is_before(h, &live->writes_until_ns) ? NULL
                                                : "cut off from the other pgpools, it only reads";
}

static void
answer_ready(struct http *h, struct http_answer *a)
{
    const char *why = http_why_not_ready(h);

    a->status = why != NULL ? HTTP_UNAVAILABLE : HTTP_OK;
    buf_printf(&a->body, "%s%s\n", why != NULL ? "not ready: " : "ready", why != NULL ? why : "");
}

/* Of several pgpools one leads; one alone does. */
const char *
http_role(struct http *h)
{
    const struct wd_live *live = shared_wd_live(h->proc->shared);

    if (takes_no_clients(h))
        return "finishing";
    return is_before(h, &live->leads_until_ns) ? "leader" : "member";
}

static void
answer_role(struct http *h, struct http_answer *a)
{
    const char *role = http_role(h);

    a->status = strcmp(role, "leader") == 0 ? HTTP_OK : HTTP_UNAVAILABLE;
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
    a->type = HTTP_JSON;
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

void
http_turn_away(struct http *h, const struct http_request *r, enum http_verdict verdict,
               const struct err *why, struct http_answer *a)
{
    a->type = NULL;
    if (verdict == HTTP_REFUSE) {
        a->status = HTTP_FORBIDDEN;
    } else {
        a->status = HTTP_UNAUTHORIZED;
        a->asks = "Basic realm=\"pgpool\", charset=\"UTF-8\"";
        log_failure(r, why);
        if (r->user != NULL)
            a->delay_ms = h->proc->config->auth_failure_delay_ms;
    }
    buf_printf(&a->body, "%s\n%s%s", why->message, why->hint, why->hint[0] != '\0' ? "\n" : "");
}

bool
http_is_guessed_at(struct http *h, const struct http_request *r, struct http_answer *a)
{
    if (r->user == NULL || http_server_delayed(h->server) < LATE_MAX)
        return false;
    a->status = HTTP_TOO_MANY;
    a->type = NULL;
    buf_add_str(&a->body, "too many wrong passwords just now\n");
    return true;
}

static bool
may_have(struct http *h, const struct http_request *r, enum config_http_public need,
         struct http_answer *a)
{
    enum http_verdict verdict;
    struct err why;

    if (need > h->proc->config->http_public && h->users != NULL && r->user != NULL &&
        !http_door_knows(&h->door, r) && http_is_guessed_at(h, r, a))
        return false;
    verdict = http_door_judge(&h->door, r, need, &why);
    if (verdict != HTTP_LET_IN)
        http_turn_away(h, r, verdict, &why, a);
    return verdict == HTTP_LET_IN;
}

static void
answer_view(struct http *h, const char *name, struct http_answer *a)
{
    const struct inspect_question question = {.name = {name, (uint32_t)strlen(name)}};
    struct inspect_target target;
    struct err err;

    if (inspect_find(&h->inspection.input, &question, &target, &err) != 0) {
        a->status = HTTP_NOT_FOUND;
        buf_printf(&a->body, "%s\n%s\n", err.message, err.hint);
        return;
    }
    a->type = HTTP_JSON;
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
    a->closes = h->finishing; /* whoever asks again and again would be here for ever */
    if (http_page_answer(h, r, a))
        return;
    if (page == NULL && !is_view) {
        a->status = HTTP_NOT_FOUND;
        buf_add_str(&a->body,
                    "there are /, /metrics, /health, /ready, /role, /api and /api/NAME\n");
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
    http_sessions_forget(&h->sessions);
    if (http_door_forget(&h->door, &err) != 0)
        log_error("%s", err.message);
}

/* With another certificate it begins anew: requests under way end, and are made again by whoever
 * wants to know. */
static int
start_server(struct http *h, struct err *err)
{
    struct tls_http fresh;
    struct http_options options = {
        .answer = answer, .takes_post = http_page_takes_post, .changed = clients_changed, .ctx = h};
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

/* ---- the hour ---- */

static void
take_sample(void *ctx)
{
    struct http *h = ctx;

    proc_inspection_look(&h->inspection);
    history_take(h->history, &h->inspection.input, clock_wall_us(), clock_monotonic_ns());
    io_timer_start(h->proc->io, &h->sampling, HISTORY_EVERY_MS, take_sample, h);
}

static void
add_words(char words[WORDS_BYTES], const char *more)
{
    size_t len = strlen(words);

    snprintf(words + len, WORDS_BYTES - len, "%s%s", len > 0 ? ", " : "", more);
}

/* What is paused and drained, whenever that has changed. */
static void
note_holds(struct http *h)
{
    const struct holds *holds = shared_holds(h->proc->shared);
    char words[WORDS_BYTES] = "";
    char name[SLOT_NAME_BYTES];
    char more[SLOT_NAME_BYTES + 16];
    int64_t since_us;

    if (holds_epoch(holds) == h->holds_epoch)
        return;
    h->holds_epoch = holds_epoch(holds);
    if (holds_all_paused(holds, &since_us))
        add_words(words, "all databases");
    for (uint32_t n = 0; n < HOLDS_DATABASES_MAX; n++) {
        if (!holds_database(holds, n, name, &since_us))
            continue;
        snprintf(more, sizeof(more), "database \"%s\"", name);
        add_words(words, more);
    }
    for (int node_id = 0; node_id < NODES_MAX; node_id++) {
        if (!holds_drained(holds, node_id, NULL))
            continue;
        snprintf(more, sizeof(more), "node %d", node_id);
        add_words(words, more);
    }
    happenings_note(&h->happenings, clock_wall_us(), words[0] != '\0' ? "on hold" : "resumed", "%s",
                    words[0] != '\0' ? words : "nothing is paused or drained any more");
}

/* The first lines; a process that is not the first of its kind says that it is not. */
static void
begin_history(struct http *h)
{
    int64_t started_us = shared_started_at_us(h->proc->shared);

    h->history = history_new();
    happenings_note(&h->happenings, started_us, "started", "pgpool has been started");
    if (shared_proc(h->proc->shared, h->proc->slot)->started_at_us - started_us > SECOND_LIFE_US)
        happenings_note(&h->happenings, clock_wall_us(), "http",
                        "the process for HTTP has been started anew: plots begin here");
    h->holds_epoch = 0;
    note_holds(h);
    take_sample(h);
}

/* ---- events ---- */

static void
on_config(void *ctx, const struct config *before UNUSED)
{
    struct http *h = ctx;
    struct err err;

    proc_inspection_configure(&h->inspection);
    happenings_note(&h->happenings, clock_wall_us(), "reload",
                    "the configuration has been read anew");
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

    note_holds(h);
    if (!h->accepting)
        clients_changed(h);
}

static void
on_inbox(void *ctx, const struct inbox_msg *msg)
{
    http_orders_hear(ctx, msg);
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
    http_orders_init(h);
    begin_history(h);
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
    io_timer_stop(&h->sampling);
    http_orders_fini(h);
    history_free(h->history);
    http_server_free(h->server);
    tls_http_free(&h->tls);
    pcp_users_free(h->users);
    OPENSSL_cleanse(&h->door, sizeof(h->door));
    http_sessions_forget(&h->sessions);
    free(h);
}

void
http_main(struct proc *p)
{
    static const struct proc_ops ops = {
        .on_config = on_config, .on_inbox = on_inbox, .on_wake = on_wake, .on_stop = on_stop};
    struct http *h = http_new(p);

    h->accepting = true;
    for (uint32_t n = 0; n < p->http->count; n++)
        h->listeners[h->listener_count++] = io_listen(p->io, p->http->list[n].fd, accepted, h);
    clients_changed(h);
    proc_run(p, &ops, h);
    http_free(h);
}

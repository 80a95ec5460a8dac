/*
 * The status page: its files, who has logged in on it, what it shows and what may be done there.
 *
 * Called by http.c for each request that is not for a machine. The files (src/page/) are compiled
 * in and for everybody: nothing in them tells anything of this pgpool. Everything else is for who
 * has logged in, or may see all without that (auth/http_door.h). Only an admin's login gives
 * commands, only by POST, and only from a page of our own: the token of a login is in no cookie, so
 * that no browser sends it for another page, and where a request comes from is asked besides. The
 * page never gets to know anything by a query, and nothing of a request is put into a text of ours
 * but the name of a user.
 */
#include "config.h"

#include "base/log.h"
#include "base/num.h"
#include "config/config.h"
#include "http.h"
#include "inspect/json.h"
#include "os/clock.h"
#include "page_files.h"

#include <inttypes.h>
#include <string.h>

#define POLICY                                                                                     \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src "        \
    "'self'; "                                                                                     \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for "      \
    "'script'; trusted-types 'none'"

enum { ROWS_MAX = 100 };

#define DO "/page/do/"

/* ---- files ---- */

struct file {
    const char *path;
    const char *type;
    const unsigned char *bytes;
    size_t len;
};

static const struct file files[] = {
    {"/", "text/html; charset=utf-8", page_html, sizeof(page_html)},
    {"/page/page.css", "text/css; charset=utf-8", page_css, sizeof(page_css)},
    {"/page/plot.js", "text/javascript; charset=utf-8", plot_js, sizeof(plot_js)},
    {"/page/page.js", "text/javascript; charset=utf-8", page_js, sizeof(page_js)},
    {"/page/icon.svg", "image/svg+xml", icon_svg, sizeof(icon_svg)},
};

static bool
answer_file(const char *path, struct http_answer *a)
{
    for (size_t n = 0; n < ARRAY_LEN(files); n++) {
        if (strcmp(files[n].path, path) != 0)
            continue;
        a->type = files[n].type;
        a->policy = POLICY;
        buf_add(&a->body, files[n].bytes, files[n].len);
        return true;
    }
    return false;
}

/* ---- who asks ---- */

/* A token that is nobody's counts for nothing, also where none is needed: the page asks anew. A
 * password is not looked at: the only place that takes one is the login, which is slow. */
static bool
may_look(struct http *h, const struct http_request *r, const struct http_session **who_r,
         struct http_answer *a)
{
    enum http_verdict verdict = HTTP_LET_IN;
    struct http_request bare = *r;
    struct err why;

    *who_r = NULL;
    if (r->bearer == NULL) {
        bare.user = bare.password = NULL;
        verdict = http_door_judge(&h->door, &bare, CONFIG_HTTP_PUBLIC_ALL, &why);
    } else {
        verdict = http_door_takes_logins(&h->door, r, &why);
        if (verdict == HTTP_LET_IN) {
            *who_r = http_sessions_find(&h->sessions, r->bearer, clock_monotonic_ns());
            if (*who_r != NULL)
                return true;
            err_set(&why, "28P01", "this login has ended");
            verdict = HTTP_ASK;
        }
    }
    if (verdict == HTTP_LET_IN)
        return true;
    http_turn_away(h, &bare, verdict, &why, a);
    /* no dialog of the browser's: the page has its own */
    a->asks = verdict == HTTP_ASK ? "Bearer realm=\"pgpool\"" : NULL;
    return false;
}

static void
refuse(struct http_answer *a, unsigned status, const char *words)
{
    a->status = status;
    buf_printf(&a->body, "%s\n", words);
}

static bool
is_ours(const struct http_request *r, struct http_answer *a)
{
    char peer[SOCK_TEXT_BYTES];

    if (http_request_is_ours(r))
        return true;
    sock_address_text(&r->peer, peer, sizeof(peer));
    log_warning("HTTP client \"%s\": a command that came from another page was refused", peer);
    refuse(a, HTTP_FORBIDDEN, "commands are taken from the status page itself only");
    return false;
}

/* ---- what is shown ---- */

/* NULL: this pgpool has none of that name. */
static const struct inspect_view *
find_view(const struct inspect_input *in, const char *name)
{
    const struct inspect_question question = {.name = {name, (uint32_t)strlen(name)}};
    struct inspect_target target;
    struct err err;

    return inspect_find(in, &question, &target, &err) == 0 ? target.view : NULL;
}

static void
add_view(const struct inspect_input *in, const char *name, struct buf *out)
{
    const struct inspect_view *view = find_view(in, name);

    buf_printf(out, ",\n\"%s\":", name);
    if (view != NULL)
        inspect_json(in, view, out);
    else
        buf_add_str(out, "[]");
}

static void
answer_now(struct http *h, struct http_answer *a)
{
    static const char *const views[] = {"pool_nodes", "pool_replication", "pool_node_states",
                                        "pool_holds"};
    const struct inspect_input *in = &h->inspection.input;
    const char *why = http_why_not_ready(h);
    int64_t paused_us;
    struct buf *out = &a->body;

    buf_printf(out, "{\"version\":\"%s\",\"now_ms\":%" PRId64 ",\"started_ms\":%" PRId64,
               PACKAGE_VERSION, clock_wall_us() / 1000,
               shared_started_at_us(h->proc->shared) / 1000);
    buf_printf(out, ",\"role\":\"%s\",\"primary_id\":%d,\"paused\":%s,\"not_ready\":", http_role(h),
               h->inspection.view.primary_id,
               holds_all_paused(shared_holds(h->proc->shared), &paused_us) ? "true" : "false");
    inspect_json_text(why != NULL ? why : "", out);
    buf_printf(out,
               ",\"life\":\"%d\",\"events_version\":%" PRIu64
               ",\"cached\":%s,\"statements\":%s,\"present\":",
               (int)atomic_load(&shared_proc(h->proc->shared, h->proc->slot)->pid),
               happenings_version(&h->happenings, in), in->cache != NULL ? "true" : "false",
               find_view(in, "pool_statements") != NULL ? "true" : "false");
    history_json_now(in, out);
    buf_add_str(out, ",\n\"orders\":");
    http_orders_json(h, out);
    for (size_t n = 0; n < ARRAY_LEN(views); n++)
        add_view(in, views[n], out);
    if (h->proc->config->use_watchdog)
        add_view(in, "pool_watchdog", out);
    buf_add_str(out, "}\n");
}

static void
answer_events(struct http *h, struct http_answer *a)
{
    happenings_json(&h->happenings, &h->inspection.input, &a->body);
}

/* Of a view so many of the rows that have something in the column. */
static void
answer_rows(struct http *h, const char *name, const char *column, struct http_answer *a)
{
    const struct inspect_input *in = &h->inspection.input;
    const struct inspect_view *view = find_view(in, name);
    struct inspect_json_choice choice = {.rows_max = ROWS_MAX};

    if (view == NULL) {
        refuse(a, HTTP_NOT_FOUND, "there is no such view");
        return;
    }
    while (choice.column < view->column_count && strcmp(view->columns[choice.column], column) != 0)
        choice.column++;
    inspect_json_some(in, view, &choice, &a->body);
}

static void
answer_pins(struct http *h, struct http_answer *a)
{
    answer_rows(h, "pool_sessions", "keeps", a);
}

static void
answer_waiters(struct http *h, struct http_answer *a)
{
    answer_rows(h, "pool_waiters", "waiting", a);
}

static void
answer_statements(struct http *h, struct http_answer *a)
{
    const struct inspect_view *view = find_view(&h->inspection.input, "pool_statements");

    if (view != NULL)
        inspect_json(&h->inspection.input, view, &a->body);
    else
        refuse(a, HTTP_NOT_FOUND, "there is no such view");
}

static void
answer_history(struct http *h, const char *from, struct http_answer *a)
{
    int64_t number;

    if (!num_parse_i64(from, &number) || number < 0) {
        refuse(a, HTTP_BAD_REQUEST, "the number of the first sample that is wanted");
        return;
    }
    history_json(h->history, (uint64_t)number, &a->body);
}

/* For everybody: what the page has to ask for. */
static void
answer_who(struct http *h, const struct http_request *r, struct http_answer *a)
{
    struct http_answer turned_away = {.status = HTTP_OK};
    const struct http_session *who;
    struct err why;
    bool looks = may_look(h, r, &who, &turned_away);

    buf_printf(&a->body, "{\"may_look\":%s,\"may_log_in\":%s,\"role\":\"%s\",\"user\":",
               looks ? "true" : "false",
               http_door_takes_logins(&h->door, r, &why) == HTTP_LET_IN ? "true" : "false",
               who != NULL ? pcp_role_name(who->role) : "");
    inspect_json_text(who != NULL ? who->user : "", &a->body);
    buf_add_str(&a->body, ",\"why\":");
    inspect_json_text(buf_cstr(&turned_away.body), &a->body);
    buf_add_str(&a->body, "}\n");
    buf_free(&turned_away.body);
}

/* ---- what is done ---- */

static void
log_in(struct http *h, const struct http_request *r, struct http_answer *a)
{
    const struct http_session *who;
    enum http_verdict verdict;
    struct http_login login = {.user = r->user};
    char peer[SOCK_TEXT_BYTES];
    struct err err;

    verdict = http_door_takes_logins(&h->door, r, &err);
    if (verdict != HTTP_LET_IN) {
        http_turn_away(h, r, verdict, &err, a);
        return;
    }
    if (http_is_guessed_at(h, r, a))
        return;
    if (r->user == NULL || !pcp_users_prove(h->users, r->user, r->password, &login.role)) {
        err_set(&err, "28P01", "password authentication failed");
        http_turn_away(h, r, HTTP_ASK, &err, a);
        a->asks = "Bearer realm=\"pgpool\"";
        return;
    }
    if (http_sessions_begin(&h->sessions, &login, clock_monotonic_ns(), &who, &err) != 0) {
        log_error("%s", err.message);
        refuse(a, HTTP_UNAVAILABLE, "no login is possible now");
        return;
    }
    sock_address_text(&r->peer, peer, sizeof(peer));
    log_info("login on the status page: user \"%s\", role %s, from \"%s\"", who->user,
             pcp_role_name(who->role), peer);
    buf_printf(&a->body, "{\"token\":\"%s\",\"role\":\"%s\",\"user\":", who->token,
               pcp_role_name(who->role));
    inspect_json_text(who->user, &a->body);
    buf_add_str(&a->body, "}\n");
}

static void
give_command(struct http *h, const struct http_request *r, struct http_answer *a)
{
    const struct http_session *who;
    uint64_t number;
    struct err err;

    if (!may_look(h, r, &who, a))
        return;
    a->type = NULL;
    if (who == NULL || who->role != PCP_ADMIN) {
        refuse(a, HTTP_FORBIDDEN, "permission denied: this needs the role admin");
        return;
    }
    if (http_orders_begin(h, r->path + sizeof(DO) - 1, who, &number, &err) != 0) {
        refuse(a, strcmp(err.sqlstate, "53300") == 0 ? HTTP_UNAVAILABLE : HTTP_NOT_FOUND,
               err.message);
        return;
    }
    a->status = HTTP_ACCEPTED;
    a->type = HTTP_JSON;
    buf_printf(&a->body, "{\"number\":%" PRIu64 "}\n", number);
}

static void
answer_post(struct http *h, const struct http_request *r, struct http_answer *a)
{
    if (!is_ours(r, a))
        return;
    if (strcmp(r->path, "/page/login") == 0) {
        a->type = HTTP_JSON;
        log_in(h, r, a);
    } else if (strcmp(r->path, "/page/logout") == 0) {
        http_sessions_end(&h->sessions, r->bearer);
        a->status = HTTP_NO_CONTENT;
    } else {
        give_command(h, r, a);
    }
    if (a->status >= HTTP_BAD_REQUEST)
        a->type = NULL;
}

bool
http_page_takes_post(const char *path)
{
    return strcmp(path, "/page/login") == 0 || strcmp(path, "/page/logout") == 0 ||
           strncmp(path, DO, sizeof(DO) - 1) == 0;
}

/* ---- all of it ---- */

static const struct {
    const char *path;
    void (*answer)(struct http *h, struct http_answer *a);
} data[] = {
    {"/page/now", answer_now},
    {"/page/events", answer_events},
    {"/page/pins", answer_pins},
    {"/page/waiters", answer_waiters},
    {"/page/statements", answer_statements},
};

static bool
answer_data(struct http *h, const struct http_request *r, struct http_answer *a)
{
    static const char history[] = "/page/history/";
    bool is_history = strncmp(r->path, history, sizeof(history) - 1) == 0;
    const struct http_session *who;
    size_t n = 0;

    while (n < ARRAY_LEN(data) && strcmp(data[n].path, r->path) != 0)
        n++;
    if (n == ARRAY_LEN(data) && !is_history)
        return false;
    if (!may_look(h, r, &who, a))
        return true;
    a->type = HTTP_JSON;
    if (is_history)
        answer_history(h, r->path + sizeof(history) - 1, a);
    else
        data[n].answer(h, a);
    if (a->status >= HTTP_BAD_REQUEST)
        a->type = NULL;
    return true;
}

bool
http_page_answer(struct http *h, const struct http_request *r, struct http_answer *a)
{
    if (http_page_takes_post(r->path)) {
        if (r->is_post) {
            answer_post(h, r, a);
        } else {
            a->allow = "POST";
            refuse(a, HTTP_NOT_ALLOWED, "only POST is known here");
        }
        return true;
    }
    if (strcmp(r->path, "/page/who") == 0) {
        a->type = HTTP_JSON;
        answer_who(h, r, a);
        return true;
    }
    return answer_file(r->path, a) || answer_data(h, r, a);
}

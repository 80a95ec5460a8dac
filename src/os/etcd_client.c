/*
 * etcd: requests, endpoints, logins.
 *
 * A request goes to the current endpoint. When that fails, the next one becomes current; the
 * request follows it when it was not sent, or may be sent twice. With a user, requests wait for a
 * token; one that etcd does not know any more is fetched anew, once for each request. Each request
 * is in one list: `active` (a name is looked up, or a post is under way), `waiting` (for a token)
 * or `ended` (to be told, from a timer).
 */
#include "etcd_private.h"

#include "base/arena.h"
#include "base/list.h"
#include "base/str.h"

#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_ETCD

enum { LIMIT_MS = 1000, AGAIN_MS = 200, LINE_BYTES = 1024 * 1024 };

/* gRPC's */
enum {
    CODE_INVALID = 3,
    CODE_NOT_FOUND = 5,
    CODE_NOT_PERMITTED = 7,
    CODE_PRECONDITION = 9,
    CODE_RANGE = 11,
    CODE_UNAUTHENTICATED = 16,
};

struct etcd_client {
    struct io *io;
    struct dns *dns;
    struct etcd_http *http;
    char *words[5]; /* ca_cert, cert, key, user, password */
    int64_t limit_ms;
    struct etcd_endpoints endpoints;
    uint32_t current;
    char token[512];
    struct etcd_request *login;
    struct list active;
    struct list waiting;
    struct list ended;
    struct list watches;
    struct io_timer tell;
    bool freed; /* inside of a callback */
    bool telling;
};
enum { CA_CERT, CERT, KEY, USER, PASSWORD };

struct etcd_request {
    struct list link;
    struct etcd_client *client;
    const char *path;
    char *text;
    bool twice; /* may be sent again when its end is not known */
    bool logged_in_anew;
    bool sent;         /* at least once, and its end is not known */
    uint32_t endpoint; /* that it is at */
    uint32_t tries;
    int64_t deadline_ns;
    struct dns_query *query;
    struct etcd_post *post;
    struct etcd_call call;
    struct etcd_reading reading;
    struct err err;
};

struct etcd_watch {
    struct list link;
    struct etcd_client *client;
    char *prefix;
    void (*changed)(void *ctx);
    void *ctx;
    struct etcd_post *post;
    struct dns_query *query;
    struct io_timer again;
    struct io_timer tell;
    struct buf line;
};

bool
etcd_client_is_built(void)
{
    return true;
}

/* ---- endpoints ------------------------------------------------------------------------------- */

static const struct etcd_endpoint *
current(const struct etcd_client *client)
{
    return &client->endpoints.list[client->current];
}

/* Whoever finds that one fails moves on, unless somebody else has done it. */
static void
leave_endpoint(struct etcd_client *client, uint32_t endpoint)
{
    if (client->current == endpoint)
        client->current = (client->current + 1) % client->endpoints.count;
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void
free_request(struct etcd_request *request)
{
    list_remove(&request->link);
    if (request->query != NULL)
        dns_cancel(request->query);
    if (request->post != NULL)
        etcd_post_cancel(request->post);
    if (request->client->login == request)
        request->client->login = NULL;
    if (request->text != NULL)
        explicit_bzero(request->text, strlen(request->text));
    free(request->text);
    etcd_reading_fini(&request->reading);
    free(request);
}

static void free_all(struct etcd_client *client);

static void
tell_all(void *ctx)
{
    struct etcd_client *client = ctx;

    client->telling = true;
    while (!list_empty(&client->ended) && !client->freed) {
        struct etcd_request *request = list_first(&client->ended, struct etcd_request, link);
        struct etcd_call call = request->call;
        struct etcd_reading reading = request->reading;
        struct err err = request->err;

        memset(&request->reading, 0, sizeof(request->reading));
        free_request(request);
        call.done(call.ctx, &reading.answer, reading.answer.end == ETCD_DONE ? NULL : &err);
        etcd_reading_fini(&reading);
    }
    client->telling = false;
    if (client->freed)
        free_all(client);
}

static void
end_request(struct etcd_request *request, enum etcd_end end)
{
    struct etcd_client *client = request->client;

    request->reading.answer.end = end;
    list_remove(&request->link);
    list_append(&client->ended, &request->link);
    io_timer_start(client->io, &client->tell, 0, tell_all, client);
}

static void
fail_request(struct etcd_request *request, const char *sqlstate, const char *words)
{
    const struct etcd_endpoint *endpoint = &request->client->endpoints.list[request->endpoint];

    err_set(&request->err, request->sent ? "08006" : sqlstate, "etcd at \"%s\": %s", endpoint->name,
            words);
    end_request(request, request->sent ? ETCD_UNSURE : ETCD_FAILED);
}

/* ---- sending --------------------------------------------------------------------------------- */

static void start(struct etcd_request *request);
static void login(struct etcd_client *client);

static void
move_to(struct etcd_request *request, struct list *list)
{
    list_remove(&request->link);
    list_append(list, &request->link);
}

/* This endpoint was no good. */
static void
try_next(struct etcd_request *request, const char *words)
{
    struct etcd_client *client = request->client;

    leave_endpoint(client, request->endpoint);
    request->tries++;
    if ((request->sent && !request->twice) || io_now_ns(client->io) >= request->deadline_ns ||
        request->tries > 2 * client->endpoints.count)
        fail_request(request, "08001", words);
    else
        start(request);
}

static void
refuse(struct etcd_request *request, int code, const char *words)
{
    const char *sqlstate = "55000";

    if (code == CODE_NOT_PERMITTED)
        sqlstate = "42501";
    else if (code == CODE_UNAUTHENTICATED || request->client->login == request)
        sqlstate = "28000";
    err_set(&request->err, sqlstate, "etcd refused: %s", words);
    end_request(request, ETCD_REFUSED);
}

/* etcd's words for what the gateway has no code for. */
static bool
is_stale_token(int code, const char *words)
{
    return code == CODE_UNAUTHENTICATED || strstr(words, "invalid auth token") != NULL;
}

static void
take_error(struct etcd_request *request, const struct etcd_http_end *end)
{
    struct etcd_client *client = request->client;
    char words[256];
    int code = etcd_json_error(end->body->data, end->body->len, words, sizeof(words));

    if (is_stale_token(code, words) && client->words[USER] != NULL && !request->logged_in_anew &&
        request != client->login) {
        request->logged_in_anew = true;
        client->token[0] = '\0';
        start(request);
        return;
    }
    switch (code) {
    case CODE_INVALID:
    case CODE_NOT_FOUND:
    case CODE_NOT_PERMITTED:
    case CODE_PRECONDITION:
    case CODE_RANGE:
    case CODE_UNAUTHENTICATED:
        refuse(request, code, words);
        return;
    default:
        request->sent = true; /* no leader, a time-out: nobody knows */
        try_next(request, words);
    }
}

static void
posted(void *ctx, const struct etcd_http_end *end)
{
    struct etcd_request *request = ctx;

    request->post = NULL;
    if (end->too_long) {
        request->sent = true;
        fail_request(request, "54000", "the answer is too long");
        str_copy(request->err.sqlstate, sizeof(request->err.sqlstate), "54000");
        return;
    }
    if (end->trouble != NULL) {
        request->sent = request->sent || end->sent;
        try_next(request, end->trouble);
        return;
    }
    if (end->status != 200) {
        take_error(request, end);
        return;
    }
    if (etcd_json_read(end->body->data, end->body->len, &request->reading) == 0) {
        if (request == request->client->login)
            str_copy(request->client->token, sizeof(request->client->token),
                     request->reading.token);
        end_request(request, ETCD_DONE);
        return;
    }
    etcd_reading_fini(&request->reading);
    request->sent = true;
    fail_request(request, "08P01", "its answer cannot be understood");
    str_copy(request->err.sqlstate, sizeof(request->err.sqlstate), "08P01");
}

/* A silent endpoint must not take all of the time, when the request may go to another one. */
static int64_t
time_left_ms(const struct etcd_request *request)
{
    const struct etcd_client *client = request->client;
    int64_t left_ms = (request->deadline_ns - io_now_ns(client->io)) / NS_PER_MS;

    if (!request->twice || client->endpoints.count == 1)
        return left_ms;
    return MIN(left_ms, client->limit_ms / MIN(client->endpoints.count, 3));
}

static void
send_request(struct etcd_request *request, const struct dns_answer *answer)
{
    static const struct etcd_post_ops ops = {posted, NULL};
    struct etcd_client *client = request->client;
    const struct etcd_endpoint *endpoint = &client->endpoints.list[request->endpoint];
    char url[ETCD_URL_BYTES];
    char resolve[1024];
    struct etcd_letter letter = {.url = url,
                                 .text = request->text,
                                 .limit_ms = time_left_ms(request),
                                 .token = client->token[0] != '\0' ? client->token : NULL};

    etcd_endpoint_url(endpoint, request->path, url);
    etcd_endpoint_resolve(endpoint, answer, resolve, sizeof(resolve));
    letter.resolve = resolve[0] != '\0' ? resolve : NULL;
    request->post = etcd_http_post(client->http, &letter, &ops, request);
    if (request->post == NULL)
        fail_request(request, "53200", "out of memory");
}

static void
found(void *ctx, const struct dns_answer *answer, const struct err *err)
{
    struct etcd_request *request = ctx;

    request->query = NULL;
    if (answer == NULL)
        try_next(request, err->message);
    else
        send_request(request, answer);
}

static void
start(struct etcd_request *request)
{
    struct etcd_client *client = request->client;
    struct dns_answer answer;
    const struct etcd_endpoint *endpoint;

    request->endpoint = client->current;
    endpoint = current(client);
    if (client->words[USER] != NULL && client->token[0] == '\0' && request != client->login) {
        move_to(request, &client->waiting);
        login(client);
        return;
    }
    move_to(request, &client->active);
    if (dns_known(client->dns, endpoint->host, endpoint->port, &answer))
        send_request(request, &answer);
    else
        request->query = dns_lookup(client->dns, endpoint->host, endpoint->port, found, request);
}

static struct etcd_request *
new_request(struct etcd_client *client, const char *path, char *text, const struct etcd_call *call)
{
    struct etcd_request *request = xcalloc(1, sizeof(*request));

    request->client = client;
    request->path = path;
    request->text = text;
    request->call = *call;
    request->deadline_ns = io_now_ns(client->io) + client->limit_ms * NS_PER_MS;
    list_append(&client->active, &request->link);
    return request;
}

/* ---- login ----------------------------------------------------------------------------------- */

/* Those who waited go on, or end as the login did. */
static void
logged_in(void *ctx, const struct etcd_answer *answer, const struct err *err)
{
    struct etcd_client *client = ctx;

    list_for_each_safe (it, tmp, &client->waiting) {
        struct etcd_request *request = list_entry(it, struct etcd_request, link);

        if (answer->end == ETCD_DONE && client->token[0] != '\0') {
            start(request);
        } else if (answer->end == ETCD_DONE || answer->end == ETCD_REFUSED) {
            refuse(request, CODE_UNAUTHENTICATED, err != NULL ? err->message : "no token");
        } else {
            request->endpoint = client->current;
            err_set(&request->err, request->sent ? "08006" : "08001", "%s", err->message);
            end_request(request, request->sent ? ETCD_UNSURE : ETCD_FAILED);
        }
    }
}

static void
login(struct etcd_client *client)
{
    struct etcd_call call = {logged_in, client};

    if (client->login != NULL)
        return;
    client->login =
        new_request(client, "/v3/auth/authenticate",
                    etcd_json_login(client->words[USER], client->words[PASSWORD]), &call);
    client->login->twice = true;
    start(client->login);
}

/* ---- watches --------------------------------------------------------------------------------- */

static void watch_start(void *ctx);

static void
watch_tell(void *ctx)
{
    struct etcd_watch *watch = ctx;

    watch->changed(watch->ctx);
}

/* Inside of libcurl: only noted. */
static void
watch_note(struct etcd_watch *watch)
{
    io_timer_start(watch->client->io, &watch->tell, 0, watch_tell, watch);
}

static void
watch_piece(void *ctx, const void *bytes, size_t len)
{
    struct etcd_watch *watch = ctx;
    const uint8_t *end;

    buf_add(&watch->line, bytes, len);
    while ((end = memchr(watch->line.data, '\n', watch->line.len)) != NULL) {
        size_t line_len = (size_t)(end - watch->line.data) + 1;

        if (etcd_json_has_events(watch->line.data, line_len))
            watch_note(watch);
        buf_drop(&watch->line, line_len);
        if (watch->line.len == 0)
            break;
    }
    if (watch->line.len > LINE_BYTES) { /* whatever it is, something has changed */
        buf_free(&watch->line);
        watch_note(watch);
    }
}

static void
watch_again(struct etcd_watch *watch)
{
    struct etcd_client *client = watch->client;

    buf_free(&watch->line);
    leave_endpoint(client, client->current);
    io_timer_start(client->io, &watch->again, AGAIN_MS, watch_start, watch);
}

static void
watch_posted(void *ctx, const struct etcd_http_end *end)
{
    struct etcd_watch *watch = ctx;

    watch->post = NULL;
    if (end->trouble == NULL && end->status != 200)
        watch->client->token[0] = '\0'; /* it may be that; another one is soon there */
    watch_again(watch);
}

static void
watch_send(struct etcd_watch *watch, const struct dns_answer *answer)
{
    static const struct etcd_post_ops ops = {watch_posted, watch_piece};
    struct etcd_client *client = watch->client;
    char *text = etcd_json_watch(watch->prefix);
    char url[ETCD_URL_BYTES];
    char resolve[1024];
    struct etcd_letter letter = {.url = url,
                                 .text = text,
                                 .limit_ms = client->limit_ms,
                                 .token = client->token[0] != '\0' ? client->token : NULL};

    etcd_endpoint_url(current(client), "/v3/watch", url);
    etcd_endpoint_resolve(current(client), answer, resolve, sizeof(resolve));
    letter.resolve = resolve[0] != '\0' ? resolve : NULL;
    watch->post = etcd_http_post(client->http, &letter, &ops, watch);
    free(text);
    if (watch->post == NULL)
        watch_again(watch);
    else
        watch_note(watch); /* what was missed until now */
}

static void
watch_found(void *ctx, const struct dns_answer *answer, const struct err *err UNUSED)
{
    struct etcd_watch *watch = ctx;

    watch->query = NULL;
    if (answer == NULL)
        watch_again(watch);
    else
        watch_send(watch, answer);
}

static void
watch_start(void *ctx)
{
    struct etcd_watch *watch = ctx;
    struct etcd_client *client = watch->client;
    const struct etcd_endpoint *endpoint = current(client);

    if (client->words[USER] != NULL && client->token[0] == '\0') {
        login(client);
        io_timer_start(client->io, &watch->again, AGAIN_MS, watch_start, watch);
        return;
    }
    watch->query = dns_lookup(client->dns, endpoint->host, endpoint->port, watch_found, watch);
}

struct etcd_watch *
etcd_watch(struct etcd_client *client, const char *prefix, void (*changed)(void *ctx), void *ctx)
{
    struct etcd_watch *watch = xcalloc(1, sizeof(*watch));

    watch->client = client;
    watch->prefix = xstrdup(prefix);
    watch->changed = changed;
    watch->ctx = ctx;
    list_append(&client->watches, &watch->link);
    watch_start(watch);
    return watch;
}

void
etcd_unwatch(struct etcd_watch *watch)
{
    list_remove(&watch->link);
    io_timer_stop(&watch->again);
    io_timer_stop(&watch->tell);
    if (watch->query != NULL)
        dns_cancel(watch->query);
    if (watch->post != NULL)
        etcd_post_cancel(watch->post);
    buf_free(&watch->line);
    free(watch->prefix);
    free(watch);
}

/* ---- the face -------------------------------------------------------------------------------- */

static struct etcd_request *
ask(struct etcd_client *client, const char *path, char *text, const struct etcd_call *call)
{
    struct etcd_request *request = new_request(client, path, text, call);

    request->twice = strcmp(path, "/v3/kv/txn") != 0;
    start(request);
    return request;
}

struct etcd_request *
etcd_grant(struct etcd_client *client, int64_t ttl_s, const struct etcd_call *call)
{
    return ask(client, "/v3/lease/grant", etcd_json_grant(ttl_s), call);
}

struct etcd_request *
etcd_keepalive(struct etcd_client *client, uint64_t lease, const struct etcd_call *call)
{
    return ask(client, "/v3/lease/keepalive", etcd_json_lease(lease), call);
}

struct etcd_request *
etcd_revoke(struct etcd_client *client, uint64_t lease, const struct etcd_call *call)
{
    return ask(client, "/v3/lease/revoke", etcd_json_lease(lease), call);
}

struct etcd_request *
etcd_range(struct etcd_client *client, const char *prefix, const struct etcd_call *call)
{
    return ask(client, "/v3/kv/range", etcd_json_range(prefix), call);
}

struct etcd_request *
etcd_transact(struct etcd_client *client, const struct etcd_txn *txn, const struct etcd_call *call)
{
    return ask(client, "/v3/kv/txn", etcd_json_txn(txn), call);
}

void
etcd_cancel(struct etcd_request *request)
{
    free_request(request);
}

const char *
etcd_client_endpoint(const struct etcd_client *client)
{
    return current(client)->name;
}

static char *
word(const char *text)
{
    return text != NULL && text[0] != '\0' ? xstrdup(text) : NULL;
}

static void
free_all(struct etcd_client *client)
{
    struct list *lists[] = {&client->active, &client->waiting, &client->ended};

    list_for_each_safe (it, tmp, &client->watches)
        etcd_unwatch(list_entry(it, struct etcd_watch, link));
    for (size_t n = 0; n < ARRAY_LEN(lists); n++)
        while (!list_empty(lists[n]))
            free_request(list_first(lists[n], struct etcd_request, link));
    etcd_http_free(client->http);
    io_timer_stop(&client->tell);
    for (size_t n = 0; n < ARRAY_LEN(client->words); n++) {
        if (client->words[n] != NULL)
            explicit_bzero(client->words[n], strlen(client->words[n]));
        free(client->words[n]);
    }
    explicit_bzero(client->token, sizeof(client->token));
    free(client);
}

int
etcd_client_new(struct io *io, struct dns *dns, const struct etcd_target *target,
                struct etcd_client **client_r, struct err *err)
{
    struct etcd_client *client = xcalloc(1, sizeof(*client));
    struct etcd_http_files files;

    client->io = io;
    client->dns = dns;
    client->limit_ms = target->limit_ms > 0 ? target->limit_ms : LIMIT_MS;
    client->words[CA_CERT] = word(target->ca_cert);
    client->words[CERT] = word(target->cert);
    client->words[KEY] = word(target->key);
    client->words[USER] = word(target->user);
    client->words[PASSWORD] = xstrdup(target->password != NULL ? target->password : "");
    list_init(&client->active);
    list_init(&client->waiting);
    list_init(&client->ended);
    list_init(&client->watches);
    files =
        (struct etcd_http_files){client->words[CA_CERT], client->words[CERT], client->words[KEY]};
    if (etcd_endpoints_parse(&client->endpoints, target->hosts, client->words[CA_CERT] != NULL,
                             err) != 0 ||
        etcd_http_new(io, &files, &client->http, err) != 0) {
        free_all(client);
        return -1;
    }
    *client_r = client;
    return 0;
}

void
etcd_client_free(struct etcd_client *client)
{
    if (client == NULL)
        return;
    if (client->telling)
        client->freed = true;
    else
        free_all(client);
}

#endif

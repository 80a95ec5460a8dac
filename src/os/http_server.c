/*
 * libmicrohttpd without its threads: it watches its connections with an epoll descriptor of its
 * own, and that one is watched by our loop.
 *
 * Called by proc/http.c. Whatever may have given the library something to do (its descriptor is
 * readable, its deadline has passed, a client came) ends in run(), which is called from the loop
 * alone. Invariants: each connection is in the list from its start to its end; nothing of a request
 * outlives the call that answers it, but for an answer that is held back: its connection is
 * suspended, which the library does not look at, until our timer resumes it.
 */
#include "config.h"

#include "os/http_server.h"

#ifdef HAVE_HTTP

#include "base/arena.h"
#include "base/list.h"
#include "base/log.h"
#include "os/clock.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEAD_BYTES = 16 * 1024,
    SILENT_S = 15,
    REQUEST_S = 60,
    SWEEP_MS = 1000,
    LOG_BYTES = 256,
    OPTIONS_MAX = 12,
};

struct http_connection {
    struct list link;
    struct http_server *server;
    struct MHD_Connection *connection;
    int fd;
    int64_t since_ns;        /* when the last request was done, or it began */
    bool is_late;            /* its answer is held back: */
    struct http_answer late; /* this one */
    struct io_timer timer;
};

struct http_server {
    struct io *io;
    struct http_options options;
    struct MHD_Daemon *daemon;
    struct io_watch *watch;
    struct io_timer due;
    struct io_timer sweep;
    struct list connections;
    uint32_t count;
    uint32_t delayed;
    bool is_tls;
};

bool
http_server_is_built(void)
{
    return true;
}

/* ---- the loop ---- */

static void on_due(void *ctx);

static void
run(struct http_server *s)
{
    uint32_t before = s->count;
    MHD_UNSIGNED_LONG_LONG wait_ms;

    MHD_run(s->daemon);
    if (MHD_get_timeout(s->daemon, &wait_ms) == MHD_YES)
        io_timer_start(s->io, &s->due, (int64_t)MIN(wait_ms, 1000ULL * SILENT_S), on_due, s);
    else
        io_timer_stop(&s->due);
    if (before != s->count && s->options.changed != NULL)
        s->options.changed(s->options.ctx);
}

static void
on_due(void *ctx)
{
    run(ctx);
}

static void
on_events(void *ctx, int fd UNUSED, unsigned events UNUSED)
{
    run(ctx);
}

/* A client that sends a byte now and then is never silent. The library sees the end of the
 * connection and closes it. */
static void
end_slow_ones(void *ctx)
{
    struct http_server *s = ctx;
    int64_t now_ns = clock_monotonic_ns();

    list_for_each (it, &s->connections) {
        const struct http_connection *c = list_entry(it, struct http_connection, link);

        if (!c->is_late && now_ns - c->since_ns > REQUEST_S * NS_PER_S)
            shutdown(c->fd, SHUT_RDWR);
    }
    if (s->count > 0)
        io_timer_start(s->io, &s->sweep, SWEEP_MS, end_slow_ones, s);
}

/* ---- connections ---- */

static void
forget_late(struct http_connection *c)
{
    if (!c->is_late)
        return;
    io_timer_stop(&c->timer);
    buf_free(&c->late.body);
    c->is_late = false;
    c->server->delayed--;
}

static void
on_connection(void *ctx, struct MHD_Connection *connection, void **mine,
              enum MHD_ConnectionNotificationCode what)
{
    struct http_server *s = ctx;
    struct http_connection *c = *mine;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        c = xcalloc(1, sizeof(*c));
        c->server = s;
        c->connection = connection;
        c->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        c->since_ns = clock_monotonic_ns();
        list_append(&s->connections, &c->link);
        s->count++;
        *mine = c;
        if (!io_timer_running(&s->sweep))
            io_timer_start(s->io, &s->sweep, SWEEP_MS, end_slow_ones, s);
    } else if (c != NULL) {
        forget_late(c);
        list_remove(&c->link);
        s->count--;
        free(c);
        *mine = NULL;
    }
}

static struct http_connection *
connection_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info != NULL ? info->socket_context : NULL;
}

static void
on_completed(void *ctx UNUSED, struct MHD_Connection *connection, void **mine UNUSED,
             enum MHD_RequestTerminationCode how UNUSED)
{
    struct http_connection *c = connection_of(connection);

    if (c != NULL)
        c->since_ns = clock_monotonic_ns();
}

void
http_server_accept(struct http_server *s, int fd)
{
    struct sock_address peer;

    sock_set_usual_options(fd);
    if (!sock_peer_address(fd, &peer)) {
        close(fd);
        return;
    }
    /* it closes the socket when it cannot take it */
    if (MHD_add_connection(s->daemon, fd, (struct sockaddr *)&peer.storage, peer.len) != MHD_YES)
        log_debug("HTTP client was not taken");
    if (s->options.changed != NULL)
        s->options.changed(s->options.ctx);
    io_timer_start(s->io, &s->due, 0, on_due, s);
}

bool
http_server_is_full(const struct http_server *s)
{
    return s->count >= HTTP_CONNECTIONS_MAX;
}

uint32_t
http_server_count(const struct http_server *s)
{
    return s->count;
}

uint32_t
http_server_delayed(const struct http_server *s)
{
    return s->delayed;
}

/* ---- requests ---- */

static void
free_body(void *body)
{
    free(body);
}

static enum MHD_Result
send_answer(struct MHD_Connection *connection, struct http_answer *answer)
{
    static const struct {
        const char *name;
        const char *value;
    } always[] = {
        {MHD_HTTP_HEADER_CACHE_CONTROL, "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
    };
    struct MHD_Response *r;
    enum MHD_Result result;

    buf_cstr(&answer->body); /* never NULL */
    r = MHD_create_response_from_buffer_with_free_callback(answer->body.len, answer->body.data,
                                                           free_body);
    if (r == NULL) {
        buf_free(&answer->body);
        return MHD_NO;
    }
    for (size_t n = 0; n < ARRAY_LEN(always); n++)
        MHD_add_response_header(r, always[n].name, always[n].value);
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE,
                            answer->type != NULL ? answer->type : "text/plain; charset=utf-8");
    MHD_add_response_header(r, "Content-Security-Policy",
                            answer->policy != NULL ? answer->policy
                                                   : "default-src 'none'; frame-ancestors 'none'");
    if (answer->asks != NULL)
        MHD_add_response_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, answer->asks);
    if (answer->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW,
                                answer->allow != NULL ? answer->allow : "GET, HEAD");
    if (answer->closes)
        MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
    result = MHD_queue_response(connection, answer->status, r);
    MHD_destroy_response(r);
    return result;
}

static void
forget(char *secret)
{
    if (secret == NULL)
        return;
    OPENSSL_cleanse(secret, strlen(secret));
    MHD_free(secret);
}

static const char *
header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* Of "Authorization: Bearer TOKEN". */
static const char *
bearer_of(struct MHD_Connection *connection)
{
    static const char scheme[] = "Bearer ";
    const char *text = header(connection, MHD_HTTP_HEADER_AUTHORIZATION);

    return text != NULL && strncasecmp(text, scheme, sizeof(scheme) - 1) == 0
               ? text + sizeof(scheme) - 1
               : NULL;
}

static void
ask(struct http_server *s, struct MHD_Connection *connection, struct http_request *request,
    struct http_answer *answer)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const char *host = header(connection, MHD_HTTP_HEADER_HOST);
    char *password = NULL;
    char *user = MHD_basic_auth_get_username_password(connection, &password);
    const struct sockaddr *addr = info != NULL ? info->client_addr : NULL;

    request->is_tls = s->is_tls;
    request->host = host != NULL ? host : "";
    request->origin = header(connection, MHD_HTTP_HEADER_ORIGIN);
    request->site = header(connection, "Sec-Fetch-Site");
    request->bearer = bearer_of(connection);
    if (addr != NULL) {
        request->peer.len =
            addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
        memcpy(&request->peer.storage, addr, request->peer.len);
    }
    if (user != NULL && password != NULL) {
        request->user = user;
        request->password = password;
    }
    s->options.answer(s->options.ctx, request, answer);
    forget(user);
    forget(password);
}

static bool
has_body(struct MHD_Connection *connection)
{
    const char *length = header(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);

    return (length != NULL && strcmp(length, "0") != 0) ||
           header(connection, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL;
}

static bool
knows_method(const struct http_server *s, const char *method, const char *path)
{
    if (strcmp(method, MHD_HTTP_METHOD_POST) == 0)
        return s->options.takes_post != NULL && s->options.takes_post(path);
    return strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
}

/* Its time has come: the library asks for the answer again. */
static void
on_late(void *ctx)
{
    struct http_connection *c = ctx;

    MHD_resume_connection(c->connection);
    run(c->server);
}

static void
hold_back(struct http_connection *c, const struct http_answer *answer)
{
    c->late = *answer;
    c->is_late = true;
    c->server->delayed++;
    MHD_suspend_connection(c->connection);
    io_timer_start(c->server->io, &c->timer, answer->delay_ms, on_late, c);
}

/* All of the request is there. */
static enum MHD_Result
serve(struct http_server *s, struct MHD_Connection *connection, struct http_request *request)
{
    struct http_answer answer = {.status = MHD_HTTP_OK};
    struct http_connection *c = connection_of(connection);

    if (c != NULL && c->is_late) {
        answer = c->late;
        c->late.body = BUF_EMPTY;
        forget_late(c);
        return send_answer(connection, &answer);
    }
    ask(s, connection, request, &answer);
    if (c == NULL || answer.delay_ms <= 0)
        return send_answer(connection, &answer);
    hold_back(c, &answer);
    return MHD_YES;
}

/* The library calls it when the head of a request is there, and again when all of it is. What is
 * answered at the head ends the connection, if a body is still to come. */
static enum MHD_Result
on_http_request(void *ctx, struct MHD_Connection *connection, const char *path, const char *method,
                const char *version UNUSED, const char *upload UNUSED, size_t *upload_bytes UNUSED,
                void **mine)
{
    static int seen;
    struct http_answer answer = {.status = MHD_HTTP_OK};
    struct http_request request = {.path = path,
                                   .is_post = strcmp(method, MHD_HTTP_METHOD_POST) == 0};

    if (*mine != NULL)
        return serve(ctx, connection, &request);
    if (!knows_method(ctx, method, path)) {
        answer.status = MHD_HTTP_METHOD_NOT_ALLOWED;
        buf_add_str(&answer.body, "only GET and HEAD are known here\n");
    } else if (has_body(connection)) {
        answer.status = MHD_HTTP_CONTENT_TOO_LARGE;
        buf_add_str(&answer.body, "no request has a body here\n");
    } else {
        *mine = &seen;
        return MHD_YES;
    }
    return send_answer(connection, &answer);
}

/* ---- life ---- */

static size_t
leave_as_it_is(void *ctx UNUSED, struct MHD_Connection *connection UNUSED, char *text)
{
    return strlen(text);
}

static void
on_log(void *ctx UNUSED, const char *fmt, va_list args)
{
    char line[LOG_BYTES];

    if (!log_enabled(LOG_DEBUG1))
        return;
    vsnprintf(line, sizeof(line), fmt, args);
    log_debug("libmicrohttpd: %s", line);
}

static char *
copy_text(struct tls_text text)
{
    char *copy = xmalloc(text.len + 1);

    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return copy;
}

static void
wipe_text(char *text)
{
    if (text != NULL)
        OPENSSL_cleanse(text, strlen(text));
    free(text);
}

static struct MHD_Daemon *
start(struct http_server *s, char *cert, char *key)
{
    unsigned flags =
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME;
    struct MHD_OptionItem items[OPTIONS_MAX];
    size_t count = 0;

    items[count++] =
        (struct MHD_OptionItem){MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS_MAX, NULL};
    items[count++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_MEMORY_LIMIT, HEAD_BYTES, NULL};
    items[count++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_TIMEOUT, SILENT_S, NULL};
    items[count++] = (struct MHD_OptionItem){MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL};
    items[count++] =
        (struct MHD_OptionItem){MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, s};
    items[count++] =
        (struct MHD_OptionItem){MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, s};
    items[count++] =
        (struct MHD_OptionItem){MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)leave_as_it_is, NULL};
    if (cert != NULL) {
        flags |= MHD_USE_TLS;
        items[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, cert};
        items[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, key};
        items[count++] = (struct MHD_OptionItem){
            MHD_OPTION_HTTPS_PRIORITIES, 0,
            (void *)(uintptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"};
    }
    items[count++] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    return MHD_start_daemon(flags, 0, NULL, NULL, on_http_request, s, MHD_OPTION_EXTERNAL_LOGGER,
                            on_log, NULL, MHD_OPTION_ARRAY, items, MHD_OPTION_END);
}

int
http_server_new(struct io *io, const struct http_options *options, struct http_server **s_r,
                struct err *err)
{
    struct http_server *s = xcalloc(1, sizeof(*s));
    const union MHD_DaemonInfo *info;
    char *cert = NULL;
    char *key = NULL;

    s->io = io;
    s->options = *options;
    s->options.cert.data = s->options.key.data = NULL;
    s->is_tls = options->cert.len > 0;
    list_init(&s->connections);
    if (s->is_tls) {
        /* strings are wanted, and read while it starts */
        cert = copy_text(options->cert);
        key = copy_text(options->key);
    }
    s->daemon = start(s, cert, key);
    wipe_text(cert);
    wipe_text(key);
    if (s->daemon == NULL) {
        http_server_free(s);
        err_set(err, NULL, "could not start the HTTP server (libmicrohttpd)");
        err_hint(err, "with \"http_ssl_cert\", see whether GnuTLS takes certificate and key; the "
                      "log has more at level debug1");
        return -1;
    }
    info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    s->watch = io_watch(io, info->epoll_fd, IO_READABLE, on_events, s);
    *s_r = s;
    return 0;
}

void
http_server_free(struct http_server *s)
{
    if (s == NULL)
        return;
    if (s->watch != NULL)
        io_unwatch(s->watch);
    list_for_each (it, &s->connections) {
        struct http_connection *c = list_entry(it, struct http_connection, link);

        if (c->is_late) /* it could not end otherwise */
            MHD_resume_connection(c->connection);
    }
    if (s->daemon != NULL)
        MHD_stop_daemon(s->daemon);
    io_timer_stop(&s->due);
    io_timer_stop(&s->sweep);
    free(s);
}

#else

bool
http_server_is_built(void)
{
    return false;
}

int
http_server_new(struct io *io UNUSED, const struct http_options *options UNUSED,
                struct http_server **s_r UNUSED, struct err *err)
{
    return err_set(err, "0A000", "HTTP is not supported by this build");
}

void
http_server_free(struct http_server *s UNUSED)
{
}

void
http_server_accept(struct http_server *s UNUSED, int fd UNUSED)
{
}

bool
http_server_is_full(const struct http_server *s UNUSED)
{
    return true;
}

uint32_t
http_server_count(const struct http_server *s UNUSED)
{
    return 0;
}

uint32_t
http_server_delayed(const struct http_server *s UNUSED)
{
    return 0;
}

#endif

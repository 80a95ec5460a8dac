/*
 * libcurl's multi interface on the loop.
 *
 * libcurl tells which descriptors it wants watched (socket_changed) and how long it wants to sleep
 * (timer_changed). Ends are told from the timer `finished`, never inside of a call of ours or of
 * libcurl's, so whoever is told may do anything, also free all of this. Names are resolved by the
 * caller: libcurl's own resolver would have to be waited for.
 */
#include "etcd_private.h"

#include "base/arena.h"
#include "base/list.h"
#include "base/str.h"

#include "config.h"

#ifdef HAVE_ETCD

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct etcd_http {
    struct io *io;
    CURLM *multi;
    struct etcd_http_files files;
    struct list posts;    /* libcurl works on them */
    struct list finished; /* to be told */
    struct io_timer timer;
    struct io_timer tell;
};

struct etcd_post {
    struct list link;
    struct etcd_http *http;
    CURL *easy;
    struct curl_slist *headers;
    struct curl_slist *resolve;
    const struct etcd_post_ops *ops;
    void *ctx;
    struct buf body;
    bool too_long;
    CURLcode code;
    char words[CURL_ERROR_SIZE];
};

/* ---- ends ------------------------------------------------------------------------------------ */

static void
free_post(struct etcd_post *post)
{
    list_remove(&post->link);
    if (post->easy != NULL) {
        curl_multi_remove_handle(post->http->multi, post->easy);
        curl_easy_cleanup(post->easy);
    }
    curl_slist_free_all(post->headers);
    curl_slist_free_all(post->resolve);
    buf_free(&post->body);
    free(post);
}

/* What was said is all of it, also when the one who hears frees everything. */
static void
tell_end(struct etcd_post *post)
{
    struct etcd_http_end end = {.too_long = post->too_long};
    struct buf body = post->body;
    long sent = 0;
    char words[CURL_ERROR_SIZE];
    const struct etcd_post_ops *ops = post->ops;
    void *ctx = post->ctx;

    curl_easy_getinfo(post->easy, CURLINFO_RESPONSE_CODE, &end.status);
    curl_easy_getinfo(post->easy, CURLINFO_REQUEST_SIZE, &sent);
    end.sent = sent > 0;
    if (post->code != CURLE_OK) {
        str_copy(words, sizeof(words),
                 post->words[0] != '\0' ? post->words : curl_easy_strerror(post->code));
        end.trouble = words;
    }
    post->body = BUF_EMPTY;
    free_post(post);
    end.body = &body;
    ops->done(ctx, &end);
    buf_free(&body);
}

static void
tell_next(void *ctx)
{
    struct etcd_http *http = ctx;

    if (list_empty(&http->finished))
        return;
    io_timer_start(http->io, &http->tell, 0, tell_next, http); /* for those behind it */
    tell_end(list_first(&http->finished, struct etcd_post, link));
}

static void
collect_ends(struct etcd_http *http)
{
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(http->multi, &left)) != NULL) {
        struct etcd_post *post = NULL;

        if (msg->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &post);
        post->code = msg->data.result;
        list_remove(&post->link);
        list_append(&http->finished, &post->link);
        io_timer_start(http->io, &http->tell, 0, tell_next, http);
    }
}

/* ---- libcurl on the loop --------------------------------------------------------------------- */

static void
on_timer(void *ctx)
{
    struct etcd_http *http = ctx;
    int running;

    curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect_ends(http);
}

static int
timer_changed(CURLM *multi UNUSED, long timeout_ms, void *ctx)
{
    struct etcd_http *http = ctx;

    if (timeout_ms < 0)
        io_timer_stop(&http->timer);
    else
        io_timer_start(http->io, &http->timer, timeout_ms, on_timer, http);
    return 0;
}

static void
socket_ready(void *ctx, int fd, unsigned events)
{
    struct etcd_http *http = ctx;
    int running;
    int what = ((events & IO_READABLE) != 0 ? CURL_CSELECT_IN : 0) |
               ((events & IO_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0);

    curl_multi_socket_action(http->multi, fd, what, &running);
    collect_ends(http);
}

static int
socket_changed(CURL *easy UNUSED, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    struct etcd_http *http = ctx;
    struct io_watch *watch = socket_ctx;
    unsigned events = ((what & CURL_POLL_IN) != 0 ? IO_READABLE : 0) |
                      ((what & CURL_POLL_OUT) != 0 ? IO_WRITABLE : 0);

    if (what == CURL_POLL_REMOVE || events == 0) {
        if (watch != NULL)
            io_unwatch(watch);
        curl_multi_assign(http->multi, fd, NULL);
    } else if (watch != NULL) {
        io_watch_change(watch, events);
    } else {
        watch = io_watch(http->io, fd, events, socket_ready, http);
        curl_multi_assign(http->multi, fd, watch);
    }
    return 0;
}

static size_t
received(char *bytes, size_t size, size_t count, void *ctx)
{
    struct etcd_post *post = ctx;
    size_t len = size * count;

    if (post->ops->piece != NULL) {
        post->ops->piece(post->ctx, bytes, len);
        return len;
    }
    if (post->body.len + len > ETCD_ANSWER_BYTES) {
        post->too_long = true;
        return 0;
    }
    buf_add(&post->body, bytes, len);
    return len;
}

/* ---- the face -------------------------------------------------------------------------------- */

int
etcd_http_new(struct io *io, const struct etcd_http_files *files, struct etcd_http **http_r,
              struct err *err)
{
    static bool started;
    struct etcd_http *http;

    if (!started && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, "58000", "could not start libcurl");
    started = true;
    http = xcalloc(1, sizeof(*http));
    http->io = io;
    http->files = *files;
    http->multi = curl_multi_init();
    list_init(&http->posts);
    list_init(&http->finished);
    if (http->multi == NULL) {
        free(http);
        return err_set(err, "53200", "out of memory");
    }
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, socket_changed);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, timer_changed);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    *http_r = http;
    return 0;
}

void
etcd_http_free(struct etcd_http *http)
{
    if (http == NULL)
        return;
    list_for_each_safe (it, tmp, &http->posts)
        free_post(list_entry(it, struct etcd_post, link));
    list_for_each_safe (it2, tmp2, &http->finished)
        free_post(list_entry(it2, struct etcd_post, link));
    curl_multi_cleanup(http->multi);
    io_timer_stop(&http->timer);
    io_timer_stop(&http->tell);
    free(http);
}

static void
set_security(CURL *easy, const struct etcd_http_files *files)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* whatever the environment says */
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    if (files->ca_cert != NULL)
        curl_easy_setopt(easy, CURLOPT_CAINFO, files->ca_cert);
    if (files->cert != NULL)
        curl_easy_setopt(easy, CURLOPT_SSLCERT, files->cert);
    if (files->key != NULL)
        curl_easy_setopt(easy, CURLOPT_SSLKEY, files->key);
}

static void
set_letter(struct etcd_post *post, const struct etcd_letter *letter)
{
    CURL *easy = post->easy;
    char header[600];

    post->headers = curl_slist_append(NULL, "Content-Type: application/json");
    post->headers = curl_slist_append(post->headers, "Expect:");
    if (letter->token != NULL) {
        snprintf(header, sizeof(header), "Authorization: %s", letter->token);
        post->headers = curl_slist_append(post->headers, header);
    }
    if (letter->resolve != NULL)
        post->resolve = curl_slist_append(NULL, letter->resolve);
    curl_easy_setopt(easy, CURLOPT_URL, letter->url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, post->headers);
    curl_easy_setopt(easy, CURLOPT_RESOLVE, post->resolve);
    curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, letter->text);
    if (post->ops->piece == NULL)
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)MAX(letter->limit_ms, 1));
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)MAX(letter->limit_ms, 1));
}

struct etcd_post *
etcd_http_post(struct etcd_http *http, const struct etcd_letter *letter,
               const struct etcd_post_ops *ops, void *ctx)
{
    struct etcd_post *post = xcalloc(1, sizeof(*post));

    post->http = http;
    post->ops = ops;
    post->ctx = ctx;
    post->easy = curl_easy_init();
    list_append(&http->posts, &post->link);
    if (post->easy == NULL) {
        free_post(post);
        return NULL;
    }
    curl_easy_setopt(post->easy, CURLOPT_PRIVATE, post);
    curl_easy_setopt(post->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(post->easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(post->easy, CURLOPT_TCP_KEEPIDLE, 5L);
    curl_easy_setopt(post->easy, CURLOPT_TCP_KEEPINTVL, 2L);
    curl_easy_setopt(post->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(post->easy, CURLOPT_WRITEFUNCTION, received);
    curl_easy_setopt(post->easy, CURLOPT_WRITEDATA, post);
    curl_easy_setopt(post->easy, CURLOPT_ERRORBUFFER, post->words);
    set_security(post->easy, &http->files);
    set_letter(post, letter);
    curl_multi_add_handle(http->multi, post->easy);
    return post;
}

void
etcd_post_cancel(struct etcd_post *post)
{
    free_post(post);
}

#endif

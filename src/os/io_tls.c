/*
 * TLS on top of a stream: the same for both engines, and no system call more than without it.
 *
 * OpenSSL reads from the receive buffer that has just arrived and writes into the stream's queue,
 * through a BIO of our own. What arrives is decrypted into one buffer and handed out as one; what
 * callbacks send during a turn is collected and encrypted at its end, into as few records as
 * possible. A handshake goes on as its bytes arrive. Memory: OpenSSL holds buffers only while a
 * record is incomplete (SSL_MODE_RELEASE_BUFFERS); ours are given back when they were handed out.
 *
 * Called by io_stream.c and the back ends. Invariants: no callback runs while OpenSSL does; after
 * each callback the connection may be gone (s->tls is then another pointer); at the end of a turn
 * no plaintext is queued but while the handshake lasts; a closing stream has no TLS any more, only
 * what is queued to the kernel.
 */
#include "base/arena.h"
#include "base/log.h"
#include "io_private.h"
#include "tls_private.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* What one receive buffer can bring: itself, and a record that had begun before. */
    PLAIN_BYTES = 2 * IO_RECORD_BYTES,
    PLAIN_CACHE_MAX = 8,
};

struct io_tls {
    struct tls_context *context;
    SSL *ssl;          /* NULL: could not be made, and the end is on its way */
    const uint8_t *in; /* ciphertext that OpenSSL has not read yet */
    size_t in_len;
    struct io_queue plain; /* to be encrypted */
    bool secured;
    char *host_name;
    uint8_t *hello; /* came before we began */
    size_t hello_len;
    struct err *failure; /* why the handshake failed */
    struct tls_known known;
};

/* OpenSSL judges by what stands there, also when somebody else has left it. */
static void
forget_errors(void)
{
    if (unlikely(ERR_peek_error() != 0))
        ERR_clear_error();
}

/* ---- the BIO ------------------------------------------------------------------------------- */

static int
bio_read(BIO *bio, char *bytes, size_t len, size_t *got_r)
{
    struct io_stream *s = BIO_get_data(bio);
    struct io_tls *t = s->tls;
    size_t n = MIN(len, t->in_len);

    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(bytes, t->in, n);
    t->in += n;
    t->in_len -= n;
    *got_r = n;
    return 1;
}

static int
bio_write(BIO *bio, const char *bytes, size_t len, size_t *written_r)
{
    struct io_stream *s = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (!s->discards) {
        io_queue_add(s->io, &s->out, (const uint8_t *)bytes, len);
        io_stream_dirty(s);
    }
    *written_r = len;
    return 1;
}

static long
bio_control(BIO *bio UNUSED, int command, long number UNUSED, void *pointer UNUSED)
{
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *
bio_method(void)
{
    static BIO_METHOD *method;

    if (method != NULL)
        return method;
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
    if (method == NULL || BIO_meth_set_read_ex(method, bio_read) != 1 ||
        BIO_meth_set_write_ex(method, bio_write) != 1 ||
        BIO_meth_set_ctrl(method, bio_control) != 1)
        BUG("could not set up TLS: %s", tls_reason());
    return method;
}

/* ---- buffers of plaintext ------------------------------------------------------------------- */

static struct io_buffer *
plain_new(struct io *io)
{
    struct io_buffer *b = io->plain_cache;

    if (b != NULL) {
        io->plain_cache = b->next_free;
        io->plain_cached--;
    } else {
        b = xmalloc(sizeof(*b) + PLAIN_BYTES);
        b->data = (uint8_t *)(b + 1);
        b->plain = true;
    }
    b->refs = 1;
    return b;
}

void
io_plain_free(struct io *io, struct io_buffer *b)
{
    if (io->plain_cached == PLAIN_CACHE_MAX) {
        free(b);
        return;
    }
    b->next_free = io->plain_cache;
    io->plain_cache = b;
    io->plain_cached++;
}

void
io_tls_fini(struct io *io)
{
    struct io_buffer *next;

    for (struct io_buffer *b = io->plain_cache; b != NULL; b = next) {
        next = b->next_free;
        free(b);
    }
    io->plain_cache = NULL;
    free(io->record);
}

/* ---- the handshake -------------------------------------------------------------------------- */

static struct err *
failure_of(struct io_tls *t)
{
    if (t->failure == NULL)
        t->failure = xcalloc(1, sizeof(*t->failure));
    return t->failure;
}

static void
note_failure(struct io_tls *t)
{
    long verdict = SSL_get_verify_result(t->ssl);
    unsigned long code = ERR_peek_last_error();
    bool judged =
        ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED;

    err_set(failure_of(t), t->context->connects ? "08001" : "08P01", "%s%s%s", tls_reason(),
            judged ? ": " : "", judged ? X509_verify_cert_error_string(verdict) : "");
}

static bool
is_named_right(struct io_tls *t)
{
    X509 *peer = SSL_get0_peer_certificate(t->ssl);
    const char *host = t->host_name != NULL ? t->host_name : "";

    if (t->context->verify != TLS_VERIFY_FULL || (peer != NULL && tls_names_host(peer, host)))
        return true;
    err_set(failure_of(t), "08001", "the server's certificate does not name \"%s\"", host);
    return false;
}

enum step { STEP_MORE, STEP_DONE, STEP_FAILED };

/* As far as the bytes reach that have arrived. */
static enum step
step(struct io_tls *t)
{
    int result;

    ERR_clear_error();
    result = SSL_do_handshake(t->ssl);
    if (result == 1)
        return is_named_right(t) ? STEP_DONE : STEP_FAILED;
    if (SSL_get_error(t->ssl, result) == SSL_ERROR_WANT_READ)
        return STEP_MORE;
    note_failure(t);
    return STEP_FAILED;
}

/* True: it is secured, and the stream still there. */
static bool
go_on(struct io_stream *s)
{
    struct io_tls *t = s->tls;

    switch (step(t)) {
    case STEP_MORE:
        return false;
    case STEP_FAILED:
        io_stream_ended(s, EPROTO);
        return false;
    case STEP_DONE:
        break;
    }
    tls_learn(t->ssl, t->context, &t->known);
    t->secured = true;
    if (t->plain.bytes > 0)
        io_stream_dirty(s);
    s->ops->secured(s->ctx, NULL);
    return s->tls == t && s->state == IO_STREAM_OPEN;
}

bool
io_tls_ended(struct io_stream *s, int error)
{
    struct io_tls *t = s->tls;
    struct err err;

    if (t->secured)
        return false;
    if (t->failure != NULL)
        err = *t->failure;
    else if (error != 0)
        err_set_errno(&err, "08006", error, "the connection failed in the TLS handshake");
    else
        err_set(&err, "08006", "the connection was closed in the TLS handshake");
    s->ops->secured(s->ctx, &err);
    return true;
}

/* ---- the beginning -------------------------------------------------------------------------- */

/* No callback may run inside the caller's call. */
static void
fail_soon(struct io_stream *s)
{
    s->error = EPROTO;
    io_defer(s, IO_DEFER_END);
}

static void
begin(struct io_stream *s, struct tls_context *context, const char *host_name, bool direct)
{
    struct io_tls *t = xcalloc(1, sizeof(*t));
    BIO *bio = BIO_new(bio_method());

    BUG_UNLESS(s->tls == NULL && s->state == IO_STREAM_OPEN);
    s->tls = t;
    t->context = tls_context_ref(context);
    t->ssl = tls_connection(context, direct);
    if (t->ssl == NULL || bio == NULL) {
        SSL_free(t->ssl);
        BIO_free(bio);
        t->ssl = NULL;
        err_set(failure_of(t), "53200", "could not begin with TLS: %s", tls_reason());
        fail_soon(s);
        return;
    }
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    if (host_name == NULL)
        return;
    t->host_name = xstrdup(host_name);
    if (host_name[0] != '\0' && host_name[0] != '/' && !tls_is_address(host_name))
        SSL_set_tlsext_host_name(t->ssl, host_name);
}

void
io_stream_start_tls(struct io_stream *s, struct tls_context *context, const char *host_name)
{
    begin(s, context, host_name, false);
    if (context->connects && s->tls->ssl != NULL && step(s->tls) == STEP_FAILED)
        fail_soon(s);
}

void
io_stream_start_direct_tls(struct io_stream *s, struct tls_context *context, const void *hello,
                           size_t len)
{
    struct io_tls *t;

    begin(s, context, NULL, true);
    t = s->tls;
    t->hello = xmalloc(len + 1);
    memcpy(t->hello, hello, len);
    t->hello_len = len;
    io_defer(s, IO_DEFER_HELLO);
}

const struct tls_facts *
io_stream_tls(const struct io_stream *s)
{
    return s->tls != NULL && s->tls->secured ? &s->tls->known.facts : NULL;
}

/* ---- receiving ------------------------------------------------------------------------------ */

static bool
has_more(const struct io_tls *t)
{
    return t->in_len > 0 || SSL_pending(t->ssl) > 0;
}

static void
hand_out(struct io_stream *s, struct io_buffer *b, size_t len)
{
    struct io_rx rx = {.data = b->data, .len = len, .engine_private = b};

    if (len > 0)
        s->ops->received(s->ctx, &rx);
    io_buffer_unref(s->io, b);
}

/* Decrypts what there is, at most a buffer full, and hands it out. True: there is more. */
static bool
decrypt(struct io_stream *s)
{
    struct io_tls *t = s->tls;
    struct io_buffer *b = plain_new(s->io);
    int failure = SSL_ERROR_NONE;
    size_t len = 0;
    size_t got;

    forget_errors();
    do {
        int result = SSL_read_ex(t->ssl, b->data + len, PLAIN_BYTES - len, &got);

        if (result != 1) {
            failure = SSL_get_error(t->ssl, result);
            break;
        }
        len += got;
    } while (len < PLAIN_BYTES && has_more(t));
    if (failure != SSL_ERROR_NONE && failure != SSL_ERROR_WANT_READ &&
        failure != SSL_ERROR_ZERO_RETURN)
        log_debug("TLS failed: %s", tls_reason());
    hand_out(s, b, len);
    if (s->tls != t || s->state != IO_STREAM_OPEN)
        return false;
    if (failure == SSL_ERROR_NONE)
        return has_more(t);
    if (failure != SSL_ERROR_WANT_READ)
        io_stream_ended(s, failure == SSL_ERROR_ZERO_RETURN ? 0 : EPROTO);
    return false;
}

void
io_tls_received(struct io_stream *s, const uint8_t *bytes, size_t len)
{
    struct io_tls *t = s->tls;

    if (s->state != IO_STREAM_OPEN || t->ssl == NULL)
        return;
    if (unlikely(t->hello != NULL))
        io_tls_hello(s);
    if (s->tls != t || s->state != IO_STREAM_OPEN)
        return;
    t->in = bytes;
    t->in_len = len;
    if ((t->secured || go_on(s)) && has_more(t)) {
        while (decrypt(s)) {
        }
    }
    if (s->tls == t)
        t->in_len = 0;
}

void
io_tls_hello(struct io_stream *s)
{
    struct io_tls *t = s->tls;
    uint8_t *hello;

    if (t == NULL || t->hello == NULL)
        return;
    hello = t->hello;
    t->hello = NULL;
    io_tls_received(s, hello, t->hello_len);
    free(hello);
}

/* ---- sending -------------------------------------------------------------------------------- */

struct io_queue *
io_tls_queue(const struct io_stream *s)
{
    return &s->tls->plain;
}

/* What makes the next records: a long piece as it stands, small ones put together. */
static size_t
next_part(struct io *io, const struct io_queue *q, const uint8_t **data_r)
{
    const struct io_piece *p = q->first;
    size_t len = 0;

    *data_r = p->data;
    if (p->next == NULL)
        return p->len;
    if (p->len >= IO_RECORD_BYTES)
        return p->len - p->len % IO_RECORD_BYTES;
    if (io->record == NULL)
        io->record = xmalloc(IO_RECORD_BYTES);
    for (; p != NULL && len < IO_RECORD_BYTES; p = p->next) {
        size_t n = MIN(p->len, IO_RECORD_BYTES - len);

        memcpy(io->record + len, p->data, n);
        len += n;
    }
    *data_r = io->record;
    return len;
}

void
io_tls_flush(struct io_stream *s)
{
    struct io_tls *t = s->tls;

    if (t->plain.bytes == 0)
        return;
    if (!t->secured) {
        io_queue_set_aside(s->io, &t->plain);
        return;
    }
    forget_errors();
    while (t->plain.bytes > 0) {
        const uint8_t *data;
        size_t len = next_part(s->io, &t->plain, &data);
        size_t written;

        if (SSL_write_ex(t->ssl, data, len, &written) != 1) {
            log_debug("TLS failed: %s", tls_reason());
            s->send_failed = s->discards = true;
            io_out_drop(s);
            if (s->state == IO_STREAM_OPEN)
                fail_soon(s);
            return;
        }
        io_queue_take(s->io, &t->plain, written);
    }
}

/* ---- the end -------------------------------------------------------------------------------- */

void
io_tls_close(struct io_stream *s, bool flush)
{
    struct io_tls *t = s->tls;

    if (flush && t->secured && !s->discards) {
        io_tls_flush(s);
        ERR_clear_error();
        SSL_shutdown(t->ssl);
    }
    io_queue_drop(s->io, &t->plain);
    SSL_free(t->ssl);
    s->tls = NULL;
    tls_context_unref(t->context);
    tls_forget(&t->known);
    free(t->host_name);
    free(t->hello);
    free(t->failure);
    free(t);
    ERR_clear_error();
}

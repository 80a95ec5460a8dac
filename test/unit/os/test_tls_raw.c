/*
 * TLS over streams, with OpenSSL itself on a socket as the peer: resumption, direct TLS, ALPN, and
 * peers that misbehave.
 */
#include "io_bed.h"
#include "tls_bed.h"

#include "base/arena.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- OpenSSL itself as the peer ---------------------------------------------------------------
 */

struct raw {
    SSL_CTX *ctx;
    SSL *ssl;
    SSL_SESSION *session; /* the last that came */
    bool ended;
    bool done; /* the handshake */
    int failure;
    unsigned long reason;
    struct buf got;
};

static int
raw_keeps_session(SSL *ssl, SSL_SESSION *session)
{
    struct raw *r = SSL_get_app_data(ssl);

    SSL_SESSION_free(r->session);
    r->session = session;
    return 1;
}

static void
raw_init(struct raw *r, int version)
{
    *r = (struct raw){.ctx = SSL_CTX_new(TLS_client_method())};
    SSL_CTX_set_min_proto_version(r->ctx, version);
    SSL_CTX_set_max_proto_version(r->ctx, version);
    SSL_CTX_set_session_cache_mode(r->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(r->ctx, raw_keeps_session);
}

static void
raw_connect(struct raw *r, int fd)
{
    SSL_free(r->ssl);
    r->ssl = SSL_new(r->ctx);
    r->ended = r->done = false;
    r->failure = 0;
    buf_clear(&r->got);
    SSL_set_app_data(r->ssl, r);
    SSL_set_fd(r->ssl, fd);
    SSL_set_connect_state(r->ssl);
    if (r->session != NULL)
        SSL_set_session(r->ssl, r->session);
}

static bool
raw_step(struct raw *r)
{
    uint8_t bytes[4096];
    int n;

    ERR_clear_error();
    n = SSL_read(r->ssl, bytes, sizeof(bytes));
    if (n > 0)
        buf_add(&r->got, bytes, (size_t)n);
    r->done = SSL_is_init_finished(r->ssl);
    if (n <= 0 && SSL_get_error(r->ssl, n) != SSL_ERROR_WANT_READ) {
        r->failure = SSL_get_error(r->ssl, n);
        r->reason = ERR_peek_error();
        r->ended = true;
    }
    return n > 0;
}

static bool
raw_is_done(void *ctx)
{
    struct raw *r = ctx;

    while (raw_step(r)) {
    }
    return r->done || r->ended;
}

static bool
raw_has_ended(void *ctx)
{
    struct raw *r = ctx;

    while (!r->ended && raw_step(r)) {
    }
    return r->ended;
}

static bool
raw_got_some(void *ctx)
{
    struct raw *r = ctx;

    while (!r->ended && raw_step(r)) {
    }
    return r->ended || r->got.len > 0;
}

static void
raw_fini(struct raw *r)
{
    SSL_SESSION_free(r->session);
    SSL_free(r->ssl);
    SSL_CTX_free(r->ctx);
    buf_free(&r->got);
}

/* One connection; true when it was resumed. A ticket is taken home. */
static bool
visit(struct bed *bed, struct raw *r, const struct tls_options *o)
{
    struct tls_context *c = tls_make(o);
    struct tape t = {0};
    int fd = tape_open_pair(bed, &t);
    SSL_SESSION *before = r->session;
    bool resumed;

    io_stream_start_tls(t.stream, c, NULL);
    tls_context_unref(c);
    raw_connect(r, fd);
    r->session = NULL;
    bed_until(bed, raw_is_done, r);
    assert_false(r->ended);
    bed_until_count(bed, &t.secured, 1);
    assert_string_equal(t.secure_error.message, "");
    resumed = io_stream_tls(t.stream)->resumed;
    assert_int_equal(resumed, SSL_session_reused(r->ssl));
    io_send_copy(t.stream, "x", 1);
    bed_until(bed, raw_got_some, r);
    SSL_set_shutdown(r->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* a good end */
    SSL_SESSION_free(before);
    if (r->session == NULL) /* TLS 1.2 does not tell of a new ticket */
        r->session = SSL_get1_session(r->ssl);
    tape_fini(&t);
    bed_until_empty(bed);
    SSL_free(r->ssl);
    r->ssl = NULL;
    close(fd);
    return resumed;
}

static void
sessions_are_resumed_by_tickets(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct bed *bed = *state;
    struct tls_options o = accepting();
    struct err err;

    for (size_t n = 0; n < ARRAY_LEN(versions); n++) {
        struct raw r;

        raw_init(&r, versions[n]);
        assert_false(visit(bed, &r, &o));
        assert_non_null(r.session);
        assert_true(visit(bed, &r, &o)); /* another context with the same keys */
        assert_int_equal(tls_tickets_renew(&ids()->tickets, &err), 0);
        assert_true(visit(bed, &r, &o)); /* by the key before, and has a new one then */
        assert_int_equal(tls_tickets_renew(&ids()->tickets, &err), 0);
        assert_true(visit(bed, &r, &o));
        assert_int_equal(tls_tickets_renew(&ids()->tickets, &err), 0);
        assert_int_equal(tls_tickets_renew(&ids()->tickets, &err), 0);
        assert_false(visit(bed, &r, &o));
        o.ca = text_of(&ids()->authority.cert_pem); /* who is trusted now may be another one */
        assert_false(visit(bed, &r, &o));
        assert_true(visit(bed, &r, &o));
        o.ca.len = 0;
        o.tickets = NULL;
        assert_false(visit(bed, &r, &o));
        o.tickets = &ids()->tickets;
        raw_fini(&r);
    }
}

static void
clients_with_certificates_are_looked_at_again(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct bed *bed = *state;
    struct tls_options o = accepting();

    o.ca = text_of(&ids()->authority.cert_pem);
    for (size_t n = 0; n < ARRAY_LEN(versions); n++) {
        struct raw r;

        raw_init(&r, versions[n]);
        SSL_CTX_use_certificate(r.ctx, ids()->client.certificate);
        SSL_CTX_use_PrivateKey(r.ctx, ids()->client.key);
        assert_false(visit(bed, &r, &o));
        assert_false(visit(bed, &r, &o));
        raw_fini(&r);
    }
}

static void
renegotiation_is_refused(void **state)
{
    struct bed *bed = *state;
    const struct tls_options o = accepting();
    struct tls_context *c = tls_make(&o);
    struct tape t = {.echo = true};
    int fd = tape_open_pair(bed, &t);
    struct raw r;

    io_stream_start_tls(t.stream, c, NULL);
    tls_context_unref(c);
    raw_init(&r, TLS1_2_VERSION);
    raw_connect(&r, fd);
    bed_until(bed, raw_is_done, &r);
    SSL_renegotiate(r.ssl);
    SSL_do_handshake(r.ssl);
    bed_until(bed, raw_has_ended, &r);
    assert_int_equal(ERR_GET_REASON(r.reason), SSL_R_NO_RENEGOTIATION);
    raw_fini(&r);
    close(fd);
    tape_fini(&t);
    bed_until_empty(bed);
}

/* ---- direct TLS and ALPN ------------------------------------------------------------------------
 */

/* Reads the hello off the wire as a session does, and hands it over. */
static void
hand_over_hello(struct bed *bed, struct tape *t, const struct tls_options *o)
{
    struct tls_context *c = tls_make(o);

    io_stream_start_direct_tls(t->stream, c, t->got.data, t->got.len);
    t->received = 0;
    buf_clear(&t->got);
    tls_context_unref(c);
    (void)bed;
}

static void
begin_at_once(struct bed *bed, struct tape *t, struct raw *r, const char *protocol)
{
    const struct tls_options o = accepting();
    int fd = tape_open_pair(bed, t);

    raw_init(r, TLS1_3_VERSION);
    if (protocol != NULL)
        assert_int_equal(
            SSL_CTX_set_alpn_protos(r->ctx, (const uint8_t *)protocol, (unsigned)strlen(protocol)),
            0);
    raw_connect(r, fd);
    raw_step(r);
    bed_until_size(bed, &t->received, 1);
    hand_over_hello(bed, t, &o);
}

static void
end_both(struct bed *bed, struct tape *t, struct raw *r)
{
    int fd = SSL_get_fd(r->ssl);

    raw_fini(r);
    close(fd);
    tape_fini(t);
    bed_until_empty(bed);
}

static void
direct_tls_needs_its_protocol(void **state)
{
    static const char *const wrong[] = {NULL, "\002h2", "\010http/1.1\002h2"};
    struct bed *bed = *state;
    struct tape t = {0};
    struct raw r;

    begin_at_once(bed, &t, &r, "\002h2\012postgresql");
    bed_until(bed, raw_is_done, &r);
    assert_true(r.done);
    bed_until_count(bed, &t.secured, 1);
    assert_string_equal(t.secure_error.message, "");
    assert_true(io_stream_tls(t.stream)->alpn);
    SSL_write(r.ssl, "hello", 5);
    bed_until_size(bed, &t.received, 5);
    end_both(bed, &t, &r);

    for (size_t n = 0; n < ARRAY_LEN(wrong); n++) {
        t = (struct tape){0};
        begin_at_once(bed, &t, &r, wrong[n]);
        bed_until_count(bed, &t.secured, 1);
        assert_string_not_equal(t.secure_error.message, "");
        io_stream_close(t.stream, true); /* the alert leaves */
        t.stream = NULL;
        bed_until(bed, raw_has_ended, &r);
        assert_int_equal(ERR_GET_REASON(r.reason), SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
        end_both(bed, &t, &r);
    }
}

static void
wrong_protocol_is_refused_also_when_asked(void **state)
{
    struct bed *bed = *state;
    const struct tls_options o = accepting();
    struct tls_context *c = tls_make(&o);
    struct tape t = {0};
    struct raw r;
    int fd = tape_open_pair(bed, &t);

    io_stream_start_tls(t.stream, c, NULL);
    tls_context_unref(c);
    raw_init(&r, TLS1_3_VERSION);
    SSL_CTX_set_alpn_protos(r.ctx, (const uint8_t *)"\002h2", 3);
    raw_connect(&r, fd);
    raw_step(&r);
    bed_until_count(bed, &t.secured, 1);
    assert_string_not_equal(t.secure_error.message, "");
    io_stream_close(t.stream, true);
    t.stream = NULL;
    bed_until(bed, raw_has_ended, &r);
    assert_int_equal(ERR_GET_REASON(r.reason), SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
    end_both(bed, &t, &r);
}

/* ---- peers that misbehave
 * ------------------------------------------------------------------------ */

static void
garbage_ends_the_handshake(void **state)
{
    static const char *const garbage[] = {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff\x01",
                                          "\x80\x2e\x01\x03\x01", "\x15\x03\x01\x01\x02\x02\x28",
                                          "\x17\x03\x03\x01\x05hello"};
    struct bed *bed = *state;
    const struct tls_options o = accepting();

    for (size_t n = 0; n < ARRAY_LEN(garbage); n++) {
        struct tls_context *c = tls_make(&o);
        struct tape t = {0};
        int fd = tape_open_pair(bed, &t);

        io_stream_start_tls(t.stream, c, NULL);
        tls_context_unref(c);
        put(fd, garbage[n], strlen(garbage[n]));
        bed_run_ms(bed, 1);
        shutdown(fd, SHUT_WR);
        bed_until_count(bed, &t.secured, 1);
        assert_string_not_equal(t.secure_error.message, "");
        assert_int_equal(t.closed, 0);
        assert_null(io_stream_tls(t.stream));
        io_stream_close(t.stream, true);
        t.stream = NULL;
        close(fd);
        bed_until_empty(bed);
    }
}

static void
end_in_the_handshake_is_told_once(void **state)
{
    struct bed *bed = *state;
    const struct tls_options o = accepting();

    for (size_t cut = 1; cut < 200; cut += 37) {
        struct tls_context *c = tls_make(&o);
        struct tape t = {0};
        int fd = tape_open_pair(bed, &t);
        int fds[2];
        uint8_t hello[2000];
        struct raw r;
        ssize_t len;

        socket_pair(false, fds);
        raw_init(&r, TLS1_3_VERSION);
        raw_connect(&r, fds[0]);
        raw_step(&r);
        len = recv(fds[1], hello, sizeof(hello), 0);
        assert_true(len > 200);
        io_stream_start_tls(t.stream, c, NULL);
        tls_context_unref(c);
        put(fd, hello, cut);
        bed_run_ms(bed, 1);
        close(fd);
        bed_until_count(bed, &t.secured, 1);
        assert_non_null(strstr(t.secure_error.message, "TLS handshake"));
        assert_int_equal(t.closed, 0);
        tape_fini(&t);
        raw_fini(&r);
        close(fds[0]);
        close(fds[1]);
        bed_until_empty(bed);
    }
}

static void
broken_record_ends_the_connection(void **state)
{
    struct bed *bed = *state;
    const struct tls_options o = accepting();
    struct tls_context *c = tls_make(&o);
    struct tape t = {0};
    int fd = tape_open_pair(bed, &t);
    struct raw r;

    io_stream_start_tls(t.stream, c, NULL);
    tls_context_unref(c);
    raw_init(&r, TLS1_3_VERSION);
    raw_connect(&r, fd);
    bed_until(bed, raw_is_done, &r);
    bed_until_count(bed, &t.secured, 1);
    put(fd,
        "\x17\x03\x03\x00\x20"
        "abcdefghijklmnopqrstuvwxyz012345",
        37);
    bed_until_count(bed, &t.closed, 1);
    assert_int_equal(t.closed_error, EPROTO);
    assert_int_equal(t.received, 0);
    end_both(bed, &t, &r);
}

static void
hellos_that_are_left_are_forgotten(void **state)
{
    enum { MANY = 200 };
    struct bed *bed = *state;
    const struct tls_options a = accepting();
    const struct tls_options c = connecting();
    struct tls_context *context_a = tls_make(&a);
    struct tape tapes[MANY] = {0};
    int fds[MANY];
    struct pair p;

    for (int n = 0; n < MANY; n++) {
        fds[n] = tape_open_pair(bed, &tapes[n]);
        io_stream_start_tls(tapes[n].stream, context_a, NULL);
        put(fds[n], "\x16\x03\x01\x02\x00\x01", 6);
    }
    pair_secure(bed, &p, &a, &c); /* they disturb nobody */
    for (int n = 0; n < MANY; n++) {
        assert_int_equal(tapes[n].secured, 0);
        tape_fini(&tapes[n]);
        close(fds[n]);
    }
    tls_context_unref(context_a);
    pair_fini(bed, &p);
}

int
main(void)
{
    const struct engine_test tests[] = {
        ENGINE_TEST(sessions_are_resumed_by_tickets),
        ENGINE_TEST(clients_with_certificates_are_looked_at_again),
        ENGINE_TEST(renegotiation_is_refused),
        ENGINE_TEST(direct_tls_needs_its_protocol),
        ENGINE_TEST(wrong_protocol_is_refused_also_when_asked),
        ENGINE_TEST(garbage_ends_the_handshake),
        ENGINE_TEST(end_in_the_handshake_is_told_once),
        ENGINE_TEST(broken_record_ends_the_connection),
        ENGINE_TEST(hellos_that_are_left_are_forgotten),
    };
    int failed;

    identities_make();
    failed = run_on_engines("tls with OpenSSL", tests, ARRAY_LEN(tests));
    identities_free();
    return failed;
}

/*
 * TLS over streams, both ends streams of ours: handshakes, big transfers, records in pieces, whom
 * to believe, and contexts that cannot be made.
 */
#include "io_bed.h"
#include "tls_bed.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what works ----------------------------------------------------------------------------- */

static void
both_sides_hear_each_other(void **state)
{
    struct bed *bed = *state;
    const struct tls_options a = accepting();
    const struct tls_options c = connecting();
    const struct tls_facts *facts;
    struct pair p;

    pair_secure(bed, &p, &a, &c);
    p.accepts.echo = true;
    io_send_copy(p.connects.stream, "hello", 5);
    bed_until_size(bed, &p.connects.received, 5);
    assert_memory_equal(p.accepts.got.data, "hello", 5);
    assert_memory_equal(p.connects.got.data, "hello", 5);

    facts = io_stream_tls(p.accepts.stream);
    assert_string_equal(facts->version, "TLSv1.3");
    assert_true(facts->bits >= 128);
    assert_true(facts->alpn);
    assert_false(facts->peer_present);
    assert_false(facts->resumed);
    assert_int_equal(facts->binding_len, 32);
    assert_memory_equal(facts->binding, io_stream_tls(p.connects.stream)->binding, 32);
    assert_true(io_stream_tls(p.connects.stream)->peer_verified);
    pair_fini(bed, &p);
}

static void
what_is_sent_in_the_handshake_leaves_behind_it(void **state)
{
    struct bed *bed = *state;
    const struct tls_options a = accepting();
    const struct tls_options c = connecting();
    struct pair p;

    pair_open(bed, &p);
    pair_start(&p, &a, &c, "db.example");
    assert_null(io_stream_tls(p.connects.stream));
    io_send_copy(p.connects.stream, "early", 5);
    assert_true(io_unsent_bytes(p.connects.stream) >= 5);
    io_send_copy(p.accepts.stream, "bird", 4);
    bed_until_size(bed, &p.accepts.received, 5);
    bed_until_size(bed, &p.connects.received, 4);
    assert_memory_equal(p.accepts.got.data, "early", 5);
    assert_memory_equal(p.connects.got.data, "bird", 4);
    pair_fini(bed, &p);
}

/* A sender that fills its stream in chunks of any size and goes on when it has drained. */
struct source {
    struct io_stream *stream;
    struct source *other;
    uint64_t seed;
    uint64_t at;
    uint64_t total;
    size_t got;
    unsigned secured;
    unsigned closed;
    unsigned short dice[3];
    bool lazy; /* pauses now and then */
    struct io_timer wake;
    struct bed *bed;
};

static void
source_send(struct source *s)
{
    while (s->at < s->total && !io_is_full(s->stream)) {
        uint8_t bytes[40000];
        size_t len = (size_t)(nrand48(s->dice) % (nrand48(s->dice) % 4 == 0 ? 40000 : 300)) + 1;

        len = MIN(len, (size_t)(s->total - s->at));
        for (size_t n = 0; n < len; n++)
            bytes[n] = pattern(s->seed, s->at + n);
        io_send_copy(s->stream, bytes, len);
        s->at += len;
    }
}

static void
source_wakes(void *ctx)
{
    io_resume(((struct source *)ctx)->stream);
}

static void
source_received(void *ctx, struct io_rx *rx)
{
    struct source *s = ctx;

    for (size_t n = 0; n < rx->len; n++) {
        if (rx->data[n] != pattern(s->other->seed, s->got + n))
            fail_msg("byte %zu is wrong", s->got + n);
    }
    s->got += rx->len;
    if (s->lazy && nrand48(s->dice) % 8 == 0) {
        io_pause(s->stream);
        io_timer_start(s->bed->io, &s->wake, 1, source_wakes, s);
    }
}

static void
source_drained(void *ctx)
{
    source_send(ctx);
}

static void
source_closed(void *ctx, int error)
{
    ((struct source *)ctx)->closed++;
    assert_int_equal(error, 0);
}

static void
source_secured(void *ctx, const struct err *err)
{
    struct source *s = ctx;

    assert_null(err);
    s->secured++;
    source_send(s);
}

static const struct io_stream_ops source_ops = {
    .received = source_received,
    .drained = source_drained,
    .closed = source_closed,
    .secured = source_secured,
};

static bool
all_arrived(void *ctx)
{
    const struct source *s = ctx;

    return s[0].got == s[1].total && s[1].got == s[0].total;
}

static void
big_transfers_go_both_ways(void **state)
{
    struct bed *bed = *state;
    const struct tls_options a = accepting();
    const struct tls_options c = connecting();
    struct source s[2] = {{.seed = 1, .total = 3000000, .dice = {1, 2, 3}, .lazy = true},
                          {.seed = 2, .total = 2000000, .dice = {4, 5, 6}}};
    struct tls_context *contexts[2] = {tls_make(&a), tls_make(&c)};
    int fds[2];

    if (bed->io == NULL)
        skip();
    socket_pair(true, fds);
    for (int n = 0; n < 2; n++) {
        s[n].bed = bed;
        s[n].other = &s[1 - n];
        s[n].stream = io_stream_open(bed->io, fds[n], &source_ops, &s[n]);
    }
    io_stream_start_tls(s[0].stream, contexts[0], NULL);
    io_stream_start_tls(s[1].stream, contexts[1], "db.example");
    bed_until(bed, all_arrived, s);
    for (int n = 0; n < 2; n++) {
        io_timer_stop(&s[n].wake);
        io_stream_close(s[n].stream, true);
        tls_context_unref(contexts[n]);
    }
    bed_until_empty(bed);
}

static void
relayed_buffers_are_given_back(void **state)
{
    struct bed *bed = *state;
    const struct tls_options a = accepting();
    const struct tls_options c = connecting();
    struct io_options small = {.buffer_count = 4, .buffer_bytes = 4096};
    struct pair p;
    uint8_t bytes[60000];

    bed_use(bed, &small);
    pair_secure(bed, &p, &a, &c);
    p.accepts.echo = true;
    for (size_t n = 0; n < sizeof(bytes); n++)
        bytes[n] = pattern(7, n);
    for (size_t round = 1; round <= 20; round++) {
        io_send_copy(p.connects.stream, bytes, sizeof(bytes));
        bed_until_size(bed, &p.connects.received, round * sizeof(bytes));
    }
    assert_memory_equal(p.connects.got.data + 19 * sizeof(bytes), bytes, sizeof(bytes));
    pair_fini(bed, &p);
}

static void
close_with_flush_says_goodbye(void **state)
{
    struct bed *bed = *state;
    const struct tls_options a = accepting();
    const struct tls_options c = connecting();
    struct pair p;
    uint8_t bytes[50000] = {1};

    pair_secure(bed, &p, &a, &c);
    io_send_copy(p.accepts.stream, bytes, sizeof(bytes));
    io_stream_close(p.accepts.stream, true);
    p.accepts.stream = NULL;
    bed_until_count(bed, &p.connects.closed, 1);
    assert_int_equal(p.connects.closed_error, 0);
    assert_int_equal(p.connects.received, sizeof(bytes));
    pair_fini(bed, &p);
}

static void
stream_closes_itself_in_callbacks(void **state)
{
    struct bed *bed = *state;
    const struct tls_options a = accepting();
    const struct tls_options c = connecting();
    struct pair p;

    pair_open(bed, &p);
    p.accepts.close_on_data = true; /* in secured */
    pair_start(&p, &a, &c, "db.example");
    bed_until_count(bed, &p.accepts.secured, 1);
    assert_null(p.accepts.stream);
    pair_fini(bed, &p);

    pair_secure(bed, &p, &a, &c);
    p.accepts.close_on_data = true;
    io_send_copy(p.connects.stream, "x", 1);
    bed_until_size(bed, &p.accepts.received, 1);
    assert_null(p.accepts.stream);
    pair_fini(bed, &p);
}

/* ---- records in pieces ---------------------------------------------------------------------- */

/* Between two streams: passes on a few bytes at a time. */
struct dribble {
    int fds[2];
    unsigned short dice[3];
    struct pair *pair;
};

static bool
dribbled(void *ctx)
{
    struct dribble *d = ctx;

    for (int from = 0; from < 2; from++) {
        uint8_t bytes[7];
        ssize_t n = recv(d->fds[from], bytes, (size_t)(nrand48(d->dice) % 7) + 1, MSG_DONTWAIT);

        if (n > 0)
            put(d->fds[1 - from], bytes, (size_t)n);
    }
    return d->pair->accepts.received >= 200 && d->pair->connects.received >= 200;
}

static void
records_arrive_in_pieces(void **state)
{
    struct bed *bed = *state;
    const struct tls_options a = accepting();
    const struct tls_options c = connecting();
    struct pair p = {0};
    struct dribble d = {.dice = {1, 2, 3}, .pair = &p};
    uint8_t bytes[200];

    d.fds[0] = tape_open_pair(bed, &p.accepts);
    d.fds[1] = tape_open_pair(bed, &p.connects);
    for (size_t n = 0; n < sizeof(bytes); n++)
        bytes[n] = pattern(3, n);
    pair_start(&p, &a, &c, "db.example");
    io_send_copy(p.connects.stream, bytes, sizeof(bytes));
    p.accepts.echo = true;
    bed_until(bed, dribbled, &d);
    assert_memory_equal(p.connects.got.data, bytes, sizeof(bytes));
    close(d.fds[0]);
    close(d.fds[1]);
    pair_fini(bed, &p);
}

/* ---- whom to believe
 * ----------------------------------------------------------------------------- */

struct trial {
    struct tls_options accepts;
    struct tls_options connects;
    const char *host;
    const char *server_says; /* part of what the accepting side was told; NULL: all went well */
    const char *client_says; /* the same; "" for anything: TLS 1.3 tells a client late */
};

static bool
is_decided(void *ctx)
{
    const struct pair *p = ctx;

    return p->accepts.secured > 0 && (p->connects.secured > 0 || p->connects.closed > 0);
}

static void
judge(struct bed *bed, const struct trial *trial)
{
    struct pair p;

    pair_open(bed, &p);
    pair_start(&p, &trial->accepts, &trial->connects, trial->host);
    bed_until(bed, is_decided, &p);
    if (trial->server_says == NULL)
        assert_string_equal(p.accepts.secure_error.message, "");
    else if (strstr(p.accepts.secure_error.message, trial->server_says) == NULL)
        fail_msg("\"%s\" instead of \"%s\"", p.accepts.secure_error.message, trial->server_says);
    if (trial->client_says == NULL)
        assert_string_equal(p.connects.secure_error.message, "");
    else if (strstr(p.connects.secure_error.message, trial->client_says) == NULL)
        fail_msg("\"%s\" instead of \"%s\"", p.connects.secure_error.message, trial->client_says);
    pair_fini(bed, &p);
}

static void
servers_are_checked(void **state)
{
    struct bed *bed = *state;
    struct trial t = {.accepts = accepting(), .connects = connecting()};
    static const struct {
        const char *host;
        bool good;
    } names[] = {
        {"db.example", true}, {"DB.EXAMPLE", true}, {"127.0.0.1", true}, {"other.example", false},
        {"127.0.0.2", false}, {"example", false},   {"", false},         {NULL, false}};

    t.host = "anything";
    judge(bed, &t); /* verify-ca */
    t.connects.verify = TLS_VERIFY_FULL;
    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        t.host = names[n].host;
        t.client_says = names[n].good ? NULL : "does not name";
        if (names[n].good) {
            judge(bed, &t);
        } else {
            struct pair p;

            pair_open(bed, &p);
            pair_start(&p, &t.accepts, &t.connects, t.host);
            bed_until_count(bed, &p.connects.secured, 1);
            assert_non_null(strstr(p.connects.secure_error.message, "does not name"));
            pair_fini(bed, &p);
        }
    }
    t.host = "db.example";
    t.connects.ca = text_of(&ids()->stranger.cert_pem);
    t.connects.verify = TLS_VERIFY_NONE; /* with an authority there is a check all the same */
    t.server_says = "unknown ca";
    t.client_says = "certificate verify failed";
    judge(bed, &t);
    t.connects.ca.len = 0;
    t.server_says = t.client_says = NULL;
    judge(bed, &t);
    t.connects = connecting();
    t.accepts = with_identity(t.accepts, &ids()->expired);
    t.server_says = "certificate expired";
    t.client_says = "certificate has expired";
    judge(bed, &t);
}

static void
clients_are_checked(void **state)
{
    struct bed *bed = *state;
    struct trial t = {.accepts = accepting(), .connects = connecting(), .host = "db.example"};
    static const long nobody[] = {99, 0};
    const long revoked[] = {5, 0}; /* the client's */
    struct buf crl = BUF_EMPTY;
    const struct tls_facts *facts;
    struct pair p;

    t.accepts.ca = text_of(&ids()->authority.cert_pem);
    judge(bed, &t); /* without one */
    t.connects = with_identity(t.connects, &ids()->client);
    pair_secure(bed, &p, &t.accepts, &t.connects);
    facts = io_stream_tls(p.accepts.stream);
    assert_true(facts->peer_present);
    assert_true(facts->peer_verified);
    assert_string_equal(facts->common_name, "alice");
    assert_string_equal(facts->dn, "CN=alice,O=test");
    pair_fini(bed, &p);

    make_crl(&ids()->authority, nobody, &crl);
    t.accepts.crl = text_of(&crl);
    judge(bed, &t);
    buf_clear(&crl);
    make_crl(&ids()->authority, revoked, &crl);
    t.accepts.crl = text_of(&crl);
    t.server_says = "certificate revoked";
    t.client_says = "";
    judge(bed, &t);
    buf_free(&crl);

    t.accepts.crl.len = 0;
    t.connects = with_identity(connecting(), &ids()->expired);
    t.server_says = "certificate has expired";
    judge(bed, &t);
    t.connects = with_identity(connecting(), &ids()->client);
    t.accepts.ca = text_of(&ids()->stranger.cert_pem);
    t.server_says = "certificate verify failed";
    judge(bed, &t);
}

static void
versions_are_bounded(void **state)
{
    struct bed *bed = *state;
    struct trial t = {.accepts = accepting(), .connects = connecting(), .host = "db.example"};
    struct pair p;

    t.accepts.max_version = TLS_1_2;
    pair_secure(bed, &p, &t.accepts, &t.connects);
    assert_string_equal(io_stream_tls(p.connects.stream)->version, "TLSv1.2");
    pair_fini(bed, &p);
    t.connects.min_version = TLS_1_3;
    t.server_says = "unsupported protocol";
    t.client_says = "protocol version";
    judge(bed, &t);
}

/* ---- contexts
 * -------------------------------------------------------------------------------------- */

static void
refused(struct tls_options o, const char *words)
{
    struct tls_context *c = NULL;
    struct err err;

    assert_int_equal(tls_context_new(&o, &c, &err), -1);
    if (strstr(err.message, words) == NULL)
        fail_msg("\"%s\" instead of \"%s\"", err.message, words);
}

static void
faulty_contexts_are_refused(void **state UNUSED)
{
    struct tls_options o = accepting();
    struct buf secret = BUF_EMPTY;
    struct buf open_key = BUF_EMPTY;
    struct tls_context *c;
    struct err err;

    o.key = text_of(&ids()->client.key_pem);
    refused(o, "does not fit");
    o = accepting();
    o.key.len = 0;
    refused(o, "no private key");
    o = accepting();
    o.cert.len = 40;
    refused(o, "could not read the certificate");
    o.cert.len = 0;
    refused(o, "no certificate");
    o = accepting();
    o.ca = (struct tls_text){"nonsense", 8};
    refused(o, "authorities");
    o = accepting();
    o.crl = text_of(&ids()->server.cert_pem);
    refused(o, "revoked");
    o = accepting();
    o.ciphers = "NO-SUCH-THING";
    refused(o, "ciphers");
    o = accepting();
    o.ciphers_1_3 = "NO-SUCH-THING";
    refused(o, "TLS 1.3 ciphers");
    o = accepting();
    o.curves = "round";
    refused(o, "curves");
    o = accepting();
    o.dh = text_of(&ids()->server.key_pem);
    refused(o, "DH");
    o = connecting();
    o.ca.len = 0;
    refused(o, "authority");

    encrypt_key(&ids()->server, "open sesame", &secret);
    o = accepting();
    o.key = text_of(&secret);
    assert_true(tls_key_is_encrypted(o.key));
    assert_false(tls_key_is_encrypted(text_of(&ids()->server.key_pem)));
    refused(o, "passphrase");
    assert_int_equal(tls_decrypt_key(o.key, "wrong", &open_key, &err), -1);
    assert_int_equal(tls_decrypt_key(o.key, NULL, &open_key, &err), -1);
    assert_int_equal(open_key.len, 0);
    assert_int_equal(tls_decrypt_key(o.key, "open sesame", &open_key, &err), 0);
    o.key = text_of(&open_key);
    c = tls_make(&o);
    assert_false(tls_context_warns(c, &err));
    tls_context_unref(c);
    o = with_identity(accepting(), &ids()->expired);
    c = tls_make(&o);
    assert_true(tls_context_warns(c, &err));
    assert_string_equal(err.message, "the certificate has expired");
    tls_context_unref(c);
    buf_free(&secret);
    buf_free(&open_key);
}

int
main(void)
{
    const struct engine_test tests[] = {
        ENGINE_TEST(both_sides_hear_each_other),
        ENGINE_TEST(what_is_sent_in_the_handshake_leaves_behind_it),
        ENGINE_TEST(big_transfers_go_both_ways),
        ENGINE_TEST(relayed_buffers_are_given_back),
        ENGINE_TEST(close_with_flush_says_goodbye),
        ENGINE_TEST(stream_closes_itself_in_callbacks),
        ENGINE_TEST(records_arrive_in_pieces),
        ENGINE_TEST(servers_are_checked),
        ENGINE_TEST(clients_are_checked),
        ENGINE_TEST(versions_are_bounded),
    };
    const struct CMUnitTest pure[] = {cmocka_unit_test(faulty_contexts_are_refused)};
    int failed;

    identities_make();
    failed =
        run_on_engines("tls", tests, ARRAY_LEN(tests)) + cmocka_run_group_tests(pure, NULL, NULL);
    identities_free();
    return failed;
}

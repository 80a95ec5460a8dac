/*
 * Questions to servers that misbehave: how each failure is told. The server is a fake one on the
 * same loop.
 */
#include "io_bed.h"

#include "base/arena.h"
#include "base/str.h"
#include "os/ask.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 8, LIMIT_MS = 50000, SSL_REQUEST = 80877103 };

enum then { THEN_WAIT, THEN_CLOSE, THEN_RESET };

/* What the fake server does when something has come. */
struct act {
    struct buf reply;
    enum then then;
};

struct fake;

struct guest {
    struct fake *fake;
    struct io_stream *stream;
    struct buf got;
    bool started; /* its startup packet was answered */
};

struct fake {
    struct bed *bed;
    struct io_listener *listener;
    int fd;
    uint16_t port;
    bool answers_ssl; /* with "N"; else the startup act comes at once */
    struct act at_accept;
    struct act at_startup;
    struct act at_query;
    unsigned accepted;
    unsigned queries;
    struct guest guests[CONNECTIONS_MAX];
};

/* What the asking side has heard. */
struct asker {
    struct dns *dns;
    struct ask *ask;
    unsigned answers;
    unsigned failures;
    bool asked;
    enum ask_failure failure;
    struct err err;
    char value[32];
};

/* ---- the fake server ---- */

static void
add_message(struct buf *out, char type, const void *body, size_t len)
{
    buf_add_u8(out, (uint8_t)type);
    buf_add_u32(out, (uint32_t)len + 4);
    buf_add(out, body, len);
}

static void
add_error(struct buf *out, const char *severity, const char *code, const char *words)
{
    struct buf body = BUF_EMPTY;

    buf_printf(&body, "S%s", severity);
    buf_add_u8(&body, 0);
    buf_printf(&body, "V%s", severity);
    buf_add_u8(&body, 0);
    buf_printf(&body, "C%s", code);
    buf_add_u8(&body, 0);
    buf_printf(&body, "M%s", words);
    buf_add_u16(&body, 0);
    add_message(out, 'E', body.data, body.len);
    buf_free(&body);
}

static void
add_login(struct buf *out)
{
    add_message(out, 'R', "\0\0\0\0", 4);
    add_message(out, 'S', "server_version\00015.18", 21);
    add_message(out, 'Z', "I", 1);
}

/* One row of one column, "yes". */
static void
add_answer(struct buf *out)
{
    add_message(out, 'T', "\0\1a\0\0\0\0\0\0\0\0\0\0\31\xff\xff\xff\xff\xff\xff\0\0", 22);
    add_message(out, 'D', "\0\1\0\0\0\3yes", 9);
    add_message(out, 'C', "SELECT 1", 9);
    add_message(out, 'Z', "I", 1);
}

static void
leave(struct guest *g, bool reset)
{
    struct linger hard = {1, 0};

    if (g->stream == NULL)
        return;
    if (reset)
        setsockopt(io_stream_fd(g->stream), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    io_stream_close(g->stream, !reset);
    g->stream = NULL;
}

static void
act(struct guest *g, const struct act *what)
{
    if (what->reply.len > 0)
        io_send_copy(g->stream, what->reply.data, what->reply.len);
    if (what->then != THEN_WAIT)
        leave(g, what->then == THEN_RESET);
}

static uint32_t
number_at(const struct guest *g, size_t at)
{
    uint32_t n;

    memcpy(&n, g->got.data + at, sizeof(n));
    return ntohl(n);
}

static void
guest_received(void *ctx, struct io_rx *rx)
{
    struct guest *g = ctx;
    struct fake *f = g->fake;

    buf_add(&g->got, rx->data, rx->len);
    while (g->stream != NULL && g->got.len >= 8) {
        size_t len = g->started ? number_at(g, 1) + 1 : number_at(g, 0);

        if (g->got.len < len)
            return;
        if (!g->started && number_at(g, 4) == SSL_REQUEST && f->answers_ssl) {
            io_send_copy(g->stream, "N", 1);
        } else if (!g->started) {
            g->started = true;
            act(g, &f->at_startup);
        } else if (g->got.data[0] == 'Q') {
            f->queries++;
            act(g, &f->at_query);
        }
        buf_drop(&g->got, len);
    }
}

static void
guest_closed(void *ctx, int error)
{
    (void)error;
    leave(ctx, false);
}

static const struct io_stream_ops guest_ops = {.received = guest_received, .closed = guest_closed};

static void
on_accepted(void *ctx, int fd, int error)
{
    struct fake *f = ctx;
    struct guest *g = &f->guests[f->accepted];

    assert_int_equal(error, 0);
    assert_true(f->accepted < CONNECTIONS_MAX);
    f->accepted++;
    g->fake = f;
    g->stream = io_stream_open(f->bed->io, fd, &guest_ops, g);
    act(g, &f->at_accept);
}

static void
fake_init(struct bed *bed, struct fake *f)
{
    struct sockaddr_storage addr;
    socklen_t len;

    if (bed->io == NULL)
        skip();
    memset(f, 0, sizeof(*f));
    f->bed = bed;
    f->answers_ssl = true;
    f->fd = listen_tcp(8, &addr, &len);
    f->port = ntohs(((struct sockaddr_in *)&addr)->sin_port);
    f->listener = io_listen(bed->io, f->fd, on_accepted, f);
}

static void
fake_fini(struct fake *f)
{
    for (unsigned n = 0; n < f->accepted; n++) {
        leave(&f->guests[n], false);
        buf_free(&f->guests[n].got);
    }
    io_listener_close(f->listener);
    close(f->fd);
    buf_free(&f->at_accept.reply);
    buf_free(&f->at_startup.reply);
    buf_free(&f->at_query.reply);
}

/* ---- the asking side ---- */

static void
on_answered(void *ctx, const struct ask_rows *rows)
{
    struct asker *a = ctx;

    a->answers++;
    str_copy(a->value, sizeof(a->value), ask_value(rows, 0, 0));
}

static void
on_failed(void *ctx, const struct err *err, bool asked)
{
    struct asker *a = ctx;

    a->failures++;
    a->asked = asked;
    a->failure = ask_failure(a->ask);
    a->err = *err;
}

static const struct ask_ops asker_ops = {on_answered, on_failed};

static void
asker_init(struct bed *bed, struct asker *a, const char *host, uint16_t port)
{
    struct ask_target target = {
        .host = host, .port = port, .user = "u", .database = "d", .application_name = "test"};
    struct err err;

    if (bed->io == NULL)
        skip();
    memset(a, 0, sizeof(*a));
    assert_int_equal(dns_new(bed->io, &a->dns, &err), 0);
    a->ask = ask_new(bed->io, a->dns, &asker_ops, a);
    ask_set_target(a->ask, &target);
}

static void
asker_fini(struct asker *a)
{
    ask_free(a->ask);
    dns_free(a->dns);
}

static void
ask_until_failed(struct bed *bed, struct asker *a)
{
    ask_question(a->ask, "SELECT 1", LIMIT_MS);
    bed_until_count(bed, &a->failures, a->failures + 1);
}

static void
assert_failure(const struct asker *a, enum ask_failure failure, const char *sqlstate)
{
    if (a->failure != failure)
        fail_msg("\"%s\": %s", ask_failure_name(a->failure), a->err.message);
    assert_string_equal(a->err.sqlstate, sqlstate);
    assert_true(a->asked);
}

/* Asks this fake server once, and takes both down. */
static void
assert_fails(struct bed *bed, struct fake *f, enum ask_failure failure, const char *sqlstate)
{
    struct asker a;

    asker_init(bed, &a, "127.0.0.1", f->port);
    ask_until_failed(bed, &a);
    assert_failure(&a, failure, sqlstate);
    asker_fini(&a);
    fake_fini(f);
}

/* ---- no server ---- */

static void
nobody_listens(void **state)
{
    struct bed *bed = *state;
    struct sockaddr_storage addr;
    struct asker a;
    socklen_t len;
    int fd = listen_tcp(1, &addr, &len);

    close(fd);
    asker_init(bed, &a, "127.0.0.1", ntohs(((struct sockaddr_in *)&addr)->sin_port));
    ask_until_failed(bed, &a);
    assert_failure(&a, ASK_REFUSED, "08001");
    assert_non_null(strstr(a.err.message, "Connection refused"));
    asker_fini(&a);
}

static void
unix_socket_without_server_refuses(void **state)
{
    struct bed *bed = *state;
    char directory[] = "/tmp/test_ask.XXXXXX";
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct asker a;
    int fd;

    assert_non_null(mkdtemp(directory));
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/.s.PGSQL.5432", directory);
    asker_init(bed, &a, directory, 5432);
    ask_until_failed(bed, &a); /* there is no file */
    assert_failure(&a, ASK_REFUSED, "08001");
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    ask_until_failed(bed, &a); /* there is, and nobody listens */
    assert_failure(&a, ASK_REFUSED, "08001");
    asker_fini(&a);
    close(fd);
    unlink(addr.sun_path);
    rmdir(directory);
}

/* A stopped server: the kernel takes connections until its queue is full. */
static void
full_queue_of_a_unix_socket_is_no_refusal(void **state)
{
    struct bed *bed = *state;
    char directory[] = "/tmp/test_ask.XXXXXX";
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int waiting[4];
    struct asker a;
    int fd;

    assert_non_null(mkdtemp(directory));
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/.s.PGSQL.5432", directory);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(fd, 0), 0);
    for (size_t n = 0; n < ARRAY_LEN(waiting); n++) {
        waiting[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(waiting[n], (struct sockaddr *)&addr, sizeof(addr)) != 0)
            assert_true(n > 0);
    }
    asker_init(bed, &a, directory, 5432);
    ask_until_failed(bed, &a);
    assert_failure(&a, ASK_TIMEOUT, "08001");
    asker_fini(&a);
    for (size_t n = 0; n < ARRAY_LEN(waiting); n++)
        close(waiting[n]);
    close(fd);
    unlink(addr.sun_path);
    rmdir(directory);
}

static void
name_without_address(void **state)
{
    struct bed *bed = *state;
    struct asker a;

    asker_init(bed, &a, "no..such..name", 5432);
    ask_until_failed(bed, &a);
    assert_failure(&a, ASK_UNRESOLVED, "08001");
    asker_fini(&a);
}

/* ---- a server that does not answer ---- */

static void
silent_server(void **state)
{
    struct bed *bed = *state;
    struct fake f;
    struct asker a;

    fake_init(bed, &f); /* answers to SSL, and not to the startup packet */
    asker_init(bed, &a, "127.0.0.1", f.port);
    ask_question(a.ask, "SELECT 1", 100);
    bed_until_count(bed, &a.failures, 1);
    assert_failure(&a, ASK_TIMEOUT, "57014");
    asker_fini(&a);
    fake_fini(&f);
}

static void
server_that_resets(void **state)
{
    struct bed *bed = *state;
    struct fake f;

    fake_init(bed, &f);
    f.at_accept.then = THEN_RESET;
    assert_fails(bed, &f, ASK_RESET, "08001");
    fake_init(bed, &f);
    f.answers_ssl = false;
    f.at_startup.then = THEN_RESET;
    assert_fails(bed, &f, ASK_RESET, "08001");
    fake_init(bed, &f);
    f.at_startup.then = THEN_RESET;
    assert_fails(bed, &f, ASK_RESET, "08001");
    fake_init(bed, &f);
    add_login(&f.at_startup.reply);
    f.at_query.then = THEN_RESET;
    assert_fails(bed, &f, ASK_RESET, "08006");
}

static void
server_that_closes(void **state)
{
    struct bed *bed = *state;
    struct fake f;

    fake_init(bed, &f);
    f.at_accept.then = THEN_CLOSE;
    assert_fails(bed, &f, ASK_RESET, "08001");
    fake_init(bed, &f);
    f.at_startup.then = THEN_CLOSE;
    assert_fails(bed, &f, ASK_RESET, "08001");
    fake_init(bed, &f);
    add_message(&f.at_startup.reply, 'R', "\0\0\0\0", 4);
    f.at_startup.then = THEN_CLOSE;
    assert_fails(bed, &f, ASK_RESET, "08001");
    fake_init(bed, &f);
    add_login(&f.at_startup.reply);
    f.at_query.then = THEN_CLOSE;
    assert_fails(bed, &f, ASK_RESET, "08006");
}

static void
server_that_talks_nonsense(void **state)
{
    static const char *const words[] = {"HTTP/1.1 400 Bad Request\r\n\r\n", "220 mail ESMTP\r\n"};
    struct bed *bed = *state;
    struct fake f;

    for (size_t n = 0; n < ARRAY_LEN(words); n++) {
        fake_init(bed, &f);
        buf_add_str(&f.at_accept.reply, words[n]);
        assert_fails(bed, &f, ASK_NONSENSE, "08001");
        fake_init(bed, &f);
        buf_add_str(&f.at_startup.reply, words[n]);
        assert_fails(bed, &f, ASK_NONSENSE, "08001");
    }
    fake_init(bed, &f); /* to libpq the first letter is a yes to SSL */
    buf_add_str(&f.at_accept.reply, "SSH-2.0-OpenSSH_9.2p1\r\n");
    f.answers_ssl = false;
    f.at_startup.then = THEN_CLOSE;
    assert_fails(bed, &f, ASK_NONSENSE, "08001");
    fake_init(bed, &f);
    add_login(&f.at_startup.reply);
    add_message(&f.at_query.reply, 'G', "\0\0\0", 3); /* COPY */
    assert_fails(bed, &f, ASK_NONSENSE, "08P01");
}

/* ---- a server that says no ---- */

static void
error_before_login(void **state)
{
    static const char *const codes[] = {"57P03", "53300", "28P01", "28000", "3D000", "57P01"};
    struct bed *bed = *state;
    struct fake f;

    for (size_t n = 0; n < ARRAY_LEN(codes); n++) {
        struct asker a;

        fake_init(bed, &f);
        add_error(&f.at_startup.reply, "FATAL", codes[n], "words: of the server");
        f.at_startup.then = THEN_CLOSE;
        asker_init(bed, &a, "127.0.0.1", f.port);
        ask_until_failed(bed, &a);
        assert_failure(&a, ASK_SERVER, codes[n]);
        assert_string_equal(a.err.message, "words: of the server");
        asker_fini(&a);
        fake_fini(&f);
    }
    /* the severity is in the server's language */
    fake_init(bed, &f);
    add_error(&f.at_startup.reply, "\320\222\320\220\320\226\320\235\320\236", "57P03", "x");
    f.at_startup.then = THEN_CLOSE;
    assert_fails(bed, &f, ASK_SERVER, "57P03");
}

static void
server_without_a_process_for_us(void **state)
{
    struct bed *bed = *state;
    struct fake f;

    fake_init(bed, &f);
    buf_add_cstr(&f.at_startup.reply,
                 "Ecould not fork new process for connection: Cannot allocate memory\n");
    f.at_startup.then = THEN_CLOSE;
    assert_fails(bed, &f, ASK_SERVER, "53000");
    /* as PostgreSQL does it: before it has read anything */
    fake_init(bed, &f);
    f.answers_ssl = false;
    buf_add_cstr(&f.at_startup.reply,
                 "Ecould not fork new process for connection: Cannot allocate memory\n");
    f.at_startup.then = THEN_CLOSE;
    assert_fails(bed, &f, ASK_SERVER, "53000");
}

static void
password_that_we_do_not_have(void **state)
{
    struct bed *bed = *state;
    struct fake f;

    fake_init(bed, &f);
    add_message(&f.at_startup.reply, 'R', "\0\0\0\3", 4);
    assert_fails(bed, &f, ASK_SERVER, "28P01");
    fake_init(bed, &f);
    add_message(&f.at_startup.reply, 'R', "\0\0\0\2", 4); /* Kerberos 5 */
    assert_fails(bed, &f, ASK_OWN, "08001");
}

static void
refused_statement_keeps_the_connection(void **state)
{
    struct bed *bed = *state;
    struct fake f;
    struct asker a;

    fake_init(bed, &f);
    add_login(&f.at_startup.reply);
    add_error(&f.at_query.reply, "ERROR", "42501", "permission denied");
    add_message(&f.at_query.reply, 'Z', "I", 1);
    asker_init(bed, &a, "127.0.0.1", f.port);
    ask_until_failed(bed, &a);
    assert_failure(&a, ASK_SERVER, "42501");
    ask_until_failed(bed, &a);
    assert_failure(&a, ASK_SERVER, "42501");
    assert_int_equal(f.accepted, 1);
    asker_fini(&a);
    fake_fini(&f);
}

static void
connection_that_is_ended_with_words(void **state)
{
    struct bed *bed = *state;
    struct fake f;
    struct asker a;
    struct act last = {BUF_EMPTY, THEN_CLOSE};

    fake_init(bed, &f); /* while a question waits */
    add_login(&f.at_startup.reply);
    add_error(&f.at_query.reply, "FATAL", "57P01", "terminating connection");
    f.at_query.then = THEN_CLOSE;
    asker_init(bed, &a, "127.0.0.1", f.port);
    ask_until_failed(bed, &a);
    assert_failure(&a, ASK_SERVER, "57P01");
    assert_int_equal(a.failures, 1);
    asker_fini(&a);
    fake_fini(&f);
    fake_init(bed, &f); /* while none does */
    add_login(&f.at_startup.reply);
    add_answer(&f.at_query.reply);
    asker_init(bed, &a, "127.0.0.1", f.port);
    ask_question(a.ask, "SELECT 1", LIMIT_MS);
    bed_until_count(bed, &a.answers, 1);
    add_error(&last.reply, "FATAL", "57P01", "terminating connection");
    act(&f.guests[0], &last);
    bed_until_count(bed, &a.failures, 1);
    assert_false(a.asked);
    assert_int_equal(a.failure, ASK_SERVER);
    assert_string_equal(a.err.sqlstate, "57P01");
    assert_string_equal(a.err.message, "terminating connection");
    buf_free(&last.reply);
    asker_fini(&a);
    fake_fini(&f);
}

static void
idle_connection_that_is_lost_without_words(void **state)
{
    struct bed *bed = *state;
    struct fake f;
    struct asker a;

    fake_init(bed, &f);
    add_login(&f.at_startup.reply);
    add_answer(&f.at_query.reply);
    asker_init(bed, &a, "127.0.0.1", f.port);
    ask_question(a.ask, "SELECT 1", LIMIT_MS);
    bed_until_count(bed, &a.answers, 1);
    leave(&f.guests[0], true);
    bed_until_count(bed, &a.failures, 1);
    assert_false(a.asked);
    assert_int_equal(a.failure, ASK_RESET);
    assert_string_equal(a.err.sqlstate, "08006");
    asker_fini(&a);
    fake_fini(&f);
}

/* ---- closing ---- */

static void
closing_makes_the_next_question_dial(void **state)
{
    struct bed *bed = *state;
    struct fake f;
    struct asker a;

    fake_init(bed, &f);
    add_login(&f.at_startup.reply);
    add_answer(&f.at_query.reply);
    asker_init(bed, &a, "127.0.0.1", f.port);
    for (unsigned n = 1; n <= 2; n++) {
        ask_question(a.ask, "SELECT 1", LIMIT_MS);
        bed_until_count(bed, &a.answers, n);
        assert_string_equal(a.value, "yes");
    }
    assert_int_equal(f.accepted, 1);
    ask_close(a.ask);
    ask_question(a.ask, "SELECT 1", LIMIT_MS);
    bed_until_count(bed, &a.answers, 3);
    assert_int_equal(f.accepted, 2);
    /* a question that waits is forgotten */
    ask_question(a.ask, "SELECT 1", LIMIT_MS);
    ask_close(a.ask);
    assert_false(ask_is_busy(a.ask));
    ask_question(a.ask, "SELECT 1", LIMIT_MS);
    bed_until_count(bed, &a.answers, 4);
    assert_int_equal(f.accepted, 3);
    assert_int_equal(a.failures, 0);
    asker_fini(&a);
    fake_fini(&f);
}

int
main(void)
{
    static const struct engine_test tests[] = {
        ENGINE_TEST(nobody_listens),
        ENGINE_TEST(unix_socket_without_server_refuses),
        ENGINE_TEST(full_queue_of_a_unix_socket_is_no_refusal),
        ENGINE_TEST(name_without_address),
        ENGINE_TEST(silent_server),
        ENGINE_TEST(server_that_resets),
        ENGINE_TEST(server_that_closes),
        ENGINE_TEST(server_that_talks_nonsense),
        ENGINE_TEST(error_before_login),
        ENGINE_TEST(server_without_a_process_for_us),
        ENGINE_TEST(password_that_we_do_not_have),
        ENGINE_TEST(refused_statement_keeps_the_connection),
        ENGINE_TEST(connection_that_is_ended_with_words),
        ENGINE_TEST(idle_connection_that_is_lost_without_words),
        ENGINE_TEST(closing_makes_the_next_question_dial),
    };

    return run_on_engines("os/ask", tests, ARRAY_LEN(tests));
}

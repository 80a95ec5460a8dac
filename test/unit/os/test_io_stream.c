/*
 * Streams of the I/O engine: order, pausing, the water marks, closing, reentrant calls.
 */
#include "io_bed.h"

#include "base/arena.h"
#include "os/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads what is there until nothing came for one run of the loop, and appends it. */
struct reader {
    int fd;
    struct buf got;
    bool ended;
    int error;
};

static bool
read_some(struct reader *r)
{
    uint8_t bytes[65536];
    ssize_t n = recv(r->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    if (n > 0)
        buf_add(&r->got, bytes, (size_t)n);
    if (n == 0)
        r->ended = true;
    if (n < 0 && errno != EAGAIN) {
        r->ended = true;
        r->error = errno;
    }
    return n > 0;
}

struct expected {
    struct reader *reader;
    size_t bytes;
};

static bool
has_read(void *ctx)
{
    const struct expected *e = ctx;

    while (read_some(e->reader)) {
    }
    return e->reader->got.len >= e->bytes;
}

static bool
has_ended(void *ctx)
{
    struct reader *r = ctx;

    while (read_some(r)) {
    }
    return r->ended;
}

static void
until_read(struct bed *bed, struct reader *r, size_t bytes)
{
    struct expected e = {r, bytes};

    bed_until(bed, has_read, &e);
}

static void
reader_fini(struct reader *r)
{
    buf_free(&r->got);
    close(r->fd);
}

static void
copies_and_parts_leave_in_order(void **state)
{
    struct bed *bed = *state;
    struct tape t = {0};
    struct reader r = {.fd = tape_open_pair(bed, &t)};
    struct buf expected = BUF_EMPTY;

    io_send_copy(t.stream, "", 0);
    io_send_copy(t.stream, "hello", 5);
    buf_add_str(&expected, "hello");
    for (int n = 0; n < 500; n++) {
        uint8_t bytes[300];
        size_t len = (size_t)(n % 300);

        memset(bytes, n, sizeof(bytes));
        io_send_copy(t.stream, bytes, len);
        buf_add(&expected, bytes, len);
    }
    assert_int_equal(io_unsent_bytes(t.stream), expected.len);
    until_read(bed, &r, expected.len);
    assert_int_equal(r.got.len, expected.len);
    assert_memory_equal(r.got.data, expected.data, expected.len);
    assert_int_equal(io_unsent_bytes(t.stream), 0);
    buf_free(&expected);
    tape_fini(&t);
    reader_fini(&r);
    bed_until_empty(bed);
}

/* Holds three bytes, and returns how many were sent before them. They stay through a turn, which is
 * seen when that is over before their time is. */
static int
hold_some(struct bed *bed, struct tape *t, struct reader *r)
{
    enum { TRIES = 100 };

    for (int n = 0; n < TRIES; n++) {
        int64_t began_ns = clock_monotonic_ns();
        io_send_copy(t->stream, "abc", 3);
        io_hold(t->stream);
        bed_run_ms(bed, 2);
        read_some(r);
        if (clock_monotonic_ns() - began_ns < (IO_HOLD_MS - 1) * NS_PER_MS) {
            assert_int_equal(io_unsent_bytes(t->stream), 3);
            return n * 3;
        }
        until_read(bed, r, (size_t)(n + 1) * 3);
    }
    io_send_copy(t->stream, "abc", 3);
    io_hold(t->stream);
    return TRIES * 3;
}

static void
what_is_held_leaves_when_it_should(void **state)
{
    enum how { BY_TIME, RELEASED, WITH_MORE, HELD_AGAIN, AT_ONCE, CLOSED };
    static const uint8_t large[IO_HOLD_BYTES] = {0};
    struct bed *bed = *state;

    for (int how = BY_TIME; how <= CLOSED; how++) {
        struct tape t = {0};
        struct reader r = {.fd = tape_open_pair(bed, &t)};
        size_t bytes = (size_t)hold_some(bed, &t, &r) + 3;

        switch (how) {
        case RELEASED:
            io_release(t.stream);
            break;
        case WITH_MORE:
        case HELD_AGAIN:
            io_send_copy(t.stream, "def", 3);
            bytes += 3;
            if (how == HELD_AGAIN)
                io_hold(t.stream);
            break;
        case AT_ONCE:
            io_send_copy(t.stream, large, sizeof(large));
            io_hold(t.stream);
            bytes += sizeof(large);
            break;
        case CLOSED:
            io_stream_close(t.stream, true);
            t.stream = NULL;
            break;
        default:
            break;
        }
        if (how == RELEASED || how == WITH_MORE || how == AT_ONCE) {
            bed_run_ms(bed, 0);
            assert_int_equal(io_unsent_bytes(t.stream), 0);
        }
        until_read(bed, &r, bytes);
        assert_int_equal(r.got.len, bytes);
        tape_fini(&t);
        reader_fini(&r);
    }
    bed_until_empty(bed);
}

/* Sends what it gets cut into parts of growing size, a marker byte between them. */
static void
scatter(void *ctx, struct io_rx *rx)
{
    struct tape *t = ctx;
    size_t part = 1;

    for (size_t at = 0; at < rx->len; at += part, part = part * 2 % 1021 + 1) {
        io_send_rx(t->stream, rx, at, MIN(part, rx->len - at));
        io_send_rx(t->stream, rx, at, 0);
        if (part % 3 == 0)
            io_send_copy(t->stream, "|", 1);
        buf_add(&t->got, rx->data + at, MIN(part, rx->len - at));
        if (part % 3 == 0)
            buf_add_u8(&t->got, '|');
    }
}

static void
parts_of_a_buffer_mix_with_copies(void **state)
{
    static const struct io_stream_ops scatter_ops = {.received = scatter};
    struct bed *bed = *state;
    struct tape t = {0};
    struct reader r = {.fd = tape_open_pair(bed, &t)};
    uint8_t bytes[60000];

    for (size_t n = 0; n < sizeof(bytes); n++)
        bytes[n] = pattern(1, n);
    io_stream_set_ops(t.stream, &scatter_ops, &t);
    put(r.fd, bytes, sizeof(bytes));
    until_read(bed, &r, sizeof(bytes) + 1);
    until_read(bed, &r, t.got.len);
    assert_int_equal(r.got.len, t.got.len);
    assert_memory_equal(r.got.data, t.got.data, t.got.len);
    tape_fini(&t);
    reader_fini(&r);
    bed_until_empty(bed);
}

static void
pause_holds_back_and_resume_delivers(void **state)
{
    struct bed *bed = *state;
    struct tape t = {.pause_on_data = true};
    int fd = tape_open_pair(bed, &t);
    uint8_t bytes[1000] = {0};

    put(fd, bytes, 10);
    bed_until_size(bed, &t.received, 10);
    assert_true(io_is_paused(t.stream));
    io_pause(t.stream);
    bed_run_ms(bed, 5);
    for (int n = 0; n < 20; n++)
        put(fd, bytes, sizeof(bytes));
    bed_run_ms(bed, 20);
    assert_int_equal(t.received, 10);
    t.pause_on_data = false;
    io_resume(t.stream);
    io_resume(t.stream);
    assert_false(io_is_paused(t.stream));
    bed_until_size(bed, &t.received, 20010);
    put(fd, bytes, 7);
    bed_until_size(bed, &t.received, 20017);
    tape_fini(&t);
    close(fd);
    bed_until_empty(bed);
}

static void
pause_and_resume_in_one_turn_lose_nothing(void **state)
{
    struct bed *bed = *state;
    struct tape t = {0};
    int fd = tape_open_pair(bed, &t);

    for (unsigned n = 1; n <= 200; n++) {
        if (n % 3 != 0)
            io_pause(t.stream);
        if (n % 5 != 0)
            bed_run_ms(bed, 0);
        put(fd, "x", 1);
        io_resume(t.stream);
        bed_until_size(bed, &t.received, n);
    }
    assert_int_equal(t.received, 200);
    tape_fini(&t);
    close(fd);
    bed_until_empty(bed);
}

static void
end_while_paused_is_told_once(void **state)
{
    struct bed *bed = *state;
    struct tape t = {.pause_on_data = true};
    int fd = tape_open_pair(bed, &t);

    put(fd, "bye", 3);
    close(fd);
    bed_until_size(bed, &t.received, 3);
    bed_run_ms(bed, 10);
    io_resume(t.stream);
    bed_until_count(bed, &t.closed, 1);
    assert_int_equal(t.closed_error, 0);
    io_pause(t.stream);
    io_resume(t.stream);
    bed_run_ms(bed, 5);
    assert_int_equal(t.closed, 1);
    tape_fini(&t);
    bed_until_empty(bed);
}

static void
reset_by_peer_is_an_error(void **state)
{
    struct bed *bed = *state;
    struct tape t = {0};
    int fd = tape_open_tcp(bed, &t);
    struct linger reset = {.l_onoff = 1};

    bed_run_ms(bed, 0);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
    bed_until_count(bed, &t.closed, 1);
    assert_int_equal(t.closed_error, ECONNRESET);
    tape_fini(&t);
    bed_until_empty(bed);
}

static void
sending_to_a_dead_peer_ends_in_closed(void **state)
{
    struct bed *bed = *state;
    struct tape t = {0};
    int fd = tape_open_pair(bed, &t);
    uint8_t bytes[30000] = {0};

    close(fd);
    io_send_copy(t.stream, bytes, sizeof(bytes));
    bed_until_count(bed, &t.closed, 1);
    io_send_copy(t.stream, bytes, sizeof(bytes));
    bed_run_ms(bed, 5);
    assert_int_equal(io_unsent_bytes(t.stream), 0);
    tape_fini(&t);
    bed_until_empty(bed);
}

struct source {
    int fd;
    size_t put;
    size_t total;
    struct reader *reader;
    const struct io_stream *to;
    size_t most_unsent;
    bool reads;
};

/* Writes into the source whatever it takes; reads what came out when it is time to. */
static bool
pump(void *ctx)
{
    struct source *s = ctx;
    uint8_t bytes[8192];

    for (int tries = 0; tries < 64 && s->put < s->total; tries++) {
        size_t len = MIN(sizeof(bytes), s->total - s->put);
        ssize_t n;

        for (size_t at = 0; at < len; at++)
            bytes[at] = pattern(7, s->put + at);
        n = send(s->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0)
            break;
        s->put += (size_t)n;
    }
    s->most_unsent = MAX(s->most_unsent, io_unsent_bytes(s->to));
    if (s->reads)
        read_some(s->reader);
    return s->reads && s->reader->got.len == s->total;
}

static bool
pump_without_reading(void *ctx)
{
    struct source *s = ctx;
    size_t before = s->put;

    pump(s);
    return s->put == before && io_is_full(s->to);
}

static void
resume_source(void *ctx)
{
    struct tape *t = ctx;

    t->drained++;
    io_resume(t->close_other->stream);
}

static bool
no_buffers_out(void *ctx)
{
    struct bed *bed = ctx;
    struct io_stats stats;

    io_get_stats(bed->io, &stats);
    return stats.buffers_out == 0;
}

static void
slow_reader_slows_only_its_source(void **state)
{
    static const struct io_stream_ops sink_ops = {.drained = resume_source};
    struct bed *bed = *state;
    struct tape from = {0};
    struct tape to = {.close_other = &from};
    struct source s = {.total = 6 << 20};
    struct reader r = {0};

    s.fd = tape_open_tcp(bed, &from);
    r.fd = tape_open_tcp(bed, &to);
    s.reader = &r;
    s.to = to.stream;
    from.forward_to = &to;
    io_stream_set_ops(to.stream, &sink_ops, &to);
    s.total = 24 << 20;

    bed_until(bed, pump_without_reading, &s);
    bed_until(bed, no_buffers_out, bed);
    assert_true(s.put < s.total);

    s.reads = true;
    bed_until(bed, pump, &s);
    assert_true(s.most_unsent >= IO_HIGH_WATER);
    assert_true(s.most_unsent <= IO_HIGH_WATER + 64 * 16384);
    assert_true(to.drained > 0);
    for (size_t n = 0; n < s.total; n++)
        assert_int_equal(r.got.data[n], pattern(7, n));
    bed_until(bed, no_buffers_out, bed);
    assert_int_equal(io_unsent_bytes(to.stream), 0);
    tape_fini(&from);
    tape_fini(&to);
    close(s.fd);
    reader_fini(&r);
    bed_until_empty(bed);
}

static void
close_with_flush_sends_all(void **state)
{
    struct bed *bed = *state;

    for (int tcp = 0; tcp < 2; tcp++) {
        struct tape t = {0};
        struct reader r = {.fd = tcp ? tape_open_tcp(bed, &t) : tape_open_pair(bed, &t)};
        size_t len = 8 << 20;
        uint8_t *bytes = xmalloc(len);

        for (size_t n = 0; n < len; n++)
            bytes[n] = pattern(3, n);
        /* Unread bytes on our side must not turn the close into a reset. */
        put(r.fd, bytes, 1000);
        io_pause(t.stream);
        io_send_copy(t.stream, bytes, len);
        io_stream_close(t.stream, true);
        t.stream = NULL;
        bed_until(bed, has_ended, &r);
        assert_int_equal(r.error, 0);
        assert_int_equal(r.got.len, len);
        assert_memory_equal(r.got.data, bytes, len);
        bed_until_empty(bed);
        free(bytes);
        tape_fini(&t);
        reader_fini(&r);
    }
}

static void
close_without_flush_drops(void **state)
{
    struct bed *bed = *state;
    struct tape t = {0};
    struct reader r = {.fd = tape_open_pair(bed, &t)};

    io_send_copy(t.stream, "never", 5);
    io_stream_close(t.stream, false);
    t.stream = NULL;
    bed_until(bed, has_ended, &r);
    assert_int_equal(r.got.len, 0);
    bed_until_empty(bed);
    reader_fini(&r);
}

static bool
both_gone(void *ctx)
{
    struct bed *const *beds = ctx;

    for (int n = 0; n < 2; n++) {
        struct io_stats stats;

        bed_run_ms(beds[n], 20);
        io_get_stats(beds[n]->io, &stats);
        if (stats.streams != 0)
            return false;
    }
    return true;
}

/* Both engines wait out the same five seconds. */
static void
flush_gives_up_on_a_peer_that_never_reads(void **state)
{
    static const enum io_engine engines[] = {IO_ENGINE_IO_URING, IO_ENGINE_EPOLL};
    struct bed *beds[2];
    int fds[2];
    size_t len = 16 << 20;
    uint8_t *bytes = xcalloc(1, len);
    int64_t began_ns;

    (void)state;
    for (int n = 0; n < 2; n++) {
        void *bed = (void *)(uintptr_t)&engines[n];
        struct tape t = {0};

        bed_setup(&bed);
        beds[n] = bed;
        fds[n] = tape_open_pair(bed, &t);
        io_send_copy(t.stream, bytes, len);
        io_stream_close(t.stream, true);
    }
    bed_run_ms(beds[0], 0);
    began_ns = io_now_ns(beds[0]->io);
    while (!both_gone(beds))
        assert_true(io_now_ns(beds[0]->io) - began_ns < 30 * NS_PER_S);
    assert_true(io_now_ns(beds[0]->io) - began_ns > 4 * NS_PER_S);
    free(bytes);
    for (int n = 0; n < 2; n++) {
        void *bed = beds[n];

        close(fds[n]);
        bed_teardown(&bed);
    }
}

static bool
one_has_received(void *ctx)
{
    struct tape *const *tapes = ctx;

    return tapes[0]->received + tapes[1]->received > 0;
}

static void
stream_closed_by_another_hears_no_more(void **state)
{
    struct bed *bed = *state;

    for (int round = 0; round < 20; round++) {
        struct tape a = {0};
        struct tape b = {0};
        int fd_a = tape_open_pair(bed, &a);
        int fd_b = tape_open_pair(bed, &b);

        a.close_other = &b;
        b.close_other = &a;
        /* Requests are out before there is something to receive, or not. */
        if (round % 2 == 0)
            bed_run_ms(bed, 0);
        put(fd_a, "a", 1);
        put(fd_b, "b", 1);
        if (round % 4 >= 2) {
            close(fd_a);
            close(fd_b);
        }
        bed_until(bed, one_has_received, (struct tape *[]){&a, &b});
        bed_run_ms(bed, 2);
        assert_int_equal(a.received + b.received, 1);
        assert_true((a.stream == NULL) != (b.stream == NULL));
        if (round % 4 < 2) {
            close(fd_a);
            close(fd_b);
        }
        tape_fini(&a);
        tape_fini(&b);
    }
    bed_until_empty(bed);
}

static void
stream_closes_itself_while_receiving(void **state)
{
    struct bed *bed = *state;
    struct tape t = {.close_on_data = true, .echo = true};
    struct reader r = {.fd = tape_open_pair(bed, &t)};
    uint8_t bytes[100000] = {0};

    put(r.fd, bytes, sizeof(bytes));
    bed_until(bed, has_ended, &r);
    assert_int_equal(t.receives, 1);
    assert_int_equal(r.got.len, 0);
    tape_fini(&t);
    reader_fini(&r);
    bed_until_empty(bed);
}

static void
hand_over(void *ctx, struct io_rx *rx)
{
    struct tape *t = ctx;

    t->closed++;
    buf_add(&t->got, rx->data, rx->len);
    io_stream_set_ops(t->stream, &tape_ops, t->close_other);
}

static void
owner_changes_in_a_callback(void **state)
{
    static const struct io_stream_ops first_ops = {.received = hand_over};
    struct bed *bed = *state;
    struct tape first = {0};
    struct tape second = {0};
    int fd = tape_open_pair(bed, &first);
    uint8_t bytes[50000] = {0};

    first.close_other = &second;
    second.stream = first.stream;
    io_stream_set_ops(first.stream, &first_ops, &first);
    put(fd, bytes, sizeof(bytes));
    bed_until_size(bed, &second.received, sizeof(bytes) - 16384);
    assert_int_equal(first.closed, 1);
    assert_int_equal(first.got.len + second.received, sizeof(bytes));
    first.stream = NULL;
    tape_fini(&first);
    tape_fini(&second);
    close(fd);
    bed_until_empty(bed);
}

static void
engine_ends_with_streams_open(void **state)
{
    struct bed *bed = *state;
    struct tape tapes[20] = {0};
    struct reader readers[20] = {0};
    uint8_t bytes[70000] = {0};
    struct io_options options = {0};

    for (int n = 0; n < 20; n++) {
        readers[n].fd = n % 2 ? tape_open_pair(bed, &tapes[n]) : tape_open_tcp(bed, &tapes[n]);
        put(readers[n].fd, bytes, 60000);
        tapes[n].echo = true;
    }
    bed_run_ms(bed, 1);
    for (int n = 0; n < 20; n++) {
        io_send_copy(tapes[n].stream, bytes, sizeof(bytes));
        if (n % 3 == 0) {
            io_stream_close(tapes[n].stream, n % 2 == 0);
            tapes[n].stream = NULL;
        }
    }
    bed_use(bed, &options);
    for (int n = 0; n < 20; n++) {
        tapes[n].stream = NULL;
        bed_until(bed, has_ended, &readers[n]);
        tape_fini(&tapes[n]);
        reader_fini(&readers[n]);
    }
}

int
main(void)
{
    const struct engine_test tests[] = {
        ENGINE_TEST(copies_and_parts_leave_in_order),
        ENGINE_TEST(what_is_held_leaves_when_it_should),
        ENGINE_TEST(parts_of_a_buffer_mix_with_copies),
        ENGINE_TEST(pause_holds_back_and_resume_delivers),
        ENGINE_TEST(pause_and_resume_in_one_turn_lose_nothing),
        ENGINE_TEST(end_while_paused_is_told_once),
        ENGINE_TEST(reset_by_peer_is_an_error),
        ENGINE_TEST(sending_to_a_dead_peer_ends_in_closed),
        ENGINE_TEST(slow_reader_slows_only_its_source),
        ENGINE_TEST(close_with_flush_sends_all),
        ENGINE_TEST(close_without_flush_drops),
        ENGINE_TEST(stream_closed_by_another_hears_no_more),
        ENGINE_TEST(stream_closes_itself_while_receiving),
        ENGINE_TEST(owner_changes_in_a_callback),
        ENGINE_TEST(engine_ends_with_streams_open),
    };
    const struct CMUnitTest slow[] = {
        cmocka_unit_test(flush_gives_up_on_a_peer_that_never_reads),
    };

    return run_on_engines("streams", tests, ARRAY_LEN(tests)) +
           cmocka_run_group_tests(slow, NULL, NULL);
}
